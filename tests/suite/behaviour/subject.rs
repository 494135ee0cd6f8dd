//! A provider under test: its emulator, its plane and the few things that differ between services.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt as _;
use http::Method;
use recordport::clock::RecordingClock;
use recordport::connect::access::{Access, AccessSource};
use recordport::connect::sign_in::AccessMode;
use recordport::error::Result;
use recordport::http::client::{Wire, WireSettings};
use recordport::layer::check::Checked;
use recordport::layer::limit::{ConnectionLimits, LimitSettings};
use recordport::layer::retry::RetrySettings;
use recordport::layer::stack::{StackParts, http_plane};
use recordport::provider::search::{Prepared, RecordsExt as _, Search};
use recordport::provider::{Context, Edits, Plan, Provider, ProviderFactory, Records};
use recordport::record::record_type::{Field, FieldType, TextForm};
use recordport::record::schema::{SchemaOptions, SchemaPurpose, record_schema};
use recordport::record::{FieldPath, KeyFields, QueryDraft, Record, RecordType, TypeName, where_text};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::values::KnownKeys;
use crate::support::emulated::{self, Emulated};

/// What differs between services.
pub(super) trait Service: Send + Sync {
    /// Glob of the requests that answer pages of a search.
    fn page_path(&self) -> &'static str;
    /// Glob of the requests that write.
    fn write_path(&self) -> &'static str;
    /// Whether a request of the log is a write.
    fn is_write(&self, request: &Value) -> bool;
    /// Gets a new access token for a refresh token, as the service's protocol has it.
    fn refresh_form(&self, credentials: &Value) -> (&'static str, Vec<(&'static str, String)>);
    /// A field whose text can be changed on every type.
    fn plain_text_field(&self, record_type: &RecordType) -> String;
    /// Whether what is written to a field reads back as something else by the service's own rule.
    fn reads_otherwise(&self, field: &Field) -> bool;
    /// The type from whose description rows are made, where the type's own says less than a row needs: which
    /// values go together with others.
    fn form(&self, _: &RecordType) -> Option<&'static str> {
        None
    }
    /// A value of a field whose values the description does not tell.
    fn known_value(&self, _: &Field) -> Option<Value> {
        None
    }
    /// Whether a create whose answer was lost is sent again, because it cannot make a second record.
    fn repeats_creates(&self) -> bool {
        false
    }
    /// The same for a field of a certain type.
    fn known_value_of(&self, _: &RecordType, field: &Field) -> Option<Value> {
        self.known_value(field)
    }
    /// What makes values of a field that each row has another of, where the description does not tell them.
    fn maker_of(&self, _: &RecordType, _: &Field) -> Option<fn() -> Value> {
        None
    }
    /// A change that can be made to records of a type.
    fn plain_edit(&self, record_type: &RecordType) -> (String, Value) {
        (self.plain_text_field(record_type), json!("changed"))
    }
    /// Whether no two rows of the suite may have the same value of a field.
    fn is_unique(&self, field: &Field) -> bool {
        field.unique
    }
    /// Glob of the requests that answer pages of a search of a type.
    fn page_path_of(&self, _: &TypeName) -> String {
        self.page_path().to_owned()
    }
    /// Glob of the requests that create rows of a type.
    fn write_path_of(&self, _: &TypeName) -> String {
        self.write_path().to_owned()
    }
    /// Whether searches of a type come in pages that the service cuts.
    fn is_paged(&self, _: &TypeName) -> bool {
        true
    }
    /// Types for which every case of create, update, search, get and delete must apply.
    fn core_types(&self) -> &'static [&'static str] {
        &[]
    }
    /// The field that shows the value of another in another form.
    fn twin(&self, _: &str) -> Option<String> {
        None
    }
    /// An edit that makes the version stale which was read before.
    fn versioned_edit(&self, record_type: &RecordType, text: &str) -> (String, Value) {
        (self.plain_text_field(record_type), json!(text))
    }
    /// Whether the service takes a value at the end of a field's range; what it refuses is refused before.
    fn takes(&self, _: &Field, _: &str) -> bool {
        true
    }
    /// Whether a row as stored is a record of this type.
    fn is_of(&self, _: &TypeName, _: &Value) -> bool {
        true
    }
}

pub(super) struct Subject {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) cx: Context,
    name: &'static str,
    emulated: Emulated,
    clock: Arc<RecordingClock>,
    types: Vec<TypeName>,
    idle_cases: Vec<&'static str>,
    service: Box<dyn Service>,
    /// Keys of the first records of types that others refer to.
    known: tokio::sync::Mutex<BTreeMap<String, Vec<String>>>,
}

