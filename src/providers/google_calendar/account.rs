//! What is known of the account: its calendars and colours, kept for a while, and how calls are sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::fields::picklist;
use super::{api, dialect};
use crate::error::{Error, ErrorKind, Result};
use crate::http::multipart::{self, Answers, Part, PartReply};
use crate::provider::Context;
use crate::provider::descriptions::{Description, Kept};
use crate::record::record_type::Picklist;

/// Entries on one page of the list of calendars.
pub(super) const LIST_PAGE: u32 = 250;
/// The name that stands for the user's own calendar.
pub(super) const PRIMARY: &str = "primary";
/// The code for answers that cannot be given to their requests.
const MISCOUNTED: &str = "wrong_row_count";
/// Colours that calendars and events have had for years, for when the service does not tell.
const USUAL_COLOURS: usize = 11;

/// One calendar of the user's list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Calendar {
    pub(super) id: String,
    summary: String,
    summary_override: Option<String>,
    pub(super) time_zone: Option<String>,
    /// Nothing for a calendar that is not in the list: then only the service knows.
    access_role: Option<String>,
    pub(super) primary: bool,
}

impl Calendar {
    /// Its name for people.
    pub(super) fn label(&self) -> &str {
        let own = self.summary_override.as_deref().unwrap_or(&self.summary);
        if own.is_empty() { &self.id } else { own }
    }

    /// Whether the user may write events.
    pub(super) fn is_writable(&self) -> bool {
        !matches!(self.access_role.as_deref(), Some("none" | "freeBusyReader" | "reader"))
    }

    /// Whether the user may see and change who has access.
    pub(super) fn is_owned(&self) -> bool {
        matches!(self.access_role.as_deref(), None | Some("owner"))
    }
}

/// A page of a list as far as it is the same for all of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct ListPage<T> {
    pub(super) items: Vec<T>,
    pub(super) next_page_token: Option<String>,
}

/// Background and foreground by id.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Colours {
    calendar: BTreeMap<String, Json>,
    event: BTreeMap<String, Json>,
}

impl Colours {
    fn choices(colours: &BTreeMap<String, Json>) -> Picklist {
        let mut ids: Vec<String> = colours.keys().cloned().collect();
        if ids.is_empty() {
            ids = (1..=USUAL_COLOURS).map(|number| number.to_string()).collect();
        }
        ids.sort_by_key(|id| id.parse::<u32>().unwrap_or(u32::MAX));
        let label = |id: &String| {
            let shade = colours.get(id).and_then(|own| own["background"].as_str());
            shade.map_or_else(|| id.clone(), |shade| format!("{id} ({shade})"))
        };
        let labels: Vec<(String, String)> = ids.iter().map(|id| (id.clone(), label(id))).collect();
        let pairs: Vec<(&str, &str)> =
            labels.iter().map(|(id, label)| (id.as_str(), label.as_str())).collect();
        Picklist { restricted: false, ..picklist(&pairs) }
    }

    /// Colours that events can have.
    pub(super) fn of_events(&self) -> Picklist {
        Self::choices(&self.event)
    }

    /// Colours that calendars can have.
    pub(super) fn of_calendars(&self) -> Picklist {
        Self::choices(&self.calendar)
    }

    /// All of them as rows.
    pub(super) fn rows(&self) -> Vec<Json> {
        let groups = [("calendar", &self.calendar), ("event", &self.event)];
        let mut rows = Vec::new();
        for (group, colours) in groups {
            let mut ids: Vec<&String> = colours.keys().collect();
            ids.sort_by_key(|id| (id.parse::<u32>().unwrap_or(u32::MAX), *id));
            rows.extend(ids.into_iter().map(|id| {
                let own = &colours[id];
                let (background, foreground) = (&own["background"], &own["foreground"]);
                json!({ "group": group, "id": id, "background": background, "foreground": foreground })
            }));
        }
        rows
    }
}

/// What is known of the account of one connection.
#[derive(Debug, Default)]
pub(super) struct Account {
    calendars: Kept<Vec<Calendar>>,
    colours: Kept<Colours>,
}

