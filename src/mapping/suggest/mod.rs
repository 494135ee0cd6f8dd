//! Suggests rules for a mapping: by names, by what values mean, by what converts. Deterministic, with reasons, each
//! field at most once on either side, and nothing below a threshold.

mod names;
mod samples;

use std::cmp::Reverse;

use serde::Serialize;

use super::compile::purpose;
use super::convert::{Conversion, active, convert, counterpart};
use super::document::{FieldRule, Operation, RichTextStep, Step};
use super::shape::{Kind, Shape};
use super::step::likely_map;
use crate::record::record_type::TextForm;
use crate::record::{Field, FieldType, RecordType};

pub use samples::Samples;

/// Points of a pair that was accepted: it goes before all others.
const ACCEPTED: u32 = 101;

/// Points of a hundred that a pair needs.
pub const THRESHOLD: u32 = 55;

/// One suggested rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// Path of the target's field.
    pub to: String,
    /// Path of the source's field.
    pub from: String,
    /// Points of a hundred.
    pub score: u32,
    /// Why.
    pub reasons: Vec<String>,
    /// The rule; where a step is still open, the check of the mapping says which.
    pub rule: FieldRule,
}

/// What was found for two types.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggested {
    /// Rules in the order of the target's fields.
    pub suggestions: Vec<Suggestion>,
    /// Required fields of the target for which nothing was found.
    pub open: Vec<String>,
}

/// What somebody said of a pair of fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Path of the target's field.
    pub to: String,
    /// Path of the source's field.
    pub from: String,
    /// Whether the pair was accepted; else it was rejected.
    pub accepted: bool,
}

/// What people said of pairs of fields of two types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The pairs.
    pub judged: Vec<Judged>,
}

impl Memory {
    fn of(&self, from: &str, to: &str) -> Option<bool> {
        self.judged.iter().find(|pair| pair.from == from && pair.to == to).map(|pair| pair.accepted)
    }
}

/// What is known beside the two types.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What people said before.
    pub memory: Memory,
    /// Sample records of the source and of the target.
    pub samples: Option<(Samples, Samples)>,
}

/// A field at its path.
struct Candidate<'a> {
    path: String,
    field: &'a Field,
    shape: Shape,
    name: Vec<String>,
    label: Vec<String>,
    meaning: Option<&'static str>,
}

/// Suggests rules from one type to another; on one connection keys of records go as they are.
#[must_use]
pub fn suggest(
    source: &RecordType,
    target: &RecordType,
    operation: Operation,
    same_connection: bool,
) -> Suggested {
    suggest_knowing(source, target, operation, same_connection, &Known::default())
}

/// Paths of a type's fields that suggestions look at.
#[must_use]
pub fn paths(record_type: &RecordType) -> Vec<String> {
    let mut found = Vec::new();
    collect(&record_type.fields, None, &mut found);
    found.into_iter().map(|candidate| candidate.path).collect()
}

