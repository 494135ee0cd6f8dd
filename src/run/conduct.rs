//! Conducts a run: page after page is read and mapped, batch after batch is written, and the journal stands between
//! each two of them. One page is read ahead while a batch is written; no more is held.

use std::collections::HashSet;

use super::content::{Copier, Parcel, Written};
use super::counts::{Counts, Skip};
use super::entry::{Decided, Failure, Intent, Kind, Place, RunState, Step, Summary, skip_line};
use super::journal::Journal;
use super::linked::{on_delete, on_update};
use super::lock::Lock;
use super::pace::{Pace, Progress};
use super::plan::{Mode, Plan};
use super::source::{Item, Read, Source, What, in_order, name_of, shared};
use super::write::{Verdict, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::document::{OnSourceDelete, Operation};
use crate::mapping::{Given, Lookups, Mapped, Mapping, Program, Side};
use crate::provider::Outcome;
use crate::rows::RowReader;

/// Records that are decided without being sent, and wait to be written down.
const DECIDED: usize = 200;

/// Who looks on while a run is conducted.
pub trait Watch: Send {
    /// How far it is.
    fn progress(&mut self, progress: &Progress);

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
    pub(super) journal: Journal,
    pub(super) id: String,
    pub(super) mapping: Mapping,
    pub(super) plan: Plan,
    pub(super) route: Route,
    pub(super) state: State,
    pub(super) pace: Pace,
    pub(super) _lock: Lock,
}

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) counts: Counts,
    next_number: u64,
    /// Where reading goes on after a crash.
    place: Place,
    pending: Vec<Intent>,
    identities: HashSet<String>,
    decided: Vec<DecidedNow>,
}

impl State {
    pub(super) fn at(counts: Counts, next_number: u64, place: Place) -> Self {
        Self { counts, next_number, place, ..Self::default() }
    }
}

/// A record that was decided without being sent.
#[derive(Debug, Clone)]
struct DecidedNow {
    number: u64,
    identity: String,
    source_key: Option<String>,
    mark: u64,
    how: How,
}

