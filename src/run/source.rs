//! The source of a run: pages of a search, of a feed of changes, or rows that were given.

use std::collections::HashSet;
use std::sync::Arc;

use super::content::Written;
use super::counts::Skip;
use super::entry::Place;
use super::journal::Journal;
use super::plan::{Mode, Plan};
use crate::error::{Error, ErrorKind, Position, Result};
use crate::mapping::document::{OnSourceDelete, Operation};
use crate::mapping::preview::selection;
use crate::mapping::{Mapping, Side};
use crate::provider::changes::{Feed, mark};
use crate::provider::search::{Prepared, RecordsExt as _, Search};
use crate::provider::{ChangeEntry, ChangeKind};
use crate::record::residual::Residual;
use crate::record::{Checkpoint, FieldPath, QueryDraft, Record};
use crate::rows::RowReader;

/// The member of a row that is fed back which tells what stands of it at the target.
const WRITTEN: &str = "@written";
/// Rows of a file that are handed out at once.
const ROWS: usize = 500;

/// One thing that was read.
#[derive(Debug)]
pub(super) struct Item {
    /// What tells it from the others of the run.
    pub(super) identity: String,
    /// The record's key, when it has one.
    pub(super) source_key: Option<String>,
    /// What a row that is fed back says of its record at the target, as JSON text.
    pub(super) written: Option<String>,
    pub(super) what: What,
}

impl Item {
    /// A number that stands for its content.
    pub(super) fn mark(&self) -> u64 {
        match &self.what {
            What::Record(record) => mark(&[b"record", record.as_str().as_bytes()]),
            What::Deleted => mark(&[b"deleted"]),
            What::LeftOut => mark(&[b"left out"]),
            What::Unreadable(_) => mark(&[b"unreadable"]),
        }
    }

    /// What stands of its record at the target, as the member `@written` tells it: in a file the row says so, in a feed
    /// the link to the record that was created before, where the mapping updates that.
    pub(super) fn stands(&self, mapping: &Mapping, link: Option<&str>) -> Option<String> {
        let linked = link.filter(|_| mapping.updates_created() && matches!(self.what, What::Record(_)));
        let linked = linked.map(|key| Written::before(mapping, key).to_text());
        self.written.clone().or(linked)
    }

    /// Why nothing is done for it; `link` is the record of the target that was made of it, as far as that is kept, and
    /// `shared` whether that stands for others as well.
    pub(super) fn skip(&self, mapping: &Mapping, link: Option<&str>, shared: bool) -> Option<Skip> {
        let ignores = matches!(mapping.on_source_delete, None | Some(OnSourceDelete::Ignore));
        match (&self.what, link) {
            (What::Unreadable(_), _) => None,
            (What::LeftOut, None) => Some(Skip::LeftOut),
            (What::LeftOut, Some(_)) => Some(Skip::Left),
            (What::Deleted, _) if ignores => Some(Skip::DeletionIgnored),
            // Of a row whose answer was lost nobody knows the key.
            (What::Deleted, None | Some("")) => Some(Skip::NeverWritten),
            (What::Deleted, _) if shared => Some(Skip::Shared),
            (What::Record(_), Some(link)) if mapping.target.operation == Operation::Create => {
                (link.is_empty() || !mapping.updates_created()).then_some(Skip::CreatedBefore)
            }
            (What::Deleted | What::Record(_), _) => None,
        }
    }
}

/// A page of a feed with the links of its records, in the order in which it is written: what frees values that may be there
/// only once comes first, and what is sent alike stands together. Where a record stands twice the order is the feed's.
pub(super) fn in_order(
    mapping: &Mapping,
    items: Vec<Item>,
    links: Vec<Option<String>>,
) -> (Vec<Item>, Vec<Option<String>>) {
    let mut seen = HashSet::new();
    if !items.iter().all(|item| seen.insert(item.identity.as_str())) {
        return (items, links);
    }
    let rank = |(item, link): &(Item, Option<String>)| match (&item.what, link) {
        (What::Deleted, _) => 0,
        (What::Record(_), Some(_)) if mapping.updates_created() => 1,
        _ => 2,
    };
    let mut page: Vec<(Item, Option<String>)> = items.into_iter().zip(links).collect();
    page.sort_by_key(rank);
    page.into_iter().unzip()
}

/// Whether the record of the target behind each deletion stands for other records of the source as well: for some that are
/// not deleted before it on this page.
pub(super) async fn shared(
    journal: &Journal,
    mapping: &Mapping,
    items: &[Item],
    links: &[Option<String>],
) -> Result<Vec<bool>> {
    let mut out = vec![false; items.len()];
    let deletions: Vec<(usize, &str, &str)> = items
        .iter()
        .zip(links)
        .enumerate()
        .filter_map(|(place, (item, link))| {
            let deleted = matches!(item.what, What::Deleted).then_some(item.source_key.as_deref()?);
            Some((place, deleted?, link.as_deref().filter(|link| !link.is_empty())?))
        })
        .collect();
    if deletions.is_empty() {
        return Ok(out);
    }
    let targets = deletions.iter().map(|(.., target)| (*target).to_owned()).collect();
    let sources = journal.sources(&mapping.name, targets, deletions.len() + 1).await?;
    let mut deleted: HashSet<&str> = HashSet::new();
    for ((place, source, _), sources) in deletions.into_iter().zip(&sources) {
        deleted.insert(source);
        out[place] = sources.iter().any(|other| !deleted.contains(other.as_str()));
    }
    Ok(out)
}

