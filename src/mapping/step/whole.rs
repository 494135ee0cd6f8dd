//! Steps that do not look into a value.

use std::borrow::Cow;

use super::{Place, Prepared, Run};
use crate::layer::check;
use crate::mapping::convert::{Conversion, convert};
use crate::mapping::document::DefaultStep;
use crate::mapping::program::Row;
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::Value;
use crate::record::record_type::TextForm;
use crate::record::{Field, FieldType};

#[derive(Debug)]
struct Default {
    value: Value<'static>,
    empty: bool,
}

pub(super) fn default(step: &DefaultStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let shape = default_shape(step, given, place)?;
    let value = Value::Raw(Cow::Owned(step.value.text().trim().to_owned()));
    Prepared::new(shape, Default { value, empty: step.empty.unwrap_or(false) })
}

/// The type of a value for which the default may stand in: wider than before where the default is.
fn default_shape(step: &DefaultStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Shape> {
    let text = step.value.text().trim();
    let reasons = |shape: &Shape| {
        let field = Field { floating: shape.floating, ..Field::new("value", shape.field_type.clone()) };
        check::value_reasons(&field, text, check::Purpose::Upsert)
    };
    let unfit = reasons(given);
    if unfit.is_empty() || text == "null" {
        return Some(given.clone());
    }
    let goes_as_it_is = matches!(convert(given, place.target), Conversion::Silent(_));
    if place.last && goes_as_it_is && reasons(place.target).is_empty() {
        return Some(given.clone());
    }
    if text.starts_with('"') && matches!(given.kind(), Kind::Text | Kind::Choice) {
        return Some(Shape::text());
    }
    let why = unfit.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
    place.error(
        "value",
        format!("it does not fit the value that it stands in for ({}): {why}", given.kind().name()),
        "Give a value of the same kind, or move the step to where the value has that kind",
    );
    None
}

impl Run for Default {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        Ok(Some(if self.empty && value.is_empty_text() { self.value.clone() } else { value }))
    }

    fn instead(&self) -> Option<Value<'static>> {
        Some(self.value.clone())
    }
}

#[derive(Debug)]
struct Itself;

impl Run for Itself {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        value.text().map(|text| Some(Value::Text(text)))
    }
}

pub(super) fn reference(given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    let FieldType::Reference(reference) = &place.target.field_type else {
        place.error("op", "the target's field refers to no record", "Leave the step out");
        return None;
    };
    let text = FieldType::Text { max_length: None, form: TextForm::Id };
    Prepared::new(Shape { key_of: reference.targets.clone(), ..Shape::new(text) }, Itself)
}

#[derive(Debug)]
struct AsJson;

pub(super) fn json(_: &Shape) -> Option<Prepared> {
    Prepared::new(Shape::new(FieldType::Json), AsJson)
}

impl Run for AsJson {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        Ok(Some(Value::Text(value.json())))
    }
}
