//! Bulk API 2.0.

use http::{Method, StatusCode};
use recordport::emulator::service::{Reply, Service as _};
use serde_json::{Value, json};

use super::{Org, body, keys, org, records, string, text};

const INGEST: &str = "/services/data/v60.0/jobs/ingest";
const QUERY: &str = "/services/data/v60.0/jobs/query";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const CSV: &[(&str, &str)] = &[("content-type", "text/csv; charset=UTF-8")];

impl Org {
    fn job(&self, address: &str, wanted: Value) -> String {
        let reply = self.send(Method::POST, address, JSON, &wanted.to_string());
        assert_eq!(reply.status, StatusCode::OK, "{}", text(&reply));
        string(&body(&reply)["id"])
    }

    fn refused_job(&self, address: &str, wanted: Value) -> (StatusCode, String) {
        let reply = self.send(Method::POST, address, JSON, &wanted.to_string());
        (reply.status, string(&body(&reply)[0]["errorCode"]))
    }

    fn upload(&self, id: &str, content: &str) -> Reply {
        self.send(Method::PUT, &format!("{INGEST}/{id}/batches"), CSV, content)
    }

    fn set_state(&self, id: &str, state: &str) -> Reply {
        self.send(Method::PATCH, &format!("{INGEST}/{id}"), JSON, &json!({ "state": state }).to_string())
    }

    fn info(&self, id: &str) -> Value {
        self.get_json(&format!("{INGEST}/{id}"))
    }

    fn result(&self, id: &str, which: &str) -> String {
        let reply = self.get(&format!("{INGEST}/{id}/{which}"));
        assert_eq!(reply.status, StatusCode::OK, "{}", text(&reply));
        assert_eq!(reply.headers["content-type"], "text/csv");
        text(&reply)
    }

    /// Runs a whole job and gives its id.
    fn ingested(&self, wanted: Value, content: &str) -> String {
        let id = self.job(INGEST, wanted);
        assert_eq!(self.upload(&id, content).status, StatusCode::CREATED);
        assert_eq!(self.set_state(&id, "UploadComplete").status, StatusCode::OK);
        assert_eq!(self.info(&id)["state"], "InProgress");
        self.info(&id);
        id
    }

    fn results(&self, id: &str, parameters: &str) -> (String, String, String) {
        let reply = self.get(&format!("{QUERY}/{id}/results{parameters}"));
        assert_eq!(reply.status, StatusCode::OK, "{}", text(&reply));
        let header = |name: &str| reply.headers[name].to_str().expect("a text").to_owned();
        (text(&reply), header("sforce-locator"), header("sforce-numberofrecords"))
    }

    /// A query job that is complete.
    fn queried(&self, wanted: Value) -> String {
        let id = self.job(QUERY, wanted);
        let states: Vec<Value> =
            (0..2).map(|_| self.get_json(&format!("{QUERY}/{id}"))["state"].clone()).collect();
        assert_eq!(states, ["InProgress", "JobComplete"]);
        id
    }
}

