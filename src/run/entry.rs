//! What the journal of runs keeps: runs, rows under way, what became of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::content::Parcel;
use super::counts::{Counts, Skip};
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::mapping::Mapping;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way.
    Running,
    /// Its process died; it can be resumed.
    Interrupted,
    /// Stopped before its end; it can be resumed.
    Stopped,
    /// Everything was handled.
    Finished,
    /// Given up for a new one.
    Abandoned,
}

impl RunState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Running, Self::Stopped, Self::Finished, Self::Abandoned]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A run as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Its id.
    pub run: String,
    /// Name of the mapping.
    pub mapping: String,
    /// How far it is.
    pub state: RunState,
    /// Which records it reads.
    pub mode: &'static str,
    /// When it began.
    pub started: Timestamp,
    /// When the journal last heard of it.
    pub changed: Timestamp,
    /// What became of its records.
    pub counts: Counts,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Json>,
    /// What it was started with.
    pub plan: Plan,
}

impl Summary {
    /// Whether nothing of it is left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, RunState::Finished | RunState::Abandoned)
    }
}

/// A run that was found in the journal.
#[derive(Debug, Clone)]
pub struct Found {
    /// As it is listed.
    pub summary: Summary,
    /// The mapping, as it was when the run began.
    pub mapping: Mapping,
    pub(super) place: Place,
    pub(super) next_number: u64,
}

/// Where reading goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// At the beginning.
    #[default]
    Start,
    /// At a cursor of the search.
    Cursor(String),
    /// At a checkpoint of the feed.
    Checkpoint(String),
}

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The mapping's operation.
    Write,
    /// The record that was created before is updated, since the source's changed.
    Update,
    /// The target's record is deleted, since the source's was.
    Delete,
    /// Fields of the target's record are set, since the source's was deleted.
    Set,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Set => "set",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Write, Self::Update, Self::Delete, Self::Set].into_iter().find(|kind| kind.name() == name)
    }
}

/// A row that is about to be sent, or of which it is not known whether it arrived.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    /// Its number in the run, from 0.
    pub(super) number: u64,
    pub(super) kind: Kind,
    /// What tells the source's record from the others of the run.
    pub(super) identity: String,
    pub(super) source_key: Option<String>,
    /// A mark of the source record's content.
    pub(super) mark: u64,
    /// The source's record as it was read.
    pub(super) record: String,
    /// The row.
    pub(super) content: String,
    /// When it was first sent.
    pub(super) since: Timestamp,
    /// Whether it may have been sent before.
    pub(super) sent: bool,
    /// Content that goes along.
    pub(super) parcel: Option<Parcel>,
}

/// A record that a run is done with.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) number: u64,
    pub(super) identity: String,
    pub(super) source_key: Option<String>,
    pub(super) mark: u64,
    /// Its line in the report, when it failed.
    pub(super) failure: Option<String>,
    /// Its line among those that were left alone, when a record of the target may be behind it.
    pub(super) skipped: Option<String>,
    /// The record of the target that it became.
    pub(super) target_key: Option<String>,
    /// Whether the record of the target is gone, and what it became with it.
    pub(super) unlink: bool,
}

/// What one step of a run writes down, all of it or nothing.
#[derive(Debug, Default)]
pub(super) struct Step<'a> {
    pub(super) decided: Vec<Decided>,
    /// Rows that are about to be sent.
    pub(super) intents: &'a [Intent],
    /// Rows that were not sent after all: known not to have been.
    pub(super) unsent: Vec<u64>,
    pub(super) place: Option<&'a Place>,
    pub(super) counts: Counts,
    pub(super) next_number: u64,
    /// Set when a page of the feed is done with: source and checkpoint.
    pub(super) followed: Option<(&'a str, &'a str)>,
    pub(super) state: Option<(RunState, Option<&'a Error>)>,
}

/// The line of a row that failed: the source's record as it can be mended and fed back, with what went wrong in
/// members that begin with `@`.
#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    #[serde(rename = "@number")]
    pub(super) number: u64,
    #[serde(rename = "@key", skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<&'a str>,
    #[serde(rename = "@status")]
    pub(super) status: &'a str,
    #[serde(rename = "@error")]
    pub(super) error: &'a Error,
    /// What stands of the row although it failed.
    #[serde(rename = "@written", skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<Box<RawValue>>,
    #[serde(rename = "@row", skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<&'a RawValue>,
}

impl<'a> Failure<'a> {
    /// That of a record of which no row was made.
    pub(super) fn of(number: u64, key: Option<&'a str>, error: &'a Error) -> Self {
        Self { number, key, status: "failed", error, written: None, row: None }
    }

    /// That of a row that was sent.
    pub(super) fn of_row(row: &'a Intent, status: &'a str, error: &'a Error) -> Self {
        let sent = serde_json::from_str::<&RawValue>(&row.content).ok();
        Self { status, row: sent, ..Self::of(row.number, row.source_key.as_deref(), error) }
    }

    /// The line, with the members of a record.
    pub(super) fn line(&self, record: &str) -> Result<String> {
        let line = serde_json::to_string(self);
        let mut line = line.map_err(|error| Error::bug("a failure has no JSON").with_source(error))?;
        let members =
            record.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or("").trim();
        if !members.is_empty() {
            line.pop();
            line.push(',');
            // A record is one line here, whatever blanks its provider wrote.
            line.extend(members.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
            line.push('}');
        }
        Ok(line)
    }
}

/// The line of a record that was left alone although the mapping made, or may have made, a record of it.
pub(super) fn skip_line(number: u64, source_key: Option<&str>, target: &str, why: Skip) -> String {
    let mut line = serde_json::json!({
        "@number": number, "@key": source_key, "@status": "skipped", "@reason": why.name(), "@message": why.told(),
    });
    // It is not known of a row whose answer was lost.
    if let (false, Some(members)) = (target.is_empty(), line.as_object_mut()) {
        members.insert("@target".to_owned(), target.into());
    }
    line.to_string()
}
