//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    recordport::hardening::protect_memory();
    ExitCode::from(recordport::cli::run(std::env::args_os()))
}
