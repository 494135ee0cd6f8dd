//! Mappings that run from their source to their target.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    World, counts, dynamics_to_salesforce, salesforce_to_dynamics, salesforce_to_new_contacts, summary,
};

fn texts<'r>(rows: &'r [Value], name: &str) -> BTreeSet<&'r str> {
    rows.iter().filter_map(|row| row[name].as_str()).collect()
}

#[test]
fn accounts_of_dynamics_are_upserted_into_salesforce_by_an_external_id() {
    let world = World::of(&[], &["dv"]);
    let source = world.state("dynamics", "account");
    let before = world.state("salesforce", "Account").len();
    let file = world.mapping(&dynamics_to_salesforce());
    let first = summary(&world.run(&[&file]).expect(0));
    assert_eq!((&first["state"], &first["mode"]), (&json!("finished"), &json!("full")));
    let counted = counts(&first);
    assert_eq!(counted["created"], source.len());
    let rows = world.state("salesforce", "Account");
    assert_eq!(rows.len(), before + source.len());
    // The accounts that were there have keys too.
    assert!(texts(&rows, "Source_Key__c").is_superset(&texts(&source, "accountid")));

    let second = counts(&summary(&world.run(&[&file]).expect(0)));
    assert_eq!((&second["created"], &second["updated"]), (&json!(0), &json!(source.len())));
    assert_eq!(world.state("salesforce", "Account").len(), rows.len(), "an upsert twice is one record");
    let listed = world.home.run(&["runs", "list"]).expect(0).lines();
    assert_eq!(listed.len(), 2);
    let id = first["run"].as_str().expect("an id");
    let shown = summary(&world.home.run(&["runs", "show", id]).expect(0));
    assert_eq!(shown["counts"], first["counts"]);
    assert_eq!(shown["plan"]["source_hash"].as_str().map(str::len), Some(64));
    world.home.run(&["runs", "show", "nothing"]).expect(4).says("runs list");
}

#[test]
fn accounts_of_salesforce_are_upserted_into_dynamics_by_an_alternate_key() {
    let world = World::of(&[], &["dv"]);
    let source = world.state("salesforce", "Account");
    let before = world.state("dynamics", "account").len();
    let file = world.mapping(&salesforce_to_dynamics());
    let part = counts(&summary(&world.run(&[&file, "--limit", "7"]).expect(0)));
    assert_eq!((&part["read"], &part["created"]), (&json!(7), &json!(7)));
    let whole = counts(&summary(&world.run(&[&file]).expect(0)));
    assert_eq!((&whole["read"], &whole["updated"]), (&json!(source.len()), &json!(7)));
    let rows = world.state("dynamics", "account");
    assert_eq!(rows.len(), before + source.len());
    let by_number: BTreeMap<&str, &str> =
        rows.iter().filter_map(|row| Some((row["accountnumber"].as_str()?, row["name"].as_str()?))).collect();
    for account in &source {
        let id = account["Id"].as_str().expect("an id");
        let name: String = account["Name"].as_str().expect("a name").chars().take(160).collect();
        assert_eq!(by_number.get(id).copied(), Some(name.as_str()));
    }
}

