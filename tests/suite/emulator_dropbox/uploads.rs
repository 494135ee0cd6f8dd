//! Bytes in and out: conflicts, sessions, hashes, ranges.

use http::Method;
use serde_json::{Value, json};

use super::{Account, account, body, empty_account, header, text};

impl Account {
    fn written(&self, argument: Value, content: &[u8]) -> Result<Value, Value> {
        let reply = self.upload_to("files/upload", &argument, content);
        match reply.status.as_u16() {
            200 => Ok(body(&reply)),
            409 => Err(body(&reply)["error"].clone()),
            _ => panic!("{argument}: {}", text(&reply)),
        }
    }
}

#[test]
fn the_same_content_at_the_same_path_is_no_conflict() {
    let account = empty_account();
    let first = account.file("/memo.txt", b"one");
    assert!(first.get(".tag").is_none());
    assert_eq!(account.written(json!({ "path": "/memo.txt" }), b"one").expect("no conflict"), first);
    let error = account.written(json!({ "path": "/memo.txt" }), b"two").expect_err("a conflict");
    assert_eq!(error[".tag"], "path");
    assert_eq!(error["reason"], json!({ ".tag": "conflict", "conflict": { ".tag": "file" } }));
    assert!(error["upload_session_id"].as_str().is_some_and(|id| id.starts_with("pid_upload_session:")));
    let strict = json!({ "path": "/memo.txt", "strict_conflict": true });
    account.written(strict, b"one").expect_err("a conflict");
    let renamed = account.written(json!({ "path": "/memo.txt", "autorename": true }), b"two");
    assert_eq!(renamed.expect("another name")["name"], "memo (1).txt");
}

#[test]
fn a_stale_revision_overwrites_nothing() {
    let account = empty_account();
    let first = account.file("/memo.txt", b"one");
    let update = |rev: &Value| json!({ "path": "/memo.txt", "mode": { ".tag": "update", "update": rev } });
    let second = account.written(update(&first["rev"]), b"two").expect("it fits");
    assert_eq!(second["id"], first["id"]);
    let error = account.written(update(&first["rev"]), b"three").expect_err("stale");
    assert_eq!(error["reason"]["conflict"][".tag"], "file");
    let mut renamed = update(&first["rev"]);
    renamed["autorename"] = json!(true);
    let copy = account.written(renamed, b"three").expect("another name");
    assert_eq!(copy["name"], "memo (conflicted copy).txt");
    let bare = json!({ "path": "/memo.txt", "mode": "update" }).to_string();
    let headers = [("dropbox-api-arg", bare.as_str())];
    let reply = account.send(Method::POST, "/2/files/upload", &headers, "x");
    assert_eq!(reply.status.as_u16(), 400);
    assert!(text(&reply).ends_with("mode: expected object for 'update', got symbol"), "{}", text(&reply));
}

#[test]
fn names_beyond_ascii_come_escaped_in_both_headers() {
    let account = empty_account();
    let argument = "{\"path\":\"/\\u65e5\\u672c \\ud83d\\ude80.txt\"}";
    let headers = [("dropbox-api-arg", argument), ("content-type", "application/octet-stream")];
    let reply = account.send(Method::POST, "/2/files/upload", &headers, "x");
    assert_eq!(body(&reply)["path_display"], "/日本 🚀.txt");
    let raw = [("dropbox-api-arg", "{\"path\":\"/日本.txt\"}")];
    assert_eq!(account.send(Method::POST, "/2/files/upload", &raw, "x").status.as_u16(), 400);
    let reply = account.send(Method::POST, "/2/files/download", &[("dropbox-api-arg", argument)], "");
    assert_eq!(text(&reply), "x");
    let result = header(&reply, "dropbox-api-result");
    assert!(result.is_ascii() && result.contains("\\u65e5"), "{result}");
}

#[test]
fn a_download_gives_ranges_and_knows_what_the_client_has() {
    let account = empty_account();
    let file = account.file("/memo.txt", b"0123456789");
    let argument = json!({ "path": "/memo.txt" }).to_string();
    let get = |more: (&str, &str)| {
        account.send(Method::POST, "/2/files/download", &[("dropbox-api-arg", &argument), more], "")
    };
    let part = get(("range", "bytes=3-5"));
    assert_eq!((part.status.as_u16(), text(&part).as_str()), (206, "345"));
    assert_eq!(header(&part, "content-range"), "bytes 3-5/10");
    let tag = header(&part, "etag");
    assert!(tag.contains(file["rev"].as_str().expect("a rev")));
    assert_eq!(get(("if-none-match", &tag)).status.as_u16(), 304);
    assert_eq!(get(("range", "bytes=10-")).status.as_u16(), 416);
    let address = format!(
        "/2/files/download?arg={}",
        url::form_urlencoded::byte_serialize(argument.as_bytes()).collect::<String>()
    );
    assert_eq!(text(&account.send(Method::GET, &address, &[], "")), "0123456789", "in the address too");
}

