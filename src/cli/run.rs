//! `recordport run`: conducts a mapping from its source to its target.

use std::path::Path;

use super::Session;
use super::args;
use super::dry_run::DryTarget;
use super::feed::{open_file, row_format};
use super::map;
use super::output::{self, Done, Halt, note};
use super::progress::Line;
use super::replacement::Replacement;
use super::signals::Signals;
use super::write::named_options;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::dry_run::DryRun;
use crate::mapping::open::open;
use crate::mapping::{Creating, Mapping, Opened, Settings};
use crate::rows::RowReader;
use crate::run::conduct::TOO_MANY_FAILURES;
use crate::run::plan::{capability_of, hashes, mapping_hash, refusal, zone_name};
use crate::run::{Conducted, Journal, Mode, Plan, Progress, Route, Run, RunState, Skip, Summary, Watch};

/// Exit code of a run of which rows failed.
const ROWS_FAILED: u8 = 1;

/// Begins a run, or goes on with one.
pub(crate) async fn run(session: &mut Session, args: args::Run) -> Done {
    if args.dry_run {
        let record = DryRun::new();
        let prepared = prepare(session, &args, Some(&record)).await?;
        let Prepared { mapping, plan, route, rows } = prepared;
        return super::dry_run::run(session, (&mapping, &plan, &route), &record, rows).await;
    }
    let journal = Journal::open(session.workspace().await?.home()).await?;
    let (mut run, rows) = match &args.resume {
        Some(id) => {
            let found = journal.run(id).await?;
            if found.summary.state == RunState::Finished {
                note(&format!("the run {id} has come to its end already"));
                return super::runs::shown(session, &found.summary).map(|()| 0);
            }
            resume(session, journal.clone(), found, &args).await?
        }
        None => start(session, journal.clone(), &args).await?,
    };
    let id = run.id().to_owned();
    note(&format!("run {id}"));
    let mut watch = OnTerminal { line: Line::new(), signals: session.signals.clone() };
    if watch.line.possible() {
        run.count_all().await;
    }
    let conducted = session.signals.finishing(run.conduct(rows, &mut watch)).await;
    drop(watch);
    let Conducted { summary, stopped } = match conducted {
        Ok(conducted) => conducted?,
        Err(halt) => {
            note(&format!("stopped; go on with: recordport run --resume {id}"));
            return Err(halt);
        }
    };
    if let Some(path) = args.report.as_deref().filter(|_| summary.counts.failed > 0) {
        report(&journal, &id, path).await?;
    }
    super::runs::shown(session, &summary)?;
    session.out.flush()?;
    tell_skipped(&summary);
    let Some(error) = stopped else { return Ok(if summary.counts.failed > 0 { ROWS_FAILED } else { 0 }) };
    if error.kind() == ErrorKind::Cancelled
        && let Some(code) = session.signals.arrived()
    {
        note(&format!("stopped; go on with: recordport run --resume {id}"));
        return Err(Halt::Signalled(code));
    }
    let failed_too_much = error.code() == Some(TOO_MANY_FAILURES);
    let told =
        format!("{} Go on with: recordport run --resume {id}", error.advice().map_or_else(String::new, full));
    let error = if failed_too_much { error } else { error.with_advice_instead(told.trim_start()) };
    if failed_too_much {
        output::report(&error, session.format);
        return Ok(ROWS_FAILED);
    }
    Err(error.into())
}

/// An advice as a sentence of its own.
fn full(advice: &str) -> String {
    let advice = advice.trim_end_matches('.');
    format!("{advice}.")
}

