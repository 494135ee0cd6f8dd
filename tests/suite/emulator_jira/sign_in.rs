//! Signing in: consent, rotation, sites, tokens, and who is nobody.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use recordport::emulator::service::Service;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Site, basic, body, header, site, text};

impl Site {
    fn credential(&self, name: &str) -> String {
        self.service.credentials()[name].as_str().expect(name).to_owned()
    }

    fn token(&self, asked: &Value, form: bool) -> (u16, Value) {
        let reply = if form {
            let mut encoded = form_urlencoded::Serializer::new(String::new());
            for (name, value) in asked.as_object().expect("an object") {
                encoded.append_pair(name, value.as_str().expect("a text"));
            }
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            self.send(Method::POST, "/oauth/token", &kind, &encoded.finish())
        } else {
            let kind = [("content-type", "application/json")];
            self.send(Method::POST, "/oauth/token", &kind, &asked.to_string())
        };
        (reply.status.as_u16(), body(&reply))
    }

    fn refresh(&self, token: &str) -> (u16, Value) {
        let asked = json!({
            "grant_type": "refresh_token",
            "client_id": self.credential("client_id"),
            "client_secret": self.credential("client_secret"),
            "refresh_token": token,
        });
        self.token(&asked, false)
    }

    /// Walks through the consent page and gives the code.
    fn code(&self, decision: &str) -> Url {
        self.answer(&[("decision", decision)]).1
    }

    /// The consent page, and where its form leads with this in it.
    fn answer(&self, chosen: &[(&str, &str)]) -> (String, Url) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("audience", "api.atlassian.com"),
            ("client_id", &self.credential("client_id")),
            ("scope", "read:jira-work read:jira-user offline_access"),
            ("redirect_uri", &self.credential("redirect_uri")),
            ("state", "s1"),
            ("response_type", "code"),
            ("prompt", "consent"),
        ]);
        let page = self.send(Method::GET, &format!("/authorize?{}", query.finish()), &[], "");
        let html = text(&page);
        let number = html.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("request", number.expect("a number")).extend_pairs(chosen);
        let answer = self.send(Method::POST, "/authorize", &[], &form.finish());
        (html.clone(), Url::parse(&header(&answer, "location")).expect("an address"))
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

#[test]
fn a_code_buys_tokens_by_json_or_form_and_only_with_the_secret() {
    let mut site = site();
    for form in [false, true] {
        let url = site.code("allow");
        assert_eq!(parameter(&url, "state").as_deref(), Some("s1"));
        let mut asked = json!({
            "grant_type": "authorization_code",
            "client_id": site.credential("client_id"),
            "code": parameter(&url, "code").expect("a code"),
            "redirect_uri": site.credential("redirect_uri"),
        });
        let (status, refused) = site.token(&asked, form);
        assert_eq!((status, &refused["error"]), (401, &json!("access_denied")));
        asked["client_secret"] = json!(site.credential("client_secret"));
        let (status, tokens) = site.token(&asked, form);
        assert_eq!((status, &tokens["expires_in"]), (200, &json!(3600)), "{tokens}");
        site.authorization = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
        let resources = body(&site.send(Method::GET, "/oauth/token/accessible-resources", &[], ""));
        assert_eq!(resources[0]["id"], site.credential("cloud_id"));
        assert_eq!(resources[0]["scopes"], json!(["read:jira-work", "read:jira-user"]));
        let gateway = format!("/ex/jira/{}/rest/api/3", site.credential("cloud_id"));
        let me = site.send(Method::GET, &format!("{gateway}/myself"), &[], "");
        assert_eq!(me.status, StatusCode::OK, "{}", text(&me));
        let kind = [("content-type", "application/json")];
        let refused = site.send(Method::POST, &format!("{gateway}/issue"), &kind, "{}");
        assert_eq!(body(&refused)["message"], "Unauthorized; scope does not match");
        let at_site = site.get("myself");
        assert_eq!(at_site.status, StatusCode::UNAUTHORIZED);
        assert!(header(&at_site, "content-type").starts_with("text/html"));
    }
    assert_eq!(parameter(&site.code("deny"), "error").as_deref(), Some("access_denied"));
}

