//! The check before the wire: every row is told what is wrong with it, and the others go on.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use recordport::clock::SystemClock;
use recordport::connect::sign_in::AccessMode;
use recordport::error::{Error, ErrorKind, Result};
use recordport::http::{Call, Http, Reply};
use recordport::layer::check::Checked;
use recordport::provider::{
    Change, ChangePage, Content, Context, Edit, Edits, NewRow, OptionPage, OptionQuery, Outcome, Plan,
    Records, Resolved, Settled, VersionedKey, WriteOptions,
};
use recordport::record::capability::{GetCapability, UpsertCapability, VersionSupport, WriteCapability};
use recordport::record::{Checkpoint, Cursor, FieldPath, Key, KeyFields, Page, Query, Record, RecordType};
use serde_json::{Map, Value as Json, json};

use crate::support::record_types::{choice, dependent, everything, open, restricted, with_fields};

/// A provider whose answers are written in advance, for what no service does on purpose: the wrong number of
/// outcomes, or a failure in the middle of a batch.
#[derive(Debug)]
struct Scripted {
    record_type: Arc<RecordType>,
    /// Taken from the end; when none is left, every row succeeds.
    answers: Mutex<Vec<Result<Vec<Outcome>>>>,
    sent: Mutex<Vec<Vec<Edits>>>,
    /// Creates under way now, and the most there were.
    under_way: Mutex<(usize, usize)>,
}

impl Scripted {
    fn new(record_type: RecordType) -> Arc<Self> {
        Arc::new(Self {
            record_type: Arc::new(record_type),
            answers: Mutex::default(),
            sent: Mutex::default(),
            under_way: Mutex::default(),
        })
    }

    fn answering(record_type: RecordType, mut answers: Vec<Result<Vec<Outcome>>>) -> Arc<Self> {
        answers.reverse();
        Arc::new(Self {
            record_type: Arc::new(record_type),
            answers: Mutex::new(answers),
            sent: Mutex::default(),
            under_way: Mutex::default(),
        })
    }

    fn answer(&self, rows: Vec<Edits>) -> Result<Vec<Outcome>> {
        let names = rows.len();
        self.sent.lock().unwrap().push(rows);
        self.answers.lock().unwrap().pop().unwrap_or_else(|| {
            Ok((0..names).map(|at| Outcome::Created(Key::text(format!("k{at}")))).collect())
        })
    }

    /// What reached the provider: batches of rows of `name=value`.
    fn sent(&self) -> Vec<Vec<String>> {
        let shown = |(name, edit): &(String, Edit)| match edit {
            Edit::Set(value) => format!("{name}={}", value.get()),
            Edit::Clear => format!("{name} cleared"),
            Edit::List { add, remove } => format!("{name}+{}-{}", add.len(), remove.len()),
        };
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .map(|batch| {
                batch.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" ")).collect()
            })
            .collect()
    }
}

fn not_here<T>() -> Result<T> {
    Err(Error::bug("this must not be asked"))
}

