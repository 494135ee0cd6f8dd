//! The document: read strictly, written as it was.

use recordport::mapping::Mapping;
use serde_json::{Value, json};

use super::document;

/// A document with everything that there is.
pub(super) const FULL: &str = r#"{
  "recordport": "mapping/1",
  "name": "contacts",
  "params": {"region": {"type": "text", "default": "EU"}, "limit": {"type": "decimal", "default": 1.10}},
  "source": {"connection": "sf", "type": "Contact", "query": {"where": "Email IS NOT NULL"}, "schema_hash": "ab"},
  "target": {"connection": "dyn", "type": "contact", "operation": "upsert", "by": ["new_key"], "options": {"x": true},
    "schema_hash": "cd"},
  "on_source_delete": {"set": {"statecode": 1, "note": null}},
  "on_source_update": "ignore",
  "fields": [
    {"to": "new_key", "from": "Id"},
    {"to": "amount", "const": 12345678901234567890.10, "on_missing": "error"},
    {"to": "gone", "const": null, "on_invalid": "null"},
    {"to": "fullname", "template": "{FirstName?} {LastName}", "steps": [{"op": "trim", "inside": true}]},
    {"to": "kind", "cases": [
      {"where": "Amount > 100", "const": "big"},
      {"filter": {"combinator": "and", "rules": []}, "from": "Type"},
      {"template": "none"}], "on_missing": "skip"},
    {"to": "a", "from": "A", "steps": [
      {"op": "case", "to": "upper"}, {"op": "default", "value": 0.10, "empty": true},
      {"op": "date", "in": "auto", "zone": "Europe/Prague", "out": "date"},
      {"op": "number", "decimal": ",", "group": " "}, {"op": "number_format", "places": 2},
      {"op": "round", "places": 2, "mode": "half_even"}, {"op": "truncate", "length": 10, "ellipsis": "…"},
      {"op": "picklist", "map": {"b": 2, "a": 1.50}, "else": "keep"}, {"op": "label"},
      {"op": "split", "by": ",", "exact": true}, {"op": "join", "with": ";"}, {"op": "item", "index": -1},
      {"op": "concat", "of": ["B", "@param.region"], "with": " "}, {"op": "replace", "find": "x", "with": "y"},
      {"op": "reference"}, {"op": "json"},
      {"op": "each", "fields": [{"to": "email", "from": "@item", "steps": [{"op": "trim"}]}]},
      {"op": "each", "steps": [{"op": "trim"}]}, {"op": "rich_text", "in": "adf", "out": "html"},
      {"op": "lookup", "connection": "dyn", "type": "account", "by": ["name", "city"], "of": ["City"], "give": "id",
        "else": "create", "several": "null", "set": {"amount": 1.10}},
      {"op": "expr", "cel": "value * 2"}]},
    {"to": "parent", "lookup": {"connection": "dyn", "type": "account", "by": {"name": "Company", "city": "City"},
      "give": "id", "else": "skip", "several": "error"}}
  ],
  "contents": [{"from": "Photo", "to": "entityimage", "options": [{"to": "file_name", "template": "{Id}.png"}]}]
}"#;

#[test]
fn a_document_is_written_as_it_was_read() {
    let mapping = Mapping::parse(FULL).expect("well-formed");
    let blank = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
    // Members keep their order within maps; those of the document itself have one order.
    assert_eq!(blank(&mapping.to_text()), blank(FULL));
    assert_eq!(Mapping::parse(&mapping.to_text()).expect("its own text"), mapping);
    let through_serde: Mapping = serde_json::from_str(FULL).expect("serde reads it too");
    assert_eq!(through_serde, mapping);
}

fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut value: Value = serde_json::from_str(FULL).expect("JSON");
    change(&mut value);
    let problems = Mapping::parse(&value.to_string()).expect_err("refused");
    problems.iter().map(|problem| format!("{}: {}", problem.pointer, problem.message)).collect()
}

