//! Rows for records of the target that a mapping has made, when their sources change or are deleted.

use serde_json::json;

use super::entry::Kind;
use crate::error::{Error, Result};
use crate::mapping::document::OnSourceDelete;
use crate::record::pick::each_member;
use crate::record::{Key, KeyFields, RecordType};

fn begun(target_key: &str, by: &KeyFields) -> Result<String> {
    let key = serde_json::to_string(&Key::parse(target_key, by)?)
        .map_err(|error| Error::bug("a key has no JSON").with_source(error))?;
    Ok(format!("{{\"@key\":{key}"))
}

/// The row that is written when the source's record was deleted.
pub(super) fn on_delete(
    rule: &OnSourceDelete,
    target_key: &str,
    by: &KeyFields,
) -> Result<Option<(Kind, String)>> {
    let mut row = begun(target_key, by)?;
    let kind = match rule {
        OnSourceDelete::Ignore => return Ok(None),
        OnSourceDelete::Delete => Kind::Delete,
        OnSourceDelete::Set(fields) => {
            for (name, value) in fields.iter() {
                row.push_str(&format!(",{}:{}", json!(name), value.text()));
            }
            Kind::Set
        }
    };
    row.push('}');
    Ok(Some((kind, row)))
}

/// The row that updates a record which was created before: what of the new row can be set on update.
pub(super) fn on_update(new: &str, target_key: &str, record_type: &RecordType) -> Result<String> {
    let mut row = begun(target_key, &record_type.key)?;
    each_member(new, |name, value| {
        if record_type.sets_on_update(name) {
            row.push_str(&format!(",{}:{value}", json!(name)));
        }
    })?;
    row.push('}');
    Ok(row)
}
