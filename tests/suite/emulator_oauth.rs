//! The emulated Salesforce's OAuth, walked through as a browser and a client would.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use recordport::emulator::grants::s256;
use recordport::emulator::{Emulator, EmulatorConfig};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::emulated::{client, json_of};

const REDIRECT: &str = "http://localhost:7281/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
const LIMITS: &str = "/services/data/v60.0/limits";

struct Org {
    emulator: Emulator,
    client: reqwest::Client,
}

/// A token request that succeeded.
struct Tokens(Value);

impl Tokens {
    fn access(&self) -> &str {
        self.0["access_token"].as_str().expect("an access token")
    }

    fn refresh(&self) -> &str {
        self.0["refresh_token"].as_str().expect("a refresh token")
    }
}

impl Org {
    async fn start() -> Self {
        let emulator = Emulator::start(EmulatorConfig::default()).await.expect("starts");
        Self { emulator, client: client() }
    }

    fn credential(&self, name: &str) -> String {
        self.emulator.credentials()["salesforce"][name].as_str().expect("a credential").to_owned()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.emulator.http_url())
    }

    /// The address of the consent page of the main client, with some parameters changed or added.
    fn authorize_url(&self, changes: &[(&str, &str)]) -> String {
        let id = self.credential("client_id");
        let challenge = s256(VERIFIER);
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", id.as_str()),
            ("redirect_uri", REDIRECT),
            ("state", "st&te=1"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        let query = form(&parameters);
        self.url(&format!("/services/oauth2/authorize?{query}"))
    }

    async fn visit(&self, url: &str) -> (StatusCode, Option<Url>, String) {
        let response = self.client.get(url).send().await.expect("is answered");
        let status = response.status();
        let location = location(&response);
        (status, location, response.text().await.expect("a body"))
    }

    /// Answers a consent page as its form would.
    async fn decide(&self, page: &str, decision: &str) -> (StatusCode, Option<Url>, String) {
        let action = attribute(page, "<form ", "action");
        let number = attribute(page, "name=\"request\"", "value");
        let response = self
            .client
            .post(self.url(&action))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(&[("request", &number), ("decision", decision)]))
            .send()
            .await
            .expect("is answered");
        let status = response.status();
        let location = location(&response);
        (status, location, response.text().await.expect("a body"))
    }

    /// A code for the main client, allowed by the user.
    async fn code(&self, changes: &[(&str, &str)]) -> String {
        let (status, _, page) = self.visit(&self.authorize_url(changes)).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let (_, location, _) = self.decide(&page, "allow").await;
        parameter(&location.expect("a redirect"), "code").expect("a code")
    }

    /// A token request of the main client.
    async fn token(&self, parameters: &[(&str, &str)]) -> (u16, Value) {
        let (id, secret) = (self.credential("client_id"), self.credential("client_secret"));
        let mut all = vec![("client_id", id.as_str()), ("client_secret", secret.as_str())];
        for (name, value) in parameters {
            all.retain(|(known, _)| known != name);
            if !value.is_empty() {
                all.push((name, value));
            }
        }
        self.post("token", &form(&all)).await
    }

    async fn post(&self, endpoint: &str, body: &str) -> (u16, Value) {
        let response = self
            .client
            .post(self.url(&format!("/services/oauth2/{endpoint}")))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.to_owned())
            .send()
            .await
            .expect("is answered");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let mut parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        parameters.retain(|(name, _)| !changes.iter().any(|(other, _)| other == name));
        parameters.extend(changes);
        self.token(&parameters).await
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The status and body with which the data API meets a token.
    async fn use_token(&self, token: &str) -> (u16, Value) {
        let response =
            self.client.get(self.url(LIMITS)).bearer_auth(token).send().await.expect("is answered");
        (response.status().as_u16(), json_of(response).await)
    }

    async fn accepts(&self, token: &str) -> bool {
        self.use_token(token).await.0 == 200
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let response =
            self.client.post(self.url(&format!("/_emulator/{path}"))).body(body.to_string()).send().await;
        let response = response.expect("is answered");
        assert_eq!(response.status(), StatusCode::OK);
        json_of(response).await
    }

    async fn change_client(&self, change: Value) {
        let mut all = json!({ "service": "salesforce", "client_id": self.credential("client_id") });
        all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.control("oauth/clients", all).await;
    }

    async fn change_user(&self, change: Value) {
        let mut all = json!({ "service": "salesforce", "username": self.credential("username") });
        all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.control("oauth/users", all).await;
    }

    fn assertion(&self, changes: &Value) -> String {
        let mut claims = json!({
            "iss": self.credential("client_id"),
            "sub": self.credential("username"),
            "aud": "https://login.salesforce.com",
            "exp": self.emulator.clock().now().as_second() + 180,
        });
        claims.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let key = std::fs::read(self.credential("private_key_file")).expect("a key file");
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(&key).expect("a key");
        jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256), &claims, &key)
            .expect("signs")
    }

    async fn by_assertion(&self, assertion: &str) -> (u16, Value) {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        self.post("token", &form(&[("grant_type", grant), ("assertion", assertion)])).await
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn location(response: &reqwest::Response) -> Option<Url> {
    response.headers().get("location").map(|value| value.to_str().expect("text").parse().expect("an address"))
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The value of an attribute of the first tag that holds a text.
fn attribute(page: &str, tag: &str, name: &str) -> String {
    let at = page.find(tag).unwrap_or_else(|| panic!("no {tag} in {page}"));
    let (_, rest) = page[at..].split_once(&format!("{name}=\"")).expect("the attribute");
    rest.split('"').next().expect("a value").to_owned()
}

fn error(answer: &(u16, Value)) -> (u16, &str, &str) {
    let text = |name: &str| answer.1[name].as_str().unwrap_or_default();
    (answer.0, text("error"), text("error_description"))
}

#[tokio::test]
async fn a_user_allows_and_the_client_gets_tokens_that_work() {
    let org = Org::start().await;
    let (status, _, page) = org.visit(&org.authorize_url(&[("scope", "api refresh_token id")])).await;
    assert_eq!(status, StatusCode::OK);
    for text in [
        "recordport asks for access to Salesforce",
        "<code>api</code> Read and change the records",
        "<code>refresh_token</code> Come back at any time",
        "value=\"allow\">Allow<",
        "value=\"deny\">Deny<",
        REDIRECT,
        &org.credential("username"),
    ] {
        assert!(page.contains(text), "{text:?} is not in {page}");
    }
    assert!(!page.contains("<code>full</code>"), "only what was asked for");
    let (status, landed, _) = org.decide(&page, "allow").await;
    let landed = landed.expect("a redirect");
    assert_eq!(status, StatusCode::FOUND);
    assert!(landed.as_str().starts_with(&format!("{REDIRECT}?")), "{landed}");
    assert_eq!(parameter(&landed, "state").as_deref(), Some("st&te=1"));

    let code = parameter(&landed, "code").expect("a code");
    let (status, answer) = org.exchange(&code, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let tokens = Tokens(answer.clone());
    let origin = org.emulator.http_url();
    let (organization, user) = (org.credential("organization_id"), org.credential("user_id"));
    assert_eq!(answer["instance_url"], origin);
    assert_eq!(answer["id"], format!("{origin}/id/{organization}/{user}"));
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["scope"], "api refresh_token id");
    assert!(tokens.access().starts_with(&format!("{}!", &organization[..15])), "{}", tokens.access());
    let issued: i64 = answer["issued_at"].as_str().expect("a text").parse().expect("milliseconds");
    assert!((org.emulator.clock().now().as_millisecond() - issued).abs() < 60_000);
    assert!(answer.get("expires_in").is_none(), "Salesforce does not tell the lifetime");
    assert!(answer["signature"].as_str().is_some_and(|text| text.len() == 44));
    assert!(org.accepts(tokens.access()).await);
    let identity = org.client.get(answer["id"].as_str().expect("an address")).bearer_auth(tokens.access());
    let identity = json_of(identity.send().await.expect("is answered")).await;
    assert_eq!(
        (&identity["user_id"], &identity["username"]),
        (&json!(user), &json!(org.credential("username")))
    );
}

#[tokio::test]
async fn a_user_denies_and_a_page_is_decided_once() {
    let org = Org::start().await;
    let (_, _, page) = org.visit(&org.authorize_url(&[])).await;
    let (_, landed, _) = org.decide(&page, "deny").await;
    let landed = landed.expect("a redirect");
    assert_eq!(parameter(&landed, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&landed, "state").as_deref(), Some("st&te=1"));
    assert_eq!(parameter(&landed, "code"), None);
    let (status, landed, _) = org.decide(&page, "allow").await;
    assert_eq!((status, landed), (StatusCode::BAD_REQUEST, None), "the page was answered already");
}

#[tokio::test]
async fn redirect_addresses_are_compared_as_whole_texts() {
    let org = Org::start().await;
    for address in [
        "http://localhost:7281/callback/",
        "http://localhost:7282/callback",
        "http://127.0.0.1:7281/callback",
        "http://LOCALHOST:7281/callback",
        "http://localhost:7281/callback?x=1",
        "https://evil.example/",
    ] {
        let (status, landed, page) = org.visit(&org.authorize_url(&[("redirect_uri", address)])).await;
        assert_eq!((status, landed), (StatusCode::BAD_REQUEST, None), "{address}");
        assert!(page.contains("redirect_uri_mismatch"), "{page}");
    }
    let other = "http://127.0.0.1:5555/back?tenant=1";
    org.change_client(json!({ "redirect_uris": [other] })).await;
    let (_, _, page) = org.visit(&org.authorize_url(&[("redirect_uri", other)])).await;
    let (_, landed, _) = org.decide(&page, "allow").await;
    let landed = landed.expect("a redirect");
    assert!(landed.as_str().starts_with(&format!("{other}&code=")), "{landed}");
    let code = parameter(&landed, "code").expect("a code");
    let refused = org.exchange(&code, &[]).await;
    assert_eq!(error(&refused).1, "redirect_uri_mismatch");
}

#[tokio::test]
async fn requests_that_cannot_be_trusted_end_on_a_page_and_others_go_back() {
    let org = Org::start().await;
    let (status, landed, page) = org.visit(&org.authorize_url(&[("client_id", "<b>nobody")])).await;
    assert_eq!((status, landed), (StatusCode::BAD_REQUEST, None));
    assert!(page.contains("invalid_client_id") && !page.contains("<b>nobody"), "{page}");
    for (change, code) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "api everything"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
    ] {
        let (status, landed, _) = org.visit(&org.authorize_url(&[change])).await;
        let landed = landed.expect("a redirect");
        assert_eq!(status, StatusCode::FOUND);
        assert_eq!(parameter(&landed, "error").as_deref(), Some(code));
        assert_eq!(parameter(&landed, "state").as_deref(), Some("st&te=1"));
    }
    let limited = org.emulator.credentials()["salesforce"]["limited"]["client_id"].clone();
    let limited = limited.as_str().expect("an id");
    let (_, landed, _) = org.visit(&org.authorize_url(&[("client_id", limited), ("scope", "full")])).await;
    assert_eq!(parameter(&landed.expect("a redirect"), "error").as_deref(), Some("invalid_scope"));
    org.change_client(json!({ "pkce_required": true })).await;
    let url = org.authorize_url(&[("code_challenge", ""), ("code_challenge_method", "")]);
    let (_, landed, _) = org.visit(&url).await;
    assert_eq!(parameter(&landed.expect("a redirect"), "error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn a_client_name_cannot_inject_markup() {
    let org = Org::start().await;
    org.change_client(json!({ "name": "<script>alert('x')</script>" })).await;
    let (_, _, page) = org.visit(&org.authorize_url(&[])).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
}

#[tokio::test]
async fn a_code_needs_its_verifier_and_a_failed_try_uses_it_up() {
    let org = Org::start().await;
    let code = org.code(&[]).await;
    let wrong =
        org.exchange(&code, &[("code_verifier", "another-verifier-that-was-never-hashed-000000")]).await;
    assert_eq!(error(&wrong), (400, "invalid_grant", "invalid code verifier"));
    assert_eq!(error(&org.exchange(&code, &[]).await).1, "invalid_grant");
    let code = org.code(&[]).await;
    let missing = org.exchange(&code, &[("code_verifier", "")]).await;
    assert_eq!(error(&missing), (400, "invalid_grant", "missing code verifier"));
    let code = org.code(&[("code_challenge", ""), ("code_challenge_method", "")]).await;
    assert_eq!(org.exchange(&code, &[("code_verifier", "")]).await.0, 200, "none was announced");
}

#[tokio::test]
async fn a_code_works_once_and_a_second_use_takes_the_tokens_back() {
    let org = Org::start().await;
    let code = org.code(&[]).await;
    let tokens = Tokens(org.exchange(&code, &[]).await.1);
    assert!(org.accepts(tokens.access()).await);
    assert_eq!(error(&org.exchange(&code, &[]).await), (400, "invalid_grant", "expired authorization code"));
    assert!(!org.accepts(tokens.access()).await);
    assert_eq!(error(&org.refresh(tokens.refresh()).await).1, "invalid_grant");
}

#[tokio::test]
async fn a_code_is_short_lived_and_bound_to_its_client() {
    let org = Org::start().await;
    let code = org.code(&[]).await;
    org.control("clock", json!({ "advance": "PT10M" })).await;
    assert_eq!(error(&org.exchange(&code, &[]).await), (400, "invalid_grant", "expired authorization code"));
    let code = org.code(&[]).await;
    let limited = org.emulator.credentials()["salesforce"]["limited"].clone();
    let stolen = org
        .exchange(
            &code,
            &[
                ("client_id", limited["client_id"].as_str().expect("an id")),
                ("client_secret", limited["client_secret"].as_str().expect("a secret")),
            ],
        )
        .await;
    assert_eq!(error(&stolen), (400, "invalid_grant", "invalid authorization code"));
    assert_eq!(org.exchange(&code, &[]).await.0, 200, "its own client still can use it");
}

#[tokio::test]
async fn rotation_replaces_the_refresh_token_and_reuse_revokes_everything() {
    let org = Org::start().await;
    let first = org.credential("refresh_token");
    let second = Tokens(org.refresh(&first).await.1);
    assert_ne!(second.refresh(), first);
    let third = Tokens(org.refresh(second.refresh()).await.1);
    assert!(org.accepts(third.access()).await && org.accepts(second.access()).await);
    let reused = org.refresh(&first).await;
    assert_eq!(error(&reused), (400, "invalid_grant", "expired access/refresh token"));
    assert_eq!(error(&org.refresh(third.refresh()).await).1, "invalid_grant");
    for token in [second.access(), third.access(), &org.credential("access_token")] {
        let (status, body) = org.use_token(token).await;
        assert_eq!(status, 401);
        assert_eq!(
            body,
            json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }])
        );
    }
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let org = Org::start().await;
    org.change_client(json!({ "rotation": false })).await;
    let token = org.credential("refresh_token");
    for _ in 0..3 {
        let (status, answer) = org.refresh(&token).await;
        assert_eq!((status, answer.get("refresh_token")), (200, None));
        assert!(org.accepts(answer["access_token"].as_str().expect("a token")).await);
    }
}

