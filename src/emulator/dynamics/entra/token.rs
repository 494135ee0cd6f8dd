//! The token endpoint.

use http::StatusCode;
use http::header::{CACHE_CONTROL, PRAGMA};
use serde_json::{Value, json};
use url::Url;

use super::{Entra, Fault, KEY_ID};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{Client, GrantFault, Issued};
use crate::emulator::service::{Reply, Request};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Marks, among the scopes of an authorisation, the nonce that its id token must repeat.
pub(super) const NONCE: &str = "\u{1}nonce=";
/// Scopes of OpenID Connect, which belong to no resource.
const OIDC: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Whether a scope opens the Web API.
pub(super) fn is_for_data(scope: &str) -> bool {
    scope.ends_with("/user_impersonation") || scope.ends_with("/.default")
}

/// Scopes must be those of OpenID Connect or name one resource that exists.
pub(super) fn check_scopes(scopes: &[String]) -> Result<(), Fault> {
    for scope in scopes.iter().filter(|scope| !OIDC.contains(&scope.as_str()) && !scope.starts_with(NONCE)) {
        if !is_for_data(scope) {
            return Err(Fault::new(
                "invalid_scope",
                70_011,
                format!(
                    "The provided request must include a 'scope' input parameter. The provided value for the input \
                         parameter 'scope' is not valid. The scope {scope} is not valid."
                ),
            ));
        }
        let known = Url::parse(scope).ok().and_then(|url| {
            let host = url.host_str()?;
            let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
            Some(local || host.ends_with(".dynamics.com") || host.ends_with(".dynamics.example"))
        });
        if known != Some(true) {
            let resource = scope.rsplit_once('/').map_or(scope.as_str(), |(resource, _)| resource);
            return Err(Fault::new(
                "invalid_resource",
                500_011,
                format!(
                    "The resource principal named {resource} was not found in the tenant. This can happen if the \
                         application has not been installed by the administrator of the tenant."
                ),
            ));
        }
    }
    Ok(())
}

impl Entra {
    pub(super) fn token(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let issued = match parameters.get("grant_type") {
            Some("authorization_code") => self.by_code(&parameters, request),
            Some("refresh_token") => self.by_refresh_token(&parameters, request),
            Some("client_credentials") => self.by_client_credentials(&parameters, request),
            Some(other) => Err(Fault::new(
                "unsupported_grant_type",
                70_003,
                format!("The app requested an unsupported grant type '{other}'."),
            )),
            None => Err(Fault::missing("grant_type")),
        };
        match issued {
            Ok(issued) => self.answer(&issued, request),
            Err(fault) => fault.reply(request.now),
        }
    }

    /// The client that a token request names, proven by its secret or an assertion.
    fn client(&self, parameters: &Parameters, request: &Request) -> Result<Client, Fault> {
        let assertion = parameters.get("client_assertion");
        let named_in_assertion = assertion
            .and_then(claims)
            .and_then(|claims| claims.get("sub").and_then(Value::as_str).map(str::to_owned));
        let id = parameters
            .client_id()
            .map(str::to_owned)
            .or(named_in_assertion)
            .ok_or_else(|| Fault::missing("client_id"))?;
        let client = self.grants.client(&id).ok_or_else(|| {
            Fault::new(
                "unauthorized_client",
                700_016,
                format!(
                    "Application with identifier '{id}' was not found in the directory '{}'.",
                    self.tenant
                ),
            )
        })?;
        if let Some(assertion) = assertion {
            if parameters.get("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(Fault::new("invalid_request", 50_027, "client_assertion_type is not valid."));
            }
            self.check_assertion(&client, assertion, request)?;
        } else {
            match (parameters.client_secret(), &client.client_secret) {
                (Some(given), Some(own)) if given == own => {}
                (Some(_), Some(_)) => {
                    return Err(Fault::new(
                        "invalid_client",
                        7_000_215,
                        format!(
                            "Invalid client secret provided. Ensure the secret being sent in the request is the client \
                                 secret value, not the client secret ID, for a secret added to app '{id}'."
                        ),
                    ));
                }
                (Some(_), None) => {
                    return Err(Fault::new(
                        "invalid_client",
                        700_025,
                        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
                    ));
                }
                (None, Some(_)) if client.secret_required => {
                    return Err(Fault::new(
                        "invalid_client",
                        7_000_218,
                        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                    ));
                }
                (None, _) => {}
            }
        }
        if !client.installed {
            return Err(Fault::new(
                "invalid_grant",
                65_001,
                format!("The user or administrator has not consented to use the application with ID '{id}'."),
            ));
        }
        Ok(client)
    }

