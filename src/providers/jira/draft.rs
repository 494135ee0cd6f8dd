//! Rows of writes: values in the form of the schema become `fields` and `update` of the issue API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::Described;
use super::wires::{ADF, CHILD, Kind, WireField};
use crate::error::{Error, FieldError, Result};
use crate::provider::{Edit, Edits};
use crate::rich_text::{markdown_to_adf, same_markdown, write_over};

/// Fields of an issue as it is now, by Jira's names; null where nothing is known of it.
pub(super) type Present = Json;

/// What a row says, in Jira's words.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    /// Whole values as JSON text, by Jira's name of the field.
    pub(super) fields: BTreeMap<String, String>,
    /// Verbs as JSON text, by Jira's name of the field; no field stands in both.
    pub(super) update: BTreeMap<String, Vec<String>>,
    /// The id of the status that the issue shall have.
    pub(super) status: Option<String>,
}

impl Draft {
    /// Reads a row. Of a new issue nothing is present.
    ///
    /// # Errors
    /// Invalid with the property for a value that cannot be written.
    pub(super) fn read(described: &Described, edits: &Edits, present: Option<&Present>) -> Result<Self> {
        let mut draft = Self::default();
        for (name, edit) in edits {
            let wire = described.wires.fields.get(name);
            let wire = wire.ok_or_else(|| refuse(described, name, "there is no such field"))?;
            let row = Row { described, edits, present, name, wire };
            row.put(edit, &mut draft).map_err(|reason| refuse(described, name, &reason))?;
        }
        Ok(draft)
    }

    /// Whether there is nothing to send but perhaps a change of status.
    pub(super) fn is_bare(&self) -> bool {
        self.fields.is_empty() && self.update.is_empty()
    }

    /// Takes the fields with these names out.
    pub(super) fn split(&mut self, belongs: impl Fn(&str) -> bool) -> Self {
        let mut apart = Self::default();
        for name in self.fields.keys().filter(|name| belongs(name)).cloned().collect::<Vec<_>>() {
            apart.fields.extend(self.fields.remove_entry(&name));
        }
        for name in self.update.keys().filter(|name| belongs(name)).cloned().collect::<Vec<_>>() {
            apart.update.extend(self.update.remove_entry(&name));
        }
        apart
    }

