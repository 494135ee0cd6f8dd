//! What is wrong with a connection, and what the user can do about it.

use std::future::Future;
use std::sync::Arc;

use http::Method;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::connection::{Connection, Standing};
use super::sign_in::{AccessMode, GrantKind, SignIn};
use super::token::TokenKeeper;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::http::{Call, SharedHttp, Target};

/// How far this machine's clock may be off before that is told.
const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(5);

/// Days before its end at which a token that cannot be renewed is called expiring.
const EXPIRING_DAYS: i64 = 7;

/// The state of a connection in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Ok,
    /// It works, and will end soon without the user.
    Expiring,
    /// The user has to sign in again.
    NeedsReconnect,
    /// The provider has ended the authorisation.
    Revoked,
    /// Something has to be put right: client, scope, host, key, clock.
    Misconfigured,
    /// The provider cannot be reached or does not answer for now.
    Unreachable,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// Works, but worth knowing.
    Warning,
    /// Does not work.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked (`reachable`, `token`, `scopes`).
    pub check: &'static str,
    /// How it went.
    pub state: FindingState,
    /// What was found, for people.
    pub detail: String,
    /// What the user can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// The connection.
    pub connection: String,
    /// Its provider.
    pub provider: String,
    /// The state in a word.
    pub state: Health,
    /// Who the token belongs to, when the provider told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The checks in order.
    pub findings: Vec<Finding>,
    /// Why the connection cannot be used; its kind decides the exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// What the provider's own probe told.
#[derive(Debug, Clone, Default)]
pub struct ProbeReport {
    /// Who the token belongs to.
    pub account: Option<String>,
    /// Scopes of the token.
    pub scopes: Option<Vec<String>>,
    /// Calls used and allowed.
    pub quota: Option<(u64, u64)>,
    /// Calls that are kept back for others.
    pub quota_reserve: u64,
    /// Remarks for people.
    pub notes: Vec<String>,
}

/// Collects findings; the worst decides.
#[derive(Debug)]
struct Chart {
    findings: Vec<Finding>,
    state: Health,
    error: Option<Error>,
}

impl Chart {
    fn note(&mut self, check: &'static str, state: FindingState, detail: impl Into<String>) {
        self.findings.push(Finding { check, state, detail: detail.into(), next_step: None });
    }

    fn warn(&mut self, check: &'static str, detail: impl Into<String>, next: impl Into<String>) {
        self.findings.push(Finding {
            check,
            state: FindingState::Warning,
            detail: detail.into(),
            next_step: Some(next.into()),
        });
    }

    /// The first failure decides the state: later ones mostly follow from it.
    fn fail(&mut self, check: &'static str, state: Health, error: Error) {
        let mut detail = error.message().to_owned();
        match (error.code(), error.provider_message()) {
            (Some(code), Some(words)) => detail.push_str(&format!(" [{code}: {words}]")),
            (Some(code), None) => detail.push_str(&format!(" [{code}]")),
            (None, Some(words)) => detail.push_str(&format!(" [{words}]")),
            (None, None) => {}
        }
        self.findings.push(Finding {
            check,
            state: FindingState::Failed,
            detail,
            next_step: error.advice().map(str::to_owned),
        });
        if self.error.is_none() {
            self.state = state;
            self.error = Some(error);
        }
    }
}

