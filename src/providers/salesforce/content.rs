//! Fields of bytes: read at an address of their own, written as base64 in the row (Insert or Update Blob Data,
//! REST API Developer Guide).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::{api, soql};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Content, Context, Edit};
use crate::record::record_type::FieldType;
use crate::record::{Key, RecordType};

/// Most bytes that are written: base64 of them still fits the 50 MB of a request that is not multipart.
const WRITTEN_MAX: u64 = 37_500_000;

/// The bytes of a field.
pub(super) async fn read(
    version: &str,
    cx: &Context,
    record_type: &RecordType,
    key: &Key,
    field: &str,
) -> Result<Content> {
    let id = soql::canonical_id(&key.to_string()).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("{:?} is no record id", key.to_string()))
            .with_code("not_an_id")
            .with_advice("A Salesforce id has 15 or 18 letters and digits")
    })?;
    let reply = cx
        .send(api::blob(version, record_type.name.as_str(), &id, field))
        .await
        .map_err(|error| error.with_key(key.to_string()))?;
    let stream = reply.stream.as_ref().and_then(crate::http::BodyStream::take);
    let bytes = stream.ok_or_else(|| Error::bug("a streamed answer came without its stream"))?;
    // A compressed answer's length is not that of the bytes.
    let length = reply.header("content-length").and_then(|length| length.parse().ok());
    Ok(Content::new(bytes).of_length(length).of_media_type(reply.header("content-type").map(str::to_owned)))
}

/// Content as the value that is written.
pub(super) async fn edit(record_type: &RecordType, field: &str, content: Content) -> Result<Edit> {
    let most = match record_type.field(field).map(|field| &field.field_type) {
        Some(FieldType::Binary { max_bytes: Some(most), .. }) => WRITTEN_MAX.min(*most),
        _ => WRITTEN_MAX,
    };
    let bytes = content.collect(most).await.map_err(|error| {
        let message = error.message().to_owned();
        error.with_field(field, message)
    })?;
    let text = format!("\"{}\"", STANDARD.encode(bytes));
    let value = RawValue::from_string(text)
        .map_err(|source| Error::bug("base64 is no JSON text").with_source(source))?;
    Ok(Edit::Set(value))
}
