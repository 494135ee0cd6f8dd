//! Many rows by one action (`CreateMultiple`, `UpdateMultiple`), which Dataverse works off much faster than single
//! operations. It does all or nothing and does not say which row was wrong, so it is a first try only: a refusal
//! leaves nothing behind, and the rows go again as a batch, each with an outcome of its own.
//!
//! Source: "Use bulk operation messages" (Microsoft Dataverse developer documentation).

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use super::records::DynamicsRecords;
use super::writes::{Operation, Write};
use super::{api, dialect, odata, rows};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Context, Outcome};
use crate::record::Key;

/// Fewer rows gain nothing over a batch.
const ROWS_MIN: usize = 10;
/// Refusals in a row after which it is not tried any more: the table does not know the action, or the rows are
/// of a kind that fails often.
const REFUSALS_MAX: u32 = 2;

/// How the first tries went.
#[derive(Debug, Default)]
pub(super) struct FirstTries(AtomicU32);

impl FirstTries {
    fn pay(&self) -> bool {
        self.0.load(Ordering::Relaxed) < REFUSALS_MAX
    }
}

impl DynamicsRecords {
    /// Writes rows all at once; `None` when they have to go one by one, and nothing is written.
    ///
    /// # Errors
    /// What concerns the request and not a row; a lost answer.
    pub(super) async fn together(
        &self,
        cx: &Context,
        write: Write,
        batch: &[(usize, Operation)],
    ) -> Result<Option<Vec<Outcome>>> {
        let action = match write {
            Write::Create => "CreateMultiple",
            Write::Update => "UpdateMultiple",
            Write::Upsert | Write::Delete => return Ok(None),
        };
        let mut keys = HashSet::new();
        let fit = batch.iter().all(|(_, operation)| {
            operation.joins && operation.key.as_ref().is_none_or(|key| keys.insert(key.to_string()))
        });
        if batch.len() < ROWS_MIN || !fit || !self.described.wires.all_or_nothing || !self.first_tries.pay() {
            return Ok(None);
        }
        let call = api::multiple(
            write.name(),
            self.version(),
            &self.described.wires.set,
            action,
            &self.targets(batch),
        );
        let headers =
            batch.first().map(|(_, operation)| operation.part.headers.as_slice()).unwrap_or_default();
        let call = api::with_switches(call, headers).idempotent(write == Write::Update);
        let reply = match cx.send(call).await {
            Err(error) if is_refusal(&error) => {
                self.first_tries.0.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(action, %error, "refused as a whole; the rows go one by one");
                return Ok(None);
            }
            reply => reply?,
        };
        self.first_tries.0.store(0, Ordering::Relaxed);
        if write == Write::Update {
            let updated =
                batch.iter().filter_map(|(_, operation)| operation.key.clone().map(Outcome::Updated));
            return Ok(Some(updated.collect()));
        }
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "Ids")]
            ids: Vec<String>,
        }
        let ids = dialect::read::<Created>(action, &reply.body)?.ids;
        if ids.len() != batch.len() {
            return Err(super::records::missing(ids.len(), batch.len()));
        }
        let created = ids.iter().map(|id| {
            let id = odata::canonical_guid(id)
                .ok_or_else(|| Error::protocol("an id of a new row cannot be read"))?;
            Ok(Outcome::Created(Key::text(id)))
        });
        created.collect::<Result<Vec<_>>>().map(Some)
    }

    /// The rows as the action takes them: each with its type, and with its id where it is there already.
    fn targets(&self, batch: &[(usize, Operation)]) -> String {
        let kind = format!("Microsoft.Dynamics.CRM.{}", self.record_type_here().name);
        let mut out = String::from("{\"Targets\":[");
        for (number, (_, operation)) in batch.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push_str("{\"@odata.type\":");
            out.push_str(&rows::text(&kind));
            if let Some(key) = &operation.key {
                out.push_str(&format!(",\"{}\":{}", self.described.wires.id, rows::text(&key.to_string())));
            }
            let body = String::from_utf8_lossy(&operation.part.body);
            let members = body.trim_start_matches('{');
            if members.len() > 1 {
                out.push(',');
            }
            out.push_str(members);
        }
        out.push_str("]}");
        out
    }
}

/// Whether the service said no to the rows or to the action: nothing was written, and a batch tells more.
fn is_refusal(error: &Error) -> bool {
    matches!(error.status(), Some(400..=499 | 501))
        && matches!(
            error.kind(),
            ErrorKind::Invalid
                | ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::Refused
                | ErrorKind::Forbidden
                | ErrorKind::Unsupported
        )
}
