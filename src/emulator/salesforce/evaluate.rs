//! What a SOQL condition means for a record type: names and types are checked once, then rows are tested.
//!
//! Conditions are two-valued: a row whose value is null satisfies `!=`, `NOT IN`, `EXCLUDES` and a negated
//! comparison. Text compares without regard to case unless the field says otherwise, and empty text is null.

use std::cmp::Ordering;
use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::Offset;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::{Field, Kind};
use super::errors::Refusal;
use super::rows::{Place, Store};
use super::soql::{Expr, Literal, Operator, Path, Piece, Query, Source, Text};
use super::{dates, id};

/// How many parents a path may climb.
const MOST_PARENTS: usize = 5;

/// A path from a row to a value.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Reference fields to follow, each in the table reached so far.
    pub(super) hops: Vec<Hop>,
    pub(super) leaf: Leaf,
}

#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) field: usize,
    /// The table reached; `None` when it is known only for each row.
    pub(super) table: Option<usize>,
    /// The relationship's own spelling.
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) enum Leaf {
    Field(usize),
    /// A field of whatever the reference points to, by name.
    Named(String),
    /// The name of the type that the reference points to.
    TypeName,
}

/// Fields of the type `Name`, which stands for the targets of a polymorphic reference.
const NAME_FIELDS: [&str; 12] = [
    "Id",
    "Name",
    "Type",
    "FirstName",
    "LastName",
    "Email",
    "Phone",
    "Title",
    "Username",
    "Alias",
    "IsActive",
    "ProfileId",
];

impl Route {
    /// The value at the end of the path; null when a parent is missing.
    pub(super) fn value(&self, store: &Store, from: Place) -> Cell {
        let mut at = from;
        for hop in &self.hops {
            match follow(store, at, hop) {
                Some(next) => at = next,
                None => return Cell::Null,
            }
        }
        match &self.leaf {
            Leaf::Field(field) => store.cell(at, *field),
            Leaf::Named(name) => {
                store.object(at.table).field(name).map_or(Cell::Null, |field| store.cell(at, field))
            }
            Leaf::TypeName => Cell::text(store.object(at.table).name.clone()),
        }
    }
}

/// The parent row that a reference points to.
pub(super) fn follow(store: &Store, at: Place, hop: &Hop) -> Option<Place> {
    let parent = store.cell(at, hop.field);
    store.locate(parent.as_text()?).filter(|parent| store.is_live(*parent) || !store.is_live(at))
}

/// Finds the way of a path.
///
/// # Errors
/// INVALID_FIELD with the place in the statement.
pub(super) fn route(
    store: &Store,
    source: Source<'_>,
    table: usize,
    alias: Option<&str>,
    path: &Path,
) -> Result<Route, Refusal> {
    let mut parts = path.parts.as_slice();
    let object = store.object(table);
    if parts.len() > 1
        && let Some(first) = parts.first()
        && (alias.is_some_and(|alias| alias.eq_ignore_ascii_case(first))
            || (object.relationship(first).is_none() && object.name.eq_ignore_ascii_case(first)))
    {
        parts = &parts[1..];
    }
    let Some((last, parents)) = parts.split_last() else {
        return Err(source.refuse("MALFORMED_QUERY", path.at, "a field name is missing"));
    };
    if parents.len() > MOST_PARENTS {
        return Err(source.refuse(
            "INVALID_FIELD",
            path.at,
            &format!("SOQL supports at most {MOST_PARENTS} levels of child-to-parent relationships"),
        ));
    }
    let mut hops: Vec<Hop> = Vec::new();
    let mut current = Some(table);
    for part in parents {
        let here = current.map(|table| store.object(table));
        let found = here.and_then(|object| object.relationship(part).map(|field| (object, field)));
        let (Some((object, field)), Some(from)) = (found, current) else {
            return Err(unknown_relationship(source, path, part));
        };
        let about = &object.fields[field];
        let targets = store.targets(from, field);
        let next = if about.polymorphic || targets.len() != 1 { None } else { targets.first().copied() };
        if targets.is_empty() {
            return Err(unknown_relationship(source, path, part));
        }
        let name = about.relationship.clone().unwrap_or_default();
        hops.push(Hop { field, table: next, name });
        current = next;
    }
    let leaf = match current {
        Some(table) => Leaf::Field(
            store
                .object(table)
                .field(last)
                .ok_or_else(|| unknown_field(source, path.at, last, &store.object(table).name))?,
        ),
        None => match NAME_FIELDS.iter().find(|name| name.eq_ignore_ascii_case(last)) {
            Some(&"Type") => Leaf::TypeName,
            Some(name) => Leaf::Named((*name).to_owned()),
            None => return Err(unknown_field(source, path.at, last, "Name")),
        },
    };
    Ok(Route { hops, leaf })
}

