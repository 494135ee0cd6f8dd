//! From a [`RecordType`] to JSON Schema, in one place for all providers.
//!
//! The schemas keep to a narrow profile of draft-07 that strict ajv, react-jsonschema-form, JSON Forms and
//! json-editor all render unmodified (`docs/schemas.md`); [`lint()`] tells whether a schema does. What forms do not
//! understand stands as plain data in `definitions.record-meta.const`.

pub mod companion;
mod config;
mod filter;
mod hash;
mod lint;
mod metadata;
mod narrowing;
mod property;
pub mod query_builder;
mod selection;
mod tree;

use schemars::Schema;
use serde_json::{Map, Value as Json, json};

use super::{Field, FieldType, RecordType};

pub use config::config_schema_for;
pub use filter::{FilterSupport, NothingPushed, Pushed, filter_schema, operators};
pub use hash::schema_hash;
pub use lint::{LintFinding, lint};
pub use selection::selection_schema;

/// The dialect that every schema names.
pub const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// Picklists with more values than this are not spelled out as `oneOf`: form libraries slow down or crash.
pub const MOST_CHOICES: usize = 200;

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaPurpose {
    /// Records as they are read: open, everything nullable but the key.
    Read,
    /// Rows to create.
    Create,
    /// Rows to update: nothing required, no key.
    Update,
    /// Values to compare with, one property per path.
    Filter,
    /// The key, as an object.
    Key,
}

impl SchemaPurpose {
    /// All of them, in the order that commands list them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Create, Self::Update, Self::Filter, Self::Key];

    /// The word in commands, addresses and file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Filter => "filter",
            Self::Key => "key",
        }
    }

    /// The purpose with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }

    fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }
}

/// Where the data about fields stands that JSON Schema has no keyword for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Annotations {
    /// In `definitions.record-meta.const`, where every validator and form accepts it.
    #[default]
    Definitions,
    /// In `x-record` beside each property; strict ajv needs `addVocabulary(["x-record"])`.
    Inline,
    /// Nowhere.
    None,
}

/// How compound fields appear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// As objects.
    #[default]
    Nested,
    /// As one property for each part, joined with `__`; the metadata's `path` leads back.
    Flat,
}

/// How decimal numbers appear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Decimals {
    /// As JSON numbers.
    #[default]
    Number,
    /// As text of digits, for consumers whose numbers are binary.
    String,
}

/// Choices about the form of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaOptions {
    /// Where metadata stands.
    pub annotations: Annotations,
    /// How compound fields appear.
    pub layout: Layout,
    /// How decimal numbers appear.
    pub decimals: Decimals,
    /// Whether `$schema` is named. Without it validators of later drafts take the schema too.
    pub dialect: bool,
    /// Whether create and update also show the fields that can only be read, as `readOnly`.
    pub include_read_only: bool,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        Self {
            annotations: Annotations::default(),
            layout: Layout::default(),
            decimals: Decimals::default(),
            dialect: true,
            include_read_only: false,
        }
    }
}

/// The schema of a record type for one purpose.
///
/// For [`SchemaPurpose::Filter`] nothing is said to be pushed to the provider; use [`filter_schema`] with what
/// the provider's planner says.
#[must_use]
pub fn record_schema(record_type: &RecordType, purpose: SchemaPurpose, options: &SchemaOptions) -> Json {
    let nodes = match purpose {
        SchemaPurpose::Filter => {
            return filter_schema(record_type, &[], record_type, &NothingPushed, options);
        }
        SchemaPurpose::Key => tree::of_key(record_type, options),
        _ => tree::of_fields(record_type, purpose, options),
    };
    let narrowing = if purpose.writes() { narrowing::chain(record_type, &nodes) } else { None };
    Document { record_type, purpose, options, nodes, narrowing, description: None }.render()
}

/// A schema as the text of a file: two blanks of indent, order kept, a final newline.
#[must_use]
pub fn pretty(schema: &Json) -> String {
    format!("{schema:#}\n")
}

/// The name that stands in `title`: the label, or words made of the name when there is none.
pub(crate) fn title_of(label: &str, name: &str) -> String {
    let label = label.trim();
    if label.is_empty() { words(name) } else { label.to_owned() }
}

/// `billing_city` and `billingCity` as `Billing city`.
fn words(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for letter in name.chars() {
        if matches!(letter, '_' | '-' | '.') {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            after_lower = false;
            continue;
        }
        let starts_word = letter.is_uppercase() && after_lower;
        if starts_word {
            out.push(' ');
        }
        if out.is_empty() {
            out.extend(letter.to_uppercase());
        } else if starts_word {
            out.extend(letter.to_lowercase());
        } else {
            out.push(letter);
        }
        after_lower = letter.is_lowercase();
    }
    if out.trim().is_empty() { "(no name)".to_owned() } else { out.trim_end().to_owned() }
}

/// The field behind `<reference>_type`: which of its targets a polymorphic reference leads to. It is a property
/// of every schema that holds the reference, without being a field of the record type.
#[must_use]
pub fn polymorphic_type_field(record_type: &RecordType, name: &str) -> Option<Field> {
    record_type.fields.iter().find_map(|field| match &field.field_type {
        FieldType::Reference(reference) if tree::polymorphic(field) == Some(name) => {
            Some(tree::target_type_field(field, name, reference))
        }
        _ => None,
    })
}

