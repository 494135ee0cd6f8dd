//! How fields are described, and how what is described is read: the way from the wire to a record follows from the
//! field alone.

use serde_json::{Value as Json, json};

use super::event_fields::{EXTENDED, PAIRS};
use crate::error::Result;
use crate::provider::paths;
use crate::record::record_type::{ListWire, Picklist, PicklistValue, Reference, TextForm};
use crate::record::transcode::{Conversion, Member, Shape};
use crate::record::{Field, FieldPath, FieldType, RecordType};

/// The id of an event in every system, the same for a series and its exceptions.
pub(super) const ICAL_UID: &str = "iCalUID";
/// The property that says which calendar a record belongs to. The service has it in the address only.
pub(super) const CALENDAR: &str = "calendar_id";

/// A field that is read.
pub(super) fn field(name: &str, label: &str, help: &str, field_type: FieldType) -> Field {
    Field {
        label: label.to_owned(),
        help: (!help.is_empty()).then(|| help.to_owned()),
        ..Field::new(name, field_type)
    }
}

/// A text that is read.
pub(super) fn text(name: &str, label: &str, help: &str) -> Field {
    field(name, label, help, FieldType::Text { max_length: None, form: TextForm::Plain })
}

/// A text of a certain kind.
pub(super) fn text_as(name: &str, label: &str, help: &str, form: TextForm) -> Field {
    field(name, label, help, FieldType::Text { max_length: None, form })
}

/// A flag that the service leaves out while it is as usual.
pub(super) fn flag(name: &str, label: &str, help: &str, usual: bool) -> Field {
    usually(field(name, label, help, FieldType::Boolean), json!(usual))
}

/// One of some values, each with what it means.
pub(super) fn choice(name: &str, label: &str, help: &str, values: &[(&str, &str)]) -> Field {
    field(name, label, help, FieldType::Picklist(picklist(values)))
}

pub(super) fn picklist(values: &[(&str, &str)]) -> Picklist {
    let each = values.iter().map(|(value, label)| PicklistValue {
        value: Json::from(*value),
        label: (*label).to_owned(),
        active: true,
        default: false,
        valid_for: None,
    });
    Picklist { values: each.collect(), restricted: true, integer: false }
}

/// Several of some values.
pub(super) fn choices(name: &str, label: &str, help: &str, values: &[(&str, &str)]) -> Field {
    field(name, label, help, FieldType::MultiPicklist { picklist: picklist(values), wire: ListWire::Array })
}

pub(super) fn object(name: &str, label: &str, help: &str, fields: Vec<Field>) -> Field {
    field(name, label, help, FieldType::Object { fields })
}

pub(super) fn list(name: &str, label: &str, help: &str, element: Field) -> Field {
    field(name, label, help, FieldType::List { element: Box::new(element) })
}

/// A reference to another record.
pub(super) fn reference(name: &str, label: &str, help: &str, target: &str, id_field: &str) -> Field {
    let reference = Reference {
        targets: vec![target.to_owned()],
        relationship: None,
        type_field: None,
        id_field: id_field.to_owned(),
        label_field: Some("summary".to_owned()),
        max_length: None,
    };
    field(name, label, help, FieldType::Reference(reference))
}

/// The service leaves the field out while it has this value.
pub(super) fn usually(field: Field, value: Json) -> Field {
    Field { nullable: false, default: Some(value), defaulted_on_create: true, ..field }
}

/// A field that can be set at any time.
pub(super) fn settable(field: Field) -> Field {
    let field_type = match field.field_type {
        FieldType::Object { fields } => {
            FieldType::Object { fields: fields.into_iter().map(kept_or_set).collect() }
        }
        FieldType::List { element } => FieldType::List { element: Box::new(settable(*element)) },
        other => other,
    };
    Field { field_type, createable: true, updatable: true, ..field }
}

/// Parts that the service keeps are marked so and stay as they are.
fn kept_or_set(part: Field) -> Field {
    if part.system { part } else { settable(part) }
}

/// A field that the service keeps.
pub(super) fn kept(field: Field) -> Field {
    Field { system: true, group: Some("System".to_owned()), ..field }
}

/// The id of records, and what else every resource has.
pub(super) fn id(help: &str) -> Field {
    Field { nullable: false, unique: true, ..kept(text_as("id", "Id", help, TextForm::Id)) }
}

pub(super) fn etag() -> Field {
    kept(text("etag", "Version", "Changes with the record; an update may be made to depend on it"))
}

pub(super) fn kind(value: &str) -> Field {
    Field { nullable: false, ..kept(usually(text("kind", "Kind", ""), json!(value))) }
}

/// How a value becomes that of the record.
fn conversion(field: &Field) -> Conversion {
    match &field.field_type {
        FieldType::Object { fields } => {
            let members = fields.iter().map(|part| Member {
                wire: part.wire().to_owned(),
                out: part.name.clone(),
                conversion: conversion(part),
            });
            Conversion::Nested(Box::new(Shape::new(members).complete()))
        }
        FieldType::List { .. } | FieldType::MultiPicklist { .. } => {
            match PAIRS.iter().find(|(name, _)| *name == field.name) {
                Some((_, group)) => Conversion::Pairs(vec![(*group).to_owned()]),
                None => Conversion::ListOrEmpty,
            }
        }
        FieldType::Json => Conversion::JsonText,
        _ => match &field.default {
            Some(usual) if !field.nullable => Conversion::Or(usual.to_string()),
            _ => Conversion::Raw,
        },
    }
}

