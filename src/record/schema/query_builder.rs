//! The filter schema as react-querybuilder takes it.

use serde_json::{Map, Value as Json, json};

/// A filter schema as the `fields` array of react-querybuilder: names are paths, so that the rules it makes are
/// filters as they are. Fields may be compared with fields of the same `datatype`.
#[must_use]
pub fn to_react_querybuilder(filter_schema: &Json) -> Json {
    let empty = Map::new();
    let properties = filter_schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
    let meta = |name: &str| {
        filter_schema
            .pointer("/definitions/record-meta/const/fields")
            .and_then(|fields| fields.get(name))
            .or_else(|| properties.get(name).and_then(|property| property.get("x-record")))
            .unwrap_or(&Json::Null)
    };
    properties.iter().map(|(name, property)| of_property(name, property, meta(name))).collect()
}

fn of_property(name: &str, property: &Json, meta: &Json) -> Json {
    let mut field = Map::new();
    let mut put = |key: &str, value: Json| {
        field.insert(key.to_owned(), value);
    };
    let path = meta.get("path").and_then(Json::as_str).unwrap_or(name);
    put("name", path.into());
    put("label", property.get("title").cloned().unwrap_or_else(|| name.into()));
    let datatype = datatype(property, meta);
    put("datatype", datatype.into());
    put("comparator", "datatype".into());
    let options = meta.get("options").and_then(Json::as_array).filter(|options| !options.is_empty());
    match datatype {
        "boolean" => put("valueEditorType", "checkbox".into()),
        _ if options.is_some() => put("valueEditorType", "select".into()),
        _ => put("valueEditorType", "text".into()),
    }
    let input = match datatype {
        "number" => "number",
        "date" => "date",
        "instant" => "datetime-local",
        "time" => "time",
        _ => "text",
    };
    put("inputType", input.into());
    let operators = meta.get("operators").and_then(Json::as_array).cloned().unwrap_or_default();
    let operators: Vec<Json> = operators
        .iter()
        .filter_map(Json::as_str)
        .map(|operator| json!({"name": operator, "label": operator_label(operator)}))
        .collect();
    put("operators", operators.into());
    if let Some(sources) = meta.get("valueSources") {
        put("valueSources", sources.clone());
    }
    if let Some(options) = options {
        let values: Vec<Json> =
            options.iter().map(|option| json!({"name": option["value"], "label": option["label"]})).collect();
        put("values", values.into());
    }
    if let Some(pushed) = meta.get("pushed") {
        put("pushed", pushed.clone());
    }
    Json::Object(field)
}

fn datatype(property: &Json, meta: &Json) -> &'static str {
    match property.get("type").and_then(Json::as_str) {
        Some("boolean") => "boolean",
        Some("number" | "integer") => "number",
        _ => match meta.get("kind").and_then(Json::as_str) {
            Some("int64" | "decimal") => "number",
            Some("date") => "date",
            Some("instant") => "instant",
            Some("time") => "time",
            _ => "text",
        },
    }
}

fn operator_label(operator: &str) -> &str {
    match operator {
        "contains" => "contains",
        "doesNotContain" => "does not contain",
        "beginsWith" => "begins with",
        "doesNotBeginWith" => "does not begin with",
        "endsWith" => "ends with",
        "doesNotEndWith" => "does not end with",
        "null" => "is null",
        "notNull" => "is not null",
        "in" => "in",
        "notIn" => "not in",
        "between" => "between",
        "notBetween" => "not between",
        sign => sign,
    }
}
