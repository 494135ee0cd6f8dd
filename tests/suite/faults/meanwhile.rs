//! Faults where the service changes, or is not of our time, while it is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use recordport::error::{Error, ErrorKind, Position, Result};
use recordport::provider::search::{RecordsExt as _, Search, SearchPage};
use recordport::provider::{Edit, NewRow, Records, VersionedKey, WriteOptions};
use recordport::record::QueryDraft;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::subject::{Redefinition, Subject, Trial};
use crate::support::org::own_part;

/// A search whose pages are taken one by one.
async fn begun(trial: &Trial, query: &Value) -> (Arc<dyn Records>, Search) {
    let records = trial.open(trial.service.kind()).await.unwrap();
    let draft = QueryDraft::from_json(query).unwrap();
    let prepared = records.prepare(&trial.cx, &draft, &TimeZone::UTC).await.unwrap();
    let search = Search::start(Arc::clone(&records), trial.cx.clone(), &prepared);
    (records, search)
}

fn ids_of(page: SearchPage) -> Vec<String> {
    page.records.into_iter().map(|record| own_part(&record.unwrap().key)).collect()
}

async fn make_one(trial: &Trial, records: &Arc<dyn Records>, name: &str) -> String {
    let row = trial.service.newcomer(name);
    let set = |value: &Value| Edit::Set(RawValue::from_string(value.to_string()).unwrap());
    let fields = row.as_object().unwrap().iter().map(|(field, value)| (field.clone(), set(value)));
    let row = NewRow { fields: fields.collect(), marker: None };
    let outcomes = records.create(&trial.cx, &[row], &WriteOptions::new()).await.unwrap();
    own_part(outcomes[0].key().unwrap())
}

/// Deletes the first of these that no other record needs.
async fn delete_one<'i>(
    trial: &Trial,
    records: &Arc<dyn Records>,
    ids: impl IntoIterator<Item = &'i String>,
) -> String {
    for id in ids {
        let row = VersionedKey { key: trial.service.key_of(id), if_version: None };
        let outcomes = records.delete(&trial.cx, &[row], &WriteOptions::new()).await.unwrap();
        if outcomes[0].status() == "deleted" {
            return id.clone();
        }
    }
    panic!("none of them can be deleted");
}

/// Reads all records while some are made and others deleted after each page, also from the pages to come.
async fn read_while_rows_come_and_go(trial: &Trial, query: Value, places_expire: bool) {
    let before = trial.all();
    let (records, mut search) = begun(trial, &query).await;
    let (mut found, mut made, mut gone) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut pages = 0;
    while let Some(page) = search.next_page().await.unwrap() {
        found.extend(ids_of(page));
        pages += 1;
        if pages > 3 {
            continue;
        }
        made.insert(make_one(trial, &records, &format!("Newcomer {pages}")).await);
        let read: Vec<&String> = found.iter().rev().filter(|id| !gone.contains(*id)).collect();
        let read = delete_one(trial, &records, read).await;
        gone.insert(read);
        let unread = before.iter().rev().filter(|id| !gone.contains(*id) && !found.contains(id));
        let unread = delete_one(trial, &records, unread).await;
        gone.insert(unread);
        if places_expire {
            trial.service.expire_places(&trial.org).await;
        }
    }
    assert!(pages > 4);
    let once: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a record came twice");
    // A service may delete with a record those that belong to it.
    let stayed: BTreeSet<String> = before.intersection(&trial.all()).cloned().collect();
    assert!(once.is_superset(&stayed), "lost: {:?}", stayed.difference(&once).collect::<Vec<_>>());
    let known: BTreeSet<String> = before.union(&made).cloned().collect();
    assert!(once.is_subset(&known));
}

pub(super) async fn fault_30_rows_that_come_and_go_between_pages_lose_and_double_nothing(service: Subject) {
    let trial = Trial::new(service).await;
    read_while_rows_come_and_go(&trial, trial.query(), false).await;
}

pub(super) async fn fault_30_the_same_when_every_place_in_the_result_expires(service: Subject) {
    let trial = Trial::new(service).await;
    read_while_rows_come_and_go(&trial, trial.query(), true).await;
}

pub(super) async fn fault_30_the_same_in_the_services_own_order(service: Subject) {
    let trial = Trial::new(service).await;
    let mut ordered = trial.query();
    ordered["order_by"] = json!([{ "field": service.text(), "direction": "asc" }]);
    read_while_rows_come_and_go(&trial, ordered, false).await;
}

