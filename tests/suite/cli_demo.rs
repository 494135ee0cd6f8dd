//! The demo: the whole road, again and again the same, and honest about failures.

use serde_json::{Value, json};

use crate::support::command::Home;

/// The records that the demo's search printed.
fn found(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|value| value.get("Account").is_some() && value.get("LastName").is_some())
        .collect()
}

#[test]
fn the_demo_walks_the_whole_road() {
    let home = Home::new();
    let seventh = home.run(&["demo", "--once"]).expect(0);
    assert!(seventh.stdout.lines().count() >= 20, "{}", seventh.stdout);
    for command in ["connect", "types", "schema show", "search", "create", "update", "delete"] {
        seventh.says(&format!("recordport {command}"));
    }
    for told in
        ["\"name\":\"demo\"", "\"LastName\"", "created", "updated", "deleted", "conditions", "content_hash"]
    {
        assert!(seventh.stdout.contains(told), "{told}: {}", seventh.stdout);
    }
    // The other services have their rows too.
    seventh.says("recordport connect google-calendar");
    for told in ["timeMin=", "\"recurringEventId\"", "\"Weekly\""] {
        assert!(seventh.stdout.contains(told), "{told}: {}", seventh.stdout);
    }
    assert!(!seventh.stdout.contains("\"failed\""));
    let home = Home::new();
    let eighth = home.run(&["demo", "--once", "--seed", "8"]).expect(0);
    let (seven, eight) = (found(&seventh.stdout), found(&eighth.stdout));
    assert!(!seven.is_empty() && !eight.is_empty());
    assert!(seven.iter().zip(&eight).all(|(seven, eight)| seven["Id"] != eight["Id"]));
    assert!(seven.iter().zip(&eight).any(|(seven, eight)| seven["LastName"] != eight["LastName"]));
}

#[test]
fn the_demo_fails_when_its_create_fails() {
    let home = Home::new();
    let rules = json!([{
        "service": "salesforce", "method": "POST", "path": "/services/data/*/composite/sobjects*",
        "kind": "partial", "body": 1, "times": 9,
    }]);
    let file = home.write("faults.json", rules.to_string());
    let ran = home.run(&["demo", "--once", "--faults", &file]);
    assert_ne!(ran.code(), 0, "{ran:#?}");
    assert!(ran.stdout.contains("failed"), "{ran:#?}");
    let broken = home.write("faults.json", "[{");
    home.run(&["demo", "--once", "--faults", &broken]).expect(2);
}
