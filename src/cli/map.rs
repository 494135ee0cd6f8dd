//! `recordport map`: mappings checked, and used on rows.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::json;

use super::Session;
use super::args::{Format, MapAction, MapApply, MapCheck, MapOperation, MapPreview, MapSuggest, MapUse};
use super::feed::{open_file, row_format};
use super::mappings;
use super::output::{self, Done, note};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::document::{Literal, Operation};
use crate::mapping::open::open;
use crate::mapping::suggest::{self, Judged, Known, Samples, Suggested};
use crate::mapping::{
    Creating, Given, Lookups, Mapped, Mapping, Opened, Problem, Program, Settings, Severity, Side,
    Sides as _, preview,
};
use crate::provider::search::{RecordsExt as _, Search};
use crate::record::{QueryDraft, Record};
use crate::rows::RowReader;

/// Exit code of a mapping with errors.
const PROBLEMS: u8 = 2;

/// Runs an action.
pub(crate) async fn run(session: &mut Session, action: MapAction) -> Done {
    match action {
        MapAction::Check(args) => check(session, args).await,
        MapAction::Apply(args) => apply(session, args).await,
        MapAction::Preview(args) => preview(session, args).await,
        MapAction::Suggest(args) => suggest(session, &args).await,
        MapAction::Reverse(args) => mappings::reversed(session, &args).await,
        MapAction::Save(args) => mappings::save(session, &args).await,
        MapAction::List => mappings::list(session).await,
        MapAction::Show(args) => mappings::show(session, &args).await,
        MapAction::Delete(args) => mappings::delete(session, &args).await,
        MapAction::Diff(args) => mappings::differences(session, &args).await,
    }
}

/// Rows that are mapped together where records are looked up for them.
const ROWS_TOGETHER: usize = 200;

/// A mapping that can be used.
struct Ready {
    mapping: Mapping,
    source: Side,
    target: Side,
    program: Program,
    lookups: Lookups,
}

async fn check(session: &mut Session, args: MapCheck) -> Done {
    let problems = match find(session, &args.mapping.mapping).await? {
        Ok(mapping) => live(session, &mapping, &args.mapping.params).await?.compiled.problems,
        Err(problems) => problems,
    };
    report(session, &problems)
}

/// Prints problems; errors among them make the exit code.
fn report(session: &mut Session, problems: &[Problem]) -> Done {
    let format = session.format();
    if problems.is_empty() && format == Format::Table {
        session.out.line("The mapping fits both record types.")?;
        return Ok(0);
    }
    output::list(&mut session.out, format, &["severity", "pointer", "message", "fix", "values"], problems)?;
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if wrong { PROBLEMS } else { 0 })
}

/// A mapping from its file, or one that is kept under this name: the mapping, or what is wrong with its form.
pub(super) async fn find(
    session: &mut Session,
    path: &Path,
) -> Result<std::result::Result<Mapping, Vec<Problem>>> {
    match path.to_str() {
        Some(name) if !path.exists() => match mappings::kept(session, name).await {
            Ok(kept) => Ok(Mapping::parse(&kept.document)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let told = format!("there is no file {name}, and no mapping is kept under this name");
                Err(match error.advice() {
                    Some(advice) => Error::invalid(told).with_advice(advice),
                    None => Error::invalid(told),
                })
            }
            Err(error) => Err(error),
        },
        _ => read(path),
    }
}

/// Reads a mapping from its file: the mapping, or what is wrong with its form.
pub(super) fn read(path: &Path) -> Result<std::result::Result<Mapping, Vec<Problem>>> {
    let mut text = String::new();
    open_file(path)?.read_to_string(&mut text).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Error::invalid(format!("{} is not UTF-8", path.display())),
        _ => Error::local(format!("cannot read {}: {error}", path.display())),
    })?;
    Ok(Mapping::parse(text.trim_start_matches('\u{feff}')))
}