#[async_trait]
impl Records for Scripted {
    fn record_type(&self) -> &Arc<RecordType> {
        &self.record_type
    }
    async fn resolve(&self, _: &Context, _: &[FieldPath]) -> Result<Resolved> {
        not_here()
    }
    fn plan(&self, _: &Query, _: &Resolved) -> Result<Plan> {
        not_here()
    }
    async fn page(&self, _: &Context, _: &Plan, _: Option<&Cursor>) -> Result<Page> {
        not_here()
    }
    async fn count(&self, _: &Context, _: &Plan) -> Result<Option<u64>> {
        not_here()
    }
    async fn get(
        &self,
        _: &Context,
        _: &KeyFields,
        keys: &[Key],
        _: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        self.sent.lock().unwrap().push(keys.iter().map(|_| Vec::new()).collect());
        Ok(keys.iter().map(|key| Err(Error::invalid(key.to_string()))).collect())
    }
    async fn create(&self, _: &Context, rows: &[NewRow], _: &WriteOptions) -> Result<Vec<Outcome>> {
        {
            let mut count = self.under_way.lock().unwrap();
            count.0 += 1;
            count.1 = count.1.max(count.0);
        }
        // Everybody who may begin does so before this one ends.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.under_way.lock().unwrap().0 -= 1;
        self.answer(rows.iter().map(|row| row.fields.clone()).collect())
    }
    async fn update(&self, _: &Context, rows: &[Change], _: &WriteOptions) -> Result<Vec<Outcome>> {
        self.answer(rows.iter().map(|row| row.edits.clone()).collect())
    }
    async fn upsert(
        &self,
        _: &Context,
        _: &KeyFields,
        rows: &[Change],
        _: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.answer(rows.iter().map(|row| row.edits.clone()).collect())
    }
    async fn delete(&self, _: &Context, rows: &[VersionedKey], _: &WriteOptions) -> Result<Vec<Outcome>> {
        self.answer(rows.iter().map(|_| Vec::new()).collect())
    }
    async fn settle(&self, _: &Context, _: &[Json]) -> Result<Vec<Settled>> {
        not_here()
    }
    async fn changes(&self, _: &Context, _: Option<&Checkpoint>, _: &[FieldPath]) -> Result<ChangePage> {
        not_here()
    }
    async fn read_content(&self, _: &Context, _: &Key, _: &str) -> Result<Content> {
        not_here()
    }

    async fn write_content(
        &self,
        _: &Context,
        _: &Key,
        _: &str,
        _: Content,
        _: &WriteOptions,
    ) -> Result<Outcome> {
        not_here()
    }

    async fn options(&self, _: &Context, _: &FieldPath, _: &OptionQuery) -> Result<OptionPage> {
        not_here()
    }
}

/// A plane that nothing may be sent on.
#[derive(Debug)]
struct NoWire;

#[async_trait]
impl Http for NoWire {
    async fn send(&self, _: Call) -> Result<Reply> {
        not_here()
    }
}

fn context() -> Context {
    Context {
        http: Arc::new(NoWire),
        clock: Arc::new(SystemClock),
        connection: "org".into(),
        refresh: false,
        memory: None,
    }
}

fn edits(row: &Json) -> Edits {
    row.as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), Edit::Set(serde_json::value::to_raw_value(value).unwrap())))
        .collect()
}

/// A value written exactly like this.
fn exactly(name: &str, text: &str) -> Edits {
    vec![(name.to_owned(), Edit::Set(serde_json::value::RawValue::from_string(text.to_owned()).unwrap()))]
}

fn new_rows(rows: &[Json]) -> Vec<NewRow> {
    rows.iter().map(|row| NewRow { fields: edits(row), marker: None }).collect()
}

fn change(key: &str, row: &Json) -> Change {
    Change { key: Key::text(key), edits: edits(row), if_version: None }
}

/// The type with every kind of field and every write, two rows a batch.
fn writable() -> RecordType {
    let mut record_type = everything();
    let write = WriteCapability::batches_of(2);
    record_type.capability.create = Some(WriteCapability {
        options: json!({"type": "object", "title": "Options", "properties": {
            "sendUpdates": {"type": "string", "title": "Send", "oneOf": [
                {"const": null, "title": "Choose…"}, {"const": "all", "title": "All"}
            ]},
            "autorename": {"type": "boolean", "title": "Rename"}
        }, "additionalProperties": false}),
        ..write.clone()
    });
    record_type.capability.update = Some(write.clone());
    record_type.capability.delete = Some(write.clone());
    record_type.capability.upsert =
        Some(UpsertCapability { write, by: vec![KeyFields::single("External")], match_only: Vec::new() });
    record_type.capability.get = Some(GetCapability { batch_max: 2, by: vec![KeyFields::single("Id")] });
    record_type
}

fn good() -> Json {
    json!({"Name": "n", "Status": "New", "Areas": ["x"]})
}

fn reason<'a>(outcome: &'a Outcome, field: &str) -> Option<&'a str> {
    let error = outcome.error()?;
    error.fields().iter().find(|reason| reason.field == field).map(|reason| reason.message.as_str())
}

