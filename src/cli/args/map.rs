//! Flags of `map`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::parse_pair;

/// `map`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport map check contacts.mapping.json")]
pub struct Map {
    /// What to do.
    #[command(subcommand)]
    pub action: MapAction,
}

/// Actions on mappings.
#[derive(Debug, Subcommand)]
pub enum MapAction {
    /// Tells everything that is wrong with a mapping, against the live record types.
    #[command(after_help = "Example:\n  recordport map check contacts.mapping.json --format table")]
    Check(MapCheck),
    /// Maps rows: records in, rows for the target out. Nothing is written.
    #[command(
        after_help = "Example:\n  recordport search work Contact | recordport map apply contacts.mapping.json - \\\n    | \
        recordport create other contact"
    )]
    Apply(MapApply),
    /// Shows real records beside the rows that they become, what the target would refuse and what would change
    /// there. Nothing is written.
    #[command(after_help = "Example:\n  recordport map preview contacts.mapping.json --limit 5")]
    Preview(MapPreview),
    /// Suggests rules between two record types, with reasons.
    #[command(after_help = "Example:\n  recordport map suggest work Contact other contact --format json")]
    Suggest(MapSuggest),
    /// Prints the opposite mapping, and which rules do not go backwards and why.
    #[command(after_help = "Example:\n  recordport map reverse contacts.mapping.json > back.mapping.json")]
    Reverse(MapUse),
    /// Keeps a mapping under its name. Every version stays.
    #[command(after_help = "Example:\n  recordport map save contacts.mapping.json")]
    Save(MapSave),
    /// Lists the mappings that are kept.
    #[command(after_help = "Example:\n  recordport map list")]
    List,
    /// Prints a mapping that is kept.
    #[command(after_help = "Example:\n  recordport map show contacts@2")]
    Show(MapNamed),
    /// Removes a mapping that is kept, with all its versions.
    #[command(after_help = "Example:\n  recordport map delete contacts")]
    Delete(MapNamed),
    /// Tells what differs between two mappings, rule by rule.
    #[command(after_help = "Example:\n  recordport map diff contacts@1 contacts")]
    Diff(MapDiff),
}

/// `map save`
#[derive(Debug, Args)]
pub struct MapSave {
    /// File with the mapping.
    #[arg(value_name = "FILE")]
    pub mapping: PathBuf,
    /// Another name than the document's own.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// `map show`, `map delete`
#[derive(Debug, Args)]
pub struct MapNamed {
    /// Its name; `show` also takes NAME@VERSION.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `map diff`
#[derive(Debug, Args)]
pub struct MapDiff {
    /// The one before: file, NAME or NAME@VERSION.
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The one after.
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
}

/// What every use of a mapping takes.
#[derive(Debug, Args)]
pub struct MapUse {
    /// File with the mapping, or the name of one that is kept (NAME, NAME@VERSION).
    #[arg(value_name = "MAPPING")]
    pub mapping: PathBuf,
    /// Value of a parameter: JSON, or text that is none.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub params: Vec<(String, String)>,
}

/// `map check`
#[derive(Debug, Args)]
pub struct MapCheck {
    /// The mapping.
    #[command(flatten)]
    pub mapping: MapUse,
}

/// `map apply`
#[derive(Debug, Args)]
pub struct MapApply {
    /// The mapping.
    #[command(flatten)]
    pub mapping: MapUse,
    /// File with rows, or - for stdin.
    #[arg(value_name = "FILE|-")]
    pub file: Option<PathBuf>,
}

/// `map preview`
#[derive(Debug, Args)]
pub struct MapPreview {
    /// The mapping.
    #[command(flatten)]
    pub mapping: MapUse,
    /// How many records of the source.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
}

/// `map suggest`
#[derive(Debug, Args)]
pub struct MapSuggest {
    /// Connection that records come from.
    #[arg(value_name = "CONNECTION")]
    pub source: String,
    /// Their type.
    #[arg(value_name = "TYPE")]
    pub source_type: String,
    /// Connection that rows go to.
    #[arg(value_name = "TO_CONNECTION")]
    pub target: String,
    /// Their type.
    #[arg(value_name = "TO_TYPE")]
    pub target_type: String,
    /// What is done with the rows.
    #[arg(long, value_enum, default_value = "create", value_name = "OP")]
    pub operation: MapOperation,
    /// Also looks at the values of so many records of either side.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub samples: Option<u64>,
    /// Remembers that a pair of fields is right for these two types.
    #[arg(long, value_name = "TO=FROM", value_parser = parse_pair)]
    pub accept: Vec<(String, String)>,
    /// Remembers that a pair of fields is wrong for these two types.
    #[arg(long, value_name = "TO=FROM", value_parser = parse_pair)]
    pub reject: Vec<(String, String)>,
}

/// Operations that fields can be suggested for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MapOperation {
    /// New records.
    Create,
    /// Changes of records.
    Update,
    /// Either, by a key.
    Upsert,
}
