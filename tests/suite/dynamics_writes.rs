//! Writes of Dynamics 365 beyond single rows: many rows by one action, links between records, bytes of columns.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use recordport::connect::sign_in::AccessMode;
use recordport::emulator::EmulatorConfig;
use recordport::error::{Error, ErrorKind, Result};
use recordport::layer::check::Checked;
use recordport::provider::changes::Feed;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{
    Change, ChangeKind, Content, Edit, NewRow, Outcome, Records, VersionedKey, WriteOptions,
};
use recordport::record::record_type::FieldType;
use recordport::record::{Key, QueryDraft};
use serde_json::{Value, json};

use crate::dynamics::{any_key, create, edits, environment, read};
use crate::support::emulated;
use crate::support::wired_org::Connected;

fn rows(names: impl IntoIterator<Item = Value>) -> Vec<NewRow> {
    names.into_iter().map(|row| NewRow { fields: edits(&row), marker: None }).collect()
}

fn statuses(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::status).collect()
}

async fn fault(org: &Connected, rule: Value) {
    let address = format!("{}/_emulator/faults", org.emulator.http_url());
    let answer = emulated::client().post(address).body(rule.to_string()).send().await.expect("is answered");
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
}

/// Last segments of the paths of the writes so far.
fn writes(org: &Connected) -> Vec<String> {
    let requests = org.emulator.requests();
    let all = requests["requests"].as_array().expect("a list");
    let writes = all.iter().filter(|request| request["method"] != "GET");
    let path = |request: &Value| request["path"].as_str().unwrap_or_default().to_owned();
    writes.map(|request| path(request).rsplit(['/', '.']).next().unwrap_or_default().to_owned()).collect()
}

