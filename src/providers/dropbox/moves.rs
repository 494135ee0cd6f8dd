//! Updates: another path is a move (or a copy), another content an upload, and properties have functions of their
//! own. Rows that only move go together in one request.
//!
//! Source: the Stone specification (`move_v2`, `move_batch_v2`, `copy_batch_v2`, `upload`, `file_properties`).

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::pages::Head;
use super::records::DropboxRecords;
use super::writes::{content_of, id_of, is_on, miscounted, success, text_of, written};
use super::{api, hash, paths};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Change, Context, Edit, Edits, Outcome, WriteOptions};
use crate::record::Key;

/// What a row asks for.
struct Wanted {
    id: String,
    /// Where the entry shall be.
    to: Option<To>,
    content: Option<Bytes>,
    /// The revision to go back to, as requests name it.
    rev: Option<String>,
    /// Property groups: template, values to set, names to remove.
    groups: Vec<(String, Vec<Json>, Vec<String>)>,
    if_version: Option<String>,
}

enum To {
    Path(String),
    /// Another name, another folder, or both.
    Parts {
        name: Option<String>,
        folder: Option<String>,
    },
}

impl Wanted {
    fn only_moves(&self) -> bool {
        self.to.is_some() && !self.writes() && self.groups.is_empty() && self.if_version.is_none()
    }

    /// Whether it gives the file another content.
    fn writes(&self) -> bool {
        self.content.is_some() || self.rev.is_some()
    }

    /// The revision to go back to, when nothing else is asked for.
    fn only_restores(&self) -> Option<&str> {
        self.rev.as_deref().filter(|_| self.to.is_none() && self.groups.is_empty())
    }
}

fn is_named(edits: &Edits, name: &str) -> bool {
    edits.iter().any(|(known, _)| known == name)
}

impl DropboxRecords {
    fn wanted(&self, row: &Change, options: &WriteOptions) -> Result<Wanted> {
        let id = self.named("id", &row.key)?;
        let to = match (text_of(&row.edits, "path"), text_of(&row.edits, "name")) {
            (Some(_), Some(_)) => return Err(twice("name")),
            (Some(_), None) if is_named(&row.edits, "parent_path") => return Err(twice("parent_path")),
            (Some(path), None) => {
                Some(To::Path(self.inside("path", paths::whole("path", self.folder_path(), &path)?)?))
            }
            (None, name) => {
                let folder = text_of(&row.edits, "parent_path")
                    .map(|folder| paths::folder("parent_path", self.folder_path(), &folder))
                    .transpose()?;
                (name.is_some() || folder.is_some()).then_some(To::Parts { name, folder })
            }
        };
        let content = content_of(&row.edits)?;
        let rev = text_of(&row.edits, "rev").map(|rev| self.named("rev", &Key::text(rev))).transpose()?;
        if rev.is_some() && content.is_some() {
            return Err(Error::invalid("an earlier revision is a content: give one of rev and content")
                .with_field("rev", "leave it out beside content"));
        }
        if row.if_version.is_some() && content.is_none() {
            return Err(Error::unsupported("Dropbox checks a revision only while content is written")
                .with_code("version_not_checked")
                .with_advice("Leave @version out of rows that move a file or set its properties"));
        }
        let groups = self.group_edits(&row.edits);
        let writes = content.is_some() || rev.is_some();
        if is_on(options, "copy") && (to.is_none() || writes || !groups.is_empty()) {
            return Err(Error::invalid("a copy needs the new path, and takes nothing else")
                .with_field("path", "the path of the copy"));
        }
        Ok(Wanted { id, to, content, rev, groups, if_version: row.if_version.clone() })
    }

    fn group_edits(&self, edits: &Edits) -> Vec<(String, Vec<Json>, Vec<String>)> {
        let mut out = Vec::new();
        for template in self.templates.iter() {
            let (mut set, mut removed) = (Vec::new(), Vec::new());
            for field in &template.fields {
                match edits.iter().find(|(name, _)| *name == field.property) {
                    Some((_, Edit::Clear)) => removed.push(field.wire.clone()),
                    Some(_) => {
                        if let Some(value) = text_of(edits, &field.property) {
                            set.push(json!({ "name": field.wire, "value": value }));
                        }
                    }
                    None => {}
                }
            }
            if !set.is_empty() || !removed.is_empty() {
                out.push((template.id.clone(), set, removed));
            }
        }
        out
    }

