//! Lists of values to choose from, as far as they are the same for every provider.

use serde_json::Value as Json;

use super::{OptionItem, OptionPage, OptionQuery};
use crate::error::{Error, Result};
use crate::record::RecordType;
use crate::record::record_type::{Field, FieldType, Picklist, PicklistValue};

/// Values on one page.
pub const PAGE: usize = 50;
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

/// A page of the entries of a picklist that can be chosen now, with the values of the field that controls it.
///
/// # Errors
/// Invalid for a wrong cursor.
pub fn picklist_page(
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
