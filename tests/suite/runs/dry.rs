//! Runs that write nothing.

use serde_json::{Value, json};

use super::{World, dynamics_to_salesforce};

#[test]
fn a_dry_run_tells_requests_differences_and_refusals_and_writes_nothing() {
    let world = World::of(&[], &["dv"]);
    let mut mapping = dynamics_to_salesforce();
    mapping["source"]["query"] = json!({"limit": 3, "order_by": [{"field": "accountid"}]});
    let file = world.mapping(&mapping);
    world.run(&[&file]).expect(0);
    let mut source = world.state("dynamics", "account");
    source.sort_by_key(|row| row["accountid"].as_str().map(str::to_owned));
    let before = world.state("salesforce", "Account");

    // One differs now, one cannot be written, and one is new.
    mapping["source"]["query"]["limit"] = json!(4);
    let id = |number: usize| source[number]["accountid"].as_str().expect("an id");
    mapping["fields"][1] = json!({"to": "Name", "cases": [
        {"where": format!("accountid = '{}'", id(0)), "const": "Renamed"},
        {"where": format!("accountid = '{}'", id(1)), "template": "{name} and {accountid} and {accountid}".repeat(4)},
        {"from": "name"},
    ]});
    let file = world.mapping(&mapping);
    let writes = || {
        let all = world.emulator.control("GET", "requests?method=PATCH", &Value::Null);
        all["requests"].as_array().expect("a list").len()
    };
    let sent = writes();
    let told = world.run(&[&file, "--dry-run"]).expect(1);
    told.says("none sent");
    let lines = told.lines();
    let records: Vec<&Value> = lines.iter().filter_map(|line| line.get("record")).collect();
    assert_eq!(records.len(), 4);
    assert_eq!(records[0]["changes"][0]["field"], "Name");
    assert_eq!(records[0]["changes"][0]["to"], "Renamed");
    assert_eq!(records[1]["error"]["fields"][0]["field"], "Name");
    assert_eq!(records[2]["changes"], json!([]));
    assert_eq!(records[3]["exists"], false);
    let requests: Vec<&Value> = lines.iter().filter_map(|line| line.get("request")).collect();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["method"], "PATCH");
    assert_eq!(requests[0]["body"]["records"].as_array().map(Vec::len), Some(3));
    let summary = &lines.last().expect("a summary")["dry_run"];
    let wanted = json!({
        "read": 4, "create": 1, "update": 1, "same": 1, "delete": 0, "sent": 0, "rejected": 1, "skipped": 0, "requests": 1,
    });
    assert_eq!(*summary, wanted);
    assert_eq!(writes(), sent);
    assert_eq!(world.state("salesforce", "Account"), before);
    assert_eq!(world.home.run(&["runs", "list"]).expect(0).lines().len(), 1, "a dry run is no run");
}

#[test]
fn a_dry_run_of_a_writing_command_tells_what_each_row_would_do_and_writes_nothing() {
    let world = World::of(&[], &[]);
    let dry = |words: &[&str], rows: &Value, code: i32| {
        let ran = world.home.feed(&[words, &["--dry-run"]].concat(), rows.to_string()).expect(code);
        ran.says("none sent");
        let lines = ran.lines();
        let told =
            |name: &str| lines.iter().filter(|line| line.get(name).is_some()).cloned().collect::<Vec<_>>();
        (told("method"), told("would"), lines.last().expect("a summary")["dry_run"].clone())
    };
    let made = json!([{"Name": "One", "Source_Key__c": "k1", "Rating": "Hot"}, {"Name": "Two", "Source_Key__c": "k2"}]);
    let made = world.home.feed(&["create", "sf", "Account"], made.to_string()).expect(0).lines();
    let (one, two) = (made[0]["key"].clone(), made[1]["key"].clone());
    let before = world.state("salesforce", "Account");
    let words = |told: &[Value]| -> Vec<String> {
        told.iter().map(|line| line["would"].as_str().expect("a word").to_owned()).collect()
    };

    let rows = json!([
        {"@key": one, "Name": "Uno", "Rating": null},
        {"@key": two, "Name": "Two"},
        {"@key": "001000000000000AAA", "Name": "Nobody"},
        {"@key": two, "Name": "x".repeat(300)},
        {"@key": two, "NumberOfEmployees": "many"},
    ]);
    let (requests, told, summary) = dry(&["update", "sf", "Account"], &rows, 1);
    assert_eq!(words(&told), ["update", "same", "fail", "fail", "fail"]);
    let changes = json!([
        {"field": "Name", "from": "One", "to": "Uno"}, {"field": "Rating", "from": "Hot", "to": null},
    ]);
    assert_eq!((&told[0]["changes"], &told[0]["key"]), (&changes, &one));
    assert_eq!((&told[2]["error"]["code"], &told[2]["status"]), (&json!("missing"), &json!("failed")));
    assert_eq!(told[3]["error"]["fields"][0]["field"], "Name");
    assert_eq!(told[4]["error"]["fields"][0]["field"], "NumberOfEmployees");
    assert_eq!((requests.len(), &requests[0]["method"]), (1, &json!("PATCH")));
    let wanted = json!({
        "read": 5, "create": 0, "update": 1, "same": 1, "delete": 0, "sent": 0, "rejected": 3, "skipped": 0,
        "requests": 1,
    });
    assert_eq!(summary, wanted);

    // A key that is taken, a key that stands twice, a required field that is missing.
    let rows = json!([
        {"Name": "x", "Source_Key__c": "k1"}, {"Name": "y", "Source_Key__c": "k3"},
        {"Name": "z", "Source_Key__c": "k3"}, {"Rating": "Hot"},
    ]);
    let (_, told, _) = dry(&["create", "sf", "Account"], &rows, 1);
    assert_eq!(words(&told), ["fail", "create", "fail", "fail"]);
    assert_eq!(told[0]["error"]["code"], "duplicate_key");
    assert_eq!(told[2]["error"]["code"], "duplicate_key");
    assert_eq!(told[3]["error"]["fields"][0]["field"], "Name");

    let rows = json!([
        {"Source_Key__c": "k1", "Name": "Uno"}, {"Source_Key__c": "k9", "Name": "Nine"}, {"Source_Key__c": "k8"},
    ]);
    let (_, told, summary) = dry(&["upsert", "sf", "Account", "--by", "Source_Key__c"], &rows, 1);
    assert_eq!(words(&told), ["update", "create", "fail"]);
    assert_eq!(told[2]["error"]["fields"][0]["message"], "is required");
    assert_eq!((&summary["update"], &summary["create"]), (&json!(1), &json!(1)));

    let rows = json!([{"@key": two}, {"@key": "001000000000000AAA"}]);
    let (requests, told, _) = dry(&["delete", "sf", "Account", "-"], &rows, 0);
    assert_eq!((words(&told), requests.len()), (vec!["delete".to_owned(), "same".to_owned()], 1));
    assert_eq!(world.state("salesforce", "Account"), before);
}
