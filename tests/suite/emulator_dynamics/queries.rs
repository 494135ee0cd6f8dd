//! Listings: conditions, order, pages, annotations, expansions, changes.

use std::collections::HashSet;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Org, body, header, org, org_with, rows, text};

impl Org {
    /// The rows of a table for which a condition holds, by the emulator and by a test of the stored rows.
    fn agrees(&self, set: &str, table: &str, filter: &str, wanted: impl Fn(&Value) -> bool) {
        let key = format!("{table}id");
        let ids = |list: &[Value]| -> HashSet<String> {
            list.iter().map(|row| row[&key].as_str().expect("an id").to_owned()).collect()
        };
        let found = ids(rows(&self.json(&format!("{set}?$select={key}&$filter={filter}"), "")));
        let state: Vec<Value> = self.state(table).into_iter().filter(|row| wanted(row)).collect();
        assert_eq!(found, ids(&state), "{filter}");
        assert!(!found.is_empty(), "{filter} proves nothing");
    }
}

fn lower(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_default().trim_end().to_lowercase()
}

#[test]
fn conditions_choose_exactly_the_rows_that_satisfy_them() {
    let org = org();
    let name = org.state("account")[3]["name"].as_str().expect("a name").to_owned();
    let quoted = name.to_uppercase().replace('\'', "''").replace('%', "%25").replace('&', "%26");
    org.agrees("accounts", "account", &format!("name eq '{quoted}'"), |row| {
        lower(row, "name") == name.trim_end().to_lowercase()
    });
    org.agrees("accounts", "account", "contains(name,'O''N')", |row| lower(row, "name").contains("o'n"));
    org.agrees("accounts", "account", "startswith(name,'a') and not endswith(name,'inc.')", |row| {
        let name = row["name"].as_str().unwrap_or_default().to_lowercase();
        name.starts_with('a') && !name.ends_with("inc.")
    });
    org.agrees("accounts", "account", "revenue gt 1000 and revenue le 100000000", |row| {
        row["revenue"].as_f64().is_some_and(|number| number > 1000.0 && number <= 100_000_000.0)
    });
    org.agrees("accounts", "account", "numberofemployees ne 0 or creditonhold eq true", |row| {
        row["numberofemployees"] != json!(0) || row["creditonhold"] == json!(true)
    });
    org.agrees("accounts", "account", "_primarycontactid_value eq null and name ne null", |row| {
        row["_primarycontactid_value"].is_null()
    });
    org.agrees("accounts", "account", "createdon ge 2025-06-01T00:00:00Z", |row| {
        row["createdon"].as_str().is_some_and(|moment| moment >= "2025-06-01T00:00:00Z")
    });
    org.agrees("new_invoices", "new_invoice", "new_due lt 2010-05-05", |row| {
        row["new_due"].as_str().is_some_and(|day| day < "2010-05-05")
    });
    let functions = "Microsoft.Dynamics.CRM.";
    org.agrees(
        "new_invoices",
        "new_invoice",
        &format!("{functions}ContainValues(PropertyName='new_tags',PropertyValues=['2','4'])"),
        |row| {
            row["new_tags"].as_str().is_some_and(|tags| tags.split(',').any(|tag| tag == "2" || tag == "4"))
        },
    );
    org.agrees(
        "accounts",
        "account",
        &format!("{functions}Between(PropertyName='numberofemployees',PropertyValues=[\"5\",\"2000\"])"),
        |row| row["numberofemployees"].as_i64().is_some_and(|number| (5..=2000).contains(&number)),
    );
    org.agrees(
        "contacts",
        "contact",
        &format!("{functions}In(PropertyName='gendercode',PropertyValues=['1'])"),
        |row| row["gendercode"] == json!(1),
    );
    org.agrees(
        "accounts",
        "account",
        &format!("{functions}OnOrBefore(PropertyName='createdon',PropertyValue='2025-03-31')"),
        |row| row["createdon"].as_str().is_some_and(|moment| moment < "2025-04-01"),
    );
    org.agrees("contacts", "contact", "parentcustomerid_account/name ne null", |row| {
        row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == json!("account")
    });
    let with_contacts = rows(
        &org.json("accounts?$filter=contact_customer_accounts/any(c:c/lastname ne null)&$select=name", ""),
    )
    .len();
    assert!(with_contacts > 0 && with_contacts < 120);
}

