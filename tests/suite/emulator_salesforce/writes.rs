//! Creates, updates, upserts and deletes, one by one and in collections.

use http::{Method, StatusCode};
use recordport::emulator::service::{Service, StatePart};
use serde_json::{Value, json};

use super::{Org, body, encode, org, records, string, text};

const V: &str = "/services/data/v60.0";

impl Org {
    fn read(&self, object: &str, id: &str) -> Value {
        self.get_json(&format!("{V}/sobjects/{object}/{id}"))
    }

    fn first_id(&self, object: &str) -> String {
        string(&self.state(object)[0]["Id"])
    }

    /// The only error of a refused create.
    fn refused_create(&self, object: &str, fields: &Value) -> (String, String, Value) {
        let before = self.state(object).len();
        let reply = self.write(Method::POST, &format!("/sobjects/{object}"), fields);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{fields} was taken: {}", text(&reply));
        assert!(!reply.committed);
        assert_eq!(self.state(object).len(), before);
        let error = body(&reply)[0].clone();
        (string(&error["errorCode"]), string(&error["message"]), error["fields"].clone())
    }
}

fn invoice(more: &Value) -> Value {
    let mut row = json!({"Subject__c": "Paper"});
    for (key, value) in more.as_object().expect("an object") {
        row[key] = value.clone();
    }
    row
}

#[test]
fn a_created_row_is_answered_read_changed_and_deleted() {
    let org = org();
    let reply =
        org.write(Method::POST, "/sobjects/Contact/", &json!({"FirstName": "Åsa", "LastName": "Øster"}));
    assert_eq!(reply.status, StatusCode::CREATED);
    assert!(reply.committed);
    let id = string(&body(&reply)["id"]);
    assert_eq!(body(&reply), json!({"id": id, "success": true, "errors": []}));
    assert_eq!(reply.headers["location"].to_str().unwrap(), format!("{V}/sobjects/Contact/{id}"));
    assert!(id.starts_with("003") && id.len() == 18);
    assert!(id > string(&org.state("Contact")[299]["Id"]));
    let row = org.read("Contact", &id);
    assert_eq!(row["attributes"], json!({"type": "Contact", "url": format!("{V}/sobjects/Contact/{id}")}));
    assert_eq!(row["Name"], "Åsa Øster");
    assert_eq!(row["CreatedDate"], "2026-03-04T10:00:00.000+0000");
    assert_eq!(row["HasOptedOutOfEmail"], false);
    assert_eq!(row["MailingAddress"], Value::Null);

    org.clock.advance(jiff::SignedDuration::from_secs(90)).expect("the clock moves on");
    let change = json!({"LastName": "Ek", "FirstName": null, "MailingCity": "Lund", "MailingLatitude": 55.7});
    let reply = org.write(Method::PATCH, &format!("/sobjects/Contact/{}", &id[..15]), &change);
    assert_eq!((reply.status, reply.body.len(), reply.committed), (StatusCode::NO_CONTENT, 0, true));
    let row = org.read("Contact", &id);
    assert_eq!(row["Name"], "Ek");
    assert_eq!(row["LastModifiedDate"], "2026-03-04T10:01:30.000+0000");
    assert_eq!(
        row["MailingAddress"],
        json!({"city": "Lund", "country": null, "geocodeAccuracy": null, "latitude": 55.7, "longitude": null,
            "postalCode": null, "state": null, "street": null})
    );

    let reply = org.send(Method::DELETE, &format!("{V}/sobjects/Contact/{id}"), &[], "");
    assert_eq!((reply.status, reply.committed), (StatusCode::NO_CONTENT, true));
    let gone = org.get(&format!("{V}/sobjects/Contact/{id}"));
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(
        body(&gone),
        json!([{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}])
    );
    assert_eq!(org.query(&format!("SELECT Id FROM Contact WHERE Id = '{id}'"))["totalSize"], 0);
    let all = org.get_json(&format!(
        "{V}/queryAll?q={}",
        encode(&format!("SELECT IsDeleted FROM Contact WHERE Id = '{id}'"))
    ));
    assert_eq!(records(&all)[0]["IsDeleted"], true);
}