    fn check_assertion(&self, client: &Client, assertion: &str, request: &Request) -> Result<(), Fault> {
        let refuse = |number: u32, message: &str| Fault::new("invalid_client", number, message);
        let unsigned = || refuse(700_027, "Client assertion failed signature validation.");
        let key = client.public_key.as_deref().ok_or_else(unsigned)?;
        let key = jsonwebtoken::DecodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| unsigned())?;
        let head = jsonwebtoken::decode_header(assertion).map_err(|_| unsigned())?;
        let mut signature_only = jsonwebtoken::Validation::new(head.alg);
        // Times are judged by the emulated clock below, the audience by where this server stands.
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        let claims =
            jsonwebtoken::decode::<Value>(assertion, &key, &signature_only).map_err(|_| unsigned())?.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("iss") != client.client_id || text("sub") != client.client_id {
            return Err(refuse(
                700_021,
                "Client assertion application identifier doesn't match 'client_id' parameter.",
            ));
        }
        let here = [
            format!("{}{}", request.origin, request.path),
            self.issuer(&request.origin),
            format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", self.tenant),
            format!("https://login.microsoftonline.com/{}/v2.0", self.tenant),
        ];
        if !here.iter().any(|known| known == text("aud")) {
            return Err(refuse(700_023, "Client assertion audience claim does not match Realm issuer."));
        }
        let expiry = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
        if expiry <= request.now.as_second() {
            return Err(refuse(700_024, "Client assertion is not within its valid time range."));
        }
        Ok(())
    }

    fn by_code(&self, parameters: &Parameters, request: &Request) -> Result<Issued, Fault> {
        let client = self.client(parameters, request)?;
        let code = parameters.get("code").ok_or_else(|| Fault::missing("code"))?;
        let refuse = |number: u32, message: &str| Fault::new("invalid_grant", number, message);
        self.grants
            .redeem(
                code,
                &client.client_id,
                parameters.get("redirect_uri"),
                parameters.get("code_verifier"),
                |scopes| scopes.iter().any(|scope| scope == "offline_access"),
                request.now,
            )
            .map_err(|fault| match fault {
                GrantFault::Expired => {
                    refuse(70_008, "The provided authorization code or refresh token has expired.")
                }
                GrantFault::Reused => {
                    refuse(54_005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code.")
                }
                GrantFault::RedirectMismatch => refuse(
                    50_011,
                    "The reply address specified in the request does not match the one of the authorization request.",
                ),
                GrantFault::VerifierMissing => refuse(501_481, "The Code_Verifier is missing."),
                GrantFault::VerifierWrong => refuse(
                    501_481,
                    "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
                ),
                GrantFault::Inactive => refuse(50_057, "The user account is disabled."),
                GrantFault::Unknown | GrantFault::WrongClient | GrantFault::Revoked => {
                    refuse(9_002_313, "Invalid request. Request is malformed or invalid.")
                }
            })
    }

    fn by_refresh_token(&self, parameters: &Parameters, request: &Request) -> Result<Issued, Fault> {
        let client = self.client(parameters, request)?;
        let token = parameters.get("refresh_token").ok_or_else(|| Fault::missing("refresh_token"))?;
        check_scopes(&parameters.scopes().unwrap_or_default())?;
        let refuse = |number: u32, message: &str| Fault::new("invalid_grant", number, message);
        self.grants.refresh(token, &client.client_id, request.now).map_err(|fault| match fault {
            GrantFault::Inactive => refuse(50_057, "The user account is disabled."),
            GrantFault::Expired => refuse(700_082, "The refresh token has expired due to inactivity."),
            GrantFault::Revoked | GrantFault::Reused => refuse(
                50_173,
                "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
            ),
            _ => refuse(9_002_313, "Invalid request. Request is malformed or invalid."),
        })
    }

    fn by_client_credentials(&self, parameters: &Parameters, request: &Request) -> Result<Issued, Fault> {
        let client = self.client(parameters, request)?;
        if client.client_secret.is_none() {
            return Err(Fault::new(
                "invalid_client",
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            ));
        }
        let scopes = parameters.scopes().ok_or_else(|| Fault::missing("scope"))?;
        if scopes.len() != 1 || !scopes.iter().all(|scope| scope.ends_with("/.default")) {
            return Err(Fault::new(
                "invalid_scope",
                1_002_012,
                format!(
                    "The provided value for scope {} is not valid. Client credential flows must have a scope value with \
                         /.default suffixed to the resource identifier (application ID URI).",
                    scopes.join(" ")
                ),
            ));
        }
        check_scopes(&scopes)?;
        let user = client.run_as.as_deref().and_then(|name| self.grants.user(name));
        let user = user.filter(|user| user.active).ok_or_else(|| {
            Fault::new(
                "unauthorized_client",
                500_014,
                "The service principal for the application is disabled.",
            )
        })?;
        Ok(self.grants.issue(&client.client_id, &user.username, scopes, false, request.now))
    }

    fn answer(&self, issued: &Issued, request: &Request) -> Reply {
        let scopes = &issued.granted.scopes;
        let shown: Vec<&str> =
            scopes.iter().map(String::as_str).filter(|scope| !scope.starts_with(NONCE)).collect();
        let mut body = json!({
            "token_type": "Bearer",
            "expires_in": issued.expires_in.as_secs(),
            "ext_expires_in": issued.expires_in.as_secs(),
            "access_token": issued.access_token,
        });
        if issued.refresh_token.is_some() || !shown.iter().all(|scope| scope.ends_with("/.default")) {
            body["scope"] = json!(shown.join(" "));
        }
        if let Some(token) = &issued.refresh_token {
            body["refresh_token"] = json!(token);
        }
        if shown.contains(&"openid")
            && let Some(token) = self.id_token(issued, request, scopes)
        {
            body["id_token"] = json!(token);
        }
        Reply::new(StatusCode::OK, "application/json; charset=utf-8", body.to_string())
            .with_header(CACHE_CONTROL, "no-store, no-cache")
            .with_header(PRAGMA, "no-cache")
    }

    fn id_token(&self, issued: &Issued, request: &Request, scopes: &[String]) -> Option<String> {
        let user = self.grants.user(&issued.granted.username)?;
        let now = issued.issued_at.as_second();
        let mut claims = json!({
            "aud": issued.granted.client_id,
            "iss": self.issuer(&request.origin),
            "iat": now,
            "nbf": now,
            "exp": now + issued.expires_in.as_secs(),
            "name": user.display_name,
            "oid": user.user_id,
            "preferred_username": user.username,
            "sub": user.user_id,
            "tid": self.tenant,
            "ver": "2.0",
        });
        if let Some(nonce) = scopes.iter().find_map(|scope| scope.strip_prefix(NONCE)) {
            claims["nonce"] = json!(nonce);
        }
        let mut head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        head.kid = Some(KEY_ID.to_owned());
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(self.key.private_pem().as_bytes()).ok()?;
        jsonwebtoken::encode(&head, &claims, &key).ok()
    }
}

/// The claims of a token, unproven.
fn claims(token: &str) -> Option<Value> {
    jsonwebtoken::dangerous::insecure_decode::<Value>(token).ok().map(|data| data.claims)
}