/// Suggests rules, with what people said before and what sample records show: pairs that were accepted come as such,
/// rejected ones not again.
#[must_use]
pub fn suggest_knowing(
    source: &RecordType,
    target: &RecordType,
    operation: Operation,
    same_connection: bool,
    known: &Known,
) -> Suggested {
    let purpose = purpose(operation);
    let mut sources = Vec::new();
    collect(&source.fields, None, &mut sources);
    // What somebody accepted is looked at, whatever it is.
    let accepted =
        |test: &dyn Fn(&Judged) -> bool| known.memory.judged.iter().any(|pair| pair.accepted && test(pair));
    sources.retain(|candidate| {
        !is_record_keeping(candidate.field, source) || accepted(&|pair| pair.from == candidate.path)
    });
    if same_connection {
        for candidate in &mut sources {
            if let FieldType::Reference(reference) = &candidate.field.field_type {
                candidate.shape.key_of.clone_from(&reference.targets);
            }
        }
    }
    let mut targets = Vec::new();
    collect(&target.fields, None, &mut targets);
    targets.retain(|candidate| {
        purpose.settable(candidate.field)
            && (!is_record_keeping(candidate.field, target) || accepted(&|pair| pair.to == candidate.path))
    });
    let own = [names::words(&source.label), names::words(&target.label)];
    let mut pairs: Vec<(Reverse<u32>, usize, usize, Vec<String>)> = Vec::new();
    for (at_target, to) in targets.iter().enumerate() {
        for (at_source, from) in sources.iter().enumerate() {
            let (score, reasons) = match known.memory.of(&from.path, &to.path) {
                Some(true) => (ACCEPTED, vec!["it was accepted before".to_owned()]),
                Some(false) => continue,
                None => judge(from, to, [&own[0], &own[1]], known.samples.as_ref()),
            };
            if score >= THRESHOLD {
                pairs.push((Reverse(score), at_target, at_source, reasons));
            }
        }
    }
    // The best pair first; of equal ones the fields that stand first.
    pairs.sort();
    let (mut used_targets, mut used_sources) = (vec![false; targets.len()], vec![false; sources.len()]);
    let mut chosen: Vec<(usize, Suggestion)> = Vec::new();
    for (Reverse(score), at_target, at_source, reasons) in pairs {
        if used_targets[at_target] || used_sources[at_source] {
            continue;
        }
        used_targets[at_target] = true;
        used_sources[at_source] = true;
        let (to, from) = (&targets[at_target], &sources[at_source]);
        let suggestion = Suggestion {
            to: to.path.clone(),
            from: from.path.clone(),
            score: score.min(100),
            reasons,
            rule: rule(from, to),
        };
        chosen.push((at_target, suggestion));
    }
    chosen.sort_by_key(|(at_target, _)| *at_target);
    let suggestions: Vec<Suggestion> = chosen.into_iter().map(|(_, suggestion)| suggestion).collect();
    let open = target
        .fields
        .iter()
        .filter(|field| field.required_on_create && operation != Operation::Update)
        .filter(|field| !suggestions.iter().any(|suggestion| suggestion.to == field.name))
        .map(|field| field.name.clone())
        .collect();
    Suggested { suggestions, open }
}

/// Fields one by one: parts of objects under their objects' path and label, unless the parts are fields of their
/// own as well.
fn collect<'a>(fields: &'a [Field], inside: Option<(&str, &str)>, out: &mut Vec<Candidate<'a>>) {
    for field in fields {
        let (path, said) = match inside {
            Some((path, label)) => (format!("{path}.{}", field.name), format!("{label} {}", field.label)),
            None => (field.name.clone(), field.label.clone()),
        };
        if let FieldType::Object { fields: parts } = &field.field_type {
            if !fields.iter().any(|other| other.part_of.as_deref() == Some(field.name.as_str())) {
                collect(parts, Some((&path, &said)), out);
            }
            continue;
        }
        let (name, label) = (names::words(&path), names::words(&said));
        let meaning = meaning(field, &name, &label);
        out.push(Candidate { path, field, shape: Shape::of(field), name, label, meaning });
    }
}

/// Ids, audit marks and what else a service keeps for itself.
fn is_record_keeping(field: &Field, record_type: &RecordType) -> bool {
    field.system
        || record_type.key.0.contains(&field.name)
        || matches!(field.field_type, FieldType::Text { form: TextForm::Id | TextForm::Encrypted, .. })
}

/// What the values of a field mean, where its type or name says it.
fn meaning(field: &Field, name: &[String], label: &[String]) -> Option<&'static str> {
    match &field.field_type {
        FieldType::Text { form: TextForm::Email, .. } => return Some("an e-mail address"),
        FieldType::Text { form: TextForm::Phone, .. } => return Some("a telephone number"),
        FieldType::Text { form: TextForm::Url, .. } => return Some("a web address"),
        FieldType::Boolean | FieldType::Reference(_) => return None,
        _ => {}
    }
    let textual = matches!(field.field_type, FieldType::Text { .. } | FieldType::Picklist(_));
    let says = |word: &str| name.iter().chain(label).any(|known| known == word);
    [
        ("email", "an e-mail address"),
        ("fax", "a fax number"),
        ("phone", "a telephone number"),
        ("website", "a web address"),
        ("zip", "a postal code"),
        ("city", "a town"),
        ("country", "a country"),
        ("street", "a street"),
        ("first", "a first name"),
        ("last", "a family name"),
    ]
    .into_iter()
    .find(|(word, _)| textual && says(word))
    .map(|(_, meaning)| meaning)
}

