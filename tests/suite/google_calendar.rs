//! What is particular about calendars: days and instants, zones, series, lists and moves.

use std::collections::BTreeSet;

use http::Method;
use recordport::provider::search::RecordsExt as _;
use recordport::provider::{Change, Edit, NewRow, Outcome, WriteOptions};
use recordport::record::{Key, KeyFields, QueryDraft};
use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home};
use crate::support::diary::{Diary, OWN, edits, key};

const EVENTS: &str = "event:primary";
const OCCURRENCES: &str = "event_instance:primary";

fn days(from: &str, to: &str) -> Value {
    json!({ "summary": "Fair", "start": { "date": from }, "end": { "date": to } })
}

/// The series that the account has from its start: 60 Thursdays, one moved and one taken away.
async fn weekly(diary: &Diary) -> (Key, Value) {
    let rows = diary.stored_in(OWN).await;
    let row = rows.into_iter().find(|row| row["summary"] == "Weekly" && row["recurrence"].is_array());
    let row = row.expect("the series");
    (key(row["id"].as_str().expect("an id")), row)
}

#[tokio::test]
async fn an_all_day_event_stays_all_day_through_read_and_write() {
    let diary = Diary::new().await;
    let made = diary.create(EVENTS, days("2026-03-28", "2026-03-30")).await;
    let read = diary.get(EVENTS, &made).await.expect("is there");
    let whole = |day: &str| json!({ "date": day, "dateTime": null, "timeZone": null });
    assert_eq!((&read["start"], &read["end"]), (&whole("2026-03-28"), &whole("2026-03-30")));
    // As it is read it can be written.
    let copy = json!({ "summary": "Copy", "start": read["start"], "end": read["end"] });
    let copy = diary.row(&diary.create(EVENTS, copy).await).await;
    assert_eq!(
        (&copy["start"], &copy["end"]),
        (&json!({ "date": "2026-03-28" }), &json!({ "date": "2026-03-30" }))
    );
    diary.update(EVENTS, &made, json!({ "summary": "Trade fair" })).await;
    diary.update(EVENTS, &made, json!({ "end": { "date": "2026-03-31" } })).await;
    assert_eq!(diary.row(&made).await["end"], json!({ "date": "2026-03-31" }));
    let found = diary
        .search(EVENTS, json!({ "where": "start.date = '2026-03-28' AND summary = 'Trade fair'" }))
        .await;
    assert_eq!(found[0]["end"], whole("2026-03-31"));
    // To an instant and back, with nothing of the other form left.
    let at = |time: &str| json!({ "dateTime": time, "timeZone": "Europe/Berlin" });
    let timed = json!({ "start": at("2026-03-28T09:00:00+01:00"), "end": at("2026-03-28T10:00:00+01:00") });
    diary.update(EVENTS, &made, timed).await;
    assert_eq!(diary.row(&made).await["start"]["dateTime"], "2026-03-28T09:00:00+01:00");
    diary
        .update(EVENTS, &made, json!({ "start": { "date": "2026-04-01" }, "end": { "date": "2026-04-02" } }))
        .await;
    assert_eq!(diary.row(&made).await["start"], json!({ "date": "2026-04-01" }));
}

