//! The fault matrix for writes: what becomes of rows whose answer is lost, refused in part, or met a lock.

use http::Method;
use recordport::error::{ErrorKind, Retry};
use recordport::provider::{NewRow, Outcome, VersionedKey};
use recordport::record::Key;
use serde_json::{Value, json};

use super::salesforce_writes::{change, new, none, open, options, small, statuses};
use super::support::org::Org;

const LOST: [&str; 2] = ["drop_after_commit", "503_after_commit"];

fn on_writes(kind: &str, method: &str) -> Value {
    json!({ "kind": kind, "path": "*/composite/sobjects*", "method": method, "times": 1 })
}

fn answer(status: u16, body: &Value) -> Value {
    json!({ "kind": "status", "status": status, "path": "*/composite/sobjects*", "times": 1, "body": body })
}

async fn writes(org: &Org) -> usize {
    org.received("/composite/sobjects").await.len()
}

fn with_subject(org: &Org, subject: &str) -> Vec<Value> {
    org.service_rows("Invoice__c").into_iter().filter(|row| row["Subject__c"] == subject).collect()
}

#[tokio::test]
async fn fault_49_a_create_whose_answer_is_lost_is_found_by_its_external_id() {
    for kind in LOST {
        let org = small().await;
        let invoices = open(&org, "Invoice__c").await;
        org.fault(on_writes(kind, "POST")).await;
        let marked = NewRow {
            marker: Some(json!({"External_Id__c": "run-7/0"})),
            ..new(json!({"Subject__c": "lost", "Amount__c": 1.5}))
        };
        let own = new(json!({"Subject__c": "lost", "Code__c": "Own-1"}));
        let bare = new(json!({"Subject__c": "lost"}));
        let outcomes = invoices.create(&org.cx, &[marked, own, bare], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["created", "created", "unknown"], "{kind}: {outcomes:?}");
        let stored = with_subject(&org, "lost");
        assert_eq!(stored.len(), 3, "{kind}: each row is one record");
        for (at, field, value) in [(0, "External_Id__c", "run-7/0"), (1, "Code__c", "Own-1")] {
            let row = stored.iter().find(|row| row[field] == value).expect("stored");
            assert_eq!(row["Id"], json!(outcomes[at].key().unwrap().to_string()), "{kind}");
        }
        assert_eq!(writes(&org).await, 1, "{kind}: nothing was sent again");
    }
}

#[tokio::test]
async fn fault_49_without_an_external_id_the_outcome_is_unknown_and_there_is_one_record() {
    for kind in LOST {
        let org = small().await;
        let contacts = open(&org, "Contact").await;
        let before = org.stored("Contact").len();
        org.fault(on_writes(kind, "POST")).await;
        let outcomes = contacts.create(&org.cx, &[new(json!({"LastName": "Once"}))], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["unknown"], "{kind}");
        assert_eq!(org.stored("Contact").len(), before + 1, "{kind}");
        assert_eq!(writes(&org).await, 1, "{kind}");
    }
}

#[tokio::test]
async fn fault_49_a_create_that_did_not_arrive_is_sent_again() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    org.fault(json!({"kind": "503", "path": "*/composite/sobjects*", "method": "POST", "times": 2})).await;
    let row = new(json!({"Subject__c": "again", "External_Id__c": "again-1"}));
    let outcomes = invoices.create(&org.cx, &[row], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created"], "{outcomes:?}");
    assert_eq!(with_subject(&org, "again").len(), 1);
    assert_eq!(writes(&org).await, 3);
    assert!(org.clock.waits().len() >= 2, "what is lost may still be under way");
}

#[tokio::test]
async fn fault_49_a_service_that_stays_away_leaves_the_outcome_unknown() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    org.fault(json!({"kind": "503", "path": "*/composite/sobjects*", "method": "POST", "times": 99})).await;
    let row = new(json!({"Subject__c": "away", "External_Id__c": "away-1"}));
    let outcomes = invoices.create(&org.cx, &[row], &none()).await.unwrap();
    let Outcome::Unknown { marker: Some(marker), .. } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(marker["External_Id__c"], "away-1", "whoever keeps the outcome can ask again");
    assert_eq!(writes(&org).await, 3, "a bounded number of times");
    org.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    use recordport::provider::Settled;
    let settled = invoices.settle(&org.cx, std::slice::from_ref(marker)).await.unwrap();
    assert_eq!(settled, [Settled::Absent]);
}

