//! Pages of a search.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::api::{self, Listing};
use super::columns::Kind;
use super::query::{Request, Route};
use super::records::DropboxRecords;
use super::{dialect, paths, templates};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::provider::changes::mark;
use crate::provider::{Context, Plan};
use crate::record::transcode::{self, Shape};
use crate::record::{Cursor, Key, Page, Record, RowError};

/// Entries that are looked up at once.
pub(super) const AT_ONCE: usize = 8;
/// Entries that are looked up for one page.
const LOOKED_UP: usize = 50;
/// The member of a page that has its rows.
const ENTRIES: &str = "entries";
/// Matches that the search index gives in all.
const INDEX_MAX: u64 = 10_000;

/// Where a page starts. Travels in [`Cursor::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// Dropbox's cursor, or the last revision that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// The name under which what this listing gave is remembered, and how much that was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    chain: String,
    #[serde(default)]
    given: u64,
    /// Whether the listing had to begin anew: what was given before is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
    /// The entry to begin with, of those that are looked up.
    #[serde(default)]
    start: usize,
    /// Marks of the entries that were found, where one may be found twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    found: Vec<u64>,
}

/// Rows of the wire, and where the next ones are.
struct Rows {
    rows: Vec<Vec<u8>>,
    next: Option<Position>,
}

/// What tells whether a row belongs to a type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    #[serde(rename = ".tag")]
    pub(super) tag: Option<String>,
    pub(super) id: Option<String>,
    pub(super) path_lower: Option<String>,
    pub(super) path_display: Option<String>,
    pub(super) rev: Option<String>,
}

impl Head {
    pub(super) fn of(row: &[u8]) -> Result<Self> {
        dialect::read("an entry", row)
    }
}

/// The tag of a row that begins with it, as rows do.
fn first_tag(row: &[u8]) -> Option<&[u8]> {
    let rest = row.strip_prefix(b"{\".tag\":")?.trim_ascii_start().strip_prefix(b"\"")?;
    rest.split(|byte| *byte == b'"').next()
}

impl DropboxRecords {
    /// Whether a row is a record of this type. One that cannot be read is, so that it is told.
    pub(super) fn is_own(&self, row: &[u8]) -> bool {
        let tag = match self.kind {
            Kind::File => "file",
            Kind::Folder => "folder",
            Kind::Entry | Kind::Revision | Kind::SharedLink => "",
        };
        if !tag.is_empty()
            && let Some(first) = first_tag(row)
            && first != tag.as_bytes()
        {
            return false;
        }
        if self.folder.is_none() && (tag.is_empty() || first_tag(row).is_some()) {
            return true;
        }
        let Ok(head) = Head::of(row) else { return true };
        let fits = tag.is_empty() || head.tag.as_deref().is_none_or(|own| own == tag);
        fits && self.folder.as_ref().is_none_or(|folder| {
            head.path_lower.as_deref().is_some_and(|path| paths::is_under(path, &folder.lower))
        })
    }

    /// Rows of the wire as records.
    pub(super) fn records_of(&self, rows: &[Vec<u8>], shape: &Shape) -> Vec<Result<Record, RowError>> {
        let spread: Vec<Vec<u8>>;
        let rows: Vec<&[u8]> = if self.templates.is_empty() {
            rows.iter().map(Vec::as_slice).collect()
        } else {
            spread = rows.iter().map(|row| templates::spread(row)).collect();
            spread.iter().map(Vec::as_slice).collect()
        };
        transcode::records(&rows, shape)
    }

    /// One page of a plan.
    pub(super) async fn page_at(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        let request = Request::of(plan)?;
        let shape = self.shape(&plan.select, &plan.fetched_besides)?;
        let position: Position = match at {
            Some(cursor) => serde_json::from_value(cursor.position.clone())
                .map_err(|source| Error::invalid("the cursor is not one of Dropbox's").with_source(source))?,
            None => Position::default(),
        };
        let (records, next) = match &request.route {
            Route::Folder { .. } => self.of_folder(cx, &request, position, &shape).await?,
            route => {
                let Rows { rows, next } = match route {
                    Route::These(keys) => self.of_these(cx, keys, &request, position).await?,
                    Route::Index { .. } => self.of_index(cx, &request, position).await?,
                    Route::Revisions(file) => self.of_revisions(cx, file, &request, &position).await?,
                    Route::Links(_) | Route::Folder { .. } => self.of_links(cx, &position).await?,
                };
                (self.records_of(&rows, &shape), next)
            }
        };
        let seen = at.map_or(0, |cursor| cursor.seen) + records.len() as u64;
        let next = next
            .map(serde_json::to_value)
            .transpose()
            .map_err(|source| Error::bug("a position is not JSON").with_source(source))?
            .map(|position| Cursor::new(plan.hash.as_str(), position, seen));
        Ok(Page { records, next, total: None })
    }

