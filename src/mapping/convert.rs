//! The table of conversions: what a value becomes without being told because nothing is lost, what needs a step
//! that says how, and what is refused. `docs/mapping.md` shows it; a test compares the two.

use super::shape::{Kind, Shape};
use crate::record::FieldType;
use crate::record::nearest::nearest;
use crate::record::record_type::{Picklist, PicklistValue};

/// What the table says of two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The value as it is.
    Same,
    /// Converted silently; nothing is lost.
    Silent,
    /// As it is where every value of the source is one of the target's; else with the step `picklist`.
    Values,
    /// As it is where it is known to be the key of such a record; else with the step `lookup` or `reference`.
    Keys,
    /// As the elements convert; else with the step `each`.
    Elements,
    /// As the parts convert; else part by part.
    Parts,
    /// A list of this one value, as the value converts to an element.
    One,
    /// With one of these steps.
    Step(&'static [&'static str]),
    /// Not at all.
    Refused(&'static str),
}

/// How a value is converted on its way out of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cast {
    /// As it is.
    Copy,
    /// A number, boolean or choice becomes text of the same characters.
    ToText,
    /// Text of digits becomes the number.
    ToNumber,
    /// A list of the one value.
    One(Box<Cast>),
    /// Each element.
    Each(Box<Cast>),
}

/// What becomes of a value of one shape where another is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// It converts.
    Silent(Cast),
    /// It needs one of these steps first.
    Needs {
        /// The steps.
        steps: &'static [&'static str],
        /// Why.
        why: String,
        /// Values of the source that are none of the target's.
        values: Vec<String>,
    },
    /// It cannot be.
    Refused(String),
}

const CONTENT: &str = "content is copied as a stream, not mapped";
const OBJECTS: &str = "map its parts one by one";

/// What the table says of a source's kind and a target's.
#[must_use]
pub fn rule(from: Kind, to: Kind) -> Rule {
    use Kind as K;
    match (from, to) {
        (K::Masked, _) => Rule::Refused("it is read masked, so that its value is not known"),
        (K::Content, _) | (_, K::Content) => Rule::Refused(CONTENT),
        (K::Bytes, K::Bytes) => Rule::Same,
        (K::Bytes, _) | (_, K::Bytes) => Rule::Refused("bytes go to bytes only"),
        (K::Choice, K::Choice)
        | (K::Choices, K::Choices)
        | (K::NumberedChoice, K::NumberedChoice)
        | (K::Text, K::Choice) => Rule::Values,
        (K::Reference, K::Reference) | (K::Text, K::Reference) => Rule::Keys,
        (K::List | K::Choices, K::List) | (K::List, K::Choices) => Rule::Elements,
        (K::Object, K::Object) => Rule::Parts,
        (from, to) if from == to => Rule::Same,
        (_, K::Json) => Rule::Step(&["json"]),
        (K::Json, K::Text | K::Masked) => Rule::Silent,
        (K::Json, _) => Rule::Refused("what is in it is not known"),
        (K::List | K::Choices, K::Text | K::Masked) => Rule::Step(&["join", "item", "json"]),
        (K::List | K::Choices, _) => Rule::Step(&["item"]),
        (K::Object, K::List) => Rule::One,
        (K::Object, K::Text | K::Masked) => Rule::Step(&["json"]),
        (K::Object, _) => Rule::Refused(OBJECTS),
        (K::Text, K::List | K::Choices) => Rule::Step(&["split"]),
        (_, K::List | K::Choices) => Rule::One,
        (_, K::Object) => Rule::Refused("an object is built by its parts: write them as PATH.PART"),
        (from, to) => scalar(from, to),
    }
}

/// The part of the table that is about single values of different kinds.
fn scalar(from: Kind, to: Kind) -> Rule {
    use Kind as K;
    match (from, to) {
        (K::NumberedChoice, K::Html | K::Markdown | K::Adf) => Rule::Step(&["label", "picklist"]),
        (_, K::Html | K::Markdown | K::Adf) | (K::Html | K::Markdown | K::Adf, K::Text | K::Masked) => {
            Rule::Step(&["rich_text"])
        }
        (K::Html | K::Markdown | K::Adf, _) => Rule::Refused("rich text holds no such value"),
        (_, K::Reference) => Rule::Step(&["lookup", "reference"]),
        (K::NumberedChoice, K::Text | K::Masked) => Rule::Step(&["label", "picklist"]),
        (_, K::Text | K::Masked) => Rule::Silent,
        (_, K::Choice | K::NumberedChoice | K::Boolean) | (K::Boolean | K::NumberedChoice, _) => {
            Rule::Step(&["picklist"])
        }
        (K::Integer, K::LongInteger | K::Decimal) | (K::LongInteger, K::Decimal) => Rule::Silent,
        (K::Decimal, K::Integer | K::LongInteger) => Rule::Step(&["round"]),
        (K::LongInteger, K::Integer) | (K::Text | K::Choice, K::Integer | K::LongInteger | K::Decimal) => {
            Rule::Step(&["number"])
        }
        (K::Integer | K::LongInteger, K::Date | K::Instant | K::ClockTime)
        | (K::Text, K::Date | K::Instant | K::ClockTime | K::Time)
        | (K::Date | K::Instant | K::ClockTime, K::Date | K::Instant | K::ClockTime)
        | (K::Instant | K::ClockTime, K::Time) => Rule::Step(&["date"]),
        (K::Time, K::Date | K::Instant | K::ClockTime) => Rule::Refused("a time of day has no day"),
        _ => Rule::Refused("there is no such value"),
    }
}

