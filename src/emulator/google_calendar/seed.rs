//! The calendars and events of the start, each event a function of its place in its calendar.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span as Length, Timestamp, ToSpan as _};
use serde_json::{Map, Value, json};

use super::event::Event;
use super::moments::{Moment, Span};
use crate::emulator::chance::{mix, word};

/// Events of one calendar at scale 1.
const EVENTS: u64 = 150;
/// Series and exceptions stand at the first places of a calendar.
const SPECIAL: u64 = 8;
/// Calendars of the user's own: end of the id, summary, zone.
pub(super) const CALENDARS: [(&str, &str, &str); 5] = [
    ("", "Ada", "Europe/Berlin"),
    ("team", "Team Operations", "Europe/Berlin"),
    ("launch", "Produkteinführung", "America/New_York"),
    ("rooms", "会議室 / Rooms", "Asia/Tokyo"),
    ("oncall", "On call", "UTC"),
];
const TITLES: [&str; 12] = [
    "Planning",
    "Review",
    "1:1",
    "Kundentermin",
    "Déjeuner",
    "面談",
    "Retro 🎉",
    "Interview",
    "Standup",
    "Budget",
    "Training",
    "Visit",
];
const PLACES: [&str; 5] = ["Room 1", "Café am See", "東京オフィス", "", "https://meet.example/abc"];

/// Makes events from their places.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    seed: u64,
    count: u64,
    user: String,
    group: String,
}

impl Seed {
    pub(super) fn new(seed: u64, user: &str, scale: u64, empty: bool) -> Self {
        let count = if empty { 0 } else { EVENTS * scale.clamp(1, 10_000_000) };
        let group = format!("{:016x}{:016x}", mix(seed), mix(seed ^ 1));
        Self { seed, count, user: user.to_owned(), group }
    }

