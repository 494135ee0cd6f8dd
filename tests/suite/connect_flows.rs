//! Signing in at the emulated Salesforce, each way from beginning to end, and the callback's manners.

use std::net::TcpListener;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use recordport::connect::connection::{Connection, Secrets};
use recordport::connect::disclosure::Disclosure;
use recordport::connect::doctor::{FindingState, Health, ProbeReport, examine};
use recordport::connect::flows::code::{Attempt, Landing};
use recordport::connect::flows::{self, pasted};
use recordport::connect::oauth::OAuthClient;
use recordport::connect::sign_in::{AccessMode, GrantKind};
use recordport::connect::store::Store as _;
use recordport::error::{Error, ErrorKind};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::Url;

use crate::support::connected::{Connected, clock, sign_in, wire};

const SCOPES: &[&str] = &["api", "refresh_token", "id"];

fn scopes() -> Vec<String> {
    SCOPES.iter().map(|&scope| scope.to_owned()).collect()
}

fn value(page: &str, tag: &str, name: &str) -> String {
    let at = page.find(tag).unwrap_or_else(|| panic!("no {tag} in {page}"));
    let (_, rest) = page[at..].split_once(&format!("{name}=\"")).expect("the attribute");
    rest.split('"').next().expect("a value").to_owned()
}

