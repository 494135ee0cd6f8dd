//! How a connection to a Jira Cloud site is configured, and how its users sign in.

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

/// Where the API of every site is reached with OAuth tokens and scoped API tokens.
const GATEWAY: &str = "api.atlassian.com";
/// Where people sign in.
const LOGIN: &str = "auth.atlassian.com";
/// Domains below which sites live.
const SITE_DOMAINS: [&str; 2] = ["atlassian.net", "jira.com"];
/// The port of the redirect address, which Atlassian compares as a whole.
const CALLBACK_PORT: u16 = 7281;

/// Configuration of a connection to Jira Cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Jira")]
pub struct JiraConfig {
    /// The site: its address such as `https://acme.atlassian.net`, its name or its cloud id. It may be left out
    /// where the sign-in leads to one site only.
    #[schemars(title = "Site")]
    pub site: Option<String>,
    /// E-mail address of the account, for connections with an API token.
    #[schemars(title = "E-mail")]
    pub email: Option<String>,
    /// Whether feeds of changes tell deletions. Jira keeps no record of them: each look then lists the ids of all
    /// issues.
    #[schemars(title = "Tell deletions")]
    pub tell_deletions: bool,
}

/// How a configuration names a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SiteName {
    /// By its cloud id.
    Cloud(String),
    /// By its host.
    Host(String),
    /// By its name, which is the first part of its host.
    Name(String),
}

fn wrong(field: &str, message: String, form: &str) -> Error {
    Error::invalid(message).with_provider("jira").with_field(field, form)
}

/// The refusal of a site that is run by its owner.
pub(super) fn data_center(what: &str) -> Error {
    Error::unsupported(format!(
        "{what} is not a site of Jira Cloud; Jira Data Center is not supported by this version of recordport"
    ))
    .with_provider("jira")
    .with_code("data_center")
    .with_advice("Sites of Jira Cloud have addresses such as https://acme.atlassian.net")
}

impl JiraConfig {
    /// Reads and checks a configuration; null is the default one.
    ///
    /// # Errors
    /// Invalid with the field; Unsupported for the address of a site that is not in the cloud.
    pub fn parse(config: &Json) -> Result<Self> {
        let parsed: Self = if config.is_null() {
            Self::default()
        } else {
            serde_json::from_value(config.clone()).map_err(|source| {
                Error::invalid(format!("the Jira configuration is wrong: {source}"))
                    .with_provider("jira")
                    .with_advice("See `recordport providers jira` for the names and their meaning")
            })?
        };
        parsed.site_name()?;
        if let Some(email) = parsed.email() {
            let parts = email.split_once('@');
            let fits = parts.is_some_and(|(front, back)| !front.is_empty() && !back.is_empty())
                && !email.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
            if !fits {
                return Err(wrong(
                    "email",
                    format!("{email:?} is not an e-mail address"),
                    "the e-mail address of your Atlassian account",
                ));
            }
        }
        Ok(parsed)
    }