#[test]
fn every_field_type_is_stored_as_it_was_written() {
    let org = org();
    let written = json!({
        "Subject__c": "Grüße 🚀 \"q\" \\ 'a' ", "External_Id__c": "a/b c%d", "Status__c": "Paid", "Terms__c": "anything else",
        "Tags__c": "Urgent;R&D", "Channel__c": "Pigeon", "Paid__c": true, "Export__c": false, "Discount__c": 12.5,
        "Lines__c": -7, "Due__c": "4000-12-31", "Paid_At__c": "2024-02-29T12:34:56.000+0000", "Start__c": "10:30:00.000Z",
        "Note__c": "one\ntwo", "Details__c": "x".repeat(32000), "Body__c": "<p>a &amp; b</p>", "Phone__c": "+1", "Site__c": "http://x",
        "Email__c": "a.b+c@example.co", "Card__c": "4111", "Loc__Latitude__s": -12.5, "Loc__Longitude__s": 0.000001,
        "Region__c": "Italy", "Province__c": "AG",
    });
    let id = org.create("Invoice__c", written.clone());
    let row = org.read("Invoice__c", &id);
    for (name, value) in written.as_object().unwrap() {
        assert_eq!(row[name], *value, "{name}");
    }
    assert_eq!(row["Loc__c"], json!({"latitude": -12.5, "longitude": 0.000001}));
    assert_eq!(row["Name"], "INV-0121");
    let file = org.create("Attachment", json!({"ParentId": id, "Name": "a.txt", "Body": "aGVsbG8="}));
    let row = org.read("Attachment", &file);
    assert_eq!(row["BodyLength"], 5);
    let address = string(&row["Body"]);
    assert_eq!(address, format!("{V}/sobjects/Attachment/{file}/Body"));
    assert_eq!(org.get(&address).body, "hello");
}

#[test]
fn number_text_is_kept_exactly_and_rounded_only_beyond_the_scale() {
    let org = org();
    let reply = org.send(
        Method::POST,
        &format!("{V}/sobjects/Invoice__c"),
        &[("content-type", "application/json")],
        r#"{"Subject__c":"x","Amount__c":9999999999999999.99,"Discount__c":10,"Sequence__c":999999999999999999,"Weight__c":1.0000005}"#,
    );
    let id = string(&body(&reply)["id"]);
    let row = text(&org.get(&format!("{V}/sobjects/Invoice__c/{id}")));
    for exact in [
        "\"Amount__c\":9999999999999999.99",
        "\"Sequence__c\":999999999999999999",
        "\"Weight__c\":1.000001",
        "\"Total__c\":8999999999999999.99",
    ] {
        assert!(row.contains(exact), "{exact}: {row}");
    }
    let state = org.service.state_text("Invoice__c", &StatePart::default()).expect("a known type");
    assert!(String::from_utf8_lossy(&state).contains("\"Amount__c\":9999999999999999.99"));
    let found = org.query("SELECT Id FROM Invoice__c WHERE Amount__c = 9999999999999999.99");
    assert_eq!(found["totalSize"], 1);
    assert_eq!(org.query("SELECT Id FROM Invoice__c WHERE Amount__c = 9999999999999999.98")["totalSize"], 0);
}

