//! The command line without records: usage, homes, bad states of this machine, signals.

use std::process::Stdio;

use serde_json::json;

use crate::support::command::{EmulatorProcess, Home, finish, mode, on_read_only, program, signal};

#[test]
fn wrong_usage_ends_with_2_and_suggests_what_was_meant() {
    let home = Home::new();
    home.run(&["serach"]).expect(2).says("search");
    home.run(&["search", "sf"]).expect(2).says("TYPE");
    home.run(&["providers", "salesfroce"]).expect(2).says("salesforce");
    home.run(&["connect", "salesforce", "x", "--token", "00Dxx"]).expect(2).says("--token");
    home.run(&["connections", "list", "--timezone", "Mars/Olympus"]).expect(2).says("time zone");
    home.run(&["connections", "list", "--log", "==="]).expect(2).says("log filter");
    home.run(&["search", "sf", "Contact", "--checkpoint", "x"]).expect(2).says("--output");
}

#[test]
fn every_command_shows_an_example_in_its_help() {
    let home = Home::new();
    let commands = [
        "demo",
        "emulator",
        "providers",
        "connect",
        "connections",
        "types",
        "schema show",
        "options",
        "search",
        "get",
        "create",
        "update",
        "upsert",
        "delete",
        "completions",
        "connections list",
        "connections show",
        "connections test",
        "connections authorize",
        "connections remove",
        "connections rekey",
    ];
    for command in commands {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let ran = home.run(&words).expect(0);
        assert!(ran.stdout.contains("Example"), "{command}: {}", ran.stdout);
        assert!(ran.stdout.contains(&format!("recordport {command}")), "{command}: {}", ran.stdout);
    }
}

#[test]
fn completions_are_scripts_of_the_shells() {
    let home = Home::new();
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef recordport"), ("fish", "complete -c recordport")]
    {
        assert!(home.run(&["completions", shell]).expect(0).stdout.contains(mark), "{shell}");
    }
}

#[test]
fn a_provider_tells_its_settings_and_how_to_get_a_client() {
    let home = Home::new();
    let listed = home.run(&["providers"]).expect(0).lines();
    assert!(listed.iter().any(|provider| provider["name"] == "salesforce"), "{listed:?}");
    let told = home.run(&["providers", "salesforce", "--format", "json"]).expect(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).expect("a document");
    assert!(told["config"]["properties"]["sandbox"].is_object(), "{told}");
    assert!(told["docs"].as_str().is_some_and(|docs| !docs.is_empty()), "{told}");
}

#[test]
fn an_unknown_connection_ends_with_4_and_suggests_the_nearest() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    home.run(&["types", "work"]).expect(4).says("recordport connect");
    let home = Home::connected(&emulator);
    home.run(&["types", "sff"]).expect(4).says("Did you mean sf?");
    let ran = home.run(&["types", "sff", "--format", "json"]).expect(4);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("an error as JSON");
    assert_eq!(error["error"]["kind"], "not_found");
    home.run(&["types", "no such name"]).expect(2);
}

#[test]
fn a_connection_is_listed_shown_examined_and_removed() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let url = emulator.url();
    let ran = home.run(&[
        "connect",
        "salesforce",
        "sf",
        "--emulator",
        &url,
        "--no-browser",
        "--access",
        "read-only",
    ]);
    let ran = ran.expect(0);
    for told in ["read-only", "Scopes:", "refresh_token", &url, "stored encrypted", "Nobody else"] {
        ran.says(told);
    }
    home.run(&["connect", "salesforce", "sf", "--emulator", &url]).expect(2).says("already");
    let listed = home.run(&["connections"]).expect(0).lines();
    assert_eq!(listed[0]["name"], "sf");
    assert_eq!(listed[0]["access"], "read-only");
    let shown = home.run(&["connections", "show", "sf"]).expect(0).stdout;
    let secrets = &emulator.ready()["credentials"]["salesforce"];
    assert!(!shown.contains(secrets["client_secret"].as_str().expect("a secret")));
    let examined = home.run(&["connections", "test", "sf"]).expect(0).lines();
    assert_eq!(examined[0]["state"], "ok", "{examined:?}");
    home.run(&["connections", "rekey"]).expect(0);
    home.run(&["connections", "test", "sf"]).expect(0);
    let removed = home.run(&["connections", "remove", "sf"]).expect(0).lines();
    assert_eq!(removed[0]["revoked"], true);
    assert!(!emulator.requests("/services/oauth2/revoke").is_empty());
    assert!(home.run(&["connections"]).expect(0).lines().is_empty());
}

#[test]
fn the_other_grants_connect_too() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    for grant in ["client-credentials", "jwt", "token"] {
        home.run(&["connect", "salesforce", grant, "--emulator", &emulator.url(), "--grant", grant])
            .expect(0);
        home.run(&["connections", "test", grant]).expect(0);
    }
    home.run(&["connect", "salesforce", "b", "--emulator", &emulator.url(), "--grant", "basic"]).expect(2);
}

