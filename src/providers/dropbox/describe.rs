//! The types there are, and what each can do.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::account::Account;
use super::columns::{self, Column, Kind};
use super::pages::{Head, is_nowhere};
use super::query::PAGE_MAX;
use super::records::{DropboxRecords, Folder};
use super::{api, paths};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Context, TypePage, TypeQuery, TypeSummary};
use crate::record::capability::{
    Capability, ChangesCapability, ContentCapability, GetCapability, SearchCapability, UpsertCapability,
    VersionSupport, WriteCapability, no_options,
};
use crate::record::record_type::AlternateKey;
use crate::record::{KeyFields, RecordType, TypeName};

/// Files that one request writes; what they hold is in memory meanwhile.
const FILES: usize = 100;
/// Folders that one request makes. Dropbox takes 10,000; fewer keep a request short.
const FOLDERS: usize = 500;
/// Entries that one request moves or deletes, the most that Dropbox takes.
const ENTRIES: usize = 1_000;
/// Entries that are read by key in one batch.
const GET_MAX: usize = 200;
/// Most bytes of a file ("upload_session", Dropbox for HTTP Developers).
const FILE_MAX: u64 = (1 << 41) - (1 << 22);

const ALL: [Kind; 5] = [Kind::File, Kind::Folder, Kind::Entry, Kind::SharedLink, Kind::Revision];

fn labels(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::File => ("File", "Files", "Files, with what is in them as a stream"),
        Kind::Folder => ("Folder", "Folders", "Folders; those of a deleted folder go with it"),
        Kind::Entry => ("Entry", "Entries", "Files and folders, and what was deleted, by their paths"),
        Kind::SharedLink => ("Shared link", "Shared links", "Links to files and folders"),
        Kind::Revision => ("Revision", "Revisions", "What a file was before, the newest first"),
    }
}

fn summary(kind: Kind, scope: Option<&str>) -> TypeSummary {
    let (label, plural, _) = labels(kind);
    let capability = capability(kind);
    TypeSummary {
        name: TypeName::new(match scope {
            Some(scope) => format!("{}:{scope}", kind.name()),
            None => kind.name().to_owned(),
        }),
        label: label.to_owned(),
        label_plural: match scope {
            Some(scope) => format!("{plural} of {scope}"),
            None => plural.to_owned(),
        },
        custom: false,
        searchable: true,
        creatable: capability.create.is_some(),
        updatable: capability.update.is_some(),
        deletable: capability.delete.is_some(),
        keys: vec![kind.key().to_owned()],
    }
}

/// The types of the account, or of a folder or file that is named.
///
/// # Errors
/// `NotFound` when nothing is there; what the service refuses.
pub(super) async fn types(account: &Account, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
    let wanted = query.search.as_deref().map(|text| text.trim().to_lowercase()).unwrap_or_default();
    let fits = |summary: &TypeSummary| {
        summary.name.as_str().to_lowercase().contains(&wanted)
            || summary.label.to_lowercase().contains(&wanted)
    };
    let all: Vec<TypeSummary> = match query.scope.as_deref() {
        None | Some("" | "/") => {
            ALL.iter().filter(|kind| **kind != Kind::Revision).map(|kind| summary(*kind, None)).collect()
        }
        Some(scope) => {
            let head = place(account, cx, scope).await?;
            let path = head.path_display.unwrap_or_else(|| scope.to_owned());
            let of_file = head.tag.as_deref() == Some("file");
            ALL.iter()
                .filter(|kind| (**kind == Kind::Revision) == of_file)
                .map(|kind| summary(*kind, Some(&path)))
                .collect()
        }
    };
    Ok(TypePage { types: all.into_iter().filter(fits).collect(), next: None })
}

/// What stands at a path or has an id.
async fn place(account: &Account, cx: &Context, scope: &str) -> Result<Head> {
    let path = if scope.starts_with("id:") || scope.starts_with("ns:") {
        scope.to_owned()
    } else {
        paths::folder("type", "", scope).map_err(|error| nothing_at(scope).with_source(error))?
    };
    let asked = account.send(cx, api::metadata("describe", &path, false, &[])).await;
    let reply = asked.map_err(|error| if is_nowhere(&error) { nothing_at(scope) } else { error })?;
    Head::of(&reply.body)
}

