//! What the clients of this service are used to: forms of addresses and headers, lists of what there is.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{body, keys, org, records, string, text};

const DATA: &str = "/services/data/v60.0";

#[test]
fn addresses_are_taken_as_clients_write_them_and_never_normalised() {
    let org = org();
    let spellings = [
        "query?q=SELECT+Id+FROM+Lead+LIMIT+3",
        "query/?q=SELECT%20Id%20FROM%20Lead%20LIMIT%203",
        "queryAll/?q=SELECT%0AId%20FROM+Lead%20LIMIT+3",
    ];
    for spelling in spellings {
        assert_eq!(records(&org.get_json(&format!("{DATA}/{spelling}"))).len(), 3, "{spelling}");
    }
    for address in
        ["", "/", "/sobjects", "/sobjects/", "/limits/", "/sobjects/Lead/", "/sobjects/Lead/describe/"]
    {
        assert_eq!(org.get(&format!("{DATA}{address}")).status, StatusCode::OK, "{address}");
    }
    for address in ["//sobjects", "/sobjects//Lead", "/jobs/query//750000000000000/results"] {
        assert_eq!(org.get(&format!("{DATA}{address}")).status, StatusCode::NOT_FOUND, "{address}");
    }
    let created = org.send(
        Method::POST,
        &format!("{DATA}/sobjects/Lead/"),
        &[("content-type", "application/json")],
        &json!({ "LastName": "slash", "Company": "c" }).to_string(),
    );
    assert_eq!(created.status, StatusCode::CREATED, "{}", text(&created));
}

#[test]
fn json_is_laid_out_on_demand_without_touching_a_value() {
    let org = org();
    let address = format!("{DATA}/query?q=SELECT+Id,Name,AnnualRevenue+FROM+Account+LIMIT+2");
    let plain = org.get(&address);
    let laid = org.send(Method::GET, &address, &[("x-prettyprint", "1")], "");
    assert!(
        text(&laid).starts_with("{\n  \"totalSize\" : 2,\n  \"done\" : true,\n  \"records\" : [ {\n"),
        "{}",
        text(&laid)
    );
    assert_eq!(body(&laid), body(&plain));
    let off = org.send(Method::GET, &address, &[("x-prettyprint", "0")], "");
    assert_eq!(off.body, plain.body);
}

#[test]
fn versions_resources_and_limits_are_told() {
    let org = org();
    let versions = org.get_json("/services/data");
    assert_eq!(keys(&versions[0]), ["label", "url", "version"]);
    let resources = org.get_json(DATA);
    for name in
        ["composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "search", "sobjects"]
    {
        assert_eq!(resources[name], format!("{DATA}/{name}"), "{name}");
    }
    let identity = string(&resources["identity"]);
    assert!(identity.starts_with("http://127.0.0.1:9/id/00D"), "{identity}");
    let who = org.get_json(identity.trim_start_matches("http://127.0.0.1:9"));
    assert_eq!(who["id"], identity);
    let info = org.get_json("/services/oauth2/userinfo");
    let row = org.get_json(&format!("{DATA}/sobjects/User/{}", string(&info["user_id"])));
    assert_eq!(row["Username"], info["preferred_username"]);

    let limits = org.get_json(&format!("{DATA}/limits"));
    assert!(keys(&limits).len() > 50, "{limits}");
    for name in
        ["DailyApiRequests", "DailyBulkApiBatches", "DailyBulkV2QueryJobs", "DataStorageMB", "SingleEmail"]
    {
        assert_eq!(keys(&limits[name]), ["Max", "Remaining"], "{name}");
    }
    let sorted = {
        let mut names = keys(&limits);
        names.sort();
        names
    };
    assert_eq!(keys(&limits), sorted);
    let later = org.get_json(&format!("{DATA}/limits"));
    let left = |limits: &Value| limits["DailyApiRequests"]["Remaining"].as_u64();
    assert!(left(&later) < left(&limits));
    let counts = org.get_json(&format!("{DATA}/limits/recordCount?sObjects=Lead,Account,Nope"));
    assert_eq!(
        counts["sObjects"],
        json!([{ "count": 120, "name": "Account" }, { "count": 60, "name": "Lead" }])
    );

    let retired = org.get("/services/data/v20.0/sobjects");
    assert_eq!(
        (retired.status, &body(&retired)[0]["errorCode"]),
        (StatusCode::GONE, &json!("UNSUPPORTED_API_VERSION"))
    );
    assert_eq!(org.get("/services/data/v26.0/sobjects").status, StatusCode::OK);
    assert_eq!(org.get("/services/data/v99.0/sobjects").status, StatusCode::NOT_FOUND);
}

#[test]
fn binary_fields_are_addresses_whose_answer_is_the_bytes() {
    let org = org();
    let case = org.ids("Case", "Id != null").remove(0);
    let fields =
        json!({ "ParentId": case, "Name": "dot.png", "ContentType": "image/png", "Body": "AAEC/w==" });
    let created = org.send(
        Method::POST,
        &format!("{DATA}/sobjects/Attachment"),
        &[("content-type", "application/json")],
        &fields.to_string(),
    );
    let id = string(&body(&created)["id"]);
    let row = org.get_json(&format!("{DATA}/sobjects/Attachment/{id}?fields=Body,BodyLength"));
    assert_eq!(row["BodyLength"], 4);
    let address = string(&row["Body"]);
    assert_eq!(address, format!("{DATA}/sobjects/Attachment/{id}/Body"));
    let bytes = org.get(&address);
    assert_eq!((bytes.status, &bytes.body[..]), (StatusCode::OK, &[0u8, 1, 2, 255][..]));
    assert_eq!(bytes.headers["content-type"], "image/png");
    let untyped = json!({ "ParentId": case, "Name": "x", "Body": "AAEC/w==" });
    let created = org.send(
        Method::POST,
        &format!("{DATA}/sobjects/Attachment"),
        &[("content-type", "application/json")],
        &untyped.to_string(),
    );
    let bytes = org.get(&format!("{DATA}/sobjects/Attachment/{}/Body", string(&body(&created)["id"])));
    assert_eq!(bytes.headers["content-type"], "application/octet-stream");
}
