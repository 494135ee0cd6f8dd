//! How a connection to Google Calendar is configured, and how its users sign in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

use super::api::API;
use crate::connect::hosts::{HostRule, HostRules};
use crate::connect::sign_in::{
    AccessMode, AssertionUse, ClientAuthentication, GrantKind, RedirectRule, Revocation, Scope, SignIn,
};
use crate::error::{Error, Result};

/// Where the API lives.
const API_HOST: &str = "www.googleapis.com";
/// Where people sign in.
const LOGIN_HOST: &str = "accounts.google.com";
/// Where tokens are given out.
const TOKEN_HOST: &str = "oauth2.googleapis.com";
/// What assertions of service accounts are for, whatever address they are sent to.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// What ends a refresh token of Google's besides the user ("Using OAuth 2.0 to Access Google APIs").
pub(super) const SIGN_IN_ENDS: &str = "while the OAuth client's consent screen is in testing, sign-ins end after 7 days: \
                                       publish it to keep them; Google keeps at most 100 sign-ins of one account with \
                                       one client and ends the oldest without a word; one that is not used for 6 months \
                                       ends as well";
const SCOPE_ROOT: &str = "https://www.googleapis.com/auth/";

/// Configuration of a connection to Google Calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Google Calendar")]
pub struct GoogleCalendarConfig {
    /// E-mail address of the user whom a service account acts for. It needs domain-wide delegation; without it a
    /// service account sees only calendars that are shared with it, and cannot invite anybody.
    #[schemars(title = "Impersonated user")]
    pub impersonate: Option<String>,
}

impl GoogleCalendarConfig {
    /// Reads and checks a configuration; null is the default one.
    ///
    /// # Errors
    /// Invalid with the field.
    pub fn parse(config: &Json) -> Result<Self> {
        let parsed: Self = if config.is_null() {
            Self::default()
        } else {
            serde_json::from_value(config.clone()).map_err(|source| {
                Error::invalid(format!("the Google Calendar configuration is wrong: {source}"))
                    .with_provider("google-calendar")
                    .with_advice("See `recordport providers google-calendar` for the names and their meaning")
            })?
        };
        if let Some(user) = parsed.user() {
            let parts = user.split_once('@');
            let fits = parts.is_some_and(|(front, back)| !front.is_empty() && !back.is_empty())
                && !user.contains(|c: char| c.is_whitespace() || c.is_control());
            if !fits {
                return Err(Error::invalid(format!("{user:?} is not an e-mail address"))
                    .with_provider("google-calendar")
                    .with_field("impersonate", "the e-mail address of a user of your domain"));
            }
        }
        Ok(parsed)
    }

