//! Values to choose from: entries of picklists, and records that a reference can point to.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Described, Org, api, dialect, pages, soql};
use crate::error::{Error, Result};
use crate::provider::choices::{self, PAGE};
use crate::provider::{Context, OptionItem, OptionPage, OptionQuery};
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::query::{Pattern, PatternPart};
use crate::record::record_type::{Field, FieldType, Reference};
use crate::record::{FieldPath, RecordType};

/// Bytes of a search text that are looked at.
const SEARCH_MAX: usize = 255;

/// Where a page of records starts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    /// Which of the reference's targets.
    target: usize,
    /// Name and id of the last record.
    last: Option<(String, String)>,
}

/// A page of values for a field.
///
/// # Errors
/// Invalid for a field that has none, and for a wrong cursor.
pub(super) async fn options(
    org: &Org,
    cx: &Context,
    described: &Described,
    path: &FieldPath,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    let record_type = &described.record_type;
    check_names(record_type, ask)?;
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
        Error::invalid(format!("{} has no field {path}", record_type.name))
            .with_field(path.to_string(), "there is no such field")
    })?;
    match &field.field_type {
        FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. } => {
            choices::picklist_page(record_type, field, picklist, ask)
        }
        FieldType::Reference(reference) => {
            records(org, cx, described.record_type.name.as_str(), reference, ask).await
        }
        _ => Err(Error::invalid(format!("{path} has no list of values"))
            .with_field(path.to_string(), "only picklists and references have values to choose from")),
    }
}

/// Refuses values of fields that do not exist, which would narrow nothing.
fn check_names(record_type: &RecordType, ask: &OptionQuery) -> Result<()> {
    let known =
        |name: &str| record_type.field(name).is_some() || record_type.reference_of_type_field(name).is_some();
    let Some(name) = ask.on.keys().find(|name| !known(name)) else { return Ok(()) };
    let names = record_type.fields.iter().map(|field| (field.name.as_str(), field.name.as_str()));
    let error = Error::invalid(format!("{} has no field {name}", record_type.name))
        .with_code("unknown_field")
        .with_field(name, "there is no such field");
    Err(match did_you_mean(&nearest_few(name, names)) {
        Some(question) => error.with_advice(question),
        None => error,
    })
}

/// Records that a reference can point to, by name.
async fn records(
    org: &Org,
    cx: &Context,
    owner: &str,
    reference: &Reference,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    let chosen = reference.type_field.as_ref().and_then(|name| ask.on.get(name)).and_then(Json::as_str);
    let targets: Vec<&str> = match chosen {
        Some(chosen) => {
            reference.targets.iter().map(String::as_str).filter(|target| *target == chosen).collect()
        }
        None => reference.targets.iter().map(String::as_str).collect(),
    };
    let position: Position = match &ask.cursor {
        Some(text) => {
            serde_json::from_str(text).map_err(|_| Error::invalid("this is not a cursor of these values"))?
        }
        None => Position::default(),
    };
    let Some(target) = targets.get(position.target) else { return Ok(OptionPage::default()) };
    let described = org.described(cx, target).await?;
    let name = described
        .describe
        .fields
        .iter()
        .find(|field| field.name_field)
        .map_or("Id", |field| field.name.as_str());
    let text = statement(&described, target, name, owner, ask.search.as_deref(), position.last.as_ref());
    let call = api::query("options", &org.version, &text, false, super::discover::PAGE_MIN);
    let answer: Answer = dialect::read("options", &pages::fetch(cx, call).await?.body)?;
    let mut rows: Vec<(String, String)> = answer
        .records
        .iter()
        .filter_map(|row| {
            let id = row.get("Id")?.as_str()?.to_owned();
            let label = row.get(name).and_then(Json::as_str).unwrap_or(&id).to_owned();
            Some((label, id))
        })
        .collect();
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = if more {
        Some(Position { target: position.target, last: rows.last().cloned() })
    } else if position.target + 1 < targets.len() {
        Some(Position { target: position.target + 1, last: None })
    } else {
        None
    };
    let several = reference.targets.len() > 1;
    let options = rows
        .into_iter()
        .map(|(label, id)| OptionItem {
            value: Json::String(id),
            label,
            record_type: several.then(|| (*target).to_owned()),
        })
        .collect();
    let next = next
        .map(|next| serde_json::to_string(&next))
        .transpose()
        .map_err(|source| Error::bug("a cursor is not JSON").with_source(source))?;
    Ok(OptionPage { options, next })
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<serde_json::Map<String, Json>>,
}