pub(super) async fn fault_30_a_limit_is_reached_although_rows_within_it_go(service: Subject) {
    const GONE: usize = 5;
    let trial = Trial::new(service).await;
    let mut before = trial.all();
    let limit = before.len() - GONE;
    let mut query = trial.query();
    query["limit"] = json!(limit);
    let (records, mut search) = begun(&trial, &query).await;
    let mut found = ids_of(search.next_page().await.unwrap().unwrap());
    // The page behind this one is under way already.
    found.extend(ids_of(search.next_page().await.unwrap().unwrap()));
    let page_size = service.page_size();
    before.retain(|id| !found.contains(id));
    for _ in 0..GONE {
        let id = delete_one(&trial, &records, before.iter().skip(page_size)).await;
        before.remove(&id);
    }
    while let Some(page) = search.next_page().await.unwrap() {
        found.extend(ids_of(page));
    }
    let once: BTreeSet<&String> = found.iter().collect();
    let lost = limit - once.len();
    assert_eq!(found.len(), once.len(), "a record came twice");
    assert_eq!(lost, 0, "others are there");
}

pub(super) async fn fault_31_records_on_two_pages_are_given_once_and_counted(service: Subject) {
    let trial = Trial::new(service).await;
    let order = trial.find().await.complete().keys;
    let rows = trial.service_rows(service.kind());
    let size = service.page_size();
    let first = size - service.hidden();
    // The second page begins ten records too early.
    let overlapping: Vec<Value> = order[first - 10..first + size]
        .iter()
        .map(|id| rows.iter().find(|row| trial.id(row) == id).unwrap().clone())
        .collect();
    let mut body = service.last_page(&overlapping);
    if !body["totalSize"].is_null() {
        body["totalSize"] = json!(2 * size);
    }
    trial.fault_on_pages(json!({ "kind": "status", "status": 200, "page": 2, "body": body })).await;
    let found = trial.find().await.complete();
    assert_eq!(found.duplicates, 10);
    assert_eq!(found.ids(), order[..first + size].iter().cloned().collect());
}

/// The service's clock is this far from ours.
async fn skewed(service: Subject, seconds: i64) -> Trial {
    let trial = Trial::new(service).await;
    if seconds > 0 {
        trial.advance(seconds.unsigned_abs()).await;
    } else {
        trial.clock.advance(std::time::Duration::from_secs(seconds.unsigned_abs()));
    }
    trial
}

pub(super) async fn fault_32_clocks_that_differ_by_ten_minutes_change_nothing(service: Subject) {
    for seconds in [600, -600] {
        let trial = skewed(service, seconds).await;
        let found = trial.find().await.complete();
        assert_eq!(found.ids(), trial.all());
        assert_eq!(trial.token_requests().await, 0, "no token is renewed for its age alone");

        // A session that ended is renewed because the service says so, once.
        trial.fault(json!({ "kind": "expire_token", "page": 2 })).await;
        let found = trial.find().await.complete();
        assert_eq!(found.ids(), trial.all());
        assert_eq!(trial.token_requests().await, 1);

        // A date to wait for is measured by the clock of the answer that names it.
        trial.fault_on_pages(json!({ "kind": "429date", "page": 2, "retry_after": "9" })).await;
        trial.find().await.complete();
        let waited: SignedDuration =
            trial.clock.waits().iter().map(|wait| SignedDuration::try_from(*wait).unwrap()).sum();
        assert!(waited > SignedDuration::from_secs(7) && waited <= SignedDuration::from_secs(9), "{waited}");
    }
}

/// Reads a page, lets the type change, and reads the rest.
async fn changed_meanwhile(trial: &Trial, how: Redefinition) -> (Vec<String>, Result<()>) {
    let (_, mut search) = begun(trial, &trial.query()).await;
    let mut found = ids_of(search.next_page().await.unwrap().unwrap());
    trial.service.redefine(&trial.org, how).await;
    loop {
        match search.next_page().await {
            Ok(Some(page)) => found.extend(ids_of(page)),
            Ok(None) => return (found, Ok(())),
            Err(error) => return (found, Err(error)),
        }
    }
}

async fn refused(trial: &Trial, query: Value) -> Error {
    let records = trial.open(trial.service.kind()).await.unwrap();
    let draft = QueryDraft::from_json(&query).unwrap();
    records.prepare(&trial.cx, &draft, &TimeZone::UTC).await.unwrap_err()
}

