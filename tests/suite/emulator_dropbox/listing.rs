//! Listings, cursors, changes, search.

use std::collections::BTreeSet;

use http::Method;
use recordport::emulator::service::Service as _;
use serde_json::json;

use super::{account, empty_account};

#[test]
fn a_recursive_listing_gives_every_entry_once() {
    let account = account();
    let (paths, _) = account.listed(json!({ "path": "", "recursive": true, "limit": 2000 }));
    let different: BTreeSet<&String> = paths.iter().collect();
    assert_eq!(different.len(), paths.len(), "nothing comes twice");
    assert_eq!(paths.len(), 5_000 + 60, "files and folders");
    assert_eq!(account.service.state("entry").expect("entries").len(), paths.len());
    let at = |path: &str| paths.iter().position(|own| own == path).expect(path);
    assert!(at("/reports") < at("/reports/2021"), "folders come before what is in them");
}

#[test]
fn a_folder_is_listed_without_what_its_folders_hold() {
    let account = account();
    let (tops, _) = account.listed(json!({ "path": "" }));
    assert_eq!(tops.len(), 10);
    assert!(tops.contains(&"/日本語 資料".to_owned()));
    let (files, _) = account.listed(json!({ "path": "/REPORTS/2023", "limit": 7 }));
    assert_eq!(files.len(), 100);
    assert!(files.iter().all(|path| path.starts_with("/reports/2023/") && path.ends_with(".pdf")));
}

#[test]
fn entries_look_as_the_documentation_shows_them() {
    let account = account();
    let page = account.call("files/list_folder", json!({ "path": "/Reports/2021", "limit": 1 }));
    let file = &page["entries"][0];
    assert_eq!(file[".tag"], "file");
    assert_eq!(file["content_hash"].as_str().map(str::len), Some(64));
    assert!(file["id"].as_str().expect("an id").starts_with("id:"));
    assert!(file["rev"].as_str().expect("a rev").len() >= 9);
    assert!(file["server_modified"].as_str().expect("an instant").ends_with("Z"));
    let folder = account.call("files/get_metadata", json!({ "path": "/reports" }));
    assert_eq!(folder[".tag"], "folder");
    assert_eq!(folder["path_display"], "/Reports");
    for by in ["id", "path_lower"] {
        let again = account.call("files/get_metadata", json!({ "path": file[by] }));
        assert_eq!(again, *file, "by {by}");
    }
}