#[tokio::test]
async fn token_requests_that_are_wrong_are_refused_in_the_services_words() {
    let org = Org::start().await;
    let token = org.credential("refresh_token");
    let refresh = ("grant_type", "refresh_token");
    for (parameters, expected) in [
        (
            vec![refresh, ("refresh_token", &token), ("scope", "api")],
            ("invalid_request", "scope parameter not supported"),
        ),
        (
            vec![refresh, ("refresh_token", &token), ("client_secret", "no")],
            ("invalid_client", "invalid client credentials"),
        ),
        (
            vec![refresh, ("refresh_token", &token), ("client_secret", "")],
            ("invalid_client", "invalid client credentials"),
        ),
        (
            vec![refresh, ("refresh_token", &token), ("client_id", "no")],
            ("invalid_client_id", "client identifier invalid"),
        ),
        (vec![refresh, ("refresh_token", "never issued")], ("invalid_grant", "expired access/refresh token")),
        (vec![("grant_type", "device")], ("unsupported_grant_type", "grant type not supported")),
        (
            vec![("grant_type", "password"), ("username", "x"), ("password", "y")],
            ("invalid_grant", "authentication failure"),
        ),
        (vec![("code", "x")], ("invalid_request", "grant_type is missing")),
    ] {
        let answer = org.token(&parameters).await;
        assert_eq!(error(&answer), (400, expected.0, expected.1), "{parameters:?}");
    }
    let response = org.client.get(org.url("/services/oauth2/token?grant_type=refresh_token")).send().await;
    assert_eq!(response.expect("is answered").status(), StatusCode::BAD_REQUEST);
    assert_eq!(org.refresh(&token).await.0, 200, "none of this used the token up");
}

