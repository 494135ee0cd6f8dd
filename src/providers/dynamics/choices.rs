//! Values to choose from: choices, and records that a lookup can point to.

use serde::Deserialize;
use serde_json::Value as Json;

use super::{Described, Environment, api, dialect, odata};
use crate::error::Result;
use crate::provider::choices::{Choices, PAGE, Place, SEARCH_MAX, choices};
use crate::provider::{Context, OptionPage, OptionQuery};
use crate::record::FieldPath;
use crate::record::record_type::Reference;

/// A page of values for a column.
///
/// # Errors
/// Invalid for a column that has none, and for a wrong cursor.
pub(super) async fn options(
    environment: &Environment,
    cx: &Context,
    described: &Described,
    path: &FieldPath,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    match choices(&described.record_type, path, ask)? {
        Choices::Page(page) => Ok(page),
        Choices::Records(reference) => records(environment, cx, reference, ask).await,
    }
}

#[derive(Deserialize)]
struct Answer {
    value: Vec<serde_json::Map<String, Json>>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

/// Records that a lookup can point to, by name.
async fn records(
    environment: &Environment,
    cx: &Context,
    reference: &Reference,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    // The place in a table is Dataverse's link to the page.
    let Some((target, place)) = Place::<String>::of(reference, ask)? else {
        return Ok(OptionPage::default());
    };
    let tables = environment.tables(cx, false).await?;
    let Some((table, (set, id))) = tables
        .all
        .iter()
        .find(|table| table.logical_name == target)
        .and_then(|table| Some((table, table.address()?)))
    else {
        return Err(super::unknown_type(target, &tables.all));
    };
    let name = table.primary_name_attribute.as_deref().filter(|name| super::is_name(name));
    let prefer = format!("odata.maxpagesize={PAGE}");
    let call = match &place.at {
        Some(link) => api::link("options", link, &prefer)?,
        None => {
            let resource = resource(set, id, name, ask.search.as_deref());
            api::get("options", &environment.version, &resource, &prefer)
        }
    };
    let answer: Answer = dialect::read("options", &cx.send(call).await?.body)?;
    let rows = answer.value.iter().filter_map(|row| {
        let key = row.get(id)?.as_str()?;
        let label = name.and_then(|name| row.get(name)).and_then(Json::as_str);
        Some((key.to_owned(), label.unwrap_or(key).to_owned()))
    });
    place.page(reference, ask, rows, answer.next)
}

fn resource(set: &str, id: &str, name: Option<&str>, search: Option<&str>) -> String {
    let Some(name) = name else { return format!("{set}?$select={id}&$orderby={id}") };
    let searched = search.filter(|text| text.len() <= SEARCH_MAX).and_then(odata::searchable);
    let filter = searched.map_or_else(String::new, |literal| {
        format!("&$filter={}", api::encode(&format!("contains({name},{literal})")))
    });
    format!("{set}?$select={id},{name}{filter}&$orderby={name},{id}")
}