#[test]
fn an_ingest_job_goes_through_its_states_and_tells_each_row() {
    let org = org();
    let wanted =
        json!({ "object": "Contact", "operation": "insert", "contentType": "CSV", "lineEnding": "LF" });
    let reply = org.send(Method::POST, INGEST, JSON, &wanted.to_string());
    let created = body(&reply);
    assert_eq!(
        keys(&created),
        [
            "id",
            "operation",
            "object",
            "createdById",
            "createdDate",
            "systemModstamp",
            "state",
            "concurrencyMode",
            "contentType",
            "apiVersion",
            "contentUrl",
            "lineEnding",
            "columnDelimiter"
        ]
    );
    let id = string(&created["id"]);
    assert!(id.starts_with("750") && id.len() == 18, "{id}");
    assert!(text(&reply).starts_with(&format!("{{\n  \"id\" : \"{id}\",\n")), "{}", text(&reply));
    assert!(text(&reply).contains("\"apiVersion\" : 60.0"), "{}", text(&reply));
    assert_eq!(created["contentUrl"], format!("services/data/v60.0/jobs/ingest/{id}/batches"));
    assert_eq!((&created["state"], &created["columnDelimiter"]), (&json!("Open"), &json!("COMMA")));

    let rows = "LastName,Email,Birthdate\n\"O'Neill, \"\"Jack\"\"\",jack@example.com,2000-02-29\nNo Date,,30.02.2000\n,x@example.com,\n";
    let uploaded = org.upload(&id, rows);
    assert_eq!((uploaded.status, uploaded.body.len()), (StatusCode::CREATED, 0));
    let patched = body(&org.set_state(&id, "UploadComplete"));
    assert_eq!(patched["state"], "UploadComplete");
    for name in ["contentUrl", "lineEnding", "columnDelimiter"] {
        assert_eq!(patched.get(name), None, "{name}");
    }
    let info = org.info(&id);
    assert_eq!((&info["state"], &info["numberRecordsProcessed"]), (&json!("InProgress"), &json!(0)));
    let info = org.info(&id);
    assert_eq!(info["state"], "JobComplete");
    assert_eq!((&info["numberRecordsProcessed"], &info["numberRecordsFailed"]), (&json!(3), &json!(2)));
    assert_eq!((&info["jobType"], info.get("contentUrl")), (&json!("V2Ingest"), None));
    for name in ["retries", "totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"] {
        assert!(info[name].is_number(), "{name}");
    }

    let good = org.result(&id, "successfulResults");
    let lines: Vec<&str> = good.lines().collect();
    assert_eq!(lines[0], "\"sf__Id\",\"sf__Created\",LastName,Email,Birthdate");
    assert!(
        lines[1].ends_with("\",\"true\",\"O'Neill, \"\"Jack\"\"\",jack@example.com,2000-02-29"),
        "{good}"
    );
    assert_eq!(lines.len(), 2);
    let contact = string(&json!(lines[1].split('"').nth(1)));
    let row = org.get_json(&format!("/services/data/v60.0/sobjects/Contact/{contact}"));
    assert_eq!(row["LastName"], "O'Neill, \"Jack\"");
    let bad = org.result(&id, "failedResults");
    let lines: Vec<&str> = bad.lines().collect();
    assert_eq!(lines[0], "\"sf__Id\",\"sf__Error\",LastName,Email,Birthdate");
    assert_eq!(
        lines[1],
        "\"\",\"INVALID_FIELD:Failed to deserialize field at col 2. Due to, '30.02.2000' is not a valid value for the type \
         xsd:date:Birthdate --\",No Date,,30.02.2000"
    );
    assert!(
        lines[2].starts_with(
            "\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --\","
        ),
        "{bad}"
    );
    assert_eq!(org.result(&id, "unprocessedrecords"), "LastName,Email,Birthdate\n");
}

#[test]
fn rows_are_updated_cleared_upserted_and_deleted_by_file() {
    let org = org();
    let ids: Vec<String> = org.ids("Contact", "Email != null").into_iter().take(2).collect();
    let (first, second) = (&ids[0], &ids[1]);
    let before = org.get_json(&format!("/services/data/v60.0/sobjects/Contact/{second}"));
    let id = org.ingested(
        json!({ "object": "Contact", "operation": "update" }),
        &format!("Id,LastName,Email\n{first},New,#N/A\n{second},Newer,\n,Nobody,\n003000000000000,Ghost,\n"),
    );
    assert_eq!(org.info(&id)["numberRecordsFailed"], 2);
    let row = |id: &str| org.get_json(&format!("/services/data/v60.0/sobjects/Contact/{id}"));
    assert_eq!((&row(first)["LastName"], &row(first)["Email"]), (&json!("New"), &Value::Null));
    assert_eq!((&row(second)["LastName"], &row(second)["Email"]), (&json!("Newer"), &before["Email"]));
    assert!(
        org.result(&id, "successfulResults").contains(&format!("\"{first}\",\"false\",{first},New,#N/A\n"))
    );
    let bad = org.result(&id, "failedResults");
    assert!(bad.contains("\"\",\"MISSING_ARGUMENT:"), "{bad}");
    assert!(bad.contains("\"003000000000000\",\"INVALID_CROSS_REFERENCE_KEY:"), "{bad}");

    let wanted =
        json!({ "object": "Invoice__c", "operation": "upsert", "externalIdFieldName": "External_Id__c" });
    let id = org
        .ingested(wanted.clone(), "External_Id__c,Amount__c\nbulk-1,10.50\nbulk-2,20\nbulk-3,1\nBULK-3,2\n");
    assert_eq!(org.info(&id)["externalIdFieldName"], "External_Id__c");
    let bad = org.result(&id, "failedResults");
    assert_eq!(bad.matches("DUPLICATE_VALUE:Duplicate external id specified").count(), 2, "{bad}");
    let again = org.ingested(wanted, "External_Id__c,Amount__c\nbulk-1,11.25\nbulk-9,9\n");
    let good = org.result(&again, "successfulResults");
    assert!(good.contains("\"false\",bulk-1,11.25") && good.contains("\"true\",bulk-9,9"), "{good}");
    let rows = org.query(
        "SELECT Id, Amount__c FROM Invoice__c WHERE External_Id__c LIKE 'bulk-%' ORDER BY External_Id__c",
    );
    let amounts: Vec<Value> = records(&rows).iter().map(|row| row["Amount__c"].clone()).collect();
    assert_eq!(amounts, [json!(11.25), json!(20), json!(9)]);

    for operation in ["delete", "hardDelete"] {
        let rows = org.query("SELECT Id FROM Invoice__c WHERE External_Id__c LIKE 'bulk-%'");
        let doomed = string(&records(&rows)[0]["Id"]);
        let id = org.ingested(
            json!({ "object": "Invoice__c", "operation": operation }),
            &format!("Id\n{doomed}\n{doomed}\n"),
        );
        assert!(org.result(&id, "successfulResults").contains(&doomed));
        assert!(org.result(&id, "failedResults").contains("ENTITY_IS_DELETED"));
        let gone = org.get(&format!("/services/data/v60.0/sobjects/Invoice__c/{doomed}"));
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
    }
}

