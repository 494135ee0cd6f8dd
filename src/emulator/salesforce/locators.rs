//! Open query locators: where the rest of a result is kept until its next page is asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::errors::Refusal;
use super::query::Answer;
use super::rows::Store;

/// A locator that was not used for so long is gone.
const IDLE: SignedDuration = SignedDuration::from_mins(15);
/// Open locators of one user; one more closes the oldest.
const MOST_OPEN: usize = 10;
/// Those of child rows count apart, so that one page of parents cannot close the locators of others.
const MOST_NESTED: usize = 2000;

#[derive(Debug)]
struct Cursor {
    locator: String,
    answer: Arc<Answer>,
    used: Timestamp,
    finished: bool,
    /// For the children of one row.
    nested: bool,
}

/// The open locators of the one user. Reads that run side by side share them.
#[derive(Debug, Default)]
pub(super) struct Locators(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    cursors: Vec<Cursor>,
    made: u64,
}

impl Open {
    fn forget_idle(&mut self, now: Timestamp) {
        self.cursors.retain(|cursor| now.duration_since(cursor.used) <= IDLE);
    }
}

impl Locators {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every locator invalid.
    pub(super) fn expire(&self) {
        self.lock().cursors.clear();
    }

    /// Keeps an answer for its further pages; gives the locator.
    pub(super) fn open(&self, store: &Store, answer: Arc<Answer>, now: Timestamp, nested: bool) -> String {
        let mut open = self.lock();
        open.forget_idle(now);
        let kin = |cursor: &Cursor| cursor.nested == nested;
        let most = if nested { MOST_NESTED } else { MOST_OPEN };
        if open.cursors.iter().filter(|cursor| kin(cursor)).count() >= most {
            let finished = open.cursors.iter().position(|cursor| kin(cursor) && cursor.finished);
            if let Some(oldest) = finished.or_else(|| open.cursors.iter().position(kin)) {
                open.cursors.remove(oldest);
            }
        }
        open.made += 1;
        let locator = store.ids.make("0r8", open.made);
        open.cursors.push(Cursor { locator: locator.clone(), answer, used: now, finished: false, nested });
        locator
    }

    /// The answer behind a locator, of which rows from `offset` on are asked for now.
    ///
    /// # Errors
    /// INVALID_QUERY_LOCATOR when the locator is unknown, expired or names a place outside the result.
    pub(super) fn resume(&self, locator: &str, offset: u64, now: Timestamp) -> Result<Arc<Answer>, Refusal> {
        let mut open = self.lock();
        open.forget_idle(now);
        let cursor = open.cursors.iter_mut().find(|cursor| cursor.locator == locator).ok_or_else(invalid)?;
        if offset >= cursor.answer.total {
            return Err(invalid());
        }
        cursor.used = now;
        cursor.finished = offset + cursor.answer.page >= cursor.answer.total;
        Ok(Arc::clone(&cursor.answer))
    }
}

pub(super) fn invalid() -> Refusal {
    Refusal::new("INVALID_QUERY_LOCATOR", "invalid query locator")
}
