//! Drift: how the schemas of record types have changed since a project wrote them down, and what that breaks.
//!
//! [`mod@diff`] compares two schemas and classifies each change for one direction, [`locked`] is the folder of schemas
//! that a project keeps, [`report`] what is told about all of it.

pub mod diff;
pub mod locked;
mod property;
pub mod report;

pub use diff::{Change, Severity, diff};
pub use locked::{Locked, LockedType};
pub use report::Report;
