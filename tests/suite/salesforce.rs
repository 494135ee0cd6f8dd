//! The Salesforce provider against the emulated org, through the whole HTTP plane.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use recordport::clock::{Clock, RecordingClock};
use recordport::connect::access::{Access, AccessSource};
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::{ErrorKind, Result};
use recordport::http::client::{Wire, WireSettings};
use recordport::layer::dry_run::DryRun;
use recordport::layer::limit::{ConnectionLimits, LimitSettings};
use recordport::layer::retry::RetrySettings;
use recordport::layer::stack::{StackParts, http_plane};
use recordport::provider::search::{self, RecordsExt as _, Search};
use recordport::provider::{
    Change, Context, Doer, Edit, Edits, NewRow, OptionQuery, Outcome, Provider, Records, TypeQuery,
    VersionedKey, WriteOptions,
};
use recordport::providers;
use recordport::record::residual::Residual;
use recordport::record::{Field, FieldPath, Key, KeyFields, QueryDraft, Record, TypeName};
use secrecy::SecretString;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use crate::support::evidence::Watched;

#[derive(Debug)]
struct Token(Access);

#[async_trait]
impl AccessSource for Token {
    async fn access(&self, _: Option<u64>) -> Result<Access> {
        Ok(self.0.clone())
    }
}

/// An emulated org and a connection to it.
struct Org {
    emulator: Watched,
    provider: Arc<dyn Provider>,
    cx: Context,
    dry: Option<DryRun>,
}

impl Org {
    async fn new() -> Self {
        Self::with(EmulatorConfig::default(), None).await
    }

    async fn with(config: EmulatorConfig, dry: Option<DryRun>) -> Self {
        let emulator = Watched::from(Emulator::start(config).await.unwrap());
        let base = Url::parse(&emulator.http_url()).unwrap();
        let factory = providers::find("salesforce").unwrap();
        let sign_in = factory.sign_in(&Value::Null, Some(&base)).unwrap();
        let token = emulator.credentials()["salesforce"]["access_token"].as_str().unwrap().to_owned();
        let access = Access {
            generation: 1,
            authorization: SecretString::from(format!("Bearer {token}")),
            bases: BTreeMap::from([("api".to_owned(), base)]),
        };
        let clock: Arc<dyn Clock> = Arc::new(RecordingClock::starting_at(Timestamp::now()));
        let http = http_plane(StackParts {
            wire: Arc::new(Wire::new(WireSettings::default()).unwrap()),
            access: Arc::new(Token(access)),
            hosts: sign_in.hosts,
            dialect: factory.dialect(),
            clock: Arc::clone(&clock),
            retry: RetrySettings::default(),
            limits: Arc::new(ConnectionLimits::new(&LimitSettings::default(), Arc::clone(&clock))),
            dry_run: dry.clone(),
        });
        let cx = Context { http, clock, connection: "org".to_owned(), refresh: false, memory: None };
        Self { emulator, provider: factory.provider(&Value::Null).unwrap(), cx, dry }
    }

    async fn open(&self, name: &str) -> Arc<dyn Records> {
        self.provider.open(&self.cx, &TypeName::new(name)).await.unwrap()
    }

    async fn search(&self, records: &Arc<dyn Records>, query: Value) -> Vec<Record> {
        let draft = QueryDraft::from_json(&query).unwrap();
        let prepared = records.prepare(&self.cx, &draft, &TimeZone::UTC).await.unwrap();
        let mut search = Search::start(Arc::clone(records), self.cx.clone(), &prepared);
        let mut found = Vec::new();
        while let Some(page) = search.next_page().await.unwrap() {
            found.extend(page.records.into_iter().map(|record| record.unwrap()));
        }
        found
    }

    async fn keys(&self, records: &Arc<dyn Records>, query: Value) -> Vec<String> {
        self.search(records, query).await.into_iter().map(|record| record.key.to_string()).collect()
    }
}

fn edits(fields: Value) -> Edits {
    let Value::Object(fields) = fields else { panic!("an object") };
    fields
        .into_iter()
        .map(|(name, value)| (name, Edit::Set(RawValue::from_string(value.to_string()).unwrap())))
        .collect()
}

fn new(fields: Value) -> NewRow {
    NewRow { fields: edits(fields), marker: None }
}

