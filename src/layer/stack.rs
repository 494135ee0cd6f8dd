//! The one place where the layers of the HTTP plane are put together.

use std::sync::Arc;

use super::auth::AuthLayer;
use super::dialect::DialectLayer;
use super::dry_run::{DryRun, DryRunLayer};
use super::limit::{ConnectionLimits, LimitLayer};
use super::retry::{RetryLayer, RetrySettings};
use super::trace::{AttemptTrace, ExecutionTrace};
use crate::clock::Clock;
use crate::connect::access::AccessSource;
use crate::connect::hosts::HostRules;
use crate::http::SharedHttp;
use crate::http::dialect::Dialect;

/// What the plane of one connection is made of.
#[derive(Debug, Clone)]
pub struct StackParts {
    /// The process's wire.
    pub wire: SharedHttp,
    /// The connection's tokens.
    pub access: Arc<dyn AccessSource>,
    /// The hosts that may be spoken to.
    pub hosts: HostRules,
    /// How the service says no.
    pub dialect: Arc<dyn Dialect>,
    /// Source of "now" and of waiting.
    pub clock: Arc<dyn Clock>,
    /// How often and how long a call is tried.
    pub retry: RetrySettings,
    /// What all calls of the connection share: pass the same one to every plane of a connection.
    pub limits: Arc<ConnectionLimits>,
    /// Where a dry run records instead of writing.
    pub dry_run: Option<DryRun>,
}

/// The plane of one connection, outermost layer first:
///
/// 1. **execution trace**: sees the call once, whatever happens below.
/// 2. **retry**: outside all that is done anew for each attempt, so that a repeated call waits for its turn
///    again and carries the token that is present then.
/// 3. **limit**: below retry, so that a call gives its slot back while it waits for the next attempt; a pause
///    that the service asked for holds back all calls of the connection.
/// 4. **auth**: below limit, so that a token cannot grow old in the queue; it joins paths to hosts, checks
///    every address, adds the token and renews it once. It needs errors, not statuses, to tell a session that
///    expired from a right that is missing.
/// 5. **dialect**: turns answers into errors for all layers above; only it reads error bodies.
/// 6. **attempt trace**: one span for each time on the wire, with the final address.
/// 7. **dry run** (only then): in place of the wire for everything that writes, so that what it records is
///    exactly what would have been sent.
/// 8. the **wire**.
#[must_use]
pub fn http_plane(parts: StackParts) -> SharedHttp {
    let StackParts { wire, access, hosts, dialect, clock, retry, limits, dry_run } = parts;
    let wire = match dry_run {
        Some(record) => Arc::new(DryRunLayer::new(wire, record)),
        None => wire,
    };
    let attempt = Arc::new(AttemptTrace::new(wire));
    let answers =
        Arc::new(DialectLayer::new(attempt, Arc::clone(&dialect), Arc::clone(&limits), Arc::clone(&clock)));
    let auth = Arc::new(AuthLayer::new(answers, access, hosts, dialect));
    let limit = Arc::new(LimitLayer::new(auth, Arc::clone(&limits)));
    let retry = Arc::new(RetryLayer::new(limit, clock, Arc::clone(limits.retries()), retry));
    Arc::new(ExecutionTrace::new(retry))
}
