//! The schema of one property.

use schemars::Schema;
use serde_json::{Map, Number, Value as Json, json};

use super::{Decimals, MOST_CHOICES, SchemaOptions, SchemaPurpose, title_of};
use crate::record::record_type::{Picklist, PicklistValue, TextForm};
use crate::record::{Field, FieldType};

/// Above this a picklist is not even an `enum`.
pub(super) const MOST_ENUM_VALUES: usize = 5000;

/// A time of day: `HH:MM[:SS[.fff]][Z]`. `format: time` asks for a zone that time widgets never write.
pub(super) const TIME_PATTERN: &str = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,3})?)?Z?$";

/// Where a property stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) purpose: SchemaPurpose,
    pub(super) options: &'a SchemaOptions,
    pub(super) nullable: bool,
    pub(super) required: bool,
    /// Shown in a writing schema although it cannot be set.
    pub(super) read_only: bool,
    /// An element of a list: nobody leaves it open, so there is no option for that.
    pub(super) element: bool,
}

impl<'a> Place<'a> {
    pub(super) fn root(purpose: SchemaPurpose, options: &'a SchemaOptions) -> Self {
        Self { purpose, options, nullable: false, required: false, read_only: false, element: false }
    }

    /// Whether only the provider's own values are valid here.
    fn closed(&self) -> bool {
        self.purpose.writes() && !self.read_only
    }
}

/// The schema of a field at a place, without the parts of objects and the elements of lists of fields.
pub(super) fn property(field: &Field, place: &Place<'_>) -> Schema {
    let mut schema = Schema::default();
    let mut put = |keyword: &str, value: Json| {
        schema.insert(keyword.to_owned(), value);
    };
    // Lists are not nullable on write: an empty list clears, and no form can tell the two apart.
    let nullable = place.nullable && (!is_list(&field.field_type) || !place.purpose.writes());
    let comparing = place.purpose == SchemaPurpose::Filter;
    put("type", type_of(json_type(field, place), nullable));
    put("title", title_of(&field.label, &field.name).into());
    if let Some(description) = description(field, comparing) {
        put("description", description.into());
    }
    let mut body = Map::new();
    shape(field, place, nullable, &mut body);
    for (keyword, value) in body {
        put(&keyword, value);
    }
    if place.purpose == SchemaPurpose::Create
        && !place.read_only
        && let Some(default) = default_of(field)
    {
        put("default", default);
    }
    let examples: Vec<Json> = field.examples.iter().filter(|example| !example.is_null()).cloned().collect();
    if !examples.is_empty() && schema.get("examples").is_none() {
        schema.insert("examples".into(), examples.into());
    }
    if place.read_only {
        schema.insert("readOnly".into(), true.into());
    }
    if field.sensitive || matches!(field.field_type, FieldType::Text { form: TextForm::Encrypted, .. }) {
        schema.insert("format".into(), "password".into());
        if place.closed() {
            schema.insert("writeOnly".into(), true.into());
        }
    }
    schema
}

/// What else a list says on write: a required one has at least one element.
pub(super) fn list_bounds(schema: &mut Schema, required: bool) {
    if required {
        schema.insert("minItems".into(), 1.into());
    }
}

fn is_list(field_type: &FieldType) -> bool {
    matches!(field_type, FieldType::MultiPicklist { .. } | FieldType::List { .. })
}

fn type_of(base: &str, nullable: bool) -> Json {
    if nullable { json!([base, "null"]) } else { base.into() }
}

fn json_type(field: &Field, place: &Place<'_>) -> &'static str {
    let comparing = place.purpose == SchemaPurpose::Filter;
    match &field.field_type {
        FieldType::Boolean => "boolean",
        FieldType::Integer { .. } => "integer",
        FieldType::Decimal { .. } => match place.options.decimals {
            Decimals::Number => "number",
            Decimals::String => "string",
        },
        FieldType::Picklist(picklist) => choice_type(picklist),
        FieldType::MultiPicklist { picklist, .. } if comparing => choice_type(picklist),
        FieldType::List { element } if comparing => json_type(element, place),
        FieldType::MultiPicklist { .. } | FieldType::List { .. } => "array",
        FieldType::Object { .. } => "object",
        FieldType::Text { .. }
        | FieldType::Int64
        | FieldType::Date
        | FieldType::Instant
        | FieldType::Time
        | FieldType::Reference(_)
        | FieldType::Binary { .. }
        | FieldType::Json => "string",
    }
}

fn choice_type(picklist: &Picklist) -> &'static str {
    if picklist.integer { "integer" } else { "string" }
}

