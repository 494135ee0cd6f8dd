//! Paths that lead nowhere, as every provider refuses them.

use crate::error::Error;
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::{FieldPath, RecordType};

/// The error for a path of which a segment names nothing in a record type, with the names that come nearest.
#[must_use]
pub fn unknown(path: &FieldPath, record_type: &RecordType, segment: &str) -> Error {
    let fields = record_type.fields.iter().map(|field| field.name.as_str());
    let ways = record_type.relationships.iter().map(|relationship| relationship.name.as_str());
    let near = nearest_few(segment, fields.chain(ways).map(|name| (name, name)));
    let what = format!("{} has no field {segment:?}", record_type.name);
    let error = Error::invalid(what.as_str())
        .with_provider(record_type.provider.as_str())
        .with_record_type(record_type.name.as_str())
        .with_code("unknown_field")
        .with_field(path.to_string(), what);
    match did_you_mean(&near) {
        Some(question) => error.with_advice(question),
        None => error,
    }
}

/// The error for a path through more references than the service follows.
#[must_use]
pub fn too_long(path: &FieldPath, record_type: &RecordType, most: usize) -> Error {
    let error = unknown(path, record_type, path.leaf());
    error.with_advice_instead(format!("A path goes through at most {most} references"))
}
