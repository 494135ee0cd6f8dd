//! Splits a filter between the provider and here, written once for every provider.
//!
//! A provider judges one condition at a time. The filter is first brought into negation normal form, which is
//! valid in three-valued logic, so that a judge never meets NOT and sending a superset of a condition always
//! sends a superset of the whole. What is not exact is evaluated here as well: no condition can get lost.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

use super::{At, Doer, PlannedCondition};
use crate::error::{Error, Result};
use crate::record::query::{Comparison, Condition, Filter, Test};
use crate::record::value::ValueKind;
use crate::record::{FieldPath, Query, RecordType};

/// Most records that an order evaluated here may hold in memory.
pub const MOST_ORDERED_HERE: u64 = 10_000;

/// What a provider can do with one condition. The text is the condition in the provider's language, complete
/// in itself: it is joined to others by AND and OR without further parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// The text finds exactly the records that fulfil the condition.
    Exact {
        /// The condition in the provider's language.
        native: String,
        /// Why, in a sentence for explain.
        why: String,
    },
    /// The text finds those and maybe more.
    Superset {
        /// A weaker condition in the provider's language.
        native: String,
        /// Why, in a sentence for explain.
        why: String,
    },
    /// The provider cannot help.
    Unsupported {
        /// Why, in a sentence for explain.
        why: String,
    },
}

impl Judged {
    /// The provider evaluates it exactly.
    #[must_use]
    pub fn exact(native: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Exact { native: native.into(), why: why.into() }
    }

    /// The provider finds those that fulfil it and maybe more.
    #[must_use]
    pub fn superset(native: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Superset { native: native.into(), why: why.into() }
    }

    /// The provider cannot evaluate it.
    #[must_use]
    pub fn unsupported(why: impl Into<String>) -> Self {
        Self::Unsupported { why: why.into() }
    }
}

/// Conditions in the provider's language, combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeFilter {
    /// All of them; at least two.
    All(Vec<NativeFilter>),
    /// Any of them; at least one.
    Any(Vec<NativeFilter>),
    /// One condition.
    Leaf(String),
}

impl NativeFilter {
    /// Prints with these words for AND and OR (`" and "`, `" or "`); nested combinations are in parentheses.
    #[must_use]
    pub fn print(&self, and: &str, or: &str) -> String {
        let joined = |parts: &[Self], word: &str| {
            let mut out = String::new();
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    out.push_str(word);
                }
                match part {
                    Self::Leaf(text) => out.push_str(text),
                    nested => {
                        let _ = write!(out, "({})", nested.print(and, or));
                    }
                }
            }
            out
        };
        match self {
            Self::All(parts) => joined(parts, and),
            Self::Any(parts) => joined(parts, or),
            Self::Leaf(text) => text.clone(),
        }
    }
}

/// A filter, split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// What the provider evaluates; `None` when that is nothing.
    pub native: Option<NativeFilter>,
    /// What is evaluated here: every conjunct that is not exact at the provider.
    pub residual: Option<Filter>,
    /// Every condition with its place.
    pub conditions: Vec<PlannedCondition>,
}

/// Splits a filter by the verdicts of `judge` on its conditions. Sending `native` and evaluating `residual`
/// here selects what the filter selects, whatever the verdicts, as long as each one is true.
#[must_use]
pub fn split(filter: Option<&Filter>, judge: impl Fn(&Condition) -> Judged) -> Split {
    let Some(filter) = filter else { return Split::default() };
    let mut out = Split::default();
    let mut native = Vec::new();
    let mut residual = Vec::new();
    for conjunct in conjuncts(negation_normal(filter)) {
        let mut leaves = Vec::new();
        let weighed = weigh(&conjunct, &judge, &mut leaves);
        let at = weighed.at;
        for leaf in &mut leaves {
            if leaf.at < at {
                leaf.why = match at {
                    At::Here => format!("{}, but another part of its OR is evaluated here", leaf.why),
                    _ => format!("{}; evaluated here again with the rest of its OR", leaf.why),
                };
                leaf.at = at;
            }
        }
        out.conditions.append(&mut leaves);
        native.extend(weighed.native);
        if at != At::Exact {
            residual.push(conjunct);
        }
    }
    out.native = all_of(native);
    out.residual = match residual.len() {
        0 => None,
        1 => residual.pop(),
        _ => Some(Filter::And(residual)),
    };
    out
}

