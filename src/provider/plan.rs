//! Plans: what a search sends to the provider and what is evaluated here. Nothing of a query is outside its
//! plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::record::query::{FieldSource, Filter, OrderBy};
use crate::record::record_type::{Field, ResolvedField};
use crate::record::{Cursor, FieldPath, RecordType};

/// What the paths of a query name: the fields at their ends, looked up in this type and the types that its
/// references lead to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The type that was searched from.
    pub record_type: Arc<RecordType>,
    /// Fields by path, for every path that was asked for.
    pub fields: BTreeMap<FieldPath, ResolvedField>,
}

impl Resolved {
    /// The field at the end of a path: a field of the type itself, or one that was resolved.
    #[must_use]
    pub fn field(&self, path: &FieldPath) -> Option<&Field> {
        self.fields
            .get(path)
            .map(|resolved| &resolved.field)
            .or_else(|| path.is_single().then(|| self.record_type.field(path.leaf())).flatten())
    }
}

/// How exactly the provider evaluates a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// The provider returns exactly the records that fulfil it.
    Exact,
    /// The provider returns those and maybe more; evaluated here again.
    Superset,
    /// Evaluated here alone.
    Here,
}

/// One condition of the query and where it is evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedCondition {
    /// The condition as SQL, or the native text.
    pub text: String,
    /// Where.
    pub at: At,
    /// Why there, in a sentence.
    pub why: String,
}

/// Who does a part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Doer {
    /// The provider.
    Provider,
    /// Recordport.
    Here,
    /// Nobody: it was not asked for.
    None,
}

/// A planned search.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Hash of the query as typed and of the type's schema; cursors carry it.
    pub hash: String,
    /// The type searched.
    pub record_type: Arc<RecordType>,
    /// The requests' queries in the provider's language, for explain.
    pub native: Vec<String>,
    /// Every condition of the query.
    pub conditions: Vec<PlannedCondition>,
    /// What is evaluated here on each record.
    pub residual: Option<Filter>,
    /// The order, when it was asked for.
    pub order_by: Vec<OrderBy>,
    /// Who orders.
    pub order: Doer,
    /// The limit, when it was asked for.
    pub limit: Option<u64>,
    /// Who limits.
    pub limit_by: Doer,
    /// Paths to return; empty for all.
    pub select: Vec<FieldPath>,
    /// Paths that are fetched besides, for the residual and the order; removed before a record is returned.
    pub fetched_besides: Vec<FieldPath>,
    /// Conditions that were muted.
    pub muted: Vec<String>,
    /// Requests per page of results.
    pub requests_per_page: u32,
    /// Remarks for explain (zone used, order of the provider).
    pub notes: Vec<String>,
    /// Whether the provider returns records in ascending key order, so that a dead cursor can be restarted
    /// after the last key.
    pub keyset: bool,
    /// The provider's own part, opaque to the engine.
    pub wire: Json,
}

impl Plan {
    /// Refuses a cursor of another plan.
    ///
    /// # Errors
    /// Invalid when the cursor's hash is not this plan's.
    pub fn accept(&self, cursor: &Cursor) -> Result<()> {
        if cursor.plan == self.hash {
            return Ok(());
        }
        Err(Error::invalid("this cursor belongs to another query")
            .with_code("other_query")
            .with_advice("Use the query that the cursor came from, or start without a cursor"))
    }

    /// The shape that `explain` prints.
    #[must_use]
    pub fn explain(&self) -> Explanation<'_> {
        Explanation {
            native: &self.native,
            conditions: &self.conditions,
            residual: self.residual.as_ref().map(ToString::to_string),
            order: self.order,
            limit: self.limit_by,
            muted: &self.muted,
            requests_per_page: self.requests_per_page,
            notes: &self.notes,
        }
    }
}

/// What `explain` tells of a plan.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// Queries in the provider's language.
    pub native: &'a [String],
    /// Every condition with its place.
    pub conditions: &'a [PlannedCondition],
    /// What is evaluated here, as SQL.
    pub residual: Option<String>,
    /// Who orders.
    pub order: Doer,
    /// Who limits.
    pub limit: Doer,
    /// Conditions that were muted.
    pub muted: &'a [String],
    /// Requests per page of results.
    pub requests_per_page: u32,
    /// Remarks.
    pub notes: &'a [String],
}

impl FieldSource for Resolved {
    fn field(&self, path: &FieldPath) -> Option<&Field> {
        Self::field(self, path)
    }

    fn known_paths(&self) -> Vec<String> {
        FieldSource::known_paths(&*self.record_type)
    }
}
