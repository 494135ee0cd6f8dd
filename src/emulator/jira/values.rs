//! Values as clients write them, turned into what issues store.

use serde_json::{Value, json};

use super::adf;
use super::model::{Field, GROUPS, Kind, PRIORITIES, Project, RESOLUTIONS, SPRINTS};
use super::moments;
use super::store::Store;

const NOT_ADF: &str = "Operation value must be an Atlassian Document (see the Atlassian Document Format)";

/// Where a value is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) store: &'a Store,
    pub(super) project: &'a Project,
    /// Whether rich text comes as a document.
    pub(super) documents: bool,
}

impl Place<'_> {
    /// A whole value of a field; null clears it.
    ///
    /// # Errors
    /// What the service says of the value.
    pub(super) fn read(&self, field: &Field, given: &Value) -> Result<Value, String> {
        if given.is_null() {
            return match field.id.as_str() {
                "summary" => Err("You must specify a summary of the issue.".to_owned()),
                _ => Ok(Value::Null),
            };
        }
        match field.kind {
            Kind::Cascade => self.cascade(field, given),
            Kind::TimeTracking => time_tracking(given),
            Kind::Sprint => sprint(given),
            kind if kind.is_list() => {
                let list = given.as_array().ok_or_else(|| "data was not an array".to_owned())?;
                let mut out: Vec<Value> = Vec::new();
                for own in list {
                    let own = self.element(field, own)?;
                    if !out.contains(&own) {
                        out.push(own);
                    }
                }
                Ok(if out.is_empty() { Value::Null } else { Value::Array(out) })
            }
            _ => self.element(field, given),
        }
    }

    /// One element of a list, or the value of a field that has one.
    pub(super) fn element(&self, field: &Field, given: &Value) -> Result<Value, String> {
        let model = &self.store.model;
        match field.kind {
            Kind::Text => text(field, given),
            Kind::Url => {
                let text = given.as_str().unwrap_or_default();
                let good = url::Url::parse(text).is_ok();
                if good { Ok(json!(text)) } else { Err(format!("The URL '{text}' is not valid.")) }
            }
            Kind::Rich => self.rich(given),
            Kind::Number => {
                if given.is_number() {
                    Ok(given.clone())
                } else {
                    Err("Operation value must be a number".to_owned())
                }
            }
            Kind::Date => {
                let text = given.as_str().unwrap_or_default();
                let wrong = || format!("Error parsing date string: {text}");
                moments::of_day(text).map(|_| json!(text)).ok_or_else(wrong)
            }
            Kind::Moment => moment(given.as_str().unwrap_or_default()).map(|millis| json!(millis)),
            Kind::Choice | Kind::Choices => {
                option(&field.choices, given).map(|own| json!(own.id)).ok_or_else(|| bad_option(given))
            }
            Kind::Labels => match given.as_str() {
                Some(label) if label.contains(char::is_whitespace) => {
                    Err(format!("The label '{label}' contains spaces which is invalid."))
                }
                Some(label) if !label.is_empty() && label.len() <= 255 => Ok(json!(label)),
                _ => Err("Operation value must be a string".to_owned()),
            },
            Kind::User | Kind::Users => {
                let account = given["accountId"].as_str().or(given["id"].as_str()).unwrap_or_default();
                let known = model.person(account).filter(|own| own.active);
                known.map(|own| json!(own.account)).ok_or_else(|| {
                    "Specify a valid value for this field: the user does not exist or is not active."
                        .to_owned()
                })
            }
            Kind::Group | Kind::Groups => {
                let name = given["name"].as_str().unwrap_or_default();
                let id = given["groupId"].as_str().unwrap_or_default();
                let known = GROUPS.iter().find(|own| **own == name || super::render::group_id(own) == id);
                known.map(|own| json!(own)).ok_or_else(|| format!("Could not find group with name '{name}'"))
            }
            Kind::Project => {
                let named = given["id"].as_str().or(given["key"].as_str()).unwrap_or_default();
                let known = model.project(named);
                known.map(|own| json!(own.id)).ok_or_else(|| "Specify a valid project ID or key".to_owned())
            }
            Kind::Version | Kind::Versions | Kind::Components => {
                let components = field.kind == Kind::Components;
                let parts = if components { &self.project.components } else { &self.project.versions };
                let pairs: Vec<(&str, &str)> =
                    parts.iter().map(|own| (own.id.as_str(), own.name.as_str())).collect();
                named(&pairs, given)
                    .ok_or_else(|| not_valid(if components { "Component" } else { "Version" }, given))
            }
            Kind::Priority => named(&PRIORITIES, given).ok_or_else(|| not_valid("Priority", given)),
            Kind::Resolution => named(&RESOLUTIONS, given).ok_or_else(|| not_valid("Resolution", given)),
            Kind::IssueType => {
                let pairs: Vec<(&str, &str)> = model
                    .types
                    .iter()
                    .filter(|own| self.project.screen(&own.id).is_some())
                    .map(|own| (own.id.as_str(), own.name.as_str()))
                    .collect();
                named(&pairs, given).ok_or_else(|| "Specify a valid issue type".to_owned())
            }
            Kind::Parent => {
                let named = given["id"].as_str().or(given["key"].as_str()).unwrap_or_default();
                let found = self.store.find(named).filter(|own| own.project() == self.project.id);
                found.map(|own| json!(own.id.to_string())).ok_or_else(|| {
                    "Could not find issue by id or key, or it is in another project.".to_owned()
                })
            }
            Kind::Opaque => Ok(given.clone()),
            Kind::Cascade | Kind::TimeTracking | Kind::Sprint | Kind::Status | Kind::Computed => {
                Err("This field cannot be set here.".to_owned())
            }
        }
    }

    /// Rich text as this version of the API takes it.
    pub(super) fn rich(&self, given: &Value) -> Result<Value, String> {
        match given {
            Value::String(text) if !self.documents => Ok(adf::from_text(text)),
            document if self.documents && adf::is_document(document) => Ok(document.clone()),
            _ if self.documents => Err(NOT_ADF.to_owned()),
            _ => Err("Operation value must be a string".to_owned()),
        }
    }

    fn cascade(&self, field: &Field, given: &Value) -> Result<Value, String> {
        let missing = |of: &str| format!("Could not find valid 'id' or 'value' in the {of} Option object.");
        let parent = option(&field.choices, given).ok_or_else(|| missing("Parent"))?;
        match &given["child"] {
            Value::Null => Ok(json!([parent.id])),
            child => {
                let child = option(&parent.children, child).ok_or_else(|| missing("Child"))?;
                Ok(json!([parent.id, child.id]))
            }
        }
    }
}

