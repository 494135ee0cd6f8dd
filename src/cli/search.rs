//! `recordport search`: records that fulfil conditions, as a stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Session;
use super::args::{self, Format};
use super::checkpoint::{OutputFile, Place};
use super::csv::leaf_paths;
use super::output::{Done, Halt, Out, note, report, table};
use super::progress::Progress;
use super::records::RecordPrinter;
use crate::error::{Error, Position, Result};
use crate::provider::search::{self, Prepared, RecordsExt as _, Search, SearchPage};
use crate::provider::{Plan, Records};
use crate::record::{FieldPath, QueryDraft, rules, where_text};
use crate::workspace::{Connected, Use};

/// Runs the search, explains it, or counts.
pub(crate) async fn run(session: &mut Session, args: args::Search) -> Done {
    let connected = session.connection(&args.of.connection, Use::default()).await?;
    let mut draft = draft(session, &args)?;
    let saved = args.checkpoint.as_deref().map(Place::read).transpose()?.flatten();
    let records = connected.open(&args.of.record_type).await?;
    if let Some(saved) = &saved {
        draft.cursor.clone_from(&saved.cursor);
    }
    let prepared = match records.prepare(&connected.context, &draft, &session.timezone).await {
        Err(error) if saved.is_some() && error.code() == Some("other_query") => {
            return Err(another_query(args.checkpoint.as_deref()).into());
        }
        other => other?,
    };
    if args.explain {
        explain(&mut session.out, session.format, &prepared.plan)?;
        return Ok(0);
    }
    if args.count {
        let counting = search::count(Arc::clone(&records), &connected.context, &prepared);
        let counted = session.signals.or_stop(counting).await??;
        let line =
            if session.format == Some(Format::Json) { json!({ "count": counted }) } else { json!(counted) };
        session.out.json_line(&line)?;
        return Ok(0);
    }
    let printing = Printing {
        format: output_format(session, args.output.as_deref())?,
        columns: columns(&records, &connected, &draft).await?,
        selected: !draft.select.is_empty(),
        meta: args.meta,
        csv_raw: args.csv_raw,
    };
    match args.output {
        Some(output) => {
            let target = FileTarget { output, checkpoint: args.checkpoint, saved };
            to_file(session, &connected, records, prepared, printing, target).await
        }
        None => to_stdout(session, &connected, records, prepared, printing).await,
    }
}

/// How records are printed.
struct Printing {
    format: Format,
    columns: Vec<FieldPath>,
    selected: bool,
    meta: bool,
    csv_raw: bool,
}

impl Printing {
    fn printer(self, resumed: bool) -> RecordPrinter {
        RecordPrinter::new(self.format, self.columns, self.selected, self.meta, self.csv_raw, resumed)
    }

    /// What the bytes of the output depend on besides the plan.
    fn form(&self) -> String {
        let mut form = format!("{:?}", self.format).to_lowercase();
        for (set, word) in [(self.meta, "+meta"), (self.csv_raw, "+raw")] {
            if set {
                form.push_str(word);
            }
        }
        form
    }
}

/// The query as written on the command line.
fn draft(session: &mut Session, args: &args::Search) -> Result<QueryDraft> {
    let mut draft = QueryDraft::default();
    if let Some(file) = &args.filter {
        let document = read_document(session, file)?;
        // A rule group has rules; anything else is a whole query.
        if document.get("rules").is_some() {
            let parsed = rules::parse(&document)?;
            draft.filter = Some(parsed.filter);
            draft.muted = parsed.muted;
        } else {
            draft = QueryDraft::from_json(&document)?;
        }
    }
    if let Some(text) = &args.condition {
        if draft.where_text.is_some() {
            return Err(twice("where"));
        }
        draft.where_text = Some(where_text::parse(text)?);
    }
    if let Some(native) = &args.native
        && draft.native.replace(native.clone()).is_some()
    {
        return Err(twice("native"));
    }
    if !args.select.is_empty() {
        draft.select = paths(&args.select)?;
    }
    if let Some(order) = &args.order_by {
        draft.order_by = QueryDraft::parse_order(order)?;
    }
    draft.limit = args.limit.or(draft.limit);
    draft.page_size = args.page_size.or(draft.page_size);
    draft.cursor = args.cursor.clone().or(draft.cursor);
    draft.include_deleted |= args.deleted;
    Ok(draft)
}

fn twice(what: &str) -> Error {
    Error::invalid(format!("the query has {what:?} both in the file and on the command line"))
}

/// Paths as they stand in `--select`.
pub(crate) fn paths(texts: &[String]) -> Result<Vec<FieldPath>> {
    QueryDraft::parse_select(&texts.join(","))
}

