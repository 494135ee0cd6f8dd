//! Flags of `demo` and `emulator`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

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

fn parse_import(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once(':') {
        Some((service, file)) if !service.is_empty() && !file.is_empty() => {
            Ok((service.to_owned(), PathBuf::from(file)))
        }
        _ => Err("write it as SERVICE:FILE, such as salesforce:describe_Account.json".to_owned()),
    }
}
