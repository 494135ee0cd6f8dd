//! An occurrence and all that follow it. The service has no such operation: the series ends before the occurrence, and for
//! a change a new series begins with it ("Recurring events", Google Calendar API).
//!
//! The new series is made first, under an id that follows from the old one and the occurrence. What breaks off in between
//! can so be done again and ends the same, while a series that was shortened first would have lost what follows.

use http::Method;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rrule::RRuleSet;
use serde_json::{Map, Value as Json, json};

use super::records::{Address, GoogleRecords};
use super::writes::{checked_version, gone, id_of_mark};
use super::{api, dialect, draft, exceptions};
use crate::error::{Error, ErrorKind, Result};
use crate::http::multipart::Part;
use crate::provider::{Change, Context, Outcome, VersionedKey, WriteOptions};
use crate::record::Key;

/// What the service keeps of an event, and a new one must not be given.
pub(super) const KEPT: [&str; 15] = [
    "kind",
    "etag",
    "id",
    "htmlLink",
    "created",
    "updated",
    "creator",
    "organizer",
    "iCalUID",
    "sequence",
    "hangoutLink",
    "recurringEventId",
    "originalStartTime",
    "locked",
    "endTimeUnspecified",
];

/// Where a series is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Day(Date),
    At(Timestamp),
}

impl Cut {
    pub(super) fn of(moment: &Json) -> Result<Self> {
        let text = |name: &str| moment[name].as_str();
        let day = text("date").and_then(|text| text.parse().ok()).map(Self::Day);
        day.or_else(|| text("dateTime").and_then(|text| text.parse().ok()).map(Self::At))
            .ok_or_else(|| Error::protocol("an occurrence does not tell when it was to start"))
    }

    /// The end of the rules that come before.
    fn until(self) -> Result<String> {
        let bad = || Error::invalid("there is nothing before this occurrence");
        Ok(match self {
            Self::Day(day) => day.yesterday().map_err(|_| bad())?.strftime("%Y%m%d").to_string(),
            Self::At(at) => {
                let last = at.checked_sub(SignedDuration::from_secs(1)).map_err(|_| bad())?;
                last.strftime("%Y%m%dT%H%M%SZ").to_string()
            }
        })
    }

    /// Whether a date of RDATE or EXDATE comes before. Times without a zone are those of the series.
    fn is_behind(self, text: &str, zone: &TimeZone) -> bool {
        let bare = text.split('/').next().unwrap_or(text).trim();
        match self {
            Self::Day(day) => Date::strptime("%Y%m%d", bare).is_ok_and(|own| own < day),
            Self::At(at) => instant(bare, zone).is_some_and(|own| own < at),
        }
    }
}

fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (local, zone) = match text.strip_suffix('Z') {
        Some(utc) => (utc, TimeZone::UTC),
        None => (text, zone.clone()),
    };
    let local = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", local).ok()?;
    Some(local.to_zoned(zone).ok()?.timestamp())
}

fn zone_of(master: &Json) -> TimeZone {
    master["start"]["timeZone"].as_str().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

fn lines(master: &Json) -> impl Iterator<Item = &str> {
    master["recurrence"].as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// The lines of the part before the cut.
fn before(master: &Json, cut: Cut) -> Result<Vec<String>> {
    let until = cut.until()?;
    let zone = zone_of(master);
    let each = lines(master).filter_map(|line| {
        let (head, value) = line.split_once(':')?;
        if head.starts_with("RRULE") || head.starts_with("EXRULE") {
            return Some(format!("{head}:{};UNTIL={until}", bare_rule(value)));
        }
        dates(head, value, |text| cut.is_behind(text, &zone))
    });
    Ok(each.collect())
}

/// The lines of the part that begins with the cut.
fn behind(master: &Json, cut: Cut) -> Vec<String> {
    let zone = zone_of(master);
    let each = lines(master).filter_map(|line| {
        let (head, value) = line.split_once(':')?;
        if head.starts_with("RRULE") || head.starts_with("EXRULE") {
            let Some(count) = part_of(value, "COUNT").and_then(|text| text.parse::<usize>().ok()) else {
                return Some(line.to_owned());
            };
            let left = count.saturating_sub(passed(master, value, cut, &zone)).max(1);
            return Some(format!("{head}:{};COUNT={left}", bare_rule(value)));
        }
        dates(head, value, |text| !cut.is_behind(text, &zone))
    });
    each.collect()
}

/// A line of dates with those that are wanted; nothing when there are none.
fn dates(head: &str, value: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let kept: Vec<&str> = value.split(',').filter(|text| wanted(text)).collect();
    (!kept.is_empty()).then(|| format!("{head}:{}", kept.join(",")))
}

fn part_of<'r>(rule: &'r str, name: &str) -> Option<&'r str> {
    rule.split(';')
        .filter_map(|part| part.split_once('='))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value)
}

