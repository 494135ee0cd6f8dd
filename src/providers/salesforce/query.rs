//! Queries become SOQL: what Salesforce evaluates exactly, what it evaluates as a superset, and what is left.
//!
//! Conditions have SQL's meaning here and SOQL's there. Text at Salesforce compares without regard to case, and
//! null fulfils `!=` and `NOT IN`; so each pushed condition is one that finds at least the records that fulfil
//! it under every reading of what the documentation leaves open, and only conditions that leave nothing open
//! count as exact.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::api;
use super::discover::{PAGE_MAX, PAGE_MIN};
use super::soql::{self, STATEMENT_MAX, TEXT_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::plan::At;
use crate::provider::pushdown::{self, Judged, Split};
use crate::provider::{Doer, Plan, PlannedCondition, Resolved};
use crate::record::native::{self, NativeSyntax};
use crate::record::query::{Comparison, Condition, Direction, OrderBy, Pattern, PatternPart, Test};
use crate::record::record_type::{FieldType, TextForm};
use crate::record::transcode::{Conversion, Member, Shape};
use crate::record::value::{Value, ValueKind};
use crate::record::{FieldPath, Query, RecordType};

/// Words that begin a clause behind a condition (SOQL and SOSL Reference, "SOQL SELECT Syntax").
const CLAUSES: &[&str] =
    &["ORDER", "GROUP", "HAVING", "LIMIT", "OFFSET", "WITH", "USING", "FOR", "UPDATE", "SCOPE", "VIEW"];
const SYNTAX: NativeSyntax =
    NativeSyntax { quotes: &['\''], backslash: true, clauses: CLAUSES, name: "SOQL" };

/// The parts of a statement, kept apart so that a search can go on behind a key. Travels in [`Plan::wire`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Statement {
    pub(super) object: String,
    pub(super) columns: Vec<Column>,
    /// Fields that are selected besides and not written into records: the version, an alternate key.
    pub(super) extra: Vec<String>,
    pub(super) condition: Option<String>,
    pub(super) order: Option<String>,
    pub(super) limit: Option<u64>,
    pub(super) deleted: bool,
    pub(super) page_size: u32,
}

/// One thing that is selected: its place in SOQL, in the answer, and in the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    /// As SOQL selects it.
    soql: String,
    /// Way through the answer's objects.
    wire: Vec<String>,
    /// Way through the record's objects.
    out: Vec<String>,
    rewrite: Rewrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Rewrite {
    Raw,
    Instant,
    List,
    Number,
    Json,
    TypeName,
}

impl Statement {
    /// The statement, from behind `after` and with `left` records at most where given.
    pub(super) fn text(&self, after: Option<&str>, left: Option<u64>) -> String {
        let mut names: Vec<&str> = vec!["Id"];
        for name in self.extra.iter().chain(self.columns.iter().map(|column| &column.soql)) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let mut out = format!("SELECT {} FROM {}", names.join(", "), self.object);
        out.push_str(&self.conditions(after));
        if let Some(order) = &self.order {
            out.push_str(" ORDER BY ");
            out.push_str(order);
        }
        if let Some(limit) = left.or(self.limit) {
            out.push_str(&format!(" LIMIT {limit}"));
        }
        out
    }

    /// The statement that counts what this one finds, without its limit.
    pub(super) fn count_text(&self) -> String {
        format!("SELECT COUNT() FROM {}{}", self.object, self.conditions(None))
    }

    fn conditions(&self, after: Option<&str>) -> String {
        let behind = after.map(|id| format!("Id > {}", soql::quoted(id)));
        match (&self.condition, behind) {
            (None, None) => String::new(),
            (Some(condition), None) => format!(" WHERE {condition}"),
            (None, Some(behind)) => format!(" WHERE {behind}"),
            (Some(condition), Some(behind)) => format!(" WHERE ({condition}) AND {behind}"),
        }
    }

