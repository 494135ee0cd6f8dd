//! Runs: records of a mapping's source are read, mapped and written to its target, so that a run which is killed at
//! any instant goes on where it stood, with nothing lost and nothing doubled.
//!
//! [`plan`] is what a run was started with, `begin` starts one or takes it up again, [`journal`] remembers on disk how
//! far it came (what it keeps is in [`entry`]), `source` reads pages, `write` writes a batch and finds out about rows
//! whose answer was lost, `linked` makes rows for records that were made before, `content` copies bytes that go along, `made` keeps what lookups create, [`counts`] counts and
//! names the reasons for which records are skipped, [`pace`] tells how fast it goes, [`conduct`] puts them together.
//!
//! Before a batch is sent, its rows stand in the journal as intents; after it, their outcomes replace them in one
//! step with the place where reading goes on. What stands as an intent when a run is resumed may have been written
//! or not: the provider is asked.

mod begin;
pub mod conduct;
mod content;
pub mod counts;
pub mod dry;
pub mod entry;
pub mod journal;
mod linked;
mod lock;
mod made;
pub mod pace;
pub mod plan;
mod source;
mod write;

pub use conduct::{Conducted, Route, Run, Watch};
pub use counts::{Counts, Skip};
pub use entry::{RunState, Summary};
pub use journal::Journal;
pub use pace::Progress;
pub use plan::{Mode, Plan, Threshold};
