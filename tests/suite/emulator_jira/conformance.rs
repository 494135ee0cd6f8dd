//! A walk through all that the emulator offers, for the judge of its answers.

use http::Method;
use serde_json::{Value, json};

use super::{Site, body, document, site, text};

impl Site {
    /// A request that succeeds, and its answer; null when that is no JSON.
    fn walk(&self, method: Method, what: &str, sent: &Value) -> Value {
        let reply = if sent.is_null() {
            self.send(method.clone(), &format!("/rest/api/3/{what}"), &[], "")
        } else {
            self.write(method.clone(), what, sent)
        };
        assert!(reply.status.is_success(), "{method} {what}: {} {}", reply.status, text(&reply));
        if reply.body.starts_with(b"{") || reply.body.starts_with(b"[") { body(&reply) } else { Value::Null }
    }

    fn look(&self, what: &str) -> Value {
        self.walk(Method::GET, what, &Value::Null)
    }

    fn drop(&self, what: &str) {
        self.walk(Method::DELETE, what, &Value::Null);
    }
}

#[test]
fn every_answer_is_as_the_openapi_document_has_it() {
    let site = site();
    metadata(&site);
    let key = site.bug(json!({
        "description": document("all"), "labels": ["a"],
        "timetracking": { "originalEstimate": "2h" },
    }));
    let other = site.bug(json!({}));
    reading(&site, &key);
    writing(&site, &key);
    hanging_on(&site, &key, &other);
    site.drop(&format!("issue/{other}?deleteSubtasks=true"));
    let report = site.service.report();
    report.assert_many(&report.answers);
}

fn metadata(site: &Site) {
    for what in [
        "field",
        "field/search",
        "issuetype",
        "status",
        "statuscategory",
        "priority",
        "resolution",
        "resolution/search",
        "issueLinkType",
        "label",
        "myself?expand=groups",
        "serverInfo",
        "user/search?query=a",
        "user/assignable/search?project=OPS",
        "users/search",
        "groups/picker?query=j",
        "project/search",
        "project/OPS",
        "project/OPS/versions",
        "project/OPS/version",
        "project/OPS/components",
        "project/OPS/component",
        "issue/createmeta/OPS/issuetypes",
        "jql/autocompletedata",
    ] {
        site.look(what);
    }
    let me = site.look("myself")["accountId"].clone();
    site.look(&format!("user?accountId={}", me.as_str().expect("an account").replace(':', "%3A")));
    for project in ["OPS", "WEB"] {
        let types = site.look(&format!("issue/createmeta/{project}/issuetypes"));
        for own in types["issueTypes"].as_array().expect("types") {
            let id = own["id"].as_str().expect("an id");
            site.look(&format!("issue/createmeta/{project}/issuetypes/{id}"));
        }
    }
}

fn reading(site: &Site, key: &str) {
    let expand =
        "renderedFields,names,schema,transitions,operations,editmeta,changelog,versionedRepresentations";
    site.look(&format!("issue/{key}?expand={expand}"));
    site.look(&format!("issue/{key}/editmeta"));
    site.look("search/jql?jql=project%20%3D%20OPS&fields=*all&maxResults=30");
    let first = site.walk(
        Method::POST,
        "search/jql",
        &json!({ "jql": "project in (OPS, WEB)", "fields": ["*all"], "expand": expand }),
    );
    let next = json!({ "jql": "project in (OPS, WEB)", "fields": ["*all"], "nextPageToken": first["nextPageToken"] });
    site.walk(Method::POST, "search/jql", &next);
    site.walk(Method::POST, "search/approximate-count", &json!({ "jql": "project = OPS" }));
    site.walk(
        Method::POST,
        "issue/bulkfetch",
        &json!({ "issueIdsOrKeys": [key, "OPS-9999"], "fields": ["*all"] }),
    );
}

fn writing(site: &Site, key: &str) {
    let issue = format!("issue/{key}");
    let row = json!({ "fields": super::bug(json!({})) });
    let bad = json!({ "fields": super::bug(json!({ "summary": "" })) });
    site.walk(Method::POST, "issue/bulk", &json!({ "issueUpdates": [row, bad] }));
    site.write(Method::POST, "issue/bulk", &json!({ "issueUpdates": [bad] }));
    site.write(Method::POST, "issue", &bad);
    site.walk(Method::PUT, &issue, &json!({ "fields": { "summary": "Other" } }));
    site.walk(
        Method::PUT,
        &format!("{issue}?returnIssue=true"),
        &json!({ "fields": { "summary": "Third" } }),
    );
    site.look(&format!("{issue}/transitions?expand=transitions.fields"));
    site.walk(Method::POST, &format!("{issue}/transitions"), &json!({ "transition": { "id": "11" } }));
    site.look(&format!("{issue}/transitions?expand=transitions.fields"));
    site.walk(Method::PUT, &format!("{issue}/assignee"), &json!({ "accountId": null }));
    site.look(&format!("{issue}/changelog"));
    site.get("issue/OPS-99999");
    site.get("search/jql?jql=nothing%20%3D%203");
}

fn hanging_on(site: &Site, key: &str, other: &str) {
    let issue = format!("issue/{key}");
    let work = json!({ "started": "2026-01-01T09:00:00.000+0000", "timeSpentSeconds": 3600 });
    for (list, sent) in [("comment", json!({ "body": document("hi") })), ("worklog", work)] {
        let made = site.walk(Method::POST, &format!("{issue}/{list}"), &sent);
        let one = format!("{issue}/{list}/{}", made["id"].as_str().expect("an id"));
        site.look(&format!("{issue}/{list}"));
        site.look(&one);
        site.walk(Method::PUT, &one, &sent);
        site.look(&format!("{issue}?fields=*all"));
        site.drop(&one);
    }
    let property = format!("{issue}/properties/marker");
    site.walk(Method::PUT, &property, &json!({ "run": 1 }));
    site.look(&format!("{issue}/properties"));
    site.look(&property);
    site.drop(&property);
    let me = site.look("myself")["accountId"].clone();
    site.walk(Method::POST, &format!("{issue}/watchers"), &me);
    site.look(&format!("{issue}/watchers"));
    site.look(&format!("{issue}/votes"));
    let link = json!({ "type": { "name": "Blocks" }, "inwardIssue": { "key": key }, "outwardIssue": { "key": other } });
    site.walk(Method::POST, "issueLink", &link);
    let links = site.field(key, "issuelinks");
    let link = format!("issueLink/{}", links[0]["id"].as_str().expect("an id"));
    site.look(&link);
    site.drop(&link);
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=b"), ("x-atlassian-token", "no-check")];
    let reply = site.send(Method::POST, &format!("/rest/api/3/{issue}/attachments"), &kind, form);
    assert_eq!(reply.status.as_u16(), 200, "{}", text(&reply));
    let id = body(&reply)[0]["id"].as_str().expect("an id").to_owned();
    site.look(&format!("attachment/{id}"));
    site.look(&format!("attachment/content/{id}?redirect=false"));
    site.drop(&format!("attachment/{id}"));
}
