//! Flags of `schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::OfType;

/// `schema`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport schema show work Contact --for create")]
pub struct Schema {
    /// What to do.
    #[command(subcommand)]
    pub action: SchemaAction,
}

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub enum SchemaAction {
    /// Prints a JSON Schema (draft-07) of a record type.
    Show(SchemaShow),
    /// Writes the schemas that a project depends on into a folder.
    Lock(SchemaLock),
    /// Tells what has changed since the schemas were written down, and which mappings that breaks.
    Diff(SchemaDiff),
}

/// Which schema of a record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaUse {
    /// What reading returns.
    Read,
    /// What creating takes.
    Create,
    /// What updating takes.
    Update,
    /// What filters can say.
    Filter,
    /// The key.
    Key,
}

/// Where a schema keeps what the provider says beyond JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnnotationsFlag {
    /// In `definitions`, beside the properties.
    Definitions,
    /// In each property.
    Inline,
    /// Left out.
    None,
}

/// How references and objects are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutFlag {
    /// Objects within objects.
    Nested,
    /// Dotted names on one level.
    Flat,
}

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecimalsFlag {
    /// As JSON numbers.
    Number,
    /// As strings of digits.
    String,
}

/// The form of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaForm {
    /// A JSON Schema.
    JsonSchema,
    /// The fields of a react-querybuilder.
    ReactQuerybuilder,
}

/// What accompanies a schema for a form widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompanionFlag {
    /// The uiSchema of react-jsonschema-form.
    Rjsf,
    /// The uischema of JSON Forms.
    Jsonforms,
}

/// `schema show`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  recordport schema show work Contact --for read --select LastName,Account.Name"
)]
pub struct SchemaShow {
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
    /// What the schema is for.
    #[arg(long = "for", value_enum, default_value = "read")]
    pub purpose: SchemaUse,
    /// Only these paths, in this order.
    #[arg(long, value_delimiter = ',', value_name = "PATH")]
    pub select: Vec<String>,
    /// Where annotations go.
    #[arg(long, value_enum, default_value = "definitions")]
    pub annotations: AnnotationsFlag,
    /// How objects are laid out.
    #[arg(long, value_enum, default_value = "nested")]
    pub layout: LayoutFlag,
    /// How decimals are written.
    #[arg(long, value_enum, default_value = "number")]
    pub decimals: DecimalsFlag,
    /// The form of the description.
    #[arg(long = "as", value_enum, default_value = "json-schema")]
    pub form: SchemaForm,
    /// Print what accompanies the schema for a form widget instead.
    #[arg(long, value_enum)]
    pub companion: Option<CompanionFlag>,
    /// Ask the provider anew.
    #[arg(long)]
    pub refresh: bool,
}

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