fn read_document(session: &mut Session, file: &Path) -> Result<Json> {
    let name = file.display();
    let mut text = Vec::new();
    let read = if file.as_os_str() == "-" {
        session.input.read_to_end(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| std::io::Read::read_to_end(&mut file, &mut text))
    };
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::invalid(format!("there is no file {name}")),
        _ => Error::local(format!("cannot read {name}: {error}")),
    })?;
    if text.trim_ascii().is_empty() {
        return Err(Error::invalid(format!("{name} is empty; it should hold a rule group or a query")));
    }
    serde_json::from_slice(&text).map_err(|error| {
        Error::invalid(format!("{name} is not JSON: {error}"))
            .with_position(Position::Text { line: error.line() as u64, column: error.column() as u64 })
    })
}

/// Leaf paths for CSV and tables.
async fn columns(
    records: &Arc<dyn Records>,
    connected: &Connected,
    draft: &QueryDraft,
) -> Result<Vec<FieldPath>> {
    let resolved = records.resolve(&connected.context, &draft.select).await?;
    Ok(leaf_paths(&draft.select, &resolved))
}

/// The format of the output: as said, by the name of the file, else NDJSON.
fn output_format(session: &Session, output: Option<&Path>) -> Result<Format> {
    let Some(output) = output else { return Ok(session.format()) };
    let by_name = match output.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Format::Csv,
        Some("json") => Format::Json,
        _ => Format::Ndjson,
    };
    match session.format {
        Some(Format::Table) => {
            Err(Error::invalid("a table is for terminals; choose json, ndjson or csv for --output"))
        }
        Some(format) => Ok(format),
        None => Ok(by_name),
    }
}

fn explain(out: &mut Out, format: Option<Format>, plan: &Plan) -> Done<()> {
    let explanation = plan.explain();
    match (format, out.terminal) {
        (Some(Format::Json), _) => return out.json_pretty(&explanation),
        (Some(Format::Ndjson), _) | (None, false) => return out.json_line(&explanation),
        (Some(Format::Csv), _) => {
            return Err(Error::invalid("an explanation is no table of records; choose table or json").into());
        }
        _ => {}
    }
    for native in explanation.native {
        out.line(&format!("sends      {native}"))?;
    }
    if !explanation.conditions.is_empty() {
        let rows = explanation.conditions.iter().map(|condition| {
            let at = json!(condition.at).as_str().unwrap_or_default().to_owned();
            vec![condition.text.clone(), at, condition.why.clone()]
        });
        out.line(&table(["condition", "at", "why"].map(str::to_owned), rows))?;
    }
    let word = |doer| json!(doer).as_str().unwrap_or_default().to_owned();
    out.line(&format!("residual   {}", explanation.residual.as_deref().unwrap_or("none")))?;
    out.line(&format!("order      {}", word(explanation.order)))?;
    out.line(&format!("limit      {}", word(explanation.limit)))?;
    for muted in explanation.muted {
        out.line(&format!("muted      {muted}"))?;
    }
    out.line(&format!("requests   {} per page", explanation.requests_per_page))?;
    for remark in explanation.notes {
        out.line(&format!("note       {remark}"))?;
    }
    Ok(())
}

/// Counts of one run.
#[derive(Debug, Default)]
struct Tally {
    records: u64,
    unreadable: u64,
}

/// Prints a page into a buffer; records that cannot be read are reported and passed by.
fn print_page(
    page: SearchPage,
    printer: &mut RecordPrinter,
    tally: &mut Tally,
    format: Option<Format>,
    out: &mut Vec<u8>,
) -> Result<()> {
    for record in page.records {
        match record {
            Ok(record) => {
                printer.record(&record, out)?;
                tally.records += 1;
            }
            Err(row) => {
                tally.unreadable += 1;
                report(&row.error.with_position(Position::Row(row.position)), format);
            }
        }
    }
    Ok(())
}

