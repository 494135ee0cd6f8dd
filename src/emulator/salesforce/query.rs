//! Runs SOQL and hands out its rows in pages behind locators.

use std::sync::Arc;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::aggregate::{self, is_aggregate};
use super::columns::{ChildPlan, Column, columns, has_long_text};
use super::conditions::{self, Context, Test};
use super::errors::Refusal;
use super::found::{Found, find, sort_keys, table_of};
use super::locators::{self, Locators};
use super::paths::{Leaf, Route};
use super::render::{Kin, write_row_with};
use super::rows::{Place, Sight, Store};
use super::soql;
use super::statement::{Name, Query, Select, Source};

const LARGEST_PAGE: u64 = 2000;
const SMALLEST_PAGE: u64 = 200;
/// Rows in a page when a long text is selected.
const PAGE_WITH_LONG_TEXT: u64 = 1000;
/// How long a deleted row stays in the recycle bin.
const IN_BIN: SignedDuration = SignedDuration::from_hours(15 * 24);

/// A statement that was checked and run: what is left is to write pages.
#[derive(Debug)]
pub(super) struct Answer {
    table: usize,
    columns: Arc<Vec<Column>>,
    found: Found,
    /// LIMIT and OFFSET as a part of `found`.
    skip: u64,
    pub(super) total: u64,
    pub(super) page: u64,
    sight: Sight,
    count_only: bool,
}

impl Answer {
    /// Children of one parent, for their further pages.
    pub(super) fn of_children(
        table: usize,
        plan: &ChildPlan,
        rows: Vec<u64>,
        sight: Sight,
        page: u64,
    ) -> Self {
        let total = rows.len() as u64;
        Self {
            table,
            columns: Arc::clone(&plan.columns),
            found: Found::Listed(rows),
            skip: 0,
            total,
            page,
            sight,
            count_only: false,
        }
    }
}

/// What a request says besides the statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// `v60.0`.
    pub(super) version: &'a str,
    pub(super) now: Timestamp,
    pub(super) page: u64,
    /// As queryAll: with what lies in the recycle bin.
    pub(super) with_deleted: bool,
}

impl Ask<'_> {
    /// Deleted rows stay in the recycle bin for 15 days.
    pub(super) fn sight(&self) -> Sight {
        if self.with_deleted {
            Sight::WithBin(self.now.saturating_sub(IN_BIN).unwrap_or(Timestamp::MIN))
        } else {
            Sight::Live
        }
    }
}

/// The rows of a page that a client asked for in `Sforce-Query-Options`.
pub(super) fn page_size(options: Option<&str>) -> u64 {
    options
        .into_iter()
        .flat_map(|options| options.split([',', ';']))
        .filter_map(|option| option.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("batchSize"))
        .and_then(|(_, size)| size.trim().parse::<u64>().ok())
        .map_or(LARGEST_PAGE, |size| size.clamp(SMALLEST_PAGE, LARGEST_PAGE))
}

/// Runs a statement and writes its first page.
///
/// # Errors
/// Whatever the service says about the statement.
pub(super) fn first_page(
    store: &Store,
    locators: &Locators,
    text: &str,
    ask: Ask<'_>,
) -> Result<String, Refusal> {
    let query = soql::parse(text)?;
    let source = Source(text);
    let today = Offset::UTC.to_datetime(ask.now).date();
    let cx = Context { store, source, today };
    if is_aggregate(&query) {
        return aggregated(cx, &query, ask);
    }
    let answer = Arc::new(run(cx, &query, ask)?);
    let end = if answer.count_only { answer.total } else { answer.page.min(answer.total) };
    let next = (end < answer.total).then(|| locators.open(store, Arc::clone(&answer), ask.now, false));
    Ok(written(store, locators, &answer, (0, end), next.as_deref(), ask))
}

/// Writes a further page for `…-2000`.
///
/// # Errors
/// INVALID_QUERY_LOCATOR when the locator is unknown, expired or names a place outside the result.
pub(super) fn next_page(
    store: &Store,
    open: &Locators,
    token: &str,
    ask: Ask<'_>,
) -> Result<String, Refusal> {
    let (locator, offset) = token.rsplit_once('-').ok_or_else(locators::invalid)?;
    let offset: u64 = offset.parse().map_err(|_| locators::invalid())?;
    let answer = open.resume(locator, offset, ask.now)?;
    let end = (offset + answer.page).min(answer.total);
    let next = (end < answer.total).then_some(locator);
    Ok(written(store, open, &answer, (offset, end), next, ask))
}

