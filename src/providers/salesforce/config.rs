//! How a connection to Salesforce is configured, and how its users sign in.

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

/// Port of the callback; the redirect address is registered at Salesforce and compared as a whole.
pub(super) const CALLBACK_PORT: u16 = 7281;
const PRODUCTION: &str = "login.salesforce.com";
const SANDBOX: &str = "test.salesforce.com";
const MY_DOMAIN: &str = "my.salesforce.com";
/// The newest version of the API that this provider was tried with.
pub(super) const NEWEST_TRIED: u32 = 66;
/// The oldest version that has everything that this provider uses.
pub(super) const OLDEST: u32 = 48;
/// The version that is spoken unless the service does not know it.
pub(super) const DEFAULT_VERSION: u32 = 60;

/// Configuration of a connection to Salesforce.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Salesforce")]
pub struct SalesforceConfig {
    /// Whether the org is a sandbox: users sign in at test.salesforce.com instead of login.salesforce.com.
    #[schemars(title = "Sandbox")]
    pub sandbox: bool,
    /// The org's My Domain, such as `acme` or `acme.my.salesforce.com`. Needed for client credentials and for a
    /// pasted token; otherwise the address comes with the token.
    #[schemars(title = "My Domain")]
    pub my_domain: Option<String>,
    /// Version of the REST API to insist on, such as `60.0`. Without it recordport speaks 60.0, or the newest
    /// version that both it and the org know.
    #[schemars(title = "API version")]
    pub api_version: Option<String>,
    /// How many of the org's API calls of 24 hours are left to others: when no more are left, recordport sends
    /// nothing. Without it a hundredth of them, 100 at most; 0 switches this off.
    #[schemars(title = "Calls kept back", range(min = 0, max = 10_000_000))]
    pub quota_reserve: Option<u64>,
    /// User that a JWT assertion acts for.
    #[schemars(title = "User name")]
    pub username: Option<String>,
}

impl SalesforceConfig {
    /// Reads and checks a configuration; null is the default one.
    ///
    /// # Errors
    /// Invalid with the field.
    pub fn parse(config: &Json) -> Result<Self> {
        let parsed: Self = if config.is_null() {
            Self::default()
        } else {
            serde_json::from_value(config.clone()).map_err(|source| {
                Error::invalid(format!("the Salesforce configuration is wrong: {source}"))
                    .with_provider("salesforce")
                    .with_advice("See `recordport providers salesforce` for the names and their meaning")
            })?
        };
        parsed.version()?;
        parsed.host()?;
        Ok(parsed)
    }

    /// The version to insist on, as paths write it (`v60.0`).
    ///
    /// # Errors
    /// Invalid when the text is not a version that this provider speaks.
    pub fn version(&self) -> Result<Option<String>> {
        let Some(given) = self.api_version.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let text = given.trim_start_matches('v');
        let number = text.strip_suffix(".0").unwrap_or(text).parse::<u32>().ok();
        match number {
            Some(number) if (OLDEST..=200).contains(&number) => Ok(Some(format!("v{number}.0"))),
            _ => Err(Error::invalid(format!("{given:?} is not a version of the Salesforce REST API"))
                .with_provider("salesforce")
                .with_field(
                    "api_version",
                    format!("a version from {OLDEST}.0 to {NEWEST_TRIED}.0 such as {DEFAULT_VERSION}.0"),
                )),
        }
    }

    /// The My Domain host, when one is configured.
    ///
    /// # Errors
    /// Invalid when the text is not a name below my.salesforce.com.
    fn host(&self) -> Result<Option<String>> {
        let Some(text) = self.my_domain.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let bare = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/').to_ascii_lowercase();
        let host = if bare.contains('.') {
            bare
        } else if self.sandbox {
            format!("{bare}.sandbox.{MY_DOMAIN}")
        } else {
            format!("{bare}.{MY_DOMAIN}")
        };
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let below = host.strip_suffix(MY_DOMAIN).and_then(|rest| rest.strip_suffix('.'));
        if below.is_some_and(|labels| labels.split('.').all(label_ok)) {
            return Ok(Some(host));
        }
        Err(Error::invalid(format!("{text:?} is not a My Domain"))
            .with_provider("salesforce")
            .with_field("my_domain", "a name such as acme, or acme.my.salesforce.com")
            .with_advice("For an address elsewhere, such as a proxy or an emulator, use --endpoint"))
    }

