//! The schema of a Rust type (a provider's configuration, a write's options) in the profile.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value as Json, json};

use super::property::null_choice;
use super::{DIALECT, title_of};

/// The schema of a configuration or of an operation's options, from its type.
///
/// Field names become titles unless the type gives one (`#[schemars(title = "...")]`), doc comments become
/// descriptions, enums become `oneOf` with titles, integer formats are dropped, and a property with
/// `format: password` is write-only. Keep such types flat: text, numbers, booleans, enums of unit variants, lists
/// of these.
#[must_use]
pub fn config_schema_for<T: JsonSchema>() -> Json {
    let schema = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>();
    in_profile(schema)
}

fn in_profile(schema: Schema) -> Json {
    let Json::Object(mut given) = schema.to_value() else { return json!({}) };
    let name = given.get("title").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut root = Map::new();
    root.insert("$schema".into(), DIALECT.into());
    root.insert("type".into(), "object".into());
    root.insert("title".into(), title_of("", &name).into());
    if let Some(description) = given.shift_remove("description").filter(Json::is_string) {
        root.insert("description".into(), description);
    }
    let required = names(given.get("required"));
    let mut properties = Map::new();
    if let Some(Json::Object(members)) = given.shift_remove("properties") {
        for (name, property) in members {
            let needed = required.contains(&name);
            properties.insert(name.clone(), of_property(&name, property, needed));
        }
    }
    root.insert("properties".into(), Json::Object(properties));
    if !required.is_empty() {
        root.insert("required".into(), required.into());
    }
    root.insert("additionalProperties".into(), false.into());
    Json::Object(root)
}

fn names(list: Option<&Json>) -> Vec<String> {
    list.and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

fn of_property(name: &str, property: Json, required: bool) -> Json {
    let Json::Object(given) = property else {
        // `true`: anything, which a form can only take as JSON text.
        return json!({"type": ["string", "null"], "title": title_of("", name), "description": "JSON as text"});
    };
    let (mut given, nullable) = without_null(given);
    let title = given.get("title").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut property = Map::new();
    let choices = choices_of(&mut given);
    let base = match given.get("type") {
        Some(Json::String(kind)) => kind.clone(),
        _ if choices.as_ref().is_some_and(|list| list.iter().all(|option| option["const"].is_i64())) => {
            "integer".to_owned()
        }
        _ => "string".to_owned(),
    };
    let kind = if nullable { json!([base, "null"]) } else { base.as_str().into() };
    property.insert("type".into(), kind);
    property.insert("title".into(), title_of(&title, name).into());
    if let Some(choices) = choices {
        let mut options = vec![null_choice(nullable || !required)];
        options.extend(choices);
        property.insert("oneOf".into(), options.into());
    }
    for (keyword, value) in given {
        let dropped = match keyword.as_str() {
            "type" | "title" | "$schema" => true,
            // Strict validators refuse formats that they do not know, such as uint32.
            "format" => !value.as_str().is_some_and(|format| {
                matches!(format, "date" | "date-time" | "email" | "uri" | "password" | "binary")
            }),
            _ => value.is_null(),
        };
        if dropped {
            continue;
        }
        let value = match (keyword.as_str(), value) {
            ("items", items) => of_items(name, items),
            ("properties", Json::Object(members)) => {
                let needed = names(property.get("required"));
                Json::Object(
                    members
                        .into_iter()
                        .map(|(name, inner)| {
                            let required = needed.contains(&name);
                            (name.clone(), of_property(&name, inner, required))
                        })
                        .collect(),
                )
            }
            (_, value) => value,
        };
        property.insert(keyword, value);
    }
    if property.get("format").is_some_and(|format| format == "password") {
        property.insert("writeOnly".into(), true.into());
    }
    Json::Object(property)
}

/// An element of a list: nobody leaves it open, so it has no null option.
fn of_items(name: &str, items: Json) -> Json {
    let mut items = of_property(name, items, true);
    if let Some(Json::Array(options)) = items.get_mut("oneOf") {
        options.retain(|option| !option["const"].is_null());
    }
    items
}

/// Takes the ways in which schemars says "or null" off a schema.
fn without_null(mut given: Map<String, Json>) -> (Map<String, Json>, bool) {
    let is_null = |schema: &Json| schema.get("type").is_some_and(|kind| kind == "null");
    for keyword in ["anyOf", "oneOf"] {
        let Some(Json::Array(branches)) = given.get(keyword) else { continue };
        if branches.iter().any(is_null) && branches.len() == 2 {
            let inner = branches.iter().find(|branch| !is_null(branch)).and_then(Json::as_object).cloned();
            given.shift_remove(keyword);
            for (key, value) in inner.unwrap_or_default() {
                given.entry(key).or_insert(value);
            }
            return (without_null(given).0, true);
        }
    }
    let mut nullable = false;
    if let Some(Json::Array(kinds)) = given.get("type").cloned() {
        nullable = kinds.iter().any(|kind| kind == "null");
        if let Some(base) = kinds.into_iter().find(|kind| kind != "null") {
            given.insert("type".into(), base);
        }
    }
    if let Some(Json::Array(values)) = given.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    (given, nullable)
}

/// Takes the values of an enum off a schema, as options with titles.
fn choices_of(given: &mut Map<String, Json>) -> Option<Vec<Json>> {
    let option = |value: &Json, title: Option<&str>| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        json!({"const": value, "title": title_of(title.unwrap_or_default(), &text)})
    };
    if let Some(Json::Array(values)) = given.shift_remove("enum") {
        return Some(values.iter().map(|value| option(value, None)).collect());
    }
    if let Some(value) = given.shift_remove("const") {
        return Some(vec![option(&value, None)]);
    }
    let branches = given.get("oneOf").and_then(Json::as_array)?;
    let mut options = Vec::new();
    for branch in branches {
        // Variants with docs stand alone, those without together in one enum.
        match (branch.get("const"), branch.get("enum")) {
            (Some(value), _) => options.push(option(value, branch.get("title").and_then(Json::as_str))),
            (None, Some(Json::Array(values))) => {
                options.extend(values.iter().map(|value| option(value, None)))
            }
            _ => return None,
        }
    }
    given.shift_remove("oneOf");
    Some(options)
}
