//! Salesforce's OAuth endpoints: authorize, token, revoke, introspect, userinfo and the identity address.
//!
//! Wording follows Salesforce: errors are `{"error","error_description"}` with status 400, lifetimes are not
//! told (`expires_in` is absent), `issued_at` is a text of milliseconds, redirect addresses are compared as
//! whole texts, and with rotation on a replaced refresh token that comes back revokes everything that came
//! from its authorisation.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{Method, StatusCode};
use jiff::Timestamp;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::soap_login;
use crate::emulator::grants::consent::{self, ConsentPage};
use crate::emulator::grants::key::SigningKey;
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{
    Authorization, BearerFault, Client, GrantFault, Granted, Grants, Issued, Token, User,
};
use crate::emulator::service::{Reply, Request, ServiceConfig};
use crate::error::Result;

/// Scopes that the main client may ask for, with the words of the consent page.
const SCOPES: &[(&str, &str)] = &[
    ("api", "Read and change the records that you can reach, through the APIs"),
    ("web", "Open the pages of the organisation in a browser in your name"),
    ("full", "Do everything that you can do"),
    ("chatter_api", "Use Chatter in your name"),
    ("id", "Know who you are"),
    ("profile", "Know your name and locale"),
    ("email", "Know your e-mail address"),
    ("openid", "Confirm your identity"),
    ("refresh_token", "Come back at any time without asking again"),
    ("offline_access", "Come back at any time without asking again"),
];

/// What the limited client may ask for: its data access ends with the session.
const LIMITED_SCOPES: &[&str] = &["api", "id", "openid", "refresh_token"];

/// The redirect addresses that the clients are registered with: recordport's own and the Salesforce CLI's.
const REDIRECT_URIS: &[&str] = &["http://localhost:7281/callback", "http://localhost:1717/OauthRedirect"];

const AUTHORIZE: &str = "/services/oauth2/authorize";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// A JWT assertion may not live longer than three minutes; two more are allowed for clocks that differ.
const ASSERTION_SECONDS: i64 = 300;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The organisation and its main user, as the rows have them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Id of the organisation, 18 characters.
    pub organization_id: String,
    /// Id of the user, 18 characters.
    pub user_id: String,
    /// Login name.
    pub username: String,
    /// Name to show.
    pub display_name: String,
    /// E-mail address.
    pub email: String,
}

/// The OAuth side of the emulated Salesforce.
#[derive(Debug)]
pub struct OAuth {
    grants: Grants,
    organization_id: String,
    client_id: String,
    limited_client_id: String,
    username: String,
    access_token: String,
    refresh_token: String,
    key_file: PathBuf,
}

impl OAuth {
    /// Registers two clients and the user, issues the first tokens and writes the signing key for JWT bearer
    /// to the service's directory.
    ///
    /// # Errors
    /// When the key cannot be made or written.
    pub fn start(config: &ServiceConfig, identity: &Identity) -> Result<Self> {
        let organization: String = identity.organization_id.chars().take(15).collect();
        let grants = Grants::new(
            config.seed,
            config.clock.clone(),
            Arc::new(move |rng: &mut StdRng, token| mint(rng, token, &organization)),
        );
        let key = SigningKey::shared()?;
        let key_file = config.dir.join("salesforce-jwt-key.pem");
        key.write(&key_file)?;

        let mut rng: StdRng = rand::SeedableRng::seed_from_u64(config.seed ^ 0x5F_0A07);
        let user = User {
            username: identity.username.clone(),
            user_id: identity.user_id.clone(),
            display_name: identity.display_name.clone(),
            email: identity.email.clone(),
            password: format!("Demo-{}", letters(&mut rng, 14)),
            active: true,
        };
        let mut main = Client::new(format!("3MVG9{}", letters(&mut rng, 80)));
        main.name = "recordport".to_owned();
        main.client_secret = Some(secret(&mut rng));
        main.redirect_uris = REDIRECT_URIS.iter().map(|&uri| uri.to_owned()).collect();
        main.scopes = SCOPES.iter().map(|&(scope, _)| scope.to_owned()).collect();
        main.rotation = true;
        main.public_key = Some(key.public_pem().to_owned());
        main.run_as = Some(user.username.clone());
        let mut limited = main.clone();
        limited.client_id = format!("3MVG9{}", letters(&mut rng, 80));
        limited.name = "recordport (limited)".to_owned();
        limited.client_secret = Some(secret(&mut rng));
        limited.scopes = LIMITED_SCOPES.iter().map(|&scope| scope.to_owned()).collect();

        let (client_id, limited_client_id) = (main.client_id.clone(), limited.client_id.clone());
        let scopes = main.scopes.iter().filter(|scope| *scope != "offline_access").cloned().collect();
        grants.register(main);
        grants.register(limited);
        grants.add_user(user);
        let issued = grants.issue(&client_id, &identity.username, scopes, true, config.clock.now());
        grants.seal();
        Ok(Self {
            grants,
            organization_id: identity.organization_id.clone(),
            client_id,
            limited_client_id,
            username: identity.username.clone(),
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
            key_file,
        })
    }

