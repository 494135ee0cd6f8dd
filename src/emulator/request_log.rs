//! Everything that the emulator received, kept for tests to look at: secrets included, memory bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::emulator::service::Request;

/// Requests kept; the oldest make room.
const MAX_ENTRIES: usize = 50_000;
/// Bytes kept of one body.
const MAX_BODY: usize = 64 * 1024;
/// Bytes kept of all requests together.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// The log.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    /// Number of the entry in front.
    first: u64,
    dropped: u64,
    bytes: usize,
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
    headers: Vec<(Box<str>, Box<[u8]>)>,
    body: Box<[u8]>,
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
        // Copies throughout: slices of a connection's read buffer would keep all of it in memory.
        let body = request.body.get(..MAX_BODY).unwrap_or(&request.body);
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect();
        let entry = Entry {
            connection,
            time: request.now,
            http_version,
            service,
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            origin: request.origin.clone(),
            headers,
            body: body.into(),
            body_length: request.body.len(),
            status: None,
            fault: None,
        };
        let mut inner = self.inner();
        inner.bytes += entry.size();
        inner.entries.push_back(entry);
        while inner.entries.len() > MAX_ENTRIES || (inner.bytes > MAX_BYTES && inner.entries.len() > 1) {
            if let Some(entry) = inner.entries.pop_front() {
                inner.bytes -= entry.size();
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
        inner.bytes = 0;
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
    /// About how much memory it takes.
    fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        self.body.len() + self.path.len() + self.query.len() + self.origin.len() + headers + 256
    }

    fn to_json(&self, id: u64) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            let value = Value::String(String::from_utf8_lossy(value).into_owned());
            match headers.get_mut(&**name) {
                None => {
                    headers.insert(name.to_string(), value);
                }
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = json!([first.take(), value]),
            }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    fn request(body: &'static [u8]) -> Request {
        Request {
            method: Method::POST,
            path: "/p".to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
            origin: "http://127.0.0.1:1".to_owned(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_oldest_requests_make_room_and_are_counted() {
        let log = RequestLog::default();
        let first = log.arrived(&request(b"first"), 1, "HTTP/1.1", None);
        for _ in 0..MAX_ENTRIES {
            log.arrived(&request(b"later"), 1, "HTTP/1.1", None);
        }
        log.answered(first, Some(500), None);
        let told = log.to_json(|_, _| true);
        assert_eq!(told["dropped"], 1);
        let entries = told["requests"].as_array().expect("a list");
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert!(entries.iter().all(|entry| entry["body"] == "later" && entry["status"].is_null()));
    }

    #[test]
    fn many_long_bodies_do_not_fill_the_memory() {
        static BODY: [u8; MAX_BODY] = [b'x'; MAX_BODY];
        let log = RequestLog::default();
        let count = 2 * MAX_BYTES / MAX_BODY;
        for _ in 0..count {
            log.arrived(&request(&BODY), 1, "HTTP/1.1", None);
        }
        let inner = log.inner();
        assert!(inner.bytes <= MAX_BYTES && inner.entries.len() < count);
        assert_eq!(inner.dropped as usize + inner.entries.len(), count);
    }

    #[test]
    fn an_answer_that_comes_after_the_log_was_emptied_completes_nobody_elses_entry() {
        let log = RequestLog::default();
        let old = log.arrived(&request(b""), 1, "HTTP/1.1", None);
        log.clear();
        log.arrived(&request(b""), 2, "HTTP/1.1", None);
        log.answered(old, Some(200), None);
        assert_eq!(log.to_json(|_, _| true)["requests"][0]["status"], Value::Null);
    }
}
