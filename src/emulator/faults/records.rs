//! Records that no client expects.

use super::page::{Object, quoted};
use super::rule::Kind;

/// How deep the value of [`Kind::Deep`] is nested.
const DEPTH: usize = 200_000;

/// Numbers that do not survive careless reading: beyond f64, beyond i64, a negative zero, a full mantissa.
const NUMBERS: [&str; 4] = ["1e400", "9223372036854775809", "-0", "0.30000000000000004"];

/// Spoils some of the rows; `field` names the property to change.
pub(super) fn spoil(kind: Kind, rows: &mut [Vec<u8>], field: Option<&str>) {
    // A row may lack the property.
    let able: Vec<usize> =
        (0..rows.len()).filter(|at| rows.get(*at).is_some_and(|row| has(row, field))).collect();
    let count = able.len();
    if count == 0 {
        return;
    }
    let other = able.get((count / 3 + 1) % count).and_then(|at| rows.get(*at)).cloned().unwrap_or_default();
    let mut change = |at: usize, how: &dyn Fn(&[u8]) -> Option<Vec<u8>>| {
        if let Some(row) = able.get(at).and_then(|at| rows.get_mut(*at))
            && let Some(changed) = how(row)
        {
            *row = changed;
        }
    };
    match kind {
        Kind::Deep => {
            let mut value = vec![b'['; DEPTH];
            value.extend(vec![b']'; DEPTH]);
            change(count / 3, &|row| replace(row, field, 0, false, &value));
        }
        Kind::Badutf8 => {
            let (bytes, surrogate) = (count / 3, 2 * count / 3);
            change(bytes, &|row| replace(row, field, 0, false, b"\"bad \xff\xfe bytes\""));
            if surrogate != bytes {
                change(surrogate, &|row| replace(row, field, 0, false, b"\"lone \\ud800 surrogate\""));
            }
        }
        Kind::Dupkeys => {
            let at = count / 3;
            change(at, &|row| repeat(row, field, &other));
        }
        Kind::Hugenum => {
            for (turn, number) in NUMBERS.iter().enumerate() {
                // With fewer rows than numbers a row takes several, each in another property.
                let (at, place) =
                    if count >= NUMBERS.len() { (turn, 0) } else { (turn % count, turn / count) };
                change(at, &|row| replace(row, field, place, true, number.as_bytes()));
            }
        }
        _ => {}
    }
}

/// Whether a row has the named property, itself or in an object in it.
fn has(row: &[u8], field: Option<&str>) -> bool {
    field.is_none_or(|field| {
        Object::parse(row).is_some_and(|row| row.get(field).is_some() || inside(&row, Some(field)).is_some())
    })
}

/// The place in a row to change: the named property, or counted from the end the `turn`-th one that suits.
fn place(row: &Object, field: Option<&str>, turn: usize, numeric: bool) -> Option<usize> {
    if let Some(field) = field {
        return row.0.iter().position(|(name, _)| name == field);
    }
    let is_number = |value: &str| value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    // Objects are metadata or other records, and the first plain property is usually the key.
    let plain = || {
        let places = row.0.iter().enumerate().filter(|(_, (_, value))| !value.get().starts_with(['{', '[']));
        places.map(|(index, (_, value))| (index, value.get())).rev()
    };
    let numbers: Vec<usize> =
        plain().filter(|(_, value)| numeric && is_number(value)).map(|(index, _)| index).collect();
    let others = plain().filter(|(_, value)| !(numeric && is_number(value))).map(|(index, _)| index);
    numbers.into_iter().chain(others).nth(turn)
}

/// Where the named property stands in an object inside the row, when the row itself has none of that name.
fn inside(row: &Object, field: Option<&str>) -> Option<usize> {
    let field = field.filter(|field| row.get(field).is_none())?;
    row.0.iter().position(|(_, value)| {
        value.get().starts_with('{')
            && Object::parse(value.get().as_bytes()).is_some_and(|inner| inner.get(field).is_some())
    })
}

/// The row with one of its values as another text.
fn with_value(row: &Object, at: usize, text: &[u8]) -> Vec<u8> {
    row.render(|index, _, value| if index == at { text.to_vec() } else { value.as_bytes().to_vec() })
}

fn replace(row: &[u8], field: Option<&str>, turn: usize, numeric: bool, with: &[u8]) -> Option<Vec<u8>> {
    let row = Object::parse(row)?;
    if let Some(at) = inside(&row, field) {
        let (_, inner) = row.0.get(at)?;
        let inner = replace(inner.get().as_bytes(), field, turn, numeric, with)?;
        return Some(with_value(&row, at, &inner));
    }
    let at = place(&row, field, turn, numeric)?;
    Some(with_value(&row, at, with))
}

/// Names one property twice: first with the value of another row, then with its own.
fn repeat(row: &[u8], field: Option<&str>, other: &[u8]) -> Option<Vec<u8>> {
    let row = Object::parse(row)?;
    if let Some(at) = inside(&row, field) {
        let (name, inner) = row.0.get(at)?;
        let other = Object::parse(other).and_then(|other| other.get(name).map(str::to_owned));
        let inner = repeat(inner.get().as_bytes(), field, other.unwrap_or_default().as_bytes())?;
        return Some(with_value(&row, at, &inner));
    }
    let at = place(&row, field, 0, false)?;
    let name = row.0.get(at).map(|(name, _)| name.clone())?;
    let foreign = Object::parse(other).and_then(|other| other.get(&name).map(str::to_owned));
    let foreign = foreign.unwrap_or_else(|| "null".to_owned());
    Some(row.render(|index, name, value| {
        if index == at { format!("{foreign},{}:{value}", quoted(name)).into_bytes() } else { value.into() }
    }))
}