    pub(super) fn per_calendar(&self) -> u64 {
        self.count
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The id of a calendar by its place in the list.
    pub(super) fn calendar_id(&self, number: usize) -> String {
        match number {
            0 => self.user.clone(),
            _ => format!("c_{}{:032x}@group.calendar.google.com", self.group, number),
        }
    }

    fn mark(&self, calendar: usize) -> u64 {
        mix(self.seed ^ mix(calendar as u64 ^ 0xCA1))
    }

    /// The id of an event: digits and letters up to v, from which its place can be read back.
    fn id(&self, calendar: usize, place: u64) -> String {
        let value =
            (u128::from(self.mark(calendar)) << 64) | u128::from(place ^ self.mark(calendar).rotate_left(9));
        let digits = b"0123456789abcdefghijklmnopqrstuv";
        (0..26).rev().map(|turn| char::from(digits[((value >> (turn * 5)) & 31) as usize])).collect()
    }

    /// The place of an event by its id.
    pub(super) fn place(&self, calendar: usize, id: &str) -> Option<u64> {
        let (bare, exception) = match id.split_once('_') {
            Some((bare, _)) => (bare, true),
            None => (id, false),
        };
        if bare.len() != 26 {
            return None;
        }
        let value = bare.bytes().try_fold(0_u128, |value, byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'v' => byte - b'a' + 10,
                _ => return None,
            };
            Some((value << 5) | u128::from(digit))
        })?;
        let place = (value as u64) ^ self.mark(calendar).rotate_left(9);
        if exception {
            // Exceptions stand behind their series.
            return (1..=2)
                .map(|step| place + step)
                .find(|place| self.event(calendar, *place).is_some_and(|event| event.id == id));
        }
        self.event(calendar, place).filter(|event| event.id == id).map(|_| place)
    }

    pub(super) fn event(&self, calendar: usize, place: u64) -> Option<Event> {
        if place >= self.count {
            return None;
        }
        let zone = CALENDARS.get(calendar).map_or("UTC", |(_, _, zone)| zone);
        let hash = mix(self.mark(calendar) ^ mix(place));
        match place {
            0 => Some(self.weekly(calendar, zone)),
            1 => self.exception(calendar, zone, 2, Some("Moved to the afternoon")),
            2 => self.exception(calendar, zone, 4, None),
            3 => Some(self.whole_days(calendar)),
            _ => Some(self.single(calendar, place, hash, zone)),
        }
    }

    fn common(&self, calendar: usize, place: u64, span: Span, members: Value) -> Event {
        let created = Timestamp::from_second(1_735_722_000 + i64::try_from(place).unwrap_or_default() * 600)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let updated = created.saturating_add(SignedDuration::from_micros(86_400_123_457)).unwrap_or(created);
        let id = self.id(calendar, place);
        let members = match members {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Event {
            order: place,
            ical_uid: format!("{id}@google.com"),
            id,
            kind: "default".to_owned(),
            span,
            of: None,
            members,
            organizer: if calendar == 0 {
                json!({ "email": self.user, "self": true })
            } else {
                let name = CALENDARS.get(calendar).map_or("", |(_, name, _)| name);
                json!({ "email": self.calendar_id(calendar), "displayName": name, "self": true })
            },
            creator: if calendar == 0 {
                json!({ "email": self.user, "self": true })
            } else {
                json!({ "email": self.user })
            },
            created,
            updated,
        }
    }

    /// Every Thursday morning over both changes of the clock.
    fn weekly(&self, calendar: usize, zone: &str) -> Event {
        let span = timed(date(2026, 1, 8), 9, 30, zone);
        let members = json!({
            "summary": "Weekly",
            "description": "<b>Agenda</b> in the document",
            "recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=60"],
            "attendees": [
                { "email": self.user, "organizer": true, "self": true, "responseStatus": "accepted" },
                { "email": "grace@emulated.example", "responseStatus": "needsAction" },
                { "email": "room-1@emulated.example", "resource": true, "responseStatus": "accepted" },
            ],
            "reminders": { "useDefault": false, "overrides": [{ "method": "popup", "minutes": 10 }] },
            "conferenceData": {
                "entryPoints": [{ "entryPointType": "video", "uri": "https://meet.google.com/abc-defg-hij" }],
                "conferenceSolution": { "key": { "type": "hangoutsMeet" }, "name": "Google Meet", "iconUri": "" },
                "conferenceId": "abc-defg-hij",
            },
        });
        self.common(calendar, 0, span, members)
    }

    /// The occurrence some weeks behind the first: moved, or taken away.
    fn exception(&self, calendar: usize, zone: &str, weeks: i64, moved: Option<&str>) -> Option<Event> {
        let series = self.weekly(calendar, zone);
        let day = date(2026, 1, 8).checked_add((weeks * 7).days()).ok()?;
        let original = timed(day, 9, 30, zone);
        let span = if moved.is_some() { timed(day, 15, 45, zone) } else { original.clone() };
        let mut event = self.common(calendar, if moved.is_some() { 1 } else { 2 }, span, Value::Null);
        event.id = format!("{}_{}", series.id, original.start.compact());
        event.ical_uid = series.ical_uid;
        event.of = Some((series.id, original.start));
        event.members = series.members;
        event.members.remove("recurrence");
        match moved {
            Some(summary) => drop(event.members.insert("summary".to_owned(), json!(summary))),
            None => drop(event.members.insert("status".to_owned(), json!("cancelled"))),
        }
        Some(event)
    }

    /// Two days each month, without a zone.
    fn whole_days(&self, calendar: usize) -> Event {
        let span = Span { start: Moment::Day(date(2026, 1, 30)), end: Moment::Day(date(2026, 2, 1)) };
        let members = json!({
            "summary": "Closing of the month",
            "recurrence": ["RRULE:FREQ=MONTHLY;BYMONTHDAY=-2;UNTIL=20271231", "EXDATE;VALUE=DATE:20260330"],
            "transparency": "transparent",
        });
        self.common(calendar, 3, span, members)
    }

    fn single(&self, calendar: usize, place: u64, hash: u64, zone: &str) -> Event {
        let day = date(2026, 1, 1).saturating_add(Length::new().days((mix(hash) % 700) as i64));
        let span = if hash.is_multiple_of(7) {
            let end = day.saturating_add(Length::new().days(1 + ((hash >> 9) % 4) as i64));
            Span { start: Moment::Day(day), end: Moment::Day(end) }
        } else {
            timed(day, 7 + ((hash >> 5) % 12) as i8, [15, 30, 60, 90][(hash >> 12) as usize % 4], zone)
        };
        let mut members = json!({ "summary": word(&TITLES, hash) });
        let place_name = word(&PLACES, mix(hash ^ 3));
        if !place_name.is_empty() {
            members["location"] = json!(place_name);
        }
        if hash.is_multiple_of(3) {
            members["description"] = json!(format!("Notes of {place}: größer als 1 < 2 & \"quoted\""));
        }
        if hash.is_multiple_of(5) {
            members["colorId"] = json!((1 + hash % 11).to_string());
            members["visibility"] = json!("private");
        }
        if hash.is_multiple_of(4) {
            members["extendedProperties"] = json!({
                "private": { "case": (hash % 1000).to_string() },
                "shared": { "team": word(&["north", "south"], hash >> 3) },
            });
        }
        if hash.is_multiple_of(11) {
            members["status"] = json!("tentative");
        }
        if place < SPECIAL {
            members["attendees"] =
                json!([{ "email": "grace@emulated.example", "responseStatus": "tentative" }]);
        }
        let mut event = self.common(calendar, place, span, members);
        if calendar == 0 && hash.is_multiple_of(29) {
            event.kind = "focusTime".to_owned();
            let properties = json!({ "autoDeclineMode": "declineNone", "chatStatus": "doNotDisturb" });
            event.members.insert("focusTimeProperties".to_owned(), properties);
        }
        event
    }
}

/// A meeting on a day, at local time, of so many minutes.
fn timed(day: Date, hour: i8, minutes: i64, zone: &str) -> Span {
    let tz = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let start = day.at(hour, if hour == 9 { 30 } else { 0 }, 0, 0);
    let at = start.to_zoned(tz).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp());
    let end = at.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(at);
    let moment = |at| Moment::Instant { at, zone: Some(zone.to_owned()) };
    Span { start: moment(at), end: moment(end) }
}
