//! Google Calendar from the other side: its API on loopback, with Google's sign-in beside it.
//!
//! Events are made on demand from the seed; series are expanded by a library for RFC 5545.

mod account;
mod batch;
mod calendars;
mod call;
mod errors;
mod event;
mod events;
mod import;
mod listing;
mod moments;
mod occurrences;
mod partial;
mod rules;
mod seed;
mod short_lists;
mod store;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use self::account::Account;
use self::call::Call;
use self::errors::Refusal;
use self::event::Around;
use self::partial::Mask;
use self::seed::{CALENDARS, Seed};
use self::store::{Calendar, Store};
use crate::emulator::grants::Grants;
use crate::emulator::service::{PageShape, Reply, Request, Service, ServiceConfig};
use crate::error::Result;

const API: &str = "/calendar/v3/";
const BATCH: [&str; 2] = ["/batch/calendar/v3", "/batch"];
const CONTROL: &str = "/_emulator/google-calendar/";
const USER: &str = "ada@emulated.example";
const USER_NAME: &str = "Ada Example";

/// Which scopes admit a group of methods (`scopes` of methods, discovery document of the Calendar API).
mod scopes {
    pub(super) const EVENTS_READ: [&str; 9] = [
        "calendar",
        "calendar.app.created",
        "calendar.events",
        "calendar.events.freebusy",
        "calendar.events.owned",
        "calendar.events.owned.readonly",
        "calendar.events.public.readonly",
        "calendar.events.readonly",
        "calendar.readonly",
    ];
    pub(super) const EVENTS_WRITE: [&str; 4] =
        ["calendar", "calendar.app.created", "calendar.events", "calendar.events.owned"];
    pub(super) const EVENTS_MOVE: [&str; 3] = ["calendar", "calendar.events", "calendar.events.owned"];
    pub(super) const CALENDARS_READ: [&str; 5] = [
        "calendar",
        "calendar.app.created",
        "calendar.calendars",
        "calendar.calendars.readonly",
        "calendar.readonly",
    ];
    pub(super) const CALENDARS_WRITE: [&str; 3] = ["calendar", "calendar.app.created", "calendar.calendars"];
    pub(super) const CALENDARS_CLEAR: [&str; 2] = ["calendar", "calendar.calendars"];
    pub(super) const LIST_READ: [&str; 5] = [
        "calendar",
        "calendar.app.created",
        "calendar.calendarlist",
        "calendar.calendarlist.readonly",
        "calendar.readonly",
    ];
    pub(super) const LIST_ALL: [&str; 4] =
        ["calendar", "calendar.calendarlist", "calendar.calendarlist.readonly", "calendar.readonly"];
    pub(super) const LIST_WRITE: [&str; 3] = ["calendar", "calendar.app.created", "calendar.calendarlist"];
    pub(super) const LIST_INSERT: [&str; 2] = ["calendar", "calendar.calendarlist"];
    pub(super) const ACL_READ: [&str; 4] =
        ["calendar", "calendar.acls", "calendar.acls.readonly", "calendar.readonly"];
    pub(super) const ACL_LIST: [&str; 3] = ["calendar", "calendar.acls", "calendar.acls.readonly"];
    pub(super) const ACL_WRITE: [&str; 2] = ["calendar", "calendar.acls"];
    pub(super) const SETTINGS: [&str; 4] =
        ["calendar", "calendar.readonly", "calendar.settings", "calendar.settings.readonly"];
    pub(super) const COLOURS: [&str; 9] = [
        "calendar",
        "calendar.app.created",
        "calendar.calendarlist",
        "calendar.calendarlist.readonly",
        "calendar.events.freebusy",
        "calendar.events.owned",
        "calendar.events.owned.readonly",
        "calendar.events.public.readonly",
        "calendar.readonly",
    ];
    pub(super) const FREE_BUSY: [&str; 4] =
        ["calendar", "calendar.events.freebusy", "calendar.freebusy", "calendar.readonly"];
}

/// The emulated account.
#[derive(Debug)]
pub struct GoogleCalendar {
    config: ServiceConfig,
    account: Account,
    imports: Mutex<Vec<Map<String, Value>>>,
    store: Mutex<Store>,
}

