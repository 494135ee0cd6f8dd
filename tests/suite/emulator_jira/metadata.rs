//! Fields, forms and issues as they are read.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use recordport::emulator::service::Service;
use serde_json::{Value, json};

use super::{body, document, site, text};

fn names<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().filter_map(|own| own[name].as_str()).collect()
}

#[test]
fn fields_have_names_that_repeat_keys_of_apps_and_sometimes_no_schema() {
    let fields = site().json("field");
    let find = |id: &str| {
        let found = fields.as_array().expect("fields").iter().find(|own| own["id"] == id);
        found.unwrap_or_else(|| panic!("no {id}")).clone()
    };
    assert_eq!(names(&fields, "name").iter().filter(|name| **name == "Impact").count(), 2);
    assert_eq!(find("customfield_10041")["key"], "com.example.health__score");
    for id in ["parent", "issuekey", "thumbnail"] {
        assert_eq!(find(id).get("schema"), None, "{id}");
    }
    assert_eq!(find("customfield_10022")["schema"]["type"], "option-with-child");
    assert_eq!(find("customfield_10022")["clauseNames"][0], "cf[10022]");
}

#[test]
fn projects_have_different_screens_and_forms_come_in_pages() {
    let site = site();
    let types = site.json("issue/createmeta/OPS/issuetypes");
    assert_eq!(names(&types["issueTypes"], "name"), ["Bug", "Task", "Sub-task"]);
    let form =
        |project: &str| site.json(&format!("issue/createmeta/{project}/issuetypes/10003?maxResults=200"));
    let required = |form: &Value| -> BTreeSet<String> {
        let fields = form["fields"].as_array().expect("fields").iter();
        let required = fields.filter(|own| own["required"] == true);
        required.map(|own| own["fieldId"].as_str().expect("an id").to_owned()).collect()
    };
    let (ops, web) = (form("OPS"), form("WEB"));
    let set = |list: &[&str]| list.iter().map(|own| (*own).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(required(&ops), set(&["summary", "issuetype", "project", "customfield_10020"]));
    assert_eq!(required(&web), set(&["summary", "issuetype", "project", "versions"]));
    let page = site.json("issue/createmeta/OPS/issuetypes/10003?startAt=2&maxResults=3");
    assert_eq!(page["fields"], json!(&ops["fields"].as_array().expect("fields")[2..5]));
    let refused = site.get("issue/createmeta/OPS/issuetypes?maxResults=201");
    assert_eq!(body(&refused)["errorMessages"][0], "Parameter 'maxResults' must not exceed the limit '200'");
    let missing = site.get("issue/createmeta/NOPE/issuetypes");
    assert_eq!(body(&missing)["errorMessages"][0], "No project could be found with key 'NOPE'.");
}

#[test]
fn a_changed_screen_shows_in_the_form_and_in_writes() {
    let site = site();
    let change = json!({ "project": "OPS", "issue_type": "Bug", "field": "duedate", "required": true });
    let reply = site.send(Method::POST, "/_emulator/jira/screens", &[], &change.to_string());
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", text(&reply));
    let refused = site.write(Method::POST, "issue", &json!({ "fields": super::bug(json!({})) }));
    assert_eq!(body(&refused)["errors"], json!({ "duedate": "Due date is required." }));
}

#[test]
fn a_form_filled_with_every_kind_of_field_creates_an_issue_that_reads_the_same() {
    let site = site();
    let person = site.json("users/search")[1]["accountId"].clone();
    let written = json!({
        "customfield_10021": [{ "value": "Network" }, { "value": "Billing" }],
        "customfield_10022": { "value": "Europe", "child": { "value": "Oslo" } },
        "customfield_10023": { "value": "Everybody" },
        "customfield_10025": { "accountId": person },
        "customfield_10026": [{ "accountId": person }],
        "customfield_10027": "2026-03-05T14:39:00.000+0100",
        "customfield_10028": "2026-04-01",
        "customfield_10029": 12.5,
        "customfield_10030": "R-1",
        "customfield_10031": document("why"),
        "customfield_10032": "https://docs.example/x",
        "customfield_10033": ["one", "two"],
        "customfield_10034": { "name": "operations" },
        "customfield_10035": [{ "name": "support" }],
        "customfield_10036": { "name": "1.0" },
        "customfield_10038": { "key": "WEB" },
        "components": [{ "name": "API" }],
        "timetracking": { "originalEstimate": "1d 2h" },
        "description": document("It burns."),
    });
    let key = site.bug(written.clone());
    let issue = site.json(&format!("issue/{key}"));
    let fields = &issue["fields"];
    for id in
        ["customfield_10028", "customfield_10029", "customfield_10030", "customfield_10031", "description"]
    {
        assert_eq!(fields[id], written[id], "{id}");
    }
    assert_eq!(names(&fields["customfield_10021"], "value"), ["Network", "Billing"]);
    assert_eq!(fields["customfield_10022"]["child"]["value"], "Oslo");
    assert_eq!(fields["customfield_10026"][0]["accountId"], person);
    assert_eq!(fields["customfield_10027"], "2026-03-05T10:39:00.000-0300");
    assert_eq!(fields["customfield_10034"]["name"], "operations");
    assert_eq!(fields["customfield_10036"]["name"], "1.0");
    assert_eq!(fields["timetracking"]["remainingEstimate"], "1d 2h");
    assert_eq!(fields["status"]["statusCategory"]["key"], "new");
    assert_eq!(issue["id"], json!(issue["id"].as_str().expect("ids are texts")));
    let old = site.send(Method::GET, &format!("/rest/api/2/issue/{key}?fields=description"), &[], "");
    assert_eq!(body(&old)["fields"], json!({ "description": "It burns." }));
    let lower = site.json(&format!("issue/{}?fields=summary", key.to_lowercase()));
    assert_eq!(lower["key"], key);
}

#[test]
fn edit_metadata_names_what_can_be_edited_and_the_verbs() {
    let site = site();
    let key = site.bug(json!({}));
    let fields = site.json(&format!("issue/{key}/editmeta"))["fields"].clone();
    assert_eq!(fields["labels"]["operations"], json!(["add", "set", "remove"]));
    assert_eq!(fields["summary"].get("hasDefaultValue"), None);
    assert_eq!(fields.get("project"), None);
    assert_eq!(fields["customfield_10020"]["allowedValues"].as_array().map(Vec::len), Some(4));
}

#[test]
fn an_imported_form_is_there_exactly_as_described() {
    let site = site();
    let described = json!({ "startAt": 0, "maxResults": 50, "total": 3, "fields": [
        { "fieldId": "summary", "key": "summary", "name": "Summary", "required": true, "hasDefaultValue": false,
          "operations": ["set"], "schema": { "type": "string", "system": "summary" } },
        { "fieldId": "project", "key": "project", "name": "Project", "required": true, "hasDefaultValue": false,
          "operations": ["set"], "schema": { "type": "project", "system": "project" },
          "allowedValues": [{ "id": "10500", "key": "REAL", "name": "Real" }] },
        { "fieldId": "customfield_12000", "key": "customfield_12000", "name": "Colour", "required": true,
          "hasDefaultValue": false, "operations": ["set"],
          "schema": { "type": "option", "custom": "x:select", "customId": 12000 },
          "allowedValues": [{ "id": "1", "value": "Red" }] },
    ] });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), described.to_string()).expect("written");
    site.service.import(file.path()).expect("imported");
    let form = site.json("issue/createmeta/REAL/issuetypes/19001");
    assert_eq!(form["fields"], described["fields"]);
    let fields = json!({ "project": { "key": "REAL" }, "issuetype": { "id": "19001" }, "summary": "x" });
    let refused = site.write(Method::POST, "issue", &json!({ "fields": fields }));
    assert_eq!(body(&refused)["errors"], json!({ "customfield_12000": "Colour is required." }));
    std::fs::write(file.path(), "{}").expect("written");
    assert!(site.service.import(file.path()).is_err());
}
