//! Describe documents become record types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::describe::{Describe, DescribedField, GlobalDescribe, SObject};
use crate::provider::TypeSummary;
use crate::record::capability::{
    Capability, ContentCapability, GetCapability, SearchCapability, UpsertCapability, VersionSupport,
    WriteCapability, no_options,
};
use crate::record::record_type::{
    AlternateKey, Field, FieldType, ListWire, Picklist, PicklistValue, RecordType, Reference, Relationship,
    TextForm,
};
use crate::record::{KeyFields, TypeName};

/// Rows of one collections request (REST API Developer Guide, "sObject Collections").
pub(super) const BATCH: usize = 200;
/// Batches of creates under way at once. Small: rows can lock records that nothing here knows of (roll-ups,
/// triggers), and rows that met a lock are sent again.
const CREATES_AT_ONCE: usize = 5;
/// Types that assignment rules are for (REST API Developer Guide, "Assignment Rule Header").
const ASSIGNED: [&str; 3] = ["Account", "Case", "Lead"];
/// Largest page (`Sforce-Query-Options`), which is also the one that Salesforce gives when none is asked for.
pub(super) const PAGE_MAX: u32 = 2000;
/// Smallest page that Salesforce honours.
pub(super) const PAGE_MIN: u32 = 200;
/// Greatest 32-bit whole number, the range of `int` fields.
const INT_MAX: i64 = 2_147_483_647;
/// Audit and identity fields that Salesforce keeps on every type.
const SYSTEM: [&str; 9] = [
    "Id",
    "IsDeleted",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
    "LastViewedDate",
    "LastReferencedDate",
];

/// The types of a global describe that a search text leaves, in Salesforce's order.
pub(super) fn summaries(global: &GlobalDescribe, search: Option<&str>) -> Vec<TypeSummary> {
    let wanted = search.map(str::to_lowercase);
    let fits = |object: &SObject| {
        wanted.as_ref().is_none_or(|wanted| {
            [Some(&object.name), object.label.as_ref(), object.label_plural.as_ref()]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(wanted))
        })
    };
    global
        .sobjects
        .iter()
        .filter(|object| !object.deprecated_and_hidden && fits(object))
        .map(|object| TypeSummary {
            name: TypeName::new(object.name.as_str()),
            label: label_of(object.label.as_deref(), &object.name),
            label_plural: label_of(object.label_plural.as_deref(), &object.name),
            custom: object.custom,
            searchable: object.queryable,
            creatable: object.createable,
            updatable: object.updateable,
            deletable: object.deletable,
            keys: vec!["Id".to_owned()],
        })
        .collect()
}

fn label_of(label: Option<&str>, name: &str) -> String {
    label.map(str::trim).filter(|label| !label.is_empty()).unwrap_or(name).to_owned()
}

/// The record type of a describe.
pub(super) fn record_type(describe: &Describe) -> RecordType {
    let object = &describe.object;
    let fields: Vec<Field> = describe.fields.iter().map(|field| field_of(field, describe)).collect();
    let alternate_keys: Vec<AlternateKey> = describe
        .fields
        .iter()
        .filter(|field| field.name != "Id" && (field.external_id || field.id_lookup))
        .map(|field| AlternateKey {
            fields: KeyFields::single(field.name.as_str()),
            // Salesforce fills an auto-number itself, so an upsert can match by it and not insert.
            insertable: field.createable && !field.auto_number && !field.calculated,
        })
        .collect();
    let relationships = describe
        .fields
        .iter()
        .filter_map(|field| {
            let name = field.relationship_name.as_ref().filter(|name| !name.is_empty())?;
            (!field.reference_to.is_empty()).then(|| Relationship {
                name: name.clone(),
                field: field.name.clone(),
                targets: field.reference_to.clone(),
            })
        })
        .collect();
    RecordType {
        name: TypeName::new(object.name.as_str()),
        provider: "salesforce".to_owned(),
        label: label_of(object.label.as_deref(), &object.name),
        label_plural: label_of(object.label_plural.as_deref(), &object.name),
        description: None,
        custom: object.custom,
        capability: capability(describe, &alternate_keys),
        fields,
        key: KeyFields::single("Id"),
        alternate_keys,
        relationships,
    }
}