/// What becomes of a value of one shape where another is wanted, looked at closely: values of picklists, elements
/// of lists, parts of objects, what a reference refers to.
#[must_use]
pub fn convert(from: &Shape, to: &Shape) -> Conversion {
    if from.made && from.field_type == to.field_type {
        return Conversion::Silent(Cast::Copy);
    }
    let (source, target) = (from.kind(), to.kind());
    let needs = |steps, why: String| Conversion::Needs { steps, why, values: Vec::new() };
    match rule(source, target) {
        Rule::Same => Conversion::Silent(Cast::Copy),
        Rule::Silent => Conversion::Silent(cast(source, target)),
        Rule::Values => values(from, to),
        Rule::Keys => keys(from, to),
        Rule::Elements => elements(from, to),
        Rule::Parts => parts(from, to),
        Rule::One => match to.element().map(|element| convert(from, &element)) {
            Some(Conversion::Silent(cast)) => Conversion::Silent(Cast::One(Box::new(cast))),
            Some(other) => other,
            None => Conversion::Refused("it is no list".to_owned()),
        },
        Rule::Step(steps) => {
            needs(steps, format!("{} does not become {} by itself", source.name(), target.name()))
        }
        Rule::Refused(why) => {
            Conversion::Refused(format!("{} cannot become {}: {why}", source.name(), target.name()))
        }
    }
}

fn cast(from: Kind, to: Kind) -> Cast {
    match (from, to) {
        (Kind::LongInteger, Kind::Decimal) => Cast::ToNumber,
        // Long integers are written as text of digits.
        (Kind::Integer, Kind::LongInteger) => Cast::ToText,
        (Kind::Integer | Kind::Decimal | Kind::Boolean, Kind::Text | Kind::Masked) => Cast::ToText,
        _ => Cast::Copy,
    }
}

/// Values that can be chosen: active, each once.
pub(super) fn active(picklist: &Picklist) -> Vec<&PicklistValue> {
    let mut out: Vec<&PicklistValue> = Vec::new();
    for choice in picklist.values.iter().filter(|choice| choice.active) {
        if !out.iter().any(|known| known.value == choice.value) {
            out.push(choice);
        }
    }
    out
}

/// A picklist's value as a map names it.
pub(super) fn plain(choice: &PicklistValue) -> String {
    choice.value.as_str().map_or_else(|| choice.value.to_string(), str::to_owned)
}

/// The value of a picklist that another one's value most likely means: equal but for case, by value or label.
#[must_use]
pub(super) fn counterpart<'a>(value: &PicklistValue, target: &'a Picklist) -> Option<&'a PicklistValue> {
    let same = |one: &str, other: &str| one.trim().to_lowercase() == other.trim().to_lowercase();
    let candidates = active(target);
    let by = |test: &dyn Fn(&PicklistValue) -> bool| candidates.iter().copied().find(|choice| test(choice));
    by(&|choice| choice.value == value.value)
        .or_else(|| by(&|choice| same(&choice.label, &value.label)))
        .or_else(|| by(&|choice| same(&plain(choice), &plain(value))))
        .or_else(|| by(&|choice| same(&choice.label, &plain(value)) || same(&plain(choice), &value.label)))
        .or_else(|| {
            let labels = candidates.iter().map(|choice| choice.label.as_str());
            let near = nearest(&value.label, labels)?;
            (strsim::jaro_winkler(&near.to_lowercase(), &value.label.to_lowercase()) > 0.93)
                .then(|| by(&|choice| choice.label == near))
                .flatten()
        })
}

