//! Account records as Salesforce sends them, made up from their number.

use std::fmt::Write as _;
use std::io::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Result;

/// The address of the first page.
pub(crate) const FIRST: &str = "/services/data/v60.0/query?q=SELECT";

/// The fields of a record, in the order of the type's description.
const FIELDS: [&str; 29] = [
    "Id",
    "IsDeleted",
    "MasterRecordId",
    "Name",
    "Type",
    "ParentId",
    "BillingStreet",
    "BillingCity",
    "BillingState",
    "BillingPostalCode",
    "BillingCountry",
    "BillingLatitude",
    "BillingLongitude",
    "Phone",
    "Fax",
    "AccountNumber",
    "Website",
    "Sic",
    "Industry",
    "AnnualRevenue",
    "NumberOfEmployees",
    "Description",
    "Rating",
    "OwnerId",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
];

/// The description of Account, reduced to those fields.
pub(crate) fn describe() -> Result<Value> {
    let mut describe: Value =
        serde_json::from_str(include_str!("../../fixtures/salesforce/describe_Account.json"))?;
    let fields = describe["fields"].as_array_mut().ok_or("the description has no fields")?;
    fields.retain(|field| field["name"].as_str().is_some_and(|name| FIELDS.contains(&name)));
    if fields.len() != FIELDS.len() {
        return Err("the description lacks one of the fields".into());
    }
    Ok(describe)
}

/// The list of types, with this one.
pub(crate) fn global() -> Value {
    json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [{
        "name": "Account", "label": "Account", "labelPlural": "Accounts", "keyPrefix": "001", "custom": false,
        "queryable": true, "createable": true, "updateable": true, "deletable": true,
    }] })
}

fn record(out: &mut String, n: usize) {
    let spread = n.wrapping_mul(2_654_435_761) % 1_000_003;
    let city = ["Hamburg", "São Paulo", "Springfield", "Malmö", "Leeds", "Kraków"][n % 6];
    let industry = ["Energy", "Banking", "Retail", "Agriculture", "Education"][spread % 5];
    let parent = if n.is_multiple_of(3) { format!("\"001Dn{:010}AAE\"", n / 3) } else { "null".to_owned() };
    let _ = write!(
        out,
        concat!(
            r#"{{"attributes":{{"type":"Account","url":"/services/data/v60.0/sobjects/Account/001Dn{n:010}IAE"}},"#,
            r#""Id":"001Dn{n:010}IAE","IsDeleted":false,"MasterRecordId":null,"Name":"Northern \"{spread}\" {city} Works","#,
            r#""Type":"Customer - Direct","ParentId":{parent},"BillingStreet":"{house} Harbour Road\nFloor {floor}","#,
            r#""BillingCity":"{city}","BillingState":null,"BillingPostalCode":"{spread:06}","BillingCountry":"Germany","#,
            r#""BillingLatitude":{latitude}.{spread:06},"BillingLongitude":-{floor}.{spread:06},"Phone":"+49 40 {spread:07}","#,
            r#""Fax":null,"AccountNumber":"AC-{n:08}","Website":"https://www.example.com/{spread}","Sic":"{floor:04}","#,
            r#""Industry":"{industry}","AnnualRevenue":1{spread:06}.50,"NumberOfEmployees":{floor},"#,
            r#""Description":"Supplier of parts since {latitude}; visited twice a year, invoices by mail, terms of thirty days net.","#,
            r#""Rating":"Warm","OwnerId":"005Dn0000000{floor:03}IAA","CreatedDate":"2021-03-17T16:21:{latitude}.000+0000","#,
            r#""CreatedById":"005Dn0000000{floor:03}IAA","LastModifiedDate":"2024-11-02T08:05:{latitude}.000+0000","#,
            r#""LastModifiedById":"005Dn0000000001IAA","SystemModstamp":"2024-11-02T08:05:{latitude}.000+0000"}}"#,
        ),
        n = n,
        spread = spread,
        city = city,
        parent = parent,
        industry = industry,
        house = spread % 180 + 1,
        floor = spread % 40 + 1,
        latitude = spread % 50 + 10,
    );
}

/// The records of pages: everything behind the head.
pub(crate) fn bodies(records: usize, page: usize) -> Vec<Bytes> {
    super::server::bodies(records, page, "\"records\":[", record)
}

/// The head of the page that begins at a record.
pub(crate) fn head(records: usize, page: usize, first: usize) -> Bytes {
    let next = first + page;
    Bytes::from(if next < records {
        format!(
            r#"{{"totalSize":{records},"done":false,"nextRecordsUrl":"/services/data/v60.0/query/01gDn0000000001-{next}","#
        )
    } else {
        format!(r#"{{"totalSize":{records},"done":true,"#)
    })
}

/// Prints rows to create, ten fields each.
pub(crate) fn new_rows(count: usize) -> Result {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 0..count {
        let row = json!({
            "Name": format!("Works {n}"), "AccountNumber": format!("AC-{n:08}"), "BillingCity": "Malmö",
            "BillingCountry": "Sweden", "BillingStreet": format!("{n} Harbour Road"), "BillingPostalCode": "20010",
            "Phone": format!("+46 40 {n:07}"), "Website": format!("https://www.example.com/{n}"),
            "NumberOfEmployees": n % 500, "Description": "Supplier of parts; terms of thirty days net.",
        });
        writeln!(out, "{row}")?;
    }
    out.flush()?;
    Ok(())
}