impl Subject {
    pub(super) async fn start(
        factory: &dyn ProviderFactory,
        emulated: Emulated,
        types: &[&str],
        idle_cases: Vec<&'static str>,
        service: Box<dyn Service>,
    ) -> Arc<Self> {
        let name = factory.info().name;
        let endpoint = emulated.emulator.http_url().parse().unwrap();
        let sign_in = factory.sign_in(&json!({}), Some(&endpoint)).unwrap();
        let credentials = emulated.emulator.credentials()[name].clone();
        let (token_path, form) = service.refresh_form(&credentials);
        let bases = sign_in.base_from_token.keys().map(|role| (role.clone(), endpoint.clone()));
        let access = EmulatorAccess {
            client: emulated::client(),
            token_url: emulated.url(token_path),
            form,
            state: tokio::sync::Mutex::new((1, credentials["access_token"].as_str().unwrap().to_owned())),
            bases: sign_in.bases.clone().into_iter().chain(bases).collect(),
        };
        let clock = Arc::new(RecordingClock::starting_at(jiff::Timestamp::now()));
        let plane_clock: Arc<dyn recordport::clock::Clock> = clock.clone();
        let http = http_plane(StackParts {
            wire: Arc::new(Wire::new(WireSettings::default()).unwrap()),
            access: Arc::new(access),
            hosts: sign_in.hosts,
            dialect: factory.dialect(),
            clock: Arc::clone(&plane_clock),
            retry: RetrySettings::default(),
            limits: Arc::new(ConnectionLimits::new(&LimitSettings::default(), Arc::clone(&plane_clock))),
            dry_run: None,
        });
        let cx = Context {
            http,
            clock: plane_clock,
            connection: "under-test".into(),
            refresh: false,
            memory: None,
        };
        Arc::new(Self {
            provider: factory.provider(&json!({})).unwrap(),
            cx,
            name,
            emulated,
            clock,
            types: types.iter().map(|name| TypeName::new(*name)).collect(),
            idle_cases,
            service,
            known: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn provider_name(&self) -> &'static str {
        self.name
    }

    pub(super) fn types(&self) -> &[TypeName] {
        &self.types
    }

    pub(super) fn idle_cases(&self) -> &[&'static str] {
        &self.idle_cases
    }

    /// No fault rule is left over from the case before.
    pub(super) async fn calm(&self) {
        self.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    }

    pub(super) async fn fault(&self, mut rule: Value) {
        rule["service"] = json!(self.name);
        self.emulated.fault(rule).await;
    }

    pub(super) async fn expire_tokens(&self) {
        self.fault(json!({"kind": "expire_token", "times": 1})).await;
    }

    /// Moves the service's clock.
    pub(super) async fn advance_days(&self, days: u32) {
        let step = json!({ "advance_seconds": u64::from(days) * 86_400 });
        let (status, answer) = self.emulated.control(Method::POST, "clock", &step).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub(super) async fn requests(&self) -> Vec<Value> {
        self.emulated
            .requests()
            .await
            .into_iter()
            .filter(|request| !request["path"].as_str().unwrap().starts_with("/_emulator"))
            .collect()
    }

    pub(super) async fn forget_requests(&self) {
        self.emulated.control(Method::DELETE, "requests", &Value::Null).await;
    }

    pub(super) async fn writes(&self) -> Vec<Value> {
        let all = self.requests().await;
        all.into_iter().filter(|request| self.service.is_write(request)).collect()
    }

    pub(super) async fn token_requests(&self) -> usize {
        let form = self.service.refresh_form(&self.emulated.emulator.credentials()[self.name]);
        self.requests().await.iter().filter(|request| request["path"] == form.0).count()
    }

    pub(super) fn waits(&self) -> Vec<Duration> {
        self.clock.waits()
    }

    pub(super) fn page_path(&self, name: &TypeName) -> String {
        self.service.page_path_of(name)
    }

    pub(super) fn write_path(&self, name: &TypeName) -> String {
        self.service.write_path_of(name)
    }

    pub(super) fn is_paged(&self, name: &TypeName) -> bool {
        self.service.is_paged(name)
    }

    pub(super) fn core_types(&self) -> &'static [&'static str] {
        self.service.core_types()
    }

    pub(super) fn plain_edit(&self, record_type: &RecordType) -> (String, Value) {
        self.service.plain_edit(record_type)
    }

    pub(super) fn twin(&self, field: &str) -> Option<String> {
        self.service.twin(field)
    }

    pub(super) fn repeats_creates(&self) -> bool {
        self.service.repeats_creates()
    }

    pub(super) fn versioned_edit(&self, record_type: &RecordType, text: &str) -> (String, Value) {
        self.service.versioned_edit(record_type, text)
    }

    pub(super) fn takes(&self, field: &Field, json: &str) -> bool {
        self.service.takes(field, json)
    }

    pub(super) fn reads_otherwise(&self, field: &Field) -> bool {
        self.service.reads_otherwise(field)
    }

    /// How many rows of a type the emulator stores.
    pub(super) async fn stored(&self, name: &TypeName) -> usize {
        // What tells which type rows are of: Jira's in `fields`, Google's by calendar and status, Dropbox's by paths.
        let rows = self.part_of_state(name, "fields=fields,calendar_id,status,path_lower").await;
        let rows = rows.unwrap_or_else(|| panic!("the emulator has no {name}"));
        rows.iter().filter(|row| self.service.is_of(name, row)).count()
    }

    /// A part of the rows of a type as the emulator stores them.
    async fn part_of_state(&self, name: &TypeName, part: &str) -> Option<Vec<Value>> {
        let path = format!("state/{}/{}?{part}", self.name, name.base());
        let (status, mut answer) = self.emulated.control(Method::GET, &path, &Value::Null).await;
        (status == 200).then(|| answer.as_array_mut().map(std::mem::take).expect("rows"))
    }

    pub(super) async fn open_unchecked(&self, name: &TypeName) -> Arc<dyn Records> {
        self.provider.open(&self.cx, name).await.unwrap()
    }

    pub(super) async fn open(&self, name: &TypeName) -> Arc<dyn Records> {
        Arc::new(Checked::new(self.open_unchecked(name).await, AccessMode::ReadWrite))
    }

    pub(super) fn read_schema(&self, record_type: &RecordType) -> Value {
        record_schema(record_type, SchemaPurpose::Read, &SchemaOptions::default())
    }

    /// Keys of some records of every type that the fields of a type refer to.
    pub(super) async fn known_keys(&self, record_type: &RecordType) -> KnownKeys {
        let mut known = KnownKeys::default();
        for field in record_type.fields.iter().filter(|field| field.required_on_create) {
            known.values.extend(
                self.service.known_value_of(record_type, field).map(|value| (field.name.clone(), value)),
            );
        }
        for field in &record_type.fields {
            known
                .makers
                .extend(self.service.maker_of(record_type, field).map(|maker| (field.name.clone(), maker)));
            let FieldType::Reference(reference) = &field.field_type else { continue };
            for target in &reference.targets {
                let target = TypeName::new(target.as_str());
                if known.keys.contains_key(target.as_str()) {
                    continue;
                }
                // The first records of a type stay: cases delete what they made themselves.
                if let Some(keys) = self.known.lock().await.get(target.as_str()) {
                    known.keys.insert(target.to_string(), keys.clone());
                    continue;
                }
                if self.part_of_state(&target, "first=0").await.is_none() {
                    continue;
                }
                let id_field = match reference.id_field.as_str() {
                    // Each target has a key of its own.
                    "" => self.open_unchecked(&target).await.record_type().key.0[0].clone(),
                    id_field => id_field.to_owned(),
                };
                let part = format!("first=3&fields={id_field}");
                let rows = self.part_of_state(&target, &part).await.unwrap_or_default();
                let keys = rows.iter().filter_map(|row| row[&id_field].as_str().map(str::to_owned));
                let keys: Vec<String> = keys.collect();
                self.known.lock().await.insert(target.to_string(), keys.clone());
                known.keys.insert(target.to_string(), keys);
            }
        }
        known
    }

    /// The description that rows are made from.
    pub(super) async fn form(&self, record_type: &Arc<RecordType>) -> Arc<RecordType> {
        match self.service.form(record_type) {
            Some(name) => Arc::clone(self.open_unchecked(&TypeName::new(name)).await.record_type()),
            None => Arc::clone(record_type),
        }
    }

    pub(super) fn known_value(&self, form: &RecordType, field: &Field) -> Option<Value> {
        self.service.known_value_of(form, field)
    }

    pub(super) fn is_unique(&self, field: &Field) -> bool {
        self.service.is_unique(field)
    }

    /// A value for every field that can be set on create.
    pub(super) fn everything(&self, form: &RecordType, known: &KnownKeys) -> BTreeMap<String, Value> {
        let mut row = super::values::everything(form, known);
        for (name, value) in &mut row {
            let own = form.field(name).and_then(|field| self.service.known_value_of(form, field));
            *value = own.unwrap_or_else(|| value.take());
        }
        row
    }

    /// The same row with values of its own in its unique fields, where the service has to tell them.
    pub(super) fn fresh(&self, form: &RecordType, row: Edits) -> Edits {
        let each = row.into_iter().map(|(name, edit)| {
            let unique = form.field(&name).filter(|field| self.is_unique(field));
            match unique.and_then(|field| self.known_value(form, field)) {
                Some(value) => (name, super::values::set(&value)),
                None => (name, edit),
            }
        });
        each.collect()
    }

    /// The first of some keys that an upsert may insert with and that holds free text.
    pub(super) fn insertable_key(&self, record_type: &RecordType, by: &[KeyFields]) -> Option<KeyFields> {
        by.iter()
            .find(|fields| {
                let insertable = record_type
                    .alternate_keys
                    .iter()
                    .any(|alternate| alternate.fields == **fields && alternate.insertable);
                insertable
                    && fields.0.iter().all(|name| {
                        record_type.field(name).is_some_and(|field| {
                            matches!(field.field_type, FieldType::Text { form: TextForm::Plain, .. })
                        })
                    })
            })
            .cloned()
    }

    async fn prepare(
        &self,
        records: &Arc<dyn Records>,
        condition: Option<&str>,
        select: &[impl AsRef<str> + Sync],
        page_size: Option<u32>,
    ) -> Prepared {
        let draft = QueryDraft {
            select: select.iter().map(|path| FieldPath::parse(path.as_ref())).collect(),
            where_text: condition.map(|text| where_text::parse(text).unwrap()),
            page_size,
            ..QueryDraft::default()
        };
        records.prepare(&self.cx, &draft, &jiff::tz::TimeZone::UTC).await.unwrap()
    }

    pub(super) async fn plan(
        &self,
        records: &Arc<dyn Records>,
        condition: Option<&str>,
        select: &[impl AsRef<str> + Sync],
        page_size: Option<u32>,
    ) -> Arc<Plan> {
        self.prepare(records, condition, select, page_size).await.plan
    }

    pub(super) async fn try_search(
        &self,
        records: &Arc<dyn Records>,
        condition: Option<&str>,
        select: &[&str],
        page_size: Option<u32>,
    ) -> Result<Vec<Record>> {
        let prepared = self.prepare(records, condition, select, page_size).await;
        Search::start(Arc::clone(records), self.cx.clone(), &prepared).into_records().try_collect().await
    }

    pub(super) async fn search(
        &self,
        records: &Arc<dyn Records>,
        condition: Option<&str>,
        select: &[&str],
        page_size: Option<u32>,
    ) -> Vec<Record> {
        self.try_search(records, condition, select, page_size).await.unwrap()
    }

    /// Takes the first page of a long search and drops the rest.
    pub(super) async fn first_record_then_drop(&self, records: &Arc<dyn Records>, page_size: u32) {
        let prepared = self.prepare(records, None, &[] as &[&str], Some(page_size)).await;
        let mut search = Search::start(Arc::clone(records), self.cx.clone(), &prepared);
        assert!(!search.next_page().await.unwrap().unwrap().records.is_empty());
    }
}

/// Tokens of the emulator, renewed at its token endpoint, one renewal at a time.
#[derive(Debug)]
struct EmulatorAccess {
    client: reqwest::Client,
    token_url: String,
    form: Vec<(&'static str, String)>,
    state: tokio::sync::Mutex<(u64, String)>,
    bases: BTreeMap<String, url::Url>,
}

static RENEWALS: AtomicU64 = AtomicU64::new(0);

#[async_trait::async_trait]
impl AccessSource for EmulatorAccess {
    async fn access(&self, rejected: Option<u64>) -> Result<Access> {
        let mut state = self.state.lock().await;
        if rejected == Some(state.0) {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.form).finish();
            let answer = self
                .client
                .post(&self.token_url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
                .send()
                .await
                .expect("the token endpoint answers");
            let text = answer.text().await.expect("with text");
            let answer: Value = serde_json::from_str(&text).expect("with JSON");
            let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {text}"));
            RENEWALS.fetch_add(1, Ordering::Relaxed);
            *state = (state.0 + 1, token.to_owned());
        }
        Ok(Access {
            generation: state.0,
            authorization: SecretString::from(format!("Bearer {}", state.1)),
            bases: self.bases.clone(),
        })
    }
}
