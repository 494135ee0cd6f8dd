//! The command line: parses, calls, prints. All that can be done is done below; here is only how it is asked
//! for and shown.

pub mod args;
mod authorize;
mod browser;
mod changes;
mod checkpoint;
mod completions;
mod connect;
mod connections;
mod content;
mod create;
mod csv;
mod delete;
mod demo;
mod drift;
mod dry_run;
mod emulator;
mod feed;
mod found;
mod get;
mod map;
mod mappings;
mod options;
mod output;
mod progress;
mod providers;
mod records;
mod replacement;
mod run;
mod runs;
mod schema;
mod search;
mod signals;
mod transfer;
mod types;
mod update;
mod upsert;
mod write;

use std::ffi::OsString;
use std::io::Read;
use std::panic::AssertUnwindSafe;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use self::args::{Cli, Command, Format, SchemaAction};
use self::output::{Done, Halt, Out};
use self::signals::Signals;
use crate::error::{Error, Result};
use crate::workspace::{Connected, Use, Workspace};

/// Exit code of a defect of recordport.
const BUG: u8 = 70;
/// Exit code of wrong usage.
const USAGE: u8 = 2;

/// What commands share: where they print, where rows come from, what was said globally.
pub(crate) struct Session {
    pub(crate) out: Out,
    pub(crate) input: Box<dyn Read + Send>,
    pub(crate) signals: Signals,
    pub(crate) home: Option<std::path::PathBuf>,
    pub(crate) format: Option<Format>,
    pub(crate) timezone: jiff::tz::TimeZone,
    pub(crate) workspace: Option<Workspace>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("home", &self.home)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The format of lists and records: a table on a terminal, NDJSON elsewhere.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or(if self.out.terminal { Format::Table } else { Format::Ndjson })
    }

    /// The workspace of the home, opened when it is first needed.
    pub(crate) async fn workspace(&mut self) -> Result<Workspace> {
        if let Some(workspace) = &self.workspace {
            return Ok(workspace.clone());
        }
        let home = match &self.home {
            Some(home) => home.clone(),
            None => Workspace::default_home()?,
        };
        let workspace = Workspace::open(&home).await?;
        self.workspace = Some(workspace.clone());
        Ok(workspace)
    }

    /// A connection ready for use.
    pub(crate) async fn connection(&mut self, name: &str, how: Use) -> Result<Connected> {
        self.workspace().await?.connection(name, how).await
    }
}

/// Runs one command line and returns the process's exit code.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(told) => {
            let code = if told.use_stderr() { USAGE } else { 0 };
            // Help that nobody reads any more is no failure.
            let _ = told.print();
            return code;
        }
    };
    let format = cli.format;
    std::panic::catch_unwind(AssertUnwindSafe(|| start(cli))).unwrap_or_else(|_| {
        output::report(
            &Error::bug("recordport stopped at a defect of its own")
                .with_advice("Nothing more was done; please report it with the lines above"),
            format,
        );
        BUG
    })
}

fn start(cli: Cli) -> u8 {
    let format = cli.format;
    keep_freed_memory();
    let done = prepare_log(cli.log.as_deref()).and_then(|()| {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::local(format!("cannot start: {error}")))
    });
    match done {
        Ok(runtime) => {
            let code = runtime.block_on(async {
                let timezone = match zone(&cli.timezone) {
                    Ok(timezone) => timezone,
                    Err(error) => return finish(Err(error.into()), format),
                };
                let mut session = Session {
                    out: Out::stdout(),
                    input: Box::new(std::io::stdin()),
                    signals: Signals::listen(),
                    home: cli.home,
                    format,
                    timezone,
                    workspace: None,
                };
                let done = Box::pin(execute(&mut session, cli.command)).await;
                let flushed = session.out.flush();
                finish(done.and_then(|code| flushed.map(|()| code)), format)
            });
            // A thread that waits for stdin or a slow disk does not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => finish(Err(error.into()), format),
    }
}

