//! Feeds of changes against the emulated org: what the lines say, applied in order, is what the service holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use recordport::error::{Error, ErrorKind, Result};
use recordport::provider::changes::Feed;
use recordport::provider::{
    Change, ChangeKind, ChangePage, Edit, NewRow, Outcome, Records, VersionedKey, WriteOptions,
};
use recordport::record::{Checkpoint, FieldPath, Key};
use serde_json::{Value, json};

use crate::support::org::{Org, OrgSettings};

const SELECT: [&str; 5] = ["Id", "LastName", "Title", "ReportsToId", "SystemModstamp"];
const DAY: u64 = 86_400;

/// An org of a few hundred contacts.
async fn small() -> Org {
    Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await
}

fn paths(names: &[&str]) -> Vec<FieldPath> {
    names.iter().map(|name| FieldPath::parse(name)).collect()
}

fn set(value: Value) -> Edit {
    Edit::Set(serde_json::value::to_raw_value(&value).unwrap())
}

/// Someone who keeps a copy by a feed, and nothing else between two pages but a checkpoint's text.
struct Copy {
    kind: &'static str,
    select: Vec<FieldPath>,
    place: Option<String>,
    rows: BTreeMap<String, Value>,
    /// What the last reading told, in order.
    told: Vec<(ChangeKind, String)>,
    notices: Vec<String>,
}

impl Copy {
    /// One that begins now, over what is there.
    async fn now(org: &Org, kind: &'static str) -> Self {
        let mut copy = Self::at(kind, None);
        copy.rows = stored(org, kind);
        copy.read(org).await;
        assert_eq!(copy.told, [], "nothing is told of what was before");
        copy
    }

    /// One that lists everything first.
    async fn beginning(org: &Org, kind: &'static str) -> Self {
        let records = org.open(kind).await.unwrap();
        Self::at(kind, Some(Checkpoint::beginning(records.record_type()).to_text()))
    }

    fn at(kind: &'static str, place: Option<String>) -> Self {
        let select = paths(&SELECT);
        Self { kind, select, place, rows: BTreeMap::new(), told: Vec::new(), notices: Vec::new() }
    }

    async fn ask(&self, org: &Org) -> Result<ChangePage> {
        let since = self.place.as_deref().map(|text| Checkpoint::parse(text).unwrap());
        let records = org.open(self.kind).await?;
        Feed::new(records, org.cx.clone(), self.select.clone(), since).next_page().await
    }

    fn apply(&mut self, page: &ChangePage) {
        for change in &page.changes {
            let key = change.key.as_ref().unwrap().to_string();
            match (change.change, &change.record) {
                (ChangeKind::Deleted, None) => drop(self.rows.remove(&key)),
                (_, Some(record)) => drop(self.rows.insert(key.clone(), record.to_value().unwrap())),
                other => panic!("{other:?}"),
            }
            self.told.push((change.change, key));
        }
        self.notices.extend(page.notice.clone());
    }

    /// One page; tells whether there is more.
    async fn page(&mut self, org: &Org) -> bool {
        let page = self.ask(org).await.unwrap();
        self.apply(&page);
        self.place = Some(page.checkpoint.to_text());
        page.more
    }

    /// All pages there are now.
    async fn read(&mut self, org: &Org) {
        self.told.clear();
        self.notices.clear();
        while self.page(org).await {}
    }

    #[track_caller]
    fn is_exact(&self, org: &Org) {
        let stored = stored(org, self.kind);
        let wrong: Vec<_> = stored.iter().filter(|(id, row)| self.rows.get(*id) != Some(row)).collect();
        assert!(wrong.is_empty(), "missing or stale: {wrong:?}");
        let gone: Vec<_> = self.rows.keys().filter(|id| !stored.contains_key(*id)).collect();
        assert!(gone.is_empty(), "still there: {gone:?}");
    }
}