fn fresh(config: &ServiceConfig) -> Store {
    let seed = Seed::new(config.seed, USER, config.scale, config.empty);
    let mut all = Vec::new();
    for (number, (_, summary, zone)) in CALENDARS.iter().enumerate() {
        let mut calendar =
            Calendar::new(seed.calendar_id(number), summary, zone, Some(number), seed.per_calendar());
        calendar.primary = number == 0;
        calendars::own_rule(&mut calendar, USER);
        if number > 0 {
            calendar.shared.insert("dataOwner".to_owned(), json!(USER));
        }
        all.push(calendar);
    }
    // Holidays of a country: a sign in its id that addresses must escape, and no right to write.
    let mut holidays = Calendar::new(
        "de.german#holiday@group.v.calendar.google.com".to_owned(),
        "Feiertage",
        "Europe/Berlin",
        None,
        seed.per_calendar(),
    );
    holidays.role = "reader";
    all.push(holidays);
    let settings = vec![
        ("timezone", "Europe/Berlin".to_owned()),
        ("locale", "en".to_owned()),
        ("weekStart", "1".to_owned()),
        ("format24HourTime", "true".to_owned()),
        ("defaultEventLength", "60".to_owned()),
    ];
    Store::new(seed, all, settings)
}

impl GoogleCalendar {
    /// An account as its seed makes it, with its client, service account and tokens.
    ///
    /// # Errors
    /// When the service account's key cannot be made or written.
    pub fn start(config: &ServiceConfig) -> Result<Self> {
        Ok(Self {
            account: Account::start(config, USER, USER_NAME)?,
            store: Mutex::new(fresh(config)),
            imports: Mutex::new(Vec::new()),
            config: config.clone(),
        })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self, request: &Request) -> Reply {
        let rest = request.path.strip_prefix(API).unwrap_or_default().trim_end_matches('/');
        let answered = self.admit(request, rest).and_then(|by_service_account| {
            let call = Call::read(request, rest, by_service_account);
            let mask = call.option("fields").map(Mask::read).transpose()?;
            let reply = route(&mut self.store(), &call)?;
            Ok(match mask {
                Some(mask) => part_of(reply, &mask),
                None => reply,
            })
        });
        answered.unwrap_or_else(|refusal| refusal.reply())
    }

    fn admit(&self, request: &Request, rest: &str) -> std::result::Result<bool, Refusal> {
        let parts: Vec<&str> = rest.split('/').collect();
        let wanted = scopes_of(&request.method, &parts).ok_or_else(Refusal::not_found)?;
        self.account.admit(request, wanted)
    }

    fn batch(&self, request: &Request, refuse: Option<usize>) -> Reply {
        let each = |inner: &Request, number: usize| {
            if refuse.is_some_and(|every| every > 0 && number.is_multiple_of(every)) {
                return Refusal::forbidden("forbidden", "Forbidden").reply();
            }
            if inner.path.starts_with(API) { self.api(inner) } else { Refusal::not_found().reply() }
        };
        batch::handle(request, each).unwrap_or_else(|refusal| refusal.reply())
    }

    fn control(&self, request: &Request) -> Reply {
        match (request.path.strip_prefix(CONTROL), &request.method) {
            (Some("expire-sync-tokens"), &Method::POST) => {
                self.store().epoch += 1;
                Reply::json(StatusCode::OK, &json!({ "expired": true }))
            }
            (Some("page-rows"), &Method::POST) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let most = body["most"].as_u64().and_then(|most| usize::try_from(most).ok());
                self.store().page_rows = most.filter(|most| *most > 0);
                Reply::json(StatusCode::OK, &json!({ "most": most }))
            }
            (Some("expire-page-tokens"), &Method::POST) => {
                self.store().page_epoch += 1;
                Reply::json(StatusCode::OK, &json!({ "expired": true }))
            }
            _ => {
                let known = "see expire-sync-tokens, expire-page-tokens, page-rows";
                Reply::json(StatusCode::NOT_FOUND, &json!({ "error": known }))
            }
        }
    }

    /// Puts imported events into the user's own calendar.
    fn take_in(&self, bodies: &[Map<String, Value>]) -> std::result::Result<(), String> {
        let mut store = self.store();
        for body in bodies {
            let request = Request {
                method: Method::POST,
                path: String::new(),
                query: String::new(),
                headers: HeaderMap::new(),
                body: Bytes::from(Value::Object(body.clone()).to_string()),
                origin: String::new(),
                now: self.config.clock.now(),
            };
            let call = Call::read(&request, "calendars/primary/events/import", false);
            let summary = body.get("summary").and_then(Value::as_str).unwrap_or("an event without a title");
            events::import(&mut store, 0, &call).map_err(|refusal| {
                format!("{summary}: {}", String::from_utf8_lossy(&refusal.reply().body))
            })?;
        }
        Ok(())
    }
}

