//! The cases. Each returns whether it applied to the type; what it finds wrong panics.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use recordport::error::ErrorKind;
use recordport::provider::changes::Feed;
use recordport::provider::{
    Change, ChangeKind, Edit, Edits, NewRow, Outcome, Records, VersionedKey, WriteOptions,
};
use recordport::record::record_type::{Field, FieldType};
use recordport::record::{Checkpoint, Key, KeyFields, RecordType, TypeName};
use serde_json::{Value, json};

use super::subject::Subject;
use super::values;

type Running = Pin<Box<dyn Future<Output = bool> + Send>>;

pub(super) struct Case {
    pub(super) sentence: &'static str,
    pub(super) run: fn(Arc<Subject>, TypeName) -> Running,
}

macro_rules! cases {
    ($($sentence:literal => $function:ident,)*) => {
        pub(super) const ALL: &[Case] = &[
            $(Case { sentence: $sentence, run: |subject, name| Box::pin($function(subject, name)) },)*
        ];
    };
}

cases! {
    "created is found once over many pages" => created_is_found_once,
    "an empty page with a next cursor goes on" => an_empty_page_goes_on,
    "a stored cursor resumes the rest" => a_stored_cursor_resumes,
    "dropping the stream stops requests" => dropping_stops_requests,
    "a read record matches the read schema" => reads_match_the_schema,
    "the required set of the create schema is the provider's" => required_set_is_true,
    "every field that a create takes reads back as it was written" => everything_round_trips,
    "the ends of every field's range round-trip" => extremes_round_trip,
    "projection returns only what was asked" => projection_is_exact,
    "update leaves other fields" => update_leaves_others,
    "null clears, absent keeps" => null_clears,
    "a version is refused where it cannot be checked" => version_is_honest,
    "upsert twice is one record" => upsert_twice_is_one,
    "one bad row does not fail the batch" => bad_row_is_alone,
    "nulls in a create are as if absent" => nulls_are_absent,
    "a batch over the limit is split" => big_batches_are_split,
    "deleted is gone, and deleting again says deleted" => delete_is_final,
    "what the type cannot do is refused before the wire" => unsupported_stays_here,
    "Retry-After is honoured" => retry_after_is_honoured,
    "an expired token is refreshed once under 100 callers" => one_refresh_for_all,
    "an ambiguous create is not repeated" => ambiguous_create_is_unknown,
    "changes reports created, updated, deleted" => changes_are_told,
    "a feed without progress repeats nothing" => idle_feed_is_silent,
    "a feed recovers from an expired checkpoint" => expired_feed_recovers,
    "a feed refuses a checkpoint that is not its own" => foreign_checkpoint_is_refused,
    "every error names provider, type, operation and code" => errors_have_context,
}

async fn create(records: &Arc<dyn Records>, subject: &Subject, rows: Vec<Edits>) -> Vec<Outcome> {
    let rows: Vec<NewRow> = rows.into_iter().map(|fields| NewRow { fields, marker: None }).collect();
    records.create(&subject.cx, &rows, &WriteOptions::new()).await.unwrap()
}

async fn create_one(records: &Arc<dyn Records>, subject: &Subject, fields: Edits) -> Key {
    let outcomes = create(records, subject, vec![fields]).await;
    match &outcomes[0] {
        Outcome::Created(key) => key.clone(),
        other => panic!("not created: {other:?}"),
    }
}

async fn read(records: &Arc<dyn Records>, subject: &Subject, key: &Key) -> Value {
    let by = records.record_type().key.clone();
    let mut found = records.get(&subject.cx, &by, std::slice::from_ref(key), &[]).await.unwrap();
    found.remove(0).unwrap().expect("the record exists").to_value().unwrap()
}

fn writable(record_type: &RecordType) -> bool {
    record_type.capability.create.is_some() && record_type.capability.get.is_some()
}

