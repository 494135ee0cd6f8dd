//! Searches on the command line: forms of output, checkpoints, pipes, signals.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, drain, finish, signal, until};

const QUERY: &str = "/services/data/v60.0/query";

#[test]
fn records_come_as_ndjson_json_csv_and_table() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let search = [
        "search",
        "sf",
        "Contact",
        "--select",
        "Id,LastName,Account.Name",
        "--order-by",
        "LastName",
        "--limit",
        "3",
    ];
    let with = |format: &str| home.run(&[&search[..], &["--format", format]].concat()).expect(0).stdout;
    let lines = home.run(&search).expect(0).lines();
    assert_eq!(lines.len(), 3);
    let names: Vec<&str> = lines[0].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["Id", "LastName", "Account"]);
    let document: Value = serde_json::from_str(&with("json")).expect("a document");
    assert_eq!(document, Value::Array(lines.clone()));
    let csv = with("csv");
    let mut rows = csv.split("\r\n");
    assert_eq!(rows.next(), Some("Id,LastName,Account.Name"));
    assert!(rows.next().is_some_and(|row| row.starts_with(lines[0]["Id"].as_str().expect("an id"))), "{csv}");
    let table = with("table");
    assert!(
        table.contains("Account.Name") && table.contains(lines[2]["Id"].as_str().expect("an id")),
        "{table}"
    );
    let meta = home.run(&[&search[..], &["--meta"]].concat()).expect(0).lines();
    assert_eq!(meta[0]["@key"], lines[0]["Id"]);
    assert!(meta[0].get("@version").is_some());
}

#[test]
fn a_search_counts_and_explains() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let condition = "LastName LIKE 'M%' AND Title IS NOT NULL";
    let found =
        home.run(&["search", "sf", "Contact", "--where", condition, "--select", "Id"]).expect(0).lines();
    let counted = home.run(&["search", "sf", "Contact", "--where", condition, "--count"]).expect(0);
    assert_eq!(counted.stdout.trim(), found.len().to_string());
    let before = emulator.requests(QUERY).len();
    let explained =
        home.run(&["search", "sf", "Contact", "--where", condition, "--explain", "--format", "json"]);
    let explained: Value = serde_json::from_str(&explained.expect(0).stdout).expect("a document");
    for name in ["native", "conditions", "residual", "order", "limit", "muted", "requests_per_page"] {
        assert!(explained.get(name).is_some(), "{name} is missing: {explained}");
    }
    assert_eq!(explained["conditions"].as_array().map(Vec::len), Some(2));
    assert_eq!(emulator.requests(QUERY).len(), before, "explaining sends no query");
    let table =
        home.run(&["search", "sf", "Contact", "--where", condition, "--explain", "--format", "table"]);
    assert!(table.expect(0).stdout.contains("residual"));
}

#[test]
fn a_rule_group_and_a_query_document_are_read_from_a_file() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let group = json!({"combinator": "and", "rules": [{"field": "LastName", "operator": "beginsWith", "value": "M"}]});
    let file = home.write("group.json", group.to_string());
    let by_group = home.run(&["search", "sf", "Contact", "--filter", &file, "--select", "Id"]).expect(0);
    let by_text =
        home.run(&["search", "sf", "Contact", "--where", "LastName LIKE 'M%'", "--select", "Id"]).expect(0);
    assert_eq!(by_group.stdout, by_text.stdout);
    let query = home.write("query.json", json!({"select": ["Id"], "filter": group}).to_string());
    assert_eq!(home.run(&["search", "sf", "Contact", "--filter", &query]).expect(0).stdout, by_text.stdout);
    home.run(&["search", "sf", "Contact", "--filter", "nowhere.json"]).expect(2).says("no file");
    let broken = home.write("broken.json", "{\"combinator\":\n  and}");
    home.run(&["search", "sf", "Contact", "--filter", &broken]).expect(2).says("line 2");
    let empty = home.write("empty.json", " \n");
    home.run(&["search", "sf", "Contact", "--filter", &empty]).expect(2).says("empty");
}

#[test]
fn wrong_queries_end_with_2_and_say_where() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    home.run(&["search", "sf", "Contact", "--where", "LastNmae = 'x'"]).expect(2).says("LastName");
    home.run(&["search", "sf", "Contact", "--where", "CreatedDate > 'soon'"]).expect(2).says("CreatedDate");
    home.run(&["search", "sf", "Contact", "--where", "LastName = 'a' LastName = 'b'"])
        .expect(2)
        .says("column");
    home.run(&["search", "sf", "Contact", "--select", "Id,Nothing"]).expect(2).says("Nothing");
    home.run(&["search", "sf", "Contact", "--order-by", "LastName sideways"]).expect(2);
    home.run(&["search", "sf", "Contact", "--cursor", "%%%"]).expect(2).says("cursor");
    home.run(&["search", "sf", "Contcat"]).expect(4).says("Contact");
}