fn text(field: &Field, given: &Value) -> Result<Value, String> {
    let text = given.as_str().ok_or_else(|| "Operation value must be a string".to_owned())?;
    let summary = field.id == "summary";
    if summary && text.trim().is_empty() {
        return Err("You must specify a summary of the issue.".to_owned());
    }
    if summary && text.contains(['\n', '\r']) {
        return Err("The summary is invalid because it contains newline characters.".to_owned());
    }
    if text.chars().count() > 255 {
        return Err(format!("{} can't exceed 255 characters.", field.name));
    }
    Ok(if text.is_empty() { Value::Null } else { json!(text) })
}

fn option<'a>(choices: &'a [super::model::Choice], given: &Value) -> Option<&'a super::model::Choice> {
    match (given["id"].as_str(), given["value"].as_str()) {
        (Some(id), _) => choices.iter().find(|own| own.id == id),
        (None, Some(value)) => choices.iter().find(|own| own.value == value),
        _ => None,
    }
}

fn bad_option(given: &Value) -> String {
    match (given["id"].as_str(), given["value"].as_str()) {
        (Some(id), _) => format!("Option id '{id}' is not valid"),
        (None, Some(value)) => format!("Option value '{value}' is not valid"),
        _ => "Specify a valid 'id' or 'name' for the option.".to_owned(),
    }
}

fn named(list: &[(&str, &str)], given: &Value) -> Option<Value> {
    let found = match (given["id"].as_str(), given["name"].as_str()) {
        (Some(id), _) => list.iter().find(|own| own.0 == id),
        (None, Some(name)) => list.iter().find(|own| own.1.eq_ignore_ascii_case(name)),
        _ => None,
    };
    found.map(|own| json!(own.0))
}

fn not_valid(what: &str, given: &Value) -> String {
    match (given["id"].as_str(), given["name"].as_str()) {
        (Some(id), _) => format!("{what} id '{id}' is not valid"),
        (None, Some(name)) => format!("{what} name '{name}' is not valid"),
        _ => format!("Specify a valid 'id' or 'name' for {what}"),
    }
}

fn sprint(given: &Value) -> Result<Value, String> {
    let number = given.as_u64().ok_or_else(|| "The Sprint (id) must be a number".to_owned())?;
    if SPRINTS.iter().any(|own| own.0 == number) {
        Ok(json!([number]))
    } else {
        Err(format!("Sprint with id '{number}' does not exist."))
    }
}

/// A date-time as clients write it: with milliseconds, the offset with or without colon.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let forms = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f%:z"];
    let read = forms.iter().find_map(|form| jiff::Timestamp::strptime(form, text).ok());
    let read = read.or_else(|| text.parse().ok());
    read.map(|at| at.as_millisecond()).ok_or_else(|| format!("Error parsing date string: {text}"))
}

fn time_tracking(given: &Value) -> Result<Value, String> {
    let mut out = json!({});
    for (name, own) in [("originalEstimate", "original"), ("remainingEstimate", "remaining")] {
        if let Some(text) = given[name].as_str() {
            let seconds = seconds(text)
                .ok_or_else(|| format!("'{text}' is not a valid duration: use the format '3w 4d 12h'"))?;
            out[own] = json!(seconds);
        }
    }
    if out["remaining"].is_null() && !out["original"].is_null() {
        out["remaining"] = out["original"].clone();
    }
    Ok(out)
}

/// `1w 2d 3h 4m` in seconds of working time; a bare number is minutes.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    for part in text.split_whitespace() {
        let digits = part.trim_end_matches(|unit: char| "wdhm".contains(unit));
        let minutes = match &part[digits.len()..] {
            "w" => 2_400,
            "d" => 480,
            "h" => 60,
            "m" | "" => 1,
            _ => return None,
        };
        let count: i64 = digits.parse().ok().filter(|count| (0..1_000_000).contains(count))?;
        total += count * minutes * 60;
    }
    (!text.trim().is_empty()).then_some(total)
}
