//! A write's options against the schema that its capability gives.

use serde_json::{Map, Value as Json};

use crate::error::{Error, FieldError, Result};
use crate::provider::WriteOptions;
use crate::record::nearest::nearest;

/// Checks names, types, choices and what is required: all that schemas in the profile say of options.
pub(super) fn check(options: &WriteOptions, schema: &Json) -> Result<()> {
    let empty = Map::new();
    let known = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
    let mut reasons = Vec::new();
    for (name, value) in options {
        match known.get(name) {
            None => reasons.push(unknown(name, known)),
            Some(property) => reasons.extend(wrong(name, value, property)),
        }
    }
    let required = schema.get("required").and_then(Json::as_array);
    for name in required.into_iter().flatten().filter_map(Json::as_str) {
        if !options.contains_key(name) {
            reasons.push(reason(name, "is required", Vec::new()));
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let error = Error::invalid("the options do not fit this operation");
    Err(reasons.into_iter().fold(error, Error::with_field_error))
}

fn unknown(name: &str, known: &Map<String, Json>) -> FieldError {
    let message = match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("is no option of this operation; did you mean {near}?"),
        None if known.is_empty() => "is no option: this operation has none".to_owned(),
        None => "is no option of this operation".to_owned(),
    };
    reason(name, message, known.keys().cloned().collect())
}

fn wrong(name: &str, value: &Json, property: &Json) -> Option<FieldError> {
    let kinds: Vec<&str> = match property.get("type") {
        Some(Json::String(kind)) => vec![kind.as_str()],
        Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(value, kind)) {
        return Some(reason(name, format!("must be {}", kinds.join(" or ")), Vec::new()));
    }
    let choices: Vec<&Json> = match (property.get("oneOf"), property.get("enum")) {
        (Some(Json::Array(options)), _) => options.iter().filter_map(|option| option.get("const")).collect(),
        (None, Some(Json::Array(values))) => values.iter().collect(),
        _ => return None,
    };
    if choices.contains(&value) {
        return None;
    }
    let accepted = choices.into_iter().filter(|choice| !choice.is_null()).map(plain).collect();
    Some(reason(name, format!("{value} is not one of its values"), accepted))
}

fn is_of(value: &Json, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn reason(name: &str, message: impl Into<String>, accepted: Vec<String>) -> FieldError {
    FieldError { field: name.to_owned(), message: message.into(), accepted }
}
