//! The suite over Google Calendar: events in one calendar and in all; calendars, of which it takes many for several
//! pages; and occurrences, entries of the list and rules of access.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use http::Method;
use recordport::emulator::EmulatorConfig;
use recordport::emulator::google_calendar::GoogleCalendar;
use recordport::providers;
use recordport::record::record_type::Field;
use recordport::record::{RecordType, TypeName};
use serde_json::{Value, json};

use super::subject::{Service, Subject};
use super::values::next_number;
use crate::support::emulated::{Emulated, client};

const EVENTS: &[&str] = &["event", "event:ada@emulated.example"];

struct Google;

impl Service for Google {
    fn page_path(&self) -> &'static str {
        "/calendar/v3/*"
    }

    fn write_path(&self) -> &'static str {
        "/batch/calendar/v3"
    }

    fn is_write(&self, request: &Value) -> bool {
        let path = request["path"].as_str().unwrap_or_default();
        let body = request["body"].as_str().unwrap_or_default();
        let writes =
            ["POST", "PATCH", "DELETE"].iter().any(|verb| body.contains(&format!("\r\n{verb} /calendar")));
        (path == "/batch/calendar/v3" && writes)
            || (path.starts_with("/calendar/v3/")
                && request["method"] != "GET"
                && path != "/calendar/v3/freeBusy")
    }

    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>) {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", text("client_id")),
            ("client_secret", text("client_secret")),
            ("refresh_token", text("refresh_token")),
        ];
        ("/token", form)
    }

    fn plain_text_field(&self, _: &RecordType) -> String {
        "summary".to_owned()
    }

    fn reads_otherwise(&self, _: &Field) -> bool {
        false
    }

    fn known_value(&self, field: &Field) -> Option<Value> {
        let at = |time: &str| json!({ "date": null, "dateTime": time, "timeZone": "Europe/Berlin" });
        let number = next_number();
        Some(match field.name.as_str() {
            "id" => json!(format!("a{number:08}")),
            "start" => at("2031-03-28T09:30:00+01:00"),
            "end" => at("2031-03-28T10:15:00+01:00"),
            "recurrence" => json!(["RRULE:FREQ=WEEKLY;COUNT=3"]),
            "attendees" => json!([{ "email": format!("row{number}@example.com"), "optional": true }]),
            "attachments" => {
                json!([{ "fileUrl": format!("https://example.com/{number}"), "title": "Agenda" }])
            }
            "reminders" => json!({ "useDefault": false, "overrides": [{ "method": "popup", "minutes": 5 }] }),
            "source" => json!({ "url": format!("https://example.com/{number}"), "title": "Case" }),
            "privateExtendedProperties" | "sharedExtendedProperties" => {
                json!([{ "key": "case", "value": number.to_string() }, { "key": "ü", "value": "🙂" }])
            }
            "timeZone" => json!("Asia/Tokyo"),
            // Not beside a label.
            "colorId" => Value::Null,
            _ => return None,
        })
    }

    fn repeats_creates(&self) -> bool {
        true
    }

    fn core_types(&self) -> &'static [&'static str] {
        EVENTS
    }

    fn is_of(&self, name: &TypeName, row: &Value) -> bool {
        let calendar = name
            .scope()
            .is_none_or(|scope| row["calendar_id"] == scope || scope == "primary" && is_primary(row));
        row["status"] != "cancelled" && calendar
    }
}

fn is_primary(row: &Value) -> bool {
    row["calendar_id"] == "ada@emulated.example"
}

