//! The emulator's server around a service: ports, framing, control surface, clock, log, reset.

use std::os::unix::fs::PermissionsExt as _;

use http::{Method, StatusCode};
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::ErrorKind;
use serde_json::{Value, json};

use crate::support::emulated::{Emulated, client, ids, json_of, nothing};
use crate::support::notes::{NOTES, Notes};
use crate::support::raw;

#[tokio::test]
async fn the_ready_line_names_two_ports_that_answer_and_the_credentials() {
    let it = Emulated::notes().await;
    let ready = it.emulator.ready_line();
    let ca = std::fs::read(ready["ca_file"].as_str().expect("a path")).expect("a certificate");
    let ca = reqwest::Certificate::from_pem(&ca).expect("PEM");
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().expect("a client");
    let token = ready["credentials"]["notes"]["access_token"].as_str().expect("a token");
    for base in [&ready["http"], &ready["https"]] {
        let url = format!("{}/notes", base.as_str().expect("an address"));
        let response = trusting.get(url).bearer_auth(token).send().await.expect("is answered");
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(
        json_of(trusting.get(it.url("/_emulator/credentials")).send().await.expect("is answered")).await,
        ready["credentials"]
    );
}

#[tokio::test]
async fn tls_speaks_h2_for_every_name_of_this_machine_and_only_to_those_who_trust_it() {
    let it = Emulated::notes().await;
    let https = it.emulator.https_url();
    let ca = std::fs::read(it.emulator.ca_file()).expect("a certificate");
    let ca = reqwest::Certificate::from_pem(&ca).expect("PEM");
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().expect("a client");
    for url in [https.clone(), https.replace("127.0.0.1", "localhost")] {
        let response = trusting.get(format!("{url}/notes/origin")).send().await.expect("is answered");
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(json_of(response).await, json!({ "origin": url }));
    }
    let strange = client().get(format!("{https}/notes/origin")).send().await;
    assert!(strange.is_err(), "a client that does not know the authority must refuse it");
}

#[tokio::test]
async fn node_trusts_the_authority_file_and_nothing_less() {
    let it = Emulated::notes().await;
    let script = "const [url, ca] = process.argv.slice(1);\
        require('https').get(url, ca ? { ca: require('fs').readFileSync(ca) } : {}, r => { r.resume(); console.log(r.statusCode) })\
        .on('error', e => console.log(e.code))";
    let run = |ca: &str| {
        let mut node = tokio::process::Command::new("node");
        node.args(["-e", script, &format!("{}/notes/origin", it.emulator.https_url()), ca]);
        async move { String::from_utf8(node.output().await.expect("node runs").stdout).expect("text") }
    };
    assert_eq!(run(it.emulator.ca_file().to_str().expect("text")).await, "200\n");
    let refused = run("").await;
    assert!(refused.contains("SELF_SIGNED") || refused.contains("UNABLE_TO"), "{refused}");
}

#[tokio::test]
async fn plain_http_speaks_h2_to_those_who_know_it_beforehand() {
    let it = Emulated::notes().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let response = client.get(it.url("/notes/origin")).send().await.expect("is answered");
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(json_of(response).await, json!({ "origin": it.emulator.http_url() }));
}

#[tokio::test]
async fn header_names_are_in_title_case_unless_lower_case_is_asked_for() {
    for (lower_case_headers, name) in [(false, "Content-Type"), (true, "content-type")] {
        let config = EmulatorConfig { lower_case_headers, ..EmulatorConfig::default() };
        let it = Emulated::start(config, Notes::start).await;
        let heard = raw::exchange(&it.emulator.http_url(), &raw::get("/notes/origin", "x")).await;
        assert_eq!(heard.header(name), Some("application/json;charset=UTF-8"), "{}", heard.head);
    }
}

#[tokio::test]
async fn a_chunked_request_body_arrives_whole_and_addresses_follow_the_host_header() {
    let it = Emulated::notes().await;
    let request = b"POST /notes/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
    let heard = raw::exchange(&it.emulator.http_url(), request).await;
    assert_eq!(heard.body, b"hello, world");
    let request = b"GET /notes/origin HTTP/1.1\r\nHost: my.example:81\r\nConnection: close\r\n\r\n";
    let heard = raw::exchange(&it.emulator.http_url(), request).await;
    assert_eq!(heard.body, br#"{"origin":"http://my.example:81"}"#);
}

#[tokio::test]
async fn the_request_log_tells_connections_apart_and_keeps_what_was_sent() {
    let it = Emulated::notes().await;
    it.get("/notes?a=1&b=%20").await.bytes().await.expect("a body");
    it.get("/notes/after/10").await.bytes().await.expect("a body");
    let other = client();
    other.post(it.url("/notes/echo")).body("caf\u{e9}").send().await.expect("is answered");
    other.post(it.url("/notes/echo")).body(vec![0xff, 0x00]).send().await.expect("is answered");
    other.get(it.url("/nowhere")).send().await.expect("is answered");

    let log = it.requests().await;
    let told = |name: &str| log.iter().map(|entry| entry[name].clone()).collect::<Value>();
    assert_eq!(told("method"), json!(["GET", "GET", "POST", "POST", "GET"]));
    assert_eq!(told("path"), json!(["/notes", "/notes/after/10", "/notes/echo", "/notes/echo", "/nowhere"]));
    assert_eq!(told("status"), json!([200, 200, 200, 200, 404]));
    assert_eq!(told("service"), json!(["notes", "notes", "notes", "notes", null]));
    assert_eq!(log[0]["query"], "a=1&b=%20");
    assert_eq!(log[0]["headers"]["authorization"], format!("Bearer {}", it.token()));
    assert_eq!(log[2]["body"], "caf\u{e9}");
    assert_eq!(log[3]["body_base64"], "/wA=");
    assert_eq!(log[0]["connection"], log[1]["connection"]);
    assert_ne!(log[1]["connection"], log[2]["connection"]);

    let (_, posts) = it.control(Method::GET, "requests?method=post&path=/notes/*", &nothing()).await;
    assert_eq!(posts["requests"].as_array().map(Vec::len), Some(2));
    it.control(Method::DELETE, "requests", &nothing()).await;
    assert_eq!(it.requests().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_long_request_body_is_kept_in_part_and_a_longer_one_refused() {
    let config = EmulatorConfig { max_body_bytes: 100_000, ..EmulatorConfig::default() };
    let it = Emulated::start(config, Notes::start).await;
    let post = |size: usize| it.client.post(it.url("/notes/echo")).body(vec![b'x'; size]).send();
    assert_eq!(post(100_000).await.expect("is answered").status(), StatusCode::OK);
    let entry = it.requests().await.remove(0);
    assert_eq!(entry["body_length"], 100_000);
    assert_eq!(entry["body"].as_str().map(str::len), Some(64 * 1024));
    assert_eq!(entry["body_truncated"], true);
    let request =
        format!("POST /notes/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", 100_001);
    let heard = raw::exchange(&it.emulator.http_url(), request.as_bytes()).await;
    assert_eq!(heard.status(), "413");
}

#[tokio::test]
async fn answers_are_compressed_only_for_those_who_ask() {
    let it = Emulated::notes().await;
    let plain = raw::exchange(&it.emulator.http_url(), &raw::get("/notes", &it.token())).await;
    assert_eq!(plain.header("Content-Encoding"), None);
    let zipped = it.get("/notes").await;
    // reqwest takes the header away once it has inflated the body.
    assert_eq!(zipped.headers().get("vary").map(|value| value.as_bytes()), None);
    assert_eq!(zipped.bytes().await.expect("a body"), plain.body);

    let config = EmulatorConfig { scale: 1, ..EmulatorConfig::default() };
    let it = Emulated::start(config, Notes::start).await;
    let big = vec![b'y'; 50_000];
    let response = it.client.post(it.url("/notes/echo")).body(big.clone()).send().await.expect("is answered");
    assert_eq!(response.headers()["vary"], "Accept-Encoding");
    assert_eq!(response.bytes().await.expect("a body"), big);
    let request = [
        b"POST /notes/echo HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\nConnection: close\r\n\
          Content-Length: 50000\r\n\r\n"
            .as_slice(),
        &big,
    ]
    .concat();
    let heard = raw::exchange(&it.emulator.http_url(), &request).await;
    assert_eq!((heard.header("Content-Encoding"), &heard.body), (None, &big));
}

#[tokio::test]
async fn the_clock_goes_forward_only_and_ages_tokens_and_dates() {
    let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().expect("a time");
    let config = EmulatorConfig { start_at: Some(start), ..EmulatorConfig::default() };
    let it = Emulated::start(config, Notes::start).await;
    assert_eq!(it.get("/notes").await.status(), StatusCode::OK);
    let (status, answer) = it.control(Method::POST, "clock", &json!({ "advance_seconds": 3600 })).await;
    assert_eq!(status, 200);
    assert!(answer["now"].as_str().is_some_and(|now| now.starts_with("2030-01-01T01:")), "{answer}");
    assert_eq!(it.get("/notes").await.status(), StatusCode::OK);
    let (_, answer) = it.control(Method::POST, "clock", &json!({ "advance": "P1DT2H" })).await;
    assert!(answer["now"].as_str().is_some_and(|now| now.starts_with("2030-01-02T03:")), "{answer}");
    let late = it.get("/notes").await;
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);
    let date = late.headers()["date"].to_str().expect("text");
    assert!(date.starts_with("Wed, 02 Jan 2030 03:") && date.ends_with(" GMT"), "{date}");
    for wrong in
        [json!({ "advance_seconds": -1 }), json!({ "advance": "soon" }), json!({}), json!({ "x": 1 })]
    {
        let (status, answer) = it.control(Method::POST, "clock", &wrong).await;
        assert_eq!(status, 400, "{wrong} gave {answer}");
    }
}

#[tokio::test]
async fn reset_brings_back_rows_tokens_clock_faults_and_an_empty_log() {
    let it = Emulated::notes().await;
    let before = it.emulator.clock().now();
    it.client.post(it.url("/notes")).body("new").send().await.expect("is answered");
    it.fault(json!({ "kind": "503", "times": 99 })).await;
    it.control(Method::POST, "clock", &json!({ "advance": "P2D" })).await;
    let (_, rows) = it.control(Method::GET, "state/notes/note", &nothing()).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(NOTES as usize + 1));

    let (status, _) = it.control(Method::POST, "reset", &nothing()).await;
    assert_eq!(status, 200);
    assert_eq!(it.requests().await, Vec::<Value>::new());
    let (_, faults) = it.control(Method::GET, "faults", &nothing()).await;
    assert_eq!(faults, json!({ "rules": [] }));
    assert!(it.emulator.clock().now().duration_since(before) < jiff::SignedDuration::from_hours(24));
    assert_eq!(ids(&it.pages(9).await), (0..NOTES).collect::<Vec<_>>());
}

#[tokio::test]
async fn stored_rows_can_be_looked_at_by_type() {
    let it = Emulated::notes().await;
    let (_, rows) = it.control(Method::GET, "state/notes/note", &nothing()).await;
    assert_eq!(rows[3], json!({ "id": 3, "text": "note 3", "weight": 1.5 }));
    let (_, rows) = it.control(Method::GET, "state/notes/note?first=2&fields=weight,id", &nothing()).await;
    assert_eq!(rows, json!([{ "id": 0, "weight": 1.5 }, { "id": 1, "weight": 1.5 }]));
    assert_eq!(it.control(Method::GET, "state/notes/note?last=2", &nothing()).await.0, 400);
    assert_eq!(it.control(Method::GET, "state/notes/letter", &nothing()).await.0, 404);
    assert_eq!(it.control(Method::GET, "state/letters/note", &nothing()).await.0, 404);
}

#[tokio::test]
async fn the_control_surface_refuses_foreign_names() {
    let it = Emulated::notes().await;
    let port = it.emulator.http_url().rsplit(':').next().expect("a port").to_owned();
    let ask = |host: String, origin: &'static str| {
        let url = it.emulator.http_url();
        async move {
            let request = format!(
                "GET /_emulator/credentials HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: close\r\n\r\n"
            );
            raw::exchange(&url, request.as_bytes()).await
        }
    };
    for host in ["evil.example", "127.0.0.1.evil.example", "x@127.0.0.1"] {
        let heard = ask(format!("{host}:{port}"), "").await;
        assert_eq!(heard.status(), "403", "{host}");
        assert!(!String::from_utf8_lossy(&heard.body).contains(&it.token()));
    }
    for origin in ["Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        assert_eq!(ask(format!("127.0.0.1:{port}"), origin).await.status(), "403", "{origin}");
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "[::1]".to_owned()] {
        assert_eq!(ask(host, "Origin: http://localhost:3000\r\n").await.status(), "200");
    }
}

#[tokio::test]
async fn a_services_own_controls_are_guarded_like_the_others() {
    let it = Emulated::notes().await;
    assert_eq!(it.control(Method::POST, "notes/shout", &nothing()).await, (200, json!("loud")));
    assert_eq!(it.requests().await, Vec::<Value>::new(), "controls are not logged");
    let request = b"POST /_emulator/notes/shout HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw::exchange(&it.emulator.http_url(), request).await.status(), "403");
}

#[tokio::test]
async fn a_defect_of_a_service_ends_one_request_and_nothing_else() {
    let it = Emulated::notes().await;
    let answer = it.client.post(it.url("/notes/panic")).send().await;
    assert!(answer.is_err(), "a request that cannot be answered is not answered");
    assert_eq!(it.get("/notes").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn its_files_are_private_and_gone_at_the_end() {
    let it = Emulated::notes().await;
    let file = it.emulator.ca_file().to_owned();
    let dir = file.parent().expect("a directory").to_owned();
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("exists").permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
    it.emulator.shutdown().await;
    assert!(!dir.exists());
}

#[tokio::test]
async fn imports_reach_their_service_and_wrong_ones_are_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("notes.json");
    std::fs::write(&file, r#"[{"id":"imported"}]"#).expect("is written");
    let config = |name: &str| EmulatorConfig {
        imports: vec![(name.to_owned(), file.clone())],
        ..EmulatorConfig::default()
    };
    let it = Emulated::start(config("notes"), Notes::start).await;
    let (_, rows) = it.control(Method::GET, "state/notes/note", &nothing()).await;
    assert_eq!(rows, json!([{ "id": "imported" }]));
    let error = Emulator::start_with(config("letters"), Notes::start).await.expect_err("no such service");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    std::fs::write(&file, "[").expect("is written");
    let error = Emulator::start_with(config("notes"), Notes::start).await.expect_err("no JSON");
    assert!(error.to_string().contains("notes.json"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let listen = taken.local_addr().expect("an address");
    let config = EmulatorConfig { listen, ..EmulatorConfig::default() };
    let error = Emulator::start_with(config, Notes::start).await.expect_err("the port is taken");
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(error.to_string().contains(&listen.to_string()), "{error}");
}

#[tokio::test]
async fn unknown_control_paths_say_what_there_is() {
    let it = Emulated::notes().await;
    let (status, answer) = it.control(Method::GET, "fault", &nothing()).await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().is_some_and(|text| text.contains("faults")), "{answer}");
    let response = it.client.get(it.url("/elsewhere")).send().await.expect("is answered");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(json_of(response).await["path"], "/elsewhere");
}