fn unknown_relationship(source: Source<'_>, path: &Path, part: &str) -> Refusal {
    source.refuse(
        "INVALID_FIELD",
        path.at,
        &format!(
            "Didn't understand relationship '{part}' in field path. If you are attempting to use a custom relationship, \
             be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe \
             call for the appropriate names."
        ),
    )
}

pub(super) fn unknown_field(source: Source<'_>, at: usize, name: &str, entity: &str) -> Refusal {
    source.refuse(
        "INVALID_FIELD",
        at,
        &format!(
            "No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append \
             the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
        ),
    )
}

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

/// What is known of the field at the end of a route; a field of `Name` is told by any target that has it.
pub(super) fn leaf_field<'a>(store: &'a Store, table: usize, route: &Route) -> Option<&'a Field> {
    let mut at = table;
    let mut targets: &[usize] = &[];
    for hop in &route.hops {
        targets = store.targets(at, hop.field);
        match hop.table {
            Some(next) => at = next,
            None => break,
        }
    }
    match &route.leaf {
        Leaf::Field(field) => store.object(at).fields.get(*field),
        Leaf::Named(name) => {
            let objects = targets.iter().map(|table| store.object(*table));
            objects
                .into_iter()
                .find_map(|object| object.field(name).and_then(|field| object.fields.get(field)))
        }
        // A type's name compares like any name of the target.
        Leaf::TypeName => {
            let objects = targets.iter().map(|table| store.object(*table));
            objects
                .into_iter()
                .find_map(|object| object.name_field().and_then(|field| object.fields.get(field)))
        }
    }
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
    let ids = super::query::ids_of(cx, query)?;
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
        return Err(super::soql::bad_escape(cx.source, text.at, &format!("'{}'", text.value), "\\_ or \\%"));
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

/// Text as comparisons without regard to case see it.
pub(super) fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn compare_text(value: &str, wanted: &str, fold: bool) -> Ordering {
    if fold {
        value.chars().flat_map(char::to_lowercase).cmp(wanted.chars())
    } else {
        value.chars().cmp(wanted.chars())
    }
}

/// How a value stands to a literal; `None` for null. Inside a range counts as equal.
fn stands(value: &Cell, wanted: &Wanted, fold: bool) -> Option<Ordering> {
    let within = |before: bool, after: bool| {
        if before {
            Ordering::Less
        } else if after {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    };
    Some(match (value, wanted) {
        (Cell::Boolean(value), Wanted::Boolean(wanted)) => value.cmp(wanted),
        (Cell::Number(value), Wanted::Number(wanted)) => value.cmp(wanted),
        (Cell::Text(value), Wanted::Text(wanted)) => compare_text(value, wanted, fold),
        (Cell::Text(value), Wanted::Id(wanted)) => value.get(..15).unwrap_or(value).cmp(wanted.as_str()),
        (Cell::Date(value), Wanted::Date(wanted)) => value.cmp(wanted),
        (Cell::Instant(value), Wanted::Instant(wanted)) => value.cmp(wanted),
        (Cell::Time(value), Wanted::Time(wanted)) => value.cmp(wanted),
        (Cell::Date(value), Wanted::Days(from, to)) => within(value < from, value >= to),
        (Cell::Instant(value), Wanted::Span(from, to)) => within(value < from, value >= to),
        _ => return None,
    })
}

fn holds(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Equal | Operator::Like => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
    }
}

impl Test {
    /// Whether a row satisfies the condition.
    pub(super) fn holds(&self, store: &Store, at: Place) -> bool {
        match self {
            Self::All(list) => list.iter().all(|test| test.holds(store, at)),
            Self::Any(list) => list.iter().any(|test| test.holds(store, at)),
            Self::Not(test) => !test.holds(store, at),
            Self::Null(route) => is_null(store, at, route),
            Self::Compare { route, fold, operator, wanted } => stands(&route.value(store, at), wanted, *fold)
                .is_some_and(|ordering| holds(*operator, ordering)),
            Self::Like { route, fold, pattern } => {
                route.value(store, at).as_text().is_some_and(|text| like(text, pattern, *fold))
            }
            Self::Among { route, fold, values, null } => {
                let value = route.value(store, at);
                if value.is_null() {
                    return *null;
                }
                values.iter().any(|wanted| stands(&value, wanted, *fold).is_some_and(Ordering::is_eq))
            }
            Self::AmongIds { route, ids, null } => match route.value(store, at).as_text() {
                None => *null,
                Some(id) => ids.contains(id.get(..15).unwrap_or(id)),
            },
            Self::Includes { route, sets } => {
                let value = route.value(store, at);
                let held = held(&value);
                sets.iter().any(|set| !set.is_empty() && set.iter().all(|wanted| held.contains(wanted)))
            }
            Self::ExactSet { route, set } => {
                let value = route.value(store, at);
                let held = held(&value);
                !value.is_null() && held.len() == set.len() && set.iter().all(|wanted| held.contains(wanted))
            }
        }
    }
}

