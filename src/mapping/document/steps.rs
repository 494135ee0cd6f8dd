//! The kinds of steps, as they are written. What they do is in `mapping/step`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::{FieldRule, Literal, Named, read};

/// A kind of step in the list of them all.
pub(in crate::mapping) struct StepEntry {
    /// Its name.
    pub(in crate::mapping) op: &'static str,
    /// Its schema, with a definition wherever one is shared.
    pub(in crate::mapping) schema: fn(&mut SchemaGenerator) -> Schema,
    /// Its schema for a form.
    pub(in crate::mapping) form: fn() -> Json,
}

/// Makes the enum of all steps from one list, so that reading, writing and schemas cannot disagree.
macro_rules! steps {
    ($($op:literal $variant:ident($kind:ident): $doc:literal,)*) => {
        /// One step: what is done with a value on its way.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Step {
            $(#[doc = $doc] $variant($kind),)*
        }

        impl Step {
            /// Every kind of step.
            pub(in crate::mapping) const ALL: &[StepEntry] = &[$(StepEntry {
                op: $op,
                schema: <$kind as JsonSchema>::json_schema,
                form: crate::record::schema::config_schema_for::<$kind>,
            },)*];

            /// The step's name.
            #[must_use]
            pub fn op(&self) -> &'static str {
                match self { $(Self::$variant(_) => $op,)* }
            }

            /// Reads the step of this name from its other members.
            pub(super) fn read(
                op: &str,
                members: read::Members<'_>,
                reader: &mut read::Reader,
            ) -> Option<Self> {
                match op {
                    $($op => reader.flat::<$kind>(members).map(Self::$variant),)*
                    _ => None,
                }
            }

            fn members<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(kind) => Tagged { op: $op, kind }.serialize(serializer),)*
                }
            }
        }
    };
}

steps! {
    "trim" Trim(TrimStep): "Blanks off both ends.",
    "case" Case(CaseStep): "Capital or small letters.",
    "default" Default(DefaultStep): "A value where there is none.",
    "date" Date(DateStep): "Dates, instants and times: read, moved to a zone, written.",
    "number" Number(NumberStep): "Text read as a number.",
    "number_format" NumberFormat(NumberFormatStep): "A number written as text.",
    "round" Round(RoundStep): "Fewer digits behind the point.",
    "truncate" Truncate(TruncateStep): "A longest length, with a report of what was cut.",
    "picklist" Picklist(PicklistStep): "Value by value.",
    "label" Label(LabelStep): "The label of a picklist's value.",
    "split" Split(SplitStep): "Text to a list.",
    "join" Join(JoinStep): "A list to text.",
    "item" Item(ItemStep): "One element of a list.",
    "concat" Concat(ConcatStep): "More values behind this one.",
    "replace" Replace(ReplaceStep): "A piece of text for another.",
    "rich_text" RichText(RichTextStep): "Rich text in another form.",
    "expr" Expr(ExprStep): "A formula.",
    "lookup" Lookup(LookupStep): "The record that has this value.",
    "reference" Reference(ReferenceStep): "Text that is the key of a record of the target.",
    "json" Json(JsonStep): "Anything as JSON text.",
    "each" Each(EachStep): "Every element of a list.",
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    op: &'static str,
    #[serde(flatten)]
    kind: &'a T,
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members(serializer)
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        read::step(&raw).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        crate::mapping::schema::any_step(generator)
    }
}

/// Takes blanks off both ends of a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Trim")]
pub struct TrimStep {
    /// Also leaves one blank where several stand inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<bool>,
}

/// Writes a text in capital or small letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Case")]
pub struct CaseStep {
    /// Which letters.
    pub to: CaseForm,
}

/// Ways to write letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseForm {
    /// ALL CAPITALS.
    Upper,
    /// all small.
    Lower,
    /// Each Word With A Capital.
    Title,
}

/// Takes a value where there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Default")]
pub struct DefaultStep {
    /// The value that is taken when there is none, or null.
    pub value: Literal,
    /// Also instead of empty text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<bool>,
}

