//! Several requests in one.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Org, body, org, records, string, text};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const DATA: &str = "/services/data/v60.0";
const HALTED: &str =
    "The transaction was rolled back since another operation in the same transaction failed.";

impl Org {
    fn post(&self, path: &str, wanted: &Value) -> (StatusCode, Value) {
        let reply = self.send(Method::POST, &format!("{DATA}/{path}"), JSON, &wanted.to_string());
        (reply.status, body(&reply))
    }

    fn composite(&self, all_or_none: bool, requests: Value) -> Vec<Value> {
        let (status, reply) =
            self.post("composite", &json!({ "allOrNone": all_or_none, "compositeRequest": requests }));
        assert_eq!(status, StatusCode::OK, "{reply}");
        reply["compositeResponse"].as_array().expect("answers").clone()
    }

    fn leads(&self, company: &str) -> u64 {
        let found = self.query(&format!("SELECT COUNT() FROM Lead WHERE Company = '{company}'"));
        found["totalSize"].as_u64().expect("a count")
    }
}

fn lead(reference: &str, company: &str) -> Value {
    json!({ "method": "POST", "url": format!("{DATA}/sobjects/Lead"), "referenceId": reference,
        "body": { "LastName": reference, "Company": company } })
}

fn statuses(answers: &[Value]) -> Vec<u64> {
    answers.iter().map(|answer| answer["httpStatusCode"].as_u64().expect("a status")).collect()
}

#[test]
fn values_of_earlier_answers_are_found_in_lists_and_headers_go_both_ways() {
    let org = org();
    let answers = org.composite(
        false,
        json!([
            { "method": "GET", "url": format!("{DATA}/query/?q=SELECT Id, Name FROM Account ORDER BY Id LIMIT 2"), "referenceId": "some" },
            { "method": "PATCH", "url": format!("{DATA}/sobjects/Account/@{{some.records[1].Id}}"), "referenceId": "change",
              "body": { "Description": "was @{some.records[0].Name}" } },
            { "method": "GET", "url": format!("{DATA}/sobjects/Account/@{{some.records[1].Id}}?fields=Description"), "referenceId": "read" },
            { "method": "PATCH", "url": format!("{DATA}/sobjects/Account/@{{some.records[0].Id}}"), "referenceId": "stale",
              "httpHeaders": { "If-Unmodified-Since": "Wed, 01 Jan 2003 00:00:00 GMT" }, "body": { "Description": "never" } },
            { "method": "GET", "url": format!("{DATA}/sobjects/Account/@{{some.records[7].Id}}"), "referenceId": "far" },
            lead("new", "composed"),
            { "method": "DELETE", "url": format!("{DATA}/sobjects/Lead/@{{new.id}}"), "referenceId": "gone" },
        ]),
    );
    assert_eq!(statuses(&answers), [200, 204, 200, 412, 400, 201, 204]);
    let first = string(&answers[0]["body"]["records"][0]["Name"]);
    assert_eq!(answers[2]["body"]["Description"], format!("was {first}"));
    assert!(
        answers[2]["httpHeaders"]["ETag"].is_string()
            && answers[2]["httpHeaders"]["Last-Modified"].is_string()
    );
    assert_eq!(
        answers[4]["body"],
        json!([{ "errorCode": "PROCESSING_HALTED",
            "message": "Invalid reference specified. No value for some.records[7].Id found in some" }])
    );
    let id = string(&answers[5]["body"]["id"]);
    assert_eq!(answers[5]["httpHeaders"]["Location"], format!("{DATA}/sobjects/Lead/{id}"));
    assert_eq!((&answers[6]["body"], &answers[6]["httpHeaders"]), (&Value::Null, &json!({})));
    assert_eq!(org.leads("composed"), 0);
}

