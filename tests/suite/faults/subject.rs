//! What the cases have to know of a service, and a connection to it.

use std::collections::BTreeSet;
use std::ops::Deref;

use http::Method;
use recordport::record::{Key, KeyFields};
use serde_json::{Value, json};

use crate::support::org::{Found, Org, OrgSettings, id_of};

/// Why a service says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The user may not.
    Right,
    /// The place in a result is gone.
    Place,
    /// Somebody else has the record for a moment, or the service is too busy for the row.
    Busy,
    /// A reason that nobody knows yet.
    Unknown,
}

/// How a field of a type may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redefinition {
    /// [`Service::spare`] is there no more.
    Gone,
    /// [`Service::spare`] is of a kind that nobody knows.
    OfUnknownKind,
    /// [`Service::spare`] is of another kind, and [`Service::new_field`] is there.
    Changed,
    /// There is a field whose name would end a condition, and [`Service::new_field`].
    Hostile,
}

/// What an upsert by another key does with a row whose record is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upserts {
    Creates,
    OnlyUpdates,
}

/// A service under test.
pub(super) type Subject = &'static dyn Service;
/// One whose writes are under test.
pub(super) type Written = &'static dyn Writing;

/// What differs between services.
#[async_trait::async_trait]
pub(super) trait Service: Sync {
    /// Name of provider and emulated service.
    fn name(&self) -> &'static str;

    /// A type of which the standard org holds six pages.
    fn kind(&self) -> &'static str;
    /// How much the standard org is multiplied.
    fn scale(&self) -> u64;
    fn page_size(&self) -> usize;
    /// Scale, records and page size of an org that is large for this service.
    fn large(&self) -> (u64, usize, usize);
    /// The key property of [`kind`](Self::kind).
    fn key(&self) -> &'static str;
    /// A text of [`kind`](Self::kind) that every record has.
    fn text(&self) -> &'static str;
    /// A text that a search can be narrowed by.
    fn asked_by(&self) -> &'static str {
        self.text()
    }
    /// The key of the record of [`kind`](Self::kind) with this id.
    fn key_of(&self, id: &str) -> Key {
        Key::text(id)
    }
    /// How many rows of the first page are no records.
    fn hidden(&self) -> usize {
        0
    }
    /// A short text of [`kind`](Self::kind) that some records lack.
    fn spare(&self) -> &'static str;
    /// A type with a field of numbers.
    fn numbers(&self) -> (&'static str, &'static str);

    /// A property of a stored row.
    fn value<'r>(&self, row: &'r Value, name: &str) -> &'r Value {
        &row[name]
    }

    /// Sets a property of a stored row.
    fn set(&self, row: &mut Value, name: &str, value: Value) {
        row[name] = value;
    }

    /// Glob of the requests that are answered with pages.
    fn pages(&self) -> &'static str;
    /// Whether a request of the log asked for a page.
    fn is_page(&self, request: &Value) -> bool;
    /// The address of some later page.
    fn next_path(&self) -> &'static str;
    /// Makes every place in every result invalid.
    async fn expire_places(&self, org: &Org);
    /// The answer that is a last page of these stored rows.
    fn last_page(&self, rows: &[Value]) -> Value;
    /// A refusal as a rule without path.
    fn refusal(&self, why: Refusal) -> Value;
    /// Whether the error for a field that is gone is this one.
    fn gone_code(&self) -> &'static str;
    /// The name of a field that comes by redefinition, as long as names may be.
    fn new_field(&self) -> &'static str;
    /// A new row of [`kind`](Self::kind) with this text.
    fn newcomer(&self, text: &str) -> Value {
        json!({ self.text(): text })
    }
    /// Changes the definition of [`kind`](Self::kind) in the service itself, or in the answers that describe it.
    async fn redefine(&self, org: &Org, how: Redefinition);
}

