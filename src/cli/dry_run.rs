//! `recordport run --dry-run`: what a run would do, with the requests that it would send.

use async_trait::async_trait;
use serde_json::json;

use super::Session;
use super::args::Format;
use super::output::{self, Done, Out, harmless, note};
use crate::error::{Error, Result};
use crate::layer::dry_run::DryRun;
use crate::mapping::{Mapping, Side, Sides};
use crate::rows::RowReader;
use crate::run::dry::{DrySummary, Told, dry_run};
use crate::run::{Plan, Route};
use crate::workspace::{Use, Workspace};

/// Opens the target of a mapping on a plane that sends nothing, everything else as it is.
pub(super) struct DryTarget {
    pub(super) workspace: Workspace,
    pub(super) connection: String,
    pub(super) record_type: String,
    pub(super) record: DryRun,
}

#[async_trait]
impl Sides for DryTarget {
    async fn side(&self, connection: &str, record_type: &str) -> Result<Side> {
        if connection != self.connection || record_type != self.record_type {
            return self.workspace.side(connection, record_type).await;
        }
        let how = Use { refresh: false, dry_run: Some(self.record.clone()) };
        let connected = self.workspace.connection(connection, how).await?;
        let records = connected.open(record_type).await?;
        Ok(Side { records, cx: connected.context })
    }
}

/// Shows what a run would do.
pub(super) async fn run(
    session: &mut Session,
    (mapping, plan, route): (&Mapping, &Plan, &Route),
    record: &DryRun,
    rows: Option<RowReader<'static>>,
) -> Done {
    let format = session.format();
    let listed = format == Format::Json;
    let mut halted = None;
    let mut first = true;
    let out = &mut session.out;
    if listed {
        out.write(b"[\n")?;
    }
    let mut tell = |told: Told| -> Result<()> {
        let printed = print(out, format, &mut first, &told);
        printed.map_err(|halt| {
            halted = Some(halt);
            Error::bug("nobody reads")
        })
    };
    let summary = dry_run(mapping, plan, route, record, rows, &mut tell).await;
    if let Some(halt) = halted {
        return Err(halt);
    }
    let summary = summary?;
    finish(&mut session.out, format, first, &summary)?;
    note(&format!("dry run: {} requests, none sent", summary.requests));
    Ok(u8::from(summary.rejected > 0))
}

fn print(out: &mut Out, format: Format, first: &mut bool, told: &Told) -> Done<()> {
    match (format, told) {
        (Format::Ndjson, told) => out.json_line(told),
        (Format::Json, told) => {
            if !std::mem::take(first) {
                out.write(b",\n")?;
            }
            let text = serde_json::to_string(told)
                .map_err(|error| Error::bug("a dry run cannot be written as JSON").with_source(error))?;
            out.write(text.as_bytes())
        }
        (_, Told::Request(request)) => {
            out.line(&format!("{} {}", request.method, harmless(&request.address)))?;
            let body = serde_json::to_value(&request.body).unwrap_or_default();
            if body.is_null() { Ok(()) } else { out.line(&harmless(&body.to_string())) }
        }
        (_, Told::Record(one)) => {
            let key = one.key.as_deref().unwrap_or("");
            let what = match (&one.error, &one.changes) {
                (Some(error), _) => format!("would be refused: {error}"),
                (None, Some(changes)) if changes.is_empty() => "would change nothing".to_owned(),
                (None, Some(changes)) => changes
                    .iter()
                    .map(|change| format!("{}: {} -> {}", change.field, change.from, change.to))
                    .collect::<Vec<_>>()
                    .join(", "),
                (None, None) => one.row.as_ref().map(|row| row.get().to_owned()).unwrap_or_default(),
            };
            out.line(&harmless(&format!("{key}  {what}")))
        }
    }
}

fn finish(out: &mut Out, format: Format, first: bool, summary: &DrySummary) -> Done<()> {
    let line = json!({ "dry_run": summary });
    match format {
        Format::Json => {
            out.write(if first { b"".as_slice() } else { b",\n" })?;
            out.write(line.to_string().as_bytes())?;
            out.write(b"\n]\n")
        }
        Format::Ndjson => out.json_line(&line),
        Format::Table | Format::Csv => {
            let columns = ["read", "create", "update", "same", "delete", "sent", "rejected", "requests"];
            output::list(out, format, &columns, std::slice::from_ref(summary))
        }
    }
}
