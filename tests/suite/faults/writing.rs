//! Faults of writes: what becomes of rows whose answer is lost, refused in part, or met a busy service.

use std::sync::Arc;

use recordport::connect::sign_in::AccessMode;
use recordport::error::{ErrorKind, Retry};
use recordport::layer::check::Checked;
use recordport::provider::{
    Change, Edit, Edits, NewRow, Outcome, Records, Settled, VersionedKey, WriteOptions,
};
use recordport::record::{Key, KeyFields};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::subject::{Refusal, Trial, Upserts, Writing, Written};
use crate::support::org::own_part;

/// Faults that come after the write happened.
const LOST: [&str; 2] = ["drop_after_commit", "503_after_commit"];

async fn open(trial: &Trial<dyn Writing>, name: &str) -> Arc<dyn Records> {
    Arc::new(Checked::new(trial.open(name).await.expect("a type"), AccessMode::ReadWrite))
}

/// An org, and the type that is written in it.
async fn begin(service: Written) -> (Trial<dyn Writing>, Arc<dyn Records>) {
    let trial = Trial::small(service).await;
    let records = open(&trial, service.written()).await;
    (trial, records)
}

fn edits(fields: &Value) -> Edits {
    let set = |value: &Value| Edit::Set(RawValue::from_string(value.to_string()).expect("JSON"));
    fields.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), set(value))).collect()
}

fn new(fields: &Value) -> NewRow {
    NewRow { fields: edits(fields), marker: None }
}

/// A row with this label and besides one more value.
fn with(service: Written, label: &str, (field, value): (&str, Value)) -> NewRow {
    let mut row = service.row(label);
    row[field] = value;
    new(&row)
}

fn marked(service: Written, label: &str, number: u8) -> NewRow {
    let marker = (!service.knows_each_row()).then(|| service.mark(number));
    NewRow { marker, ..new(&service.row(label)) }
}

/// A row that is found again by a field of its own, where the service has such a one, else by a mark.
fn findable(service: Written, label: &str, number: u8) -> NewRow {
    match service.own_mark(number) {
        Some(own) => with(service, label, own),
        None => marked(service, label, number),
    }
}

/// What a row of that kind is asked for by.
fn asked_for(service: Written, number: u8) -> Value {
    service.own_mark(number).map_or_else(|| service.mark(number), |(field, value)| json!({ field: value }))
}

fn statuses(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::status).collect()
}

fn none() -> WriteOptions {
    WriteOptions::new()
}

/// Adds a fault on requests that write one row by this method.
async fn fault(trial: &Trial<dyn Writing>, method: &'static str, times: u32, rule: Value) {
    fault_on_rows(trial, method, 1, times, rule).await;
}

/// Adds a fault on requests that write so many rows by this method.
async fn fault_on_rows(
    trial: &Trial<dyn Writing>,
    method: &'static str,
    rows: usize,
    times: u32,
    mut rule: Value,
) {
    rule["path"] = json!(trial.service.writes_of(method, rows));
    rule["method"] = json!(trial.service.method(method));
    rule["times"] = json!(times);
    trial.fault(rule).await;
}

fn kind(kind: &str) -> Value {
    json!({ "kind": kind })
}

pub(super) async fn fault_49_a_create_whose_answer_is_lost_is_found_by_its_mark(service: Written) {
    for lost in LOST {
        let (trial, records) = begin(service).await;
        fault_on_rows(&trial, "POST", 3, 1, kind(lost)).await;
        let labels = ["lost 0", "lost 1", "lost 2"];
        let rows =
            [marked(service, labels[0], 0), findable(service, labels[1], 1), new(&service.row(labels[2]))];
        let outcomes = records.create(&trial.cx, &rows, &none()).await.unwrap();
        let last = if service.knows_each_row() { "created" } else { "unknown" };
        assert_eq!(statuses(&outcomes), ["created", "created", last], "{lost}: {outcomes:?}");
        for (label, outcome) in labels.iter().zip(&outcomes) {
            let stored = trial.labelled(label);
            assert_eq!(stored.len(), 1, "{lost}: each row is one record");
            if let Some(key) = outcome.key() {
                assert_eq!(trial.written_id(&stored[0]), own_part(key), "{lost}");
            }
        }
        assert_eq!(trial.write_requests().await, 1, "{lost}: nothing was sent again");
    }
}

