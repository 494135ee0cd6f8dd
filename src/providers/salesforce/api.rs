//! One function per remote call: what goes over the wire, as data.
//!
//! Paths are those of the REST API Developer Guide. Everything that a user or a record can put into an address
//! is percent-encoded, `/` in a segment and `+` in a query included.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::http::{Call, Target, address};

/// Role of the host that the API lives on.
pub(super) const API: &str = "api";
/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Longest address of a query. Salesforce takes 16,384 bytes of address and headers together (Knowledge Article
/// 000386264); the rest is for the host's name and the headers, an access token of 2,000 bytes among them.
const ADDRESS_MAX: usize = 14_000;
/// Name of the one subrequest of a Composite request.
const ONLY: &str = "query";

/// Text as one path segment or one query value.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Switches of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WriteSwitches {
    pub(super) all_or_none: bool,
    pub(super) allow_duplicates: bool,
    /// `FALSE`, or the id of an assignment rule; the active rule runs when there is none.
    pub(super) auto_assign: Option<String>,
}

impl WriteSwitches {
    /// The headers that say so.
    fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let duplicates = self.allow_duplicates.then_some(("sforce-duplicate-rule-header", "allowSave=true"));
        let assign = self.auto_assign.as_deref().map(|rule| ("sforce-auto-assign", rule));
        duplicates.into_iter().chain(assign)
    }
}

/// What the API offers in this version: the cheapest question that needs a good token.
pub(super) fn resources(version: &str) -> Call {
    Call::get("probe", API, format!("/services/data/{version}"))
}

/// The versions of the API that the service speaks.
pub(super) fn versions() -> Call {
    Call::get("versions", API, "/services/data")
}

/// Who the token belongs to.
pub(super) fn user_info() -> Call {
    Call::get("probe", API, "/services/oauth2/userinfo")
}

/// All types.
pub(super) fn global_describe(version: &str) -> Call {
    Call::get("types", API, format!("/services/data/{version}/sobjects"))
}

/// One type.
pub(super) fn describe(version: &str, name: &str) -> Call {
    Call::get("describe", API, format!("/services/data/{version}/sobjects/{}/describe", encode(name)))
}

/// The bytes of a field.
pub(super) fn blob(version: &str, object: &str, id: &str, field: &str) -> Call {
    let path =
        format!("/services/data/{version}/sobjects/{}/{}/{}", encode(object), encode(id), encode(field));
    Call::get("content get", API, path).streamed()
}

/// The deletions of a type within a window; seconds are not looked at.
pub(super) fn deletions(version: &str, object: &str, from: Timestamp, to: Timestamp) -> Call {
    let moment = |at: Timestamp| encode(&at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string());
    let path = format!(
        "/services/data/{version}/sobjects/{}/deleted/?start={}&end={}",
        encode(object),
        moment(from),
        moment(to)
    );
    Call::get("changes", API, path)
}

fn query_path(version: &str, soql: &str, deleted: bool) -> String {
    let resource = if deleted { "queryAll" } else { "query" };
    format!("/services/data/{version}/{resource}?q={}", encode(soql))
}

/// Whether a statement is too long for an address.
pub(super) fn is_wide(version: &str, soql: &str, deleted: bool) -> bool {
    soql.len() * 3 > ADDRESS_MAX - 100 && query_path(version, soql, deleted).len() > ADDRESS_MAX
}

/// The first page of a query: a GET, or a Composite request when the address would be too long.
pub(super) fn query(
    operation: &'static str,
    version: &str,
    soql: &str,
    deleted: bool,
    page_size: u32,
) -> Call {
    let path = query_path(version, soql, deleted);
    let too_long = path.len() > ADDRESS_MAX;
    let call = with_page_size(Call::get(operation, API, path), page_size);
    if too_long { in_body(&call).unwrap_or(call) } else { call }
}

/// The same query as the only subrequest of a Composite request, whose body may be as long as a statement can be
/// (Composite Resource, REST API Developer Guide). It changes nothing and may be repeated. `None` for what is
/// not a first page.
pub(super) fn in_body(call: &Call) -> Option<Call> {
    let Target::Role { path, .. } = &call.target else { return None };
    let (front, _) =
        path.split_once("/query").filter(|_| call.method == Method::GET && path.contains("?q="))?;
    let headers: serde_json::Map<String, Json> = call
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), Json::from(value.to_str().ok()?))))
        .collect();
    let body = json!({
        "allOrNone": false,
        "compositeRequest": [{ "method": "GET", "url": path, "referenceId": ONLY, "httpHeaders": headers }]
    });
    let target = Target::Role { role: API, path: format!("{front}/composite") };
    Some(Call::new(call.operation, Method::POST, target).with_json(body.to_string()).read_only())
}

/// Whether a call is one that [`in_body`] made.
pub(super) fn is_in_body(call: &Call) -> bool {
    call.method == Method::POST
}

/// A page behind a next link: followed as a path on the same host, or as the whole address that it is, which
/// the auth layer refuses when it leads elsewhere.
///
/// # Errors
/// `ForeignHost` when the link is neither.
pub(super) fn next_page(link: &str, page_size: u32) -> Result<Call> {
    let target = address::next_link(API, link).map_err(|error| error.with_provider("salesforce"))?;
    Ok(with_page_size(Call::new("search", Method::GET, target), page_size))
}

