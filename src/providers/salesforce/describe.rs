//! The describe documents as they come over the wire, unknown members ignored.

use serde::Deserialize;
use serde_json::Value as Json;

use super::dialect;
use crate::error::{Error, Result};

/// Reads a describe. Members that are null count as absent, whatever their type.
///
/// # Errors
/// Protocol when it is not one.
pub(super) fn read(body: &[u8]) -> Result<Describe> {
    let mut document: Json = dialect::read("describe", body)?;
    drop_nulls(&mut document);
    let mut describe: Describe = serde_json::from_value(document).map_err(|source| {
        Error::protocol(format!("Salesforce's description cannot be read: {source}"))
            .with_provider("salesforce")
    })?;
    let object = describe.object.name.clone();
    describe.fields.retain(|field| {
        let fits = is_name(&field.name);
        if !fits {
            tracing::warn!(record_type = object, field = field.name, "left out: this is no name of a field");
        }
        fits
    });
    for field in &mut describe.fields {
        field.relationship_name = field.relationship_name.take().filter(|name| is_name(name));
    }
    Ok(describe)
}

/// Whether a name can stand in a statement as it is: letters, digits and underscores (Object Reference for the
/// Salesforce Platform, "API Field Names").
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn drop_nulls(value: &mut Json) {
    match value {
        Json::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Answer of the global describe.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct GlobalDescribe {
    pub(super) sobjects: Vec<SObject>,
}

/// What the global describe says of one type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SObject {
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) label_plural: Option<String>,
    pub(super) key_prefix: Option<String>,
    pub(super) custom: bool,
    pub(super) queryable: bool,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) deletable: bool,
    pub(super) deprecated_and_hidden: bool,
    pub(super) replicateable: bool,
}

/// Full describe of one type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Describe {
    #[serde(flatten)]
    pub(super) object: SObject,
    pub(super) fields: Vec<DescribedField>,
}

/// One field of a describe.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DescribedField {
    pub(super) name: String,
    pub(super) label: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) length: u64,
    pub(super) digits: u32,
    pub(super) precision: u32,
    pub(super) scale: u32,
    pub(super) nillable: bool,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) filterable: bool,
    pub(super) sortable: bool,
    pub(super) unique: bool,
    pub(super) external_id: bool,
    pub(super) id_lookup: bool,
    pub(super) case_sensitive: bool,
    pub(super) calculated: bool,
    pub(super) auto_number: bool,
    pub(super) defaulted_on_create: bool,
    pub(super) default_value: Json,
    pub(super) default_value_formula: Option<String>,
    pub(super) encrypted: bool,
    pub(super) html_formatted: bool,
    pub(super) name_field: bool,
    pub(super) compound_field_name: Option<String>,
    pub(super) controller_name: Option<String>,
    pub(super) extra_type_info: Option<String>,
    pub(super) inline_help_text: Option<String>,
    pub(super) polymorphic_foreign_key: bool,
    pub(super) reference_to: Vec<String>,
    pub(super) relationship_name: Option<String>,
    pub(super) picklist_values: Vec<PicklistEntry>,
    pub(super) restricted_picklist: bool,
}

/// One entry of a picklist.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PicklistEntry {
    pub(super) active: bool,
    pub(super) default_value: bool,
    pub(super) label: Option<String>,
    pub(super) valid_for: Option<String>,
    pub(super) value: String,
}