    pub(super) fn organization_id(&self) -> &str {
        &self.organization_id
    }

    /// A session for a name and a password, as SOAP clients ask for it: no client is involved.
    pub(super) fn sign_in(&self, username: &str, password: &str, now: Timestamp) -> Option<(User, Issued)> {
        let user = self.grants.user(username).filter(|user| user.active && user.password == password)?;
        let issued = self.grants.issue("", &user.username, vec!["full".to_owned()], false, now);
        Some((user, issued))
    }

    /// Whether a path belongs to the OAuth endpoints or the older ways to sign in.
    #[must_use]
    pub fn owns(path: &str) -> bool {
        path.starts_with("/services/oauth2/") || path.starts_with("/id/") || soap_login::owns(path)
    }

    /// The registry behind the endpoints.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The `credentials` entry.
    #[must_use]
    pub fn credentials(&self) -> Value {
        let main = self.grants.client(&self.client_id);
        let limited = self.grants.client(&self.limited_client_id);
        let user = self.grants.user(&self.username);
        json!({
            "client_id": self.client_id,
            "client_secret": main.as_ref().and_then(|client| client.client_secret.clone()),
            "username": self.username,
            "password": user.as_ref().map(|user| user.password.clone()),
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "private_key_file": self.key_file,
            "redirect_uri": REDIRECT_URIS[0],
            "organization_id": self.organization_id,
            "user_id": user.map(|user| user.user_id),
            "limited": {
                "client_id": self.limited_client_id,
                "client_secret": limited.and_then(|client| client.client_secret),
                "scopes": LIMITED_SCOPES,
            },
        })
    }

    /// Admits a request to the data APIs, or gives the refusal to answer with.
    ///
    /// # Errors
    /// The complete 401 answer.
    #[expect(clippy::result_large_err, reason = "the refusal is the answer, moved once")]
    pub fn admit(&self, request: &Request) -> Result<Granted, Reply> {
        let refuse = |code: &str, message: &str| {
            Reply::json(StatusCode::UNAUTHORIZED, &json!([{ "message": message, "errorCode": code }]))
        };
        match self.grants.check(&request.headers, request.now) {
            Ok(granted) if granted.has("api") || granted.has("full") => Ok(granted),
            Ok(_) => Err(refuse("INVALID_SESSION_ID", "This session is not valid for use with the REST API")),
            Err(BearerFault::Malformed) => Err(refuse("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")),
            Err(_) => Err(refuse("INVALID_SESSION_ID", "Session expired or invalid")),
        }
    }

