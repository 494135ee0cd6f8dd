//! Writes to the emulated org, through the check before the wire and the whole HTTP plane.

use std::sync::Arc;

use recordport::connect::sign_in::AccessMode;
use recordport::error::ErrorKind;
use recordport::layer::check::Checked;
use recordport::provider::{Change, Edit, Edits, NewRow, Outcome, Records, VersionedKey, WriteOptions};
use recordport::record::capability::VersionSupport;
use recordport::record::{FieldPath, Key, KeyFields};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::support::org::{Org, OrgSettings};

pub(crate) async fn small() -> Org {
    Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await
}

pub(crate) async fn open(org: &Org, name: &str) -> Arc<dyn Records> {
    Arc::new(Checked::new(org.open(name).await.expect("a type"), AccessMode::ReadWrite))
}

pub(crate) fn edits(fields: &Value) -> Edits {
    fields
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| {
            (name.clone(), Edit::Set(RawValue::from_string(value.to_string()).expect("JSON")))
        })
        .collect()
}

pub(crate) fn new(fields: Value) -> NewRow {
    NewRow { fields: edits(&fields), marker: None }
}

pub(crate) fn change(key: &str, fields: Value) -> Change {
    Change { key: Key::text(key), edits: edits(&fields), if_version: None }
}

pub(crate) fn statuses(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::status).collect()
}

pub(crate) fn none() -> WriteOptions {
    WriteOptions::new()
}

pub(crate) fn options(value: Value) -> WriteOptions {
    value.as_object().expect("an object").clone()
}

fn by(field: &str) -> KeyFields {
    KeyFields::single(field)
}

fn fields_told(outcome: &Outcome) -> Vec<(String, String)> {
    let error = outcome.error().expect("an error");
    error.fields().iter().map(|field| (field.field.clone(), field.message.clone())).collect()
}

async fn created(org: &Org, records: &Arc<dyn Records>, rows: Vec<NewRow>) -> Vec<String> {
    let outcomes = records.create(&org.cx, &rows, &none()).await.expect("is sent");
    outcomes
        .iter()
        .map(|outcome| outcome.key().unwrap_or_else(|| panic!("{outcome:?}")).to_string())
        .collect()
}

fn row_of(org: &Org, name: &str, id: &str) -> Value {
    org.service_rows(name).into_iter().find(|row| row["Id"] == id).expect("stored")
}

#[tokio::test]
async fn an_upsert_goes_by_every_key_and_creates_by_none_that_salesforce_fills() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    let upsert = invoices.record_type().capability.upsert.clone().expect("upserts");
    for field in ["External_Id__c", "Code__c"] {
        assert!(upsert.by.contains(&by(field)) && !upsert.match_only.contains(&by(field)), "{field}");
    }
    for field in ["Name", "Id"] {
        assert!(upsert.by.contains(&by(field)) && upsert.match_only.contains(&by(field)), "{field}");
    }
    let rows =
        [change("C-1", json!({"Subject__c": "one"})), change("c-1", json!({"Subject__c": "other case"}))];
    let outcomes = invoices.upsert(&org.cx, &by("Code__c"), &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "created"], "this key minds the case");
    let id = outcomes[0].key().unwrap().to_string();
    let name = row_of(&org, "Invoice__c", &id)["Name"].as_str().unwrap().to_owned();

    let before = org.stored("Invoice__c").len();
    let rows = [
        change(&name, json!({"Subject__c": "by number"})),
        change("INV-9999999", json!({"Subject__c": "x"})),
    ];
    let outcomes = invoices.upsert(&org.cx, &by("Name"), &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["updated", "failed"], "{outcomes:?}");
    let error = outcomes[1].error().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("no_match")));
    assert_eq!(row_of(&org, "Invoice__c", &id)["Subject__c"], "by number");

    let rows = [
        change(&id, json!({"Subject__c": "by id"})),
        change("a0X000000000zzzAAA", json!({"Subject__c": "x"})),
    ];
    let outcomes = invoices.upsert(&org.cx, &by("Id"), &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["updated", "failed"], "{outcomes:?}");
    assert_eq!(row_of(&org, "Invoice__c", &id)["Subject__c"], "by id");
    assert_eq!(org.stored("Invoice__c").len(), before, "nothing was created blindly");
}

