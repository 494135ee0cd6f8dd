//! Changes at the source that are carried over to records which a mapping created.

use serde_json::{Value, json};

use super::along::killed_and_resumed;
use super::{World, counts, summary};

/// Accounts of Salesforce whose key begins so become leads, and a change of one updates its lead.
fn leads() -> Value {
    json!({
        "recordport": "mapping/1",
        "name": "leads-that-follow",
        "source": {"connection": "sf", "type": "Account", "query": {"where": "Source_Key__c LIKE 'lead-%'"}},
        "target": {"connection": "sf", "type": "Lead", "operation": "create"},
        "on_source_update": "update",
        "on_source_delete": "delete",
        "fields": [{"to": "LastName", "from": "Name"}, {"to": "Company", "from": "Source_Key__c"}],
    })
}

fn make_accounts(world: &World, count: usize) -> Vec<String> {
    let rows: String =
        (1..=count).map(|n| format!("{{\"Name\":\"N{n}\",\"Source_Key__c\":\"lead-{n}\"}}\n")).collect();
    let made = world.home.feed(&["create", "sf", "Account"], rows).expect(0).lines();
    made.iter().map(|row| row["key"].as_str().expect("a key").to_owned()).collect()
}

/// Names of the leads by their companies.
fn names(world: &World) -> Vec<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    let all = world.part("salesforce", "Lead", "Id,LastName,Company").into_iter();
    let own = all.filter_map(|lead| Some((text(&lead, "Company")?, text(&lead, "LastName")?)));
    let mut own: Vec<(String, String)> = own.filter(|(company, _)| company.starts_with("lead-")).collect();
    own.sort();
    own
}

fn rename(world: &World, id: &str, name: &str) {
    let row = json!({"@key": id, "Name": name}).to_string();
    world.home.feed(&["update", "sf", "Account"], row).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(company, name)| ((*company).to_owned(), (*name).to_owned())).collect()
}

#[test]
fn changes_update_what_was_created_and_deletions_delete_it() {
    let world = World::of(&[], &[]);
    let file = world.mapping(&leads());
    let ids = make_accounts(&world, 3);
    let run = |arguments: &[&str]| {
        counts(&summary(&world.run(&[&[&file[..], "--changes"], arguments].concat()).expect(0)))
    };
    assert_eq!(run(&[])["created"], 3);
    rename(&world, &ids[0], "Other");
    world.home.run(&["delete", "sf", "Account", &ids[1]]).expect(0);
    let row = json!({"Name": "N4", "Source_Key__c": "lead-4"}).to_string();
    world.home.feed(&["create", "sf", "Account"], row).expect(0);
    world.emulator.control("POST", "clock", &json!({"advance_seconds": 5}));

    let dry = world.run(&[&file, "--changes", "--dry-run"]).expect(0).lines();
    let foreseen = &dry.last().expect("a summary")["dry_run"];
    let sums = ["create", "update", "delete", "skipped"].map(|name| foreseen[name].as_u64());
    assert_eq!(sums, [Some(1), Some(1), Some(1), Some(0)], "{foreseen}");
    let changed = json!([{"field": "LastName", "from": "N1", "to": "Other"}]);
    assert!(dry.iter().any(|line| line["record"]["changes"] == changed), "{dry:#?}");

    let told = run(&[]);
    let sums = ["created", "updated", "deleted", "skipped"].map(|name| told[name].as_u64());
    assert_eq!(sums, [Some(1), Some(1), Some(1), Some(0)], "{told}");
    assert_eq!(names(&world), pairs(&[("lead-1", "Other"), ("lead-3", "N3"), ("lead-4", "N4")]));
    let idle = run(&[]);
    assert_eq!((&idle["read"], &idle["skipped"]), (&json!(0), &json!(0)), "{idle}");
    // The link outlives the update.
    rename(&world, &ids[0], "Third");
    assert_eq!(run(&[])["updated"], 1);
    assert_eq!(names(&world)[0], ("lead-1".to_owned(), "Third".to_owned()));
}

