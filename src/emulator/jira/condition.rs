//! Conditions of JQL: fields and values looked up once, then asked of each issue.
//!
//! Negation is pushed down to the clauses: `NOT a = 1` is `a != 1`, and neither holds for an empty field.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::adf;
use super::errors::Refusal;
use super::jql::{Clause, Expr, Operand, Test};
use super::lookup::{self, Column};
use super::model::{Field, Kind};
use super::moments;
use super::past::{self, Past};
use super::store::{Issue, Store};

/// What conditions are read against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) store: &'a Store,
    pub(super) account: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// A condition ready to be asked.
#[derive(Debug)]
pub(super) enum Check {
    All(Vec<Check>),
    Any(Vec<Check>),
    Ask(Column, Box<Ask>),
}

#[derive(Debug)]
pub(super) enum Ask {
    Ids { not: bool, ids: HashSet<String>, empty: bool },
    Empty { not: bool },
    Words { not: bool, words: Vec<String> },
    Order { operator: String, value: f64 },
    Past(Past),
}

/// Looks up what a condition names.
///
/// # Errors
/// A field that does not exist, an operator that a field does not have, a value that is no date or number.
pub(super) fn prepare(context: Context<'_>, expr: &Expr, not: bool) -> Result<Check, Refusal> {
    let each =
        |list: &[Expr]| list.iter().map(|own| prepare(context, own, not)).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::All(list) if not => each(list).map(Check::Any),
        Expr::Any(list) if not => each(list).map(Check::All),
        Expr::All(list) => each(list).map(Check::All),
        Expr::Any(list) => each(list).map(Check::Any),
        Expr::Not(inner) => prepare(context, inner, !not),
        Expr::Clause(own) => clause(context, own, not),
    }
}

fn clause(context: Context<'_>, own: &Clause, not: bool) -> Result<Check, Refusal> {
    let columns = lookup::columns(&context.store.model, &own.field);
    if columns.is_empty() {
        return Err(Refusal::query(format!(
            "Field '{}' does not exist or you do not have permission to view it.",
            own.field
        )));
    }
    // A name that several fields have asks all of those that can be asked so.
    let mut checks = Vec::new();
    let mut refused = None;
    for column in columns {
        match ask(context, &column, own, not) {
            Ok(ask) => checks.push(Check::Ask(column, Box::new(ask))),
            Err(refusal) => refused = Some(refusal),
        }
    }
    match (checks.len(), refused) {
        (0, Some(refusal)) => Err(refusal),
        (1, _) => Ok(checks.remove(0)),
        _ => Ok(Check::Any(checks)),
    }
}

fn ask(context: Context<'_>, column: &Column, own: &Clause, negated: bool) -> Result<Ask, Refusal> {
    let words = column.has_words();
    let unsupported = |operator: &str| {
        Refusal::query(format!("The operator '{operator}' is not supported by the '{}' field.", own.field))
    };
    match &own.test {
        Test::Empty { not } => Ok(Ask::Empty { not: *not != negated }),
        Test::In { not, values } => {
            if words {
                return Err(unsupported(if *not { "not in" } else { "in" }));
            }
            ids(context, column, own, values, *not != negated)
        }
        Test::Was { not, values, when } => {
            let field = column.with_past().ok_or_else(|| no_past(&own.field))?;
            let wanted = lookup::ids(context, column, &own.field, values)?;
            let empty = values.contains(&Operand::Empty);
            past::was(context, field, wanted, empty, when, *not != negated).map(Ask::Past)
        }
        Test::Changed(when) => {
            let field = column.with_past().ok_or_else(|| no_past(&own.field))?;
            past::changed(context, column, field, &own.field, when, negated).map(Ask::Past)
        }
        Test::Compare(operator, value) => {
            let operator = if negated { opposite(operator) } else { operator.as_str() };
            let not = operator.starts_with('!');
            match (operator, value) {
                ("=" | "!=", Operand::Empty) => Ok(Ask::Empty { not }),
                ("~" | "!~", value) if words || column.is_version() => {
                    let Operand::Text(text) = value else { return Err(unsupported(operator)) };
                    Ok(Ask::Words { not, words: search_words(text) })
                }
                ("~" | "!~", _) => Err(unsupported(operator)),
                (_, _) if words => Err(unsupported(operator)),
                ("=" | "!=", value) => ids(context, column, own, std::slice::from_ref(value), not),
                (_, Operand::Empty) => Err(unsupported(operator)),
                (_, value) if column.is_ordered() => {
                    let value = lookup::ordinal(context, column, &own.field, value)?;
                    // A version or priority that does not exist is neither more nor less than any.
                    let value = value.unwrap_or(f64::NAN);
                    Ok(Ask::Order { operator: operator.to_owned(), value })
                }
                _ => Err(unsupported(operator)),
            }
        }
    }
}

fn no_past(field: &str) -> Refusal {
    Refusal::query(format!("History searches do not support the '{field}' field."))
}

fn ids(
    context: Context<'_>,
    column: &Column,
    own: &Clause,
    values: &[Operand],
    not: bool,
) -> Result<Ask, Refusal> {
    let ids = lookup::ids(context, column, &own.field, values)?;
    Ok(Ask::Ids { not, ids, empty: values.contains(&Operand::Empty) })
}

