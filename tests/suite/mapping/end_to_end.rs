//! Mappings between services, from records as one gives them to records as the other takes them.

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home};

/// A home with `sf` and another service's connection.
fn connected(emulator: &EmulatorProcess, service: &str, name: &str) -> Home {
    let home = Home::connected(emulator);
    home.run(&["connect", service, name, "--emulator", &emulator.url(), "--no-browser"]).expect(0);
    home
}

/// Writes rows and gives the keys of what was written.
fn written(home: &Home, words: &[&str], rows: &[Value]) -> Vec<String> {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let outcomes = home.feed(words, text).expect(0).lines();
    outcomes
        .iter()
        .map(|outcome| match &outcome["key"] {
            Value::String(key) => key.clone(),
            other => panic!("{other}: {outcome}"),
        })
        .collect()
}

#[test]
fn a_bug_becomes_a_case_and_a_case_a_bug_with_priorities_and_rich_text() {
    let emulator = EmulatorProcess::start(&[]);
    let home = connected(&emulator, "jira", "jira");
    let bug = json!({"summary": "Printer on fire", "issuetype": "10003", "project": "10000", "priority": "1",
        "customfield_10020": "100201", "description": "Smoke from **tray 2**.\n\n- open\n- look"});
    let [bug] = &written(&home, &["create", "jira", "issue:OPS/Bug"], &[bug])[..] else { panic!("one") };

    let to_case = home.write(
        "to_case.json",
        json!({
            "recordport": "mapping/1",
            "name": "bugs to cases",
            "source": {"connection": "jira", "type": "issue:OPS/Bug"},
            "target": {"connection": "sf", "type": "Case", "operation": "create"},
            "fields": [
                {"to": "Subject", "from": "summary"},
                {"to": "Description", "from": "description", "steps": [{"op": "rich_text"}]},
                {"to": "Comments", "from": "description_adf", "steps": [{"op": "rich_text", "out": "html"}]},
                {"to": "Priority", "from": "priority", "steps": [{"op": "picklist",
                    "map": {"1": "High", "2": "High", "3": "Medium", "4": "Low", "5": "Low"}}]},
                {"to": "SuppliedName", "from": "@record", "steps": [{"op": "expr", "cel": "'Jira ' + record.key"}]},
                {"to": "Origin", "const": "Web"},
            ],
        })
        .to_string(),
    );
    // An HTML text is no plain text: the check says so, and a formula says that it is meant.
    let problems = home.run(&["map", "check", &to_case]).expect(2).lines();
    assert_eq!(problems[0]["pointer"], "/fields/2", "{problems:#?}");
    let text = std::fs::read_to_string(&to_case).expect("a file");
    let mut fixed: Value = serde_json::from_str(&text).expect("JSON");
    fixed["fields"].as_array_mut().expect("rules").remove(2);
    let to_case = home.write("to_case.json", fixed.to_string());
    home.run(&["map", "check", &to_case]).expect(0);

    let record = home.run(&["get", "jira", "issue:OPS/Bug", bug]).expect(0);
    let key = record.lines()[0]["key"].as_str().expect("a key").to_owned();
    let row = home.feed(&["map", "apply", &to_case, "-"], &record.stdout).expect(0).lines();
    let [case] = &written(&home, &["create", "sf", "Case"], &row)[..] else { panic!("one") };
    let case = home.run(&["get", "sf", "Case", case]).expect(0);
    let made = &case.lines()[0];
    assert_eq!(made["Subject"], "Printer on fire");
    assert_eq!(made["Priority"], "High");
    assert_eq!(made["SuppliedName"], format!("Jira {key}"));
    let plain = made["Description"].as_str().expect("text");
    assert!(
        plain.starts_with("Smoke from tray 2.") && plain.contains("open") && !plain.contains("**"),
        "{plain}"
    );

    let to_bug = home.write(
        "to_bug.json",
        json!({
            "recordport": "mapping/1",
            "name": "cases to bugs",
            "source": {"connection": "sf", "type": "Case"},
            "target": {"connection": "jira", "type": "issue:OPS/Bug", "operation": "create"},
            "fields": [
                {"to": "summary", "from": "Subject", "on_missing": "error"},
                {"to": "description", "from": "Description", "steps": [{"op": "rich_text"}]},
                {"to": "priority", "from": "Priority", "steps": [{"op": "picklist",
                    "map": {"High": "2", "Medium": "3", "Low": "4"}}]},
                {"to": "issuetype", "const": "10003"},
                {"to": "project", "const": "10000"},
                {"to": "customfield_10020", "const": "100202"},
            ],
        })
        .to_string(),
    );
    home.run(&["map", "check", &to_bug]).expect(0);
    let row = home.feed(&["map", "apply", &to_bug, "-"], &case.stdout).expect(0).lines();
    let [bug] = &written(&home, &["create", "jira", "issue:OPS/Bug"], &row)[..] else { panic!("one") };
    let made = &home.run(&["get", "jira", "issue:OPS/Bug", bug]).expect(0).lines()[0];
    assert_eq!((&made["summary"], &made["priority"]), (&json!("Printer on fire"), &json!("2")));
    assert!(
        made["description"].as_str().is_some_and(|text| text.starts_with("Smoke from tray 2.")),
        "{made}"
    );
}

