//! Reading from Salesforce where it is large, changes, or is of another age than we are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::tz::TimeZone;
use recordport::connect::sign_in::AccessMode;
use recordport::error::{ErrorKind, Result};
use recordport::http::client::WireSettings;
use recordport::layer::check::Checked;
use recordport::provider::search::RecordsExt as _;
use recordport::provider::{
    Edit, NewRow, Plan, Provider, ProviderFactory as _, Records, TypeQuery, WriteOptions,
};
use recordport::providers::salesforce::Salesforce;
use recordport::record::record_type::TextForm;
use recordport::record::{Field, FieldType, Key, KeyFields, QueryDraft, TypeName};
use serde_json::{Value, json};

use super::support::org::{Found, Org, OrgSettings};

/// A custom type with many fields of long names.
fn wide_type(fields: usize) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/salesforce/describe_Custom__c.json");
    let mut describe: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    describe["name"] = json!("Wide__c");
    describe["keyPrefix"] = json!("a9W");
    let all = describe["fields"].as_array_mut().unwrap();
    let pattern = all.iter().find(|field| field["name"] == "CustomField__c").unwrap().clone();
    for at in 0..fields {
        let mut field = pattern.clone();
        field["name"] = json!(format!("Estimated_Annual_Contract_Value_{at:05}__c"));
        field["label"] = json!(format!("Value {at}"));
        all.push(field);
    }
    describe
}

/// Contacts in pages of 200.
async fn contacts(org: &Org) -> Found {
    let query = json!({ "select": ["Id", "LastName", "Email", "AccountId"], "page_size": 200 });
    org.search("Contact", query).await
}

/// Puts a describe into an org that is running.
fn import(org: &Org, describe: &Value) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), describe.to_string()).unwrap();
    org.service.import(file.path()).unwrap();
}

async fn wide_org() -> Org {
    let wire = WireSettings { idle_timeout: Duration::from_secs(30), ..WireSettings::default() };
    let org = Org::with(OrgSettings { scale: 3, wire, ..OrgSettings::default() }).await;
    import(&org, &wide_type(360));
    org
}

async fn plan(org: &Org, name: &str, query: Value) -> Result<Arc<Plan>> {
    let records = org.open(name).await?;
    let draft = QueryDraft::from_json(&query)?;
    records.prepare(&org.cx, &draft, &TimeZone::UTC).await.map(|prepared| prepared.plan)
}

