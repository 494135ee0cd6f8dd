//! What Google publishes about its Calendar API, held against the types that are described here and against the emulator:
//! a member that one of them drops is found.

use std::collections::BTreeSet;
use std::io::Read as _;

use http::Method;
use recordport::record::Field;
use recordport::record::record_type::FieldType;
use serde_json::{Map, Value, json};

use crate::support::diary::{Diary, key};

/// The extended properties in Google's document, and the lists that they are here.
const PAIRS: [(&str, &str); 2] = [
    ("extendedProperties.private", "privateExtendedProperties"),
    ("extendedProperties.shared", "sharedExtendedProperties"),
];

fn document() -> Value {
    let packed = include_bytes!("../specs/google-calendar-v3.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("is packed");
    serde_json::from_str(&text).expect("is JSON")
}

/// The paths below a schema, those of objects and of lists' elements among them.
fn published(document: &Value, schema: &Value, at: &str, out: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return published(document, &document["schemas"][name], at, out);
    }
    if schema["type"] == "array" {
        return published(document, &schema["items"], at, out);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        published(document, member, &path, out);
        out.insert(path);
    }
}

/// The paths below fields, and those of values that are kept as they are.
fn described(fields: &[Field], at: &str, out: &mut BTreeSet<String>, whole: &mut Vec<String>) {
    for field in fields {
        let path = if at.is_empty() { field.name.clone() } else { format!("{at}.{}", field.name) };
        let mut kind = &field.field_type;
        if let FieldType::List { element } = kind {
            kind = &element.field_type;
        }
        match kind {
            FieldType::Object { fields } => described(fields, &path, out, whole),
            FieldType::Json => whole.push(format!("{path}.")),
            _ => {}
        }
        out.insert(path);
    }
}

fn schema_paths(document: &Value, schema: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    published(document, &document["schemas"][schema], "", &mut out);
    out
}

#[tokio::test]
async fn every_member_that_google_publishes_is_a_field_and_nothing_else_is() {
    let document = document();
    let diary = Diary::new().await;
    for (name, schema, besides) in [
        ("event", "Event", &["calendar_id"] as &[&str]),
        ("event:primary", "Event", &["calendar_id"]),
        ("event_instance:primary", "Event", &["calendar_id"]),
        ("calendar", "Calendar", &[]),
        ("calendar_list_entry", "CalendarListEntry", &[]),
        ("acl_rule:primary", "AclRule", &["calendar_id"]),
        ("setting", "Setting", &[]),
    ] {
        let records = diary.open(name).await;
        let mut wanted = schema_paths(&document, schema);
        if name.starts_with("event_instance") {
            assert!(wanted.remove("recurrence"), "an occurrence has none");
        }
        for (theirs, ours) in PAIRS {
            if wanted.remove(theirs) {
                wanted.remove("extendedProperties");
                wanted.extend([ours.to_owned(), format!("{ours}.key"), format!("{ours}.value")]);
            }
        }
        wanted.extend(besides.iter().map(|own| (*own).to_owned()));
        let (mut found, mut whole) = (BTreeSet::new(), Vec::new());
        described(&records.record_type().fields, "", &mut found, &mut whole);
        wanted.retain(|path| !whole.iter().any(|own| path.starts_with(own)));
        let missing: Vec<&String> = wanted.difference(&found).collect();
        let unknown: Vec<&String> = found.difference(&wanted).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{name}: {missing:?} missing, {unknown:?} unknown");
    }
    // The types of events are told by a parameter of lists.
    let kinds = &document["resources"]["events"]["methods"]["list"]["parameters"]["eventTypes"]["enum"];
    let kinds: BTreeSet<&str> = kinds.as_array().expect("values").iter().filter_map(Value::as_str).collect();
    let records = diary.open("event:primary").await;
    let field = records.record_type().field("eventType").expect("a field");
    let FieldType::Picklist(picklist) = &field.field_type else { panic!("{field:?}") };
    assert_eq!(picklist.values.iter().filter_map(|own| own.value.as_str()).collect::<BTreeSet<_>>(), kinds);
}

/// What the service keeps of an event, by Google's document, and what none of the events here can have.
const KEPT: [&str; 23] = [
    "attachments.fileId",
    "attendees.asyncOperation",
    "attendees.organizer",
    "attendees.self",
    "birthdayProperties.contact",
    "birthdayProperties.customTypeName",
    "conferenceData.createRequest.status",
    "created",
    "creator",
    "endTimeUnspecified",
    "etag",
    "eventType",
    "hangoutLink",
    "htmlLink",
    "iCalUID",
    "id",
    "kind",
    "locked",
    "organizer",
    "originalStartTime",
    "privateCopy",
    "recurringEventId",
    "updated",
];

fn at(time: &str) -> Value {
    json!({ "dateTime": time, "timeZone": "Europe/Berlin" })
}

