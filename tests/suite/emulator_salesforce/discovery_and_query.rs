//! Describes, seeded rows, SOQL and paging.

use std::path::Path;

use http::{HeaderMap, Method, StatusCode};
use recordport::emulator::service::{Request, Service};
use serde_json::{Value, json};

use super::{body, keys, org, org_with, records, string};

fn recorded_account() -> Value {
    let text = include_str!("../../../fixtures/salesforce/describe_Account.json");
    serde_json::from_str(text).expect("the recording is JSON")
}

#[test]
fn account_is_described_field_for_field_as_recorded() {
    let recorded = recorded_account();
    let ours = org().get_json("/services/data/v60.0/sobjects/Account/describe");
    assert_eq!(ours["fields"].as_array().map(Vec::len), Some(68));
    for (ours, recorded) in
        ours["fields"].as_array().unwrap().iter().zip(recorded["fields"].as_array().unwrap())
    {
        assert_eq!(ours, recorded);
        assert_eq!(keys(ours), keys(recorded));
    }
    for key in keys(&recorded) {
        assert!(ours.get(&key).is_some(), "{key} is missing");
    }
    let ours_keys = keys(&ours);
    assert!(ours_keys.is_sorted(), "{ours_keys:?}");
}

#[test]
fn every_type_has_every_key_and_relations_that_lead_somewhere() {
    let org = org();
    let recorded = recorded_account();
    let global = org.get_json("/services/data/v60.0/sobjects");
    assert_eq!(global["maxBatchSize"], 200);
    let names: Vec<String> =
        global["sobjects"].as_array().unwrap().iter().map(|entry| string(&entry["name"])).collect();
    for name in &names {
        let describe = org.get_json(&format!("/services/data/v60.0/sobjects/{name}/describe"));
        assert_eq!(describe["urls"]["sobject"], format!("/services/data/v60.0/sobjects/{name}"));
        for field in describe["fields"].as_array().unwrap() {
            assert_eq!(keys(field), keys(&recorded["fields"][0]), "{name}");
            for target in field["referenceTo"].as_array().unwrap() {
                assert!(names.contains(&string(target)), "{name}.{} leads to {target}", field["name"]);
            }
            let kind = field["type"].as_str().unwrap();
            assert_eq!(kind == "reference", !field["referenceTo"].as_array().unwrap().is_empty());
        }
        for child in describe["childRelationships"].as_array().unwrap() {
            assert_eq!(keys(child), keys(&recorded["childRelationships"][0]));
        }
    }
    let account = org.get_json("/services/data/v60.0/sobjects/Account/describe");
    let invoices = account["childRelationships"]
        .as_array()
        .unwrap()
        .iter()
        .find(|child| child["childSObject"] == "Invoice__c");
    assert_eq!(invoices.unwrap()["relationshipName"], "Invoices__r");
}

#[test]
fn the_custom_type_uses_every_field_type() {
    let describes = org();
    let mut seen: Vec<String> = Vec::new();
    for object in ["Invoice__c", "Account", "Attachment"] {
        let describe = describes.get_json(&format!("/services/data/v60.0/sobjects/{object}/describe"));
        seen.extend(describe["fields"].as_array().unwrap().iter().map(|field| string(&field["type"])));
    }
    for kind in [
        "string",
        "picklist",
        "multipicklist",
        "combobox",
        "reference",
        "base64",
        "boolean",
        "currency",
        "textarea",
        "int",
        "double",
        "percent",
        "phone",
        "id",
        "date",
        "datetime",
        "time",
        "url",
        "email",
        "encryptedstring",
        "location",
        "address",
    ] {
        assert!(seen.iter().any(|seen| seen == kind), "{kind}");
    }
}

#[test]
fn an_unchanged_describe_is_not_sent_again() {
    let org = org();
    let path = "/services/data/v60.0/sobjects/Account/describe";
    let first = org.get(path);
    let changed = first.headers["last-modified"].to_str().unwrap();
    let again = org.send(Method::GET, path, &[("if-modified-since", changed)], "");
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.body.is_empty() && again.headers.contains_key("etag"));
    let older = org.send(Method::GET, path, &[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], "");
    assert_eq!(older.status, StatusCode::OK);
}

