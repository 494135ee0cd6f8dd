//! The suite over Dropbox, with a template of custom properties.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recordport::emulator::EmulatorConfig;
use recordport::emulator::dropbox::Dropbox;
use recordport::providers;
use recordport::record::record_type::Field;
use recordport::record::{RecordType, TypeName};
use serde_json::{Value, json};

use super::subject::{Service, Subject};
use crate::support::emulated::Emulated;

const TYPES: &[&str] = &["file", "folder", "file:/Reports"];

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
        let asks = ["list_folder", "get_metadata", "upload_session/start", "templates/", "/check", "/users/"];
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

    fn versioned_edit(&self, record_type: &RecordType, text: &str) -> (String, Value) {
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

#[tokio::test(flavor = "multi_thread")]
async fn dropbox_behaves() {
    let emulated =
        Emulated::start(EmulatorConfig::default(), |config| Ok(vec![Arc::new(Dropbox::start(config))])).await;
    let token = emulated.emulator.credentials()["dropbox"]["access_token"].as_str().unwrap().to_owned();
    let template = json!({ "name": "Review", "description": "How far it is", "fields": [
        { "name": "state", "description": "What is done", "type": { ".tag": "string" } },
        { "name": "by", "description": "", "type": { ".tag": "string" } },
    ]});
    // Folders enough for several pages.
    let folders: Vec<String> = (0..450).map(|at| format!("/Cases/{at}")).collect();
    for (function, argument) in [
        ("file_properties/templates/add_for_user", template),
        ("files/create_folder_batch", json!({ "paths": folders })),
    ] {
        let request = emulated.client.post(emulated.url(&format!("/2/{function}"))).bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(argument.to_string());
        assert_eq!(request.send().await.unwrap().status(), 200, "{function}");
    }
    let factory = providers::find("dropbox").unwrap();
    let subject = Subject::start(factory, emulated, TYPES, IDLE.to_vec(), Box::new(DropboxAccount)).await;
    super::run(subject).await;
}

/// Cursors of Dropbox do not end with time; those that it gives up have tests of their own.
const IDLE: [&str; 1] = ["a feed recovers from an expired checkpoint"];
