//! From where a value comes to where it goes: origins, steps, the conversion at the end.

use super::target::{Target, Targets};
use super::{Compiler, fixed_value};
use crate::mapping::convert::{Cast, Conversion, convert};
use crate::mapping::document::{Case, FieldRule, Literal, Lookup, Step};
use crate::mapping::problem::Problem;
use crate::mapping::program::{Block, Branch, Fit, MemberName, Node, Origin, RuleProgram};
use crate::mapping::shape::Shape;
use crate::mapping::step::{Place, likely_map, of_rule, prepare};
use crate::mapping::template::{self, Piece};
use crate::record::pick::Picker;
use crate::record::record_type::TextForm;
use crate::record::residual::Residual;
use crate::record::{FieldPath, FieldType, QueryDraft, rules, where_text};

/// Where a value comes from, as a rule or a case says it.
struct From<'d> {
    from: Option<&'d str>,
    constant: Option<&'d Literal>,
    template: Option<&'d str>,
    lookup: Option<&'d Lookup>,
    at: String,
}

impl Compiler<'_> {
    /// Compiles rules; `None` when one of them cannot be, which has been told.
    pub(super) fn block(&mut self, given: &[FieldRule], targets: &Targets<'_>, at: &str) -> Option<Block> {
        let mut programs = Vec::new();
        let mut taken: Vec<FieldPath> = Vec::new();
        let mut tree = Vec::new();
        let mut complete = true;
        for (index, rule) in given.iter().enumerate() {
            let at = format!("{at}/{index}");
            let path = FieldPath::parse(&rule.to);
            let meets = |known: &&FieldPath| {
                known.segments().starts_with(path.segments()) || path.segments().starts_with(known.segments())
            };
            if let Some(known) = taken.iter().find(meets) {
                let told = if *known == path {
                    format!("{path} is set by an earlier rule")
                } else {
                    format!("{path} and {known}, which an earlier rule sets, hold the same")
                };
                self.problems.push(
                    Problem::error(format!("{at}/to"), told).with_fix("Leave one of them out, or use cases"),
                );
                complete = false;
            }
            taken.push(path.clone());
            match self.rule(rule, &path, targets, &at) {
                Some(program) => {
                    insert(&mut tree, path.segments(), programs.len());
                    programs.push(program);
                }
                None => complete = false,
            }
        }
        let picker = Picker::new(&self.paths);
        complete.then_some(Block { picker, rules: programs, tree })
    }

    fn rule(
        &mut self,
        rule: &FieldRule,
        path: &FieldPath,
        targets: &Targets<'_>,
        at: &str,
    ) -> Option<RuleProgram> {
        let target = match targets.find(path, &format!("{at}/to")) {
            Ok(target) => Some(target),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        };
        let steps = rule.steps.as_deref().unwrap_or_default();
        let mut branches = Vec::new();
        let mut complete = true;
        match &rule.cases {
            Some(cases) => {
                for (index, case) in cases.iter().enumerate() {
                    let at_case = format!("{at}/cases/{index}");
                    let condition = self.condition(case, &at_case);
                    let from = From {
                        from: case.from.as_deref(),
                        constant: case.constant.as_ref(),
                        template: case.template.as_deref(),
                        lookup: None,
                        at: at_case,
                    };
                    let branch = self.branch(&from, steps, at, target.as_ref());
                    match (condition, branch) {
                        (Some(condition), Some(branch)) => branches.push(Branch { condition, ..branch }),
                        _ => complete = false,
                    }
                }
            }
            None => {
                let from = From {
                    from: rule.from.as_deref(),
                    constant: rule.constant.as_ref(),
                    template: rule.template.as_deref(),
                    lookup: rule.lookup.as_ref(),
                    at: at.to_owned(),
                };
                match self.branch(&from, steps, at, target.as_ref()) {
                    Some(branch) => branches.push(branch),
                    None => complete = false,
                }
            }
        }
        let target = target?;
        complete.then(|| RuleProgram {
            to: rule.to.clone(),
            branches,
            on_missing: rule.on_missing.unwrap_or_default(),
            on_invalid: rule.on_invalid.unwrap_or_default(),
            needed: target.needed,
            looks_up: looks_up(rule),
        })
    }

    /// A case's condition: `Some(None)` when it has none.
    fn condition(&mut self, case: &Case, at: &str) -> Option<Option<Residual>> {
        let (member, draft) = match (&case.where_text, &case.filter) {
            (Some(text), _) => ("where", where_text::parse(text)),
            (None, Some(filter)) => ("filter", rules::parse(&filter.tree()).map(|rules| rules.filter)),
            (None, None) => return Some(None),
        };
        let settings = self.shared.settings;
        let typed = draft.and_then(|filter| {
            let draft = QueryDraft { filter: Some(filter), ..QueryDraft::default() };
            draft.typed(&self.scope, settings.now, &settings.timezone)
        });
        match typed {
            Ok(query) => Some(query.filter.as_ref().map(Residual::new)),
            Err(error) => {
                let problem = Problem::error(format!("{at}/{member}"), error.message());
                self.problems.push(match error.advice() {
                    Some(advice) => problem.with_fix(advice),
                    None => problem,
                });
                None
            }
        }
    }

    fn branch(
        &mut self,
        from: &From<'_>,
        steps: &[Step],
        at: &str,
        target: Option<&Target>,
    ) -> Option<Branch> {
        let (shape, origin) = self.origin(from)?;
        let target = target?;
        if let (Some(value), true, Some(field)) = (from.constant, steps.is_empty(), &target.field) {
            let wrong = fixed_value(field, value.text(), false, &format!("{}/const", from.at));
            let fits = wrong.is_empty();
            self.problems.extend(wrong);
            let branch =
                Branch { condition: None, origin, steps: Vec::new(), cast: Cast::Copy, fit: Fit::Any };
            return fits.then_some(branch);
        }
        let mut shape = shape;
        let mut runs = Vec::new();
        if let Some(lookup) = from.lookup {
            let last = steps.iter().all(|after| matches!(after, Step::Default(_)));
            let mut place = Place { compiler: self, at: format!("{at}/lookup"), target: &target.shape, last };
            let prepared = of_rule(lookup, &shape, &mut place)?;
            shape = prepared.shape;
            runs.push(prepared.run);
        }
        for (index, step) in steps.iter().enumerate() {
            // A default behind a step changes no types.
            let last = steps[index + 1..].iter().all(|after| matches!(after, Step::Default(_)));
            let mut place =
                Place { compiler: self, at: format!("{at}/steps/{index}"), target: &target.shape, last };
            let prepared = prepare(step, &shape, &mut place)?;
            shape = prepared.shape;
            runs.push(prepared.run);
        }
        let cast = self.conversion(&shape, target, from, at)?;
        let fit = target.field.as_ref().map_or(Fit::Any, Fit::of);
        Some(Branch { condition: None, origin, steps: runs, cast, fit })
    }

    fn origin(&mut self, from: &From<'_>) -> Option<(Shape, Origin)> {
        if let Some(path) = from.from {
            return self.path(path, &format!("{}/from", from.at));
        }
        if let Some(lookup) = from.lookup {
            let Some((field, path)) = lookup.by.iter().next() else {
                self.problems.push(
                    Problem::error(format!("{}/lookup/by", from.at), "nothing is said to find a record by")
                        .with_fix("Name a field and the path of its value"),
                );
                return None;
            };
            return self.path(path, &format!("{}/lookup/by/{}", from.at, rules::pointer_token(field)));
        }
        if let Some(value) = from.constant {
            let text = value.text().trim().to_owned();
            return Some((literal_shape(&text), Origin::Fixed(text)));
        }
        let at = format!("{}/template", from.at);
        let pieces = match template::parse(from.template?) {
            Ok(pieces) => pieces,
            Err(why) => {
                self.problems.push(Problem::error(&at, why));
                return None;
            }
        };
        let mut complete = true;
        let mut origins = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    origins.push((Origin::Fixed(serde_json::Value::from(text).to_string()), false));
                }
                Piece::Path { path, optional } => {
                    let found = self.path(&path, &at);
                    let found = found.filter(|(shape, _)| self.is_text_in(shape, &path, &at));
                    match found {
                        Some((_, origin)) => origins.push((origin, optional)),
                        None => complete = false,
                    }
                }
            }
        }
        complete.then(|| (Shape::text(), Origin::Template(origins)))
    }

    /// Whether a value can stand in a template.
    fn is_text_in(&mut self, shape: &Shape, path: &str, at: &str) -> bool {
        match convert(shape, &Shape::text()) {
            Conversion::Silent(_) => true,
            Conversion::Needs { .. } | Conversion::Refused(_) => {
                self.problems.push(
                    Problem::error(at, format!("{path} holds {}, which is no text", shape.kind().name()))
                        .with_fix("Use concat or cases with steps, or take one of its parts"),
                );
                false
            }
        }
    }

    fn conversion(&mut self, shape: &Shape, target: &Target, from: &From<'_>, at: &str) -> Option<Cast> {
        match convert(shape, &target.shape) {
            Conversion::Silent(cast) => {
                self.narrower(shape, &target.shape, at);
                Some(cast)
            }
            Conversion::Needs { steps, why, values } => {
                let fix = match (steps, shape.picklist(), target.shape.picklist()) {
                    (["picklist"], Some(source), Some(wanted)) => {
                        format!("Add {}", likely_map(source, wanted))
                    }
                    _ => format!(
                        "Add a step: {}",
                        steps.iter().map(|step| example(step)).collect::<Vec<_>>().join(" or ")
                    ),
                };
                self.problems.push(Problem::error(&from.at, why).with_values(values).with_fix(fix));
                None
            }
            Conversion::Refused(why) => {
                self.problems
                    .push(Problem::error(&from.at, why).with_fix("Choose another source or another field"));
                None
            }
        }
    }

    /// Warns where the target takes less than the source can hold.
    fn narrower(&mut self, shape: &Shape, target: &Shape, at: &str) {
        let told = match (&shape.field_type, &target.field_type) {
            (
                FieldType::Text { max_length: Some(given), .. },
                FieldType::Text { max_length: Some(most), .. },
            ) if given > most => Some((
                format!("texts of up to {given} characters come, and {most} are taken; longer ones fail"),
                "Add {\"op\":\"truncate\"} to cut them with a report",
            )),
            (FieldType::Decimal { scale: Some(given), .. }, FieldType::Decimal { scale: Some(most), .. })
                if given > most =>
            {
                Some((
                    format!("{given} digits behind the point come, and {most} are kept; finer numbers fail"),
                    "Add a round step",
                ))
            }
            (
                FieldType::Decimal { precision: Some(given), scale },
                FieldType::Decimal { precision: Some(most), scale: kept },
            ) => {
                let whole = |digits: &u32, scale: &Option<u32>| digits.saturating_sub(scale.unwrap_or(0));
                (whole(given, scale) > whole(most, kept)).then(|| {
                    let (given, most) = (whole(given, scale), whole(most, kept));
                    (
                        format!(
                            "{given} digits before the point come, and {most} are taken; larger numbers fail"
                        ),
                        "Leave it so, or say \"on_invalid\":\"null\"",
                    )
                })
            }
            _ => None,
        };
        if let Some((message, fix)) = told {
            self.problems.push(Problem::warning(at, message).with_fix(fix));
        }
    }
}

