//! What a run is started with, as the journal keeps it: the same on every resumption.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::mapping::compile::hash_of;
use crate::mapping::document::Operation;
use crate::mapping::{Mapping, Problem, Severity, Side};
use crate::record::RecordType;
use crate::record::capability::WriteCapability;
use crate::record::schema::SchemaPurpose;

/// What a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Hash of the mapping's document.
    pub mapping_hash: String,
    /// Hash of the source's read schema.
    pub source_hash: String,
    /// Hash of the schema of the target's operation.
    pub target_hash: String,
    /// Which records it reads.
    pub mode: Mode,
    /// Most records that it reads.
    pub limit: Option<u64>,
    /// Values of the mapping's parameters, as they were given.
    pub params: Vec<(String, String)>,
    /// Zone in which a date becomes an instant.
    pub timezone: String,
    /// The moment that relative values refer to.
    pub now: Timestamp,
    /// When it stops for failing too much.
    pub max_failures: Threshold,
}

impl Plan {
    /// The zone in which a date becomes an instant.
    ///
    /// # Errors
    /// Invalid, when this machine does not know it.
    pub fn zone(&self) -> Result<TimeZone> {
        let fixed = self.timezone.parse().ok().and_then(|seconds| Offset::from_seconds(seconds).ok());
        match fixed {
            Some(offset) => Ok(offset.to_time_zone()),
            None => TimeZone::get(&self.timezone)
                .map_err(|_| Error::invalid(format!("{:?} is no time zone", self.timezone))),
        }
    }
}

/// A zone as a plan names it: by its IANA name, or by the seconds of its offset.
///
/// # Errors
/// Unsupported for a zone that has neither.
pub fn zone_name(zone: &TimeZone) -> Result<String> {
    let fixed = || zone.to_fixed_offset().ok().map(|offset| offset.seconds().to_string());
    zone.iana_name().map(str::to_owned).or_else(fixed).ok_or_else(|| {
        Error::unsupported("a run needs a zone with a name or a fixed offset")
            .with_advice("Give --timezone an IANA name such as Europe/Berlin")
    })
}

/// Which records a run reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All that the mapping's query finds.
    Full,
    /// What changed since the last such run of the mapping.
    Changes,
    /// The rows of a file.
    Rows(String),
}

impl Mode {
    /// The word in lists.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Changes => "changes",
            Self::Rows(_) => "rows",
        }
    }
}

/// How much may fail before a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// This many rows.
    Rows(u64),
    /// This share of the rows, once there are enough to judge by.
    Percent(u8),
}

/// Rows that must have been read before a share is judged.
const ENOUGH: u64 = 100;

impl Threshold {
    /// Whether so many failures of so many rows are too much.
    #[must_use]
    pub fn exceeded(self, failed: u64, read: u64) -> bool {
        match self {
            Self::Rows(most) => failed > most,
            Self::Percent(most) => {
                read >= ENOUGH && failed.saturating_mul(100) > read.saturating_mul(u64::from(most))
            }
        }
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Percent(50)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a number of rows nor a share such as 10%");
        match text.strip_suffix('%') {
            Some(share) => {
                let share: u8 = share.trim().parse().map_err(|_| wrong())?;
                (share <= 100).then_some(Self::Percent(share)).ok_or_else(wrong)
            }
            None => text.parse().map(Self::Rows).map_err(|_| wrong()),
        }
    }
}

impl Serialize for Threshold {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a record type can do in an operation.
#[must_use]
pub fn capability_of(record_type: &RecordType, operation: Operation) -> Option<&WriteCapability> {
    let capability = &record_type.capability;
    match operation {
        Operation::Create => capability.create.as_ref(),
        Operation::Update => capability.update.as_ref(),
        Operation::Upsert => capability.upsert.as_ref().map(|upsert| &upsert.write),
        Operation::Delete => capability.delete.as_ref(),
    }
}

/// The schema that an operation's hash is of.
#[must_use]
pub fn purpose_of(operation: Operation) -> SchemaPurpose {
    match operation {
        Operation::Create | Operation::Upsert => SchemaPurpose::Create,
        Operation::Update => SchemaPurpose::Update,
        Operation::Delete => SchemaPurpose::Key,
    }
}

/// Hashes of the live schemas of both sides: the source's for reading, the target's for the operation.
#[must_use]
pub fn hashes(mapping: &Mapping, source: &Side, target: &Side) -> (String, String) {
    (
        hash_of(source.records.record_type(), SchemaPurpose::Read),
        hash_of(target.records.record_type(), purpose_of(mapping.target.operation)),
    )
}

/// Hash of a mapping's document, however it is laid out.
#[must_use]
pub fn mapping_hash(mapping: &Mapping) -> String {
    let digest = digest(&SHA256, mapping.to_text().as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The error for a mapping that does not compile: drift, when a schema is not the one any more that it is known to
/// have fitted (`known`: source and target, empty where none is known).
#[must_use]
pub fn refusal(
    mapping: &Mapping,
    problems: &[Problem],
    live: &(String, String),
    known: &[String; 2],
) -> Error {
    let told: Vec<String> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    let changed = [("source", &live.0, &known[0]), ("target", &live.1, &known[1])];
    let changed: Vec<&str> = changed
        .into_iter()
        .filter(|(_, live, known)| !known.is_empty() && live != known)
        .map(|(side, ..)| side)
        .collect();
    if changed.is_empty() {
        return Error::invalid(format!("the mapping {:?} cannot be used: {}", mapping.name, told.join("; ")))
            .with_advice("Look at `recordport map check`; nothing was written");
    }
    Error::new(
        ErrorKind::Drift,
        format!(
            "the schema of the {} has changed, and the mapping {:?} does not fit it any more: {}",
            changed.join(" and of the "),
            mapping.name,
            told.join("; ")
        ),
    )
    .with_code("schema_drift")
    .with_advice("Mend the mapping as `recordport map check` says; nothing was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_number_or_a_share_that_is_judged_late() {
        assert_eq!("3".parse(), Ok(Threshold::Rows(3)));
        assert_eq!("10%".parse(), Ok(Threshold::Percent(10)));
        assert!("101%".parse::<Threshold>().is_err() && "few".parse::<Threshold>().is_err());
        assert!(Threshold::Rows(3).exceeded(4, 4) && !Threshold::Rows(3).exceeded(3, 4));
        assert!(!Threshold::Percent(10).exceeded(99, 99));
        assert!(Threshold::Percent(10).exceeded(11, 100) && !Threshold::Percent(10).exceeded(10, 100));
    }
}
