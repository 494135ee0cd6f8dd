//! Lookups: what is asked, in how many queries, and what becomes of each answer.

use async_trait::async_trait;
use jiff::tz::TimeZone;
use recordport::connect::sign_in::AccessMode;
use recordport::emulator::EmulatorConfig;
use recordport::error::{Error, ErrorKind, Result};
use recordport::layer::check::Checked;
use recordport::mapping::{
    Answer, Answers, Ask, Creating, Given, LookedUp, Lookups, Mapped, Opened, Program, Side, Sides, Types,
    compile_with,
};
use recordport::provider::{Edit, NewRow, Outcome, WriteOptions};
use recordport::record::record_type::TextForm;
use recordport::record::{FieldType, RecordType};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{able, document, parsed, places, settings};
use crate::support::emulated::client;
use crate::support::record_types::{open, reference, required};
use crate::support::wired_org::Connected;

/// An emulated org, known as connection `sf`.
struct Org(Connected);

#[async_trait]
impl Sides for Org {
    async fn side(&self, connection: &str, record_type: &str) -> Result<Side> {
        if connection != "sf" {
            return Err(Error::new(ErrorKind::NotFound, "there is no such connection"));
        }
        let name = recordport::record::TypeName::new(record_type);
        let records = self.0.provider.open(&self.0.cx, &name).await?;
        Ok(Side { records: Arc::new(Checked::new(records, AccessMode::ReadWrite)), cx: self.0.cx.clone() })
    }
}

impl Org {
    async fn new() -> Self {
        Self(Connected::start(EmulatorConfig { empty: true, ..EmulatorConfig::default() }).await)
    }

