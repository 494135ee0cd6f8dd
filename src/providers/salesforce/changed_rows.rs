//! What the feed of changes asks Salesforce for: rows by the moment of their change, rows by id, the ids that
//! are there, and the log of deletions.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::api;
use super::discover::{BATCH, PAGE_MAX};
use super::query::{self, Statement};
use super::records::SalesforceRecords;
use super::{dialect, pages, paths, soql};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Call, Reply};
use crate::provider::Context;
use crate::provider::changes::KeySet;
use crate::record::transcode::{self, Conversion, Member, Shape};
use crate::record::{Checkpoint, FieldPath, Record, RecordType};

/// The fields that tell when a row changed, the best first: the first one also moves when Salesforce itself
/// changes a row.
pub(super) const STAMPS: [&str; 3] = ["SystemModstamp", "LastModifiedDate", "CreatedDate"];
/// The field that tells whether a row lies in the recycle bin.
pub(super) const DELETED: &str = "IsDeleted";
const CREATED: &str = "CreatedDate";
/// Rows of one page of the feed.
pub(super) const PAGE: u64 = 2000;

/// A row as the feed sees it.
#[derive(Debug)]
pub(super) struct ChangedRow {
    /// The 18-character id.
    pub(super) id: String,
    pub(super) stamp: Timestamp,
    pub(super) deleted: bool,
    pub(super) created: Option<Timestamp>,
    pub(super) record: Record,
}

/// One answer of the feed's query.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) rows: Vec<ChangedRow>,
    /// Salesforce's own time when it answered.
    pub(super) time: Option<Timestamp>,
    /// Whether there are rows behind the last one.
    pub(super) more: bool,
}

/// Asks for changed rows with one selection.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    records: &'a SalesforceRecords,
    cx: &'a Context,
    statement: Statement,
    stamp: &'static str,
    shape: Shape,
    sights: Shape,
}

/// What is read of each row besides the record.
#[derive(Debug, Deserialize)]
struct Sight {
    stamp: Timestamp,
    #[serde(default)]
    deleted: Option<bool>,
    #[serde(default)]
    created: Option<Timestamp>,
}

impl<'a> Asker<'a> {
    pub(super) async fn new(
        records: &'a SalesforceRecords,
        cx: &'a Context,
        select: &[FieldPath],
    ) -> Result<Self> {
        let record_type = records.record_type_here();
        let has = |name: &&str| record_type.field(name).is_some();
        let stamp = STAMPS.into_iter().find(has).ok_or_else(|| {
            Error::unsupported(format!("{} does not tell when its records change", record_type.name))
        })?;
        let resolved = paths::resolve(&records.org, cx, &records.described, select).await?;
        let extra: Vec<&str> =
            std::iter::once(stamp).chain([DELETED, CREATED].into_iter().filter(has)).collect();
        let statement = Statement {
            columns: query::columns(select, &[], record_type, &resolved)?,
            extra: extra.iter().map(ToString::to_string).collect(),
            ..bare(record_type)
        };
        let member = |wire: &str, out: &str, conversion| Member {
            wire: wire.to_owned(),
            out: out.to_owned(),
            conversion,
        };
        let sights = Shape::new([
            member(stamp, "stamp", Conversion::Instant),
            member(DELETED, "deleted", Conversion::Raw),
            member(CREATED, "created", Conversion::Instant),
        ])
        .with_key(["Id"]);
        let shape = statement.shape(&[], &records.prefixes);
        Ok(Self { records, cx, statement, stamp, shape, sights })
    }

    /// A page of rows that changed at a moment or later, behind a row when one is given.
    pub(super) async fn behind(
        &self,
        from: Option<Timestamp>,
        at: Option<&(Timestamp, String)>,
    ) -> Result<Answered> {
        let literal = |moment: Timestamp| {
            soql::instant(moment)
                .ok_or_else(|| Checkpoint::useless("the checkpoint holds an impossible moment"))
        };
        let stamp = self.stamp;
        let condition = match (at, from) {
            (Some((moment, id)), _) => {
                let moment = literal(*moment)?;
                Some(format!("({stamp} = {moment} AND Id > {}) OR {stamp} > {moment}", soql::quoted(id)))
            }
            (None, Some(from)) => Some(format!("{stamp} >= {}", literal(from)?)),
            (None, None) => None,
        };
        let statement = Statement {
            condition,
            order: Some(format!("{stamp} ASC, Id ASC")),
            limit: Some(PAGE),
            ..self.statement.clone()
        };
        self.ask(&statement).await
    }

    /// Rows with these ids, deleted ones included.
    pub(super) async fn by_id(&self, ids: &[String]) -> Result<Vec<ChangedRow>> {
        let mut rows = Vec::with_capacity(ids.len());
        for part in ids.chunks(BATCH) {
            let statement = Statement { condition: Some(among(part)), ..self.statement.clone() };
            rows.extend(self.ask(&statement).await?.rows);
        }
        Ok(rows)
    }

