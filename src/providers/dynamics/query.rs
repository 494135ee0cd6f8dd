//! Queries become OData: the options of a request, and how its rows become records.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Described;
use super::api::{self, ADDRESS_MAX};
use super::discover::PAGE_MAX;
use super::judge::Judge;
use super::paths::{FORMATTED_VALUE, LOOKUP_TABLE};
use crate::error::{Error, Result};
use crate::provider::plan::At;
use crate::provider::pushdown::{self, Split};
use crate::provider::{Doer, Plan, PlannedCondition, Resolved};
use crate::record::native::{self, NativeSyntax};
use crate::record::query::{Direction, OrderBy};
use crate::record::record_type::{Field, FieldType, ListWire};
use crate::record::transcode::{Conversion, Member, Shape};
use crate::record::value::ValueKind;
use crate::record::{FieldPath, Query, RecordType};

const SYNTAX: NativeSyntax =
    NativeSyntax { quotes: &['\'', '"'], backslash: false, clauses: &[], name: "OData" };
/// Expansions of one query ("Join tables").
const MOST_EXPANSIONS: usize = 15;

/// The parts of a request. Travels in [`Plan::wire`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) set: String,
    /// The columns of the key.
    pub(super) key: Vec<String>,
    pub(super) columns: Vec<Column>,
    pub(super) filter: Option<String>,
    pub(super) order: Option<String>,
    pub(super) top: Option<u64>,
    pub(super) page_size: u32,
}

/// One value of a record: its place in the answer and in the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    /// Navigation properties, then the member; an annotation stands behind `@`.
    wire: Vec<String>,
    /// Way through the record's objects.
    out: Vec<String>,
    rewrite: Rewrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Rewrite {
    Raw,
    Numbers,
    NumberText,
    Json,
    Annotation,
}

impl Request {
    /// The resource with its options, as an address.
    pub(super) fn resource(&self) -> String {
        let mut out = format!("{}?$select={}", self.set, api::encode_names(&self.selected(&[])));
        let expand = self.expanded(&[]);
        if !expand.is_empty() {
            let _ = write!(out, "&$expand={}", api::encode_names(&expand));
        }
        if let Some(filter) = &self.filter {
            let _ = write!(out, "&$filter={}", api::encode(filter));
        }
        if let Some(order) = &self.order {
            let _ = write!(out, "&$orderby={}", api::encode(order));
        }
        if let Some(top) = self.top {
            let _ = write!(out, "&$top={top}");
        }
        out
    }

    /// The resource that counts what this request finds.
    pub(super) fn counting(&self) -> String {
        let mut out = format!("{}?$select={}&$count=true", self.set, self.key.join(","));
        if let Some(filter) = &self.filter {
            let _ = write!(out, "&$filter={}", api::encode(filter));
        }
        out
    }

    /// As people read it.
    fn readable(&self) -> String {
        let mut out = format!("GET {}?$select={}", self.set, self.selected(&[]));
        for (option, value) in [
            ("expand", Some(self.expanded(&[])).filter(|text| !text.is_empty())),
            ("filter", self.filter.clone()),
            ("orderby", self.order.clone()),
            ("top", self.top.map(|top| top.to_string())),
        ] {
            if let Some(value) = value {
                let _ = write!(out, "&${option}={value}");
            }
        }
        out
    }

    /// The `Prefer` header, which goes with every page.
    pub(super) fn prefer(&self) -> String {
        let mut wishes = Vec::new();
        // A page size would make Dataverse ignore `$top`.
        if self.top.is_none() {
            wishes.push(format!("odata.maxpagesize={}", self.page_size));
        }
        let annotations: Vec<&str> = [LOOKUP_TABLE, FORMATTED_VALUE]
            .into_iter()
            .filter(|name| {
                let behind = format!("@{name}");
                self.columns
                    .iter()
                    .any(|column| column.wire.last().is_some_and(|wire| wire.ends_with(&behind)))
            })
            .collect();
        if !annotations.is_empty() {
            wishes.push(format!("odata.include-annotations=\"{}\"", annotations.join(",")));
        }
        wishes.join(",")
    }

    /// The columns behind these navigation properties.
    fn selected(&self, way: &[String]) -> String {
        let mut names: Vec<&str> =
            if way.is_empty() { self.key.iter().map(String::as_str).collect() } else { Vec::new() };
        for column in &self.columns {
            let Some((wire, front)) = column.wire.split_last() else { continue };
            let name = wire.split('@').next().unwrap_or(wire);
            if front == way && !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(",")
    }

    /// The expansions behind these navigation properties.
    fn expanded(&self, way: &[String]) -> String {
        let mut navs: Vec<&String> = Vec::new();
        for column in &self.columns {
            if column.wire.len() > way.len() + 1 && column.wire.starts_with(way) {
                let nav = &column.wire[way.len()];
                if !navs.contains(&nav) {
                    navs.push(nav);
                }
            }
        }
        let each = navs.into_iter().map(|nav| {
            let inner: Vec<String> = way.iter().chain(std::iter::once(nav)).cloned().collect();
            let (select, expand) = (self.selected(&inner), self.expanded(&inner));
            let options: Vec<String> = [("$select", select), ("$expand", expand)]
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(option, value)| format!("{option}={value}"))
                .collect();
            format!("{nav}({})", options.join(";"))
        });
        each.collect::<Vec<_>>().join(",")
    }

