//! The HTTP plane over real sockets: what reaches the service, what does not, and what is tried again.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use http::{HeaderValue, Method};
use jiff::Timestamp;
use recordport::clock::SystemClock;
use recordport::error::{ErrorKind, Retry};
use recordport::http::client::{Wire, WireSettings};
use recordport::http::{Call, Http as _, Target};
use recordport::layer::dry_run::DryRun;
use serde_json::{Value, json};
use url::Url;

use super::support::plane::Plane;

fn list() -> Call {
    Call::get("search", "api", "/notes")
}

fn create() -> Call {
    let target = Target::Role { role: "api", path: "/notes".to_owned() };
    Call::new("create", Method::POST, target).with_json("{\"text\":\"x\"}")
}

/// A port on another address of this machine where somebody could listen for stray requests.
struct Elsewhere(TcpListener);

impl Elsewhere {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").expect("binds");
        listener.set_nonblocking(true).expect("does not block");
        Self(listener)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.local_addr().expect("an address"))
    }

    fn assert_untouched(&self) {
        let error = self.0.accept().expect_err("nobody connects");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn a_call_carries_the_token_and_our_name_and_nothing_else_of_us() {
    let plane = Plane::new().await;
    let reply = plane.get("/notes?x=a%20b").await.unwrap();
    let page: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(page["notes"].as_array().unwrap().len(), 10);

    let request = &plane.received().await[0];
    assert_eq!(request["path"], "/notes");
    assert_eq!(request["query"], "x=a%20b");
    let headers = request["headers"].as_object().unwrap();
    assert_eq!(headers["authorization"], format!("Bearer {}", plane.emulated.token()));
    assert_eq!(headers["user-agent"], concat!("recordport/", env!("CARGO_PKG_VERSION")));
    let mut names: Vec<&str> = headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "authorization", "host", "user-agent"]);
}

#[tokio::test]
async fn broken_answers_are_asked_for_again() {
    for kind in ["503", "html503", "reset", "trunc", "badgzip", "hang", "html200", "badjson", "empty200"] {
        let plane = Plane::new().await;
        plane.fault(json!({ "kind": kind, "times": 1 })).await;
        let reply = plane.get("/notes").await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let page: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(page["notes"].as_array().unwrap().len(), 10, "{kind}");
        assert_eq!(plane.count().await, 2, "{kind}");
        let waits = plane.clock.waits();
        assert_eq!(waits.len(), 1, "{kind}");
        assert!(waits[0] <= Duration::from_millis(250), "{kind}: {waits:?}");
    }
}

#[tokio::test]
async fn a_slow_body_is_given_up_by_its_rate_and_asked_for_again() {
    let plane = Plane::tuned(|tuning| {
        tuning.wire.slow_window = Duration::from_millis(100);
        tuning.wire.slowest_rate = 1_000_000;
        tuning.wire.idle_timeout = Duration::from_secs(20);
    })
    .await;
    // Incompressible text, so that it needs several steps also when compressed.
    let text: String = (0..20_000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    plane.fault(json!({ "kind": "slow", "times": 1, "delay_ms": 60, "body": { "text": text } })).await;
    plane.get("/notes").await.unwrap();
    assert_eq!(plane.count().await, 2);
}

#[tokio::test]
async fn waits_double_at_most_and_are_drawn_anew() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let plane = Plane::new().await;
        plane.fault(json!({ "kind": "503", "times": 3 })).await;
        plane.get("/notes").await.unwrap();
        let waits = plane.clock.waits();
        for (wait, ceiling) in waits.iter().zip([250, 500, 1_000]) {
            assert!(*wait <= Duration::from_millis(ceiling), "{waits:?}");
        }
        assert_eq!(waits.len(), 3);
        runs.push(waits);
    }
    assert_ne!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_service_that_stays_down_ends_the_call_after_five_attempts() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "503", "times": 999 })).await;
    let error = plane.refused(list()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.attempts(), Some(5));
    assert_eq!(error.provider_message(), Some("503"));
    assert!(error.to_string().contains("tried 5 times"), "{error}");
    assert_eq!(plane.count().await, 5);
    assert!(plane.clock.waits().iter().sum::<Duration>() <= Duration::from_secs(180));
}