    /// How a row of the answer becomes a record; its key is made of these fields and the Id.
    pub(super) fn shape(&self, key: &[&str], prefixes: &Arc<HashMap<String, String>>) -> Shape {
        let columns: Vec<&Column> = self.columns.iter().collect();
        let shape = shape_of(&columns, 0, prefixes).with_key(key.iter().copied().chain(["Id"]));
        if self.extra.iter().any(|name| name == STAMP) { shape.with_version(STAMP) } else { shape }
    }
}

/// The field that is a record's version.
pub(super) const STAMP: &str = "SystemModstamp";

fn shape_of(columns: &[&Column], depth: usize, prefixes: &Arc<HashMap<String, String>>) -> Shape {
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
                columns.iter().copied().filter(|other| other.wire.get(depth) == Some(wire)).collect();
            Conversion::Nested(Box::new(shape_of(&inner, depth + 1, prefixes)))
        } else {
            match column.rewrite {
                Rewrite::Raw => Conversion::Raw,
                Rewrite::Instant => Conversion::Instant,
                Rewrite::List => Conversion::List(';'),
                Rewrite::Number => Conversion::NumberText,
                Rewrite::Json => Conversion::JsonText,
                Rewrite::TypeName => Conversion::Prefix { length: 3, names: Arc::clone(prefixes) },
            }
        };
        members.push(Member { wire: wire.clone(), out: out.clone(), conversion });
    }
    Shape::new(members)
}

/// What is selected besides to know a record's version.
pub(super) fn version_of(record_type: &RecordType) -> Vec<String> {
    record_type.field(STAMP).map(|field| field.name.clone()).into_iter().collect()
}

/// The columns of a selection; empty selects every field of the type.
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
        let whole = |column: &Column| path.segments().starts_with(&column.out);
        if out.iter().any(whole) {
            continue;
        }
        // A whole that comes after one of its parts takes the part's place.
        out.retain(|column| !column.out.starts_with(path.segments()));
        out.push(column(path, record_type, resolved)?);
    }
    Ok(out)
}

fn column(path: &FieldPath, record_type: &RecordType, resolved: &Resolved) -> Result<Column> {
    let names = path.segments().to_vec();
    if path.is_single()
        && let Some(reference) = record_type.reference_of_type_field(path.leaf())
    {
        let wire = vec![reference.wire().to_owned()];
        return Ok(Column {
            soql: reference.wire().to_owned(),
            wire,
            out: names,
            rewrite: Rewrite::TypeName,
        });
    }
    let Some(field) = resolved.field(path) else {
        return Err(Error::invalid(format!("{path} is not a field of {}", record_type.name))
            .with_provider("salesforce")
            .with_record_type(record_type.name.as_str())
            .with_field(path.to_string(), "there is no such field"));
    };
    // A part of a compound comes with its compound.
    let compound = (1..names.len()).find(|length| {
        let front = FieldPath::of(names[..*length].to_vec());
        resolved.field(&front).is_some_and(|field| matches!(field.field_type, FieldType::Object { .. }))
    });
    let soql = names[..compound.unwrap_or(names.len())].join(".");
    Ok(Column { soql, wire: names.clone(), out: names, rewrite: rewrite_of(&field.field_type) })
}

fn rewrite_of(field_type: &FieldType) -> Rewrite {
    match field_type {
        FieldType::Instant => Rewrite::Instant,
        FieldType::MultiPicklist { .. } => Rewrite::List,
        FieldType::Int64 => Rewrite::Number,
        FieldType::Json => Rewrite::Json,
        _ => Rewrite::Raw,
    }
}

