//! From a JSON value to what is stored in a field, with the service's refusals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};

use super::cell::Cell;
use super::describe::{Field, Kind};
use super::errors::Refusal;
use super::id;
use super::rows::Store;
use crate::emulator::json::Json;

const FIRST_DAY: Date = Date::constant(1700, 1, 1);
const LAST_DAY: Date = Date::constant(4000, 12, 31);
/// Stands for "no record type"; it is accepted in writes and read back as null.
const MASTER_RECORD_TYPE: &str = "012000000000000";

/// Converts a value for a field; empty text is null.
///
/// # Errors
/// JSON_PARSER_ERROR for the wrong JSON type, else the code of the rule that the value breaks.
pub(super) fn convert(store: &Store, table: usize, number: usize, value: &Json) -> Result<Cell, Refusal> {
    let object = store.object(table);
    let Some(field) = object.fields.get(number) else { return Ok(Cell::Null) };
    if *value == Json::Null {
        return Ok(if field.kind == Kind::Boolean { Cell::Boolean(false) } else { Cell::Null });
    }
    match field.kind {
        Kind::Boolean => match value {
            Json::Boolean(on) => Ok(Cell::Boolean(*on)),
            Json::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Cell::Boolean(true)),
            Json::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Cell::Boolean(false)),
            _ => Err(wrong_type("boolean", value)),
        },
        Kind::Int => int(field, value),
        Kind::Double => double(field, value),
        Kind::Date => {
            let date =
                value.as_text().and_then(|text| text.parse::<Date>().ok().filter(|_| text.len() == 10));
            let date = date.ok_or_else(|| wrong_type("date", value))?;
            if date < FIRST_DAY || date > LAST_DAY {
                return Err(of_field(
                    "FIELD_INTEGRITY_EXCEPTION",
                    field,
                    &format!("invalid date: {}", value.shown()),
                ));
            }
            Ok(Cell::Date(date))
        }
        Kind::DateTime => {
            let stamp = value.as_text().and_then(|text| text.parse::<Timestamp>().ok());
            let stamp = stamp.ok_or_else(|| wrong_type("datetime", value))?;
            // Whole seconds are stored.
            Ok(Cell::Instant(stamp.as_second() * 1000))
        }
        Kind::Time => {
            let time = value.as_text().and_then(super::literals::time_of_day);
            time.map(Cell::Time).ok_or_else(|| wrong_type("time", value))
        }
        Kind::Id | Kind::Reference => reference(store, table, number, field, text_of(value)?),
        Kind::Base64 => {
            let text = text_of(value)?;
            STANDARD.decode(text).map_err(|_| wrong_type("base64", value))?;
            Ok(Cell::text(text.to_owned()))
        }
        Kind::MultiPicklist => multi(field, text_of(value)?),
        Kind::Text | Kind::Picklist => text(field, text_of(value)?),
        Kind::Address | Kind::Location => Err(wrong_type(&field.wire, value)),
    }
}

fn text_of(value: &Json) -> Result<&str, Refusal> {
    value.as_text().ok_or_else(|| wrong_type("string", value))
}

pub(super) fn wrong_type(kind: &str, value: &Json) -> Refusal {
    Refusal::unparseable(format!(
        "Cannot deserialize instance of {kind} from {} value {} or request may be missing a required field at [line:1, column:2]",
        value.token(),
        value.shown()
    ))
}

fn of_field(code: &'static str, field: &Field, what: &str) -> Refusal {
    Refusal::of_fields(code, format!("{}: {what}", field.label), &[&field.name])
}