    /// Answers a request to one of the endpoints that [`owns`](Self::owns) names.
    #[must_use]
    pub fn handle(&self, request: &Request) -> Reply {
        if soap_login::owns(&request.path) {
            return soap_login::handle(self, request);
        }
        match (request.path.as_str(), &request.method) {
            (AUTHORIZE, &Method::GET) => self.ask(request),
            (AUTHORIZE, &Method::POST) => self.decide(request),
            ("/services/oauth2/token", &Method::POST) => self.token(request),
            ("/services/oauth2/token", _) => oauth_error("invalid_request", "must use HTTP POST"),
            ("/services/oauth2/revoke", &Method::POST | &Method::GET) => self.revoke(request),
            ("/services/oauth2/introspect", &Method::POST) => self.introspect(request),
            ("/services/oauth2/userinfo", &Method::GET | &Method::POST) => self.identity(request, None),
            (path, &Method::GET | &Method::POST) if path.starts_with("/id/") => {
                self.identity(request, path.strip_prefix("/id/"))
            }
            (path, _) if path.starts_with("/id/") || path.starts_with("/services/oauth2/") => Reply::json(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!([{ "message": format!("HTTP Method '{}' not allowed. Allowed are HEAD,GET,POST",
                    request.method), "errorCode": "METHOD_NOT_ALLOWED" }]),
            ),
            _ => Reply::json(
                StatusCode::NOT_FOUND,
                &json!([{ "message": "The requested resource does not exist", "errorCode": "NOT_FOUND" }]),
            ),
        }
    }