/// What a row with this value is told about the field.
async fn told(field: &str, text: &str) -> Option<String> {
    let records = Scripted::new(writable());
    let checked = Checked::new(records, AccessMode::ReadWrite);
    let mut fields = edits(&good());
    fields.retain(|(name, _)| name != field);
    fields.extend(exactly(field, text));
    let rows = [NewRow { fields, marker: None }];
    let outcomes = checked.create(&context(), &rows, &Map::new()).await.unwrap();
    match &outcomes[0] {
        Outcome::Created(_) => None,
        outcome => Some(outcome.error().unwrap().to_string()),
    }
}

#[tokio::test]
async fn a_bad_row_fails_alone_with_a_reason_for_each_field() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let rows = new_rows(&[
        good(),
        json!({"Nmae": "x", "Status": "Nwe", "Areas": ["x"], "Score": 1, "Amount": "a dozen"}),
        good(),
        json!({}),
        good(),
    ]);
    let outcomes = checked.create(&context(), &rows, &Map::new()).await.unwrap();
    let statuses: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(statuses, ["created", "failed", "created", "failed", "created"]);
    assert_eq!(outcomes[2].key(), Some(&Key::text("k1")), "the order is kept");
    assert_eq!(outcomes[4].key(), Some(&Key::text("k0")));
    assert_eq!(records.sent().iter().map(Vec::len).collect::<Vec<_>>(), [2, 1], "batches hold two rows");

    assert_eq!(reason(&outcomes[1], "Nmae"), Some("Thing has no such field; did you mean Name?"));
    assert_eq!(reason(&outcomes[1], "Name"), Some("is required"));
    assert_eq!(reason(&outcomes[1], "Score"), Some("cannot be set: the provider calculates it"));
    assert_eq!(
        reason(&outcomes[1], "Status"),
        Some("\"Nwe\" is not one of its values; did you mean \"New\"?")
    );
    let accepted =
        &outcomes[1].error().unwrap().fields().iter().find(|r| r.field == "Status").unwrap().accepted;
    assert_eq!(accepted, &["New", "Done"]);
    assert_eq!(reason(&outcomes[1], "Amount"), Some("must be a number such as 12.50, and is \"a dozen\""));
    for field in ["Name", "Status", "Areas"] {
        assert_eq!(reason(&outcomes[3], field), Some("is required"));
    }
    let error = outcomes[3].error().unwrap();
    assert_eq!(
        (error.kind(), error.operation(), error.record_type()),
        (ErrorKind::Invalid, Some("create"), Some("Thing"))
    );
}

