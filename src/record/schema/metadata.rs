//! What a schema says about a field that JSON Schema has no keyword for.

use serde_json::{Map, Value as Json, json};

use super::property::{Choices, Place, choice_label, distinct};
use super::{SchemaPurpose, kind_of};
use crate::record::record_type::{ListWire, Picklist, TextForm};
use crate::record::{Field, FieldType, RecordType};

/// The metadata of one property.
pub(super) fn of_field(record_type: &RecordType, field: &Field, place: &Place<'_>) -> Map<String, Json> {
    let mut meta = Map::new();
    let mut put = |name: &str, value: Json| {
        meta.insert(name.to_owned(), value);
    };
    put("kind", kind_of(&field.field_type).into());
    if let Some(wire) = &field.wire_name {
        put("wireName", wire.as_str().into());
    }
    if place.purpose != SchemaPurpose::Filter {
        put("access", access(field));
        put("providerNillable", field.nullable.into());
    }
    for (name, flag) in [
        ("unique", field.unique),
        ("externalId", field.external_id),
        ("lookupKey", is_lookup_key(record_type, field)),
        ("calculated", field.calculated),
        ("autoNumber", field.auto_number),
        ("defaultedOnCreate", field.defaulted_on_create),
        ("system", field.system),
        ("sensitive", is_sensitive(field)),
        ("emptyIsNull", field.empty_is_null),
    ] {
        if flag {
            put(name, true.into());
        }
    }
    if let Some(case_sensitive) = field.case_sensitive {
        put("caseSensitive", case_sensitive.into());
    }
    for (name, text) in [("partOf", &field.part_of), ("group", &field.group), ("note", &field.note)] {
        if let Some(text) = text {
            put(name, text.as_str().into());
        }
    }
    if let Some(visibility) = visibility(field) {
        put("visibility", visibility.into());
    }
    for (name, value) in of_type(field, place) {
        put(&name, value);
    }
    meta
}

fn access(field: &Field) -> Json {
    let compares = field.field_type.value_kind().is_some();
    json!({
        "create": field.createable,
        "update": field.updatable,
        "read": true,
        "filter": compares,
        "sort": compares && !field.field_type.is_multi_value(),
    })
}

fn is_lookup_key(record_type: &RecordType, field: &Field) -> bool {
    let alone = |fields: &[String]| fields.len() == 1 && fields.first() == Some(&field.name);
    alone(&record_type.key.0) || record_type.alternate_keys.iter().any(|key| alone(&key.fields.0))
}

fn is_sensitive(field: &Field) -> bool {
    field.sensitive || matches!(field.field_type, FieldType::Text { form: TextForm::Encrypted, .. })
}

fn visibility(field: &Field) -> Option<&'static str> {
    if field.required_on_create {
        Some("important")
    } else if field.system {
        Some("internal")
    } else {
        None
    }
}

fn of_type(field: &Field, place: &Place<'_>) -> Map<String, Json> {
    let mut meta = Map::new();
    let mut put = |name: &str, value: Json| {
        meta.insert(name.to_owned(), value);
    };
    match &field.field_type {
        FieldType::Text { form, .. } => {
            let word = match form {
                TextForm::Multiline => "multiline",
                TextForm::Html => "html",
                TextForm::Markdown => "markdown",
                TextForm::Adf => "adf",
                _ => return meta,
            };
            put("text", word.into());
        }
        FieldType::Decimal { precision, scale } => {
            for (name, digits) in [("precision", precision), ("scale", scale)] {
                if let Some(digits) = digits {
                    put(name, (*digits).into());
                }
            }
        }
        FieldType::Instant => put("timezone", if field.floating { "floating" } else { "utc" }.into()),
        FieldType::Picklist(picklist) => of_picklist(field, picklist, place, &mut meta),
        FieldType::MultiPicklist { picklist, wire } => {
            put(
                "wire",
                match wire {
                    ListWire::Semicolon => "semicolon",
                    ListWire::Comma => "comma",
                    ListWire::Array => "array",
                }
                .into(),
            );
            of_picklist(field, picklist, place, &mut meta);
        }
        FieldType::Reference(reference) => {
            let mut about = Map::new();
            about.insert("targets".into(), json!(reference.targets));
            if !reference.id_field.is_empty() {
                about.insert("idField".into(), reference.id_field.as_str().into());
            }
            for (name, text) in [
                ("labelField", &reference.label_field),
                ("typeField", &reference.type_field),
                ("relationship", &reference.relationship),
            ] {
                if let Some(text) = text {
                    about.insert(name.into(), text.as_str().into());
                }
            }
            about.insert("lookup".into(), true.into());
            put("reference", Json::Object(about));
            put("lookup", lookup(None, true));
        }
        FieldType::Binary { max_bytes, inline } => {
            let mut about = Map::new();
            if let Some(bytes) = max_bytes {
                about.insert("maxBytes".into(), (*bytes).into());
            }
            about.insert("upload".into(), field.createable.into());
            about.insert("download".into(), true.into());
            about.insert("inline".into(), (*inline).into());
            put("binary", Json::Object(about));
        }
        _ => {}
    }
    meta
}

fn of_picklist(field: &Field, picklist: &Picklist, place: &Place<'_>, meta: &mut Map<String, Json>) {
    let mut put = |name: &str, value: Json| {
        meta.insert(name.to_owned(), value);
    };
    put("picklist", json!({"restricted": picklist.restricted, "sorted": false}));
    let form = place.choices(picklist);
    let labels_lost = form == Choices::Suggested || (form == Choices::Spelled && picklist.integer);
    if labels_lost {
        // What is read may hold values that can no longer be chosen.
        let options: Vec<Json> = distinct(picklist, place.purpose.writes())
            .into_iter()
            .map(|choice| {
                let mut option = Map::new();
                option.insert("value".into(), choice.value.clone());
                option.insert("label".into(), choice_label(choice).into());
                if !choice.active {
                    option.insert("active".into(), false.into());
                }
                Json::Object(option)
            })
            .collect();
        put("options", options.into());
    }
    if place.purpose == SchemaPurpose::Create && picklist.values.iter().any(|choice| choice.default) {
        put("defaultFrom", "provider".into());
    }
    if matches!(form, Choices::LookedUp | Choices::Enumerated) {
        put("lookup", lookup(field.controlled_by.as_deref(), !picklist.restricted));
    }
    if let Some(controller) = &field.controlled_by {
        put("dependsOn", json!([controller]));
        put("validFor", Json::Object(valid_for(picklist)));
    }
}

fn lookup(depends_on: Option<&str>, allow_custom: bool) -> Json {
    json!({
        "search": true,
        "dependsOn": depends_on.into_iter().collect::<Vec<_>>(),
        "allowCustom": allow_custom,
        "value": "value",
        "label": "label",
        "paging": "cursor",
    })
}

/// The values that can be chosen with each value of the controlling field. A value that stands several times
/// in the picklist can be chosen with each of its entries' controlling values.
pub(super) fn valid_for(picklist: &Picklist) -> Map<String, Json> {
    let mut map: Map<String, Json> = Map::new();
    for choice in picklist.values.iter().filter(|choice| choice.active) {
        for controlling in choice.valid_for.iter().flatten() {
            let name = match controlling {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            if let Json::Array(values) = map.entry(name).or_insert_with(|| json!([]))
                && !values.contains(&choice.value)
            {
                values.push(choice.value.clone());
            }
        }
    }
    map
}