impl Account {
    /// One page of the user's list of calendars.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn list_page(
        &self,
        cx: &Context,
        operation: &'static str,
        token: Option<&str>,
    ) -> Result<ListPage<Calendar>> {
        let size = LIST_PAGE.to_string();
        let mut query = vec![("maxResults", size.as_str()), ("showHidden", "true")];
        query.extend(token.map(|token| ("pageToken", token)));
        let call = api::get(operation, &api::with_query("users/me/calendarList", &query));
        dialect::read("the list of calendars", &cx.send(call).await?.body)
    }

    /// All calendars in the user's list, also those that are hidden from it.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn calendars(
        &self,
        cx: &Context,
        operation: &'static str,
        refresh: bool,
    ) -> Result<Arc<Vec<Calendar>>> {
        let ask = async |_| {
            let mut all: Vec<Calendar> = Vec::new();
            let mut token: Option<String> = None;
            loop {
                let page = self.list_page(cx, operation, token.as_deref()).await?;
                // What comes twice because the list changed meanwhile is one calendar.
                let new = page.items.into_iter().filter(|own| all.iter().all(|known| known.id != own.id));
                let new: Vec<Calendar> = new.collect();
                all.extend(new);
                if page.next_page_token.is_some() && page.next_page_token == token {
                    return Err(endless());
                }
                token = page.next_page_token;
                if token.is_none() {
                    return Ok(Description::new(cx, all));
                }
            }
        };
        self.calendars.get(cx, refresh, ask).await
    }

    /// The calendar that a name means: its id, or `primary`.
    ///
    /// # Errors
    /// `NotFound` for a calendar that the user cannot see.
    pub(super) async fn calendar(&self, cx: &Context, name: &str) -> Result<Calendar> {
        let entry = api::get("describe", &format!("users/me/calendarList/{}", api::encode(name)));
        let found = match cx.send(entry).await {
            // It may be visible without being in the list.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let own = api::get("describe", &format!("calendars/{}", api::encode(name)));
                cx.send(own).await
            }
            other => other,
        };
        match found {
            Ok(reply) => dialect::read("a calendar", &reply.body),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown_calendar(name)),
            Err(error) => Err(error),
        }
    }

    /// The id of the calendar that a part of a key means.
    ///
    /// # Errors
    /// As for [`calendar`](Self::calendar).
    pub(super) async fn calendar_id(&self, cx: &Context, name: &str) -> Result<String> {
        if name != PRIMARY {
            return Ok(name.to_owned());
        }
        let known = self.calendars(cx, "describe", false).await?;
        match known.iter().find(|calendar| calendar.primary) {
            Some(primary) => Ok(primary.id.clone()),
            None => Ok(self.calendar(cx, PRIMARY).await?.id),
        }
    }

    /// The colours of calendars and events.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn colours(&self, cx: &Context, operation: &'static str) -> Result<Arc<Colours>> {
        let ask = async |_| {
            let reply = cx.send(api::get(operation, "colors")).await?;
            Ok(Description::new(cx, dialect::read("the colours", &reply.body)?))
        };
        self.colours.get(cx, false, ask).await
    }

    /// Sends several requests in one batch, and gives the answer to each; `None` for one whose answer did not come.
    /// Answers that refuse the token are asked for again with a fresh one, and those that are missing once more where
    /// the requests may be repeated.
    ///
    /// # Errors
    /// What concerns the batch as a whole.
    pub(super) async fn send_parts(
        &self,
        cx: &Context,
        operation: &'static str,
        parts: &[Part],
        idempotent: bool,
    ) -> Result<Vec<Option<PartReply>>> {
        let mut answers = match batch(cx, operation, parts, idempotent).await {
            Err(error) if idempotent && error.code() == Some(MISCOUNTED) => {
                return batch(cx, operation, parts, idempotent).await;
            }
            answers => answers?,
        };
        let refused = |answer: &Option<PartReply>| {
            answer.as_ref().is_some_and(|answer| answer.status == StatusCode::UNAUTHORIZED)
        };
        let places: Vec<usize> = (0..answers.len())
            .filter(|at| refused(&answers[*at]) || (idempotent && answers[*at].is_none()))
            .collect();
        if places.is_empty() {
            return Ok(answers);
        }
        if answers.iter().any(refused) {
            // Parts are refused inside a good answer, which no layer looks into: a plain request gets the token renewed.
            let renewed = cx.send(api::get(operation, "users/me/settings/timezone")).await;
            match renewed {
                Err(error) if answers.iter().all(refused) => return Err(error),
                // What was answered stays told.
                Err(_) => return Ok(answers),
                Ok(_) => {}
            }
        }
        let again: Vec<Part> = places.iter().filter_map(|at| parts.get(*at).cloned()).collect();
        match batch(cx, operation, &again, idempotent).await {
            Ok(came) => places.into_iter().zip(came).for_each(|(at, answer)| answers[at] = answer),
            Err(error) if error.leaves_open() => places.into_iter().for_each(|at| answers[at] = None),
            Err(_) => {}
        }
        Ok(answers)
    }
}

