//! Labels and option sets as the metadata endpoints write them.

use serde_json::{Value, json};

use super::guid;

/// The language of the user, and the second one of the organisation.
const ENGLISH: u16 = 1033;
const GERMAN: u16 = 1031;

/// A label in the user's language and, where one is known, in German; empty for an empty text.
pub(super) fn label(text: &str, german: Option<&str>) -> Value {
    if text.is_empty() {
        return json!({ "LocalizedLabels": [], "UserLocalizedLabel": null });
    }
    let own = localized(text, ENGLISH);
    let mut all = vec![own.clone()];
    all.extend(german.map(|german| localized(german, GERMAN)));
    json!({ "LocalizedLabels": all, "UserLocalizedLabel": own })
}

fn localized(text: &str, language: u16) -> Value {
    json!({ "Label": text, "LanguageCode": language, "IsManaged": true,
            "MetadataId": guid::text(guid::named(&format!("{language}{text}"))), "HasChanged": null })
}

/// `1=Label@state>default|...` taken apart.
struct Entry<'a> {
    value: i64,
    label: &'a str,
    state: Option<i64>,
    default: Option<i64>,
}

fn entries(options: &str) -> impl Iterator<Item = Entry<'_>> {
    options.split('|').filter_map(|entry| {
        let (value, rest) = entry.split_once('=')?;
        let (rest, default) = rest.split_once('>').map_or((rest, None), |(rest, to)| (rest, to.parse().ok()));
        let (label, state) = rest.split_once('@').map_or((rest, None), |(rest, of)| (rest, of.parse().ok()));
        Some(Entry { value: value.parse().ok()?, label, state, default })
    })
}

fn option(entry: &Entry<'_>) -> Value {
    json!({ "Value": entry.value, "Color": null, "IsManaged": true, "ExternalValue": null, "ParentValues": [],
            "Tag": null, "IsHidden": false, "MetadataId": null, "HasChanged": null,
            "Label": label(entry.label, None), "Description": label("", None) })
}

fn set(name: &str, title: &str, options: &[Value], kind: &str, global: bool) -> Value {
    json!({ "@odata.type": "#Microsoft.Dynamics.CRM.OptionSetMetadata",
            "MetadataId": guid::text(guid::named(&format!("set {name}"))), "HasChanged": null,
            "IsCustomOptionSet": global, "IsGlobal": global, "IsManaged": !global, "Name": name, "ExternalTypeName":
            null, "OptionSetType": kind, "ParentOptionSetName": null, "IntroducedVersion": "5.0.0.0",
            "DisplayName": label(title, None), "Description": label("", None),
            "IsCustomizable": { "Value": true, "CanBeChanged": true, "ManagedPropertyLogicalName": "iscustomizable" },
            "Options": options })
}

/// An option set of a picklist.
pub(super) fn option_set(name: &str, title: &str, options: &str, global: bool) -> Value {
    let options: Vec<Value> = entries(options).map(|entry| option(&entry)).collect();
    set(name, title, &options, "Picklist", global)
}

/// The option set of a state or a status column.
pub(super) fn state_set(name: &str, title: &str, options: &str, kind: &str) -> Value {
    let options: Vec<Value> = entries(options)
        .map(|entry| {
            let mut out = option(&entry);
            if kind == "state" {
                out["@odata.type"] = json!("#Microsoft.Dynamics.CRM.StateOptionMetadata");
                out["DefaultStatus"] = json!(entry.default);
                out["InvariantName"] = json!(entry.label);
            } else {
                out["@odata.type"] = json!("#Microsoft.Dynamics.CRM.StatusOptionMetadata");
                out["State"] = json!(entry.state);
                out["TransitionData"] = json!(null);
            }
            out
        })
        .collect();
    set(name, title, &options, if kind == "state" { "State" } else { "Status" }, false)
}

/// The option set of a two-option column.
pub(super) fn boolean_set(name: &str, title: &str, options: &str) -> Value {
    let mut out = set(name, title, &[], "Boolean", false);
    out["@odata.type"] = json!("#Microsoft.Dynamics.CRM.BooleanOptionSetMetadata");
    for entry in entries(options) {
        let key = if entry.value == 1 { "TrueOption" } else { "FalseOption" };
        out[key] = option(&entry);
    }
    if let Some(out) = out.as_object_mut() {
        out.remove("Options");
    }
    out
}
