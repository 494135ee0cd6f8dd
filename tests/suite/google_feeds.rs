//! Feeds of changes of calendars: those of events that break off, and those of the short lists around them.

use std::collections::BTreeMap;

use http::Method;
use recordport::error::ErrorKind;
use recordport::provider::ChangeKind;
use recordport::provider::changes::Feed;
use recordport::record::{Checkpoint, FieldPath, Key};
use serde_json::{Value, json};

use crate::support::diary::{Diary, OWN};

const EVENTS: &str = "event:primary";
const CALENDARS: &str = "calendar";
const ENTRIES: &str = "calendar_list_entry";
const RULES: &str = "acl_rule:primary";

/// What a feed's lines come to when they are applied in order.
#[derive(Default)]
struct Mirror {
    rows: BTreeMap<String, String>,
    notices: usize,
}

impl Mirror {
    /// Follows to the end. At each boundary of pages the feed is dropped, something is changed, and another feed goes on.
    async fn follow(
        &mut self,
        diary: &Diary,
        name: &str,
        since: Checkpoint,
        mut meanwhile: usize,
    ) -> (Checkpoint, usize) {
        let mut at = since;
        let mut pages = 0;
        let mut disturbed = false;
        loop {
            let records = diary.open(name).await;
            let select = ["id", "summary"].map(recordport::record::FieldPath::parse).to_vec();
            let mut feed = Feed::new(records, diary.org.cx.clone(), select, Some(at));
            let page = feed.next_page().await.expect("goes on");
            pages += 1;
            self.notices += usize::from(page.notice.is_some());
            for change in page.changes {
                let key = change.key.expect("a key").to_string();
                match (change.change, change.record) {
                    (ChangeKind::Deleted, None) => drop(self.rows.remove(&key)),
                    (_, Some(record)) => {
                        let summary = record.to_value().expect("JSON")["summary"].clone();
                        self.rows.insert(key, summary.to_string());
                    }
                    other => panic!("{other:?}"),
                }
            }
            at = Checkpoint::parse(&page.checkpoint.to_text()).expect("a checkpoint");
            if meanwhile > 0 {
                meanwhile -= 1;
                disturb(diary, pages).await;
                disturbed = true;
            } else if !page.more && !std::mem::take(&mut disturbed) {
                // The look began behind the last change.
                return (at, pages);
            }
        }
    }
}

/// Changes, deletes and creates an event in the owner's calendar.
async fn disturb(diary: &Diary, turn: usize) {
    let rows = diary.stored_in(OWN).await;
    let rows: Vec<Value> = rows.into_iter().filter(|row| row["recurringEventId"].is_null()).collect();
    let resource =
        |at: usize| format!("calendars/primary/events/{}", rows[at % rows.len()]["id"].as_str().unwrap());
    diary
        .send(Method::PATCH, &resource(20 + 7 * turn), json!({ "summary": format!("Changed {turn}") }))
        .await;
    diary.send(Method::DELETE, &resource(5 + 11 * turn), Value::Null).await;
    let mut new = json!({ "start": { "date": "2026-07-01" }, "end": { "date": "2026-07-02" } });
    new["summary"] = json!(format!("New {turn}"));
    diary.send(Method::POST, "calendars/primary/events", new).await;
}

async fn state(diary: &Diary, only: Option<&str>) -> BTreeMap<String, String> {
    let rows = match only {
        Some(calendar) => diary.stored_in(calendar).await,
        None => diary.stored().await,
    };
    let key = |row: &Value| json!([row["calendar_id"], row["id"]]).to_string();
    rows.iter().map(|row| (key(row), row["summary"].to_string())).collect()
}

async fn interrupted(diary: &Diary, name: &str, only: Option<&str>) -> usize {
    let records = diary.open(name).await;
    let mut mirror = Mirror::default();
    let (at, pages) = mirror.follow(diary, name, Checkpoint::beginning(records.record_type()), 3).await;
    assert_eq!(mirror.rows, state(diary, only).await, "from the beginning");
    // Changes by the token, then changes while the token is good no more.
    disturb(diary, 10).await;
    let (at, _) = mirror.follow(diary, name, at, 1).await;
    assert_eq!(mirror.rows, state(diary, only).await, "by the token");
    disturb(diary, 11).await;
    diary.control(Method::POST, "google-calendar/expire-sync-tokens", Value::Null).await;
    let before = mirror.notices;
    let (at, _) = mirror.follow(diary, name, at, 2).await;
    assert_eq!(mirror.notices, before + 1, "it says so");
    assert_eq!(mirror.rows, state(diary, only).await, "after the token's end");
    let (_, _) = mirror.follow(diary, name, at, 0).await;
    assert_eq!(mirror.rows, state(diary, only).await, "and nothing more");
    pages
}

/// An account whose lists come in pages that are shorter than asked for, as the service may give them.
async fn in_short_pages(rows: usize) -> Diary {
    let diary = Diary::new().await;
    diary.control(Method::POST, "google-calendar/page-rows", json!({ "most": rows })).await;
    diary
}

#[tokio::test]
async fn fault_29_a_feed_of_all_calendars_interrupted_anywhere_ends_with_the_services_state() {
    let diary = in_short_pages(60).await;
    let pages = interrupted(&diary, "event", None).await;
    assert!(pages >= 6, "{pages}");
}

#[tokio::test]
async fn fault_29_a_feed_of_one_calendar_interrupted_at_its_pages_ends_with_the_services_state() {
    let diary = in_short_pages(40).await;
    let pages = interrupted(&diary, EVENTS, Some(OWN)).await;
    assert!(pages >= 4, "{pages}");
}

/// A feed that is asked again and again.
struct Follower {
    name: &'static str,
    at: Option<Checkpoint>,
}