struct Weighed {
    native: Option<NativeFilter>,
    at: At,
}

/// A conjunct's native form and how exact it is. `leaves` collects its conditions with their own verdicts.
fn weigh(
    filter: &Filter,
    judge: &impl Fn(&Condition) -> Judged,
    leaves: &mut Vec<PlannedCondition>,
) -> Weighed {
    match filter {
        Filter::Is(condition) => {
            let (native, at, why) = match judge(condition) {
                Judged::Exact { native, why } => (Some(native), At::Exact, why),
                Judged::Superset { native, why } => (Some(native), At::Superset, why),
                Judged::Unsupported { why } => (None, At::Here, why),
            };
            leaves.push(PlannedCondition { text: condition.to_string(), at, why });
            Weighed { native: native.map(NativeFilter::Leaf), at }
        }
        Filter::And(parts) => {
            let weighed: Vec<Weighed> = parts.iter().map(|part| weigh(part, judge, leaves)).collect();
            let exact = weighed.iter().all(|part| part.at == At::Exact);
            let native = all_of(weighed.into_iter().filter_map(|part| part.native).collect());
            let at = match (&native, exact) {
                (_, true) => At::Exact,
                (Some(_), false) => At::Superset,
                (None, false) => At::Here,
            };
            Weighed { native, at }
        }
        Filter::Or(parts) => {
            let weighed: Vec<Weighed> = parts.iter().map(|part| weigh(part, judge, leaves)).collect();
            let worst = weighed.iter().map(|part| part.at).max().unwrap_or(At::Here);
            // A branch without a native form (an empty AND is true) lets everything through.
            let natives: Option<Vec<NativeFilter>> = weighed.into_iter().map(|part| part.native).collect();
            match natives {
                Some(branches) if worst != At::Here && !branches.is_empty() => {
                    Weighed { native: Some(NativeFilter::Any(branches)), at: worst }
                }
                _ => Weighed { native: None, at: At::Here },
            }
        }
        // The normal form has none; were there one, evaluating it here would be right.
        Filter::Not(_) => Weighed { native: None, at: At::Here },
    }
}

fn all_of(mut parts: Vec<NativeFilter>) -> Option<NativeFilter> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(NativeFilter::All(parts)),
    }
}

fn conjuncts(filter: Filter) -> Vec<Filter> {
    match filter {
        Filter::And(parts) => parts.into_iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

/// The same filter without NOT: De Morgan's laws and the complement of each condition, both valid where
/// unknown is a third truth value.
#[must_use]
pub fn negation_normal(filter: &Filter) -> Filter {
    normal(filter, false)
}

fn normal(filter: &Filter, negate: bool) -> Filter {
    let each = |parts: &[Filter]| parts.iter().map(|part| normal(part, negate)).collect();
    match (filter, negate) {
        (Filter::And(parts), false) | (Filter::Or(parts), true) => Filter::And(each(parts)),
        (Filter::Or(parts), false) | (Filter::And(parts), true) => Filter::Or(each(parts)),
        (Filter::Not(inner), _) => normal(inner, !negate),
        (Filter::Is(condition), false) => Filter::Is(condition.clone()),
        (Filter::Is(condition), true) => Filter::Is(complement(condition)),
    }
}

/// The condition that is true where this one is false, false where it is true, and unknown where it is unknown.
#[must_use]
pub fn complement(condition: &Condition) -> Condition {
    let comparison = |comparison: &Comparison| match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    };
    let mut out = condition.clone();
    match &mut out.test {
        Test::IsNull => out.test = Test::IsNotNull,
        Test::IsNotNull => out.test = Test::IsNull,
        Test::Compare(operator, _) | Test::CompareField(operator, _) => *operator = comparison(operator),
        Test::Like { negated, .. }
        | Test::In { negated, .. }
        | Test::Between { negated, .. }
        | Test::Contains { negated, .. }
        | Test::SameSet { negated, .. } => *negated = !*negated,
    }
    out
}

/// Whether a filter compares instants, for which the zone of a date matters.
#[must_use]
pub fn compares_instants(filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(compares_instants),
        Filter::Not(inner) => compares_instants(inner),
        Filter::Is(condition) => {
            condition.kind == ValueKind::Instant && !matches!(condition.test, Test::IsNull | Test::IsNotNull)
        }
    }
}

