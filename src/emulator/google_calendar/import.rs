//! Events from a file: a list as the API gives it, or an iCalendar document (RFC 5545).

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// The events of a file, as bodies of imports.
pub(super) fn read(file: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let events =
        if text.trim_start().starts_with("BEGIN:VCALENDAR") { calendar(&text) } else { list(&text)? };
    if events.is_empty() {
        return Err("there are no events in it".to_owned());
    }
    Ok(events)
}

fn list(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let items = value.get("items").unwrap_or(&value).as_array().ok_or("it holds no list of events")?;
    let bodies = items.iter().filter_map(Value::as_object).filter(|own| own.contains_key("start")).cloned();
    let with_uid = |mut body: Map<String, Value>| {
        if !body.contains_key("iCalUID") {
            let id = body.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            body.insert("iCalUID".to_owned(), json!(format!("{id}@imported.example")));
        }
        body
    };
    Ok(bodies.map(with_uid).collect())
}

/// Lines of a document with those that were folded put together.
fn unfolded(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix([' ', '\t']), out.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => out.push(line.to_owned()),
        }
    }
    out
}

fn plain(value: &str) -> String {
    value
        .replace("\\n", "\n")
        .replace("\\N", "\n")
        .replace("\\,", ",")
        .replace("\\;", ";")
        .replace("\\\\", "\\")
}

fn calendar(text: &str) -> Vec<Map<String, Value>> {
    let mut out = Vec::new();
    let mut event: Option<Map<String, Value>> = None;
    // Alarms and the like stand inside of events.
    let mut inner = 0_usize;
    for line in unfolded(text) {
        let Some((head, value)) = line.split_once(':') else { continue };
        let mut parameters = head.split(';');
        let name = parameters.next().unwrap_or_default().to_ascii_uppercase();
        match (name.as_str(), event.as_mut()) {
            ("BEGIN", None) if value == "VEVENT" => event = Some(Map::new()),
            ("BEGIN", Some(_)) => inner += 1,
            ("END", Some(_)) if value == "VEVENT" => out.extend(event.take()),
            ("END", Some(_)) => inner = inner.saturating_sub(1),
            (_, Some(event)) if inner == 0 => member(event, &name, parameters, value, head),
            _ => {}
        }
    }
    out.retain(|event| event.contains_key("start") && event.contains_key("iCalUID"));
    for event in &mut out {
        if !event.contains_key("end") {
            let start = event.get("start").cloned().unwrap_or_default();
            event.insert("end".to_owned(), next_day(&start).unwrap_or(start));
        }
    }
    out
}

fn next_day(start: &Value) -> Option<Value> {
    let date: jiff::civil::Date = start.get("date")?.as_str()?.parse().ok()?;
    Some(json!({ "date": date.tomorrow().ok()?.to_string() }))
}

fn member<'a>(
    event: &mut Map<String, Value>,
    name: &str,
    parameters: impl Iterator<Item = &'a str>,
    value: &str,
    head: &str,
) {
    let zone = parameters.filter_map(|own| own.strip_prefix("TZID=")).next();
    let mut put = |name: &str, value: Value| drop(event.insert(name.to_owned(), value));
    match name {
        "UID" => put("iCalUID", json!(value)),
        "SUMMARY" => put("summary", json!(plain(value))),
        "DESCRIPTION" => put("description", json!(plain(value))),
        "LOCATION" => put("location", json!(plain(value))),
        "STATUS" => put("status", json!(value.to_ascii_lowercase())),
        "TRANSP" => put("transparency", json!(value.to_ascii_lowercase())),
        "DTSTART" | "DTEND" => {
            if let Some(moment) = moment(value, zone) {
                put(if name == "DTSTART" { "start" } else { "end" }, moment);
            }
        }
        "RRULE" | "EXRULE" | "RDATE" | "EXDATE" => {
            let line = json!(format!("{head}:{value}"));
            match event.get_mut("recurrence").and_then(Value::as_array_mut) {
                Some(lines) => lines.push(line),
                None => drop(event.insert("recurrence".to_owned(), json!([line]))),
            }
        }
        _ => {}
    }
}

fn moment(value: &str, zone: Option<&str>) -> Option<Value> {
    if let Ok(date) = jiff::civil::Date::strptime("%Y%m%d", value) {
        return Some(json!({ "date": date.to_string() }));
    }
    let local = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", value.trim_end_matches('Z')).ok()?;
    Some(match (value.ends_with('Z'), zone) {
        (true, _) => json!({ "dateTime": format!("{local}Z"), "timeZone": "UTC" }),
        (false, Some(zone)) => json!({ "dateTime": local.to_string(), "timeZone": zone }),
        (false, None) => json!({ "dateTime": local.to_string(), "timeZone": "UTC" }),
    })
}