/// Whether a rule looks records up.
fn looks_up(rule: &FieldRule) -> bool {
    fn in_steps(steps: &[Step]) -> bool {
        steps.iter().any(|step| match step {
            Step::Lookup(_) => true,
            Step::Each(each) => {
                each.fields.iter().flatten().any(looks_up)
                    || in_steps(each.steps.as_deref().unwrap_or_default())
            }
            _ => false,
        })
    }
    rule.lookup.is_some() || in_steps(rule.steps.as_deref().unwrap_or_default())
}

/// A step as it could be written.
fn example(step: &str) -> &'static str {
    match step {
        "picklist" => "{\"op\":\"picklist\",\"map\":{...}}",
        "rich_text" => "{\"op\":\"rich_text\"}",
        "lookup" => "{\"op\":\"lookup\",\"type\":...,\"by\":[...]}",
        "reference" => "{\"op\":\"reference\"} if it is the key of such a record there",
        "each" => "{\"op\":\"each\",\"steps\":[...]}",
        "json" => "{\"op\":\"json\"}",
        "join" => "{\"op\":\"join\",\"with\":\", \"}",
        "item" => "{\"op\":\"item\",\"index\":0}",
        "split" => "{\"op\":\"split\",\"by\":\",\"}",
        "label" => "{\"op\":\"label\"}",
        "round" => "{\"op\":\"round\",\"places\":0}",
        "number" => "{\"op\":\"number\"}",
        _ => "{\"op\":\"date\",\"zone\":\"Europe/Prague\"}",
    }
}

