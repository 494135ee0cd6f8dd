//! Every kind of fault rule, seen from the wire.

use std::io::Read as _;

use flate2::read::GzDecoder;
use http::{Method, StatusCode};
use recordport::emulator::faults::Rule;
use recordport::emulator::{Emulator, EmulatorConfig};
use serde_json::{Value, json};

use crate::support::emulated::{Emulated, client, ids, json_of, nothing};
use crate::support::notes::{NOTES, Notes};
use crate::support::raw::{self, End, Heard};

async fn raw_get(it: &Emulated, path: &str) -> Heard {
    raw::exchange(&it.emulator.http_url(), &raw::get(path, &it.token())).await
}

fn all() -> Vec<u64> {
    (0..NOTES).collect()
}

#[tokio::test]
async fn refusals_have_the_services_shape_and_are_not_executed() {
    let it = Emulated::notes().await;
    for (kind, status) in [("401", 401), ("403", 403), ("429", 429), ("503", 503)] {
        it.fault(json!({ "kind": kind, "method": "POST", "path": "/notes" })).await;
        let response = it.client.post(it.url("/notes")).send().await.expect("is answered");
        assert_eq!(response.status().as_u16(), status);
        let retry_after = response.headers().get("retry-after").map(|value| value.as_bytes().to_vec());
        assert_eq!(retry_after, (kind == "429").then(|| b"1".to_vec()));
        assert_eq!(json_of(response).await, json!({ "problem": status }));
    }
    let (_, rows) = it.control(Method::GET, "state/notes/note", &nothing()).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(NOTES as usize));
    assert_eq!(it.statuses().await, json!([401, 403, 429, 503]));
    let faults: Value = it.requests().await.iter().map(|entry| entry["fault"].clone()).collect();
    assert_eq!(faults, json!(["401", "403", "429", "503"]));
}

#[tokio::test]
async fn a_rules_own_status_headers_and_body_outrank_its_kinds() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "status", "status": 418, "headers": { "x-tea": "green" }, "body": { "a": 1 } }))
        .await;
    let response = it.get("/notes").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-tea"]),
        (418, &"green".parse().expect("text"))
    );
    assert_eq!(json_of(response).await, json!({ "a": 1 }));
    it.fault(json!({ "kind": "429", "retry_after": 17, "body": "slow down" })).await;
    let response = it.get("/notes").await;
    assert_eq!(response.headers()["retry-after"], "17");
    assert_eq!(response.text().await.expect("a body"), "slow down");
}

#[tokio::test]
async fn a_retry_date_lies_ahead_of_the_servers_own_date() {
    let start: jiff::Timestamp = "2030-06-01T12:00:00.5Z".parse().expect("a time");
    let config = EmulatorConfig { start_at: Some(start), ..EmulatorConfig::default() };
    let it = Emulated::start(config, Notes::start).await;
    it.fault(json!({ "kind": "429date", "retry_after": "30" })).await;
    let response = it.get("/notes").await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let retry = response.headers()["retry-after"].to_str().expect("text").to_owned();
    let retry = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&retry).expect("a date");
    let wait = retry.duration_since(start);
    assert!((29..=31).contains(&wait.as_secs()), "{wait:?}");
    it.fault(json!({ "kind": "429date", "retry_after": "Thu, 01 Jan 1970 00:00:00 GMT" })).await;
    assert_eq!(it.get("/notes").await.headers()["retry-after"], "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[tokio::test]
async fn html_and_empty_answers_come_in_place_of_json() {
    let it = Emulated::notes().await;
    for (kind, status, content) in [
        ("html503", 503, "text/html;charset=UTF-8"),
        ("html200", 200, "text/html;charset=UTF-8"),
        ("empty200", 200, "application/json;charset=UTF-8"),
    ] {
        it.fault(json!({ "kind": kind })).await;
        let response = it.get("/notes").await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (status, &content.parse().expect("text"))
        );
        let body = response.text().await.expect("a body");
        assert_eq!(body.contains("<html"), kind != "empty200", "{body}");
        assert_eq!(body.is_empty(), kind == "empty200");
    }
    assert_eq!(ids(&it.pages(9).await), all(), "the rules are used up");
}

