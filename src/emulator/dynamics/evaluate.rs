//! What a condition means for a table: names and literals are checked once, then rows are tested.
//!
//! Conditions are two-valued: `ne` and `not` match null. Text compares without regard to case and trailing
//! blanks; in the text functions `%`, `_` and `[]` are wildcards.

use std::cmp::Ordering;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::describe::{Collection, Column, Kind};
use super::errors::{QUERY, Refusal};
use super::functions;
use super::odata::{Expr, Literal, Operand, Operator};
use super::rows::{Place, Store, folded};

/// A path from a row to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// Lookup columns to follow, each with the table that it must lead to.
    hops: Vec<(usize, usize)>,
    pub(super) column: usize,
}

impl Route {
    /// The value at the end; null when a row on the way is missing.
    pub(super) fn value(&self, store: &Store, from: Place) -> Cell {
        let mut at = from;
        for (column, target) in &self.hops {
            match follow(store, at, *column, *target) {
                Some(next) => at = next,
                None => return Cell::Null,
            }
        }
        store.cell(at, self.column)
    }

    /// Whether the value stands in the row itself.
    pub(super) fn is_own(&self) -> bool {
        self.hops.is_empty()
    }
}

/// The live row that a lookup points to, when it is one of this table.
pub(super) fn follow(store: &Store, at: Place, column: usize, target: usize) -> Option<Place> {
    let (table, id) = store.cell(at, column).as_ref()?;
    (table == target).then(|| store.locate(table, id)).flatten()
}

/// A checked condition.
#[derive(Debug, Clone)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Null(Route),
    Compare {
        route: Route,
        operator: Operator,
        wanted: Cell,
    },
    Columns {
        left: Route,
        operator: Operator,
        right: Route,
    },
    Like {
        route: Route,
        pattern: Vec<Piece>,
    },
    Among {
        route: Route,
        values: Vec<Cell>,
    },
    /// A multi-select choice with at least one of these values.
    Contains {
        route: Route,
        values: Vec<i64>,
    },
    /// Seconds, from the first until before the second.
    Span {
        route: Route,
        from: i64,
        to: i64,
    },
    Rows {
        collection: Collection,
        all: bool,
        inner: Option<Box<Test>>,
    },
}

/// A part of a text with wildcards.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Letter(char),
    One,
    Many,
    Set { letters: Vec<(char, char)>, negated: bool },
}

/// What is fixed while a condition is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) store: &'a Store,
    pub(super) now: jiff::Timestamp,
    /// The variable of the lambda around the condition.
    pub(super) variable: Option<&'a str>,
}

/// Checks a condition against a table.
///
/// # Errors
/// Unknown names, wrong literals, functions that do not exist.
pub(super) fn check(cx: Context<'_>, table: usize, expr: &Expr) -> Result<Test, Refusal> {
    let inner = |list: &[Expr]| list.iter().map(|one| check(cx, table, one)).collect::<Result<Vec<_>, _>>();
    Ok(match expr {
        Expr::All(list) => Test::All(inner(list)?),
        Expr::Any(list) => Test::Any(inner(list)?),
        Expr::Not(one) => Test::Not(Box::new(check(cx, table, one)?)),
        Expr::Compare { left, operator, right } => comparison(cx, table, left, *operator, right)?,
        Expr::Call { name, arguments } => call(cx, table, name, arguments)?,
        Expr::Service { name, arguments } => functions::check(cx, table, name, arguments)?,
        Expr::Lambda { path, all, inner } => lambda(cx, table, path, *all, inner.as_ref())?,
    })
}

fn lambda(
    cx: Context<'_>,
    table: usize,
    path: &[String],
    all: bool,
    inner: Option<&(String, Box<Expr>)>,
) -> Result<Test, Refusal> {
    let store = cx.store;
    let name = path.join("/");
    let about = store.about(table);
    let collection =
        store.model.collection(table, &name).ok_or_else(|| Refusal::no_property(&name, &about.name))?;
    if cx.variable.is_some() {
        return Err(Refusal::new(QUERY, "Nested lambda operators are not supported."));
    }
    let rows = collection_table(store, collection);
    let inner = match inner {
        None => None,
        Some((variable, expr)) => {
            Some(Box::new(check(Context { variable: Some(variable), ..cx }, rows, expr)?))
        }
    };
    Ok(Test::Rows { collection, all, inner })
}

