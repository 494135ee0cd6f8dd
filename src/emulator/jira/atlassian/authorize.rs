//! The authorisation endpoint: a consent page per site, and its form.
//!
//! The page has a list of the sites, of which the first is chosen; `site` in the address chooses another, or `all`.

use super::{ALL, Atlassian, SITE};
use crate::emulator::grants::Authorization;
use crate::emulator::grants::consent::{self, Choice, ConsentPage};
use crate::emulator::grants::parameters::Parameters;
use crate::emulator::service::{Reply, Request};

const SERVICE: &str = "Jira";

impl Atlassian {
    pub(super) fn ask(&self, request: &Request) -> Reply {
        let parameters = Parameters::of_query(&request.query);
        let refuse = |message: &str| consent::refusal_page(SERVICE, "invalid_request", message);
        let Some(client) = parameters.client_id().and_then(|id| self.grants.client(id)) else {
            return refuse("client_id is not that of an app");
        };
        let Some(redirect_uri) = parameters.get("redirect_uri") else {
            return refuse("redirect_uri is missing");
        };
        if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
            return refuse("redirect_uri is not registered for client");
        }
        let state = parameters.get("state").map(str::to_owned);
        let back = |error: &str, description: &str| {
            let mut answer = vec![("error", error), ("error_description", description)];
            answer.extend(state.as_deref().map(|state| ("state", state)));
            consent::redirect(redirect_uri, &answer).unwrap_or_else(|| refuse("redirect_uri is no address"))
        };
        if parameters.get("audience") != Some("api.atlassian.com") {
            return back("invalid_request", "audience must be api.atlassian.com");
        }
        if parameters.get("response_type") != Some("code") {
            return back("unsupported_response_type", "response_type must be code");
        }
        let scopes = parameters.scopes().unwrap_or_default();
        if scopes.is_empty() || scopes.iter().any(|scope| !client.scopes.contains(scope)) {
            return back("invalid_scope", "the scopes are not those of the app");
        }
        let sites = self.chosen(parameters.get("site"));
        let users = self.grants.users();
        let (Some(user), Some(_)) = (users.first(), sites.first()) else {
            return back("access_denied", "there is no such site");
        };
        let mut granted = scopes.clone();
        granted.extend(sites.iter().map(|site| format!("{SITE}{}", site.id)));
        let asked = Authorization {
            client_id: client.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes: granted,
            state: state.clone(),
            // A challenge is taken and never looked at: the secret is asked for in any case.
            challenge: None,
        };
        let number = self.grants.ask(asked, request.now);
        let names: Vec<String> = sites.iter().map(|site| format!("{}.atlassian.net", site.name)).collect();
        let chosen = if sites.len() > 1 { ALL } else { sites.first().map_or("", |site| site.name) };
        let service = format!("{SERVICE} at {}", names.join(" and "));
        ConsentPage {
            service: &service,
            client: &client.name,
            user: &user.username,
            scopes: scopes.iter().map(|scope| (scope.clone(), words(scope))).collect(),
            redirect_uri,
            action: "/authorize",
            number: &number,
            choice: Some(Choice { name: "site", label: "Site", options: self.offered(), chosen }),
        }
        .reply()
    }

    /// The sites that the page offers, and all of them together.
    fn offered(&self) -> Vec<(String, String)> {
        let own =
            self.sites.iter().map(|site| (site.name.to_owned(), format!("{}.atlassian.net", site.name)));
        own.chain([(ALL.to_owned(), "All sites".to_owned())]).collect()
    }

    /// The consent page's form; `site` in it outranks the site that the page showed.
    pub(super) fn decide(&self, request: &Request) -> Reply {
        let parameters = Parameters::of(request);
        let refuse = |message: &str| consent::refusal_page(SERVICE, "invalid_request", message);
        let asked = parameters.get("request").and_then(|number| self.grants.decide(number, request.now));
        let Some(mut asked) = asked else {
            return refuse("this page was answered already or is too old: start again");
        };
        if let Some(wanted) = parameters.get("site") {
            let sites = self.chosen(Some(wanted));
            if sites.is_empty() {
                return refuse("there is no such site");
            }
            asked.scopes.retain(|scope| !scope.starts_with(SITE));
            asked.scopes.extend(sites.iter().map(|site| format!("{SITE}{}", site.id)));
        }
        let (redirect_uri, state) = (asked.redirect_uri.clone(), asked.state.clone());
        let user = self.grants.users().into_iter().next().filter(|user| user.active);
        let mut answer = Vec::new();
        match user {
            Some(user) if parameters.get("decision") == Some("allow") => {
                answer.push(("code", self.grants.code(asked, &user.username, request.now)));
            }
            _ => {
                answer.push(("error", "access_denied".to_owned()));
                answer.push(("error_description", "User did not authorize the request".to_owned()));
            }
        }
        consent::answer(&redirect_uri, answer, state).unwrap_or_else(|| refuse("redirect_uri is no address"))
    }
}

fn words(scope: &str) -> &'static str {
    match scope {
        "offline_access" => "Come back at any time without asking again",
        "read:jira-work" => "Read projects, issues and all that hangs on them",
        "write:jira-work" => "Create and change issues in your name",
        "read:jira-user" => "See who the users are",
        _ => "Change how projects and the site are set up",
    }
}
