//! A walk of the provider through all record types of Jira and all that can be done with them, each request and each
//! answer judged by the OpenAPI document. It fails when it leaves too little of the document seen.

use std::sync::Arc;

use futures::TryStreamExt as _;
use recordport::connect::sign_in::AccessMode;
use recordport::emulator::jira::Jira;
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::ErrorKind;
use recordport::layer::check::Checked;
use recordport::provider::changes::Feed;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{
    Change, Content, Edit, Edits, NewRow, OptionQuery, Outcome, Records, TypeQuery, VersionedKey,
    WriteOptions,
};
use recordport::record::{Checkpoint, FieldPath, Key, KeyFields, KeyPart, QueryDraft};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::jira_openapi::{Conforming, Judged};
use crate::support::evidence::Watched;
use crate::support::wired_org::Connected;

struct Tour {
    site: Connected,
    judge: Conforming,
}

fn edits(row: &Value) -> Edits {
    let each = row.as_object().unwrap().iter();
    each.map(|(name, value)| (name.clone(), Edit::Set(to_raw_value(value).unwrap()))).collect()
}

fn content(bytes: &'static [u8], length: u64) -> Content {
    let bytes = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
    Content::new(Box::pin(bytes)).of_length(Some(length)).of_media_type(Some("text/plain".to_owned()))
}

fn named(file: &str) -> WriteOptions {
    WriteOptions::from_iter([("file_name".to_owned(), json!(file))])
}

impl Tour {
    async fn begin() -> Self {
        let mut judge = None;
        let emulator = Emulator::start_with(EmulatorConfig::default(), |config| {
            let service = Conforming::new(Jira::start(config)?, Judged::Both);
            judge = Some(service.clone());
            Ok(vec![Arc::new(service)])
        });
        let emulator = Watched::from(emulator.await.unwrap());
        Self { site: Connected::on("jira", emulator, Value::Null), judge: judge.unwrap() }
    }

    async fn open(&self, name: &str) -> Arc<dyn Records> {
        Arc::new(Checked::new(self.site.open(name).await, AccessMode::ReadWrite))
    }

    async fn search(&self, name: &str) -> Vec<Value> {
        let records = self.open(name).await;
        let draft = QueryDraft::from_json(&json!({ "limit": 20 })).unwrap();
        let prepared = records.prepare(&self.site.cx, &draft, &jiff::tz::TimeZone::UTC).await.unwrap();
        let found: Vec<_> = Search::start(records, self.site.cx.clone(), &prepared)
            .into_records()
            .try_collect()
            .await
            .unwrap();
        found.iter().map(|record| record.to_value().unwrap()).collect()
    }

    async fn get(&self, name: &str, by: &KeyFields, key: &Key) -> Option<Value> {
        let records = self.open(name).await;
        let found = records.get(&self.site.cx, by, std::slice::from_ref(key), &[]).await.unwrap().remove(0);
        found.unwrap().map(|record| record.to_value().unwrap())
    }

    async fn create(&self, name: &str, row: &Value) -> Key {
        let row = NewRow { fields: edits(row), marker: Some(json!({ "tour": name })) };
        let row = if name.starts_with("issue:") { row } else { NewRow { marker: None, ..row } };
        let records = self.open(name).await;
        let outcome = records.create(&self.site.cx, &[row], &WriteOptions::new()).await.unwrap().remove(0);
        outcome.key().unwrap_or_else(|| panic!("{name}: {outcome:?}")).clone()
    }

    async fn update(&self, name: &str, key: &Key, row: &Value) {
        let change = Change { key: key.clone(), edits: edits(row), if_version: None };
        let records = self.open(name).await;
        let outcome = records.update(&self.site.cx, &[change], &WriteOptions::new()).await.unwrap().remove(0);
        assert!(matches!(outcome, Outcome::Updated(_)), "{name}: {outcome:?}");
    }

    async fn delete(&self, name: &str, key: &Key) {
        let row = VersionedKey { key: key.clone(), if_version: None };
        let records = self.open(name).await;
        let outcome = records.delete(&self.site.cx, &[row], &WriteOptions::new()).await.unwrap().remove(0);
        assert!(matches!(outcome, Outcome::Deleted(_)), "{name}: {outcome:?}");
    }

    /// A record of a small type, from its creation to its end.
    async fn life(&self, name: &str, row: Value, change: Option<Value>) {
        let by = self.open(name).await.record_type().key.clone();
        let key = self.create(name, &row).await;
        assert!(self.get(name, &by, &key).await.is_some(), "{name}");
        if let Some(change) = change {
            self.update(name, &key, &change).await;
        }
        self.delete(name, &key).await;
        assert!(self.get(name, &by, &key).await.is_none(), "{name}");
    }

    async fn discovery(&self) {
        self.site.provider.probe(&self.site.cx).await.unwrap();
        let types = self.site.provider.types(&self.site.cx, &TypeQuery::default()).await.unwrap();
        assert!(types.types.iter().any(|own| own.name.as_str() == "issue:WEB/Story"));
        let bugs = self.open("issue:OPS/Bug").await;
        for field in ["assignee", "reporter", "labels", "customfield_10020", "status"] {
            let ask = OptionQuery::default();
            let page = bugs.options(&self.site.cx, &FieldPath::parse(field), &ask).await.unwrap();
            assert!(!page.options.is_empty(), "{field}");
        }
        let groups = bugs
            .record_type()
            .fields
            .iter()
            .find(|field| field.note.as_deref().is_some_and(|note| note.contains("Groups")));
        let groups = FieldPath::parse(&groups.expect("a field of groups").name);
        assert!(
            !bugs.options(&self.site.cx, &groups, &OptionQuery::default()).await.unwrap().options.is_empty()
        );
    }

