//! Writes rows as REST answers have them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::cell::write_string;
use super::columns::{ChildPlan, Column};
use super::describe::Kind;
use super::found::{children_of, sort};
use super::locators::Locators;
use super::paths::follow;
use super::query::{Answer, Ask};
use super::rows::{Place, Sight, Store};

/// The children of a page's rows, gathered for all of them at once.
#[derive(Debug)]
pub(super) struct Kin<'a> {
    locators: &'a Locators,
    ask: Ask<'a>,
    sight: Sight,
    /// By column: children by the index of their parent.
    children: Vec<HashMap<u64, Vec<u64>>>,
}

impl<'a> Kin<'a> {
    pub(super) fn of(
        store: &Store,
        locators: &'a Locators,
        columns: &[Column],
        rows: &[Place],
        sight: Sight,
        ask: Ask<'a>,
    ) -> Self {
        let children = columns.iter().map(|column| match column {
            Column::Children { table, field, .. } => children_of(store, rows, *table, *field, sight),
            _ => HashMap::new(),
        });
        Self { locators, ask, sight, children: children.collect() }
    }
}

/// One row with its attributes.
pub(super) fn write_row(store: &Store, at: Place, columns: &[Column], version: &str, out: &mut String) {
    write_row_with(store, at, columns, version, None, out);
}

/// The same with its children, if its columns ask for them.
pub(super) fn write_row_with(
    store: &Store,
    at: Place,
    columns: &[Column],
    version: &str,
    kin: Option<&Kin<'_>>,
    out: &mut String,
) {
    write_attributes(store, at, &store.object(at.table).name, version, out);
    write_columns(store, at, columns, version, kin, out);
    out.push('}');
}

fn write_attributes(store: &Store, at: Place, kind: &str, version: &str, out: &mut String) {
    out.push_str("{\"attributes\":{\"type\":\"");
    out.push_str(kind);
    out.push_str("\",\"url\":\"/services/data/");
    out.push_str(version);
    out.push_str("/sobjects/");
    out.push_str(&store.object(at.table).name);
    out.push('/');
    out.push_str(&store.id(at));
    out.push_str("\"}");
}

fn write_columns(
    store: &Store,
    at: Place,
    columns: &[Column],
    version: &str,
    kin: Option<&Kin<'_>>,
    out: &mut String,
) {
    for (place, column) in columns.iter().enumerate() {
        out.push(',');
        match column {
            Column::Value { name, route, kind } => {
                write_string(name, out);
                out.push(':');
                let cell = route.value(store, at);
                if *kind == Kind::Base64 && !cell.is_null() {
                    let url = format!(
                        "/services/data/{version}/sobjects/{}/{}/{name}",
                        store.object(at.table).name,
                        store.id(at)
                    );
                    write_string(&url, out);
                } else {
                    cell.write_json(out);
                }
            }
            Column::Compound { name, parts } => {
                write_string(name, out);
                out.push(':');
                write_compound(store, at, parts, out);
            }
            Column::Parent { hop, columns } => {
                write_string(&hop.name, out);
                out.push(':');
                match follow(store, at, hop) {
                    None => out.push_str("null"),
                    Some(parent) => {
                        let kind = if hop.table.is_none() {
                            "Name"
                        } else {
                            store.object(parent.table).name.as_str()
                        };
                        write_attributes(store, parent, kind, version, out);
                        write_columns(store, parent, columns, version, None, out);
                        out.push('}');
                    }
                }
            }
            Column::ByType { hop, cases, otherwise } => {
                write_string(&hop.name, out);
                out.push(':');
                let target = follow(store, at, hop).and_then(|target| {
                    let case = cases.iter().find(|(table, _)| *table == target.table);
                    let columns = case.map_or(otherwise, |(_, columns)| columns);
                    (!columns.is_empty()).then_some((target, columns))
                });
                match target {
                    None => out.push_str("null"),
                    Some((target, columns)) => write_row(store, target, columns, version, out),
                }
            }
            Column::Children { name, table, plan, .. } => {
                write_string(name, out);
                out.push(':');
                match kin {
                    Some(kin) => {
                        let own = kin.children.get(place).and_then(|children| children.get(&at.index));
                        write_children(store, *table, own.map_or(&[], Vec::as_slice), plan, kin, out);
                    }
                    None => out.push_str("null"),
                }
            }
        }
    }
}

pub(super) fn write_compound(store: &Store, at: Place, parts: &[(&'static str, usize)], out: &mut String) {
    let Some(cells) = store.compound(at, parts) else {
        out.push_str("null");
        return;
    };
    out.push('{');
    for (number, (name, cell)) in cells.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        cell.write_json(out);
    }
    out.push('}');
}

/// The children of one row that the subquery selects; more than a page of them get a locator of their own.
fn write_children(
    store: &Store,
    table: usize,
    own: &[u64],
    plan: &ChildPlan,
    kin: &Kin<'_>,
    out: &mut String,
) {
    let holds =
        |index: &u64| plan.test.as_ref().is_none_or(|test| test.holds(store, Place { table, index: *index }));
    let mut found: Vec<u64> = own.iter().copied().filter(holds).collect();
    sort(store, table, &plan.order, &mut found, None);
    let limit = plan.limit.unwrap_or(u64::MAX);
    let shown: Vec<u64> = found
        .into_iter()
        .skip(usize::try_from(plan.offset).unwrap_or(usize::MAX))
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect();
    if shown.is_empty() {
        out.push_str("null");
        return;
    }
    let (total, page) = (shown.len(), usize::try_from(kin.ask.page).unwrap_or(usize::MAX));
    let _ = write!(out, "{{\"totalSize\":{total},\"done\":{}", total <= page);
    if total > page {
        let answer = Answer::of_children(table, plan, shown.clone(), kin.sight, kin.ask.page);
        let locator = kin.locators.open(store, Arc::new(answer), kin.ask.now, true);
        let version = kin.ask.version;
        let _ = write!(out, ",\"nextRecordsUrl\":\"/services/data/{version}/query/{locator}-{page}\"");
    }
    out.push_str(",\"records\":[");
    for (number, index) in shown.into_iter().take(page).enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_row(store, Place { table, index }, &plan.columns, kin.ask.version, out);
    }
    out.push_str("]}");
}