    /// A page of a folder. A listing that Dropbox no longer knows begins anew, and what was given is left out; where
    /// that is not known, in another process, the search ends with an error.
    async fn of_folder(
        &self,
        cx: &Context,
        request: &Request,
        mut position: Position,
        shape: &Shape,
    ) -> Result<(Vec<Result<Record, RowError>>, Option<Position>)> {
        let Route::Folder { path, recursive, from_condition } = &request.route else {
            return Err(Error::bug("this plan lists no folder"));
        };
        let listing = Listing {
            path,
            recursive: *recursive,
            deleted: request.deleted && self.kind == Kind::Entry,
            size: request.size,
            members: request.members,
            templates: &self.template_ids(),
        };
        let asked = match &position.cursor {
            Some(cursor) => match self.account.send(cx, api::list_on("search", cursor)).await {
                Err(error) if error.code() == Some(dialect::RESET) => {
                    // Nothing was given that is not remembered?
                    if self.account.was_given(&position.chain, position.given, &[]).is_none() {
                        return Err(lost_place(error));
                    }
                    tracing::info!("Dropbox wants the listing to begin anew");
                    position = Position { cursor: None, again: true, ..position };
                    self.account.send(cx, api::list("search", &listing)).await
                }
                asked => asked,
            },
            None => self.account.send(cx, api::list("search", &listing)).await,
        };
        let reply = match asked {
            Err(error) if *from_condition && position.cursor.is_none() && is_nowhere(&error) => {
                return Ok((Vec::new(), None));
            }
            asked => asked?,
        };
        // A folder is not in itself.
        let itself = path.to_lowercase();
        let keep =
            |row: &[u8]| self.is_own(row) && !is_itself(row, &itself) && (listing.deleted || !is_gone(row));
        let (mut records, cursor, has_more) = if self.templates.is_empty() {
            let page = transcode::read_page_of(&reply.body, ENTRIES, shape, keep)
                .map_err(|error| error.with_provider("dropbox").with_retry(Retry::IfIdempotent))?;
            match (page.has_rows, page.member("cursor")?, page.member("has_more")?) {
                (true, Some(cursor), Some(has_more)) => (page.records, cursor, has_more),
                _ => return Err(without_end()),
            }
        } else {
            let Listed { rows, cursor, has_more } = listed(&reply.body)?;
            let own: Vec<Vec<u8>> = rows.into_iter().filter(|row| keep(row)).map(<[u8]>::to_vec).collect();
            (self.records_of(&own, shape), cursor, has_more)
        };
        if has_more && position.cursor.as_ref() == Some(&cursor) {
            return Err(repeated());
        }
        if position.again {
            let keys: Vec<Option<&Key>> =
                records.iter().map(|record| record.as_ref().ok().map(|record| &record.key)).collect();
            let was = self.account.was_given(&position.chain, position.given, &keys);
            let mut was = was
                .ok_or_else(|| {
                    lost_place(
                        Error::new(ErrorKind::Refused, "the listing began anew").with_code(dialect::RESET),
                    )
                })?
                .into_iter();
            records.retain(|_| !was.next().unwrap_or(false));
        }
        if position.chain.is_empty() {
            position.chain = uuid::Uuid::new_v4().simple().to_string();
        }
        if has_more {
            let keys = records.iter().flatten().map(|record| &record.key);
            self.account.remember(&position.chain, position.given, keys);
        }
        let given = position.given + records.iter().flatten().count() as u64;
        let next = has_more.then_some(Position { cursor: Some(cursor), given, ..position });
        Ok((records, next))
    }

