//! What lists hold now, for edits that add to them or remove from them at services that take whole lists only.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::{Change, Edit};
use crate::error::{Error, Result};
use crate::record::{FieldPath, Key, Record, RecordType};

/// The values of a record's lists, by field.
pub type Present<T> = HashMap<String, Vec<T>>;

/// What the lists of each row hold that its edits add to or remove from; nothing for a record that is not there.
/// `read` reads records by the rows' keys, and is not asked when no row needs it.
///
/// # Errors
/// What the reading refuses as a whole. A record that cannot be read is an error of its row: what its list
/// holds would be lost.
pub async fn present<T, Read>(
    record_type: &RecordType,
    rows: &[Change],
    read: impl FnOnce(Vec<Key>, Vec<FieldPath>) -> Read,
) -> Result<Vec<Result<Present<T>>>>
where
    T: DeserializeOwned,
    Read: Future<Output = Result<Vec<Result<Option<Record>>>>>,
{
    let mut names: Vec<&str> = rows
        .iter()
        .flat_map(|row| &row.edits)
        .filter(|(_, edit)| matches!(edit, Edit::List { .. }))
        .map(|(name, _)| name.as_str())
        .filter(|name| record_type.field(name).is_some())
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Ok(rows.iter().map(|_| Ok(Present::new())).collect());
    }
    let select = names.into_iter().map(|name| FieldPath::of([name])).collect();
    let found = read(rows.iter().map(|row| row.key.clone()).collect(), select).await?;
    let lists = |record: Record| {
        serde_json::from_slice(&record.json)
            .map_err(|source| Error::protocol("a list cannot be read as it is now").with_source(source))
    };
    Ok(found.into_iter().map(|record| record?.map_or_else(|| Ok(Present::new()), lists)).collect())
}

/// The values of a list after an edit: none twice, those that were there first.
#[must_use]
pub fn edited<T: PartialEq + Clone>(present: &Present<T>, field: &str, add: Vec<T>, remove: &[T]) -> Vec<T> {
    let mut values = present.get(field).cloned().unwrap_or_default();
    values.retain(|value| !remove.contains(value));
    for value in add {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::record::record_type::{Field, FieldType};
    use crate::record::{KeyFields, TypeName};

    #[tokio::test]
    async fn a_record_that_cannot_be_read_fails_its_row_and_no_other() {
        let record_type = RecordType {
            name: TypeName::new("thing"),
            provider: "test".to_owned(),
            label: String::new(),
            label_plural: String::new(),
            description: None,
            custom: false,
            fields: vec![Field::new("tags", FieldType::Json)],
            key: KeyFields::single("id"),
            alternate_keys: Vec::new(),
            relationships: Vec::new(),
            capability: crate::record::capability::Capability::default(),
        };
        let row = |key: &str| Change {
            key: Key::text(key),
            edits: vec![("tags".to_owned(), Edit::List { add: vec![json!(1)], remove: Vec::new() })],
            if_version: None,
        };
        let read = async |keys: Vec<Key>, _| {
            assert_eq!(keys.len(), 2);
            Ok(vec![Err(Error::protocol("not readable")), Ok(None)])
        };
        let present: Vec<Result<Present<Json>>> =
            present(&record_type, &[row("a"), row("b")], read).await.unwrap();
        assert!(present[0].is_err());
        assert!(present[1].as_ref().unwrap().is_empty());
    }
}
