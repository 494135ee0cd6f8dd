//! Conducts a run: page after page is read and mapped, batch after batch is written, and the journal stands between
//! each two of them. One page is read ahead while a batch is written; no more is held.

use std::collections::HashSet;

use super::content::{Copier, Parcel};
use super::entry::{Counts, Decided, Found, Intent, Kind, Place, RunState, Step, Summary, failure_line};
use super::journal::Journal;
use super::lock::Lock;
use super::made::Made;
use super::plan::{Mode, Plan};
use super::source::{Item, Read, Source, What};
use super::write::{Verdict, Writer, on_delete};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::document::{OnSourceDelete, Operation};
use crate::mapping::{Given, Lookups, Mapped, Mapping, Program, Side};
use crate::provider::Outcome;
use crate::provider::changes::mark;
use crate::rows::RowReader;

/// Records that are decided without being sent, and wait to be written down.
const DECIDED: usize = 200;

/// Who looks on while a run is conducted.
pub trait Watch: Send {
    /// What became of its records so far.
    fn progress(&mut self, counts: &Counts);

    /// Whether it shall stop behind the present batch.
    fn stop(&self) -> bool;
}

/// Both sides of a run and what leads from one to the other.
#[derive(Debug)]
pub struct Route {
    /// Where records come from.
    pub source: Side,
    /// Where rows go.
    pub target: Side,
    /// What makes rows of records.
    pub program: Program,
    /// What finds the records that the program asks for.
    pub lookups: Lookups,
}

/// A run that can be conducted. While it lives, no other run of its mapping can begin.
#[derive(Debug)]
pub struct Run {
    journal: Journal,
    id: String,
    mapping: Mapping,
    plan: Plan,
    route: Route,
    state: State,
    _lock: Lock,
}

/// How far a run is.
#[derive(Debug, Clone, Default)]
struct State {
    counts: Counts,
    next_number: u64,
    /// Where reading goes on after a crash.
    place: Place,
    pending: Vec<Intent>,
    identities: HashSet<String>,
    decided: Vec<DecidedNow>,
}

/// A record that was decided without being sent.
#[derive(Debug, Clone)]
struct DecidedNow {
    number: u64,
    identity: String,
    source_key: Option<String>,
    mark: u64,
    failure: Option<String>,
}

/// What came of conducting a run.
#[derive(Debug)]
pub struct Conducted {
    /// The run as the journal has it.
    pub summary: Summary,
    /// Why it stopped before its end.
    pub stopped: Option<Error>,
}

impl Run {
    /// Begins a run of a mapping. One that did not come to its end is given up: silently where writing again does no
    /// harm, for creates only when `anew` says so.
    ///
    /// # Errors
    /// Conflict, while the mapping is running; invalid, when an unfinished run would be doubled; local, when the
    /// journal cannot be written.
    pub async fn start(
        journal: Journal,
        mapping: Mapping,
        plan: Plan,
        route: Route,
        anew: bool,
    ) -> Result<Self> {
        let id = new_id(&plan);
        let lock = Lock::take(journal.home(), &mapping.name, &id).await?;
        let unfinished = journal.unfinished(&mapping.name).await?;
        if let Some(old) = unfinished.first()
            && mapping.target.operation == Operation::Create
            && !anew
        {
            return Err(Error::invalid(format!(
                "the run {} of {:?} did not come to its end; another would create its rows again",
                old.run, mapping.name
            ))
            .with_code("unfinished_run")
            .with_advice(format!(
                "Go on with it: recordport run --resume {}; or give it up with --anew",
                old.run
            )));
        }
        let place = beginning(&journal, &mapping, &plan).await?;
        let abandoned = unfinished.into_iter().map(|old| old.run).collect();
        journal.begin(&id, &mapping, &plan, &place, abandoned).await?;
        let state = State { place, ..State::default() };
        let route = keeping(route, &journal, &id);
        Ok(Self { journal, id, mapping, plan, route, state, _lock: lock })
    }

