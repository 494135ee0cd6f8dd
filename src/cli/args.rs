//! The command line's grammar: commands, flags, help and examples.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::connect::sign_in::{AccessMode, GrantKind};

mod drift;
mod map;
mod run;
mod write;

pub use drift::{SchemaDiff, SchemaLock};
pub use map::{
    Map, MapAction, MapApply, MapCheck, MapDiff, MapNamed, MapOperation, MapPreview, MapSave, MapSuggest,
    MapUse,
};
pub use run::{Run, Runs, RunsAction, RunsPrune, RunsShow};
pub use write::{Create, Delete, Update, Upsert, WriteFlags};

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

/// `demo`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport demo --once --seed 8")]
pub struct Demo {
    /// Where the emulator listens.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Decides data, ids and names.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub seed: u64,
    /// Do not open a browser: print the address, or play the browser with --once.
    #[arg(long)]
    pub no_browser: bool,
    /// Play the browser too, print the transcript and exit.
    #[arg(long)]
    pub once: bool,
    /// JSON array of fault rules to set in the emulator once the connection stands.
    #[arg(long, env = "RECORDPORT_DEMO_FAULTS", value_name = "FILE")]
    pub faults: Option<PathBuf>,
}

/// `emulator`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport emulator --listen 127.0.0.1:8080 --scale 10\n\n\
    The first line on stdout is one JSON object with the addresses and the test credentials.")]
pub struct Emulator {
    /// Where to listen for plain HTTP.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where to listen for TLS.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub tls_listen: SocketAddr,
    /// Decides data, ids and credentials.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub seed: u64,
    /// Multiplies the demo data.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub scale: u64,
    /// Start without rows.
    #[arg(long)]
    pub empty: bool,
    /// Load a real description, such as salesforce:describe_Account.json or dynamics:metadata.xml.
    #[arg(long = "import", value_name = "SERVICE:FILE", value_parser = parse_import)]
    pub imports: Vec<(String, PathBuf)>,
}

/// `providers`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport providers salesforce")]
pub struct Providers {
    /// The provider to tell about: its configuration and how to get a client id.
    pub name: Option<String>,
}

/// How a grant is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Grant {
    /// Authorisation code with PKCE in the browser.
    Code,
    /// Client credentials.
    ClientCredentials,
    /// JWT bearer assertion, signed with a key file.
    Jwt,
    /// A pasted access token.
    Token,
    /// User name and secret.
    Basic,
}

impl From<Grant> for GrantKind {
    fn from(grant: Grant) -> Self {
        match grant {
            Grant::Code => Self::Code,
            Grant::ClientCredentials => Self::ClientCredentials,
            Grant::Jwt => Self::Jwt,
            Grant::Token => Self::Token,
            Grant::Basic => Self::Basic,
        }
    }
}

/// How an access mode is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccessFlag {
    /// Only reading; writes are refused here.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

impl From<AccessFlag> for AccessMode {
    fn from(flag: AccessFlag) -> Self {
        match flag {
            AccessFlag::ReadOnly => Self::ReadOnly,
            AccessFlag::ReadWrite => Self::ReadWrite,
        }
    }
}

/// `connect`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    recordport connect salesforce work --client-id 3MVG9... --access read-only\n  \
    recordport connect salesforce demo --emulator http://127.0.0.1:8080 --no-browser\n\n\
    Secrets never come from arguments: use --token-stdin, --client-secret-stdin, --key-file, or the \
    environment variables RECORDPORT_TOKEN and RECORDPORT_CLIENT_SECRET.")]
pub struct Connect {
    /// The provider; `recordport providers` lists them.
    pub provider: String,
    /// The name to keep the connection under.
    pub name: String,
    /// What the connection may do.
    #[arg(long, value_enum, default_value = "read-write")]
    pub access: AccessFlag,
    /// Another address of the service: a sandbox, a proxy, a sovereign cloud.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<Url>,
    /// How to get a token.
    #[arg(long, value_enum)]
    pub grant: Option<Grant>,
    /// Id of one's own OAuth client.
    #[arg(long, env = "RECORDPORT_CLIENT_ID", value_name = "ID")]
    pub client_id: Option<String>,
    /// Scopes to ask for instead of the usual ones, separated by commas or blanks.
    #[arg(long, value_delimiter = ',', num_args = 1.., value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A setting of the provider's configuration.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub settings: Vec<(String, String)>,
    /// Private key for the JWT grant (PEM, mode 0600).
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The redirect address registered for one's own client.
    #[arg(long, value_name = "URI")]
    pub redirect_uri: Option<String>,
    /// Print the address instead of opening a browser, and read the one landed on from stdin.
    #[arg(long)]
    pub no_browser: bool,
    /// Connect to a running emulator with the test client that it publishes.
    #[arg(long, value_name = "URL", conflicts_with_all = ["endpoint", "client_id", "redirect_uri"])]
    pub emulator: Option<Url>,
    /// Read the access token from stdin.
    #[arg(long)]
    pub token_stdin: bool,
    /// Read the client secret from stdin.
    #[arg(long, conflicts_with = "token_stdin")]
    pub client_secret_stdin: bool,
}