#[tokio::test]
async fn badjson_is_half_of_the_truth_in_good_framing() {
    let it = Emulated::notes().await;
    let whole = raw_get(&it, "/notes").await.body;
    it.fault(json!({ "kind": "badjson" })).await;
    let heard = raw_get(&it, "/notes").await;
    assert_eq!((heard.status(), heard.end), ("200", End::Closed));
    assert_eq!(heard.header("Content-Length"), Some(heard.body.len().to_string().as_str()));
    assert_eq!(heard.body, whole[..whole.len() / 2]);
}

#[tokio::test]
async fn reset_announces_all_sends_half_and_resets() {
    let it = Emulated::notes().await;
    let whole = raw_get(&it, "/notes").await.body;
    it.fault(json!({ "kind": "reset" })).await;
    let heard = raw_get(&it, "/notes").await;
    assert_eq!(heard.end, End::Reset);
    assert_eq!(heard.header("Content-Length"), Some(whole.len().to_string().as_str()));
    assert_eq!(heard.body, whole[..whole.len() / 2]);
    assert_eq!(raw_get(&it, "/notes").await.body, whole);
}

#[tokio::test]
async fn trunc_ends_without_the_last_chunk() {
    let it = Emulated::notes().await;
    let whole = raw_get(&it, "/notes").await.body;
    it.fault(json!({ "kind": "trunc" })).await;
    let heard = raw_get(&it, "/notes").await;
    assert_eq!((heard.header("Transfer-Encoding"), heard.header("Content-Length")), (Some("chunked"), None));
    assert_eq!(heard.end, End::Closed);
    let half = &whole[..whole.len() / 2];
    let chunk = [format!("{:X}\r\n", half.len()).as_bytes(), half, b"\r\n"].concat();
    assert_eq!(heard.body, chunk);
}

#[tokio::test]
async fn badgzip_breaks_off_inside_the_stream_with_framing_intact() {
    let it = Emulated::notes().await;
    let whole = raw_get(&it, "/notes").await.body;
    it.fault(json!({ "kind": "badgzip" })).await;
    let heard = raw_get(&it, "/notes").await;
    assert_eq!((heard.header("Content-Encoding"), heard.end), (Some("gzip"), End::Closed));
    assert_eq!(heard.header("Content-Length"), Some(heard.body.len().to_string().as_str()));
    let mut out = Vec::new();
    let error = GzDecoder::new(heard.body.as_slice()).read_to_end(&mut out).expect_err("it is cut");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(out.len() < whole.len() && whole.starts_with(&out));
}

#[tokio::test]
async fn gzipbomb_is_a_megabyte_that_becomes_a_valid_gigabyte() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "gzipbomb" })).await;
    let heard = raw_get(&it, "/notes").await;
    assert_eq!(heard.header("Content-Encoding"), Some("gzip"));
    assert!((900_000..1_300_000).contains(&heard.body.len()), "{} bytes", heard.body.len());
    let trailer = &heard.body[heard.body.len() - 4..];
    assert_eq!(u32::from_le_bytes(trailer.try_into().expect("four bytes")), 1 << 30);
    // A hundredth of it shows that it inflates in one stream; all of it would only take time.
    let mut decoder = GzDecoder::new(heard.body.as_slice());
    let mut buffer = vec![1_u8; 10 * 1024 * 1024 + 1];
    decoder.read_exact(&mut buffer).expect("inflates");
    assert!(buffer.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn hang_sends_headers_and_nothing_more() {
    let it = Emulated::notes().await;
    let whole = raw_get(&it, "/notes").await.body;
    it.fault(json!({ "kind": "hang", "delay_ms": 20 })).await;
    let heard = raw_get(&it, "/notes").await;
    assert_eq!(heard.status(), "200");
    assert_eq!(heard.header("Content-Length"), Some(whole.len().to_string().as_str()));
    assert_eq!(heard.body, b"");
}

#[tokio::test]
async fn slow_gives_a_kilobyte_at_a_time() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "slow", "delay_ms": 15 })).await;
    let body = vec![b'z'; 5_000];
    let mut response = it
        .client
        .post(it.url("/notes/echo"))
        .header("accept-encoding", "identity")
        .body(body.clone())
        .send()
        .await
        .expect("is answered");
    let mut pieces = Vec::new();
    while let Some(piece) = response.chunk().await.expect("a piece") {
        pieces.push(piece);
    }
    assert!(pieces.len() >= 3, "{} pieces", pieces.len());
    assert_eq!(pieces.concat(), body);
}