fn nothing_at(scope: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is nothing at {scope:?} in Dropbox"))
        .with_provider("dropbox")
        .with_code("unknown_scope")
        .with_advice("A scope is the path of a folder, such as file:/Reports")
}

/// The error for a type that does not exist.
fn unknown_type(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("Dropbox has no record type {name:?}"))
        .with_code("unknown_type")
        .with_advice("There are file, folder, entry, shared_link and revision:<file>; each but the last also of a folder, such as file:/Reports")
}

/// Opens a type.
///
/// # Errors
/// `NotFound` for a type that there is not, and for a folder that there is not.
pub(super) async fn open(account: &Arc<Account>, cx: &Context, name: &TypeName) -> Result<DropboxRecords> {
    let about = |error: Error| {
        error.with_provider("dropbox").with_operation("describe").with_record_type(name.as_str())
    };
    let kind = ALL.into_iter().find(|kind| kind.name() == name.base());
    let kind = kind.ok_or_else(|| about(unknown_type(name.as_str())))?;
    let scope = name.scope().map(str::trim).filter(|scope| !matches!(*scope, "" | "/"));
    // Only what can be a path goes into a request.
    let file = match (kind, scope) {
        (Kind::Revision, Some(scope)) if !scope.starts_with("id:") => {
            let path = paths::whole("type", "", scope);
            Some(path.map_err(|error| about(nothing_at(scope).with_source(error)))?)
        }
        _ => None,
    };
    let scope = file.as_deref().or(scope);
    let mut folder = None;
    match (kind, scope) {
        (Kind::Revision, None) => {
            return Err(about(
                unknown_type(name.as_str()).with_advice_instead("Name the file: revision:/Reports/plan.pdf"),
            ));
        }
        (Kind::Revision, Some(_)) | (_, None) => {}
        (_, Some(scope)) => {
            let head = place(account, cx, scope).await.map_err(about)?;
            let path = head.path_display.filter(|_| head.tag.as_deref() == Some("folder"));
            let (Some(path), Some(lower)) = (path, head.path_lower) else {
                return Err(about(
                    Error::new(ErrorKind::NotFound, format!("{scope:?} is no folder of this account"))
                        .with_code("unknown_scope")
                        .with_advice("A scope is the path of a folder, such as file:/Reports"),
                ));
            };
            folder = Some(Folder { path, lower });
        }
    }
    let templates = if matches!(kind, Kind::File | Kind::Folder) {
        account.templates(cx).await.map_err(about)?
    } else {
        Arc::default()
    };
    let columns = columns::of(kind, &templates);
    let record_type = Arc::new(record_type(kind, name, folder.as_ref(), scope, &columns));
    Ok(DropboxRecords {
        account: Arc::clone(account),
        kind,
        scope: scope.map(str::to_owned),
        folder,
        columns,
        templates,
        record_type,
    })
}

fn record_type(
    kind: Kind,
    name: &TypeName,
    folder: Option<&Folder>,
    scope: Option<&str>,
    columns: &[Column],
) -> RecordType {
    let (label, plural, about) = labels(kind);
    let alternate = |field: &str, insertable| AlternateKey { fields: KeyFields::single(field), insertable };
    let of = folder.map(|folder| folder.path.as_str()).or(scope);
    RecordType {
        name: name.clone(),
        provider: "dropbox".to_owned(),
        label: label.to_owned(),
        label_plural: of.map_or_else(|| plural.to_owned(), |of| format!("{plural} of {of}")),
        description: Some(about.to_owned()),
        custom: false,
        fields: columns.iter().map(|column| column.field.clone()).collect(),
        key: KeyFields::single(kind.key()),
        alternate_keys: match kind {
            Kind::File => vec![alternate("path_lower", false), alternate("path", true)],
            Kind::Folder => vec![alternate("path_lower", false), alternate("path", false)],
            Kind::Entry | Kind::Revision | Kind::SharedLink => Vec::new(),
        },
        relationships: Vec::new(),
        capability: capability(kind),
    }
}

fn flag(title: &str, description: &str) -> Json {
    json!({ "type": "boolean", "title": title, "description": description })
}

/// A schema of options.
fn options(properties: &[(&str, Json)]) -> Json {
    let mut schema = no_options();
    let members = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    schema["properties"] = Json::Object(members.collect());
    schema
}

fn autorename() -> (&'static str, Json) {
    let what = "Whether an entry whose path is taken gets another name, such as \"plan (1).pdf\"";
    ("autorename", flag("Rename where taken", what))
}

