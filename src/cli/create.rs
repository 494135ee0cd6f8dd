//! `recordport create`.

use super::Session;
use super::args;
use super::feed::Source;
use super::output::Done;
use super::write::{self, Operation};

/// Creates rows.
pub(crate) async fn run(session: &mut Session, args: args::Create) -> Done {
    let rows = args.rows;
    let (connected, records, dry_run) = write::open(session, &rows.of, &rows.write).await?;
    let source = Source::File(rows.file.as_deref());
    write::run(session, &connected, &records, Operation::Create, source, &rows.write, dry_run).await
}
