//! What must not be touched: other kinds of entries, other folders, names that lead elsewhere.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn names_keep_their_characters_and_those_that_dropbox_refuses_never_leave() {
    let at = account().await;
    let files = at.open("file").await;
    for path in [
        "/日本語 資料/報告書.txt",
        "/🚀 launch/👩‍👩‍👧.txt",
        "/O'Brien \"draft\"/a%20b&c=d#e?.txt",
        "/Ünï çødé/e\u{301}.txt",
        "/ leading space.txt",
    ] {
        let key = made(&at, &*files, json!({"path": path, "content": base64(path)})).await;
        let stored = read(&at, &*files, "id", &key.to_string()).await.expect("there");
        assert_eq!(stored["path"], path);
        assert_eq!(bytes_of(&at, &*files, path).await.expect("comes"), path.as_bytes());
        let other =
            create(&at, &*files, &[json!({"path": path.to_uppercase(), "content": base64("x")})]).await;
        if path.to_uppercase() != path && path.to_uppercase().to_lowercase() == path.to_lowercase() {
            assert_eq!(other[0].error().expect("taken").kind(), ErrorKind::Conflict, "{path}");
        }
    }
    control(&at, http::Method::DELETE, "requests", &Value::Null).await;
    for path in [
        "/a\u{7f}",
        "/a ",
        "/a /b",
        "/../etc/passwd",
        "/a/../../b",
        "//server/share",
        "/a//b",
        "/a/",
        "/.",
        "a\\b",
        "/Thumbs.db",
        "/x/desktop.INI",
        "/nul\u{0}",
    ] {
        let refused = create(&at, &*files, &[json!({"path": path})]).await;
        assert_eq!(refused[0].error().expect("refused").kind(), ErrorKind::Invalid, "{path:?}");
        assert!(bytes_of(&at, &*files, path).await.is_err(), "{path:?}");
    }
    assert_eq!(asked(&at).await, Vec::<String>::new(), "nothing was sent");
    // Of a type that is limited to a folder nothing is written outside of it.
    made(&at, &*at.open("folder").await, json!({"path": "/Reports"})).await;
    let scoped = at.open("file:/Reports").await;
    let outside =
        create(&at, &*scoped, &[json!({"path": "/elsewhere.txt"}), json!({"path": "in.txt"})]).await;
    assert_eq!(outside[0].error().expect("refused").code(), Some("outside_scope"));
    assert_eq!(outside[1].status(), "created");
    assert!(read(&at, &*files, "path", "/Reports/in.txt").await.is_some());
}