#[test]
fn parents_are_named_by_their_own_external_ids() {
    let org = org();
    let parent = org.ingested(
        json!({ "object": "Invoice__c", "operation": "upsert", "externalIdFieldName": "External_Id__c" }),
        "External_Id__c\nparent-1\n",
    );
    assert_eq!(org.info(&parent)["numberRecordsFailed"], 0);
    let user = org.query("SELECT Id, Username FROM User LIMIT 1");
    let (id, name) = (&records(&user)[0]["Id"], string(&records(&user)[0]["Username"]));
    let job = org.ingested(
        json!({ "object": "Case", "operation": "insert" }),
        &format!("Subject,User:Owner.Username\nwith a type,{name}\nunknown,nobody@example.com\n"),
    );
    let bad = org.result(&job, "failedResults");
    assert!(bad.contains("INVALID_FIELD:Foreign key external ID: nobody@example.com not found"), "{bad}");
    let found = org.query("SELECT OwnerId FROM Case WHERE Subject = 'with a type'");
    assert_eq!(&records(&found)[0]["OwnerId"], id);
}

#[test]
fn every_delimiter_and_line_ending_is_read_and_written() {
    let org = org();
    let delimiters = [
        ("COMMA", ','),
        ("TAB", '\t'),
        ("PIPE", '|'),
        ("SEMICOLON", ';'),
        ("CARET", '^'),
        ("BACKQUOTE", '`'),
    ];
    for (name, mark) in delimiters {
        for (ending, end) in [("LF", "\n"), ("CRLF", "\r\n")] {
            let id = org.ingested(
                json!({ "object": "Lead", "operation": "insert", "columnDelimiter": name, "lineEnding": ending }),
                &format!("LastName{mark}Company{end}\"a{mark}\nb\"{mark}{name} {ending}{end}"),
            );
            assert_eq!(org.info(&id)["numberRecordsFailed"], 0, "{name} {ending}");
            let good = org.result(&id, "successfulResults");
            assert!(
                good.starts_with(&format!("\"sf__Id\"{mark}\"sf__Created\"{mark}LastName{mark}Company{end}")),
                "{good}"
            );
            assert!(good.ends_with(&format!("\"a{mark}\nb\"{mark}{name} {ending}{end}")), "{good}");
            let rows = org.query(&format!("SELECT LastName FROM Lead WHERE Company = '{name} {ending}'"));
            assert_eq!(records(&rows)[0]["LastName"], format!("a{mark}\nb"));
        }
    }
    let states = [
        (
            "LF",
            "LastName,Company\r\nA,B\r\n",
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        (
            "CRLF",
            "LastName,Company\nA,B\n",
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF",
        ),
        ("LF", "LastName,Nope__c\nA,B\n", "InvalidBatch : Field name not found : Nope__c"),
        ("LF", "LastName,Company\nA\n", "InvalidBatch : Row 1 has 1 columns, the header has 2"),
        ("LF", "", "InvalidBatch : Records not found"),
    ];
    for (ending, content, message) in states {
        let id = org.job(INGEST, json!({ "object": "Lead", "operation": "insert", "lineEnding": ending }));
        org.upload(&id, content);
        org.set_state(&id, "UploadComplete");
        let info = org.info(&id);
        assert_eq!((&info["state"], &info["errorMessage"]), (&json!("Failed"), &json!(message)));
        assert_eq!((&info["numberRecordsProcessed"], &info["numberRecordsFailed"]), (&json!(0), &json!(0)));
    }
}

#[test]
fn time_alone_completes_a_job_and_forgets_it() {
    let mut org = org();
    let id = org.job(INGEST, json!({ "object": "Lead", "operation": "insert" }));
    org.upload(&id, "LastName,Company\nA,by time\n");
    org.set_state(&id, "UploadComplete");
    assert_eq!(records(&org.query("SELECT Id FROM Lead WHERE Company = 'by time'")).len(), 0);
    org.clock.advance(jiff::SignedDuration::from_mins(1)).expect("time goes on");
    assert_eq!(records(&org.query("SELECT Id FROM Lead WHERE Company = 'by time'")).len(), 1);
    assert_eq!(org.info(&id)["state"], "JobComplete");
    org.clock.advance(jiff::SignedDuration::from_hours(7 * 24)).expect("time goes on");
    let username = string(&org.service.credentials()["username"]);
    let grants = org.service.grants().expect("an OAuth registry");
    org.token = grants.issue("", &username, vec!["api".to_owned()], false, org.clock.now()).access_token;
    assert_eq!(org.get(&format!("{INGEST}/{id}")).status, StatusCode::NOT_FOUND);
}

#[test]
fn an_aborted_job_keeps_what_was_not_done() {
    let org = org();
    let id = org.job(INGEST, json!({ "object": "Lead", "operation": "insert" }));
    let mut content = String::from("LastName,Company\n");
    for number in 0..10_003 {
        content.push_str(&format!("L{number},aborted\n"));
    }
    org.upload(&id, &content);
    org.set_state(&id, "UploadComplete");
    assert_eq!(org.info(&id)["state"], "InProgress");
    assert_eq!(org.info(&id)["numberRecordsProcessed"], 10_000);
    let early = org.get(&format!("{INGEST}/{id}/successfulResults"));
    assert_eq!(
        (early.status, &body(&early)[0]["errorCode"]),
        (StatusCode::BAD_REQUEST, &json!("INVALIDJOBSTATE"))
    );
    assert_eq!(body(&org.set_state(&id, "Aborted"))["state"], "Aborted");
    assert_eq!(
        org.result(&id, "unprocessedrecords"),
        "LastName,Company\nL10000,aborted\nL10001,aborted\nL10002,aborted\n"
    );
    assert_eq!(org.result(&id, "successfulResults").lines().count(), 10_001);
    assert_eq!(org.query("SELECT COUNT() FROM Lead WHERE Company = 'aborted'")["totalSize"], 10_000);
    assert_eq!(org.set_state(&id, "UploadComplete").status, StatusCode::BAD_REQUEST);
    assert_eq!(org.send(Method::DELETE, &format!("{INGEST}/{id}"), &[], "").status, StatusCode::NO_CONTENT);
    assert_eq!(org.get(&format!("{INGEST}/{id}")).status, StatusCode::NOT_FOUND);
}

#[test]
fn jobs_are_listed_and_wrong_ones_are_refused() {
    let org = org();
    let bad = [
        (json!({ "object": "Nope", "operation": "insert" }), "INVALIDENTITY"),
        (json!({ "object": "Lead", "operation": "merge" }), "INVALIDJOB"),
        (json!({ "object": "Lead", "operation": "upsert" }), "INVALIDJOB"),
        (json!({ "object": "Lead", "operation": "upsert", "externalIdFieldName": "Company" }), "INVALIDJOB"),
        (json!({ "object": "Lead", "operation": "insert", "columnDelimiter": "DOT" }), "INVALIDJOB"),
        (json!({ "object": "Lead", "operation": "insert", "contentType": "XML" }), "INVALIDJOB"),
    ];
    for (wanted, code) in bad {
        assert_eq!(
            org.refused_job(INGEST, wanted.clone()),
            (StatusCode::BAD_REQUEST, code.to_owned()),
            "{wanted}"
        );
    }
    let id = org.job(INGEST, json!({ "object": "Lead", "operation": "insert" }));
    let other = org.job(INGEST, json!({ "object": "Contact", "operation": "insert" }));
    let list = org.get_json(INGEST);
    assert_eq!(keys(&list), ["done", "records", "nextRecordsUrl"]);
    let ids: Vec<&Value> = records(&list).iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&json!(other), &json!(id)]);
    assert_eq!(org.upload(&id, "LastName,Company\nA,B\n").status, StatusCode::CREATED);
    assert_eq!(org.upload(&id, "LastName,Company\nA,B\n").status, StatusCode::BAD_REQUEST);
    let typed = org.send(Method::PUT, &format!("{INGEST}/{other}/batches"), JSON, "{}");
    assert_eq!(typed.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(org.set_state(&id, "JobComplete").status, StatusCode::BAD_REQUEST);
    assert_eq!(org.send(Method::DELETE, &format!("{INGEST}/{id}"), &[], "").status, StatusCode::BAD_REQUEST);
    assert_eq!(org.get(&format!("{INGEST}//{id}")).status, StatusCode::NOT_FOUND);
    let mut long = org.request(Method::PUT, &format!("{INGEST}/{other}/batches"), CSV, "");
    long.body = vec![b'a'; 150_000_001].into();
    let refused = org.service.handle(&long);
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn a_query_job_gives_csv_in_pages_and_says_where_the_next_begins() {
    let org = org();
    let statement =
        "SELECT Id, Name, Account.Name, Email, Birthdate, CreatedDate, IsDeleted FROM Contact ORDER BY Id";
    let reply =
        org.send(Method::POST, QUERY, JSON, &json!({ "operation": "query", "query": statement }).to_string());
    let created = body(&reply);
    assert_eq!(created["state"], "UploadComplete");
    assert_eq!((created.get("contentUrl"), created.get("query")), (None, None));
    assert_eq!((&created["object"], &created["lineEnding"]), (&json!("Contact"), &json!("LF")));
    assert!(text(&reply).contains("\n  \"id\" : \""), "{}", text(&reply));
    let id = string(&created["id"]);
    let early = org.get(&format!("{QUERY}/{id}/results"));
    assert_eq!(
        (early.status, &body(&early)[0]["errorCode"]),
        (StatusCode::BAD_REQUEST, &json!("INVALIDJOBSTATE"))
    );
    assert_eq!(org.get_json(&format!("{QUERY}/{id}"))["state"], "InProgress");
    let info = org.get_json(&format!("{QUERY}/{id}"));
    assert_eq!((&info["state"], &info["jobType"]), (&json!("JobComplete"), &json!("V2Query")));
    assert_eq!(info["numberRecordsProcessed"], 300);

    let (whole, locator, count) = org.results(&id, "");
    assert_eq!((locator.as_str(), count.as_str()), ("null", "300"));
    let head = "\"Id\",\"Name\",\"Account.Name\",\"Email\",\"Birthdate\",\"CreatedDate\",\"IsDeleted\"";
    assert_eq!(whole.lines().next(), Some(head));
    let mut parts = String::new();
    let mut pages = Vec::new();
    let mut at = String::new();
    while at != "null" {
        let (page, next, count) = org.results(&id, &format!("?maxRecords=130&locator={at}"));
        let (first, rest) = page.split_once('\n').expect("a header");
        assert_eq!(first, head);
        parts.push_str(rest);
        pages.push(count);
        at = next;
    }
    assert_eq!(pages, ["130", "130", "40"]);
    assert_eq!(format!("{head}\n{parts}"), whole);
    let mut reader = csv_rows(&whole);
    let rest = org.query(statement);
    for row in records(&rest) {
        let cells = reader.remove(0);
        assert_eq!(row["Id"], cells[0]);
        assert_eq!(row["Account"]["Name"].as_str().unwrap_or_default(), cells[2]);
        assert_eq!(row["Email"].as_str().unwrap_or_default(), cells[3]);
        assert_eq!(string(&row["CreatedDate"]).replace(".000+0000", ".000Z"), cells[5]);
        assert_eq!(cells[6], "false");
    }
    assert!(reader.is_empty());
    for parameters in ["?maxRecords=0", "?maxRecords=many", "?locator=nowhere", "?locator=MzAw"] {
        let refused = org.get(&format!("{QUERY}/{id}/results{parameters}"));
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{parameters}");
    }
    assert_eq!(org.get(&format!("{QUERY}//{id}/results")).status, StatusCode::NOT_FOUND);
    assert_eq!(records(&org.get_json(QUERY)).len(), 1);
    assert_eq!(org.send(Method::DELETE, &format!("{QUERY}/{id}"), &[], "").status, StatusCode::NO_CONTENT);
    assert_eq!(org.get(&format!("{QUERY}/{id}/results")).status, StatusCode::NOT_FOUND);
}

/// Rows below the header of a file whose every value is quoted; values with line breaks do not occur here.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inner = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("quoted");
        inner.split("\",\"").map(|cell| cell.replace("\"\"", "\"")).collect()
    };
    text.lines().skip(1).map(cells).collect()
}