fn change(key: &Key, fields: Value) -> Change {
    Change { key: key.clone(), edits: edits(fields), if_version: None }
}

fn statuses(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::status).collect()
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

fn none() -> WriteOptions {
    WriteOptions::new()
}

#[tokio::test]
async fn types_are_listed_by_search_and_a_misspelt_one_is_suggested() {
    let org = Org::new().await;
    let query = TypeQuery { search: Some("opportun".to_owned()), ..TypeQuery::default() };
    let page = org.provider.types(&org.cx, &query).await.unwrap();
    let names: Vec<&str> = page.types.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["Opportunity"]);
    let error = org.provider.open(&org.cx, &TypeName::new("Acount")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.advice().unwrap().contains("Account"), "{error}");
    let error = org.provider.open(&org.cx, &TypeName::new("../query")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let probe = org.provider.probe(&org.cx).await.unwrap();
    assert!(probe.account.is_some() && probe.quota.is_some(), "{probe:?}");
}

#[tokio::test]
async fn an_imported_description_of_a_real_org_is_read_as_it_is() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/salesforce/describe_Account.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let expected = |right: &str| -> Vec<String> {
        let fields = recorded["fields"].as_array().unwrap().iter();
        let kept = fields.filter(|field| right.is_empty() || field[right] == json!(true));
        kept.map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    };
    let config =
        EmulatorConfig { imports: vec![("salesforce".to_owned(), file)], ..EmulatorConfig::default() };
    let org = Org::with(config, None).await;
    let account = org.open("Account").await;
    let fields = &account.record_type().fields;
    let names = |keep: fn(&Field) -> bool| -> Vec<String> {
        fields.iter().filter(|field| keep(field)).map(|field| field.name.clone()).collect()
    };
    assert_eq!(fields.len(), 68);
    assert_eq!(names(|_| true), expected(""));
    assert_eq!(names(|field| field.createable), expected("createable"));
    assert_eq!(names(|field| field.updatable), expected("updateable"));
    let required: Vec<&str> =
        fields.iter().filter(|field| field.required_on_create).map(|field| field.name.as_str()).collect();
    assert_eq!(required, ["Name"]);
}

#[tokio::test]
async fn every_record_is_found_once_over_many_pages_in_the_schema_form() {
    let org = Org::new().await;
    let contacts = org.open("Contact").await;
    let found = org.search(&contacts, json!({"page_size": 200})).await;
    assert!(found.len() >= 300, "{}", found.len());
    let mut keys: Vec<String> = found.iter().map(|record| record.key.to_string()).collect();
    keys.dedup();
    assert_eq!(keys.len(), found.len());
    assert!(keys.is_sorted());
    let record = found[0].to_value().unwrap();
    assert!(record.get("attributes").is_none());
    assert_eq!(record["Id"], json!(keys[0]));
    assert!(record["CreatedDate"].as_str().unwrap().ends_with('Z'), "{record}");
    assert!(found[0].version.is_some());
    let names: Vec<&String> = record.as_object().unwrap().keys().collect();
    let fields: Vec<&String> = contacts.record_type().fields.iter().map(|field| &field.name).collect();
    assert_eq!(names, fields);
}

#[tokio::test]
async fn a_selection_gives_exactly_what_it_names() {
    let org = Org::new().await;
    let cases = org.open("Case").await;
    let found = org
        .search(
            &cases,
            json!({"select": ["Subject", "OwnerId_type", "Account.Name", "Owner.Name"], "limit": 20}),
        )
        .await;
    assert_eq!(found.len(), 20);
    let mut owners = Vec::new();
    for record in &found {
        let value = record.to_value().unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(names, ["Subject", "OwnerId_type", "Account", "Owner"]);
        owners.push(value["OwnerId_type"].as_str().unwrap().to_owned());
        assert!(value["Account"].is_null() || value["Account"].as_object().unwrap().len() == 1);
    }
    assert!(owners.iter().all(|owner| owner == "User" || owner == "Group"), "{owners:?}");
    let error = {
        let draft = QueryDraft::from_json(&json!({"select": ["Subjct"]})).unwrap();
        cases.prepare(&org.cx, &draft, &TimeZone::UTC).await.unwrap_err()
    };
    assert!(error.to_string().contains("Subject"), "{error}");
    let addresses = org.open("Account").await;
    let found = org.search(&addresses, json!({"select": ["BillingAddress.city", "Name"], "limit": 3})).await;
    for record in &found {
        let value = record.to_value().unwrap();
        let address = &value["BillingAddress"];
        assert!(address.is_null() || address.as_object().unwrap().keys().eq(["city"]), "{value}");
    }
}

