//! Keeps one connection within the limits of its service: how many calls at once, how many a second, none at all
//! while the service asked for a pause, and none that would take the last of a quota that others need too.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use governor::RateLimiter;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::retry::{RetryBudget, try_again_later};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::dialect::Quota;
use crate::http::{Call, Http, Reply, SharedHttp};

/// How long a quota that is nearly used up is believed before one reading call looks whether it has recovered.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// Most calls that are kept back unless said otherwise.
const RESERVE: u64 = 100;

/// Limits of one connection.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Most calls under way at once.
    pub concurrency: usize,
    /// Most calls begun in a second, after a burst of as many; no limit when not given.
    pub per_second: Option<NonZeroU32>,
    /// Longest pause that calls wait out; while a longer one lasts they are refused at once.
    pub longest_pause: Duration,
    /// Calls of the service's quota that are left to others: when no more are left, calls are refused. `None`
    /// for a hundredth of the quota, 100 at most; 0 leaves it to the service to refuse.
    pub quota_reserve: Option<u64>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            per_second: None,
            longest_pause: Duration::from_secs(600),
            quota_reserve: None,
        }
    }
}

/// What all calls of one connection share, whichever plane they go through: the budget for repetitions, the
/// limits, the pause that the service asked for, and what it told about its quota.
#[derive(Debug)]
pub struct ConnectionLimits {
    retries: Arc<RetryBudget>,
    slots: Semaphore,
    rate: Option<RateLimiter<NotKeyed, InMemoryState, RateClock, NoOpMiddleware<Nanos>>>,
    clock: Arc<dyn Clock>,
    longest_pause: Duration,
    quota_reserve: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    paused_until: Option<Timestamp>,
    quota: Quota,
    /// When the quota was last told, or a call was let through to be told.
    told: Option<Timestamp>,
}

impl ConnectionLimits {
    /// The limits of a connection, all unused.
    #[must_use]
    pub fn new(settings: &LimitSettings, clock: Arc<dyn Clock>) -> Self {
        let rate = settings.per_second.map(|calls| {
            let start = RateClock { clock: Arc::clone(&clock), origin: clock.now() };
            RateLimiter::direct_with_clock(governor::Quota::per_second(calls), start)
        });
        Self {
            retries: Arc::new(RetryBudget::new()),
            slots: Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            rate,
            clock,
            longest_pause: settings.longest_pause,
            quota_reserve: settings.quota_reserve,
            state: Mutex::new(State::default()),
        }
    }

    /// The budget for repetitions.
    #[must_use]
    pub fn retries(&self) -> &Arc<RetryBudget> {
        &self.retries
    }

    /// What the service last told about its quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.state().quota
    }

    /// Calls that are kept back of a quota of so many.
    #[must_use]
    pub fn reserve(&self, allowed: u64) -> u64 {
        self.quota_reserve.unwrap_or_else(|| RESERVE.min(allowed / 100))
    }

    /// Until when nothing is sent, when the service asked for a pause that is not over.
    #[must_use]
    pub fn paused_until(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        self.state().paused_until.filter(|until| *until > now)
    }

    /// Notes what an answer tells; numbers that it does not tell stay as they were.
    pub(crate) fn learn(&self, quota: Quota) {
        {
            let mut state = self.state();
            if quota.used.is_some() {
                state.told = Some(self.clock.now());
            }
            state.quota.used = quota.used.or(state.quota.used);
            state.quota.allowed = quota.allowed.or(state.quota.allowed);
        }
        if let Some(pause) = quota.pause {
            self.pause(pause);
        }
    }

    fn pause(&self, wait: Duration) {
        let until = self.clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
    }

    /// Refuses a call that would take what is kept back of the quota. The last number told counts, whether it
    /// went up or down: a rolling window gives calls back, and services count in several places.
    fn guard_quota(&self, call: &Call) -> Result<()> {
        let mut state = self.state();
        let (Some(used), Some(allowed)) = (state.quota.used, state.quota.allowed) else { return Ok(()) };
        let reserve = self.reserve(allowed);
        if allowed.saturating_sub(used) >= reserve {
            return Ok(());
        }
        let now = self.clock.now();
        let look = state.told.and_then(|told| told.checked_add(LOOK_AGAIN).ok());
        if call.read_only && look.is_none_or(|look| now >= look) {
            state.told = Some(now);
            return Ok(());
        }
        let mut error = Error::new(
            ErrorKind::RateLimited,
            format!(
                "{used} of the {allowed} calls that the service allows are used, and the last {reserve} are kept back"
            ),
        )
        .with_code("quota_reserve")
        .with_advice(
            "Nothing was sent. Resume once the service's window has moved on, ask for a larger quota, or keep fewer \
             calls back (the connection's setting quota_reserve)",
        );
        if let Some(wait) = look.and_then(|look| Duration::try_from(look.duration_since(now)).ok()) {
            error = error.with_retry_after(wait);
        }
        Err(error)
    }

    /// Waits until nothing stands in the way of a call.
    async fn admit(&self, call: &Call) -> Result<()> {
        self.guard_quota(call)?;
        if let Some(rate) = &self.rate {
            while let Err(not_until) = rate.check() {
                self.clock.sleep(not_until.wait_time_from(rate.clock().now())).await;
            }
        }
        while let Some(until) = self.paused_until() {
            let now = self.clock.now();
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            if wait > self.longest_pause {
                let error = Error::new(ErrorKind::RateLimited, "the service asked this connection to pause")
                    .with_code("paused")
                    .with_retry_after(wait);
                return Err(try_again_later(error, now, wait));
            }
            self.clock.sleep(wait).await;
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our clock as governor reads it: nanoseconds since the limiter was made.
#[derive(Debug, Clone)]
struct RateClock {
    clock: Arc<dyn Clock>,
    origin: Timestamp,
}

impl GovernorClock for RateClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let since = self.clock.now().duration_since(self.origin);
        Nanos::from(Duration::try_from(since).unwrap_or_default())
    }
}

/// The limit layer.
#[derive(Debug)]
pub struct LimitLayer {
    inner: SharedHttp,
    limits: Arc<ConnectionLimits>,
}

impl LimitLayer {
    /// Wraps a plane.
    #[must_use]
    pub fn new(inner: SharedHttp, limits: Arc<ConnectionLimits>) -> Self {
        Self { inner, limits }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for LimitLayer {
    async fn send(&self, call: Call) -> Result<Reply> {
        let _slot = self
            .limits
            .slots
            .acquire()
            .await
            .map_err(|_| Error::bug("the slots of a connection were closed"))?;
        self.limits.admit(&call).await?;
        let result = self.inner.send(call).await;
        if let Err(error) = &result
            && let Some(wait) = error.retry_after()
        {
            self.limits.pause(wait);
        }
        result
    }
}