#[test]
fn the_consent_page_lets_the_user_choose_the_site() {
    let mut site = site();
    let mut seen = Vec::new();
    for chosen in [None, Some("all")] {
        let mut form = vec![("decision", "allow")];
        form.extend(chosen.map(|chosen| ("site", chosen)));
        let (html, url) = site.answer(&form);
        let list = html.split("<select name=\"site\">").nth(1).expect("a list of sites");
        let list = list.split("</select>").next().expect("it ends");
        assert_eq!(list.matches("<option ").count(), 3, "two sites, and all: {list}");
        assert_eq!(list.matches(" selected").count(), 1, "{list}");
        let asked = json!({
            "grant_type": "authorization_code",
            "client_id": site.credential("client_id"),
            "client_secret": site.credential("client_secret"),
            "code": parameter(&url, "code").expect("a code"),
            "redirect_uri": site.credential("redirect_uri"),
        });
        let (_, tokens) = site.token(&asked, false);
        let authorization = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
        let before = std::mem::replace(&mut site.authorization, authorization);
        let resources = body(&site.send(Method::GET, "/oauth/token/accessible-resources", &[], ""));
        site.authorization = before;
        seen.push(resources.as_array().expect("sites").len());
    }
    assert_eq!(seen, [1, 2]);
}

#[test]
fn a_refresh_token_rotates_and_an_old_one_ends_everything_after_its_leeway() {
    let site = site();
    let first = site.credential("refresh_token");
    let (status, tokens) = site.refresh(&first);
    assert_eq!(status, 200, "{tokens}");
    let second = tokens["refresh_token"].as_str().expect("a token").to_owned();
    assert_ne!(first, second);
    assert_eq!(site.refresh(&first).0, 200, "ten minutes are forgiven");
    site.clock.advance(SignedDuration::from_mins(11)).expect("later");
    let (status, refused) = site.refresh(&first);
    assert_eq!((status, &refused["error"]), (403, &json!("invalid_grant")));
    assert_eq!(refused["error_description"], "Unknown or invalid refresh token.");
    assert_eq!(site.refresh(&second).0, 403);
}

#[test]
fn wrong_credentials_are_nobody_and_nobody_sees_nothing() {
    let mut site = site();
    let key = site.keys("project = OPS")[0].clone();
    site.authorization = basic(&site.credential("email"), "wrong");
    let me = site.get("myself");
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
    assert_eq!(header(&me, "x-seraph-loginreason"), "AUTHENTICATED_FAILED");
    assert_eq!(site.json("project/search")["values"], json!([]));
    assert!(site.keys("project = OPS").is_empty());
    let issue = site.get(&format!("issue/{key}"));
    assert_eq!(issue.status, StatusCode::NOT_FOUND);
    let message = "Issue does not exist or you do not have permission to see it.";
    assert_eq!(body(&issue), json!({ "errorMessages": [message], "errors": {} }));
    assert_eq!(site.get("field").status, StatusCode::OK);
    site.authorization = "Bearer nonsense".to_owned();
    let refused = site.get("myself");
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(body(&refused), json!({ "error": "Failed to parse Connect Session Auth Token" }));
}

#[test]
fn a_scoped_token_works_only_at_the_gateway() {
    let mut site = site();
    site.authorization = basic(&site.credential("email"), &site.credential("scoped_api_token"));
    assert_eq!(site.get("myself").status, StatusCode::UNAUTHORIZED);
    let gateway = format!("/ex/jira/{}/rest/api/3/myself", site.credential("cloud_id"));
    assert_eq!(site.send(Method::GET, &gateway, &[], "").status, StatusCode::OK);
    let other = "/ex/jira/00000000-0000-0000-0000-000000000000/rest/api/3/myself";
    assert_eq!(site.send(Method::GET, other, &[], "").status, StatusCode::NOT_FOUND);
}

#[test]
fn the_framework_answers_with_problem_documents_and_rates_stand_in_headers() {
    let site = site();
    let reply = site.get("project/search?maxResults=abc");
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(header(&reply, "content-type").starts_with("application/problem+json"));
    assert_eq!(body(&reply)["detail"], "Failed to convert 'maxResults' with value: 'abc'");
    assert_eq!(site.get("nothing/here").status, StatusCode::NOT_FOUND);
    let wrong = site.write(Method::POST, "myself", &json!({}));
    assert_eq!((wrong.status.as_u16(), header(&wrong, "allow").as_str()), (405, "GET"));
    let kind = [("content-type", "text/plain")];
    let plain = site.send(Method::POST, "/rest/api/3/issue", &kind, "x");
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let me = site.get("myself");
    assert_eq!(header(&me, "x-ratelimit-limit"), "350");
    assert!(header(&me, "x-aaccountid").contains("%3A"));
}