fn description(field: &Field, comparing: bool) -> Option<String> {
    let help = field.help.as_deref().map(str::trim).filter(|help| !help.is_empty());
    let own = match &field.field_type {
        FieldType::Reference(reference) if !reference.targets.is_empty() => {
            Some(format!("Record of type {}", some_of(&reference.targets)))
        }
        FieldType::Json if !comparing => Some("JSON as text".to_owned()),
        _ => None,
    };
    match (help, own) {
        (Some(help), Some(own)) => Some(format!("{help} ({own})")),
        (Some(help), None) => Some(help.to_owned()),
        (None, own) => own,
    }
}

fn some_of(targets: &[String]) -> String {
    match targets {
        [all @ .., last] if !all.is_empty() && targets.len() <= 4 => format!("{} or {last}", all.join(", ")),
        [only] => only.clone(),
        many => {
            format!("{} and {} others", many[..3.min(many.len())].join(", "), many.len().saturating_sub(3))
        }
    }
}

fn shape(field: &Field, place: &Place<'_>, nullable: bool, body: &mut Map<String, Json>) {
    let comparing = place.purpose == SchemaPurpose::Filter;
    let mut put = |keyword: &str, value: Json| {
        body.insert(keyword.to_owned(), value);
    };
    match &field.field_type {
        FieldType::Text { max_length, form } => {
            if let (Some(longest), false) = (max_length, comparing) {
                put("maxLength", (*longest).into());
            }
            if *form == TextForm::Email && place.closed() {
                put("format", "email".into());
            }
        }
        FieldType::Boolean | FieldType::Json | FieldType::Object { .. } => {}
        FieldType::Integer { minimum, maximum } if !comparing => {
            if let Some(minimum) = minimum {
                put("minimum", (*minimum).into());
            }
            if let Some(maximum) = maximum {
                put("maximum", (*maximum).into());
            }
        }
        FieldType::Integer { .. } => {}
        FieldType::Int64 => put("pattern", "^-?[0-9]+$".into()),
        FieldType::Decimal { precision, scale } => match place.options.decimals {
            Decimals::Number => {
                let bound = decimal_bound(*precision, *scale);
                let (negative, positive) =
                    bound.map_or((None, None), |b| (Some(b.negative), Some(b.positive)));
                let ends = [
                    ("minimum", exact_number(field.minimum.as_deref()).or(negative)),
                    ("maximum", exact_number(field.maximum.as_deref()).or(positive)),
                ];
                for (keyword, end) in ends {
                    if let (Some(end), false) = (end, comparing) {
                        put(keyword, end.into());
                    }
                }
            }
            Decimals::String if place.closed() => put("pattern", decimal_pattern(*precision, *scale).into()),
            // Providers write numbers with exponents too, and a record keeps the provider's digits.
            Decimals::String => put("pattern", r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$".into()),
        },
        FieldType::Date => put("format", "date".into()),
        FieldType::Instant => put("format", "date-time".into()),
        FieldType::Time => put("pattern", TIME_PATTERN.into()),
        FieldType::Picklist(picklist) => choices(picklist, place, nullable, body),
        FieldType::MultiPicklist { picklist, .. } if comparing => choices(picklist, place, false, body),
        FieldType::MultiPicklist { picklist, .. } => {
            let mut items = Map::new();
            items.insert("type".into(), choice_type(picklist).into());
            element_choices(picklist, place, &mut items);
            put("uniqueItems", true.into());
            if place.required && place.purpose.writes() {
                put("minItems", 1.into());
            }
            put("items", Json::Object(items));
        }
        FieldType::List { element } if comparing => shape(element, place, false, body),
        FieldType::List { .. } => {}
        FieldType::Reference(reference) => {
            if let (Some(longest), false) = (reference.max_length, comparing) {
                put("maxLength", longest.into());
            }
        }
        FieldType::Binary { inline, .. } => {
            if *inline && place.purpose.writes() {
                put("contentEncoding", "base64".into());
                put("contentMediaType", "application/octet-stream".into());
            } else {
                put("format", "binary".into());
            }
        }
    }
}

/// The first of each distinct value; only those of the right JSON type.
pub(super) fn distinct(picklist: &Picklist, only_active: bool) -> Vec<&PicklistValue> {
    let mut seen = std::collections::HashSet::new();
    picklist
        .values
        .iter()
        .filter(|choice| choice.active || !only_active)
        .filter(|choice| if picklist.integer { choice.value.is_i64() } else { choice.value.is_string() })
        .filter(|choice| seen.insert(choice.value.to_string()))
        .collect()
}

/// The label of a choice, never empty.
pub(super) fn choice_label(choice: &PicklistValue) -> String {
    let label = choice.label.trim();
    if !label.is_empty() {
        return label.to_owned();
    }
    match &choice.value {
        Json::String(text) if !text.trim().is_empty() => text.trim().to_owned(),
        Json::String(_) => "(empty)".to_owned(),
        other => other.to_string(),
    }
}

/// How the values of a picklist are expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choices {
    /// `oneOf` with titles.
    Spelled,
    /// `enum`.
    Enumerated,
    /// `examples`; any value is valid.
    Suggested,
    /// Looked up.
    LookedUp,
}