#[tokio::test]
async fn redirect_leads_elsewhere() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "redirect" })).await;
    let response = it.get("/notes?x=1").await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "http://127.0.0.2:9/notes?x=1");
    it.fault(json!({ "kind": "redirect", "headers": { "location": "https://elsewhere.example/" } })).await;
    assert_eq!(it.get("/notes").await.headers()["location"], "https://elsewhere.example/");
}

#[tokio::test]
async fn evilnext_changes_only_the_link() {
    let it = Emulated::notes().await;
    let mut honest = json_of(it.get("/notes").await).await;
    it.fault(json!({ "kind": "evilnext" })).await;
    it.fault(json!({ "kind": "evilnext", "body": "//evil.example/x" })).await;
    for link in ["http://127.0.0.2:9/notes/after/10", "//evil.example/x"] {
        let page = json_of(it.get("/notes").await).await;
        honest["next"] = json!(link);
        assert_eq!(page, honest);
    }
}

#[tokio::test]
async fn loop_leads_back_to_the_same_page_for_ever() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "loop", "page": 2 })).await;
    let pages = it.pages(7).await;
    let links: Value = pages.iter().map(|page| page["next"].clone()).collect();
    let (first, stuck) = ("/notes/after/10", "/notes/after/20");
    assert_eq!(links, json!([first, stuck, stuck, stuck, stuck, stuck, stuck]));
    assert!(pages.iter().all(|page| page["done"] == false));
    it.control(Method::DELETE, "faults", &nothing()).await;
    assert_eq!(ids(&it.pages(9).await), all());
}

#[tokio::test]
async fn a_loop_keeps_even_the_last_page_from_ending() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "loop", "page": 3 })).await;
    let pages = it.pages(6).await;
    assert_eq!(pages.len(), 6);
    assert_eq!((&pages[5]["next"], &pages[5]["done"]), (&json!("/notes/after/30"), &json!(false)));
}

#[tokio::test]
async fn emptypage_is_extra_and_loses_nothing() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "emptypage", "page": 2, "times": 2 })).await;
    it.fault(json!({ "kind": "emptypage", "page": 1 })).await;
    let pages = it.pages(20).await;
    let sizes: Value = pages.iter().map(|page| json!(page["notes"].as_array().map(Vec::len))).collect();
    assert_eq!(sizes, json!([0, 10, 0, 0, 10, 10, 5]));
    assert_eq!(ids(&pages), all());
    let links: std::collections::HashSet<String> =
        pages.iter().filter_map(|page| page["next"].as_str().map(str::to_owned)).collect();
    assert_eq!(links.len(), 6, "no link comes twice, so nobody can take it for a loop");
}

#[tokio::test]
async fn an_empty_page_can_stand_before_the_last_one() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "emptypage", "page": 4 })).await;
    let pages = it.pages(20).await;
    let told: Value = pages
        .iter()
        .map(|page| json!([page["notes"].as_array().map(Vec::len), page["done"], page["next"].is_string()]))
        .collect();
    let full = json!([10, false, true]);
    assert_eq!(told, json!([full, full, full, [0, false, true], [5, true, false]]));
    assert_eq!(ids(&pages), all());
}

#[tokio::test]
async fn short_claims_the_end_against_its_own_total() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "short", "page": 2 })).await;
    let pages = it.pages(9).await;
    let last = pages.last().expect("pages");
    assert_eq!((pages.len(), &last["done"], last.get("next")), (2, &json!(true), None));
    assert_eq!(last["total"], NOTES);
}

#[tokio::test]
async fn deep_nests_one_value() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "deep", "field": "text" })).await;
    let body = raw_get(&it, "/notes").await.body;
    let text = String::from_utf8(body).expect("text");
    assert!(text.contains(&format!("{}{}", "[".repeat(200_000), "]".repeat(200_000))));
    let healed = text.replace(&"[".repeat(200_000), "\"").replace(&"]".repeat(200_000), "\"");
    let page: Value = serde_json::from_str(&healed).expect("otherwise sound");
    assert_eq!(page["notes"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        page["notes"].as_array().map(|rows| rows.iter().filter(|row| row["text"] == "").count()),
        Some(1)
    );
}