async fn created_is_found_once(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let key = create_one(&records, &subject, values::required_only(&form, &known)).await;
    let page = record_type.capability.search.as_ref().unwrap().page_min.max(100);
    let found = subject.search(&records, None, &[], Some(page)).await;
    if found.len() <= usize::try_from(page).unwrap() {
        return false;
    }
    assert_eq!(found.iter().filter(|record| record.key == key).count(), 1);
    let keys: BTreeSet<&Key> = found.iter().map(|record| &record.key).collect();
    assert_eq!(keys.len(), found.len(), "no record twice");
    assert_eq!(keys.len(), subject.stored(&name).await, "no record missing");
    true
}

async fn an_empty_page_goes_on(subject: Arc<Subject>, name: TypeName) -> bool {
    if !subject.is_paged(&name) {
        return false;
    }
    let records = subject.open(&name).await;
    let all = subject.search(&records, None, &[], Some(200)).await.len();
    subject
        .fault(json!({"path": subject.page_path(&name), "kind": "emptypage", "page": 1, "times": 1}))
        .await;
    assert_eq!(subject.search(&records, None, &[], Some(200)).await.len(), all);
    true
}

async fn a_stored_cursor_resumes(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let plan = subject.plan(&records, None, &[] as &[&str], Some(200)).await;
    let first = records.page(&subject.cx, &plan, None).await.unwrap();
    let Some(cursor) = first.next else { return false };
    let cursor = recordport::record::Cursor::parse(&cursor.to_text()).unwrap();
    let mut keys: Vec<Key> = first.records.into_iter().map(|record| record.unwrap().key).collect();
    let again = subject.open(&name).await;
    let mut at = Some(cursor);
    while let Some(cursor) = at {
        let page = again.page(&subject.cx, &plan, Some(&cursor)).await.unwrap();
        keys.extend(page.records.into_iter().map(|record| record.unwrap().key));
        at = page.next;
    }
    let whole = subject.search(&records, None, &[], Some(200)).await;
    assert_eq!(keys, whole.into_iter().map(|record| record.key).collect::<Vec<_>>());
    let other = subject.plan(&records, None, &[&record_key_field(&records)], Some(200)).await;
    let page = records.page(&subject.cx, &plan, None).await.unwrap();
    let refused = records.page(&subject.cx, &other, page.next.as_ref()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    true
}

fn record_key_field(records: &Arc<dyn Records>) -> String {
    records.record_type().key.0[0].clone()
}

async fn dropping_stops_requests(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let total = subject.search(&records, None, &[], Some(200)).await.len();
    let least = records.record_type().capability.search.as_ref().unwrap().page_min;
    let page = least.max(u32::try_from(total / 4).unwrap().min(200)).max(1);
    if !subject.is_paged(&name) || total <= 2 * page as usize {
        return false;
    }
    let each = subject.plan(&records, None, &[] as &[&str], Some(page)).await.requests_per_page;
    subject.forget_requests().await;
    subject.first_record_then_drop(&records, page).await;
    let requests = subject.requests().await.len();
    let most = 2 * usize::try_from(each).unwrap();
    assert!(requests <= most, "one page and at most one read ahead, not {requests} requests");
    true
}

async fn reads_match_the_schema(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let schema = subject.read_schema(records.record_type());
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let found = subject.search(&records, None, &[], None).await;
    assert!(!found.is_empty());
    for record in &found {
        let value = record.to_value().unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("{}: {error} at {}", record.key, error.instance_path());
        }
        let members = value.as_object().unwrap();
        let wanted = schema["properties"].as_object().unwrap();
        let (read, wanted): (Vec<&String>, Vec<&String>) =
            (members.keys().collect(), wanted.keys().collect());
        assert_eq!(read, wanted, "properties in schema order, none missing");
    }
    true
}

async fn required_set_is_true(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let enough = values::required_only(&form, &known);
    create_one(&records, &subject, enough.clone()).await;
    // Past the checks of this side: the provider itself must refuse each row that lacks one required field.
    let bare = subject.open_unchecked(&name).await;
    for missing in enough.iter().map(|(field, _)| field) {
        let fields: Edits = enough.iter().filter(|(field, _)| field != missing).cloned().collect();
        let outcome = create(&bare, &subject, vec![fields]).await.remove(0);
        let error = outcome.error().unwrap_or_else(|| panic!("created without {missing}"));
        assert!(error.fields().iter().any(|reason| reason.field == *missing), "{missing} is named: {error}");
    }
    true
}