    fn expansions(&self) -> usize {
        let mut ways: Vec<&[String]> = Vec::new();
        for column in &self.columns {
            for length in 1..column.wire.len() {
                if !ways.contains(&&column.wire[..length]) {
                    ways.push(&column.wire[..length]);
                }
            }
        }
        ways.len()
    }

    /// How a row of the answer becomes a record.
    pub(super) fn shape(&self) -> Shape {
        let columns: Vec<&Column> = self.columns.iter().collect();
        shape_of(&columns, 0).with_key(self.key.iter().map(String::as_str)).with_version("@odata.etag")
    }
}

fn shape_of(columns: &[&Column], depth: usize) -> Shape {
    let mut members: Vec<Member> = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for column in columns {
        let (Some(wire), Some(out)) = (column.wire.get(depth), column.out.get(depth)) else { continue };
        if done.contains(&out.as_str()) {
            continue;
        }
        done.push(out);
        let conversion = if column.wire.len() > depth + 1 {
            let inner: Vec<&Column> =
                columns.iter().copied().filter(|other| other.out.get(depth) == Some(out)).collect();
            Conversion::Nested(Box::new(shape_of(&inner, depth + 1)))
        } else {
            match column.rewrite {
                Rewrite::Raw => Conversion::Raw,
                Rewrite::Numbers => Conversion::NumberList(','),
                Rewrite::NumberText => Conversion::NumberText,
                Rewrite::Json => Conversion::JsonText,
                Rewrite::Annotation => Conversion::OrNull,
            }
        };
        members.push(Member { wire: wire.clone(), out: out.clone(), conversion });
    }
    Shape::new(members)
}

/// The columns of a selection; empty selects every column of the table.
///
/// # Errors
/// Invalid for a path that leads nowhere.
pub(super) fn columns(
    select: &[FieldPath],
    besides: &[FieldPath],
    record_type: &RecordType,
    resolved: &Resolved,
) -> Result<Vec<Column>> {
    let mut out: Vec<Column> = Vec::new();
    for path in record_type.selection(select).iter().chain(besides) {
        if out.iter().all(|column| column.out != path.segments()) {
            out.push(column(path, record_type, resolved)?);
        }
    }
    Ok(out)
}

fn column(path: &FieldPath, record_type: &RecordType, resolved: &Resolved) -> Result<Column> {
    let out = path.segments().to_vec();
    if let Some(field) = resolved.field(path) {
        let wire: Vec<String> = field.wire().split('/').map(str::to_owned).collect();
        let annotation = wire.last().is_some_and(|last| last.contains('@'));
        let rewrite = match &field.field_type {
            _ if annotation => Rewrite::Annotation,
            FieldType::MultiPicklist { wire: ListWire::Comma, .. } => Rewrite::Numbers,
            FieldType::Int64 => Rewrite::NumberText,
            FieldType::Json => Rewrite::Json,
            _ => Rewrite::Raw,
        };
        return Ok(Column { wire, out, rewrite });
    }
    if path.is_single()
        && let Some(lookup) = record_type.reference_of_type_field(path.leaf())
    {
        let wire = vec![format!("{}@{LOOKUP_TABLE}", lookup.wire())];
        return Ok(Column { wire, out, rewrite: Rewrite::Annotation });
    }
    Err(Error::invalid(format!("{path} is not a column of {}", record_type.name))
        .with_provider("dynamics")
        .with_record_type(record_type.name.as_str())
        .with_field(path.to_string(), "there is no such column"))
}

/// Plans a query.
///
/// # Errors
/// Invalid for a wrong native condition, Unsupported for what neither side can do.
pub(super) fn plan(query: &Query, resolved: &Resolved, described: &Described, version: &str) -> Result<Plan> {
    if let Some(text) = &query.native {
        native::check(text, SYNTAX)?;
    }
    let record_type = &described.record_type;
    let provider_orders = query.order_by.iter().all(|key| is_sortable(key, resolved));
    // Long texts and lists are left out of the request first, until it fits; each condition stays in the residual.
    let mut planned = None;
    for longest in [usize::MAX, 1_000, 200, 40, 0] {
        let judge = Judge::new(query.filter.as_ref(), resolved, longest);
        let split = pushdown::split(query.filter.as_ref(), |condition| judge.judge(condition));
        let (request, plan) = assemble(query, resolved, described, split, provider_orders)?;
        if request.expansions() > MOST_EXPANSIONS {
            return Err(Error::unsupported(format!(
                "the query goes through {} lookups, and Dataverse takes {MOST_EXPANSIONS}",
                request.expansions()
            ))
            .with_provider("dynamics")
            .with_record_type(record_type.name.as_str())
            .with_advice("Select columns of fewer related tables"));
        }
        let length = api::path(version, &request.resource()).len();
        planned = Some(plan);
        if length <= ADDRESS_MAX {
            break;
        }
        if longest == 0 {
            return Err(Error::unsupported(format!(
                "the request is longer than Dataverse takes ({length} bytes as an address)"
            ))
            .with_provider("dynamics")
            .with_record_type(record_type.name.as_str())
            .with_advice("Select fewer columns, or shorten the native condition"));
        }
    }
    planned.ok_or_else(|| Error::bug("a query was not planned"))
}