#[tokio::test]
async fn fault_49_another_record_with_the_same_external_id_is_not_taken_for_the_row() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    let rows = org.service_rows("Invoice__c");
    let taken = rows.iter().find_map(|row| row["External_Id__c"].as_str()).expect("one has an external id");
    org.fault(on_writes("503", "POST")).await;
    let row = new(json!({"Subject__c": "mine", "External_Id__c": taken}));
    let outcomes = invoices.create(&org.cx, &[row], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["failed"], "{outcomes:?}");
    assert_eq!(outcomes[0].error().unwrap().code(), Some("DUPLICATE_VALUE"));
    assert!(with_subject(&org, "mine").is_empty());
}

#[tokio::test]
async fn fault_49_rows_that_belong_together_are_not_sent_again_in_part() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    org.fault(on_writes("503", "POST")).await;
    let rows =
        [new(json!({"Subject__c": "part", "External_Id__c": "part-1"})), new(json!({"Subject__c": "part"}))];
    let together = options(json!({"all_or_none": true}));
    let outcomes = invoices.create(&org.cx, &rows, &together).await.unwrap();
    assert_eq!(statuses(&outcomes), ["unknown", "unknown"], "{outcomes:?}");
    assert!(with_subject(&org, "part").is_empty());
    assert_eq!(writes(&org).await, 1);
}

#[tokio::test]
async fn fault_50_updates_upserts_and_deletes_whose_answer_is_lost_are_repeated() {
    for kind in LOST {
        let org = small().await;
        let invoices = open(&org, "Invoice__c").await;
        let id = org.stored("Invoice__c").into_iter().next().unwrap();
        let count = org.stored("Invoice__c").len();

        org.fault(on_writes(kind, "PATCH")).await;
        let row = change(&id, json!({"Subject__c": "changed"}));
        let outcomes = invoices.update(&org.cx, &[row], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["updated"], "{kind}: {outcomes:?}");
        assert_eq!(with_subject(&org, "changed").len(), 1);

        org.fault(on_writes(kind, "PATCH")).await;
        let by = recordport::record::KeyFields::single("External_Id__c");
        let row = change("lost-1", json!({"Subject__c": "put"}));
        let outcomes = invoices.upsert(&org.cx, &by, &[row], &none()).await.unwrap();
        assert!(outcomes[0].key().is_some(), "{kind}: {outcomes:?}");
        assert_eq!(with_subject(&org, "put").len(), 1, "{kind}: a unique key keeps it one record");
        assert_eq!(org.stored("Invoice__c").len(), count + 1);

        org.fault(on_writes(kind, "DELETE")).await;
        let gone = VersionedKey { key: Key::text(&id), if_version: None };
        let outcomes = invoices.delete(&org.cx, &[gone], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["deleted"], "{kind}: gone after doubt is done: {outcomes:?}");
        assert!(!org.stored("Invoice__c").contains(&id));
    }
}

#[tokio::test]
async fn fault_50_an_upsert_by_a_field_that_is_not_unique_is_not_repeated_blindly() {
    let org = small().await;
    let contacts = open(&org, "Contact").await;
    org.fault(on_writes("drop_after_commit", "PATCH")).await;
    let by = recordport::record::KeyFields::single("Email");
    let row = change("only@example.com", json!({"LastName": "Only"}));
    let outcomes = contacts.upsert(&org.cx, &by, &[row], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["unknown"], "{outcomes:?}");
    assert_eq!(writes(&org).await, 1);
    let stored = org.service_rows("Contact");
    assert_eq!(stored.iter().filter(|row| row["Email"] == "only@example.com").count(), 1);
}

#[tokio::test]
async fn fault_51_rows_refused_in_a_batch_fail_alone() {
    let org = small().await;
    let leads = open(&org, "Lead").await;
    let before = org.stored("Lead").len();
    org.fault(on_writes("partial", "POST")).await;
    let rows: Vec<NewRow> =
        (0..200).map(|at| new(json!({"LastName": format!("n{at}"), "Company": "c"}))).collect();
    let outcomes = leads.create(&org.cx, &rows, &none()).await.unwrap();
    let failed: Vec<usize> = (0..200).filter(|at| outcomes[*at].error().is_some()).collect();
    assert_eq!(failed, [49, 99, 149, 199]);
    for at in failed {
        let error = outcomes[at].error().unwrap();
        assert_eq!(error.code(), Some("FIELD_CUSTOM_VALIDATION_EXCEPTION"));
    }
    assert_eq!(org.stored("Lead").len(), before + 196);
    let stored = org.service_rows("Lead");
    for at in [0, 48, 50, 198] {
        let id = outcomes[at].key().unwrap().to_string();
        let row = stored.iter().find(|row| row["Id"] == json!(id)).unwrap();
        assert_eq!(row["LastName"], format!("n{at}"), "the outcome is that row's own");
    }
}

