//! What hangs on issues and projects of Jira, as record types of their own, against the emulated site.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt as _;
use recordport::emulator::EmulatorConfig;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{
    Change, Edit, Edits, NewRow, Outcome, Records, TypeQuery, VersionedKey, WriteOptions,
};
use recordport::record::{Key, KeyFields, KeyPart, QueryDraft};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::wired_org::Connected;

const TYPES: [&str; 10] = [
    "comment",
    "worklog",
    "attachment",
    "issue_link",
    "changelog",
    "transition",
    "project",
    "version",
    "component",
    "user",
];

async fn site() -> Connected {
    Connected::to("jira", EmulatorConfig::default()).await
}

fn edits(row: &Value) -> Edits {
    let each = row.as_object().expect("an object").iter().map(|(name, value)| {
        let edit = match value {
            Value::Null => Edit::Clear,
            value => Edit::Set(RawValue::from_string(value.to_string()).expect("JSON")),
        };
        (name.clone(), edit)
    });
    each.collect()
}

fn draft(document: &Value) -> QueryDraft {
    QueryDraft::from_json(document).expect("a query")
}

async fn search(site: &Connected, name: &str, query: &Value) -> Vec<Value> {
    let records = site.open(name).await;
    let prepared = records.prepare(&site.cx, &draft(query), &jiff::tz::TimeZone::UTC).await.expect("plans");
    let found: Vec<_> = Search::start(records, site.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    found.iter().map(|record| record.to_value().expect("JSON")).collect()
}

async fn stored(site: &Connected, name: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(&site.state(name).await)
        .expect("JSON")
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

async fn created(records: &Arc<dyn Records>, site: &Connected, row: &Value) -> Key {
    let rows = [NewRow { fields: edits(row), marker: None }];
    match records.create(&site.cx, &rows, &WriteOptions::new()).await.expect("creates").remove(0) {
        Outcome::Created(key) => key,
        other => panic!("{row}: {other:?}"),
    }
}

async fn updated(records: &Arc<dyn Records>, site: &Connected, key: &Key, row: &Value) -> Outcome {
    let rows = [Change { key: key.clone(), edits: edits(row), if_version: None }];
    records.update(&site.cx, &rows, &WriteOptions::new()).await.expect("updates").remove(0)
}

async fn deleted(records: &Arc<dyn Records>, site: &Connected, key: &Key) {
    let rows = [VersionedKey { key: key.clone(), if_version: None }];
    let outcome = records.delete(&site.cx, &rows, &WriteOptions::new()).await.expect("deletes").remove(0);
    assert!(matches!(outcome, Outcome::Deleted(_)), "{outcome:?}");
}

async fn got(records: &Arc<dyn Records>, site: &Connected, key: &Key) -> Option<Value> {
    let by: KeyFields = records.record_type().key.clone();
    let mut found = records.get(&site.cx, &by, std::slice::from_ref(key), &[]).await.expect("gets");
    found.remove(0).expect("is readable").map(|record| record.to_value().expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_types_are_listed_and_a_record_found_is_the_record_got() {
    let site = site().await;
    let listed = site.provider.types(&site.cx, &TypeQuery::default()).await.expect("lists");
    let names: BTreeSet<&str> = listed.types.iter().map(|own| own.name.as_str()).collect();
    for name in TYPES {
        assert!(names.contains(name), "{name} is not listed");
        // Types of issues are looked at by one issue, so that not all of them are gone through.
        let scoped = match name {
            "comment" | "worklog" | "changelog" | "transition" | "attachment" | "issue_link" => {
                let with = &stored(&site, "issue").await;
                let holds = |own: &&Value| own["fields"][name]["total"].as_u64().unwrap_or(0) > 0;
                let issue = with.iter().find(holds).unwrap_or(&with[0]);
                format!("{name}:{}", issue["key"].as_str().expect("a key"))
            }
            _ => name.to_owned(),
        };
        let found = search(&site, &scoped, &json!({ "limit": 5 })).await;
        let records = site.open(&scoped).await;
        let Some(first) = found.first() else {
            assert!(matches!(name, "attachment" | "issue_link" | "changelog"), "{scoped} has no records");
            continue;
        };
        let key = &records.record_type().key;
        let parts = key.0.iter().map(|field| KeyPart::Text(first[field].as_str().expect("text").to_owned()));
        let again = got(&records, &site, &Key::of(parts.collect())).await;
        assert_eq!(again.as_ref(), Some(first), "{scoped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_of_all_issues_are_found_once_and_conditions_limit_the_issues() {
    let site = site().await;
    let all = search(&site, "comment", &json!({ "select": ["issueId", "id"] })).await;
    let stored = stored(&site, "comment").await;
    assert!(stored.len() > 100, "there is something to find");
    assert_eq!(all.len(), stored.len());
    assert_eq!(ids(&all), ids(&stored));
    let issue = all[0]["issueId"].as_str().expect("an id");
    let own =
        search(&site, "comment", &json!({ "where": format!("issueId = '{issue}' AND id != '0'") })).await;
    assert_eq!(own.len(), all.iter().filter(|row| row["issueId"] == issue).count());
    let native = search(&site, "comment", &json!({ "native": format!("id = {issue}") })).await;
    assert_eq!(ids(&native), ids(&own));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_written_read_changed_and_deleted_and_left_alone_when_nothing_changed() {
    let site = site().await;
    let issue = stored(&site, "issue").await[0]["id"].as_str().expect("an id").to_owned();
    let comments = site.open("comment").await;
    let text = "| Who | What |\n| --- | --- |\n| [@Ada](accountid:557058:1) | **now** |";
    let key = created(&comments, &site, &json!({ "issueId": issue, "body": text })).await;
    let read = got(&comments, &site, &key).await.expect("is there");
    assert_eq!(read["body"], text);
    assert!(read["body_adf"].as_str().expect("a document").contains("\"mention\""));
    let same = updated(&comments, &site, &key, &json!({ "body": text })).await;
    assert!(matches!(same, Outcome::Unchanged(_)), "{same:?}");
    let changed = updated(&comments, &site, &key, &json!({ "body": "Shorter" })).await;
    assert!(matches!(changed, Outcome::Updated(_)), "{changed:?}");
    assert_eq!(got(&comments, &site, &key).await.expect("is there")["body"], "Shorter");
    deleted(&comments, &site, &key).await;
    assert_eq!(got(&comments, &site, &key).await, None);
    deleted(&comments, &site, &key).await;
    let nowhere = [NewRow { fields: edits(&json!({ "issueId": "999999", "body": "x" })), marker: None }];
    let refused = comments.create(&site.cx, &nowhere, &WriteOptions::new()).await.expect("answers").remove(0);
    assert!(matches!(refused, Outcome::Failed(_)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_links_versions_and_components_are_written() {
    let site = site().await;
    let issues = stored(&site, "issue").await;
    let id = |at: usize| issues[at]["id"].as_str().expect("an id").to_owned();

    let work = site.open("worklog").await;
    let row = json!({ "issueId": id(0), "timeSpentSeconds": 5_400, "started": "2026-01-31T09:00:00+02:00", "comment": "_Done_" });
    let key = created(&work, &site, &row).await;
    let read = got(&work, &site, &key).await.expect("is there");
    assert_eq!((&read["timeSpentSeconds"], &read["comment"]), (&json!(5_400), &json!("_Done_")));
    assert_eq!(
        read["started"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()),
        "2026-01-31T09:00:00+02:00".parse().ok()
    );
    deleted(&work, &site, &key).await;

    let links = site.open("issue_link").await;
    let row = json!({ "type": "Blocks", "inwardIssueId": id(0), "outwardIssueId": id(1) });
    let key = created(&links, &site, &row).await;
    let read = got(&links, &site, &key).await.expect("is there");
    assert_eq!((&read["inwardIssueId"], &read["outwardIssueId"]), (&json!(id(0)), &json!(id(1))));
    let listed = search(&site, "issue_link", &json!({})).await;
    assert_eq!(
        listed.iter().filter(|link| link["id"] == read["id"]).collect::<Vec<_>>(),
        [&read],
        "listed once"
    );
    for end in [0, 1] {
        let scoped = format!("issue_link:{}", issues[end]["key"].as_str().expect("a key"));
        assert!(search(&site, &scoped, &json!({})).await.contains(&read), "at both ends");
    }
    deleted(&links, &site, &key).await;

    for (name, row, change) in [
        (
            "version",
            json!({ "projectId": "10000", "name": "9.0", "releaseDate": "2026-05-01" }),
            json!({ "released": true }),
        ),
        (
            "component",
            json!({ "project": "OPS", "name": "Cellar", "assigneeType": "PROJECT_LEAD" }),
            json!({ "description": "Below" }),
        ),
    ] {
        let records = site.open(name).await;
        let key = created(&records, &site, &row).await;
        let outcome = updated(&records, &site, &key, &change).await;
        assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
        let read = got(&records, &site, &key).await.expect("is there");
        for (field, value) in row.as_object().unwrap().iter().chain(change.as_object().unwrap()) {
            assert_eq!(&read[field], value, "{name}.{field}");
        }
        assert!(search(&site, &format!("{name}:OPS"), &json!({})).await.contains(&read));
        deleted(&records, &site, &key).await;
        assert_eq!(got(&records, &site, &key).await, None);
    }
}