#[test]
fn every_unknown_member_is_told_with_its_place() {
    let told = problems(|document| {
        document["extra"] = json!(1);
        document["source"]["tpye"] = json!("x");
        document["target"]["a/b"] = json!("x");
        document["params"]["region"]["label"] = json!("x");
        document["fields"][3]["form"] = json!("x");
        document["fields"][3]["steps"][0]["insde"] = json!(true);
        document["fields"][4]["cases"][0]["steps"] = json!([]);
        document["fields"][6]["lookup"]["boy"] = json!({});
        document["fields"][5]["steps"][16]["fields"][0]["steps"][0]["x~y"] = json!(1);
    });
    let pointers: Vec<&str> = told.iter().filter_map(|told| told.split(": ").next()).collect();
    assert_eq!(
        pointers,
        [
            "/params/region/label",
            "/source/tpye",
            "/target/a~1b",
            "/fields/3/steps/0/insde",
            "/fields/3/form",
            "/fields/4/cases/0/steps",
            "/fields/5/steps/16/fields/0/steps/0/x~0y",
            "/fields/6/lookup/boy",
            "/extra",
        ],
        "{told:#?}"
    );
}

#[test]
fn a_wrong_form_is_told_where_it_stands() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 19] = [
        ("/recordport", |it| it["recordport"] = json!("mapping/2")),
        ("/name", |it| it["name"] = json!(1)),
        ("", |it| drop(it.as_object_mut().map(|it| it.remove("source")))),
        ("/source", |it| it["source"] = json!("sf")),
        ("/source/query", |it| it["source"]["query"] = json!("Email")),
        ("/target/operation", |it| it["target"]["operation"] = json!("merge")),
        ("/target/by", |it| it["target"]["by"] = json!("Id")),
        ("/params/a.b", |it| it["params"]["a.b"] = json!({"type": "text"})),
        ("/params/region/type", |it| it["params"]["region"]["type"] = json!("texts")),
        ("/on_source_delete", |it| it["on_source_delete"] = json!("forget")),
        ("/on_source_update", |it| it["on_source_update"] = json!("upsert")),
        ("/fields/0", |it| it["fields"][0] = json!({"to": "x"})),
        ("/fields/0", |it| it["fields"][0]["const"] = json!(1)),
        ("/fields/3/steps/0/op", |it| it["fields"][3]["steps"][0] = json!({"op": "trimm"})),
        ("/fields/3/steps/0", |it| it["fields"][3]["steps"][0] = json!({"op": "split"})),
        ("/fields/4/cases/1", |it| {
            drop(it["fields"][4]["cases"][1].as_object_mut().map(|it| it.remove("filter")));
        }),
        ("/fields/5/steps/19/else", |it| it["fields"][5]["steps"][19]["else"] = json!("make")),
        ("/fields/6/lookup/by", |it| it["fields"][6]["lookup"]["by"] = json!(["name"])),
        ("/fields/5/steps/17", |it| it["fields"][5]["steps"][17] = json!({"op": "each"})),
    ];
    for (pointer, change) in cases {
        let told = problems(change);
        assert_eq!(told.len(), 1, "{pointer}: {told:#?}");
        assert!(told[0].starts_with(&format!("{pointer}: ")), "{pointer}: {told:#?}");
    }
    for text in ["", "{", "[]", "{\"name\":1,\"name\":2}"] {
        assert!(Mapping::parse(text).is_err(), "{text}");
    }
    let twice = FULL.replacen("\"to\": \"new_key\"", "\"to\": \"x\", \"to\": \"new_key\"", 1);
    assert_eq!(Mapping::parse(&twice).expect_err("refused")[0].pointer, "/fields/0/to");
}

#[test]
fn a_step_that_is_misspelt_is_answered_with_the_one_that_was_meant() {
    let mapping = document("create", json!([{"to": "a", "from": "b", "steps": [{"op": "truncat"}]}]));
    let problems = Mapping::parse(&mapping.to_string()).expect_err("refused");
    assert_eq!(problems[0].fix.as_deref(), Some("Did you mean truncate?"));
}
