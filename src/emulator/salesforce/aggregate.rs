//! Aggregates: COUNT, SUM and their like over all rows or over groups of them.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use rust_decimal::{Decimal, RoundingStrategy};

use super::cell::{Cell, write_string};
use super::conditions::{About, Context, Test, check_with, date_part};
use super::describe::Kind;
use super::errors::Refusal;
use super::evaluate::{lower, sort_order};
use super::found::{Found, compare};
use super::paths::{self, Leaf, Route};
use super::rows::Place;
use super::statement::{Direction, Item, Name, Operand, Query, Select};

/// The service writes the groups of a statement in one batch, never in pages.
const MOST_GROUPS: usize = 2000;
/// Decimals of an average.
const AVERAGE_SCALE: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Count,
    CountDistinct,
    Sum,
    Average,
    Least,
    Most,
}

impl Function {
    fn named(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "COUNT" => Self::Count,
            "COUNT_DISTINCT" => Self::CountDistinct,
            "SUM" => Self::Sum,
            "AVG" => Self::Average,
            "MIN" => Self::Least,
            "MAX" => Self::Most,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::CountDistinct => "COUNT_DISTINCT",
            Self::Sum => "SUM",
            Self::Average => "AVG",
            Self::Least => "MIN",
            Self::Most => "MAX",
        }
    }
}

/// Whether a statement gives groups instead of rows.
pub(super) fn is_aggregate(query: &Query) -> bool {
    let called = |item: &Item| matches!(item, Item::Selected { operand: Operand::Call { .. }, .. });
    !query.group.is_empty()
        || query.having.is_some()
        || matches!(&query.select, Select::Items(items) if items.iter().any(called))
}

/// One value by which rows are grouped.
#[derive(Debug)]
struct Key {
    route: Route,
    about: About,
    /// What the answer calls it: the field's name alone, whatever path leads to it.
    name: Option<String>,
}

#[derive(Debug)]
struct Aggregate {
    function: Function,
    route: Route,
    about: About,
    scale: u32,
}

/// A checked aggregate statement. A slot is the place of a value in a group: the keys first, then the aggregates.
#[derive(Debug)]
pub(super) struct Grouping {
    keys: Vec<Key>,
    aggregates: Vec<Aggregate>,
    /// Names in the answer and their slots.
    shown: Vec<(String, usize)>,
    /// How many of them were given no name.
    unnamed: usize,
    having: Option<Test>,
    order: Vec<(usize, Direction)>,
    limit: Option<u64>,
    offset: u64,
}

/// Checks an aggregate statement against a type.
///
/// # Errors
/// MALFORMED_QUERY for a field that is neither grouped nor aggregated, or that cannot be; INVALID_FIELD for
/// unknown ones.
pub(super) fn grouping(cx: Context<'_>, table: usize, query: &Query) -> Result<Grouping, Refusal> {
    let alias = query.alias.as_deref();
    let mut out = Grouping {
        keys: Vec::new(),
        aggregates: Vec::new(),
        shown: Vec::new(),
        unnamed: 0,
        having: None,
        order: Vec::new(),
        limit: query.limit,
        offset: query.offset,
    };
    for operand in &query.group {
        out.keys.push(key(cx, table, alias, operand)?);
    }
    let Select::Items(items) = &query.select else {
        return Err(cx.source.refuse(
            "MALFORMED_QUERY",
            0,
            "COUNT() cannot be grouped; use COUNT(fieldName)",
        ));
    };
    for item in items {
        out.select(cx, table, query, item)?;
    }
    // HAVING and ORDER BY may use aggregates that are not selected, so they are noted first.
    for order in &query.order {
        let slot =
            out.slot(cx, table, alias, &order.operand, "Ordered field must be grouped or aggregated")?;
        out.order.push((slot, order.direction));
    }
    if let Some(having) = &query.having {
        let mut operands = Vec::new();
        having.operands(&mut operands);
        for operand in operands {
            out.slot(cx, table, alias, operand, "Field must be grouped or aggregated")?;
        }
        let resolve = |operand: &Operand| out.known(cx, table, alias, operand);
        out.having = Some(check_with(cx, &resolve, having)?);
    }
    if out.keys.is_empty() && query.limit.is_some() {
        return Err(cx.source.refuse(
            "MALFORMED_QUERY",
            query.object.at,
            "Non-grouped query that uses overall aggregate functions cannot also use LIMIT",
        ));
    }
    Ok(out)
}

