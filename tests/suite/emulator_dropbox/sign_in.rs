//! Signing in, tokens, scopes, teams.

use http::Method;
use recordport::emulator::grants::s256;
use recordport::emulator::service::Service as _;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Account, account, body, header, text};

const VERIFIER: &str = "0123456789012345678901234567890123456789012";

impl Account {
    fn credential(&self, name: &str) -> String {
        self.service.credentials()[name].as_str().expect(name).to_owned()
    }

    /// Walks through the consent page and gives the code.
    fn code(&self, scope: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("client_id", self.credential("client_id").as_str()),
            ("response_type", "code"),
            ("redirect_uri", &self.credential("redirect_uri")),
            ("token_access_type", "offline"),
            ("scope", scope),
            ("state", "s1"),
            ("code_challenge", &s256(VERIFIER)),
            ("code_challenge_method", "S256"),
        ]);
        let page = self.send(Method::GET, &format!("/oauth2/authorize?{}", query.finish()), &[], "");
        let html = text(&page);
        let number = html.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let form = format!("request={}&decision=allow", number.expect("a number"));
        let answer = self.send(Method::POST, "/oauth2/authorize", &[], form);
        let address = Url::parse(&header(&answer, "location")).expect("an address");
        let code = address.query_pairs().find(|(name, _)| name == "code").expect("a code");
        code.1.into_owned()
    }

    fn token(&self, query: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let body_text = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let reply = self.send(Method::POST, &format!("/oauth2/token{query}"), &kind, body_text);
        assert_eq!(header(&reply, "content-type"), "text/javascript");
        (reply.status.as_u16(), body(&reply))
    }
}

#[test]
fn a_code_with_its_verifier_buys_tokens_without_a_secret() {
    let mut account = account();
    let code = account.code("files.metadata.read account_info.read");
    let (id, redirect) = (account.credential("client_id"), account.credential("redirect_uri"));
    let form = |verifier: &'static str| {
        vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), code.clone()),
            ("redirect_uri".to_owned(), redirect.clone()),
            ("client_id".to_owned(), id.clone()),
            ("code_verifier".to_owned(), verifier.to_owned()),
        ]
    };
    let ask = |pairs: Vec<(String, String)>| {
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        account.token("", &pairs)
    };
    let (status, tokens) = ask(form(VERIFIER));
    assert_eq!(status, 200, "{tokens}");
    assert!(tokens["refresh_token"].is_string() && tokens["uid"].is_string());
    assert_eq!(tokens["scope"], "files.metadata.read account_info.read");
    let (status, again) = ask(form(VERIFIER));
    assert_eq!((status, &again["error"]), (400, &json!("invalid_grant")));

    // The code came a second time, so that what it gave is gone ("Authorization Code", RFC 6749 section 4.1.2).
    account.token = tokens["access_token"].as_str().expect("a token").to_owned();
    let reply = account.rpc("users/get_current_account", &Value::Null);
    assert_eq!(body(&reply)["error"][".tag"], "invalid_access_token");
}

#[test]
fn a_refresh_gives_no_new_refresh_token_and_may_stand_in_the_address() {
    let account = account();
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "refresh_token"),
            ("refresh_token", &account.credential("refresh_token")),
            ("client_id", &account.credential("client_id")),
            ("client_secret", &account.credential("client_secret")),
        ])
        .finish();
    let kind = [("content-type", "application/json")];
    let reply = account.send(Method::POST, &format!("/oauth2/token?{query}"), &kind, "");
    let tokens = body(&reply);
    assert_eq!(reply.status.as_u16(), 200, "{tokens}");
    assert_eq!(tokens["expires_in"], 14_400);
    assert!(tokens.get("refresh_token").is_none());
    let wrong = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_id", &account.credential("client_id")),
    ];
    let (status, error) = account.token("", &wrong);
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn tokens_are_refused_in_the_services_words() {
    let mut account = account();
    let right = account.token.clone();
    account.service.expire_access_tokens();
    let reply = account.rpc("files/list_folder", &json!({ "path": "" }));
    assert_eq!(reply.status.as_u16(), 401);
    assert_eq!(body(&reply)["error"], json!({ ".tag": "expired_access_token" }));
    assert_eq!(header(&reply, "www-authenticate"), "Bearer realm=\"Dropbox-API\"");
    account.token = "nonsense".to_owned();
    let sentence = account.wrong("files/list_folder", json!({ "path": "" }));
    assert_eq!(
        sentence,
        "Error in call to API function \"files/list_folder\": The given OAuth 2 access token is malformed."
    );
    account.token = format!("{right}x");
    let reply = account.rpc("files/list_folder", &json!({ "path": "" }));
    assert_eq!(body(&reply)["error"], json!({ ".tag": "invalid_access_token" }));
}