/// The table whose rows a collection has.
pub(super) fn collection_table(store: &Store, collection: Collection) -> usize {
    match collection {
        Collection::Children { table, .. } => table,
        Collection::Many { relation, side } => store.model.many[relation].sides[1 - side].0,
    }
}

/// The live rows of a collection of one row.
pub(super) fn collection_rows(store: &Store, at: Place, collection: Collection) -> Vec<Place> {
    match collection {
        Collection::Many { relation, side } => store.partners(relation, side, at),
        Collection::Children { table, nav } => {
            let column = store.about(table).navs[nav].column;
            let wanted = Cell::Ref { table: at.table, id: store.id(at) };
            store.live(table, 0).filter(|row| store.cell(*row, column) == wanted).collect()
        }
    }
}

/// Finds the way of a path.
///
/// # Errors
/// The name that a type does not have.
pub(super) fn route(cx: Context<'_>, table: usize, path: &[String]) -> Result<Route, Refusal> {
    let store = cx.store;
    let mut path = path;
    if let Some(variable) = cx.variable {
        match path.split_first() {
            Some((first, rest)) if first == variable && !rest.is_empty() => path = rest,
            _ => {
                let name = path.first().map(String::as_str).unwrap_or_default();
                return Err(Refusal::new(QUERY, format!("The range variable '{name}' is not known here.")));
            }
        }
    }
    let Some((last, parents)) = path.split_last() else { return Err(Refusal::no_property("", "")) };
    let mut at = table;
    let mut hops = Vec::new();
    for part in parents {
        let about = store.about(at);
        let nav = about.nav(part).ok_or_else(|| Refusal::no_property(part, &about.name))?;
        let next = store.model.table(&nav.target).ok_or_else(|| Refusal::no_property(last, "principal"))?;
        hops.push((nav.column, next));
        at = next;
    }
    let about = store.about(at);
    let column = about.property(last).ok_or_else(|| Refusal::no_property(last, &about.name))?;
    if !about.columns[column].filterable {
        let message =
            format!("The property '{last}' cannot be used in the $filter or $orderby query option.");
        return Err(Refusal::new(QUERY, message));
    }
    Ok(Route { hops, column })
}

/// The column at the end of a route from a table.
pub(super) fn end<'a>(store: &'a Store, table: usize, route: &Route) -> &'a Column {
    let at = route.hops.last().map_or(table, |(_, target)| *target);
    &store.about(at).columns[route.column]
}

fn comparison(
    cx: Context<'_>,
    table: usize,
    left: &Operand,
    operator: Operator,
    right: &Operand,
) -> Result<Test, Refusal> {
    match (left, right) {
        (Operand::Path(path), Operand::Literal(literal)) => with_literal(cx, table, path, operator, literal),
        (Operand::Literal(literal), Operand::Path(path)) => {
            with_literal(cx, table, path, turned(operator), literal)
        }
        (Operand::Path(left), Operand::Path(right)) => {
            let (left, right) = (route(cx, table, left)?, route(cx, table, right)?);
            if !left.is_own() || !right.is_own() {
                return Err(Refusal::new(QUERY, "Columns can only be compared within one table."));
            }
            let kinds = [&left, &right].map(|route| end(cx.store, table, route).kind.edm());
            if kinds[0] != kinds[1] {
                return Err(incompatible(kinds[0], kinds[1], operator));
            }
            Ok(Test::Columns { left, operator, right })
        }
        (Operand::Call { name, arguments }, Operand::Literal(Literal::Boolean(on)))
        | (Operand::Literal(Literal::Boolean(on)), Operand::Call { name, arguments }) => {
            let test = call(cx, table, name, arguments)?;
            let positive = *on == (operator == Operator::Equal);
            Ok(if positive { test } else { Test::Not(Box::new(test)) })
        }
        (Operand::Call { name, .. }, _) | (_, Operand::Call { name, .. }) => Err(no_function(name)),
        (Operand::Literal(_), Operand::Literal(_)) => {
            Err(Refusal::new(QUERY, "A comparison needs a property on one side."))
        }
    }
}

fn turned(operator: Operator) -> Operator {
    match operator {
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        same => same,
    }
}