#[tokio::test]
async fn client_credentials_are_taken_from_body_basic_header_query_and_json() {
    let org = Org::start().await;
    let (id, secret) = (org.credential("client_id"), org.credential("client_secret"));
    let url = org.url("/services/oauth2/token");
    let grant = ("grant_type", "client_credentials");
    let body = form(&[grant, ("client_id", &id), ("client_secret", &secret)]);
    let asks = [
        org.client.post(&url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.clone()),
        org.client
            .post(&url)
            .basic_auth(&id, Some(&secret))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(&[grant])),
        org.client.post(format!("{url}?{body}")),
        org.client
            .post(&url)
            .header(CONTENT_TYPE, "application/json")
            .body(json!({ "grant_type": grant.1, "client_id": id, "client_secret": secret }).to_string()),
        org.client.post(&url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(
            reqwest::Body::wrap_stream(futures::stream::iter(
                body.as_bytes()
                    .chunks(7)
                    .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                    .collect::<Vec<_>>(),
            )),
        ),
    ];
    for ask in asks {
        let answer = json_of(ask.send().await.expect("is answered")).await;
        assert_eq!(answer.get("refresh_token"), None, "{answer}");
        assert!(org.accepts(answer["access_token"].as_str().expect("a token")).await);
    }
}

#[tokio::test]
async fn a_password_buys_a_token() {
    let org = Org::start().await;
    let (name, password) = (org.credential("username"), org.credential("password"));
    let (status, answer) =
        org.token(&[("grant_type", "password"), ("username", &name), ("password", &password)]).await;
    assert_eq!(status, 200, "{answer}");
    assert!(org.accepts(answer["access_token"].as_str().expect("a token")).await);
}

