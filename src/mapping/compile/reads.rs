//! What a mapping reads of its source's records.

use crate::mapping::document::{FieldRule, Mapping, Step};
use crate::mapping::expr;
use crate::mapping::template::{self, Piece};
use crate::record::{FieldPath, QueryDraft, rules, where_text};

/// What a mapping reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Paths, each once, in the order of the document.
    pub paths: Vec<FieldPath>,
    /// Whether it reads the record as a whole.
    pub whole: bool,
}

/// The paths that a mapping reads, those of its conditions included. What cannot be read is left out: compiling
/// tells.
#[must_use]
pub fn reads(mapping: &Mapping) -> Reads {
    let mut found = Reads::default();
    mapping.fields.iter().chain(of_contents(mapping)).for_each(|rule| found.rule(rule));
    let mut seen = std::collections::BTreeSet::new();
    found.paths.retain(|path| seen.insert(path.clone()));
    found
}

/// The types in which a mapping looks records up, each once: connection and name.
#[must_use]
pub fn looked_up(mapping: &Mapping) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut each = |connection: Option<&str>, record_type: &str| {
        let connection = connection.unwrap_or(&mapping.target.connection);
        let pair = (connection.to_owned(), record_type.to_owned());
        if !found.contains(&pair) {
            found.push(pair);
        }
    };
    in_rules(mapping.fields.iter().chain(of_contents(mapping)), &mut each);
    found
}

/// The rules for options of contents.
fn of_contents(mapping: &Mapping) -> impl Iterator<Item = &FieldRule> {
    mapping.contents.iter().flatten().flat_map(|content| content.options.iter().flatten())
}

fn in_rules<'r>(rules: impl IntoIterator<Item = &'r FieldRule>, each: &mut dyn FnMut(Option<&str>, &str)) {
    for rule in rules {
        if let Some(lookup) = &rule.lookup {
            each(lookup.connection.as_deref(), &lookup.record_type);
        }
        in_steps(rule.steps.as_deref().unwrap_or_default(), each);
    }
}

fn in_steps(steps: &[Step], each: &mut dyn FnMut(Option<&str>, &str)) {
    for step in steps {
        match step {
            Step::Lookup(step) => each(step.connection.as_deref(), &step.record_type),
            Step::Each(step) => {
                in_rules(step.fields.as_deref().unwrap_or_default(), each);
                in_steps(step.steps.as_deref().unwrap_or_default(), each);
            }
            _ => {}
        }
    }
}

impl Reads {
    fn rule(&mut self, rule: &FieldRule) {
        // A formula names the fields that it takes of the record.
        let computed = matches!(rule.steps.as_deref(), Some([Step::Expr(step), ..])
            if !expr::names_value(&step.cel));
        if rule.from.as_deref() != Some("@record") || !computed {
            self.path(rule.from.as_deref());
        }
        self.template(rule.template.as_deref());
        for (_, path) in rule.lookup.iter().flat_map(|lookup| lookup.by.iter()) {
            self.path(Some(path));
        }
        for case in rule.cases.iter().flatten() {
            let parsed = match (&case.where_text, &case.filter) {
                (Some(text), _) => where_text::parse(text).ok(),
                (None, Some(filter)) => rules::parse(&filter.tree()).ok().map(|rules| rules.filter),
                (None, None) => None,
            };
            let draft = QueryDraft { filter: parsed, ..QueryDraft::default() };
            self.paths.extend(draft.paths());
            self.path(case.from.as_deref());
            self.template(case.template.as_deref());
        }
        self.steps(rule.steps.as_deref().unwrap_or_default());
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Concat(step) => step.of.iter().for_each(|path| self.path(Some(path))),
                Step::Lookup(step) => step.of.iter().flatten().for_each(|path| self.path(Some(path))),
                Step::Expr(step) => {
                    expr::paths(&step.cel).iter().for_each(|path| self.path(Some(path)));
                }
                // Paths of the rules for its elements begin at the element.
                Step::Each(step) => self.steps(step.steps.as_deref().unwrap_or_default()),
                _ => {}
            }
        }
    }

    fn template(&mut self, text: Option<&str>) {
        for piece in text.and_then(|text| template::parse(text).ok()).into_iter().flatten() {
            if let Piece::Path { path, .. } = piece {
                self.path(Some(&path));
            }
        }
    }

    fn path(&mut self, path: Option<&str>) {
        match path {
            Some("@record") => self.whole = true,
            Some(path) if !path.starts_with('@') => self.paths.push(FieldPath::parse(path)),
            _ => {}
        }
    }
}
