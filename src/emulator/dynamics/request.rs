//! A request to the Web API, taken apart: version, path segments with their keys, query options, preferences.

use std::collections::HashMap;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::errors::{QUERY, Refusal};
use super::odata::{self, Literal};
use crate::emulator::json::Json;
use crate::emulator::service::Request;

/// The longest address that the service takes, and the same inside a batch.
const LONGEST_ADDRESS: usize = 32_768;
const LONGEST_IN_BATCH: usize = 65_536;
const ROOT: &str = "/api/data/";

/// One segment of the path: a name, and what stands in parentheses behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) key: Option<Vec<KeyPart>>,
}

/// One value of a key; a lone value has no name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyPart {
    pub(super) name: Option<String>,
    pub(super) value: Literal,
}

/// The `Prefer` headers.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefer {
    pub(super) page: Option<usize>,
    pub(super) representation: bool,
    pub(super) continue_on_error: bool,
    pub(super) track: bool,
    annotations: Option<String>,
}

impl Prefer {
    fn read(request: &Request) -> Self {
        let mut out = Self::default();
        for header in request.headers.get_all("prefer") {
            for one in preferences(header.to_str().unwrap_or_default()) {
                let (name, value) =
                    one.split_once('=').map_or((one, ""), |(name, value)| (name.trim(), value));
                let value = value.trim().trim_matches('"');
                match name.to_ascii_lowercase().as_str() {
                    "odata.maxpagesize" | "maxpagesize" => {
                        out.page = value.parse().ok().filter(|size| *size > 0)
                    }
                    "odata.include-annotations" => out.annotations = Some(value.to_owned()),
                    "return" => out.representation = value == "representation",
                    "odata.continue-on-error" => out.continue_on_error = value != "false",
                    "odata.track-changes" => out.track = true,
                    _ => {}
                }
            }
        }
        out
    }

    /// Whether an annotation is asked for.
    pub(super) fn wants(&self, annotation: &str) -> bool {
        self.annotations.as_deref().is_some_and(|list| {
            list.split(',').map(str::trim).any(|pattern| match pattern.strip_suffix('*') {
                Some(head) => annotation.starts_with(head),
                None => annotation == pattern,
            })
        })
    }

    pub(super) fn annotates(&self) -> bool {
        self.annotations.is_some()
    }

    pub(super) fn wants_all(&self) -> bool {
        self.wants("\u{1}")
    }

    /// What the answer says of the preferences for a page.
    pub(super) fn applied(&self) -> Option<String> {
        let mut out = Vec::new();
        if let Some(size) = self.page {
            out.push(format!("odata.maxpagesize={}", size.min(super::query::LARGEST_PAGE)));
        }
        if let Some(annotations) = &self.annotations {
            out.push(format!("odata.include-annotations=\"{annotations}\""));
        }
        if self.track {
            out.push("odata.track-changes".to_owned());
        }
        (!out.is_empty()).then(|| out.join(","))
    }
}

/// Splits at commas outside quotes.
fn preferences(text: &str) -> Vec<&str> {
    let (mut out, mut from, mut quoted) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                out.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(text[from..].trim());
    out
}

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    /// `v9.2`.
    pub(super) version: String,
    pub(super) segments: Vec<Segment>,
    /// Query options in order, decoded once.
    pub(super) options: Vec<(String, String)>,
    pub(super) prefer: Prefer,
}

impl<'a> Call<'a> {
    /// Takes a request apart.
    ///
    /// # Errors
    /// 404 for a version that does not exist, 400 for what cannot be read.
    pub(super) fn read(request: &'a Request, in_batch: bool) -> Result<Self, Refusal> {
        let longest = if in_batch { LONGEST_IN_BATCH } else { LONGEST_ADDRESS };
        if request.path.len() + request.query.len() > longest {
            return Err(
                Refusal::new(QUERY, "The request URI is too long.").with_status(StatusCode::URI_TOO_LONG)
            );
        }
        let rest = request.path.strip_prefix(ROOT).unwrap_or_default().trim_end_matches('/');
        let mut raw = rest.split('/');
        let version = raw.next().unwrap_or_default();
        if !matches!(version, "v9.0" | "v9.1" | "v9.2") {
            return Err(Refusal::no_segment(version));
        }
        let segments = raw.map(segment).collect::<Result<Vec<_>, _>>()?;
        let options = form_urlencoded::parse(request.query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let prefer = Prefer::read(request);
        Ok(Self { request, version: version.to_owned(), segments, options, prefer })
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Parameter aliases.
    pub(super) fn aliases(&self) -> HashMap<String, String> {
        self.options.iter().filter(|(name, _)| name.starts_with('@')).cloned().collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn method(&self) -> &Method {
        &self.request.method
    }

    /// `http://host/api/data/v9.2/`.
    pub(super) fn root(&self) -> String {
        format!("{}{ROOT}{}/", self.request.origin, self.version)
    }

    pub(super) fn context(&self, what: &str) -> String {
        format!("{}$metadata#{what}", self.root())
    }

    pub(super) fn json(&self) -> Result<Json, Refusal> {
        Ok(Json::read(&self.request.body)?)
    }
}

/// Characters that no alternate key in an address may have, encoded or not.
const NOT_IN_KEYS: [char; 10] = ['/', '\\', '<', '>', '*', '%', '&', ':', '?', '+'];

/// Reads `name`, `name(guid)` or `name(a='x',b=1)`.
pub(super) fn segment(raw: &str) -> Result<Segment, Refusal> {
    let text = percent_decode_str(raw).decode_utf8_lossy();
    let Some((name, rest)) = text.split_once('(') else {
        return Ok(Segment { name: text.into_owned(), key: None });
    };
    let invalid = || {
        Refusal::new(
            QUERY,
            format!(
                "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{name}'. \
            Ensure that the names and number of key properties match the declared or alternate key properties for the \
            resource 'Microsoft.Dynamics.CRM.{name}'."
            ),
        )
    };
    let inside = rest.strip_suffix(')').ok_or_else(invalid)?;
    let mut key = Vec::new();
    if !inside.trim().is_empty() {
        for part in odata::split(inside, ',') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) if !part.starts_with('\'') => (Some(name.trim().to_owned()), value),
                _ => (None, part),
            };
            let value = odata::literal(value).ok_or_else(invalid)?;
            if let Literal::Text(text) = &value
                && text.contains(NOT_IN_KEYS)
            {
                return Err(invalid());
            }
            key.push(KeyPart { name, value });
        }
    }
    Ok(Segment { name: name.to_owned(), key: Some(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_names_and_keys() {
        let key = |raw: &str| segment(raw).unwrap().key.unwrap();
        assert_eq!(segment("accounts").unwrap().key, None);
        assert_eq!(key("WhoAmI()"), []);
        assert_eq!(key("accounts(78914942-34cb-ed11-b596-0022481d68cd)").len(), 1);
        let two = key("contacts(firstname='Joe%27%27s',emailaddress1=%27a@b%27)");
        assert_eq!(two[0].value, Literal::Text("Joe's".to_owned()));
        assert_eq!(two[1].name.as_deref(), Some("emailaddress1"));
        for raw in
            ["accounts(", "accounts(x", "accounts(a='b%2Fc')", "accounts(name='a%26b')", "accounts(a=')"]
        {
            assert!(segment(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn preferences_are_split_outside_quotes() {
        let text = "odata.maxpagesize=3, odata.include-annotations=\"a,b\",return=representation";
        assert_eq!(
            preferences(text),
            ["odata.maxpagesize=3", "odata.include-annotations=\"a,b\"", "return=representation"]
        );
    }
}
