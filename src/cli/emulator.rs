//! `recordport emulator`: the emulated services until a signal.

use super::Session;
use super::args;
use super::output::Done;
use crate::emulator::{Emulator, EmulatorConfig};

/// Starts the services, prints the ready line and stays.
pub(crate) async fn run(session: &mut Session, args: args::Emulator) -> Done {
    let emulator = Emulator::start(EmulatorConfig {
        listen: args.listen,
        tls_listen: args.tls_listen,
        seed: args.seed,
        scale: args.scale,
        empty: args.empty,
        imports: args.imports,
        ..EmulatorConfig::default()
    })
    .await?;
    session.out.json_line(&emulator.ready_line())?;
    session.out.flush()?;
    let code = session.signals.wait().await;
    emulator.shutdown().await;
    Ok(code)
}