/// Examines a connection. `http` is the plane for token requests, without authorisation; `probe` asks the
/// provider the cheapest question through the connection's whole plane.
pub async fn examine(
    connection: &Connection,
    sign_in: &SignIn,
    keeper: &TokenKeeper,
    http: &SharedHttp,
    clock: &Arc<dyn Clock>,
    probe: impl Future<Output = crate::error::Result<ProbeReport>>,
) -> Diagnosis {
    let mut chart = Chart { findings: Vec::new(), state: Health::Ok, error: None };
    let stored = keeper.stored().await;
    let mut report = ProbeReport::default();
    match &stored {
        Err(error) => chart.fail("key", Health::Misconfigured, error.clone()),
        Ok(_) => chart.note("key", FindingState::Ok, "the stored secrets can be opened"),
    }
    let reached = reach(sign_in, http, clock).await;
    match &reached {
        Err(error) => {
            let state = match error.kind() {
                ErrorKind::ForeignHost | ErrorKind::Invalid => Health::Misconfigured,
                _ => Health::Unreachable,
            };
            chart.fail("reachable", state, error.clone());
        }
        Ok(reached) => {
            chart.note("reachable", FindingState::Ok, format!("{} answers", reached.host));
            judge_clock(&mut chart, reached.off);
        }
    }
    if stored.is_ok() && reached.is_ok() {
        match probe.await {
            Ok(told) => {
                chart.note("token", FindingState::Ok, "the provider accepts the access token");
                report = told;
            }
            // Everybody who asks this provider its first question gets an answer; this host knows no such address.
            Err(error) if error.kind() == ErrorKind::NotFound => chart.fail(
                "host",
                Health::Misconfigured,
                Error::new(ErrorKind::Refused, format!("the host does not speak the {}", sign_in.api_name))
                    .with_code("wrong_host")
                    .with_status(error.status().unwrap_or(404))
                    .with_advice(
                        "Check the host: --endpoint and the settings that name it; then connect again",
                    ),
            ),
            Err(error) => match lacking(connection, sign_in, stored.as_ref().ok()).filter(|_| denies(&error))
            {
                Some(missing) => {
                    chart.fail("scopes", Health::Misconfigured, scopes_missing(connection, &missing, &error))
                }
                None => {
                    let (check, state) = place(&error);
                    chart.fail(check, state, error);
                }
            },
        }
    }
    let tokens = stored.ok().flatten();
    let granted = report.scopes.clone().or_else(|| tokens.as_ref().and_then(|tokens| tokens.scopes.clone()));
    judge_scopes(&mut chart, connection, sign_in, granted);
    judge_expiry(&mut chart, connection, tokens.as_ref(), clock.now());
    judge_quota(&mut chart, report.quota, report.quota_reserve);
    if connection.access == AccessMode::ReadOnly && !sign_in.read_only_enforced_by_provider {
        chart.note(
            "access",
            FindingState::Ok,
            "read-only is kept by recordport: the provider has no scope that only reads",
        );
    }
    for note in report.notes {
        chart.note("note", FindingState::Ok, note);
    }
    Diagnosis {
        connection: connection.name.to_string(),
        provider: connection.provider.clone(),
        state: chart.state,
        account: report.account.or_else(|| connection.account.clone()),
        findings: chart.findings,
        error: chart.error.map(|error| {
            error.with_connection(connection.name.as_str()).with_provider(connection.provider.as_str())
        }),
    }
}

/// Which check an error of the probe belongs to, and the state that it means.
fn place(error: &Error) -> (&'static str, Health) {
    match (error.kind(), error.code()) {
        (ErrorKind::Unauthorized, Some("invalid_grant")) => ("token", Health::Revoked),
        (
            ErrorKind::Unauthorized,
            Some("invalid_client" | "invalid_client_id" | "unauthorized_client" | "redirect_uri_mismatch"),
        ) => ("client", Health::Misconfigured),
        (ErrorKind::Unauthorized, _) => ("token", Health::NeedsReconnect),
        (ErrorKind::Forbidden, _) => ("permission", Health::Misconfigured),
        (ErrorKind::RateLimited, _) => ("quota", Health::Unreachable),
        (ErrorKind::Local, _) => ("key", Health::Misconfigured),
        (ErrorKind::Unavailable | ErrorKind::Protocol, _) => ("reachable", Health::Unreachable),
        _ => ("provider", Health::Misconfigured),
    }
}

struct Reached {
    host: String,
    /// Server's time minus ours.
    off: Option<SignedDuration>,
}

/// Asks the sign-in host anything at all, for its answer and its Date.
async fn reach(sign_in: &SignIn, http: &SharedHttp, clock: &Arc<dyn Clock>) -> crate::error::Result<Reached> {
    let address = sign_in
        .token_url
        .clone()
        .or_else(|| sign_in.bases.values().next().cloned())
        .ok_or_else(|| Error::invalid("the configuration names no host"))?;
    sign_in.hosts.check(&address, "the configuration")?;
    let host = address.host_str().unwrap_or_default().to_owned();
    let mut call = Call::new("reach", Method::GET, Target::Address(address))
        .accepting(&[301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 415, 429]);
    call.authorize = false;
    let reply = http.send(call).await?;
    if reply.status.is_server_error() {
        return Err(Error::new(ErrorKind::Unavailable, format!("{host} fails for now"))
            .with_status(reply.status.as_u16())
            .with_advice("Try again in a while; the provider's status page may tell more"));
    }
    let date = reply.header("date").and_then(|text| rfc2822::parse(text).ok()).map(|date| date.timestamp());
    Ok(Reached { host, off: date.map(|date| date.duration_since(clock.now())) })
}

fn judge_clock(chart: &mut Chart, off: Option<SignedDuration>) {
    let Some(off) = off else { return };
    if off.abs() <= CLOCK_OFF {
        chart.note("clock", FindingState::Ok, "this machine's clock agrees with the provider's");
        return;
    }
    let (minutes, way) = (off.abs().as_mins(), if off.is_negative() { "ahead of" } else { "behind" });
    chart.fail(
        "clock",
        Health::Misconfigured,
        Error::local(format!("this machine's clock is {minutes} minutes {way} the provider's"))
            .with_code("clock_off")
            .with_advice(
                "Set the clock (turn on network time); signed requests and expiry times depend on it",
            ),
    );
}

/// Needed scopes that are not among the granted ones.
fn missing_scopes(connection: &Connection, sign_in: &SignIn, granted: &[String]) -> Vec<String> {
    let needed = sign_in.scopes_for(connection.access).into_iter().map(|scope| &scope.name);
    // Some providers have one scope that holds all others.
    needed.filter(|scope| !granted.iter().any(|own| own == *scope || own == "full")).cloned().collect()
}