#[test]
fn rows_that_fail_are_reported_with_their_records_and_can_be_mended_and_fed_back() {
    let world = World::of(&[], &["dv"]);
    let mut mapping = salesforce_to_dynamics();
    mapping["fields"][1] = json!({"to": "name", "from": "Name"});
    mapping["source"]["query"] = json!({"where": "Name IS NOT NULL", "limit": 20});
    let file = world.mapping(&mapping);
    let rows: String = (0..4)
        .map(|number| {
            let name = if number == 2 { "x".repeat(200) } else { format!("Account {number}") };
            json!({"@key": format!("K{number}"), "Id": format!("K{number}"), "Name": name}).to_string() + "\n"
        })
        .collect();
    let rows = world.home.write("rows.ndjson", rows);
    let report = world.file("failed.ndjson");
    let report = report.to_str().expect("text");
    let ran = world.run(&[&file, "--rows", &rows, "--report", report]).expect(1);
    let counted = counts(&summary(&ran));
    assert_eq!((&counted["created"], &counted["failed"]), (&json!(3), &json!(1)));
    let failed = std::fs::read_to_string(report).expect("a report");
    let line: Value = serde_json::from_str(failed.trim()).expect("one line");
    assert_eq!(
        (&line["@key"], &line["@number"], &line["@status"]),
        (&json!("K2"), &json!(2), &json!("failed"))
    );
    assert!(line["@error"]["fields"][0]["field"] == "name", "{line}");
    let id = summary(&ran)["run"].as_str().expect("an id").to_owned();
    let shown = world.home.run(&["runs", "show", &id, "--failed"]).expect(0);
    assert_eq!(shown.stdout, failed);

    let mended = failed.replace(&"x".repeat(200), "Account 2");
    std::fs::write(report, mended).expect("written");
    let again = counts(&summary(&world.run(&[&file, "--rows", report]).expect(0)));
    assert_eq!((&again["read"], &again["created"]), (&json!(1), &json!(1)));
    // The same by hand: the mapping makes rows of it, which a writing command takes.
    let rows = world.home.run(&["map", "apply", &file, report]).expect(0).stdout;
    let written =
        world.home.feed(&["upsert", "dv", "account", "--by", "accountnumber"], rows).expect(0).lines();
    assert_eq!(written[0]["status"], "updated");
    let stored = world.state("dynamics", "account");
    assert_eq!(stored.iter().filter(|row| row["accountnumber"] == "K2").count(), 1);
}

