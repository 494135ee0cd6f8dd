//! One value, as JSON text, against its field. Numbers are never read as binary: their digits are compared.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::error::FieldError;
use crate::record::nearest::nearest;
use crate::record::number::Number;
use crate::record::record_type::Picklist;
use crate::record::{Field, FieldType};

/// Longest list of accepted values in a reason.
const MOST_LISTED: usize = 30;

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new record.
    Create,
    /// A change of a record.
    Update,
    /// Either.
    Upsert,
}

impl Purpose {
    /// Whether such a row may set the field.
    #[must_use]
    pub fn settable(self, field: &Field) -> bool {
        match self {
            Self::Create => field.createable,
            Self::Update => field.updatable,
            Self::Upsert => field.createable || field.updatable,
        }
    }
}

/// What is wrong with a field's value.
pub(super) fn value(field: &Field, text: &str, purpose: Purpose) -> Vec<FieldError> {
    let mut reasons = Vec::new();
    Check { purpose, reasons: &mut reasons }.value(field, text.trim(), &field.name);
    reasons
}

/// What is wrong with one element that is added to a list.
pub(super) fn element(field: &Field, value: &Json, purpose: Purpose) -> Vec<FieldError> {
    let mut reasons = Vec::new();
    Check { purpose, reasons: &mut reasons }.element(field, &value.to_string(), &field.name);
    reasons
}

