//! Steps on lists.

use std::borrow::Cow;

use super::{Place, Prepared, Run, prepare};
use crate::mapping::document::{EachStep, ItemStep, JoinStep, SplitStep, Step};
use crate::mapping::program::{Block, Row};
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::{Value, quoted};

#[derive(Debug)]
struct Split {
    by: String,
    exact: bool,
}

pub(super) fn split(step: &SplitStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    if step.by.is_empty() {
        place.error("by", "there is nothing to split at", "Say what stands between the pieces");
        return None;
    }
    Prepared::new(Shape::text().list_of(), Split { by: step.by.clone(), exact: step.exact.unwrap_or(false) })
}

impl Run for Split {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        let pieces: Vec<String> = text
            .split(self.by.as_str())
            .map(|piece| if self.exact { piece } else { piece.trim() })
            .filter(|piece| self.exact || !piece.is_empty())
            .map(quoted)
            .collect();
        Ok(Some(Value::Raw(Cow::Owned(format!("[{}]", pieces.join(","))))))
    }
}

fn takes_list(given: &Shape, place: &mut Place<'_, '_>) -> Option<Shape> {
    let element = given.element();
    if element.is_none() {
        place.error(
            "op",
            format!("this step takes a list, and here is {}", given.kind().name()),
            "Put {\"op\":\"split\",\"by\":\",\"} before it, or leave it out",
        );
    }
    element
}

#[derive(Debug)]
struct Join(String);

pub(super) fn join(step: &JoinStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let element = takes_list(given, place)?;
    place.takes_text(&element).then_some(())?;
    Prepared::new(Shape::text(), Join(step.separator.clone()))
}

impl Run for Join {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let mut out = String::new();
        let mut first = true;
        for item in value.items()?.into_iter().filter(|item| *item != "null") {
            if !first {
                out.push_str(&self.0);
            }
            first = false;
            out.push_str(&Value::raw(item).text()?);
        }
        Ok(Some(Value::Text(Cow::Owned(out))))
    }
}

#[derive(Debug)]
struct Item(i32);

pub(super) fn item(step: &ItemStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let element = takes_list(given, place)?;
    Prepared::new(element, Item(step.index))
}

impl Run for Item {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let items = value.items()?;
        let from_end = self.0 < 0;
        let steps = usize::try_from(self.0.unsigned_abs()).unwrap_or(usize::MAX);
        let index = if from_end { items.len().checked_sub(steps) } else { Some(steps) };
        let found = index.and_then(|index| items.get(index).copied());
        Ok(found.map(|item| Value::Raw(Cow::Owned(item.to_owned()))))
    }
}

#[derive(Debug)]
struct EachObject(Block);

#[derive(Debug)]
struct EachValue(Vec<Box<dyn Run>>);

pub(super) fn each(step: &EachStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let element = takes_list(given, place)?;
    let wanted = place.target.element().unwrap_or_else(|| place.target.clone());
    match (&step.fields, &step.steps) {
        (Some(rules), _) => {
            if wanted.kind() != Kind::Object || !place.last {
                place.error(
                    "fields",
                    "the target's field is no list of objects, so that its elements have no fields",
                    "Use steps instead",
                );
                return None;
            }
            let at = format!("{}/fields", place.at);
            let block = place.compiler.elements(rules, &element, &wanted, &at)?;
            Prepared::new(place.target.clone().made(), EachObject(block))
        }
        (None, steps) => {
            let steps: &[Step] = steps.as_deref().unwrap_or_default();
            let (mut shape, mut runs) = (element, Vec::new());
            for (index, step) in steps.iter().enumerate() {
                let mut inner = Place {
                    at: format!("{}/steps/{index}", place.at),
                    compiler: &mut *place.compiler,
                    target: &wanted,
                    last: place.last && index + 1 == steps.len(),
                };
                let prepared = prepare(step, &shape, &mut inner)?;
                shape = prepared.shape;
                runs.push(prepared.run);
            }
            Prepared::new(shape.list_of(), EachValue(runs))
        }
    }
}

impl Run for EachObject {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let mut out = String::from("[");
        for (index, item) in value.items()?.into_iter().enumerate() {
            let mapped = row.element(&self.0, item, index)?;
            if index > 0 {
                out.push(',');
            }
            out.push_str(&mapped);
        }
        out.push(']');
        Ok(Some(Value::Raw(Cow::Owned(out))))
    }
}

impl Run for EachValue {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let mut mapped = Vec::new();
        for (index, item) in value.items()?.into_iter().enumerate() {
            let item = Value::Raw(Cow::Owned(item.to_owned()));
            let one = row.steps(&self.0, Some(item)).map_err(|why| row.within(index, why))?;
            // A list holds no nulls.
            if let Some(one) = one.filter(|one| !one.is_null()) {
                mapped.push(one.json().into_owned());
            }
        }
        Ok(Some(Value::Raw(Cow::Owned(format!("[{}]", mapped.join(","))))))
    }
}