fn key(cx: Context<'_>, table: usize, alias: Option<&str>, operand: &Operand) -> Result<Key, Refusal> {
    let Operand::Path(path) = operand else {
        let (route, about) = date_part(cx, table, alias, operand)?;
        return Ok(Key { route, about, name: None });
    };
    let route = paths::route(cx.store, cx.source, table, alias, path)?;
    let field = paths::leaf_field(cx.store, table, &route)
        .ok_or_else(|| paths::unknown_field(cx.source, path.at, &operand.text(), "Name"))?;
    if !field.groupable {
        return Err(cx.source.refuse(
            "MALFORMED_QUERY",
            path.at,
            &format!("field '{}' can not be grouped in a query call", field.name),
        ));
    }
    let name = if route.leaf == Leaf::TypeName { "Type".to_owned() } else { field.name.clone() };
    Ok(Key { about: About::of(field), route, name: Some(name) })
}

impl Grouping {
    fn select(&mut self, cx: Context<'_>, table: usize, query: &Query, item: &Item) -> Result<(), Refusal> {
        let ungrouped = "Field must be grouped or aggregated";
        let alias = query.alias.as_deref();
        let (operand, name) = match item {
            Item::Selected { operand, alias } => (operand, alias.as_ref()),
            Item::Fields(word) => {
                return Err(cx.source.refuse("MALFORMED_QUERY", word.at, &format!("{ungrouped}: Id")));
            }
            Item::Child(_) | Item::TypeOf { .. } => {
                return Err(cx.source.refuse(
                    "MALFORMED_QUERY",
                    query.object.at,
                    "Subqueries and TYPEOF cannot be used together with aggregates",
                ));
            }
        };
        let slot = self.slot(cx, table, alias, operand, ungrouped)?;
        let own = self.keys.get(slot).and_then(|key| key.name.clone());
        let shown = match (name, own) {
            (Some(Name { text, .. }), _) => text.clone(),
            (None, Some(own)) => own,
            (None, None) => {
                self.unnamed += 1;
                format!("expr{}", self.unnamed - 1)
            }
        };
        if self.shown.iter().any(|(known, _)| known.eq_ignore_ascii_case(&shown)) {
            let at = name.map_or_else(|| operand.at(), |name| name.at);
            return Err(cx.source.refuse("MALFORMED_QUERY", at, &format!("duplicate alias: {shown}")));
        }
        self.shown.push((shown, slot));
        Ok(())
    }

    /// The slot of a key or aggregate; an aggregate that is new gets one.
    fn slot(
        &mut self,
        cx: Context<'_>,
        table: usize,
        alias: Option<&str>,
        operand: &Operand,
        ungrouped: &str,
    ) -> Result<usize, Refusal> {
        if let Operand::Call { function, argument } = operand
            && let Some(function) = Function::named(&function.text)
        {
            let aggregate = self.aggregate(cx, table, alias, operand, function, argument.is_some())?;
            let known = self
                .aggregates
                .iter()
                .position(|known| known.function == aggregate.function && known.route == aggregate.route);
            let place = known.unwrap_or(self.aggregates.len());
            if known.is_none() {
                self.aggregates.push(aggregate);
            }
            return Ok(self.keys.len() + place);
        }
        let route = match operand {
            Operand::Path(path) => paths::route(cx.store, cx.source, table, alias, path)?,
            Operand::Call { .. } => date_part(cx, table, alias, operand)?.0,
        };
        self.keys.iter().position(|key| key.route == route).ok_or_else(|| {
            cx.source.refuse("MALFORMED_QUERY", operand.at(), &format!("{ungrouped}: {}", operand.text()))
        })
    }

    fn aggregate(
        &self,
        cx: Context<'_>,
        table: usize,
        alias: Option<&str>,
        operand: &Operand,
        function: Function,
        given: bool,
    ) -> Result<Aggregate, Refusal> {
        let refuse = |what: &str| cx.source.refuse("MALFORMED_QUERY", operand.at(), what);
        let Some(path) = operand.path().filter(|_| given) else {
            return Err(refuse(&format!("{} needs a field here", function.word())));
        };
        let route = paths::route(cx.store, cx.source, table, alias, path)?;
        let field = paths::leaf_field(cx.store, table, &route)
            .ok_or_else(|| paths::unknown_field(cx.source, path.at, &operand.text(), "Name"))?;
        let numeric = matches!(field.kind, Kind::Int | Kind::Double);
        if !field.aggregatable || (matches!(function, Function::Sum | Function::Average) && !numeric) {
            let what =
                format!("field {} does not support aggregate operator {}", field.name, function.word());
            return Err(refuse(&what));
        }
        if self.keys.iter().any(|key| key.route == route) {
            return Err(refuse(&format!("Grouped field should not be aggregated: {}", field.name)));
        }
        let mut about = About::of(field);
        let kind = match function {
            Function::Count | Function::CountDistinct => Some(Kind::Int),
            Function::Average => Some(Kind::Double),
            _ => None,
        };
        if let Some(kind) = kind {
            about.wire = if kind == Kind::Int { "int" } else { "double" }.to_owned();
            about.kind = kind;
        }
        Ok(Aggregate { function, route, about, scale: field.scale })
    }

