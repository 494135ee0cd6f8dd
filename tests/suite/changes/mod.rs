//! Feeds of changes against emulated services: what the lines say, applied in order, is what the service holds.

mod feeds;
mod salesforce;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use recordport::error::Result;
use recordport::provider::changes::Feed;
use recordport::provider::{
    Change, ChangeKind, ChangePage, Edit, NewRow, Outcome, Records, VersionedKey, WriteOptions,
};
use recordport::record::{Checkpoint, FieldPath, Key};
use serde_json::{Value, json};

use crate::support::org::{Org, OrgSettings, id_of};

/// A test for each case and service.
macro_rules! over_services {
    ($($case:ident: $($service:ident $followed:ident),+;)+) => {
        $(
            mod $case {
                $(
                    #[tokio::test(flavor = "multi_thread")]
                    async fn $service() {
                        super::feeds::$case(&super::$followed).await;
                    }
                )+
            }
        )+
    };
}

over_services! {
    a_feed_stopped_and_resumed_ten_times_ends_with_the_services_state: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    a_feed_from_the_beginning_lists_everything_however_it_is_interrupted: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    a_page_that_was_applied_and_not_kept_comes_again: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    a_feed_without_progress_repeats_nothing: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    changes_within_one_second_are_all_told: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    another_selection_repeats_nothing_and_loses_nothing: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    what_is_created_and_deleted_between_two_looks_is_not_told: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
    a_clock_of_ours_that_is_wrong_loses_nothing: salesforce SALESFORCE, dynamics DYNAMICS, jira JIRA;
}

const DAY: u64 = 86_400;

/// A type whose changes are followed, and how its service calls things.
#[derive(Debug)]
struct Followed {
    service: &'static str,
    kind: &'static str,
    /// What the feed selects.
    select: &'static [&'static str],
    /// The moment of the last change.
    changed: &'static str,
    /// The text that a new record needs.
    name: &'static str,
    /// What a new record needs besides.
    besides: fn() -> Value,
    /// How the connection is configured.
    config: fn() -> Value,
    /// A text that changes.
    title: &'static str,
    /// How long the service keeps what a feed needs.
    days: u64,
    /// Scale of an org of a few hundred records, and of one of several pages.
    scales: (u64, u64),
    /// References that forbid to delete their target, or change when it goes.
    references: &'static [(&'static str, &'static str)],
}

static SALESFORCE: Followed = Followed {
    service: "salesforce",
    kind: "Contact",
    select: &["Id", "LastName", "Title", "ReportsToId", "SystemModstamp"],
    changed: "SystemModstamp",
    name: "LastName",
    besides: nothing,
    config: nothing,
    title: "Title",
    days: 15,
    scales: (1, 8),
    references: &[("Contact", "ReportsToId"), ("Case", "ContactId")],
};

static DYNAMICS: Followed = Followed {
    service: "dynamics",
    kind: "contact",
    select: &["contactid", "lastname", "jobtitle", "modifiedon"],
    changed: "modifiedon",
    name: "lastname",
    besides: nothing,
    config: nothing,
    title: "jobtitle",
    days: 7,
    scales: (1, 7),
    references: &[("contact", "_parentcustomerid_value"), ("incident", "_customerid_value")],
};

static JIRA: Followed = Followed {
    service: "jira",
    kind: "issue",
    select: &["id", "summary", "updated"],
    changed: "updated",
    name: "summary",
    besides: || json!({ "project": "10000", "issuetype": "10003", "customfield_10020": "100202" }),
    config: || json!({ "tell_deletions": true }),
    title: "summary",
    // Each look compares, so that nothing ever ends.
    days: u64::MAX / DAY,
    scales: (1, 2),
    references: &[("issue", "parent")],
};

fn nothing() -> Value {
    json!({})
}

/// A member of a stored row, which Jira keeps among the fields of the issue; of a reference the id.
fn member<'r>(row: &'r Value, name: &str) -> &'r Value {
    let own = row.get(name).unwrap_or(&row["fields"][name]);
    own.get("id").unwrap_or(own)
}