#[tokio::test]
async fn a_signed_assertion_buys_a_token_and_a_doubtful_one_does_not() {
    let org = Org::start().await;
    let now = org.emulator.clock().now().as_second();
    for good in [
        json!({}),
        json!({ "aud": "https://test.salesforce.com" }),
        json!({ "aud": org.emulator.http_url() }),
        json!({ "exp": (now + 100).to_string() }),
    ] {
        let (status, answer) = org.by_assertion(&org.assertion(&good)).await;
        assert_eq!(status, 200, "{good} gave {answer}");
        assert!(org.accepts(answer["access_token"].as_str().expect("a token")).await);
    }
    for (bad, expected) in [
        (json!({ "aud": "https://login.example.com" }), ("invalid_grant", "audience is invalid")),
        (json!({ "exp": now - 1 }), ("invalid_grant", "assertion is expired")),
        (json!({ "exp": now + 3600 }), ("invalid_grant", "assertion expires too far in the future")),
        (json!({ "exp": null }), ("invalid_grant", "invalid assertion")),
        (json!({ "sub": "nobody@example.com" }), ("invalid_grant", "user hasn't approved this consumer")),
        (json!({ "iss": "nobody" }), ("invalid_client_id", "client identifier invalid")),
    ] {
        let answer = org.by_assertion(&org.assertion(&bad)).await;
        assert_eq!(error(&answer), (400, expected.0, expected.1), "{bad}");
    }
    let good = org.assertion(&json!({}));
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    let other = org.assertion(&json!({ "exp": now + 60 }));
    let (_, signature) = other.rsplit_once('.').expect("a signature");
    for forged in [format!("{signed}.{signature}"), format!("{signed}."), "x".to_owned()] {
        assert_eq!(error(&org.by_assertion(&forged).await), (400, "invalid_grant", "invalid assertion"));
    }
    // The clock of the service decides, not that of this machine.
    org.control("clock", json!({ "advance": "PT10M" })).await;
    assert_eq!(error(&org.by_assertion(&good).await).2, "assertion is expired");
}