/// Where a row gets its id here, sending it again cannot make a second record.
pub(super) async fn fault_49_a_create_under_an_id_of_ours_is_sent_again_and_made_once(service: Written) {
    for lost in LOST {
        let (trial, records) = begin(service).await;
        fault(&trial, "POST", 1, kind(lost)).await;
        let labels = ["lost 0", "lost 1", "lost 2"];
        let rows =
            [marked(service, labels[0], 0), findable(service, labels[1], 1), new(&service.row(labels[2]))];
        let outcomes = records.create(&trial.cx, &rows, &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["created"; 3], "{lost}: {outcomes:?}");
        for (label, outcome) in labels.iter().zip(&outcomes) {
            let stored = trial.labelled(label);
            assert_eq!(stored.len(), 1, "{lost}: each row is one record");
            assert_eq!(trial.written_id(&stored[0]), own_part(outcome.key().unwrap()), "{lost}");
        }
        let looked = records.settle(&trial.cx, &[service.mark(0), service.mark(9)]).await.unwrap();
        assert_eq!(looked, [Settled::Arrived(outcomes[0].key().unwrap().clone()), Settled::Absent]);
    }
}

pub(super) async fn fault_49_without_a_mark_the_outcome_is_unknown_and_there_is_one_record(service: Written) {
    for lost in LOST {
        let (trial, records) = begin(service).await;
        fault(&trial, "POST", 1, kind(lost)).await;
        let outcomes = records.create(&trial.cx, &[new(&service.row("once"))], &none()).await.unwrap();
        let known = if service.knows_each_row() { "created" } else { "unknown" };
        assert_eq!(statuses(&outcomes), [known], "{lost}");
        assert_eq!(trial.labelled("once").len(), 1, "{lost}");
        assert_eq!(trial.write_requests().await, 1, "{lost}");
    }
}

