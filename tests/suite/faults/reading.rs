//! Faults while pages are read: refusals, outages, answers that break off, and links that lead astray.

use std::net::TcpListener;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use recordport::error::{ErrorKind, Retry};
use recordport::http::client::WireSettings;
use serde_json::{Value, json};

use super::subject::{Refusal, Subject, Trial};
use crate::support::org::{Found, OrgSettings};

fn rule(kind: &str, page: u64, times: u64) -> Value {
    json!({ "kind": kind, "page": page, "times": times })
}

async fn struck(trial: &Trial) -> usize {
    trial.page_requests().await.iter().filter(|entry| !entry["fault"].is_null()).count()
}

/// All records come although this went wrong on some page, which was asked for again.
async fn recovers(trial: &Trial, rule: Value) {
    let before = struck(trial).await;
    trial.fault_on_pages(rule.clone()).await;
    let found = trial.find().await.complete();
    assert_eq!(found.ids(), trial.all(), "{rule}");
    assert!(struck(trial).await > before, "the fault {rule} did not strike");
}

/// The search ends with an error, keeps what came before, and goes on from there once the fault is over.
async fn breaks_off(trial: &Trial, rule: Value) -> Found {
    trial.fault_on_pages(rule).await;
    let found = trial.find().await;
    let error = found.error();
    assert_eq!(error.kind().exit_code(), 5, "{error}");
    assert!(!found.records.is_empty(), "the pages before are kept: {error}");
    trial.no_more_faults().await;
    assert_eq!(trial.resumed(trial.service.kind(), trial.query(), &found).await, trial.all());
    found
}

/// A listener on another address of this machine, which nothing may connect to.
fn elsewhere() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    (listener, origin)
}

