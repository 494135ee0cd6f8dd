//! Sign-in: consent, tokens, their refusals, discovery.

use http::{HeaderMap, Method};
use recordport::emulator::grants::s256;
use recordport::emulator::service::{Reply, Request, Service};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{ORIGIN, Org, V, body, header, org, text};

const RESOURCE: &str = "https://emulated.crm.dynamics.com";

impl Org {
    fn tenant_request(&self, method: Method, path: &str, query: &str, form: &[(&str, &str)]) -> Reply {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(form);
        let credentials = self.service.credentials();
        let tenant = credentials["tenant"].as_str().expect("a tenant");
        self.service.handle(&Request {
            method,
            path: path.replace("TENANT", tenant),
            query: query.to_owned(),
            headers: HeaderMap::new(),
            body: encoded.finish().into(),
            origin: ORIGIN.to_owned(),
            now: self.clock.now(),
        })
    }

    fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let reply = self.tenant_request(Method::POST, "/TENANT/oauth2/v2.0/token", "", form);
        (reply.status.as_u16(), body(&reply))
    }

    fn credential(&self, name: &str) -> String {
        self.service.credentials()[name].as_str().expect(name).to_owned()
    }

    /// The old access token has ended; a refresh gives another.
    pub(super) fn renew_token(&mut self) {
        let (status, tokens) = self.token(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.credential("client_id")),
            ("client_secret", &self.credential("client_secret")),
            ("refresh_token", &self.credential("refresh_token")),
        ]);
        assert_eq!(status, 200, "{tokens}");
        self.token = tokens["access_token"].as_str().expect("a token").to_owned();
    }

    /// Walks through the consent page and gives the parameters that came back.
    fn consent(&self, redirect: &str, decision: &str, verifier: &str) -> Vec<(String, String)> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("client_id", self.credential("client_id").as_str()),
            ("response_type", "code"),
            ("redirect_uri", redirect),
            ("scope", &format!("{RESOURCE}/user_impersonation offline_access openid")),
            ("state", "s1"),
            ("nonce", "n1"),
            ("code_challenge", &s256(verifier)),
            ("code_challenge_method", "S256"),
        ]);
        let page = self.tenant_request(Method::GET, "/TENANT/oauth2/v2.0/authorize", &query.finish(), &[]);
        let html = text(&page);
        assert!(html.contains("<form"), "{html}");
        let number = html.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let form = [("request", number.expect("a number")), ("decision", decision)];
        let answer = self.tenant_request(Method::POST, "/TENANT/oauth2/v2.0/authorize", "", &form);
        let url = Url::parse(&header(&answer, "location")).expect("an address");
        assert!(url.as_str().starts_with(redirect));
        url.query_pairs().into_owned().collect()
    }
}

fn value(pairs: &[(String, String)], name: &str) -> String {
    pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

#[test]
fn a_code_buys_tokens_once_and_only_with_its_verifier() {
    let org = org();
    let redirect = "http://localhost:49152/callback";
    let (id, secret) = (org.credential("client_id"), org.credential("client_secret"));
    let buy = |code: &str, verifier: &str| {
        org.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", &id),
            ("client_secret", &secret),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ])
    };
    let answer = org.consent(redirect, "allow", "a-verifier-of-some-length");
    assert_eq!(value(&answer, "state"), "s1");
    let code = value(&answer, "code");
    let (status, tokens) = buy(&code, "a-verifier-of-some-length");
    assert_eq!((status, &tokens["expires_in"], &tokens["token_type"]), (200, &json!(3599), &json!("Bearer")));
    let claims =
        jsonwebtoken::dangerous::insecure_decode::<Value>(tokens["id_token"].as_str().expect("a token"));
    let claims = claims.expect("a token").claims;
    assert_eq!((&claims["nonce"], &claims["aud"]), (&json!("n1"), &json!(id)));
    let (status, error) = buy(&code, "a-verifier-of-some-length");
    assert_eq!((status, &error["error_codes"][0]), (400, &json!(54005)));
    let other = org.consent(redirect, "allow", "a-verifier-of-some-length");
    let (status, error) = buy(&value(&other, "code"), "another");
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
    let denied = org.consent(redirect, "deny", "v");
    assert_eq!(value(&denied, "error"), "access_denied");
}

