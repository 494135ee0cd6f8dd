//! Record types: everything a provider's metadata says about a type and its fields, in one neutral form from
//! which schemas, capabilities, checks and transcoding are derived.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value as Json;

use super::schema::polymorphic_type_field;
use super::value::ValueKind;
use super::{Capability, FieldPath, KeyFields, TypeName};

/// A record type as its provider describes it at this moment.
#[derive(Debug, Clone, Serialize)]
pub struct RecordType {
    /// Name by which the type is asked for.
    pub name: TypeName,
    /// The provider's name (`salesforce`).
    pub provider: String,
    /// Label in the provider's language, singular.
    pub label: String,
    /// Label, plural.
    pub label_plural: String,
    /// What it is, in a sentence, when the provider says.
    pub description: Option<String>,
    /// Whether an administrator of the provider made it.
    pub custom: bool,
    /// Fields in the provider's order.
    pub fields: Vec<Field>,
    /// The fields of the primary key.
    pub key: KeyFields,
    /// Other field sets that identify at most one record and can be used with `--by`.
    pub alternate_keys: Vec<AlternateKey>,
    /// References that a path can go through.
    pub relationships: Vec<Relationship>,
    /// What can be done with records of this type.
    pub capability: Capability,
}

/// A set of fields that identifies at most one record besides the primary key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlternateKey {
    /// The fields, in order.
    pub fields: KeyFields,
    /// Whether an upsert may insert with it; false when the provider fills the value itself (auto-number).
    pub insertable: bool,
}

/// A named way from this type to another, used as the first part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relationship {
    /// Name in paths (`Account`, `Parent__r`).
    pub name: String,
    /// The reference field behind it (`AccountId`).
    pub field: String,
    /// Types it can lead to.
    pub targets: Vec<String>,
}

impl RecordType {
    /// A field by name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The reference with several target types whose `<name>_type` property this is.
    #[must_use]
    pub fn reference_of_type_field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| {
            matches!(&field.field_type, FieldType::Reference(reference) if reference.type_field.as_deref() == Some(name))
        })
    }

    /// The paths of a selection; an empty one stands for every property of the type.
    #[must_use]
    pub fn selection<'a>(&self, select: &'a [FieldPath]) -> Cow<'a, [FieldPath]> {
        if select.is_empty() {
            self.fields.iter().flat_map(Field::own_paths).collect()
        } else {
            Cow::Borrowed(select)
        }
    }

    /// A relationship by name.
    #[must_use]
    pub fn relationship(&self, name: &str) -> Option<&Relationship> {
        self.relationships.iter().find(|relationship| relationship.name == name)
    }

    /// Whether a member of a row may stand in an update: a field, the type of a polymorphic reference, or a parent that
    /// is named by its key.
    #[must_use]
    pub fn sets_on_update(&self, name: &str) -> bool {
        if self.key.0.iter().any(|key| key == name) {
            return false;
        }
        let companion = || polymorphic_type_field(self, name).map(|field| field.updatable);
        let parent =
            || self.relationship(name).and_then(|one| self.field(&one.field)).map(|field| field.updatable);
        self.field(name).map(|field| field.updatable).or_else(companion).or_else(parent).unwrap_or(false)
    }
}

