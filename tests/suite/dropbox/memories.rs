//! Feeds that know more than a checkpoint carries.

use std::path::Path;
use std::sync::Arc;

use recordport::connect::home::Home as State;
use recordport::provider::feed_memory::{self, Entries, Known, MemoryMark, Presence};
use recordport::provider::{ChangePage, Context};
use recordport::workspace::feeds::FeedFile;

use super::*;

const FOLDERS: usize = 1_100;

/// What a process of its own would work with: nothing is shared but the file of the home.
async fn process(at: &Connected, home: &Path, record_type: &str) -> (Context, Arc<dyn Records>) {
    let file = FeedFile::of(&State::prepare(home).expect("a home"));
    let cx = Context { memory: Some(file.memory_of("one")), ..at.cx.clone() };
    let factory = recordport::providers::find("dropbox").expect("known");
    let provider = factory.provider(&json!({"remember_max": 50})).expect("a provider");
    let records = provider.open(&cx, &TypeName::new(record_type)).await.expect("opens");
    (cx, records)
}

async fn page(at: &Connected, home: &Path, since: Option<&Checkpoint>) -> ChangePage {
    let (cx, records) = process(at, home, "folder").await;
    records.changes(&cx, since, &[FieldPath::of(["path"])]).await.expect("a page")
}

fn lines(page: &ChangePage) -> Vec<(ChangeKind, Option<String>, Value, bool)> {
    let each = page.changes.iter();
    each.map(|one| {
        let key = one.key.as_ref().map(ToString::to_string);
        (one.change, key, one.alternate.clone().unwrap_or_default(), one.subtree)
    })
    .collect()
}

/// Everything that is told behind a place, and where that ends; each page is lost so many times before it is taken.
async fn told(
    at: &Connected,
    home: &Path,
    since: &Checkpoint,
    losses: usize,
) -> (Vec<(ChangeKind, Option<String>, Value, bool)>, usize, Vec<String>, Checkpoint) {
    let (mut all, mut pages, mut notices, mut since) = (Vec::new(), 0, Vec::new(), since.clone());
    loop {
        for _ in 0..losses {
            drop(page(at, home, Some(&since)).await);
        }
        let page = page(at, home, Some(&since)).await;
        all.extend(lines(&page));
        pages += 1;
        notices.extend(page.notice);
        since = Checkpoint::parse(&page.checkpoint.to_text()).expect("reads back");
        if !page.more {
            return (all, pages, notices, since);
        }
    }
}