fn capability(describe: &Describe, alternate_keys: &[AlternateKey]) -> Capability {
    let object = &describe.object;
    let primary = KeyFields::single("Id");
    let write = |saves: bool| WriteCapability {
        options: write_options(&object.name, saves),
        parents_by_key: saves,
        ..WriteCapability::batches_of(BATCH)
    };
    let filterable = |name: &str| describe.fields.iter().any(|field| field.name == name && field.filterable);
    let found_by: Vec<&AlternateKey> =
        alternate_keys.iter().filter(|key| key.fields.0.iter().all(|field| filterable(field))).collect();
    Capability {
        search: object.queryable.then(|| SearchCapability {
            page_max: PAGE_MAX,
            page_min: PAGE_MIN,
            page_default: PAGE_MAX,
            order: true,
            count: true,
            include_deleted: describe.fields.iter().any(|field| field.name == "IsDeleted"),
            native: Some("SOQL".to_owned()),
        }),
        get: object.queryable.then(|| GetCapability {
            batch_max: BATCH,
            by: std::iter::once(primary.clone())
                .chain(found_by.iter().map(|key| key.fields.clone()))
                .collect(),
        }),
        create: object.createable.then(|| {
            let marks = marks(describe);
            WriteCapability {
                marker: !marks.is_empty(),
                marks,
                at_once: CREATES_AT_ONCE,
                apart_by: locking_references(describe),
                ..write(true)
            }
        }),
        update: object.updateable.then(|| WriteCapability {
            // If-Unmodified-Since has the grain of an HTTP date.
            version: VersionSupport::OneSecond,
            ..write(true)
        }),
        upsert: object.updateable.then(|| {
            let inserts = |key: &&AlternateKey| object.createable && key.insertable;
            let inserting = alternate_keys.iter().filter(inserts).map(|key| key.fields.clone());
            let finding = found_by.iter().filter(|key| !inserts(key)).map(|key| key.fields.clone());
            let match_only: Vec<KeyFields> = finding.chain([primary]).collect();
            UpsertCapability {
                write: write(true),
                by: inserting.chain(match_only.iter().cloned()).collect(),
                match_only,
            }
        }),
        delete: object.deletable.then(|| write(false)),
        changes: super::changes::capability(describe),
        content: content(describe),
    }
}

/// Fields of bytes: Salesforce gives them at addresses of their own and takes them as base64.
fn content(describe: &Describe) -> Option<ContentCapability> {
    let binary: Vec<_> = describe.fields.iter().filter(|field| field.kind == "base64").collect();
    let first = binary.first()?;
    Some(ContentCapability {
        fields: binary.iter().map(|field| field.name.clone()).collect(),
        writable: describe.object.updateable && binary.iter().any(|field| field.updateable),
        bytes_max: (first.length > 0).then_some(first.length),
        options: write_options(&describe.object.name, true),
    })
}

/// Fields whose values tell whether a create arrived: unique external ids that the creator sets.
fn marks(describe: &Describe) -> Vec<String> {
    describe
        .fields
        .iter()
        .filter(|field| {
            field.external_id
                && field.unique
                && field.createable
                && field.filterable
                && !field.auto_number
                && !field.calculated
        })
        .map(|field| field.name.clone())
        .collect()
}

/// References to records that Salesforce locks while a child is created. Owners and record types are shared by
/// nearly all rows and are not locked.
fn locking_references(describe: &Describe) -> Vec<String> {
    let shared = |target: &String| matches!(target.as_str(), "User" | "Group" | "RecordType");
    describe
        .fields
        .iter()
        .filter(|field| field.createable && !field.reference_to.iter().all(shared))
        .map(|field| field.name.clone())
        .collect()
}

