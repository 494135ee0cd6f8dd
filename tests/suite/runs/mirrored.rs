//! A target that follows its source through random changes, with runs that stop and answers that are lost in between,
//! comes to what the source is.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use recordport::connect::home::Home;
use recordport::mapping::Mapping;
use recordport::provider::{Change, Edit, NewRow, Outcome, VersionedKey, WriteOptions};
use recordport::record::Key;
use recordport::run::{Counts, Journal, Mode, Plan, Progress, Run, RunState, Threshold, Watch};
use serde_json::{Value, json};

use super::sums::route;
use crate::support::org::{Org, OrgSettings};

const SEEDS: u64 = 6;
const ROUNDS: u32 = 6;
/// What only the accounts of these tests have.
const SITE: &str = "mirrored";

/// Lets some batches pass.
struct Batches(u32);

impl Watch for Batches {
    fn progress(&mut self, _: &Progress) {
        self.0 = self.0.saturating_sub(1);
    }

    fn stop(&self) -> bool {
        self.0 == 0
    }
}

fn set(value: &str) -> Edit {
    Edit::Set(serde_json::value::to_raw_value(value).expect("JSON"))
}

/// Accounts with a name and a number, as the source has them now.
struct Source<'o> {
    org: &'o Org,
    live: BTreeMap<Key, (String, String)>,
    /// How many numbers there are to choose from.
    numbers: u32,
}

impl Source<'_> {
    async fn create(&mut self, random: &mut StdRng) {
        let values: Vec<(String, String)> =
            (0..random.random_range(0..12)).map(|_| (word(random), self.number(random))).collect();
        let row = |(name, number): &(String, String)| {
            let fields = [("Name", name.as_str()), ("AccountNumber", number), ("Site", SITE)];
            NewRow {
                fields: fields.map(|(field, value)| (field.to_owned(), set(value))).into(),
                marker: None,
            }
        };
        let rows: Vec<NewRow> = values.iter().map(row).collect();
        let records = self.org.open("Account").await.expect("opens");
        let made = records.create(&self.org.cx, &rows, &WriteOptions::new()).await.expect("is answered");
        for (outcome, values) in made.into_iter().zip(values) {
            let Outcome::Created(key) = outcome else { panic!("{outcome:?}") };
            self.live.insert(key, values);
        }
    }

    async fn update(&mut self, random: &mut StdRng) {
        let mut changes = Vec::new();
        for key in self.some(random) {
            let (name, number) = self.live.get_mut(&key).expect("is there");
            *name = word(random);
            if random.random_bool(0.3) {
                *number = format!("mirror-{}", random.random_range(0..self.numbers));
            }
            let edits = vec![("Name".to_owned(), set(name)), ("AccountNumber".to_owned(), set(number))];
            changes.push(Change { key, edits, if_version: None });
        }
        let records = self.org.open("Account").await.expect("opens");
        let told = records.update(&self.org.cx, &changes, &WriteOptions::new()).await.expect("is answered");
        assert!(told.iter().all(|outcome| matches!(outcome, Outcome::Updated(_))), "{told:?}");
    }

    async fn delete(&mut self, random: &mut StdRng) {
        let gone = self.some(random);
        gone.iter().for_each(|key| drop(self.live.remove(key)));
        let rows: Vec<VersionedKey> =
            gone.into_iter().map(|key| VersionedKey { key, if_version: None }).collect();
        let records = self.org.open("Account").await.expect("opens");
        let told = records.delete(&self.org.cx, &rows, &WriteOptions::new()).await.expect("is answered");
        assert!(told.iter().all(|outcome| matches!(outcome, Outcome::Deleted(_))), "{told:?}");
    }

    fn some(&self, random: &mut StdRng) -> Vec<Key> {
        let share = random.random_range(0.0..0.5);
        self.live.keys().filter(|_| random.random_bool(share)).cloned().collect()
    }

    fn number(&self, random: &mut StdRng) -> String {
        format!("mirror-{}", random.random_range(0..self.numbers))
    }

    /// Some changes in any order.
    async fn stir(&mut self, random: &mut StdRng) {
        for _ in 0..random.random_range(1..5) {
            match random.random_range(0..3) {
                0 => self.create(random).await,
                1 => self.update(random).await,
                _ => self.delete(random).await,
            }
            if random.random_bool(0.5) {
                self.org.advance(2).await;
            }
        }
        self.org.advance(5).await;
    }
}

fn word(random: &mut StdRng) -> String {
    format!("name {}", random.random_range(0..1_000_000))
}