/// Largest block that the allocator is taught to keep.
const KEPT_BLOCK: usize = 16 * 1024 * 1024;

/// Pages of a search are allocated and freed again and again. glibc gives blocks of that size back to the system
/// at once, and getting them anew costs more than reading them, until it has seen a larger one freed. Nothing of
/// this one is ever touched, so that it takes no memory; other allocators do not mind.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BLOCK)));
}

fn finish(done: Done, format: Option<Format>) -> u8 {
    match done {
        Ok(code) | Err(Halt::Signalled(code)) => code,
        Err(Halt::PipeClosed) => 0,
        Err(Halt::Failed(error)) => {
            output::report(&error, format);
            output::exit_code(&error)
        }
    }
}

/// Runs one command.
async fn execute(session: &mut Session, command: Command) -> Done {
    match command {
        Command::Demo(args) => demo::run(session, args).await,
        Command::Emulator(args) => emulator::run(session, args).await,
        Command::Providers(args) => providers::run(session, &args),
        Command::Connect(args) => connect::run(session, args).await,
        Command::Connections(args) => connections::run(session, args.action).await,
        Command::Types(args) => types::run(session, args).await,
        Command::Schema(args) => match args.action {
            SchemaAction::Show(args) => schema::show(session, args).await,
            SchemaAction::Lock(args) => drift::lock(session, args).await,
            SchemaAction::Diff(args) => drift::diff_all(session, args).await,
        },
        Command::Options(args) => options::run(session, args).await,
        Command::Search(args) => search::run(session, args).await,
        Command::Get(args) => get::run(session, args).await,
        Command::Content(args) => content::run(session, args.action).await,
        Command::Create(args) => create::run(session, args).await,
        Command::Update(args) => update::run(session, args).await,
        Command::Upsert(args) => upsert::run(session, args).await,
        Command::Delete(args) => delete::run(session, args).await,
        Command::Changes(args) => changes::run(session, args).await,
        Command::Map(args) => map::run(session, args.action).await,
        Command::Run(args) => run::run(session, args).await,
        Command::Runs(args) => runs::run(session, args.action).await,
        Command::Completions(args) => completions::run(session, &args),
    }
}

/// Logs go to stderr as JSON lines when asked for; warnings go there as plain lines always.
fn prepare_log(wanted: Option<&str>) -> Result<()> {
    let filter = EnvFilter::try_new(wanted.unwrap_or("recordport=warn")).map_err(|error| {
        Error::invalid(format!("cannot read the log filter: {error}")).with_advice(
            "Give a level (error, warn, info, debug, trace) or a filter such as recordport=debug",
        )
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match wanted {
        Some(_) => builder.json().try_init(),
        None => builder.without_time().with_target(false).with_ansi(false).try_init(),
    };
    // A program that embeds this has its own log already.
    drop(set);
    Ok(())
}

/// A zone by its IANA name, or a fixed offset.
fn zone(text: &str) -> Result<jiff::tz::TimeZone> {
    if text.eq_ignore_ascii_case("utc") || text == "Z" {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    jiff::tz::TimeZone::get(text)
        .or_else(|_| jiff::tz::TimeZone::posix(text))
        .or_else(|_| fixed(text))
        .map_err(|_| {
            Error::invalid(format!("{text:?} is no time zone"))
                .with_advice("Give an IANA name such as Europe/Berlin, UTC, or an offset such as +02:00")
        })
}

fn fixed(text: &str) -> Result<jiff::tz::TimeZone, ()> {
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => return Err(()),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let (hours, minutes): (i32, i32) = (hours.parse().map_err(drop)?, minutes.parse().map_err(drop)?);
    if !(0..=23).contains(&hours) || !(0..=59).contains(&minutes) {
        return Err(());
    }
    let seconds = sign * (hours * 3600 + minutes * 60);
    jiff::tz::Offset::from_seconds(seconds).map(jiff::tz::Offset::to_time_zone).map_err(drop)
}
