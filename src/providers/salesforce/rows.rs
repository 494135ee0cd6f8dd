//! Rows of writes: property values in the schema's form become sObject JSON, and answers become outcomes.

use serde::Deserialize;
use serde_json::Value as Json;

use super::dialect::{self, Reason};
use crate::error::{Error, FieldError, Result};
use crate::provider::{Edit, Outcome, present};
use crate::record::record_type::{Field, FieldType};
use crate::record::{Key, RecordType};

/// What a field holds now, for edits that add to it or remove from it.
pub(super) type Present = present::Present<String>;

/// One row as JSON: `attributes` first (Salesforce wants it before nested objects), then `front`, then the
/// edits in their order.
///
/// # Errors
/// Invalid with the field for a value that cannot be written.
pub(super) fn row(
    record_type: &RecordType,
    front: Option<(&str, &str)>,
    edits: &[(String, Edit)],
    creates: bool,
    present: &Present,
) -> Result<String> {
    let mut out = format!(r#"{{"attributes":{{"type":{}}}"#, text(record_type.name.as_str()));
    if let Some((name, value)) = front {
        push(&mut out, name, value);
    }
    members(&mut out, record_type, edits, creates, present)?;
    out.push('}');
    Ok(out)
}

/// The edits alone as a JSON object.
///
/// # Errors
/// As for [`row`].
pub(super) fn body(record_type: &RecordType, edits: &[(String, Edit)], present: &Present) -> Result<String> {
    let mut out = String::new();
    members(&mut out, record_type, edits, false, present)?;
    Ok(format!("{{{}}}", out.strip_prefix(',').unwrap_or_default()))
}

fn members(
    out: &mut String,
    record_type: &RecordType,
    edits: &[(String, Edit)],
    creates: bool,
    present: &Present,
) -> Result<()> {
    for (name, edit) in edits {
        let Some(field) = record_type.field(name) else {
            // The id of a polymorphic reference tells its type already.
            if record_type.reference_of_type_field(name).is_some() {
                continue;
            }
            if let Some(relationship) = record_type.relationship(name) {
                match edit {
                    Edit::Set(parent) if parent.get() != "null" => push(out, name, parent.get()),
                    _ if creates => {}
                    _ => push(out, &relationship.field, "null"),
                }
                continue;
            }
            return Err(refuse(record_type, name, "there is no such field"));
        };
        let value = value(field, edit, present).map_err(|reason| refuse(record_type, name, &reason))?;
        match value {
            Some(value) => push(out, field.wire(), &value),
            // On create there is nothing to clear, and null would switch off a default.
            None if creates => {}
            None => push(out, field.wire(), "null"),
        }
    }
    Ok(())
}

pub(super) fn refuse(record_type: &RecordType, name: &str, reason: &str) -> Error {
    Error::invalid(format!("{name} cannot be written: {reason}"))
        .with_provider("salesforce")
        .with_record_type(record_type.name.as_str())
        .with_field_error(FieldError {
            field: name.to_owned(),
            message: reason.to_owned(),
            accepted: Vec::new(),
        })
}

fn push(out: &mut String, name: &str, value: &str) {
    out.push(',');
    out.push_str(&text(name));
    out.push(':');
    out.push_str(value);
}

fn text(value: &str) -> String {
    Json::from(value).to_string()
}

/// A value in its wire form; `None` clears.
fn value(field: &Field, edit: &Edit, present: &Present) -> Result<Option<String>, String> {
    let raw = match edit {
        Edit::Clear => return Ok(None),
        Edit::List { add, remove } => {
            if !matches!(field.field_type, FieldType::MultiPicklist { .. }) {
                return Err("only a field of several values can be added to or removed from".to_owned());
            }
            let named = |values: &[Json]| -> Result<Vec<String>, String> {
                values
                    .iter()
                    .map(|value| {
                        value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is not a text"))
                    })
                    .collect()
            };
            let (add, remove) = (named(add)?, named(remove)?);
            let values = present::edited(present, &field.name, add, &remove);
            return joined(&values);
        }
        Edit::Set(raw) => raw.get(),
    };
    if raw == "null" {
        return Ok(None);
    }
    match &field.field_type {
        FieldType::MultiPicklist { .. } => {
            let values: Vec<String> =
                serde_json::from_str(raw).map_err(|_| "a list of texts is wanted".to_owned())?;
            joined(&values)
        }
        FieldType::Int64 => {
            let digits: String = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
            digits
                .parse::<i64>()
                .map(|number| Some(number.to_string()))
                .map_err(|_| "a whole number is wanted".to_owned())
        }
        FieldType::Json => {
            let inner: String = serde_json::from_str(raw).map_err(|_| "JSON text is wanted".to_owned())?;
            serde_json::from_str::<Json>(&inner)
                .map_err(|reason| format!("the text is not JSON: {reason}"))?;
            Ok(Some(inner))
        }
        FieldType::Time => Ok(Some(time_of_day(raw).unwrap_or_else(|| raw.to_owned()))),
        FieldType::Instant => Ok(Some(instant(raw).unwrap_or_else(|| raw.to_owned()))),
        FieldType::Object { .. } => Err("write its parts instead; Salesforce puts them together".to_owned()),
        _ => Ok(Some(raw.to_owned())),
    }
}

/// A time of day with its milliseconds and zone, the one form that Salesforce documents ("Primitive Data Types",
/// Object Reference for the Salesforce Platform).
fn time_of_day(raw: &str) -> Option<String> {
    let given: String = serde_json::from_str(raw).ok()?;
    let time: jiff::civil::Time = given.strip_suffix('Z').unwrap_or(&given).parse().ok()?;
    Some(format!("\"{}.{:03}Z\"", time.strftime("%H:%M:%S"), time.millisecond()))
}

/// An instant in UTC to the millisecond, whatever its offset and writing.
fn instant(raw: &str) -> Option<String> {
    let given: String = serde_json::from_str(raw).ok()?;
    let utc = given.parse::<jiff::Timestamp>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    Some(format!("\"{}.{:03}Z\"", utc.strftime("%Y-%m-%dT%H:%M:%S"), utc.time().millisecond()))
}

fn joined(values: &[String]) -> Result<Option<String>, String> {
    if let Some(bad) = values.iter().find(|value| value.contains(';')) {
        return Err(format!("{bad:?} holds a semicolon, which separates values at Salesforce"));
    }
    Ok((!values.is_empty()).then(|| text(&values.join(";"))))
}

/// One row of a collections answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SaveResult {
    id: Option<String>,
    success: bool,
    created: Option<bool>,
    errors: Vec<Reason>,
}