/// One field. Names are wire names; they match `^[A-Za-z_][A-Za-z0-9_]*$` (else [`Field::wire_name`] differs).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// Property name.
    pub name: String,
    /// The provider's name where a property cannot be called so.
    pub wire_name: Option<String>,
    /// Label for people.
    pub label: String,
    /// Help for people.
    pub help: Option<String>,
    /// What it holds.
    pub field_type: FieldType,
    /// Whether the provider says it may be null.
    pub nullable: bool,
    /// Whether a create without it is refused.
    pub required_on_create: bool,
    /// Whether it can be set on create.
    pub createable: bool,
    /// Whether it can be set on update.
    pub updatable: bool,
    /// Whether the provider itself filters by it (residual evaluation does not depend on this).
    pub filterable: bool,
    /// Whether the provider itself orders by it.
    pub sortable: bool,
    /// Whether values are unique.
    pub unique: bool,
    /// Whether it is an identifier of another system.
    pub external_id: bool,
    /// Whether text compares with case at the provider; `None` where it does not say.
    pub case_sensitive: Option<bool>,
    /// Whether empty text and null are one at the provider.
    pub empty_is_null: bool,
    /// Whether the provider computes it (formula, roll-up).
    pub calculated: bool,
    /// Whether the provider numbers it.
    pub auto_number: bool,
    /// Whether the provider fills it on create when it is absent.
    pub defaulted_on_create: bool,
    /// Default value, when one is known.
    pub default: Option<Json>,
    /// Whether people should see it masked.
    pub sensitive: bool,
    /// Whether the provider keeps it (ids, audit instants).
    pub system: bool,
    /// The compound field it is a part of.
    pub part_of: Option<String>,
    /// The field whose value narrows this picklist.
    pub controlled_by: Option<String>,
    /// Group that a form shows it in.
    pub group: Option<String>,
    /// Smallest value of a decimal number, as number text, where its digits alone do not tell.
    pub minimum: Option<String>,
    /// Largest value of a decimal number, as number text.
    pub maximum: Option<String>,
    /// Whether an instant has no zone: it is written with `Z` and is the same clock time everywhere.
    pub floating: bool,
    /// Example values.
    pub examples: Vec<Json>,
    /// A remark about what recordport could not learn, such as an unknown wire type.
    pub note: Option<String>,
}

impl Field {
    /// A nullable, readable field with nothing else said; set what differs.
    #[must_use]
    pub fn new(name: impl Into<String>, field_type: FieldType) -> Self {
        let name = name.into();
        Self {
            label: name.clone(),
            name,
            wire_name: None,
            help: None,
            field_type,
            nullable: true,
            required_on_create: false,
            createable: false,
            updatable: false,
            filterable: false,
            sortable: false,
            unique: false,
            external_id: false,
            case_sensitive: None,
            empty_is_null: false,
            calculated: false,
            auto_number: false,
            defaulted_on_create: false,
            default: None,
            sensitive: false,
            system: false,
            part_of: None,
            controlled_by: None,
            group: None,
            minimum: None,
            maximum: None,
            floating: false,
            examples: Vec::new(),
            note: None,
        }
    }

    /// The properties that the field gives: itself, and the type of a reference with several targets.
    pub fn own_paths(&self) -> impl Iterator<Item = FieldPath> + use<> {
        let type_field = match &self.field_type {
            FieldType::Reference(reference) => reference.type_field.clone(),
            _ => None,
        };
        [Some(self.name.clone()), type_field].into_iter().flatten().map(|name| FieldPath::of([name]))
    }

    /// The name on the wire.
    #[must_use]
    pub fn wire(&self) -> &str {
        self.wire_name.as_deref().unwrap_or(&self.name)
    }
}

/// What a field holds, and the form that its JSON takes in every schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum FieldType {
    /// Text. JSON string.
    Text {
        /// Longest text, in characters (code points).
        max_length: Option<u64>,
        /// What kind of text.
        form: TextForm,
    },
    /// JSON true or false.
    Boolean,
    /// A whole number within ±2^53. JSON number.
    Integer {
        /// Smallest value.
        minimum: Option<i64>,
        /// Largest value.
        maximum: Option<i64>,
    },
    /// A whole number beyond that. JSON string of digits.
    Int64,
    /// A decimal number. JSON number, digits exact (or string on request).
    Decimal {
        /// Digits in all.
        precision: Option<u32>,
        /// Digits behind the point.
        scale: Option<u32>,
    },
    /// A calendar date. JSON string, RFC 3339 full-date.
    Date,
    /// An instant. JSON string, RFC 3339 date-time with offset.
    Instant,
    /// A time of day. JSON string `HH:MM:SS[.fff][Z]`.
    Time,
    /// One of a list of values.
    Picklist(Picklist),
    /// Several of a list of values. JSON array, never null.
    MultiPicklist {
        /// The values.
        picklist: Picklist,
        /// How the provider writes the list.
        wire: ListWire,
    },
    /// The key of a record of another type. JSON string.
    Reference(Reference),
    /// Bytes behind a handle. JSON string (an address or handle), or base64 when `inline`.
    Binary {
        /// Most bytes.
        max_bytes: Option<u64>,
        /// Whether the record body carries base64 text on write.
        inline: bool,
    },
    /// A JSON object with these fields (addresses, locations, start and end).
    Object {
        /// Its fields.
        fields: Vec<Field>,
    },
    /// A JSON array of one element type.
    List {
        /// The element; its name and label describe one element.
        element: Box<Field>,
    },
    /// Anything else, as JSON text in a string.
    Json,
}

