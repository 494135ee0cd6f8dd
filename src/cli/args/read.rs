//! Flags of the commands that read: `types`, `options`, `search`, `get` and `changes`.

use std::path::PathBuf;

use clap::Args;

use super::{OfType, parse_pair};

/// `types`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport types work --search contact")]
pub struct Types {
    /// The connection.
    pub connection: String,
    /// Text that must occur in name or label.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Scope to list in.
    #[arg(long = "in", value_name = "SCOPE")]
    pub scope: Option<String>,
    /// Ask the provider anew.
    #[arg(long)]
    pub refresh: bool,
}

/// `options`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport options work Contact LeadSource --search web")]
pub struct FieldOptions {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// The field.
    pub field: String,
    /// Text to look for, ignoring case.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Value of a field that this one depends on.
    #[arg(long = "on", value_name = "FIELD=VALUE", value_parser = parse_pair)]
    pub on: Vec<(String, String)>,
}

/// `search`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    recordport search work Contact --where \"LastName LIKE 'M%' AND CreatedDate > now() - INTERVAL '7' DAY\"\n  \
    recordport search work Account --select Id,Name --output accounts.ndjson --checkpoint accounts.place")]
pub struct Search {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// Conditions as a SQL WHERE expression.
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Conditions as a rule group of react-querybuilder, or a whole query, in a JSON file (`-` for stdin).
    #[arg(long, value_name = "FILE")]
    pub filter: Option<PathBuf>,
    /// One condition in the provider's own filter language.
    #[arg(long, value_name = "TEXT")]
    pub native: Option<String>,
    /// Paths to return; all fields unless given.
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    pub select: Vec<String>,
    /// Order, such as "CloseDate desc,Name".
    #[arg(long, value_name = "ORDER")]
    pub order_by: Option<String>,
    /// Most records to return.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Include deleted records.
    #[arg(long)]
    pub deleted: bool,
    /// Print how many records there are instead of the records.
    #[arg(long, conflicts_with_all = ["output", "checkpoint", "explain", "cursor"])]
    pub count: bool,
    /// Add @key and @version to each record.
    #[arg(long)]
    pub meta: bool,
    /// Print what would run where instead of the records.
    #[arg(long, conflicts_with_all = ["output", "checkpoint"])]
    pub explain: bool,
    /// Records to ask the provider for at a time.
    #[arg(long, value_name = "N")]
    pub page_size: Option<u32>,
    /// Go on where a former search ended.
    #[arg(long, value_name = "TEXT", conflicts_with = "checkpoint")]
    pub cursor: Option<String>,
    /// Write the records to this file.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Keep the place after each page in this file, and go on from it when started again.
    #[arg(long, value_name = "FILE", requires = "output")]
    pub checkpoint: Option<PathBuf>,
    /// Write CSV without the apostrophe that guards spreadsheets.
    #[arg(long)]
    pub csv_raw: bool,
}

/// `get`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport get work Contact 003Wd000000SLAIIA4 --select LastName,Email")]
pub struct Get {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// Another key to read by.
    #[arg(long, value_delimiter = ',', value_name = "FIELD")]
    pub by: Vec<String>,
    /// Paths to return; all fields unless given.
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    pub select: Vec<String>,
    /// Add @key and @version to each record.
    #[arg(long)]
    pub meta: bool,
    /// Write CSV without the apostrophe that guards spreadsheets.
    #[arg(long)]
    pub csv_raw: bool,
    /// The keys.
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<String>,
}

/// `changes`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport changes work Contact > contacts.place\n  \
    recordport changes work Contact --since contacts.place --select LastName,Email\n\n\
    Each line is one change; after each page a line {\"checkpoint\":\"...\"} tells where to go on. Without --since \
    only such a line is printed: the feed begins now. A change can come twice, never not at all.")]
pub struct Changes {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// Where to go on: a checkpoint, a file that holds one and gets each new one, or `beginning`.
    #[arg(long, value_name = "CHECKPOINT|FILE|beginning")]
    pub since: Option<String>,
    /// Paths to return; all fields unless given.
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    pub select: Vec<String>,
    /// Stay, and look again and again.
    #[arg(long)]
    pub follow: bool,
    /// Seconds between two looks.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        requires = "follow",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub interval: u64,
}
