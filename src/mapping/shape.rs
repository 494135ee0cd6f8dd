//! What is known of a value before there is one: its type on the way through a rule.

use crate::record::record_type::{Picklist, TextForm};
use crate::record::{Field, FieldType};

/// What a value is at some point of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its type.
    pub field_type: FieldType,
    /// Whether an instant is a clock time without a zone.
    pub floating: bool,
    /// Types of records whose key it is, on the connection that the target is on.
    pub key_of: Vec<String>,
    /// Whether it was made for the target's field, every part of it checked against that field.
    pub made: bool,
}

impl Shape {
    /// A value of this type, about which nothing else is known.
    #[must_use]
    pub fn new(field_type: FieldType) -> Self {
        Self { field_type, floating: false, key_of: Vec::new(), made: false }
    }

    /// The same, made for the field that has it.
    #[must_use]
    pub fn made(self) -> Self {
        Self { made: true, ..self }
    }

    /// The value of a field.
    #[must_use]
    pub fn of(field: &Field) -> Self {
        Self { floating: field.floating, ..Self::new(field.field_type.clone()) }
    }

    /// Text of one line or several, of any length.
    #[must_use]
    pub fn text() -> Self {
        Self::new(FieldType::Text { max_length: None, form: TextForm::Multiline })
    }

    /// A list of such values.
    #[must_use]
    pub fn list_of(self) -> Self {
        let element = Field { floating: self.floating, ..Field::new("element", self.field_type) };
        Self::new(FieldType::List { element: Box::new(element) })
    }

    /// The values of a list of this shape.
    #[must_use]
    pub fn element(&self) -> Option<Self> {
        match &self.field_type {
            FieldType::List { element } => Some(Self::of(element)),
            FieldType::MultiPicklist { picklist, .. } => {
                Some(Self::new(FieldType::Picklist(picklist.clone())))
            }
            _ => None,
        }
    }

    /// The values that it can take, when they are listed.
    #[must_use]
    pub fn picklist(&self) -> Option<&Picklist> {
        match &self.field_type {
            FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. } => Some(picklist),
            _ => None,
        }
    }

    /// Its kind, by which the table of conversions goes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.field_type {
            FieldType::Text { form, .. } => match form {
                TextForm::Html => Kind::Html,
                TextForm::Markdown => Kind::Markdown,
                TextForm::Adf => Kind::Adf,
                TextForm::Encrypted => Kind::Masked,
                TextForm::Plain
                | TextForm::Multiline
                | TextForm::Email
                | TextForm::Phone
                | TextForm::Url
                | TextForm::Id => Kind::Text,
            },
            FieldType::Boolean => Kind::Boolean,
            FieldType::Integer { .. } => Kind::Integer,
            FieldType::Int64 => Kind::LongInteger,
            FieldType::Decimal { .. } => Kind::Decimal,
            FieldType::Date => Kind::Date,
            FieldType::Instant if self.floating => Kind::ClockTime,
            FieldType::Instant => Kind::Instant,
            FieldType::Time => Kind::Time,
            FieldType::Picklist(picklist) if picklist.integer => Kind::NumberedChoice,
            FieldType::Picklist(_) => Kind::Choice,
            FieldType::MultiPicklist { .. } => Kind::Choices,
            FieldType::Reference(_) => Kind::Reference,
            FieldType::Binary { inline: true, .. } => Kind::Bytes,
            FieldType::Binary { .. } => Kind::Content,
            FieldType::Object { .. } => Kind::Object,
            FieldType::List { .. } => Kind::List,
            FieldType::Json => Kind::Json,
        }
    }
}

/// Kinds of values, as far as conversions tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Text of one line or several; addresses, telephone numbers, identifiers.
    Text,
    /// HTML.
    Html,
    /// Markdown.
    Markdown,
    /// Atlassian Document Format.
    Adf,
    /// Text that is read masked.
    Masked,
    /// true or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A whole number beyond 53 bits.
    LongInteger,
    /// A decimal number.
    Decimal,
    /// A calendar date.
    Date,
    /// An instant.
    Instant,
    /// An instant without a zone.
    ClockTime,
    /// A time of day.
    Time,
    /// One value of a picklist.
    Choice,
    /// One value of a picklist of numbers.
    NumberedChoice,
    /// Several values of a picklist.
    Choices,
    /// The key of another record.
    Reference,
    /// Bytes behind a handle.
    Content,
    /// Bytes in the record itself.
    Bytes,
    /// An object of fields.
    Object,
    /// A list.
    List,
    /// JSON as text.
    Json,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 22] = [
        Self::Text,
        Self::Html,
        Self::Markdown,
        Self::Adf,
        Self::Masked,
        Self::Boolean,
        Self::Integer,
        Self::LongInteger,
        Self::Decimal,
        Self::Date,
        Self::Instant,
        Self::ClockTime,
        Self::Time,
        Self::Choice,
        Self::NumberedChoice,
        Self::Choices,
        Self::Reference,
        Self::Content,
        Self::Bytes,
        Self::Object,
        Self::List,
        Self::Json,
    ];

    /// The kind as people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Html => "HTML",
            Self::Markdown => "Markdown",
            Self::Adf => "Atlassian document",
            Self::Masked => "masked text",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::LongInteger => "long integer",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::ClockTime => "clock time",
            Self::Time => "time of day",
            Self::Choice => "choice",
            Self::NumberedChoice => "numbered choice",
            Self::Choices => "choices",
            Self::Reference => "reference",
            Self::Content => "content",
            Self::Bytes => "bytes",
            Self::Object => "object",
            Self::List => "list",
            Self::Json => "JSON",
        }
    }
}
