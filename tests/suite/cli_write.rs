//! Writes on the command line: forms of input, outcomes, dry runs, bad input.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, drain, signal};

fn statuses(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["status"].as_str().expect("a status")).collect()
}

#[test]
fn rows_are_created_updated_and_deleted_with_an_outcome_each() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let rows = "[{\"LastName\":\"Moreau\",\"Title\":\"Buyer\"},{\"FirstName\":\"Nobody\"},{\"LastName\":\"Okafor\"}]";
    let created = home.feed(&["create", "sf", "Contact"], rows).expect(1).lines();
    assert_eq!(statuses(&created), ["created", "failed", "created"]);
    assert_eq!(created[1]["row"], 1);
    assert!(created[1]["error"].to_string().contains("LastName"), "{}", created[1]);
    let key = created[0]["key"].as_str().expect("a key");

    let change = json!({"@key": key, "Title": null, "Department": "Purchasing"}).to_string();
    assert_eq!(statuses(&home.feed(&["update", "sf", "Contact"], change).expect(0).lines()), ["updated"]);
    let read = home
        .run(&["get", "sf", "Contact", key, "--select", "Id,LastName,Title,Department"])
        .expect(0)
        .lines();
    assert_eq!(read, [json!({"Id": key, "LastName": "Moreau", "Title": null, "Department": "Purchasing"})]);

    let other = created[2]["key"].as_str().expect("a key");
    let as_printed = json!({"Id": other, "Title": "Head"}).to_string();
    assert_eq!(statuses(&home.feed(&["update", "sf", "Contact"], as_printed).expect(0).lines()), ["updated"]);

    let deleted = home.run(&["delete", "sf", "Contact", key, other]).expect(0).lines();
    assert_eq!(statuses(&deleted), ["deleted", "deleted"]);
    home.run(&["get", "sf", "Contact", key]).expect(4);
}

#[test]
fn csv_rows_keep_null_and_empty_apart_and_come_back_as_they_went() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let file = home.write(
        "rows.csv",
        "\u{feff}LastName,Title,DoNotCall,Description\r\nMoreau,'=Buyer,true,\"two\nlines, \"\"quoted\"\"\"\r\nOkafor,,,\r\n",
    );
    let created = home.run(&["create", "sf", "Contact", &file]).expect(0).lines();
    assert_eq!(statuses(&created), ["created", "created"]);
    let select = ["--select", "LastName,Title,DoNotCall,Description", "--order-by", "LastName"];
    let read = home.run(&[&["search", "sf", "Contact"][..], &select[..]].concat()).expect(0).lines();
    assert_eq!(read[0]["Title"], "=Buyer");
    assert_eq!(read[0]["DoNotCall"], true);
    assert_eq!(read[0]["Description"], "two\nlines, \"quoted\"");
    assert_eq!(read[1]["Title"], Value::Null);
    let csv = home
        .run(&[&["search", "sf", "Contact", "--format", "csv"][..], &select[..]].concat())
        .expect(0)
        .stdout;
    assert!(csv.contains("Moreau,'=Buyer,true,"), "{csv}");
}

#[test]
fn an_upsert_goes_by_a_key_of_its_own() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let described = home.run(&["types", "sf", "--search", "Invoice__c"]).expect(0).lines();
    let keys = described[0]["keys"].as_array().expect("keys").clone();
    assert!(!keys.is_empty(), "{described:?}");
    home.feed(&["upsert", "sf", "Contact", "--by", "LastName"], "{\"LastName\":\"x\"}").expect(2);
}

#[test]
fn a_dry_run_shows_the_requests_and_sends_none() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let before = emulator.state("Contact").len();
    let ran = home.feed(&["create", "sf", "Contact", "--dry-run"], "{\"LastName\":\"Moreau\",\"X\":1.10}");
    assert!(matches!(ran.code(), 0 | 1), "{ran:#?}");
    let ran = home.feed(&["create", "sf", "Contact", "--dry-run"], "{\"LastName\":\"Moreau\"}").expect(0);
    let requests = ran.lines();
    assert_eq!(requests[0]["method"], "POST", "{ran:#?}");
    assert!(requests[0]["body"].to_string().contains("Moreau"), "{ran:#?}");
    assert!(!ran.stdout.to_lowercase().contains("bearer"));
    assert_eq!(emulator.state("Contact").len(), before);
    home.feed(&["create", "sf", "Contact", "--option", "nonsense=1"], "{\"LastName\":\"x\"}")
        .expect(2)
        .says("nonsense");
}