type Begun = (Run, Option<RowReader<'static>>);

/// A run that has not begun.
struct Prepared {
    mapping: Mapping,
    plan: Plan,
    route: Route,
    rows: Option<RowReader<'static>>,
}

async fn start(session: &mut Session, journal: Journal, args: &args::Run) -> Result<Begun> {
    let Prepared { mapping, plan, route, rows } = prepare(session, args, None).await?;
    Ok((Run::start(journal, mapping, plan, route, args.anew).await?, rows))
}

/// Reads the mapping and opens what it names; with `dry`, its target sends nothing.
async fn prepare(session: &mut Session, args: &args::Run, dry: Option<&DryRun>) -> Result<Prepared> {
    let path = args.mapping.as_deref().ok_or_else(|| Error::bug("a run without a mapping"))?;
    let mut mapping = map::find(session, path).await?.map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::invalid(format!("the mapping cannot be read: {}", told.join("; ")))
            .with_advice(format!("Look at `recordport map check {}`", path.display()))
    })?;
    let live = match dry {
        None => map::live(session, &mapping, &args.params).await?,
        Some(record) => {
            let sides = DryTarget {
                workspace: session.workspace().await?,
                connection: mapping.target.connection.clone(),
                record_type: mapping.target.record_type.clone(),
                record: record.clone(),
            };
            let timezone = session.timezone.clone();
            let settings = |now| Settings { now, timezone, params: map::params(&args.params) };
            open(&sides, &mapping, settings).await?
        }
    };
    if !args.options.is_empty() {
        let target = live.target.records.record_type();
        let none = serde_json::Value::Null;
        let schema = capability_of(target, mapping.target.operation).map_or(&none, |write| &write.options);
        let given = named_options(schema, &args.options)?;
        mapping.target.options.get_or_insert_default().extend(given);
    }
    let known = [mapping.source.schema_hash.clone(), mapping.target.schema_hash.clone()];
    let known = known.map(Option::unwrap_or_default);
    let creating = if dry.is_some() { Creating::Told } else { Creating::Allowed };
    let (route, (source_hash, target_hash)) = route(session, &mapping, live, &known, creating)?;
    let rows = match &args.rows {
        Some(path) => Some(std::path::absolute(path).map_err(|error| {
            Error::local(format!("cannot read {}: {error}", path.display())).with_source(error)
        })?),
        None => None,
    };
    let reader = rows.as_deref().map(|path| rows_of(session, &route, path)).transpose()?;
    let plan = Plan {
        mapping_hash: mapping_hash(&mapping),
        source_hash,
        target_hash,
        mode: match rows {
            Some(path) => Mode::Rows(path.to_string_lossy().into_owned()),
            None if args.changes => Mode::Changes,
            None => Mode::Full,
        },
        limit: args.limit,
        params: args.params.clone(),
        timezone: zone_name(&session.timezone)?,
        now: route.source.cx.clock.now(),
        max_failures: args.max_failures.unwrap_or_default(),
    };
    Ok(Prepared { mapping, plan, route, rows: reader })
}

async fn resume(
    session: &mut Session,
    journal: Journal,
    mut found: crate::run::entry::Found,
    args: &args::Run,
) -> Result<Begun> {
    session.timezone = found.summary.plan.zone()?;
    let plan = &mut found.summary.plan;
    if let Some(most) = args.max_failures {
        plan.max_failures = most;
    }
    let live = map::live(session, &found.mapping, &plan.params).await?;
    let known = [plan.source_hash.clone(), plan.target_hash.clone()];
    let (route, (source, target)) = route(session, &found.mapping, live, &known, Creating::Allowed)?;
    if source != known[0] || target != known[1] {
        note("note: a schema has changed since the run began; the mapping still fits");
    }
    let rows = match &plan.mode {
        Mode::Rows(path) => Some(rows_of(session, &route, Path::new(path))?),
        Mode::Full | Mode::Changes => None,
    };
    Ok((Run::resume(journal, found, route).await?, rows))
}

/// Both sides with what leads from one to the other, and the hashes of their schemas.
fn route(
    session: &Session,
    mapping: &Mapping,
    mut live: Opened,
    known: &[String; 2],
    creating: Creating,
) -> Result<(Route, (String, String))> {
    let hashes = hashes(mapping, &live.source, &live.target);
    let Some(program) = live.compiled.program.take() else {
        return Err(refusal(mapping, &live.compiled.problems, &hashes, known));
    };
    let lookups = live.lookups(&program, creating, &session.timezone);
    Ok((Route { source: live.source, target: live.target, program, lookups }, hashes))
}

fn rows_of(session: &Session, route: &Route, path: &Path) -> Result<RowReader<'static>> {
    let format = row_format(session.format, Some(path));
    Ok(RowReader::new(open_file(path)?, format, route.source.records.record_type(), false))
}

/// Writes the rows that failed to a file.
async fn report(journal: &Journal, id: &str, path: &Path) -> Result<()> {
    let mut file = Replacement::begin(path)?;
    let mut from = Some(0);
    while let Some(number) = from {
        let (lines, next) = journal.failures(id, number, super::runs::LINES).await?;
        for line in lines {
            file.write(line.as_bytes())?;
            file.write(b"\n")?;
        }
        from = next;
    }
    file.finish()
}

/// Tells what was left alone although the sides differ there.
fn tell_skipped(summary: &Summary) {
    for why in Skip::ALL.into_iter().filter(|why| why.parts_sides()) {
        let count = summary.counts.skipped_because.of(why);
        if count > 0 {
            note(&format!("note: skipped {count}: {}", why.told()));
        }
    }
}

/// Shows progress on a terminal, and stops at a signal.
struct OnTerminal {
    line: Line,
    signals: Signals,
}

impl Watch for OnTerminal {
    fn progress(&mut self, progress: &Progress) {
        self.line.show(progress);
    }

    fn stop(&self) -> bool {
        self.signals.arrived().is_some()
    }
}
