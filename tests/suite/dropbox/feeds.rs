//! Feeds of changes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::support::command::signal;

struct Told {
    changes: Vec<ChangeEntry>,
    at: Checkpoint,
    notices: Vec<String>,
}

async fn told(at: &Connected, records: &std::sync::Arc<dyn Records>, since: Option<Checkpoint>) -> Told {
    let mut feed = Feed::new(std::sync::Arc::clone(records), at.cx.clone(), Vec::new(), since);
    let (mut changes, mut notices) = (Vec::new(), Vec::new());
    loop {
        let page = feed.next_page().await.expect("a page");
        changes.extend(page.changes);
        notices.extend(page.notice);
        if !page.more {
            let at = Checkpoint::parse(&page.checkpoint.to_text()).expect("reads back");
            return Told { changes, at, notices };
        }
    }
}

fn words(told: &Told) -> BTreeSet<(&'static str, String)> {
    let word = |change| match change {
        ChangeKind::Created => "created",
        ChangeKind::Updated => "updated",
        ChangeKind::Changed => "changed",
        ChangeKind::Deleted => "deleted",
    };
    told.changes.iter().map(|one| (word(one.change), one.key.as_ref().expect("a key").to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_tells_moves_as_updates_and_what_went_with_a_folder_one_by_one() {
    let at = account().await;
    let (files, folders) = (at.open("file").await, at.open("folder").await);
    let inside: Vec<Key> = vec![
        made(&at, &*files, json!({"path": "/Box/a.txt"})).await,
        made(&at, &*files, json!({"path": "/Box/deep/b.txt"})).await,
    ];
    let moving = made(&at, &*files, json!({"path": "/m.txt"})).await;
    let start = told(&at, &files, None).await;
    assert!(start.changes.is_empty());
    assert_eq!(
        update(&at, &*files, &moving, json!({"path": "/Box 2/n.txt"}), None).await.status(),
        "updated"
    );
    let id =
        read(&at, &*folders, "path", "/Box").await.expect("there")["id"].as_str().expect("text").to_owned();
    let row = VersionedKey { key: Key::text(id), if_version: None };
    assert_eq!(
        folders.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes")[0].status(),
        "deleted"
    );
    let told_then = told(&at, &files, Some(start.at)).await;
    let expected: BTreeSet<(&'static str, String)> = [
        ("updated", moving.to_string()),
        ("deleted", inside[0].to_string()),
        ("deleted", inside[1].to_string()),
    ]
    .into();
    assert_eq!(words(&told_then), expected);
    assert!(told_then.changes.iter().all(|one| !one.subtree));

    // After a reset everything is listed and compared: nothing is told that did not change.
    let new = made(&at, &*files, json!({"path": "/new.txt"})).await;
    let row = VersionedKey { key: moving.clone(), if_version: None };
    files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    let kept = made(&at, &*files, json!({"path": "/kept.txt"})).await;
    let middle = told(&at, &files, Some(told_then.at)).await;
    assert_eq!(middle.changes.len(), 3);
    update(&at, &*files, &kept, json!({"content": base64("changed")}), None).await;
    let row = VersionedKey { key: new.clone(), if_version: None };
    files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    control(&at, http::Method::POST, "dropbox/reset-cursors", &Value::Null).await;
    let compared = told(&at, &files, Some(middle.at)).await;
    let expected: BTreeSet<(&'static str, String)> =
        [("updated", kept.to_string()), ("deleted", new.to_string())].into();
    assert_eq!(words(&compared), expected);
    assert_eq!(compared.notices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_without_a_memory_names_deletions_by_their_paths() {
    let at = account().await;
    let factory = recordport::providers::find("dropbox").expect("known");
    let provider = factory.provider(&json!({"remember_paths": false})).expect("a provider");
    let files = provider.open(&at.cx, &TypeName::new("file")).await.expect("opens");
    made(&at, &*files, json!({"path": "/Box/a.txt"})).await;
    let start = told(&at, &files, None).await;
    let folders = at.open("folder").await;
    let id =
        read(&at, &*folders, "path", "/Box").await.expect("there")["id"].as_str().expect("text").to_owned();
    let row = VersionedKey { key: Key::text(id), if_version: None };
    folders.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    let told = told(&at, &files, Some(start.at)).await;
    let [gone] = told.changes.as_slice() else { panic!("{:?}", told.changes) };
    assert_eq!((gone.change, &gone.key, gone.subtree), (ChangeKind::Deleted, &None, true));
    assert_eq!(gone.alternate, Some(json!({"path_lower": "/box"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_may_not_remember_all_says_so_and_loses_nothing() {
    let at = account().await;
    let factory = recordport::providers::find("dropbox").expect("known");
    let provider = factory.provider(&json!({"remember_max": 3})).expect("a provider");
    let files = provider.open(&at.cx, &TypeName::new("file")).await.expect("opens");
    let mut keys = Vec::new();
    for name in ["/a.txt", "/Box/b.txt", "/Box/c.txt"] {
        keys.push(made(&at, &*files, json!({"path": name})).await);
    }
    let start = told(&at, &files, None).await;
    assert_eq!(start.notices, [] as [&str; 0], "three are remembered");
    let row = VersionedKey { key: keys[0].clone(), if_version: None };
    files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    for name in ["/Box/d.txt", "/e.txt"] {
        keys.push(made(&at, &*files, json!({"path": name})).await);
    }
    let grown = told(&at, &files, Some(start.at)).await;
    let [notice] = grown.notices.as_slice() else { panic!("{:?}", grown.notices) };
    assert!(notice.contains("more than 3") && notice.contains("remember_max"), "{notice}");
    let expected: BTreeSet<(&'static str, String)> = [
        ("deleted", keys[0].to_string()),
        ("created", keys[3].to_string()),
        ("created", keys[4].to_string()),
    ]
    .into();
    assert_eq!(words(&grown), expected, "what was known is told with its key");
    let row = VersionedKey { key: keys[4].clone(), if_version: None };
    files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    let after = told(&at, &files, Some(grown.at)).await;
    assert_eq!(after.notices, [] as [&str; 0], "said once");
    let [gone] = after.changes.as_slice() else { panic!("{:?}", after.changes) };
    assert_eq!((&gone.key, &gone.alternate), (&None, &Some(json!({"path_lower": "/e.txt"}))));
    made(&at, &*files, json!({"path": "/f.txt"})).await;
    assert_eq!(
        told(&at, &files, None).await.notices.len(),
        1,
        "a feed that begins with too much says so, too"
    );
}

#[test]
fn who_follows_is_woken_by_dropbox_itself_and_shows_no_token_for_that() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let url = emulator.url();
    home.run(&["connect", "dropbox", "box", "--access", "read-write", "--emulator", &url, "--no-browser"])
        .expect(0);
    // Without Dropbox's call the next look would be in an hour.
    let follow = ["changes", "box", "file", "--follow", "--interval", "3600", "--select", "path"];
    let mut running =
        home.command(&follow).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let stdout = BufReader::new(running.stdout.take().expect("stdout"));
    let (say, hear) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(std::io::Result::ok) {
            let _ = say.send(serde_json::from_str::<Value>(&line).expect("JSON"));
        }
    });
    let next = || hear.recv_timeout(Duration::from_secs(60)).expect("a line");
    assert!(next()["checkpoint"].is_string());
    for name in ["/one.txt", "/two.txt"] {
        home.feed(&["content", "put", "box", "file", name], "x").expect(0);
        let told = next();
        assert_eq!((&told["change"], &told["record"]), (&json!("created"), &json!({"path": name})));
        assert!(next()["checkpoint"].is_string());
    }
    let waits = emulator.requests("/2/files/list_folder/longpoll");
    assert!(waits.len() >= 2, "{waits:?}");
    for wait in waits {
        assert!(wait["headers"].get("authorization").is_none(), "{wait}");
    }
    signal("INT", running.id());
    assert_eq!(running.wait().expect("ends").code(), Some(130));
    reader.join().expect("ends");
}
