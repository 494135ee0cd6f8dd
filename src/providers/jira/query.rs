//! Queries become JQL: what is sent, and what is evaluated here.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Described;
use super::discover::{PAGE_DEFAULT, PAGE_MAX};
use super::jql;
use super::judge::Judge;
use super::rows::Columns;
use crate::error::{Error, Result};
use crate::provider::plan::At;
use crate::provider::pushdown::{self, Split};
use crate::provider::{Doer, Plan, PlannedCondition, Resolved};
use crate::record::native::{self, NativeSyntax};
use crate::record::query::{Direction, OrderBy};
use crate::record::{FieldPath, Query};

const SYNTAX: NativeSyntax =
    NativeSyntax { quotes: &['\'', '"'], backslash: true, clauses: &["ORDER"], name: "JQL" };
/// Fields that Jira orders by.
const MOST_SORTED: usize = 7;
/// Longest query that is sent, in bytes.
const JQL_MAX: usize = 50_000;
/// The order that a search without one has, so that it can be gone on with behind any issue.
const CREATED: &str = "created";

/// The parts of a request. Travels in [`Plan::wire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The condition that all issues of the type fulfil; Jira takes no query without one.
    bound: String,
    /// What else is asked.
    condition: Option<String>,
    /// The same without values that Jira may not know, for when it refuses one.
    weak: Option<Option<String>>,
    order: String,
    /// Fields as the request names them.
    pub(super) fields: Vec<String>,
    pub(super) page_size: u32,
    /// Whether issues come in the order of their creation.
    pub(super) by_creation: bool,
}

impl Request {
    /// The request of a plan.
    ///
    /// # Errors
    /// A bug, when the plan is another provider's.
    pub(super) fn of(plan: &Plan) -> Result<Self> {
        serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Jira's").with_source(source))
    }

    /// Whether there is another form for when Jira refuses a value.
    pub(super) fn has_weak(&self) -> bool {
        self.weak.is_some()
    }

    /// The query; `from` leaves out issues that were created before that millisecond.
    pub(super) fn jql(&self, weak: bool, from: Option<i64>) -> String {
        let condition = match &self.weak {
            Some(weaker) if weak => weaker,
            _ => &self.condition,
        };
        let mut out = self.bound.clone();
        if let Some(from) = from {
            out.push_str(&format!(" AND {CREATED} >= {from}"));
        }
        if let Some(condition) = condition {
            out.push_str(&format!(" AND {condition}"));
        }
        format!("{out} ORDER BY {}", self.order)
    }
}

/// The condition that all issues of a type fulfil. Jira takes no query without one.
pub(super) fn bound(described: &Described) -> String {
    match &described.wires.scope {
        Some(scope) => format!("project = {} AND issuetype = {}", scope.project_id, scope.issue_type_id),
        None => "project is not EMPTY".to_owned(),
    }
}

/// Plans a query. `zone` is that of the caller's profile, where it is known.
///
/// # Errors
/// Invalid for a wrong native condition, Unsupported for what neither side can do.
pub(super) fn plan(
    query: &Query,
    resolved: &Resolved,
    described: &Described,
    zone: Option<&TimeZone>,
) -> Result<Plan> {
    if let Some(text) = &query.native {
        native::check(text, SYNTAX)?;
    }
    // Long texts and lists are left out first, until the query fits; each condition stays in the residual.
    for longest in [usize::MAX, 1_000, 200, 40, 0] {
        let split = |naming: bool| {
            let judge = Judge { resolved, wires: &described.wires, zone, naming, longest };
            pushdown::split(query.filter.as_ref(), |condition| judge.judge(condition))
        };
        let (strong, weak) = (split(true), split(false));
        let (plan, length) = assemble(query, resolved, described, strong, &weak)?;
        if length <= JQL_MAX {
            return Ok(plan);
        }
    }
    Err(Error::unsupported(format!("the query is longer than is sent to Jira ({JQL_MAX} bytes)"))
        .with_provider("jira")
        .with_advice("Shorten the native condition"))
}

/// Our condition and the user's own.
fn condition(split: &Split, native: Option<&str>) -> Option<String> {
    let ours = split.native.as_ref().map(|native| format!("({})", native.print(" AND ", " OR ")));
    let own = native.map(|native| format!("({native})"));
    match (ours, own) {
        (Some(ours), Some(own)) => Some(format!("{ours} AND {own}")),
        (ours, own) => ours.or(own),
    }
}

