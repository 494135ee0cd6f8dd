//! Bodies of writes: names and values are checked against the table and become cells.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::address;
use super::cell::Cell;
use super::describe::{Choice, Collection, Column, Kind};
use super::errors::{DECIMAL_RANGE, INTEGER_RANGE, INVALID_ARGUMENT, QUERY, Refusal, STATE_STATUS, TOO_LONG};
use super::evaluate::{self, decimal, seconds};
use super::guid;
use super::rows::{Place, Store, is_derived};
use crate::emulator::json::Json;

/// What is out of the range of a choice.
const CHOICE_RANGE: &str = "0x8004431a";
/// The first day that the service can store.
const FIRST_DAY: i64 = -6_847_804_800;

/// Rows that earlier requests of a change set made, by their Content-ID.
pub(super) type ContentIds = HashMap<String, Place>;

/// What a body asks for.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// The primary key, when the client chose it.
    pub(super) id: Option<u128>,
    pub(super) cells: Vec<(usize, Cell)>,
    /// Rows to link through a collection.
    pub(super) links: Vec<(Collection, Place)>,
    /// Parents to create first: lookup column, table, body.
    pub(super) parents: Vec<(usize, usize, Json)>,
    /// Children to create after.
    pub(super) children: Vec<(Collection, Json)>,
}

impl Edits {
    pub(super) fn get(&self, column: usize) -> Option<&Cell> {
        self.cells.iter().rev().find(|(own, _)| *own == column).map(|(_, cell)| cell)
    }

    pub(super) fn set(&mut self, column: usize, cell: Cell) {
        self.cells.retain(|(own, _)| *own != column);
        self.cells.push((column, cell));
    }
}

/// Reads the body of a create or an update.
///
/// # Errors
/// Unknown properties, values of the wrong type, out of range or too long.
pub(super) fn read(
    store: &Store,
    table: usize,
    body: &Json,
    create: bool,
    ids: &ContentIds,
) -> Result<Edits, Refusal> {
    let about = store.about(table);
    let Json::Object(members) = body else {
        return Err(Refusal::payload(
            &about.set,
            "An unexpected node was found when reading the body: an object was expected.",
        ));
    };
    let mut out = Edits::default();
    for (name, value) in members {
        if let Some(nav) = name.strip_suffix("@odata.bind") {
            bind(store, table, nav, value, ids, &mut out)?;
        } else if name.contains('@') {
            continue;
        } else if let Some(column) = about.property(name) {
            let known = &about.columns[column];
            if known.kind == Kind::Lookup {
                return Err(Refusal::new(
                    QUERY,
                    "CRM do not support direct update of Entity Reference properties, Use \
                    Navigation properties instead.",
                ));
            }
            if known.kind == Kind::Id {
                let id = value.as_text().and_then(guid::parse);
                out.id = Some(id.ok_or_else(|| not_of(&about.set, value, "Edm.Guid"))?);
                continue;
            }
            let cell = cell(known, &about.name, &about.set, value)?;
            // What nobody may write is left out without a word.
            if !is_derived(known) && if create { known.create } else { known.update } {
                out.set(column, cell);
            }
        } else {
            nested(store, table, name, value, create, &mut out)?;
        }
    }
    Ok(out)
}

/// `Cannot convert the literal 'x' to the expected type 'Edm.Int32'.`
fn not_of(set: &str, value: &Json, edm: &str) -> Refusal {
    let mut shown = value.shown();
    shown.truncate(shown.char_indices().nth(100).map_or(shown.len(), |(at, _)| at));
    Refusal::payload(set, &format!("Cannot convert the literal '{shown}' to the expected type '{edm}'."))
}

fn bind(
    store: &Store,
    table: usize,
    nav: &str,
    value: &Json,
    ids: &ContentIds,
    out: &mut Edits,
) -> Result<(), Refusal> {
    let about = store.about(table);
    if let Some(known) = about.nav(nav) {
        let column = known.column;
        let cell = match value {
            Json::Null => Cell::Null,
            Json::Text(text) => {
                let at = target(store, text, ids)?;
                if !store.model.reaches(known, at.table) {
                    let inner = format!(
                        "A record of type '{}' cannot be bound to the navigation property '{nav}'.",
                        store.about(at.table).name
                    );
                    return Err(Refusal::payload(&about.set, &inner));
                }
                Cell::Ref { table: at.table, id: store.id(at) }
            }
            other => return Err(not_of(&about.set, other, "Edm.String")),
        };
        if cell.is_null() && about.columns[column].required {
            return Err(missing(&about.columns[column], &about.name));
        }
        out.set(column, cell);
        return Ok(());
    }
    if let (Some(collection), Json::List(list)) = (store.model.collection(table, nav), value) {
        for one in list {
            let text = one.as_text().ok_or_else(|| not_of(&about.set, one, "Edm.String"))?;
            out.links.push((collection, target(store, text, ids)?));
        }
        return Ok(());
    }
    Err(Refusal::payload(
        &about.set,
        &format!(
            "An undeclared property '{nav}' which only has property annotations in the payload but no property value was \
             found in the payload. In OData, only declared navigation properties and declared named streams can be \
             represented as properties without values."
        ),
    ))
}