#[test]
fn a_query_job_keeps_the_rows_of_its_moment_and_deleted_ones_come_with_query_all() {
    let org = org();
    let ids = org.ids("Lead", "Id != null");
    let gone = format!("/services/data/v60.0/sobjects/Lead/{}", ids[0]);
    assert_eq!(org.send(Method::DELETE, &gone, &[], "").status, StatusCode::NO_CONTENT);
    let live = org.queried(json!({ "operation": "query", "query": "SELECT Id, IsDeleted FROM Lead" }));
    let all = org.queried(json!({ "operation": "queryAll", "query": "SELECT Id, IsDeleted FROM Lead" }));
    let later = format!("/services/data/v60.0/sobjects/Lead/{}", ids[1]);
    assert_eq!(org.send(Method::DELETE, &later, &[], "").status, StatusCode::NO_CONTENT);
    let (live, _, count) = org.results(&live, "");
    assert_eq!(count, (ids.len() - 1).to_string());
    assert!(!live.contains(&ids[0]) && live.contains(&format!("\"{}\",\"false\"", ids[1])), "{live}");
    let (all, _, count) = org.results(&all, "");
    assert_eq!(count, ids.len().to_string());
    assert!(all.contains(&format!("\"{}\",\"true\"", ids[0])), "{all}");
    let none = org
        .queried(json!({ "operation": "query", "query": "SELECT Id, a.Name FROM Lead a WHERE Id = null" }));
    assert_eq!(org.results(&none, ""), ("\"Id\",\"Name\"\n".to_owned(), "null".to_owned(), "0".to_owned()));
    let tabs = org.queried(json!({ "operation": "query", "query": "SELECT Id, Name FROM Lead LIMIT 1",
        "columnDelimiter": "TAB", "lineEnding": "CRLF" }));
    assert!(org.results(&tabs, "").0.starts_with("\"Id\"\t\"Name\"\r\n"));
}

