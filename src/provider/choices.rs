//! Lists of values to choose from, as far as they are the same for every provider.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{OptionItem, OptionPage, OptionQuery, paths};
use crate::error::{Error, Result};
use crate::record::record_type::{Field, FieldType, Picklist, PicklistValue, Reference};
use crate::record::{FieldPath, RecordType};

/// Values on one page.
pub const PAGE: usize = 50;
/// Bytes of a search text that services are asked for.
pub const SEARCH_MAX: usize = 255;
/// Longest chain of fields that control one another.
const MOST_CONTROLLERS: usize = 16;

/// The entries that can be chosen now.
fn entries(
    record_type: &RecordType,
    field: &Field,
    picklist: &Picklist,
    ask: &OptionQuery,
) -> Vec<OptionItem> {
    let beside = controlling(record_type, field, ask, 0);
    let mut out: Vec<OptionItem> = Vec::new();
    for value in picklist.values.iter().filter(|value| value.active) {
        if goes_with(value, beside.as_deref()) && out.iter().all(|item| item.value != value.value) {
            out.push(OptionItem {
                value: value.value.clone(),
                label: value.label.clone(),
                record_type: None,
            });
        }
    }
    out
}

/// The values that the controller of a field can have beside what is given; `None` when that does not tell. A
/// controller that is not given itself may be narrowed by its own controller.
fn controlling(
    record_type: &RecordType,
    field: &Field,
    ask: &OptionQuery,
    depth: usize,
) -> Option<Vec<Json>> {
    let controller = record_type.field(field.controlled_by.as_deref()?)?;
    if let Some(chosen) = ask.on.get(&controller.name) {
        return Some(vec![chosen.clone()]);
    }
    let (FieldType::Picklist(picklist), true) = (&controller.field_type, depth < MOST_CONTROLLERS) else {
        return None;
    };
    let beside = controlling(record_type, controller, ask, depth + 1)?;
    let possible = picklist.values.iter().filter(|value| value.active && goes_with(value, Some(&beside)));
    Some(possible.map(|value| value.value.clone()).collect())
}

/// Whether a value can stand beside one of these values of its controller.
fn goes_with(value: &PicklistValue, beside: Option<&[Json]>) -> bool {
    match (&value.valid_for, beside) {
        (Some(valid), Some(beside)) => valid.iter().any(|one| beside.iter().any(|other| same(one, other))),
        _ => true,
    }
}

/// Values from a command line are texts, also those of a checkbox.
fn same(one: &Json, chosen: &Json) -> bool {
    let as_text = || {
        chosen.as_str().is_some_and(|text| one.is_boolean() && text.eq_ignore_ascii_case(&one.to_string()))
    };
    one == chosen || as_text()
}

/// Where the values of a field come from.
#[derive(Debug)]
pub enum Choices<'a> {
    /// A list that is wholly here; this is its page.
    Page(OptionPage),
    /// Records that a reference points to.
    Records(&'a Reference),
}

/// What there is to choose from for a field, or for the type of a reference with several targets.
///
/// # Errors
/// Invalid for a field that has no values to choose from, for values beside it of fields that do not exist, and
/// for a wrong cursor.
pub fn choices<'a>(record_type: &'a RecordType, path: &FieldPath, ask: &OptionQuery) -> Result<Choices<'a>> {
    for name in ask.on.keys() {
        // A value of a field that does not exist would narrow nothing.
        if record_type.field(name).is_none() && record_type.reference_of_type_field(name).is_none() {
            return Err(paths::unknown(&FieldPath::of([name.as_str()]), record_type, name));
        }
    }
    let named = path.is_single().then(|| record_type.field(path.leaf())).flatten();
    if named.is_none()
        && path.is_single()
        && let Some(Field { field_type: FieldType::Reference(reference), .. }) =
            record_type.reference_of_type_field(path.leaf())
    {
        let items = reference.targets.iter().map(|target| OptionItem {
            value: Json::from(target.as_str()),
            label: target.clone(),
            record_type: None,
        });
        return page(items.collect(), ask).map(Choices::Page);
    }
    let field = named.ok_or_else(|| paths::unknown(path, record_type, path.leaf()))?;
    match &field.field_type {
        FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. } => {
            picklist_page(record_type, field, picklist, ask).map(Choices::Page)
        }
        FieldType::Reference(reference) => Ok(Choices::Records(reference)),
        _ => Err(Error::invalid(format!("{path} has no list of values"))
            .with_field(path.to_string(), "only picklists and references have values to choose from")),
    }
}

