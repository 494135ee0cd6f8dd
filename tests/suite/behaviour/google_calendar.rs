//! The suite over Google Calendar: events in one calendar and in all, and calendars, of which it takes many for several
//! pages.

use std::sync::Arc;

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
            _ => return None,
        })
    }

    fn repeats_creates(&self) -> bool {
        true
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
    let types = &["event", "event:ada@emulated.example"];
    let subject = Subject::start(
        factory,
        emulated(EmulatorConfig::default()).await,
        types,
        IDLE.to_vec(),
        Box::new(Google),
    )
    .await;
    super::run(subject).await;
}

/// Calendars are created without a key of ours, so that a create whose answer is lost stays unknown.
struct Calendars;

impl Service for Calendars {
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

    fn plain_text_field(&self, record_type: &RecordType) -> String {
        Google.plain_text_field(record_type)
    }

    fn reads_otherwise(&self, _: &Field) -> bool {
        false
    }

    fn known_value(&self, field: &Field) -> Option<Value> {
        (field.name == "timeZone").then(|| json!("Asia/Tokyo"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn google_calendars_calendars_behave() {
    let emulated = emulated(EmulatorConfig { empty: true, ..EmulatorConfig::default() }).await;
    let token =
        emulated.emulator.credentials()["google-calendar"]["access_token"].as_str().unwrap().to_owned();
    let client = client();
    for number in 0..410 {
        let request =
            client.request(Method::POST, emulated.url("/calendar/v3/calendars")).bearer_auth(&token);
        let made = request
            .body(json!({ "summary": format!("Calendar {number}") }).to_string())
            .send()
            .await
            .unwrap();
        assert!(made.status().is_success());
    }
    let factory = providers::find("google-calendar").unwrap();
    let idle = IDLE.iter().chain(&CALENDARS_IDLE).copied().collect();
    let mut idle: Vec<&str> = idle;
    idle.sort_by_key(|sentence| super::cases::ALL.iter().position(|case| case.sentence == *sentence));
    super::run(Subject::start(factory, emulated, &["calendar"], idle, Box::new(Calendars)).await).await;
}

/// Nothing in Google Calendar is found by a key of ours.
const IDLE: [&str; 1] = ["upsert twice is one record"];
/// There is no feed of changes of calendars.
const CALENDARS_IDLE: [&str; 4] = [
    "changes reports created, updated, deleted",
    "a feed without progress repeats nothing",
    "a feed recovers from an expired checkpoint",
    "a feed refuses a checkpoint that is not its own",
];
