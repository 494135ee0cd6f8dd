//! What a SOQL condition means for a record type: names and types are checked once, then rows are tested
//! (`evaluate.rs`).
//!
//! Conditions are two-valued: a row whose value is null satisfies `!=`, `NOT IN`, `EXCLUDES` and a negated
//! comparison. Text compares without regard to case unless the field says otherwise, and empty text is null.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::Offset;
use rust_decimal::Decimal;

use super::dates::{self, DatePart};
use super::describe::{Field, Kind};
use super::errors::Refusal;
use super::evaluate::lower;
use super::id;
use super::paths::{Route, leaf_field, route, unknown_field};
use super::rows::Store;
use super::statement::{Expr, Literal, Operand, Operator, Piece, Query, Source, Text};

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

/// What a condition needs to know of a value: a field's, or that of a function.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) name: String,
    /// The type's name in the describe.
    pub(super) wire: String,
    pub(super) kind: Kind,
    /// Text compares without regard to case.
    pub(super) fold: bool,
}

impl About {
    pub(super) fn of(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            wire: field.wire.clone(),
            kind: field.kind,
            fold: field.folds_case(),
        }
    }

    fn is_id(&self) -> bool {
        matches!(self.kind, Kind::Id | Kind::Reference)
    }
}

/// Finds the value that a condition looks at.
pub(super) type Resolve<'a> = dyn Fn(&Operand) -> Result<(Route, About), Refusal> + 'a;

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
    check_with(cx, &|operand| filterable(cx, table, alias, operand), expr)
}

/// Checks a condition on whatever `resolve` finds.
///
/// # Errors
/// As [`check`].
pub(super) fn check_with(cx: Context<'_>, resolve: &Resolve<'_>, expr: &Expr) -> Result<Test, Refusal> {
    let inner =
        |list: &[Expr]| list.iter().map(|expr| check_with(cx, resolve, expr)).collect::<Result<Vec<_>, _>>();
    let negate = |negated: bool, test: Test| if negated { Test::Not(Box::new(test)) } else { test };
    Ok(match expr {
        Expr::All(list) => Test::All(inner(list)?),
        Expr::Any(list) => Test::Any(inner(list)?),
        Expr::Not(expr) => Test::Not(Box::new(check_with(cx, resolve, expr)?)),
        Expr::Compare { operand, operator, literal } => {
            compare(cx, operand, resolve(operand)?, *operator, literal)?
        }
        Expr::Among { operand, negated, list } => {
            negate(*negated, among(cx, operand, resolve(operand)?, list)?)
        }
        Expr::AmongRows { operand, negated, query } => {
            among_rows(cx, operand, resolve(operand)?, *negated, query)?
        }
        Expr::Includes { operand, negated, list } => {
            let (route, about) = resolve(operand)?;
            if about.kind != Kind::MultiPicklist {
                return Err(wrong_operator(
                    cx,
                    operand,
                    "includes and excludes operators can only be used with multipicklist fields",
                ));
            }
            let sets = list.iter().map(|literal| set(cx, operand, literal)).collect::<Result<Vec<_>, _>>()?;
            negate(*negated, Test::Includes { route, sets })
        }
    })
}

fn wrong_operator(cx: Context<'_>, operand: &Operand, what: &str) -> Refusal {
    cx.source.refuse("INVALID_QUERY_FILTER_OPERATOR", operand.at(), what)
}

/// The field at the end of a path, which must be one that conditions may use; or a part of its date.
fn filterable(
    cx: Context<'_>,
    table: usize,
    alias: Option<&str>,
    operand: &Operand,
) -> Result<(Route, About), Refusal> {
    let path = match operand {
        Operand::Path(path) => path,
        Operand::Call { .. } => return date_part(cx, table, alias, operand),
    };
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
    Ok((route, About::of(field)))
}