/// Plans a query.
///
/// # Errors
/// Invalid for a wrong native condition, Unsupported for what neither side can do.
pub(super) fn plan(
    query: &Query,
    resolved: &Resolved,
    record_type: &Arc<RecordType>,
    version: &str,
) -> Result<Plan> {
    if let Some(text) = &query.native {
        native::check(text, SYNTAX)?;
    }
    let provider_orders = query.order_by.iter().all(|key| is_sortable(key, resolved));
    // Long texts are left out of the statement first, until it fits; each condition stays in the residual.
    let mut planned = None;
    for longest in [TEXT_MAX, 1_000, 200, 40, 1, 0] {
        let split = pushdown::split(query.filter.as_ref(), |condition| judge(condition, resolved, longest));
        let (statement, mut plan) = assemble(query, resolved, record_type, split, provider_orders)?;
        let text = statement.text(Some("000000000000000AAA"), None);
        let fits = soql::fits(&text);
        if fits && api::is_wide(version, &text, statement.deleted) {
            plan.notes.push(
                "the statement is too long for an address and travels in the body of a Composite request; further \
                 pages are read as usual"
                    .to_owned(),
            );
        }
        planned = Some(plan);
        if fits {
            break;
        }
        if longest == 0 {
            return Err(too_long(record_type, text.chars().count()));
        }
    }
    planned.ok_or_else(|| Error::bug("a query was not planned"))
}

/// Why a statement that nothing can shorten is refused.
pub(super) fn too_long(record_type: &RecordType, characters: usize) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the statement has {characters} characters; Salesforce takes at most {STATEMENT_MAX}"),
    )
    .with_provider("salesforce")
    .with_record_type(record_type.name.as_str())
    .with_code("statement_too_long")
    .with_advice("Select fewer fields, or shorten the native condition")
}

fn assemble(
    query: &Query,
    resolved: &Resolved,
    record_type: &Arc<RecordType>,
    split: Split,
    provider_orders: bool,
) -> Result<(Statement, Plan)> {
    let placement = pushdown::place(query, provider_orders, split.residual.is_some())?;
    let besides = pushdown::besides(query, record_type, split.residual.as_ref(), placement.order);
    let ours = split.native.as_ref().map(|native| native.print(" AND ", " OR "));
    let condition = match (ours, &query.native) {
        (None, None) => None,
        (Some(ours), None) => Some(ours),
        (None, Some(native)) => Some(format!("({native})")),
        (Some(ours), Some(native)) => Some(format!("({ours}) AND ({native})")),
    };
    let mut conditions = split.conditions;
    if let Some(native) = &query.native {
        conditions.push(PlannedCondition {
            text: native.clone(),
            at: At::Exact,
            why: "given in SOQL and sent as it is; recordport does not look into it".to_owned(),
        });
    }
    let by_key = record_type.field("Id").is_some_and(|field| field.sortable);
    let ordered_there = placement.order == Doer::Provider;
    let order = match (ordered_there, by_key) {
        (true, _) => Some(order_text(&query.order_by)),
        (false, true) => Some("Id ASC".to_owned()),
        (false, false) => None,
    };
    let keyset = by_key
        && (!ordered_there
            || matches!(query.order_by.as_slice(), [only] if is_key(only) && only.direction == Direction::Asc));
    let mut notes = Vec::new();
    let orders_text = |key: &OrderBy| {
        resolved.field(&key.field).and_then(|field| field.field_type.value_kind()) == Some(ValueKind::Text)
    };
    if ordered_there && query.order_by.iter().any(|key| orders_text(key) && !is_key(key)) {
        notes.push("texts come in Salesforce's own order, which ignores case".to_owned());
    }
    if query.filter.as_ref().is_some_and(pushdown::compares_instants) {
        let zone = query.timezone.iana_name().unwrap_or("the given offset");
        notes.push(format!("a date compared with an instant stands for midnight in {zone}"));
    }
    if query.native.is_some() {
        notes.push(
            "the native condition is opaque: what it does with null and case is Salesforce's way".to_owned(),
        );
    }
    let page_size = query.page_size.unwrap_or(PAGE_MAX).clamp(PAGE_MIN, PAGE_MAX);
    let statement = Statement {
        object: record_type.name.as_str().to_owned(),
        columns: columns(&query.select, &besides, record_type, resolved)?,
        extra: version_of(record_type),
        condition,
        order,
        limit: query.limit.filter(|_| placement.limit == Doer::Provider),
        deleted: query.include_deleted,
        page_size,
    };
    let plan = Plan {
        hash: pushdown::plan_hash(query, record_type),
        record_type: Arc::clone(record_type),
        native: vec![statement.text(None, None)],
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
        notes,
        keyset,
        wire: serde_json::to_value(&statement)
            .map_err(|source| Error::bug("a statement is not JSON").with_source(source))?,
    };
    Ok((statement, plan))
}