/// `connections`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  recordport connections test work"
)]
pub struct Connections {
    /// What to do; lists them unless said.
    #[command(subcommand)]
    pub action: Option<ConnectionsAction>,
}

/// What to do with connections.
#[derive(Debug, Subcommand)]
pub enum ConnectionsAction {
    /// Lists the connections.
    #[command(after_help = "Example:\n  recordport connections list --format json")]
    List,
    /// Shows a connection, without its secrets.
    #[command(after_help = "Example:\n  recordport connections show work")]
    Show {
        /// Its name.
        name: String,
    },
    /// Examines a connection and says what to do when something is wrong.
    #[command(after_help = "Example:\n  recordport connections test work")]
    Test {
        /// Its name.
        name: String,
    },
    /// Authorises a connection again.
    #[command(after_help = "Example:\n  recordport connections authorize work --no-browser")]
    Authorize {
        /// Its name.
        name: String,
        /// Print the address instead of opening a browser, and read the one landed on from stdin.
        #[arg(long)]
        no_browser: bool,
        /// Read a new access token from stdin.
        #[arg(long)]
        token_stdin: bool,
    },
    /// Revokes a connection's tokens at the provider, then erases it here.
    #[command(after_help = "Example:\n  recordport connections remove work")]
    Remove {
        /// Its name.
        name: String,
    },
    /// Seals all secrets anew with a new master key.
    #[command(after_help = "Example:\n  recordport connections rekey")]
    Rekey,
    /// Prints connections for another home; their secrets only under a passphrase.
    #[command(
        after_help = "Example:\n  recordport connections export --passphrase-stdin < passphrase > connections.json\n\n\
                      The passphrase comes from stdin or RECORDPORT_PASSPHRASE. Without one the secrets stay here."
    )]
    Export {
        /// The connections to export; all unless said.
        names: Vec<String>,
        /// Read the passphrase from stdin.
        #[arg(long)]
        passphrase_stdin: bool,
    },
    /// Takes over connections that were exported.
    #[command(
        after_help = "Example:\n  recordport connections import connections.json --passphrase-stdin < passphrase"
    )]
    Import {
        /// The file, or - for stdin.
        #[arg(default_value = "-")]
        file: String,
        /// Read the passphrase from stdin.
        #[arg(long)]
        passphrase_stdin: bool,
    },
}

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
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
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

/// `options`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport options work Contact LeadSource --search web")]
pub struct FieldOptions {
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
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
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
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
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
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

/// `content`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  recordport content get work Attachment 00P5g00000A0bcD picture.png\n  recordport content put work \
                  Attachment 00P5g00000A0bcD picture.png"
)]
pub struct ContentArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ContentAction,
}

/// What to do with content.
#[derive(Debug, Subcommand)]
pub enum ContentAction {
    /// Writes the content of a record to a file or stdout.
    #[command(after_help = "Example:\n  recordport content get work Attachment 00P5g00000A0bcD picture.png")]
    Get(ContentGet),
    /// Replaces the content of a record.
    #[command(after_help = "Example:\n  recordport content put work Attachment 00P5g00000A0bcD picture.png")]
    Put(ContentPut),
}

/// `content get`
#[derive(Debug, Args)]
pub struct ContentGet {
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
    /// The record's key.
    pub key: String,
    /// The file, or - for stdout.
    pub file: Option<PathBuf>,
    /// The field, where there are several.
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
}

/// `content put`
#[derive(Debug, Args)]
pub struct ContentPut {
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
    /// The record's key.
    pub key: String,
    /// The file, or - for stdin.
    pub file: Option<PathBuf>,
    /// The field, where there are several.
    #[arg(long, value_name = "NAME")]
    pub field: Option<String>,
    /// Keeps how far an upload came in this file; the same command once more goes on from there, where the provider
    /// can.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Flags of all writing commands.
    #[command(flatten)]
    pub write: WriteFlags,
}

/// `changes`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recordport changes work Contact > contacts.place\n  \
    recordport changes work Contact --since contacts.place --select LastName,Email\n\n\
    Each line is one change; after each page a line {\"checkpoint\":\"...\"} tells where to go on. Without --since \
    only such a line is printed: the feed begins now. A change can come twice, never not at all.")]
pub struct Changes {
    /// The connection.
    pub connection: String,
    /// The record type.
    #[arg(value_name = "TYPE")]
    pub record_type: String,
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

fn parse_import(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once(':') {
        Some((service, file)) if !service.is_empty() && !file.is_empty() => {
            Ok((service.to_owned(), PathBuf::from(file)))
        }
        _ => Err("write it as SERVICE:FILE, such as salesforce:describe_Account.json".to_owned()),
    }
}
