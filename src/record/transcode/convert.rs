//! Values in the form of the schema.

use super::{Conversion, expect, scan_list, skip_space, skip_string, skip_value};

/// Writes a value that was checked, in the form of a conversion; of nested shapes only null is left to this.
pub(super) fn convert(out: &mut Vec<u8>, raw: &str, conversion: &Conversion) -> Result<(), String> {
    let is_text = raw.starts_with('"');
    match conversion {
        Conversion::List(_)
        | Conversion::NumberList(_)
        | Conversion::ListOrEmpty
        | Conversion::PluckEach(_)
        | Conversion::Pairs(_)
            if raw == "null" =>
        {
            out.extend_from_slice(b"[]");
        }
        Conversion::Or(otherwise) if raw == "null" => out.extend_from_slice(otherwise.as_bytes()),
        _ if raw == "null" => out.extend_from_slice(b"null"),
        Conversion::Pairs(way) if raw.starts_with('{') => {
            pairs(out, pluck(raw, way)).ok_or("is no object")?
        }
        Conversion::Instant if is_text => instant(out, raw),
        Conversion::List(between) if is_text => list(out, raw, *between),
        Conversion::NumberList(between) if is_text => number_list(out, raw, *between)?,
        Conversion::NumberText if !is_text => {
            out.push(b'"');
            out.extend_from_slice(raw.as_bytes());
            out.push(b'"');
        }
        Conversion::AnyText if is_text => out.extend_from_slice(raw.as_bytes()),
        Conversion::JsonText | Conversion::AnyText => {
            serde_json::to_writer(out, raw).map_err(|reason| reason.to_string())?
        }
        Conversion::Prefix { length, names } => {
            let name = raw.get(1..=*length).and_then(|prefix| names.get(prefix));
            serde_json::to_writer(out, &name).map_err(|reason| reason.to_string())?;
        }
        Conversion::Pluck(way) => out.extend_from_slice(pluck(raw, way).as_bytes()),
        Conversion::PluckEach(way) if raw.starts_with('[') => pluck_each(out, raw, way)?,
        Conversion::Text(make) => {
            serde_json::to_writer(out, &make(raw)?).map_err(|reason| reason.to_string())?;
        }
        _ => out.extend_from_slice(raw.as_bytes()),
    }
    Ok(())
}

/// The value at the end of a way through an object whose text was checked.
fn pluck<'a>(raw: &'a str, way: &[String]) -> &'a str {
    if !raw.starts_with('{') {
        return raw;
    }
    way.iter().try_fold(raw, |here, name| member(here, name)).unwrap_or("null")
}

fn pluck_each(out: &mut Vec<u8>, raw: &str, way: &[String]) -> Result<(), String> {
    let elements = scan_list(raw.as_bytes()).ok_or("is no list")?;
    out.push(b'[');
    let mut first = true;
    for element in elements {
        let element = std::str::from_utf8(element).map_err(|reason| reason.to_string())?;
        let value = pluck(element, way);
        if value == "null" {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b']');
    Ok(())
}

/// The members of an object whose text was checked, as a list.
fn pairs(out: &mut Vec<u8>, raw: &str) -> Option<()> {
    if raw == "null" {
        out.extend_from_slice(b"[]");
        return Some(());
    }
    let body = raw.as_bytes();
    out.push(b'[');
    let mut at = skip_space(body, expect(body, 0, b'{')?);
    let mut first = true;
    while body.get(at) == Some(&b'"') {
        let end = skip_string(body, at)?;
        let start = skip_space(body, expect(body, skip_space(body, end), b':')?);
        let behind = skip_value(body, start)?;
        out.extend_from_slice(if std::mem::take(&mut first) { b"{\"key\":" } else { b",{\"key\":" });
        out.extend_from_slice(&body[at..end]);
        out.extend_from_slice(b",\"value\":");
        out.extend_from_slice(&body[start..behind]);
        out.push(b'}');
        at = skip_space(body, behind);
        match body.get(at)? {
            b',' => at = skip_space(body, at + 1),
            _ => break,
        }
    }
    out.push(b']');
    Some(())
}

/// A member of an object whose text was checked.
fn member<'a>(raw: &'a str, name: &str) -> Option<&'a str> {
    let body = raw.as_bytes();
    let mut at = skip_space(body, expect(body, 0, b'{')?);
    while body.get(at) == Some(&b'"') {
        let end = skip_string(body, at)?;
        let start = skip_space(body, expect(body, skip_space(body, end), b':')?);
        let behind = skip_value(body, start)?;
        if is_name(raw.get(at..end)?, name) {
            return raw.get(start..behind);
        }
        at = skip_space(body, behind);
        at = skip_space(body, expect(body, at, b',')?);
    }
    None
}

/// Whether a string token says a name.
fn is_name(token: &str, name: &str) -> bool {
    if token.as_bytes().contains(&b'\\') {
        return serde_json::from_str::<String>(token).is_ok_and(|text| text == name);
    }
    token.get(1..token.len() - 1) == Some(name)
}

fn instant(out: &mut Vec<u8>, raw: &str) {
    let bytes = raw.as_bytes();
    let offset = bytes.len().checked_sub(6).map(|at| (at, &bytes[at..bytes.len() - 1]));
    match offset {
        Some((at, b"+0000" | b"-0000")) => {
            out.extend_from_slice(&bytes[..at]);
            out.extend_from_slice(b"Z\"");
        }
        Some((at, offset))
            if matches!(offset[0], b'+' | b'-') && offset[1..].iter().all(u8::is_ascii_digit) && at > 11 =>
        {
            out.extend_from_slice(&bytes[..at + 3]);
            out.push(b':');
            out.extend_from_slice(&bytes[at + 3..]);
        }
        _ => out.extend_from_slice(bytes),
    }
}

fn list(out: &mut Vec<u8>, raw: &str, between: char) {
    let inner = &raw[1..raw.len() - 1];
    out.push(b'[');
    let mut first = true;
    for value in inner.split(between).filter(|value| !value.is_empty()) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
    out.push(b']');
}

fn number_list(out: &mut Vec<u8>, raw: &str, between: char) -> Result<(), String> {
    let inner = &raw[1..raw.len() - 1];
    out.push(b'[');
    let values = inner.split(between).map(str::trim).filter(|value| !value.is_empty());
    for (at, value) in values.enumerate() {
        let number: i64 = value.parse().map_err(|_| format!("holds {value:?}, which is no whole number"))?;
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(number.to_string().as_bytes());
    }
    out.push(b']');
    Ok(())
}
