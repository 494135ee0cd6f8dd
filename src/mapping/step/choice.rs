//! Steps on values of picklists.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Place, Prepared, Run};
use crate::layer::check;
use crate::mapping::convert::{active, counterpart, plain};
use crate::mapping::document::{Otherwise, PicklistStep};
use crate::mapping::problem::Problem;
use crate::mapping::program::Row;
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::{Value, quoted};
use crate::record::nearest::nearest;
use crate::record::record_type::Picklist;
use crate::record::{Field, FieldType};

#[derive(Debug)]
struct Map {
    /// JSON texts by the value's text.
    values: HashMap<String, String>,
    otherwise: Otherwise,
    /// Of a list, each element is mapped.
    elements: bool,
}

pub(super) fn picklist(step: &PicklistStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let elements = matches!(given.kind(), Kind::List | Kind::Choices);
    let one = if elements { given.element()? } else { given.clone() };
    if matches!(one.kind(), Kind::Object | Kind::List | Kind::Choices | Kind::Content | Kind::Bytes) {
        place.error(
            "op",
            format!("this step takes single values, and here is {}", one.kind().name()),
            "Take one of its parts, as PATH.PART",
        );
        return None;
    }
    if step.map.0.is_empty() {
        place.error("map", "the map is empty", "Add a value of the source and what it becomes");
    }
    let otherwise = step.otherwise.unwrap_or_default();
    source_values(step, &one, otherwise, place);
    let target = place.target.element().unwrap_or_else(|| place.target.clone());
    target_values(step, &target, place);
    let values = step.map.iter().map(|(from, to)| (from.to_owned(), to.text().trim().to_owned())).collect();
    let shape = mapped_shape(step, &one, &target, otherwise, place.last);
    let shape = if elements { shape.list_of() } else { shape };
    Prepared::new(shape, Map { values, otherwise, elements })
}

/// Checks the names of the map against the values that the source can have.
fn source_values(step: &PicklistStep, one: &Shape, otherwise: Otherwise, place: &mut Place<'_, '_>) {
    let known: Vec<String> = match (&one.field_type, one.picklist()) {
        (FieldType::Boolean, _) => vec!["true".to_owned(), "false".to_owned()],
        (_, Some(picklist)) => picklist.values.iter().map(plain).collect(),
        _ => return,
    };
    let restricted = one.picklist().is_none_or(|picklist| picklist.restricted);
    for (name, _) in step.map.iter() {
        if !known.iter().any(|value| value == name) && restricted {
            let problem = Problem::warning(
                format!("{}/map/{}", place.at, crate::record::rules::pointer_token(name)),
                format!("the source's field has no value {name:?}"),
            );
            place.problem(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => problem.with_fix(format!("Did you mean {near:?}?")),
                None => problem.with_fix("Leave it out"),
            });
        }
    }
    let expected: Vec<String> = match one.picklist() {
        Some(picklist) => active(picklist).into_iter().map(plain).collect(),
        None => known,
    };
    let left_out: Vec<String> = expected.into_iter().filter(|value| step.map.get(value).is_none()).collect();
    if !left_out.is_empty() && otherwise == Otherwise::Error {
        place.problem(
            Problem::warning(
                format!("{}/map", place.at),
                "rows with these values of the source will fail, since the map leaves them out",
            )
            .with_values(left_out)
            .with_fix("Map them, or say what becomes of others with \"else\""),
        );
    }
}

/// Checks what the map gives against the values that the target takes.
fn target_values(step: &PicklistStep, target: &Shape, place: &mut Place<'_, '_>) {
    if !place.last {
        return;
    }
    let field = Field { floating: target.floating, ..Field::new("value", target.field_type.clone()) };
    for (name, value) in step.map.iter() {
        if value.text() == "null" {
            continue;
        }
        for reason in check::value_reasons(&field, value.text(), check::Purpose::Upsert) {
            let pointer = format!("{}/map/{}", place.at, crate::record::rules::pointer_token(name));
            let problem = Problem::error(
                pointer,
                format!("the target's field does not take it: it {}", said(&reason.message)),
            );
            let problem = match reason.accepted.is_empty() {
                true => problem,
                false => problem.with_fix(format!("It takes: {}", reason.accepted.join(", "))),
            };
            place.problem(problem);
        }
    }
}

