//! Files written: at once, and in sessions.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Space;
use super::arguments::{Arguments, PathKind};
use super::call::Call;
use super::content::{Content, content_hash, fingerprint};
use super::errors::{Refusal, tagged};
use super::metadata::Look;
use super::modify::{free_name, has_file_above};
use super::places::{self, View};
use super::properties;
use super::tree::{Kind, Node, Revision};

/// Bytes that one request may carry.
const AT_ONCE: usize = 150 * 1024 * 1024;
/// Pieces of sessions that are written side by side are multiples of this.
const ALIGNED: u64 = 4 * 1024 * 1024;
const LONGEST: u64 = (1 << 41) - (1 << 22);
const SESSION_DAYS: i64 = 7;
const BATCH: usize = 1_000;

const COMMIT: [&str; 7] =
    ["path", "mode", "autorename", "client_modified", "mute", "property_groups", "strict_conflict"];

/// Bytes that came so far.
#[derive(Debug)]
pub(super) struct Session {
    pieces: BTreeMap<u64, Bytes>,
    size: u64,
    closed: bool,
    concurrent: bool,
    begun: Timestamp,
}

impl Session {
    fn content(&self) -> Content {
        Content::given(self.pieces.values().filter(|piece| !piece.is_empty()).cloned().collect())
    }

    /// Whether the pieces follow each other without a gap.
    fn is_whole(&self) -> bool {
        let mut at = 0;
        self.pieces.iter().all(|(offset, piece)| {
            let follows = *offset == at;
            at += piece.len() as u64;
            follows
        })
    }
}

pub(super) type Sessions = HashMap<String, Session>;

/// How a file is to be written.
struct Commit {
    path: String,
    mode: Mode,
    autorename: bool,
    strict: bool,
    client_modified: Option<Timestamp>,
    properties: Vec<Value>,
}

enum Mode {
    Add,
    Overwrite,
    Update(String),
}

impl Commit {
    fn read(space: &Space, arguments: &Arguments) -> Result<Self, Refusal> {
        let mode = match arguments.union("mode", &["add", "overwrite"], &["update"])? {
            None => Mode::Add,
            Some(mode) => match (mode.tag.as_str(), mode.text()) {
                ("overwrite", _) => Mode::Overwrite,
                ("update", Some(rev)) => Mode::Update(rev.to_owned()),
                _ => Mode::Add,
            },
        };
        arguments.boolean("mute", false)?;
        let client_modified = match arguments.optional_text("client_modified")? {
            None => None,
            Some(text) => Some(timestamp(text).ok_or_else(|| {
                let what = format!("time data '{text}' does not match format '%Y-%m-%dT%H:%M:%SZ'");
                arguments.wrong("client_modified", what)
            })?),
        };
        Ok(Self {
            path: arguments.path("path", PathKind::Write)?.to_owned(),
            mode,
            autorename: arguments.boolean("autorename", false)?,
            strict: arguments.boolean("strict_conflict", false)?,
            client_modified,
            properties: properties::groups(space, arguments)?,
        })
    }
}

/// An instant of whole seconds, as the service writes them.
fn timestamp(text: &str) -> Option<Timestamp> {
    if text.len() != 20 || !text.ends_with('Z') {
        return None;
    }
    text.parse().ok()
}

fn refused(tags: &[&str]) -> Value {
    tagged(tags)
}

