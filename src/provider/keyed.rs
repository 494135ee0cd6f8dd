//! Reading by key with queries for many keys: each key has an answer of its own, in the order of the keys.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::record::{Key, KeyFields, Record, RowError};

/// How one key is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Its text in a query.
    pub literal: String,
    /// The name under which its record is handed in.
    pub name: String,
}

/// Keys that are looked for, and what was found.
#[derive(Debug)]
pub struct Keyed<'a> {
    keys: &'a [Key],
    sought: Vec<Result<Sought>>,
    found: HashMap<String, Vec<Record>>,
    unreadable: Option<Error>,
}

impl<'a> Keyed<'a> {
    /// Looks for these keys. A key that cannot exist or cannot be written is an error of its own.
    pub fn new(keys: &'a [Key], seek: impl Fn(&Key) -> Result<Sought>) -> Self {
        let sought =
            keys.iter().map(|key| seek(key).map_err(|error| error.with_key(key.to_string()))).collect();
        Self { keys, sought, found: HashMap::new(), unreadable: None }
    }

    /// What to ask for, each literal once.
    #[must_use]
    pub fn literals(&self) -> Vec<String> {
        let mut out: Vec<String> =
            self.sought.iter().flatten().map(|sought| sought.literal.clone()).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Takes what came. `named` gives each record its name; one that nobody asked for has none.
    pub fn take(
        &mut self,
        records: impl IntoIterator<Item = Result<Record, RowError>>,
        named: impl Fn(Record) -> Option<(String, Record)>,
    ) {
        for record in records {
            match record.map(&named) {
                Ok(Some((name, record))) => {
                    let same = self.found.entry(name).or_default();
                    // A record that comes twice is not two.
                    same.retain(|other| other.key != record.key);
                    same.push(record);
                }
                Ok(None) => {}
                Err(row) => self.unreadable = Some(row.error),
            }
        }
    }

    /// The answer to each key. While a record could not be read, no key is said to have none.
    #[must_use]
    pub fn answers(self, by: &KeyFields) -> Vec<Result<Option<Record>>> {
        let Self { keys, sought, found, unreadable } = self;
        let answers = keys.iter().zip(sought).map(|(key, sought)| {
            match (found.get(&sought?.name).map(Vec::as_slice), &unreadable) {
                (Some([one]), _) => Ok(Some(one.clone())),
                (Some([_, _, ..]), _) => Err(several(by, key)),
                (_, Some(error)) => Err(error.clone()),
                (_, None) => Ok(None),
            }
        });
        answers.collect()
    }
}

/// The error for a key that several records have.
#[must_use]
pub fn several(by: &KeyFields, key: &Key) -> Error {
    Error::new(ErrorKind::Conflict, format!("several records have {by} {key}"))
        .with_code("several_records")
        .with_key(key.to_string())
        .with_advice("Use a key that is unique, or the record's id")
}
