//! Dynamics 365 (Dataverse) from the other side: its Web API on loopback, with Entra ID beside it.
//!
//! Tables come from a compact list that is expanded to full metadata, rows are made on demand from the seed,
//! conditions are parsed by a grammar of their own. Where the service's own wording was recorded, errors use it.

mod address;
mod aggregate;
mod batch;
mod catalogue;
mod cell;
mod changes;
mod control;
mod cookie;
mod csdl;
mod describe;
mod entra;
mod errors;
mod evaluate;
mod files;
mod functions;
mod guid;
mod import;
mod labels;
mod metadata;
mod modify;
mod multiple;
mod odata;
mod payload;
mod query;
mod read;
mod request;
mod rows;
mod seed;
mod view;
mod write;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};

use self::cookie::Cookies;
use self::describe::{Model, Table};
use self::entra::Entra;
use self::errors::Refusal;
use self::modify::Done;
use self::payload::ContentIds;
use self::request::Call;
use self::rows::{Place, Store};
use crate::emulator::chance::mix;
use crate::emulator::grants::Grants;
use crate::emulator::service::{PageShape, Reply, Request, Service, ServiceConfig, StatePart};
use crate::error::{Error, Result};

/// Tables whose number of rows does not grow with the scale.
const FIXED_COUNT: [&str; 5] = ["systemuser", "team", "businessunit", "transactioncurrency", "new_tag"];
/// Tables that keep their rows in an environment without data: nobody could sign in or be paid otherwise.
const NEVER_EMPTY: [&str; 4] = ["systemuser", "team", "businessunit", "transactioncurrency"];
/// Rows at scale 1 of an imported table that the list does not have.
const IMPORTED_COUNT: u64 = 100;
/// Requests that one user may make within five minutes.
const BURST: u64 = 6_000;

/// The emulated environment with its tenant.
#[derive(Debug)]
pub struct Dynamics {
    config: ServiceConfig,
    entra: Entra,
    imports: Mutex<Vec<Value>>,
    environment: Mutex<Environment>,
}

/// Tables with their numbers of rows, and global option sets.
type Listed = (Vec<(Table, u64)>, Vec<Value>);

/// The listed tables, read once in a process: expanding them takes a noticeable time.
fn listed() -> std::result::Result<&'static Listed, String> {
    static LISTED: OnceLock<std::result::Result<Listed, String>> = OnceLock::new();
    let read = || {
        let catalogue = catalogue::catalogue();
        let tables = catalogue.tables.into_iter().map(|(describe, rows)| Ok((Table::read(describe)?, rows)));
        Ok((tables.collect::<std::result::Result<_, String>>()?, catalogue.choices))
    };
    LISTED.get_or_init(read).as_ref().map_err(Clone::clone)
}

/// Everything that requests change.
#[derive(Debug)]
struct Environment {
    store: Store,
    cookies: Cookies,
    requests: u64,
    /// Grows with every change of the metadata.
    metadata_version: u64,
}

impl Environment {
    fn new(config: &ServiceConfig, imports: &[Value]) -> std::result::Result<Self, String> {
        let scaled = |name: &str, base: u64| match () {
            () if config.empty && !NEVER_EMPTY.contains(&name) => 0,
            () if FIXED_COUNT.contains(&name) => base,
            () => base.saturating_mul(config.scale).min(u64::from(u32::MAX)),
        };
        let (listed, choices) = listed()?;
        let mut tables: Vec<(Table, u64)> =
            listed.iter().map(|(table, rows)| (table.clone(), scaled(&table.name, *rows))).collect();
        for describe in imports {
            let table = Table::read(describe.clone())?;
            match tables.iter_mut().find(|(known, _)| known.name == table.name) {
                Some((known, _)) => *known = table,
                None => {
                    let rows = scaled(&table.name, IMPORTED_COUNT);
                    tables.push((table, rows));
                }
            }
        }
        let (tables, counts): (Vec<Table>, Vec<u64>) = tables.into_iter().unzip();
        let store = Store::new(config.seed, Model::new(tables, choices.clone()), &counts);
        Ok(Self { store, cookies: Cookies::default(), requests: 0, metadata_version: 1_000_000 })
    }

    /// The row that a standing entity has, by its index.
    fn standing(&self, table: &str, index: u64) -> u128 {
        self.store.model.table(table).map_or(0, |table| self.store.id(Place { table, index }))
    }
}