#[tokio::test]
async fn a_connection_that_fails_on_and_on_runs_out_of_repetitions() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "503", "times": 99_999 })).await;
    for _ in 0..30 {
        plane.refused(list()).await;
    }
    // 500 tokens at 5 each are 100 repetitions, besides the 30 first attempts.
    assert_eq!(plane.count().await, 130);
    assert_eq!(plane.limits.retries().left(), 0);
    plane.refused(list()).await;
    assert_eq!(plane.count().await, 131);
    plane.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    plane.get("/notes").await.unwrap();
    assert_eq!(plane.limits.retries().left(), 1, "a success gives one back");
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_not_sent_again() {
    for kind in ["drop_after_commit", "503_after_commit", "reset"] {
        let plane = Plane::new().await;
        plane.fault(json!({ "kind": kind, "times": 1 })).await;
        let error = plane.refused(create()).await;
        assert_eq!(error.retry(), Retry::IfIdempotent, "{kind}");
        assert_eq!(plane.count().await, 1, "{kind}");
        assert_eq!(plane.service.state("note").unwrap().len(), 36, "{kind}");
    }
}

#[tokio::test]
async fn a_create_that_was_certainly_not_executed_is_sent_again() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "429", "times": 1, "retry_after": "2" })).await;
    plane.http.send(create()).await.unwrap();
    assert_eq!(plane.service.state("note").unwrap().len(), 36);
    assert_eq!(plane.clock.waits(), [Duration::from_secs(2)]);
}

#[tokio::test]
async fn retry_after_is_waited_out_and_nothing_else_is_sent_meanwhile() {
    let plane = Plane::tuned(|tuning| {
        tuning.clock = Some(Arc::new(SystemClock));
        tuning.limit.concurrency = 1;
    })
    .await;
    plane.fault(json!({ "kind": "429", "times": 1, "retry_after": "1" })).await;
    let calls = (0..6).map(|_| plane.get("/notes"));
    for reply in join_all(calls).await {
        reply.unwrap();
    }
    let received = plane.received().await;
    assert_eq!(received.len(), 7);
    assert_eq!(received[0]["status"], 429);
    let time = |index: usize| received[index]["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let gap = time(1).duration_since(time(0));
    assert!(gap >= jiff::SignedDuration::from_secs(1), "{gap}");
}

#[tokio::test]
async fn a_retry_after_date_is_measured_by_the_services_own_clock() {
    let plane = Plane::new().await;
    // The service's clock is an hour ahead of ours.
    plane.emulated.control(Method::POST, "clock", &json!({ "advance": "PT1H" })).await;
    plane.fault(json!({ "kind": "429date", "times": 1, "retry_after": "7" })).await;
    let token = plane.service.grants().unwrap().issue(
        "notes-client",
        "ada",
        vec!["notes".to_owned()],
        false,
        plane.emulated.emulator.clock().now(),
    );
    plane.access.replace_token(&token.access_token).await;
    plane.get("/notes").await.unwrap();
    let waits = plane.clock.waits();
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert!(waits[0] > Duration::from_secs(5) && waits[0] <= Duration::from_secs(7), "{waits:?}");
}

#[tokio::test]
async fn a_senseless_retry_after_is_ignored() {
    for value in ["soon", "-5", "0", "1.5", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let plane = Plane::new().await;
        plane.fault(json!({ "kind": "429", "times": 1, "retry_after": value })).await;
        plane.get("/notes").await.unwrap();
        let waits = plane.clock.waits();
        assert!(waits.len() == 1 && waits[0] <= Duration::from_millis(250), "{value}: {waits:?}");
    }
}

#[tokio::test]
async fn a_very_long_retry_after_ends_the_call_and_holds_back_the_next() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "429", "times": 1, "retry_after": "1000000000" })).await;
    let error = plane.refused(list()).await;
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.kind().exit_code(), 5);
    assert!(error.advice().unwrap().starts_with("Try again after 20"), "{error}");
    let error = plane.refused(list()).await;
    assert_eq!(error.code(), Some("paused"));
    assert!(error.advice().unwrap().starts_with("Try again after 20"), "{error}");
    assert_eq!(plane.count().await, 1);
    assert!(plane.clock.waits().is_empty());

    plane.clock.advance(Duration::from_secs(1_000_000_001));
    plane.get("/notes").await.unwrap();
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_for_a_hundred_callers() {
    let plane = Plane::new().await;
    plane.service.expire_access_tokens();
    for reply in join_all((0..100).map(|_| plane.get("/notes"))).await {
        reply.unwrap();
    }
    assert_eq!(plane.access.renewed.load(Ordering::SeqCst), 1);
    let rejected = plane.received().await.iter().filter(|request| request["status"] == 401).count();
    assert!((1..=16).contains(&rejected), "{rejected}");
}