fn held(value: &Cell) -> Vec<String> {
    value.as_text().map_or_else(Vec::new, |text| text.split(';').map(lower).collect())
}

fn is_null(store: &Store, at: Place, route: &Route) -> bool {
    route.value(store, at).is_null()
}

/// LIKE over the whole text.
pub(super) fn like(text: &str, pattern: &[Piece], fold: bool) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let same = |letter: char, wanted: char| {
        letter == wanted || (fold && letter.to_lowercase().eq(wanted.to_lowercase()))
    };
    // Greedy match that returns to the last `%` when it fails.
    let (mut at, mut piece) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(piece), letters.get(at)) {
            (Some(Piece::Any), _) => {
                piece += 1;
                resume = Some((piece, at));
                continue;
            }
            (Some(Piece::One), Some(_)) => {
                piece += 1;
                at += 1;
                continue;
            }
            (Some(Piece::Letter(wanted)), Some(letter)) if same(*letter, *wanted) => {
                piece += 1;
                at += 1;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        match resume {
            Some((after, from)) if from < letters.len() => {
                resume = Some((after, from + 1));
                piece = after;
                at = from + 1;
            }
            _ => return false,
        }
    }
}

/// The order of two values of one field when sorting; nulls are handled by the caller.
pub(super) fn sort_order(left: &Cell, right: &Cell) -> Ordering {
    match (left, right) {
        (Cell::Boolean(left), Cell::Boolean(right)) => left.cmp(right),
        (Cell::Number(left), Cell::Number(right)) => left.cmp(right),
        (Cell::Text(left), Cell::Text(right)) => left.cmp(right),
        (Cell::Date(left), Cell::Date(right)) => left.cmp(right),
        (Cell::Instant(left), Cell::Instant(right)) => left.cmp(right),
        (Cell::Time(left), Cell::Time(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

/// Ranges of indexes that a condition on the Id alone allows: what is below, and whether the condition is
/// wholly told by the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from: u64,
    /// One past the last.
    pub(super) to: u64,
    /// No other condition is left to test.
    pub(super) complete: bool,
}

/// The range of indexes within which all rows that satisfy the condition lie.
pub(super) fn bounds(store: &Store, table: usize, test: Option<&Test>) -> Bounds {
    let all = Bounds { from: 0, to: store.table(table).next, complete: true };
    match test {
        None => all,
        Some(Test::All(list)) => list.iter().fold(all, |out, test| {
            let one = bounds(store, table, Some(test));
            Bounds {
                from: out.from.max(one.from),
                to: out.to.min(one.to),
                complete: out.complete && one.complete,
            }
        }),
        Some(Test::Compare { route, operator, wanted: Wanted::Id(id), .. })
            if is_own_id(store, table, route) =>
        {
            let (at, exact) = store.ids.position(&store.object(table).prefix, id);
            let past = at.saturating_add(u64::from(exact));
            let (from, to) = match operator {
                Operator::Greater => (past, all.to),
                Operator::GreaterOrEqual => (at, all.to),
                Operator::Less => (0, at),
                Operator::LessOrEqual => (0, past),
                _ if exact => (at, past),
                _ => (0, 0),
            };
            Bounds { from, to: to.min(all.to), complete: true }
        }
        Some(_) => Bounds { complete: false, ..all },
    }
}

fn is_own_id(store: &Store, table: usize, route: &Route) -> bool {
    route.hops.is_empty()
        && matches!(route.leaf, Leaf::Field(field) if store.object(table).fields.get(field).is_some_and(|field| field.kind == Kind::Id))
}

/// The ids that the whole condition requires the row to be among, when it does.
pub(super) fn own_ids<'a>(store: &Store, table: usize, test: &'a Test) -> Option<&'a HashSet<String>> {
    match test {
        Test::AmongIds { route, ids, .. } if is_own_id(store, table, route) => Some(ids),
        Test::All(list) => list.iter().find_map(|test| own_ids(store, table, test)),
        _ => None,
    }
}
