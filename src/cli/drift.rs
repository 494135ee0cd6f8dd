//! `recordport schema lock` and `schema diff`: schemas written down, and what has changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::Mutex;

use super::Session;
use super::args::{Format, SchemaDiff, SchemaLock};
use super::output::{self, Done, note};
use super::replacement::{Replacement, unusable};
use super::{map, mappings};
use crate::drift::report::Report;
use crate::drift::{Change, Locked, diff};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::compile::looked_up;
use crate::mapping::open::open;
use crate::mapping::{Mapping, Problem, Settings, Side, Sides};
use crate::record::schema::{SchemaOptions, record_schema};
use crate::workspace::{Use, Workspace};

/// Exit code of a breaking change.
const DRIFTED: u8 = 6;
/// How a file with a mapping ends.
const MAPPING: &str = ".mapping.json";

/// A mapping of the project: from a file, or kept in the home.
struct Known {
    /// Its file, or nothing when it is kept.
    file: Option<PathBuf>,
    /// The name that it is kept under, or that of its file.
    name: String,
    mapping: std::result::Result<Mapping, Vec<Problem>>,
}

/// The record types of a command, each described anew, once.
struct Live {
    workspace: Workspace,
    known: Mutex<BTreeMap<(String, String), Result<Side>>>,
}

impl Live {
    async fn of(session: &mut Session) -> Result<Self> {
        Ok(Self { workspace: session.workspace().await?, known: Mutex::default() })
    }
}

#[async_trait]
impl Sides for Live {
    async fn side(&self, connection: &str, record_type: &str) -> Result<Side> {
        let mut known = self.known.lock().await;
        let name = (connection.to_owned(), record_type.to_owned());
        if let Some(side) = known.get(&name) {
            return side.clone();
        }
        let opened = async {
            let how = Use { refresh: true, dry_run: None };
            let connected = self.workspace.connection(connection, how).await?;
            let records = connected.open(record_type).await?;
            Ok(Side { records, cx: connected.context })
        };
        let side: Result<Side> = opened.await;
        known.insert(name, side.clone());
        side
    }
}

/// Writes schemas down.
pub(crate) async fn lock(session: &mut Session, args: SchemaLock) -> Done {
    #[derive(Serialize)]
    struct Line<'a> {
        connection: &'a str,
        #[serde(rename = "type")]
        record_type: &'a str,
        written: usize,
        unchanged: usize,
    }
    let locked = Locked::at(&args.dir);
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    if let Some(connection) = &args.connection {
        wanted.extend(args.types.iter().map(|record_type| (connection.clone(), record_type.clone())));
    } else {
        for known in mappings_of(session, &args.mappings).await? {
            if let Ok(mapping) = &known.mapping {
                wanted.extend(uses(mapping));
            }
        }
        if args.dir.is_dir() {
            let before = locked.read().unwrap_or_default();
            wanted.extend(before.into_iter().map(|one| (one.connection, one.record_type)));
        }
    }
    if wanted.is_empty() {
        return Err(Error::invalid("there is nothing to write down")
            .with_advice(format!(
                "Name types: recordport schema lock CONNECTION TYPE; or run it where mappings end with {MAPPING}"
            ))
            .into());
    }
    let mut lines = Vec::new();
    let live = Live::of(session).await?;
    for (connection, record_type) in &wanted {
        let side = live.side(connection, record_type).await?;
        let (mut written, mut unchanged) = (0, 0);
        for (path, text) in locked.of(connection, side.records.record_type()) {
            if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
                unchanged += 1;
                continue;
            }
            write(&path, &text)?;
            written += 1;
        }
        lines.push(Line { connection, record_type, written, unchanged });
    }
    let format = session.format();
    output::list(&mut session.out, format, &["connection", "type", "written", "unchanged"], &lines)?;
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    }
    let mut file = Replacement::begin(path)?;
    file.write(text.as_bytes())?;
    file.finish()
}

/// Compares what was written down with what is live.
pub(crate) async fn diff_all(session: &mut Session, args: SchemaDiff) -> Done {
    let mut report = Report::default();
    let live = Live::of(session).await?;
    let mut locked: BTreeSet<(String, String)> = BTreeSet::new();
    for one in Locked::at(&args.dir).read()? {
        session.signals.check()?;
        let changes: Vec<Change> = match live.side(&one.connection, &one.record_type).await {
            Ok(side) => {
                let record_type = side.records.record_type();
                let now = |purpose| record_schema(record_type, purpose, &SchemaOptions::default());
                one.schemas.iter().flat_map(|(purpose, old)| diff(old, &now(*purpose), *purpose)).collect()
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let gone = |(purpose, _): &(_, _)| crate::drift::diff::gone(*purpose, error.message());
                one.schemas.iter().map(gone).collect()
            }
            Err(error) => return Err(error.into()),
        };
        report.add_type(&one.connection, &one.record_type, changes);
        locked.insert((one.connection, one.record_type));
    }
    for known in mappings_of(session, &args.mappings).await? {
        session.signals.check()?;
        let file = known.file.as_ref().map(|file| file.display().to_string());
        match known.mapping {
            // The home may keep mappings of other projects.
            Ok(mapping) if file.is_none() && !uses(&mapping).iter().any(|used| locked.contains(used)) => {}
            Ok(mapping) => {
                let problems = problems(&live, session.timezone.clone(), &mapping).await?;
                report.add_mapping(&mapping.name, file, problems);
            }
            Err(problems) => report.add_mapping(&known.name, file, problems),
        }
    }
    show(session, &report, args.markdown)?;
    Ok(if report.breaks() { DRIFTED } else { 0 })
}

