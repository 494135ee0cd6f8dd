//! An occurrence and all that follow it. The service has no such operation: the series ends before the occurrence, and for
//! a change a new series begins with it ("Recurring events", Google Calendar API).
//!
//! The new series is made first, under an id that follows from the old one and the occurrence, then exceptions go over to
//! it, then the old one is shortened, and what it had behind is taken away last. So nothing is ever missing. What is
//! refused before the old series is shortened is taken back; what breaks off is told as unknown, and the same change sent
//! again finds how far it came and ends the same.

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::records::{Address, GoogleRecords};
use super::series::{self, Cut};
use super::writes::{self, checked_version, gone, id_of_mark};
use super::{api, dialect, draft, exceptions, pages};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::multipart::Part;
use crate::provider::{Change, Context, Outcome, VersionedKey, WriteOptions};
use crate::record::Key;

/// How many new series one place can have had: the id of one that was deleted stays taken.
const TURNS: usize = 8;
const REPEAT: &str =
    "Part of it may be done. Send the same change again: it goes on where this one broke off";

/// A series, and where it is cut.
pub(super) struct Found {
    pub(super) master: Json,
    pub(super) series: Address,
    pub(super) cut: Cut,
}

impl Found {
    /// The new series that begins with the cut, if others were there before and are deleted.
    fn new_series(&self, turn: usize) -> Address {
        let mut mark = json!({ "series": self.series.id, "from": self.cut.compact() });
        if turn > 0 {
            mark["turn"] = json!(turn);
        }
        Address { id: id_of_mark(&mark), ..self.series.clone() }
    }
}

/// What the key of an occurrence means here.
enum Meant {
    /// The occurrence and those that follow.
    From(Found, Json),
    /// A whole event or series, as it is, with the record that was named.
    Whole(Address, Json, Json),
}

/// Why a change did not come to its end.
enum Stop {
    /// Nothing is changed.
    Before(Error),
    /// Some of it is done, or may be.
    Within(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Before(error)
    }
}

impl Stop {
    /// What a write that was sent ended with.
    fn sent(error: Error) -> Self {
        if error.leaves_open() { Self::Within(error) } else { Self::Before(error) }
    }
}

/// Refuses a record that has another version than the one that was asked for.
fn check_version(wanted: Option<&str>, record: &Json) -> Result<()> {
    match checked_version(wanted)? {
        Some(version) if record["etag"].as_str() != Some(version) => {
            Err(Error::new(ErrorKind::Conflict, format!("{version} is no longer the version of the record"))
                .with_code("conditionNotMet")
                .with_advice("Read it again, then write your change"))
        }
        _ => Ok(()),
    }
}

impl GoogleRecords {
    /// An event as the service has it, deleted or not.
    async fn event_now(&self, cx: &Context, operation: &'static str, address: &Address) -> Result<Json> {
        let resource = api::event(&address.calendar, &address.id);
        dialect::read("an event", &cx.send(api::get(operation, &resource)).await?.body)
    }

    /// What a key means: all from an occurrence on, or the whole where it is no occurrence or the first one.
    async fn meant(&self, cx: &Context, operation: &'static str, address: &Address) -> Result<Meant> {
        let named = self.event_now(cx, operation, address).await?;
        let series = named["recurringEventId"].as_str().map(str::to_owned);
        // Behind an occurrence that was taken away others may follow.
        if named["status"] == "cancelled" && (operation != "delete" || series.is_none()) {
            return Err(gone());
        }
        let Some(id) = series else { return Ok(Meant::Whole(address.clone(), named.clone(), named)) };
        let series = Address { id, ..address.clone() };
        let master = self.event_now(cx, operation, &series).await?;
        let cut = Cut::of(&named["originalStartTime"])?;
        if Cut::of(&master["start"])? == cut {
            return Ok(Meant::Whole(series, master, named));
        }
        Ok(Meant::From(Found { master, series, cut }, named))
    }

