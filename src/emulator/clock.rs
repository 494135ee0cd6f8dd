//! Emulated time: the real one plus whatever was advanced.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// The clock that token lifetimes, `Date` headers and row times follow. It starts at the real time, or at a
/// pinned one, runs on monotonically, and jumps forward when told to. Clones share one time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Timestamp,
    pinned: bool,
    started: Instant,
    /// Microseconds advanced so far; negative when a pinned clock was set back to its start.
    offset: AtomicI64,
}

/// The furthest the clock can be advanced in all: 200 years, so that sums of times stay representable.
const MAX_OFFSET_MICROS: i64 = 200 * 366 * 24 * 3_600 * 1_000_000;

impl Clock {
    /// A clock that starts at `start`, or at the real time.
    #[must_use]
    pub fn new(start: Option<Timestamp>) -> Self {
        Self(Arc::new(Inner {
            base: start.unwrap_or_else(Timestamp::now),
            pinned: start.is_some(),
            started: Instant::now(),
            offset: AtomicI64::new(0),
        }))
    }

    /// The emulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.0.started.elapsed()).unwrap_or(SignedDuration::ZERO);
        let offset = SignedDuration::from_micros(self.0.offset.load(Ordering::SeqCst));
        self.0.base.saturating_add(elapsed.saturating_add(offset)).unwrap_or(Timestamp::MAX)
    }

    /// Jumps forward.
    ///
    /// # Errors
    /// A sentence when the step is negative or leads more than 200 years from the start.
    pub fn advance(&self, step: SignedDuration) -> Result<Timestamp, String> {
        let micros = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        if micros < 0 {
            return Err("the clock only goes forward: give a positive duration".to_owned());
        }
        self.0
            .offset
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |offset| {
                offset.checked_add(micros).filter(|sum| *sum <= MAX_OFFSET_MICROS)
            })
            .map_err(|_| "the clock cannot be advanced by more than 200 years".to_owned())?;
        Ok(self.now())
    }

    /// Takes back every advance; a pinned clock starts again from its start.
    pub fn reset(&self) {
        let elapsed = i64::try_from(self.0.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.0.offset.store(if self.0.pinned { -elapsed } else { 0 }, Ordering::SeqCst);
    }
}

/// A time as HTTP writes it (RFC 9110 section 5.6.7).
pub(crate) fn http_date(time: Timestamp) -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}
