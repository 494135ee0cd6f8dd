//! Going back to an earlier revision of a file: an update of its field `rev`. It becomes the content of a new revision,
//! and a file that was deleted comes back with it.
//!
//! Source: the Stone specification (`restore`, `get_metadata`).

use serde_json::{Value as Json, json};

use super::pages::Head;
use super::records::DropboxRecords;
use super::writes::{Stored, id_of};
use super::{api, dialect};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Context, Outcome};
use crate::record::Key;

/// What Dropbox says while it is still at it.
const IN_PROGRESS: &str = "in_progress";

impl DropboxRecords {
    /// Makes an earlier revision, named as requests name it, the present content of a file. Without what the file is
    /// now, it was deleted.
    pub(super) async fn restore(
        &self,
        cx: &Context,
        id: &str,
        named: &str,
        present: Option<&Head>,
    ) -> Result<Outcome> {
        let rev = named.strip_prefix("rev:").unwrap_or(named);
        if present.is_some_and(|head| head.rev.as_deref() == Some(rev)) {
            return Ok(Outcome::Unchanged(Key::text(id)));
        }
        let earlier = self.entry(cx, "update", named, false).await?.ok_or_else(|| none_of(id, rev))?;
        let (head, stored): (Head, Stored) = (Head::of(&earlier)?, dialect::read("a revision", &earlier)?);
        if head.id.as_deref() != Some(id) || !self.is_own(&earlier) {
            return Err(none_of(id, rev));
        }
        // The file may have been moved since; one that is gone comes back where it was.
        let place = present.and_then(|head| head.path_display.as_ref()).or(head.path_display.as_ref());
        let place = place.ok_or_else(|| none_of(id, rev))?;
        let call = api::rpc("update", "files/restore", &json!({ "path": place, "rev": rev }));
        match self.account.ask::<Json>(cx, "a restored file", call).await {
            Ok(answer) => id_of(&answer).map(Outcome::Updated),
            Err(error) if error.code() == Some("invalid_revision") => {
                Err(none_of(id, rev).with_source(error))
            }
            Err(error) if error.leaves_open() || error.code() == Some(IN_PROGRESS) => {
                if self.is_restored(cx, id, present, &stored).await {
                    return Ok(Outcome::Updated(Key::text(id)));
                }
                Ok(Outcome::lost(&self.about("update")(error), None))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a file has the content of a revision, and not by the revision that it had before.
    async fn is_restored(&self, cx: &Context, id: &str, before: Option<&Head>, wanted: &Stored) -> bool {
        let Ok(Some(row)) = self.entry(cx, "update", id, false).await else { return false };
        let (Ok(head), Ok(stored)) = (Head::of(&row), dialect::read::<Stored>("an entry", &row)) else {
            return false;
        };
        let is_new = head.rev.is_some() && head.rev != before.and_then(|head| head.rev.clone());
        is_new && stored.content_hash.is_some() && stored.content_hash == wanted.content_hash
    }
}

fn none_of(id: &str, rev: &str) -> Error {
    let message = format!("{rev} is no revision of the file {id}");
    Error::new(ErrorKind::NotFound, message.as_str())
        .with_provider("dropbox")
        .with_code("invalid_revision")
        .with_field("rev", message)
        .with_advice("The type revision:<path of the file> lists the revisions that there are")
}
