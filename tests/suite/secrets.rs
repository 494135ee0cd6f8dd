//! No secret leaves by a side door: everything that commands print at trace level, and every file they leave, is
//! searched for every secret that the emulator gave out or was sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, Ran, control, finish, mode, signal};

/// Parameters of token requests that are secret.
const SECRET_PARAMETERS: [&str; 8] = [
    "code",
    "code_verifier",
    "client_secret",
    "refresh_token",
    "access_token",
    "password",
    "assertion",
    "token",
];

/// What stands in the published credentials without being secret.
const PUBLIC_CREDENTIALS: [&str; 5] = ["client_id", "username", "redirect_uri", "organization_id", "user_id"];

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

    let mut secrets = secrets_of(&|path| emulator.control("GET", path, &Value::Null));
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
    let secrets = secrets_of(&|path| control(&url, "GET", path, &Value::Null));
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

/// Everything secret that the emulator published or was sent.
fn secrets_of(ask: &dyn Fn(&str) -> Value) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    let credentials = ask("credentials");
    published_secrets(&credentials, &mut secrets);
    for request in ask("requests")["requests"].as_array().unwrap() {
        for (name, value) in header_pairs(&request["headers"]) {
            if name.eq_ignore_ascii_case("cookie") {
                secrets.insert(value);
            } else if name.eq_ignore_ascii_case("authorization") {
                let (scheme, rest) = value.split_once(' ').unwrap_or(("", &value));
                secrets.insert(rest.to_owned());
                if scheme.eq_ignore_ascii_case("basic")
                    && let Ok(decoded) = STANDARD.decode(rest)
                    && let Some((_, password)) = String::from_utf8_lossy(&decoded).split_once(':')
                {
                    secrets.insert(password.to_owned());
                }
            }
        }
        let body = request["body"].as_str().unwrap_or_default();
        let query = request["query"].as_str().unwrap_or_default();
        for pair in body.split('&').chain(query.split('&')) {
            if let Some((name, value)) = pair.split_once('=')
                && SECRET_PARAMETERS.contains(&name)
            {
                secrets.insert(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned());
            }
        }
    }
    secrets.retain(|secret| secret.len() >= 8);
    secrets
}

/// The secrets of the published credentials, whatever their nesting.
fn published_secrets(credentials: &Value, secrets: &mut BTreeSet<String>) {
    for (name, value) in credentials.as_object().unwrap() {
        match value {
            Value::String(file) if name.ends_with("_file") => {
                let key = std::fs::read_to_string(file).unwrap();
                secrets.extend(key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
            }
            Value::String(text) if !PUBLIC_CREDENTIALS.contains(&name.as_str()) => {
                secrets.insert(text.clone());
            }
            Value::Object(_) => published_secrets(value, secrets),
            _ => {}
        }
    }
}

/// Headers as the log has them: an object, or a list of pairs.
fn header_pairs(headers: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match headers {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        Value::Array(pairs) => pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        other => panic!("headers of the log: {other}"),
    }
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

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { vec![entry.path()] })
        .collect()
}