/// A rule without its end.
fn bare_rule(rule: &str) -> String {
    let parts = rule.split(';').filter(|part| !part.starts_with("UNTIL=") && !part.starts_with("COUNT="));
    parts.collect::<Vec<_>>().join(";")
}

/// How often a rule with a count fits before the cut.
fn passed(master: &Json, rule: &str, cut: Cut, zone: &TimeZone) -> usize {
    let start = &master["start"];
    let begin = match Cut::of(start) {
        Ok(Cut::Day(day)) => format!("DTSTART:{}T000000Z", day.strftime("%Y%m%d")),
        Ok(Cut::At(at)) => {
            match start["timeZone"].as_str().filter(|name| !matches!(*name, "UTC" | "Etc/UTC")) {
                Some(name) => {
                    let local = at.to_zoned(zone.clone());
                    format!("DTSTART;TZID={name}:{}", local.strftime("%Y%m%dT%H%M%S"))
                }
                None => format!("DTSTART:{}", at.strftime("%Y%m%dT%H%M%SZ")),
            }
        }
        Err(_) => return 0,
    };
    let Ok(set) = format!("{begin}\nRRULE:{rule}").parse::<RRuleSet>() else { return 0 };
    let edge = match cut {
        Cut::Day(day) => day.to_zoned(TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second()),
        Cut::At(at) => at.as_second(),
    };
    set.into_iter().take_while(|own| own.timestamp() < edge).count()
}

/// An occurrence with its series.
pub(super) struct Found {
    occurrence: Json,
    pub(super) master: Json,
    pub(super) series: Address,
    pub(super) cut: Cut,
}

impl GoogleRecords {
    /// The occurrence and its series; nothing when the record is no occurrence, or the first one: then the whole is
    /// meant.
    async fn found(
        &self,
        cx: &Context,
        operation: &'static str,
        address: &Address,
    ) -> Result<Result<Found, Address>> {
        let read = async |address: &Address| -> Result<Json> {
            let resource = api::event(&address.calendar, &address.id);
            dialect::read("an event", &cx.send(api::get(operation, &resource)).await?.body)
        };
        let occurrence = read(address).await?;
        if occurrence["status"] == "cancelled" {
            return Err(gone());
        }
        let Some(series) = occurrence["recurringEventId"].as_str() else { return Ok(Err(address.clone())) };
        let series = Address { calendar: address.calendar.clone(), id: series.to_owned() };
        let master = read(&series).await?;
        let cut = Cut::of(&occurrence["originalStartTime"])?;
        if Cut::of(&master["start"])? == cut {
            return Ok(Err(series));
        }
        Ok(Ok(Found { occurrence, master, series, cut }))
    }

    /// The request that ends a series before an occurrence.
    fn shortening(&self, found: &Found, options: &WriteOptions) -> Result<Part> {
        let query = draft::parameters(self.home, options);
        let body = json!({ "recurrence": before(&found.master, found.cut)? });
        let resource = api::with_query(&api::event(&found.series.calendar, &found.series.id), &query);
        let part = api::part(Method::PATCH, &resource, body.to_string());
        Ok(match found.master["etag"].as_str() {
            Some(version) => api::if_match(part, version),
            None => part,
        })
    }

    /// Sends one request whose refusal is an error.
    async fn send_one(&self, cx: &Context, operation: &'static str, part: Part) -> Result<()> {
        let answers = self.account.send_parts(cx, operation, &[part], true).await?;
        let answer = answers.into_iter().next().flatten().ok_or_else(super::pages::cut_short)?;
        if answer.status.is_success() { Ok(()) } else { Err(dialect::part_error(operation, &answer)) }
    }

