//! Time as a dependency: "now" and every wait go through a [`Clock`], so that tests record waits instead of
//! sitting through them.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Source of "now" and of waiting.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Waits for a span of time.
    async fn sleep(&self, span: Duration);
}

/// The machine's clock and tokio's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// A clock that stands still until told, records each wait and returns from it at once (advancing itself).
#[derive(Debug)]
pub struct RecordingClock {
    state: Mutex<(Timestamp, Vec<Duration>)>,
}

impl RecordingClock {
    /// Starts at an instant.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self { state: Mutex::new((now, Vec::new())) }
    }

    /// The waits so far, in order.
    #[must_use]
    pub fn waits(&self) -> Vec<Duration> {
        self.locked().1.clone()
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        let mut state = self.locked();
        state.0 = state.0.saturating_add(span).unwrap_or(Timestamp::MAX);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, (Timestamp, Vec<Duration>)> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for RecordingClock {
    fn now(&self) -> Timestamp {
        self.locked().0
    }

    async fn sleep(&self, span: Duration) {
        self.advance(span);
        self.locked().1.push(span);
        tokio::task::yield_now().await;
    }
}