fn was_left_alone(listener: &TcpListener) {
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

pub(super) async fn fault_01_a_token_that_ends_in_mid_stream_is_renewed_once(service: Subject) {
    let (scale, most, page_size) = service.large();
    let trial = Trial::with(service, |settings| settings.scale = scale).await;
    trial.fault(rule("expire_token", 2, 1)).await;
    let query = json!({ "select": [service.key()], "page_size": page_size });
    let found = trial.search(service.kind(), query).await.complete();
    let stored = trial.all();
    assert!(stored.len() > most && found.pages > 2);
    assert_eq!(found.ids(), stored);
    assert_eq!(found.duplicates, 0);
    assert_eq!(trial.token_requests().await, 1);
}

pub(super) async fn fault_02_a_token_rejected_again_ends_without_a_loop(service: Subject) {
    let trial = Trial::new(service).await;
    trial.fault_on_pages(json!({ "kind": "401", "times": 9 })).await;
    let found = trial.find().await;
    assert_eq!(found.code(), "auth_rejected");
    assert_eq!(found.error().kind().exit_code(), 3);
    assert_eq!(trial.token_requests().await, 1);
    assert_eq!(trial.page_requests().await.len(), 2);
}

pub(super) async fn fault_03_a_used_up_daily_limit_is_told_at_once_and_can_be_resumed(service: Subject) {
    let trial = Trial::new(service).await;
    let found = breaks_off(&trial, rule("403", 3, 99)).await;
    assert_eq!(found.code(), "REQUEST_LIMIT_EXCEEDED");
    assert_eq!(found.error().kind(), ErrorKind::RateLimited);
    assert!(found.error().advice().is_some());
    assert!(trial.clock.waits().is_empty());
}

pub(super) async fn fault_03_a_limit_told_as_a_missing_right_is_waited_out(service: Subject) {
    let trial = Trial::new(service).await;
    let mut refusal = service.refusal(Refusal::Busy);
    refusal["page"] = json!(2);
    refusal["times"] = json!(2);
    assert_eq!(refusal["status"], 403);
    recovers(&trial, refusal).await;
    assert_eq!(trial.clock.waits().len(), 2);
}

pub(super) async fn fault_04_a_missing_right_is_told_after_one_request(service: Subject) {
    let trial = Trial::new(service).await;
    let mut refusal = service.refusal(Refusal::Right);
    refusal["times"] = json!(99);
    trial.fault_on_pages(refusal).await;
    let found = trial.find().await;
    assert_eq!(found.error().kind(), ErrorKind::Forbidden);
    assert_eq!(trial.page_requests().await.len(), 1);
}

pub(super) async fn fault_05_retry_after_seconds_is_waited_out_and_nothing_else_is_sent(service: Subject) {
    let trial =
        Trial::with(service, |settings| (settings.real_clock, settings.concurrency) = (true, 1)).await;
    trial.open(service.kind()).await.unwrap();
    trial.fault_on_pages(json!({ "kind": "429", "retry_after": "1" })).await;
    let (one, two) = tokio::join!(trial.find(), trial.find());
    assert_eq!(one.complete().ids(), two.complete().ids());
    let received = trial.emulated.requests().await;
    let struck = received.iter().position(|entry| entry["status"] == 429).expect("struck");
    let time = |at: usize| received[at]["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let gap = time(struck + 1).duration_since(time(struck));
    assert!(gap >= SignedDuration::from_secs(1), "{gap}");
}

pub(super) async fn fault_06_retry_after_as_a_date_is_waited_out(service: Subject) {
    let trial = Trial::new(service).await;
    recovers(&trial, json!({ "kind": "429date", "page": 2, "retry_after": "9" })).await;
    let waits = trial.clock.waits();
    assert!(
        waits.len() == 1 && waits[0] > Duration::from_secs(7) && waits[0] <= Duration::from_secs(9),
        "{waits:?}"
    );
}

pub(super) async fn fault_07_a_senseless_retry_after_is_clamped_or_ignored(service: Subject) {
    let trial = Trial::new(service).await;
    for (at, value) in ["soon", "-5", "Sun, 06 Nov 1994 08:49:37 GMT"].into_iter().enumerate() {
        recovers(&trial, json!({ "kind": "429", "page": 2, "retry_after": value })).await;
        let waits = trial.clock.waits();
        assert!(waits.len() == at + 1 && waits[at] <= Duration::from_millis(250), "{value}: {waits:?}");
    }
    let trial = Trial::new(service).await;
    trial.fault_on_pages(json!({ "kind": "429", "page": 3, "times": 99, "retry_after": "1000000000" })).await;
    let found = trial.find().await;
    assert_eq!(found.error().kind(), ErrorKind::RateLimited);
    assert!(found.error().advice().unwrap().starts_with("Try again after"), "{}", found.error());
    assert!(trial.clock.waits().is_empty());
    assert!(found.cursor.is_some());
}

pub(super) async fn fault_08_short_outages_are_waited_out_with_jitter(service: Subject) {
    let trial = Trial::new(service).await;
    recovers(&trial, rule("503", 2, 1)).await;
    recovers(&trial, rule("503", 2, 3)).await;
    recovers(&trial, rule("503", 2, 3)).await;
    let waits = trial.clock.waits();
    assert_eq!(waits.len(), 1 + 3 + 3);
    assert_ne!(waits[1..4], waits[4..]);
}

pub(super) async fn fault_09_a_lasting_outage_ends_the_search_which_can_be_resumed(service: Subject) {
    let trial = Trial::new(service).await;
    let found = breaks_off(&trial, rule("503", 3, 999)).await;
    assert_eq!(found.error().kind(), ErrorKind::Unavailable);
    assert_eq!(found.error().attempts(), Some(5));
    let struck = trial.page_requests().await.iter().filter(|entry| entry["status"] == 503).count();
    assert_eq!(struck, 5);
    assert!(trial.clock.waits().iter().sum::<Duration>() <= Duration::from_secs(180));
}

pub(super) async fn fault_10_a_gateways_html_is_no_answer_of_the_service(service: Subject) {
    let trial = Trial::new(service).await;
    for code in [500, 502, 503, 504] {
        recovers(&trial, json!({ "kind": "html503", "page": 2, "status": code })).await;
    }
}

pub(super) async fn fault_11_a_reset_in_the_body_repeats_that_page_alone(service: Subject) {
    recovers(&Trial::new(service).await, rule("reset", 2, 1)).await;
}

pub(super) async fn fault_12_a_cut_chunked_body_repeats_that_page_alone(service: Subject) {
    recovers(&Trial::new(service).await, rule("trunc", 2, 1)).await;
}

pub(super) async fn fault_13_a_cut_gzip_stream_is_detected(service: Subject) {
    recovers(&Trial::new(service).await, rule("badgzip", 2, 1)).await;
}

pub(super) async fn fault_14_a_gzip_bomb_stops_at_the_limit(service: Subject) {
    let trial = Trial::with(service, |settings| settings.wire.response_limit = 4 * 1024 * 1024).await;
    trial.fault_on_pages(json!({ "kind": "gzipbomb" })).await;
    let found = trial.find().await;
    assert_eq!(found.code(), "response_too_large");
    assert_eq!(trial.page_requests().await.len(), 1);
}

pub(super) async fn fault_15_a_login_page_is_never_the_end_of_the_data(service: Subject) {
    let trial = Trial::new(service).await;
    recovers(&trial, rule("html200", 2, 1)).await;
    let before = struck(&trial).await;
    let found = breaks_off(&trial, rule("html200", 3, 99)).await;
    assert_eq!(found.code(), "not_json");
    assert_eq!(struck(&trial).await - before, 2);
}

pub(super) async fn fault_16_cut_json_and_empty_bodies_are_never_the_end_of_the_data(service: Subject) {
    let trial = Trial::new(service).await;
    for kind in ["badjson", "empty200"] {
        recovers(&trial, rule(kind, 2, 1)).await;
        let found = breaks_off(&trial, rule(kind, 3, 99)).await;
        assert_eq!(found.code(), "not_json", "{kind}");
    }
}

pub(super) async fn fault_17_silence_after_the_headers_is_given_up(service: Subject) {
    let trial = Trial::with(service, |settings| settings.wire.idle_timeout = Duration::from_secs(2)).await;
    recovers(&trial, rule("hang", 2, 1)).await;
}

pub(super) async fn fault_18_a_body_that_trickles_is_given_up_by_its_rate(service: Subject) {
    let wire = WireSettings {
        slow_window: Duration::from_millis(200),
        slowest_rate: 100_000,
        ..OrgSettings::default().wire
    };
    let trial = Trial::with(service, |settings| settings.wire = wire).await;
    trial.fault_on_pages(json!({ "kind": "slow", "page": 2, "delay_ms": 400 })).await;
    // All fields, so that a page is long enough to trickle.
    let found = trial.search(service.kind(), json!({ "page_size": service.page_size() })).await.complete();
    assert_eq!(found.ids(), trial.all());
    assert_eq!(trial.page_requests().await.len(), found.pages + 1, "the second page was asked for twice");
}

pub(super) async fn fault_19_a_host_that_cannot_be_reached_is_named(service: Subject) {
    let trial = Trial::new(service).await;
    trial.open(service.kind()).await.unwrap();
    let org = trial.org;
    let host = org.emulated.emulator.http_url();
    org.emulated.emulator.shutdown().await;
    let error = org.provider.probe(&org.cx).await.unwrap_err();
    assert_eq!(error.code(), Some("unreachable"));
    assert_eq!(error.retry(), Retry::Always);
    assert_eq!(error.attempts(), Some(5));
    assert!(error.to_string().contains(host.trim_start_matches("http://")), "{error}");
}

pub(super) async fn fault_20_a_redirect_to_another_host_is_refused(service: Subject) {
    let (listener, origin) = elsewhere();
    let trial = Trial::new(service).await;
    let headers = json!({ "location": format!("{origin}/catch") });
    let redirect = json!({ "kind": "redirect", "page": 3, "times": 9, "headers": headers });
    let found = breaks_off(&trial, redirect).await;
    assert_eq!(found.code(), "redirect_refused");
    was_left_alone(&listener);
}

pub(super) async fn fault_21_a_redirect_from_https_to_http_is_refused(service: Subject) {
    let trial = Trial::with(service, |settings| settings.tls = true).await;
    let headers = json!({ "location": trial.emulated.url(service.next_path()) });
    trial.fault_on_pages(json!({ "kind": "redirect", "page": 2, "times": 9, "headers": headers })).await;
    let found = trial.find().await;
    assert_eq!(found.code(), "redirect_refused");
    for entry in trial.page_requests().await {
        assert!(entry["origin"].as_str().unwrap().starts_with("https://"), "{entry}");
    }
}

pub(super) async fn fault_22_a_next_link_to_another_host_is_refused(service: Subject) {
    let (listener, origin) = elsewhere();
    let trial = Trial::new(service).await;
    let link = format!("{origin}{}", service.next_path());
    trial.fault_on_pages(json!({ "kind": "evilnext", "page": 2, "body": link })).await;
    let found = trial.find().await;
    assert_eq!(found.error().kind(), ErrorKind::ForeignHost);
    assert_eq!(found.code(), "foreign_next_link");
    was_left_alone(&listener);
}

pub(super) async fn fault_23_next_links_in_disguise_are_refused(service: Subject) {
    let trial = Trial::new(service).await;
    let own = trial.emulated.emulator.http_url();
    let authority = own.trim_start_matches("http://").to_owned();
    let port = authority.rsplit(':').next().unwrap().to_owned();
    let links = [
        "file:///etc/passwd".to_owned(),
        "data:application/json,{}".to_owned(),
        "javascript:alert(1)".to_owned(),
        "ftp://127.0.0.1/x".to_owned(),
        "//127.0.0.2/x".to_owned(),
        "///127.0.0.2/x".to_owned(),
        "\\\\127.0.0.2\\x".to_owned(),
        "/\\127.0.0.2/x".to_owned(),
        "\\/127.0.0.2/x".to_owned(),
        "/\t/127.0.0.2/x".to_owned(),
        "/\n/127.0.0.2/x".to_owned(),
        "http:\\\\127.0.0.2\\x".to_owned(),
        "http:/127.0.0.2/x".to_owned(),
        "http:127.0.0.2/x".to_owned(),
        format!("http://user@{authority}/x"),
        format!("http://user:word@{authority}/x"),
        format!("http://{authority}@127.0.0.2/x"),
        format!("http://127.0.0.2#@{authority}/x"),
        format!("http://127.0.0.2?@{authority}/x"),
        format!("http://127.0.0.2\\@{authority}/x"),
        format!("https://{authority}/x"),
        "http://127.0.0.1/x".to_owned(),
        "http://127.0.0.1:1/x".to_owned(),
        format!("http://localhost:{port}/x"),
        format!("http://127.0.0.1.:{port}.evil.example/x"),
        format!("http://[::1]:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        format!("http://[::ffff:7f00:2]:{port}/x"),
        format!("http://127.0.0.2:{port}/x"),
        format!("http://0:{port}/x"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://2852039166/".to_owned(),
        "https://login.s\u{430}lesforce.com/x".to_owned(),
        "https://login.salesforce.com/x".to_owned(),
        "https://xn--lgin-5qa.example/x".to_owned(),
        "@127.0.0.2/x".to_owned(),
        ":1/x".to_owned(),
        "/services/../../x".to_owned(),
        "/services/%2e%2e/x".to_owned(),
        "01g-2000".to_owned(),
        " ".to_owned(),
    ];
    trial.open(service.kind()).await.unwrap();
    let before = trial.emulated.requests().await.len();
    for (at, link) in links.iter().enumerate() {
        trial.fault_on_pages(json!({ "kind": "evilnext", "body": link })).await;
        let found = trial.find().await;
        let error = found.error();
        assert!(matches!(error.kind(), ErrorKind::ForeignHost | ErrorKind::Protocol), "{link:?}: {error}");
        // The first page was asked for, and nothing besides.
        assert_eq!(trial.emulated.requests().await.len(), before + at + 1, "{link:?}: {error}");
    }
}

pub(super) async fn fault_24_an_instance_address_elsewhere_gets_no_token(service: Subject) {
    let (listener, origin) = elsewhere();
    for instance in [
        origin.as_str(),
        "http://169.254.169.254",
        "http://localhost",
        "https://evil.example",
        "https://acme.my.salesforce.com.evil.example",
    ] {
        let trial = Trial::new(service).await;
        let answer = json!({
            "access_token": "00D000000000000!renewed-for-elsewhere", "instance_url": instance,
            "id": "x", "token_type": "Bearer", "issued_at": "1750000000000", "signature": "x"
        });
        trial
            .fault(json!({ "kind": "status", "status": 200, "path": "*/token", "times": 9, "body": answer }))
            .await;
        trial.fault_on_pages(json!({ "kind": "401", "times": 9 })).await;
        let found = trial.find().await;
        let error = found.error();
        assert_eq!(error.kind(), ErrorKind::ForeignHost, "{instance}: {error}");
        assert_eq!(trial.page_requests().await.len(), 1, "{instance}");
    }
    was_left_alone(&listener);
}

pub(super) async fn fault_25_a_place_that_comes_again_is_noticed(service: Subject) {
    let trial = Trial::new(service).await;
    trial.fault_on_pages(rule("loop", 3, 1)).await;
    let found = trial.find().await;
    let error = found.error();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Protocol, Some("repeated_cursor")), "{error}");
    assert_eq!(error.provider(), Some(service.name()));
    assert!(found.ids().len() >= 3 * service.page_size() - service.hidden());
    assert!(trial.page_requests().await.len() <= 5, "the same place is asked for twice at most");
    assert!(found.cursor.is_some(), "the last page has the cursor to go on with");
}

pub(super) async fn fault_26_empty_pages_go_on(service: Subject) {
    let trial = Trial::new(service).await;
    for page in [1, 4] {
        trial.fault_on_pages(rule("emptypage", page, 1)).await;
    }
    recovers(&trial, rule("emptypage", 2, 1)).await;
    assert_eq!(struck(&trial).await, 3);
}

pub(super) async fn fault_27_fewer_records_than_announced_is_an_error(service: Subject) {
    let trial = Trial::new(service).await;
    trial.fault_on_pages(rule("short", 3, 1)).await;
    let found = trial.find().await;
    let (announced, came) = (trial.all().len(), 3 * service.page_size());
    assert_eq!(found.code(), "short_result");
    let told = found.error().to_string();
    assert!(told.contains(&announced.to_string()) && told.contains(&came.to_string()), "{told}");
    assert_eq!(found.records.len(), came, "what came is kept");
}

pub(super) async fn fault_28_a_place_that_died_is_replaced_by_its_last_key(service: Subject) {
    let trial = Trial::new(service).await;
    let mut gone = service.refusal(Refusal::Place);
    gone["page"] = json!(3);
    trial.fault_on_pages(gone).await;
    let found = trial.find().await.complete();
    assert_eq!(found.ids(), trial.all());

    // The same when every place in every result is gone.
    trial.fault_on_pages(rule("503", 4, 5)).await;
    let broken = trial.find().await;
    assert_eq!(broken.error().kind(), ErrorKind::Unavailable);
    service.expire_places(&trial.org).await;
    assert_eq!(trial.resumed(service.kind(), trial.query(), &broken).await, trial.all());
}

pub(super) async fn fault_35_a_refused_renewal_names_what_ends_sign_ins_by_itself(service: Subject) {
    let trial = Trial::new(service).await;
    let body = json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
    trial.fault(json!({ "kind": "status", "status": 400, "path": "/token", "times": 9, "body": body })).await;
    trial.fault_on_pages(json!({ "kind": "401", "times": 9 })).await;
    // The renewal is refused; then nothing is asked any more.
    for code in ["invalid_grant", "needs_reconnect"] {
        let found = trial.find().await;
        assert_eq!(found.code(), code);
        let advice = found.error().advice().unwrap();
        for told in ["connections authorize", "7 days", "100 sign-ins"] {
            assert!(advice.contains(told), "{code}: {advice}");
        }
    }
    assert_eq!(trial.token_requests().await, 1);
}

/// Where the service has no way to go on behind a key, the error says that the place is gone, and what to do.
pub(super) async fn fault_28_a_place_that_died_is_told(service: Subject) {
    let trial = Trial::new(service).await;
    let gone = |found: &Found| {
        let error = found.error();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains("search again")), "{error}");
    };
    trial.fault_on_pages(rule("503", 4, 5)).await;
    let mut query = trial.query();
    let broken = trial.find().await;
    assert_eq!(broken.ids().len(), 3 * service.page_size() - service.hidden());
    service.expire_places(&trial.org).await;
    query["cursor"] = json!(broken.cursor);
    gone(&trial.search(service.kind(), query).await);

    let mut refusal = service.refusal(Refusal::Place);
    refusal["page"] = json!(3);
    trial.fault_on_pages(refusal).await;
    let found = trial.find().await;
    assert_eq!(found.ids().len(), 2 * service.page_size() - service.hidden(), "what came is kept");
    gone(&found);
}
