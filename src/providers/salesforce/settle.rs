//! After a lost answer: whether rows arrived, told by the unique external ids that they carry.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::records::SalesforceRecords;
use crate::error::Result;
use crate::provider::{Context, Settled};
use crate::record::{FieldPath, Key, Record};

/// How far Salesforce's clock and ours may be apart: a record that is older than the sending by more than this
/// was there before.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

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
        let dated = self.record_type_here().field("CreatedDate").is_some();
        let select: Vec<FieldPath> = dated.then(|| FieldPath::of(["CreatedDate"])).into_iter().collect();
        let mut settled = vec![Settled::CannotTell; marks.len()];
        for (field, wanted) in by_field {
            let keys: Vec<Key> = wanted.iter().map(|(_, key)| key.clone()).collect();
            let found = self.read_by(cx, &field, &keys, &select).await?;
            for ((place, _), found) in wanted.into_iter().zip(found) {
                settled[place] = match found {
                    Ok(Some(record)) if is_older(&record, &marks[place]) => Settled::Absent,
                    Ok(Some(record)) => Settled::Arrived(record.key),
                    Ok(None) => Settled::Absent,
                    Err(_) => Settled::CannotTell,
                };
            }
        }
        Ok(settled)
    }
}

/// Whether a record was there before the row with this mark was first sent: then it is another's, and the row
/// is refused when it is sent again.
fn is_older(record: &Record, mark: &Json) -> bool {
    let instant = |value: &Json| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let created =
        serde_json::from_slice::<Json>(&record.json).ok().and_then(|row| instant(&row["CreatedDate"]));
    match (created, instant(&mark["@since"])) {
        (Some(created), Some(since)) => since.duration_since(created) > CLOCKS_APART,
        _ => false,
    }
}