/// How a picklist is expressed where only its own values are valid (`closed`) or elsewhere.
pub(super) fn choices_form(picklist: &Picklist, closed: bool) -> Choices {
    let values = distinct(picklist, true);
    if values.len() <= MOST_CHOICES {
        return if closed && picklist.restricted { Choices::Spelled } else { Choices::Suggested };
    }
    let plain = values.iter().all(|choice| choice.value.as_str() == Some(choice.label.as_str()));
    if closed && picklist.restricted && plain && values.len() <= MOST_ENUM_VALUES {
        Choices::Enumerated
    } else {
        Choices::LookedUp
    }
}

impl Place<'_> {
    /// How a picklist is expressed here.
    pub(super) fn choices(&self, picklist: &Picklist) -> Choices {
        choices_form(picklist, self.closed())
    }
}

/// The choices as `{const, title}`.
pub(super) fn spelled<'a>(choices: impl IntoIterator<Item = &'a PicklistValue>) -> Vec<Json> {
    choices.into_iter().map(|choice| json!({"const": choice.value, "title": choice_label(choice)})).collect()
}

/// The option that stands first: forms write the first one into untouched fields.
pub(super) fn null_choice(nullable: bool) -> Json {
    json!({"const": null, "title": if nullable { "(none)" } else { "Choose…" }})
}

fn choices(picklist: &Picklist, place: &Place<'_>, nullable: bool, body: &mut Map<String, Json>) {
    let values = distinct(picklist, true);
    match place.choices(picklist) {
        Choices::Spelled if values.is_empty() && !nullable => {}
        Choices::Spelled => {
            let open = (!place.element).then(|| null_choice(nullable));
            let options: Vec<Json> = open.into_iter().chain(spelled(values)).collect();
            body.insert("oneOf".into(), options.into());
        }
        Choices::Enumerated => {
            let null = nullable.then_some(Json::Null);
            let values: Vec<Json> =
                null.into_iter().chain(values.into_iter().map(|choice| choice.value.clone())).collect();
            body.insert("enum".into(), values.into());
        }
        Choices::Suggested if values.is_empty() => {}
        Choices::Suggested => {
            let values: Vec<Json> = values.into_iter().map(|choice| choice.value.clone()).collect();
            body.insert("examples".into(), values.into());
        }
        Choices::LookedUp => {}
    }
}

fn element_choices(picklist: &Picklist, place: &Place<'_>, items: &mut Map<String, Json>) {
    let values = distinct(picklist, true);
    if values.is_empty() {
        return;
    }
    match place.choices(picklist) {
        Choices::Spelled => {
            items.insert("oneOf".into(), spelled(values).into());
        }
        Choices::Enumerated => {
            let values: Vec<Json> = values.into_iter().map(|choice| choice.value.clone()).collect();
            items.insert("enum".into(), values.into());
        }
        Choices::Suggested | Choices::LookedUp => {}
    }
}

