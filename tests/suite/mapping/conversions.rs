//! The table of conversions: complete, as documented, and never silently lossy.

use recordport::mapping::convert::{Conversion, Rule, convert, rule, table};
use recordport::mapping::schema::step_schemas;
use recordport::mapping::shape::{Kind, Shape};
use recordport::mapping::{Given, Types, compile};
use recordport::record::record_type::{ListWire, Picklist, PicklistValue, TextForm};
use recordport::record::{Field, FieldType, RecordType};
use serde_json::json;

use super::{able, document, parsed, settings};
use crate::support::record_types::{choice, open, reference, restricted, with_fields};

#[test]
fn the_document_shows_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mapping.md");
    let mut text = std::fs::read_to_string(path).expect("docs/mapping.md");
    if std::env::var_os("RECORDPORT_ACCEPT_SCHEMAS").is_some_and(|value| value == "1") {
        let begins = text.find("| from | as it is |").expect("a table");
        let ends = text[begins..].find("\n\n").map_or(text.len(), |at| begins + at + 1);
        text.replace_range(begins..ends, &table());
        std::fs::write(path, &text).expect("written");
    }
    assert!(text.contains(&table()), "docs/mapping.md does not hold this table:\n{}", table());
}

#[test]
fn every_step_that_the_table_names_is_a_step() {
    let known: Vec<&str> = step_schemas().into_iter().map(|(op, _)| op).collect();
    for from in Kind::ALL {
        for to in Kind::ALL {
            if let Rule::Step(steps) = rule(from, to) {
                assert!(!steps.is_empty());
                assert!(steps.iter().all(|step| known.contains(step)), "{from:?} {to:?} {steps:?}");
            }
        }
    }
}

/// A type of each kind, and JSON texts of values that such fields hold.
pub(super) fn sample(kind: Kind) -> (FieldType, bool, &'static [&'static str]) {
    let text = |form| FieldType::Text { max_length: None, form };
    let numbered = Picklist {
        values: vec![PicklistValue { value: json!(1), label: "High".into(), ..choice("") }],
        restricted: true,
        integer: true,
    };
    let object = FieldType::Object { fields: vec![open("city", text(TextForm::Plain))] };
    let plain = |field_type| (field_type, false);
    let ((field_type, floating), values): ((FieldType, bool), &'static [&'static str]) = match kind {
        Kind::Text => (plain(text(TextForm::Plain)), &["\"\"", "\" a \\u00e9\\n\\\"q\\\" 😀\"", "\"007\""]),
        Kind::Html => (plain(text(TextForm::Html)), &["\"<b>x</b>\""]),
        Kind::Markdown => (plain(text(TextForm::Markdown)), &["\"**x**\""]),
        Kind::Adf => (plain(text(TextForm::Adf)), &["\"{}\""]),
        Kind::Masked => (plain(text(TextForm::Encrypted)), &["\"***\""]),
        Kind::Boolean => (plain(FieldType::Boolean), &["true", "false"]),
        Kind::Integer => {
            (plain(FieldType::Integer { minimum: None, maximum: None }), &["0", "-9007199254740992"])
        }
        Kind::LongInteger => (plain(FieldType::Int64), &["\"9223372036854775807\"", "\"-1\""]),
        Kind::Decimal => (
            plain(FieldType::Decimal { precision: None, scale: None }),
            &["0.10", "123456789012345678901234567890.123456789", "1e400", "-0.0"],
        ),
        Kind::Date => (plain(FieldType::Date), &["\"2026-01-31\""]),
        Kind::Instant => (plain(FieldType::Instant), &["\"2026-01-31T09:30:00.123456+02:00\""]),
        Kind::ClockTime => ((FieldType::Instant, true), &["\"2026-01-31T09:30:00Z\""]),
        Kind::Time => (plain(FieldType::Time), &["\"09:30:00.5\""]),
        Kind::Choice => (plain(FieldType::Picklist(restricted(&["a", "b"]))), &["\"a\""]),
        Kind::NumberedChoice => (plain(FieldType::Picklist(numbered)), &["1"]),
        Kind::Choices => (
            plain(FieldType::MultiPicklist { picklist: restricted(&["a", "b"]), wire: ListWire::Array }),
            &["[]", "[\"b\",\"a\"]"],
        ),
        Kind::Reference => (plain(reference("Account", "Account")), &["\"001\""]),
        Kind::Content => (plain(FieldType::Binary { max_bytes: None, inline: false }), &["\"/x\""]),
        Kind::Bytes => (plain(FieldType::Binary { max_bytes: None, inline: true }), &["\"AAEC\""]),
        Kind::Object => (plain(object), &["{\"city\":\"x\"}"]),
        Kind::List => (
            plain(FieldType::List { element: Box::new(open("e", text(TextForm::Plain))) }),
            &["[\"x\",\"y\"]"],
        ),
        Kind::Json => (plain(FieldType::Json), &["\"{\\\"a\\\":1.10}\""]),
    };
    (field_type, floating, values)
}

