//! Creates, updates, upserts, deletes, links, batches, and the changes they leave.

use http::{Method, StatusCode};
use recordport::emulator::service::{Reply, Service, StatePart};
use serde_json::{Value, json};

use super::{ORIGIN, Org, V, body, header, org, rows, text};

const REPRESENTATION: (&str, &str) = ("prefer", "return=representation");

impl Org {
    fn write(&self, method: Method, path: &str, headers: &[(&str, &str)], content: &Value) -> Reply {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(method, &format!("{V}/{path}"), &all, &content.to_string())
    }

    fn create(&self, set: &str, content: &Value) -> String {
        let reply = self.write(Method::POST, set, &[], content);
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", text(&reply));
        let address = header(&reply, "odata-entityid");
        assert!(address.starts_with(&format!("{ORIGIN}{V}/{set}(")), "{address}");
        address.rsplit('(').next().expect("an id").trim_end_matches(')').to_owned()
    }

    /// The status and code of a refusal that must leave the rows as they were.
    fn declined(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        content: &Value,
    ) -> (u16, String) {
        let table = path.split(['(', '/']).next().expect("a set");
        let before = self.service.state_text(table, &StatePart::default());
        let reply = self.write(method, path, headers, content);
        assert!(!reply.status.is_success(), "{path} took {content}");
        assert!(!reply.committed);
        assert_eq!(self.service.state_text(table, &StatePart::default()), before, "{path} {content}");
        (reply.status.as_u16(), body(&reply)["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    fn batch(&self, content: &str, prefer: &str) -> (u16, String) {
        let content = content.replace('\n', "\r\n");
        let headers = [("content-type", "multipart/mixed; boundary=\"b1\""), ("prefer", prefer)];
        let headers = if prefer.is_empty() { &headers[..1] } else { &headers[..] };
        let reply = self.send(Method::POST, &format!("{V}/$batch"), headers, &content);
        (reply.status.as_u16(), text(&reply))
    }
}

fn invoice(more: &Value) -> Value {
    let mut row = json!({"new_name": "Paper", "new_quantity": 1});
    for (key, value) in more.as_object().expect("an object") {
        row[key] = value.clone();
    }
    row
}

#[test]
fn every_type_of_column_is_read_back_as_it_was_written() {
    let org = org();
    let account = org.state("account")[0]["accountid"].as_str().expect("an id").to_owned();
    let contact = org.state("contact")[0]["contactid"].as_str().expect("an id").to_owned();
    let id = "0a0b0c0d-1111-4222-8333-444455556666";
    let reply = org.write(Method::POST, "new_invoices", &[REPRESENTATION], &invoice(&json!({
        "new_invoiceid": id, "new_name": "Ünï \"🚀\" 'x'", "new_amount": 12.345, "new_discount": -1.23456,
        "new_weight": 47.639583, "new_quantity": 42, "new_position": 9007199254740993i64, "new_paid": true,
        "new_kind": 100000001, "new_tags": "4, 1", "new_due": "2024-02-29", "new_checkin": "2024-01-01T12:00:00",
        "new_sent": "2024-01-01T12:00:00+02:00", "new_notes": "a\nb", "new_trackingid": id, "statecode": 1,
        "statuscode": 100000002, "new_Account@odata.bind": format!("/accounts({account})"),
        "new_Party_contact@odata.bind": format!("contacts({contact})"),
    })));
    assert_eq!(reply.status, StatusCode::CREATED, "{}", text(&reply));
    assert_eq!(header(&reply, "odata-entityid"), "");
    let row = body(&reply);
    for (name, wanted) in [
        ("new_invoiceid", json!(id)),
        ("new_name", json!("Ünï \"🚀\" 'x'")),
        ("new_weight", json!(47.64)),
        ("new_position", json!(9007199254740993i64)),
        ("new_tags", json!("1,4")),
        ("new_due", json!("2024-02-29")),
        ("new_checkin", json!("2024-01-01T12:00:00Z")),
        ("new_sent", json!("2024-01-01T10:00:00Z")),
        ("_new_account_value", json!(account)),
        ("_new_party_value", json!(contact)),
        ("statuscode", json!(100000002)),
        ("new_notes", json!("a\nb")),
        ("new_paid", json!(true)),
        ("new_number", json!("INV-000090")),
    ] {
        assert_eq!(row[name], wanted, "{name}");
    }
    assert!(
        text(&reply).contains("\"new_amount\":12.3500") && text(&reply).contains("\"new_discount\":-1.2346")
    );
    assert!(
        text(&reply).contains("\"new_amount_base\":12.3500")
            && row["_transactioncurrencyid_value"].is_string()
    );
    let reply = org.write(
        Method::PATCH,
        &format!("new_invoices({id})"),
        &[],
        &json!({"new_notes": null, "new_Account@odata.bind": null}),
    );
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", text(&reply));
    let after = org.json(&format!("new_invoices({id})"), "");
    assert_eq!(
        (&after["new_notes"], &after["_new_account_value"], &after["new_quantity"]),
        (&Value::Null, &Value::Null, &json!(42))
    );
    assert_ne!(after["@odata.etag"], row["@odata.etag"]);
}

#[test]
fn wrong_rows_are_refused_with_the_services_codes() {
    let org = org();
    let refused = |more: Value| org.declined(Method::POST, "new_invoices", &[], &invoice(&more));
    let code = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused(json!({"nope": 1})), code(400, "0x80048d19"));
    assert_eq!(
        refused(json!({"new_account@odata.bind": "/accounts(00000000-0000-0000-0000-000000000001)"})),
        code(400, "0x80048d19")
    );
    assert_eq!(refused(json!({"new_quantity": "5"})), code(400, "0x80048d19"));
    assert_eq!(refused(json!({"new_quantity": null})), code(400, "0x80040203"));
    assert_eq!(refused(json!({"new_quantity": 1_000_000})), code(400, "0x8004432f"));
    assert_eq!(refused(json!({"new_amount": 1e10})), code(400, "0x80044330"));
    assert_eq!(refused(json!({"new_name": "x".repeat(101)})), code(400, "0x80044331"));
    assert_eq!(refused(json!({"new_kind": 7})), code(400, "0x8004431a"));
    assert_eq!(refused(json!({"statuscode": 2})), code(400, "0x80048408"));
    assert_eq!(
        refused(json!({"new_Account@odata.bind": "/accounts(00000000-0000-0000-0000-000000000001)"})),
        code(404, "0x80040217")
    );
    assert_eq!(refused(json!({"new_externalid": "EXT 000004"})), code(412, "0x80060892"));
    assert_eq!(
        refused(json!({"new_invoiceid": org.state("new_invoice")[0]["new_invoiceid"]})),
        code(412, "0x80040237")
    );
    assert_eq!(org.declined(Method::POST, "incidents", &[], &json!({"title": "x"})), code(400, "0x80040203"));
    let name = org.state("account")[5]["name"].clone();
    let detect = [("mscrm.suppressduplicatedetection", "false")];
    assert_eq!(
        org.declined(Method::POST, "accounts", &detect, &json!({"name": name})),
        code(412, "0x80040333")
    );
    org.create("accounts", &json!({"name": name}));
}

#[test]
fn conditional_headers_choose_between_update_and_create() {
    let org = org();
    let path = "accounts(0a0b0c0d-1111-4222-8333-444455556666)";
    let row = json!({"name": "One"});
    assert_eq!(org.declined(Method::PATCH, path, &[("if-match", "*")], &row), (404, "0x80040217".to_owned()));
    let created = org.write(Method::PATCH, path, &[REPRESENTATION], &row);
    assert_eq!(created.status, StatusCode::CREATED, "{}", text(&created));
    let updated = org.write(Method::PATCH, path, &[REPRESENTATION], &row);
    assert_eq!(updated.status, StatusCode::OK);
    let etag = header(&updated, "etag");
    assert_eq!(
        org.declined(Method::PATCH, path, &[("if-none-match", "*")], &row),
        (412, "0x80040237".to_owned())
    );
    let get = |tag: &str| org.send(Method::GET, &format!("{V}/{path}"), &[("if-none-match", tag)], "").status;
    assert_eq!(get(&etag), StatusCode::NOT_MODIFIED);
    assert_eq!(org.write(Method::PATCH, path, &[("if-match", &etag)], &row).status, StatusCode::NO_CONTENT);
    assert_eq!(get(&etag), StatusCode::OK);
    assert_eq!(
        org.declined(Method::PATCH, path, &[("if-match", &etag)], &row),
        (412, "0x80060882".to_owned())
    );
    assert_eq!(
        org.declined(Method::DELETE, path, &[("if-match", &etag)], &Value::Null),
        (412, "0x80060882".to_owned())
    );
    let by_key = "accounts(accountnumber='A-1')";
    assert_eq!(org.write(Method::PATCH, by_key, &[REPRESENTATION], &row).status, StatusCode::CREATED);
    let again = org.write(Method::PATCH, by_key, &[REPRESENTATION], &json!({"name": "Two"}));
    assert_eq!((again.status, &body(&again)["accountnumber"]), (StatusCode::OK, &json!("A-1")));
    assert_eq!(org.write(Method::DELETE, path, &[], &Value::Null).status, StatusCode::NO_CONTENT);
    assert_eq!(org.declined(Method::DELETE, path, &[], &Value::Null).0, 404);
    let tag = format!("new_tags({})", org.state("new_tag")[0]["new_tagid"].as_str().expect("an id"));
    assert_eq!(
        org.declined(Method::PATCH, &tag, &[("if-match", "W/\"1\"")], &json!({"new_rank": 1})),
        (400, "0x8006088d".to_owned())
    );
}

#[test]
fn single_properties_and_links_are_set_and_taken_away() {
    let org = org();
    let account = org.create("accounts", &json!({"name": "Links", "description": "x"}));
    let contact = org.create("contacts", &json!({"lastname": "Links"}));
    let path = |rest: &str| format!("accounts({account})/{rest}");
    let done = |method: Method, path: &str, content: Value| {
        let reply = org.write(method, path, &[], &content);
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{path}: {}", text(&reply));
    };
    done(Method::PUT, &path("name"), json!({"value": "New"}));
    done(Method::DELETE, &path("description"), Value::Null);
    let address = format!("{ORIGIN}{V}/contacts({contact})");
    done(Method::PUT, &path("primarycontactid/$ref"), json!({"@odata.id": address}));
    done(Method::POST, &path("contact_customer_accounts/$ref"), json!({"@odata.id": address}));
    let row = org.json(&format!("accounts({account})"), "");
    assert_eq!(
        (&row["name"], &row["description"], &row["_primarycontactid_value"]),
        (&json!("New"), &Value::Null, &json!(contact))
    );
    assert_eq!(rows(&org.json(&path("contact_customer_accounts"), "")).len(), 1);
    done(Method::DELETE, &path("primarycontactid/$ref"), Value::Null);
    done(Method::DELETE, &path(&format!("contact_customer_accounts({contact})/$ref")), Value::Null);
    assert!(rows(&org.json(&path("contact_customer_accounts"), "")).is_empty());
    let invoice = org.create("new_invoices", &invoice(&json!({})));
    let tag = org.state("new_tag")[3]["new_tagid"].as_str().expect("an id").to_owned();
    let link = format!("new_invoices({invoice})/new_invoice_new_tag");
    done(Method::POST, &format!("{link}/$ref"), json!({"@odata.id": format!("{ORIGIN}{V}/new_tags({tag})")}));
    assert_eq!(rows(&org.json(&link, ""))[0]["new_tagid"], tag);
    done(Method::DELETE, &format!("{link}({tag})/$ref"), Value::Null);
    assert!(rows(&org.json(&link, "")).is_empty());
}

#[test]
fn a_deletion_cascades_clears_or_is_refused_as_the_relationship_says() {
    let org = org();
    let account = org.create(
        "accounts",
        &json!({
            "name": "Parent",
            "contact_customer_accounts": [{"lastname": "Child"}],
            "primarycontactid": {"lastname": "Primary"},
        }),
    );
    let bind = format!("/accounts({account})");
    let invoice = org.create("new_invoices", &invoice(&json!({"new_Account@odata.bind": bind})));
    let case = org.create("incidents", &json!({"title": "Open", "customerid_account@odata.bind": bind}));
    let path = format!("accounts({account})");
    assert_eq!(org.declined(Method::DELETE, &path, &[], &Value::Null), (405, "0x80040227".to_owned()));
    let delete = |path: &str| org.write(Method::DELETE, path, &[], &Value::Null).status;
    assert_eq!(delete(&format!("incidents({case})")), StatusCode::NO_CONTENT);
    assert_eq!(delete(&path), StatusCode::NO_CONTENT);
    assert_eq!(org.json(&format!("new_invoices({invoice})"), "")["_new_account_value"], Value::Null);
    assert!(rows(&org.json("contacts?$filter=lastname eq 'Child'", "")).is_empty());
    assert_eq!(rows(&org.json("contacts?$filter=lastname eq 'Primary'", "")).len(), 1);
}

const BATCH: &str = "--b1
Content-Type: application/http
Content-Transfer-Encoding: binary

POST /api/data/v9.2/accounts HTTP/1.1
Content-Type: application/json

{\"name\":\"First\"}
--b1
Content-Type: application/http
Content-Transfer-Encoding: binary

PATCH accounts(0a0b0c0d-0000-4222-8333-444455556666) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"name\":\"Nobody\"}
--b1
Content-Type: application/http
Content-Transfer-Encoding: binary

GET accounts?$select=name&$filter=name%20eq%20'First' HTTP/1.1
Accept: application/json

--b1--
";

#[test]
fn a_batch_stops_at_its_first_error_unless_told_to_go_on() {
    let org = org();
    let (status, answer) = org.batch(BATCH, "odata.continue-on-error");
    assert_eq!(status, 200);
    assert_eq!(answer.matches("\r\nHTTP/1.1 ").count(), 3, "{answer}");
    assert!(
        answer.contains("204 No Content") && answer.contains("404 Not Found") && answer.contains("REQ_ID: ")
    );
    assert!(answer.contains("\"name\":\"First\"") && answer.contains("OData-EntityId: http"));
    let (status, answer) = org.batch(BATCH, "");
    assert_eq!((status, answer.matches("\r\nHTTP/1.1 ").count()), (404, 2), "{answer}");
    let (status, answer) = org.batch("--b1\nbroken", "");
    assert_eq!(status, 400);
    assert!(answer.contains("0x80048d19"), "{answer}");
    let one = "--b1\nContent-Type: application/http\n\nGET WhoAmI HTTP/1.1\n\n";
    assert_eq!(org.batch(&format!("{}--b1--\n", one.repeat(1001)), "").0, 400);
}

fn change_set(second: &str) -> String {
    format!(
        "--b1\nContent-Type: multipart/mixed; boundary=c1\n\n--c1\nContent-Type: application/http\nContent-Transfer-Encoding: \
         binary\nContent-ID: 1\n\nPOST {ORIGIN}{V}/accounts HTTP/1.1\nContent-Type: application/json\n\n{{\"name\":\"Whole\"}}\n\
         --c1\nContent-Type: application/http\nContent-Transfer-Encoding: binary\nContent-ID: 2\n\nPOST /api/data/v9.2/contacts \
         HTTP/1.1\nContent-Type: application/json\n\n{second}\n--c1--\n--b1--\n"
    )
}

#[test]
fn a_change_set_happens_whole_or_not_at_all() {
    let org = org();
    let count = |filter: &str| rows(&org.json(&format!("accounts?$filter={filter}"), "")).len();
    let (status, answer) =
        org.batch(&change_set("{\"lastname\":\"X\",\"nope\":1}"), "odata.continue-on-error");
    assert_eq!(status, 200);
    assert!(answer.contains("400 Bad Request") && !answer.contains("changesetresponse"), "{answer}");
    assert_eq!(count("name eq 'Whole'"), 0);
    let (status, answer) =
        org.batch(&change_set("{\"lastname\":\"X\",\"parentcustomerid_account@odata.bind\":\"$1\"}"), "");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("changesetresponse_") && answer.contains("Content-ID: 2"));
    assert_eq!(count("name eq 'Whole' and contact_customer_accounts/any()"), 1);
    let (_, answer) =
        org.batch(&change_set("{\"lastname\":\"X\",\"parentcustomerid_account@odata.bind\":\"$9\"}"), "");
    assert!(answer.contains("'$9' does not exist in the batch context"), "{answer}");
}

#[test]
fn multiple_actions_are_all_or_nothing() {
    let org = org();
    let kind = "Microsoft.Dynamics.CRM.account";
    let run = |action: &str, targets: Value| {
        org.write(
            Method::POST,
            &format!("accounts/Microsoft.Dynamics.CRM.{action}"),
            &[],
            &json!({"Targets": targets}),
        )
    };
    let before = org.state("account").len();
    let failed =
        run("CreateMultiple", json!([{"@odata.type": kind, "name": "A"}, {"@odata.type": kind, "nope": 1}]));
    assert_eq!((failed.status, org.state("account").len()), (StatusCode::BAD_REQUEST, before));
    let made = run(
        "CreateMultiple",
        json!([{"@odata.type": kind, "name": "A"}, {"@odata.type": kind, "name": "B"}]),
    );
    let ids = body(&made)["Ids"].clone();
    assert_eq!(ids.as_array().map(Vec::len), Some(2));
    let updated = run("UpdateMultiple", json!([{"@odata.type": kind, "accountid": ids[0], "name": "A2"}]));
    assert_eq!(updated.status, StatusCode::NO_CONTENT, "{}", text(&updated));
    let upserted = run(
        "UpsertMultiple",
        json!([
            {"@odata.type": kind, "@odata.id": "accounts(accountnumber='U-1')", "name": "U"},
            {"@odata.type": kind, "@odata.id": "accounts(accountnumber='ACC-000005')", "name": "Known"},
        ]),
    );
    assert_eq!(upserted.status, StatusCode::NO_CONTENT, "{}", text(&upserted));
    assert_eq!(org.state("account").len(), before + 3);
    let repeated = run(
        "UpsertMultiple",
        json!([{"@odata.type": kind, "@odata.id": "accounts(accountnumber='U-2')", "accountnumber": "U-2"}]),
    );
    assert_eq!(body(&repeated)["error"]["code"], "0x80040216");
}

#[test]
fn a_delta_link_tells_what_was_written_and_deleted_since() {
    let org = org();
    let gone = org.create("accounts", &json!({"name": "Gone"}));
    let whole = org.json("accounts?$select=name", "odata.track-changes");
    let link = whole["@odata.deltaLink"].as_str().expect("a link").to_owned();
    let made = org.create("accounts", &json!({"name": "Made"}));
    org.write(Method::DELETE, &format!("accounts({gone})"), &[], &Value::Null);
    let delta = org.json(&link, "");
    let list = rows(&delta);
    assert_eq!((list.len(), &list[0]["accountid"], &list[0]["name"]), (2, &json!(made), &json!("Made")));
    assert_eq!((&list[1]["id"], &list[1]["reason"]), (&json!(gone), &json!("deleted")));
    assert!(
        list[1]["@odata.context"].as_str().is_some_and(|text| text.ends_with("#accounts/$deletedEntity"))
    );
    let next = delta["@odata.deltaLink"].as_str().expect("a link");
    assert!(rows(&org.json(next, "")).is_empty());
    let off = org.send(Method::GET, &format!("{V}/new_tags"), &[("prefer", "odata.track-changes")], "");
    assert_eq!(body(&off)["error"]["code"], "0x80072491");
    let filtered = org.send(
        Method::GET,
        &format!("{V}/accounts?$filter=name eq 'x'"),
        &[("prefer", "odata.track-changes")],
        "",
    );
    assert!(text(&filtered).contains("isn't supported when Change Tracking is enabled"));
}

#[test]
fn a_control_hides_a_column_and_changes_a_table() {
    let org = org();
    let control = |what: &str, content: Value| {
        org.send(Method::POST, &format!("/_emulator/dynamics/{what}"), &[], &content.to_string())
            .status
            .as_u16()
    };
    assert_eq!(control("columns", json!({"table": "account", "column": "description", "hidden": true})), 204);
    assert!(org.refused("accounts?$select=description", 400).1.contains("description"));
    let names = text(&org.get("EntityDefinitions(LogicalName='account')/Attributes?$select=LogicalName"));
    assert!(!names.contains("\"description\""));
    assert_eq!(control("tables", json!({"table": "account", "change_tracking": false})), 204);
    assert_eq!(org.json("EntityDefinitions(LogicalName='account')", "")["ChangeTrackingEnabled"], false);
    assert_eq!(
        control(
            "columns",
            json!({"table": "account", "column": "industrycode", "add_option": {"value": 99, "label": "New"}})
        ),
        204
    );
    org.create("accounts", &json!({"name": "x", "industrycode": 99}));
    assert_eq!(control("columns", json!({"table": "nothing", "column": "x"})), 400);
    org.service.reset();
    assert!(text(&org.get("accounts?$select=description&$top=1")).contains("description"));
}
