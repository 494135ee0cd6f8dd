//! Dropbox from the other side: its HTTP interface on loopback, with its sign-in beside it.
//!
//! All three of the service's hosts (API, content, notification) answer at this one address. The account is
//! that of a member of a team: paths begin in the member's own space unless a header names the team's.

mod account;
mod arguments;
mod call;
mod content;
mod download;
mod errors;
mod import;
mod jobs;
mod listing;
mod metadata;
mod modify;
mod paper;
mod places;
mod properties;
mod revisions;
mod search;
mod seed;
mod sharing;
mod tree;
mod upload;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::account::Account;
use self::call::{Call, Style};
use self::errors::{JSON, REQUEST_ID, Refusal};
use self::jobs::Jobs;
use self::metadata::Look;
use self::modify::Way;
use self::places::View;
use self::properties::Templates;
use self::seed::Seed;
use self::sharing::SharedLink;
use self::tree::{Node, Tree};
use self::upload::Sessions;
use crate::emulator::chance::{mix, word};
use crate::emulator::grants::Grants;
use crate::emulator::service::{PageShape, Reply, Request, Service, ServiceConfig};
use crate::emulator::vocabulary::{FAMILY, GIVEN};

const API: &str = "/2/";
const CONTROL: &str = "/_emulator/dropbox/";
const METADATA_READ: &str = "files.metadata.read";
const METADATA_WRITE: &str = "files.metadata.write";
const CONTENT_READ: &str = "files.content.read";
const CONTENT_WRITE: &str = "files.content.write";
const SHARING_READ: &str = "sharing.read";
const SHARING_WRITE: &str = "sharing.write";

/// The emulated account.
#[derive(Debug)]
pub struct Dropbox {
    config: ServiceConfig,
    account: Account,
    home: String,
    imports: Mutex<Vec<import::Entry>>,
    space: Mutex<Space>,
}

/// Everything that requests change.
#[derive(Debug)]
struct Space {
    tree: Tree,
    /// Where the member's own space begins.
    home: String,
    jobs: Jobs,
    sessions: Sessions,
    sessions_begun: u64,
    templates: Templates,
    links: Vec<SharedLink>,
    temporary: HashMap<String, download::Link>,
    /// Cursors of an older epoch ask their holders to start over.
    epoch: u64,
    requests: u64,
}

impl Space {
    fn new(config: &ServiceConfig, home: &str, imports: &[import::Entry]) -> Self {
        let seed = Seed::new(config.seed, home, config.scale, config.empty);
        let mut space = Self {
            tree: Tree::new(seed, mix(config.seed ^ 0xD0C)),
            home: home.to_owned(),
            jobs: Jobs::default(),
            sessions: Sessions::new(),
            sessions_begun: 0,
            templates: Templates::new(),
            links: Vec::new(),
            temporary: HashMap::new(),
            epoch: 0,
            requests: 0,
        };
        import::apply(&mut space.tree, home, imports);
        space
    }
}

impl Dropbox {
    /// An account as its seed makes it, with its app and tokens.
    #[must_use]
    pub fn start(config: &ServiceConfig) -> Self {
        let (given, family) = (word(&GIVEN, mix(config.seed)), word(&FAMILY, mix(config.seed ^ 1)));
        let home = format!("/{given} {family}");
        Self {
            account: Account::start(config, given, family),
            space: Mutex::new(Space::new(config, &home, &[])),
            imports: Mutex::new(Vec::new()),
            config: config.clone(),
            home,
        }
    }

    fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self, request: &Request, refuse_every: Option<usize>) -> Reply {
        let mut space = self.space();
        space.requests += 1;
        let turn = space.requests;
        if request.path.starts_with(download::LINKS) {
            return download::follow(&space, request);
        }
        let reply =
            self.answer(&mut space, request, refuse_every).unwrap_or_else(|refusal| refusal.reply(turn));
        reply.with_header(REQUEST_ID, &format!("{:032x}", u128::from(mix(turn))))
    }

    fn answer(
        &self,
        space: &mut Space,
        request: &Request,
        refuse_every: Option<usize>,
    ) -> Result<Reply, Refusal> {
        let route = request.path.strip_prefix(API).unwrap_or_default().trim_end_matches('/');
        let Some((style, scope)) = function(route) else {
            let text = format!("Unknown API function: \"{route}\"");
            return Err(Refusal::Text(StatusCode::BAD_REQUEST, text));
        };
        call::check_method(request, route, style)?;
        if route == "files/list_folder/longpoll" {
            let arguments = call::arguments(request, route, style)?;
            let (body, seconds) = listing::longpoll(space, &arguments)?;
            let waits = body["changes"] == false;
            let mut reply = Reply::new(StatusCode::OK, JSON, body.to_string());
            reply.again_for = waits.then(|| Duration::from_secs(seconds));
            return Ok(reply);
        }
        self.account.admit(request, route, scope)?;
        let call = Call {
            request,
            route,
            arguments: call::arguments(request, route, style)?,
            view: call::view(request, route, &self.home)?,
            refuse_every,
            now: request.now,
        };
        if style == Style::Download {
            return match route {
                "files/export" => paper::export(space, &call),
                _ => download::download(space, &call),
            };
        }
        let body = self.run(space, &call)?;
        let reply = Reply::new(StatusCode::OK, JSON, body.to_string());
        let writes = scope.ends_with(".write") && !route.contains("/check");
        Ok(if writes { reply.committed() } else { reply })
    }

    fn run(&self, space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
        match call.route.strip_prefix("files/").unwrap_or_default() {
            "list_folder" => listing::list(space, call),
            "list_folder/continue" => listing::go_on(space, call),
            "list_folder/get_latest_cursor" => listing::latest(space, call),
            "get_metadata" => revisions::get_metadata(space, call),
            "list_revisions" => revisions::list(space, call),
            "restore" => revisions::restore(space, call),
            "search_v2" => search::start(space, call),
            "search/continue_v2" => search::go_on(space, call),
            "create_folder" | "create_folder_v2" => modify::create_folder(space, call),
            "create_folder_batch" => modify::create_folders(space, call),
            "delete" | "delete_v2" => modify::delete(space, call),
            "delete_batch" => modify::delete_batch(space, call),
            "move" | "move_v2" => modify::relocate(space, call, Way::Move),
            "copy" | "copy_v2" => modify::relocate(space, call, Way::Copy),
            "move_batch_v2" => modify::relocate_batch(space, call, Way::Move),
            "copy_batch_v2" => modify::relocate_batch(space, call, Way::Copy),
            "create_folder_batch/check"
            | "delete_batch/check"
            | "move_batch/check_v2"
            | "copy_batch/check_v2"
            | "upload_session/finish_batch/check" => modify::check(space, call),
            "upload" => upload::upload(space, call),
            "upload_session/start" => upload::start(space, call),
            "upload_session/start_batch" => upload::start_batch(space, call),
            "upload_session/append_v2" => upload::append(space, call),
            "upload_session/finish" => upload::finish(space, call),
            "upload_session/finish_batch" | "upload_session/finish_batch_v2" => {
                upload::finish_batch(space, call)
            }
            "paper/create" => paper::create(space, call),
            "get_temporary_link" => download::temporary_link(space, call),
            _ => self.run_other(space, call),
        }
    }

    fn run_other(&self, space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
        if let Some(what) = call.route.strip_prefix("file_properties/templates/") {
            return properties::template(space, call, what.strip_suffix("_for_user").unwrap_or(what));
        }
        if let Some(what) = call.route.strip_prefix("file_properties/properties/") {
            return properties::of_entry(space, call, what);
        }
        match call.route {
            "users/get_current_account" => Ok(self.account.shown()),
            "users/get_space_usage" => Ok(json!({
                "used": 314_159_265_u64,
                "allocation": { ".tag": "individual", "allocated": 2_000_000_000_000_u64 },
            })),
            "check/user" | "check/app" => {
                Ok(json!({ "result": call.arguments.optional_text("query")?.unwrap_or_default() }))
            }
            "auth/token/revoke" => {
                self.account.revoke(call.request);
                Ok(Value::Null)
            }
            "sharing/create_shared_link_with_settings" => sharing::create(space, call),
            "sharing/list_shared_links" => sharing::list(space, call),
            "sharing/get_shared_link_metadata" => sharing::get(space, call),
            "sharing/modify_shared_link_settings" => sharing::modify(space, call),
            "sharing/revoke_shared_link" => sharing::revoke(space, call),
            _ => Err(Refusal::input(call.route, "This API function is not emulated.")),
        }
    }

    fn control(&self, request: &Request) -> Reply {
        match (request.path.strip_prefix(CONTROL), &request.method) {
            (Some("reset-cursors"), &Method::POST) => {
                self.space().epoch += 1;
                Reply::json(StatusCode::OK, &json!({ "reset": true }))
            }
            _ => Reply::json(StatusCode::NOT_FOUND, &json!({ "error": "see reset-cursors" })),
        }
    }
}