#[tokio::test]
async fn values_of_every_kind_are_accepted_or_told_the_accepted_form() {
    let long = |count: usize| format!("{:?}", "é".repeat(count));
    let accepted = [
        ("Name", long(80)),
        ("Name", format!("{:?}", "\u{1f600}".repeat(80))),
        ("Active", "false".into()),
        ("Count", "99999999".into()),
        ("Count", "1e3".into()),
        ("Big", "\"-9223372036854775808\"".into()),
        ("Amount", "9999999999999999.99".into()),
        ("Amount", "-0.001".into()),
        ("Amount", "\"12.50\"".into()),
        ("Free", "123456789012345678901234567890.5".into()),
        ("Born", "\"2024-02-29\"".into()),
        ("Seen", "\"2026-01-31T09:30:00.123+02:00\"".into()),
        ("Opens", "\"23:59:59.999Z\"".into()),
        ("Industry", "\"Anything\"".into()),
        ("Priority", "1".into()),
        ("Tags", "[\"a\",\"b\"]".into()),
        ("Icon", "\"aGk=\"".into()),
        ("Extra", "\"{\\\"a\\\":[1]}\"".into()),
        ("OwnerId_type", "\"Group\"".into()),
        ("Address", "{\"country\":\"IT\",\"geo\":{\"lat\":1.5},\"city\":null}".into()),
        ("Aliases", "[\"a\",\"a\"]".into()),
        ("Guests", "[{\"email\":\"a@example.com\",\"reply\":\"yes\"}]".into()),
    ];
    for (field, text) in accepted {
        assert_eq!(told(field, &text).await, None, "{field} = {text}");
    }
    let refused = [
        ("Name", long(81), "has 81 characters; at most 80"),
        ("Name", "12".into(), "must be text"),
        ("Name", "\"\\ud800\"".into(), "not valid Unicode"),
        ("Active", "\"true\"".into(), "must be true or false"),
        ("Count", "1.5".into(), "must be a whole number"),
        ("Count", "100000000".into(), "between 0 and 99999999"),
        ("Big", "12".into(), "written as text"),
        ("Big", "\"99999999999999999999\"".into(), "written as text"),
        ("Amount", "10000000000000000".into(), "at most 16 stand before the point"),
        ("Amount", "1e999999999".into(), "too many digits"),
        ("Amount", "true".into(), "must be a number"),
        ("Amount", "\"+1\"".into(), "must be a number"),
        ("Amount", "\" 1\"".into(), "must be a number"),
        ("Amount", "\"10000000000000000\"".into(), "at most 16 stand before the point"),
        ("Born", "\"2026-02-30\"".into(), "must be a date"),
        ("Born", "\"31.01.2026\"".into(), "must be a date"),
        ("Born", "\"2026-01-31T00:00:00Z\"".into(), "must be a date"),
        ("Seen", "\"2026-01-31T09:30:00\"".into(), "with its offset"),
        ("Seen", "\"2026-01-31\"".into(), "with its offset"),
        ("Opens", "\"24:00\"".into(), "must be a time of day"),
        ("Opens", "\"9:30\"".into(), "must be a time of day"),
        ("Rating", "\"hot\"".into(), "did you mean \\\"Hot\\\"?"),
        ("Priority", "2".into(), "not one of its values"),
        ("Priority", "\"High\"".into(), "must be a whole number"),
        ("Tags", "\"a;b\"".into(), "must be a list"),
        ("Tags", "[\"a\",\"a\"]".into(), "stands twice"),
        ("Tags", "[\"c\"]".into(), "not one of its values"),
        ("Areas", "[]".into(), "an empty list is no value"),
        ("Icon", "\"%%\"".into(), "must be base64"),
        ("Extra", "\"{\"".into(), "this text is not JSON"),
        ("Extra", "{}".into(), "JSON written as text"),
        ("OwnerId_type", "\"Lead\"".into(), "not one of its values"),
        ("Address", "\"Rome\"".into(), "must be an object"),
        ("Address", "{\"city\":\"Rome\"}".into(), "Address.country: is required"),
        ("Address", "{\"country\":\"IT\",\"cty\":\"Rome\"}".into(), "did you mean city?"),
        ("Guests", "[{\"reply\":\"maybe\",\"email\":\"a\"}]".into(), "Guests.reply"),
        ("Closed", "true".into(), "can be set only once the record exists"),
        ("Number", "\"1\"".into(), "the provider numbers it"),
    ];
    for (field, text, expected) in refused {
        let told = told(field, &text).await.unwrap_or_else(|| panic!("{field} = {text} was accepted"));
        assert!(told.contains(expected.replace("\\\"", "\"").as_str()), "{field} = {text}: {told}");
    }
}

#[tokio::test]
async fn a_label_given_for_a_value_is_recognised() {
    let mut picklist = restricted(&["HOT"]);
    picklist.values[0].label = "Very warm".into();
    picklist.values.push(recordport::record::record_type::PicklistValue { active: false, ..choice("COLD") });
    let mut record_type =
        with_fields(vec![open("Rating", recordport::record::FieldType::Picklist(picklist))]);
    record_type.capability.create = Some(WriteCapability::batches_of(10));
    let checked = Checked::new(Scripted::new(record_type), AccessMode::ReadWrite);
    let rows =
        new_rows(&[json!({"Rating": "very warm"}), json!({"Rating": "COLD"}), json!({"Rating": "HOT"})]);
    let outcomes = checked.create(&context(), &rows, &Map::new()).await.unwrap();
    assert_eq!(
        reason(&outcomes[0], "Rating"),
        Some("\"very warm\" is not one of its values; it is the label of \"HOT\"")
    );
    assert_eq!(reason(&outcomes[1], "Rating"), Some("\"COLD\" can no longer be chosen"));
    assert_eq!(outcomes[2].status(), "created");
}