#[tokio::test]
async fn an_upsert_by_a_value_of_several_records_is_a_conflict_of_that_row_alone() {
    let org = small().await;
    let contacts = open(&org, "Contact").await;
    let twin = || new(json!({"LastName": "Twin", "Email": "twin@example.com"}));
    created(&org, &contacts, vec![twin(), twin()]).await;
    let rows = [
        change("twin@example.com", json!({"LastName": "Which"})),
        change("new@example.com", json!({"LastName": "New"})),
    ];
    let outcomes = contacts.upsert(&org.cx, &by("Email"), &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["failed", "created"], "{outcomes:?}");
    let error = outcomes[0].error().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, Some("DUPLICATE_EXTERNAL_ID")));
    assert!(error.to_string().contains("twin@example.com"), "{error}");
}

#[tokio::test]
async fn rows_of_one_key_are_written_one_after_the_other() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    let rows = [
        change("K-1", json!({"Subject__c": "first"})),
        change("K-2", json!({"Subject__c": "alone"})),
        change("k-1", json!({"Subject__c": "second"})),
    ];
    let before = org.stored("Invoice__c").len();
    let outcomes = invoices.upsert(&org.cx, &by("External_Id__c"), &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "created", "updated"], "{outcomes:?}");
    assert_eq!(outcomes[0].key(), outcomes[2].key());
    assert_eq!(org.stored("Invoice__c").len(), before + 2);
    let id = outcomes[0].key().unwrap().to_string();
    assert_eq!(row_of(&org, "Invoice__c", &id)["Subject__c"], "second");
}

/// Rows that change each contact's title, with the versions that the contacts have.
async fn versioned(org: &Org, contacts: &Arc<dyn Records>, ids: &[String], title: &str) -> Vec<Change> {
    let keys: Vec<Key> = ids.iter().map(Key::text).collect();
    let select = [FieldPath::parse("Title")];
    let read = contacts.get(&org.cx, &by("Id"), &keys, &select).await.unwrap();
    ids.iter()
        .zip(read)
        .map(|(id, read)| Change {
            if_version: read.unwrap().unwrap().version,
            ..change(id, json!({ "Title": title }))
        })
        .collect()
}

#[tokio::test]
async fn rows_with_versions_go_together_and_a_stale_one_is_a_conflict_of_its_own() {
    let org = small().await;
    let contacts = open(&org, "Contact").await;
    let ids: Vec<String> = org.stored("Contact").into_iter().take(32).collect();
    let mut rows = versioned(&org, &contacts, &ids, "Head").await;
    rows[3].if_version = Some("1999-01-01T00:00:00.000Z".to_owned());
    rows[5].if_version = Some("yesterday".to_owned());
    rows[7].edits = edits(&json!({"Title": "see @{row0.id}"}));
    rows[9].if_version = None;
    let outcomes = contacts.update(&org.cx, &rows, &none()).await.unwrap();
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(
            outcome.status(),
            if at == 3 || at == 5 { "failed" } else { "updated" },
            "{at}: {outcome:?}"
        );
    }
    let stale = outcomes[3].error().unwrap();
    assert_eq!((stale.kind(), stale.status()), (ErrorKind::Conflict, Some(412)));
    assert!(stale.to_string().contains("changed since this version"), "{stale}");
    assert_eq!(outcomes[5].error().unwrap().kind(), ErrorKind::Invalid);
    assert_eq!(row_of(&org, "Contact", &ids[7])["Title"], "see @{row0.id}", "text is never a reference");
    assert_eq!(row_of(&org, "Contact", &ids[0])["Title"], "Head");
    assert_ne!(row_of(&org, "Contact", &ids[3])["Title"], "Head");
    let sent: Vec<Value> = org.received("/composite").await;
    let together =
        sent.iter().filter(|entry| entry["path"].as_str().unwrap().ends_with("/composite")).count();
    assert_eq!(together, 2, "29 rows in batches of 25");
}

#[tokio::test]
async fn a_delete_with_a_version_is_refused_before_the_wire() {
    let org = small().await;
    let contacts = open(&org, "Contact").await;
    assert_eq!(contacts.record_type().capability.delete.as_ref().unwrap().version, VersionSupport::None);
    assert_eq!(contacts.record_type().capability.update.as_ref().unwrap().version, VersionSupport::OneSecond);
    let id = org.stored("Contact").into_iter().next().unwrap();
    let row = VersionedKey { key: Key::text(&id), if_version: Some("2026-01-01T00:00:00Z".to_owned()) };
    let outcomes = contacts.delete(&org.cx, &[row], &none()).await.unwrap();
    assert_eq!(outcomes[0].error().unwrap().kind(), ErrorKind::Unsupported);
    assert!(org.stored("Contact").contains(&id));
    assert!(org.received("/composite").await.is_empty());
}

