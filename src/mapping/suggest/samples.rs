//! What sample records show of their fields: which values there are and what they look like.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::record::FieldPath;
use crate::record::pick::Picker;

/// Most different values of a field that are looked at.
const MOST_VALUES: usize = 200;

/// Values of fields by path, from sample records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(BTreeMap<String, Seen>);

/// What was seen of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    values: BTreeSet<String>,
    /// How many values look like what.
    looks: BTreeMap<&'static str, usize>,
    count: usize,
}

impl Samples {
    /// Looks at records (as JSON text) at these paths.
    #[must_use]
    pub fn of(paths: &[String], records: &[&str]) -> Self {
        let parsed: Vec<FieldPath> = paths.iter().map(|path| FieldPath::parse(path)).collect();
        let picker = Picker::new(&parsed);
        let mut seen = Self::default();
        for record in records {
            let Ok(values) = picker.pick_present(record) else { continue };
            for (path, value) in paths.iter().zip(values) {
                if let Some(value) = value {
                    seen.0.entry(path.clone()).or_default().add(value);
                }
            }
        }
        seen
    }

    fn at(&self, path: &str) -> Option<&Seen> {
        self.0.get(path).filter(|seen| seen.count > 0)
    }
}

impl Seen {
    fn add(&mut self, json: &str) {
        let text = match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(json).unwrap_or_default(),
            Some(b'{' | b'[' | b'n' | b't' | b'f') | None => return,
            _ => json.to_owned(),
        };
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return;
        }
        self.count += 1;
        if let Some(look) = look(&text) {
            *self.looks.entry(look).or_default() += 1;
        }
        if self.values.len() < MOST_VALUES {
            self.values.insert(text);
        }
    }

    /// What nine of ten values look like.
    fn look(&self) -> Option<&'static str> {
        self.looks.iter().find(|(_, count)| **count * 10 >= self.count * 9).map(|(look, _)| *look)
    }
}

fn look(text: &str) -> Option<&'static str> {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if let Some((name, host)) = text.split_once('@')
        && !name.is_empty()
        && host.contains('.')
        && !text.contains(char::is_whitespace)
    {
        return Some("e-mail addresses");
    }
    if text.starts_with("http://") || text.starts_with("https://") || text.starts_with("www.") {
        return Some("web addresses");
    }
    if text.parse::<Timestamp>().is_ok() || text.parse::<Date>().is_ok() {
        return Some("dates");
    }
    if digits >= 7 && text.chars().all(|letter| letter.is_ascii_digit() || " +-()/.x".contains(letter)) {
        return Some("telephone numbers");
    }
    None
}

/// Points that samples of both fields add or take, and why; nothing where one side shows nothing.
pub(super) fn compare(source: &Samples, from: &str, target: &Samples, to: &str) -> (i32, Option<String>) {
    let (Some(one), Some(two)) = (source.at(from), target.at(to)) else { return (0, None) };
    let common = one.values.intersection(&two.values).count();
    let fewer = one.values.len().min(two.values.len());
    // Two values in common can be chance.
    if common >= 3 && common * 10 >= fewer * 3 {
        return (25, Some(format!("{common} of {fewer} sample values are equal")));
    }
    match (one.look(), two.look()) {
        (Some(one), Some(two)) if one == two => (10, Some(format!("samples of both look like {one}"))),
        (Some(one), Some(two)) => (-40, Some(format!("samples look like {one} and {two}"))),
        _ => (0, None),
    }
}