/// The name of a field on the wire: pairs of extended properties lie in one object.
fn wire(field: &Field) -> &str {
    if PAIRS.iter().any(|(name, _)| *name == field.name) { EXTENDED } else { field.wire() }
}

/// The field at the end of a path: of the type itself, in one of its objects, or one extended property, which the
/// type does not list.
pub(super) fn at_path(record_type: &RecordType, path: &FieldPath) -> Option<Field> {
    let segments = path.segments();
    if let [extended, group, key] = segments
        && extended == EXTENDED
        && PAIRS.iter().any(|(own, known)| known == group && record_type.field(own).is_some())
    {
        let help = format!("The {group} extended property {key:?}");
        return Some(Field { filterable: true, ..text(key, key, &help) });
    }
    let (first, rest) = segments.split_first()?;
    let mut found = record_type.field(first)?;
    for name in rest {
        let FieldType::Object { fields } = &found.field_type else { return None };
        found = fields.iter().find(|part| part.name == *name)?;
    }
    Some(found.clone())
}

/// How a row becomes a record with these paths, everything when there are none. `calendar` is the one that the rows
/// are of, for types whose records have it in their key.
///
/// # Errors
/// Invalid for a path that leads nowhere.
pub(super) fn shape(
    record_type: &RecordType,
    paths: &[FieldPath],
    besides: &[FieldPath],
    calendar: Option<&str>,
) -> Result<Shape> {
    let mut wanted: Vec<&[String]> = Vec::new();
    let own = record_type.selection(paths);
    for path in own.iter().chain(besides) {
        if at_path(record_type, path).is_none() {
            return Err(paths::unknown(path, record_type, path.leaf()));
        }
        wanted.push(path.segments());
    }
    let has_calendar = wanted.iter().any(|path| path[0] == CALENDAR);
    wanted.retain(|path| path[0] != CALENDAR || calendar.is_none());
    let mut shape = Shape::new(members(&record_type.fields, &wanted)).complete();
    if let Some(calendar) = calendar {
        shape = shape.with_key_front(calendar);
        if has_calendar {
            shape = shape.with_constant(CALENDAR, calendar);
        }
    }
    let own = record_type.key.0.iter().map(String::as_str);
    let own: Vec<&str> = own.filter(|name| calendar.is_none() || *name != CALENDAR).collect();
    let shape = shape.with_key(own);
    Ok(if record_type.field("etag").is_some() { shape.with_version("etag") } else { shape })
}

/// The parameter that names the parts of an answer that are wanted.
pub(super) const FIELDS: &str = "fields";
/// What every list of events is asked for: the places to go on from, and what tells which event a row is and whether it
/// is deleted. The kind tells an empty list, which comes without rows, from an answer of somebody else.
const ALWAYS: &str = "kind,nextPageToken,nextSyncToken";
const OF_ROWS: [&str; 3] = ["id", "etag", "status"];
/// With more parts than this the parameter saves nothing.
const PARTS_MAX: usize = 16;

/// The parts of a list that a selection needs ("Partial response"); nothing when all of them are.
pub(super) fn partial(
    record_type: &RecordType,
    paths: &[FieldPath],
    besides: &[FieldPath],
) -> Option<String> {
    if paths.is_empty() {
        return None;
    }
    let mut parts: Vec<&str> = OF_ROWS.to_vec();
    for path in paths.iter().chain(besides) {
        let first = path.segments().first()?;
        let part = record_type.field(first).map_or(first.as_str(), wire);
        if part != CALENDAR && !parts.contains(&part) {
            parts.push(part);
        }
    }
    (parts.len() <= PARTS_MAX).then(|| format!("{ALWAYS},items({})", parts.join(",")))
}

/// The members of an object that paths lead to, in the order of the paths.
fn members(fields: &[Field], paths: &[&[String]]) -> Vec<Member> {
    let mut names: Vec<&String> = Vec::new();
    for path in paths {
        if let Some(first) = path.first().filter(|first| !names.contains(first)) {
            names.push(first);
        }
    }
    let each = names.into_iter().map(|name| {
        let below: Vec<&[String]> =
            paths.iter().filter(|path| path.first() == Some(name)).map(|path| &path[1..]).collect();
        let whole = below.iter().any(|rest| rest.is_empty());
        let known = fields.iter().find(|field| field.name == *name);
        let inner: &[Field] = match known.map(|field| &field.field_type) {
            Some(FieldType::Object { fields }) => fields,
            _ => &[],
        };
        let conversion = match known {
            Some(field) if whole => conversion(field),
            None if whole => Conversion::Raw,
            _ => Conversion::Nested(Box::new(Shape::new(members(inner, &below)).complete())),
        };
        Member { wire: known.map_or(name.as_str(), wire).to_owned(), out: name.clone(), conversion }
    });
    each.collect()
}
