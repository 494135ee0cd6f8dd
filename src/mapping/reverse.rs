//! The opposite mapping: every rule whose steps all go backwards, and why the others do not.
//!
//! A step goes backwards when its result tells what it was made of. Cutting, rounding, defaults and choices made by
//! conditions do not.

use serde::Serialize;

use super::compile::purpose;
use super::convert::{Conversion, convert};
use super::document::{
    DateStep, EachStep, FieldRule, JoinStep, Literal, Mapping, Named, NumberFormatStep, NumberStep,
    OnSourceDelete, Operation, Otherwise, PicklistStep, ReferenceStep, RichForm, RichTextStep, Source,
    SplitStep, Step, Target,
};
use super::shape::{Kind, Shape};
use crate::record::{FieldType, RecordType};

/// A mapping turned round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reversed {
    /// The opposite mapping, of the rules that go backwards.
    pub mapping: Mapping,
    /// Rules that do not, each with the reason.
    pub left_out: Vec<LeftOut>,
    /// What else the opposite mapping does not do.
    pub notes: Vec<String>,
}

/// A rule that does not go backwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The field that it sets.
    pub to: String,
    /// Why it does not go backwards.
    pub why: String,
}

/// The fields on both sides of a rule, as far as they are known.
#[derive(Clone)]
struct Ends {
    /// What the rule reads.
    from: Shape,
    /// What the rule sets.
    to: Shape,
}

/// Turns a mapping round.
#[must_use]
pub fn reverse(mapping: &Mapping, source: &RecordType, target: &RecordType) -> Reversed {
    let mut notes = Vec::new();
    let mut left_out = Vec::new();
    let mut fields = Vec::new();
    let (operation, by) = operation(mapping, source, &mut notes);
    for rule in &mapping.fields {
        match rule_between(rule, source, target, operation, by.as_deref()) {
            Ok(rule) => fields.push(rule),
            Err(why) => left_out.push(LeftOut { to: rule.to.clone(), why }),
        }
    }
    if mapping.source.query.is_some() {
        notes
            .push("The query of the source chooses records there; the opposite mapping takes all".to_owned());
    }
    if mapping.target.options.is_some() {
        notes.push("The options belong to the target's operation and were left out".to_owned());
    }
    if mapping.contents.is_some() {
        notes.push("Content goes along one way only and was left out".to_owned());
    }
    let on_source_delete = match &mapping.on_source_delete {
        Some(OnSourceDelete::Set(_)) => {
            notes.push("What deleted records set was left out".to_owned());
            None
        }
        other => other.clone(),
    };
    let mapping = Mapping {
        recordport: mapping.recordport,
        name: format!("{} reversed", mapping.name),
        params: None,
        source: Source {
            connection: mapping.target.connection.clone(),
            record_type: mapping.target.record_type.clone(),
            query: None,
            schema_hash: None,
        },
        target: Target {
            connection: mapping.source.connection.clone(),
            record_type: mapping.source.record_type.clone(),
            operation,
            by,
            options: None,
            schema_hash: None,
        },
        on_source_delete,
        on_source_update: mapping.on_source_update,
        fields,
        contents: None,
    };
    Reversed { mapping, left_out, notes }
}

/// The opposite operation: an upsert stays one where a rule turned round sets a key of the source.
fn operation(
    mapping: &Mapping,
    source: &RecordType,
    notes: &mut Vec<String>,
) -> (Operation, Option<Vec<String>>) {
    let wanted = mapping.target.operation;
    if wanted != Operation::Upsert {
        return (wanted, None);
    }
    let reads = |name: &String| mapping.fields.iter().any(|rule| rule.from.as_ref() == Some(name));
    let keys = source.capability.upsert.iter().flat_map(|upsert| &upsert.by);
    // The key that stands where the mapping's own does comes first.
    let own: Vec<&str> = mapping
        .fields
        .iter()
        .filter(|rule| mapping.target.by.iter().flatten().any(|by| *by == rule.to))
        .filter_map(|rule| rule.from.as_deref())
        .collect();
    let mut found: Vec<&Vec<String>> = keys.map(|key| &key.0).filter(|key| key.iter().all(reads)).collect();
    found.sort_by_key(|key| !key.iter().all(|name| own.contains(&name.as_str())));
    match found.first() {
        Some(key) => (Operation::Upsert, Some((*key).clone())),
        None => {
            notes.push(format!(
                "No rule sets a key by which {} is found, so that the opposite mapping creates",
                source.name
            ));
            (Operation::Create, None)
        }
    }
}

