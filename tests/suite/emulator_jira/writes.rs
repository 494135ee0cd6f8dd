//! Creating, changing and deleting, with all that hangs on an issue.

use http::{Method, StatusCode};
use recordport::emulator::service::{Request, Service};
use serde_json::{Value, json};

use super::{ORIGIN, body, bug, document, header, site, text};

#[test]
fn a_create_tells_all_that_is_wrong_by_field() {
    let site = site();
    let refused = |fields: Value| {
        let reply = site.write(Method::POST, "issue", &json!({ "fields": fields }));
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", text(&reply));
        body(&reply)["errors"].clone()
    };
    assert_eq!(refused(json!({ "summary": "x" })), json!({ "project": "Specify a valid project ID or key" }));
    assert_eq!(
        refused(json!({ "project": { "key": "OPS" } })),
        json!({ "issuetype": "Specify an issue type" })
    );
    let wrong = bug(json!({
        "description": "plain",
        "customfield_10010": 3,
        "customfield_10022": { "value": "Nowhere" },
        "labels": ["two words"],
        "customfield_10021": { "value": "Network" },
    }));
    let errors = refused(wrong);
    assert_eq!(
        errors["description"],
        "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
    );
    assert_eq!(
        errors["customfield_10010"],
        "Field 'customfield_10010' cannot be set. It is not on the appropriate screen, or unknown."
    );
    assert_eq!(
        errors["customfield_10022"],
        "Could not find valid 'id' or 'value' in the Parent Option object."
    );
    assert_eq!(errors["labels"], "The label 'two words' contains spaces which is invalid.");
    assert_eq!(errors["customfield_10021"], "data was not an array");
    let missing = refused(json!({ "project": { "key": "OPS" }, "issuetype": { "name": "Bug" } }));
    assert_eq!(missing.as_object().map(serde_json::Map::len), Some(2), "{missing}");
}

