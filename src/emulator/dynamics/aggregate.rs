//! `$apply`: filter, groupby and aggregate.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use rust_decimal::Decimal;

use super::cell::{self, Cell};
use super::describe::Kind;
use super::errors::{QUERY, Refusal, TOO_MANY_AGGREGATED};
use super::evaluate::{self, Context, Route};
use super::json_reply;
use super::odata;
use super::query;
use super::request::Call;
use super::rows::{Place, Store, folded};
use crate::emulator::json::write_string;
use crate::emulator::service::Reply;

/// Rows that one aggregation takes.
const MOST_ROWS: usize = 50_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Sum,
    Min,
    Max,
    Average,
    CountDistinct,
    Count,
}

/// `column with method as name`.
struct Aggregate {
    route: Option<Route>,
    method: Method,
    name: String,
}

struct Plan {
    filter: Option<String>,
    groups: Vec<(String, Route)>,
    aggregates: Vec<Aggregate>,
}

/// Answers a listing with `$apply`.
///
/// # Errors
/// What is not understood, or more rows than one aggregation takes.
pub(super) fn handle(store: &Store, call: &Call<'_>, table: usize) -> Result<Reply, Refusal> {
    query::check_options(call)?;
    let cx = Context { store, now: call.request.now, variable: None };
    let plan = plan(cx, table, call.option("$apply").unwrap_or_default())?;
    let filter = plan.filter.as_deref().or(call.option("$filter"));
    let filter = filter.map(|text| odata::filter(text, &call.aliases())).transpose()?;
    let test = filter.map(|expr| evaluate::check(cx, table, &expr)).transpose()?;
    let rows: Vec<Place> = store
        .live(table, 0)
        .filter(|at| test.as_ref().is_none_or(|test| evaluate::holds(store, *at, test)))
        .take(MOST_ROWS + 1)
        .collect();
    if rows.len() > MOST_ROWS {
        return Err(Refusal::new(
            TOO_MANY_AGGREGATED,
            format!("The maximum record limit of {MOST_ROWS} is exceeded. Reduce the number of records."),
        ));
    }
    let mut groups: BTreeMap<Vec<String>, Vec<Place>> = BTreeMap::new();
    for at in rows {
        let key = plan.groups.iter().map(|(_, route)| folded(&route.value(store, at).plain())).collect();
        groups.entry(key).or_default().push(at);
    }
    if plan.groups.is_empty() && groups.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    let mut out = query::head(call, &store.about(table).set);
    out.push_str(",\"value\":[");
    for (number, rows) in groups.into_values().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_group(store, table, &plan, &rows, call, &mut out);
    }
    out.push_str("]}");
    Ok(json_reply(StatusCode::OK, out))
}

fn write_group(store: &Store, table: usize, plan: &Plan, rows: &[Place], call: &Call<'_>, out: &mut String) {
    out.push('{');
    let mut first = true;
    let mut member = |name: &str, value: &str, out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        out.push_str(value);
    };
    for (name, route) in &plan.groups {
        let value = rows.first().map_or(Cell::Null, |at| route.value(store, *at));
        let column = evaluate::end(store, table, route);
        let name = name.replace('/', "_");
        if call.prefer.wants("OData.Community.Display.V1.FormattedValue")
            && let Some(text) = cell::formatted(&value, column)
        {
            let mut quoted = String::new();
            write_string(&text, &mut quoted);
            member(&format!("{name}@OData.Community.Display.V1.FormattedValue"), &quoted, out);
        }
        let mut text = String::new();
        value.write_json(column, &mut text);
        member(&name, &text, out);
    }
    for aggregate in &plan.aggregates {
        member(&aggregate.name, &computed(store, table, aggregate, rows), out);
    }
    out.push('}');
}