/// The rows of a type as the service stores them, in the form of records.
fn stored(org: &Org, kind: &str) -> BTreeMap<String, Value> {
    let rows = org.service_fields(kind, &SELECT);
    rows.iter()
        .map(|row| {
            let members = SELECT.iter().map(|name| {
                let value = match row[*name].as_str().and_then(|text| text.strip_suffix("+0000")) {
                    Some(instant) => json!(format!("{instant}Z")),
                    None => row[*name].clone(),
                };
                ((*name).to_owned(), value)
            });
            (row["Id"].as_str().unwrap().to_owned(), Value::Object(members.collect()))
        })
        .collect()
}

async fn advance(org: &Org, seconds: u64) {
    let (status, answer) =
        org.emulated.control(Method::POST, "clock", &json!({ "advance_seconds": seconds })).await;
    assert_eq!(status, 200, "{answer}");
}

async fn control(org: &Org, what: &str, body: Value) {
    let (status, answer) = org.emulated.control(Method::POST, &format!("salesforce/{what}"), &body).await;
    assert!(status == 200 || status == 204, "{status}: {answer}");
}

async fn create(records: &Arc<dyn Records>, org: &Org, names: &[String]) -> Vec<Key> {
    let field = if records.record_type().field("LastName").is_some() { "LastName" } else { "Name" };
    let rows: Vec<NewRow> = names
        .iter()
        .map(|name| NewRow { fields: vec![(field.to_owned(), set(json!(name)))], marker: None })
        .collect();
    let outcomes = records.create(&org.cx, &rows, &WriteOptions::new()).await.unwrap();
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Created(key) => key.clone(),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn title(records: &Arc<dyn Records>, org: &Org, keys: &[Key], text: &str) {
    let rows: Vec<Change> = keys
        .iter()
        .map(|key| Change {
            key: key.clone(),
            edits: vec![("Title".to_owned(), set(json!(text)))],
            if_version: None,
        })
        .collect();
    for outcome in records.update(&org.cx, &rows, &WriteOptions::new()).await.unwrap() {
        assert_eq!(outcome.status(), "updated", "{outcome:?}");
    }
}

async fn delete(records: &Arc<dyn Records>, org: &Org, keys: &[Key]) {
    let rows: Vec<VersionedKey> =
        keys.iter().map(|key| VersionedKey { key: key.clone(), if_version: None }).collect();
    for outcome in records.delete(&org.cx, &rows, &WriteOptions::new()).await.unwrap() {
        assert_eq!(outcome.status(), "deleted", "{outcome:?}");
    }
}

/// Contacts that nothing refers to: deleting them changes no other row and is not refused.
fn loose(org: &Org, count: usize) -> Vec<Key> {
    let mut ids = org.stored("Contact");
    for (kind, field) in [("Contact", "ReportsToId"), ("Case", "ContactId")] {
        for row in org.service_rows(kind) {
            if let Some(id) = row[field].as_str() {
                ids.remove(id);
            }
        }
    }
    let loose: Vec<Key> = ids.into_iter().take(count).map(Key::text).collect();
    assert_eq!(loose.len(), count);
    loose
}

/// A hundred random creates, updates and deletes.
async fn stir(records: &Arc<dyn Records>, org: &Org, chance: &mut StdRng, round: usize) {
    let names: Vec<String> = (0..chance.random_range(20..50)).map(|at| format!("New {round}.{at}")).collect();
    let new = create(records, org, &names).await;
    let present: Vec<Key> = org.stored("Contact").into_iter().map(Key::text).collect();
    let some: Vec<Key> = present.choose_multiple(chance, 100 - names.len() - 20).cloned().collect();
    title(records, org, &some, &format!("Title {round}")).await;
    let mut gone: Vec<Key> = present.choose_multiple(chance, 12).cloned().collect();
    gone.extend(new.iter().take(3).cloned());
    gone.sort();
    gone.dedup();
    let rows: Vec<VersionedKey> =
        gone.into_iter().map(|key| VersionedKey { key, if_version: None }).collect();
    // Some are held by cases and stay.
    let outcomes = records.delete(&org.cx, &rows, &WriteOptions::new()).await.unwrap();
    assert!(outcomes.iter().any(|outcome| outcome.status() == "deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_stopped_and_resumed_ten_times_ends_with_the_services_state() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut chance = StdRng::seed_from_u64(11);
    let mut copy = Copy::now(&org, "Contact").await;
    for (round, pause) in
        [0, 1, 20, 3_600, 3 * DAY, 40 * DAY, 0, 14 * DAY, 16 * DAY, 0].into_iter().enumerate()
    {
        stir(&records, &org, &mut chance, round).await;
        advance(&org, pause).await;
        if pause > 0 && round % 2 == 0 {
            stir(&records, &org, &mut chance, 100 + round).await;
        }
        copy.read(&org).await;
        copy.is_exact(&org);
        let compared = copy.notices.iter().any(|notice| notice.contains("were compared"));
        assert_eq!(compared, pause > 15 * DAY, "{:?}", copy.notices);
        let kinds = [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted];
        assert!(kinds.iter().all(|kind| copy.told.iter().any(|(told, _)| told == kind)), "each is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_from_the_beginning_lists_everything_however_it_is_interrupted() {
    let org = Org::with(OrgSettings { scale: 8, ..OrgSettings::default() }).await;
    let records = org.open("Contact").await.unwrap();
    let mut chance = StdRng::seed_from_u64(12);
    let mut copy = Copy::beginning(&org, "Contact").await;
    let count = stored(&org, "Contact").len();
    assert!(count > 2_000, "{count} rows are several pages");
    let mut pages = 1;
    while copy.page(&org).await {
        assert!(copy.told.iter().all(|(kind, _)| *kind != ChangeKind::Deleted), "a listing deletes nothing");
        stir(&records, &org, &mut chance, pages).await;
        advance(&org, 60).await;
        pages += 1;
    }
    assert!(pages >= 2, "{pages} pages");
    copy.read(&org).await;
    copy.is_exact(&org);
    advance(&org, 40 * DAY).await;
    stir(&records, &org, &mut chance, 50).await;
    copy.read(&org).await;
    copy.is_exact(&org);
    assert!(copy.told.len() < 200, "{} lines", copy.told.len());
}

#[tokio::test]
async fn a_page_that_was_applied_and_not_kept_comes_again() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    let keys = create(&records, &org, &["one".to_owned(), "two".to_owned()]).await;
    delete(&records, &org, &loose(&org, 1)).await;
    let lost = copy.ask(&org).await.unwrap();
    copy.apply(&lost);
    let first = std::mem::take(&mut copy.told);
    assert_eq!(first.len(), 3);
    title(&records, &org, &keys[..1], "later").await;
    copy.read(&org).await;
    assert_eq!(copy.told.len(), 3, "all of it comes again");
    copy.is_exact(&org);
    copy.read(&org).await;
    assert_eq!(copy.told, []);
}

#[tokio::test]
async fn a_feed_without_progress_repeats_nothing() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    create(&records, &org, &["before".to_owned()]).await;
    let mut copy = Copy::now(&org, "Contact").await;
    let key = create(&records, &org, &["after".to_owned()]).await.remove(0);
    for seconds in [0, 1, 30, 400, 400, 3_600, 20 * DAY] {
        copy.read(&org).await;
        let told = if seconds == 0 { vec![(ChangeKind::Created, key.to_string())] } else { Vec::new() };
        assert_eq!(copy.told, told, "after {seconds} seconds");
        advance(&org, seconds.max(1)).await;
    }
}

#[tokio::test]
async fn changes_within_one_second_are_all_told() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    let key = create(&records, &org, &["quick".to_owned()]).await;
    for round in 0..8 {
        title(&records, &org, &key, &format!("Title {round}")).await;
        copy.read(&org).await;
        let kind = if round == 0 { ChangeKind::Created } else { ChangeKind::Updated };
        assert_eq!(copy.told, [(kind, key[0].to_string())]);
        copy.is_exact(&org);
    }
    delete(&records, &org, &key).await;
    copy.read(&org).await;
    assert_eq!(copy.told, [(ChangeKind::Deleted, key[0].to_string())]);
}

#[tokio::test]
async fn another_selection_repeats_nothing_and_loses_nothing() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    create(&records, &org, &["before".to_owned()]).await;
    let mut copy = Copy::at("Contact", None);
    copy.select.clear();
    copy.rows = stored(&org, "Contact");
    copy.read(&org).await;
    copy.select = paths(&SELECT);
    let key = create(&records, &org, &["after".to_owned()]).await;
    copy.read(&org).await;
    assert_eq!(copy.told, [(ChangeKind::Created, key[0].to_string())]);
    title(&records, &org, &key, "changed").await;
    copy.select = paths(&["SystemModstamp", "Title"]);
    copy.read(&org).await;
    assert_eq!(copy.told, [(ChangeKind::Updated, key[0].to_string())]);
    assert_eq!(copy.rows[&key[0].to_string()]["Title"], "changed");
}

#[tokio::test]
async fn what_is_created_and_deleted_between_two_looks_is_not_told() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    let key = create(&records, &org, &["short".to_owned()]).await;
    delete(&records, &org, &key).await;
    advance(&org, 120).await;
    copy.read(&org).await;
    assert_eq!(copy.told, []);
    copy.is_exact(&org);
}