/// What was read.
#[derive(Debug)]
pub(super) enum What {
    /// A record.
    Record(Text),
    /// The record is gone.
    Deleted,
    /// A record that the mapping's conditions leave out.
    LeftOut,
    /// Something that cannot be read.
    Unreadable(Error),
}

/// The JSON text of a record, held by its page or by itself.
#[derive(Debug)]
pub(super) enum Text {
    Record(Record),
    Own(String),
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Record(record) => record.text(),
            Self::Own(text) => text,
        }
    }
}

/// A page of the source.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) items: Vec<Item>,
    /// Where reading goes on once all of it is done with.
    pub(super) next: Place,
}

/// Where records come from.
#[derive(Debug)]
pub(super) enum Source {
    Search { search: Box<Search>, place: Place, restart: Option<Box<Prepared>>, side: Side },
    Feed { feed: Box<Feed>, filter: Option<Residual>, ended: bool },
    Rows { rows: Box<RowReader<'static>>, index: u64, kind: Arc<crate::record::RecordType>, ended: bool },
}

impl Source {
    /// Opens the source of a run at a place.
    pub(super) async fn open(
        mapping: &Mapping,
        plan: &Plan,
        side: &Side,
        place: &Place,
        rows: Option<RowReader<'static>>,
    ) -> Result<Self> {
        let kind = side.records.record_type();
        let timezone = plan.zone()?;
        match &plan.mode {
            Mode::Rows(_) => {
                let rows = rows.ok_or_else(|| Error::bug("a run of rows got none"))?;
                Ok(Self::Rows { rows: Box::new(rows), index: 0, kind: Arc::clone(kind), ended: false })
            }
            Mode::Full => {
                let mut draft = draft(mapping)?;
                draft.limit = [draft.limit, plan.limit].into_iter().flatten().min();
                draft.select = selection(mapping, kind);
                let whole = side.records.prepare(&side.cx, &draft, &timezone).await?;
                let Place::Cursor(cursor) = place else {
                    let search = Search::start(Arc::clone(&side.records), side.cx.clone(), &whole);
                    return Ok(Self::Search {
                        search: Box::new(search),
                        place: Place::Start,
                        restart: None,
                        side: side.clone(),
                    });
                };
                draft.cursor = Some(cursor.clone());
                // What was done is known record by record, so that a place that is gone costs reading only.
                let prepared = match side.records.prepare(&side.cx, &draft, &timezone).await {
                    Ok(prepared) => prepared,
                    Err(error) if is_gone(&error) => whole.clone(),
                    Err(error) => return Err(error),
                };
                Ok(Self::Search {
                    search: Box::new(Search::start(Arc::clone(&side.records), side.cx.clone(), &prepared)),
                    place: place.clone(),
                    restart: Some(Box::new(whole)),
                    side: side.clone(),
                })
            }
            Mode::Changes => {
                let draft = draft(mapping)?;
                if draft.native.is_some() || draft.limit.is_some() || !draft.order_by.is_empty() {
                    return Err(Error::unsupported(
                        "changes are judged here, without native conditions, order and limit",
                    )
                    .with_advice(
                        "Say the mapping's query with \"where\" or \"filter\" alone, or run it whole",
                    ));
                }
                let resolved = side.records.resolve(&side.cx, &draft.paths()).await?;
                let query = draft.typed(&resolved, plan.now, &timezone)?;
                let mut select = selection(mapping, kind);
                if !select.is_empty() {
                    let besides: Vec<FieldPath> =
                        draft.paths().into_iter().filter(|path| !select.contains(path)).collect();
                    select.extend(besides.into_iter().filter(|path| resolved.field(path).is_some()));
                }
                let since = match place {
                    Place::Checkpoint(text) => Checkpoint::parse(text)?,
                    _ => Checkpoint::beginning(kind),
                };
                let feed = Feed::new(Arc::clone(&side.records), side.cx.clone(), select, Some(since));
                Ok(Self::Feed {
                    feed: Box::new(feed),
                    filter: query.filter.as_ref().map(Residual::new),
                    ended: false,
                })
            }
        }
    }