#[tokio::test]
async fn a_lost_answer_of_a_versioned_update_is_judged_by_reading_back() {
    let composite = |kind: &str| json!({"kind": kind, "path": "*/composite", "method": "POST", "times": 1});
    for (kind, sendings) in [("drop_after_commit", 1), ("503_after_commit", 1), ("503", 2)] {
        let org = small().await;
        let contacts = open(&org, "Contact").await;
        let ids: Vec<String> = org.stored("Contact").into_iter().take(3).collect();
        let rows = versioned(&org, &contacts, &ids, "Head").await;
        org.fault(composite(kind)).await;
        let outcomes = contacts.update(&org.cx, &rows, &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["updated"; 3], "{kind}: {outcomes:?}");
        for id in &ids {
            assert_eq!(row_of(&org, "Contact", id)["Title"], "Head", "{kind}");
        }
        assert_eq!(org.received("/composite").await.len(), sendings, "{kind}");
    }
}

#[tokio::test]
async fn a_parent_is_named_by_a_key_of_its_own() {
    let org = small().await;
    let contacts = open(&org, "Contact").await;
    let parent = new(json!({"LastName": "Moreau", "Email": "m@example.com"}));
    let contact = created(&org, &contacts, vec![parent]).await.remove(0);
    let user = org.service_rows("User").remove(0);
    let invoices = open(&org, "Invoice__c").await;
    assert!(invoices.record_type().capability.create.as_ref().unwrap().parents_by_key);
    let rows = [
        new(json!({"Subject__c": "a", "Contact__r": {"Email": "m@example.com"},
                   "Owner": {"Username": user["Username"]}})),
        new(json!({"Subject__c": "b", "Contact__r": {"Email": "m@example.com"}, "Contact__c": contact})),
        new(json!({"Subject__c": "c", "Contact__r": {"Emial": "m@example.com"}})),
        new(json!({"Subject__c": "d", "Contact__r": {"LastName": "Moreau"}})),
        new(json!({"Subject__c": "e", "Contact__r": {"Email": "nobody@example.com"}})),
        new(json!({"Subject__c": "f", "Contact__r": {"Email": 7.5}})),
        new(json!({"Subject__c": "g", "Kontakt__r": {"Email": "m@example.com"}})),
        new(json!({"Subject__c": "h", "Contact__r": {"Email": "m@example.com", "Id": contact}})),
        new(json!({"Subject__c": "i", "Contact__r": "m@example.com"})),
        new(json!({"Subject__c": "j", "Contact__r": null})),
    ];
    let outcomes = invoices.create(&org.cx, &rows, &none()).await.unwrap();
    let mut expected = vec!["failed"; rows.len()];
    (expected[0], expected[9]) = ("created", "created");
    assert_eq!(statuses(&outcomes), expected, "{outcomes:?}");
    let made = row_of(&org, "Invoice__c", &outcomes[0].key().unwrap().to_string());
    assert_eq!((&made["Contact__c"], &made["OwnerId"]), (&json!(contact), &user["Id"]));
    for (at, field, told) in [
        (1, "Contact__r", "stands beside Contact__c"),
        (2, "Contact__r.Emial", "did you mean Email?"),
        (3, "Contact__r.LastName", "is no key of Contact"),
        (4, "Contact__r.Email", "no record of type Contact with Email \"nobody@example.com\""),
        (5, "Contact__r.Email", "no record of type Contact with Email \"7.5\""),
        (6, "Kontakt__r", "has no such field"),
        (7, "Contact__r", "exactly one key"),
        (8, "Contact__r", "exactly one key"),
    ] {
        let fields = fields_told(&outcomes[at]);
        assert!(
            fields.iter().any(|(name, message)| name == field && message.contains(told)),
            "{at}: {fields:?}"
        );
        assert_eq!(outcomes[at].error().unwrap().kind(), ErrorKind::Invalid, "{at}");
    }
    let describes =
        org.received("/Contact/describe").await.len() + org.received("/User/describe").await.len();
    assert_eq!(describes, 2, "each parent's type was described once");

    let id = outcomes[0].key().unwrap().to_string();
    let version = {
        let read = invoices.get(&org.cx, &by("Id"), &[Key::text(&id)], &[]).await.unwrap();
        read.into_iter().next().unwrap().unwrap().unwrap().version
    };
    let other = Change { if_version: version, ..change(&id, json!({"Contact__r": null, "Subject__c": "z"})) };
    let outcomes = invoices.update(&org.cx, &[other], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["updated"], "{outcomes:?}");
    assert_eq!(row_of(&org, "Invoice__c", &id)["Contact__c"], Value::Null);
    let outcomes = invoices
        .update(&org.cx, &[change(&id, json!({"Contact__r": {"Email": "M@example.com"}}))], &none())
        .await
        .unwrap();
    assert_eq!(statuses(&outcomes), ["updated"], "{outcomes:?}");
    assert_eq!(row_of(&org, "Invoice__c", &id)["Contact__c"], json!(contact));
}

