//! Mappings: the document, the conversions, compiling against types, and what the steps make of values.

mod compiling;
mod conversions;
mod document;
mod end_to_end;
mod formulas;
mod keeping;
mod lookups;
mod on_the_command_line;
mod properties;
mod reversing;
mod rich;
mod schemas;
mod step_properties;
mod steps;
mod suggesting;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use recordport::mapping::{Compiled, Given, Mapped, Mapping, Problem, Settings, Severity, Types, compile};
use recordport::record::capability::{
    GetCapability, SearchCapability, UpsertCapability, VersionSupport, WriteCapability,
};
use recordport::record::{Capability, FieldType, KeyFields, RecordType};
use serde_json::{Value, json};

use crate::support::record_types::{everything, restricted};

/// The type that has everything, with every ability.
fn able() -> RecordType {
    let write = WriteCapability { version: VersionSupport::Exact, ..WriteCapability::batches_of(10) };
    let search = SearchCapability {
        page_max: 100,
        page_min: 1,
        page_default: 50,
        order: true,
        count: true,
        include_deleted: false,
        native: None,
    };
    RecordType {
        capability: Capability {
            search: Some(search),
            get: Some(GetCapability { batch_max: 10, by: vec![KeyFields::single("Id")] }),
            create: Some(write.clone()),
            update: Some(write.clone()),
            upsert: Some(UpsertCapability {
                write: write.clone(),
                by: vec![KeyFields::single("External")],
                match_only: Vec::new(),
            }),
            delete: Some(write),
            ..Capability::default()
        },
        ..everything()
    }
}

fn settings() -> Settings {
    Settings { now: Timestamp::UNIX_EPOCH, timezone: TimeZone::UTC, params: Vec::new() }
}

/// A mapping onto the type that has everything, with these rules.
fn document(operation: &str, fields: Value) -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "test",
        "source": {"connection": "a", "type": "Thing"},
        "target": {"connection": "b", "type": "Thing", "operation": operation},
        "fields": fields,
    })
}

fn parsed(document: &Value) -> Mapping {
    Mapping::parse(&document.to_string()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn compiled_between(document: &Value, source: &RecordType, target: &RecordType) -> Compiled {
    compile(&parsed(document), Types { source, paths: source, target }, &settings())
}

fn compiled(document: &Value) -> Compiled {
    compiled_between(document, &able(), &able())
}

/// Problems as `severity pointer`.
fn places(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| {
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            format!("{severity} {}", problem.pointer)
        })
        .collect()
}

/// Applies an update of the type that has everything, with these rules, to a record; what fails is told by field.
fn updated(fields: Value, record: &str) -> Result<Mapped, Vec<String>> {
    let mut rules = vec![json!({"to": "@key", "const": "k"})];
    rules.extend(fields.as_array().expect("rules").clone());
    let compiled = compiled(&document("update", Value::Array(rules)));
    let program = compiled.program.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
    let given = Given { json: record, key: Some("the key"), row: 7 };
    program.apply(given).map_err(|error| {
        error.fields().iter().map(|reason| format!("{}: {}", reason.field, reason.message)).collect()
    })
}

/// The JSON text that one rule gives, without the row's key.
fn made(rule: Value, record: &str) -> Result<String, String> {
    let mapped = updated(json!([rule]), record).map_err(|reasons| reasons.join("; "))?;
    Ok(mapped.json.replacen("{\"@key\":\"k\"", "{", 1).replacen("{,", "{", 1))
}

/// A restricted picklist with these values.
fn stages(values: &[&str]) -> FieldType {
    FieldType::Picklist(restricted(values))
}
