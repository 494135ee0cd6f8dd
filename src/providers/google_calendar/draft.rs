//! From the edits of a row to what is sent: only what changes is in it, since the service merges.

use serde_json::{Map, Value as Json, json};

use super::event_fields::{EXTENDED, PAIRS};
use super::fields::CALENDAR;
use super::kinds::Home;
use super::moments;
use super::write_options::{SEND_NOTIFICATIONS, SEND_UPDATES};
use crate::error::{Error, Result};
use crate::provider::{Edit, Edits, WriteOptions};
use crate::record::{Field, FieldType, RecordType};

/// What is sent for a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Draft {
    pub(super) body: Map<String, Json>,
    /// Parameters without which the service ignores some members.
    pub(super) query: Vec<(&'static str, String)>,
}

impl Draft {
    pub(super) fn text(&self) -> String {
        Json::Object(self.body.clone()).to_string()
    }
}

/// Members that are ignored without a parameter.
const SWITCHES: [(&str, &str, &str); 5] = [
    ("conferenceData", "conferenceDataVersion", "1"),
    ("attachments", "supportsAttachments", "true"),
    ("eventLabelId", "eventLabelVersion", "1"),
    ("backgroundColor", "colorRgbFormat", "true"),
    ("foregroundColor", "colorRgbFormat", "true"),
];

/// Whether the edits can only be written with what the record holds now: lists are sent whole, and keys that a list of
/// properties lacks have to be named to be taken away.
pub(super) fn needs_present(edits: &Edits) -> bool {
    edits.iter().any(|(name, edit)| {
        let pairs = PAIRS.iter().any(|(own, _)| own == name);
        match edit {
            Edit::List { .. } => !pairs,
            Edit::Set(_) => pairs,
            Edit::Clear => false,
        }
    })
}

/// The edits as the service takes them. `present` is the record as it is, for an update that needs it.
///
/// # Errors
/// Invalid with a reason for each field.
pub(super) fn draft(
    record_type: &RecordType,
    home: Home,
    edits: &Edits,
    creates: bool,
    present: Option<&Json>,
) -> Result<Draft> {
    let nothing = Json::Null;
    let present = present.unwrap_or(&nothing);
    let mut values = Map::new();
    let mut draft = Draft::default();
    for (name, edit) in edits.iter().filter(|(name, _)| name != CALENDAR) {
        let field = record_type.field(name).ok_or_else(|| Error::bug(format!("there is no field {name}")))?;
        let value = match edit {
            Edit::Clear => Json::Null,
            Edit::Set(raw) => {
                let value: Json = serde_json::from_str(raw.get())
                    .map_err(|source| Error::invalid(format!("{name} is no JSON")).with_source(source))?;
                encoded(field, value)?
            }
            Edit::List { add, remove } => {
                let add =
                    add.iter().map(|own| encoded(element(field), own.clone())).collect::<Result<Vec<_>>>()?;
                match PAIRS.iter().find(|(own, _)| own == name) {
                    Some((_, group)) => {
                        put_pairs(&mut draft.body, group, changed_pairs(&add, remove));
                        values.insert(name.clone(), Json::Array(add));
                        continue;
                    }
                    None => changed_list(name, &present[name.as_str()], add, remove),
                }
            }
        };
        values.insert(name.clone(), value);
    }
    if home.is_of_events() {
        moments::check(&values, creates)?;
    }
    for (name, value) in values {
        if let Some((_, group)) = PAIRS.iter().find(|(own, _)| *own == name) {
            let set = edits.iter().any(|(own, edit)| *own == name && !matches!(edit, Edit::List { .. }));
            if set {
                put_pairs(&mut draft.body, group, all_pairs(&value, &present[EXTENDED][*group]));
            }
            continue;
        }
        // What a new record is not to have needs no saying.
        let switch = SWITCHES.iter().find(|(member, ..)| *member == name && !(creates && value.is_null()));
        if let Some((_, parameter, on)) = switch
            && draft.query.iter().all(|(known, _)| known != parameter)
        {
            draft.query.push((parameter, (*on).to_owned()));
        }
        let value = if matches!(name.as_str(), "start" | "end") { exclusive(value) } else { value };
        draft.body.insert(name, value);
    }
    Ok(draft)
}

