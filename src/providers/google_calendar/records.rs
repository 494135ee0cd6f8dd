//! The records of one type: pages of a search, and reading by key. [`super::writes`] holds the writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::account::{Account, Calendar};
use super::kinds::Home;
use super::pages::{self, Reader};
use super::query::Ground;
use super::{api, dialect, fields, query};
use crate::error::{Error, ErrorKind, Result};
use crate::http::multipart::{Part, PartReply};
use crate::provider::choices::{self, Choices};
use crate::provider::{
    Change, ChangePage, Content, Context, NewRow, OptionItem, OptionPage, OptionQuery, Outcome, Plan,
    Records, Resolved, Settled, VersionedKey, WriteOptions, paths,
};
use crate::record::record_type::ResolvedField;
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, KeyPart, Page, Query, Record, RecordType,
};

/// The records of one type on one connection.
#[derive(Debug)]
pub(super) struct GoogleRecords {
    pub(super) account: Arc<Account>,
    pub(super) home: Home,
    /// The calendar that all of them are of.
    pub(super) calendar: Option<Calendar>,
    pub(super) record_type: Arc<RecordType>,
}

/// Which record a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The calendar, for records that have one in their key.
    pub(super) calendar: String,
    pub(super) id: String,
}

impl GoogleRecords {
    pub(super) fn new(
        account: Arc<Account>,
        home: Home,
        calendar: Option<Calendar>,
        record_type: Arc<RecordType>,
    ) -> Self {
        Self { account, home, calendar, record_type }
    }

    /// Names this type and operation in an error.
    pub(super) fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("google-calendar")
                .with_record_type(self.record_type.name.as_str())
        }
    }

    pub(super) fn unsupported(&self, operation: &'static str, what: &str) -> Error {
        self.about(operation)(Error::unsupported(what.to_owned()))
    }

    /// Which record a key means; the key itself with `primary` replaced.
    ///
    /// # Errors
    /// `NotFound` for a key of another calendar than the type's.
    pub(super) async fn address(&self, cx: &Context, key: &Key) -> Result<Address> {
        let texts: Vec<String> = key.parts().iter().map(KeyPart::to_string).collect();
        let (calendar, id) = match (self.home.has_calendar(), texts.as_slice()) {
            (true, [calendar, id]) => (calendar.clone(), id.clone()),
            (false, [id]) => (String::new(), id.clone()),
            _ => {
                return Err(Error::invalid(format!(
                    "the key {key} has other parts than {}",
                    self.home.key()
                )));
            }
        };
        let calendar = self.account.calendar_id(cx, &calendar).await?;
        if let Some(own) = self.calendar.as_ref().filter(|own| own.id != calendar) {
            let what = format!("{key} is not a record of {}", own.id);
            return Err(Error::new(ErrorKind::NotFound, what).with_code("other_calendar"));
        }
        Ok(Address { calendar, id })
    }

    /// The key of a record.
    pub(super) fn key(&self, address: &Address) -> Key {
        if self.home.has_calendar() {
            let parts = [&address.calendar, &address.id];
            return Key::of(parts.into_iter().map(|part| KeyPart::Text(part.clone())).collect());
        }
        Key::text(address.id.as_str())
    }

    /// The resource of a record.
    pub(super) fn resource(&self, address: &Address) -> String {
        self.home.one(&address.calendar, &address.id)
    }

    /// Reads the resources of some records; `None` for what is not there.
    ///
    /// # Errors
    /// What concerns all of them.
    pub(super) async fn rows(
        &self,
        cx: &Context,
        operation: &'static str,
        addresses: &[Address],
    ) -> Result<Vec<Result<Option<Vec<u8>>>>> {
        if let [only] = addresses {
            return Ok(vec![match cx.send(api::get(operation, &self.resource(only))).await {
                Ok(reply) => Ok(self.present(reply.body.to_vec())),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) if is_of_all(&error) => return Err(error),
                Err(error) => Err(error),
            }]);
        }
        let parts: Vec<Part> =
            addresses.iter().map(|address| api::part_get(&self.resource(address))).collect();
        let mut rows = Vec::with_capacity(parts.len());
        for some in parts.chunks(api::BATCH) {
            let answers = self.account.send_parts(cx, operation, some, true).await?;
            rows.extend(answers.into_iter().map(|answer| self.row_of(operation, answer)));
        }
        Ok(rows)
    }

    fn row_of(&self, operation: &'static str, answer: Option<PartReply>) -> Result<Option<Vec<u8>>> {
        let answer = answer.ok_or_else(pages::cut_short)?;
        if answer.status.is_success() {
            return Ok(self.present(answer.body.to_vec()));
        }
        let error = dialect::part_error(operation, &answer);
        if error.kind() == ErrorKind::NotFound { Ok(None) } else { Err(error) }
    }

    /// A row, unless it is a deleted event, or a series where occurrences are asked for.
    fn present(&self, row: Vec<u8>) -> Option<Vec<u8>> {
        #[derive(serde::Deserialize)]
        struct Series {
            #[serde(default)]
            recurrence: Vec<String>,
        }
        if self.home.is_of_events() && pages::is_cancelled(&row) {
            return None;
        }
        let is_series = || serde_json::from_slice::<Series>(&row).is_ok_and(|own| !own.recurrence.is_empty());
        if self.home == Home::Occurrences && is_series() {
            return None;
        }
        Some(row)
    }

    async fn read(
        &self,
        cx: &Context,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        if self.home == Home::Colours {
            return self.read_colours(cx, keys, select).await;
        }
        let mut out: Vec<Result<Option<Record>>> = Vec::with_capacity(keys.len());
        let mut addresses = Vec::new();
        let mut places = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            out.push(Ok(None));
            match self.address(cx, key).await {
                Ok(address) => {
                    addresses.push(address);
                    places.push(place);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => out[place] = Err(error),
            }
        }
        let rows = self.rows(cx, "get", &addresses).await?;
        for ((place, address), row) in places.into_iter().zip(&addresses).zip(rows) {
            let calendar = self.home.has_calendar().then_some(address.calendar.as_str());
            out[place] = match row {
                Ok(Some(row)) => pages::record(&self.record_type, select, calendar, &row),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(out.into_iter().map(|record| record.map_err(self.about("get"))).collect())
    }

    async fn read_colours(
        &self,
        cx: &Context,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let rows = self.account.colours(cx, "get").await?.rows();
        let find = |key: &Key| {
            let wanted: Vec<String> = key.parts().iter().map(KeyPart::to_string).collect();
            let row = rows.iter().find(|row| {
                [&row["group"], &row["id"]]
                    .into_iter()
                    .map(Json::as_str)
                    .eq(wanted.iter().map(|own| Some(own.as_str())))
            });
            match row {
                Some(row) => pages::record(&self.record_type, select, None, row.to_string().as_bytes()),
                None => Ok(None),
            }
        };
        Ok(keys.iter().map(find).collect())
    }

    /// Calendars to choose from.
    async fn calendars_to_choose(&self, cx: &Context, ask: &OptionQuery) -> Result<OptionPage> {
        let all = self.account.calendars(cx, "options", false).await?;
        let items = all.iter().map(|calendar| OptionItem {
            value: Json::from(calendar.id.as_str()),
            label: calendar.label().to_owned(),
            record_type: None,
        });
        choices::page(items.collect(), ask)
    }
}

/// Whether an error says nothing of one record alone.
fn is_of_all(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Forbidden | ErrorKind::Conflict)
}

