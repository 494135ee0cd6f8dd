//! A fault rule as the control surface takes it.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Not executed; refused with the rule's `status` in the service's error shape.
    Status,
    /// Not executed; 401 in the service's error shape.
    #[serde(rename = "401")]
    Unauthorized,
    /// Not executed; 403 in the service's error shape, as for a used-up quota.
    #[serde(rename = "403")]
    Forbidden,
    /// Not executed; 429 with `Retry-After` in seconds (`retry_after`, else 1).
    #[serde(rename = "429")]
    TooManyRequests,
    /// Not executed; 429 with `Retry-After` as a date, `retry_after` (else 2) seconds ahead.
    #[serde(rename = "429date")]
    TooManyRequestsDate,
    /// Not executed; 503 in the service's error shape.
    #[serde(rename = "503")]
    Unavailable,
    /// Not executed; 503 with an HTML page, as a gateway sends it.
    Html503,
    /// Not executed; 200 with an HTML login page.
    Html200,
    /// Executed; 200 with half of the JSON, well framed.
    Badjson,
    /// Not executed; 200 without a body.
    Empty200,
    /// Executed; the body is announced whole, half of it is sent, then the connection is reset.
    Reset,
    /// Executed; the body is chunked, half of it is sent, then the connection ends without the last chunk.
    Trunc,
    /// Executed; a gzip stream that breaks off in the middle, its framing intact.
    Badgzip,
    /// Not executed; about 1 MB of gzip that inflates to 1 GiB of zeros.
    Gzipbomb,
    /// Executed; headers, then silence, for ever or for `delay_ms`.
    Hang,
    /// Executed; one kilobyte a second, or every `delay_ms`.
    Slow,
    /// Not executed; 302 to `headers.location`, else to another host.
    Redirect,
    /// The page's next link leads to another host, or is the rule's `body`.
    Evilnext,
    /// From this page on the listing never ends: its next link leads back to the same page for ever.
    Loop,
    /// An empty page is put before this one; its next link leads on to the true page.
    Emptypage,
    /// The page claims to be the last although it is not.
    Short,
    /// A record holds a value nested 200,000 deep.
    Deep,
    /// A record holds invalid UTF-8, and another one a lone surrogate escape.
    Badutf8,
    /// A record names one property twice, the true value last.
    Dupkeys,
    /// Records hold 1e400, 9223372036854775809, -0 and 0.30000000000000004.
    Hugenum,
    /// A batch write refuses every 50th row; another number can be given as `body`.
    Partial,
    /// A write is executed, then the connection is closed without an answer.
    DropAfterCommit,
    /// A write is executed, then answered with 503.
    #[serde(rename = "503_after_commit")]
    UnavailableAfterCommit,
    /// All access tokens expire before the request is handled.
    ExpireToken,
}

impl Kind {
    /// The name in rules and in the request log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Unauthorized => "401",
            Self::Forbidden => "403",
            Self::TooManyRequests => "429",
            Self::TooManyRequestsDate => "429date",
            Self::Unavailable => "503",
            Self::Html503 => "html503",
            Self::Html200 => "html200",
            Self::Badjson => "badjson",
            Self::Empty200 => "empty200",
            Self::Reset => "reset",
            Self::Trunc => "trunc",
            Self::Badgzip => "badgzip",
            Self::Gzipbomb => "gzipbomb",
            Self::Hang => "hang",
            Self::Slow => "slow",
            Self::Redirect => "redirect",
            Self::Evilnext => "evilnext",
            Self::Loop => "loop",
            Self::Emptypage => "emptypage",
            Self::Short => "short",
            Self::Deep => "deep",
            Self::Badutf8 => "badutf8",
            Self::Dupkeys => "dupkeys",
            Self::Hugenum => "hugenum",
            Self::Partial => "partial",
            Self::DropAfterCommit => "drop_after_commit",
            Self::UnavailableAfterCommit => "503_after_commit",
            Self::ExpireToken => "expire_token",
        }
    }

    /// Changes the next link of a page, so it fits only pages that have one.
    pub(super) fn is_about_pages(self) -> bool {
        matches!(self, Self::Evilnext | Self::Loop | Self::Emptypage | Self::Short)
    }

    /// Changes records, so it fits only answers that hold some.
    pub(super) fn is_about_records(self) -> bool {
        matches!(self, Self::Deep | Self::Badutf8 | Self::Dupkeys | Self::Hugenum)
    }

    /// Whether the request is executed before the rule does its work; `expire_token` works first.
    pub(super) fn executes(self) -> bool {
        !matches!(
            self,
            Self::Status
                | Self::Unauthorized
                | Self::Forbidden
                | Self::TooManyRequests
                | Self::TooManyRequestsDate
                | Self::Unavailable
                | Self::Html503
                | Self::Html200
                | Self::Empty200
                | Self::Gzipbomb
                | Self::Redirect
                | Self::ExpireToken
        )
    }

    /// Strikes after a write was executed, so it fits requests that changed something.
    pub(super) fn is_after_commit(self) -> bool {
        matches!(self, Self::DropAfterCommit | Self::UnavailableAfterCommit)
    }
}

