//! The suite over Jira, with every request and every answer judged by the service's OpenAPI document.

use std::sync::Arc;

use recordport::emulator::EmulatorConfig;
use recordport::emulator::jira::Jira;
use recordport::emulator::service::Service as _;
use recordport::provider::{Content, NewRow, Outcome, WriteOptions};
use recordport::providers;
use recordport::record::record_type::{Field, FieldType};
use recordport::record::{Key, RecordType, TypeName};
use serde_json::{Value, json};

use super::subject::{Service, Subject};
use crate::jira_openapi::{Conforming, Judged};
use crate::support::emulated::Emulated;

const TYPES: &[&str] =
    &["issue", "issue:OPS/Bug", "issue:WEB/Story", "version:OPS", "component:OPS", "project", "user"];

/// The parts of one issue. Links are not among them: two that are alike are one, and most cases create several.
const PARTS: &[&str] =
    &["comment:OPS-1", "worklog:OPS-1", "attachment:OPS-1", "changelog:OPS-1", "transition:OPS-1"];

struct JiraCloud {
    /// Whether parts of issues are looked at, of which none must apply to every case.
    parts: bool,
}

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
            "attachment" => "*/rest/api/3/issue/OPS-1*".to_owned(),
            of_issue @ ("comment" | "worklog" | "changelog" | "transition") => {
                format!("*/rest/api/3/issue/*/{of_issue}*")
            }
            other => format!("*/rest/api/3/{other}/search*"),
        }
    }

    fn write_path_of(&self, name: &TypeName) -> String {
        match name.base() {
            "issue" => self.write_path().to_owned(),
            of_issue @ ("comment" | "worklog") => format!("*/rest/api/3/issue/*/{of_issue}"),
            other => format!("*/rest/api/3/{other}"),
        }
    }

    fn is_paged(&self, name: &TypeName) -> bool {
        name.base() == "issue"
    }

    fn core_types(&self) -> &'static [&'static str] {
        if self.parts { &[] } else { &["issue", "issue:OPS/Bug", "issue:WEB/Story"] }
    }

    fn plain_text_field(&self, record_type: &RecordType) -> String {
        let name = match record_type.name.base() {
            "issue" => "summary",
            "comment" => "body",
            "worklog" => "comment",
            _ => "description",
        };
        name.to_owned()
    }

    fn reads_otherwise(&self, _: &Field) -> bool {
        false
    }

    fn form(&self, record_type: &RecordType) -> Option<&'static str> {
        // Which fields an issue takes, and which values, depends on its project and type.
        (record_type.name.as_str() == "issue").then_some("issue:OPS/Bug")
    }

    fn twin(&self, field: &str) -> Option<String> {
        Some(format!("{field}_adf"))
    }

    fn known_value(&self, field: &Field) -> Option<Value> {
        let group = field.note.as_deref().is_some_and(|note| note.contains("Groups"));
        (group && matches!(field.field_type, FieldType::Text { .. })).then(|| json!("jira-users"))
    }

    fn known_value_of(&self, form: &RecordType, field: &Field) -> Option<Value> {
        match (form.name.as_str(), field.name.as_str()) {
            // Parents are issues of the same project.
            ("issue:WEB/Story", "parent") => Some(json!("10001")),
            ("comment:OPS-1" | "worklog:OPS-1", "issueId") => Some(json!("10000")),
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
    behaves(TYPES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jiras_parts_behave() {
    behaves(PARTS).await;
}

async fn behaves(types: &[&str]) {
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
    let parts = types == PARTS;
    let idle = if parts { IDLE_OF_PARTS.to_vec() } else { IDLE.to_vec() };
    let service = JiraCloud { parts };
    let subject = Subject::start(factory, emulated, types, idle, Box::new(service)).await;
    if parts {
        furnish(&subject).await;
    }
    super::run(subject).await;
    judge.report().assert_conforms();
}

/// What no type of issues can do: nothing in Jira is unique but the key, which Jira gives; and a feed tells no
/// deletions, so that there is nothing to recover.
const IDLE: [&str; 2] = ["upsert twice is one record", "a feed recovers from an expired checkpoint"];

/// What the parts of an issue have besides nothing of: they come in one page, and have neither keys of others nor feeds.
const IDLE_OF_PARTS: [&str; 9] = [
    "created is found once over many pages",
    "an empty page with a next cursor goes on",
    "a stored cursor resumes the rest",
    "dropping the stream stops requests",
    "upsert twice is one record",
    "changes reports created, updated, deleted",
    "a feed without progress repeats nothing",
    "a feed recovers from an expired checkpoint",
    "a feed refuses a checkpoint that is not its own",
];

/// Gives the issue a part of each kind that can be made.
async fn furnish(subject: &Subject) {
    let issue = Key::text("10000");
    let edits = |pairs: &[(&str, Value)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), super::set(value))).collect()
    };
    let text = [("issueId", json!("10000")), ("body", json!("A first comment"))];
    let work = [("issueId", json!("10000")), ("timeSpentSeconds", json!(3600))];
    for (name, fields) in [("comment:OPS-1", edits(&text)), ("worklog:OPS-1", edits(&work))] {
        let records = subject.open_unchecked(&TypeName::new(name)).await;
        let row = NewRow { fields, marker: None };
        let made = records.create(&subject.cx, &[row], &WriteOptions::new()).await.unwrap();
        assert!(matches!(made[0], Outcome::Created(_)), "{made:?}");
    }
    let bytes = futures::stream::iter([Ok(bytes::Bytes::from_static(b"a file"))]);
    let content =
        Content::new(Box::pin(bytes)).of_length(Some(6)).of_media_type(Some("text/plain".to_owned()));
    let named = WriteOptions::from_iter([("file_name".to_owned(), json!("a.txt"))]);
    let issues = subject.open_unchecked(&TypeName::new("issue")).await;
    issues.write_content(&subject.cx, &issue, "attachment", content, &named).await.unwrap();
}