#[tokio::test]
async fn a_token_that_is_rejected_again_ends_the_call() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "401", "times": 9 })).await;
    let error = plane.refused(list()).await;
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.code(), Some("auth_rejected"));
    assert_eq!(error.provider_message(), Some("401"));
    assert!(error.advice().unwrap().contains("authorize"));
    assert_eq!(plane.count().await, 2);
    assert_eq!(plane.access.renewed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_write_with_an_expired_token_is_sent_again_with_the_new_one() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "401", "times": 1 })).await;
    plane.http.send(create()).await.unwrap();
    assert_eq!(plane.service.state("note").unwrap().len(), 36);
    assert!(plane.clock.waits().is_empty());
}

#[tokio::test]
async fn a_page_that_is_no_json_is_looked_at_twice_and_is_never_an_empty_result() {
    for kind in ["html200", "badjson", "empty200"] {
        let plane = Plane::new().await;
        plane.fault(json!({ "kind": kind, "times": 99 })).await;
        let error = plane.refused(list()).await;
        assert_eq!(error.code(), Some("not_json"), "{kind}");
        assert_eq!(plane.count().await, 2, "{kind}");
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let elsewhere = Elsewhere::listen();
    let plane = Plane::new().await;
    let location = elsewhere.url("/catch?secret=1");
    plane.fault(json!({ "kind": "redirect", "times": 9, "headers": { "location": location } })).await;
    let error = plane.refused(list()).await;
    assert_eq!(error.kind(), ErrorKind::ForeignHost);
    assert_eq!(error.code(), Some("redirect_refused"));
    assert!(error.to_string().contains("127.0.0.2"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(plane.count().await, 1);
    elsewhere.assert_untouched();
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let plane = Plane::tuned(|tuning| tuning.tls = true).await;
    plane.get("/notes").await.unwrap();
    let location = plane.emulated.url("/notes");
    plane.fault(json!({ "kind": "redirect", "times": 9, "headers": { "location": location } })).await;
    let before = plane.count().await;
    let error = plane.refused(list()).await;
    assert_eq!(error.code(), Some("redirect_refused"));
    let received = plane.received().await;
    assert_eq!(received.len(), before + 1);
    assert!(received.last().unwrap()["origin"].as_str().unwrap().starts_with("https://"));
}

#[tokio::test]
async fn a_link_to_another_host_is_refused_before_anything_is_sent() {
    let elsewhere = Elsewhere::listen();
    let plane = Plane::new().await;
    let own = plane.emulated.emulator.http_url();
    let port = own.rsplit(':').next().unwrap().to_owned();
    for address in [
        elsewhere.url("/notes"),
        format!("http://localhost:{port}/notes"),
        format!("http://user@127.0.0.1:{port}/notes"),
        format!("http://[::ffff:127.0.0.1]:{port}/notes"),
        plane.emulated.emulator.https_url(),
        "http://127.0.0.1/notes".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let target = Target::Address(Url::parse(&address).unwrap());
        let error = plane.refused(Call::new("search", Method::GET, target)).await;
        assert_eq!(error.kind(), ErrorKind::ForeignHost, "{address}");
        assert_eq!(error.code(), Some("foreign_next_link"), "{address}");
    }
    for path in ["//127.0.0.2:9/notes", "/\\127.0.0.2:9/notes", "\\\\127.0.0.2\\x", "@127.0.0.2/", ":9/notes"]
    {
        let error = plane.refused(Call::get("search", "api", path)).await;
        assert_eq!(error.kind(), ErrorKind::ForeignHost, "{path}");
    }
    elsewhere.assert_untouched();
    assert_eq!(plane.count().await, 0);

    let target = Target::Address(Url::parse(&format!("{own}/notes")).unwrap());
    plane.http.send(Call::new("search", Method::GET, target)).await.unwrap();
}

#[tokio::test]
async fn a_token_or_header_that_could_smuggle_a_line_is_refused_before_the_socket() {
    let plane = Plane::new().await;
    let mut call = list();
    call.headers.insert("x-name", HeaderValue::from_bytes("Zürich".as_bytes()).unwrap());
    let error = plane.refused(call).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.code(), Some("bad_header"));
    for token in ["abcdefgh\r\nX-Evil: 1", "abcdefgh\n", "abcdefgh\u{e9}", "abcdefgh\0"] {
        plane.access.replace_token(token).await;
        let error = plane.refused(list()).await;
        assert_eq!(error.code(), Some("bad_token"), "{token:?}");
    }
    assert_eq!(plane.count().await, 0);
}

#[tokio::test]
async fn a_token_that_the_service_repeats_is_taken_out_of_the_error() {
    let plane = Plane::new().await;
    let echo = format!("Bearer {} is not welcome", plane.emulated.token());
    plane.fault(json!({ "kind": "status", "status": 400, "body": { "problem": echo } })).await;
    let error = plane.refused(list()).await;
    assert_eq!(error.provider_message(), Some("\"Bearer [redacted] is not welcome\""));
}

#[tokio::test]
async fn answers_and_requests_beyond_their_limits_are_refused() {
    let plane = Plane::tuned(|tuning| {
        tuning.wire.response_limit = 1024 * 1024;
        tuning.wire.request_limit = 1_000;
    })
    .await;
    plane.fault(json!({ "kind": "gzipbomb", "times": 1 })).await;
    let error = plane.refused(list()).await;
    assert_eq!(error.code(), Some("response_too_large"));
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(plane.count().await, 1);

    let mut call = list();
    call.response_limit = Some(100);
    assert_eq!(plane.refused(call).await.code(), Some("response_too_large"));
    let error = plane.refused(create().with_json(vec![b' '; 1_001])).await;
    assert_eq!(error.code(), Some("request_too_large"));
    let mut call = list();
    call.headers.insert("x-long", HeaderValue::from_str(&"x".repeat(70_000)).unwrap());
    assert_eq!(plane.refused(call).await.code(), Some("headers_too_large"));
    assert_eq!(plane.count().await, 2);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_named_and_tried_again() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Accepts connections (the kernel does) and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = WireSettings { connect_timeout: Duration::from_millis(200), ..WireSettings::default() };
    let wire = Wire::new(settings).unwrap();
    for (address, code) in [
        (format!("http://{free}/secret-path?token=canary"), "unreachable"),
        (format!("https://{}/secret-path?token=canary", mute.local_addr().unwrap()), "unreachable"),
    ] {
        let url = Url::parse(&address).unwrap();
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let error = wire.send(Call::new("probe", Method::GET, Target::Address(url))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.retry(), Retry::Always, "{error}");
        assert_eq!(error.code(), Some(code), "{error}");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(text.contains(&host), "{text}");
            assert!(!text.contains("secret-path") && !text.contains("canary"), "{text}");
        }
    }
}

#[tokio::test]
async fn plain_http_is_only_for_this_machine() {
    let wire = Wire::new(WireSettings::default()).unwrap();
    let target = Target::Address(Url::parse("http://example.invalid/x").unwrap());
    let error = wire.send(Call::new("probe", Method::GET, target)).await.unwrap_err();
    assert_eq!(error.code(), Some("insecure_address"));
    let error = wire.send(list()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug, "a role is resolved above the wire");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_for_good() {
    let plane = Plane::new().await;
    let wire = Wire::new(WireSettings::default()).unwrap();
    let address = Url::parse(&format!("{}/notes", plane.emulated.emulator.https_url())).unwrap();
    let call = Call::new("probe", Method::GET, Target::Address(address));
    let error = wire.send(call.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("tls"), "{error}");
    assert_eq!(error.retry(), Retry::Never);
    let trusting = Wire::new(WireSettings {
        loopback_authorities: vec![plane.emulated.emulator.ca_file().to_owned()],
        ..WireSettings::default()
    });
    assert_eq!(trusting.unwrap().send(call).await.unwrap().status, 401);
}

#[tokio::test]
async fn pages_one_after_another_share_their_connection() {
    for tls in [false, true] {
        let plane = Plane::tuned(|tuning| tuning.tls = tls).await;
        for _ in 0..300 {
            plane.get("/notes").await.unwrap();
        }
        let mut connections: Vec<u64> =
            plane.received().await.iter().map(|request| request["connection"].as_u64().unwrap()).collect();
        connections.sort_unstable();
        connections.dedup();
        assert!(connections.len() <= 2, "tls {tls}: {connections:?}");
    }
}

#[tokio::test]
async fn a_rate_is_kept_by_waiting() {
    let plane = Plane::tuned(|tuning| tuning.limit.per_second = std::num::NonZeroU32::new(10)).await;
    for _ in 0..30 {
        plane.get("/notes").await.unwrap();
    }
    let waited: Duration = plane.clock.waits().iter().sum();
    // Ten at once, then one every tenth of a second.
    assert!(waited >= Duration::from_millis(1_900) && waited <= Duration::from_millis(2_100), "{waited:?}");
}

#[tokio::test]
async fn what_the_service_tells_of_its_quota_is_kept() {
    let plane = Plane::new().await;
    plane.fault(json!({ "kind": "503", "headers": { "x-used": "17", "x-allowed": "5000" } })).await;
    plane.get("/notes").await.unwrap();
    let quota = plane.limits.quota();
    assert_eq!((quota.used, quota.allowed), (Some(17), Some(5_000)));
}

/// The next answer tells this of the quota.
async fn tells(plane: &Plane, used: u64) {
    let headers = json!({ "x-used": used.to_string(), "x-allowed": "5000" });
    let rule = json!({ "kind": "status", "status": 200, "headers": headers, "body": { "notes": [] } });
    plane.fault(rule).await;
}

#[tokio::test]
async fn the_last_of_a_quota_is_kept_back_and_looked_at_again_now_and_then() {
    let plane = Plane::tuned(|tuning| tuning.limit.quota_reserve = Some(100)).await;
    // Numbers may step back; the last one counts.
    for used in [4_899, 4_900, 4_899, 4_901] {
        tells(&plane, used).await;
        plane.get("/notes").await.unwrap();
    }
    let before = plane.count().await;
    let error = plane.refused(list()).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::RateLimited, Some("quota_reserve")));
    assert_eq!(error.kind().exit_code(), 5);
    for number in ["4901", "5000", "100"] {
        assert!(error.message().contains(number), "{error}");
    }
    assert!(error.advice().unwrap().contains("Resume"), "{error}");
    assert!(plane.clock.waits().is_empty(), "a quota is not waited for");

    // Ten minutes later one reading call looks, and no write; what it is told counts.
    plane.clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(plane.refused(create()).await.code(), Some("quota_reserve"));
    assert_eq!(plane.count().await, before);
    tells(&plane, 4_950).await;
    plane.get("/notes").await.unwrap();
    assert_eq!(plane.refused(list()).await.code(), Some("quota_reserve"));
    assert_eq!(plane.count().await, before + 1);
    plane.clock.advance(Duration::from_secs(10 * 60));
    tells(&plane, 12).await;
    plane.get("/notes").await.unwrap();
    plane.get("/notes").await.unwrap();
    plane.http.send(create()).await.unwrap();
    assert_eq!(plane.count().await, before + 4);
}

