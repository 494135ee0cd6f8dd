//! Asks the providers, many keys in one query, and remembers what was found.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::{Answer, Answers, Ask, Diary, Lookup, LookupKey, canonical};
use crate::error::{Error, ErrorKind, Result};
use crate::layer::check;
use crate::mapping::document::NotFound;
use crate::mapping::open::Side;
use crate::mapping::program::{Given, Mapped, Program};
use crate::mapping::value::{Value, quoted};
use crate::provider::search::{RecordsExt as _, Search};
use crate::record::pick::Picker;
use crate::record::{FieldPath, QueryDraft, Record};

/// Keys in one query. Addresses of requests have a longest length.
const KEYS_A_QUERY: usize = 50;

/// Characters of keys in one query.
const LETTERS_A_QUERY: usize = 4000;

/// Records that one query may find before it is given up.
const MOST_FOUND: u64 = 20_000;

/// Answers that are remembered over all lookups of a mapping.
const MOST_REMEMBERED: usize = 20_000;

/// Whether records that are not found and that the mapping wants may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creating {
    /// They are.
    Allowed,
    /// They are not; the row tells that a run would.
    Told,
    /// They are not, and the row fails.
    Refused,
}

/// The lookups of one mapping, with the records that they search and what they have found.
#[derive(Debug)]
pub struct Lookups {
    sides: Vec<Side>,
    pub(super) creating: Creating,
    pub(super) timezone: TimeZone,
    /// Where it is kept what they create.
    pub(super) diary: Option<Arc<dyn Diary>>,
    /// One at a time looks up, so that no record is created twice.
    remembered: tokio::sync::Mutex<Remembered>,
}

/// What was found, the oldest first to be forgotten. That a record is missing is not remembered: the next rows may
/// create it.
#[derive(Debug, Default)]
struct Remembered {
    found: HashMap<Ask, Arc<str>>,
    order: VecDeque<Ask>,
}

impl Remembered {
    fn keep(&mut self, ask: &Ask, value: &Arc<str>) {
        if self.found.insert(ask.clone(), Arc::clone(value)).is_some() {
            return;
        }
        self.order.push_back(ask.clone());
        if self.order.len() > MOST_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.found.remove(&oldest);
        }
    }
}

impl Lookups {
    /// Over these sides, one for each of the program's lookups in their order.
    #[must_use]
    pub fn new(sides: Vec<Side>, creating: Creating, timezone: TimeZone) -> Self {
        Self { sides, creating, timezone, diary: None, remembered: tokio::sync::Mutex::default() }
    }

    /// The same, keeping in a diary what they create.
    #[must_use]
    pub fn kept_in(self, diary: Arc<dyn Diary>) -> Self {
        Self { diary: Some(diary), ..self }
    }