#[test]
fn fault_60_a_name_never_leads_out_of_the_file_that_content_is_written_to() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let url = emulator.url();
    home.run(&["connect", "dropbox", "box", "--access", "read-write", "--emulator", &url, "--no-browser"])
        .expect(0);
    home.feed(&["content", "put", "box", "file", "/x.txt"], "kept").expect(0);
    for key in ["/../x.txt", "//x.txt", "/a/../x.txt", "/x.txt/"] {
        home.run(&["content", "get", "box", "file", key, "out.txt"]).expect(2);
        home.feed(&["content", "put", "box", "file", key], "lost").expect(2);
    }
    assert!(!home.file("out.txt").exists());
    assert_eq!(home.run(&["content", "get", "box", "file", "/x.txt"]).expect(0).stdout, "kept");
    home.feed(&["content", "put", "box", "file", "/y.txt", "--dry-run"], "secret").expect(0);
    home.run(&["get", "box", "file", "--by", "path", "/y.txt"]).expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_type_only_its_own_records_are_changed() {
    let at = account().await;
    let (files, folders) = (at.open("file").await, at.open("folder").await);
    let inside = made(&at, &*files, json!({"path": "/Box/a.txt", "content": base64("a")})).await;
    let outside = made(&at, &*files, json!({"path": "/b.txt", "content": base64("b")})).await;
    let doomed = made(&at, &*files, json!({"path": "/c.txt"})).await;
    let own = read(&at, &*folders, "path", "/Box").await.expect("there")["id"].clone();
    let folder = Key::text(own.as_str().expect("an id"));
    let scoped = at.open("file:/Box").await;
    let row = |key: &Key| VersionedKey { key: key.clone(), if_version: None };
    let none = WriteOptions::new();
    control(&at, http::Method::DELETE, "requests", &Value::Null).await;
    for (records, key) in [(&files, &folder), (&folders, &inside), (&scoped, &outside), (&scoped, &folder)] {
        let kind = records.record_type().name.to_string();
        let deleted = records.delete(&at.cx, &[row(key)], &none).await.expect("answers").remove(0);
        assert_eq!(deleted.error().expect("refused").code(), Some("other_type"), "{kind}: {deleted:?}");
        let moved = update(&at, &**records, key, json!({"path": "/Box/moved"}), None).await;
        let error = moved.error().expect("refused");
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("other_type")), "{kind}");
        assert!(error.advice().is_some(), "{error:?}");
        if records.record_type().capability.content.is_some() {
            let written = update(&at, &**records, key, json!({"content": base64("x")}), None).await;
            assert_eq!(written.error().expect("refused").code(), Some("other_type"), "{kind}");
            put(&at, &**records, &key.to_string(), Bytes::from_static(b"x"), json!({}))
                .await
                .expect_err("refused");
            bytes_of(&at, &**records, &key.to_string()).await.expect_err("refused");
        }
    }
    let asked = asked(&at).await;
    let looks = ["files/get_metadata", "files/download"];
    assert!(asked.iter().all(|path| looks.contains(&path.as_str())), "nothing else was sent: {asked:?}");

    // In a batch each for itself; what is gone was deleted.
    let nobody = Key::text("id:AAAAAAAAAAAAAAAAAAAAAA");
    let rows = [row(&folder), row(&doomed), row(&nobody)];
    let outcomes = files.delete(&at.cx, &rows, &none).await.expect("answers");
    let words: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(words, ["failed", "deleted", "deleted"], "{outcomes:?}");
    let change = |key: &Key, path: &str| Change { key: key.clone(), edits: row_of(path), if_version: None };
    let rows = [change(&folder, "/Box 2"), change(&inside, "/Box/z.txt"), change(&nobody, "/y.txt")];
    let outcomes = files.update(&at.cx, &rows, &none).await.expect("answers");
    let words: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(words, ["failed", "updated", "failed"], "{outcomes:?}");
    assert_eq!(read(&at, &*files, "path", "/Box/z.txt").await.expect("there")["id"], inside.to_string());
    assert_eq!(bytes_of(&at, &*files, "/b.txt").await.expect("is as it was"), b"b");
}

fn row_of(path: &str) -> Edits {
    row(&json!({ "path": path }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_of_another_file_is_none_of_the_types() {
    let at = account().await;
    let files = at.open("file").await;
    made(&at, &*files, json!({"path": "/a.txt", "content": base64("a")})).await;
    let other = made(&at, &*files, json!({"path": "/b.txt", "content": base64("b")})).await;
    let rev = read(&at, &*files, "id", &other.to_string()).await.expect("there")["rev"].clone();
    let rev = rev.as_str().expect("a revision");
    for (name, is_its) in [
        ("revision:/a.txt", false),
        ("revision:/B.txt", true),
        ("revision:b.txt", true),
        (&format!("revision:{other}"), true),
    ] {
        let revisions = at.open(name).await;
        assert_eq!(read(&at, &*revisions, "rev", rev).await.is_some(), is_its, "{name}");
        assert_eq!(bytes_of(&at, &*revisions, rev).await.is_ok(), is_its, "{name}");
    }
    for name in ["revision:/../a.txt", "revision://a.txt", "revision:/a.txt\\", "file:/..", "folder:/x/../y"]
    {
        let refused = at.provider.open(&at.cx, &TypeName::new(name)).await.expect_err(name);
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_connection_ends_its_tokens_at_dropbox_also_when_they_had_run_out() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let url = emulator.url();
    for expired in [false, true] {
        let home = Home::new();
        home.run(&["connect", "dropbox", "box", "--emulator", &url, "--no-browser"]).expect(0);
        if expired {
            emulator.control("POST", "clock", &json!({ "advance_seconds": 5 * 3_600 }));
        }
        emulator.control("DELETE", "requests", &Value::Null);
        let told = home.run(&["connections", "remove", "box", "--format", "ndjson"]).expect(0).lines();
        assert_eq!((&told[0]["removed"], &told[0]["revoked"]), (&json!(true), &json!(true)), "{told:?}");
        let shown = emulator.requests("/2/auth/token/revoke").pop().expect("was asked");
        assert_eq!(shown["status"], 200, "{shown}");
        let token = shown["headers"]["authorization"].as_str().expect("a token");
        let ask = format!(
            "POST /2/check/user HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let heard = crate::support::raw::exchange(&url, ask.as_bytes()).await;
        assert_eq!(heard.status(), "401", "the token is worth nothing any more");
    }
}
