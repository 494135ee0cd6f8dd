//! Aggregates, child subqueries, TYPEOF and what else a statement may hold.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Org, body, encode, org, org_with, records, string};

const V: &str = "/services/data/v60.0";

fn groups(page: &Value, key: &str, value: &str) -> BTreeMap<Option<String>, Value> {
    assert_eq!(page["done"], true);
    assert_eq!(page["totalSize"], json!(records(page).len()));
    records(page)
        .iter()
        .map(|row| {
            assert_eq!(row["attributes"], json!({"type": "AggregateResult"}));
            (row[key].as_str().map(str::to_owned), row[value].clone())
        })
        .collect()
}

#[test]
fn rows_are_counted_by_group_with_null_as_a_group_of_its_own() {
    let org = org();
    let mut expected: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for row in org.state("Account") {
        *expected.entry(row["Rating"].as_str().map(str::to_owned)).or_default() += 1;
    }
    let page = org.query("SELECT Rating, COUNT(Id) FROM Account GROUP BY Rating");
    let found = groups(&page, "Rating", "expr0");
    assert_eq!(found.len(), expected.len());
    assert!(expected.contains_key(&None));
    for (rating, count) in &expected {
        assert_eq!(found[rating], json!(count), "{rating:?}");
    }
    let most = *expected.values().max().unwrap();
    let having = org.query(&format!(
        "SELECT Rating r, COUNT(Id) n FROM Account GROUP BY Rating HAVING COUNT(Id) >= {most} ORDER BY COUNT(Id) DESC LIMIT 1"
    ));
    assert_eq!(records(&having).len(), 1);
    assert_eq!(records(&having)[0]["n"], json!(most));
    let filtered = org.query("SELECT Rating, COUNT(Id) FROM Account GROUP BY Rating HAVING Rating != null");
    assert_eq!(records(&filtered).len(), expected.len() - 1);
}

#[test]
fn aggregates_over_all_rows_agree_with_the_rows() {
    let org = org();
    let rows = org.state("Opportunity");
    let amounts: Vec<f64> = rows.iter().filter_map(|row| row["Amount"].as_f64()).collect();
    let stages: BTreeSet<String> = rows.iter().map(|row| string(&row["StageName"])).collect();
    let closing: BTreeSet<String> = rows.iter().map(|row| string(&row["CloseDate"])).collect();
    let page = org.query(
        "SELECT COUNT(Amount), COUNT_DISTINCT(StageName) kinds, SUM(Amount), AVG(Amount), MIN(Amount), MAX(Amount), \
         MIN(CloseDate), MAX(CloseDate) FROM Opportunity",
    );
    let row = &records(&page)[0];
    assert_eq!(records(&page).len(), 1);
    assert_eq!(row["expr0"], json!(amounts.len()));
    assert_eq!(row["kinds"], json!(stages.len()));
    let sum: f64 = amounts.iter().sum();
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() <= wanted.abs() * 1e-9;
    assert!(near(&row["expr1"], sum), "{row}");
    assert!(near(&row["expr2"], sum / amounts.len() as f64), "{row}");
    assert!(near(&row["expr3"], amounts.iter().copied().fold(f64::MAX, f64::min)), "{row}");
    assert!(near(&row["expr4"], amounts.iter().copied().fold(f64::MIN, f64::max)), "{row}");
    assert_eq!(row["expr5"].as_str(), closing.first().map(String::as_str));
    assert_eq!(row["expr6"].as_str(), closing.last().map(String::as_str));
    let none = org.query("SELECT SUM(Amount), COUNT(Id) FROM Opportunity WHERE Amount < -1");
    assert_eq!(
        records(&none)[0],
        json!({"attributes": {"type": "AggregateResult"}, "expr0": null, "expr1": 0})
    );
}