fn computed(store: &Store, table: usize, aggregate: &Aggregate, rows: &[Place]) -> String {
    let Some(route) = &aggregate.route else { return rows.len().to_string() };
    let column = evaluate::end(store, table, route);
    let values: Vec<Cell> =
        rows.iter().map(|at| route.value(store, *at)).filter(|value| !value.is_null()).collect();
    let number = |cell: &Cell| match cell {
        Cell::Integer(number) => Decimal::from(*number),
        Cell::Decimal(number) => *number,
        Cell::Double(number) => Decimal::try_from(*number).unwrap_or_default(),
        _ => Decimal::ZERO,
    };
    let sum = || values.iter().fold(Decimal::ZERO, |sum, value| sum.saturating_add(number(value)));
    let chosen = |cell: Option<&Cell>| {
        let mut out = String::new();
        cell.unwrap_or(&Cell::Null).write_json(column, &mut out);
        out
    };
    let by = |one: &&Cell, two: &&Cell| evaluate::order(one, two).unwrap_or(std::cmp::Ordering::Equal);
    match aggregate.method {
        Method::Count => values.len().to_string(),
        Method::CountDistinct => {
            let distinct: HashMap<String, ()> =
                values.iter().map(|value| (folded(&value.plain()), ())).collect();
            distinct.len().to_string()
        }
        Method::Min => chosen(values.iter().min_by(by)),
        Method::Max => chosen(values.iter().max_by(by)),
        Method::Sum | Method::Average if values.is_empty() => "null".to_owned(),
        Method::Sum => sum().to_string(),
        Method::Average => {
            let average = sum() / Decimal::from(values.len());
            if matches!(column.kind, Kind::Integer) {
                average.trunc().to_string()
            } else {
                average.round_dp(10).to_string()
            }
        }
    }
}

fn bad(text: &str) -> Refusal {
    Refusal::new(QUERY, format!("Invalid $apply: '{text}'."))
}

fn plan(cx: Context<'_>, table: usize, text: &str) -> Result<Plan, Refusal> {
    let mut plan = Plan { filter: None, groups: Vec::new(), aggregates: Vec::new() };
    for step in odata::split(text.trim(), '/') {
        let (name, inside) = step.split_once('(').ok_or_else(|| bad(text))?;
        let inside = inside.trim_end().strip_suffix(')').ok_or_else(|| bad(text))?;
        match name.trim() {
            "filter" => plan.filter = Some(inside.to_owned()),
            "aggregate" => plan.aggregates = aggregates(cx, table, inside)?,
            "groupby" => {
                let parts = odata::split(inside, ',');
                let (columns, rest) = parts.split_first().ok_or_else(|| bad(text))?;
                let columns = columns.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
                for column in columns.ok_or_else(|| bad(text))?.split(',').map(str::trim) {
                    let path: Vec<String> = column.split('/').map(str::to_owned).collect();
                    plan.groups.push((column.to_owned(), evaluate::route(cx, table, &path)?));
                }
                if let Some(inner) = rest.first() {
                    let inner =
                        inner.trim().strip_prefix("aggregate(").and_then(|text| text.strip_suffix(')'));
                    plan.aggregates = aggregates(cx, table, inner.ok_or_else(|| bad(text))?)?;
                }
            }
            _ => return Err(bad(text)),
        }
    }
    Ok(plan)
}

fn aggregates(cx: Context<'_>, table: usize, text: &str) -> Result<Vec<Aggregate>, Refusal> {
    let mut out = Vec::new();
    for one in odata::split(text, ',') {
        let words: Vec<&str> = one.split_whitespace().collect();
        out.push(match words.as_slice() {
            ["$count", "as", name] => {
                Aggregate { route: None, method: Method::Count, name: (*name).to_owned() }
            }
            [column, "with", method, "as", name] => {
                let path: Vec<String> = column.split('/').map(str::to_owned).collect();
                let method = match *method {
                    "sum" => Method::Sum,
                    "min" => Method::Min,
                    "max" => Method::Max,
                    "average" => Method::Average,
                    "countdistinct" => Method::CountDistinct,
                    "count" => Method::Count,
                    _ => return Err(bad(one)),
                };
                Aggregate {
                    route: Some(evaluate::route(cx, table, &path)?),
                    method,
                    name: (*name).to_owned(),
                }
            }
            _ => return Err(bad(one)),
        });
    }
    Ok(out)
}