#[test]
fn records_found_by_a_condition_are_changed_only_within_bounds_and_when_told() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let found = home
        .run(&["search", "sf", "Lead", "--where", "LastName LIKE 'M%'", "--select", "Id"])
        .expect(0)
        .lines();
    let most = found.len().to_string();
    let condition = ["update", "sf", "Lead", "--where", "LastName LIKE 'M%'", "--set", "Title=\"Seen\""];
    home.run(&[&condition[..], &["--max", "0", "--yes"]].concat()).expect(2).says("--max");
    home.run(&[&condition[..], &["--max", &most]].concat()).expect(2).says("--yes");
    let updated = home.run(&[&condition[..], &["--max", &most, "--yes"]].concat()).expect(0).lines();
    assert_eq!(updated.len(), found.len());
    home.run(&["delete", "sf", "Lead", "--where", "Title = 'Seen'", "--max", &most, "--yes"]).expect(0);
    let left = home.run(&["search", "sf", "Lead", "--where", "Title = 'Seen'", "--count"]).expect(0);
    assert_eq!(left.stdout.trim(), "0");
}

#[test]
fn every_record_is_meant_only_when_all_is_said() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let before = emulator.state("Lead").len();
    let set = ["--set", "Title=\"Seen\"", "--max", "100000", "--yes"];
    for condition in [&["--where", ""][..], &["--where", "  "], &["--where", "NOT (LastName IN ())"]] {
        let ran = home.run(&[&["update", "sf", "Lead"], condition, &set].concat()).expect(2);
        assert!(!ran.stderr.is_empty(), "{ran:#?}");
    }
    home.run(&["delete", "sf", "Lead", "--where", "", "--max", "100000", "--yes"]).expect(2).says("--all");
    home.run(&["delete", "sf", "Lead", "--all", "--yes"]).expect(2).says("--max");
    home.run(&["update", "sf", "Lead", "--all", "--max", "9"]).expect(2).says("--set");
    home.run(&["delete", "sf", "Lead", "--all", "--max", "1", "--yes"]).expect(2).says("more than 1");
    assert_eq!(emulator.state("Lead").len(), before);
    let all = home.run(&[&["update", "sf", "Lead", "--all"][..], &set].concat()).expect(0);
    assert_eq!(all.lines().len(), before, "{}", all.stderr);
    all.says("records are to be updated");
    let left = home.run(&["search", "sf", "Lead", "--where", "Title != 'Seen' OR Title IS NULL", "--count"]);
    assert_eq!(left.expect(0).stdout.trim(), "0");
}

#[test]
fn a_parent_stands_in_a_column_by_a_key_of_its_own() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    home.feed(&["create", "sf", "Contact"], "{\"LastName\":\"Moreau\",\"Email\":\"m@example.com\"}")
        .expect(0);
    let file = home.write(
        "invoices.csv",
        "Subject__c,Contact__r.Email\nChairs,m@example.com\nDesks,\nLamps,nobody@example.com\n",
    );
    let ran = home.run(&["create", "sf", "Invoice__c", &file]).expect(1);
    let lines = ran.lines();
    assert_eq!(statuses(&lines), ["created", "created", "failed"], "{lines:?}");
    assert_eq!(lines[2]["error"]["fields"][0]["field"], "Contact__r.Email", "{lines:?}");
    let query = [
        "search",
        "sf",
        "Invoice__c",
        "--select",
        "Subject__c,Contact__r.LastName",
        "--order-by",
        "Subject__c",
    ];
    let read = home.run(&query).expect(0).lines();
    assert_eq!(
        read,
        [
            json!({"Subject__c": "Chairs", "Contact__r": {"LastName": "Moreau"}}),
            json!({"Subject__c": "Desks", "Contact__r": null})
        ]
    );
}