    /// The authorisation request: a consent page, or an error page when no redirect can be trusted.
    fn ask(&self, request: &Request) -> Reply {
        let parameters = Parameters::of_query(&request.query);
        let refuse = |code: &str, description: &str| consent::refusal_page("Salesforce", code, description);
        if let Some(name) = parameters.repeated() {
            return refuse("invalid_request", &format!("parameter {name} given twice"));
        }
        let Some(client) = parameters.client_id().and_then(|id| self.grants.client(id)) else {
            return refuse("invalid_client_id", "client identifier invalid");
        };
        let Some(redirect_uri) = parameters.get("redirect_uri") else {
            return refuse("redirect_uri_missing", "redirect_uri must be given");
        };
        if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
            return refuse("redirect_uri_mismatch", "redirect_uri must match configuration");
        }
        let state = parameters.get("state").map(str::to_owned);
        let back = |code: &str, description: &str| {
            let mut answer = vec![("error", code), ("error_description", description)];
            answer.extend(state.as_deref().map(|state| ("state", state)));
            consent::redirect(redirect_uri, &answer)
                .unwrap_or_else(|| refuse("redirect_uri_mismatch", "redirect_uri must match configuration"))
        };
        if parameters.get("response_type") != Some("code") {
            return back("unsupported_response_type", "response type must be code");
        }
        let scopes = match parameters.scopes() {
            None => client.scopes.iter().filter(|scope| *scope != "offline_access").cloned().collect(),
            Some(scopes) => scopes,
        };
        if scopes.iter().any(|scope| !client.scopes.contains(scope)) {
            return back("invalid_scope", "the requested scope is not allowed");
        }
        let challenge = parameters.get("code_challenge").map(str::to_owned);
        // The method may be left out: Salesforce knows no other than S256, and jsforce does not send it.
        if challenge.is_some()
            && parameters.get("code_challenge_method").is_some_and(|method| method != "S256")
        {
            return back("invalid_request", "code challenge method must be S256");
        }
        if challenge.is_none() && client.pkce_required {
            return back("invalid_request", "missing required code challenge");
        }
        let users = self.grants.users();
        let Some(user) = users.first() else {
            return back("access_denied", "end-user denied authorization");
        };
        let asked = Authorization {
            client_id: client.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes: scopes.clone(),
            state: state.clone(),
            challenge,
        };
        let number = self.grants.ask(asked, request.now);
        ConsentPage {
            service: "Salesforce",
            client: &client.name,
            user: &user.username,
            scopes: scopes
                .into_iter()
                .map(|scope| {
                    let words = SCOPES.iter().find(|(known, _)| *known == scope);
                    let words =
                        words.map_or("A permission that this client has registered", |(_, words)| words);
                    (scope, words)
                })
                .collect(),
            redirect_uri,
            action: AUTHORIZE,
            number: &number,
        }
        .reply()
    }

    /// The consent page's form.
    fn decide(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let refuse = |code: &str, description: &str| consent::refusal_page("Salesforce", code, description);
        let asked = parameters.get("request").and_then(|number| self.grants.decide(number, request.now));
        let Some(asked) = asked else {
            return refuse("invalid_request", "this page was answered already or is too old: start again");
        };
        let redirect_uri = asked.redirect_uri.clone();
        let state = asked.state.clone();
        let installed = self.grants.client(&asked.client_id).is_some_and(|client| client.installed);
        let user = self.grants.users().into_iter().next();
        let mut answer = Vec::new();
        match (parameters.get("decision"), user) {
            (Some("allow"), _) if !installed => {
                answer.push(("error", "OAUTH_EC_APP_NOT_FOUND".to_owned()));
                answer.push((
                    "error_description",
                    "External client app is not installed in this org".to_owned(),
                ));
            }
            (Some("allow"), Some(user)) if !user.active => {
                answer.push(("error", "inactive_user".to_owned()));
                answer.push(("error_description", "user is inactive".to_owned()));
            }
            (Some("allow"), Some(user)) => {
                answer.push(("code", self.grants.code(asked, &user.username, request.now)));
            }
            _ => {
                answer.push(("error", "access_denied".to_owned()));
                answer.push(("error_description", "end-user denied authorization".to_owned()));
            }
        }
        answer.extend(state.map(|state| ("state", state)));
        let answer: Vec<(&str, &str)> = answer.iter().map(|(name, value)| (*name, value.as_str())).collect();
        consent::redirect(&redirect_uri, &answer)
            .unwrap_or_else(|| refuse("redirect_uri_mismatch", "redirect_uri must match configuration"))
    }

    fn token(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        if parameters.repeated().is_some() {
            return oauth_error("invalid_request", "a parameter was given twice");
        }
        let issued = match parameters.get("grant_type") {
            Some("authorization_code") => self.by_code(&parameters, request.now),
            Some("refresh_token") => self.by_refresh_token(&parameters, request.now),
            Some("client_credentials") => self.by_client_credentials(&parameters, request.now),
            Some("password") => self.by_password(&parameters, request.now),
            Some(JWT_BEARER) => self.by_assertion(&parameters, request),
            Some(_) => Err(TokenError::new("unsupported_grant_type", "grant type not supported")),
            None => Err(TokenError::new("invalid_request", "grant_type is missing")),
        };
        match issued {
            Ok(issued) => self.answer(&issued, &request.origin),
            Err(error) => oauth_error(error.code, error.description),
        }
    }

    /// The client that a token request names, with its secret proven when one is needed or given.
    fn client(&self, parameters: &Parameters) -> Result<Client, TokenError> {
        let id = parameters
            .client_id()
            .ok_or(TokenError::new("invalid_client_id", "client identifier invalid"))?;
        let client = self
            .grants
            .client(id)
            .ok_or(TokenError::new("invalid_client_id", "client identifier invalid"))?;
        let proven = match (parameters.client_secret(), &client.client_secret) {
            (Some(given), Some(own)) => given == own,
            (None, Some(_)) => !client.secret_required,
            (_, None) => true,
        };
        if !proven {
            return Err(TokenError::new("invalid_client", "invalid client credentials"));
        }
        if !client.installed {
            return Err(NOT_INSTALLED);
        }
        Ok(client)
    }

    fn by_code(&self, parameters: &Parameters, now: Timestamp) -> Result<Issued, TokenError> {
        let client = self.client(parameters)?;
        let code = parameters.get("code").ok_or(TokenError::new("invalid_request", "missing code"))?;
        self.grants
            .redeem(
                code,
                &client.client_id,
                parameters.get("redirect_uri"),
                parameters.get("code_verifier"),
                lasting,
                now,
            )
            .map_err(|fault| match fault {
                GrantFault::Expired | GrantFault::Reused => {
                    TokenError::new("invalid_grant", "expired authorization code")
                }
                GrantFault::RedirectMismatch => {
                    TokenError::new("redirect_uri_mismatch", "redirect_uri must match configuration")
                }
                GrantFault::VerifierMissing => TokenError::new("invalid_grant", "missing code verifier"),
                GrantFault::VerifierWrong => TokenError::new("invalid_grant", "invalid code verifier"),
                GrantFault::Inactive => INACTIVE,
                GrantFault::Unknown | GrantFault::WrongClient | GrantFault::Revoked => {
                    TokenError::new("invalid_grant", "invalid authorization code")
                }
            })
    }

    fn by_refresh_token(&self, parameters: &Parameters, now: Timestamp) -> Result<Issued, TokenError> {
        if parameters.get("scope").is_some() {
            return Err(TokenError::new("invalid_request", "scope parameter not supported"));
        }
        let client = self.client(parameters)?;
        let token = parameters
            .get("refresh_token")
            .ok_or(TokenError::new("invalid_request", "refresh_token is missing"))?;
        self.grants.refresh(token, &client.client_id, now).map_err(|fault| match fault {
            GrantFault::Inactive => INACTIVE,
            _ => TokenError::new("invalid_grant", "expired access/refresh token"),
        })
    }

    fn by_client_credentials(&self, parameters: &Parameters, now: Timestamp) -> Result<Issued, TokenError> {
        let client = self.client(parameters)?;
        if parameters.client_secret().is_none() {
            return Err(TokenError::new("invalid_client", "invalid client credentials"));
        }
        let user = client
            .run_as
            .as_deref()
            .and_then(|name| self.grants.user(name))
            .ok_or(TokenError::new("invalid_grant", "no client credentials user enabled"))?;
        self.issue_without_refresh(&client, &user, now)
    }

    fn by_password(&self, parameters: &Parameters, now: Timestamp) -> Result<Issued, TokenError> {
        let client = self.client(parameters)?;
        let failure = TokenError::new("invalid_grant", "authentication failure");
        let user = parameters.get("username").and_then(|name| self.grants.user(name)).ok_or(failure)?;
        // A security token may stand behind the password; this organisation trusts the address and wants none.
        if parameters.get("password") != Some(user.password.as_str()) {
            return Err(failure);
        }
        self.issue_without_refresh(&client, &user, now)
    }

    fn by_assertion(&self, parameters: &Parameters, request: &Request) -> Result<Issued, TokenError> {
        let invalid = TokenError::new("invalid_grant", "invalid assertion");
        let assertion =
            parameters.get("assertion").ok_or(TokenError::new("invalid_request", "missing assertion"))?;
        let claims =
            jsonwebtoken::dangerous::insecure_decode::<Value>(assertion).map_err(|_| invalid)?.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let client = text("iss")
            .and_then(|id| self.grants.client(id))
            .ok_or(TokenError::new("invalid_client_id", "client identifier invalid"))?;
        if !client.installed {
            return Err(NOT_INSTALLED);
        }
        let key = client.public_key.as_deref().ok_or(invalid)?;
        let key = jsonwebtoken::DecodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| invalid)?;
        let mut signature_only = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        // Times are judged by the emulated clock below, the audience by where this server stands.
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(assertion, &key, &signature_only).map_err(|_| invalid)?;

        let audiences: Vec<&str> = match claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let here = ["https://login.salesforce.com", "https://test.salesforce.com", request.origin.as_str()];
        if !audiences.iter().any(|audience| here.contains(&audience.trim_end_matches('/'))) {
            return Err(TokenError::new("invalid_grant", "audience is invalid"));
        }
        // Some libraries send the expiry as a text.
        let expiry = claims.get("exp").and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64().or_else(|| other.as_f64().map(|seconds| seconds as i64)),
        });
        let expiry: i64 = expiry.ok_or(invalid)?;
        let left = expiry.saturating_sub(request.now.as_second());
        if left <= 0 {
            return Err(TokenError::new("invalid_grant", "assertion is expired"));
        }
        if left > ASSERTION_SECONDS {
            return Err(TokenError::new("invalid_grant", "assertion expires too far in the future"));
        }
        let user = text("sub")
            .and_then(|name| self.grants.user(name))
            .ok_or(TokenError::new("invalid_grant", "user hasn't approved this consumer"))?;
        self.issue_without_refresh(&client, &user, request.now)
    }

    fn issue_without_refresh(
        &self,
        client: &Client,
        user: &User,
        now: Timestamp,
    ) -> Result<Issued, TokenError> {
        if !user.active {
            return Err(INACTIVE);
        }
        let scopes: Vec<String> = client.scopes.iter().filter(|scope| !is_lasting(scope)).cloned().collect();
        Ok(self.grants.issue(&client.client_id, &user.username, scopes, false, now))
    }

    /// The token answer. There is no lifetime in it; a client learns of expiry by a 401.
    fn answer(&self, issued: &Issued, origin: &str) -> Reply {
        let user_id = self.grants.user(&issued.granted.username).map(|user| user.user_id).unwrap_or_default();
        let id = format!("{origin}/id/{}/{user_id}", self.organization_id);
        let issued_at = issued.issued_at.as_millisecond().to_string();
        let secret = self.grants.client(&issued.granted.client_id).and_then(|client| client.client_secret);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.unwrap_or_default().as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, format!("{id}{issued_at}").as_bytes()));
        let mut body = json!({ "access_token": issued.access_token });
        if let Some(token) = &issued.refresh_token {
            body["refresh_token"] = json!(token);
        }
        body["signature"] = json!(signature);
        body["scope"] = json!(issued.granted.scopes.join(" "));
        body["instance_url"] = json!(origin);
        body["id"] = json!(id);
        body["token_type"] = json!("Bearer");
        body["issued_at"] = json!(issued_at);
        uncached(Reply::json(StatusCode::OK, &body))
    }

    fn revoke(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        match parameters.get("token") {
            Some(token) if self.grants.revoke(token) => Reply::empty(StatusCode::OK),
            Some(_) => oauth_error("invalid_token", "the token is invalid or already revoked"),
            None => oauth_error("unsupported_token_type", "this token type is not supported"),
        }
    }

    /// RFC 7662; the client must prove itself.
    fn introspect(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let client = match self.client(&parameters) {
            Ok(client) if parameters.client_secret().is_some() => client,
            _ => {
                return Reply::json(
                    StatusCode::UNAUTHORIZED,
                    &json!({ "error": "invalid_client", "error_description": "invalid client credentials" }),
                );
            }
        };
        let info = parameters
            .get("token")
            .and_then(|token| self.grants.introspect(token, request.now))
            .filter(|info| info.active && info.granted.client_id == client.client_id);
        let Some(info) = info else {
            return uncached(Reply::json(StatusCode::OK, &json!({ "active": false })));
        };
        let user_id = self.grants.user(&info.granted.username).map(|user| user.user_id).unwrap_or_default();
        let issued = info.issued_at.as_second();
        let mut body = json!({
            "active": true,
            "scope": info.granted.scopes.join(" "),
            "client_id": info.granted.client_id,
            "username": info.granted.username,
            "sub": format!("{}/id/{}/{user_id}", request.origin, self.organization_id),
            "token_type": if info.kind == Token::Access { "access_token" } else { "refresh_token" },
            "iat": issued,
            "nbf": issued,
        });
        if let Some(expires) = info.expires_at {
            body["exp"] = json!(expires.as_second());
        }
        uncached(Reply::json(StatusCode::OK, &body))
    }

    /// `/services/oauth2/userinfo`, and the identity address `/id/{organisation}/{user}`.
    fn identity(&self, request: &Request, place: Option<&str>) -> Reply {
        let refuse = |text: &'static str| Reply::new(StatusCode::FORBIDDEN, "text/html;charset=UTF-8", text);
        let granted = match self.grants.check(&request.headers, request.now) {
            Ok(granted) => granted,
            Err(BearerFault::Missing) => return refuse("Missing_OAuth_Token"),
            Err(_) => return refuse("Bad_OAuth_Token"),
        };
        let Some(user) = self.grants.user(&granted.username) else { return refuse("Bad_Id") };
        let own = format!("{}/{}", self.organization_id, user.user_id);
        if place.is_some_and(|place| place != own) {
            return refuse("Wrong_Org");
        }
        if !["id", "openid", "full"].iter().any(|scope| granted.has(scope)) {
            return refuse("Bad_OAuth_Token");
        }
        let id = format!("{}/id/{own}", request.origin);
        let data = format!("{}/services/data/v{{version}}", request.origin);
        let urls = json!({
            "rest": format!("{data}/"),
            "sobjects": format!("{data}/sobjects/"),
            "search": format!("{data}/search/"),
            "query": format!("{data}/query/"),
            "recent": format!("{data}/recent/"),
            "profile": format!("{}/{}", request.origin, user.user_id),
            "custom_domain": request.origin,
        });
        let body = if place.is_some() {
            json!({
                "id": id,
                "asserted_user": true,
                "user_id": user.user_id,
                "organization_id": self.organization_id,
                "username": user.username,
                "display_name": user.display_name,
                "email": user.email,
                "email_verified": true,
                "active": user.active,
                "user_type": "STANDARD",
                "language": "en_US",
                "locale": "en_US",
                "utcOffset": 0,
                "urls": urls,
                "is_app_installed": true,
            })
        } else {
            json!({
                "sub": id,
                "user_id": user.user_id,
                "organization_id": self.organization_id,
                "preferred_username": user.username,
                "name": user.display_name,
                "email": user.email,
                "email_verified": true,
                "zoneinfo": "GMT",
                "locale": "en_US",
                "language": "en_US",
                "utcOffset": 0,
                "active": user.active,
                "user_type": "STANDARD",
                "urls": urls,
                "is_app_installed": true,
            })
        };
        uncached(Reply::json(StatusCode::OK, &body))
    }
}