async fn to_stdout(
    session: &mut Session,
    connected: &Connected,
    records: Arc<dyn Records>,
    prepared: Prepared,
    printing: Printing,
) -> Done {
    let mut printer = printing.printer(false);
    let mut search = Search::start(records, connected.context.clone(), &prepared);
    let mut progress = Progress::of("records");
    let mut tally = Tally::default();
    let mut reached = None;
    let mut bytes = Vec::new();
    loop {
        let page = match session.signals.finishing(search.next_page()).await? {
            Ok(page) => page,
            Err(error) => {
                session.out.flush()?;
                return Err(resumable(error, reached.as_deref()).into());
            }
        };
        let Some(page) = page else { break };
        reached = page.next.as_ref().map(crate::record::Cursor::to_text);
        bytes.clear();
        let before = tally.records;
        print_page(page, &mut printer, &mut tally, session.format, &mut bytes)?;
        progress.add(tally.records - before);
        progress.aside(|| session.out.write(&bytes).and_then(|()| session.out.flush()))?;
        if let Err(stopped) = session.signals.check() {
            if let Some(cursor) = &reached {
                note(&format!("stopped; go on with --cursor {cursor}"));
            }
            return Err(stopped);
        }
    }
    bytes.clear();
    printer.finish(&mut bytes);
    progress.aside(|| session.out.write(&bytes))?;
    Ok(ended(&tally))
}

fn ended(tally: &Tally) -> u8 {
    if tally.unreadable == 0 {
        return 0;
    }
    note(&format!("{} records could not be read", tally.unreadable));
    1
}

/// The error with where to go on, when something was delivered already.
fn resumable(error: Error, cursor: Option<&str>) -> Error {
    match cursor {
        Some(cursor) => {
            error.with_advice(format!("What was read is complete up to there; go on with --cursor {cursor}"))
        }
        None => error,
    }
}

struct FileTarget {
    output: PathBuf,
    checkpoint: Option<PathBuf>,
    saved: Option<Place>,
}

fn another_query(checkpoint: Option<&Path>) -> Error {
    let name = checkpoint.map(|path| path.display().to_string()).unwrap_or_default();
    Error::invalid(format!("the checkpoint {name} belongs to another query or another form of output"))
        .with_advice(
            "Use the command that it came from, or another checkpoint, or remove the file to start again",
        )
}

async fn to_file(
    session: &mut Session,
    connected: &Connected,
    records: Arc<dyn Records>,
    prepared: Prepared,
    printing: Printing,
    target: FileTarget,
) -> Done {
    let mut place = match target.saved {
        Some(saved) => {
            if saved.plan != prepared.plan.hash || saved.form != printing.form() {
                return Err(another_query(target.checkpoint.as_deref()).into());
            }
            saved
        }
        None => Place::start(&prepared.plan.hash, printing.form()),
    };
    if place.complete {
        note(&format!(
            "{} is complete with {} records; remove the checkpoint to read it anew",
            target.output.display(),
            place.records
        ));
        return Ok(ended(&Tally { records: place.records, unreadable: place.unreadable }));
    }
    let mut file = OutputFile::open(&target.output, place.length)?;
    let mut printer = printing.printer(place.length > 0);
    let mut search = Search::start(records, connected.context.clone(), &prepared);
    let mut progress = Progress::of("records");
    progress.add(place.records);
    let mut tally = Tally { records: place.records, unreadable: place.unreadable };
    let resume = |place: &Place| match (&target.checkpoint, &place.cursor) {
        (Some(_), _) => Some("Run the same command again: it goes on at the checkpoint".to_owned()),
        (None, Some(cursor)) => {
            Some(format!("The file is complete up to there; go on with --cursor {cursor}"))
        }
        (None, None) => None,
    };
    let mut bytes = Vec::new();
    loop {
        let page = match session.signals.finishing(search.next_page()).await? {
            Ok(page) => page,
            Err(error) => {
                return Err(Halt::Failed(match resume(&place) {
                    Some(advice) => error.with_advice(advice),
                    None => error,
                }));
            }
        };
        let Some(page) = page else { break };
        let next = page.next.as_ref().map(crate::record::Cursor::to_text);
        bytes.clear();
        let before = tally.records;
        progress.aside(|| print_page(page, &mut printer, &mut tally, session.format, &mut bytes))?;
        progress.add(tally.records - before);
        file.append(&bytes)?;
        if next.is_some() {
            place.cursor = next;
            place.length = file.length;
            place.records = tally.records;
            place.unreadable = tally.unreadable;
            if let Some(path) = &target.checkpoint {
                file.flush()?;
                place.write(path)?;
            }
        }
        if let Err(stopped) = session.signals.check() {
            if let Some(advice) = resume(&place) {
                note(&format!("stopped after {} records. {advice}", tally.records));
            }
            return Err(stopped);
        }
    }
    bytes.clear();
    printer.finish(&mut bytes);
    file.append(&bytes)?;
    file.flush()?;
    if let Some(path) = &target.checkpoint {
        place.length = file.length;
        place.records = tally.records;
        place.unreadable = tally.unreadable;
        place.complete = true;
        place.write(path)?;
    }
    Ok(ended(&tally))
}