/// Writes a file.
///
/// # Errors
/// The write error.
fn commit(
    space: &mut Space,
    view: &View,
    now: Timestamp,
    commit: Commit,
    content: Content,
) -> Result<Node, Value> {
    let (mut path, present) =
        places::place(&space.tree, view, &space.home, &commit.path).map_err(|tag| refused(&[tag]))?;
    if has_file_above(space, &path) {
        return Err(refused(&["conflict", "file_ancestor"]));
    }
    let written = now;
    let revision = |space: &mut Space, content: Content| Revision {
        rev: space.tree.new_rev(),
        content,
        client_modified: commit.client_modified.unwrap_or(written),
        server_modified: written,
    };
    let is_folder = present.as_ref().is_some_and(Node::is_folder);
    let mut over = None;
    if let Some(node) = present {
        let latest = node.latest().map(|latest| (latest.text(), latest.content.hash()));
        let same = latest.as_ref().is_some_and(|(_, hash)| *hash == content.hash());
        if same && !commit.strict {
            return Ok(node);
        }
        let fits = match &commit.mode {
            _ if is_folder => false,
            Mode::Add => false,
            Mode::Overwrite => true,
            Mode::Update(rev) => latest.is_some_and(|(own, _)| own == *rev),
        };
        if fits {
            over = Some(node);
        } else if !commit.autorename {
            return Err(refused(&["conflict", if is_folder { "folder" } else { "file" }]));
        } else {
            path = match commit.mode {
                Mode::Update(_) => conflicted_copy(&path),
                _ => path,
            };
            if space.tree.at(&path).is_some() {
                path = free_name(space, &path, false);
            }
        }
    } else if commit.strict && matches!(commit.mode, Mode::Update(_)) {
        return Err(refused(&["conflict", "file"]));
    }
    let revision = revision(space, content);
    Ok(match over {
        Some(mut node) => {
            if let Kind::File(revisions) = &mut node.kind {
                revisions.push(revision);
            }
            for group in commit.properties {
                properties::put(&mut node, group);
            }
            space.tree.put(node)
        }
        None => space.tree.add(&path, Kind::File(vec![revision]), commit.properties),
    })
}

fn conflicted_copy(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            format!("{folder}/{stem} (conflicted copy).{extension}")
        }
        _ => format!("{folder}/{name} (conflicted copy)"),
    }
}

fn shown(space: &Space, view: &View, node: &Node, tag: bool) -> Value {
    Look { tree: &space.tree, view, tag, templates: &[] }.node(node)
}

/// The hash that the client says the bytes have.
fn check_hash<'a>(arguments: &Arguments, pieces: impl Iterator<Item = &'a [u8]>) -> Result<bool, Refusal> {
    let Some(wanted) = arguments.optional_text("content_hash")? else { return Ok(true) };
    if wanted.len() != 64 {
        return Err(arguments.wrong("content_hash", format!("'{wanted}' must be 64 characters")));
    }
    Ok(content_hash(pieces) == wanted)
}

pub(super) fn upload(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let mut known = COMMIT.to_vec();
    known.push("content_hash");
    call.arguments.only(&known)?;
    let body = &call.request.body;
    if body.len() > AT_ONCE {
        return Err(Refusal::endpoint(tagged(&["payload_too_large"])));
    }
    let wanted = Commit::read(space, &call.arguments)?;
    if !check_hash(&call.arguments, std::iter::once(&body[..]))? {
        return Err(Refusal::endpoint(tagged(&["content_hash_mismatch"])));
    }
    let content = Content::given(vec![body.clone()]);
    match commit(space, &call.view, call.now, wanted, content.clone()) {
        Ok(node) => Ok(shown(space, &call.view, &node, false)),
        Err(reason) => {
            // The bytes are kept, so that they need not be sent again.
            let id = begin(space, call.now, false);
            if let (Some(session), Content::Given { size, .. }) = (space.sessions.get_mut(&id), &content) {
                session.pieces.insert(0, body.clone());
                session.size = *size;
                session.closed = true;
            }
            Err(Refusal::endpoint(json!({ ".tag": "path", "reason": reason, "upload_session_id": id })))
        }
    }
}

fn begin(space: &mut Space, now: Timestamp, concurrent: bool) -> String {
    space.sessions_begun += 1;
    let id = format!("pid_upload_session:{}", fingerprint(&format!("session {}", space.sessions_begun)));
    let session = Session { pieces: BTreeMap::new(), size: 0, closed: false, concurrent, begun: now };
    space.sessions.insert(id.clone(), session);
    id
}