/// Follows the source once: stopped at some batches, resumed, and with an answer that is lost where that leaves nothing open.
async fn follow(
    org: &Org,
    journal: &Journal,
    mapping: &Mapping,
    random: &mut StdRng,
    lossy: &[&str],
) -> Counts {
    let plan = Plan {
        mapping_hash: String::new(),
        source_hash: String::new(),
        target_hash: String::new(),
        mode: Mode::Changes,
        limit: None,
        params: Vec::new(),
        timezone: "UTC".to_owned(),
        now: org.cx.clock.now(),
        max_failures: Threshold::default(),
    };
    if random.random_bool(0.5) {
        let method = lossy[random.random_range(0..lossy.len())];
        let kind = ["503", "drop_after_commit", "503_after_commit"][random.random_range(0..3)];
        let rule = json!({"service": "salesforce", "method": method, "path": "*/composite/*", "kind": kind,
            "nth": 1, "times": 1});
        org.fault(rule).await;
    }
    let begun = Run::start(journal.clone(), mapping.clone(), plan, route(org, mapping).await, false).await;
    let mut run = begun.expect("begins");
    loop {
        let id = run.id().to_owned();
        let mut watch = Batches(random.random_range(1..4));
        let ended = run.conduct(None, &mut watch).await.expect("is written down");
        if ended.summary.state == RunState::Finished {
            org.emulated.control(Method::DELETE, "faults", &Value::Null).await;
            return ended.summary.counts;
        }
        assert_eq!(ended.stopped.expect("was stopped").code(), Some("stopped"));
        let found = journal.run(&id).await.expect("is known");
        run = Run::resume(journal.clone(), found, route(org, mapping).await).await.expect("goes on");
    }
}

async fn journal() -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::prepare(&folder.path().join("home")).expect("a home");
    (folder, Journal::open(&home).await.expect("a journal"))
}

fn mapping(target: &Value, rest: &Value) -> Mapping {
    let mut document = json!({
        "recordport": "mapping/1",
        "name": "mirrored",
        "source": {"connection": "crm", "type": "Account", "query": {"where": format!("Site = '{SITE}'")}},
        "target": target,
        "on_source_delete": "delete",
    });
    document.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
    Mapping::parse(&document.to_string()).expect("a mapping")
}

/// Values of two fields of the rows in a target.
fn stored(org: &Org, kind: &str, fields: [&str; 2]) -> Vec<(String, String)> {
    let rows = org.service_fields(kind, &[fields[0], fields[1], "IsDeleted"]);
    let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    let live = rows.iter().filter(|row| row["IsDeleted"] != json!(true));
    let mut pairs: Vec<(String, String)> =
        live.filter_map(|row| Some((text(row, fields[0])?, text(row, fields[1])?))).collect();
    pairs.sort();
    pairs
}

#[tokio::test]
async fn what_was_created_follows_every_change_and_deletion() {
    for seed in 0..SEEDS {
        let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
        let (_folder, journal) = journal().await;
        let mapping = mapping(
            &json!({"connection": "crm", "type": "Lead", "operation": "create"}),
            &json!({
                "on_source_update": "update",
                "fields": [{"to": "LastName", "from": "Name"}, {"to": "Company", "from": "Id"}],
            }),
        );
        let mut random = StdRng::seed_from_u64(seed);
        let mut source = Source { org: &org, live: BTreeMap::new(), numbers: 1_000 };
        let before: BTreeSet<(String, String)> =
            stored(&org, "Lead", ["Company", "LastName"]).into_iter().collect();
        for round in 0..ROUNDS {
            source.stir(&mut random).await;
            // An answer to a create that is lost leaves it open, since a lead has nothing to be found by.
            let counts = follow(&org, &journal, &mapping, &mut random, &["PATCH", "DELETE"]).await;
            assert_eq!((counts.failed, counts.unknown), (0, 0), "{seed}/{round}: {counts:?}");
            let mut found = stored(&org, "Lead", ["Company", "LastName"]);
            found.retain(|lead| !before.contains(lead));
            let mut wanted: Vec<(String, String)> =
                source.live.iter().map(|(key, (name, _))| (key.to_string(), name.clone())).collect();
            wanted.sort();
            assert_eq!(found, wanted, "{seed}/{round}: {counts:?}");
        }
    }
}

#[tokio::test]
async fn what_several_share_is_there_as_long_as_one_of_them_is() {
    for seed in 0..SEEDS {
        let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
        let (_folder, journal) = journal().await;
        let mapping = mapping(
            &json!({"connection": "crm", "type": "Invoice__c", "operation": "upsert", "by": ["Code__c"]}),
            &json!({"fields": [{"to": "Code__c", "from": "AccountNumber"}, {"to": "Subject__c", "from": "Name"}]}),
        );
        let mut random = StdRng::seed_from_u64(100 + seed);
        let mut source = Source { org: &org, live: BTreeMap::new(), numbers: 8 };
        for round in 0..ROUNDS {
            source.stir(&mut random).await;
            let counts = follow(&org, &journal, &mapping, &mut random, &["PATCH", "DELETE"]).await;
            assert_eq!((counts.failed, counts.unknown), (0, 0), "{seed}/{round}: {counts:?}");
            let found = stored(&org, "Invoice__c", ["Code__c", "Subject__c"]);
            let codes: BTreeSet<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
            let wanted: BTreeSet<&str> = source.live.values().map(|(_, number)| number.as_str()).collect();
            let lost: Vec<&&str> = wanted.difference(&codes).collect();
            assert!(lost.is_empty(), "{seed}/{round}: {lost:?} of {counts:?}");
            let own = found.iter().filter(|(code, _)| code.starts_with("mirror-"));
            assert_eq!(
                own.count(),
                codes.iter().filter(|code| code.starts_with("mirror-")).count(),
                "each once"
            );
        }
    }
}