#[test]
fn wrong_queries_get_the_services_own_refusals() {
    let org = org();
    assert_eq!(org.refused("nothing", 404).0, "0x80060888");
    let (code, message) = org.refused("accounts?$filter=nope eq 1", 400);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("0x0", "Could not find a property named 'nope' on type 'Microsoft.Dynamics.CRM.account'.")
    );
    assert!(org.refused("accounts?$select=nope", 400).1.contains("'nope'"));
    assert!(org.refused("accounts?$filter=name eq 1", 400).1.contains("Edm.Int32"));
    assert!(org.refused("accounts?$filter=name eq 'x", 400).1.contains("unterminated literal"));
    assert!(org.refused("accounts?$skip=1", 400).1.contains("$skip"));
    assert!(org.refused("accounts?$filter=numberofemployees in (1,2)", 400).1.contains("Syntax error"));
    assert!(org.refused("accounts?$filter=contains(name,'%25x')", 400).1.contains("wildcard"));
    assert_eq!(org.refused("accounts(00000000-0000-0000-0000-000000000001)", 404).0, "0x80040217");
    assert_eq!(org.refused("accounts(name='x')", 400).0, "0x80060890");
    assert_eq!(org.refused("accounts(accountnumber='none')", 404).0, "0x80060891");
    assert_eq!(org.refused("accounts(accountnumber='a%2Fb')", 400).0, "0x80060888");
}

#[test]
fn pages_lead_through_every_row_once_whatever_the_order() {
    let org = org();
    for query in [
        "contacts?$select=lastname",
        "contacts?$select=lastname&$orderby=lastname desc,contactid",
        "contacts?$filter=lastname ne null",
    ] {
        let mut seen = HashSet::new();
        let mut address = query.to_owned();
        let mut pages = 0;
        loop {
            let page = org.json(&address, "odata.maxpagesize=40");
            assert!(rows(&page).len() <= 40);
            for row in rows(&page) {
                assert!(seen.insert(row["contactid"].clone()), "twice: {row}");
            }
            pages += 1;
            match page["@odata.nextLink"].as_str() {
                Some(next) => next.clone_into(&mut address),
                None => break,
            }
        }
        assert!(pages >= 7 && seen.len() > 240, "{query}: {pages} pages, {} rows", seen.len());
    }
}

#[test]
fn a_cookie_must_come_back_byte_for_byte_and_expires() {
    let org = org();
    let page = org.json("accounts?$select=name", "odata.maxpagesize=50");
    let next = page["@odata.nextLink"].as_str().expect("a link").to_owned();
    assert!(
        next.contains("$skiptoken=%3Ccookie%20pagenumber=%222%22%20pagingcookie=%22%253ccookie"),
        "{next}"
    );
    assert_eq!(org.json(&next, "odata.maxpagesize=50")["value"][0]["@odata.etag"], "W/\"1000050\"");
    // Without the preference the next page has the default size.
    assert_eq!(rows(&org.json(&next, "")).len(), 70);
    let recoded = next.replace("%253c", "%3C");
    assert_eq!(org.refused(&recoded, 400).0, "0x80041129");
    assert!(org.send(Method::POST, "/_emulator/dynamics/expire-cookies", &[], "").status.is_success());
    assert_eq!(org.refused(&next, 400).0, "0x80041129");
}

#[test]
fn top_count_and_order_behave_as_documented() {
    let org = org_with(60, false);
    let page = org.json("accounts?$select=name&$count=true&$top=3", "");
    assert_eq!((rows(&page).len(), &page["@odata.count"]), (3, &json!(5000)));
    assert_eq!(page.get("@odata.nextLink"), None);
    assert_eq!(text(&org.get("accounts/$count")), "5000");
    // With a page size $top is ignored.
    assert_eq!(rows(&org.json("accounts?$top=3", "odata.maxpagesize=10")).len(), 10);
    let reply = org.send(
        Method::GET,
        &org.whole("accounts?$select=name"),
        &[("prefer", "odata.maxpagesize=9000")],
        "",
    );
    assert_eq!(header(&reply, "preference-applied"), "odata.maxpagesize=5000");
    assert_eq!(rows(&body(&reply)).len(), 5000);
    let sorted = org.json("accounts?$select=numberofemployees&$orderby=numberofemployees&$top=4000", "");
    let numbers: Vec<Option<i64>> =
        rows(&sorted).iter().map(|row| row["numberofemployees"].as_i64()).collect();
    assert!(numbers.is_sorted(), "nulls first, then ascending");
    assert_eq!(numbers[0], None);
}

