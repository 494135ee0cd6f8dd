//! Account rows as Dataverse sends them, made up from their number, and the definitions that describe them.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

/// The address of the first page.
pub(crate) const FIRST: &str = "/api/data/v9.2/accounts?$select=all";

/// Name and kind of each column.
const COLUMNS: [(&str, &str); 31] = [
    ("accountid", "Uniqueidentifier"),
    ("name", "String"),
    ("accountnumber", "String"),
    ("accountcategorycode", "Picklist"),
    ("industrycode", "Picklist"),
    ("revenue", "Money"),
    ("revenue_base", "Money"),
    ("creditonhold", "Boolean"),
    ("donotemail", "Boolean"),
    ("numberofemployees", "Integer"),
    ("address1_line1", "String"),
    ("address1_city", "String"),
    ("address1_stateorprovince", "String"),
    ("address1_postalcode", "String"),
    ("address1_country", "String"),
    ("address1_latitude", "Double"),
    ("address1_longitude", "Double"),
    ("emailaddress1", "String"),
    ("telephone1", "String"),
    ("fax", "String"),
    ("websiteurl", "String"),
    ("description", "Memo"),
    ("primarycontactid", "Lookup"),
    ("parentaccountid", "Lookup"),
    ("transactioncurrencyid", "Lookup"),
    ("ownerid", "Owner"),
    ("createdon", "DateTime"),
    ("modifiedon", "DateTime"),
    ("statecode", "State"),
    ("statuscode", "Status"),
    ("versionnumber", "BigInt"),
];
/// Lookup, target, navigation property.
const WAYS: [(&str, &str, &str); 5] = [
    ("primarycontactid", "contact", "primarycontactid"),
    ("parentaccountid", "account", "parentaccountid"),
    ("transactioncurrencyid", "transactioncurrency", "transactioncurrencyid"),
    ("ownerid", "systemuser", "ownerid"),
    ("ownerid", "team", "ownerid"),
];

/// What Dataverse answers to a question about its definitions, or to who one is.
pub(crate) fn answer(path: &str) -> Value {
    let rest = path.split_once("/api/data/v9.2/").map_or("", |(_, rest)| rest);
    match rest {
        "WhoAmI" => json!({
            "BusinessUnitId": guid(0, 1), "UserId": guid(0, 2), "OrganizationId": guid(0, 3),
        }),
        "EntityDefinitions" => json!({ "value": tables() }),
        _ if rest.ends_with("/ManyToOneRelationships") => {
            json!({ "value": WAYS.map(|(column, target, nav)| json!({
            "ReferencingAttribute": column, "ReferencedEntity": target,
            "ReferencingEntityNavigationPropertyName": nav,
        })) })
        }
        _ if rest.contains("/Attributes") => json!({ "value": attributes() }),
        _ => json!({ "value": [] }),
    }
}

fn tables() -> Vec<Value> {
    let names = [
        ("account", "accounts", "name"),
        ("contact", "contacts", "fullname"),
        ("systemuser", "systemusers", "fullname"),
        ("team", "teams", "name"),
        ("transactioncurrency", "transactioncurrencies", "currencyname"),
    ];
    let table = |(name, set, title): (&str, &str, &str)| {
        json!({
            "LogicalName": name, "SchemaName": name, "EntitySetName": set, "PrimaryIdAttribute": format!("{name}id"),
            "PrimaryNameAttribute": title, "DisplayName": label(name), "DisplayCollectionName": label(set),
            "ChangeTrackingEnabled": true, "IsOptimisticConcurrencyEnabled": true,
        })
    };
    names.map(table).to_vec()
}

fn label(text: &str) -> Value {
    json!({ "UserLocalizedLabel": { "Label": text, "LanguageCode": 1033 }, "LocalizedLabels": [] })
}

