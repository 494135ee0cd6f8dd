//! What is Dropbox's own, by the provider against the emulated account.

mod bounds;
mod contents;
mod doubts;
mod feeds;
mod memories;
mod revisions;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use recordport::emulator::EmulatorConfig;
use recordport::error::{Error, ErrorKind, Result};
use recordport::provider::changes::Feed;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{
    At, Change, ChangeEntry, ChangeKind, Content, Edits, NewRow, Outcome, Records, VersionedKey, WriteOptions,
};
use recordport::record::{Checkpoint, FieldPath, Key, KeyFields, QueryDraft, TypeName, where_text};
use serde_json::{Value, json};

use crate::behaviour::set;
use crate::support::command::{EmulatorProcess, Home, until};
use crate::support::wired_org::Connected;

const MIB: usize = 1024 * 1024;

fn config(empty: bool) -> EmulatorConfig {
    EmulatorConfig { empty, ..EmulatorConfig::default() }
}

/// An account without files.
async fn account() -> Connected {
    Connected::to("dropbox", config(true)).await
}

fn row(fields: &Value) -> Edits {
    let members = fields.as_object().expect("an object").iter();
    members.map(|(name, value)| (name.clone(), set(value))).collect()
}

fn options(fields: Value) -> WriteOptions {
    serde_json::from_value(fields).expect("options")
}

async fn create(at: &Connected, records: &dyn Records, rows: &[Value]) -> Vec<Outcome> {
    let rows: Vec<NewRow> = rows.iter().map(|fields| NewRow { fields: row(fields), marker: None }).collect();
    records.create(&at.cx, &rows, &WriteOptions::new()).await.expect("creates")
}

async fn made(at: &Connected, records: &dyn Records, fields: Value) -> Key {
    match create(at, records, &[fields]).await.remove(0) {
        Outcome::Created(key) => key,
        other => panic!("not created: {other:?}"),
    }
}

async fn update(
    at: &Connected,
    records: &dyn Records,
    key: &Key,
    fields: Value,
    version: Option<&str>,
) -> Outcome {
    let change = Change { key: key.clone(), edits: row(&fields), if_version: version.map(str::to_owned) };
    records.update(&at.cx, &[change], &WriteOptions::new()).await.expect("updates").remove(0)
}

async fn read(at: &Connected, records: &dyn Records, by: &str, key: &str) -> Option<Value> {
    let found =
        records.get(&at.cx, &KeyFields::single(by), &[Key::text(key)], &[]).await.expect("reads").remove(0);
    found.expect("is read").map(|record| record.to_value().expect("JSON"))
}