    /// Creates records and gives their keys.
    async fn create(&self, record_type: &str, rows: &[Value]) -> Vec<String> {
        let side = self.side("sf", record_type).await.expect("opens");
        let rows: Vec<NewRow> = rows
            .iter()
            .map(|row| {
                let fields = row.as_object().expect("an object").iter().map(|(name, value)| {
                    (name.clone(), Edit::Set(RawValue::from_string(value.to_string()).expect("JSON")))
                });
                NewRow { fields: fields.collect(), marker: None }
            })
            .collect();
        let outcomes = side.records.create(&side.cx, &rows, &WriteOptions::new()).await.expect("is answered");
        outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Created(key) => key.to_string(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// How many queries over a type were sent.
    async fn queries(&self, record_type: &str) -> usize {
        let address = format!("{}/_emulator/requests", self.0.emulator.http_url());
        let answer = client().get(address).send().await.expect("is answered").text().await.expect("a body");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let requests = answer["requests"].as_array().expect("a list");
        let part = format!("FROM {record_type}");
        let asks = |request: &&Value| {
            let text = request.to_string().replace("%20", " ").replace('+', " ");
            text.contains(&part)
        };
        requests.iter().filter(asks).count()
    }

    async fn opened(&self, rules: Value) -> Opened {
        let mut document = document("create", rules);
        document["source"] = json!({"connection": "sf", "type": "Lead"});
        document["target"] = json!({"connection": "sf", "type": "Contact", "operation": "create"});
        recordport::mapping::open::open(self, &parsed(&document), |now| recordport::mapping::Settings {
            now,
            ..settings()
        })
        .await
        .expect("opens")
    }

    async fn ready(&self, rules: Value, creating: Creating) -> (Program, Lookups) {
        let mut opened = self.opened(rules).await;
        let program = opened.compiled.program.take();
        let program = program.unwrap_or_else(|| panic!("{:#?}", opened.compiled.problems));
        let lookups = opened.lookups(&program, creating, &TimeZone::UTC);
        (program, lookups)
    }
}

async fn apply(program: &Program, lookups: &Lookups, records: &[Value]) -> Vec<Result<Mapped>> {
    let texts: Vec<String> = records.iter().map(Value::to_string).collect();
    let given: Vec<Given<'_>> =
        texts.iter().zip(1..).map(|(json, row)| Given { json, key: None, row }).collect();
    lookups.apply(program, &given).await.expect("is answered")
}

/// What became of the field `AccountId`: its JSON text, `-` when it was left out, or the reason.
fn account(mapped: &Result<Mapped>) -> String {
    match mapped {
        Ok(mapped) => {
            let row: Value = serde_json::from_str(&mapped.json).expect("JSON");
            row.get("AccountId").map_or("-".to_owned(), Value::to_string)
        }
        Err(error) => error.fields()[0].message.clone(),
    }
}

fn by_name(more: Value) -> Value {
    let mut step = json!({"op": "lookup", "type": "Account", "by": ["Name"]});
    step.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!([{"to": "LastName", "from": "LastName"}, {"to": "AccountId", "from": "Company", "steps": [step]}])
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_many_in_one_query_and_none_and_several_are_told() {
    let org = Org::new().await;
    let mut rows: Vec<Value> = (0..60).map(|number| json!({"Name": format!("Firm {number}")})).collect();
    rows.extend([json!({"Name": "Twice"}), json!({"Name": "Twice"}), json!({"Name": "O'Neil \\ 50%_"})]);
    let keys = org.create("Account", &rows).await;
    let (program, lookups) = org.ready(by_name(json!({})), Creating::Refused).await;
    let lead = |company: Value| json!({"LastName": "x", "Company": company});
    let mut records: Vec<Value> = (0..60).map(|number| lead(json!(format!("Firm {number}")))).collect();
    records.extend([
        lead(json!("Twice")),
        lead(json!("Nobody")),
        lead(Value::Null),
        json!({"LastName": "x"}),
        lead(json!("")),
        lead(json!("firm 1")),
        lead(json!("O'Neil \\ 50%_")),
        lead(json!("y".repeat(300))),
    ]);
    let before = org.queries("Account").await;
    let mapped = apply(&program, &lookups, &records).await;
    for (mapped, key) in mapped.iter().zip(&keys).take(60) {
        assert_eq!(account(mapped), format!("\"{key}\""));
    }
    let rest: Vec<String> = mapped[60..].iter().map(account).collect();
    assert_eq!(
        rest,
        [
            "is ambiguous: there are 2 records Account with Name = \"Twice\"".to_owned(),
            "cannot be found: there is no Account with Name = \"Nobody\"".to_owned(),
            "null".to_owned(),
            "-".to_owned(),
            "cannot be found: there is no Account with Name = \"\"".to_owned(),
            "cannot be found: there is no Account with Name = \"firm 1\"".to_owned(),
            format!("\"{}\"", keys[62]),
            format!("cannot be found: there is no Account with Name = \"{}\"", "y".repeat(300)),
        ]
    );
    let asked = org.queries("Account").await - before;
    assert!((1..=2).contains(&asked), "{asked} queries for 65 values");
    // What was found is remembered, what was not is asked again.
    let again = apply(&program, &lookups, &records[..60]).await;
    assert!(again.iter().all(Result::is_ok));
    assert_eq!(org.queries("Account").await - before, asked);
    let [made] = &org.create("Account", &[json!({"Name": "Nobody"})]).await[..] else { panic!("one") };
    assert_eq!(account(&apply(&program, &lookups, &records[61..62]).await[0]), format!("\"{made}\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_found_becomes_what_was_said() {
    let org = Org::new().await;
    org.create("Account", &[json!({"Name": "Twice"}), json!({"Name": "Twice"})]).await;
    let lead = |company: &str| json!({"LastName": "x", "Company": company});
    let records = [lead("Nobody"), lead("Twice")];
    for (more, none, several) in [
        (json!({"else": "null", "several": "null"}), "null", "null"),
        (json!({"else": "skip"}), "-", "is ambiguous: there are 2 records Account with Name = \"Twice\""),
    ] {
        let (program, lookups) = org.ready(by_name(more), Creating::Refused).await;
        let mapped = apply(&program, &lookups, &records).await;
        assert_eq!([account(&mapped[0]), account(&mapped[1])], [none, several]);
        if let Ok(mapped) = &mapped[1] {
            assert!(mapped.warnings[0].message.contains("2 records"), "{mapped:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_found_by_several_fields_and_by_what_another_lookup_gave() {
    let org = Org::new().await;
    let accounts = org
        .create(
            "Account",
            &[
                json!({"Name": "Kolo", "BillingCity": "Brno", "Site": "North", "NumberOfEmployees": 12}),
                json!({"Name": "Kolo", "BillingCity": "Oslo", "Site": "South"}),
            ],
        )
        .await;
    org.create("Contact", &[json!({"LastName": "Boss", "AccountId": accounts[1], "Title": "Chair"})]).await;
    let rules = json!([
        {"to": "LastName", "from": "LastName"},
        {"to": "AccountId", "lookup": {"type": "Account", "by": {"Name": "Company", "BillingCity": "City"}}},
        {"to": "Department", "from": "Company", "steps": [
            {"op": "lookup", "type": "Account", "by": ["Name", "BillingCity"], "of": ["City"]},
            {"op": "lookup", "type": "Contact", "by": ["AccountId"], "give": "Title", "else": "skip"}]},
        {"to": "Description", "lookup": {"type": "Account", "give": "Site", "else": "null",
            "by": {"NumberOfEmployees": "NumberOfEmployees"}}},
    ]);
    let (program, lookups) = org.ready(rules, Creating::Refused).await;
    let lead =
        |city: &str| json!({"LastName": "x", "Company": "Kolo", "City": city, "NumberOfEmployees": 12});
    let mapped = apply(&program, &lookups, &[lead("Brno"), lead("Oslo"), lead("Bonn")]).await;
    assert_eq!(account(&mapped[0]), format!("\"{}\"", accounts[0]));
    assert_eq!(account(&mapped[1]), format!("\"{}\"", accounts[1]));
    assert!(account(&mapped[2]).contains("Name = \"Kolo\" and BillingCity = \"Bonn\""), "{mapped:?}");
    let row = |at: usize| -> Value {
        serde_json::from_str(&mapped[at].as_ref().expect("fits").json).expect("JSON")
    };
    assert_eq!(row(0).get("Department"), None);
    assert_eq!(row(1)["Department"], "Chair");
    assert_eq!(row(0)["Description"], "North");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_record_is_created_once_and_only_where_that_is_allowed() {
    let org = Org::new().await;
    let rules = by_name(json!({"else": "create", "set": {"Site": "new"}}));
    let lead = |company: &str| json!({"LastName": "x", "Company": company});
    let records = [lead("Nova"), lead("Nova"), lead("Sever")];

    let (program, refused) = org.ready(rules.clone(), Creating::Refused).await;
    let told = apply(&program, &refused, &records).await;
    assert!(account(&told[0]).ends_with("and only a run creates one"), "{told:?}");

    let (program, told) = org.ready(rules.clone(), Creating::Told).await;
    let told = apply(&program, &told, &records).await;
    let first = told[0].as_ref().expect("fits");
    assert!(first.warnings[0].message.contains("will be the key of a new Account"), "{first:?}");
    assert_eq!(account(&told[0]), "-");
    assert!(!org.0.state("Account").await.contains("Nova"), "nothing was created");

    let (program, allowed) = org.ready(rules, Creating::Allowed).await;
    let mapped = apply(&program, &allowed, &records).await;
    assert_eq!(account(&mapped[0]), account(&mapped[1]));
    assert_ne!(account(&mapped[0]), account(&mapped[2]));
    let again = apply(&program, &allowed, &records).await;
    assert_eq!(again.iter().map(account).collect::<Vec<_>>(), mapped.iter().map(account).collect::<Vec<_>>());
    assert_eq!(org.0.state("Account").await.matches("Nova").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_cannot_be_right_is_refused_before_it_runs() {
    let org = Org::new().await;
    let refused = [
        (json!({"type": "Acount", "by": ["Name"]}), "/type"),
        (json!({"type": "Account", "by": ["Nmae"]}), "/by/0"),
        (json!({"type": "Account", "by": ["AnnualRevenue"]}), "/by/0"),
        (json!({"type": "Account", "by": ["Name", "Site"]}), "/of"),
        (json!({"type": "Account", "by": ["Name", "Site"], "of": ["Stie"]}), "/of/0"),
        (json!({"type": "Account", "by": ["Name"], "give": "Nmae"}), "/give"),
        (json!({"type": "Account", "by": ["Name"], "set": {"Site": "x"}}), "/set"),
        (
            json!({"type": "Account", "by": ["Name"], "else": "create", "set": {"Nonsense": "x"}}),
            "/set/Nonsense",
        ),
        (json!({"type": "Contact", "by": ["FirstName"], "else": "create"}), "/else"),
        (json!({"type": "Account", "by": ["Name"], "connection": "gone"}), "/type"),
    ];
    for (more, at) in refused {
        let mut step = json!({"op": "lookup"});
        step.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let rules = json!([{"to": "LastName", "from": "LastName"},
            {"to": "AccountId", "from": "Company", "steps": [step]}]);
        let problems = org.opened(rules).await.compiled.problems;
        assert_eq!(places(&problems), [format!("error /fields/1/steps/0{at}")], "{more}: {problems:#?}");
        assert!(problems[0].fix.is_some(), "{more}");
    }
    // The key of another type does not go into the field.
    let wrong = json!([{"to": "LastName", "from": "LastName"}, {"to": "AccountId", "from": "Company",
        "steps": [{"op": "lookup", "type": "Contact", "by": ["LastName"]}]}]);
    assert_eq!(places(&org.opened(wrong).await.compiled.problems), ["error /fields/1"]);
}

#[test]
fn a_program_is_pure_it_tells_what_it_must_know_and_runs_on_the_answers() {
    let guests = |parts: Vec<recordport::record::Field>| {
        let guest = open("Guest", FieldType::Object { fields: parts });
        FieldType::List { element: Box::new(guest) }
    };
    let text = || FieldType::Text { max_length: None, form: TextForm::Plain };
    let source = RecordType { fields: vec![open("People", guests(vec![open("mail", text())]))], ..able() };
    let target = RecordType {
        fields: vec![open("People", guests(vec![required("who", reference("Thing", "Who"))]))],
        ..able()
    };
    let mut document = document(
        "create",
        json!([{"to": "People", "from": "People", "steps": [
        {"op": "each", "fields": [{"to": "who", "from": "mail", "steps": [
            {"op": "case", "to": "lower"}, {"op": "lookup", "type": "Thing", "by": ["Email"]}]}]}]}]),
    );
    document["source"]["connection"] = json!("b");
    let mut able = able();
    able.fields.iter_mut().for_each(|field| field.filterable = true);
    let known = [LookedUp { connection: "b", name: "Thing", record_type: &able }];
    let types = Types { source: &source, paths: &source, target: &target };
    let compiled = compile_with(&parsed(&document), types, &known, &settings());
    let program = compiled.program.unwrap_or_else(|| panic!("{:#?}", compiled.problems));
    let record = r#"{"People":[{"mail":"A@x.cz"},{"mail":"b@x.cz"},{"mail":"a@x.cz"}]}"#;
    let given = Given { json: record, key: None, row: 1 };
    let asks = program.asks(given, &Answers::default());
    let keys: Vec<&str> = asks.iter().map(|ask| ask.key[0].as_str()).collect();
    assert_eq!(keys, ["\"a@x.cz\"", "\"b@x.cz\"", "\"a@x.cz\""], "all in one round");
    let mut answers = Answers::default();
    answers.insert(asks[0].clone(), Answer::Found("\"1\"".into()));
    assert!(program.apply_with(given, &answers).expect_err("open").message().contains("b@x.cz"));
    assert_eq!(program.asks(given, &answers), [Ask { lookup: 0, key: vec!["\"b@x.cz\"".to_owned()] }]);
    answers.insert(asks[1].clone(), Answer::Found("\"2\"".into()));
    let mapped = program.apply_with(given, &answers).expect("fits");
    assert_eq!(mapped.json, r#"{"People":[{"who":"1"},{"who":"2"},{"who":"1"}]}"#);
    answers.insert(asks[1].clone(), Answer::None);
    let refused = program.apply_with(given, &answers).expect_err("refused");
    let told = &refused.fields()[0];
    assert_eq!(told.field, "People/1/who");
    assert!(told.message.starts_with("cannot be found"), "{told:?}");
}