pub(super) fn start(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&["close", "session_type", "content_hash"])?;
    let close = arguments.boolean("close", false)?;
    let kind = arguments.union("session_type", &["sequential", "concurrent"], &[])?;
    let concurrent = kind.is_some_and(|kind| kind.tag == "concurrent");
    let body = &call.request.body;
    if body.len() > AT_ONCE {
        return Err(Refusal::endpoint(tagged(&["payload_too_large"])));
    }
    if !check_hash(arguments, std::iter::once(&body[..]))? {
        return Err(Refusal::endpoint(tagged(&["content_hash_mismatch"])));
    }
    if concurrent && !body.is_empty() {
        return Err(Refusal::endpoint(tagged(&["concurrent_session_data_not_allowed"])));
    }
    if concurrent && close {
        return Err(Refusal::endpoint(tagged(&["concurrent_session_close_not_allowed"])));
    }
    let id = begin(space, call.now, concurrent);
    if let Some(session) = space.sessions.get_mut(&id) {
        session.size = body.len() as u64;
        session.pieces.insert(0, body.clone());
        session.closed = close;
    }
    Ok(json!({ "session_id": id }))
}

/// Sessions for many files.
pub(super) fn start_batch(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["session_type", "num_sessions"])?;
    let kind = call.arguments.union("session_type", &["sequential", "concurrent"], &[])?;
    let concurrent = kind.is_some_and(|kind| kind.tag == "concurrent");
    let count = call.arguments.number("num_sessions", 1, BATCH as u64)?;
    let count = count.ok_or_else(|| call.arguments.wrong("num_sessions", "missing required field"))?;
    let ids: Vec<String> = (0..count).map(|_| begin(space, call.now, concurrent)).collect();
    Ok(json!({ "session_ids": ids }))
}

/// The session that a cursor names, with the cursor's offset.
fn session<'a>(
    space: &'a mut Space,
    now: Timestamp,
    cursor: &Arguments,
) -> Result<(&'a mut Session, u64), Result<Value, Refusal>> {
    let read = || -> Result<(String, u64), Refusal> {
        cursor.only(&["session_id", "offset"])?;
        let id = cursor.text("session_id")?.to_owned();
        let offset = cursor.number("offset", 0, u64::MAX)?;
        Ok((id, offset.ok_or_else(|| cursor.wrong("offset", "missing required field"))?))
    };
    let (id, offset) = read().map_err(Err)?;
    let alive = |session: &&mut Session| now.duration_since(session.begun).as_secs() < SESSION_DAYS * 86_400;
    let session = space.sessions.get_mut(&id).filter(alive).ok_or_else(|| Ok(tagged(&["not_found"])))?;
    Ok((session, offset))
}

pub(super) fn append(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&["cursor", "close", "content_hash"])?;
    let close = arguments.boolean("close", false)?;
    let cursor = arguments.object("cursor")?;
    let body = &call.request.body;
    if body.len() > AT_ONCE {
        return Err(Refusal::endpoint(tagged(&["payload_too_large"])));
    }
    if !check_hash(arguments, std::iter::once(&body[..]))? {
        return Err(Refusal::endpoint(tagged(&["content_hash_mismatch"])));
    }
    let (session, offset) = session(space, call.now, &cursor).map_err(|error| match error {
        Ok(error) => Refusal::endpoint(error),
        Err(refusal) => refusal,
    })?;
    if session.closed {
        return Err(Refusal::endpoint(tagged(&["closed"])));
    }
    let size = body.len() as u64;
    if session.concurrent {
        if offset % ALIGNED != 0 {
            return Err(Refusal::endpoint(tagged(&["concurrent_session_invalid_offset"])));
        }
        if !size.is_multiple_of(ALIGNED) && !close {
            return Err(Refusal::endpoint(tagged(&["concurrent_session_invalid_data_size"])));
        }
    } else if offset != session.size {
        let error = json!({ ".tag": "incorrect_offset", "correct_offset": session.size });
        return Err(Refusal::endpoint(error));
    }
    if offset.saturating_add(size) > LONGEST {
        return Err(Refusal::endpoint(tagged(&["too_large"])));
    }
    if !body.is_empty() {
        session.pieces.insert(offset, body.clone());
    }
    session.size = session.size.max(offset + size);
    session.closed = close;
    Ok(Value::Null)
}