/// One page of an answer.
fn written(
    store: &Store,
    locators: &Locators,
    answer: &Answer,
    (from, to): (u64, u64),
    next: Option<&str>,
    ask: Ask<'_>,
) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = write!(out, "{{\"totalSize\":{},\"done\":{}", answer.total, next.is_none());
    if let Some(locator) = next {
        let _ = write!(out, ",\"nextRecordsUrl\":\"/services/data/{}/query/{locator}-{to}\"", ask.version);
    }
    out.push_str(",\"records\":[");
    if !answer.count_only {
        let rows: Vec<Place> = (from..to)
            .map_while(|place| answer.found.at(answer.skip + place))
            .map(|index| Place { table: answer.table, index })
            // A row deleted since the statement ran is no longer handed out.
            .filter(|at| store.sees(*at, answer.sight))
            .collect();
        let kin = Kin::of(store, locators, &answer.columns, &rows, answer.sight, ask);
        for (number, at) in rows.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            write_row_with(store, *at, &answer.columns, ask.version, Some(&kin), &mut out);
        }
    }
    out.push_str("]}");
    out
}

/// The condition of a statement with that of its scope.
fn test_of(cx: Context<'_>, table: usize, query: &Query) -> Result<Option<Test>, Refusal> {
    let own = query
        .filter
        .as_ref()
        .map(|expr| conditions::check(cx, table, query.alias.as_deref(), expr))
        .transpose()?;
    let scope = match &query.scope {
        Some(scope) if scope.text.eq_ignore_ascii_case("mine") => Some(mine(cx, table, scope)?),
        Some(scope) if !scope.text.eq_ignore_ascii_case("everything") => {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                scope.at,
                &format!("Scope '{}' is not emulated; everything and mine are", scope.text),
            ));
        }
        _ => None,
    };
    Ok(match (own, scope) {
        (Some(own), Some(scope)) => Some(Test::All(vec![own, scope])),
        (own, scope) => own.or(scope),
    })
}

/// Rows of the one user.
fn mine(cx: Context<'_>, table: usize, scope: &Name) -> Result<Test, Refusal> {
    let owner = cx.store.object(table).field("OwnerId").ok_or_else(|| {
        cx.source.refuse("MALFORMED_QUERY", scope.at, "Scope 'mine' is for types with an owner")
    })?;
    let user = Place { table: cx.store.find_table("User").unwrap_or_default(), index: 0 };
    let id = cx.store.id(user);
    let ids = [id.get(..15).unwrap_or(&id).to_owned()].into();
    let route = Route { hops: Vec::new(), leaf: Leaf::Field(owner), part: None };
    Ok(Test::AmongIds { route, ids, null: false })
}

fn aggregated(cx: Context<'_>, query: &Query, ask: Ask<'_>) -> Result<String, Refusal> {
    let table = table_of(cx, query)?;
    let grouping = aggregate::grouping(cx, table, query)?;
    let test = test_of(cx, table, query)?;
    let found = find(cx.store, table, test.as_ref(), &[], None, ask.sight());
    grouping.answer(cx, table, &found)
}

fn run(cx: Context<'_>, query: &Query, ask: Ask<'_>) -> Result<Answer, Refusal> {
    let store = cx.store;
    let table = table_of(cx, query)?;
    let count_only = matches!(query.select, Select::Count);
    let columns = match &query.select {
        Select::Count => Vec::new(),
        Select::Items(items) => columns(cx, table, query, items)?,
    };
    let test = test_of(cx, table, query)?;
    let order = sort_keys(cx, table, query)?;
    let wanted = query.limit.map(|limit| limit.saturating_add(query.offset));
    let found = find(store, table, test.as_ref(), &order, wanted, ask.sight());
    let total = found.len().saturating_sub(query.offset).min(query.limit.unwrap_or(u64::MAX));
    let page =
        if has_long_text(store, table, &columns) { ask.page.min(PAGE_WITH_LONG_TEXT) } else { ask.page };
    Ok(Answer {
        table,
        columns: Arc::new(columns),
        found,
        skip: query.offset,
        total,
        page,
        sight: ask.sight(),
        count_only,
    })
}
