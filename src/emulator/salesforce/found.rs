//! Which rows a condition selects, and in what order.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::cell::Cell;
use super::conditions::{self, Context, Test};
use super::describe::Kind;
use super::errors::Refusal;
use super::evaluate;
use super::paths::{self, Leaf, Route};
use super::rows::{Place, Sight, Store};
use super::statement::{Direction, Item, Operand, Query, Select};

#[derive(Debug, Clone)]
pub(super) struct SortKey {
    route: Route,
    fold: bool,
    direction: Direction,
}

/// The rows of a result, each by its index, in order.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// All indexes from the first until before the second but the listed ones; maybe backwards.
    Range {
        from: u64,
        to: u64,
        without: Vec<u64>,
        backwards: bool,
    },
    Listed(Vec<u64>),
}

impl Found {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Range { from, to, without, .. } => to.saturating_sub(*from) - without.len() as u64,
            Self::Listed(list) => list.len() as u64,
        }
    }

    /// The index of the row at this place of the result.
    pub(super) fn at(&self, place: u64) -> Option<u64> {
        match self {
            Self::Listed(list) => list.get(usize::try_from(place).ok()?).copied(),
            Self::Range { from, without, backwards, .. } => {
                if place >= self.len() {
                    return None;
                }
                let place = if *backwards { self.len() - 1 - place } else { place };
                // Each left-out index at or before the candidate moves it one further.
                let (mut low, mut high) = (0, without.len());
                while low < high {
                    let middle = usize::midpoint(low, high);
                    if without[middle] - from - middle as u64 <= place {
                        low = middle + 1
                    } else {
                        high = middle
                    }
                }
                Some(from + place + low as u64)
            }
        }
    }
}

/// Live rows of a table whose reference field points to this parent.
pub(super) fn children(store: &Store, parent: Place, table: usize, field: usize) -> Vec<u64> {
    children_of(store, &[parent], table, field, Sight::Live).remove(&parent.index).unwrap_or_default()
}

/// Rows of a table by the index of the parent that their reference field points to, found in one pass.
pub(super) fn children_of(
    store: &Store,
    parents: &[Place],
    table: usize,
    field: usize,
    sight: Sight,
) -> HashMap<u64, Vec<u64>> {
    let ids: HashMap<String, u64> = parents.iter().map(|at| (store.id(*at), at.index)).collect();
    let mut out: HashMap<u64, Vec<u64>> = HashMap::new();
    for index in 0..store.table(table).next {
        let at = Place { table, index };
        if let Some(parent) = store.cell(at, field).as_text().and_then(|id| ids.get(id))
            && store.sees(at, sight)
        {
            out.entry(*parent).or_default().push(index);
        }
    }
    out
}

pub(super) fn table_of(cx: Context<'_>, query: &Query) -> Result<usize, Refusal> {
    let found = cx.store.find_table(&query.object.text).filter(|table| cx.store.object(*table).queryable);
    found.ok_or_else(|| {
        cx.source.refuse(
            "INVALID_TYPE",
            query.object.at,
            &format!(
                "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' \
                 after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
                query.object.text
            ),
        )
    })
}

/// The first 15 characters of the ids that a semi-join's statement selects.
pub(super) fn ids_of(cx: Context<'_>, query: &Query) -> Result<HashSet<String>, Refusal> {
    let table = table_of(cx, query)?;
    let only = match &query.select {
        Select::Items(items) if query.group.is_empty() && query.having.is_none() && query.offset == 0 => {
            match items.as_slice() {
                [Item::Selected { operand: Operand::Path(path), alias: None }] => Some(path),
                _ => None,
            }
        }
        _ => None,
    };
    let path = only.ok_or_else(|| {
        cx.source.refuse(
            "MALFORMED_QUERY",
            query.object.at,
            "A semi join sub-select selects exactly one field, ungrouped and without OFFSET",
        )
    })?;
    let route = paths::route(cx.store, cx.source, table, query.alias.as_deref(), path)?;
    if !paths::leaf_field(cx.store, table, &route)
        .is_some_and(|field| field.kind == Kind::Id || field.kind == Kind::Reference)
    {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            path.at,
            "The selected field in the semi join sub-select must be an id field",
        ));
    }
    let test = query
        .filter
        .as_ref()
        .map(|expr| conditions::check(cx, table, query.alias.as_deref(), expr))
        .transpose()?;
    let order = sort_keys(cx, table, query)?;
    let found = find(cx.store, table, test.as_ref(), &order, query.limit, Sight::Live);
    let count = found.len().min(query.limit.unwrap_or(u64::MAX));
    let ids = (0..count).filter_map(|place| {
        let value = route.value(cx.store, Place { table, index: found.at(place)? });
        value.as_text().map(|id| id.get(..15).unwrap_or(id).to_owned())
    });
    Ok(ids.collect())
}

