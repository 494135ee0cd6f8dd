//! Lists of values to choose from, as far as they are the same for every provider.

use serde_json::Value as Json;

use super::{OptionItem, OptionPage, OptionQuery};
use crate::error::{Error, Result};
use crate::record::record_type::Picklist;

/// Values on one page.
pub const PAGE: usize = 50;

/// The entries that can be chosen now.
fn entries(picklist: &Picklist, controller: Option<&str>, ask: &OptionQuery) -> Vec<OptionItem> {
    let controlling = controller.and_then(|name| ask.on.get(name));
    let mut out: Vec<OptionItem> = Vec::new();
    for value in picklist.values.iter().filter(|value| value.active) {
        let fits = match (&value.valid_for, controlling) {
            (Some(valid), Some(chosen)) => valid.iter().any(|one| same(one, chosen)),
            _ => true,
        };
        if fits && out.iter().all(|item| item.value != value.value) {
            out.push(OptionItem {
                value: value.value.clone(),
                label: value.label.clone(),
                record_type: None,
            });
        }
    }
    out
}

/// Values from a command line are texts, also those of a checkbox.
fn same(one: &Json, chosen: &Json) -> bool {
    let written = one.to_string();
    one == chosen || chosen.as_str() == Some(written.as_str())
}

/// A page of the entries of a picklist that can be chosen now, with the values of the field that controls it.
///
/// # Errors
/// Invalid for a wrong cursor.
pub fn picklist_page(picklist: &Picklist, controller: Option<&str>, ask: &OptionQuery) -> Result<OptionPage> {
    page(entries(picklist, controller, ask), ask)
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
    use crate::record::record_type::PicklistValue;

    fn value(value: &str, active: bool, valid_for: Option<Vec<Json>>) -> PicklistValue {
        PicklistValue { value: json!(value), label: value.to_uppercase(), active, default: false, valid_for }
    }

    #[test]
    fn entries_follow_the_controlling_value_and_come_once() {
        let picklist = Picklist {
            values: vec![
                value("ag", true, Some(vec![json!("IT")])),
                value("ag", true, Some(vec![json!("MX")])),
                value("zz", true, Some(vec![json!(true)])),
                value("old", false, None),
            ],
            restricted: true,
            integer: false,
        };
        let values = |on: Json| -> Vec<Json> {
            let ask = OptionQuery { on: on.as_object().unwrap().clone(), ..OptionQuery::default() };
            entries(&picklist, Some("Country"), &ask).into_iter().map(|item| item.value).collect()
        };
        assert_eq!(values(json!({})), [json!("ag"), json!("zz")]);
        assert_eq!(values(json!({"Country": "MX"})), [json!("ag")]);
        assert_eq!(values(json!({"Country": "true"})), [json!("zz")]);
        assert_eq!(values(json!({"Country": "FR"})), Vec::<Json>::new());
    }

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
