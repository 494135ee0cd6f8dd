//! The fault matrix where the org changes, or is not of our time, while it is read. The number is the row of the
//! matrix, printed by `make faults`.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use recordport::emulator::service::Service as _;
use recordport::error::{Error, ErrorKind, Position, Result};
use recordport::provider::search::{RecordsExt as _, Search, SearchPage};
use recordport::provider::{Edit, NewRow, Records, VersionedKey, WriteOptions};
use recordport::record::{Key, QueryDraft};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::support::emulated::json_of;
use super::support::org::{Org, contacts};

/// A search whose pages are taken one by one.
async fn begun(org: &Org, query: &Value) -> (Arc<dyn Records>, Search) {
    let records = org.open("Contact").await.unwrap();
    let draft = QueryDraft::from_json(query).unwrap();
    let prepared = records.prepare(&org.cx, &draft, &TimeZone::UTC).await.unwrap();
    let search = Search::start(Arc::clone(&records), org.cx.clone(), &prepared);
    (records, search)
}

fn ids_of(page: SearchPage) -> Vec<String> {
    page.records.into_iter().map(|record| record.unwrap().key.to_string()).collect()
}

async fn make_one(org: &Org, records: &Arc<dyn Records>, name: &str) -> String {
    let value = RawValue::from_string(json!(name).to_string()).unwrap();
    let row = NewRow { fields: vec![("LastName".to_owned(), Edit::Set(value))], marker: None };
    let outcomes = records.create(&org.cx, &[row], &WriteOptions::new()).await.unwrap();
    outcomes[0].key().unwrap().to_string()
}

/// Deletes the first of these that no other record needs.
async fn delete_one<'i>(
    org: &Org,
    records: &Arc<dyn Records>,
    ids: impl IntoIterator<Item = &'i String>,
) -> String {
    for id in ids {
        let row = VersionedKey { key: Key::text(id.as_str()), if_version: None };
        let outcomes = records.delete(&org.cx, &[row], &WriteOptions::new()).await.unwrap();
        if outcomes[0].status() == "deleted" {
            return id.clone();
        }
    }
    panic!("none of them can be deleted");
}

/// Reads all contacts while some are made and others deleted after each page, also from the pages to come.
async fn read_while_rows_come_and_go(query: Value, locators_expire: bool) {
    let org = Org::new().await;
    let before = org.stored("Contact");
    let (records, mut search) = begun(&org, &query).await;
    let (mut found, mut made, mut gone) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut pages = 0;
    while let Some(page) = search.next_page().await.unwrap() {
        found.extend(ids_of(page));
        pages += 1;
        if pages > 3 {
            continue;
        }
        made.insert(make_one(&org, &records, &format!("Newcomer {pages}")).await);
        let read: Vec<&String> = found.iter().rev().filter(|id| !gone.contains(*id)).collect();
        let read = delete_one(&org, &records, read).await;
        gone.insert(read);
        let unread = before.iter().rev().filter(|id| !gone.contains(*id) && !found.contains(id));
        let unread = delete_one(&org, &records, unread).await;
        gone.insert(unread);
        if locators_expire {
            org.service.expire_locators();
        }
    }
    assert!(pages > 4);
    let once: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a record came twice");
    let stayed: BTreeSet<String> = before.difference(&gone).cloned().collect();
    assert!(once.is_superset(&stayed), "lost: {:?}", stayed.difference(&once).collect::<Vec<_>>());
    let known: BTreeSet<String> = before.union(&made).cloned().collect();
    assert!(once.is_subset(&known));
}

#[tokio::test]
async fn fault_30_rows_that_come_and_go_between_pages_lose_and_double_nothing() {
    read_while_rows_come_and_go(contacts(), false).await;
    let mut limited = contacts();
    limited["limit"] = json!(1_100);
    read_limited_while_rows_go(limited).await;
}

#[tokio::test]
async fn fault_30_the_same_when_every_place_in_the_result_expires() {
    read_while_rows_come_and_go(contacts(), true).await;
}

#[tokio::test]
async fn fault_30_the_same_in_the_services_own_order() {
    let mut ordered = contacts();
    ordered["order_by"] = json!([{ "field": "LastName", "direction": "asc" }]);
    read_while_rows_come_and_go(ordered, false).await;
}

