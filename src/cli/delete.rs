//! `recordport delete`.

use super::Session;
use super::args;
use super::feed::Source;
use super::found;
use super::output::Done;
use super::write::{self, Operation};
use crate::error::Result;
use crate::provider::VersionedKey;
use crate::record::Key;

/// Deletes records by key, by rows on stdin, or by condition.
pub(crate) async fn run(session: &mut Session, args: args::Delete) -> Done {
    let (connected, records, dry_run) = write::open(session, &args.of, &args.write).await?;
    let source = if args.condition.is_some() || args.all {
        let wanted =
            found::Wanted { condition: args.condition.as_deref(), all: args.all, max: args.max.unwrap_or(0) };
        let keys = found::keys(session, &connected, &records, wanted, "deleted").await?;
        found::confirm(session, keys.len(), "deleted", args.yes || args.write.dry_run)?;
        Source::Keys(keys)
    } else if matches!(args.keys.as_slice(), [only] if only == "-") {
        Source::File(None)
    } else {
        let by = &records.record_type().key;
        let keys = args
            .keys
            .iter()
            .map(|text| Key::parse(text, by).map(|key| VersionedKey { key, if_version: None }))
            .collect::<Result<Vec<_>>>()?;
        Source::Keys(keys)
    };
    write::run(session, &connected, &records, Operation::Delete, source, &args.write, dry_run).await
}
