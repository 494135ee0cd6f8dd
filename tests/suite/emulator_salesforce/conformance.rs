//! The key sets of answers, as they were recorded: of describes in `fixtures/salesforce/` (recordings of real
//! orgs in SFDO-Tooling/CumulusCI), of the others in the same recordings' replies.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{body, encode, keys, org, org_with, records, string};

const V: &str = "/services/data/v60.0";

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).expect("the recording is JSON")
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn named(names: &str) -> Vec<String> {
    sorted(names.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn describes_have_exactly_the_recorded_keys_at_every_level() {
    let org = org();
    let account = recorded(include_str!("../../../fixtures/salesforce/describe_Account.json"));
    let custom = recorded(include_str!("../../../fixtures/salesforce/describe_Custom__c.json"));
    let picklist = |describe: &Value| {
        let fields = describe["fields"].as_array().unwrap().clone();
        let with = fields.into_iter().find(|field| !field["picklistValues"].as_array().unwrap().is_empty());
        with.map(|field| field["picklistValues"][0].clone())
    };
    for name in ["Account", "Contact", "Case", "Task", "User", "Invoice__c", "Attachment"] {
        let ours = org.get_json(&format!("{V}/sobjects/{name}/describe"));
        // The recording of Account is of an older version, which lacked three keys.
        assert_eq!(sorted(keys(&ours)), sorted(keys(&custom)), "{name}");
        for field in ours["fields"].as_array().unwrap() {
            assert_eq!(sorted(keys(field)), sorted(keys(&account["fields"][0])), "{name}");
        }
        for (list, sample) in [
            ("childRelationships", &account["childRelationships"][0]),
            ("recordTypeInfos", &account["recordTypeInfos"][0]),
            ("supportedScopes", &account["supportedScopes"][0]),
        ] {
            for row in ours[list].as_array().unwrap() {
                assert_eq!(sorted(keys(row)), sorted(keys(sample)), "{name}.{list}");
            }
        }
        assert_eq!(sorted(keys(&ours["urls"])), sorted(keys(&account["urls"])), "{name}");
        if let Some(entry) = picklist(&ours) {
            assert_eq!(sorted(keys(&entry)), sorted(keys(&picklist(&account).unwrap())), "{name}");
        }
    }
}

#[test]
fn the_global_describe_has_exactly_the_recorded_keys() {
    let global = org().get_json(&format!("{V}/sobjects"));
    assert_eq!(sorted(keys(&global)), named("encoding maxBatchSize sobjects"));
    let entry = named(
        "activateable associateEntityType associateParentEntity createable custom customSetting deepCloneable deletable \
         deprecatedAndHidden feedEnabled hasSubtypes isInterface isSubtype keyPrefix label labelPlural layoutable mergeable \
         mruEnabled name queryable replicateable retrieveable searchable triggerable undeletable updateable urls",
    );
    let urls =
        named("approvalLayouts compactLayouts describe layouts listviews quickActions rowTemplate sobject");
    for row in global["sobjects"].as_array().unwrap() {
        assert_eq!(sorted(keys(row)), entry);
        for url in &urls {
            assert!(row["urls"][url].is_string(), "{} lacks {url}", row["name"]);
        }
    }
    let basic = org().get_json(&format!("{V}/sobjects/Account"));
    assert_eq!(sorted(keys(&basic)), named("objectDescribe recentItems"));
    assert_eq!(sorted(keys(&basic["objectDescribe"])), entry);
}

#[test]
fn query_answers_have_exactly_the_recorded_keys() {
    let org = org_with(7, 20, false);
    let page = org.query("SELECT Id FROM Account");
    assert_eq!(sorted(keys(&page)), named("done nextRecordsUrl records totalSize"));
    let row = &records(&page)[0];
    assert_eq!(sorted(keys(row)), named("Id attributes"));
    assert_eq!(sorted(keys(&row["attributes"])), named("type url"));
    let last = org.get_json(&string(&page["nextRecordsUrl"]));
    assert_eq!(sorted(keys(&last)), named("done records totalSize"));
    let group = org.query("SELECT COUNT(Id) FROM Account");
    assert_eq!(sorted(keys(&group)), named("done records totalSize"));
    assert_eq!(sorted(keys(&records(&group)[0]["attributes"])), named("type"));
    let nested = org.query("SELECT Name, (SELECT Id FROM Contacts) FROM Account LIMIT 50");
    let children = records(&nested).iter().find(|row| !row["Contacts"].is_null()).unwrap();
    assert_eq!(sorted(keys(&children["Contacts"])), named("done records totalSize"));
}

#[test]
fn outcomes_and_errors_have_exactly_the_recorded_keys() {
    let org = org();
    let created = org.write(Method::POST, "/sobjects/Account", &json!({"Name": "x"}));
    assert_eq!(sorted(keys(&body(&created))), named("errors id success"));
    let upserted =
        org.write(Method::PATCH, "/sobjects/Invoice__c/External_Id__c/new-one", &json!({"Subject__c": "x"}));
    assert_eq!(upserted.status, StatusCode::CREATED);
    assert_eq!(sorted(keys(&body(&upserted))), named("created errors id success"));
    let error = |address: &str| body(&org.get(address))[0].clone();
    let soql = format!("{V}/query?q={}", encode("SELECT Nope FROM Account"));
    assert_eq!(sorted(keys(&error(&soql))), named("errorCode message"));
    assert_eq!(sorted(keys(&error(&format!("{V}/nothing")))), named("errorCode message"));
    let missing = body(&org.write(Method::POST, "/sobjects/Contact", &json!({})));
    assert_eq!(sorted(keys(&missing[0])), named("errorCode fields message"));
    let rows = json!({"records": [
        {"attributes": {"type": "Account"}, "Name": "x"}, {"attributes": {"type": "Account"}},
    ]});
    let rows = body(&org.write(Method::POST, "/composite/sobjects", &rows));
    assert_eq!(sorted(keys(&rows[0])), named("errors id success"));
    assert_eq!(sorted(keys(&rows[1])), named("errors success"));
    assert_eq!(sorted(keys(&rows[1]["errors"][0])), named("fields message statusCode"));
    let versions = org.get_json("/services/data");
    assert_eq!(sorted(keys(&versions[0])), named("label url version"));
}