#[test]
fn accounts_are_upserted_by_an_external_id_with_their_parents_and_the_mapping_is_kept() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    emulator.control(
        "POST",
        "salesforce/fields",
        &json!({"type": "Account", "field": {"name": "Erp_Id__c", "type": "string", "length": 40,
            "externalId": true, "unique": true, "idLookup": true}}),
    );
    let home = connected(&emulator, "dynamics", "dyn");
    let parent = json!({"name": "Kolo Group", "industrycode": 1, "revenue": 12_500_000.25});
    let [parent] = &written(&home, &["create", "dyn", "account"], &[parent])[..] else { panic!("one") };
    let child = json!({"name": "Kolo Brno", "parentaccountid": parent});
    let [child] = &written(&home, &["create", "dyn", "account"], &[child])[..] else { panic!("one") };

    let file = home.write(
        "accounts.json",
        json!({
            "recordport": "mapping/1",
            "name": "accounts",
            "source": {"connection": "dyn", "type": "account"},
            "target": {"connection": "sf", "type": "Account", "operation": "upsert", "by": ["Erp_Id__c"]},
            "fields": [
                {"to": "Erp_Id__c", "from": "accountid"},
                {"to": "Name", "from": "name", "steps": [{"op": "default", "value": "none"}]},
                {"to": "AnnualRevenue", "from": "revenue", "steps": [{"op": "round"}]},
                {"to": "Industry", "from": "industrycode", "steps": [{"op": "label"}]},
                {"to": "ParentId", "from": "parentaccountid", "steps": [
                    {"op": "lookup", "type": "Account", "by": ["Erp_Id__c"]}]},
            ],
        })
        .to_string(),
    );
    let saved = home.run(&["map", "save", &file]).expect(0).lines();
    assert_eq!((&saved[0]["name"], &saved[0]["version"]), (&json!("accounts"), &json!(1)));
    home.run(&["map", "check", "accounts"]).expect(0);
    assert_eq!(home.run(&["map", "list"]).expect(0).lines()[0]["target"], "sf Account");

    let found = home.run(&["get", "dyn", "account", parent, child]).expect(0).stdout;
    let both = home.feed(&["map", "apply", "accounts", "-"], &found).expect(1);
    both.says(&format!("there is no Account with Erp_Id__c = \\\"{parent}\\\""));
    let upsert = ["upsert", "sf", "Account", "--by", "Erp_Id__c"];
    let [group] = &written(&home, &upsert, &both.lines())[..] else { panic!("the parent alone") };
    let both = home.feed(&["map", "apply", "accounts", "-"], &found).expect(0).lines();
    let keys = written(&home, &upsert, &both);
    assert_eq!(&keys[0], group, "upserted, not created again");
    let made = home.run(&["get", "sf", "Account", &keys[0], &keys[1]]).expect(0).lines();
    assert_eq!((&made[1]["Name"], &made[1]["ParentId"]), (&json!("Kolo Brno"), &json!(group)));
    assert_eq!(made[0]["AnnualRevenue"].to_string().trim_end_matches(".0"), "12500000");
    assert!(made[0]["Industry"].is_string(), "{made:?}");

    let previewed = home.run(&["map", "preview", "accounts"]).expect(0).lines();
    assert!(
        previewed.iter().all(|one| one["exists"] == true && one["changes"] == json!([])),
        "{previewed:#?}"
    );

    // The next version, and the way back.
    let mut next: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("JSON");
    next["fields"].as_array_mut().expect("rules").remove(3);
    let next = home.write("accounts.json", next.to_string());
    assert_eq!(home.run(&["map", "save", &next]).expect(0).lines()[0]["version"], 2);
    let differences = home.run(&["map", "diff", "accounts@1", "accounts"]).expect(0).lines();
    assert_eq!(differences.len(), 1, "{differences:#?}");
    assert_eq!(
        (&differences[0]["change"], &differences[0]["pointer"]),
        (&json!("removed"), &json!("/fields/Industry"))
    );
    let back = home.run(&["map", "reverse", "accounts"]).expect(1);
    back.says("round: the digits that were rounded are gone");
    let back: Value = serde_json::from_str(&back.stdout).expect("a mapping");
    assert_eq!(back["target"]["type"], "account");
    // What was saved is what is suggested first.
    let suggested =
        home.run(&["map", "suggest", "dyn", "account", "sf", "Account", "--reject", "Name=name"]).expect(0);
    let lines = suggested.lines();
    let of = |to: &str| lines.iter().find(|line| line["to"] == to);
    assert_eq!(of("Erp_Id__c").expect("a pair")["from"], "accountid");
    assert!(of("Name").is_none_or(|line| line["from"] != "name"));
    home.run(&["map", "delete", "accounts"]).expect(0);
    home.run(&["map", "check", "accounts"]).expect(2).says("no mapping is kept");
}