/// A schema before it is put together.
struct Document<'a> {
    record_type: &'a RecordType,
    purpose: SchemaPurpose,
    options: &'a SchemaOptions,
    nodes: Vec<tree::Node>,
    /// The root `if`/`then`/`else` of dependent picklists.
    narrowing: Option<Map<String, Json>>,
    description: Option<String>,
}

impl Document<'_> {
    fn render(self) -> Json {
        let record_type = self.record_type;
        let mut schema = Schema::default();
        let mut put = |keyword: &str, value: Json| {
            schema.insert(keyword.to_owned(), value);
        };
        if self.options.dialect {
            put("$schema", DIALECT.into());
        }
        put("type", "object".into());
        put("title", title_of(&record_type.label, record_type.name.as_str()).into());
        put("description", self.description.unwrap_or_else(|| describe(record_type, self.purpose)).into());

        let inline = self.options.annotations == Annotations::Inline;
        let rendered = tree::render(&self.nodes, self.purpose, inline);
        put("properties", Json::Object(rendered.properties));
        if !rendered.required.is_empty() {
            put("required", rendered.required.into());
        }
        if matches!(self.purpose, SchemaPurpose::Create | SchemaPurpose::Update | SchemaPurpose::Key) {
            put("additionalProperties", false.into());
        }
        for (keyword, value) in self.narrowing.unwrap_or_default() {
            put(&keyword, value);
        }

        let mut meta = Map::new();
        meta.insert("recordType".into(), record_type.name.as_str().into());
        meta.insert("provider".into(), record_type.provider.as_str().into());
        meta.insert("operation".into(), self.purpose.name().into());
        meta.insert("schemaHash".into(), "".into());
        meta.insert("key".into(), json!(record_type.key));
        let head = meta.clone();
        meta.insert("fields".into(), Json::Object(tree::metadata(&self.nodes)));

        let mut document = schema.to_value();
        let Some(root) = document.as_object_mut() else { return document };
        if self.options.annotations == Annotations::None {
            return document;
        }
        // The identity of a schema is that of its default form, wherever the metadata then stands.
        let bare = inline.then(|| tree::render(&self.nodes, self.purpose, false).properties);
        let mut hashed = root.clone();
        if let Some(properties) = bare {
            hashed.insert("properties".into(), Json::Object(properties));
        }
        hashed.insert("definitions".into(), json!({"record-meta": {"const": meta}}));
        let hash = schema_hash(&Json::Object(hashed.clone()));
        if inline {
            let mut head = head;
            head.insert("schemaHash".into(), hash.into());
            root.insert("x-record".into(), Json::Object(head));
            return document;
        }
        let mut document = Json::Object(hashed);
        if let Some(slot) = document.pointer_mut("/definitions/record-meta/const/schemaHash") {
            *slot = hash.into();
        }
        document
    }
}

fn describe(record_type: &RecordType, purpose: SchemaPurpose) -> String {
    let name = title_of(&record_type.label, record_type.name.as_str());
    match purpose {
        SchemaPurpose::Read => record_type
            .description
            .clone()
            .filter(|text| !text.trim().is_empty())
            .unwrap_or_else(|| format!("{name} as it is read.")),
        SchemaPurpose::Create => format!("What can be set when a record of type {name} is created."),
        SchemaPurpose::Update => {
            format!("What can be changed in a record of type {name}; absent keeps, null clears.")
        }
        SchemaPurpose::Filter => format!("What records of type {name} can be filtered by."),
        SchemaPurpose::Key => format!("What identifies a record of type {name}."),
    }
}

/// Whether a field can be set for a purpose.
fn settable(field: &Field, purpose: SchemaPurpose) -> bool {
    match purpose {
        SchemaPurpose::Create => field.createable,
        SchemaPurpose::Update => field.updatable,
        SchemaPurpose::Read | SchemaPurpose::Filter | SchemaPurpose::Key => true,
    }
}

/// The neutral word for what a field holds.
pub(crate) fn kind_of(field_type: &FieldType) -> &'static str {
    use super::record_type::TextForm;
    match field_type {
        FieldType::Text { form, .. } => match form {
            TextForm::Email => "email",
            TextForm::Phone => "phone",
            TextForm::Url => "url",
            TextForm::Id => "id",
            _ => "text",
        },
        FieldType::Boolean => "boolean",
        FieldType::Integer { .. } => "integer",
        FieldType::Int64 => "int64",
        FieldType::Decimal { .. } => "decimal",
        FieldType::Date => "date",
        FieldType::Instant => "instant",
        FieldType::Time => "time",
        FieldType::Picklist(_) => "picklist",
        FieldType::MultiPicklist { .. } => "multipicklist",
        FieldType::Reference(_) => "reference",
        FieldType::Binary { .. } => "binary",
        FieldType::Object { .. } => "object",
        FieldType::List { .. } => "list",
        FieldType::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        for (name, expected) in [
            ("billing_city", "Billing city"),
            ("billingCity", "Billing city"),
            ("URL", "URL"),
            ("client_id", "Client id"),
            ("__", "(no name)"),
            ("Amount__c", "Amount c"),
        ] {
            assert_eq!(words(name), expected);
        }
        assert_eq!(title_of("  ", "x"), "X");
        assert_eq!(title_of("Label \"A\"", "x"), "Label \"A\"");
    }
}
