//! No secret leaves by a side door: everything that commands print at trace level, and every file they leave, is
//! searched for every secret that the emulator gave out or was sent.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, Ran, control, finish, mode, signal};
use crate::support::evidence::{files_below, secrets_of};

#[test]
fn fault_73_no_secret_stands_in_any_output_or_file() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    let mut printed = Vec::new();
    let url = emulator.url();
    let account = emulator.ready()["credentials"]["salesforce"].clone();
    let text = |name: &str| account[name].as_str().unwrap().to_owned();

    let commands: &[&[&str]] = &[
        &["connect", "salesforce", "sf", "--emulator", &url, "--no-browser"],
        &["connections", "list"],
        &["connections", "show", "sf"],
        &["connections", "test", "sf"],
        &["providers", "salesforce"],
        &["types", "sf"],
        &["schema", "show", "sf", "Contact", "--for", "create"],
        &["search", "sf", "Contact", "--where", "LastName LIKE 'S%'", "--explain"],
        &["search", "sf", "Contact", "--limit", "3", "--format", "json"],
        &["search", "sf", "Contact", "--where", "Nope = 1"],
        &["search", "sf", "Contact", "--native", "LastName = 'x' LIMIT 1"],
        &["get", "sf", "Contact", "003000000000000AAA"],
        &["options", "sf", "Contact", "AccountId"],
        &["delete", "sf", "Contact", "003000000000000AAA"],
        &["search", "sf", "NoSuchType"],
        &["search", "nowhere", "Contact"],
    ];
    for command in commands {
        printed.push(traced(&home, command, None));
    }
    printed.push(traced(&home, &["create", "sf", "Contact"], Some(r#"{"LastName":"Rivers"}"#)));
    printed.push(traced(&home, &["create", "sf", "Contact", "--dry-run"], Some(r#"{"LastName":"Rivers"}"#)));
    for kind in ["401", "403", "429", "503", "html200", "redirect", "expire_token", "badjson", "evilnext"] {
        emulator.fault(&json!({"service": "salesforce", "path": "/services/data/*", "kind": kind, "times": 1, "retry_after": "0"}));
        printed.push(traced(&home, &["search", "sf", "Account", "--limit", "5"], None));
    }
    // Tokens that are wrong are secret all the same.
    let planted = "00Dplanted!pastedTokenThatIsNotGood0123456789";
    let pasted = ["connect", "salesforce", "pasted", "--endpoint", &url, "--grant", "token", "--token-stdin"];
    printed.push(traced(&home, &pasted, Some(planted)));
    printed.push(traced(&home, &["connections", "test", "pasted"], None));
    let machine = [
        "connect",
        "salesforce",
        "machine",
        "--endpoint",
        &url,
        "--grant",
        "client-credentials",
        "--client-id",
        &text("client_id"),
        "--client-secret-stdin",
    ];
    printed.push(traced(&home, &machine, Some(&text("client_secret"))));
    printed.push(traced(&home, &["search", "machine", "Account", "--limit", "1"], None));
    printed.push(traced(&home, &["connections", "rekey"], None));
    printed.push(traced(&home, &["connections", "remove", "sf"], None));

    let mut secrets = secrets_of(
        &emulator.control("GET", "credentials", &Value::Null),
        &emulator.control("GET", "requests", &Value::Null),
    );
    secrets.insert(planted.to_owned());
    assert!(secrets.len() > 8, "codes, verifiers, tokens and passwords were collected: {}", secrets.len());
    let mut haystacks: Vec<(String, Vec<u8>)> = printed
        .into_iter()
        .enumerate()
        .map(|(at, ran)| (format!("output {at}"), format!("{}\n{}", ran.stdout, ran.stderr).into_bytes()))
        .collect();
    let files = files_below(&home.path());
    assert!(!files.is_empty(), "the home holds a store");
    haystacks.extend(files.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())));
    let found = search(&haystacks, &secrets);
    assert!(found.is_empty(), "{}", found.join("\n"));

    // The search itself works: a planted secret is found in every form.
    for form in forms(planted) {
        let hay = vec![("planted".to_owned(), format!("before {form} after").into_bytes())];
        assert_eq!(search(&hay, &secrets).len(), 1, "{form}");
    }
}

#[test]
fn the_demo_prints_no_secret_of_its_emulator() {
    let home = Home::new();
    let (out, err) = (home.file("demo.out"), home.file("demo.err"));
    let mut command = home.command(&["demo", "--no-browser"]);
    command.env("RECORDPORT_LOG", "trace").stdin(std::process::Stdio::null());
    command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::fs::File::create(&err).unwrap());
    let mut demo = command.spawn().unwrap();
    // It stays up when it has shown everything, so that its own emulator can be asked what it was sent.
    let url = loop {
        let said = std::fs::read_to_string(&err).unwrap();
        let address = said.split_once("with the emulator at ").and_then(|(_, rest)| rest.split_once(' '));
        if let Some((address, _)) = address {
            break address.to_owned();
        }
        assert!(demo.try_wait().unwrap().is_none(), "the demo ended early: {said}");
        std::thread::yield_now();
    };
    let secrets = secrets_of(
        &control(&url, "GET", "credentials", &Value::Null),
        &control(&url, "GET", "requests", &Value::Null),
    );
    signal("TERM", demo.id());
    demo.wait().unwrap();
    assert!(secrets.len() > 8, "codes, verifiers and tokens were collected: {}", secrets.len());
    let mut files = files_below(&home.path());
    assert!(!files.is_empty(), "the home holds a store");
    files.extend([out, err]);
    let haystacks: Vec<(String, Vec<u8>)> =
        files.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    let found = search(&haystacks, &secrets);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_home_is_private_from_the_first_instant_whatever_the_umask() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::new();
    let mut shell = std::process::Command::new("sh");
    let inner = home.command(&["connect", "salesforce", "sf", "--emulator", &emulator.url(), "--no-browser"]);
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    finish(shell, None).expect(0);
    assert_eq!(mode(&home.path()), 0o700);
    let files = files_below(&home.path());
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

fn traced(home: &Home, arguments: &[&str], input: Option<&str>) -> Ran {
    let mut command = home.command(arguments);
    command.env("RECORDPORT_LOG", "trace");
    finish(command, input.map(str::as_bytes))
}

/// The ways in which a secret could be written.
fn forms(secret: &str) -> BTreeSet<String> {
    let json = Value::String(secret.to_owned()).to_string();
    [
        secret.to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        json[1..json.len() - 1].to_owned(),
    ]
    .into_iter()
    .collect()
}

fn search(haystacks: &[(String, Vec<u8>)], secrets: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, bytes) in haystacks {
        let text = String::from_utf8_lossy(bytes);
        for secret in secrets {
            if let Some(form) = forms(secret).iter().find(|form| text.contains(form.as_str())) {
                let shown: String = form.chars().take(6).collect();
                found.push(format!("{place} contains a secret that begins with {shown}"));
            }
        }
    }
    found
}
