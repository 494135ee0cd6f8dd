//! Series in Google Calendar: an occurrence with all that follow it, broken off at each step, and series of which no
//! occurrence is left.

use std::collections::BTreeSet;

use http::Method;
use recordport::provider::{Change, Outcome, VersionedKey};
use recordport::record::Key;
use serde_json::{Value, json};

use crate::support::diary::{Diary, edits, key};
use crate::support::org::{Org, OrgSettings, own_part};

const EVENTS: &str = "event:primary";
const OCCURRENCES: &str = "event_instance:primary";
/// The Thursdays of the series, on both sides of a change of the clock.
const PLACES: [&str; 8] = [
    "20270311T083000Z",
    "20270318T083000Z",
    "20270325T083000Z",
    "20270401T073000Z",
    "20270408T073000Z",
    "20270415T073000Z",
    "20270422T073000Z",
    "20270429T073000Z",
];
/// Where it is cut: behind are one that was moved, one that was taken away, one that has a place of its own.
const CUT: usize = 2;
const MOVED: usize = 4;
const GONE: usize = 5;
const ELSEWHERE: usize = 6;

fn berlin(time: &str) -> Value {
    json!({ "dateTime": time, "timeZone": "Europe/Berlin" })
}

/// Series of one account, told apart by their descriptions.
struct Trials {
    org: Org,
    made: usize,
}

/// One of them.
struct Series {
    name: String,
    id: String,
}

impl Series {
    fn occurrence(&self, place: usize) -> Key {
        key(&format!("{}_{}", self.id, PLACES[place]))
    }
}

impl Trials {
    async fn new() -> Self {
        let settings = OrgSettings { service: "google-calendar", scale: 1, ..OrgSettings::default() };
        Self { org: Org::with(settings).await, made: 0 }
    }

    async fn series(&mut self) -> Series {
        self.made += 1;
        let name = format!("trial {}", self.made);
        let row = json!({
            "summary": "Weekly", "description": name, "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=8"],
            "start": berlin("2027-03-11T09:30:00+01:00"), "end": berlin("2027-03-11T10:00:00+01:00"),
        });
        let row = recordport::provider::NewRow { fields: edits(&row), marker: None };
        let events = self.org.open(EVENTS).await.unwrap();
        let made = events.create(&self.org.cx, &[row], &serde_json::Map::new()).await.unwrap();
        let series = Series { name, id: own_part(made[0].key().unwrap()) };
        let moved = json!({
            "start": berlin("2027-04-08T15:00:00+02:00"), "end": berlin("2027-04-08T15:30:00+02:00"),
        });
        for (place, change) in [(MOVED, moved), (ELSEWHERE, json!({ "location": "Elsewhere" }))] {
            let outcome = self.change(&series.occurrence(place), &change, &Value::Null).await;
            assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
        }
        let outcome = self.delete(&series.occurrence(GONE), &Value::Null).await;
        assert!(matches!(outcome, Outcome::Deleted(_)), "{outcome:?}");
        series
    }

    async fn change(&self, key: &Key, change: &Value, options: &Value) -> Outcome {
        let rows = [Change { key: key.clone(), edits: edits(change), if_version: None }];
        let options = options.as_object().cloned().unwrap_or_default();
        let occurrences = self.org.open(OCCURRENCES).await.unwrap();
        occurrences.update(&self.org.cx, &rows, &options).await.unwrap().remove(0)
    }

    async fn delete(&self, key: &Key, options: &Value) -> Outcome {
        let rows = [VersionedKey { key: key.clone(), if_version: None }];
        let options = options.as_object().cloned().unwrap_or_default();
        let occurrences = self.org.open(OCCURRENCES).await.unwrap();
        occurrences.delete(&self.org.cx, &rows, &options).await.unwrap().remove(0)
    }

    /// Everything that takes place under the name of a series, in order.
    async fn take_place(&self, series: &Series) -> Vec<[String; 3]> {
        let bounds = "start.dateTime >= '2027-03-01T00:00:00Z' AND start.dateTime < '2027-06-01T00:00:00Z'";
        let query = json!({
            "where": format!("{bounds} AND description = '{}'", series.name),
            "select": ["start", "summary", "location", "description"],
        });
        let found = self.org.search(OCCURRENCES, query).await.complete();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut rows: Vec<[String; 3]> = found
            .records
            .iter()
            .map(|own| [text(&own["start"]["dateTime"]), text(&own["summary"]), text(&own["location"])])
            .collect();
        rows.sort_unstable();
        rows
    }

    async fn fault(&self, kind: &str, step: usize, times: u32) {
        let path = "/batch/calendar/v3";
        self.org.fault(json!({ "kind": kind, "path": path, "nth": step, "times": times })).await;
    }

    async fn no_more_faults(&self) {
        self.org.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    }
}