fn incompatible(left: Option<&str>, right: Option<&str>, operator: Operator) -> Refusal {
    let (left, right) = (left.unwrap_or("Edm.Untyped"), right.unwrap_or("Edm.Untyped"));
    let kind = match operator {
        Operator::GreaterOrEqual => "GreaterThanOrEqual",
        Operator::LessOrEqual => "LessThanOrEqual",
        Operator::Greater => "GreaterThan",
        Operator::Less => "LessThan",
        Operator::Equal => "Equal",
        Operator::NotEqual => "NotEqual",
    };
    Refusal::new(
        QUERY,
        format!(
            "A binary operator with incompatible types was detected. Found operand types '{left}' and '{right}' for \
             operator kind '{kind}'."
        ),
    )
}

fn edm_of(literal: &Literal) -> Option<&'static str> {
    Some(match literal {
        Literal::Null => return None,
        Literal::Boolean(_) => "Edm.Boolean",
        Literal::Number(text) if text.contains(['.', 'e', 'E']) => "Edm.Double",
        Literal::Number(_) => "Edm.Int32",
        Literal::Text(_) => "Edm.String",
        Literal::Guid(_) => "Edm.Guid",
        Literal::Moment(text) if text.contains('T') => "Edm.DateTimeOffset",
        Literal::Moment(_) => "Edm.Date",
        Literal::Enumeration(_) => "Edm.Enum",
    })
}

fn with_literal(
    cx: Context<'_>,
    table: usize,
    path: &[String],
    operator: Operator,
    literal: &Literal,
) -> Result<Test, Refusal> {
    let route = route(cx, table, path)?;
    let column = end(cx.store, table, &route);
    if *literal == Literal::Null {
        return Ok(match operator {
            Operator::Equal => Test::Null(route),
            Operator::NotEqual => Test::Not(Box::new(Test::Null(route))),
            _ => Test::Any(Vec::new()),
        });
    }
    let wanted =
        value(column, literal).ok_or_else(|| incompatible(column.kind.edm(), edm_of(literal), operator))?;
    Ok(Test::Compare { route, operator, wanted })
}

/// A literal as a column's values are kept; `None` when its type does not fit.
pub(super) fn value(column: &Column, literal: &Literal) -> Option<Cell> {
    Some(match (column.kind, literal) {
        (Kind::Text | Kind::Memo, Literal::Text(text)) => Cell::Text(text.clone().into()),
        (Kind::Multi, Literal::Text(text)) => Cell::Choices(choices(text)?),
        (Kind::Id | Kind::Guid | Kind::Lookup, Literal::Guid(id)) => Cell::Guid(*id),
        (Kind::Boolean, Literal::Boolean(on)) => Cell::Boolean(*on),
        (
            Kind::Integer | Kind::BigInt | Kind::Picklist | Kind::State | Kind::Status,
            Literal::Number(text),
        ) => match text.parse() {
            Ok(number) => Cell::Integer(number),
            Err(_) => Cell::Decimal(decimal(text)?),
        },
        (Kind::Decimal | Kind::Money, Literal::Number(text)) => Cell::Decimal(decimal(text)?),
        (Kind::Double, Literal::Number(text)) => Cell::Double(text.parse().ok()?),
        (Kind::Date, Literal::Moment(text)) if !text.contains('T') => Cell::Date(text.parse().ok()?),
        (Kind::DateTime, Literal::Moment(text)) => Cell::Instant(seconds(text)?),
        _ => return None,
    })
}

/// Digits as an exact number.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// `1,2` as values, ascending; blanks are allowed.
pub(super) fn choices(text: &str) -> Option<Vec<i64>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut out = parts.map(|part| part.parse().ok()).collect::<Option<Vec<i64>>>()?;
    out.sort_unstable();
    out.dedup();
    Some(out)
}

/// A moment in seconds: without a zone it is UTC, without a time it is midnight. Fractions are dropped.
pub(super) fn seconds(text: &str) -> Option<i64> {
    if !text.contains('T') {
        return Some(midnight(text.parse().ok()?));
    }
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_second());
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    Some(jiff::tz::Offset::UTC.to_timestamp(local).ok()?.as_second())
}

/// The first second of a day, in UTC.
pub(super) fn midnight(day: Date) -> i64 {
    jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).map_or(0, |moment| moment.as_second())
}

fn no_function(name: &str) -> Refusal {
    Refusal::new(
        QUERY,
        format!(
            "An unknown function with name '{name}' was found. This may also be a function \
        import or a key lookup on a navigation property, which is not allowed."
        ),
    )
}

