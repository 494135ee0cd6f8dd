//! What a SOQL condition means for a record type: names and types are checked once, then rows are tested
//! (`evaluate.rs`).
//!
//! Conditions are two-valued: a row whose value is null satisfies `!=`, `NOT IN`, `EXCLUDES` and a negated
//! comparison. Text compares without regard to case unless the field says otherwise, and empty text is null.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::Offset;
use rust_decimal::Decimal;

use super::describe::{Field, Kind};
use super::errors::Refusal;
use super::evaluate::lower;
use super::paths::{Route, leaf_field, route, unknown_field};
use super::rows::Store;
use super::statement::{Expr, Literal, Operator, Path, Piece, Query, Source, Text};
use super::{dates, id};

/// A checked condition.
#[derive(Debug)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    /// True when the value is null.
    Null(Route),
    Compare {
        route: Route,
        fold: bool,
        operator: Operator,
        wanted: Wanted,
    },
    Like {
        route: Route,
        fold: bool,
        pattern: Vec<Piece>,
    },
    /// Any of the values, or null among them.
    Among {
        route: Route,
        fold: bool,
        values: Vec<Wanted>,
        null: bool,
    },
    /// The first 15 characters of ids.
    AmongIds {
        route: Route,
        ids: HashSet<String>,
        null: bool,
    },
    /// All values of one of the sets.
    Includes {
        route: Route,
        sets: Vec<Vec<String>>,
    },
    /// Exactly this set of values.
    ExactSet {
        route: Route,
        set: Vec<String>,
    },
}

/// A literal as the field's type compares it.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Boolean(bool),
    Number(Decimal),
    Text(String),
    /// The first 15 characters of an id.
    Id(String),
    Date(Date),
    Instant(i64),
    Time(u32),
    /// From the first day until before the second, as days.
    Days(Date, Date),
    /// The same as milliseconds.
    Span(i64, i64),
}

/// What is fixed while a statement is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) store: &'a Store,
    pub(super) source: Source<'a>,
    pub(super) today: Date,
}

/// Checks a condition against a type.
///
/// # Errors
/// The service's own codes for unknown names, wrong literals, wrong operators and fields that cannot be filtered.
pub(super) fn check(
    cx: Context<'_>,
    table: usize,
    alias: Option<&str>,
    expr: &Expr,
) -> Result<Test, Refusal> {
    let inner =
        |list: &[Expr]| list.iter().map(|expr| check(cx, table, alias, expr)).collect::<Result<Vec<_>, _>>();
    let negate = |negated: bool, test: Test| if negated { Test::Not(Box::new(test)) } else { test };
    Ok(match expr {
        Expr::All(list) => Test::All(inner(list)?),
        Expr::Any(list) => Test::Any(inner(list)?),
        Expr::Not(expr) => Test::Not(Box::new(check(cx, table, alias, expr)?)),
        Expr::Compare { path, operator, literal } => compare(cx, table, alias, path, *operator, literal)?,
        Expr::Among { path, negated, list } => negate(*negated, among(cx, table, alias, path, list)?),
        Expr::AmongRows { path, negated, query } => among_rows(cx, table, alias, path, *negated, query)?,
        Expr::Includes { path, negated, list } => {
            let (route, about) = filterable(cx, table, alias, path)?;
            if about.kind != Kind::MultiPicklist {
                return Err(wrong_operator(
                    cx,
                    path,
                    "includes and excludes operators can only be used with multipicklist fields",
                ));
            }
            let sets = list.iter().map(|literal| set(cx, path, literal)).collect::<Result<Vec<_>, _>>()?;
            negate(*negated, Test::Includes { route, sets })
        }
    })
}

fn wrong_operator(cx: Context<'_>, path: &Path, what: &str) -> Refusal {
    cx.source.refuse("INVALID_QUERY_FILTER_OPERATOR", path.at, what)
}

