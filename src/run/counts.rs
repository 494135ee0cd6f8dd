//! What became of a run's records, counted, and why some were left alone.

use serde::{Deserialize, Serialize};

use crate::provider::Outcome;

/// What became of a run's records: `read` is the sum of the others but `unknown`, which is a part of `failed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Records that were read and are decided.
    pub read: u64,
    /// Rows that were created.
    pub created: u64,
    /// Rows that were updated.
    pub updated: u64,
    /// Rows that were deleted.
    pub deleted: u64,
    /// Rows that needed no change.
    pub unchanged: u64,
    /// Rows that failed, or of which nobody knows.
    pub failed: u64,
    /// Those of which nobody knows whether they were written.
    pub unknown: u64,
    /// Records that this run had nothing to do for.
    pub skipped: u64,
    /// How many of these for which reason.
    #[serde(skip_serializing_if = "Skips::is_empty")]
    pub skipped_because: Skips,
}

impl Counts {
    /// Rows that were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.created + self.updated + self.deleted
    }

    /// Counts a row that was sent.
    pub(super) fn sent(&mut self, outcome: &Outcome) {
        self.read += 1;
        match outcome {
            Outcome::Created(_) => self.created += 1,
            Outcome::Updated(_) => self.updated += 1,
            Outcome::Unchanged(_) => self.unchanged += 1,
            Outcome::Deleted(_) => self.deleted += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Unknown { .. } => {
                self.failed += 1;
                self.unknown += 1;
            }
        }
    }

    /// Counts a record for which nothing is done.
    pub(super) fn skipped(&mut self, why: Skip) {
        self.read += 1;
        self.skipped += 1;
        self.skipped_because.add(why);
    }
}

/// Why a run does nothing for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The mapping's conditions leave it out.
    LeftOut,
    /// The mapping made a record of it, and its conditions leave it out now.
    Left,
    /// The mapping only creates, and has made a record of it before.
    CreatedBefore,
    /// It was deleted, and the mapping ignores that.
    DeletionIgnored,
    /// It was deleted, and the mapping made no record of it.
    NeverWritten,
    /// It was deleted, and the record that was made of it stands for others as well.
    Shared,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::LeftOut,
        Self::Left,
        Self::CreatedBefore,
        Self::DeletionIgnored,
        Self::NeverWritten,
        Self::Shared,
    ];

    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left_out",
            Self::Left => "left",
            Self::CreatedBefore => "created_before",
            Self::DeletionIgnored => "deletion_ignored",
            Self::NeverWritten => "never_written",
            Self::Shared => "shared",
        }
    }

    /// The reason in words, with what can be done about it.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::LeftOut => "the mapping's conditions leave it out",
            Self::Left => {
                "it does not meet the mapping's conditions any more; the record that was made of it stays as it is"
            }
            Self::CreatedBefore => {
                "it changed after a record was made of it, and a mapping of operation create does not carry changes over \
                 by itself; on_source_update can say otherwise, and an upsert by a key does"
            }
            Self::DeletionIgnored => {
                "it was deleted at its source, and the mapping ignores that; on_source_delete can say otherwise"
            }
            Self::NeverWritten => "it was deleted at its source, and the mapping made no record of it",
            Self::Shared => {
                "it was deleted at its source, and the record that was made of it stands for other records of the source, too"
            }
        }
    }

    /// Whether source and target differ because of it, so that the user should know.
    #[must_use]
    pub fn parts_sides(self) -> bool {
        matches!(self, Self::Left | Self::CreatedBefore | Self::DeletionIgnored)
    }
}

/// How many records were skipped for each reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Skips {
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
    #[serde(skip_serializing_if = "is_zero")]
    left: u64,
    #[serde(skip_serializing_if = "is_zero")]
    created_before: u64,
    #[serde(skip_serializing_if = "is_zero")]
    deletion_ignored: u64,
    #[serde(skip_serializing_if = "is_zero")]
    never_written: u64,
    #[serde(skip_serializing_if = "is_zero")]
    shared: u64,
}

impl Skips {
    /// How many for a reason.
    #[must_use]
    pub fn of(&self, why: Skip) -> u64 {
        match why {
            Skip::LeftOut => self.left_out,
            Skip::Left => self.left,
            Skip::CreatedBefore => self.created_before,
            Skip::DeletionIgnored => self.deletion_ignored,
            Skip::NeverWritten => self.never_written,
            Skip::Shared => self.shared,
        }
    }

    /// Whether none was skipped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts one.
    pub(super) fn add(&mut self, why: Skip) {
        *match why {
            Skip::LeftOut => &mut self.left_out,
            Skip::Left => &mut self.left,
            Skip::CreatedBefore => &mut self.created_before,
            Skip::DeletionIgnored => &mut self.deletion_ignored,
            Skip::NeverWritten => &mut self.never_written,
            Skip::Shared => &mut self.shared,
        } += 1;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