/// Needed scopes that the stored tokens are known to lack.
fn lacking(
    connection: &Connection,
    sign_in: &SignIn,
    stored: Option<&Option<super::connection::TokenSet>>,
) -> Option<Vec<String>> {
    let granted = stored?.as_ref()?.scopes.as_ref()?;
    let missing = missing_scopes(connection, sign_in, granted);
    (connection.grant == GrantKind::Code && !missing.is_empty()).then_some(missing)
}

/// Whether an error may come from a scope that is missing.
fn denies(error: &Error) -> bool {
    let ended = matches!(error.code(), Some("invalid_grant" | "needs_reconnect" | "no_refresh_token"));
    matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden)
        && error.status().is_some()
        && !ended
}

fn scopes_missing(connection: &Connection, missing: &[String], cause: &Error) -> Error {
    let error = Error::new(
        ErrorKind::Unauthorized,
        format!("the provider refuses, and the token lacks the scopes {}", missing.join(" ")),
    )
    .with_code("missing_scope")
    .with_advice(format!(
        "Allow them in the OAuth client's registration, then connect anew with them: recordport connections remove \
         {0}, then recordport connect {1} {0}",
        connection.name, connection.provider
    ));
    match cause.provider_message() {
        Some(words) => error.with_provider_message(words),
        None => error,
    }
}

fn judge_scopes(chart: &mut Chart, connection: &Connection, sign_in: &SignIn, granted: Option<Vec<String>>) {
    // Grants without a consent page get what the client is registered with.
    if connection.grant != GrantKind::Code || chart.findings.iter().any(|found| found.check == "scopes") {
        return;
    }
    let Some(granted) = granted else {
        chart.note("scopes", FindingState::Ok, "the provider does not tell which scopes the token has");
        return;
    };
    let missing = missing_scopes(connection, sign_in, &granted);
    if missing.is_empty() {
        chart.note("scopes", FindingState::Ok, format!("granted: {}", granted.join(" ")));
        return;
    }
    chart.warn(
        "scopes",
        format!("not granted: {} (granted: {})", missing.join(" "), granted.join(" ")),
        format!(
            "Allow these scopes in the OAuth client's registration, then sign in again: recordport connections \
             authorize {}",
            connection.name
        ),
    );
}

fn judge_expiry(
    chart: &mut Chart,
    connection: &Connection,
    tokens: Option<&super::connection::TokenSet>,
    now: Timestamp,
) {
    if let Standing::NeedsReconnect { since, .. } = &connection.standing {
        chart.note("expiry", FindingState::Failed, format!("unusable since {since}"));
        return;
    }
    let Some(tokens) = tokens else { return };
    let renews = match connection.grant {
        GrantKind::Code => tokens.refresh_token.is_some(),
        GrantKind::ClientCredentials | GrantKind::Jwt => true,
        GrantKind::Token | GrantKind::Basic => false,
    };
    match tokens.expires {
        _ if renews => chart.note("expiry", FindingState::Ok, "access tokens renew themselves"),
        None => chart.note("expiry", FindingState::Ok, "the provider does not tell when the token ends"),
        Some(expires) => {
            let days = expires.duration_since(now).as_hours().div_euclid(24);
            if days >= EXPIRING_DAYS {
                chart.note("expiry", FindingState::Ok, format!("the token ends in {days} days"));
                return;
            }
            chart.warn(
                "expiry",
                format!("the token ends in {} days and cannot be renewed", days.max(0)),
                format!("Sign in again in time: recordport connections authorize {}", connection.name),
            );
            if chart.error.is_none() {
                chart.state = Health::Expiring;
            }
        }
    }
}

fn judge_quota(chart: &mut Chart, quota: Option<(u64, u64)>, reserve: u64) {
    let Some((used, allowed)) = quota else { return };
    let left = allowed.saturating_sub(used);
    let kept =
        if reserve > 0 { format!("; the last {reserve} are kept back for others") } else { String::new() };
    let detail = format!("{used} of {allowed} calls used, {left} left{kept}");
    if left == 0 {
        chart.fail(
            "quota",
            Health::Unreachable,
            Error::new(ErrorKind::RateLimited, detail).with_code("quota_used_up").with_advice(
                "Wait until the provider's window ends (often 24 hours), or ask for a larger quota",
            ),
        );
    } else if left < reserve {
        chart.fail(
            "quota",
            Health::Unreachable,
            Error::new(ErrorKind::RateLimited, detail).with_code("quota_reserve").with_advice(
                "Wait until the provider's window has moved on, ask for a larger quota, or keep fewer calls back (the \
                 setting quota_reserve)",
            ),
        );
    } else if left < allowed / 10 {
        chart.warn("quota", detail, "Large searches may stop early; run them when the window has ended");
    } else {
        chart.note("quota", FindingState::Ok, detail);
    }
}
