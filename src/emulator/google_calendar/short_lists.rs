//! Lists of calendars, rules of access and settings: pages, whole or of what changed since a token.
//!
//! Source: the list methods of `calendarList`, `acl` and `settings` in the discovery document of the Google Calendar API.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::Call;
use super::errors::{Refusal, answer};
use super::listing::{MEMORY, read, write};
use crate::emulator::service::Reply;

const USUAL: usize = 100;
const MOST: usize = 250;

/// Where a page begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PageToken {
    kind: String,
    /// Length of the journal when the listing began.
    journal: usize,
    begun: i64,
    /// The point of the journal from which on changes are wanted; everything when unset.
    since: Option<usize>,
    /// Rows that were given already.
    given: usize,
}

/// Since when changes are wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SyncToken {
    kind: String,
    epoch: u64,
    since: usize,
    at: i64,
}

/// A list that changes as its journal says.
pub(super) struct ShortList<'a> {
    pub(super) kind: &'a str,
    /// Sync tokens of an older epoch are no longer good.
    pub(super) epoch: u64,
    /// Ids in the order in which their rows changed.
    pub(super) journal: &'a [String],
    /// Parameters that no sync token goes together with.
    pub(super) unsynced: &'a [&'a str],
}

impl ShortList<'_> {
    /// The page that is asked for; `all` gives the whole list, and `one` a row as it is now, also when it is gone.
    pub(super) fn page(
        &self,
        call: &Call<'_>,
        all: impl FnOnce() -> Vec<Value>,
        one: impl Fn(&str) -> Value,
    ) -> Result<Reply, Refusal> {
        let size = call.page_size(USUAL, MOST)?;
        let at = self.place(call)?;
        let rows = match at.since {
            None => all(),
            Some(since) => self.changed(since, at.journal).map(one).collect(),
        };
        let items: Vec<&Value> = rows.iter().skip(at.given).take(size).collect();
        let mut out =
            json!({ "kind": self.kind, "etag": format!("\"p{:x}\"", self.journal.len()), "items": items });
        let end = at.given.saturating_add(size);
        if end < rows.len() {
            out["nextPageToken"] = json!(write(&PageToken { given: end, ..at }));
        } else if self.unsynced.iter().all(|name| call.option(name).is_none()) {
            let (kind, epoch) = (self.kind.to_owned(), self.epoch);
            out["nextSyncToken"] = json!(write(&SyncToken { kind, epoch, since: at.journal, at: at.begun }));
        }
        Ok(answer(StatusCode::OK, &out, true))
    }

    fn place(&self, call: &Call<'_>) -> Result<PageToken, Refusal> {
        let since = call.option("syncToken").map(|text| self.since(text, call)).transpose()?;
        if let Some(text) = call.option("pageToken") {
            let token = read::<PageToken>(text).filter(|token| token.kind == self.kind);
            return token.ok_or_else(|| Refusal::invalid("Invalid page token value."));
        }
        let (kind, journal) = (self.kind.to_owned(), self.journal.len());
        Ok(PageToken { kind, journal, begun: call.now.as_microsecond(), since, given: 0 })
    }

    fn since(&self, text: &str, call: &Call<'_>) -> Result<usize, Refusal> {
        if let Some(name) = self.unsynced.iter().find(|name| call.option(name).is_some()) {
            let message = format!("Sync token cannot be used with {name}.");
            return Err(Refusal::invalid_parameter("syncToken", message));
        }
        let refused =
            ["showDeleted", "showHidden"].into_iter().find(|name| call.option(name) == Some("false"));
        if let Some(name) = refused {
            let message = format!("{name} cannot be false when a sync token is used.");
            return Err(Refusal::invalid_parameter(name, message));
        }
        let token = read::<SyncToken>(text).filter(|token| {
            let at = Timestamp::from_microsecond(token.at).unwrap_or(Timestamp::UNIX_EPOCH);
            let age = call.now.duration_since(at);
            token.kind == self.kind && token.epoch == self.epoch && age <= MEMORY
        });
        token.map(|token| token.since).ok_or_else(Refusal::full_sync)
    }

    /// What changed between two points of the journal, each row once, in the order of its last change there.
    fn changed(&self, since: usize, until: usize) -> impl Iterator<Item = &str> {
        let between = self.journal.get(since..until).unwrap_or_default();
        let mut seen = HashSet::new();
        let mut ids: Vec<&str> =
            between.iter().rev().map(String::as_str).filter(|id| seen.insert(*id)).collect();
        ids.reverse();
        ids.into_iter()
    }
}
