//! `recordport map save`, `list`, `show`, `delete`, `diff` and `reverse`: mappings kept by name, and turned round.

use serde_json::json;

use super::Session;
use super::args::{Format, MapDiff, MapNamed, MapSave, MapUse};
use super::map::{find, live, side};
use super::output::{self, Done, note};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::document::Mapping;
use crate::mapping::reverse::reverse;
use crate::mapping::store::{MappingStore, TypePair};
use crate::mapping::suggest::Judged;
use crate::mapping::{Severity, diff::diff};

/// Opens the mappings of the home.
pub(super) async fn store(session: &mut Session) -> Result<MappingStore> {
    let workspace = session.workspace().await?;
    MappingStore::open(workspace.home()).await
}

/// The two types of a mapping as their providers name them.
pub(super) async fn types_of(
    session: &mut Session,
    (source, source_type): (&str, &str),
    (target, target_type): (&str, &str),
) -> Result<TypePair> {
    let workspace = session.workspace().await?;
    let source = workspace.describe(source).await?.provider;
    let target = workspace.describe(target).await?.provider;
    Ok(TypePair { source: format!("{source} {source_type}"), target: format!("{target} {target_type}") })
}

/// Keeps a mapping under its name, and remembers the pairs of fields that it maps.
pub(super) async fn save(session: &mut Session, args: &MapSave) -> Done {
    let mut mapping = find(session, &args.mapping).await?.map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::invalid(format!("the mapping cannot be read: {}", told.join("; ")))
    })?;
    if let Some(name) = &args.name {
        mapping.name.clone_from(name);
    }
    let now = session.workspace().await?.clock().now();
    let store = store(session).await?;
    let kept = store.save(&mapping, now).await?;
    let source = (mapping.source.connection.as_str(), mapping.source.record_type.as_str());
    let target = (mapping.target.connection.as_str(), mapping.target.record_type.as_str());
    match types_of(session, source, target).await {
        Ok(types) => store.judge(&types, &accepted(&mapping)).await?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            note(&format!("its pairs of fields are not remembered for suggestions: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    let format = session.format();
    let row = json!({"name": kept.name, "version": kept.version, "saved": kept.saved});
    output::list(&mut session.out, format, &["name", "version", "saved"], &[row])?;
    Ok(0)
}

/// The pairs of fields that a mapping maps.
fn accepted(mapping: &Mapping) -> Vec<Judged> {
    let pairs = mapping.fields.iter().filter_map(|rule| {
        let from = rule.from.as_ref().filter(|from| !from.starts_with('@'))?;
        (!rule.to.starts_with('@')).then(|| Judged {
            to: rule.to.clone(),
            from: from.clone(),
            accepted: true,
        })
    });
    pairs.collect()
}

/// Lists the mappings that are kept.
pub(super) async fn list(session: &mut Session) -> Done {
    let kept = store(session).await?.list().await?;
    let rows: Vec<_> = kept
        .iter()
        .map(|kept| {
            let end = |connection: &str, record_type: &str| format!("{connection} {record_type}");
            let mapping = kept.mapping().ok();
            json!({
                "name": kept.name,
                "version": kept.version,
                "saved": kept.saved,
                "source": mapping.as_ref().map(|it| end(&it.source.connection, &it.source.record_type)),
                "target": mapping.as_ref().map(|it| end(&it.target.connection, &it.target.record_type)),
                "operation": mapping.as_ref().map(|it| it.target.operation),
            })
        })
        .collect();
    let format = session.format();
    let columns = ["name", "version", "saved", "source", "target", "operation"];
    output::list(&mut session.out, format, &columns, &rows)?;
    Ok(0)
}

/// Prints the document of a mapping.
pub(super) async fn show(session: &mut Session, args: &MapNamed) -> Done {
    let kept = kept(session, &args.name).await?;
    session.out.line(&kept.document)?;
    Ok(0)
}

/// A mapping that is kept, by its name or `NAME@VERSION`.
pub(super) async fn kept(session: &mut Session, name: &str) -> Result<crate::mapping::store::Kept> {
    let store = store(session).await?;
    let error = match store.load(name, None).await {
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        other => return other,
    };
    match name.rsplit_once('@').and_then(|(name, version)| Some((name, version.parse().ok()?))) {
        Some((name, version)) => store.load(name, Some(version)).await,
        None => Err(error),
    }
}

/// Removes a mapping with all its versions.
pub(super) async fn delete(session: &mut Session, args: &MapNamed) -> Done {
    let store = store(session).await?;
    let kept = store.load(&args.name, None).await?;
    store.remove(&kept.name).await?;
    note(&format!("{} is gone, with {} versions", kept.name, kept.version));
    Ok(0)
}

/// Tells what differs between two mappings.
pub(super) async fn differences(session: &mut Session, args: &MapDiff) -> Done {
    let read = |found: std::result::Result<Mapping, Vec<crate::mapping::Problem>>| {
        found.map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error::invalid(format!("the mapping cannot be read: {}", told.join("; ")))
        })
    };
    let before = read(find(session, &args.before).await?)?;
    let after = read(find(session, &args.after).await?)?;
    let found = diff(&before, &after);
    let format = session.format();
    if found.is_empty() && format == Format::Table {
        session.out.line("The two are the same.")?;
        return Ok(0);
    }
    output::list(&mut session.out, format, &["change", "pointer", "before", "after"], &found)?;
    Ok(0)
}

/// Prints the opposite mapping; what does not go backwards goes to stderr.
pub(super) async fn reversed(session: &mut Session, args: &MapUse) -> Done {
    let mapping = find(session, &args.mapping).await?.map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::invalid(format!("the mapping cannot be read: {}", told.join("; ")))
    })?;
    let source = side(session, &mapping.source.connection, &mapping.source.record_type).await?;
    let target = side(session, &mapping.target.connection, &mapping.target.record_type).await?;
    let turned = reverse(&mapping, source.records.record_type(), target.records.record_type());
    session.out.line(&turned.mapping.to_text())?;
    for left_out in &turned.left_out {
        note(&json!({"to": left_out.to, "why": left_out.why}).to_string());
    }
    for told in &turned.notes {
        note(told);
    }
    let problems = live(session, &turned.mapping, &args.params).await?.compiled.problems;
    for problem in problems.iter().filter(|problem| problem.severity == Severity::Error) {
        note(&format!("the opposite mapping is not complete: {problem}"));
    }
    Ok(u8::from(!turned.left_out.is_empty()))
}
