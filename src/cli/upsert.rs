//! `recordport upsert`.

use super::Session;
use super::args;
use super::feed::Source;
use super::output::Done;
use super::write::{self, Operation};
use crate::record::KeyFields;

/// Creates or updates rows by a key of their own.
pub(crate) async fn run(session: &mut Session, args: args::Upsert) -> Done {
    let rows = args.rows;
    let (connected, records, dry_run) = write::open(session, &rows.of, &rows.write).await?;
    let by = KeyFields::of(args.by.iter().map(|name| name.trim()));
    let source = Source::File(rows.file.as_deref());
    write::run(session, &connected, &records, Operation::Upsert(by), source, &rows.write, dry_run).await
}