#[tokio::test]
async fn a_checkpoint_of_another_type_or_with_damage_is_refused() {
    let org = small().await;
    let copy = Copy::now(&org, "Contact").await;
    let text = copy.place.clone().unwrap();
    let refused = |kind: &'static str, checkpoint: Checkpoint| {
        let org = &org;
        async move {
            let records = org.open(kind).await.unwrap();
            let error = records.changes(&org.cx, Some(&checkpoint), &[]).await.unwrap_err();
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
async fn a_clock_of_ours_that_is_wrong_loses_nothing() {
    for (wrong, how) in [(600, "ten minutes fast"), (40 * DAY, "forty days fast")] {
        let org = small().await;
        let records = org.open("Contact").await.unwrap();
        let mut copy = Copy::now(&org, "Contact").await;
        org.clock.advance(Duration::from_secs(wrong));
        let some = loose(&org, 3);
        title(&records, &org, &some[..2], how).await;
        delete(&records, &org, &some[2..]).await;
        create(&records, &org, &[how.to_owned()]).await;
        copy.read(&org).await;
        assert_eq!(copy.told.len(), 4, "{how}");
        copy.is_exact(&org);
        let mut late = Copy::now(&org, "Contact").await;
        title(&records, &org, &some[..1], "again").await;
        late.read(&org).await;
        late.is_exact(&org);
        assert_eq!(late.told.len(), 1, "{how}");
    }
}

#[tokio::test]
async fn a_session_that_ends_within_a_feed_is_renewed_once() {
    let org = Org::with(OrgSettings { scale: 8, ..OrgSettings::default() }).await;
    let mut copy = Copy::beginning(&org, "Contact").await;
    assert!(copy.page(&org).await, "more than one page");
    org.fault(json!({ "kind": "expire_token", "times": 1 })).await;
    copy.read(&org).await;
    copy.is_exact(&org);
    assert_eq!(org.received("/services/oauth2/token").await.len(), 1);
}

#[tokio::test]
async fn fault_28_a_place_that_the_service_no_longer_knows_is_recovered_by_comparison() {
    for code in ["INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"] {
        let org = small().await;
        let records = org.open("Contact").await.unwrap();
        let mut copy = Copy::now(&org, "Contact").await;
        let gone = loose(&org, 2);
        delete(&records, &org, &gone).await;
        org.fault(json!({
            "path": "*/sobjects/Contact/deleted/*", "kind": "status", "status": 400,
            "body": [{ "message": "refused", "errorCode": code }]
        }))
        .await;
        copy.read(&org).await;
        assert!(copy.notices.iter().any(|notice| notice.contains("were compared")), "{:?}", copy.notices);
        assert_eq!(copy.told.len(), 2);
        copy.is_exact(&org);
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
        let org = Org::with(OrgSettings { scale, ..OrgSettings::default() }).await;
        let mut copy = Copy::beginning(&org, "Contact").await;
        org.fault(rule.clone()).await;
        copy.read(&org).await;
        copy.is_exact(&org);
        assert_eq!(copy.told.len(), copy.rows.len(), "{rule}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_feed_by_name() {
    let org = small().await;
    let mut copy = Copy::beginning(&org, "Contact").await;
    org.fault(json!({ "kind": "deep", "path": "*/queryAll*", "times": 2 })).await;
    let error: Error = copy.ask(&org).await.unwrap_err();
    assert_eq!(error.code(), Some("bad_record"), "{error}");
    copy.read(&org).await;
    copy.is_exact(&org);
}

#[tokio::test]
async fn a_feed_without_keys_tells_deletions_while_the_service_keeps_them() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    let mut place = Checkpoint::parse(&copy.place.clone().unwrap()).unwrap();
    place.position["known"] = Value::Null;
    copy.place = Some(place.to_text());
    advance(&org, 3_600).await;
    let keys = create(&records, &org, &["new".to_owned(), "short".to_owned()]).await;
    let some = loose(&org, 2);
    title(&records, &org, &some[..1], "changed").await;
    delete(&records, &org, &some[1..]).await;
    delete(&records, &org, &keys[1..]).await;
    copy.read(&org).await;
    let kind = |key: &Key| copy.told.iter().find(|(_, id)| *id == key.to_string()).map(|(kind, _)| *kind);
    assert_eq!(kind(&keys[0]), Some(ChangeKind::Created));
    assert_eq!(kind(&some[0]), Some(ChangeKind::Updated));
    assert_eq!(kind(&some[1]), Some(ChangeKind::Deleted));
    copy.is_exact(&org);
    for _ in 0..3 {
        advance(&org, 120).await;
        copy.read(&org).await;
        assert_eq!(copy.told, []);
    }
    delete(&records, &org, &some[..1]).await;
    advance(&org, 20 * DAY).await;
    copy.read(&org).await;
    assert!(copy.notices[0].contains("cannot be told"), "{:?}", copy.notices);
}

#[tokio::test]
async fn what_is_committed_late_is_not_lost() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    advance(&org, 3_600).await;
    let key = create(&records, &org, &["in time".to_owned()]).await;
    copy.read(&org).await;
    assert_eq!(copy.told.len(), 1);
    control(&org, "commit-delay", json!({ "seconds": 500 })).await;
    title(&records, &org, &key, "late").await;
    let late = create(&records, &org, &["late".to_owned()]).await;
    let gone = loose(&org, 2);
    delete(&records, &org, &gone).await;
    copy.read(&org).await;
    assert_eq!(copy.told.len(), 4, "{:?}", copy.told);
    assert!(copy.told.contains(&(ChangeKind::Created, late[0].to_string())));
    copy.is_exact(&org);
    copy.read(&org).await;
    assert_eq!(copy.told, []);
}

#[tokio::test]
async fn what_comes_back_from_the_recycle_bin_comes_back_in_the_feed() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    let some = loose(&org, 2);
    let ids: Vec<String> = some.iter().map(ToString::to_string).collect();
    delete(&records, &org, &some[..1]).await;
    advance(&org, 120).await;
    copy.read(&org).await;
    assert_eq!(copy.told, [(ChangeKind::Deleted, ids[0].clone())]);
    // One is brought back after its deletion was told, the other between two looks.
    delete(&records, &org, &some[1..]).await;
    advance(&org, 120).await;
    control(&org, "undelete", json!({ "ids": ids })).await;
    copy.read(&org).await;
    copy.is_exact(&org);
    for _ in 0..4 {
        advance(&org, 120).await;
        copy.read(&org).await;
        assert_eq!(copy.told, [], "the log still tells both deletions");
    }
    copy.is_exact(&org);
}

#[tokio::test]
async fn what_is_removed_from_the_recycle_bin_is_told_by_the_log() {
    let org = small().await;
    let records = org.open("Contact").await.unwrap();
    let mut copy = Copy::now(&org, "Contact").await;
    let gone = loose(&org, 3);
    delete(&records, &org, &gone).await;
    control(&org, "empty-recycle-bin", Value::Null).await;
    advance(&org, 60).await;
    copy.read(&org).await;
    assert_eq!(copy.told.len(), 3);
    assert!(copy.notices.is_empty(), "{:?}", copy.notices);
    copy.is_exact(&org);
}