#[test]
fn a_change_that_failed_is_fed_back_as_an_update_and_creates_nothing() {
    let world = World::of(&[], &[]);
    let mut mapping = leads();
    mapping["fields"][0]["steps"] =
        json!([{"op": "picklist", "map": {"N1": "N1", "N2": "N2", "Good": "Good"}}]);
    let file = world.mapping(&mapping);
    let ids = make_accounts(&world, 2);
    world.run(&[&file, "--changes"]).expect(0);
    // One cannot be mapped, and the lead of the other was deleted by somebody.
    rename(&world, &ids[0], "Bad");
    rename(&world, &ids[1], "Good");
    let leads = world.part("salesforce", "Lead", "Id,Company");
    let gone = leads.iter().find(|lead| lead["Company"] == "lead-2").expect("a lead");
    world.home.run(&["delete", "sf", "Lead", gone["Id"].as_str().expect("an id")]).expect(0);
    let ran = world.run(&[&file, "--changes", "--report", "failed.ndjson"]).expect(1);
    let counted = counts(&summary(&ran));
    assert_eq!((&counted["failed"], &counted["created"]), (&json!(2), &json!(0)), "{ran:#?}");
    let report = std::fs::read_to_string(world.file("failed.ndjson")).expect("a report");
    let mended = report.replace("\"Name\":\"Bad\"", "\"Name\":\"Good\"");
    assert_ne!(mended, report, "{report}");
    std::fs::write(world.file("mended.ndjson"), mended).expect("written");
    let dry = world.run(&[&file, "--rows", "mended.ndjson", "--dry-run"]);
    let dry = dry.lines();
    let foreseen = &dry.last().expect("a summary")["dry_run"];
    let sums = ["create", "update", "rejected"].map(|name| foreseen[name].as_u64());
    assert_eq!(sums, [Some(0), Some(1), Some(1)], "{foreseen}");
    let counted = counts(&summary(&world.run(&[&file, "--rows", "mended.ndjson"]).expect(1)));
    let sums = ["created", "updated", "failed"].map(|name| counted[name].as_u64());
    assert_eq!(sums, [Some(0), Some(1), Some(1)], "{counted}");
    assert_eq!(names(&world), pairs(&[("lead-1", "Good")]));
}

#[test]
fn fault_45_a_change_that_was_under_way_when_the_run_died_is_carried_over() {
    let world = World::of(&[], &[]);
    let file = world.mapping(&leads());
    let ids = make_accounts(&world, 2);
    world.run(&[&file, "--changes"]).expect(0);
    for (name, done) in [("Done", true), ("Undone", false)] {
        rename(&world, &ids[0], name);
        let rule =
            json!({"service": "salesforce", "method": "PATCH", "path": "*/composite/sobjects*", "nth": 1});
        let told = counts(&killed_and_resumed(&world, &[&file, "--changes"], rule, done));
        assert_eq!((&told["updated"], &told["created"]), (&json!(1), &json!(0)), "{name}: {told}");
        assert_eq!(names(&world), pairs(&[("lead-1", name), ("lead-2", "N2")]));
    }
}

#[test]
fn a_file_that_is_changed_updates_its_issue_and_is_not_attached_again() {
    let world = World::of(&[], &["jira", "box"]);
    let folder = "/Carried";
    world.home.feed(&["create", "box", "folder"], json!({"path": folder}).to_string()).expect(0);
    let types = format!("file:{folder}");
    let put = |name: &str| json!({"path": format!("{folder}/{name}")}).to_string();
    let made = world.home.feed(&["create", "box", &types], put("one.txt")).expect(0).lines();
    let id = made[0]["key"].as_str().expect("a key").to_owned();
    let mapping = json!({
        "recordport": "mapping/1",
        "name": "files-that-follow",
        "source": {"connection": "box", "type": types},
        "target": {"connection": "jira", "type": "issue:OPS/Bug", "operation": "create"},
        "on_source_update": "update",
        "fields": [
            {"to": "summary", "template": "carried {name}"},
            {"to": "project", "const": "10000"},
            {"to": "issuetype", "const": "10003"},
            {"to": "customfield_10020", "const": "100201"},
        ],
        "contents": [{"from": "content", "to": "attachment", "options": [{"to": "file_name", "from": "name"}]}],
    });
    let file = world.mapping(&mapping);
    let told = world.home.run(&["map", "check", &file]).expect(0).stdout;
    assert!(told.contains("/contents"), "content is copied once: {told}");
    assert_eq!(counts(&summary(&world.run(&[&file, "--changes"]).expect(0)))["created"], 1);
    let renamed = json!({"@key": id, "path": format!("{folder}/two.txt")}).to_string();
    world.home.feed(&["update", "box", &types], renamed).expect(0);
    let told = counts(&summary(&world.run(&[&file, "--changes"]).expect(0)));
    assert_eq!((&told["updated"], &told["created"]), (&json!(1), &json!(0)), "{told}");
    let issues = world.state("jira", "issue");
    let own: Vec<&Value> = issues
        .iter()
        .map(|issue| &issue["fields"])
        .filter(|own| own["summary"].as_str().is_some_and(|text| text.starts_with("carried ")))
        .collect();
    let [own] = own[..] else { panic!("{own:#?}") };
    assert_eq!(own["summary"], "carried two.txt");
    assert_eq!(own["attachment"].as_array().map(Vec::len), Some(1), "{own:#?}");
}