/// What is pushed must not change what is found: each filter is also evaluated here on all records.
#[tokio::test]
async fn pushed_conditions_find_what_evaluating_here_finds() {
    let org = Org::new().await;
    for (name, filters) in [
        (
            "Contact",
            vec![
                "LastName = 'Garcia'",
                "LastName != 'Garcia'",
                "LastName < 'M'",
                "FirstName LIKE 'A%'",
                "FirstName ILIKE '%a%'",
                "FirstName NOT LIKE '%a%'",
                "Email IS NULL",
                "Email IS NOT NULL AND NOT (LastName LIKE '%e%')",
                "AccountId IS NULL OR Account.Name LIKE '%s%'",
                "Account.Name IS NULL",
                "Account.AnnualRevenue > 1000000",
                "NOT (Account.AnnualRevenue > 1000000)",
                "Account.Owner.Name IS NULL",
                "Birthdate BETWEEN '1960-01-01' AND '1985-12-31'",
                "Birthdate NOT BETWEEN '1960-01-01' AND '1985-12-31'",
                "HasOptedOutOfEmail = TRUE OR DoNotCall != FALSE",
                "LeadSource IN ('Web', 'Partner Referral')",
                "LeadSource NOT IN ('Web', 'Partner Referral')",
                "MailingCity = '' OR MailingCity = 'x '",
                "CreatedDate > now() - INTERVAL '400' DAY",
                "MailingLatitude >= 0.5 OR MailingLatitude < -0.25",
                "FirstName = LastName OR FirstName < LastName",
                "Id = 'not an id' OR LastName LIKE 'B\\_%'",
                "Description LIKE '%the%'",
                "LastName = 'O''Brien' OR LastName LIKE '%\\%' ESCAPE '!'",
            ],
        ),
        (
            "Invoice__c",
            vec![
                "Amount__c > 100.5",
                "Amount__c != 0 AND Amount__c NOT IN (1, 2.50)",
                "Tags__c IS NULL",
                "Amount__c IS NULL OR Name LIKE '%1%'",
                "Due__c >= '2026-01-01' AND NOT Due__c > '2026-06-30'",
                "Start__c > '09:00:00' OR Start__c IS NULL",
                "Code__c != 'x' AND Code__c NOT LIKE 'A%'",
                "Account__r.Name LIKE '%a%' OR Account__r.Owner.Name IS NULL",
                "Replaces__r.Amount__c IS NULL AND Lines__c BETWEEN 2 AND 8.5",
                "NOT (Total__c <= 500 OR Paid__c = TRUE)",
                "Paid_At__c < '2026-01-31T09:30:00.0001Z'",
                "Weight__c = 1e400 OR Weight__c > -0.000001 OR Sequence__c != 12345678901234567",
                "Details__c IS NULL OR Card__c IS NULL",
            ],
        ),
    ] {
        let records = org.open(name).await;
        let all = org.search(&records, json!({})).await;
        for text in filters {
            let draft = QueryDraft::from_json(&json!({"where": text, "select": ["Id"]})).unwrap();
            let prepared = match records.prepare(&org.cx, &draft, &TimeZone::UTC).await {
                Ok(prepared) => prepared,
                Err(error) => panic!("{text}: {error}"),
            };
            // The plan of the same filter over everything it reads, without its pushed part.
            let resolved = records.resolve(&org.cx, &draft.paths()).await.unwrap();
            let query = draft.typed(&resolved, prepared.now, &TimeZone::UTC).unwrap();
            let filter = query.filter.clone().unwrap();
            let residual = Residual::new(&filter);
            let paths: Vec<String> =
                draft.paths().iter().map(ToString::to_string).chain(["Id".to_owned()]).collect();
            let everything = if paths.iter().any(|path| path.contains('.')) {
                org.search(&records, json!({"select": paths})).await
            } else {
                all.clone()
            };
            let expected: Vec<String> = everything
                .iter()
                .filter(|record| residual.matches(record).unwrap())
                .map(|record| record.key.to_string())
                .collect();
            let mut search = Search::start(Arc::clone(&records), org.cx.clone(), &prepared);
            let mut found = Vec::new();
            while let Some(page) = search.next_page().await.unwrap_or_else(|error| panic!("{text}: {error}"))
            {
                found.extend(page.records.into_iter().map(|record| record.unwrap().key.to_string()));
            }
            assert_eq!(sorted(found), sorted(expected), "{text}: {:?}", prepared.plan.native);
        }
    }
}