/// The default that a form may show: of the field's own JSON type, and one of its values.
fn default_of(field: &Field) -> Option<Json> {
    let given = field.default.clone().filter(|default| !default.is_null());
    match &field.field_type {
        FieldType::Picklist(picklist) => {
            let values = distinct(picklist, true);
            let marked = values.iter().find(|choice| choice.default).map(|choice| choice.value.clone());
            let open = !picklist.restricted;
            marked.or_else(|| {
                given.filter(|default| {
                    values.iter().any(|choice| choice.value == *default) || (open && default.is_string())
                })
            })
        }
        FieldType::Boolean => given.filter(Json::is_boolean),
        FieldType::Integer { .. } => given.filter(Json::is_i64),
        FieldType::Text { .. } => given.filter(Json::is_string),
        _ => None,
    }
}

/// A number whose digits all survive a double.
fn exact_number(text: Option<&str>) -> Option<Number> {
    let text = text.filter(|text| text.bytes().filter(u8::is_ascii_digit).count() <= 15)?;
    serde_json::from_str(text).ok()
}

/// The bounds that follow from precision and scale.
pub(super) struct Bound {
    pub(super) negative: Number,
    pub(super) positive: Number,
}

/// The largest number of a precision and scale, rounded towards zero to the 15 digits that survive a double.
pub(super) fn decimal_bound(precision: Option<u32>, scale: Option<u32>) -> Option<Bound> {
    let precision = usize::try_from(precision?).ok().filter(|digits| (1..=300).contains(digits))?;
    let scale = usize::try_from(scale.unwrap_or(0)).ok().filter(|digits| *digits <= 300)?;
    let kept = precision.min(15);
    let mut digits = "9".repeat(kept);
    digits.extend(std::iter::repeat_n('0', precision - kept));
    let digits =
        if precision <= scale { format!("{}{digits}", "0".repeat(scale + 1 - precision)) } else { digits };
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    let number = |text: &str| serde_json::from_str::<Number>(text).ok();
    Some(Bound { negative: number(&format!("-{text}"))?, positive: number(&text)? })
}

/// Digits before and behind the point, as a pattern.
pub(super) fn decimal_pattern(precision: Option<u32>, scale: Option<u32>) -> String {
    let whole = match precision {
        Some(precision) => format!("[0-9]{{1,{}}}", precision.saturating_sub(scale.unwrap_or(0)).max(1)),
        None => "[0-9]+".to_owned(),
    };
    match scale {
        Some(0) => format!("^-?{whole}$"),
        Some(scale) => format!(r"^-?{whole}(\.[0-9]{{1,{scale}}})?$"),
        None => format!(r"^-?{whole}(\.[0-9]+)?$"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_rounded_towards_zero_to_15_digits() {
        for (precision, scale, expected) in [
            (3, 0, "999"),
            (5, 2, "999.99"),
            (18, 2, "9999999999999990"),
            (18, 0, "999999999999999000"),
            (18, 15, "999.999999999999"),
            (2, 2, "0.99"),
            (2, 4, "0.0099"),
            (17, 1, "9999999999999990"),
        ] {
            let bound = decimal_bound(Some(precision), Some(scale)).unwrap();
            assert_eq!(bound.positive.to_string(), expected, "{precision},{scale}");
            assert_eq!(bound.negative.to_string(), format!("-{expected}"), "{precision},{scale}");
        }
        assert!(decimal_bound(None, Some(2)).is_none());
        assert!(decimal_bound(Some(0), Some(0)).is_none());
        let large = decimal_bound(Some(30), Some(0)).unwrap().positive;
        assert_eq!(large.as_f64().unwrap(), 9.999_999_999_999_99e29);
    }

    #[test]
    fn decimal_patterns_follow_precision_and_scale() {
        assert_eq!(decimal_pattern(Some(18), Some(2)), r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$");
        assert_eq!(decimal_pattern(Some(3), Some(0)), "^-?[0-9]{1,3}$");
        assert_eq!(decimal_pattern(None, None), r"^-?[0-9]+(\.[0-9]+)?$");
        assert_eq!(decimal_pattern(Some(2), Some(2)), r"^-?[0-9]{1,1}(\.[0-9]{1,2})?$");
    }

    #[test]
    fn many_targets_are_cut() {
        let targets = |count: usize| (0..count).map(|at| format!("T{at}")).collect::<Vec<_>>();
        assert_eq!(some_of(&targets(1)), "T0");
        assert_eq!(some_of(&targets(2)), "T0 or T1");
        assert_eq!(some_of(&targets(9)), "T0, T1, T2 and 6 others");
    }
}