#[test]
fn statements_that_only_a_plain_query_takes_are_refused_as_jobs() {
    let org = org();
    let refused = [
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR"),
        ("SELECT COUNT() FROM Account", "API_ERROR"),
        ("SELECT Industry, COUNT(Id) FROM Account GROUP BY Industry", "API_ERROR"),
        ("SELECT Id FROM Account GROUP BY Id", "API_ERROR"),
        ("SELECT Id FROM Account LIMIT 5 OFFSET 5", "API_ERROR"),
        ("SELECT TYPEOF Owner WHEN User THEN Name END FROM Case", "API_ERROR"),
        ("SELECT BillingAddress FROM Account", "API_ERROR"),
        ("SELECT Body FROM Attachment", "API_ERROR"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM", "MALFORMED_QUERY"),
    ];
    for (statement, code) in refused {
        let (status, told) = org.refused_job(QUERY, json!({ "operation": "query", "query": statement }));
        assert_eq!((status, told.as_str()), (StatusCode::BAD_REQUEST, code), "{statement}");
    }
    let taken = [
        "SELECT Id FROM Group",
        "SELECT Id FROM Account WHERE Name = 'GROUP BY OFFSET 5 (SELECT'",
        "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account)",
    ];
    for statement in taken {
        org.job(QUERY, json!({ "operation": "query", "query": statement }));
    }
    let id = org.job(QUERY, json!({ "operation": "query", "query": "SELECT Id FROM Account" }));
    let address = format!("{QUERY}/{id}");
    let aborted = org.send(Method::PATCH, &address, JSON, "{\"state\":\"Aborted\"}");
    assert_eq!(body(&aborted)["state"], "Aborted");
    assert_eq!(org.get_json(&address)["state"], "Aborted");
}
