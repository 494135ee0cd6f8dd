//! `recordport map`, against emulated services.

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home};

fn contacts_to_leads() -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "leads",
        "params": {"source": {"type": "text", "default": "Web"}},
        "source": {"connection": "sf", "type": "Contact"},
        "target": {"connection": "sf", "type": "Lead", "operation": "create"},
        "fields": [
            {"to": "LastName", "from": "LastName"},
            {"to": "Company", "from": "Account.Name", "steps": [{"op": "default", "value": "none"}]},
            {"to": "Email", "from": "Email"},
            {"to": "LeadSource", "from": "@param.source", "steps": [{"op": "picklist", "map": {"Web": "Web"}}]},
        ],
    })
}

#[test]
fn a_mapping_is_checked_and_applied_between_live_types() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let file = home.write("leads.json", contacts_to_leads().to_string());
    let checked = home.run(&["map", "check", &file]).expect(0);
    assert_eq!(checked.lines(), Vec::<Value>::new());

    let found = home
        .run(&["search", "sf", "Contact", "--select", "LastName,Email,Account.Name", "--limit", "3"])
        .expect(0);
    let rows = home.feed(&["map", "apply", &file, "-"], &found.stdout).expect(0);
    let (rows, found) = (rows.lines(), found.lines());
    assert_eq!(rows.len(), 3);
    for (row, record) in rows.iter().zip(&found) {
        assert_eq!(row["LastName"], record["LastName"]);
        assert_eq!(row["Email"], record["Email"]);
        let company = record["Account"]["Name"].as_str().unwrap_or("none");
        assert_eq!(row["Company"], company);
        assert_eq!(row["LeadSource"], "Web");
    }
    // What comes out is what create takes.
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    home.feed(&["create", "sf", "Lead"], text).expect(0);
}

#[test]
fn rows_that_do_not_fit_fail_alone_with_their_number() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let file = home.write("leads.json", contacts_to_leads().to_string());
    let csv = home
        .write("rows.csv", format!("LastName,Email\nOkafor,a@x.cz\n{},b@x.cz\nMoreau,\n", "x".repeat(81)));
    let applied = home.run(&["map", "apply", &file, &csv]).expect(1);
    let names: Vec<String> = applied.lines().iter().map(|row| row["LastName"].to_string()).collect();
    assert_eq!(names, ["\"Okafor\"", "\"Moreau\""]);
    applied.says("\"row\":1");
    applied.says("at most 80 are taken");
    let listed = home.feed(&["map", "apply", &file, "--format", "json"], "{\"LastName\":\"A\"}").expect(0);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("one document");
    assert_eq!(listed, json!([{"LastName": "A", "Company": "none", "LeadSource": "Web"}]));
    let unmapped = ["map", "apply", &file, "--param", "source=Fax"];
    home.feed(&unmapped, "{\"LastName\":\"A\"}").expect(1).says("not in the map");
}

#[test]
fn problems_are_listed_with_their_places_and_end_with_code_2() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let mut mapping = contacts_to_leads();
    mapping["fields"][0]["from"] = json!("LastNmae");
    mapping["fields"][1]["from"] = json!("Acount.Name");
    let file = home.write("leads.json", mapping.to_string());
    let told = home.run(&["map", "check", &file]).expect(2).lines();
    let pointers: Vec<&str> = told.iter().filter_map(|problem| problem["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/fields/0/from", "/fields/1/from"], "{told:#?}");
    assert!(told[0]["fix"].as_str().is_some_and(|fix| fix.starts_with("Did you mean LastName")));
    home.feed(&["map", "apply", &file, "-"], "{}").expect(2).says("map check");

    let file = home.write("form.json", "{\"recordport\":\"mapping/1\",\"nmae\":\"x\"}");
    let told = home.run(&["map", "check", &file]).expect(2).lines();
    assert!(told.iter().any(|problem| problem["pointer"] == "/nmae"), "{told:#?}");
    home.run(&["map", "check", "nowhere.json"]).expect(2).says("there is no file");
}

