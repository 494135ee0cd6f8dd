//! The folder of schemas that a project keeps: `CONNECTION/TYPE.PURPOSE.json`, one file for each direction, fit to be
//! reviewed with the rest of the project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::record::RecordType;
use crate::record::schema::{SchemaOptions, SchemaPurpose, pretty, record_schema};

/// The directions that are kept.
pub const PURPOSES: [SchemaPurpose; 4] =
    [SchemaPurpose::Read, SchemaPurpose::Create, SchemaPurpose::Update, SchemaPurpose::Key];

/// A folder of schemas.
#[derive(Debug, Clone)]
pub struct Locked(PathBuf);

/// The schemas of one type, as they were written down.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedType {
    /// Name of the connection.
    pub connection: String,
    /// Name of the type.
    pub record_type: String,
    /// Its schemas by direction.
    pub schemas: Vec<(SchemaPurpose, Json)>,
}

impl Locked {
    /// The folder at a path.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The schemas of a type as they are now, with the names of their files in the folder.
    #[must_use]
    pub fn of(&self, connection: &str, record_type: &RecordType) -> Vec<(PathBuf, String)> {
        let folder = self.0.join(file_name(connection));
        PURPOSES
            .into_iter()
            .map(|purpose| {
                let schema = record_schema(record_type, purpose, &SchemaOptions::default());
                let name = format!("{}.{}.json", file_name(record_type.name.as_str()), purpose.name());
                (folder.join(name), pretty(&schema))
            })
            .collect()
    }

    /// All that was written down.
    ///
    /// # Errors
    /// Invalid, when there is no folder or a file in it is no schema; local, when it cannot be read.
    pub fn read(&self) -> Result<Vec<LockedType>> {
        let mut found: BTreeMap<(String, String), Vec<(SchemaPurpose, Json)>> = BTreeMap::new();
        for folder in entries(&self.0)?.into_iter().filter(|path| path.is_dir()) {
            let Some(connection) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            for file in entries(&folder)? {
                let name = file
                    .file_name()
                    .and_then(|name| name.to_str())
                    .and_then(|name| name.strip_suffix(".json"));
                let Some((record_type, purpose)) = name.and_then(|name| name.rsplit_once('.')) else {
                    continue;
                };
                let Some(purpose) = SchemaPurpose::parse(purpose).filter(|one| PURPOSES.contains(one)) else {
                    continue;
                };
                let schema = read_schema(&file)?;
                let named =
                    schema.pointer("/definitions/record-meta/const/recordType").and_then(Json::as_str);
                let record_type = named.map_or_else(|| plain_name(record_type), str::to_owned);
                found.entry((plain_name(connection), record_type)).or_default().push((purpose, schema));
            }
        }
        if found.is_empty() {
            return Err(Error::invalid(format!("there are no schemas in {}", self.0.display()))
                .with_advice("Write them down first: recordport schema lock CONNECTION TYPE"));
        }
        let place = |purpose: &SchemaPurpose| PURPOSES.iter().position(|known| known == purpose);
        Ok(found
            .into_iter()
            .map(|((connection, record_type), mut schemas)| {
                schemas.sort_by_key(|(purpose, _)| place(purpose));
                LockedType { connection, record_type, schemas }
            })
            .collect())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.sort();
            Ok(paths)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            Err(Error::local(format!("cannot read {}: {error}", folder.display())).with_source(error))
        }
    }
}

fn read_schema(file: &Path) -> Result<Json> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::local(format!("cannot read {}: {error}", file.display())).with_source(error)
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Error::invalid(format!("{} is no schema: {error}", file.display()))
            .with_advice("Restore it, or write it down anew with `recordport schema lock`")
    })
}

/// A name as a file can be called, on every system: what is no letter, digit, `_` or `-` is percent-encoded.
fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The name that a file name stands for.
fn plain_name(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_survive_as_file_names(name in ".{0,20}") {
            let file = file_name(&name);
            prop_assert!(file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-%".contains(&byte)));
            prop_assert_eq!(plain_name(&file), name);
        }
    }
}
