//! What is Dynamics 365's own, by the provider against the emulated environment.

use futures::TryStreamExt as _;
use recordport::emulator::EmulatorConfig;
use recordport::error::ErrorKind;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{
    Change, Edit, Edits, NewRow, OptionQuery, Outcome, Records, Settled, WriteOptions,
};
use recordport::record::{FieldPath, FieldType, Key, KeyFields, QueryDraft};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::command::Home;
use crate::support::wired_org::Connected;

pub(crate) async fn environment() -> Connected {
    Connected::to("dynamics", EmulatorConfig::default()).await
}

pub(crate) fn edits(row: &Value) -> Edits {
    let members = row.as_object().expect("an object");
    members
        .iter()
        .map(|(name, value)| {
            let edit = match value {
                Value::Null => Edit::Clear,
                value => Edit::Set(RawValue::from_string(value.to_string()).expect("JSON")),
            };
            (name.clone(), edit)
        })
        .collect()
}

pub(crate) async fn create(org: &Connected, records: &dyn Records, row: &Value) -> Key {
    let row = NewRow { fields: edits(row), marker: None };
    let outcome = records.create(&org.cx, &[row], &WriteOptions::new()).await.expect("is sent").remove(0);
    outcome.key().unwrap_or_else(|| panic!("{outcome:?}")).clone()
}

pub(crate) async fn read(org: &Connected, records: &dyn Records, key: &Key, select: &[&str]) -> Value {
    let select: Vec<FieldPath> = select.iter().map(|path| FieldPath::parse(path)).collect();
    let by = records.record_type().key.clone();
    let found =
        records.get(&org.cx, &by, std::slice::from_ref(key), &select).await.expect("is sent").remove(0);
    found.expect("is read").expect("exists").to_value().expect("is JSON")
}