    /// Takes up a run where it stopped.
    ///
    /// # Errors
    /// Conflict, while the mapping is running; invalid, when there is nothing to go on with.
    pub async fn resume(journal: Journal, found: Found, route: Route) -> Result<Self> {
        let id = found.summary.run.clone();
        let lock = Lock::take(journal.home(), &found.mapping.name, &id).await?;
        // What was read before the lock was held may be old.
        let Found { summary: now, mapping, place, next_number } = journal.run(&id).await?;
        let plan = found.summary.plan;
        if matches!(now.state, RunState::Finished | RunState::Abandoned) {
            return Err(Error::invalid(format!("the run {id} is over"))
                .with_code("run_over")
                .with_advice("Begin a new one: recordport run MAPPING"));
        }
        let state = State { counts: now.counts, next_number, place, ..State::default() };
        let route = keeping(route, &journal, &id);
        let run = Self { journal, id, mapping, plan, route, state, _lock: lock };
        run.step(Step { state: Some((RunState::Running, None)), ..Step::default() }).await?;
        Ok(run)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What became of its records so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }

    /// How many records it reads in all, when that is `wanted` and the provider can tell without listing them.
    pub async fn total(&self, wanted: bool) -> Option<u64> {
        if !wanted || self.plan.mode != Mode::Full {
            return None;
        }
        super::source::total(&self.mapping, &self.plan, &self.route.source).await.ok().flatten()
    }

    /// Conducts it to its end, or to where it has to stop. `rows` are those of a run of given rows.
    ///
    /// # Errors
    /// Local, when the journal cannot be written; whatever else stops a run stands in what is returned.
    pub async fn conduct(
        mut self,
        rows: Option<RowReader<'static>>,
        watch: &mut dyn Watch,
    ) -> Result<Conducted> {
        let stopped = self.go(rows, watch).await.err();
        let state = if stopped.is_some() { RunState::Stopped } else { RunState::Finished };
        let written = self.step(Step { state: Some((state, stopped.as_ref())), ..Step::default() }).await;
        if let (Err(error), None) = (&written, &stopped) {
            return Err(error.clone());
        }
        let summary = match self.journal.run(&self.id).await {
            Ok(found) => found.summary,
            Err(error) => return Err(stopped.unwrap_or(error)),
        };
        let summary = Summary { state, counts: self.state.counts, ..summary };
        Ok(Conducted { summary, stopped })
    }

    async fn go(&mut self, rows: Option<RowReader<'static>>, watch: &mut dyn Watch) -> Result<()> {
        self.finish_open(watch).await?;
        let place = self.state.place.clone();
        let (mapping, side) = (&self.mapping, &self.route.source);
        let mut source = Source::open(mapping, &self.plan, side, &place, rows).await?;
        let mut at = place;
        loop {
            check(watch)?;
            if self.is_full() {
                break;
            }
            let Some(read) = source.next().await? else { break };
            let next = read.next.clone();
            self.page(read, &at, watch).await?;
            at = next;
        }
        self.flush(watch).await?;
        self.write_decided().await
    }

    /// Whether no more records are to be read.
    fn is_full(&self) -> bool {
        let taken = self.state.counts.read + (self.state.pending.len() + self.state.decided.len()) as u64;
        self.plan.limit.is_some_and(|limit| taken >= limit)
    }

    /// Sends what was under way when the run stopped.
    async fn finish_open(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let mut open = self.journal.intents(&self.id).await?;
        if let Some(last) = open.last() {
            self.state.next_number = self.state.next_number.max(last.number + 1);
        }
        while let Some(first) = open.first() {
            check(watch)?;
            let kind = first.kind;
            let most = self.writer().batch(kind);
            let count = open.iter().take(most).take_while(|row| row.kind == kind).count();
            self.state.pending = open.drain(..count).collect();
            self.flush(watch).await?;
        }
        Ok(())
    }

