//! `recordport update`.

use serde_json::value::RawValue;

use super::Session;
use super::args;
use super::feed::Source;
use super::found;
use super::output::Done;
use super::write::{self, Operation};
use crate::error::{Error, Result};
use crate::provider::{Change, Edit, Edits};

/// Updates records by rows, or all that a condition finds in the same way.
pub(crate) async fn run(session: &mut Session, args: args::Update) -> Done {
    let (connected, records, dry_run) = write::open(session, &args.of, &args.write).await?;
    let source = if args.condition.is_some() || args.all {
        let edits = assignments(&args.assignments)?;
        let wanted =
            found::Wanted { condition: args.condition.as_deref(), all: args.all, max: args.max.unwrap_or(0) };
        let keys = found::keys(session, &connected, &records, wanted, "updated").await?;
        found::confirm(session, keys.len(), "updated", args.yes || args.write.dry_run)?;
        let change = |key| Change { key, edits: edits.clone(), if_version: None };
        Source::Changes(keys.into_iter().map(|found| change(found.key)).collect())
    } else {
        Source::File(args.file.as_deref())
    };
    write::run(session, &connected, &records, Operation::Update, source, &args.write, dry_run).await
}

/// `FIELD=JSON` pairs as edits.
fn assignments(pairs: &[(String, String)]) -> Result<Edits> {
    let mut edits = Edits::new();
    for (field, text) in pairs {
        if edits.iter().any(|(known, _)| known == field) {
            return Err(Error::invalid(format!("{field} is set twice")));
        }
        let value = RawValue::from_string(text.trim().to_owned()).map_err(|_| {
            Error::invalid(format!("the value of {field} is not JSON: {text:?}"))
                .with_advice(format!("Write text in double quotes: --set '{field}=\"...\"'"))
        })?;
        edits.push((field.clone(), if value.get() == "null" { Edit::Clear } else { Edit::Set(value) }));
    }
    Ok(edits)
}
