//! How a connection to a Dataverse environment is configured, and how its users sign in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

use crate::connect::hosts::{HostRule, HostRules};
use crate::connect::sign_in::{
    AccessMode, AssertionUse, ClientAuthentication, GrantKind, RedirectRule, Revocation, Scope, SignIn,
};
use crate::error::{Error, Result};

/// Domains of environments and the sign-in host that belongs to each ("National clouds", Microsoft identity
/// platform; "Dynamics 365 US Government URLs").
const CLOUDS: [(&str, &str); 4] = [
    ("dynamics.com", "login.microsoftonline.com"),
    ("microsoftdynamics.us", "login.microsoftonline.us"),
    ("appsplatform.us", "login.microsoftonline.us"),
    ("dynamics.cn", "login.partner.microsoftonline.cn"),
];
/// Sign-in hosts that can be named.
const LOGIN_HOSTS: [&str; 4] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
];

/// Configuration of a connection to Dynamics 365 (Dataverse).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Dynamics 365")]
pub struct DynamicsConfig {
    /// Address of the environment, such as `https://acme.crm4.dynamics.com`.
    #[schemars(title = "Environment")]
    pub environment: Option<String>,
    /// The Entra ID tenant whose users sign in: its id or one of its domains. `organizations` takes users of any
    /// tenant; a client that acts for itself needs the tenant.
    #[schemars(title = "Tenant")]
    pub tenant: String,
    /// Host of the sign-in page, where it is not the one that belongs to the environment's cloud.
    #[schemars(title = "Sign-in host")]
    pub login_host: Option<String>,
    /// Version of the Web API, such as `9.2`.
    #[schemars(title = "API version")]
    pub api_version: String,
}

impl Default for DynamicsConfig {
    fn default() -> Self {
        Self {
            environment: None,
            tenant: "organizations".to_owned(),
            login_host: None,
            api_version: "9.2".to_owned(),
        }
    }
}

fn wrong(field: &str, message: String, form: &str) -> Error {
    Error::invalid(message).with_provider("dynamics").with_field(field, form)
}

impl DynamicsConfig {
    /// Reads and checks a configuration; null is the default one.
    ///
    /// # Errors
    /// Invalid with the field.
    pub fn parse(config: &Json) -> Result<Self> {
        let parsed: Self = if config.is_null() {
            Self::default()
        } else {
            serde_json::from_value(config.clone()).map_err(|source| {
                Error::invalid(format!("the Dynamics 365 configuration is wrong: {source}"))
                    .with_provider("dynamics")
                    .with_advice("See `recordport providers dynamics` for the names and their meaning")
            })?
        };
        parsed.version()?;
        parsed.host()?;
        parsed.login()?;
        let is_tenant = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
        if parsed.tenant.is_empty() || !parsed.tenant.chars().all(is_tenant) || parsed.tenant.starts_with('.')
        {
            return Err(wrong(
                "tenant",
                format!("{:?} is not a tenant", parsed.tenant),
                "the tenant's id, one of its domains such as acme.onmicrosoft.com, or organizations",
            ));
        }
        Ok(parsed)
    }

    /// The version as paths write it (`v9.2`).
    ///
    /// # Errors
    /// Invalid when the text is no version of the Web API.
    pub fn version(&self) -> Result<String> {
        let text = self.api_version.trim_start_matches('v');
        match text.split_once('.').map(|(major, minor)| (major, minor.parse::<u8>())) {
            Some(("9", Ok(minor))) if minor <= 9 => Ok(format!("v9.{minor}")),
            _ => Err(wrong(
                "api_version",
                format!("{:?} is not a version of the Dataverse Web API", self.api_version),
                "9.0, 9.1 or 9.2",
            )),
        }
    }

