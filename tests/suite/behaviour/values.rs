//! Values for every field that a record type lets one set, made from its description alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use recordport::provider::{Edit, Edits};
use recordport::record::record_type::{Field, FieldType, TextForm};
use recordport::record::{RecordType, TypeName};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What rows can be made of besides the description.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownKeys {
    /// Keys of existing records by type, for references.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
    /// Values of fields that a row must have and that no description gives.
    pub(crate) values: BTreeMap<String, Value>,
    /// The same for fields that have another value in each row.
    pub(crate) makers: BTreeMap<String, fn() -> Value>,
}

static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A number that no other row of this run has.
pub(crate) fn next_number() -> u64 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn set(value: &Value) -> Edit {
    match value {
        Value::Null => Edit::Clear,
        value => Edit::Set(RawValue::from_string(value.to_string()).unwrap()),
    }
}

pub(crate) fn set_text(json: &str) -> Edit {
    Edit::Set(RawValue::from_string(json.to_owned()).unwrap())
}

/// The smallest row that a create takes.
pub(crate) fn required_only(record_type: &RecordType, known: &KnownKeys) -> Edits {
    record_type
        .fields
        .iter()
        .filter(|field| field.required_on_create)
        .map(|field| (field.name.clone(), set(&ordinary(field, known))))
        .collect()
}

/// The same row with the types of its references with several targets.
pub(crate) fn with_types(record_type: &RecordType, mut row: Edits, known: &KnownKeys) -> Edits {
    let mut types = Edits::new();
    for (name, _) in &row {
        let Some(FieldType::Reference(reference)) = record_type.field(name).map(|field| &field.field_type)
        else {
            continue;
        };
        let target = reference.targets.iter().find(|target| known.keys.contains_key(*target));
        if let (Some(type_field), Some(target)) = (&reference.type_field, target) {
            types.push((type_field.clone(), set(&json!(target))));
        }
    }
    row.extend(types);
    row
}

/// The same row with other values in its unique fields.
pub(crate) fn renewed(
    record_type: &RecordType,
    row: &Edits,
    known: &KnownKeys,
    is_unique: impl Fn(&Field) -> bool,
) -> Edits {
    row.iter()
        .map(|(name, edit)| match record_type.field(name) {
            Some(field) if is_unique(field) => (name.clone(), set(&ordinary(field, known))),
            _ => (name.clone(), edit.clone()),
        })
        .collect()
}

/// Every field that can be set on create, each with an ordinary value; dependent picklists, companions of
/// polymorphic references and the raw form of documents, which have another, are left to the provider's own tests.
pub(crate) fn everything(record_type: &RecordType, known: &KnownKeys) -> BTreeMap<String, Value> {
    record_type
        .fields
        .iter()
        .filter(|field| {
            let raw = matches!(field.field_type, FieldType::Text { form: TextForm::Adf, .. });
            field.createable && field.controlled_by.is_none() && !raw && !is_companion(record_type, field)
        })
        .map(|field| (field.name.clone(), ordinary(field, known)))
        .filter(|(_, value)| !value.is_null())
        .collect()
}

pub(crate) fn is_companion(record_type: &RecordType, field: &Field) -> bool {
    record_type.fields.iter().any(|other| {
        matches!(&other.field_type, FieldType::Reference(reference)
            if reference.type_field.as_deref() == Some(field.name.as_str()))
    })
}

/// A usual value; null when none can be made from the description (a reference to a type without records).
pub(crate) fn ordinary(field: &Field, known: &KnownKeys) -> Value {
    if let Some(value) = known.values.get(&field.name) {
        return value.clone();
    }
    if let Some(make) = known.makers.get(&field.name) {
        return make();
    }
    let number = next_number();
    match &field.field_type {
        FieldType::Text { max_length, form } => {
            let text = match form {
                TextForm::Id => uuid::Uuid::new_v4().to_string(),
                TextForm::Email => format!("row{number}@example.com"),
                TextForm::Phone => format!("+42055{number:07}"),
                TextForm::Url => format!("https://example.com/{number}"),
                TextForm::Html => format!("<p>text {number}</p>"),
                _ => format!("v{number}"),
            };
            let keep = max_length.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
            json!(text.chars().take(keep).collect::<String>())
        }
        FieldType::Boolean => json!(true),
        FieldType::Integer { maximum, .. } => json!(maximum.map_or(41, |most| most.min(41))),
        FieldType::Int64 => json!("41"),
        FieldType::Decimal { scale, .. } => match scale.unwrap_or(0) {
            0 => json!(7),
            _ => json!(7.5),
        },
        FieldType::Date => json!("2031-02-28"),
        FieldType::Instant => json!("2031-02-28T23:59:59Z"),
        FieldType::Time => json!("23:59:58.000Z"),
        FieldType::Picklist(picklist) => picklist
            .values
            .iter()
            .find(|value| value.active)
            .map_or_else(|| json!("free"), |value| value.value.clone()),
        FieldType::MultiPicklist { picklist, .. } => {
            json!(
                picklist
                    .values
                    .iter()
                    .filter(|value| value.active)
                    .take(2)
                    .map(|value| &value.value)
                    .collect::<Vec<_>>()
            )
        }
        FieldType::Reference(reference) => reference
            .targets
            .iter()
            .find_map(|target| known.keys.get(target).and_then(|keys| keys.first()))
            .map_or(Value::Null, |key| json!(key)),
        FieldType::Binary { inline: true, .. } => json!("aGVsbG8="),
        FieldType::Binary { .. } | FieldType::Object { .. } | FieldType::List { .. } | FieldType::Json => {
            Value::Null
        }
    }
}

