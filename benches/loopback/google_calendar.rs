//! Events as Google Calendar sends them, made up from their number, and what a sign-in asks for.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

const CALENDAR: &str = "bench@example.com";
/// The address of the events.
pub(crate) const EVENTS: &str = "/calendar/v3/calendars/bench@example.com/events";

/// What a small request is answered with; `None` for what does not belong to Google.
pub(crate) fn answer(path: &str) -> Option<Value> {
    let entry = json!({
        "kind": "calendar#calendarListEntry", "etag": "\"1\"", "id": CALENDAR, "summary": "Bench",
        "timeZone": "Europe/Berlin", "accessRole": "owner", "primary": true, "selected": true,
        "defaultReminders": [], "colorId": "14",
    });
    let rest = path.strip_prefix("/calendar/v3/")?;
    Some(match rest {
        "users/me/calendarList" => json!({
            "kind": "calendar#calendarList", "etag": "\"1\"", "items": [entry], "nextSyncToken": "bench",
        }),
        "users/me/settings" => json!({
            "kind": "calendar#settings", "etag": "\"1\"", "nextSyncToken": "bench",
            "items": [{ "kind": "calendar#setting", "etag": "\"1\"", "id": "timezone", "value": "Europe/Berlin" }],
        }),
        "colors" => json!({ "kind": "calendar#colors", "calendar": {}, "event": {} }),
        _ if rest.starts_with("users/me/calendarList/") => entry,
        _ => json!({
            "kind": "calendar#calendar", "etag": "\"1\"", "id": CALENDAR, "summary": "Bench",
            "timeZone": "Europe/Berlin",
        }),
    })
}

fn event(out: &mut String, n: usize) {
    let spread = n.wrapping_mul(2_654_435_761) % 1_000_003;
    let city = ["Hamburg", "São Paulo", "Springfield", "Malmö", "Leeds", "Kraków"][n % 6];
    let _ = write!(
        out,
        concat!(
            r#"{{"kind":"calendar#event","etag":"\"3520{spread:012}\"","id":"b{spread:06}e{n:08}","status":"confirmed","#,
            r#""htmlLink":"https://www.google.com/calendar/event?eid=YjB{spread}ZTA{n}","created":"2025-11-{day:02}T08:05:{second}.000Z","#,
            r#""updated":"2026-01-{day:02}T16:21:{second}.{milli:03}Z","summary":"Visit \"{spread}\" in {city}","#,
            r#""description":"A technician meets the tenants of {city}; the agenda is in ticket {spread}.","#,
            r#""location":"{house} Harbour Road, {city}","creator":{{"email":"bench@example.com","self":true}},"#,
            r#""organizer":{{"email":"bench@example.com","self":true}},"#,
            r#""start":{{"dateTime":"2026-03-{day:02}T{hour:02}:00:00+01:00","timeZone":"Europe/Berlin"}},"#,
            r#""end":{{"dateTime":"2026-03-{day:02}T{hour:02}:45:00+01:00","timeZone":"Europe/Berlin"}},"#,
            r#""iCalUID":"b{spread:06}e{n:08}@google.com","sequence":{floor},"attendees":["#,
            r#"{{"email":"office{spread}@example.com","displayName":"Office {spread}","responseStatus":"accepted"}},"#,
            r#"{{"email":"bench@example.com","organizer":true,"self":true,"responseStatus":"needsAction"}}],"#,
            r#""extendedProperties":{{"private":{{"ticket":"{spread}"}}}},"#,
            r#""reminders":{{"useDefault":false,"overrides":[{{"method":"popup","minutes":{floor}}}]}},"eventType":"default"}}"#,
        ),
        n = n,
        spread = spread,
        city = city,
        house = spread % 180 + 1,
        floor = spread % 40,
        day = spread % 28 + 1,
        hour = spread % 12 + 8,
        second = spread % 50 + 10,
        milli = spread % 1_000,
    );
}

/// The events of pages: everything between head and end.
pub(crate) fn bodies(events: usize, page: usize) -> Vec<Bytes> {
    super::server::bodies(events, page, "\"items\":[", event)
}

/// What stands before the events of the page that begins at one.
pub(crate) fn head(events: usize, page: usize, first: usize) -> Bytes {
    let next = first + page;
    let follows = if next < events {
        format!(r#""nextPageToken":"{next}""#)
    } else {
        r#""nextSyncToken":"bench""#.to_owned()
    };
    Bytes::from(format!(
        concat!(
            r#"{{"kind":"calendar#events","etag":"\"p33\"","summary":"Bench","description":"","updated":"2026-01-31T00:00:00.000Z","#,
            r#""timeZone":"Europe/Berlin","accessRole":"owner","defaultReminders":[],{},"#,
        ),
        follows
    ))
}

/// The event that the page of an address begins at.
pub(crate) fn first_of(query: &str) -> usize {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("pageToken="));
    token.and_then(|token| token.parse().ok()).unwrap_or_default()
}