/// The type of a fixed value.
fn literal_shape(text: &str) -> Shape {
    match text.as_bytes().first() {
        Some(b'"') => {
            let length = serde_json::from_str::<String>(text).map_or(0, |text| text.chars().count() as u64);
            Shape::new(FieldType::Text { max_length: Some(length), form: TextForm::Multiline })
        }
        Some(b't' | b'f') => Shape::new(FieldType::Boolean),
        Some(b'[') => Shape::text().list_of(),
        Some(b'{') => Shape::new(FieldType::Object { fields: Vec::new() }),
        Some(b'n') => Shape::text(),
        _ if text.parse::<i64>().is_ok() => Shape::new(FieldType::Integer { minimum: None, maximum: None }),
        _ => Shape::new(FieldType::Decimal { precision: None, scale: None }),
    }
}

/// Puts a rule's value at its place in the row.
fn insert(tree: &mut Vec<Node>, path: &[String], rule: usize) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        tree.push(Node::Leaf { name: MemberName::new(name), rule });
        return;
    }
    let name = MemberName::new(name);
    let known = tree.iter_mut().find_map(|node| match node {
        Node::Object { name: known, members } if *known == name => Some(members),
        _ => None,
    });
    match known {
        Some(members) => insert(members, rest, rule),
        None => {
            let mut members = Vec::new();
            insert(&mut members, rest, rule);
            tree.push(Node::Object { name, members });
        }
    }
}
