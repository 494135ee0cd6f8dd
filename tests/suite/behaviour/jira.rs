//! The suite over Jira, with every request and every answer judged by the service's OpenAPI document.

use std::sync::Arc;

use recordport::emulator::EmulatorConfig;
use recordport::emulator::jira::Jira;
use recordport::emulator::service::Service as _;
use recordport::providers;
use recordport::record::record_type::{Field, FieldType};
use recordport::record::{RecordType, TypeName};
use serde_json::{Value, json};

use super::subject::{Service, Subject};
use crate::jira_openapi::{Conforming, Judged};
use crate::support::emulated::Emulated;

const TYPES: &[&str] =
    &["issue", "issue:OPS/Bug", "issue:WEB/Story", "version:OPS", "component:OPS", "project", "user"];

struct JiraCloud;

impl Service for JiraCloud {
    fn page_path(&self) -> &'static str {
        "*/rest/api/3/search/jql"
    }

    fn write_path(&self) -> &'static str {
        "*/rest/api/3/issue/bulk"
    }

    fn is_write(&self, request: &Value) -> bool {
        let path = request["path"].as_str().unwrap_or_default();
        let asks = ["/search/jql", "/issue/bulkfetch"].iter().any(|own| path.ends_with(own));
        path.contains("/rest/api/") && request["method"] != "GET" && !asks
    }

    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>) {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", text("client_id")),
            ("client_secret", text("client_secret")),
            ("refresh_token", text("refresh_token")),
        ];
        ("/oauth/token", form)
    }

    fn page_path_of(&self, name: &TypeName) -> String {
        match name.base() {
            "issue" => self.page_path().to_owned(),
            of_project @ ("version" | "component") => format!("*/rest/api/3/project/*/{of_project}*"),
            "user" => "*/rest/api/3/users/search*".to_owned(),
            other => format!("*/rest/api/3/{other}/search*"),
        }
    }

    fn write_path_of(&self, name: &TypeName) -> String {
        match name.base() {
            "issue" => self.write_path().to_owned(),
            other => format!("*/rest/api/3/{other}"),
        }
    }

    fn is_paged(&self, name: &TypeName) -> bool {
        name.base() == "issue"
    }

    fn core_types(&self) -> &'static [&'static str] {
        &["issue", "issue:OPS/Bug", "issue:WEB/Story"]
    }

    fn plain_text_field(&self, record_type: &RecordType) -> String {
        (if record_type.name.base() == "issue" { "summary" } else { "description" }).to_owned()
    }

    fn reads_otherwise(&self, _: &Field) -> bool {
        false
    }

    fn form(&self, record_type: &RecordType) -> Option<&'static str> {
        // Which fields an issue takes, and which values, depends on its project and type.
        (record_type.name.as_str() == "issue").then_some("issue:OPS/Bug")
    }

    fn known_value(&self, field: &Field) -> Option<Value> {
        let group = field.note.as_deref().is_some_and(|note| note.contains("Groups"));
        (group && matches!(field.field_type, FieldType::Text { .. })).then(|| json!("jira-users"))
    }

    fn known_value_of(&self, form: &RecordType, field: &Field) -> Option<Value> {
        match (form.name.as_str(), field.name.as_str()) {
            // Parents are issues of the same project.
            ("issue:WEB/Story", "parent") => Some(json!("10001")),
            ("version:OPS", "projectId") => Some(json!("10000")),
            ("component:OPS", "project") => Some(json!("OPS")),
            _ => self.known_value(field),
        }
    }

    fn is_unique(&self, field: &Field) -> bool {
        // Names of versions and components are unique in their project.
        field.unique || field.name == "name"
    }

    fn is_of(&self, name: &TypeName, row: &Value) -> bool {
        let Some((project, issue_type)) = name.scope().and_then(|scope| scope.split_once('/')) else {
            // How many there are elsewhere does not matter to the cases.
            return true;
        };
        row["fields"]["project"]["key"] == project && row["fields"]["issuetype"]["name"] == issue_type
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jira_behaves() {
    let config = EmulatorConfig { scale: 2, ..EmulatorConfig::default() };
    let mut judge = None;
    let emulated = Emulated::start(config, |config| {
        let service = Conforming::new(Jira::start(config)?, Judged::Both);
        judge = Some(service.clone());
        Ok(vec![Arc::new(service)])
    })
    .await;
    let judge = judge.unwrap();
    assert_eq!(judge.name(), "jira");
    let factory = providers::find("jira").unwrap();
    super::run(Subject::start(factory, emulated, TYPES, IDLE.to_vec(), Box::new(JiraCloud)).await).await;
    judge.report().assert_conforms();
}

/// What no type of issues can do: nothing in Jira is unique but the key, which Jira gives; and a feed tells no
/// deletions, so that there is nothing to recover.
const IDLE: [&str; 2] = ["upsert twice is one record", "a feed recovers from an expired checkpoint"];
