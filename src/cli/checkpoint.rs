//! The place of a search to a file: what was written, and where it goes on.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::replacement::{Replacement, unusable};
use crate::error::{Error, Result};

/// What the checkpoint file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Kind and version of the document.
    recordport: String,
    /// Hash of the plan that the output belongs to.
    pub(crate) plan: String,
    /// How the output is written; another form would continue another file.
    pub(crate) form: String,
    /// Cursor of the next page; the last one used when the search is complete.
    pub(crate) cursor: Option<String>,
    /// Length of the output at this place, in bytes.
    pub(crate) length: u64,
    /// Records written so far.
    pub(crate) records: u64,
    /// Records that could not be read so far.
    pub(crate) unreadable: u64,
    /// Whether the search is at its end.
    pub(crate) complete: bool,
}

const KIND: &str = "checkpoint/1";

impl Place {
    /// The beginning of a search.
    pub(crate) fn start(plan: &str, form: String) -> Self {
        Self {
            recordport: KIND.to_owned(),
            plan: plan.to_owned(),
            form,
            cursor: None,
            length: 0,
            records: 0,
            unreadable: 0,
            complete: false,
        }
    }

    /// Reads a checkpoint; `None` when there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(path, &error)),
        };
        let place: Self = serde_json::from_slice(&text).map_err(|error| {
            Error::invalid(format!("{} is not a checkpoint of a search: {error}", path.display()))
                .with_advice("Give another file, or remove this one to start again")
        })?;
        if place.recordport != KIND {
            return Err(Error::invalid(format!(
                "{} was written by another version ({})",
                path.display(),
                place.recordport
            ))
            .with_advice("Remove it to start again"));
        }
        Ok(Some(place))
    }

    /// Writes the checkpoint so that a crash leaves the old one or the new one.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::bug("a checkpoint cannot be written as JSON").with_source(error))?;
        let mut file = Replacement::begin(path)?;
        file.write(&text)?;
        file.write(b"\n")?;
        file.finish()
    }
}

/// The file that records go to.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: File,
    path: PathBuf,
    pub(crate) length: u64,
}

impl OutputFile {
    /// Opens the output at a length: what lies behind was written after the last checkpoint and is written
    /// again.
    pub(crate) fn open(path: &Path, length: u64) -> Result<Self> {
        let failed = |error: std::io::Error| unusable(path, &error);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let present = file.metadata().map_err(failed)?.len();
        if present < length {
            return Err(Error::invalid(format!(
                "{} has {present} bytes, but the checkpoint was taken at {length}",
                path.display()
            ))
            .with_advice("The output was changed since; remove the checkpoint to start again"));
        }
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        Ok(Self { file, path: path.to_owned(), length })
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| unusable(&self.path, &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was appended durable, so that a checkpoint may point behind it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| unusable(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("place");
        assert_eq!(Place::read(&path).expect("none"), None);
        let mut place = Place::start("hash", "ndjson".to_owned());
        place.length = 12;
        place.cursor = Some("abc".to_owned());
        place.write(&path).expect("written");
        assert_eq!(Place::read(&path).expect("read"), Some(place));
        assert!(!path.with_file_name("place.tmp").exists());
        std::fs::write(&path, "{\"x\":1}").expect("written");
        assert!(Place::read(&path).is_err());
    }

    #[test]
    fn an_output_goes_on_at_the_length_of_its_checkpoint() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("out");
        std::fs::write(&path, "one\ntwo\nhalf").expect("written");
        let mut file = OutputFile::open(&path, 4).expect("opened");
        file.append(b"TWO\n").expect("appended");
        assert_eq!(file.length, 8);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one\nTWO\n");
        assert!(OutputFile::open(&path, 100).is_err());
    }
}