    /// Entries that a condition names.
    async fn of_these(
        &self,
        cx: &Context,
        keys: &[String],
        request: &Request,
        mut position: Position,
    ) -> Result<Rows> {
        let size = LOOKED_UP.min(request.size as usize);
        let start = position.start.min(keys.len());
        let end = start.saturating_add(size).min(keys.len());
        let deleted = request.deleted && self.kind == Kind::Entry;
        let look = |key: String| async move { self.entry(cx, "search", &key, deleted).await };
        let found: Vec<Option<Vec<u8>>> =
            stream::iter(keys[start..end].to_vec()).map(look).buffered(AT_ONCE).try_collect().await?;
        let mut rows = Vec::new();
        for row in found.into_iter().flatten().filter(|row| self.is_own(row)) {
            if is_new(&mut position.found, &row)? {
                rows.push(row);
            }
        }
        let next = (end < keys.len()).then_some(Position { start: end, ..position });
        Ok(Rows { rows, next })
    }

    /// What the search index finds; it may give a match twice.
    async fn of_index(&self, cx: &Context, request: &Request, mut position: Position) -> Result<Rows> {
        #[derive(Deserialize)]
        struct Found {
            matches: Vec<Match>,
            has_more: bool,
            #[serde(default)]
            cursor: Option<String>,
        }
        #[derive(Deserialize)]
        struct Match {
            metadata: Wrapped,
        }
        #[derive(Deserialize)]
        struct Wrapped {
            metadata: Option<Box<RawValue>>,
        }
        let Route::Index { query, folder, names_only, extensions } = &request.route else {
            return Err(Error::bug("this plan asks no index"));
        };
        let call = match &position.cursor {
            Some(cursor) => api::search_on(cursor),
            None => api::search(query, folder, *names_only, extensions, request.size),
        };
        let Found { matches, has_more, cursor } = match self.account.ask(cx, "a search", call).await {
            Err(error) if position.cursor.is_none() && is_nowhere(&error) => {
                return Ok(Rows { rows: Vec::new(), next: None });
            }
            found => found?,
        };
        position.given += matches.len() as u64;
        let mut rows = Vec::new();
        for found in matches.into_iter().filter_map(|found| found.metadata.metadata) {
            let row = found.get().as_bytes();
            if self.is_own(row) && is_new(&mut position.found, row)? {
                rows.push(row.to_vec());
            }
        }
        if !has_more {
            if position.given >= INDEX_MAX {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!(
                        "Dropbox's search index gives {INDEX_MAX} matches at most, and there may be more"
                    ),
                )
                .with_provider("dropbox")
                .with_code("short_result")
                .with_advice("Search for more words or in a folder, or connect with search_index=false"));
            }
            return Ok(Rows { rows, next: None });
        }
        let cursor =
            cursor.ok_or_else(|| incomplete("Dropbox's page of matches does not say how it goes on"))?;
        if position.cursor.as_ref() == Some(&cursor) {
            return Err(repeated());
        }
        Ok(Rows { rows, next: Some(Position { cursor: Some(cursor), ..position }) })
    }

    /// Revisions of a file, the newest first.
    async fn of_revisions(
        &self,
        cx: &Context,
        file: &str,
        request: &Request,
        position: &Position,
    ) -> Result<Rows> {
        let call = api::revisions(file, request.size, position.cursor.as_deref());
        let reply = self.account.send(cx, call).await?;
        let page = cut(&reply.body, ENTRIES)?;
        let more = page.member::<bool>("has_more")?.unwrap_or(page.rows.len() >= request.size as usize);
        let rows: Vec<Vec<u8>> = page.rows.into_iter().map(<[u8]>::to_vec).collect();
        let last = rows.last().map(|row| Head::of(row)).transpose()?.and_then(|head| head.rev);
        let next = match (more, last) {
            (true, Some(last)) if position.cursor.as_ref() != Some(&last) => {
                Some(Position { cursor: Some(last), ..Position::default() })
            }
            (true, _) => return Err(incomplete("Dropbox promises more revisions and gives none")),
            (false, _) => None,
        };
        Ok(Rows { rows, next })
    }

    async fn of_links(&self, cx: &Context, position: &Position) -> Result<Rows> {
        let reply = self.account.send(cx, api::links("search", None, position.cursor.as_deref())).await?;
        let page = cut(&reply.body, "links")?;
        let more = page.member::<bool>("has_more")?;
        let cursor = page.member::<String>("cursor")?;
        let rows = page.rows.into_iter().filter(|row| self.is_own(row)).map(<[u8]>::to_vec).collect();
        let next = match (more, cursor) {
            (Some(false), _) => None,
            (Some(true), Some(cursor)) if position.cursor.as_ref() != Some(&cursor) => {
                Some(Position { cursor: Some(cursor), ..Position::default() })
            }
            _ => return Err(incomplete("Dropbox's page of links does not say how it goes on")),
        };
        Ok(Rows { rows, next })
    }

    /// One entry as it is on the wire; nothing when there is none.
    pub(super) async fn entry(
        &self,
        cx: &Context,
        operation: &'static str,
        path: &str,
        deleted: bool,
    ) -> Result<Option<Vec<u8>>> {
        let call = api::metadata(operation, path, deleted, &self.template_ids());
        match self.account.send(cx, call).await {
            Ok(reply) => Ok(Some(reply.body.trim_ascii().to_vec())),
            Err(error) if is_nowhere(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A page of a folder, cut.
pub(super) struct Listed<'a> {
    pub(super) rows: Vec<&'a [u8]>,
    pub(super) cursor: String,
    pub(super) has_more: bool,
}

/// Cuts a page of a folder.
///
/// # Errors
/// Protocol when it does not say whether and where it goes on.
pub(super) fn listed(body: &[u8]) -> Result<Listed<'_>> {
    let page = cut(body, ENTRIES)?;
    match (page.member("cursor")?, page.member("has_more")?) {
        (Some(cursor), Some(has_more)) => Ok(Listed { rows: page.rows, cursor, has_more }),
        _ => Err(without_end()),
    }
}

fn without_end() -> Error {
    incomplete("Dropbox's page has no rows, or neither is the last one nor says where the next begins")
}

fn cut<'a>(body: &'a [u8], rows: &str) -> Result<transcode::CutPage<'a>> {
    let page = transcode::cut_page(body, rows)
        .map_err(|error| error.with_provider("dropbox").with_retry(Retry::IfIdempotent))?;
    if page.has_rows { Ok(page) } else { Err(incomplete("Dropbox's page has no rows")) }
}