/// `CALENDAR_YEAR(CreatedDate)` and its like.
///
/// # Errors
/// MALFORMED_QUERY for another function, INVALID_FIELD for a field that holds no date.
pub(super) fn date_part(
    cx: Context<'_>,
    table: usize,
    alias: Option<&str>,
    operand: &Operand,
) -> Result<(Route, About), Refusal> {
    let Operand::Call { function, argument } = operand else {
        return Err(cx.source.refuse("MALFORMED_QUERY", operand.at(), "a function is missing"));
    };
    let part = DatePart::named(&function.text);
    let (Some(part), Some(path)) = (part, argument) else {
        return Err(cx.source.refuse(
            "MALFORMED_QUERY",
            function.at,
            &format!("unexpected function here: '{}'", function.text),
        ));
    };
    let mut route = route(cx.store, cx.source, table, alias, path)?;
    let field = leaf_field(cx.store, table, &route)
        .filter(|field| matches!(field.kind, Kind::Date | Kind::DateTime))
        .filter(|field| field.kind == Kind::DateTime || !part.needs_time());
    let Some(field) = field else {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            function.at,
            &format!("Invalid function for field {}: {}", path.parts.join("."), function.text),
        ));
    };
    route.part = Some(part);
    let kind = if part == DatePart::DayOnly { Kind::Date } else { Kind::Int };
    let wire = if kind == Kind::Date { "date" } else { "int" };
    Ok((route, About { name: field.name.clone(), wire: wire.to_owned(), kind, fold: false }))
}

fn compare(
    cx: Context<'_>,
    operand: &Operand,
    (route, about): (Route, About),
    operator: Operator,
    literal: &Literal,
) -> Result<Test, Refusal> {
    let negate = |test: Test| if operator == Operator::NotEqual { Test::Not(Box::new(test)) } else { test };
    let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
    let empty = matches!(literal, Literal::Text(text) if text.value.is_empty());
    if operator == Operator::Like {
        let Literal::Text(text) = literal else {
            return Err(wrong_literal(cx, operand, &about, true));
        };
        if about.kind != Kind::Text && about.kind != Kind::Picklist {
            return Err(wrong_operator(cx, operand, &format!("invalid operator on {} field", about.wire)));
        }
        return Ok(Test::Like { route, fold: about.fold, pattern: text.pattern.clone() });
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
            return Err(wrong_operator(cx, operand, "invalid operator on multipicklist field"));
        }
        return Ok(negate(Test::ExactSet { route, set: set(cx, operand, literal)? }));
    }
    if about.kind == Kind::Boolean && !equality {
        return Err(wrong_operator(cx, operand, "invalid operator on boolean field"));
    }
    let wanted = wanted(cx, operand, &about, literal)?;
    let operator_in = if operator == Operator::NotEqual { Operator::Equal } else { operator };
    Ok(negate(Test::Compare { route, fold: about.fold, operator: operator_in, wanted }))
}

fn among(
    cx: Context<'_>,
    operand: &Operand,
    (route, about): (Route, About),
    list: &[Literal],
) -> Result<Test, Refusal> {
    if about.kind == Kind::MultiPicklist {
        let sets = list
            .iter()
            .map(|literal| Ok(Test::ExactSet { route: route.clone(), set: set(cx, operand, literal)? }));
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
            literal => values.push(wanted(cx, operand, &about, literal)?),
        }
    }
    if about.is_id() {
        let ids = values
            .into_iter()
            .filter_map(|value| if let Wanted::Id(id) = value { Some(id) } else { None })
            .collect();
        return Ok(Test::AmongIds { route, ids, null });
    }
    Ok(Test::Among { route, fold: about.fold, values, null })
}

fn among_rows(
    cx: Context<'_>,
    operand: &Operand,
    (route, about): (Route, About),
    negated: bool,
    query: &Query,
) -> Result<Test, Refusal> {
    if !about.is_id() {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            operand.at(),
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

fn set(cx: Context<'_>, operand: &Operand, literal: &Literal) -> Result<Vec<String>, Refusal> {
    let Literal::Text(text) = literal else {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            operand.at(),
            &format!("value of filter criterion for field '{}' must be of type string and should be enclosed in quotes", operand.text()),
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

fn wrong_literal(cx: Context<'_>, operand: &Operand, about: &About, quotes: bool) -> Refusal {
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
        operand.at(),
        &format!("value of filter criterion for field '{}' must be of type {kind} and {form}", about.name),
    )
}

fn wanted(cx: Context<'_>, operand: &Operand, about: &About, literal: &Literal) -> Result<Wanted, Refusal> {
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
                return Err(cx.source.refuse(
                    "MALFORMED_QUERY",
                    operand.at(),
                    &format!("{name} is out of range"),
                ));
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
                return Err(wrong_operator(cx, operand, &format!("invalid ID field: {}", text.value)));
            }
        },
        (Kind::Text | Kind::Picklist, Literal::Text(text)) => {
            plain(cx, text)?;
            Wanted::Text(if about.fold { lower(&text.value) } else { text.value.clone() })
        }
        (Kind::Text | Kind::Picklist | Kind::Id | Kind::Reference, _) => {
            return Err(wrong_literal(cx, operand, about, true));
        }
        _ => return Err(wrong_literal(cx, operand, about, false)),
    })
}
