//! Runs that write nothing.

use serde_json::{Value, json};

use super::{World, dynamics_to_salesforce};

#[test]
fn a_dry_run_tells_requests_differences_and_refusals_and_writes_nothing() {
    let world = World::new(&[]);
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
        "read": 4, "create": 1, "update": 1, "same": 1, "delete": 0, "sent": 0, "rejected": 1, "requests": 1,
    });
    assert_eq!(*summary, wanted);
    assert_eq!(writes(), sent);
    assert_eq!(world.state("salesforce", "Account"), before);
    assert_eq!(world.home.run(&["runs", "list"]).expect(0).lines().len(), 1, "a dry run is no run");
}
