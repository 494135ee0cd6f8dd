//! What the control surface changes while clients are at work: permissions, fields, duplicate rules; and the
//! rules of rows that belong to them.

use http::{Method, StatusCode};
use recordport::emulator::service::{Reply, Service};
use serde_json::{Value, json};

use super::{Org, body, org, org_with, records, string, text};

const V: &str = "/services/data/v60.0";

impl Org {
    fn control(&self, what: &str, settings: &Value) -> Reply {
        self.send(Method::POST, &format!("/_emulator/salesforce/{what}"), &[], &settings.to_string())
    }

    fn set(&self, what: &str, settings: &Value) {
        let reply = self.control(what, settings);
        assert_eq!(reply.status, StatusCode::OK, "{settings}: {}", text(&reply));
    }

    fn field_names(&self, object: &str) -> Vec<String> {
        let describe = self.get_json(&format!("{V}/sobjects/{object}/describe"));
        describe["fields"].as_array().unwrap().iter().map(|field| string(&field["name"])).collect()
    }

    fn error(&self, method: Method, address: &str, fields: &Value) -> Value {
        let reply = self.write(method, address, fields);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", text(&reply));
        body(&reply)[0].clone()
    }
}

#[test]
fn a_hidden_field_is_absent_and_refused_until_the_reset() {
    let org = org();
    let before = org.field_names("Account");
    let id = string(&org.state("Account")[0]["Id"]);
    org.set("permissions", &json!({"type": "Account", "field": "Rating", "readable": false}));
    let after = org.field_names("Account");
    assert_eq!(after, before.iter().filter(|name| *name != "Rating").cloned().collect::<Vec<_>>());
    for soql in [
        "SELECT Rating FROM Account",
        "SELECT Id FROM Account WHERE Rating = 'Hot'",
        "SELECT Id FROM Account ORDER BY Rating",
        "SELECT COUNT(Rating) FROM Account",
        "SELECT Account.Rating FROM Contact",
    ] {
        let (code, message) = org.refusal(soql);
        assert_eq!(code, "INVALID_FIELD", "{soql}");
        assert!(message.contains("No such column 'Rating' on entity 'Account'"), "{message}");
    }
    let all = org.query("SELECT FIELDS(ALL) FROM Account LIMIT 1");
    assert!(records(&all)[0].get("Rating").is_none());
    assert!(org.get_json(&format!("{V}/sobjects/Account/{id}")).get("Rating").is_none());
    for (method, address) in
        [(Method::POST, "/sobjects/Account".to_owned()), (Method::PATCH, format!("/sobjects/Account/{id}"))]
    {
        let error = org.error(method, &address, &json!({"Name": "x", "Rating": "Hot"}));
        assert_eq!(error["errorCode"], "INVALID_FIELD_FOR_INSERT_UPDATE");
        assert_eq!(error["fields"], json!(["Rating"]));
        assert!(
            string(&error["message"]).starts_with("Unable to create/update fields: Rating. Please check")
        );
    }
    // The value is still there for those who may see it.
    assert!(org.state("Account")[0].get("Rating").is_some());
    org.service.reset();
    assert_eq!(org.field_names("Account"), before);
    org.query("SELECT Rating FROM Account");
}

#[test]
fn a_field_that_is_not_editable_says_so_and_can_be_opened_again() {
    let org = org();
    let flags = |org: &Org| {
        let describe = org.get_json(&format!("{V}/sobjects/Contact/describe"));
        let fields = describe["fields"].as_array().unwrap().clone();
        let field = fields.into_iter().find(|field| field["name"] == "Email").unwrap();
        (field["createable"].clone(), field["updateable"].clone())
    };
    org.set("permissions", &json!({"type": "contact", "field": "email", "editable": false}));
    assert_eq!(flags(&org), (json!(false), json!(false)));
    org.query("SELECT Email FROM Contact");
    let error =
        org.error(Method::POST, "/sobjects/Contact", &json!({"LastName": "x", "Email": "a@b.example"}));
    assert_eq!(error["errorCode"], "INVALID_FIELD_FOR_INSERT_UPDATE");
    org.set("permissions", &json!({"type": "Contact", "field": "Email", "editable": true}));
    assert_eq!(flags(&org), (json!(true), json!(true)));
    org.create("Contact", json!({"LastName": "x", "Email": "a@b.example"}));
}