    /// What a condition on groups looks at: a slot that was noted before.
    fn known(
        &self,
        cx: Context<'_>,
        table: usize,
        alias: Option<&str>,
        operand: &Operand,
    ) -> Result<(Route, About), Refusal> {
        let refuse = || cx.source.refuse("MALFORMED_QUERY", operand.at(), "a group has no such value");
        let (slot, about) = match operand {
            Operand::Call { function, argument } if Function::named(&function.text).is_some() => {
                let function = Function::named(&function.text).ok_or_else(refuse)?;
                let wanted = self.aggregate(cx, table, alias, operand, function, argument.is_some())?;
                let place = self
                    .aggregates
                    .iter()
                    .position(|known| known.function == function && known.route == wanted.route);
                (self.keys.len() + place.ok_or_else(refuse)?, wanted.about)
            }
            _ => {
                let key = key(cx, table, alias, operand)?;
                let place = self.keys.iter().position(|known| known.route == key.route);
                (place.ok_or_else(refuse)?, key.about)
            }
        };
        Ok((Route { hops: Vec::new(), leaf: Leaf::Slot(slot), part: None }, about))
    }

    /// Groups the rows and writes the whole answer.
    ///
    /// # Errors
    /// EXCEEDED_ID_LIMIT when there are more groups than one batch holds.
    pub(super) fn answer(&self, cx: Context<'_>, table: usize, found: &Found) -> Result<String, Refusal> {
        let mut groups = self.groups(cx, table, found)?;
        if let Some(having) = &self.having {
            groups.retain(|values| {
                having.holds_over(&|route| match route.leaf {
                    Leaf::Slot(slot) => values.get(slot).cloned().unwrap_or(Cell::Null),
                    _ => Cell::Null,
                })
            });
        }
        groups.sort_by(|left, right| self.order_of(left, right));
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let groups: Vec<Vec<Cell>> = groups.into_iter().skip(skip).take(limit).collect();
        if groups.len() > MOST_GROUPS {
            return Err(too_many());
        }
        let mut out = String::new();
        let _ = write!(out, "{{\"totalSize\":{},\"done\":true,\"records\":[", groups.len());
        for (number, values) in groups.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push_str("{\"attributes\":{\"type\":\"AggregateResult\"}");
            for (name, slot) in &self.shown {
                out.push(',');
                write_string(name, &mut out);
                out.push(':');
                values.get(*slot).unwrap_or(&Cell::Null).write_json(&mut out);
            }
            out.push('}');
        }
        out.push_str("]}");
        Ok(out)
    }

    /// The values of all groups, keys then aggregates.
    fn groups(&self, cx: Context<'_>, table: usize, found: &Found) -> Result<Vec<Vec<Cell>>, Refusal> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<(Vec<Cell>, Vec<Sum>)> = Vec::new();
        let fresh = || self.aggregates.iter().map(Sum::new).collect::<Vec<Sum>>();
        if self.keys.is_empty() {
            groups.push((Vec::new(), fresh()));
        }
        let endless = self.limit.is_none() && self.having.is_none();
        let mut text = String::new();
        for place in 0..found.len() {
            let Some(index) = found.at(place) else { break };
            let at = Place { table, index };
            let mut group = 0;
            if !self.keys.is_empty() {
                let keys: Vec<Cell> = self.keys.iter().map(|key| key.route.value(cx.store, at)).collect();
                text.clear();
                for (cell, key) in keys.iter().zip(&self.keys) {
                    text.push_str(&folded(cell, &key.about));
                    text.push('\u{1f}');
                }
                group = match places.get(&text) {
                    Some(known) => *known,
                    None => {
                        if endless && groups.len() > MOST_GROUPS {
                            return Err(too_many());
                        }
                        places.insert(text.clone(), groups.len());
                        groups.push((keys, fresh()));
                        groups.len() - 1
                    }
                };
            }
            let Some((_, sums)) = groups.get_mut(group) else { break };
            for (sum, aggregate) in sums.iter_mut().zip(&self.aggregates) {
                sum.add(aggregate, aggregate.route.value(cx.store, at));
            }
        }
        drop(places);
        Ok(groups
            .into_iter()
            .map(|(mut values, sums)| {
                values.extend(sums.into_iter().zip(&self.aggregates).map(|(sum, of)| sum.total(of)));
                values
            })
            .collect())
    }

    /// As ORDER BY says, else by the keys.
    fn order_of(&self, left: &[Cell], right: &[Cell]) -> Ordering {
        let null = Cell::Null;
        let by = |slot: usize, direction: Direction| {
            let fold = self.keys.get(slot).is_some_and(|key| key.about.fold)
                || slot
                    .checked_sub(self.keys.len())
                    .and_then(|place| self.aggregates.get(place))
                    .is_some_and(|aggregate| aggregate.about.fold);
            let (left, right) = (left.get(slot).unwrap_or(&null), right.get(slot).unwrap_or(&null));
            match (fold, left, right) {
                (true, Cell::Text(left), Cell::Text(right)) => {
                    compare(&Cell::text(lower(left)), &Cell::text(lower(right)), direction)
                }
                _ => compare(left, right, direction),
            }
        };
        let asked = self.order.iter().map(|(slot, direction)| by(*slot, *direction));
        let keys = (0..self.keys.len()).map(|slot| by(slot, Direction::default()));
        asked.chain(keys).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

fn too_many() -> Refusal {
    Refusal::new(
        "EXCEEDED_ID_LIMIT",
        "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
    )
}

/// The text by which equal values are found; null has one of its own.
fn folded(cell: &Cell, about: &About) -> String {
    match cell {
        Cell::Null => "\u{0}".to_owned(),
        Cell::Text(text) if about.fold => lower(text),
        Cell::Number(number) => number.normalize().to_string(),
        cell => cell.plain(),
    }
}

/// An aggregate while rows are added.
#[derive(Debug)]
enum Sum {
    Count(u64),
    Distinct(HashSet<String>),
    /// Sum and number of values.
    Numbers(Decimal, u64),
    Extreme(Cell),
}

impl Sum {
    fn new(aggregate: &Aggregate) -> Self {
        match aggregate.function {
            Function::Count => Self::Count(0),
            Function::CountDistinct => Self::Distinct(HashSet::new()),
            Function::Sum | Function::Average => Self::Numbers(Decimal::ZERO, 0),
            Function::Least | Function::Most => Self::Extreme(Cell::Null),
        }
    }

    fn add(&mut self, aggregate: &Aggregate, cell: Cell) {
        if cell.is_null() {
            return;
        }
        match self {
            Self::Count(count) => *count += 1,
            Self::Distinct(known) => {
                known.insert(folded(&cell, &aggregate.about));
            }
            Self::Numbers(sum, count) => {
                *sum = sum.saturating_add(cell.number().unwrap_or_default());
                *count += 1;
            }
            Self::Extreme(best) => {
                let ordering = match (&cell, &*best) {
                    (Cell::Text(one), Cell::Text(other)) if aggregate.about.fold => {
                        lower(one).cmp(&lower(other))
                    }
                    (one, other) => sort_order(one, other),
                };
                let better =
                    if aggregate.function == Function::Least { ordering.is_lt() } else { ordering.is_gt() };
                if best.is_null() || better {
                    *best = cell;
                }
            }
        }
    }

    fn total(self, aggregate: &Aggregate) -> Cell {
        match self {
            Self::Count(count) => Cell::Number(Decimal::from(count)),
            Self::Distinct(known) => Cell::Number(Decimal::from(known.len())),
            Self::Numbers(_, 0) => Cell::Null,
            Self::Numbers(sum, count) if aggregate.function == Function::Average => {
                let average = sum.checked_div(Decimal::from(count)).unwrap_or_default();
                let rounded =
                    average.round_dp_with_strategy(AVERAGE_SCALE, RoundingStrategy::MidpointAwayFromZero);
                Cell::Number(as_double(rounded))
            }
            Self::Numbers(sum, _) if aggregate.about.kind == Kind::Double => {
                Cell::Number(as_double(sum.round_dp(aggregate.scale)))
            }
            Self::Numbers(sum, _) => Cell::Number(sum),
            Self::Extreme(cell) => cell,
        }
    }
}

/// The wire form of a whole double is 100.0.
fn as_double(number: Decimal) -> Decimal {
    let mut number = number.normalize();
    if number.scale() == 0 {
        number.rescale(1);
    }
    number
}