fn incomplete(what: &str) -> Error {
    Error::protocol(what).with_provider("dropbox").with_code("not_json").with_retry(Retry::IfIdempotent)
}

fn repeated() -> Error {
    Error::protocol("Dropbox leads back to a page that was read already")
        .with_provider("dropbox")
        .with_code("repeated_cursor")
        .with_advice("Start the search again; what was read so far is incomplete")
}

fn lost_place(error: Error) -> Error {
    error.with_advice_instead(
        "Dropbox no longer knows where this search stood, and it cannot be told what was read before: start it again \
         without a cursor",
    )
}

/// Whether an error says that nothing is at a path.
pub(super) fn is_nowhere(error: &Error) -> bool {
    let code = error.code().unwrap_or_default();
    error.kind() == ErrorKind::NotFound
        || (error.status() == Some(409)
            && ["not_folder", "not_file", "malformed_path"].iter().any(|tag| code.ends_with(tag)))
}

/// Whether a row tells of what was deleted while the folder was listed.
fn is_gone(row: &[u8]) -> bool {
    first_tag(row).is_some_and(|tag| tag == b"deleted")
}

fn is_itself(row: &[u8], folder: &str) -> bool {
    !folder.is_empty()
        && first_tag(row).is_none_or(|tag| tag == b"folder")
        && Head::of(row).is_ok_and(|head| head.path_lower.as_deref() == Some(folder))
}

/// Whether an entry was not found before.
fn is_new(found: &mut Vec<u64>, row: &[u8]) -> Result<bool> {
    let head = Head::of(row)?;
    let name = head.id.or(head.path_lower).unwrap_or_default();
    let own = mark(&[name.as_bytes()]);
    if found.contains(&own) {
        return Ok(false);
    }
    found.push(own);
    Ok(true)
}