/// Moments in one form.
fn plain(value: &Value) -> Value {
    let moment = |text: &str| {
        let own = jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).or_else(|_| text.parse());
        own.ok().map(|moment: jiff::Timestamp| json!(moment.to_string()))
    };
    value.as_str().and_then(moment).unwrap_or_else(|| value.clone())
}

fn paths(names: &[&str]) -> Vec<FieldPath> {
    names.iter().map(|name| FieldPath::parse(name)).collect()
}

fn set(value: Value) -> Edit {
    Edit::Set(serde_json::value::to_raw_value(&value).unwrap())
}

/// An org whose records are followed.
struct Place {
    org: Org,
    followed: &'static Followed,
    records: Arc<dyn Records>,
}

impl Place {
    /// One of a few hundred records.
    async fn small(followed: &'static Followed) -> Self {
        Self::scaled(followed, followed.scales.0).await
    }

    /// One whose records are several pages.
    async fn large(followed: &'static Followed) -> Self {
        Self::scaled(followed, followed.scales.1).await
    }

    async fn scaled(followed: &'static Followed, scale: u64) -> Self {
        let settings = OrgSettings {
            service: followed.service,
            scale,
            config: (followed.config)(),
            ..OrgSettings::default()
        };
        let org = Org::with(settings).await;
        let records = org.open(followed.kind).await.unwrap();
        Self { org, followed, records }
    }

    /// The rows as the service stores them, in the form of records.
    fn stored(&self) -> BTreeMap<String, Value> {
        let Followed { kind, select, .. } = self.followed;
        let mut wanted = select.to_vec();
        wanted.extend(["id", "fields"]);
        let rows = self.org.service_fields(kind, &wanted);
        rows.iter()
            .map(|row| {
                let members = select.iter().map(|name| ((*name).to_owned(), plain(member(row, name))));
                (id_of(kind, row).to_owned(), Value::Object(members.collect()))
            })
            .collect()
    }