/// What differs between services in writing.
pub(super) trait Writing: Service {
    /// A type to write, whose creator may set a unique value.
    fn written(&self) -> &'static str;
    /// Its text by which rows are told apart.
    fn label(&self) -> &'static str;
    /// A row of it.
    fn row(&self, label: &str) -> Value;
    /// Three rows that the schema refuses, each with the field that is wrong.
    fn bad_rows(&self) -> [(&'static str, Value); 3];
    /// A field that serves as a mark, and a value for it, where the service has one.
    fn own_mark(&self, number: u8) -> Option<(&'static str, Value)>;
    /// The mark that a row may be given besides.
    fn mark(&self, number: u8) -> Value;
    /// Another key for upserts: its fields and a value, with which an upsert creates, or else that of this row.
    fn alternate(&self, stored: &Value) -> (KeyFields, String, Upserts);
    /// The name under which the rows of [`written`](Self::written) are stored.
    fn stored_as(&self) -> &'static str {
        self.written()
    }
    /// Whether a row that is stored there is of the type that is written, and nothing hangs on it.
    fn is_written(&self, _: &Value) -> bool {
        true
    }
    /// Glob of the requests that write by this method.
    fn writes(&self, method: &str) -> &'static str;
    /// Glob of the requests that write so many rows by this method.
    fn writes_of(&self, method: &str, _rows: usize) -> &'static str {
        self.writes(method)
    }
    /// Whether every row that was created is known by what it holds, so that none needs a mark.
    fn knows_each_row(&self) -> bool {
        false
    }
    /// Whether a stored row has this label.
    fn has_label(&self, row: &Value, label: &str) -> bool {
        *self.value(row, self.label()) == label
    }
    /// The change that gives a row another label.
    fn relabelled(&self, label: &str) -> Value {
        json!({ self.label(): label })
    }
    /// A refusal because of what is there already, as a rule without path and status.
    fn conflict(&self) -> Value {
        self.refusal(Refusal::Unknown)
    }
    /// Whether a request of the log writes.
    fn is_write(&self, request: &Value) -> bool;
    /// The method of the requests that update, upsert or delete: `PATCH` or `DELETE`, or one for all.
    fn method(&self, wanted: &'static str) -> &'static str;
    /// The code of a row that `partial` refuses.
    fn refused_row_code(&self) -> &'static str;
    /// An answer to a write as a rule: so many rows that were created.
    fn created(&self, count: usize) -> Value;
    /// An answer to a write as a rule: so many rows that the service was too busy for.
    fn busy_rows(&self, count: usize) -> Value;
    /// Whether rows that got ids here are sent again where their answers do not come.
    fn asks_again(&self) -> bool {
        false
    }
    /// An answer to a write as a rule: so many rows, the last one's answer first, of which the first row was refused.
    fn reordered(&self, _: usize) -> Value {
        unreachable!("answers of this service have no names")
    }
}

/// A connection to an org of a service.
pub(super) struct Trial<S: ?Sized + 'static = dyn Service> {
    pub(super) org: Org,
    pub(super) service: &'static S,
}

impl<S: ?Sized> Deref for Trial<S> {
    type Target = Org;

    fn deref(&self) -> &Org {
        &self.org
    }
}

impl<S: Service + ?Sized> Trial<S> {
    pub(super) async fn new(service: &'static S) -> Self {
        Self::with(service, |_| {}).await
    }

    pub(super) async fn with(service: &'static S, change: impl FnOnce(&mut OrgSettings)) -> Self {
        let mut settings =
            OrgSettings { service: service.name(), scale: service.scale(), ..OrgSettings::default() };
        change(&mut settings);
        Self { org: Org::with(settings).await, service }
    }

    /// One with few rows, for writes.
    pub(super) async fn small(service: &'static S) -> Self {
        Self::with(service, |settings| settings.scale = 1).await
    }

    /// The standard search, in pages.
    pub(super) fn query(&self) -> Value {
        let service = self.service;
        json!({
            "select": [service.key(), service.text(), service.spare()], "page_size": service.page_size()
        })
    }

    pub(super) async fn find(&self) -> Found {
        self.search(self.service.kind(), self.query()).await
    }

    /// The ids of everything that the standard search finds.
    pub(super) fn all(&self) -> BTreeSet<String> {
        self.stored(self.service.kind())
    }

    pub(super) fn id<'r>(&self, row: &'r Value) -> &'r str {
        id_of(self.service.kind(), row)
    }

    /// Adds a fault on requests for pages.
    pub(super) async fn fault_on_pages(&self, mut rule: Value) {
        rule["path"] = json!(self.service.pages());
        self.fault(rule).await;
    }

    pub(super) async fn no_more_faults(&self) {
        self.emulated.control(Method::DELETE, "faults", &Value::Null).await;
    }

    pub(super) async fn page_requests(&self) -> Vec<Value> {
        let all = self.emulated.requests().await;
        all.into_iter().filter(|request| self.service.is_page(request)).collect()
    }

    pub(super) async fn token_requests(&self) -> usize {
        let all = self.emulated.requests().await;
        all.iter()
            .filter(|request| request["path"].as_str().is_some_and(|path| path.ends_with("/token")))
            .count()
    }
}

impl Trial<dyn Writing> {
    pub(super) async fn write_requests(&self) -> usize {
        let all = self.emulated.requests().await;
        all.iter().filter(|request| self.service.is_write(request)).count()
    }

    /// The id of a stored row of the written type.
    pub(super) fn written_id<'r>(&self, row: &'r Value) -> &'r str {
        id_of(self.service.written(), row)
    }

    /// The stored rows of the written type.
    pub(super) fn written_rows(&self) -> Vec<Value> {
        let rows = self.service_rows(self.service.stored_as());
        rows.into_iter().filter(|row| self.service.is_written(row)).collect()
    }

    /// The stored rows of the written type with this label.
    pub(super) fn labelled(&self, label: &str) -> Vec<Value> {
        let rows = self.written_rows();
        rows.into_iter().filter(|row| self.service.has_label(row, label)).collect()
    }
}
