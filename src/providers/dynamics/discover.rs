//! Definitions become record types. Nothing about a table is known beforehand.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::links::{self, Link, ManyToMany};
use super::metadata::{Attribute, Choice, Definition, Table, is_name, number_text};
use crate::provider::TypeSummary;
use crate::record::capability::{
    Capability, ContentCapability, GetCapability, MarkerForm, SearchCapability, UpsertCapability,
    VersionSupport, WriteCapability, no_options,
};
use crate::record::number::Number;
use crate::record::record_type::{
    AlternateKey, Field, FieldType, ListWire, Picklist, PicklistValue, RecordType, Reference, Relationship,
    TextForm,
};
use crate::record::{KeyFields, TypeName};

/// Largest page, which is also the one that Dataverse gives when none is asked for ("Page results").
pub(super) const PAGE_MAX: u32 = 5_000;
/// Operations of one batch. Dataverse takes 1,000 ("Execute batch operations"); fewer keep a request short.
pub(super) const BATCH: usize = 100;
/// Keys that one query can carry within the length of an address.
pub(super) const GET_MAX: usize = 400;

/// What of a table the Web API needs to be told about besides its record type.
#[derive(Debug)]
pub(super) struct Wires {
    /// The entity set.
    pub(super) set: String,
    /// The primary key's column.
    pub(super) id: String,
    /// By lookup column: target tables with the navigation property that leads there.
    pub(super) lookups: HashMap<String, Vec<(String, String)>>,
    /// By relationship, as paths name it: navigation property and target table.
    pub(super) ways: HashMap<String, (String, String)>,
    /// For a table that joins two others: how its records are made.
    pub(super) link: Option<Link>,
    /// Whether an action on many rows does all or nothing; elastic tables may keep a part.
    pub(super) all_or_nothing: bool,
    /// Image columns that keep the whole image beside the thumbnail.
    pub(super) full_images: Vec<String>,
    /// Columns that are not offered, and why.
    pub(super) left_out: Vec<(String, &'static str)>,
}

/// The tables that a search text leaves.
pub(super) fn summaries(
    tables: &[Table],
    relationships: &[ManyToMany],
    search: Option<&str>,
) -> Vec<TypeSummary> {
    let wanted = search.map(str::to_lowercase);
    let fits = |table: &Table| {
        wanted.as_ref().is_none_or(|wanted| {
            let labels = table.display_name.texts().chain(table.display_collection_name.texts());
            std::iter::once(table.logical_name.as_str())
                .chain(table.schema_name.as_deref())
                .chain(labels)
                .any(|text| text.to_lowercase().contains(wanted))
        })
    };
    tables
        .iter()
        .filter(|table| fits(table))
        .filter_map(|table| {
            let (_, id) = table.address()?;
            let joins = table.is_intersect == Some(true);
            let ends = links::ends_of(table, relationships);
            let writable = !joins || ends.is_some();
            let keys = ends.map_or_else(|| vec![id.to_owned()], |ends| ends.map(|end| end.column).to_vec());
            Some(TypeSummary {
                name: TypeName::new(table.logical_name.as_str()),
                label: label(table),
                label_plural: label_plural(table),
                custom: table.is_custom_entity == Some(true),
                searchable: true,
                creatable: writable,
                updatable: !joins,
                deletable: writable,
                keys,
            })
        })
        .collect()
}

pub(super) fn label(table: &Table) -> String {
    table.display_name.text().unwrap_or(&table.logical_name).to_owned()
}

fn label_plural(table: &Table) -> String {
    table.display_collection_name.text().map_or_else(|| label(table), str::to_owned)
}

/// Primary key and primary name of another table, for lookups that lead there.
pub(super) type TargetColumns = HashMap<String, (String, Option<String>)>;

/// The record type of a table, and how the Web API calls its parts; `None` when the Web API does not offer it.
pub(super) fn record_type(definition: &Definition, targets: &TargetColumns) -> Option<(RecordType, Wires)> {
    let table = &definition.table;
    let (set, id) = table.address()?;
    let mut left_out = Vec::new();
    let mut columns: Vec<&Attribute> = definition
        .attributes
        .iter()
        .filter(|attribute| match reason_to_leave_out(attribute) {
            None => true,
            Some(reason) => {
                left_out.push((attribute.logical_name.clone(), reason));
                false
            }
        })
        .collect();
    columns.sort_by_key(|column| {
        (column.logical_name != id, column.column_number.unwrap_or(i64::MAX), column.logical_name.clone())
    });
    let lookups = lookups(definition, &columns);
    let (relationships, ways) = relationships(&columns, &lookups);
    let state =
        columns.iter().find(|column| column.kind() == "StateType").map(|column| column.logical_name.clone());
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| {
            let mut field = field_of(column, table, targets);
            if column.kind() == "StatusType" {
                field.controlled_by.clone_from(&state);
            }
            if let FieldType::Reference(reference) = &mut field.field_type {
                let own = relationships.iter().filter(|way| way.field == column.logical_name);
                let mut own = own.map(|way| way.name.clone());
                reference.relationship = own.next().filter(|_| own.next().is_none());
            }
            field
        })
        .collect();
    let alternate_keys: Vec<AlternateKey> = definition
        .keys
        .iter()
        .filter(|key| key.entity_key_index_status.as_deref() == Some("Active"))
        .filter(|key| !key.key_attributes.is_empty())
        .filter_map(|key| {
            let parts: Option<Vec<&Field>> = key
                .key_attributes
                .iter()
                .map(|name| fields.iter().find(|field| field.name == *name))
                .collect();
            let insertable =
                parts?.iter().all(|field| field.createable && !field.auto_number && !field.calculated);
            Some(AlternateKey { fields: KeyFields(key.key_attributes.clone()), insertable })
        })
        .collect();
    let record_type = RecordType {
        name: TypeName::new(table.logical_name.as_str()),
        provider: "dynamics".to_owned(),
        label: label(table),
        label_plural: label_plural(table),
        description: table.description.text().map(str::to_owned),
        custom: table.is_custom_entity == Some(true),
        capability: Capability { content: content(table, &fields), ..capability(table, id, &alternate_keys) },
        fields,
        key: KeyFields::single(id),
        alternate_keys,
        relationships,
    };
    let full = columns.iter().filter(|column| column.can_store_full_image == Some(true));
    let full_images = full.map(|column| column.logical_name.clone()).collect();
    let all_or_nothing = table.table_type.as_deref().is_none_or(|kind| kind == "Standard");
    let (set, id) = (set.to_owned(), id.to_owned());
    let wires = Wires { set, id, lookups, ways, link: None, all_or_nothing, full_images, left_out };
    Some((record_type, wires))
}