#[test]
fn groups_may_be_of_parents_and_of_parts_of_dates() {
    let org = org();
    let accounts: BTreeMap<String, Value> =
        org.state("Account").iter().map(|row| (string(&row["Id"]), row["Rating"].clone())).collect();
    let mut by_rating: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for contact in org.state("Contact") {
        let rating = contact["AccountId"].as_str().and_then(|id| accounts[id].as_str()).map(str::to_owned);
        *by_rating.entry(rating).or_default() += 1;
    }
    let page = org.query("SELECT Account.Rating, COUNT(Id) n FROM Contact GROUP BY Account.Rating");
    for (rating, count) in groups(&page, "Rating", "n") {
        assert_eq!(count, json!(by_rating[&rating]), "{rating:?}");
    }
    let page = org.query(
        "SELECT CALENDAR_YEAR(CloseDate), CALENDAR_QUARTER(CloseDate) q, COUNT(Id) n FROM Opportunity \
         GROUP BY CALENDAR_YEAR(CloseDate), CALENDAR_QUARTER(CloseDate) ORDER BY CALENDAR_YEAR(CloseDate) DESC",
    );
    let all: u64 = records(&page).iter().map(|row| row["n"].as_u64().unwrap()).sum();
    assert_eq!(all, 200);
    let years: Vec<u64> = records(&page).iter().map(|row| row["expr0"].as_u64().unwrap()).collect();
    assert!(years.is_sorted_by(|one, other| one >= other) && years.len() > 4, "{years:?}");
    assert!(records(&page).iter().all(|row| (1..=4).contains(&row["q"].as_u64().unwrap())));
    let state = org.state("Opportunity");
    let in_2025 = state.iter().filter(|row| string(&row["CloseDate"]).starts_with("2025")).count();
    assert_eq!(
        org.query("SELECT COUNT() FROM Opportunity WHERE CALENDAR_YEAR(CloseDate) = 2025")["totalSize"],
        json!(in_2025)
    );
}

#[test]
fn aggregate_statements_that_cannot_be_are_refused_in_the_services_words() {
    let org = org();
    for (soql, code, words) in [
        (
            "SELECT Name, COUNT(Id) FROM Account GROUP BY Rating",
            "MALFORMED_QUERY",
            "\nSELECT Name, COUNT(Id) FROM Account GROUP BY Ra\n       ^\nERROR at Row:1:Column:8\nField must be grouped or aggregated: Name",
        ),
        (
            "SELECT Name, COUNT(Id) FROM Account",
            "MALFORMED_QUERY",
            "Field must be grouped or aggregated: Name",
        ),
        (
            "SELECT COUNT(Id) FROM Account GROUP BY Rating ORDER BY Name",
            "MALFORMED_QUERY",
            "Ordered field must be grouped or aggregated: Name",
        ),
        (
            "SELECT COUNT(Id) FROM Account GROUP BY Rating HAVING Name = 'a'",
            "MALFORMED_QUERY",
            "Field must be grouped or aggregated: Name",
        ),
        (
            "SELECT Id, COUNT(Id) FROM Account GROUP BY Id",
            "MALFORMED_QUERY",
            "Grouped field should not be aggregated: Id",
        ),
        (
            "SELECT COUNT(IsDeleted) FROM Account",
            "MALFORMED_QUERY",
            "field IsDeleted does not support aggregate operator COUNT",
        ),
        ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "does not support aggregate operator SUM"),
        (
            "SELECT COUNT(Id) FROM Account GROUP BY AnnualRevenue",
            "MALFORMED_QUERY",
            "field 'AnnualRevenue' can not be grouped in a query call",
        ),
        ("SELECT MAX(CreatedDate) FROM Account LIMIT 1", "MALFORMED_QUERY", "cannot also use LIMIT"),
        ("SELECT COUNT(Id) n, SUM(AnnualRevenue) n FROM Account", "MALFORMED_QUERY", "duplicate alias: n"),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT COUNT(), Name FROM Account", "MALFORMED_QUERY", "COUNT needs a field"),
        ("SELECT SUM(Nope) FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Rating FROM Account GROUP BY ROLLUP(Rating)", "MALFORMED_QUERY", "not emulated"),
        (
            "SELECT COUNT(Id) FROM Account WHERE CALENDAR_YEAR(Name) = 1",
            "INVALID_FIELD",
            "Invalid function for field Name",
        ),
        ("SELECT Id FROM Account WHERE SUM(AnnualRevenue) > 1", "MALFORMED_QUERY", "SUM"),
    ] {
        let (got, message) = org.refusal(soql);
        assert_eq!(got, code, "{soql}: {message}");
        assert!(message.contains(words), "{soql}: {message}");
    }
    let many = org_with(7, 20, false);
    let (code, message) = many.refusal("SELECT Id, COUNT(Name) FROM Account GROUP BY Id");
    assert_eq!(code, "EXCEEDED_ID_LIMIT");
    assert!(message.contains("queryMore()"), "{message}");
    let some = many.query("SELECT Id, COUNT(Name) FROM Account GROUP BY Id LIMIT 7");
    assert_eq!(records(&some).len(), 7);
}