#[test]
fn a_refresh_gives_a_new_token_and_the_old_one_stays_valid() {
    let org = org();
    let refresh = |token: &str| {
        org.token(&[
            ("grant_type", "refresh_token"),
            ("client_id", &org.credential("client_id")),
            ("client_secret", &org.credential("client_secret")),
            ("refresh_token", token),
            ("scope", &format!("{RESOURCE}/user_impersonation offline_access")),
        ])
    };
    let first = org.credential("refresh_token");
    let (status, tokens) = refresh(&first);
    assert_eq!(status, 200, "{tokens}");
    let second = tokens["refresh_token"].as_str().expect("a token").to_owned();
    assert_ne!(first, second);
    assert_eq!(refresh(&second).0, 200);
    assert_eq!(refresh(&first).0, 200);
    let (status, error) = refresh("1.Anything");
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn client_credentials_need_a_default_scope_and_give_no_refresh_token() {
    let org = org();
    let ask = |secret: &str, scope: &str| {
        org.token(&[
            ("grant_type", "client_credentials"),
            ("client_id", &org.credential("client_id")),
            ("client_secret", secret),
            ("scope", scope),
        ])
    };
    let secret = org.credential("client_secret");
    let (status, tokens) = ask(&secret, &format!("{RESOURCE}/.default"));
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens.get("refresh_token"), None);
    assert_eq!(ask(&secret, "http://127.0.0.1:1234/.default").0, 200);
    let number = |answer: (u16, Value)| (answer.0, answer.1["error_codes"][0].as_u64().unwrap_or_default());
    assert_eq!(number(ask("wrong", &format!("{RESOURCE}/.default"))), (401, 7_000_215));
    assert_eq!(number(ask(&secret, &format!("{RESOURCE}/user_impersonation"))), (400, 1_002_012));
    assert_eq!(number(ask(&secret, "https://evil.example/.default")), (400, 500_011));
}

#[test]
fn a_signed_assertion_takes_the_place_of_the_secret() {
    let org = org();
    let pem = std::fs::read(org.credential("private_key_file")).expect("a key");
    let key = jsonwebtoken::EncodingKey::from_rsa_pem(&pem).expect("a key");
    let ask = |audience: &str| {
        let id = org.credential("client_id");
        let expiry = org.clock.now().as_second() + 300;
        let claims = json!({ "iss": id, "sub": id, "aud": audience, "exp": expiry, "jti": "1" });
        let head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::PS256);
        let assertion = jsonwebtoken::encode(&head, &claims, &key).expect("a token");
        org.token(&[
            ("grant_type", "client_credentials"),
            ("client_id", &id),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
            ("scope", &format!("{RESOURCE}/.default")),
        ])
    };
    let tenant = org.credential("tenant");
    assert_eq!(ask(&format!("{ORIGIN}/{tenant}/oauth2/v2.0/token")).0, 200);
    let (status, error) = ask("https://elsewhere.example/token");
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
}

#[test]
fn discovery_names_the_endpoints_and_a_key() {
    let org = org();
    let get = |path: &str| body(&org.tenant_request(Method::GET, path, "", &[]));
    let known = get("/common/v2.0/.well-known/openid-configuration");
    assert_eq!(known["token_endpoint"], format!("{ORIGIN}/common/oauth2/v2.0/token"));
    let keys = get("/common/discovery/v2.0/keys");
    assert_eq!(known["jwks_uri"], format!("{ORIGIN}/common/discovery/v2.0/keys"));
    assert_eq!(keys["keys"][0]["n"].as_str().map(str::len), Some(342));
    let unknown = org.tenant_request(Method::POST, "/nobody/oauth2/v2.0/token", "", &[]);
    assert_eq!(body(&unknown)["error_codes"][0], 90_002);
}

#[test]
fn only_a_living_token_opens_the_web_api() {
    let mut org = org();
    let answer = org.get("WhoAmI");
    let user = body(&answer)["UserId"].as_str().expect("an id").to_owned();
    assert_eq!(org.state("systemuser")[0]["systemuserid"], user);
    assert_eq!(header(&answer, "odata-version"), "4.0");
    assert!(!header(&answer, "x-ms-ratelimit-burst-remaining-xrm-requests").is_empty());
    org.service.expire_access_tokens();
    let expired = org.get("WhoAmI");
    assert_eq!(expired.status.as_u16(), 401);
    assert!(header(&expired, "www-authenticate").starts_with("Bearer authorization_uri=http"));
    assert_eq!(body(&expired)["error"]["code"], "0x8005f101");
    org.token = "nonsense".to_owned();
    assert_eq!(org.get("WhoAmI").status.as_u16(), 401);
    assert_eq!(org.send(Method::GET, &format!("{V}/accounts"), &[], "").status.as_u16(), 401);
}
