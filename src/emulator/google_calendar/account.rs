//! The account: consent pages, tokens by code, refresh and service account, and which scopes admit which
//! method.

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::errors::{JSON, Refusal};
use crate::emulator::grants::consent::{self, ConsentPage};
use crate::emulator::grants::key::{SigningKey, write_private};
use crate::emulator::grants::letters::{URL_SAFE, letters};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{Authorization, Client, Granted, Grants, Issued, Token, User, s256};
use crate::emulator::service::{Reply, Request, ServiceConfig};
use crate::error::Result;

const SERVICE: &str = "Google Calendar";
const REDIRECT_URI: &str = "http://127.0.0.1/callback";
const SCOPE_ROOT: &str = "https://www.googleapis.com/auth/";
const SCOPES: [&str; 18] = [
    "calendar",
    "calendar.readonly",
    "calendar.events",
    "calendar.events.readonly",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
    "calendar.events.public.readonly",
    "calendar.events.freebusy",
    "calendar.freebusy",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
    "calendar.calendars",
    "calendar.calendars.readonly",
    "calendar.acls",
    "calendar.acls.readonly",
    "calendar.app.created",
    "calendar.settings",
    "calendar.settings.readonly",
];
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Marks, among the scopes of an authorisation, that a refresh token was asked for.
const OFFLINE: &str = "\u{1}offline";
/// Marks a token of a service account that acts in its own name.
const ITSELF: &str = "\u{1}service-account";
/// Longest life of an assertion, and what clocks may differ by, in seconds.
const ASSERTION_LIFE: i64 = 3_600;
const SKEW: i64 = 300;

/// The account with its client, its service account and its tokens.
#[derive(Debug)]
pub(super) struct Account {
    grants: Grants,
    client_id: String,
    email: String,
    service_account: String,
    service_account_file: String,
    access_token: String,
    refresh_token: String,
}

impl Account {
    pub(super) fn start(config: &ServiceConfig, email: &str, name: &str) -> Result<Self> {
        let mut rng: StdRng = rand::SeedableRng::seed_from_u64(config.seed ^ 0x6006_1E00);
        let grants = Grants::new(config.seed ^ 0x600, config.clock.clone(), Arc::new(mint));
        let key = SigningKey::shared()?;
        let mut client = Client::new(format!(
            "{}-{}.apps.googleusercontent.com",
            digits(&mut rng, 12),
            letters(&mut rng, URL_SAFE, 32)
        ));
        client.name = "recordport".to_owned();
        client.client_secret = Some(format!("GOCSPX-{}", letters(&mut rng, URL_SAFE, 28)));
        client.redirect_uris = vec![REDIRECT_URI.to_owned()];
        client.scopes = SCOPES.iter().map(|scope| format!("{SCOPE_ROOT}{scope}")).collect();
        client.access_seconds = 3_599;
        let service_account = format!("recordport@emulated-{}.iam.gserviceaccount.com", digits(&mut rng, 6));
        let mut robot = Client::new(service_account.clone());
        robot.access_seconds = 3_599;
        robot.scopes.clone_from(&client.scopes);
        robot.public_key = Some(key.public_pem().to_owned());
        let file = config.dir.join("google-service-account.json");
        let content = json!({
            "type": "service_account",
            "project_id": "emulated",
            "private_key_id": letters(&mut rng, URL_SAFE, 40),
            "private_key": key.private_pem(),
            "client_email": service_account,
            "client_id": digits(&mut rng, 21),
            "token_uri": TOKEN_URL,
        });
        write_private(&file, content.to_string().as_bytes())?;
        let client_id = client.client_id.clone();
        let all = vec![format!("{SCOPE_ROOT}calendar")];
        grants.register(client);
        grants.register(robot);
        grants.add_user(User {
            username: email.to_owned(),
            user_id: digits(&mut rng, 21),
            display_name: name.to_owned(),
            email: email.to_owned(),
            password: letters(&mut rng, URL_SAFE, 16),
            active: true,
        });
        let issued = grants.issue(&client_id, email, all, true, config.clock.now());
        grants.seal();
        Ok(Self {
            grants,
            client_id,
            email: email.to_owned(),
            service_account,
            service_account_file: file.display().to_string(),
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
        })
    }