/// The style of a function and the scope that it needs (Stone specification, attributes of routes).
fn function(route: &str) -> Option<(Style, &'static str)> {
    let rpc = |scope| Some((Style::Rpc, scope));
    match route {
        "files/list_folder"
        | "files/list_folder/continue"
        | "files/list_folder/get_latest_cursor"
        | "files/get_metadata"
        | "files/list_revisions"
        | "files/search_v2"
        | "files/search/continue_v2" => rpc(METADATA_READ),
        "files/list_folder/longpoll" | "check/user" | "check/app" | "auth/token/revoke" => rpc(""),
        "files/restore"
        | "files/create_folder"
        | "files/create_folder_v2"
        | "files/create_folder_batch"
        | "files/create_folder_batch/check"
        | "files/delete"
        | "files/delete_v2"
        | "files/delete_batch"
        | "files/delete_batch/check"
        | "files/move"
        | "files/move_v2"
        | "files/move_batch_v2"
        | "files/move_batch/check_v2"
        | "files/copy"
        | "files/copy_v2"
        | "files/copy_batch_v2"
        | "files/copy_batch/check_v2"
        | "files/upload_session/start_batch"
        | "files/upload_session/finish_batch"
        | "files/upload_session/finish_batch_v2"
        | "files/upload_session/finish_batch/check" => rpc(CONTENT_WRITE),
        "files/get_temporary_link" => rpc(CONTENT_READ),
        "files/upload"
        | "files/upload_session/start"
        | "files/upload_session/append_v2"
        | "files/upload_session/finish"
        | "files/paper/create" => Some((Style::Upload, CONTENT_WRITE)),
        "files/download" | "files/export" => Some((Style::Download, CONTENT_READ)),
        "users/get_current_account" | "users/get_space_usage" => rpc("account_info.read"),
        "file_properties/templates/add_for_user"
        | "file_properties/templates/update_for_user"
        | "file_properties/templates/remove_for_user"
        | "file_properties/properties/add"
        | "file_properties/properties/overwrite"
        | "file_properties/properties/update"
        | "file_properties/properties/remove" => rpc(METADATA_WRITE),
        "file_properties/templates/get_for_user" | "file_properties/templates/list_for_user" => {
            rpc(METADATA_READ)
        }
        "sharing/list_shared_links" | "sharing/get_shared_link_metadata" => rpc(SHARING_READ),
        "sharing/create_shared_link_with_settings"
        | "sharing/modify_shared_link_settings"
        | "sharing/revoke_shared_link" => rpc(SHARING_WRITE),
        _ => None,
    }
}

impl Service for Dropbox {
    fn name(&self) -> &'static str {
        "dropbox"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with(API) || path.starts_with(CONTROL) || Account::owns(path)
    }

    fn handle(&self, request: &Request) -> Reply {
        if request.path.starts_with(CONTROL) {
            return self.control(request);
        }
        if Account::owns(&request.path) {
            return self.account.handle(request);
        }
        self.api(request, None)
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        let batches = ["delete_batch", "move_batch_v2", "copy_batch_v2", "finish_batch", "finish_batch_v2"];
        let name = request.path.rsplit('/').next().unwrap_or_default();
        (request.path.starts_with(API) && batches.contains(&name)).then(|| self.api(request, Some(every)))
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        let turn = self.space().requests;
        let refusal = match status {
            StatusCode::UNAUTHORIZED => Refusal::unauthorized(json!({ ".tag": "expired_access_token" })),
            StatusCode::FORBIDDEN => Refusal::Tagged(status, json!({ ".tag": "no_permission" })),
            StatusCode::TOO_MANY_REQUESTS => {
                Refusal::Tagged(status, json!({ "reason": { ".tag": "too_many_requests" } }))
            }
            status if status.is_server_error() => Refusal::Text(status, "Internal server error".to_owned()),
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Refusal::tags(&["path", "not_found"]),
            _ => Refusal::Text(status, "The request was refused.".to_owned()),
        };
        refusal.reply(turn)
    }

    fn grants(&self) -> Option<&Grants> {
        Some(self.account.grants())
    }

    fn credentials(&self) -> Value {
        self.account.credentials()
    }

    fn expire_access_tokens(&self) {
        self.account.grants().expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        PageShape { rows: "entries", next: "cursor", done: None, more: Some("has_more"), total: None }
    }

    fn reset(&self) {
        self.account.grants().reset();
        let imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        *self.space() = Space::new(&self.config, &self.home, &imports);
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        let space = self.space();
        let view = View::new(&self.home);
        let look = Look { tree: &space.tree, view: &view, tag: true, templates: &[] };
        if record_type == "shared_link" {
            return Some(space.links.iter().filter_map(|link| sharing::shown(&space, &view, link)).collect());
        }
        // `file:/Reports` are the files of a folder.
        let (base, folder) = record_type.split_once(':').unwrap_or((record_type, ""));
        let folder = format!("{}{}", view.lower(), folder.to_lowercase());
        let wanted: fn(&Node) -> bool = match base {
            "file" => |node| !node.is_folder(),
            "folder" => Node::is_folder,
            "entry" => |_| true,
            _ => return None,
        };
        let all = space.tree.under(&folder, true, 0).filter(wanted).map(|node| look.node(&node)).collect();
        Some(all)
    }

    fn import(&self, file: &Path) -> Result<(), String> {
        let entries = import::read(file)?;
        let mut imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        imports.extend(entries);
        *self.space() = Space::new(&self.config, &self.home, &imports);
        Ok(())
    }
}

/// When imported entries and folders were made, as far as nothing else is known.
const fn epoch() -> Timestamp {
    Timestamp::UNIX_EPOCH
}
