//! What the entries of a page mean for the records of a type, by what is known of them. Entries are applied in order; a
//! deletion takes away what was at its path and under it. A record that is deleted at one path and comes at another was
//! moved.
//!
//! Source: the Stone specification (`list_folder/continue`).

use crate::error::Result;
use crate::provider::ChangeKind;
use crate::provider::feed_memory::{Entries, Known, Presence};

/// An entry of a page.
#[derive(Debug, Clone)]
pub(super) struct Sighted {
    /// Its path in lower case.
    pub(super) path: String,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// Nothing stands at the path any more.
    Deleted,
    /// Something of another kind, or of another place, stands there.
    Foreign,
    /// A record, with a mark of what is seen of it.
    Own { key: String, mark: u32 },
}

/// How entries are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Whether the records are folders, which take away what is under them.
    pub(super) folders: bool,
    /// Whether what is seen is remembered.
    pub(super) keeps: bool,
    /// Whether everything is listed once more, and compared.
    pub(super) compares: bool,
    /// Whether the entries are those of the first listing.
    pub(super) listing: bool,
}

/// What is to be told of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    Tell(ChangeKind),
    /// The path alone, as nobody knows what was there.
    Path,
}

/// What a page came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// One for each entry.
    pub(super) verdicts: Vec<Verdict>,
    /// What is gone for good.
    pub(super) gone: Vec<Known>,
    /// Whether more is gone.
    pub(super) rest: bool,
}

/// Looks at the entries of a page; behind the last one it is clear what is gone.
pub(super) fn look(
    entries: &mut dyn Entries,
    sighted: &[Sighted],
    how: How,
    is_last: bool,
    most: usize,
) -> Result<Found> {
    let mut found = Found::default();
    for one in sighted {
        found.verdicts.push(verdict(entries, one, how)?);
    }
    if is_last {
        // What was not found again is gone.
        entries.turn(None, Presence::Before, Presence::Gone)?;
        (found.gone, found.rest) = take_gone(entries, most)?;
    }
    Ok(found)
}

/// Takes some of what is gone, and says whether there is more.
pub(super) fn take_gone(entries: &mut dyn Entries, most: usize) -> Result<(Vec<Known>, bool)> {
    let mut gone = entries.some(Presence::Gone, most.saturating_add(1))?;
    let rest = gone.len() > most;
    gone.truncate(most);
    for known in &gone {
        entries.forget(&known.key)?;
    }
    Ok((gone, rest))
}

fn verdict(entries: &mut dyn Entries, one: &Sighted, how: How) -> Result<Verdict> {
    match &one.what {
        What::Deleted if !how.keeps => Ok(Verdict::Path),
        What::Deleted => {
            entries.turn(Some(&one.path), Presence::There, Presence::Gone)?;
            Ok(Verdict::Nothing)
        }
        What::Foreign if how.folders => {
            entries.turn(Some(&one.path), Presence::There, Presence::Gone)?;
            Ok(Verdict::Nothing)
        }
        What::Foreign => {
            replace(entries, &one.path, None)?;
            Ok(Verdict::Nothing)
        }
        What::Own { key, mark } => own(entries, &one.path, key, *mark, how),
    }
}

/// Another record took the place of what was at a path.
fn replace(entries: &mut dyn Entries, path: &str, by: Option<&str>) -> Result<()> {
    match entries.at_path(path)? {
        Some(other) if by != Some(other.key.as_str()) => {
            entries.put(&Known { presence: Presence::Gone, ..other })
        }
        _ => Ok(()),
    }
}

fn own(entries: &mut dyn Entries, path: &str, key: &str, mark: u32, how: How) -> Result<Verdict> {
    let before = entries.by_key(key)?;
    if how.keeps {
        replace(entries, path, Some(key))?;
        let known = Known { key: key.to_owned(), path: path.to_owned(), mark, presence: Presence::There };
        if before.as_ref() != Some(&known) {
            entries.put(&known)?;
        }
    } else if before.is_some() {
        entries.forget(key)?;
    }
    Ok(match before {
        None if how.keeps || how.listing => Verdict::Tell(ChangeKind::Created),
        None => Verdict::Tell(ChangeKind::Changed),
        Some(Known { presence: Presence::Gone, .. }) => Verdict::Tell(ChangeKind::Updated),
        // Only what is listed once more comes as it was; else something changed that has no mark.
        Some(known) if how.compares && known.path == path && known.mark == mark => Verdict::Nothing,
        Some(_) => Verdict::Tell(ChangeKind::Updated),
    })
}