/// The parameters that the options of a write stand for.
pub(super) fn parameters(home: Home, options: &WriteOptions) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    if let Some(who) = options.get(SEND_UPDATES).and_then(Json::as_str).filter(|who| *who != "none") {
        out.push((SEND_UPDATES, who.to_owned()));
    }
    if home == Home::Rules {
        // Unlike for events the service would send by itself.
        out.push((SEND_NOTIFICATIONS, is_on(options, SEND_NOTIFICATIONS).to_string()));
    }
    out
}

/// Whether a switch among the options is on.
pub(super) fn is_on(options: &WriteOptions, name: &str) -> bool {
    match options.get(name) {
        Some(Json::Bool(on)) => *on,
        Some(Json::String(text)) => text == "true",
        _ => false,
    }
}

fn element(field: &Field) -> &Field {
    match &field.field_type {
        FieldType::List { element } => element,
        _ => field,
    }
}

/// The parameters without which the service ignores some of these members.
pub(super) fn switches(body: &Map<String, Json>) -> Vec<(&'static str, String)> {
    let mut out: Vec<(&'static str, String)> = Vec::new();
    for (_, parameter, on) in SWITCHES.iter().filter(|(member, ..)| body.contains_key(*member)) {
        if out.iter().all(|(known, _)| known != parameter) {
            out.push((parameter, (*on).to_owned()));
        }
    }
    out
}

/// A value as the wire has it: JSON that is given as text is put in as what it says.
fn encoded(field: &Field, value: Json) -> Result<Json> {
    match (&field.field_type, value) {
        (_, Json::Null) => Ok(Json::Null),
        (FieldType::Json, Json::String(text)) => serde_json::from_str(&text).map_err(|source| {
            Error::invalid("a value is no JSON").with_field(&field.name, source.to_string())
        }),
        (FieldType::Object { fields }, Json::Object(members)) => {
            let each = members.into_iter().map(|(name, value)| {
                let part = fields.iter().find(|part| part.name == name);
                let value = part.map_or_else(|| Ok(value.clone()), |part| encoded(part, value.clone()))?;
                Ok((name, value))
            });
            each.collect::<Result<Map<_, _>>>().map(Json::Object)
        }
        (FieldType::List { element }, Json::Array(all)) => {
            all.into_iter().map(|own| encoded(element, own)).collect::<Result<Vec<_>>>().map(Json::Array)
        }
        (_, value) => Ok(value),
    }
}

/// A start or an end in one form takes the other away.
fn exclusive(mut moment: Json) -> Json {
    let given = |name: &str| moment.get(name).is_some_and(|value| !value.is_null());
    let other = match (given("date"), given("dateTime")) {
        (true, false) => "dateTime",
        (false, true) => "date",
        _ => return moment,
    };
    moment[other] = Json::Null;
    if other == "dateTime" && moment.get("timeZone").is_none() {
        // Whole days have no zone.
        moment["timeZone"] = Json::Null;
    }
    moment
}

fn put_pairs(body: &mut Map<String, Json>, group: &str, pairs: Json) {
    let all = body.entry(EXTENDED).or_insert_with(|| json!({}));
    all[group] = pairs;
}

/// The object of a list of properties; keys that are there and not in the list are taken away.
fn all_pairs(list: &Json, present: &Json) -> Json {
    let Some(list) = list.as_array() else { return Json::Null };
    let mut out = Map::new();
    for key in present.as_object().into_iter().flat_map(Map::keys) {
        out.insert(key.clone(), Json::Null);
    }
    for pair in list {
        if let Some(key) = pair["key"].as_str() {
            out.insert(key.to_owned(), pair["value"].clone());
        }
    }
    Json::Object(out)
}

/// Properties that are added, and those that are taken away: by key, given as pair or as text.
fn changed_pairs(add: &[Json], remove: &[Json]) -> Json {
    let mut out = Map::new();
    for gone in remove {
        if let Some(key) = gone.as_str().or_else(|| gone["key"].as_str()) {
            out.insert(key.to_owned(), Json::Null);
        }
    }
    for pair in add {
        if let Some(key) = pair["key"].as_str() {
            out.insert(key.to_owned(), pair["value"].clone());
        }
    }
    Json::Object(out)
}

/// A list with elements added and taken away. What stays goes out as it came.
fn changed_list(name: &str, present: &Json, add: Vec<Json>, remove: &[Json]) -> Json {
    let mut out: Vec<Json> = present.as_array().cloned().unwrap_or_default();
    out.retain(|own| !remove.iter().any(|gone| is_same(name, own, gone)));
    for new in add {
        match out.iter_mut().find(|own| is_same(name, own, &new)) {
            Some(own) => overwrite(own, new),
            None => out.push(new),
        }
    }
    Json::Array(out)
}

/// An element that is there already gets the members of the one that is added.
fn overwrite(own: &mut Json, new: Json) {
    match (own, new) {
        (Json::Object(own), Json::Object(new)) => own.extend(new),
        (own, new) => *own = new,
    }
}

/// Whether two elements mean the same: people are told by their addresses, files by theirs.
fn is_same(list: &str, own: &Json, other: &Json) -> bool {
    let mark = match list {
        "attendees" => "email",
        "attachments" => "fileUrl",
        _ => return own == other,
    };
    let of = |value: &Json| value.as_str().or_else(|| value[mark].as_str()).map(str::to_lowercase);
    match (of(own), of(other)) {
        (Some(own), Some(other)) => own == other,
        _ => own == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_added_and_taken_away_by_address_and_the_others_stay_as_they_are() {
        let present = json!([
            { "email": "ann@acme.example", "responseStatus": "accepted", "self": true },
            { "email": "Bob@acme.example", "responseStatus": "declined", "comment": "away" },
        ]);
        let add = vec![
            json!({ "email": "cleo@acme.example" }),
            json!({ "email": "bob@acme.example", "optional": true }),
        ];
        let changed = changed_list("attendees", &present, add, &[json!("ANN@acme.example")]);
        let expected = json!([
            { "email": "bob@acme.example", "responseStatus": "declined", "comment": "away", "optional": true },
            { "email": "cleo@acme.example" },
        ]);
        assert_eq!(changed, expected);
    }

    #[test]
    fn properties_that_a_list_lacks_are_taken_away_by_name() {
        let list = json!([{ "key": "a", "value": "1" }]);
        assert_eq!(all_pairs(&list, &json!({ "a": "0", "b": "2" })), json!({ "a": "1", "b": null }));
        assert_eq!(all_pairs(&Json::Null, &json!({ "a": "0" })), Json::Null);
        let add = [json!({ "key": "a", "value": "1" })];
        assert_eq!(
            changed_pairs(&add, &[json!("b"), json!({ "key": "c" })]),
            json!({ "a": "1", "b": null, "c": null })
        );
    }

    #[test]
    fn one_form_of_a_start_takes_the_other_away_and_keeps_the_zone() {
        let day = exclusive(json!({ "date": "2026-01-30" }));
        assert_eq!(day, json!({ "date": "2026-01-30", "dateTime": null, "timeZone": null }));
        let at = exclusive(json!({ "dateTime": "2026-01-30T09:00:00+01:00" }));
        assert_eq!(at, json!({ "date": null, "dateTime": "2026-01-30T09:00:00+01:00" }));
        assert_eq!(exclusive(json!({ "timeZone": "UTC" })), json!({ "timeZone": "UTC" }));
    }
}