async fn everything_round_trips(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let row = subject.everything(&form, &known);
    let key = create_one(
        &records,
        &subject,
        row.iter().map(|(field, value)| (field.clone(), values::set(value))).collect(),
    )
    .await;
    let stored = read(&records, &subject, &key).await;
    for (property, sent) in &row {
        let field = form.field(property).unwrap();
        assert!(
            subject.reads_otherwise(field) || values::same(field, sent, &stored[property]),
            "{property}: sent {sent}, read {}",
            stored[property]
        );
    }
    true
}

async fn extremes_round_trip(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) || record_type.capability.update.is_none() {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let key = create_one(&records, &subject, values::required_only(&form, &known)).await;
    let mut tried = 0;
    let free = |field: &&Field| {
        field.updatable && field.controlled_by.is_none() && subject.known_value(&form, field).is_none()
    };
    for field in form.fields.iter().filter(free) {
        for text in values::extremes(field).into_iter().filter(|text| subject.takes(field, text)) {
            let change = Change {
                key: key.clone(),
                edits: vec![(field.name.clone(), values::set_text(&text))],
                if_version: None,
            };
            let outcome =
                records.update(&subject.cx, &[change], &WriteOptions::new()).await.unwrap().remove(0);
            // A value that the record has already may need no writing.
            let arrived = matches!(outcome, Outcome::Updated(_) | Outcome::Unchanged(_));
            assert!(arrived, "{}: {text}: {outcome:?}", field.name);
            let read = read(&records, &subject, &key).await;
            let sent: Value = serde_json::from_str(&text).unwrap();
            assert!(
                subject.reads_otherwise(field) || values::same(field, &sent, &read[&field.name]),
                "{}: sent {text}, read {}",
                field.name,
                read[&field.name]
            );
            tried += 1;
        }
    }
    tried > 3
}

async fn projection_is_exact(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    let some: Vec<&str> =
        record_type.fields.iter().map(|field| field.name.as_str()).skip(1).step_by(3).take(3).collect();
    for record in subject.search(&records, None, &some, None).await.into_iter().take(20) {
        let value = record.to_value().unwrap();
        let found: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(found, some);
    }
    true
}

async fn update_leaves_others(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) || record_type.capability.update.is_none() {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let row = subject.everything(&form, &known);
    let key = create_one(
        &records,
        &subject,
        row.iter().map(|(field, value)| (field.clone(), values::set(value))).collect(),
    )
    .await;
    let before = read(&records, &subject, &key).await;
    let (field, changed) = subject.plain_edit(&record_type);
    let change =
        Change { key: key.clone(), edits: vec![(field.clone(), values::set(&changed))], if_version: None };
    records.update(&subject.cx, &[change], &WriteOptions::new()).await.unwrap();
    let after = read(&records, &subject, &key).await;
    assert_eq!(after[&field], changed);
    let twin = subject.twin(&field);
    for (property, value) in before.as_object().unwrap() {
        // The type of a polymorphic reference is no field of its own.
        let Some(described) = record_type.field(property) else { continue };
        let follows = described.system || described.calculated || !described.updatable || *property == field;
        let follows = follows || twin.as_ref() == Some(property);
        assert!(follows || after[property] == *value, "{property} was {value}, is {}", after[property]);
    }
    true
}