fn renamed() -> Value {
    json!({ "summary": "From then on" })
}

fn following() -> Value {
    json!({ "thisAndFollowing": true })
}

/// What takes place when all from a place on have another title.
fn renamed_from(before: &[[String; 3]], from: &str) -> Vec<[String; 3]> {
    let each = before.iter().map(|[start, summary, location]| {
        let title = if start.as_str() < from { summary.clone() } else { "From then on".to_owned() };
        [start.clone(), title, location.clone()]
    });
    each.collect()
}

#[tokio::test]
async fn a_change_of_all_that_follow_that_breaks_off_at_any_step_is_told_and_goes_on() {
    let mut trials = Trials::new().await;
    for step in 1..=4 {
        // Lost once, refused once, lost for good. The last step comes behind the cut.
        for (kind, times, told) in [
            ("503_after_commit", 1, "updated"),
            ("403", 1, if step < 4 { "failed" } else { "unknown" }),
            ("503", 99, "unknown"),
        ] {
            let what = format!("step {step}, {kind} {times} times");
            let series = trials.series().await;
            let before = trials.take_place(&series).await;
            assert_eq!(before.len(), PLACES.len() - 1, "{what}");
            let expected = renamed_from(&before, "2027-03-25");
            trials.fault(kind, step, times).await;
            let outcome = trials.change(&series.occurrence(CUT), &renamed(), &following()).await;
            assert_eq!(outcome.status(), told, "{what}: {outcome:?}");
            trials.no_more_faults().await;
            if told == "failed" {
                assert_eq!(trials.take_place(&series).await, before, "{what}: it is as it was");
            }
            if told == "unknown" {
                let advice = outcome.error().and_then(|error| error.advice()).unwrap_or_default();
                assert!(advice.contains("Send the same change again"), "{what}: {outcome:?}");
            }
            if told != "updated" {
                let again = trials.change(&series.occurrence(CUT), &renamed(), &following()).await;
                assert_eq!(again.status(), "updated", "{what}: {again:?}");
            }
            assert_eq!(trials.take_place(&series).await, expected, "{what}");
        }
    }
}

#[tokio::test]
async fn a_deletion_of_all_that_follow_that_breaks_off_is_told_and_goes_on() {
    let mut trials = Trials::new().await;
    for step in 1..=2 {
        for (kind, times, told) in [
            ("503_after_commit", 1, "deleted"),
            ("403", 1, if step < 2 { "failed" } else { "unknown" }),
            ("503", 99, "unknown"),
        ] {
            let what = format!("step {step}, {kind} {times} times");
            let series = trials.series().await;
            let before = trials.take_place(&series).await;
            trials.fault(kind, step, times).await;
            let outcome = trials.delete(&series.occurrence(CUT), &following()).await;
            assert_eq!(outcome.status(), told, "{what}: {outcome:?}");
            trials.no_more_faults().await;
            if told == "failed" {
                assert_eq!(trials.take_place(&series).await, before, "{what}: it is as it was");
            }
            let again = trials.delete(&series.occurrence(CUT), &following()).await;
            assert_eq!(again.status(), "deleted", "{what}: {again:?}");
            assert_eq!(trials.take_place(&series).await, before[..CUT], "{what}");
        }
    }
}

#[tokio::test]
async fn a_series_is_cut_at_an_occurrence_that_was_moved_or_taken_away_itself() {
    let mut trials = Trials::new().await;
    let series = trials.series().await;
    let before = trials.take_place(&series).await;
    let outcome = trials.change(&series.occurrence(MOVED), &renamed(), &following()).await;
    assert_eq!(outcome.status(), "updated", "{outcome:?}");
    let expected = renamed_from(&before, "2027-04-08");
    assert_eq!(trials.take_place(&series).await, expected, "the others keep their time");

    let series = trials.series().await;
    let before = trials.take_place(&series).await;
    let refused = trials.change(&series.occurrence(GONE), &renamed(), &following()).await;
    assert_eq!(refused.status(), "failed", "{refused:?}");
    let outcome = trials.delete(&series.occurrence(GONE), &following()).await;
    assert_eq!(outcome.status(), "deleted", "{outcome:?}");
    assert_eq!(trials.take_place(&series).await, before[..GONE], "those behind it go as well");
}