/// A limit is reached although rows within it were deleted meanwhile: others are there.
async fn read_limited_while_rows_go(query: Value) {
    let org = Org::new().await;
    let before: Vec<String> = org.stored("Contact").into_iter().collect();
    assert!(before.len() > 1_100);
    let (records, mut search) = begun(&org, &query).await;
    let mut found = ids_of(search.next_page().await.unwrap().unwrap());
    for at in 0..5 {
        delete_one(&org, &records, &before[1_000 + at * 10..1_010 + at * 10]).await;
    }
    while let Some(page) = search.next_page().await.unwrap() {
        found.extend(ids_of(page));
    }
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), once.len()), (1_100, 1_100));
}

#[tokio::test]
async fn fault_31_records_on_two_pages_are_given_once_and_counted() {
    let org = Org::new().await;
    let mut rows = org.service_rows("Contact");
    rows.sort_by_key(|row| row["Id"].as_str().unwrap().to_owned());
    // The second page begins ten records too early.
    let overlapping: Vec<Value> = rows[190..400]
        .iter()
        .map(|row| {
            json!({ "attributes": { "type": "Contact", "url": "/x" }, "Id": row["Id"], "LastName": row["LastName"],
                    "Email": row["Email"], "AccountId": row["AccountId"], "SystemModstamp": row["SystemModstamp"] })
        })
        .collect();
    let body = json!({ "totalSize": 400, "done": true, "records": overlapping });
    org.fault(json!({ "kind": "status", "status": 200, "page": 2, "path": "*query*", "body": body })).await;
    let found = org.contacts().await.complete();
    assert_eq!(found.duplicates, 10);
    let expected: BTreeSet<String> =
        rows[..400].iter().map(|row| row["Id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found.ids(), expected);
}

/// The service's clock is this far from ours.
async fn skewed(seconds: i64) -> Org {
    let org = Org::new().await;
    if seconds > 0 {
        let (status, _) =
            org.emulated.control(Method::POST, "clock", &json!({ "advance_seconds": seconds })).await;
        assert_eq!(status, 200);
    } else {
        org.clock.advance(std::time::Duration::from_secs(seconds.unsigned_abs()));
    }
    org
}

#[tokio::test]
async fn fault_32_clocks_that_differ_by_ten_minutes_change_nothing() {
    for seconds in [600, -600] {
        let org = skewed(seconds).await;
        let found = org.contacts().await.complete();
        assert_eq!(found.ids(), org.stored("Contact"));
        assert!(org.received("/oauth2/token").await.is_empty(), "no token is renewed for its age alone");

        // A session that ended is renewed because the service says so, once.
        org.fault(json!({ "kind": "expire_token", "page": 2 })).await;
        let found = org.contacts().await.complete();
        assert_eq!(found.ids(), org.stored("Contact"));
        assert_eq!(org.received("/oauth2/token").await.len(), 1);

        // A date to wait for is measured by the clock of the answer that names it.
        org.fault(json!({ "kind": "429date", "page": 2, "retry_after": "9" })).await;
        org.contacts().await.complete();
        let waited: SignedDuration =
            org.clock.waits().iter().map(|wait| SignedDuration::try_from(*wait).unwrap()).sum();
        assert!(waited > SignedDuration::from_secs(7) && waited <= SignedDuration::from_secs(9), "{waited}");
    }
}

async fn describe_of_contact(org: &Org) -> Value {
    let token =
        org.emulated.emulator.credentials()["salesforce"]["access_token"].as_str().unwrap().to_owned();
    let address = org.emulated.url("/services/data/v60.0/sobjects/Contact/describe");
    json_of(org.emulated.client.get(address).bearer_auth(token).send().await.unwrap()).await
}

fn import(org: &Org, describe: &Value) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), describe.to_string()).unwrap();
    org.service.import(file.path()).unwrap();
}

/// Reads a page, lets the type change, and reads the rest.
async fn changed_meanwhile(org: &Org, query: &Value, describe: &Value) -> (Vec<String>, Result<()>) {
    let (_, mut search) = begun(org, query).await;
    let mut found = ids_of(search.next_page().await.unwrap().unwrap());
    import(org, describe);
    loop {
        match search.next_page().await {
            Ok(Some(page)) => found.extend(ids_of(page)),
            Ok(None) => return (found, Ok(())),
            Err(error) => return (found, Err(error)),
        }
    }
}

async fn unknown(org: &Org, query: Value) -> Error {
    let records = org.open("Contact").await.unwrap();
    let draft = QueryDraft::from_json(&query).unwrap();
    records.prepare(&org.cx, &draft, &TimeZone::UTC).await.unwrap_err()
}

