//! Records that a mapping finds by values. It is the only thing of a mapping that asks a provider, so it is kept apart:
//! a program tells what it would have to know ([`Program::asks`](super::Program::asks)), [`Lookups`] finds that out for
//! many records at once, and the program then runs on the [`Answers`] without input or output.

mod create;
mod resolve;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::document::{NotFound, Several};
use super::value::{Value, quoted};
use crate::error::Result;
use crate::record::number::Number;
use crate::record::value::ValueKind;
use crate::record::{Field, FieldPath};

pub use resolve::{Creating, Lookups};

/// Most digits of a number that a record is found by.
const MOST_DIGITS: usize = 1000;

/// Where a mapping finds records, and by what.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The connection.
    pub connection: String,
    /// Name of the record type.
    pub record_type: String,
    /// The fields that a record is found by, in the order of a key's values.
    pub by: Vec<Field>,
    /// The field whose value is taken; the record's key when there is none.
    pub give: Option<FieldPath>,
    /// What becomes of a key that no record has.
    pub otherwise: NotFound,
    /// What becomes of a key that several records have.
    pub several: Several,
    /// Further values of a record that is created, as JSON text by field.
    pub set: Vec<(String, String)>,
}

/// Values that a record is found by, as JSON text: numbers in plain digits, instants in one zone.
pub type LookupKey = Vec<String>;

/// Something that a program has to know before it can map a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Which of the program's lookups.
    pub lookup: usize,
    /// The values that the record has.
    pub key: LookupKey,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One record has the values; this is the value taken from it, as JSON text.
    Found(Arc<str>),
    /// No record has them.
    None,
    /// So many records have them.
    Several(u64),
    /// No record has them, and a run would create one.
    WouldCreate,
    /// It cannot be told, or not created.
    Failed(String),
}

/// What is known of a record that a lookup creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// When it was first asked for.
    pub since: Timestamp,
    /// Whether it may have been asked for before.
    pub sent: bool,
    /// Its key, once that is known.
    pub key: Option<String>,
}

/// Where a run keeps which records its lookups create: before it asks for them, and once they are there.
#[async_trait]
pub trait Diary: Send + Sync + std::fmt::Debug {
    /// The run, of whose name the marks of the records are made.
    fn run(&self) -> &str;

    /// Keeps that these records are about to be created, durably, and tells what is known of each.
    ///
    /// # Errors
    /// Local, when it cannot be kept.
    async fn begin(&self, names: &[String], now: Timestamp) -> Result<Vec<Noted>>;

    /// Keeps the keys of records that are there, by their names.
    ///
    /// # Errors
    /// Local, when it cannot be kept.
    async fn made(&self, made: &[(String, String)]) -> Result<()>;
}

/// What is known of records by their values.
#[derive(Debug, Clone, Default)]
pub struct Answers(Vec<HashMap<LookupKey, Answer>>);

impl Answers {
    /// Remembers an answer.
    pub fn insert(&mut self, ask: Ask, answer: Answer) {
        if self.0.len() <= ask.lookup {
            self.0.resize_with(ask.lookup + 1, HashMap::new);
        }
        if let Some(answers) = self.0.get_mut(ask.lookup) {
            answers.insert(ask.key, answer);
        }
    }

    /// The answer to a question, when it is known.
    #[must_use]
    pub fn get(&self, lookup: usize, key: &[String]) -> Option<&Answer> {
        self.0.get(lookup)?.get(key)
    }
}

impl Lookup {
    /// The lookup and a key of it, in a message: `Account with Name = "x"`.
    pub(super) fn said(&self, key: &[String]) -> String {
        let pairs: Vec<String> =
            self.by.iter().zip(key).map(|(field, value)| format!("{} = {value}", field.name)).collect();
        format!("{} with {}", self.record_type, pairs.join(" and "))
    }
}

/// A value in the one form by which it is compared.
pub(super) fn canonical(field: &Field, value: Value<'_>) -> Result<String, String> {
    let plain = |text: &str| Number::parse(text).and_then(|number| number.plain(MOST_DIGITS));
    match field.field_type.value_kind() {
        Some(ValueKind::Number) => {
            plain(&value.number()?).ok_or_else(|| format!("has more than {MOST_DIGITS} digits"))
        }
        Some(ValueKind::Boolean) => value.text().map(std::borrow::Cow::into_owned),
        Some(ValueKind::Instant) => {
            let text = value.text()?;
            let instant = text.parse::<jiff::Timestamp>();
            Ok(quoted(&instant.map_or_else(|_| text.into_owned(), |instant| instant.to_string())))
        }
        _ => value.text().map(|text| quoted(&text)),
    }
}
