//! The root `if`/`then`/`else` by which a form narrows dependent picklists.

use serde_json::{Map, Value as Json, json};

use super::property::{Choices, choices_form, distinct, null_choice, spelled};
use super::tree::Node;
use crate::record::record_type::{Picklist, PicklistValue};
use crate::record::{Field, FieldType, RecordType};

/// More controlling values than this make the chain too deep for form libraries; the metadata still tells.
const MOST_CONTROLLING_VALUES: usize = 30;

/// The chain for the first controlling field that has few enough values. There can be one only, for the root
/// may not have `allOf`: other dependent picklists are told by the metadata.
pub(super) fn chain(record_type: &RecordType, nodes: &[Node]) -> Option<Map<String, Json>> {
    let settable = |name: &str| nodes.iter().find(|node| node.path == name && !is_read_only(node));
    let dependents: Vec<Dependent<'_>> = nodes
        .iter()
        .filter(|node| !is_read_only(node))
        .filter_map(|node| {
            let field = record_type.field(&node.path)?;
            let (picklist, multi) = picklist(field)?;
            let controller = field.controlled_by.as_deref()?;
            settable(controller)?;
            (choices_form(picklist, true) == Choices::Spelled).then_some(Dependent {
                node,
                picklist,
                multi,
                controller,
            })
        })
        .collect();
    dependents.iter().find_map(|first| {
        let values = controlling_values(record_type.field(first.controller)?)?;
        let controller = settable(first.controller)?;
        let together: Vec<&Dependent<'_>> =
            dependents.iter().filter(|other| other.controller == first.controller).collect();
        values.into_iter().rev().fold(None, |rest: Option<Map<String, Json>>, value| {
            let narrowed: Map<String, Json> = together
                .iter()
                .filter_map(|dependent| Some((dependent.node.name.clone(), dependent.narrowed(&value)?)))
                .collect();
            if narrowed.is_empty() {
                return rest;
            }
            let mut link = Map::new();
            let name = controller.name.as_str();
            link.insert("if".into(), json!({"properties": {name: {"const": value}}, "required": [name]}));
            link.insert("then".into(), json!({"properties": narrowed}));
            if let Some(rest) = rest {
                link.insert("else".into(), Json::Object(rest));
            }
            Some(link)
        })
    })
}

struct Dependent<'a> {
    node: &'a Node,
    picklist: &'a Picklist,
    multi: bool,
    controller: &'a str,
}

impl Dependent<'_> {
    /// The property's schema while the controlling field has this value.
    fn narrowed(&self, controlling: &Json) -> Option<Json> {
        // A value may stand several times, each time for other controlling values.
        let fits = |value: &Json| {
            self.picklist
                .values
                .iter()
                .any(|choice| choice.active && choice.value == *value && valid_with(choice, controlling))
        };
        let values: Vec<&PicklistValue> =
            distinct(self.picklist, true).into_iter().filter(|choice| fits(&choice.value)).collect();
        if self.multi {
            return Some(if values.is_empty() {
                json!({"type": "array", "maxItems": 0})
            } else {
                json!({"type": "array", "items": {"oneOf": spelled(values)}})
            });
        }
        if values.is_empty() && self.node.required {
            return None;
        }
        let nullable = self.node.schema.get("type").is_some_and(Json::is_array);
        let mut options = vec![null_choice(nullable)];
        options.extend(spelled(values));
        Some(json!({"oneOf": options}))
    }
}

fn valid_with(choice: &PicklistValue, controlling: &Json) -> bool {
    choice.valid_for.as_ref().is_none_or(|values| values.contains(controlling))
}

fn is_read_only(node: &Node) -> bool {
    node.schema.get("readOnly").is_some()
}

fn picklist(field: &Field) -> Option<(&Picklist, bool)> {
    match &field.field_type {
        FieldType::Picklist(picklist) => Some((picklist, false)),
        FieldType::MultiPicklist { picklist, .. } => Some((picklist, true)),
        _ => None,
    }
}

fn controlling_values(field: &Field) -> Option<Vec<Json>> {
    let values: Vec<Json> = match &field.field_type {
        FieldType::Boolean => vec![false.into(), true.into()],
        FieldType::Picklist(picklist) => {
            distinct(picklist, true).into_iter().map(|choice| choice.value.clone()).collect()
        }
        _ => return None,
    };
    (!values.is_empty() && values.len() <= MOST_CONTROLLING_VALUES).then_some(values)
}
