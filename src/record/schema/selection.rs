//! The schema of exactly what a selection returns.

use schemars::Schema;
use serde_json::{Map, Value as Json, json};

use super::filter::relationship_label;
use super::property::Place;
use super::tree::{Node, arrange};
use super::{Document, SchemaOptions, SchemaPurpose, title_of};
use crate::error::{Error, Result};
use crate::record::query::FieldSource;
use crate::record::{Field, FieldPath, FieldType, RecordType};

/// The read schema of the paths that a query selects, in their order; what lies behind a reference is nested
/// under the relationship's name and null when there is no such record. An empty selection is the whole read
/// schema.
///
/// # Errors
/// Invalid for a path that leads nowhere, with the nearest names.
pub fn selection_schema(
    record_type: &RecordType,
    paths: &[FieldPath],
    source: &(impl FieldSource + ?Sized),
    options: &SchemaOptions,
) -> Result<Json> {
    if paths.is_empty() {
        return Ok(super::record_schema(record_type, SchemaPurpose::Read, options));
    }
    let mut nodes: Vec<Node> = Vec::new();
    for path in paths {
        let field = find(record_type, path, source).ok_or_else(|| nowhere(record_type, path, source))?;
        insert(record_type, &mut nodes, path, 0, &field, options);
    }
    let nodes = arrange(nodes, options);
    let description = Some("A selection of fields as they are read.".to_owned());
    let purpose = SchemaPurpose::Read;
    Ok(Document { record_type, purpose, options, nodes, narrowing: None, description }.render())
}

/// A field by path: as the source knows it, or a part of one of the type's own compound fields.
fn find(record_type: &RecordType, path: &FieldPath, source: &(impl FieldSource + ?Sized)) -> Option<Field> {
    if let Some(field) = source.field(path) {
        return Some(field.clone());
    }
    let (first, parts) = path.segments().split_first()?;
    parts
        .iter()
        .try_fold(record_type.field(first)?, |field, part| match &field.field_type {
            FieldType::Object { fields } => fields.iter().find(|inner| inner.name == *part),
            _ => None,
        })
        .cloned()
}

fn insert(
    record_type: &RecordType,
    nodes: &mut Vec<Node>,
    path: &FieldPath,
    depth: usize,
    field: &Field,
    options: &SchemaOptions,
) {
    let segments = path.segments();
    let name = &segments[depth];
    let here = segments[..=depth].join(".");
    if depth + 1 == segments.len() {
        let key = depth == 0 && record_type.key.0.contains(name);
        let place = Place { required: key, nullable: !key, ..Place::root(SchemaPurpose::Read, options) };
        let mut node = Node::of(record_type, field, here, &place);
        node.name.clone_from(name);
        match nodes.iter_mut().find(|other| other.name == *name) {
            Some(other) => *other = node,
            None => nodes.push(node),
        }
        return;
    }
    let at = match nodes.iter().position(|other| other.name == *name) {
        Some(at) => at,
        None => {
            nodes.push(parent(record_type, name, here, depth));
            nodes.len() - 1
        }
    };
    if !is_parent(&nodes[at]) {
        // The whole compound field was selected before; a part of it adds nothing.
        return;
    }
    insert(record_type, &mut nodes[at].children, path, depth + 1, field, options);
}

fn is_parent(node: &Node) -> bool {
    node.meta.get("kind").is_some_and(|kind| kind == "parent" || kind == "part")
}

/// The object around what was selected behind a relationship or out of a compound field.
fn parent(record_type: &RecordType, name: &str, path: String, depth: usize) -> Node {
    let relationship = if depth == 0 { record_type.relationship(name) } else { None };
    let label = (depth == 0)
        .then(|| {
            relationship_label(record_type, name)
                .or_else(|| record_type.field(name).map(|field| field.label.clone()))
        })
        .flatten()
        .unwrap_or_default();
    let mut schema = Schema::default();
    schema.insert("type".into(), json!(["object", "null"]));
    schema.insert("title".into(), title_of(&label, name).into());
    let mut meta = Map::new();
    let compound = relationship.is_none() && depth == 0 && record_type.field(name).is_some();
    meta.insert("kind".into(), if compound { "part" } else { "parent" }.into());
    if let Some(relationship) = relationship {
        meta.insert(
            "reference".into(),
            json!({"field": relationship.field, "targets": relationship.targets}),
        );
    }
    Node { name: name.to_owned(), path, schema, meta, required: false, children: Vec::new(), element: None }
}

fn nowhere(record_type: &RecordType, path: &FieldPath, source: &(impl FieldSource + ?Sized)) -> Error {
    let wanted = path.to_string();
    let known = source.known_paths();
    let nearest = crate::record::nearest::nearest(&wanted, known.iter().map(String::as_str));
    let error = Error::invalid(format!("{} has no field {wanted}", record_type.name))
        .with_record_type(record_type.name.as_str());
    match nearest {
        Some(name) => error
            .with_field(wanted, format!("there is no such field; the nearest is {name}"))
            .with_advice(format!("Did you mean {name}?")),
        None => error.with_field(wanted, "there is no such field"),
    }
}