fn is_key(key: &OrderBy) -> bool {
    key.field.is_single() && key.field.leaf() == "Id"
}

fn is_sortable(key: &OrderBy, resolved: &Resolved) -> bool {
    resolved.field(&key.field).is_some_and(|field| {
        field.sortable && field.field_type.value_kind().is_some() && !field.field_type.is_multi_value()
    })
}

fn order_text(order_by: &[OrderBy]) -> String {
    let mut keys: Vec<String> = order_by
        .iter()
        .map(|key| match key.direction {
            Direction::Asc => format!("{} ASC NULLS FIRST", key.field),
            Direction::Desc => format!("{} DESC NULLS LAST", key.field),
        })
        .collect();
    if !order_by.iter().any(is_key) {
        keys.push("Id ASC".to_owned());
    }
    keys.join(", ")
}

/// What Salesforce can do with one condition. Texts longer than `longest` are not sent.
pub(super) fn judge(condition: &Condition, resolved: &Resolved, longest: usize) -> Judged {
    let Some(field) = resolved.field(&condition.path) else {
        return Judged::unsupported("the path is not known at Salesforce");
    };
    if !field.filterable {
        return Judged::unsupported("Salesforce does not filter by this field");
    }
    if longest == 0 {
        return Judged::unsupported("the statement would be longer than Salesforce takes");
    }
    let place = Place {
        path: condition.path.to_string(),
        reference: reference_of(&condition.path, resolved),
        longest,
    };
    match &condition.test {
        Test::CompareField(..) => return Judged::unsupported("SOQL does not compare two fields"),
        Test::IsNull | Test::IsNotNull if field.field_type == FieldType::Boolean => {
            return Judged::unsupported("a checkbox is never null at Salesforce");
        }
        Test::IsNull => return place.null(),
        Test::IsNotNull => return Judged::exact(place.not_null(), "Salesforce tests for null"),
        _ => {}
    }
    // What Salesforce compares with case would miss records that differ in case only.
    if !condition.case_sensitive && field.case_sensitive == Some(true) && !condition.multi_value {
        return place.any_value();
    }
    match &field.field_type {
        FieldType::Text { form: TextForm::Id, .. } | FieldType::Reference(_) => place.id(condition),
        FieldType::Text { .. } => place.text(condition, true),
        FieldType::Picklist(_) => place.text(condition, false),
        FieldType::MultiPicklist { .. } => place.multi(condition),
        FieldType::Boolean => place.boolean(condition),
        FieldType::Integer { .. } => place.ordered(condition, |value| match value {
            Value::Number(number) => soql::number(number, true)
                .filter(|text| text.parse::<i64>().is_ok_and(|number| i32::try_from(number).is_ok())),
            _ => None,
        }),
        FieldType::Int64 => place.ordered(condition, |value| match value {
            Value::Number(number) => soql::number(number, true),
            _ => None,
        }),
        FieldType::Decimal { .. } => place.ordered(condition, |value| match value {
            Value::Number(number) => soql::number(number, false),
            _ => None,
        }),
        FieldType::Date => place.ordered(condition, |value| match value {
            Value::Date(date) => soql::date(*date),
            _ => None,
        }),
        FieldType::Instant => place.ordered(condition, |value| match value {
            Value::Instant(instant) => soql::instant(*instant),
            _ => None,
        }),
        // The documentation does not say how a time of day is written in a condition.
        FieldType::Time => place.ordered(condition, |_| None),
        FieldType::Binary { .. } | FieldType::Object { .. } | FieldType::List { .. } | FieldType::Json => {
            Judged::unsupported("values of this type are not compared at Salesforce")
        }
    }
}

