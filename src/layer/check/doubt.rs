//! Creates whose answer was lost. A row that carries a mark, or its own value in a field that serves as one, is
//! looked for: what arrived is created, what did not may be sent again, and what cannot be told stays unknown.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use serde_json::{Value as Json, json};

use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Context, NewRow, Outcome, Records, Settled, WriteOptions};
use crate::record::Key;
use crate::record::capability::{MarkerForm, WriteCapability};

/// How often a row is sent at most.
const SENDINGS: u32 = 3;
/// Longest pause before the first look: what was lost may still be under way at the service. It doubles.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a request may still be under way at a service whose client has died.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(3);

/// An answer that cannot be matched to its rows.
pub(super) fn miscounted(answers: usize, rows: usize) -> Error {
    Error::protocol(format!("{answers} outcomes came for {rows} rows, so nobody knows which is whose"))
        .with_advice("Look at the provider whether the rows were written before you send them again")
}

/// The mark by which a row to be created is found after a lost answer. `since` is when it was first sent.
#[must_use]
pub fn mark_of(
    records: &dyn Records,
    row: &NewRow,
    options: &WriteOptions,
    since: Timestamp,
) -> Option<Json> {
    let mut mark = records.mark(row, options)?;
    // A record that is older than the sending is another's.
    if let Some(members) = mark.as_object_mut() {
        members.insert("@since".to_owned(), since.to_string().into());
    }
    Some(mark)
}

/// The marker of a row of a run.
pub(super) fn made_up(new: &NewRow, capability: &WriteCapability, run: &str, row: &Json) -> Option<Json> {
    let own = new.fields.iter().any(|(name, _)| capability.marks.contains(name));
    match capability.made_up_marker? {
        _ if own => None,
        MarkerForm::Label => Some(json!({"run": run, "row": row})),
        MarkerForm::Uuid => {
            let hash = digest(&SHA256, format!("{run}/{row}").as_bytes());
            let bytes: [u8; 16] = hash.as_ref().get(..16)?.try_into().ok()?;
            Some(json!(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()))
        }
    }
}

/// Waits until a request that was last sent then cannot be under way any more.
pub(super) async fn until_arrived(cx: &Context, last: Timestamp) {
    let left = UNDER_WAY - cx.clock.now().duration_since(last);
    if let Ok(left) = Duration::try_from(left) {
        cx.clock.sleep(left.min(Duration::from_secs(3))).await;
    }
}

/// Creates a batch and finds out about the rows whose answer was lost.
///
/// # Errors
/// The provider's, when nothing is known to have been written.
pub(super) async fn create(
    records: &dyn Records,
    cx: &Context,
    capability: &WriteCapability,
    rows: Vec<NewRow>,
    options: &WriteOptions,
) -> Result<Vec<Outcome>> {
    let since = cx.clock.now();
    let mut outcomes = answered(records.create(cx, &rows, options).await?, rows.len());
    let lost = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown { .. }));
    if !capability.marker || !lost {
        return Ok(outcomes);
    }
    let marks: Vec<Option<Json>> = rows.iter().map(|row| mark_of(records, row, options, since)).collect();
    let whole = options.get("all_or_none").is_some_and(|option| *option == json!(true));
    for sending in 1..=SENDINGS {
        let open: Vec<usize> = open_places(&outcomes, &marks);
        if open.is_empty() {
            break;
        }
        pause(cx, sending).await;
        let asked: Vec<Json> =
            open.iter().filter_map(|place| told(marks[*place].as_ref(), &outcomes[*place])).collect();
        let Ok(settled) = records.settle(cx, &asked).await else { break };
        if settled.len() != open.len() {
            break;
        }
        let mut absent = Vec::new();
        for (place, settled) in open.into_iter().zip(settled) {
            match settled {
                // Two rows did not make one record.
                Settled::Arrived(key) | Settled::There(key) if is_told(&outcomes, &key) => {}
                Settled::Arrived(key) => outcomes[place] = Outcome::Created(key),
                Settled::There(key) => outcomes[place] = Outcome::Unchanged(key),
                Settled::Absent => absent.push(place),
                Settled::CannotTell => {}
            }
        }
        // Part of a batch that belongs together is not sent without the rest.
        if absent.is_empty() || sending == SENDINGS || (whole && absent.len() != rows.len()) {
            break;
        }
        tracing::info!(rows = absent.len(), "rows whose answer was lost did not arrive; sending them again");
        let batch: Vec<NewRow> = absent.iter().map(|place| rows[*place].clone()).collect();
        let Ok(answers) = records.create(cx, &batch, options).await else { break };
        for (place, outcome) in absent.into_iter().zip(answered(answers, batch.len())) {
            outcomes[place] = match outcome {
                // The first sending may have arrived meanwhile, so the next look decides.
                Outcome::Failed(error) if error.kind() == ErrorKind::Conflict => {
                    let late = late(records, cx, marks[place].as_ref()).await;
                    late.filter(|late| late.key().is_none_or(|key| !is_told(&outcomes, key)))
                        .unwrap_or(Outcome::Failed(error))
                }
                outcome => outcome,
            };
        }
    }
    // Whoever keeps the outcome can ask again later.
    Ok(outcomes
        .into_iter()
        .zip(marks)
        .map(|(outcome, mark)| {
            let told = told(mark.as_ref(), &outcome);
            match outcome {
                Outcome::Unknown { marker, error } => Outcome::Unknown { marker: told.or(marker), error },
                known => known,
            }
        })
        .collect())
}

/// Whether a row of the batch was told to be the record with this key.
fn is_told(outcomes: &[Outcome], key: &Key) -> bool {
    outcomes.iter().any(|outcome| outcome.key() == Some(key))
}

/// A mark with what the provider besides knows the row by, such as the hash of a content.
fn told(mark: Option<&Json>, outcome: &Outcome) -> Option<Json> {
    let mut mark = mark?.clone();
    if let (Json::Object(members), Outcome::Unknown { marker: Some(Json::Object(own)), .. }) =
        (&mut mark, outcome)
    {
        for (name, value) in own {
            members.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }
    Some(mark)
}

/// The outcomes of rows, all unknown when their number is not that of the rows.
fn answered(answers: Vec<Outcome>, rows: usize) -> Vec<Outcome> {
    if answers.len() == rows {
        return answers;
    }
    let error = miscounted(answers.len(), rows);
    (0..rows).map(|_| Outcome::Unknown { marker: None, error: error.clone() }).collect()
}

fn open_places(outcomes: &[Outcome], marks: &[Option<Json>]) -> Vec<usize> {
    outcomes
        .iter()
        .zip(marks)
        .enumerate()
        .filter(|(_, (outcome, mark))| matches!(outcome, Outcome::Unknown { .. }) && mark.is_some())
        .map(|(place, _)| place)
        .collect()
}

/// A row that was refused the second time because the first had arrived after all.
async fn late(records: &dyn Records, cx: &Context, mark: Option<&Json>) -> Option<Outcome> {
    let settled = records.settle(cx, &[mark?.clone()]).await.ok()?;
    match settled.into_iter().next()? {
        Settled::Arrived(key) => Some(Outcome::Created(key)),
        Settled::There(key) => Some(Outcome::Unchanged(key)),
        Settled::Absent | Settled::CannotTell => None,
    }
}

async fn pause(cx: &Context, sending: u32) {
    let most = PAUSE.saturating_mul(2_u32.saturating_pow(sending.saturating_sub(1)));
    let wait = most.mul_f64(rand::rng().random_range(0.5..=1.0));
    cx.clock.sleep(wait).await;
}
