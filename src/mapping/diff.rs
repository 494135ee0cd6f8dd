//! What differs between two versions of a mapping, rule by rule.

use serde::Serialize;
use serde_json::value::RawValue;

use super::document::{Literal, Mapping};
use crate::record::pick::each_member;
use crate::record::rules::pointer_token;

/// One difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Where: a JSON Pointer in which a rule stands under the field that it sets (`/fields/Email/steps`).
    pub pointer: String,
    /// What happened.
    pub change: DifferenceKind,
    /// What stood there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Literal>,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Literal>,
}

/// What happened at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value.
    Changed,
    /// The same rules stand in another order.
    Moved,
}

/// What differs, in the order of the newer one; what is gone comes behind its siblings.
#[must_use]
pub fn diff(before: &Mapping, after: &Mapping) -> Vec<Difference> {
    let (before, after) = (before.to_text(), after.to_text());
    let mut found = Vec::new();
    objects("", &before, &after, &mut found);
    found
}

type Members<'a> = Vec<(String, &'a RawValue)>;

fn members(text: &str) -> Members<'_> {
    let mut list = Vec::new();
    // What comes out of a mapping is an object.
    let _ = each_member(text, |name, value| list.push((name.to_owned(), value)));
    list
}

/// Rules by the field that they set.
fn rules(text: &str) -> Members<'_> {
    let list: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    list.into_iter()
        .map(|rule| {
            let to = members(rule.get()).into_iter().find(|(name, _)| name == "to");
            let name = to.and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok());
            (name.unwrap_or_default(), rule)
        })
        .collect()
}

fn objects(at: &str, before: &str, after: &str, found: &mut Vec<Difference>) {
    named(at, &members(before), &members(after), found);
}

fn named(at: &str, before: &Members<'_>, after: &Members<'_>, found: &mut Vec<Difference>) {
    let get = |list: &Members<'_>, wanted: &str| {
        list.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.get().to_owned())
    };
    for (name, value) in after {
        let here = format!("{at}/{}", pointer_token(name));
        match get(before, name) {
            None => found.push(difference(here, DifferenceKind::Added, None, Some(value.get()))),
            Some(known) => values(&here, &known, value.get(), found),
        }
    }
    for (name, value) in before {
        if get(after, name).is_none() {
            let here = format!("{at}/{}", pointer_token(name));
            found.push(difference(here, DifferenceKind::Removed, Some(value.get()), None));
        }
    }
}

fn values(at: &str, before: &str, after: &str, found: &mut Vec<Difference>) {
    let same = Literal::parse(before) == Literal::parse(after);
    if same {
        return;
    }
    if at == "/fields" {
        let (before, after) = (rules(before), rules(after));
        let start = found.len();
        named(at, &before, &after, found);
        let names = |list: &Members<'_>| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if found.len() == start && names(&before) != names(&after) {
            found.push(difference(at.to_owned(), DifferenceKind::Moved, None, None));
        }
        return;
    }
    if before.trim_start().starts_with('{') && after.trim_start().starts_with('{') {
        objects(at, before, after, found);
        return;
    }
    found.push(difference(at.to_owned(), DifferenceKind::Changed, Some(before), Some(after)));
}

fn difference(
    pointer: String,
    change: DifferenceKind,
    before: Option<&str>,
    after: Option<&str>,
) -> Difference {
    let literal = |text: Option<&str>| text.and_then(Literal::parse).map(|literal| literal.compacted());
    Difference { pointer, change, before: literal(before), after: literal(after) }
}
