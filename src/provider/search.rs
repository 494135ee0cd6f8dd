//! The search engine: the loop around [`Records::page`], written once for every provider.
//!
//! One page is fetched ahead while the one before is consumed, so that a search holds two pages at most.
//! Dropping a [`Search`] aborts the request under way.

use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, Stream, StreamExt as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::pushdown::MOST_ORDERED_HERE;
use super::{Context, Doer, Plan, Records};
use crate::error::{Error, Position, Result};
use crate::record::projection::Projection;
use crate::record::query::Filter;
use crate::record::residual::{Ordered, Rank, Residual};
use crate::record::value::ValueKind;
use crate::record::{Cursor, EngineMark, Page, QueryDraft, Record, RowError};

/// Records per page of a result that was ordered here.
const ORDERED_PAGE: usize = 500;

/// A search that is planned and can be run.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The plan, for explain and checkpoints.
    pub plan: Arc<Plan>,
    /// Where to go on, when the query had a cursor.
    pub at: Option<Cursor>,
    /// The moment that relative values refer to.
    pub now: Timestamp,
    ordered: Option<Ordered>,
}

/// One page of a search's result.
#[derive(Debug)]
pub struct SearchPage {
    /// The records that fulfil the query; one that cannot be read takes its own place.
    pub records: Vec<Result<Record, RowError>>,
    /// Where to go on after this page. `None` when nothing follows, and for results that were ordered here:
    /// such a search cannot be resumed.
    pub next: Option<Cursor>,
}

/// What every provider's records can do, written once.
#[async_trait]
pub trait RecordsExt: Records {
    /// Resolves, types and plans a query. With a cursor, relative moments are those of the search that the
    /// cursor came from.
    ///
    /// # Errors
    /// Invalid input, conditions that cannot be evaluated on either side, a cursor of another query.
    async fn prepare(&self, cx: &Context, draft: &QueryDraft, timezone: &TimeZone) -> Result<Prepared> {
        let at = draft.cursor.as_deref().map(Cursor::parse).transpose()?;
        let now = at.as_ref().and_then(|cursor| cursor.engine.now).unwrap_or_else(|| cx.clock.now());
        let resolved = self.resolve(cx, &draft.paths()).await?;
        let query = draft.typed(&resolved, now, timezone)?;
        let plan = self.plan(&query, &resolved)?;
        if let Some(at) = &at {
            plan.accept(at)?;
        }
        let ordered = (plan.order == Doer::Here).then(|| {
            Ordered::new(&plan.order_by, |path| {
                let field = resolved.field(path);
                let kind = field.and_then(|field| field.field_type.value_kind()).unwrap_or(ValueKind::Text);
                (kind, field.is_some_and(|field| field.empty_is_null))
            })
        });
        if ordered.is_some() && at.is_some() {
            return Err(Error::unsupported("a search that is ordered here cannot be resumed")
                .with_advice("Start it again without a cursor"));
        }
        Ok(Prepared { plan: Arc::new(plan), at, now, ordered })
    }
}

impl<T: Records + ?Sized> RecordsExt for T {}

/// Counts what a search would return: at the provider when everything is evaluated there, else by reading its
/// pages.
///
/// # Errors
/// What the provider refuses; a record that cannot be read.
pub async fn count(records: Arc<dyn Records>, cx: &Context, prepared: &Prepared) -> Result<u64> {
    let plan = &prepared.plan;
    if plan.residual.is_none()
        && prepared.at.is_none()
        && let Some(counted) = records.count(cx, plan).await?
    {
        return Ok(plan.limit.map_or(counted, |limit| counted.min(limit)));
    }
    // Which records come first does not matter to their number.
    let unordered = Prepared { ordered: None, ..prepared.clone() };
    let mut search = Search::start(records, cx.clone(), &unordered);
    let mut counted = 0;
    while let Some(page) = search.next_page().await? {
        for record in page.records {
            record.map_err(|row| row.error.with_position(Position::Row(row.position)))?;
            counted += 1;
        }
    }
    Ok(counted)
}