    /// Whether a field gets a value.
    pub(super) fn sets(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| value != "null") || self.update.contains_key(field)
    }

    /// The members `fields` and `update` of a body, after others.
    pub(super) fn body(&self, front: &[(&str, String)]) -> String {
        let quoted = |text: &str| Json::from(text).to_string();
        let mut members: Vec<String> =
            front.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        if !self.fields.is_empty() {
            let fields: Vec<String> =
                self.fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
            members.push(format!("\"fields\":{{{}}}", fields.join(",")));
        }
        if !self.update.is_empty() {
            let update = self.update.iter();
            let update: Vec<String> =
                update.map(|(name, verbs)| format!("{}:[{}]", quoted(name), verbs.join(","))).collect();
            members.push(format!("\"update\":{{{}}}", update.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// Fields whose present value decides what is written, by Jira's names.
pub(super) fn needed(described: &Described, edits: &Edits) -> Vec<String> {
    let needs = |(name, edit): &&(String, Edit)| {
        let sets = matches!(edit, Edit::Set(_));
        described.wires.fields.get(name.as_str()).is_some_and(|wire| match wire.kind {
            Kind::Document => sets,
            Kind::Status => true,
            Kind::Cascade => sets && edit_of(edits, &format!("{name}{CHILD}")).is_none(),
            Kind::CascadeChild => edit_of(edits, base_of(name, CHILD)).is_none(),
            _ => false,
        })
    };
    let fields = edits.iter().filter(needs);
    let mut names: Vec<String> =
        fields.filter_map(|(name, _)| described.wires.fields.get(name)).map(|wire| wire.id.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn refuse(described: &Described, name: &str, reason: &str) -> Error {
    Error::invalid(format!("{name} cannot be written: {reason}"))
        .with_provider("jira")
        .with_record_type(described.record_type.name.as_str())
        .with_field_error(FieldError {
            field: name.to_owned(),
            message: reason.to_owned(),
            accepted: Vec::new(),
        })
}

fn edit_of<'e>(edits: &'e Edits, name: &str) -> Option<&'e Edit> {
    edits.iter().find(|(own, _)| own == name).map(|(_, edit)| edit)
}

fn base_of<'n>(name: &'n str, suffix: &str) -> &'n str {
    name.strip_suffix(suffix).unwrap_or(name)
}

/// One property of a row, with what stands around it.
struct Row<'a> {
    described: &'a Described,
    edits: &'a Edits,
    present: Option<&'a Present>,
    name: &'a str,
    wire: &'a WireField,
}

impl Row<'_> {
    fn put(&self, edit: &Edit, draft: &mut Draft) -> Result<(), String> {
        let id = self.wire.id.clone();
        if let Edit::List { add, remove } = edit {
            let verbs = self.verbs(add, remove)?;
            if !verbs.is_empty() {
                draft.update.insert(id, verbs);
            }
            return Ok(());
        }
        let value = match edit {
            Edit::Set(raw) if raw.get().trim() != "null" => Some(raw.as_ref()),
            _ => None,
        };
        match (self.wire.kind, value) {
            (Kind::Status, Some(raw)) => draft.status = Some(text(raw)?),
            (Kind::Status, None) => return Err("every issue has a status".to_owned()),
            (Kind::Document, _) if self.other_form(ADF) => {
                return Err(format!("{}{ADF} says the same: give one of them", self.name));
            }
            (Kind::Document, Some(raw)) => {
                if let Some(document) = self.document(&text(raw)?) {
                    draft.fields.insert(id, document.to_string());
                }
            }
            (Kind::Cascade | Kind::CascadeChild, _) => {
                draft.fields.insert(id, self.cascade()?.to_string());
            }
            // Only this form takes a parent away ("Edit issue").
            (Kind::Parent, None) if self.present.is_some() => {
                draft.update.insert(id, vec![json!({ "set": { "none": true } }).to_string()]);
            }
            // A list is emptied by an empty list; null would be an error for some.
            (kind, None) if is_list(kind) => {
                draft.fields.insert(id, if kind == Kind::Sprint { "null" } else { "[]" }.to_owned());
            }
            (_, None) => {
                draft.fields.insert(id, "null".to_owned());
            }
            (_, Some(raw)) => {
                draft.fields.insert(id, self.whole(raw)?);
            }
        }
        Ok(())
    }

    /// Whether the other form of the same document is given too.
    fn other_form(&self, suffix: &str) -> bool {
        edit_of(self.edits, &format!("{}{suffix}", self.name)).is_some()
    }

    /// The document of a Markdown; `None` when the present one says the same.
    fn document(&self, markdown: &str) -> Option<Json> {
        let present = self.present.map(|present| &present[&self.wire.id]);
        match present {
            Some(present) if present.is_object() => {
                (!same_markdown(present, markdown)).then(|| write_over(present, markdown))
            }
            Some(Json::Null) if markdown.trim().is_empty() => None,
            _ if markdown.trim().is_empty() => Some(Json::Null),
            _ => Some(markdown_to_adf(markdown)),
        }
    }

    /// Both lists of a cascading select as one value. What the row leaves out is as it is now; an option of the
    /// second list goes with its own option of the first.
    fn cascade(&self) -> Result<Json, String> {
        let base = base_of(self.name, CHILD);
        let child = format!("{base}{CHILD}");
        let chosen = |name: &str| match edit_of(self.edits, name) {
            None => Ok(None),
            Some(Edit::Set(raw)) if raw.get().trim() != "null" => Ok(Some(Some(text(raw)?))),
            Some(Edit::List { .. }) => Err("it holds one value".to_owned()),
            Some(_) => Ok(Some(None)),
        };
        let now = self.present.map_or(&Json::Null, |present| &present[&self.wire.id]);
        let id = |value: &Json| value["id"].as_str().map(str::to_owned);
        let first = match chosen(base)? {
            Some(first) => first,
            None => id(now),
        };
        let second = match chosen(&child)? {
            Some(second) => second,
            None if first == id(now) => id(&now["child"]),
            None => None,
        };
        match (first, second) {
            (None, None) => Ok(Json::Null),
            (None, Some(_)) => Err(format!("the second list needs an option of the first: give {base}")),
            (Some(first), None) => Ok(json!({ "id": first })),
            (Some(first), Some(second)) => Ok(json!({ "id": first, "child": { "id": second } })),
        }
    }

    /// A whole value as JSON text.
    fn whole(&self, raw: &RawValue) -> Result<String, String> {
        let value = match self.wire.kind {
            // Digits stay as they were written.
            Kind::Number => return Ok(raw.get().to_owned()),
            Kind::DocumentSource => {
                let document = json_in(raw)?;
                if document["type"] != "doc" {
                    return Err("it is not an Atlassian document, an object whose type is \"doc\"".to_owned());
                }
                document
            }
            Kind::Json => json_in(raw)?,
            Kind::TimeTracking => time_tracking(raw)?,
            Kind::Sprint => sprint(raw)?,
            kind if is_list(kind) => {
                let list: Vec<Json> =
                    serde_json::from_str(raw.get()).map_err(|_| "it takes a list".to_owned())?;
                list.iter().map(|value| one(kind, value)).collect::<Result<_, _>>()?
            }
            kind => one(kind, &serde_json::from_str(raw.get()).map_err(|error| error.to_string())?)?,
        };
        Ok(value.to_string())
    }

    /// Verbs that add to a list and remove from it.
    fn verbs(&self, add: &[Json], remove: &[Json]) -> Result<Vec<String>, String> {
        let kind = self.wire.kind;
        let mut verbs = Vec::new();
        for (verb, values) in [("add", add), ("remove", remove)] {
            if values.is_empty() {
                continue;
            }
            if !is_list(kind) || !self.wire.operations.iter().any(|own| own == verb) {
                let name = &self.described.record_type.name;
                return Err(format!(
                    "Jira cannot {verb} single values of it for {name}: give the whole list"
                ));
            }
            for value in values {
                verbs.push(json!({ verb: one(kind, value)? }).to_string());
            }
        }
        Ok(verbs)
    }
}