    pub(super) fn owns(path: &str) -> bool {
        matches!(path, "/o/oauth2/v2/auth" | "/o/oauth2/auth" | "/token" | "/oauth2/v4/token" | "/revoke")
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(super) fn credentials(&self) -> Value {
        let secret = self.grants.client(&self.client_id).and_then(|client| client.client_secret);
        json!({
            "client_id": self.client_id,
            "client_secret": secret,
            "refresh_token": self.refresh_token,
            "access_token": self.access_token,
            "service_account_file": self.service_account_file,
            "service_account": self.service_account,
            "user": self.email,
            "redirect_uri": REDIRECT_URI,
        })
    }

    /// Lets a request in whose token has one of the scopes; tells whether a service account calls in its own
    /// name.
    ///
    /// # Errors
    /// 401 for tokens that are not taken, 403 for too few scopes.
    pub(super) fn admit(&self, request: &Request, scopes: &[&str]) -> std::result::Result<bool, Refusal> {
        let granted =
            self.grants.check(&request.headers, request.now).map_err(|_| Refusal::unauthorized())?;
        let admits =
            |granted: &Granted| scopes.iter().any(|scope| granted.has(&format!("{SCOPE_ROOT}{scope}")));
        if !admits(&granted) {
            let message = "Request had insufficient authentication scopes.";
            return Err(Refusal::forbidden("insufficientPermissions", message));
        }
        Ok(granted.has(ITSELF))
    }

    pub(super) fn handle(&self, request: &Request) -> Reply {
        match (request.path.as_str(), &request.method) {
            ("/o/oauth2/v2/auth" | "/o/oauth2/auth", &Method::GET) => self.ask(request),
            ("/o/oauth2/v2/auth" | "/o/oauth2/auth", &Method::POST) => self.decide(request),
            ("/token" | "/oauth2/v4/token", &Method::POST) => self.token(request),
            ("/revoke", _) => self.revoke(request),
            _ => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    /// A registered address, or one of this machine with any port (RFC 8252 section 7.3).
    fn is_redirect(client: &Client, wanted: &str) -> bool {
        let without_port = |text: &str| {
            let mut url = url::Url::parse(text).ok()?;
            let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
            loopback.then(|| url.set_port(None).ok())?;
            Some(url.to_string())
        };
        client.redirect_uris.iter().any(|known| {
            known == wanted || without_port(known).is_some_and(|known| Some(known) == without_port(wanted))
        })
    }

    fn ask(&self, request: &Request) -> Reply {
        let parameters = Parameters::of_query(&request.query);
        let refuse = |code: &str, message: &str| consent::refusal_page(SERVICE, code, message);
        let Some(client) = parameters.client_id().and_then(|id| self.grants.client(id)) else {
            return refuse("invalid_client", "The OAuth client was not found.");
        };
        let Some(redirect_uri) = parameters.get("redirect_uri") else {
            return refuse("invalid_request", "Missing required parameter: redirect_uri");
        };
        if !Self::is_redirect(&client, redirect_uri) {
            return refuse("redirect_uri_mismatch", "The redirect URI is not that of the OAuth client.");
        }
        let state = parameters.get("state").map(str::to_owned);
        let back = |error: &str| {
            let mut answer = vec![("error", error)];
            answer.extend(state.as_deref().map(|state| ("state", state)));
            consent::redirect(redirect_uri, &answer)
                .unwrap_or_else(|| refuse("invalid_request", "redirect_uri is no address"))
        };
        if parameters.get("response_type") != Some("code") {
            return back("unsupported_response_type");
        }
        let scopes = parameters.scopes().unwrap_or_default();
        let identity = ["openid", "email", "profile"];
        let unknown = |scope: &&String| !client.scopes.contains(scope) && !identity.contains(&scope.as_str());
        if scopes.is_empty() || scopes.iter().any(|scope| unknown(&scope)) {
            return back("invalid_scope");
        }
        let challenge = match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
            (None, _) => None,
            (Some(challenge), Some("S256")) => Some(challenge.to_owned()),
            (Some(challenge), None | Some("plain")) => Some(s256(challenge)),
            _ => return back("invalid_request"),
        };
        let mut asked = scopes.clone();
        if parameters.get("access_type") == Some("offline") {
            asked.push(OFFLINE.to_owned());
        }
        let number = self.grants.ask(
            Authorization {
                client_id: client.client_id.clone(),
                redirect_uri: redirect_uri.to_owned(),
                scopes: asked,
                state,
                challenge,
            },
            request.now,
        );
        ConsentPage {
            service: SERVICE,
            client: &client.name,
            user: &self.email,
            scopes: scopes.iter().map(|scope| (scope.clone(), words(scope))).collect(),
            redirect_uri,
            action: "/o/oauth2/v2/auth",
            number: &number,
            choice: None,
        }
        .reply()
    }

    fn decide(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let refuse = |message: &str| consent::refusal_page(SERVICE, "invalid_request", message);
        let asked = parameters.get("request").and_then(|number| self.grants.decide(number, request.now));
        let Some(asked) = asked else {
            return refuse("this page was answered already or is too old: start again");
        };
        let (redirect_uri, state) = (asked.redirect_uri.clone(), asked.state.clone());
        let shown: Vec<&str> =
            asked.scopes.iter().map(String::as_str).filter(|own| !own.starts_with('\u{1}')).collect();
        let scope = shown.join(" ");
        let user = self.grants.users().into_iter().next().filter(|user| user.active);
        let mut answer = Vec::new();
        match user {
            Some(user) if parameters.get("decision") == Some("allow") => {
                answer.push(("code", self.grants.code(asked, &user.username, request.now)));
                answer.push(("scope", scope));
            }
            _ => answer.push(("error", "access_denied".to_owned())),
        }
        consent::answer(&redirect_uri, answer, state).unwrap_or_else(|| refuse("redirect_uri is no address"))
    }

    fn token(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let (status, body) = match self.exchange(&parameters, request) {
            Ok((issued, with_scope)) => (StatusCode::OK, shown(&issued, with_scope)),
            Err((status, error, description)) => {
                (status, json!({ "error": error, "error_description": description }))
            }
        };
        let text = serde_json::to_string_pretty(&body).unwrap_or_default();
        Reply::new(status, JSON, text)
            .with_header(CACHE_CONTROL, "no-cache, no-store, max-age=0, must-revalidate")
    }

    /// The tokens, and whether the answer tells the scopes.
    fn exchange(
        &self,
        parameters: &Parameters,
        request: &Request,
    ) -> std::result::Result<(Issued, bool), (StatusCode, &'static str, String)> {
        let bad = |error: &'static str, what: &str| (StatusCode::BAD_REQUEST, error, what.to_owned());
        let grant = parameters.get("grant_type");
        if grant == Some(JWT_BEARER) {
            return self.by_assertion(parameters, request).map(|issued| (issued, false));
        }
        let unknown =
            || (StatusCode::UNAUTHORIZED, "invalid_client", "The OAuth client was not found.".to_owned());
        let id = parameters
            .client_id()
            .ok_or_else(|| bad("invalid_request", "Could not determine client ID from request."))?;
        let client = self.grants.client(id).ok_or_else(unknown)?;
        match parameters.client_secret() {
            Some(secret) if Some(secret) == client.client_secret.as_deref() => {}
            Some(_) => return Err((StatusCode::UNAUTHORIZED, "invalid_client", "Unauthorized".to_owned())),
            None => return Err(bad("invalid_request", "client_secret is missing.")),
        }
        match grant {
            Some("authorization_code") => {
                let code = parameters.get("code");
                let code = code.ok_or_else(|| bad("invalid_request", "Missing required parameter: code"))?;
                let offline = |scopes: &[String]| scopes.iter().any(|scope| scope == OFFLINE);
                let (redirect, verifier) = (parameters.get("redirect_uri"), parameters.get("code_verifier"));
                self.grants
                    .redeem(code, id, redirect, verifier, offline, request.now)
                    .map(|issued| (issued, true))
                    .map_err(|_| bad("invalid_grant", "Bad Request"))
            }
            Some("refresh_token") => {
                let token = parameters.get("refresh_token");
                let token = token
                    .ok_or_else(|| bad("invalid_request", "Missing required parameter: refresh_token"))?;
                self.grants
                    .refresh(token, id, request.now)
                    .map(|issued| (issued, true))
                    .map_err(|_| bad("invalid_grant", "Token has been expired or revoked."))
            }
            Some(other) => Err(bad("unsupported_grant_type", &format!("Invalid grant_type: {other}"))),
            None => Err(bad("invalid_request", "Required parameter is missing: grant_type")),
        }
    }

    /// A service account's own signature (RFC 7523). With `sub` it acts for a user.
    fn by_assertion(
        &self,
        parameters: &Parameters,
        request: &Request,
    ) -> std::result::Result<Issued, (StatusCode, &'static str, String)> {
        let bad = |error: &'static str, what: &str| (StatusCode::BAD_REQUEST, error, what.to_owned());
        let signature = || bad("invalid_grant", "Invalid JWT Signature.");
        let assertion =
            parameters.get("assertion").ok_or_else(|| bad("invalid_request", "Missing assertion"))?;
        let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(assertion)
            .map_err(|_| bad("invalid_grant", "Invalid JWT: Failed to parse the JWT."))?
            .claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let issuer = text("iss").unwrap_or_default();
        let client = self
            .grants
            .client(issuer)
            .filter(|client| client.public_key.is_some())
            .ok_or_else(|| bad("invalid_grant", "Invalid grant: account not found"))?;
        let key = client.public_key.as_deref().unwrap_or_default();
        let key = DecodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| signature())?;
        let mut signature_only = Validation::new(Algorithm::RS256);
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(assertion, &key, &signature_only).map_err(|_| signature())?;
        let own = format!("{}/token", request.origin);
        if !text("aud").is_some_and(|audience| audience == TOKEN_URL || audience == own) {
            return Err(bad("invalid_grant", "Invalid JWT: the audience is not the token endpoint."));
        }
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
        let now = request.now.as_second();
        let (issued, expires) = (seconds("iat"), seconds("exp"));
        if expires + SKEW < now || issued - SKEW > now || expires - issued > ASSERTION_LIFE {
            let what = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                        Check your iat and exp values in the JWT claim.";
            return Err(bad("invalid_grant", what));
        }
        let mut scopes: Vec<String> =
            text("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if scopes.is_empty() || scopes.iter().any(|scope| !client.scopes.contains(scope)) {
            return Err(bad("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
        }
        match text("sub").filter(|user| *user != issuer) {
            Some(user) if self.grants.user(user).is_none() => {
                let what = "Client is unauthorized to retrieve access tokens using this method, or client not \
                            authorized for any of the scopes requested.";
                return Err((StatusCode::UNAUTHORIZED, "unauthorized_client", what.to_owned()));
            }
            Some(_) => {}
            None => scopes.push(ITSELF.to_owned()),
        }
        Ok(self.grants.issue(issuer, &self.email, scopes, false, request.now))
    }

    fn revoke(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let done = parameters.get("token").is_some_and(|token| self.grants.revoke(token));
        if done {
            return Reply::new(StatusCode::OK, JSON, "{}");
        }
        let body = json!({ "error": "invalid_token", "error_description": "Token expired or revoked" });
        Reply::new(StatusCode::BAD_REQUEST, JSON, body.to_string())
    }
}

fn shown(issued: &Issued, with_scope: bool) -> Value {
    let mut body = json!({
        "access_token": issued.access_token,
        "expires_in": issued.expires_in.as_secs(),
        "token_type": "Bearer",
    });
    if with_scope {
        let scopes: Vec<&str> = issued
            .granted
            .scopes
            .iter()
            .map(String::as_str)
            .filter(|scope| !scope.starts_with('\u{1}'))
            .collect();
        body["scope"] = json!(scopes.join(" "));
    }
    if let Some(token) = &issued.refresh_token {
        body["refresh_token"] = json!(token);
    }
    body
}

fn words(scope: &str) -> &'static str {
    match scope.strip_prefix(SCOPE_ROOT).unwrap_or(scope) {
        "calendar" => "See, change, share and delete all calendars you have access to",
        "calendar.readonly" => "See and download any calendar you have access to",
        "calendar.events" => "See and change events on all your calendars",
        "calendar.events.readonly" => "See events on all your calendars",
        "openid" | "email" | "profile" => "See who you are",
        own if own.ends_with("readonly") => "See a part of your calendars",
        _ => "See and change a part of your calendars",
    }
}

fn digits(rng: &mut StdRng, count: usize) -> String {
    (0..count).map(|_| char::from(b'1' + rng.random_range(0..9_u8))).collect()
}

fn mint(rng: &mut StdRng, token: Token) -> String {
    match token {
        Token::Access => format!("ya29.a0{}", letters(rng, URL_SAFE, 180)),
        Token::Refresh => format!("1//0{}", letters(rng, URL_SAFE, 94)),
        Token::Code => format!("4/0A{}", letters(rng, URL_SAFE, 68)),
        Token::Consent => letters(rng, URL_SAFE, 32),
    }
}
