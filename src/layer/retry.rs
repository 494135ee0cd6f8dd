//! Sends a call again when that can help and cannot harm.
//!
//! The verdict is the error's alone ([`Error::retry`]): it was read from the provider's own code, never from
//! the status. A call that may have been executed is sent again only when it is idempotent. Waits follow full
//! jitter, `rand() · min(cap, base · 2^n)`, unless the service names a wait of its own. A budget per connection
//! keeps a failing service from being hammered: it starts with 500 tokens, a repetition takes 5 (10 after a
//! time-out), a success gives 1 back (the numbers of the AWS SDKs' standard mode).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rand::Rng as _;

use crate::clock::Clock;
use crate::error::{Error, Result, Retry};
use crate::http::{Call, Http, Reply, SharedHttp};

/// How often and how long a call is tried.
#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Most attempts of one call, the first included.
    pub attempts: u32,
    /// Ceiling of the first wait.
    pub base: Duration,
    /// Ceiling of every wait.
    pub cap: Duration,
    /// How long one call may be tried, not counting waits that the service asked for.
    pub deadline: Duration,
    /// Longest wait that a service may ask for; a longer one ends the call with an error that says when to try
    /// again.
    pub longest_pause: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(20),
            deadline: Duration::from_secs(180),
            longest_pause: Duration::from_secs(600),
        }
    }
}

/// The retries that a connection can still afford; shared by all of its calls.
#[derive(Debug)]
pub struct RetryBudget(Mutex<u32>);

impl RetryBudget {
    /// Tokens at the start, and the most there can be.
    pub const FULL: u32 = 500;
    const RETRY: u32 = 5;
    const RETRY_AFTER_TIMEOUT: u32 = 10;

    /// A full budget.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Self::FULL))
    }

    /// Tokens left.
    #[must_use]
    pub fn left(&self) -> u32 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, tokens: u32) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match left.checked_sub(tokens) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
    }

    fn refund(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + 1).min(Self::FULL);
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// The retry layer.
#[derive(Debug)]
pub struct RetryLayer {
    inner: SharedHttp,
    clock: Arc<dyn Clock>,
    budget: Arc<RetryBudget>,
    settings: RetrySettings,
}

impl RetryLayer {
    /// Wraps a plane.
    #[must_use]
    pub fn new(
        inner: SharedHttp,
        clock: Arc<dyn Clock>,
        budget: Arc<RetryBudget>,
        settings: RetrySettings,
    ) -> Self {
        Self { inner, clock, budget, settings }
    }

    /// How long to wait before the next attempt and whether the service asked for it, or the error to end with.
    fn next_wait(
        &self,
        error: Error,
        call: &Call,
        attempt: u32,
        tried: Duration,
    ) -> Result<(Duration, bool)> {
        let helps = match error.retry() {
            Retry::Never => false,
            Retry::IfIdempotent => call.idempotent,
            Retry::Always => true,
        };
        if !helps || call.is_spent() {
            return Err(error.with_attempts(attempt));
        }
        let asked = error.retry_after().filter(|wait| *wait > Duration::ZERO);
        if let Some(wait) = asked.filter(|wait| *wait > self.settings.longest_pause) {
            return Err(try_again_later(error, self.clock.now(), wait).with_attempts(attempt));
        }
        // A page that is not the service's own is worth one more look, not five.
        let attempts = if error.code() == Some("not_json") { 2 } else { self.settings.attempts };
        if attempt >= attempts {
            return Err(error.with_attempts(attempt));
        }
        let wait = asked.unwrap_or_else(|| self.jitter(attempt));
        if tried + if asked.is_some() { Duration::ZERO } else { wait } > self.settings.deadline {
            return Err(error.with_attempts(attempt));
        }
        let price = if error.code() == Some("timeout") {
            RetryBudget::RETRY_AFTER_TIMEOUT
        } else {
            RetryBudget::RETRY
        };
        if !self.budget.take(price) {
            return Err(error
                .with_attempts(attempt)
                .with_advice("Too many requests of this connection failed in a row; try again later"));
        }
        Ok((wait, asked.is_some()))
    }

    fn jitter(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let ceiling = self.settings.base.saturating_mul(doubled).min(self.settings.cap);
        ceiling.mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for RetryLayer {
    async fn send(&self, call: Call) -> Result<Reply> {
        let started = self.clock.now();
        let mut paused = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let error = match self.inner.send(call.clone()).await {
                Ok(reply) => {
                    self.budget.refund();
                    return Ok(reply);
                }
                Err(error) => error,
            };
            let elapsed = Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default();
            let reason = error.code().unwrap_or_default().to_owned();
            let (wait, asked) = self.next_wait(error, &call, attempt, elapsed.saturating_sub(paused))?;
            tracing::info!(operation = call.operation, attempt, ?wait, asked, reason, "trying again");
            if asked {
                paused += wait;
            }
            self.clock.sleep(wait).await;
            attempt += 1;
        }
    }
}

/// The error of a call that the service wants to see again only much later.
pub(crate) fn try_again_later(error: Error, now: Timestamp, wait: Duration) -> Error {
    let advice = match now.checked_add(wait) {
        Ok(at) => format!("Try again after {}", at.strftime("%Y-%m-%d %H:%M:%S UTC")),
        Err(_) => "The service does not say a sensible time to try again".to_owned(),
    };
    error.with_retry(Retry::Never).with_advice_instead(advice)
}