/// The mapping and the program that it compiles to; what is wrong ends the command.
async fn ready(session: &mut Session, used: &MapUse, creating: Creating) -> Result<Ready> {
    let refused = |problems: &[Problem]| {
        let told: Vec<String> = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        Error::invalid(format!("the mapping cannot be used: {}", told.join("; ")))
            .with_advice(format!("Look at `recordport map check {}`", used.mapping.display()))
    };
    let mapping = find(session, &used.mapping).await?.map_err(|problems| refused(&problems))?;
    let mut live = live(session, &mapping, &used.params).await?;
    let Some(program) = live.compiled.program.take() else {
        return Err(refused(&live.compiled.problems));
    };
    let lookups = live.lookups(&program, creating, &session.timezone);
    Ok(Ready { mapping, source: live.source, target: live.target, program, lookups })
}

/// Opens both sides and compiles against them.
pub(super) async fn live(
    session: &mut Session,
    mapping: &Mapping,
    given: &[(String, String)],
) -> Result<Opened> {
    let timezone = session.timezone.clone();
    let settings = |now| Settings { now, timezone, params: params(given) };
    open(&session.workspace().await?, mapping, settings).await
}

pub(super) async fn side(session: &mut Session, connection: &str, record_type: &str) -> Result<Side> {
    session.workspace().await?.side(connection, record_type).await
}

/// Values of parameters: JSON, or text.
pub(super) fn params(given: &[(String, String)]) -> Vec<(String, Literal)> {
    given
        .iter()
        .map(|(name, text)| {
            let value = Literal::parse(text).unwrap_or_else(|| Literal::from(&json!(text)));
            (name.clone(), value)
        })
        .collect()
}

