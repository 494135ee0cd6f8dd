//! Twelve ways in which a connection breaks, as the user of the command line meets them: each is told apart,
//! with its own advice and exit code.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::command::{EmulatorProcess, Home, Ran};

/// One emulator with one home whose connection `sf` works, until `break_it` has been there.
struct Case {
    emulator: EmulatorProcess,
    home: Home,
}

impl Case {
    fn start() -> Self {
        let emulator = EmulatorProcess::start(&[]);
        let home = Home::connected(&emulator);
        Self { emulator, home }
    }

    fn credential(&self, name: &str) -> String {
        let text = self.emulator.ready()["credentials"]["salesforce"][name].as_str();
        text.expect("a credential").to_owned()
    }

    fn change_client(&self, change: Value) {
        let mut all = json!({ "service": "salesforce", "client_id": self.credential("client_id") });
        all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.emulator.control("POST", "oauth/clients", &all);
    }

    fn revoke(&self) {
        let user =
            json!({ "service": "salesforce", "username": self.credential("username"), "revoke": true });
        self.emulator.control("POST", "oauth/users", &user);
    }

    fn fault(&self, path: &str, rule: Value) {
        let mut all = json!({ "service": "salesforce", "path": path });
        all.as_object_mut().expect("an object").extend(rule.as_object().expect("an object").clone());
        self.emulator.fault(&all);
    }

    /// The next call of the data API finds its access token expired.
    fn expire(&self) {
        self.fault("/services/data/*", json!({ "kind": "expire_token", "times": 1 }));
    }

    fn test(&self) -> Ran {
        self.home.run(&["connections", "test", "sf", "--format", "ndjson"])
    }
}

/// What a run told: exit code, the doctor's word, the error's code, and the advice.
#[derive(Debug)]
struct Told {
    exit: i32,
    state: String,
    code: String,
    advice: String,
}

fn told(ran: Ran) -> Told {
    let diagnosis = ran.lines().into_iter().next().unwrap_or_else(|| panic!("{ran:#?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let advice = text(&diagnosis["error"]["advice"]);
    ran.says(&advice);
    Told {
        exit: ran.code(),
        state: text(&diagnosis["state"]),
        code: text(&diagnosis["error"]["code"]),
        advice,
    }
}

/// A host that is up and knows nothing: every question is a 404.
fn stranger() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 16 * 1024]);
                let _ = stream.write_all(
                    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\nConnection: \
                      close\r\n\r\nnot found",
                );
            });
        }
    });
    address
}