fn attributes() -> Vec<Value> {
    let choices = |values: &[i64]| {
        let each = values.iter().map(|value| json!({ "Value": value, "Label": label("choice"), "State": 0 }));
        json!({ "Options": each.collect::<Vec<_>>() })
    };
    let attribute = |(number, (name, kind)): (usize, &(&str, &str))| {
        let mut out = json!({
            "LogicalName": name, "AttributeType": kind, "AttributeTypeName": { "Value": format!("{kind}Type") },
            "ColumnNumber": number, "DisplayName": label(name), "RequiredLevel": { "Value": "None" },
            "IsValidForCreate": true, "IsValidForRead": true, "IsValidForUpdate": true, "IsValidODataAttribute": true,
            "IsPrimaryId": number == 0,
        });
        match *kind {
            "String" | "Memo" => out["MaxLength"] = json!(2000),
            "Picklist" | "State" | "Status" => out["OptionSet"] = choices(&[0, 1, 2, 3, 4, 5]),
            "Money" | "Double" => {
                out["Precision"] = json!(6);
                out["MinValue"] = json!(-1_000_000_000);
                out["MaxValue"] = json!(1_000_000_000);
            }
            "Lookup" | "Owner" => {
                let targets = WAYS.iter().filter(|(column, ..)| column == name);
                out["Targets"] = targets.map(|(_, target, _)| json!(target)).collect();
            }
            "DateTime" => out["DateTimeBehavior"] = json!({ "Value": "UserLocal" }),
            _ => {}
        }
        out
    };
    COLUMNS.iter().enumerate().map(attribute).collect()
}

fn guid(kind: u16, n: usize) -> String {
    format!("{:08x}-{kind:04x}-ed11-b596-{n:012x}", n.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

fn row(out: &mut String, n: usize) {
    let spread = n.wrapping_mul(2_654_435_761) % 1_000_003;
    let city = ["Hamburg", "São Paulo", "Springfield", "Malmö", "Leeds", "Kraków"][n % 6];
    let parent = if n.is_multiple_of(3) { format!("\"{}\"", guid(0x34cb, n / 3)) } else { "null".to_owned() };
    let _ = write!(
        out,
        concat!(
            r#"{{"@odata.etag":"W/\"{version}\"","accountid":"{id}","name":"Northern \"{spread}\" {city} Works","#,
            r#""accountnumber":"AC-{n:08}","accountcategorycode":{choice},"industrycode":null,"revenue":1{spread:06}.5000,"#,
            r#""revenue_base":1{spread:06}.5000,"creditonhold":false,"donotemail":true,"numberofemployees":{floor},"#,
            r#""address1_line1":"{house} Harbour Road\nFloor {floor}","address1_city":"{city}","#,
            r#""address1_stateorprovince":null,"address1_postalcode":"{spread:06}","address1_country":"Germany","#,
            r#""address1_latitude":{latitude}.{spread:06},"address1_longitude":-{floor}.{spread:06},"#,
            r#""emailaddress1":"office{spread}@example.com","telephone1":"+49 40 {spread:07}","fax":null,"#,
            r#""websiteurl":"https://www.example.com/{spread}","#,
            r#""description":"Supplier of parts since {latitude}; visited twice a year, invoices by mail, terms of thirty days net.","#,
            r#""_primarycontactid_value":"{contact}","_parentaccountid_value":{parent},"_transactioncurrencyid_value":"{currency}","#,
            r#""_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"systemuser","_ownerid_value":"{owner}","#,
            r#""createdon":"2021-03-17T16:21:{latitude}Z","modifiedon":"2024-11-02T08:05:{latitude}Z","#,
            r#""statecode":0,"statuscode":1,"versionnumber":{version}}}"#,
        ),
        version = 81_000_000 + n,
        id = guid(0x34cb, n),
        n = n,
        spread = spread,
        city = city,
        choice = n % 3,
        parent = parent,
        house = spread % 180 + 1,
        floor = spread % 40 + 1,
        latitude = spread % 50 + 10,
        contact = guid(0x35cb, n / 2),
        currency = guid(0x36cb, 1),
        owner = guid(0x37cb, n % 40),
    );
}

/// The rows of pages: everything between head and end.
pub(crate) fn bodies(records: usize, page: usize) -> Vec<Bytes> {
    super::server::bodies(records, page, "\"value\":[", row)
}

/// What stands before the rows of a page.
pub(crate) fn head(address: &str) -> Bytes {
    Bytes::from(format!("{{\"@odata.context\":\"{address}/api/data/v9.2/$metadata#accounts\","))
}

/// What stands behind the rows of the page that begins at a record.
pub(crate) fn end(address: &str, records: usize, page: usize, first: usize) -> Bytes {
    let next = first + page;
    Bytes::from(if next < records {
        let link = format!("{address}{FIRST}&$skiptoken=%3Ccookie%20pagenumber=%22{next}%22%20/%3E");
        format!(",\"@odata.nextLink\":\"{link}\"}}")
    } else {
        "}".to_owned()
    })
}

/// The record that the page of an address begins at.
pub(crate) fn first_of(query: &str) -> usize {
    let behind = query.split_once("pagenumber=%22").map_or("", |(_, rest)| rest);
    behind.split('%').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