#[test]
fn seeded_files_hold_what_their_metadata_says() {
    let account = account();
    let page = account.call("files/list_folder", json!({ "path": "/Lists/2022", "limit": 1 }));
    let file = &page["entries"][0];
    let argument = json!({ "path": file["id"] }).to_string();
    let reply = account.send(Method::POST, "/2/files/download", &[("dropbox-api-arg", &argument)], "");
    assert_eq!(reply.body.len() as u64, file["size"].as_u64().expect("a size"));
    let again = account.upload_to(
        "files/upload",
        &json!({ "path": "/copy.csv", "content_hash": file["content_hash"] }),
        &reply.body,
    );
    assert_eq!(again.status.as_u16(), 200, "the hash is that of the content: {}", text(&again));
    let wrong = account.upload_to(
        "files/upload",
        &json!({ "path": "/other.csv", "content_hash": file["content_hash"] }),
        b"x",
    );
    assert_eq!(body(&wrong)["error"], json!({ ".tag": "content_hash_mismatch" }));
}

#[test]
fn a_session_takes_pieces_and_says_where_it_stands() {
    let account = empty_account();
    let start = body(&account.upload_to("files/upload_session/start", &json!({}), b"0123"));
    let cursor = |offset: u64| json!({ "session_id": start["session_id"], "offset": offset });
    let append = |offset: u64, piece: &[u8]| {
        account.upload_to("files/upload_session/append_v2", &json!({ "cursor": cursor(offset) }), piece)
    };
    let done = append(4, b"45");
    assert_eq!((done.status.as_u16(), text(&done).as_str()), (200, "null"));
    let error = body(&append(4, b"45"))["error"].clone();
    assert_eq!(error, json!({ ".tag": "incorrect_offset", "correct_offset": 6 }));
    let finish = |offset: u64| {
        let argument = json!({ "cursor": cursor(offset), "commit": { "path": "/whole.txt" } });
        account.upload_to("files/upload_session/finish", &argument, b"6789")
    };
    let error = body(&finish(0))["error"].clone();
    assert_eq!(error["lookup_failed"], json!({ ".tag": "incorrect_offset", "correct_offset": 6 }));
    assert_eq!(body(&finish(6))["size"], 10);
    let unknown = json!({ "cursor": { "session_id": "none", "offset": 0 } });
    let error = body(&account.upload_to("files/upload_session/append_v2", &unknown, b""))["error"].clone();
    assert_eq!(error, json!({ ".tag": "not_found" }));
}

#[test]
fn a_session_dies_after_seven_days() {
    let account = empty_account();
    let start = body(&account.upload_to("files/upload_session/start", &json!({}), b"0123"));
    account.clock.advance(jiff::SignedDuration::from_hours(7 * 24)).expect("forward");
    // The token has died as well.
    let reply = account.upload_to(
        "files/upload_session/append_v2",
        &json!({ "cursor": { "session_id": start["session_id"], "offset": 4 } }),
        b"4",
    );
    assert_eq!(reply.status.as_u16(), 401);
    assert_eq!(body(&reply)["error"], json!({ ".tag": "expired_access_token" }));
}

#[test]
fn pieces_of_a_concurrent_session_are_multiples_of_four_mebibytes() {
    let account = empty_account();
    let concurrent = json!({ "session_type": { ".tag": "concurrent" } });
    let start = body(&account.upload_to("files/upload_session/start", &concurrent, b""));
    let piece = vec![b'x'; 4 * 1024 * 1024];
    let append = |offset: u64, close: bool, piece: &[u8]| {
        let cursor = json!({ "session_id": start["session_id"], "offset": offset });
        account.upload_to(
            "files/upload_session/append_v2",
            &json!({ "cursor": cursor, "close": close }),
            piece,
        )
    };
    assert_eq!(append(piece.len() as u64, true, b"end").status.as_u16(), 200, "the last piece first");
    let start = body(&account.upload_to("files/upload_session/start", &concurrent, b""));
    let append = |offset: u64, close: bool, piece: &[u8]| {
        let cursor = json!({ "session_id": start["session_id"], "offset": offset });
        account.upload_to(
            "files/upload_session/append_v2",
            &json!({ "cursor": cursor, "close": close }),
            piece,
        )
    };
    let wrong = body(&append(5, false, &piece))["error"].clone();
    assert_eq!(wrong, json!({ ".tag": "concurrent_session_invalid_offset" }));
    let wrong = body(&append(0, false, b"short"))["error"].clone();
    assert_eq!(wrong, json!({ ".tag": "concurrent_session_invalid_data_size" }));
    assert_eq!(append(0, false, &piece).status.as_u16(), 200);
    assert_eq!(append(piece.len() as u64, true, b"end").status.as_u16(), 200);
    let cursor = json!({ "session_id": start["session_id"], "offset": piece.len() + 3 });
    let entries = json!([{ "cursor": cursor, "commit": { "path": "/whole.bin" } }]);
    let done = account.call("files/upload_session/finish_batch_v2", json!({ "entries": entries }));
    assert_eq!(done["entries"][0][".tag"], "success");
    assert_eq!(done["entries"][0]["size"], piece.len() + 3);
}

#[test]
fn a_temporary_link_needs_no_token_and_ends() {
    let mut account = empty_account();
    account.file("/memo.txt", b"one");
    let link = account.call("files/get_temporary_link", json!({ "path": "/memo.txt" }))["link"].clone();
    let path =
        link.as_str().and_then(|link| link.strip_prefix("http://127.0.0.1:9")).expect("here").to_owned();
    account.token.clear();
    assert_eq!(text(&account.send(Method::GET, &path, &[], "")), "one");
    account.clock.advance(jiff::SignedDuration::from_hours(5)).expect("forward");
    assert_eq!(account.send(Method::GET, &path, &[], "").status.as_u16(), 410);
}