#[tokio::test]
async fn dupkeys_names_one_property_twice_the_truth_last() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "dupkeys", "field": "text" })).await;
    let text = String::from_utf8(raw_get(&it, "/notes").await.body).expect("text");
    assert!(text.contains(r#"{"id":3,"text":"note 4","text":"note 3","weight":1.5}"#), "{text}");
}

#[tokio::test]
async fn badutf8_spoils_two_records_and_leaves_the_others() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "badutf8", "field": "text" })).await;
    let body = raw_get(&it, "/notes").await.body;
    assert!(std::str::from_utf8(&body).is_err());
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains(r#""text":"lone \ud800 surrogate""#), "{text}");
    assert!(text.contains("\"id\":3,\"text\":\"bad \u{fffd}\u{fffd} bytes\""), "{text}");
    assert_eq!(text.matches("\"text\":\"note ").count(), 8);
}

#[tokio::test]
async fn hugenum_puts_numbers_where_numbers_were() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "hugenum" })).await;
    let text = String::from_utf8(raw_get(&it, "/notes").await.body).expect("text");
    for (id, number) in [(0, "1e400"), (1, "9223372036854775809"), (2, "-0"), (3, "0.30000000000000004")] {
        let row = format!(r#"{{"id":{id},"text":"note {id}","weight":{number}}}"#);
        assert!(text.contains(&row), "{row} is not in {text}");
    }
    assert!(text.contains(r#"{"id":4,"text":"note 4","weight":1.5}"#));
}

#[tokio::test]
async fn a_single_record_is_spoiled_where_the_rule_names_its_path() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "hugenum", "path": "*" })).await;
    let one = || raw_get(&it, "/notes/one");
    assert_eq!(one().await.body, br#"{"id":1,"text":"one","weight":1.5}"#);
    it.control(Method::DELETE, "faults", &nothing()).await;
    it.fault(json!({ "kind": "hugenum", "path": "/notes/one", "field": "text" })).await;
    assert_eq!(one().await.body, br#"{"id":1,"text":0.30000000000000004,"weight":1.5}"#);
}

#[tokio::test]
async fn partial_refuses_every_so_many_rows_of_a_batch() {
    let it = Emulated::notes().await;
    let texts: Vec<String> = (0..100).map(|n| format!("new {n}")).collect();
    for (rule, refused) in [
        (json!({ "kind": "partial" }), vec![49, 99]),
        (json!({ "kind": "partial", "body": 40 }), vec![39, 79]),
    ] {
        it.fault(rule).await;
        let response = it
            .client
            .post(it.url("/notes/batch"))
            .body(json!(texts).to_string())
            .send()
            .await
            .expect("is answered");
        let outcomes = json_of(response).await;
        let failed: Vec<usize> = outcomes
            .as_array()
            .expect("a list")
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.get("problem").is_some())
            .map(|(place, _)| place)
            .collect();
        assert_eq!(failed, refused);
    }
    let (_, rows) = it.control(Method::GET, "state/notes/note", &nothing()).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(NOTES as usize + 2 * 98));
}

#[tokio::test]
async fn commits_are_kept_when_their_answer_is_lost() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "drop_after_commit" })).await;
    it.fault(json!({ "kind": "503_after_commit" })).await;
    assert_eq!(it.get("/notes").await.status(), StatusCode::OK, "reading changes nothing");
    let create =
        b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew".as_slice();
    let heard = raw::exchange(&it.emulator.http_url(), create).await;
    assert_eq!((heard.head.as_str(), heard.body.as_slice()), ("", b"".as_slice()));
    let heard = raw::exchange(&it.emulator.http_url(), create).await;
    assert_eq!((heard.status(), heard.body.as_slice()), ("503", br#"{"problem":503}"#.as_slice()));
    let (_, rows) = it.control(Method::GET, "state/notes/note", &nothing()).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(NOTES as usize + 2));
    assert_eq!(it.statuses().await, json!([200, null, 503]));
}

#[tokio::test]
async fn expired_tokens_are_refused_by_the_service_itself() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "expire_token", "nth": 2 })).await;
    assert_eq!(it.get("/notes").await.status(), StatusCode::OK);
    let refused = it.get("/notes").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(json_of(refused).await, json!({ "problem": "Expired" }));
    assert_eq!(it.get("/notes").await.status(), StatusCode::UNAUTHORIZED, "they stay expired");
}

