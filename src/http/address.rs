//! Joining paths to a connection's own base addresses, and reading the links that services hand out, so that
//! neither can lead to another host.

use http::Uri;
use url::Url;

use super::Target;
use crate::error::{Error, ErrorKind, Result};

/// Joins an absolute path with query (`/services/data/v60.0/query?q=...`) to a base address. The base's own
/// path stays in front (`https://api.atlassian.com/ex/jira/{cloud}`).
///
/// URL parsers forgive a lot: a path that begins with `//` or `/\` names a host, a backslash is a slash, tabs
/// and line ends vanish, `..` climbs out of the base. All of these are refused here instead, before and after
/// parsing.
///
/// # Errors
/// `ForeignHost` with code `bad_path` for a path that could lead elsewhere; nothing of its query is shown.
pub fn join_path(base: &Url, path: &str) -> Result<Url> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    check_text(path)?;
    if let Some(query) = query {
        check_text(query)?;
    }
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(bad_path("is not an absolute path"));
    }
    if path.contains('#') || query.is_some_and(|query| query.contains('#')) {
        return Err(bad_path("has a fragment"));
    }
    if path.split('/').any(is_dot_segment) {
        return Err(bad_path("climbs with dot segments"));
    }
    let mut joined = base.clone();
    joined.set_fragment(None);
    joined.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    joined.set_query(query);
    if joined.origin() != base.origin()
        || joined.username() != base.username()
        || !joined.path().starts_with(base.path().trim_end_matches('/'))
    {
        return Err(bad_path("leads away from its host"));
    }
    Ok(joined)
}

/// Reads a link to a further page as a service handed it out. A path stays with the host role; an absolute
/// address is checked by the auth layer against the connection's hosts before anything is sent.
///
/// # Errors
/// `ForeignHost` with code `foreign_next_link` for a link that is neither.
pub fn next_link(role: &'static str, link: &str) -> Result<Target> {
    let foreign = |why: &str| {
        Error::new(ErrorKind::ForeignHost, format!("the service's link to the next page {why}"))
            .with_code("foreign_next_link")
            .with_advice("Nothing was sent there. The service, or something in between, answers wrongly")
    };
    if link.starts_with('/') {
        // Any base will do: only the path is judged here.
        let probe = Url::parse("https://host.invalid").map_err(|error| Error::bug(error.to_string()))?;
        join_path(&probe, link).map_err(|error| foreign(error.message()))?;
        return Ok(Target::Role { role, path: link.to_owned() });
    }
    check_text(link).map_err(|error| foreign(error.message()))?;
    let address = Url::parse(link).map_err(|_| foreign("is neither a path nor an address"))?;
    if !matches!(address.scheme(), "https" | "http") {
        return Err(foreign(&format!("has the scheme {:?}", address.scheme())));
    }
    Ok(Target::Address(address))
}

/// Scheme, host and port of an address: what errors and traces may show of it.
#[must_use]
pub fn origin_of(address: &Url) -> String {
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", address.scheme(), address.host_str().unwrap_or("?"))
}

/// Whether an address names this very machine: `localhost`, 127.0.0.0/8 or ::1.
#[must_use]
pub fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(url::Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn check_text(text: &str) -> Result<()> {
    if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ' || byte == b'\\') || !text.is_ascii() {
        return Err(bad_path("holds characters that must be percent-encoded"));
    }
    Ok(())
}

fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

fn bad_path(why: &str) -> Error {
    Error::new(ErrorKind::ForeignHost, format!("a path of this request {why}"))
        .with_code("bad_path")
        .with_advice("Nothing was sent")
}

/// The host that a `Location` header names, for an error; `None` when it names none or cannot be read.
pub(crate) fn location_origin(location: &str) -> Option<String> {
    let uri: Uri = location.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.host()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_path_is_joined_behind_the_path_of_its_base() {
        let jira = base("https://api.atlassian.com/ex/jira/11-22/");
        assert_eq!(
            join_path(&jira, "/rest/api/3/issue/A-1?fields=a%20b").unwrap().as_str(),
            "https://api.atlassian.com/ex/jira/11-22/rest/api/3/issue/A-1?fields=a%20b"
        );
        let local = base("http://127.0.0.1:8080");
        assert_eq!(
            join_path(&local, "/services/data").unwrap().as_str(),
            "http://127.0.0.1:8080/services/data"
        );
        assert_eq!(
            join_path(&local, "/q?q=a%20%3D%20'x/../y'").unwrap().query(),
            Some("q=a%20%3D%20%27x/../y%27")
        );
    }

    #[test]
    fn a_path_never_leads_to_another_host() {
        let own = base("https://x.my.salesforce.com/base");
        for path in [
            "//evil.example/x",
            "/\\evil.example/x",
            "\\\\evil.example",
            "\\/evil.example",
            "///evil.example",
            "https://evil.example/",
            "@evil.example/",
            ":1/",
            ".evil.example/",
            "/a/../../b",
            "/a/%2e%2E/b",
            "/./x",
            "/a\tb",
            "/a\r\nHost: evil.example",
            "/a?q=x\ny",
            "/a b",
            "/a#b",
            "/\u{ff0f}evil.example",
            "",
            "a",
            "?q=1",
        ] {
            let error = join_path(&own, path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ForeignHost, "{path:?}");
        }
    }

    #[test]
    fn a_next_link_is_a_path_or_an_address() {
        assert!(matches!(
            next_link("api", "/services/data/v60.0/query/01g-2000").unwrap(),
            Target::Role { role: "api", .. }
        ));
        assert!(matches!(next_link("api", "https://x.example/next").unwrap(), Target::Address(_)));
        for link in ["file:///etc/passwd", "//evil.example/x", "javascript:alert(1)", "next", "", "data:x"] {
            let error = next_link("api", link).unwrap_err();
            assert_eq!(error.code(), Some("foreign_next_link"), "{link:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_that_is_accepted_stays_on_its_host(path in "[/\\\\.@:?#%a-f0-9 \t\u{ff0f}é]{0,24}") {
            let own = base("https://x.my.salesforce.com/base");
            if let Ok(joined) = join_path(&own, &path) {
                proptest::prop_assert_eq!(joined.origin(), own.origin());
                proptest::prop_assert!(joined.path().starts_with("/base/"));
                proptest::prop_assert!(joined.username().is_empty());
            }
        }
    }
}
