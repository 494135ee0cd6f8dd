//! Searches of Jira's issues: what is sent as JQL, pages, and what becomes of a search that Jira forgot.

use std::collections::BTreeSet;

use http::Method;
use jiff::tz::TimeZone;
use recordport::emulator::EmulatorConfig;
use recordport::error::{Error, ErrorKind};
use recordport::provider::At;
use recordport::provider::search::{Prepared, RecordsExt as _, Search};
use recordport::record::{FieldPath, QueryDraft, where_text};
use serde_json::{Value, json};

use super::support::jira_site::Site;

fn asking(text: &str) -> QueryDraft {
    let where_text = (!text.is_empty()).then(|| where_text::parse(text).unwrap());
    QueryDraft { where_text, select: vec![FieldPath::parse("key")], ..QueryDraft::default() }
}

async fn prepared(site: &Site, kind: &str, draft: &QueryDraft) -> Result<Prepared, Error> {
    site.org.open(kind).await.prepare(&site.org.cx, draft, &TimeZone::UTC).await
}

/// The keys that a search finds, in order, and the cursor behind its first page.
async fn found(site: &Site, kind: &str, draft: &QueryDraft) -> Result<(Vec<String>, Option<String>), Error> {
    let prepared = prepared(site, kind, draft).await?;
    let mut search = Search::start(site.org.open(kind).await, site.org.cx.clone(), &prepared);
    let (mut keys, mut cursor) = (Vec::new(), None);
    while let Some(page) = search.next_page().await? {
        cursor = cursor.or(page.next.map(|cursor| cursor.to_text()));
        for record in page.records {
            let record = record.map_err(|row| row.error)?.to_value()?;
            keys.push(record["key"].as_str().expect("a key").to_owned());
        }
    }
    Ok((keys, cursor))
}

#[tokio::test]
async fn conditions_are_sent_as_far_as_they_are_right() {
    use At::{Exact, Here, Superset};
    let site = Site::new().await;
    let account = "712020:01234567-89ab-cdef-0123-456789abcdef";
    for (kind, text, sent, at) in [
        ("issue", "status = '10001'", "(status = 10001)", Exact),
        (
            "issue",
            "status NOT IN ('10001', '10003')",
            "((status not in (10001, 10003) and status is not EMPTY))",
            Exact,
        ),
        ("issue", "status = '99999'", "(status is not EMPTY)", Superset),
        ("issue", "statusCategory != 'done'", "(statusCategory != 3)", Exact),
        ("issue", "resolution IS NULL", "(resolution is EMPTY)", Exact),
        ("issue", "priority IS NOT NULL", "(priority is not EMPTY)", Exact),
        (
            "issue:OPS/Bug",
            "customfield_10020 != '100201'",
            "((cf[10020] != 100201 and cf[10020] is not EMPTY))",
            Exact,
        ),
        ("issue:OPS/Bug", "customfield_10021 = '100211'", "(cf[10021] = 100211)", Superset),
        ("issue:OPS/Bug", "customfield_10022 = '100221'", "(cf[10022] in cascadeOption(100221))", Exact),
        (
            "issue:OPS/Bug",
            "customfield_10022_child = '100222'",
            "(cf[10022] in cascadeOption(100221, 100222))",
            Exact,
        ),
        ("issue", "summary = 'Lift out of order'", "(summary is not EMPTY)", Superset),
        ("issue", "summary LIKE '% refrigeration %'", "(summary ~ \"refrigeration\")", Superset),
        ("issue", "summary LIKE '%refrigeration%'", "(summary is not EMPTY)", Superset),
        ("issue", "description LIKE '%waiting%'", "", Here),
        ("issue", "customfield_10029 > 10", "((cf[10029] > 10 and cf[10029] is not EMPTY))", Exact),
        ("issue", "customfield_10029 <= 10.5", "(cf[10029] < 11)", Superset),
        (
            "issue",
            "duedate BETWEEN '2026-01-01' AND '2026-01-31'",
            "((duedate >= \"2026-01-01\" and duedate <= \"2026-01-31\"))",
            Exact,
        ),
        ("issue", "created >= '2026-03-04T10:00:30Z'", "(created >= 1772618400000)", Superset),
        (
            "issue",
            "resolutiondate < '2026-03-04T10:00:30Z'",
            "(resolutiondate <= \"2026-03-04 07:01\")",
            Superset,
        ),
        ("issue", "id = '10000'", "(id = 10000)", Superset),
        ("issue", "key = 'OPS-1'", "(issuekey = \"OPS-1\")", Superset),
        ("issue", "key != 'OPS-1'", "", Here),
        ("issue", "assignee IS NULL", "(assignee is EMPTY)", Exact),
        ("issue", "created < updated", "((created is not EMPTY and updated is not EMPTY))", Superset),
        ("issue", "status = '10001' OR description IS NULL", "", Here),
    ] {
        let plan =
            prepared(&site, kind, &asking(text)).await.unwrap_or_else(|error| panic!("{text}: {error}")).plan;
        let scope =
            if kind == "issue" { "project is not EMPTY" } else { "project = 10000 AND issuetype = 10003" };
        let joint = if sent.is_empty() { "" } else { " AND " };
        let expected = format!("{scope}{joint}{sent} ORDER BY created ASC, key ASC");
        // System fields are quoted; that is left out above to be readable.
        let native = plan.native[0].clone();
        let bare = [
            "status",
            "statusCategory",
            "resolution",
            "priority",
            "summary",
            "created",
            "updated",
            "duedate",
        ]
        .iter()
        .chain(&["resolutiondate", "id", "issuekey", "assignee"])
        .fold(native.clone(), |text, name| text.replace(&format!("\"{name}\""), name));
        let worst = plan.conditions.iter().map(|condition| condition.at).max().unwrap();
        assert_eq!((bare, worst), (expected, at), "{text}\n{native}");
    }
    let plan = prepared(&site, "issue", &asking(&format!("assignee != '{account}'"))).await.unwrap().plan;
    assert!(plan.native[0].contains(&format!("\"assignee\" != \"{account}\" and \"assignee\" is not EMPTY")));
    assert_eq!(plan.conditions[0].at, Superset);
}

