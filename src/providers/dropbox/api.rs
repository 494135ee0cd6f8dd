//! One function per remote call: what goes over the wire, as data.
//!
//! Source: "Dropbox for HTTP Developers" and the Stone specification of the API. Three styles: JSON in and out;
//! bytes in with the argument in a header; bytes out with argument and result in headers.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RANGE};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value as Json, json};

use super::arg;
use crate::error::{Error, Result};
use crate::http::{Call, Target};

/// Role of the host of most functions.
const API: &str = "api";
/// Role of the host of bytes.
const CONTENT: &str = "content";
/// Role of the host of waiting.
const NOTIFY: &str = "notify";
const ARGUMENT: HeaderName = HeaderName::from_static("dropbox-api-arg");
/// Where a download says what it is.
pub(super) const RESULT: &str = "dropbox-api-result";

fn target(role: &'static str, route: &str) -> Target {
    Target::Role { role, path: format!("/2/{route}") }
}

/// A function that changes something.
pub(super) fn rpc(operation: &'static str, route: &str, argument: &Json) -> Call {
    Call::new(operation, Method::POST, target(API, route)).with_json(argument.to_string())
}

/// A function that only asks.
pub(super) fn ask(operation: &'static str, route: &str, argument: &Json) -> Call {
    rpc(operation, route, argument).read_only()
}

/// A function that takes bytes.
///
/// # Errors
/// A bug, when the argument fits into no header.
pub(super) fn upload(operation: &'static str, route: &str, argument: &Json, body: Bytes) -> Result<Call> {
    let mut call = Call::new(operation, Method::POST, target(CONTENT, route))
        .with_header(ARGUMENT, arg::header(argument)?)
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    call.body = body;
    Ok(call)
}

/// The bytes of a file, named by path, id or revision, from some byte on.
///
/// # Errors
/// A bug, when the argument fits into no header.
pub(super) fn download(path: &str, from: Option<u64>) -> Result<Call> {
    let mut call = Call::new("content get", Method::POST, target(CONTENT, "files/download"))
        .with_header(ARGUMENT, arg::header(&json!({ "path": path }))?)
        .read_only()
        .streamed();
    if let Some(from) = from {
        let range = HeaderValue::from_str(&format!("bytes={from}-"))
            .map_err(|source| Error::bug("a range does not fit into a header").with_source(source))?;
        call = call.with_header(RANGE, range);
    }
    Ok(call)
}

/// The bytes that Dropbox writes out of a file that has none of its own, in a format or in the file's usual one.
///
/// # Errors
/// A bug, when the argument fits into no header.
pub(super) fn export(path: &str, format: Option<&str>) -> Result<Call> {
    let mut argument = json!({ "path": path });
    if let Some(format) = format {
        argument["export_format"] = format.into();
    }
    Ok(Call::new("content get", Method::POST, target(CONTENT, "files/export"))
        .with_header(ARGUMENT, arg::header(&argument)?)
        .read_only()
        .streamed())
}

/// Whose account it is.
pub(super) fn account(operation: &'static str) -> Call {
    ask(operation, "users/get_current_account", &Json::Null)
}

/// What a listing is to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing<'a> {
    pub(super) path: &'a str,
    pub(super) recursive: bool,
    pub(super) deleted: bool,
    pub(super) size: u32,
    /// Whether each file tells if somebody was invited to it alone.
    pub(super) members: bool,
    /// Templates whose properties are wanted.
    pub(super) templates: &'a [String],
}

impl Listing<'_> {
    fn argument(&self) -> Json {
        let mut out = json!({
            "path": self.path,
            "recursive": self.recursive,
            "include_deleted": self.deleted,
            "limit": self.size,
        });
        if self.members {
            out["include_has_explicit_shared_members"] = true.into();
        }
        with_templates(out, self.templates)
    }
}

fn with_templates(mut argument: Json, templates: &[String]) -> Json {
    if !templates.is_empty() {
        argument["include_property_groups"] = json!({ ".tag": "filter_some", "filter_some": templates });
    }
    argument
}

/// The first page of a folder.
pub(super) fn list(operation: &'static str, listing: &Listing<'_>) -> Call {
    ask(operation, "files/list_folder", &listing.argument())
}

/// A later page of a folder, or what changed since.
pub(super) fn list_on(operation: &'static str, cursor: &str) -> Call {
    ask(operation, "files/list_folder/continue", &json!({ "cursor": cursor }))
}

/// Where a folder's changes from now on begin.
pub(super) fn latest_cursor(listing: &Listing<'_>) -> Call {
    ask("changes", "files/list_folder/get_latest_cursor", &listing.argument())
}

/// Waits until there are changes behind a cursor, or some seconds have passed. It is asked without a token.
pub(super) fn longpoll(cursor: &str, seconds: u64) -> Call {
    let argument = json!({ "cursor": cursor, "timeout": seconds });
    let mut call = Call::new("changes", Method::POST, target(NOTIFY, "files/list_folder/longpoll"))
        .with_json(argument.to_string())
        .read_only();
    call.authorize = false;
    call
}

/// One entry, by path, id or revision.
pub(super) fn metadata(operation: &'static str, path: &str, deleted: bool, templates: &[String]) -> Call {
    let argument = json!({ "path": path, "include_deleted": deleted });
    ask(operation, "files/get_metadata", &with_templates(argument, templates))
}

/// Revisions of a file, the newest first, behind one of them.
pub(super) fn revisions(path: &str, size: u32, before: Option<&str>) -> Call {
    let mode = if path.starts_with("id:") { "id" } else { "path" };
    let mut argument = json!({ "path": path, "mode": mode, "limit": size });
    if let Some(before) = before {
        argument["before_rev"] = before.into();
    }
    ask("search", "files/list_revisions", &argument)
}

/// The first matches of a search by the index, of files with some extension where extensions are named.
pub(super) fn search(query: &str, folder: &str, names_only: bool, extensions: &[String], size: u32) -> Call {
    let mut options = json!({ "path": folder, "filename_only": names_only, "max_results": size });
    if !extensions.is_empty() {
        options["file_extensions"] = extensions.into();
    }
    ask("search", "files/search_v2", &json!({ "query": query, "options": options }))
}

/// Further matches.
pub(super) fn search_on(cursor: &str) -> Call {
    ask("search", "files/search/continue_v2", &json!({ "cursor": cursor }))
}

/// Shared links, of all entries or of one.
pub(super) fn links(operation: &'static str, path: Option<&str>, cursor: Option<&str>) -> Call {
    let mut argument = json!({});
    if let Some(path) = path {
        argument = json!({ "path": path, "direct_only": true });
    }
    if let Some(cursor) = cursor {
        argument["cursor"] = cursor.into();
    }
    ask(operation, "sharing/list_shared_links", &argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_ask_change_nothing_and_those_that_write_are_not_repeated() {
        assert!(ask("get", "files/get_metadata", &json!({})).read_only);
        let write = rpc("create", "files/create_folder_v2", &json!({}));
        assert!(!write.read_only && !write.idempotent);
        let call = upload("create", "files/upload", &json!({ "path": "/ü" }), Bytes::new()).unwrap();
        assert!(!call.read_only && !call.idempotent);
        assert_eq!(call.headers[ARGUMENT], "{\"path\":\"/\\u00fc\"}");
    }

    #[test]
    fn waiting_shows_no_token() {
        assert!(!longpoll("c", 30).authorize);
    }
}