#[async_trait]
impl Records for GoogleRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        &self.record_type
    }

    async fn resolve(&self, _: &Context, asked: &[FieldPath]) -> Result<Resolved> {
        let record_type = &self.record_type;
        let mut found = BTreeMap::new();
        for path in asked {
            let field = fields::at_path(record_type, path)
                .ok_or_else(|| paths::unknown(path, record_type, path.leaf()))?;
            let owner = record_type.name.clone();
            found.insert(path.clone(), ResolvedField { path: path.clone(), field, owner });
        }
        Ok(Resolved { record_type: Arc::clone(record_type), fields: found })
    }

    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan> {
        let ground = Ground {
            home: self.home,
            calendar: self.calendar.as_ref().map(|calendar| calendar.id.as_str()),
            record_type: &self.record_type,
        };
        query::plan(query, resolved, ground).map_err(self.about("search"))
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        let reader =
            Reader { account: &self.account, home: self.home, record_type: &self.record_type, cx, plan };
        reader.page(at).await.map_err(self.about("search"))
    }

    /// Google counts nothing.
    async fn count(&self, _: &Context, _: &Plan) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn get(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let known = self.record_type.capability.get.as_ref().is_some_and(|get| get.by.contains(by));
        if !known {
            let name = &self.record_type.name;
            return Err(self.unsupported("get", &format!("Google does not find {name} by {by}")));
        }
        if *by != self.record_type.key {
            return self.read_by_uid(cx, keys, select).await.map_err(self.about("get"));
        }
        self.read(cx, keys, select).await.map_err(self.about("get"))
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        self.create_rows(cx, rows, options).await.map_err(self.about("create"))
    }

    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>> {
        self.update_rows(cx, rows, options).await.map_err(self.about("update"))
    }

    async fn upsert(
        &self,
        cx: &Context,
        _: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.upsert_rows(cx, rows, options).await.map_err(self.about("upsert"))
    }

    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.delete_rows(cx, rows, options).await.map_err(self.about("delete"))
    }

    async fn settle(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        self.settle_marks(cx, marks).await.map_err(self.about("settle"))
    }

    async fn changes(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        self.change_page(cx, since, select).await.map_err(self.about("changes"))
    }

    async fn read_content(&self, _: &Context, _: &Key, _: &str) -> Result<Content> {
        Err(self.unsupported("content get", "records of Google Calendar have no content"))
    }

    async fn write_content(
        &self,
        _: &Context,
        _: &Key,
        _: &str,
        _: Content,
        _: &WriteOptions,
    ) -> Result<Outcome> {
        Err(self.unsupported("content put", "records of Google Calendar have no content"))
    }

    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        let about = self.about("options");
        match choices::choices(&self.record_type, field, ask).map_err(about)? {
            Choices::Page(page) => Ok(page),
            Choices::Records(_) => self.calendars_to_choose(cx, ask).await.map_err(about),
        }
    }
}