#[tokio::test]
async fn a_reserve_of_nothing_leaves_it_to_the_service_to_refuse() {
    let plane = Plane::tuned(|tuning| tuning.limit.quota_reserve = Some(0)).await;
    tells(&plane, 5_000).await;
    plane.get("/notes").await.unwrap();
    plane.get("/notes").await.unwrap();
}

#[tokio::test]
async fn a_dry_run_reads_but_records_what_it_would_write() {
    let record = DryRun::new();
    let plane = Plane::tuned(|tuning| tuning.dry_run = Some(record.clone())).await;
    plane.get("/notes").await.unwrap();
    let call = create().with_json("{\"amount\":12345678901234567890.10}");
    let error = plane.refused(call).await;
    assert_eq!(error.kind(), ErrorKind::DryRun);
    let asks = Target::Role { role: "api", path: "/notes/echo".to_owned() };
    plane.http.send(Call::new("search", Method::POST, asks).read_only()).await.unwrap();

    let methods: Vec<Value> =
        plane.received().await.iter().map(|request| json!([request["method"], request["path"]])).collect();
    assert_eq!(methods, [json!(["GET", "/notes"]), json!(["POST", "/notes/echo"])]);
    let recorded = serde_json::to_string(&record.requests()).unwrap();
    assert_eq!(
        recorded,
        format!(
            "[{{\"operation\":\"create\",\"method\":\"POST\",\"address\":\"{}\",\"headers\":\
             {{\"content-type\":\"application/json\"}},\"body\":{{\"amount\":12345678901234567890.10}}}}]",
            plane.emulated.url("/notes")
        )
    );
}