fn assemble(
    query: &Query,
    resolved: &Resolved,
    described: &Described,
    split: Split,
    weak: &Split,
) -> Result<(Plan, usize)> {
    let record_type = &described.record_type;
    let provider_orders = query.order_by.len() < MOST_SORTED
        && query.order_by.iter().all(|key| order_key(key, resolved, described).is_some());
    let placement = pushdown::place(query, provider_orders, split.residual.is_some())?;
    let besides = pushdown::besides(query, record_type, split.residual.as_ref(), placement.order);
    let ordered_there = placement.order == Doer::Provider;
    let (strong, weaker) =
        (condition(&split, query.native.as_deref()), condition(weak, query.native.as_deref()));
    let mut conditions = split.conditions;
    if let Some(native) = &query.native {
        conditions.push(PlannedCondition {
            text: native.clone(),
            at: At::Exact,
            why: "given in JQL and sent as it is; recordport does not look into it".to_owned(),
        });
    }
    let mut page_size = query.page_size.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    if let Some(limit) = query.limit.filter(|_| placement.limit == Doer::Provider) {
        page_size = page_size.min(u32::try_from(limit.max(1)).unwrap_or(PAGE_MAX));
    }
    let request = Request {
        bound: bound(described),
        weak: (strong != weaker).then_some(weaker),
        condition: strong,
        order: order_text(if ordered_there { &query.order_by } else { &[] }, resolved, described),
        fields: Columns::of(described, &query.select, &besides)?.wire_fields(described),
        page_size,
        by_creation: !ordered_there || query.order_by.first().is_some_and(is_by_creation),
    };
    let jql = request.jql(false, None);
    let length = jql.len();
    // A limit may need several pages, which a request does not have.
    let limit_by = if placement.limit == Doer::Provider { Doer::Here } else { placement.limit };
    let plan = Plan {
        hash: pushdown::plan_hash(query, record_type),
        record_type: Arc::clone(record_type),
        native: vec![jql],
        conditions,
        residual: split.residual,
        order_by: query.order_by.clone(),
        order: placement.order,
        limit: query.limit,
        limit_by,
        select: query.select.clone(),
        fetched_besides: besides,
        muted: query.muted.clone(),
        requests_per_page: 1,
        notes: notes(query),
        // Ids are not ordered as their text is.
        keyset: false,
        wire: serde_json::to_value(&request)
            .map_err(|source| Error::bug("a request is not JSON").with_source(source))?,
    };
    Ok((plan, length))
}

fn notes(query: &Query) -> Vec<String> {
    let mut notes = Vec::new();
    if query.filter.as_ref().is_some_and(pushdown::compares_instants) {
        let zone = query.timezone.iana_name().unwrap_or("the given offset");
        notes.push(format!("a date compared with an instant stands for midnight in {zone}"));
    }
    if query.native.is_some() {
        notes.push(
            "the native condition is opaque: dates in it are read in the zone of the user's Jira profile, and empty fields \
             fulfil none of its comparisons"
                .to_owned(),
        );
    }
    notes.push("Jira's index may lag behind changes by some seconds".to_owned());
    notes
}

/// How Jira calls the field of an order. It orders issues without a value in its own way, so that only fields that
/// are never empty will do.
fn order_key<'d>(key: &OrderBy, resolved: &Resolved, described: &'d Described) -> Option<&'d str> {
    let field = resolved.field(&key.field).filter(|field| field.sortable && !field.nullable)?;
    let wire = described.wires.fields.get(&field.name).filter(|_| key.field.is_single())?;
    wire.clauses.first().map(String::as_str)
}

fn is_by_creation(key: &OrderBy) -> bool {
    key.direction == Direction::Asc && key.field == FieldPath::of([CREATED])
}

/// The order with the key behind it, so that it is the same on every page.
fn order_text(order_by: &[OrderBy], resolved: &Resolved, described: &Described) -> String {
    let mut keys: Vec<String> = order_by
        .iter()
        .filter_map(|key| {
            let way = match key.direction {
                Direction::Asc => "ASC",
                Direction::Desc => "DESC",
            };
            Some(format!("{} {way}", jql::clause(order_key(key, resolved, described)?)))
        })
        .collect();
    if keys.is_empty() {
        keys.push(format!("{CREATED} ASC"));
    }
    keys.push("key ASC".to_owned());
    keys.join(", ")
}