/// The reference field through which a path's last step goes (`AccountId` for `Account.Name`).
fn reference_of(path: &FieldPath, resolved: &Resolved) -> Option<String> {
    let segments = path.segments();
    let (relationship, parents) = segments[..segments.len() - 1].split_last()?;
    if parents.is_empty() {
        let found = resolved.record_type.relationship(relationship)?;
        return Some(found.field.clone());
    }
    resolved.fields.iter().find_map(|(path, found)| {
        let (_, front) = path.segments().split_last()?;
        let leads = matches!(
            &found.field.field_type,
            FieldType::Reference(reference) if reference.relationship.as_ref() == Some(relationship)
        );
        (front == parents && leads).then(|| path.to_string())
    })
}

/// A field in a statement.
struct Place {
    path: String,
    /// For a path across records, the reference that it goes through.
    reference: Option<String>,
    longest: usize,
}

const CASE: &str = "Salesforce ignores case, so each record is checked again here";
const OPEN: &str = "Salesforce leaves out records without a value; the comparison itself is made here";

impl Place {
    fn not_null(&self) -> String {
        format!("{} != null", self.path)
    }

    fn null(&self) -> Judged {
        let path = &self.path;
        match &self.reference {
            None if path.contains('.') => {
                Judged::unsupported("whether a record without parent counts as null is not documented")
            }
            None => Judged::exact(format!("{path} = null"), "Salesforce tests for null"),
            Some(reference) => Judged::exact(
                format!("({path} = null OR {reference} = null)"),
                "Salesforce tests for null; a record without parent counts too",
            ),
        }
    }

    /// The weakest help: records without a value cannot fulfil any comparison.
    fn any_value(&self) -> Judged {
        Judged::superset(self.not_null(), OPEN)
    }

    fn fits(&self, literal: String) -> Option<String> {
        (literal.chars().count() <= self.longest).then_some(literal)
    }

    fn text(&self, condition: &Condition, patterns: bool) -> Judged {
        let path = &self.path;
        let folded = !condition.case_sensitive;
        let literal = |value: &Value| match value {
            Value::Text(text) if soql::is_plain(text) && !folded => self.fits(soql::quoted(text)),
            _ => None,
        };
        let native = match &condition.test {
            Test::Compare(Comparison::Equal, Value::Text(text)) if folded && patterns => {
                let pattern = Pattern(vec![PatternPart::Literal(text.clone())]);
                soql::like(&pattern, true)
                    .and_then(|literal| self.fits(literal))
                    .map(|literal| format!("{path} LIKE {literal}"))
            }
            Test::Compare(Comparison::Equal, value) => {
                literal(value).map(|literal| format!("{path} = {literal}"))
            }
            Test::In { values, negated: false } if !values.is_empty() => {
                let literals: Option<Vec<String>> = values.iter().map(literal).collect();
                literals.map(|literals| format!("{path} IN ({})", literals.join(", ")))
            }
            Test::In { values, .. } if values.is_empty() => {
                return Judged::unsupported("an empty list needs no help from Salesforce");
            }
            Test::Like { pattern, negated: false } if patterns => soql::like(pattern, folded)
                .and_then(|literal| self.fits(literal))
                .map(|literal| format!("{path} LIKE {literal}")),
            _ => None,
        };
        match native {
            Some(native) if self.shortens(&native) => Judged::superset(native, CASE),
            _ => self.any_value(),
        }
    }

    /// Whether a condition is within the length that is allowed at present; lists add up.
    fn shortens(&self, native: &str) -> bool {
        self.longest >= TEXT_MAX || native.len() <= self.longest * 8
    }

    fn id(&self, condition: &Condition) -> Judged {
        let path = &self.path;
        if !condition.case_sensitive {
            return self.any_value();
        }
        let known = |value: &Value| match value {
            Value::Text(text) if soql::is_id(text) => Some(soql::quoted(text)),
            _ => None,
        };
        let why = "record ids are exact at Salesforce";
        match &condition.test {
            Test::Compare(Comparison::Equal, value) => match known(value) {
                Some(id) => Judged::exact(format!("{path} = {id}"), why),
                None => self.any_value(),
            },
            Test::Compare(Comparison::NotEqual, value) => match known(value) {
                Some(id) => Judged::exact(format!("({path} != {id} AND {})", self.not_null()), why),
                None => self.any_value(),
            },
            Test::In { values, negated } if !values.is_empty() => {
                // A text that is no id equals none; Salesforce would refuse the statement for it.
                let ids: Vec<String> = values.iter().filter_map(known).collect();
                if ids.is_empty() || (self.longest < TEXT_MAX && ids.len() > self.longest) {
                    return self.any_value();
                }
                let ids = ids.join(", ");
                if *negated {
                    Judged::exact(format!("({path} NOT IN ({ids}) AND {})", self.not_null()), why)
                } else {
                    Judged::exact(format!("{path} IN ({ids})"), why)
                }
            }
            Test::In { .. } => Judged::unsupported("an empty list needs no help from Salesforce"),
            _ => self.any_value(),
        }
    }