/// The row that a text names: an address, or the Content-ID of an earlier request.
pub(super) fn target(store: &Store, text: &str, ids: &ContentIds) -> Result<Place, Refusal> {
    if let Some(id) = text.trim_start_matches('/').strip_prefix('$') {
        return ids.get(id).copied().ok_or_else(|| {
            Refusal::new(QUERY, format!("Content-ID Reference: '${id}' does not exist in the batch context."))
        });
    }
    address::resolve(store, text)
}

fn nested(
    store: &Store,
    table: usize,
    name: &str,
    value: &Json,
    create: bool,
    out: &mut Edits,
) -> Result<(), Refusal> {
    let about = store.about(table);
    match (about.nav(name), value) {
        (Some(nav), Json::Null) if create => {
            out.set(nav.column, Cell::Null);
            return Ok(());
        }
        (Some(nav), Json::Object(_)) if create => {
            if let Some(target) = store.model.table(&nav.target) {
                out.parents.push((nav.column, target, value.clone()));
                return Ok(());
            }
        }
        _ => {}
    }
    if let (Some(collection), Json::List(list), true) = (store.model.collection(table, name), value, create) {
        out.children.extend(list.iter().map(|one| (collection, one.clone())));
        return Ok(());
    }
    let mut refusal = Refusal::payload(
        &about.set,
        &format!(
            "Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{}'. ---> \
             Microsoft.OData.ODataException: Does not support untyped value in non-open type.",
            about.name
        ),
    );
    refusal.message =
        refusal.message.replacen("Microsoft.OData.ODataException", "Microsoft.Crm.CrmException", 1);
    Err(refusal)
}

pub(super) fn missing(column: &Column, table: &str) -> Refusal {
    Refusal::new(
        INVALID_ARGUMENT,
        format!("The property '{}' of '{table}' is required and may not be null.", column.name),
    )
}

fn out_of_range(code: &'static str, value: &str, column: &Column, table: &str, accepted: &str) -> Refusal {
    Refusal::new(
        code,
        format!(
            "A validation error occurred. The value {value} of '{}' on record of type '{table}' is outside the valid \
             range. Accepted Values: {accepted}",
            column.name
        ),
    )
}

