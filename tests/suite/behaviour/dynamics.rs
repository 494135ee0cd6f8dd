//! The suite over Dynamics 365.

use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::providers;
use recordport::record::RecordType;
use recordport::record::record_type::{Field, FieldType, TextForm};
use serde_json::Value;

use super::subject::{Service, Subject};
use crate::support::emulated::{self, Emulated};

const TYPES: &[&str] =
    &["account", "contact", "incident", "opportunity", "new_invoice", "new_tag", "systemuser"];

struct Dynamics;

impl Service for Dynamics {
    fn page_path(&self) -> &'static str {
        "/api/data/*?*orderby=*"
    }

    fn write_path(&self) -> &'static str {
        "/api/data/*"
    }

    fn is_write(&self, request: &Value) -> bool {
        // Reads of many records are batches too.
        let body = request["body"].as_str().unwrap_or_default();
        if request["path"].as_str().is_some_and(|path| path.ends_with("Multiple")) {
            return true;
        }
        ["POST", "PATCH", "DELETE"].iter().any(|method| body.contains(&format!("\n{method} /api/data/")))
    }

    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>) {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", text("client_id")),
            ("client_secret", text("client_secret")),
            ("scope", "https://emulated.crm.dynamics.com/.default".to_owned()),
        ];
        ("/organizations/oauth2/v2.0/token", form)
    }

    fn plain_text_field(&self, record_type: &RecordType) -> String {
        let in_key =
            |field: &Field| record_type.alternate_keys.iter().any(|key| key.fields.0.contains(&field.name));
        let plain = |field: &&Field| {
            let text = matches!(
                field.field_type,
                FieldType::Text { form: TextForm::Plain | TextForm::Multiline, .. }
            );
            field.updatable && field.nullable && text && !in_key(field)
        };
        record_type
            .fields
            .iter()
            .find(plain)
            .expect("every table has a text that can be changed")
            .name
            .clone()
    }

    fn core_types(&self) -> &'static [&'static str] {
        &["account", "contact", "incident", "new_invoice"]
    }

    fn reads_otherwise(&self, field: &Field) -> bool {
        // An image reads as its thumbnail.
        matches!(field.field_type, FieldType::Binary { .. })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamics_behaves() {
    let config = EmulatorConfig { scale: 3, ..EmulatorConfig::default() };
    let emulator = Emulator::start(config).await.unwrap();
    let emulated = Emulated { emulator: emulator.into(), client: emulated::client() };
    let factory = providers::find("dynamics").unwrap();
    super::run(Subject::start(factory, emulated, TYPES, Vec::new(), Box::new(Dynamics)).await).await;
}
