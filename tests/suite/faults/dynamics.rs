//! Dynamics 365.

use std::fmt::Write as _;

use recordport::record::KeyFields;
use serde_json::{Value, json};

use super::subject::{Redefinition, Refusal, Service, Subject, Upserts, Writing, Written};
use crate::support::emulated::json_of;
use crate::support::org::Org;

pub(super) const SERVICE: Subject = &Dynamics;
pub(super) const WRITTEN: Written = &Dynamics;

struct Dynamics;

const COLUMNS: &str = "/api/data/v9.2/EntityDefinitions(LogicalName='contact')/Attributes";

fn refused(code: &str) -> Value {
    json!({ "error": { "code": code, "message": "refused" } })
}

/// An answer to a batch: for each row the line of its status, its headers and its body.
fn answers(count: usize, each: impl Fn(usize) -> String) -> Value {
    let mut body = String::new();
    for at in 0..count {
        let _ = write!(
            body,
            "--answers\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 {}\r\n",
            each(at)
        );
    }
    body.push_str("--answers--\r\n");
    let headers = json!({ "content-type": "multipart/mixed; boundary=answers" });
    json!({ "kind": "status", "status": 200, "headers": headers, "body": body })
}

fn id(number: u8) -> String {
    format!("7e57ab1e-0000-4000-8000-0000000000{number:02x}")
}

#[async_trait::async_trait]
impl Service for Dynamics {
    fn name(&self) -> &'static str {
        "dynamics"
    }

    fn kind(&self) -> &'static str {
        "contact"
    }

    fn scale(&self) -> u64 {
        1
    }

    fn page_size(&self) -> usize {
        50
    }

    fn large(&self) -> (u64, usize, usize) {
        (7, 2_000, 700)
    }

    fn key(&self) -> &'static str {
        "contactid"
    }

    fn text(&self) -> &'static str {
        "lastname"
    }

    fn spare(&self) -> &'static str {
        "jobtitle"
    }

    fn numbers(&self) -> (&'static str, &'static str) {
        ("account", "revenue")
    }

    fn pages(&self) -> &'static str {
        "/api/data/*?*orderby=*"
    }

    fn is_page(&self, request: &Value) -> bool {
        request["path"].as_str().is_some_and(|path| path.starts_with("/api/data/"))
            && request["query"].as_str().is_some_and(|query| query.contains("orderby="))
    }

    fn next_path(&self) -> &'static str {
        "/api/data/v9.2/contacts?$skiptoken=x"
    }

    async fn expire_places(&self, org: &Org) {
        org.control("expire-cookies", Value::Null).await;
    }

    fn last_page(&self, rows: &[Value]) -> Value {
        json!({ "@odata.context": "/api/data/v9.2/$metadata#contacts", "value": rows })
    }

    fn refusal(&self, why: Refusal) -> Value {
        let (status, code) = match why {
            Refusal::Right => (403, "0x80040220"),
            Refusal::Place => (400, "0x80041129"),
            Refusal::Busy => (429, "0x80072326"),
            Refusal::Unknown => (400, "0x8aaaaaaa"),
        };
        json!({ "kind": "status", "status": status, "body": refused(code) })
    }

    fn gone_code(&self) -> &'static str {
        "status_400"
    }

    fn new_field(&self) -> &'static str {
        "new_llllllllllllllllllllllllllllllllllllllllllllllllll"
    }

    async fn redefine(&self, org: &Org, how: Redefinition) {
        if how == Redefinition::Gone {
            let patch = json!({ "table": self.kind(), "column": self.spare(), "hidden": true });
            return org.control("columns", patch).await;
        }
        let token =
            org.emulated.emulator.credentials()["dynamics"]["access_token"].as_str().unwrap().to_owned();
        let answer = org.emulated.client.get(org.emulated.url(COLUMNS)).bearer_auth(token).send().await;
        let mut columns = json_of(answer.unwrap()).await;
        let list = columns["value"].as_array_mut().unwrap();
        let at = list.iter().position(|column| column["LogicalName"] == self.spare()).unwrap();
        let another = |list: &mut Vec<Value>, name: &str| {
            let mut column = list[at].clone();
            column["LogicalName"] = json!(name);
            list.push(column);
        };
        match how {
            Redefinition::Gone | Redefinition::Changed => {
                another(list, self.new_field());
                list[at]["AttributeType"] = json!("Memo");
                list[at]["AttributeTypeName"] = json!({ "Value": "MemoType" });
                list[at]["@odata.type"] = json!("#Microsoft.Dynamics.CRM.MemoAttributeMetadata");
            }
            Redefinition::OfUnknownKind => {
                list[at]["AttributeType"] = json!("Hologram");
                list[at]["AttributeTypeName"] = json!({ "Value": "HologramType" });
                list[at]["@odata.type"] = json!("#Microsoft.Dynamics.CRM.HologramAttributeMetadata");
            }
            Redefinition::Hostile => {
                another(list, "contactid ne null or '");
                another(list, self.new_field());
            }
        }
        let path = format!("{COLUMNS}?*");
        org.fault(json!({ "kind": "status", "status": 200, "path": path, "times": 9, "body": columns }))
            .await;
    }
}

impl Writing for Dynamics {
    fn written(&self) -> &'static str {
        "new_invoice"
    }

    fn label(&self) -> &'static str {
        "new_name"
    }

    fn row(&self, label: &str) -> Value {
        json!({ "new_name": label, "new_quantity": 1 })
    }

    fn bad_rows(&self) -> [(&'static str, Value); 3] {
        [
            ("new_quantity", json!({ "new_name": "bad", "new_quantity": "many" })),
            ("new_kind", json!({ "new_name": "bad", "new_quantity": 1, "new_kind": 7 })),
            ("nothing", json!({ "new_name": "bad", "new_quantity": 1, "nothing": 1 })),
        ]
    }

    fn own_mark(&self, number: u8) -> Option<(&'static str, Value)> {
        Some(("new_invoiceid", json!(id(0x80 | number))))
    }

    fn mark(&self, number: u8) -> Value {
        json!(id(number))
    }

    fn alternate(&self, _: &Value) -> (KeyFields, String, Upserts) {
        (KeyFields::single("new_externalid"), "lost-1".to_owned(), Upserts::Creates)
    }

    fn writes(&self, _: &str) -> &'static str {
        "/api/data/*"
    }

    fn is_write(&self, request: &Value) -> bool {
        let body = request["body"].as_str().unwrap_or_default();
        ["POST", "PATCH", "DELETE"].iter().any(|method| body.contains(&format!("\n{method} /api/data/")))
    }

    fn method(&self, _: &'static str) -> &'static str {
        "POST"
    }

    fn refused_row_code(&self) -> &'static str {
        "0x80040216"
    }

    fn created(&self, count: usize) -> Value {
        answers(count, |at| {
            let number = u8::try_from(at).unwrap();
            format!(
                "204 No Content\r\nOData-EntityId: https://x/api/data/v9.2/new_invoices({})\r\n\r\n",
                id(0xf0 | number)
            )
        })
    }

    fn busy_rows(&self, count: usize) -> Value {
        let body = refused("0x80072326");
        answers(count, |_| {
            format!(
                "429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 2\r\n\r\n{body}\r\n"
            )
        })
    }
}
