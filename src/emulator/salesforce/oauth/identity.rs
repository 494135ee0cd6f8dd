//! What is told about tokens and their users: revocation, introspection, userinfo and the identity address.

use http::StatusCode;
use serde_json::json;

use super::{OAuth, oauth_error, uncached};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{BearerFault, Token};
use crate::emulator::service::{Reply, Request};

impl OAuth {
    pub(super) fn revoke(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        match parameters.get("token") {
            Some(token) if self.grants.revoke(token) => Reply::empty(StatusCode::OK),
            Some(_) => oauth_error("invalid_token", "the token is invalid or already revoked"),
            None => oauth_error("unsupported_token_type", "this token type is not supported"),
        }
    }

    /// RFC 7662; the client must prove itself.
    pub(super) fn introspect(&self, request: &Request) -> Reply {
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
    pub(super) fn identity(&self, request: &Request, place: Option<&str>) -> Reply {
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
