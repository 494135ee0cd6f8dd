//! The schemas of the document and of each step, byte for byte as they stand in `schemas/mapping`.

use std::path::Path;

use recordport::mapping::Mapping;
use recordport::mapping::schema::{document_schema, step_schemas};
use recordport::record::schema::{lint, pretty};
use serde_json::{Value, json};

use super::document::FULL;
use super::{document, parsed};
use crate::schema_ajv::assert_ajv_accepts;

/// The schemas as they stand in `schemas/`: the document's, and one for each step.
fn schemas() -> Vec<(String, Value)> {
    let steps = step_schemas().into_iter().map(|(op, schema)| (format!("step.{op}.json"), schema));
    std::iter::once(("mapping.json".to_owned(), document_schema())).chain(steps).collect()
}

#[test]
fn the_schemas_stand_as_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/mapping");
    let accept = std::env::var_os("RECORDPORT_ACCEPT_SCHEMAS").is_some_and(|value| value == "1");
    for (name, schema) in schemas() {
        let (path, text) = (folder.join(name), pretty(&schema));
        if accept {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, &text).expect("written");
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(known, text, "{} has changed; take it with `make accept-schemas`", path.display());
    }
}

#[test]
fn the_steps_schemas_keep_to_the_form_profile() {
    for (op, schema) in step_schemas() {
        assert_eq!(lint(&schema), [], "{op}: {schema:#}");
    }
}

#[test]
fn strict_ajv_takes_what_is_read_and_refuses_what_is_not() {
    let valid: Vec<Value> = vec![
        serde_json::from_str(FULL).expect("JSON"),
        document("create", json!([{"to": "Name", "from": "Name"}])),
    ];
    let invalid = [
        document("merge", json!([])),
        document("create", json!([{"to": "Name"}])),
        document("create", json!([{"to": "Name", "from": "a", "const": 1}])),
        document("create", json!([{"to": "Name", "from": "a", "form": 1}])),
        document("create", json!([{"to": "Name", "from": "a", "steps": [{"op": "trimm"}]}])),
        document("create", json!([{"to": "Name", "from": "a", "steps": [{"op": "trim", "x": 1}]}])),
        document("create", json!([{"to": "Name", "from": "a", "steps": [{"op": "split"}]}])),
    ];
    for refused in &invalid {
        assert!(Mapping::parse(&refused.to_string()).is_err(), "{refused}");
    }
    for taken in &valid {
        parsed(taken);
    }
    let mut entries: Vec<Value> =
        vec![json!({"name": "mapping", "schema": document_schema(), "valid": valid, "invalid": invalid})];
    entries.extend(step_schemas().into_iter().map(|(op, schema)| json!({"name": op, "schema": schema})));
    assert_ajv_accepts(&entries);
}