async fn found(at: &Connected, records: &str, draft: QueryDraft) -> Vec<Value> {
    let records = at.open(records).await;
    let prepared = records.prepare(&at.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans");
    let found: Vec<_> = Search::start(records, at.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    found.iter().map(|record| record.to_value().expect("JSON")).collect()
}

fn condition(text: &str) -> QueryDraft {
    QueryDraft { where_text: Some(where_text::parse(text).expect("SQL")), ..QueryDraft::default() }
}

async fn bytes_of(at: &Connected, records: &dyn Records, key: &str) -> Result<Vec<u8>> {
    records.read_content(&at.cx, &Key::text(key), "content").await?.collect(u64::MAX).await
}

fn content(pieces: Vec<Bytes>) -> Content {
    Content::new(stream::iter(pieces.into_iter().map(Ok)).boxed())
}

async fn put(at: &Connected, records: &dyn Records, key: &str, bytes: Bytes, how: Value) -> Result<Outcome> {
    records.write_content(&at.cx, &Key::text(key), "content", content(vec![bytes]), &options(how)).await
}

async fn control(at: &Connected, method: http::Method, path: &str, body: &Value) -> Value {
    let address = format!("{}/_emulator/{path}", at.emulator.http_url());
    let client = crate::support::emulated::client();
    let answer = client.request(method, address).body(body.to_string()).send().await.expect("is answered");
    serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or(Value::Null)
}

async fn fault(at: &Connected, mut rule: Value) {
    rule["service"] = json!("dropbox");
    control(at, http::Method::POST, "faults", &rule).await;
}

/// Calls a function of the service past the provider.
async fn call(at: &Connected, function: &str, argument: &Value) {
    let request = past(at, function).header("content-type", "application/json").body(argument.to_string());
    assert_eq!(request.send().await.expect("is answered").status(), 200, "{function}");
}

async fn upload(at: &Connected, function: &str, argument: &Value, text: &'static str) {
    let request = past(at, function).header("dropbox-api-arg", argument.to_string());
    let request = request.header("content-type", "application/octet-stream").body(text);
    assert_eq!(request.send().await.expect("is answered").status(), 200, "{function}");
}

fn past(at: &Connected, function: &str) -> reqwest::RequestBuilder {
    let token = at.emulator.credentials()["dropbox"]["access_token"].as_str().expect("a token").to_owned();
    let address = format!("{}/2/{function}", at.emulator.http_url());
    crate::support::emulated::client().post(address).bearer_auth(token)
}

fn template() -> Value {
    json!({ "name": "Review", "description": "How far it is", "fields": [
        { "name": "state", "description": "What is done", "type": { ".tag": "string" } },
    ]})
}

/// Paths of the requests that came to the service's functions.
async fn asked(at: &Connected) -> Vec<String> {
    let log = control(at, http::Method::GET, "requests", &Value::Null).await;
    let paths = log["requests"].as_array().expect("a list").iter().filter_map(|one| one["path"].as_str());
    paths.filter_map(|path| path.strip_prefix("/2/").map(str::to_owned)).collect()
}

fn base64(text: &str) -> Value {
    json!(STANDARD.encode(text))
}

/// Bytes that repeat late.
fn noise(count: usize) -> Bytes {
    let mut turn = 0x9E37_79B9_u32;
    let next = |turn: &mut u32| {
        *turn ^= *turn << 13;
        *turn ^= *turn >> 17;
        *turn ^= *turn << 5;
        turn.to_le_bytes()
    };
    (0..count.div_ceil(4)).flat_map(|_| next(&mut turn)).take(count).collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_by_id_and_by_path_in_any_case_and_tells_what_follows_from_its_place() {
    let at = account().await;
    let files = at.open("file").await;
    let key =
        made(&at, &*files, json!({"path": "/Reports/2026/Größe.tar.gz", "content": base64("abc")})).await;
    let by_id = read(&at, &*files, "id", &key.to_string()).await.expect("there");
    assert_eq!(by_id["path"], "/Reports/2026/Größe.tar.gz");
    assert_eq!(by_id["parent_path"], "/Reports/2026");
    assert_eq!((&by_id["extension"], &by_id["size"]), (&json!("gz"), &json!(3)));
    assert_eq!(by_id["content_hash"], "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358");
    assert_eq!(by_id["content"], format!("rev:{}", by_id["rev"].as_str().expect("a revision")));
    for (by, path) in [("path_lower", "/reports/2026/größe.tar.gz"), ("path", "/REPORTS/2026/GRÖßE.tar.GZ")]
    {
        assert_eq!(read(&at, &*files, by, path).await.expect("there")["id"], by_id["id"], "{path}");
    }
    assert_eq!(bytes_of(&at, &*files, &key.to_string()).await.expect("comes"), b"abc");
    assert_eq!(bytes_of(&at, &*files, "/Reports/2026/Größe.tar.gz").await.expect("comes"), b"abc");
    let folders = at.open("folder").await;
    assert!(read(&at, &*folders, "id", &key.to_string()).await.is_none(), "a file is no folder");
    assert_eq!(read(&at, &*folders, "path", "/Reports").await.expect("there")["parent_path"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_revision_is_refused_on_every_way_to_write_over_a_file() {
    let at = account().await;
    let files = at.open("file").await;
    let key = made(&at, &*files, json!({"path": "/plan.txt", "content": base64("one")})).await;
    let first = read(&at, &*files, "id", &key.to_string()).await.expect("there")["rev"].clone();
    let first = first.as_str().expect("a revision");
    let second = update(&at, &*files, &key, json!({"content": base64("two")}), Some(first)).await;
    assert_eq!(second.status(), "updated", "{second:?}");
    let stale = update(&at, &*files, &key, json!({"content": base64("three")}), Some(first)).await;
    assert_eq!(stale.error().expect("refused").kind(), ErrorKind::Conflict);
    let streamed = put(&at, &*files, "/plan.txt", Bytes::from_static(b"four"), json!({"rev": first})).await;
    assert_eq!(streamed.expect_err("refused").kind(), ErrorKind::Conflict);
    let added = put(&at, &*files, "/plan.txt", Bytes::from_static(b"five"), json!({"mode": "add"})).await;
    assert_eq!(added.expect_err("refused").kind(), ErrorKind::Conflict);
    let row = VersionedKey { key: key.clone(), if_version: Some(first.to_owned()) };
    let deleted = files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("answers").remove(0);
    assert_eq!(deleted.error().expect("refused").kind(), ErrorKind::Conflict);
    assert_eq!(bytes_of(&at, &*files, "/plan.txt").await.expect("comes"), b"two");
    let moved = update(&at, &*files, &key, json!({"name": "other.txt"}), Some(first)).await;
    assert_eq!(moved.error().expect("not checked").kind(), ErrorKind::Unsupported);
    let again = create(&at, &*files, &[json!({"path": "/plan.txt", "content": base64("two")})]).await;
    assert_eq!(again[0].error().expect("taken, also by the same bytes").kind(), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_move_and_are_copied_by_their_paths_each_with_an_outcome() {
    let at = account().await;
    let files = at.open("file").await;
    let paths = ["/a.txt", "/b.txt", "/c.txt", "/d.txt"];
    let rows: Vec<Value> = paths.iter().map(|path| json!({"path": path, "content": base64(path)})).collect();
    let keys: Vec<Key> =
        create(&at, &*files, &rows).await.iter().filter_map(|one| one.key().cloned()).collect();
    assert_eq!(keys.len(), 4);
    let renamed = update(&at, &*files, &keys[0], json!({"name": "A 1.txt"}), None).await;
    assert_eq!(renamed.status(), "updated", "{renamed:?}");
    let same = update(&at, &*files, &keys[0], json!({"path": "/A 1.txt"}), None).await;
    assert_eq!(same.status(), "unchanged", "{same:?}");
    let case = update(&at, &*files, &keys[0], json!({"name": "a 1.TXT"}), None).await;
    let error = case.error().expect("not supported");
    assert!(error.advice().is_some_and(|advice| advice.contains("another name first")), "{error:?}");
    let change =
        |key: &Key, fields: Value| Change { key: key.clone(), edits: row(&fields), if_version: None };
    let batch = [
        change(&keys[1], json!({"parent_path": "/archive"})),
        change(&keys[2], json!({"path": "/d.txt"})),
        change(&keys[3], json!({"path": "/archive/d.txt"})),
    ];
    let outcomes = files.update(&at.cx, &batch, &WriteOptions::new()).await.expect("answers");
    let words: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(words, ["updated", "failed", "updated"], "{outcomes:?}");
    assert_eq!(
        read(&at, &*files, "id", &keys[1].to_string()).await.expect("there")["path"],
        "/archive/b.txt"
    );
    let copy = options(json!({"copy": true}));
    let copied = files.update(&at.cx, &[change(&keys[1], json!({"path": "/copy.txt"}))], &copy).await;
    let copied = copied.expect("answers").remove(0);
    assert!(matches!(&copied, Outcome::Created(key) if *key != keys[1]), "{copied:?}");
    assert_eq!(bytes_of(&at, &*files, "/copy.txt").await.expect("comes"), b"/b.txt");
    let folders = at.open("folder").await;
    let archive = read(&at, &*folders, "path", "/archive").await.expect("there")["id"].clone();
    let moved = update(
        &at,
        &*folders,
        &Key::text(archive.as_str().expect("an id")),
        json!({"path": "/old/archive"}),
        None,
    )
    .await;
    assert_eq!(moved.status(), "updated", "{moved:?}");
    assert!(read(&at, &*files, "path", "/old/archive/d.txt").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_every_row_has_its_own_outcome() {
    let at = account().await;
    let files = at.open("file").await;
    let rows: Vec<Value> =
        (0..6).map(|at| json!({"path": format!("/f{at}.txt"), "content": base64("x")})).collect();
    fault(
        &at,
        json!({"kind": "partial", "path": "/2/files/upload_session/finish_batch_v2", "times": 1, "body": 2}),
    )
    .await;
    let outcomes = create(&at, &*files, &rows).await;
    let words: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    let failed: Vec<usize> =
        words.iter().enumerate().filter(|(_, word)| **word == "failed").map(|(place, _)| place).collect();
    assert!(!failed.is_empty() && failed.len() < 6, "{words:?}");
    for place in &failed {
        assert_eq!(outcomes[*place].error().expect("told").kind(), ErrorKind::Forbidden);
    }
    for (place, outcome) in outcomes.iter().enumerate() {
        let there = read(&at, &*files, "path", &format!("/f{place}.txt")).await.is_some();
        assert_eq!(there, outcome.status() == "created", "{place}");
    }
    let keys = outcomes.iter().filter_map(Outcome::key);
    let mut doomed: Vec<VersionedKey> =
        keys.map(|key| VersionedKey { key: key.clone(), if_version: None }).collect();
    doomed.push(VersionedKey { key: Key::text("id:AAAAAAAAAAAAAAAAAAAAAA"), if_version: None });
    let deleted = files.delete(&at.cx, &doomed, &WriteOptions::new()).await.expect("answers");
    assert!(deleted.iter().all(|outcome| outcome.status() == "deleted"), "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_whose_answers_are_lost_are_known_by_their_contents() {
    let at = account().await;
    let files = at.open("file").await;
    for (turn, kind) in ["drop_after_commit", "503_after_commit"].into_iter().enumerate() {
        fault(&at, json!({"kind": kind, "path": "/2/files/upload", "times": 1})).await;
        let alone =
            create(&at, &*files, &[json!({"path": format!("/one {turn}"), "content": base64("1")})]).await;
        assert_eq!(alone[0].status(), "created", "{alone:?}");
        fault(&at, json!({"kind": kind, "path": "/2/files/upload_session/finish_batch_v2", "times": 1}))
            .await;
        let rows: Vec<Value> =
            (0..3).map(|at| json!({"path": format!("/many {turn} {at}"), "content": base64("2")})).collect();
        let many = create(&at, &*files, &rows).await;
        assert!(many.iter().all(|outcome| outcome.status() == "created"), "{many:?}");
    }
    assert_eq!(found(&at, "file", QueryDraft::default()).await.len(), 8, "each file once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_has_to_begin_anew_loses_and_doubles_nothing() {
    let at = account().await;
    let files = at.open("file").await;
    let rows: Vec<Value> = (0..30).map(|at| json!({"path": format!("/f{at}.txt")})).collect();
    assert_eq!(create(&at, &*files, &rows).await.len(), 30);
    let draft = QueryDraft { page_size: Some(7), ..QueryDraft::default() };
    let prepared = files.prepare(&at.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans");
    for resets in [1, 3] {
        let (mut next, mut keys, mut pages) = (None, Vec::new(), 0);
        loop {
            let page = files.page(&at.cx, &prepared.plan, next.as_ref()).await.expect("a page");
            keys.extend(page.records.into_iter().map(|record| record.expect("is read").key));
            pages += 1;
            if pages <= resets {
                control(&at, http::Method::POST, "dropbox/reset-cursors", &Value::Null).await;
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let distinct: BTreeSet<&Key> = keys.iter().collect();
        assert_eq!((keys.len(), distinct.len()), (30, 30), "after {resets}");
    }
    // Elsewhere nobody knows what was given.
    let first = files.page(&at.cx, &prepared.plan, None).await.expect("a page");
    control(&at, http::Method::POST, "dropbox/reset-cursors", &Value::Null).await;
    let factory = recordport::providers::find("dropbox").expect("known");
    let other = factory.provider(&Value::Null).expect("a provider");
    let other = other.open(&at.cx, &TypeName::new("file")).await.expect("opens");
    let error = other.page(&at.cx, &prepared.plan, first.next.as_ref()).await.expect_err("cannot go on");
    assert_eq!(error.code(), Some("reset"), "{error}");
    assert!(error.advice().is_some_and(|advice| advice.contains("without a cursor")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_places_narrow_what_is_listed() {
    let at = Connected::to("dropbox", config(false)).await;
    for (text, native) in [
        ("parent_path = '/Reports/2022'", "list_folder \"/Reports/2022\""),
        ("path LIKE '/Lists/2023/%' AND size > 1000", "list_folder \"/Lists/2023\", recursive"),
        ("path_lower = '/reports' OR name = 'x'", "list_folder \"\", recursive"),
        ("path = '/nowhere/at all.txt'", "get_metadata of 1 entries"),
        ("path LIKE '/nowhere/%'", "list_folder \"/nowhere\", recursive"),
    ] {
        let files = at.open("file").await;
        let prepared =
            files.prepare(&at.cx, &condition(text), &jiff::tz::TimeZone::UTC).await.expect("plans");
        assert_eq!(prepared.plan.native, [native], "{text}");
    }
    let in_2022 = found(&at, "file", condition("parent_path = '/Reports/2022'")).await;
    assert_eq!(in_2022.len(), 100);
    assert!(found(&at, "file", condition("path LIKE '/nowhere/%'")).await.is_empty());
    let id = in_2022[3]["id"].as_str().expect("an id");
    let same = found(&at, "file", condition(&format!("id IN ('{id}', '{id}', 'id:nobody', 'x')"))).await;
    assert_eq!(same, [in_2022[3].clone()]);
    assert_eq!(found(&at, "file:/reports/2022", QueryDraft::default()).await.len(), 100);
    assert_eq!(found(&at, "folder:/Reports", QueryDraft::default()).await.len(), 5);
    assert!(found(&at, "file:/Reports", condition("parent_path = '/Lists/2023'")).await.is_empty());
    // All there is, over three pages, each file once.
    control(&at, http::Method::DELETE, "requests", &Value::Null).await;
    let select = vec![FieldPath::of(["id"])];
    let all = found(&at, "file", QueryDraft { select, ..QueryDraft::default() }).await;
    let distinct: BTreeSet<&str> = all.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!((all.len(), distinct.len()), (5_000, 5_000));
    let pages = asked(&at).await.into_iter().filter(|path| path.starts_with("files/list_folder"));
    assert_eq!(pages.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_index_is_asked_only_where_the_user_says_so() {
    let at = Connected::to("dropbox", config(false)).await;
    let files = at.open("file").await;
    let draft = condition("name LIKE '%launch%'");
    let plan = files.prepare(&at.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans").plan;
    assert!(plan.conditions[0].why.contains("search_index=true"), "{:?}", plan.conditions);
    assert_eq!(plan.native, ["list_folder \"\", recursive"]);
    let listed: BTreeSet<String> =
        found(&at, "file", draft.clone()).await.iter().map(|row| row["id"].to_string()).collect();
    assert!(!listed.is_empty());

    let by_text = QueryDraft { native: Some("launch".to_owned()), ..QueryDraft::default() };
    let words: Vec<Value> = found(&at, "file:/Reports", by_text).await;
    assert!(
        !words.is_empty()
            && words.iter().all(|row| row["path"].as_str().expect("text").starts_with("/Reports/"))
    );

    let factory = recordport::providers::find("dropbox").expect("known");
    let provider = factory.provider(&json!({"search_index": true})).expect("a provider");
    let allowed = provider.open(&at.cx, &TypeName::new("file")).await.expect("opens");
    let prepared = allowed.prepare(&at.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans");
    assert!(prepared.plan.native[0].starts_with("search_v2"), "{:?}", prepared.plan.native);
    assert!(prepared.plan.residual.is_some(), "evaluated here again");
    let records = Search::start(allowed, at.cx.clone(), &prepared).into_records();
    let quick: Vec<_> = records.try_collect().await.expect("searches");
    let quick: BTreeSet<String> =
        quick.iter().map(|record| record.to_value().expect("JSON")["id"].to_string()).collect();
    assert_eq!(quick, listed);

    // Beside words the index also knows extensions.
    let all = found(&at, "file", draft).await;
    let extension = all[0]["extension"].as_str().expect("text");
    let both = condition(&format!("name LIKE '%launch%' AND extension IN ('{extension}', 'none')"));
    let allowed = provider.open(&at.cx, &TypeName::new("file")).await.expect("opens");
    let prepared = allowed.prepare(&at.cx, &both, &jiff::tz::TimeZone::UTC).await.expect("plans");
    assert!(
        prepared.plan.native[0].ends_with(&format!("extensions {extension} none")),
        "{:?}",
        prepared.plan.native
    );
    let places: Vec<At> = prepared.plan.conditions.iter().map(|condition| condition.at).collect();
    assert_eq!(places, [At::Superset, At::Superset]);
    let narrowed: Vec<_> = Search::start(std::sync::Arc::clone(&allowed), at.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    let expected = all.iter().filter(|row| row["extension"] == extension).count();
    assert_eq!(narrowed.len(), expected);
    // Alone it is a word that the index looks for as well; several are not.
    let alone = condition(&format!("extension = '{extension}' AND size > 700"));
    let plan = files.prepare(&at.cx, &alone, &jiff::tz::TimeZone::UTC).await.expect("plans").plan;
    assert!(plan.conditions[0].why.contains("search_index=true"), "{:?}", plan.conditions);
    let prepared = allowed.prepare(&at.cx, &alone, &jiff::tz::TimeZone::UTC).await.expect("plans");
    let native = format!("search_v2 \"{extension}\" in names under \"\", extensions {extension}");
    assert_eq!(prepared.plan.native, [native]);
    let why = &prepared.plan.conditions[0].why;
    assert!(why.contains("may miss what was written"), "{why}");
    let quick: Vec<_> = Search::start(std::sync::Arc::clone(&allowed), at.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    let listed = found(&at, "file", alone.clone()).await;
    assert!(!listed.is_empty() && listed.len() == quick.len(), "{} and {}", listed.len(), quick.len());
    let several = condition("extension IN ('pdf', 'csv')");
    let plan = allowed.prepare(&at.cx, &several, &jiff::tz::TimeZone::UTC).await.expect("plans").plan;
    assert!(plan.conditions[0].why.contains("one plain extension"), "{:?}", plan.conditions);
    let with_text = QueryDraft { native: Some("launch".to_owned()), ..alone };
    let plan = allowed.prepare(&at.cx, &with_text, &jiff::tz::TimeZone::UTC).await.expect("plans").plan;
    assert!(plan.native[0].contains("extensions"), "{:?}", plan.native);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_revisions_and_a_deleted_one_is_still_an_entry() {
    let at = account().await;
    let files = at.open("file").await;
    let key = made(&at, &*files, json!({"path": "/plan.txt", "content": base64("0")})).await;
    for text in ["1", "2", "3"] {
        update(&at, &*files, &key, json!({"content": base64(text)}), None).await;
    }
    let draft = QueryDraft { page_size: Some(2), ..QueryDraft::default() };
    let revisions = found(&at, "revision:/plan.txt", draft).await;
    assert_eq!(revisions.len(), 4);
    let oldest = at.open("revision:/plan.txt").await;
    let rev = revisions[3]["rev"].as_str().expect("a revision");
    assert_eq!(bytes_of(&at, &*oldest, rev).await.expect("comes"), b"0");
    let row = VersionedKey { key, if_version: None };
    files.delete(&at.cx, &[row], &WriteOptions::new()).await.expect("deletes");
    let present = found(&at, "entry", QueryDraft::default()).await;
    assert!(present.is_empty(), "{present:?}");
    let with_gone = QueryDraft { include_deleted: true, ..QueryDraft::default() };
    let gone = found(&at, "entry", with_gone).await;
    assert_eq!(
        (gone.len(), &gone[0]["kind"], &gone[0]["path_lower"]),
        (1, &json!("deleted"), &json!("/plan.txt"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_made_changed_and_revoked() {
    let at = account().await;
    made(&at, &*at.open("file").await, json!({"path": "/Docs/a.txt"})).await;
    let links = at.open("shared_link").await;
    let key = made(&at, &*links, json!({"path": "/Docs/a.txt", "expires": "2031-02-28T23:59:59Z"})).await;
    let stored = read(&at, &*links, "url", &key.to_string()).await.expect("there");
    assert_eq!((&stored["path"], &stored["kind"]), (&json!("/docs/a.txt"), &json!("file")));
    assert_eq!(stored["expires"], "2031-02-28T23:59:59Z");
    let again = create(&at, &*links, &[json!({"path": "/Docs/a.txt"})]).await;
    assert_eq!(again[0].error().expect("there is one").kind(), ErrorKind::Conflict);
    let cleared = update(&at, &*links, &key, json!({"expires": null}), None).await;
    assert_eq!(cleared.status(), "updated", "{cleared:?}");
    assert_eq!(read(&at, &*links, "url", &key.to_string()).await.expect("there")["expires"], Value::Null);
    assert_eq!(found(&at, "shared_link:/Docs", QueryDraft::default()).await.len(), 1);
    let row = VersionedKey { key: key.clone(), if_version: None };
    for _ in 0..2 {
        let gone =
            links.delete(&at.cx, std::slice::from_ref(&row), &WriteOptions::new()).await.expect("answers");
        assert_eq!(gone[0].status(), "deleted");
    }
    assert!(read(&at, &*links, "url", &key.to_string()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_teams_space_sees_its_folders() {
    let at = Connected::to("dropbox", config(false)).await;
    let factory = recordport::providers::find("dropbox").expect("known");
    let home: BTreeSet<String> = found(&at, "folder", condition("parent_path = ''"))
        .await
        .iter()
        .map(|row| row["path"].to_string())
        .collect();
    let team = factory.provider(&json!({"root": "team"})).expect("a provider");
    let folders = team.open(&at.cx, &TypeName::new("folder")).await.expect("opens");
    let prepared = folders
        .prepare(&at.cx, &condition("parent_path = ''"), &jiff::tz::TimeZone::UTC)
        .await
        .expect("plans");
    let records = Search::start(folders, at.cx.clone(), &prepared).into_records();
    let tops: Vec<_> = records.try_collect().await.expect("searches");
    let tops: BTreeSet<String> =
        tops.iter().map(|record| record.to_value().expect("JSON")["path"].to_string()).collect();
    assert!(tops.contains("\"/Everyone\""), "{tops:?}");
    assert!(tops.is_disjoint(&home));
    let nobody = factory.provider(&json!({"root": "424242"})).expect("a provider");
    let error = nobody.open(&at.cx, &TypeName::new("file")).await.expect_err("no such space");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, Some("no_permission")), "{error}");
    let probe = at.provider.probe(&at.cx).await.expect("is there");
    assert!(probe.notes.iter().any(|note| note.contains("root=team")), "{probe:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_selected_fields_are_read() {
    let at = account().await;
    let files = at.open("file").await;
    made(&at, &*files, json!({"path": "/a/b.txt"})).await;
    let select = ["extension", "parent_path"].map(|name| FieldPath::of([name])).to_vec();
    let draft = QueryDraft { select, ..condition("size = 0") };
    assert_eq!(found(&at, "file", draft).await, [json!({"extension": "txt", "parent_path": "/a"})]);
}
