//! Feeds of Jira's issues: what the lines say, applied in order, is what the site holds.

use std::collections::BTreeMap;

use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use recordport::emulator::EmulatorConfig;
use recordport::error::ErrorKind;
use recordport::provider::changes::Feed;
use recordport::provider::{ChangeKind, ChangePage};
use recordport::record::{Checkpoint, FieldPath};
use serde_json::{Value, json};

use super::support::jira_site::Site;

const DAY: u64 = 86_400;
const SELECT: [&str; 4] = ["key", "summary", "labels", "status"];

/// A site with two dozen issues.
async fn site(tells_deletions: bool) -> Site {
    let config = json!({ "email": "", "tell_deletions": tells_deletions });
    let site = Site::with(EmulatorConfig { empty: true, ..EmulatorConfig::default() }, config).await;
    for number in 0..24 {
        site.bug(json!({ "summary": format!("Old {number}") })).await;
    }
    site.advance(86_400).await;
    site
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
    fn at(kind: &'static str, place: Option<String>) -> Self {
        let select = SELECT.iter().map(|name| FieldPath::parse(name)).collect();
        Self { kind, select, place, rows: BTreeMap::new(), told: Vec::new(), notices: Vec::new() }
    }

    /// One that begins now, over what is there.
    async fn now(site: &Site) -> Self {
        let mut copy = Self::at("issue", None);
        copy.rows = stored(site).await;
        copy.read(site).await;
        assert_eq!(copy.told, [], "nothing is told of what was before");
        copy
    }

    /// One that lists everything first.
    async fn beginning(site: &Site, kind: &'static str) -> Self {
        let records = site.org.open(kind).await;
        Self::at(kind, Some(Checkpoint::beginning(records.record_type()).to_text()))
    }

    async fn ask(&self, site: &Site) -> recordport::error::Result<ChangePage> {
        let since = self.place.as_deref().map(|text| Checkpoint::parse(text).unwrap());
        let records = site.org.open(self.kind).await;
        Feed::new(records, site.org.cx.clone(), self.select.clone(), since).next_page().await
    }

    /// One page; tells whether there is more.
    async fn page(&mut self, site: &Site) -> bool {
        let page = self.ask(site).await.unwrap();
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
        self.place = Some(page.checkpoint.to_text());
        page.more
    }

    /// All pages there are now.
    async fn read(&mut self, site: &Site) {
        self.told.clear();
        self.notices.clear();
        while self.page(site).await {}
    }

    fn count(&self, kind: ChangeKind) -> usize {
        self.told.iter().filter(|(told, _)| *told == kind).count()
    }

    async fn is_exact(&self, site: &Site) {
        let stored = stored(site).await;
        let wrong: Vec<_> = stored.iter().filter(|(id, row)| self.rows.get(*id) != Some(row)).collect();
        assert!(wrong.is_empty(), "missing or stale: {wrong:?}");
        let gone: Vec<_> = self.rows.keys().filter(|id| !stored.contains_key(*id)).collect();
        assert!(gone.is_empty(), "still there: {gone:?}");
    }
}

/// The issues as the service stores them, in the form of records.
async fn stored(site: &Site) -> BTreeMap<String, Value> {
    let record = |row: &Value| {
        let fields = &row["fields"];
        let labels = if fields["labels"].is_null() { json!([]) } else { fields["labels"].clone() };
        json!({ "key": row["key"], "summary": fields["summary"], "labels": labels, "status": fields["status"]["id"] })
    };
    let rows = site.rows().await;
    rows.iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), record(row))).collect()
}

async fn summary(site: &Site, key: &str, text: &str) {
    site.send(Method::PUT, &format!("issue/{key}"), json!({ "fields": { "summary": text } })).await;
}

async fn delete(site: &Site, key: &str) {
    site.send(Method::DELETE, &format!("issue/{key}?deleteSubtasks=true"), Value::Null).await;
}

/// Some twenty random creates, edits, moves through the workflow and deletes.
async fn stir(site: &Site, chance: &mut StdRng, round: usize, deletes: bool) {
    let before = site.stored().await;
    let mut new = Vec::new();
    for at in 0..chance.random_range(4..6) {
        new.push(
            site.bug(json!({ "summary": format!("New {round}.{at}"), "labels": [format!("r{round}")] }))
                .await,
        );
    }
    for key in before.choose_multiple(chance, 5) {
        summary(site, key, &format!("Round {round}")).await;
    }
    for key in &new[..3] {
        site.send(Method::POST, &format!("issue/{key}/transitions"), json!({ "transition": { "id": "11" } }))
            .await;
    }
    if deletes {
        for key in before.choose_multiple(chance, 3).chain(&new[..1]) {
            delete(site, key).await;
        }
    }
}