fn rule_between(
    rule: &FieldRule,
    source: &RecordType,
    target: &RecordType,
    operation: Operation,
    by: Option<&[String]>,
) -> Result<FieldRule, String> {
    let from = plain_source(rule)?;
    let read = field_at(&source.fields, from).ok_or_else(|| match from.split_once('.') {
        Some(_) => format!("{from} belongs to another record, which is not written"),
        None => format!("{} has no field {from}", source.name),
    })?;
    let key: &[String] = match operation {
        Operation::Create => &[],
        Operation::Update | Operation::Delete => &source.key.0,
        Operation::Upsert => by.unwrap_or_default(),
    };
    let first = from.split('.').next().unwrap_or_default();
    if !purpose(operation).settable(read) && !key.iter().any(|name| name == first) {
        return Err(format!("{from} cannot be set on {}", operation.name()));
    }
    let (to_shape, to) = match rule.to.as_str() {
        "@key" => (Shape::text(), "@key".to_owned()),
        "@version" => return Err("a version belongs to its own record".to_owned()),
        path => {
            let field = field_at(&target.fields, path).ok_or_else(|| {
                format!("{path} sets a record by a key of its parent, which the source does not hold")
            })?;
            (Shape::of(field), path.to_owned())
        }
    };
    let ends = Ends { from: Shape::of(read), to: to_shape };
    let steps = steps_back(rule.steps.as_deref().unwrap_or_default(), &ends)?;
    Ok(FieldRule {
        to: from.to_owned(),
        from: Some(to),
        steps: (!steps.is_empty()).then_some(steps),
        on_missing: rule.on_missing,
        on_invalid: rule.on_invalid,
        ..FieldRule::default()
    })
}

/// The one path that a rule copies.
fn plain_source(rule: &FieldRule) -> Result<&str, String> {
    if rule.constant.is_some() {
        return Err("it sets a fixed value".to_owned());
    }
    if rule.template.is_some() {
        return Err("a text made of several values does not tell where one ends".to_owned());
    }
    if rule.cases.is_some() {
        return Err("conditions choose its value".to_owned());
    }
    if rule.lookup.is_some() {
        return Err("the key of the record that was found does not tell by what it was found".to_owned());
    }
    match rule.from.as_deref() {
        Some(mark) if mark.starts_with('@') => Err(format!("{mark} is no field")),
        Some(from) => Ok(from),
        None => Err("it has no source".to_owned()),
    }
}

/// A field by names through objects.
fn field_at<'f>(fields: &'f [crate::record::Field], path: &str) -> Option<&'f crate::record::Field> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = fields.iter().find(|field| field.name == first)?;
    match (rest, &field.field_type) {
        (None, _) => Some(field),
        (Some(rest), FieldType::Object { fields }) => field_at(fields, rest),
        _ => None,
    }
}

/// The steps backwards, with the one at the end that the way back needs and the way there did not.
fn steps_back(steps: &[Step], ends: &Ends) -> Result<Vec<Step>, String> {
    let mut back = Vec::new();
    for (index, step) in steps.iter().enumerate().rev() {
        // Of several steps only those at the ends touch the fields' own types.
        let whole = Ends {
            from: if index == 0 { ends.from.clone() } else { Shape::text() },
            to: if index + 1 == steps.len() { ends.to.clone() } else { Shape::text() },
        };
        back.extend(step_back(step, &whole)?);
    }
    if steps.is_empty() {
        back.extend(unspoken(ends)?);
    }
    Ok(back)
}