/// The decimal that a JSON number, or a text with one, stands for.
fn decimal(value: &Json) -> Option<Decimal> {
    let (Json::Number(text) | Json::Text(text)) = value else { return None };
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

fn out_of_range(field: &Field, value: &Json) -> Refusal {
    of_field(
        "NUMBER_OUTSIDE_VALID_RANGE",
        field,
        &format!("value outside of valid range on numeric field: {}", value.shown()),
    )
}

/// A number too large for any field still has the form of one.
fn is_number(value: &Json) -> bool {
    match value {
        Json::Number(_) => true,
        Json::Text(text) => serde_json::from_str::<serde_json::Number>(text).is_ok(),
        _ => false,
    }
}

fn int(field: &Field, value: &Json) -> Result<Cell, Refusal> {
    let Some(number) = decimal(value) else {
        return Err(if is_number(value) { out_of_range(field, value) } else { wrong_type("int", value) });
    };
    if !number.fract().is_zero() {
        return Err(wrong_type("int", value));
    }
    let digits = if field.digits == 0 { 9 } else { field.digits };
    if number.abs() >= Decimal::from(10u64.pow(digits.min(18))) {
        return Err(out_of_range(field, value));
    }
    Ok(Cell::Number(number.trunc()))
}

/// Digits beyond the scale are rounded half up, an assumption: the service's own rounding was not recorded.
fn double(field: &Field, value: &Json) -> Result<Cell, Refusal> {
    let Some(number) = decimal(value) else {
        return Err(if is_number(value) { out_of_range(field, value) } else { wrong_type("double", value) });
    };
    let mut number = number;
    if field.precision > 0 {
        if number.scale() > field.scale {
            number = number.round_dp_with_strategy(field.scale, RoundingStrategy::MidpointAwayFromZero);
        }
        let whole = field.precision.saturating_sub(field.scale).min(18);
        if number.abs() >= Decimal::from(10u64.pow(whole)) {
            return Err(out_of_range(field, value));
        }
    }
    let bound = if field.name.ends_with("Latitude") || field.name.ends_with("Latitude__s") {
        Some(90)
    } else if field.name.ends_with("Longitude") || field.name.ends_with("Longitude__s") {
        Some(180)
    } else {
        None
    };
    if bound.is_some_and(|bound| number.abs() > Decimal::from(bound)) {
        return Err(out_of_range(field, value));
    }
    Ok(Cell::Number(number))
}

fn reference(store: &Store, table: usize, number: usize, field: &Field, text: &str) -> Result<Cell, Refusal> {
    if text.is_empty() {
        return Ok(Cell::Null);
    }
    let Some(short) = id::short(text) else {
        return Err(of_field("MALFORMED_ID", field, &format!("id value of incorrect type: {text}")));
    };
    if short == MASTER_RECORD_TYPE && field.targets.iter().any(|target| target == "RecordType") {
        return Ok(Cell::Null);
    }
    let targets = store.targets(table, number);
    if targets.is_empty() {
        // The described org has the target type, this one does not.
        return Ok(Cell::text(id::with_checksum(short)));
    }
    let prefix = &short[..3];
    if !targets.iter().any(|target| store.object(*target).prefix == prefix) {
        return Err(of_field(
            "FIELD_INTEGRITY_EXCEPTION",
            field,
            &format!("id value of incorrect type: {text}"),
        ));
    }
    match store.locate(short) {
        Some(at) if store.is_live(at) => Ok(Cell::text(store.id(at))),
        Some(_) => Err(Refusal::of_fields("ENTITY_IS_DELETED", "entity is deleted", &[])),
        None => Err(Refusal::of_fields("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[])),
    }
}

fn too_long(field: &Field, text: &str) -> Refusal {
    let shown: String = text.chars().take(255).collect();
    of_field(
        "STRING_TOO_LONG",
        field,
        &format!("data value too large: {shown} (max length={})", field.length),
    )
}

fn bad_choice(field: &Field, value: &str) -> Refusal {
    of_field(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        field,
        &format!("bad value for restricted picklist field: {value}"),
    )
}

fn text(field: &Field, text: &str) -> Result<Cell, Refusal> {
    if text.is_empty() {
        return Ok(Cell::Null);
    }
    if field.kind == Kind::Picklist
        && field.restricted
        && !field.picks.iter().any(|pick| pick.active && pick.value == text)
    {
        return Err(bad_choice(field, text));
    }
    if field.length > 0 && text.chars().count() > field.length {
        return Err(too_long(field, text));
    }
    if field.wire == "email" && !is_email(text) {
        return Err(of_field("INVALID_EMAIL_ADDRESS", field, &format!("invalid email address: {text}")));
    }
    Ok(Cell::text(text.to_owned()))
}

fn multi(field: &Field, text: &str) -> Result<Cell, Refusal> {
    let mut values: Vec<&str> = Vec::new();
    for value in text.split(';').map(str::trim).filter(|value| !value.is_empty()) {
        if field.restricted && !field.picks.iter().any(|pick| pick.active && pick.value == value) {
            return Err(bad_choice(field, value));
        }
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let joined = values.join(";");
    if field.length > 0 && joined.chars().count() > field.length {
        return Err(too_long(field, text));
    }
    Ok(Cell::text(joined))
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.contains(|letter: char| letter.is_whitespace() || "()<>,;:\\\"[]@".contains(letter))
    };
    plain(name)
        && plain(host)
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}
