//! Fault rules: what shall go wrong, when, and how often.
//!
//! Rules are tried in the order they were given; the first that fits a request is used, and used up after
//! `times` requests. A rule fits when the request does (`service`, `method`, `path`, `page`) and when its kind
//! has something to work on: a next link, records, a committed write, a batch.

mod page;
mod records;
mod rule;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use url::form_urlencoded;

use self::page::Page;
pub(crate) use self::rule::glob;
pub use self::rule::{Kind, Rule};
use crate::emulator::compression;
use crate::emulator::service::{Reply, Request, Service};

/// Rules kept at a time.
const MAX_RULES: usize = 1_000;
/// Next links remembered to tell which page of a listing a request asks for.
const MAX_LINKS: usize = 10_000;

/// A host that no client has any business with.
const FOREIGN: &str = "http://127.0.0.2:9";

const LOGIN_PAGE: &str = "<!doctype html><html><head><title>Login</title></head><body><h1>Sign in</h1>\
<form method=\"post\" action=\"/login\"><input name=\"username\"><input name=\"pw\" type=\"password\">\
<button>Log In</button></form></body></html>\n";

const GATEWAY_PAGE: &str = "<html><head><title>503 Service Temporarily Unavailable</title></head><body>\
<center><h1>503 Service Temporarily Unavailable</h1></center><hr></body></html>\n";

/// How an answer goes over the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// As it should.
    Whole,
    /// Half of it, then a reset.
    Reset,
    /// Half of it in chunks, then the end of the connection.
    Truncated,
    /// The headers, then nothing.
    Silence(Option<Duration>),
    /// A kilobyte at a time.
    Slow(Duration),
    /// A gzip bomb in place of the body.
    Bomb,
    /// No answer at all.
    Dropped,
}

/// An answer with everything that rules made of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) delivery: Delivery,
    /// Wait this long first.
    pub(crate) delay: Option<Duration>,
    /// The rule that struck: its id and its kind.
    pub(crate) fault: Option<(u64, &'static str)>,
}

impl Answer {
    fn plain(reply: Reply) -> Self {
        Self { reply, delivery: Delivery::Whole, delay: None, fault: None }
    }
}

/// The rules of one emulator and what they remember.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    next_id: u64,
    rules: Vec<Entry>,
    /// Page number by next link, in the order of arrival for forgetting.
    links: HashMap<String, u64>,
    links_order: VecDeque<String>,
    /// Links whose page leads back to itself.
    loops: Vec<String>,
    /// Links that empty pages gave, and the request each stands for.
    aliases: HashMap<String, Request>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    rule: Arc<Rule>,
    /// Requests that fitted so far.
    fitted: u64,
    /// Requests struck so far.
    struck: u64,
}

/// The request's reply, made at most once.
struct Lazy<'a> {
    service: &'a dyn Service,
    request: &'a Request,
    reply: Option<Reply>,
}