    fn multi(&self, condition: &Condition) -> Judged {
        let path = &self.path;
        let value_of = |value: &Value| match value {
            Value::Text(text) if condition.case_sensitive && soql::is_plain(text) && !text.contains(';') => {
                Some(text.clone())
            }
            _ => None,
        };
        let all_of = |values: &[Value]| -> Option<String> {
            let values: Option<Vec<String>> = values.iter().map(value_of).collect();
            self.fits(soql::quoted(&values?.join(";")))
        };
        match &condition.test {
            Test::Contains { value, negated: false } => match all_of(std::slice::from_ref(value)) {
                Some(literal) => Judged::superset(format!("{path} INCLUDES ({literal})"), CASE),
                None => self.any_value(),
            },
            Test::SameSet { values, negated: false } if values.is_empty() => self.null(),
            Test::SameSet { values, negated: false } => match all_of(values) {
                Some(literal) => Judged::superset(
                    format!("{path} INCLUDES ({literal})"),
                    "Salesforce finds the records that have all of them; others are left out here",
                ),
                None => self.any_value(),
            },
            _ => Judged::unsupported("an empty list fulfils it too, which Salesforce leaves open"),
        }
    }

    fn boolean(&self, condition: &Condition) -> Judged {
        let path = &self.path;
        let word = |flag: bool| if flag { "TRUE" } else { "FALSE" };
        let wanted = match &condition.test {
            Test::Compare(Comparison::Equal, Value::Boolean(flag)) => *flag,
            Test::Compare(Comparison::NotEqual, Value::Boolean(flag)) => !*flag,
            _ => return Judged::unsupported("Salesforce only tests whether a checkbox is set"),
        };
        let native = format!("{path} = {}", word(wanted));
        if self.path.contains('.') {
            return Judged::superset(native, "a record without parent is left out here");
        }
        Judged::exact(native, "Salesforce tests checkboxes exactly")
    }

    /// Values that have an order: numbers, dates, instants.
    fn ordered(&self, condition: &Condition, literal: impl Fn(&Value) -> Option<String>) -> Judged {
        let path = &self.path;
        let not_null = self.not_null();
        let native = match &condition.test {
            Test::Compare(Comparison::Equal, value) => {
                literal(value).map(|literal| format!("{path} = {literal}"))
            }
            Test::Compare(comparison, value) => literal(value)
                .map(|literal| format!("({path} {} {literal} AND {not_null})", comparison.symbol())),
            Test::In { values, negated } if !values.is_empty() => {
                let literals: Option<Vec<String>> = values.iter().map(literal).collect();
                literals.map(|literals| {
                    let literals = literals.join(", ");
                    if *negated {
                        format!("({path} NOT IN ({literals}) AND {not_null})")
                    } else {
                        format!("{path} IN ({literals})")
                    }
                })
            }
            Test::In { .. } => return Judged::unsupported("an empty list needs no help from Salesforce"),
            Test::Between { low, high, negated } => literal(low).zip(literal(high)).map(|(low, high)| {
                if *negated {
                    format!("(({path} < {low} OR {path} > {high}) AND {not_null})")
                } else {
                    format!("({path} >= {low} AND {path} <= {high} AND {not_null})")
                }
            }),
            _ => None,
        };
        match native {
            Some(native) if self.shortens(&native) => {
                Judged::exact(native, "Salesforce compares such values exactly")
            }
            _ => self.any_value(),
        }
    }
}
