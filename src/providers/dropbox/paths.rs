//! Paths of Dropbox: what may stand in them, and how they are put together. A path is case-insensitive and keeps
//! the case in which it was written.

use crate::error::{Error, Result};

/// Longest name, in characters.
pub(super) const NAME_MAX: u64 = 255;
/// Names that no file may have ("Why aren't certain files on one computer syncing to another?", Dropbox Help).
const DISALLOWED: [&str; 6] =
    ["desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"];

fn wrong(field: &str, path: &str, why: &str) -> Error {
    Error::invalid(format!("{path:?} cannot be a path of Dropbox: {why}"))
        .with_provider("dropbox")
        .with_code("bad_path")
        .with_field(field, why)
}

/// What is wrong with one name of a path.
fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it has an empty name between slashes, or ends with a slash");
    }
    if matches!(name, "." | "..") {
        return Some("the names . and .. lead nowhere here");
    }
    if name.contains('\\') {
        return Some("a name holds no backslash");
    }
    if name.contains('\u{7f}') || name.contains('\0') {
        return Some("a name holds no DEL and no NUL");
    }
    if name.ends_with(' ') {
        return Some("a name does not end with a space");
    }
    if name.chars().count() as u64 > NAME_MAX {
        return Some("a name has at most 255 characters");
    }
    None
}

/// The whole path of an entry that is to be written: as given when it begins with a slash, else within a folder.
///
/// # Errors
/// Invalid, with the field, for a path that Dropbox would refuse.
pub(super) fn whole(field: &str, folder: &str, given: &str) -> Result<String> {
    let path = if given.starts_with('/') { given.to_owned() } else { format!("{folder}/{given}") };
    let names = path.split('/').skip(1);
    if let Some(why) = names.clone().find_map(fault) {
        return Err(wrong(field, given, why));
    }
    let last = names.last().unwrap_or_default().to_lowercase();
    if DISALLOWED.contains(&last.as_str()) {
        return Err(wrong(field, given, "Dropbox keeps no file of this name"));
    }
    Ok(path)
}

/// The path of a folder, without a slash at its end; the root is empty.
///
/// # Errors
/// Invalid, with the field, for a path that Dropbox would refuse.
pub(super) fn folder(field: &str, within: &str, given: &str) -> Result<String> {
    let given = given.strip_suffix('/').unwrap_or(given);
    if given.is_empty() {
        return Ok(String::new());
    }
    whole(field, within, given)
}

/// The folder that an entry is in; empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last name of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// What stands behind the last dot of a name; empty when there is none.
pub(super) fn extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension,
        _ => "",
    }
}

/// Whether a path, in lower case, lies under a folder in lower case.
pub(super) fn is_under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_lie_in_their_folder_and_others_are_kept() {
        assert_eq!(whole("path", "/Reports", "a b/ü.txt").unwrap(), "/Reports/a b/ü.txt");
        assert_eq!(whole("path", "/Reports", "/x").unwrap(), "/x");
        assert_eq!(whole("path", "", "日本 🚀 \"q\"'.txt").unwrap(), "/日本 🚀 \"q\"'.txt");
        assert_eq!(folder("parent_path", "", "/").unwrap(), "");
        assert_eq!(folder("parent_path", "", "/A/").unwrap(), "/A");
    }

    #[test]
    fn paths_that_dropbox_refuses_are_refused_before() {
        for path in [
            "/",
            "",
            "//",
            "/a//b",
            "/a/",
            "/../a",
            "/a/..",
            "/./a",
            "a\\b",
            "/a\u{7f}",
            "/a ",
            "/a /b",
            "/nul\0",
            "/Desktop.ini",
            "/x/.DS_Store",
            "/icon\r",
        ] {
            let error = whole("path", "", path).unwrap_err();
            assert_eq!(error.fields()[0].field, "path", "{path:?}");
        }
        assert!(whole("path", "", &format!("/{}", "x".repeat(256))).is_err());
        assert!(whole("path", "", &format!("/{}", "ü".repeat(255))).is_ok());
    }

    #[test]
    fn parts_of_paths_are_found() {
        assert_eq!((parent("/a/b.c"), name("/a/b.c"), parent("/a")), ("/a", "b.c", ""));
        assert_eq!((extension("b.tar.gz"), extension("b"), extension(".bashrc")), ("gz", "", ""));
        assert!(
            is_under("/a/b", "/a") && is_under("/a", "") && !is_under("/ab", "/a") && !is_under("/a", "/a")
        );
    }
}