pub(super) fn sort_keys(cx: Context<'_>, table: usize, query: &Query) -> Result<Vec<SortKey>, Refusal> {
    let mut out = Vec::new();
    for order in &query.order {
        let Operand::Path(path) = &order.operand else {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                order.operand.at(),
                "Functions in ORDER BY are for grouped queries",
            ));
        };
        let route = paths::route(cx.store, cx.source, table, query.alias.as_deref(), path)?;
        let about = paths::leaf_field(cx.store, table, &route);
        if let Some(about) = about
            && !about.sortable
        {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                path.at,
                &format!("field '{}' can not be sorted in a query call", about.name),
            ));
        }
        let fold = about.is_some_and(|about| about.folds_case());
        out.push(SortKey { route, fold, direction: order.direction });
    }
    Ok(out)
}

pub(super) fn find(
    store: &Store,
    table: usize,
    test: Option<&Test>,
    order: &[SortKey],
    wanted: Option<u64>,
    sight: Sight,
) -> Found {
    let bounds = evaluate::bounds(store, table, test);
    let by_id = match order.first() {
        None => Some(false),
        Some(key) => {
            let id = key.route.hops.is_empty()
                && matches!(key.route.leaf, Leaf::Field(field) if store.object(table).fields.get(field).is_some_and(|field| field.kind == Kind::Id));
            id.then_some(key.direction.descending)
        }
    };
    if let (true, Some(backwards)) = (bounds.complete, by_id) {
        let to = bounds.to.max(bounds.from);
        let without = store.unseen_between(table, bounds.from, to, sight);
        return Found::Range { from: bounds.from, to, without, backwards };
    }
    let shown = |index: &u64| {
        let at = Place { table, index: *index };
        store.sees(at, sight) && test.is_none_or(|test| test.holds(store, at))
    };
    let backwards = by_id == Some(true);
    let enough = wanted
        .filter(|_| by_id.is_some())
        .map_or(usize::MAX, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
    let mut found: Vec<u64> = match test.and_then(|test| evaluate::own_ids(store, table, test)) {
        Some(ids) => {
            let mut places: Vec<u64> = ids
                .iter()
                .filter_map(|id| store.locate(id))
                .filter(|at| at.table == table)
                .map(|at| at.index)
                .collect();
            places.sort_unstable();
            if backwards {
                places.reverse();
            }
            places.into_iter().filter(shown).take(enough).collect()
        }
        None if backwards => (bounds.from..bounds.to).rev().filter(shown).take(enough).collect(),
        None => (bounds.from..bounds.to).filter(shown).take(enough).collect(),
    };
    if by_id.is_none() {
        sort(store, table, order, &mut found, wanted);
    }
    Found::Listed(found)
}

pub(super) fn sort(
    store: &Store,
    table: usize,
    order: &[SortKey],
    found: &mut Vec<u64>,
    wanted: Option<u64>,
) {
    if order.is_empty() {
        return;
    }
    let key = |index: u64| {
        let at = Place { table, index };
        order
            .iter()
            .map(|key| match key.route.value(store, at) {
                Cell::Text(text) if key.fold => Cell::text(evaluate::lower(&text)),
                cell => cell,
            })
            .collect::<Vec<Cell>>()
    };
    let by_keys = |left: &(Vec<Cell>, u64), right: &(Vec<Cell>, u64)| {
        for ((one, other), key) in left.0.iter().zip(&right.0).zip(order) {
            let ordering = compare(one, other, key.direction);
            if ordering.is_ne() {
                return ordering;
            }
        }
        left.1.cmp(&right.1)
    };
    let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(usize::MAX);
    let room = wanted.saturating_mul(2).saturating_add(10_000);
    let mut keyed: Vec<(Vec<Cell>, u64)> = Vec::new();
    for index in found.drain(..) {
        keyed.push((key(index), index));
        // With a LIMIT only the best are kept.
        if keyed.len() > room {
            keyed.sort_by(by_keys);
            keyed.truncate(wanted);
        }
    }
    keyed.sort_by(by_keys);
    found.extend(keyed.into_iter().map(|(_, index)| index).take(wanted));
}

/// The order of two values of one field, nulls placed as told.
pub(super) fn compare(left: &Cell, right: &Cell, direction: Direction) -> Ordering {
    let first = if direction.nulls_last { Ordering::Greater } else { Ordering::Less };
    match (left.is_null(), right.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => first,
        (false, true) => first.reverse(),
        (false, false) => {
            let ordering = evaluate::sort_order(left, right);
            if direction.descending { ordering.reverse() } else { ordering }
        }
    }
}
