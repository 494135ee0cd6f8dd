//! The arrows of `docs/architecture.md`: a module names only what lies below it.

use std::path::{Path, PathBuf};

/// Modules from the bottom up. A module may name itself and what stands before it.
const ORDER: [&str; 15] = [
    "error",
    "clock",
    "rich_text",
    "record",
    "http",
    "connect",
    "provider",
    "layer",
    "rows",
    "providers",
    "mapping",
    "run",
    "drift",
    "workspace",
    "server",
];

/// What a provider may name of the connection layer: data only.
const CONNECT_FOR_PROVIDERS: [&str; 3] = ["sign_in", "hosts", "access"];

#[test]
fn no_arrow_runs_upwards() {
    let found = violations(&sources());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_check_sees_a_wrong_arrow() {
    let wrong = [
        ("src/record/x.rs", "use crate::provider::Plan;"),
        ("src/record/x.rs", "use crate::{error::Error, provider::Plan};"),
        ("src/providers/jira/mod.rs", "use crate::providers::salesforce::api;"),
        ("src/providers/jira/mod.rs", "let store = crate::connect::store::open();"),
        ("src/providers/jira/mod.rs", "use crate::layer::stack;"),
        ("src/emulator/jira/mod.rs", "use crate::record::query::Filter;"),
        ("src/http/client.rs", "use crate::cli::args;"),
    ];
    for (path, text) in wrong {
        let found = violations(&[(PathBuf::from(path), text.to_owned())]);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    }
    let right = [
        ("src/provider/search.rs", "use crate::record::query::Filter;"),
        ("src/providers/jira/mod.rs", "use crate::{connect::sign_in::SignIn, http::Call};"),
        ("src/cli/search.rs", "use crate::emulator::Emulator;"),
        ("src/emulator/server.rs", "// like crate::layer, but\nuse crate::error::Error;"),
    ];
    for (path, text) in right {
        assert!(violations(&[(PathBuf::from(path), text.to_owned())]).is_empty(), "{path}: {text}");
    }
}

fn violations(files: &[(PathBuf, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let place: Vec<String> = path
            .with_extension("")
            .components()
            .skip_while(|part| part.as_os_str() != "src")
            .skip(1)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let Some(module) = place.first() else { continue };
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        for named in named_paths(text) {
            if let Some(why) = forbidden(module, &place, &named) {
                found.push(format!("{}: crate::{} {why}", path.display(), named.join("::")));
            }
        }
    }
    found
}

fn forbidden(module: &str, place: &[String], named: &[String]) -> Option<&'static str> {
    let target = named.first()?.as_str();
    let second = named.get(1).map(String::as_str);
    if target == module {
        let other_provider = module == "providers"
            && place.len() > 2
            && second
                .is_some_and(|name| name != place[1] && name.chars().next().is_some_and(char::is_lowercase));
        return other_provider.then_some("is another provider");
    }
    match module {
        "cli" => None,
        "emulator" => (target != "error").then_some("is out of bounds for the emulator"),
        "providers" if target == "layer" => Some("is out of bounds for a provider"),
        "providers" if target == "connect" => second
            .is_some_and(|name| !CONNECT_FOR_PROVIDERS.contains(&name))
            .then_some("is out of bounds for a provider"),
        _ => {
            let rank = |name: &str| ORDER.iter().position(|known| *known == name);
            match (rank(module), rank(target)) {
                (Some(from), Some(to)) if to < from => None,
                _ => Some("lies above"),
            }
        }
    }
}

/// Every `crate::a::b` in code, with `crate::{a::b, c}` taken apart one level deep.
fn named_paths(text: &str) -> Vec<Vec<String>> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let preceded =
            code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if preceded {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_u32;
            let mut item = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(segments(&std::mem::take(&mut item))),
                    other => item.push(other),
                }
            }
            found.push(segments(&item));
        } else {
            found.push(segments(rest));
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

fn segments(text: &str) -> Vec<String> {
    let end = text.trim_start().find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let path = text.trim_start();
    path[..end.unwrap_or(path.len())].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned();
                files.push((relative, text));
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 20, "the source tree was found");
    files
}
