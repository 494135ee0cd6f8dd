//! Change tracking: a whole listing that ends with a delta link, and what changed since then.

use std::sync::Arc;

use http::StatusCode;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::errors::{Refusal, TRACKING_OFF};
use super::evaluate::Context;
use super::guid;
use super::query::{self, LARGEST_PAGE};
use super::request::Call;
use super::rows::{Place, Store};
use super::view::View;
use super::{Environment, json_reply};
use crate::emulator::json::write_string;
use crate::emulator::service::Reply;

/// How long a delta token is good.
const DAYS: i64 = 7;
const EXPIRED: &str = "0x80044352";

/// A delta token: the version and the moment up to which changes are known.
struct Token {
    version: i64,
    issued: Timestamp,
}

impl Token {
    /// `919042!08/22/2017 08:10:44`, percent-encoded with small letters.
    fn write(&self) -> String {
        let moment = self.issued.strftime("%m%%2f%d%%2f%Y%%20%H%%3a%M%%3a%S").to_string();
        format!("{}%21{moment}", self.version)
    }

    fn read(text: &str, now: Timestamp) -> Result<Self, Refusal> {
        let malformed = || Refusal::new("0x80040203", format!("The delta token '{text}' is not valid."));
        let (version, moment) = text.split_once('!').ok_or_else(malformed)?;
        let issued = DateTime::strptime("%m/%d/%Y %H:%M:%S", moment).map_err(|_| malformed())?;
        let issued = Offset::UTC.to_timestamp(issued).map_err(|_| malformed())?;
        if now.duration_since(issued) > SignedDuration::from_hours(24 * DAYS) {
            return Err(Refusal::new(
                EXPIRED,
                "Version stamp associated with the client has expired. Please perform a full sync.",
            ));
        }
        Ok(Self { version: version.parse().map_err(|_| malformed())?, issued })
    }
}

fn check(store: &Store, call: &Call<'_>, table: usize) -> Result<View, Refusal> {
    let about = store.about(table);
    if !about.tracked {
        return Err(Refusal::new(
            TRACKING_OFF,
            format!("Change tracking is not enabled for the entity {}.", about.name),
        ));
    }
    for option in ["$filter", "$orderby", "$expand", "$top"] {
        if call.option(option).is_some() {
            return Err(Refusal::new(
                "0x80060888",
                format!("The \"{option}\" query parameter isn't supported when Change Tracking is enabled."),
            ));
        }
    }
    query::check_options(call)?;
    let cx = Context { store, now: call.request.now, variable: None };
    View::read(cx, table, call.option("$select"), None)
}

/// Answers a listing that tracks changes, and one of changes.
///
/// # Errors
/// Tables without change tracking, options that do not go with it, expired tokens.
pub(super) fn list(environment: &mut Environment, call: &Call<'_>, table: usize) -> Result<Reply, Refusal> {
    let view = check(&environment.store, call, table)?;
    match call.option("$deltatoken") {
        None => whole(environment, call, &view),
        Some(text) => {
            let token = Token::read(text, call.request.now)?;
            delta(environment, call, &view, &token)
        }
    }
}

/// How many changes a token leads to.
///
/// # Errors
/// As [`list`].
pub(super) fn count(store: &Store, call: &Call<'_>, table: usize) -> Result<Reply, Refusal> {
    check(store, call, table)?;
    let token = Token::read(call.option("$deltatoken").unwrap_or_default(), call.request.now)?;
    let (written, deleted) = store.changes(table, token.version, store.version());
    let number = (written.len() + deleted.len()).to_string();
    Ok(Reply::new(StatusCode::OK, "text/plain", number))
}

fn page_size(call: &Call<'_>) -> usize {
    call.prefer.page.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE)
}

