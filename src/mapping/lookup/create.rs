//! Creates the records that lookups miss and are to make. What may have been created before, by a run that died or
//! by a request whose answer was lost, is looked for first: by its mark, and by the values that it was to have.

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::resolve::find;
use super::{Answer, Creating, Lookup, LookupKey, Lookups, Noted};
use crate::error::{Error, Result};
use crate::layer::check;
use crate::mapping::open::Side;
use crate::mapping::value::quoted;
use crate::provider::changes::mark;
use crate::provider::{Edit, Edits, NewRow, Outcome, Settled, WriteOptions};
use crate::record::Key;

/// How often a record is asked for at most.
const SENDINGS: u32 = 3;

/// One record that is to be created.
struct Wanted {
    /// Its place among the keys.
    at: usize,
    /// What it is called in the diary.
    name: String,
    row: NewRow,
    since: Timestamp,
    /// Why it is not known whether it is there.
    doubt: Option<Error>,
}

impl Lookups {
    /// Creates the records that are missing.
    pub(super) async fn create(
        &self,
        lookup: &Lookup,
        side: &Side,
        keys: &[LookupKey],
        answers: &mut [Answer],
    ) -> Result<()> {
        let missing: Vec<usize> = (0..keys.len()).filter(|at| answers[*at] == Answer::None).collect();
        match self.creating {
            Creating::Refused => return Ok(()),
            Creating::Told => {
                missing.into_iter().for_each(|at| answers[at] = Answer::WouldCreate);
                return Ok(());
            }
            Creating::Allowed => {}
        }
        let capability = side.records.record_type().capability.create.as_ref();
        let batch = capability.map_or(1, |create| create.batch_max.max(1));
        for part in missing.chunks(batch) {
            let mut wanted = self.wanted(lookup, side, part, keys, answers).await?;
            for _ in 0..SENDINGS {
                self.settle(lookup, side, keys, &mut wanted, answers).await?;
                if wanted.is_empty() {
                    break;
                }
                wanted = self.send(side, wanted, answers).await?;
            }
            for lost in wanted {
                let why = lost.doubt.map(|error| error.to_string()).unwrap_or_default();
                answers[lost.at] = Answer::Failed(format!(
                    "may have been created, but the answer was lost ({why}); map the row again"
                ));
            }
        }
        Ok(())
    }

    /// What is to be created, noted in the diary; what is known to be there already is answered.
    async fn wanted(
        &self,
        lookup: &Lookup,
        side: &Side,
        part: &[usize],
        keys: &[LookupKey],
        answers: &mut [Answer],
    ) -> Result<Vec<Wanted>> {
        let now = side.cx.clock.now();
        let names: Vec<String> = part.iter().map(|at| name(lookup, &keys[*at])).collect();
        let noted = match &self.diary {
            Some(diary) => diary.begin(&names, now).await?,
            None => part.iter().map(|_| Noted { since: now, sent: false, key: None }).collect(),
        };
        let mut wanted = Vec::new();
        for ((at, name), noted) in part.iter().zip(names).zip(noted) {
            if let Some(key) = noted.key {
                answers[*at] = Answer::Found(quoted(&key).into());
                continue;
            }
            let mut row = new_row(lookup, &keys[*at]);
            if let (Some(diary), Some(create)) = (&self.diary, &side.records.record_type().capability.create)
            {
                let label = json!(format!("lookup-{:016x}", mark(&[name.as_bytes()])));
                row.marker = check::made_up(&row, create, diary.run(), &label);
            }
            let doubt = noted.sent.then(|| Error::local("the run ended between request and answer"));
            wanted.push(Wanted { at: *at, name, row, since: noted.since, doubt });
        }
        Ok(wanted)
    }

