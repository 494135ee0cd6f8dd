//! What `make bench` runs: the server, the hand-written readers that recordport is compared with, and, without
//! arguments, `benches/run.py`, which starts them one after another and prints the table.

mod content;
mod dropbox;
mod dynamics;
mod google_calendar;
mod jira;
mod pages;
mod readers;
mod server;

use std::error::Error;
use std::process::{Command, ExitCode};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The runtime that a program with reqwest has when nothing is said.
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match words.as_slice() {
        ["server"] => runtime()?.block_on(server::run())?,
        ["read", service, way, address, encoding] => {
            runtime()?.block_on(readers::read(service, way, address, *encoding == "gzip"))?;
        }
        ["get", address] => runtime()?.block_on(content::get(address))?,
        ["put", address, file] => runtime()?.block_on(content::put(address, file))?,
        ["content", blocks] => content::Content::of(blocks.parse()?, 0).write()?,
        ["rows", count] => pages::new_rows(count.parse()?)?,
        _ => {
            let folder = env!("CARGO_MANIFEST_DIR");
            let status = Command::new("python3")
                .arg(format!("{folder}/benches/run.py"))
                .args(["--program", env!("CARGO_BIN_EXE_recordport"), "--tool"])
                .arg(std::env::current_exe()?)
                .args(arguments)
                .current_dir(folder)
                .status()?;
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}