async fn null_clears(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) || record_type.capability.update.is_none() {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let row = subject.everything(&form, &known);
    let key = create_one(
        &records,
        &subject,
        row.iter().map(|(field, value)| (field.clone(), values::set(value))).collect(),
    )
    .await;
    let clearable: Vec<String> = row
        .keys()
        .filter(|property| {
            let field = form.field(property).unwrap();
            let demanded = !field.nullable || field.required_on_create;
            !demanded && field.updatable && !field.defaulted_on_create
        })
        .cloned()
        .collect();
    if clearable.is_empty() {
        return false;
    }
    let (cleared, kept) = clearable.split_at((clearable.len() / 2).max(1));
    let before = read(&records, &subject, &key).await;
    let edits = cleared.iter().map(|property| (property.clone(), Edit::Clear)).collect();
    let outcome = records
        .update(&subject.cx, &[Change { key: key.clone(), edits, if_version: None }], &WriteOptions::new())
        .await
        .unwrap()
        .remove(0);
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
    let after = read(&records, &subject, &key).await;
    for property in cleared {
        let field = record_type.field(property).unwrap();
        let empty = if field.field_type.is_multi_value() { json!([]) } else { Value::Null };
        assert_eq!(after[property], empty, "{property} is cleared");
    }
    for property in kept {
        assert_eq!(after[property], before[property], "{property} is kept");
    }
    true
}

async fn version_is_honest(subject: Arc<Subject>, name: TypeName) -> bool {
    use recordport::record::capability::VersionSupport;
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    let Some(update) = &record_type.capability.update else { return false };
    let some = subject.search(&records, None, &[], None).await.remove(0);
    let change = |version: &str, text: &str| {
        let (field, value) = subject.versioned_edit(&record_type, text);
        Change {
            key: some.key.clone(),
            edits: vec![(field, values::set(&value))],
            if_version: Some(version.to_owned()),
        }
    };
    let mut old = "1999-01-01T00:00:00Z".to_owned();
    if update.version == VersionSupport::Exact {
        // The version that was read is stale once the record has changed.
        old = some.version.clone().expect("a record has its version");
        // A text that it has already would change nothing.
        let text = format!("fresh {}", values::next_number());
        let fresh = records.update(&subject.cx, &[change(&old, &text)], &WriteOptions::new()).await.unwrap();
        assert!(matches!(fresh[0], Outcome::Updated(_)), "{fresh:?}");
    }
    subject.forget_requests().await;
    let stale =
        records.update(&subject.cx, &[change(&old, "stale")], &WriteOptions::new()).await.unwrap().remove(0);
    let error = stale.error().expect("a stale or unchecked version is not written over");
    match update.version {
        VersionSupport::None => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(subject.writes().await.is_empty(), "nothing was sent");
        }
        VersionSupport::Exact | VersionSupport::OneSecond => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}")
        }
    }
    true
}

async fn upsert_twice_is_one(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    let Some(upsert) = &record_type.capability.upsert else { return false };
    let Some(by) = subject.insertable_key(&record_type, &upsert.by) else { return false };
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let key = Key::text(format!("key {}/ü", values::next_number()));
    let row = |_: u32| Change {
        key: key.clone(),
        edits: values::required_only(&form, &known)
            .into_iter()
            .filter(|(field, _)| !by.0.contains(field))
            .collect(),
        if_version: None,
    };
    let before = subject.stored(&name).await;
    let first = records.upsert(&subject.cx, &by, &[row(1)], &WriteOptions::new()).await.unwrap().remove(0);
    let second = records.upsert(&subject.cx, &by, &[row(2)], &WriteOptions::new()).await.unwrap().remove(0);
    assert!(matches!(first, Outcome::Created(_)), "{first:?}");
    assert!(matches!(second, Outcome::Updated(_)), "{second:?}");
    assert_eq!(first.key(), second.key());
    assert_eq!(subject.stored(&name).await, before + 1);
    let found = records
        .get(&subject.cx, &by, &[key], &[])
        .await
        .unwrap()
        .remove(0)
        .unwrap()
        .expect("found by its key");
    assert_eq!(Some(&found.key), first.key());
    true
}

async fn bad_row_is_alone(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let good = || values::required_only(&form, &known);
    let mut unknown_field = good();
    unknown_field.push(("NoSuchField".into(), values::set(&json!(1))));
    let outcomes = create(&records, &subject, vec![good(), unknown_field, good(), Vec::new(), good()]).await;
    let words: Vec<&str> = outcomes.iter().map(Outcome::status).collect();
    let lone = if good().is_empty() { "created" } else { "failed" };
    assert_eq!(words, ["created", "failed", "created", lone, "created"]);
    let error = outcomes[1].error().unwrap();
    assert_eq!(error.fields()[0].field, "NoSuchField", "{error}");
    true
}