#[test]
fn the_landing_address_can_be_pasted() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let url = emulator.url();
    let wrong = "http://localhost:7281/callback?code=x&state=y\n";
    home.feed(&["connect", "salesforce", "sf", "--emulator", &url, "--no-browser"], wrong)
        .expect(2)
        .says("state");
    assert!(home.run(&["connections"]).expect(0).lines().is_empty());
}

#[test]
fn a_home_is_private_from_the_first_instant_whatever_the_umask() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let mut command = std::process::Command::new("sh");
    command
        .args([
            "-c",
            "umask 000; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_recordport"),
            "connect",
            "salesforce",
            "sf",
        ])
        .args(["--emulator", &emulator.url(), "--no-browser"])
        .env("RECORDPORT_HOME", home.path())
        .env("RECORDPORT_KEYRING", "off");
    finish(command, None).expect(0);
    assert_eq!(mode(&home.path()), 0o700);
    for file in std::fs::read_dir(home.path()).expect("files") {
        let path = file.expect("a file").path();
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

#[test]
fn a_home_that_cannot_be_used_ends_with_7() {
    let home = Home::new();
    home.write("home", "a file where the directory should be");
    home.run(&["connections"]).expect(7).says("not a directory");

    let home = Home::new();
    let mut command = home.command(&["connections"]);
    command.env("RECORDPORT_HOME", "/proc/recordport");
    let ran = finish(command, None);
    assert_eq!(ran.code(), 7, "{ran:#?}");
}

#[test]
fn a_home_on_a_read_only_file_system_ends_with_7_and_is_left_as_it_was() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let before = std::fs::read(home.path().join("recordport.db")).expect("a store");
    let Some(ran) = on_read_only(&home.path(), &home.command(&["types", "sf"])) else { return };
    ran.expect(7).says("read-only");
    assert_eq!(std::fs::read(home.path().join("recordport.db")).expect("a store"), before);
    home.run(&["types", "sf"]).expect(0);
}

#[test]
fn a_file_of_the_home_that_cannot_be_written_is_named_with_what_to_do_and_left_as_it_was() {
    let home = Home::new();
    for (name, words) in [
        ("recordport.db", ["connections", "list"]),
        ("mappings.db", ["map", "list"]),
        ("runs.db", ["runs", "list"]),
    ] {
        home.run(&words).expect(0);
        let file = home.path().join(name);
        let before = std::fs::read(&file).expect("a file");
        let Some(ran) = on_read_only(&file, &home.command(&words)) else { return };
        let ran = ran.expect(7);
        ran.says(name);
        ran.says("read-only");
        ran.says("--home");
        assert_eq!(std::fs::read(&file).expect("a file"), before, "{name}");
        home.run(&words).expect(0);
    }
}

#[test]
fn fault_44_a_store_that_is_damaged_or_newer_or_locked_away_is_left_alone() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    let store = home.path().join("recordport.db");
    let good = std::fs::read(&store).expect("a store");

    let mut wrong_key = home.command(&["types", "sf"]);
    wrong_key.env("RECORDPORT_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    finish(wrong_key, None).expect(7).says("key");
    home.run(&["connections", "test", "sf"]).expect(0);

    std::fs::write(&store, [b"not a database, ".repeat(64), good[1024..].to_vec()].concat())
        .expect("written");
    let damaged = std::fs::read(&store).expect("read");
    home.run(&["connections"]).expect(7);
    assert_eq!(std::fs::read(&store).expect("read"), damaged);
}

#[test]
fn no_network_ends_with_5() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let home = Home::new();
    let mut command =
        home.command(&["connect", "salesforce", "sf", "--endpoint", &closed, "--client-id", "x"]);
    command.args(["--grant", "client-credentials"]).env("RECORDPORT_CLIENT_SECRET", "not-so-secret-value");
    let ran = finish(command, None);
    assert_eq!(ran.code(), 5, "{ran:#?}");
    assert!(!ran.stderr.contains("not-so-secret-value"));
}

#[test]
fn a_login_page_in_place_of_the_service_ends_with_5() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::connected(&emulator);
    emulator
        .fault(&json!({"service": "salesforce", "path": "/services/data/*", "kind": "html200", "times": 50}));
    home.run(&["types", "sf"]).expect(5);
}

#[test]
fn a_port_in_use_ends_with_7() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let mut command = program();
    command.args(["emulator", "--listen", &address]);
    finish(command, None).expect(7).says("cannot listen");
}

#[test]
fn a_signal_ends_the_emulator_with_its_code() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let mut child = program()
            .args(["emulator", "--empty"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("a ready line");
        signal(name, child.id());
        assert_eq!(child.wait().expect("ends").code(), Some(code), "{name}");
    }
}

#[test]
fn fault_75_no_secret_is_taken_from_an_argument() {
    let home = Home::new();
    let help = home.run(&["connect", "--help"]).expect(0).stdout;
    for flag in ["--token ", "--client-secret ", "--password ", "--secret "] {
        assert!(!help.contains(flag), "{flag}");
    }
    home.run(&["connect", "salesforce", "sf", "--client-secret", "x"]).expect(2);
}