    async fn ask(&self, statement: &Statement) -> Result<Answered> {
        let read = read_all(self.records, self.cx, statement, &[&self.sights, &self.shape]).await?;
        let [sights, records] = read.records.as_slice() else {
            return Err(Error::bug("an answer was not read in both shapes"));
        };
        let rows = sights.iter().zip(records).map(|(sight, record)| {
            let read: Sight = serde_json::from_slice(&sight.json).map_err(|source| {
                Error::protocol("a changed record does not tell when it changed")
                    .with_code("bad_record")
                    .with_key(sight.key.to_string())
                    .with_source(source)
            })?;
            Ok(ChangedRow {
                id: sight.key.to_string(),
                stamp: read.stamp,
                deleted: read.deleted == Some(true),
                created: read.created,
                record: record.clone(),
            })
        });
        Ok(Answered { rows: rows.collect::<Result<_>>()?, time: read.time, more: read.more })
    }
}

fn among(ids: &[impl AsRef<str>]) -> String {
    let literals: Vec<String> = ids.iter().map(|id| soql::quoted(id.as_ref())).collect();
    format!("Id IN ({})", literals.join(", "))
}

/// A statement that selects the Id alone. Where rows can lie in the recycle bin they are among the found.
fn bare(record_type: &RecordType) -> Statement {
    Statement {
        object: record_type.name.as_str().to_owned(),
        columns: Vec::new(),
        extra: Vec::new(),
        condition: None,
        order: None,
        limit: None,
        deleted: record_type.field(DELETED).is_some(),
        page_size: PAGE_MAX,
    }
}

/// All rows of a statement, in each of some shapes.
struct Read {
    records: Vec<Vec<Record>>,
    time: Option<Timestamp>,
    /// Whether the answer ended before its end.
    more: bool,
}

/// Reads a statement to its end, so that no locator stays open. A locator that dies on the way ends it early.
async fn read_all(
    records: &SalesforceRecords,
    cx: &Context,
    statement: &Statement,
    shapes: &[&Shape],
) -> Result<Read> {
    let text = statement.text(None, None);
    let mut call = api::query("changes", &records.org.version, &text, statement.deleted, PAGE_MAX);
    let mut read = Read { records: shapes.iter().map(|_| Vec::new()).collect(), time: None, more: false };
    let mut links = HashSet::new();
    loop {
        let page = match fetch(cx, call, shapes).await {
            Err(error) if !links.is_empty() && is_dead_locator(&error) => {
                read.more = true;
                break;
            }
            page => page?,
        };
        read.time = read.time.or(page.time);
        for (all, more) in read.records.iter_mut().zip(page.records) {
            all.extend(more);
        }
        let Some(link) = page.next else {
            let came = read.records.first().map_or(0, Vec::len) as u64;
            let whole = statement.limit.is_some_and(|limit| came >= limit);
            // What Salesforce had announced and did not give is asked for behind the last row that came.
            read.more = whole || page.total.is_some_and(|total| total > came);
            break;
        };
        if !links.insert(link.clone()) {
            return Err(Error::protocol("Salesforce leads back to a page that was read already")
                .with_code("repeated_cursor"));
        }
        call = api::next_page(&link, PAGE_MAX)?;
    }
    if read.more && read.records.first().is_none_or(Vec::is_empty) {
        return Err(Error::protocol("Salesforce announced records and gave none").with_code("short_result"));
    }
    Ok(read)
}

struct Fetched {
    records: Vec<Vec<Record>>,
    next: Option<String>,
    total: Option<u64>,
    time: Option<Timestamp>,
}

/// One page. An answer or a row that cannot be read is asked for once more; then it is an error, since a feed
/// must not pass a change by.
async fn fetch(cx: &Context, call: Call, shapes: &[&Shape]) -> Result<Fetched> {
    match fetched(&pages::fetch(cx, call.clone()).await?, shapes) {
        Err(error) if error.kind() == ErrorKind::Protocol => fetched(&pages::fetch(cx, call).await?, shapes),
        read => read,
    }
}

fn fetched(reply: &Reply, shapes: &[&Shape]) -> Result<Fetched> {
    let mut out = Fetched { records: Vec::new(), next: None, total: None, time: time_of(reply) };
    for shape in shapes {
        let answer = pages::read(reply, shape)?;
        let records = answer.records.into_iter().map(|row| {
            row.map_err(|row| {
                row.error.with_advice("Leave the field out with a selection, or mend the record")
            })
        });
        out.records.push(records.collect::<Result<Vec<Record>>>()?);
        (out.next, out.total) = (answer.next, answer.total);
    }
    Ok(out)
}