#[tokio::test]
async fn the_type_beside_a_polymorphic_reference_must_agree_with_its_id() {
    let org = small().await;
    let user = org.stored("User").into_iter().next().unwrap();
    let username = row_of(&org, "User", &user)["Username"].clone();
    let cases = open(&org, "Case").await;
    let rows = [
        new(json!({"Subject": "a", "OwnerId": user, "OwnerId_type": "User"})),
        new(json!({"Subject": "b", "OwnerId": user, "OwnerId_type": "Group"})),
        new(json!({"Subject": "c", "OwnerId_type": "User"})),
        new(json!({"Subject": "d", "OwnerId_type": null})),
        new(json!({"Subject": "e", "Owner": {"Username": username}, "OwnerId_type": "User"})),
        new(json!({"Subject": "f", "Owner": {"Username": username}})),
    ];
    let outcomes = cases.create(&org.cx, &rows, &none()).await.unwrap();
    let expected = ["created", "failed", "failed", "created", "created", "failed"];
    assert_eq!(statuses(&outcomes), expected, "{outcomes:?}");
    let by_key = row_of(&org, "Case", &outcomes[4].key().unwrap().to_string());
    assert_eq!(by_key["OwnerId"], json!(user));
    for (at, told) in [
        (1, "is the id of a record of type User"),
        (2, "which this row does not set"),
        (5, "is needed beside Owner"),
    ] {
        let fields = fields_told(&outcomes[at]);
        assert!(fields[0].0 == "OwnerId_type" && fields[0].1.contains(told), "{fields:?}");
    }
    let sent = org.received("/composite/sobjects").await;
    assert!(!sent[0]["body"].to_string().contains("OwnerId_type"), "{}", sent[0]);
}

#[tokio::test]
async fn options_reach_salesforce_as_headers_and_unknown_ones_are_refused() {
    let org = small().await;
    let cases = open(&org, "Case").await;
    let row = || [new(json!({"Subject": "a"}))];
    let chosen = options(json!({"allow_duplicates": true, "assignment_rule": "none", "all_or_none": true}));
    let outcomes = cases.create(&org.cx, &row(), &chosen).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created"], "{outcomes:?}");
    let rule = options(json!({"assignment_rule": "01Q000000000001"}));
    let id = outcomes[0].key().unwrap().to_string();
    let outcomes = cases.update(&org.cx, &[change(&id, json!({"Subject": "b"}))], &rule).await.unwrap();
    assert_eq!(statuses(&outcomes), ["updated"], "{outcomes:?}");
    cases.create(&org.cx, &row(), &options(json!({"assignment_rule": "default"}))).await.unwrap();
    let sent = org.received("/composite/sobjects").await;
    let headers = |at: usize, name: &str| sent[at]["headers"][name].clone();
    assert_eq!(headers(0, "sforce-auto-assign"), "FALSE");
    assert_eq!(headers(0, "sforce-duplicate-rule-header"), "allowSave=true");
    assert!(sent[0]["body"].to_string().contains("allOrNone"));
    assert_eq!(headers(1, "sforce-auto-assign"), "01Q000000000001EAA", "{sent:#?}");
    assert_eq!(headers(2, "sforce-auto-assign"), Value::Null);
    for wrong in [
        json!({"assignment_rule": "sometimes"}),
        json!({"assignment_rule": true}),
        json!({"assignment_rul": "none"}),
        json!({"all_or_none": "maybe"}),
    ] {
        let error = cases.create(&org.cx, &row(), &options(wrong.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        assert_eq!(error.fields().len(), 1, "{wrong}: {error}");
    }
    let contacts = open(&org, "Contact").await;
    let error = contacts
        .create(&org.cx, &[new(json!({"LastName": "x"}))], &options(json!({"assignment_rule": "none"})))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("assignment_rule"), "{error}");
    assert_eq!(org.received("/composite/sobjects").await.len(), 3);
}