    /// The user whom a service account acts for.
    fn user(&self) -> Option<&str> {
        self.impersonate.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    /// How users sign in. `endpoint` replaces every host.
    ///
    /// # Errors
    /// Invalid when the endpoint cannot be the base of an address.
    pub fn sign_in(&self, endpoint: Option<&Url>) -> Result<SignIn> {
        let address = |host: &str, path: &str| {
            let base = match endpoint {
                Some(endpoint) => endpoint.clone(),
                None => Url::parse(&format!("https://{host}/"))
                    .map_err(|source| Error::bug("a host name is no address").with_source(source))?,
            };
            base.join(path).map_err(|source| {
                Error::invalid(format!("{base} cannot be the base of an address")).with_source(source)
            })
        };
        let hosts = match endpoint {
            Some(endpoint) => vec![HostRule::Origin(endpoint.origin().ascii_serialization())],
            None => [API_HOST, LOGIN_HOST, TOKEN_HOST].map(|host| HostRule::Exact(host.to_owned())).to_vec(),
        };
        Ok(SignIn {
            grants: vec![GrantKind::Code, GrantKind::Jwt, GrantKind::Token],
            authorize_url: Some(address(LOGIN_HOST, "/o/oauth2/v2/auth")?),
            token_url: Some(address(TOKEN_HOST, "/token")?),
            revoke_url: Some(address(TOKEN_HOST, "/revoke")?),
            revocation: Revocation::Form,
            scopes: scopes(),
            client_scopes: scopes(),
            read_only_enforced_by_provider: true,
            redirect: RedirectRule::LoopbackAnyPort,
            // Only with the consent page does Google give a refresh token every time.
            authorize_extra: [
                ("access_type", "offline"),
                ("prompt", "consent"),
                ("include_granted_scopes", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            client_authentication: ClientAuthentication::Body,
            assertion_use: AssertionUse::ScopedGrant,
            jwt_audience: Some(AUDIENCE.to_owned()),
            jwt_subject: self.user().map(str::to_owned),
            jwt_seconds: 3_600,
            rotates_refresh_tokens: false,
            base_from_token: BTreeMap::new(),
            bases: BTreeMap::from([(API.to_owned(), address(API_HOST, "/")?)]),
            hosts: HostRules(hosts),
            sign_in_ends: Some(SIGN_IN_ENDS.to_owned()),
            api_name: "Google Calendar API".to_owned(),
        })
    }
}

/// The fewest scopes that admit what is called (`scopes` of each method, discovery document of the Calendar API,
/// version 3): the one that reads everything does not admit the rules of access.
fn scopes() -> Vec<Scope> {
    let scope = |name: &str, why: &str, needed_for| Scope {
        name: format!("{SCOPE_ROOT}{name}"),
        why: why.to_owned(),
        needed_for,
    };
    vec![
        scope(
            "calendar.readonly",
            "Reads your calendars, events, settings and when people are busy",
            AccessMode::ReadOnly,
        ),
        scope("calendar.acls.readonly", "Reads who may see your calendars", AccessMode::ReadOnly),
        scope(
            "calendar",
            "Creates, changes and deletes calendars, events and rules of access in your name",
            AccessMode::ReadWrite,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_go_to_the_three_hosts_of_google_alone() {
        let sign_in = GoogleCalendarConfig::default().sign_in(None).unwrap();
        for (address, allowed) in [
            ("https://www.googleapis.com/calendar/v3/colors", true),
            ("https://oauth2.googleapis.com/token", true),
            ("https://accounts.google.com/o/oauth2/v2/auth", true),
            ("https://googleapis.com/calendar/v3/colors", false),
            ("http://www.googleapis.com/calendar/v3/colors", false),
            ("https://www.googleapis.com.evil.example/", false),
        ] {
            assert_eq!(sign_in.hosts.allow(&Url::parse(address).unwrap()), allowed, "{address}");
        }
        assert_eq!(sign_in.authorize_extra["access_type"], "offline");
        assert_eq!(sign_in.authorize_extra["prompt"], "consent");
        let names = |access| {
            sign_in.scopes_of(GrantKind::Jwt, access).iter().map(|own| own.name.clone()).collect::<Vec<_>>()
        };
        let everything = "https://www.googleapis.com/auth/calendar".to_owned();
        assert!(!names(AccessMode::ReadOnly).contains(&everything));
        assert!(names(AccessMode::ReadWrite).contains(&everything));
    }

    #[test]
    fn an_endpoint_replaces_every_host_but_not_what_assertions_are_for() {
        let endpoint = Url::parse("http://127.0.0.1:4711/").unwrap();
        let config = GoogleCalendarConfig::parse(&json!({ "impersonate": "ann@acme.example" })).unwrap();
        let sign_in = config.sign_in(Some(&endpoint)).unwrap();
        assert_eq!(sign_in.hosts, HostRules(vec![HostRule::Origin("http://127.0.0.1:4711".to_owned())]));
        assert_eq!(sign_in.token_url.unwrap().as_str(), "http://127.0.0.1:4711/token");
        assert_eq!(sign_in.jwt_audience.as_deref(), Some(AUDIENCE));
        assert_eq!(sign_in.jwt_subject.as_deref(), Some("ann@acme.example"));
    }

    #[test]
    fn an_impersonated_user_is_an_address() {
        for user in ["ann", "@acme.example", "ann@", "a b@acme.example"] {
            let error = GoogleCalendarConfig::parse(&json!({ "impersonate": user })).unwrap_err();
            assert_eq!(error.fields()[0].field, "impersonate", "{user}");
        }
        assert_eq!(GoogleCalendarConfig::parse(&json!({ "impersonate": " " })).unwrap().user(), None);
    }
}