    fn writer(&self) -> Writer<'_> {
        Writer::new(&self.id, &self.mapping, &self.route.target)
    }

    /// Takes up the records of a page.
    async fn page(&mut self, read: Read, at: &Place, watch: &mut dyn Watch) -> Result<()> {
        let Read { items, next } = read;
        let follows = self.plan.mode == Mode::Changes;
        let identities = items.iter().map(|item| item.identity.clone()).collect();
        let handled = self.journal.handled(&self.id, identities).await?;
        let links = if follows {
            let keys = items.iter().map(|item| item.source_key.clone()).collect();
            self.journal.links(&self.mapping.name, keys).await?
        } else {
            items.iter().map(|_| None).collect()
        };
        let mut mapped = self.map(&items, &handled).await?.into_iter();
        for ((item, handled), link) in items.into_iter().zip(handled).zip(links) {
            let content = content_mark(&item);
            let done = self.is_done(&item, handled);
            let mapped = if done || !matches!(item.what, What::Record(_)) { None } else { mapped.next() };
            if let (Mode::Rows(file), Some(known)) = (&self.plan.mode, handled)
                && known != content
            {
                return Err(Error::invalid(format!("{file} has changed since the run began"))
                    .with_code("rows_changed")
                    .with_advice("Begin a new run with what is left of it"));
            }
            if done {
                continue;
            }
            if self.is_full() {
                break;
            }
            if self.state.identities.contains(&item.identity) {
                if !follows {
                    continue;
                }
                // Two changes of one record are written one after the other.
                self.state.place.clone_from(at);
                self.flush(watch).await?;
            }
            self.take(item, mapped, (content, link), at, watch).await?;
            if self.state.decided.len() >= DECIDED {
                self.write_decided().await?;
            }
        }
        if follows {
            self.flush(watch).await?;
            self.state.place.clone_from(&next);
            if let Place::Checkpoint(checkpoint) = &next {
                let source = source_of(&self.mapping);
                let decided = self.decided();
                let followed = Some((source.as_str(), checkpoint.as_str()));
                self.step(Step { decided, followed, ..Step::default() }).await?;
            }
            return self.judge();
        }
        if self.state.pending.is_empty() {
            self.state.place = next;
        }
        if self.state.pending.is_empty() || self.state.decided.len() >= DECIDED {
            self.write_decided().await?;
        }
        Ok(())
    }

    /// Maps the records of a page that are new to the run, having looked up what they need together.
    async fn map(&self, items: &[Item], handled: &[Option<u64>]) -> Result<Vec<Result<Mapped>>> {
        let new = items.iter().zip(handled).filter(|(item, handled)| !self.is_done(item, **handled));
        let given: Vec<Given<'_>> = new
            .zip(self.state.next_number + 1..)
            .filter_map(|((item, _), row)| match &item.what {
                What::Record(record) => {
                    Some(Given { json: record.as_str(), key: item.source_key.as_deref(), row })
                }
                _ => None,
            })
            .collect();
        self.route.lookups.apply(&self.route.program, &given).await
    }

    /// Whether the run is done with something that it has read.
    fn is_done(&self, item: &Item, handled: Option<u64>) -> bool {
        match self.plan.mode {
            Mode::Changes => handled == Some(content_mark(item)),
            Mode::Full | Mode::Rows(_) => handled.is_some(),
        }
    }

    /// Takes up one record: it becomes a row that is pending, or is decided.
    async fn take(
        &mut self,
        item: Item,
        mapped: Option<Result<Mapped>>,
        (content, link): (u64, Option<String>),
        at: &Place,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let number = self.state.next_number;
        self.state.next_number += 1;
        let Item { identity, source_key, what } = item;
        let decide = |failure: Option<String>| DecidedNow {
            number,
            identity: identity.clone(),
            source_key: source_key.clone(),
            mark: content,
            failure,
        };
        let creates = self.mapping.target.operation == Operation::Create;
        let (kind, record, row, parcel) = match what {
            What::LeftOut => {
                self.state.decided.push(decide(None));
                return Ok(());
            }
            What::Unreadable(error) => {
                let line = failure_line(number, source_key.as_deref(), "{}", None, "failed", &error)?;
                self.state.decided.push(decide(Some(line)));
                return Ok(());
            }
            What::Deleted => {
                let rule = self.mapping.on_source_delete.as_ref().unwrap_or(&OnSourceDelete::Ignore);
                let by = &self.route.target.records.record_type().key;
                let row = match link.as_deref().filter(|target| !target.is_empty()) {
                    Some(target) => on_delete(rule, target, by)?,
                    None => None,
                };
                let Some((kind, row)) = row else {
                    self.state.decided.push(decide(None));
                    return Ok(());
                };
                (kind, "{}".to_owned(), row, None)
            }
            // It was created by this mapping before.
            What::Record(_) if creates && link.is_some() => {
                self.state.decided.push(decide(None));
                return Ok(());
            }
            What::Record(record) => {
                match mapped.unwrap_or_else(|| Err(Error::bug("a record was not mapped"))) {
                    Ok(mapped) => {
                        for warning in &mapped.warnings {
                            tracing::info!(row = number, field = warning.field, "{}", warning.message);
                        }
                        let parcel = Parcel::of(mapped.contents);
                        (Kind::Write, record.as_str().to_owned(), mapped.json, parcel)
                    }
                    Err(error) => {
                        let text = record.as_str();
                        let line = failure_line(number, source_key.as_deref(), text, None, "failed", &error)?;
                        self.state.decided.push(decide(Some(line)));
                        return Ok(());
                    }
                }
            }
        };
        if self.state.pending.first().is_some_and(|pending| pending.kind != kind) {
            self.state.place.clone_from(at);
            self.flush(watch).await?;
        }
        self.state.identities.insert(identity.clone());
        let since = self.route.target.cx.clock.now();
        let intent = Intent {
            number,
            kind,
            identity,
            source_key,
            mark: content,
            record,
            content: row,
            since,
            sent: false,
            parcel,
        };
        self.state.pending.push(intent);
        if self.state.pending.len() >= self.writer().batch(kind) {
            self.state.place.clone_from(at);
            self.flush(watch).await?;
        }
        Ok(())
    }

    /// Writes what is pending: intent, sending, outcome.
    async fn flush(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let mut pending = std::mem::take(&mut self.state.pending);
        self.state.identities.clear();
        if pending.is_empty() {
            return Ok(());
        }
        let now = self.route.target.cx.clock.now();
        for row in pending.iter_mut().filter(|row| !row.sent) {
            row.since = now;
        }
        self.write_decided().await?;
        self.step(Step { intents: &pending, ..Step::default() }).await?;
        let verdicts = self.send(&pending).await;
        let verdicts = self.copy(&mut pending, verdicts).await?;
        let (mut decided, mut unsent, mut stop) = (Vec::new(), Vec::new(), None);
        for (row, verdict) in pending.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Done(outcome) => decided.push(self.done(row, &outcome)?),
                Verdict::Unsent(error) => {
                    if !row.sent {
                        unsent.push(row.number);
                    }
                    stop.get_or_insert(error);
                }
                Verdict::Open(error) => {
                    stop.get_or_insert(error);
                }
            }
        }
        self.step(Step { decided, unsent, ..Step::default() }).await?;
        watch.progress(&self.state.counts);
        if let Some(error) = stop {
            return Err(error);
        }
        self.judge()?;
        check(watch)
    }

    /// Sends rows; one that is written already and whose content is under way is not written again.
    async fn send(&self, rows: &[Intent]) -> Vec<Verdict> {
        let by = &self.route.target.records.record_type().key;
        let known: Vec<Option<Outcome>> =
            rows.iter().map(|row| row.parcel.as_ref().and_then(|parcel| parcel.outcome(by))).collect();
        if known.iter().all(Option::is_none) {
            return self.writer().send(rows).await;
        }
        let open: Vec<Intent> = rows
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(row, _)| row.clone())
            .collect();
        let mut sent = self.writer().send(&open).await.into_iter();
        let missing = || Verdict::Open(Error::bug("a row got no outcome"));
        known
            .into_iter()
            .map(|known| known.map_or_else(|| sent.next().unwrap_or_else(missing), Verdict::Done))
            .collect()
    }

    /// Copies the content that goes along with rows that are written.
    async fn copy(&self, rows: &mut [Intent], verdicts: Vec<Verdict>) -> Result<Vec<Verdict>> {
        if self.mapping.contents.is_none() {
            return Ok(verdicts);
        }
        let (source, target) = (&self.route.source, &self.route.target);
        Copier { run: &self.id, journal: &self.journal, source, target }.copy(rows, verdicts).await
    }

    /// What became of a row that was sent.
    fn done(&mut self, row: Intent, outcome: &Outcome) -> Result<Decided> {
        let counts = &mut self.state.counts;
        counts.read += 1;
        match outcome {
            Outcome::Created(_) => counts.created += 1,
            Outcome::Updated(_) => counts.updated += 1,
            Outcome::Unchanged(_) => counts.unchanged += 1,
            Outcome::Deleted(_) => counts.deleted += 1,
            Outcome::Failed(_) => counts.failed += 1,
            Outcome::Unknown { .. } => {
                counts.failed += 1;
                counts.unknown += 1;
            }
        }
        let failure = match outcome.error() {
            Some(error) => Some(failure_line(
                row.number,
                row.source_key.as_deref(),
                &row.record,
                Some(&row.content),
                outcome.status(),
                error,
            )?),
            None => None,
        };
        let target = &self.mapping.target;
        let deletes = !matches!(self.mapping.on_source_delete, None | Some(OnSourceDelete::Ignore));
        let linked = row.kind == Kind::Write && (deletes || target.operation == Operation::Create);
        let target_key = match outcome {
            // It may be there, so that a later change must not create it again.
            Outcome::Unknown { .. } if target.operation == Operation::Create => Some(String::new()),
            outcome => {
                // What is written without its content is written.
                let written = || row.parcel.as_ref().and_then(Parcel::key).map(str::to_owned);
                outcome.key().map(ToString::to_string).or_else(written).filter(|_| linked)
            }
        };
        let unlink = row.kind == Kind::Delete && matches!(outcome, Outcome::Deleted(_));
        Ok(Decided {
            number: row.number,
            identity: row.identity,
            source_key: row.source_key,
            mark: row.mark,
            failure,
            target_key,
            unlink,
        })
    }

    /// The records that were decided without being sent, counted.
    fn decided(&mut self) -> Vec<Decided> {
        let decided = std::mem::take(&mut self.state.decided);
        let counts = &mut self.state.counts;
        decided
            .into_iter()
            .map(|one| {
                counts.read += 1;
                if one.failure.is_some() {
                    counts.failed += 1;
                } else {
                    counts.skipped += 1;
                }
                Decided {
                    number: one.number,
                    identity: one.identity,
                    source_key: one.source_key,
                    mark: one.mark,
                    failure: one.failure,
                    target_key: None,
                    unlink: false,
                }
            })
            .collect()
    }

    async fn write_decided(&mut self) -> Result<()> {
        if self.state.decided.is_empty() {
            return Ok(());
        }
        let decided = self.decided();
        self.step(Step { decided, ..Step::default() }).await?;
        self.judge()
    }

    async fn step(&self, step: Step<'_>) -> Result<()> {
        let step = Step {
            place: Some(&self.state.place),
            counts: self.state.counts,
            next_number: self.state.next_number,
            ..step
        };
        let now = self.route.target.cx.clock.now();
        self.journal.step(&self.id, &self.mapping.name, now, step).await
    }

    /// Stops a run that fails too much.
    fn judge(&self) -> Result<()> {
        let Counts { read, failed, .. } = self.state.counts;
        if !self.plan.max_failures.exceeded(failed, read) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!("{failed} of {read} rows failed, which is more than {}", self.plan.max_failures),
        )
        .with_code(TOO_MANY_FAILURES)
        .with_advice(format!(
            "See why with `recordport runs show {0} --failed`, then go on with `recordport run --resume {0} \
             --max-failures N`",
            self.id
        )))
    }
}

