//! What a feed of changes knows of the records that it has told of, where that is more than a checkpoint can carry.
//!
//! Whoever opens a connection may hand in such a memory. It goes step by step: each step begins where a checkpoint says
//! that the memory stood, and ends at a new mark, which stands in the next checkpoint. A checkpoint that was not taken
//! into use leads back to the step before, and two feeds that go on from one checkpoint do not disturb each other.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a memory stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryMark {
    /// Which memory.
    pub line: String,
    /// After how many steps.
    pub step: u64,
}

/// What is known of a record's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is at its path.
    There,
    /// It was at its path and is not any more; it may come back elsewhere before that is told.
    Gone,
    /// It was at its path before everything was listed once more, and was not found again yet.
    Before,
}

/// A record as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The text of its key.
    pub key: String,
    /// Its path, as paths are compared.
    pub path: String,
    /// A mark of what was seen of it.
    pub mark: u32,
    /// Whether it is there.
    pub presence: Presence,
}

/// The records that a memory knows, one entry each.
pub trait Entries {
    /// The record with a key.
    ///
    /// # Errors
    /// Local, when the memory cannot be read.
    fn by_key(&mut self, key: &str) -> Result<Option<Known>>;

    /// The record that is at a path.
    ///
    /// # Errors
    /// As for [`by_key`](Self::by_key).
    fn at_path(&mut self, path: &str) -> Result<Option<Known>>;

    /// Keeps a record, in place of what was known of it.
    ///
    /// # Errors
    /// Local, when the memory cannot be written.
    fn put(&mut self, known: &Known) -> Result<()>;

    /// Forgets a record.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    fn forget(&mut self, key: &str) -> Result<()>;

    /// Changes what is known of the presence of all records at a path and under it, or of all there are.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    fn turn(&mut self, tree: Option<&str>, from: Presence, to: Presence) -> Result<()>;

    /// Some of the records of this presence, in the order of their paths.
    ///
    /// # Errors
    /// As for [`by_key`](Self::by_key).
    fn some(&mut self, presence: Presence, most: usize) -> Result<Vec<Known>>;
}

/// The work of one step.
pub type Work = Box<dyn FnOnce(&mut dyn Entries) -> Result<()> + Send>;

/// The memories of one connection.
#[async_trait]
pub trait FeedMemory: Send + Sync + std::fmt::Debug {
    /// A new memory with nothing in it.
    ///
    /// # Errors
    /// Local, when it cannot be kept.
    async fn begin(&self, record_type: &str) -> Result<MemoryMark>;

    /// Takes a step: all of the work is kept, or nothing when it fails. `None` when the memory is not known any more as
    /// it was there.
    ///
    /// # Errors
    /// Local, when the memory cannot be used; the work's own.
    async fn step(&self, from: &MemoryMark, work: Work) -> Result<Option<MemoryMark>>;
}

/// Takes a step whose work answers something.
///
/// # Errors
/// As for [`FeedMemory::step`].
pub async fn step<T: Send + 'static>(
    memory: &dyn FeedMemory,
    from: &MemoryMark,
    work: impl FnOnce(&mut dyn Entries) -> Result<T> + Send + 'static,
) -> Result<Option<(T, MemoryMark)>> {
    let answer = Arc::new(Mutex::new(None));
    let place = Arc::clone(&answer);
    let work: Work = Box::new(move |entries| {
        let found = work(entries)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(())
    });
    let Some(mark) = memory.step(from, work).await? else { return Ok(None) };
    let found = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    match found {
        Some(found) => Ok(Some((found, mark))),
        None => Err(Error::bug("a step of a memory did not do its work")),
    }
}
