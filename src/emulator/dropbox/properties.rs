//! Property templates and the groups of values that follow them; tags.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Space;
use super::arguments::{Arguments, PathKind};
use super::call::Call;
use super::content::fingerprint;
use super::errors::{Refusal, tagged};
use super::places;
use super::tree::Node;

/// Limits of templates and values (Stone specification, `file_properties`).
const FIELDS: usize = 32;
const LONGEST_NAME: usize = 256;
const LONGEST_VALUE: usize = 1_024;

#[derive(Debug, Clone)]
pub(super) struct Template {
    name: String,
    description: String,
    fields: Vec<Value>,
}

pub(super) type Templates = BTreeMap<String, Template>;

impl Template {
    fn shown(&self) -> Value {
        json!({ "name": self.name, "description": self.description, "fields": self.fields })
    }
}

fn fields(arguments: &Arguments, name: &str) -> Result<Vec<Value>, Refusal> {
    let mut out = Vec::new();
    for field in arguments.objects(name, 0, FIELDS)? {
        field.only(&["name", "description", "type"])?;
        let kind = field.union("type", &["string"], &[])?;
        if kind.is_none() {
            return Err(field.wrong("type", "missing required field"));
        }
        let own = field.text("name")?;
        if own.len() > LONGEST_NAME {
            return Err(Refusal::tags(&["property_field_too_large"]));
        }
        out.push(json!({
            "name": own,
            "description": field.text("description")?,
            "type": { ".tag": "string" },
        }));
    }
    Ok(out)
}

pub(super) fn template(space: &mut Space, call: &Call<'_>, what: &str) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    let missing =
        |id: &str| Refusal::endpoint(json!({ ".tag": "template_not_found", "template_not_found": id }));
    match what {
        "list" => {
            let ids: Vec<&String> = space.templates.keys().collect();
            Ok(json!({ "template_ids": ids }))
        }
        "add" => {
            arguments.only(&["name", "description", "fields"])?;
            let added = Template {
                name: arguments.text("name")?.to_owned(),
                description: arguments.text("description")?.to_owned(),
                fields: fields(arguments, "fields")?,
            };
            let id = format!("ptid:{}", fingerprint(&format!("template {}", space.templates.len())));
            space.templates.insert(id.clone(), added);
            Ok(json!({ "template_id": id }))
        }
        "get" => {
            arguments.only(&["template_id"])?;
            let id = arguments.text("template_id")?;
            space.templates.get(id).map(Template::shown).ok_or_else(|| missing(id))
        }
        "update" => {
            arguments.only(&["template_id", "name", "description", "add_fields"])?;
            let id = arguments.text("template_id")?;
            let more =
                if arguments.has("add_fields") { fields(arguments, "add_fields")? } else { Vec::new() };
            let found = space.templates.get_mut(id).ok_or_else(|| missing(id))?;
            if let Some(name) = arguments.optional_text("name")? {
                name.clone_into(&mut found.name);
            }
            if let Some(description) = arguments.optional_text("description")? {
                description.clone_into(&mut found.description);
            }
            found.fields.extend(more);
            Ok(json!({ "template_id": id }))
        }
        _ => {
            arguments.only(&["template_id"])?;
            let id = arguments.text("template_id")?;
            space.templates.remove(id).map(|_| Value::Null).ok_or_else(|| missing(id))
        }
    }
}

/// The property groups that come with a write, checked against their templates.
pub(super) fn groups(space: &Space, arguments: &Arguments) -> Result<Vec<Value>, Refusal> {
    if !arguments.has("property_groups") {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for group in arguments.objects("property_groups", 0, 32)? {
        group.only(&["template_id", "fields"])?;
        let id = group.text("template_id")?;
        let wrong = |tag: &str| {
            let inner = match tag {
                "template_not_found" => json!({ ".tag": tag, "template_not_found": id }),
                _ => tagged(&[tag]),
            };
            Refusal::endpoint(json!({ ".tag": "properties_error", "properties_error": inner }))
        };
        let template = space.templates.get(id).ok_or_else(|| wrong("template_not_found"))?;
        let mut values = Vec::new();
        for field in group.objects("fields", 0, FIELDS)? {
            field.only(&["name", "value"])?;
            let (name, value) = (field.text("name")?, field.text("value")?);
            if !template.fields.iter().any(|own| own["name"] == name) {
                return Err(wrong("does_not_fit_template"));
            }
            if value.len() > LONGEST_VALUE {
                return Err(wrong("property_field_too_large"));
            }
            values.push(json!({ "name": name, "value": value }));
        }
        out.push(json!({ "template_id": id, "fields": values }));
    }
    Ok(out)
}

/// Puts a group on an entry, in place of the one of its template.
pub(super) fn put(node: &mut Node, group: Value) {
    node.properties.retain(|own| own["template_id"] != group["template_id"]);
    node.properties.push(group);
}

/// Adds, overwrites, updates or removes property groups of an entry.
pub(super) fn of_entry(space: &mut Space, call: &Call<'_>, what: &str) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    let text = arguments.path("path", PathKind::Read)?;
    let mut node = places::existing(&space.tree, &call.view, &space.home, text, "path")?;
    match what {
        "add" | "overwrite" => {
            arguments.only(&["path", "property_groups"])?;
            for group in groups(space, arguments)? {
                if what == "add"
                    && node.properties.iter().any(|own| own["template_id"] == group["template_id"])
                {
                    return Err(Refusal::tags(&["property_group_already_exists"]));
                }
                put(&mut node, group);
            }
        }
        "remove" => {
            arguments.only(&["path", "property_template_ids"])?;
            let ids = arguments.texts("property_template_ids", FIELDS)?;
            node.properties.retain(|own| !ids.iter().any(|id| own["template_id"] == id.as_str()));
        }
        _ => {
            arguments.only(&["path", "update_property_groups"])?;
            for update in arguments.objects("update_property_groups", 0, FIELDS)? {
                update_group(&mut node, &update)?;
            }
        }
    }
    space.tree.put(node);
    Ok(Value::Null)
}

fn update_group(node: &mut Node, update: &Arguments) -> Result<(), Refusal> {
    update.only(&["template_id", "add_or_update_fields", "remove_fields"])?;
    let id = update.text("template_id")?;
    let group = node.properties.iter_mut().find(|own| own["template_id"] == id);
    let Some(fields) = group.and_then(|group| group["fields"].as_array_mut()) else {
        return Err(Refusal::tags(&["property_group_lookup", "property_group_not_found"]));
    };
    let removed = update.texts("remove_fields", FIELDS)?;
    fields.retain(|own| !removed.iter().any(|name| own["name"] == name.as_str()));
    if update.has("add_or_update_fields") {
        for field in update.objects("add_or_update_fields", 0, FIELDS)? {
            let (name, value) = (field.text("name")?, field.text("value")?);
            fields.retain(|own| own["name"] != name);
            fields.push(json!({ "name": name, "value": value }));
        }
    }
    Ok(())
}