/// Reads a date, an instant or a time, and writes it in another form or zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Date")]
pub struct DateStep {
    /// How it is written: `auto` (ISO 8601), `epoch_seconds`, `epoch_milliseconds`, or a pattern such as `%d.%m.%Y`.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Zone of what carries none, and of what is written: `Europe/Prague`. Without one, none is guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What it becomes: `date`, `instant`, `time`, or text by a pattern. What the target's field holds unless said.
    #[serde(default, rename = "out", skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Reads a text as a number. Other characters than those named are refused, never dropped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Number")]
pub struct NumberStep {
    /// What stands before the decimals: `.` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// What stands between groups of digits; nothing unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Writes a number as text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Number format")]
pub struct NumberFormatStep {
    /// What stands before the decimals: `.` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// What stands between groups of three digits; nothing unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Decimals at least: zeros are added, nothing is rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 30))]
    pub places: Option<u8>,
}

/// Rounds a number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Round")]
pub struct RoundStep {
    /// Decimals that are left; 0 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 30))]
    pub places: Option<u8>,
    /// Which way; halves away from zero unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RoundMode>,
}

/// Ways to round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoundMode {
    /// To the nearest, halves away from zero.
    #[default]
    HalfUp,
    /// To the nearest, halves to the even digit.
    HalfEven,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
    /// Towards the smaller number.
    Floor,
    /// Towards the larger number.
    Ceiling,
}

/// Cuts a text at a length, and reports it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Truncate")]
pub struct TruncateStep {
    /// Characters that are kept at most; what the target's field takes unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub length: Option<u32>,
    /// What stands at the end of a text that was cut, within the length: `...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ellipsis: Option<String>,
}

/// Maps values to values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Picklist")]
pub struct PicklistStep {
    /// Values of the target by values of the source (numbers and booleans as their text).
    pub map: Named<Literal>,
    /// What becomes of other values; an error unless said.
    #[serde(default, rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
}

/// What becomes of a value that a map leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It does not fit.
    #[default]
    Error,
    /// Null.
    Null,
    /// Itself.
    Keep,
}

/// Takes the label of a picklist's value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Label")]
pub struct LabelStep {}

/// Splits a text into a list. Blanks around the pieces go, and so do empty pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Split")]
pub struct SplitStep {
    /// What stands between the pieces.
    #[schemars(length(min = 1))]
    pub by: String,
    /// Keeps empty pieces and blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
}

/// Joins the elements of a list into a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Join")]
pub struct JoinStep {
    /// What stands between them.
    #[serde(rename = "with")]
    pub separator: String,
}

/// Takes one element of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Item")]
pub struct ItemStep {
    /// Which: 0 is the first, -1 the last. A list without it gives nothing.
    pub index: i32,
}

/// Puts more values behind a text. Missing, null and empty ones are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Concat")]
pub struct ConcatStep {
    /// Paths of the values.
    pub of: Vec<String>,
    /// What stands between them; nothing unless said.
    #[serde(default, rename = "with", skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
}

/// Replaces every occurrence of a piece of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Replace")]
pub struct ReplaceStep {
    /// The piece.
    #[schemars(length(min = 1))]
    pub find: String,
    /// What stands there instead; nothing unless said.
    #[serde(default, rename = "with", skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
}

/// Writes rich text in another form. What the other form cannot say is left out: marks in plain text, say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Rich text")]
pub struct RichTextStep {
    /// How it is written; what the value is known to be unless said, for other text `plain`.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub input: Option<RichForm>,
    /// What it becomes; what the target's field holds unless said.
    #[serde(default, rename = "out", skip_serializing_if = "Option::is_none")]
    pub output: Option<RichForm>,
}

/// Forms of rich text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RichForm {
    /// HTML.
    Html,
    /// Markdown.
    Markdown,
    /// A document in the Atlassian Document Format, as JSON text.
    Adf,
    /// Text without marks.
    Plain,
}

/// Computes a formula in the Common Expression Language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Formula")]
pub struct ExprStep {
    /// The formula, such as `value * 1.21` or `FirstName + ' ' + LastName`: the source's fields by their names, `value` is
    /// the value so far.
    #[schemars(length(min = 1))]
    pub cel: String,
}

/// Finds the record that has this value, and gives its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Lookup")]
pub struct LookupStep {
    /// The connection that is searched; the target's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The type of record.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Fields that it is found by: the first by the step's value, others by the values of `of`.
    #[schemars(length(min = 1))]
    pub by: Vec<String>,
    /// Paths of the values for the second and further fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Vec<String>>,
    /// The field whose value is taken; the record's key unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give: Option<String>,
    /// What becomes of a value that no record has; an error unless said.
    #[serde(default, rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<NotFound>,
    /// What becomes of a value that several records have; an error unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub several: Option<Several>,
    /// Further values of a record that is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Named<Literal>>,
}

/// What becomes of a value that no record has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotFound {
    /// It does not fit.
    #[default]
    Error,
    /// Null.
    Null,
    /// There is no value.
    Skip,
    /// Such a record is created by a run, and its key taken.
    Create,
}

/// What becomes of a value that several records have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Several {
    /// It does not fit.
    #[default]
    Error,
    /// Null, and that is reported.
    Null,
}

/// Takes a text as the key of a record that the target's field refers to. Nothing is looked up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Reference")]
pub struct ReferenceStep {}

/// Writes a value as JSON text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "JSON")]
pub struct JsonStep {}

/// Maps every element of a list: objects by `fields`, other elements by `steps`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Each")]
pub struct EachStep {
    /// Rules for the fields of an element; paths begin at the source's element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<FieldRule>>,
    /// Steps for an element that is no object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
}