#[test]
fn annotations_come_only_when_asked_for_and_before_their_value() {
    let org = org();
    let plain = text(&org.get("accounts?$select=revenue,_primarycontactid_value&$top=20"));
    assert!(!plain.contains("FormattedValue") && plain.contains("_transactioncurrencyid_value"));
    let all = org.json("accounts?$top=20", "odata.include-annotations=\"*\"");
    let row = rows(&all).iter().find(|row| row["_primarycontactid_value"].is_string()).expect("a row");
    assert_eq!(row["_primarycontactid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], "contact");
    assert_eq!(
        row["_primarycontactid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"],
        "primarycontactid"
    );
    assert!(row["_primarycontactid_value@OData.Community.Display.V1.FormattedValue"].is_string());
    assert_eq!(all["@Microsoft.Dynamics.CRM.totalrecordcount"], -1);
    let keys: Vec<&String> = row.as_object().expect("a row").keys().collect();
    let at = |name: &str| keys.iter().position(|key| *key == name).expect(name);
    assert_eq!(at("statecode@OData.Community.Display.V1.FormattedValue") + 1, at("statecode"));
    assert!(plain.contains(".0000,") || plain.contains("00,\""), "money has four decimals");
}

#[test]
fn expansions_bring_parents_and_children() {
    let org = org();
    let page = org.json("contacts?$select=lastname&$expand=parentcustomerid_account($select=name),parentcustomerid_contact($select=fullname)", "");
    let with = |name: &str| rows(&page).iter().filter(|row| row[name].is_object()).count();
    assert!(with("parentcustomerid_account") > 0 && with("parentcustomerid_contact") > 0);
    let page = org.json(
        "accounts?$select=name&$expand=contact_customer_accounts($select=lastname;$orderby=lastname;$top=2)",
        "",
    );
    let row = rows(&page)
        .iter()
        .find(|row| row["contact_customer_accounts"].as_array().is_some_and(|list| list.len() == 2));
    let row = row.expect("an account with two contacts");
    let id = row["accountid"].as_str().expect("an id");
    let children = org.json(&format!("accounts({id})/contact_customer_accounts?$select=lastname"), "");
    assert!(rows(&children).len() >= 2);
    let page = org.json("new_invoices?$select=new_name&$expand=new_invoice_new_tag($select=new_name)", "");
    assert!(rows(&page).iter().any(|row| !row["new_invoice_new_tag"].as_array().expect("a list").is_empty()));
    let (_, message) = org.refused("accounts?$expand=contact_customer_accounts/$ref", 400);
    assert_eq!(message, "Expand with $ref is only supported on lookup type navigation property.");
    let grouped = org.json(
        "accounts?$apply=groupby((statecode),aggregate($count as number,revenue with sum as total))",
        "",
    );
    let sum: u64 = rows(&grouped).iter().filter_map(|row| row["number"].as_u64()).sum();
    assert_eq!(sum, 120);
}

#[test]
fn a_delta_link_ends_the_listing_and_dies_after_seven_days() {
    let mut org = org();
    let mut page = org.json("accounts?$select=name", "odata.track-changes,odata.maxpagesize=100");
    assert_eq!(page.get("@odata.deltaLink"), None);
    let next = page["@odata.nextLink"].as_str().expect("a link").to_owned();
    page = org.json(&next, "odata.track-changes,odata.maxpagesize=100");
    let link = page["@odata.deltaLink"].as_str().expect("a link").to_owned();
    let delta = org.json(&link, "");
    assert!(
        rows(&delta).is_empty()
            && delta["@odata.context"].as_str().is_some_and(|text| text.ends_with("/$delta"))
    );
    org.clock.advance(SignedDuration::from_hours(24 * 8)).expect("advanced");
    org.renew_token();
    let (code, message) = org.refused(&link, 400);
    assert_eq!(code, "0x80044352", "{message}");
}
