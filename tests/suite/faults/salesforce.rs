//! Salesforce.

use recordport::record::KeyFields;
use serde_json::{Value, json};

use super::subject::{Redefinition, Refusal, Service, Subject, Upserts, Writing, Written};
use crate::support::emulated::json_of;
use crate::support::org::Org;

pub(super) const SERVICE: Subject = &Salesforce;
pub(super) const WRITTEN: Written = &Salesforce;

struct Salesforce;

fn status(status: u16, body: Value) -> Value {
    json!({ "kind": "status", "status": status, "body": body })
}

#[async_trait::async_trait]
impl Service for Salesforce {
    fn name(&self) -> &'static str {
        "salesforce"
    }

    fn kind(&self) -> &'static str {
        "Contact"
    }

    fn scale(&self) -> u64 {
        4
    }

    fn page_size(&self) -> usize {
        200
    }

    fn large(&self) -> (u64, usize, usize) {
        (67, 20_000, 2_000)
    }

    fn key(&self) -> &'static str {
        "Id"
    }

    fn text(&self) -> &'static str {
        "LastName"
    }

    fn spare(&self) -> &'static str {
        "Department"
    }

    fn numbers(&self) -> (&'static str, &'static str) {
        ("Account", "AnnualRevenue")
    }

    fn pages(&self) -> &'static str {
        "*query*"
    }

    fn is_page(&self, request: &Value) -> bool {
        request["path"].as_str().is_some_and(|path| path.contains("/query"))
    }

    fn next_path(&self) -> &'static str {
        "/services/data/v60.0/query/01g-2000"
    }

    async fn expire_places(&self, org: &Org) {
        org.control("expire-locators", Value::Null).await;
    }

    fn last_page(&self, rows: &[Value]) -> Value {
        let records: Vec<Value> = rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                row["attributes"] = json!({ "type": "Contact", "url": "/x" });
                row
            })
            .collect();
        json!({ "totalSize": records.len(), "done": true, "records": records })
    }

    fn refusal(&self, why: Refusal) -> Value {
        let (status_code, code) = match why {
            Refusal::Right => (403, "INSUFFICIENT_ACCESS_OR_READONLY"),
            Refusal::Place => (400, "INVALID_QUERY_LOCATOR"),
            Refusal::Busy => (400, "UNABLE_TO_LOCK_ROW"),
            Refusal::Unknown => (400, "A_CODE_OF_THE_FUTURE"),
        };
        status(status_code, json!([{ "errorCode": code, "message": "refused" }]))
    }

    fn gone_code(&self) -> &'static str {
        "INVALID_FIELD"
    }

    fn new_field(&self) -> &'static str {
        "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL__c"
    }

    async fn redefine(&self, org: &Org, how: Redefinition) {
        let token =
            org.emulated.emulator.credentials()["salesforce"]["access_token"].as_str().unwrap().to_owned();
        let address = org.emulated.url("/services/data/v60.0/sobjects/Contact/describe");
        let answer = org.emulated.client.get(address).bearer_auth(token).send().await.unwrap();
        let mut describe = json_of(answer).await;
        let fields = describe["fields"].as_array_mut().unwrap();
        let at = fields.iter().position(|field| field["name"] == self.spare()).unwrap();
        let another = |fields: &mut Vec<Value>, name: &str| {
            let mut field = fields[at].clone();
            field["name"] = json!(name);
            fields.push(field);
        };
        match how {
            Redefinition::Gone => drop(fields.remove(at)),
            Redefinition::Changed => {
                another(fields, self.new_field());
                fields[at]["type"] = json!("textarea");
            }
            Redefinition::OfUnknownKind => fields[at]["type"] = json!("holographic"),
            Redefinition::Hostile => {
                another(fields, self.new_field());
                another(fields, "Id FROM User WHERE Id != '");
            }
        }
        if matches!(how, Redefinition::Gone | Redefinition::Changed) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), describe.to_string()).unwrap();
            return org.service.import(file.path()).unwrap();
        }
        // What no org would have can stand in an answer alone.
        let rule = json!({ "kind": "status", "status": 200, "path": "*/Contact/describe", "times": 9, "body": describe });
        org.fault(rule).await;
    }
}

impl Writing for Salesforce {
    fn written(&self) -> &'static str {
        "Invoice__c"
    }

    fn label(&self) -> &'static str {
        "Subject__c"
    }

    fn row(&self, label: &str) -> Value {
        json!({ "Subject__c": label })
    }

    fn bad_rows(&self) -> [(&'static str, Value); 3] {
        [
            ("Amount__c", json!({ "Subject__c": "bad", "Amount__c": "much" })),
            ("Status__c", json!({ "Subject__c": "bad", "Status__c": "Lost" })),
            ("Nothing__c", json!({ "Subject__c": "bad", "Nothing__c": 1 })),
        ]
    }

    fn own_mark(&self, number: u8) -> Option<(&'static str, Value)> {
        Some(("Code__c", json!(format!("Own-{number}"))))
    }

    fn mark(&self, number: u8) -> Value {
        json!({ "External_Id__c": format!("run-7/{number}") })
    }

    fn alternate(&self, _: &Value) -> (KeyFields, String, Upserts) {
        (KeyFields::single("External_Id__c"), "lost-1".to_owned(), Upserts::Creates)
    }

    fn writes(&self, _: &str) -> &'static str {
        "*/composite/sobjects*"
    }

    fn is_write(&self, request: &Value) -> bool {
        request["path"].as_str().is_some_and(|path| path.contains("/composite/sobjects"))
    }

    fn method(&self, wanted: &'static str) -> &'static str {
        wanted
    }

    fn refused_row_code(&self) -> &'static str {
        "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    }

    fn created(&self, count: usize) -> Value {
        let one = json!({ "id": "a00000000000001AAA", "success": true, "errors": [] });
        status(200, json!(vec![one; count]))
    }

    fn busy_rows(&self, count: usize) -> Value {
        let error = json!({ "statusCode": "UNABLE_TO_LOCK_ROW", "fields": [],
            "message": "unable to obtain exclusive access to this record or 1 records: 001000000000001AAA" });
        status(200, json!(vec![json!({ "success": false, "errors": [error] }); count]))
    }
}