/// A running search.
#[derive(Debug)]
pub struct Search {
    fetch: Fetch,
    residual: Option<Residual>,
    projection: Option<Projection>,
    ordered: Option<Ordered>,
    limit: Option<u64>,
    left: Option<u64>,
    now: Timestamp,
    /// Hashes of the keys of the page before, against a record that comes again on the next.
    recent: Hashes,
    /// Those of the page being read; kept so that their space is used again.
    present: Hashes,
    last: Option<String>,
    hasher: RandomState,
    duplicates: u64,
    ready: VecDeque<SearchPage>,
    /// An error to report when everything before it has been delivered.
    failed: Option<Error>,
    finished: bool,
}

impl Search {
    /// Begins a search; nothing is sent before the first page is asked for.
    #[must_use]
    pub fn start(records: Arc<dyn Records>, cx: Context, prepared: &Prepared) -> Self {
        let plan = Arc::clone(&prepared.plan);
        let left = match &prepared.at {
            Some(at) => at.engine.left.or(plan.limit),
            None => plan.limit,
        };
        let nothing = left == Some(0) || plan.residual.as_ref() == Some(&Filter::Or(Vec::new()));
        Self {
            residual: plan.residual.as_ref().map(Residual::new),
            projection: Projection::new(&plan.select, &plan.fetched_besides),
            ordered: prepared.ordered.clone(),
            limit: plan.limit,
            left,
            now: prepared.now,
            recent: Hashes::default(),
            present: Hashes::default(),
            last: prepared.at.as_ref().and_then(|at| at.engine.last.clone()),
            hasher: RandomState::new(),
            duplicates: 0,
            ready: VecDeque::new(),
            failed: None,
            finished: nothing,
            fetch: Fetch::new(records, cx, plan, prepared.at.clone()),
        }
    }

    /// How many records the provider delivered twice on neighbouring pages; they are returned once.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The next page, `None` after the last. A page can be empty and yet have a cursor: that is progress. An
    /// error ends the search; the cursor of the page before goes on where it happened.
    ///
    /// # Errors
    /// What the provider refuses, a cursor that comes again and again, a result shorter than announced
    /// (`short_result`, after all records that did come).
    pub async fn next_page(&mut self) -> Result<Option<SearchPage>> {
        if let Some(page) = self.ready.pop_front() {
            return Ok(Some(page));
        }
        if let Some(error) = self.failed.take() {
            self.finished = true;
            return Err(error);
        }
        if self.finished {
            return Ok(None);
        }
        let page =
            if self.ordered.is_some() { self.ordered_result().await } else { self.limited_page().await };
        if page.is_err() {
            self.finished = true;
            self.fetch.stop();
        }
        page
    }

    /// The pages as a stream that ends after its first error.
    pub fn into_pages(self) -> impl Stream<Item = Result<SearchPage>> + Send {
        stream::unfold(self, |mut search| async move {
            let page = search.next_page().await.transpose()?;
            Some((page, search))
        })
    }

    /// The records as a stream. A record that cannot be read is an error with its position in its page, and
    /// the stream goes on behind it; after any other error it ends.
    pub fn into_records(self) -> impl Stream<Item = Result<Record>> + Send {
        self.into_pages().flat_map(|page| {
            let records = match page {
                Ok(page) => page
                    .records
                    .into_iter()
                    .map(|record| record.map_err(|row| row.error.with_position(Position::Row(row.position))))
                    .collect(),
                Err(error) => vec![Err(error)],
            };
            stream::iter(records)
        })
    }

    /// A page with the limit applied, and the next one on its way.
    async fn limited_page(&mut self) -> Result<Option<SearchPage>> {
        let mut arrived = self.fetch.arrive().await?;
        let mut records = self.evaluate(arrived.page.records);
        if let Some(left) = &mut self.left {
            let most = usize::try_from(*left).unwrap_or(usize::MAX);
            let mut taken = 0;
            let keep = records
                .iter()
                .position(|record| {
                    taken += usize::from(record.is_ok());
                    taken == most
                })
                .map_or(records.len(), |last| last + 1);
            records.truncate(keep);
            *left -= u64::try_from(taken).unwrap_or(*left).min(*left);
        }
        let limit_reached = self.left == Some(0);
        if limit_reached {
            arrived.page.next = None;
        }
        let next = match arrived.page.next {
            Some(mut cursor) => {
                cursor.engine = EngineMark { left: self.left, now: Some(self.now), last: self.last.clone() };
                self.fetch.ahead(cursor.clone());
                Some(cursor)
            }
            None => {
                self.finished = true;
                if !limit_reached {
                    self.failed = arrived.short;
                }
                None
            }
        };
        let mut page = SearchPage { records, next };
        self.project(&mut page.records);
        Ok(Some(page))
    }

