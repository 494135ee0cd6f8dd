//! The account: who it is, its apps and tokens, the pages on which it consents, and the token endpoint.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderValue, Method, StatusCode};
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::call::parameter;
use super::errors::Refusal;
use super::places::{HOME_SPACE, ROOT_SPACE};
use crate::emulator::grants::consent::{self, ConsentPage};
use crate::emulator::grants::letters::{LOWER, URL_SAFE, letters};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{
    Authorization, BearerFault, Client, GrantFault, Grants, Issued, Token, User, s256,
};
use crate::emulator::service::{Reply, Request, ServiceConfig};

const SERVICE: &str = "Dropbox";
const REDIRECT_URIS: [&str; 3] =
    ["http://localhost:7281/callback", "http://127.0.0.1:7281/callback", "http://localhost:3000/callback"];
const SCOPES: [(&str, &str); 9] = [
    ("account_info.read", "See who you are"),
    ("files.metadata.read", "See names, sizes and dates of your files and folders"),
    ("files.metadata.write", "Change properties and tags of your files and folders"),
    ("files.content.read", "Read what is in your files"),
    ("files.content.write", "Create, change and delete your files and folders"),
    ("sharing.read", "See what you share and with whom"),
    ("sharing.write", "Share files and folders, and stop it"),
    ("file_requests.read", "See your file requests"),
    ("team_data.member", "Act for the members of your team"),
];
/// Marks, among the scopes of an authorisation, that a refresh token was asked for.
const OFFLINE: &str = "\u{1}offline";
/// Marks a token that is the team's own.
const TEAM: &str = "\u{1}team";

/// The account with its app and tokens.
#[derive(Debug)]
pub(super) struct Account {
    grants: Grants,
    client_id: String,
    id: String,
    member: String,
    name: (String, String),
    email: String,
    access_token: String,
    refresh_token: String,
    team_access_token: String,
}

/// Where the roots of paths are.
pub(super) fn root_info() -> Value {
    json!({
        ".tag": "team",
        "root_namespace_id": ROOT_SPACE,
        "home_namespace_id": HOME_SPACE,
        "home_path": "",
    })
}

impl Account {
    pub(super) fn start(config: &ServiceConfig, given: &str, family: &str) -> Self {
        let mut rng: StdRng = rand::SeedableRng::seed_from_u64(config.seed ^ 0xD409_B0C5);
        let grants = Grants::new(config.seed ^ 0xD0B0, config.clock.clone(), Arc::new(mint));
        let email = "ada@emulated.example".to_owned();
        let id = format!("dbid:{}", letters(&mut rng, URL_SAFE, 35));
        let member = format!("dbmid:{}", letters(&mut rng, URL_SAFE, 35));
        let mut client = Client::new(letters(&mut rng, LOWER, 15));
        client.name = "recordport".to_owned();
        client.client_secret = Some(letters(&mut rng, LOWER, 15));
        client.redirect_uris = REDIRECT_URIS.iter().map(|&uri| uri.to_owned()).collect();
        client.scopes = SCOPES.iter().map(|(scope, _)| (*scope).to_owned()).collect();
        client.secret_required = false;
        client.access_seconds = 14_400;
        let client_id = client.client_id.clone();
        let scopes = client.scopes.clone();
        grants.register(client);
        grants.add_user(User {
            username: email.clone(),
            user_id: id.clone(),
            display_name: format!("{given} {family}"),
            email: email.clone(),
            password: letters(&mut rng, URL_SAFE, 16),
            active: true,
        });
        let issued = grants.issue(&client_id, &email, scopes.clone(), true, config.clock.now());
        let mut of_team = scopes;
        of_team.push(TEAM.to_owned());
        let team = grants.issue(&client_id, &email, of_team, false, config.clock.now());
        grants.seal();
        Self {
            grants,
            client_id,
            id,
            member,
            name: (given.to_owned(), family.to_owned()),
            email,
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
            team_access_token: team.access_token,
        }
    }

