//! JSON Schemas of the mapping document: the whole as plain draft-07 for tools that write it, each step alone in
//! the form profile for what a form edits.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::document::{Mapping, Step};
use crate::record::schema::DIALECT;

/// The schema of the whole document.
#[must_use]
pub fn document_schema() -> Json {
    let generator = SchemaSettings::draft07().into_generator();
    let Json::Object(mut given) = generator.into_root_schema_for::<Mapping>().to_value() else {
        return json!({});
    };
    given.insert("$schema".into(), DIALECT.into());
    given.insert("title".into(), "Mapping".into());
    let mut schema = Json::Object(given);
    one_source(&mut schema, "FieldRule", &["from", "const", "template", "lookup", "cases"]);
    one_source(&mut schema, "Case", &["from", "const", "template"]);
    accepted_by_strict_validators(&mut schema);
    schema
}

/// The schema of one kind of step in the form profile, and its name, for every kind. What a form cannot take apart
/// (any JSON, maps, lists of rules) is JSON as text there.
#[must_use]
pub fn step_schemas() -> Vec<(&'static str, Json)> {
    Step::ALL.iter().map(|entry| (entry.op, for_a_form((entry.form)()))).collect()
}

/// Puts text that holds JSON in the place of every property that a form cannot take apart.
fn for_a_form(mut schema: Json) -> Json {
    let required: Vec<Json> = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema.get_mut("properties").and_then(Json::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let is = |value: &Json, wanted: &str| match value {
            Json::String(kind) => kind == wanted,
            Json::Array(kinds) => kinds.iter().any(|kind| kind == wanted),
            _ => false,
        };
        let simple =
            |value: &Json| ["string", "integer", "number", "boolean"].iter().any(|kind| is(value, kind));
        let nested = is(&property["type"], "object")
            || (is(&property["type"], "array")
                && (property["items"].get("oneOf").is_some() || !simple(&property["items"]["type"])));
        if nested {
            let needed = required.iter().any(|known| known == name);
            let said = property["description"].as_str().unwrap_or_default();
            *property = json!({
                "type": if needed { json!("string") } else { json!(["string", "null"]) },
                "title": property["title"],
                "description": format!("{said} JSON as text.").trim(),
            });
        }
    }
    schema
}

/// The schema of a step of any kind.
pub(super) fn any_step(generator: &mut SchemaGenerator) -> Schema {
    let kinds: Vec<Json> = Step::ALL
        .iter()
        .map(|entry| {
            let mut kind = (entry.schema)(generator).to_value();
            if let Json::Object(kind) = &mut kind {
                name_it(kind, entry.op);
            }
            kind
        })
        .collect();
    let mut schema = Schema::default();
    schema.insert("type".into(), "object".into());
    schema.insert("oneOf".into(), kinds.into());
    schema
}

/// Adds the step's name to its members, first.
fn name_it(kind: &mut Map<String, Json>, op: &str) {
    let mut properties = Map::new();
    properties.insert("op".into(), json!({"type": "string", "const": op}));
    if let Some(Json::Object(own)) = kind.shift_remove("properties") {
        properties.extend(own);
    }
    let mut required = vec![Json::from("op")];
    if let Some(Json::Array(own)) = kind.shift_remove("required") {
        required.extend(own);
    }
    kind.insert("properties".into(), Json::Object(properties));
    kind.insert("required".into(), required.into());
}

/// Says that exactly one of these members gives the value.
fn one_source(schema: &mut Json, definition: &str, names: &[&str]) {
    let Some(Json::Object(object)) = schema.pointer_mut(&format!("/definitions/{definition}")) else {
        return;
    };
    let options: Vec<Json> = names
        .iter()
        // A strict validator wants to see what it requires declared beside it.
        .map(|name| json!({"type": "object", "properties": {*name: true}, "required": [name]}))
        .collect();
    object.insert("oneOf".into(), options.into());
}

/// Takes off what strict validators refuse or only tolerate: formats of integers, defaults of null.
fn accepted_by_strict_validators(schema: &mut Json) {
    match schema {
        Json::Object(members) => {
            if members.get("format").is_some_and(|format| {
                format.as_str().is_some_and(|format| format.starts_with("int") || format.starts_with("uint"))
            }) {
                members.shift_remove("format");
            }
            if members.get("default").is_some_and(Json::is_null) {
                members.shift_remove("default");
            }
            members.values_mut().for_each(accepted_by_strict_validators);
        }
        Json::Array(items) => items.iter_mut().for_each(accepted_by_strict_validators),
        _ => {}
    }
}