    /// The next page; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Read>> {
        match self {
            Self::Search { search, place, restart, side } => {
                let page = match search.next_page().await {
                    Err(error) if restart.is_some() && is_gone(&error) => {
                        let Some(whole) = restart.take() else { return Err(error) };
                        **search = Search::start(Arc::clone(&side.records), side.cx.clone(), &whole);
                        *place = Place::Start;
                        search.next_page().await?
                    }
                    other => other?,
                };
                *restart = None;
                let Some(page) = page else { return Ok(None) };
                let at = format!("{place:?}");
                let items = page.records.into_iter().zip(0_u64..).map(|(record, position)| match record {
                    Ok(record) => of_record(record),
                    Err(row) => {
                        let at = mark(&[at.as_bytes()]);
                        let error = row.error.with_position(Position::Row(row.position));
                        unreadable(format!("!{at:016x}:{position}"), error)
                    }
                });
                let items = items.collect();
                if let Some(next) = page.next {
                    *place = Place::Cursor(next.to_text());
                }
                Ok(Some(Read { items, next: place.clone() }))
            }
            Self::Feed { feed, filter, ended } => {
                if *ended {
                    return Ok(None);
                }
                let page = feed.next_page().await?;
                if let Some(notice) = &page.notice {
                    tracing::warn!(notice, "the feed of changes");
                }
                *ended = !page.more;
                let items = page.changes.into_iter().zip(0_u64..);
                let items = items.map(|(change, position)| of_change(change, position, filter.as_ref()));
                Ok(Some(Read { items: items.collect(), next: Place::Checkpoint(page.checkpoint.to_text()) }))
            }
            Self::Rows { rows, index, kind, ended } => {
                if *ended {
                    return Ok(None);
                }
                let mut items = Vec::with_capacity(ROWS);
                while items.len() < ROWS {
                    let Some(row) = rows.next() else {
                        *ended = true;
                        break;
                    };
                    let row = row?;
                    let written = row.members.iter().find(|(name, _)| name == WRITTEN);
                    let written = written.map(|(_, value)| value.get()).filter(|text| *text != "null");
                    let written = written.map(str::to_owned);
                    let (json, key) = row.into_record(kind);
                    items.push(Item {
                        identity: format!("!row:{index}"),
                        source_key: key,
                        written,
                        what: What::Record(Text::Own(json)),
                    });
                    *index += 1;
                }
                Ok(Some(Read { items, next: Place::Start }))
            }
        }
    }
}

/// How many records a run reads, when the provider can tell without listing them.
pub(super) async fn total(mapping: &Mapping, plan: &Plan, side: &Side) -> Result<Option<u64>> {
    let draft = draft(mapping)?;
    let limit = [draft.limit, plan.limit].into_iter().flatten().min();
    let prepared = side.records.prepare(&side.cx, &draft, &plan.zone()?).await?;
    if prepared.plan.residual.is_some() {
        return Ok(None);
    }
    let counted = side.records.count(&side.cx, &prepared.plan).await?;
    Ok(counted.map(|counted| limit.map_or(counted, |limit| counted.min(limit))))
}

/// Where a new run begins to read.
pub(super) async fn beginning(journal: &Journal, mapping: &Mapping, plan: &Plan) -> Result<Place> {
    let followed = match plan.mode {
        Mode::Changes => journal.followed(&mapping.name, &name_of(mapping)).await?,
        Mode::Full | Mode::Rows(_) => None,
    };
    Ok(followed.map_or(Place::Start, Place::Checkpoint))
}

/// The source that a checkpoint is of.
pub(super) fn name_of(mapping: &Mapping) -> String {
    format!("{} {}", mapping.source.connection, mapping.source.record_type)
}

/// The mapping's query.
fn draft(mapping: &Mapping) -> Result<QueryDraft> {
    match &mapping.source.query {
        Some(query) => QueryDraft::from_json(&query.tree()),
        None => Ok(QueryDraft::default()),
    }
}

/// Whether an error means that a stored place is of no use any more, rather than that nothing can be read.
fn is_gone(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::Unsupported
            | ErrorKind::Conflict
    )
}

fn of_record(record: Record) -> Item {
    let key = record.key.to_string();
    Item {
        identity: key.clone(),
        source_key: Some(key),
        written: None,
        what: What::Record(Text::Record(record)),
    }
}

fn unreadable(identity: String, error: Error) -> Item {
    Item { identity, source_key: None, written: None, what: What::Unreadable(error) }
}

fn of_change(change: ChangeEntry, position: u64, filter: Option<&Residual>) -> Item {
    match (change.change, change.record, change.key) {
        (ChangeKind::Deleted, _, Some(key)) => {
            let key = key.to_string();
            Item { identity: key.clone(), source_key: Some(key), written: None, what: What::Deleted }
        }
        (ChangeKind::Deleted, _, None) => {
            let alternate = change.alternate.unwrap_or_default().to_string();
            let error = Error::unsupported(format!(
                "a record was deleted of which only {alternate} is told, so that its target cannot be found"
            ));
            unreadable(format!("!{alternate}"), error)
        }
        (_, Some(record), _) => match filter.map_or(Ok(true), |filter| filter.matches(&record)) {
            Ok(true) => of_record(record),
            Ok(false) => Item { what: What::LeftOut, ..of_record(record) },
            Err(error) => {
                let key = record.key.to_string();
                unreadable(key.clone(), error.with_key(key))
            }
        },
        (_, None, key) => {
            let key = key.map(|key| key.to_string()).unwrap_or_else(|| format!("!{position}"));
            unreadable(key, Error::protocol("the provider told a change without its record"))
        }
    }
}
