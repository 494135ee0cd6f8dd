//! Records that a run does nothing for: each is counted under its reason, and told where the sides differ afterwards.

use serde_json::{Value, json};

use super::{World, counts, summary};

#[test]
fn changes_that_a_mapping_does_not_carry_over_are_skipped_with_their_reason() {
    let world = World::of(&[], &[]);
    let mapping = json!({
        "recordport": "mapping/1",
        "name": "new-leads",
        "source": {"connection": "sf", "type": "Account", "query": {"where": "Source_Key__c LIKE 'lead-%'"}},
        "target": {"connection": "sf", "type": "Lead", "operation": "create"},
        "fields": [{"to": "LastName", "from": "Name"}, {"to": "Company", "from": "Source_Key__c"}],
    });
    let file = world.mapping(&mapping);
    let made: String =
        (1..=4).map(|n| format!("{{\"Name\":\"N{n}\",\"Source_Key__c\":\"lead-{n}\"}}\n")).collect();
    let made = world.home.feed(&["create", "sf", "Account"], made).expect(0).lines();
    let id = |n: usize| made[n]["key"].as_str().expect("a key").to_owned();
    let others = world.state("salesforce", "Account").len() - 4;
    let leads = || {
        let all = world.part("salesforce", "Lead", "Id,LastName,Company");
        let own = all
            .into_iter()
            .filter(|lead| lead["Company"].as_str().is_some_and(|text| text.starts_with("lead-")));
        own.collect::<Vec<Value>>()
    };
    let first = world.run(&[&file, "--changes"]).expect(0);
    assert!(!first.stderr.contains("note: skipped"), "nobody asked for the others: {first:#?}");
    let told = counts(&summary(&first));
    assert_eq!(
        (&told["created"], &told["skipped_because"]),
        (&json!(4), &json!({"left_out": others})),
        "{told}"
    );

    // One is changed, one leaves the conditions, one is deleted; the last stays as it is.
    let changed = [json!({"@key": id(0), "Name": "Other"}), json!({"@key": id(1), "Source_Key__c": null})];
    let changed = changed.map(|row| row.to_string()).join("\n");
    world.home.feed(&["update", "sf", "Account"], changed).expect(0);
    world.home.run(&["delete", "sf", "Account", &id(2)]).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
    let reasons = json!({"left": 1, "created_before": 1, "deletion_ignored": 1});
    let dry = world.run(&[&file, "--changes", "--dry-run"]).expect(0).lines();
    let foreseen = &dry.last().expect("a summary")["dry_run"];
    assert_eq!((&foreseen["create"], &foreseen["skipped_because"]), (&json!(0), &reasons), "{foreseen}");
    let second = world.run(&[&file, "--changes"]).expect(0);
    for told in [
        "note: skipped 1",
        "does not carry changes over",
        "does not meet the mapping's conditions",
        "on_source_delete",
    ] {
        second.says(told);
    }
    let run = summary(&second);
    let told = counts(&run);
    assert_eq!((&told["created"], &told["skipped_because"]), (&json!(0), &reasons), "{told}");
    let names: Vec<Value> = leads().iter().map(|lead| lead["LastName"].clone()).collect();
    assert_eq!(names.len(), 4, "nothing is created again, nothing is deleted: {names:?}");
    assert!((1..=4).all(|n| names.contains(&json!(format!("N{n}")))), "nothing is changed: {names:?}");

    let id_of = |run: &Value| run["run"].as_str().expect("an id").to_owned();
    let mut lines = world.home.run(&["runs", "show", &id_of(&run), "--skipped"]).expect(0).lines();
    lines.sort_by_key(|line| line["@key"].as_str().map(str::to_owned));
    for (line, (key, reason)) in
        lines.iter().zip([(id(0), "created_before"), (id(1), "left"), (id(2), "deletion_ignored")])
    {
        assert_eq!((&line["@key"], &line["@reason"]), (&json!(key), &json!(reason)), "{line}");
        assert!(leads().iter().any(|lead| lead["Id"] == line["@target"]), "{line}");
    }
    assert_eq!(lines.len(), 3);
    let first = world.home.run(&["runs", "show", &id_of(&summary(&first)), "--skipped"]).expect(0).lines();
    assert!(first.is_empty(), "what never had a record is counted only");
}