#[tokio::test]
async fn the_first_occurrence_with_all_that_follow_is_the_series_and_its_lists_are_kept() {
    let mut trials = Trials::new().await;
    let series = trials.series().await;
    let before = trials.take_place(&series).await;
    let records = trials.org.open(OCCURRENCES).await.unwrap();
    let add = |email: &str| {
        let add = vec![json!({ "email": email })];
        vec![("attendees".to_owned(), recordport::provider::Edit::List { add, remove: Vec::new() })]
    };
    for email in ["ann@emulated.example", "bob@emulated.example"] {
        let row = Change { key: series.occurrence(0), edits: add(email), if_version: None };
        let options = following().as_object().cloned().unwrap();
        let outcome = records.update(&trials.org.cx, &[row], &options).await.unwrap().remove(0);
        assert_eq!(outcome.key(), Some(&key(&series.id)), "{outcome:?}");
    }
    let stored = trials.org.service_rows(EVENTS);
    let row = stored.iter().find(|row| row["id"] == series.id.as_str()).unwrap();
    assert_eq!(row["attendees"].as_array().map(Vec::len), Some(2), "{row}");
    assert_eq!(trials.take_place(&series).await, before);
    // A version that is no longer that of the record is refused.
    let stale =
        Change { key: series.occurrence(0), edits: edits(&renamed()), if_version: Some("\"1\"".to_owned()) };
    let options = following().as_object().cloned().unwrap();
    let outcome = records.update(&trials.org.cx, &[stale], &options).await.unwrap().remove(0);
    assert_eq!(outcome.status(), "failed", "{outcome:?}");
    let stale = VersionedKey { key: series.occurrence(CUT), if_version: Some("\"1\"".to_owned()) };
    let outcome = records.delete(&trials.org.cx, &[stale], &options).await.unwrap().remove(0);
    assert_eq!(outcome.status(), "failed", "{outcome:?}");
    assert_eq!(trials.take_place(&series).await, before);
}

#[tokio::test]
async fn a_series_none_of_whose_occurrences_is_left_is_found_by_its_own_times() {
    let diary = Diary::new().await;
    let series = |time: &str, lines: Value| {
        let end = time.replace(":00:00+", ":30:00+");
        json!({ "summary": "Empty", "start": berlin(time), "end": berlin(&end), "recurrence": lines })
    };
    let gone =
        json!(["RRULE:FREQ=DAILY;COUNT=2", "EXDATE;TZID=Europe/Berlin:20270607T090000,20270608T090000"]);
    let emptied = diary.create(EVENTS, series("2027-06-07T09:00:00+02:00", gone)).await;
    let once = json!(["RRULE:FREQ=DAILY;COUNT=1"]);
    let moved = diary.create(EVENTS, series("2027-06-07T11:00:00+02:00", once)).await;
    let only = key(&format!("{}_20270607T090000Z", moved.parts()[1]));
    let earlier = json!({
        "start": { "dateTime": "2027-01-05T11:00:00+01:00" }, "end": { "dateTime": "2027-01-05T11:30:00+01:00" },
    });
    diary.update(OCCURRENCES, &only, earlier).await;
    let ids = async |condition: &str| -> BTreeSet<String> {
        let query = json!({ "where": format!("({condition}) AND summary = 'Empty'"), "select": ["id"] });
        diary.search(EVENTS, query).await.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let expected: BTreeSet<String> = [&emptied, &moved].map(|key| key.parts()[1].to_string()).into();
    for condition in [
        "start.dateTime >= '2027-06-07T00:00:00Z'",
        "\"end\".dateTime > '2027-06-07T00:00:00Z'",
        "start.dateTime = '2027-06-07T07:00:00Z' OR start.dateTime = '2027-06-07T09:00:00Z'",
        "start.dateTime BETWEEN '2027-06-07T00:00:00Z' AND '2027-06-08T00:00:00Z'",
        "start.dateTime >= '2027-06-07T00:00:00Z' AND recurringEventId IS NULL",
        "start.dateTime >= '2027-06-07T00:00:00Z' AND start.dateTime >= '2027-06-07T00:00:00Z'",
    ] {
        assert_eq!(ids(condition).await, expected, "{condition}");
        assert!(!diary.native(EVENTS, condition).await.contains("time"), "{condition}");
    }
    // What is no series is told by its own times.
    let single = "start.dateTime >= '2027-01-01T00:00:00Z' AND recurrence IS NULL";
    assert_eq!(ids(single).await, [only.parts()[1].to_string()].into());
    assert!(diary.native(EVENTS, single).await.contains("timeMin=2026-12-31T23:59:59Z"));
}
