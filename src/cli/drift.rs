//! `recordport schema lock` and `schema diff`: schemas written down, and what has changed since.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Session;
use super::args::{Format, SchemaDiff, SchemaLock};
use super::map;
use super::output::{self, Done, note};
use super::replacement::{Replacement, unusable};
use crate::drift::report::Report;
use crate::drift::{Change, Locked, diff};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::compile::looked_up;
use crate::mapping::{Mapping, Problem};
use crate::record::schema::{SchemaOptions, record_schema};
use crate::workspace::Use;

/// Exit code of a breaking change.
const DRIFTED: u8 = 6;
/// How a file with a mapping ends.
const MAPPING: &str = ".mapping.json";

/// A mapping of the project.
struct Known {
    file: PathBuf,
    mapping: std::result::Result<Mapping, Vec<Problem>>,
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
        for known in mappings(&args.mappings)? {
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
    for (connection, record_type) in &wanted {
        let connected = session.connection(connection, Use { refresh: true, dry_run: None }).await?;
        let records = connected.open(record_type).await?;
        let (mut written, mut unchanged) = (0, 0);
        for (path, text) in locked.of(connection, records.record_type()) {
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
    for one in Locked::at(&args.dir).read()? {
        let connected = session.connection(&one.connection, Use { refresh: true, dry_run: None }).await?;
        let changes: Vec<Change> = match connected.open(&one.record_type).await {
            Ok(records) => {
                let live = |purpose| record_schema(records.record_type(), purpose, &SchemaOptions::default());
                one.schemas.iter().flat_map(|(purpose, old)| diff(old, &live(*purpose), *purpose)).collect()
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let gone = |(purpose, _): &(_, _)| crate::drift::diff::gone(*purpose, error.message());
                one.schemas.iter().map(gone).collect()
            }
            Err(error) => return Err(error.into()),
        };
        report.add_type(&one.connection, &one.record_type, changes);
    }
    for known in mappings(&args.mappings)? {
        let file = Some(known.file.display().to_string());
        match known.mapping {
            Ok(mapping) => {
                let problems = problems(session, &mapping).await?;
                report.add_mapping(&mapping.name, file, problems);
            }
            Err(problems) => report.add_mapping(&known.file.display().to_string(), file, problems),
        }
    }
    show(session, &report, args.markdown)?;
    Ok(if report.breaks() { DRIFTED } else { 0 })
}

/// What is wrong with a mapping now.
async fn problems(session: &mut Session, mapping: &Mapping) -> Result<Vec<Problem>> {
    match map::live(session, mapping, &[]).await {
        Ok(live) => Ok(live.compiled.problems),
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

/// The mappings that were named, or those in the present directory and in `mappings`.
fn mappings(named: &[PathBuf]) -> Result<Vec<Known>> {
    let mut files = named.to_vec();
    if files.is_empty() {
        for folder in [".", "mappings"] {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let found = entries.flatten().map(|entry| entry.path());
            files.extend(found.filter(|path| path.to_string_lossy().ends_with(MAPPING)));
        }
        files.sort();
    }
    files
        .into_iter()
        .map(|file| {
            let mapping = map::read(&file)?;
            Ok(Known { file: file.strip_prefix("./").map(Path::to_owned).unwrap_or(file), mapping })
        })
        .collect()
}