fn whole(environment: &mut Environment, call: &Call<'_>, view: &View) -> Result<Reply, Refusal> {
    let Environment { store, cookies, .. } = environment;
    let table = view.table;
    let cookie = query::raw_token(call).map(|raw| cookies.read(raw)).transpose()?;
    let from = cookie.as_ref().and_then(|cookie| store.locate_any(table, cookie.last));
    let from = from.map_or(0, |at| at.index + 1);
    // What changes while pages are read is told by the delta link.
    let since = cookie.as_ref().and_then(|cookie| cookie.since).unwrap_or_else(|| store.version());
    let size = page_size(call);
    let mut rows: Vec<Place> = store.live(table, from).take(size + 1).collect();
    let more = rows.len() > size;
    rows.truncate(size);
    let mut out = query::head(call, &format!("{}{}", store.about(table).set, view.names));
    out.push_str(",\"value\":[");
    view.write_rows(store, &rows, &call.prefer, &call.root(), &mut out);
    out.push(']');
    let number = cookie.map_or(1, |cookie| cookie.page);
    let next = query::cookie_after(store, cookies, table, &rows, number, None, Some(since));
    match next.filter(|_| more) {
        Some(next) => {
            out.push_str(",\"@odata.nextLink\":");
            write_string(&query::next_link(call, &next.write()), &mut out);
        }
        None => write_delta_link(call, since, &mut out),
    }
    out.push('}');
    Ok(json_reply(StatusCode::OK, out))
}

fn write_delta_link(call: &Call<'_>, version: i64, out: &mut String) {
    let kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase().replace("%24", "$");
        !matches!(name.as_str(), "$skiptoken" | "$deltatoken") && !pair.is_empty()
    };
    let mut query: Vec<&str> = call.request.query.split('&').filter(kept).collect();
    let token = format!("$deltatoken={}", Token { version, issued: call.request.now }.write());
    query.push(&token);
    out.push_str(",\"@odata.deltaLink\":");
    write_string(&format!("{}{}?{}", call.request.origin, call.request.path, query.join("&")), out);
}

fn delta(
    environment: &mut Environment,
    call: &Call<'_>,
    view: &View,
    token: &Token,
) -> Result<Reply, Refusal> {
    let Environment { store, cookies, .. } = environment;
    let table = view.table;
    let cookie = query::raw_token(call).map(|raw| cookies.read(raw)).transpose()?;
    let until = cookie.as_ref().and_then(|cookie| cookie.since).unwrap_or_else(|| store.version());
    // Entries are kept as twice the index, one more for a deletion.
    let (list, at) = match cookie.as_ref().and_then(|cookie| cookie.list) {
        Some((id, at)) => (cookies.list(id).unwrap_or_default(), at),
        None => {
            let (written, deleted) = store.changes(table, token.version, until);
            let written = written.into_iter().map(|at| at.index * 2);
            (Arc::new(written.chain(deleted.into_iter().map(|at| at.index * 2 + 1)).collect()), 0)
        }
    };
    let to = list.len().min(at + page_size(call));
    let part: Vec<(Place, bool)> = list
        .get(at..to)
        .unwrap_or_default()
        .iter()
        .map(|entry| (Place { table, index: entry / 2 }, entry % 2 == 1))
        .collect();
    let set = &store.about(table).set;
    let mut out = query::head(call, &format!("{set}{}/$delta", view.names));
    out.push_str(",\"value\":[");
    let written: Vec<Place> =
        part.iter().filter(|(at, gone)| !gone && store.is_live(*at)).map(|(at, _)| *at).collect();
    view.write_rows(store, &written, &call.prefer, &call.root(), &mut out);
    let mut first = written.is_empty();
    for (at, _) in part.iter().filter(|(_, gone)| *gone) {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str("{\"@odata.context\":");
        write_string(&call.context(&format!("{set}/$deletedEntity")), &mut out);
        out.push_str(&format!(",\"id\":\"{}\",\"reason\":\"deleted\"}}", guid::text(store.id(*at))));
    }
    out.push(']');
    if to < list.len() {
        let number = cookie.map_or(1, |cookie| cookie.page);
        let id = cookies.keep(list);
        let places: Vec<Place> = part.iter().map(|(at, _)| *at).collect();
        let next = query::cookie_after(store, cookies, table, &places, number, Some((id, to)), Some(until));
        if let Some(next) = next {
            out.push_str(",\"@odata.nextLink\":");
            write_string(&query::next_link(call, &next.write()), &mut out);
        }
    } else {
        write_delta_link(call, until, &mut out);
    }
    out.push('}');
    Ok(json_reply(StatusCode::OK, out))
}