#[tokio::test]
async fn a_feed_stopped_and_resumed_ten_times_ends_with_the_sites_state() {
    let site = site(true).await;
    let mut chance = StdRng::seed_from_u64(11);
    let mut copy = Copy::now(&site).await;
    for (round, pause) in [0, 1, 20, 3_600, 3 * DAY, 40 * DAY, 0, 14 * DAY, 0, 61].into_iter().enumerate() {
        stir(&site, &mut chance, round, true).await;
        site.advance(pause).await;
        copy.read(&site).await;
        copy.is_exact(&site).await;
        for kind in [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted] {
            assert!(copy.count(kind) > 0, "{kind:?} in round {round}");
        }
        assert_eq!(copy.notices, [""; 0]);
        copy.read(&site).await;
        assert_eq!(copy.told, [], "nothing is told twice");
    }
}

#[tokio::test]
async fn without_being_asked_for_deletions_are_not_told_and_cost_nothing() {
    let site = site(false).await;
    let records = site.org.open("issue").await;
    let told = |records: &std::sync::Arc<dyn recordport::provider::Records>| {
        records.record_type().capability.changes.as_ref().map(|changes| changes.deletions)
    };
    assert_eq!(told(&records), Some(false));
    let mut chance = StdRng::seed_from_u64(12);
    let mut copy = Copy::now(&site).await;
    for (round, pause) in [0, 30, DAY, 0].into_iter().enumerate() {
        stir(&site, &mut chance, round, false).await;
        site.advance(pause).await;
        copy.read(&site).await;
        copy.is_exact(&site).await;
        let kinds = (copy.count(ChangeKind::Created), copy.count(ChangeKind::Updated), copy.told.len());
        assert!(kinds.0 > 0 && kinds.1 > 0 && kinds.0 + kinds.1 == kinds.2, "{kinds:?}");
    }
    delete(&site, "OPS-1").await;
    let before = site.asked().await.len();
    copy.read(&site).await;
    assert_eq!(copy.told, []);
    assert_eq!(site.asked().await.len(), before + 1, "one question is enough");
    assert!(copy.place.as_ref().is_some_and(|place| place.len() < 4_000), "the checkpoint carries no keys");
}

#[tokio::test]
async fn fault_28_a_feed_from_the_beginning_goes_on_where_jira_forgot_its_place() {
    let config = json!({ "email": "", "tell_deletions": true });
    let site = Site::with(EmulatorConfig::default(), config).await;
    let mut copy = Copy::beginning(&site, "issue").await;
    let count = site.rows().await.len();
    assert!(copy.page(&site).await && count > 200, "{count} issues are several pages");
    for key in ["OPS-2", "OPS-50", "WEB-7", "WEB-80"] {
        summary(&site, key, "changed meanwhile").await;
    }
    site.bug(json!({})).await;
    let gone = site.bug(json!({})).await;
    delete(&site, &gone).await;
    delete(&site, "OPS-11").await;
    site.advance(8 * DAY).await;
    while copy.page(&site).await {}
    assert!(copy.notices.iter().any(|notice| notice.contains("no longer knows")), "{:?}", copy.notices);
    let mut created: Vec<&String> =
        copy.told.iter().filter(|(kind, _)| *kind == ChangeKind::Created).map(|(_, id)| id).collect();
    let all = created.len();
    created.sort_unstable();
    created.dedup();
    assert_eq!(created.len(), all, "an issue is new once");
    copy.is_exact(&site).await;
    copy.read(&site).await;
    assert_eq!(copy.told, []);
}

#[tokio::test]
async fn what_searches_know_late_is_told_later_and_once() {
    let site = site(true).await;
    site.lag(90).await;
    let mut copy = Copy::now(&site).await;
    for round in 0..4 {
        let key = site.bug(json!({})).await;
        summary(&site, "OPS-3", &format!("Round {round}")).await;
        copy.read(&site).await;
        let early = copy.told.len();
        site.advance(60).await;
        summary(&site, &key, &format!("Later {round}")).await;
        copy.read(&site).await;
        site.advance(120).await;
        copy.read(&site).await;
        copy.is_exact(&site).await;
        assert!(early <= 1, "{early}");
    }
    delete(&site, "OPS-3").await;
    copy.read(&site).await;
    let early = copy.count(ChangeKind::Deleted);
    site.advance(120).await;
    copy.read(&site).await;
    copy.is_exact(&site).await;
    assert_eq!(early + copy.count(ChangeKind::Deleted), 1);
    copy.read(&site).await;
    assert_eq!(copy.told, []);
}