fn statement(
    described: &Described,
    target: &str,
    name: &str,
    owner: &str,
    search: Option<&str>,
    last: Option<&(String, String)>,
) -> String {
    let mut conditions = Vec::new();
    let has = |name: &str| described.record_type.field(name).is_some_and(|field| field.filterable);
    if target == "RecordType" && has("SobjectType") {
        conditions.push(format!("SobjectType = {}", soql::quoted(owner)));
    }
    if let Some(text) = search.map(str::trim).filter(|text| !text.is_empty() && text.len() <= SEARCH_MAX)
        && name != "Id"
        && has(name)
    {
        let pattern =
            Pattern(vec![PatternPart::AnyRun, PatternPart::Literal(text.to_owned()), PatternPart::AnyRun]);
        if let Some(literal) = soql::like(&pattern, false) {
            conditions.push(format!("{name} LIKE {literal}"));
        }
    }
    if let Some((label, id)) = last {
        let (label, id) = (soql::quoted(label), soql::quoted(id));
        conditions.push(if name == "Id" {
            format!("Id > {id}")
        } else {
            format!("({name} > {label} OR ({name} = {label} AND Id > {id}))")
        });
    }
    let condition =
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let (select, order) = match name {
        "Id" => ("Id".to_owned(), "Id ASC".to_owned()),
        name => (format!("Id, {name}"), format!("{name} ASC NULLS LAST, Id ASC")),
    };
    format!("SELECT {select} FROM {target}{condition} ORDER BY {order} LIMIT {}", PAGE + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picklist(name: &str, values: Json) -> Json {
        json!({"name": name, "type": "picklist", "picklistValues": values})
    }

    /// A checkbox controls a country, which controls a state.
    fn chain() -> RecordType {
        let entry = |value: &str, valid_for: Json| json!({"value": value, "label": value.to_uppercase(), "active": true, "validFor": valid_for});
        let mut country =
            picklist("Country", json!([entry("IT", json!("gAAA")), entry("MX", json!("QAAA"))]));
        country["controllerName"] = json!("Abroad");
        let mut old = entry("old", json!("wAAA"));
        old["active"] = json!(false);
        let mut state = picklist(
            "State",
            json!([entry("ag", json!("gAAA")), entry("ag", json!("QAAA")), entry("zz", json!("QAAA")), old]),
        );
        state["controllerName"] = json!("Country");
        let describe =
            json!({"name": "T", "fields": [{"name": "Abroad", "type": "boolean"}, country, state]});
        super::super::discover::record_type(&serde_json::from_value(describe).unwrap())
    }

    fn values(field: &str, on: Json) -> Vec<String> {
        let record_type = chain();
        let field = record_type.field(field).unwrap();
        let FieldType::Picklist(picklist) = &field.field_type else { panic!() };
        let ask = OptionQuery { on: on.as_object().unwrap().clone(), ..OptionQuery::default() };
        let page = choices::picklist_page(&record_type, field, picklist, &ask).unwrap();
        page.options.into_iter().map(|item| item.value.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn entries_follow_the_controlling_value_and_come_once() {
        assert_eq!(values("State", json!({})), ["ag", "zz"]);
        assert_eq!(values("State", json!({"Country": "IT"})), ["ag"]);
        assert_eq!(values("State", json!({"Country": "MX"})), ["ag", "zz"]);
        assert!(values("State", json!({"Country": "FR"})).is_empty());
    }

    #[test]
    fn a_checkbox_narrows_and_so_does_the_controller_of_a_controller() {
        assert_eq!(values("Country", json!({"Abroad": "true"})), ["MX"]);
        assert_eq!(values("Country", json!({"Abroad": false})), ["IT"]);
        assert_eq!(values("State", json!({"Abroad": "FALSE"})), ["ag"]);
        assert_eq!(values("State", json!({"Abroad": true})), ["ag", "zz"]);
        assert_eq!(values("State", json!({"Abroad": true, "Country": "IT"})), ["ag"]);
    }

    #[test]
    fn a_value_of_a_field_that_does_not_exist_is_refused() {
        let ask = OptionQuery {
            on: json!({"Contry": "IT"}).as_object().unwrap().clone(),
            ..OptionQuery::default()
        };
        let error = check_names(&chain(), &ask).unwrap_err();
        assert_eq!(error.code(), Some("unknown_field"));
        assert!(error.advice().unwrap().contains("Country"), "{error}");
    }
}
