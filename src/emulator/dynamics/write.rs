//! Rows created, changed and deleted: defaults, keys, duplicates, cascades.

use http::StatusCode;
use jiff::Timestamp;

use super::cell::Cell;
use super::describe::{Collection, Kind, OnDelete};
use super::errors::{CANNOT_DELETE, DUPLICATE_KEY, DUPLICATES_FOUND, KEY_VIOLATED, Refusal};
use super::payload::{self, ContentIds, Edits};
use super::rows::{Place, Store, folded};
use super::seed::Recipe;
use crate::emulator::chance::mix;
use crate::emulator::json::Json;

/// How deep rows may be nested in one body.
const DEEPEST: usize = 4;

/// What is the same for all writes of one request.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) now: Timestamp,
    pub(super) ids: &'a ContentIds,
    /// Whether duplicate detection rules apply.
    pub(super) detect: bool,
}

pub(super) fn exists_already() -> Refusal {
    Refusal::new(DUPLICATE_KEY, "A record with matching key values already exists.")
        .with_status(StatusCode::PRECONDITION_FAILED)
}

/// Creates a row from a body; `key` holds what the address says of it.
///
/// # Errors
/// The service's own refusals; what was done before one must be rolled back by the caller.
pub(super) fn create(
    store: &mut Store,
    table: usize,
    body: &Json,
    key: Vec<(usize, Cell)>,
    writing: &Writing<'_>,
) -> Result<Place, Refusal> {
    create_at(store, table, body, key, writing, 0)
}

fn create_at(
    store: &mut Store,
    table: usize,
    body: &Json,
    key: Vec<(usize, Cell)>,
    writing: &Writing<'_>,
    depth: usize,
) -> Result<Place, Refusal> {
    let mut edits = payload::read(store, table, body, true, writing.ids)?;
    if depth > DEEPEST {
        return Err(Refusal::payload(&store.about(table).set, "Rows are nested too deep."));
    }
    for (column, cell) in key {
        match cell {
            Cell::Guid(id) if store.about(table).columns[column].kind == Kind::Id => edits.id = Some(id),
            Cell::Guid(id) if store.about(table).columns[column].kind == Kind::Lookup => {
                let targets = store.about(table).columns[column].targets.clone();
                let found = targets
                    .iter()
                    .filter_map(|name| store.model.table(name))
                    .find_map(|to| store.locate(to, id));
                let found = found.ok_or_else(|| Refusal::no_row("parent", &super::guid::text(id)))?;
                edits.set(column, Cell::Ref { table: found.table, id });
            }
            cell => edits.set(column, cell),
        }
    }
    for (column, target, body) in std::mem::take(&mut edits.parents) {
        let parent = create_at(store, target, &body, Vec::new(), writing, depth + 1)?;
        edits.set(column, Cell::Ref { table: target, id: store.id(parent) });
    }
    if edits.id.is_some_and(|id| store.locate(table, id).is_some()) {
        return Err(exists_already());
    }
    defaults(store, table, &mut edits, writing.now)?;
    required(store, table, &edits)?;
    unique(store, table, None, &edits)?;
    if writing.detect {
        duplicates(store, table, None, &edits)?;
    }
    let at = store.append(table, edits.id);
    auto_numbers(store, at, &mut edits);
    for (column, cell) in std::mem::take(&mut edits.cells) {
        store.set(at, column, cell);
    }
    for (collection, other) in std::mem::take(&mut edits.links) {
        connect(store, at, collection, other, true, writing.now);
    }
    for (collection, body) in std::mem::take(&mut edits.children) {
        let child_table = super::evaluate::collection_table(store, collection);
        let (key, link) = match collection {
            Collection::Children { table: child, nav } => {
                let column = store.about(child).navs[nav].column;
                (vec![(column, Cell::Ref { table, id: store.id(at) })], None)
            }
            Collection::Many { .. } => (Vec::new(), Some(collection)),
        };
        let child = create_at(store, child_table, &body, key, writing, depth + 1)?;
        if let Some(collection) = link {
            connect(store, at, collection, child, true, writing.now);
        }
    }
    Ok(at)
}