/// Schema of the options of a write.
fn write_options(object: &str, saves: bool) -> Json {
    let mut schema = no_options();
    let mut properties = serde_json::Map::new();
    properties.insert(
        "all_or_none".to_owned(),
        json!({
            "type": "boolean",
            "title": "All or none",
            "description": "Whether one failed row undoes the other rows of its batch (at most 200 rows)",
            "default": false
        }),
    );
    if saves {
        properties.insert(
            "allow_duplicates".to_owned(),
            json!({
                "type": "boolean",
                "title": "Allow duplicates",
                "description": "Whether records are saved that a duplicate rule would only warn about",
                "default": false
            }),
        );
    }
    if saves && ASSIGNED.contains(&object) {
        properties.insert(
            "assignment_rule".to_owned(),
            json!({
                "type": "string",
                "title": "Assignment rule",
                "description": "`default` runs the active assignment rule, as Salesforce does unless told; `none` runs \
                                none; the id of a rule runs that one",
                "examples": ["default", "none"]
            }),
        );
    }
    schema["properties"] = Json::Object(properties);
    schema
}

fn field_of(described: &DescribedField, describe: &Describe) -> Field {
    let kind = described.kind.as_str();
    let (field_type, note) = type_of(described, describe);
    let textual =
        matches!(field_type, FieldType::Text { .. } | FieldType::Picklist(_) | FieldType::Reference(_));
    let system = SYSTEM.contains(&described.name.as_str());
    let compound = described
        .compound_field_name
        .as_ref()
        .filter(|name| **name != described.name && describe.fields.iter().any(|field| field.name == **name));
    let default = default_of(described);
    Field {
        label: label_of(described.label.as_deref(), &described.name),
        help: described.inline_help_text.clone().filter(|text| !text.trim().is_empty()),
        nullable: described.nillable,
        required_on_create: described.createable && !described.nillable && !described.defaulted_on_create,
        createable: described.createable,
        updatable: described.updateable,
        filterable: described.filterable && field_type.value_kind().is_some(),
        sortable: described.sortable,
        unique: described.unique || described.name == "Id",
        external_id: described.external_id,
        case_sensitive: textual.then_some(described.case_sensitive),
        empty_is_null: textual,
        calculated: described.calculated,
        auto_number: described.auto_number,
        defaulted_on_create: described.defaulted_on_create || described.default_value_formula.is_some(),
        default,
        sensitive: kind == "encryptedstring",
        system,
        part_of: compound.cloned(),
        controlled_by: described.controller_name.clone().filter(|name| !name.is_empty()),
        group: match compound {
            Some(name) => describe
                .fields
                .iter()
                .find(|field| field.name == *name)
                .map(|field| label_of(field.label.as_deref(), &field.name)),
            None if system => Some("System".to_owned()),
            None => None,
        },
        note,
        ..Field::new(described.name.as_str(), field_type)
    }
}

fn default_of(described: &DescribedField) -> Option<Json> {
    if !described.createable {
        return None;
    }
    let chosen = described
        .picklist_values
        .iter()
        .find(|entry| entry.default_value && entry.active)
        .map(|entry| Json::String(entry.value.clone()));
    chosen.or_else(|| match (&described.default_value, described.kind.as_str()) {
        (Json::Null, _) => None,
        (value @ Json::Bool(_), "boolean") => Some(value.clone()),
        (value @ Json::Number(_), "int" | "double" | "currency" | "percent") => Some(value.clone()),
        (value @ Json::String(_), "string" | "picklist" | "textarea" | "phone" | "url" | "email") => {
            Some(value.clone())
        }
        _ => None,
    })
}

