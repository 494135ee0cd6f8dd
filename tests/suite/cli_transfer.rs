//! Connections on their way from one home to another.

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, Ran, finish};

const PASSPHRASE: &str = "a long enough passphrase";

fn with_passphrase(home: &Home, passphrase: &str, arguments: &[&str], input: Option<&str>) -> Ran {
    let mut command = home.command(arguments);
    command.env("RECORDPORT_PASSPHRASE", passphrase);
    finish(command, input.map(str::as_bytes))
}

#[test]
fn connections_move_to_another_home_under_a_passphrase() {
    let emulator = EmulatorProcess::start(&[]);
    let here = Home::connected(&emulator);
    let exported = with_passphrase(&here, PASSPHRASE, &["connections", "export"], None).expect(0);
    exported.says("only one of the two copies");
    let tokens = &emulator.ready()["credentials"]["salesforce"];
    for secret in ["access_token", "refresh_token", "client_secret"] {
        assert!(!exported.stdout.contains(tokens[secret].as_str().unwrap()), "{secret}");
    }

    let there = Home::new();
    let document = exported.stdout.as_str();
    with_passphrase(&there, "another passphrase", &["connections", "import"], Some(document))
        .expect(2)
        .says("do not open");
    there.feed(&["connections", "import"], document).expect(2).says("RECORDPORT_PASSPHRASE");
    assert_eq!(
        there.run(&["connections", "list"]).expect(0).lines(),
        Vec::<Value>::new(),
        "nothing was stored"
    );
    let imported = with_passphrase(&there, PASSPHRASE, &["connections", "import"], Some(document)).expect(0);
    assert_eq!(imported.lines(), [json!({"name": "sf", "status": "imported", "sealed": true})]);
    there.run(&["search", "sf", "Account", "--limit", "1"]).expect(0);

    let again = with_passphrase(&there, PASSPHRASE, &["connections", "import"], Some(document)).expect(1);
    assert_eq!(again.lines()[0]["status"], "failed");
    there.run(&["search", "sf", "Account", "--limit", "1"]).expect(0);
}

#[test]
fn without_a_passphrase_secrets_stay_and_the_connection_says_so() {
    let emulator = EmulatorProcess::start(&[]);
    let here = Home::connected(&emulator);
    let exported = here.run(&["connections", "export", "sf"]).expect(0);
    exported.says("secrets and tokens stay here");
    let document: Value = serde_json::from_str(&exported.stdout).unwrap();
    assert_eq!(document["connections"][0].get("tokens"), None);
    let there = Home::new();
    let file = there.write("connections.json", &exported.stdout);
    there.run(&["connections", "import", &file]).expect(0).says("connections authorize sf");
    assert_eq!(there.run(&["connections", "list"]).expect(0).lines()[0]["standing"], "needs authorisation");
    there.run(&["search", "sf", "Account", "--limit", "1"]).expect(3).says("authorize");
}

#[test]
fn a_changed_or_foreign_document_is_refused_whole() {
    let emulator = EmulatorProcess::start(&[]);
    let here = Home::connected(&emulator);
    let exported = with_passphrase(&here, PASSPHRASE, &["connections", "export"], None).expect(0);
    let mut document: Value = serde_json::from_str(&exported.stdout).unwrap();
    // Where the tokens go is part of what is sealed.
    document["connections"][0]["connection"]["endpoint"] = json!("http://127.0.0.1:9");
    let there = Home::new();
    let text = document.to_string();
    with_passphrase(&there, PASSPHRASE, &["connections", "import"], Some(&text))
        .expect(2)
        .says("was changed");
    for text in [
        "",
        "{}",
        "[1]",
        r#"{"recordport":"connections/9","created":"2026-01-01T00:00:00Z","connections":[]}"#,
    ] {
        there.feed(&["connections", "import"], text).expect(2);
    }
    with_passphrase(&here, "short", &["connections", "export"], None).expect(2).says("12 characters");
    here.run(&["connections", "export", "nowhere"]).expect(4);
    assert_eq!(there.run(&["connections", "list"]).expect(0).lines(), Vec::<Value>::new());
}
