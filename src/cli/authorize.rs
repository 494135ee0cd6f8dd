//! Leads the user through signing in: opens or prints the provider's page and takes the answer.

use std::io::Read;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value as Json, json};
use url::Url;

use super::Session;
use super::browser;
use super::output::{Done, note};
use crate::connect::connection::{Connection, Secrets, TokenSet};
use crate::connect::flows::code::{Attempt, Landing, PATIENCE, open_browser};
use crate::connect::flows::{self, pasted};
use crate::connect::oauth::{Grant, OAuthClient};
use crate::connect::sign_in::{GrantKind, RedirectRule, SignIn};
use crate::error::{Error, Result};
use crate::http::{Call, SharedHttp, Target};
use crate::workspace::Workspace;

/// Who looks at the provider's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Browser {
    /// The user's own on this machine.
    Open,
    /// One elsewhere: the address is printed, the one landed on pasted back.
    Print,
    /// Nobody: we say yes ourselves. For emulated services.
    Play,
}

/// Gets tokens for a connection by its grant.
pub(crate) async fn tokens(
    session: &mut Session,
    workspace: &Workspace,
    connection: &Connection,
    secrets: &Secrets,
    pasted_token: Option<&SecretString>,
    how: (Browser, Option<&Url>),
) -> Done<Option<TokenSet>> {
    let (browser, emulator) = how;
    let factory = crate::providers::find(&connection.provider)?;
    let mut sign_in = factory.sign_in(&connection.config, connection.endpoint.as_ref())?;
    if emulator.is_some() && browser != Browser::Print {
        // Any port will do: the emulator is told which.
        sign_in.redirect = RedirectRule::LoopbackAnyPort;
    }
    let sign_in = Arc::new(sign_in);
    let client = OAuthClient::new(
        Arc::clone(&sign_in),
        workspace.token_plane(),
        Arc::clone(workspace.clock()),
        connection.client_id.clone().unwrap_or_default(),
        secrets.client_secret.clone(),
    );
    let grant = match connection.grant {
        GrantKind::Code => {
            let flow = CodeFlow { workspace, connection, emulator };
            flow.run(session, client, browser).await?
        }
        GrantKind::ClientCredentials | GrantKind::Jwt => {
            session.signals.or_stop(flows::obtain(&client, connection, secrets)).await??
        }
        GrantKind::Token => {
            let text = pasted_token
                .ok_or_else(|| missing("an access token", "--token-stdin", "RECORDPORT_TOKEN"))?;
            return Ok(Some(pasted_tokens(text, &sign_in, connection, workspace)?));
        }
        GrantKind::Basic => return Ok(None),
    };
    Ok(Some(grant.into_tokens()?))
}

/// The error for a secret that was not given.
pub(crate) fn missing(what: &str, flag: &str, variable: &str) -> Error {
    Error::invalid(format!("this grant needs {what}"))
        .with_advice(format!("Pass it with {flag} or in the environment variable {variable}"))
}

fn pasted_tokens(
    text: &SecretString,
    sign_in: &SignIn,
    connection: &Connection,
    workspace: &Workspace,
) -> Result<TokenSet> {
    let mut tokens = pasted::tokens(text, sign_in, connection.endpoint.as_ref(), workspace.clock().now())?;
    if let Some(life) = crate::providers::find(&connection.provider)?.pasted_token_life() {
        let hours = life.as_secs() / 3_600;
        note(&format!(
            "note: a pasted token of {} ends {hours} hours after it was made and is not renewed; --grant code gives a \
             connection that lasts",
            connection.provider
        ));
        // It may be older; the service says so then.
        let life = jiff::SignedDuration::try_from(life).unwrap_or_default();
        tokens.expires = tokens.obtained.checked_add(life).ok();
    }
    Ok(tokens)
}

struct CodeFlow<'a> {
    workspace: &'a Workspace,
    connection: &'a Connection,
    emulator: Option<&'a Url>,
}