impl Lazy<'_> {
    fn reply(&mut self) -> &mut Reply {
        self.reply.get_or_insert_with(|| self.service.handle(self.request))
    }

    fn take(mut self) -> Reply {
        self.reply.take().unwrap_or_else(|| self.service.handle(self.request))
    }

    fn page(&mut self) -> Option<Page> {
        let shape = self.service.page_shape();
        let reply = self.reply();
        if reply.status == StatusCode::OK { Page::parse(&reply.body, shape) } else { None }
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::new(State::new(seed)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule and gives its id.
    ///
    /// # Errors
    /// A sentence when there are too many.
    pub fn add(&self, rule: Rule) -> Result<u64, String> {
        let mut state = self.state();
        if state.rules.len() >= MAX_RULES {
            return Err(format!("there are {MAX_RULES} rules already: DELETE /_emulator/faults"));
        }
        state.next_id += 1;
        let id = state.next_id;
        state.rules.push(Entry { id, rule: Arc::new(rule), fitted: 0, struck: 0 });
        Ok(id)
    }

    /// Removes one rule; false when there is none of that id.
    pub fn remove(&self, id: u64) -> bool {
        let mut state = self.state();
        let before = state.rules.len();
        state.rules.retain(|entry| entry.id != id);
        state.rules.len() < before
    }

    /// Removes all rules and ends all loops. Empty pages handed out already still lead on to their records.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.loops.clear();
    }

    /// Forgets everything, as after start.
    pub(crate) fn reset(&self) {
        *self.state() = State::new(self.seed);
    }

    /// All rules with what they did so far.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let state = self.state();
        let rules = state.rules.iter().map(|entry| {
            let mut rule = serde_json::to_value(&*entry.rule).unwrap_or_default();
            rule["id"] = json!(entry.id);
            rule["fitted"] = json!(entry.fitted);
            rule["struck"] = json!(entry.struck);
            rule["remaining"] = json!(entry.rule.times.saturating_sub(entry.struck));
            rule
        });
        json!({ "rules": rules.collect::<Vec<_>>() })
    }

    /// Answers a request, with the first rule that fits.
    pub(crate) fn answer(&self, service: &dyn Service, request: &Request) -> Answer {
        let (rules, looping, aliased) = {
            let state = self.state();
            let rules: Vec<(u64, Arc<Rule>)> = state
                .rules
                .iter()
                .filter(|entry| entry.struck < entry.rule.times)
                .map(|entry| (entry.id, Arc::clone(&entry.rule)))
                .collect();
            (rules, !state.loops.is_empty(), !state.aliases.is_empty())
        };
        if rules.is_empty() && !looping && !aliased {
            return Answer::plain(service.handle(request));
        }
        let names = continuations(request);
        let original = if aliased { self.unalias(&names, request) } else { None };
        let (request, names) = match &original {
            Some(original) => (original, continuations(original)),
            None => (request, names),
        };
        let (page_number, led_here) = self.place(&names);
        let mut lazy = Lazy { service, request, reply: None };
        let mut answer = None;
        for (id, rule) in rules {
            if rule.addresses(service.name(), &request.method, &request.path, &request.query)
                && fits(&rule, page_number, &mut lazy)
                && self.take(id)
            {
                answer = Some((id, rule));
                break;
            }
        }
        if answer.as_ref().is_none_or(|(_, rule)| rule.kind.executes()) {
            lazy.reply();
        }
        // The link of the true page is noted before a rule changes it.
        if lazy.reply.is_some()
            && let Some(page) = lazy.page()
            && let Some(next) = &page.next
        {
            self.note_link(next, page_number.unwrap_or(1) + 1);
        }
        let mut answer = match answer {
            Some((id, rule)) => self.strike(id, &rule, led_here.as_deref(), lazy),
            None => Answer::plain(lazy.take()),
        };
        if let Some(link) = led_here
            && self.state().loops.contains(&link)
            && answer.reply.status == StatusCode::OK
            && let Some(mut page) = Page::parse(&answer.reply.body, service.page_shape())
        {
            page.next = Some(link);
            answer.reply.body = page.render().into();
        }
        answer
    }

    /// The request that a link of an empty page stands for, with the headers that came now.
    fn unalias(&self, names: &[String], request: &Request) -> Option<Request> {
        let state = self.state();
        let original = names.iter().find_map(|name| state.aliases.get(name))?;
        Some(Request {
            headers: request.headers.clone(),
            origin: request.origin.clone(),
            now: request.now,
            ..original.clone()
        })
    }

    /// Which page of a listing a request asks for, and the link that led to it; none for a first page.
    fn place(&self, names: &[String]) -> (Option<u64>, Option<String>) {
        let state = self.state();
        let known = names.iter().find_map(|name| state.links.get(name).map(|number| (*number, name.clone())));
        known.map_or((None, None), |(number, name)| (Some(number), Some(name)))
    }

    fn note_link(&self, link: &str, number: u64) {
        let mut state = self.state();
        if state.links.insert(link.to_owned(), number).is_none() {
            state.links_order.push_back(link.to_owned());
        }
        while state.links_order.len() > MAX_LINKS {
            if let Some(oldest) = state.links_order.pop_front() {
                state.links.remove(&oldest);
            }
        }
    }

    /// Counts a request that fits; true when the rule strikes it.
    fn take(&self, id: u64) -> bool {
        let mut state = self.state();
        let State { rules, rng, .. } = &mut *state;
        let Some(entry) = rules.iter_mut().find(|entry| entry.id == id) else { return false };
        entry.fitted += 1;
        let due = entry.struck < entry.rule.times
            && entry.rule.nth.is_none_or(|nth| entry.fitted >= nth)
            && entry.rule.probability.is_none_or(|chance| rng.random_bool(chance));
        if due {
            entry.struck += 1;
        }
        due
    }

    fn strike(&self, id: u64, rule: &Rule, led_here: Option<&str>, mut lazy: Lazy<'_>) -> Answer {
        let (service, request) = (lazy.service, lazy.request);
        let mut delivery = Delivery::Whole;
        let wait = rule.delay_ms.map(Duration::from_millis);
        let mut delay = wait;
        let html = |status, page: &'static str| Reply::new(status, "text/html;charset=UTF-8", page);
        let mut reply = match rule.kind {
            Kind::Status => service.refusal(status(rule, StatusCode::INTERNAL_SERVER_ERROR)),
            Kind::Unauthorized => service.refusal(status(rule, StatusCode::UNAUTHORIZED)),
            Kind::Forbidden => service.refusal(status(rule, StatusCode::FORBIDDEN)),
            Kind::TooManyRequests => service
                .refusal(status(rule, StatusCode::TOO_MANY_REQUESTS))
                .with_header(RETRY_AFTER, rule.retry_after.as_deref().unwrap_or("1")),
            Kind::TooManyRequestsDate => service
                .refusal(status(rule, StatusCode::TOO_MANY_REQUESTS))
                .with_header(RETRY_AFTER, &retry_date(rule.retry_after.as_deref(), request.now)),
            Kind::Unavailable => service.refusal(status(rule, StatusCode::SERVICE_UNAVAILABLE)),
            Kind::Html503 => html(StatusCode::SERVICE_UNAVAILABLE, GATEWAY_PAGE),
            Kind::Html200 => html(StatusCode::OK, LOGIN_PAGE),
            Kind::Empty200 => Reply::new(StatusCode::OK, "application/json;charset=UTF-8", Bytes::new()),
            Kind::Redirect => {
                let query = if request.query.is_empty() { "" } else { "?" };
                let target = format!("{FOREIGN}{}{query}{}", request.path, request.query);
                Reply::empty(StatusCode::FOUND).with_header(LOCATION, &target)
            }
            Kind::Gzipbomb => {
                delivery = Delivery::Bomb;
                Reply::new(StatusCode::OK, "application/json;charset=UTF-8", Bytes::new())
            }
            Kind::Badjson => {
                let mut reply = lazy.take();
                reply.status = StatusCode::OK;
                let half = reply.body.len() / 2;
                reply.body.truncate(half);
                reply
            }
            Kind::Badgzip => {
                let mut reply = lazy.take();
                let zipped = compression::gzip_always(&reply.body).unwrap_or_default();
                reply.body = zipped.slice(..zipped.len() / 2);
                reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                reply
            }
            Kind::Reset => {
                delivery = Delivery::Reset;
                lazy.take()
            }
            Kind::Trunc => {
                delivery = Delivery::Truncated;
                lazy.take()
            }
            Kind::Hang => {
                delivery = Delivery::Silence(delay.take());
                lazy.take()
            }
            Kind::Slow => {
                delivery = Delivery::Slow(delay.take().unwrap_or(Duration::from_secs(1)));
                lazy.take()
            }
            Kind::Evilnext | Kind::Loop | Kind::Emptypage | Kind::Short => {
                self.change_page(rule, led_here, lazy)
            }
            Kind::Deep | Kind::Badutf8 | Kind::Dupkeys | Kind::Hugenum => {
                let page = lazy.page();
                let mut reply = lazy.take();
                match page {
                    Some(mut page) => {
                        records::spoil(rule.kind, &mut page.rows, rule.field.as_deref());
                        reply.body = page.render().into();
                    }
                    None => {
                        let mut rows = vec![reply.body.to_vec()];
                        records::spoil(rule.kind, &mut rows, rule.field.as_deref());
                        reply.body = rows.into_iter().next().unwrap_or_default().into();
                    }
                }
                reply.headers.remove(ETAG);
                reply
            }
            Kind::Partial => lazy.take(),
            Kind::DropAfterCommit => {
                delivery = Delivery::Dropped;
                lazy.take()
            }
            Kind::UnavailableAfterCommit => {
                lazy.reply();
                service.refusal(status(rule, StatusCode::SERVICE_UNAVAILABLE))
            }
            Kind::ExpireToken => {
                service.expire_access_tokens();
                lazy.reply = None;
                lazy.take()
            }
        };
        adjust(&mut reply, rule);
        Answer { reply, delivery, delay, fault: Some((id, rule.kind.name())) }
    }

    fn change_page(&self, rule: &Rule, led_here: Option<&str>, mut lazy: Lazy<'_>) -> Reply {
        let request = lazy.request;
        let page = lazy.page();
        let mut reply = lazy.take();
        let Some(mut page) = page else { return reply };
        let Some(next) = page.next.clone().or_else(|| led_here.map(str::to_owned)) else { return reply };
        match rule.kind {
            Kind::Evilnext => {
                let path = next.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
                let path = path.unwrap_or(&next);
                let slash = if path.starts_with('/') { "" } else { "/" };
                let link = rule.body.as_ref().and_then(Value::as_str).map(str::to_owned);
                page.next = Some(link.unwrap_or_else(|| format!("{FOREIGN}{slash}{path}")));
            }
            Kind::Short => page.next = None,
            Kind::Loop => self.state().loops.push(next),
            Kind::Emptypage => {
                let mut state = self.state();
                if state.aliases.len() < MAX_LINKS {
                    let alias = format!("{next}-{}", state.aliases.len());
                    state.aliases.insert(alias.clone(), request.clone());
                    page.rows.clear();
                    page.next = Some(alias);
                }
            }
            _ => {}
        }
        reply.body = page.render().into();
        reply
    }
}