/// One batch; the answer to each of its parts.
async fn batch(
    cx: &Context,
    operation: &'static str,
    parts: &[Part],
    idempotent: bool,
) -> Result<Vec<Option<PartReply>>> {
    let named: Vec<Part> = parts
        .iter()
        .enumerate()
        .map(|(at, part)| Part { id: Some(format!("<{at}>")), ..part.clone() })
        .collect();
    let reply = cx.send(api::batch(operation, &named, idempotent)).await?;
    let answers = multipart::read(reply.header("content-type").unwrap_or_default(), &reply.body)
        .map_err(|error| error.with_provider("google-calendar"))?;
    matched(answers, parts.len())
}

/// Gives each answer to its request: to the one that it names, and without names in their order. A request that no
/// answer is known to be of has none.
///
/// # Errors
/// Protocol when there are more answers than requests, or two of one request.
fn matched(Answers { replies, whole }: Answers, sent: usize) -> Result<Vec<Option<PartReply>>> {
    let came = replies.len();
    let mut answers: Vec<Option<PartReply>> = vec![None; sent];
    let mut nameless = Vec::new();
    for reply in replies {
        let Some(place) = place_of(&reply) else {
            nameless.push(reply);
            continue;
        };
        let slot = answers.get_mut(place).filter(|slot| slot.is_none());
        *slot.ok_or_else(|| miscounted(came, sent))? = Some(reply);
    }
    let open = answers.iter_mut().filter(|slot| slot.is_none());
    let missing = sent - (came - nameless.len());
    if nameless.len() > missing {
        return Err(miscounted(came, sent));
    }
    // Where some are missing, only a body without any names that broke off tells which: the last ones.
    if nameless.len() == missing || (!whole && missing == sent) {
        open.zip(nameless).for_each(|(slot, reply)| *slot = Some(reply));
    }
    Ok(answers)
}

/// The place of the request that an answer names: `<response-7>`.
fn place_of(reply: &PartReply) -> Option<usize> {
    let id = reply.id.as_deref()?.trim_matches(['<', '>']);
    id.strip_prefix("response-")?.trim_matches(['<', '>']).parse().ok()
}

fn miscounted(came: usize, sent: usize) -> Error {
    Error::protocol(format!("Google answered {came} of {sent} requests of a batch"))
        .with_provider("google-calendar")
        .with_code(MISCOUNTED)
}

/// The error for a list that leads to the same page again.
pub(super) fn endless() -> Error {
    Error::protocol("Google gives the same page again and again")
        .with_provider("google-calendar")
        .with_code("repeated_cursor")
}

fn unknown_calendar(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no calendar {name:?} that this user sees"))
        .with_provider("google-calendar")
        .with_code("unknown_calendar")
        .with_advice("`recordport search CONNECTION calendar_list_entry` lists the calendars with their ids")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    /// Answers with these names, whose statuses tell where they stood; and whose they are.
    fn places(names: &[Option<&str>], whole: bool, sent: usize) -> Option<Vec<Option<u16>>> {
        let replies = names.iter().zip(200_u16..).map(|(name, status)| PartReply {
            id: name.map(|name| format!("<response-{name}>")),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        });
        let answers = matched(Answers { replies: replies.collect(), whole }, sent).ok()?;
        Some(answers.into_iter().map(|own| own.map(|own| own.status.as_u16())).collect())
    }

    #[test]
    fn an_answer_is_that_of_the_request_that_it_names() {
        let named = [Some("2"), Some("0")];
        assert_eq!(places(&named, true, 3), Some(vec![Some(201), None, Some(200)]));
        assert_eq!(places(&named, false, 3), Some(vec![Some(201), None, Some(200)]));
        assert_eq!(places(&[], true, 1), Some(vec![None]));
        // One of no request, two of one, and more than requests.
        assert_eq!(places(&[Some("3")], true, 3), None);
        assert_eq!(places(&[Some("1"), Some("1")], true, 3), None);
        assert_eq!(places(&[None, None], true, 1), None);
    }

    #[test]
    fn answers_without_names_come_in_order_and_none_is_guessed() {
        assert_eq!(places(&[None, None], true, 2), Some(vec![Some(200), Some(201)]));
        assert_eq!(places(&[Some("1"), None], true, 2), Some(vec![Some(201), Some(200)]));
        // Cut short, the first ones came; complete, any may be missing.
        assert_eq!(places(&[None], false, 2), Some(vec![Some(200), None]));
        assert_eq!(places(&[None], true, 2), Some(vec![None, None]));
        assert_eq!(places(&[Some("2"), None], false, 3), Some(vec![None, None, Some(200)]));
    }
}