#[tokio::test]
async fn another_selection_repeats_nothing_and_loses_nothing() {
    let site = site(false).await;
    site.bug(json!({})).await;
    let mut copy = Copy::now(&site).await;
    let key = site.bug(json!({})).await;
    copy.read(&site).await;
    assert_eq!(copy.told.len(), 1);
    copy.select = vec![FieldPath::parse("summary")];
    copy.read(&site).await;
    assert_eq!(copy.told, []);
    site.advance(1).await;
    summary(&site, &key, "changed").await;
    copy.select = vec![FieldPath::parse("key")];
    copy.read(&site).await;
    assert_eq!(copy.told.len(), 1);
    assert_eq!(copy.told[0].0, ChangeKind::Updated);
    assert_eq!(copy.rows[&copy.told[0].1], json!({ "key": key }));
}

#[tokio::test]
async fn a_feed_of_one_type_tells_what_belongs_to_it() {
    let site = site(true).await;
    let mut copy = Copy::beginning(&site, "issue:OPS/Bug").await;
    copy.read(&site).await;
    let bugs = site.rows().await;
    let bugs = bugs.iter().filter(|row| {
        row["fields"]["project"]["key"] == "OPS" && row["fields"]["issuetype"]["name"] == "Bug"
    });
    assert_eq!(copy.told.len(), bugs.count());
    assert!(copy.told.iter().all(|(kind, _)| *kind == ChangeKind::Created));
    let key = site.bug(json!({})).await;
    let story = json!({ "fields": {
        "project": { "key": "OPS" }, "issuetype": { "name": "Task" }, "summary": "of another type",
        "customfield_10030": "RC",
    } });
    site.send(Method::POST, "issue", story).await;
    copy.read(&site).await;
    assert_eq!(copy.told.len(), 1);
    delete(&site, &key).await;
    copy.read(&site).await;
    assert_eq!(copy.told.len(), 1);
    assert_eq!(copy.told[0].0, ChangeKind::Deleted);
}

#[tokio::test]
async fn a_checkpoint_of_another_type_or_with_damage_is_refused() {
    let site = site(false).await;
    let copy = Copy::now(&site).await;
    let whole = Checkpoint::parse(copy.place.as_ref().unwrap()).unwrap();
    for (kind, checkpoint, code) in [
        ("issue:OPS/Bug", whole.clone(), "foreign_checkpoint"),
        ("issue", Checkpoint { provider: "dynamics".to_owned(), ..whole.clone() }, "foreign_checkpoint"),
        ("issue", Checkpoint { position: json!({ "form": 99 }), ..whole.clone() }, "bad_checkpoint"),
        ("issue", Checkpoint { position: json!([]), ..whole.clone() }, "bad_checkpoint"),
        (
            "issue",
            Checkpoint { position: json!({ "form": 1, "from": "yesterday" }), ..whole.clone() },
            "bad_checkpoint",
        ),
    ] {
        let records = site.org.open(kind).await;
        let error = records.changes(&site.org.cx, Some(&checkpoint), &[]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some(code)), "{error}");
    }
}

#[tokio::test]
async fn deletions_that_are_asked_for_later_are_told_from_then_on() {
    let site = site(false).await;
    let mut copy = Copy::now(&site).await;
    let mut place = Checkpoint::parse(copy.place.as_ref().unwrap()).unwrap();
    // The same checkpoint at a connection that asks for deletions.
    let other = self::site(true).await;
    place.position["form"] = json!(1);
    copy.place = Some(place.to_text());
    copy.read(&other).await;
    assert!(copy.notices.iter().any(|notice| notice.contains("from now on")), "{:?}", copy.notices);
    delete(&other, "OPS-3").await;
    copy.read(&other).await;
    assert_eq!(copy.count(ChangeKind::Deleted), copy.told.len());
    assert!(!copy.told.is_empty());
    copy.is_exact(&other).await;
}
