//! `recordport providers`: what can be connected to, and what it needs.

use serde_json::json;

use super::Session;
use super::args::{Format, Providers};
use super::output::{Done, list};

/// Lists the providers, or tells about one.
pub(crate) fn run(session: &mut Session, args: &Providers) -> Done {
    let format = session.format();
    let Some(name) = &args.name else {
        let items: Vec<_> = crate::providers::all()
            .iter()
            .map(|factory| {
                let info = factory.info();
                json!({"name": info.name, "label": info.label, "aliases": info.aliases, "summary": info.summary})
            })
            .collect();
        list(&mut session.out, format, &["name", "label", "aliases", "summary"], &items)?;
        return Ok(0);
    };
    let factory = crate::providers::find(name)?;
    let (info, config) = (factory.info(), factory.config_schema());
    let sign_in = factory.sign_in(&serde_json::Value::Null, None)?;
    if matches!(format, Format::Json | Format::Ndjson) {
        let whole = json!({
            "name": info.name, "label": info.label, "aliases": info.aliases, "summary": info.summary,
            "config": config, "grants": sign_in.grants, "scopes": sign_in.scopes, "docs": info.docs,
        });
        if format == Format::Json {
            session.out.json_pretty(&whole)?;
        } else {
            session.out.json_line(&whole)?;
        }
        return Ok(0);
    }
    session.out.line(&format!("{}: {}\n", info.label, info.summary))?;
    session.out.line("Settings (--set NAME=VALUE), as JSON Schema:")?;
    session.out.json_pretty(&config)?;
    session.out.line("")?;
    session.out.line(info.docs.trim_end())?;
    Ok(0)
}
