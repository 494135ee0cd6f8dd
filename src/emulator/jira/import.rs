//! Create metadata from a file: the reply for one issue type (`fields`), or the older one for whole projects.

use serde_json::{Value, json};

use super::model::{Choice, Field, IssueType, Kind, Model, OnScreen, Project, Screen};

/// Puts what a file describes into a site.
///
/// # Errors
/// A sentence when the text is no create metadata.
pub(super) fn apply(model: &mut Model, text: &str) -> Result<(), String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if let Some(projects) = whole["projects"].as_array() {
        for project in projects {
            for issue_type in project["issuetypes"].as_array().into_iter().flatten() {
                let fields = issue_type["fields"].as_object().into_iter().flatten();
                let fields: Vec<Value> = fields.map(|(id, own)| with_id(id, own)).collect();
                screen(model, project, issue_type, &fields)?;
            }
        }
        return Ok(());
    }
    // Cloud says fields, its specification also results, Data Center values.
    let rows = ["fields", "results", "values"].iter().find_map(|name| whole[*name].as_array());
    let rows =
        rows.filter(|rows| rows.iter().all(|own| own["fieldId"].is_string() && own["schema"].is_object()));
    let rows =
        rows.ok_or("this is no create metadata: it has neither projects nor fields with fieldId and schema")?;
    let allowed = |field: &str| {
        let own = rows.iter().find(|own| own["fieldId"] == field);
        own.and_then(|own| own["allowedValues"].get(0)).cloned()
    };
    let project =
        allowed("project").unwrap_or_else(|| json!({ "id": "19000", "key": "IMP", "name": "Imported" }));
    let issue_type = allowed("issuetype")
        .unwrap_or_else(|| json!({ "id": "19001", "name": "Imported", "hierarchyLevel": 0 }));
    screen(model, &project, &issue_type, rows)
}

fn with_id(id: &str, own: &Value) -> Value {
    let mut own = own.clone();
    if own["fieldId"].is_null() {
        own["fieldId"] = json!(id);
    }
    own
}

fn screen(model: &mut Model, project: &Value, issue_type: &Value, fields: &[Value]) -> Result<(), String> {
    let text = |value: &Value, name: &str| -> Result<String, String> {
        value[name].as_str().map(str::to_owned).ok_or_else(|| format!("{name} is missing in {value}"))
    };
    let type_id = text(issue_type, "id")?;
    if model.issue_type(&type_id).is_none() {
        let level = if issue_type["subtask"] == true { -1 } else { 0 };
        model.types.push(IssueType {
            id: type_id.clone(),
            name: text(issue_type, "name")?,
            level: issue_type["hierarchyLevel"].as_i64().unwrap_or(level),
        });
    }
    let mut shown = Vec::new();
    for own in fields {
        let id = text(own, "fieldId")?;
        match model.fields.iter_mut().find(|field| field.id == id) {
            Some(known) if known.is_custom() => *known = field(own, &id),
            Some(_) => {}
            None => model.fields.push(field(own, &id)),
        }
        let required = own["required"] == true;
        shown.push(OnScreen { field: id, required, described: Some(own.clone()) });
    }
    let new = Screen { issue_type: type_id.clone(), fields: shown };
    let key = text(project, "key")?;
    match model.projects.iter_mut().find(|own| own.key == key) {
        Some(known) => {
            known.screens.retain(|own| own.issue_type != type_id);
            known.screens.push(new);
        }
        None => model.projects.push(Project {
            id: text(project, "id")?,
            name: project["name"].as_str().unwrap_or(&key).to_owned(),
            key,
            screens: vec![new],
            versions: Vec::new(),
            components: Vec::new(),
        }),
    }
    Ok(())
}

fn field(own: &Value, id: &str) -> Field {
    let name = own["name"].as_str().unwrap_or(id).to_owned();
    let number = id.strip_prefix("customfield_");
    let clauses = number.map(|number| vec![format!("cf[{number}]"), name.clone()]).unwrap_or_default();
    Field {
        id: id.to_owned(),
        key: own["key"].as_str().unwrap_or(id).to_owned(),
        kind: Kind::of_schema(&own["schema"]),
        schema: own["schema"].clone(),
        choices: choices(&own["allowedValues"]),
        clauses,
        navigable: true,
        name,
    }
}

fn choices(list: &Value) -> Vec<Choice> {
    let one = |own: &Value| {
        Some(Choice {
            id: own["id"].as_str()?.to_owned(),
            value: own["value"].as_str()?.to_owned(),
            children: choices(&own["children"]),
        })
    };
    list.as_array().into_iter().flatten().filter_map(one).collect()
}
