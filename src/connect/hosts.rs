//! The hosts that a connection's token may travel to.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// One rule that lets addresses in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostRule {
    /// Exactly this DNS name, https, port 443.
    Exact(String),
    /// Any DNS name below this one (`salesforce.com` lets `x.my.salesforce.com` in, not itself), https, port
    /// 443.
    Below(String),
    /// Exactly this origin: scheme, host and port. For an endpoint that the user named, such as the emulator.
    Origin(String),
}

/// All hosts of a connection. Nothing outside is ever spoken to, with or without a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostRules(pub Vec<HostRule>);

impl HostRules {
    /// Whether the address may be spoken to: a rule lets it in, and it carries no user info.
    #[must_use]
    pub fn allow(&self, address: &Url) -> bool {
        if !address.username().is_empty() || address.password().is_some() {
            return false;
        }
        let name = match address.host() {
            Some(Host::Domain(name)) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            Some(_) => None,
            None => return false,
        };
        let secure = address.scheme() == "https" && address.port_or_known_default() == Some(443);
        self.0.iter().any(|rule| match (rule, &name) {
            (HostRule::Exact(allowed), Some(name)) => secure && name == allowed,
            (HostRule::Below(parent), Some(name)) => {
                secure
                    && name
                        .strip_suffix(parent.as_str())
                        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (HostRule::Origin(origin), _) => address.origin().ascii_serialization() == *origin,
            _ => false,
        })
    }

    /// The address, or the error that names its host (never its path or query).
    ///
    /// # Errors
    /// `ForeignHost` when no rule lets it in.
    pub fn check(&self, address: &Url, what: &str) -> Result<()> {
        if self.allow(address) {
            return Ok(());
        }
        let origin = format!("{}://{}", address.scheme(), address.host_str().unwrap_or("?"));
        Err(Error::new(
            ErrorKind::ForeignHost,
            format!("{what} leads to {origin}, which is not one of this connection's hosts"),
        )
        .with_code("foreign_host")
        .with_advice("Nothing was sent there. If the address is truly yours, connect again with --endpoint"))
    }
}