/// Maps rows of a file or of stdin. Rows go to stdout; what failed, and what was cut, to stderr.
async fn apply(session: &mut Session, args: MapApply) -> Done {
    let Ready { source, program, lookups, .. } = ready(session, &args.mapping, Creating::Refused).await?;
    let record_type = source.records.record_type();
    let format = row_format(session.format, args.file.as_deref());
    let input: Box<dyn Read + Send> = match args.file.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => Box::new(open_file(path)?),
        None => std::mem::replace(&mut session.input, Box::new(std::io::empty())),
    };
    let mut applied = Applied { listed: session.format == Some(Format::Json), first: true, failed: false };
    if applied.listed {
        session.out.write(b"[")?;
    }
    let together = if program.lookups().is_empty() { 1 } else { ROWS_TOGETHER };
    let mut rows = RowReader::new(input, format, record_type, false);
    loop {
        session.signals.check()?;
        let mut batch: Vec<(u64, String, Option<String>)> = Vec::new();
        let mut broken = None;
        for raw in rows.by_ref().take(together) {
            match raw {
                Ok(raw) => {
                    let row = raw.index;
                    let (json, key) = raw.into_record(record_type);
                    batch.push((row, json, key));
                }
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if batch.is_empty() && broken.is_none() {
            break;
        }
        let given: Vec<Given<'_>> =
            batch.iter().map(|(row, json, key)| Given { json, key: key.as_deref(), row: row + 1 }).collect();
        for ((row, _, key), mapped) in batch.iter().zip(lookups.apply(&program, &given).await?) {
            applied.row(session, *row, key.as_deref(), mapped)?;
        }
        if let Some(error) = broken {
            return Err(error.into());
        }
    }
    if applied.listed {
        session.out.write(b"]\n")?;
    }
    Ok(u8::from(applied.failed))
}

/// What `map apply` has printed.
struct Applied {
    listed: bool,
    first: bool,
    failed: bool,
}

impl Applied {
    fn row(
        &mut self,
        session: &mut Session,
        row: u64,
        key: Option<&str>,
        mapped: Result<Mapped>,
    ) -> Done<()> {
        let mapped = match mapped {
            Ok(mapped) => mapped,
            Err(error) => {
                self.failed = true;
                note(&json!({"row": row, "key": key, "error": error}).to_string());
                return Ok(());
            }
        };
        if self.listed && !self.first {
            session.out.write(b",\n ")?;
        }
        self.first = false;
        session.out.write(mapped.json.as_bytes())?;
        if !self.listed {
            session.out.write(b"\n")?;
        }
        if !mapped.warnings.is_empty() {
            note(&json!({"row": row, "warnings": mapped.warnings}).to_string());
        }
        Ok(())
    }
}

/// Shows what a mapping would do to real records.
async fn preview(session: &mut Session, args: MapPreview) -> Done {
    let Ready { mapping, source, target, program, lookups } =
        ready(session, &args.mapping, Creating::Told).await?;
    let sides = (&source, &target);
    let shown = preview::preview(&mapping, &program, sides, &lookups, args.limit, &session.timezone).await?;
    let format = session.format();
    let columns = ["key", "source", "row", "error", "warnings", "exists", "changes"];
    output::list(&mut session.out, format, &columns, &shown)?;
    Ok(u8::from(shown.iter().any(|one| one.error.is_some())))
}

/// Looks at the values of some records.
async fn samples(side: &Side, count: u64) -> Result<Samples> {
    let draft = QueryDraft { limit: Some(count), ..QueryDraft::default() };
    let prepared = side.records.prepare(&side.cx, &draft, &TimeZone::UTC).await?;
    let mut search = Search::start(Arc::clone(&side.records), side.cx.clone(), &prepared);
    let mut records = Vec::new();
    while let Some(page) = search.next_page().await? {
        // What cannot be read shows nothing.
        records.extend(page.records.into_iter().flatten());
    }
    let texts: Vec<&str> = records.iter().map(Record::text).collect();
    Ok(Samples::of(&suggest::paths(side.records.record_type()), &texts))
}

/// Suggests rules: each with its reasons, or the whole mapping as one JSON document.
async fn suggest(session: &mut Session, args: &MapSuggest) -> Done {
    let source = side(session, &args.source, &args.source_type).await?;
    let target = side(session, &args.target, &args.target_type).await?;
    let operation = match args.operation {
        MapOperation::Create => Operation::Create,
        MapOperation::Update => Operation::Update,
        MapOperation::Upsert => Operation::Upsert,
    };
    let (from, to) = (source.records.record_type(), target.records.record_type());
    let types =
        mappings::types_of(session, (&args.source, &args.source_type), (&args.target, &args.target_type))
            .await?;
    let store = mappings::store(session).await?;
    let judged = |pairs: &[(String, String)], accepted| {
        let judge = |(to, from): &(String, String)| Judged { to: to.clone(), from: from.clone(), accepted };
        pairs.iter().map(judge).collect::<Vec<_>>()
    };
    store.judge(&types, &judged(&args.accept, true)).await?;
    store.judge(&types, &judged(&args.reject, false)).await?;
    let samples = match args.samples {
        Some(count) => Some((samples(&source, count).await?, samples(&target, count).await?)),
        None => None,
    };
    let known = Known { memory: store.memory(&types).await?, samples };
    let same = args.source == args.target;
    let Suggested { suggestions, open } = suggest::suggest_knowing(from, to, operation, same, &known);
    if session.format() == Format::Json {
        let rules: Vec<_> = suggestions.iter().map(|suggestion| &suggestion.rule).collect();
        let mapping = json!({
            "recordport": "mapping/1",
            "name": format!("{} to {}", from.name, to.name),
            "source": {"connection": args.source, "type": from.name},
            "target": {"connection": args.target, "type": to.name, "operation": operation},
            "fields": rules,
        });
        session.out.json_pretty(&json!({"mapping": mapping, "suggestions": suggestions, "open": open}))?;
        return Ok(0);
    }
    let format = session.format();
    output::list(&mut session.out, format, &["to", "from", "score", "reasons"], &suggestions)?;
    if !open.is_empty() {
        note(&format!("nothing was found for these required fields: {}", open.join(", ")));
    }
    Ok(0)
}
