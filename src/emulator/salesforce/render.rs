//! Writes rows as REST answers have them.

use super::cell::write_string;
use super::columns::{ChildPlan, Column};
use super::describe::Kind;
use super::found::{children, sort};
use super::paths::follow;
use super::rows::{Place, Store};

/// One row with its attributes.
pub(super) fn write_row(store: &Store, at: Place, columns: &[Column], version: &str, out: &mut String) {
    write_attributes(store, at, &store.object(at.table).name, version, out);
    write_columns(store, at, columns, version, out);
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

fn write_columns(store: &Store, at: Place, columns: &[Column], version: &str, out: &mut String) {
    for column in columns {
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
                        write_columns(store, parent, columns, version, out);
                        out.push('}');
                    }
                }
            }
            Column::Children { name, table, field, plan } => {
                write_string(name, out);
                out.push(':');
                write_children(store, at, *table, *field, plan, version, out);
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

fn write_children(
    store: &Store,
    parent: Place,
    table: usize,
    field: usize,
    plan: &ChildPlan,
    version: &str,
    out: &mut String,
) {
    use std::fmt::Write as _;
    let mut found = children(store, parent, table, field);
    found.retain(|index| {
        plan.test.as_ref().is_none_or(|test| test.holds(store, Place { table, index: *index }))
    });
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
    let _ = write!(out, "{{\"totalSize\":{},\"done\":true,\"records\":[", shown.len());
    for (number, index) in shown.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_row(store, Place { table, index }, &plan.columns, version, out);
    }
    out.push_str("]}");
}
