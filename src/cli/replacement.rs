//! A file that takes its name when it is whole: a crash leaves the old one or the new one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file being written beside the one that it will replace.
#[derive(Debug)]
pub(crate) struct Replacement {
    file: File,
    draft: PathBuf,
    path: PathBuf,
    whole: bool,
}

impl Replacement {
    /// Begins one.
    ///
    /// # Errors
    /// Local, when nothing can be written there.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let draft = path.with_file_name(name);
        let file = File::create(&draft).map_err(|error| unusable(path, &error))?;
        Ok(Self { file, draft, path: path.to_owned(), whole: false })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Local, when they cannot be written.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| unusable(&self.path, &error))
    }

    /// Makes it durable and gives it its name.
    ///
    /// # Errors
    /// Local; then the old file is still there.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.draft, &self.path))
            .and_then(|()| sync_directory(&self.path))
            .map_err(|error| unusable(&self.path, &error))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.whole {
            // What is left of it otherwise is overwritten by the next.
            let _ = std::fs::remove_file(&self.draft);
        }
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Why a file cannot be written.
pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::local(format!("cannot use {}: {error}", path.display()))
        .with_advice("Check the directory, its permissions and the space left")
}