#[test]
fn a_missing_scope_is_named() {
    let mut account = account();
    let code = account.code("files.metadata.read");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &account.credential("redirect_uri")),
        ("client_id", &account.credential("client_id")),
        ("code_verifier", VERIFIER),
    ];
    let (_, tokens) = account.token("", &form);
    account.token = tokens["access_token"].as_str().expect("a token").to_owned();
    account.call("files/list_folder", json!({ "path": "" }));
    let reply = account.rpc("files/create_folder_v2", &json!({ "path": "/x" }));
    assert_eq!(reply.status.as_u16(), 401);
    let error = &body(&reply)["error"];
    assert_eq!(*error, json!({ ".tag": "missing_scope", "required_scope": "files.content.write" }));
}

#[test]
fn a_teams_token_acts_for_a_member_who_is_named() {
    let mut account = account();
    account.token = account.credential("team_access_token");
    let sentence = account.wrong("users/get_current_account", Value::Null);
    assert!(sentence.contains("Dropbox-API-Select-User"), "{sentence}");
    account.headers.push(("dropbox-api-select-user", account.credential("team_member_id")));
    let me = account.call("users/get_current_account", Value::Null);
    assert_eq!(me["account_id"], json!(account.credential("account_id")));
    account.headers[0].1 = "dbmid:none".to_owned();
    let reply = account.rpc("users/get_current_account", &Value::Null);
    assert_eq!(body(&reply)["error"], json!({ ".tag": "invalid_select_user" }));
}

#[test]
fn paths_begin_where_the_root_is_put() {
    let mut account = account();
    let info = account.call("users/get_current_account", Value::Null)["root_info"].clone();
    let root = |account: &mut Account, value: Value| {
        account.headers = vec![("dropbox-api-path-root", value.to_string())];
    };
    root(&mut account, json!({ ".tag": "root", "root": info["root_namespace_id"] }));
    let (tops, _) = account.listed(json!({ "path": "" }));
    assert_eq!(tops.len(), 2, "{tops:?}");
    assert!(tops.contains(&"/everyone".to_owned()));
    root(&mut account, json!({ ".tag": "namespace_id", "namespace_id": info["home_namespace_id"] }));
    let (tops, _) = account.listed(json!({ "path": "" }));
    assert_eq!(tops.len(), 10);
    root(&mut account, json!({ ".tag": "root", "root": info["home_namespace_id"] }));
    let reply = account.rpc("files/list_folder", &json!({ "path": "" }));
    assert_eq!(reply.status.as_u16(), 422);
    assert_eq!(body(&reply)["error"][".tag"], "invalid_root");
    root(&mut account, json!({ ".tag": "namespace_id", "namespace_id": "99" }));
    let reply = account.rpc("files/list_folder", &json!({ "path": "" }));
    assert_eq!(body(&reply)["error"], json!({ ".tag": "no_permission" }));
}

#[test]
fn content_types_and_methods_are_checked() {
    let account = account();
    let reply = account.send(Method::POST, "/2/files/list_folder", &[("content-type", "text/plain")], "{}");
    assert_eq!(reply.status.as_u16(), 400);
    assert!(text(&reply).contains("Bad HTTP \"Content-Type\" header: \"text/plain\""), "{}", text(&reply));
    assert_eq!(account.send(Method::GET, "/2/files/list_folder", &[], "").status.as_u16(), 400);
    let reply = account.rpc("files/nonsense", &Value::Null);
    assert_eq!(text(&reply), "Unknown API function: \"files/nonsense\"");
}
