//! Records that no client expects.

use super::page::{Object, quoted};
use super::rule::Kind;

/// How deep the value of [`Kind::Deep`] is nested.
const DEPTH: usize = 200_000;

/// Numbers that do not survive careless reading: beyond f64, beyond i64, a negative zero, a full mantissa.
const NUMBERS: [&str; 4] = ["1e400", "9223372036854775809", "-0", "0.30000000000000004"];

/// Spoils some of the rows; `field` names the property to change.
pub(super) fn spoil(kind: Kind, rows: &mut [Vec<u8>], field: Option<&str>) {
    let count = rows.len();
    if count == 0 {
        return;
    }
    match kind {
        Kind::Deep => {
            let mut value = vec![b'['; DEPTH];
            value.extend(vec![b']'; DEPTH]);
            change(rows, count / 3, |row| replace(row, field, 0, false, &value));
        }
        Kind::Badutf8 => {
            let (bytes, surrogate) = (count / 3, 2 * count / 3);
            change(rows, bytes, |row| replace(row, field, 0, false, b"\"bad \xff\xfe bytes\""));
            if surrogate != bytes {
                change(rows, surrogate, |row| replace(row, field, 0, false, b"\"lone \\ud800 surrogate\""));
            }
        }
        Kind::Dupkeys => {
            let at = count / 3;
            let other = rows.get((at + 1) % count).cloned().unwrap_or_default();
            change(rows, at, |row| repeat(row, field, &other));
        }
        Kind::Hugenum => {
            for (turn, number) in NUMBERS.iter().enumerate() {
                // With fewer rows than numbers a row takes several, each in another property.
                let (at, place) =
                    if count >= NUMBERS.len() { (turn, 0) } else { (turn % count, turn / count) };
                change(rows, at, |row| replace(row, field, place, true, number.as_bytes()));
            }
        }
        _ => {}
    }
}

fn change(rows: &mut [Vec<u8>], at: usize, how: impl FnOnce(&[u8]) -> Option<Vec<u8>>) {
    if let Some(row) = rows.get_mut(at)
        && let Some(changed) = how(row)
    {
        *row = changed;
    }
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

fn replace(row: &[u8], field: Option<&str>, turn: usize, numeric: bool, with: &[u8]) -> Option<Vec<u8>> {
    let row = Object::parse(row)?;
    let at = place(&row, field, turn, numeric)?;
    Some(row.render(|index, _, value| if index == at { with.to_vec() } else { value.as_bytes().to_vec() }))
}

/// Names one property twice: first with the value of another row, then with its own.
fn repeat(row: &[u8], field: Option<&str>, other: &[u8]) -> Option<Vec<u8>> {
    let row = Object::parse(row)?;
    let at = place(&row, field, 0, false)?;
    let name = row.0.get(at).map(|(name, _)| name.clone())?;
    let foreign = Object::parse(other).and_then(|other| other.get(&name).map(str::to_owned));
    let foreign = foreign.unwrap_or_else(|| "null".to_owned());
    Some(row.render(|index, name, value| {
        if index == at { format!("{foreign},{}:{value}", quoted(name)).into_bytes() } else { value.into() }
    }))
}