/// Which write an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Create,
    Update,
    Upsert,
    Delete,
}

/// What an answer says of one row; `key` is the row's own, when it had one.
pub(super) fn outcome(write: Write, result: &SaveResult, key: Option<&Key>) -> Outcome {
    let own = || result.id.as_deref().filter(|id| !id.is_empty()).map(Key::text).or_else(|| key.cloned());
    if result.success {
        let Some(key) = own() else {
            return Outcome::lost(
                &Error::protocol("Salesforce reports a success without an id").with_provider("salesforce"),
                None,
            );
        };
        return match (write, result.created) {
            (Write::Create, _) | (Write::Upsert, Some(true)) => Outcome::Created(key),
            (Write::Update | Write::Upsert, _) => Outcome::Updated(key),
            (Write::Delete, _) => Outcome::Deleted(key),
        };
    }
    let error = dialect::first_reason(&result.errors, 400);
    if write == Write::Delete
        && error.code() == Some("ENTITY_IS_DELETED")
        && let Some(key) = own()
    {
        return Outcome::Deleted(key);
    }
    let error = match key {
        Some(key) => error.with_key(key.to_string()),
        None => error,
    };
    Outcome::Failed(error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;
    use crate::error::ErrorKind;
    use crate::record::record_type::{ListWire, Picklist, Reference};
    use crate::record::{Capability, KeyFields, TypeName};

    fn record_type() -> RecordType {
        let reference = Reference {
            targets: vec!["Group".into(), "User".into()],
            relationship: Some("Owner".into()),
            type_field: Some("OwnerId_type".into()),
            id_field: "Id".into(),
            label_field: None,
            max_length: Some(18),
        };
        RecordType {
            name: TypeName::new("Thing__c"),
            provider: "salesforce".into(),
            label: "Thing".into(),
            label_plural: "Things".into(),
            description: None,
            custom: true,
            fields: vec![
                Field::new("Name", FieldType::text(80)),
                Field::new("Amount__c", FieldType::Decimal { precision: Some(18), scale: Some(2) }),
                Field::new(
                    "Tags__c",
                    FieldType::MultiPicklist { picklist: Picklist::default(), wire: ListWire::Semicolon },
                ),
                Field::new("Big__c", FieldType::Int64),
                Field::new("Odd__c", FieldType::Json),
                Field::new("Loc__c", FieldType::Object { fields: Vec::new() }),
                Field::new("OwnerId", FieldType::Reference(reference)),
            ],
            key: KeyFields::single("Id"),
            alternate_keys: Vec::new(),
            relationships: Vec::new(),
            capability: Capability::default(),
        }
    }

    fn set(name: &str, raw: &str) -> (String, Edit) {
        (name.to_owned(), Edit::Set(RawValue::from_string(raw.to_owned()).unwrap()))
    }

    #[test]
    fn values_take_their_wire_form_and_numbers_keep_their_digits() {
        let edits = vec![
            set("Name", r#""O'Neil é""#),
            set("Amount__c", "12345678901234567.80"),
            set("Tags__c", r#"["A","B \"x\""]"#),
            set("Big__c", r#""9007199254740993""#),
            set("Odd__c", r#""{\"a\":[1]}""#),
            set("OwnerId", r#""005000000000001AAA""#),
            set("OwnerId_type", r#""User""#),
        ];
        assert_eq!(
            row(&record_type(), None, &edits, true, &Present::new()).unwrap(),
            concat!(
                r#"{"attributes":{"type":"Thing__c"},"Name":"O'Neil é","Amount__c":12345678901234567.80,"#,
                r#""Tags__c":"A;B \"x\"","Big__c":9007199254740993,"Odd__c":{"a":[1]},"OwnerId":"005000000000001AAA"}"#
            )
        );
    }

    #[test]
    fn null_clears_on_update_and_is_absent_on_create() {
        let edits = vec![set("Name", "null"), ("Amount__c".to_owned(), Edit::Clear), set("Tags__c", "[]")];
        assert_eq!(
            row(&record_type(), Some(("id", r#""1""#)), &edits, false, &Present::new()).unwrap(),
            r#"{"attributes":{"type":"Thing__c"},"id":"1","Name":null,"Amount__c":null,"Tags__c":null}"#
        );
        assert_eq!(
            row(&record_type(), None, &edits, true, &Present::new()).unwrap(),
            r#"{"attributes":{"type":"Thing__c"}}"#
        );
        assert_eq!(body(&record_type(), &edits[..1], &Present::new()).unwrap(), r#"{"Name":null}"#);
        assert_eq!(body(&record_type(), &[], &Present::new()).unwrap(), "{}");
    }

    #[test]
    fn a_list_is_changed_from_what_it_holds() {
        let edit = Edit::List { add: vec![json!("C"), json!("A")], remove: vec![json!("B")] };
        let present = Present::from([("Tags__c".to_owned(), vec!["A".to_owned(), "B".to_owned()])]);
        let edits = vec![("Tags__c".to_owned(), edit)];
        assert_eq!(body(&record_type(), &edits, &present).unwrap(), r#"{"Tags__c":"A;C"}"#);
    }

    #[test]
    fn values_that_cannot_be_written_name_their_field() {
        for edits in [
            vec![set("Nam", "1")],
            vec![set("Tags__c", r#"["A;B"]"#)],
            vec![set("Tags__c", r#""A""#)],
            vec![set("Loc__c", "{}")],
            vec![set("Big__c", r#""x""#)],
            vec![set("Odd__c", r#""{""#)],
            vec![("Name".to_owned(), Edit::List { add: vec![json!("x")], remove: Vec::new() })],
        ] {
            let error = row(&record_type(), None, &edits, true, &Present::new()).unwrap_err();
            assert_eq!(
                (error.kind(), error.fields()[0].field.as_str()),
                (ErrorKind::Invalid, edits[0].0.as_str())
            );
        }
    }

    #[test]
    fn outcomes_are_read_by_row() {
        let result = |value: Json| serde_json::from_value::<SaveResult>(value).unwrap();
        let key = Key::text("001");
        let status = |write, value| outcome(write, &result(value), Some(&key)).status();
        assert_eq!(status(Write::Create, json!({"id": "1", "success": true, "errors": []})), "created");
        assert_eq!(status(Write::Upsert, json!({"id": "1", "success": true, "created": true})), "created");
        assert_eq!(status(Write::Upsert, json!({"id": "1", "success": true, "created": false})), "updated");
        assert_eq!(
            status(
                Write::Delete,
                json!({"success": false, "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": []}]})
            ),
            "deleted"
        );
        let failed = outcome(
            Write::Create,
            &result(json!({"success": false, "errors": [{"statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]", "fields": ["LastName"]}]})),
            None,
        );
        assert_eq!(failed.error().unwrap().fields()[0].field, "LastName");
        assert_eq!(status(Write::Update, json!({"success": false})), "failed");
    }
}
