//! The directory where state lives: private from its first instant, whatever the umask.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A directory that only its owner can enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// Makes the directory (mode 0700) or checks that it is ours alone. An empty directory of ours with other
    /// permissions is taken into possession; one with files in it is refused instead.
    ///
    /// # Errors
    /// Local, with what is wrong in words and the command that mends it.
    pub fn prepare(path: &Path) -> Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == Io::NotFound => make(path)?,
            Err(error) => return Err(unusable(path, &error)),
        }
        // The path may run through links; only what is at its end counts.
        let path = std::fs::canonicalize(path).map_err(|error| unusable(path, &error))?;
        let metadata = std::fs::metadata(&path).map_err(|error| unusable(&path, &error))?;
        if !metadata.is_dir() {
            return Err(Error::local(format!("{} is not a directory", path.display()))
                .with_code("home_not_directory")
                .with_advice("Choose a directory with --home or RECORDPORT_HOME"));
        }
        #[cfg(unix)]
        private_directory(&path, &metadata)?;
        Ok(Self(path))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Opens a file of ours for reading and writing, making it (mode 0600) when it is not there.
    ///
    /// # Errors
    /// Local, when it is a link, a directory, somebody else's or open to others.
    pub fn open_or_create(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        let mut options = private_options();
        options.read(true).write(true);
        match options.clone().create_new(true).open(&path) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == Io::AlreadyExists => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
        let file = options.open(&path).map_err(|error| unopened(&path, &error))?;
        private_file(&path, &file)?;
        Ok(file)
    }

    /// Reads a small file of ours; `None` when there is none.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    pub fn read(&self, name: &str) -> Result<Option<zeroize::Zeroizing<String>>> {
        let path = self.file(name);
        let file = match private_options().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok(None),
            Err(error) => return Err(unopened(&path, &error)),
        };
        private_file(&path, &file)?;
        let mut text = zeroize::Zeroizing::new(String::new());
        std::io::Read::read_to_string(&mut std::io::Read::take(file, 64 * 1024), &mut text)
            .map_err(|error| unusable(&path, &error))?;
        Ok(Some(text))
    }

    /// Checks a file without reading it; none is fine.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    pub fn inspect(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match private_options().read(true).open(&path) {
            Ok(file) => private_file(&path, &file),
            Err(error) if error.kind() == Io::NotFound => Ok(()),
            Err(error) => Err(unopened(&path, &error)),
        }
    }

    /// Writes a file as a whole, durably: a crash leaves the old file or the new one.
    ///
    /// # Errors
    /// Local, when the disk refuses.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let draft = self.file(&format!("{name}.{}.tmp", uuid::Uuid::new_v4().simple()));
        let path = self.file(name);
        let written = private_options()
            .write(true)
            .create_new(true)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(content)?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&draft, &path))
            .and_then(|()| self.sync());
        written.map_err(|error| {
            // The draft may hold a secret; what cannot be removed is at least private.
            let _ = std::fs::remove_file(&draft);
            unusable(&path, &error)
        })
    }

    /// Removes a file; none is as good.
    ///
    /// # Errors
    /// Local, when the disk refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        match std::fs::remove_file(self.file(name)).and_then(|()| self.sync()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Io::NotFound => Ok(()),
            Err(error) => Err(unusable(&self.file(name), &error)),
        }
    }

    /// Renames a file over another, durably.
    ///
    /// # Errors
    /// Local, when the disk refuses.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        std::fs::rename(self.file(from), self.file(to))
            .and_then(|()| self.sync())
            .map_err(|error| unusable(&self.file(to), &error))
    }

    /// Makes changes of the directory itself durable.
    fn sync(&self) -> std::io::Result<()> {
        #[cfg(unix)]
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }
}

fn make(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| unusable(path, &error))
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

#[cfg(unix)]
fn private_directory(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    owned(path, metadata.uid())?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if empty {
        return File::open(path)
            .and_then(|dir| dir.set_permissions(std::fs::Permissions::from_mode(0o700)))
            .map_err(|error| unusable(path, &error));
    }
    Err(open_to_others(path, mode, "700"))
}

#[cfg(unix)]
fn owned(path: &Path, owner: u32) -> Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if owner == own {
        return Ok(());
    }
    Err(Error::local(format!("{} belongs to user {owner}, not to us (user {own})", path.display()))
        .with_code("not_owner")
        .with_advice("Run as its owner, or choose another directory with --home"))
}

#[cfg(unix)]
fn open_to_others(path: &Path, mode: u32, wanted: &str) -> Error {
    Error::local(format!("{} is open to other users (mode {mode:04o})", path.display()))
        .with_code("open_to_others")
        .with_advice(format!(
            "If nobody else could have changed it, run: chmod {wanted} {}",
            shell_quoted(path)
        ))
}

#[cfg(unix)]
fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Refuses an open file that is not a plain file of ours alone.
fn private_file(path: &Path, file: &File) -> Result<()> {
    let metadata = file.metadata().map_err(|error| unusable(path, &error))?;
    if !metadata.is_file() {
        return Err(not_plain(path, "is not a plain file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        owned(path, metadata.uid())?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(open_to_others(path, mode, "600"));
        }
    }
    Ok(())
}

fn not_plain(path: &Path, what: &str) -> Error {
    Error::local(format!("{} {what}", path.display()))
        .with_code("not_a_file")
        .with_advice("Move it away: recordport keeps its state in plain files that only it writes")
}

/// Why an existing file did not open; a link shows as `ELOOP`.
fn unopened(path: &Path, error: &std::io::Error) -> Error {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => not_plain(path, "is a symbolic link"),
        Ok(metadata) if metadata.is_dir() => not_plain(path, "is a directory"),
        _ => unusable(path, error),
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    let advice = match error.kind() {
        Io::ReadOnlyFilesystem => "The file system is read-only: choose another directory with --home",
        Io::PermissionDenied => "This user may not write there: choose another directory with --home",
        Io::StorageFull | Io::QuotaExceeded => "The disk is full: free some space and try again",
        _ => "Choose another directory with --home or RECORDPORT_HOME",
    };
    Error::local(format!("cannot use {}: {error}", path.display())).with_code("disk").with_advice(advice)
}
