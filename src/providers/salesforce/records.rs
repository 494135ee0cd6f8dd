//! The records of one type: pages, reading by key, writing in batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::api::{self, ADDRESS_MAX, WriteSwitches};
use super::discover::{BATCH, PAGE_MAX};
use super::query::{self, Statement};
use super::rows::{self, Present, SaveResult, Write};
use super::{Described, Org, choices, dialect, paths, soql};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::{Call, Reply};
use crate::provider::{
    Change, ChangePage, Context, Edit, Edits, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records,
    Resolved, Settled, VersionedKey, WriteOptions,
};
use crate::record::record_type::FieldType;
use crate::record::transcode::{self, Shape};
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, KeyPart, Page, Query, Record, RecordType, RowError,
};

/// How often the rows that met a lock are sent.
const LOCK_ATTEMPTS: u32 = 5;
/// First pause before rows that met a lock are sent again; it doubles.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// The records of one type on one connection.
#[derive(Debug)]
pub(super) struct SalesforceRecords {
    org: Arc<Org>,
    described: Arc<Described>,
    /// Types by the first characters of their ids, for references to several types.
    prefixes: Arc<HashMap<String, String>>,
}

/// Where a page starts; travels in [`Cursor::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Position {
    /// Salesforce's link to the page.
    next: Option<String>,
    /// The last key that was delivered.
    last: Option<String>,
    /// Records delivered before the search was started again behind a key: Salesforce's total begins there.
    before: u64,
}

/// One answer of a query.
struct Answer {
    records: Vec<Result<Record, RowError>>,
    next: Option<String>,
    total: Option<u64>,
}

impl SalesforceRecords {
    pub(super) fn new(org: Arc<Org>, described: Arc<Described>, prefixes: HashMap<String, String>) -> Self {
        Self { org, described, prefixes: Arc::new(prefixes) }
    }

    fn record_type_here(&self) -> &Arc<RecordType> {
        &self.described.record_type
    }