fn opposite(operator: &str) -> &str {
    match operator {
        "=" => "!=",
        "!=" => "=",
        "~" => "!~",
        "!~" => "~",
        "<" => ">=",
        "<=" => ">",
        ">" => "<=",
        _ => "<",
    }
}

/// The words of a search: lower case, with `*` and `?`; a phrase in quotes is one word with blanks.
fn search_words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (number, part) in text.split('"').enumerate() {
        let part = part.to_lowercase().replace('\\', " ");
        if number % 2 == 1 {
            out.push(tokens(&part).join(" "));
        } else {
            let words = part.split(|letter: char| !(letter.is_alphanumeric() || "*?_'".contains(letter)));
            out.extend(words.map(str::to_owned));
        }
    }
    out.retain(|word| !word.trim_matches(['*', '?', ' ', '\'']).is_empty());
    out
}

/// The words of a text.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || "_'".contains(letter)));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn has_words(text: &str, words: &[String]) -> bool {
    let own = tokens(text);
    let joined = format!(" {} ", own.join(" "));
    words.iter().all(|word| {
        if word.contains(' ') {
            joined.contains(&format!(" {word} "))
        } else if word.contains(['*', '?']) {
            own.iter().any(|own| fits(&own.chars().collect::<Vec<_>>(), &word.chars().collect::<Vec<_>>()))
        } else {
            own.contains(word)
        }
    })
}

fn fits(text: &[char], pattern: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|at| fits(&text[at..], rest)),
        (Some(('?', rest)), Some((_, text))) => fits(text, rest),
        (Some((own, rest)), Some((letter, text))) => own == letter && fits(text, rest),
        _ => false,
    }
}

impl Check {
    pub(super) fn holds(&self, store: &Store, issue: &Issue) -> bool {
        match self {
            Self::All(list) => list.iter().all(|own| own.holds(store, issue)),
            Self::Any(list) => list.iter().any(|own| own.holds(store, issue)),
            Self::Ask(column, ask) => answer(store, issue, column, ask),
        }
    }
}

fn answer(store: &Store, issue: &Issue, column: &Column, ask: &Ask) -> bool {
    match ask {
        Ask::Empty { not } => is_empty(issue, column, store) != *not,
        Ask::Ids { not, ids, empty } => {
            let own = lookup::atoms(store, issue, column);
            if own.is_empty() {
                return *empty && !*not;
            }
            own.iter().any(|own| ids.contains(own)) != *not
        }
        Ask::Words { not, words } => {
            let texts = texts(store, issue, column);
            if texts.is_empty() {
                return false;
            }
            // A search for nothing but signs finds nothing.
            let found = !words.is_empty() && texts.iter().any(|text| has_words(text, words));
            found != *not
        }
        Ask::Order { operator, value } => {
            lookup::ordinals(store, issue, column).into_iter().any(|own| match operator.as_str() {
                "<" => own < *value,
                "<=" => own <= *value,
                ">" => own > *value,
                _ => own >= *value,
            })
        }
        Ask::Past(past) => past.holds(issue),
    }
}

fn is_empty(issue: &Issue, column: &Column, store: &Store) -> bool {
    if column.has_words() {
        return texts(store, issue, column).is_empty();
    }
    lookup::atoms(store, issue, column).is_empty()
}

fn texts(store: &Store, issue: &Issue, column: &Column) -> Vec<String> {
    let of = |field: &Field| match (field.kind, issue.get(&field.id)) {
        (_, Value::Null) => None,
        (Kind::Rich, document) => Some(adf::to_text(document)).filter(|text| !text.is_empty()),
        (_, Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let comments = || issue.comments.iter().map(|note| adf::to_text(&note.body));
    match column {
        Column::Comments => comments().collect(),
        Column::AllText => {
            let fields = store.model.fields.iter();
            let fields = fields.filter(|field| matches!(field.kind, Kind::Text | Kind::Rich));
            fields.filter_map(of).chain(comments()).collect()
        }
        Column::Field(field) if column.is_version() => {
            let ids = issue.get(&field.id);
            let list = ids.as_array().map_or_else(|| std::slice::from_ref(ids), Vec::as_slice);
            let name = |id: &Value| store.model.part(id.as_str()?, false).map(|(_, own)| own.name.clone());
            list.iter().filter_map(name).collect()
        }
        Column::Field(field) => of(field).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// What a query must be asked with to be allowed at all.
pub(super) fn unbounded() -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "Unbounded JQL queries are not allowed here. Add a search restriction to the query.",
    )
}

/// The value of `moments` for a date that a clause compares with, or why it is none.
pub(super) fn date(context: Context<'_>, field: &str, value: &Operand) -> Result<i64, Refusal> {
    let read = match value {
        Operand::Text(text) => moments::read(text, context.now),
        Operand::Function { name, arguments } => {
            moments::function(name, arguments.first().map(String::as_str), context.now)
        }
        Operand::Empty => None,
    };
    read.ok_or_else(|| {
        let shown = match value {
            Operand::Text(text) => text.clone(),
            Operand::Function { name, .. } => format!("{name}()"),
            Operand::Empty => "EMPTY".to_owned(),
        };
        Refusal::query(format!(
            "Date value '{shown}' for field '{field}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', \
             'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        ))
    })
}
