//! Writes a batch of a run and finds out what became of each row, also of rows whose answer was lost.
//!
//! Updates, upserts and deletions come out the same however often they are sent, so that they are sent again. A
//! create is looked for by its mark: one that the run made up for it, or its own value in a field that is unique.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::entry::{Intent, Kind};
use super::plan::capability_of;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::check;
use crate::layer::foresight::differences;
use crate::mapping::document::Operation;
use crate::mapping::{Mapping, Side};
use crate::provider::{Change, Edit, NewRow, Outcome, Settled, VersionedKey, WriteOptions};
use crate::record::KeyFields;
use crate::record::capability::{MarkerForm, WriteCapability};
use crate::rows::RawRow;

/// How often a row is sent at most before its outcome is told as unknown.
const SENDINGS: u32 = 3;
/// Pause before a row is sent again; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Most rows that are under way at once.
const MOST: usize = 1000;

/// What became of one row.
#[derive(Debug)]
pub(super) enum Verdict {
    /// This.
    Done(Outcome),
    /// It was certainly not written, and nothing more can be sent now.
    Unsent(Error),
    /// It may have been written, and the provider cannot be asked now.
    Open(Error),
}

/// The target of a run.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    run: &'a str,
    side: &'a Side,
    operation: Operation,
    by: KeyFields,
    options: WriteOptions,
    /// Those of them that updates have as well.
    of_updates: WriteOptions,
    none: WriteOptions,
}

impl<'a> Writer<'a> {
    pub(super) fn new(run: &'a str, mapping: &Mapping, side: &'a Side) -> Self {
        let by = match mapping.target.operation {
            Operation::Upsert => KeyFields(mapping.target.by.clone().unwrap_or_default()),
            _ => side.records.record_type().key.clone(),
        };
        let options = mapping.target.options.clone().unwrap_or_default();
        let update = side.records.record_type().capability.update.as_ref();
        let known =
            |name: &str| update.is_some_and(|update| update.options["properties"].get(name).is_some());
        let of_updates = options.iter().filter(|(name, _)| known(name));
        Self {
            run,
            side,
            operation: mapping.target.operation,
            by,
            of_updates: of_updates.map(|(name, value)| (name.clone(), value.clone())).collect(),
            options,
            none: WriteOptions::new(),
        }
    }

    pub(super) fn operation(&self, kind: Kind) -> Operation {
        match kind {
            Kind::Write => self.operation,
            Kind::Delete => Operation::Delete,
            Kind::Update | Kind::Set => Operation::Update,
        }
    }

    fn capability(&self, operation: Operation) -> Option<&WriteCapability> {
        capability_of(self.side.records.record_type(), operation)
    }

    /// Rows that one step of the run sends: as many as the provider takes in the requests that it takes at once.
    pub(super) fn batch(&self, kind: Kind) -> usize {
        self.capability(self.operation(kind)).map_or(1, |capability| {
            let most = if capability.at_once > 1 { MOST } else { MOST / 5 };
            capability.batch_max.saturating_mul(capability.at_once.max(1)).clamp(1, most)
        })
    }

    /// Sends rows of one kind. Those that may have been sent before are asked for first.
    pub(super) async fn send(&self, rows: &[Intent]) -> Vec<Verdict> {
        let Some(kind) = rows.first().map(|row| row.kind) else { return Vec::new() };
        let operation = self.operation(kind);
        let mut verdicts: Vec<Option<Verdict>> = rows.iter().map(|_| None).collect();
        let mut doubtful: Vec<usize> = (0..rows.len()).filter(|place| rows[*place].sent).collect();
        let mut waiting: Vec<usize> = (0..rows.len()).filter(|place| !rows[*place].sent).collect();
        let mut lost: Vec<Option<Error>> = rows.iter().map(|_| None).collect();
        for sending in 1..=SENDINGS {
            if operation == Operation::Create {
                waiting.extend(self.look(rows, &doubtful, &mut verdicts, &mut lost).await);
            } else {
                waiting.append(&mut doubtful);
            }
            doubtful.clear();
            waiting.sort_unstable();
            if waiting.is_empty() {
                break;
            }
            if sending > 1 {
                self.side.cx.clock.sleep(PAUSE.saturating_mul(1 << (sending - 2))).await;
            }
            let again: Vec<bool> = waiting.iter().map(|place| rows[*place].sent || sending > 1).collect();
            let batch: Vec<&Intent> = waiting.iter().map(|place| &rows[*place]).collect();
            let answers = self.request(operation, kind, &batch).await;
            for ((place, answer), again) in std::mem::take(&mut waiting).into_iter().zip(answers).zip(again) {
                match answer {
                    Verdict::Done(Outcome::Unknown { error, .. }) => {
                        lost[place] = Some(error);
                        doubtful.push(place);
                    }
                    Verdict::Done(Outcome::Failed(error)) if again => {
                        let arrived = self.arrived_before(operation, &rows[place], &error).await;
                        let outcome = arrived.unwrap_or(Outcome::Failed(error));
                        verdicts[place] = Some(Verdict::Done(outcome));
                    }
                    // An earlier sending may have arrived.
                    Verdict::Unsent(error) if again => verdicts[place] = Some(Verdict::Open(error)),
                    other => verdicts[place] = Some(other),
                }
            }
        }
        self.give_up(operation, rows, verdicts, lost)
    }