/// A route whose lookups keep in the journal what they create.
fn keeping(route: Route, journal: &Journal, id: &str) -> Route {
    let lookups = route.lookups.kept_in(std::sync::Arc::new(Made::new(journal, id)));
    Route { lookups, ..route }
}

/// Where a new run begins to read.
pub(super) async fn beginning(journal: &Journal, mapping: &Mapping, plan: &Plan) -> Result<Place> {
    let followed = match plan.mode {
        Mode::Changes => journal.followed(&mapping.name, &source_of(mapping)).await?,
        Mode::Full | Mode::Rows(_) => None,
    };
    Ok(followed.map_or(Place::Start, Place::Checkpoint))
}

/// Code of the error that stops a run which fails too much.
pub const TOO_MANY_FAILURES: &str = "too_many_failures";

fn check(watch: &mut dyn Watch) -> Result<()> {
    if watch.stop() {
        return Err(Error::new(ErrorKind::Cancelled, "stopped").with_code("stopped"));
    }
    Ok(())
}

/// The source that a checkpoint is of.
fn source_of(mapping: &Mapping) -> String {
    format!("{} {}", mapping.source.connection, mapping.source.record_type)
}

/// A number that stands for a record's content.
fn content_mark(item: &Item) -> u64 {
    match &item.what {
        What::Record(record) => mark(&[b"record", record.as_str().as_bytes()]),
        What::Deleted => mark(&[b"deleted"]),
        What::LeftOut => mark(&[b"left out"]),
        What::Unreadable(_) => mark(&[b"unreadable"]),
    }
}

/// An id that sorts by time.
fn new_id(plan: &Plan) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", plan.now.strftime("%Y%m%d-%H%M%S"), random.get(..6).unwrap_or_default())
}
