//! One function per remote call: what goes over the wire, as data.
//!
//! Source: "The Jira Cloud platform REST API" (version 3). Everything that a user or a record can put into an
//! address is percent-encoded.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use super::site::Door;
use crate::error::{Error, Result};
use crate::http::{Call, Target, Upload};

/// Role of the host that leads to every site.
pub(super) const GATEWAY: &str = "api";
/// Role of the site's own host.
pub(super) const SITE: &str = "site";
/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one segment of a path or one query value.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A resource with its query; values are encoded here.
pub(super) fn with_query(resource: &str, query: &[(&str, &str)]) -> String {
    let mut out = resource.to_owned();
    for (at, (name, value)) in query.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

/// A call of the REST API on a resource such as `issue/OPS-1?fields=summary`.
pub(super) fn call(operation: &'static str, door: &Door, method: Method, resource: &str) -> Call {
    let path = format!("{}/rest/api/3/{resource}", door.front);
    Call::new(operation, method, Target::Role { role: door.role, path })
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
}

/// Reads a resource.
pub(super) fn get(operation: &'static str, door: &Door, resource: &str) -> Call {
    call(operation, door, Method::GET, resource)
}

/// A POST that only asks.
fn ask(operation: &'static str, door: &Door, resource: &str, body: &Json) -> Call {
    call(operation, door, Method::POST, resource).with_json(body.to_string()).read_only()
}

/// Sites that an OAuth token leads to.
pub(super) fn accessible_resources() -> Call {
    Call::get("sites", GATEWAY, "/oauth/token/accessible-resources")
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
}

/// The cloud id of the site at its own address, which everybody may know.
pub(super) fn tenant() -> Call {
    let mut call = Call::get("sites", SITE, "/_edge/tenant_info");
    call.authorize = false;
    call
}

/// What kind of Jira stands at an address; answered without authorisation, by all versions.
pub(super) fn server_info(role: &'static str) -> Call {
    let mut call = Call::get("probe", role, "/rest/api/2/serverInfo");
    call.authorize = false;
    call
}

/// Who the token belongs to.
pub(super) fn myself(door: &Door) -> Call {
    get("probe", door, "myself")
}

/// Every field of the site.
pub(super) fn fields(door: &Door) -> Call {
    get("describe", door, "field")
}

/// A page of the projects that the user sees, with their issue types.
pub(super) fn projects(
    operation: &'static str,
    door: &Door,
    search: Option<&str>,
    start: u64,
    size: u64,
) -> Call {
    let (start, size) = (start.to_string(), size.to_string());
    let mut query = vec![("startAt", start.as_str()), ("maxResults", &size), ("expand", "issueTypes")];
    query.extend(search.map(|text| ("query", text)));
    get(operation, door, &with_query("project/search", &query))
}

/// A page of the issue types that can be created in a project.
pub(super) fn issue_types(door: &Door, project: &str, start: u64) -> Call {
    let resource = format!("issue/createmeta/{}/issuetypes", encode(project));
    let start = start.to_string();
    get("describe", door, &with_query(&resource, &[("startAt", &start), ("maxResults", "200")]))
}

/// A page of the fields of the create screen of an issue type in a project.
pub(super) fn create_fields(door: &Door, project: &str, issue_type: &str, start: u64) -> Call {
    let resource = format!("issue/createmeta/{}/issuetypes/{}", encode(project), encode(issue_type));
    let start = start.to_string();
    get("describe", door, &with_query(&resource, &[("startAt", &start), ("maxResults", "200")]))
}

/// One page of a query. The API knows exactly these members.
pub(super) fn search(
    operation: &'static str,
    door: &Door,
    jql: &str,
    fields: &[String],
    size: u32,
    token: Option<&str>,
) -> Call {
    let mut body = json!({ "jql": jql, "fields": fields, "maxResults": size });
    if let Some(token) = token {
        body["nextPageToken"] = Json::from(token);
    }
    ask(operation, door, "search/jql", &body)
}

/// One issue that fulfils a condition, with what can be edited of it.
pub(super) fn sample(door: &Door, jql: &str) -> Call {
    let body = json!({ "jql": jql, "fields": ["id"], "maxResults": 1, "expand": "editmeta" });
    ask("describe", door, "search/jql", &body)
}

/// Issues by ids or keys, at most 100.
pub(super) fn bulk_fetch(door: &Door, keys: &[String], fields: &[String]) -> Call {
    ask("get", door, "issue/bulkfetch", &json!({ "issueIdsOrKeys": keys, "fields": fields }))
}

/// One issue by id or by a key, also one that it had before it was moved.
pub(super) fn issue(door: &Door, key: &str, fields: &[String]) -> Call {
    let fields = fields.join(",");
    get("get", door, &with_query(&format!("issue/{}", encode(key)), &[("fields", &fields)]))
}

/// Creates issues, at most 50, each for itself. When none could be, the answer is a 400 that says why of each.
pub(super) fn create(door: &Door, issues: &[String]) -> Call {
    let body = format!("{{\"issueUpdates\":[{}]}}", issues.join(","));
    call("create", door, Method::POST, "issue/bulk").with_json(body).accepting(&[400])
}

/// Changes an issue.
pub(super) fn edit(door: &Door, id: &str, switches: &[(&str, String)], body: String) -> Call {
    let switches: Vec<(&str, &str)> = switches.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let resource = with_query(&format!("issue/{}", encode(id)), &switches);
    call("update", door, Method::PUT, &resource).with_json(body)
}

/// The steps that an issue can take from where it is, with the fields of their screens.
pub(super) fn transitions(door: &Door, id: &str) -> Call {
    get("update", door, &format!("issue/{}/transitions?expand=transitions.fields", encode(id)))
}

/// Takes a step.
pub(super) fn transition(door: &Door, id: &str, body: String) -> Call {
    call("update", door, Method::POST, &format!("issue/{}/transitions", encode(id))).with_json(body)
}

/// Deletes an issue.
pub(super) fn delete(door: &Door, id: &str, subtasks: bool) -> Call {
    let subtasks = subtasks.to_string();
    let resource = with_query(&format!("issue/{}", encode(id)), &[("deleteSubtasks", &subtasks)]);
    call("delete", door, Method::DELETE, &resource)
}

/// What the site says of attachments.
pub(super) fn attachment_settings(door: &Door) -> Call {
    get("content put", door, "attachment/meta")
}

/// Where the bytes of an attachment are, without a way over another host.
pub(super) fn attachment_content(id: &str) -> String {
    with_query(&format!("attachment/content/{}", encode(id)), &[("redirect", "false")])
}

/// Adds the file of a form to an issue. Without its header Jira takes the request for one that a web page forged.
///
/// # Errors
/// A bug for a media type that no header can carry.
pub(super) fn attach(door: &Door, id: &str, form: Upload, media_type: &str) -> Result<Call> {
    let kind = HeaderValue::from_str(media_type)
        .map_err(|source| Error::bug("the media type of a form is no header").with_source(source))?;
    Ok(call("content put", door, Method::POST, &format!("issue/{}/attachments", encode(id)))
        .with_header(CONTENT_TYPE, kind)
        .with_header(HeaderName::from_static("x-atlassian-token"), HeaderValue::from_static("no-check"))
        .with_upload(form))
}

/// Issues that a query finds, each with its key and one property.
pub(super) fn marked(door: &Door, jql: &str, property: &str, token: Option<&str>) -> Call {
    let mut body = json!({ "jql": jql, "fields": ["issuekey"], "properties": [property], "maxResults": 100 });
    if let Some(token) = token {
        body["nextPageToken"] = Json::from(token);
    }
    ask("settle", door, "search/jql", &body)
}

/// Issues by their keys, each with one property.
pub(super) fn marked_keys(door: &Door, keys: &[String], property: &str) -> Call {
    let body = json!({ "issueIdsOrKeys": keys, "fields": ["issuekey"], "properties": [property] });
    ask("settle", door, "issue/bulkfetch", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door { role: GATEWAY, front: "/ex/jira/1".to_owned() }
    }

    fn path_of(call: &Call) -> &str {
        match &call.target {
            Target::Role { path, .. } => path,
            Target::Address(address) => address.as_str(),
        }
    }

    #[test]
    fn what_users_write_cannot_leave_its_place_in_an_address() {
        let call = issue(&door(), "OPS-1/../../x?y#z", &["summary".to_owned()]);
        assert_eq!(path_of(&call), "/ex/jira/1/rest/api/3/issue/OPS-1%2F..%2F..%2Fx%3Fy%23z?fields=summary");
        let call = projects("types", &door(), Some("a&b=c"), 50, 50);
        assert!(path_of(&call).ends_with("startAt=50&maxResults=50&expand=issueTypes&query=a%26b%3Dc"));
    }

    #[test]
    fn a_query_only_asks_and_has_the_members_that_the_service_knows() {
        let call = search("search", &door(), "project = OPS", &["summary".to_owned()], 100, Some("t"));
        assert!(call.read_only && call.idempotent);
        let body: Json = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(
            body,
            json!({"jql": "project = OPS", "fields": ["summary"], "maxResults": 100, "nextPageToken": "t"})
        );
        assert!(!search("search", &door(), "", &[], 1, None).body.windows(4).any(|part| part == b"Page"));
    }
}
