//! `recordport runs`: what the journal knows.

use serde_json::{Map, Value as Json};

use super::Session;
use super::args::{Format, RunsAction, RunsPrune, RunsShow};
use super::output::{self, Done};
use crate::error::{Error, Result};
use crate::run::{Journal, Summary};

/// Lines of a report that are read at once.
pub(super) const LINES: u32 = 1000;

/// Columns of a list.
const COLUMNS: [&str; 12] = [
    "run",
    "mapping",
    "state",
    "mode",
    "started",
    "read",
    "created",
    "updated",
    "deleted",
    "unchanged",
    "failed",
    "skipped",
];

/// Runs an action.
pub(crate) async fn run(session: &mut Session, action: Option<RunsAction>) -> Done {
    let journal = Journal::open(session.workspace().await?.home()).await?;
    match action.unwrap_or(RunsAction::List) {
        RunsAction::List => {
            let runs = journal.list().await?;
            listed(session, &runs)?;
        }
        RunsAction::Prune(args) => prune(session, &journal, &args).await?,
        RunsAction::Show(RunsShow { id, failed: false, skipped: false }) => {
            let found = journal.run(&id).await?;
            shown(session, &found.summary)?;
        }
        RunsAction::Show(RunsShow { id, failed, .. }) => {
            let mut from = Some(0);
            journal.run(&id).await?;
            while let Some(number) = from {
                session.signals.check()?;
                let (lines, next) = if failed {
                    journal.failures(&id, number, LINES).await?
                } else {
                    journal.skipped(&id, number, LINES).await?
                };
                lines.iter().try_for_each(|line| session.out.line(line))?;
                from = next;
            }
        }
    }
    Ok(0)
}

/// Forgets runs that are over.
async fn prune(session: &mut Session, journal: &Journal, args: &RunsPrune) -> Done<()> {
    let now = session.workspace().await?.clock().now();
    if args.older_than.is_negative() {
        return Err(Error::invalid("--older-than takes a span such as 30d").into());
    }
    let before = now.to_zoned(jiff::tz::TimeZone::UTC).checked_sub(args.older_than).map_err(|error| {
        Error::invalid(format!("--older-than {} cannot be counted back", args.older_than)).with_source(error)
    })?;
    let before = before.timestamp();
    let runs = if args.dry_run {
        let mut runs = journal.list().await?;
        runs.retain(|run| run.is_over() && run.changed < before);
        runs
    } else {
        journal.prune(before).await?
    };
    listed(session, &runs)?;
    let done = if args.dry_run { "would be forgotten" } else { "forgotten" };
    output::note(&format!("{} runs {done}", runs.len()));
    Ok(())
}

fn listed(session: &mut Session, runs: &[Summary]) -> Done<()> {
    let format = session.format();
    if matches!(format, Format::Table | Format::Csv) {
        let flat = runs.iter().map(flat).collect::<Result<Vec<_>>>()?;
        return output::list(&mut session.out, format, &COLUMNS, &flat);
    }
    output::list(&mut session.out, format, &COLUMNS, runs)
}

/// Prints one run.
pub(super) fn shown(session: &mut Session, summary: &Summary) -> Done<()> {
    match session.format() {
        Format::Json => session.out.json_pretty(summary),
        Format::Ndjson => session.out.json_line(summary),
        format @ (Format::Table | Format::Csv) => {
            output::list(&mut session.out, format, &COLUMNS, &[flat(summary)?])?;
            match summary.error.as_ref().and_then(|error| error["message"].as_str()) {
                Some(why) if format == Format::Table => {
                    session.out.line(&format!("It stopped: {}", output::harmless(why)))
                }
                _ => Ok(()),
            }
        }
    }
}

/// A run as one row of a table.
fn flat(summary: &Summary) -> Result<Map<String, Json>> {
    let unwritable = |error| Error::bug("a run cannot be written as JSON").with_source(error);
    let mut row = match serde_json::to_value(summary).map_err(unwritable)? {
        Json::Object(row) => row,
        _ => Map::new(),
    };
    if let Some(Json::Object(counts)) = row.remove("counts") {
        row.extend(counts);
    }
    Ok(row)
}