#[test]
fn bad_rows_are_refused_in_the_services_words() {
    let org = org();
    let case = org.first_id("Case");
    let deleted = org.create("Account", json!({"Name": "Gone"}));
    org.send(Method::DELETE, &format!("{V}/sobjects/Account/{deleted}"), &[], "");
    for (object, fields, code, words, names) in [
        (
            "Contact",
            json!({"FirstName": "A"}),
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [LastName]",
            json!(["LastName"]),
        ),
        (
            "Opportunity",
            json!({"Name": null}),
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [Name, StageName, CloseDate]",
            json!(["Name", "StageName", "CloseDate"]),
        ),
        (
            "Account",
            json!({"Name": "x".repeat(256)}),
            "STRING_TOO_LONG",
            "Account Name: data value too large: xxx",
            json!(["Name"]),
        ),
        (
            "Account",
            json!({"Name": "a", "AccountNumer": "x"}),
            "INVALID_FIELD",
            "No such column 'AccountNumer' on sobject of type Account",
            Value::Null,
        ),
        (
            "Account",
            json!({"Name": "a", "CreatedDate": "2024-01-01T00:00:00Z"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Unable to create/update fields: CreatedDate. Please check the security settings",
            json!(["CreatedDate"]),
        ),
        (
            "Account",
            json!({"Name": "a", "BillingAddress": {"city": "x"}}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "BillingAddress",
            json!(["BillingAddress"]),
        ),
        (
            "Account",
            json!({"Name": "a", "Id": deleted}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "cannot specify Id in an insert call",
            json!(["Id"]),
        ),
        (
            "Account",
            json!({"Name": "a", "CleanStatus": "Odd"}),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Clean Status: bad value for restricted picklist field: Odd",
            json!(["CleanStatus"]),
        ),
        (
            "Account",
            json!({"Name": "a", "NumberOfEmployees": 100_000_000}),
            "NUMBER_OUTSIDE_VALID_RANGE",
            "value outside of valid range on numeric field: 100000000",
            json!(["NumberOfEmployees"]),
        ),
        (
            "Account",
            json!({"Name": "a", "BillingLatitude": 91}),
            "NUMBER_OUTSIDE_VALID_RANGE",
            "91",
            json!(["BillingLatitude"]),
        ),
        (
            "Account",
            json!({"Name": "a", "ParentId": "nonsense"}),
            "MALFORMED_ID",
            "id value of incorrect type: nonsense",
            json!(["ParentId"]),
        ),
        (
            "Account",
            json!({"Name": "a", "ParentId": case}),
            "FIELD_INTEGRITY_EXCEPTION",
            "id value of incorrect type",
            json!(["ParentId"]),
        ),
        (
            "Account",
            json!({"Name": "a", "ParentId": "001000000000000AAA"}),
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
            json!([]),
        ),
        (
            "Account",
            json!({"Name": "a", "ParentId": deleted}),
            "ENTITY_IS_DELETED",
            "entity is deleted",
            json!([]),
        ),
        (
            "Account",
            json!({"Name": 5}),
            "JSON_PARSER_ERROR",
            "Cannot deserialize instance of string from VALUE_NUMBER_INT value 5",
            Value::Null,
        ),
        (
            "Account",
            json!({"Name": "a", "NumberOfEmployees": 1.5}),
            "JSON_PARSER_ERROR",
            "instance of int from VALUE_NUMBER_FLOAT value 1.5",
            Value::Null,
        ),
        (
            "Account",
            json!({"Name": "a", "AnnualRevenue": "much"}),
            "JSON_PARSER_ERROR",
            "instance of double from VALUE_STRING value much",
            Value::Null,
        ),
        ("Account", json!({"Name": ["a"]}), "JSON_PARSER_ERROR", "START_ARRAY", Value::Null),
        (
            "Contact",
            json!({"LastName": "a", "Email": "no mail"}),
            "INVALID_EMAIL_ADDRESS",
            "Email: invalid email address: no mail",
            json!(["Email"]),
        ),
        (
            "Contact",
            json!({"LastName": "a", "Birthdate": "31.1.2024"}),
            "JSON_PARSER_ERROR",
            "instance of date from VALUE_STRING value 31.1.2024",
            Value::Null,
        ),
        (
            "Contact",
            json!({"LastName": "a", "Name": "b"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Name",
            json!(["Name"]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"External_Id__c": "ext-000001"})),
            "DUPLICATE_VALUE",
            "duplicate value found: External_Id__c duplicates value on record with id: a0X",
            json!([]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"Status__c": "Written Off"})),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Written Off",
            json!(["Status__c"]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"Region__c": "Norway", "Province__c": "AG"})),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "AG",
            json!(["Province__c"]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"Total__c": 1})),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Total__c",
            json!(["Total__c"]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"Name": "INV-9"})),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Name",
            json!(["Name"]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"Amount__c": 10_000_000_000_000_000_u64})),
            "NUMBER_OUTSIDE_VALID_RANGE",
            "numeric field",
            json!(["Amount__c"]),
        ),
        (
            "Invoice__c",
            invoice(&json!({"Contact__r": {"Email": "nobody@nowhere.example"}})),
            "INVALID_FIELD",
            "Foreign key external ID: nobody@nowhere.example not found for field Email in entity Contact",
            json!([]),
        ),
        (
            "Task",
            json!({"What": {"Name": "x"}}),
            "JSON_PARSER_ERROR",
            "Nested object for polymorphic foreign key must have an attributes field before any other fields.",
            Value::Null,
        ),
    ] {
        let (got, message, got_names) = org.refused_create(object, &fields);
        assert_eq!(got, code, "{fields}: {message}");
        assert!(message.contains(words), "{message}");
        assert_eq!(got_names, names, "{message}");
    }
    let several = org.write(
        Method::POST,
        "/sobjects/Account",
        &json!({"Name": "a", "Sic": "x".repeat(21), "CleanStatus": "Odd"}),
    );
    assert_eq!(body(&several).as_array().unwrap().len(), 2);
    for (raw, words) in
        [("{\"Name\":", "EOF"), ("", "No content"), ("[1]", "START_ARRAY"), ("{\"a\":1e}", "number")]
    {
        let reply = org.send(
            Method::POST,
            &format!("{V}/sobjects/Account"),
            &[("content-type", "application/json")],
            raw,
        );
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{raw}");
        let error = body(&reply)[0].clone();
        assert_eq!(error["errorCode"], "JSON_PARSER_ERROR", "{raw}");
        assert!(string(&error["message"]).contains(words), "{error}");
    }
    let deep = format!("{{\"Name\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let reply = org.send(
        Method::POST,
        &format!("{V}/sobjects/Account"),
        &[("content-type", "application/json")],
        &deep,
    );
    assert_eq!(body(&reply)[0]["errorCode"], "JSON_PARSER_ERROR");
    let huge = r#"{"Name":"a","AnnualRevenue":1e400}"#;
    let reply = org.send(
        Method::POST,
        &format!("{V}/sobjects/Account"),
        &[("content-type", "application/json")],
        huge,
    );
    assert_eq!(body(&reply)[0]["errorCode"], "NUMBER_OUTSIDE_VALID_RANGE");
    let xml =
        org.send(Method::POST, &format!("{V}/sobjects/Account"), &[("content-type", "text/xml")], "<a/>");
    assert_eq!(xml.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[test]
fn an_update_that_cannot_be_is_refused_and_changes_nothing() {
    let org = org();
    let id = org.first_id("Contact");
    let before = org.read("Contact", &id);
    for (change, code) in [
        (json!({"LastName": null}), "REQUIRED_FIELD_MISSING"),
        (json!({"LastName": ""}), "REQUIRED_FIELD_MISSING"),
        (json!({"LastName": "a", "CreatedById": null}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
        (json!({"LastName": "a", "Nope": 1}), "INVALID_FIELD"),
        (json!({"LastName": "a", "Id": id}), "INVALID_FIELD"),
    ] {
        let reply = org.write(Method::PATCH, &format!("/sobjects/Contact/{id}"), &change);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(body(&reply)[0]["errorCode"], code, "{change}");
        assert_eq!(org.read("Contact", &id), before);
    }
    let missing = org.write(Method::PATCH, "/sobjects/Contact/003000000000000AAA", &json!({"LastName": "a"}));
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(
        body(&missing),
        json!([{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])
    );
}

#[test]
fn computed_fields_follow() {
    let org = org();
    let fields =
        json!({"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-08-01", "Amount": 1000.5});
    let id = org.create("Opportunity", fields);
    let row = org.read("Opportunity", &id);
    assert_eq!(row["Probability"], 10);
    assert_eq!(row["ExpectedRevenue"], 100.05);
    assert_eq!((&row["IsClosed"], &row["FiscalQuarter"]), (&json!(false), &json!(3)));
    org.write(Method::PATCH, &format!("/sobjects/Opportunity/{id}"), &json!({"StageName": "Closed Won"}));
    let row = org.read("Opportunity", &id);
    assert_eq!((&row["IsWon"], &row["IsClosed"]), (&json!(true), &json!(true)));
    assert_eq!((&row["Probability"], &row["ExpectedRevenue"]), (&json!(100), &json!(1000.5)));
    let case = org.create("Case", json!({"Subject": "x"}));
    let row = org.read("Case", &case);
    assert_eq!(row["CaseNumber"], "00001081");
    assert_eq!((&row["Status"], &row["Priority"]), (&json!("New"), &json!("Medium")));
    org.write(Method::PATCH, &format!("/sobjects/Case/{case}"), &json!({"Status": "Closed"}));
    assert_eq!(org.read("Case", &case)["IsClosed"], true);
    assert!(org.read("Case", &case)["ClosedDate"].is_string());
}

#[test]
fn upsert_creates_once_then_updates() {
    let org = org();
    let address = format!("/sobjects/Invoice__c/External_Id__c/{}", encode("K/1 ä%41"));
    let first = org.write(Method::PATCH, &address, &json!({"Subject__c": "One"}));
    assert_eq!(first.status, StatusCode::CREATED, "{}", text(&first));
    assert_eq!(body(&first)["created"], true);
    let id = string(&body(&first)["id"]);
    assert_eq!(first.headers["location"].to_str().unwrap(), format!("{V}/sobjects/Invoice__c/{id}"));
    assert_eq!(org.read("Invoice__c", &id)["External_Id__c"], "K/1 ä%41");
    let again = org.write(Method::PATCH, &address, &json!({"Subject__c": "Two"}));
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(body(&again), json!({"id": id, "success": true, "errors": [], "created": false}));
    assert_eq!(org.get_json(&format!("{V}{address}"))["Subject__c"], "Two");
    let old = org.send(
        Method::PATCH,
        &format!("/services/data/v45.0{address}"),
        &[("content-type", "application/json")],
        "{}",
    );
    assert_eq!(old.status, StatusCode::NO_CONTENT);
    let only = org.write(
        Method::PATCH,
        "/sobjects/Invoice__c/External_Id__c/none?updateOnly=true",
        &json!({"Subject__c": "x"}),
    );
    assert_eq!(only.status, StatusCode::NOT_FOUND);
    let no_key = org.write(Method::PATCH, "/sobjects/Invoice__c/Subject__c/x", &json!({}));
    assert_eq!(no_key.status, StatusCode::NOT_FOUND);
    assert_eq!(
        body(&no_key)[0]["message"],
        "Provided external ID field does not exist or is not accessible: Subject__c"
    );
    let auto = org.write(Method::PATCH, "/sobjects/Invoice__c/Name/INV-99999", &json!({"Subject__c": "x"}));
    assert_eq!(body(&auto)[0]["errorCode"], "INVALID_FIELD_FOR_INSERT_UPDATE");
    let by_id = org.write(
        Method::PATCH,
        &format!("/sobjects/Invoice__c/Id/{id}?updateOnly=true"),
        &json!({"Subject__c": "Three"}),
    );
    assert_eq!((by_id.status, &body(&by_id)["created"]), (StatusCode::OK, &json!(false)));

    let lower = string(
        &body(&org.write(Method::PATCH, "/sobjects/Invoice__c/Code__c/zz", &json!({"Subject__c": "l"})))["id"],
    );
    let upper = string(
        &body(&org.write(Method::PATCH, "/sobjects/Invoice__c/Code__c/ZZ", &json!({"Subject__c": "u"})))["id"],
    );
    assert_ne!(lower, upper);
}

#[test]
fn several_rows_with_one_value_are_told_with_300() {
    let org = org();
    let mail = "twin@example.com";
    let one = org.create("Contact", json!({"LastName": "One", "Email": mail}));
    let two = org.create("Contact", json!({"LastName": "Two", "Email": "TWIN@example.com"}));
    let addresses = json!([format!("{V}/sobjects/Contact/{one}"), format!("{V}/sobjects/Contact/{two}")]);
    let read = org.get(&format!("{V}/sobjects/Contact/Email/{mail}"));
    assert_eq!((read.status, body(&read)), (StatusCode::MULTIPLE_CHOICES, addresses.clone()));
    let upsert =
        org.write(Method::PATCH, &format!("/sobjects/Contact/Email/{mail}"), &json!({"LastName": "x"}));
    assert_eq!((upsert.status, body(&upsert)), (StatusCode::MULTIPLE_CHOICES, addresses));
    let made = org.write(Method::PATCH, "/sobjects/Contact/Email/new@example.com", &json!({"LastName": "x"}));
    assert_eq!(made.status, StatusCode::CREATED);
}

#[test]
fn a_parent_is_found_by_its_external_id() {
    let org = org();
    let parent = org.create("Invoice__c", invoice(&json!({"External_Id__c": "P-1"})));
    let child = org.create("Invoice__c", invoice(&json!({"Replaces__r": {"External_Id__c": "p-1"}})));
    assert_eq!(org.read("Invoice__c", &child)["Replaces__c"], json!(parent));
    let contact = org.create("Contact", json!({"LastName": "x", "Email": "someone@example.com"}));
    let what =
        json!({"Subject": "x", "Who": {"attributes": {"type": "Contact"}, "Email": "someone@example.com"}});
    let task = org.create("Task", what);
    assert_eq!(org.read("Task", &task)["WhoId"], json!(contact));
}

#[test]
fn deletes_cascade_are_restricted_or_clear_references_as_described() {
    let org = org();
    let account = org.create("Account", json!({"Name": "Short-lived"}));
    let contact = org.create("Contact", json!({"LastName": "x", "AccountId": account}));
    let invoice = org.create("Invoice__c", invoice(&json!({"Account__c": account})));
    let case = org.create("Case", json!({"AccountId": account}));
    let refused = org.send(Method::DELETE, &format!("{V}/sobjects/Account/{account}"), &[], "");
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let error = body(&refused)[0].clone();
    assert_eq!(error["errorCode"], "DELETE_FAILED");
    assert_eq!(
        error["message"],
        "Your attempt to delete Short-lived could not be completed because it is associated with the following cases.: 00001081\n"
    );
    org.send(Method::DELETE, &format!("{V}/sobjects/Case/{case}"), &[], "");
    let done = org.send(Method::DELETE, &format!("{V}/sobjects/Account/{account}"), &[], "");
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", text(&done));
    assert_eq!(org.get(&format!("{V}/sobjects/Contact/{contact}")).status, StatusCode::NOT_FOUND);
    assert_eq!(org.read("Invoice__c", &invoice)["Account__c"], Value::Null);
    let deleted = org.get_json(&format!(
        "{V}/sobjects/Contact/deleted/?start=2026-03-01T00%3A00%3A00Z&end=2026-03-05T00%3A00%3A00Z"
    ));
    assert_eq!(deleted["deletedRecords"][0]["id"], json!(contact));
}

#[test]
fn conditional_requests_hold_back_lost_updates() {
    let org = org();
    let id = org.first_id("Account");
    let address = format!("{V}/sobjects/Account/{id}");
    let etag = org.get(&address).headers["etag"].to_str().unwrap().to_owned();
    let json_type = ("content-type", "application/json");
    let unchanged = org.send(Method::GET, &address, &[("if-none-match", &etag)], "");
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    let change =
        |headers: &[(&str, &str)]| org.send(Method::PATCH, &address, headers, "{\"Site\":\"x\"}").status;
    assert_eq!(change(&[json_type, ("if-match", &etag)]), StatusCode::NO_CONTENT);
    assert_eq!(change(&[json_type, ("if-match", &etag)]), StatusCode::PRECONDITION_FAILED);
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(change(&[json_type, ("if-unmodified-since", old)]), StatusCode::PRECONDITION_FAILED);
    assert_eq!(change(&[json_type, ("if-unmodified-since", "soon")]), StatusCode::BAD_REQUEST);
}

#[test]
fn collections_answer_each_row_in_order() {
    let org = org();
    let rows = json!({"records": [
        {"attributes": {"type": "Account"}, "Name": "One"},
        {"attributes": {"type": "Contact"}, "FirstName": "no last name"},
        {"attributes": {"type": "Contact"}, "LastName": "Three"},
        {"LastName": "no type"},
        {"attributes": {"type": "Nothing"}, "Name": "x"},
    ]});
    let reply = org.write(Method::POST, "/composite/sobjects", &rows);
    assert_eq!((reply.status, reply.committed), (StatusCode::OK, true));
    let out = body(&reply);
    assert_eq!(out[0], json!({"id": out[0]["id"], "success": true, "errors": []}));
    assert_eq!(
        out[1],
        json!({"success": false, "errors": [{"statusCode": "REQUIRED_FIELD_MISSING",
            "message": "Required fields are missing: [LastName]", "fields": ["LastName"]}]})
    );
    assert!(string(&out[2]["id"]).starts_with("003"));
    assert_eq!(out[3]["errors"][0]["statusCode"], "JSON_PARSER_ERROR");
    assert_eq!(out[4]["errors"][0]["statusCode"], "INVALID_TYPE");

    let account = string(&out[0]["id"]);
    let changes = json!({"allOrNone": false, "records": [
        {"attributes": {"type": "Account"}, "id": account, "Name": "New"},
        {"attributes": {"type": "Account"}, "Name": "no id"},
        {"attributes": {"type": "Account"}, "Id": "001000000000000AAA", "Name": "x"},
    ]});
    let out = body(&org.write(Method::PATCH, "/composite/sobjects", &changes));
    assert_eq!(out[0], json!({"id": account, "success": true, "errors": []}));
    assert_eq!(
        out[1]["errors"][0],
        json!({"statusCode": "MISSING_ARGUMENT", "message": "Id not specified in an update call", "fields": []})
    );
    assert_eq!(
        out[2],
        json!({"success": false, "errors": [{"statusCode": "INVALID_CROSS_REFERENCE_KEY",
            "message": "invalid cross reference id", "fields": []}]})
    );
    assert_eq!(org.read("Account", &account)["Name"], "New");

    let got = org.get_json(&format!(
        "{V}/composite/sobjects/Account?ids={account},001000000000000AAA&fields=Name,Owner.Username"
    ));
    assert_eq!((&got[0]["Name"], &got[1]), (&json!("New"), &Value::Null));
    let posted =
        org.write(Method::POST, "/composite/sobjects/Account", &json!({"ids": [account], "fields": ["Id"]}));
    assert_eq!(body(&posted)[0]["Id"], json!(account));

    let gone = org.send(Method::DELETE, &format!("{V}/composite/sobjects?ids={account},{account}"), &[], "");
    let out = body(&gone);
    assert_eq!(out[0], json!({"id": account, "success": true, "errors": []}));
    assert_eq!(out[1]["errors"][0]["statusCode"], "ENTITY_IS_DELETED");
}

#[test]
fn all_or_none_puts_everything_back() {
    let org = org();
    let before = org.state("Account");
    let first = string(&before[0]["Id"]);
    let rows = json!({"allOrNone": true, "records": [
        {"attributes": {"type": "Account"}, "Name": "One"}, {"attributes": {"type": "Account"}},
    ]});
    let reply = org.write(Method::POST, "/composite/sobjects", &rows);
    assert!(!reply.committed);
    let out = body(&reply);
    assert_eq!(
        out[0],
        json!({"success": false, "errors": [{"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "fields": [],
            "message": "Record rolled back because not all records were valid and the request was using AllOrNone header"}]})
    );
    assert_eq!(out[1]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    let rows = json!({"allOrNone": true, "records": [
        {"attributes": {"type": "Account"}, "Id": first, "Name": "Changed"}, {"attributes": {"type": "Account"}, "Id": "001000000000000AAA"},
    ]});
    org.write(Method::PATCH, "/composite/sobjects", &rows);
    let lonely = org.create("Account", json!({"Name": "Lonely"}));
    let reply = org.send(
        Method::DELETE,
        &format!("{V}/composite/sobjects?allOrNone=true&ids={lonely},001000000000000AAA"),
        &[],
        "",
    );
    assert_eq!(body(&reply)[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(body(&reply)[0]["id"], json!(lonely));
    assert_eq!(org.read("Account", &lonely)["Name"], "Lonely");
    org.send(Method::DELETE, &format!("{V}/sobjects/Account/{lonely}"), &[], "");
    assert_eq!(org.state("Account"), before);
}

#[test]
fn upserting_a_collection_tells_what_was_created() {
    let org = org();
    let row = |key: Value, subject: &str| json!({"attributes": {"type": "Invoice__c"}, "External_Id__c": key, "Subject__c": subject});
    let rows = json!({"records": [
        row(json!("EXT-000001"), "old"), row(json!("N-1"), "new"), row(json!("T"), "a"), row(json!("t"), "b"), row(Value::Null, "none"),
        {"External_Id__c": "x"},
    ]});
    let reply = org.write(Method::PATCH, "/composite/sobjects/Invoice__c/External_Id__c", &rows);
    let out = body(&reply);
    assert_eq!((&out[0]["success"], &out[0]["created"]), (&json!(true), &json!(false)));
    assert_eq!((&out[1]["success"], &out[1]["created"]), (&json!(true), &json!(true)));
    for place in [2, 3] {
        assert_eq!(out[place]["errors"][0]["statusCode"], "DUPLICATE_VALUE");
        assert_eq!(out[place]["created"], false);
    }
    assert_eq!(out[4]["errors"][0]["statusCode"], "MISSING_ARGUMENT");
    assert_eq!(
        out[5]["errors"][0]["message"],
        "Nested object for polymorphic foreign key must have an attributes field before any other fields."
    );
    let by_id =
        json!({"records": [{"attributes": {"type": "Invoice__c"}, "Id": null, "Subject__c": "made"}]});
    assert_eq!(
        body(&org.write(Method::PATCH, "/composite/sobjects/Invoice__c/Id", &by_id))[0]["created"],
        true
    );
}

#[test]
fn collections_that_cannot_be_are_refused_whole() {
    let org = org();
    let refused = |rows: Value| {
        let reply = org.write(Method::POST, "/composite/sobjects", &json!({"records": rows}));
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(!reply.committed);
        body(&reply)[0].clone()
    };
    assert_eq!(
        refused(json!([])),
        json!({"message": "At least 1 record is required", "errorCode": "REQUIRED_FIELD_MISSING"})
    );
    let row = |kind: &str| json!({"attributes": {"type": kind}, "Name": "x"});
    assert_eq!(refused(vec![row("Account"); 201].into())["errorCode"], "EXCEEDED_ID_LIMIT");
    let mixed: Vec<Value> =
        (0..11).map(|turn| row(if turn % 2 == 0 { "Account" } else { "Campaign" })).collect();
    assert_eq!(refused(mixed.into())["errorCode"], "LIMIT_EXCEEDED");
}

#[test]
fn a_partial_fault_refuses_every_nth_row_and_executes_the_others() {
    let org = org();
    let rows: Vec<Value> =
        (0..10).map(|turn| json!({"attributes": {"type": "Account"}, "Name": format!("P{turn}")})).collect();
    let mut request = org.request(
        Method::POST,
        &format!("{V}/composite/sobjects"),
        &[("content-type", "application/json")],
        "",
    );
    request.body = json!({"records": rows}).to_string().into();
    let reply = org.service.partial(&request, 4).expect("a batch write");
    let out = body(&reply);
    let refused: Vec<usize> = (0..10).filter(|row| out[*row]["success"] == false).collect();
    assert_eq!(refused, [3, 7]);
    assert_eq!(out[3]["errors"][0]["statusCode"], "FIELD_CUSTOM_VALIDATION_EXCEPTION");
    assert_eq!(org.state("Account").len(), 128);
    request.path = format!("{V}/sobjects/Account");
    assert!(org.service.partial(&request, 4).is_none());
}

#[test]
fn reset_brings_the_first_rows_back() {
    let org = org();
    let before = org.state("Contact");
    org.create("Contact", json!({"LastName": "x"}));
    org.service.reset();
    assert_eq!(org.state("Contact"), before);
}

#[test]
fn a_composite_request_passes_values_on_and_is_undone_as_a_whole() {
    let org = org();
    let sub = |method: &str, url: &str, reference: &str, fields: Value| json!({"method": method, "url": format!("{V}{url}"), "referenceId": reference, "body": fields});
    let requests = json!({"compositeRequest": [
        sub("POST", "/sobjects/Account", "one", json!({"Name": "Made together"})),
        sub("POST", "/sobjects/Contact", "two", json!({"LastName": "x", "AccountId": "@{one.id}"})),
        {"method": "GET", "url": format!("{V}/query?q=SELECT Id, Account.Name FROM Contact WHERE AccountId = '@{{one.id}}'"), "referenceId": "three"},
        {"method": "GET", "url": format!("{V}/sobjects/Contact/@{{three.records[0].Id}}?fields=LastName"), "referenceId": "four"},
        {"method": "GET", "url": format!("{V}/sobjects/Contact/@{{nobody.id}}"), "referenceId": "five"},
    ]});
    let reply = org.write(Method::POST, "/composite", &requests);
    assert_eq!((reply.status, reply.committed), (StatusCode::OK, true), "{}", text(&reply));
    let out = body(&reply)["compositeResponse"].clone();
    assert_eq!(out[0]["httpStatusCode"], 201);
    assert!(string(&out[0]["httpHeaders"]["Location"]).starts_with(&format!("{V}/sobjects/Account/001")));
    assert_eq!(out[2]["body"]["records"][0]["Account"]["Name"], "Made together");
    assert_eq!(out[3]["body"]["LastName"], "x");
    assert_eq!(
        (&out[4]["httpStatusCode"], &out[4]["body"][0]["errorCode"]),
        (&json!(400), &json!("PROCESSING_HALTED"))
    );

    let before = (org.state("Account"), org.state("Contact"));
    let requests = json!({"allOrNone": true, "compositeRequest": [
        sub("POST", "/sobjects/Account", "one", json!({"Name": "Undone"})),
        sub("PATCH", "/sobjects/Contact/003000000000000AAA", "two", json!({"LastName": "x"})),
    ]});
    let reply = org.write(Method::POST, "/composite", &requests);
    assert!(!reply.committed);
    let out = body(&reply)["compositeResponse"].clone();
    assert_eq!(out[0]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(out[1]["body"][0]["errorCode"], "NOT_FOUND");
    assert_eq!((org.state("Account"), org.state("Contact")), before);
    let many: Vec<Value> =
        (0..26).map(|turn| sub("GET", "/sobjects", &format!("r{turn}"), Value::Null)).collect();
    assert_eq!(
        org.write(Method::POST, "/composite", &json!({"compositeRequest": many})).status,
        StatusCode::BAD_REQUEST
    );
}

#[test]
fn a_batch_answers_each_request_and_a_tree_is_made_whole_or_not_at_all() {
    let org = org();
    let reply = org.write(
        Method::POST,
        "/composite/batch",
        &json!({"batchRequests": [
            {"method": "POST", "url": "v60.0/sobjects/Account", "richInput": {"Name": "B"}},
            {"method": "GET", "url": "v60.0/sobjects/Account/001000000000000AAA"},
        ]}),
    );
    let out = body(&reply);
    assert_eq!(out["hasErrors"], true);
    assert_eq!(
        (&out["results"][0]["statusCode"], &out["results"][1]["statusCode"]),
        (&json!(201), &json!(404))
    );

    let tree = |last_name: Value| {
        json!({"records": [{
            "attributes": {"type": "Account", "referenceId": "a"}, "Name": "Root",
            "Contacts": {"records": [{"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": last_name}]},
        }]})
    };
    let made = org.write(Method::POST, "/composite/tree/Account", &tree(json!("Leaf")));
    assert_eq!(made.status, StatusCode::CREATED, "{}", text(&made));
    let out = body(&made);
    assert_eq!(out["hasErrors"], false);
    let contact = org.read("Contact", &string(&out["results"][1]["id"]));
    assert_eq!(contact["AccountId"], out["results"][0]["id"]);
    let count = org.state("Account").len();
    let refused = org.write(Method::POST, "/composite/tree/Account", &tree(Value::Null));
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(body(&refused)["results"][0]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(org.state("Account").len(), count);
}

#[test]
fn deleted_rows_leave_no_gap_in_either_direction() {
    let org = org();
    let before: Vec<String> = org.state("Invoice__c").iter().map(|row| string(&row["Id"])).collect();
    for place in [0, 1, 5, 6, 119] {
        let reply = org.send(Method::DELETE, &format!("{V}/sobjects/Invoice__c/{}", before[place]), &[], "");
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", text(&reply));
    }
    let mut left: Vec<String> = before
        .iter()
        .enumerate()
        .filter(|(place, _)| ![0, 1, 5, 6, 119].contains(place))
        .map(|(_, id)| id.clone())
        .collect();
    let ids = |soql: &str| -> Vec<String> {
        records(&org.query(soql)).iter().map(|row| string(&row["Id"])).collect()
    };
    assert_eq!(ids("SELECT Id FROM Invoice__c"), left);
    assert_eq!(ids("SELECT Id FROM Invoice__c LIMIT 3 OFFSET 2"), left[2..5]);
    assert_eq!(ids(&format!("SELECT Id FROM Invoice__c WHERE Id > '{}' LIMIT 2", before[4])), left[3..5]);
    left.reverse();
    assert_eq!(ids("SELECT Id FROM Invoice__c ORDER BY Id DESC"), left);
}
