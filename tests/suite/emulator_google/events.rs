//! Events: forms of time, series, exceptions, versions, what is checked.

use http::Method;
use recordport::emulator::service::Service as _;
use serde_json::{Value, json};

use super::{account, body, empty_account, header, ids, meeting, text};

const EVENTS: &str = "calendars/primary/events";

#[test]
fn an_inserted_event_reads_back_in_the_zone_of_its_calendar() {
    let account = empty_account();
    let mut event = meeting("Planning", "2026-03-20T09:00:00");
    event["start"] = json!({ "dateTime": "2026-03-20T09:00:00-07:00", "timeZone": "America/Los_Angeles" });
    event["end"] = json!({ "dateTime": "2026-03-20T10:00:00-07:00", "timeZone": "America/Los_Angeles" });
    let made = account.insert(&event);
    assert_eq!(
        made["start"],
        json!({ "dateTime": "2026-03-20T17:00:00+01:00", "timeZone": "America/Los_Angeles" })
    );
    assert_eq!(made["status"], "confirmed");
    assert_eq!(made["eventType"], "default");
    let id = made["id"].as_str().expect("an id");
    assert_eq!(account.get(&format!("{EVENTS}/{id}")), made);
    assert!(made["etag"].as_str().expect("a tag").starts_with('"'));
}

#[test]
fn days_stay_days() {
    let account = empty_account();
    let event =
        json!({ "summary": "Fair", "start": { "date": "2026-04-01" }, "end": { "date": "2026-04-03" } });
    let made = account.insert(&event);
    assert_eq!((&made["start"], &made["end"]), (&event["start"], &event["end"]));
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let account = empty_account();
    let refused = |event: Value| account.refused(Method::POST, EVENTS, &event);
    let both = json!({ "start": { "date": "2026-04-01", "dateTime": "2026-04-01T10:00:00Z" }, "end": { "date": "2026-04-03" } });
    assert_eq!(refused(both).0, 400);
    let mixed = json!({ "start": { "date": "2026-04-01" }, "end": { "dateTime": "2026-04-01T10:00:00Z" } });
    assert_eq!(refused(mixed).1, "invalid");
    let reversed = json!({ "start": { "date": "2026-04-03" }, "end": { "date": "2026-04-01" } });
    assert_eq!(refused(reversed).1, "timeRangeEmpty");
    let missing = json!({ "start": { "date": "2026-04-03" } });
    assert_eq!(refused(missing).1, "required");
    let without_zone = json!({ "start": { "dateTime": "2026-04-03T10:00:00" }, "end": { "dateTime": "2026-04-03T11:00:00" } });
    assert_eq!(refused(without_zone).2, "Missing time zone definition for start time.");
}

#[test]
fn an_id_of_the_clients_own_is_taken_once() {
    let account = empty_account();
    let mut event = meeting("Planning", "2026-03-20T09:00:00");
    event["id"] = json!("abcdef0123");
    assert_eq!(account.insert(&event)["id"], "abcdef0123");
    let again = account.refused(Method::POST, EVENTS, &event);
    assert_eq!(again, (409, "duplicate".to_owned(), "The requested identifier already exists.".to_owned()));
    event["id"] = json!("xyz-1");
    assert_eq!(account.refused(Method::POST, EVENTS, &event).2, "Invalid resource id value.");
    let gone = account.api(Method::DELETE, &format!("{EVENTS}/abcdef0123"), &Value::Null);
    assert_eq!(gone.status.as_u16(), 204);
    event["id"] = json!("abcdef0123");
    assert_eq!(account.refused(Method::POST, EVENTS, &event).1, "duplicate", "a deleted one stays taken");
}

#[test]
fn a_patch_leaves_the_rest_and_null_takes_away() {
    let account = empty_account();
    let mut event = meeting("Planning", "2026-03-20T09:00:00");
    event["location"] = json!("Room 1");
    event["attendees"] = json!([{ "email": "grace@emulated.example" }]);
    event["extendedProperties"] = json!({ "private": { "a": "1", "b": "2" } });
    let made = account.insert(&event);
    let address = format!("{EVENTS}/{}", made["id"].as_str().expect("an id"));
    let patch = json!({ "summary": "Review", "location": null, "extendedProperties": { "private": { "b": null, "c": "3" } } });
    let changed = account.write(Method::PATCH, &address, &patch);
    assert_eq!(changed["summary"], "Review");
    assert!(changed.get("location").is_none());
    assert_eq!(changed["extendedProperties"]["private"], json!({ "a": "1", "c": "3" }));
    assert_eq!(changed["attendees"], made["attendees"]);
    assert_ne!(changed["etag"], made["etag"]);
    let to_days = json!({ "start": { "date": "2026-03-21" }, "end": { "date": "2026-03-22" } });
    assert_eq!(account.write(Method::PATCH, &address, &to_days)["start"], json!({ "date": "2026-03-21" }));
}