#[tokio::test]
async fn fault_52_an_answer_of_another_length_makes_the_batch_ambiguous() {
    let one = json!({"id": "00Q000000000001AAA", "success": true, "errors": []});
    for body in [json!([]), json!([one]), json!([one, one, one])] {
        let org = small().await;
        let leads = open(&org, "Lead").await;
        org.fault(answer(200, &body)).await;
        let row = || new(json!({"LastName": "a", "Company": "b"}));
        let outcomes = leads.create(&org.cx, &[row(), row()], &none()).await.unwrap();
        assert_eq!(statuses(&outcomes), ["unknown", "unknown"], "{body}");
        assert_eq!(outcomes[0].error().unwrap().kind(), ErrorKind::Protocol);
        assert_eq!(writes(&org).await, 1, "{body}");
    }
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    org.fault(answer(200, &json!([one]))).await;
    let row = |id: &str| new(json!({"Subject__c": "counted", "External_Id__c": id}));
    let outcomes = invoices.create(&org.cx, &[row("n-1"), row("n-2")], &none()).await.unwrap();
    assert_eq!(
        statuses(&outcomes),
        ["created", "created"],
        "what carries a mark is looked for: {outcomes:?}"
    );
    assert_eq!(with_subject(&org, "counted").len(), 2);
}

#[tokio::test]
async fn fault_53_a_row_that_fails_the_schema_is_told_alone() {
    let org = small().await;
    let invoices = open(&org, "Invoice__c").await;
    let before = org.stored("Invoice__c").len();
    let rows = [
        new(json!({"Subject__c": "good"})),
        new(json!({"Subject__c": "bad", "Amount__c": "much"})),
        new(json!({"Subject__c": "bad", "Status__c": "Lost"})),
        new(json!({"Subject__c": "bad", "Nothing__c": 1})),
        new(json!({"Subject__c": "good"})),
    ];
    let outcomes = invoices.create(&org.cx, &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "failed", "failed", "failed", "created"]);
    for (at, field) in [(1, "Amount__c"), (2, "Status__c"), (3, "Nothing__c")] {
        let error = outcomes[at].error().unwrap();
        assert_eq!((error.kind(), error.fields()[0].field.as_str()), (ErrorKind::Invalid, field));
    }
    assert_eq!(org.stored("Invoice__c").len(), before + 2);
    let sent = org.received("/composite/sobjects").await;
    assert!(!sent[0]["body"].to_string().contains("bad"), "a bad row does not reach the service");
}

#[tokio::test]
async fn fault_54_rows_that_meet_a_lock_are_sent_again_alone() {
    let lock = json!({"statusCode": "UNABLE_TO_LOCK_ROW", "fields": [],
        "message": "unable to obtain exclusive access to this record or 1 records: 001000000000001AAA"});
    let org = small().await;
    let leads = open(&org, "Lead").await;
    let before = org.stored("Lead").len();
    let locked = json!([{"success": false, "errors": [lock]}, {"success": false, "errors": [lock]}]);
    org.fault(answer(200, &locked)).await;
    let row = || new(json!({"LastName": "a", "Company": "b"}));
    let outcomes = leads.create(&org.cx, &[row(), row()], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "created"], "{outcomes:?}");
    assert_eq!((org.stored("Lead").len(), org.clock.waits().len()), (before + 2, 1));

    // A lock that stays is told, after a bounded number of requests.
    let mut stays = answer(200, &json!([{"success": false, "errors": [lock]}]));
    stays["times"] = json!(99);
    org.fault(stays).await;
    let outcomes = leads.create(&org.cx, &[row()], &none()).await.unwrap();
    let error = outcomes[0].error().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Always));
    assert_eq!(writes(&org).await, 2 + 5);
}

#[tokio::test]
async fn fault_54_a_lock_of_the_whole_request_is_tried_again_and_a_conflict_is_not() {
    let body = |code: &str| json!([{"errorCode": code, "message": "unable to obtain exclusive access"}]);
    let org = small().await;
    let leads = open(&org, "Lead").await;
    let row = || [new(json!({"LastName": "a", "Company": "b"}))];
    org.fault(answer(400, &body("UNABLE_TO_LOCK_ROW"))).await;
    assert_eq!(statuses(&leads.create(&org.cx, &row(), &none()).await.unwrap()), ["created"]);
    assert_eq!(writes(&org).await, 2);
    for status in [409, 412] {
        let org = small().await;
        let leads = open(&org, "Lead").await;
        org.fault(answer(status, &body("A_CODE_OF_THE_FUTURE"))).await;
        let outcomes = leads.create(&org.cx, &row(), &none()).await;
        let error = match &outcomes {
            Ok(outcomes) => outcomes[0].error().expect("an error"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Conflict, "{status}");
        assert_eq!(writes(&org).await, 1, "{status}");
    }
}