impl CodeFlow<'_> {
    async fn run(self, session: &mut Session, client: OAuthClient, browser: Browser) -> Done<Grant> {
        let landing = if browser == Browser::Print { Landing::Pasted } else { Landing::Here };
        let redirect = self.connection.redirect_uri.as_deref();
        let scopes = &self.connection.scopes_requested;
        let attempt = Attempt::begin(client, scopes, redirect, landing).await?;
        let address = attempt.address().clone();
        if let Some(emulator) = self.emulator {
            let client_id = self.connection.client_id.as_deref().unwrap_or_default();
            let redirect = attempt.redirect_uri();
            register(self.workspace.wire(), emulator, &self.connection.provider, client_id, redirect).await?;
        }
        match browser {
            Browser::Open => {
                note(&format!(
                    "Opening the provider's page in your browser. If it does not open, go to\n  {address}"
                ));
                if let Err(error) = open_browser(&address) {
                    note(&format!("note: {error}"));
                }
                Ok(session.signals.or_stop(attempt.wait(PATIENCE)).await??)
            }
            Browser::Play => {
                let wire = Arc::clone(self.workspace.wire());
                let visit = async move {
                    let landed = browser::allow(&wire, &address).await?;
                    browser::load(&wire, &landed).await.map(drop)
                };
                let both = async { tokio::try_join!(visit, attempt.wait(PATIENCE)).map(|((), grant)| grant) };
                Ok(session.signals.or_stop(both).await??)
            }
            Browser::Print => {
                note(&format!(
                    "Open this address in any browser and sign in:\n  {address}\n\
                     Afterwards the browser lands on an address that begins with {} and may show an error. Paste \
                     that whole address here:",
                    attempt.redirect_uri()
                ));
                let line = read_line(session).await?;
                let landed = match (line, self.emulator) {
                    (Some(line), _) => line,
                    // Nobody is there to paste; an emulated service may be answered for.
                    (None, Some(_)) => {
                        let landed = browser::allow(self.workspace.wire(), &address).await?;
                        SecretString::from(landed.to_string())
                    }
                    (None, None) => {
                        return Err(Error::invalid("stdin ended before the address was pasted")
                            .with_advice("Run the command on a terminal, or leave --no-browser out")
                            .into());
                    }
                };
                Ok(session.signals.or_stop(attempt.paste(&landed)).await??)
            }
        }
    }
}

/// One line of stdin that is not empty; `None` at its end. What follows stays unread.
pub(crate) async fn read_line(session: &mut Session) -> Done<Option<SecretString>> {
    let mut input = std::mem::replace(&mut session.input, Box::new(std::io::empty()));
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = Vec::new();
        let mut byte = [0_u8];
        loop {
            match input.read(&mut byte) {
                Ok(0) => break,
                Ok(_) if byte[0] == b'\n' && line.trim_ascii().is_empty() => line.clear(),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return (input, Err(Error::local(format!("cannot read stdin: {error}")))),
            }
            if line.len() > MAX_LINE {
                return (input, Err(Error::invalid("the line on stdin is too long")));
            }
        }
        let text = String::from_utf8(line).map(|text| text.trim().to_owned());
        (input, text.map_err(|_| Error::invalid("stdin is not UTF-8")))
    });
    let (input, line) = session
        .signals
        .or_stop(reading)
        .await?
        .map_err(|error| Error::bug(format!("reading stdin failed: {error}")))?;
    session.input = input;
    let line = line?;
    Ok((!line.is_empty()).then(|| SecretString::from(line)))
}

/// Longest secret or address on stdin.
const MAX_LINE: usize = 64 * 1024;

/// Tells the emulator the redirect address of this attempt, as one would register it with the service.
async fn register(
    wire: &SharedHttp,
    emulator: &Url,
    provider: &str,
    client_id: &str,
    redirect_uri: &str,
) -> Result<()> {
    let clients = control(wire, emulator, "/_emulator/oauth/clients", None).await?;
    let known = clients[provider]
        .as_array()
        .into_iter()
        .flatten()
        .find(|client| client["client_id"] == client_id)
        .and_then(|client| client["redirect_uris"].as_array().cloned())
        .unwrap_or_default();
    if known.iter().any(|known| known == redirect_uri) {
        return Ok(());
    }
    let all: Vec<Json> = known.into_iter().chain([json!(redirect_uri)]).collect();
    let change = json!({"service": provider, "client_id": client_id, "redirect_uris": all});
    control(wire, emulator, "/_emulator/oauth/clients", Some(&change)).await.map(drop)
}

/// One request to an emulator's control surface.
pub(crate) async fn control(
    wire: &SharedHttp,
    emulator: &Url,
    path: &str,
    body: Option<&Json>,
) -> Result<Json> {
    let address = emulator.join(path).map_err(|error| {
        Error::invalid(format!("{emulator} cannot be the address of an emulator: {error}"))
    })?;
    let method = if body.is_some() { http::Method::POST } else { http::Method::GET };
    let mut call = Call::new("emulator", method, Target::Address(address));
    call.authorize = false;
    call.sensitive = true;
    if let Some(body) = body {
        call = call.with_json(body.to_string());
    }
    let reply = wire.send(call).await?;
    let document: Option<Json> = serde_json::from_slice(&reply.body).ok();
    match document {
        Some(document) if reply.status.is_success() => Ok(document),
        _ => Err(Error::protocol(format!("{emulator} does not answer as an emulator of recordport"))
            .with_status(reply.status.as_u16())
            .with_advice("Start one with `recordport emulator` and give its http address")),
    }
}