#[test]
fn a_type_can_be_closed_in_part_or_whole() {
    let org = org();
    let id = string(&org.state("Lead")[0]["Id"]);
    org.set("permissions", &json!({"type": "Lead", "createable": false, "deletable": false}));
    let describe = org.get_json(&format!("{V}/sobjects/Lead/describe"));
    assert_eq!(
        (&describe["createable"], &describe["updateable"], &describe["deletable"]),
        (&json!(false), &json!(true), &json!(false))
    );
    let error = org.error(Method::POST, "/sobjects/Lead", &json!({"LastName": "x", "Company": "y"}));
    assert_eq!(error["errorCode"], "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY");
    let kept = org.send(Method::DELETE, &format!("{V}/sobjects/Lead/{id}"), &[], "");
    assert_eq!(kept.status, StatusCode::BAD_REQUEST);
    org.set("permissions", &json!({"type": "Lead", "readable": false}));
    assert_eq!(org.refusal("SELECT Id FROM Lead").0, "INVALID_TYPE");
    assert_eq!(org.get(&format!("{V}/sobjects/Lead/describe")).status, StatusCode::NOT_FOUND);
    let global = org.get_json(&format!("{V}/sobjects"));
    assert!(global["sobjects"].as_array().unwrap().iter().all(|entry| entry["name"] != "Lead"));
}

#[test]
fn fields_come_and_go_while_a_client_reads() {
    let org = org_with(7, 20, false);
    let path = format!("{V}/sobjects/Account/describe");
    let first = org.get(&path);
    let known = first.headers["last-modified"].to_str().unwrap().to_owned();
    let page = org.query("SELECT Id, Name FROM Account");
    org.set(
        "fields",
        &json!({"type": "Account", "field": {"name": "Extra__c", "type": "picklist", "picklistValues": ["a", "b"], "restrictedPicklist": true}}),
    );
    // A client that kept the describe learns of it.
    let again = org.send(Method::GET, &path, &[("if-modified-since", &known)], "");
    assert_eq!(again.status, StatusCode::OK);
    let fields = body(&again)["fields"].as_array().unwrap().clone();
    let added = fields.last().unwrap();
    assert_eq!((&added["name"], &added["custom"]), (&json!("Extra__c"), &json!(true)));
    assert_eq!(added.as_object().unwrap().len(), fields[0].as_object().unwrap().len());
    assert_eq!(added["picklistValues"][1]["value"], "b");
    // The search under way goes on.
    let rest = org.get_json(&string(&page["nextRecordsUrl"]));
    assert_eq!(records(&rest).len(), 400);
    let id = org.create("Account", json!({"Name": "x", "Extra__c": "a"}));
    assert_eq!(
        records(&org.query("SELECT Id FROM Account WHERE Extra__c = 'a' AND Name = 'x'"))[0]["Id"],
        json!(id)
    );
    let odd = org.error(Method::POST, "/sobjects/Account", &json!({"Name": "x", "Extra__c": "c"}));
    assert_eq!(odd["errorCode"], "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST");
    org.set("fields", &json!({"type": "Account", "remove": "Extra__c"}));
    let error = org.error(Method::POST, "/sobjects/Account", &json!({"Name": "x", "Extra__c": "a"}));
    assert_eq!(error["message"], "No such column 'Extra__c' on sobject of type Account");
    assert!(org.state("Account")[0].get("Extra__c").is_none());
}

#[test]
fn settings_that_mean_nothing_are_refused_with_the_reason() {
    let org = org();
    for (what, settings, words) in [
        ("permissions", json!({"type": "Nothing", "readable": false}), "no type"),
        ("permissions", json!({"type": "Account", "field": "Nope", "readable": false}), "no field"),
        ("permissions", json!({"type": "Account", "field": "Name", "readable": false}), "cannot close"),
        ("permissions", json!({"type": "Account", "visible": false}), "visible"),
        ("fields", json!({"type": "Account", "field": {"name": "Name"}}), "already"),
        ("fields", json!({"type": "Account", "field": {"name": "A__c", "size": 3}}), "size"),
        ("fields", json!({"type": "Account", "field": {"name": "A__c", "type": "text"}}), "no field type"),
        ("fields", json!({"type": "Account", "remove": "Id"}), "part of every"),
        ("fields", json!({"type": "Account"}), "give either"),
        ("duplicate-rules", json!({"type": "Account", "fields": []}), "at least one"),
    ] {
        let reply = org.control(what, &settings);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{settings}");
        assert!(text(&reply).contains(words), "{settings}: {}", text(&reply));
    }
    assert_eq!(org.control("nothing", &json!({})).status, StatusCode::NOT_FOUND);
}