#[test]
fn a_preview_shows_records_beside_their_rows_and_what_would_change() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let before = emulator.state("Contact");
    let mut mapping = contacts_to_leads();
    let shown = |mapping: &Value, code: i32| {
        let file = home.write("preview.json", mapping.to_string());
        home.run(&["map", "preview", &file, "--limit", "2"]).expect(code).lines()
    };
    let created = shown(&mapping, 0);
    assert_eq!(created.len(), 2);
    assert_eq!(created[0]["row"]["LastName"], created[0]["source"]["LastName"]);
    assert!(created[0].get("exists").is_none());

    mapping["target"] = json!({"connection": "sf", "type": "Contact", "operation": "update"});
    mapping["fields"] = json!([
        {"to": "Id", "from": "Id"},
        {"to": "LastName", "from": "LastName"},
        {"to": "Department", "const": "Previewed"},
    ]);
    let updated = shown(&mapping, 0);
    assert_eq!(updated[0]["exists"], true);
    let changes = updated[0]["changes"].as_array().expect("changes");
    assert_eq!(changes.len(), 1, "only what differs: {changes:?}");
    assert_eq!((&changes[0]["field"], &changes[0]["to"]), (&json!("Department"), &json!("Previewed")));

    mapping["target"] = json!({"connection": "sf", "type": "Lead", "operation": "create"});
    mapping["fields"] = json!([
        {"to": "LastName", "from": "LastName"},
        {"to": "Company", "from": "Account.Name", "steps": [{"op": "default", "value": "none"}]},
        {"to": "Phone", "from": "Description", "steps": [{"op": "default", "value": "x".repeat(50)}]},
    ]);
    let refused = shown(&mapping, 1);
    assert!(refused.iter().any(|one| one["error"].to_string().contains("Phone")), "{refused:#?}");
    assert_eq!(emulator.state("Contact"), before, "nothing was written");
}

#[test]
fn rules_are_suggested_with_reasons_and_as_a_mapping_that_can_be_checked() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let suggested = home.run(&["map", "suggest", "sf", "Contact", "sf", "Lead"]).expect(0);
    suggested.says("Company");
    let lines = suggested.lines();
    let email = lines.iter().find(|line| line["to"] == "Email").expect("a rule for Email");
    assert_eq!(email["from"], "Email");
    assert!(email["reasons"].to_string().contains("an e-mail address"), "{email}");

    let whole = home.run(&["map", "suggest", "sf", "Contact", "sf", "Lead", "--format", "json"]).expect(0);
    let whole: Value = serde_json::from_str(&whole.stdout).expect("one document");
    let file = home.write("suggested.json", whole["mapping"].to_string());
    let told = home.run(&["map", "check", &file]).expect(2).lines();
    let errors: Vec<&Value> = told.iter().filter(|problem| problem["severity"] == "error").collect();
    assert_eq!(errors.len(), 1, "only what is open: {errors:#?}");
    assert!(errors[0]["message"].to_string().contains("Company"));
}

/// The example of the document as it stands there: the mapping, and the commands behind it.
fn example() -> (String, Vec<String>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mapping.md");
    let document = std::fs::read_to_string(path).expect("a document");
    let block = |from: &str, begin: &str| -> String {
        let rest = from.split_once(begin).expect("a block").1;
        rest.split_once("```").expect("an end").0.trim().to_owned()
    };
    let chapter = document.split_once("## One worked example").expect("the chapter").1;
    let mapping = block(chapter, "```json\n");
    let commands = block(
        chapter.split_once(&mapping).expect("the mapping").1.split_once("```").expect("an end").1,
        "```\n",
    );
    let commands = commands.replace("\\\n", " ");
    (mapping, commands.lines().map(str::to_owned).collect())
}

#[test]
fn the_example_of_the_document_works_as_it_stands() {
    let (mapping, commands) = example();
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    home.run(&["connect", "salesforce", "work", "--emulator", &emulator.url(), "--no-browser"]).expect(0);
    home.write("leads.mapping.json", &mapping);
    assert!(commands.iter().any(|command| command.starts_with("recordport run ")), "{commands:#?}");
    let before = emulator.state("Lead").len();
    for command in &commands {
        let mut rows = String::new();
        for part in command.split(" | ") {
            let words: Vec<&str> = part.split_whitespace().skip(1).collect();
            rows = home.feed(&words, &rows).expect(0).stdout;
        }
    }
    // Once by the commands behind one another, once by the run for those that have an address.
    let contacts = emulator.state("Contact");
    let twice = contacts.iter().chain(contacts.iter().filter(|contact| contact["Email"].is_string()));
    let rating = |contact: &Value| {
        let chief = contact["Title"].as_str().is_some_and(|title| title.contains("Chief"));
        if chief {
            "Hot"
        } else if contact["Phone"].is_string() {
            "Warm"
        } else {
            "Cold"
        }
    };
    let told = |contact: &Value| {
        format!("{} (none)", contact["Title"].as_str().unwrap_or_default()).trim().to_owned()
    };
    let address = |contact: &Value| contact["Email"].as_str().map(|address| address.trim().to_lowercase());
    let mut wanted: Vec<Value> = twice
        .map(|contact| json!([contact["LastName"], rating(contact), told(contact), address(contact)]))
        .collect();
    let leads = emulator.state("Lead");
    let made =
        leads.iter().filter(|lead| lead["Description"].as_str().is_some_and(|text| text.ends_with("(none)")));
    let mut made: Vec<Value> = made
        .map(|lead| {
            let told = lead["Description"].as_str().expect("text").trim();
            json!([lead["LastName"], lead["Rating"], told, lead["Email"]])
        })
        .collect();
    assert_eq!(leads.len() - before, wanted.len());
    wanted.sort_by_key(Value::to_string);
    made.sort_by_key(Value::to_string);
    assert_eq!(made, wanted);
}
