//! Partial answers: the parameter `fields` names the members that are wanted, as `kind,items(id,start/date)`.
//!
//! Source: "Improve performance", Google Calendar API.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::errors::Refusal;

/// The members that are wanted, each with what is wanted of it; nothing named below means all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// Reads the parameter.
    ///
    /// # Errors
    /// A selection that is none.
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        let mut rest = text;
        let mask = Self::list(&mut rest);
        match mask {
            Some(mask) if rest.is_empty() && !mask.0.is_empty() => Ok(mask),
            _ => Err(Refusal::new(
                http::StatusCode::BAD_REQUEST,
                "global",
                "invalidParameter",
                format!("Invalid field selection {text}"),
            )
            .at("parameter", "fields")),
        }
    }

    fn list(rest: &mut &str) -> Option<Self> {
        let mut out = Self::default();
        loop {
            out.one(rest)?;
            match rest.strip_prefix(',') {
                Some(behind) => *rest = behind,
                None => return Some(out),
            }
        }
    }

    /// One selection: `a`, `a/b`, `a(b,c)`.
    fn one(&mut self, rest: &mut &str) -> Option<()> {
        let end = rest.find(['/', '(', ')', ',']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-*".contains(c)) {
            return None;
        }
        *rest = behind;
        let below = self.0.entry(name.to_owned()).or_default();
        if let Some(behind) = rest.strip_prefix('/') {
            *rest = behind;
            return below.one(rest);
        }
        if let Some(behind) = rest.strip_prefix('(') {
            *rest = behind;
            let inner = Self::list(rest)?;
            *rest = rest.strip_prefix(')')?;
            below.0.extend(inner.0);
        }
        Some(())
    }

    /// What is wanted of a value. Members that are empty lists are left out, as are those that are not there.
    pub(super) fn of(&self, value: &Value) -> Value {
        if self.0.is_empty() {
            return value.clone();
        }
        match value {
            Value::Array(all) => all.iter().map(|own| self.of(own)).collect(),
            Value::Object(members) => {
                let wanted = members.iter().filter_map(|(name, own)| {
                    let mask = self.0.get(name).or_else(|| self.0.get("*"))?;
                    let empty = own.as_array().is_some_and(Vec::is_empty);
                    (!empty).then(|| (name.clone(), mask.of(own)))
                });
                Value::Object(wanted.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }
}
