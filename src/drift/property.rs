//! One property in two schemas.

use serde_json::Value as Json;

use super::diff::{Found, Severity, members, relabelled};
use crate::record::number::Number;

/// A property of a schema with its metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property<'a> {
    pub(super) schema: &'a Json,
    pub(super) meta: &'a Json,
    pub(super) required: bool,
}

impl Property<'_> {
    /// The JSON type beside null.
    fn base(&self) -> &str {
        match &self.schema["type"] {
            Json::Array(types) => {
                types.iter().filter_map(Json::as_str).find(|name| *name != "null").unwrap_or("")
            }
            one => one.as_str().unwrap_or(""),
        }
    }

    fn nullable(&self) -> bool {
        self.schema["type"].as_array().is_some_and(|types| types.iter().any(|name| name == "null"))
    }

    fn kind(&self) -> &str {
        self.meta["kind"].as_str().unwrap_or("")
    }

    /// The values to choose from with their labels, and whether no other is taken.
    fn choices(&self) -> (Vec<(Json, String)>, bool) {
        let place = if self.schema["items"].is_object() { &self.schema["items"] } else { self.schema };
        let label = |option: &Json, name: &str| option[name].as_str().unwrap_or_default().to_owned();
        if let Some(options) = place["oneOf"].as_array() {
            let choices = options.iter().filter(|option| !option["const"].is_null());
            return (choices.map(|option| (option["const"].clone(), label(option, "title"))).collect(), true);
        }
        if let Some(values) = place["enum"].as_array() {
            let values = values.iter().filter(|value| !value.is_null());
            return (
                values.map(|value| (value.clone(), value.as_str().unwrap_or("").to_owned())).collect(),
                true,
            );
        }
        let closed = self.meta["picklist"]["restricted"] == true;
        match self.meta["options"].as_array() {
            Some(options) => {
                let active = options.iter().filter(|option| option["active"] != false);
                (active.map(|option| (option["value"].clone(), label(option, "label"))).collect(), closed)
            }
            None => (Vec::new(), closed && self.meta["picklist"].is_object()),
        }
    }
}

/// Finds what is different in a property.
pub(super) fn compare(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    if kind(found, path, old, new) {
        presence(found, path, old, new);
        bounds(found, path, old, new);
        forms(found, path, old, new);
        choices(found, path, old, new);
        dependence(found, path, old, new);
        references(found, path, old, new);
        keys(found, path, old, new);
    } else {
        presence(found, path, old, new);
    }
    looks(found, path, old, new);
}

/// Kinds of plain text.
const TEXTS: [&str; 5] = ["text", "email", "phone", "url", "id"];

/// What it holds; false when that is something else now, so that its parts need no telling.
fn kind(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) -> bool {
    let text = |property: &Property<'_>| TEXTS.contains(&property.kind());
    // Which kind of text it is shows in its form.
    if old.base() == new.base() && (old.kind() == new.kind() || (text(old) && text(new))) {
        return true;
    }
    let name = |property: &Property<'_>| {
        if property.kind().is_empty() { property.base().to_owned() } else { property.kind().to_owned() }
    };
    let message = format!("it held {} and holds {}", name(old), name(new));
    // A field that takes every number takes whole ones too.
    if found.writes() && old.base() == "integer" && new.base() == "number" {
        found.put(Severity::Compatible, path, "type_widened", message, None);
        return true;
    }
    let repair = "Add a step that makes the one of the other, as `recordport map check` proposes".to_owned();
    found.put(Severity::Breaking, path, "type_changed", message, Some(repair));
    false
}