    /// An issue of a project, whose id and key are given back.
    async fn issue(&self) -> (Key, String) {
        let name = "issue:OPS/Bug";
        let row = json!({ "summary": "Tour", "project": "10000", "issuetype": "10003", "customfield_10020": "100202" });
        let key = self.create(name, &row).await;
        self.update(name, &key, &json!({ "status": "10001", "summary": "On tour" })).await;
        let read = self.get(name, &KeyFields::single("id"), &key).await.unwrap();
        assert_eq!((&read["status"], &read["summary"]), (&json!("10001"), &json!("On tour")));
        let text = read["key"].as_str().unwrap().to_owned();
        let bugs = self.open(name).await;
        let change = Change {
            key: Key::text(text.as_str()),
            edits: edits(&json!({ "summary": "By key" })),
            if_version: None,
        };
        let by = KeyFields::single("key");
        let outcomes = bugs.upsert(&self.site.cx, &by, &[change], &WriteOptions::new()).await.unwrap();
        assert!(matches!(outcomes[0], Outcome::Updated(_)), "{outcomes:?}");
        assert!(self.get("issue", &by, &Key::text("OPS-99999")).await.is_none());
        bugs.settle(&self.site.cx, &[json!({ "tour": "never" })]).await.unwrap();
        let beginning = Checkpoint::beginning(bugs.record_type());
        let mut feed = Feed::new(bugs, self.site.cx.clone(), Vec::new(), Some(beginning));
        assert!(!feed.next_page().await.unwrap().changes.is_empty());
        (key, text)
    }

    /// Files go to an issue as content, and are records besides.
    async fn files(&self, issue: &Key, text: &str) {
        let records = self.open("issue:OPS/Bug").await;
        let put = async |file: &str, bytes: &'static [u8], length: u64| {
            records
                .write_content(&self.site.cx, issue, "attachment", content(bytes, length), &named(file))
                .await
        };
        let none = records.read_content(&self.site.cx, issue, "attachment").await.unwrap_err();
        assert_eq!(none.kind(), ErrorKind::NotFound, "{none}");
        let outcome = put("Über \"uns\".txt", b"first\r\n", 7).await.unwrap();
        assert!(matches!(&outcome, Outcome::Updated(key) if key == issue), "{outcome:?}");
        let only = records.read_content(&self.site.cx, issue, "attachment").await.unwrap();
        assert_eq!(only.collect(99).await.unwrap(), b"first\r\n");
        put("second.txt", b"two", 3).await.unwrap();
        let several = records.read_content(&self.site.cx, issue, "attachment").await.unwrap_err();
        assert_eq!(several.code(), Some("several_contents"), "{several}");
        let large = put("large", b"x", 1 << 40).await.unwrap_err();
        assert_eq!(large.code(), Some("content_too_large"), "{large}");
        let bad = put("a\r\nX-Evil: 1", b"x", 1).await.unwrap_err();
        assert_eq!(bad.code(), Some("bad_option"), "{bad}");

        let listed = self.search(&format!("attachment:{text}")).await;
        let names: Vec<&str> = listed.iter().map(|row| row["filename"].as_str().unwrap()).collect();
        assert_eq!(names, ["Über %22uns%22.txt", "second.txt"]);
        let attachments = self.open("attachment").await;
        for (row, bytes) in listed.iter().zip([&b"first\r\n"[..], b"two"]) {
            let parts = ["issueId", "id"].map(|name| KeyPart::Text(row[name].as_str().unwrap().to_owned()));
            let key = Key::of(parts.into());
            let read = attachments.read_content(&self.site.cx, &key, "content").await.unwrap();
            assert_eq!(read.collect(99).await.unwrap(), bytes);
            self.delete("attachment", &key).await;
        }
    }

    async fn small_types(&self, issue: &Key, text: &str) {
        let id = issue.to_string();
        self.life("comment", json!({ "issueId": id, "body": "Hi" }), Some(json!({ "body": "Ho" }))).await;
        let work = json!({ "issueId": id, "timeSpentSeconds": 60, "started": "2026-01-31T09:00:00Z" });
        self.life("worklog", work, Some(json!({ "comment": "done" }))).await;
        let link = json!({ "type": "Blocks", "inwardIssueId": id, "outwardIssueId": "10002" });
        self.life("issue_link", link, None).await;
        self.life(
            "version",
            json!({ "projectId": "10000", "name": "9.9" }),
            Some(json!({ "released": true })),
        )
        .await;
        let component = json!({ "project": "OPS", "name": "Attic" });
        self.life("component", component, Some(json!({ "description": "Above" }))).await;
        for name in ["project", "version", "component", "user"] {
            let found = self.search(name).await;
            let by = self.open(name).await.record_type().key.clone();
            let key = Key::text(found[0][&by.0[0]].as_str().unwrap());
            assert_eq!(self.get(name, &by, &key).await.as_ref(), Some(&found[0]), "{name}");
        }
        for name in ["comment", "worklog", "changelog", "transition", "issue_link"] {
            self.search(&format!("{name}:{text}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_uses_at_least_forty_operations_of_the_document_as_it_has_them() {
    let tour = Tour::begin().await;
    tour.discovery().await;
    assert!(!tour.search("issue").await.is_empty());
    let (issue, text) = tour.issue().await;
    tour.files(&issue, &text).await;
    tour.small_types(&issue, &text).await;
    tour.delete("issue:OPS/Bug", &issue).await;
    let report = tour.judge.report();
    report.assert_conforms();
    report.assert_many(&report.requests);
}
