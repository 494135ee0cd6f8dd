//! What `connect` tells before the browser opens: who is asked for what and why, where it is kept, and who can
//! use it.

use std::fmt;

use serde::Serialize;

use super::hosts::{HostRule, HostRules};
use super::sign_in::{AccessMode, GrantKind, Scope, SignIn};
use super::store::StorePlace;

/// What a connection will do and keep.
#[derive(Debug, Clone, Serialize)]
pub struct Disclosure {
    /// The API that is connected to.
    pub api: String,
    /// What the connection may do.
    pub access: AccessMode,
    /// Whether read-only is kept by recordport alone, because the provider has no scope that only reads.
    pub read_only_by_us: bool,
    /// How tokens are got.
    pub grant: GrantKind,
    /// Scopes that are asked for, each with its reason.
    pub scopes: Vec<Scope>,
    /// Hosts that are spoken to; `*.` stands for any name below.
    pub hosts: Vec<String>,
    /// The redirect address that must be registered with the OAuth client.
    pub redirect_uri: Option<String>,
    /// Where secrets are kept, under which key, and who can use them.
    pub place: StorePlace,
}

impl Disclosure {
    /// What a sign-in with these scopes means. A scope that the user added gets that as its reason.
    #[must_use]
    pub fn new(
        sign_in: &SignIn,
        access: AccessMode,
        grant: GrantKind,
        scopes: &[String],
        redirect_uri: Option<&str>,
        place: StorePlace,
    ) -> Self {
        let explained = |name: &String| {
            let known = sign_in.scopes.iter().chain(&sign_in.client_scopes).find(|scope| scope.name == *name);
            known.cloned().unwrap_or_else(|| Scope {
                name: name.clone(),
                why: "You asked for it with --scopes".to_owned(),
                needed_for: access,
            })
        };
        Self {
            api: sign_in.api_name.clone(),
            access,
            read_only_by_us: access == AccessMode::ReadOnly && !sign_in.read_only_enforced_by_provider,
            grant,
            scopes: scopes.iter().map(explained).collect(),
            hosts: host_names(&sign_in.hosts),
            redirect_uri: redirect_uri.map(str::to_owned),
            place,
        }
    }
}

/// The hosts of a connection in words.
#[must_use]
pub fn host_names(hosts: &HostRules) -> Vec<String> {
    hosts
        .0
        .iter()
        .map(|rule| match rule {
            HostRule::Exact(name) => name.clone(),
            HostRule::Below(name) => format!("*.{name}"),
            HostRule::Origin(origin) => origin.clone(),
        })
        .collect()
}

impl fmt::Display for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "You are about to connect to the {}.", self.api)?;
        match (self.access, self.read_only_by_us) {
            (AccessMode::ReadWrite, _) => {
                writeln!(f, "Access: read-write. Records are changed only by commands that say so.")?;
            }
            (AccessMode::ReadOnly, false) => {
                writeln!(f, "Access: read-only. Only scopes that cannot write are asked for.")?;
            }
            (AccessMode::ReadOnly, true) => writeln!(
                f,
                "Access: read-only. The provider has no scope that only reads: recordport itself refuses writes \
                 before anything is sent."
            )?,
        }
        if self.scopes.is_empty() {
            writeln!(
                f,
                "Scopes: none are asked for; the access is what the provider has set for the client."
            )?;
        } else {
            writeln!(f, "Scopes:")?;
            for scope in &self.scopes {
                writeln!(f, "  {}: {}.", scope.name, scope.why.trim_end_matches('.'))?;
            }
        }
        writeln!(f, "Hosts that are contacted: {}.", self.hosts.join(", "))?;
        if let Some(redirect) = &self.redirect_uri {
            writeln!(f, "Redirect address, to be registered with the OAuth client exactly so: {redirect}")?;
        }
        writeln!(f, "Tokens are stored encrypted in {}, under {}.", self.place.store, self.place.key)?;
        writeln!(f, "They can be used by {}.", self.place.who)?;
        write!(f, "Nobody else receives anything: recordport has no server and sends no statistics.")
    }
}