#[tokio::test]
async fn fault_56_a_field_that_goes_during_a_search_is_named() {
    let org = Org::new().await;
    let mut describe = describe_of_contact(&org).await;
    describe["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "Department");
    let query = json!({ "select": ["Id", "LastName", "Department"], "page_size": 200 });
    let (found, ended) = changed_meanwhile(&org, &query, &describe).await;
    let error = ended.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("INVALID_FIELD")), "{error}");
    assert_eq!(error.fields()[0].field, "Department");
    assert_eq!(error.record_type(), Some("Contact"));
    assert!(!found.is_empty() && found.len() < org.stored("Contact").len(), "what came before is kept");

    // The type is described anew at once, and says the same before anything is sent.
    assert!(org.open("Contact").await.unwrap().record_type().field("Department").is_none());
    let asked = org.received("/query").await.len();
    let error = unknown(&org, query).await;
    assert_eq!((error.code(), error.fields()[0].field.as_str()), (Some("unknown_field"), "Department"));
    assert_eq!(org.received("/query").await.len(), asked);
}

#[tokio::test]
async fn fault_56_a_field_that_comes_or_changes_during_a_search_does_not_disturb_it() {
    let mut org = Org::new().await;
    let mut describe = describe_of_contact(&org).await;
    let fields = describe["fields"].as_array_mut().unwrap();
    let mut new = fields.iter().find(|field| field["name"] == "Department").unwrap().clone();
    new["name"] = json!("Squad__c");
    fields.push(new);
    let changed = fields.iter_mut().find(|field| field["name"] == "Title").unwrap();
    changed["type"] = json!("textarea");
    let query = json!({ "select": ["Id", "LastName", "Title"], "page_size": 200 });
    let (found, ended) = changed_meanwhile(&org, &query, &describe).await;
    ended.unwrap();
    assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), org.stored("Contact"));
    assert_eq!(found.len(), org.stored("Contact").len());
    assert!(org.open("Contact").await.unwrap().record_type().field("Squad__c").is_none());
    org.cx.refresh = true;
    assert!(org.open("Contact").await.unwrap().record_type().field("Squad__c").is_some());
}

/// Names that SQL, JSON, SOQL or an address would have to quote.
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

#[tokio::test]
async fn fault_58_names_that_need_quotes_are_told_exactly_and_never_sent() {
    let org = Org::new().await;
    org.open("Contact").await.unwrap();
    let long = "N".repeat(255);
    for name in AWKWARD.into_iter().chain([long.as_str()]) {
        for query in [
            json!({ "select": ["Id", name] }),
            json!({ "filter": { "combinator": "and", "rules": [{ "field": name, "operator": "=", "value": "x" }] } }),
            json!({ "order_by": [{ "field": name, "direction": "asc" }] }),
            json!({ "where": format!("\"{}\" = 'x'", name.replace('"', "\"\"")) }),
        ] {
            let found = org.search("Contact", query.clone()).await;
            let error = found.error();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{query}: {error}");
            let told = serde_json::to_string(error).unwrap();
            let start: String = name.split(['.', '"']).next().unwrap().chars().take(20).collect();
            let shown = serde_json::to_string(&start).unwrap();
            assert!(told.contains(shown.trim_matches('"')), "{name} is not named: {told}");
        }
    }
    assert!(org.received("/query").await.is_empty(), "nothing was asked with such a name");
    let rules = json!([{ "field": "LastName", "operator": "=", "value": "x", "a/b~c": 1 }]);
    let draft = QueryDraft::from_json(&json!({ "filter": { "combinator": "and", "rules": rules } }));
    let error = match draft {
        Err(error) => error,
        Ok(_) => unknown(&org, json!({ "filter": { "combinator": "and", "rules": rules } })).await,
    };
    let Some(Position::Pointer(pointer)) = error.position() else {
        panic!("{error}: {:?}", error.position())
    };
    assert!(pointer.ends_with("/rules/0/a~1b~0c"), "{pointer}");
}

#[tokio::test]
async fn fault_58_a_description_with_a_name_that_no_statement_can_carry_does_not_reach_one() {
    let org = Org::new().await;
    let mut describe = describe_of_contact(&org).await;
    let fields = describe["fields"].as_array_mut().unwrap();
    let mut odd = fields.iter().find(|field| field["name"] == "Department").unwrap().clone();
    odd["name"] = json!("Id FROM User WHERE Id != '");
    fields.push(odd.clone());
    odd["name"] = json!(format!("{}__c", "L".repeat(40)));
    fields.push(odd);
    org.fault(json!({ "kind": "status", "status": 200, "path": "*/Contact/describe", "body": describe }))
        .await;
    let contact = org.open("Contact").await.unwrap();
    let names: Vec<&str> = contact.record_type().fields.iter().map(|field| field.name.as_str()).collect();
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')));
    assert!(names.iter().any(|name| name.len() == 43));
}
