//! Entra ID from the other side: the authorisation page, the token endpoint, OIDC discovery and keys.
//!
//! A refresh gives a new refresh token and leaves the old one valid; client credentials give none. The port of
//! a `http://localhost` redirect address is not compared. Errors carry AADSTS numbers.

mod authorize;
mod fault;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::CACHE_CONTROL;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use self::fault::Fault;
use super::guid;
use crate::emulator::grants::key::SigningKey;
use crate::emulator::grants::letters::{ALPHANUMERIC, letters};
use crate::emulator::grants::{Client, Granted, Grants, Token, User};
use crate::emulator::service::{Reply, Request, ServiceConfig};
use crate::error::Result;

/// Where the answer of an authorisation may go; any port at `localhost`.
const REDIRECT_URIS: [&str; 3] = [
    "http://localhost/callback",
    "http://localhost",
    "https://login.microsoftonline.com/common/oauth2/nativeclient",
];
/// Access tokens live for about an hour.
const ACCESS_SECONDS: i64 = 3_599;
/// The name of the signing key in `jwks_uri` and in token headers.
const KEY_ID: &str = "recordport-emulator-key";

/// The tenant with its clients and its user.
#[derive(Debug)]
pub(super) struct Entra {
    grants: Grants,
    key: SigningKey,
    key_file: PathBuf,
    tenant: String,
    client_id: String,
    public_client_id: String,
    access_token: String,
    refresh_token: String,
}

/// What a request asks of the tenant.
enum Endpoint {
    Authorize,
    Token,
    DeviceCode,
    Configuration,
    Keys,
    Instance,
}

fn endpoint(path: &str) -> Option<(&str, Endpoint)> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    Some(match segments.as_slice() {
        [tenant, "oauth2", "v2.0", "authorize"] => (*tenant, Endpoint::Authorize),
        [tenant, "oauth2", "v2.0", "token"] => (*tenant, Endpoint::Token),
        [tenant, "oauth2", "v2.0", "devicecode"] => (*tenant, Endpoint::DeviceCode),
        [tenant, "v2.0", ".well-known", "openid-configuration"] => (*tenant, Endpoint::Configuration),
        [tenant, "discovery", "v2.0", "keys"] => (*tenant, Endpoint::Keys),
        ["common", "discovery", "instance"] => ("common", Endpoint::Instance),
        _ => return None,
    })
}

impl Entra {
    /// Registers a confidential and a public client, issues the first tokens and writes the key that signs the
    /// confidential client's assertions.
    ///
    /// # Errors
    /// When the key cannot be made or written.
    pub(super) fn start(config: &ServiceConfig, user_id: &str, user_name: &str) -> Result<Self> {
        let mut rng: StdRng = rand::SeedableRng::seed_from_u64(config.seed ^ 0xE7_74A1D);
        let tenant = random_guid(&mut rng);
        let minted_for = tenant.clone();
        let grants = Grants::new(
            config.seed ^ 0xD17A,
            config.clock.clone(),
            Arc::new(move |rng: &mut StdRng, token| mint(rng, token, &minted_for)),
        )
        // The old refresh token stays valid beside the new one.
        .with_reuse_leeway(SignedDuration::MAX);
        let key = SigningKey::shared()?;
        let key_file = config.dir.join("dynamics-assertion-key.pem");
        key.write(&key_file)?;
        let user = User {
            username: "admin@emulated.onmicrosoft.example".to_owned(),
            user_id: user_id.to_owned(),
            display_name: user_name.to_owned(),
            email: "admin@emulated.onmicrosoft.example".to_owned(),
            password: format!("Demo-{}", letters(&mut rng, ALPHANUMERIC, 14)),
            active: true,
        };
        let mut main = Client::new(random_guid(&mut rng));
        main.name = "recordport".to_owned();
        main.client_secret =
            Some(format!("{}~{}", letters(&mut rng, ALPHANUMERIC, 5), letters(&mut rng, ALPHANUMERIC, 34)));
        main.redirect_uris = REDIRECT_URIS.iter().map(|&uri| uri.to_owned()).collect();
        main.rotation = true;
        main.access_seconds = ACCESS_SECONDS;
        main.public_key = Some(key.public_pem().to_owned());
        main.run_as = Some(user.username.clone());
        let mut public = main.clone();
        public.client_id = random_guid(&mut rng);
        public.name = "recordport (public client)".to_owned();
        public.client_secret = None;
        public.public_key = None;
        let (client_id, public_client_id) = (main.client_id.clone(), public.client_id.clone());
        grants.register(main);
        grants.register(public);
        let username = user.username.clone();
        grants.add_user(user);
        let scopes =
            ["https://emulated.crm.dynamics.com/user_impersonation", "offline_access"].map(str::to_owned);
        let issued = grants.issue(&client_id, &username, scopes.to_vec(), true, config.clock.now());
        grants.seal();
        Ok(Self {
            grants,
            key,
            key_file,
            tenant,
            client_id,
            public_client_id,
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
        })
    }