#[test]
fn the_same_content_again_changes_nothing() {
    let account = empty_account();
    let event = meeting("Planning", "2026-03-20T09:00:00");
    let made = account.insert(&event);
    let address = format!("{EVENTS}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(account.write(Method::PUT, &address, &event)["etag"], made["etag"]);
}

#[test]
fn a_stale_version_is_refused() {
    let account = empty_account();
    let made = account.insert(&meeting("Planning", "2026-03-20T09:00:00"));
    let path = format!("/calendar/v3/{EVENTS}/{}", made["id"].as_str().expect("an id"));
    let tag = made["etag"].as_str().expect("a tag");
    let patch =
        |tag: &str| account.send(Method::PATCH, &path, &[("if-match", tag)], "{\"summary\":\"Review\"}");
    assert_eq!(patch("\"1\"").status.as_u16(), 412);
    assert_eq!(patch(tag).status.as_u16(), 200);
    let stale = patch(tag);
    assert_eq!(body(&stale)["error"]["errors"][0]["reason"], "conditionNotMet");
    let present = account.send(Method::GET, &path, &[], "");
    let tag = header(&present, "etag");
    assert_eq!(account.send(Method::GET, &path, &[("if-none-match", &tag)], "").status.as_u16(), 304);
}

#[test]
fn a_deleted_event_is_read_as_cancelled_and_not_deleted_twice() {
    let account = empty_account();
    let made = account.insert(&meeting("Planning", "2026-03-20T09:00:00"));
    let address = format!("{EVENTS}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(account.api(Method::DELETE, &address, &Value::Null).status.as_u16(), 204);
    assert_eq!(account.get(&address)["status"], "cancelled");
    let again = account.refused(Method::DELETE, &address, &Value::Null);
    assert_eq!(again, (410, "deleted".to_owned(), "Resource has been deleted".to_owned()));
}

#[test]
fn a_series_keeps_its_wall_time_over_a_change_of_the_clock() {
    let account = empty_account();
    let mut event = meeting("Weekly", "2026-03-26T09:00:00");
    event["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=Europe/Berlin:20260409T090000"]);
    let series = account.insert(&event);
    let id = series["id"].as_str().expect("an id");
    let instances = account.get(&format!("{EVENTS}/{id}/instances"));
    let starts: Vec<&str> = instances["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|own| own["start"]["dateTime"].as_str().expect("a start"))
        .collect();
    assert_eq!(starts, ["2026-03-26T09:00:00+01:00", "2026-04-02T09:00:00+02:00"]);
    assert_eq!(ids(&instances)[1], format!("{id}_20260402T070000Z"));
    assert_eq!(instances["items"][1]["recurringEventId"], id);
}

#[test]
fn one_occurrence_is_changed_and_another_taken_away() {
    let account = empty_account();
    let mut event = meeting("Weekly", "2026-03-26T09:00:00");
    event["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=3"]);
    let id = account.insert(&event)["id"].as_str().expect("an id").to_owned();
    let moved = format!("{EVENTS}/{id}_20260402T070000Z");
    let patch = json!({ "start": { "dateTime": "2026-04-03T15:00:00+02:00" }, "end": { "dateTime": "2026-04-03T16:00:00+02:00" } });
    let exception = account.write(Method::PATCH, &moved, &patch);
    assert_eq!(exception["originalStartTime"]["dateTime"], "2026-04-02T09:00:00+02:00");
    let gone = account.api(Method::DELETE, &format!("{EVENTS}/{id}_20260409T070000Z"), &Value::Null);
    assert_eq!(gone.status.as_u16(), 204);
    let page = account.get(&format!("{EVENTS}?singleEvents=true&orderBy=startTime"));
    let starts: Vec<&str> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|own| own["start"]["dateTime"].as_str().expect("a start"))
        .collect();
    assert_eq!(starts, ["2026-03-26T09:00:00+01:00", "2026-04-03T15:00:00+02:00"]);
    let unexpanded = account.get(EVENTS);
    assert_eq!(ids(&unexpanded).len(), 3, "the series, the exception, the occurrence that is gone");
    let cancelled = &unexpanded["items"][2];
    assert_eq!(cancelled["status"], "cancelled");
    assert!(cancelled.get("summary").is_none());
    assert_eq!(account.refused(Method::GET, &format!("{EVENTS}/{id}_20260403T070000Z"), &Value::Null).0, 404);
}

