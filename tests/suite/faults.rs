//! The fault matrix: for each way in which a service or the network goes wrong, what Salesforce's provider on
//! all layers does about it. The number is the row of the matrix, printed by `make faults`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use recordport::error::{ErrorKind, Retry};
use recordport::http::client::WireSettings;
use serde_json::{Value, json};

use super::support::emulated::json_of;
use super::support::org::{Found, Org, OrgSettings};

const TOKEN: &str = "/oauth2/token";
const QUERY: &str = "/query";

/// All contacts come although this went wrong on the second page, which was asked for again.
async fn recovers(rule: Value) -> Org {
    let org = Org::new().await;
    org.fault(rule.clone()).await;
    let found = org.contacts().await.complete();
    assert_eq!(found.ids(), org.stored("Contact"), "{rule}");
    let struck = org.received(QUERY).await.iter().filter(|entry| !entry["fault"].is_null()).count();
    assert!(struck > 0, "the fault {rule} did not strike");
    org
}

/// The search ends with an error, keeps what came before, and goes on from there once the fault is over.
async fn breaks_off(rule: Value) -> (Org, Found) {
    let org = Org::new().await;
    org.fault(rule).await;
    let found = org.contacts().await;
    let error = found.error();
    assert_eq!(error.kind().exit_code(), 5, "{error}");
    assert!(!found.records.is_empty(), "the pages before are kept: {error}");
    org.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    assert_eq!(org.resumed(&found).await, org.stored("Contact"));
    (org, found)
}

fn status(status: u16, code: &str, message: &str) -> Value {
    json!({ "kind": "status", "status": status, "path": "*query*",
            "body": [{ "errorCode": code, "message": message }] })
}

fn on_page(mut rule: Value, page: u64, times: u64) -> Value {
    rule["page"] = json!(page);
    rule["times"] = json!(times);
    rule
}

#[tokio::test]
async fn fault_01_a_token_that_ends_in_mid_stream_is_renewed_once() {
    let org = Org::with(OrgSettings { scale: 67, ..OrgSettings::default() }).await;
    org.fault(json!({ "kind": "expire_token", "page": 2 })).await;
    let found = org.search("Contact", json!({ "select": ["Id"] })).await.complete();
    let stored = org.stored("Contact");
    assert!(stored.len() > 20_000);
    assert_eq!(found.ids(), stored);
    assert_eq!(found.duplicates, 0);
    assert_eq!(org.received(TOKEN).await.len(), 1);
}

#[tokio::test]
async fn fault_02_a_token_rejected_again_ends_without_a_loop() {
    let org = Org::new().await;
    org.fault(json!({ "kind": "401", "path": "*query*", "times": 9 })).await;
    let found = org.contacts().await;
    assert_eq!(found.code(), "auth_rejected");
    assert_eq!(found.error().kind().exit_code(), 3);
    assert_eq!(org.received(TOKEN).await.len(), 1);
    assert_eq!(org.received(QUERY).await.len(), 2);
}

#[tokio::test]
async fn fault_03_a_used_up_daily_limit_is_told_at_once_and_can_be_resumed() {
    let (org, found) = breaks_off(json!({ "kind": "403", "page": 3, "times": 99 })).await;
    assert_eq!(found.code(), "REQUEST_LIMIT_EXCEEDED");
    assert_eq!(found.error().kind(), ErrorKind::RateLimited);
    assert!(found.error().advice().is_some());
    assert!(org.clock.waits().is_empty());
}