#[tokio::test]
async fn every_issue_comes_once_whatever_the_pages() {
    let site = Site::new().await;
    let whole: BTreeSet<String> = site.stored().await.into_iter().collect();
    let all = asking("");
    for size in [7, 100, 5_000] {
        let draft = QueryDraft { page_size: Some(size), ..all.clone() };
        let (keys, _) = found(&site, "issue", &draft).await.unwrap();
        assert_eq!((keys.len(), keys.iter().cloned().collect::<BTreeSet<_>>()), (whole.len(), whole.clone()));
    }
    let limited = QueryDraft { limit: Some(5), ..all };
    assert_eq!(found(&site, "issue", &limited).await.unwrap().0.len(), 5);
    let asked = site.asked().await;
    assert_eq!(asked.last().unwrap()["maxResults"], 5, "no more is asked for than is wanted");
}

#[tokio::test]
async fn any_text_stays_one_text_in_a_query() {
    let site = Site::new().await;
    let mut texts: Vec<String> =
        ["\\", "\"", "'", "\\\"", "a\" OR project is not EMPTY OR labels = \"b", "EMPTY", "null"]
            .map(str::to_owned)
            .into();
    texts.extend(
        [
            "currentUser()",
            "cf[1]",
            "\u{0}\u{1f}",
            "tab\there",
            "two\nlines",
            "日本語",
            "🙂",
            "and",
            "100%",
            "*",
        ]
        .map(str::to_owned),
    );
    // Letters that mean something in JQL, in all orders that a small generator gives.
    let letters: Vec<char> = "\\\"'()[]{}=!~<>&|,;*?+-/ a\t\r\n\u{7}".chars().collect();
    let mut seed = 20_260_304_u64;
    for length in 1..30 {
        let mut text = String::new();
        for _ in 0..length % 11 + 1 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(letters[usize::try_from(seed >> 33).unwrap() % letters.len()]);
        }
        texts.push(text);
    }
    for text in &texts {
        let label = !text.contains(char::is_whitespace) && !text.contains(char::is_control);
        let own = if label { Some(site.bug(json!({ "labels": [text] })).await) } else { None };
        let literal = text.replace('\'', "''");
        for condition in
            [format!("labels = '{literal}'"), format!("summary = '{literal}'"), format!("key = '{literal}'")]
        {
            let (keys, _) = found(&site, "issue", &asking(&condition))
                .await
                .unwrap_or_else(|error| panic!("{text:?}: {error}"));
            match &own {
                // Some labels of the seed are as odd.
                Some(own) if condition.starts_with("labels") => assert!(keys.contains(own), "{text:?}"),
                _ => assert_eq!(keys, [""; 0], "{text:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_value_that_jira_does_not_know_costs_one_more_query_and_nothing_else() {
    let site = Site::new().await;
    let account = "712020:01234567-89ab-cdef-0123-456789abcdef";
    let draft = asking(&format!("assignee = '{account}' OR key = 'OPS-3' AND status IS NOT NULL"));
    let refusal = json!({ "errorMessages": [format!("The value '{account}' does not exist for the field 'assignee'.")], "warningMessages": [] });
    site.fault(json!({ "service": "jira", "path": "*/search/jql", "kind": "status", "status": 400, "body": refusal, "times": 1 })).await;
    let (keys, _) = found(&site, "issue", &draft).await.unwrap();
    assert_eq!(keys, ["OPS-3"]);
    let asked: Vec<String> =
        site.asked().await.iter().map(|body| body["jql"].as_str().unwrap().to_owned()).collect();
    let place = asked.iter().position(|jql| jql.contains(account)).expect("the value is asked for");
    let (first, second) = (&asked[place], &asked[place + 1]);
    assert!(first.contains(account) && first.contains("OPS-3"), "{first}");
    assert!(!second.contains(account) && !second.contains("OPS-3"), "{second}");
    // Where no value can be the reason, the refusal is told.
    let refusal = json!({ "errorMessages": ["no"], "warningMessages": [] });
    site.fault(json!({ "service": "jira", "path": "*/search/jql", "kind": "status", "status": 400, "body": refusal, "times": 2 })).await;
    let error = found(&site, "issue", &asking("status = '10001'")).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Invalid, Some(400)), "{error}");
}

#[tokio::test]
async fn fault_28_a_search_that_jira_forgot_goes_on_behind_the_last_issue() {
    let site = Site::new().await;
    let draft = QueryDraft { page_size: Some(30), ..asking("status != '10003'") };
    let (whole, cursor) = found(&site, "issue", &draft).await.unwrap();
    assert!(whole.len() > 100, "{} issues are several pages", whole.len());
    site.advance(8 * 86_400).await;
    let resumed = QueryDraft { cursor: cursor.clone(), ..draft.clone() };
    let (rest, _) = found(&site, "issue", &resumed).await.unwrap();
    assert_eq!(rest, whole[30..], "nothing is lost and nothing comes twice");
    // What was created meanwhile comes, too, also when the last one that came is gone.
    let late = site.bug(json!({})).await;
    site.advance(8 * 86_400).await;
    let (rest, _) = found(&site, "issue", &resumed).await.unwrap();
    assert_eq!((rest.len(), rest.last()), (whole.len() - 29, Some(&late)));
    site.send(Method::DELETE, &format!("issue/{}?deleteSubtasks=true", whole[29]), Value::Null).await;
    let (again, _) = found(&site, "issue", &resumed).await.unwrap();
    assert_eq!(again, rest);
    // Another order says nothing about what came before.
    let order_by = serde_json::from_value(json!([{ "field": "updated", "direction": "desc" }])).unwrap();
    let other = QueryDraft { order_by, ..draft };
    let (_, cursor) = found(&site, "issue", &other).await.unwrap();
    site.advance(8 * 86_400).await;
    let error = found(&site, "issue", &QueryDraft { cursor, ..other }).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, Some("page_token_ended")), "{error}");
    assert!(error.advice().is_some(), "{error}");
}

