//! Shared links: made, changed and revoked one at a time.
//!
//! Source: the Stone specification (namespace `sharing`).

use serde_json::{Value as Json, json};

use super::records::DropboxRecords;
use super::writes::{instant, text_of};
use super::{api, paths};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Change, Context, Edit, Edits, NewRow, Outcome, VersionedKey};
use crate::record::Key;

fn settings(edits: &Edits) -> Result<Json> {
    let mut out = json!({});
    if let Some(expires) = text_of(edits, "expires") {
        out["expires"] = instant("expires", &expires)?.into();
    }
    if let Some(audience) = text_of(edits, "audience") {
        out["audience"] = json!({ ".tag": audience });
    }
    Ok(out)
}

impl DropboxRecords {
    /// One link as it is on the wire; nothing when there is none.
    pub(super) async fn link(&self, cx: &Context, url: &str) -> Result<Option<Vec<u8>>> {
        let call = api::ask("get", "sharing/get_shared_link_metadata", &json!({ "url": url }));
        match self.account.send(cx, call).await {
            Ok(reply) => Ok(Some(reply.body.trim_ascii().to_vec())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create_links(&self, cx: &Context, rows: &[NewRow]) -> Result<Vec<Outcome>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.settled(self.create_link(cx, &row.fields).await, "create", None));
        }
        Ok(out)
    }

    async fn create_link(&self, cx: &Context, edits: &Edits) -> Result<Outcome> {
        let given = text_of(edits, "path")
            .ok_or_else(|| Error::invalid("path is required").with_field("path", "is required"))?;
        let path = if given.starts_with("id:") {
            given
        } else {
            self.inside("path", paths::whole("path", self.folder_path(), &given)?)?
        };
        let argument = json!({ "path": path, "settings": settings(edits)? });
        let call = api::rpc("create", "sharing/create_shared_link_with_settings", &argument);
        let answer: Json = self.account.ask(cx, "a new link", call).await?;
        let url = answer["url"].as_str().ok_or_else(|| {
            Error::protocol("Dropbox made the link and did not say its address")
                .with_code("created_without_id")
        })?;
        Ok(Outcome::Created(Key::text(url)))
    }

    pub(super) async fn update_links(&self, cx: &Context, rows: &[Change]) -> Result<Vec<Outcome>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let changed = async {
                let url = self.named("url", &row.key)?;
                let cleared =
                    row.edits.iter().any(|(name, edit)| name == "expires" && matches!(edit, Edit::Clear));
                let argument = json!({
                    "url": url, "settings": settings(&row.edits)?, "remove_expiration": cleared,
                });
                let call = api::rpc("update", "sharing/modify_shared_link_settings", &argument);
                self.account.send(cx, call.idempotent(true)).await?;
                Ok(Outcome::Updated(row.key.clone()))
            };
            out.push(self.settled(changed.await, "update", None));
        }
        Ok(out)
    }

    pub(super) async fn revoke_links(&self, cx: &Context, rows: &[VersionedKey]) -> Result<Vec<Outcome>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let revoked = async {
                let argument = json!({ "url": self.named("url", &row.key)? });
                let call = api::rpc("delete", "sharing/revoke_shared_link", &argument).idempotent(true);
                match self.account.send(cx, call).await {
                    Ok(_) => Ok(Outcome::Deleted(row.key.clone())),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        Ok(Outcome::Deleted(row.key.clone()))
                    }
                    Err(error) => Err(error),
                }
            };
            out.push(self.settled(revoked.await, "delete", None));
        }
        Ok(out)
    }
}