fn call(cx: Context<'_>, table: usize, name: &str, arguments: &[Operand]) -> Result<Test, Refusal> {
    let (before, after) = match name {
        "contains" => (true, true),
        "startswith" => (false, true),
        "endswith" => (true, false),
        other => return Err(no_function(other)),
    };
    let [Operand::Path(path), Operand::Literal(literal)] = arguments else { return Err(no_function(name)) };
    let route = route(cx, table, path)?;
    let column = end(cx.store, table, &route);
    let Literal::Text(text) = literal else { return Err(no_function(name)) };
    if !matches!(column.kind, Kind::Text | Kind::Memo) {
        return Err(Refusal::new(
            QUERY,
            format!(
                "No function signature for the function with name '{name}' matches \
            the specified arguments."
            ),
        ));
    }
    if text.starts_with('%') {
        return Err(Refusal::new(QUERY, "Leading wildcards are not supported in string conditions."));
    }
    let mut pattern = if before { vec![Piece::Many] } else { Vec::new() };
    pattern.extend(pieces(text));
    if after {
        pattern.push(Piece::Many);
    }
    Ok(Test::Like { route, pattern })
}

/// A text with wildcards taken apart: `%`, `_`, `[abc]`, `[a-z]`, `[^a]`.
fn pieces(text: &str) -> Vec<Piece> {
    let letters: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        at += 1;
        match letter {
            '%' => out.push(Piece::Many),
            '_' => out.push(Piece::One),
            '[' => match letters[at..].iter().position(|letter| *letter == ']').filter(|end| *end > 0) {
                None => out.push(Piece::Letter('[')),
                Some(end) => {
                    let inside = &letters[at..at + end];
                    let (negated, inside) = match inside.split_first() {
                        Some(('^', rest)) => (true, rest),
                        _ => (false, inside),
                    };
                    out.push(Piece::Set { letters: ranges(inside), negated });
                    at += end + 1;
                }
            },
            letter => out.push(Piece::Letter(*letter)),
        }
    }
    out
}

fn ranges(inside: &[char]) -> Vec<(char, char)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = inside.get(at) {
        match (inside.get(at + 1), inside.get(at + 2)) {
            (Some('-'), Some(last)) => {
                out.push((*first, *last));
                at += 3;
            }
            _ => {
                out.push((*first, *first));
                at += 1;
            }
        }
    }
    out
}

fn like(text: &[char], pattern: &[Piece]) -> bool {
    // Greedy matching with one place to come back to is enough for this kind of pattern.
    let (mut at, mut piece) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        let fits = match pattern.get(piece) {
            Some(Piece::Many) => {
                back = Some((at, piece));
                piece += 1;
                continue;
            }
            Some(Piece::One) => true,
            Some(Piece::Letter(letter)) => *letter == text[at],
            Some(Piece::Set { letters, negated }) => {
                letters.iter().any(|(low, high)| (*low..=*high).contains(&text[at])) != *negated
            }
            None => false,
        };
        if fits {
            at += 1;
            piece += 1;
        } else if let Some((from, many)) = back {
            back = Some((from + 1, many));
            at = from + 1;
            piece = many + 1;
        } else {
            return false;
        }
    }
    pattern[piece..].iter().all(|piece| *piece == Piece::Many)
}

/// Whether an operator holds for an order; an order with null does not exist, and only `ne` holds then.
pub(super) fn decides(operator: Operator, order: Option<Ordering>) -> bool {
    match (operator, order) {
        (Operator::NotEqual, order) => order != Some(Ordering::Equal),
        (_, None) => false,
        (Operator::Equal, Some(order)) => order.is_eq(),
        (Operator::Greater, Some(order)) => order.is_gt(),
        (Operator::GreaterOrEqual, Some(order)) => order.is_ge(),
        (Operator::Less, Some(order)) => order.is_lt(),
        (Operator::LessOrEqual, Some(order)) => order.is_le(),
    }
}

/// The order of two values; `None` when one is null.
pub(super) fn order(one: &Cell, other: &Cell) -> Option<Ordering> {
    let number = |cell: &Cell| match cell {
        Cell::Integer(number) => Some(Decimal::from(*number)),
        Cell::Decimal(number) => Some(*number),
        _ => None,
    };
    match (one, other) {
        (Cell::Text(one), Cell::Text(other)) => Some(folded(one).cmp(&folded(other))),
        (Cell::Integer(one), Cell::Integer(other)) => Some(one.cmp(other)),
        (Cell::Boolean(one), Cell::Boolean(other)) => Some(one.cmp(other)),
        (Cell::Double(one), Cell::Double(other)) => one.partial_cmp(other),
        (Cell::Date(one), Cell::Date(other)) => Some(one.cmp(other)),
        (Cell::Instant(one), Cell::Instant(other)) => Some(one.cmp(other)),
        (Cell::Choices(one), Cell::Choices(other)) => Some(one.cmp(other)),
        (Cell::Guid(one) | Cell::Ref { id: one, .. }, Cell::Guid(other) | Cell::Ref { id: other, .. }) => {
            Some(one.cmp(other))
        }
        (one, other) => number(one).zip(number(other)).map(|(one, other)| one.cmp(&other)),
    }
}