/// What a field holds, and a remark where that could not be learnt. The types are those of the Partner WSDL's
/// `fieldType` and of the Apex `DisplayType`.
fn type_of(described: &DescribedField, describe: &Describe) -> (FieldType, Option<String>) {
    let length = (described.length > 0).then_some(described.length);
    let text = |form| FieldType::Text { max_length: length, form };
    let plain = |field_type| (field_type, None);
    match described.kind.as_str() {
        "id" => plain(text(TextForm::Id)),
        "reference" if described.reference_to.is_empty() => plain(text(TextForm::Id)),
        "reference" => plain(FieldType::Reference(reference(described))),
        "string" if described.html_formatted => plain(text(TextForm::Html)),
        "string" | "datacategorygroupreference" => plain(text(TextForm::Plain)),
        "textarea"
            if described.html_formatted || described.extra_type_info.as_deref() == Some("richtextarea") =>
        {
            plain(text(TextForm::Html))
        }
        "textarea" => plain(text(TextForm::Multiline)),
        "email" => plain(text(TextForm::Email)),
        "phone" => plain(text(TextForm::Phone)),
        "url" => plain(text(TextForm::Url)),
        "encryptedstring" => plain(text(TextForm::Encrypted)),
        "combobox" if described.picklist_values.is_empty() => plain(text(TextForm::Plain)),
        "combobox" => {
            plain(FieldType::Picklist(Picklist { restricted: false, ..picklist(described, describe) }))
        }
        "picklist" => plain(FieldType::Picklist(picklist(described, describe))),
        "multipicklist" => plain(FieldType::MultiPicklist {
            picklist: picklist(described, describe),
            wire: ListWire::Semicolon,
        }),
        "boolean" => plain(FieldType::Boolean),
        "int" => {
            let most = match described.digits {
                1..=9 => 10_i64.pow(described.digits) - 1,
                _ => INT_MAX,
            };
            plain(FieldType::Integer { minimum: Some(-most), maximum: Some(most) })
        }
        "long" => plain(FieldType::Int64),
        "double" | "currency" | "percent" => plain(FieldType::Decimal {
            precision: (described.precision > 0).then_some(described.precision),
            scale: (described.precision > 0).then_some(described.scale),
        }),
        "date" => plain(FieldType::Date),
        "datetime" => plain(FieldType::Instant),
        "time" => plain(FieldType::Time),
        "base64" => plain(FieldType::Binary { max_bytes: length, inline: true }),
        "address" => plain(FieldType::Object { fields: address_parts(described, describe) }),
        "location" => {
            plain(FieldType::Object { fields: vec![coordinate("latitude"), coordinate("longitude")] })
        }
        "anyType" => (
            FieldType::Json,
            Some(
                "The value can be a text, a number, a date or true and false; it is given as JSON text"
                    .to_owned(),
            ),
        ),
        "complexvalue" | "json" | "floatarray" => {
            (FieldType::Json, Some("The value is passed on as JSON text".to_owned()))
        }
        unknown => (
            FieldType::Json,
            Some(format!(
                "Salesforce calls this type {unknown:?}, which is not known here; the value is passed on as JSON text"
            )),
        ),
    }
}

fn coordinate(name: &str) -> Field {
    Field {
        label: label_of_part(name),
        ..Field::new(name, FieldType::Decimal { precision: Some(18), scale: Some(15) })
    }
}

fn label_of_part(name: &str) -> String {
    match name {
        "city" => "City",
        "country" => "Country",
        "countryCode" => "Country Code",
        "geocodeAccuracy" => "Geocode Accuracy",
        "latitude" => "Latitude",
        "longitude" => "Longitude",
        "postalCode" => "Postal Code",
        "state" => "State",
        "stateCode" => "State Code",
        "street" => "Street",
        other => other,
    }
    .to_owned()
}