impl State {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            next_id: 0,
            rules: Vec::new(),
            links: HashMap::new(),
            links_order: VecDeque::new(),
            loops: Vec::new(),
            aliases: HashMap::new(),
        }
    }
}

/// Whether a rule whose address fits also has something to work on.
fn fits(rule: &Rule, page_number: Option<u64>, lazy: &mut Lazy<'_>) -> bool {
    let on_page = match (rule.page, page_number) {
        (None, _) => true,
        (Some(wanted), Some(number)) => wanted == number,
        (Some(1), None) => lazy.page().is_some(),
        (Some(_), None) => false,
    };
    if !on_page {
        return false;
    }
    let kind = rule.kind;
    if kind.is_about_pages() {
        // Before a last page an empty one can be put too, as long as some link led there to model one on.
        let modelled = kind == Kind::Emptypage && page_number.is_some();
        return lazy.page().is_some_and(|page| page.next.is_some() || modelled);
    }
    if kind.is_about_records() {
        return match lazy.page() {
            Some(page) => !page.rows.is_empty(),
            // A single record is struck only where the rule names its path; other objects are not records.
            None => {
                let reply = lazy.reply();
                rule.path != "*" && reply.status == StatusCode::OK && reply.body.starts_with(b"{")
            }
        };
    }
    if kind.is_after_commit() {
        // Issuing tokens changes no row, so such a request is struck only where the rule names its path.
        let named = rule.path != "*" && lazy.request.method != Method::GET;
        let reply = lazy.reply();
        return reply.committed || (named && reply.status.is_success());
    }
    match kind {
        Kind::Partial => {
            if lazy.reply.is_none() {
                lazy.reply = rule.every().and_then(|every| lazy.service.partial(lazy.request, every));
                lazy.reply.is_some()
            } else {
                false
            }
        }
        Kind::ExpireToken => lazy
            .request
            .headers
            .get(AUTHORIZATION)
            .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"bearer ")),
        _ => true,
    }
}