#[test]
fn many_batches_under_way_are_reported_in_the_order_of_the_rows() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let rows: String = (0..1_450)
        .map(|at| match at {
            777 => "{\"Company\":\"without a name\"}\n".to_owned(),
            _ => format!("{{\"LastName\":\"n{at}\",\"Company\":\"c\"}}\n"),
        })
        .collect();
    let lines = home.feed(&["create", "sf", "Lead"], rows).expect(1).lines();
    assert_eq!(lines.len(), 1_450);
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["row"], at);
        assert_eq!(line["status"], if at == 777 { "failed" } else { "created" }, "{line}");
    }
    let stored = emulator.state("Lead");
    assert_eq!(stored.len(), 1_449);
    for at in [0, 199, 200, 1_449] {
        let row = stored.iter().find(|row| row["Id"] == lines[at]["key"]).expect("stored");
        assert_eq!(row["LastName"], format!("n{at}"), "the outcome is that row's own");
    }
}

#[test]
fn a_signal_lets_the_batches_under_way_finish_and_reports_them() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let mut child = home
        .command(&["create", "sf", "Lead"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("stdin");
    let noted = drain(child.stderr.take().expect("stderr"));
    for _ in 0..400 {
        stdin.write_all(b"{\"LastName\":\"a\",\"Company\":\"b\"}\n").expect("written");
    }
    stdin.flush().expect("flushed");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("stdout")));
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains("created"), "{first}");
    signal("INT", child.id());
    let told = 1 + lines.map(|line| line.expect("text")).filter(|line| line.contains("created")).count();
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    noted.join().expect("read");
    drop(stdin);
    assert_eq!(emulator.state("Lead").len(), told, "what is stored is what was told");
}

#[test]
fn a_read_only_connection_refuses_writes_before_the_wire() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    let url = emulator.url();
    home.run(&["connect", "salesforce", "ro", "--emulator", &url, "--no-browser", "--access", "read-only"])
        .expect(0);
    let sent = emulator.requests("/services/data/v60.0/composite").len();
    let ran = home.feed(&["create", "ro", "Contact"], "{\"LastName\":\"x\"}");
    assert_ne!(ran.code(), 0, "{ran:#?}");
    assert_eq!(emulator.requests("/services/data/v60.0/composite").len(), sent);
}

#[test]
fn bad_input_is_refused_with_its_place_and_nothing_is_written() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let deep = format!("{{\"LastName\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: &[(&str, &[u8], &str)] = &[
        ("nothing", b"", "no rows"),
        ("blanks", b" \n\n", "no rows"),
        ("an empty array", b"[]", "no rows"),
        ("malformed", b"{\"LastName\":\"a\"}\n{\"LastName\":}\n", "line 2, column 13"),
        ("cut", b"[{\"LastName\":\"a\"}", "line 1, column 18"),
        ("a number", b"7", "a row is a JSON object"),
        ("a duplicate", b"{\"LastName\":\"a\",\"LastName\":\"b\"}", "twice"),
        ("not UTF-8", b"{\"LastName\":\"\xff\"}", "UTF-8"),
        ("half a surrogate", b"{\"LastName\":\"\\ud800\"}", "surrogate"),
        ("deep", deep.as_bytes(), "deeper"),
        ("a tail", b"[{\"LastName\":\"a\"}] x", "line 1, column 20"),
    ];
    for (name, input, told) in cases {
        let file = home.write("rows.json", input);
        let ran = home.run(&["create", "sf", "Contact", &file]).expect(2);
        assert!(ran.stderr.contains(told), "{name}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{name}");
    }
    for (name, input, told) in [
        ("a short line", "LastName,Title\na\n", "line 2"),
        ("an open quote", "LastName\n\"a\n", "quoted"),
        ("a wrong boolean", "LastName,DoNotCall\na,perhaps\n", "DoNotCall"),
        ("an unknown mark", "LastName,@etag\na,b\n", "@etag"),
        ("a column twice", "LastName,LastName\na,b\n", "twice"),
        ("a head alone", "LastName\n", "no rows"),
    ] {
        let file = home.write("rows.csv", input);
        let ran = home.run(&["create", "sf", "Contact", &file]).expect(2);
        assert!(ran.stderr.contains(told), "{name}: {}", ran.stderr);
    }
    home.run(&["create", "sf", "Contact", "nowhere.json"]).expect(2).says("no file");
    assert_eq!(emulator.state("Contact").len(), 0);
    for row in
        ["{\"@etag\":1,\"LastName\":\"a\"}", "{\"LastNmae\":\"a\"}", "{\"LastName\":\"a\",\"@key\":\"x\"}"]
    {
        let lines = home.feed(&["create", "sf", "Contact"], row).expect(1).lines();
        assert_eq!(statuses(&lines), ["failed"], "{row}");
    }
    assert_eq!(emulator.state("Contact").len(), 0);
}

