//! Looking at entries before they are touched. An id may be that of a file, of a folder, or of something elsewhere;
//! through a type only its own records are changed.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::pages::{AT_ONCE, Head};
use super::records::DropboxRecords;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::Context;

/// An id, and what it is of; nothing when nothing has it any more.
pub(super) type Owned = (String, Option<Head>);

impl DropboxRecords {
    /// What has an id.
    ///
    /// # Errors
    /// `NotFound` for what is not of this type; what the service refuses.
    pub(super) async fn own_entry(
        &self,
        cx: &Context,
        operation: &'static str,
        id: &str,
    ) -> Result<Option<Head>> {
        let Some(row) = self.entry(cx, operation, id, false).await? else { return Ok(None) };
        let head = Head::of(&row)?;
        if self.is_own(&row) {
            return Ok(Some(head));
        }
        let (own, tag) = (self.kind.name(), head.tag.as_deref().unwrap_or("something else"));
        let (message, advice) = if tag == own {
            let folder = self.folder_path();
            (format!("{id} does not lie in {folder:?}"), format!("Use the type {own} without a folder"))
        } else {
            (format!("{id} is a {tag}, not a {own}"), format!("Use the type {tag}"))
        };
        Err(Error::new(ErrorKind::NotFound, message).with_code("other_type").with_advice(advice))
    }

    /// What each of some ids is of, before anything is written.
    ///
    /// # Errors
    /// What concerns not one row but all of them.
    pub(super) async fn own_entries(
        &self,
        cx: &Context,
        operation: &'static str,
        ids: &[Result<String>],
    ) -> Result<Vec<Result<Owned>>> {
        let look = |id: Result<String>| async move {
            let id = match id {
                Ok(id) => id,
                Err(error) => return Ok(Err(error)),
            };
            match self.own_entry(cx, operation, &id).await {
                Ok(head) => Ok(Ok((id, head))),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => {
                    Ok(Err(error))
                }
                Err(error) => Err(error),
            }
        };
        stream::iter(ids.to_vec()).map(look).buffered(AT_ONCE).try_collect().await
    }
}