#[test]
fn rules_that_are_none_are_refused() {
    let account = empty_account();
    for rule in ["FREQ=WEEKLY", "RRULE:FREQ=NEVER", "DTSTART:20260101T000000Z"] {
        let mut event = meeting("Weekly", "2026-03-26T09:00:00");
        event["recurrence"] = json!([rule]);
        assert_eq!(account.refused(Method::POST, EVENTS, &event).2, "Invalid recurrence rule.", "{rule}");
    }
    let mut event = meeting("Weekly", "2026-03-26T09:00:00");
    event["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=2"]);
    event["start"] = json!({ "dateTime": "2026-03-26T09:00:00+01:00" });
    let refused = account.refused(Method::POST, EVENTS, &event);
    assert_eq!(
        (refused.1.as_str(), refused.2.as_str()),
        ("required", "Missing time zone definition for start time.")
    );
}

#[test]
fn whole_days_repeat_as_days() {
    let account = account();
    let page = account
        .get(&format!("{EVENTS}?q=Closing&singleEvents=true&timeMax=2026-07-01T00:00:00Z&orderBy=startTime"));
    let starts: Vec<&str> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|own| own["start"]["date"].as_str().expect("a day"))
        .collect();
    assert_eq!(starts, ["2026-01-30", "2026-02-27", "2026-04-29", "2026-05-30", "2026-06-29"]);
}

#[test]
fn long_properties_are_dropped_or_cut_without_a_word() {
    let account = empty_account();
    let mut event = meeting("Planning", "2026-03-20T09:00:00");
    event["extendedProperties"] = json!({ "shared": { "k".repeat(45): "lost", "kept": "v".repeat(1_025) } });
    let shared = account.insert(&event)["extendedProperties"]["shared"].clone();
    assert_eq!(shared.as_object().expect("an object").len(), 1);
    assert_eq!(shared["kept"].as_str().expect("a text").len(), 1_024);
}

#[test]
fn a_conference_is_made_only_for_those_who_know_of_it() {
    let account = empty_account();
    let mut event = meeting("Planning", "2026-03-20T09:00:00");
    event["conferenceData"] = json!({ "createRequest": { "requestId": "r1", "conferenceSolutionKey": { "type": "hangoutsMeet" } } });
    assert!(account.insert(&event).get("conferenceData").is_none());
    let made = account.write(Method::POST, &format!("{EVENTS}?conferenceDataVersion=1"), &event);
    assert_eq!(made["conferenceData"]["entryPoints"][0]["uri"], made["hangoutLink"]);
}

#[test]
fn an_event_moves_to_another_calendar() {
    let account = account();
    let list = account.get("users/me/calendarList");
    let other = list["items"][1]["id"].as_str().expect("an id").to_owned();
    let made = account.insert(&meeting("Planning", "2026-03-20T09:00:00"));
    let id = made["id"].as_str().expect("an id");
    let moved = account.write(Method::POST, &format!("{EVENTS}/{id}/move?destination={other}"), &Value::Null);
    assert_eq!(moved["organizer"]["email"], other.as_str());
    assert_eq!(account.get(&format!("calendars/{other}/events/{id}"))["status"], "confirmed");
    assert_eq!(account.get(&format!("{EVENTS}/{id}"))["status"], "cancelled");
}

