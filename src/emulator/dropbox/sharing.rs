//! Shared links.

use serde_json::{Value, json};

use super::Space;
use super::arguments::{Arguments, PathKind};
use super::call::Call;
use super::content::fingerprint;
use super::errors::Refusal;
use super::places::{self, View};
use super::tree::Node;

const PAGE: usize = 200;

/// A link to an entry.
#[derive(Debug, Clone)]
pub(super) struct SharedLink {
    url: String,
    node: u64,
    expires: Option<String>,
    audience: String,
}

/// A link as clients of a space see it.
pub(super) fn shown(space: &Space, view: &View, link: &SharedLink) -> Option<Value> {
    let node = space.tree.node(link.node)?;
    let mut out = json!({ ".tag": if node.is_folder() { "folder" } else { "file" }, "url": link.url });
    out["id"] = json!(space.tree.id_text(node.id));
    out["name"] = json!(node.name());
    if let Some(path) = view.shown(&node.path) {
        out["path_lower"] = json!(path.to_lowercase());
    }
    if let Some(expires) = &link.expires {
        out["expires"] = json!(expires);
    }
    out["link_permissions"] = json!({
        "resolved_visibility": { ".tag": link.audience },
        "requested_visibility": { ".tag": link.audience },
        "can_revoke": true,
        "visibility_policies": [],
        "can_set_expiry": true,
        "can_remove_expiry": true,
        "allow_download": true,
        "can_allow_download": true,
        "can_disallow_download": false,
        "allow_comments": true,
        "team_restricts_comments": false,
    });
    if let Some(latest) = node.latest() {
        out["client_modified"] = json!(super::metadata::instant(latest.client_modified));
        out["server_modified"] = json!(super::metadata::instant(latest.server_modified));
        out["rev"] = json!(latest.text());
        out["size"] = json!(latest.content.size());
    }
    Some(out)
}

fn settings(link: &mut SharedLink, settings: &Arguments) -> Result<(), Refusal> {
    if let Some(expires) = settings.optional_text("expires")? {
        link.expires = Some(expires.to_owned());
    }
    let visibilities = ["public", "team", "members", "no_one", "password", "team_only"];
    for name in ["requested_visibility", "audience"] {
        if let Some(chosen) = settings.union(name, &visibilities, &[])? {
            link.audience = match chosen.tag.as_str() {
                "team" => "team_only".to_owned(),
                other => other.to_owned(),
            };
        }
    }
    Ok(())
}

fn url(node: &Node) -> String {
    let kind = if node.is_folder() { "fo" } else { "fi" };
    let id = fingerprint(&format!("shared {}", node.id));
    let (path, key) = id.split_at(16);
    let name: String = url::form_urlencoded::byte_serialize(node.name().as_bytes()).collect();
    format!("https://www.dropbox.com/scl/{kind}/{path}/{name}?rlkey={key}&dl=0")
}

pub(super) fn create(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&["path", "settings"])?;
    let text = arguments.path("path", PathKind::Read)?;
    let node = places::existing(&space.tree, &call.view, &space.home, text, "path")?;
    if let Some(present) = space.links.iter().find(|link| link.node == node.id) {
        let mut error = json!({ ".tag": "shared_link_already_exists" });
        if let Some(metadata) = shown(space, &call.view, present) {
            error["shared_link_already_exists"] = json!({ ".tag": "metadata", "metadata": metadata });
        }
        return Err(Refusal::endpoint(error));
    }
    let mut link =
        SharedLink { url: url(&node), node: node.id, expires: None, audience: "public".to_owned() };
    if let Some(wanted) = arguments.optional_object("settings")? {
        settings(&mut link, &wanted)?;
    }
    let out = shown(space, &call.view, &link);
    space.links.push(link);
    out.ok_or_else(|| Refusal::tags(&["path", "not_found"]))
}

pub(super) fn list(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&["path", "cursor", "direct_only"])?;
    let direct = arguments.boolean("direct_only", false)?;
    let from: usize = match arguments.optional_text("cursor")? {
        None => 0,
        Some(text) => text.parse().map_err(|_| Refusal::tags(&["reset"]))?,
    };
    let wanted = match arguments.optional_path("path", PathKind::Read)? {
        None => None,
        Some(text) => Some(places::existing(&space.tree, &call.view, &space.home, text, "path")?),
    };
    let belongs = |link: &&SharedLink| match (&wanted, space.tree.node(link.node)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(wanted), Some(own)) => {
            own.id == wanted.id || (!direct && wanted.lower().starts_with(&format!("{}/", own.lower())))
        }
    };
    let all: Vec<&SharedLink> = space.links.iter().filter(belongs).collect();
    let links: Vec<Value> =
        all.iter().skip(from).take(PAGE).filter_map(|link| shown(space, &call.view, link)).collect();
    let has_more = from + links.len() < all.len();
    let mut out = json!({ "links": links, "has_more": has_more });
    if has_more {
        out["cursor"] = json!((from + PAGE).to_string());
    }
    Ok(out)
}

/// The link with a URL, of whatever query.
fn named<'a>(space: &'a mut Space, arguments: &Arguments) -> Result<&'a mut SharedLink, Refusal> {
    let bare = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
    let wanted = bare(arguments.text("url")?);
    let found = space.links.iter_mut().find(|link| bare(&link.url) == wanted);
    found.ok_or_else(|| Refusal::tags(&["shared_link_not_found"]))
}

pub(super) fn get(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["url", "path", "link_password"])?;
    let link = named(space, &call.arguments)?.clone();
    shown(space, &call.view, &link).ok_or_else(|| Refusal::tags(&["shared_link_not_found"]))
}

pub(super) fn modify(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["url", "settings", "remove_expiration"])?;
    let remove = call.arguments.boolean("remove_expiration", false)?;
    let wanted = call.arguments.object("settings")?;
    let link = named(space, &call.arguments)?;
    if remove {
        link.expires = None;
    }
    settings(link, &wanted)?;
    let link = link.clone();
    shown(space, &call.view, &link).ok_or_else(|| Refusal::tags(&["shared_link_not_found"]))
}

pub(super) fn revoke(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["url"])?;
    let id = named(space, &call.arguments)?.node;
    space.links.retain(|link| link.node != id);
    Ok(Value::Null)
}