async fn emulated(config: EmulatorConfig) -> Emulated {
    Emulated::start(config, |config| Ok(vec![Arc::new(GoogleCalendar::start(config)?)])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn google_calendars_events_behave() {
    let factory = providers::find("google-calendar").unwrap();
    let emulated = emulated(EmulatorConfig::default()).await;
    // Enough for two pages of one calendar.
    let day =
        json!({ "summary": "Fair", "start": { "date": "2026-05-01" }, "end": { "date": "2026-05-02" } });
    batch(&emulated, "POST", &vec![("calendars/primary/events".to_owned(), day); 60]).await;
    super::run(Subject::start(factory, emulated, EVENTS, Vec::new(), Box::new(Google)).await).await;
}

/// What is created without a key of ours, so that a create whose answer is lost stays unknown.
struct Others {
    /// Calendars that are not in the list, to be put into it.
    spare: Mutex<Vec<String>>,
    core: &'static [&'static str],
}

impl Service for Others {
    fn page_path(&self) -> &'static str {
        Google.page_path()
    }

    fn write_path(&self) -> &'static str {
        Google.write_path()
    }

    fn is_write(&self, request: &Value) -> bool {
        Google.is_write(request)
    }

    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>) {
        Google.refresh_form(credentials)
    }

    fn core_types(&self) -> &'static [&'static str] {
        self.core
    }

    fn plain_text_field(&self, record_type: &RecordType) -> String {
        let name = match record_type.name.base() {
            "acl_rule" => "role",
            "calendar_list_entry" => "summaryOverride",
            _ => "summary",
        };
        name.to_owned()
    }

    fn plain_edit(&self, record_type: &RecordType) -> (String, Value) {
        let value = if record_type.name.base() == "acl_rule" { "writer" } else { "changed" };
        (self.plain_text_field(record_type), json!(value))
    }

    fn versioned_edit(&self, record_type: &RecordType, text: &str) -> (String, Value) {
        let role = if text.starts_with("fresh") { "reader" } else { "writer" };
        let value = if record_type.name.base() == "acl_rule" { role } else { text };
        (self.plain_text_field(record_type), json!(value))
    }

    fn reads_otherwise(&self, _: &Field) -> bool {
        false
    }

    fn is_unique(&self, field: &Field) -> bool {
        field.unique || field.name == "scope"
    }

    fn known_value(&self, field: &Field) -> Option<Value> {
        let number = next_number();
        Some(match field.name.as_str() {
            "timeZone" => json!("Asia/Tokyo"),
            "scope" => json!({ "type": "user", "value": format!("row{number}@example.com") }),
            "backgroundColor" => json!("#0088aa"),
            "foregroundColor" => json!("#ffffff"),
            "defaultReminders" => json!([{ "method": "popup", "minutes": 5 }]),
            _ => return None,
        })
    }

    fn known_value_of(&self, form: &RecordType, field: &Field) -> Option<Value> {
        if form.name.base() == "calendar_list_entry" && field.name == "id" {
            return self.spare.lock().unwrap().pop().map(Value::from);
        }
        self.known_value(field)
    }

    fn is_of(&self, name: &TypeName, row: &Value) -> bool {
        name.scope().is_none() || is_primary(row)
    }
}

/// Sends requests fifty at a time, and gives the answers' bodies.
async fn batch(emulated: &Emulated, method: &str, requests: &[(String, Value)]) -> Vec<Value> {
    let token =
        emulated.emulator.credentials()["google-calendar"]["access_token"].as_str().unwrap().to_owned();
    let mut bodies = Vec::new();
    for some in requests.chunks(50) {
        let mut body = String::new();
        for (path, json) in some {
            let _ = write!(
                body,
                "--b\r\nContent-Type: application/http\r\n\r\n{method} /calendar/v3/{path} HTTP/1.1\r\n\r\n{json}\r\n"
            );
        }
        body.push_str("--b--\r\n");
        let request = client().request(Method::POST, emulated.url("/batch/calendar/v3")).bearer_auth(&token);
        let request = request.header("content-type", "multipart/mixed; boundary=b").body(body);
        let text = request.send().await.unwrap().text().await.unwrap();
        let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(answers.len(), some.len(), "{text}");
        for answer in answers {
            assert!(answer.starts_with('2'), "{answer}");
            let json = answer.find('{').map(|from| &answer[from..=answer.rfind('}').unwrap()]);
            bodies.push(json.map_or(Value::Null, |json| serde_json::from_str(json).unwrap()));
        }
    }
    bodies
}

/// Makes calendars and gives their ids.
async fn make_calendars(emulated: &Emulated, count: usize) -> Vec<String> {
    let rows: Vec<(String, Value)> = (0..count)
        .map(|number| ("calendars".to_owned(), json!({ "summary": format!("Calendar {number}") })))
        .collect();
    let made = batch(emulated, "POST", &rows).await;
    made.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn google_calendars_calendars_behave() {
    let emulated = emulated(EmulatorConfig { empty: true, ..EmulatorConfig::default() }).await;
    make_calendars(&emulated, 230).await;
    let factory = providers::find("google-calendar").unwrap();
    let types = &["calendar"];
    let service = Others { spare: Mutex::default(), core: types };
    super::run(Subject::start(factory, emulated, types, IDLE.to_vec(), Box::new(service)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_calendars_occurrences_entries_and_rules_behave() {
    let emulated = emulated(EmulatorConfig::default()).await;
    let spare = make_calendars(&emulated, 180).await;
    let gone: Vec<(String, Value)> =
        spare.iter().map(|id| (format!("users/me/calendarList/{id}"), Value::Null)).collect();
    batch(&emulated, "DELETE", &gone).await;
    let factory = providers::find("google-calendar").unwrap();
    let types =
        &["event_instance:ada@emulated.example", "calendar_list_entry", "acl_rule:ada@emulated.example"];
    let service = Others { spare: Mutex::new(spare), core: &[] };
    // None of them can be created in so many that they fill a page of the case.
    let idle = [&["created is found once over many pages"], &IDLE[..]].concat();
    super::run(Subject::start(factory, emulated, types, idle, Box::new(service)).await).await;
}

/// Only events are found by a key of ours, and only their checkpoints hold tokens that expire.
const IDLE: [&str; 2] = ["upsert twice is one record", "a feed recovers from an expired checkpoint"];