    /// The e-mail address, when one is configured; the connection then signs in with an API token.
    pub(super) fn email(&self) -> Option<&str> {
        self.email.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    /// The site, when one is configured.
    ///
    /// # Errors
    /// Invalid for what is no site, Unsupported for the address of one that is not in the cloud.
    pub(super) fn site_name(&self) -> Result<Option<SiteName>> {
        let Some(text) = self.site.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if let Ok(id) = uuid::Uuid::try_parse(text) {
            return Ok(Some(SiteName::Cloud(id.to_string())));
        }
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if label_ok(text) {
            return Ok(Some(SiteName::Name(text.to_ascii_lowercase())));
        }
        let given = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let no_site = || {
            wrong(
                "site",
                format!("{text:?} is not a site of Jira"),
                "an address such as https://acme.atlassian.net, a site's name or its cloud id",
            )
        };
        let address = Url::parse(&given).map_err(|_| no_site())?;
        let plain = matches!(address.scheme(), "https" | "http")
            && address.username().is_empty()
            && address.password().is_none();
        let host = address.host_str().filter(|_| plain).ok_or_else(no_site)?;
        let cloud = SITE_DOMAINS.iter().any(|domain| {
            host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')).is_some_and(label_ok)
        });
        if !cloud {
            return Err(data_center(host));
        }
        if address.scheme() != "https" || address.port().is_some() {
            return Err(no_site());
        }
        Ok(Some(SiteName::Host(host.to_owned())))
    }

    /// The host of the site's own address, which plain API tokens are for.
    fn host(&self) -> Result<Option<String>> {
        Ok(match self.site_name()? {
            Some(SiteName::Host(host)) => Some(host),
            Some(SiteName::Name(name)) => Some(format!("{name}.{}", SITE_DOMAINS[0])),
            Some(SiteName::Cloud(_)) | None => None,
        })
    }

    /// How users sign in. `endpoint` replaces every host.
    ///
    /// # Errors
    /// Invalid when the configuration is wrong, or names no site where the API token cannot tell it.
    pub fn sign_in(&self, endpoint: Option<&Url>) -> Result<SignIn> {
        let address = |host: &str| {
            Url::parse(&format!("https://{host}/"))
                .map_err(|source| Error::bug("a host name is no address").with_source(source))
        };
        let basic = self.email().is_some();
        let (api, login, site, hosts) = match endpoint {
            Some(endpoint) => {
                let origin = HostRule::Origin(endpoint.origin().ascii_serialization());
                (endpoint.clone(), endpoint.clone(), Some(endpoint.clone()), vec![origin])
            }
            None => {
                let host = self.host()?;
                if basic && self.site_name()?.is_none() {
                    return Err(wrong(
                        "site",
                        "an API token does not tell which site it is for".to_owned(),
                        "an address such as https://acme.atlassian.net",
                    )
                    .with_advice("Name it with --set site=https://acme.atlassian.net"));
                }
                let mut rules = vec![HostRule::Exact(GATEWAY.to_owned()), HostRule::Exact(LOGIN.to_owned())];
                // OAuth tokens are of no use at the site's own address and never go there.
                let host = host.filter(|_| basic);
                rules.extend(host.clone().map(HostRule::Exact));
                let site = host.as_deref().map(address).transpose()?;
                (address(GATEWAY)?, address(LOGIN)?, site, rules)
            }
        };
        let at = |path: &str| {
            login.join(path).map_err(|source| {
                Error::invalid(format!("{login} cannot be the base of an address")).with_source(source)
            })
        };
        let bases = [("api", Some(api)), ("login", Some(login.clone())), ("site", site)];
        let bases = bases.into_iter().filter_map(|(role, base)| Some((role.to_owned(), base?)));
        Ok(SignIn {
            // The e-mail address is what tells the one way from the other.
            grants: if basic {
                vec![GrantKind::Basic]
            } else {
                vec![GrantKind::Code, GrantKind::Token, GrantKind::Basic]
            },
            authorize_url: Some(at("/authorize")?),
            token_url: Some(at("/oauth/token")?),
            // Atlassian has no endpoint that revokes a token.
            revoke_url: None,
            revocation: Revocation::Form,
            scopes: scopes(),
            client_scopes: Vec::new(),
            read_only_enforced_by_provider: !basic,
            redirect: RedirectRule::LocalhostFixed { port: CALLBACK_PORT },
            authorize_extra: BTreeMap::from([
                ("audience".to_owned(), GATEWAY.to_owned()),
                ("prompt".to_owned(), "consent".to_owned()),
            ]),
            client_authentication: ClientAuthentication::Body,
            assertion_use: AssertionUse::Grant,
            jwt_audience: None,
            jwt_subject: None,
            jwt_seconds: 0,
            rotates_refresh_tokens: true,
            base_from_token: BTreeMap::new(),
            bases: bases.collect(),
            hosts: HostRules(hosts),
            sign_in_ends: None,
            api_name: "Jira Cloud REST API".to_owned(),
        })
    }
}

/// The classic scopes, which Atlassian advises for apps of this kind.
fn scopes() -> Vec<Scope> {
    let scope =
        |name: &str, why: &str, needed_for| Scope { name: name.to_owned(), why: why.to_owned(), needed_for };
    vec![
        scope(
            "read:jira-work",
            "Reads projects, issues and what belongs to them, as far as you may see them",
            AccessMode::ReadOnly,
        ),
        scope(
            "read:jira-user",
            "Reads who you are, your time zone, and the users that issues can be assigned to",
            AccessMode::ReadOnly,
        ),
        scope(
            "offline_access",
            "Renews the access token, so that you are not asked to sign in again",
            AccessMode::ReadOnly,
        ),
        scope(
            "write:jira-work",
            "Creates, changes and deletes issues and what belongs to them in your name",
            AccessMode::ReadWrite,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    fn config(config: Json) -> JiraConfig {
        JiraConfig::parse(&config).unwrap()
    }

    #[test]
    fn a_site_is_named_by_address_host_name_or_cloud_id() {
        for (text, name) in [
            ("https://acme.atlassian.net/jira/projects", SiteName::Host("acme.atlassian.net".to_owned())),
            ("Acme.Atlassian.Net", SiteName::Host("acme.atlassian.net".to_owned())),
            ("acme", SiteName::Name("acme".to_owned())),
            (
                "1324A887-45DB-1BF4-1E99-EF0FF456D421",
                SiteName::Cloud("1324a887-45db-1bf4-1e99-ef0ff456d421".to_owned()),
            ),
        ] {
            assert_eq!(config(json!({ "site": text })).site_name().unwrap(), Some(name), "{text}");
        }
        assert_eq!(config(json!({ "site": " " })).site_name().unwrap(), None);
    }

    #[test]
    fn what_is_no_site_of_the_cloud_is_refused_by_name() {
        for text in ["https://jira.acme.example", "jira.acme.example:8080/jira", "https://10.0.0.1/"] {
            let error = JiraConfig::parse(&json!({ "site": text })).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, Some("data_center")), "{text}");
            assert!(error.message().contains("Data Center is not supported"), "{error}");
        }
        for text in [
            "http://acme.atlassian.net",
            "https://acme.atlassian.net:8443",
            "https://a@acme.atlassian.net",
            "file:///etc/passwd",
            "https://",
        ] {
            let error = JiraConfig::parse(&json!({ "site": text })).unwrap_err();
            assert_eq!(error.fields()[0].field, "site", "{text}");
        }
        for hostile in ["acme.atlassian.net.evil.example", "atlassian.net", "a.b.atlassian.net"] {
            assert_eq!(
                JiraConfig::parse(&json!({ "site": hostile })).unwrap_err().code(),
                Some("data_center"),
                "{hostile}"
            );
        }
    }

    #[test]
    fn an_email_address_means_an_api_token_for_the_sites_own_address() {
        let basic = config(json!({ "site": "acme", "email": "ann@acme.example" })).sign_in(None).unwrap();
        assert_eq!(basic.grants, [GrantKind::Basic]);
        assert_eq!(basic.bases["site"].as_str(), "https://acme.atlassian.net/");
        for (address, allowed) in [
            ("https://acme.atlassian.net/rest/api/3/myself", true),
            ("https://api.atlassian.com/ex/jira/x/rest/api/3/myself", true),
            ("https://other.atlassian.net/rest/api/3/myself", false),
            ("http://acme.atlassian.net/", false),
        ] {
            assert_eq!(basic.hosts.allow(&Url::parse(address).unwrap()), allowed, "{address}");
        }
        let nameless = config(json!({ "email": "ann@acme.example" })).sign_in(None).unwrap_err();
        assert_eq!(nameless.fields()[0].field, "site");
        for email in ["ann", "@acme.example", "ann@", "a:b@acme.example", "a b@acme.example"] {
            let error = JiraConfig::parse(&json!({ "email": email })).unwrap_err();
            assert_eq!(error.fields()[0].field, "email", "{email}");
        }
    }

    #[test]
    fn oauth_tokens_go_to_the_gateway_alone() {
        let oauth = config(json!({ "site": "https://acme.atlassian.net" })).sign_in(None).unwrap();
        assert_eq!(oauth.grants[0], GrantKind::Code);
        assert!(!oauth.hosts.allow(&Url::parse("https://acme.atlassian.net/rest/api/3/myself").unwrap()));
        assert!(!oauth.bases.contains_key("site"));
        assert_eq!(oauth.authorize_extra["audience"], "api.atlassian.com");
        let names =
            |access| oauth.scopes_for(access).iter().map(|scope| scope.name.clone()).collect::<Vec<_>>();
        assert!(!names(AccessMode::ReadOnly).contains(&"write:jira-work".to_owned()));
        assert!(names(AccessMode::ReadWrite).contains(&"write:jira-work".to_owned()));
        assert!(oauth.rotates_refresh_tokens);
    }

    #[test]
    fn an_endpoint_replaces_every_host() {
        let endpoint = Url::parse("http://127.0.0.1:4711/").unwrap();
        let sign_in = JiraConfig::default().sign_in(Some(&endpoint)).unwrap();
        assert_eq!(sign_in.hosts, HostRules(vec![HostRule::Origin("http://127.0.0.1:4711".to_owned())]));
        assert_eq!(sign_in.token_url.unwrap().as_str(), "http://127.0.0.1:4711/oauth/token");
        assert!(sign_in.bases.values().all(|base| *base == endpoint));
    }
}
