//! Flags of `connect` and `connections`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use super::parse_pair;
use crate::connect::sign_in::{AccessMode, GrantKind};

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
