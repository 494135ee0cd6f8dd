//! `recordport create`.

use super::Session;
use super::args;
use super::feed::Source;
use super::output::Done;
use super::write::{self, Operation};

/// Creates rows.
pub(crate) async fn run(session: &mut Session, args: args::Create) -> Done {
    let (connected, records, dry_run) =
        write::open(session, &args.connection, &args.record_type, &args.write).await?;
    let source = Source::File(args.file.as_deref());
    write::run(session, &connected, &records, Operation::Create, source, &args.write, dry_run).await
}
