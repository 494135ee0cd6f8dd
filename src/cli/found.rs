//! Records that a condition finds, to be updated or deleted: bounded, shown and confirmed before anything is
//! written.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;

use super::Session;
use super::output::{Done, note};
use crate::error::{Error, Result};
use crate::provider::search::{RecordsExt as _, Search};
use crate::provider::{Records, VersionedKey};
use crate::record::{FieldPath, QueryDraft, where_text};
use crate::workspace::Connected;

/// Which records are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The condition; blank and absent mean every record.
    pub(crate) condition: Option<&'a str>,
    /// Whether every record may be meant.
    pub(crate) all: bool,
    /// How many there may be.
    pub(crate) max: u64,
}

/// The keys of all records that are wanted.
pub(crate) async fn keys(
    session: &mut Session,
    connected: &Connected,
    records: &Arc<dyn Records>,
    wanted: Wanted<'_>,
    what: &str,
) -> Done<Vec<VersionedKey>> {
    let Wanted { condition, all, max } = wanted;
    let condition = condition.map(str::trim).filter(|text| !text.is_empty());
    let key_paths = records.record_type().key.0.iter().map(|name| FieldPath::parse(name)).collect();
    let draft = QueryDraft {
        select: key_paths,
        where_text: condition.map(where_text::parse).transpose()?,
        // One more than allowed tells whether there are too many.
        limit: Some(max.saturating_add(1)),
        ..QueryDraft::default()
    };
    if !draft.narrows() && !all {
        return Err(Error::invalid(format!("every record would be {what}"))
            .with_advice(
                "Say --all if that is meant (--max still holds), or give a condition; nothing was written",
            )
            .into());
    }
    let prepared = records.prepare(&connected.context, &draft, &session.timezone).await?;
    let mut search = Search::start(Arc::clone(records), connected.context.clone(), &prepared);
    let mut keys = Vec::new();
    while let Some(page) = session.signals.or_stop(search.next_page()).await?? {
        for record in page.records {
            let record = record.map_err(|row| row.error)?;
            keys.push(VersionedKey { key: record.key, if_version: None });
        }
    }
    if keys.len() as u64 > max {
        return Err(Error::invalid(format!("more than {max} records would be {what}"))
            .with_advice("Narrow the condition or raise --max; nothing was written")
            .into());
    }
    Ok(keys)
}

/// Asks on a terminal; elsewhere only `--yes` says so.
pub(crate) fn confirm(session: &mut Session, count: usize, what: &str, yes: bool) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    if yes {
        note(&format!("{count} records are to be {what}"));
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::invalid(format!("{count} records would be {what}"))
            .with_advice("Say --yes to do it, or --dry-run to see the requests; nothing was written"));
    }
    note(&format!("{count} records will be {what}. Go on? [y/N]"));
    let mut answer = String::new();
    std::io::BufReader::new(&mut session.input)
        .read_line(&mut answer)
        .map_err(|error| Error::local(format!("cannot read the answer: {error}")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::new(crate::error::ErrorKind::Invalid, "not confirmed; nothing was written"))
}
