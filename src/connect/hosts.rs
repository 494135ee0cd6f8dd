//! The hosts that a connection's token may travel to.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};
use crate::http::address::origin_of;

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
    /// Whether the address may be spoken to: a rule lets it in, and it carries no user info. Names are compared
    /// as the URL parser leaves them (lower case, punycode, percent-decoded); one with a final dot is another
    /// name.
    #[must_use]
    pub fn allow(&self, address: &Url) -> bool {
        let web = matches!(address.scheme(), "https" | "http");
        if !web || !address.username().is_empty() || address.password().is_some() {
            return false;
        }
        let name = match address.host() {
            Some(Host::Domain(name)) => Some(name),
            Some(_) => None,
            None => return false,
        };
        let secure = address.scheme() == "https" && address.port_or_known_default() == Some(443);
        self.0.iter().any(|rule| match (rule, name) {
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
        let origin = origin_of(address);
        Err(Error::new(
            ErrorKind::ForeignHost,
            format!("{what} leads to {origin}, which is not one of this connection's hosts"),
        )
        .with_code("foreign_host")
        .with_advice("Nothing was sent there. If the address is truly yours, connect again with --endpoint"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> HostRules {
        HostRules(vec![
            HostRule::Exact("login.salesforce.com".to_owned()),
            HostRule::Below("salesforce.com".to_owned()),
            HostRule::Origin("http://127.0.0.1:8080".to_owned()),
        ])
    }

    #[test]
    fn own_hosts_are_let_in_however_they_are_spelled() {
        for address in [
            "https://login.salesforce.com/services/oauth2/token",
            "https://acme.my.salesforce.com/services/data",
            "https://ACME.My.Salesforce.COM/",
            "https://acme.my.salesforce.com:443/",
            "https://acme%2Emy.salesforce.com/",
            "https:\\\\acme.my.salesforce.com\\x",
            "http://127.0.0.1:8080/services/data",
            "http://2130706433:8080/",
        ] {
            assert!(rules().allow(&Url::parse(address).unwrap()), "{address}");
        }
    }

    #[test]
    fn hostile_addresses_are_kept_out() {
        let hostile = [
            "http://acme.my.salesforce.com/",
            "https://acme.my.salesforce.com:8443/",
            "https://salesforce.com/",
            "https://.salesforce.com/",
            "https://evilsalesforce.com/",
            "https://salesforce.com.evil.example/",
            "https://login.salesforce.com.evil.example/",
            "https://login.salesforce.com@evil.example/",
            "https://login.salesforce.com:443@evil.example/",
            "https://user@login.salesforce.com/",
            "https://user:word@login.salesforce.com/",
            "https://:word@login.salesforce.com/",
            "https://evil.example/login.salesforce.com",
            "https://evil.example?login.salesforce.com",
            "https://evil.example#.salesforce.com",
            "https://evil.example\\.salesforce.com/",
            "https://evil.example%2F.salesforce.com.example/",
            "https://login.salesforce.com./",
            "https://login.s\u{430}lesforce.com/",
            "https://login.salesforce\u{3002}com.evil.example/",
            "https://xn--lgin-5qa.example/",
            "https://169.254.169.254/latest/meta-data",
            "http://169.254.169.254/",
            "https://0xa9fea9fe/",
            "https://127.0.0.1/",
            "http://127.0.0.1:8081/",
            "https://127.0.0.1:8080/",
            "http://127.0.0.2:8080/",
            "http://localhost:8080/",
            "http://[::1]:8080/",
            "http://[::ffff:127.0.0.1]:8080/",
            "https://[::ffff:169.254.169.254]/",
            "http://0.0.0.0:8080/",
            "http://user@127.0.0.1:8080/",
            "ftp://acme.my.salesforce.com/",
            "ws://127.0.0.1:8080/",
            "file:///etc/passwd",
            "file://login.salesforce.com/etc/passwd",
            "data:text/html,x",
            "blob:https://login.salesforce.com/x",
            "javascript:alert(1)",
            "unix:/var/run/docker.sock",
        ];
        for address in hostile {
            // What is no URL at all cannot be spoken to either.
            if let Ok(url) = Url::parse(address) {
                let error = rules().check(&url, "the link").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ForeignHost, "{address}");
                assert!(!error.to_string().contains("word"), "{error}");
            }
        }
    }

    #[test]
    fn an_origin_rule_for_nothing_lets_nothing_in() {
        let null = HostRules(vec![HostRule::Origin("null".to_owned())]);
        for address in ["file:///etc/passwd", "data:,x", "https://login.salesforce.com/"] {
            assert!(!null.allow(&Url::parse(address).unwrap()), "{address}");
        }
        assert!(!HostRules::default().allow(&Url::parse("https://login.salesforce.com/").unwrap()));
    }
}
