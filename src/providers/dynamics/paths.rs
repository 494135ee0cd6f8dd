//! Paths across lookups: which column is at their end, and how an expression names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Described, Environment};
use crate::error::Result;
use crate::provider::{Context, Resolved, paths};
use crate::record::record_type::{Field, FieldType, ResolvedField, TextForm};
use crate::record::{FieldPath, RecordType};

/// Behind a column's name it stands for the value as Dataverse would show it to the user.
pub(super) const FORMATTED: &str = "_formatted";
/// The annotation that carries such a value.
pub(super) const FORMATTED_VALUE: &str = "OData.Community.Display.V1.FormattedValue";
/// The annotation that names the table of a lookup's target.
pub(super) const LOOKUP_TABLE: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";
/// Lookups that a path may go through; each is an expansion inside the one before.
const MOST_PARENTS: usize = 8;

/// Looks every path up, reading the definitions of the tables that it leads through. The field at the end of a
/// path has the whole way as its wire name (`primarycontactid/fullname`).
///
/// # Errors
/// Invalid for a path that leads nowhere, with the nearest names.
pub(super) async fn resolve(
    environment: &Environment,
    cx: &Context,
    from: &Arc<Described>,
    paths: &[FieldPath],
) -> Result<Resolved> {
    let mut fields = BTreeMap::new();
    for path in paths {
        let (field, owner) = walk(environment, cx, from, path).await?;
        let owner = owner.record_type.name.clone();
        fields.insert(path.clone(), ResolvedField { path: path.clone(), field, owner });
    }
    Ok(Resolved { record_type: Arc::clone(&from.record_type), fields })
}

async fn walk(
    environment: &Environment,
    cx: &Context,
    from: &Arc<Described>,
    path: &FieldPath,
) -> Result<(Field, Arc<Described>)> {
    let segments = path.segments();
    if segments.len() > MOST_PARENTS + 1 {
        return Err(paths::too_long(path, &from.record_type, MOST_PARENTS));
    }
    let mut here = Arc::clone(from);
    let mut way = String::new();
    for segment in &segments[..segments.len() - 1] {
        let Some((nav, target)) = here.wires.ways.get(segment).cloned() else {
            return Err(paths::unknown(path, &here.record_type, segment));
        };
        way.push_str(&nav);
        way.push('/');
        here = environment.described(cx, &target).await?;
    }
    let mut field = end(&here.record_type, path.leaf())
        .ok_or_else(|| paths::unknown(path, &here.record_type, path.leaf()))?;
    if !way.is_empty() {
        field.wire_name = Some(format!("{way}{}", field.wire()));
    }
    Ok((field, here))
}

/// The field of this name: a column, the type of a lookup with several targets, or a formatted value.
fn end(record_type: &RecordType, name: &str) -> Option<Field> {
    if let Some(field) = record_type.field(name) {
        return Some(field.clone());
    }
    if let Some(lookup) = record_type.reference_of_type_field(name) {
        return Some(Field {
            label: format!("{} (type)", lookup.label),
            wire_name: Some(format!("{}@{LOOKUP_TABLE}", lookup.wire())),
            ..Field::new(name, FieldType::text(128))
        });
    }
    let base = record_type.field(name.strip_suffix(FORMATTED)?)?;
    Some(Field {
        label: format!("{} (formatted)", base.label),
        wire_name: Some(format!("{}@{FORMATTED_VALUE}", base.wire())),
        ..Field::new(name, FieldType::Text { max_length: None, form: TextForm::Plain })
    })
}
