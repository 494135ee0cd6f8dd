//! The token endpoint: JSON or form, a secret in any case.

use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::json;

use super::{Atlassian, SITE};
use crate::emulator::grants::Issued;
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::service::{Reply, Request};

const UNKNOWN_REFRESH_TOKEN: &str = "Unknown or invalid refresh token.";

/// Status, error and description.
struct Fault(StatusCode, &'static str, String);

impl Fault {
    fn denied() -> Self {
        Self(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized".to_owned())
    }

    fn missing(name: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, "invalid_request", format!("{name} is missing"))
    }
}

impl Atlassian {
    pub(super) fn token(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        match self.exchange(&parameters, request) {
            Ok(issued) => answer(&issued),
            Err(Fault(status, error, description)) => {
                Reply::json(status, &json!({ "error": error, "error_description": description }))
                    .with_header(CACHE_CONTROL, "no-store")
            }
        }
    }

    fn exchange(&self, parameters: &Parameters, request: &Request) -> Result<Issued, Fault> {
        let grant = parameters.get("grant_type").ok_or_else(|| Fault::missing("grant_type"))?;
        let id = parameters.client_id().ok_or_else(|| Fault::missing("client_id"))?;
        let client = self.grants.client(id).ok_or_else(Fault::denied)?;
        if client.client_secret.as_deref() != parameters.client_secret() {
            return Err(Fault::denied());
        }
        match grant {
            "authorization_code" => {
                let code = parameters.get("code").ok_or_else(|| Fault::missing("code"))?;
                let offline = |scopes: &[String]| scopes.iter().any(|scope| scope == "offline_access");
                let redirect = parameters.get("redirect_uri");
                self.grants.redeem(code, id, redirect, None, offline, request.now).map_err(|_| {
                    let words = "Invalid authorization code".to_owned();
                    Fault(StatusCode::FORBIDDEN, "invalid_grant", words)
                })
            }
            "refresh_token" => {
                let token = parameters.get("refresh_token").ok_or_else(|| Fault::missing("refresh_token"))?;
                self.grants.refresh(token, id, request.now).map_err(|_| {
                    Fault(StatusCode::FORBIDDEN, "invalid_grant", UNKNOWN_REFRESH_TOKEN.to_owned())
                })
            }
            other => Err(Fault(
                StatusCode::FORBIDDEN,
                "unsupported_grant_type",
                format!("Unsupported grant type: {other}"),
            )),
        }
    }
}

fn answer(issued: &Issued) -> Reply {
    let scopes: Vec<&str> =
        issued.granted.scopes.iter().map(String::as_str).filter(|scope| !scope.starts_with(SITE)).collect();
    let mut body = json!({
        "access_token": issued.access_token,
        "expires_in": issued.expires_in.as_secs(),
        "token_type": "Bearer",
        "scope": scopes.join(" "),
    });
    if let Some(token) = &issued.refresh_token {
        body["refresh_token"] = json!(token);
    }
    Reply::json(StatusCode::OK, &body).with_header(CACHE_CONTROL, "no-store")
}
