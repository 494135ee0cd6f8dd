//! `recordport connections export` and `import`.

use std::io::Read as _;

use secrecy::SecretString;
use serde_json::json;

use super::Session;
use super::authorize;
use super::connect::from_environment;
use super::output::{Done, list, note};
use crate::connect::connection::Secrets;
use crate::connect::transfer::{Export, Parcel};
use crate::error::{Error, ErrorKind, Result};
use crate::workspace::{Workspace, check_endpoint};

/// Largest document that is imported, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Prints connections as one document.
pub(crate) async fn export(session: &mut Session, names: &[String], passphrase_stdin: bool) -> Done {
    let passphrase = passphrase(session, passphrase_stdin).await?;
    let workspace = session.workspace().await?;
    let store = workspace.store();
    let mut chosen = Vec::new();
    if names.is_empty() {
        chosen = store.connections().await?;
    }
    for name in names {
        chosen.push(workspace.describe(name).await?);
    }
    let mut parcels = Vec::with_capacity(chosen.len());
    for connection in chosen {
        let (secrets, tokens) = match passphrase {
            Some(_) => (Some(store.secrets(&connection).await?), store.tokens(&connection).await?),
            None => (None, None),
        };
        parcels.push(Parcel { connection, secrets, tokens });
    }
    let export = Export::pack(&parcels, passphrase.as_ref(), workspace.clock().now())?;
    session.out.json_pretty(&export)?;
    note(match passphrase {
        Some(_) => {
            "note: where the provider replaces refresh tokens, only one of the two copies goes on working: remove \
             the connection here without signing out, or authorise it again there"
        }
        None => "note: secrets and tokens stay here; with a passphrase they go along",
    });
    Ok(0)
}

/// Stores what another home exported.
pub(crate) async fn import(session: &mut Session, file: &str, passphrase_stdin: bool) -> Done {
    if file == "-" && passphrase_stdin {
        return Err(Error::invalid("stdin cannot hold both the document and the passphrase")
            .with_advice("Name the file, or give the passphrase in RECORDPORT_PASSPHRASE")
            .into());
    }
    let document = Export::read(&read(session, file)?)?;
    let passphrase = passphrase(session, passphrase_stdin).await?;
    if document.is_sealed() && passphrase.is_none() {
        return Err(
            authorize::missing("the passphrase", "--passphrase-stdin", "RECORDPORT_PASSPHRASE").into()
        );
    }
    let workspace = session.workspace().await?;
    let parcels = document.unpack(passphrase.as_ref(), workspace.clock().now())?;
    let mut lines = Vec::with_capacity(parcels.len());
    let mut failed = false;
    for parcel in &parcels {
        let name = &parcel.connection.name;
        lines.push(match take(&workspace, parcel).await {
            Ok(()) => json!({"name": name, "status": "imported", "sealed": parcel.secrets.is_some()}),
            Err(error) => {
                failed = true;
                json!({"name": name, "status": "failed", "sealed": parcel.secrets.is_some(), "error": error})
            }
        });
        if parcel.secrets.is_none() {
            note(&format!("note: {name} came without its secrets: recordport connections authorize {name}"));
        }
    }
    let format = session.format();
    list(&mut session.out, format, &["name", "status", "sealed", "error"], &lines)?;
    Ok(u8::from(failed))
}

/// Stores one connection if neither its name nor its id is taken and its provider still takes its settings.
async fn take(workspace: &Workspace, parcel: &Parcel) -> Result<()> {
    let connection = &parcel.connection;
    let factory = crate::providers::find(&connection.provider)?;
    if let Some(endpoint) = &connection.endpoint {
        check_endpoint(endpoint)?;
    }
    factory.sign_in(&connection.config, connection.endpoint.as_ref())?;
    let known = workspace.store().connections().await?;
    let same_name = |name: &str| name.eq_ignore_ascii_case(connection.name.as_str());
    if let Some(taken) =
        known.iter().find(|known| known.id == connection.id || same_name(known.name.as_str()))
    {
        return Err(Error::new(ErrorKind::Invalid, format!("there is a connection {} already", taken.name))
            .with_advice(format!("`recordport connections remove {}` makes room", taken.name)));
    }
    let none = Secrets::default();
    let secrets = parcel.secrets.as_ref().unwrap_or(&none);
    workspace.store().put(connection, secrets, parcel.tokens.as_ref()).await
}

async fn passphrase(session: &mut Session, stdin: bool) -> Done<Option<SecretString>> {
    if !stdin {
        return Ok(from_environment("RECORDPORT_PASSPHRASE"));
    }
    let line = authorize::read_line(session).await?;
    Ok(Some(line.ok_or_else(|| Error::invalid("stdin holds no passphrase"))?))
}

fn read(session: &mut Session, file: &str) -> Result<Vec<u8>> {
    let cannot = |error: std::io::Error| Error::local(format!("cannot read {file}: {error}"));
    let mut text = Vec::new();
    if file == "-" {
        session.input.by_ref().take(DOCUMENT_BYTES_MAX).read_to_end(&mut text).map_err(cannot)?;
    } else {
        let opened = std::fs::File::open(file).map_err(cannot)?;
        opened.take(DOCUMENT_BYTES_MAX).read_to_end(&mut text).map_err(cannot)?;
    }
    Ok(text)
}