    /// Updates files or folders.
    pub(super) async fn update_entries(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let wanted: Vec<Result<Wanted>> = rows.iter().map(|row| self.wanted(row, options)).collect();
        let ids: Vec<Result<String>> = wanted
            .iter()
            .map(|wanted| wanted.as_ref().map(|wanted| wanted.id.clone()).map_err(Clone::clone))
            .collect();
        let looked = self.own_entries(cx, "update", &ids).await?;
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        let mut moves: Vec<(usize, String, String)> = Vec::new();
        for (place, ((row, wanted), looked)) in rows.iter().zip(wanted).zip(looked).enumerate() {
            let refused = |error: Error| Some(Outcome::Failed(self.about("update")(error)));
            let (wanted, head) = match (wanted, looked) {
                (Ok(wanted), Ok((_, Some(head)))) => (wanted, head),
                (Ok(wanted), Ok((_, None))) => {
                    if let Some(rev) = wanted.only_restores() {
                        match self.restore(cx, &wanted.id, rev, None).await {
                            Err(error) if error.kind() == ErrorKind::DryRun && rows.len() == 1 => {
                                return Err(error);
                            }
                            outcome => outcomes[place] = Some(self.settled(outcome, "update", None)),
                        }
                        continue;
                    }
                    let error = Error::new(
                        ErrorKind::NotFound,
                        format!("there is no {} {}", self.kind.name(), wanted.id),
                    );
                    outcomes[place] = refused(error.with_code("not_found"));
                    continue;
                }
                (Err(error), _) | (_, Err(error)) => {
                    outcomes[place] = refused(error);
                    continue;
                }
            };
            if rows.len() > 1
                && wanted.only_moves()
                && let Some(to) = &wanted.to
            {
                match self.destination(&head, to) {
                    Ok(Some(path)) => moves.push((place, wanted.id, path)),
                    Ok(None) => outcomes[place] = Some(Outcome::Unchanged(row.key.clone())),
                    Err(error) => outcomes[place] = refused(error),
                }
                continue;
            }
            match self.update_one(cx, row, &wanted, &head, options).await {
                Err(error) if error.kind() == ErrorKind::DryRun && rows.len() == 1 => return Err(error),
                outcome => outcomes[place] = Some(self.settled(outcome, "update", None)),
            }
        }
        self.move_many(cx, rows, &moves, options, &mut outcomes).await?;
        let none = || Outcome::Failed(Error::bug("a row got no outcome"));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(none)).collect())
    }

    /// The path that a move leads to; nothing when the entry is there already.
    fn destination(&self, head: &Head, to: &To) -> Result<Option<String>> {
        let present = head.path_display.as_deref().unwrap_or_default();
        let path = match to {
            To::Path(path) => path.clone(),
            To::Parts { name, folder } => {
                let folder = folder.as_deref().unwrap_or_else(|| paths::parent(present));
                let name = name.as_deref().unwrap_or_else(|| paths::name(present));
                if name.contains('/') {
                    return Err(
                        Error::invalid("a name holds no slash").with_field("name", "a name without slashes")
                    );
                }
                self.inside("parent_path", paths::whole("name", folder, name)?)?
            }
        };
        Ok((path != present).then_some(path))
    }

    async fn update_one(
        &self,
        cx: &Context,
        row: &Change,
        wanted: &Wanted,
        head: &Head,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::Unchanged(row.key.clone());
        if let Some(bytes) = &wanted.content {
            self.replace(cx, "update", &wanted.id, bytes, wanted.if_version.as_deref(), options).await?;
            outcome = Outcome::Updated(row.key.clone());
        }
        if let Some(rev) = &wanted.rev {
            outcome = self.restore(cx, &wanted.id, rev, Some(head)).await?;
            if matches!(outcome, Outcome::Unknown { .. }) {
                return Ok(outcome);
            }
        }
        for (template, set, removed) in &wanted.groups {
            self.set_properties(cx, &wanted.id, template, set, removed).await?;
            outcome = Outcome::Updated(row.key.clone());
        }
        let Some(to) = &wanted.to else { return Ok(outcome) };
        let Some(path) = self.destination(head, to)? else { return Ok(outcome) };
        let moved = self.move_one(cx, row, &wanted.id, &path, options).await?;
        Ok(match (outcome, moved) {
            (Outcome::Updated(key), Outcome::Unchanged(_)) => Outcome::Updated(key),
            (_, moved) => moved,
        })
    }

    /// Writes the content of a file that is there.
    pub(super) async fn replace(
        &self,
        cx: &Context,
        operation: &'static str,
        id: &str,
        bytes: &Bytes,
        if_version: Option<&str>,
        options: &WriteOptions,
    ) -> Result<Key> {
        let hash = hash::of(bytes);
        let mut argument = json!({
            "path": id,
            "mode": "overwrite",
            "mute": is_on(options, "mute"),
            "content_hash": hash,
        });
        if let Some(rev) = if_version {
            argument["mode"] = json!({ ".tag": "update", "update": rev });
            argument["strict_conflict"] = true.into();
        }
        // The same bytes once more change nothing, unless a revision must hold.
        let call = api::upload(operation, "files/upload", &argument, bytes.clone())?
            .idempotent(if_version.is_none());
        match self.account.send(cx, call).await {
            Ok(reply) => written(&reply.body, &hash),
            Err(error) if error.code() == Some("path/malformed_path") && id.starts_with("id:") => {
                Err(Error::new(ErrorKind::NotFound, format!("there is no file {id}")).with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn set_properties(
        &self,
        cx: &Context,
        id: &str,
        template: &str,
        set: &[Json],
        removed: &[String],
    ) -> Result<()> {
        let update = json!({ "path": id, "update_property_groups": [{
            "template_id": template, "add_or_update_fields": set, "remove_fields": removed,
        }]});
        let call = api::rpc("update", "file_properties/properties/update", &update).idempotent(true);
        match self.account.send(cx, call).await {
            Ok(_) => Ok(()),
            Err(error) if error.code().is_some_and(|code| code.ends_with("property_group_not_found")) => {
                if set.is_empty() {
                    return Ok(());
                }
                let add =
                    json!({ "path": id, "property_groups": [{ "template_id": template, "fields": set }] });
                let call = api::rpc("update", "file_properties/properties/overwrite", &add).idempotent(true);
                self.account.send(cx, call).await.map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    async fn move_one(
        &self,
        cx: &Context,
        row: &Change,
        id: &str,
        path: &str,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let copies = is_on(options, "copy");
        let argument = json!({
            "from_path": id,
            "to_path": path,
            "autorename": is_on(options, "autorename"),
            "allow_ownership_transfer": is_on(options, "allow_ownership_transfer"),
        });
        let route = if copies { "files/copy_v2" } else { "files/move_v2" };
        let moved = self.account.ask::<Json>(cx, "a move", api::rpc("update", route, &argument)).await;
        match moved {
            Ok(answer) if copies => id_of(&answer["metadata"]).map(Outcome::Created),
            Ok(_) => Ok(Outcome::Updated(row.key.clone())),
            Err(error) => self.after_move(cx, row, id, path, copies, error).await,
        }
    }

    /// What a move that failed came to: an entry that is where it should be was moved, or never had to be.
    async fn after_move(
        &self,
        cx: &Context,
        row: &Change,
        id: &str,
        path: &str,
        copies: bool,
        error: Error,
    ) -> Result<Outcome> {
        let same_place = error.code() == Some("duplicated_or_nested_paths");
        if copies || !(same_place || error.leaves_open()) {
            return Err(error);
        }
        let Ok(Some(found)) = self.entry(cx, "update", id, false).await else { return Err(error) };
        let present = Head::of(&found)?.path_display.unwrap_or_default();
        if same_place {
            if present == path {
                return Ok(Outcome::Unchanged(row.key.clone()));
            }
            if present.to_lowercase() == path.to_lowercase() {
                let why = "Dropbox does not change the case of a name alone";
                return Err(error.with_field("path", why).with_advice_instead(
                    "Move the entry to another name first, then to the one that you want",
                ));
            }
            return Err(error);
        }
        if present.to_lowercase() == path.to_lowercase() {
            Ok(Outcome::Updated(row.key.clone()))
        } else {
            Err(error)
        }
    }

    async fn move_many(
        &self,
        cx: &Context,
        rows: &[Change],
        moves: &[(usize, String, String)],
        options: &WriteOptions,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<()> {
        if moves.is_empty() {
            return Ok(());
        }
        let copies = is_on(options, "copy");
        let entries: Vec<Json> =
            moves.iter().map(|(_, from, to)| json!({ "from_path": from, "to_path": to })).collect();
        let mut argument = json!({ "entries": entries, "autorename": is_on(options, "autorename") });
        let (route, check) = if copies {
            ("files/copy_batch_v2", "files/copy_batch/check_v2")
        } else {
            argument["allow_ownership_transfer"] = is_on(options, "allow_ownership_transfer").into();
            ("files/move_batch_v2", "files/move_batch/check_v2")
        };
        let answered = match self
            .account
            .ask::<Json>(cx, "a batch of moves", api::rpc("update", route, &argument))
            .await
        {
            Ok(answer) => self.account.finished(cx, "update", check, answer).await,
            Err(error) => Err(error),
        };
        let results: Vec<Result<Json>> = match answered {
            Ok(results) if results.len() == moves.len() => results.into_iter().map(Ok).collect(),
            Ok(_) => moves.iter().map(|_| Err(miscounted())).collect(),
            // Entries that lie in one another cannot be moved together.
            Err(error) if error.code() == Some("duplicated_or_nested_paths") => {
                for (place, id, path) in moves {
                    let outcome = self.move_one(cx, &rows[*place], id, path, options).await;
                    outcomes[*place] = Some(self.settled(outcome, "update", None));
                }
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::DryRun => return Err(error),
            Err(error) => moves.iter().map(|_| Err(error.clone())).collect(),
        };
        for ((place, id, path), result) in moves.iter().zip(results) {
            let row = &rows[*place];
            let result = result.and_then(|result| success(&result, Some("success")).cloned());
            let mut outcome = match result {
                Ok(metadata) if copies => id_of(&metadata).map(Outcome::Created),
                Ok(_) => Ok(Outcome::Updated(row.key.clone())),
                // One at a time it may go.
                Err(error) if error.kind() == ErrorKind::RateLimited => {
                    self.move_one(cx, row, id, path, options).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                outcome = self.after_move(cx, row, id, path, copies, error).await;
            }
            outcomes[*place] = Some(self.settled(outcome, "update", None));
        }
        Ok(())
    }

    /// Creates files or writes over those that are at their paths.
    pub(super) async fn upsert_files(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            match self.upsert_one(cx, row, options).await {
                Err(error) if error.kind() == ErrorKind::DryRun && rows.len() == 1 => return Err(error),
                outcome => outcomes.push(self.settled(outcome, "upsert", None)),
            }
        }
        Ok(outcomes)
    }

    async fn upsert_one(&self, cx: &Context, row: &Change, options: &WriteOptions) -> Result<Outcome> {
        let path = self.inside("path", self.named("path", &row.key)?)?;
        match self.entry(cx, "upsert", &path, false).await? {
            None if row.if_version.is_some() => Err(Error::new(
                ErrorKind::Conflict,
                format!("the revision of {path} cannot hold: there is no such file"),
            )
            .with_code("not_found")),
            None if is_named(&row.edits, "rev") => {
                let message = format!("{path} has no revision to go back to: there is no such file");
                Err(Error::new(ErrorKind::NotFound, message).with_field("rev", "needs a file"))
            }
            None => {
                let mut edits: Edits = row.edits.iter().filter(|(name, _)| name != "path").cloned().collect();
                let raw = serde_json::value::to_raw_value(&path)
                    .map_err(|source| Error::bug("a path is not JSON").with_source(source))?;
                edits.push(("path".to_owned(), Edit::Set(raw)));
                let draft = self.draft(&edits, options)?;
                self.create_file(cx, "upsert", &draft).await
            }
            Some(found) => {
                let head = Head::of(&found)?;
                let (Some("file"), Some(id)) = (head.tag.as_deref(), head.id.as_ref()) else {
                    return Err(Error::new(ErrorKind::Conflict, format!("{path} is a folder"))
                        .with_code("path/conflict/folder"));
                };
                let key = Key::text(id.as_str());
                let change =
                    Change { key: key.clone(), edits: row.edits.clone(), if_version: row.if_version.clone() };
                // Where it is was said by the key; when it was changed, only a new content can tell.
                let wanted = Wanted { to: None, ..self.wanted(&change, &WriteOptions::new())? };
                self.update_one(cx, &change, &wanted, &head, options).await?;
                Ok(Outcome::Updated(key))
            }
        }
    }
}

fn twice(other: &str) -> Error {
    Error::invalid(format!("path says already what {other} says: give one of them"))
        .with_field(other, "leave it out beside path")
}