/// Points for a pair, and why.
fn judge(
    from: &Candidate<'_>,
    to: &Candidate<'_>,
    own: [&[String]; 2],
    seen: Option<&(Samples, Samples)>,
) -> (u32, Vec<String>) {
    let mut reasons = Vec::new();
    let Some((fits, fit_reason)) = fit(from, to) else { return (0, reasons) };
    let like =
        [(&from.name, &to.name), (&from.label, &to.label), (&from.name, &to.label), (&from.label, &to.name)]
            .into_iter()
            .map(|(one, other)| names::likeness(one, other, own))
            .max()
            .unwrap_or(0);
    let (evidence, shown) =
        seen.map_or((0, None), |(source, target)| samples::compare(source, &from.path, target, &to.path));
    // Equal values speak for themselves where the names say little.
    if like < if evidence >= 25 { 15 } else { 50 } {
        return (0, reasons);
    }
    reasons.push(match like {
        100 => "the names say the same".to_owned(),
        _ => format!("the names share {like} %"),
    });
    let (meant, reason) = match (from.meaning, to.meaning) {
        (Some(one), Some(other)) if one == other => (15, Some(format!("both hold {one}"))),
        (Some(_), Some(_)) => return (0, Vec::new()),
        (None, None) => (8, None),
        _ => (0, None),
    };
    reasons.extend(reason);
    reasons.push(fit_reason);
    reasons.extend(shown);
    let score = (like * 70 / 100 + meant).saturating_add_signed(fits).saturating_add_signed(evidence);
    (score.min(100), reasons)
}

/// Points that a pair of picklists loses which share no value: the same name means another thing there.
const NOTHING_SHARED: i32 = -25;

/// Points for what becomes of the values, at most 15, and why; none where they do not go there.
fn fit(from: &Candidate<'_>, to: &Candidate<'_>) -> Option<(i32, String)> {
    Some(match convert(&from.shape, &to.shape) {
        Conversion::Silent(_) => {
            let same = from.shape.kind() == to.shape.kind();
            let points = if same { 15 } else { 10 };
            let why = if same { "both are" } else { "converts by itself to" };
            (points, format!("{why} {}", to.shape.kind().name()))
        }
        Conversion::Needs { steps, .. } => match (from.shape.picklist(), to.shape.picklist()) {
            (Some(source), Some(target)) => {
                let all = active(source);
                let found = all.iter().filter(|choice| counterpart(choice, target).is_some()).count();
                let points = i32::try_from(15 * found / all.len().max(1)).unwrap_or(0);
                (
                    if found == 0 { NOTHING_SHARED } else { points.max(1) },
                    format!("{found} of {} values have a counterpart", all.len()),
                )
            }
            _ if from.shape.kind() == Kind::Reference || to.shape.kind() == Kind::Reference => {
                return None;
            }
            _ => (4, format!("needs the step {}", steps.join(" or "))),
        },
        Conversion::Refused(_) => return None,
    })
}

fn rule(from: &Candidate<'_>, to: &Candidate<'_>) -> FieldRule {
    let mut rule = FieldRule { to: to.path.clone(), from: Some(from.path.clone()), ..FieldRule::default() };
    if let (Conversion::Needs { steps: ["picklist"], .. }, Some(source), Some(target)) =
        (convert(&from.shape, &to.shape), from.shape.picklist(), to.shape.picklist())
    {
        rule.steps = serde_json::from_str::<Step>(&likely_map(source, target)).ok().map(|step| vec![step]);
    }
    if let Conversion::Needs { steps: ["rich_text"], .. } = convert(&from.shape, &to.shape) {
        rule.steps = Some(vec![Step::RichText(RichTextStep::default())]);
    }
    rule
}