/// All records of a scaled type, to a file with a checkpoint.
const SCALE: &str = "350";
const TYPE: &str = "Contact";
const RECORDS: usize = 105_000;

#[test]
fn a_search_killed_at_any_moment_goes_on_to_the_same_bytes() {
    let emulator = EmulatorProcess::start(&["--scale", SCALE]);
    let home = Home::connected(&emulator);
    let arguments = |output: &str, checkpoint: &str| {
        [
            "search",
            "sf",
            TYPE,
            "--select",
            "Id,LastName,Email",
            "--page-size",
            "1000",
            "--output",
            output,
            "--checkpoint",
            checkpoint,
        ]
        .map(str::to_owned)
    };
    let run = |output: &str, checkpoint: &str| {
        let arguments = arguments(output, checkpoint);
        home.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    finish(run("whole.ndjson", "whole.place"), None).expect(0);
    let whole = std::fs::read(home.file("whole.ndjson")).expect("written");
    let ids: BTreeSet<&[u8]> = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(ids.len(), RECORDS, "each record once");

    let pages = emulator.requests(QUERY).len();
    let mut kills = 0;
    let mut seed = 7_u64;
    let (output, place) = (home.file("cut.ndjson"), home.file("cut.place"));
    while kills < 20 {
        // A place that moves on by a little more than two pages, then a moment within the next.
        let reached = std::fs::metadata(&output).map_or(0, |file| file.len());
        let mut child = run("cut.ndjson", "cut.place")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let ahead = (seed >> 33) % (whole.len() as u64 / 60) + 1;
        until("progress or the end", || {
            let length = std::fs::metadata(&output).map_or(0, |file| file.len());
            length >= reached + ahead || child.try_wait().expect("waited").is_some()
        });
        child.kill().expect("killed");
        let status = child.wait().expect("ended");
        assert!(!status.success(), "only {kills} runs were killed over {pages} pages");
        kills += 1;
        if kills % 4 == 0 {
            emulator.control("POST", "salesforce/expire-locators", &Value::Null);
        }
    }
    finish(run("cut.ndjson", "cut.place"), None).expect(0);
    assert!(std::fs::read(&output).expect("written") == whole, "the bytes differ");
    // A finished search is not run again.
    let before = emulator.requests(QUERY).len();
    finish(run("cut.ndjson", "cut.place"), None).expect(0).says("complete");
    assert_eq!(emulator.requests(QUERY).len(), before);

    let mut other = run("cut.ndjson", "cut.place");
    other.args(["--where", "LastName IS NOT NULL"]);
    finish(other, None).expect(2).says("another query");
    let mut other = run("cut.ndjson", "cut.place");
    other.arg("--meta");
    finish(other, None).expect(2).says("another");
    std::fs::write(&place, "nonsense").expect("written");
    finish(run("cut.ndjson", "cut.place"), None).expect(2).says("checkpoint");
}

#[test]
fn fault_46_a_signal_lets_the_page_in_flight_finish_and_keeps_the_checkpoint() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let emulator = EmulatorProcess::start(&["--scale", "10"]);
        let home = Home::connected(&emulator);
        emulator.fault(&json!({
            "service": "salesforce", "path": "/services/data/*/query*", "kind": "slow", "page": 4, "times": 1,
            "delay_ms": 60,
        }));
        let arguments = ["search", "sf", TYPE, "--select", "Id,LastName,Email", "--page-size", "200"];
        let output = ["--output", "out.ndjson", "--checkpoint", "place"];
        let mut child = home
            .command(&[&arguments[..], &output[..]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let told = drain(child.stderr.take().expect("stderr"));
        until("three pages", || {
            std::fs::read(home.file("out.ndjson"))
                .is_ok_and(|text| text.iter().filter(|byte| **byte == b'\n').count() >= 600)
        });
        signal(name, child.id());
        let told = told.join().expect("read");
        assert_eq!(child.wait().expect("ends").code(), Some(code), "{told}");
        assert!(home.file("place").exists());
        home.run(&[&arguments[..], &output[..]].concat()).expect(0);
        let text = std::fs::read_to_string(home.file("out.ndjson")).expect("written");
        let ids: BTreeSet<&str> = text.lines().collect();
        assert_eq!((ids.len(), text.lines().count()), (3000, 3000));
    }
}

#[test]
fn fault_47_a_closed_pipe_ends_quietly_and_stops_the_provider_too() {
    let emulator = EmulatorProcess::start(&["--scale", "100"]);
    let home = Home::connected(&emulator);
    let mut child = home
        .command(&["search", "sf", TYPE, "--page-size", "200"])
        .env("RECORDPORT_LOG", "warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
    stdout.read_line(&mut line).expect("a line");
    drop(stdout);
    let mut told = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut told).expect("read");
    assert_eq!(child.wait().expect("ends").code(), Some(0), "{told}");
    assert_eq!(told, "");
    assert!(serde_json::from_str::<Value>(&line).is_ok());
    let asked = emulator.requests(QUERY).len();
    assert!(asked < 20, "{asked} of 150 pages were asked for");
}

#[cfg(target_os = "linux")]
#[test]
fn fault_48_a_slow_reader_holds_back_the_provider_and_memory_stays_flat() {
    let emulator = EmulatorProcess::start(&["--scale", "100"]);
    let home = Home::connected(&emulator);
    let mut child = home
        .command(&["search", "sf", TYPE, "--page-size", "200"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut stdout = child.stdout.take().expect("stdout");
    let mut kilobyte = [0_u8; 1024];
    stdout.read_exact(&mut kilobyte).expect("data");
    // Nobody reads: the process blocks in its write, with one page fetched ahead.
    let blocked = || {
        let state = std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
        state.contains("pipe") || state == "0" || state.is_empty()
    };
    let mut asked = 0;
    let mut still = 0;
    until("a pause of the provider", || {
        let now = emulator.requests(QUERY).len();
        still = if now == asked && blocked() { still + 1 } else { 0 };
        asked = now;
        still > 20
    });
    assert!(asked < 10, "{asked} pages were asked for while nobody read");
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a size").to_owned();
        line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a number")
    };
    let early = resident();
    for _ in 0..20_000 {
        stdout.read_exact(&mut kilobyte).expect("data");
    }
    let late = resident();
    assert!(late < early + 30_000, "grew from {early} to {late} KiB");
    assert!(emulator.requests(QUERY).len() < 150);
    child.kill().expect("killed");
    child.wait().expect("ended");
}

#[test]
fn fault_41_a_page_is_on_the_disk_before_its_checkpoint_and_the_checkpoint_before_the_next_page() {
    let emulator = EmulatorProcess::start(&["--scale", "20"]);
    let home = Home::connected(&emulator);
    let (output, checkpoint) = (home.file("rows.ndjson"), home.file("place"));
    let trace = home.file("calls");
    let paths = [&output, &checkpoint, &trace].map(|path| path.to_str().expect("text"));
    let inner = home.command(&[
        "search",
        "sf",
        "Account",
        "--select",
        "Id",
        "--page-size",
        "200",
        "--output",
        paths[0],
        "--checkpoint",
        paths[1],
    ]);
    let mut traced = Command::new(strace());
    traced.args(["-f", "-o", paths[2], "-e", "trace=open,openat,fsync,fdatasync,rename,renameat,renameat2"]);
    traced.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    finish(traced, None).expect(0);

    let told = std::fs::read_to_string(&trace).expect("a trace");
    let folder = checkpoint.parent().expect("a folder").to_str().expect("text");
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    let (mut page, mut draft, mut waiting, mut renamed) = (false, false, false, 0);
    for call in ended_calls(&told) {
        let quoted: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
        let result = call.rsplit("= ").next().unwrap_or_default().trim();
        if call.starts_with("open") {
            open.insert(result.to_owned(), quoted[0].to_owned());
        } else if call.starts_with("rename") {
            if quoted.last() != Some(&paths[1]) {
                continue;
            }
            assert!(page, "the page was not synced before its checkpoint took the name:\n{told}");
            assert!(draft, "the checkpoint was not synced before it took its name:\n{told}");
            assert!(!waiting, "the folder was not synced after the last checkpoint:\n{told}");
            (page, draft, waiting) = (false, false, true);
            renamed += 1;
        } else {
            let file = call
                .split(['(', ')'])
                .nth(1)
                .and_then(|number| open.get(number.trim()))
                .map_or("", String::as_str);
            page |= file == paths[0];
            draft |= file.starts_with(paths[1]);
            waiting &= file != folder;
        }
    }
    assert!(renamed > 1, "several pages were checkpointed:\n{told}");
    assert!(!waiting, "the folder was not synced after the last checkpoint:\n{told}");
}

/// The system calls of a trace in the order in which they ended, each in one piece.
fn ended_calls(trace: &str) -> Vec<String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some((front, _)) = call.split_once("<unfinished") {
            begun.insert(thread, front);
        } else if let Some((_, rest)) = call.split_once("resumed>") {
            calls.push(format!("{}{rest}", begun.remove(thread).unwrap_or_default()));
        } else if call.contains('(') {
            calls.push(call.to_owned());
        }
    }
    calls
}

/// The tracer of system calls; where it is missing it is installed.
fn strace() -> &'static str {
    let there = || Command::new("strace").arg("-V").output().is_ok();
    if !there() {
        let installed = Command::new("apt-get").args(["install", "-y", "-qq", "strace"]).output();
        assert!(there(), "strace is needed and could not be installed: {installed:?}");
    }
    "strace"
}
