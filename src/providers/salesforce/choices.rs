//! Values to choose from: entries of picklists, and records that a reference can point to.

use serde::Deserialize;
use serde_json::Value as Json;

use super::{Described, Org, api, dialect, pages, soql};
use crate::error::Result;
use crate::provider::choices::{Choices, PAGE, Place, SEARCH_MAX, choices};
use crate::provider::{Context, OptionPage, OptionQuery};
use crate::record::FieldPath;
use crate::record::query::{Pattern, PatternPart};
use crate::record::record_type::Reference;

/// Label and id of the last record of a page.
type Last = (String, String);

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
    match choices(&described.record_type, path, ask)? {
        Choices::Page(page) => Ok(page),
        Choices::Records(reference) => {
            records(org, cx, described.record_type.name.as_str(), reference, ask).await
        }
    }
}

/// Records that a reference can point to, by name.
async fn records(
    org: &Org,
    cx: &Context,
    owner: &str,
    reference: &Reference,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    let Some((target, place)) = Place::<Last>::of(reference, ask)? else { return Ok(OptionPage::default()) };
    let described = org.described(cx, target).await?;
    let name = described
        .describe
        .fields
        .iter()
        .find(|field| field.name_field)
        .map_or("Id", |field| field.name.as_str());
    let text = statement(&described, target, name, owner, ask.search.as_deref(), place.at.as_ref());
    let call = api::query("options", &org.version, &text, false, super::discover::PAGE_MIN);
    let answer: Answer = dialect::read("options", &pages::fetch(cx, call).await?.body)?;
    let mut rows: Vec<(String, String)> = answer
        .records
        .iter()
        .filter_map(|row| {
            let id = row.get("Id")?.as_str()?.to_owned();
            let label = row.get(name).and_then(Json::as_str).unwrap_or(&id).to_owned();
            Some((id, label))
        })
        .collect();
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| more).map(|(id, label)| (label.clone(), id.clone()));
    place.page(reference, ask, rows, next)
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
    last: Option<&Last>,
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
    use crate::record::RecordType;

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
        let ask = OptionQuery { on: on.as_object().unwrap().clone(), ..OptionQuery::default() };
        let Choices::Page(page) = choices(&record_type, &FieldPath::of([field]), &ask).unwrap() else {
            panic!()
        };
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
        let error = choices(&chain(), &FieldPath::of(["State"]), &ask).unwrap_err();
        assert_eq!(error.code(), Some("unknown_field"));
        assert!(error.advice().unwrap().contains("Country"), "{error}");
    }
}