/// Why a column is not offered; `None` when it is.
fn reason_to_leave_out(attribute: &Attribute) -> Option<&'static str> {
    if !is_name(&attribute.logical_name) || attribute.logical_name.as_bytes()[0].is_ascii_digit() {
        return Some("its name cannot be a property's");
    }
    if attribute.attribute_of.is_some() {
        return Some("it only tells more about another column");
    }
    if attribute.is_valid_odata_attribute == Some(false) {
        return Some("the Web API does not offer it");
    }
    if attribute.is_valid_for_read == Some(false) {
        return Some("it cannot be read");
    }
    match attribute.kind().as_str() {
        "VirtualType" => Some("it holds no value of its own"),
        "PartyListType" => Some("lists of activity parties are records of their own"),
        "CalendarRulesType" => Some("calendar rules are records of their own"),
        "ManagedPropertyType" => Some("managed properties belong to solutions"),
        _ => None,
    }
}

/// Where the values of each lookup lead, and by which navigation property.
fn lookups(definition: &Definition, columns: &[&Attribute]) -> HashMap<String, Vec<(String, String)>> {
    let mut out = HashMap::new();
    for column in columns.iter().filter(|column| is_lookup(&column.kind())) {
        let ways: Vec<(String, String)> = definition
            .many_to_one
            .iter()
            .filter(|way| way.referencing_attribute == column.logical_name)
            .filter_map(|way| {
                let nav =
                    way.referencing_entity_navigation_property_name.as_deref().filter(|nav| is_name(nav))?;
                Some((way.referenced_entity.clone(), nav.to_owned()))
            })
            .collect();
        out.insert(column.logical_name.clone(), ways);
    }
    out
}

fn is_lookup(kind: &str) -> bool {
    matches!(kind, "LookupType" | "CustomerType" | "OwnerType")
}

/// The relationships that paths can go through. A navigation property is often called as its column; a path
/// then names the target too, as Dataverse does where there are several (`primarycontactid_contact`).
fn relationships(
    columns: &[&Attribute],
    lookups: &HashMap<String, Vec<(String, String)>>,
) -> (Vec<Relationship>, HashMap<String, (String, String)>) {
    let mut list = Vec::new();
    let mut ways: HashMap<String, (String, String)> = HashMap::new();
    let is_column = |name: &str| columns.iter().any(|column| column.logical_name == name);
    for column in columns {
        let targets = column.targets.as_deref().unwrap_or_default();
        for (target, nav) in lookups.get(&column.logical_name).into_iter().flatten() {
            // An owner's navigation property leads to a base type that has nothing to read.
            if !targets.contains(target) {
                continue;
            }
            let mut name = if is_column(nav) { format!("{nav}_{target}") } else { nav.clone() };
            while is_column(&name) || ways.contains_key(&name) {
                name.push_str("_record");
            }
            list.push(Relationship {
                name: name.clone(),
                field: column.logical_name.clone(),
                targets: vec![target.clone()],
            });
            ways.insert(name, (nav.clone(), target.clone()));
        }
    }
    (list, ways)
}