    /// Names this type and operation in an error.
    fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("salesforce")
                .with_record_type(self.record_type_here().name.as_str())
        }
    }

    fn unsupported(&self, operation: &'static str, what: &str) -> Error {
        self.about(operation)(Error::unsupported(format!("Salesforce {what}")))
    }

    /// Sends a query and reads its rows. An answer that cannot be read is asked for once more.
    async fn ask(&self, cx: &Context, call: Call, shape: &Shape) -> Result<Answer> {
        let reply = cx.send(call.clone()).await?;
        match answer(&reply, shape) {
            Err(error) if error.kind() == ErrorKind::Protocol => answer(&cx.send(call).await?, shape),
            read => read,
        }
    }

    fn statement(plan: &Plan) -> Result<Statement> {
        serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Salesforce's").with_source(source))
    }

    async fn page_at(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        let statement = Self::statement(plan)?;
        let shape = statement.shape(&[], &self.prefixes);
        let seen = at.map_or(0, |cursor| cursor.seen);
        let mut position: Position = match at {
            Some(cursor) => serde_json::from_value(cursor.position.clone()).map_err(|source| {
                Error::invalid("the cursor is not one of Salesforce's").with_source(source)
            })?,
            None => Position::default(),
        };
        let version = &self.org.version;
        let first = |after: Option<&str>| {
            let left = statement.limit.map(|limit| limit.saturating_sub(seen));
            let text = statement.text(after, left);
            api::query("search", version, &text, statement.deleted, statement.page_size)
        };
        let call = match &position.next {
            Some(link) => api::next_page(link, statement.page_size)?,
            None => first(position.last.as_deref()),
        };
        let answer = match self.ask(cx, call, &shape).await {
            Err(error) if is_dead_locator(&error) && at.is_some() => {
                let Some(last) = position.last.clone().filter(|_| plan.keyset) else {
                    return Err(error.with_advice(
                        "The place in the result has expired, and the order does not allow going on behind the last \
                         record. Search again, without an order to make it resumable",
                    ));
                };
                tracing::info!(record_type = %self.record_type_here().name, "the query locator has expired; going on behind the last key");
                position.before = seen;
                self.ask(cx, first(Some(&last)), &shape).await?
            }
            answer => answer?,
        };
        if let Some(Ok(record)) = answer.records.iter().rev().find(|record| record.is_ok()) {
            position.last = Some(record.key.to_string());
        }
        let seen = seen + answer.records.len() as u64;
        position.next = answer.next;
        let next = match &position.next {
            Some(_) => {
                let position = serde_json::to_value(&position)
                    .map_err(|source| Error::bug("a position is not JSON").with_source(source))?;
                Some(Cursor::new(plan.hash.as_str(), position, seen))
            }
            None => None,
        };
        Ok(Page { records: answer.records, next, total: answer.total.map(|total| total + position.before) })
    }

    /// The statement that reads records by a field.
    fn reading(&self, resolved: &Resolved, select: &[FieldPath], by: &str) -> Result<Statement> {
        let record_type = self.record_type_here();
        let mut extra = query::version_of(record_type);
        if by != "Id" {
            extra.push(by.to_owned());
        }
        Ok(Statement {
            object: record_type.name.as_str().to_owned(),
            columns: query::columns(select, &[], record_type, resolved)?,
            extra,
            condition: None,
            order: None,
            limit: None,
            deleted: false,
            page_size: PAGE_MAX,
        })
    }

    /// The literal by which a key is looked for, or why it cannot exist.
    fn key_literal(&self, by: &str, key: &Key) -> Result<String> {
        let record_type = self.record_type_here();
        let [part] = key.parts() else {
            return Err(Error::invalid(format!("a key of {} has one part", record_type.name)));
        };
        let text = part.to_string();
        let field = record_type.field(by);
        let is_id = |field: &FieldType| {
            matches!(field, FieldType::Reference(_))
                || matches!(field, FieldType::Text { form: crate::record::record_type::TextForm::Id, .. })
        };
        match field.map(|field| &field.field_type) {
            Some(field) if is_id(field) => match soql::canonical_id(&text) {
                Some(id) => Ok(soql::quoted(&id)),
                None => Err(Error::new(ErrorKind::NotFound, format!("{text:?} is no record id"))
                    .with_code("not_an_id")
                    .with_advice("A Salesforce id has 15 or 18 letters and digits")),
            },
            Some(FieldType::Integer { .. } | FieldType::Int64 | FieldType::Decimal { .. }) => {
                crate::record::number::Number::parse(&text)
                    .and_then(|number| soql::number(&number, false))
                    .ok_or_else(|| Error::invalid(format!("{text:?} is not a number that {by} can hold")))
            }
            Some(_) => Ok(soql::quoted(&text)),
            None => Err(Error::invalid(format!("{} has no field {by:?}", record_type.name))),
        }
    }

    async fn read_by(
        &self,
        cx: &Context,
        by: &str,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let resolved = paths::resolve(&self.org, cx, &self.described, select).await?;
        let statement = self.reading(&resolved, select, by)?;
        let key_fields: &[&str] = if by == "Id" { &[] } else { &[by] };
        let shape = statement.shape(key_fields, &self.prefixes);
        let about = self.about("get");
        let literals: Vec<Result<String>> = keys
            .iter()
            .map(|key| self.key_literal(by, key).map_err(|error| about(error).with_key(key.to_string())))
            .collect();
        let mut wanted: Vec<&String> = literals.iter().flatten().collect();
        wanted.sort();
        wanted.dedup();

        let mut found: Vec<Record> = Vec::new();
        let mut unreadable: Option<Error> = None;
        let mut parts: Vec<&[&String]> = wanted.chunks(BATCH).rev().collect();
        while let Some(part) = parts.pop() {
            let literals: Vec<&str> = part.iter().map(|literal| literal.as_str()).collect();
            let condition = format!("{by} IN ({})", literals.join(", "));
            let text = Statement { condition: Some(condition), ..statement.clone() }.text(None, None);
            if api::query_path(&self.org.version, &text, false).len() > ADDRESS_MAX && part.len() > 1 {
                let (front, back) = part.split_at(part.len() / 2);
                parts.push(back);
                parts.push(front);
                continue;
            }
            let mut call = api::query("get", &self.org.version, &text, false, PAGE_MAX);
            loop {
                let answer = self.ask(cx, call, &shape).await?;
                for record in answer.records {
                    match record {
                        Ok(record) => found.push(record),
                        Err(row) => unreadable = Some(about(row.error)),
                    }
                }
                match answer.next {
                    Some(link) => call = api::next_page(&link, PAGE_MAX)?,
                    None => break,
                }
            }
        }

        let ignores_case = by != "Id"
            && self.record_type_here().field(by).is_some_and(|field| field.case_sensitive != Some(true));
        let mut index: HashMap<String, Vec<Record>> = HashMap::new();
        for record in found {
            let parts = record.key.parts();
            let (own, id) = (parts.first().map(KeyPart::to_string), parts.last().cloned());
            let (Some(own), Some(id)) = (own, id) else { continue };
            let own = if ignores_case { own.to_lowercase() } else { own };
            index.entry(own).or_default().push(Record { key: Key::of(vec![id]), ..record });
        }
        let answers = keys.iter().zip(literals).map(|(key, literal)| {
            literal?;
            let text = key.to_string();
            let name = match by {
                "Id" => soql::canonical_id(&text).unwrap_or(text),
                _ if ignores_case => text.to_lowercase(),
                _ => text,
            };
            match index.get(&name).map(Vec::as_slice) {
                Some([one]) => Ok(Some(one.clone())),
                Some([_, _, ..]) => Err(about(
                    Error::new(ErrorKind::Conflict, format!("several records have {by} {key}"))
                        .with_code("MULTIPLE_CHOICES")
                        .with_key(key.to_string())
                        .with_advice("Use a unique field or the Id"),
                )),
                _ => match &unreadable {
                    Some(error) => Err(error.clone()),
                    None => Ok(None),
                },
            }
        });
        Ok(answers.collect())
    }

    /// What the lists hold now that some edits add to or remove from, by row.
    async fn present(&self, cx: &Context, by: &str, rows: &[Change]) -> Result<Vec<Present>> {
        let lists = |edits: &Edits| -> Vec<String> {
            edits
                .iter()
                .filter(|(_, edit)| matches!(edit, Edit::List { .. }))
                .map(|(name, _)| name.clone())
                .filter(|name| self.record_type_here().field(name).is_some())
                .collect()
        };
        let mut names: Vec<String> = rows.iter().flat_map(|row| lists(&row.edits)).collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Ok(vec![Present::new(); rows.len()]);
        }
        let select: Vec<FieldPath> = names.iter().map(|name| FieldPath::of([name.as_str()])).collect();
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let found = self.read_by(cx, by, &keys, &select).await?;
        Ok(found
            .into_iter()
            .map(|record| {
                let record = record.ok().flatten();
                record.and_then(|record| serde_json::from_slice(&record.json).ok()).unwrap_or_default()
            })
            .collect())
    }

    /// Sends rows that were made, each at its place, and puts the outcomes there. Rows that met a lock are sent
    /// again after a pause: Salesforce rolled them back.
    async fn send_rows(
        &self,
        cx: &Context,
        write: Write,
        made: Vec<Result<Made>>,
        switches: WriteSwitches,
        call: impl Fn(&[String]) -> Call + Send + Sync,
    ) -> Result<Vec<Outcome>> {
        let operation = match write {
            Write::Create => "create",
            Write::Update => "update",
            Write::Upsert => "upsert",
            Write::Delete => "delete",
        };
        let about = self.about(operation);
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(made.len());
        let mut waiting: Vec<(usize, Made)> = Vec::new();
        for (place, made) in made.into_iter().enumerate() {
            match made {
                Ok(made) => {
                    waiting.push((place, made));
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Outcome::Failed(about(error)))),
            }
        }
        if switches.all_or_none && outcomes.iter().any(Option::is_some) {
            for (place, _) in waiting.drain(..) {
                outcomes[place] = Some(Outcome::Failed(about(
                    Error::new(
                        ErrorKind::Refused,
                        "nothing was sent, because another row of the batch is wrong",
                    )
                    .with_code("ALL_OR_NONE_OPERATION_ROLLED_BACK"),
                )));
            }
        }
        let mut attempt = 1;
        while !waiting.is_empty() {
            let mut locked = Vec::new();
            for batch in split(std::mem::take(&mut waiting)) {
                let texts: Vec<String> = batch.iter().map(|(_, made)| made.text.clone()).collect();
                let results = match cx.send(call(&texts)).await {
                    Ok(reply) => {
                        dialect::read::<Vec<SaveResult>>(operation, &reply.body).and_then(|results| {
                            if results.len() == batch.len() {
                                return Ok(results);
                            }
                            Err(Error::protocol(format!(
                                "Salesforce answered {} rows for {}",
                                results.len(),
                                batch.len()
                            ))
                            .with_code("wrong_row_count"))
                        })
                    }
                    Err(error) => Err(error),
                };
                let results = match results {
                    Ok(results) => results,
                    Err(error) if rows::leaves_open(&error) => {
                        let error = about(error);
                        for (place, _) in batch {
                            outcomes[place] = Some(rows::unknown(&error));
                        }
                        continue;
                    }
                    // Nothing is known to be written only while no other row was sent.
                    Err(error) if outcomes.iter().all(Option::is_none) && locked.is_empty() => {
                        return Err(about(error));
                    }
                    Err(error) => {
                        let error = about(error);
                        for (place, _) in batch {
                            outcomes[place] = Some(Outcome::Failed(error.clone()));
                        }
                        continue;
                    }
                };
                let read: Vec<Outcome> = results
                    .iter()
                    .zip(&batch)
                    .map(|(result, (_, made))| rows::outcome(write, result, made.key.as_ref()))
                    .collect();
                let met_lock =
                    |outcome: &Outcome| outcome.error().is_some_and(|error| error.retry() == Retry::Always);
                let again = attempt < LOCK_ATTEMPTS && read.iter().any(met_lock);
                for ((place, made), outcome) in batch.into_iter().zip(read) {
                    if again && (switches.all_or_none || met_lock(&outcome)) {
                        locked.push((place, made));
                    } else {
                        outcomes[place] = Some(match outcome {
                            Outcome::Failed(error) => Outcome::Failed(about(error)),
                            Outcome::Unknown { marker, error } => {
                                Outcome::Unknown { marker, error: about(error) }
                            }
                            done => done,
                        });
                    }
                }
            }
            waiting = locked;
            if !waiting.is_empty() {
                let most = LOCK_PAUSE * 2_u32.pow(attempt - 1);
                let pause = most.mul_f64(rand::rng().random_range(0.5..=1.0));
                cx.clock.sleep(pause).await;
                attempt += 1;
            }
        }
        Ok(outcomes
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| rows::unknown(&about(Error::bug("a row has no outcome"))))
            })
            .collect())
    }

    /// Updates one row if it did not change since its version.
    async fn update_if(
        &self,
        cx: &Context,
        row: &Change,
        version: &str,
        present: &Present,
        switches: WriteSwitches,
    ) -> Result<Outcome> {
        let record_type = self.record_type_here();
        let prepared = (|| {
            let id = soql::canonical_id(&row.key.to_string()).ok_or_else(|| not_an_id(&row.key))?;
            let since = http_date(version).ok_or_else(|| {
                Error::invalid(format!("{version:?} is not a version of a Salesforce record"))
                    .with_advice("Give the @version that search or get printed")
            })?;
            let body = rows::body(record_type, &row.edits, present)?;
            api::update_unmodified(&self.org.version, record_type.name.as_str(), &id, &body, &since, switches)
        })();
        let about = self.about("update");
        let named = |error: Error| about(error).with_key(row.key.to_string());
        let call = match prepared {
            Ok(call) => call,
            Err(error) => return Ok(Outcome::Failed(named(error))),
        };
        match cx.send(call).await {
            Ok(_) => Ok(Outcome::Updated(row.key.clone())),
            Err(error) if error.kind() == ErrorKind::DryRun => Err(error),
            Err(error) if rows::leaves_open(&error) => Ok(rows::unknown(&named(error))),
            Err(error) => Ok(Outcome::Failed(named(error))),
        }
    }

    async fn update_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        switches: WriteSwitches,
    ) -> Result<Vec<Outcome>> {
        let record_type = self.record_type_here();
        let present = self.present(cx, "Id", rows).await?;
        if switches.all_or_none && rows.iter().any(|row| row.if_version.is_some()) {
            return Err(
                self.unsupported("update", "checks versions row by row, so all_or_none cannot go with them")
            );
        }
        let mut plain = Vec::new();
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        for (place, (row, present)) in rows.iter().zip(&present).enumerate() {
            if let Some(version) = &row.if_version {
                outcomes[place] = Some(self.update_if(cx, row, version, present, switches).await?);
                continue;
            }
            let made = soql::canonical_id(&row.key.to_string())
                .ok_or_else(|| not_an_id(&row.key))
                .and_then(|id| {
                    let id = Json::from(id).to_string();
                    rows::row(record_type, Some(("id", &id)), &row.edits, false, present)
                })
                .map(|text| Made { text, key: Some(row.key.clone()) })
                .map_err(|error| error.with_key(row.key.to_string()));
            plain.push((place, made));
        }
        let (places, made): (Vec<usize>, Vec<Result<Made>>) = plain.into_iter().unzip();
        let sent = self
            .send_rows(cx, Write::Update, made, switches, |rows| {
                api::update(&self.org.version, rows, switches)
            })
            .await?;
        for (place, outcome) in places.into_iter().zip(sent) {
            outcomes[place] = Some(outcome);
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// The switches of a write's options.
    fn switches(&self, operation: &'static str, options: &WriteOptions) -> Result<WriteSwitches> {
        let mut switches = WriteSwitches::default();
        for (name, value) in options {
            let place = match name.as_str() {
                "all_or_none" => &mut switches.all_or_none,
                "allow_duplicates" if operation != "delete" => &mut switches.allow_duplicates,
                _ => {
                    return Err(self.about(operation)(
                        Error::invalid(format!("{operation} has no option {name:?}"))
                            .with_field(name, "it is all_or_none or allow_duplicates"),
                    ));
                }
            };
            *place = match value {
                Json::Bool(flag) => *flag,
                Json::String(text) if text == "true" || text == "false" => text == "true",
                other => {
                    return Err(self.about(operation)(
                        Error::invalid(format!("{other} is not true or false"))
                            .with_field(name, "true or false"),
                    ));
                }
            };
        }
        Ok(switches)
    }
}

/// A row ready to be sent.
#[derive(Debug, Clone)]
struct Made {
    text: String,
    key: Option<Key>,
}

fn split(mut rows: Vec<(usize, Made)>) -> Vec<Vec<(usize, Made)>> {
    let mut out = Vec::new();
    while rows.len() > BATCH {
        let back = rows.split_off(BATCH);
        out.push(std::mem::replace(&mut rows, back));
    }
    out.push(rows);
    out
}

fn not_an_id(key: &Key) -> Error {
    Error::new(ErrorKind::NotFound, format!("{:?} is no record id", key.to_string()))
        .with_code("not_an_id")
        .with_advice("A Salesforce id has 15 or 18 letters and digits")
}

/// A version (an instant, with `+0000` or `Z`) as an HTTP date (RFC 9110 section 5.6.7), seconds rounded up.
fn http_date(version: &str) -> Option<String> {
    let text = version.strip_suffix("+0000").map_or_else(|| version.to_owned(), |front| format!("{front}Z"));
    let instant: Timestamp = text.parse().ok()?;
    let whole = if instant.subsec_nanosecond() == 0 { instant.as_second() } else { instant.as_second() + 1 };
    let moment = Timestamp::from_second(whole).ok()?.to_zoned(TimeZone::UTC);
    Some(moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

fn is_dead_locator(error: &Error) -> bool {
    matches!(error.code(), Some("INVALID_QUERY_LOCATOR" | "QUERY_LOCATOR_EXPIRED"))
}

fn answer(reply: &Reply, shape: &Shape) -> Result<Answer> {
    let wrong = |what: &str| {
        Error::protocol(format!("Salesforce's answer to a query {what}"))
            .with_provider("salesforce")
            .with_code("not_json")
    };
    let page =
        transcode::cut_page(&reply.body, "records").map_err(|error| error.with_provider("salesforce"))?;
    let done: Option<bool> = page.member("done")?;
    let next: Option<String> = page.member("nextRecordsUrl")?;
    if !page.has_rows {
        return Err(wrong("has no records"));
    }
    let next = match (done, next) {
        (Some(true), _) | (None, None) => None,
        (_, Some(link)) => Some(link),
        (Some(false), None) => return Err(wrong("is not the last page and does not tell the next")),
    };
    if done.is_none() && next.is_none() {
        return Err(wrong("does not say whether it is the last page"));
    }
    Ok(Answer { records: transcode::records(&page.rows, shape), next, total: page.member("totalSize")? })
}

#[async_trait]
impl Records for SalesforceRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        self.record_type_here()
    }

    async fn resolve(&self, cx: &Context, paths: &[FieldPath]) -> Result<Resolved> {
        paths::resolve(&self.org, cx, &self.described, paths).await
    }

    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan> {
        query::plan(query, resolved, self.record_type_here(), &self.org.version).map_err(self.about("search"))
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        self.page_at(cx, plan, at).await.map_err(self.about("search"))
    }

    async fn count(&self, cx: &Context, plan: &Plan) -> Result<Option<u64>> {
        if plan.residual.is_some() {
            return Ok(None);
        }
        let statement = Self::statement(plan)?;
        let call =
            api::query("count", &self.org.version, &statement.count_text(), statement.deleted, PAGE_MAX);
        let reply = cx.send(call).await.map_err(self.about("count"))?;
        let page = transcode::cut_page(&reply.body, "records").map_err(self.about("count"))?;
        page.member("totalSize").map_err(self.about("count"))
    }

    async fn get(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let known = self.record_type_here().capability.get.as_ref().is_some_and(|get| get.by.contains(by));
        let ([field], true) = (by.0.as_slice(), known) else {
            return Err(
                self.unsupported("get", &format!("does not find {} by {by}", self.record_type_here().name))
            );
        };
        self.read_by(cx, field, keys, select).await.map_err(self.about("get"))
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let switches = self.switches("create", options)?;
        let made = rows
            .iter()
            .map(|row| {
                rows::row(self.record_type_here(), None, &row.fields, true, &Present::new())
                    .map(|text| Made { text, key: None })
            })
            .collect();
        self.send_rows(cx, Write::Create, made, switches, |rows| {
            api::create(&self.org.version, rows, switches)
        })
        .await
    }

    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let switches = self.switches("update", options)?;
        self.update_rows(cx, rows, switches).await.map_err(self.about("update"))
    }

    async fn upsert(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("upsert", options)?;
        let record_type = self.record_type_here();
        let known = record_type.capability.upsert.as_ref().is_some_and(|upsert| upsert.by.contains(by));
        let ([field], true) = (by.0.as_slice(), known) else {
            return Err(self.unsupported("upsert", &format!("does not upsert {} by {by}", record_type.name)));
        };
        let present = self.present(cx, field, rows).await.map_err(self.about("upsert"))?;
        let made = rows
            .iter()
            .zip(&present)
            .map(|(row, present)| {
                if row.if_version.is_some() {
                    return Err(self.unsupported("upsert", "cannot check a version on upsert"));
                }
                let [part] = row.key.parts() else {
                    return Err(Error::invalid(format!("the key of an upsert by {by} has one part")));
                };
                let value = serde_json::to_string(part)
                    .map_err(|source| Error::bug("a key is not JSON").with_source(source))?;
                let edits: Edits = row.edits.iter().filter(|(name, _)| name != field).cloned().collect();
                rows::row(record_type, Some((field, &value)), &edits, false, present)
                    .map(|text| Made { text, key: None })
                    .map_err(|error| error.with_key(row.key.to_string()))
            })
            .collect();
        self.send_rows(cx, Write::Upsert, made, switches, |rows| {
            api::upsert(&self.org.version, record_type.name.as_str(), field, rows, switches)
        })
        .await
    }

    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("delete", options)?;
        let made = rows
            .iter()
            .map(|row| {
                if row.if_version.is_some() {
                    return Err(self
                        .unsupported("delete", "cannot check a version on delete")
                        .with_key(row.key.to_string()));
                }
                let id = soql::canonical_id(&row.key.to_string())
                    .ok_or_else(|| not_an_id(&row.key).with_key(row.key.to_string()))?;
                Ok(Made { text: id, key: Some(row.key.clone()) })
            })
            .collect();
        self.send_rows(cx, Write::Delete, made, switches, |ids| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            api::delete(&self.org.version, &ids, switches)
        })
        .await
    }

    async fn settle(&self, _: &Context, _: &[Json]) -> Result<Vec<Settled>> {
        Err(self.unsupported("settle", "keeps no marks with its records"))
    }

    async fn changes(&self, _: &Context, _: Option<&Checkpoint>, _: &[FieldPath]) -> Result<ChangePage> {
        Err(self.unsupported("changes", "changes are not read by this version of recordport"))
    }

    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        choices::options(&self.org, cx, &self.described, field, ask).await.map_err(self.about("options"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_becomes_an_http_date() {
        assert_eq!(
            http_date("2022-03-17T16:21:26.000+0000").as_deref(),
            Some("Thu, 17 Mar 2022 16:21:26 GMT")
        );
        assert_eq!(http_date("2022-03-17T16:21:26.001Z").as_deref(), Some("Thu, 17 Mar 2022 16:21:27 GMT"));
        assert_eq!(http_date("W/\"abc\""), None);
    }
}