#[test]
fn children_are_filtered_sorted_and_limited_within_their_parent() {
    let org = org();
    let contacts = org.state("Contact");
    let page = org.query(
        "SELECT Name, (SELECT LastName, Account.Name FROM Contacts WHERE Email != null ORDER BY LastName DESC LIMIT 2 OFFSET 1), \
         (SELECT Id FROM Opportunities) FROM Account ORDER BY Id",
    );
    let mut most = 0;
    for row in records(&page) {
        let id = row["attributes"]["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut own: Vec<String> = contacts
            .iter()
            .filter(|contact| contact["AccountId"] == json!(id) && !contact["Email"].is_null())
            .map(|contact| string(&contact["LastName"]))
            .collect();
        own.sort_by_key(|name| std::cmp::Reverse(name.to_lowercase()));
        let wanted: Vec<String> = own.into_iter().skip(1).take(2).collect();
        most = most.max(wanted.len());
        if wanted.is_empty() {
            assert!(row["Contacts"].is_null());
            continue;
        }
        assert_eq!(row["Contacts"]["totalSize"], json!(wanted.len()));
        assert_eq!(row["Contacts"]["done"], true);
        assert!(row["Contacts"].get("nextRecordsUrl").is_none());
        let shown: Vec<String> =
            records(&row["Contacts"]).iter().map(|child| string(&child["LastName"])).collect();
        assert_eq!(shown, wanted);
        assert_eq!(records(&row["Contacts"])[0]["Account"]["Name"], row["Name"]);
        assert_eq!(records(&row["Contacts"])[0]["attributes"]["type"], "Contact");
    }
    assert_eq!(most, 2);
}

#[test]
fn more_children_than_a_page_follow_behind_a_locator_of_their_own() {
    let org = org_with(7, 1, true);
    let account = org.create("Account", json!({"Name": "Large"}));
    let mut expected = BTreeSet::new();
    for turn in 0..230 {
        expected.insert(org.create("Contact", json!({"LastName": format!("C{turn}"), "AccountId": account})));
    }
    let soql = "SELECT Id, (SELECT Id FROM Contacts) FROM Account";
    let reply = org.send(
        Method::GET,
        &format!("{V}/query?q={}", encode(soql)),
        &[("sforce-query-options", "batchSize=200")],
        "",
    );
    let page = body(&reply);
    let children = &records(&page)[0]["Contacts"];
    assert_eq!((&children["totalSize"], &children["done"]), (&json!(230), &json!(false)));
    let mut ids: Vec<String> = records(children).iter().map(|row| string(&row["Id"])).collect();
    assert_eq!(ids.len(), 200);
    let rest = org.get_json(&string(&children["nextRecordsUrl"]));
    assert_eq!((&rest["totalSize"], &rest["done"]), (&json!(230), &json!(true)));
    ids.extend(records(&rest).iter().map(|row| string(&row["Id"])));
    assert_eq!(ids.len(), 230);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn typeof_shows_the_fields_of_each_type() {
    let org = org();
    let page = org.query(
        "SELECT Id, TYPEOF What WHEN Account THEN Name, Owner.Username WHEN Opportunity THEN StageName ELSE Name END, WhatId \
         FROM Task WHERE WhatId != null",
    );
    let mut seen = BTreeSet::new();
    for row in records(&page) {
        let what = &row["What"];
        let kind = string(&what["attributes"]["type"]);
        match kind.as_str() {
            "Account" => assert!(what["Owner"]["Username"].is_string(), "{what}"),
            "Opportunity" => assert!(what["StageName"].is_string() && what.get("Name").is_none(), "{what}"),
            _ => assert!(what.get("Name").is_some() && what.get("StageName").is_none(), "{what}"),
        }
        assert!(string(&what["attributes"]["url"]).ends_with(&string(&row["WhatId"])));
        seen.insert(kind);
    }
    assert!(seen.len() >= 3, "{seen:?}");
    let only = org
        .query("SELECT TYPEOF What WHEN Case THEN Subject END FROM Task WHERE What.Type = 'Account' LIMIT 1");
    assert!(records(&only)[0]["What"].is_null());
    for (soql, code) in [
        ("SELECT TYPEOF Account WHEN Account THEN Name END FROM Contact", "INVALID_FIELD"),
        ("SELECT TYPEOF What WHEN User THEN Name END FROM Task", "INVALID_TYPE"),
        ("SELECT TYPEOF What WHEN Account THEN Nope END FROM Task", "INVALID_FIELD"),
        ("SELECT TYPEOF What WHEN Account THEN Name FROM Task", "MALFORMED_QUERY"),
    ] {
        assert_eq!(org.refusal(soql).0, code, "{soql}");
    }
}

#[test]
fn fields_functions_expand_within_their_limit() {
    let org = org();
    let describe = org.get_json(&format!("{V}/sobjects/Invoice__c/describe"));
    let count = |custom: bool| {
        describe["fields"].as_array().unwrap().iter().filter(|field| field["custom"] == custom).count()
    };
    let width = |soql: &str| records(&org.query(soql))[0].as_object().unwrap().len() - 1;
    assert_eq!(width("SELECT FIELDS(ALL) FROM Invoice__c LIMIT 200"), count(true) + count(false));
    assert_eq!(width("SELECT FIELDS(STANDARD) FROM Invoice__c"), count(false));
    assert_eq!(width("SELECT Id, FIELDS(CUSTOM) FROM Invoice__c LIMIT 1"), count(true) + 1);
    for soql in [
        "SELECT FIELDS(CUSTOM) FROM Invoice__c",
        "SELECT FIELDS(ALL) FROM Invoice__c LIMIT 201",
        "SELECT Id, (SELECT FIELDS(ALL) FROM Contacts) FROM Account LIMIT 1",
    ] {
        let (code, message) = org.refusal(soql);
        assert_eq!(code, "MALFORMED_QUERY");
        assert!(message.contains("must have a LIMIT of at most 200"), "{message}");
    }
}

#[test]
fn scopes_security_modes_and_purposes_are_taken() {
    let org = org();
    let user = string(&org.state("User")[0]["Id"]);
    let mine = org.state("Account").iter().filter(|row| row["OwnerId"] == json!(user)).count();
    assert_eq!(org.query("SELECT COUNT() FROM Account USING SCOPE mine")["totalSize"], json!(mine));
    for soql in [
        "SELECT Id FROM Account WHERE Name != null WITH SECURITY_ENFORCED LIMIT 1",
        "SELECT Id FROM Account WITH USER_MODE ORDER BY Name LIMIT 1 FOR VIEW",
        "SELECT Id FROM Account WITH SYSTEM_MODE LIMIT 1 FOR REFERENCE",
        "SELECT Id FROM Account LIMIT 1 FOR VIEW FOR REFERENCE",
        "SELECT Id FROM Account LIMIT 1 UPDATE VIEWSTAT",
    ] {
        assert_eq!(records(&org.query(soql)).len(), 1, "{soql}");
    }
    assert_eq!(org.refusal("SELECT Id FROM Account USING SCOPE team").0, "MALFORMED_QUERY");
    assert_eq!(org.refusal("SELECT Id FROM Account WITH DATA CATEGORY x AT y").0, "MALFORMED_QUERY");
    assert_eq!(org.refusal("SELECT Id FROM Account LIMIT 1 OFFSET 2001").0, "NUMBER_OUTSIDE_VALID_RANGE");
    assert_eq!(
        org.refusal("SELECT Id, (SELECT Id, (SELECT Id FROM Cases) FROM Contacts) FROM Account").0,
        "MALFORMED_QUERY"
    );
}

#[test]
fn deleted_rows_and_their_children_are_seen_by_query_all_until_the_recycle_bin_is_emptied() {
    let org = org();
    let account = org.create("Account", json!({"Name": "Short-lived"}));
    let contact = org.create("Contact", json!({"LastName": "Child", "AccountId": account}));
    let gone = org.send(Method::DELETE, &format!("{V}/sobjects/Account/{account}"), &[], "");
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let all = |org: &Org, soql: &str| org.get_json(&format!("{V}/queryAll?q={}", encode(soql)));
    let soql = format!("SELECT Id, IsDeleted, (SELECT Id FROM Contacts) FROM Account WHERE Id = '{account}'");
    let page = all(&org, &soql);
    assert_eq!(records(&page)[0]["IsDeleted"], true);
    assert_eq!(records(&records(&page)[0]["Contacts"])[0]["Id"], json!(contact));
    let count =
        |org: &Org| all(org, "SELECT COUNT() FROM Contact WHERE IsDeleted = true")["totalSize"].clone();
    assert_eq!(count(&org), 1);
    let everything = all(&org, "SELECT COUNT(Id) n FROM Contact");
    assert_eq!(records(&everything)[0]["n"], json!(301));
    assert_eq!(count(&org), 1);
    let seconds = |seconds: i64| jiff::SignedDuration::from_secs(seconds);
    org.clock.advance(seconds(15 * 86_400 - 30)).expect("the clock moves on");
    // Two weeks later the first token is no longer good.
    let token = string(
        &body(&org.send(
            Method::POST,
            "/services/oauth2/token",
            &[("content-type", "application/x-www-form-urlencoded")],
            &refresh(&org),
        ))["access_token"],
    );
    let org = org.with_token(token);
    assert_eq!(count(&org), 1);
    org.clock.advance(seconds(60)).expect("the clock moves on");
    assert_eq!(count(&org), 0);
    assert_eq!(all(&org, "SELECT COUNT() FROM Contact")["totalSize"], 300);
    assert_eq!(records(&all(&org, &soql)).len(), 0);
}

fn refresh(org: &Org) -> String {
    let credentials = org.credentials();
    let value = |name: &str| encode(credentials[name].as_str().expect("a credential"));
    format!(
        "grant_type=refresh_token&refresh_token={}&client_id={}&client_secret={}",
        value("refresh_token"),
        value("client_id"),
        value("client_secret")
    )
}

#[test]
fn addresses_and_heads_are_cut_off_at_their_limit_alone() {
    let org = org();
    let path = format!("{V}/query");
    let of_length = |length: usize| {
        let rest = "x".repeat(length - path.len() - 1 - "q=".len());
        org.get(&format!("{path}?q={rest}")).status
    };
    assert_eq!(of_length(16_385), StatusCode::URI_TOO_LONG);
    let padded = |length: usize| {
        let mut request = org.request(Method::GET, &path, &[], "");
        let own: usize =
            request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let room = length - own - path.len() - 1 - "x-pad".len() - 4;
        request.headers.insert("x-pad", "p".repeat(room).parse().expect("a header"));
        recordport::emulator::service::Service::handle(&org.service, &request).status
    };
    assert_eq!(padded(16_385), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(padded(16_384), StatusCode::BAD_REQUEST);
}

#[test]
fn unknown_versions_are_not_found() {
    let org = org();
    for version in ["v0.0", "v99.0", "v60", "v60.1", "60.0", "latest"] {
        let reply = org.get(&format!("/services/data/{version}/sobjects"));
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{version}");
        assert_eq!(
            body(&reply),
            json!([{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])
        );
    }
    let versions = org.get_json("/services/data");
    let numbers: Vec<f64> =
        versions.as_array().unwrap().iter().map(|row| string(&row["version"]).parse().unwrap()).collect();
    assert!(numbers.is_sorted());
    let latest = string(&versions.as_array().unwrap().last().unwrap()["url"]);
    assert_eq!(org.get(&latest).status, StatusCode::OK);
}
