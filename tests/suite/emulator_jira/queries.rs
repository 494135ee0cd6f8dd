//! JQL and its pages.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use recordport::emulator::service::Service;
use serde_json::{Value, json};

use super::{body, document, site};

#[test]
fn conditions_agree_with_the_rows_as_stored() {
    let site = site();
    let rows = site.service.state("issue").expect("issues");
    let option = |row: &Value, id: &str| row["fields"][id]["value"].as_str().map(str::to_owned);
    let check = |jql: &str, holds: &dyn Fn(&Value) -> bool| {
        let found: BTreeSet<String> = site.keys(jql).into_iter().collect();
        let expected: BTreeSet<String> = rows
            .iter()
            .filter(|row| holds(row))
            .map(|row| row["key"].as_str().expect("a key").to_owned())
            .collect();
        assert!(!expected.is_empty() && expected.len() < rows.len(), "{jql} tells nothing apart");
        assert_eq!(found, expected, "{jql}");
    };
    let fields = |row: &Value, id: &str| row["fields"][id].clone();
    check("project = OPS", &|row| fields(row, "project")["key"] == "OPS");
    check("status in (\"In Review\", Done)", &|row| {
        ["In Review", "Done"].contains(&fields(row, "status")["name"].as_str().unwrap_or_default())
    });
    check("cf[10020] = Major", &|row| option(row, "customfield_10020").as_deref() == Some("Major"));
    check("Severity != Major", &|row| option(row, "customfield_10020").is_some_and(|own| own != "Major"));
    check("NOT Severity = Major", &|row| option(row, "customfield_10020").is_some_and(|own| own != "Major"));
    check("Severity = \"It's \\\"odd\\\" \\\\ here\"", &|row| {
        option(row, "customfield_10020").as_deref() == Some("It's \"odd\" \\ here")
    });
    check("assignee is EMPTY", &|row| fields(row, "assignee").is_null());
    check("resolution = Unresolved OR resolution = Done", &|row| fields(row, "resolution")["name"] == "Done");
    check("labels = urgent and labels not in (q3)", &|row| {
        let labels = fields(row, "labels");
        let has = |label: &str| labels.as_array().is_some_and(|list| list.contains(&json!(label)));
        has("urgent") && !has("q3")
    });
    check("Cost > 0 and Cost <= 4000.5", &|row| {
        fields(row, "customfield_10029").as_f64().is_some_and(|cost| cost > 0.0 && cost <= 4000.5)
    });
    check("due >= \"2025-06-01\" and due < 2026-01-01", &|row| {
        fields(row, "duedate").as_str().is_some_and(|day| ("2025-06-01".."2026-01-01").contains(&day))
    });
    check("priority > Medium", &|row| {
        ["High", "Highest"].contains(&fields(row, "priority")["name"].as_str().unwrap_or_default())
    });
    check("Location in cascadeOption(Europe, Oslo)", &|row| {
        fields(row, "customfield_10022")["child"]["value"] == "Oslo"
    });
    check("summary ~ \"gener*\"", &|row| {
        fields(row, "summary").as_str().is_some_and(|text| text.to_lowercase().contains("gener"))
    });
    check("key in (OPS-1, WEB-2)", &|row| row["key"] == "OPS-1" || row["key"] == "WEB-2");
    check("issuetype in subtaskIssueTypes()", &|row| fields(row, "issuetype")["subtask"] == true);
    check("statusCategory = \"In Progress\"", &|row| {
        fields(row, "status")["statusCategory"]["key"] == "indeterminate"
    });
    check("status was \"To Do\" and status = Done", &|row| fields(row, "status")["name"] == "Done");
}

#[test]
fn moments_are_read_in_the_profile_zone_or_as_milliseconds() {
    let site = site();
    let key = site.bug(json!({}));
    // 10:00 UTC is 07:00 in the profile's zone.
    for jql in [
        "created >= \"2026-03-04 07:00\" AND created < \"2026/03/04 07:01\"",
        "created >= startOfDay()",
        "created > -5m",
        "updated >= 1772618400000",
    ] {
        assert_eq!(site.keys(jql), std::slice::from_ref(&key), "{jql}");
    }
    assert!(site.keys("created > \"2026-03-04 10:00\"").is_empty());
    let refused = site.refused("updated >= \"-53s\"");
    assert!(refused.starts_with("Date value '-53s' for field 'updated' is invalid."), "{refused}");
    let whole = body(&site.search(&json!({ "jql": "updated >= \"-53s\"" })));
    assert_eq!((whole.get("errors"), &whole["warningMessages"]), (None, &json!([])));
}

