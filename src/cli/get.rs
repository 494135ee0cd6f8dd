//! `recordport get`: records by key.

use super::Session;
use super::args;
use super::csv::leaf_paths;
use super::output::{Done, report};
use super::records::RecordPrinter;
use super::search::paths;
use crate::error::{Error, ErrorKind};
use crate::record::{Key, KeyFields};
use crate::workspace::Use;

/// Reads and prints records in the order of the keys.
pub(crate) async fn run(session: &mut Session, args: args::Get) -> Done {
    let connected = session.connection(&args.of.connection, Use::default()).await?;
    let records = connected.open(&args.of.record_type).await?;
    let record_type = records.record_type();
    let by = if args.by.is_empty() {
        record_type.key.clone()
    } else {
        KeyFields::of(args.by.iter().map(|name| name.trim()))
    };
    let keys = args.keys.iter().map(|text| Key::parse(text, &by)).collect::<Result<Vec<_>, Error>>()?;
    let select = if args.select.is_empty() { Vec::new() } else { paths(&args.select)? };
    let columns = leaf_paths(&select, &records.resolve(&connected.context, &select).await?);
    let mut printer =
        RecordPrinter::new(session.format(), columns, !select.is_empty(), args.meta, args.csv_raw, false);
    let found = session.signals.finishing(records.get(&connected.context, &by, &keys, &select)).await??;
    let mut bytes = Vec::new();
    let mut worst: Option<Error> = None;
    let single = keys.len() == 1;
    for (key, found) in keys.iter().zip(found) {
        let error = match found {
            Ok(Some(record)) => {
                printer.record(&record, &mut bytes)?;
                continue;
            }
            Ok(None) => Error::new(ErrorKind::NotFound, "there is no such record"),
            Err(error) => error,
        };
        let error = error
            .with_connection(args.of.connection.as_str())
            .with_record_type(args.of.record_type.as_str())
            .with_operation("get")
            .with_key(key.to_string());
        if !single {
            report(&error, session.format);
        }
        worst.get_or_insert(error);
    }
    match worst {
        // A single key that fails is the command's failure, with its own exit code.
        Some(error) if single => Err(error.into()),
        failed => {
            printer.finish(&mut bytes);
            session.out.write(&bytes)?;
            Ok(u8::from(failed.is_some()))
        }
    }
}