    pub(super) fn owns(path: &str) -> bool {
        endpoint(path).is_some()
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(super) fn credentials(&self) -> Value {
        let secret = self.grants.client(&self.client_id).and_then(|client| client.client_secret);
        json!({
            "tenant": self.tenant,
            "client_id": self.client_id,
            "client_secret": secret,
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "private_key_file": self.key_file,
            "redirect_uri": REDIRECT_URIS[0],
            "public": { "client_id": self.public_client_id },
        })
    }

    /// Admits a request to the Web API, or gives the refusal to answer with.
    ///
    /// # Errors
    /// The complete 401 answer.
    #[expect(clippy::result_large_err, reason = "the refusal is the answer, moved once")]
    pub(super) fn admit(&self, request: &Request) -> std::result::Result<Granted, Reply> {
        match self.grants.check(&request.headers, request.now) {
            Ok(granted) if granted.scopes.iter().any(|scope| token::is_for_data(scope)) => Ok(granted),
            Ok(_) => Err(super::unauthorized(&request.origin, &self.tenant, "BadAuthTicket")),
            Err(crate::emulator::grants::BearerFault::Expired) => {
                Err(super::unauthorized(&request.origin, &self.tenant, "ExpiredAuthTicket"))
            }
            Err(_) => Err(super::unauthorized(&request.origin, &self.tenant, "BadAuthTicket")),
        }
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn handle(&self, request: &Request) -> Reply {
        let Some((tenant, endpoint)) = endpoint(&request.path) else {
            return Reply::empty(StatusCode::NOT_FOUND);
        };
        if !["common", "organizations", self.tenant.as_str(), "emulated.onmicrosoft.com"].contains(&tenant) {
            let message = format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the \
                 correct cloud."
            );
            return Fault::new("invalid_request", 90_002, message).reply(request.now);
        }
        match (endpoint, &request.method) {
            (Endpoint::Authorize, &Method::GET) => self.ask(request),
            (Endpoint::Authorize, &Method::POST) => self.decide(request),
            (Endpoint::Token, &Method::POST) => self.token(request),
            (Endpoint::Token, _) => {
                Fault::new("invalid_request", 900_561, "The endpoint only accepts POST requests.")
                    .reply(request.now)
            }
            (Endpoint::DeviceCode, _) => {
                let message = "The emulated tenant offers no device codes: use the code flow.";
                Fault::new("invalid_request", 90_023, message).reply(request.now)
            }
            (Endpoint::Configuration, _) => known(&self.configuration(&request.origin, tenant)),
            (Endpoint::Keys, _) => known(&self.keys()),
            (Endpoint::Instance, _) => known(&json!({
                "tenant_discovery_endpoint":
                    format!("{}/common/v2.0/.well-known/openid-configuration", request.origin),
                "api-version": "1.1",
                "metadata": [],
            })),
            (Endpoint::Authorize, _) => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn issuer(&self, origin: &str) -> String {
        format!("{origin}/{}/v2.0", self.tenant)
    }

    fn configuration(&self, origin: &str, tenant: &str) -> Value {
        let base = format!("{origin}/{tenant}");
        json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "response_modes_supported": ["query"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": self.issuer(origin),
            "request_uri_parameter_supported": false,
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"],
            "code_challenge_methods_supported": ["S256"],
            "tenant_region_scope": "NA",
            "cloud_instance_name": "microsoftonline.com",
        })
    }

    fn keys(&self) -> Value {
        let modulus = modulus(self.key.public_pem()).unwrap_or_default();
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": modulus, "e": "AQAB",
        }] })
    }
}

/// The modulus of a 2048-bit key in the form of a JSON Web Key: in its DER form (SubjectPublicKeyInfo) the 256
/// bytes stand behind a head of fixed length, and the exponent is always 65537.
fn modulus(pem: &str) -> Option<String> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(text).ok()?;
    der.get(33..289).map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

fn known(body: &Value) -> Reply {
    Reply::new(StatusCode::OK, "application/json; charset=utf-8", body.to_string())
        .with_header(CACHE_CONTROL, "max-age=86400, private")
}

fn random_guid(rng: &mut StdRng) -> String {
    guid::text(guid::fresh(rng.random(), rng.random()))
}

/// Token texts as they look in the wild: three dotted parts for access tokens, `0.A` or `1.A` before others.
fn mint(rng: &mut StdRng, token: Token, tenant: &str) -> String {
    match token {
        Token::Access => {
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let head = part(json!({ "typ": "JWT", "alg": "RS256", "kid": KEY_ID }));
            let claims = part(json!({ "tid": tenant, "ver": "1.0", "uti": letters(rng, ALPHANUMERIC, 22) }));
            format!("{head}.{claims}.{}", letters(rng, ALPHANUMERIC, 342))
        }
        Token::Refresh => format!("1.A{}", letters(rng, ALPHANUMERIC, 180)),
        Token::Code => format!("0.A{}", letters(rng, ALPHANUMERIC, 120)),
        Token::Consent => letters(rng, ALPHANUMERIC, 32),
    }
}