async fn nulls_are_absent(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let plain = values::required_only(&form, &known);
    let mut padded = values::renewed(&form, &plain, &known, |field| subject.is_unique(field));
    for field in record_type.fields.iter().filter(|field| field.createable && !field.required_on_create) {
        // What the form demands is there already.
        if padded.iter().all(|(name, _)| *name != field.name) {
            padded.push((field.name.clone(), Edit::Clear));
        }
    }
    let keys = [create_one(&records, &subject, plain).await, create_one(&records, &subject, padded).await];
    let (first, second) =
        (read(&records, &subject, &keys[0]).await, read(&records, &subject, &keys[1]).await);
    let comparable = |field: &&Field| field.createable && !subject.is_unique(field) && !field.auto_number;
    for field in record_type.fields.iter().filter(comparable) {
        let own = |at: usize, value: &Value| value.as_str() == Some(keys[at].to_string().as_str());
        // A handle is each record's own, and a moment is that of each write.
        let moment = field.defaulted_on_create && matches!(field.field_type, FieldType::Instant);
        if moment || subject.reads_otherwise(field) {
            continue;
        }
        let to_itself = own(0, &first[&field.name]) && own(1, &second[&field.name]);
        assert!(
            to_itself || first[&field.name] == second[&field.name],
            "{}: {} and {}",
            field.name,
            first[&field.name],
            second[&field.name]
        );
    }
    true
}

async fn big_batches_are_split(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    let Some(capability) = record_type.capability.create.as_ref() else { return false };
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let count = capability.batch_max * 2 + 3;
    subject.forget_requests().await;
    let row = || subject.fresh(&form, values::required_only(&form, &known));
    let rows = (0..count).map(|_| row()).collect();
    let outcomes = create(&records, &subject, rows).await;
    assert_eq!(outcomes.len(), count);
    let keys: BTreeSet<&Key> = outcomes.iter().filter_map(Outcome::key).collect();
    assert_eq!(keys.len(), count, "each row has a key of its own");
    let requests = count.div_ceil(capability.batch_max);
    assert_eq!(subject.writes().await.len(), requests, "as many requests as needed");
    true
}

async fn delete_is_final(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) || record_type.capability.delete.is_none() {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let key = create_one(&records, &subject, values::required_only(&form, &known)).await;
    for _ in 0..2 {
        let row = VersionedKey { key: key.clone(), if_version: None };
        let outcome = records.delete(&subject.cx, &[row], &WriteOptions::new()).await.unwrap().remove(0);
        assert!(matches!(outcome, Outcome::Deleted(_)), "{outcome:?}");
    }
    let by = record_type.key.clone();
    assert!(records.get(&subject.cx, &by, &[key], &[]).await.unwrap().remove(0).unwrap().is_none());
    true
}