#[tokio::test]
async fn explain_tells_where_each_condition_is_evaluated() {
    let org = Org::new().await;
    let opportunities = org.open("Opportunity").await;
    let plan = |query: Value| {
        let (org, opportunities) = (&org, &opportunities);
        async move {
            let draft = QueryDraft::from_json(&query).unwrap();
            opportunities.prepare(&org.cx, &draft, &TimeZone::UTC).await.map(|prepared| prepared.plan)
        }
    };
    let exact =
        plan(json!({"where": "Amount >= 10 AND CloseDate = '2026-01-31'", "select": ["Name"], "limit": 5}))
            .await
            .unwrap();
    assert_eq!(
        exact.native,
        ["SELECT Id, SystemModstamp, Name FROM Opportunity WHERE (Amount >= 10 AND Amount != null) AND \
             CloseDate = 2026-01-31 ORDER BY Id ASC LIMIT 5"]
    );
    assert!(exact.residual.is_none() && exact.limit_by == Doer::Provider && exact.keyset);
    let mixed = plan(json!({
        "where": "Name = 'O''Neil' AND Description = 'x'", "select": ["Name"], "limit": 5,
        "order_by": [{"field": "Name", "direction": "desc"}], "native": "Amount > 1 OR IsWon = true"
    }))
    .await
    .unwrap();
    assert_eq!(
        mixed.native,
        ["SELECT Id, SystemModstamp, Name, Description FROM Opportunity WHERE (Name = 'O\\'Neil') AND \
             (Amount > 1 OR IsWon = true) ORDER BY Name DESC NULLS LAST, Id ASC"]
    );
    assert_eq!((mixed.order, mixed.limit_by, mixed.keyset), (Doer::Provider, Doer::Here, false));
    let told = serde_json::to_value(mixed.explain()).unwrap();
    let places: Vec<&str> = told["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["at"].as_str().unwrap())
        .collect();
    assert_eq!(places, ["superset", "here", "exact"]);
    for native in ["Name = 'x' ORDER BY Name", "Name = 'x", "Name = 'x') OR (Name != 'x'", ""] {
        let error = plan(json!({"native": native})).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{native}");
    }
}

#[tokio::test]
async fn counting_is_left_to_salesforce_where_it_is_exact() {
    let org = Org::new().await;
    let invoices = org.open("Opportunity").await;
    for filter in ["Amount > 5000", "Name LIKE '%a%'"] {
        let draft = QueryDraft::from_json(&json!({"where": filter})).unwrap();
        let prepared = invoices.prepare(&org.cx, &draft, &TimeZone::UTC).await.unwrap();
        let counted = search::count(Arc::clone(&invoices), &org.cx, &prepared).await.unwrap();
        let listed = org.keys(&invoices, json!({"where": filter})).await.len();
        assert_eq!(counted, listed as u64, "{filter}");
    }
}

#[tokio::test]
async fn fault_28_a_search_goes_on_behind_the_last_key_when_its_locator_has_expired() {
    let org = Org::new().await;
    let contacts = org.open("Contact").await;
    let draft = QueryDraft::from_json(&json!({"select": ["Id"], "page_size": 200})).unwrap();
    let prepared = contacts.prepare(&org.cx, &draft, &TimeZone::UTC).await.unwrap();
    let first = contacts.page(&org.cx, &prepared.plan, None).await.unwrap();
    org.emulator.clock().advance(Duration::from_secs(3600).try_into().unwrap()).unwrap();
    let second = contacts.page(&org.cx, &prepared.plan, first.next.as_ref()).await.unwrap();
    let ids = |page: &recordport::record::Page| -> Vec<String> {
        page.records.iter().map(|record| record.as_ref().unwrap().key.to_string()).collect()
    };
    let mut together = ids(&first);
    together.extend(ids(&second));
    assert_eq!(together, org.keys(&contacts, json!({"select": ["Id"]})).await);
    assert_eq!(second.total, first.total);
    assert!(second.next.is_none());
}

#[tokio::test]
async fn records_are_read_by_id_and_by_other_keys() {
    let org = Org::new().await;
    let contacts = org.open("Contact").await;
    let found = org
        .search(&contacts, json!({"where": "Email IS NOT NULL", "select": ["Id", "Email"], "limit": 3}))
        .await;
    let select = [FieldPath::parse("LastName")];
    let id = found[0].key.to_string();
    let keys =
        [Key::text(&id[..15]), Key::text("003000000000000AAA"), Key::text("not an id"), found[1].key.clone()];
    let read = contacts.get(&org.cx, &KeyFields::single("Id"), &keys, &select).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().as_ref().unwrap().key.to_string(), id);
    assert!(read[1].as_ref().unwrap().is_none());
    assert_eq!(read[2].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    let record = read[3].as_ref().unwrap().as_ref().unwrap();
    assert!(record.to_value().unwrap().as_object().unwrap().keys().eq(["LastName"]));
    let email = found[2].to_value().unwrap()["Email"].as_str().unwrap().to_uppercase();
    let read = contacts.get(&org.cx, &KeyFields::single("Email"), &[Key::text(email)], &[]).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().as_ref().unwrap().key, found[2].key);
    let refused =
        contacts.get(&org.cx, &KeyFields::single("LastName"), &[Key::text("x")], &[]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn rows_are_written_with_an_outcome_each_and_nothing_else_is_touched() {
    let org = Org::new().await;
    let contacts = org.open("Contact").await;
    let rows = [
        new(
            json!({"LastName": "O'Neil 😀", "FirstName": "Åsa", "Birthdate": "1990-02-28", "LeadSource": null}),
        ),
        new(json!({"FirstName": "Nameless"})),
        new(json!({"LastName": "Third", "Email": "third@example.com"})),
    ];
    let outcomes = contacts.create(&org.cx, &rows, &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["created", "failed", "created"]);
    let error = outcomes[1].error().unwrap();
    assert_eq!(
        (error.code(), error.fields()[0].field.as_str()),
        (Some("REQUIRED_FIELD_MISSING"), "LastName")
    );
    assert_eq!(
        (error.provider(), error.record_type(), error.operation()),
        (Some("salesforce"), Some("Contact"), Some("create"))
    );
    let key = outcomes[0].key().unwrap().clone();

    let outcomes = contacts
        .update(
            &org.cx,
            &[change(&key, json!({"FirstName": null})), change(&Key::text("nope"), json!({"LastName": "x"}))],
            &none(),
        )
        .await
        .unwrap();
    assert_eq!(statuses(&outcomes), ["updated", "failed"]);
    let read =
        contacts.get(&org.cx, &KeyFields::single("Id"), std::slice::from_ref(&key), &[]).await.unwrap();
    let record = read[0].as_ref().unwrap().clone().unwrap();
    let value = record.to_value().unwrap();
    assert_eq!(
        (&value["FirstName"], &value["LastName"], &value["Birthdate"]),
        (&json!(null), &json!("O'Neil 😀"), &json!("1990-02-28"))
    );

    let stale = Change {
        if_version: Some("2001-01-01T00:00:00.000Z".to_owned()),
        ..change(&key, json!({"Title": "x"}))
    };
    let fresh = Change { if_version: record.version.clone(), ..change(&key, json!({"Title": "Boss"})) };
    let outcomes = contacts.update(&org.cx, &[stale, fresh], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["failed", "updated"]);
    assert_eq!(outcomes[0].error().unwrap().kind(), ErrorKind::Conflict);

    let gone = |key: &Key| VersionedKey { key: key.clone(), if_version: None };
    let outcomes = contacts
        .delete(&org.cx, &[gone(&key), gone(&Key::text("003000000000000AAA"))], &none())
        .await
        .unwrap();
    assert_eq!(statuses(&outcomes), ["deleted", "failed"]);
    let outcomes = contacts.delete(&org.cx, &[gone(&key)], &none()).await.unwrap();
    assert_eq!(statuses(&outcomes), ["deleted"]);
    let query = json!({"where": "LastName = 'O''Neil 😀'", "select": ["IsDeleted"], "include_deleted": true});
    let kept = org.search(&contacts, query).await;
    assert_eq!(kept.iter().map(Record::text).collect::<Vec<_>>(), [r#"{"IsDeleted":true}"#]);
    let all_or_none = WriteOptions::from_iter([("all_or_none".to_owned(), json!(true))]);
    let outcomes = contacts.create(&org.cx, &rows, &all_or_none).await.unwrap();
    assert_eq!(statuses(&outcomes), ["failed", "failed", "failed"]);
    assert!(
        contacts
            .create(&org.cx, &rows, &WriteOptions::from_iter([("x".to_owned(), json!(1))]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_upsert_by_an_external_id_makes_one_record_and_lists_change_from_what_they_hold() {
    let org = Org::new().await;
    let invoices = org.open("Invoice__c").await;
    let by = KeyFields::single("External_Id__c");
    let key = Key::text("INV/ 1+é");
    let account = org.keys(&org.open("Account").await, json!({"select": ["Id"], "limit": 1})).await.remove(0);
    let row = change(
        &key,
        json!({"Subject__c": "Chairs", "Amount__c": 12.50, "Tags__c": ["Urgent"], "Account__c": account}),
    );
    let first = invoices.upsert(&org.cx, &by, std::slice::from_ref(&row), &none()).await.unwrap();
    let again = invoices.upsert(&org.cx, &by, &[row], &none()).await.unwrap();
    assert_eq!((statuses(&first), statuses(&again)), (vec!["created"], vec!["updated"]), "{first:?}");
    assert_eq!(first[0].key(), again[0].key());
    let read = invoices.get(&org.cx, &by, &[key], &[]).await.unwrap();
    let value = read[0].as_ref().unwrap().as_ref().unwrap().to_value().unwrap();
    assert_eq!(value["Tags__c"], json!(["Urgent"]));
    let list = Edit::List { add: vec![json!("VIP"), json!("Urgent")], remove: vec![json!("Export")] };
    let id = first[0].key().unwrap().clone();
    let row = Change { key: id.clone(), edits: vec![("Tags__c".to_owned(), list)], if_version: None };
    assert_eq!(statuses(&invoices.update(&org.cx, &[row], &none()).await.unwrap()), ["updated"]);
    let read = invoices.get(&org.cx, &KeyFields::single("Id"), &[id], &[]).await.unwrap();
    let value = read[0].as_ref().unwrap().as_ref().unwrap().to_value().unwrap();
    assert_eq!((&value["Tags__c"], &value["Subject__c"]), (&json!(["Urgent", "VIP"]), &json!("Chairs")));
}

#[tokio::test]
async fn choices_come_from_picklists_and_from_records() {
    let org = Org::new().await;
    let contacts = org.open("Contact").await;
    let ask = |search: &str| OptionQuery { search: Some(search.to_owned()), ..OptionQuery::default() };
    let page = contacts.options(&org.cx, &FieldPath::parse("LeadSource"), &ask("ref")).await.unwrap();
    assert_eq!(page.options.iter().map(|item| item.label.as_str()).collect::<Vec<_>>(), ["Partner Referral"]);
    let mut asked = OptionQuery::default();
    let mut seen = Vec::new();
    loop {
        let page = contacts.options(&org.cx, &FieldPath::parse("AccountId"), &asked).await.unwrap();
        seen.extend(page.options.into_iter().map(|item| item.value.as_str().unwrap().to_owned()));
        match page.next {
            Some(next) => asked.cursor = Some(next),
            None => break,
        }
    }
    let accounts = org.keys(&org.open("Account").await, json!({"select": ["Id"]})).await;
    assert_eq!(sorted(seen), sorted(accounts));
    let refused =
        contacts.options(&org.cx, &FieldPath::parse("LastName"), &OptionQuery::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_dry_run_shows_the_write_and_sends_none() {
    let org = Org::with(EmulatorConfig::default(), Some(DryRun::new())).await;
    let contacts = org.open("Contact").await;
    let error = contacts.create(&org.cx, &[new(json!({"LastName": "Never"}))], &none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DryRun);
    let recorded = org.dry.as_ref().unwrap().requests();
    assert_eq!(recorded.len(), 1);
    assert!(org.keys(&contacts, json!({"where": "LastName = 'Never'"})).await.is_empty());
}