/// The field at the end of a path, which must be one that conditions may use.
fn filterable<'a>(
    cx: Context<'a>,
    table: usize,
    alias: Option<&str>,
    path: &Path,
) -> Result<(Route, &'a Field), Refusal> {
    let route = route(cx.store, cx.source, table, alias, path)?;
    let field = leaf_field(cx.store, table, &route)
        .ok_or_else(|| unknown_field(cx.source, path.at, &path.parts.join("."), "Name"))?;
    if !field.filterable || matches!(field.kind, Kind::Address | Kind::Location) {
        let what = if matches!(field.kind, Kind::Address | Kind::Location) {
            format!("field '{}' can only be filtered with a distance expression", field.name)
        } else {
            format!("field '{}' can not be filtered in a query call", field.name)
        };
        return Err(cx.source.refuse("INVALID_FIELD", path.at, &what));
    }
    Ok((route, field))
}

fn compare(
    cx: Context<'_>,
    table: usize,
    alias: Option<&str>,
    path: &Path,
    operator: Operator,
    literal: &Literal,
) -> Result<Test, Refusal> {
    let (route, about) = filterable(cx, table, alias, path)?;
    let negate = |test: Test| if operator == Operator::NotEqual { Test::Not(Box::new(test)) } else { test };
    let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
    let empty = matches!(literal, Literal::Text(text) if text.value.is_empty());
    if operator == Operator::Like {
        let Literal::Text(text) = literal else {
            return Err(wrong_literal(cx, path, about, true));
        };
        if about.kind != Kind::Text && about.kind != Kind::Picklist {
            return Err(wrong_operator(cx, path, &format!("invalid operator on {} field", about.wire)));
        }
        return Ok(Test::Like { route, fold: about.folds_case(), pattern: text.pattern.clone() });
    }
    if matches!(literal, Literal::Null)
        || (empty
            && !matches!(
                about.kind,
                Kind::Int | Kind::Double | Kind::Boolean | Kind::Date | Kind::DateTime | Kind::Time
            ))
    {
        if !equality {
            // Nothing is below or above null.
            return Ok(Test::Any(Vec::new()));
        }
        return Ok(negate(Test::Null(route)));
    }
    if about.kind == Kind::MultiPicklist {
        if !equality {
            return Err(wrong_operator(cx, path, "invalid operator on multipicklist field"));
        }
        return Ok(negate(Test::ExactSet { route, set: set(cx, path, literal)? }));
    }
    if about.kind == Kind::Boolean && !equality {
        return Err(wrong_operator(cx, path, "invalid operator on boolean field"));
    }
    let wanted = wanted(cx, path, about, literal)?;
    let operator_in = if operator == Operator::NotEqual { Operator::Equal } else { operator };
    Ok(negate(Test::Compare { route, fold: about.folds_case(), operator: operator_in, wanted }))
}

fn among(
    cx: Context<'_>,
    table: usize,
    alias: Option<&str>,
    path: &Path,
    list: &[Literal],
) -> Result<Test, Refusal> {
    let (route, about) = filterable(cx, table, alias, path)?;
    if about.kind == Kind::MultiPicklist {
        let sets = list
            .iter()
            .map(|literal| Ok(Test::ExactSet { route: route.clone(), set: set(cx, path, literal)? }));
        return Ok(Test::Any(sets.collect::<Result<Vec<_>, Refusal>>()?));
    }
    let mut null = false;
    let mut values = Vec::new();
    for literal in list {
        match literal {
            Literal::Null => null = true,
            Literal::Text(text)
                if text.value.is_empty() && matches!(about.kind, Kind::Text | Kind::Picklist) =>
            {
                null = true
            }
            literal => values.push(wanted(cx, path, about, literal)?),
        }
    }
    if about.is_id() {
        let ids = values
            .into_iter()
            .filter_map(|value| if let Wanted::Id(id) = value { Some(id) } else { None })
            .collect();
        return Ok(Test::AmongIds { route, ids, null });
    }
    Ok(Test::Among { route, fold: about.folds_case(), values, null })
}

