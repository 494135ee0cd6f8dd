//! The properties of a schema as a tree, before layout and annotations decide where things stand.

use schemars::Schema;
use serde_json::{Map, Value as Json};

use super::property::{Place, list_bounds, property};
use super::{Layout, SchemaOptions, SchemaPurpose, metadata, settable, title_of};
use crate::record::record_type::{Picklist, PicklistValue, Reference};
use crate::record::{Field, FieldType, RecordType};

/// One property.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Property name.
    pub(super) name: String,
    /// Path by which the record holds it.
    pub(super) path: String,
    /// Its schema, without `properties` and `items`.
    pub(super) schema: Schema,
    /// What JSON Schema has no keyword for.
    pub(super) meta: Map<String, Json>,
    /// Whether the object around requires it.
    pub(super) required: bool,
    /// Properties, for objects.
    pub(super) children: Vec<Node>,
    /// The element, for lists of objects.
    pub(super) element: Option<Box<Node>>,
}

impl Node {
    /// A node for a field at a place.
    pub(super) fn of(record_type: &RecordType, field: &Field, path: String, place: &Place<'_>) -> Self {
        let mut node = Self {
            name: field.name.clone(),
            schema: property(field, place),
            meta: metadata::of_field(record_type, field, place),
            required: place.required,
            children: Vec::new(),
            element: None,
            path,
        };
        match &field.field_type {
            FieldType::Object { fields } => {
                node.children = of_list(record_type, fields, &node.path, place, &|_| false);
            }
            FieldType::List { element } => {
                let inside =
                    Place { nullable: false, required: false, read_only: false, element: true, ..*place };
                let path = format!("{}[]", node.path);
                node.element = Some(Box::new(Self::of(record_type, element, path, &inside)));
            }
            _ => {}
        }
        node
    }
}

/// The tree for read, create and update.
pub(super) fn of_fields(
    record_type: &RecordType,
    purpose: SchemaPurpose,
    options: &SchemaOptions,
) -> Vec<Node> {
    let is_key = |name: &str| record_type.key.0.iter().any(|key| key == name);
    let place = Place::root(purpose, options);
    let nodes = of_list(record_type, &record_type.fields, "", &place, &is_key);
    arrange(nodes, options)
}

/// The tree for the key.
pub(super) fn of_key(record_type: &RecordType, options: &SchemaOptions) -> Vec<Node> {
    let place = Place { required: true, nullable: false, ..Place::root(SchemaPurpose::Key, options) };
    let nodes = record_type
        .key
        .0
        .iter()
        .map(|name| {
            let made_up;
            let field = match record_type.field(name) {
                Some(field) => field,
                None => {
                    made_up = Field::new(name.as_str(), FieldType::text(255));
                    &made_up
                }
            };
            Node::of(record_type, field, name.clone(), &place)
        })
        .collect();
    arrange(nodes, options)
}

/// Numbers the nodes in order, after the layout has been applied.
pub(super) fn arrange(mut nodes: Vec<Node>, options: &SchemaOptions) -> Vec<Node> {
    if options.layout == Layout::Flat {
        nodes = flatten(nodes);
    }
    number(&mut nodes);
    nodes
}

fn number(nodes: &mut [Node]) {
    for (order, node) in nodes.iter_mut().enumerate() {
        node.meta.insert("order".into(), order.into());
        number(&mut node.children);
        if let Some(element) = &mut node.element {
            number(&mut element.children);
        }
    }
}

fn of_list(
    record_type: &RecordType,
    fields: &[Field],
    parent: &str,
    around: &Place<'_>,
    is_key: &dyn Fn(&str) -> bool,
) -> Vec<Node> {
    let purpose = around.purpose;
    let mut nodes = Vec::with_capacity(fields.len());
    for field in fields {
        let key = is_key(&field.name);
        if key && purpose == SchemaPurpose::Update {
            continue;
        }
        let can_set = settable(field, purpose);
        if !can_set && !around.options.include_read_only {
            continue;
        }
        let required = match purpose {
            SchemaPurpose::Read => key,
            SchemaPurpose::Create => can_set && field.required_on_create,
            SchemaPurpose::Key => true,
            SchemaPurpose::Update | SchemaPurpose::Filter => false,
        };
        let nullable = match purpose {
            SchemaPurpose::Read => !key,
            SchemaPurpose::Create => !required,
            SchemaPurpose::Update => field.nullable || !can_set,
            SchemaPurpose::Filter | SchemaPurpose::Key => false,
        };
        let place = Place { required, nullable, read_only: !can_set, element: false, ..*around };
        let path = if parent.is_empty() { field.name.clone() } else { format!("{parent}.{}", field.name) };
        nodes.push(Node::of(record_type, field, path, &place));
        let beside = polymorphic(field).filter(|name| fields.iter().all(|other| other.name != **name));
        if let (Some(name), FieldType::Reference(reference)) = (beside, &field.field_type) {
            let type_field = target_type_field(field, name, reference);
            let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
            let place = Place {
                required: false,
                nullable: !matches!(purpose, SchemaPurpose::Filter | SchemaPurpose::Key),
                ..place
            };
            nodes.push(Node::of(record_type, &type_field, path, &place));
        }
    }
    nodes
}