#[tokio::test]
async fn fault_04_a_missing_right_is_told_after_one_request() {
    let org = Org::new().await;
    org.fault(on_page(status(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights"), 1, 99))
        .await;
    let found = org.contacts().await;
    assert_eq!(found.error().kind(), ErrorKind::Forbidden);
    assert_eq!(org.received(QUERY).await.len(), 1);
}

#[tokio::test]
async fn fault_05_retry_after_seconds_is_waited_out_and_nothing_else_is_sent() {
    let org = Org::with(OrgSettings { real_clock: true, concurrency: 1, ..OrgSettings::default() }).await;
    org.open("Contact").await.unwrap();
    org.fault(json!({ "kind": "429", "path": "*query*", "retry_after": "1" })).await;
    let (one, two) = tokio::join!(org.contacts(), org.contacts());
    assert_eq!(one.complete().ids(), two.complete().ids());
    let received = org.emulated.requests().await;
    let struck = received.iter().position(|entry| entry["status"] == 429).expect("struck");
    let time = |at: usize| received[at]["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let gap = time(struck + 1).duration_since(time(struck));
    assert!(gap >= SignedDuration::from_secs(1), "{gap}");
}

#[tokio::test]
async fn fault_06_retry_after_as_a_date_is_waited_out() {
    let org = recovers(json!({ "kind": "429date", "page": 2, "retry_after": "9" })).await;
    let waits = org.clock.waits();
    assert!(
        waits.len() == 1 && waits[0] > Duration::from_secs(7) && waits[0] <= Duration::from_secs(9),
        "{waits:?}"
    );
}

#[tokio::test]
async fn fault_07_a_senseless_retry_after_is_clamped_or_ignored() {
    for value in ["soon", "-5", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let org = recovers(json!({ "kind": "429", "page": 2, "retry_after": value })).await;
        let waits = org.clock.waits();
        assert!(waits.len() == 1 && waits[0] <= Duration::from_millis(250), "{value}: {waits:?}");
    }
    let org = Org::new().await;
    org.fault(json!({ "kind": "429", "page": 3, "times": 99, "retry_after": "1000000000" })).await;
    let found = org.contacts().await;
    assert_eq!(found.error().kind(), ErrorKind::RateLimited);
    assert!(found.error().advice().unwrap().starts_with("Try again after"), "{}", found.error());
    assert!(org.clock.waits().is_empty());
    assert!(found.cursor.is_some());
}

#[tokio::test]
async fn fault_08_short_outages_are_waited_out_with_jitter() {
    recovers(json!({ "kind": "503", "page": 2, "times": 1 })).await;
    let one = recovers(json!({ "kind": "503", "page": 2, "times": 3 })).await.clock.waits();
    let two = recovers(json!({ "kind": "503", "page": 2, "times": 3 })).await.clock.waits();
    assert_eq!((one.len(), two.len()), (3, 3));
    assert_ne!(one, two);
}

#[tokio::test]
async fn fault_09_a_lasting_outage_ends_the_search_which_can_be_resumed() {
    let (org, found) = breaks_off(json!({ "kind": "503", "page": 3, "times": 999 })).await;
    assert_eq!(found.error().kind(), ErrorKind::Unavailable);
    assert_eq!(found.error().attempts(), Some(5));
    let struck = org.received(QUERY).await.iter().filter(|entry| entry["status"] == 503).count();
    assert_eq!(struck, 5);
    assert!(org.clock.waits().iter().sum::<Duration>() <= Duration::from_secs(180));
}

#[tokio::test]
async fn fault_10_a_gateways_html_is_no_answer_of_the_service() {
    for code in [500, 502, 503, 504] {
        recovers(json!({ "kind": "html503", "page": 2, "status": code })).await;
    }
}

#[tokio::test]
async fn fault_11_a_reset_in_the_body_repeats_that_page_alone() {
    recovers(json!({ "kind": "reset", "page": 2 })).await;
}

#[tokio::test]
async fn fault_12_a_cut_chunked_body_repeats_that_page_alone() {
    recovers(json!({ "kind": "trunc", "page": 2 })).await;
}

#[tokio::test]
async fn fault_13_a_cut_gzip_stream_is_detected() {
    recovers(json!({ "kind": "badgzip", "page": 2 })).await;
}

#[tokio::test]
async fn fault_14_a_gzip_bomb_stops_at_the_limit() {
    let wire = WireSettings { response_limit: 4 * 1024 * 1024, ..OrgSettings::default().wire };
    let org = Org::with(OrgSettings { wire, ..OrgSettings::default() }).await;
    org.fault(json!({ "kind": "gzipbomb", "path": "*query*" })).await;
    let found = org.contacts().await;
    assert_eq!(found.code(), "response_too_large");
    assert_eq!(org.received(QUERY).await.len(), 1);
}

#[tokio::test]
async fn fault_15_a_login_page_is_never_the_end_of_the_data() {
    recovers(json!({ "kind": "html200", "page": 2, "times": 1 })).await;
    let (org, found) = breaks_off(json!({ "kind": "html200", "page": 3, "times": 99 })).await;
    assert_eq!(found.code(), "not_json");
    let struck = org.received(QUERY).await.iter().filter(|entry| entry["fault"] == "html200").count();
    assert_eq!(struck, 2);
}

#[tokio::test]
async fn fault_16_cut_json_and_empty_bodies_are_never_the_end_of_the_data() {
    for kind in ["badjson", "empty200"] {
        recovers(json!({ "kind": kind, "page": 2, "times": 1 })).await;
        let (_, found) = breaks_off(json!({ "kind": kind, "page": 3, "times": 99 })).await;
        assert_eq!(found.code(), "not_json", "{kind}");
    }
}

#[tokio::test]
async fn fault_17_silence_after_the_headers_is_given_up() {
    recovers(json!({ "kind": "hang", "page": 2 })).await;
}

#[tokio::test]
async fn fault_18_a_body_that_trickles_is_given_up_by_its_rate() {
    let wire = WireSettings {
        idle_timeout: Duration::from_secs(20),
        slow_window: Duration::from_millis(200),
        slowest_rate: 1_000_000,
        ..OrgSettings::default().wire
    };
    let org = Org::with(OrgSettings { wire, ..OrgSettings::default() }).await;
    org.fault(json!({ "kind": "slow", "page": 2, "delay_ms": 120 })).await;
    let found = org.contacts().await.complete();
    assert_eq!(found.ids(), org.stored("Contact"));
    assert_eq!(org.received(QUERY).await.len(), 7, "the second page was asked for twice");
}

#[tokio::test]
async fn fault_19_a_host_that_cannot_be_reached_is_named() {
    let org = Org::new().await;
    org.open("Contact").await.unwrap();
    let host = org.emulated.emulator.http_url();
    let Org { emulated, cx, provider, .. } = org;
    emulated.emulator.shutdown().await;
    let error = provider.probe(&cx).await.unwrap_err();
    assert_eq!(error.code(), Some("unreachable"));
    assert_eq!(error.retry(), Retry::Always);
    assert_eq!(error.attempts(), Some(5));
    assert!(error.to_string().contains(host.trim_start_matches("http://")), "{error}");
}

#[tokio::test]
async fn fault_20_a_redirect_to_another_host_is_refused() {
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("http://{}/catch", elsewhere.local_addr().unwrap());
    let (_, found) =
        breaks_off(json!({ "kind": "redirect", "page": 3, "times": 9, "headers": { "location": location } }))
            .await;
    assert_eq!(found.code(), "redirect_refused");
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn fault_21_a_redirect_from_https_to_http_is_refused() {
    let org = Org::with(OrgSettings { tls: true, ..OrgSettings::default() }).await;
    let location = org.emulated.url("/services/data/v60.0/query");
    org.fault(json!({ "kind": "redirect", "page": 2, "times": 9, "headers": { "location": location } }))
        .await;
    let found = org.contacts().await;
    assert_eq!(found.code(), "redirect_refused");
    for entry in org.received(QUERY).await {
        assert!(entry["origin"].as_str().unwrap().starts_with("https://"), "{entry}");
    }
}

#[tokio::test]
async fn fault_22_a_next_link_to_another_host_is_refused() {
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let link = format!("http://{}/services/data/v60.0/query/01g-2000", elsewhere.local_addr().unwrap());
    let org = Org::new().await;
    org.fault(json!({ "kind": "evilnext", "page": 2, "body": link })).await;
    let found = org.contacts().await;
    assert_eq!(found.error().kind(), ErrorKind::ForeignHost);
    assert_eq!(found.code(), "foreign_next_link");
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn fault_23_next_links_in_disguise_are_refused() {
    let org = Org::new().await;
    let own = org.emulated.emulator.http_url();
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
    org.open("Contact").await.unwrap();
    let before = org.emulated.requests().await.len();
    for (at, link) in links.iter().enumerate() {
        org.fault(json!({ "kind": "evilnext", "path": "*query*", "body": link })).await;
        let found = org.contacts().await;
        let error = found.error();
        assert!(matches!(error.kind(), ErrorKind::ForeignHost | ErrorKind::Protocol), "{link:?}: {error}");
        // The first page was asked for, and nothing besides.
        assert_eq!(org.emulated.requests().await.len(), before + at + 1, "{link:?}: {error}");
    }
}

#[tokio::test]
async fn fault_24_an_instance_address_elsewhere_gets_no_token() {
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let own = format!("http://{}", elsewhere.local_addr().unwrap());
    for instance in [
        own.as_str(),
        "http://169.254.169.254",
        "http://localhost",
        "https://evil.example",
        "https://acme.my.salesforce.com.evil.example",
    ] {
        let org = Org::new().await;
        org.fault(json!({ "kind": "status", "status": 200, "path": "*oauth2/token", "times": 9, "body": {
            "access_token": "00D000000000000!renewed-for-elsewhere", "instance_url": instance,
            "id": "x", "token_type": "Bearer", "issued_at": "1750000000000", "signature": "x" } }))
            .await;
        org.fault(json!({ "kind": "401", "path": "*query*", "times": 9 })).await;
        let found = org.contacts().await;
        let error = found.error();
        assert_eq!(error.kind(), ErrorKind::ForeignHost, "{instance}: {error}");
        assert_eq!(org.received(QUERY).await.len(), 1, "{instance}");
    }
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn fault_25_a_next_link_that_leads_back_is_noticed() {
    let org = Org::new().await;
    org.fault(json!({ "kind": "loop", "page": 2 })).await;
    let found = org.contacts().await;
    assert_eq!(found.code(), "repeated_cursor");
    found.ids();
    assert!(org.received(QUERY).await.len() <= 4);
}

#[tokio::test]
async fn fault_26_an_empty_page_goes_on() {
    recovers(json!({ "kind": "emptypage", "page": 2 })).await;
}

#[tokio::test]
async fn fault_27_fewer_records_than_announced_is_an_error() {
    let org = Org::new().await;
    org.fault(json!({ "kind": "short", "page": 3 })).await;
    let found = org.contacts().await;
    assert_eq!(found.code(), "short_result");
    assert_eq!(found.records.len(), 600, "what came is kept");
}

#[tokio::test]
async fn fault_28_a_cursor_that_died_is_replaced_by_its_last_key() {
    let org = Org::new().await;
    org.fault(on_page(status(400, "INVALID_QUERY_LOCATOR", "invalid query locator"), 3, 1)).await;
    let found = org.contacts().await.complete();
    assert_eq!(found.ids(), org.stored("Contact"));

    // The same when every cursor of the org is gone.
    let org = Org::new().await;
    org.fault(json!({ "kind": "503", "page": 4, "times": 5 })).await;
    let broken = org.contacts().await;
    assert_eq!(broken.error().kind(), ErrorKind::Unavailable);
    org.service.expire_locators();
    assert_eq!(org.resumed(&broken).await, org.stored("Contact"));
}

#[tokio::test]
async fn fault_57_a_field_of_an_unknown_kind_passes_its_value_through() {
    let org = Org::new().await;
    let address = "/services/data/v60.0/sobjects/Contact/describe";
    let token =
        org.emulated.emulator.credentials()["salesforce"]["access_token"].as_str().unwrap().to_owned();
    let response =
        org.emulated.client.get(org.emulated.url(address)).bearer_auth(token).send().await.unwrap();
    let mut describe = json_of(response).await;
    let fields = describe["fields"].as_array_mut().unwrap();
    let field = fields.iter_mut().find(|field| field["name"] == "Department").unwrap();
    field["type"] = json!("holographic");
    org.fault(json!({ "kind": "status", "status": 200, "path": "*/Contact/describe", "body": describe }))
        .await;
    let query = json!({ "select": ["Id", "Department"], "page_size": 200 });
    let found = org.search("Contact", query).await.complete();
    assert!(found.bad.is_empty());
    let stored = org.service_rows("Contact");
    for record in &found.records {
        let row = stored.iter().find(|row| row["Id"] == record["Id"]).unwrap();
        // A value of no known kind is its JSON text.
        let value = record["Department"].as_str().map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(value.unwrap_or(Value::Null), row["Department"]);
    }
    assert!(found.records.iter().any(|record| record["Department"].is_string()));
}

#[tokio::test]
async fn fault_59_a_value_never_becomes_part_of_the_query() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    let stored = org.service_rows("Contact");
    let own = stored.iter().find_map(|row| row["LastName"].as_str()).unwrap().to_owned();
    let mut values = vec![own.clone()];
    for hostile in [
        "' OR Name != '",
        "\\' OR Name != \\'",
        "\\",
        "\\\\' OR Id != null OR Name = '",
        "x' LIMIT 1",
        "x\nOR Name != 'y",
        "\"",
        "%",
        "_",
        "') OR (Name != '",
        "{!user}",
        "\u{2019} OR 1=1",
        ":name",
        "x\u{0}y",
        "+&q=SELECT+Id+FROM+User",
    ] {
        values.push(hostile.to_owned());
        values.push(format!("{own}{hostile}"));
    }
    for value in values {
        for operator in ["=", "beginsWith", "contains"] {
            let rule = json!({ "field": "LastName", "operator": operator, "value": value });
            let filter = json!({ "combinator": "and", "rules": [rule] });
            let found = org.search("Contact", json!({ "select": ["Id"], "filter": filter })).await;
            if let Some(error) = &found.error {
                assert!(
                    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
                    "{value:?}: {error}"
                );
                continue;
            }
            let expected: BTreeSet<String> = stored
                .iter()
                .filter(|row| {
                    let name = row["LastName"].as_str().unwrap_or_default();
                    match operator {
                        "=" => name == value,
                        "beginsWith" => name.starts_with(value.as_str()),
                        _ => name.contains(value.as_str()),
                    }
                })
                .map(|row| row["Id"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(found.ids(), expected, "{operator} {value:?}");
        }
    }
}

#[tokio::test]
async fn fault_61_nothing_can_smuggle_a_line_into_a_request() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    for name in ["Contact\r\nX-Evil: 1", "Contact/../User", "Contact?x=1", "Cont\u{e4}ct"] {
        let error = org.open(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name:?}");
    }
    let records = org.open("Contact").await.unwrap();
    let by = records.record_type().key.clone();
    let key = recordport::record::Key::text("003\r\nX-Evil: 1");
    // Refused, or not found: but never another request than the one meant.
    let _ = records.get(&org.cx, &by, &[key], &[]).await;
    for entry in org.emulated.requests().await {
        assert!(entry["headers"].get("x-evil").is_none(), "{entry}");
        assert!(!entry["path"].as_str().unwrap().contains(['\r', '\n']), "{entry}");
    }
}

fn page_of(rows: &Value) -> Value {
    json!({ "kind": "status", "status": 200, "path": "*query*",
            "body": { "totalSize": rows.as_array().unwrap().len(), "done": true, "records": rows } })
}

fn row(id: &str, name: &str) -> Value {
    json!({ "attributes": { "type": "Contact", "url": "/x" }, "Id": id, "LastName": name,
            "Email": null, "AccountId": null })
}

#[tokio::test]
async fn fault_62_a_huge_field_passes_under_the_limit_and_is_refused_above_it() {
    let huge = "x".repeat(50 * 1024 * 1024);
    let rows = json!([row("003000000000001AAA", "before"), row("003000000000002AAA", &huge)]);
    let idle = Duration::from_secs(20);
    for (limit, passes) in [(64 * 1024 * 1024, true), (16 * 1024 * 1024, false)] {
        let wire = WireSettings { response_limit: limit, idle_timeout: idle, ..WireSettings::default() };
        let org = Org::with(OrgSettings { scale: 1, wire, ..OrgSettings::default() }).await;
        org.open("Contact").await.unwrap();
        org.fault(page_of(&rows)).await;
        let found = org.contacts().await;
        if passes {
            let found = found.complete();
            assert_eq!(found.records[1]["LastName"].as_str().map(str::len), Some(huge.len()));
        } else {
            assert_eq!(found.code(), "response_too_large");
            assert_eq!(org.received(QUERY).await.len(), 1);
        }
    }
}

/// A search whose second page was spoilt: the other records come, each once.
async fn spoilt(kind: &str, field: &str, bad: usize) -> Found {
    let org = Org::new().await;
    org.fault(json!({ "kind": kind, "page": 2, "field": field })).await;
    let found = org.contacts().await.complete();
    let stored = org.stored("Contact");
    assert_eq!(found.bad.len(), bad, "{kind}: {:?}", found.bad);
    assert_eq!(found.ids().len(), stored.len() - bad, "{kind}");
    assert!(found.ids().is_subset(&stored), "{kind}");
    for row in &found.bad {
        assert_eq!(row.error.kind(), ErrorKind::Protocol, "{kind}: {}", row.error);
    }
    found
}

#[tokio::test]
async fn fault_63_a_value_nested_too_deep_is_one_bad_record() {
    spoilt("deep", "Email", 1).await;
}

#[tokio::test]
async fn fault_64_of_a_property_named_twice_the_last_counts() {
    let org = Org::new().await;
    org.fault(json!({ "kind": "dupkeys", "page": 2, "field": "LastName" })).await;
    let found = org.contacts().await.complete();
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    assert_eq!(found.ids(), org.stored("Contact"));
    let stored = org.service_rows("Contact");
    for (record, text) in found.records.iter().zip(&found.texts) {
        let row = stored.iter().find(|row| row["Id"] == record["Id"]).unwrap();
        assert_eq!(record["LastName"], row["LastName"]);
        assert_eq!(text.matches("\"LastName\":").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn fault_65_bad_utf8_and_lone_surrogates_are_bad_records_and_never_replaced() {
    let found = spoilt("badutf8", "LastName", 2).await;
    assert!(found.texts.iter().all(|text| !text.contains('\u{fffd}')));
}

#[tokio::test]
async fn fault_66_numbers_keep_their_digits() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    org.fault(json!({ "kind": "hugenum", "path": "*query*", "field": "AnnualRevenue" })).await;
    let query = json!({ "select": ["Id", "AnnualRevenue"], "page_size": 200 });
    let found = org.search("Account", query).await.complete();
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    assert_eq!(found.texts.len(), org.stored("Account").len());
    for number in ["1e400", "9223372036854775809", "-0", "0.30000000000000004"] {
        let kept =
            found.texts.iter().filter(|text| text.contains(&format!("\"AnnualRevenue\":{number}}}"))).count();
        assert_eq!(kept, 1, "{number}");
    }
}