/// Ends a session: the last bytes, the check of the offset, the commit.
fn end(
    space: &mut Space,
    call: &Call<'_>,
    arguments: &Arguments,
    last: &Bytes,
) -> Result<Node, Result<Value, Refusal>> {
    let cursor = arguments.object("cursor").map_err(Err)?;
    let commit_arguments = arguments.object("commit").map_err(Err)?;
    commit_arguments.only(&COMMIT).map_err(Err)?;
    let wanted = Commit::read(space, &commit_arguments).map_err(Err)?;
    let lookup = |error: Value| json!({ ".tag": "lookup_failed", "lookup_failed": error });
    let (session, offset) = session(space, call.now, &cursor).map_err(|error| error.map(lookup))?;
    let content = if session.concurrent {
        if !last.is_empty() {
            return Err(Ok(tagged(&["concurrent_session_data_not_allowed"])));
        }
        if !session.closed {
            return Err(Ok(tagged(&["concurrent_session_not_closed"])));
        }
        if !session.is_whole() {
            return Err(Ok(tagged(&["concurrent_session_missing_data"])));
        }
        session.content()
    } else {
        if offset != session.size {
            let error = json!({ ".tag": "incorrect_offset", "correct_offset": session.size });
            return Err(Ok(lookup(error)));
        }
        if !last.is_empty() && session.closed {
            return Err(Ok(lookup(tagged(&["closed"]))));
        }
        if !last.is_empty() {
            session.pieces.insert(offset, last.clone());
            session.size += last.len() as u64;
        }
        session.content()
    };
    let hash = arguments.optional_text("content_hash").map_err(Err)?;
    if hash.is_some_and(|hash| hash != content.hash()) {
        return Err(Ok(tagged(&["content_hash_mismatch"])));
    }
    commit(space, &call.view, call.now, wanted, content)
        .map_err(|reason| Ok(json!({ ".tag": "path", "path": reason })))
}

pub(super) fn finish(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["cursor", "commit", "content_hash"])?;
    let body = &call.request.body;
    if body.len() > AT_ONCE {
        return Err(Refusal::endpoint(tagged(&["payload_too_large"])));
    }
    match end(space, call, &call.arguments, body) {
        Ok(node) => Ok(shown(space, &call.view, &node, false)),
        Err(Ok(error)) => Err(Refusal::endpoint(error)),
        Err(Err(refusal)) => Err(refusal),
    }
}

/// Ends many sessions: at once in the second version, as a job in the first.
pub(super) fn finish_batch(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["entries"])?;
    let mut entries = Vec::new();
    for (number, arguments) in call.arguments.objects("entries", 1, BATCH)?.iter().enumerate() {
        arguments.only(&["cursor", "commit", "content_hash"])?;
        let done = if call.refuses(number + 1) {
            Err(Ok(tagged(&["path", "no_write_permission"])))
        } else {
            end(space, call, arguments, &Bytes::new())
        };
        entries.push(match done {
            Ok(node) => {
                let mut entry = json!({ ".tag": "success" });
                if let (Value::Object(out), Value::Object(own)) =
                    (&mut entry, shown(space, &call.view, &node, false))
                {
                    out.extend(own);
                }
                entry
            }
            Err(Ok(error)) => json!({ ".tag": "failure", "failure": error }),
            Err(Err(refusal)) => return Err(refusal),
        });
    }
    if call.route.ends_with("_v2") {
        return Ok(json!({ "entries": entries }));
    }
    Ok(space.jobs.start(json!({ ".tag": "complete", "entries": entries })))
}
