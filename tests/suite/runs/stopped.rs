//! Runs that stop before their end, and what keeps them from doing harm.

use serde_json::{Value, json};

use super::{World, counts, dynamics_to_salesforce, salesforce_to_new_contacts, summary};
use crate::support::command::{drain, signal, until};

#[test]
fn a_run_that_fails_too_much_stops_and_goes_on_when_more_is_allowed() {
    let world = World::of(&["--scale", "3"], &["dv"]);
    let mut mapping = dynamics_to_salesforce();
    mapping["fields"][1] = json!({"to": "Name", "cases": [
        {"where": "name LIKE 'A%'", "from": "name"},
        {"const": "Other"},
    ]});
    // Telephone numbers are no dates: each row that has one fails.
    mapping["fields"][2] = json!({"to": "Description", "from": "telephone1", "steps": [
        {"op": "default", "value": "none"},
        {"op": "picklist", "map": {"1": "one"}, "else": "error"},
    ]});
    let file = world.mapping(&mapping);
    let ran = world.run(&[&file]).expect(1);
    ran.says("more than 50%");
    let run = summary(&ran);
    assert_eq!(run["state"], "stopped");
    assert_eq!(run["error"]["code"], "too_many_failures");
    let read = counts(&run)["read"].as_u64().expect("a number");
    let all = world.state("dynamics", "account").len() as u64;
    assert!((100..all).contains(&read), "{read} of {all}");
    let id = run["run"].as_str().expect("an id");
    let prune =
        |more: &[&str]| world.home.run(&[&["runs", "prune", "--older-than"], more].concat()).expect(0);
    prune(&["0s"]).says("0 runs forgotten");
    let resumed = summary(&world.run(&["--resume", id, "--max-failures", "100%"]).expect(1));
    assert_eq!((&resumed["state"], &counts(&resumed)["read"]), (&json!("finished"), &json!(all)));
    let failed = world.home.run(&["runs", "show", id, "--failed"]).expect(0).lines();
    assert_eq!(failed.len() as u64, all, "each row is reported once");

    // What is over goes when it is told to, and only then.
    prune(&["30d"]).says("0 runs forgotten");
    prune(&["0s", "--dry-run"]).says("1 runs would be forgotten");
    assert_eq!(world.runs().len(), 1);
    assert_eq!(summary(&prune(&["0s"]))["run"], json!(id));
    assert!(world.runs().is_empty());
    world.home.run(&["runs", "show", id, "--failed"]).expect(4);
}

#[test]
fn two_runs_of_a_mapping_exclude_each_other_and_an_unfinished_one_is_not_doubled() {
    let world = World::of(&[], &["dv"]);
    let file = world.mapping(&salesforce_to_new_contacts());
    let before = world.state("dynamics", "contact").len();
    world.emulator.fault(&json!({
        "service": "dynamics", "method": "POST", "path": "*/contacts*", "kind": "hang", "delay_ms": 60_000,
    }));
    let mut command = world.home.command(&["run", &file]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("starts");
    until("a write", || world.struck());
    world.run(&[&file]).expect(5).says("is running already");
    assert_eq!(world.latest()["state"], "running");
    child.kill().expect("is killed");
    child.wait().expect("ends");
    world.emulator.control("DELETE", "faults", &Value::Null);
    let latest = world.latest();
    assert_eq!(latest["state"], "interrupted");
    let id = latest["run"].as_str().expect("an id");
    world.run(&[&file]).expect(2).says(id);
    let resumed = summary(&world.run(&["--resume", id]).expect(0));
    let created = counts(&resumed)["created"].as_u64().expect("a number");
    assert_eq!(world.state("dynamics", "contact").len() as u64, before as u64 + created);
    // What is over is not begun again.
    world.run(&["--resume", id]).expect(0).says("come to its end");
    assert_eq!(world.state("dynamics", "contact").len() as u64, before as u64 + created);
}

#[test]
fn a_signal_lets_the_batch_finish_and_keeps_the_place() {
    let world = World::of(&["--scale", "2"], &["dv"]);
    let file = world.mapping(&dynamics_to_salesforce());
    world.emulator.fault(&json!({
        "service": "salesforce", "path": "*/composite/*", "kind": "slow", "delay_ms": 20, "times": 1,
    }));
    let mut command = world.home.command(&["run", &file]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let told = drain(child.stderr.take().expect("stderr"));
    until("a write", || world.struck());
    signal("TERM", child.id());
    let (status, told) = (child.wait().expect("ends"), told.join().expect("read"));
    assert_eq!(status.code(), Some(143), "{told}");
    assert!(told.contains("run --resume"), "{told}");
    let id = world.latest()["run"].as_str().expect("an id").to_owned();
    let resumed = summary(&world.run(&["--resume", &id]).expect(0));
    assert_eq!(counts(&resumed)["read"], world.state("dynamics", "account").len());
}

#[test]
fn an_expired_token_is_renewed_and_one_that_is_refused_stops_the_run_until_it_is_mended() {
    let world = World::of(&["--scale", "2"], &["dv"]);
    let file = world.mapping(&dynamics_to_salesforce());
    let all = world.state("dynamics", "account").len();
    let before = world.state("salesforce", "Account").len();
    let rule = |kind: &str, nth: u64, times: u64| json!({"service": "salesforce", "path": "*/composite/*", "kind": kind, "nth": nth, "times": times});
    world.emulator.fault(&rule("expire_token", 2, 1));
    let renewed = summary(&world.run(&[&file]).expect(0));
    assert_eq!(counts(&renewed)["created"], all);
    world.emulator.control("DELETE", "faults", &Value::Null);

    world.emulator.fault(&rule("401", 2, 50));
    let refused = world.run(&[&file]).expect(3);
    refused.says("run --resume");
    let stopped = summary(&refused);
    assert_eq!((&stopped["state"], &counts(&stopped)["failed"]), (&json!("stopped"), &json!(0)));
    world.emulator.control("DELETE", "faults", &Value::Null);
    world.home.run(&["connections", "authorize", "sf", "--no-browser"]);
    let id = stopped["run"].as_str().expect("an id");
    let resumed = summary(&world.run(&["--resume", id]).expect(0));
    assert_eq!(counts(&resumed)["updated"], all);
    assert_eq!(world.state("salesforce", "Account").len(), before + all);
}

#[cfg(unix)]
#[test]
fn a_full_disk_stops_a_run_before_its_next_batch_and_it_goes_on_afterwards() {
    let world = World::of(&["--scale", "2"], &["dv"]);
    let file = world.mapping(&dynamics_to_salesforce());
    let all = world.state("dynamics", "account").len();
    let before = world.state("salesforce", "Account").len();
    // Files cannot grow beyond this, and the signal that says so is ignored as by most services.
    let program = env!("CARGO_BIN_EXE_recordport");
    let mut command = world.home.command(&[]);
    let script = format!("trap '' XFSZ; ulimit -f 120; exec {program} run {file}");
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = std::process::Command::new("bash");
    command.args(["-c", &script]).current_dir(world.file(""));
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let stopped = crate::support::command::finish(command, None);
    assert_eq!(stopped.code(), 7, "{stopped:#?}");
    let written = world.state("salesforce", "Account").len() - before;
    assert!(written < all, "it stopped at {written}");
    let id = world.latest()["run"].as_str().expect("an id").to_owned();
    let resumed = summary(&world.run(&["--resume", &id]).expect(0));
    assert_eq!(counts(&resumed)["read"], all);
    assert_eq!(world.state("salesforce", "Account").len(), before + all);
}
