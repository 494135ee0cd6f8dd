//! A service small enough to see through, for tests of the frame around it: notes with a number and a text.

use std::path::Path;
use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use jiff::SignedDuration;
use rand::Rng as _;
use recordport::emulator::grants::{Client, Grants, Token, User};
use recordport::emulator::service::{PageShape, Reply, Request, Service, ServiceConfig};
use recordport::error::Result;
use serde_json::{Value, json};

/// Rows at the start.
pub(crate) const NOTES: u64 = 35;
/// Rows of a page.
pub(crate) const PAGE: u64 = 10;

/// A control of this service's own.
const SHOUT: &str = "/_emulator/notes/shout";

#[derive(Debug)]
pub(crate) struct Notes {
    grants: Grants,
    access_token: String,
    refresh_token: String,
    rows: Mutex<Vec<Value>>,
}

impl Notes {
    pub(crate) fn start(config: &ServiceConfig) -> Result<Vec<Arc<dyn Service>>> {
        let mint = Arc::new(|rng: &mut rand::rngs::StdRng, kind: Token| {
            format!("{kind:?}-{:016x}", rng.random::<u64>())
        });
        let grants = Grants::new(config.seed, config.clock.clone(), mint)
            .with_code_lifetime(SignedDuration::from_mins(1));
        let mut client = Client::new("notes-client");
        client.rotation = true;
        client.scopes = vec!["notes".to_owned()];
        grants.register(client);
        grants.add_user(User {
            username: "ada".to_owned(),
            user_id: "u1".to_owned(),
            display_name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
            password: "correct horse".to_owned(),
            active: true,
        });
        let issued = grants.issue("notes-client", "ada", vec!["notes".to_owned()], true, config.clock.now());
        grants.seal();
        let count = if config.empty { 0 } else { NOTES * config.scale };
        Ok(vec![Arc::new(Self {
            grants,
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
            rows: Mutex::new(rows(count)),
        })])
    }

    fn list(&self, request: &Request, after: u64) -> Reply {
        if let Err(fault) = self.grants.check(&request.headers, request.now) {
            return Reply::json(StatusCode::UNAUTHORIZED, &json!({ "problem": format!("{fault:?}") }));
        }
        let rows = self.rows.lock().expect("rows");
        let from = usize::try_from(after).expect("small");
        let to = rows.len().min(from + usize::try_from(PAGE).expect("small"));
        let mut body = json!({ "total": rows.len(), "done": to == rows.len() });
        if to < rows.len() {
            body["next"] = json!(format!("/notes/after/{to}"));
        }
        body["notes"] = Value::Array(rows[from..to].to_vec());
        Reply::json(StatusCode::OK, &body)
    }
}

fn rows(count: u64) -> Vec<Value> {
    (0..count).map(|n| json!({ "id": n, "text": format!("note {n}"), "weight": 1.5 })).collect()
}

impl Service for Notes {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/notes") || path == SHOUT
    }

    fn handle(&self, request: &Request) -> Reply {
        let after = request.path.strip_prefix("/notes/after/").and_then(|text| text.parse().ok());
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/notes") => self.list(request, 0),
            (&Method::GET, _) if after.is_some() => self.list(request, after.unwrap_or_default()),
            (&Method::GET, "/notes/origin") => {
                Reply::json(StatusCode::OK, &json!({ "origin": request.origin }))
            }
            (&Method::GET, "/notes/one") => {
                Reply::json(StatusCode::OK, &json!({ "id": 1, "text": "one", "weight": 1.5 }))
            }
            (&Method::POST, "/notes/echo") => Reply::new(StatusCode::OK, "text/plain", request.body.clone()),
            (&Method::POST, SHOUT) => Reply::json(StatusCode::OK, &json!("loud")),
            (&Method::POST, "/notes/panic") => panic!("a defect of this service"),
            (&Method::POST, "/notes") => {
                let mut rows = self.rows.lock().expect("rows");
                let id = rows.len();
                rows.push(json!({ "id": id, "text": String::from_utf8_lossy(&request.body) }));
                Reply::json(StatusCode::CREATED, &json!({ "id": id })).committed()
            }
            (&Method::POST, "/notes/batch") => self.partial(request, usize::MAX).expect("a batch"),
            _ => self.refusal(StatusCode::NOT_FOUND),
        }
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        if request.path != "/notes/batch" {
            return None;
        }
        let texts: Vec<String> = serde_json::from_slice(&request.body).ok()?;
        let mut rows = self.rows.lock().expect("rows");
        let mut outcomes = Vec::new();
        for (place, text) in texts.into_iter().enumerate() {
            if (place + 1).is_multiple_of(every) {
                outcomes.push(json!({ "problem": "refused" }));
            } else {
                let id = rows.len();
                rows.push(json!({ "id": id, "text": text }));
                outcomes.push(json!({ "id": id }));
            }
        }
        Some(Reply::json(StatusCode::OK, &Value::Array(outcomes)).committed())
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        Reply::json(status, &json!({ "problem": status.as_u16() }))
    }

    fn grants(&self) -> Option<&Grants> {
        Some(&self.grants)
    }

    fn credentials(&self) -> Value {
        json!({ "access_token": self.access_token, "refresh_token": self.refresh_token })
    }

    fn expire_access_tokens(&self) {
        self.grants.expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        PageShape { rows: "notes", next: "next", done: Some("done"), more: None, total: Some("total") }
    }

    fn reset(&self) {
        self.grants.reset();
        *self.rows.lock().expect("rows") = rows(NOTES);
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        (record_type == "note").then(|| self.rows.lock().expect("rows").clone())
    }

    fn import(&self, file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let mut rows = self.rows.lock().expect("rows");
        *rows = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(())
    }
}