#[test]
fn order_is_kept_and_pages_give_every_issue_once() {
    let site = site();
    let whole = site.keys("project in (OPS, WEB) ORDER BY priority DESC, key ASC");
    assert_eq!(whole.len(), 240);
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let asked = json!({
            "jql": "project in (OPS, WEB) ORDER BY priority DESC, key ASC",
            "fields": ["summary"],
            "maxResults": 5000,
            "nextPageToken": token,
        });
        let page = body(&site.search(&asked));
        let rows = page["issues"].as_array().expect("issues").clone();
        assert!(rows.len() <= 100 && !rows.is_empty());
        seen.extend(rows.iter().map(|row| row["key"].as_str().expect("a key").to_owned()));
        token = page["nextPageToken"].clone();
        assert_eq!(page["isLast"], token.is_null());
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, whole);
    let bare = body(&site.search(&json!({ "jql": "key = OPS-1" })));
    assert_eq!(bare, json!({ "issues": [{ "id": "10000" }], "isLast": true }));
}

#[test]
fn what_jira_refuses_is_refused() {
    let site = site();
    let unbounded = "Unbounded JQL queries are not allowed here. Add a search restriction to the query.";
    assert_eq!(site.refused(""), unbounded);
    assert_eq!(site.refused("ORDER BY created"), unbounded);
    assert!(site.refused("project = order").contains("reserved JQL word"));
    assert!(site.refused("summary = x").contains("operator '=' is not supported"));
    assert!(site.refused("project ~ x").contains("operator '~' is not supported"));
    assert!(site.refused("nosuch = x").contains("Field 'nosuch' does not exist"));
    assert!(site.refused("summary ~ \"a\\+b\"").contains("Error in the JQL Query"));
    let message = |asked: Value| body(&site.search(&asked))["errorMessages"][0].clone();
    assert_eq!(
        message(json!({ "jql": "key = OPS-1", "startAt": 0 })),
        "Invalid request payload. Refer to the REST API documentation and try again."
    );
    assert_eq!(
        message(json!({ "jql": "", "nextPageToken": "x", "maxResults": 0 })),
        "The provided nextPageToken is invalid or has expired."
    );
    assert_eq!(
        message(json!({ "jql": "key = OPS-1", "maxResults": 5001 })),
        "The maxResults parameter must be between 1 and 5,000."
    );
    let gone = site.get("search?jql=project=OPS");
    assert_eq!(gone.status, StatusCode::GONE);
    assert!(body(&gone)["errorMessages"][0].as_str().is_some_and(|text| text.contains("/search/jql")));
}

#[test]
fn text_counts_and_changes_are_found() {
    let site = site();
    let key = site.bug(json!({ "description": document("Zebra crossing, 100% painted") }));
    assert_eq!(site.keys("description ~ \"zebra\""), std::slice::from_ref(&key));
    assert_eq!(site.keys("text ~ \"\\\"zebra crossing\\\"\""), std::slice::from_ref(&key));
    assert!(site.keys("description ~ \"zeb\"").is_empty());
    let counted = site.write(Method::POST, "search/approximate-count", &json!({ "jql": "project = OPS" }));
    assert_eq!(body(&counted), json!({ "count": 121 }));
    let moved =
        site.write(Method::POST, &format!("issue/{key}/transitions"), &json!({ "transition": { "id": 11 } }));
    assert_eq!(moved.status, StatusCode::NO_CONTENT);
    let since = "status changed from \"To Do\" to \"In Progress\" after \"2026-03-04\" by currentUser()";
    assert_eq!(site.keys(since), [key]);
}

#[test]
fn searches_lag_behind_where_they_are_told_to() {
    let site = site();
    let told = site.send(Method::POST, "/_emulator/jira/index", &[], "{\"lag_seconds\": 30}");
    assert_eq!(told.status, StatusCode::NO_CONTENT, "{told:?}");
    let key = site.bug(json!({ "labels": ["late"] }));
    let id: u64 =
        site.json(&format!("issue/{key}"))["id"].as_str().expect("an id").parse().expect("a number");
    assert!(site.keys("labels = late").is_empty());
    let anew = json!({ "jql": "labels = late", "reconcileIssues": [id] });
    assert_eq!(body(&site.search(&anew))["issues"][0]["id"], id.to_string());
    site.clock.advance(jiff::SignedDuration::from_secs(31)).expect("goes forward");
    assert_eq!(site.keys("labels = late"), std::slice::from_ref(&key));
    let gone = site.write(Method::DELETE, &format!("issue/{key}"), &Value::Null);
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    // What is gone is found and cannot be shown.
    let asked = json!({ "jql": "labels = late", "reconcileIssues": "late" });
    assert_eq!(body(&site.search(&json!({ "jql": "labels = late" })))["issues"], json!([]));
    assert_eq!(site.search(&asked).status, StatusCode::BAD_REQUEST);
}