impl Dynamics {
    /// An environment as its seed makes it, with its tenant, clients and tokens.
    ///
    /// # Errors
    /// When the signing key cannot be made or written.
    pub fn start(config: &ServiceConfig) -> Result<Self> {
        let environment = Environment::new(config, &[])
            .map_err(|what| Error::bug(format!("the list of tables: {what}")))?;
        let user = environment.standing("systemuser", 0);
        let name = environment
            .store
            .model
            .table("systemuser")
            .map_or_else(String::new, |table| environment.store.name_of(Place { table, index: 0 }));
        let entra = Entra::start(config, &guid::text(user), &name)?;
        Ok(Self {
            config: config.clone(),
            entra,
            imports: Mutex::new(Vec::new()),
            environment: Mutex::new(environment),
        })
    }

    fn environment(&self) -> MutexGuard<'_, Environment> {
        self.environment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebuild(&self) -> std::result::Result<(), String> {
        let imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        let environment = Environment::new(&self.config, &imports)?;
        *self.environment() = environment;
        Ok(())
    }

    fn data(&self, request: &Request, every: Option<usize>) -> Reply {
        if let Err(refused) = self.entra.admit(request) {
            return with_service_headers(refused, 0);
        }
        let mut environment = self.environment();
        environment.requests += 1;
        let number = environment.requests;
        let reply = answer(&mut environment, request, every);
        drop(environment);
        with_service_headers(reply, number)
    }
}

/// Answers a request to the Web API, refusals included.
fn answer(environment: &mut Environment, request: &Request, every: Option<usize>) -> Reply {
    let call = match Call::read(request, false) {
        Ok(call) => call,
        Err(refusal) => return refusal.reply(false),
    };
    let reply = match call.segments.first() {
        Some(first) if first.name == "$batch" => batch::handle(environment, &call, every),
        _ => route(environment, &call, &ContentIds::new(), every).map(|done| done.reply),
    };
    reply.unwrap_or_else(|refusal| refusal.reply(call.prefer.wants_all()))
}

/// An answer of the Web API with a JSON body.
fn json_reply(status: StatusCode, body: String) -> Reply {
    Reply::new(status, "application/json; odata.metadata=minimal", body)
}

fn with_service_headers(reply: Reply, number: u64) -> Reply {
    let id = guid::text(guid::fresh(mix(number), number));
    let left = BURST.saturating_sub(number % BURST);
    reply
        .with_header(HeaderName::from_static("odata-version"), "4.0")
        .with_header(HeaderName::from_static("x-ms-service-request-id"), &id)
        .with_header(HeaderName::from_static("req_id"), &id)
        .with_header(
            HeaderName::from_static("x-ms-ratelimit-burst-remaining-xrm-requests"),
            &left.to_string(),
        )
        .with_header(HeaderName::from_static("x-ms-ratelimit-time-remaining-xrm-requests"), "1,199.98")
}

/// 401 with the address of the tenant; an expired ticket is named in the body.
fn unauthorized(origin: &str, tenant: &str, error: &str) -> Reply {
    let challenge = format!(
        "Bearer authorization_uri={origin}/{tenant}/oauth2/authorize, resource_id={origin}/, error={error}"
    );
    let reply = if error == "ExpiredAuthTicket" {
        Refusal::new(errors::TOKEN_EXPIRED, "The access token has expired.")
            .with_status(StatusCode::UNAUTHORIZED)
            .reply(false)
    } else {
        Reply::empty(StatusCode::UNAUTHORIZED)
    };
    reply.with_header(WWW_AUTHENTICATE, &challenge)
}

/// Answers one request, alone or as a part of a batch; `ids` are the rows that earlier parts made.
fn route(
    environment: &mut Environment,
    call: &Call<'_>,
    ids: &ContentIds,
    every: Option<usize>,
) -> std::result::Result<Done, Refusal> {
    if matches!(*call.method(), Method::GET | Method::HEAD) {
        return read_only(environment, call).map(Done::from);
    }
    modify::handle(environment, call, ids, every)
}