/// Keeps everything that is traced.
#[derive(Clone, Default)]
struct Traced(Arc<Mutex<Vec<u8>>>);

impl Write for Traced {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn traces_tell_what_happened_and_no_secret() {
    let plane = Plane::new().await;
    let traced = Traced::default();
    let writer = traced.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let dispatch = tracing::Dispatch::new(subscriber);
    // While there is only one dispatcher, what other threads trace first is switched off for all: a second one
    // has tracing ask both.
    let second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::dispatcher::set_default(&dispatch);
    plane.fault(json!({ "kind": "503", "times": 1 })).await;
    plane.get("/notes?q=canary-in-query").await.unwrap();
    let mut call = create().with_json("{\"word\":\"canary-in-body\"}");
    call.sensitive = true;
    plane.http.send(call).await.unwrap();
    drop(guard);
    drop(second);

    let text = String::from_utf8(traced.0.lock().unwrap().clone()).unwrap();
    for expected in
        ["execution{operation=\"search\"", "attempt{", "status=503", "path=\"/notes\"", "REDACTED"]
    {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let own: String = text.lines().filter(|line| line.contains("recordport")).collect();
    for secret in [plane.emulated.token().as_str(), "canary"] {
        assert!(!own.contains(secret), "{secret} is in {own}");
    }
    assert!(!text.contains(&plane.emulated.token()), "the token was traced by a library");
}