#[test]
fn a_bulk_create_answers_for_each_element() {
    let site = site();
    let good = json!({ "fields": bug(json!({})) });
    let bad = json!({ "fields": bug(json!({ "summary": "" })) });
    let reply = site.write(Method::POST, "issue/bulk", &json!({ "issueUpdates": [good, bad, good] }));
    assert_eq!(reply.status, StatusCode::CREATED);
    let answer = body(&reply);
    assert_eq!(answer["issues"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["errors"][0]["failedElementNumber"], 1);
    assert_eq!(answer["errors"][0]["status"], 400);
    let none = site.write(Method::POST, "issue/bulk", &json!({ "issueUpdates": [bad] }));
    assert_eq!((none.status.as_u16(), body(&none)["issues"].clone()), (400, json!([])));
    let many = site.write(Method::POST, "issue/bulk", &json!({ "issueUpdates": vec![good.clone(); 51] }));
    assert_eq!(many.status, StatusCode::BAD_REQUEST);
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", site.authorization.parse().expect("a header"));
    headers.insert("content-type", "application/json".parse().expect("a header"));
    let request = Request {
        method: Method::POST,
        path: "/rest/api/3/issue/bulk".to_owned(),
        query: String::new(),
        headers,
        body: json!({ "issueUpdates": [good, good, good] }).to_string().into(),
        origin: ORIGIN.to_owned(),
        now: site.clock.now(),
    };
    let partial = site.service.partial(&request, 2).expect("a batch write");
    assert_eq!(body(&partial)["errors"][0]["failedElementNumber"], 1);
}

#[test]
fn fields_replace_and_verbs_add_and_remove_and_the_changelog_tells() {
    let site = site();
    let key = site.bug(json!({ "labels": ["a", "b"] }));
    let edit = |body: Value| site.write(Method::PUT, &format!("issue/{key}"), &body);
    let reply = edit(json!({
        "fields": { "summary": "New" },
        "update": { "labels": [{ "add": "c" }, { "remove": "a" }], "comment": [{ "add": { "body": document("hi") } }] },
    }));
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", text(&reply));
    assert!(header(&reply, "content-type").starts_with("application/json"));
    assert_eq!(site.field(&key, "labels"), json!(["b", "c"]));
    assert_eq!(site.field(&key, "comment")["total"], 1);
    let items = site.json(&format!("issue/{key}/changelog"))["values"][0]["items"].clone();
    let summary =
        items.as_array().expect("items").iter().find(|own| own["field"] == "summary").expect("a summary");
    assert_eq!((&summary["fromString"], &summary["toString"]), (&json!("Printer on fire"), &json!("New")));
    let both = edit(json!({ "fields": { "labels": [] }, "update": { "labels": [{ "add": "x" }] } }));
    assert_eq!(both.status, StatusCode::BAD_REQUEST);
    assert_eq!(edit(json!({ "fields": { "status": { "name": "Done" } } })).status, StatusCode::BAD_REQUEST);
    assert_eq!(edit(json!({ "fields": { "customfield_10020": null } })).status, StatusCode::BAD_REQUEST);
    assert_eq!(edit(json!({ "fields": { "labels": [] } })).status, StatusCode::NO_CONTENT);
    assert_eq!(site.field(&key, "labels"), json!([]));
    let returned = site.write(
        Method::PUT,
        &format!("issue/{key}?returnIssue=true"),
        &json!({ "fields": { "summary": "Z" } }),
    );
    assert_eq!(body(&returned)["fields"]["summary"], "Z");
}

#[test]
fn a_transition_goes_only_where_the_workflow_leads_and_with_what_it_requires() {
    let site = site();
    let key = site.bug(json!({}));
    let go = |body: Value| site.write(Method::POST, &format!("issue/{key}/transitions"), &body);
    let open = site.json(&format!("issue/{key}/transitions"));
    assert_eq!(open["transitions"].as_array().map(Vec::len), Some(1));
    assert_eq!(go(json!({ "transition": { "id": "31" } })).status, StatusCode::BAD_REQUEST);
    assert_eq!(go(json!({ "transition": { "id": "11" } })).status, StatusCode::NO_CONTENT);
    let open = site.json(&format!("issue/{key}/transitions?expand=transitions.fields"));
    let resolve =
        open["transitions"].as_array().expect("steps").iter().find(|own| own["id"] == "31").expect("a step");
    assert_eq!(resolve["fields"]["resolution"]["required"], true);
    let refused = go(json!({ "transition": { "id": "31" } }));
    assert_eq!(body(&refused)["errors"], json!({ "resolution": "Resolution is required." }));
    let done =
        go(json!({ "transition": { "id": "31" }, "fields": { "resolution": { "name": "Won't Do" } } }));
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", text(&done));
    assert_eq!(site.field(&key, "status")["name"], "Done");
    assert_eq!(site.field(&key, "resolution")["name"], "Won't Do");
    assert!(site.field(&key, "resolutiondate").is_string());
    assert_eq!(go(json!({ "transition": { "id": "51" } })).status, StatusCode::NO_CONTENT);
    assert_eq!(site.field(&key, "resolution"), Value::Null);
}

#[test]
fn subtasks_hold_a_delete_back_until_it_says_so() {
    let site = site();
    let key = site.bug(json!({}));
    let child = json!({ "fields": {
        "project": { "key": "OPS" }, "issuetype": { "name": "Sub-task" }, "summary": "part", "parent": { "key": key },
    } });
    let child = body(&site.write(Method::POST, "issue", &child))["key"].as_str().expect("a key").to_owned();
    assert_eq!(site.field(&key, "subtasks")[0]["key"], child);
    assert_eq!(site.field(&child, "parent")["key"], key);
    let delete = |what: &str| site.send(Method::DELETE, &format!("/rest/api/3/issue/{what}"), &[], "").status;
    assert_eq!(delete(&key), StatusCode::BAD_REQUEST);
    assert_eq!(delete(&format!("{key}?deleteSubtasks=true")), StatusCode::NO_CONTENT);
    assert_eq!(site.get(&format!("issue/{child}")).status, StatusCode::NOT_FOUND);
    assert_eq!(delete(&key), StatusCode::NOT_FOUND);
    let seeded = site.keys("issuetype = Sub-task")[0].clone();
    let parent = site.field(&seeded, "parent")["key"].as_str().expect("a parent").to_owned();
    assert_eq!(delete(&parent), StatusCode::BAD_REQUEST);
}

#[test]
fn comments_work_properties_watchers_and_links_hang_on_issues() {
    let site = site();
    let (key, other) =
        (site.bug(json!({ "timetracking": { "originalEstimate": "2h" } })), site.bug(json!({})));
    let comment =
        site.write(Method::POST, &format!("issue/{key}/comment"), &json!({ "body": document("one") }));
    assert_eq!(comment.status, StatusCode::CREATED);
    let address = header(&comment, "location").replace(&format!("{ORIGIN}/rest/api/3/"), "");
    assert_eq!(site.write(Method::PUT, &address, &json!({ "body": document("two") })).status, StatusCode::OK);
    assert_eq!(site.json(&address)["body"], document("two"));
    let plain = site.write(Method::POST, &format!("issue/{key}/comment"), &json!({ "body": "text" }));
    assert_eq!(plain.status, StatusCode::BAD_REQUEST);

    let work = json!({ "started": "2026-01-01T09:00:00.000+0000", "timeSpentSeconds": 3600 });
    assert_eq!(site.write(Method::POST, &format!("issue/{key}/worklog"), &work).status, StatusCode::CREATED);
    let tracked = site.field(&key, "timetracking");
    assert_eq!((&tracked["timeSpent"], &tracked["remainingEstimateSeconds"]), (&json!("1h"), &json!(3600)));

    let property = format!("issue/{key}/properties/marker");
    assert_eq!(site.write(Method::PUT, &property, &json!({ "run": 1 })).status, StatusCode::CREATED);
    assert_eq!(site.write(Method::PUT, &property, &json!({ "run": 2 })).status, StatusCode::OK);
    assert_eq!(site.json(&property), json!({ "key": "marker", "value": { "run": 2 } }));
    assert_eq!(site.keys("issue.property[marker].run = 2"), std::slice::from_ref(&key));

    let link = json!({
        "type": { "name": "Blocks" }, "inwardIssue": { "key": key }, "outwardIssue": { "key": other },
    });
    assert_eq!(site.write(Method::POST, "issueLink", &link).status, StatusCode::CREATED);
    let linked = site.field(&key, "issuelinks");
    assert_eq!(linked[0]["outwardIssue"]["key"], other);
    let id = linked[0]["id"].as_str().expect("an id");
    assert_eq!(site.keys(&format!("issue in linkedIssues({key})")), [other]);
    let gone = site.send(Method::DELETE, &format!("/rest/api/3/issueLink/{id}"), &[], "");
    assert_eq!((gone.status, site.field(&key, "issuelinks")), (StatusCode::NO_CONTENT, json!([])));

    let person = site.json("users/search")[2]["accountId"].clone();
    assert_eq!(
        site.write(Method::POST, &format!("issue/{key}/watchers"), &person).status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(site.field(&key, "watches")["watchCount"], 2);
    let assigned = site.write(Method::PUT, &format!("issue/{key}/assignee"), &json!({ "accountId": person }));
    assert_eq!(assigned.status, StatusCode::NO_CONTENT);
    assert_eq!(site.field(&key, "assignee")["accountId"], person);
}

#[test]
fn a_file_is_attached_only_with_the_token_header_and_comes_back_whole() {
    let site = site();
    let key = site.bug(json!({}));
    let content = "line\r\n--not-the-boundary\r\n\r\nend";
    let body_text = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
         {content}\r\n--xyz--\r\n"
    );
    let kind = ("content-type", "multipart/form-data; boundary=xyz");
    let address = format!("/rest/api/3/issue/{key}/attachments");
    assert_eq!(site.send(Method::POST, &address, &[kind], &body_text).status, StatusCode::FORBIDDEN);
    let headers = [kind, ("x-atlassian-token", "no-check")];
    let added = body(&site.send(Method::POST, &address, &headers, &body_text));
    assert_eq!((&added[0]["filename"], &added[0]["size"]), (&json!("a.txt"), &json!(content.len())));
    let id = added[0]["id"].as_str().expect("ids are texts");
    let moved = site.get(&format!("attachment/content/{id}"));
    assert_eq!(moved.status, StatusCode::SEE_OTHER);
    let file = site.get(&format!("attachment/content/{id}?redirect=false"));
    assert_eq!((text(&file).as_str(), header(&file, "content-type").as_str()), (content, "text/plain"));
    assert_eq!(site.field(&key, "attachment")[0]["id"], id);
}

#[test]
fn a_reset_brings_back_what_was_there_at_the_start() {
    let site = site();
    let before = site.service.state("issue").expect("issues");
    let key = site.bug(json!({}));
    site.send(Method::DELETE, "/rest/api/3/issue/WEB-3", &[], "");
    assert_ne!(site.service.state("issue").expect("issues"), before);
    site.service.reset();
    assert_eq!(site.service.state("issue").expect("issues"), before);
    assert_eq!(site.get(&format!("issue/{key}")).status, StatusCode::NOT_FOUND);
}
