//! Jira.

use recordport::record::KeyFields;
use serde_json::{Value, json};

use super::subject::{Redefinition, Refusal, Service, Subject, Upserts, Writing, Written};
use crate::support::emulated::json_of;
use crate::support::org::Org;

pub(super) const SERVICE: Subject = &Jira;
pub(super) const WRITTEN: Written = &Jira;

struct Jira;

const TOKEN_DAYS: u64 = 7;

#[async_trait::async_trait]
impl Service for Jira {
    fn name(&self) -> &'static str {
        "jira"
    }

    fn kind(&self) -> &'static str {
        "issue"
    }

    fn scale(&self) -> u64 {
        1
    }

    fn page_size(&self) -> usize {
        40
    }

    fn large(&self) -> (u64, usize, usize) {
        (4, 900, 400)
    }

    fn key(&self) -> &'static str {
        "id"
    }

    fn text(&self) -> &'static str {
        "summary"
    }

    fn spare(&self) -> &'static str {
        "customfield_10030"
    }

    fn numbers(&self) -> (&'static str, &'static str) {
        ("issue", "customfield_10010")
    }

    fn value<'r>(&self, row: &'r Value, name: &str) -> &'r Value {
        if name == self.key() { &row[name] } else { &row["fields"][name] }
    }

    fn set(&self, row: &mut Value, name: &str, value: Value) {
        row["fields"][name] = value;
    }

    fn pages(&self) -> &'static str {
        "*/rest/api/3/search/jql"
    }

    fn is_page(&self, request: &Value) -> bool {
        request["path"].as_str().is_some_and(|path| path.ends_with("/search/jql"))
    }

    fn next_path(&self) -> &'static str {
        "/rest/api/3/search/jql"
    }

    async fn expire_places(&self, org: &Org) {
        org.advance((TOKEN_DAYS + 1) * 86_400).await;
    }

    fn last_page(&self, rows: &[Value]) -> Value {
        json!({ "issues": rows, "isLast": true })
    }

    fn refusal(&self, why: Refusal) -> Value {
        let (status, message) = match why {
            Refusal::Right => (403, "You do not have permission to perform this operation."),
            Refusal::Place => (400, "The provided nextPageToken is invalid or has expired."),
            Refusal::Busy => (429, "Rate limit exceeded."),
            Refusal::Unknown => (400, "A reason of the future."),
        };
        let body = json!({ "errorMessages": [message], "errors": {} });
        json!({ "kind": "status", "status": status, "body": body })
    }

    fn gone_code(&self) -> &'static str {
        "status_400"
    }

    fn new_field(&self) -> &'static str {
        "customfield_19999"
    }

    fn newcomer(&self, text: &str) -> Value {
        self.row(text)
    }

    async fn redefine(&self, org: &Org, how: Redefinition) {
        let credentials = org.emulated.emulator.credentials()["jira"].clone();
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let address = format!("/ex/jira/{}/rest/api/3/field", text("cloud_id"));
        let request = org.emulated.client.get(org.emulated.url(&address)).bearer_auth(text("access_token"));
        let mut fields = json_of(request.send().await.unwrap()).await;
        let list = fields.as_array_mut().unwrap();
        let at = list.iter().position(|field| field["id"] == self.spare()).unwrap();
        let another = |list: &mut Vec<Value>, id: &str| {
            let mut field = list[at].clone();
            field["id"] = json!(id);
            field["key"] = json!(id);
            field["name"] = json!(id);
            list.push(field);
        };
        match how {
            Redefinition::Gone => drop(list.remove(at)),
            Redefinition::Changed => {
                another(list, self.new_field());
                list[at]["schema"]["custom"] =
                    json!("com.atlassian.jira.plugin.system.customfieldtypes:textarea");
            }
            Redefinition::OfUnknownKind => {
                list[at]["schema"] =
                    json!({ "type": "hologram", "custom": "org.example:hologram", "customId": 10_030 });
            }
            Redefinition::Hostile => {
                another(list, self.new_field());
                another(list, "x\" OR project is not EMPTY OR \"");
            }
        }
        let rule = json!({ "kind": "status", "status": 200, "path": "*/rest/api/3/field", "times": 9, "body": fields });
        org.fault(rule).await;
    }
}

const SEVERITY: &str = "customfield_10020";

impl Writing for Jira {
    fn written(&self) -> &'static str {
        "issue:OPS/Bug"
    }

    fn label(&self) -> &'static str {
        "summary"
    }

    fn row(&self, label: &str) -> Value {
        json!({ "summary": label, "project": "10000", "issuetype": "10003", SEVERITY: "100202" })
    }

    fn bad_rows(&self) -> [(&'static str, Value); 3] {
        let with = |field: &'static str, value: Value| {
            let mut row = self.row("bad");
            row[field] = value;
            (field, row)
        };
        [with("duedate", json!("soon")), with(SEVERITY, json!("999999")), with("nothing", json!(1))]
    }

    fn own_mark(&self, _: u8) -> Option<(&'static str, Value)> {
        None
    }

    fn mark(&self, number: u8) -> Value {
        json!({ "run": "r7", "row": number })
    }

    fn alternate(&self, stored: &Value) -> (KeyFields, String, Upserts) {
        let key = stored["key"].as_str().unwrap().to_owned();
        (KeyFields::single("key"), key, Upserts::OnlyUpdates)
    }

    fn stored_as(&self) -> &'static str {
        "issue"
    }

    fn is_written(&self, row: &Value) -> bool {
        let fields = &row["fields"];
        fields["project"]["key"] == "OPS"
            && fields["issuetype"]["name"] == "Bug"
            && fields["subtasks"].as_array().is_none_or(Vec::is_empty)
    }

    fn writes(&self, method: &str) -> &'static str {
        // Reads of many issues are posted too.
        if method == "POST" { "*/rest/api/3/issue/bulk" } else { "*/rest/api/3/issue/*" }
    }

    fn is_write(&self, request: &Value) -> bool {
        let path = request["path"].as_str().unwrap_or_default();
        path.ends_with("/issue/bulk") || request["method"] == "PUT" || request["method"] == "DELETE"
    }

    fn method(&self, wanted: &'static str) -> &'static str {
        if wanted == "PATCH" { "PUT" } else { wanted }
    }

    fn refused_row_code(&self) -> &'static str {
        "status_400"
    }

    fn created(&self, count: usize) -> Value {
        let issues: Vec<Value> = (0..count)
            .map(|at| json!({ "id": (90_000 + at).to_string(), "key": format!("OPS-{at}"), "self": "https://x" }))
            .collect();
        json!({ "kind": "status", "status": 201, "body": { "issues": issues, "errors": [] } })
    }

    fn busy_rows(&self, _: usize) -> Value {
        unreachable!("a request is refused as a whole")
    }
}