#[test]
fn a_duplicate_is_refused_with_what_it_duplicates_unless_the_writer_insists() {
    let org = org();
    let first = org.create("Contact", json!({"LastName": "Same", "Email": "one@same.example"}));
    org.set(
        "duplicate-rules",
        &json!({"type": "Contact", "fields": ["LastName", "Email"], "name": "Contacts_DR"}),
    );
    let same = json!({"LastName": "SAME", "Email": "one@same.example"});
    let message = "You're creating a duplicate record. We recommend you use an existing record instead.";
    let error = org.error(Method::POST, "/sobjects/Contact", &same);
    assert_eq!(
        error,
        json!({
            "duplicateResut": {
                "allowSave": true, "duplicateRule": "Contacts_DR", "duplicateRuleEntityType": "Contact",
                "errorMessage": message,
                "matchResults": [{
                    "entityType": "Contact", "errors": [], "matchEngine": "ExactMatchEngine",
                    "matchRecords": [{
                        "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                        "record": {"attributes": {"type": "Contact", "url": format!("{V}/sobjects/Contact/{first}")}, "Id": first},
                    }],
                    "rule": "Contact_Matching_Rule", "size": 1, "success": true,
                }],
            },
            "errorCode": "DUPLICATES_DETECTED", "message": message,
        })
    );
    let rows = json!({"records": [{"attributes": {"type": "Contact"}, "LastName": "same", "Email": "one@same.example"}]});
    let out = body(&org.write(Method::POST, "/composite/sobjects", &rows));
    assert_eq!(out[0]["errors"][0]["statusCode"], "DUPLICATES_DETECTED");
    let insisting = [
        ("content-type", "application/json"),
        ("sforce-duplicate-rule-header", "allowSave=true; includeRecordDetails=true"),
        ("sforce-auto-assign", "FALSE"),
    ];
    let saved = org.send(Method::POST, &format!("{V}/sobjects/Contact"), &insisting, &same.to_string());
    assert_eq!(saved.status, StatusCode::CREATED, "{}", text(&saved));
    let second = string(&body(&saved)["id"]);
    let other = org.create("Contact", json!({"LastName": "Same", "Email": "two@same.example"}));
    let moved = org.error(
        Method::PATCH,
        &format!("/sobjects/Contact/{other}"),
        &json!({"Email": "one@same.example"}),
    );
    assert_eq!(moved["duplicateResut"]["matchResults"][0]["size"], 2);
    // A change of anything else is none of the rule's business.
    let fine = org.write(Method::PATCH, &format!("/sobjects/Contact/{second}"), &json!({"Title": "x"}));
    assert_eq!(fine.status, StatusCode::NO_CONTENT);
    org.set("duplicate-rules", &json!({"type": "Account", "fields": ["Site"], "allow_save": false}));
    org.create("Account", json!({"Name": "a", "Site": "one site"}));
    let blocked = org.send(
        Method::POST,
        &format!("{V}/sobjects/Account"),
        &insisting,
        "{\"Name\":\"b\",\"Site\":\"One Site\"}",
    );
    assert_eq!(blocked.status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_row_cannot_become_its_own_ancestor() {
    let org = org();
    let top = org.create("Account", json!({"Name": "top"}));
    let middle = org.create("Account", json!({"Name": "middle", "ParentId": top}));
    let leaf = org.create("Account", json!({"Name": "leaf", "ParentId": middle}));
    for parent in [&top, &middle, &leaf] {
        let error =
            org.error(Method::PATCH, &format!("/sobjects/Account/{top}"), &json!({"ParentId": parent}));
        assert_eq!(error["errorCode"], "CIRCULAR_DEPENDENCY");
        assert_eq!(error["fields"], json!(["ParentId"]));
    }
    let fine = org.write(Method::PATCH, &format!("/sobjects/Account/{leaf}"), &json!({"ParentId": top}));
    assert_eq!(fine.status, StatusCode::NO_CONTENT);
}
