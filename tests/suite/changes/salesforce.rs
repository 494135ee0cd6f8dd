//! What is Salesforce's own: its windows, its log of deletions and its recycle bin.

use recordport::error::{Error, ErrorKind};
use recordport::provider::ChangeKind;
use recordport::record::{Checkpoint, Key};
use serde_json::{Value, json};

use super::{Copy, DAY, Place, SALESFORCE};

#[tokio::test]
async fn a_checkpoint_of_another_type_or_with_damage_is_refused() {
    let at = Place::small(&SALESFORCE).await;
    let copy = Copy::now(&at).await;
    let text = copy.place.clone().unwrap();
    let refused = |kind: &'static str, checkpoint: Checkpoint| {
        let at = &at;
        async move {
            let records = at.org.open(kind).await.unwrap();
            let error = records.changes(&at.org.cx, Some(&checkpoint), &[]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.advice().is_some(), "{error}");
            error.code().unwrap_or_default().to_owned()
        }
    };
    let whole = Checkpoint::parse(&text).unwrap();
    assert_eq!(refused("Account", whole.clone()).await, "foreign_checkpoint");
    let other = Checkpoint { provider: "jira".to_owned(), ..whole.clone() };
    assert_eq!(refused("Contact", other).await, "foreign_checkpoint");
    let spoil = |member: &str, value: Value| {
        let mut spoilt = whole.clone();
        spoilt.position[member] = value;
        spoilt
    };
    for (member, value) in [
        ("form", json!(99)),
        ("form", json!("x")),
        ("from", json!("yesterday")),
        ("at", json!(["2026-01-01T00:00:00Z", "' OR Id != '"])),
        ("at", json!([])),
        ("known", json!(["zz"])),
        ("known", json!(["", "0a"])),
        ("recent", json!("AAAA")),
        ("recent", json!("no base64")),
        ("select", json!({})),
    ] {
        assert_eq!(
            refused("Contact", spoil(member, value.clone())).await,
            "bad_checkpoint",
            "{member} {value}"
        );
    }
    for position in [json!([]), json!("x"), json!({}), json!(7)] {
        assert_eq!(refused("Contact", Checkpoint { position, ..whole.clone() }).await, "bad_checkpoint");
    }
    let far = json!("9999-01-01T00:00:00Z");
    assert_eq!(refused("Contact", spoil("from", far)).await, "bad_checkpoint");
}

#[tokio::test]
async fn a_session_that_ends_within_a_feed_is_renewed_once() {
    let at = Place::large(&SALESFORCE).await;
    let mut copy = Copy::beginning(&at);
    assert!(copy.page(&at.org).await, "more than one page");
    at.org.fault(json!({ "kind": "expire_token", "times": 1 })).await;
    copy.read(&at.org).await;
    copy.is_exact(&at);
    assert_eq!(at.org.received("/services/oauth2/token").await.len(), 1);
}

#[tokio::test]
async fn fault_28_a_place_that_the_service_no_longer_knows_is_recovered_by_comparison() {
    for code in ["INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"] {
        let at = Place::small(&SALESFORCE).await;
        let mut copy = Copy::now(&at).await;
        let gone = at.loose(2);
        at.delete(&gone).await;
        at.org
            .fault(json!({
                "path": "*/sobjects/Contact/deleted/*", "kind": "status", "status": 400,
                "body": [{ "message": "refused", "errorCode": code }]
            }))
            .await;
        copy.read(&at.org).await;
        assert!(copy.notices.iter().any(|notice| notice.contains("were compared")), "{:?}", copy.notices);
        assert_eq!(copy.told.len(), 2);
        copy.is_exact(&at);
    }
}