/// The name of the property that says which type a polymorphic reference leads to.
pub(super) fn polymorphic(field: &Field) -> Option<&str> {
    match &field.field_type {
        FieldType::Reference(reference) => reference.type_field.as_deref(),
        _ => None,
    }
}

/// The property beside a polymorphic reference.
pub(super) fn target_type_field(field: &Field, name: &str, reference: &Reference) -> Field {
    let values = reference
        .targets
        .iter()
        .map(|target| PicklistValue {
            value: target.as_str().into(),
            label: target.clone(),
            active: true,
            default: false,
            valid_for: None,
        })
        .collect();
    let picklist = Picklist { values, restricted: true, integer: false };
    Field {
        label: format!("{} (type)", title_of(&field.label, &field.name)),
        help: Some("Type of the record referred to.".to_owned()),
        createable: field.createable,
        updatable: field.updatable,
        part_of: Some(field.name.clone()),
        ..Field::new(name, FieldType::Picklist(picklist))
    }
}

/// Compound fields as one property for each part.
fn flatten(nodes: Vec<Node>) -> Vec<Node> {
    fn walk(node: Node, prefix: &str, required: bool, out: &mut Vec<Node>) {
        let name = if prefix.is_empty() { node.name.clone() } else { format!("{prefix}__{}", node.name) };
        let required = required && node.required;
        if node.children.is_empty() {
            let mut free = name.clone();
            let mut copy = 2;
            while out.iter().any(|other| other.name == free) {
                free = format!("{name}_{copy}");
                copy += 1;
            }
            out.push(Node { name: free, required, ..node });
        } else {
            for child in node.children {
                walk(child, &name, required, out);
            }
        }
    }
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        walk(node, "", true, &mut out);
    }
    out
}

/// Properties of one object and which of them it requires.
pub(super) struct Rendered {
    pub(super) properties: Map<String, Json>,
    pub(super) required: Vec<String>,
}

/// The nodes as `properties`; `inline` puts their metadata beside them.
pub(super) fn render(nodes: &[Node], purpose: SchemaPurpose, inline: bool) -> Rendered {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for node in nodes {
        if node.required {
            required.push(node.name.clone());
        }
        properties.insert(node.name.clone(), render_node(node, purpose, inline));
    }
    Rendered { properties, required }
}

fn render_node(node: &Node, purpose: SchemaPurpose, inline: bool) -> Json {
    let mut schema = node.schema.clone();
    if schema.get("type").is_some_and(is_object_type) {
        let inner = render(&node.children, purpose, inline);
        schema.insert("properties".into(), Json::Object(inner.properties));
        if !inner.required.is_empty() {
            schema.insert("required".into(), inner.required.into());
        }
        if purpose.writes() {
            schema.insert("additionalProperties".into(), false.into());
        }
    }
    if let Some(element) = &node.element {
        schema.insert("items".into(), render_node(element, purpose, inline));
        list_bounds(&mut schema, node.required && purpose.writes());
    }
    if inline {
        let mut meta = node.meta.clone();
        if node.path != node.name {
            meta.insert("path".into(), node.path.as_str().into());
        }
        schema.insert("x-record".into(), Json::Object(meta));
    }
    schema.to_value()
}

fn is_object_type(kind: &Json) -> bool {
    match kind {
        Json::String(kind) => kind == "object",
        Json::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        _ => false,
    }
}

/// Metadata by property; that of parts by `parent.part`, that of list elements by `list[].part`.
pub(super) fn metadata(nodes: &[Node]) -> Map<String, Json> {
    fn walk(nodes: &[Node], prefix: &str, out: &mut Map<String, Json>) {
        for node in nodes {
            let name = format!("{prefix}{}", node.name);
            let mut meta = node.meta.clone();
            if node.path != name {
                meta.insert("path".into(), node.path.as_str().into());
            }
            out.insert(name.clone(), Json::Object(meta));
            walk(&node.children, &format!("{name}."), out);
            if let Some(element) = &node.element {
                walk(&element.children, &format!("{name}[]."), out);
            }
        }
    }
    let mut out = Map::new();
    walk(nodes, "", &mut out);
    out
}