    pub(super) fn owns(path: &str) -> bool {
        matches!(path, "/oauth2/authorize" | "/oauth2/token")
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Ends everything that came with the token of a request.
    pub(super) fn revoke(&self, request: &Request) {
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some((_, token)) = header.and_then(|text| text.split_once(' ')) {
            self.grants.revoke(token.trim());
        }
    }

    pub(super) fn credentials(&self) -> Value {
        let secret = self.grants.client(&self.client_id).and_then(|client| client.client_secret);
        json!({
            "client_id": self.client_id,
            "client_secret": secret,
            "refresh_token": self.refresh_token,
            "access_token": self.access_token,
            "account_id": self.id,
            "team_access_token": self.team_access_token,
            "team_member_id": self.member,
            "redirect_uri": REDIRECT_URIS[0],
        })
    }

    /// The account as `users/get_current_account` shows it.
    pub(super) fn shown(&self) -> Value {
        let (given, family) = &self.name;
        let initials: String = [given, family].iter().filter_map(|name| name.chars().next()).collect();
        json!({
            "account_id": self.id,
            "name": {
                "given_name": given,
                "surname": family,
                "familiar_name": given,
                "display_name": format!("{given} {family}"),
                "abbreviated_name": initials,
            },
            "email": self.email,
            "email_verified": true,
            "disabled": false,
            "locale": "en",
            "referral_link": "https://www.dropbox.com/referrals/AAAA?src=app9",
            "is_paired": false,
            "account_type": { ".tag": "business" },
            "root_info": root_info(),
            "country": "DE",
            "team": {
                "id": "dbtid:AAFdgehTzw7WlXhZJsbGCLePe8RvQGYDr-I",
                "name": "Emulated",
                "sharing_policies": {
                    "shared_folder_member_policy": { ".tag": "anyone" },
                    "shared_folder_join_policy": { ".tag": "from_anyone" },
                    "shared_link_create_policy": { ".tag": "default_public" },
                },
                "office_addin_policy": { ".tag": "disabled" },
            },
            "team_member_id": self.member,
        })
    }

    pub(super) fn handle(&self, request: &Request) -> Reply {
        match (request.path.as_str(), &request.method) {
            ("/oauth2/authorize", &Method::GET) => self.ask(request),
            ("/oauth2/authorize", &Method::POST) => self.decide(request),
            ("/oauth2/token", &Method::POST) => self.token(request),
            _ => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    /// Lets a call in that shows a token with the scope, for one member of the team.
    ///
    /// # Errors
    /// What the service answers to tokens that it cannot read, no longer takes, or that do not suffice.
    pub(super) fn admit(&self, request: &Request, route: &str, scope: &str) -> Result<(), Refusal> {
        let mut headers = request.headers.clone();
        if !headers.contains_key(AUTHORIZATION)
            && let Some(text) = parameter(request, "authorization")
            && let Ok(value) = HeaderValue::from_str(&text)
        {
            headers.insert(AUTHORIZATION, value);
        }
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let granted = self.grants.check(&headers, request.now).map_err(|fault| match fault {
            BearerFault::Missing => Refusal::input(
                route,
                "Must provide HTTP header \"Authorization\" or URL parameter \"authorization\".",
            ),
            BearerFault::Malformed => Refusal::input(
                route,
                format!(
                    "Invalid authorization value in HTTP header \"Authorization\": \"{}\".  Expecting \
                     \"Bearer <oauth2-access-token>\".",
                    shown.split(' ').next().unwrap_or_default()
                ),
            ),
            BearerFault::Unknown if !shown.contains(" sl.") => {
                Refusal::input(route, "The given OAuth 2 access token is malformed.")
            }
            BearerFault::Expired => Refusal::unauthorized(json!({ ".tag": "expired_access_token" })),
            BearerFault::Inactive => Refusal::unauthorized(json!({ ".tag": "user_suspended" })),
            BearerFault::Unknown | BearerFault::Revoked => {
                Refusal::unauthorized(json!({ ".tag": "invalid_access_token" }))
            }
        })?;
        if !scope.is_empty() && !granted.has(scope) {
            let error = json!({ ".tag": "missing_scope", "required_scope": scope });
            return Err(Refusal::unauthorized(error));
        }
        let select =
            |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let of_team = granted.has(TEAM);
        for (header, tag) in [
            ("dropbox-api-select-user", "invalid_select_user"),
            ("dropbox-api-select-admin", "invalid_select_admin"),
        ] {
            match select(header) {
                Some(_) if !of_team => {
                    return Err(Refusal::unauthorized(json!({ ".tag": tag })));
                }
                Some(member) if member == self.member => return Ok(()),
                Some(_) => return Err(Refusal::unauthorized(json!({ ".tag": tag }))),
                None => {}
            }
        }
        if of_team {
            let what = "This API function operates on a single Dropbox account, but the OAuth 2 access token you \
                        provided is for an entire Dropbox Business team.  Since your API app key has team member \
                        file access permissions, you can operate on a team member's Dropbox by providing the \
                        \"Dropbox-API-Select-User\" HTTP header or \"select_user\" URL parameter to specify the \
                        exact user <https://www.dropbox.com/developers/documentation/http/teams>.";
            return Err(Refusal::input(route, what));
        }
        Ok(())
    }

    fn ask(&self, request: &Request) -> Reply {
        let parameters = Parameters::of_query(&request.query);
        let refuse = |code: &str, message: &str| consent::refusal_page(SERVICE, code, message);
        let Some(client) = parameters.client_id().and_then(|id| self.grants.client(id)) else {
            return refuse("invalid_client_id", "client_id is not that of an app");
        };
        let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
        if !redirect_uri.is_empty() && !client.redirect_uris.iter().any(|known| known == redirect_uri) {
            return refuse(
                "invalid_redirect_uri",
                "It must exactly match one of the redirect URIs of the app",
            );
        }
        if parameters.get("response_type") != Some("code") {
            return refuse("unsupported_response_type", "response_type must be code");
        }
        let mut scopes = parameters.scopes().unwrap_or_else(|| client.scopes.clone());
        if let Some(unknown) = scopes.iter().find(|scope| !client.scopes.contains(scope)) {
            return refuse("invalid_scope", &format!("the app has no scope {unknown}"));
        }
        let shown = scopes.clone();
        if parameters.get("token_access_type") == Some("offline") {
            scopes.push(OFFLINE.to_owned());
        }
        let challenge = match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
            (None, _) => None,
            (Some(challenge), Some("S256")) => Some(challenge.to_owned()),
            // The verifier itself: what it hashes to serves as well.
            (Some(challenge), None | Some("plain")) => Some(s256(challenge)),
            _ => return refuse("invalid_request", "code_challenge_method must be S256 or plain"),
        };
        let asked = Authorization {
            client_id: client.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            state: parameters.get("state").map(str::to_owned),
            challenge,
        };
        let number = self.grants.ask(asked, request.now);
        let words = |scope: &str| SCOPES.iter().find(|(own, _)| *own == scope).map_or("", |(_, words)| words);
        ConsentPage {
            service: SERVICE,
            client: &client.name,
            user: &self.email,
            scopes: shown.iter().map(|scope| (scope.clone(), words(scope))).collect(),
            redirect_uri: if redirect_uri.is_empty() { "this page, as a code to copy" } else { redirect_uri },
            action: "/oauth2/authorize",
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
        let user = self.grants.users().into_iter().next().filter(|user| user.active);
        let mut answer = Vec::new();
        match user {
            Some(user) if parameters.get("decision") == Some("allow") => {
                let code = self.grants.code(asked, &user.username, request.now);
                if redirect_uri.is_empty() {
                    return Reply::new(StatusCode::OK, super::errors::TEXT, code)
                        .with_header(CACHE_CONTROL, "no-store");
                }
                answer.push(("code", code));
            }
            _ => {
                answer.push(("error", "access_denied".to_owned()));
                answer.push(("error_description", "The user chose not to give your app access".to_owned()));
            }
        }
        consent::answer(&redirect_uri, answer, state).unwrap_or_else(|| refuse("redirect_uri is no address"))
    }

    fn token(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let answer = |status: StatusCode, body: &Value| {
            // Recorded: JSON under the name of a script.
            Reply::new(status, "text/javascript", body.to_string()).with_header(CACHE_CONTROL, "no-store")
        };
        match self.exchange(&parameters, request) {
            Ok((issued, is_new)) => answer(StatusCode::OK, &self.issued(&issued, is_new)),
            Err((error, description)) => {
                let body = json!({ "error": error, "error_description": description });
                answer(StatusCode::BAD_REQUEST, &body)
            }
        }
    }

    fn issued(&self, issued: &Issued, is_new: bool) -> Value {
        let mut body = json!({
            "access_token": issued.access_token,
            "token_type": "bearer",
            "expires_in": issued.expires_in.as_secs(),
        });
        if is_new {
            let scopes: Vec<&str> = issued
                .granted
                .scopes
                .iter()
                .map(String::as_str)
                .filter(|scope| !scope.starts_with('\u{1}'))
                .collect();
            body["scope"] = json!(scopes.join(" "));
            body["uid"] = json!("1234567");
            body["account_id"] = json!(self.id);
            if let Some(token) = &issued.refresh_token {
                body["refresh_token"] = json!(token);
            }
        }
        body
    }

    /// The tokens, and whether they come from a code.
    fn exchange(
        &self,
        parameters: &Parameters,
        request: &Request,
    ) -> Result<(Issued, bool), (&'static str, String)> {
        let grant = parameters.get("grant_type").ok_or_else(|| missing("grant_type"))?;
        let id = parameters.client_id().ok_or_else(|| missing("client_id"))?;
        let client = self
            .grants
            .client(id)
            .ok_or_else(|| ("invalid_client: Invalid client_id or client_secret", String::new()))?;
        let secret = parameters.client_secret();
        let wrong_secret = || ("invalid_client: Invalid client_id or client_secret", String::new());
        if secret.is_some() && secret != client.client_secret.as_deref() {
            return Err(wrong_secret());
        }
        match grant {
            "authorization_code" => {
                let code = parameters.get("code").ok_or_else(|| missing("code"))?;
                let verifier = parameters.get("code_verifier");
                if secret.is_none() && verifier.is_none() {
                    return Err(wrong_secret());
                }
                let offline = |scopes: &[String]| scopes.iter().any(|scope| scope == OFFLINE);
                let redirect = Some(parameters.get("redirect_uri").unwrap_or_default());
                let issued = self.grants.redeem(code, id, redirect, verifier, offline, request.now);
                issued.map(|issued| (issued, true)).map_err(|fault| {
                    let what = match fault {
                        GrantFault::Expired => "code has expired (within the last hour)",
                        GrantFault::Reused => "code has already been used",
                        GrantFault::RedirectMismatch => "redirect_uri mismatch",
                        GrantFault::VerifierMissing | GrantFault::VerifierWrong => "invalid code verifier",
                        _ => "code doesn't exist or has expired",
                    };
                    ("invalid_grant", what.to_owned())
                })
            }
            "refresh_token" => {
                let token = parameters.get("refresh_token").ok_or_else(|| missing("refresh_token"))?;
                self.grants.refresh(token, id, request.now).map(|issued| (issued, false)).map_err(|fault| {
                    let what = match fault {
                        GrantFault::Unknown => "refresh token is malformed",
                        _ => "refresh token is invalid or revoked",
                    };
                    ("invalid_grant", what.to_owned())
                })
            }
            other => Err(("unsupported_grant_type", format!("{other} is not a grant type"))),
        }
    }
}

fn missing(name: &str) -> (&'static str, String) {
    ("invalid_request", format!("missing required field \"{name}\""))
}

fn mint(rng: &mut StdRng, token: Token) -> String {
    match token {
        Token::Access => format!("sl.u.{}", letters(rng, URL_SAFE, 130)),
        Token::Refresh => letters(rng, URL_SAFE, 64),
        Token::Code => letters(rng, URL_SAFE, 43),
        Token::Consent => letters(rng, URL_SAFE, 32),
    }
}
