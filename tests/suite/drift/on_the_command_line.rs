//! `recordport schema lock` and `schema diff`, against an emulated service.

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home};

fn mapping() -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "contacts-to-leads",
        "source": {"connection": "sf", "type": "Contact"},
        "target": {"connection": "sf", "type": "Lead", "operation": "create"},
        "fields": [
            {"to": "LastName", "from": "LastName"},
            {"to": "Company", "const": "unknown"},
            {"to": "Title", "from": "Title"},
        ],
    })
}

fn change(emulator: &EmulatorProcess, what: &Value) {
    emulator.control("POST", "salesforce/fields", what);
}

#[test]
fn schemas_are_written_down_and_what_changes_since_names_the_mappings_that_break() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let file = home.write("leads.mapping.json", mapping().to_string());
    home.run(&["schema", "diff"]).expect(2).says("schema lock");
    let locked = home.run(&["schema", "lock"]).expect(0).lines();
    let types: Vec<&str> = locked.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(types, ["Contact", "Lead"], "those of the mapping");
    assert_eq!(locked[0]["written"], 4);
    assert!(home.file("schemas/sf/Contact.read.json").is_file());
    let again = home.run(&["schema", "lock"]).expect(0).lines();
    assert_eq!(again[0]["unchanged"], 4);
    // Two more are kept by name: one that uses these types, and one that does not.
    let mut kept = mapping();
    kept["name"] = json!("kept-leads");
    kept["fields"][0] = json!({"to": "LastName", "from": "LastName", "steps": [{"op": "trim"}]});
    let kept = home.write("kept.json", kept.to_string());
    home.run(&["map", "save", &kept]).expect(0);
    home.run(&["map", "save", &kept, "--name", "kept-twice"]).expect(0);
    let other = json!({
        "recordport": "mapping/1",
        "name": "accounts",
        "source": {"connection": "sf", "type": "Account"},
        "target": {"connection": "sf", "type": "Account", "operation": "update"},
        "fields": [{"to": "@key", "from": "Id"}, {"to": "Name", "from": "NoSuchField"}],
    });
    let other = home.write("other.json", other.to_string());
    home.run(&["map", "save", &other]).expect(0);
    let same = home.run(&["schema", "diff"]).expect(0).lines();
    assert!(same.iter().all(|line| line["mapping"]["breaks"] == false), "{same:?}");

    // A new field breaks nothing.
    change(
        &emulator,
        &json!({"type": "Lead", "field": {"name": "Extra__c", "type": "string", "length": 40}}),
    );
    let added = home.run(&["schema", "diff"]).expect(0).lines();
    assert!(added.iter().any(|line| line["change"] == "field_added" && line["severity"] == "compatible"));

    change(&emulator, &json!({"type": "Contact", "remove": "Title"}));
    let gone = home.run(&["schema", "diff"]).expect(6);
    gone.says("\"contacts-to-leads\" breaks");
    let read = |line: &&Value| line["direction"] == "read" && line["field"] == "Title";
    let lines = gone.lines();
    let removed = lines.iter().find(read).expect("a line");
    assert_eq!((&removed["severity"], &removed["type"]), (&json!("breaking"), &json!("Contact")));
    let broken: Vec<&Value> =
        lines.iter().map(|line| &line["mapping"]).filter(|mapping| mapping["breaks"] == true).collect();
    let names: Vec<&str> = broken.iter().filter_map(|mapping| mapping["name"].as_str()).collect();
    assert_eq!(
        names,
        ["contacts-to-leads", "kept-leads", "kept-twice"],
        "files first, then those that are kept"
    );
    assert!(broken[0]["file"].is_string() && broken[1]["file"].is_null(), "{broken:?}");
    assert!(broken.iter().all(|mapping| mapping["problems"][0]["pointer"] == "/fields/2/from"));

    emulator.control("DELETE", "requests", &Value::Null);
    let table = home.run(&["schema", "diff", "--format", "table"]).expect(6).stdout;
    assert!(table.contains("kept-leads") && table.contains("/fields/2/from"), "{table}");
    let described = emulator.requests("/services/data");
    let described =
        described.iter().filter(|one| one["path"].to_string().contains("/sobjects/Contact/describe"));
    assert_eq!(described.count(), 1, "however many mappings use a type, it is described once");
    home.run(&["schema", "diff", "--mapping", "kept-leads"]).expect(6).says("\"kept-leads\" breaks");

    let markdown = home.run(&["schema", "diff", "--markdown"]).expect(6).stdout;
    assert!(markdown.contains("## Mappings that break") && markdown.contains("| breaking | read | Title |"));
    let whole = home.run(&["schema", "diff", "--format", "json"]).expect(6);
    let whole: Value = serde_json::from_str(&whole.stdout).expect("one document");
    assert!(whole["breaking"].as_u64().is_some_and(|count| count > 0));

    // A mapping that does not fit any more does not run.
    home.run(&["run", &file]).expect(2).says("Title");
    home.run(&["schema", "lock"]).expect(0);
    home.run(&["schema", "diff"]).expect(6).says("breaks");
}

#[test]
fn a_run_whose_schema_has_drifted_in_a_breaking_way_writes_nothing() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let shown = home.run(&["schema", "show", "sf", "Contact"]).expect(0).stdout;
    let schema: Value = serde_json::from_str(&shown).expect("a schema");
    let mut mapping = mapping();
    mapping["source"]["schema_hash"] = schema["definitions"]["record-meta"]["const"]["schemaHash"].clone();
    let file = home.write("leads.mapping.json", mapping.to_string());
    let before = emulator.state("Lead").len();
    change(&emulator, &json!({"type": "Contact", "remove": "Title"}));
    home.run(&["run", &file]).expect(6).says("nothing was written");
    assert_eq!(emulator.state("Lead").len(), before);
}
