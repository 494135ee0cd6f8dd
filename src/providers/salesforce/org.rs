//! What is known of one org: the version of its API that both sides speak, and its types as last described.
//!
//! A description that has grown old is asked for again on condition that it changed (Conditional Requests, REST
//! API Developer Guide), so that one that did not is neither sent nor read again.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use http::header::{DATE, HeaderValue, IF_MODIFIED_SINCE, LAST_MODIFIED};
use jiff::SignedDuration;
use serde::Deserialize;

use super::config::{DEFAULT_VERSION, NEWEST_TRIED, OLDEST};
use super::describe::{self, Describe, GlobalDescribe};
use super::{api, dialect, discover};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Call, Reply};
use crate::provider::Context;
use crate::provider::descriptions::{Description, Descriptions, Kept};
use crate::record::RecordType;
use crate::record::nearest::{did_you_mean, nearest_few};

/// How far before an answer's date a change may lie that the answer does not show yet.
const UNSEEN: SignedDuration = SignedDuration::from_mins(1);

/// One type as described, and as a record type.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) record_type: Arc<RecordType>,
    pub(super) describe: Describe,
}

impl Described {
    pub(super) fn has_polymorphic_references(&self) -> bool {
        self.describe.fields.iter().any(|field| field.polymorphic_foreign_key || field.reference_to.len() > 1)
    }
}

/// The version of the API that paths name.
#[derive(Debug)]
pub(super) struct Version {
    first: String,
    pinned: bool,
    agreed: OnceLock<String>,
}

impl Version {
    fn new(pinned: Option<String>) -> Self {
        Self {
            pinned: pinned.is_some(),
            first: pinned.unwrap_or_else(|| path_form(DEFAULT_VERSION)),
            agreed: OnceLock::new(),
        }
    }
}

impl Deref for Version {
    type Target = str;

    fn deref(&self) -> &str {
        self.agreed.get().unwrap_or(&self.first)
    }
}

fn path_form(version: u32) -> String {
    format!("v{version}.0")
}

/// What is known of the org.
#[derive(Debug)]
pub(super) struct Org {
    pub(super) version: Version,
    global: Kept<GlobalDescribe>,
    types: Descriptions<Described>,
}

impl Org {
    /// Nothing is known yet; `pinned` is the version that the user insists on.
    pub(super) fn new(pinned: Option<String>) -> Self {
        Self { version: Version::new(pinned), global: Kept::default(), types: Descriptions::default() }
    }

