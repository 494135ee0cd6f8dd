//! What the small types look like: record types from the table, and rows of the wire as records.

use super::PartRecords;
use super::listing::PARENTS_MAX;
use super::table::{Form, Home, ISSUE, Member, Need, Part};
use crate::error::{Error, Result};
use crate::provider::paths;
use crate::record::capability::{
    Capability, ContentCapability, GetCapability, SearchCapability, WriteCapability, no_options,
};
use crate::record::record_type::{
    Field, FieldType, Picklist, PicklistValue, RecordType, Reference, TextForm,
};
use crate::record::transcode::{self, Conversion, Member as Slot, Shape};
use crate::record::{FieldPath, KeyFields, Record, RowError, TypeName};
use crate::rich_text::adf_to_markdown;

/// Rows that are read by key in one batch.
const GET_MAX: usize = 50;
/// Batches of creates that may be under way at once.
const CREATES_AT_ONCE: usize = 4;

/// The record type of a small type.
pub(super) fn describe(part: &Part, name: &TypeName) -> RecordType {
    let plural = match name.scope() {
        Some(scope) => format!("{} of {scope}", part.plural),
        None => part.plural.to_owned(),
    };
    RecordType {
        name: name.clone(),
        provider: "jira".to_owned(),
        label: part.label.to_owned(),
        label_plural: plural,
        description: Some(part.about.to_owned()),
        custom: false,
        fields: part.members.iter().map(|member| field(part, member)).collect(),
        key: KeyFields::of(part.key.iter().copied()),
        alternate_keys: Vec::new(),
        relationships: Vec::new(),
        capability: capability(part),
    }
}

/// Whether an issue query can say of which issues the rows are wanted.
pub(super) fn takes_jql(part: &Part, scope: Option<&str>) -> bool {
    // Half of the links of such issues would lead out of them and be listed or not by chance.
    scope.is_none()
        && part.name != "issue_link"
        && matches!(part.home, Home::Issue { .. } | Home::IssueField(_))
}

fn capability(part: &Part) -> Capability {
    let one_by_one = || WriteCapability::batches_of(1);
    let by = KeyFields::of(part.key.iter().copied());
    Capability {
        search: Some(SearchCapability {
            page_max: PARENTS_MAX,
            page_min: 1,
            page_default: PARENTS_MAX,
            order: false,
            count: false,
            include_deleted: false,
            native: takes_jql(part, None).then(|| "JQL".to_owned()),
        }),
        get: Some(GetCapability { batch_max: GET_MAX, by: vec![by] }),
        create: part.create.map(|_| WriteCapability { at_once: CREATES_AT_ONCE, ..one_by_one() }),
        update: part.update.map(|_| one_by_one()),
        delete: part.delete.map(|_| one_by_one()),
        content: part.content.map(|(field, _)| ContentCapability {
            fields: vec![field.to_owned()],
            writable: false,
            bytes_max: None,
            options: no_options(),
        }),
        ..Capability::default()
    }
}

fn field(part: &Part, member: &Member) -> Field {
    let is_key = part.key.contains(&member.name);
    Field {
        label: member.label.to_owned(),
        nullable: !is_key,
        required_on_create: member.on_create == Need::Must,
        createable: member.on_create != Need::No,
        updatable: member.on_update,
        defaulted_on_create: member.on_create == Need::Filled,
        unique: is_key && part.key.len() == 1,
        system: member.form == Form::Id && is_key,
        ..Field::new(member.name, field_type(member.form))
    }
}

fn field_type(form: Form) -> FieldType {
    let text = |form| FieldType::Text { max_length: None, form };
    match form {
        Form::Id => text(TextForm::Id),
        Form::Line => text(TextForm::Plain),
        Form::Lines => text(TextForm::Multiline),
        Form::Address => text(TextForm::Url),
        Form::Email => text(TextForm::Email),
        Form::Markdown => text(TextForm::Markdown),
        Form::Document => text(TextForm::Adf),
        Form::Flag => FieldType::Boolean,
        Form::Whole => FieldType::Integer { minimum: None, maximum: None },
        Form::ProjectNumber => reference("project", "id", Some("name")),
        Form::Instant => FieldType::Instant,
        Form::Date => FieldType::Date,
        Form::User => reference("user", "accountId", Some("displayName")),
        Form::Issue => reference("issue", "id", Some("key")),
        Form::Status => text(TextForm::Id),
        Form::Choice(values) => FieldType::Picklist(Picklist {
            values: values
                .iter()
                .map(|(value, label)| PicklistValue {
                    value: (*value).into(),
                    label: (*label).to_owned(),
                    active: true,
                    default: false,
                    valid_for: None,
                })
                .collect(),
            restricted: true,
            integer: false,
        }),
        Form::Json => FieldType::Json,
        Form::Content => FieldType::Binary { max_bytes: None, inline: false },
    }
}

fn reference(target: &str, id_field: &str, label_field: Option<&str>) -> FieldType {
    FieldType::Reference(Reference {
        targets: vec![target.to_owned()],
        relationship: None,
        type_field: None,
        id_field: id_field.to_owned(),
        label_field: label_field.map(str::to_owned),
        max_length: None,
    })
}

fn conversion(member: &Member) -> Conversion {
    if !member.way.is_empty() {
        return Conversion::Pluck(member.way.iter().map(|&name| name.to_owned()).collect());
    }
    match member.form {
        Form::Markdown => Conversion::Text(markdown),
        Form::Document | Form::Json => Conversion::JsonText,
        Form::Instant => Conversion::Instant,
        Form::ProjectNumber => Conversion::NumberText,
        _ => Conversion::Raw,
    }
}

fn markdown(document: &str) -> Result<String, String> {
    let document = serde_json::from_str(document).map_err(|error| format!("not a document: {error}"))?;
    Ok(adf_to_markdown(&document))
}

impl PartRecords {
    /// Rows of the wire as records with the selected properties.
    pub(super) fn records(
        &self,
        rows: &[Vec<u8>],
        select: &[FieldPath],
        besides: &[FieldPath],
    ) -> Result<Vec<Result<Record, RowError>>> {
        let selected = self.record_type.selection(select);
        let mut slots: Vec<Slot> = Vec::new();
        for path in selected.iter().chain(besides) {
            let member = path
                .is_single()
                .then(|| self.part.members.iter().find(|member| member.name == path.leaf()))
                .flatten()
                .ok_or_else(|| paths::unknown(path, &self.record_type, path.leaf()))?;
            if !slots.iter().any(|slot| slot.out == member.name) {
                slots.push(Slot {
                    wire: member.wire.to_owned(),
                    out: member.name.to_owned(),
                    conversion: conversion(member),
                });
            }
        }
        let key = self.part.key.iter().map(|name| if *name == "issueId" { ISSUE } else { *name });
        let shape = Shape::new(slots).with_key(key).complete();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        Ok(transcode::records(&rows, &shape))
    }

    /// The member of a property.
    pub(super) fn member(&self, name: &str) -> Result<&'static Member> {
        self.part.members.iter().find(|member| member.name == name).ok_or_else(|| {
            let path = FieldPath::of([name]);
            let error: Error = paths::unknown(&path, &self.record_type, name);
            error
        })
    }
}