    /// What is left after the last sending: open while the service does not answer at all, else unknown.
    fn give_up(
        &self,
        operation: Operation,
        rows: &[Intent],
        verdicts: Vec<Option<Verdict>>,
        lost: Vec<Option<Error>>,
    ) -> Vec<Verdict> {
        let answers = verdicts.iter().flatten().any(|verdict| matches!(verdict, Verdict::Done(_)));
        let each = verdicts.into_iter().zip(lost).zip(rows);
        each.map(|((verdict, lost), row)| {
            verdict.unwrap_or_else(|| {
                let error = lost.unwrap_or_else(|| Error::bug("a row got no outcome"));
                let asked = operation != Operation::Create || self.mark(row).is_some();
                if asked && !answers && error.kind() == ErrorKind::Unavailable {
                    Verdict::Open(error)
                } else {
                    Verdict::Done(Outcome::lost(&error, None))
                }
            })
        })
        .collect()
    }

    /// Asks the provider about creates that may have arrived; gives back the places of those that did not.
    async fn look(
        &self,
        rows: &[Intent],
        doubtful: &[usize],
        verdicts: &mut [Option<Verdict>],
        lost: &mut [Option<Error>],
    ) -> Vec<usize> {
        let mut marks = Vec::new();
        let mut places = Vec::new();
        for place in doubtful {
            if let Some(mark) = self.mark(&rows[*place]) {
                marks.push(mark);
                places.push(*place);
            } else {
                let error = lost[*place].take().unwrap_or_else(never_answered);
                verdicts[*place] = Some(Verdict::Done(Outcome::lost(&error, None)));
            }
        }
        if places.is_empty() {
            return Vec::new();
        }
        self.until_arrived(places.iter().map(|place| &rows[*place])).await;
        let answers = match self.side.records.settle(&self.side.cx, &marks).await {
            Ok(answers) if answers.len() == marks.len() => answers,
            Ok(_) => marks.iter().map(|_| Settled::CannotTell).collect(),
            Err(error) => {
                for place in places {
                    verdicts[place] = Some(Verdict::Open(error.clone()));
                }
                return Vec::new();
            }
        };
        let mut absent = Vec::new();
        for (place, settled) in places.into_iter().zip(answers) {
            match settled {
                Settled::Arrived(key) => verdicts[place] = Some(Verdict::Done(Outcome::Created(key))),
                Settled::There(key) => verdicts[place] = Some(Verdict::Done(Outcome::Unchanged(key))),
                Settled::Absent => absent.push(place),
                Settled::CannotTell => {
                    let error = lost[place].take().unwrap_or_else(never_answered);
                    verdicts[place] = Some(Verdict::Done(Outcome::lost(&error, self.mark(&rows[place]))));
                }
            }
        }
        absent
    }

