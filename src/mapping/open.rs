//! Opens everything that a mapping names and compiles against it.

use std::sync::Arc;

use async_trait::async_trait;

use super::compile::{Compiled, LookedUp, Settings, Types, compile_with, looked_up, reads};
use super::document::Mapping;
use super::lookup::{Creating, Lookups};
use super::program::Program;
use crate::error::{ErrorKind, Result};
use crate::provider::{Context, Records, Resolved};
use crate::record::FieldPath;

/// One record type on one connection, ready for use.
#[derive(Debug, Clone)]
pub struct Side {
    /// Its records.
    pub records: Arc<dyn Records>,
    /// What operations on it run with.
    pub cx: Context,
}

/// Opens record types of connections by their names.
#[async_trait]
pub trait Sides: Send + Sync {
    /// The records of a type on a connection.
    ///
    /// # Errors
    /// `NotFound` when there is no such connection or type; what the provider refuses.
    async fn side(&self, connection: &str, record_type: &str) -> Result<Side>;
}

/// A mapping against its live types.
#[derive(Debug)]
pub struct Opened {
    /// Where records come from.
    pub source: Side,
    /// Where rows go.
    pub target: Side,
    /// Where records are looked up: connection, type, and what they are there.
    pub looked_up: Vec<(String, String, Side)>,
    /// What compiling it gave.
    pub compiled: Compiled,
}

/// Opens what a mapping names and compiles it. `settings` is asked for once the source is open, with the moment of its
/// clock.
///
/// # Errors
/// What the providers refuse. Types to look records up in that do not exist are told as problems of the mapping.
pub async fn open(
    sides: &dyn Sides,
    mapping: &Mapping,
    settings: impl FnOnce(jiff::Timestamp) -> Settings,
) -> Result<Opened> {
    let source = sides.side(&mapping.source.connection, &mapping.source.record_type).await?;
    let target = sides.side(&mapping.target.connection, &mapping.target.record_type).await?;
    let mut found: Vec<(String, String, Side)> = Vec::new();
    for (connection, record_type) in looked_up(mapping) {
        match sides.side(&connection, &record_type).await {
            Ok(side) => found.push((connection, record_type, side)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let paths = resolve(&source, &reads(mapping).paths).await?;
    let types =
        Types { source: source.records.record_type(), paths: &paths, target: target.records.record_type() };
    let known: Vec<LookedUp<'_>> = found
        .iter()
        .map(|(connection, name, side)| LookedUp {
            connection,
            name,
            record_type: side.records.record_type(),
        })
        .collect();
    let compiled = compile_with(mapping, types, &known, &settings(source.cx.clock.now()));
    Ok(Opened { source, target, looked_up: found, compiled })
}

impl Opened {
    /// The lookups of the compiled program, over what was opened.
    #[must_use]
    pub fn lookups(&self, program: &Program, creating: Creating, timezone: &jiff::tz::TimeZone) -> Lookups {
        let side = |lookup: &super::Lookup| {
            let found = self.looked_up.iter().find(|(connection, name, _)| {
                *connection == lookup.connection && *name == lookup.record_type
            });
            found.map(|(.., side)| side.clone())
        };
        let sides = program.lookups().iter().filter_map(side).collect();
        Lookups::new(sides, creating, timezone.clone())
    }
}

/// The fields at the paths that lead somewhere; the compiler tells of the others.
async fn resolve(side: &Side, paths: &[FieldPath]) -> Result<Resolved> {
    let cx = &side.cx;
    let through: Vec<FieldPath> = paths.iter().filter(|path| !path.is_single()).cloned().collect();
    match side.records.resolve(cx, &through).await {
        Err(error) if error.kind() == ErrorKind::Invalid => {
            let mut good = Vec::new();
            for path in through {
                match side.records.resolve(cx, std::slice::from_ref(&path)).await {
                    Ok(_) => good.push(path),
                    Err(error) if error.kind() == ErrorKind::Invalid => {}
                    Err(error) => return Err(error),
                }
            }
            side.records.resolve(cx, &good).await
        }
        other => other,
    }
}