#[tokio::test]
async fn revoking_a_token_ends_its_family() {
    let org = Org::start().await;
    let tokens = Tokens(org.refresh(&org.credential("refresh_token")).await.1);
    assert_eq!(org.post("revoke", &form(&[("token", tokens.refresh())])).await.0, 200);
    assert!(!org.accepts(tokens.access()).await);
    assert_eq!(error(&org.refresh(tokens.refresh()).await).1, "invalid_grant");
    let (status, answer) = org.post("revoke", &form(&[("token", "never issued")])).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_token")));
    let (status, answer) = org.post("revoke", "").await;
    assert_eq!((status, &answer["error"]), (400, &json!("unsupported_token_type")));
}

#[tokio::test]
async fn tokens_can_be_introspected_by_their_client_and_tell_who_the_user_is() {
    let org = Org::start().await;
    let (id, secret) = (org.credential("client_id"), org.credential("client_secret"));
    let ask = |token: String| {
        let body = form(&[("token", &token), ("client_id", &id), ("client_secret", &secret)]);
        let org = &org;
        async move { org.post("introspect", &body).await }
    };
    let (_, access) = ask(org.credential("access_token")).await;
    assert_eq!((&access["active"], &access["token_type"]), (&json!(true), &json!("access_token")));
    assert_eq!(access["exp"].as_i64().zip(access["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(7200));
    let (_, refresh) = ask(org.credential("refresh_token")).await;
    assert_eq!((&refresh["token_type"], refresh.get("exp")), (&json!("refresh_token"), None));
    assert_eq!(ask("never issued".to_owned()).await.1, json!({ "active": false }));
    assert_eq!(org.post("introspect", &form(&[("token", "x"), ("client_id", &id)])).await.0, 401);

    let userinfo = |token: &str| {
        org.client
            .get(org.url("/services/oauth2/userinfo"))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .send()
    };
    let known = userinfo(&org.credential("access_token")).await.expect("is answered");
    assert_eq!(json_of(known).await["preferred_username"], org.credential("username"));
    let unknown = userinfo("never issued").await.expect("is answered");
    assert_eq!(unknown.status(), StatusCode::FORBIDDEN);
    assert_eq!(unknown.text().await.expect("a body"), "Bad_OAuth_Token");
}

#[tokio::test]
async fn an_app_that_is_not_installed_gets_nothing() {
    let org = Org::start().await;
    org.change_client(json!({ "installed": false })).await;
    let (_, _, page) = org.visit(&org.authorize_url(&[])).await;
    let (_, landed, _) = org.decide(&page, "allow").await;
    assert_eq!(parameter(&landed.expect("a redirect"), "error").as_deref(), Some("OAUTH_EC_APP_NOT_FOUND"));
    let expected = (400, "app_not_found", "External client app is not installed in this org");
    assert_eq!(error(&org.refresh(&org.credential("refresh_token")).await), expected);
    assert_eq!(error(&org.by_assertion(&org.assertion(&json!({}))).await), expected);
    org.change_client(json!({ "installed": true })).await;
    assert_eq!(org.refresh(&org.credential("refresh_token")).await.0, 200);
}

#[tokio::test]
async fn an_inactive_user_and_a_revoking_administrator_are_felt_everywhere() {
    let org = Org::start().await;
    let access = org.credential("access_token");
    org.change_user(json!({ "active": false })).await;
    assert!(!org.accepts(&access).await);
    let inactive = (400, "inactive_user", "user is inactive");
    assert_eq!(error(&org.refresh(&org.credential("refresh_token")).await), inactive);
    assert_eq!(error(&org.by_assertion(&org.assertion(&json!({}))).await), inactive);
    org.change_user(json!({ "active": true })).await;
    assert!(org.accepts(&access).await);
    org.change_user(json!({ "revoke": true })).await;
    assert!(!org.accepts(&access).await);
    assert_eq!(error(&org.refresh(&org.credential("refresh_token")).await).1, "invalid_grant");
}

#[tokio::test]
async fn a_token_without_the_api_scope_is_told_so() {
    let org = Org::start().await;
    let tokens = Tokens(org.exchange(&org.code(&[("scope", "id openid")]).await, &[]).await.1);
    assert_eq!(tokens.0.get("refresh_token"), None, "the scope refresh_token was not asked for");
    let (status, body) = org.use_token(tokens.access()).await;
    assert_eq!(
        (status, &body[0]["message"]),
        (401, &json!("This session is not valid for use with the REST API"))
    );
}

#[tokio::test]
async fn token_lifetimes_follow_the_emulated_clock_and_a_reset_starts_them_anew() {
    let org = Org::start().await;
    org.change_client(json!({ "access_seconds": 60, "refresh_seconds": 3600 })).await;
    let tokens = Tokens(org.refresh(&org.credential("refresh_token")).await.1);
    org.control("clock", json!({ "advance_seconds": 61 })).await;
    assert!(!org.accepts(tokens.access()).await);
    let tokens = Tokens(org.refresh(tokens.refresh()).await.1);
    org.control("clock", json!({ "advance": "P1D" })).await;
    assert_eq!(error(&org.refresh(tokens.refresh()).await).1, "invalid_grant");
    assert!(!org.accepts(&org.credential("access_token")).await);

    let before = org.emulator.credentials();
    org.control("reset", Value::Null).await;
    assert_eq!(org.emulator.credentials(), before);
    assert!(org.accepts(&org.credential("access_token")).await);
    let again = Tokens(org.refresh(&org.credential("refresh_token")).await.1);
    assert!(org.accepts(again.access()).await);
    assert!(!org.accepts(tokens.access()).await, "tokens from before the reset are unknown");
}

#[tokio::test]
async fn credentials_depend_on_the_seed_alone_and_the_key_file_is_private() {
    let org = Org::start().await;
    let twin = Org::start().await;
    let other =
        Emulator::start(EmulatorConfig { seed: 8, ..EmulatorConfig::default() }).await.expect("starts");
    for name in ["client_id", "client_secret", "username", "password", "access_token", "refresh_token"] {
        assert_eq!(org.credential(name), twin.credential(name), "{name}");
        if name != "username" {
            assert_ne!(other.credentials()["salesforce"][name], json!(org.credential(name)), "{name}");
        }
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(org.credential("private_key_file")).expect("exists").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_public_client_needs_no_secret() {
    let org = Org::start().await;
    let redirect = "http://localhost:9999/back";
    org.control(
        "oauth/clients",
        json!({ "service": "salesforce", "client_id": "spa", "redirect_uris": [redirect], "scopes": ["api"],
            "pkce_required": true }),
    )
    .await;
    let code = org.code(&[("client_id", "spa"), ("redirect_uri", redirect)]).await;
    let (status, answer) =
        org.exchange(&code, &[("client_id", "spa"), ("client_secret", ""), ("redirect_uri", redirect)]).await;
    assert_eq!(status, 200, "{answer}");
    assert!(org.accepts(answer["access_token"].as_str().expect("a token")).await);
    let listed = org.client.request(Method::GET, org.url("/_emulator/oauth/clients")).send().await;
    let listed = json_of(listed.expect("is answered")).await;
    assert_eq!(listed["salesforce"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn older_clients_sign_in_and_out_by_soap() {
    let org = Org::start().await;
    let ask = |body: String| {
        let url = org.url("/services/Soap/u/60.0");
        let request = org.client.post(url).header(CONTENT_TYPE, "text/xml").body(format!(
            "<se:Envelope xmlns:se=\"http://schemas.xmlsoap.org/soap/envelope/\">{body}</se:Envelope>"
        ));
        async move {
            let response = request.send().await.expect("is answered");
            (response.status().as_u16(), response.text().await.expect("a body"))
        }
    };
    let login = |password: &str| {
        format!(
            "<se:Body><login xmlns=\"urn:partner.soap.sforce.com\"><username>{}</username>\
             <password>{password}</password></login></se:Body>",
            org.credential("username")
        )
    };
    let (status, answer) = ask(login(&org.credential("password"))).await;
    assert_eq!(status, 200, "{answer}");
    let text = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>")).expect("the element");
        rest.split('<').next().expect("a text").to_owned()
    };
    assert!(text("serverUrl").starts_with(&format!("{}/services/Soap/u/60.0/00D", org.emulator.http_url())));
    assert_eq!(text("userId"), org.credential("user_id"));
    let session = text("sessionId");
    assert!(org.accepts(&session).await);

    let (status, answer) = ask(login("wrong")).await;
    assert!(status == 500 && answer.contains("<faultcode>sf:INVALID_LOGIN</faultcode>"), "{answer}");
    let who = |session: &str| {
        format!(
            "<se:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader></se:Header>\
             <se:Body><getUserInfo xmlns=\"urn:partner.soap.sforce.com\"/></se:Body>"
        )
    };
    let (status, answer) = ask(who(&session)).await;
    assert!(
        status == 200 && answer.contains(&format!("<userName>{}<", org.credential("username"))),
        "{answer}"
    );
    let (status, answer) = ask(who("nobody")).await;
    assert!(status == 500 && answer.contains("INVALID_SESSION_ID"), "{answer}");
    let logout = format!(
        "<se:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader></se:Header>\
         <se:Body><logout xmlns=\"urn:partner.soap.sforce.com\"/></se:Body>"
    );
    assert_eq!(ask(logout).await.0, 200);
    assert!(!org.accepts(&session).await);
}
