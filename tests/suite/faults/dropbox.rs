//! Dropbox.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recordport::record::KeyFields;
use serde_json::{Value, json};

use super::subject::{Redefinition, Refusal, Service, Subject, Upserts, Writing, Written};
use crate::support::org::Org;

pub(super) const SERVICE: Subject = &Dropbox;
pub(super) const WRITTEN: Written = &Dropbox;

struct Dropbox;

#[async_trait::async_trait]
impl Service for Dropbox {
    fn name(&self) -> &'static str {
        "dropbox"
    }

    fn kind(&self) -> &'static str {
        "file:/Reports/2022"
    }

    fn scale(&self) -> u64 {
        1
    }

    fn page_size(&self) -> usize {
        17
    }

    fn large(&self) -> (u64, usize, usize) {
        (4, 350, 150)
    }

    fn key(&self) -> &'static str {
        "id"
    }

    fn text(&self) -> &'static str {
        "name"
    }

    fn spare(&self) -> &'static str {
        "content_hash"
    }

    fn numbers(&self) -> (&'static str, &'static str) {
        ("file:/Reports/2022", "size")
    }

    fn pages(&self) -> &'static str {
        "/2/files/list_folder*"
    }

    fn is_page(&self, request: &Value) -> bool {
        request["path"].as_str().is_some_and(|path| path.starts_with("/2/files/list_folder"))
    }

    fn next_path(&self) -> &'static str {
        "/2/files/list_folder/continue"
    }

    async fn expire_places(&self, org: &Org) {
        org.control("reset-cursors", Value::Null).await;
    }

    fn last_page(&self, rows: &[Value]) -> Value {
        json!({ "entries": rows, "cursor": "AAlast", "has_more": false })
    }

    fn refusal(&self, why: Refusal) -> Value {
        let tag = |tag: &str| json!({ "error_summary": format!("{tag}/.."), "error": { ".tag": tag } });
        let (status, body) = match why {
            Refusal::Right => (403, tag("no_permission")),
            Refusal::Place => (409, tag("reset")),
            Refusal::Busy => (
                429,
                json!({ "error": { "reason": { ".tag": "too_many_write_operations" }, "retry_after": 2 } }),
            ),
            Refusal::Unknown => (409, tag("made_up_tomorrow")),
        };
        json!({ "kind": "status", "status": status, "body": body })
    }

    fn gone_code(&self) -> &'static str {
        "status_400"
    }

    fn new_field(&self) -> &'static str {
        "made_up_tomorrow"
    }

    fn newcomer(&self, text: &str) -> Value {
        json!({ "path": text })
    }

    async fn redefine(&self, _: &Org, how: Redefinition) {
        panic!("the fields of Dropbox are those of its specification: {how:?}");
    }
}

/// Names that were given.
static NAMES: AtomicU64 = AtomicU64::new(1);

/// The content hash of what fits into one block.
fn content_hash(text: &str) -> String {
    let hash = digest(&SHA256, digest(&SHA256, text.as_bytes()).as_ref());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn status(status: u16, body: Value) -> Value {
    json!({ "kind": "status", "status": status, "body": body })
}

fn write_error(reason: &Value) -> Value {
    json!({ "error_summary": "path/..", "error": { ".tag": "path", "reason": reason } })
}

/// Rows are told apart by what is in the files.
impl Writing for Dropbox {
    fn written(&self) -> &'static str {
        self.kind()
    }

    fn label(&self) -> &'static str {
        "content_hash"
    }

    fn row(&self, label: &str) -> Value {
        let name = format!("row {}.txt", NAMES.fetch_add(1, Ordering::Relaxed));
        json!({ "path": name, "content": STANDARD.encode(label) })
    }

    fn bad_rows(&self) -> [(&'static str, Value); 3] {
        let with = |field: &'static str, value: Value| {
            let mut row = self.row("bad");
            row["path"] = json!(format!("bad {field}"));
            row[field] = value;
            (field, row)
        };
        [with("client_modified", json!("soon")), with("size", json!(3)), with("nothing", json!(1))]
    }

    fn own_mark(&self, number: u8) -> Option<(&'static str, Value)> {
        Some(("path", json!(format!("own {number}.txt"))))
    }

    fn mark(&self, number: u8) -> Value {
        json!({ "path": format!("own {number}.txt") })
    }

    fn alternate(&self, _: &Value) -> (KeyFields, String, Upserts) {
        (KeyFields::single("path"), "lost 1.txt".to_owned(), Upserts::Creates)
    }

    fn writes(&self, method: &str) -> &'static str {
        if method == "DELETE" { "/2/files/delete_v2" } else { "/2/files/upload" }
    }

    fn writes_of(&self, method: &str, rows: usize) -> &'static str {
        if rows == 1 { self.writes(method) } else { "/2/files/upload_session/finish_batch_v2" }
    }

    fn knows_each_row(&self) -> bool {
        true
    }

    fn has_label(&self, row: &Value, label: &str) -> bool {
        row["content_hash"] == content_hash(label)
    }

    fn relabelled(&self, label: &str) -> Value {
        json!({ "content": STANDARD.encode(label) })
    }

    fn conflict(&self) -> Value {
        status(409, write_error(&json!({ ".tag": "conflict", "conflict": { ".tag": "file" } })))
    }

    fn is_write(&self, request: &Value) -> bool {
        let path = request["path"].as_str().unwrap_or_default();
        // Bytes that wait in a session are in no place.
        ["/2/files/upload", "/2/files/upload_session/finish_batch_v2", "/2/files/delete_v2"].contains(&path)
    }

    fn method(&self, _: &'static str) -> &'static str {
        "POST"
    }

    fn refused_row_code(&self) -> &'static str {
        "path/no_write_permission"
    }

    fn created(&self, count: usize) -> Value {
        let one = json!({ ".tag": "success", "id": "id:AAAAAAAAAAAAAAAAAAAAAA", "name": "x" });
        status(200, json!({ "entries": vec![one; count] }))
    }

    fn busy_rows(&self, count: usize) -> Value {
        let reason = json!({ ".tag": "too_many_write_operations" });
        if count == 1 {
            return status(409, write_error(&reason));
        }
        let one = json!({ ".tag": "failure", "failure": { ".tag": "path", "path": reason } });
        status(200, json!({ "entries": vec![one; count] }))
    }
}
