//! Feeds of changes on the command line: lines, checkpoints, files, following, signals.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, Ran, drain, signal};

/// The checkpoint that a run printed last.
fn checkpoint(ran: &Ran) -> String {
    let last = ran.lines().pop().expect("a line");
    last["checkpoint"].as_str().unwrap_or_else(|| panic!("{last}")).to_owned()
}

fn created(home: &Home, name: &str) -> String {
    let row = json!({ "LastName": name }).to_string();
    let told = home.feed(&["create", "sf", "Contact"], row).expect(0).lines().remove(0);
    told["key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_feed_begins_now_and_goes_on_at_its_checkpoint() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    created(&home, "before");
    let start = home.run(&["changes", "sf", "Contact"]).expect(0);
    assert_eq!(start.lines().len(), 1, "only a checkpoint: {}", start.stdout);
    let key = created(&home, "after");
    let since = checkpoint(&start);
    let told = home.run(&["changes", "sf", "Contact", "--since", &since, "--select", "LastName"]).expect(0);
    let lines = told.lines();
    assert_eq!(lines[0], json!({ "change": "created", "key": key, "record": { "LastName": "after" } }));
    assert_eq!(lines.len(), 2, "{}", told.stdout);
    home.run(&["delete", "sf", "Contact", &key]).expect(0);
    let told = home.run(&["changes", "sf", "Contact", "--since", &checkpoint(&told)]).expect(0);
    assert_eq!(told.lines()[0], json!({ "change": "deleted", "key": key }));
    let idle = home.run(&["changes", "sf", "Contact", "--since", &checkpoint(&told)]).expect(0);
    assert_eq!(idle.lines().len(), 1, "{}", idle.stdout);
}

#[test]
fn a_feed_from_the_beginning_lists_everything() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let told = home.run(&["changes", "sf", "Opportunity", "--since", "beginning", "--select", "Id,Name"]);
    let lines = told.expect(0).lines();
    let state = emulator.state("Opportunity");
    let mut rows: Vec<Value> = lines[..lines.len() - 1].to_vec();
    rows.sort_by_key(|row| row["key"].to_string());
    assert_eq!(rows.len(), state.len());
    for (row, stored) in rows.iter().zip(&state) {
        let record = json!({ "Id": stored["Id"], "Name": stored["Name"] });
        assert_eq!(*row, json!({ "change": "created", "key": stored["Id"], "record": record }));
    }
}

#[test]
fn a_file_gives_the_place_and_gets_the_next_one_in_the_same_form() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let dir = tempfile::tempdir().expect("a directory");
    let start = home.run(&["changes", "sf", "Contact"]).expect(0);
    for (name, text) in [("line", start.stdout.clone()), ("bare", checkpoint(&start))] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        let since = path.to_str().expect("a path");
        let key = created(&home, name);
        let told = home.run(&["changes", "sf", "Contact", "--since", since]).expect(0);
        assert!(told.lines().iter().any(|line| line["key"] == key.as_str()), "{}", told.stdout);
        let kept = std::fs::read_to_string(&path).expect("kept");
        let expected = if name == "line" {
            told.stdout.lines().last().expect("a line").to_owned()
        } else {
            checkpoint(&told)
        };
        assert_eq!(kept.trim_end(), expected);
        let idle = home.run(&["changes", "sf", "Contact", "--since", since]).expect(0);
        assert_eq!(idle.lines().len(), 1, "{}", idle.stdout);
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("listed").collect();
    assert_eq!(left.len(), 2, "no draft is left: {left:?}");
}

#[test]
fn a_failed_feed_keeps_the_place_of_the_page_before() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("place");
    let since = path.to_str().expect("a path");
    let start = home.run(&["changes", "sf", "Contact"]).expect(0);
    std::fs::write(&path, &start.stdout).expect("written");
    let key = created(&home, "kept");
    emulator.fault(&json!({ "kind": "403", "path": "*/queryAll*" }));
    home.run(&["changes", "sf", "Contact", "--since", since]).expect(5);
    assert_eq!(std::fs::read_to_string(&path).expect("kept"), start.stdout);
    let told = home.run(&["changes", "sf", "Contact", "--since", since]).expect(0);
    assert_eq!(told.lines()[0]["key"], key.as_str());
}

#[test]
fn what_is_no_checkpoint_is_refused_with_what_to_do() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let start = checkpoint(&home.run(&["changes", "sf", "Contact"]).expect(0));
    let cut = &start[..start.len() / 2];
    for (since, says) in [("no-such-file", "There is no file"), (cut, "damaged")] {
        home.run(&["changes", "sf", "Contact", "--since", since]).expect(2).says(says);
    }
    home.run(&["changes", "sf", "Account", "--since", &start]).expect(2).says("belongs to Contact");
    home.run(&["changes", "sf", "Contact", "--format", "csv"]).expect(2).says("ndjson");
    home.run(&["changes", "sf", "Contact", "--select", "Nmae", "--since", &start]).expect(2);
    home.run(&["changes", "sf", "Contact", "--interval", "5"]).expect(2);
}

#[test]
fn a_followed_feed_tells_what_happens_and_ends_with_a_signal() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let mut child = home
        .command(&["changes", "sf", "Contact", "--select", "LastName", "--follow", "--interval", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let noted = drain(child.stderr.take().expect("stderr"));
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    assert!(next()["checkpoint"].is_string(), "it begins now");
    for name in ["one", "two"] {
        let key = created(&home, name);
        let record = json!({ "LastName": name });
        assert_eq!(next(), json!({ "change": "created", "key": key, "record": record }));
        assert!(next()["checkpoint"].is_string());
    }
    signal("INT", child.id());
    let status = child.wait().expect("ends");
    let noted = noted.join().expect("read");
    assert_eq!(status.code(), Some(130), "{noted}");
    assert!(noted.contains("go on with --since"), "{noted}");
    let after = created(&home, "three");
    let rest: Vec<Value> =
        lines.map(|line| serde_json::from_str(&line.expect("text")).expect("JSON")).collect();
    let Some(place) = rest.last() else { return };
    let told =
        home.run(&["changes", "sf", "Contact", "--since", place["checkpoint"].as_str().expect("text")]);
    assert_eq!(told.expect(0).lines()[0]["key"], after.as_str());
}