pub(crate) async fn any_key(org: &Connected, name: &str) -> String {
    let records = org.open(name).await;
    let draft = QueryDraft { limit: Some(1), ..QueryDraft::default() };
    let prepared = records.prepare(&org.cx, &draft, &jiff::tz::TimeZone::UTC).await.expect("plans");
    let found: Vec<_> = Search::start(records, org.cx.clone(), &prepared)
        .into_records()
        .try_collect()
        .await
        .expect("searches");
    found[0].key.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_with_several_targets_is_written_and_read_with_and_without_its_type() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let (account, contact) = (any_key(&org, "account").await, any_key(&org, "contact").await);
    let told = json!({"new_name": "A", "new_quantity": 1, "new_party": contact, "new_party_type": "contact"});
    let key = create(&org, &*invoices, &told).await;
    let row = read(&org, &*invoices, &key, &["new_party", "new_party_type"]).await;
    assert_eq!(row, json!({"new_party": contact, "new_party_type": "contact"}));
    let untold = json!({"new_name": "B", "new_quantity": 1, "new_party": account});
    let key = create(&org, &*invoices, &untold).await;
    let row = read(&org, &*invoices, &key, &["new_party", "new_party_type"]).await;
    assert_eq!(row, json!({"new_party": account, "new_party_type": "account"}));
    let clear = Change { key: key.clone(), edits: edits(&json!({"new_party": null})), if_version: None };
    let outcome = invoices.update(&org.cx, &[clear], &WriteOptions::new()).await.expect("is sent").remove(0);
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
    let row = read(&org, &*invoices, &key, &["new_party", "new_party_type"]).await;
    assert_eq!(row, json!({"new_party": null, "new_party_type": null}));
    let wrong = json!({"new_name": "C", "new_quantity": 1, "new_party": account, "new_party_type": "team"});
    let row = NewRow { fields: edits(&wrong), marker: None };
    let refused = invoices.create(&org.cx, &[row], &WriteOptions::new()).await.expect("is sent").remove(0);
    assert_eq!(refused.error().expect("fails").fields()[0].field, "new_party");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_is_named_by_its_alternate_key() {
    let org = environment().await;
    let accounts = org.open("account").await;
    let parent = create(&org, &*accounts, &json!({"name": "Parent", "accountnumber": "P 1'2"})).await;
    let invoices = org.open("new_invoice").await;
    let row = json!({"new_name": "A", "new_quantity": 1, "new_Account": {"accountnumber": "P 1'2"}});
    let key = create(&org, &*invoices, &row).await;
    let row = read(&org, &*invoices, &key, &["new_account", "new_Account.name"]).await;
    assert_eq!(row, json!({"new_account": parent.to_string(), "new_Account": {"name": "Parent"}}));
    let row = json!({"new_name": "A", "new_quantity": 1, "new_Account": {"name": "Parent"}});
    let row = NewRow { fields: edits(&row), marker: None };
    let refused = invoices.create(&org.cx, &[row], &WriteOptions::new()).await.expect("is sent").remove(0);
    assert!(refused.error().expect("fails").message().contains("no alternate key"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn formatted_values_come_when_they_are_selected() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let row = json!({"new_name": "A", "new_quantity": 1, "new_kind": 100_000_002, "new_tags": [2, 1]});
    let key = create(&org, &*invoices, &row).await;
    let row = read(&org, &*invoices, &key, &["new_kind", "new_kind_formatted", "new_tags"]).await;
    assert_eq!(
        row,
        json!({"new_kind": 100_000_002, "new_kind_formatted": "Credit, note", "new_tags": row["new_tags"]})
    );
    let mut tags: Vec<i64> = serde_json::from_value(row["new_tags"].clone()).expect("numbers");
    tags.sort_unstable();
    assert_eq!(tags, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_found_again_by_the_id_that_it_was_given() {
    let org = environment().await;
    let accounts = org.open("account").await;
    let id = uuid::Uuid::new_v4().to_string();
    let row = NewRow { fields: edits(&json!({"name": "Marked"})), marker: Some(json!(id)) };
    let outcome = accounts
        .create(&org.cx, std::slice::from_ref(&row), &WriteOptions::new())
        .await
        .expect("is sent")
        .remove(0);
    assert!(matches!(&outcome, Outcome::Created(key) if *key == Key::text(id.as_str())), "{outcome:?}");
    let absent = uuid::Uuid::new_v4().to_string();
    let marks = [json!(id), json!(absent), json!({"accountid": id, "@since": "x"}), json!("no id")];
    let settled = accounts.settle(&org.cx, &marks).await.expect("is asked");
    let arrived = Settled::Arrived(Key::text(id.as_str()));
    assert_eq!(settled, [arrived.clone(), Settled::Absent, arrived, Settled::CannotTell]);
    // The same id is refused the second time: nothing is doubled.
    let again = accounts.create(&org.cx, &[row], &WriteOptions::new()).await.expect("is sent").remove(0);
    assert_eq!(again.error().expect("fails").kind(), ErrorKind::Conflict, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_goes_by_a_key_of_a_text_and_a_lookup() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let account = any_key(&org, "account").await;
    let by = KeyFields::of(["new_code", "new_account"]);
    let key = Key::parse(&json!(["C 1", account]).to_string(), &by).expect("a key");
    let row = |name: &str| Change {
        key: key.clone(),
        edits: edits(&json!({"new_name": name, "new_quantity": 1})),
        if_version: None,
    };
    let first =
        invoices.upsert(&org.cx, &by, &[row("A")], &WriteOptions::new()).await.expect("is sent").remove(0);
    let second =
        invoices.upsert(&org.cx, &by, &[row("B")], &WriteOptions::new()).await.expect("is sent").remove(0);
    assert!(matches!(first, Outcome::Created(_)), "{first:?}");
    assert!(matches!(second, Outcome::Updated(_)), "{second:?}");
    assert_eq!(first.key(), second.key());
    let found = invoices.get(&org.cx, &by, &[key], &[FieldPath::parse("new_name")]).await.expect("is sent");
    let found = found.into_iter().next().expect("one").expect("is read").expect("exists");
    assert_eq!(found.text(), r#"{"new_name":"B"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_reason_must_belong_to_its_status() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let key = create(&org, &*invoices, &json!({"new_name": "A", "new_quantity": 1})).await;
    let change = |row: Value| Change { key: key.clone(), edits: edits(&row), if_version: None };
    let rows = [
        change(json!({"statecode": 1, "statuscode": 100_000_001})),
        change(json!({"statecode": 1, "statuscode": 100_000_002})),
    ];
    let outcomes = invoices.update(&org.cx, &rows, &WriteOptions::new()).await.expect("is sent");
    assert_eq!(outcomes[0].error().expect("fails").fields()[0].field, "statuscode");
    assert!(matches!(outcomes[1], Outcome::Updated(_)), "{:?}", outcomes[1]);
    let row = read(&org, &*invoices, &key, &["statecode", "statuscode"]).await;
    assert_eq!(row, json!({"statecode": 1, "statuscode": 100_000_002}));
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_instants_and_clock_times_are_kept_apart() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let record_type = invoices.record_type();
    let field = |name: &str| record_type.field(name).expect(name);
    assert_eq!(field("new_due").field_type, FieldType::Date);
    assert_eq!((&field("new_sent").field_type, field("new_sent").floating), (&FieldType::Instant, false));
    assert_eq!(
        (&field("new_checkin").field_type, field("new_checkin").floating),
        (&FieldType::Instant, true)
    );
    let row = json!({"new_name": "Day", "new_quantity": 1, "new_checkin": "2031-05-06T00:00:00Z", "new_sent": "2031-05-06T00:00:00Z"});
    let key = create(&org, &*invoices, &row).await.to_string();
    let found = async |text: &str| {
        let draft = QueryDraft {
            where_text: Some(recordport::record::where_text::parse(text).expect("a condition")),
            ..QueryDraft::default()
        };
        let zone = jiff::tz::TimeZone::get("Asia/Tokyo").expect("a zone");
        let prepared = invoices.prepare(&org.cx, &draft, &zone).await.expect("plans");
        let found: Vec<_> = Search::start(std::sync::Arc::clone(&invoices), org.cx.clone(), &prepared)
            .into_records()
            .try_collect()
            .await
            .expect("searches");
        found.iter().any(|record| record.key.to_string() == key)
    };
    // Midnight in Tokyo is another instant; a clock time is the same everywhere.
    assert!(found("new_checkin = '2031-05-06'").await);
    assert!(!found("new_sent = '2031-05-06'").await);
    assert!(found("new_sent = '2031-05-06T09:00:00+09:00'").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_and_records_are_offered_to_choose_from() {
    let org = environment().await;
    let invoices = org.open("new_invoice").await;
    let ask = OptionQuery { search: Some("serv".to_owned()), ..OptionQuery::default() };
    let page = invoices.options(&org.cx, &FieldPath::parse("new_kind"), &ask).await.expect("is answered");
    assert_eq!(page.options.iter().map(|option| &option.value).collect::<Vec<_>>(), [&json!(100_000_001)]);
    let on = json!({"statecode": 1}).as_object().expect("an object").clone();
    let ask = OptionQuery { on, ..OptionQuery::default() };
    let page = invoices.options(&org.cx, &FieldPath::parse("statuscode"), &ask).await.expect("is answered");
    let values: Vec<&Value> = page.options.iter().map(|option| &option.value).collect();
    assert_eq!(values, [&json!(2), &json!(100_000_002)]);
    let mut ask = OptionQuery::default();
    let mut names = Vec::new();
    loop {
        let page =
            invoices.options(&org.cx, &FieldPath::parse("new_party"), &ask).await.expect("is answered");
        names.extend(page.options.into_iter().map(|option| option.record_type.expect("a type")));
        match page.next {
            Some(next) => ask.cursor = Some(next),
            None => break,
        }
    }
    let count = |name: &str| names.iter().filter(|found| *found == name).count();
    assert_eq!((count("account"), count("contact")), (120, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_described_from_their_definitions_and_nothing_is_required_but_by_the_api() {
    let org = environment().await;
    let accounts = org.open("account").await;
    let record_type = accounts.record_type();
    let field = |name: &str| record_type.field(name).expect(name);
    // ApplicationRequired is a rule of forms.
    assert!(!field("name").required_on_create && field("name").nullable);
    assert_eq!(field("revenue").field_type, FieldType::Decimal { precision: Some(17), scale: Some(2) });
    assert_eq!(field("revenue").maximum.as_deref(), Some("100000000000000"));
    assert!(record_type.field("primarycontactidname").is_none(), "companions are left out");
    let names: Vec<&str> = record_type.relationships.iter().map(|way| way.name.as_str()).collect();
    assert!(names.contains(&"primarycontactid_contact"), "{names:?}");
    let incidents = org.open("incident").await;
    let required: Vec<&str> = incidents
        .record_type()
        .fields
        .iter()
        .filter(|field| field.required_on_create)
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(required, ["title", "customerid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_by_code_secret_key_or_token() {
    let emulator = recordport::emulator::Emulator::start(EmulatorConfig::default()).await.expect("starts");
    let url = emulator.http_url();
    tokio::task::spawn_blocking(move || {
        let home = Home::new();
        for grant in ["code", "client-credentials", "jwt", "token"] {
            let name = format!("by-{grant}");
            let words = [
                "connect",
                "dataverse",
                name.as_str(),
                "--emulator",
                url.as_str(),
                "--grant",
                grant,
                "--no-browser",
            ];
            let connected = &home.run(&words).expect(0).lines()[0];
            assert_eq!((&connected["provider"], &connected["grant"]), (&json!("dynamics"), &json!(grant)));
            let found =
                home.run(&["search", &name, "contact", "--limit", "2", "--select", "fullname"]).expect(0);
            assert_eq!(found.lines().len(), 2, "{found:?}");
        }
    })
    .await
    .expect("runs");
    emulator.shutdown().await;
}