/// What is wrong with a mapping now.
async fn problems(live: &Live, timezone: jiff::tz::TimeZone, mapping: &Mapping) -> Result<Vec<Problem>> {
    let settings = |now| Settings { now, timezone, params: Vec::new() };
    match open(live, mapping, settings).await {
        Ok(opened) => Ok(opened.compiled.problems),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![Problem::error("", error.message())]),
        Err(error) => Err(error),
    }
}

fn show(session: &mut Session, report: &Report, markdown: bool) -> Done<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        connection: &'a str,
        #[serde(rename = "type")]
        record_type: &'a str,
        #[serde(flatten)]
        change: &'a Change,
    }
    if markdown {
        return session.out.write(report.to_markdown().as_bytes());
    }
    let lines: Vec<Line<'_>> = report
        .types
        .iter()
        .flat_map(|one| {
            one.changes.iter().map(|change| Line {
                connection: &one.connection,
                record_type: &one.record_type,
                change,
            })
        })
        .collect();
    match session.format() {
        Format::Json => session.out.json_pretty(report)?,
        Format::Ndjson => {
            lines.iter().try_for_each(|line| session.out.json_line(line))?;
            report
                .mappings
                .iter()
                .try_for_each(|mapping| session.out.json_line(&serde_json::json!({ "mapping": mapping })))?;
        }
        format @ (Format::Table | Format::Csv) => {
            let columns = ["severity", "connection", "type", "direction", "field", "message", "repair"];
            output::list(&mut session.out, format, &columns, &lines)?;
            if format == Format::Table {
                broken(session, report)?;
            }
        }
    }
    for mapping in report.mappings.iter().filter(|mapping| mapping.breaks) {
        let told: Vec<String> = mapping.problems.iter().map(ToString::to_string).collect();
        note(&format!("the mapping {:?} breaks: {}", mapping.name, output::harmless(&told.join("; "))));
    }
    note(&format!(
        "{} breaking, {} compatible, {} cosmetic",
        report.breaking, report.compatible, report.cosmetic
    ));
    Ok(())
}

/// A table of what is wrong with the mappings that break.
fn broken(session: &mut Session, report: &Report) -> Done<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        mapping: &'a str,
        file: Option<&'a str>,
        #[serde(flatten)]
        problem: &'a Problem,
    }
    let lines: Vec<Line<'_>> = report
        .mappings
        .iter()
        .filter(|mapping| mapping.breaks)
        .flat_map(|mapping| {
            mapping.problems.iter().map(|problem| Line {
                mapping: &mapping.name,
                file: mapping.file.as_deref(),
                problem,
            })
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let columns = ["mapping", "file", "severity", "pointer", "message", "fix"];
    output::list(&mut session.out, Format::Table, &columns, &lines)
}

/// The types that a mapping uses, by connection.
fn uses(mapping: &Mapping) -> Vec<(String, String)> {
    let (source, target) = (&mapping.source, &mapping.target);
    let mut used = vec![
        (source.connection.clone(), source.record_type.clone()),
        (target.connection.clone(), target.record_type.clone()),
    ];
    used.extend(looked_up(mapping));
    used
}

/// The mappings that were named, by file or by the name that they are kept under; else those of files in the present
/// directory and in `mappings`, and those that are kept and are not the same as one of these.
async fn mappings_of(session: &mut Session, named: &[PathBuf]) -> Result<Vec<Known>> {
    if !named.is_empty() {
        let mut known = Vec::new();
        for path in named {
            let file = path.exists().then(|| path.clone());
            let mapping = map::find(session, path).await?;
            known.push(Known { file, name: path.display().to_string(), mapping });
        }
        return Ok(known);
    }
    let mut known = files()?;
    for kept in mappings::store(session).await?.list().await? {
        let mapping = Mapping::parse(&kept.document);
        let same = |one: &Known| match (&one.mapping, &mapping) {
            (Ok(one), Ok(other)) => one.to_text() == other.to_text(),
            _ => false,
        };
        if !known.iter().any(same) {
            known.push(Known { file: None, name: kept.name, mapping });
        }
    }
    Ok(known)
}

/// The mappings in files of the present directory and of `mappings`.
fn files() -> Result<Vec<Known>> {
    let mut files = Vec::new();
    for folder in [".", "mappings"] {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let found = entries.flatten().map(|entry| entry.path());
        files.extend(found.filter(|path| path.to_string_lossy().ends_with(MAPPING)));
    }
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let mapping = map::read(&file)?;
            let file = file.strip_prefix("./").map(Path::to_owned).unwrap_or(file);
            Ok(Known { name: file.display().to_string(), file: Some(file), mapping })
        })
        .collect()
}