struct Check<'a> {
    purpose: Purpose,
    reasons: &'a mut Vec<FieldError>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.refuse_with(path, message, Vec::new());
    }

    fn refuse_with(&mut self, path: &str, message: impl Into<String>, accepted: Vec<String>) {
        self.reasons.push(FieldError { field: path.to_owned(), message: message.into(), accepted });
    }

    fn value(&mut self, field: &Field, text: &str, path: &str) {
        match &field.field_type {
            FieldType::Text { max_length, .. } => {
                if let Some(value) = self.text(text, path, "text") {
                    self.length(&value, *max_length, path);
                }
            }
            FieldType::Reference(reference) => {
                if let Some(value) = self.text(text, path, "the key of a record, as text") {
                    self.length(&value, reference.max_length, path);
                }
            }
            FieldType::Boolean => {
                if !matches!(text, "true" | "false") {
                    self.refuse(path, format!("must be true or false, and is {}", shown(text)));
                }
            }
            FieldType::Integer { minimum, maximum } => self.integer(text, *minimum, *maximum, path),
            FieldType::Int64 => {
                let fits = |digits: &str| digits.parse::<i64>().is_ok();
                match serde_json::from_str::<String>(text) {
                    Ok(digits) if fits(&digits) => {}
                    _ => self.refuse(
                        path,
                        format!(
                            "must be a whole number written as text such as \"9007199254740993\", and is {}",
                            shown(text)
                        ),
                    ),
                }
            }
            FieldType::Decimal { precision, scale } => self.decimal(field, text, (*precision, *scale), path),
            FieldType::Date => self.form(text, path, "a date such as \"2026-01-31\"", is_date),
            FieldType::Instant => {
                self.form(
                    text,
                    path,
                    "an instant with its offset such as \"2026-01-31T09:30:00Z\"",
                    is_instant,
                );
            }
            FieldType::Time => self.form(text, path, "a time of day such as \"09:30:00\"", is_time),
            FieldType::Picklist(picklist) => self.choice(picklist, text, path),
            FieldType::MultiPicklist { .. } | FieldType::List { .. } => self.list(field, text, path),
            FieldType::Binary { max_bytes, inline } => {
                let Some(value) = self.text(text, path, "text") else { return };
                if *inline {
                    match base64::engine::general_purpose::STANDARD.decode(value.as_bytes()) {
                        Err(_) => self.refuse(path, "must be base64 text"),
                        Ok(bytes) => {
                            if max_bytes.is_some_and(|most| bytes.len() as u64 > most) {
                                let most = max_bytes.unwrap_or_default();
                                self.refuse(
                                    path,
                                    format!("has {} bytes; at most {most} are taken", bytes.len()),
                                );
                            }
                        }
                    }
                }
            }
            FieldType::Object { fields } => self.object(fields, text, path),
            FieldType::Json => {
                if let Some(value) = self.text(text, path, "JSON written as text")
                    && serde_json::from_str::<serde::de::IgnoredAny>(&value).is_err()
                {
                    self.refuse(path, "must be JSON written as text, and this text is not JSON");
                }
            }
        }
    }

    fn text(&mut self, text: &str, path: &str, form: &str) -> Option<String> {
        match serde_json::from_str::<String>(text) {
            Ok(value) => Some(value),
            Err(_) if text.starts_with('"') => {
                self.refuse(path, "is not valid Unicode text");
                None
            }
            Err(_) => {
                self.refuse(path, format!("must be {form}, and is {}", shown(text)));
                None
            }
        }
    }

    fn length(&mut self, value: &str, longest: Option<u64>, path: &str) {
        let Some(longest) = longest else { return };
        let length = value.chars().count() as u64;
        if length > longest {
            self.refuse(path, format!("has {length} characters; at most {longest} are taken"));
        }
    }

    fn integer(&mut self, text: &str, minimum: Option<i64>, maximum: Option<i64>, path: &str) {
        const LARGEST: i64 = 1 << 53;
        let Some(number) = number(text).filter(Number::is_whole) else {
            self.refuse(path, format!("must be a whole number such as 42, and is {}", shown(text)));
            return;
        };
        let (least, most) = (minimum.unwrap_or(-LARGEST), maximum.unwrap_or(LARGEST));
        if number < Number::from(least) || number > Number::from(most) {
            self.refuse(path, format!("must lie between {least} and {most}"));
        }
    }

    fn decimal(&mut self, field: &Field, text: &str, digits: (Option<u32>, Option<u32>), path: &str) {
        let (precision, scale) = digits;
        let Some(number) = number(&unquoted(text)) else {
            self.refuse(path, format!("must be a number such as 12.50, and is {}", shown(text)));
            return;
        };
        let end = |end: &Option<String>| end.as_deref().and_then(Number::parse);
        if end(&field.minimum).is_some_and(|least| number < least) {
            self.refuse(path, format!("must be at least {}", field.minimum.as_deref().unwrap_or_default()));
            return;
        }
        if end(&field.maximum).is_some_and(|most| number > most) {
            self.refuse(path, format!("must be at most {}", field.maximum.as_deref().unwrap_or_default()));
            return;
        }
        // Digits behind the point are the provider's to round; digits before it do not fit.
        let Some(whole) = precision.map(|digits| i64::from(digits) - i64::from(scale.unwrap_or(0))) else {
            return;
        };
        let (low, high) = (Number::parse(&format!("-1e{whole}")), Number::parse(&format!("1e{whole}")));
        if low.is_some_and(|low| number <= low) || high.is_some_and(|high| number >= high) {
            self.refuse(
                path,
                format!("has too many digits; at most {} stand before the point", whole.max(0)),
            );
        }
    }

    fn form(&mut self, text: &str, path: &str, form: &str, fits: impl Fn(&str) -> bool) {
        match serde_json::from_str::<String>(text) {
            Ok(value) if fits(&value) => {}
            _ => self.refuse(path, format!("must be {form}, and is {}", shown(text))),
        }
    }

    fn choice(&mut self, picklist: &Picklist, text: &str, path: &str) {
        let value = match serde_json::from_str::<Json>(text) {
            Ok(value) if picklist.integer && value.is_i64() => value,
            Ok(value) if !picklist.integer && value.is_string() => value,
            _ => {
                let form = if picklist.integer { "a whole number" } else { "text" };
                self.refuse(path, format!("must be {form}, and is {}", shown(text)));
                return;
            }
        };
        if !picklist.restricted || picklist.values.is_empty() {
            return;
        }
        let mut known = picklist.values.iter().filter(|choice| choice.value == value).peekable();
        if known.peek().is_some() {
            if !known.any(|choice| choice.active) {
                self.refuse(path, format!("{} can no longer be chosen", shown(text)));
            }
            return;
        }
        let plain = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut active: Vec<String> = Vec::new();
        for choice in picklist.values.iter().filter(|choice| choice.active) {
            let value = plain(&choice.value);
            if !active.contains(&value) {
                active.push(value);
            }
        }
        let given = plain(&value);
        let folded = given.to_lowercase();
        let labelled = picklist
            .values
            .iter()
            .find(|choice| choice.active && choice.label.to_lowercase() == folded)
            .map(|choice| plain(&choice.value))
            .filter(|value| value.to_lowercase() != folded);
        let message = match (labelled, nearest(&given, active.iter().map(String::as_str))) {
            (Some(value), _) => {
                format!("{} is not one of its values; it is the label of {value:?}", shown(text))
            }
            (_, Some(near)) => format!("{} is not one of its values; did you mean {near:?}?", shown(text)),
            _ => format!("{} is not one of its values", shown(text)),
        };
        if active.len() > MOST_LISTED {
            active.clear();
        }
        self.refuse_with(path, message, active);
    }

    fn list(&mut self, field: &Field, text: &str, path: &str) {
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else {
            self.refuse(path, format!("must be a list such as [...], and is {}", shown(text)));
            return;
        };
        if items.is_empty() && field.required_on_create && self.purpose == Purpose::Create {
            self.refuse(path, "is required: an empty list is no value");
        }
        for item in &items {
            self.element(field, item.get(), path);
        }
        if matches!(field.field_type, FieldType::MultiPicklist { .. }) {
            let mut seen = std::collections::HashSet::new();
            if let Some(twice) = items.iter().find(|item| !seen.insert(item.get())) {
                self.refuse(path, format!("{} stands twice in it", shown(twice.get())));
            }
        }
    }

    fn element(&mut self, field: &Field, text: &str, path: &str) {
        match &field.field_type {
            FieldType::MultiPicklist { picklist, .. } => self.choice(picklist, text, path),
            FieldType::List { element } => self.value(element, text, path),
            _ => {}
        }
    }

    fn object(&mut self, fields: &[Field], text: &str, path: &str) {
        let Ok(parts) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
            self.refuse(path, format!("must be an object such as {{...}}, and is {}", shown(text)));
            return;
        };
        for (name, value) in &parts {
            let here = format!("{path}.{name}");
            match fields.iter().find(|field| field.name == *name) {
                None => {
                    let message = match nearest(name, fields.iter().map(|field| field.name.as_str())) {
                        Some(near) => format!("there is no such part; did you mean {near}?"),
                        None => "there is no such part".to_owned(),
                    };
                    self.refuse(&here, message);
                }
                Some(field) if !self.purpose.settable(field) => self.refuse(&here, "cannot be set"),
                Some(_) if value.get() == "null" => {}
                Some(field) => self.value(field, value.get(), &here),
            }
        }
        if self.purpose == Purpose::Create {
            for field in fields.iter().filter(|field| field.required_on_create) {
                if parts.get(&field.name).is_none_or(|value| value.get() == "null") {
                    self.refuse(&format!("{path}.{}", field.name), "is required");
                }
            }
        }
    }
}