/// Whether it has to be there, and may be null.
fn presence(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    let writes = found.writes();
    match (old.required, new.required) {
        (false, true) if writes => {
            let repair = "Add a rule for it, with a default step where its source may be empty".to_owned();
            found.put(
                Severity::Breaking,
                path,
                "became_required",
                "it must be given now".to_owned(),
                Some(repair),
            );
        }
        (true, false) => {
            let message = "it need not be there any more".to_owned();
            let severity = if writes { Severity::Compatible } else { Severity::Breaking };
            found.put(severity, path, "became_optional", message, None);
        }
        (false, true) => {
            found.put(
                Severity::Compatible,
                path,
                "became_required",
                "it is always there now".to_owned(),
                None,
            );
        }
        _ => {}
    }
    match (old.nullable(), new.nullable()) {
        (true, false) if writes => {
            let repair = "Add a default step, so that it is never null".to_owned();
            found.put(
                Severity::Breaking,
                path,
                "null_refused",
                "it cannot be null any more".to_owned(),
                Some(repair),
            );
        }
        (true, false) => {
            found.put(Severity::Compatible, path, "null_refused", "it is never null now".to_owned(), None);
        }
        (false, true) if writes => {
            found.put(Severity::Compatible, path, "null_allowed", "it may be null now".to_owned(), None);
        }
        (false, true) => {
            let repair = "Say in its rule what an empty value becomes".to_owned();
            found.put(
                Severity::Breaking,
                path,
                "null_allowed",
                "it may be null now".to_owned(),
                Some(repair),
            );
        }
        _ => {}
    }
}

/// A bound: where it stands, and whether more of it is narrower.
const BOUNDS: [(&str, &str, bool); 9] = [
    ("maxLength", "length_changed", false),
    ("minLength", "length_changed", true),
    ("maximum", "range_changed", false),
    ("minimum", "range_changed", true),
    ("maxItems", "items_changed", false),
    ("minItems", "items_changed", true),
    ("scale", "scale_changed", false),
    ("precision", "precision_changed", false),
    ("maxBytes", "size_changed", false),
];

fn bounds(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    for (name, change, lower) in BOUNDS {
        let of = |property: &Property<'_>| {
            let value = match name {
                "scale" | "precision" => &property.meta[name],
                "maxBytes" => &property.meta["binary"][name],
                _ => &property.schema[name],
            };
            value.is_number().then(|| value.to_string())
        };
        let (before, after) = (of(old), of(new));
        if before == after {
            continue;
        }
        let number = |text: &Option<String>| text.as_deref().and_then(Number::parse);
        let narrower = match (number(&before), number(&after)) {
            (None, _) => true,
            (_, None) => false,
            (Some(before), Some(after)) => (after < before) != lower,
        };
        let word = |bound: &Option<String>| bound.clone().unwrap_or_else(|| "none".to_owned());
        let message = format!("{name} was {} and is {}", word(&before), word(&after));
        if narrower && found.writes() {
            let repair = match name {
                "maxLength" => "Add a truncate step to its rule",
                "scale" => "Add a round step to its rule",
                _ => "Let the mapping's rule give values that fit",
            };
            found.put(Severity::Breaking, path, change, message, Some(repair.to_owned()));
        } else {
            found.put(Severity::Compatible, path, change, message, None);
        }
    }
}

/// How texts and lists are written.
fn forms(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    let of = |property: &Property<'_>, name: &str| -> Json {
        let value = match name {
            "text" | "timezone" => &property.meta[name],
            "element" => &property.schema["items"]["type"],
            _ => &property.schema[name],
        };
        // Whether a form shows dots does not change what is written.
        if value == "password" { Json::Null } else { value.clone() }
    };
    for name in ["format", "pattern", "contentEncoding", "uniqueItems", "text", "timezone", "element"] {
        let (before, after) = (of(old, name), of(new, name));
        if before == after {
            continue;
        }
        let word = |value: &Json| if value.is_null() { "none".to_owned() } else { value.to_string() };
        let message = format!("{name} was {} and is {}", word(&before), word(&after));
        let plain = |value: &Json| value.is_null() || value == "multiline";
        let eased = found.writes() && after.is_null();
        if eased || (name == "text" && plain(&before) && plain(&after)) {
            found.put(Severity::Compatible, path, "form_changed", message, None);
        } else {
            let repair = "Add a step that writes the new form".to_owned();
            found.put(Severity::Breaking, path, "form_changed", message, Some(repair));
        }
    }
}