#[test]
fn every_seed_type_has_rows_with_all_fields_and_nulls_in_each_nullable_one() {
    let org = org();
    for object in ["Account", "Contact", "Opportunity", "Case", "Lead", "Task", "Invoice__c"] {
        let describe = org.get_json(&format!("/services/data/v60.0/sobjects/{object}/describe"));
        let rows = org.state(object);
        assert!(rows.len() >= 60, "{object} has {} rows", rows.len());
        for field in describe["fields"].as_array().unwrap() {
            let name = field["name"].as_str().unwrap();
            let nulls = rows.iter().filter(|row| row[name].is_null()).count();
            for row in &rows {
                assert!(row.get(name).is_some(), "{object}.{name} is missing");
            }
            assert_eq!(nulls > 0, field["nillable"] == true, "{object}.{name}: {nulls} nulls");
            let length = usize::try_from(field["length"].as_u64().unwrap()).unwrap();
            if length > 0 {
                let longest =
                    rows.iter().filter_map(|row| row[name].as_str()).map(|text| text.chars().count()).max();
                assert!(longest.unwrap_or(0) <= length, "{object}.{name}: {longest:?}");
            }
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_rows_and_another_seed_others() {
    let (one, same, other) = (org(), org(), org_with(8, 1, false));
    assert_eq!(one.state("Contact"), same.state("Contact"));
    assert_ne!(one.state("Contact")[0]["Id"], other.state("Contact")[0]["Id"]);
    assert_ne!(one.state("Contact")[5]["Name"], other.state("Contact")[5]["Name"]);
}

#[test]
fn an_empty_org_keeps_only_the_user_that_signs_in() {
    let org = org_with(7, 1, true);
    assert!(org.state("Account").is_empty());
    assert_eq!(org.state("User").len(), 1);
    assert_eq!(org.query("SELECT COUNT() FROM Contact")["totalSize"], 0);
}

#[test]
fn without_a_token_only_the_versions_are_told() {
    let org = org();
    let mut request = Request {
        method: Method::GET,
        path: "/services/data".to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
        origin: "http://127.0.0.1:9".to_owned(),
        now: org.clock.now(),
    };
    let versions = org.service.handle(&request);
    assert_eq!(versions.status, StatusCode::OK);
    assert_eq!(body(&versions).as_array().unwrap().last().unwrap()["version"], "62.0");
    request.path = "/services/data/v60.0/sobjects".to_owned();
    let refused = org.service.handle(&request);
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        body(&refused),
        json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    );
}

#[test]
fn replies_carry_the_services_headers() {
    let reply = org().get("/services/data/v60.0/sobjects/Account");
    assert_eq!(reply.headers["content-type"], "application/json;charset=UTF-8");
    assert_eq!(reply.headers["server"], "sfdcedge");
    assert_eq!(reply.headers["x-sfdc-request-id"], reply.headers["x-request-id"]);
    assert!(reply.headers["sforce-limit-info"].to_str().unwrap().starts_with("api-usage="));
    let body = body(&reply);
    assert_eq!(body["objectDescribe"]["keyPrefix"], "001");
    assert_eq!(body["recentItems"], json!([]));
}

#[test]
fn pages_follow_the_locator_and_each_row_comes_once() {
    let org = org_with(7, 20, false);
    let mut page = org.query("SELECT Id, Name FROM Account");
    assert_eq!(page["totalSize"], 2400);
    assert_eq!(records(&page).len(), 2000);
    assert_eq!(page["done"], false);
    let next = string(&page["nextRecordsUrl"]);
    let token = next.strip_prefix("/services/data/v60.0/query/").expect("an address");
    let (locator, offset) = token.split_once('-').expect("an offset");
    assert_eq!((locator.len(), offset), (18, "2000"));
    let mut ids: Vec<String> = records(&page).iter().map(|row| string(&row["Id"])).collect();
    page = org.get_json(&next);
    assert_eq!(page["done"], true);
    assert_eq!(page["totalSize"], 2400);
    assert!(page.get("nextRecordsUrl").is_none());
    ids.extend(records(&page).iter().map(|row| string(&row["Id"])));
    assert_eq!(ids.len(), 2400);
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 2400);

    let smaller = org.send(
        Method::GET,
        "/services/data/v60.0/query/?q=SELECT+Id+FROM+Account",
        &[("sforce-query-options", "batchSize=1")],
        "",
    );
    assert_eq!(records(&body(&smaller)).len(), 200);
    assert_eq!(org.query("SELECT Id, Description FROM Account")["records"].as_array().unwrap().len(), 1000);
}

#[test]
fn a_locator_dies_of_age_by_command_and_when_ten_newer_ones_are_open() {
    let org = org_with(7, 20, false);
    let open = || string(&org.query("SELECT Id FROM Account")["nextRecordsUrl"]);
    let first = open();
    for _ in 0..9 {
        open();
    }
    assert_eq!(org.get(&first).status, StatusCode::OK);
    let second = open();
    let gone = org.get(&first);
    assert_eq!(gone.status, StatusCode::BAD_REQUEST);
    assert_eq!(body(&gone)[0]["errorCode"], "INVALID_QUERY_LOCATOR");
    assert_eq!(org.get(&second).status, StatusCode::OK);
    org.clock.advance(jiff::SignedDuration::from_mins(16)).expect("the clock moves on");
    assert_eq!(org.get(&second).status, StatusCode::BAD_REQUEST);
    let third = open();
    org.service.expire_locators();
    assert_eq!(org.get(&third).status, StatusCode::BAD_REQUEST);
}

#[test]
fn parents_come_nested_with_their_attributes() {
    let org = org();
    let page = org.query(
        "SELECT LastName, Account.Name, Account.Owner.Username, Account.Parent.Parent.Name FROM Contact ORDER BY Id",
    );
    let rows = records(&page);
    let with = rows.iter().find(|row| !row["Account"].is_null()).expect("a contact with an account");
    assert_eq!(with["Account"]["attributes"]["type"], "Account");
    assert!(
        string(&with["Account"]["attributes"]["url"])
            .starts_with("/services/data/v60.0/sobjects/Account/001")
    );
    assert!(with["Account"]["Owner"]["Username"].is_string());
    assert!(rows.iter().any(|row| row["Account"].is_null()));
    let tasks = org.query("SELECT Who.Name, Who.Type, What.Name FROM Task WHERE WhoId != null LIMIT 5");
    let who = &records(&tasks)[0]["Who"];
    assert_eq!(who["attributes"]["type"], "Name");
    assert!(["Contact", "Lead"].contains(&who["Type"].as_str().unwrap()));
}

#[test]
fn children_come_nested_or_null() {
    let org = org();
    let page =
        org.query("SELECT Id, (SELECT Id, LastName FROM Contacts ORDER BY LastName LIMIT 2) FROM Account");
    let contacts = org.state("Contact");
    for row in records(&page) {
        let own = contacts.iter().filter(|contact| contact["AccountId"] == row["Id"]).count();
        match own {
            0 => assert!(row["Contacts"].is_null()),
            own => assert_eq!(records(&row["Contacts"]).len(), own.min(2)),
        }
    }
}

#[test]
fn statements_of_the_reference_are_taken() {
    let org = org();
    for (object, condition) in [
        ("Account", "Name = 'x' AND (Type = null OR Rating != 'Hot')"),
        ("Account", "NOT Name LIKE 'A%'"),
        ("Account", "NOT (Name LIKE 'A%')"),
        ("Account", "name in ('a', 'b') and ISDELETED = FALSE"),
        ("Account", "Name NOT IN ('a') AND Name not in ('b')"),
        ("Account", "AnnualRevenue >= 1e3 AND AnnualRevenue < +5.5 AND NumberOfEmployees <> -1"),
        ("Account", "CreatedDate >= 2025-01-01T00:00:00Z AND CreatedDate < 2025-06-01T00:00:00.000+02:00"),
        ("Account", "LastActivityDate = 2025-01-31 OR LastActivityDate = LAST_N_DAYS:30"),
        ("Account", "CreatedDate = last_year"),
        ("Account", "Id IN (SELECT AccountId FROM Contact WHERE LastName LIKE 'D%')"),
        ("Account", "Id NOT IN (SELECT AccountId FROM Opportunity)"),
        ("Account", "Account.Owner.IsActive = true"),
        ("Contact", "Account.Parent.Name = null"),
        ("Invoice__c", "Tags__c INCLUDES ('Urgent;Export', 'VIP') AND Tags__c EXCLUDES ('R&D')"),
        ("Invoice__c", "Tags__c = 'Urgent;VIP' OR Start__c > 10:30:00.000Z"),
        ("Invoice__c", "Account__r.Name != null"),
        ("Task", "What.Type = 'Account' AND Owner.Name != null"),
        ("Case", "Subject = 'it\\'s \\\\ \\u00e9 \\n' OR Subject LIKE '%50\\%\\_%'"),
    ] {
        org.query(&format!(
            "SELECT Id FROM {object} WHERE {condition} ORDER BY Id DESC NULLS LAST LIMIT 3 OFFSET 1"
        ));
    }
    org.query("select count() from Account");
    org.query("SELECT FIELDS(ALL) FROM Account LIMIT 2");
    org.query("SELECT a.Name, a.Owner.Name FROM Account a WHERE a.Name != null");
    org.query("SELECT Id FROM Account USING SCOPE everything WHERE Name != null FOR VIEW");
    org.get_json("/services/data/v60.0/queryAll/?q=SELECT+Id+FROM+Account+LIMIT+1");
}

#[test]
fn statements_that_the_service_refuses_are_refused_in_its_words() {
    let org = org();
    for (soql, code, words) in [
        ("SELECT Id FRM Account", "MALFORMED_QUERY", "unexpected token: 'Account'"),
        (
            "SELECT Id FROM Account WHERE Name = 'a' AND Type = 'b' OR Type = 'c'",
            "MALFORMED_QUERY",
            "unexpected token: 'OR'",
        ),
        ("SELECT Id FROM Account WHERE Name = 'it''s'", "MALFORMED_QUERY", "ERROR at Row:1:Column:"),
        ("SELECT Id FROM Account WHERE Name = 'a\\q'", "MALFORMED_QUERY", "Illegal character sequence '\\q'"),
        ("SELECT Id FROM Account WHERE Name = '50\\%'", "MALFORMED_QUERY", "Illegal character sequence"),
        ("SELECT Id FROM Account WHERE Name = \"a\"", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE Name IS NULL", "MALFORMED_QUERY", "unexpected token: 'IS'"),
        (
            "SELECT Id FROM Account WHERE Name LIKE 'a' garbage",
            "MALFORMED_QUERY",
            "unexpected token: 'garbage'",
        ),
        ("SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE CreatedDate = SOON", "MALFORMED_QUERY", "unexpected token: 'SOON'"),
        ("SELECT * FROM Account", "MALFORMED_QUERY", "unexpected token: '*'"),
        ("SELECT Foo FROM Account", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD", "duplicate field selected"),
        ("SELECT Id FROM Accout", "INVALID_TYPE", "sObject type 'Accout' is not supported"),
        ("SELECT Boss.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Boss'"),
        (
            "SELECT Id FROM Account WHERE Description LIKE 'a%'",
            "INVALID_FIELD",
            "can not be filtered in a query call",
        ),
        ("SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"),
        ("SELECT Id FROM Invoice__c ORDER BY Tags__c", "MALFORMED_QUERY", "can not be sorted"),
        (
            "SELECT Id FROM Account WHERE Id = 'somethingwonky'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid ID field: somethingwonky",
        ),
        (
            "SELECT Id FROM Account WHERE IsDeleted > false",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator",
        ),
        (
            "SELECT Id FROM Account WHERE AnnualRevenue LIKE '1%'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator",
        ),
        (
            "SELECT Id FROM Invoice__c WHERE Tags__c LIKE 'a'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator",
        ),
        (
            "SELECT Id FROM Account WHERE Name INCLUDES ('a')",
            "INVALID_QUERY_FILTER_OPERATOR",
            "multipicklist",
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate = '2025-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "must be of type dateTime and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate = 2025-01-01",
            "INVALID_FIELD",
            "must be of type dateTime",
        ),
        ("SELECT Id FROM Account WHERE NumberOfEmployees = '5'", "INVALID_FIELD", "must be of type int"),
        (
            "SELECT Id FROM Account WHERE Name = 5",
            "INVALID_FIELD",
            "must be of type string and should be enclosed in quotes",
        ),
        ("SELECT Id FROM Account WHERE LastActivityDate = 2025-02-30", "MALFORMED_QUERY", "Invalid date"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT"),
        (
            "SELECT Account.Owner.Manager.Manager.Manager.Manager.Name FROM Contact",
            "INVALID_FIELD",
            "5 levels",
        ),
    ] {
        let (got, message) = org.refusal(soql);
        assert_eq!(got, code, "{soql}: {message}");
        assert!(message.contains(words), "{soql}: {message}");
    }
    let long = format!("SELECT Id FROM Account WHERE Name = '{}'", "x".repeat(4001));
    assert_eq!(org.refusal(&long).0, "MALFORMED_QUERY");
    let deep = format!("SELECT Id FROM Account WHERE {}Name = 'a'{}", "(".repeat(5000), ")".repeat(5000));
    let reply = org.get(&format!("/services/data/v60.0/query?q={}", deep.replace(' ', "+")));
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let wide = org.get(&format!("/services/data/v60.0/query?q={}", "x".repeat(16_500)));
    assert_eq!(wide.status, StatusCode::URI_TOO_LONG);
}

#[test]
fn a_refusal_points_at_the_place() {
    let (_, message) = org().refusal("SELECT Id, Foo FROM Account");
    assert!(
        message.starts_with(
            "\nSELECT Id, Foo FROM Account\n           ^\nERROR at Row:1:Column:12\nNo such column"
        ),
        "{message}"
    );
}

#[test]
fn text_compares_without_case_unless_the_field_says_so() {
    let org = org();
    let rows = org.state("Invoice__c");
    let code = |row: &Value| row["Code__c"].as_str().map(str::to_owned);
    let lower = rows.iter().filter_map(code).find(|code| code.starts_with("code-")).expect("a code");
    assert_eq!(org.ids("Invoice__c", &format!("Code__c = '{lower}'")).len(), 1);
    assert_eq!(
        org.ids("Invoice__c", "External_Id__c = 'ext-000001'"),
        org.ids("Invoice__c", "External_Id__c = 'EXT-000001'")
    );
    let name = string(&org.state("Account")[4]["Name"]).replace('\\', "\\\\").replace('\'', "\\'");
    assert_eq!(
        org.ids("Account", &format!("Name = '{}'", name.to_uppercase())),
        org.ids(
            "Account",
            &format!("Name LIKE '{}'", name.to_lowercase().replace('%', "\\%").replace('_', "\\_"))
        )
    );
}

#[test]
fn conditions_are_two_valued_over_null() {
    let org = org();
    let rows = org.state("Account");
    let count = |test: &dyn Fn(&Value) -> bool| rows.iter().filter(|row| test(&row["Rating"])).count();
    let ids = |condition: &str| org.ids("Account", condition).len();
    assert_eq!(ids("Rating != 'Hot'"), count(&|rating| rating != "Hot"));
    assert_eq!(ids("NOT (Rating = 'Hot')"), count(&|rating| rating != "Hot"));
    assert_eq!(ids("Rating NOT IN ('Hot', 'Cold')"), count(&|rating| rating != "Hot" && rating != "Cold"));
    assert_eq!(ids("Rating = null"), count(&Value::is_null));
    assert_eq!(ids("Rating = ''"), count(&Value::is_null));
    assert_eq!(ids("Rating IN ('Hot', null)"), count(&|rating| rating.is_null() || rating == "Hot"));
    assert_eq!(ids("Rating < 'Hot'"), count(&|rating| rating == "Cold"));
    assert_eq!(ids("Rating > null"), 0);
}

#[test]
fn sorting_puts_nulls_where_it_is_told() {
    let org = org();
    let ratings = |order: &str| -> Vec<Option<String>> {
        let page = org.query(&format!("SELECT Rating FROM Account ORDER BY {order}"));
        records(&page).iter().map(|row| row["Rating"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(ratings("Rating").first(), Some(&None));
    assert_eq!(ratings("Rating DESC").first(), Some(&None));
    assert_eq!(ratings("Rating DESC NULLS LAST").first(), Some(&Some("Warm".to_owned())));
    assert!(ratings("Rating NULLS FIRST, Name").is_sorted());
}

#[test]
fn an_id_condition_in_either_length_selects_by_id() {
    let org = org_with(7, 1000, false);
    let page = org.query("SELECT Id FROM Account ORDER BY Id LIMIT 1 OFFSET 1000");
    let id = string(&records(&page)[0]["Id"]);
    let after = org.query(&format!("SELECT Id FROM Account WHERE Id > '{}' ORDER BY Id LIMIT 3", &id[..15]));
    let ids: Vec<String> = records(&after).iter().map(|row| string(&row["Id"])).collect();
    assert!(ids.iter().all(|next| *next > id) && ids.len() == 3);
    assert_eq!(org.query(&format!("SELECT Id FROM Account WHERE Id > '{id}'"))["totalSize"], 120_000 - 1001);
    assert_eq!(
        org.ids("Account", &format!("Id IN ('{id}', '{}')", &ids[0][..15])),
        [id.clone(), ids[0].clone()]
    );
}

#[test]
fn an_imported_type_is_described_as_it_was_read_and_has_rows() {
    let org = org();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/salesforce/describe_Account.json");
    org.service.import(&file).expect("the recording is read");
    assert_eq!(org.get_json("/services/data/v60.0/sobjects/Account/describe"), recorded_account());
    let rows = org.state("Account");
    assert_eq!(rows.len(), 120);
    assert_eq!(keys(&rows[0]).len(), 68);
    let custom = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/salesforce/describe_Custom__c.json");
    org.service.import(&custom).expect("the recording is read");
    assert!(org.query("SELECT COUNT() FROM Custom__c")["totalSize"].as_u64().unwrap() > 0);
    org.service.reset();
    assert!(!org.state("Custom__c").is_empty());
    let nothing = org.service.import(Path::new("/nonexistent/file.json"));
    assert!(nothing.unwrap_err().contains("file.json"));
}
