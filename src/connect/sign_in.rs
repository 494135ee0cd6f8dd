//! How a provider's users sign in, as data: endpoints, grants, scopes, redirect rule, hosts. Each provider
//! fills this in from its configuration; the flows act on it and know no provider by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::hosts::HostRules;

/// Ways to get a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantKind {
    /// Authorisation code with PKCE in the browser (RFC 6749 section 4.1, RFC 7636, RFC 8252).
    Code,
    /// Client credentials (RFC 6749 section 4.4).
    ClientCredentials,
    /// JWT bearer assertion (RFC 7523).
    Jwt,
    /// An access token that the user pastes.
    Token,
    /// User name and secret as HTTP Basic (RFC 7617).
    Basic,
}

/// What the connection may do at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// Only reading; writes are refused before the wire.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// One scope, and why it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// The scope's text.
    pub name: String,
    /// Why, in one sentence for the user.
    pub why: String,
    /// The lowest access mode that needs it.
    pub needed_for: AccessMode,
}

/// Where the provider sends the browser back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RedirectRule {
    /// `http://127.0.0.1:{any}/callback`: the provider ignores the port (RFC 8252 section 7.3).
    LoopbackAnyPort,
    /// `http://localhost:{any}/callback`.
    LocalhostAnyPort,
    /// `http://localhost:{port}/callback`: the provider compares the whole text.
    LocalhostFixed {
        /// The port unless `--redirect-uri` says another.
        port: u16,
    },
}

/// How the client shows who it is at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// `client_id` and `client_secret` in the body.
    Body,
    /// HTTP Basic.
    Basic,
}

/// How a provider is told that an authorisation shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// The refresh token, or else the access token, is sent in a form (RFC 7009).
    Form,
    /// A request that shows the access token ends it, and the refresh token that it came from.
    Shown,
}

/// What a signed assertion (RFC 7523) stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssertionUse {
    /// It is the grant itself and names the user to act for (section 2.1).
    Grant,
    /// It is the grant itself, names the scopes, and a user only where the client is to act for one.
    ScopedGrant,
    /// It takes the place of the client's secret; the client acts for itself (section 2.2).
    ClientAuthentication,
}

/// Everything about signing in at one provider with one configuration.
#[derive(Debug, Clone, Serialize)]
pub struct SignIn {
    /// Grants that the provider knows, the preferred one first.
    pub grants: Vec<GrantKind>,
    /// Authorisation page.
    pub authorize_url: Option<Url>,
    /// Token endpoint.
    pub token_url: Option<Url>,
    /// Where authorisations are ended.
    pub revoke_url: Option<Url>,
    /// How that is asked for there.
    pub revocation: Revocation,
    /// Scopes for the code grant.
    pub scopes: Vec<Scope>,
    /// Scopes for a client that acts for itself; empty where they come with its registration.
    pub client_scopes: Vec<Scope>,
    /// Scope that the provider has no read-only form of: then read-only is kept by us alone and said so.
    pub read_only_enforced_by_provider: bool,
    /// Redirect rule.
    pub redirect: RedirectRule,
    /// Further parameters of the authorisation page (`access_type=offline`).
    pub authorize_extra: BTreeMap<String, String>,
    /// How the client authenticates.
    pub client_authentication: ClientAuthentication,
    /// What a JWT assertion stands for.
    pub assertion_use: AssertionUse,
    /// Audience of a JWT assertion.
    pub jwt_audience: Option<String>,
    /// User that a JWT assertion acts for, when the configuration names one.
    pub jwt_subject: Option<String>,
    /// Longest life of a JWT assertion, in seconds.
    pub jwt_seconds: u64,
    /// Whether refresh tokens rotate (each refresh may return a new one and kill the old).
    pub rotates_refresh_tokens: bool,
    /// Member of the token answer that holds the base address of a host role, by role
    /// (`api` → `instance_url`).
    pub base_from_token: BTreeMap<String, String>,
    /// Fixed base addresses by host role.
    pub bases: BTreeMap<String, Url>,
    /// Hosts that may be spoken to.
    pub hosts: HostRules,
    /// What ends a sign-in by itself, for people whose refresh token is not accepted any more.
    pub sign_in_ends: Option<String>,
    /// The API that is connected to, for people (`Salesforce REST API`).
    pub api_name: String,
}

impl SignIn {
    /// The scopes of an access mode.
    #[must_use]
    pub fn scopes_for(&self, access: AccessMode) -> Vec<&Scope> {
        self.scopes.iter().filter(|scope| scope.needed_for <= access).collect()
    }

    /// The scopes that are asked for with a grant, unless the user names others.
    #[must_use]
    pub fn scopes_of(&self, grant: GrantKind, access: AccessMode) -> Vec<&Scope> {
        match grant {
            GrantKind::Code => self.scopes_for(access),
            GrantKind::ClientCredentials | GrantKind::Jwt => {
                self.client_scopes.iter().filter(|scope| scope.needed_for <= access).collect()
            }
            GrantKind::Token | GrantKind::Basic => Vec::new(),
        }
    }
}