/// The members of an address value (REST API Developer Guide, "Address and Geolocation Compound Fields"); the
/// two codes are there only where state and country picklists are switched on.
fn address_parts(described: &DescribedField, describe: &Describe) -> Vec<Field> {
    let stem = described.name.strip_suffix("Address").unwrap_or(&described.name);
    let part = |suffix: &str| describe.fields.iter().find(|field| field.name == format!("{stem}{suffix}"));
    let mut parts = Vec::new();
    for name in [
        "city",
        "country",
        "countryCode",
        "geocodeAccuracy",
        "latitude",
        "longitude",
        "postalCode",
        "state",
        "stateCode",
        "street",
    ] {
        if matches!(name, "latitude" | "longitude") {
            parts.push(coordinate(name));
            continue;
        }
        let suffix = format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]);
        let component = part(&suffix);
        if matches!(name, "countryCode" | "stateCode") && component.is_none() {
            continue;
        }
        let form = if name == "street" { TextForm::Multiline } else { TextForm::Plain };
        let max_length = component.map(|field| field.length).filter(|length| *length > 0);
        parts.push(Field {
            label: label_of_part(name),
            ..Field::new(name, FieldType::Text { max_length, form })
        });
    }
    parts
}

fn reference(described: &DescribedField) -> Reference {
    let polymorphic = described.polymorphic_foreign_key || described.reference_to.len() > 1;
    let label_field = match described.reference_to.as_slice() {
        [only] => Some(name_field(only).to_owned()),
        _ => None,
    };
    Reference {
        targets: described.reference_to.clone(),
        relationship: described.relationship_name.clone().filter(|name| !name.is_empty()),
        type_field: polymorphic.then(|| format!("{}_type", described.name)),
        id_field: "Id".to_owned(),
        label_field,
        max_length: Some(18),
    }
}

/// The field that names a record, for standard types that have another one than `Name` (Object Reference for
/// the Salesforce Platform).
pub(super) fn name_field(target: &str) -> &'static str {
    match target {
        "Case" => "CaseNumber",
        "Contract" => "ContractNumber",
        "Order" => "OrderNumber",
        "OrderItem" => "OrderItemNumber",
        "Solution" => "SolutionName",
        "Task" | "Event" => "Subject",
        "ContentDocument" | "ContentVersion" => "Title",
        _ => "Name",
    }
}

fn picklist(described: &DescribedField, describe: &Describe) -> Picklist {
    let controller = described
        .controller_name
        .as_ref()
        .filter(|name| !name.is_empty())
        .and_then(|name| describe.fields.iter().find(|field| field.name == *name))
        .map(controlling_values);
    let values = described
        .picklist_values
        .iter()
        .map(|entry| PicklistValue {
            value: Json::String(entry.value.clone()),
            label: label_of(entry.label.as_deref(), &entry.value),
            active: entry.active,
            default: entry.default_value,
            valid_for: controller.as_ref().map(|controller| {
                let bits = entry.valid_for.as_deref().map(decode_bits).unwrap_or_default();
                controller
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| bit(&bits, *at))
                    .map(|(_, value)| value.clone())
                    .collect()
            }),
        })
        .collect();
    Picklist { values, restricted: described.restricted_picklist, integer: false }
}

/// What the bits of `validFor` stand for: the entries of the controlling picklist in their order, or false and
/// true for a checkbox.
fn controlling_values(controller: &DescribedField) -> Vec<Json> {
    if controller.kind == "boolean" {
        vec![Json::Bool(false), Json::Bool(true)]
    } else {
        controller.picklist_values.iter().map(|entry| Json::String(entry.value.clone())).collect()
    }
}