    async fn change_following(&self, cx: &Context, row: &Change, options: &WriteOptions) -> Result<Key> {
        checked_version(row.if_version.as_deref())?;
        let address = self.address(cx, &row.key).await?;
        let found = match self.found(cx, "update", &address).await? {
            Ok(found) => found,
            Err(whole) => {
                let draft = draft::draft(&self.record_type, self.home, &row.edits, false, None)?;
                let resource = api::with_query(
                    &api::event(&whole.calendar, &whole.id),
                    &[draft.query.as_slice(), &draft::parameters(self.home, options)].concat(),
                );
                self.send_one(cx, "update", api::part(Method::PATCH, &resource, draft.text())).await?;
                return Ok(self.key(&whole));
            }
        };
        if let Some(version) =
            row.if_version.as_deref().filter(|own| found.occurrence["etag"].as_str() != Some(own))
        {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{version} is no longer the version of the record"),
            )
            .with_code("conditionNotMet")
            .with_advice("Read it again, then write your change"));
        }
        let draft = draft::draft(&self.record_type, self.home, &row.edits, false, Some(&found.master))?;
        let exceptions = self.exceptions_behind(cx, "update", &found).await?;
        exceptions::check_places(&exceptions, &draft.body, options)?;
        let moves = ["start", "end", "recurrence"].iter().any(|name| draft.body.contains_key(*name));
        let id =
            id_of_mark(&json!({ "series": found.series.id, "from": found.occurrence["originalStartTime"] }));
        let mut body: Map<String, Json> = found.master.as_object().cloned().unwrap_or_default();
        body.retain(|name, _| !KEPT.contains(&name.as_str()));
        body.insert("recurrence".to_owned(), json!(behind(&found.master, found.cut)));
        for side in ["start", "end"] {
            body.insert(side.to_owned(), found.occurrence[side].clone());
        }
        merge(&mut body, &draft.body);
        body.insert("id".to_owned(), json!(id));
        let mut query = draft::switches(&body);
        query.extend(draft::parameters(self.home, options));
        let resource = api::with_query(&api::events(&found.series.calendar), &query);
        let part = api::part(Method::POST, &resource, Json::Object(body).to_string());
        match self.send_one(cx, "update", part).await {
            Err(error) if error.code() != Some(dialect::DUPLICATE) => return Err(error),
            _ => {}
        }
        let new = Address { id, ..found.series.clone() };
        if !moves {
            self.carry_over(cx, &exceptions, &new, &draft.body, options).await?;
        }
        self.send_one(cx, "update", self.shortening(&found, options)?).await?;
        self.drop_exceptions(cx, "update", &exceptions, &found.series).await?;
        Ok(self.key(&new))
    }

    async fn end_before(&self, cx: &Context, row: &VersionedKey, options: &WriteOptions) -> Result<Key> {
        let address = self.address(cx, &row.key).await?;
        let part = match self.found(cx, "delete", &address).await? {
            Ok(found) => {
                let exceptions = self.exceptions_behind(cx, "delete", &found).await?;
                self.send_one(cx, "delete", self.shortening(&found, options)?).await?;
                self.drop_exceptions(cx, "delete", &exceptions, &found.series).await?;
                return Ok(self.key(&address));
            }
            Err(whole) => {
                let query = draft::parameters(self.home, options);
                let resource = api::with_query(&api::event(&whole.calendar, &whole.id), &query);
                api::part(Method::DELETE, &resource, String::new())
            }
        };
        self.send_one(cx, "delete", part).await?;
        Ok(self.key(&address))
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
            let deleted = match self.end_before(cx, row, options).await {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(row.key.clone()),
                deleted => deleted,
            };
            outcomes.push(self.told(deleted.map(Outcome::Deleted), "delete", &row.key));
        }
        Ok(outcomes)
    }

    fn told(&self, outcome: Result<Outcome>, operation: &'static str, key: &Key) -> Outcome {
        let error = match outcome {
            Ok(outcome) => return outcome,
            Err(error) => self.about(operation)(error.with_key(key.to_string())),
        };
        if error.leaves_open() { Outcome::lost(&error, None) } else { Outcome::Failed(error) }
    }
}

/// One object merged into another: null takes away.
fn merge(into: &mut Map<String, Json>, changes: &Map<String, Json>) {
    for (name, value) in changes {
        match (into.get_mut(name), value) {
            (_, Json::Null) => drop(into.remove(name)),
            (Some(Json::Object(own)), Json::Object(changes)) => merge(own, changes),
            _ => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_cut_without_losing_or_doubling_an_occurrence() {
        let master = json!({
            "start": { "dateTime": "2026-01-08T09:30:00+01:00", "timeZone": "Europe/Berlin" },
            "recurrence": [
                "RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=10",
                "EXDATE;TZID=Europe/Berlin:20260115T093000,20260402T093000",
            ],
        });
        // The 13th week begins with summer time.
        let cut = Cut::of(&json!({ "dateTime": "2026-02-05T09:30:00+01:00" })).unwrap();
        let expected = [
            "RRULE:FREQ=WEEKLY;BYDAY=TH;UNTIL=20260205T082959Z",
            "EXDATE;TZID=Europe/Berlin:20260115T093000",
        ];
        assert_eq!(before(&master, cut).unwrap(), expected);
        let expected = ["RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=6", "EXDATE;TZID=Europe/Berlin:20260402T093000"];
        assert_eq!(behind(&master, cut), expected);
    }

    #[test]
    fn a_series_of_whole_days_ends_on_the_day_before() {
        let master =
            json!({ "start": { "date": "2026-01-30" }, "recurrence": ["RRULE:FREQ=MONTHLY;UNTIL=20271231"] });
        let cut = Cut::of(&json!({ "date": "2026-03-30" })).unwrap();
        assert_eq!(before(&master, cut).unwrap(), ["RRULE:FREQ=MONTHLY;UNTIL=20260329"]);
        assert_eq!(behind(&master, cut), ["RRULE:FREQ=MONTHLY;UNTIL=20271231"]);
    }
}