fn scopes_of(method: &Method, parts: &[&str]) -> Option<&'static [&'static str]> {
    let read = method == Method::GET;
    Some(match parts {
        ["calendars", _, "events", _, "move"] => &scopes::EVENTS_MOVE,
        ["calendars", _, "events", _, "instances"] | ["calendars", _, "events" | "acl", "watch"] => {
            &scopes::EVENTS_READ
        }
        ["calendars", _, "events", ..] if read => &scopes::EVENTS_READ,
        ["calendars", _, "events", ..] => &scopes::EVENTS_WRITE,
        ["calendars", _, "acl"] if read => &scopes::ACL_LIST,
        ["calendars", _, "acl", _] if read => &scopes::ACL_READ,
        ["calendars", _, "acl", ..] => &scopes::ACL_WRITE,
        ["calendars", _, "clear" | "transferOwnership"] => &scopes::CALENDARS_CLEAR,
        ["calendars", _] if read => &scopes::CALENDARS_READ,
        ["calendars"] | ["calendars", _] => &scopes::CALENDARS_WRITE,
        ["users", "me", "calendarList"] if read => &scopes::LIST_ALL,
        ["users", "me", "calendarList"] => &scopes::LIST_INSERT,
        ["users", "me", "calendarList", "watch"] => &scopes::LIST_ALL,
        ["users", "me", "calendarList", _] if read => &scopes::LIST_READ,
        ["users", "me", "calendarList", _] => &scopes::LIST_WRITE,
        ["users", "me", "settings", ..] => &scopes::SETTINGS,
        ["colors"] => &scopes::COLOURS,
        ["freeBusy"] => &scopes::FREE_BUSY,
        ["channels", "stop"] => &scopes::EVENTS_READ,
        _ => return None,
    })
}

fn route(store: &mut Store, call: &Call<'_>) -> std::result::Result<Reply, Refusal> {
    let parts: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let method = call.method().clone();
    let place = |store: &Store, id: &str| store.place_of(id).ok_or_else(Refusal::not_found);
    match (parts.as_slice(), method.as_str()) {
        (["calendars"], "POST") => calendars::insert(store, call),
        (["calendars", id], "GET" | "PUT" | "PATCH" | "DELETE") => {
            calendars::one(store, place(store, id)?, call)
        }
        (["calendars", id, "clear"], "POST") => calendars::clear(store, place(store, id)?, call),
        (["calendars", id, "transferOwnership"], "POST") => {
            calendars::transfer(store, place(store, id)?, call)
        }
        (["calendars", id, "events"], "GET") => listing::list(store, place(store, id)?, call),
        (["calendars", id, "events"], "POST") => events::insert(store, place(store, id)?, call),
        (["calendars", id, "events", "import"], "POST") => events::import(store, place(store, id)?, call),
        (["calendars", id, "events", "quickAdd"], "POST") => {
            events::quick_add(store, place(store, id)?, call)
        }
        (
            ["calendars", _, "events" | "acl", "watch"]
            | ["users", "me", "calendarList" | "settings", "watch"],
            "POST",
        ) => watch(call),
        (["calendars", id, "events", event], "GET") => events::get(store, place(store, id)?, event, call),
        (["calendars", id, "events", event], "PUT") => {
            events::change(store, place(store, id)?, event, call, true)
        }
        (["calendars", id, "events", event], "PATCH") => {
            events::change(store, place(store, id)?, event, call, false)
        }
        (["calendars", id, "events", event], "DELETE") => {
            events::delete(store, place(store, id)?, event, call)
        }
        (["calendars", id, "events", event, "move"], "POST") => {
            events::relocate(store, place(store, id)?, event, call)
        }
        (["calendars", id, "events", event, "instances"], "GET") => {
            listing::instances(store, place(store, id)?, event, call)
        }
        (["calendars", id, "acl"], "GET" | "POST") => rules::rules(store, place(store, id)?, call),
        (["calendars", id, "acl", rule], "GET" | "PUT" | "PATCH" | "DELETE") => {
            rules::one_rule(store, place(store, id)?, rule, call)
        }
        (["users", "me", "calendarList"], "GET") => calendars::list(store, call),
        (["users", "me", "calendarList"], "POST") => calendars::subscribe(store, call),
        (["users", "me", "calendarList", id], "GET" | "PUT" | "PATCH" | "DELETE") => {
            calendars::list_entry(store, place(store, id)?, call)
        }
        (["users", "me", "settings"], "GET") => calendars::settings(store, call),
        (["users", "me", "settings", id], "GET") => calendars::one_setting(store, id),
        (["colors"], "GET") => Ok(calendars::colours()),
        (["freeBusy"], "POST") => calendars::free_busy(store, call),
        (["channels", "stop"], "POST") => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        _ => Err(Refusal::not_found()),
    }
}