/// What a silent conversion needs on its way back.
fn unspoken(ends: &Ends) -> Result<Option<Step>, String> {
    let Conversion::Needs { steps, .. } = convert(&ends.to, &ends.from) else { return Ok(None) };
    Ok(match (steps, ends.from.kind()) {
        (["number"], _) => Some(Step::Number(NumberStep::default())),
        (["date"], _) => Some(Step::Date(DateStep::default())),
        (["picklist"], Kind::Boolean) => {
            let map = ["true", "false"].map(|name| (name.to_owned(), literal(name)));
            Some(Step::Picklist(PicklistStep { map: Named(map.to_vec()), otherwise: None }))
        }
        ([.., "reference"], _) => Some(Step::Reference(ReferenceStep::default())),
        (["picklist"], _) => {
            return Err("the target takes values that the source's picklist does not have".to_owned());
        }
        _ => None,
    })
}

fn literal(text: &str) -> Literal {
    Literal::parse(text).unwrap_or_else(|| Literal::from(&serde_json::Value::from(text)))
}

fn step_back(step: &Step, ends: &Ends) -> Result<Option<Step>, String> {
    let lost = |why: &str| Err(why.to_owned());
    match step {
        Step::Trim(_) => lost("trim: the blanks that were taken off are gone"),
        Step::Case(_) => lost("case: which letters were capitals is gone"),
        Step::Default(_) => lost("default: a value that stands in looks like any other"),
        Step::Round(_) => lost("round: the digits that were rounded are gone"),
        Step::Truncate(_) => lost("truncate: what was cut is gone"),
        Step::Label(_) => lost("label: several values can have one label"),
        Step::Item(_) => lost("item: the other elements are gone"),
        Step::Concat(_) => lost("concat: the text does not tell where one value ends"),
        Step::Replace(_) => lost("replace: the new piece may have stood there before"),
        Step::Expr(_) => lost("expr: a formula has one direction"),
        Step::Lookup(_) => lost("lookup: the key that was found does not tell by what it was found"),
        Step::Json(_) => lost("json: JSON text is not read back into fields"),
        Step::Date(step) => date_back(step, ends).map(Some),
        Step::Number(step) => Ok((ends.from.kind() == Kind::Text).then(|| {
            Step::NumberFormat(NumberFormatStep {
                decimal: step.decimal.clone(),
                group: step.group.clone(),
                places: None,
            })
        })),
        Step::NumberFormat(step) => {
            Ok(Some(Step::Number(NumberStep { decimal: step.decimal.clone(), group: step.group.clone() })))
        }
        Step::Picklist(step) => picklist_back(step, ends).map(Some),
        Step::Split(step) => Ok(Some(Step::Join(JoinStep { separator: step.by.clone() }))),
        Step::Join(step) => match step.separator.is_empty() {
            true => lost("join: without anything between them the elements run together"),
            false => Ok(Some(Step::Split(SplitStep { by: step.separator.clone(), exact: Some(true) }))),
        },
        Step::RichText(step) => rich_back(step, ends),
        Step::Reference(_) => {
            Ok((ends.from.kind() == Kind::Reference).then(|| Step::Reference(ReferenceStep::default())))
        }
        Step::Each(step) => each_back(step, ends).map(Some),
    }
}

/// A date goes back where neither side knows less than the other.
fn date_back(step: &DateStep, ends: &Ends) -> Result<Step, String> {
    let day = |kind: Kind| matches!(kind, Kind::Date | Kind::Time);
    let moment = |kind: Kind| matches!(kind, Kind::Instant | Kind::ClockTime);
    let (from, to) = (ends.from.kind(), ends.to.kind());
    if moment(from) && day(to) {
        return Err("date: the part of the instant that the field does not hold is gone".to_owned());
    }
    if matches!(step.input.as_deref(), Some("epoch_seconds" | "epoch_milliseconds")) {
        return Err("date: nothing writes seconds of the epoch".to_owned());
    }
    let named = |form: &Option<String>| {
        form.clone().filter(|form| !matches!(form.as_str(), "auto" | "date" | "instant" | "time"))
    };
    let (input, output) = (named(&step.output), named(&step.input));
    let holds_all = |pattern: &str| {
        let has = |letters: &[&str]| letters.iter().any(|letter| pattern.contains(letter));
        let date = has(&["%Y", "%y", "%F", "%D"]);
        let time = has(&["%H", "%I", "%T", "%R"]);
        match from {
            Kind::Instant | Kind::ClockTime => date && time && has(&["%S", "%T", "%s"]),
            Kind::Date => date,
            Kind::Time => time,
            _ => true,
        }
    };
    if input.as_deref().is_some_and(|pattern| !holds_all(pattern)) {
        return Err("date: the pattern does not write all of the moment".to_owned());
    }
    Ok(Step::Date(DateStep { input, zone: step.zone.clone(), output }))
}

