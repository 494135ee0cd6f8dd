//! The opposite mapping: what goes backwards comes out as it was, what does not is told.

use recordport::mapping::document::Operation;
use recordport::mapping::reverse::reverse;
use recordport::mapping::{Given, Types, compile};
use recordport::record::{FieldType, RecordType};
use serde_json::{Value, json};

use super::{able, document, parsed, settings};
use crate::support::record_types::{choice, open};

/// A type as the sample, with a second picklist and a boolean that is text elsewhere.
fn other() -> RecordType {
    let mut able = able();
    able.fields.push(open("Stage", super::stages(&["1 hot", "2 warm", "3 cold"])));
    able.fields.push(open("Flag", FieldType::text(5)));
    able.fields.push(open("Price", FieldType::text(40)));
    able.fields.push(open("Day", FieldType::text(40)));
    able.fields.push(open("Words", FieldType::text(400)));
    able
}

const WAYS: [(&str, &str, &str); 12] = [
    ("Name", "Name", "[]"),
    ("Flag", "Active", "[]"),
    ("Price", "Free", "[]"),
    ("Words", "Seen", "[]"),
    ("Stage", "Rating", r#"[{"op":"picklist","map":{"Hot":"1 hot","Warm":"2 warm","Cold":"3 cold"}}]"#),
    ("Price", "Amount", r#"[{"op":"number_format","decimal":",","group":" ","places":2}]"#),
    ("Day", "Born", r#"[{"op":"date","out":"%d.%m.%Y"}]"#),
    ("Words", "Aliases", r#"[{"op":"join","with":"; "}]"#),
    ("Body", "Readme", r#"[{"op":"rich_text"}]"#),
    ("Address.city", "Address.city", "[]"),
    ("Flag", "Priority", r#"[{"op":"picklist","map":{"1":"high"}}]"#),
    ("OwnerId", "AccountId", r#"[{"op":"reference"}]"#),
];

const RECORD: &str = r#"{"Name":"Ann","Active":true,"Free":12345678901234567890.10,"Seen":"2026-03-29T00:30:00.25Z",
    "Rating":"Warm","Amount":1234567.5,"Born":"2000-02-29","Aliases":["a","b, c"],"Readme":"A **bold** word",
    "Address":{"city":"Brno"},"Priority":1,"AccountId":"001"}"#;

#[test]
fn there_and_back_a_value_is_what_it_was() {
    let (here, there) = (able(), other());
    let record: Value = serde_json::from_str(RECORD).expect("JSON");
    for (to, from, steps) in WAYS {
        let steps: Value = serde_json::from_str(steps).expect("JSON");
        let rules = json!([{"to": "@key", "const": "k"}, {"to": to, "from": from, "steps": steps}]);
        let forth = parsed(&document("update", rules));
        let back = reverse(&forth, &here, &there);
        assert_eq!(back.left_out.len(), 1, "only the constant key: {from} to {to}: {:#?}", back.left_out);
        let mut back = back.mapping;
        back.fields.push(serde_json::from_value(json!({"to": "@key", "const": "k"})).expect("a rule"));
        let run = |mapping: &recordport::mapping::Mapping,
                   source: &RecordType,
                   target: &RecordType,
                   json: &str| {
            let compiled = compile(mapping, Types { source, paths: source, target }, &settings());
            let program =
                compiled.program.unwrap_or_else(|| panic!("{from} to {to}: {:#?}", compiled.problems));
            program.apply(Given { json, key: None, row: 1 }).unwrap_or_else(|error| panic!("{error}")).json
        };
        let there_row = run(&forth, &here, &there, RECORD);
        let row = run(&back, &there, &here, &there_row);
        let row: Value = serde_json::from_str(&row).expect("JSON");
        let pointer = format!("/{}", from.replace('.', "/"));
        assert_eq!(row.pointer(&pointer), record.pointer(&pointer), "{from} to {to}: {there_row}");
    }
}

#[test]
fn what_does_not_go_backwards_is_told_with_its_reason() {
    let (here, there) = (able(), other());
    let cases = [
        (json!({"to": "Name", "const": "x"}), "fixed value"),
        (json!({"to": "Name", "template": "{Name}!"}), "made of several values"),
        (json!({"to": "Name", "cases": [{"const": "x"}]}), "conditions choose"),
        (json!({"to": "Name", "from": "@row"}), "@row is no field"),
        (json!({"to": "Name", "from": "Account.Name"}), "belongs to another record"),
        (json!({"to": "Count", "from": "Origin"}), "cannot be set on update"),
        (json!({"to": "Name", "from": "Name", "steps": [{"op": "trim"}]}), "trim"),
        (json!({"to": "Count", "from": "Free", "steps": [{"op": "round"}]}), "round"),
        (json!({"to": "Name", "from": "Name", "steps": [{"op": "default", "value": "x"}]}), "default"),
        (json!({"to": "Name", "from": "Name", "steps": [{"op": "expr", "cel": "value"}]}), "expr"),
        (
            json!({"to": "Stage", "from": "Rating", "steps": [{"op": "picklist", "map": {"Hot": "1 hot", "Warm": "1 hot"}}]}),
            "both \"Hot\" and \"Warm\" become",
        ),
        (
            json!({"to": "Born", "from": "Seen", "steps": [{"op": "date", "zone": "UTC"}]}),
            "the part of the instant",
        ),
        (
            json!({"to": "Day", "from": "Seen", "steps": [{"op": "date", "out": "%Y-%m-%d"}]}),
            "does not write all",
        ),
        (json!({"to": "Words", "from": "Body", "steps": [{"op": "rich_text"}]}), "lost its marks"),
    ];
    for (rule, why) in cases {
        let told = reverse(&parsed(&document("update", json!([rule]))), &here, &there);
        assert!(told.mapping.fields.is_empty(), "{rule}");
        assert!(told.left_out[0].why.contains(why), "{rule}: {:?}", told.left_out);
    }
}

#[test]
fn an_upsert_turned_round_goes_by_a_key_of_the_source_or_creates() {
    let (here, there) = (able(), other());
    let mut upsert =
        document("upsert", json!([{"to": "External", "from": "External"}, {"to": "Name", "from": "Name"}]));
    upsert["target"]["by"] = json!(["External"]);
    upsert["source"]["query"] = json!({"where": "Name = 'x'"});
    let back = reverse(&parsed(&upsert), &here, &there);
    assert_eq!(back.mapping.target.operation, Operation::Upsert);
    assert_eq!(back.mapping.target.by, Some(vec!["External".to_owned()]));
    assert_eq!(
        (back.mapping.source.connection.as_str(), back.mapping.target.connection.as_str()),
        ("b", "a")
    );
    assert_eq!(back.notes.len(), 1, "{:?}", back.notes);
    upsert["fields"][0]["from"] = json!("Email");
    let back = reverse(&parsed(&upsert), &here, &there);
    assert_eq!((back.mapping.target.operation, back.mapping.target.by), (Operation::Create, None));
    assert_eq!(choice("x").label, "x");
}