fn among_rows(
    cx: Context<'_>,
    table: usize,
    alias: Option<&str>,
    path: &Path,
    negated: bool,
    query: &Query,
) -> Result<Test, Refusal> {
    let (route, about) = filterable(cx, table, alias, path)?;
    if !about.is_id() {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            path.at,
            &format!("The left operand field in the where expression for outer query should be an id field, cannot use: '{}'", about.name),
        ));
    }
    let ids = super::found::ids_of(cx, query)?;
    let test = Test::AmongIds { route: route.clone(), ids, null: false };
    Ok(if negated {
        Test::All(vec![Test::Not(Box::new(Test::Null(route))), Test::Not(Box::new(test))])
    } else {
        test
    })
}

fn set(cx: Context<'_>, path: &Path, literal: &Literal) -> Result<Vec<String>, Refusal> {
    let Literal::Text(text) = literal else {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            path.at,
            &format!("value of filter criterion for field '{}' must be of type string and should be enclosed in quotes", path.parts.join(".")),
        ));
    };
    plain(cx, text)?;
    Ok(text.value.split(';').filter(|part| !part.is_empty()).map(lower).collect())
}

/// A text outside LIKE: `\_` and `\%` mean nothing there.
fn plain(cx: Context<'_>, text: &Text) -> Result<(), Refusal> {
    if text.like_only {
        return Err(super::literals::bad_escape(
            cx.source,
            text.at,
            &format!("'{}'", text.value),
            "\\_ or \\%",
        ));
    }
    Ok(())
}

fn wrong_literal(cx: Context<'_>, path: &Path, about: &Field, quotes: bool) -> Refusal {
    let kind = match about.kind {
        Kind::DateTime => "dateTime",
        Kind::Date => "date",
        Kind::Time => "time",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Boolean => "boolean",
        _ => "string",
    };
    let form = if quotes { "should be enclosed in quotes" } else { "should not be enclosed in quotes" };
    cx.source.refuse(
        "INVALID_FIELD",
        path.at,
        &format!("value of filter criterion for field '{}' must be of type {kind} and {form}", about.name),
    )
}

fn wanted(cx: Context<'_>, path: &Path, about: &Field, literal: &Literal) -> Result<Wanted, Refusal> {
    let midnight = |date: Date| {
        Offset::UTC
            .to_timestamp(date.at(0, 0, 0, 0))
            .map_or(if date.year() > 0 { i64::MAX } else { i64::MIN }, |stamp| stamp.as_millisecond())
    };
    Ok(match (about.kind, literal) {
        (Kind::Boolean, Literal::Boolean(on)) => Wanted::Boolean(*on),
        (Kind::Int | Kind::Double, Literal::Number(number)) => Wanted::Number(*number),
        (Kind::Date, Literal::Date(date)) => Wanted::Date(*date),
        (Kind::DateTime, Literal::Instant(ms)) => Wanted::Instant(*ms),
        (Kind::Time, Literal::Time(ms)) => Wanted::Time(*ms),
        (Kind::Date | Kind::DateTime, Literal::Relative { name, count }) => {
            let Some((from, to)) = dates::range(name, *count, cx.today) else {
                return Err(cx.source.refuse("MALFORMED_QUERY", path.at, &format!("{name} is out of range")));
            };
            if about.kind == Kind::Date {
                Wanted::Days(from, to)
            } else {
                Wanted::Span(midnight(from), midnight(to))
            }
        }
        (Kind::Id | Kind::Reference, Literal::Text(text)) => match id::short(&text.value) {
            Some(short) => Wanted::Id(short.to_owned()),
            None => {
                return Err(wrong_operator(cx, path, &format!("invalid ID field: {}", text.value)));
            }
        },
        (Kind::Text | Kind::Picklist, Literal::Text(text)) => {
            plain(cx, text)?;
            Wanted::Text(if about.folds_case() { lower(&text.value) } else { text.value.clone() })
        }
        (Kind::Text | Kind::Picklist | Kind::Id | Kind::Reference, _) => {
            return Err(wrong_literal(cx, path, about, true));
        }
        _ => return Err(wrong_literal(cx, path, about, false)),
    })
}
