//! `recordport connections`: what there is, whether it works, signing in again, removing.

use serde_json::{Value as Json, json};

use super::Session;
use super::args::{ConnectionsAction, Format};
use super::authorize::{self, Browser};
use super::connect::{from_environment, greet};
use super::output::{Done, list, note};
use super::transfer;
use crate::connect::connection::{Connection, Standing};
use crate::connect::doctor::{ProbeReport, examine};
use crate::connect::sign_in::GrantKind;
use crate::error::Error;
use crate::workspace::Use;

/// Does what was asked with connections.
pub(crate) async fn run(session: &mut Session, action: Option<ConnectionsAction>) -> Done {
    match action.unwrap_or(ConnectionsAction::List) {
        ConnectionsAction::List => all(session).await,
        ConnectionsAction::Show { name } => show(session, &name).await,
        ConnectionsAction::Test { name } => test(session, &name).await,
        ConnectionsAction::Authorize { name, no_browser, token_stdin } => {
            again(session, &name, no_browser, token_stdin).await
        }
        ConnectionsAction::Remove { name } => remove(session, &name).await,
        ConnectionsAction::Rekey => rekey(session).await,
        ConnectionsAction::Export { names, passphrase_stdin } => {
            transfer::export(session, &names, passphrase_stdin).await
        }
        ConnectionsAction::Import { file, passphrase_stdin } => {
            transfer::import(session, &file, passphrase_stdin).await
        }
    }
}

fn standing(connection: &Connection) -> &'static str {
    match connection.standing {
        Standing::Ready => "ready",
        Standing::NeedsReconnect { .. } => "needs authorisation",
    }
}

async fn all(session: &mut Session) -> Done {
    let workspace = session.workspace().await?;
    let items: Vec<Json> = workspace
        .store()
        .connections()
        .await?
        .iter()
        .map(|connection| {
            json!({
                "name": connection.name, "provider": connection.provider, "account": connection.account,
                "access": connection.access, "grant": connection.grant, "endpoint": connection.endpoint,
                "standing": standing(connection),
            })
        })
        .collect();
    let columns = ["name", "provider", "account", "access", "grant", "endpoint", "standing"];
    let format = session.format();
    list(&mut session.out, format, &columns, &items)?;
    if items.is_empty() && format == Format::Table {
        note("There are no connections yet: recordport connect PROVIDER NAME");
    }
    Ok(0)
}

async fn show(session: &mut Session, name: &str) -> Done {
    let workspace = session.workspace().await?;
    let connection = workspace.describe(name).await?;
    let connected = workspace.ready(connection, Use::default())?;
    let place = workspace.store().place();
    let mut document = serde_json::to_value(&connected.description)
        .map_err(|error| Error::bug("a connection cannot be written as JSON").with_source(error))?;
    document["hosts"] = json!(connected.sign_in.hosts);
    document["stored"] = json!(place);
    if session.format() == Format::Ndjson {
        session.out.json_line(&document)?;
    } else {
        session.out.json_pretty(&document)?;
    }
    Ok(0)
}

async fn test(session: &mut Session, name: &str) -> Done {
    let workspace = session.workspace().await?;
    let connected = workspace.connection(name, Use::default()).await?;
    let probe = async {
        let probe = connected.provider.probe(&connected.context).await?;
        Ok(ProbeReport {
            account: probe.account,
            scopes: probe.scopes,
            quota: probe.quota,
            quota_reserve: probe.quota.map_or(0, |(_, allowed)| connected.limits.reserve(allowed)),
            notes: probe.notes,
        })
    };
    let plane = workspace.token_plane();
    let examining = examine(
        &connected.description,
        &connected.sign_in,
        &connected.tokens,
        &plane,
        workspace.clock(),
        probe,
    );
    let diagnosis = session.signals.or_stop(examining).await?;
    match session.format() {
        Format::Json => session.out.json_pretty(&diagnosis)?,
        Format::Ndjson => session.out.json_line(&diagnosis)?,
        format => {
            list(&mut session.out, format, &["check", "state", "detail", "next_step"], &diagnosis.findings)?
        }
    }
    for notice in connected.tokens.take_notices() {
        note(&format!("note: {notice}"));
    }
    match diagnosis.error {
        Some(error) => {
            session.out.flush()?;
            Err(error.into())
        }
        None => Ok(0),
    }
}

async fn again(session: &mut Session, name: &str, no_browser: bool, token_stdin: bool) -> Done {
    let workspace = session.workspace().await?;
    let mut connection = workspace.describe(name).await?;
    let mut secrets = workspace.store().secrets(&connection).await?;
    let given = match connection.grant {
        GrantKind::Token | GrantKind::Basic if token_stdin => authorize::read_line(session).await?,
        GrantKind::Token | GrantKind::Basic => from_environment("RECORDPORT_TOKEN"),
        _ => None,
    };
    // A connection that was imported without its secrets has none yet.
    secrets.client_secret = secrets.client_secret.or_else(|| from_environment("RECORDPORT_CLIENT_SECRET"));
    if connection.grant == GrantKind::Basic {
        secrets.password = Some(
            given
                .clone()
                .ok_or_else(|| authorize::missing("a token", "--token-stdin", "RECORDPORT_TOKEN"))?,
        );
    }
    let browser = if no_browser { Browser::Print } else { Browser::Open };
    let how = (browser, None);
    let tokens = authorize::tokens(session, &workspace, &connection, &secrets, given.as_ref(), how).await?;
    connection.authorized = Some(workspace.clock().now());
    connection.standing = Standing::Ready;
    if let Some(tokens) = &tokens {
        connection.scopes_granted.clone_from(&tokens.scopes);
    }
    workspace.store().put(&connection, &secrets, tokens.as_ref()).await?;
    greet(session, &workspace, connection).await
}

async fn remove(session: &mut Session, name: &str) -> Done {
    let workspace = session.workspace().await?;
    let connection = workspace.describe(name).await?;
    let connected = workspace.ready(connection, Use::default())?;
    let farewell = session.signals.finishing(connected.tokens.farewell()).await??;
    workspace.feeds().forget(&connected.description.id).await?;
    if let Some(remark) = &farewell.note {
        note(&format!("note: {remark}"));
    }
    let document = json!({
        "name": connected.description.name, "removed": true, "revoked": farewell.revoked,
    });
    let format = session.format();
    list(&mut session.out, format, &["name", "removed", "revoked"], &[document])?;
    Ok(0)
}

async fn rekey(session: &mut Session) -> Done {
    let workspace = session.workspace().await?;
    let done = session.signals.finishing(workspace.store().rekey()).await??;
    if !done.skipped.is_empty() {
        note(&format!("note: no present key opens the secrets of {}", done.skipped.join(", ")));
    }
    let columns = ["key_id", "key_place", "records", "skipped"];
    let format = session.format();
    list(&mut session.out, format, &columns, std::slice::from_ref(&done))?;
    Ok(u8::from(!done.skipped.is_empty()))
}
