//! What fields were before: WAS and CHANGED.

use std::collections::HashSet;

use serde_json::Value;

use super::condition::{Context, date};
use super::errors::Refusal;
use super::jql::{Operand, Predicate};
use super::lookup::{self, Column};
use super::store::Issue;

/// A question about an issue's history.
#[derive(Debug)]
pub(super) struct Past {
    field: String,
    not: bool,
    from: i64,
    to: i64,
    by: Option<HashSet<String>>,
    what: What,
}

#[derive(Debug)]
enum What {
    Was { ids: HashSet<String>, empty: bool },
    Changed { from: Option<HashSet<String>>, to: Option<HashSet<String>> },
}

const DAY: i64 = 86_400_000;

fn window(
    context: Context<'_>,
    field: &str,
    when: &[Predicate],
    what: What,
    not: bool,
) -> Result<Past, Refusal> {
    let mut past = Past { field: field.to_owned(), not, from: i64::MIN, to: i64::MAX, by: None, what };
    let people = Column::Field(Box::new(super::model::Field {
        id: "reporter".to_owned(),
        key: "reporter".to_owned(),
        name: "Reporter".to_owned(),
        kind: super::model::Kind::User,
        schema: Value::Null,
        clauses: Vec::new(),
        choices: Vec::new(),
        navigable: false,
    }));
    for predicate in when {
        let at =
            |number: usize| date(context, field, predicate.values.get(number).unwrap_or(&Operand::Empty));
        match predicate.word.as_str() {
            "after" => past.from = at(0)?,
            "before" => past.to = at(0)?,
            "on" => (past.from, past.to) = (at(0)?, at(0)?.saturating_add(DAY)),
            "during" => (past.from, past.to) = (at(0)?, at(1)?),
            "by" => past.by = Some(lookup::ids(context, &people, "by", &predicate.values)?),
            _ => {}
        }
    }
    Ok(past)
}

/// `field WAS value …`.
pub(super) fn was(
    context: Context<'_>,
    field: &str,
    ids: HashSet<String>,
    empty: bool,
    when: &[Predicate],
    not: bool,
) -> Result<Past, Refusal> {
    if when.iter().any(|own| matches!(own.word.as_str(), "from" | "to")) {
        return Err(Refusal::query("The 'was' operator has no 'from' and 'to'."));
    }
    window(context, field, when, What::Was { ids, empty }, not)
}

/// `field CHANGED …`.
pub(super) fn changed(
    context: Context<'_>,
    column: &Column,
    field: &str,
    name: &str,
    when: &[Predicate],
    not: bool,
) -> Result<Past, Refusal> {
    let of = |word: &str| {
        let predicate = when.iter().find(|own| own.word == word);
        predicate.map(|own| lookup::ids(context, column, name, &own.values)).transpose()
    };
    let what = What::Changed { from: of("from")?, to: of("to")? };
    window(context, field, when, what, not)
}

fn has(value: &Value, ids: &HashSet<String>, empty: bool) -> bool {
    match value {
        Value::Null => empty,
        Value::Array(list) => {
            (list.is_empty() && empty)
                || list.iter().any(|own| own.as_str().is_some_and(|own| ids.contains(own)))
        }
        other => other.as_str().is_some_and(|own| ids.contains(own)),
    }
}

impl Past {
    pub(super) fn holds(&self, issue: &Issue) -> bool {
        let steps = issue.history.iter().flat_map(|change| {
            let own = change.differences.iter().filter(|own| own.field == self.field);
            own.map(move |own| (change.at, change.author.as_str(), own))
        });
        let by = |author: &str| self.by.as_ref().is_none_or(|by| by.contains(author));
        let found = match &self.what {
            What::Changed { from, to } => steps.into_iter().any(|(at, author, own)| {
                let fits = |wanted: &Option<HashSet<String>>, value: &Value| {
                    wanted.as_ref().is_none_or(|ids| has(value, ids, false))
                };
                by(author) && at >= self.from && at <= self.to && fits(from, &own.from) && fits(to, &own.to)
            }),
            What::Was { ids, empty } => {
                // Stretches of time with what the field was and who made it so.
                let mut since = issue.get("created").as_i64().unwrap_or(0);
                let mut author = issue.text("creator");
                let mut current = None;
                let mut found = false;
                let mut check = |from: i64, to: i64, value: &Value, author: &str| {
                    found |= has(value, ids, *empty) && by(author) && from <= self.to && to >= self.from;
                };
                for (at, who, own) in steps {
                    check(since, at, &own.from, author);
                    (since, author, current) = (at, who, Some(&own.to));
                }
                check(since, i64::MAX, current.unwrap_or(issue.get(&self.field)), author);
                found
            }
        };
        found != self.not
    }
}