async fn has_spare(trial: &Trial) -> bool {
    let records = trial.open(trial.service.kind()).await.unwrap();
    records.record_type().field(trial.service.spare()).is_some()
}

pub(super) async fn fault_56_a_field_that_goes_during_a_search_is_named(service: Subject) {
    let trial = Trial::new(service).await;
    let (found, ended) = changed_meanwhile(&trial, Redefinition::Gone).await;
    let error = ended.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some(service.gone_code())), "{error}");
    assert_eq!(error.fields()[0].field, service.spare());
    assert_eq!(error.record_type(), Some(service.kind()));
    assert!(!found.is_empty() && found.len() < trial.all().len(), "what came before is kept");

    // The type is described anew at once, and says the same before anything is sent.
    assert!(!has_spare(&trial).await);
    let asked = trial.page_requests().await.len();
    let error = refused(&trial, trial.query()).await;
    assert_eq!((error.code(), error.fields()[0].field.as_str()), (Some("unknown_field"), service.spare()));
    assert_eq!(trial.page_requests().await.len(), asked);
}

pub(super) async fn fault_56_a_field_that_comes_or_changes_during_a_search_does_not_disturb_it(
    service: Subject,
) {
    let mut trial = Trial::new(service).await;
    let (found, ended) = changed_meanwhile(&trial, Redefinition::Changed).await;
    ended.unwrap();
    assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), trial.all());
    assert_eq!(found.len(), trial.all().len());
    let knows = async |trial: &Trial| {
        let records = trial.open(service.kind()).await.unwrap();
        records.record_type().field(service.new_field()).is_some()
    };
    assert!(!knows(&trial).await);
    trial.org.cx.refresh = true;
    assert!(knows(&trial).await);
}

/// Names that SQL, JSON, the service's own language or an address would have to quote.
const AWKWARD: [&str; 10] = [
    "a.b",
    "$x",
    "two words",
    "Имя",
    "a/b~c",
    "it's",
    "\"quoted\"",
    "Name FROM User--",
    "Owner__r",
    "x,(SELECT Id FROM Contacts)",
];

pub(super) async fn fault_58_names_that_need_quotes_are_told_exactly_and_never_sent(service: Subject) {
    let trial = Trial::new(service).await;
    trial.open(service.kind()).await.unwrap();
    let long = "N".repeat(255);
    for name in AWKWARD.into_iter().chain([long.as_str()]) {
        for query in [
            json!({ "select": [service.key(), name] }),
            json!({ "filter": { "combinator": "and", "rules": [{ "field": name, "operator": "=", "value": "x" }] } }),
            json!({ "order_by": [{ "field": name, "direction": "asc" }] }),
            json!({ "where": format!("\"{}\" = 'x'", name.replace('"', "\"\"")) }),
        ] {
            let found = trial.search(service.kind(), query.clone()).await;
            let error = found.error();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{query}: {error}");
            let told = serde_json::to_string(error).unwrap();
            let start: String = name.split(['.', '"']).next().unwrap().chars().take(20).collect();
            let shown = serde_json::to_string(&start).unwrap();
            assert!(told.contains(shown.trim_matches('"')), "{name} is not named: {told}");
        }
    }
    assert!(trial.page_requests().await.is_empty(), "nothing was asked with such a name");
    let rules = json!([{ "field": service.text(), "operator": "=", "value": "x", "a/b~c": 1 }]);
    let filter = json!({ "filter": { "combinator": "and", "rules": rules } });
    let error = match QueryDraft::from_json(&filter) {
        Err(error) => error,
        Ok(_) => refused(&trial, filter).await,
    };
    let Some(Position::Pointer(pointer)) = error.position() else {
        panic!("{error}: {:?}", error.position())
    };
    assert!(pointer.ends_with("/rules/0/a~1b~0c"), "{pointer}");
}

pub(super) async fn fault_58_a_description_with_a_name_that_no_query_can_carry_does_not_reach_one(
    service: Subject,
) {
    let trial = Trial::new(service).await;
    service.redefine(&trial.org, Redefinition::Hostile).await;
    let opened = trial.open(service.kind()).await.unwrap();
    let names: Vec<&str> = opened.record_type().fields.iter().map(|field| field.name.as_str()).collect();
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')));
    assert!(names.contains(&service.spare()) && names.contains(&service.new_field()));
    assert_eq!(trial.find().await.complete().ids(), trial.all());
}
