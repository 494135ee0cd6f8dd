//! Salesforce's OAuth endpoints: authorize, token, revoke, introspect, userinfo and the identity address.
//!
//! Wording follows Salesforce: errors are `{"error","error_description"}` with status 400, lifetimes are not
//! told (`expires_in` is absent), `issued_at` is a text of milliseconds, redirect addresses are compared as
//! whole texts, and with rotation on a replaced refresh token that comes back revokes everything that came
//! from its authorisation.

mod authorize;
mod identity;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{Method, StatusCode};
use jiff::Timestamp;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::soap_login;
use crate::emulator::grants::key::SigningKey;
use crate::emulator::grants::letters::{ALPHANUMERIC, letters};
use crate::emulator::grants::{BearerFault, Client, Granted, Grants, Issued, Token, User};
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
            password: format!("Demo-{}", letters(&mut rng, ALPHANUMERIC, 14)),
            active: true,
        };
        let mut main = Client::new(format!("3MVG9{}", letters(&mut rng, ALPHANUMERIC, 80)));
        main.name = "recordport".to_owned();
        main.client_secret = Some(secret(&mut rng));
        main.redirect_uris = REDIRECT_URIS.iter().map(|&uri| uri.to_owned()).collect();
        main.scopes = SCOPES.iter().map(|&(scope, _)| scope.to_owned()).collect();
        main.rotation = true;
        main.public_key = Some(key.public_pem().to_owned());
        main.run_as = Some(user.username.clone());
        let mut limited = main.clone();
        limited.client_id = format!("3MVG9{}", letters(&mut rng, ALPHANUMERIC, 80));
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
}

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

fn secret(rng: &mut StdRng) -> String {
    (0..32).map(|_| format!("{:02X}", rng.random::<u8>())).collect()
}

/// Token texts as they look in the wild: a session id begins with its organisation's id.
fn mint(rng: &mut StdRng, token: Token, organization: &str) -> String {
    match token {
        Token::Access => format!("{organization}!AQ{}", letters(rng, ALPHANUMERIC, 94)),
        Token::Refresh => format!("5Aep861{}", letters(rng, ALPHANUMERIC, 80)),
        Token::Code => format!("aPrx{}==", letters(rng, ALPHANUMERIC, 80)),
        Token::Consent => letters(rng, ALPHANUMERIC, 32),
    }
}