impl Follower {
    /// One that is told what changes from now on.
    async fn now(diary: &Diary, name: &'static str) -> Self {
        let mut feed = Self { name, at: None };
        assert_eq!(feed.told(diary).await, [], "a feed begins now");
        feed
    }

    async fn rows(&mut self, diary: &Diary, select: &[&str]) -> Vec<(ChangeKind, Key, Value)> {
        let select = select.iter().map(|path| FieldPath::parse(path)).collect();
        let records = diary.open(self.name).await;
        let mut feed = Feed::new(records, diary.org.cx.clone(), select, self.at.take());
        let page = feed.next_page().await.expect("goes on");
        assert!(!page.more, "short lists are told at once");
        self.at = Some(Checkpoint::parse(&page.checkpoint.to_text()).expect("a checkpoint"));
        let row = |record: Option<recordport::record::Record>| {
            record.map_or(Value::Null, |record| record.to_value().expect("JSON"))
        };
        let changes = page.changes.into_iter();
        changes.map(|change| (change.change, change.key.expect("a key"), row(change.record))).collect()
    }

    /// What changed, without the values.
    async fn told(&mut self, diary: &Diary) -> Vec<(ChangeKind, Key)> {
        let rows = self.rows(diary, &[]).await;
        rows.into_iter().map(|(change, key, _)| (change, key)).collect()
    }
}

#[tokio::test]
async fn calendars_and_their_entries_tell_every_change_that_they_show() {
    let diary = Diary::new().await;
    let mut calendars = Follower::now(&diary, CALENDARS).await;
    let mut entries = Follower::now(&diary, ENTRIES).await;
    let made = diary.create(CALENDARS, json!({ "summary": "Guild" })).await;
    let told = |change: ChangeKind| vec![(change, made.clone())];
    assert_eq!(calendars.told(&diary).await, told(ChangeKind::Created));
    assert_eq!(entries.told(&diary).await, told(ChangeKind::Created));
    // The entry shows the title, and a sync token of the list would not tell that it changed.
    diary.update(CALENDARS, &made, json!({ "summary": "Order" })).await;
    assert_eq!(calendars.told(&diary).await, told(ChangeKind::Updated));
    let shown = entries.rows(&diary, &["summary"]).await;
    assert_eq!(shown, [(ChangeKind::Updated, made.clone(), json!({ "summary": "Order" }))]);
    // Out of the list the calendar is still there.
    diary.delete(ENTRIES, &made, &Value::Null).await;
    assert_eq!(entries.told(&diary).await, told(ChangeKind::Deleted));
    assert_eq!(calendars.told(&diary).await, []);
    diary.update(CALENDARS, &made, json!({ "description": "All of us" })).await;
    assert_eq!(calendars.told(&diary).await, told(ChangeKind::Updated));
    diary.delete(CALENDARS, &made, &Value::Null).await;
    assert_eq!(calendars.told(&diary).await, told(ChangeKind::Deleted));
    assert_eq!(calendars.told(&diary).await, []);
    assert_eq!(entries.told(&diary).await, []);
}

#[tokio::test]
async fn rules_of_access_and_settings_are_followed() {
    let diary = Diary::new().await;
    let mut rules = Follower::now(&diary, RULES).await;
    let rule = json!({ "role": "reader", "scope": { "type": "user", "value": "grace@emulated.example" } });
    let made = diary.create(RULES, rule).await;
    assert_eq!(rules.told(&diary).await, [(ChangeKind::Created, made.clone())]);
    diary.update(RULES, &made, json!({ "role": "writer" })).await;
    assert_eq!(rules.told(&diary).await, [(ChangeKind::Updated, made.clone())]);
    diary.delete(RULES, &made, &Value::Null).await;
    assert_eq!(rules.told(&diary).await, [(ChangeKind::Deleted, made)]);

    let settings = diary.open("setting").await;
    let beginning = Checkpoint::beginning(settings.record_type());
    let mut feed = Follower { name: "setting", at: Some(beginning) };
    let listed = feed.told(&diary).await;
    assert_eq!(listed.len(), diary.search("setting", json!({})).await.len());
    assert!(listed.iter().all(|(change, _)| *change == ChangeKind::Created), "{listed:?}");
    assert_eq!(feed.told(&diary).await, []);
}

#[tokio::test]
async fn a_look_that_was_lost_is_told_again() {
    let diary = Diary::new().await;
    let mut rules = Follower::now(&diary, RULES).await;
    let before = rules.at.clone();
    let rule = json!({ "role": "reader", "scope": { "type": "domain", "value": "emulated.example" } });
    let made = diary.create(RULES, rule).await;
    let once = rules.told(&diary).await;
    rules.at = before;
    assert_eq!(rules.told(&diary).await, once);
    assert_eq!(once, [(ChangeKind::Created, made)]);
}

#[tokio::test]
async fn fault_25_a_list_that_leads_back_to_its_own_page_is_noticed() {
    let diary = Diary::new().await;
    for number in 0..250 {
        let scope = json!({ "type": "user", "value": format!("row{number}@emulated.example") });
        let rule = json!({ "role": "reader", "scope": scope });
        diary.send(Method::POST, "calendars/primary/acl", rule).await;
    }
    let mut rules = Follower::now(&diary, RULES).await;
    assert_eq!(rules.told(&diary).await, [], "two pages are read");
    let rule = json!({ "service": "google-calendar", "path": "*/acl", "kind": "loop" });
    diary.control(Method::POST, "faults", rule).await;
    let records = diary.open(RULES).await;
    let error = records.changes(&diary.org.cx, rules.at.as_ref(), &[]).await.expect_err("is noticed");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Protocol, Some("repeated_cursor")), "{error}");
    assert_eq!(error.provider(), Some("google-calendar"));
}