/// Who orders and who limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Who orders.
    pub order: Doer,
    /// Who limits.
    pub limit: Doer,
}

/// Decides who orders and who limits. `provider_orders` tells whether the provider can produce the whole order
/// that is asked for; `residual` whether anything is evaluated here.
///
/// # Errors
/// Unsupported when an order would have to be made here without a limit, or with one beyond
/// [`MOST_ORDERED_HERE`]: that would need unbounded memory.
pub fn place(query: &Query, provider_orders: bool, residual: bool) -> Result<Placement> {
    let order = match (query.order_by.is_empty(), provider_orders) {
        (true, _) => Doer::None,
        (false, true) => Doer::Provider,
        (false, false) => Doer::Here,
    };
    if order == Doer::Here && query.limit.is_none_or(|limit| limit > MOST_ORDERED_HERE) {
        let keys: Vec<String> = query.order_by.iter().map(|key| key.field.to_string()).collect();
        return Err(Error::unsupported(format!(
            "the provider cannot order by {}, and ordering here needs a limit of at most {MOST_ORDERED_HERE} records",
            keys.join(", ")
        ))
        .with_advice(format!(
            "Add --limit (\"limit\") of at most {MOST_ORDERED_HERE}, or order by fields that the provider sorts"
        )));
    }
    let limit = match (query.limit, order, residual) {
        (None, ..) => Doer::None,
        (Some(_), Doer::None | Doer::Provider, false) => Doer::Provider,
        _ => Doer::Here,
    };
    Ok(Placement { order, limit })
}

/// Every path that a filter reads.
#[must_use]
pub fn paths_of(filter: &Filter) -> Vec<FieldPath> {
    fn collect(filter: &Filter, out: &mut Vec<FieldPath>) {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| collect(part, out)),
            Filter::Not(inner) => collect(inner, out),
            Filter::Is(condition) => {
                let other = match &condition.test {
                    Test::CompareField(_, other) => Some(other),
                    _ => None,
                };
                for path in std::iter::once(&condition.path).chain(other) {
                    if !out.contains(path) {
                        out.push(path.clone());
                    }
                }
            }
        }
    }
    let mut out = Vec::new();
    collect(filter, &mut out);
    out
}

/// The paths to fetch besides the selection, because the residual or an order made here reads them. With an
/// empty selection every field of the type itself is fetched anyway.
#[must_use]
pub fn besides(
    query: &Query,
    record_type: &RecordType,
    residual: Option<&Filter>,
    order: Doer,
) -> Vec<FieldPath> {
    let mut needed = residual.map(paths_of).unwrap_or_default();
    if order == Doer::Here {
        needed.extend(query.order_by.iter().map(|key| key.field.clone()));
    }
    let mut out: Vec<FieldPath> = Vec::new();
    for path in needed {
        let own = || path.segments().first().is_some_and(|name| record_type.field(name).is_some());
        let selected = if query.select.is_empty() { own() } else { covered(&query.select, &path) };
        if !selected && !out.contains(&path) {
            out.push(path);
        }
    }
    out
}

/// Whether a selection contains a path or something that the path lies in.
fn covered(select: &[FieldPath], path: &FieldPath) -> bool {
    select.iter().any(|chosen| path.segments().starts_with(chosen.segments()))
}

/// Hash by which a cursor knows its plan: over everything in the query that decides which records come and in
/// which order, and over the names and types of the record type's fields. Hexadecimal, 32 digits.
#[must_use]
pub fn plan_hash(query: &Query, record_type: &RecordType) -> String {
    let mut text = String::new();
    let Query {
        select,
        filter,
        native,
        order_by,
        limit,
        page_size,
        include_deleted,
        muted: _,
        timezone,
        now: _,
    } = query;
    let _ = write!(
        text,
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n",
        record_type.provider,
        record_type.name.as_str(),
        select.iter().map(ToString::to_string).collect::<Vec<_>>(),
        filter.as_ref().map(ToString::to_string),
        native,
        order_by,
        limit,
        page_size,
        include_deleted,
    );
    let _ = writeln!(text, "{}", timezone.iana_name().unwrap_or_default());
    for field in &record_type.fields {
        let _ = writeln!(text, "{} {:?}", field.name, field.field_type.name());
    }
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).fold(String::with_capacity(32), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
