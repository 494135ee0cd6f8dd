//! Strict ajv compiles every schema, and judges rows as they are meant.

use recordport::providers;
use recordport::record::RecordType;
use recordport::record::capability::no_options;
use recordport::record::schema::{
    Annotations, Layout, SchemaOptions, SchemaPurpose, config_schema_for, lint, record_schema,
};
use serde_json::{Value as Json, json};

use crate::schema_profile::SampleConfig;
use crate::support::node;
use crate::support::record_types::{dependent, everything, oddities};

/// Has ajv compile schemas, given as `{"name", "schema", "vocabulary"?, "valid"?, "invalid"?}`.
pub(crate) fn assert_ajv_accepts(entries: &[Json]) {
    let mut input = String::new();
    for entry in entries {
        input.push_str(&entry.to_string());
        input.push('\n');
    }
    let output = node::run_script("schemas.mjs", &[], Some(input.as_bytes()));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.trim(), format!("{} schemas passed, 0 failed", entries.len()));
}

#[test]
fn strict_ajv_compiles_every_schema_of_every_odd_type() {
    let usual = SchemaOptions::default();
    let forms = [
        ("default", usual),
        ("flat", SchemaOptions { layout: Layout::Flat, ..usual }),
        ("inline", SchemaOptions { annotations: Annotations::Inline, include_read_only: true, ..usual }),
        ("bare", SchemaOptions { annotations: Annotations::None, dialect: false, ..usual }),
    ];
    let mut entries = Vec::new();
    for (name, record_type) in oddities() {
        for purpose in SchemaPurpose::ALL {
            for (form, options) in &forms {
                let schema = record_schema(&record_type, purpose, options);
                let mut entry =
                    json!({"name": format!("{name} {} {form}", purpose.name()), "schema": schema});
                if options.annotations == Annotations::Inline {
                    entry["vocabulary"] = json!(["x-record"]);
                }
                entries.push(entry);
            }
        }
    }
    assert_ajv_accepts(&entries);
}

#[test]
fn strict_ajv_compiles_configurations_and_options() {
    let mut schemas = vec![
        ("a configuration".to_owned(), config_schema_for::<SampleConfig>()),
        ("no options".to_owned(), no_options()),
    ];
    for factory in providers::all() {
        schemas.push((format!("{} configuration", factory.info().name), factory.config_schema()));
    }
    assert!(schemas.len() > 2, "no provider is registered");
    let entries: Vec<Json> = schemas
        .into_iter()
        .map(|(name, schema)| {
            assert_eq!(lint(&schema), [], "{name}");
            json!({"name": name, "schema": schema})
        })
        .collect();
    assert_ajv_accepts(&entries);
}

#[test]
fn ajv_judges_rows_as_they_are_meant() {
    let create = |record_type: &RecordType| {
        record_schema(record_type, SchemaPurpose::Create, &SchemaOptions::default())
    };
    let row = |more: Json| {
        let mut row = json!({"Name": "n", "Status": "New", "Areas": ["x"]});
        if let (Some(row), Json::Object(more)) = (row.as_object_mut(), more) {
            row.extend(more);
        }
        row
    };
    assert_ajv_accepts(&[
        json!({
            "name": "everything",
            "schema": create(&everything()),
            "valid": [
                row(json!({})),
                row(json!({"Rating": null, "Amount": 19.99, "Count": null, "Address": null})),
                row(json!({"Name": "\u{1f600}".repeat(80), "Opens": "10:20:00", "Website": "www.example.com"})),
                row(json!({"Amount": 0.07, "Big": "9223372036854775807", "Tags": []})),
            ],
            "invalid": [
                {"Name": "n", "Areas": ["x"]},
                row(json!({"Status": null})),
                row(json!({"Rating": "Lukewarm"})),
                row(json!({"Unknown": 1})),
                row(json!({"Seen": "2026-01-31T10:00:00"})),
                row(json!({"Big": 12})),
            ],
        }),
        json!({
            "name": "dependent",
            "schema": create(&dependent()),
            "valid": [{"Country": "US", "State": "Texas"}, {"Country": "VA", "State": null}, {}],
            "invalid": [{"Country": "DE", "State": "Texas"}, {"Country": "VA", "State": "Texas"}],
        }),
    ]);
}
