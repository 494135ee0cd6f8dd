//! The token endpoint: each grant, and the answer to it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{OAuth, is_lasting, lasting, oauth_error, uncached};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{Client, GrantFault, Issued, User};
use crate::emulator::service::{Reply, Request};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// A JWT assertion may not live longer than three minutes; two more are allowed for clocks that differ.
const ASSERTION_SECONDS: i64 = 300;

/// An error of the token endpoint in Salesforce's words.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenError {
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

impl OAuth {
    pub(super) fn token(&self, request: &Request) -> Reply {
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
    pub(super) fn client(&self, parameters: &Parameters) -> Result<Client, TokenError> {
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
}