/// The values to choose from.
fn choices(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    let ((before, was_closed), (after, is_closed)) = (old.choices(), new.choices());
    let writes = found.writes();
    if was_closed != is_closed {
        let message = if is_closed { "only listed values are taken now" } else { "any value is taken now" };
        let breaks = is_closed && writes;
        let severity = if breaks { Severity::Breaking } else { Severity::Compatible };
        let repair = breaks.then(|| "Add a picklist step to its rule".to_owned());
        found.put(severity, path, "choice_restricted", message.to_owned(), repair);
    }
    let missing = |from: &[(Json, String)], others: &[(Json, String)]| -> Vec<String> {
        from.iter()
            .filter(|(value, _)| !others.iter().any(|(other, _)| other == value))
            .map(|(value, _)| value.to_string())
            .collect()
    };
    let removed = missing(&before, &after);
    if !removed.is_empty() {
        let message = format!("these values cannot be chosen any more: {}", removed.join(", "));
        let breaks = writes && is_closed;
        let severity = if breaks { Severity::Breaking } else { Severity::Compatible };
        let repair = breaks.then(|| "Map them to others in its picklist step".to_owned());
        found.put(severity, path, "choices_removed", message, repair);
    }
    let added = missing(&after, &before);
    if !added.is_empty() {
        let message = format!("these values are new: {}", added.join(", "));
        let repair = (!writes).then(|| "Add them to value maps that read this field".to_owned());
        found.put(Severity::Compatible, path, "choices_added", message, repair);
    }
    let relabelled = after
        .iter()
        .filter(|(value, label)| before.iter().any(|(other, was)| other == value && was != label));
    let relabelled: Vec<String> = relabelled.map(|(value, label)| format!("{value} is {label:?}")).collect();
    if !relabelled.is_empty() {
        let message = format!("labels of values changed: {}", relabelled.join(", "));
        found.put(Severity::Cosmetic, path, "choice_labels_changed", message, None);
    }
}

/// The field that decides which values can be chosen.
fn dependence(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    if old.meta["dependsOn"] != new.meta["dependsOn"] {
        let stricter = !new.meta["dependsOn"].is_null();
        let message = match new.meta["dependsOn"].as_array() {
            Some(by) => format!(
                "its values depend on {} now",
                by.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
            ),
            None => "its values depend on no other field any more".to_owned(),
        };
        let breaks = stricter && found.writes();
        let severity = if breaks { Severity::Breaking } else { Severity::Compatible };
        let repair = breaks.then(|| "Let the mapping set both fields to values that go together".to_owned());
        found.put(severity, path, "dependence_changed", message, repair);
        return;
    }
    let (before, after) = (members(&old.meta["validFor"]), members(&new.meta["validFor"]));
    let lost: Vec<String> = before
        .iter()
        .flat_map(|(by, values)| values.as_array().into_iter().flatten().map(move |value| (by, value)))
        .filter(|(by, value)| {
            !after.get(*by).and_then(Json::as_array).is_some_and(|values| values.contains(value))
        })
        .map(|(by, value)| format!("{value} with {by:?}"))
        .collect();
    if !lost.is_empty() {
        let message = format!("these values do not go together any more: {}", lost.join(", "));
        let severity = if found.writes() { Severity::Breaking } else { Severity::Compatible };
        let repair = found.writes().then(|| "Map to values that go together".to_owned());
        found.put(severity, path, "dependence_changed", message, repair);
    } else if before != after {
        let message = "more values go together".to_owned();
        found.put(Severity::Compatible, path, "dependence_changed", message, None);
    }
}