#[tokio::test]
async fn nulls_are_dropped_on_create_and_clear_on_update() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let mut row = good();
    row["Rating"] = Json::Null;
    row["Amount"] = Json::Null;
    checked.create(&context(), &new_rows(&[row]), &Map::new()).await.unwrap();
    let mut row = change("1", &json!({"Rating": null, "Notes": "x"}));
    row.edits.push(("Tags".into(), Edit::List { add: vec![json!("a")], remove: Vec::new() }));
    let rows = [row, change("2", &json!({"Active": null}))];
    let outcomes = checked.update(&context(), &rows, &Map::new()).await.unwrap();
    assert_eq!(
        records.sent(),
        [
            vec!["Name=\"n\" Status=\"New\" Areas=[\"x\"]".to_owned()],
            vec!["Rating cleared Notes=\"x\" Tags+1-0".to_owned()]
        ]
    );
    assert_eq!(reason(&outcomes[1], "Active"), Some("cannot be cleared"));
}

#[tokio::test]
async fn number_text_reaches_the_provider_as_it_was_written() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let row =
        Change { key: Key::text("1"), edits: exactly("Amount", "9007199254740993.10"), if_version: None };
    checked.update(&context(), &[row], &Map::new()).await.unwrap();
    assert_eq!(records.sent(), [["Amount=9007199254740993.10"]]);
}

