//! Writing issues.

use super::records::IssueRecords;
use crate::error::{Error, Result};
use crate::provider::{Change, Context, NewRow, Outcome, Settled, VersionedKey, WriteOptions};
use crate::record::KeyFields;
use crate::record::capability::Capability;
use serde_json::Value as Json;

/// Adds what can be written of issues; nothing yet.
pub(super) fn add_capabilities(_capability: &mut Capability) {}

impl IssueRecords {
    fn no_writes(&self, operation: &'static str) -> Error {
        self.unsupported(operation, "issues are not written by this version of recordport")
    }

    pub(super) async fn create_rows(
        &self,
        _cx: &Context,
        _rows: &[NewRow],
        _options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        Err(self.no_writes("create"))
    }

    pub(super) async fn update_rows(
        &self,
        _cx: &Context,
        _rows: &[Change],
        _options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        Err(self.no_writes("update"))
    }

    pub(super) async fn upsert_rows(
        &self,
        _cx: &Context,
        _by: &KeyFields,
        _rows: &[Change],
        _options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        Err(self.no_writes("upsert"))
    }

    pub(super) async fn delete_rows(
        &self,
        _cx: &Context,
        _rows: &[VersionedKey],
        _options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        Err(self.no_writes("delete"))
    }

    pub(super) async fn settle_marks(&self, _cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        Ok(marks.iter().map(|_| Settled::CannotTell).collect())
    }
}
