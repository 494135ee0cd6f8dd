//! The command line's grammar: commands, flags, help and examples.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

mod connections;
mod content;
mod emulated;
mod map;
mod read;
mod run;
mod schema;
mod write;

pub use connections::{AccessFlag, Connect, Connections, ConnectionsAction, Grant};
pub use content::{ContentAction, ContentArgs, ContentGet, ContentPut};
pub use emulated::{Demo, Emulator};
pub use map::{
    Map, MapAction, MapApply, MapCheck, MapDiff, MapNamed, MapOperation, MapPreview, MapSave, MapSuggest,
    MapUse,
};
pub use read::{Changes, FieldOptions, Get, Search, Types};
pub use run::{Run, Runs, RunsAction, RunsPrune, RunsShow};
pub use schema::{
    AnnotationsFlag, CompanionFlag, DecimalsFlag, LayoutFlag, Schema, SchemaAction, SchemaDiff, SchemaForm,
    SchemaLock, SchemaShow, SchemaUse,
};
pub use write::{Create, Delete, Rows, Update, Upsert, WriteFlags};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Typed records from the services a business already uses.
#[derive(Debug, Parser)]
#[command(
    name = "recordport",
    version,
    styles = STYLES,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = "Example:\n  recordport demo --once\n\n\
        Exit codes: 0 all well; 1 some rows failed; 2 usage or invalid input; 3 needs authorisation; \
        4 not found; 5 provider unreachable or refusing; 6 breaking schema drift; 7 this machine; \
        70 a bug of recordport; 130/143 after SIGINT/SIGTERM."
)]
pub struct Cli {
    /// Where state lives: connections, sealed tokens, caches.
    #[arg(long, global = true, env = "RECORDPORT_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// How data is printed; a table on a terminal and ndjson elsewhere unless said.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Zone in which a date becomes an instant (IANA name, or an offset such as +02:00).
    #[arg(long, global = true, default_value = "UTC", value_name = "ZONE")]
    pub timezone: String,
    /// What to log on stderr: a level (error, warn, info, debug, trace) or a tracing filter.
    #[arg(long, global = true, env = "RECORDPORT_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// Comma-separated values (RFC 4180).
    Csv,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the whole road on an emulated service: connect, describe, search, write.
    Demo(Demo),
    /// Runs the emulated services until Ctrl-C.
    Emulator(Emulator),
    /// Lists the providers, or tells what one of them needs.
    Providers(Providers),
    /// Connects to a provider and keeps the connection under a name.
    Connect(Connect),
    /// Lists, shows, tests, authorises and removes connections.
    Connections(Connections),
    /// Lists the record types of a connection.
    Types(Types),
    /// Shows JSON Schemas of a record type.
    Schema(Schema),
    /// Lists the values that a field can take.
    Options(FieldOptions),
    /// Searches records.
    Search(Search),
    /// Reads records by key.
    Get(Get),
    /// Reads and writes the content of records.
    Content(ContentArgs),
    /// Creates records.
    Create(Create),
    /// Updates records.
    Update(Update),
    /// Creates or updates records by a key of one's own.
    Upsert(Upsert),
    /// Deletes records.
    Delete(Delete),
    /// Tells what was created, updated and deleted.
    Changes(Changes),
    /// Checks mappings, and maps rows with them.
    Map(Map),
    /// Runs a mapping: reads, maps and writes, and goes on where it was interrupted.
    Run(Run),
    /// Lists and shows runs.
    Runs(Runs),
    /// Prints the completion script of a shell.
    Completions(Completions),
}

/// A record type of a connection, with which most commands begin.
#[derive(Debug, Args)]
pub struct OfType {
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
}

/// `providers`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport providers salesforce")]
pub struct Providers {
    /// The provider to tell about: its configuration and how to get a client id.
    pub name: Option<String>,
}

/// `completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  recordport completions bash > ~/.local/share/bash-completion/completions/recordport"
)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}
