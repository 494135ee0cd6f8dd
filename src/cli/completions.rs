//! `recordport completions`: the script that teaches a shell our commands.

use clap::CommandFactory as _;

use super::Session;
use super::args::{Cli, Completions};
use super::output::Done;

/// Prints the script.
pub(crate) fn run(session: &mut Session, args: &Completions) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "recordport", &mut script);
    session.out.write(&script)?;
    Ok(0)
}
