//! A connection to an emulated Google Calendar, and what others do there.

use std::sync::Arc;

use futures::TryStreamExt as _;
use http::Method;
use recordport::emulator::EmulatorConfig;
use recordport::provider::search::{Prepared, RecordsExt as _, Search};
use recordport::provider::{Change, Edit, Edits, NewRow, Outcome, Records, VersionedKey, WriteOptions};
use recordport::record::{Key, KeyPart, QueryDraft};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::emulated::{client, json_of};
use super::wired_org::Connected;

/// The calendar of the account's owner.
pub(crate) const OWN: &str = "ada@emulated.example";

pub(crate) struct Diary {
    pub(crate) org: Connected,
    token: String,
}

pub(crate) fn edits(row: &Value) -> Edits {
    let each = row.as_object().expect("an object").iter().map(|(name, value)| {
        let edit = match value {
            Value::Null => Edit::Clear,
            value => Edit::Set(RawValue::from_string(value.to_string()).expect("JSON")),
        };
        (name.clone(), edit)
    });
    each.collect()
}

/// The key of an event of the owner.
pub(crate) fn key(id: &str) -> Key {
    Key::of(vec![KeyPart::Text(OWN.to_owned()), KeyPart::Text(id.to_owned())])
}

impl Diary {
    pub(crate) async fn new() -> Self {
        Self::with(EmulatorConfig::default()).await
    }

    pub(crate) async fn with(config: EmulatorConfig) -> Self {
        let org = Connected::to("google-calendar", config).await;
        let token = &org.emulator.credentials()["google-calendar"]["access_token"];
        let token = token.as_str().expect("a token").to_owned();
        Self { org, token }
    }

    pub(crate) async fn open(&self, name: &str) -> Arc<dyn Records> {
        self.org.open(name).await
    }

    /// What is left of a row when its checks are passed by.
    pub(crate) async fn try_create(&self, name: &str, row: &Value) -> Outcome {
        let rows = [NewRow { fields: edits(row), marker: None }];
        let records = self.open(name).await;
        records.create(&self.org.cx, &rows, &WriteOptions::new()).await.expect("is answered").remove(0)
    }

    pub(crate) async fn create(&self, name: &str, row: Value) -> Key {
        match self.try_create(name, &row).await {
            Outcome::Created(key) => key,
            other => panic!("{row}: {other:?}"),
        }
    }

    pub(crate) async fn try_update(&self, name: &str, key: &Key, edits: Edits, options: &Value) -> Outcome {
        let rows = [Change { key: key.clone(), edits, if_version: None }];
        let options = options.as_object().cloned().unwrap_or_default();
        self.open(name).await.update(&self.org.cx, &rows, &options).await.expect("is answered").remove(0)
    }

    pub(crate) async fn update(&self, name: &str, key: &Key, row: Value) {
        let outcome = self.try_update(name, key, edits(&row), &Value::Null).await;
        assert!(matches!(outcome, Outcome::Updated(_)), "{row}: {outcome:?}");
    }

    pub(crate) async fn delete(&self, name: &str, key: &Key, options: &Value) {
        let rows = [VersionedKey { key: key.clone(), if_version: None }];
        let options = options.as_object().cloned().unwrap_or_default();
        let outcome =
            self.open(name).await.delete(&self.org.cx, &rows, &options).await.expect("is answered").remove(0);
        assert!(matches!(outcome, Outcome::Deleted(_)), "{outcome:?}");
    }

    pub(crate) async fn get(&self, name: &str, key: &Key) -> Option<Value> {
        let records = self.open(name).await;
        let by = records.record_type().key.clone();
        let found =
            records.get(&self.org.cx, &by, std::slice::from_ref(key), &[]).await.expect("is answered");
        let record = found.into_iter().next().expect("an answer").expect("is read");
        record.map(|record| record.to_value().expect("JSON"))
    }

    pub(crate) async fn prepare(&self, records: &Arc<dyn Records>, query: &Value) -> Prepared {
        let draft = QueryDraft::from_json(query).expect("a query");
        records.prepare(&self.org.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans")
    }

    pub(crate) async fn search(&self, name: &str, query: Value) -> Vec<Value> {
        let records = self.open(name).await;
        let prepared = self.prepare(&records, &query).await;
        let search = Search::start(records, self.org.cx.clone(), &prepared);
        let found: Vec<_> = search.into_records().try_collect().await.expect("searches");
        found.iter().map(|record| record.to_value().expect("JSON")).collect()
    }

    /// What is sent for a query.
    pub(crate) async fn native(&self, name: &str, condition: &str) -> String {
        let records = self.open(name).await;
        self.prepare(&records, &json!({ "where": condition })).await.plan.native.join(" ")
    }

    /// A request of somebody else, which succeeds.
    pub(crate) async fn send(&self, method: Method, what: &str, body: Value) -> Value {
        let address = format!("{}/calendar/v3/{what}", self.org.emulator.http_url());
        let mut request = client().request(method, address).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        assert!(response.status().is_success(), "{what}: {}", response.status());
        if response.status() == 204 { Value::Null } else { json_of(response).await }
    }

    pub(crate) async fn control(&self, method: Method, what: &str, body: Value) -> Value {
        let address = format!("{}/_emulator/{what}", self.org.emulator.http_url());
        let mut request = client().request(method, address);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        assert!(response.status().is_success(), "{what}: {}", response.status());
        if response.status() == 204 { Value::Null } else { json_of(response).await }
    }

    /// The events that are not cancelled, as stored, with the calendar that each is in.
    pub(crate) async fn stored(&self) -> Vec<Value> {
        self.stored_as("event").await
    }

    /// The events of one calendar that are not cancelled, as stored.
    pub(crate) async fn stored_in(&self, calendar: &str) -> Vec<Value> {
        self.stored_as(&format!("event:{calendar}")).await
    }

    async fn stored_as(&self, name: &str) -> Vec<Value> {
        let rows: Vec<Value> = serde_json::from_str(&self.org.state(name).await).expect("rows");
        rows.into_iter().filter(|row| row["status"] != "cancelled").collect()
    }

    /// An event as stored.
    pub(crate) async fn row(&self, key: &Key) -> Value {
        let id = key.parts()[1].to_string();
        let rows = self.stored_in(&key.parts()[0].to_string()).await;
        rows.into_iter().find(|row| row["id"] == *id).unwrap_or_else(|| panic!("no {id}"))
    }
}
