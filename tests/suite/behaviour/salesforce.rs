//! The suite over Salesforce.

use recordport::emulator::EmulatorConfig;
use recordport::providers;
use recordport::record::RecordType;
use recordport::record::record_type::{Field, FieldType, TextForm};
use serde_json::Value;

use super::subject::{Service, Subject};
use crate::support::emulated::{self, Emulated};

const TYPES: &[&str] = &["Account", "Contact", "Opportunity", "Case", "Lead", "Task", "User", "Invoice__c"];

struct Salesforce;

impl Service for Salesforce {
    fn page_path(&self) -> &'static str {
        "/services/data/*/query*"
    }

    fn write_path(&self) -> &'static str {
        "/services/data/*"
    }

    fn is_write(&self, request: &Value) -> bool {
        request["method"] != "GET" && request["path"].as_str().unwrap().starts_with("/services/data/")
    }

    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>) {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        // Client credentials: the test's tokens do not rotate, so that cases do not depend on each other.
        let form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", text("client_id")),
            ("client_secret", text("client_secret")),
        ];
        ("/services/oauth2/token", form)
    }

    fn plain_text_field(&self, record_type: &RecordType) -> String {
        let preferred = ["Description", "Note__c", "Subject", "Department", "Title"];
        preferred
            .iter()
            .find(|name| record_type.field(name).is_some_and(|field| field.updatable))
            .map(ToString::to_string)
            .or_else(|| {
                record_type
                    .fields
                    .iter()
                    .find(|field| {
                        field.updatable
                            && matches!(field.field_type, FieldType::Text { form: TextForm::Plain, .. })
                    })
                    .map(|field| field.name.clone())
            })
            .expect("every type has a text that can be changed")
    }

    fn reads_otherwise(&self, field: &Field) -> bool {
        // Encrypted text reads masked; base64 reads as the address of the bytes.
        matches!(
            field.field_type,
            FieldType::Binary { .. } | FieldType::Text { form: TextForm::Encrypted, .. }
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_behaves() {
    let config = EmulatorConfig { scale: 4, ..EmulatorConfig::default() };
    let emulator = recordport::emulator::Emulator::start(config).await.unwrap();
    let emulated = Emulated { emulator: emulator.into(), client: emulated::client() };
    let factory = providers::find("salesforce").unwrap();
    super::run(Subject::start(factory, emulated, TYPES, Vec::new(), Box::new(Salesforce)).await).await;
}