fn read_only(environment: &mut Environment, call: &Call<'_>) -> std::result::Result<Reply, Refusal> {
    let first = call.segments.first().map(|segment| segment.name.as_str()).unwrap_or_default();
    match first {
        "" => Ok(service_document(&environment.store.model, call)),
        "$metadata" => {
            let annotations = call.option("annotations") == Some("true") || call.prefer.wants_all();
            let document = csdl::document(&environment.store.model, annotations);
            Ok(Reply::new(StatusCode::OK, "application/xml", document))
        }
        "WhoAmI" => {
            let body = json!({
                "@odata.context": call.context("Microsoft.Dynamics.CRM.WhoAmIResponse"),
                "BusinessUnitId": guid::text(environment.standing("businessunit", 0)),
                "UserId": guid::text(environment.standing("systemuser", 0)),
                "OrganizationId": guid::text(guid::fresh(environment.store.seed, 0x0126)),
            });
            Ok(json_reply(StatusCode::OK, body.to_string()))
        }
        "RetrieveVersion" => {
            let body = json!({
                "@odata.context": call.context("Microsoft.Dynamics.CRM.RetrieveVersionResponse"),
                "Version": "9.2.25000.100",
            });
            Ok(json_reply(StatusCode::OK, body.to_string()))
        }
        name if metadata::owns(name) => metadata::handle(&environment.store.model, call),
        _ => read::handle(environment, call),
    }
}

fn service_document(model: &Model, call: &Call<'_>) -> Reply {
    let sets: Vec<Value> = model
        .tables
        .iter()
        .map(|table| json!({ "name": table.set, "kind": "EntitySet", "url": table.set }))
        .collect();
    let body = json!({ "@odata.context": format!("{}$metadata", call.root()), "value": sets });
    json_reply(StatusCode::OK, body.to_string())
}

impl Service for Dynamics {
    fn name(&self) -> &'static str {
        "dynamics"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/api/data/") || Entra::owns(path) || control::owns(path)
    }

    fn handle(&self, request: &Request) -> Reply {
        if control::owns(&request.path) {
            return control::handle(&mut self.environment(), request);
        }
        if Entra::owns(&request.path) {
            return self.entra.handle(request);
        }
        self.data(request, None)
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        let path = request.path.as_str();
        let batch = path.ends_with("/$batch") || path.ends_with("Multiple");
        (path.starts_with("/api/data/") && batch && request.method == Method::POST)
            .then(|| self.data(request, Some(every)))
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        let refusal = match status {
            StatusCode::UNAUTHORIZED => Refusal::new(errors::TOKEN_EXPIRED, "The access token has expired."),
            StatusCode::FORBIDDEN => Refusal::new(
                errors::PRIVILEGE,
                "Principal user is missing prvReadAccount privilege on OTC=1 for entity 'account'.",
            ),
            StatusCode::TOO_MANY_REQUESTS => Refusal::new(
                errors::THROTTLED,
                "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
            ),
            StatusCode::NOT_FOUND => Refusal::new(errors::GENERIC, "Resource not found."),
            StatusCode::PRECONDITION_FAILED => Refusal::new(
                errors::VERSION_MISMATCH,
                "The version of the existing record doesn't match the RowVersion property provided.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => {
                Refusal::new(errors::GENERIC, "The service is unavailable. Please try again later.")
            }
            status if status.is_server_error() => {
                Refusal::new(errors::UNEXPECTED, "An unexpected error occurred.")
            }
            _ => Refusal::new(errors::UNEXPECTED, "The request was refused."),
        };
        let reply = with_service_headers(refusal.with_status(status).reply(false), 0);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = format!("Bearer authorization_uri=/{}/oauth2/authorize", self.entra.tenant());
            return reply.with_header(WWW_AUTHENTICATE, &challenge);
        }
        reply
    }

    fn grants(&self) -> Option<&Grants> {
        Some(self.entra.grants())
    }

    fn credentials(&self) -> Value {
        self.entra.credentials()
    }

    fn expire_access_tokens(&self) {
        self.entra.grants().expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        PageShape {
            rows: "value",
            next: "@odata.nextLink",
            done: None,
            more: None,
            total: Some("@odata.count"),
        }
    }

    fn reset(&self) {
        self.entra.grants().reset();
        // The imported metadata was read once already.
        let _ = self.rebuild();
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        let text = self.state_text(record_type, &StatePart::default())?;
        serde_json::from_slice(&text).ok()
    }

    fn state_text(&self, record_type: &str, part: &StatePart) -> Option<Bytes> {
        let environment = self.environment();
        let model = &environment.store.model;
        let table = model.table(record_type).or_else(|| model.set(record_type))?;
        Some(read::state(&environment.store, table, part).into())
    }

    fn import(&self, file: &Path) -> std::result::Result<(), String> {
        let told = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
        let described = import::read(&text).map_err(|error| told(&error))?;
        for describe in &described {
            Table::read(describe.clone()).map_err(|error| told(&error))?;
        }
        {
            let mut imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
            imports.retain(|known| !described.iter().any(|new| new["LogicalName"] == known["LogicalName"]));
            imports.extend(described);
        }
        self.rebuild()
    }
}
