//! Dropbox.

use serde_json::{Value, json};

use super::subject::{Redefinition, Refusal, Service, Subject};
use crate::support::org::Org;

pub(super) const SERVICE: Subject = &Dropbox;

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
        "preview_url"
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

    async fn redefine(&self, _: &Org, how: Redefinition) {
        panic!("the fields of Dropbox are those of its specification: {how:?}");
    }
}
