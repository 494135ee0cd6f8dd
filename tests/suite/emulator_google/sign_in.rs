//! Signing in: codes, refreshes, service accounts, scopes.

use http::Method;
use recordport::emulator::grants::s256;
use recordport::emulator::service::Service as _;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Account, account, body, header, meeting, text};

const VERIFIER: &str = "0123456789012345678901234567890123456789012";

impl Account {
    fn credential(&self, name: &str) -> String {
        self.service.credentials()[name].as_str().expect(name).to_owned()
    }

    fn exchange(&self, pairs: &[(&str, &str)]) -> (u16, Value) {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let reply = self.send(Method::POST, "/token", &kind, &form);
        (reply.status.as_u16(), body(&reply))
    }

    fn code(&self, scope: &str, redirect: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("client_id", self.credential("client_id").as_str()),
            ("response_type", "code"),
            ("redirect_uri", redirect),
            ("access_type", "offline"),
            ("prompt", "consent"),
            ("scope", scope),
            ("state", "s1"),
            ("code_challenge", &s256(VERIFIER)),
            ("code_challenge_method", "S256"),
        ]);
        let page = self.send(Method::GET, &format!("/o/oauth2/v2/auth?{}", query.finish()), &[], "");
        let html = text(&page);
        let number = html.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let form = format!("request={}&decision=allow", number.unwrap_or_else(|| panic!("no form: {html}")));
        let answer = self.send(Method::POST, "/o/oauth2/v2/auth", &[], &form);
        let address = Url::parse(&header(&answer, "location")).expect("an address");
        let code = address.query_pairs().find(|(name, _)| name == "code").expect("a code");
        code.1.into_owned()
    }

    /// An assertion of the service account.
    fn assertion(&self, more: Value) -> String {
        let file = std::fs::read_to_string(self.credential("service_account_file")).expect("a file");
        let account: Value = serde_json::from_str(&file).expect("JSON");
        let now = self.clock.now().as_second();
        let mut claims = json!({
            "iss": account["client_email"],
            "scope": "https://www.googleapis.com/auth/calendar",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": now,
            "exp": now + 3_600,
        });
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(
            account["private_key"].as_str().expect("a key").as_bytes(),
        );
        let head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        jsonwebtoken::encode(&head, &claims, &key.expect("a key")).expect("a token")
    }

    fn by_assertion(&self, assertion: &str) -> (u16, Value) {
        self.exchange(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion),
        ])
    }
}

#[test]
fn a_code_buys_tokens_at_any_port_of_this_machine() {
    let mut account = account();
    let redirect = "http://127.0.0.1:49152/callback";
    let code = account.code("https://www.googleapis.com/auth/calendar.readonly", redirect);
    let (id, secret) = (account.credential("client_id"), account.credential("client_secret"));
    let (status, tokens) = account.exchange(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", &id),
        ("client_secret", &secret),
        ("redirect_uri", redirect),
        ("code_verifier", VERIFIER),
    ]);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens["expires_in"], 3_599);
    assert!(tokens["refresh_token"].is_string());
    account.token = tokens["access_token"].as_str().expect("a token").to_owned();
    account.get("users/me/calendarList");
    let refused =
        account.refused(Method::POST, "calendars/primary/events", &meeting("x", "2026-03-20T09:00:00"));
    let words = "Request had insufficient authentication scopes.";
    assert_eq!(refused, (403, "insufficientPermissions".to_owned(), words.to_owned()));
}

#[test]
fn a_refresh_keeps_its_token_and_a_revoked_one_is_refused() {
    let account = account();
    let (id, secret, token) = (
        account.credential("client_id"),
        account.credential("client_secret"),
        account.credential("refresh_token"),
    );
    let form = [
        ("refresh_token", token.as_str()),
        ("client_id", &id),
        ("client_secret", &secret),
        ("grant_type", "refresh_token"),
    ];
    let (status, tokens) = account.exchange(&form);
    assert_eq!(status, 200, "{tokens}");
    assert!(tokens.get("refresh_token").is_none());
    account.send(
        Method::POST,
        &format!("/revoke?token={}", form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>()),
        &[],
        "",
    );
    let (status, error) = account.exchange(&form);
    let words =
        json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
    assert_eq!((status, error), (400, words));
}

#[test]
fn tokens_that_are_none_are_refused() {
    let mut account = account();
    account.token = "ya29.nonsense".to_owned();
    let (status, reason, message) = account.refused(Method::GET, "colors", &Value::Null);
    assert_eq!((status, reason.as_str(), message.as_str()), (401, "authError", "Invalid Credentials"));
}

#[test]
fn a_service_account_acts_for_itself_or_for_a_user() {
    let mut account = account();
    let (status, tokens) = account.by_assertion(&account.assertion(json!({ "sub": "ada@emulated.example" })));
    assert_eq!(status, 200, "{tokens}");
    account.token = tokens["access_token"].as_str().expect("a token").to_owned();
    let mut event = meeting("Planning", "2026-03-20T09:00:00");
    event["attendees"] = json!([{ "email": "grace@emulated.example" }]);
    account.insert(&event);
    let (_, tokens) = account.by_assertion(&account.assertion(json!({})));
    account.token = tokens["access_token"].as_str().expect("a token").to_owned();
    let refused = account.refused(Method::POST, "calendars/primary/events", &event);
    assert_eq!((refused.0, refused.1.as_str()), (403, "forbiddenForServiceAccounts"));
}

#[test]
fn assertions_that_cannot_be_trusted_buy_nothing() {
    let account = account();
    let now = account.clock.now().as_second();
    for wrong in [
        json!({ "aud": "https://elsewhere.example/token" }),
        json!({ "exp": now + 7_200 }),
        json!({ "iat": now - 7_200, "exp": now - 3_600 }),
        json!({ "iss": "nobody@example.com" }),
    ] {
        let (status, answer) = account.by_assertion(&account.assertion(wrong.clone()));
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{wrong}");
    }
    let (status, answer) =
        account.by_assertion(&account.assertion(json!({ "sub": "nobody@emulated.example" })));
    assert_eq!((status, &answer["error"]), (401, &json!("unauthorized_client")));
}