    /// The list of all types.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn global(&self, cx: &Context, refresh: bool) -> Result<Arc<GlobalDescribe>> {
        let ask = async |before: Option<Description<GlobalDescribe>>| {
            let call = |version: &str| conditional(api::global_describe(version), before.as_ref());
            let reply = self.at_version(cx, call).await?;
            renewed(cx, &reply, before, |body| dialect::read("the global describe", body))
        };
        self.global.get(cx, refresh, ask).await
    }

    /// One type.
    ///
    /// # Errors
    /// `NotFound` with the nearest names, and what the service refuses.
    pub(super) async fn described(&self, cx: &Context, name: &str) -> Result<Arc<Described>> {
        let ask = async |before: Option<Description<Described>>| {
            if !describe::is_name(name) {
                return Err(self.unknown_type(cx, name).await);
            }
            let reply = self.describe(cx, name, before.as_ref()).await?;
            renewed(cx, &reply, before, |body| {
                let describe = describe::read(body)?;
                Ok(Described { record_type: Arc::new(discover::record_type(&describe)), describe })
            })
        };
        self.types.get(cx, name, ask).await
    }

    async fn describe(
        &self,
        cx: &Context,
        name: &str,
        before: Option<&Description<Described>>,
    ) -> Result<Reply> {
        let call = |version: &str| conditional(api::describe(version, name), before);
        let tried = self.version.to_owned();
        match cx.send(call(&tried)).await {
            Err(error) if error.kind() == ErrorKind::NotFound || is_retired(&error) => {
                // An unknown version and an unknown type look alike; the list of types tells them apart.
                let missing = self.unknown_type(cx, name).await;
                if *self.version == *tried {
                    return Err(missing);
                }
                match cx.send(call(&self.version)).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        Err(self.unknown_type(cx, name).await)
                    }
                    reply => reply.map_err(|error| error.with_record_type(name)),
                }
            }
            reply => reply.map_err(|error| error.with_record_type(name)),
        }
    }

    /// Lets a type be described anew the next time, because the service does not agree with what is kept.
    pub(super) async fn forget(&self, name: &str) {
        self.types.forget(name).await;
    }

    /// Sends a call to a resource that every version has. When the service does not know the version, the two
    /// sides agree on one first.
    ///
    /// # Errors
    /// What the service refuses; Invalid for a version that the user insists on and the service does not have.
    pub(super) async fn at_version(
        &self,
        cx: &Context,
        call: impl Fn(&str) -> Call + Send + Sync,
    ) -> Result<Reply> {
        match cx.send(call(&self.version)).await {
            Err(error) if matches!(error.status(), Some(404 | 410)) || is_retired(&error) => {
                self.agree(cx, error).await?;
                cx.send(call(&self.version)).await
            }
            reply => reply,
        }
    }

    /// Takes the newest version that both sides know.
    async fn agree(&self, cx: &Context, error: Error) -> Result<()> {
        #[derive(Deserialize)]
        struct Listed {
            version: String,
        }
        if self.version.agreed.get().is_some() {
            return Err(error);
        }
        // Without a list it was not about the version.
        let Ok(reply) = cx.send(api::versions()).await else { return Err(error) };
        let Ok(listed) = serde_json::from_slice::<Vec<Listed>>(&reply.body) else { return Err(error) };
        let mut there: Vec<u32> =
            listed.iter().filter_map(|listed| listed.version.strip_suffix(".0")?.parse().ok()).collect();
        there.sort_unstable();
        if there.iter().any(|version| path_form(*version) == *self.version) {
            return Err(error);
        }
        let span = match (there.first(), there.last()) {
            (Some(oldest), Some(newest)) => format!("it speaks {oldest}.0 to {newest}.0"),
            _ => "it tells of none".to_owned(),
        };
        let common = there.iter().rev().find(|version| (OLDEST..=NEWEST_TRIED).contains(*version));
        match common {
            Some(version) if !self.version.pinned => {
                tracing::info!(version, "the org does not speak our version of the API; agreed on another");
                let _ = self.version.agreed.set(path_form(*version));
                Ok(())
            }
            _ => Err(Error::invalid(format!(
                "the org does not speak version {} of the API: {span}",
                self.version.trim_start_matches('v')
            ))
            .with_provider("salesforce")
            .with_code("UNSUPPORTED_API_VERSION")
            .with_connection(cx.connection.as_str())
            .with_advice(if self.version.pinned {
                "Connect again without the setting api_version, or with one of these"
            } else {
                "This recordport is too old or too new for the org"
            })),
        }
    }

    /// The error for a type that does not exist, with the names that come nearest.
    async fn unknown_type(&self, cx: &Context, name: &str) -> Error {
        let error =
            Error::new(ErrorKind::NotFound, format!("Salesforce has no record type {name:?} for this user"))
                .with_provider("salesforce")
                .with_operation("describe")
                .with_record_type(name)
                .with_code("unknown_type");
        let global = match self.global(cx, false).await {
            Ok(global) => global,
            Err(wrong) if wrong.code() == Some("UNSUPPORTED_API_VERSION") => return wrong,
            Err(_) => return error,
        };
        let known = global.sobjects.iter().flat_map(|object| {
            let label = object.label.as_deref().unwrap_or_default();
            [(object.name.as_str(), object.name.as_str()), (label, object.name.as_str())]
        });
        error.with_advice(did_you_mean(&nearest_few(name, known)).unwrap_or_else(|| {
            "`recordport types CONNECTION --search TEXT` lists the types there are".to_owned()
        }))
    }
}

fn is_retired(error: &Error) -> bool {
    error.code() == Some("UNSUPPORTED_API_VERSION")
}

/// The call, answered in full only if something changed since the description that is kept.
fn conditional<T>(call: Call, before: Option<&Description<T>>) -> Call {
    match before.and_then(|kept| kept.stamp.clone()) {
        Some(stamp) => call.with_header(IF_MODIFIED_SINCE, stamp).accepting(&[304]),
        None => call,
    }
}

/// What is kept after an answer: the new description, or the one before for longer.
fn renewed<T>(
    cx: &Context,
    reply: &Reply,
    before: Option<Description<T>>,
    read: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<Description<T>> {
    match before {
        Some(before) if reply.status == StatusCode::NOT_MODIFIED => Ok(before.again(cx)),
        _ => Ok(Description::new(cx, read(&reply.body)?).stamped(stamp_of(reply))),
    }
}

/// When a description last changed, by the service's own clock; where it does not tell, shortly before it was
/// given.
fn stamp_of(reply: &Reply) -> Option<HeaderValue> {
    if let Some(stamp) = reply.headers.get(LAST_MODIFIED) {
        return Some(stamp.clone());
    }
    let date = reply.header(DATE.as_str())?;
    let moment = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().checked_sub(UNSEEN).ok()?;
    let text = moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).ok()
}
