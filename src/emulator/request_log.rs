//! Everything that the emulator received, kept for tests to look at: secrets included, memory bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::emulator::service::Request;

/// Requests kept; the oldest make room.
const MAX_ENTRIES: usize = 50_000;
/// Bytes kept of one body.
const MAX_BODY: usize = 64 * 1024;
/// Bytes kept of all bodies together.
const MAX_BODIES: usize = 128 * 1024 * 1024;

/// The log.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    /// Number of the entry in front.
    first: u64,
    dropped: u64,
    body_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    connection: u64,
    time: Timestamp,
    http_version: &'static str,
    service: Option<&'static str>,
    method: String,
    path: String,
    query: String,
    origin: String,
    headers: HeaderMap,
    body: Bytes,
    body_length: usize,
    status: Option<u16>,
    fault: Option<(u64, &'static str)>,
}

/// Where an entry stands, to complete it once the answer is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryId(u64);

impl RequestLog {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request as it arrived.
    pub(crate) fn arrived(
        &self,
        request: &Request,
        connection: u64,
        http_version: &'static str,
        service: Option<&'static str>,
    ) -> EntryId {
        // A copy of the part that is kept, so that a huge body is not held alive by a slice of it.
        let body = if request.body.len() > MAX_BODY {
            Bytes::copy_from_slice(request.body.get(..MAX_BODY).unwrap_or_default())
        } else {
            request.body.clone()
        };
        let mut inner = self.inner();
        inner.body_bytes += body.len();
        inner.entries.push_back(Entry {
            connection,
            time: request.now,
            http_version,
            service,
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            origin: request.origin.clone(),
            headers: request.headers.clone(),
            body_length: request.body.len(),
            body,
            status: None,
            fault: None,
        });
        while inner.entries.len() > MAX_ENTRIES || (inner.body_bytes > MAX_BODIES && inner.entries.len() > 1)
        {
            if let Some(entry) = inner.entries.pop_front() {
                inner.body_bytes -= entry.body.len();
                inner.first += 1;
                inner.dropped += 1;
            }
        }
        EntryId(inner.first + inner.entries.len() as u64 - 1)
    }

    /// Completes an entry: the status answered, none when the connection was dropped instead, and the fault
    /// rule that struck.
    pub(crate) fn answered(&self, id: EntryId, status: Option<u16>, fault: Option<(u64, &'static str)>) {
        let mut inner = self.inner();
        let Some(index) = id.0.checked_sub(inner.first).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        if let Some(entry) = inner.entries.get_mut(index) {
            entry.status = status;
            entry.fault = fault;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner();
        // Numbers go on, so that an answer still under way does not complete somebody else's entry.
        inner.first += inner.entries.len() as u64;
        inner.entries.clear();
        inner.dropped = 0;
        inner.body_bytes = 0;
    }

    /// The log as JSON, oldest first, with only the entries that pass the filter on method and path.
    pub(crate) fn to_json(&self, keep: impl Fn(&str, &str) -> bool) -> Value {
        let inner = self.inner();
        let requests: Vec<Value> = inner
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| keep(&entry.method, &entry.path))
            .map(|(index, entry)| entry.to_json(inner.first + index as u64))
            .collect();
        json!({ "requests": requests, "dropped": inner.dropped })
    }
}

impl Entry {
    fn to_json(&self, id: u64) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let mut values = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned()));
            let value = match (values.next(), values.next()) {
                (Some(first), None) => first,
                (Some(first), Some(second)) => {
                    Value::Array([first, second].into_iter().chain(values).collect())
                }
                (None, _) => continue,
            };
            headers.insert(name.as_str().to_owned(), value);
        }
        let mut entry = json!({
            "id": id,
            "connection": self.connection,
            "time": self.time.to_string(),
            "http_version": self.http_version,
            "service": self.service,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "origin": self.origin,
            "headers": headers,
            "body_length": self.body_length,
            "status": self.status,
            "fault": self.fault.map(|(_, kind)| kind),
        });
        match std::str::from_utf8(&self.body) {
            Ok(text) => entry["body"] = json!(text),
            Err(_) => entry["body_base64"] = json!(STANDARD.encode(&self.body)),
        }
        if let Some((rule, _)) = self.fault {
            entry["fault_id"] = json!(rule);
        }
        if self.body.len() < self.body_length {
            entry["body_truncated"] = json!(true);
        }
        entry
    }
}
