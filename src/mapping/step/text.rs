//! Steps on text.

use std::borrow::Cow;

use super::{Place, Prepared, Run};
use crate::mapping::document::{CaseForm, CaseStep, ConcatStep, ReplaceStep, TrimStep, TruncateStep};
use crate::mapping::program::Row;
use crate::mapping::shape::Shape;
use crate::mapping::value::Value;
use crate::record::FieldType;
use crate::record::record_type::TextForm;

fn text_shape(max_length: Option<u64>) -> Shape {
    Shape::new(FieldType::Text { max_length, form: TextForm::Multiline })
}

/// The longest text that such a value is, when that is known.
pub(super) fn longest(shape: &Shape) -> Option<u64> {
    match &shape.field_type {
        FieldType::Text { max_length, .. } => *max_length,
        FieldType::Reference(reference) => reference.max_length,
        _ => None,
    }
}

#[derive(Debug)]
struct Trim {
    inside: bool,
}

pub(super) fn trim(step: &TrimStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    Prepared::new(text_shape(longest(given)), Trim { inside: step.inside.unwrap_or(false) })
}

impl Run for Trim {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        Ok(Some(Value::Text(if self.inside {
            Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
        } else {
            match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            }
        })))
    }
}

#[derive(Debug)]
struct Case(CaseForm);

pub(super) fn case(step: &CaseStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    // Some letters become two in capitals, so that no length is known.
    Prepared::new(text_shape(None), Case(step.to))
}

impl Run for Case {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        Ok(Some(Value::Text(Cow::Owned(match self.0 {
            CaseForm::Upper => text.to_uppercase(),
            CaseForm::Lower => text.to_lowercase(),
            CaseForm::Title => title(&text),
        }))))
    }
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        if inside {
            out.extend(letter.to_lowercase());
        } else {
            out.extend(letter.to_uppercase());
        }
        inside = letter.is_alphanumeric() || (inside && matches!(letter, '\'' | '’'));
    }
    out
}

#[derive(Debug)]
struct Truncate {
    length: usize,
    ellipsis: String,
}

pub(super) fn truncate(step: &TruncateStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    let length = step.length.map(u64::from).or_else(|| longest(place.target));
    let Some(length) = length else {
        place.error(
            "",
            "the target's field has no longest length to cut at",
            "Add \"length\", or leave the step out",
        );
        return None;
    };
    let ellipsis = step.ellipsis.clone().unwrap_or_default();
    if ellipsis.chars().count() as u64 > length {
        place.error("ellipsis", "it is longer than what is kept", "Shorten it");
        return None;
    }
    let length_here = usize::try_from(length).unwrap_or(usize::MAX);
    Prepared::new(text_shape(Some(length)), Truncate { length: length_here, ellipsis })
}

impl Run for Truncate {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        if text.len() <= self.length || text.chars().count() <= self.length {
            return Ok(Some(Value::Text(text)));
        }
        let kept = self.length - self.ellipsis.chars().count();
        let end = text.char_indices().nth(kept).map_or(text.len(), |(at, _)| at);
        row.warn(format!("was cut from {} to {} characters", text.chars().count(), self.length));
        Ok(Some(Value::Text(Cow::Owned(format!("{}{}", &text[..end], self.ellipsis)))))
    }
}

#[derive(Debug)]
struct Replace {
    find: String,
    with: String,
}

pub(super) fn replace(step: &ReplaceStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    if step.find.is_empty() {
        place.error("find", "there is nothing to look for", "Say which piece of text is replaced");
        return None;
    }
    let with = step.replacement.clone().unwrap_or_default();
    // A replacement that is no longer makes no text longer.
    let shorter = with.chars().count() <= step.find.chars().count();
    let length = longest(given).filter(|_| shorter);
    Prepared::new(text_shape(length), Replace { find: step.find.clone(), with })
}

impl Run for Replace {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        if !text.contains(&self.find) {
            return Ok(Some(Value::Text(text)));
        }
        Ok(Some(Value::Text(Cow::Owned(text.replace(&self.find, &self.with)))))
    }
}

#[derive(Debug)]
struct Concat {
    slots: Vec<crate::mapping::program::Origin>,
    with: String,
}

pub(super) fn concat(step: &ConcatStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let mut fits = place.takes_text(given);
    let mut slots = Vec::new();
    for (index, path) in step.of.iter().enumerate() {
        let at = format!("{}/of/{index}", place.at);
        let Some((shape, origin)) = place.compiler.path(path, &at) else {
            fits = false;
            continue;
        };
        let here = std::mem::replace(&mut place.at, at);
        fits &= place.takes_text(&shape);
        place.at = here;
        slots.push(origin);
    }
    fits.then_some(())?;
    Prepared::new(text_shape(None), Concat { slots, with: step.separator.clone().unwrap_or_default() })
}

impl Run for Concat {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let mut text = value.text()?.into_owned();
        for slot in &self.slots {
            let Some(more) = row.origin(slot)?.filter(|value| !value.is_null()) else { continue };
            let more = more.text()?;
            if more.is_empty() {
                continue;
            }
            if !text.is_empty() {
                text.push_str(&self.with);
            }
            text.push_str(&more);
        }
        Ok(Some(Value::Text(Cow::Owned(text))))
    }
}