fn mute() -> (&'static str, Json) {
    ("mute", flag("Quietly", "Whether the user's devices are not told of the change"))
}

fn strict() -> (&'static str, Json) {
    let what = "Whether a path is taken also by a file of the same content; it is unless this is false";
    ("strict_conflict", flag("Strict conflicts", what))
}

fn content_options() -> Json {
    let modified = json!({
        "type": "string", "title": "Modified by the client",
        "description": "When the file was changed, such as 2026-01-31T09:30:00Z; whole seconds",
    });
    let mode = json!({
        "type": "string", "title": "Mode", "enum": ["overwrite", "add"],
        "description": "Whether what stands at the path is written over; with add the path must be free",
    });
    let rev = json!({
        "type": "string", "title": "Revision",
        "description": "Only over this revision of the file",
    });
    let options =
        [("mode", mode), ("rev", rev), ("client_modified", modified), autorename(), strict(), mute()];
    self::options(&options)
}

fn capability(kind: Kind) -> Capability {
    let get = |fields: &[&str]| GetCapability {
        batch_max: GET_MAX,
        by: fields.iter().map(|field| KeyFields::single(*field)).collect(),
    };
    let search = |page_max: u32, native: bool, include_deleted: bool| SearchCapability {
        page_max,
        page_min: 1,
        page_default: page_max,
        order: false,
        count: false,
        include_deleted,
        native: native.then(|| "Dropbox search text".to_owned()),
    };
    let changes = || ChangesCapability { deletions: true, window_days: None };
    let batches = WriteCapability::batches_of;
    let content = |writable| ContentCapability {
        fields: vec!["content".to_owned()],
        writable,
        bytes_max: writable.then_some(FILE_MAX),
        options: if writable { content_options() } else { no_options() },
    };
    let copy =
        ("copy", flag("Copy", "Whether the entry stays where it is and a copy of it gets the new path"));
    let transfer = (
        "allow_ownership_transfer",
        flag("Allow another owner", "Whether a move may give the entry another owner"),
    );
    match kind {
        Kind::File => Capability {
            search: Some(search(PAGE_MAX, true, false)),
            get: Some(get(&["id", "path_lower", "path"])),
            create: Some(WriteCapability {
                options: options(&[autorename(), strict(), mute()]),
                marker: true,
                marks: vec!["path".to_owned()],
                ..batches(FILES)
            }),
            update: Some(WriteCapability {
                version: VersionSupport::Exact,
                options: options(&[copy, autorename(), transfer, strict(), mute()]),
                ..batches(FILES)
            }),
            upsert: Some(UpsertCapability {
                write: WriteCapability {
                    version: VersionSupport::Exact,
                    options: options(&[mute()]),
                    simulated: Some("a look at the path, then an upload".to_owned()),
                    ..batches(FILES)
                },
                by: vec![KeyFields::single("path")],
                match_only: Vec::new(),
            }),
            delete: Some(WriteCapability { version: VersionSupport::Exact, ..batches(ENTRIES) }),
            changes: Some(changes()),
            content: Some(content(true)),
        },
        Kind::Folder => Capability {
            search: Some(search(PAGE_MAX, true, false)),
            get: Some(get(&["id", "path_lower", "path"])),
            create: Some(WriteCapability {
                options: options(&[autorename()]),
                marker: true,
                marks: vec!["path".to_owned()],
                ..batches(FOLDERS)
            }),
            update: Some(WriteCapability {
                options: options(&[copy, autorename(), transfer]),
                ..batches(FOLDERS)
            }),
            delete: Some(batches(ENTRIES)),
            changes: Some(changes()),
            ..Capability::default()
        },
        Kind::Entry => Capability {
            search: Some(search(PAGE_MAX, true, true)),
            get: Some(get(&["path_lower"])),
            changes: Some(changes()),
            ..Capability::default()
        },
        Kind::Revision => Capability {
            search: Some(search(100, false, false)),
            get: Some(get(&["rev"])),
            content: Some(content(false)),
            ..Capability::default()
        },
        Kind::SharedLink => Capability {
            search: Some(search(200, false, false)),
            get: Some(get(&["url"])),
            create: Some(batches(1)),
            update: Some(batches(1)),
            delete: Some(batches(1)),
            ..Capability::default()
        },
    }
}