fn capability(table: &Table, id: &str, alternate_keys: &[AlternateKey]) -> Capability {
    let primary = KeyFields::single(id);
    let writable = table.is_intersect != Some(true);
    let version = if table.is_optimistic_concurrency_enabled == Some(true) {
        VersionSupport::Exact
    } else {
        VersionSupport::None
    };
    let write = |saves: bool| WriteCapability {
        options: write_options(saves),
        parents_by_key: saves,
        ..WriteCapability::batches_of(BATCH)
    };
    let insertable = alternate_keys.iter().filter(|key| key.insertable).map(|key| key.fields.clone());
    Capability {
        search: Some(SearchCapability {
            page_max: PAGE_MAX,
            page_min: 1,
            page_default: PAGE_MAX,
            order: true,
            count: true,
            include_deleted: false,
            native: Some("OData".to_owned()),
        }),
        get: Some(GetCapability {
            batch_max: GET_MAX,
            by: std::iter::once(primary.clone())
                .chain(alternate_keys.iter().map(|key| key.fields.clone()))
                .collect(),
        }),
        create: writable.then(|| WriteCapability {
            marker: true,
            made_up_marker: Some(MarkerForm::Uuid),
            marks: vec![id.to_owned()],
            ..write(true)
        }),
        update: writable.then(|| WriteCapability { version, ..write(true) }),
        upsert: writable.then(|| UpsertCapability {
            write: write(true),
            by: insertable.chain(std::iter::once(primary)).collect(),
            match_only: Vec::new(),
        }),
        delete: writable.then(|| WriteCapability { version, ..write(false) }),
        changes: Some(super::changes::capability(table.change_tracking_enabled == Some(true))),
        content: None,
    }
}

/// The columns of bytes, files before images.
fn content(table: &Table, fields: &[Field]) -> Option<ContentCapability> {
    let of = |wanted: bool| {
        fields.iter().filter_map(move |field| match field.field_type {
            FieldType::Binary { inline, max_bytes } if inline == wanted => {
                Some((field.name.clone(), max_bytes))
            }
            _ => None,
        })
    };
    let (names, sizes): (Vec<String>, Vec<Option<u64>>) = of(false).chain(of(true)).unzip();
    let mut options = no_options();
    options["properties"] = json!({
        "file_name": {
            "type": "string", "title": "File name",
            "description": "Name under which the file is kept; the column's name when none is given",
        },
        "media_type": {
            "type": "string", "title": "Media type",
            "description": "What the file is, such as application/pdf",
        },
    });
    (!names.is_empty()).then(|| ContentCapability {
        fields: names,
        writable: table.is_intersect != Some(true),
        bytes_max: sizes.into_iter().collect::<Option<Vec<u64>>>().and_then(|sizes| sizes.into_iter().max()),
        options,
    })
}

/// Schema of the options of a write.
fn write_options(saves: bool) -> Json {
    let mut schema = no_options();
    let flag = |title: &str, description: &str| json!({"type": "boolean", "title": title, "description": description, "default": false});
    let mut properties = serde_json::Map::new();
    if saves {
        properties.insert(
            "detect_duplicates".to_owned(),
            flag(
                "Detect duplicates",
                "Whether duplicate detection rules apply; a record that they find a duplicate of is refused",
            ),
        );
    }
    properties.insert(
        "bypass_plugins".to_owned(),
        flag(
            "Bypass custom logic",
            "Whether synchronous plug-ins and workflows are passed by; needs a privilege of its own",
        ),
    );
    schema["properties"] = Json::Object(properties);
    schema
}

/// Columns that Dataverse keeps by itself, told by what every table has in common: they can be neither created
/// nor changed, and were not made by an administrator.
fn is_system(attribute: &Attribute) -> bool {
    attribute.is_primary_id == Some(true)
        || (attribute.is_valid_for_create == Some(false)
            && attribute.is_valid_for_update == Some(false)
            && attribute.is_custom_attribute != Some(true))
}