fn query(address: &Url, name: &str) -> String {
    let found = address.query_pairs().find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn no_error(error: Error) -> ! {
    panic!("{error}")
}

impl Connected {
    /// A redirect address on a port that is free now, registered with the client.
    async fn free_redirect(&self, host: &str) -> String {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let redirect = format!("http://{host}:{port}/callback");
        self.change_client(json!({ "redirect_uris": [redirect] })).await;
        redirect
    }

    async fn begin(&self, redirect: &str) -> Attempt {
        Attempt::begin(self.oauth(), &scopes(), Some(redirect), Landing::Here)
            .await
            .unwrap_or_else(|e| no_error(e))
    }

    /// What a user does with the authorisation page; gives the address that the browser is sent to.
    async fn decide(&self, page: &Url, decision: &str) -> Url {
        let shown = self.client.get(page.clone()).send().await.expect("is answered");
        let shown = shown.text().await.expect("a page");
        let form =
            [("request", value(&shown, "name=\"request\"", "value")), ("decision", decision.to_owned())];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = self
            .client
            .post(format!("{}{}", self.emulator.http_url(), value(&shown, "<form ", "action")))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .expect("is answered");
        answer.headers()["location"].to_str().expect("text").parse().expect("an address")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_signs_in_through_the_browser() {
    let connected = Connected::start().await;
    let redirect = connected.free_redirect("localhost").await;
    let attempt = connected.begin(&redirect).await;
    let page = attempt.address().clone();
    assert_eq!(attempt.redirect_uri(), redirect);
    assert_eq!(query(&page, "redirect_uri"), redirect);
    assert_eq!(query(&page, "code_challenge_method"), "S256");
    assert_eq!(query(&page, "code_challenge").len(), 43);
    assert!(query(&page, "state").len() >= 22, "at least 128 bits");
    assert_eq!(query(&page, "scope"), SCOPES.join(" "));
    let waiting = tokio::spawn(attempt.wait(Duration::from_secs(60)));
    let landed = connected.decide(&page, "allow").await;
    let shown = connected.client.get(landed.clone()).send().await.expect("is answered");
    assert_eq!(shown.status(), 200);
    assert_eq!(shown.headers()["cache-control"], "no-store");
    assert_eq!(shown.headers()["referrer-policy"], "no-referrer");
    let text = shown.text().await.expect("a page");
    assert!(text.contains("Signed in") && !text.contains(&query(&landed, "code")), "{text}");
    let tokens =
        waiting.await.expect("ends").and_then(|grant| grant.into_tokens()).unwrap_or_else(|e| no_error(e));
    assert!(connected.accepts(&format!("Bearer {}", tokens.access_token.expose_secret())).await);
    assert!(tokens.refresh_token.is_some());
    assert_eq!(tokens.scopes, Some(scopes()));
    assert_eq!(tokens.bases["api"].as_str().trim_end_matches('/'), connected.emulator.http_url());
    assert!(connected.client.get(landed).send().await.is_err(), "nobody listens after the first valid visit");
    // The verifier went to the token endpoint and nowhere else.
    let requests = connected.token_requests().await;
    let body = requests[0]["body"].as_str().expect("a body");
    assert!(body.contains("code_verifier=") && body.contains("client_secret="), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_signs_in_with_a_browser_elsewhere() {
    let connected = Connected::start().await;
    let begin = || async {
        let attempt = Attempt::begin(connected.oauth(), &scopes(), None, Landing::Pasted).await;
        attempt.unwrap_or_else(|error| no_error(error))
    };
    let attempt = begin().await;
    assert_eq!(attempt.redirect_uri(), "http://localhost:7281/callback");
    let landed = connected.decide(attempt.address(), "allow").await;
    let pasted = SecretString::from(format!("  {landed}\n"));
    let grant = attempt.paste(&pasted).await.unwrap_or_else(|error| no_error(error));
    let token = grant.into_tokens().unwrap_or_else(|error| no_error(error)).access_token;
    assert!(connected.accepts(&format!("Bearer {}", token.expose_secret())).await);

    let first = begin().await;
    let landed = connected.decide(first.address(), "allow").await;
    let second = begin().await;
    let error = second.paste(&SecretString::from(landed.to_string())).await.expect_err("of another attempt");
    assert_eq!(error.kind().exit_code(), 2);
    assert!(!format!("{error:?}").contains(&query(&landed, "code")));
    for wrong in
        ["", "code", "https://evil.example/callback?code=1&state=2", "http://localhost:7281/other?code=1"]
    {
        let error = begin().await.paste(&SecretString::from(wrong)).await.expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        assert!(error.advice().expect("advice").contains("http://localhost:7281/callback"), "{error}");
    }
    let attempt = begin().await;
    let landed = connected.decide(attempt.address(), "deny").await;
    let error = attempt.paste(&SecretString::from(landed.to_string())).await.expect_err("was denied");
    assert_eq!((error.kind().exit_code(), error.code()), (3, Some("access_denied")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_76_visitors_that_do_not_belong_to_the_sign_in_change_nothing() {
    let connected = Connected::start().await;
    let redirect = connected.free_redirect("localhost").await;
    let attempt = connected.begin(&redirect).await;
    let page = attempt.address().clone();
    let state = query(&page, "state");
    let port = Url::parse(&redirect).expect("an address").port().expect("a port");
    let waiting = tokio::spawn(attempt.wait(Duration::from_secs(60)));
    let visit = |path: String| {
        let request = connected.client.get(format!("http://localhost:{port}{path}"));
        async move { request.send().await.expect("is answered") }
    };
    for (what, path, status) in [
        ("no state", "/callback?code=x".to_owned(), 400),
        ("an empty state", "/callback?code=x&state=".to_owned(), 400),
        ("another state", format!("/callback?code=x&state={}", state.replace(&state[..1], "~")), 400),
        ("a shorter state", format!("/callback?code=x&state={}", &state[..40]), 400),
        ("the state twice", format!("/callback?code=x&state={state}&state={state}"), 400),
        ("a code twice", format!("/callback?code=x&code=y&state={state}"), 400),
        ("an error without state", "/callback?error=access_denied".to_owned(), 400),
        ("another path", format!("/callback/?code=x&state={state}"), 404),
        ("the root", "/".to_owned(), 404),
        ("an icon", "/favicon.ico".to_owned(), 404),
    ] {
        let answer = visit(path).await;
        assert_eq!(answer.status(), status, "{what}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{what}");
        let text = answer.text().await.expect("a page");
        assert!(!text.contains(&state), "{what}: {text}");
    }
    let right = format!("/callback?code=x&state={state}");
    let posted =
        connected.client.post(format!("http://localhost:{port}{right}")).send().await.expect("is answered");
    assert_eq!(posted.status(), 405);
    for host in ["evil.example", &format!("evil.example:{port}"), &format!("127.0.0.1:{port}"), "localhost"] {
        let request = connected.client.get(format!("http://127.0.0.1:{port}{right}")).header("host", host);
        assert_eq!(request.send().await.expect("is answered").status(), 403, "{host}");
    }
    let flood = (0..300).map(|number| visit(format!("/callback?code=x&state={number}")));
    let statuses: Vec<u16> = {
        use futures::StreamExt as _;
        futures::stream::iter(flood)
            .buffer_unordered(8)
            .map(|answer| answer.status().as_u16())
            .collect()
            .await
    };
    assert!(
        statuses.contains(&429) && statuses.iter().all(|status| matches!(status, 400 | 429)),
        "{statuses:?}"
    );
    assert!(connected.token_requests().await.is_empty(), "none of them was believed");
    let landed = connected.decide(&page, "allow").await;
    assert_eq!(connected.client.get(landed).send().await.expect("is answered").status(), 200);
    waiting.await.expect("ends").unwrap_or_else(|error| no_error(error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_76_an_answer_that_cannot_be_trusted_ends_the_attempt() {
    let connected = Connected::start().await;
    for (what, query_text, exit, code) in [
        ("another server", "code=x&iss=https%3A%2F%2Fevil.example", 3, Some("issuer_mismatch")),
        ("no server", "code=x&iss=evil", 3, Some("issuer_mismatch")),
        ("denied", "error=access_denied&error_description=end-user%20denied", 3, Some("access_denied")),
        ("not installed", "error=OAUTH_EC_APP_NOT_FOUND", 5, Some("OAUTH_EC_APP_NOT_FOUND")),
        ("neither code nor error", "x=y", 5, None),
        ("an empty code", "code=", 5, None),
        ("a code that nobody issued", "code=made-up", 3, Some("invalid_grant")),
    ] {
        let redirect = connected.free_redirect("127.0.0.1").await;
        let attempt = connected.begin(&redirect).await;
        let state = query(attempt.address(), "state");
        let waiting = tokio::spawn(attempt.wait(Duration::from_secs(60)));
        let shown = connected.client.get(format!("{redirect}?{query_text}&state={state}")).send().await;
        assert_eq!(shown.expect("is answered").status(), 200, "{what}");
        let error = waiting.await.expect("ends").expect_err(what);
        assert_eq!((error.kind().exit_code(), error.code()), (exit, code), "{what}: {error}");
        if exit == 3 {
            assert!(error.advice().is_some(), "{what}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_76_a_verifier_of_another_attempt_buys_nothing() {
    let connected = Connected::start().await;
    let redirect = connected.free_redirect("localhost").await;
    let attempt = connected.begin(&redirect).await;
    // The page of this attempt, with the challenge of another: what a thief of the code would have.
    let other = recordport::emulator::grants::s256("another verifier, of at least forty-three characters");
    let mut page = attempt.address().clone();
    let pairs: Vec<(String, String)> = page
        .query_pairs()
        .map(|(name, value)| {
            let value = if name == "code_challenge" { other.clone() } else { value.into_owned() };
            (name.into_owned(), value)
        })
        .collect();
    page.query_pairs_mut().clear().extend_pairs(pairs);
    let landed = connected.decide(&page, "allow").await;
    let waiting = tokio::spawn(attempt.wait(Duration::from_secs(60)));
    connected.client.get(landed).send().await.expect("is answered");
    let error = waiting.await.expect("ends").expect_err("the verifier does not fit");
    assert_eq!(
        (error.code(), error.provider_message()),
        (Some("invalid_grant"), Some("invalid code verifier"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_nobody_ends_runs_out() {
    let connected = Connected::start().await;
    let redirect = connected.free_redirect("localhost").await;
    let error =
        connected.begin(&redirect).await.wait(Duration::from_millis(20)).await.expect_err("nobody came");
    assert_eq!((error.kind().exit_code(), error.code()), (3, Some("sign_in_timeout")));
    assert!(connected.client.get(&redirect).send().await.is_err(), "the listener is closed");
}

/// Local addresses in hexadecimal that listen on a port, as the kernel tells.
fn listening(port: u16) -> Vec<String> {
    let mut found = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(file).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && fields[1].ends_with(&format!(":{port:04X}")) {
                found.push(fields[1].split(':').next().expect("an address").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn fault_77_the_callback_listens_on_loopback_only() {
    let connected = Connected::start().await;
    let (v4, v6) = ("0100007F", "00000000000000000000000001000000");
    for (host, allowed) in [("localhost", vec![v6, v4]), ("127.0.0.1", vec![v4])] {
        let redirect = connected.free_redirect(host).await;
        let attempt = connected.begin(&redirect).await;
        let found = listening(Url::parse(&redirect).expect("an address").port().expect("a port"));
        assert!(found.contains(&v4.to_owned()), "{host}: {found:?}");
        assert!(found.iter().all(|address| allowed.contains(&address.as_str())), "{host}: {found:?}");
        drop(attempt);
    }
    for elsewhere in
        ["http://0.0.0.0:7300/callback", "https://localhost/callback", "http://192.168.0.1/x", "nowhere"]
    {
        let attempt = Attempt::begin(connected.oauth(), &scopes(), Some(elsewhere), Landing::Here).await;
        assert_eq!(attempt.expect_err(elsewhere).kind().exit_code(), 2, "{elsewhere}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_ways_out() {
    let connected = Connected::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let redirect = format!("http://localhost:{}/callback", taken.local_addr().expect("an address").port());
    let attempt = Attempt::begin(connected.oauth(), &scopes(), Some(&redirect), Landing::Here).await;
    let error = attempt.expect_err("is in use");
    assert_eq!((error.kind().exit_code(), error.code()), (7, Some("port")));
    let advice = error.advice().expect("advice");
    assert!(advice.contains("--redirect-uri") && advice.contains("--no-browser"), "{advice}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_the_provider_does_not_accept_are_told_why() {
    let connected = Connected::with(GrantKind::ClientCredentials).await;
    let demo = connected.connection.clone();
    let wrong = |id: String, secret: &str| {
        OAuthClient::new(
            sign_in(&connected.emulator.http_url()),
            wire(),
            clock(),
            id,
            Some(SecretString::from(secret)),
        )
    };
    let ask = |client: OAuthClient, connection: Connection, secrets: Secrets| async move {
        flows::obtain(&client, &connection, &secrets).await.expect_err("is not accepted")
    };
    let id = connected.credential("client_id");
    let error = ask(wrong(id.clone(), "a wrong secret"), demo.clone(), connected.secrets()).await;
    assert_eq!((error.kind().exit_code(), error.code()), (3, Some("invalid_client")));
    assert!(error.advice().expect("advice").contains("client secret"));
    assert!(!format!("{error:?}").contains("a wrong secret"));
    let error = ask(wrong("nobody".to_owned(), "x"), demo.clone(), connected.secrets()).await;
    assert_eq!(error.code(), Some("invalid_client_id"));
    let error = ask(connected.oauth(), demo.clone(), Secrets::default()).await;
    assert_eq!(error.kind().exit_code(), 2, "no secret at all is noticed here: {error}");
    connected.change_client(json!({ "installed": false })).await;
    let error = ask(connected.oauth(), demo.clone(), connected.secrets()).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, Some("app_not_found")));
    assert!(error.advice().expect("advice").contains("administrator"));

    let mut jwt = demo;
    jwt.grant = GrantKind::Jwt;
    connected.change_client(json!({ "installed": true })).await;
    for (what, user, key) in [
        ("no key", connected.credential("username"), None),
        ("no RSA key", connected.credential("username"), Some("-----BEGIN PRIVATE KEY-----\nAAAA\n")),
    ] {
        jwt.username = Some(user);
        let secrets = Secrets { private_key: key.map(SecretString::from), ..Secrets::default() };
        assert_eq!(ask(connected.oauth(), jwt.clone(), secrets).await.kind().exit_code(), 2, "{what}");
    }
    jwt.username = Some("nobody@example.com".to_owned());
    let error = ask(connected.oauth(), jwt, connected.secrets()).await;
    assert_eq!((error.kind().exit_code(), error.code()), (3, Some("invalid_grant")));
}

#[tokio::test]
async fn a_pasted_token_needs_its_host_and_no_line_ends() {
    let factory = recordport::providers::find("salesforce").expect("a provider");
    let plain = factory.sign_in(&json!({}), None).expect("a sign-in");
    let now = jiff::Timestamp::now();
    let token = SecretString::from("Bearer 00D!abc\n");
    let error = pasted::tokens(&token, &plain, None, now).expect_err("which host?");
    assert!(error.advice().expect("advice").contains("--endpoint"), "{error}");
    let domain = factory.sign_in(&json!({ "my_domain": "acme" }), None).expect("a sign-in");
    let tokens = pasted::tokens(&token, &domain, None, now).unwrap_or_else(|error| no_error(error));
    assert_eq!(tokens.access_token.expose_secret(), "00D!abc");
    for bad in ["", "  \n", "two words", "line\r\nInjected: yes", "ünicode"] {
        let error = pasted::tokens(&SecretString::from(bad), &domain, None, now).expect_err(bad);
        assert_eq!(error.kind().exit_code(), 2, "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_is_wrong_and_the_next_step() {
    let connected = Connected::start().await;
    let plan = sign_in(&connected.emulator.http_url());
    let diagnose = |probe: Result<ProbeReport, Error>| {
        let (connected, plan) = (&connected, &plan);
        async move {
            examine(&connected.connection, plan, &connected.keeper(), &wire(), &clock(), async { probe })
                .await
        }
    };
    let report = ProbeReport { quota: Some((10, 100)), scopes: Some(scopes()), ..ProbeReport::default() };
    let healthy = diagnose(Ok(report.clone())).await;
    assert_eq!(healthy.state, Health::Ok, "{:?}", healthy.findings);
    let checks: Vec<&str> = healthy.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["key", "reachable", "clock", "token", "scopes", "expiry", "quota"]);
    assert!(healthy.findings.iter().all(|finding| finding.state == FindingState::Ok));

    let used_up = diagnose(Ok(ProbeReport { quota: Some((100, 100)), ..report.clone() })).await;
    let error = used_up.error.expect("a reason");
    assert_eq!((error.kind().exit_code(), error.code()), (5, Some("quota_used_up")));
    let missing = diagnose(Ok(ProbeReport { scopes: Some(vec!["id".to_owned()]), ..report.clone() })).await;
    let scopes = missing.findings.iter().find(|finding| finding.check == "scopes").expect("a finding");
    assert_eq!(scopes.state, FindingState::Warning);
    assert!(scopes.detail.contains("api refresh_token"), "{scopes:?}");
    assert!(scopes.next_step.as_ref().expect("a step").contains("authorize demo"));
    let revoked =
        Error::new(ErrorKind::Unauthorized, "over").with_code("invalid_grant").with_advice("sign in");
    assert_eq!(diagnose(Err(revoked)).await.state, Health::Revoked);

    connected.control(http::Method::POST, "clock", json!({ "advance": "PT10M" })).await;
    let early = diagnose(Ok(report.clone())).await;
    let error = early.error.expect("a reason");
    assert_eq!(
        (early.state, error.code(), error.kind().exit_code()),
        (Health::Misconfigured, Some("clock_off"), 7)
    );
    assert!(
        error.message().contains("10 minutes behind") || error.message().contains("9 minutes behind"),
        "{error}"
    );
    connected.control(http::Method::POST, "reset", json!(null)).await;

    std::fs::remove_file(connected.home().join("master.key")).expect("goes");
    let locked = crate::support::connected::open(&connected.home()).await;
    let keeper = connected.keeper_on(std::sync::Arc::new(locked));
    let locked =
        examine(&connected.connection, &plan, &keeper, &wire(), &clock(), async { Ok(report) }).await;
    let error = locked.error.expect("a reason");
    assert_eq!((locked.state, error.code()), (Health::Misconfigured, Some("master_key_missing")));
    assert_eq!(error.kind().exit_code(), 7);
}

#[tokio::test]
async fn the_disclosure_says_what_is_asked_and_kept() {
    let connected = Connected::start().await;
    let factory = recordport::providers::find("salesforce").expect("a provider");
    let plan = factory.sign_in(&json!({}), None).expect("a sign-in");
    for access in [AccessMode::ReadOnly, AccessMode::ReadWrite] {
        let asked: Vec<String> = plan.scopes_for(access).iter().map(|scope| scope.name.clone()).collect();
        let redirect = Some("http://localhost:7281/callback");
        let disclosure =
            Disclosure::new(&plan, access, GrantKind::Code, &asked, redirect, connected.store.place());
        let text = disclosure.to_string();
        for scope in plan.scopes_for(access) {
            assert!(
                text.contains(&format!("  {}: ", scope.name))
                    && text.contains(scope.why.trim_end_matches('.'))
            );
        }
        for part in [
            "Salesforce REST API",
            "login.salesforce.com",
            "*.my.salesforce.com",
            "recordport.db",
            "master.key",
            "http://localhost:7281/callback",
            "Nobody else receives anything",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let (word, other) = match access {
            AccessMode::ReadOnly => ("read-only", "read-write"),
            AccessMode::ReadWrite => ("read-write", "read-only"),
        };
        assert!(text.contains(word) && !text.contains(other), "{text}");
    }
}