#[test]
fn fault_74_a_crash_leaves_no_memory_on_the_disk() {
    let emulator = EmulatorProcess::start(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", emulator.id())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

#[test]
fn fault_75_secrets_are_not_taken_from_arguments() {
    let home = Home::new();
    for flag in ["--client-secret", "--token", "--password", "--secret", "--private-key", "--master-key"] {
        let ran = home.run(&["connect", "salesforce", "sf", "--client-id", "x", flag, "a-secret-value"]);
        assert_eq!(ran.code(), 2, "{flag}: {ran:?}");
        assert!(!home.path().exists(), "{flag} was taken");
    }
}

#[test]
fn fault_75_the_browser_does_not_inherit_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = Case::start();
    let dump = case.home.file("environment.txt");
    // What starts browsers here; `open` tries several.
    let bin = case.home.file("bin");
    std::fs::create_dir(&bin).expect("a directory");
    for name in ["xdg-open", "gio", "gnome-open", "kde-open", "wslview"] {
        let script = format!("#!/bin/sh\nenv > '{0}.part' && mv '{0}.part' '{0}'\n", dump.display());
        std::fs::write(bin.join(name), script).expect("a script");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("may run");
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let redirect = format!("http://localhost:{port}/callback");
    let (url, id) = (case.emulator.url(), case.credential("client_id"));
    let mut command = case.home.command(&[
        "connect",
        "salesforce",
        "other",
        "--endpoint",
        &url,
        "--client-id",
        &id,
        "--redirect-uri",
        &redirect,
    ]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display()));
    command.env("RECORDPORT_CLIENT_SECRET", "a-canary-secret").env("UNRELATED", "stays");
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let start = std::time::Instant::now();
    while !dump.exists() && start.elapsed() < std::time::Duration::from_secs(30) {
        std::thread::yield_now();
    }
    child.kill().expect("ends");
    child.wait().expect("has ended");
    let environment = std::fs::read_to_string(&dump).expect("a browser was started");
    assert!(environment.contains("UNRELATED=stays"), "{environment}");
    assert!(
        !environment.contains("a-canary-secret") && !environment.contains("RECORDPORT_"),
        "{environment}"
    );
}

#[test]
fn a_connection_that_works_is_told_so() {
    let case = Case::start();
    let ran = case.test().expect(0);
    let diagnosis = &ran.lines()[0];
    assert_eq!((&diagnosis["state"], &diagnosis["error"]), (&json!("ok"), &Value::Null));
    let checks: Vec<&str> = diagnosis["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|found| found["check"].as_str())
        .collect();
    for check in ["key", "reachable", "clock", "token", "scopes", "expiry", "quota"] {
        assert!(checks.contains(&check), "{check} is not in {checks:?}");
    }
}

#[test]
fn twelve_broken_connections_each_with_its_own_advice_and_exit_code() {
    let mut seen: Vec<(&str, Told)> = Vec::new();

    let case = Case::start();
    case.revoke();
    seen.push(("revoked", told(case.test())));
    let again = told(case.test());
    assert_eq!((again.exit, again.code.as_str()), (3, "needs_reconnect"), "and it stays so without asking");

    let case = Case::start();
    let token = case.credential("access_token");
    case.home.run(&["connections", "remove", "sf"]).expect(0);
    case.emulator.control("POST", "reset", &Value::Null);
    let arguments = [
        "connect",
        "salesforce",
        "sf",
        "--grant",
        "token",
        "--token-stdin",
        "--endpoint",
        &case.emulator.url(),
    ];
    case.home.feed(&arguments, format!("{token}\n")).expect(0);
    case.expire();
    seen.push(("expired", told(case.test())));

    let case = Case::start();
    case.change_client(json!({ "client_secret": "changed since then" }));
    case.expire();
    seen.push(("wrong secret", told(case.test())));

    let case = Case::start();
    case.change_client(json!({ "installed": false }));
    case.expire();
    seen.push(("app not installed", told(case.test())));

    let case = Case::start();
    case.home.run(&["connections", "remove", "sf"]).expect(0);
    let arguments = ["connect", "salesforce", "sf", "--emulator", &case.emulator.url(), "--no-browser"];
    let few = case.home.run(&[&arguments[..], &["--scopes", "id refresh_token"]].concat());
    assert_ne!(few.code(), 0, "{few:?}");
    seen.push(("missing scope", told(case.test())));

    let case = Case::start();
    case.home.run(&["connections", "remove", "sf"]).expect(0);
    let elsewhere = stranger();
    let arguments =
        ["connect", "salesforce", "sf", "--grant", "token", "--token-stdin", "--endpoint", &elsewhere];
    let connected = case.home.feed(&arguments, "some-token\n");
    assert_ne!(connected.code(), 0, "{connected:?}");
    seen.push(("wrong host", told(case.test())));

    let case = Case::start();
    case.emulator.control("POST", "clock", &json!({ "advance": "PT10M" }));
    seen.push(("clock off by 10 min", told(case.test())));

    let Case { emulator, home } = Case::start();
    drop(emulator);
    seen.push(("no network", told(home.run(&["connections", "test", "sf", "--format", "ndjson"]))));

    let case = Case::start();
    case.fault("/services/data/*", json!({ "kind": "html200", "times": 100 }));
    seen.push(("login page", told(case.test())));

    let case = Case::start();
    let refusal =
        json!([{ "message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED" }]);
    case.fault("/services/data/*", json!({ "kind": "status", "status": 403, "body": refusal, "times": 100 }));
    seen.push(("quota used up", told(case.test())));

    let case = Case::start();
    case.home.run(&["connections", "remove", "sf"]).expect(0);
    let arguments = ["connect", "salesforce", "sf", "--emulator", &case.emulator.url(), "--no-browser"];
    case.home.run(&[&arguments[..], &["--access", "read-only"]].concat()).expect(0);
    case.emulator.control("DELETE", "requests", &Value::Null);
    let ran = case.home.feed(&["create", "sf", "Account"], "{\"Name\":\"Nobody\"}");
    ran.says("the connection is read-only");
    ran.says("--access read-write");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert!(case.emulator.requests("/").is_empty(), "refused before the wire");
    let advice = "--access read-write".to_owned();
    let refused =
        Told { exit: ran.code(), state: "refused".into(), code: "read_only_connection".into(), advice };
    seen.push(("read-only grant", refused));

    let case = Case::start();
    std::fs::remove_file(case.home.path().join("master.key")).expect("goes");
    seen.push(("key missing", told(case.test())));

    for (what, told) in &seen {
        println!("{what:<20} exit {} {:<16} {:<24} {}", told.exit, told.state, told.code, told.advice);
    }
    let found: Vec<(&str, i32, &str, &str)> =
        seen.iter().map(|(what, told)| (*what, told.exit, told.state.as_str(), told.code.as_str())).collect();
    assert_eq!(
        found,
        [
            ("revoked", 3, "revoked", "invalid_grant"),
            ("expired", 3, "needs_reconnect", "no_refresh_token"),
            ("wrong secret", 3, "misconfigured", "invalid_client"),
            ("app not installed", 5, "misconfigured", "app_not_found"),
            ("missing scope", 3, "misconfigured", "missing_scope"),
            ("wrong host", 5, "misconfigured", "wrong_host"),
            ("clock off by 10 min", 7, "misconfigured", "clock_off"),
            ("no network", 5, "unreachable", "unreachable"),
            ("login page", 5, "unreachable", "not_json"),
            ("quota used up", 5, "unreachable", "REQUEST_LIMIT_EXCEEDED"),
            ("read-only grant", 2, "refused", "read_only_connection"),
            ("key missing", 7, "misconfigured", "master_key_missing"),
        ]
    );
    let advice: BTreeSet<&str> = seen.iter().map(|(_, told)| told.advice.as_str()).collect();
    assert_eq!(advice.len(), 12, "no two of them give the same advice");
}