/// The part of an answer that was asked for.
fn part_of(mut reply: Reply, mask: &Mask) -> Reply {
    if let Ok(body) = serde_json::from_slice::<Value>(&reply.body) {
        reply.body = Bytes::from(mask.of(&body).to_string());
    }
    reply
}

/// A channel is promised and nothing is ever sent: this machine has no address that the service could reach.
fn watch(call: &Call<'_>) -> std::result::Result<Reply, Refusal> {
    let body = call.body()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(id), Some(_)) = (text("id"), text("address")) else {
        return Err(Refusal::required("Missing channel id or address."));
    };
    let out = json!({
        "kind": "api#channel",
        "id": id,
        "resourceId": "emulated",
        "resourceUri": format!("{}{}", call.request.origin, call.request.path),
    });
    Ok(errors::answer(StatusCode::OK, &out, false))
}

impl Service for GoogleCalendar {
    fn name(&self) -> &'static str {
        "google-calendar"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with(API) || BATCH.contains(&path) || path.starts_with(CONTROL) || Account::owns(path)
    }

    fn handle(&self, request: &Request) -> Reply {
        if request.path.starts_with(CONTROL) {
            return self.control(request);
        }
        if Account::owns(&request.path) {
            return self.account.handle(request);
        }
        if BATCH.contains(&request.path.as_str()) {
            return self.batch(request, None);
        }
        self.api(request)
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        BATCH.contains(&request.path.as_str()).then(|| self.batch(request, Some(every)))
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        let refusal = match status {
            StatusCode::UNAUTHORIZED => Refusal::unauthorized(),
            StatusCode::FORBIDDEN => Refusal::forbidden("forbidden", "Forbidden"),
            StatusCode::TOO_MANY_REQUESTS => {
                Refusal::new(status, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded")
            }
            StatusCode::NOT_FOUND => Refusal::not_found(),
            StatusCode::GONE => Refusal::full_sync(),
            StatusCode::PRECONDITION_FAILED => Refusal::stale(),
            status if status.is_server_error() => {
                Refusal::new(status, "global", "backendError", "Backend Error")
            }
            status => Refusal::new(status, "global", "badRequest", "Bad Request"),
        };
        refusal.reply()
    }

    fn grants(&self) -> Option<&Grants> {
        Some(self.account.grants())
    }

    fn credentials(&self) -> Value {
        self.account.credentials()
    }

    fn expire_access_tokens(&self) {
        self.account.grants().expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        PageShape { rows: "items", next: "nextPageToken", done: None, more: None, total: None }
    }

    fn reset(&self) {
        self.account.grants().reset();
        *self.store() = fresh(&self.config);
        let imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        // They were taken in once already.
        let _ = self.take_in(&imports);
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        let store = self.store();
        // `event:primary` are the events of one calendar.
        let (base, scope) = match record_type.split_once(':') {
            Some((base, scope)) => (base, Some(store.place_of(scope)?)),
            None => (record_type, None),
        };
        match base {
            "event" => {
                let mut all = Vec::new();
                let places = 0..store.calendars.len();
                let places = places.filter(|place| scope.is_none_or(|scope| scope == *place));
                for calendar in places.filter_map(|place| store.calendars.get(place)) {
                    let zone = calendar.zone();
                    let around =
                        Around { calendar: &calendar.id, zone: &zone, wanted: None, most_attendees: None };
                    for event in calendar.events(&store.seed, 0) {
                        let mut shown = event.shown(around);
                        shown["calendar_id"] = json!(calendar.id);
                        all.push(shown);
                    }
                }
                Some(all)
            }
            "calendar" => Some(store.calendars.iter().map(calendars::shared).collect()),
            "calendar_list_entry" => {
                let entries = store.calendars.iter().enumerate();
                Some(entries.filter_map(|(number, calendar)| calendars::entry(calendar, number)).collect())
            }
            "acl_rule" => {
                let all = store.calendars.iter().map(|calendar| (calendar, rules::rules_of(calendar)));
                let named = all.flat_map(|(calendar, rules)| {
                    rules.into_iter().map(|mut rule| {
                        rule["calendar_id"] = json!(calendar.id);
                        rule
                    })
                });
                Some(named.collect())
            }
            _ => None,
        }
    }

    fn import(&self, file: &Path) -> std::result::Result<(), String> {
        let bodies = import::read(file)?;
        self.take_in(&bodies)?;
        self.imports.lock().unwrap_or_else(PoisonError::into_inner).extend(bodies);
        Ok(())
    }
}
