//! Creating. Many files are uploaded each for itself,
//! which shows nowhere yet, and put in their places by one request: Dropbox locks a whole space for each that writes.
//!
//! Sources: the Stone specification (`upload_session/finish_batch_v2`, `create_folder_batch`); "Data
//! ingress guide", Dropbox for HTTP Developers.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::records::DropboxRecords;
use super::{api, dialect, hash, paths};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::provider::{Context, Edit, Edits, NewRow, Outcome, WriteOptions};
use crate::record::Key;

/// Uploads that are under way at once.
const UPLOADS: usize = 4;
/// How often rows that Dropbox has no time for are sent again.
pub(super) const TURNS: u32 = 4;
/// First pause before that; it doubles.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How far the service's clock and ours may be apart, in seconds.
const CLOCKS_APART: i64 = 300;

/// A file that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) path: String,
    /// What the request is told about the file besides its bytes.
    pub(super) commit: Json,
    pub(super) bytes: Bytes,
    pub(super) hash: String,
}

/// What tells whether a file is the one that was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stored {
    #[serde(rename = ".tag")]
    pub(super) tag: Option<String>,
    pub(super) id: Option<String>,
    pub(super) content_hash: Option<String>,
    server_modified: Option<String>,
}

pub(super) fn text_of(edits: &Edits, name: &str) -> Option<String> {
    edits.iter().find(|(known, _)| known == name).and_then(|(_, edit)| match edit {
        Edit::Set(raw) => serde_json::from_str(raw.get()).ok(),
        _ => None,
    })
}

pub(super) fn is_on(options: &WriteOptions, name: &str) -> bool {
    options.get(name) == Some(&Json::Bool(true))
}

