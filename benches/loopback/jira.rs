//! Issues as Jira sends them, made up from their number, and what describes them.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

/// The address of the search.
pub(crate) const SEARCH: &str = "/ex/jira/00000000-0000-4000-8000-000000000001/rest/api/3/search/jql";
/// The site's calls stand behind this.
const FRONT: &str = "/ex/jira/00000000-0000-4000-8000-000000000001/rest/api/3/";
const CUSTOM: &str = "com.atlassian.jira.plugin.system.customfieldtypes:";

/// What a small request is answered with; `None` for what does not belong to Jira.
pub(crate) fn answer(address: &str, path: &str) -> Option<Value> {
    if path == "/oauth/token/accessible-resources" {
        let id = "00000000-0000-4000-8000-000000000001";
        return Some(json!([{ "id": id, "url": address, "name": "bench", "scopes": ["read:jira-work"] }]));
    }
    Some(match path.strip_prefix(FRONT)? {
        "myself" => json!({ "accountId": "712020:0", "displayName": "Bench", "timeZone": "Etc/UTC" }),
        "field" => fields(),
        "status" | "issuetype" => {
            json!([{ "id": "10000", "name": "To Do" }, { "id": "10001", "name": "Done" }])
        }
        _ => json!({ "values": [], "isLast": true, "startAt": 0, "maxResults": 50, "total": 0 }),
    })
}

fn fields() -> Value {
    let system = [
        ("issuekey", ""),
        ("summary", "string"),
        ("description", "string"),
        ("issuetype", "issuetype"),
        ("project", "project"),
        ("status", "status"),
        ("priority", "priority"),
        ("resolution", "resolution"),
        ("assignee", "user"),
        ("reporter", "user"),
        ("created", "datetime"),
        ("updated", "datetime"),
        ("duedate", "date"),
    ];
    let custom =
        [("number", "float"), ("option", "select"), ("string", "textfield"), ("datetime", "datetime")];
    let field = |id: &str, name: &str, custom: bool, clause: &str, schema: Value| {
        json!({
            "id": id, "key": id, "name": name, "custom": custom, "orderable": true, "navigable": true,
            "searchable": true, "clauseNames": [clause], "schema": schema,
        })
    };
    let mut all: Vec<Value> = system
        .iter()
        .map(|(id, kind)| {
            let schema = if kind.is_empty() { Value::Null } else { json!({ "type": kind, "system": id }) };
            field(id, id, false, id, schema)
        })
        .collect();
    all.push(field(
        "labels",
        "Labels",
        false,
        "labels",
        json!({ "type": "array", "items": "string", "system": "labels" }),
    ));
    all.extend(custom.iter().zip(10_010_u64..).map(|((kind, plugin), number)| {
        let schema = json!({ "type": kind, "custom": format!("{CUSTOM}{plugin}"), "customId": number });
        field(&format!("customfield_{number}"), plugin, true, &format!("cf[{number}]"), schema)
    }));
    Value::Array(all)
}

fn issue(out: &mut String, n: usize) {
    let spread = n.wrapping_mul(2_654_435_761) % 1_000_003;
    let city = ["Hamburg", "São Paulo", "Springfield", "Malmö", "Leeds", "Kraków"][n % 6];
    let assignee = if n.is_multiple_of(4) { "null".to_owned() } else { person(n % 12) };
    let reporter = person(n % 7);
    let site = "https://bench.example/rest/api/3";
    let _ = write!(
        out,
        concat!(
            r#"{{"expand":"operations,versionedRepresentations,editmeta,changelog,renderedFields","id":"{id}","#,
            r#""self":"{site}/issue/{id}","key":"OPS-{n}","fields":{{"summary":"Lift \"{spread}\" in {city} is out of order","#,
            r#""description":{{"type":"doc","version":1,"content":[{{"type":"paragraph","content":[{{"type":"text","text":"#,
            r#""The lift stopped at floor {floor}; a technician of {city} is waiting, see ticket {spread}."}}]}}]}},"#,
            r#""issuetype":{{"self":"{site}/issuetype/10003","id":"10003","description":"A problem.","#,
            r#""iconUrl":"https://bench.example/images/bug.svg","name":"Bug","subtask":false,"avatarId":10303,"hierarchyLevel":0}},"#,
            r#""project":{{"self":"{site}/project/10000","id":"10000","key":"OPS","name":"Operations","projectTypeKey":"software","#,
            r#""simplified":false,"avatarUrls":{{"48x48":"https://bench.example/a/48","24x24":"https://bench.example/a/24"}}}},"#,
            r#""status":{{"self":"{site}/status/10000","description":"","iconUrl":"https://bench.example/s.png","name":"To Do","#,
            r#""id":"10000","statusCategory":{{"self":"{site}/statuscategory/2","id":2,"key":"new","colorName":"blue-gray","#,
            r#""name":"To Do"}}}},"priority":{{"self":"{site}/priority/3","iconUrl":"https://bench.example/p.svg","name":"Medium","#,
            r#""id":"3"}},"resolution":null,"assignee":{assignee},"reporter":{reporter},"#,
            r#""created":"2025-03-17T16:21:{second}.{milli:03}-0300","updated":"2026-01-02T08:05:{second}.{milli:03}-0300","#,
            r#""duedate":"2026-02-{day:02}","labels":["lift","{city}"],"customfield_10010":{floor}.5,"#,
            r#""customfield_10011":{{"self":"{site}/customFieldOption/1002{choice}","value":"Major","id":"1002{choice}"}},"#,
            r#""customfield_10012":"RC-{spread:07}","customfield_10013":null}}}}"#,
        ),
        id = 10_000 + n,
        n = n,
        site = site,
        spread = spread,
        city = city,
        floor = spread % 40,
        assignee = assignee,
        reporter = reporter,
        second = spread % 50 + 10,
        milli = spread % 1_000,
        day = spread % 28 + 1,
        choice = spread % 5,
    );
}

fn person(n: usize) -> String {
    format!(
        concat!(
            r#"{{"self":"https://bench.example/rest/api/3/user?accountId=712020%3A{n:032}","accountId":"712020:{n:032}","#,
            r#""emailAddress":"user{n}@bench.example","avatarUrls":{{"48x48":"https://bench.example/u/{n}/48","#,
            r#""24x24":"https://bench.example/u/{n}/24","16x16":"https://bench.example/u/{n}/16"}},"#,
            r#""displayName":"User Number {n}","active":true,"timeZone":"America/Sao_Paulo","accountType":"atlassian"}}"#,
        ),
        n = n,
    )
}

/// The issues of pages: everything between head and end.
pub(crate) fn bodies(issues: usize, page: usize) -> Vec<Bytes> {
    super::server::bodies(issues, page, "\"issues\":[", issue)
}

/// What stands before the issues of the page that begins at one.
pub(crate) fn head(issues: usize, page: usize, first: usize) -> Bytes {
    let next = first + page;
    Bytes::from(if next < issues {
        format!(r#"{{"isLast":false,"nextPageToken":"{next}","#)
    } else {
        r#"{"isLast":true,"#.to_owned()
    })
}

/// What asks for a page: the search's body.
pub(crate) fn wanted(token: Option<&str>) -> Value {
    json!({ "jql": "project is not EMPTY", "fields": ["*all"], "maxResults": 100, "nextPageToken": token })
}

/// The issue that the page of a search begins at.
pub(crate) fn first_of(body: &[u8]) -> usize {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["nextPageToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or_default()
}
