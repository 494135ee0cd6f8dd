//! Paths of a statement: from a row over its parents to a value.

use super::cell::Cell;
use super::dates::DatePart;
use super::describe::Field;
use super::errors::Refusal;
use super::rows::{Place, Store};
use super::statement::{Path, Source};

/// How many parents a path may climb.
const MOST_PARENTS: usize = 5;

/// A path from a row to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// Reference fields to follow, each in the table reached so far.
    pub(super) hops: Vec<Hop>,
    pub(super) leaf: Leaf,
    /// Not the date itself but a part of it.
    pub(super) part: Option<DatePart>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hop {
    pub(super) field: usize,
    /// The table reached; `None` when it is known only for each row.
    pub(super) table: Option<usize>,
    /// The relationship's own spelling.
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    Field(usize),
    /// A field of whatever the reference points to, by name.
    Named(String),
    /// The name of the type that the reference points to.
    TypeName,
    /// A value of a group of rows.
    Slot(usize),
}

/// Fields of the type `Name`, which stands for the targets of a polymorphic reference.
const NAME_FIELDS: [&str; 12] = [
    "Id",
    "Name",
    "Type",
    "FirstName",
    "LastName",
    "Email",
    "Phone",
    "Title",
    "Username",
    "Alias",
    "IsActive",
    "ProfileId",
];

impl Route {
    /// The value at the end of the path; null when a parent is missing.
    pub(super) fn value(&self, store: &Store, from: Place) -> Cell {
        let mut at = from;
        for hop in &self.hops {
            match follow(store, at, hop) {
                Some(next) => at = next,
                None => return Cell::Null,
            }
        }
        let cell = match &self.leaf {
            Leaf::Field(field) => store.cell(at, *field),
            Leaf::Named(name) => {
                store.object(at.table).field(name).map_or(Cell::Null, |field| store.cell(at, field))
            }
            Leaf::TypeName => Cell::text(store.object(at.table).name.clone()),
            Leaf::Slot(_) => Cell::Null,
        };
        match self.part {
            Some(part) => part.of(&cell),
            None => cell,
        }
    }
}

/// The parent row that a reference points to.
pub(super) fn follow(store: &Store, at: Place, hop: &Hop) -> Option<Place> {
    let parent = store.cell(at, hop.field);
    store.locate(parent.as_text()?).filter(|parent| store.is_live(*parent) || !store.is_live(at))
}

/// Finds the way of a path.
///
/// # Errors
/// INVALID_FIELD with the place in the statement.
pub(super) fn route(
    store: &Store,
    source: Source<'_>,
    table: usize,
    alias: Option<&str>,
    path: &Path,
) -> Result<Route, Refusal> {
    let mut parts = path.parts.as_slice();
    let object = store.object(table);
    if parts.len() > 1
        && let Some(first) = parts.first()
        && (alias.is_some_and(|alias| alias.eq_ignore_ascii_case(first))
            || (object.relationship(first).is_none() && object.name.eq_ignore_ascii_case(first)))
    {
        parts = &parts[1..];
    }
    let Some((last, parents)) = parts.split_last() else {
        return Err(source.refuse("MALFORMED_QUERY", path.at, "a field name is missing"));
    };
    if parents.len() > MOST_PARENTS {
        return Err(source.refuse(
            "INVALID_FIELD",
            path.at,
            &format!("SOQL supports at most {MOST_PARENTS} levels of child-to-parent relationships"),
        ));
    }
    let mut hops: Vec<Hop> = Vec::new();
    let mut current = Some(table);
    for part in parents {
        let here = current.map(|table| store.object(table));
        let found = here.and_then(|object| object.relationship(part).map(|field| (object, field)));
        let (Some((object, field)), Some(from)) = (found, current) else {
            return Err(unknown_relationship(source, path, part));
        };
        let about = &object.fields[field];
        let targets = store.targets(from, field);
        let next = if about.polymorphic || targets.len() != 1 { None } else { targets.first().copied() };
        if targets.is_empty() {
            return Err(unknown_relationship(source, path, part));
        }
        let name = about.relationship.clone().unwrap_or_default();
        hops.push(Hop { field, table: next, name });
        current = next;
    }
    let leaf = match current {
        Some(table) => Leaf::Field(
            store
                .object(table)
                .field(last)
                .ok_or_else(|| unknown_field(source, path.at, last, &store.object(table).name))?,
        ),
        None => match NAME_FIELDS.iter().find(|name| name.eq_ignore_ascii_case(last)) {
            Some(&"Type") => Leaf::TypeName,
            Some(name) => Leaf::Named((*name).to_owned()),
            None => return Err(unknown_field(source, path.at, last, "Name")),
        },
    };
    Ok(Route { hops, leaf, part: None })
}

fn unknown_relationship(source: Source<'_>, path: &Path, part: &str) -> Refusal {
    source.refuse(
        "INVALID_FIELD",
        path.at,
        &format!(
            "Didn't understand relationship '{part}' in field path. If you are attempting to use a custom relationship, \
             be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe \
             call for the appropriate names."
        ),
    )
}

pub(super) fn unknown_field(source: Source<'_>, at: usize, name: &str, entity: &str) -> Refusal {
    source.refuse(
        "INVALID_FIELD",
        at,
        &format!(
            "No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append \
             the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
        ),
    )
}

/// What is known of the field at the end of a route; a field of `Name` is told by any target that has it.
pub(super) fn leaf_field<'a>(store: &'a Store, table: usize, route: &Route) -> Option<&'a Field> {
    let mut at = table;
    let mut targets: &[usize] = &[];
    for hop in &route.hops {
        targets = store.targets(at, hop.field);
        match hop.table {
            Some(next) => at = next,
            None => break,
        }
    }
    match &route.leaf {
        Leaf::Field(field) => store.object(at).fields.get(*field),
        Leaf::Named(name) => {
            let objects = targets.iter().map(|table| store.object(*table));
            objects
                .into_iter()
                .find_map(|object| object.field(name).and_then(|field| object.fields.get(field)))
        }
        Leaf::Slot(_) => None,
        // A type's name compares like any name of the target.
        Leaf::TypeName => {
            let objects = targets.iter().map(|table| store.object(*table));
            objects
                .into_iter()
                .find_map(|object| object.name_field().and_then(|field| object.fields.get(field)))
        }
    }
}