/// A JSON value as a column keeps it.
fn cell(column: &Column, table: &str, set: &str, value: &Json) -> Result<Cell, Refusal> {
    if *value == Json::Null {
        return if column.required && !column.kind.is_choice() {
            Err(missing(column, table))
        } else {
            Ok(Cell::Null)
        };
    }
    let wrong = || not_of(set, value, column.kind.edm().unwrap_or("Edm.String"));
    let range = || {
        let shown =
            |limit: Option<Decimal>| limit.map_or_else(String::new, |limit| limit.normalize().to_string());
        format!("{} to {}", shown(column.low), shown(column.high))
    };
    let outside = |number: Decimal| {
        column.low.is_some_and(|low| number < low) || column.high.is_some_and(|high| number > high)
    };
    Ok(match (column.kind, value) {
        (Kind::Text | Kind::Memo, Json::Text(text)) => {
            let length = text.encode_utf16().count();
            if column.max_length > 0 && length > column.max_length {
                return Err(Refusal::new(
                    TOO_LONG,
                    format!(
                        "A validation error occurred. The length of the '{}' \
                    attribute of the '{table}' entity exceeded the maximum allowed length of '{}'.",
                        column.name, column.max_length
                    ),
                ));
            }
            Cell::text(text.clone())
        }
        (Kind::Image, Json::Text(text)) => Cell::text(text.clone()),
        (Kind::Integer, Json::Number(text)) => {
            let number: i32 = text.parse().map_err(|_| wrong())?;
            if outside(Decimal::from(number)) {
                return Err(out_of_range(INTEGER_RANGE, text, column, table, &range()));
            }
            Cell::Integer(i64::from(number))
        }
        (Kind::BigInt, Json::Number(text) | Json::Text(text)) => {
            Cell::Integer(text.parse().map_err(|_| wrong())?)
        }
        (Kind::Decimal | Kind::Money, Json::Number(text)) => {
            let number = decimal(text).ok_or_else(wrong)?;
            if outside(number) {
                return Err(out_of_range(DECIMAL_RANGE, text, column, table, &range()));
            }
            Cell::Decimal(rounded(number, column.precision))
        }
        (Kind::Double, Json::Number(text)) => {
            let number: f64 = text.parse().map_err(|_| wrong())?;
            let exact = decimal(text).ok_or_else(wrong)?;
            if outside(exact) {
                return Err(out_of_range(DECIMAL_RANGE, text, column, table, &range()));
            }
            Cell::Double(rounded(exact, column.precision).to_string().parse().unwrap_or(number))
        }
        (Kind::Boolean, Json::Boolean(on)) => Cell::Boolean(*on),
        (Kind::Picklist | Kind::State | Kind::Status, Json::Number(text)) => {
            let number: i64 = text.parse().map_err(|_| wrong())?;
            chosen(column, table, number)?;
            Cell::Integer(number)
        }
        (Kind::Multi, Json::Text(text)) => {
            let values = evaluate::choices(text).ok_or_else(wrong)?;
            for value in &values {
                chosen(column, table, *value)?;
            }
            if values.is_empty() { Cell::Null } else { Cell::Choices(values) }
        }
        (Kind::Date, Json::Text(text)) => {
            let day: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
            if text.contains('T') {
                return Err(wrong());
            }
            in_time(evaluate::midnight(day), column, table)?;
            Cell::Date(day)
        }
        (Kind::DateTime, Json::Text(text)) => {
            let moment = seconds(text).ok_or_else(wrong)?;
            in_time(moment, column, table)?;
            Cell::Instant(moment)
        }
        (Kind::Guid, Json::Text(text)) => Cell::Guid(guid::parse(text).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    })
}

fn chosen(column: &Column, table: &str, value: i64) -> Result<(), Refusal> {
    if column.options.iter().any(|option| option.value == value) {
        return Ok(());
    }
    let accepted: Vec<String> = column.options.iter().map(|option| option.value.to_string()).collect();
    Err(out_of_range(CHOICE_RANGE, &value.to_string(), column, table, &accepted.join(",")))
}

fn in_time(moment: i64, column: &Column, table: &str) -> Result<(), Refusal> {
    if moment >= FIRST_DAY {
        return Ok(());
    }
    let accepted = "1753-01-01T00:00:00Z to 9999-12-30T23:59:59Z";
    Err(out_of_range("0x80040239", &super::cell::instant(moment), column, table, accepted))
}

/// Rounded half up to a column's precision.
fn rounded(number: Decimal, places: u32) -> Decimal {
    number.round_dp_with_strategy(places, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
}

/// Completes and checks state and status: one alone brings the other along or must fit what is there.
///
/// # Errors
/// A status that does not belong to the state.
pub(super) fn settle_state(
    store: &Store,
    at: Option<Place>,
    table: usize,
    edits: &mut Edits,
) -> Result<(), Refusal> {
    let about = store.about(table);
    let of = |kind: Kind| about.columns.iter().position(|column| column.kind == kind);
    let (Some(state), Some(status)) = (of(Kind::State), of(Kind::Status)) else { return Ok(()) };
    let given = |column: usize| edits.get(column).and_then(Cell::as_integer);
    let current = at.and_then(|at| store.cell(at, state).as_integer());
    let (new_state, new_status) = (given(state), given(status));
    let states: &[Choice] = &about.columns[state].options;
    let statuses: &[Choice] = &about.columns[status].options;
    let default_of = |value: i64| {
        let named =
            states.iter().find(|option| option.value == value).and_then(|option| option.default_status);
        named
            .or_else(|| statuses.iter().find(|option| option.state == Some(value)).map(|option| option.value))
    };
    match (new_state, new_status) {
        (None, None) => {
            if at.is_none() {
                let first = states.first().map(|option| option.value);
                edits.set(state, first.map_or(Cell::Null, Cell::Integer));
                edits.set(status, first.and_then(default_of).map_or(Cell::Null, Cell::Integer));
            } else {
                edits.cells.retain(|(column, _)| *column != state && *column != status);
            }
        }
        (Some(value), None) => {
            edits.set(status, default_of(value).map_or(Cell::Null, Cell::Integer));
        }
        (value, Some(reason)) => {
            let belongs =
                statuses.iter().find(|option| option.value == reason).and_then(|option| option.state);
            let wanted = value.or(current).or_else(|| states.first().map(|option| option.value));
            if belongs.is_some() && belongs != wanted {
                let label = states
                    .iter()
                    .find(|option| Some(option.value) == wanted)
                    .map(|option| option.label.clone());
                return Err(Refusal::new(
                    STATE_STATUS,
                    format!(
                        "{reason} is not a valid status code for state code \
                    {}State.{} on {}.",
                        about.name,
                        label.unwrap_or_default(),
                        about.name
                    ),
                ));
            }
            if at.is_none() {
                edits.set(state, wanted.map_or(Cell::Null, Cell::Integer));
            }
        }
    }
    Ok(())
}
