//! What two form libraries want beside a schema.

use serde_json::{Map, Value as Json, json};

/// The `uiSchema` of react-jsonschema-form for a schema with metadata: order, multi-line editors, help, and in
/// the root's `ui:options` the form behaviour that does not fill untouched picklists.
#[must_use]
pub fn rjsf_ui_schema(schema: &Json) -> Json {
    let mut ui = Map::new();
    ui.insert("ui:order".into(), names(schema).collect());
    ui.insert(
        "ui:options".into(),
        json!({"experimental_defaultFormStateBehavior": {"constAsDefaults": "skipOneOf"}}),
    );
    members_of(schema, schema, "", &mut ui);
    Json::Object(ui)
}

fn members_of(root: &Json, schema: &Json, prefix: &str, ui: &mut Map<String, Json>) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    for (name, property) in properties {
        let path = format!("{prefix}{name}");
        let meta = meta(root, property, &path);
        let mut own = Map::new();
        if meta.get("text").is_some() || meta.get("kind").is_some_and(|kind| kind == "json") {
            own.insert("ui:widget".into(), "textarea".into());
        } else if property.get("format").is_some_and(|format| format == "password") {
            own.insert("ui:widget".into(), "password".into());
        }
        if let Some(help) = property.get("description") {
            own.insert("ui:help".into(), help.clone());
            own.insert("ui:description".into(), "".into());
        }
        members_of(root, property, &format!("{path}."), &mut own);
        if !own.is_empty() {
            ui.insert(name.clone(), Json::Object(own));
        }
    }
}

/// The UI schema of JSON Forms: a control for each property, in groups where fields have one.
#[must_use]
pub fn jsonforms_ui_schema(schema: &Json) -> Json {
    let mut plain: Vec<Json> = Vec::new();
    let mut groups: Vec<(String, Vec<Json>)> = Vec::new();
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
    for (name, property) in properties {
        let meta = meta(schema, property, name);
        let mut control = Map::new();
        control.insert("type".into(), "Control".into());
        let escaped = name.replace('~', "~0").replace('/', "~1");
        control.insert("scope".into(), format!("#/properties/{escaped}").into());
        if meta.get("text").is_some() || meta.get("kind").is_some_and(|kind| kind == "json") {
            control.insert("options".into(), json!({"multi": true}));
        }
        let control = Json::Object(control);
        match meta.get("group").and_then(Json::as_str) {
            None => plain.push(control),
            Some(group) => match groups.iter_mut().find(|(label, _)| label == group) {
                Some((_, controls)) => controls.push(control),
                None => groups.push((group.to_owned(), vec![control])),
            },
        }
    }
    plain.extend(
        groups
            .into_iter()
            .map(|(label, elements)| json!({"type": "Group", "label": label, "elements": elements})),
    );
    json!({"type": "VerticalLayout", "elements": plain})
}

fn names(schema: &Json) -> impl Iterator<Item = Json> {
    schema
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flat_map(|properties| properties.keys().map(|name| Json::from(name.as_str())))
}

fn meta<'a>(root: &'a Json, property: &'a Json, path: &str) -> &'a Json {
    root.pointer("/definitions/record-meta/const/fields")
        .and_then(|fields| fields.get(path))
        .or_else(|| property.get("x-record"))
        .unwrap_or(&Json::Null)
}
