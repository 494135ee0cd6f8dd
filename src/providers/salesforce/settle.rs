//! After a lost answer: whether rows arrived, told by the unique external ids that they carry.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::records::SalesforceRecords;
use crate::error::Result;
use crate::provider::outcome::was_there_before;
use crate::provider::{Context, Settled};
use crate::record::{FieldPath, Key};

/// The field that says when a record was made.
const CREATED: &str = "CreatedDate";

impl SalesforceRecords {
    /// The field and value of a mark `{"Field__c": value}`.
    pub(super) fn mark(&self, mark: &Json) -> Option<(String, Json)> {
        let marks = &self.record_type_here().capability.create.as_ref()?.marks;
        mark.as_object()?
            .iter()
            .find(|(name, value)| marks.contains(name) && (value.is_string() || value.is_number()))
            .map(|(name, value)| (name.clone(), value.clone()))
    }

    /// Looks for records by their marks, all of one field in one query.
    pub(super) async fn settle_marks(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        let mut by_field: BTreeMap<String, Vec<(usize, Key)>> = BTreeMap::new();
        for (place, mark) in marks.iter().enumerate() {
            if let Some((field, value)) = self.mark(mark) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                by_field.entry(field).or_default().push((place, Key::text(text)));
            }
        }
        let dated = self.record_type_here().field(CREATED).is_some();
        let select: Vec<FieldPath> = dated.then(|| FieldPath::of([CREATED])).into_iter().collect();
        let mut settled = vec![Settled::CannotTell; marks.len()];
        for (field, wanted) in by_field {
            let keys: Vec<Key> = wanted.iter().map(|(_, key)| key.clone()).collect();
            let found = self.read_by(cx, &field, &keys, &select).await?;
            for ((place, _), found) in wanted.into_iter().zip(found) {
                settled[place] = match found {
                    Ok(Some(record)) if was_there_before(&record, CREATED, &marks[place]) => Settled::Absent,
                    Ok(Some(record)) => Settled::Arrived(record.key),
                    Ok(None) => Settled::Absent,
                    Err(_) => Settled::CannotTell,
                };
            }
        }
        Ok(settled)
    }
}