async fn remove(at: &Connected, id: &str) {
    let row = VersionedKey { key: Key::text(id), if_version: None };
    let folders = at.open("folder").await;
    let gone = folders.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("answers").remove(0);
    assert_eq!(gone.status(), "deleted", "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_a_large_folder_is_told_one_by_one_however_often_the_feed_dies() {
    let at = account().await;
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let paths: Vec<String> = (0..FOLDERS).map(|number| format!("/Box/{number}")).collect();
    call(&at, "files/create_folder_batch", &json!({ "paths": paths })).await;
    let ids: std::collections::BTreeMap<String, String> = found(&at, "folder", QueryDraft::default())
        .await
        .iter()
        .map(|row| {
            (row["path"].as_str().expect("a path").to_owned(), row["id"].as_str().expect("an id").to_owned())
        })
        .collect();
    let start = page(&at, home, None).await;
    assert_eq!(start.notice, None, "nothing is left out");
    assert!(start.checkpoint.to_text().len() < 2_000, "the checkpoint does not carry them");
    let start = start.checkpoint;

    let folders = at.open("folder").await;
    let moving = Key::text(ids["/Box/7"].as_str());
    assert_eq!(update(&at, &*folders, &moving, json!({"path": "/Seven"}), None).await.status(), "updated");
    remove(&at, &ids["/Box"]).await;
    let new = made(&at, &*folders, json!({"path": "/New"})).await;
    let (once, pages, notices, behind) = told(&at, home, &start, 0).await;
    assert_eq!((pages, notices), (3, Vec::new()), "deletions do not come all at once");
    let (lost, _, _, again) = told(&at, home, &start, 2).await;
    assert!(once == lost, "the same comes from the same place, whatever was lost behind it");
    let of = |kind| once.iter().filter(move |(change, ..)| *change == kind);
    let gone: BTreeSet<&String> = of(ChangeKind::Deleted).filter_map(|(_, key, ..)| key.as_ref()).collect();
    let expected: BTreeSet<&String> =
        ids.iter().filter(|(path, _)| path.as_str() != "/Box/7").map(|(_, id)| id).collect();
    assert!(gone == expected && gone.len() == FOLDERS, "{} of {}", gone.len(), expected.len());
    assert!(once.iter().all(|(.., subtree)| !subtree));
    assert_eq!(of(ChangeKind::Updated).count() + of(ChangeKind::Created).count(), 2);
    assert!(of(ChangeKind::Created).all(|(_, key, ..)| *key == Some(new.to_string())));

    // Elsewhere nobody knows what was there, and that is said.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (blind, _, notices, _) = told(&at, elsewhere.path(), &start, 0).await;
    assert!(matches!(notices.as_slice(), [one] if one.contains("not kept here")), "{notices:?}");
    assert!(blind.contains(&(ChangeKind::Deleted, None, json!({"path_lower": "/box"}), true)), "{blind:?}");

    // Two feeds from one place go their ways, and a listing that begins anew is compared.
    control(&at, http::Method::POST, "dropbox/reset-cursors", &Value::Null).await;
    remove(&at, &new.to_string()).await;
    for place in [&behind, &again] {
        let (changes, _, notices, behind) = told(&at, home, place, 1).await;
        let path = json!({"path_lower": "/new"});
        assert_eq!(changes, [(ChangeKind::Deleted, Some(new.to_string()), path, false)]);
        assert!(matches!(notices.as_slice(), [one] if one.contains("compared")), "{notices:?}");
        let (idle, pages, notices, _) = told(&at, home, &behind, 0).await;
        assert_eq!((idle, pages, notices), (Vec::new(), 1, Vec::new()), "nothing is told twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_goes_some_steps_back_and_holds_a_few_feeds_of_each_type() {
    let home = tempfile::tempdir().expect("a directory");
    let file = FeedFile::of(&State::prepare(home.path()).expect("a home"));
    let memory = file.memory_of("one");
    let put = async |from: &MemoryMark, number: u64| {
        let known =
            Known { key: number.to_string(), path: format!("/{number}"), mark: 0, presence: Presence::There };
        let work = move |entries: &mut dyn Entries| {
            let before = entries.some(Presence::There, usize::MAX)?.len();
            entries.put(&known).map(|()| before)
        };
        feed_memory::step(memory.as_ref(), from, work).await.expect("works")
    };
    let begin = memory.begin("file").await.expect("begins");
    let mut at = vec![begin.clone()];
    for number in 0..70 {
        let (before, next) = put(&at[at.len() - 1], number).await.expect("known");
        assert_eq!(usize::try_from(number).expect("small"), before);
        at.push(next);
    }
    let (before, forked) = put(&at[65], 900).await.expect("not long ago");
    assert_eq!(before, 65, "as it was then");
    assert_ne!(forked.line, begin.line);
    assert_eq!(put(&at[70], 901).await.expect("the last").0, 70, "the other went its own way");
    assert_eq!(put(&forked, 902).await.expect("the last").0, 66);
    assert!(put(&begin, 903).await.is_none(), "too long ago");
    assert!(file.memory_of("two").step(&forked, Box::new(|_| Ok(()))).await.expect("works").is_none());
    let failed = feed_memory::step(memory.as_ref(), &forked, |entries| {
        entries.turn(None, Presence::There, Presence::Gone)?;
        Err::<(), _>(Error::invalid("no"))
    });
    assert!(failed.await.is_err());
    for _ in 0..8 {
        memory.begin("folder").await.expect("begins");
    }
    let there = async |mark: &MemoryMark| {
        memory.step(mark, Box::new(|entries| entries.forget("nobody"))).await.expect("works")
    };
    let kept = there(&MemoryMark { step: 67, ..forked.clone() }).await.expect("of another type");
    assert_eq!((kept.step, &kept.line), (67, &forked.line), "a step that changes nothing leads nowhere");
    for _ in 0..8 {
        memory.begin("file").await.expect("begins");
    }
    assert!(there(&kept).await.is_none(), "not used for longest");
}

#[test]
fn a_connection_takes_what_its_feeds_knew_with_it() {
    let emulator = EmulatorProcess::start(&["--empty"]);
    let home = Home::new();
    let url = emulator.url();
    let connect = ["connect", "dropbox", "box", "--access", "read-write", "--emulator", &url, "--no-browser"];
    home.run(&[&connect[..], &["--set", "remember_max=2"]].concat()).expect(0);
    for name in ["/Secret plans/a.txt", "/Secret plans/b.txt", "/Secret plans/c.txt"] {
        home.feed(&["content", "put", "box", "file", name], "x").expect(0);
    }
    let place = home.run(&["changes", "box", "file"]).expect(0).stdout;
    std::fs::write(home.file("place"), place).expect("written");
    let folder =
        home.run(&["get", "box", "folder", "--by", "path", "/Secret plans", "--meta"]).expect(0).lines();
    home.run(&["delete", "box", "folder", folder[0]["@key"].as_str().expect("a key")]).expect(0);
    let since = home.file("place").display().to_string();
    let told = home.run(&["changes", "box", "file", "--since", &since]).expect(0).lines();
    let gone: Vec<&Value> = told.iter().filter(|line| line["change"] == "deleted").collect();
    assert_eq!(gone.len(), 3, "{told:?}");
    assert!(gone.iter().all(|line| line["key"].is_string() && line.get("subtree").is_none()), "{told:?}");
    let kept = || std::fs::read(home.path().join("feeds.db")).expect("is there");
    let holds = |bytes: &[u8]| bytes.windows(12).any(|part| part == b"secret plans");
    assert!(holds(&kept()));
    home.run(&["connections", "remove", "box"]).expect(0);
    assert!(!holds(&kept()), "what was erased is erased");
}