/// Values at the ends of what the field takes, as JSON text.
pub(crate) fn extremes(field: &Field) -> Vec<String> {
    match &field.field_type {
        FieldType::Text { max_length, form: TextForm::Plain | TextForm::Multiline } if !field.unique => {
            let most = usize::try_from(max_length.unwrap_or(40)).unwrap_or(40).min(2_000);
            let mut values = vec![
                // Some services count the halves of such a character.
                json!("🙂".chars().cycle().take((most / 2).clamp(1, 10)).collect::<String>()).to_string(),
                json!("x".repeat(most)).to_string(),
            ];
            if most >= 24 {
                values.push(json!("' \\ \" % _ é\u{301} ﬁ").to_string());
            }
            values
        }
        FieldType::Boolean => vec!["true".into(), "false".into()],
        FieldType::Integer { minimum, maximum } => {
            [minimum, maximum].into_iter().flatten().map(ToString::to_string).collect()
        }
        // A part of a compound (a latitude) has a range of its own.
        FieldType::Decimal { .. } if field.part_of.is_some() => {
            vec!["0".into(), "-89.000000000000001".into()]
        }
        FieldType::Decimal { precision: Some(precision), scale } => {
            let scale = usize::try_from(scale.unwrap_or(0)).unwrap_or(0);
            let whole = usize::try_from(*precision).unwrap_or(1).saturating_sub(scale).max(1);
            let fraction =
                if scale == 0 { String::new() } else { format!(".{}", "9".repeat(scale - 1) + "1") };
            use recordport::record::number::Number;
            let end = |end: &Option<String>| end.as_deref().and_then(Number::parse);
            let (least, most) = (end(&field.minimum), end(&field.maximum));
            let inside = |text: &String| {
                let number = Number::parse(text).unwrap();
                least.as_ref().is_none_or(|least| number >= *least)
                    && most.as_ref().is_none_or(|most| number <= *most)
            };
            let digits = [
                "0".into(),
                format!("{}{fraction}", "9".repeat(whole.min(12))),
                format!("-{}{fraction}", "9".repeat(whole.min(12))),
            ];
            let own = [&field.minimum, &field.maximum].into_iter().flatten().cloned();
            digits.into_iter().filter(inside).chain(own).collect()
        }
        FieldType::Date => vec![r#""1900-01-01""#.into(), r#""2400-02-29""#.into(), r#""3999-12-31""#.into()],
        FieldType::Instant => vec![r#""1900-01-01T00:00:00Z""#.into(), r#""3999-12-31T23:59:59Z""#.into()],
        FieldType::Time => vec![r#""00:00:00.000Z""#.into(), r#""23:59:59.999Z""#.into()],
        FieldType::Picklist(picklist) => picklist
            .values
            .iter()
            .filter(|value| value.active)
            .map(|value| value.value.to_string())
            .take(3)
            .collect(),
        FieldType::MultiPicklist { picklist, .. } => {
            let all: Vec<&Value> =
                picklist.values.iter().filter(|value| value.active).map(|value| &value.value).collect();
            vec![json!(all).to_string(), "[]".into()]
        }
        _ => Vec::new(),
    }
}

/// Whether two JSON values are the same to a user: numbers by digits, lists of a multi-value field as sets,
/// times with or without their milliseconds.
pub(crate) fn same(field: &Field, sent: &Value, read: &Value) -> bool {
    use recordport::record::number::Number;
    match (sent, read) {
        (Value::Number(a), Value::Number(b)) => {
            Number::parse(&a.to_string()) == Number::parse(&b.to_string())
        }
        (Value::Array(a), Value::Array(b)) if field.field_type.is_multi_value() => {
            a.len() == b.len() && a.iter().all(|value| b.contains(value))
        }
        (Value::String(a), Value::String(b)) if matches!(field.field_type, FieldType::Instant) => {
            a.parse::<jiff::Timestamp>().ok() == b.parse::<jiff::Timestamp>().ok()
        }
        (Value::String(a), Value::String(b)) if matches!(field.field_type, FieldType::Time) => {
            a.trim_end_matches('Z').trim_end_matches(".000")
                == b.trim_end_matches('Z').trim_end_matches(".000")
        }
        _ => sent == read,
    }
}

/// A name that no type has.
pub(crate) fn unknown_type() -> TypeName {
    TypeName::new("NoSuchTypeAnywhere")
}
