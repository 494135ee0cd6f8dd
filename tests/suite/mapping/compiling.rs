//! Compiling against two types: everything that is wrong at once, each with its place and what mends it.

use recordport::mapping::compile::{hash_of, reads};
use recordport::mapping::{Program, Settings, Severity, Types, compile};
use recordport::record::RecordType;
use recordport::record::schema::SchemaPurpose;
use serde_json::{Value, json};

use super::{able, compiled, compiled_between, document, parsed, places, settings};
use crate::support::record_types::{open, required};

/// Rules that leave nothing open of a create.
fn complete() -> Vec<Value> {
    vec![
        json!({"to": "Name", "from": "Name"}),
        json!({"to": "Status", "from": "Status"}),
        json!({"to": "Areas", "from": "Areas"}),
    ]
}

fn with(more: Value) -> Value {
    let mut rules = complete();
    rules.extend(more.as_array().expect("rules").clone());
    document("create", Value::Array(rules))
}

#[test]
fn a_mapping_that_fits_has_no_problems_and_a_program() {
    let compiled = compiled(&with(json!([
        {"to": "Notes", "template": "{Name}, {Address.city?} {@row}"},
        {"to": "Amount", "from": "Amount"},
        {"to": "Address.city", "from": "Address.city"},
        {"to": "Address.country", "from": "Address.country"},
    ])));
    assert_eq!(compiled.problems.iter().filter(|it| it.severity != Severity::Warning).count(), 0);
    assert!(compiled.program.is_some(), "{:#?}", compiled.problems);
}

#[test]
fn a_program_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Program>();
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_document() {
    let mut document = document(
        "create",
        json!([
            {"to": "Name", "from": "Nmae"},
            {"to": "Socre", "from": "Name"},
            {"to": "Score", "from": "Amount"},
            {"to": "Rating", "from": "Name"},
            {"to": "Born", "from": "Seen"},
            {"to": "Count", "from": "Amount"},
            {"to": "AccountId", "from": "Name"},
            {"to": "Photo", "from": "Photo"},
            {"to": "Status", "const": "Open"},
            {"to": "Email", "from": "Secret"},
            {"to": "@key", "from": "Id"},
            {"to": "Tags", "template": "{Name"},
            {"to": "Phone", "cases": [{"where": "Nmae = 'x'", "const": "1"}, {"from": "Phone"}]},
            {"to": "Phone", "from": "@param.phone"},
            {"to": "Notes", "from": "Areas"},
        ]),
    );
    document["source"]["query"] = json!({"where": "Bron > '2026-01-01'"});
    document["target"]["options"] = json!({"nonsense": true});
    let compiled = compiled(&document);
    assert!(compiled.program.is_none());
    assert_eq!(
        places(&compiled.problems),
        [
            "error /source/query",
            "error /target/options",
            "error /fields",
            "error /fields/0/from",
            "error /fields/1/to",
            "error /fields/2/to",
            "error /fields/3",
            "error /fields/4",
            "error /fields/5",
            "error /fields/6",
            "error /fields/7",
            "error /fields/8/const",
            "error /fields/9",
            "error /fields/10/to",
            "error /fields/11/template",
            "error /fields/12/cases/0/where",
            "error /fields/13/from",
            "error /fields/13/to",
            "error /fields/14",
        ],
        "{:#?}",
        compiled.problems
    );
    let fix = |pointer: &str| {
        let found = compiled.problems.iter().find(|problem| problem.pointer == pointer).expect(pointer);
        found.fix.clone().unwrap_or_default()
    };
    assert_eq!(fix("/fields/0/from"), "Did you mean Name?");
    assert!(fix("/fields/1/to").starts_with("Did you mean Score"));
    assert!(fix("/fields/4").contains("\"op\":\"date\""));
    assert!(fix("/fields/5").contains("\"op\":\"round\""));
    assert!(fix("/fields/8/const").contains("New, Done"));
    assert!(fix("/fields").contains("Areas"));
}

