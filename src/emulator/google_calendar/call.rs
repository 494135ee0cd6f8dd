//! One request of the API, taken apart.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderName, Method};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::errors::Refusal;
use crate::emulator::service::Request;

/// A request that was admitted.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    /// The path behind the API's root, decoded part by part.
    pub(super) segments: Vec<String>,
    options: Vec<(String, String)>,
    /// Whether a service account calls in its own name.
    pub(super) by_service_account: bool,
    pub(super) now: Timestamp,
}

/// A value that a header names: `"…"`, or `*` for any.
fn named(header: &str, tag: &str) -> bool {
    header.split(',').map(str::trim).any(|own| own == "*" || own == tag)
}

impl<'a> Call<'a> {
    pub(super) fn read(request: &'a Request, rest: &str, by_service_account: bool) -> Self {
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let options = form_urlencoded::parse(request.query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self {
            request,
            segments: rest.split('/').map(decode).collect(),
            options,
            by_service_account,
            now: request.now,
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.request.method
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn options<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.options.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.option(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                Err(Refusal::invalid_parameter(name, format!("Invalid boolean value: '{other}'.")))
            }
        }
    }

    /// How many rows a page has.
    pub(super) fn page_size(&self, usual: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.option("maxResults") else { return Ok(usual) };
        match text.parse::<usize>() {
            Ok(0) | Err(_) => {
                let message =
                    format!("Invalid value '{text}'. Values must be within the range: [1, 2147483647]");
                Err(Refusal::invalid_parameter("maxResults", message))
            }
            Ok(size) => Ok(size.min(most)),
        }
    }

    /// An instant with its offset; without one the request is bad.
    pub(super) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        match self.option(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| Refusal::bad_request()),
        }
    }

    pub(super) fn zone(&self) -> Result<Option<TimeZone>, Refusal> {
        match self.option("timeZone") {
            None => Ok(None),
            Some(name) => TimeZone::get(name)
                .map(Some)
                .map_err(|_| Refusal::invalid_parameter("timeZone", "Invalid time zone.")),
        }
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Refuses a write whose entity tag is not the present one.
    pub(super) fn check_tag(&self, tag: &str) -> Result<(), Refusal> {
        match self.header(&IF_MATCH) {
            Some(wanted) if !named(wanted, tag) => Err(Refusal::stale()),
            _ => Ok(()),
        }
    }

    /// Whether the client has this state already.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.header(&IF_NONE_MATCH).is_some_and(|known| named(known, tag))
    }

    /// The body as an object.
    pub(super) fn body(&self) -> Result<Map<String, Value>, Refusal> {
        if self.request.body.is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&self.request.body) {
            Ok(Value::Object(members)) => Ok(members),
            _ => Err(Refusal::parse()),
        }
    }
}
