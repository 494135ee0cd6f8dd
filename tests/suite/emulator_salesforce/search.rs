//! Full-text search.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Org, body, encode, org, string, text};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

impl Org {
    fn find(&self, statement: &str) -> Vec<Value> {
        let found = self.get_json(&format!("/services/data/v60.0/search?q={}", encode(statement)));
        found["searchRecords"].as_array().expect("rows").clone()
    }

    /// Names of the rows that a statement with `Name` finds.
    fn found_names(&self, statement: &str) -> Vec<String> {
        self.find(statement).iter().map(|row| string(&row["Name"])).collect()
    }

    fn account(&self, name: &str, phone: &str) -> String {
        let fields = json!({ "Name": name, "Phone": phone });
        let reply =
            self.send(Method::POST, "/services/data/v60.0/sobjects/Account", JSON, &fields.to_string());
        string(&body(&reply)["id"])
    }
}

fn stocked() -> Org {
    let org = org();
    org.account("Quokka Logistics", "+49 89 555");
    org.account("Quokka & Sons Trading", "+49 30 777");
    org.account("Quoll Trading", "+1 212 777");
    org
}

#[test]
fn words_phrases_wildcards_and_operators_select_rows() {
    let org = stocked();
    let names = |find: &str| {
        org.found_names(&format!("FIND {{{find}}} IN NAME FIELDS RETURNING Account(Id, Name ORDER BY Name)"))
    };
    assert_eq!(names("quokka"), ["Quokka & Sons Trading", "Quokka Logistics"]);
    assert_eq!(names("Quo*"), ["Quokka & Sons Trading", "Quokka Logistics", "Quoll Trading"]);
    assert_eq!(names("quo?l"), ["Quoll Trading"]);
    assert_eq!(names("quo"), Vec::<String>::new());
    assert_eq!(names("\"sons trading\""), ["Quokka & Sons Trading"]);
    assert_eq!(names("\"trading sons\""), Vec::<String>::new());
    assert_eq!(names("quokka AND trading"), ["Quokka & Sons Trading"]);
    assert_eq!(names("quokka trading"), ["Quokka & Sons Trading"]);
    assert_eq!(names("quokka AND NOT trading"), ["Quokka Logistics"]);
    assert_eq!(names("quokka AND logistics OR quoll"), ["Quokka Logistics", "Quoll Trading"]);
    assert_eq!(names("quo* and (sons or logistics)"), ["Quokka & Sons Trading", "Quokka Logistics"]);
    assert_eq!(names("Quokka \\& Sons"), ["Quokka & Sons Trading"]);
}

#[test]
fn the_scope_the_condition_and_the_limits_hold() {
    let org = stocked();
    assert_eq!(org.found_names("FIND {777} IN PHONE FIELDS RETURNING Account(Name)").len(), 2);
    assert_eq!(org.found_names("FIND {777} IN NAME FIELDS RETURNING Account(Name)").len(), 0);
    assert_eq!(
        org.found_names(
            "find {777} in all fields returning Account(Name where Name like 'Quoll%' or Name = ')' limit 5)"
        ),
        ["Quoll Trading"]
    );
    let all = "FIND {quo*} RETURNING Account(Name ORDER BY Name";
    assert_eq!(org.found_names(&format!("{all} LIMIT 1)")), ["Quokka & Sons Trading"]);
    assert_eq!(org.found_names(&format!("{all} LIMIT 1 OFFSET 1)")), ["Quokka Logistics"]);
    assert_eq!(org.found_names(&format!("{all}) LIMIT 2")).len(), 2);
    let bare = org.find("FIND {quokka} RETURNING Account");
    assert_eq!(bare.len(), 2);
    assert_eq!(bare[0]["attributes"]["type"], "Account");
    assert_eq!((bare[0]["Id"].is_string(), bare[0].get("Name")), (true, None));
    let everywhere = org.find("FIND {quokka}");
    assert!(everywhere.len() >= 2, "{everywhere:?}");
    let two = org.find("FIND {quokka} IN ALL FIELDS RETURNING Contact(Id), Account(Id, Name)");
    assert!(two.iter().all(|row| row["attributes"]["type"] == "Account"), "{two:?}");
}

#[test]
fn searches_without_a_statement_take_parameters_or_json() {
    let org = stocked();
    let found = org.get_json(
        "/services/data/v60.0/parameterizedSearch/?q=quokka&sobject=Account&Account.fields=Id,Name&Account.limit=1&in=NAME",
    );
    assert_eq!(found["searchRecords"].as_array().map(Vec::len), Some(1));
    assert!(found["searchRecords"][0]["Name"].is_string());
    let wanted = json!({ "q": "quo*", "in": "ALL", "overallLimit": 5, "defaultLimit": 9,
        "sobjects": [{ "name": "Account", "fields": ["Name"], "where": "Name LIKE '%Trading'" }] });
    let reply = org.send(Method::POST, "/services/data/v60.0/parameterizedSearch", JSON, &wanted.to_string());
    assert_eq!(reply.status, StatusCode::OK, "{}", text(&reply));
    assert_eq!(body(&reply)["searchRecords"].as_array().map(Vec::len), Some(2));
}

#[test]
fn searches_that_cannot_be_are_refused() {
    let org = org();
    let refused = [
        ("FIND quokka", "MALFORMED_SEARCH"),
        ("FIND {q}", "MALFORMED_SEARCH"),
        ("FIND {}", "MALFORMED_SEARCH"),
        ("FIND {quokka} IN SOME FIELDS", "MALFORMED_SEARCH"),
        ("FIND {quokka} RETURNING", "MALFORMED_SEARCH"),
        ("SELECT Id FROM Account", "MALFORMED_SEARCH"),
        ("FIND {quokka} RETURNING Nope(Id)", "INVALID_TYPE"),
        ("FIND {quokka} RETURNING Account(Nope)", "INVALID_FIELD"),
        ("FIND {quokka} RETURNING Account(Id WHERE Nope = 1)", "INVALID_FIELD"),
    ];
    for (statement, code) in refused {
        let reply = org.get(&format!("/services/data/v60.0/search?q={}", encode(statement)));
        assert_eq!(
            (reply.status, &body(&reply)[0]["errorCode"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{statement}"
        );
    }
    let deep = format!("FIND {{{}aa{}}}", "(".repeat(20_000), ")".repeat(20_000));
    let reply = org.get(&format!("/services/data/v60.0/parameterizedSearch?q={}", "(".repeat(9_000)));
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let reply = org.get(&format!(
        "/services/data/v60.0/search?q={}",
        deep.get(..9_000).unwrap_or_default().replace(' ', "+")
    ));
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(body(&org.get("/services/data/v60.0/search"))[0]["errorCode"], "MALFORMED_SEARCH");
    assert_eq!(
        body(&org.get("/services/data/v60.0/parameterizedSearch"))[0]["errorCode"],
        "MALFORMED_SEARCH"
    );
}