#[test]
fn changes_come_in_order_and_a_deleted_folder_stands_for_all_that_was_in_it() {
    let account = empty_account();
    account.file("/a/one.txt", b"1");
    let (paths, cursor) = account.listed(json!({ "path": "", "recursive": true }));
    assert_eq!(paths, ["/a", "/a/one.txt"]);
    account.file("/a/two.txt", b"2");
    account.call("files/move_v2", json!({ "from_path": "/a/one.txt", "to_path": "/b/One.txt" }));
    let (changes, cursor) = account.changed(&cursor);
    let told: Vec<(&str, &str)> = changes.iter().map(|(tag, path)| (tag.as_str(), path.as_str())).collect();
    assert_eq!(
        told,
        [("file", "/a/two.txt"), ("deleted", "/a/one.txt"), ("folder", "/b"), ("file", "/b/One.txt")]
    );
    account.call("files/delete_v2", json!({ "path": "/a" }));
    let (changes, cursor) = account.changed(&cursor);
    assert_eq!(changes, [("deleted".to_owned(), "/a".to_owned())]);
    let (changes, _) = account.changed(&cursor);
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn what_is_deleted_is_listed_on_request() {
    let account = empty_account();
    account.file("/kept.txt", b"1");
    account.file("/gone.txt", b"2");
    account.call("files/delete_v2", json!({ "path": "/gone.txt" }));
    let (paths, _) = account.listed(json!({ "path": "" }));
    assert_eq!(paths, ["/kept.txt"]);
    let (paths, _) = account.listed(json!({ "path": "", "include_deleted": true }));
    assert_eq!(paths, ["/kept.txt", "/gone.txt"]);
    assert_eq!(
        account.refused("files/get_metadata", json!({ "path": "/gone.txt" })),
        json!({ ".tag": "path", "path": { ".tag": "not_found" } })
    );
    let gone = account.call("files/get_metadata", json!({ "path": "/gone.txt", "include_deleted": true }));
    assert_eq!(gone[".tag"], "deleted");
    assert!(gone.get("id").is_none());
}

#[test]
fn a_cursor_from_before_a_reset_asks_to_start_over() {
    let account = account();
    let latest =
        account.call("files/list_folder/get_latest_cursor", json!({ "path": "", "recursive": true }));
    account.send(Method::POST, "/_emulator/dropbox/reset-cursors", &[], "");
    let cursor = json!({ "cursor": latest["cursor"] });
    assert_eq!(account.refused("files/list_folder/continue", cursor), json!({ ".tag": "reset" }));
    let sentence = account.wrong("files/list_folder/longpoll", json!({ "cursor": "nonsense" }));
    assert!(sentence.ends_with("request body: cursor: unsupported cursor type"), "{sentence}");
}

#[test]
fn a_longpoll_tells_of_changes_and_waits_for_them() {
    let mut account = empty_account();
    let latest =
        account.call("files/list_folder/get_latest_cursor", json!({ "path": "", "recursive": true }));
    let asked = json!({ "cursor": latest["cursor"], "timeout": 30 });
    let token = std::mem::take(&mut account.token);
    let waits = account.rpc("files/list_folder/longpoll", &asked);
    assert!(waits.again_for.is_some(), "nothing new: the server asks again, and no token is needed");
    account.token = token;
    account.file("/new.txt", b"1");
    let told = account.rpc("files/list_folder/longpoll", &asked);
    assert!(told.again_for.is_none());
    assert_eq!(super::body(&told), json!({ "changes": true }));
}

#[test]
fn the_root_is_the_empty_text_and_only_folders_are_listed() {
    let account = account();
    let sentence = account.wrong("files/list_folder", json!({ "path": "/" }));
    let words = "request body: path: Specify the root folder as an empty string rather than as \"/\".";
    assert!(sentence.ends_with(words), "{sentence}");
    let sentence = account.wrong("files/list_folder", json!({ "path": "reports" }));
    assert!(sentence.contains("did not match pattern"), "{sentence}");
    let sentence = account.wrong("files/list_folder", json!({ "path": "", "start": 3 }));
    assert!(sentence.ends_with("unknown field 'start'"), "{sentence}");
    let sentence = account.wrong("files/get_metadata", json!({ "path": "" }));
    assert!(sentence.ends_with("The root folder is unsupported."), "{sentence}");
    let file = account.call("files/list_folder", json!({ "path": "/Notes/2021", "limit": 1 }));
    let path = file["entries"][0]["path_lower"].clone();
    let error = account.refused("files/list_folder", json!({ "path": path }));
    assert_eq!(error["path"][".tag"], "not_folder");
}

#[test]
fn words_are_found_in_names_and_in_texts_behind_the_present() {
    let account = empty_account();
    account.file("/memo.txt", b"the Launch is on Friday");
    account.file("/launch plan.md", b"nothing");
    let search = json!({ "query": "launch" });
    assert_eq!(account.call("files/search_v2", search.clone())["matches"], json!([]), "the index lags");
    account.clock.advance(jiff::SignedDuration::from_secs(10)).expect("forward");
    let found = account.call("files/search_v2", search);
    let matches: Vec<&str> = found["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .map(|own| own["metadata"]["metadata"]["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(matches, ["memo.txt", "launch plan.md"]);
    let named =
        json!({ "query": "launch", "options": { "filename_only": true, "file_extensions": ["txt"] } });
    assert_eq!(account.call("files/search_v2", named)["matches"], json!([]));
}

#[test]
fn a_search_goes_on_with_its_cursor() {
    let account = account();
    let asked = json!({ "query": "Größe", "options": { "max_results": 150, "path": "" } });
    let mut page = account.call("files/search_v2", asked);
    let mut count = 0;
    loop {
        count += page["matches"].as_array().expect("matches").len();
        if page["has_more"] == false {
            break;
        }
        page = account.call("files/search/continue_v2", json!({ "cursor": page["cursor"] }));
    }
    let named = account.service.state("file").expect("files");
    let named = named.iter().filter(|file| file["name"].as_str().expect("a name").contains("Größe")).count();
    assert_eq!(count, named);
    assert!(named > 150, "{named}");
}
