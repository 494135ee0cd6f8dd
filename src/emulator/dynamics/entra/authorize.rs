//! The authorisation endpoint: a consent page and its form.

use url::Url;

use super::{Entra, Fault};
use crate::emulator::grants::consent::{self, ConsentPage};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::grants::{Authorization, Client};
use crate::emulator::service::{Reply, Request};

const SERVICE: &str = "Microsoft Entra ID";

impl Entra {
    /// The authorisation request: a consent page, or an error page when no redirect can be trusted.
    pub(super) fn ask(&self, request: &Request) -> Reply {
        let parameters = Parameters::of_query(&request.query);
        let refuse = |number: u32, message: &str| {
            let fault = Fault::new("invalid_request", number, message);
            consent::refusal_page(SERVICE, "invalid_request", &fault.description(request.now))
        };
        let Some(client) = parameters.client_id().and_then(|id| self.grants.client(id)) else {
            return refuse(700_016, "Application was not found in the directory of this tenant.");
        };
        let Some(redirect_uri) = parameters.get("redirect_uri") else {
            return refuse(900_144, "The request must contain the following parameter: 'redirect_uri'.");
        };
        if !registered(&client, redirect_uri) {
            return refuse(
                50_011,
                "The redirect URI specified in the request does not match the redirect URIs configured for the application.",
            );
        }
        let state = parameters.get("state").map(str::to_owned);
        let back = |fault: Fault| {
            let description = fault.description(request.now);
            let mut answer = vec![("error", fault.error), ("error_description", description.as_str())];
            answer.extend(state.as_deref().map(|state| ("state", state)));
            consent::redirect(redirect_uri, &answer).unwrap_or_else(|| refuse(50_011, "not an address"))
        };
        if parameters.get("response_type") != Some("code") {
            return back(Fault::new(
                "unsupported_response_type",
                700_054,
                "response_type must be 'code' for this application.",
            ));
        }
        let Some(scopes) = parameters.scopes() else {
            return back(Fault::missing("scope"));
        };
        if let Err(fault) = super::token::check_scopes(&scopes) {
            return back(fault);
        }
        let challenge = parameters.get("code_challenge").map(str::to_owned);
        if challenge.is_some() && parameters.get("code_challenge_method") != Some("S256") {
            return back(Fault::new("invalid_request", 501_491, "code_challenge_method must be S256."));
        }
        if challenge.is_none() && (client.pkce_required || client.client_secret.is_none()) {
            return back(Fault::new(
                "invalid_request",
                9_002_325,
                "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
            ));
        }
        let users = self.grants.users();
        let Some(user) = users.first() else {
            return back(Fault::new("access_denied", 65_004, "There is nobody to sign in."));
        };
        let asked = Authorization {
            client_id: client.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes: with_nonce(&scopes, parameters.get("nonce")),
            state: state.clone(),
            challenge,
        };
        let number = self.grants.ask(asked, request.now);
        ConsentPage {
            service: SERVICE,
            client: &client.name,
            user: &user.username,
            scopes: scopes.iter().map(|scope| (scope.clone(), words(scope))).collect(),
            redirect_uri,
            action: &request.path,
            number: &number,
            choice: None,
        }
        .reply()
    }

    /// The consent page's form.
    pub(super) fn decide(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let refuse = |message: &str| consent::refusal_page(SERVICE, "invalid_request", message);
        let asked = parameters.get("request").and_then(|number| self.grants.decide(number, request.now));
        let Some(asked) = asked else {
            return refuse("this page was answered already or is too old: start again");
        };
        let (redirect_uri, state) = (asked.redirect_uri.clone(), asked.state.clone());
        let installed = self.grants.client(&asked.client_id).is_some_and(|client| client.installed);
        let user = self.grants.users().into_iter().next().filter(|user| user.active);
        let refusal = match (parameters.get("decision"), &user) {
            (Some("allow"), Some(_)) if installed => None,
            (Some("allow"), Some(_)) => Some(Fault::new(
                "consent_required",
                65_001,
                "The user or administrator has not consented to use the application.",
            )),
            (Some("allow"), None) => {
                Some(Fault::new("access_denied", 50_057, "The user account is disabled."))
            }
            _ => Some(Fault::new("access_denied", 65_004, "User declined to consent to access the app.")),
        };
        let mut answer = Vec::new();
        match (refusal, user) {
            (None, Some(user)) => {
                answer.push(("code", self.grants.code(asked, &user.username, request.now)));
                answer.push(("session_state", super::guid::text(super::guid::named(&redirect_uri))));
            }
            (fault, _) => {
                let fault = fault.unwrap_or_else(|| Fault::missing("decision"));
                answer.push(("error", fault.error.to_owned()));
                answer.push(("error_description", fault.description(request.now)));
            }
        }
        consent::answer(&redirect_uri, answer, state).unwrap_or_else(|| refuse("not an address"))
    }
}

/// The scopes, with the nonce of an OIDC request kept beside them until the id token is written.
fn with_nonce(scopes: &[String], nonce: Option<&str>) -> Vec<String> {
    let mut out = scopes.to_vec();
    out.extend(nonce.map(|nonce| format!("{}{nonce}", super::token::NONCE)));
    out
}

/// Whether an address is one that the client has registered: at `localhost` any port will do.
fn registered(client: &Client, asked: &str) -> bool {
    client.redirect_uris.iter().any(|known| {
        if known == asked {
            return true;
        }
        let (Ok(known), Ok(mut asked)) = (Url::parse(known), Url::parse(asked)) else { return false };
        let local = asked.host_str() == Some("localhost") && asked.scheme() == "http";
        local && asked.set_port(None).is_ok() && known == asked
    })
}

fn words(scope: &str) -> &'static str {
    match scope {
        "offline_access" => "Come back at any time without asking again",
        "openid" => "Confirm your identity",
        "profile" => "Know your name",
        "email" => "Know your e-mail address",
        _ => "Read and change Dynamics 365 records in your name",
    }
}