    /// Reads everything and keeps the first records of the order; memory is bounded by the limit.
    async fn ordered_result(&mut self) -> Result<Option<SearchPage>> {
        let most = usize::try_from(self.limit.unwrap_or(MOST_ORDERED_HERE)).unwrap_or(usize::MAX);
        let mut heap: BinaryHeap<Ranked> = BinaryHeap::new();
        let mut unreadable = Vec::new();
        let mut short = None;
        loop {
            let arrived = self.fetch.arrive().await?;
            if let Some(cursor) = arrived.page.next {
                self.fetch.ahead(cursor);
            } else {
                self.finished = true;
                short = arrived.short;
            }
            for (record, position) in self.evaluate(arrived.page.records).into_iter().zip(0_u64..) {
                let ranked = record.and_then(|record| {
                    let ordered = self.ordered.as_ref().map(|ordered| ordered.rank(&record));
                    match ordered {
                        Some(Ok(rank)) => Ok((rank, record)),
                        Some(Err(error)) => Err(RowError { position, error }),
                        None => Err(RowError { position, error: Error::bug("an order is missing") }),
                    }
                });
                match ranked {
                    Ok((rank, record)) => {
                        let better = heap.len() < most
                            || heap
                                .peek()
                                .is_some_and(|worst| (&rank, &record.key) < (&worst.rank, &worst.record.key));
                        if better {
                            heap.push(Ranked { rank, record: record.detach() });
                            if heap.len() > most {
                                heap.pop();
                            }
                        }
                    }
                    Err(error) if unreadable.len() < most => unreadable.push(Err(error)),
                    Err(error) => return Err(error.error),
                }
            }
            if self.finished {
                break;
            }
        }
        self.failed = short;
        let mut records: Vec<Result<Record, RowError>> = unreadable;
        records.extend(heap.into_sorted_vec().into_iter().map(|ranked| Ok(ranked.record)));
        self.project(&mut records);
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let page = records.by_ref().take(ORDERED_PAGE).collect();
            self.ready.push_back(SearchPage { records: page, next: None });
        }
        Ok(Some(self.ready.pop_front().unwrap_or(SearchPage { records: Vec::new(), next: None })))
    }

    /// Drops what came twice and what the residual does not let pass.
    fn evaluate(&mut self, records: Vec<Result<Record, RowError>>) -> Vec<Result<Record, RowError>> {
        let mut keys = std::mem::take(&mut self.present);
        keys.clear();
        keys.reserve(records.len());
        let mut out = Vec::with_capacity(records.len());
        let before = self.last.take();
        let count = records.len();
        let mut last = None;
        for (record, (position, number)) in records.into_iter().zip((0_u64..).zip(1..)) {
            let record = match record {
                Ok(record) => record,
                Err(row) => {
                    out.push(Err(row));
                    continue;
                }
            };
            let hash = self.hasher.hash_one(&record.key);
            let resumed_on = self.recent.is_empty()
                && position == 0
                && before.as_ref().is_some_and(|last| *last == record.key.to_string());
            let twice = resumed_on || self.recent.contains(&hash) || !keys.insert(hash);
            if twice {
                keys.insert(hash);
                self.duplicates += 1;
                tracing::warn!(key = %record.key, "a record came twice and is returned once");
                continue;
            }
            if number == count {
                last = Some(record.key.to_string());
            }
            match self.residual.as_ref().map_or(Ok(true), |residual| residual.matches(&record)) {
                Ok(true) => out.push(Ok(record)),
                Ok(false) => {}
                Err(error) => {
                    let error = error.with_key(record.key.to_string());
                    out.push(Err(RowError { position, error }));
                }
            }
        }
        self.last = last.or(before);
        if !keys.is_empty() {
            std::mem::swap(&mut self.recent, &mut keys);
        }
        self.present = keys;
        out
    }

    fn project(&self, records: &mut Vec<Result<Record, RowError>>) {
        let Some(projection) = &self.projection else { return };
        *records = std::mem::take(records)
            .into_iter()
            .zip(0_u64..)
            .map(|(record, position)| projection.apply(record?).map_err(|error| RowError { position, error }))
            .collect();
    }
}

