//! Paper documents: files whose names end in `.paper`. They have no bytes of their own and are written out in a format.
//!
//! Here a document is kept as the Markdown or text that made it; as HTML each of its lines is a paragraph.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Space;
use super::arguments::PathKind;
use super::call::Call;
use super::content::{Content, content_hash};
use super::download::{self, OCTETS, RESULT};
use super::errors::{Refusal, tagged};
use super::metadata::Look;
use super::places;
use super::tree::{Kind, Node, Revision};
use crate::emulator::service::Reply;

const ENDING: &str = ".paper";
/// The format when none is asked for, and the formats that may be.
const USUAL: &str = "html";
const FORMATS: [&str; 2] = [USUAL, "markdown"];

/// Whether a file cannot be downloaded as it is.
pub(super) fn is_document(node: &Node) -> bool {
    !node.is_folder() && node.name().to_lowercase().ends_with(ENDING)
}

/// What the metadata of a document says of its formats.
pub(super) fn export_info() -> Value {
    json!({ "export_as": USUAL, "export_options": FORMATS })
}

fn written_out(text: &str, format: &str) -> Bytes {
    if format != USUAL {
        return Bytes::copy_from_slice(text.as_bytes());
    }
    let escape = |line: &str| line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let lines: Vec<String> = text.lines().map(|line| format!("<p>{}</p>", escape(line))).collect();
    format!("<!DOCTYPE html>\n<html><body>\n{}\n</body></html>\n", lines.join("\n")).into()
}

pub(super) fn export(space: &Space, call: &Call<'_>) -> Result<Reply, Refusal> {
    call.arguments.only(&["path", "export_format"])?;
    let (node, revision) = download::file(space, call)?;
    if !is_document(&node) {
        return Err(Refusal::tags(&["non_exportable"]));
    }
    let format = call.arguments.optional_text("export_format")?.unwrap_or(USUAL);
    if !FORMATS.contains(&format) {
        return Err(Refusal::tags(&["invalid_export_format"]));
    }
    let bytes = written_out(&String::from_utf8_lossy(&revision.content.bytes()), format);
    let stem = node.name().rsplit_once('.').map_or(node.name(), |(stem, _)| stem);
    let ending = if format == USUAL { "html" } else { "md" };
    let look = Look { tree: &space.tree, view: &call.view, tag: false, templates: &[] };
    let result = json!({
        "export_metadata": {
            "name": format!("{stem}.{ending}"),
            "size": bytes.len(),
            "export_hash": content_hash(std::iter::once(&bytes[..])),
            "paper_revision": number_of(&node),
        },
        "file_metadata": look.file(&node, &revision),
    });
    let reply = Reply::new(http::StatusCode::OK, OCTETS, bytes);
    Ok(reply.with_header(RESULT, &download::ascii(&result.to_string())))
}

/// The number of the present revision of a document.
fn number_of(node: &Node) -> usize {
    match &node.kind {
        Kind::File(revisions) => revisions.len(),
        Kind::Folder => 0,
    }
}

pub(super) fn create(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["path", "import_format"])?;
    let text = call.arguments.path("path", PathKind::Write)?;
    if call.arguments.union("import_format", &["html", "markdown", "plain_text"], &[])?.is_none() {
        return Err(call.arguments.wrong("import_format", "missing required field"));
    }
    if !text.to_lowercase().ends_with(ENDING) {
        return Err(Refusal::tags(&["invalid_file_extension"]));
    }
    let (path, present) = places::place(&space.tree, &call.view, &space.home, text)
        .map_err(|_| Refusal::endpoint(tagged(&["invalid_path"])))?;
    if present.is_some() {
        return Err(Refusal::tags(&["invalid_path"]));
    }
    let revision = Revision {
        rev: space.tree.new_rev(),
        content: Content::given(vec![call.request.body.clone()]),
        client_modified: call.now,
        server_modified: call.now,
    };
    let node = space.tree.add(&path, Kind::File(vec![revision]), Vec::new());
    Ok(json!({
        "url": format!("{}/scl/fi/paper?dl=0", call.request.origin),
        "result_path": call.view.shown(&node.path).unwrap_or(&node.path),
        "file_id": space.tree.id_text(node.id),
        "paper_revision": 1,
    }))
}