async fn unsupported_stays_here(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    subject.forget_requests().await;
    let mut refused = 0;
    let row = NewRow { fields: Vec::new(), marker: None };
    let mut options = WriteOptions::new();
    options.insert("noSuchOption".into(), json!(true));
    if record_type.capability.create.is_some() {
        let error = records.create(&subject.cx, &[row], &options).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{error}");
        refused += 1;
    } else {
        let error = records.create(&subject.cx, &[row], &WriteOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        refused += 1;
    }
    if record_type.capability.changes.is_none() {
        let error = records.changes(&subject.cx, None, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        refused += 1;
    }
    // A field that is no key of the type, whether it has an upsert or not.
    let keys = record_type.capability.upsert.as_ref().map(|upsert| upsert.by.as_slice()).unwrap_or_default();
    let fields = record_type.fields.iter().map(|field| KeyFields::single(field.name.as_str()));
    let by = fields.into_iter().find(|by| !keys.contains(by)).expect("a field that is no key");
    let row = Change { key: Key::text("x"), edits: Vec::new(), if_version: None };
    let error = records.upsert(&subject.cx, &by, &[row], &WriteOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    for key in keys {
        assert!(error.advice().is_some_and(|advice| advice.contains(&key.to_string())), "{error:?}");
    }
    assert!(refused > 0);
    assert!(subject.requests().await.is_empty(), "nothing was sent");
    true
}

async fn retry_after_is_honoured(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    subject
        .fault(json!({"path": subject.page_path(&name), "kind": "429", "times": 1, "retry_after": "7"}))
        .await;
    let before = subject.waits().len();
    assert!(!subject.search(&records, None, &[], None).await.is_empty());
    let waited: std::time::Duration = subject.waits()[before..].iter().sum();
    assert!(waited.as_secs() >= 7, "waited {waited:?}");
    true
}

async fn one_refresh_for_all(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let some = subject.search(&records, None, &[], None).await.remove(0).key;
    let by = records.record_type().key.clone();
    subject.expire_tokens().await;
    subject.forget_requests().await;
    let callers = (0..100).map(|_| records.get(&subject.cx, &by, std::slice::from_ref(&some), &[]));
    for answer in futures::future::join_all(callers).await {
        assert!(answer.unwrap().remove(0).unwrap().is_some());
    }
    assert_eq!(subject.token_requests().await, 1);
    true
}

async fn ambiguous_create_is_unknown(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    if !writable(&record_type) {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    for kind in ["drop_after_commit", "503_after_commit"] {
        // With the types of references told, nothing but the create itself is sent.
        let required = subject.fresh(&form, values::required_only(&form, &known));
        let fields = values::with_types(&form, required, &known);
        let row = NewRow { fields, marker: None };
        let before = subject.stored(&name).await;
        subject
            .fault(json!({"method": "POST", "path": subject.write_path(&name), "kind": kind, "times": 1}))
            .await;
        let outcome = records
            .create(&subject.cx, std::slice::from_ref(&row), &WriteOptions::new())
            .await
            .unwrap()
            .remove(0);
        // A row that is known by its own values is looked for.
        let create = record_type.capability.create.as_ref().unwrap();
        let marked = create.marker && row.fields.iter().any(|(field, _)| create.marks.contains(field));
        let honest = match outcome.status() {
            "created" => marked || subject.repeats_creates(),
            // It is there, and nobody can tell who made it.
            "unchanged" => marked,
            status => status == "unknown" && !subject.repeats_creates(),
        };
        assert!(honest, "{kind}: {outcome:?}");
        assert_eq!(subject.stored(&name).await, before + 1, "{kind}: written once");
    }
    true
}

/// All that a feed tells since a checkpoint, and the checkpoint behind it.
async fn told(
    records: &Arc<dyn Records>,
    subject: &Subject,
    since: Option<Checkpoint>,
) -> (Vec<(ChangeKind, Key)>, Checkpoint, Vec<String>) {
    let mut feed = Feed::new(Arc::clone(records), subject.cx.clone(), Vec::new(), since);
    let (mut changes, mut notices) = (Vec::new(), Vec::new());
    loop {
        let page = feed.next_page().await.unwrap();
        for change in page.changes {
            assert_eq!(change.record.is_none(), change.change == ChangeKind::Deleted, "{change:?}");
            changes.push((change.change, change.key.unwrap()));
        }
        notices.extend(page.notice);
        if !page.more {
            let kept = Checkpoint::parse(&page.checkpoint.to_text()).unwrap();
            return (changes, kept, notices);
        }
    }
}

async fn changes_are_told(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    let capability = &record_type.capability;
    let Some(changes) = &capability.changes else { return false };
    if !writable(&record_type) || capability.update.is_none() {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let row = || subject.fresh(&form, values::required_only(&form, &known));
    let old = create_one(&records, &subject, row()).await;
    let (before, start, _) = told(&records, &subject, None).await;
    assert!(before.is_empty(), "a feed begins now");
    let new = create_one(&records, &subject, row()).await;
    let (field, changed) = subject.plain_edit(&record_type);
    let edits = vec![(field, values::set(&changed))];
    let change = Change { key: old.clone(), edits, if_version: None };
    records.update(&subject.cx, &[change], &WriteOptions::new()).await.unwrap();
    let (changes_told, next, _) = told(&records, &subject, Some(start)).await;
    let kinds = |key: &Key| -> Vec<ChangeKind> {
        changes_told.iter().filter(|(_, told)| told == key).map(|(kind, _)| *kind).collect()
    };
    assert!(matches!(kinds(&new)[..], [ChangeKind::Created | ChangeKind::Changed]), "{changes_told:?}");
    assert!(matches!(kinds(&old)[..], [ChangeKind::Updated | ChangeKind::Changed]), "{changes_told:?}");
    assert_eq!(changes_told.len(), 2, "{changes_told:?}");
    if changes.deletions && capability.delete.is_some() {
        let row = VersionedKey { key: old.clone(), if_version: None };
        records.delete(&subject.cx, &[row], &WriteOptions::new()).await.unwrap();
        let (deleted, _, _) = told(&records, &subject, Some(next)).await;
        assert!(deleted.contains(&(ChangeKind::Deleted, old)), "{deleted:?}");
    }
    true
}

async fn idle_feed_is_silent(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    if records.record_type().capability.changes.is_none() {
        return false;
    }
    let beginning = Checkpoint::beginning(records.record_type());
    let (listed, mut at, _) = told(&records, &subject, Some(beginning)).await;
    let keys: BTreeSet<&Key> = listed.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), listed.len(), "no record twice");
    assert_eq!(keys.len(), subject.stored(&name).await, "no record missing");
    for _ in 0..3 {
        let (changes, next, _) = told(&records, &subject, Some(at)).await;
        assert!(changes.is_empty(), "{changes:?}");
        at = next;
    }
    true
}

async fn expired_feed_recovers(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    let record_type = Arc::clone(records.record_type());
    let Some(changes) = &record_type.capability.changes else { return false };
    let Some(days) = changes.window_days else { return false };
    if !writable(&record_type) || record_type.capability.delete.is_none() || !changes.deletions {
        return false;
    }
    let form = subject.form(&record_type).await;
    let known = subject.known_keys(&form).await;
    let row = || subject.fresh(&form, values::required_only(&form, &known));
    let gone = create_one(&records, &subject, row()).await;
    let (_, start, _) = told(&records, &subject, None).await;
    let new = create_one(&records, &subject, row()).await;
    let row = VersionedKey { key: gone.clone(), if_version: None };
    records.delete(&subject.cx, &[row], &WriteOptions::new()).await.unwrap();
    subject.advance_days(days + 10).await;
    let (told, _, notices) = told(&records, &subject, Some(start)).await;
    assert_eq!(told, [(ChangeKind::Created, new), (ChangeKind::Deleted, gone)]);
    assert_eq!(notices.len(), 1, "it says so: {notices:?}");
    true
}

async fn foreign_checkpoint_is_refused(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    if records.record_type().capability.changes.is_none() {
        return false;
    }
    let own = Checkpoint::beginning(records.record_type());
    for other in [
        Checkpoint { record_type: "Other".to_owned(), ..own.clone() },
        Checkpoint { provider: "other".to_owned(), ..own },
    ] {
        let error = records.changes(&subject.cx, Some(&other), &[]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("foreign_checkpoint")), "{error}");
    }
    true
}

async fn errors_have_context(subject: Arc<Subject>, name: TypeName) -> bool {
    let records = subject.open(&name).await;
    subject.fault(json!({"path": subject.page_path(&name), "kind": "403", "times": 1})).await;
    let error = subject.try_search(&records, None, &[], None).await.unwrap_err();
    assert_eq!(error.provider(), Some(subject.provider_name()), "{error:?}");
    assert_eq!(error.record_type(), Some(name.as_str()), "{error:?}");
    assert!(error.operation().is_some(), "{error:?}");
    assert!(error.code().is_some(), "{error:?}");
    assert!(error.advice().is_some(), "{error:?}");
    let missing = subject.provider.open(&subject.cx, &values::unknown_type()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    true
}
