//! Folders, moves, copies, deletions, revisions, properties, links.

use http::Method;
use serde_json::{Value, json};

use super::{account, empty_account};

#[test]
fn folders_are_made_with_all_above_them_and_never_twice() {
    let account = empty_account();
    let made = account.call("files/create_folder_v2", json!({ "path": "/Eins/Zwei" }));
    assert_eq!(made["metadata"]["path_display"], "/Eins/Zwei");
    assert!(made["metadata"].get(".tag").is_none(), "a result of one type has no tag");
    assert_eq!(account.call("files/get_metadata", json!({ "path": "/eins" }))[".tag"], "folder");
    let error = account.refused("files/create_folder_v2", json!({ "path": "/EINS/zwei" }));
    assert_eq!(
        error,
        json!({ ".tag": "path", "path": { ".tag": "conflict", "conflict": { ".tag": "folder" } } })
    );
    let renamed = account.call("files/create_folder_v2", json!({ "path": "/Eins/Zwei", "autorename": true }));
    assert_eq!(renamed["metadata"]["name"], "Zwei (1)");
}

#[test]
fn names_that_cannot_be_are_refused() {
    let account = empty_account();
    for path in ["/a//b", "/a/../b", "/a\\b", "/a/b ", "/./a", "/a\u{7f}"] {
        let error = account.refused("files/create_folder_v2", json!({ "path": path }));
        assert_eq!(error["path"][".tag"], "malformed_path", "{path:?}");
    }
    for path in ["/desktop.ini", "/a/.DS_Store", "/Thumbs.db"] {
        let error = account.refused("files/create_folder_v2", json!({ "path": path }));
        assert_eq!(error["path"][".tag"], "disallowed_name", "{path:?}");
    }
    let longest = "x".repeat(255);
    account.call("files/create_folder_v2", json!({ "path": format!("/{longest}") }));
    let error = account.refused("files/create_folder_v2", json!({ "path": format!("/{longest}x") }));
    assert_eq!(error["path"][".tag"], "malformed_path");
}

