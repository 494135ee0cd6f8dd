//! What a run writes besides its rows: content that goes along with them, and records that their lookups create. A run
//! that is killed in between loses and doubles neither.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{World, counts, summary};
use crate::support::command::until;

/// Begins a run with these arguments, kills it while it waits for the answer to the n-th such request, and resumes it to its
/// end. The request was done when `done` says so, else it was not.
#[track_caller]
pub(super) fn killed_and_resumed(world: &World, arguments: &[&str], rule: Value, done: bool) -> Value {
    let mut rule = rule;
    let how = if done { json!({"kind": "hang"}) } else { json!({"kind": "status", "status": 503}) };
    let how = how.as_object().expect("an object").clone();
    let members = rule.as_object_mut().expect("an object");
    members.extend(how);
    members.insert("delay_ms".to_owned(), json!(60_000));
    world.emulator.fault(&rule);
    let mut command = world.home.command(&[&["run"], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("starts");
    until("the request", || world.struck());
    child.kill().expect("is killed");
    child.wait().expect("ends");
    world.emulator.control("DELETE", "faults", &Value::Null);
    let id = world.latest_id().expect("a run");
    summary(&world.run(&["--resume", &id]).expect(0))
}

/// How often each text stands among these.
fn tally<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeMap<&'t str, usize> {
    let mut tally = BTreeMap::new();
    for text in texts {
        *tally.entry(text).or_default() += 1;
    }
    tally
}

/// Files of a folder become bugs that have them as attachments.
fn files_to_bugs(name: &str, folder: &str, limit: u64) -> Value {
    json!({
        "recordport": "mapping/1",
        "name": name,
        "source": {"connection": "box", "type": format!("file:{folder}"), "query": {"limit": limit}},
        "target": {"connection": "jira", "type": "issue:OPS/Bug", "operation": "create"},
        "fields": [
            {"to": "summary", "template": format!("{name}: {{name}}"), "on_missing": "error"},
            {"to": "project", "const": "10000"},
            {"to": "issuetype", "const": "10003"},
            {"to": "customfield_10020", "const": "100201"},
        ],
        "contents": [{"from": "content", "to": "attachment", "options": [{"to": "file_name", "from": "name"}]}],
    })
}

#[test]
fn files_of_dropbox_become_attachments_of_issues_once_each_however_the_run_dies() {
    let world = World::new(&[]);
    world
        .home
        .run(&["connect", "dropbox", "box", "--emulator", &world.emulator.url(), "--no-browser"])
        .expect(0);
    let folder = "/Notes/2023";
    let mut wrong = files_to_bugs("wrong", folder, 1);
    wrong["contents"] = json!([
        {"from": "name", "to": "attachment"},
        {"from": "content", "to": "summary"},
        {"from": "content", "to": "attachment", "options": [{"to": "filename", "from": "name"}]},
    ]);
    let problems = world.home.run(&["map", "check", &world.mapping(&wrong)]).expect(2).lines();
    let places: Vec<&str> = problems.iter().filter_map(|problem| problem["pointer"].as_str()).collect();
    assert_eq!(places, ["/contents/0/from", "/contents/1/to", "/contents/2/options/0/to"], "{problems:#?}");

    for (name, path, done) in [("sent", "*/attachments", true), ("unsent", "*/attachments", false)] {
        let file = world.mapping(&files_to_bugs(name, folder, 3));
        let rule = json!({"service": "jira", "method": "POST", "path": path, "nth": 2});
        let run = killed_and_resumed(&world, &[&file], rule, done);
        let counted = counts(&run);
        assert_eq!((&counted["read"], &counted["created"]), (&json!(3), &json!(3)), "{name}");
        let source = world.home.run(&["search", "box", &format!("file:{folder}"), "--limit", "3"]).expect(0);
        let files = source.lines();
        let issues = world.state("jira", "issue");
        for file in &files {
            let told = file["name"].as_str().expect("a name");
            let summary = format!("{name}: {told}");
            let own: Vec<&Value> = issues
                .iter()
                .map(|issue| &issue["fields"])
                .filter(|own| own["summary"] == *summary)
                .collect();
            let [own] = own[..] else { panic!("{summary}: {} issues", own.len()) };
            let attached = own["attachment"].as_array().expect("a list");
            let [only] = &attached[..] else { panic!("{summary}: {attached:#?}") };
            assert_eq!((&only["filename"], &only["size"]), (&json!(told), &file["size"]), "{summary}");
        }
        let key = files[0]["id"].as_str().expect("an id");
        let there =
            world.home.run(&["content", "get", "box", &format!("file:{folder}"), key]).expect(0).stdout;
        let summary = format!("{name}: {}", files[0]["name"].as_str().expect("a name"));
        let issue = issues.iter().find(|issue| issue["fields"]["summary"] == *summary).expect("an issue");
        let id = issue["id"].as_str().expect("an id");
        let here = world.home.run(&["content", "get", "jira", "issue:OPS/Bug", id, "--field", "attachment"]);
        assert_eq!(here.expect(0).stdout, there, "byte for byte");
    }
    let body = world.emulator.control("GET", "requests?method=POST", &Value::Null);
    let sent = body["requests"].as_array().expect("a list").iter();
    let uploads = sent.filter(|one| one["path"].as_str().is_some_and(|path| path.ends_with("/attachments")));
    assert!(uploads.count() >= 6);
}

#[test]
fn content_that_is_refused_fails_its_row_alone_and_goes_on_when_the_row_is_fed_back() {
    let world = World::of(&[], &["jira", "box"]);
    world.emulator.fault(&json!({
        "service": "jira", "method": "POST", "path": "*/attachments", "kind": "status", "status": 413, "nth": 3,
        "times": 1,
    }));
    let mut mapping = files_to_bugs("refused", "/Notes/2022", 3);
    let second = json!({"from": "content", "to": "attachment", "options": [{"to": "file_name", "template": "copy of {name}"}]});
    mapping["contents"].as_array_mut().expect("a list").push(second);
    let file = world.mapping(&mapping);
    let ran = world.run(&[&file, "--report", "failed.ndjson"]).expect(1);
    let counted = counts(&summary(&ran));
    assert_eq!((&counted["created"], &counted["failed"]), (&json!(2), &json!(1)));
    let failed = std::fs::read_to_string(world.file("failed.ndjson")).expect("a report");
    let line: Value = serde_json::from_str(&failed).expect("one line");
    let error = &line["@error"];
    assert_eq!(error["fields"][0]["field"], "attachment", "{error}");
    assert!(
        error["message"].as_str().is_some_and(|told| told.starts_with("the record was written as")),
        "{error}"
    );
    let bugs = || -> Vec<Value> {
        let all = world.state("jira", "issue").into_iter();
        all.filter(|issue| {
            issue["fields"]["summary"].as_str().is_some_and(|text| text.starts_with("refused: "))
        })
        .collect()
    };
    let key = &line["@written"]["key"];
    assert!(bugs().iter().any(|bug| bug["id"] == *key), "{line}");

    // Of another mapping's target it says nothing, and nothing is created on its word.
    let mut elsewhere = mapping.clone();
    elsewhere["name"] = json!("elsewhere");
    elsewhere["target"]["type"] = json!("issue:OPS/Task");
    elsewhere["fields"][2]["const"] = json!("10004");
    elsewhere["fields"][3] = json!({"to": "customfield_10030", "const": "C-1"});
    let other = world.mapping(&elsewhere);
    let told = world.run(&[&other, "--rows", "failed.ndjson"]).expect(1);
    assert_eq!(counts(&summary(&told))["failed"], 1);
    let id = summary(&told)["run"].as_str().expect("an id").to_owned();
    let told = world.home.run(&["runs", "show", &id, "--failed"]).expect(0).lines();
    assert_eq!(told[0]["@error"]["code"], "written_elsewhere", "{}", told[0]);
    assert_eq!(told[0]["@written"], line["@written"], "whatever fails, it is not forgotten");

    // Nor is anything created when the key that it names is none.
    let mut keyless = line.clone();
    keyless["@written"]["key"] = json!("");
    std::fs::write(world.file("keyless.ndjson"), format!("{keyless}\n")).expect("written");
    assert_eq!(counts(&summary(&world.run(&[&file, "--rows", "keyless.ndjson"]).expect(1)))["failed"], 1);
    assert_eq!(bugs().len(), 3);

    // The cause is gone: what is missing is copied, and neither a record nor a content is written twice.
    let dry = world.run(&[&file, "--rows", "failed.ndjson", "--dry-run"]).expect(0).lines();
    let foreseen = &dry.last().expect("a summary")["dry_run"];
    assert_eq!((&foreseen["create"], &foreseen["update"]), (&json!(0), &json!(1)), "{foreseen}");
    for turn in ["first", "again"] {
        let counted = counts(&summary(&world.run(&[&file, "--rows", "failed.ndjson"]).expect(0)));
        assert_eq!((&counted["read"], &counted["updated"]), (&json!(1), &json!(1)), "{turn}: {counted}");
        let bugs = bugs();
        assert_eq!(bugs.len(), 3, "{turn}");
        if turn == "again" {
            break;
        }
        for bug in &bugs {
            let name = bug["fields"]["summary"].as_str().expect("text").trim_start_matches("refused: ");
            let attached = bug["fields"]["attachment"].as_array().expect("a list");
            let names = tally(attached.iter().filter_map(|file| file["filename"].as_str()));
            let copy = format!("copy of {name}");
            assert_eq!(names, BTreeMap::from([(name, 1), (copy.as_str(), 1)]), "{turn}");
        }
    }
}

#[test]
fn fault_45_records_that_lookups_create_are_not_doubled_when_the_run_is_killed() {
    let world = World::new(&[]);
    let accounts = |name: &str| {
        json!({
            "recordport": "mapping/1",
            "name": name,
            "source": {"connection": "sf", "type": "Account", "query": {"limit": 3}},
            "target": {"connection": "dv", "type": "contact", "operation": "create"},
            "fields": [
                {"to": "lastname", "const": name},
                {"to": "description", "from": "Id"},
                {"to": "parentcustomerid", "template": format!("{name} of {{Id}}"), "steps": [
                    {"op": "lookup", "type": "account", "by": ["name"], "else": "create"}]},
                {"to": "parentcustomerid_type", "const": "account"},
            ],
        })
    };
    for (name, done) in [("done", true), ("undone", false)] {
        let file = world.mapping(&accounts(name));
        let rule = json!({"service": "dynamics", "method": "POST", "path": "/api/data/*", "nth": 1});
        let run = killed_and_resumed(&world, &[&file], rule, done);
        assert_eq!(counts(&run)["created"], 3, "{name}");
        let firms = world.state("dynamics", "account");
        let begins = format!("{name} of ");
        let firms: BTreeMap<&str, &str> = firms
            .iter()
            .filter_map(|firm| Some((firm["accountid"].as_str()?, firm["name"].as_str()?)))
            .filter(|(_, name)| name.starts_with(&begins))
            .collect();
        let once = tally(firms.values().copied());
        assert!(once.len() == 3 && once.values().all(|count| *count == 1), "{name}: {once:?}");
        let contacts = world.state("dynamics", "contact");
        let own = contacts.iter().filter(|contact| contact["lastname"] == name);
        let led: Vec<&str> = own
            .map(|contact| {
                let firm =
                    contact["_parentcustomerid_value"].as_str().or(contact["parentcustomerid"].as_str());
                let told = contact["description"].as_str().expect("text");
                assert!(firms[firm.unwrap_or_else(|| panic!("{contact}"))].ends_with(told), "{contact}");
                told
            })
            .collect();
        assert_eq!(led.len(), 3, "{name}");
    }
}

#[test]
fn a_record_that_a_lookup_created_is_known_although_no_search_finds_it_yet() {
    let world = World::new(&[]);
    // Searches of Jira lag behind what was written.
    world.emulator.control("POST", "jira/index", &json!({"lag_seconds": 3_600}));
    let lookup = json!({
        "op": "lookup", "connection": "jira", "type": "issue:OPS/Bug", "by": ["summary"], "else": "create",
        "set": {"project": "10000", "issuetype": "10003", "customfield_10020": "100201"},
    });
    let mapping = |name: &str| {
        json!({
            "recordport": "mapping/1",
            "name": name,
            "source": {"connection": "sf", "type": "Account", "query": {"limit": 2}},
            "target": {"connection": "sf", "type": "Case", "operation": "create"},
            "fields": [
                {"to": "Subject", "from": "Id"},
                {"to": "SuppliedName", "template": format!("{name} of {{Id}}"), "steps": [lookup]},
            ],
        })
    };
    // Killed while the issues are there and nobody was told.
    let file = world.mapping(&mapping("lagging"));
    let rule = json!({"service": "jira", "method": "POST", "path": "*/issue/bulk", "nth": 1});
    let run = killed_and_resumed(&world, &[&file], rule, true);
    let counted = counts(&run);
    assert_eq!((&counted["created"], &counted["failed"]), (&json!(2), &json!(0)), "{run}");
    let issues = world.state("jira", "issue");
    let summaries = issues.iter().filter_map(|issue| issue["fields"]["summary"].as_str());
    let once = tally(summaries.filter(|summary| summary.starts_with("lagging of ")));
    assert!(once.len() == 2 && once.values().all(|count| *count == 1), "{once:?}");
}