fn field_of(attribute: &Attribute, table: &Table, targets: &TargetColumns) -> Field {
    let kind = attribute.kind();
    let name = attribute.logical_name.as_str();
    let (field_type, note) = type_of(attribute, &kind, targets);
    let textual = matches!(kind.as_str(), "StringType" | "MemoType");
    let primary_id = table.primary_id_attribute.as_deref() == Some(name);
    let calculated = matches!(attribute.source_type, Some(1..=3));
    let auto_number = attribute.auto_number_format.as_deref().is_some_and(|format| !format.is_empty());
    let createable = attribute.is_valid_for_create == Some(true) && !calculated && kind != "FileType";
    let updatable =
        attribute.is_valid_for_update == Some(true) && !calculated && !primary_id && kind != "FileType";
    let default = default_of(attribute, &kind);
    // The caller becomes the owner, a new record is active, and numbers and keys are made.
    let filled = default.is_some()
        || primary_id
        || auto_number
        || matches!(kind.as_str(), "OwnerType" | "StateType" | "StatusType");
    let system = is_system(attribute);
    let sortable = attribute.is_sortable_enabled.as_ref().and_then(|sortable| sortable.value) != Some(false)
        && !matches!(
            kind.as_str(),
            "MultiSelectPicklistType"
                | "MemoType"
                | "LookupType"
                | "CustomerType"
                | "OwnerType"
                | "ImageType"
                | "FileType"
                | "EntityNameType"
        );
    let (minimum, maximum) = match field_type {
        FieldType::Decimal { .. } => {
            (attribute.min_value.as_ref().map(number_text), attribute.max_value.as_ref().map(number_text))
        }
        _ => (None, None),
    };
    Field {
        label: attribute.display_name.text().unwrap_or(name).to_owned(),
        help: help(attribute),
        wire_name: is_lookup(&kind).then(|| format!("_{name}_value")),
        nullable: !attribute.required() && !primary_id,
        required_on_create: attribute.required() && createable && !filled,
        createable,
        updatable,
        filterable: field_type.value_kind().is_some(),
        sortable,
        unique: primary_id,
        case_sensitive: textual.then_some(false),
        empty_is_null: textual,
        calculated,
        auto_number,
        defaulted_on_create: filled,
        default,
        system,
        group: system.then(|| "System".to_owned()),
        minimum,
        maximum,
        floating: kind == "DateTimeType" && behaviour(attribute) == Some("TimeZoneIndependent"),
        note,
        ..Field::new(name, field_type)
    }
}

/// What the definition says about a column in words, and what true and false are called.
fn help(attribute: &Attribute) -> Option<String> {
    let own = attribute.description.text();
    let set = attribute.options();
    let called =
        |choice: &Option<Choice>| choice.as_ref().and_then(|choice| choice.label.text().map(str::to_owned));
    let words = set.and_then(|set| called(&set.true_option).zip(called(&set.false_option)));
    match (own, words) {
        (own, None) => own.map(str::to_owned),
        (None, Some((yes, no))) => Some(format!("true: {yes}, false: {no}")),
        (Some(own), Some((yes, no))) => Some(format!("{own} (true: {yes}, false: {no})")),
    }
}

fn behaviour(attribute: &Attribute) -> Option<&str> {
    attribute.date_time_behavior.as_ref().and_then(|behaviour| behaviour.value.as_deref())
}

fn default_of(attribute: &Attribute, kind: &str) -> Option<Json> {
    match kind {
        "BooleanType" => attribute.default_value.map(Json::Bool),
        "PicklistType" => attribute.default_form_value.filter(|value| *value >= 0).map(Json::from),
        _ => None,
    }
}

