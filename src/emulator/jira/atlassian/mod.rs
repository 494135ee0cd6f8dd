//! Atlassian's side of signing in: OAuth 2.0 (3LO) with its sites, and e-mail with an API token.
//!
//! Access tokens work only at `/ex/jira/{cloudId}`, plain API tokens at both addresses, scoped ones only there.
//! Each refresh gives a new refresh token; the old one is honoured for ten minutes, after that it ends everything.

mod authorize;
mod token;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use jiff::SignedDuration;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::errors::Refusal;
use crate::emulator::grants::letters::{ALPHANUMERIC, letters};
use crate::emulator::grants::{BearerFault, Client, Grants, Token, User};
use crate::emulator::service::{Reply, Request, ServiceConfig};

const REDIRECT_URIS: [&str; 3] =
    ["http://127.0.0.1:7281/callback", "http://localhost:7281/callback", "http://localhost:3000/callback"];
const SCOPES: [&str; 7] = [
    "read:jira-work",
    "write:jira-work",
    "read:jira-user",
    "manage:jira-project",
    "manage:jira-configuration",
    "manage:jira-webhook",
    "offline_access",
];
/// Where everybody may ask a site for its cloud id.
const TENANT: &str = "/_edge/tenant_info";
/// Marks, among the scopes of an authorisation, the site that the user chose.
const SITE: &str = "\u{1}site=";
/// Chooses every site.
const ALL: &str = "all";
const DAY: i64 = 86_400;
const UNAUTHENTICATED: &str = "Client must be authenticated to access this resource.";

/// A site of the account: id and name.
#[derive(Debug, Clone)]
struct CloudSite {
    id: String,
    name: &'static str,
}

/// The account with its sites, clients and tokens.
#[derive(Debug)]
pub(super) struct Atlassian {
    grants: Grants,
    /// The first has the data, the second begins empty.
    sites: [CloudSite; 2],
    client_id: String,
    account: String,
    email: String,
    api_token: String,
    scoped_api_token: String,
    access_token: String,
    refresh_token: String,
}

/// What stands before `/rest/api`: whose address a request uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    /// The site's own address.
    Site,
    /// `/ex/jira/{cloudId}`.
    Gateway(String),
}

impl Atlassian {
    pub(super) fn start(config: &ServiceConfig, account: &str, name: &str, email: &str) -> Self {
        let mut rng: StdRng = rand::SeedableRng::seed_from_u64(config.seed ^ 0xA71A_5514);
        let grants = Grants::new(config.seed ^ 0x0317, config.clock.clone(), Arc::new(mint))
            .with_reuse_leeway(SignedDuration::from_mins(10));
        let user = User {
            username: email.to_owned(),
            user_id: account.to_owned(),
            display_name: name.to_owned(),
            email: email.to_owned(),
            password: letters(&mut rng, ALPHANUMERIC, 16),
            active: true,
        };
        let mut client = Client::new(letters(&mut rng, ALPHANUMERIC, 32));
        client.name = "recordport".to_owned();
        client.client_secret = Some(format!("ATOA{}", letters(&mut rng, ALPHANUMERIC, 60)));
        client.redirect_uris = REDIRECT_URIS.iter().map(|&uri| uri.to_owned()).collect();
        client.scopes = SCOPES.iter().map(|&scope| scope.to_owned()).collect();
        client.rotation = true;
        client.access_seconds = 3_600;
        client.refresh_seconds = Some(90 * DAY);
        let client_id = client.client_id.clone();
        grants.register(client);
        grants.add_user(user);
        let sites = ["emulated", "emulated-sandbox"]
            .map(|name| CloudSite { id: uuid::Uuid::from_u128(rng.random()).to_string(), name });
        let mut scopes: Vec<String> = SCOPES.iter().map(|&scope| scope.to_owned()).collect();
        scopes.push(format!("{SITE}{}", sites[0].id));
        let issued = grants.issue(&client_id, email, scopes, true, config.clock.now());
        grants.seal();
        Self {
            grants,
            sites,
            client_id,
            account: account.to_owned(),
            email: email.to_owned(),
            api_token: format!("ATATT3xFfGF0{}", letters(&mut rng, ALPHANUMERIC, 168)),
            scoped_api_token: format!("ATATT3xFfGF0{}", letters(&mut rng, ALPHANUMERIC, 168)),
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
        }
    }