#[tokio::test]
async fn a_native_condition_stays_one_condition() {
    let site = Site::new().await;
    let draft = QueryDraft {
        native: Some("status = Done OR summary ~ \"printer\"".to_owned()),
        ..asking("resolution IS NULL")
    };
    let plan = prepared(&site, "issue", &draft).await.unwrap().plan;
    assert!(
        plan.native[0].contains("AND (status = Done OR summary ~ \"printer\") ORDER BY"),
        "{}",
        plan.native[0]
    );
    found(&site, "issue", &draft).await.unwrap();
    for wrong in [
        "status = Done ORDER BY created",
        "status = Done) OR (project is not EMPTY",
        "summary ~ \"x",
        "summary ~ 'it\\'s",
        "",
    ] {
        let draft = QueryDraft { native: Some(wrong.to_owned()), ..asking("") };
        let error = prepared(&site, "issue", &draft).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}: {error}");
    }
    let quoted = QueryDraft { native: Some("summary ~ 'it\\'s ORDER BY'".to_owned()), ..asking("") };
    found(&site, "issue", &quoted).await.unwrap();
    let refused = QueryDraft { native: Some("nosuch = 1".to_owned()), ..asking("") };
    let error = found(&site, "issue", &refused).await.unwrap_err();
    assert!(error.message().contains("Field 'nosuch' does not exist"), "{error}");
}

#[tokio::test]
async fn long_conditions_are_left_out_before_the_query_is() {
    let site = Site::new().await;
    let many: Vec<String> =
        (0..270).map(|number| format!("labels = '{number}{}'", "x".repeat(190))).collect();
    let draft = asking(&format!("status = '10001' AND ({})", many.join(" OR ")));
    let plan = prepared(&site, "issue", &draft).await.unwrap().plan;
    assert!(plan.native[0].len() < 50_000, "{} bytes", plan.native[0].len());
    assert!(plan.native[0].contains("\"status\" = 10001"), "{}", &plan.native[0][..200]);
    assert_eq!(found(&site, "issue", &draft).await.unwrap().0, [""; 0]);
}

/// The emulator's own time counts in all of these.
#[tokio::test]
async fn moments_are_compared_in_the_zone_of_the_profile() {
    let site = Site::with(EmulatorConfig::default(), json!({ "email": "" })).await;
    let key = site.bug(json!({ "customfield_10027": "2026-02-03T09:30:20.000+0000" })).await;
    for (condition, holds) in [
        ("customfield_10027 = '2026-02-03T09:30:20Z'", true),
        ("customfield_10027 < '2026-02-03T09:30:20Z'", false),
        ("customfield_10027 >= '2026-02-03T09:30:21Z'", false),
        ("customfield_10027 > '2026-02-03T06:30:19-03:00'", true),
    ] {
        let (keys, _) =
            found(&site, "issue:OPS/Bug", &asking(&format!("key = '{key}' AND {condition}"))).await.unwrap();
        assert_eq!(keys == [key.clone()], holds, "{condition}");
        let asked = site.asked().await;
        let jql = asked.last().unwrap()["jql"].as_str().unwrap().to_owned();
        assert!(jql.contains("cf[10027] ") && jql.contains("\"2026-02-03 06:3"), "{jql}");
    }
}
