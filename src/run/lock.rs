//! At most one run of a mapping at a time. The lock is the system's lock on a file in the home: it ends with the
//! process that holds it, however that ends, so that it cannot become stale.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use crate::connect::home::Home;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::changes::mark;

/// How often and how long a look of another process is waited for.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

/// Held while a mapping runs.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a mapping.
    ///
    /// # Errors
    /// Conflict, naming the holder, when the mapping is running; local, when the file cannot be used.
    pub(super) async fn take(home: &Home, mapping: &str, run: &str) -> Result<Self> {
        let mut file = home.open_or_create(&name(mapping))?;
        let mut taken = file.try_lock();
        // Whoever only looks holds it for an instant.
        for _ in 0..LOOKS {
            if taken.is_ok() {
                break;
            }
            tokio::time::sleep(LOOK).await;
            taken = file.try_lock();
        }
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The name is for the message only; an unreadable one is left out of it.
                let _ = std::io::Read::by_ref(&mut file).take(200).read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("the mapping {mapping:?} is running already: {holder}"),
                )
                .with_code("already_running")
                .with_advice("Wait for its end, or stop it; `recordport runs list` shows it"));
            }
            Err(TryLockError::Error(error)) => {
                return Err(Error::local(format!("cannot lock the run: {error}")));
            }
        }
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "run {run} in process {}", std::process::id()));
        if let Err(error) = named {
            tracing::debug!(%error, "the holder of a lock could not be named");
        }
        Ok(Self { _file: file })
    }

    /// Whether a mapping is running now.
    pub(super) fn is_taken(home: &Home, mapping: &str) -> Result<bool> {
        let file = home.open_or_create(&name(mapping))?;
        Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

fn name(mapping: &str) -> String {
    format!("run-{:016x}.lock", mark(&[mapping.as_bytes()]))
}
