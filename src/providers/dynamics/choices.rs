//! Values to choose from: choices, and records that a lookup can point to.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Described, Environment, api, dialect, odata};
use crate::error::{Error, Result};
use crate::provider::choices::{self, PAGE};
use crate::provider::{Context, OptionItem, OptionPage, OptionQuery};
use crate::record::FieldPath;
use crate::record::record_type::{Field, FieldType, Reference};

/// Bytes of a search text that are looked at.
const SEARCH_MAX: usize = 255;

/// Where a page of records starts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    /// Which of the lookup's targets.
    target: usize,
    /// Dataverse's link to the page.
    link: Option<String>,
}

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
    let record_type = &described.record_type;
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
        return choices::page(items.collect(), ask);
    }
    let field = named.ok_or_else(|| {
        Error::invalid(format!("{} has no column {path}", record_type.name))
            .with_field(path.to_string(), "there is no such column")
    })?;
    match &field.field_type {
        FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. } => {
            choices::picklist_page(record_type, field, picklist, ask)
        }
        FieldType::Reference(reference) => records(environment, cx, reference, ask).await,
        _ => Err(Error::invalid(format!("{path} has no list of values"))
            .with_field(path.to_string(), "only choices and lookups have values to choose from")),
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
    let chosen = reference.type_field.as_ref().and_then(|name| ask.on.get(name)).and_then(Json::as_str);
    let targets: Vec<&str> = reference
        .targets
        .iter()
        .map(String::as_str)
        .filter(|target| chosen.is_none_or(|chosen| chosen == *target))
        .collect();
    let position: Position = match &ask.cursor {
        Some(text) => {
            serde_json::from_str(text).map_err(|_| Error::invalid("this is not a cursor of these values"))?
        }
        None => Position::default(),
    };
    let Some(target) = targets.get(position.target) else { return Ok(OptionPage::default()) };
    let tables = environment.tables(cx, false).await?;
    let Some((table, (set, id))) = tables
        .iter()
        .find(|table| table.logical_name == *target)
        .and_then(|table| Some((table, table.address()?)))
    else {
        return Err(super::unknown_type(target, &tables));
    };
    let name = table.primary_name_attribute.as_deref().filter(|name| super::is_name(name));
    let prefer = format!("odata.maxpagesize={PAGE}");
    let call = match &position.link {
        Some(link) => api::link("options", link, &prefer)?,
        None => {
            let resource = resource(set, id, name, ask.search.as_deref());
            api::get("options", &environment.version, &resource, &prefer)
        }
    };
    let answer: Answer = dialect::read("options", &cx.send(call).await?.body)?;
    let several = reference.targets.len() > 1;
    let options = answer
        .value
        .iter()
        .filter_map(|row| {
            let key = row.get(id)?.as_str()?;
            let label = name.and_then(|name| row.get(name)).and_then(Json::as_str);
            Some(OptionItem {
                value: Json::from(key),
                label: label.unwrap_or(key).to_owned(),
                record_type: several.then(|| (*target).to_owned()),
            })
        })
        .collect();
    let next = match answer.next {
        Some(link) => Some(Position { target: position.target, link: Some(link) }),
        None if position.target + 1 < targets.len() => {
            Some(Position { target: position.target + 1, link: None })
        }
        None => None,
    };
    let next = next
        .map(|next| serde_json::to_string(&next))
        .transpose()
        .map_err(|source| Error::bug("a cursor is not JSON").with_source(source))?;
    Ok(OptionPage { options, next })
}

fn resource(set: &str, id: &str, name: Option<&str>, search: Option<&str>) -> String {
    let Some(name) = name else { return format!("{set}?$select={id}&$orderby={id}") };
    let searched = search.filter(|text| text.len() <= SEARCH_MAX).and_then(odata::searchable);
    let filter = searched.map_or_else(String::new, |literal| {
        format!("&$filter={}", api::encode(&format!("contains({name},{literal})")))
    });
    format!("{set}?$select={id},{name}{filter}&$orderby={name},{id}")
}