async fn count(org: &Connected, table: &str) -> usize {
    serde_json::from_str::<Vec<Value>>(&org.state(table).await).expect("rows").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_go_in_one_action_and_one_by_one_when_it_is_refused() {
    let org = environment().await;
    let accounts = org.open("account").await;
    let before = count(&org, "account").await;
    let named = |at: usize| json!({"name": format!("Firm {at}"), "accountnumber": format!("M {at}")});
    let made =
        accounts.create(&org.cx, &rows((0..12).map(named)), &WriteOptions::new()).await.expect("is sent");
    assert_eq!(statuses(&made), ["created"; 12]);
    assert_eq!(writes(&org), ["CreateMultiple"]);
    for (at, outcome) in made.iter().enumerate().step_by(5) {
        let row = read(&org, &*accounts, outcome.key().expect("a key"), &["name", "accountnumber"]).await;
        assert_eq!(row, named(at));
    }

    let change = |(at, outcome): (usize, &Outcome)| Change {
        key: outcome.key().expect("a key").clone(),
        edits: edits(&json!({"name": format!("Changed {at}"), "accountnumber": null})),
        if_version: None,
    };
    let mut changes: Vec<Change> = made.iter().enumerate().map(change).collect();
    let updated = accounts.update(&org.cx, &changes, &WriteOptions::new()).await.expect("is sent");
    assert_eq!(statuses(&updated), ["updated"; 12]);
    assert_eq!(writes(&org), ["CreateMultiple", "UpdateMultiple"]);
    let row = read(&org, &*accounts, &changes[7].key, &["name", "accountnumber"]).await;
    assert_eq!(row, json!({"name": "Changed 7", "accountnumber": null}));

    // One row that is refused: all of the others are written, each once.
    changes[3].key = Key::text("00000000-0000-4000-8000-000000000001");
    let updated = accounts.update(&org.cx, &changes, &WriteOptions::new()).await.expect("is sent");
    assert_eq!(updated[3].error().expect("fails").kind(), ErrorKind::NotFound);
    assert_eq!(updated.iter().filter(|outcome| outcome.status() == "updated").count(), 11);
    create(&org, &*accounts, &named(20)).await;
    let made =
        accounts.create(&org.cx, &rows((12..24).map(named)), &WriteOptions::new()).await.expect("is sent");
    assert_eq!(made[8].error().expect("fails").kind(), ErrorKind::Conflict, "{made:?}");
    assert_eq!(made.iter().filter(|outcome| outcome.status() == "created").count(), 11);
    assert_eq!(count(&org, "account").await, before + 12 + 1 + 11);
    assert_eq!(writes(&org)[2..], ["UpdateMultiple", "$batch", "$batch", "CreateMultiple", "$batch"]);

    // It was refused twice in a row, so it is not tried any more.
    accounts.create(&org.cx, &rows((30..42).map(named)), &WriteOptions::new()).await.expect("is sent");
    assert_eq!(writes(&org).last().map(String::as_str), Some("$batch"));
    assert_eq!(writes(&org).len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_49_many_rows_whose_answer_is_lost_are_not_sent_again() {
    let org = environment().await;
    let accounts = org.open("account").await;
    let before = count(&org, "account").await;
    fault(&org, json!({"service": "dynamics", "kind": "drop_after_commit", "path": "*CreateMultiple"})).await;
    let ids: Vec<String> = (0..12).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let marked: Vec<NewRow> = ids
        .iter()
        .map(|id| NewRow { fields: edits(&json!({"name": "Marked"})), marker: Some(json!(id)) })
        .collect();
    let made = accounts.create(&org.cx, &marked, &WriteOptions::new()).await.expect("is sent");
    assert_eq!(statuses(&made), ["unknown"; 12]);
    assert_eq!(count(&org, "account").await, before + 12);
    // Each can be looked for by the id that it was given.
    let marks: Vec<Value> = ids.iter().map(|id| json!(id)).collect();
    let settled = accounts.settle(&org.cx, &marks).await.expect("is asked");
    assert!(
        settled.iter().all(|one| matches!(one, recordport::provider::Settled::Arrived(_))),
        "{settled:?}"
    );
}

async fn links_of(org: &Connected, links: &std::sync::Arc<dyn Records>, invoice: &str) -> Vec<Value> {
    let draft = QueryDraft {
        where_text: Some(
            recordport::record::where_text::parse(&format!("new_invoiceid = '{invoice}'"))
                .expect("a condition"),
        ),
        ..QueryDraft::default()
    };
    let prepared = links.prepare(&org.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans");
    let found: Vec<_> = Search::start(std::sync::Arc::clone(links), org.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    found.iter().map(|record| record.to_value().expect("is JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_many_to_many_relationship_is_a_record_type_of_links() {
    let org = environment().await;
    let links = org.open("new_invoice_new_tag").await;
    let record_type = links.record_type();
    assert_eq!(record_type.key.0, ["new_invoiceid", "new_tagid"]);
    for (name, target) in [("new_invoiceid", "new_invoice"), ("new_tagid", "new_tag")] {
        let field = record_type.field(name).expect(name);
        assert!(field.required_on_create && field.createable && !field.updatable, "{name}");
        let FieldType::Reference(reference) = &field.field_type else { panic!("{name} is a reference") };
        assert_eq!(
            (reference.targets.as_slice(), reference.id_field.as_str()),
            ([target.to_owned()].as_slice(), name)
        );
    }
    assert!(record_type.capability.update.is_none());

    let invoices = org.open("new_invoice").await;
    let invoice =
        create(&org, &*invoices, &json!({"new_name": "Linked", "new_quantity": 1})).await.to_string();
    let tags = org.open("new_tag").await;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        ids.push(create(&org, &*tags, &json!({"new_name": name})).await.to_string());
    }
    let start = links.changes(&org.cx, None, &[]).await.expect("begins").checkpoint;
    let made = rows(ids.iter().map(|tag| json!({"new_invoiceid": invoice, "new_tagid": tag})));
    let none = WriteOptions::new();
    let outcomes = links.create(&org.cx, &made, &none).await.expect("is sent");
    assert_eq!(statuses(&outcomes), ["created"; 2], "{outcomes:?}");
    let key = |tag: &str| Key::parse(&json!([invoice, tag]).to_string(), &record_type.key).expect("a key");
    assert_eq!(outcomes[0].key(), Some(&key(&ids[0])));
    let found = links_of(&org, &links, &invoice).await;
    let mut there: Vec<&str> = found.iter().map(|row| row["new_tagid"].as_str().expect("an id")).collect();
    there.sort_unstable();
    let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    assert_eq!(there, wanted);
    let found =
        links.get(&org.cx, &record_type.key, &[key(&ids[1]), key(&invoice)], &[]).await.expect("is sent");
    let found: Vec<bool> = found.into_iter().map(|record| record.expect("is read").is_some()).collect();
    assert_eq!(found, [true, false]);

    // What is linked already is a conflict for a create, and nothing to do for an upsert.
    let again = links.create(&org.cx, &made[..1], &none).await.expect("is sent");
    assert_eq!(again[0].error().expect("fails").kind(), ErrorKind::Conflict, "{again:?}");
    let absent = rows([json!({"new_invoiceid": invoice, "new_tagid": invoice})]);
    let refused = links.create(&org.cx, &absent, &none).await.expect("is sent");
    assert_eq!(refused[0].error().expect("fails").kind(), ErrorKind::NotFound, "{refused:?}");
    let deleted = VersionedKey { key: key(&ids[0]), if_version: None };
    let gone = links.delete(&org.cx, &[deleted.clone(), deleted], &none).await.expect("is sent");
    assert_eq!(statuses(&gone), ["deleted"; 2]);
    let upserts: Vec<Change> =
        ids.iter().map(|tag| Change { key: key(tag), edits: Vec::new(), if_version: None }).collect();
    let upserted = links.upsert(&org.cx, &record_type.key, &upserts, &none).await.expect("is sent");
    assert_eq!(statuses(&upserted), ["created", "unchanged"], "{upserted:?}");
    links
        .delete(&org.cx, &[VersionedKey { key: key(&ids[1]), if_version: None }], &none)
        .await
        .expect("is sent");
    assert_eq!(links_of(&org, &links, &invoice).await.len(), 1);

    let page = links.changes(&org.cx, Some(&start), &[]).await.expect("is read");
    let told: Vec<(ChangeKind, Option<Key>)> =
        page.changes.iter().map(|entry| (entry.change, entry.key.clone())).collect();
    assert_eq!(told, [(ChangeKind::Created, Some(key(&ids[0])))]);
}

const MIB: usize = 1024 * 1024;

fn content(pieces: Vec<Result<Bytes>>, length: Option<u64>) -> Content {
    Content::new(stream::iter(pieces).boxed()).of_length(length)
}

fn bytes(count: usize, seed: usize) -> Bytes {
    (0..count).map(|at| (at.wrapping_mul(31) / 7 + seed) as u8).collect::<Vec<u8>>().into()
}

async fn put(
    org: &Connected,
    records: &dyn Records,
    key: &Key,
    field: &str,
    whole: &Bytes,
) -> Result<Outcome> {
    let pieces = whole.chunks(MIB).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    records.write_content(&org.cx, key, field, content(pieces, None), &WriteOptions::new()).await
}

async fn got(org: &Connected, records: &dyn Records, key: &Key, field: &str) -> Result<Vec<u8>> {
    let content = records.read_content(&org.cx, key, field).await?;
    let length = content.length;
    let all = content.collect(u64::MAX).await?;
    assert_eq!(length, Some(all.len() as u64));
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_images_come_as_they_went() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let capability = invoices.record_type().capability.content.clone().expect("content");
    assert_eq!((capability.fields.len(), capability.bytes_max), (2, Some(32 << 20)));
    assert_eq!(capability.fields[0], "new_document");
    let key = create(&org, &*invoices, &json!({"new_name": "Filed", "new_quantity": 1})).await;
    let absent = got(&org, &*invoices, &key, "new_document").await.expect_err("has none");
    assert_eq!((absent.kind(), absent.code()), (ErrorKind::NotFound, Some("no_content")));

    let small = bytes(1_000, 1);
    let outcome = put(&org, &*invoices, &key, "new_document", &small).await.expect("is written");
    assert!(matches!(&outcome, Outcome::Updated(updated) if *updated == key), "{outcome:?}");
    assert_eq!(got(&org, &*invoices, &key, "new_document").await.expect("is read"), small);
    put(&org, &*invoices, &key, "new_photo", &small).await.expect("is written");
    assert_eq!(got(&org, &*invoices, &key, "new_photo").await.expect("is read"), small);

    // Larger ones go in blocks and come in ranges; one that breaks off is asked for again.
    let large = bytes(5 * MIB + 17, 2);
    put(&org, &*invoices, &key, "new_document", &large).await.expect("is written");
    let sent = writes(&org);
    assert_eq!(
        sent[sent.len() - 4..],
        ["InitializeFileBlocksUpload", "UploadBlock", "UploadBlock", "CommitFileBlocksUpload"]
    );
    fault(&org, json!({"kind": "reset", "path": "*new_document/$value", "times": 1})).await;
    assert!(got(&org, &*invoices, &key, "new_document").await.expect("is read") == large);

    // What breaks off on its way there replaces nothing.
    let broken = vec![Ok(bytes(5 * MIB, 3)), Err(Error::local("the pipe broke"))];
    let none = WriteOptions::new();
    let broken = invoices.write_content(&org.cx, &key, "new_document", content(broken, None), &none).await;
    assert_eq!(broken.expect_err("fails").kind(), ErrorKind::Local);
    assert!(got(&org, &*invoices, &key, "new_document").await.expect("is read") == large);

    // Parts of two files are never taken for one.
    let mut reading = invoices.read_content(&org.cx, &key, "new_document").await.expect("begins");
    reading.bytes.next().await.expect("a piece").expect("is read");
    put(&org, &*invoices, &key, "new_document", &bytes(large.len(), 9)).await.expect("is written");
    let rest: Result<Vec<Bytes>> = reading.bytes.try_collect().await;
    assert_eq!(rest.expect_err("was replaced").code(), Some("content_changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_beyond_the_columns_size_is_refused_before_it_is_sent() {
    let org = Connected::to("dynamics", EmulatorConfig::default()).await;
    let invoices = org.open("new_invoice").await;
    let key = Key::text(any_key(&org, "new_invoice").await);
    let too_long = content(Vec::new(), Some((10 << 20) + 1));
    let refused = invoices
        .write_content(&org.cx, &key, "new_photo", too_long, &WriteOptions::new())
        .await
        .expect_err("fails");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, Some("content_too_large")));
    // Nobody said how long it is.
    let piece = Bytes::from(vec![0_u8; 6 * MIB]);
    let endless = content(vec![Ok(piece.clone()), Ok(piece)], None);
    let refused = invoices
        .write_content(&org.cx, &key, "new_photo", endless, &WriteOptions::new())
        .await
        .expect_err("fails");
    assert_eq!(refused.code(), Some("content_too_large"));
    assert!(!writes(&org).iter().any(|path| path == "CommitFileBlocksUpload" || path == "new_photo"));
    let none = Key::text("00000000-0000-4000-8000-000000000001");
    let absent = got(&org, &*invoices, &none, "new_document").await.expect_err("there is no such row");
    assert_eq!(absent.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_several_survives_and_rows_that_add_to_one_list_build_on_each_other() {
    let org = environment().await;
    let plain = org.open("new_invoice").await;
    let invoices = Checked::new(plain.clone(), AccessMode::ReadWrite);
    let row = json!({"new_name": "Tagged", "new_quantity": 1, "new_tags": [1, 3]});
    let key = create(&org, &invoices, &row).await;
    assert_eq!(read(&org, &*plain, &key, &["new_tags"]).await, json!({"new_tags": [1, 3]}));
    let change = |add: Value, remove: Value| {
        let list = |value: Value| value.as_array().expect("a list").clone();
        let edit = Edit::List { add: list(add), remove: list(remove) };
        Change { key: key.clone(), edits: vec![("new_tags".to_owned(), edit)], if_version: None }
    };
    let changes =
        [change(json!([2]), json!([])), change(json!([4]), json!([1])), change(json!([1]), json!([]))];
    let outcomes = invoices.update(&org.cx, &changes, &WriteOptions::new()).await.expect("is sent");
    assert_eq!(statuses(&outcomes), ["updated"; 3]);
    let mut tags =
        read(&org, &*plain, &key, &["new_tags"]).await["new_tags"].as_array().expect("a list").clone();
    tags.sort_by_key(Value::to_string);
    assert_eq!(tags, [json!(1), json!(2), json!(3), json!(4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_of_a_table_without_tracking_says_what_it_does() {
    let org = environment().await;
    let tags = org.open("new_tag").await;
    let mut feed = Feed::new(tags.clone(), org.cx.clone(), Vec::new(), None);
    let start = feed.next_page().await.expect("begins");
    let notice = start.notice.as_deref().expect("a notice");
    assert!(notice.contains("does not track changes") && notice.contains("compares"), "{notice}");
    let key = create(&org, &*tags, &json!({"new_name": "New"})).await;
    let mut feed = Feed::new(tags, org.cx.clone(), Vec::new(), Some(start.checkpoint));
    let page = feed.next_page().await.expect("goes on");
    assert_eq!((page.changes.len(), page.notice), (1, None), "once is enough");
    assert_eq!((page.changes[0].change, page.changes[0].key.clone()), (ChangeKind::Created, Some(key)));
}