pub(super) async fn fault_49_a_create_that_did_not_arrive_is_sent_again(service: Written) {
    let (trial, records) = begin(service).await;
    fault(&trial, "POST", 2, kind("503")).await;
    let row = findable(service, "again", 1);
    let outcomes = records.create(&trial.cx, &[row], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created"], "{outcomes:?}");
    assert_eq!(trial.labelled("again").len(), 1);
    assert_eq!(trial.write_requests().await, 3);
    assert!(trial.clock.waits().len() >= 2, "what is lost may still be under way");
}

pub(super) async fn fault_49_a_service_that_stays_away_leaves_the_outcome_unknown(service: Written) {
    let (trial, records) = begin(service).await;
    fault(&trial, "POST", 99, kind("503")).await;
    let row = findable(service, "away", 1);
    let outcomes = records.create(&trial.cx, &[row], &none()).await.unwrap();
    let Outcome::Unknown { marker: Some(marker), .. } = &outcomes[0] else { panic!("{outcomes:?}") };
    for (member, value) in asked_for(service, 1).as_object().expect("an object") {
        assert_eq!(&marker[member], value, "whoever keeps the outcome can ask again");
    }
    assert_eq!(trial.write_requests().await, 3, "a bounded number of times");
    trial.no_more_faults().await;
    let settled = records.settle(&trial.cx, std::slice::from_ref(marker)).await.unwrap();
    assert_eq!(settled, [Settled::Absent]);
}

pub(super) async fn fault_49_an_older_record_with_the_same_mark_is_not_taken_for_the_row(service: Written) {
    let (trial, records) = begin(service).await;
    let first = findable(service, "theirs", 1);
    let outcomes = records.create(&trial.cx, &[first], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created"]);
    trial.advance(3_600).await;
    trial.clock.advance(std::time::Duration::from_secs(3_600));

    fault(&trial, "POST", 1, kind("503")).await;
    let outcomes = records.create(&trial.cx, &[findable(service, "mine", 1)], &none()).await.unwrap();
    let (mine, theirs) = (trial.labelled("mine"), trial.labelled("theirs"));
    assert_eq!(theirs.len(), 1);
    if service.own_mark(1).is_some() {
        assert_eq!(statuses(&outcomes), ["failed"], "the value is taken: {outcomes:?}");
        assert_eq!(outcomes[0].error().unwrap().kind(), ErrorKind::Conflict, "{outcomes:?}");
        assert!(mine.is_empty());
    } else {
        assert_eq!(statuses(&outcomes), ["created"], "a mark alone is not unique: {outcomes:?}");
        assert_eq!(trial.written_id(&mine[0]), own_part(outcomes[0].key().unwrap()));
    }
}

pub(super) async fn fault_49_rows_that_belong_together_are_not_sent_again_in_part(service: Written) {
    let (trial, records) = begin(service).await;
    fault_on_rows(&trial, "POST", 2, 1, kind("503")).await;
    let rows = [findable(service, "part", 1), new(&service.row("part"))];
    let together = WriteOptions::from_iter([("all_or_none".to_owned(), json!(true))]);
    let outcomes = records.create(&trial.cx, &rows, &together).await.unwrap();
    assert_eq!(statuses(&outcomes), ["unknown", "unknown"], "{outcomes:?}");
    assert!(trial.labelled("part").is_empty());
    assert_eq!(trial.write_requests().await, 1);
}

pub(super) async fn fault_50_updates_upserts_and_deletes_whose_answer_is_lost_are_repeated(service: Written) {
    for lost in LOST {
        let (trial, records) = begin(service).await;
        let stored = trial.written_rows();
        let (id, count) = (trial.written_id(&stored[0]).to_owned(), stored.len());
        let change = |key: Key, fields: Value| Change { key, edits: edits(&fields), if_version: None };

        fault(&trial, "PATCH", 1, kind(lost)).await;
        let row = change(service.key_of(&id), service.relabelled("changed"));
        let outcomes = records.update(&trial.cx, &[row], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["updated"], "{lost}: {outcomes:?}");
        assert_eq!(trial.labelled("changed").len(), 1);

        fault(&trial, "PATCH", 1, kind(lost)).await;
        let (by, key, upserts) = service.alternate(&stored[1]);
        let creates = upserts == Upserts::Creates;
        let mut row = if creates { service.row("put") } else { service.relabelled("put") };
        // The key says it already.
        row.as_object_mut().expect("an object").retain(|name, _| !by.0.contains(name));
        let outcomes = records.upsert(&trial.cx, &by, &[change(Key::text(key), row)], &none()).await.unwrap();
        assert!(outcomes[0].key().is_some(), "{lost}: {outcomes:?}");
        assert_eq!(trial.labelled("put").len(), 1, "{lost}: a unique key keeps it one record");
        assert_eq!(trial.written_rows().len(), count + usize::from(creates));

        fault(&trial, "DELETE", 1, kind(lost)).await;
        let gone = VersionedKey { key: service.key_of(&id), if_version: None };
        let outcomes = records.delete(&trial.cx, &[gone], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["deleted"], "{lost}: gone after doubt is done: {outcomes:?}");
        assert!(trial.written_rows().iter().all(|row| trial.written_id(row) != id));
    }
}

pub(super) async fn fault_50_an_upsert_by_a_field_that_is_not_unique_is_not_repeated_blindly(
    service: Written,
) {
    let trial = Trial::small(service).await;
    let contacts = open(&trial, "Contact").await;
    fault(&trial, "PATCH", 1, kind("drop_after_commit")).await;
    let row = Change {
        key: Key::text("only@example.com"),
        edits: edits(&json!({ "LastName": "Only" })),
        if_version: None,
    };
    let outcomes = contacts.upsert(&trial.cx, &KeyFields::single("Email"), &[row], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["unknown"], "{outcomes:?}");
    assert_eq!(trial.write_requests().await, 1);
    let stored = trial.service_rows("Contact");
    assert_eq!(stored.iter().filter(|row| row["Email"] == "only@example.com").count(), 1);
}

pub(super) async fn fault_51_rows_refused_in_a_batch_fail_alone(service: Written) {
    let (trial, records) = begin(service).await;
    fault_on_rows(&trial, "POST", 200, 99, kind("partial")).await;
    let label = |at: usize| format!("refused in part {at}");
    let rows: Vec<NewRow> = (0..200).map(|at| new(&service.row(&label(at)))).collect();
    let outcomes = records.create(&trial.cx, &rows, &none()).await.unwrap();
    let failed: Vec<usize> = (0..200).filter(|at| outcomes[*at].error().is_some()).collect();
    assert_eq!(failed, [49, 99, 149, 199]);
    for at in &failed {
        assert_eq!(outcomes[*at].error().unwrap().code(), Some(service.refused_row_code()));
    }
    let stored = trial.written_rows();
    let of = |at: usize| stored.iter().filter(|row| service.has_label(row, &label(at))).collect::<Vec<_>>();
    for (at, outcome) in outcomes.iter().enumerate() {
        let rows = of(at);
        assert_eq!(rows.len(), usize::from(!failed.contains(&at)), "row {at}");
        if let [row] = rows[..] {
            let id = own_part(outcome.key().unwrap());
            assert_eq!(trial.written_id(row), id, "the outcome is that row's own");
        }
    }
}

pub(super) async fn fault_52_an_answer_of_another_length_makes_the_batch_ambiguous(service: Written) {
    let row = || new(&service.row("counted"));
    // Without marks nobody knows.
    for count in [0, 1, 3].into_iter().filter(|_| !service.knows_each_row()) {
        let (trial, records) = begin(service).await;
        fault_on_rows(&trial, "POST", 2, 1, service.created(count)).await;
        let outcomes = records.create(&trial.cx, &[row(), row()], &none()).await.unwrap();
        let told = match (service.asks_again(), count) {
            // The answer to the first is that to another row.
            (true, 1) => ["unknown", "created"],
            (true, _) => ["created", "created"],
            (false, _) => ["unknown", "unknown"],
        };
        assert_eq!(statuses(&outcomes), told, "{count}: {outcomes:?}");
        let unknown = outcomes.iter().filter_map(Outcome::error);
        assert!(
            unknown.map(recordport::error::Error::kind).all(|kind| kind == ErrorKind::Protocol),
            "{count}"
        );
        let created = told.iter().filter(|told| **told == "created").count();
        assert_eq!(trial.labelled("counted").len(), created, "{count}");
        assert_eq!(trial.write_requests().await, 1 + usize::from(service.asks_again()), "{count}");
    }
    let (trial, records) = begin(service).await;
    fault_on_rows(&trial, "POST", 2, 1, service.created(1)).await;
    let rows = [findable(service, "counted", 1), findable(service, "counted", 2)];
    let outcomes = records.create(&trial.cx, &rows, &none()).await.unwrap();
    let told = "what carries a mark is looked for";
    assert_eq!(statuses(&outcomes), ["created", "created"], "{told}: {outcomes:?}");
    assert_eq!(trial.labelled("counted").len(), 2);
}

pub(super) async fn fault_52_answers_in_another_order_find_their_rows(service: Written) {
    let (trial, records) = begin(service).await;
    // Each answer names its request; the first row was refused.
    fault(&trial, "POST", 1, service.reordered(3)).await;
    let rows: Vec<NewRow> = (1..=3).map(|at| findable(service, "turned", at)).collect();
    let outcomes = records.create(&trial.cx, &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["failed", "created", "created"], "{outcomes:?}");
    for (row, outcome) in rows.iter().zip(&outcomes).skip(1) {
        let asked = row.fields.iter().find_map(|(name, edit)| match edit {
            Edit::Set(value) if name == service.key() => serde_json::from_str::<String>(value.get()).ok(),
            _ => None,
        });
        assert_eq!(outcome.key().map(own_part), asked);
    }
}

pub(super) async fn fault_53_a_row_that_fails_the_schema_is_told_alone(service: Written) {
    let (trial, records) = begin(service).await;
    let good = || new(&service.row("good"));
    let bad = service.bad_rows();
    let rows = [good(), new(&bad[0].1), new(&bad[1].1), new(&bad[2].1), good()];
    let outcomes = records.create(&trial.cx, &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "failed", "failed", "failed", "created"], "{outcomes:?}");
    for (outcome, (field, _)) in outcomes[1..].iter().zip(&bad) {
        let error = outcome.error().unwrap();
        assert_eq!((error.kind(), error.fields()[0].field.as_str()), (ErrorKind::Invalid, *field));
    }
    assert_eq!(trial.labelled("good").len(), 2);
    let sent = trial.emulated.requests().await;
    let sent = sent.iter().find(|request| service.is_write(request)).expect("a write");
    assert!(!sent["body"].to_string().contains("bad"), "a bad row does not reach the service");
}

pub(super) async fn fault_54_rows_that_the_service_is_too_busy_for_are_sent_again_alone(service: Written) {
    let (trial, records) = begin(service).await;
    fault_on_rows(&trial, "POST", 2, 1, service.busy_rows(2)).await;
    let row = || new(&service.row("busy"));
    let outcomes = records.create(&trial.cx, &[row(), row()], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "created"], "{outcomes:?}");
    assert_eq!((trial.labelled("busy").len(), trial.clock.waits().len()), (2, 1));

    // What stays busy is told, after a bounded number of requests.
    fault(&trial, "POST", 99, service.busy_rows(1)).await;
    let outcomes = records.create(&trial.cx, &[row()], &none()).await;
    let error = match &outcomes {
        Ok(outcomes) => outcomes[0].error().unwrap(),
        Err(error) => error,
    };
    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::RateLimited), "{error}");
    assert_eq!(error.retry(), Retry::Always);
    assert_eq!(trial.write_requests().await, 2 + 5);
}

pub(super) async fn fault_54_a_busy_service_is_tried_again_and_a_conflict_is_not(service: Written) {
    let (trial, records) = begin(service).await;
    let row = || [new(&service.row("tried"))];
    fault(&trial, "POST", 1, service.refusal(Refusal::Busy)).await;
    assert_eq!(statuses(&records.create(&trial.cx, &row(), &none()).await.unwrap()), ["created"]);
    assert_eq!(trial.write_requests().await, 2);
    for status in [409, 412] {
        let (trial, records) = begin(service).await;
        let mut conflict = service.conflict();
        conflict["status"] = json!(status);
        fault(&trial, "POST", 1, conflict).await;
        let outcomes = records.create(&trial.cx, &row(), &none()).await;
        let error = match &outcomes {
            Ok(outcomes) => outcomes[0].error().expect("an error"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Conflict, "{status}");
        assert_eq!(trial.write_requests().await, 1, "{status}");
    }
}
