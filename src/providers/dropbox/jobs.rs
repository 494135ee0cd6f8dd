//! Batches whose results are asked for later.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::account::Account;
use super::{api, dialect};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::Context;

/// First pause between two looks; it grows by half each time.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a job is waited for.
const PATIENCE: Duration = Duration::from_secs(900);

/// The results of a batch, one for each of its rows, once they are there.
///
/// # Errors
/// What the service refuses; a job that failed as a whole; one that does not end, which leaves all rows open.
pub(super) async fn finished(
    account: &Account,
    cx: &Context,
    operation: &'static str,
    check: &str,
    started: Json,
) -> Result<Vec<Json>> {
    let mut state = started;
    let mut job: Option<String> = None;
    let (mut pause, mut waited) = (PAUSE, Duration::ZERO);
    loop {
        match state[".tag"].as_str() {
            // Some functions answer with the results alone.
            None | Some("complete") => {
                let Json::Array(entries) = state["entries"].take() else {
                    return Err(strange("a batch ended without results"));
                };
                return Ok(entries);
            }
            Some("failed") => return Err(dialect::refused(&state["failed"], 409)),
            Some("async_job_id") => job = state["async_job_id"].as_str().map(str::to_owned),
            Some("in_progress") => {}
            Some(other) => return Err(strange(&format!("a batch is {other:?}"))),
        }
        let id = job.as_deref().ok_or_else(|| strange("a batch that goes on has no number"))?;
        if waited >= PATIENCE {
            return Err(Error::new(ErrorKind::Unavailable, "Dropbox works at this batch for too long")
                .with_provider("dropbox")
                .with_code("job_unfinished")
                .with_retry(crate::error::Retry::IfIdempotent)
                .with_advice(
                    "Look at the account whether the rows were written before you send them again",
                ));
        }
        cx.clock.sleep(pause).await;
        waited += pause;
        pause = pause.mul_f32(1.5).min(LONGEST_PAUSE);
        let call = api::ask(operation, check, &json!({ "async_job_id": id }));
        state = account.ask(cx, "what became of a batch", call).await?;
    }
}

fn strange(what: &str) -> Error {
    Error::protocol(what)
        .with_provider("dropbox")
        .with_code("bad_job")
        .with_retry(crate::error::Retry::IfIdempotent)
}
