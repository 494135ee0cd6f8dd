//! `recordport changes`: what was created, updated and deleted, as lines of JSON, with the place to go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Session;
use super::args::{self, Format};
use super::output::{Done, Halt, Out, note};
use super::records::{on_one_line, to_json};
use super::replacement::{Replacement, unusable};
use super::search::paths;
use crate::error::{Error, Result};
use crate::provider::ChangePage;
use crate::provider::changes::Feed;
use crate::record::{Checkpoint, RecordType};
use crate::workspace::Use;

/// Prints changes until there are no more, or follows them.
pub(crate) async fn run(session: &mut Session, args: args::Changes) -> Done {
    if !matches!(session.format, None | Some(Format::Ndjson)) {
        return Err(Error::invalid("changes come as lines of JSON")
            .with_advice("Leave --format out or say --format ndjson")
            .into());
    }
    let select = if args.select.is_empty() { Vec::new() } else { paths(&args.select)? };
    let connected = session.connection(&args.of.connection, Use::default()).await?;
    let records = connected.open(&args.of.record_type).await?;
    let start = match &args.since {
        Some(text) => Start::read(text, records.record_type())?,
        None => Start::default(),
    };
    let mut feed = Feed::new(records, connected.context.clone(), select, start.at);
    let mut keep = Keep { file: start.file, printed: None, last: None };
    let interval = Duration::from_secs(args.interval);
    loop {
        let page = match session.signals.finishing(feed.next_page()).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Err(keep.resumable(error).into()),
            Err(halt) => return Err(keep.end(&mut session.out, halt)),
        };
        let more = page.more;
        keep.page(&mut session.out, page, args.follow)?;
        if let Err(stopped) = session.signals.check() {
            return Err(keep.end(&mut session.out, stopped));
        }
        if more {
            continue;
        }
        if !args.follow {
            return Ok(0);
        }
        if let Err(stopped) = session.signals.or_stop(feed.pause(interval)).await {
            return Err(keep.end(&mut session.out, stopped));
        }
    }
}

/// Where the feed starts.
#[derive(Debug, Default)]
struct Start {
    at: Option<Checkpoint>,
    file: Option<PlaceFile>,
}

/// The file that holds the place.
#[derive(Debug)]
struct PlaceFile {
    path: PathBuf,
    /// Whether it holds the line as `changes` prints it, or the bare text.
    as_line: bool,
}

impl Start {
    fn read(text: &str, record_type: &RecordType) -> Result<Self> {
        if text == "beginning" {
            return Ok(Self { at: Some(Checkpoint::beginning(record_type)), file: None });
        }
        let path = Path::new(text);
        if path.is_file() {
            let held = std::fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
            let line = held.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let (at, as_line) = checkpoint(line).map_err(|error| {
                error.with_advice_instead(format!(
                    "{text} should hold what `recordport changes` printed last; write it anew with \
                     `recordport changes CONNECTION TYPE > FILE`"
                ))
            })?;
            return Ok(Self { at: Some(at), file: Some(PlaceFile { path: path.to_owned(), as_line }) });
        }
        let (at, _) = checkpoint(text).map_err(|error| {
            error.with_advice_instead(format!(
                "There is no file {text:?} either. Give a checkpoint, a file that holds one, or `beginning`"
            ))
        })?;
        Ok(Self { at: Some(at), file: None })
    }
}

/// A checkpoint as bare text or as the line that is printed.
fn checkpoint(text: &str) -> Result<(Checkpoint, bool)> {
    let text = text.trim();
    if text.starts_with('{')
        && let Ok(line) = serde_json::from_str::<Json>(text)
        && let Some(held) = line["checkpoint"].as_str()
    {
        return Ok((Checkpoint::parse(held)?, true));
    }
    Ok((Checkpoint::parse(text)?, false))
}

/// Prints pages and keeps the place behind them.
#[derive(Debug)]
struct Keep {
    file: Option<PlaceFile>,
    /// The last checkpoint that was printed.
    printed: Option<String>,
    /// The last checkpoint there is.
    last: Option<String>,
}

impl Keep {
    /// Hands on a page, then its checkpoint. Someone who follows is spared those of idle looks.
    fn page(&mut self, out: &mut Out, page: ChangePage, follows: bool) -> Done<()> {
        if let Some(notice) = &page.notice {
            note(&format!("note: {notice}"));
        }
        let idle = page.changes.is_empty();
        for change in page.changes {
            let mut line =
                format!("{{\"change\":{},\"key\":{}", to_json(&change.change)?, to_json(&change.key)?)
                    .into_bytes();
            if let Some(alternate) = &change.alternate {
                line.extend_from_slice(b",\"alternate\":");
                line.extend_from_slice(to_json(alternate)?.as_bytes());
            }
            if change.subtree {
                line.extend_from_slice(b",\"subtree\":true");
            }
            if let Some(record) = &change.record {
                line.extend_from_slice(b",\"record\":");
                line.extend_from_slice(&on_one_line(&record.json));
            }
            line.extend_from_slice(b"}\n");
            out.write(&line)?;
        }
        let text = page.checkpoint.to_text();
        if !(follows && idle && self.printed.is_some()) {
            self.print(out, &text)?;
        }
        out.flush()?;
        if let Some(file) = &self.file {
            let line = if file.as_line { json!({ "checkpoint": text }).to_string() } else { text.clone() };
            let mut whole = Replacement::begin(&file.path)?;
            whole.write(format!("{line}\n").as_bytes())?;
            whole.finish()?;
        }
        self.last = Some(text);
        Ok(())
    }

    fn print(&mut self, out: &mut Out, text: &str) -> Done<()> {
        out.json_line(&json!({ "checkpoint": text }))?;
        self.printed = Some(text.to_owned());
        Ok(())
    }

    /// The place stays known when the feed is stopped.
    fn end(&mut self, out: &mut Out, halt: Halt) -> Halt {
        if let (Halt::Signalled(_), Some(text)) = (&halt, self.last.take()) {
            let told = if self.printed.as_ref() == Some(&text) { Ok(()) } else { self.print(out, &text) };
            if let Err(halt) = told.and_then(|()| out.flush()) {
                return halt;
            }
            note(&format!("stopped; go on with {}", self.whence()));
        }
        halt
    }

    fn whence(&self) -> String {
        self.file.as_ref().map_or_else(
            || "--since and the checkpoint that was printed last".to_owned(),
            |file| format!("--since {}", file.path.display()),
        )
    }

    fn resumable(&self, error: Error) -> Error {
        if self.last.is_none() {
            return error;
        }
        error.with_advice(format!("What was printed is complete up to there; go on with {}", self.whence()))
    }
}