    async fn create(&self, names: &[String]) -> Vec<Key> {
        let besides = (self.followed.besides)();
        let row = |name: &String| {
            let besides = besides.as_object().unwrap().iter();
            let own = [(self.followed.name.to_owned(), set(json!(name)))];
            let besides = besides.map(|(name, value)| (name.clone(), set(value.clone())));
            NewRow { fields: own.into_iter().chain(besides).collect(), marker: None }
        };
        let rows: Vec<NewRow> = names.iter().map(row).collect();
        let outcomes = self.records.create(&self.org.cx, &rows, &WriteOptions::new()).await.unwrap();
        outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Created(key) => key.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    async fn title(&self, keys: &[Key], text: &str) {
        let change = |key: &Key| Change {
            key: key.clone(),
            edits: vec![(self.followed.title.to_owned(), set(json!(text)))],
            if_version: None,
        };
        let rows: Vec<Change> = keys.iter().map(change).collect();
        for outcome in self.records.update(&self.org.cx, &rows, &WriteOptions::new()).await.unwrap() {
            assert_eq!(outcome.status(), "updated", "{outcome:?}");
        }
    }

    async fn delete(&self, keys: &[Key]) {
        for outcome in self.try_to_delete(keys).await {
            assert_eq!(outcome.status(), "deleted", "{outcome:?}");
        }
    }

    async fn try_to_delete(&self, keys: &[Key]) -> Vec<Outcome> {
        let row = |key: &Key| VersionedKey { key: key.clone(), if_version: None };
        let rows: Vec<VersionedKey> = keys.iter().map(row).collect();
        self.records.delete(&self.org.cx, &rows, &WriteOptions::new()).await.unwrap()
    }

    /// Records that nothing refers to: deleting them changes no other row and is not refused.
    fn loose(&self, count: usize) -> Vec<Key> {
        let mut ids = self.org.stored(self.followed.kind);
        for (kind, field) in self.followed.references {
            for row in self.org.service_fields(kind, &[field, "fields"]) {
                if let Some(id) = member(&row, field).as_str() {
                    ids.remove(id);
                }
            }
        }
        let loose: Vec<Key> = ids.into_iter().take(count).map(Key::text).collect();
        assert_eq!(loose.len(), count);
        loose
    }

    /// A hundred random creates, updates and deletes.
    async fn stir(&self, chance: &mut StdRng, round: usize) {
        let count = chance.random_range(20..50);
        let names: Vec<String> = (0..count).map(|at| format!("New {round}.{at}")).collect();
        let new = self.create(&names).await;
        let present: Vec<Key> = self.org.stored(self.followed.kind).into_iter().map(Key::text).collect();
        let some: Vec<Key> = present.choose_multiple(chance, 100 - names.len() - 20).cloned().collect();
        self.title(&some, &format!("Title {round}")).await;
        let mut gone: Vec<Key> = present.choose_multiple(chance, 12).cloned().collect();
        gone.extend(new.iter().take(3).cloned());
        gone.sort();
        gone.dedup();
        // Some may be held by others and stay.
        let outcomes = self.try_to_delete(&gone).await;
        assert!(outcomes.iter().any(|outcome| outcome.status() == "deleted"));
    }
}

/// Someone who keeps a copy by a feed, and nothing else between two pages but a checkpoint's text.
struct Copy {
    followed: &'static Followed,
    select: Vec<FieldPath>,
    place: Option<String>,
    rows: BTreeMap<String, Value>,
    /// What the last reading told, in order.
    told: Vec<(ChangeKind, String)>,
    notices: Vec<String>,
}

impl Copy {
    /// One that begins now, over what is there.
    async fn now(at: &Place) -> Self {
        let mut copy = Self::from(at.followed, None);
        copy.rows = at.stored();
        copy.read(&at.org).await;
        assert_eq!(copy.told, [], "nothing is told of what was before");
        copy
    }

    /// One that lists everything first.
    fn beginning(at: &Place) -> Self {
        Self::from(at.followed, Some(Checkpoint::beginning(at.records.record_type()).to_text()))
    }

    fn from(followed: &'static Followed, place: Option<String>) -> Self {
        let select = paths(followed.select);
        Self { followed, select, place, rows: BTreeMap::new(), told: Vec::new(), notices: Vec::new() }
    }

    async fn ask(&self, org: &Org) -> Result<ChangePage> {
        let since = self.place.as_deref().map(|text| Checkpoint::parse(text).unwrap());
        let records = org.open(self.followed.kind).await?;
        Feed::new(records, org.cx.clone(), self.select.clone(), since).next_page().await
    }

    fn apply(&mut self, page: &ChangePage) {
        for change in &page.changes {
            let key = change.key.as_ref().unwrap().to_string();
            match (change.change, &change.record) {
                (ChangeKind::Deleted, None) => drop(self.rows.remove(&key)),
                (_, Some(record)) => {
                    let mut row = record.to_value().unwrap();
                    row.as_object_mut().unwrap().values_mut().for_each(|value| *value = plain(value));
                    self.rows.insert(key.clone(), row);
                }
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
    fn is_exact(&self, at: &Place) {
        let stored = at.stored();
        let wrong: Vec<_> = stored.iter().filter(|(id, row)| self.rows.get(*id) != Some(row)).collect();
        assert!(wrong.is_empty(), "missing or stale: {wrong:?}");
        let gone: Vec<_> = self.rows.keys().filter(|id| !stored.contains_key(*id)).collect();
        assert!(gone.is_empty(), "still there: {gone:?}");
    }

    /// Whether the last reading says that all records were compared.
    fn compared(&self) -> bool {
        self.notices.iter().any(|notice| notice.contains("compared"))
    }
}

/// The same chances in every run.
fn chance(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
