//! Flags of `content`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OfType, WriteFlags};

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
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
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
    /// Whose records.
    #[command(flatten)]
    pub of: OfType,
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