fn with_page_size(call: Call, page_size: u32) -> Call {
    match HeaderValue::from_str(&format!("batchSize={page_size}")) {
        Ok(value) => call.with_header(HeaderName::from_static("sforce-query-options"), value),
        Err(_) => call,
    }
}

/// Creates rows; each is the text of a JSON object with `attributes` in front.
pub(super) fn create(version: &str, rows: &[String], switches: &WriteSwitches) -> Call {
    let path = format!("/services/data/{version}/composite/sobjects");
    write("create", Method::POST, path, rows, switches).idempotent(false)
}

/// Updates rows, each with its `id`.
pub(super) fn update(version: &str, rows: &[String], switches: &WriteSwitches) -> Call {
    let path = format!("/services/data/{version}/composite/sobjects");
    write("update", Method::PATCH, path, rows, switches).idempotent(true)
}

/// Creates or updates rows by a field that each carries. Only where the service keeps the field unique can a
/// repetition not create what a first request is still creating.
pub(super) fn upsert(
    version: &str,
    object: &str,
    (by, unique): (&str, bool),
    rows: &[String],
    switches: &WriteSwitches,
) -> Call {
    let path = format!("/services/data/{version}/composite/sobjects/{}/{}", encode(object), encode(by));
    write("upsert", Method::PATCH, path, rows, switches).idempotent(unique)
}

fn write(
    operation: &'static str,
    method: Method,
    path: String,
    rows: &[String],
    switches: &WriteSwitches,
) -> Call {
    let length: usize = rows.iter().map(|row| row.len() + 1).sum();
    let mut body = String::with_capacity(length + 64);
    let _ = write!(body, r#"{{"allOrNone":{},"records":["#, switches.all_or_none);
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(row);
    }
    body.push_str("]}");
    with_switches(Call::new(operation, method, Target::Role { role: API, path }).with_json(body), switches)
}

fn with_switches(call: Call, switches: &WriteSwitches) -> Call {
    switches.headers().fold(call, |call, (name, value)| match HeaderValue::from_str(value) {
        Ok(value) => call.with_header(HeaderName::from_static(name), value),
        Err(_) => call,
    })
}

/// Updates one row if it was not modified since an instant (an HTTP date). Not idempotent: a repetition would
/// be refused because of the first.
pub(super) fn update_unmodified(
    version: &str,
    object: &str,
    id: &str,
    row: &str,
    since: &str,
    switches: &WriteSwitches,
) -> Result<Call> {
    let path = format!("/services/data/{version}/sobjects/{}/{}", encode(object), encode(id));
    let since = HeaderValue::from_str(since)
        .map_err(|source| Error::bug("an HTTP date is no header value").with_source(source))?;
    let call = Call::new("update", Method::PATCH, Target::Role { role: API, path })
        .with_json(row.to_owned())
        .with_header(http::header::IF_UNMODIFIED_SINCE, since)
        .accepting(&[412])
        .idempotent(false);
    Ok(with_switches(call, switches))
}

/// One row of [`update_each_unmodified`].
#[derive(Debug, Clone)]
pub(super) struct Unmodified<'r> {
    pub(super) id: &'r str,
    /// An HTTP date.
    pub(super) since: &'r str,
    /// The fields as JSON text, which must not hold `@{`: Composite would read a reference.
    pub(super) body: &'r str,
}