    /// How users sign in. `endpoint` replaces every host.
    ///
    /// # Errors
    /// Invalid when the configuration is wrong.
    pub fn sign_in(&self, endpoint: Option<&Url>) -> Result<SignIn> {
        let my_domain = self.host()?;
        let login = if self.sandbox { SANDBOX } else { PRODUCTION };
        let address = |host: &str| {
            Url::parse(&format!("https://{host}/"))
                .map_err(|source| Error::bug("a host name is no address").with_source(source))
        };
        let base = match (endpoint, &my_domain) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(host)) => address(host)?,
            (None, None) => address(login)?,
        };
        let at = |path: &str| {
            base.join(path).map_err(|source| {
                Error::invalid(format!("{base} cannot be the base of an address")).with_source(source)
            })
        };
        let hosts = match endpoint {
            Some(endpoint) => vec![HostRule::Origin(endpoint.origin().ascii_serialization())],
            None => vec![HostRule::Exact(login.to_owned()), HostRule::Below(MY_DOMAIN.to_owned())],
        };
        let mut bases = BTreeMap::from([("login".to_owned(), base.clone())]);
        // Without a token answer (a pasted token) the API's address is known only from these.
        if endpoint.is_some() || my_domain.is_some() {
            bases.insert("api".to_owned(), base.clone());
        }
        let audience = match endpoint {
            Some(endpoint) => endpoint.origin().ascii_serialization(),
            None => format!("https://{login}"),
        };
        let scope = |name: &str, why: &str| Scope {
            name: name.to_owned(),
            why: why.to_owned(),
            needed_for: AccessMode::ReadOnly,
        };
        Ok(SignIn {
            grants: vec![GrantKind::Code, GrantKind::Jwt, GrantKind::ClientCredentials, GrantKind::Token],
            authorize_url: Some(at("/services/oauth2/authorize")?),
            token_url: Some(at("/services/oauth2/token")?),
            revoke_url: Some(at("/services/oauth2/revoke")?),
            revocation: Revocation::Form,
            scopes: vec![
                scope(
                    "api",
                    "Reads record types and records through the REST API, and writes them when the connection may write; \
                     Salesforce has no scope for reading alone",
                ),
                scope("refresh_token", "Renews the access token, so that you are not asked to sign in again"),
                scope("id", "Shows whose account the connection uses"),
            ],
            client_scopes: Vec::new(),
            read_only_enforced_by_provider: false,
            redirect: RedirectRule::LocalhostFixed { port: CALLBACK_PORT },
            authorize_extra: BTreeMap::new(),
            client_authentication: ClientAuthentication::Body,
            assertion_use: AssertionUse::Grant,
            jwt_audience: Some(audience),
            jwt_subject: self.username.clone(),
            jwt_seconds: 180,
            rotates_refresh_tokens: true,
            base_from_token: BTreeMap::from([("api".to_owned(), "instance_url".to_owned())]),
            bases,
            hosts: HostRules(hosts),
            sign_in_ends: None,
            api_name: "Salesforce REST API".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sign_in(config: Json) -> SignIn {
        SalesforceConfig::parse(&config).unwrap().sign_in(None).unwrap()
    }

    #[test]
    fn users_sign_in_where_their_org_lives() {
        let host = |config| sign_in(config).token_url.unwrap().host_str().unwrap().to_owned();
        assert_eq!(host(json!(null)), "login.salesforce.com");
        assert_eq!(host(json!({"sandbox": true})), "test.salesforce.com");
        assert_eq!(host(json!({"my_domain": "acme"})), "acme.my.salesforce.com");
        assert_eq!(host(json!({"my_domain": "https://Acme.my.salesforce.com/"})), "acme.my.salesforce.com");
        assert_eq!(
            host(json!({"my_domain": "acme--uat", "sandbox": true})),
            "acme--uat.sandbox.my.salesforce.com"
        );
    }

    #[test]
    fn hosts_that_are_not_salesforce_are_refused() {
        for text in [
            "evil.example",
            "acme.my.salesforce.com.evil.example",
            "my.salesforce.com",
            "a/b.my.salesforce.com",
            "a@b.my.salesforce.com",
            "x.lightning.force.com",
            "..my.salesforce.com",
        ] {
            let error = SalesforceConfig::parse(&json!({"my_domain": text})).unwrap_err();
            assert_eq!(error.fields()[0].field, "my_domain", "{text}");
        }
        let hosts = sign_in(json!({})).hosts;
        for (address, allowed) in [
            ("https://acme.my.salesforce.com/x", true),
            ("https://acme--uat.sandbox.my.salesforce.com/x", true),
            ("https://login.salesforce.com/services/oauth2/token", true),
            ("http://acme.my.salesforce.com/x", false),
            ("https://acme.my.salesforce.com:8443/x", false),
            ("https://evilmy.salesforce.com/x", false),
            ("https://169.254.169.254/latest", false),
            ("https://localhost/", false),
            ("https://acme.my.salesforce.com@evil.example/", false),
        ] {
            assert_eq!(hosts.allow(&Url::parse(address).unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn an_endpoint_replaces_every_host() {
        let endpoint = Url::parse("http://127.0.0.1:4711/").unwrap();
        let sign_in = SalesforceConfig::default().sign_in(Some(&endpoint)).unwrap();
        assert_eq!(sign_in.hosts, HostRules(vec![HostRule::Origin("http://127.0.0.1:4711".to_owned())]));
        assert_eq!(sign_in.token_url.unwrap().as_str(), "http://127.0.0.1:4711/services/oauth2/token");
        assert_eq!(sign_in.bases["api"], endpoint);
        assert_eq!(sign_in.jwt_audience.as_deref(), Some("http://127.0.0.1:4711"));
    }

    #[test]
    fn wrong_configuration_names_the_field() {
        let error = SalesforceConfig::parse(&json!({"api_version": "latest"})).unwrap_err();
        assert_eq!(error.fields()[0].field, "api_version");
        let error = SalesforceConfig::parse(&json!({"sandbx": true})).unwrap_err();
        assert!(error.message().contains("sandbx"), "{error}");
        assert_eq!(SalesforceConfig::default().version().unwrap(), None);
        assert_eq!(
            SalesforceConfig { api_version: Some("v61.0".into()), ..Default::default() }
                .version()
                .unwrap()
                .as_deref(),
            Some("v61.0")
        );
        assert_eq!(
            SalesforceConfig { api_version: Some("62".into()), ..Default::default() }
                .version()
                .unwrap()
                .as_deref(),
            Some("v62.0")
        );
    }
}