/// A set of hashes, which are not hashed once more.
type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Debug)]
struct Ranked {
    rank: Rank,
    record: Record,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.rank, &self.record.key).cmp(&(&other.rank, &other.record.key))
    }
}

/// The chain of requests.
#[derive(Debug)]
struct Fetch {
    records: Arc<dyn Records>,
    cx: Context,
    plan: Arc<Plan>,
    /// Where the request goes that was not sent yet.
    at: Option<Cursor>,
    under_way: Option<UnderWay>,
    hasher: RandomState,
    /// Hashes of the cursors that were asked for.
    asked: HashSet<u64>,
}

#[derive(Debug)]
struct UnderWay {
    at: Option<Cursor>,
    task: JoinHandle<Result<Page>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Arrived {
    page: Page,
    /// Set on the last page when fewer records came than the provider had announced.
    short: Option<Error>,
}

impl Fetch {
    fn new(records: Arc<dyn Records>, cx: Context, plan: Arc<Plan>, at: Option<Cursor>) -> Self {
        Self { records, cx, plan, at, under_way: None, hasher: RandomState::new(), asked: HashSet::new() }
    }

    fn send(&mut self, at: Option<Cursor>) -> UnderWay {
        let (records, cx, plan) = (Arc::clone(&self.records), self.cx.clone(), Arc::clone(&self.plan));
        let place = at.clone();
        let task =
            tokio::spawn(async move { records.page(&cx, &plan, place.as_ref()).await }.in_current_span());
        UnderWay { at, task }
    }

    fn ahead(&mut self, cursor: Cursor) {
        self.under_way = Some(self.send(Some(cursor)));
    }

    fn stop(&mut self) {
        self.under_way = None;
    }

    async fn arrive(&mut self) -> Result<Arrived> {
        let mut under_way = match self.under_way.take() {
            Some(under_way) => under_way,
            None => {
                let at = self.at.take();
                self.send(at)
            }
        };
        let page = (&mut under_way.task).await.map_err(|source| {
            if source.is_cancelled() {
                Error::new(crate::error::ErrorKind::Cancelled, "the search was stopped")
            } else {
                Error::bug("reading a page failed").with_source(source)
            }
        })??;
        let came = u64::try_from(page.records.len()).unwrap_or(u64::MAX);
        let seen = under_way.at.as_ref().map_or(0, |at| at.seen).saturating_add(came);
        if let Some(at) = &under_way.at {
            self.asked.insert(self.hasher.hash_one(at.position.to_string()));
        }
        let mut short = None;
        match &page.next {
            Some(next) => {
                if self.asked.contains(&self.hasher.hash_one(next.position.to_string())) {
                    return Err(self.named(
                        Error::protocol("the provider leads back to a page that was read already")
                            .with_code("repeated_cursor")
                            .with_advice("Start the search again; what was read so far is incomplete"),
                    ));
                }
            }
            None => {
                if let Some(total) = page.total
                    && total > seen
                {
                    short = Some(
                        self.named(
                            Error::protocol(format!(
                                "the provider announced {total} records and ended after {seen}"
                            ))
                            .with_code("short_result")
                            .with_advice("What was read is incomplete; start the search again"),
                        ),
                    );
                }
            }
        }
        Ok(Arrived { page, short })
    }

    fn named(&self, error: Error) -> Error {
        error
            .with_operation("search")
            .with_provider(self.plan.record_type.provider.as_str())
            .with_connection(self.cx.connection.as_str())
            .with_record_type(self.plan.record_type.name.as_str())
    }
}