fn decode_bits(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

/// Bits count from the most significant; the text may end before the list does, and missing bits are 0.
fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(fields: Json) -> RecordType {
        let describe: Describe = serde_json::from_value(json!({
            "name": "Thing__c", "label": "Thing", "labelPlural": "Things", "custom": true, "queryable": true,
            "createable": true, "updateable": true, "deletable": true, "fields": fields
        }))
        .unwrap();
        record_type(&describe)
    }

    #[test]
    fn dependent_picklists_decode_from_the_most_significant_bit() {
        let record_type = described(json!([
            {"name": "Country__c", "type": "picklist", "picklistValues": [
                {"value": "IT", "label": "Italy", "active": true}, {"value": "MX", "label": "Mexico", "active": true},
                {"value": "US", "label": "USA", "active": false}]},
            {"name": "State__c", "type": "picklist", "controllerName": "Country__c", "dependentPicklist": true,
             "restrictedPicklist": true, "picklistValues": [
                {"value": "AG", "label": "Agrigento", "active": true, "validFor": "gAAA"},
                {"value": "AG", "label": "Aguascalientes", "active": true, "validFor": "QAAA"},
                {"value": "ZZ", "label": "Both", "active": true, "validFor": "wAAA"},
                {"value": "NO", "label": "None", "active": true, "validFor": null}]},
            {"name": "Vip__c", "type": "boolean"},
            {"name": "Gift__c", "type": "picklist", "controllerName": "Vip__c", "picklistValues": [
                {"value": "Wine", "active": true, "validFor": "QAAA"}]}
        ]));
        let values = |name: &str| match &record_type.field(name).unwrap().field_type {
            FieldType::Picklist(picklist) => picklist.clone(),
            other => panic!("{other:?}"),
        };
        let state = values("State__c");
        assert!(state.restricted);
        let valid: Vec<_> = state.values.iter().map(|value| value.valid_for.clone().unwrap()).collect();
        assert_eq!(valid, [vec![json!("IT")], vec![json!("MX")], vec![json!("IT"), json!("MX")], vec![]]);
        assert_eq!(values("Gift__c").values[0].valid_for, Some(vec![json!(true)]));
        assert_eq!(values("Country__c").values[0].valid_for, None);
        assert!(!values("Country__c").values[2].active);
        assert_eq!(record_type.field("State__c").unwrap().controlled_by.as_deref(), Some("Country__c"));
    }

    #[test]
    fn a_bitmap_may_end_before_the_controlling_list_does() {
        let bits = decode_bits("AACA");
        assert!(bit(&bits, 16));
        assert!(!bit(&bits, 17) && !bit(&bits, 24) && !bit(&bits, 5000));
        assert!(decode_bits("not base64!").is_empty());
    }

    #[test]
    fn every_field_type_has_its_form_and_an_unknown_one_passes_as_json_text() {
        let record_type = described(json!([
            {"name": "Id", "type": "id", "length": 18, "filterable": true, "idLookup": true},
            {"name": "Ext__c", "type": "string", "length": 64, "externalId": true, "unique": true, "createable": true,
             "filterable": true, "nillable": true, "caseSensitive": true},
            {"name": "No__c", "type": "string", "length": 30, "externalId": true, "autoNumber": true, "filterable": true},
            {"name": "Tags__c", "type": "multipicklist", "length": 4099},
            {"name": "Count__c", "type": "int", "digits": 8},
            {"name": "Big__c", "type": "long"},
            {"name": "Amount__c", "type": "currency", "precision": 18, "scale": 2},
            {"name": "Secret__c", "type": "encryptedstring", "length": 20},
            {"name": "Body", "type": "base64", "length": 1000},
            {"name": "Loc__c", "type": "location"},
            {"name": "OwnerId", "type": "reference", "referenceTo": ["Group", "User"], "relationshipName": "Owner",
             "polymorphicForeignKey": true},
            {"name": "Parent__c", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Parent__r"},
            {"name": "Rich__c", "type": "textarea", "htmlFormatted": true, "length": 32768},
            {"name": "Odd__c", "type": "hologram", "filterable": true},
            {"name": "Any__c", "type": "anyType"}
        ]));
        let field = |name: &str| record_type.field(name).unwrap();
        assert_eq!(field("Id").field_type, FieldType::Text { max_length: Some(18), form: TextForm::Id });
        assert!(matches!(
            field("Tags__c").field_type,
            FieldType::MultiPicklist { wire: ListWire::Semicolon, .. }
        ));
        assert_eq!(
            field("Count__c").field_type,
            FieldType::Integer { minimum: Some(-99_999_999), maximum: Some(99_999_999) }
        );
        assert_eq!(field("Big__c").field_type, FieldType::Int64);
        assert_eq!(field("Amount__c").field_type, FieldType::Decimal { precision: Some(18), scale: Some(2) });
        assert!(field("Secret__c").sensitive);
        assert!(matches!(field("Body").field_type, FieldType::Binary { inline: true, .. }));
        assert!(matches!(&field("Loc__c").field_type, FieldType::Object { fields } if fields.len() == 2));
        let FieldType::Reference(owner) = &field("OwnerId").field_type else { panic!() };
        assert_eq!(owner.type_field.as_deref(), Some("OwnerId_type"));
        let FieldType::Reference(parent) = &field("Parent__c").field_type else { panic!() };
        assert_eq!((parent.type_field.as_deref(), parent.label_field.as_deref()), (None, Some("Name")));
        assert!(matches!(field("Rich__c").field_type, FieldType::Text { form: TextForm::Html, .. }));
        assert_eq!(field("Odd__c").field_type, FieldType::Json);
        assert!(field("Odd__c").note.as_ref().unwrap().contains("hologram"));
        assert!(!field("Odd__c").filterable);
        assert!(field("Ext__c").empty_is_null && !field("Amount__c").empty_is_null);
        assert_eq!(field("Ext__c").case_sensitive, Some(true));
        let keys: Vec<_> =
            record_type.alternate_keys.iter().map(|key| (key.fields.to_string(), key.insertable)).collect();
        assert_eq!(keys, [("Ext__c".to_owned(), true), ("No__c".to_owned(), false)]);
        let upsert = record_type.capability.upsert.as_ref().unwrap();
        let names = |keys: &[KeyFields]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&upsert.by), ["Ext__c", "No__c", "Id"]);
        assert_eq!(names(&upsert.match_only), ["No__c", "Id"]);
        let create = record_type.capability.create.as_ref().unwrap();
        assert_eq!((create.marker, create.marks.as_slice()), (true, &["Ext__c".to_owned()][..]));
        assert_eq!(record_type.relationships[1].name, "Parent__r");
    }

    #[test]
    fn a_recorded_account_keeps_its_fields_and_rights() {
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/salesforce/describe_Account.json"
        ))
        .unwrap();
        let describe: Describe = serde_json::from_str(&text).unwrap();
        let account = record_type(&describe);
        let names = |keep: fn(&Field) -> bool| -> Vec<&str> {
            account.fields.iter().filter(|field| keep(field)).map(|field| field.name.as_str()).collect()
        };
        let raw: Json = serde_json::from_str(&text).unwrap();
        let expected = |member: &str| -> Vec<&str> {
            raw["fields"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|field| field[member] == json!(true))
                .map(|field| field["name"].as_str().unwrap())
                .collect()
        };
        assert_eq!(account.fields.len(), 68);
        assert_eq!(names(|field| field.createable), expected("createable"));
        assert_eq!(names(|field| field.updatable), expected("updateable"));
        assert_eq!(names(|field| field.required_on_create), ["Name"]);
        assert_eq!(account.field("BillingStreet").unwrap().part_of.as_deref(), Some("BillingAddress"));
        assert_eq!(account.field("BillingStreet").unwrap().group.as_deref(), Some("Billing Address"));
        let FieldType::Object { fields } = &account.field("BillingAddress").unwrap().field_type else {
            panic!()
        };
        assert_eq!(fields.len(), 8);
        assert!(account.fields.iter().all(|field| !field.label.is_empty()));
    }
}
