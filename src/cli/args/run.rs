//! Flags of `run` and `runs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse_pair;
use crate::run::Threshold;

/// `run`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport run accounts.mapping.json --report failed.ndjson\n  \
    recordport run --resume 20260301-081500-3f9a1c")]
pub struct Run {
    /// File with the mapping, or the name of one that is kept.
    #[arg(value_name = "MAPPING", required_unless_present = "resume")]
    pub mapping: Option<PathBuf>,
    /// Go on with a run that was stopped or killed.
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["mapping", "limit", "params", "options", "changes", "rows", "anew"]
    )]
    pub resume: Option<String>,
    /// Write nothing: show the rows, what would change, what would be refused, and the requests.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// Read only so many records.
    #[arg(long, value_name = "N", conflicts_with = "changes")]
    pub limit: Option<u64>,
    /// Value of a parameter of the mapping: JSON, or text that is none.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub params: Vec<(String, String)>,
    /// Option of the target's operation.
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub options: Vec<(String, String)>,
    /// Take only what changed since the last such run of the mapping, deletions included; the first one takes
    /// everything.
    #[arg(long)]
    pub changes: bool,
    /// Take the rows of a file in place of the mapping's query: records of the source, such as a mended report.
    #[arg(long, value_name = "FILE", conflicts_with = "changes")]
    pub rows: Option<PathBuf>,
    /// Stop when more rows fail: a number, or a share judged from 100 rows on.
    #[arg(long, value_name = "N|N%")]
    pub max_failures: Option<Threshold>,
    /// Give up a run of the mapping that did not come to its end.
    #[arg(long)]
    pub anew: bool,
    /// File for the rows that failed, as NDJSON; nothing is written there when none did.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `runs`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport runs list --format table")]
pub struct Runs {
    /// What to do; list unless said.
    #[command(subcommand)]
    pub action: Option<RunsAction>,
}

/// Actions on runs.
#[derive(Debug, Subcommand)]
pub enum RunsAction {
    /// Lists runs, the latest first.
    #[command(after_help = "Example:\n  recordport runs list")]
    List,
    /// Shows a run, or the rows of it that failed.
    #[command(
        after_help = "Example:\n  recordport runs show 20260301-081500-3f9a1c --failed > failed.ndjson"
    )]
    Show(RunsShow),
    /// Forgets runs that are over. Those that can be resumed stay, however old.
    #[command(after_help = "Example:\n  recordport runs prune --older-than 30d")]
    Prune(RunsPrune),
}

/// `runs prune`
#[derive(Debug, Args)]
pub struct RunsPrune {
    /// How long nothing was heard of them: 30d, 12h, 2w.
    #[arg(long, value_name = "SPAN")]
    pub older_than: jiff::Span,
    /// Only list them.
    #[arg(long)]
    pub dry_run: bool,
}

/// `runs show`
#[derive(Debug, Args)]
pub struct RunsShow {
    /// The run.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Print the rows that failed: the source's records, with what went wrong in members that begin with @.
    #[arg(long)]
    pub failed: bool,
    /// Print the records that were left alone although the mapping has made records of them, with the reason.
    #[arg(long, conflicts_with = "failed")]
    pub skipped: bool,
}
