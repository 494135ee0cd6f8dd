//! Lists of events: ranges, words, order, pages, and what changed since a token.

use std::collections::BTreeMap;

use http::Method;
use jiff::SignedDuration;
use recordport::emulator::service::Service as _;
use serde_json::{Value, json};

use super::{Account, account, empty_account, ids, meeting};

const EVENTS: &str = "calendars/primary/events";

#[test]
fn every_event_comes_once_over_the_pages() {
    let account = account();
    let (rows, last) = account.all(&format!("{EVENTS}?maxResults=40"));
    let mut different: Vec<&Value> = rows.iter().map(|own| &own["id"]).collect();
    different.sort_by_key(|id| id.to_string());
    different.dedup();
    assert_eq!(different.len(), 150);
    assert_eq!(rows.len(), 150);
    assert!(last["nextSyncToken"].is_string());
    assert_eq!(last["accessRole"], "owner");
    assert_eq!(last["timeZone"], "Europe/Berlin");
    let (singles, _) = account.all(&format!("{EVENTS}?singleEvents=true&maxResults=2500"));
    assert!(singles.len() > rows.len());
    assert!(singles.iter().all(|own| own.get("recurrence").is_none()));
}

#[test]
fn a_range_takes_what_overlaps_it() {
    let account = empty_account();
    for (summary, start) in
        [("before", "2026-03-19T09:00:00"), ("at", "2026-03-20T09:00:00"), ("behind", "2026-03-21T09:00:00")]
    {
        account.insert(&meeting(summary, start));
    }
    let titles = |query: &str| -> Vec<String> {
        let (rows, _) = account.all(&format!("{EVENTS}?{query}"));
        rows.iter().map(|own| own["summary"].as_str().expect("a title").to_owned()).collect()
    };
    assert_eq!(
        titles("timeMin=2026-03-20T09:00:00Z"),
        ["behind"],
        "the end is at nine: bounds are exclusive"
    );
    assert_eq!(titles("timeMin=2026-03-20T08:30:00Z&timeMax=2026-03-21T08:00:00Z"), ["at"]);
    assert_eq!(titles("timeMax=2026-03-20T08:00:00Z"), ["before"]);
    assert_eq!(titles("q=BEHIND"), ["behind"]);
}

#[test]
fn a_range_takes_a_series_for_what_is_left_of_its_occurrences() {
    let account = empty_account();
    let mut series = meeting("series", "2031-03-20T09:00:00");
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=2"]);
    let id = account.insert(&series)["id"].as_str().expect("an id").to_owned();
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=1", "EXDATE;TZID=Europe/Berlin:20310320T090000"]);
    account.insert(&series);
    let listed = |query: &str| account.all(&format!("{EVENTS}?{query}")).0;
    assert_eq!(listed("").len(), 2);
    assert_eq!(listed("timeMin=2031-03-01T00:00:00Z").len(), 1, "one has no occurrence");
    // An occurrence that is changed or taken away stands by itself.
    let first = format!("{EVENTS}/{id}_20310320T080000Z");
    account.write(Method::PATCH, &first, &json!({ "summary": "own" }));
    let rows = listed("timeMin=2031-03-01T00:00:00Z&timeMax=2031-03-21T00:00:00Z");
    assert_eq!(rows.iter().map(|own| &own["summary"]).collect::<Vec<_>>(), ["own"]);
    assert_eq!(listed("timeMin=2031-03-01T00:00:00Z").len(), 2);
}

#[test]
fn a_part_of_an_answer_has_the_members_that_were_named() {
    let account = account();
    let list = |fields: &str| account.get(&format!("{EVENTS}?maxResults=2&fields={fields}"));
    let part = list("kind,items(id,start/date,end(date))");
    assert_eq!(part.as_object().map(|own| own.len()), Some(2));
    assert_eq!(part["items"][0].as_object().map(|own| own.len()), Some(3));
    assert!(list("nextPageToken")["nextPageToken"].is_string());
    let none = account.get(&format!("{EVENTS}?iCalUID=nobody&fields=kind,items(id)"));
    assert_eq!(none, json!({ "kind": "calendar#events" }), "an empty list is left out");
    for wrong in ["", "items(", "items(id))", "a//b", ",a"] {
        let refused = account.refused(Method::GET, &format!("{EVENTS}?fields={wrong}"), &Value::Null);
        assert_eq!((refused.0, refused.1.as_str()), (400, "invalidParameter"), "{wrong:?}");
    }
}

#[test]
fn wrong_parameters_are_refused_in_the_services_words() {
    let account = account();
    let refused = |query: &str| account.refused(Method::GET, &format!("{EVENTS}?{query}"), &Value::Null);
    assert_eq!(
        refused("timeMin=2026-03-20T08:30:00"),
        (400, "badRequest".to_owned(), "Bad Request".to_owned())
    );
    assert_eq!(refused("timeMin=2026-03-20T08:30:00Z&timeMax=2026-03-20T08:30:00Z").1, "timeRangeEmpty");
    let words = "The requested ordering is not available for the particular query.";
    assert_eq!(refused("orderBy=startTime").2, words);
    assert_eq!(refused("pageToken=none").2, "Invalid page token value.");
    assert_eq!(refused("updatedMin=2026-01-01T00:00:00Z").1, "updatedMinTooLongAgo");
}