#[test]
fn fault_62_a_huge_field_in_an_input_row_fails_that_row_alone() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let huge = "x".repeat(50 << 20);
    let rows = format!("{{\"LastName\":\"a\"}}\n{{\"LastName\":\"{huge}\"}}\n{{\"LastName\":\"c\"}}\n");
    let file = home.write("rows.ndjson", rows);
    let ran = home.run(&["create", "sf", "Contact", &file]).expect(1);
    let lines = ran.lines();
    assert_eq!(statuses(&lines), ["created", "failed", "created"]);
    assert!(ran.stdout.len() + ran.stderr.len() < 1 << 20, "the value is not repeated in the report");
    assert_eq!(emulator.state("Contact").len(), 2);
}

#[test]
fn numbers_beyond_a_double_keep_their_digits_on_the_wire() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let row = "{\"Name\":\"x\",\"AnnualRevenue\":12345678901234567.25}";
    let ran = home.feed(&["create", "sf", "Account", "--dry-run"], row);
    assert!(ran.stdout.contains("12345678901234567.25"), "{ran:#?}");
}

#[test]
fn outcomes_come_while_the_input_is_still_open() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let mut child = home
        .command(&["create", "sf", "Lead"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("stdin");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("stdout")));
    for _ in 0..200 {
        stdin.write_all(b"{\"LastName\":\"a\",\"Company\":\"b\"}\n").expect("written");
    }
    stdin.flush().expect("flushed");
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains("created"), "{first}");
    drop(stdin);
    assert_eq!(lines.count(), 199);
    assert!(child.wait().expect("ends").success());
}

#[test]
fn fault_55_a_target_that_asks_for_a_pause_holds_back_the_source_and_nothing_is_lost_or_doubled() {
    let emulator = EmulatorProcess::start(&["--scale", "12"]);
    let home = Home::connected(&emulator);
    let before = emulator.state("Task").len();
    let path = "/services/data/*/composite/sobjects";
    emulator.fault(
        &json!({"method": "POST", "path": path, "kind": "429", "nth": 2, "times": 2, "retry_after": "1"}),
    );
    let mut source = home
        .command(&["search", "sf", "Contact", "--select", "Id", "--page-size", "200"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut rename = std::process::Command::new("sed")
        .args(["-u", "s/\"Id\"/\"Subject\"/"])
        .stdin(source.stdout.take().expect("a pipe"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut target = home.command(&["create", "sf", "Task"]);
    target.stdin(rename.stdout.take().expect("a pipe")).stdout(Stdio::piped());
    let target = target.spawn().expect("starts");
    // The place in the source's result is gone by the time that it goes on.
    while emulator.requests("/services/data/v60.0/composite").len() < 2 {
        std::thread::yield_now();
    }
    emulator.control("POST", "salesforce/expire-locators", &json!({}));
    let told = target.wait_with_output().expect("ends");
    assert!(source.wait().expect("ends").success() && rename.wait().expect("ends").success());
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut ids: Vec<Value> = emulator.state("Contact").iter().map(|row| row["Id"].clone()).collect();
    let tasks = emulator.state("Task");
    assert_eq!(tasks.len(), before + ids.len());
    let is_copy = |row: &&Value| row["Subject"].as_str().is_some_and(|subject| subject.starts_with("003"));
    let mut copies: Vec<Value> = tasks.iter().filter(is_copy).map(|row| row["Subject"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    copies.sort_by_key(Value::to_string);
    assert_eq!(copies, ids);
}