/// A map goes back where no two values become one.
fn picklist_back(step: &PicklistStep, ends: &Ends) -> Result<Step, String> {
    let from = ends.from.element().unwrap_or_else(|| ends.from.clone());
    let typed = |name: &str| match from.kind() {
        Kind::NumberedChoice | Kind::Integer | Kind::Decimal | Kind::Boolean => literal(name),
        _ => Literal::from(&serde_json::Value::from(name)),
    };
    let mut map: Vec<(String, Literal)> = Vec::new();
    for (name, value) in step.map.iter() {
        let text = value.text().trim();
        let key = serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned());
        if text == "null" {
            return Err(format!("picklist: {name:?} becomes null, which tells nothing"));
        }
        if let Some((_, known)) = map.iter().find(|(known, _)| *known == key) {
            return Err(format!("picklist: both {} and {name:?} become {text}", known.text()));
        }
        map.push((key, typed(name)));
    }
    match step.otherwise {
        Some(Otherwise::Null) => Err("picklist: values that are not in the map become null".to_owned()),
        otherwise => Ok(Step::Picklist(PicklistStep { map: Named(map), otherwise })),
    }
}

fn rich_back(step: &RichTextStep, ends: &Ends) -> Result<Option<Step>, String> {
    let form = |shape: &Shape| match shape.kind() {
        Kind::Html => RichForm::Html,
        Kind::Markdown => RichForm::Markdown,
        Kind::Adf => RichForm::Adf,
        _ => RichForm::Plain,
    };
    let input = step.input.unwrap_or_else(|| form(&ends.from));
    let output = step.output.unwrap_or_else(|| form(&ends.to));
    if output == RichForm::Plain {
        return Err("rich_text: plain text has lost its marks".to_owned());
    }
    Ok(Some(Step::RichText(RichTextStep { input: Some(output), output: Some(input) })))
}

fn each_back(step: &EachStep, ends: &Ends) -> Result<Step, String> {
    let (Some(from), Some(to)) = (ends.from.element(), ends.to.element()) else {
        return Err("each: the fields are no lists".to_owned());
    };
    let Some(rules) = &step.fields else {
        let steps = steps_back(step.steps.as_deref().unwrap_or_default(), &Ends { from, to })?;
        return Ok(Step::Each(EachStep { fields: None, steps: Some(steps) }));
    };
    let (FieldType::Object { fields: read }, FieldType::Object { fields: set }) =
        (&from.field_type, &to.field_type)
    else {
        return Err("each: the elements are no objects".to_owned());
    };
    let mut back = Vec::new();
    for rule in rules {
        let path = plain_source(rule).map_err(|why| format!("each: {}: {why}", rule.to))?;
        let (Some(one), Some(two)) = (field_at(read, path), field_at(set, &rule.to)) else {
            return Err(format!("each: {path} and {} are not both parts of the elements", rule.to));
        };
        let ends = Ends { from: Shape::of(one), to: Shape::of(two) };
        let steps = steps_back(rule.steps.as_deref().unwrap_or_default(), &ends)
            .map_err(|why| format!("each: {}: {why}", rule.to))?;
        back.push(FieldRule {
            to: path.to_owned(),
            from: Some(rule.to.clone()),
            steps: (!steps.is_empty()).then_some(steps),
            ..FieldRule::default()
        });
    }
    Ok(Step::Each(EachStep { fields: Some(back), steps: None }))
}
