//! `recordport types`: the record types of a connection.

use super::Session;
use super::args::{Format, Types};
use super::output::{Done, list};
use crate::provider::TypeQuery;
use crate::workspace::Use;

const COLUMNS: [&str; 9] =
    ["name", "label", "label_plural", "custom", "searchable", "creatable", "updatable", "deletable", "keys"];
/// What fits a terminal.
const SHOWN: [&str; 6] = ["name", "label", "custom", "searchable", "creatable", "keys"];

/// Lists types, page by page as they come.
pub(crate) async fn run(session: &mut Session, args: Types) -> Done {
    let connected =
        session.connection(&args.connection, Use { refresh: args.refresh, dry_run: None }).await?;
    let format = session.format();
    let mut query = TypeQuery { search: args.search, scope: args.scope, cursor: None, refresh: args.refresh };
    let mut all = Vec::new();
    loop {
        let page = connected.provider.types(&connected.context, &query).await?;
        // Only caches are passed by once; what follows continues the same listing.
        query.refresh = false;
        if format == Format::Ndjson {
            list(&mut session.out, format, &COLUMNS, &page.types)?;
            session.out.flush()?;
        } else {
            all.extend(page.types);
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    match format {
        Format::Ndjson => {}
        Format::Table => list(&mut session.out, format, &SHOWN, &all)?,
        _ => list(&mut session.out, format, &COLUMNS, &all)?,
    }
    Ok(0)
}
