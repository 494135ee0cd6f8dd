//! Updates of rows that must not have changed meanwhile: Composite requests of up to 25 rows, each with its own
//! condition. A lost answer is judged by reading the rows back.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::api::{self, Unmodified, WriteSwitches};
use super::dialect::{self, Reason};
use super::parents::{self, ParentKey, Ready};
use super::records::SalesforceRecords;
use super::rows::{self, Present};
use super::writes::{LOCK_ATTEMPTS, lock_pause};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::provider::{Change, Context, Edit, Outcome};
use crate::record::number::Number;
use crate::record::record_type::{Field, FieldType};
use crate::record::{FieldPath, Key, Record, RecordType};

/// Subrequests of one Composite request (REST API Developer Guide, "Composite").
const MOST_TOGETHER: usize = 25;
/// The status of a condition that does not hold (RFC 9110 section 15.5.13).
const PRECONDITION_FAILED: u16 = 412;

/// A row with the version that it must still have.
#[derive(Debug)]
pub(super) struct Versioned {
    key: Key,
    id: String,
    since: String,
    body: String,
    edits: Vec<(String, Edit)>,
    parents: Vec<ParentKey>,
}

impl Versioned {
    /// Composite reads `@{...}` in a body as a reference to another subrequest, so such text goes alone.
    fn goes_alone(&self) -> bool {
        self.body.contains("@{")
    }

    fn changed(&self) -> Error {
        Error::new(ErrorKind::Conflict, "the record changed since this version")
            .with_code("PRECONDITION_FAILED")
            .with_status(PRECONDITION_FAILED)
            .with_key(self.key.to_string())
            .with_advice("Read the record again and decide anew; nothing was written")
    }
}

/// What Composite says of one row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubAnswer {
    #[serde(default)]
    body: Json,
    http_status_code: u16,
}

/// What reading back after a lost answer tells of one row.
enum Doubt {
    Written,
    NotWritten,
    Open,
}

impl SalesforceRecords {
    /// Makes a row with a version ready to be sent.
    pub(super) fn versioned(
        &self,
        row: &Change,
        id: String,
        ready: Ready<'_>,
        present: &Present,
    ) -> Result<Versioned> {
        let version = row.if_version.as_deref().unwrap_or_default();
        let since = http_date(version).ok_or_else(|| {
            Error::invalid(format!("{version:?} is not a version of a Salesforce record"))
                .with_advice("Give the @version that search or get printed")
        })?;
        let body = rows::body(self.record_type_here(), &ready.edits, present)?;
        let edits = ready.edits.into_owned();
        Ok(Versioned { key: row.key.clone(), id, since, body, edits, parents: ready.parents })
    }