/// A reason behind "it".
fn said(message: &str) -> String {
    if message.starts_with(|first: char| first.is_ascii_lowercase()) {
        message.to_owned()
    } else {
        format!("is refused: {message}")
    }
}

/// The type of what comes out: the target's own where every value that comes out has been checked against it.
fn mapped_shape(step: &PicklistStep, one: &Shape, target: &Shape, otherwise: Otherwise, last: bool) -> Shape {
    if last && otherwise != Otherwise::Keep {
        return target.clone();
    }
    let kept_fits = last
        && otherwise == Otherwise::Keep
        && match (one.picklist(), target.picklist()) {
            (Some(source), Some(wanted)) => active(source).into_iter().all(|choice| {
                step.map.get(&plain(choice)).is_some()
                    || !wanted.restricted
                    || active(wanted).iter().any(|known| known.value == choice.value)
            }),
            _ => one.kind() == target.kind(),
        };
    if kept_fits {
        return target.clone();
    }
    if otherwise == Otherwise::Keep {
        return one.clone();
    }
    let texts = step.map.iter().all(|(_, value)| value.text().starts_with('"'));
    if texts { Shape::text() } else { Shape::new(FieldType::Json) }
}

impl Run for Map {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        if !self.elements {
            return self.one(value).map(Some);
        }
        let mut mapped: Vec<String> = Vec::new();
        for item in value.items()? {
            let one = self.one(Value::raw(item))?.into_owned();
            // A list holds no nulls, and each value once.
            if !one.is_null() {
                let text = one.json().into_owned();
                if !mapped.contains(&text) {
                    mapped.push(text);
                }
            }
        }
        Ok(Some(Value::Raw(Cow::Owned(format!("[{}]", mapped.join(","))))))
    }
}

impl Map {
    fn one<'a>(&'a self, value: Value<'a>) -> Result<Value<'a>, String> {
        let value = value.decoded()?;
        if value.is_null() {
            return Ok(Value::Null);
        }
        let name = value.clone().text()?;
        match (self.values.get(name.as_ref()), self.otherwise) {
            (Some(found), _) => Ok(Value::Raw(Cow::Borrowed(found))),
            (None, Otherwise::Keep) => Ok(value),
            (None, Otherwise::Null) => Ok(Value::Null),
            (None, Otherwise::Error) => Err(format!("{name:?} is not in the map")),
        }
    }
}

/// The map that a picklist step could have: every value of the source that has a counterpart at the target.
pub(in crate::mapping) fn likely_map(source: &Picklist, target: &Picklist) -> String {
    let pairs: Vec<String> = active(source)
        .into_iter()
        .filter_map(|choice| {
            let found = counterpart(choice, target)?;
            Some(format!("{}:{}", quoted(&plain(choice)), found.value))
        })
        .collect();
    format!("{{\"op\":\"picklist\",\"map\":{{{}}}}}", pairs.join(","))
}

#[derive(Debug)]
struct Label {
    labels: HashMap<String, String>,
    elements: bool,
}

pub(super) fn label(given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let Some(picklist) = given.picklist() else {
        place.error(
            "op",
            format!("this step takes a picklist's value, and here is {}", given.kind().name()),
            "Leave it out",
        );
        return None;
    };
    let elements = given.kind() == Kind::Choices;
    let labels = picklist.values.iter().rev().map(|choice| (plain(choice), choice.label.clone())).collect();
    let shape = if elements { Shape::text().list_of() } else { Shape::text() };
    Prepared::new(shape, Label { labels, elements })
}

impl Run for Label {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        if !self.elements {
            return self.one(value).map(|label| Some(Value::Text(Cow::Owned(label))));
        }
        let labels: Result<Vec<String>, String> = value
            .items()?
            .into_iter()
            .map(|item| self.one(Value::raw(item)).map(|label| quoted(&label)))
            .collect();
        Ok(Some(Value::Raw(Cow::Owned(format!("[{}]", labels?.join(","))))))
    }
}

impl Label {
    fn one(&self, value: Value<'_>) -> Result<String, String> {
        let name = value.text()?;
        self.labels
            .get(name.as_ref())
            .cloned()
            .ok_or_else(|| format!("{name:?} is none of its field's values"))
    }
}
