//! Going back to earlier revisions, and content that is written out only when it is asked for.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_back_to_a_revision_of_its_own_and_comes_back_when_it_was_deleted() {
    let at = account().await;
    let files = at.open("file").await;
    let key = made(&at, &*files, json!({"path": "/plan.txt", "content": base64("one")})).await;
    let other = made(&at, &*files, json!({"path": "/other.txt", "content": base64("other")})).await;
    let rev_of = async |key: &Key| {
        read(&at, &*files, "id", &key.to_string()).await.expect("there")["rev"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let count = async || found(&at, "revision:/plan.txt", QueryDraft::default()).await.len();
    let (first, foreign) = (rev_of(&key).await, rev_of(&other).await);
    update(&at, &*files, &key, json!({"content": base64("two")}), None).await;
    let second = rev_of(&key).await;
    let back = update(&at, &*files, &key, json!({"rev": first}), None).await;
    assert!(matches!(&back, Outcome::Updated(told) if *told == key), "{back:?}");
    assert_eq!(bytes_of(&at, &*files, "/plan.txt").await.expect("comes"), b"one");
    let present = rev_of(&key).await;
    assert!(![&first, &second].contains(&&present), "a revision of its own");
    let same = update(&at, &*files, &key, json!({"rev": present}), None).await;
    assert_eq!((same.status(), count().await), ("unchanged", 3), "{same:?}");

    for rev in [foreign.as_str(), "0123456789abcdef"] {
        let refused = update(&at, &*files, &key, json!({"rev": rev}), None).await;
        let error = refused.error().expect("is of no use");
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("invalid_revision")), "{rev}");
    }
    let both = update(&at, &*files, &key, json!({"rev": second, "content": base64("x")}), None).await;
    assert_eq!(both.error().expect("two contents").kind(), ErrorKind::Invalid);
    let unchecked = update(&at, &*files, &key, json!({"rev": second}), Some(&present)).await;
    assert_eq!(unchecked.error().expect("not checked").code(), Some("version_not_checked"));
    assert_eq!(count().await, 3, "nothing was written");

    // What became of it when the answer is lost: it is there, or it may still come.
    for (kind, rev, becomes) in [
        ("drop_after_commit", &second, "updated"),
        ("503_after_commit", &first, "updated"),
        ("503", &second, "unknown"),
    ] {
        let before = count().await;
        fault(&at, json!({"kind": kind, "path": "/2/files/restore", "times": 1})).await;
        let lost = update(&at, &*files, &key, json!({"rev": rev}), None).await;
        assert_eq!(lost.status(), becomes, "{kind}: {lost:?}");
        assert_eq!(count().await, before + usize::from(becomes == "updated"), "{kind}: not twice");
    }
    let moved = update(&at, &*files, &key, json!({"rev": second, "name": "moved.txt"}), None).await;
    assert_eq!(moved.status(), "updated", "{moved:?}");
    assert_eq!(bytes_of(&at, &*files, "/moved.txt").await.expect("comes"), b"two");

    let row = VersionedKey { key: key.clone(), if_version: None };
    files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    let gone = update(&at, &*files, &key, json!({"name": "x.txt"}), None).await;
    assert_eq!(gone.error().expect("is gone").code(), Some("not_found"));
    let back = update(&at, &*files, &key, json!({"rev": first}), None).await;
    assert_eq!(back.status(), "updated", "{back:?}");
    assert_eq!(bytes_of(&at, &*files, "/moved.txt").await.expect("comes"), b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paper_document_is_read_in_the_format_that_the_connection_names() {
    let at = account().await;
    let text = "# Größe & Plan\n\n1 < 2";
    upload(&at, "files/paper/create", &json!({"path": "/Doc.paper", "import_format": "markdown"}), text)
        .await;
    let files = at.open("file").await;
    let document = read(&at, &*files, "path", "/Doc.paper").await.expect("there");
    assert_eq!(document["is_downloadable"], false);
    assert_eq!(document["export_info"], json!({"export_as": "html", "export_options": ["html", "markdown"]}));
    let page = bytes_of(&at, &*files, "/Doc.paper").await.expect("comes");
    let page = String::from_utf8(page).expect("text");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<p># Größe &amp; Plan</p>"), "{page}");
    let factory = recordport::providers::find("dropbox").expect("known");
    let of_format = async |format: &str| {
        let provider = factory.provider(&json!({"export_format": format})).expect("a provider");
        provider.open(&at.cx, &TypeName::new("file")).await.expect("opens")
    };
    let id = document["id"].as_str().expect("an id");
    assert_eq!(bytes_of(&at, &*of_format("markdown").await, id).await.expect("comes"), text.as_bytes());
    let error = bytes_of(&at, &*of_format("docx").await, id).await.expect_err("no such format");
    assert_eq!(error.code(), Some("invalid_export_format"), "{error}");
    assert!(error.advice().is_some_and(|advice| advice.contains("export_info")), "{error:?}");
    // What is cut off is never taken for the whole, and of one folder nothing comes from elsewhere.
    fault(&at, json!({"kind": "trunc", "path": "/2/files/export", "times": 1})).await;
    bytes_of(&at, &*files, id).await.expect_err("is not the whole");
    made(&at, &*files, json!({"path": "/Box/a.txt"})).await;
    let error = bytes_of(&at, &*at.open("file:/Box").await, id).await.expect_err("lies elsewhere");
    assert_eq!(error.code(), Some("other_type"), "{error}");
}
