//! The search engine over the emulated Salesforce: pages, cursors, limits, order, and what goes wrong on the
//! way.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt as _;
use jiff::tz::TimeZone;
use recordport::emulator::EmulatorConfig;
use recordport::error::{Error, ErrorKind};
use recordport::provider::search::{Prepared, RecordsExt as _, Search, count};
use recordport::provider::{Doer, Records};
use recordport::record::{FieldPath, QueryDraft, where_text};
use serde_json::Value;

use super::support::emulated::client;
use super::support::wired_org::Connected as Org;

const PAGE: u32 = 200;

/// An org with 1,500 contacts: eight pages.
async fn org() -> Org {
    Org::start(EmulatorConfig { scale: 5, ..EmulatorConfig::default() }).await
}

fn draft() -> QueryDraft {
    QueryDraft { select: vec![FieldPath::parse("Id")], page_size: Some(PAGE), ..QueryDraft::default() }
}

fn filtered(text: &str) -> QueryDraft {
    QueryDraft { where_text: Some(where_text::parse(text).expect("a condition")), ..draft() }
}

async fn prepare(org: &Org, records: &Arc<dyn Records>, draft: &QueryDraft) -> Prepared {
    records.prepare(&org.cx, draft, &TimeZone::UTC).await.expect("a plan")
}

async fn start(org: &Org, draft: &QueryDraft) -> Search {
    let records = org.open("Contact").await;
    let prepared = prepare(org, &records, draft).await;
    Search::start(records, org.cx.clone(), &prepared)
}

/// Keys of all pages with their cursors, and the error at the end if there was one.
async fn drain(mut search: Search) -> (Vec<(Vec<String>, Option<String>)>, Option<Error>) {
    let mut pages = Vec::new();
    loop {
        match search.next_page().await {
            Ok(Some(page)) => {
                let keys = page.records.iter().map(|record| record.as_ref().expect("read").key.to_string());
                pages.push((keys.collect(), page.next.map(|cursor| cursor.to_text())));
            }
            Ok(None) => return (pages, None),
            Err(error) => {
                assert!(search.next_page().await.expect("has ended").is_none(), "an error ends the search");
                return (pages, Some(error));
            }
        }
    }
}

fn flat(pages: &[(Vec<String>, Option<String>)]) -> Vec<String> {
    pages.iter().flat_map(|(keys, _)| keys.clone()).collect()
}

async fn whole(org: &Org, draft: &QueryDraft) -> Vec<String> {
    let (pages, error) = drain(start(org, draft).await).await;
    assert!(error.is_none(), "{error:?}");
    flat(&pages)
}

/// Requests for pages of a query so far.
async fn page_requests(org: &Org) -> usize {
    page_log(org).await.len()
}

async fn page_log(org: &Org) -> Vec<Value> {
    let address = format!("{}/_emulator/requests", org.emulator.http_url());
    let log = client().get(address).send().await.expect("is answered").text().await.expect("a body");
    let log: Value = serde_json::from_str(&log).expect("JSON");
    let requests = log["requests"].as_array().expect("a list");
    let is_page = |entry: &&Value| entry["path"].as_str().is_some_and(|path| path.contains("/query"));
    requests.iter().filter(is_page).cloned().collect()
}

#[tokio::test]
async fn every_record_comes_once_over_many_pages_and_a_stored_cursor_resumes_the_rest() {
    let org = org().await;
    let (pages, error) = drain(start(&org, &draft()).await).await;
    assert!(error.is_none(), "{error:?}");
    let all = flat(&pages);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (1_500, 1_500));
    assert_eq!(pages.len(), 8);
    let mut before = 0;
    for (keys, cursor) in &pages {
        before += keys.len();
        let Some(cursor) = cursor else { continue };
        let rest = whole(&org, &QueryDraft { cursor: Some(cursor.clone()), ..draft() }).await;
        assert_eq!(rest, all[before..], "after {before}");
    }
    let cursor = pages[0].1.clone();
    let records = org.open("Contact").await;
    let other = QueryDraft { cursor, ..filtered("Name != 'x'") };
    let error = records.prepare(&org.cx, &other, &TimeZone::UTC).await.expect_err("another query");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("another query"), "{error}");
    let garbled = QueryDraft { cursor: Some("????".to_owned()), ..draft() };
    assert_eq!(
        records.prepare(&org.cx, &garbled, &TimeZone::UTC).await.expect_err("no cursor").kind(),
        ErrorKind::Invalid
    );
}

#[tokio::test]
async fn a_resumed_search_keeps_its_limit_and_its_moment() {
    let org = org().await;
    // The upper end is the moment of the search, which a cursor carries on.
    let limited = QueryDraft { limit: Some(450), ..filtered("CreatedDate < now() AND Name LIKE '%'") };
    let (pages, _) = drain(start(&org, &limited).await).await;
    let all = flat(&pages);
    assert_eq!(all.len(), 450);
    assert_eq!(pages.last().expect("pages").1, None);
    let cursor = pages[0].1.clone();
    assert!(cursor.is_some());
    let rest = whole(&org, &QueryDraft { cursor, ..limited }).await;
    assert_eq!(rest, all[pages[0].0.len()..]);
}