/// A JSON number's value; text that merely looks like one is none.
fn number(text: &str) -> Option<Number> {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        .then(|| Number::parse(text))
        .flatten()
}

/// The number in a text, which is how decimals are given where the schema describes them as texts.
fn unquoted(text: &str) -> Cow<'_, str> {
    match serde_json::from_str::<String>(text) {
        Ok(inner) if is_json_number(&inner) => Cow::Owned(inner),
        _ => Cow::Borrowed(text),
    }
}

fn is_json_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text)
}

/// A value with each decimal that was given as a text as the number that it is, digits kept; `None` when there
/// is nothing to change.
pub(super) fn with_plain_numbers(field: &Field, value: &RawValue) -> Option<Box<RawValue>> {
    let text = plain_numbers(&field.field_type, value.get().trim())?;
    RawValue::from_string(text).ok()
}

fn plain_numbers(field_type: &FieldType, text: &str) -> Option<String> {
    match field_type {
        FieldType::Decimal { .. } => match unquoted(text) {
            Cow::Owned(number) => Some(number),
            Cow::Borrowed(_) => None,
        },
        FieldType::List { element } => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let changed: Vec<Option<String>> =
                items.iter().map(|item| plain_numbers(&element.field_type, item.get())).collect();
            changed.iter().any(Option::is_some).then(|| {
                let items: Vec<String> = items
                    .iter()
                    .zip(changed)
                    .map(|(item, changed)| changed.unwrap_or_else(|| item.get().to_owned()))
                    .collect();
                format!("[{}]", items.join(","))
            })
        }
        FieldType::Object { fields } => {
            let parts: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let mut any = false;
            let members: Vec<String> = parts
                .iter()
                .map(|(name, part)| {
                    let field = fields.iter().find(|field| field.name == *name);
                    let changed = field.and_then(|field| plain_numbers(&field.field_type, part.get()));
                    any |= changed.is_some();
                    let value = changed.unwrap_or_else(|| part.get().to_owned());
                    format!("{}:{value}", Json::from(name.as_str()))
                })
                .collect();
            any.then(|| format!("{{{}}}", members.join(",")))
        }
        _ => None,
    }
}

/// A value as a reason shows it: its beginning.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_instant(text: &str) -> bool {
    let bytes = text.as_bytes();
    let offset =
        text.ends_with(['Z', 'z']) || bytes.iter().rev().take(6).any(|byte| matches!(byte, b'+' | b'-'));
    bytes.len() >= 17
        && bytes.get(4) == Some(&b'-')
        && bytes.get(10).is_some_and(|byte| matches!(byte, b'T' | b't' | b' '))
        && !text.contains('[')
        && offset
        && text.parse::<jiff::Timestamp>().is_ok()
}

fn is_time(text: &str) -> bool {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, rest)| (clock, Some(rest)));
    let parts: Vec<&str> = clock.split(':').collect();
    let two = |part: &str, most: u8| {
        part.len() == 2
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u8>().is_ok_and(|n| n <= most)
    };
    let fraction_fits = fraction.is_none_or(|digits| {
        parts.len() == 3
            && (1..=3).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    fraction_fits
        && match parts.as_slice() {
            [hour, minute] => two(hour, 23) && two(minute, 59),
            [hour, minute, second] => two(hour, 23) && two(minute, 59) && two(second, 59),
            _ => false,
        }
}