fn time_of(reply: &Reply) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(reply.header("date")?).ok().map(|moment| moment.timestamp())
}

fn is_dead_locator(error: &Error) -> bool {
    matches!(error.code(), Some("INVALID_QUERY_LOCATOR" | "QUERY_LOCATOR_EXPIRED"))
}

/// Fifteen characters of an id: the rest is a checksum.
pub(super) fn short(id: &str) -> &str {
    id.get(..15).unwrap_or(id)
}

/// The short ids of all records, and Salesforce's time before they were read. `None` in place of the ids when
/// there are more than `most`.
pub(super) async fn present(
    records: &SalesforceRecords,
    cx: &Context,
    most: Option<usize>,
) -> Result<(Option<KeySet>, Option<Timestamp>)> {
    let record_type = records.record_type_here();
    let statement = Statement {
        condition: record_type.field(DELETED).map(|_| format!("{DELETED} = false")),
        order: Some("Id ASC".to_owned()),
        limit: Some(PAGE),
        ..bare(record_type)
    };
    let shape = statement.shape(&[], &records.prefixes);
    let mut time = None;
    if let Some(most) = most {
        let text = statement.count_text();
        let call = api::query("changes", &records.org.version, &text, statement.deleted, PAGE_MAX);
        let reply = cx.send(call).await?;
        time = time_of(&reply);
        let total: Option<u64> = transcode::cut_page(&reply.body, "records")?.member("totalSize")?;
        if total.is_none_or(|total| total > most as u64) {
            return Ok((None, time));
        }
    }
    let mut ids = Vec::new();
    loop {
        let behind = ids.last().map(|last: &String| format!("Id > {}", soql::quoted(last)));
        let condition = match (statement.condition.clone(), behind) {
            (Some(one), Some(other)) => Some(format!("{one} AND {other}")),
            (one, other) => one.or(other),
        };
        let read = read_all(records, cx, &Statement { condition, ..statement.clone() }, &[&shape]).await?;
        time = time.or(read.time);
        ids.extend(read.records.iter().flatten().map(|record| record.key.to_string()));
        if !read.more {
            break;
        }
    }
    Ok((Some(ids.iter().map(|id| short(id).to_owned()).collect()), time))
}

/// Which of some ids belong to records that are there and not deleted; short ids.
pub(super) async fn alive(
    records: &SalesforceRecords,
    cx: &Context,
    ids: &[String],
) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for part in ids.chunks(BATCH) {
        let statement =
            Statement { condition: Some(among(part)), deleted: false, ..bare(records.record_type_here()) };
        let shape = statement.shape(&[], &HashMap::new().into());
        let read = read_all(records, cx, &statement, &[&shape]).await?;
        found.extend(read.records.iter().flatten().map(|record| short(&record.key.to_string()).to_owned()));
    }
    Ok(found)
}

/// What the log of deletions holds for a window.
#[derive(Debug)]
pub(super) struct DeletionLog {
    /// Ids of 18 characters.
    pub(super) ids: Vec<String>,
    /// Deletions before this moment are no longer in the log.
    pub(super) earliest: Option<Timestamp>,
    /// Up to where the log is complete.
    pub(super) latest: Option<Timestamp>,
}

/// Asks the log of deletions; `None` when the window cannot be answered (REST API Developer Guide, "sObject Get
/// Deleted").
pub(super) async fn deletion_log(
    records: &SalesforceRecords,
    cx: &Context,
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<DeletionLog>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        deleted_records: Vec<Deleted>,
        earliest_date_available: Option<String>,
        latest_date_covered: Option<String>,
    }
    #[derive(Deserialize)]
    struct Deleted {
        id: String,
    }
    let object = records.record_type_here().name.as_str();
    let call = api::deletions(&records.org.version, object, from, to);
    let reply = match cx.send(call).await {
        Err(error) if matches!(error.code(), Some("INVALID_REPLICATION_DATE" | "EXCEEDED_ID_LIMIT")) => {
            tracing::info!(
                record_type = object,
                code = error.code(),
                "the log of deletions does not reach so far"
            );
            return Ok(None);
        }
        reply => reply?,
    };
    let answer: Answer = dialect::read("the log of deletions", &reply.body)?;
    let moment = |text: Option<String>| {
        let text = text?;
        let text = text.strip_suffix("+0000").map_or_else(|| text.clone(), |front| format!("{front}Z"));
        text.parse::<Timestamp>().ok()
    };
    Ok(Some(DeletionLog {
        ids: answer.deleted_records.into_iter().filter_map(|row| soql::canonical_id(&row.id)).collect(),
        earliest: moment(answer.earliest_date_available),
        latest: moment(answer.latest_date_covered),
    }))
}