/// Events that have every member which may be written, over all types.
fn events() -> Vec<Value> {
    let usual = json!({
        "summary": "Everything", "description": "<b>All</b>", "location": "Here", "status": "tentative",
        "anyoneCanAddSelf": true, "attendeesOmitted": true, "guestsCanInviteOthers": false, "guestsCanModify": true,
        "guestsCanSeeOtherGuests": false, "visibility": "private", "transparency": "transparent", "sequence": 3,
        "recurrence": ["RRULE:FREQ=DAILY;COUNT=2"], "eventLabelId": "label",
        "source": { "url": "https://example.com/1", "title": "Case" },
        "reminders": { "useDefault": false, "overrides": [{ "method": "email", "minutes": 60 }] },
        "attendees": [{
            "email": "ann@example.com", "displayName": "Ann", "responseStatus": "declined", "comment": "away",
            "optional": true, "resource": true, "additionalGuests": 2, "id": "7",
        }],
        "attachments": [{
            "fileUrl": "https://example.com/a", "title": "Agenda", "mimeType": "text/plain", "iconLink": "https://example.com/i",
        }],
        "extendedProperties": { "private": { "case": "1" }, "shared": { "team": "north" } },
        "gadget": {
            "display": "chip", "height": 1, "width": 2, "iconLink": "https://example.com/i", "link": "https://example.com/l",
            "title": "G", "type": "text", "preferences": { "a": "b" },
        },
        "conferenceData": {
            "conferenceId": "c", "notes": "Knock", "signature": "s",
            "conferenceSolution": { "key": { "type": "addOn" }, "name": "Other", "iconUri": "https://example.com/i" },
            "parameters": { "addOnParameters": { "parameters": { "a": "b" } } },
            "entryPoints": [{
                "entryPointType": "phone", "uri": "tel:1", "label": "1", "pin": "2", "accessCode": "3", "meetingCode": "4",
                "passcode": "5", "password": "6", "regionCode": "DE", "entryPointFeatures": ["toll"],
            }],
        },
    });
    let meets = json!({ "conferenceData": {
        "createRequest": { "requestId": "one", "conferenceSolutionKey": { "type": "hangoutsMeet" } },
    } });
    let decline = json!({ "autoDeclineMode": "declineNone", "declineMessage": "Later" });
    let mut focus = decline.clone();
    focus["chatStatus"] = json!("doNotDisturb");
    let place = json!({
        "type": "officeLocation", "homeOffice": {}, "customLocation": { "label": "Café" },
        "officeLocation": {
            "buildingId": "1", "floorId": "2", "floorSectionId": "3", "deskId": "4", "label": "Main office",
        },
    });
    let mut all = vec![
        usual,
        meets,
        json!({ "eventType": "focusTime", "focusTimeProperties": focus }),
        json!({ "eventType": "outOfOffice", "outOfOfficeProperties": decline }),
        json!({ "eventType": "workingLocation", "workingLocationProperties": place }),
    ];
    for event in &mut all {
        event["start"] = at("2027-05-03T09:00:00+02:00");
        event["end"] = at("2027-05-03T10:00:00+02:00");
    }
    all.push(json!({
        "eventType": "birthday", "birthdayProperties": { "type": "birthday" }, "colorId": "5",
        "start": { "date": "2027-05-03" }, "end": { "date": "2027-05-04" },
    }));
    all
}

/// The paths of what is written.
fn written(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|own| written(own, at, out)),
        Value::Object(members) => {
            for (name, member) in members {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                written(member, &path, out);
                out.insert(path);
            }
        }
        _ => {}
    }
}

/// Whether all of what was written is read. What has no fields of its own is read as the text of its JSON.
fn is_read(asked: &Value, read: &Value) -> bool {
    match (asked, read) {
        (Value::Object(_), Value::String(text)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|read| read == *asked)
        }
        (Value::Object(asked), read) => asked.iter().all(|(name, own)| is_read(own, &read[name])),
        (Value::Array(asked), Value::Array(read)) => {
            asked.len() == read.len() && asked.iter().zip(read).all(|(one, other)| is_read(one, other))
        }
        (asked, read) => asked == read,
    }
}

fn pairs(groups: &Value, group: &str) -> Value {
    let pairs = groups[group].as_object().into_iter().flat_map(Map::iter);
    pairs.map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

#[tokio::test]
async fn every_member_that_may_be_written_is_kept_by_the_emulator_and_read_back() {
    let diary = Diary::new().await;
    let mut seen = BTreeSet::new();
    for event in events() {
        written(&event, "", &mut seen);
        let label = if event.get("eventLabelId").is_some() { "&eventLabelVersion=1" } else { "" };
        let switches = format!("conferenceDataVersion=1&supportsAttachments=true{label}");
        let stored =
            diary.send(Method::POST, &format!("calendars/primary/events?{switches}"), event.clone()).await;
        let id = stored["id"].as_str().expect("an id");
        let read = diary.get("event:primary", &key(id)).await.expect("is there");
        for (name, asked) in event.as_object().expect("an object") {
            assert!(is_read(asked, &stored[name]), "{name}: {} is kept", stored[name]);
            if name == "extendedProperties" {
                assert_eq!(read["privateExtendedProperties"], pairs(asked, "private"));
                assert_eq!(read["sharedExtendedProperties"], pairs(asked, "shared"));
            } else {
                assert!(is_read(asked, &read[name]), "{name}: {} is read", read[name]);
            }
        }
    }
    let is_kept = |path: &str| {
        KEPT.iter()
            .any(|own| path == *own || path.strip_prefix(own).is_some_and(|below| below.starts_with('.')))
    };
    let all = schema_paths(&document(), "Event");
    let left: Vec<&String> = all.iter().filter(|path| !is_kept(path) && !seen.contains(*path)).collect();
    assert!(left.is_empty(), "nothing here writes {left:?}");
}
