//! Which row an address means: by primary key or by an alternate key.

use http::StatusCode;

use super::cell::Cell;
use super::errors::{KEY_NOT_DEFINED, NO_SUCH_KEY_ROW, QUERY, Refusal};
use super::evaluate;
use super::guid;
use super::odata::Literal;
use super::request::{self, KeyPart, Segment};
use super::rows::{Place, Store};

/// What a key in an address names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Named {
    /// The primary key.
    Id(u128),
    /// The columns of an alternate key.
    Key(Vec<(usize, Cell)>),
}

impl Named {
    /// Reads the key of a segment.
    ///
    /// # Errors
    /// Keys that the table does not have.
    pub(super) fn read(store: &Store, table: usize, key: &[KeyPart]) -> Result<Self, Refusal> {
        let about = store.about(table);
        let primary = &about.columns[about.id].name;
        if let [KeyPart { name, value }] = key
            && name.as_ref().is_none_or(|name| name == primary)
        {
            return match value {
                Literal::Guid(id) => Ok(Self::Id(*id)),
                _ => Err(Refusal::new(
                    QUERY,
                    format!("Error in query syntax: the key of '{}' is a guid.", about.set),
                )),
            };
        }
        let undefined = || {
            Refusal::new(
                KEY_NOT_DEFINED,
                format!("The specified key attributes are not a defined key for the {} entity", about.name),
            )
        };
        let mut values = Vec::new();
        for KeyPart { name, value } in key {
            let name = name.as_deref().ok_or_else(undefined)?;
            let column = about.property(name).ok_or_else(undefined)?;
            let cell = match value {
                Literal::Null => Cell::Null,
                literal => evaluate::value(&about.columns[column], literal).ok_or_else(|| {
                    Refusal::new(
                        QUERY,
                        format!("The value of the key property '{name}' does not fit its type."),
                    )
                })?,
            };
            values.push((column, cell));
        }
        let mut columns: Vec<usize> = values.iter().map(|(column, _)| *column).collect();
        columns.sort_unstable();
        let is_key = about.keys.iter().filter(|key| key.active).any(|key| {
            let mut own = key.columns.clone();
            own.sort_unstable();
            own == columns
        });
        if is_key { Ok(Self::Key(values)) } else { Err(undefined()) }
    }

    /// The live row, when there is one.
    pub(super) fn find(&self, store: &Store, table: usize) -> Option<Place> {
        match self {
            Self::Id(id) => store.locate(table, *id),
            Self::Key(values) => store.find_by(table, values).into_iter().next(),
        }
    }

    /// What is said when there is none.
    pub(super) fn missing(&self, store: &Store, table: usize) -> Refusal {
        let name = &store.about(table).name;
        match self {
            Self::Id(id) => Refusal::no_row(name, &guid::text(*id)),
            Self::Key(_) => Refusal::new(
                NO_SUCH_KEY_ROW,
                format!("A record with the specified key values does not exist in {name} entity"),
            )
            .with_status(StatusCode::NOT_FOUND),
        }
    }
}

/// The table and row that a text such as `/contacts(guid)` or a whole address means.
///
/// # Errors
/// What is no address of a row, and rows that do not exist.
pub(super) fn resolve(store: &Store, text: &str) -> Result<Place, Refusal> {
    let path = text
        .split_once("/api/data/")
        .map_or(text, |(_, rest)| rest.split_once('/').map_or("", |(_, rest)| rest));
    let segment = request::segment(path.trim_matches('/'))?;
    let (table, named) = named(store, &segment)?;
    named.find(store, table).ok_or_else(|| named.missing(store, table))
}

/// The table and key of a segment.
///
/// # Errors
/// Sets that do not exist, segments without a key.
pub(super) fn named(store: &Store, segment: &Segment) -> Result<(usize, Named), Refusal> {
    let table = store.model.set(&segment.name).ok_or_else(|| Refusal::no_segment(&segment.name))?;
    let key = segment.key.as_ref().ok_or_else(|| {
        Refusal::new(QUERY, format!("Invalid URI: '{}' does not name one row.", segment.name))
    })?;
    Ok((table, Named::read(store, table, key)?))
}