fn defaults(store: &Store, table: usize, edits: &mut Edits, now: Timestamp) -> Result<(), Refusal> {
    payload::settle_state(store, None, table, edits)?;
    let about = store.about(table);
    let moment = Cell::Instant(now.as_second());
    let user = store.seeded_ref("systemuser", 0);
    let money =
        about.columns.iter().enumerate().any(|(at, column)| {
            column.kind == Kind::Money && edits.get(at).is_some_and(|cell| !cell.is_null())
        });
    for (at, column) in about.columns.iter().enumerate() {
        let given = edits.get(at).is_some_and(|cell| !cell.is_null());
        let value = match (column.recipe, column.name.as_str()) {
            (Recipe::Created | Recipe::Modified, _) => moment.clone(),
            (_, "createdby" | "modifiedby") => user.clone(),
            _ if given => continue,
            (Recipe::Owner, _) => user.clone(),
            (Recipe::OwningUnit, _) => store.seeded_ref("businessunit", 0),
            (Recipe::One, _) if about.name != "transactioncurrency" => {
                Cell::Decimal(rust_decimal::Decimal::ONE)
            }
            (_, "transactioncurrencyid") if money && column.kind == Kind::Lookup => {
                store.seeded_ref("transactioncurrency", 0)
            }
            _ if column.kind == Kind::Boolean => Cell::Boolean(false),
            _ => continue,
        };
        edits.set(at, value);
    }
    if let Some(given) = about.column("overriddencreatedon").and_then(|column| edits.get(column).cloned())
        && !given.is_null()
        && let Some(created) = about.column("createdon")
    {
        edits.set(created, given);
    }
    Ok(())
}

fn required(store: &Store, table: usize, edits: &Edits) -> Result<(), Refusal> {
    let about = store.about(table);
    let lacking = about.columns.iter().enumerate().find(|(at, column)| {
        column.required
            && column.shown
            && column.create
            && column.kind != Kind::Id
            && !column.kind.is_choice()
            && column.auto_number.is_none()
            && edits.get(*at).is_none_or(Cell::is_null)
    });
    lacking.map_or(Ok(()), |(_, column)| Err(payload::missing(column, &about.name)))
}

/// Refuses values of an alternate key that another row has.
fn unique(store: &Store, table: usize, own: Option<Place>, edits: &Edits) -> Result<(), Refusal> {
    let about = store.about(table);
    for key in about.keys.iter().filter(|key| key.active) {
        if !key.columns.iter().any(|column| edits.get(*column).is_some()) {
            continue;
        }
        let value = |column: &usize| {
            let stored = || own.map_or(Cell::Null, |at| store.cell(at, *column));
            edits.get(*column).cloned().unwrap_or_else(stored)
        };
        let wanted: Vec<(usize, Cell)> = key.columns.iter().map(|column| (*column, value(column))).collect();
        if wanted.iter().any(|(_, cell)| cell.is_null()) {
            continue;
        }
        if store.find_by(table, &wanted).iter().any(|at| Some(*at) != own) {
            let columns: Vec<&str> =
                key.columns.iter().map(|column| about.columns[*column].label.as_str()).collect();
            return Err(Refusal::new(
                KEY_VIOLATED,
                format!(
                    "Entity Key {} violated. A record with the same value for {} already exists. A duplicate record cannot \
                     be created. Select one or more unique values and try again.",
                    key.name,
                    columns.join(",")
                ),
            )
            .with_status(StatusCode::PRECONDITION_FAILED));
        }
    }
    Ok(())
}

/// The rules: accounts with one name, contacts with one e-mail address.
fn duplicates(store: &Store, table: usize, own: Option<Place>, edits: &Edits) -> Result<(), Refusal> {
    let about = store.about(table);
    let column = match about.name.as_str() {
        "account" => about.column("name"),
        "contact" => about.column("emailaddress1"),
        _ => None,
    };
    let Some((column, wanted)) = column.and_then(|column| Some((column, edits.get(column)?.as_text()?)))
    else {
        return Ok(());
    };
    let wanted = folded(wanted);
    let twin = store.live(table, 0).find(|at| {
        Some(*at) != own && store.cell(*at, column).as_text().is_some_and(|text| folded(text) == wanted)
    });
    match twin {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            DUPLICATES_FOUND,
            "A record was not created or updated because a duplicate of the current record already exists.",
        )
        .with_status(StatusCode::PRECONDITION_FAILED)),
    }
}

