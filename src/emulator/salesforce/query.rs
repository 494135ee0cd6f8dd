//! Runs SOQL and hands out its rows in pages behind locators.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::columns::{Column, columns, has_long_text};
use super::conditions::{self, Context};
use super::errors::Refusal;
use super::found::{Found, find, sort_keys, table_of};
use super::locators::{self, Locators};
use super::render::write_row;
use super::rows::{Place, Store};
use super::soql;
use super::statement::{Select, Source};

const LARGEST_PAGE: u64 = 2000;
const SMALLEST_PAGE: u64 = 200;
/// Rows in a page when a long text is selected.
const PAGE_WITH_LONG_TEXT: u64 = 1000;

/// A statement that was checked and run: what is left is to write pages.
#[derive(Debug)]
pub(super) struct Answer {
    table: usize,
    columns: Vec<Column>,
    found: Found,
    /// LIMIT and OFFSET as a part of `found`.
    skip: u64,
    pub(super) total: u64,
    pub(super) page: u64,
    /// Soft-deleted rows are part of the result.
    with_deleted: bool,
    count_only: bool,
}

/// What a request says besides the statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// `v60.0`.
    pub(super) version: &'a str,
    pub(super) now: Timestamp,
    pub(super) page: u64,
    pub(super) with_deleted: bool,
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
    let answer = Arc::new(run(store, text, ask)?);
    let mut out = String::new();
    let mut end = answer.page.min(answer.total);
    if answer.count_only {
        end = answer.total;
    }
    let next = (end < answer.total).then(|| locators.open(store, Arc::clone(&answer), ask.now));
    write_page(store, &answer, 0, end, next.as_deref(), ask, &mut out);
    Ok(out)
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
    let mut out = String::new();
    write_page(store, &answer, offset, end, next, ask, &mut out);
    Ok(out)
}

fn write_page(
    store: &Store,
    answer: &Answer,
    from: u64,
    to: u64,
    next: Option<&str>,
    ask: Ask<'_>,
    out: &mut String,
) {
    use std::fmt::Write as _;
    let _ = write!(out, "{{\"totalSize\":{},\"done\":{}", answer.total, next.is_none());
    if let Some(locator) = next {
        let _ = write!(out, ",\"nextRecordsUrl\":\"/services/data/{}/query/{locator}-{to}\"", ask.version);
    }
    out.push_str(",\"records\":[");
    let mut first = true;
    if !answer.count_only {
        for place in from..to {
            let Some(index) = answer.found.at(answer.skip + place) else { break };
            let at = Place { table: answer.table, index };
            // A row deleted since the statement ran is no longer handed out.
            if !answer.with_deleted && !store.is_live(at) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            write_row(store, at, &answer.columns, ask.version, out);
        }
    }
    out.push_str("]}");
}

fn run(store: &Store, text: &str, ask: Ask<'_>) -> Result<Answer, Refusal> {
    let query = soql::parse(text)?;
    let source = Source(text);
    let today = Offset::UTC.to_datetime(ask.now).date();
    let cx = Context { store, source, today };
    let table = table_of(cx, &query)?;
    let count_only = matches!(query.select, Select::Count);
    let columns = match &query.select {
        Select::Count => Vec::new(),
        Select::Items(items) => columns(cx, table, &query, items)?,
    };
    let test = query
        .filter
        .as_ref()
        .map(|expr| conditions::check(cx, table, query.alias.as_deref(), expr))
        .transpose()?;
    let order = sort_keys(cx, table, &query)?;
    let wanted = query.limit.map(|limit| limit.saturating_add(query.offset));
    let found = find(store, table, test.as_ref(), &order, wanted, ask.with_deleted);
    let total = found.len().saturating_sub(query.offset).min(query.limit.unwrap_or(u64::MAX));
    let page =
        if has_long_text(store, table, &columns) { ask.page.min(PAGE_WITH_LONG_TEXT) } else { ask.page };
    Ok(Answer {
        table,
        columns,
        found,
        skip: query.offset,
        total,
        page,
        with_deleted: ask.with_deleted,
        count_only,
    })
}