#[tokio::test]
async fn faults_on_the_way_lose_and_double_nothing() {
    for rule in [
        json!({ "kind": "reset", "path": "*/queryAll*" }),
        json!({ "kind": "badjson", "path": "*/queryAll*" }),
        json!({ "kind": "emptypage", "path": "*/queryAll*", "page": 2 }),
        json!({ "kind": "503", "times": 3 }),
        json!({ "kind": "html200", "path": "*/deleted/*" }),
        json!({ "kind": "badutf8", "path": "*/queryAll*", "page": 1 }),
    ] {
        let scale = if rule["page"] == json!(2) { 8 } else { 1 };
        let at = Place::scaled(&SALESFORCE, scale).await;
        let mut copy = Copy::beginning(&at);
        at.org.fault(rule.clone()).await;
        copy.read(&at.org).await;
        copy.is_exact(&at);
        assert_eq!(copy.told.len(), copy.rows.len(), "{rule}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_feed_by_name() {
    let at = Place::small(&SALESFORCE).await;
    let mut copy = Copy::beginning(&at);
    at.org.fault(json!({ "kind": "deep", "path": "*/queryAll*", "times": 2 })).await;
    let error: Error = copy.ask(&at.org).await.unwrap_err();
    assert_eq!(error.code(), Some("bad_record"), "{error}");
    copy.read(&at.org).await;
    copy.is_exact(&at);
}

#[tokio::test]
async fn a_feed_without_keys_tells_deletions_while_the_service_keeps_them() {
    let at = Place::small(&SALESFORCE).await;
    let mut copy = Copy::now(&at).await;
    let mut place = Checkpoint::parse(&copy.place.clone().unwrap()).unwrap();
    place.position["known"] = Value::Null;
    copy.place = Some(place.to_text());
    at.org.advance(3_600).await;
    let keys = at.create(&["new".to_owned(), "short".to_owned()]).await;
    let some = at.loose(2);
    at.title(&some[..1], "changed").await;
    at.delete(&some[1..]).await;
    at.delete(&keys[1..]).await;
    copy.read(&at.org).await;
    let kind = |key: &Key| copy.told.iter().find(|(_, id)| *id == key.to_string()).map(|(kind, _)| *kind);
    assert_eq!(kind(&keys[0]), Some(ChangeKind::Created));
    assert_eq!(kind(&some[0]), Some(ChangeKind::Updated));
    assert_eq!(kind(&some[1]), Some(ChangeKind::Deleted));
    copy.is_exact(&at);
    for _ in 0..3 {
        at.org.advance(120).await;
        copy.read(&at.org).await;
        assert_eq!(copy.told, []);
    }
    at.delete(&some[..1]).await;
    at.org.advance(20 * DAY).await;
    copy.read(&at.org).await;
    assert!(copy.notices[0].contains("cannot be told"), "{:?}", copy.notices);
}

#[tokio::test]
async fn what_is_committed_late_is_not_lost() {
    let at = Place::small(&SALESFORCE).await;
    let mut copy = Copy::now(&at).await;
    at.org.advance(3_600).await;
    let key = at.create(&["in time".to_owned()]).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told.len(), 1);
    at.org.control("commit-delay", json!({ "seconds": 500 })).await;
    at.title(&key, "late").await;
    let late = at.create(&["late".to_owned()]).await;
    let gone = at.loose(2);
    at.delete(&gone).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told.len(), 4, "{:?}", copy.told);
    assert!(copy.told.contains(&(ChangeKind::Created, late[0].to_string())));
    copy.is_exact(&at);
    copy.read(&at.org).await;
    assert_eq!(copy.told, []);
}

#[tokio::test]
async fn what_comes_back_from_the_recycle_bin_comes_back_in_the_feed() {
    let at = Place::small(&SALESFORCE).await;
    let mut copy = Copy::now(&at).await;
    let some = at.loose(2);
    let ids: Vec<String> = some.iter().map(ToString::to_string).collect();
    at.delete(&some[..1]).await;
    at.org.advance(120).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told, [(ChangeKind::Deleted, ids[0].clone())]);
    // One is brought back after its deletion was told, the other between two looks.
    at.delete(&some[1..]).await;
    at.org.advance(120).await;
    at.org.control("undelete", json!({ "ids": ids })).await;
    copy.read(&at.org).await;
    copy.is_exact(&at);
    for _ in 0..4 {
        at.org.advance(120).await;
        copy.read(&at.org).await;
        assert_eq!(copy.told, [], "the log still tells both deletions");
    }
    copy.is_exact(&at);
}

#[tokio::test]
async fn what_is_removed_from_the_recycle_bin_is_told_by_the_log() {
    let at = Place::small(&SALESFORCE).await;
    let mut copy = Copy::now(&at).await;
    let gone = at.loose(3);
    at.delete(&gone).await;
    at.org.control("empty-recycle-bin", Value::Null).await;
    at.org.advance(60).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told.len(), 3);
    assert!(copy.notices.is_empty(), "{:?}", copy.notices);
    copy.is_exact(&at);
}