/// How a record was decided without being sent.
#[derive(Debug, Clone)]
enum How {
    /// It failed; its line in the report.
    Failed(String),
    /// There is nothing to do for it; its line, when a record of the target may be behind it.
    Skipped(Skip, Option<String>),
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
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Asks how many records it reads in all, when the provider can tell without listing them, so that whoever looks
    /// on learns what remains.
    pub async fn count_all(&mut self) {
        if self.plan.mode == Mode::Full {
            let total = super::source::total(&self.mapping, &self.plan, &self.route.source).await;
            let now = self.route.target.cx.clock.now();
            self.pace = Pace::new(now, self.state.counts.read, total.ok().flatten());
        }
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
        let (items, links) = if follows {
            let keys = items.iter().map(|item| item.source_key.clone()).collect();
            let links = self.journal.links(&self.mapping.name, keys).await?;
            in_order(&self.mapping, items, links)
        } else {
            let links = items.iter().map(|_| None).collect();
            (items, links)
        };
        let shares = shared(&self.journal, &self.mapping, &items, &links).await?;
        let identities = items.iter().map(|item| item.identity.clone()).collect();
        let handled = self.journal.handled(&self.id, identities).await?;
        let done: Vec<bool> =
            items.iter().zip(&handled).map(|(item, handled)| self.is_done(item, *handled)).collect();
        let mut mapped = self.map(&items, &done, &links).await?.into_iter();
        let mut taken = HashSet::new();
        let known = handled.into_iter().zip(links).zip(shares).zip(done);
        for (item, (((handled, mut link), mut is_shared), done)) in items.into_iter().zip(known) {
            let content = item.mark();
            let mut row = if done { None } else { mapped.next().flatten() };
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
            if !follows && self.state.identities.contains(&item.identity) {
                continue;
            }
            if follows && !taken.insert(item.identity.clone()) {
                // Two changes of one record are written one after the other, the later one with what came of the earlier.
                self.state.place.clone_from(at);
                self.flush(watch).await?;
                let keys = vec![item.source_key.clone()];
                let links = self.journal.links(&self.mapping.name, keys).await?;
                let alone = std::slice::from_ref(&item);
                row = self.map(alone, &[false], &links).await?.pop().flatten();
                is_shared = shared(&self.journal, &self.mapping, alone, &links).await?.contains(&true);
                link = links.into_iter().next().flatten();
            }
            let skip = item.skip(&self.mapping, link.as_deref(), is_shared);
            self.take(item, row, (content, link, skip), at, watch).await?;
            if self.state.decided.len() >= DECIDED {
                self.write_decided().await?;
            }
        }
        if follows {
            self.flush(watch).await?;
            self.state.place.clone_from(&next);
            if let Place::Checkpoint(checkpoint) = &next {
                let source = name_of(&self.mapping);
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

    /// Maps the records of a page that are new to the run, having looked up what they need together; nothing stands for
    /// one for which nothing is done.
    async fn map(
        &self,
        items: &[Item],
        done: &[bool],
        links: &[Option<String>],
    ) -> Result<Vec<Option<Result<Mapped>>>> {
        let new = items.iter().zip(links).zip(done).filter(|(_, done)| !**done);
        let wanted: Vec<Option<Given<'_>>> = new
            .zip(self.state.next_number + 1..)
            .map(|(((item, link), _), row)| match &item.what {
                What::Record(record) if item.skip(&self.mapping, link.as_deref(), false).is_none() => {
                    Some(Given { json: record.as_str(), key: item.source_key.as_deref(), row })
                }
                _ => None,
            })
            .collect();
        let given: Vec<Given<'_>> = wanted.iter().flatten().copied().collect();
        let mut mapped = self.route.lookups.apply(&self.route.program, &given).await?.into_iter();
        Ok(wanted.into_iter().map(|given| given.and_then(|_| mapped.next())).collect())
    }

    /// Whether the run is done with something that it has read.
    fn is_done(&self, item: &Item, handled: Option<u64>) -> bool {
        match self.plan.mode {
            Mode::Changes => handled == Some(item.mark()),
            Mode::Full | Mode::Rows(_) => handled.is_some(),
        }
    }

    /// Takes up one record: it becomes a row that is pending, or is decided.
    async fn take(
        &mut self,
        item: Item,
        mapped: Option<Result<Mapped>>,
        (content, link, skip): (u64, Option<String>, Option<Skip>),
        at: &Place,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let number = self.state.next_number;
        self.state.next_number += 1;
        let written = item.stands(&self.mapping, link.as_deref());
        let Item { identity, source_key, what, .. } = item;
        let mut decide = |how: How| {
            let (identity, source_key) = (identity.clone(), source_key.clone());
            self.state.decided.push(DecidedNow { number, identity, source_key, mark: content, how });
        };
        if let Some(why) = skip {
            let line = link.map(|target| skip_line(number, source_key.as_deref(), &target, why));
            decide(How::Skipped(why, line));
            return Ok(());
        }
        // What stands at the target is told again, or the row would be created anew the next time.
        let stands = written.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let failed = |error: Error, record: &str| {
            let failure = Failure::of(number, source_key.as_deref(), &error);
            Failure { written: stands.clone(), ..failure }.line(record).map(How::Failed)
        };
        let (kind, record, row, parcel) = match what {
            What::Unreadable(error) => {
                decide(failed(error, "{}")?);
                return Ok(());
            }
            What::LeftOut => return Err(Error::bug("a record that is left out was taken up")),
            What::Deleted => {
                let rule = self.mapping.on_source_delete.as_ref().unwrap_or(&OnSourceDelete::Ignore);
                let by = &self.route.target.records.record_type().key;
                let row = on_delete(rule, link.as_deref().unwrap_or_default(), by)?;
                let (kind, row) = row.ok_or_else(|| Error::bug("a deletion that does nothing"))?;
                (kind, "{}".to_owned(), row, None)
            }
            What::Record(record) => {
                let target = &self.mapping.target;
                let by = &self.route.target.records.record_type().key;
                let mapped = mapped.unwrap_or_else(|| Err(Error::bug("a record was not mapped")));
                let made = mapped.and_then(|mapped| {
                    let written = written.map(|text| Written::read(&text, target, by)).transpose()?;
                    Ok((mapped, written))
                });
                match made {
                    Ok((mapped, written)) => {
                        for warning in &mapped.warnings {
                            tracing::info!(row = number, field = warning.field, "{}", warning.message);
                        }
                        let record = record.as_str().to_owned();
                        match written {
                            Some(written) if self.mapping.updates_created() => {
                                let target = self.route.target.records.record_type();
                                let row = on_update(&mapped.json, written.key(), target)?;
                                let parcel = Parcel::rest(mapped.contents, written, false);
                                (Kind::Update, record, row, Some(parcel))
                            }
                            Some(written) => {
                                let created = target.operation == Operation::Create;
                                let parcel = Parcel::rest(mapped.contents, written, created);
                                (Kind::Write, record, mapped.json, Some(parcel))
                            }
                            None => (Kind::Write, record, mapped.json, Parcel::of(mapped.contents)),
                        }
                    }
                    Err(error) => {
                        decide(failed(error, record.as_str())?);
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
        watch.progress(&self.pace.at(self.route.target.cx.clock.now(), self.state.counts));
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
        self.state.counts.sent(outcome);
        let failure = match outcome.error() {
            Some(error) => {
                let parcel = row.parcel.as_ref();
                let written = parcel.and_then(|parcel| parcel.report(&self.mapping.target, outcome));
                let written = written.and_then(|written| serde_json::value::to_raw_value(&written).ok());
                let failure = Failure { written, ..Failure::of_row(&row, outcome.status(), error) };
                Some(failure.line(&row.record)?)
            }
            None => None,
        };
        let target = &self.mapping.target;
        let linked = matches!(row.kind, Kind::Write | Kind::Update) && self.keeps_links();
        let target_key = match outcome {
            // It may be there, so that a later change must not create it again.
            Outcome::Unknown { .. } if row.kind == Kind::Write && target.operation == Operation::Create => {
                Some(String::new())
            }
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
            skipped: None,
            target_key,
            unlink,
        })
    }

    /// The records that were decided without being sent, counted.
    fn decided(&mut self) -> Vec<Decided> {
        let decided = std::mem::take(&mut self.state.decided);
        let counts = &mut self.state.counts;
        let each = decided.into_iter().map(|one| {
            let DecidedNow { number, identity, source_key, mark, how } = one;
            // The record of the target goes with the last of those that it stands for.
            let unlink = matches!(how, How::Skipped(Skip::Shared, _));
            let (failure, skipped) = match how {
                How::Failed(line) => {
                    counts.read += 1;
                    counts.failed += 1;
                    (Some(line), None)
                }
                How::Skipped(why, line) => {
                    counts.skipped(why);
                    (None, line)
                }
            };
            Decided { number, identity, source_key, mark, failure, skipped, target_key: None, unlink }
        });
        each.collect()
    }

    /// Whether later runs have to know which record became which: what a deletion, a change or a record that leaves
    /// the conditions means depends on it.
    fn keeps_links(&self) -> bool {
        let deletes = !matches!(self.mapping.on_source_delete, None | Some(OnSourceDelete::Ignore));
        let narrows = self.plan.mode == Mode::Changes && self.mapping.source.query.is_some();
        deletes || narrows || self.mapping.target.operation == Operation::Create
    }

    async fn write_decided(&mut self) -> Result<()> {
        if self.state.decided.is_empty() {
            return Ok(());
        }
        let decided = self.decided();
        self.step(Step { decided, ..Step::default() }).await?;
        self.judge()
    }

    pub(super) async fn step(&self, step: Step<'_>) -> Result<()> {
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

/// Code of the error that stops a run which fails too much.
pub const TOO_MANY_FAILURES: &str = "too_many_failures";

fn check(watch: &mut dyn Watch) -> Result<()> {
    if watch.stop() {
        return Err(Error::new(ErrorKind::Cancelled, "stopped").with_code("stopped"));
    }
    Ok(())
}