fn is_list(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Options
            | Kind::Labels
            | Kind::Users
            | Kind::Groups
            | Kind::Versions
            | Kind::Components
            | Kind::Sprint
    )
}

/// One value, or one element of a list.
fn one(kind: Kind, value: &Json) -> Result<Json, String> {
    let text = || {
        let text = value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|id| id.to_string()));
        text.ok_or_else(|| "it takes text".to_owned())
    };
    Ok(match kind {
        Kind::User | Kind::Users => json!({ "accountId": text()? }),
        Kind::Group | Kind::Groups => json!({ "name": text()? }),
        Kind::Instant => json!(moment(&text()?)?),
        Kind::Option
        | Kind::Options
        | Kind::Project
        | Kind::Version
        | Kind::Versions
        | Kind::Components
        | Kind::Priority
        | Kind::IssueType
        | Kind::Resolution
        | Kind::SecurityLevel
        | Kind::Parent => json!({ "id": text()? }),
        Kind::Labels => {
            let label = text()?;
            if label.contains(char::is_whitespace) || label.is_empty() {
                return Err(format!("the label {label:?} is empty or has spaces, which Jira does not take"));
            }
            json!(label)
        }
        _ => value.clone(),
    })
}

fn text(raw: &RawValue) -> Result<String, String> {
    match serde_json::from_str(raw.get()) {
        Ok(Json::String(text)) => Ok(text),
        Ok(Json::Number(number)) => Ok(number.to_string()),
        _ => Err("it takes text".to_owned()),
    }
}