/// What a column holds, and a remark where something about it is not obvious.
fn type_of(attribute: &Attribute, kind: &str, targets: &TargetColumns) -> (FieldType, Option<String>) {
    let plain = |field_type| (field_type, None);
    let noted = |field_type, note: &str| (field_type, Some(note.to_owned()));
    let text = |form| FieldType::Text { max_length: attribute.max_length, form };
    let format = attribute.format_name.as_ref().and_then(|format| format.value.as_deref());
    match kind {
        "StringType" => plain(text(match format {
            Some("Email") => TextForm::Email,
            Some("Url") => TextForm::Url,
            Some("Phone") => TextForm::Phone,
            Some("TextArea") => TextForm::Multiline,
            Some("RichText") => TextForm::Html,
            _ => TextForm::Plain,
        })),
        "MemoType" if attribute.format.as_deref() == Some("RichText") => plain(text(TextForm::Html)),
        "MemoType" => plain(text(TextForm::Multiline)),
        "EntityNameType" => plain(text(TextForm::Plain)),
        "UniqueidentifierType" => plain(FieldType::Text { max_length: Some(36), form: TextForm::Id }),
        "BooleanType" => plain(FieldType::Boolean),
        "IntegerType" => {
            let end = |end: &Option<serde_json::Number>, otherwise: i32| {
                end.as_ref().and_then(serde_json::Number::as_i64).or(Some(i64::from(otherwise)))
            };
            plain(FieldType::Integer {
                minimum: end(&attribute.min_value, i32::MIN),
                maximum: end(&attribute.max_value, i32::MAX),
            })
        }
        "BigIntType" => plain(FieldType::Int64),
        "DecimalType" | "MoneyType" => plain(decimal(attribute)),
        // A floating number has no fixed count of digits.
        "DoubleType" => plain(FieldType::Decimal { precision: None, scale: attribute.precision }),
        "DateTimeType" => match behaviour(attribute) {
            Some("DateOnly") => plain(FieldType::Date),
            Some("TimeZoneIndependent") => noted(
                FieldType::Instant,
                "A date and time without a zone: the same everywhere, written with Z",
            ),
            _ if attribute.format.as_deref() == Some("DateOnly") => noted(
                FieldType::Instant,
                "Shown as a date to people, but stored as the instant of midnight in the zone of whoever wrote it",
            ),
            _ => plain(FieldType::Instant),
        },
        "PicklistType" | "StateType" | "StatusType" => plain(FieldType::Picklist(picklist(attribute, kind))),
        "MultiSelectPicklistType" => {
            plain(FieldType::MultiPicklist { picklist: picklist(attribute, kind), wire: ListWire::Comma })
        }
        kind if is_lookup(kind) => plain(FieldType::Reference(reference(attribute, targets))),
        "ImageType" => noted(
            FieldType::Binary { max_bytes: bytes(attribute), inline: true },
            "Reads as the image's thumbnail in base64; written as the whole image in base64. The whole image is read as content",
        ),
        "FileType" => noted(
            FieldType::Binary { max_bytes: bytes(attribute), inline: false },
            "Reads as the file's id; the file itself is read and written as content",
        ),
        unknown => (
            FieldType::Json,
            Some(format!(
                "Dataverse calls this type {unknown:?}, which is not known here; the value is passed on as JSON text"
            )),
        ),
    }
}

fn bytes(attribute: &Attribute) -> Option<u64> {
    attribute.max_size_in_kb.map(|size| size.saturating_mul(1024))
}

/// Digits before the point come from the range, digits behind it from the precision.
fn decimal(attribute: &Attribute) -> FieldType {
    let scale = attribute.precision;
    let whole = [&attribute.min_value, &attribute.max_value]
        .into_iter()
        .map(|end| {
            let text = end.as_ref().map(number_text)?;
            let number = Number::parse(&text)?;
            (1..=40_u32).find(|digits| {
                let inside = |sign: &str| Number::parse(&format!("{sign}1e{digits}"));
                inside("").is_some_and(|top| number < top)
                    && inside("-").is_some_and(|bottom| number > bottom)
            })
        })
        .collect::<Option<Vec<u32>>>()
        .and_then(|digits| digits.into_iter().max());
    FieldType::Decimal { precision: whole.map(|whole| whole + scale.unwrap_or(0)), scale }
}

fn picklist(attribute: &Attribute, kind: &str) -> Picklist {
    let choices = attribute.options().map(|set| set.options.as_slice()).unwrap_or_default();
    let values = choices
        .iter()
        .map(|choice| PicklistValue {
            value: Json::from(choice.value),
            label: choice.label.text().map_or_else(|| choice.value.to_string(), str::to_owned),
            active: choice.is_hidden != Some(true),
            default: attribute.default_form_value == Some(choice.value) && kind == "PicklistType",
            valid_for: (kind == "StatusType")
                .then(|| choice.state.map(|state| vec![Json::from(state)]))
                .flatten(),
        })
        .collect();
    Picklist { values, restricted: true, integer: true }
}

fn reference(attribute: &Attribute, targets: &TargetColumns) -> Reference {
    let names = attribute.targets.clone().unwrap_or_default();
    let several = names.len() > 1;
    let only = names.first().filter(|_| !several).and_then(|target| targets.get(target));
    Reference {
        type_field: several.then(|| format!("{}_type", attribute.logical_name)),
        id_field: only.map(|(id, _)| id.clone()).unwrap_or_default(),
        label_field: only.and_then(|(_, name)| name.clone()),
        targets: names,
        relationship: None,
        max_length: None,
    }
}