    /// Looks for what may have been created before; what is there is answered and wanted no more.
    async fn settle(
        &self,
        lookup: &Lookup,
        side: &Side,
        keys: &[LookupKey],
        wanted: &mut Vec<Wanted>,
        answers: &mut [Answer],
    ) -> Result<()> {
        let Some(last) = wanted.iter().filter(|one| one.doubt.is_some()).map(|one| one.since).max() else {
            return Ok(());
        };
        check::until_arrived(&side.cx, last).await;
        let (records, none) = (side.records.as_ref(), WriteOptions::new());
        let marked: Vec<(usize, Json)> = wanted
            .iter()
            .filter(|one| one.doubt.is_some())
            .filter_map(|one| Some((one.at, check::mark_of(records, &one.row, &none, one.since)?)))
            .collect();
        let mut found: Vec<(usize, Key)> = Vec::new();
        if !marked.is_empty() {
            let marks: Vec<Json> = marked.iter().map(|(_, mark)| mark.clone()).collect();
            let settled = side.records.settle(&side.cx, &marks).await?;
            found.extend(marked.iter().zip(settled).filter_map(|((at, _), settled)| match settled {
                Settled::Arrived(key) | Settled::There(key) => Some((*at, key)),
                Settled::Absent | Settled::CannotTell => None,
            }));
        }
        self.keep(wanted, &found).await?;
        for (at, key) in &found {
            answers[*at] = Answer::Found(quoted(&key.to_string()).into());
        }
        wanted.retain(|one| !found.iter().any(|(at, _)| *at == one.at));
        // Without a mark the values tell.
        let doubtful: Vec<usize> =
            wanted.iter().filter(|one| one.doubt.is_some()).map(|one| one.at).collect();
        let asked: Vec<LookupKey> = doubtful.iter().map(|at| keys[*at].clone()).collect();
        let again = find(lookup, side, &asked, &self.timezone).await?;
        for (at, answer) in doubtful.into_iter().zip(again) {
            if answer != Answer::None {
                answers[at] = answer;
                wanted.retain(|one| one.at != at);
            }
        }
        Ok(())
    }

    /// Asks for records; gives back those of which it is not known whether they are there.
    async fn send(&self, side: &Side, wanted: Vec<Wanted>, answers: &mut [Answer]) -> Result<Vec<Wanted>> {
        let rows: Vec<NewRow> = wanted.iter().map(|one| one.row.clone()).collect();
        let outcomes = side.records.create(&side.cx, &rows, &WriteOptions::new()).await?;
        let mut lost = Vec::new();
        let mut made = Vec::new();
        let mut known = Vec::new();
        for (one, outcome) in wanted.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Unknown { error, .. } => {
                    lost.push(Wanted { since: side.cx.clock.now(), doubt: Some(error), ..one });
                }
                // The one before it may have arrived meanwhile.
                Outcome::Failed(error) if one.doubt.is_some() => {
                    lost.push(Wanted { doubt: Some(error), ..one })
                }
                Outcome::Failed(error) => {
                    answers[one.at] = Answer::Failed(format!("could not be created ({error})"));
                }
                created => match created.key() {
                    Some(key) => {
                        answers[one.at] = Answer::Found(quoted(&key.to_string()).into());
                        made.push((one.at, key.clone()));
                        known.push(one);
                    }
                    None => answers[one.at] = Answer::Failed("was created without a key".to_owned()),
                },
            }
        }
        self.keep(&known, &made).await?;
        Ok(lost)
    }

    async fn keep(&self, wanted: &[Wanted], made: &[(usize, Key)]) -> Result<()> {
        let Some(diary) = &self.diary else { return Ok(()) };
        let named: Vec<(String, String)> = made
            .iter()
            .filter_map(|(at, key)| {
                let one = wanted.iter().find(|one| one.at == *at)?;
                Some((one.name.clone(), key.to_string()))
            })
            .collect();
        if named.is_empty() { Ok(()) } else { diary.made(&named).await }
    }
}

/// What a record that a lookup creates is called: where it is, and the values that it is found by.
fn name(lookup: &Lookup, key: &LookupKey) -> String {
    let by: Vec<&str> = lookup.by.iter().map(|field| field.name.as_str()).collect();
    json!([lookup.connection, lookup.record_type, by, key]).to_string()
}

fn new_row(lookup: &Lookup, key: &[String]) -> NewRow {
    let values = lookup.by.iter().map(|field| field.name.as_str()).zip(key.iter().map(String::as_str));
    let more = lookup.set.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Edits = values
        .chain(more)
        .filter_map(|(name, value)| {
            let value = RawValue::from_string(value.to_owned()).ok()?;
            Some((name.to_owned(), Edit::Set(value)))
        })
        .collect();
    NewRow { fields, marker: None }
}