    pub(super) fn owns(path: &str) -> bool {
        matches!(path, "/authorize" | "/oauth/token" | "/oauth/token/accessible-resources" | TENANT)
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(super) fn credentials(&self) -> Value {
        let secret = self.grants.client(&self.client_id).and_then(|client| client.client_secret);
        json!({
            "cloud_id": self.sites[0].id,
            "email": self.email,
            "api_token": self.api_token,
            "scoped_api_token": self.scoped_api_token,
            "client_id": self.client_id,
            "client_secret": secret,
            "refresh_token": self.refresh_token,
            "access_token": self.access_token,
            "redirect_uri": REDIRECT_URIS[0],
        })
    }

    pub(super) fn handle(&self, request: &Request) -> Reply {
        match (request.path.as_str(), &request.method) {
            ("/authorize", &Method::GET) => self.ask(request),
            ("/authorize", &Method::POST) => self.decide(request),
            ("/oauth/token", &Method::POST) => self.token(request),
            ("/oauth/token/accessible-resources", &Method::GET) => self.resources(request),
            (TENANT, &Method::GET) => Reply::json(StatusCode::OK, &json!({ "cloudId": self.sites[0].id })),
            _ => Refusal::method(&request.method, "GET, POST").reply(&request.path),
        }
    }

    fn resources(&self, request: &Request) -> Reply {
        let Ok(granted) = self.grants.check(&request.headers, request.now) else {
            return gateway_refusal("Unauthorized").reply(&request.path);
        };
        let scopes: Vec<&String> = granted.scopes.iter().filter(|scope| scope.contains(":jira-")).collect();
        let chosen = |site: &&CloudSite| granted.has(&format!("{SITE}{}", site.id));
        let sites: Vec<Value> = self
            .sites
            .iter()
            .filter(chosen)
            .map(|site| {
                json!({
                    "id": site.id,
                    "url": format!("https://{}.atlassian.net", site.name),
                    "name": site.name,
                    "scopes": scopes,
                    "avatarUrl": "https://site-admin-avatar-cdn.prod.public.atl-paas.net/avatars/240/koala.png",
                })
            })
            .collect();
        Reply::json(StatusCode::OK, &Value::Array(sites))
    }

    /// Who asks: an account, or nobody. `scope` is what a token needs for the request.
    ///
    /// # Errors
    /// What the service answers to credentials that it cannot read or that do not suffice.
    pub(super) fn admit(
        &self,
        request: &Request,
        door: &Door,
        scope: &str,
    ) -> Result<Option<String>, Refusal> {
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match door {
            Door::Site => self.at_site(&request.headers, header),
            Door::Gateway(cloud) => self.at_gateway(request, header, cloud, scope).map(Some),
        }
    }

    fn at_site(&self, headers: &HeaderMap, header: Option<&str>) -> Result<Option<String>, Refusal> {
        if let Some(token) = header.and_then(|text| text.strip_prefix("Bearer ")) {
            return Err(if token.split('.').count() == 3 {
                Refusal::text(StatusCode::UNAUTHORIZED, "text/html;charset=UTF-8", UNAUTHENTICATED)
            } else {
                let body = json!({ "error": "Failed to parse Connect Session Auth Token" });
                Refusal::other(StatusCode::FORBIDDEN, body)
            });
        }
        match basic(headers) {
            Some((email, token)) if email.eq_ignore_ascii_case(&self.email) => {
                if token == self.scoped_api_token {
                    let kind = "text/html;charset=UTF-8";
                    return Err(Refusal::text(StatusCode::UNAUTHORIZED, kind, UNAUTHENTICATED));
                }
                Ok((token == self.api_token && self.active()).then(|| self.account.clone()))
            }
            _ => Ok(None),
        }
    }

    fn at_gateway(
        &self,
        request: &Request,
        header: Option<&str>,
        cloud: &str,
        scope: &str,
    ) -> Result<String, Refusal> {
        if !self.sites.iter().any(|site| site.id == cloud) {
            let body = json!({ "code": 404, "message": "No message available" });
            return Err(Refusal::other(StatusCode::NOT_FOUND, body));
        }
        if header.is_some_and(|text| text.starts_with("Basic ")) {
            let known = basic(&request.headers).is_some_and(|(email, token)| {
                email.eq_ignore_ascii_case(&self.email)
                    && (token == self.api_token || token == self.scoped_api_token)
            });
            return if known && self.active() {
                Ok(self.account.clone())
            } else {
                Err(gateway_refusal("Unauthorized"))
            };
        }
        match self.grants.check(&request.headers, request.now) {
            Ok(granted) if !granted.has(&format!("{SITE}{cloud}")) => Err(gateway_refusal("Unauthorized")),
            Ok(granted) if granted.has(scope) => Ok(self.account.clone()),
            Ok(_) => Err(gateway_refusal("Unauthorized; scope does not match")),
            Err(BearerFault::Inactive) => {
                let body = json!({ "code": 403, "message": "Forbidden" });
                Err(Refusal::other(StatusCode::FORBIDDEN, body))
            }
            Err(_) => Err(gateway_refusal("Unauthorized")),
        }
    }

    fn active(&self) -> bool {
        self.grants.user(&self.email).is_some_and(|user| user.active)
    }

    /// Whether a request is for the site that has no rows at the start.
    pub(super) fn is_sandbox(&self, door: &Door) -> bool {
        *door == Door::Gateway(self.sites[1].id.clone())
    }

    /// The sites that the user chose by name or id, or `all`; the first unless asked otherwise.
    fn chosen(&self, wanted: Option<&str>) -> Vec<&CloudSite> {
        match wanted {
            None => self.sites.iter().take(1).collect(),
            Some(ALL) => self.sites.iter().collect(),
            Some(one) => self.sites.iter().filter(|site| site.name == one || site.id == one).collect(),
        }
    }
}

fn gateway_refusal(message: &str) -> Refusal {
    Refusal::other(StatusCode::UNAUTHORIZED, json!({ "code": 401, "message": message }))
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(text.strip_prefix("Basic ")?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (email, token) = text.split_once(':')?;
    Some((email.to_owned(), token.to_owned()))
}

/// Token texts as they look in the wild: three dotted parts for access and refresh tokens.
fn mint(rng: &mut StdRng, token: Token) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    match token {
        Token::Access | Token::Refresh => {
            let head = part(json!({ "kid": "auth.atlassian.com-ACCESS", "alg": "RS256" }));
            let claims =
                part(json!({ "jti": letters(rng, ALPHANUMERIC, 22), "aud": letters(rng, ALPHANUMERIC, 16) }));
            format!("{head}.{claims}.{}", letters(rng, ALPHANUMERIC, 342))
        }
        Token::Code => format!("eyJraWQ{}", letters(rng, ALPHANUMERIC, 120)),
        Token::Consent => letters(rng, ALPHANUMERIC, 32),
    }
}
