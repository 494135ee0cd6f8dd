//! Flags of `create`, `update`, `upsert` and `delete`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{OfType, parse_pair};

/// What all writing commands take.
#[derive(Debug, Args)]
pub struct WriteFlags {
    /// Write nothing: print the exact requests, what would change in each record, and what would be refused.
    #[arg(long)]
    pub dry_run: bool,
    /// An option of the operation.
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub options: Vec<(String, String)>,
    /// Read CSV as it is, keeping an apostrophe that guards spreadsheets.
    #[arg(long)]
    pub csv_raw: bool,
}

/// What rows are written to, and where they stand.
#[derive(Debug, Args)]
pub struct Rows {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// The rows; stdin unless given.
    pub file: Option<PathBuf>,
    /// What all writing commands take.
    #[command(flatten)]
    pub write: WriteFlags,
}

/// `create`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  echo '{\"LastName\":\"Moreau\"}' | recordport create work Contact\n\n\
    Rows are one JSON object, a JSON array, NDJSON, or CSV (--format csv or a .csv name).")]
pub struct Create {
    /// The rows and what they are written to.
    #[command(flatten)]
    pub rows: Rows,
}

/// `update`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("found").args(["condition", "all"]).multiple(true),
    after_help = "Examples:\n  \
    echo '{\"@key\":\"003Wd000000SLAIIA4\",\"Title\":null}' | recordport update work Contact\n  \
    recordport update work Contact --where \"Title = 'Buyer'\" --set 'Title=\"Purchasing\"' --max 100 --yes"
)]
pub struct Update {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// The rows; stdin unless given.
    #[arg(conflicts_with = "found")]
    pub file: Option<PathBuf>,
    /// Update the records that these conditions find.
    #[arg(long = "where", value_name = "SQL", requires = "max", requires = "assignments")]
    pub condition: Option<String>,
    /// Update every record when there is no condition, or one that leaves nothing out.
    #[arg(long, requires = "max", requires = "assignments")]
    pub all: bool,
    /// What to set in each found record.
    #[arg(long = "set", value_name = "FIELD=JSON", value_parser = parse_pair, requires = "found")]
    pub assignments: Vec<(String, String)>,
    /// Refuse when more records than this are found.
    #[arg(long, value_name = "N", requires = "found")]
    pub max: Option<u64>,
    /// Do it without asking.
    #[arg(long, requires = "found")]
    pub yes: bool,
    /// What all writing commands take.
    #[command(flatten)]
    pub write: WriteFlags,
}

/// `upsert`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport upsert work Contact --by Erp_Id__c contacts.csv")]
pub struct Upsert {
    /// The key to go by.
    #[arg(long, required = true, value_delimiter = ',', value_name = "FIELD")]
    pub by: Vec<String>,
    /// The rows and what they are written to.
    #[command(flatten)]
    pub rows: Rows,
}

/// `delete`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("found").args(["condition", "all"]).multiple(true),
    after_help = "Examples:\n  recordport delete work Contact 003Wd000000SLAIIA4\n  \
    recordport search work Lead --where \"Status = 'Junk'\" --select Id --meta | recordport delete work Lead -"
)]
pub struct Delete {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// The keys; `-` reads rows with @key (and @version) from stdin.
    #[arg(value_name = "KEY", required_unless_present_any = ["condition", "all"], conflicts_with = "found")]
    pub keys: Vec<String>,
    /// Delete the records that these conditions find.
    #[arg(long = "where", value_name = "SQL", requires = "max")]
    pub condition: Option<String>,
    /// Delete every record when there is no condition, or one that leaves nothing out.
    #[arg(long, requires = "max")]
    pub all: bool,
    /// Refuse when more records than this are found.
    #[arg(long, value_name = "N", requires = "found")]
    pub max: Option<u64>,
    /// Do it without asking.
    #[arg(long, requires = "found")]
    pub yes: bool,
    /// What all writing commands take.
    #[command(flatten)]
    pub write: WriteFlags,
}