#[test]
fn the_first_failure_of_all_or_none_halts_what_follows_and_undoes_what_was() {
    let org = org();
    let requests = json!([
        lead("one", "whole"),
        { "method": "POST", "url": format!("{DATA}/sobjects/Lead"), "referenceId": "bad", "body": { "Company": "whole" } },
        lead("three", "whole"),
    ]);
    let answers = org.composite(true, requests.clone());
    assert_eq!(statuses(&answers), [400, 400, 400]);
    for place in [0, 2] {
        assert_eq!(answers[place]["body"], json!([{ "errorCode": "PROCESSING_HALTED", "message": HALTED }]));
    }
    assert_eq!(answers[1]["body"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(org.leads("whole"), 0);
    assert_eq!(statuses(&org.composite(false, requests)), [201, 400, 201]);
    assert_eq!(org.leads("whole"), 2);
}

#[test]
fn a_query_too_long_for_an_address_fits_into_a_subrequest() {
    let org = org();
    let names: Vec<String> = (0..1_500).map(|number| format!("'Nobody {number:04}'")).collect();
    let statement = format!("SELECT Id FROM Account WHERE Name IN ({}) OR Name != null", names.join(","));
    let address = format!("{DATA}/query?q={}", statement.replace(' ', "+"));
    assert_eq!(org.get(&address).status, StatusCode::URI_TOO_LONG);
    let answers = org.composite(false, json!([{ "method": "GET", "url": address, "referenceId": "long" }]));
    assert_eq!(statuses(&answers), [200]);
    assert_eq!(answers[0]["body"]["totalSize"], 120);
}

#[test]
fn composites_that_cannot_be_are_refused_whole() {
    let org = org();
    let many = |count: usize, url: &str| -> Value {
        (0..count)
            .map(|number| json!({ "method": "GET", "url": format!("{DATA}/{url}"), "referenceId": format!("r{number}") }))
            .collect()
    };
    let refused = [
        json!([]),
        many(26, "limits"),
        many(6, "query?q=SELECT+Id+FROM+Lead"),
        many(6, "composite/sobjects/Lead?ids=a&fields=Id"),
        json!([lead("a", "x"), lead("a", "x")]),
        json!([lead("a.b", "x")]),
        json!([{ "method": "GET", "url": format!("{DATA}/limits") }]),
    ];
    for requests in refused {
        let (status, reply) = org.post("composite", &json!({ "compositeRequest": requests }));
        assert_eq!(
            (status, &reply[0]["errorCode"]),
            (StatusCode::BAD_REQUEST, &json!("INVALID_INPUT")),
            "{requests}"
        );
    }
    let full = org.composite(false, many(25, "limits"));
    assert_eq!(statuses(&full), vec![200; 25]);
    let nested = org.composite(
        false,
        json!([{ "method": "POST", "url": format!("{DATA}/composite"), "referenceId": "in",
        "body": { "compositeRequest": [lead("x", "nested")] } }]),
    );
    assert_eq!(statuses(&nested), [404]);
    assert_eq!(org.leads("nested"), 0);
    assert_eq!(org.get(&format!("{DATA}/composite")).status, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn each_graph_is_done_whole_or_not_at_all() {
    let org = org();
    let child = json!({ "method": "PATCH", "url": format!("{DATA}/sobjects/Lead/@{{one.id}}"), "referenceId": "two",
        "body": { "Title": "@{one.id}" } });
    let bad =
        json!({ "method": "POST", "url": format!("{DATA}/sobjects/Lead"), "referenceId": "bad", "body": {} });
    let (status, reply) = org.post(
        "composite/graph",
        &json!({ "graphs": [
            { "graphId": "1", "compositeRequest": [lead("one", "first graph"), child] },
            { "graphId": "2", "compositeRequest": [lead("one", "second graph"), bad] },
        ] }),
    );
    assert_eq!(status, StatusCode::OK, "{reply}");
    let graphs = reply["graphs"].as_array().expect("graphs");
    assert_eq!((&graphs[0]["graphId"], &graphs[0]["isSuccessful"]), (&json!("1"), &json!(true)));
    let answers = graphs[0]["graphResponse"]["compositeResponse"].as_array().expect("answers");
    assert_eq!(statuses(answers), [201, 204]);
    assert_eq!((&graphs[1]["graphId"], &graphs[1]["isSuccessful"]), (&json!("2"), &json!(false)));
    let answers = graphs[1]["graphResponse"]["compositeResponse"].as_array().expect("answers");
    assert_eq!(answers[0]["body"][0]["message"], HALTED);
    assert_eq!(answers[1]["body"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!((org.leads("first graph"), org.leads("second graph")), (1, 0));
    let twice = json!({ "graphs": [{ "graphId": "1", "compositeRequest": [lead("a", "x")] },
        { "graphId": "1", "compositeRequest": [lead("a", "x")] }] });
    assert_eq!(org.post("composite/graph", &twice).0, StatusCode::BAD_REQUEST);
    assert_eq!(org.post("composite/graph", &json!({ "graphs": [] })).0, StatusCode::BAD_REQUEST);
}

#[test]
fn collections_retrieve_upsert_and_roll_back_as_recorded() {
    let org = org();
    let ids = org.ids("Contact", "Email != null");
    let url = format!("{DATA}/composite/sobjects/Contact?ids={},003000000000000&fields=Id,Email", ids[0]);
    let rows = org.get_json(&url);
    assert_eq!((rows[0]["Id"].as_str(), &rows[1]), (Some(ids[0].as_str()), &Value::Null));
    let (status, rows) =
        org.post("composite/sobjects/Contact", &json!({ "ids": [ids[1], ids[0]], "fields": ["Id"] }));
    assert_eq!((status, rows[0]["Id"].as_str()), (StatusCode::OK, Some(ids[1].as_str())));

    let upsert = |field: &str, rows: Value| {
        let address = format!("{DATA}/composite/sobjects/Contact/{field}");
        let wanted = json!({ "allOrNone": false, "records": rows }).to_string();
        let reply = org.send(Method::PATCH, &address, JSON, &wanted);
        assert_eq!(reply.status, StatusCode::OK, "{}", text(&reply));
        body(&reply)
    };
    let contact = |more: Value| {
        let mut row = json!({ "attributes": { "type": "Contact" }, "LastName": "Upserted" });
        row.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        row
    };
    let done = upsert("Email", json!([contact(json!({ "Email": "by.lookup@example.com" }))]));
    assert_eq!((&done[0]["success"], &done[0]["created"]), (&json!(true), &json!(true)));
    let again = upsert("Email", json!([contact(json!({ "Email": "by.lookup@example.com" }))]));
    assert_eq!((&again[0]["id"], &again[0]["created"]), (&done[0]["id"], &json!(false)));
    let by_id = upsert(
        "Id",
        json!([contact(json!({ "Id": ids[0] })), contact(json!({ "Id": null })), { "LastName": "x" }]),
    );
    assert_eq!((by_id[0]["id"].as_str(), &by_id[0]["created"]), (Some(ids[0].as_str()), &json!(false)));
    assert_eq!(by_id[1]["created"], true);
    assert_eq!(
        (&by_id[2]["errors"][0]["statusCode"], &by_id[2]["created"]),
        (&json!("JSON_PARSER_ERROR"), &json!(false))
    );

    let mixed: Vec<Value> = (0..12)
        .map(|number| {
            let kind = if number % 2 == 0 { "Lead" } else { "Contact" };
            json!({ "attributes": { "type": kind }, "LastName": "chunk", "Company": "chunks" })
        })
        .collect();
    assert_eq!(org.post("composite/sobjects", &json!({ "records": mixed })).0, StatusCode::BAD_REQUEST);
    let (status, empty) = org.post("composite/sobjects", &json!({ "records": [] }));
    assert_eq!(
        (status, empty),
        (
            StatusCode::BAD_REQUEST,
            json!([{ "message": "At least 1 record is required", "errorCode": "REQUIRED_FIELD_MISSING" }])
        )
    );
    let leads = org.query("SELECT Id FROM Lead LIMIT 1");
    let kept = string(&records(&leads)[0]["Id"]);
    let address = format!("{DATA}/composite/sobjects?ids={kept},00Q000000000000&allOrNone=true");
    let rows = body(&org.send(Method::DELETE, &address, &[], ""));
    assert_eq!((rows[0]["id"].as_str(), &rows[0]["success"]), (Some(kept.as_str()), &json!(false)));
    assert_eq!(rows[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(org.get(&format!("{DATA}/sobjects/Lead/{kept}")).status, StatusCode::OK);
}