#[test]
fn the_values_that_a_picklist_has_no_place_for_are_listed() {
    let source = RecordType {
        fields: vec![open("Stage", super::stages(&["New", "In Progress", "Closed", "Odd"]))],
        ..able()
    };
    let target =
        RecordType { fields: vec![open("State", super::stages(&["new", "in progress", "Done"]))], ..able() };
    let rules = |steps: Value| {
        document(
            "update",
            json!([{"to": "@key", "const": "k"}, {"to": "State", "from": "Stage", "steps": steps}]),
        )
    };
    let open_ended = compiled_between(&rules(json!([])), &source, &target);
    assert_eq!(places(&open_ended.problems), ["error /fields/1"]);
    assert_eq!(open_ended.problems[0].values, ["New", "In Progress", "Closed", "Odd"]);
    let fix = open_ended.problems[0].fix.as_deref().expect("a fix");
    assert!(fix.contains(r#"{"op":"picklist","map":{"New":"new","In Progress":"in progress"}}"#), "{fix}");

    let partly = json!([{"op": "picklist", "map": {"New": "new", "Closed": "Dnoe", "Nwe": "new"}}]);
    let partly = compiled_between(&rules(partly), &source, &target);
    assert_eq!(
        places(&partly.problems),
        [
            "warning /fields/1/steps/0/map",
            "error /fields/1/steps/0/map/Closed",
            "warning /fields/1/steps/0/map/Nwe"
        ],
        "{:#?}",
        partly.problems
    );
    let left_out = partly.problems.iter().find(|problem| !problem.values.is_empty()).expect("a list");
    assert_eq!(left_out.values, ["In Progress", "Odd"]);

    let all = json!([{"op": "picklist", "map": {"New": "new"}, "else": "null"}, {"op": "default", "value": "Done"}]);
    let all = compiled_between(&rules(all), &source, &target);
    assert_eq!(places(&all.problems), Vec::<String>::new(), "{:#?}", all.problems);
}

#[test]
fn a_narrower_target_is_warned_of() {
    let compiled = compiled(&with(json!([
        {"to": "External", "from": "Email"},
        {"to": "Amount", "from": "Address.geo.lat"},
    ])));
    assert_eq!(
        places(&compiled.problems),
        ["warning /fields/3", "warning /fields/4"],
        "{:#?}",
        compiled.problems
    );
    assert!(compiled.problems[0].fix.as_deref().is_some_and(|fix| fix.contains("truncate")));
    assert!(compiled.problems[1].fix.as_deref().is_some_and(|fix| fix.contains("round")));
}

#[test]
fn each_operation_asks_for_its_key_and_sets_its_own_fields() {
    let problems = |operation: &str, rules: Value, by: Option<Value>| {
        let mut document = document(operation, rules);
        if let Some(by) = by {
            document["target"]["by"] = by;
        }
        places(&compiled(&document).problems)
    };
    let none: [&str; 0] = [];
    let name = json!([{"to": "Notes", "from": "Notes"}]);
    assert_eq!(problems("update", name.clone(), None), ["error /fields"]);
    let keyed = json!([{"to": "Id", "from": "Id"}, {"to": "Notes", "from": "Notes"}]);
    assert_eq!(problems("update", keyed.clone(), None), none);
    assert_eq!(
        problems("create", keyed.clone(), None),
        ["error /fields", "error /fields", "error /fields", "error /fields/0/to"]
    );
    assert_eq!(problems("delete", json!([{"to": "@key", "from": "@key"}]), None), none);
    assert_eq!(problems("delete", keyed.clone(), None), ["error /fields/1/to"]);
    assert_eq!(
        problems("update", json!([{"to": "Id", "from": "Id"}, {"to": "Origin", "from": "Origin"}]), None),
        ["error /fields/1/to"]
    );
    assert_eq!(problems("update", keyed, Some(json!(["Id"]))), ["error /target/by"]);

    let mut rules = complete();
    rules.push(json!({"to": "External", "from": "External"}));
    let upsert = Value::Array(rules.clone());
    assert_eq!(problems("upsert", upsert.clone(), Some(json!(["External"]))), none);
    assert_eq!(problems("upsert", upsert.clone(), None), ["error /target"]);
    assert_eq!(problems("upsert", upsert, Some(json!(["Name"]))), ["error /target/by"]);
    let keyless = Value::Array(complete());
    assert_eq!(problems("upsert", keyless, Some(json!(["External"]))), ["error /fields"]);
}

#[test]
fn a_required_field_that_may_stay_empty_is_warned_of_until_it_cannot() {
    let target =
        RecordType { fields: vec![required("Name", recordport::record::FieldType::text(80))], ..able() };
    let problems = |rule: Value| {
        places(&compiled_between(&document("create", json!([rule])), &able(), &target).problems)
    };
    assert_eq!(problems(json!({"to": "Name", "from": "Origin"})), ["warning /fields/0"]);
    assert!(problems(json!({"to": "Name", "from": "Origin", "on_missing": "error"})).is_empty());
    assert!(
        problems(json!({"to": "Name", "from": "Origin", "steps": [{"op": "default", "value": "x"}]}))
            .is_empty()
    );
    assert!(problems(json!({"to": "Name", "const": "x"})).is_empty());
    assert!(problems(json!({"to": "Name", "from": "Name"})).is_empty());
}

#[test]
fn keys_of_records_go_silently_on_one_connection_only() {
    let mut document = with(json!([{"to": "AccountId", "from": "AccountId"}]));
    let across = compiled(&document);
    assert_eq!(places(&across.problems), ["error /fields/3"]);
    document["fields"][3]["steps"] = json!([{"op": "reference"}]);
    assert!(compiled(&document).program.is_some());
    document["fields"][3]["steps"] = json!([]);
    document["source"]["connection"] = json!("b");
    assert!(compiled(&document).program.is_some());
    document["fields"][3]["from"] = json!("OwnerId");
    assert_eq!(places(&compiled(&document).problems), ["error /fields/3"]);
}

#[test]
fn a_changed_schema_is_told_and_an_unchanged_one_is_not() {
    let mut document = with(json!([]));
    document["source"]["schema_hash"] = json!(hash_of(&able(), SchemaPurpose::Read));
    document["target"]["schema_hash"] = json!(hash_of(&able(), SchemaPurpose::Create));
    assert!(compiled(&document).problems.is_empty());
    document["target"]["schema_hash"] = json!("0");
    assert_eq!(places(&compiled(&document).problems), ["warning /target/schema_hash"]);
}

#[test]
fn parameters_have_types_and_reach_rules_and_templates() {
    let mut document = with(json!([
        {"to": "Notes", "template": "{Name} in {@param.region}"},
        {"to": "Amount", "from": "@param.amount"},
    ]));
    document["params"] = json!({"region": {"type": "text", "default": "EU"}, "amount": {"type": "decimal"}});
    let able = able();
    let run = |params: &[(&str, Value)]| {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        let types = Types { source: &able, paths: &able, target: &able };
        compile(&parsed(&document), types, &Settings { params, ..settings() })
    };
    assert_eq!(places(&run(&[]).problems), ["note /params/amount"]);
    assert_eq!(places(&run(&[("amount", json!("x"))]).problems), ["error /params/amount"]);
    assert_eq!(places(&run(&[("amuont", json!(1))]).problems), ["error /params", "note /params/amount"]);
    let program = run(&[("amount", json!(7)), ("region", json!("US"))]).program.expect("compiles");
    let record = json!({"Name": "n", "Status": "New", "Areas": ["x"]}).to_string();
    let given = recordport::mapping::Given { json: &record, key: None, row: 1 };
    let mapped = program.apply(given).expect("fits");
    assert_eq!(mapped.json, r#"{"Name":"n","Status":"New","Areas":["x"],"Notes":"n in US","Amount":7}"#);
}

#[test]
fn what_a_mapping_reads_is_known_before_it_runs() {
    let mapping = parsed(&document(
        "create",
        json!([
            {"to": "a", "from": "Account.Name"},
            {"to": "b", "template": "{X?} {Account.Name}"},
            {"to": "c", "cases": [{"where": "Y = 1 AND Z.W IS NULL", "const": 1}, {"from": "V"}]},
            {"to": "d", "from": "L", "steps": [{"op": "concat", "of": ["M", "@row"]}]},
        ]),
    ));
    let found = reads(&mapping);
    let paths: Vec<String> = found.paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["Account.Name", "X", "Y", "Z.W", "V", "L", "M"]);
    assert!(!found.whole);
    let whole =
        parsed(&document("create", json!([{"to": "a", "from": "@record", "steps": [{"op": "json"}]}])));
    assert!(reads(&whole).whole);
}

#[test]
fn what_becomes_of_deleted_records_is_checked_too() {
    let with_set = |set: Value| {
        let mut document = with(json!([]));
        document["on_source_delete"] = json!({ "set": set });
        places(&compiled(&document).problems)
    };
    assert!(with_set(json!({"Notes": "gone", "Rating": null})).is_empty());
    assert_eq!(
        with_set(json!({"Origin": "x", "Rating": "Lukewarm"})),
        ["error /on_source_delete/set/Origin", "error /on_source_delete/set/Rating"]
    );
}

#[test]
fn what_becomes_of_records_whose_sources_change_is_checked_too() {
    let problems = |operation: &str, fields: Value, target: &RecordType| {
        let mut document = document(operation, fields);
        document["on_source_update"] = json!("update");
        places(&compiled_between(&document, &able(), target).problems)
    };
    let none = Vec::<String>::new();
    let both = json!([{"to": "Name", "from": "Name"}, {"to": "Origin", "const": "x"}]);
    let mut target = able();
    for field in &mut target.fields {
        field.required_on_create = false;
    }
    assert_eq!(problems("create", json!([{"to": "Name", "from": "Name"}]), &target), none);
    assert_eq!(problems("create", both.clone(), &target), ["note /fields/1"], "a change leaves it as it is");
    let only = json!([{"to": "Origin", "const": "x"}]);
    assert_eq!(problems("create", only, &target), ["error /on_source_update", "note /fields/0"]);
    let fixed = json!([{"to": "@key", "from": "@key"}, {"to": "Name", "from": "Name"}]);
    assert_eq!(problems("update", fixed, &target), ["note /on_source_update"], "it needs no saying");
    target.capability.update = None;
    assert_eq!(problems("create", both, &target), ["error /on_source_update"]);
}
