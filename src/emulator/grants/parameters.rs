//! The parameters of an OAuth request, wherever the client put them.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use url::form_urlencoded;

use crate::emulator::service::Request;

/// Named texts from the body (a form or a JSON object), the query and a Basic header. The body outranks the
/// query. Tokens and secrets are among them, so `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Parameters {
    values: HashMap<String, String>,
    /// Parameters that came twice, which RFC 6749 section 3.2 forbids.
    repeated: Vec<String>,
    basic: Option<(String, String)>,
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.values.keys().collect();
        names.sort();
        f.debug_struct("Parameters").field("names", &names).finish_non_exhaustive()
    }
}

impl Parameters {
    /// Reads them all. A body that is neither a form nor a JSON object contributes nothing.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut parameters = Self::of_query(&request.query);
        let content_type =
            request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut body = HashMap::new();
        let json = || serde_json::from_slice::<Value>(&request.body).ok();
        if content_type.to_ascii_lowercase().contains("json")
            && let Some(Value::Object(object)) = json()
        {
            for (name, value) in object {
                let text = match value {
                    Value::String(text) => text,
                    Value::Null => continue,
                    other => other.to_string(),
                };
                body.insert(name, text);
            }
        } else {
            for (name, value) in form_urlencoded::parse(&request.body) {
                if body.insert(name.to_string(), value.into_owned()).is_some() {
                    parameters.repeated.push(name.into_owned());
                }
            }
        }
        parameters.values.extend(body);
        parameters.basic = basic(request);
        parameters
    }

    /// Reads the query alone, as an authorisation endpoint does.
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.values.insert(name.to_string(), value.into_owned()).is_some() {
                parameters.repeated.push(name.into_owned());
            }
        }
        parameters
    }

    /// A parameter; an empty one counts as absent (RFC 6749 section 3.1).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first parameter that came more than once in one place.
    #[must_use]
    pub fn repeated(&self) -> Option<&str> {
        self.repeated.first().map(String::as_str)
    }

    /// The client id, from the parameters or the Basic header.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.get("client_id").or_else(|| self.basic.as_ref().map(|(id, _)| id.as_str()))
    }

    /// The client secret, from the parameters or the Basic header.
    #[must_use]
    pub fn client_secret(&self) -> Option<&str> {
        self.get("client_secret").or_else(|| self.basic.as_ref().map(|(_, secret)| secret.as_str()))
    }

    /// The scopes, space separated; `None` when the parameter is absent.
    #[must_use]
    pub fn scopes(&self) -> Option<Vec<String>> {
        self.get("scope").map(|text| text.split_whitespace().map(str::to_owned).collect())
    }
}

fn basic(request: &Request) -> Option<(String, String)> {
    let header = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    Some((decode(id), decode(secret)))
}