/// An error of the token endpoint in Salesforce's words.
#[derive(Debug, Clone, Copy)]
struct TokenError {
    code: &'static str,
    description: &'static str,
}

impl TokenError {
    const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }
}

const INACTIVE: TokenError = TokenError::new("inactive_user", "user is inactive");
const NOT_INSTALLED: TokenError =
    TokenError::new("app_not_found", "External client app is not installed in this org");

fn oauth_error(code: &str, description: &str) -> Reply {
    let body = json!({ "error": code, "error_description": description });
    uncached(Reply::json(StatusCode::BAD_REQUEST, &body))
}

fn uncached(reply: Reply) -> Reply {
    reply.with_header(CACHE_CONTROL, "no-cache, no-store").with_header(PRAGMA, "no-cache")
}

fn is_lasting(scope: &str) -> bool {
    scope == "refresh_token" || scope == "offline_access"
}

fn lasting(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| is_lasting(scope))
}

fn letters(rng: &mut StdRng, count: usize) -> String {
    (0..count).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

fn secret(rng: &mut StdRng) -> String {
    (0..32).map(|_| format!("{:02X}", rng.random::<u8>())).collect()
}

/// Token texts as they look in the wild: a session id begins with its organisation's id.
fn mint(rng: &mut StdRng, token: Token, organization: &str) -> String {
    match token {
        Token::Access => format!("{organization}!AQ{}", letters(rng, 94)),
        Token::Refresh => format!("5Aep861{}", letters(rng, 80)),
        Token::Code => format!("aPrx{}==", letters(rng, 80)),
        Token::Consent => letters(rng, 32),
    }
}