fn status(rule: &Rule, default: StatusCode) -> StatusCode {
    rule.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(default)
}

/// The rule's own status, headers and body over what the kind made.
fn adjust(reply: &mut Reply, rule: &Rule) {
    reply.status = status(rule, reply.status);
    if let Some(body) = rule.body.as_ref().filter(|_| !matches!(rule.kind, Kind::Evilnext | Kind::Partial)) {
        reply.body = match body {
            Value::String(text) => Bytes::from(text.clone()),
            other => {
                let json = HeaderValue::from_static("application/json;charset=UTF-8");
                reply.headers.insert(CONTENT_TYPE, json);
                Bytes::from(other.to_string())
            }
        };
    }
    if let Some(text) = rule.retry_after.as_deref().filter(|_| rule.kind != Kind::TooManyRequestsDate)
        && let Ok(value) = HeaderValue::from_str(text)
    {
        reply.headers.insert(RETRY_AFTER, value);
    }
    for (name, value) in &rule.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            && name != CONTENT_LENGTH
        {
            reply.headers.insert(name, value);
        }
    }
}

/// An HTTP date some seconds ahead of the emulated time; text that is no number stands as it is.
fn retry_date(retry_after: Option<&str>, now: Timestamp) -> String {
    match retry_after.unwrap_or("2").parse::<i64>() {
        Ok(seconds) => {
            let then = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
            super::clock::http_date(then)
        }
        Err(_) => retry_after.unwrap_or_default().to_owned(),
    }
}

/// All texts by which a request can name the page that it wants: its address in every spelling that a next
/// link can have, each query parameter, each text of a JSON or form body.
fn continuations(request: &Request) -> Vec<String> {
    let mut names = Vec::new();
    let whole = if request.query.is_empty() {
        request.path.clone()
    } else {
        format!("{}?{}", request.path, request.query)
    };
    names.push(format!("{}{whole}", request.origin));
    if let Ok(decoded) = percent_decode_str(&whole).decode_utf8()
        && decoded != whole
    {
        names.push(decoded.into_owned());
    }
    names.push(whole);
    names.extend(form_urlencoded::parse(request.query.as_bytes()).map(|(_, value)| value.into_owned()));
    if request.body.len() < 1024 * 1024 {
        if let Ok(Value::Object(object)) = serde_json::from_slice(&request.body) {
            names.extend(object.into_iter().filter_map(|(_, value)| match value {
                Value::String(text) => Some(text),
                _ => None,
            }));
        } else {
            names.extend(form_urlencoded::parse(&request.body).map(|(_, value)| value.into_owned()));
        }
    }
    names
}
