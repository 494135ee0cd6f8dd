//! What became of creates whose answer was lost: a file is known by its path and the hash of its content. A folder has
//! nothing but its path, so that nobody can tell who made the one that stands there; it is what the row wants all the
//! same, unless the row has properties, which are set once the folder is there.

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::columns::Kind;
use super::pages::AT_ONCE;
use super::records::DropboxRecords;
use super::writes::{Stored, content_of, is_on, is_since, text_of};
use super::{dialect, hash, paths};
use crate::error::Result;
use crate::provider::{Context, NewRow, Settled, WriteOptions};
use crate::record::Key;

impl DropboxRecords {
    /// What a row is looked for by: its path, and the hash of its content where it has some. What Dropbox may call
    /// otherwise cannot be looked for.
    pub(super) fn mark_of(&self, row: &NewRow, options: &WriteOptions) -> Option<Json> {
        if !matches!(self.kind, Kind::File | Kind::Folder) || is_on(options, "autorename") {
            return row.marker.clone();
        }
        let mut mark = json!({ "path": text_of(&row.fields, "path")? });
        if self.kind == Kind::File {
            mark["content_hash"] = hash::of(&content_of(&row.fields).ok()?.unwrap_or_default()).into();
        } else if !self.groups(&row.fields).is_empty() {
            mark["properties"] = true.into();
        }
        Some(mark)
    }

    /// What became of creates, by their paths and contents.
    pub(super) async fn settle_marks(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        let look = |mark: Json| async move {
            let Some(path) = mark["path"].as_str() else { return Ok(Settled::CannotTell) };
            let Ok(path) = paths::whole("path", self.folder_path(), path) else { return Ok(Settled::Absent) };
            let Some(row) = self.entry(cx, "settle", &path, false).await? else { return Ok(Settled::Absent) };
            let stored: Stored = dialect::read("an entry", &row)?;
            let of_kind = stored.tag.as_deref() == Some(self.kind.name());
            let since = mark["@since"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
            if !of_kind || since.is_some_and(|since| self.kind == Kind::File && !is_since(&stored, since)) {
                // What stands there is another's; sending again tells so.
                return Ok(Settled::Absent);
            }
            Ok(match (mark["content_hash"].as_str(), stored.id) {
                (Some(hash), Some(id)) if stored.content_hash.as_deref() == Some(hash) => {
                    Settled::Arrived(Key::text(id))
                }
                (None, Some(id)) if self.kind == Kind::Folder && mark["properties"] != true => {
                    Settled::There(Key::text(id))
                }
                _ => Settled::CannotTell,
            })
        };
        let found = stream::iter(marks.to_vec()).map(look).buffered(AT_ONCE);
        found.collect::<Vec<Result<Settled>>>().await.into_iter().collect()
    }
}