#[test]
fn imported_events_get_their_id_from_the_one_of_their_calendar() {
    let account = empty_account();
    let mut event = meeting("Visit", "2026-03-20T09:00:00");
    assert_eq!(account.refused(Method::POST, &format!("{EVENTS}/import"), &event).1, "required");
    event["iCalUID"] = json!("abc@example.com");
    let made = account.write(Method::POST, &format!("{EVENTS}/import"), &event);
    assert_eq!(made["iCalUID"], "abc@example.com");
    assert!(made["id"].as_str().expect("an id").starts_with('_'));
    event["summary"] = json!("Visit again");
    let again = account.write(Method::POST, &format!("{EVENTS}/import"), &event);
    assert_eq!((&again["id"], &again["summary"]), (&made["id"], &json!("Visit again")));
}

#[test]
fn a_document_of_another_calendar_is_taken_in() {
    let account = empty_account();
    let file = account.dir.path().join("events.ics");
    let document = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:one@example.com\r\nSUMMARY:Très long\\, \r\n  folded\r\n\
        DTSTART;TZID=Europe/Paris:20260320T090000\r\nDTEND;TZID=Europe/Paris:20260320T100000\r\n\
        RRULE:FREQ=DAILY;COUNT=2\r\nBEGIN:VALARM\r\nDESCRIPTION:Ring\r\nEND:VALARM\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:two@example.com\r\nSUMMARY:A day\r\nDTSTART;VALUE=DATE:20260401\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    std::fs::write(&file, document).expect("a file");
    account.service.import(&file).expect("it is taken in");
    let (rows, _) = account.all(EVENTS);
    let words: Vec<&str> = rows.iter().map(|own| own["summary"].as_str().expect("a title")).collect();
    assert_eq!(words, ["Très long,  folded", "A day"]);
    assert_eq!(rows[1]["end"], json!({ "date": "2026-04-02" }));
}

#[test]
fn labels_are_for_clients_that_know_them_and_colours_for_the_others() {
    let account = empty_account();
    let mut event = meeting("Labelled", "2026-03-20T09:00:00");
    (event["eventLabelId"], event["colorId"]) = (json!("one"), json!("5"));
    let old = account.insert(&event);
    assert_eq!((&old["eventLabelId"], &old["colorId"]), (&Value::Null, &json!("5")));
    let new = account.write(Method::POST, &format!("{EVENTS}?eventLabelVersion=1"), &event);
    assert_eq!((&new["eventLabelId"], &new["colorId"]), (&json!("one"), &Value::Null));
    let one = format!("{EVENTS}/{}?eventLabelVersion=1", new["id"].as_str().expect("an id"));
    let cleared = account.write(Method::PATCH, &one, &json!({ "eventLabelId": "" }));
    assert_eq!(cleared["eventLabelId"], Value::Null);
}

#[test]
fn quick_words_become_an_event() {
    let account = empty_account();
    let made =
        account.write(Method::POST, &format!("{EVENTS}/quickAdd?text=Lunch+tomorrow+12:30"), &Value::Null);
    assert_eq!(made["start"]["dateTime"], "2026-03-05T12:30:00+01:00");
    assert_eq!(made["summary"], "Lunch tomorrow 12:30");
}

#[test]
fn a_batch_answers_each_of_its_parts() {
    let account = empty_account();
    let event = meeting("Planning", "2026-03-20T09:00:00").to_string();
    let part = |id: &str, head: &str, body: &str| {
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <{id}>\r\n\r\n{head}\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        )
    };
    let insert = format!("POST /calendar/v3/{EVENTS}?alt=json HTTP/1.1");
    let none = format!("GET /calendar/v3/{EVENTS}/none0 HTTP/1.1");
    let body_text = format!("{}{}--b--\r\n", part("one", &insert, &event), part("two", &none, ""));
    let kind = [("content-type", "multipart/mixed; boundary=b")];
    let reply = account.send(Method::POST, "/batch/calendar/v3", &kind, &body_text);
    let answer = text(&reply);
    assert_eq!(reply.status.as_u16(), 200, "{answer}");
    assert!(answer.contains("Content-ID: <response-one>") && answer.contains("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("Content-ID: <response-two>") && answer.contains("HTTP/1.1 404 Not Found"),
        "{answer}"
    );
    assert_eq!(account.all(EVENTS).0.len(), 1);
    let many: String = (0..51).map(|turn| part(&turn.to_string(), &none, "")).collect();
    let reply = account.send(Method::POST, "/batch/calendar/v3", &kind, &format!("{many}--b--\r\n"));
    assert_eq!(reply.status.as_u16(), 400);
}
