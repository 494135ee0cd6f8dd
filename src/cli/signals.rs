//! SIGINT and SIGTERM: what is in flight may finish, within five seconds; then the process ends.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use super::output::Halt;

/// How long what is in flight may take to finish.
const PATIENCE: Duration = Duration::from_millis(4500);

/// The process's end when even a blocked write to stdout does not let go.
const LAST: Duration = Duration::from_secs(5);

/// Exit codes of the two signals.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Tells whether a signal asked to stop. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Signals(watch::Receiver<Option<u8>>);

impl Signals {
    /// Begins to listen, on the present runtime. A second signal ends the process at once.
    pub(crate) fn listen() -> Self {
        let (tell, told) = watch::channel(None);
        tokio::spawn(async move {
            let code = next_signal().await;
            // Nobody listens any more when the command is ending anyway.
            let _ = tell.send(Some(code));
            tokio::select! {
                () = tokio::time::sleep(LAST) => {}
                _ = next_signal() => {}
            }
            std::process::exit(i32::from(code));
        });
        Self(told)
    }

    /// Whether one came; its exit code.
    pub(crate) fn arrived(&self) -> Option<u8> {
        *self.0.borrow()
    }

    /// Waits for one.
    pub(crate) async fn wait(&mut self) -> u8 {
        loop {
            if let Some(code) = self.arrived() {
                return code;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs something that is better finished than dropped: a signal gives it a few seconds.
    pub(crate) async fn finishing<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let mut work = std::pin::pin!(work);
        let code = tokio::select! {
            biased;
            result = &mut work => return Ok(result),
            code = self.wait() => code,
        };
        tokio::time::timeout(PATIENCE, work).await.map_err(|_| Halt::Signalled(code))
    }

    /// Runs something that can be dropped at any point: a signal ends it.
    pub(crate) async fn or_stop<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Halt> {
        tokio::select! {
            biased;
            code = self.wait() => Err(Halt::Signalled(code)),
            result = work => Ok(result),
        }
    }

    /// Ends the command when a signal came.
    pub(crate) fn check(&self) -> Result<(), Halt> {
        self.arrived().map_or(Ok(()), |code| Err(Halt::Signalled(code)))
    }
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let listeners = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = listeners else {
        // Without listeners the system's own handling ends the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => INTERRUPTED,
        _ = terminate.recv() => TERMINATED,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> u8 {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    let _ = TERMINATED;
    INTERRUPTED
}