/// Methods of the requests that carried a statement or a locator.
async fn asked(org: &Org) -> Vec<String> {
    let all = org.emulated.requests().await;
    all.iter()
        .filter(|entry| {
            let path = entry["path"].as_str().unwrap();
            path.contains("/query") || path.ends_with("/composite")
        })
        .map(|entry| entry["method"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_selection_too_wide_for_an_address_is_read_whole_in_one_request_a_page() {
    let org = wide_org().await;
    let told = serde_json::to_value(plan(&org, "Wide__c", json!({})).await.unwrap().explain()).unwrap();
    assert_eq!(told["requests_per_page"], 1);
    assert_eq!(told["native"].as_array().unwrap().len(), 1);
    assert!(told["native"][0].as_str().unwrap().len() > 15_000);
    assert!(told["notes"].to_string().contains("Composite"), "{}", told["notes"]);

    let found = org.search("Wide__c", json!({ "page_size": 200 })).await.complete();
    assert_eq!(found.ids(), org.stored("Wide__c"));
    assert!(found.pages > 1);
    let last = "Estimated_Annual_Contract_Value_00359__c";
    let stored = org.service_rows("Wide__c");
    for record in &found.records {
        assert_eq!(record.as_object().unwrap().len(), 363);
        let row = stored.iter().find(|row| row["Id"] == record["Id"]).unwrap();
        assert_eq!((&record[last], &record["Name"]), (&row[last], &row["Name"]));
    }
    // The statement travels once; further pages are followed as always.
    let asked = asked(&org).await;
    assert_eq!(asked.len(), found.pages);
    assert!(asked[0] == "POST" && asked[1..].iter().all(|method| method == "GET"), "{asked:?}");
}

#[tokio::test]
async fn a_wide_search_goes_on_behind_its_last_key_and_counts() {
    let org = wide_org().await;
    let all = org.search("Wide__c", json!({ "page_size": 200 })).await.complete();
    org.fault(json!({ "kind": "reset", "path": "*/query/*", "times": 99 })).await;
    let broken = org.search("Wide__c", json!({ "page_size": 200 })).await;
    assert!(broken.error.is_some() && broken.pages == 1);
    org.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    org.control("expire-locators", Value::Null).await;
    let mut ids = broken.ids();
    let rest = org.search("Wide__c", json!({ "page_size": 200, "cursor": broken.cursor })).await.complete();
    for id in rest.ids() {
        assert!(ids.insert(id), "a record came twice");
    }
    assert_eq!(ids, all.ids());
    let records = org.open("Wide__c").await.unwrap();
    let plan = plan(&org, "Wide__c", json!({})).await.unwrap();
    assert_eq!(records.count(&org.cx, &plan).await.unwrap(), Some(ids.len() as u64));
}

#[tokio::test]
async fn records_of_a_wide_type_are_read_by_many_keys() {
    let org = wide_org().await;
    let records = org.open("Wide__c").await.unwrap();
    let keys: Vec<Key> = org.stored("Wide__c").iter().take(150).map(|id| Key::text(id.as_str())).collect();
    let found = records.get(&org.cx, &KeyFields::single("Id"), &keys, &[]).await.unwrap();
    assert_eq!(found.len(), 150);
    for (key, record) in keys.iter().zip(found) {
        assert_eq!(record.unwrap().unwrap().key, *key);
    }
    assert_eq!(asked(&org).await, ["POST"]);
}

#[tokio::test]
async fn what_salesforce_says_inside_a_composite_request_is_told_like_any_refusal() {
    let org = wide_org().await;
    let found = org.search("Wide__c", json!({ "native": "Nope__c = 1" })).await;
    assert_eq!((found.code(), found.error().kind()), ("INVALID_FIELD", ErrorKind::Invalid));
    assert!(format!("{}", serde_json::to_value(found.error()).unwrap()).contains("crm"));
    assert_eq!(asked(&org).await, ["POST"]);
}

#[tokio::test]
async fn an_address_refused_as_too_long_all_the_same_is_sent_in_a_body() {
    for status in [414, 431] {
        let org = Org::new().await;
        let rule = json!({ "kind": "status", "status": status, "method": "GET", "path": "*/query",
                           "headers": { "content-type": "text/html" }, "body": "<h1>Bad Message</h1>" });
        org.fault(rule).await;
        let found = contacts(&org).await.complete();
        assert_eq!(found.ids(), org.stored("Contact"));
        assert_eq!(asked(&org).await[..2], ["GET", "POST"]);
    }
}

#[tokio::test]
async fn a_long_filter_is_left_to_salesforce_up_to_the_longest_statement() {
    let org = Org::new().await;
    let names = |count: usize| -> String {
        let names: Vec<String> = (0..count).map(|at| format!("'name number {at}'")).collect();
        format!("LastName IN ({}) OR LastName LIKE 'A%'", names.join(", "))
    };
    let long = plan(&org, "Contact", json!({ "where": names(900), "select": ["Id"] })).await.unwrap();
    assert!(long.native[0].len() > 14_000, "{}", long.native[0].len());
    let found = org.search("Contact", json!({ "where": names(900), "select": ["Id"] })).await.complete();
    let here = org.search("Contact", json!({ "where": "LastName LIKE 'A%'", "select": ["Id"] })).await;
    assert_eq!(found.ids(), here.complete().ids());

    import(&org, &wide_type(2_400));
    let error = plan(&org, "Wide__c", json!({})).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, Some("statement_too_long")));
    assert!(error.message().contains("100000"), "{error}");
    let records = org.open("Wide__c").await.unwrap();
    let key = [Key::text(org.stored("Wide__c").first().unwrap().as_str())];
    let error = records.get(&org.cx, &KeyFields::single("Id"), &key, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some("statement_too_long"));
}

/// Status and condition of each description that was asked for.
async fn described(org: &Org) -> Vec<(u64, Option<String>)> {
    let all = org.emulated.requests().await;
    all.iter()
        .filter(|entry| entry["path"].as_str().unwrap().contains("/sobjects"))
        .map(|entry| {
            let headers = entry["headers"].to_string().to_lowercase();
            let condition = headers.contains("if-modified-since").then_some(headers);
            (entry["status"].as_u64().unwrap(), condition)
        })
        .collect()
}

#[tokio::test]
async fn a_description_is_asked_for_again_only_if_it_changed() {
    let mut org = Org::new().await;
    let first = org.open("Contact").await.unwrap();
    org.provider.types(&org.cx, &TypeQuery::default()).await.unwrap();
    org.clock.advance(Duration::from_secs(9 * 60));
    org.open("Contact").await.unwrap();
    let before = described(&org).await.len();
    assert!(described(&org).await.iter().all(|(status, condition)| *status == 200 && condition.is_none()));

    org.clock.advance(Duration::from_secs(2 * 60));
    let kept = org.open("Contact").await.unwrap();
    let types = org.provider.types(&org.cx, &TypeQuery::default()).await.unwrap();
    assert!(Arc::ptr_eq(kept.record_type(), first.record_type()), "the one that was read is used on");
    assert!(types.types.iter().any(|summary| summary.name.as_str() == "Contact"));
    let later = described(&org).await.split_off(before);
    assert!(!later.is_empty());
    assert!(later.iter().all(|(status, condition)| *status == 304 && condition.is_some()), "{later:?}");

    // A 304 is good for ten minutes more.
    let before = described(&org).await.len();
    org.clock.advance(Duration::from_secs(9 * 60));
    org.open("Contact").await.unwrap();
    assert_eq!(described(&org).await.len(), before);

    // A change is seen, and a refresh asks without condition.
    import(&org, &wide_type(1));
    org.clock.advance(Duration::from_secs(2 * 60));
    org.open("Contact").await.unwrap();
    org.cx.refresh = true;
    org.open("Contact").await.unwrap();
    let later = described(&org).await.split_off(before);
    assert!(later.iter().all(|(status, _)| *status == 200), "{later:?}");
    assert!(later.first().unwrap().1.is_some() && later.last().unwrap().1.is_none());
}

async fn speaks(org: &Org, oldest: u32, newest: u32) {
    let versions = json!({ "oldest": oldest, "newest": newest });
    let (status, _) = control(org, "salesforce/versions", &versions).await;
    assert_eq!(status, 204);
}

async fn control(org: &Org, path: &str, body: &Value) -> (u16, String) {
    let address = org.emulated.url(&format!("/_emulator/{path}"));
    let reply = org.emulated.client.post(address).body(body.to_string()).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn paths(org: &Org) -> Vec<String> {
    let all = org.emulated.requests().await;
    all.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_org_of_another_age_is_spoken_to_in_the_newest_version_that_both_know() {
    for (oldest, newest, agreed) in [(48, 52, "v52.0"), (61, 90, "v66.0")] {
        let org = Org::new().await;
        speaks(&org, oldest, newest).await;
        let found = contacts(&org).await.complete();
        assert_eq!(found.ids(), org.stored("Contact"));
        let paths = paths(&org).await;
        assert_eq!(paths.iter().filter(|path| *path == "/services/data").count(), 1);
        assert!(paths.last().unwrap().starts_with(&format!("/services/data/{agreed}/")), "{paths:?}");
        assert!(org.provider.probe(&org.cx).await.is_ok());
    }
    // Where the default is known, nothing is asked besides.
    let org = Org::new().await;
    contacts(&org).await.complete();
    let paths = paths(&org).await;
    assert!(paths.iter().all(|path| path.starts_with("/services/data/v60.0/")), "{paths:?}");
    let missing = org.open("Contakt").await.unwrap_err();
    assert_eq!((missing.kind(), missing.code()), (ErrorKind::NotFound, Some("unknown_type")));
}

#[tokio::test]
async fn versions_without_a_common_one_and_a_pinned_one_are_told_with_what_the_org_speaks() {
    let org = Org::new().await;
    speaks(&org, 31, 40).await;
    let error = org.open("Contact").await.unwrap_err();
    assert_eq!(error.code(), Some("UNSUPPORTED_API_VERSION"));
    assert!(error.message().contains("31.0 to 40.0") || error.message().contains("40.0"), "{error}");

    let org = Org::new().await;
    let pinned: Arc<dyn Provider> = Salesforce.provider(&json!({ "api_version": "63.0" })).unwrap();
    let error = pinned.open(&org.cx, &TypeName::new("Contact")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("UNSUPPORTED_API_VERSION")));
    assert!(error.message().contains("63.0") && error.message().contains("62.0"), "{error}");
    assert!(error.advice().unwrap().contains("api_version"));
    let known: Arc<dyn Provider> = Salesforce.provider(&json!({ "api_version": "55.0" })).unwrap();
    known.open(&org.cx, &TypeName::new("Contact")).await.unwrap();
    assert!(paths(&org).await.iter().any(|path| path.starts_with("/services/data/v55.0/")));
}

/// The parts of a wire value that a record must show in another form.
fn check_form(field: &Field, read: &Value, stored: &Value) -> std::result::Result<(), String> {
    let fine = match (&field.field_type, read) {
        (FieldType::MultiPicklist { .. }, read) => {
            let stored = stored.as_str().unwrap_or_default();
            let values: Vec<&str> = stored.split(';').filter(|value| !value.is_empty()).collect();
            *read == json!(values)
        }
        (_, Value::Null) => stored.is_null() || matches!(field.field_type, FieldType::Object { .. }),
        (FieldType::Time, Value::String(text)) => text.len() == 13 && text.ends_with('Z'),
        (FieldType::Instant, Value::String(text)) => {
            text.ends_with('Z')
                && text.parse::<jiff::Timestamp>().is_ok()
                && stored.as_str().is_some_and(|stored| stored[..19] == text[..19])
        }
        (FieldType::Date, Value::String(text)) => text.len() == 10 && read == stored,
        (FieldType::Object { fields }, Value::Object(parts)) => {
            !parts.is_empty() && parts.keys().all(|name| fields.iter().any(|field| field.name == *name))
        }
        // The bytes are behind an address; encrypted text comes masked for users without the right to see it.
        (FieldType::Binary { .. }, Value::String(text)) => text.starts_with("/services/data/"),
        (FieldType::Text { form: TextForm::Encrypted, .. }, Value::String(text)) => {
            text.contains('*') || read == stored
        }
        (FieldType::Boolean, Value::Bool(_))
        | (FieldType::Text { .. } | FieldType::Reference(_) | FieldType::Picklist(_), Value::String(_))
        | (FieldType::Integer { .. } | FieldType::Decimal { .. }, Value::Number(_)) => {
            // Whole and decimal forms of one number differ as values.
            format!("{read}") == format!("{stored}")
        }
        _ => false,
    };
    if fine { Ok(()) } else { Err(format!("{} is {read}, stored {stored}", field.name)) }
}

#[tokio::test]
async fn every_field_type_reads_in_the_form_that_its_description_promises() {
    let wire = WireSettings { idle_timeout: Duration::from_secs(30), ..WireSettings::default() };
    let org = Org::with(OrgSettings { scale: 1, wire, ..OrgSettings::default() }).await;
    for name in ["Invoice__c", "Attachment", "Contact"] {
        let records = org.open(name).await.unwrap();
        let fields = &records.record_type().fields;
        let found = org.search(name, json!({})).await.complete();
        assert!(!found.records.is_empty() && found.bad.is_empty());
        let stored = org.service_rows(name);
        let mut seen = std::collections::BTreeSet::new();
        for record in &found.records {
            let row = stored.iter().find(|row| row["Id"] == record["Id"]).unwrap();
            for field in fields {
                let read = record.get(&field.name).unwrap_or_else(|| panic!("{} is absent", field.name));
                if !read.is_null() && read != &json!([]) {
                    seen.insert(field.name.as_str());
                }
                check_form(field, read, &row[&field.name]).unwrap_or_else(|what| panic!("{name}: {what}"));
            }
        }
        if name == "Invoice__c" {
            for field in ["Tags__c", "Start__c", "Loc__c", "Card__c", "Details__c", "Body__c", "Paid_At__c"] {
                assert!(seen.contains(field), "no record has {field}");
            }
            let empty = found.records.iter().find(|record| record["Tags__c"] == json!([]));
            assert!(empty.is_some(), "a record without tags has an empty list");
        }
    }
    // A list is one across a reference too, and null where there is no parent.
    let query = json!({ "select": ["Id", "Replaces__c", "Replaces__r.Tags__c"] });
    let found = org.search("Invoice__c", query).await.complete();
    let parents = found.records.iter().filter(|record| !record["Replaces__c"].is_null());
    let mut any = false;
    for record in parents {
        any = true;
        assert!(record["Replaces__r"]["Tags__c"].is_array(), "{record}");
    }
    assert!(any);
}

/// A new invoice through the check, as the emulated org then stores it, or why it was refused.
async fn invoiced(org: &Org, row: Value, checked: bool) -> Result<Value> {
    let records = org.open("Invoice__c").await?;
    let records: Arc<dyn Records> =
        if checked { Arc::new(Checked::new(records, AccessMode::ReadWrite)) } else { records };
    let fields = row.as_object().unwrap().iter().map(|(name, value)| {
        let value = serde_json::value::RawValue::from_string(value.to_string()).unwrap();
        (name.clone(), Edit::Set(value))
    });
    let row = NewRow { fields: fields.collect(), marker: None };
    let outcomes = records.create(&org.cx, &[row], &WriteOptions::new()).await?;
    if let Some(error) = outcomes[0].error() {
        return Err(error.clone());
    }
    let id = outcomes[0].key().unwrap().to_string();
    let rows = org.service_rows("Invoice__c");
    Ok(rows.into_iter().find(|row| row["Id"] == id.as_str()).unwrap())
}

#[tokio::test]
async fn the_check_of_dependent_values_agrees_with_the_service() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    let (mut taken, mut refused) = (0, 0);
    for region in [json!("Italy"), json!("Mexico"), json!("Norway"), Value::Null] {
        for province in ["AG", "BO", "CH", "OS", "VE"] {
            let mut row = json!({ "Region__c": region, "Province__c": province });
            if region.is_null() {
                row.as_object_mut().unwrap().remove("Region__c");
            }
            let ours = invoiced(&org, row.clone(), true).await;
            let theirs = invoiced(&org, row.clone(), false).await;
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{row}: {ours:?}, {theirs:?}");
            match ours {
                Ok(_) => taken += 1,
                Err(error) => {
                    refused += 1;
                    assert_eq!(
                        (error.kind(), error.fields()[0].field.as_str()),
                        (ErrorKind::Invalid, "Province__c")
                    );
                }
            }
        }
    }
    assert!(taken > 5 && refused > 5, "{taken} taken, {refused} refused");
}

#[tokio::test]
async fn values_that_the_schema_allows_are_written_in_the_services_own_form() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    let row = json!({
        "Amount__c": "123456789012.10", "Weight__c": "0.5", "Lines__c": 3, "Start__c": "09:30",
        "Paid_At__c": "2026-01-31 09:30:00.123456+02:00", "Tags__c": [], "Card__c": "4111111111111111"
    });
    let stored = invoiced(&org, row, true).await.unwrap();
    assert_eq!(stored["Amount__c"].to_string(), "123456789012.1");
    assert_eq!((&stored["Weight__c"], &stored["Lines__c"]), (&json!(0.5), &json!(3)));
    assert_eq!(stored["Start__c"], "09:30:00.000Z");
    assert_eq!(stored["Paid_At__c"].as_str().unwrap()[..19], *"2026-01-31T07:30:00");
    assert_eq!(stored["Tags__c"], Value::Null);
    let bodies = org.received("/composite/sobjects").await;
    let sent = bodies[0]["body"].as_str().map_or_else(|| bodies[0]["body"].to_string(), str::to_owned);
    for part in ["09:30:00.000Z", "2026-01-31T07:30:00.123Z", "123456789012.10"] {
        assert!(sent.contains(part), "{part} is not in {sent}");
    }
    assert!(!sent.contains("\"123456789012.10\""), "{sent}");
}

#[tokio::test]
async fn an_org_whose_calls_are_nearly_used_up_is_left_alone() {
    let org = Org::with(OrgSettings { quota_reserve: Some(99_990), ..OrgSettings::default() }).await;
    let found = contacts(&org).await;
    // The description told how much is left; nothing was asked after that.
    assert_eq!((found.error().kind(), found.code()), (ErrorKind::RateLimited, "quota_reserve"));
    assert!(found.error().message().contains("100000"), "{}", found.error());
    assert_eq!(org.emulated.requests().await.len(), 1);
    let probe = org.provider.probe(&org.cx).await;
    assert_eq!(probe.unwrap_err().code(), Some("quota_reserve"));
    org.clock.advance(Duration::from_secs(10 * 60));
    let probe = org.provider.probe(&org.cx).await.unwrap();
    assert_eq!(probe.quota.unwrap().1, 100_000);
    assert_eq!(org.emulated.requests().await.len(), 2, "one look in ten minutes");
}