pub(super) fn field(kind: Kind) -> Field {
    let (field_type, floating, _) = sample(kind);
    Field { floating, ..open("F", field_type) }
}

#[test]
fn samples_are_of_the_kinds_that_they_stand_for() {
    for kind in Kind::ALL {
        assert_eq!(Shape::of(&field(kind)).kind(), kind);
    }
}

/// What is left of a JSON text when it is known to be text of a number, a boolean, or a list of one.
fn content(text: &str) -> String {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    inner.trim_matches('"').to_owned()
}

#[test]
fn what_converts_silently_comes_out_with_every_character() {
    let mut converted = 0;
    for from in Kind::ALL {
        for to in Kind::ALL {
            let (source, target) = (field(from), field(to));
            let silent = matches!(convert(&Shape::of(&source), &Shape::of(&target)), Conversion::Silent(_));
            let types = (with_fields(vec![source]), RecordType { fields: vec![target], ..able() });
            let rules = json!([{"to": "F", "from": "F"}, {"to": "@key", "const": "k"}]);
            let mapping = parsed(&document("update", rules));
            let types = Types { source: &types.0, paths: &types.0, target: &types.1 };
            let compiled = compile(&mapping, types, &settings());
            assert_eq!(compiled.program.is_some(), silent, "{from:?} to {to:?}: {:#?}", compiled.problems);
            let Some(program) = compiled.program else {
                let fix = compiled.problems.iter().find_map(|problem| problem.fix.as_ref());
                assert!(fix.is_some(), "{from:?} to {to:?} is refused without advice");
                continue;
            };
            for value in sample(from).2 {
                let record = format!("{{\"F\":{value}}}");
                let given = Given { json: &record, key: None, row: 1 };
                // A value that the target cannot hold fails; it is never changed.
                if let Ok(mapped) = program.apply(given) {
                    converted += 1;
                    let out = mapped
                        .json
                        .strip_prefix("{\"F\":")
                        .and_then(|text| text.strip_suffix(",\"@key\":\"k\"}"));
                    let out = out.unwrap_or_else(|| panic!("{}", mapped.json));
                    let same = out == *value || content(out) == content(value);
                    assert!(same, "{from:?} to {to:?}: {value} became {out}");
                    assert!(mapped.warnings.is_empty());
                }
            }
        }
    }
    assert!(converted > 60, "{converted}");
}

#[test]
fn missing_null_and_value_stay_apart_through_every_conversion() {
    for from in Kind::ALL {
        for to in Kind::ALL {
            let (source, target) =
                (with_fields(vec![field(from)]), RecordType { fields: vec![field(to)], ..able() });
            let rules = json!([{"to": "F", "from": "F"}, {"to": "@key", "const": "k"}]);
            let types = Types { source: &source, paths: &source, target: &target };
            let compiled = compile(&parsed(&document("update", rules)), types, &settings());
            let Some(program) = compiled.program else { continue };
            for (record, expected) in
                [("{}", "{\"@key\":\"k\"}"), ("{\"F\":null}", "{\"F\":null,\"@key\":\"k\"}")]
            {
                let mapped = program.apply(Given { json: record, key: None, row: 1 }).expect("fits");
                assert_eq!(mapped.json, expected, "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn values_of_picklists_go_silently_only_where_each_has_a_place() {
    let shape = |values: &[&str], open: bool| {
        Shape::new(FieldType::Picklist(Picklist { restricted: !open, ..restricted(values) }))
    };
    let silent = |from: &Shape, to: &Shape| matches!(convert(from, to), Conversion::Silent(_));
    assert!(silent(&shape(&["a"], false), &shape(&["a", "b"], false)));
    assert!(silent(&shape(&["a", "x"], false), &shape(&["a"], true)));
    assert!(!silent(&Shape::text(), &shape(&["a"], false)));
    let Conversion::Needs { steps, values, .. } =
        convert(&shape(&["a", "x", "y"], false), &shape(&["a"], false))
    else {
        panic!("silent")
    };
    assert_eq!((steps, values), (&["picklist"][..], vec!["x".to_owned(), "y".to_owned()]));
}
