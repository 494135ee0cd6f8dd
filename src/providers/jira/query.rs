//! Queries become JQL: what is sent, and what is evaluated here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Described;
use super::discover::{PAGE_DEFAULT, PAGE_MAX};
use super::rows::Columns;
use crate::error::{Error, Result};
use crate::provider::plan::At;
use crate::provider::pushdown::{self, Judged};
use crate::provider::{Doer, Plan, PlannedCondition, Resolved};
use crate::record::Query;
use crate::record::native::{self, NativeSyntax};

const SYNTAX: NativeSyntax =
    NativeSyntax { quotes: &['\'', '"'], backslash: true, clauses: &["ORDER"], name: "JQL" };

/// The parts of a request. Travels in [`Plan::wire`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) jql: String,
    /// Fields as the request names them.
    pub(super) fields: Vec<String>,
    pub(super) page_size: u32,
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
}

/// The condition that all issues of a type fulfil. Jira takes no query without one.
pub(super) fn bound(described: &Described) -> String {
    match &described.wires.scope {
        Some(scope) => format!("project = {} AND issuetype = {}", scope.project_id, scope.issue_type_id),
        None => "project is not EMPTY".to_owned(),
    }
}

/// Plans a query.
///
/// # Errors
/// Invalid for a wrong native condition, Unsupported for what neither side can do.
pub(super) fn plan(query: &Query, _resolved: &Resolved, described: &Described) -> Result<Plan> {
    if let Some(text) = &query.native {
        native::check(text, SYNTAX)?;
    }
    let record_type = &described.record_type;
    let split =
        pushdown::split(query.filter.as_ref(), |_| Judged::unsupported("every condition is evaluated here"));
    let placement = pushdown::place(query, false, split.residual.is_some())?;
    let besides = pushdown::besides(query, record_type, split.residual.as_ref(), placement.order);
    let mut conditions = split.conditions;
    let mut jql = bound(described);
    if let Some(native) = &query.native {
        jql = format!("{jql} AND ({native})");
        conditions.push(PlannedCondition {
            text: native.clone(),
            at: At::Exact,
            why: "given in JQL and sent as it is; recordport does not look into it".to_owned(),
        });
    }
    jql.push_str(" ORDER BY id ASC");
    let columns = Columns::of(described, &query.select, &besides)?;
    let request = Request {
        jql: jql.clone(),
        fields: columns.wire_fields(described),
        page_size: query.page_size.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX),
    };
    // A limit needs several pages, which the request does not have.
    let limit_by = if placement.limit == Doer::Provider { Doer::Here } else { placement.limit };
    Ok(Plan {
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
        notes: Vec::new(),
        keyset: false,
        wire: serde_json::to_value(&request)
            .map_err(|source| Error::bug("a request is not JSON").with_source(source))?,
    })
}