#[tokio::test]
async fn rules_are_tried_in_order_and_each_is_used_up() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "status", "status": 500, "times": 2 })).await;
    it.fault(json!({ "kind": "status", "status": 502, "path": "/notes/after/*" })).await;
    it.fault(json!({ "kind": "status", "status": 504, "nth": 2 })).await;
    let mut statuses = Vec::new();
    for path in ["/notes", "/notes/after/10", "/notes", "/notes/after/10", "/notes", "/notes"] {
        statuses.push(it.get(path).await.status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200, 502, 504, 200]);
    let (_, rules) = it.control(Method::GET, "faults", &nothing()).await;
    let remaining: Value =
        rules["rules"].as_array().expect("a list").iter().map(|rule| rule["remaining"].clone()).collect();
    assert_eq!(remaining, json!([0, 0, 0]));
}

#[tokio::test]
async fn a_page_keeps_its_number_when_it_is_asked_for_again() {
    let it = Emulated::notes().await;
    it.fault(json!({ "kind": "503", "page": 2, "times": 2 })).await;
    let mut statuses = Vec::new();
    for path in
        ["/notes/one", "/notes", "/notes/after/10", "/notes/after/10", "/notes/after/10", "/notes/after/20"]
    {
        statuses.push(it.get(path).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 503, 503, 200, 200]);
    it.fault(json!({ "kind": "503", "page": 1 })).await;
    assert_eq!(it.get("/notes/one").await.status(), StatusCode::OK, "this is no page");
    assert_eq!(it.get("/notes").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn chance_strikes_some_and_the_same_ones_with_the_same_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let it = Emulated::notes().await;
        it.fault(json!({ "kind": "503", "probability": 0.5, "times": 999 })).await;
        for _ in 0..40 {
            it.get("/notes").await;
        }
        runs.push(it.statuses().await);
    }
    assert_eq!(runs[0], runs[1]);
    let struck = runs[0].as_array().expect("a list").iter().filter(|status| **status == 503).count();
    assert!((8..=32).contains(&struck), "{struck} of 40");
}

