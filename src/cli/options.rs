//! `recordport options`: the values that a field can take.

use serde_json::Value as Json;

use super::Session;
use super::args::{FieldOptions, Format};
use super::output::{Done, list};
use crate::provider::OptionQuery;
use crate::record::FieldPath;
use crate::workspace::Use;

/// Pages of values listed at most: for more, a search text is the way.
const PAGES: usize = 100;

/// Lists values, page by page.
pub(crate) async fn run(session: &mut Session, args: FieldOptions) -> Done {
    let connected = session.connection(&args.of.connection, Use::default()).await?;
    let records = connected.open(&args.of.record_type).await?;
    let field = FieldPath::parse(&args.field);
    let on = args
        .on
        .into_iter()
        .map(|(name, text)| {
            // A value is JSON where it reads as such, else text.
            let value = serde_json::from_str(&text).ok().filter(|value: &Json| !value.is_object());
            (name, value.unwrap_or(Json::String(text)))
        })
        .collect();
    let format = session.format();
    let columns = ["value", "label", "record_type"];
    let mut ask = OptionQuery { search: args.search, on, cursor: None };
    let mut all = Vec::new();
    for _ in 0..PAGES {
        let page = records.options(&connected.context, &field, &ask).await?;
        if format == Format::Ndjson {
            list(&mut session.out, format, &columns, &page.options)?;
        } else {
            all.extend(page.options);
        }
        ask.cursor = page.next;
        if ask.cursor.is_none() {
            break;
        }
    }
    if format != Format::Ndjson {
        let some_typed = all.iter().any(|option| option.record_type.is_some());
        list(&mut session.out, format, &columns[..if some_typed { 3 } else { 2 }], &all)?;
    }
    if ask.cursor.is_some() {
        super::output::note("note: there are more values; narrow them with --search");
    }
    Ok(0)
}