    /// Updates rows, each only if it did not change since its version.
    pub(super) async fn update_unmodified(
        &self,
        cx: &Context,
        rows: Vec<(usize, Versioned)>,
        switches: &WriteSwitches,
    ) -> Vec<(usize, Outcome)> {
        let about = self.about("update");
        let mut done = Vec::with_capacity(rows.len());
        let mut waiting = rows;
        for attempt in 1..=LOCK_ATTEMPTS {
            let last = attempt == LOCK_ATTEMPTS;
            let mut again = Vec::new();
            for batch in together(std::mem::take(&mut waiting)) {
                match self.send_versioned(cx, &batch, switches).await {
                    Ok(answers) => {
                        for ((place, row), answer) in batch.into_iter().zip(answers) {
                            match verdict(&row, &answer) {
                                Err(error) if error.retry() == Retry::Always && !last => {
                                    again.push((place, row));
                                }
                                Err(error) => {
                                    let outcome = Outcome::Failed(about(error.with_key(row.key.to_string())));
                                    done.push((place, parents::told(outcome, &row.parents)));
                                }
                                Ok(()) => done.push((place, Outcome::Updated(row.key))),
                            }
                        }
                    }
                    Err(error) if error.leaves_open() => {
                        let error = about(error);
                        let found = self.read_back(cx, &batch).await;
                        for ((place, row), doubt) in batch.into_iter().zip(found) {
                            match doubt {
                                Doubt::Written => done.push((place, Outcome::Updated(row.key))),
                                Doubt::NotWritten if !last => again.push((place, row)),
                                Doubt::NotWritten | Doubt::Open => {
                                    let error = error.clone().with_key(row.key.to_string());
                                    done.push((place, Outcome::lost(&error, None)));
                                }
                            }
                        }
                    }
                    Err(error) => {
                        let error = about(error);
                        done.extend(batch.into_iter().map(|(place, row)| {
                            (place, Outcome::Failed(error.clone().with_key(row.key.to_string())))
                        }));
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            waiting = again;
            cx.clock.sleep(lock_pause(attempt)).await;
        }
        done
    }

    async fn send_versioned(
        &self,
        cx: &Context,
        batch: &[(usize, Versioned)],
        switches: &WriteSwitches,
    ) -> Result<Vec<SubAnswer>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Composite {
            composite_response: Vec<SubAnswer>,
        }
        let (version, object) = (&self.org.version, self.record_type_here().name.as_str());
        if let [(_, row)] = batch
            && row.goes_alone()
        {
            let call = api::update_unmodified(version, object, &row.id, &row.body, &row.since, switches)?;
            let reply = cx.send(call).await?;
            return Ok(vec![SubAnswer { body: Json::Null, http_status_code: reply.status.as_u16() }]);
        }
        let rows: Vec<Unmodified<'_>> = batch
            .iter()
            .map(|(_, row)| Unmodified { id: &row.id, since: &row.since, body: &row.body })
            .collect();
        let reply = cx.send(api::update_each_unmodified(version, object, &rows, switches)).await?;
        let answers = dialect::read::<Composite>("update", &reply.body)?.composite_response;
        if answers.len() == batch.len() {
            return Ok(answers);
        }
        Err(Error::protocol(format!("Salesforce answered {} rows for {}", answers.len(), batch.len()))
            .with_code("wrong_row_count"))
    }

    /// Looks whether rows whose answer was lost were written.
    async fn read_back(&self, cx: &Context, batch: &[(usize, Versioned)]) -> Vec<Doubt> {
        let record_type = self.record_type_here();
        let mut names: Vec<&str> = batch
            .iter()
            .flat_map(|(_, row)| row.edits.iter().map(|(name, _)| name.as_str()))
            .filter(|name| record_type.field(name).is_some())
            .collect();
        names.sort_unstable();
        names.dedup();
        let select: Vec<FieldPath> = names.into_iter().map(|name| FieldPath::of([name])).collect();
        let keys: Vec<Key> = batch.iter().map(|(_, row)| row.key.clone()).collect();
        let Ok(found) = self.read_by(cx, "Id", &keys, &select).await else {
            return batch.iter().map(|_| Doubt::Open).collect();
        };
        batch
            .iter()
            .zip(found)
            .map(|((_, row), found)| match found {
                Ok(Some(record)) if holds(record_type, &row.edits, &record) => Doubt::Written,
                // Sent again it is refused if anybody changed the record since.
                Ok(Some(record))
                    if record.version.as_deref().and_then(http_date) == Some(row.since.clone()) =>
                {
                    Doubt::NotWritten
                }
                _ => Doubt::Open,
            })
            .collect()
    }
}

/// Batches of up to 25; rows that must go alone go alone.
fn together(rows: Vec<(usize, Versioned)>) -> Vec<Vec<(usize, Versioned)>> {
    let (alone, mut rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| row.goes_alone());
    let mut batches: Vec<Vec<(usize, Versioned)>> = alone.into_iter().map(|row| vec![row]).collect();
    while !rest.is_empty() {
        let back = rest.split_off(rest.len().min(MOST_TOGETHER));
        batches.push(std::mem::replace(&mut rest, back));
    }
    batches
}

fn verdict(row: &Versioned, answer: &SubAnswer) -> Result<()> {
    match answer.http_status_code {
        200..=299 => Ok(()),
        PRECONDITION_FAILED => Err(row.changed()),
        status => {
            let reasons: Vec<Reason> = serde_json::from_value(answer.body.clone()).unwrap_or_default();
            Err(dialect::first_reason(&reasons, status).with_status(status))
        }
    }
}

/// Whether a record holds what edits were to set; false when that cannot be told.
fn holds(record_type: &RecordType, edits: &[(String, Edit)], record: &Record) -> bool {
    let Ok(found) = serde_json::from_slice::<HashMap<String, &RawValue>>(&record.json) else { return false };
    edits.iter().all(|(name, edit)| match (record_type.field(name), found.get(name)) {
        (Some(field), Some(found)) => field_holds(field, edit, found.get()),
        // The type beside a polymorphic reference follows from the id.
        (None, _) => record_type.reference_of_type_field(name).is_some(),
        _ => false,
    })
}

fn field_holds(field: &Field, edit: &Edit, found: &str) -> bool {
    let is_empty = |text: &str| text == "null" || text == "[]" || (field.empty_is_null && text == r#""""#);
    let list = |text: &str| serde_json::from_str::<Vec<Json>>(text).unwrap_or_default();
    let wanted = match edit {
        Edit::Clear => return is_empty(found),
        Edit::List { add, remove } => {
            let found = list(found);
            return add.iter().all(|value| found.contains(value))
                && !remove.iter().any(|value| found.contains(value));
        }
        Edit::Set(wanted) => wanted.get(),
    };
    if wanted == found || (is_empty(wanted) && is_empty(found)) {
        return true;
    }
    let text = |raw: &str| serde_json::from_str::<String>(raw).ok();
    match &field.field_type {
        FieldType::Integer { .. } | FieldType::Decimal { .. } => {
            Number::parse(wanted).is_some_and(|number| Some(number) == Number::parse(found))
        }
        FieldType::Instant => {
            let instant = |raw: &str| text(raw).and_then(|text| text.parse::<Timestamp>().ok());
            instant(wanted).is_some_and(|wanted| Some(wanted) == instant(found))
        }
        FieldType::Time => {
            let time = |raw: &str| {
                text(raw).and_then(|text| text.trim_end_matches('Z').parse::<jiff::civil::Time>().ok())
            };
            time(wanted).is_some_and(|wanted| Some(wanted) == time(found))
        }
        FieldType::MultiPicklist { .. } => {
            let (wanted, found) = (list(wanted), list(found));
            wanted.len() == found.len() && wanted.iter().all(|value| found.contains(value))
        }
        _ => text(wanted).is_some_and(|wanted| Some(wanted) == text(found)),
    }
}

/// A version (an instant, with `+0000` or `Z`) as an HTTP date (RFC 9110 section 5.6.7), seconds rounded up.
fn http_date(version: &str) -> Option<String> {
    let text = version.strip_suffix("+0000").map_or_else(|| version.to_owned(), |front| format!("{front}Z"));
    let instant: Timestamp = text.parse().ok()?;
    let whole = if instant.subsec_nanosecond() == 0 { instant.as_second() } else { instant.as_second() + 1 };
    let moment = Timestamp::from_second(whole).ok()?.to_zoned(TimeZone::UTC);
    Some(moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_becomes_an_http_date() {
        assert_eq!(
            http_date("2022-03-17T16:21:26.000+0000").as_deref(),
            Some("Thu, 17 Mar 2022 16:21:26 GMT")
        );
        assert_eq!(http_date("2022-03-17T16:21:26.001Z").as_deref(), Some("Thu, 17 Mar 2022 16:21:27 GMT"));
        assert_eq!(http_date("W/\"abc\""), None);
    }
}
