//! Paths across references: which field is at their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Described, Org};
use crate::error::Result;
use crate::provider::{Context, Resolved, paths};
use crate::record::record_type::{Field, FieldType, ResolvedField, TextForm};
use crate::record::{FieldPath, TypeName};

/// References that a path may go through (SOQL and SOSL Reference, "Relationship Query Limitations").
const MOST_PARENTS: usize = 5;

/// Looks every path up, describing the types that it leads through.
///
/// # Errors
/// Invalid for a path that leads nowhere, with the nearest names.
pub(super) async fn resolve(
    org: &Org,
    cx: &Context,
    from: &Arc<Described>,
    paths: &[FieldPath],
) -> Result<Resolved> {
    let mut fields = BTreeMap::new();
    for path in paths {
        walk(org, cx, from, path, &mut fields).await?;
    }
    Ok(Resolved { record_type: Arc::clone(&from.record_type), fields })
}

async fn walk(
    org: &Org,
    cx: &Context,
    from: &Arc<Described>,
    path: &FieldPath,
    fields: &mut BTreeMap<FieldPath, ResolvedField>,
) -> Result<()> {
    let segments = path.segments();
    if segments.len() > MOST_PARENTS + 2 {
        return Err(paths::too_long(path, &from.record_type, MOST_PARENTS));
    }
    let mut add = |length: usize, leaf: Option<&str>, field: &Field, owner: &TypeName| {
        let front = segments[..length].iter().cloned().chain(leaf.map(str::to_owned));
        let path = FieldPath::of(front);
        fields.insert(path.clone(), ResolvedField { path, field: field.clone(), owner: owner.clone() });
    };
    let mut here = Arc::clone(from);
    for (depth, segment) in segments.iter().enumerate() {
        let record_type = Arc::clone(&here.record_type);
        let rest = &segments[depth + 1..];
        if rest.is_empty() {
            if let Some(field) = record_type.field(segment) {
                add(depth + 1, None, field, &record_type.name);
            } else if record_type.reference_of_type_field(segment).is_some() {
                add(depth + 1, None, &Field::new(segment, FieldType::text(80)), &record_type.name);
            } else {
                return Err(paths::unknown(path, &record_type, segment));
            }
            return Ok(());
        }
        if let Some(relationship) = record_type.relationship(segment) {
            if let Some(reference) = record_type.field(&relationship.field) {
                add(depth, Some(&reference.name), reference, &record_type.name);
            }
            match relationship.targets.as_slice() {
                [only] => here = org.described(cx, only).await?,
                _ => {
                    let found = match rest {
                        [leaf] => name_object_field(leaf),
                        _ => None,
                    };
                    let Some(field) = found else {
                        return Err(paths::unknown(path, &record_type, segment).with_advice(format!(
                            "{segment} can lead to {}; only {segment}.Id, {segment}.Name and {segment}.Type are common to them",
                            relationship.targets.join(", ")
                        )));
                    };
                    add(segments.len(), None, &field, &TypeName::new("Name"));
                    return Ok(());
                }
            }
            continue;
        }
        let part = match (record_type.field(segment), rest) {
            (Some(compound), [leaf]) => match &compound.field_type {
                FieldType::Object { fields } => {
                    fields.iter().find(|field| field.name == *leaf).map(|part| (compound, part))
                }
                _ => None,
            },
            _ => None,
        };
        let Some((compound, part)) = part else { return Err(paths::unknown(path, &record_type, segment)) };
        add(depth + 1, None, compound, &record_type.name);
        add(segments.len(), None, part, &record_type.name);
        return Ok(());
    }
    Ok(())
}

/// A field of the object `Name`, which stands for the records that a polymorphic reference can lead to (SOQL
/// and SOSL Reference, "Understanding Relationship Fields and Polymorphic Fields").
fn name_object_field(name: &str) -> Option<Field> {
    let (length, form) = match name {
        "Id" => (18, TextForm::Id),
        "Name" => (255, TextForm::Plain),
        "Type" => (80, TextForm::Plain),
        _ => return None,
    };
    Some(Field {
        filterable: true,
        sortable: true,
        empty_is_null: true,
        case_sensitive: Some(false),
        ..Field::new(name, FieldType::Text { max_length: Some(length), form })
    })
}