/// Whether a row satisfies a condition.
pub(super) fn holds(store: &Store, at: Place, test: &Test) -> bool {
    match test {
        Test::All(list) => list.iter().all(|one| holds(store, at, one)),
        Test::Any(list) => list.iter().any(|one| holds(store, at, one)),
        Test::Not(inner) => !holds(store, at, inner),
        Test::Null(route) => route.value(store, at).is_null(),
        Test::Compare { route, operator, wanted } => {
            decides(*operator, order(&route.value(store, at), wanted))
        }
        Test::Columns { left, operator, right } => {
            decides(*operator, order(&left.value(store, at), &right.value(store, at)))
        }
        Test::Like { route, pattern } => route.value(store, at).as_text().is_some_and(|text| {
            let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
            like(&text, pattern)
        }),
        Test::Among { route, values } => {
            let value = route.value(store, at);
            values.iter().any(|wanted| order(&value, wanted) == Some(Ordering::Equal))
        }
        Test::Contains { route, values } => match route.value(store, at) {
            Cell::Choices(own) => values.iter().any(|value| own.contains(value)),
            _ => false,
        },
        Test::Span { route, from, to } => {
            let moment = match route.value(store, at) {
                Cell::Instant(seconds) => seconds,
                Cell::Date(day) => midnight(day),
                _ => return false,
            };
            (*from..*to).contains(&moment)
        }
        Test::Rows { collection, all, inner } => {
            let mut rows = collection_rows(store, at, *collection).into_iter();
            match inner {
                None => rows.next().is_some(),
                Some(inner) if *all => rows.all(|row| holds(store, row, inner)),
                Some(inner) => rows.any(|row| holds(store, row, inner)),
            }
        }
    }
}

/// The only rows that can satisfy a condition, when it names keys; ascending.
pub(super) fn candidates(store: &Store, table: usize, test: &Test) -> Option<Vec<u64>> {
    let about = store.about(table);
    let of_key = |route: &Route, cell: &Cell| -> Option<Vec<u64>> {
        if !route.is_own() {
            return None;
        }
        match cell {
            Cell::Guid(id) if route.column == about.id => {
                Some(store.locate(table, *id).into_iter().map(|at| at.index).collect())
            }
            Cell::Text(_)
                if super::seed::tells(&about.columns[route.column])
                    && about.keys.iter().any(|key| key.columns.contains(&route.column)) =>
            {
                let found = store.find_by(table, &[(route.column, cell.clone())]);
                Some(found.into_iter().map(|at| at.index).collect())
            }
            _ => None,
        }
    };
    let mut found = match test {
        Test::All(list) => return list.iter().find_map(|one| candidates(store, table, one)),
        Test::Any(list) => {
            let all = list.iter().map(|one| candidates(store, table, one)).collect::<Option<Vec<_>>>()?;
            all.concat()
        }
        Test::Compare { route, operator: Operator::Equal, wanted } => of_key(route, wanted)?,
        Test::Among { route, values } => {
            values.iter().map(|value| of_key(route, value)).collect::<Option<Vec<_>>>()?.concat()
        }
        _ => return None,
    };
    found.sort_unstable();
    found.dedup();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_the_services_text_functions() {
        let matches = |text: &str, pattern: &str| {
            let text: Vec<char> = text.to_lowercase().chars().collect();
            like(&text, &pieces(pattern))
        };
        assert!(matches("Alpine", "alp%"));
        assert!(matches("Alpine", "_lp[a-k]ne"));
        assert!(matches("Alpine", "%[^x]"));
        assert!(matches("a%b", "a[%]b"));
        assert!(!matches("Alpine", "lp"));
        assert!(!matches("Alpine", "[b-z]%"));
        assert!(matches("x[", "x["));
        assert!(matches("", "%"));
    }
}