    /// Maps records, having looked up what they need together.
    ///
    /// # Errors
    /// What a provider refuses; what concerns one record stands in its place.
    pub async fn apply(&self, program: &Program, records: &[Given<'_>]) -> Result<Vec<Result<Mapped>>> {
        let answers = self.answers(program, records).await?;
        Ok(program.apply_all(records, &answers))
    }

    /// Finds out what a program has to know to map these records.
    ///
    /// # Errors
    /// What a provider refuses.
    pub async fn answers(&self, program: &Program, records: &[Given<'_>]) -> Result<Answers> {
        let mut answers = Answers::default();
        if program.lookups().is_empty() {
            return Ok(answers);
        }
        // A lookup by what another one gave is asked in the round after it, so that there are as many rounds as
        // lookups stand behind each other.
        loop {
            let mut asked = vec![Vec::new(); program.lookups().len()];
            let mut seen = HashSet::new();
            for given in records {
                for ask in program.asks(*given, &answers) {
                    if let Some(keys) = asked.get_mut(ask.lookup)
                        && seen.insert(ask.clone())
                    {
                        keys.push(ask.key);
                    }
                }
            }
            if seen.is_empty() {
                return Ok(answers);
            }
            for (at, keys) in asked.into_iter().enumerate().filter(|(_, keys)| !keys.is_empty()) {
                self.resolve(program, at, keys, &mut answers).await?;
            }
        }
    }

    async fn resolve(
        &self,
        program: &Program,
        at: usize,
        keys: Vec<LookupKey>,
        answers: &mut Answers,
    ) -> Result<()> {
        let (Some(lookup), Some(side)) = (program.lookups().get(at), self.sides.get(at)) else {
            return Err(Error::bug("a lookup has no records to search"));
        };
        let mut remembered = self.remembered.lock().await;
        let mut open = Vec::new();
        for key in keys {
            let ask = Ask { lookup: at, key };
            match remembered.found.get(&ask) {
                Some(value) => answers.insert(ask.clone(), Answer::Found(Arc::clone(value))),
                None => open.push(ask.key),
            }
        }
        let mut found = find(lookup, side, &open, &self.timezone).await?;
        if lookup.otherwise == NotFound::Create {
            self.create(lookup, side, &open, &mut found).await?;
        }
        for (key, answer) in open.into_iter().zip(found) {
            let ask = Ask { lookup: at, key };
            if let Answer::Found(value) = &answer {
                remembered.keep(&ask, value);
            }
            answers.insert(ask, answer);
        }
        Ok(())
    }
}

/// Finds records by keys: an answer for each key in order.
pub(super) async fn find(
    lookup: &Lookup,
    side: &Side,
    keys: &[LookupKey],
    timezone: &TimeZone,
) -> Result<Vec<Answer>> {
    let mut answers = vec![Answer::None; keys.len()];
    // A value that the field cannot hold is one that no record has.
    let fits = |key: &LookupKey| {
        lookup
            .by
            .iter()
            .zip(key)
            .all(|(field, value)| check::value_reasons(field, value, check::Purpose::Upsert).is_empty())
    };
    let possible: Vec<usize> = (0..keys.len()).filter(|at| fits(&keys[*at])).collect();
    for part in parts(&possible, keys) {
        match search(lookup, side, &part, keys, &mut answers, timezone).await {
            Err(error) if error.kind() == ErrorKind::Invalid && part.len() > 1 => {
                // One of them cannot be asked for: it alone fails.
                for at in part {
                    if let Err(error) = search(lookup, side, &[at], keys, &mut answers, timezone).await {
                        refused(error, &mut answers[at])?;
                    }
                }
            }
            Err(error) => match part.as_slice() {
                [at] => refused(error, &mut answers[*at])?,
                _ => return Err(error),
            },
            Ok(()) => {}
        }
    }
    Ok(answers)
}

fn refused(error: Error, answer: &mut Answer) -> Result<()> {
    if error.kind() != ErrorKind::Invalid {
        return Err(error);
    }
    *answer = Answer::Failed(format!("cannot be looked up ({error})"));
    Ok(())
}

/// Keys by their places, in portions for one query each.
fn parts(places: &[usize], keys: &[LookupKey]) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut letters = 0;
    for at in places {
        let length = keys[*at].iter().map(String::len).sum::<usize>();
        let full = parts.last().is_none_or(|part| part.len() >= KEYS_A_QUERY);
        if full || letters + length > LETTERS_A_QUERY {
            parts.push(Vec::new());
            letters = 0;
        }
        letters += length;
        if let Some(part) = parts.last_mut() {
            part.push(*at);
        }
    }
    parts
}

async fn search(
    lookup: &Lookup,
    side: &Side,
    part: &[usize],
    keys: &[LookupKey],
    answers: &mut [Answer],
    timezone: &TimeZone,
) -> Result<()> {
    let asked: HashMap<&[String], usize> = part.iter().map(|at| (keys[*at].as_slice(), *at)).collect();
    let mut draft = QueryDraft::from_json(&json!({"filter": condition(lookup, part, keys)}))?;
    let mut paths: Vec<FieldPath> = lookup.by.iter().map(|field| FieldPath::parse(&field.name)).collect();
    paths.extend(lookup.give.clone());
    draft.select.clone_from(&paths);
    for name in &side.records.record_type().key.0 {
        let path = FieldPath::parse(name);
        if !draft.select.contains(&path) {
            draft.select.push(path);
        }
    }
    let picker = Picker::new(&paths);
    let prepared = side.records.prepare(&side.cx, &draft, timezone).await?;
    let mut search = Search::start(Arc::clone(&side.records), side.cx.clone(), &prepared);
    let mut seen = 0;
    while let Some(page) = search.next_page().await? {
        for record in page.records {
            let record = record.map_err(|bad| bad.error)?;
            seen += 1;
            if seen > MOST_FOUND {
                return Err(Error::invalid(format!(
                    "more than {MOST_FOUND} records of {} have the values that are looked up",
                    lookup.record_type
                ))
                .with_advice("Look them up by a field whose values are unique"));
            }
            let (key, value) = read(lookup, &picker, &record)?;
            if let Some(at) = asked.get(key.as_slice()) {
                answers[*at] = match &answers[*at] {
                    Answer::None => Answer::Found(value.into()),
                    Answer::Found(_) => Answer::Several(2),
                    Answer::Several(count) => Answer::Several(count + 1),
                    other => other.clone(),
                };
            }
        }
    }
    Ok(())
}

/// The condition that a record has one of the keys. Values go as text, which is read as the field's type, so that
/// numbers keep their digits.
fn condition(lookup: &Lookup, part: &[usize], keys: &[LookupKey]) -> Json {
    let text = |value: &str| serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
    if let [field] = lookup.by.as_slice() {
        let values: Vec<String> =
            part.iter().filter_map(|at| keys[*at].first()).map(|value| text(value)).collect();
        let rule = json!({"field": field.name, "operator": "in", "value": values});
        return json!({"combinator": "and", "rules": [rule]});
    }
    let rules: Vec<Json> = part
        .iter()
        .map(|at| {
            let rules: Vec<Json> = lookup
                .by
                .iter()
                .zip(&keys[*at])
                .map(|(field, value)| json!({"field": field.name, "operator": "=", "value": text(value)}))
                .collect();
            json!({"combinator": "and", "rules": rules})
        })
        .collect();
    json!({"combinator": "or", "rules": rules})
}

/// The key that a record was found by and the value that is taken from it.
fn read(lookup: &Lookup, picker: &Picker, record: &Record) -> Result<(LookupKey, String)> {
    let picked = picker.pick_present(record.text())?;
    let mut key = LookupKey::new();
    for (field, value) in lookup.by.iter().zip(&picked) {
        let value = value.map_or(Value::Null, Value::raw);
        // What is no value of the field's type is no key that was asked for.
        key.push(canonical(field, value).unwrap_or_default());
    }
    let value = match &lookup.give {
        None => quoted(&record.key.to_string()),
        Some(_) => picked.last().copied().flatten().unwrap_or("null").to_owned(),
    };
    Ok((key, value))
}