#[tokio::test]
async fn decimals_given_as_text_reach_the_provider_as_numbers() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let mut edits = exactly("Amount", "\"9007199254740993.10\"");
    edits.extend(exactly("Address", r#"{"country":"IT","geo":{"lat":"1.50"}}"#));
    edits.extend(exactly("Notes", "\"12\""));
    let row = Change { key: Key::text("1"), edits, if_version: None };
    let outcomes = checked.update(&context(), &[row], &Map::new()).await.unwrap();
    assert!(outcomes[0].error().is_none(), "{outcomes:?}");
    assert_eq!(
        records.sent(),
        [[r#"Amount=9007199254740993.10 Address={"country":"IT","geo":{"lat":1.50}} Notes="12""#]]
    );
}

/// What is told of a field when a row is created, updated or upserted.
async fn judged(
    record_type: &RecordType,
    purpose: &str,
    row: &Json,
    field: &str,
) -> Option<(String, Vec<String>)> {
    let checked = Checked::new(Scripted::new(record_type.clone()), AccessMode::ReadWrite);
    let outcomes = match purpose {
        "create" => checked.create(&context(), &new_rows(std::slice::from_ref(row)), &Map::new()).await,
        _ => checked.update(&context(), &[change("1", row)], &Map::new()).await,
    };
    let outcomes = outcomes.unwrap();
    let error = outcomes[0].error()?;
    let reason = error.fields().iter().find(|reason| reason.field == field);
    let reason = reason.unwrap_or_else(|| panic!("{row}: {error}"));
    Some((reason.message.clone(), reason.accepted.clone()))
}

#[tokio::test]
async fn a_dependent_value_is_judged_beside_the_value_that_controls_it() {
    let mut record_type = dependent();
    let write = WriteCapability::batches_of(2);
    record_type.capability.create = Some(write.clone());
    record_type.capability.update = Some(write);
    let told = |purpose: &'static str, row: Json, field: &'static str| {
        let record_type = record_type.clone();
        async move { judged(&record_type, purpose, &row, field).await }
    };
    for purpose in ["create", "update"] {
        // One value stands twice, for two controlling values.
        for country in ["US", "GE"] {
            assert_eq!(told(purpose, json!({"Country": country, "State": "Georgia"}), "State").await, None);
        }
        let (message, accepted) =
            told(purpose, json!({"State": "Georgia", "Country": "DE"}), "State").await.unwrap();
        assert_eq!(message, "\"Georgia\" cannot be chosen while Country is \"DE\"");
        assert_eq!(accepted, ["Bavaria"]);
        let row = json!({"Country": "VA", "State": "Texas"});
        assert!(told(purpose, row, "State").await.unwrap().1.is_empty());
        let row = json!({"Country": null, "State": "Texas"});
        let (message, _) = told(purpose, row, "State").await.unwrap();
        assert_eq!(message, "\"Texas\" cannot be chosen without a value of Country");
        assert_eq!(told(purpose, json!({"Country": "US", "Zones": ["East", "West"]}), "Zones").await, None);
        let (message, accepted) =
            told(purpose, json!({"Country": "DE", "Zones": ["West", "East"]}), "Zones").await.unwrap();
        assert!(message.starts_with("\"East\" cannot be chosen"), "{message}");
        assert_eq!(accepted, ["West"]);
        assert_eq!(told(purpose, json!({"Country": "DE", "State": null}), "State").await, None);
    }
    // Beside what an existing record holds, only the provider can judge.
    assert_eq!(told("update", json!({"State": "Texas"}), "State").await, None);
    assert!(told("create", json!({"State": "Texas"}), "State").await.is_some());

    // A default of the provider counts as the value; one that is not known here is the provider's to judge.
    let country = record_type.fields.iter().position(|field| field.name == "Country").unwrap();
    record_type.fields[country].default = Some(json!("US"));
    assert_eq!(judged(&record_type, "create", &json!({"State": "Texas"}), "State").await, None);
    record_type.fields[country].default = None;
    record_type.fields[country].defaulted_on_create = true;
    assert_eq!(judged(&record_type, "create", &json!({"State": "Texas"}), "State").await, None);
}

#[tokio::test]
async fn what_an_update_may_not_touch_is_told() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let twice = Change {
        key: Key::text("1"),
        edits: [edits(&json!({"Notes": "a"})), edits(&json!({"Notes": "b"}))].concat(),
        if_version: None,
    };
    let mut added = change("1", &json!({}));
    added.edits.push(("Notes".into(), Edit::List { add: vec![json!("a")], remove: Vec::new() }));
    let mut versioned = change("1", &json!({"Notes": "a"}));
    versioned.if_version = Some("v1".into());
    let rows = [
        change("1", &json!({"Id": "2"})),
        change("1", &json!({"Origin": "x"})),
        twice,
        added,
        versioned,
        Change { key: Key::text(""), edits: Vec::new(), if_version: None },
    ];
    let outcomes = checked.update(&context(), &rows, &Map::new()).await.unwrap();
    assert!(reason(&outcomes[0], "Id").unwrap().contains("is the key"));
    assert_eq!(reason(&outcomes[1], "Origin"), Some("can be set only when the record is created"));
    assert_eq!(reason(&outcomes[2], "Notes"), Some("stands twice in this row"));
    assert!(reason(&outcomes[3], "Notes").unwrap().contains("holds one value"));
    assert_eq!(outcomes[4].error().unwrap().kind(), ErrorKind::Unsupported);
    assert_eq!(outcomes[5].error().unwrap().kind(), ErrorKind::Invalid);
    assert!(records.sent().is_empty());
}

#[tokio::test]
async fn upsert_goes_by_a_key_that_the_type_offers() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let by = KeyFields::single("External");
    let rows = [
        change("e1", &json!({"External": "e1", "Notes": "x"})),
        change("e2", &json!({"External": "other", "Notes": "x"})),
    ];
    let outcomes = checked.upsert(&context(), &by, &rows, &Map::new()).await.unwrap();
    assert_eq!(records.sent(), [["Notes=\"x\""]]);
    assert!(reason(&outcomes[1], "External").unwrap().contains("differs from the key"));
    let error = checked.upsert(&context(), &KeyFields::single("Name"), &rows, &Map::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("External"), "{error}");
}

#[tokio::test]
async fn what_the_capability_lacks_is_refused_by_name() {
    let checked = Checked::new(Scripted::new(everything()), AccessMode::ReadWrite);
    let cx = context();
    let (none, by) = (Map::new(), KeyFields::single("Id"));
    let errors = [
        ("created", checked.create(&cx, &new_rows(&[good()]), &none).await.unwrap_err()),
        ("updated", checked.update(&cx, &[], &none).await.unwrap_err()),
        ("upserted", checked.upsert(&cx, &by, &[], &none).await.unwrap_err()),
        ("deleted", checked.delete(&cx, &[], &none).await.unwrap_err()),
        ("read by key", checked.get(&cx, &by, &[Key::text("1")], &[]).await.unwrap_err()),
        ("followed", checked.changes(&cx, None, &[]).await.unwrap_err()),
        ("searched", {
            let record_type = Arc::new(everything());
            let resolved = Resolved { record_type, fields: Default::default() };
            checked.plan(&Query::all(jiff::Timestamp::UNIX_EPOCH), &resolved).unwrap_err()
        }),
    ];
    for (word, error) in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{word}: {error}");
        assert!(error.to_string().contains(word) && error.to_string().contains("Thing"), "{word}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_only_reads_refuses_every_write() {
    let records = Scripted::new(writable());
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadOnly);
    let cx = context();
    let none = Map::new();
    for error in [
        checked.create(&cx, &new_rows(&[good()]), &none).await.unwrap_err(),
        checked.update(&cx, &[change("1", &json!({"Notes": "x"}))], &none).await.unwrap_err(),
        checked
            .delete(&cx, &[VersionedKey { key: Key::text("1"), if_version: None }], &none)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(error.advice().unwrap().contains("read-write"), "{error}");
    }
    assert!(records.sent().is_empty());
    assert!(checked.get(&cx, &KeyFields::single("Id"), &[Key::text("1")], &[]).await.is_ok());
}

#[tokio::test]
async fn unknown_options_are_refused_with_the_nearest_name() {
    let checked = Checked::new(Scripted::new(writable()), AccessMode::ReadWrite);
    for (options, expected) in [
        (json!({"sendUpdate": "all"}), "did you mean sendUpdates?"),
        (json!({"sendUpdates": "some"}), "(accepted: all)"),
        (json!({"sendUpdates": null}), "must be string"),
        (json!({"autorename": "yes"}), "must be boolean"),
    ] {
        let options = options.as_object().unwrap();
        let error = checked.create(&context(), &new_rows(&[good()]), options).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let options = json!({"sendUpdates": "all", "autorename": true});
    checked.create(&context(), &new_rows(&[good()]), options.as_object().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_failed_batch_marks_only_its_own_rows() {
    let failed = || Err(Error::new(ErrorKind::Unavailable, "busy").with_status(503));
    let created = |keys: &[&str]| Ok(keys.iter().map(|key| Outcome::Created(Key::text(*key))).collect());
    let records = Scripted::answering(writable(), vec![created(&["a", "b"]), failed(), created(&["e"])]);
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let rows = new_rows(&vec![good(); 5]);
    let outcomes = checked.create(&context(), &rows, &Map::new()).await.unwrap();
    let statuses: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(statuses, ["created", "created", "failed", "failed", "created"]);
    assert_eq!(outcomes[4].key(), Some(&Key::text("e")));
}

#[tokio::test]
async fn a_refusal_that_concerns_all_stops_the_rest() {
    let unauthorized = || Err(Error::new(ErrorKind::Unauthorized, "the session ended"));
    let records = Scripted::answering(
        writable(),
        vec![Ok(vec![Outcome::Created(Key::text("a")), Outcome::Created(Key::text("b"))]), unauthorized()],
    );
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let rows = new_rows(&vec![good(); 6]);
    let outcomes = checked.create(&context(), &rows, &Map::new()).await.unwrap();
    let statuses: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(statuses, ["created", "created", "failed", "failed", "failed", "failed"]);
    assert_eq!(records.sent().len(), 2, "nothing is sent after it");
    let last = outcomes[5].error().unwrap();
    assert_eq!((last.kind(), last.message()), (ErrorKind::Unauthorized, "not sent: the session ended"));

    let records = Scripted::answering(writable(), vec![unauthorized()]);
    let checked = Checked::new(records, AccessMode::ReadWrite);
    let error = checked.create(&context(), &rows, &Map::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "nothing was written: the whole call fails");
}

#[tokio::test]
async fn a_dry_run_asks_for_every_batch() {
    let dry = || Err(Error::new(ErrorKind::DryRun, "recorded"));
    let records = Scripted::answering(writable(), vec![dry(), dry(), dry()]);
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let error = checked.create(&context(), &new_rows(&vec![good(); 5]), &Map::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DryRun);
    assert_eq!(records.sent().len(), 3);
}

#[tokio::test]
async fn outcomes_that_cannot_be_told_apart_are_unknown() {
    let records = Scripted::answering(writable(), vec![Ok(vec![Outcome::Created(Key::text("a"))])]);
    let checked = Checked::new(records, AccessMode::ReadWrite);
    let outcomes = checked.create(&context(), &new_rows(&vec![good(); 3]), &Map::new()).await.unwrap();
    let statuses: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    assert_eq!(statuses, ["unknown", "unknown", "created"]);
    assert_eq!(outcomes[0].error().unwrap().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn reading_by_key_is_split_and_checked() {
    let mut record_type = writable();
    record_type.capability.update =
        Some(WriteCapability { version: VersionSupport::Exact, ..WriteCapability::batches_of(2) });
    let records = Scripted::new(record_type);
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadOnly);
    let keys: Vec<Key> = (0..5).map(|at| Key::text(at.to_string())).collect();
    let found = checked.get(&context(), &KeyFields::single("Id"), &keys, &[]).await.unwrap();
    let order: Vec<String> =
        found.iter().map(|found| found.as_ref().unwrap_err().message().to_owned()).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4"]);
    assert_eq!(records.sent().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let error = checked.get(&context(), &KeyFields::single("Name"), &keys, &[]).await.unwrap_err();
    assert!(error.to_string().contains("It can be found by: Id"), "{error}");
}

#[tokio::test]
async fn batches_of_creates_go_together_unless_they_share_a_parent() {
    let most = |parents: [&'static str; 5]| async move {
        let mut record_type = writable();
        let create = record_type.capability.create.as_mut().unwrap();
        (create.at_once, create.apart_by) = (3, vec!["OwnerId".to_owned()]);
        let records = Scripted::new(record_type);
        let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
        let rows: Vec<Json> = parents
            .iter()
            .flat_map(|parent| {
                let mut row = good();
                row["OwnerId"] = json!(parent);
                [row.clone(), row]
            })
            .collect();
        let outcomes = checked.create(&context(), &new_rows(&rows), &Map::new()).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.status() == "created"));
        assert_eq!(records.sent().len(), 5);
        records.under_way.lock().unwrap().1
    };
    assert_eq!(most(["a", "b", "c", "d", "e"]).await, 3);
    assert_eq!(most(["a", "a", "a", "a", "a"]).await, 1);
    assert_eq!(most(["a", "a", "b", "b", "a"]).await, 2);
}

#[tokio::test]
async fn calls_beside_each_other_share_the_bound_and_keep_parents_apart() {
    let mut record_type = writable();
    let create = record_type.capability.create.as_mut().unwrap();
    (create.at_once, create.apart_by) = (2, vec!["OwnerId".to_owned()]);
    let records = Scripted::new(record_type);
    let checked = Checked::new(Arc::clone(&records) as _, AccessMode::ReadWrite);
    let row = |parent: &str| {
        let mut row = good();
        row["OwnerId"] = json!(parent);
        new_rows(&[row])
    };
    let (cx, none) = (context(), Map::new());
    let (a, b, c, d) = (row("a"), row("b"), row("c"), row("d"));
    let all = tokio::join!(
        checked.create(&cx, &a, &none),
        checked.create(&cx, &b, &none),
        checked.create(&cx, &c, &none),
        checked.create(&cx, &d, &none)
    );
    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
    assert_eq!(records.under_way.lock().unwrap().1, 2);
    let same = tokio::join!(checked.create(&cx, &a, &none), checked.create(&cx, &a, &none));
    assert!(same.0.is_ok() && same.1.is_ok());
    assert_eq!(*records.under_way.lock().unwrap(), (0, 2));
}