#[test]
fn properties_and_kinds_narrow_a_list() {
    let account = account();
    let (north, _) = account.all(&format!("{EVENTS}?sharedExtendedProperty=team%3Dnorth&maxResults=2500"));
    assert!(!north.is_empty());
    assert!(north.iter().all(|own| own["extendedProperties"]["shared"]["team"] == "north"));
    let (focus, last) = account.all(&format!("{EVENTS}?eventTypes=focusTime"));
    assert!(focus.iter().all(|own| own["eventType"] == "focusTime"));
    assert!(last["nextSyncToken"].is_string());
    let ordered = account.get(&format!("{EVENTS}?orderBy=updated&maxResults=2500"));
    assert!(ordered.get("nextSyncToken").is_none());
}

/// State as a client has it that follows sync tokens: title by id.
fn follow(account: &Account, known: &mut BTreeMap<String, String>, token: &str) -> String {
    let (rows, last) = account.all(&format!("{EVENTS}?maxResults=7&syncToken={token}"));
    for row in rows {
        let id = row["id"].as_str().expect("an id").to_owned();
        if row["status"] == "cancelled" {
            known.remove(&id);
        } else {
            known.insert(id, row["summary"].as_str().expect("a title").to_owned());
        }
    }
    last["nextSyncToken"].as_str().expect("a token").to_owned()
}

#[test]
fn sync_tokens_tell_all_that_changed_deletions_included() {
    let account = account();
    let (rows, last) = account.all(EVENTS);
    let mut token = last["nextSyncToken"].as_str().expect("a token").to_owned();
    let mut known: BTreeMap<String, String> = rows
        .iter()
        .filter(|own| own["status"] != "cancelled")
        .map(|own| {
            (
                own["id"].as_str().expect("an id").to_owned(),
                own["summary"].as_str().expect("a title").to_owned(),
            )
        })
        .collect();
    let seeded: Vec<String> = known.keys().filter(|id| !id.contains('_')).cloned().collect();
    for round in 0..6 {
        for turn in 0..5 {
            let made = account.insert(&meeting(&format!("new {round} {turn}"), "2026-05-01T09:00:00"));
            if turn == 1 {
                let address = format!("{EVENTS}/{}", made["id"].as_str().expect("an id"));
                account.write(Method::PATCH, &address, &json!({ "summary": "renamed" }));
            }
        }
        let id = &seeded[round * 3 + 5];
        account.api(Method::DELETE, &format!("{EVENTS}/{id}"), &Value::Null);
        token = follow(&account, &mut known, &token);
    }
    let state: BTreeMap<String, String> = account
        .all(EVENTS)
        .0
        .iter()
        .filter(|own| own["status"] != "cancelled")
        .map(|own| {
            (
                own["id"].as_str().expect("an id").to_owned(),
                own["summary"].as_str().expect("a title").to_owned(),
            )
        })
        .collect();
    assert_eq!(known, state);
}

#[test]
fn a_sync_token_ends_and_goes_with_few_parameters() {
    let account = account();
    let token = account.get(&format!("{EVENTS}?maxResults=2500"))["nextSyncToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    let with =
        |more: &str| account.refused(Method::GET, &format!("{EVENTS}?syncToken={token}{more}"), &Value::Null);
    assert_eq!(with("&q=x").0, 400);
    assert_eq!(with("&showDeleted=false").0, 400);
    account.send(Method::POST, "/_emulator/google-calendar/expire-sync-tokens", &[], "");
    let words = "Sync token is no longer valid, a full sync is required.";
    assert_eq!(with(""), (410, "fullSyncRequired".to_owned(), words.to_owned()));
}

#[test]
fn instances_know_the_exceptions_of_their_series() {
    let account = account();
    let series =
        account.get(&format!("{EVENTS}?q=Weekly"))["items"][0]["id"].as_str().expect("an id").to_owned();
    let page = account.get(&format!("{EVENTS}/{series}/instances?maxResults=2500"));
    let all = page["items"].as_array().expect("items");
    assert_eq!(all.len(), 59, "sixty, one of them taken away");
    assert!(all.iter().any(|own| own["summary"] == "Moved to the afternoon"));
    let deleted = account.get(&format!("{EVENTS}/{series}/instances?maxResults=2500&showDeleted=true"));
    assert_eq!(ids(&deleted).len(), 60);
}

#[test]
fn busy_times_are_joined_and_transparent_ones_left_out() {
    let account = empty_account();
    account.insert(&meeting("one", "2026-03-20T09:00:00"));
    account.insert(&meeting("two", "2026-03-20T09:30:00"));
    let mut free = meeting("three", "2026-03-20T12:00:00");
    free["transparency"] = json!("transparent");
    account.insert(&free);
    let asked = json!({ "timeMin": "2026-03-20T00:00:00Z", "timeMax": "2026-03-21T00:00:00Z", "items": [{ "id": "primary" }, { "id": "none" }] });
    let answer = account.write(Method::POST, "freeBusy", &asked);
    assert_eq!(
        answer["calendars"]["primary"]["busy"],
        json!([{ "start": "2026-03-20T08:00:00Z", "end": "2026-03-20T09:30:00Z" }])
    );
    assert_eq!(answer["calendars"]["none"]["errors"][0]["reason"], "notFound");
}

#[test]
fn the_clock_ages_sync_tokens() {
    let mut account = account();
    let token = account.get(&format!("{EVENTS}?maxResults=2500"))["nextSyncToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    account.clock.advance(SignedDuration::from_hours(31 * 24)).expect("forward");
    // The access token has died meanwhile, too.
    account.service.reset();
    account.token = account.service.credentials()["access_token"].as_str().expect("a token").to_owned();
    let refused = account.refused(Method::GET, &format!("{EVENTS}?syncToken={token}"), &Value::Null);
    assert_eq!(refused.1, "fullSyncRequired");
}