/// Where a page of the records of a reference starts: in which of its targets, and where in that. `T` is the
/// service's own place.
#[derive(Debug, Serialize, Deserialize)]
pub struct Place<T> {
    target: usize,
    /// Where in the target; at its beginning when unset.
    pub at: Option<T>,
}

impl<T: Serialize + DeserializeOwned> Place<T> {
    /// The target that the page is of, and the place in it; `None` when there is no target left.
    ///
    /// # Errors
    /// Invalid for a wrong cursor.
    pub fn of<'a>(reference: &'a Reference, ask: &OptionQuery) -> Result<Option<(&'a str, Self)>> {
        let place = match &ask.cursor {
            Some(text) => serde_json::from_str(text)
                .map_err(|_| Error::invalid("this is not a cursor of these values"))?,
            None => Self { target: 0, at: None },
        };
        let target = Self::targets(reference, ask).nth(place.target);
        Ok(target.map(|target| (target, place)))
    }

    /// The targets, or the one that was chosen beside the reference.
    fn targets<'a>(reference: &'a Reference, ask: &OptionQuery) -> impl Iterator<Item = &'a str> {
        let chosen = reference.type_field.as_ref().and_then(|name| ask.on.get(name)).and_then(Json::as_str);
        reference
            .targets
            .iter()
            .map(String::as_str)
            .filter(move |target| chosen.is_none_or(|chosen| chosen == *target))
    }

    /// The page of these records, each a key and a label. `next` is where the target goes on.
    ///
    /// # Errors
    /// When the place is not JSON.
    pub fn page(
        self,
        reference: &Reference,
        ask: &OptionQuery,
        records: impl IntoIterator<Item = (String, String)>,
        next: Option<T>,
    ) -> Result<OptionPage> {
        let targets: Vec<&str> = Self::targets(reference, ask).collect();
        let record_type = targets.get(self.target).filter(|_| reference.targets.len() > 1);
        let options = records
            .into_iter()
            .map(|(key, label)| OptionItem {
                value: Json::String(key),
                label,
                record_type: record_type.map(|name| (*name).to_owned()),
            })
            .collect();
        let next = match next {
            Some(at) => Some(Self { at: Some(at), ..self }),
            None if self.target + 1 < targets.len() => Some(Self { target: self.target + 1, at: None }),
            None => None,
        };
        let next = next
            .map(|next| serde_json::to_string(&next))
            .transpose()
            .map_err(|source| Error::bug("a cursor is not JSON").with_source(source))?;
        Ok(OptionPage { options, next })
    }
}

/// A page of the entries of a picklist that can be chosen now, with the values of the field that controls it.
///
/// # Errors
/// Invalid for a wrong cursor.
fn picklist_page(
    record_type: &RecordType,
    field: &Field,
    picklist: &Picklist,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    page(entries(record_type, field, picklist, ask), ask)
}

/// A page of a list that is wholly here: those whose label or value contains the text that is looked for.
///
/// # Errors
/// Invalid for a wrong cursor.
pub fn page(items: Vec<OptionItem>, ask: &OptionQuery) -> Result<OptionPage> {
    let wanted = ask.search.as_deref().unwrap_or_default().to_lowercase();
    let start = match &ask.cursor {
        Some(text) => {
            text.parse::<usize>().map_err(|_| Error::invalid("this is not a cursor of these values"))?
        }
        None => 0,
    };
    let mut found = items.into_iter().filter(|item| {
        item.label.to_lowercase().contains(&wanted)
            || item.value.as_str().is_some_and(|value| value.to_lowercase().contains(&wanted))
    });
    let options: Vec<OptionItem> = found.by_ref().skip(start).take(PAGE).collect();
    let next = found.next().is_some().then(|| (start + PAGE).to_string());
    Ok(OptionPage { options, next })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_list_comes_in_pages_and_ends() {
        let items: Vec<OptionItem> = (0..120)
            .map(|at| OptionItem {
                value: json!(format!("v{at}")),
                label: format!("Value {at}"),
                record_type: None,
            })
            .collect();
        let mut ask = OptionQuery::default();
        let mut seen = Vec::new();
        loop {
            let page = super::page(items.clone(), &ask).unwrap();
            seen.extend(page.options);
            match page.next {
                Some(next) => ask.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, items);
        let ask = OptionQuery { search: Some("VALUE 11".to_owned()), ..OptionQuery::default() };
        assert_eq!(page(items, &ask).unwrap().options.len(), 11);
        assert!(
            page(Vec::new(), &OptionQuery { cursor: Some("x".to_owned()), ..OptionQuery::default() })
                .is_err()
        );
    }
}