#[tokio::test]
async fn an_event_in_berlin_keeps_its_zone_and_wall_time_when_clocks_change() {
    let diary = Diary::new().await;
    let at = |time: &str| json!({ "dateTime": time, "timeZone": "Europe/Berlin" });
    let made = diary
        .create(
            EVENTS,
            json!({
                "summary": "Over the change",
                "start": at("2026-03-19T09:30:00+01:00"),
                "end": at("2026-03-19T10:15:00+01:00"),
                "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
            }),
        )
        .await;
    let starts = async || -> Vec<(String, String)> {
        let series = made.parts()[1].to_string();
        let found =
            diary.search(OCCURRENCES, json!({ "where": format!("recurringEventId = '{series}'") })).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        found.iter().map(|own| (text(&own["start"]["dateTime"]), text(&own["start"]["timeZone"]))).collect()
    };
    let expected = |hour: &str| {
        [("19", "+01:00"), ("26", "+01:00")]
            .map(|(day, offset)| format!("2026-03-{day}T{hour}:00{offset}"))
            .into_iter()
            .chain(
                [("02", "+02:00"), ("09", "+02:00")]
                    .map(|(day, offset)| format!("2026-04-{day}T{hour}:00{offset}")),
            )
            .map(|start| (start, "Europe/Berlin".to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(starts().await, expected("09:30"));
    // Another time without a zone stays in the zone.
    let later = json!({
        "start": { "dateTime": "2026-03-19T14:00:00+01:00" }, "end": { "dateTime": "2026-03-19T15:00:00+01:00" },
    });
    diary.update(EVENTS, &made, later).await;
    assert_eq!(starts().await, expected("14:00"));
}

#[tokio::test]
async fn a_series_with_an_exception_and_a_cancelled_occurrence_expands_exactly() {
    let diary = Diary::new().await;
    let (series, row) = weekly(&diary).await;
    let of = |series: &Key| json!({ "where": format!("recurringEventId = '{}'", series.parts()[1]) });
    let all = diary.search(OCCURRENCES, of(&series)).await;
    assert_eq!(all.len(), 59, "one of 60 was taken away");
    let moved: Vec<&Value> = all.iter().filter(|own| own["summary"] != "Weekly").collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0]["start"]["dateTime"], "2026-01-22T15:00:00+01:00");
    assert_eq!(moved[0]["originalStartTime"]["dateTime"], "2026-01-22T09:30:00+01:00");
    // The same within a range, with both ends excluded.
    let range =
        "start.dateTime >= '2026-01-15T09:30:00+01:00' AND start.dateTime < '2026-02-12T09:30:00+01:00'";
    let within = diary
        .search(
            OCCURRENCES,
            json!({ "where": format!("{range} AND iCalUID = '{}'", row["iCalUID"].as_str().unwrap()) }),
        )
        .await;
    let starts: Vec<&str> = within.iter().map(|own| own["start"]["dateTime"].as_str().unwrap()).collect();
    let mut sorted = starts.clone();
    sorted.sort_unstable();
    let expected = ["2026-01-15T09:30:00+01:00", "2026-01-22T15:00:00+01:00", "2026-01-29T09:30:00+01:00"];
    assert_eq!(sorted, expected, "the fifth of February was taken away");
    let native = diary.native(OCCURRENCES, range).await;
    assert!(
        native.contains("timeMin=2026-01-15T08:29:59Z") && native.contains("timeMax=2026-02-12T08:30:02Z"),
        "{native}"
    );

    // One occurrence is changed, one deleted; both are told apart from the rest.
    let gone = &all[10];
    let changed = &all[11];
    let occurrence = |own: &Value| key(own["id"].as_str().unwrap());
    diary.delete(OCCURRENCES, &occurrence(gone), &Value::Null).await;
    diary.update(OCCURRENCES, &occurrence(changed), json!({ "summary": "Another title" })).await;
    let now = diary.search(OCCURRENCES, of(&series)).await;
    assert_eq!(now.len(), 58);
    assert!(now.iter().all(|own| own["id"] != gone["id"]));
    assert_eq!(now.iter().filter(|own| own["summary"] == "Another title").count(), 1);
    assert_eq!(diary.row(&series).await["recurrence"], row["recurrence"]);
    assert!(diary.get(OCCURRENCES, &occurrence(gone)).await.is_none());
    assert!(diary.get(OCCURRENCES, &series).await.is_none(), "a series does not take place");
}

#[tokio::test]
async fn a_partial_update_leaves_recurrence_reminders_people_and_conference() {
    let diary = Diary::new().await;
    let (series, before) = weekly(&diary).await;
    diary.update(EVENTS, &series, json!({ "summary": "Thursdays" })).await;
    let after = diary.row(&series).await;
    for member in ["recurrence", "reminders", "attendees", "conferenceData", "start", "end", "description"] {
        assert!(!before[member].is_null());
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(after["summary"], "Thursdays");
    let people = vec![(
        "attendees".to_owned(),
        Edit::List {
            add: vec![json!({ "email": "new@emulated.example" })],
            remove: vec![json!({ "email": "Room-1@emulated.example" })],
        },
    )];
    let outcome = diary.try_update(EVENTS, &series, people, &Value::Null).await;
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
    let people = diary.row(&series).await["attendees"].clone();
    let mut expected: Vec<Value> = before["attendees"].as_array().unwrap()[..2].to_vec();
    expected.push(json!({ "email": "new@emulated.example" }));
    assert_eq!(people, json!(expected), "answers of the others stay");
}

#[tokio::test]
async fn extended_properties_are_added_taken_away_replaced_and_found() {
    let diary = Diary::new().await;
    let mut row = days("2026-05-01", "2026-05-02");
    row["privateExtendedProperties"] =
        json!([{ "key": "case", "value": "77" }, { "key": "old", "value": "1" }]);
    let made = diary.create(EVENTS, row).await;
    let change = |add: Value, remove: Value| {
        let list = |value: Value| value.as_array().unwrap().clone();
        vec![("privateExtendedProperties".to_owned(), Edit::List { add: list(add), remove: list(remove) })]
    };
    let edits_of = change(json!([{ "key": "new", "value": "2" }]), json!(["old"]));
    diary.try_update(EVENTS, &made, edits_of, &Value::Null).await;
    assert_eq!(
        diary.row(&made).await["extendedProperties"],
        json!({ "private": { "case": "77", "new": "2" } })
    );
    let condition = "extendedProperties.private.\"case\" = '77'";
    assert!(diary.native(EVENTS, condition).await.contains("privateExtendedProperty=case=77"));
    let query = json!({ "where": condition, "select": ["id", "extendedProperties.private.case"] });
    let found = diary.search(EVENTS, query).await;
    let expected =
        json!({ "id": made.parts()[1].to_string(), "extendedProperties": { "private": { "case": "77" } } });
    assert!(found.contains(&expected), "{found:?}");
    // A whole list replaces; another group stays.
    diary.update(EVENTS, &made, json!({ "sharedExtendedProperties": [{ "key": "a", "value": "b" }] })).await;
    diary
        .update(EVENTS, &made, json!({ "privateExtendedProperties": [{ "key": "new", "value": "3" }] }))
        .await;
    assert_eq!(
        diary.row(&made).await["extendedProperties"],
        json!({ "private": { "new": "3" }, "shared": { "a": "b" } })
    );
}

#[tokio::test]
async fn what_no_event_can_be_is_told_at_its_field_and_not_sent() {
    let diary = Diary::new().await;
    let before = diary.stored().await.len();
    let with = |name: &str, value: Value| {
        let mut row = days("2026-05-01", "2026-05-02");
        row[name] = value;
        row
    };
    let both = json!({ "date": "2026-05-01", "dateTime": "2026-05-01T09:00:00Z" });
    for (field, row) in [
        ("start", with("start", both)),
        ("end", with("end", json!({ "dateTime": "2026-05-01T09:00:00Z" }))),
        ("recurrence", with("recurrence", json!(["FREQ=DAILY"]))),
        ("id", with("id", json!("Not-an-id"))),
        (
            "reminders",
            with(
                "reminders",
                json!({ "useDefault": true, "overrides": [{ "method": "popup", "minutes": 1 }] }),
            ),
        ),
    ] {
        let outcome = diary.try_create(EVENTS, &row).await;
        let error = outcome.error().unwrap_or_else(|| panic!("{row}: {outcome:?}"));
        assert!(error.fields().iter().any(|reason| reason.field == field), "{field}: {error}");
    }
    assert_eq!(diary.stored().await.len(), before);
}

#[tokio::test]
async fn an_event_is_moved_and_a_series_is_cut_in_two() {
    let diary = Diary::new().await;
    let made = diary.create(EVENTS, days("2026-05-01", "2026-05-02")).await;
    let lists = diary.search("calendar_list_entry", json!({ "where": "summary = 'Team Operations'" })).await;
    let team = lists[0]["id"].as_str().unwrap().to_owned();
    let changed = edits(&json!({ "summary": "Moved" }));
    let outcome = diary.try_update("event", &made, changed, &json!({ "destination": team })).await;
    let Outcome::Updated(moved) = outcome else { panic!("{outcome:?}") };
    assert_eq!(moved.parts()[0].to_string(), team);
    assert_eq!(diary.get("event", &moved).await.expect("is there")["summary"], "Moved");
    assert!(diary.get("event", &made).await.is_none());

    let (series, _) = weekly(&diary).await;
    let query = json!({ "where": format!("recurringEventId = '{}'", series.parts()[1]) });
    let all = diary.search(OCCURRENCES, query.clone()).await;
    let cut = all
        .iter()
        .position(|own| own["originalStartTime"]["dateTime"].as_str().unwrap().starts_with("2026-01-15"))
        .unwrap();
    let occurrence = key(all[cut]["id"].as_str().unwrap());
    // Behind the cut are an occurrence that was moved and one that was taken away: at other times they have no place.
    let later = json!({
        "start": { "dateTime": "2026-01-15T11:00:00+01:00" }, "end": { "dateTime": "2026-01-15T12:00:00+01:00" },
    });
    let following = json!({ "thisAndFollowing": true });
    let outcome = diary.try_update(OCCURRENCES, &occurrence, edits(&later), &following).await;
    let error = outcome.error().unwrap_or_else(|| panic!("{outcome:?}"));
    assert_eq!(error.code(), Some("exceptions_behind"), "{error}");
    assert!(error.advice().is_some_and(|advice| advice.contains("dropExceptions")), "{error}");
    assert_eq!(diary.search(OCCURRENCES, query.clone()).await, all, "nothing is changed");

    let renamed = edits(&json!({ "summary": "From then on" }));
    let outcome =
        diary.try_update(OCCURRENCES, &occurrence, renamed, &json!({ "thisAndFollowing": true })).await;
    let Outcome::Updated(new) = outcome else { panic!("{outcome:?}") };
    let (old, rest) = (
        diary.search(OCCURRENCES, query).await,
        diary
            .search(OCCURRENCES, json!({ "where": format!("recurringEventId = '{}'", new.parts()[1]) }))
            .await,
    );
    assert_eq!(old.len() + rest.len(), all.len(), "{} and {}", old.len(), rest.len());
    assert!(rest.iter().all(|own| own["summary"] == "From then on"));
    let starts = |rows: &[Value]| -> Vec<String> {
        rows.iter().map(|own| own["start"]["dateTime"].to_string()).collect()
    };
    assert_eq!([starts(&old), starts(&rest)].concat(), starts(&all));
    assert!(starts(&rest).contains(&"\"2026-01-22T15:00:00+01:00\"".to_owned()), "the moved one stays moved");
    let third = key(rest[2]["id"].as_str().unwrap());
    diary.delete(OCCURRENCES, &third, &json!({ "thisAndFollowing": true })).await;
    assert_eq!(
        diary
            .search(OCCURRENCES, json!({ "where": format!("recurringEventId = '{}'", new.parts()[1]) }))
            .await
            .len(),
        2
    );
    let kept = key(rest[1]["id"].as_str().unwrap());
    let dropping = json!({ "thisAndFollowing": true, "dropExceptions": true });
    let outcome = diary.try_update(OCCURRENCES, &kept, edits(&later), &dropping).await;
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
    assert!(diary.get(OCCURRENCES, &kept).await.is_none(), "it is not there twice");
}

#[tokio::test]
async fn a_line_of_text_becomes_an_event_once_or_its_outcome_is_unknown() {
    let diary = Diary::new().await;
    let made = diary.create("quick_event:primary", json!({ "text": "Lunch & talk tomorrow 12:30" })).await;
    let event = diary.get(EVENTS, &made).await.expect("is an event");
    assert_eq!(event["summary"], "Lunch & talk tomorrow 12:30");
    assert!(event["start"]["dateTime"].as_str().is_some_and(|at| at.contains("T12:30:00")), "{event}");
    let records = diary.open("quick_event:primary").await;
    let can = &records.record_type().capability;
    assert!(can.create.is_some() && can.search.is_none() && can.get.is_none() && can.update.is_none());
    let lost = json!({ "kind": "drop_after_commit", "path": "/batch/calendar/v3" });
    diary.control(Method::POST, "faults", lost).await;
    let outcome = diary.try_create("quick_event:primary", &json!({ "text": "Only once" })).await;
    assert_eq!(outcome.status(), "unknown", "{outcome:?}");
    let stored = diary.stored_in(OWN).await;
    assert_eq!(stored.iter().filter(|row| row["summary"] == "Only once").count(), 1);
}

#[tokio::test]
async fn the_small_types_are_read_and_rules_and_entries_are_written() {
    let diary = Diary::new().await;
    assert!(
        diary
            .search("setting", json!({ "where": "id = 'timezone' AND value = 'Europe/Berlin'" }))
            .await
            .len()
            == 1
    );
    let colours = diary.search("color", json!({ "where": "\"group\" = 'event'" })).await;
    assert_eq!(colours.len(), 11);
    let busy = json!({ "where": "calendar_id = 'ada@emulated.example' AND \"end\" > '2026-01-15T00:00:00Z' AND start < '2026-01-16T00:00:00Z'" });
    let busy = diary.search("free_busy", busy).await;
    assert!(busy.iter().any(|own| own["start"] == "2026-01-15T08:30:00Z"), "{busy:?}");

    let rules = "acl_rule:primary";
    let rule = json!({ "role": "reader", "scope": { "type": "user", "value": "grace@emulated.example" } });
    let made = diary.create(rules, rule).await;
    diary.update(rules, &made, json!({ "role": "writer" })).await;
    assert_eq!(diary.get(rules, &made).await.expect("is there")["role"], "writer");
    diary.delete(rules, &made, &Value::Null).await;
    assert!(diary.get(rules, &made).await.is_none());

    let entries = "calendar_list_entry";
    let listed = diary.search(entries, json!({ "where": "summary = 'On call'" })).await;
    let entry = Key::text(listed[0]["id"].as_str().unwrap());
    let colours =
        json!({ "summaryOverride": "Duty", "backgroundColor": "#0088aa", "foregroundColor": "#ffffff" });
    diary.update(entries, &entry, colours).await;
    assert_eq!(diary.get(entries, &entry).await.expect("is there")["summaryOverride"], "Duty");
    diary.delete(entries, &entry, &Value::Null).await;
    assert!(diary.get(entries, &entry).await.is_none());
    diary.create(entries, json!({ "id": entry.to_string() })).await;
    assert!(diary.get(entries, &entry).await.is_some());
}

#[tokio::test]
async fn several_calendars_are_searched_at_once_and_one_alone_where_it_is_named() {
    let diary = Diary::new().await;
    let found = diary.search("event", json!({ "select": ["calendar_id", "id"], "page_size": 60 })).await;
    assert_eq!(found.len(), diary.stored().await.len());
    diary.control(Method::DELETE, "requests", Value::Null).await;
    let own = diary
        .search("event", json!({ "where": "calendar_id = 'ada@emulated.example'", "select": ["id"] }))
        .await;
    assert_eq!(own.len(), diary.stored().await.iter().filter(|row| row["calendar_id"] == OWN).count());
    let log = diary.control(Method::GET, "requests", Value::Null).await;
    let lists = |entry: &&Value| entry["path"].as_str().is_some_and(|path| path.contains("/events"));
    let read: Vec<&Value> = log["requests"].as_array().unwrap().iter().filter(lists).collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert!(read[0]["query"].as_str().unwrap().contains("fields=kind"), "only what is needed: {read:?}");
    diary.control(Method::DELETE, "requests", Value::Null).await;
    let twice = "calendar_id IN ('ada@emulated.example', 'nobody@emulated.example', 'ada@emulated.example')";
    let found = diary.search("event", json!({ "where": twice, "select": ["id"] })).await;
    assert_eq!(found.len(), own.len());
    let log = diary.control(Method::GET, "requests", Value::Null).await;
    let read = log["requests"].as_array().unwrap().iter().filter(lists).count();
    assert_eq!(read, 2, "a calendar that is named twice is read once: {log}");
    let none =
        json!({ "where": "calendar_id = 'ada@emulated.example' AND iCalUID = 'nobody'", "select": ["id"] });
    assert!(diary.search("event", none).await.is_empty(), "an empty list may lack its rows");
    // The name of the own calendar is no id of one: its events would get a second key.
    let records = diary.open("event").await;
    let draft = QueryDraft::from_json(&json!({ "where": "calendar_id = 'primary'" })).expect("a query");
    let refused = records.prepare(&diary.org.cx, &draft, &jiff::tz::TimeZone::UTC).await;
    let advice = refused.expect_err("refused").advice().unwrap_or_default().to_owned();
    assert!(advice.contains("event:primary"), "{advice}");
    // An upper bound is sent where no series can be meant; else the plan says why not.
    let before = "start.dateTime < '2026-02-01T00:00:00Z'";
    assert!(!diary.native(EVENTS, before).await.contains("timeMax"));
    let single = format!("{before} AND recurrence IS NULL");
    assert!(diary.native(EVENTS, &single).await.contains("timeMax=2026-02-01T00:00:02Z"));
    let ids = async |condition: &str| -> BTreeSet<String> {
        let rows = diary.search(EVENTS, json!({ "where": condition, "select": ["id", "recurrence"] })).await;
        let single = rows.iter().filter(|row| row["recurrence"].as_array().is_none_or(Vec::is_empty));
        single.map(|row| row["id"].to_string()).collect()
    };
    let found = ids(&single).await;
    assert!(!found.is_empty() && found == ids(before).await);
}

/// An answer to a batch: the request that each is for, its status and body.
fn batch_answer(answers: &[(usize, &str, Value)]) -> Value {
    let each = answers.iter().map(|(at, status, body)| {
        format!(
            "--a\r\nContent-Type: application/http\r\nContent-ID: <response-{at}>\r\n\r\nHTTP/1.1 {status}\r\n\
             Content-Type: application/json\r\n\r\n{body}\r\n"
        )
    });
    let body = each.collect::<String>() + "--a--\r\n";
    json!({
        "kind": "status", "status": 200, "path": "/batch/calendar/v3", "body": body,
        "headers": { "content-type": "multipart/mixed; boundary=a" },
    })
}

fn refusal(reason: &str, code: u16) -> Value {
    let one = json!({ "domain": "global", "reason": reason, "message": reason });
    json!({ "error": { "errors": [one], "code": code, "message": reason } })
}

#[tokio::test]
async fn answers_of_a_batch_find_their_rows_by_name_also_where_one_is_missing() {
    let diary = Diary::new().await;
    let create = async |name: &str, rows: [Value; 3]| {
        let rows = rows.map(|row| NewRow { fields: edits(&row), marker: None });
        let records = diary.open(name).await;
        records.create(&diary.org.cx, &rows, &WriteOptions::new()).await.expect("is answered")
    };
    let statuses = |outcomes: &[Outcome]| outcomes.iter().map(Outcome::status).collect::<Vec<_>>();
    // Calendars get their ids from Google: the one whose answer is missing may have been made.
    let third = json!({ "id": "third@group.calendar.google.com" });
    let answer = [(2, "200 OK", third), (0, "403 Forbidden", refusal("forbidden", 403))];
    diary.control(Method::POST, "faults", batch_answer(&answer)).await;
    let outcomes = create("calendar", ["a", "b", "c"].map(|name| json!({ "summary": name }))).await;
    assert_eq!(statuses(&outcomes), ["failed", "unknown", "created"], "{outcomes:?}");
    assert_eq!(outcomes[2].key(), Some(&Key::text("third@group.calendar.google.com")));
    // Events have ids of ours: those without an answer are sent again, the refused one is not.
    let answer = [(1, "403 Forbidden", refusal("forbidden", 403))];
    diary.control(Method::POST, "faults", batch_answer(&answer)).await;
    let row = |name: &str| {
        let mut row = days("2026-05-01", "2026-05-02");
        row["summary"] = json!(name);
        row
    };
    let outcomes = create(EVENTS, ["first", "second", "third"].map(row)).await;
    assert_eq!(statuses(&outcomes), ["created", "failed", "created"], "{outcomes:?}");
    let stored = diary.stored_in(OWN).await;
    let count = |name: &str| stored.iter().filter(|row| row["summary"] == name).count();
    assert_eq!(["first", "second", "third"].map(count), [1, 0, 1]);
}

#[tokio::test]
async fn an_upsert_that_adds_to_a_list_reads_it_anew_when_somebody_changed_it_meanwhile() {
    let diary = Diary::new().await;
    let mut row = days("2026-05-01", "2026-05-02");
    row["iCalUID"] = json!("lists@example.com");
    row["attendees"] = json!([{ "email": "ann@emulated.example" }]);
    let made = diary.create(EVENTS, row).await;
    // The look comes first, then the change, which meets another version.
    let mut stale = batch_answer(&[(0, "412 Precondition Failed", refusal("conditionNotMet", 412))]);
    stale["nth"] = json!(2);
    diary.control(Method::POST, "faults", stale).await;
    let add = vec![json!({ "email": "bob@emulated.example" })];
    let rows = [Change {
        key: Key::text("lists@example.com"),
        edits: vec![("attendees".to_owned(), Edit::List { add, remove: Vec::new() })],
        if_version: None,
    }];
    let records = diary.open(EVENTS).await;
    let by = KeyFields::single("iCalUID");
    let outcomes =
        records.upsert(&diary.org.cx, &by, &rows, &WriteOptions::new()).await.expect("is answered");
    assert!(matches!(&outcomes[..], [Outcome::Updated(key)] if *key == made), "{outcomes:?}");
    assert_eq!(diary.row(&made).await["attendees"].as_array().map(Vec::len), Some(2));
}

#[test]
fn users_and_service_accounts_connect_and_read_with_the_scopes_of_reading() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    for grant in ["code", "jwt", "token"] {
        let emulator = emulator.url();
        let connect = ["connect", "google-calendar", grant, "--emulator", &emulator, "--grant", grant];
        home.run(&[&connect[..], &["--no-browser"]].concat()).expect(0);
        let examined = home.run(&["connections", "test", grant]).expect(0).lines();
        assert_eq!(examined[0]["state"], "ok", "{grant}: {examined:?}");
        assert!(examined[0].to_string().contains("7 days"), "the life of sign-ins is told");
        home.run(&["search", grant, "event:primary", "--limit", "1"]).expect(0);
        home.run(&["search", grant, "acl_rule:primary", "--limit", "1"]).expect(0);
    }
}