    /// The series that has ended before the place that the id of an occurrence names, where there is one.
    async fn cut_here(
        &self,
        cx: &Context,
        operation: &'static str,
        address: &Address,
    ) -> Result<Option<Found>> {
        let named = address.id.rsplit_once('_').and_then(|(series, at)| Some((series, Cut::named(at)?)));
        let Some((id, cut)) = named else { return Ok(None) };
        let series = Address { id: id.to_owned(), ..address.clone() };
        match self.event_now(cx, operation, &series).await {
            Ok(master) if master["status"] != "cancelled" && series::is_cut(&master, cut) => {
                Ok(Some(Found { master, series, cut }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The series that was begun at a cut, as it is.
    async fn begun(&self, cx: &Context, found: &Found) -> Result<Option<(Address, Json)>> {
        for turn in 0..TURNS {
            let new = found.new_series(turn);
            match self.event_now(cx, "update", &new).await {
                Ok(row) if row["status"] == "cancelled" => {}
                Ok(row) => return Ok(Some((new, row))),
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Sends requests that may each be repeated, those again that the service is too busy for; what became of each.
    ///
    /// # Errors
    /// What concerns a batch as a whole.
    async fn send_sure(
        &self,
        cx: &Context,
        operation: &'static str,
        parts: &[Part],
    ) -> Result<Vec<Result<()>>> {
        let mut told: Vec<Result<()>> = parts.iter().map(|_| Err(pages::cut_short())).collect();
        let mut left: Vec<usize> = (0..parts.len()).collect();
        for attempt in 1..=writes::ATTEMPTS {
            for some in left.chunks(api::BATCH) {
                let batch: Vec<Part> = some.iter().map(|at| parts[*at].clone()).collect();
                let answers = self.account.send_parts(cx, operation, &batch, true).await?;
                for (at, answer) in some.iter().zip(answers) {
                    told[*at] = match answer {
                        Some(answer) if answer.status.is_success() => Ok(()),
                        Some(answer) => Err(dialect::part_error(operation, &answer)),
                        None => Err(pages::cut_short()),
                    };
                }
            }
            let busy = |at: &usize| told[*at].as_ref().err().filter(|error| error.retry() == Retry::Always);
            left.retain(|at| busy(at).is_some());
            if left.is_empty() || attempt == writes::ATTEMPTS {
                break;
            }
            let asked = left.iter().filter_map(|at| busy(at)?.retry_after()).max();
            writes::rest(cx, attempt, asked.unwrap_or_default()).await;
        }
        Ok(told)
    }

    /// Sends requests of which each may be repeated. What is gone already is as it shall be.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) async fn send_all(&self, cx: &Context, operation: &'static str, parts: &[Part]) -> Result<()> {
        for (part, told) in parts.iter().zip(self.send_sure(cx, operation, parts).await?) {
            match told {
                Err(error) if part.method == Method::DELETE && error.kind() == ErrorKind::NotFound => {}
                told => told?,
            }
        }
        Ok(())
    }

    /// Changes a whole event or series.
    async fn change_whole(
        &self,
        cx: &Context,
        row: &Change,
        whole: Address,
        present: &Json,
        options: &WriteOptions,
    ) -> Result<Key, Stop> {
        let draft = draft::draft(&self.record_type, self.home, &row.edits, false, Some(present))?;
        let query = [draft.query.as_slice(), &draft::parameters(self.home, options)].concat();
        let resource = api::with_query(&api::event(&whole.calendar, &whole.id), &query);
        let mut part = api::part(Method::PATCH, &resource, draft.text());
        let depends = row.if_version.is_some() || draft::needs_present(&row.edits);
        if let Some(version) = present["etag"].as_str().filter(|_| depends) {
            part = api::if_match(part, version);
        }
        self.send_all(cx, "update", &[part]).await.map_err(Stop::sent)?;
        Ok(self.key(&whole))
    }

    /// Makes the series that begins with the cut. One that an earlier change made there and that is left becomes what
    /// this one wants.
    async fn begin(
        &self,
        cx: &Context,
        found: &Found,
        body: &Map<String, Json>,
        options: &WriteOptions,
    ) -> Result<Address, Stop> {
        let mut query = draft::switches(body);
        query.extend(draft::parameters(self.home, options));
        for turn in 0..TURNS {
            let new = found.new_series(turn);
            let mut body = body.clone();
            body.insert("id".to_owned(), json!(new.id));
            let text = Json::Object(body).to_string();
            let resource = api::with_query(&api::events(&new.calendar), &query);
            match self.send_all(cx, "update", &[api::part(Method::POST, &resource, text.clone())]).await {
                Ok(()) => return Ok(new),
                Err(error) if error.code() == Some(dialect::DUPLICATE) => {}
                Err(error) => return Err(Stop::sent(error)),
            }
            match self.event_now(cx, "update", &new).await {
                Ok(row) if row["status"] == "cancelled" => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Ok(_) => {
                    let resource = api::with_query(&api::event(&new.calendar, &new.id), &query);
                    let part = api::part(Method::PUT, &resource, text);
                    self.send_all(cx, "update", &[part]).await.map_err(Stop::Within)?;
                    return Ok(new);
                }
                Err(error) => return Err(Stop::Within(error)),
            }
        }
        Err(Stop::Before(
            Error::unsupported("this place of the series was made the beginning of a new one too often")
                .with_advice("Change an occurrence beside it"),
        ))
    }

    /// Takes a new series away again after a refusal, while the old one still has everything.
    async fn take_back(&self, cx: &Context, new: &Address, error: Error, options: &WriteOptions) -> Stop {
        if error.leaves_open() {
            return Stop::Within(error);
        }
        let query = draft::parameters(self.home, options);
        let resource = api::with_query(&api::event(&new.calendar, &new.id), &query);
        let part = api::part(Method::DELETE, &resource, String::new());
        match self.send_all(cx, "update", &[part]).await {
            Ok(()) => Stop::Before(error),
            Err(_) => Stop::Within(error),
        }
    }

    /// Ends a series before the cut.
    async fn shorten(
        &self,
        cx: &Context,
        operation: &'static str,
        found: &Found,
        options: &WriteOptions,
    ) -> Result<(), Stop> {
        let query = draft::parameters(self.home, options);
        let body = json!({ "recurrence": series::before(&found.master, found.cut)? });
        let resource = api::with_query(&api::event(&found.series.calendar, &found.series.id), &query);
        let mut part = api::part(Method::PATCH, &resource, body.to_string());
        if let Some(version) = found.master["etag"].as_str() {
            part = api::if_match(part, version);
        }
        match self.send_all(cx, operation, &[part]).await {
            Ok(()) => Ok(()),
            // An earlier sending whose answer was lost may be what changed it.
            Err(error) if error.status() == Some(412) => {
                let now = self.event_now(cx, operation, &found.series).await.map_err(Stop::Within)?;
                if series::is_cut(&now, found.cut) { Ok(()) } else { Err(Stop::Before(error)) }
            }
            Err(error) => Err(Stop::sent(error)),
        }
    }

    async fn change_following(
        &self,
        cx: &Context,
        row: &Change,
        options: &WriteOptions,
    ) -> Result<Key, Stop> {
        checked_version(row.if_version.as_deref())?;
        let address = self.address(cx, &row.key).await?;
        let (found, occurrence) = match self.meant(cx, "update", &address).await {
            Ok(Meant::From(found, occurrence)) => (found, occurrence),
            Ok(Meant::Whole(whole, present, named)) => {
                check_version(row.if_version.as_deref(), &named)?;
                return self.change_whole(cx, row, whole, &present, options).await;
            }
            Err(error) if error.kind() == ErrorKind::NotFound && row.if_version.is_none() => {
                let Some(found) = self.cut_here(cx, "update", &address).await? else {
                    return Err(error.into());
                };
                return self.go_on(cx, row, &found, options).await;
            }
            Err(error) => return Err(error.into()),
        };
        check_version(row.if_version.as_deref(), &occurrence)?;
        if series::is_cut(&found.master, found.cut) {
            return self.go_on(cx, row, &found, options).await;
        }
        let draft = draft::draft(&self.record_type, self.home, &row.edits, false, Some(&found.master))?;
        let exceptions = self.exceptions_behind(cx, "update", &found).await?;
        exceptions::check_places(&exceptions, &draft.body, options)?;
        let body = series::beginning(&found.master, &occurrence, found.cut, &draft.body);
        let new = self.begin(cx, &found, &body, options).await?;
        let moves = ["start", "end", "recurrence"].iter().any(|name| draft.body.contains_key(*name));
        if !moves && let Err(error) = self.carry_over(cx, &exceptions, &new, &draft.body, options).await {
            return Err(self.take_back(cx, &new, error, options).await);
        }
        match self.shorten(cx, "update", &found, options).await {
            Err(Stop::Before(error)) => return Err(self.take_back(cx, &new, error, options).await),
            shortened => shortened?,
        }
        self.drop_left(cx, "update", &found).await.map_err(Stop::Within)?;
        Ok(self.key(&new))
    }

    /// Goes on with a change that broke off when the series was cut already: the occurrence is the first of the new one.
    async fn go_on(
        &self,
        cx: &Context,
        row: &Change,
        found: &Found,
        options: &WriteOptions,
    ) -> Result<Key, Stop> {
        let Some((new, present)) = self.begun(cx, found).await? else { return Err(gone().into()) };
        self.drop_left(cx, "update", found).await.map_err(Stop::Within)?;
        self.change_whole(cx, row, new, &present, options).await
    }

    async fn end_before(
        &self,
        cx: &Context,
        row: &VersionedKey,
        options: &WriteOptions,
    ) -> Result<Key, Stop> {
        checked_version(row.if_version.as_deref())?;
        let address = self.address(cx, &row.key).await?;
        let key = self.key(&address);
        match self.meant(cx, "delete", &address).await {
            Ok(Meant::From(found, occurrence)) => {
                check_version(row.if_version.as_deref(), &occurrence)?;
                self.shorten(cx, "delete", &found, options).await?;
                self.drop_left(cx, "delete", &found).await.map_err(Stop::Within)?;
            }
            Ok(Meant::Whole(whole, present, named)) => {
                check_version(row.if_version.as_deref(), &named)?;
                let query = draft::parameters(self.home, options);
                let resource = api::with_query(&api::event(&whole.calendar, &whole.id), &query);
                let mut part = api::part(Method::DELETE, &resource, String::new());
                if let Some(version) = present["etag"].as_str().filter(|_| row.if_version.is_some()) {
                    part = api::if_match(part, version);
                }
                self.send_all(cx, "delete", &[part]).await.map_err(Stop::sent)?;
            }
            // It is gone; exceptions may be left of an earlier deletion that broke off.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(found) = self.cut_here(cx, "delete", &address).await? {
                    self.drop_left(cx, "delete", &found).await.map_err(Stop::Within)?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(key)
    }

    /// Changes occurrences with all that follow; the outcome has the key of the new series.
    pub(super) async fn update_following(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            let changed = self.change_following(cx, row, options).await;
            outcomes.push(self.told(changed.map(Outcome::Updated), "update", &row.key));
        }
        Ok(outcomes)
    }

    /// Deletes occurrences with all that follow.
    pub(super) async fn delete_following(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            let deleted = self.end_before(cx, row, options).await;
            outcomes.push(self.told(deleted.map(Outcome::Deleted), "delete", &row.key));
        }
        Ok(outcomes)
    }

    fn told(&self, outcome: Result<Outcome, Stop>, operation: &'static str, key: &Key) -> Outcome {
        let about = |error: Error| self.about(operation)(error.with_key(key.to_string()));
        match outcome {
            Ok(outcome) => outcome,
            Err(Stop::Before(error)) => Outcome::Failed(about(error)),
            Err(Stop::Within(error)) => Outcome::lost(&about(error).with_advice_instead(REPEAT), None),
        }
    }
}