/// Kinds of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextForm {
    /// One line.
    Plain,
    /// Several lines.
    Multiline,
    /// HTML.
    Html,
    /// Markdown.
    Markdown,
    /// Atlassian Document Format as JSON text.
    Adf,
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// Web address, with or without scheme.
    Url,
    /// Identifier that the provider makes.
    Id,
    /// Stored encrypted, read masked.
    Encrypted,
}

/// How a multi-value field is written by its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListWire {
    /// `A;B`
    Semicolon,
    /// `1,2`
    Comma,
    /// A JSON array.
    Array,
}

/// The values of a picklist.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Picklist {
    /// All values in the provider's order, inactive ones included; `value` need not be unique.
    pub values: Vec<PicklistValue>,
    /// Whether the provider refuses other values.
    pub restricted: bool,
    /// Whether values are whole numbers (else text).
    pub integer: bool,
}

/// One value of a picklist.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PicklistValue {
    /// The value that is stored: JSON string, or number for integer picklists.
    pub value: Json,
    /// The label that people see.
    pub label: String,
    /// Whether it can still be chosen.
    pub active: bool,
    /// Whether the provider takes it when none is given.
    pub default: bool,
    /// Values of the controlling field with which it can be chosen; `None` when it does not depend.
    pub valid_for: Option<Vec<Json>>,
}

/// A reference to records of other types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// Types that can be referred to.
    pub targets: Vec<String>,
    /// Name of the relationship in paths.
    pub relationship: Option<String>,
    /// For several targets: the property that names the target's type (`<name>_type`).
    pub type_field: Option<String>,
    /// Field of the target that the value equals; empty where each target has another one.
    pub id_field: String,
    /// Field of the target to show to people.
    pub label_field: Option<String>,
    /// Longest value, in characters.
    pub max_length: Option<u64>,
}

impl FieldType {
    /// Its name, as it stands in `type` of its JSON form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Boolean => "boolean",
            Self::Integer { .. } => "integer",
            Self::Int64 => "int64",
            Self::Decimal { .. } => "decimal",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::Time => "time",
            Self::Picklist(_) => "picklist",
            Self::MultiPicklist { .. } => "multi_picklist",
            Self::Reference(_) => "reference",
            Self::Binary { .. } => "binary",
            Self::Object { .. } => "object",
            Self::List { .. } => "list",
            Self::Json => "json",
        }
    }

    /// Plain text up to a length.
    #[must_use]
    pub fn text(max_length: u64) -> Self {
        Self::Text { max_length: Some(max_length), form: TextForm::Plain }
    }

    /// The kind that values of this type compare as, in a filter: a list compares by its elements; objects,
    /// binaries and free JSON do not compare.
    #[must_use]
    pub fn value_kind(&self) -> Option<ValueKind> {
        match self {
            Self::Text { .. } | Self::Reference(_) => Some(ValueKind::Text),
            Self::Boolean => Some(ValueKind::Boolean),
            Self::Integer { .. } | Self::Int64 | Self::Decimal { .. } => Some(ValueKind::Number),
            Self::Date => Some(ValueKind::Date),
            Self::Instant => Some(ValueKind::Instant),
            Self::Time => Some(ValueKind::Time),
            Self::Picklist(picklist) | Self::MultiPicklist { picklist, .. } => {
                Some(if picklist.integer { ValueKind::Number } else { ValueKind::Text })
            }
            Self::List { element } => element.field_type.value_kind(),
            Self::Binary { .. } | Self::Object { .. } | Self::Json => None,
        }
    }

    /// Whether a record holds several values of it.
    #[must_use]
    pub fn is_multi_value(&self) -> bool {
        matches!(self, Self::MultiPicklist { .. } | Self::List { .. })
    }
}

/// A field that a path led to, with the way there.
#[derive(Debug, Clone)]
pub struct ResolvedField {
    /// The path as asked for.
    pub path: FieldPath,
    /// The field at its end.
    pub field: Field,
    /// The record type that owns the field.
    pub owner: TypeName,
}
