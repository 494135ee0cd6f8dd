//! Keeps secrets in memory from reaching the disk or another process by accident.

/// Forbids core dumps of this process, which would hold tokens, and on Linux attaching to it by others of the
/// same user. Where the system refuses, things stay as they were.
pub fn protect_memory() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
            tracing::debug!(%error, "core dumps could not be forbidden");
        }
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::debug!(%error, "the process stays dumpable");
    }
}
