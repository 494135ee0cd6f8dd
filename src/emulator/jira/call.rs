//! A request to the REST API, taken apart: version, path segments, parameters, who asks.

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

use super::errors::Refusal;
use crate::emulator::service::Request;

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    /// The version as the address has it: `3`, `2` or `latest`.
    pub(super) version: String,
    pub(super) segments: Vec<String>,
    options: Vec<(String, String)>,
    /// The account that asks; nobody when anonymous.
    pub(super) account: Option<String>,
    /// What stands before `/rest/api` in addresses of answers.
    pub(super) base: String,
}

/// A stretch of a list, as `startAt` and `maxResults` ask for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) start: usize,
    pub(super) size: usize,
}

impl Stretch {
    pub(super) fn of<T: Clone>(self, list: &[T]) -> Vec<T> {
        list.iter().skip(self.start).take(self.size).cloned().collect()
    }

    pub(super) fn is_last(self, total: usize) -> bool {
        self.start.saturating_add(self.size) >= total
    }
}

impl<'a> Call<'a> {
    /// Takes apart what stands behind `/rest/api/`.
    pub(super) fn read(request: &'a Request, rest: &str, base: String, account: Option<String>) -> Self {
        let mut raw = rest.trim_end_matches('/').split('/');
        let version = raw.next().unwrap_or_default().to_owned();
        let segments = raw.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
        let options = form_urlencoded::parse(request.query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { request, version, segments, options, account, base }
    }

    pub(super) fn method(&self) -> &Method {
        &self.request.method
    }

    /// Whether rich text is a document here; a text otherwise.
    pub(super) fn documents(&self) -> bool {
        self.version == "3"
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a list: repeated, or with commas.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let given = self.options.iter().filter(|(own, _)| own == name);
        given.flat_map(|(_, value)| commas(value)).collect()
    }

    pub(super) fn expands(&self, name: &str) -> bool {
        self.list("expand").iter().any(|own| own == name)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.option(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let detail = format!("Failed to convert '{name}' with value: '{text}'");
            Refusal::problem(StatusCode::BAD_REQUEST, detail)
        })
    }

    /// The stretch asked for, with what is given when nothing is asked, and the most there can be.
    pub(super) fn stretch(&self, default: usize, most: usize) -> Result<Stretch, Refusal> {
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        let start = self.number("startAt")?.map_or(0, count);
        let size = self.number("maxResults")?.map_or(default, count).min(most);
        Ok(Stretch { start, size })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// 415 for another type, 400 for no or malformed JSON.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        let kind = self.header(CONTENT_TYPE.as_str()).unwrap_or("application/octet-stream");
        if !kind.to_ascii_lowercase().contains("json") {
            let detail = format!("Content-Type '{kind}' is not supported.");
            return Err(Refusal::problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        if self.request.body.is_empty() {
            return Err(Refusal::bad("No content to map to Object due to end of input"));
        }
        serde_json::from_slice(&self.request.body).map_err(|_| {
            Refusal::bad("There was an error parsing JSON. Check that your request body is valid.")
        })
    }

    /// Refuses other methods.
    pub(super) fn only(&self, allowed: &[Method]) -> Result<(), Refusal> {
        if allowed.contains(self.method()) {
            return Ok(());
        }
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        Err(Refusal::method(self.method(), &names.join(", ")))
    }

    /// The address of a thing of this API.
    pub(super) fn link(&self, what: &str) -> String {
        format!("{}/rest/api/{}/{what}", self.base, self.version)
    }

    pub(super) fn no_route(&self) -> Refusal {
        let path = self.request.path.trim_start_matches('/');
        let detail = format!("No endpoint {} /{path}.", self.method());
        Refusal::problem(StatusCode::NOT_FOUND, detail)
    }
}

/// The parts between commas.
pub(super) fn commas(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
