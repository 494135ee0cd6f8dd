//! The suite over Dropbox, with a template of custom properties.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recordport::emulator::EmulatorConfig;
use recordport::emulator::dropbox::Dropbox;
use recordport::emulator::service::Service as _;
use recordport::error::Error;
use recordport::providers;
use recordport::record::record_type::Field;
use recordport::record::{RecordType, TypeName};
use serde_json::{Value, json};

use super::subject::{Service, Subject};
use crate::support::emulated::Emulated;

const TYPES: &[&str] =
    &["file", "folder", "file:/Reports", "entry:/Reports", "revision:/Versions/plan.txt", "shared_link"];
/// Folders of which links are made, one each.
const FOLDERS: usize = 450;
static LINKED: AtomicUsize = AtomicUsize::new(0);

/// The next folder that has no link.
fn unlinked() -> Value {
    json!(format!("/Cases/{}", LINKED.fetch_add(1, Ordering::Relaxed) % FOLDERS))
}

struct DropboxAccount;

impl Service for DropboxAccount {
    fn page_path(&self) -> &'static str {
        "/2/files/list_folder*"
    }

    fn write_path(&self) -> &'static str {
        "/2/files/*"
    }

    fn is_write(&self, request: &Value) -> bool {
        let path = request["path"].as_str().unwrap_or_default();
        // Bytes that wait in a session are in no place.
        let asks = [
            "list_folder",
            "get_metadata",
            "upload_session/start",
            "templates/",
            "/check",
            "/users/",
            "list_revisions",
            "list_shared_links",
            "get_shared_link_metadata",
        ];
        path.starts_with("/2/") && !asks.iter().any(|own| path.contains(own))
    }

    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>) {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", text("client_id")),
            ("client_secret", text("client_secret")),
            ("refresh_token", text("refresh_token")),
        ];
        ("/oauth2/token", form)
    }

    fn plain_text_field(&self, _: &RecordType) -> String {
        "Review_state".to_owned()
    }

    fn reads_otherwise(&self, field: &Field) -> bool {
        // A path is told from the root, a folder too, and content as the revision that has it.
        ["path", "parent_path", "content"].contains(&field.name.as_str())
    }

    fn page_path_of(&self, name: &TypeName) -> String {
        let path = match name.base() {
            "revision" => "/2/files/list_revisions",
            "shared_link" => "/2/sharing/list_shared_links",
            _ => self.page_path(),
        };
        path.to_owned()
    }

    fn write_path_of(&self, name: &TypeName) -> String {
        let of_links = name.base() == "shared_link";
        (if of_links { "/2/sharing/create_shared_link_with_settings" } else { self.write_path() }).to_owned()
    }

    fn is_paged(&self, name: &TypeName) -> bool {
        // The pages of the others go on in another way than the fault rules know.
        !["revision", "shared_link"].contains(&name.base())
    }

    fn maker_of(&self, record_type: &RecordType, field: &Field) -> Option<fn() -> Value> {
        let of_link = record_type.name.base() == "shared_link" && field.name == "path";
        of_link.then_some(unlinked as fn() -> Value)
    }

    fn plain_edit(&self, record_type: &RecordType) -> (String, Value) {
        match record_type.name.base() {
            "shared_link" => ("expires".to_owned(), json!("2032-02-29T12:00:00Z")),
            _ => (self.plain_text_field(record_type), json!("changed")),
        }
    }

    fn versioned_edit(&self, record_type: &RecordType, text: &str) -> (String, Value) {
        if record_type.name.base() == "shared_link" {
            return self.plain_edit(record_type);
        }
        if record_type.field("content").is_some() {
            return ("content".to_owned(), json!(STANDARD.encode(text)));
        }
        (self.plain_text_field(record_type), json!(text))
    }

    fn takes(&self, field: &Field, _: &str) -> bool {
        // Two entries have no name in common, and no name holds a backslash: names have tests of their own.
        !["name", "parent_path"].contains(&field.name.as_str())
    }

    fn core_types(&self) -> &'static [&'static str] {
        &["file", "folder"]
    }

    fn is_of(&self, name: &TypeName, row: &Value) -> bool {
        let lower = row["path_lower"].as_str();
        name.scope().is_none_or(|folder| {
            lower.is_some_and(|path| path.starts_with(&format!("{}/", folder.to_lowercase())))
        })
    }
}

/// Files enough for several pages, and no more: each search lists all of them. The whole seed is listed by a test of its
/// own.
fn files() -> tempfile::TempDir {
    let disk = tempfile::tempdir().unwrap();
    for (folder, count) in [("Reports/2022", 130), ("Reports/O'Brien & Söhne", 140), ("日本語", 40)] {
        std::fs::create_dir_all(disk.path().join(folder)).unwrap();
        for number in 0..count {
            let name = ["plan", "Größe \"x\".pdf", "100%_sure.md", "🚀.tar.gz", "no extension"][number % 5];
            let path = disk.path().join(folder).join(format!("{number} {name}"));
            std::fs::write(path, "x".repeat(number)).unwrap();
        }
    }
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn dropbox_behaves() {
    let disk = files();
    let config = EmulatorConfig { empty: true, ..EmulatorConfig::default() };
    let emulated = Emulated::start(config, |config| {
        let service = Dropbox::start(config);
        service.import(disk.path()).map_err(Error::local)?;
        Ok(vec![Arc::new(service)])
    })
    .await;
    let token = emulated.emulator.credentials()["dropbox"]["access_token"].as_str().unwrap().to_owned();
    let template = json!({ "name": "Review", "description": "How far it is", "fields": [
        { "name": "state", "description": "What is done", "type": { ".tag": "string" } },
        { "name": "by", "description": "", "type": { ".tag": "string" } },
    ]});
    // Folders enough for several pages.
    let folders: Vec<String> = (0..FOLDERS).map(|at| format!("/Cases/{at}")).collect();
    for (function, argument) in [
        ("file_properties/templates/add_for_user", template),
        ("files/create_folder_batch", json!({ "paths": folders })),
    ] {
        let request = emulated.client.post(emulated.url(&format!("/2/{function}"))).bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(argument.to_string());
        assert_eq!(request.send().await.unwrap().status(), 200, "{function}");
    }
    for text in ["first", "second", "third"] {
        let request = emulated.client.post(emulated.url("/2/files/upload")).bearer_auth(&token);
        let argument = json!({ "path": "/Versions/plan.txt", "mode": "overwrite" }).to_string();
        let request =
            request.header("dropbox-api-arg", argument).header("content-type", "application/octet-stream");
        assert_eq!(request.body(text).send().await.unwrap().status(), 200, "{text}");
    }
    let factory = providers::find("dropbox").unwrap();
    let subject = Subject::start(factory, emulated, TYPES, IDLE.to_vec(), Box::new(DropboxAccount)).await;
    super::run(subject).await;
}

/// Cursors of Dropbox do not end with time; those that it gives up have tests of their own.
const IDLE: [&str; 1] = ["a feed recovers from an expired checkpoint"];