#[test]
fn changes_are_followed_from_run_to_run_and_deletions_do_what_the_mapping_says() {
    let world = World::of(&[], &["dv"]);
    let mut mapping = salesforce_to_new_contacts();
    mapping["on_source_delete"] = json!("delete");
    let file = world.mapping(&mapping);
    let source = world.state("salesforce", "Account").len();
    let before = world.state("dynamics", "contact").len();
    let of = |ran| counts(&summary(&ran));
    let first = of(world.run(&[&file, "--changes"]).expect(0));
    assert_eq!(first["created"], source, "the first one takes everything");
    let idle = of(world.run(&[&file, "--changes"]).expect(0));
    assert_eq!(idle["read"], 0);

    let made = world.home.feed(&["create", "sf", "Account"], r#"{"Name":"New"}"#).expect(0).lines();
    let new = made[0]["key"].as_str().expect("a key").to_owned();
    let dry = || {
        let lines = world.run(&[&file, "--changes", "--dry-run"]).expect(0).lines();
        lines.last().expect("a summary")["dry_run"].clone()
    };
    assert_eq!((&dry()["read"], &dry()["create"]), (&json!(1), &json!(1)), "nothing is taken by looking");
    let more = of(world.run(&[&file, "--changes"]).expect(0));
    assert_eq!(more["created"], 1);
    // A change of what was created already creates nothing again.
    world
        .home
        .feed(&["update", "sf", "Account"], json!({"@key": new, "Name": "Newer"}).to_string())
        .expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
    let changed = of(world.run(&[&file, "--changes"]).expect(0));
    assert_eq!(changed["created"], 0, "{changed}");
    world.home.run(&["delete", "sf", "Account", &new]).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
    let foreseen = dry();
    assert_eq!((&foreseen["delete"], &foreseen["requests"]), (&json!(1), &json!(1)), "{foreseen}");
    let gone = of(world.run(&[&file, "--changes"]).expect(0));
    assert_eq!(gone["deleted"], 1, "{gone}");
    assert_eq!(world.state("dynamics", "contact").len(), before + source);
}

#[test]
fn a_key_that_passes_from_a_deleted_record_to_another_stays_with_it() {
    let world = World::of(&[], &["dv"]);
    let mut mapping = salesforce_to_dynamics();
    mapping["source"]["query"] = json!({"where": "AccountNumber LIKE 'pass-%'"});
    mapping["on_source_delete"] = json!("delete");
    mapping["fields"][0]["from"] = json!("AccountNumber");
    let file = world.mapping(&mapping);
    let rows =
        ["one", "two"].map(|name| json!({"Name": name, "AccountNumber": format!("pass-{name}")}).to_string());
    let made = world.home.feed(&["create", "sf", "Account"], rows.join("\n")).expect(0).lines();
    let id = |n: usize| made[n]["key"].as_str().expect("a key").to_owned();
    assert_eq!(counts(&summary(&world.run(&[&file, "--changes"]).expect(0)))["created"], 2);
    // The feed tells the change first, and the deletion of the record that had the key before behind it.
    let passed = json!({"@key": id(1), "AccountNumber": "pass-one"}).to_string();
    world.home.feed(&["update", "sf", "Account"], passed).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
    world.home.run(&["delete", "sf", "Account", &id(0)]).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
    let told = counts(&summary(&world.run(&[&file, "--changes"]).expect(0)));
    assert_eq!(
        (&told["read"], &told["deleted"], &told["failed"]),
        (&json!(2), &json!(1), &json!(0)),
        "{told}"
    );
    let rows = world.state("dynamics", "account");
    let own: Vec<&Value> = rows.iter().filter(|row| row["accountnumber"] == "pass-one").collect();
    let [own] = own[..] else { panic!("{own:#?}") };
    assert_eq!(own["name"], "two");
}

#[test]
fn a_record_that_stands_for_several_is_deleted_with_the_last_of_them() {
    let world = World::of(&[], &["dv"]);
    let mut mapping = salesforce_to_dynamics();
    mapping["source"]["query"] = json!({"where": "AccountNumber LIKE 'many-%'"});
    mapping["on_source_delete"] = json!("delete");
    mapping["fields"][0]["from"] = json!("AccountNumber");
    let file = world.mapping(&mapping);
    let row = |number: u32| json!({"Name": "Branch", "AccountNumber": format!("many-{number}")}).to_string();
    let made = world.home.feed(&["create", "sf", "Account"], [row(1), row(1), row(2), row(2)].join("\n"));
    let made = made.expect(0).lines();
    let id = |n: usize| made[n]["key"].as_str().expect("a key").to_owned();
    let stored = || -> Vec<Value> {
        let rows = world.state("dynamics", "account").into_iter();
        let mut own: Vec<Value> = rows.map(|row| row["accountnumber"].clone()).collect();
        own.retain(|number| number.as_str().is_some_and(|number| number.starts_with("many-")));
        own.sort_by_key(ToString::to_string);
        own
    };
    world.run(&[&file, "--changes"]).expect(0);
    assert_eq!(stored(), ["many-1", "many-2"]);
    // One of two, then the other; then two at once.
    let turns = [(&[0][..], 0, vec!["many-1", "many-2"]), (&[1], 1, vec!["many-2"]), (&[2, 3], 1, vec![])];
    for (gone, deleted, left) in turns {
        for n in gone {
            world.home.run(&["delete", "sf", "Account", &id(*n)]).expect(0);
        }
        world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
        let shared = gone.len() - deleted;
        let dry = world.run(&[&file, "--changes", "--dry-run"]).expect(0).lines();
        let foreseen = &dry.last().expect("a summary")["dry_run"];
        assert_eq!(
            (&foreseen["delete"], &foreseen["skipped"]),
            (&json!(deleted), &json!(shared)),
            "{foreseen}"
        );
        let told = counts(&summary(&world.run(&[&file, "--changes"]).expect(0)));
        assert_eq!((&told["deleted"], &told["skipped"]), (&json!(deleted), &json!(shared)), "{told}");
        assert!(shared == 0 || told["skipped_because"]["shared"] == json!(shared), "{told}");
        assert_eq!(stored(), left, "{gone:?}");
    }
}