/// Updates up to 25 rows, each if it was not modified since its own instant (REST API Developer Guide,
/// "Composite"). Not idempotent, as [`update_unmodified`].
pub(super) fn update_each_unmodified(
    version: &str,
    object: &str,
    rows: &[Unmodified<'_>],
    switches: &WriteSwitches,
) -> Call {
    let length: usize = rows.iter().map(|row| row.body.len() + 256).sum();
    let mut body = String::with_capacity(length + 64);
    body.push_str(r#"{"allOrNone":false,"compositeRequest":["#);
    for (at, row) in rows.iter().enumerate() {
        let url = format!("/services/data/{version}/sobjects/{}/{}", encode(object), encode(row.id));
        let mut headers = serde_json::Map::new();
        headers.insert("If-Unmodified-Since".to_owned(), row.since.into());
        headers.extend(switches.headers().map(|(name, value)| (name.to_owned(), value.into())));
        let _ = write!(
            body,
            r#"{}{{"method":"PATCH","url":{},"referenceId":"row{at}","httpHeaders":{},"body":{}}}"#,
            if at > 0 { "," } else { "" },
            serde_json::Value::from(url),
            serde_json::Value::Object(headers),
            row.body
        );
    }
    body.push_str("]}");
    let path = format!("/services/data/{version}/composite");
    Call::new("update", Method::POST, Target::Role { role: API, path }).with_json(body).idempotent(false)
}

/// Deletes rows by id.
pub(super) fn delete(version: &str, ids: &[&str], switches: &WriteSwitches) -> Call {
    let ids: Vec<String> = ids.iter().map(|id| encode(id)).collect();
    let path = format!(
        "/services/data/{version}/composite/sobjects?ids={}&allOrNone={}",
        ids.join(","),
        switches.all_or_none
    );
    Call::new("delete", Method::DELETE, Target::Role { role: API, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(call: &Call) -> &str {
        match &call.target {
            Target::Role { path, .. } => path,
            Target::Address(address) => address.as_str(),
        }
    }

    #[test]
    fn reserved_characters_are_encoded_in_segments_and_queries() {
        assert_eq!(
            path(&describe("v60.0", "A/b?c d")),
            "/services/data/v60.0/sobjects/A%2Fb%3Fc%20d/describe"
        );
        let call = query("search", "v60.0", "SELECT Id FROM A WHERE N = 'a+b&c=d%é#'", false, 2000);
        assert_eq!(
            path(&call),
            "/services/data/v60.0/query?q=SELECT%20Id%20FROM%20A%20WHERE%20N%20%3D%20%27a%2Bb%26c%3Dd%25%C3%A9%23%27"
        );
        assert_eq!(call.headers["sforce-query-options"], "batchSize=2000");
        assert!(path(&query("search", "v60.0", "SELECT Id FROM A", true, 200)).contains("/queryAll?q="));
        let call = upsert("v60.0", "Thing__c", ("Ext/__c", true), &[], &WriteSwitches::default());
        assert_eq!(path(&call), "/services/data/v60.0/composite/sobjects/Thing__c/Ext%2F__c");
    }

    #[test]
    fn writes_carry_their_rows_in_order_and_say_whether_they_may_be_repeated() {
        let rows = [
            r#"{"attributes":{"type":"A"},"N":1.50}"#.to_owned(),
            r#"{"attributes":{"type":"A"}}"#.to_owned(),
        ];
        let all = WriteSwitches {
            all_or_none: true,
            allow_duplicates: true,
            auto_assign: Some("FALSE".to_owned()),
        };
        let call = create("v60.0", &rows, &all);
        assert_eq!((path(&call), &call.method), ("/services/data/v60.0/composite/sobjects", &Method::POST));
        assert_eq!(
            call.body,
            r#"{"allOrNone":true,"records":[{"attributes":{"type":"A"},"N":1.50},{"attributes":{"type":"A"}}]}"#
        );
        assert_eq!(call.headers["sforce-duplicate-rule-header"], "allowSave=true");
        assert_eq!(call.headers["sforce-auto-assign"], "FALSE");
        assert!(!call.idempotent);
        assert!(update("v60.0", &rows, &WriteSwitches::default()).idempotent);
        assert!(
            !update("v60.0", &rows, &WriteSwitches::default())
                .headers
                .contains_key("sforce-duplicate-rule-header")
        );
        let call = delete("v60.0", &["001A", "001B"], &WriteSwitches::default());
        assert_eq!(path(&call), "/services/data/v60.0/composite/sobjects?ids=001A,001B&allOrNone=false");
        assert!(call.idempotent);
        let call = update_unmodified(
            "v60.0",
            "A",
            "0/1",
            "{}",
            "Thu, 01 Jan 2026 00:00:00 GMT",
            &WriteSwitches::default(),
        )
        .unwrap();
        assert_eq!(path(&call), "/services/data/v60.0/sobjects/A/0%2F1");
        assert!(!call.idempotent);
        let row = Unmodified { id: "001A", since: "Thu, 01 Jan 2026 00:00:00 GMT", body: r#"{"N":1.50}"# };
        let call = update_each_unmodified("v60.0", "A", &[row], &all);
        assert_eq!((path(&call), &call.method), ("/services/data/v60.0/composite", &Method::POST));
        assert_eq!(
            call.body,
            concat!(
                r#"{"allOrNone":false,"compositeRequest":[{"method":"PATCH","url":"/services/data/v60.0/sobjects/A/001A","#,
                r#""referenceId":"row0","httpHeaders":{"If-Unmodified-Since":"Thu, 01 Jan 2026 00:00:00 GMT","#,
                r#""sforce-duplicate-rule-header":"allowSave=true","sforce-auto-assign":"FALSE"},"body":{"N":1.50}}]}"#
            )
        );
        assert!(!call.idempotent);
        assert!(!upsert("v60.0", "A", ("E", false), &rows, &all).idempotent);
    }

    #[test]
    fn a_next_link_stays_a_path_and_everything_else_becomes_an_address_to_be_checked() {
        let call = next_page("/services/data/v60.0/query/01g-2000", 2000).unwrap();
        assert!(
            matches!(&call.target, Target::Role { role: API, path } if path == "/services/data/v60.0/query/01g-2000")
        );
        let call = next_page("https://evil.example/services/data", 2000).unwrap();
        assert!(
            matches!(&call.target, Target::Address(address) if address.host_str() == Some("evil.example"))
        );
        for link in [
            "",
            "query/01g",
            "//evil.example/x",
            "file:///etc/passwd",
            "/\\evil.example",
            "/a b",
            "/\r\nHost: evil",
        ] {
            assert!(next_page(link, 2000).is_err(), "{link:?}");
        }
    }
}
