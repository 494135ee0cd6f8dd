//! The identity of a schema.

use serde_json::Value as Json;

/// Lower-case hex SHA-256 of the RFC 8785 form of a schema, without `schemaHash` in its metadata, so that the
/// hash that stands in a schema can be checked with nothing but the schema.
///
/// RFC 8785 sorts members; the order of properties counts through the metadata's `order`.
#[must_use]
pub fn schema_hash(schema: &Json) -> String {
    let mut bare = schema.clone();
    if let Some(Json::Object(meta)) = bare.pointer_mut("/definitions/record-meta/const") {
        meta.shift_remove("schemaHash");
    }
    let canonical = serde_json_canonicalizer::to_vec(&bare).unwrap_or_default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &canonical);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