/// The types that a reference leads to.
fn references(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    let targets = |property: &Property<'_>| -> Vec<String> {
        let listed = property.meta["reference"]["targets"].as_array().into_iter().flatten();
        listed.filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let (before, after) = (targets(old), targets(new));
    let lost: Vec<&str> = before.iter().filter(|one| !after.contains(one)).map(String::as_str).collect();
    let won: Vec<&str> = after.iter().filter(|one| !before.contains(one)).map(String::as_str).collect();
    if !lost.is_empty() {
        let message = format!("it leads no more to {}", lost.join(", "));
        let repair = "Let the mapping's rule give keys of the types that are left".to_owned();
        let severity = if found.writes() { Severity::Breaking } else { Severity::Compatible };
        let repair = found.writes().then_some(repair);
        found.put(severity, path, "targets_removed", message, repair);
    }
    if !won.is_empty() {
        let message = format!("it also leads to {}", won.join(", "));
        found.put(Severity::Compatible, path, "targets_added", message, None);
    }
    let named = |property: &Property<'_>| property.meta["reference"]["relationship"].clone();
    if named(old) != named(new) && !named(old).is_null() && !found.writes() {
        let message = format!("paths through it began with {} and begin with {}", named(old), named(new));
        let repair = "Use the new name in paths of the mapping".to_owned();
        found.put(Severity::Breaking, path, "relationship_renamed", message, Some(repair));
    }
}

/// Whether records are found by it.
fn keys(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    for (name, change, lost, won) in [
        ("lookupKey", "key_changed", "records cannot be found by it any more", "records can be found by it"),
        (
            "unique",
            "uniqueness_changed",
            "its values are not unique any more",
            "its values must be unique now",
        ),
    ] {
        let of = |property: &Property<'_>| property.meta[name] == true;
        match (of(old), of(new)) {
            (true, false) => {
                let breaks = name == "lookupKey";
                let severity = if breaks { Severity::Breaking } else { Severity::Compatible };
                let repair =
                    breaks.then(|| "Upsert by another key, or mark the field as one again".to_owned());
                found.put(severity, path, change, lost.to_owned(), repair);
            }
            (false, true) => {
                let breaks = name == "unique" && found.writes();
                let severity = if breaks { Severity::Breaking } else { Severity::Compatible };
                let repair = breaks.then(|| "Let the mapping give each record a value of its own".to_owned());
                found.put(severity, path, change, won.to_owned(), repair);
            }
            _ => {}
        }
    }
}

/// What people see.
fn looks(found: &mut Found, path: &str, old: &Property<'_>, new: &Property<'_>) {
    if old.schema["title"] != new.schema["title"] {
        let message = relabelled(&old.schema["title"], &new.schema["title"]);
        let repair = "None is needed: mappings go by the field's id, which is the same".to_owned();
        found.put(Severity::Cosmetic, path, "label_changed", message, Some(repair));
    }
    if old.schema["description"] != new.schema["description"]
        && old.meta["reference"] == new.meta["reference"]
    {
        found.put(Severity::Cosmetic, path, "help_changed", "its help text is another".to_owned(), None);
    }
    if old.schema["default"] != new.schema["default"] || old.meta["defaultFrom"] != new.meta["defaultFrom"] {
        let message = format!("its default was {} and is {}", old.schema["default"], new.schema["default"]);
        found.put(Severity::Compatible, path, "default_changed", message, None);
    }
    for (name, change) in
        [("group", "group_changed"), ("visibility", "visibility_changed"), ("sensitive", "masking_changed")]
    {
        if old.meta[name] != new.meta[name] {
            found.put(Severity::Cosmetic, path, change, format!("its {name} is another"), None);
        }
    }
    for name in ["create", "update", "filter", "sort"] {
        let of = |property: &Property<'_>| property.meta["access"][name] == true;
        if of(old) != of(new) {
            let message = format!("whether it can be used to {name} has changed");
            // What can be set is told by the schemas of those operations.
            let severity =
                if matches!(name, "create" | "update") { Severity::Cosmetic } else { Severity::Compatible };
            found.put(severity, path, "access_changed", message, None);
        }
    }
}