    /// The environment's host, when one is configured, with the sign-in host of its cloud.
    fn host(&self) -> Result<Option<(String, &'static str)>> {
        let Some(text) = self.environment.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let bare = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/').to_ascii_lowercase();
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let cloud = CLOUDS.iter().find(|(domain, _)| {
            bare.strip_suffix(domain)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|labels| labels.contains('.') && labels.split('.').all(label_ok))
        });
        match cloud {
            Some((_, login)) => Ok(Some((bare, login))),
            None => Err(wrong(
                "environment",
                format!("{text:?} is not the address of an environment"),
                "an address such as https://acme.crm4.dynamics.com",
            )
            .with_advice("For an address elsewhere, such as a proxy or an emulator, use --endpoint")),
        }
    }

    fn login(&self) -> Result<Option<&'static str>> {
        let Some(text) = self.login_host.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        LOGIN_HOSTS.iter().find(|host| text.eq_ignore_ascii_case(host)).copied().map(Some).ok_or_else(|| {
            wrong(
                "login_host",
                format!("{text:?} is not a sign-in host of Microsoft"),
                &LOGIN_HOSTS.join(", "),
            )
        })
    }

    /// How users sign in. `endpoint` replaces every host.
    ///
    /// # Errors
    /// Invalid when the configuration is wrong, or names no environment and there is no endpoint.
    pub fn sign_in(&self, endpoint: Option<&Url>) -> Result<SignIn> {
        let address = |host: &str| {
            Url::parse(&format!("https://{host}/"))
                .map_err(|source| Error::bug("a host name is no address").with_source(source))
        };
        let (api, login, hosts) = match (endpoint, self.host()?) {
            (Some(endpoint), _) => {
                let origin = HostRule::Origin(endpoint.origin().ascii_serialization());
                (endpoint.clone(), endpoint.clone(), vec![origin])
            }
            (None, Some((host, cloud))) => {
                let login = self.login()?.unwrap_or(cloud);
                let rules = vec![HostRule::Exact(host.clone()), HostRule::Exact(login.to_owned())];
                (address(&host)?, address(login)?, rules)
            }
            (None, None) => {
                return Err(wrong(
                    "environment",
                    "no environment is named".to_owned(),
                    "an address such as https://acme.crm4.dynamics.com",
                )
                .with_advice("Give it with --set environment=https://acme.crm4.dynamics.com"));
            }
        };
        let at = |path: &str| {
            login.join(&format!("/{}/oauth2/v2.0/{path}", self.tenant)).map_err(|source| {
                Error::invalid(format!("{login} cannot be the base of an address")).with_source(source)
            })
        };
        let token_url = at("token")?;
        let resource = api.origin().ascii_serialization();
        let scope =
            |name: String, why: &str| Scope { name, why: why.to_owned(), needed_for: AccessMode::ReadOnly };
        Ok(SignIn {
            grants: vec![GrantKind::Code, GrantKind::ClientCredentials, GrantKind::Jwt, GrantKind::Token],
            authorize_url: Some(at("authorize")?),
            // Entra ID has no endpoint that revokes a token.
            revoke_url: None,
            revocation: Revocation::Form,
            scopes: vec![
                scope(
                    format!("{resource}/user_impersonation"),
                    "Reads and writes what you may read and write in this environment; Dataverse has no scope for reading alone",
                ),
                scope(
                    "offline_access".to_owned(),
                    "Renews the access token, so that you are not asked to sign in again",
                ),
            ],
            client_scopes: vec![scope(
                format!("{resource}/.default"),
                "Everything that an administrator has allowed the client in this environment",
            )],
            read_only_enforced_by_provider: false,
            redirect: RedirectRule::LocalhostAnyPort,
            authorize_extra: BTreeMap::from([("response_mode".to_owned(), "query".to_owned())]),
            client_authentication: ClientAuthentication::Body,
            assertion_use: AssertionUse::ClientAuthentication,
            jwt_audience: Some(token_url.to_string()),
            token_url: Some(token_url),
            jwt_subject: None,
            jwt_seconds: 300,
            rotates_refresh_tokens: false,
            base_from_token: BTreeMap::new(),
            bases: BTreeMap::from([("login".to_owned(), login.clone()), ("api".to_owned(), api)]),
            hosts: HostRules(hosts),
            sign_in_ends: None,
            api_name: "Dataverse Web API".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sign_in(config: Json) -> SignIn {
        DynamicsConfig::parse(&config).unwrap().sign_in(None).unwrap()
    }

    #[test]
    fn the_environment_decides_resource_hosts_and_sign_in_page() {
        let acme =
            sign_in(json!({"environment": "https://acme.crm4.dynamics.com/", "tenant": "acme.example"}));
        assert_eq!(
            acme.token_url.as_ref().unwrap().as_str(),
            "https://login.microsoftonline.com/acme.example/oauth2/v2.0/token"
        );
        let names = |scopes: &[Scope]| scopes.iter().map(|scope| scope.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            names(&acme.scopes),
            ["https://acme.crm4.dynamics.com/user_impersonation", "offline_access"]
        );
        assert_eq!(names(&acme.client_scopes), ["https://acme.crm4.dynamics.com/.default"]);
        for (address, allowed) in [
            ("https://acme.crm4.dynamics.com/api/data/v9.2/", true),
            ("https://login.microsoftonline.com/x", true),
            ("https://other.crm4.dynamics.com/", false),
            ("https://login.microsoftonline.us/x", false),
            ("http://acme.crm4.dynamics.com/", false),
            ("https://acme.crm4.dynamics.com.evil.example/", false),
            ("https://169.254.169.254/", false),
        ] {
            assert_eq!(acme.hosts.allow(&Url::parse(address).unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn sovereign_clouds_have_their_own_sign_in_page() {
        let host = |config| sign_in(config).token_url.unwrap().host_str().unwrap().to_owned();
        assert_eq!(host(json!({"environment": "acme.crm.microsoftdynamics.us"})), "login.microsoftonline.us");
        assert_eq!(host(json!({"environment": "acme.crm.dynamics.cn"})), "login.partner.microsoftonline.cn");
        assert_eq!(
            host(json!({"environment": "acme.crm.dynamics.cn", "login_host": "login.chinacloudapi.cn"})),
            "login.chinacloudapi.cn"
        );
    }

    #[test]
    fn an_endpoint_replaces_every_host() {
        let endpoint = Url::parse("http://127.0.0.1:4711/").unwrap();
        let sign_in = DynamicsConfig::default().sign_in(Some(&endpoint)).unwrap();
        assert_eq!(sign_in.hosts, HostRules(vec![HostRule::Origin("http://127.0.0.1:4711".to_owned())]));
        assert_eq!(
            sign_in.authorize_url.unwrap().as_str(),
            "http://127.0.0.1:4711/organizations/oauth2/v2.0/authorize"
        );
        assert_eq!(sign_in.bases["api"], endpoint);
        assert_eq!(sign_in.scopes[0].name, "http://127.0.0.1:4711/user_impersonation");
    }

    #[test]
    fn wrong_configuration_names_the_field() {
        for (config, field) in [
            (json!({"environment": "evil.example"}), "environment"),
            (json!({"environment": "acme.crm.dynamics.com.evil.example"}), "environment"),
            (json!({"environment": "dynamics.com"}), "environment"),
            (json!({"environment": "a@b.crm.dynamics.com"}), "environment"),
            (json!({"environment": "a/b.crm.dynamics.com"}), "environment"),
            (json!({"tenant": "a/b"}), "tenant"),
            (json!({"tenant": ".."}), "tenant"),
            (json!({"login_host": "login.evil.example"}), "login_host"),
            (json!({"api_version": "latest"}), "api_version"),
        ] {
            let error = DynamicsConfig::parse(&config).unwrap_err();
            assert_eq!(error.fields()[0].field, field, "{config}");
        }
        let error = DynamicsConfig::default().sign_in(None).unwrap_err();
        assert_eq!(error.fields()[0].field, "environment");
        assert_eq!(DynamicsConfig::default().version().unwrap(), "v9.2");
    }
}