/// JSON that a property holds as text.
fn json_in(raw: &RawValue) -> Result<Json, String> {
    let value: Json = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    match value {
        Json::String(text) => serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}")),
        value => Ok(value),
    }
}

/// An instant as Jira takes it, to the millisecond.
fn moment(text: &str) -> Result<String, String> {
    let at: Timestamp = text.parse().map_err(|_| format!("{text:?} is not an instant"))?;
    if at.subsec_nanosecond() % 1_000_000 != 0 {
        return Err("Jira keeps milliseconds, and these digits go further".to_owned());
    }
    Ok(at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string())
}

/// The estimates; time that was spent is the sum of the records of work.
fn time_tracking(raw: &RawValue) -> Result<Json, String> {
    let given: serde_json::Map<String, Json> =
        serde_json::from_str(raw.get()).map_err(|_| "it takes an object".to_owned())?;
    let mut out = json!({});
    for (name, value) in &given {
        match name.as_str() {
            "originalEstimate" | "remainingEstimate" if value.is_string() => out[name] = value.clone(),
            _ if value.is_null() => {}
            "originalEstimate" | "remainingEstimate" => {
                return Err(format!("{name} takes text such as 1d 4h"));
            }
            _ => {
                return Err(format!(
                    "{name} is worked out by Jira; give originalEstimate or remainingEstimate"
                ));
            }
        }
    }
    Ok(out)
}

/// The one sprint that an issue shall be in, as a number.
fn sprint(raw: &RawValue) -> Result<Json, String> {
    let list: Vec<Json> = serde_json::from_str(raw.get()).map_err(|_| "it takes a list".to_owned())?;
    match list.as_slice() {
        [] => Ok(Json::Null),
        [Json::Number(number)] => Ok(Json::Number(number.clone())),
        [_] => Err("a sprint is a number".to_owned()),
        _ => Err("an issue is put into one sprint at a time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_with_an_offset_and_never_cut() {
        assert_eq!(moment("2031-02-28T23:59:59Z").unwrap(), "2031-02-28T23:59:59.000+0000");
        assert_eq!(moment("2031-02-28T23:59:59.25+02:00").unwrap(), "2031-02-28T21:59:59.250+0000");
        assert!(moment("2031-02-28T23:59:59.1234Z").is_err());
    }

    #[test]
    fn a_sprint_is_one_number_and_estimates_are_two_texts() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(sprint(&raw("[7]")).unwrap(), json!(7));
        assert_eq!(sprint(&raw("[]")).unwrap(), Json::Null);
        assert!(sprint(&raw("[1,2]")).is_err());
        let given = raw(r#"{"originalEstimate":"1d","timeSpent":null}"#);
        assert_eq!(time_tracking(&given).unwrap(), json!({ "originalEstimate": "1d" }));
        assert!(time_tracking(&raw(r#"{"timeSpent":"1d"}"#)).is_err());
    }

    #[test]
    fn a_field_stands_either_among_the_values_or_among_the_verbs() {
        let mut draft = Draft::default();
        draft.fields.insert("summary".to_owned(), "\"x\"".to_owned());
        draft.update.insert("labels".to_owned(), vec![r#"{"add":"a"}"#.to_owned()]);
        assert_eq!(draft.body(&[]), r#"{"fields":{"summary":"x"},"update":{"labels":[{"add":"a"}]}}"#);
        let apart = draft.split(|name| name == "summary");
        assert_eq!(
            apart.body(&[("transition", "{}".to_owned())]),
            r#"{"transition":{},"fields":{"summary":"x"}}"#
        );
        assert!(!draft.is_bare() && draft.fields.is_empty());
    }
}