#[tokio::test]
async fn pages_cost_a_request_each_and_one_buffer_and_two_connections_at_most() {
    let org = org().await;
    let mut search = start(&org, &draft()).await;
    let mut pages = 0;
    while let Some(page) = search.next_page().await.expect("a page") {
        pages += 1;
        let texts: Vec<_> = page.records.iter().map(|record| &record.as_ref().expect("read").json).collect();
        assert!(
            texts.windows(2).all(|two| two[0].as_ptr().wrapping_add(two[0].len()) == two[1].as_ptr()),
            "the records of a page lie one behind the other"
        );
    }
    let log = page_log(&org).await;
    assert_eq!((pages, log.len()), (8, 8));
    let connections: BTreeSet<u64> =
        log.iter().map(|entry| entry["connection"].as_u64().expect("a number")).collect();
    assert!(connections.len() <= 2, "{connections:?}");
}

#[tokio::test]
async fn one_page_is_read_ahead_and_no_more() {
    let org = org().await;
    let mut search = start(&org, &draft()).await;
    assert_eq!(page_requests(&org).await, 0, "nothing is sent before it is asked for");
    for consumed in 1..4 {
        search.next_page().await.expect("a page").expect("more");
        assert!(page_requests(&org).await <= consumed + 1, "after {consumed} pages");
    }
    drop(search);
    let sent = page_requests(&org).await;
    assert!(sent <= 4);
    // Whatever was under way when the search was dropped is over once another search has run.
    let others = drain(start(&org, &QueryDraft { limit: Some(1), ..draft() }).await).await.0.len();
    assert_eq!(
        page_requests(&org).await - sent.min(4),
        others + (4 - sent.max(4)),
        "dropping stops the requests"
    );
}

#[tokio::test]
async fn a_limit_with_a_residual_stops_the_requests() {
    let org = org().await;
    let limited = QueryDraft { limit: Some(5), ..filtered("Name != 'nobody'") };
    let records = org.open("Contact").await;
    let prepared = prepare(&org, &records, &limited).await;
    assert_eq!(prepared.plan.limit_by, Doer::Here);
    let found = flat(&drain(Search::start(records, org.cx.clone(), &prepared)).await.0);
    assert_eq!(found.len(), 5);
    assert_eq!(page_requests(&org).await, 1);
    assert!(whole(&org, &QueryDraft { limit: Some(0), ..draft() }).await.is_empty());
    assert_eq!(page_requests(&org).await, 1, "nothing is asked for nothing");
}

#[tokio::test]
async fn an_order_made_here_is_bounded() {
    let org = org().await;
    let order_by = QueryDraft::parse_order("Description desc").expect("an order");
    let records = org.open("Contact").await;
    let unbounded = QueryDraft { order_by: order_by.clone(), ..draft() };
    let error = records.prepare(&org.cx, &unbounded, &TimeZone::UTC).await.expect_err("unbounded");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.advice().is_some_and(|advice| advice.contains("--limit")), "{error}");
    let bounded =
        QueryDraft { order_by, limit: Some(700), select: vec![FieldPath::parse("Description")], ..draft() };
    let prepared = prepare(&org, &records, &bounded).await;
    assert_eq!(prepared.plan.order, Doer::Here);
    let mut search = Search::start(records, org.cx.clone(), &prepared);
    let mut texts: Vec<Option<String>> = Vec::new();
    while let Some(page) = search.next_page().await.expect("a page") {
        assert!(page.next.is_none(), "it cannot be resumed");
        for record in page.records {
            let value = record.expect("read").to_value().expect("JSON");
            texts.push(value["Description"].as_str().map(str::to_owned));
        }
    }
    let mut sorted = texts.clone();
    sorted.sort_by(|one, other| other.cmp(one));
    assert_eq!((texts.len(), &texts), (700, &sorted), "largest first, nulls last");
}

#[tokio::test]
async fn counting_asks_the_provider_where_it_can_and_reads_pages_where_not() {
    let org = org().await;
    let records = org.open("Contact").await;
    let counted = |draft: QueryDraft| {
        let (records, cx) = (Arc::clone(&records), org.cx.clone());
        async move {
            let prepared = records.prepare(&cx, &draft, &TimeZone::UTC).await.expect("a plan");
            count(records, &cx, &prepared).await.expect("counts")
        }
    };
    assert_eq!(counted(draft()).await, 1_500);
    assert_eq!(page_requests(&org).await, 1);
    assert_eq!(counted(QueryDraft { limit: Some(7), ..draft() }).await, 7);
    let exact = filtered("LastName >= 'M'");
    assert_eq!(counted(exact.clone()).await, u64::try_from(whole(&org, &exact).await.len()).expect("fits"));
}

#[tokio::test]
async fn a_stream_of_records_is_the_same_as_the_pages() {
    let org = org().await;
    let filter = filtered("Title IS NOT NULL");
    let all = whole(&org, &filter).await;
    let stream = start(&org, &filter).await.into_records();
    let streamed: Vec<String> = stream.map(|record| record.expect("read").key.to_string()).collect().await;
    assert_eq!(streamed, all);
}
