//! Flags of `schema lock` and `schema diff`.

use std::path::PathBuf;

use clap::Args;

/// `schema lock`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport schema lock work Contact Account\n\n\
    Without types those are written down that mappings use (*.mapping.json here and in mappings/, and those that \
    are kept by name), and those that were before.")]
pub struct SchemaLock {
    /// Name of the connection.
    #[arg(value_name = "CONNECTION", requires = "types")]
    pub connection: Option<String>,
    /// Names of its types.
    #[arg(value_name = "TYPE")]
    pub types: Vec<String>,
    /// Folder of the schemas.
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    pub dir: PathBuf,
    /// A mapping, by its file or by the name that it is kept under, in place of those found here and kept.
    #[arg(long = "mapping", value_name = "FILE|NAME")]
    pub mappings: Vec<PathBuf>,
}

/// `schema diff`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport schema diff --markdown > drift.md\n\n\
    The exit code is 6 when something breaks.")]
pub struct SchemaDiff {
    /// Folder of the schemas.
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    pub dir: PathBuf,
    /// A mapping, by its file or by the name that it is kept under, in place of those found here and kept.
    #[arg(long = "mapping", value_name = "FILE|NAME")]
    pub mappings: Vec<PathBuf>,
    /// Print a report in Markdown.
    #[arg(long)]
    pub markdown: bool,
}
