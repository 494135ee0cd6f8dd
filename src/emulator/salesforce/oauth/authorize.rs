//! The authorisation endpoint: a consent page, and the user's answer to it.

use super::{AUTHORIZE, OAuth, SCOPES};
use crate::emulator::grants::Authorization;
use crate::emulator::grants::consent::{self, ConsentPage};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::service::{Reply, Request};

impl OAuth {
    /// The authorisation request: a consent page, or an error page when no redirect can be trusted.
    pub(super) fn ask(&self, request: &Request) -> Reply {
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
            choice: None,
        }
        .reply()
    }

    /// The consent page's form.
    pub(super) fn decide(&self, request: &Request) -> Reply {
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
        consent::answer(&redirect_uri, answer, state)
            .unwrap_or_else(|| refuse("redirect_uri_mismatch", "redirect_uri must match configuration"))
    }
}