/// One rule: which requests, what goes wrong, how often.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Key of a service; any service when absent or `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// HTTP method; `*` for any.
    #[serde(default = "any")]
    pub method: String,
    /// Glob over the path as sent: `*` stands for any run of characters, `/` included. A glob that holds a `?`
    /// is compared with path, `?` and query, the `?` standing for itself.
    #[serde(default = "any")]
    pub path: String,
    /// What goes wrong.
    pub kind: Kind,
    /// Strikes only this page of a listing; 1 is the first answer with rows, a page asked for again keeps its
    /// number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Strikes from the n-th request on that fits everything else; 1 is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How many requests it strikes.
    #[serde(default = "once")]
    pub times: u64,
    /// The chance that a request that fits is struck; always when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Status to answer with instead of the kind's own; required for the kind `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers to add or replace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body to answer with instead of the kind's own: a text as it stands, anything else as JSON. For
    /// `evilnext` the link, for `partial` the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The `Retry-After` header, as it shall stand there; for `429date` seconds ahead.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
    pub retry_after: Option<String>,
    /// Milliseconds to wait before answering; for `slow` between two kilobytes, for `hang` until the
    /// connection ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The property of a record that `deep`, `badutf8`, `dupkeys` and `hugenum` change; by default the last
    /// one that suits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

fn any() -> String {
    "*".to_owned()
}

fn once() -> u64 {
    1
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("retry_after must be a text or a number")),
    }
}

impl Rule {
    /// Reads and checks a rule.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what would be accepted.
    pub fn parse(text: &[u8], services: &[&str]) -> Result<Self, String> {
        let rule: Self =
            serde_json::from_slice(text).map_err(|error| format!("not a fault rule: {error}"))?;
        if let Some(service) = rule.service.as_deref().filter(|name| *name != "*")
            && !services.contains(&service)
        {
            return Err(format!("there is no service {service:?}, only {}", services.join(", ")));
        }
        if rule.method != "*" && Method::from_bytes(rule.method.as_bytes()).is_err() {
            return Err(format!("{:?} is not an HTTP method", rule.method));
        }
        if rule.page == Some(0) || rule.nth == Some(0) || rule.times == 0 {
            return Err("page, nth and times count from 1".to_owned());
        }
        if rule.probability.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
            return Err("probability must lie between 0 and 1".to_owned());
        }
        if rule.kind == Kind::Status && rule.status.is_none() {
            return Err("the kind \"status\" needs \"status\"".to_owned());
        }
        if let Some(status) = rule.status
            && (StatusCode::from_u16(status).is_err() || !(200..=599).contains(&status))
        {
            return Err(format!("{status} is not a status to answer with: give 200 to 599"));
        }
        if let Some(text) = &rule.retry_after
            && HeaderValue::from_str(text).is_err()
        {
            return Err("retry_after holds characters that no header can carry".to_owned());
        }
        for (name, value) in &rule.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                return Err(format!("the header {name:?} cannot be sent with this value"));
            }
        }
        if rule.kind == Kind::Partial && rule.every().is_none() {
            return Err("for \"partial\" the body is the number n of every n-th row to refuse".to_owned());
        }
        Ok(rule)
    }

    /// For `partial`: every how many rows one is refused.
    pub(super) fn every(&self) -> Option<usize> {
        match &self.body {
            None => Some(50),
            Some(body) => body.as_u64().filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok()),
        }
    }

    /// Whether service, method and path fit.
    pub(super) fn addresses(&self, service: &str, method: &Method, path: &str, query: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == "*" || own == service)
            && (self.method == "*" || self.method.eq_ignore_ascii_case(method.as_str()))
            && if self.path.contains('?') {
                glob(&self.path, &format!("{path}?{query}"))
            } else {
                glob(&self.path, path)
            }
    }
}

/// Whether a text fits a pattern in which `*` stands for any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go back to: the last star, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, swallowed)) => {
                    *swallowed += 1;
                    p = *at + 1;
                    t = *swallowed;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "/a/b", true),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a*", "/ab/c", true),
            ("*/query*", "/services/data/v60.0/query", true),
            ("*/query*", "/services/data/v60.0/queryAll/", true),
            ("*/query", "/services/data/v60.0/query/x", false),
            ("/a/*/c", "/a/b/b/c", true),
            ("/a/*/c", "/a/b/b/d", false),
            ("*ab*ab", "abxab", true),
            ("*ab*ab", "ab", false),
            ("", "", true),
            ("", "/", false),
            ("/\u{e9}*", "/\u{e9}t\u{e9}", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} against {text}");
        }
    }

    #[test]
    fn a_question_mark_in_a_path_means_the_query() {
        let rule: Rule = serde_json::from_str(r#"{"kind":"503","path":"/query?*Contact*"}"#).expect("a rule");
        let fits = |query: &str| rule.addresses("salesforce", &Method::GET, "/query", query);
        assert!(fits("q=SELECT+Id+FROM+Contact+LIMIT+1"));
        assert!(!fits("q=SELECT+Id+FROM+Account"));
    }

    #[test]
    fn the_name_of_every_kind_is_the_one_in_rules() {
        for name in [
            "status",
            "401",
            "403",
            "429",
            "429date",
            "503",
            "html503",
            "html200",
            "badjson",
            "empty200",
            "reset",
            "trunc",
            "badgzip",
            "gzipbomb",
            "hang",
            "slow",
            "redirect",
            "evilnext",
            "loop",
            "emptypage",
            "short",
            "deep",
            "badutf8",
            "dupkeys",
            "hugenum",
            "partial",
            "drop_after_commit",
            "503_after_commit",
            "expire_token",
        ] {
            let kind: Kind = serde_json::from_value(Value::from(name)).expect(name);
            assert_eq!(kind.name(), name);
        }
    }
}
