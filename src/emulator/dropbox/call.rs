//! One call of an API function in any of the three styles: arguments in the body, in a header, in the address.

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::arguments::Arguments;
use super::errors::Refusal;
use super::places::View;
use crate::emulator::service::Request;

/// How a function takes its argument and gives its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// JSON in the body, JSON back.
    Rpc,
    /// JSON in a header, bytes in the body, JSON back.
    Upload,
    /// JSON in a header, JSON in a header and bytes back.
    Download,
}

const ARGUMENT: &str = "dropbox-api-arg";
const CORS_HACK: &str = "text/plain; charset=dropbox-cors-hack";

/// A call, admitted and taken apart.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) route: &'a str,
    pub(super) arguments: Arguments,
    pub(super) view: View,
    /// A fault: every so many rows of a batch are refused.
    pub(super) refuse_every: Option<usize>,
    pub(super) now: Timestamp,
}

impl Call<'_> {
    /// Whether a fault rule refuses the row with this place in its batch, counted from 1.
    pub(super) fn refuses(&self, number: usize) -> bool {
        self.refuse_every.is_some_and(|every| every > 0 && number.is_multiple_of(every))
    }
}

/// A parameter of the address.
pub(super) fn parameter(request: &Request, name: &str) -> Option<String> {
    form_urlencoded::parse(request.query.as_bytes())
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads the argument of a call.
///
/// # Errors
/// A content type, an encoding or a shape that the service does not take.
pub(super) fn arguments(request: &Request, route: &str, style: Style) -> Result<Arguments, Refusal> {
    let kind = header(&request.headers, "content-type").map(str::to_ascii_lowercase);
    let bad_type = |expected: &str| {
        let found = kind.clone().unwrap_or_default();
        let what = format!("Bad HTTP \"Content-Type\" header: \"{found}\".  Expecting {expected}.");
        Err(Refusal::input(route, what))
    };
    match style {
        Style::Rpc => {
            let json = |kind: &str| {
                let kind = kind.replace(' ', "");
                kind == "application/json"
                    || kind == "application/json;charset=utf-8"
                    || kind == CORS_HACK.replace(' ', "")
            };
            match kind.as_deref() {
                // Without an argument there is no type.
                None if request.body.is_empty() => {}
                Some(kind) if json(kind) => {}
                _ => {
                    return bad_type(&format!(
                        "one of \"application/json\", \"application/json; charset=utf-8\", \"{CORS_HACK}\""
                    ));
                }
            }
            let body: &[u8] = if request.body.is_empty() { b"null" } else { &request.body };
            Arguments::read(route, "request body", body)
        }
        Style::Upload | Style::Download => {
            let octets = |kind: &str| kind == "application/octet-stream" || kind == CORS_HACK;
            match kind.as_deref() {
                None | Some("") => {}
                Some(kind)
                    if octets(kind) || (style == Style::Download && kind.starts_with("text/plain")) => {}
                Some(_) => {
                    return bad_type(&format!("one of \"application/octet-stream\", \"{CORS_HACK}\""));
                }
            }
            if let Some(text) = request.headers.get(ARGUMENT) {
                let place = "HTTP header \"Dropbox-API-Arg\"";
                if text.as_bytes().iter().any(|byte| *byte >= 0x7f) {
                    let what = format!("{place}: could not decode input as JSON");
                    return Err(Refusal::input(route, what));
                }
                return Arguments::read(route, place, text.as_bytes());
            }
            match parameter(request, "arg") {
                Some(text) => Arguments::read(route, "URL parameter \"arg\"", text.as_bytes()),
                None => {
                    let what = "Must provide HTTP header \"Dropbox-API-Arg\" or URL parameter \"arg\".";
                    Err(Refusal::input(route, what))
                }
            }
        }
    }
}

/// Only POST, and GET for downloads.
pub(super) fn check_method(request: &Request, route: &str, style: Style) -> Result<(), Refusal> {
    if request.method == Method::POST || (style == Style::Download && request.method == Method::GET) {
        return Ok(());
    }
    let text = format!(
        "Error in call to API function \"{route}\": Your request's HTTP request method is \"{}\".  \
         This function only accepts the HTTP request method \"POST\".",
        request.method
    );
    Err(Refusal::Text(StatusCode::BAD_REQUEST, text))
}

/// The space that the paths of a call begin in.
///
/// # Errors
/// 422 for a root that is not there or not the caller's.
pub(super) fn view(request: &Request, route: &str, home: &str) -> Result<View, Refusal> {
    let Some(text) = header(&request.headers, "dropbox-api-path-root") else { return Ok(View::new(home)) };
    let wrong = |what: &str| Refusal::input(route, format!("HTTP header \"Dropbox-API-Path-Root\": {what}"));
    let value: Value = serde_json::from_str(text).map_err(|_| wrong("could not decode input as JSON"))?;
    let invalid = |error: Value| Refusal::Tagged(StatusCode::UNPROCESSABLE_ENTITY, error);
    match value.get(".tag").and_then(Value::as_str).or_else(|| value.as_str()) {
        Some("home") => Ok(View::new(home)),
        Some(tag @ ("root" | "namespace_id")) => {
            let space =
                value.get(tag).and_then(Value::as_str).ok_or_else(|| wrong("missing namespace id"))?;
            if tag == "root" && space != super::places::ROOT_SPACE {
                let info = super::account::root_info();
                return Err(invalid(json!({ ".tag": "invalid_root", "invalid_root": info })));
            }
            View::of_space(space, home).ok_or_else(|| invalid(json!({ ".tag": "no_permission" })))
        }
        _ => Err(wrong("unknown tag")),
    }
}