fn values(from: &Shape, to: &Shape) -> Conversion {
    let (Some(target), source) = (to.picklist(), from.picklist()) else {
        return Conversion::Refused("it is no picklist".to_owned());
    };
    if !target.restricted || target.values.is_empty() {
        return Conversion::Silent(Cast::Copy);
    }
    let Some(source) = source else {
        return Conversion::Needs {
            steps: &["picklist"],
            why: "text is not known to be one of the target's values".to_owned(),
            values: active(target).into_iter().map(plain).collect(),
        };
    };
    let allowed = active(target);
    let missing: Vec<String> = active(source)
        .into_iter()
        .filter(|choice| !allowed.iter().any(|known| known.value == choice.value))
        .map(plain)
        .collect();
    if missing.is_empty() && !source.values.is_empty() {
        return Conversion::Silent(Cast::Copy);
    }
    let why = if missing.is_empty() {
        "the source's values are not known".to_owned()
    } else {
        "the target takes other values; these have no place there".to_owned()
    };
    Conversion::Needs { steps: &["picklist"], why, values: missing }
}

fn keys(from: &Shape, to: &Shape) -> Conversion {
    let FieldType::Reference(reference) = &to.field_type else {
        return Conversion::Refused("it is no reference".to_owned());
    };
    if !from.key_of.is_empty() && from.key_of.iter().all(|name| reference.targets.contains(name)) {
        return Conversion::Silent(Cast::Copy);
    }
    let targets = reference.targets.join(" or ");
    Conversion::Needs {
        steps: &["lookup", "reference"],
        why: format!("this value is not known to be the key of a record of type {targets}"),
        values: Vec::new(),
    }
}

fn elements(from: &Shape, to: &Shape) -> Conversion {
    match (from.element(), to.element()) {
        (Some(from), Some(to)) => match convert(&from, &to) {
            Conversion::Silent(Cast::Copy) => Conversion::Silent(Cast::Copy),
            Conversion::Silent(cast) => Conversion::Silent(Cast::Each(Box::new(cast))),
            Conversion::Needs { why, values, .. } => {
                Conversion::Needs { steps: &["each"], why: format!("of its elements, {why}"), values }
            }
            Conversion::Refused(why) => Conversion::Needs {
                steps: &["each"],
                why: format!("of its elements, {why}"),
                values: Vec::new(),
            },
        },
        _ => Conversion::Refused("it is no list".to_owned()),
    }
}

/// An object goes as a whole where each of its parts is a part there and goes as it is.
fn parts(from: &Shape, to: &Shape) -> Conversion {
    let (FieldType::Object { fields: given }, FieldType::Object { fields: wanted }) =
        (&from.field_type, &to.field_type)
    else {
        return Conversion::Refused("it is no object".to_owned());
    };
    let same = given.iter().all(|part| {
        wanted.iter().find(|field| field.name == part.name).is_some_and(|field| {
            convert(&Shape::of(part), &Shape::of(field)) == Conversion::Silent(Cast::Copy)
        })
    });
    if same {
        return Conversion::Silent(Cast::Copy);
    }
    Conversion::Refused(format!("the two objects have other parts: {OBJECTS}, as PATH.PART"))
}

/// The table as Markdown: a line for each kind of source.
#[must_use]
pub fn table() -> String {
    let mut out =
        String::from("| from | as it is | silently | if values and parts fit | with a step | never |\n");
    out.push_str("|---|---|---|---|---|---|\n");
    for from in Kind::ALL {
        let mut cells: [Vec<String>; 5] = Default::default();
        for to in Kind::ALL {
            let name = to.name();
            match rule(from, to) {
                Rule::Same => cells[0].push(name.to_owned()),
                Rule::Silent => cells[1].push(name.to_owned()),
                Rule::Values => cells[2].push(format!("{name} (else `picklist`)")),
                Rule::Keys => cells[2].push(format!("{name} (else `lookup`, `reference`)")),
                Rule::Elements => cells[2].push(format!("{name} (else `each`)")),
                Rule::Parts => cells[2].push(format!("{name} (else part by part)")),
                Rule::One => cells[2].push(format!("{name} (of this one)")),
                Rule::Step(steps) => {
                    let steps: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
                    cells[3].push(format!("{name} ({})", steps.join(", ")));
                }
                Rule::Refused(_) => cells[4].push(name.to_owned()),
            }
        }
        let all = cells[4].len() == Kind::ALL.len();
        let shown = cells.map(|cell| if cell.is_empty() { "–".to_owned() } else { cell.join(", ") });
        let [same, silent, fitting, steps, never] = shown;
        let never = if all { "anything".to_owned() } else { never };
        out.push_str(&format!("| {} | {same} | {silent} | {fitting} | {steps} | {never} |\n", from.name()));
    }
    out
}
