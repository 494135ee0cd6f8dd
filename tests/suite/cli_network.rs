//! What stands between this machine and a provider: names that do not resolve, proxies.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::support::command::{EmulatorProcess, Home, Ran, finish};

/// Nothing answers under this name (RFC 6761 section 6.4).
const NOWHERE: &str = "org.recordport.invalid";
const TOKEN: &str = "00Dnetwork!aTokenThatMustNotBeSent0123456789";

/// A proxy that lets nobody through and keeps what it was asked.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = [0_u8; 4096];
                let length = stream.read(&mut head).unwrap_or(0);
                kept.lock().expect("kept").push(String::from_utf8_lossy(&head[..length]).into_owned());
                let _ = stream
                    .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("kept").clone()
    }
}

fn connect_nowhere(home: &Home, environment: &[(&str, &str)]) -> Ran {
    let endpoint = format!("https://{NOWHERE}");
    let mut command = home.command(&[
        "connect",
        "salesforce",
        "far",
        "--endpoint",
        &endpoint,
        "--grant",
        "token",
        "--token-stdin",
    ]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(environment.iter().copied());
    finish(command, Some(TOKEN.as_bytes()))
}

#[test]
fn fault_19_a_name_that_does_not_resolve_is_told_without_the_token() {
    let home = Home::new();
    let ran = connect_nowhere(&home, &[]).expect(5);
    ran.says(NOWHERE);
    assert!(!ran.stderr.contains(TOKEN) && !ran.stdout.contains(TOKEN));
}

#[test]
fn fault_68_a_proxy_is_used_as_the_environment_says_and_sees_no_token() {
    let proxy = Proxy::start();
    connect_nowhere(&Home::new(), &[("HTTPS_PROXY", &proxy.address)]).expect(5).says("PROXY");
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for request in &asked {
        assert!(request.starts_with(&format!("CONNECT {NOWHERE}:443 ")), "{request}");
        assert!(!request.contains("00Dnetwork"), "{request}");
    }

    let passed_by = Proxy::start();
    let environment = [("HTTPS_PROXY", passed_by.address.as_str()), ("NO_PROXY", NOWHERE)];
    connect_nowhere(&Home::new(), &environment).expect(5).says(NOWHERE);
    assert_eq!(passed_by.asked(), Vec::<String>::new());
}

#[test]
fn fault_68_addresses_of_this_machine_never_go_through_a_proxy() {
    let emulator = EmulatorProcess::start(&[]);
    let home = Home::connected(&emulator);
    let proxy = Proxy::start();
    let mut command = home.command(&["search", "sf", "Account", "--limit", "1"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &proxy.address);
    }
    finish(command, None).expect(0);
    assert_eq!(proxy.asked(), Vec::<String>::new());
}