#[tokio::test]
async fn rules_can_be_taken_back_one_by_one_or_together() {
    let it = Emulated::notes().await;
    let first = it.fault(json!({ "kind": "status", "status": 500 })).await;
    it.fault(json!({ "kind": "status", "status": 502 })).await;
    assert_eq!(it.control(Method::DELETE, &format!("faults/{first}"), &nothing()).await.0, 200);
    assert_eq!(it.control(Method::DELETE, &format!("faults/{first}"), &nothing()).await.0, 404);
    assert_eq!(it.get("/notes").await.status().as_u16(), 502);
    it.fault(json!({ "kind": "503" })).await;
    it.control(Method::DELETE, "faults", &nothing()).await;
    assert_eq!(it.get("/notes").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused_with_a_reason() {
    let it = Emulated::notes().await;
    for (rule, reason) in [
        (json!({ "kind": "explode" }), "unknown variant"),
        (json!({ "kind": "503", "colour": "red" }), "unknown field"),
        (json!({ "times": 3 }), "missing field `kind`"),
        (json!({ "kind": "503", "service": "letters" }), "letters"),
        (json!({ "kind": "503", "times": 0 }), "count from 1"),
        (json!({ "kind": "503", "page": 0 }), "count from 1"),
        (json!({ "kind": "503", "probability": 1.5 }), "between 0 and 1"),
        (json!({ "kind": "status" }), "needs"),
        (json!({ "kind": "status", "status": 99 }), "99"),
        (json!({ "kind": "503", "headers": { "a b": "c" } }), "a b"),
        (json!({ "kind": "503", "method": "GE T" }), "method"),
        (json!({ "kind": "partial", "body": 0 }), "number"),
        (json!("503"), "not a fault rule"),
    ] {
        let (status, answer) = it.control(Method::POST, "faults", &rule).await;
        let text = answer["error"].as_str().unwrap_or_default().to_owned();
        assert!(status == 400 && text.contains(reason), "{rule} gave {status} {text}");
    }
    assert_eq!(it.control(Method::GET, "faults", &nothing()).await.1, json!({ "rules": [] }));
}

#[tokio::test]
async fn faults_strike_h2_streams_too() {
    let it = Emulated::notes().await;
    let ca = std::fs::read(it.emulator.ca_file()).expect("a certificate");
    let ca = reqwest::Certificate::from_pem(&ca).expect("PEM");
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().expect("a client");
    let url = format!("{}/notes", it.emulator.https_url());
    for kind in ["reset", "trunc", "hang"] {
        it.fault(json!({ "kind": kind, "delay_ms": 10 })).await;
        let response = client.get(&url).bearer_auth(it.token()).send().await.expect("headers");
        assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
        assert!(response.bytes().await.is_err(), "{kind} must not look like a whole answer");
    }
    it.fault(json!({ "kind": "drop_after_commit" })).await;
    assert!(client.post(&url).body("new").send().await.is_err());
    let response = client.get(&url).bearer_auth(it.token()).send().await.expect("is answered");
    assert_eq!(json_of(response).await["total"], NOTES + 1);
}

/// Pages of a Salesforce query, each as an answer's status and body.
async fn query_pages(emulator: &Emulator, limit: usize) -> Vec<(u16, Value)> {
    let token = emulator.credentials()["salesforce"]["access_token"].clone();
    let mut pages: Vec<(u16, Value)> = Vec::new();
    let mut path = "/services/data/v60.0/query?q=SELECT+Id,LastName+FROM+Contact+ORDER+BY+Id".to_owned();
    while pages.len() < limit {
        let response = client()
            .get(format!("{}{path}", emulator.http_url()))
            .bearer_auth(token.as_str().expect("a token"))
            .header("sforce-query-options", "batchSize=200")
            .send()
            .await
            .expect("is answered");
        let status = response.status().as_u16();
        let page = json_of(response).await;
        let next = page["nextRecordsUrl"].as_str().map(str::to_owned);
        pages.push((status, page));
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    pages
}

#[tokio::test]
async fn page_faults_work_on_salesforce_listings() {
    let emulator =
        Emulator::start(EmulatorConfig { scale: 5, ..EmulatorConfig::default() }).await.expect("starts");
    let fault = |rule: Value| {
        let rule = Rule::parse(rule.to_string().as_bytes(), &["salesforce"]).expect("a rule");
        emulator.faults().add(rule).expect("room");
    };
    let keys = |pages: &[(u16, Value)]| -> Vec<String> {
        let records = pages.iter().flat_map(|(_, page)| page["records"].as_array().expect("records"));
        records.map(|record| record["Id"].as_str().expect("an id").to_owned()).collect()
    };
    let honest = query_pages(&emulator, 99).await;
    let total = honest[0].1["totalSize"].as_u64().expect("a number");
    assert!(honest.len() >= 3, "{} pages", honest.len());
    assert_eq!(keys(&honest).len() as u64, total);

    fault(json!({ "kind": "emptypage", "page": 2 }));
    let pages = query_pages(&emulator, 99).await;
    assert_eq!((pages.len(), keys(&pages)), (honest.len() + 1, keys(&honest)));

    fault(json!({ "kind": "short", "page": 2 }));
    let pages = query_pages(&emulator, 99).await;
    assert_eq!(
        (pages.len(), &pages[1].1["done"], &pages[1].1["totalSize"]),
        (2, &json!(true), &json!(total))
    );

    fault(json!({ "kind": "evilnext" }));
    let pages = query_pages(&emulator, 1).await;
    let link = pages[0].1["nextRecordsUrl"].as_str().expect("a link");
    assert!(link.starts_with("http://127.0.0.2:9/services/data/v60.0/query/"), "{link}");

    fault(json!({ "kind": "loop" }));
    let pages = query_pages(&emulator, 6).await;
    let links: Vec<&Value> = pages.iter().map(|(_, page)| &page["nextRecordsUrl"]).collect();
    assert!(pages.len() == 6 && links.iter().all(|link| *link == links[0]), "{links:?}");
    emulator.reset();

    fault(json!({ "kind": "401", "page": 2 }));
    let pages = query_pages(&emulator, 99).await;
    assert_eq!(
        (pages.len(), pages[1].0, &pages[1].1[0]["errorCode"]),
        (2, 401, &json!("INVALID_SESSION_ID"))
    );
    fault(json!({ "kind": "expire_token", "page": 2 }));
    let pages = query_pages(&emulator, 99).await;
    assert_eq!(
        (pages.len(), pages[1].0, &pages[1].1[0]["errorCode"]),
        (2, 401, &json!("INVALID_SESSION_ID"))
    );
}

/// Pages of a Jira search, whose token stands in the body of a POST.
async fn jira_pages(emulator: &Emulator, limit: usize) -> Vec<(u16, Value)> {
    let credentials = emulator.credentials()["jira"].clone();
    let text = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
    let mut pages: Vec<(u16, Value)> = Vec::new();
    let mut asked = json!({ "jql": "project = OPS", "maxResults": 40, "fields": ["summary"] });
    while pages.len() < limit {
        let response = client()
            .post(format!("{}/rest/api/3/search/jql", emulator.http_url()))
            .basic_auth(text("email"), Some(text("api_token")))
            .header("content-type", "application/json")
            .body(asked.to_string())
            .send()
            .await
            .expect("is answered");
        let status = response.status().as_u16();
        let page = json_of(response).await;
        let next = page["nextPageToken"].clone();
        pages.push((status, page));
        if next.is_null() {
            break;
        }
        asked["nextPageToken"] = next;
    }
    pages
}

#[tokio::test]
async fn page_faults_work_where_the_token_stands_in_the_body() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.expect("starts");
    let fault = |rule: Value| {
        let rule = Rule::parse(rule.to_string().as_bytes(), &["jira"]).expect("a rule");
        emulator.faults().add(rule).expect("room");
    };
    let keys = |pages: &[(u16, Value)]| -> Vec<String> {
        let records = pages.iter().flat_map(|(_, page)| page["issues"].as_array().expect("issues"));
        records.map(|record| record["key"].as_str().expect("a key").to_owned()).collect()
    };
    let honest = jira_pages(&emulator, 99).await;
    assert_eq!((honest.len(), keys(&honest).len()), (3, 120));
    for page in [1, 2, 3] {
        fault(json!({ "kind": "emptypage", "path": "*/search/jql", "page": page }));
        let pages = jira_pages(&emulator, 99).await;
        assert_eq!((pages.len(), keys(&pages)), (4, keys(&honest)), "before page {page}");
        assert_eq!(pages[page - 1].1["isLast"], false);
    }
    fault(json!({ "kind": "short", "page": 2 }));
    let pages = jira_pages(&emulator, 99).await;
    assert_eq!((pages.len(), &pages[1].1["isLast"]), (2, &json!(true)));

    fault(json!({ "kind": "loop", "page": 2 }));
    let pages = jira_pages(&emulator, 6).await;
    assert!(pages.len() == 6 && pages[2..].iter().all(|(_, page)| page == &pages[2].1), "page 3 for ever");
    emulator.reset();

    fault(json!({ "kind": "429", "page": 3 }));
    let pages = jira_pages(&emulator, 99).await;
    assert_eq!((pages.len(), pages[2].0), (3, 429));
}

#[tokio::test]
async fn an_answer_with_tokens_can_be_lost_where_the_rule_names_the_endpoint() {
    let emulator = Emulator::start(EmulatorConfig::default()).await.expect("starts");
    let credentials = emulator.credentials()["salesforce"].clone();
    let text = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
    let refresh = || {
        let form = format!(
            "grant_type=refresh_token&refresh_token={}&client_id={}&client_secret={}",
            text("refresh_token"),
            text("client_id"),
            text("client_secret")
        );
        client().post(format!("{}/services/oauth2/token", emulator.http_url())).body(form).send()
    };
    let rule = |rule: Value| {
        let rule = Rule::parse(rule.to_string().as_bytes(), &["salesforce"]).expect("a rule");
        emulator.faults().add(rule).expect("room")
    };
    let unnamed = rule(json!({ "kind": "503_after_commit" }));
    rule(json!({ "kind": "drop_after_commit", "path": "/services/oauth2/token" }));
    assert!(refresh().await.is_err(), "the answer is lost");
    assert!(emulator.faults().remove(unnamed));
    let again = refresh().await.expect("is answered");
    assert_eq!(again.status(), StatusCode::BAD_REQUEST, "the token was replaced although nobody was told");
}