fn assemble(
    query: &Query,
    resolved: &Resolved,
    described: &Described,
    split: Split,
    provider_orders: bool,
) -> Result<(Request, Plan)> {
    let record_type = &described.record_type;
    let mut placement = pushdown::place(query, provider_orders, split.residual.is_some())?;
    let besides = pushdown::besides(query, record_type, split.residual.as_ref(), placement.order);
    let ours = split.native.as_ref().map(|native| native.print(" and ", " or "));
    let filter = match (ours, &query.native) {
        (None, None) => None,
        (Some(ours), None) => Some(ours),
        (None, Some(native)) => Some(format!("({native})")),
        (Some(ours), Some(native)) => Some(format!("({ours}) and ({native})")),
    };
    let mut conditions = split.conditions;
    if let Some(native) = &query.native {
        conditions.push(PlannedCondition {
            text: native.clone(),
            at: At::Exact,
            why: "given in OData and sent as it is; recordport does not look into it".to_owned(),
        });
    }
    let ordered_there = placement.order == Doer::Provider;
    let page_size = query.page_size.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    // A greater limit needs several pages, which `$top` does not have.
    let top = query
        .limit
        .filter(|limit| placement.limit == Doer::Provider && *limit <= u64::from(page_size) && *limit > 0);
    if placement.limit == Doer::Provider && top.is_none() {
        placement.limit = Doer::Here;
    }
    let request = Request {
        set: described.wires.set.clone(),
        key: record_type.key.0.clone(),
        columns: columns(&query.select, &besides, record_type, resolved)?,
        filter,
        order: Some(order_text(
            if ordered_there { &query.order_by } else { &[] },
            resolved,
            &described.wires.id,
        )),
        top,
        page_size,
    };
    let plan = Plan {
        hash: pushdown::plan_hash(query, record_type),
        record_type: Arc::clone(record_type),
        native: vec![request.readable()],
        conditions,
        residual: split.residual,
        order_by: query.order_by.clone(),
        order: placement.order,
        limit: query.limit,
        limit_by: placement.limit,
        select: query.select.clone(),
        fetched_besides: besides,
        muted: query.muted.clone(),
        requests_per_page: 1,
        notes: notes(query, resolved, ordered_there, &request),
        // Ids are not ordered as their text is.
        keyset: false,
        wire: serde_json::to_value(&request)
            .map_err(|source| Error::bug("a request is not JSON").with_source(source))?,
    };
    Ok((request, plan))
}

fn notes(query: &Query, resolved: &Resolved, ordered_there: bool, request: &Request) -> Vec<String> {
    let mut notes = Vec::new();
    let orders_text = |key: &OrderBy| {
        resolved.field(&key.field).and_then(|field| field.field_type.value_kind()) == Some(ValueKind::Text)
    };
    if ordered_there && query.order_by.iter().any(orders_text) {
        notes.push("texts come in Dataverse's own order, which ignores case".to_owned());
    }
    if query.filter.as_ref().is_some_and(pushdown::compares_instants) {
        let zone = query.timezone.iana_name().unwrap_or("the given offset");
        notes.push(format!("a date compared with an instant stands for midnight in {zone}"));
    }
    if request.filter.as_ref().is_some_and(|filter| filter.contains("ContainValues(")) {
        notes.push(
            "Dataverse finds the values of multiple choices by a full-text index, which may lag behind a change by some \
             minutes"
                .to_owned(),
        );
    }
    if query.native.is_some() {
        notes.push(
            "the native condition is opaque: what it does with null and case is Dataverse's way".to_owned(),
        );
    }
    notes
}

fn is_sortable(key: &OrderBy, resolved: &Resolved) -> bool {
    key.field.is_single() && resolved.field(&key.field).is_some_and(|field| field.sortable)
}

/// The order with the key behind it, so that it is the same on every page.
fn order_text(order_by: &[OrderBy], resolved: &Resolved, id: &str) -> String {
    let mut keys: Vec<String> = order_by
        .iter()
        .map(|key| {
            let wire = resolved.field(&key.field).map_or(key.field.leaf(), Field::wire);
            match key.direction {
                Direction::Asc => format!("{wire} asc"),
                Direction::Desc => format!("{wire} desc"),
            }
        })
        .collect();
    if !order_by.iter().any(|key| key.field.leaf() == id) {
        keys.push(format!("{id} asc"));
    }
    keys.join(",")
}