    /// A mark that the provider takes more than once says nothing while the first request may be under way.
    async fn until_arrived<'r>(&self, rows: impl Iterator<Item = &'r Intent>) {
        let labels = self.capability(Operation::Create).and_then(|create| create.made_up_marker);
        if labels != Some(MarkerForm::Label) {
            return;
        }
        if let Some(last) = rows.map(|row| row.since).max() {
            check::until_arrived(&self.side.cx, last).await;
        }
    }

    /// A row that was sent before and is refused now, because it had arrived.
    async fn arrived_before(&self, operation: Operation, row: &Intent, error: &Error) -> Option<Outcome> {
        match operation {
            Operation::Create => {
                let settled = self.side.records.settle(&self.side.cx, &[self.mark(row)?]).await.ok()?;
                match settled.into_iter().next()? {
                    Settled::Arrived(key) => Some(Outcome::Created(key)),
                    Settled::There(key) => Some(Outcome::Unchanged(key)),
                    Settled::Absent | Settled::CannotTell => None,
                }
            }
            // Its version is not the one any more that it had to have: because of this change?
            Operation::Update | Operation::Upsert if error.kind() == ErrorKind::Conflict => {
                let change = self.change(row).ok()?;
                change.if_version.as_ref()?;
                let select: Vec<_> = change
                    .edits
                    .iter()
                    .filter(|(_, edit)| !matches!(edit, Edit::List { .. }))
                    .map(|(name, _)| crate::record::FieldPath::parse(name))
                    .collect();
                let keys = std::slice::from_ref(&change.key);
                let found = self.side.records.get(&self.side.cx, &self.by, keys, &select).await.ok()?;
                let record = found.into_iter().next()?.ok()??;
                differences(&change, &record).ok()?.is_empty().then_some(Outcome::Updated(record.key))
            }
            Operation::Delete if error.kind() == ErrorKind::NotFound => {
                Some(Outcome::Deleted(self.key(row).ok()?.key))
            }
            _ => None,
        }
    }

    /// Sends rows once.
    async fn request(&self, operation: Operation, kind: Kind, rows: &[&Intent]) -> Vec<Verdict> {
        let (records, cx) = (&self.side.records, &self.side.cx);
        let options = match kind {
            Kind::Write => &self.options,
            Kind::Update => &self.of_updates,
            Kind::Delete | Kind::Set => &self.none,
        };
        match operation {
            Operation::Create => {
                let (good, out) = sorted(rows, |row| self.new_row(row));
                answered(out, good.len(), records.create(cx, &good, options).await)
            }
            Operation::Update => {
                let (good, out) = sorted(rows, |row| self.change(row));
                answered(out, good.len(), records.update(cx, &good, options).await)
            }
            Operation::Upsert => {
                let (good, out) = sorted(rows, |row| self.change(row));
                answered(out, good.len(), records.upsert(cx, &self.by, &good, options).await)
            }
            Operation::Delete => {
                let (good, out) = sorted(rows, |row| self.key(row));
                answered(out, good.len(), records.delete(cx, &good, options).await)
            }
        }
    }

    /// Sends rows on a plane that sends nothing.
    pub(super) async fn send_dry(&self, rows: &[Intent]) -> Result<()> {
        let Some(kind) = rows.first().map(|row| row.kind) else { return Ok(()) };
        let rows: Vec<&Intent> = rows.iter().collect();
        for verdict in self.request(self.operation(kind), kind, &rows).await {
            match verdict {
                Verdict::Unsent(error) | Verdict::Open(error) if error.kind() != ErrorKind::DryRun => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn new_row(&self, row: &Intent) -> Result<NewRow> {
        let mut new = RawRow::parse(&row.content, row.number)?.into_new()?;
        new.marker = self.made_up(&new, row);
        Ok(new)
    }

    fn change(&self, row: &Intent) -> Result<Change> {
        let by = match row.kind {
            Kind::Write => &self.by,
            Kind::Update | Kind::Delete | Kind::Set => &self.side.records.record_type().key,
        };
        RawRow::parse(&row.content, row.number)?.into_change(by)
    }

    fn key(&self, row: &Intent) -> Result<VersionedKey> {
        RawRow::parse(&row.content, row.number)?.into_key(&self.side.records.record_type().key)
    }

    /// The marker of a row: the same for the same row of the same run, whenever it is asked for.
    fn made_up(&self, new: &NewRow, row: &Intent) -> Option<Json> {
        check::made_up(new, self.capability(Operation::Create)?, self.run, &json!(row.number))
    }

    /// The mark by which a create is looked for.
    fn mark(&self, row: &Intent) -> Option<Json> {
        let new = self.new_row(row).ok()?;
        check::mark_of(self.side.records.as_ref(), &new, &self.options, row.since)
    }
}

fn never_answered() -> Error {
    Error::new(ErrorKind::Unavailable, "the run ended between request and answer")
        .with_advice("Look at the target whether the row was written before you feed it in again")
}

/// Rows that can be sent, and a place for the outcome of each.
fn sorted<T>(rows: &[&Intent], read: impl Fn(&Intent) -> Result<T>) -> (Vec<T>, Vec<Option<Outcome>>) {
    let mut good = Vec::with_capacity(rows.len());
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        match read(row) {
            Ok(row) => {
                good.push(row);
                out.push(None);
            }
            Err(error) => out.push(Some(Outcome::Failed(error))),
        }
    }
    (good, out)
}

/// Puts the answers to their rows.
fn answered(out: Vec<Option<Outcome>>, sent: usize, answers: Result<Vec<Outcome>>) -> Vec<Verdict> {
    let mut answers = match answers {
        Ok(answers) if answers.len() == sent => answers.into_iter(),
        Ok(answers) => {
            let error = Error::protocol(format!("{} outcomes came for {sent} rows", answers.len()));
            (0..sent).map(|_| Outcome::lost(&error, None)).collect::<Vec<_>>().into_iter()
        }
        Err(error) => {
            let verdict = |known: Option<Outcome>| match known {
                Some(outcome) => Verdict::Done(outcome),
                None if error.leaves_open() => Verdict::Open(error.clone()),
                None => Verdict::Unsent(error.clone()),
            };
            return out.into_iter().map(verdict).collect();
        }
    };
    let missing = || Outcome::Failed(Error::bug("a row got no outcome"));
    out.into_iter()
        .map(|known| known.unwrap_or_else(|| answers.next().unwrap_or_else(missing)))
        .map(|outcome| match outcome {
            Outcome::Failed(error) if was_not_sent(&error) => Verdict::Unsent(error),
            outcome => Verdict::Done(outcome),
        })
        .collect()
}

/// Whether a row failed because nothing more can be sent, rather than for itself.
pub(super) fn was_not_sent(error: &Error) -> bool {
    let own = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Bug);
    !own && check::stops_the_rest(error)
}