/// `CAS-{SEQNUM:5}-{RANDSTRING:6}` filled in where nothing was given.
fn auto_numbers(store: &Store, at: Place, edits: &mut Edits) {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let about = store.about(at.table);
    for (number, column) in about.columns.iter().enumerate() {
        let Some(format) = &column.auto_number else { continue };
        if edits.get(number).is_some_and(|cell| !cell.is_null()) {
            continue;
        }
        let mut out = String::new();
        let mut rest = format.as_str();
        while let Some((before, tail)) = rest.split_once('{') {
            out.push_str(before);
            let (mark, tail) = tail.split_once('}').unwrap_or((tail, ""));
            let (kind, width) = mark.split_once(':').unwrap_or((mark, "1"));
            let width = width.parse::<usize>().unwrap_or(1).min(20);
            if kind == "SEQNUM" {
                out.push_str(&format!("{:0width$}", at.index));
            } else {
                let hash = mix(store.seed ^ at.index);
                out.extend(
                    (0..width).map(|turn| char::from(LETTERS[(mix(hash ^ turn as u64) % 32) as usize])),
                );
            }
            rest = tail;
        }
        out.push_str(rest);
        edits.set(number, Cell::text(out));
    }
}

/// Changes a row.
///
/// # Errors
/// As [`create`].
pub(super) fn update(
    store: &mut Store,
    at: Place,
    body: &Json,
    writing: &Writing<'_>,
) -> Result<(), Refusal> {
    let mut edits = payload::read(store, at.table, body, false, writing.ids)?;
    payload::settle_state(store, Some(at), at.table, &mut edits)?;
    unique(store, at.table, Some(at), &edits)?;
    if writing.detect {
        duplicates(store, at.table, Some(at), &edits)?;
    }
    for (column, cell) in std::mem::take(&mut edits.cells) {
        store.set(at, column, cell);
    }
    for (collection, other) in std::mem::take(&mut edits.links) {
        connect(store, at, collection, other, true, writing.now);
    }
    changed(store, at, writing.now);
    Ok(())
}

/// Marks a row as changed now.
pub(super) fn changed(store: &mut Store, at: Place, now: Timestamp) {
    let about = store.about(at.table);
    let (on, by) = (about.column("modifiedon"), about.column("modifiedby"));
    if let Some(on) = on {
        store.set(at, on, Cell::Instant(now.as_second()));
    }
    if let Some(by) = by {
        let user = store.seeded_ref("systemuser", 0);
        store.set(at, by, user);
    }
    store.touch(at);
}

/// Deletes a row and does to those that point to it what their relationships say.
///
/// # Errors
/// Rows that forbid it.
pub(super) fn delete(store: &mut Store, at: Place, now: Timestamp) -> Result<(), Refusal> {
    if !store.is_live(at) {
        return Ok(());
    }
    let wanted = Cell::Ref { table: at.table, id: store.id(at) };
    let mut doomed = Vec::new();
    let mut cleared = Vec::new();
    for (child, number) in store.model.children(at.table) {
        let nav = &store.about(child).navs[number];
        let (column, on_delete) = (nav.column, nav.on_delete);
        if on_delete == OnDelete::Keep {
            continue;
        }
        for row in store.live(child, 0) {
            if row == at || store.cell(row, column) != wanted {
                continue;
            }
            match on_delete {
                OnDelete::Restrict => {
                    return Err(Refusal::new(
                        CANNOT_DELETE,
                        format!(
                            "The record cannot be deleted because it is associated with another record: {} {}.",
                            store.about(child).name,
                            super::guid::text(store.id(row))
                        ),
                    )
                    .with_status(StatusCode::METHOD_NOT_ALLOWED));
                }
                OnDelete::Cascade => doomed.push(row),
                OnDelete::Clear | OnDelete::Keep => cleared.push((row, column)),
            }
        }
    }
    store.delete(at, now);
    for row in doomed {
        delete(store, row, now)?;
    }
    for (row, column) in cleared {
        if store.is_live(row) {
            store.set(row, column, Cell::Null);
            changed(store, row, now);
        }
    }
    Ok(())
}

/// Connects a row with one of a collection, or takes it out; false when it was so already.
pub(super) fn connect(
    store: &mut Store,
    at: Place,
    collection: Collection,
    other: Place,
    on: bool,
    now: Timestamp,
) -> bool {
    match collection {
        Collection::Many { relation, side } => {
            let (own, theirs) = (store.id(at), store.id(other));
            store.link(relation, if side == 0 { (own, theirs) } else { (theirs, own) }, on, now)
        }
        Collection::Children { table, nav } => {
            let column = store.about(table).navs[nav].column;
            let value = if on { Cell::Ref { table: at.table, id: store.id(at) } } else { Cell::Null };
            store.set(other, column, value);
            store.touch(other);
            true
        }
    }
}