#[test]
fn a_folder_moves_with_everything_in_it_and_keeps_its_ids() {
    let account = account();
    let before = account.call("files/list_folder", json!({ "path": "/Notes/2024", "limit": 2000 }));
    let moved = account.call("files/move_v2", json!({ "from_path": "/Notes", "to_path": "/Archive/Notes" }));
    assert_eq!(moved["metadata"]["path_display"], "/Archive/Notes");
    let after = account.call("files/list_folder", json!({ "path": "/archive/notes/2024", "limit": 2000 }));
    let ids = |page: &Value| -> Vec<String> {
        let entries = page["entries"].as_array().expect("entries").iter();
        entries.map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(
        account.refused("files/list_folder", json!({ "path": "/notes" }))["path"][".tag"],
        "not_found"
    );
    let id = account.call("files/get_metadata", json!({ "path": ids(&before)[0] }));
    assert!(id["path_lower"].as_str().expect("a path").starts_with("/archive/notes/2024/"));
}

#[test]
fn moves_that_make_no_sense_are_refused() {
    let account = empty_account();
    account.file("/a/one.txt", b"1");
    account.file("/b.txt", b"2");
    let relocate = |from: &str, to: &str| {
        account.refused("files/move_v2", json!({ "from_path": from, "to_path": to }))[".tag"].clone()
    };
    assert_eq!(relocate("/none", "/c"), "from_lookup");
    assert_eq!(relocate("/a", "/a/inside"), "cant_move_folder_into_itself");
    assert_eq!(relocate("/b.txt", "/B.txt"), "duplicated_or_nested_paths");
    assert_eq!(relocate("/b.txt", "/a/one.txt"), "to");
    assert_eq!(relocate("/a", "/b.txt/deeper"), "to");
}

#[test]
fn a_copy_is_another_file_with_the_same_content() {
    let account = empty_account();
    let one = account.file("/one.txt", b"1");
    let copy = account.call("files/copy_v2", json!({ "from_path": "/one.txt", "to_path": "/two.txt" }));
    assert_eq!(copy["metadata"]["content_hash"], one["content_hash"]);
    assert_ne!(copy["metadata"]["id"], one["id"]);
    assert_ne!(copy["metadata"]["rev"], one["rev"]);
    assert_eq!(copy["metadata"][".tag"], "file");
}

#[test]
fn a_deletion_can_ask_for_a_revision() {
    let account = empty_account();
    let one = account.file("/one.txt", b"1");
    let stale = json!({ "path": "/one.txt", "parent_rev": "016aaaaaaaaaaaaaa" });
    let error = account.refused("files/delete_v2", stale);
    assert_eq!(
        error,
        json!({ ".tag": "path_write", "path_write": { ".tag": "conflict", "conflict": { ".tag": "file" } } })
    );
    let gone = account.call("files/delete_v2", json!({ "path": "/one.txt", "parent_rev": one["rev"] }));
    assert_eq!(gone["metadata"]["id"], one["id"], "what it was");
    let error = account.refused("files/delete_v2", json!({ "path": "/one.txt" }));
    assert_eq!(error, json!({ ".tag": "path_lookup", "path_lookup": { ".tag": "not_found" } }));
}

#[test]
fn batches_are_asked_for_their_results() {
    let account = empty_account();
    account.file("/one.txt", b"1");
    account.file("/two.txt", b"2");
    let entries = json!([{ "path": "/one.txt" }, { "path": "/none.txt" }]);
    let job = account.call("files/delete_batch", json!({ "entries": entries }));
    assert_eq!(job[".tag"], "async_job_id");
    let ask = json!({ "async_job_id": job["async_job_id"] });
    assert_eq!(account.call("files/delete_batch/check", ask.clone())[".tag"], "in_progress");
    let done = account.call("files/delete_batch/check", ask);
    assert_eq!(done[".tag"], "complete");
    assert_eq!(done["entries"][0]["metadata"]["name"], "one.txt");
    assert_eq!(done["entries"][1]["failure"]["path_lookup"][".tag"], "not_found");

    let entries = json!([
        { "from_path": "/two.txt", "to_path": "/three.txt" },
        { "from_path": "/none.txt", "to_path": "/four.txt" },
    ]);
    let job = account.call("files/move_batch_v2", json!({ "entries": entries }));
    let ask = json!({ "async_job_id": job["async_job_id"] });
    account.call("files/move_batch/check_v2", ask.clone());
    let done = account.call("files/move_batch/check_v2", ask);
    assert_eq!(done["entries"][0]["success"]["path_lower"], "/three.txt");
    assert_eq!(done["entries"][1]["failure"]["relocation_error"][".tag"], "from_lookup");

    let made = account.call("files/create_folder_batch", json!({ "paths": ["/x", "/y", "/x"] }));
    assert_eq!(made[".tag"], "complete");
    assert_eq!(made["entries"][2]["failure"]["path"]["conflict"][".tag"], "folder");
    let error = account.refused("files/delete_batch/check", json!({ "async_job_id": "dbjid:none" }));
    assert_eq!(error, json!({ ".tag": "invalid_async_job_id" }));
}

#[test]
fn revisions_are_listed_newest_first_and_restored() {
    let account = empty_account();
    let first = account.file("/memo.txt", b"one");
    let over =
        account.upload_to("files/upload", &json!({ "path": "/memo.txt", "mode": "overwrite" }), b"two");
    let second = super::body(&over);
    let all = account.call("files/list_revisions", json!({ "path": "/memo.txt" }));
    assert_eq!(all["is_deleted"], false);
    assert_eq!(all["entries"][0]["rev"], second["rev"]);
    assert_eq!(all["entries"][1]["rev"], first["rev"]);
    account.call("files/delete_v2", json!({ "path": "/memo.txt" }));
    assert_eq!(account.call("files/list_revisions", json!({ "path": "/memo.txt" }))["is_deleted"], true);
    let wrong = json!({ "path": "/memo.txt", "rev": "016ffffffffffffff" });
    assert_eq!(account.refused("files/restore", wrong), json!({ ".tag": "invalid_revision" }));
    let back = account.call("files/restore", json!({ "path": "/memo.txt", "rev": first["rev"] }));
    assert_eq!(back["content_hash"], first["content_hash"]);
    assert_eq!(back["id"], first["id"]);
    assert_ne!(back["rev"], first["rev"]);
}

#[test]
fn a_paper_document_is_exported_and_not_downloaded() {
    let account = empty_account();
    let create = |path: &str| {
        let argument = json!({ "path": path, "import_format": "markdown" });
        super::body(&account.upload_to("files/paper/create", &argument, b"# Title"))
    };
    let made = create("/Docs/plan.paper");
    assert_eq!((&made["result_path"], &made["paper_revision"]), (&json!("/Docs/plan.paper"), &json!(1)));
    assert_eq!(create("/plan.txt")["error"], json!({ ".tag": "invalid_file_extension" }));
    account.file("/plain.txt", b"x");
    let entry = account.call("files/get_metadata", json!({ "path": made["file_id"] }));
    assert_eq!(
        (&entry["is_downloadable"], &entry["export_info"]["export_as"]),
        (&json!(false), &json!("html"))
    );
    let all = account.listed(json!({ "path": "", "recursive": true })).0;
    let without = json!({ "path": "", "recursive": true, "include_non_downloadable_files": false });
    assert_eq!(account.listed(without).0.len() + 1, all.len());
    let refused = |route: &str, argument: Value| {
        let argument = argument.to_string();
        let reply = account.send(Method::POST, &format!("/2/{route}"), &[("dropbox-api-arg", &argument)], "");
        super::body(&reply)["error"][".tag"].clone()
    };
    assert_eq!(refused("files/download", json!({ "path": "/docs/plan.paper" })), "unsupported_file");
    assert_eq!(refused("files/export", json!({ "path": "/plain.txt" })), "non_exportable");
    let format = json!({ "path": "/docs/plan.paper", "export_format": "rtf" });
    assert_eq!(refused("files/export", format), "invalid_export_format");
}

#[test]
fn properties_follow_their_template() {
    let account = empty_account();
    let fields = json!([{ "name": "owner", "description": "Who answers for it", "type": "string" }]);
    let template = json!({ "name": "Filing", "description": "How we file", "fields": fields });
    let id = account.call("file_properties/templates/add_for_user", template)["template_id"].clone();
    account.file("/memo.txt", b"one");
    let group = |name: &str| json!({ "template_id": id, "fields": [{ "name": name, "value": "Ada" }] });
    let add = |name: &str| json!({ "path": "/memo.txt", "property_groups": [group(name)] });
    let error = account.refused("file_properties/properties/add", add("colour"));
    assert_eq!(error["properties_error"][".tag"], "does_not_fit_template");
    assert_eq!(account.call("file_properties/properties/add", add("owner")), Value::Null);
    let filter = json!({ ".tag": "filter_some", "filter_some": [id] });
    let asked = json!({ "path": "/memo.txt", "include_property_groups": filter });
    let shown = account.call("files/get_metadata", asked);
    assert_eq!(shown["property_groups"][0]["fields"][0]["value"], "Ada");
    let bare = account.call("files/get_metadata", json!({ "path": "/memo.txt" }));
    assert!(bare.get("property_groups").is_none());
}

#[test]
fn an_entry_has_one_shared_link() {
    let account = empty_account();
    account.file("/memo.txt", b"one");
    let path = json!({ "path": "/memo.txt" });
    let link = account.call("sharing/create_shared_link_with_settings", path.clone());
    let error = account.refused("sharing/create_shared_link_with_settings", path.clone());
    assert_eq!(error[".tag"], "shared_link_already_exists");
    let all = account.call("sharing/list_shared_links", path);
    assert_eq!(all["links"][0]["url"], link["url"]);
    account.call("sharing/revoke_shared_link", json!({ "url": link["url"] }));
    assert_eq!(account.call("sharing/list_shared_links", json!({}))["links"], json!([]));
}

#[cfg(unix)]
#[test]
fn fault_60_nothing_beside_an_imported_folder_gets_in() {
    use recordport::emulator::service::Service as _;
    use std::os::unix::fs::symlink;

    let disk = tempfile::tempdir().expect("a directory");
    let folder = disk.path().join("folder");
    std::fs::create_dir_all(folder.join("...")).expect("made");
    let write = |path: &str| std::fs::write(disk.path().join(path), "x").expect("written");
    for path in [
        "secret",
        "folder/in.txt",
        "folder/.../..x",
        "folder/.hidden",
        "folder/.DS_Store",
        "folder/Thumbs.db",
    ] {
        write(path);
    }
    symlink("../secret", folder.join("file link")).expect("made");
    symlink("..", folder.join("folder link")).expect("made");
    symlink(&folder, disk.path().join("whole link")).expect("made");
    let account = empty_account();
    account.service.import(&disk.path().join("whole link")).expect_err("a link is no folder");
    account.service.import(&folder).expect("is taken");
    let (mut paths, _) = account.listed(json!({ "path": "", "recursive": true }));
    paths.sort();
    assert_eq!(paths, ["/...", "/.../..x", "/.hidden", "/in.txt"]);
    for name in ["back\\slash", "blank "] {
        let path = format!("folder/{name}");
        write(&path);
        let told = account.service.import(&folder).expect_err("cannot be a path");
        assert!(told.contains(name.trim_end().trim_end_matches("slash").trim_end_matches('\\')), "{told}");
        std::fs::remove_file(disk.path().join(&path)).expect("goes");
    }
}
