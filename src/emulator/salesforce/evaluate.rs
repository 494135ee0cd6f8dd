//! Tests rows against checked conditions.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::cell::Cell;
use super::conditions::{Test, Wanted};
use super::describe::Kind;
use super::paths::{Leaf, Route};
use super::rows::{Place, Store};
use super::statement::{Operator, Piece};

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
        self.holds_over(&|route| route.value(store, at))
    }

    /// The same, with the values from elsewhere.
    pub(super) fn holds_over(&self, value: &dyn Fn(&Route) -> Cell) -> bool {
        match self {
            Self::All(list) => list.iter().all(|test| test.holds_over(value)),
            Self::Any(list) => list.iter().any(|test| test.holds_over(value)),
            Self::Not(test) => !test.holds_over(value),
            Self::Null(route) => value(route).is_null(),
            Self::Compare { route, fold, operator, wanted } => {
                stands(&value(route), wanted, *fold).is_some_and(|ordering| holds(*operator, ordering))
            }
            Self::Like { route, fold, pattern } => {
                value(route).as_text().is_some_and(|text| like(text, pattern, *fold))
            }
            Self::Among { route, fold, values, null } => {
                let value = value(route);
                if value.is_null() {
                    return *null;
                }
                values.iter().any(|wanted| stands(&value, wanted, *fold).is_some_and(Ordering::is_eq))
            }
            Self::AmongIds { route, ids, null } => match value(route).as_text() {
                None => *null,
                Some(id) => ids.contains(id.get(..15).unwrap_or(id)),
            },
            Self::Includes { route, sets } => {
                let value = value(route);
                let held = held(&value);
                sets.iter().any(|set| !set.is_empty() && set.iter().all(|wanted| held.contains(wanted)))
            }
            Self::ExactSet { route, set } => {
                let value = value(route);
                let held = held(&value);
                !value.is_null() && held.len() == set.len() && set.iter().all(|wanted| held.contains(wanted))
            }
        }
    }
}

fn held(value: &Cell) -> Vec<String> {
    value.as_text().map_or_else(Vec::new, |text| text.split(';').map(lower).collect())
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
        && route.part.is_none()
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