/// An instant as Dropbox takes it.
///
/// # Errors
/// Invalid, with the field, for parts of a second, which Dropbox does not keep.
pub(super) fn instant(field: &str, text: &str) -> Result<String> {
    let wrong = |what: &str| Error::invalid(format!("{field}: {what}")).with_field(field, what);
    let at: Timestamp = text.parse().map_err(|_| wrong("an instant such as 2026-01-31T09:30:00Z"))?;
    if at.subsec_nanosecond() != 0 {
        return Err(wrong("Dropbox keeps whole seconds: leave out the fraction"));
    }
    Ok(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The bytes of a row's own content.
pub(super) fn content_of(edits: &Edits) -> Result<Option<Bytes>> {
    let Some(text) = text_of(edits, "content") else { return Ok(None) };
    let bytes = STANDARD.decode(text.as_bytes());
    bytes.map(|bytes| Some(Bytes::from(bytes))).map_err(|source| {
        Error::invalid("content is not base64").with_field("content", "base64 text").with_source(source)
    })
}

impl DropboxRecords {
    /// What became of a row: an answer that was lost leaves it open.
    pub(super) fn settled(
        &self,
        written: Result<Outcome>,
        operation: &'static str,
        marker: Option<Json>,
    ) -> Outcome {
        written.unwrap_or_else(|error| {
            let error = self.about(operation)(error);
            if error.leaves_open() { Outcome::lost(&error, marker) } else { Outcome::Failed(error) }
        })
    }

    /// Refuses a place outside of the folder that the type is limited to.
    pub(super) fn inside(&self, field: &str, path: String) -> Result<String> {
        match &self.folder {
            Some(folder) if !paths::is_under(&path.to_lowercase(), &folder.lower) => {
                let why = format!("{path:?} does not lie in {:?}", folder.path);
                Err(Error::invalid(why.as_str()).with_code("outside_scope").with_field(field, why))
            }
            _ => Ok(path),
        }
    }

    fn place_of(&self, edits: &Edits) -> Result<String> {
        let given = text_of(edits, "path")
            .ok_or_else(|| Error::invalid("path is required").with_field("path", "is required"))?;
        self.inside("path", paths::whole("path", self.folder_path(), &given)?)
    }

    /// The property groups that a row's edits set.
    pub(super) fn groups(&self, edits: &Edits) -> Vec<Json> {
        let group = |template: &super::templates::Template| {
            let fields: Vec<Json> = template
                .fields
                .iter()
                .filter_map(|field| {
                    Some(json!({ "name": field.wire, "value": text_of(edits, &field.property)? }))
                })
                .collect();
            (!fields.is_empty()).then(|| json!({ "template_id": template.id, "fields": fields }))
        };
        self.templates.iter().filter_map(group).collect()
    }

    /// A file as it is to be created.
    pub(super) fn draft(&self, edits: &Edits, options: &WriteOptions) -> Result<Draft> {
        let path = self.place_of(edits)?;
        let mut commit = json!({
            "path": path,
            "mode": "add",
            "autorename": is_on(options, "autorename"),
            "mute": is_on(options, "mute"),
            // A file of the same content would else pass for the one that was to be created.
            "strict_conflict": options.get("strict_conflict") != Some(&Json::Bool(false)),
        });
        if let Some(text) = text_of(edits, "client_modified") {
            commit["client_modified"] = instant("client_modified", &text)?.into();
        }
        let groups = self.groups(edits);
        if !groups.is_empty() {
            commit["property_groups"] = groups.into();
        }
        let bytes = content_of(edits)?.unwrap_or_default();
        let hash = hash::of(&bytes);
        Ok(Draft { path, commit, bytes, hash })
    }

    /// Creates files.
    pub(super) async fn create_files(
        &self,
        cx: &Context,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        let mut drafts: Vec<(usize, Draft)> = Vec::new();
        let mut taken = Taken::of(options);
        for (place, row) in rows.iter().enumerate() {
            match self.draft(&row.fields, options).and_then(|draft| taken.check(&draft.path).map(|()| draft))
            {
                Ok(draft) => drafts.push((place, draft)),
                Err(error) => outcomes[place] = Some(Outcome::Failed(self.about("create")(error))),
            }
        }
        match drafts.as_slice() {
            [] => {}
            [(place, draft)] if rows.len() == 1 => {
                let made = self.create_file(cx, "create", draft).await;
                if let Err(error) = &made
                    && !is_of_row(error)
                {
                    return Err(error.clone());
                }
                outcomes[*place] = Some(self.settled(made, "create", None));
            }
            drafts => self.create_many(cx, drafts, &mut outcomes).await?,
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(no_outcome)).collect())
    }

    /// Uploads a file at once.
    pub(super) async fn create_file(
        &self,
        cx: &Context,
        operation: &'static str,
        draft: &Draft,
    ) -> Result<Outcome> {
        let since = cx.clock.now();
        let mut argument = draft.commit.clone();
        argument["content_hash"] = draft.hash.as_str().into();
        let call = api::upload(operation, "files/upload", &argument, draft.bytes.clone())?;
        match self.account.send(cx, call).await {
            Ok(reply) => Ok(Outcome::Created(written(&reply.body, &draft.hash)?)),
            Err(error) if error.leaves_open() => Ok(self.looked_for(cx, draft, since, &error).await),
            Err(error) => Err(error),
        }
    }

    /// A file whose answer was lost is known by its content.
    async fn looked_for(&self, cx: &Context, draft: &Draft, since: Timestamp, error: &Error) -> Outcome {
        let renamed = draft.commit["autorename"] == true;
        if !renamed && let Ok(Some(key)) = self.arrived(cx, &draft.path, &draft.hash, since).await {
            return Outcome::Created(key);
        }
        let marker = json!({
            "path": draft.path, "content_hash": draft.hash, "@since": since.to_string(),
        });
        Outcome::lost(&self.about("create")(error.clone()), (!renamed).then_some(marker))
    }

    /// The key of the file at a path, when it has the content and was written since.
    pub(super) async fn arrived(
        &self,
        cx: &Context,
        path: &str,
        hash: &str,
        since: Timestamp,
    ) -> Result<Option<Key>> {
        let Some(row) = self.entry(cx, "settle", path, false).await? else { return Ok(None) };
        let stored: Stored = dialect::read("an entry", &row)?;
        let same = stored.content_hash.as_deref() == Some(hash) && is_since(&stored, since);
        Ok(stored.id.filter(|_| same).map(Key::text))
    }

    /// Uploads the bytes of several files, then puts all of them in their places.
    async fn create_many(
        &self,
        cx: &Context,
        drafts: &[(usize, Draft)],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<()> {
        let since = cx.clock.now();
        let begin = |(place, draft): (usize, Draft)| async move {
            let begun = self.session_of(cx, "create", &draft).await;
            (place, draft, begun)
        };
        let begun: Vec<_> = stream::iter(drafts.to_vec()).map(begin).buffered(UPLOADS).collect().await;
        let mut waiting: Vec<(usize, Draft, Json)> = Vec::new();
        for (place, draft, begun) in begun {
            match begun {
                Ok(session) => {
                    let cursor = json!({ "session_id": session, "offset": draft.bytes.len() });
                    let entry = json!({ "cursor": cursor, "commit": draft.commit });
                    waiting.push((place, draft, entry));
                }
                Err(error) if error.kind() == ErrorKind::DryRun => return Err(error),
                // Bytes that are in no place yet are as if not sent.
                Err(error) => outcomes[place] = Some(Outcome::Failed(self.about("create")(error))),
            }
        }
        for turn in 1..=TURNS {
            if waiting.is_empty() {
                break;
            }
            let entries: Vec<&Json> = waiting.iter().map(|(_, _, entry)| entry).collect();
            let call =
                api::rpc("create", "files/upload_session/finish_batch_v2", &json!({ "entries": entries }));
            let answered = match self.account.ask::<Json>(cx, "a batch of files", call).await {
                Ok(answer) => {
                    self.account
                        .finished(cx, "create", "files/upload_session/finish_batch/check", answer)
                        .await
                }
                Err(error) => Err(error),
            };
            let results = match answered {
                Ok(results) if results.len() == waiting.len() => results,
                Ok(_) => {
                    let error = miscounted();
                    for (place, draft, _) in &waiting {
                        outcomes[*place] = Some(self.looked_for(cx, draft, since, &error).await);
                    }
                    return Ok(());
                }
                Err(error) if error.leaves_open() => {
                    for (place, draft, _) in &waiting {
                        outcomes[*place] = Some(self.looked_for(cx, draft, since, &error).await);
                    }
                    return Ok(());
                }
                Err(error) if outcomes.iter().all(Option::is_none) => return Err(error),
                Err(error) => {
                    for (place, ..) in &waiting {
                        outcomes[*place] = Some(Outcome::Failed(self.about("create")(error.clone())));
                    }
                    return Ok(());
                }
            };
            let mut again = Vec::new();
            for ((place, draft, entry), result) in waiting.into_iter().zip(results) {
                let outcome =
                    success(&result, None).and_then(|metadata| written_value(metadata, &draft.hash));
                match outcome {
                    Err(error) if error.kind() == ErrorKind::RateLimited && turn < TURNS => {
                        again.push((place, draft, entry));
                    }
                    outcome => {
                        outcomes[place] = Some(self.settled(outcome.map(Outcome::Created), "create", None));
                    }
                }
            }
            waiting = again;
            if !waiting.is_empty() {
                cx.clock.sleep(PAUSE * 2_u32.pow(turn - 1)).await;
            }
        }
        Ok(())
    }

    /// Bytes that wait for their place.
    async fn session_of(&self, cx: &Context, operation: &'static str, draft: &Draft) -> Result<String> {
        #[derive(Deserialize)]
        struct Begun {
            session_id: String,
        }
        let argument = json!({ "close": true, "content_hash": draft.hash });
        let call = api::upload(operation, "files/upload_session/start", &argument, draft.bytes.clone())?
            .idempotent(true);
        Ok(self.account.ask::<Begun>(cx, "the beginning of an upload", call).await?.session_id)
    }

    /// Creates folders.
    pub(super) async fn create_folders(
        &self,
        cx: &Context,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let mut taken = Taken::of(options);
        let place = |row: &NewRow| {
            let path = self.place_of(&row.fields)?;
            taken.check(&path).map(|()| path)
        };
        let places: Vec<Result<String>> = rows.iter().map(place).collect();
        let autorename = is_on(options, "autorename");
        let good: Vec<String> = places.iter().flatten().cloned().collect();
        let marker = |path: &str| (!autorename).then(|| json!({ "path": path }));
        let created = |result: &Json| {
            let metadata = success(result, Some("metadata"))?;
            id_of(metadata).map(Outcome::Created)
        };
        let mut made: std::vec::IntoIter<Outcome> = match good.as_slice() {
            [] => Vec::new().into_iter(),
            [path] => {
                let argument = json!({ "path": path, "autorename": autorename });
                let call = api::rpc("create", "files/create_folder_v2", &argument);
                let answer = self.account.ask::<Json>(cx, "a new folder", call).await;
                let outcome = answer.and_then(|answer| id_of(&answer["metadata"]).map(Outcome::Created));
                if rows.len() == 1
                    && let Err(error) = &outcome
                    && !is_of_row(error)
                {
                    return Err(error.clone());
                }
                vec![self.settled(outcome, "create", marker(path))].into_iter()
            }
            several => {
                let argument = json!({ "paths": several, "autorename": autorename, "force_async": false });
                let call = api::rpc("create", "files/create_folder_batch", &argument);
                let answered = match self.account.ask::<Json>(cx, "a batch of folders", call).await {
                    Ok(answer) => {
                        self.account.finished(cx, "create", "files/create_folder_batch/check", answer).await
                    }
                    Err(error) => Err(error),
                };
                let lost = |error: &Error| -> Vec<Outcome> {
                    let error = self.about("create")(error.clone());
                    several.iter().map(|path| Outcome::lost(&error, marker(path))).collect()
                };
                match answered {
                    Ok(results) if results.len() == several.len() => {
                        let each = results.iter().zip(several);
                        each.map(|(result, path)| self.settled(created(result), "create", marker(path)))
                            .collect::<Vec<_>>()
                            .into_iter()
                    }
                    Ok(_) => lost(&miscounted()).into_iter(),
                    Err(error) if error.leaves_open() => lost(&error).into_iter(),
                    Err(error) => return Err(error),
                }
            }
        };
        let mut out = Vec::with_capacity(rows.len());
        for (place, row) in places.into_iter().zip(rows) {
            out.push(match place {
                Ok(_) => match made.next().unwrap_or_else(no_outcome) {
                    Outcome::Created(key) => self.with_properties(cx, key, row).await,
                    other => other,
                },
                Err(error) => Outcome::Failed(self.about("create")(error)),
            });
        }
        Ok(out)
    }

    /// A new folder gets its properties afterwards. It is there also when these are refused.
    async fn with_properties(&self, cx: &Context, key: Key, row: &NewRow) -> Outcome {
        let groups = self.groups(&row.fields);
        if groups.is_empty() {
            return Outcome::Created(key);
        }
        let argument = json!({ "path": key.to_string(), "property_groups": groups });
        let call = api::rpc("create", "file_properties/properties/overwrite", &argument).idempotent(true);
        match self.account.send(cx, call).await {
            Ok(_) => Outcome::Created(key),
            Err(error) => {
                let message =
                    format!("the folder {key} was created without its properties: {}", error.message());
                let error = Error::new(error.kind(), message)
                    .with_code("created_without_properties")
                    .with_key(key.to_string())
                    .with_advice("Update the folder with its properties")
                    .with_source(error);
                Outcome::lost(&self.about("create")(error), None)
            }
        }
    }
}

/// Paths of the rows of one batch. Of two rows with one path at most one makes its entry, and after a lost answer
/// nobody could tell which.
struct Taken {
    renames: bool,
    lower: HashSet<String>,
}

impl Taken {
    fn of(options: &WriteOptions) -> Self {
        Self { renames: is_on(options, "autorename"), lower: HashSet::new() }
    }

    fn check(&mut self, path: &str) -> Result<()> {
        if self.renames || self.lower.insert(path.to_lowercase()) {
            return Ok(());
        }
        let message = format!("an earlier row of the same batch has the path {path:?}");
        Err(Error::new(ErrorKind::Conflict, message.as_str())
            .with_code("same_path")
            .with_field("path", message)
            .with_advice("Give each row a path of its own, or say --option autorename=true"))
    }
}

/// Whether a file was written since a moment, as far as two clocks agree.
pub(super) fn is_since(stored: &Stored, since: Timestamp) -> bool {
    let written = stored.server_modified.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    written.is_none_or(|written| since.as_second() - written.as_second() <= CLOCKS_APART)
}

/// Whether an error concerns the row itself, or leaves it open, and not every row alike.
fn is_of_row(error: &Error) -> bool {
    let own = matches!(
        error.kind(),
        ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Refused
    );
    own || error.leaves_open()
}

pub(super) fn no_outcome() -> Outcome {
    Outcome::Failed(Error::bug("a row got no outcome"))
}

pub(super) fn miscounted() -> Error {
    Error::protocol("Dropbox's results do not match the rows that were sent")
        .with_provider("dropbox")
        .with_code("miscounted")
        .with_retry(Retry::IfIdempotent)
}

/// The metadata of a result of a batch, which stands in a member or in the result itself.
///
/// # Errors
/// Why the row was refused.
pub(super) fn success<'a>(result: &'a Json, member: Option<&str>) -> Result<&'a Json> {
    match result[".tag"].as_str() {
        Some("success") => Ok(member.map_or(result, |member| &result[member])),
        Some("failure") => {
            let failure = &result["failure"];
            // Relocations wrap the error once more.
            let inner = failure.get("relocation_error").unwrap_or(failure);
            Err(dialect::refused(inner, 409))
        }
        _ => Err(dialect::refused(result, 409)),
    }
}

pub(super) fn id_of(metadata: &Json) -> Result<Key> {
    metadata["id"].as_str().map(Key::text).ok_or_else(|| {
        Error::protocol("Dropbox took the row and did not say its id")
            .with_provider("dropbox")
            .with_code("created_without_id")
            .with_retry(Retry::IfIdempotent)
    })
}

/// The key of a file as Dropbox stored it, once its content is known to be the one that was sent.
pub(super) fn written(body: &[u8], hash: &str) -> Result<Key> {
    written_value(&dialect::read("a file that was written", body)?, hash)
}

fn written_value(metadata: &Json, hash: &str) -> Result<Key> {
    match metadata["content_hash"].as_str() {
        Some(stored) if stored != hash => Err(Error::protocol("Dropbox stored other bytes than were sent")
            .with_provider("dropbox")
            .with_code("content_hash_mismatch")
            .with_advice("Write the content again")),
        _ => id_of(metadata),
    }
}
