//! Values to choose from: options, and users, groups, labels and projects that a field can hold.

use serde::Deserialize;
use serde_json::Value as Json;

use super::metadata::{NumberedPage, Project};
use super::site::Site;
use super::wires::Kind;
use super::{Described, api};
use crate::error::{Error, Result};
use crate::provider::choices::{self, Choices, PAGE};
use crate::provider::{Context, OptionItem, OptionPage, OptionQuery};
use crate::record::FieldPath;

/// A page of values for a field.
///
/// # Errors
/// Invalid for a field that has none, and for a wrong cursor.
pub(super) async fn options(
    site: &Site,
    cx: &Context,
    described: &Described,
    path: &FieldPath,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    let kind = described.wires.fields.get(path.leaf()).map(|wire| (wire.kind, wire.id.as_str()));
    match kind.filter(|_| path.is_single()) {
        Some((Kind::User | Kind::Users, id)) => users(site, cx, described, id, ask).await,
        Some((Kind::Group | Kind::Groups, _)) => groups(site, cx, ask).await,
        Some((Kind::Labels, "labels")) => labels(site, cx, ask).await,
        Some((Kind::Project, id)) if described.wires.scope.is_none() || id != "project" => {
            projects(site, cx, ask).await
        }
        _ => match choices::choices(&described.record_type, path, ask)? {
            Choices::Page(page) => Ok(page),
            Choices::Records(_) => Err(Error::invalid(format!("{path} has no list of values")).with_field(
                path.to_string(),
                "only options, users, groups, labels and projects can be chosen from a list",
            )),
        },
    }
}

fn start(ask: &OptionQuery) -> Result<u64> {
    match &ask.cursor {
        Some(text) => text.parse().map_err(|_| Error::invalid("this is not a cursor of these values")),
        None => Ok(0),
    }
}

fn item(value: &str, label: &str) -> OptionItem {
    let label = if label.is_empty() { value } else { label };
    OptionItem { value: Json::from(value), label: label.to_owned(), record_type: None }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    account_id: String,
    #[serde(default)]
    display_name: String,
}

/// Users that a field can hold; those that issues of the project can be assigned to, for the assignee.
async fn users(
    site: &Site,
    cx: &Context,
    described: &Described,
    field: &str,
    ask: &OptionQuery,
) -> Result<OptionPage> {
    let door = site.door(cx).await?;
    let (start, size) = (start(ask)?, PAGE.to_string());
    let begin = start.to_string();
    let search = ask.search.as_deref().unwrap_or_default();
    let mut query = vec![("query", search), ("startAt", begin.as_str()), ("maxResults", size.as_str())];
    let resource = match &described.wires.scope {
        Some(scope) if field == "assignee" => {
            query.push(("project", scope.project_key.as_str()));
            "user/assignable/search"
        }
        _ => "user/search",
    };
    let call = api::get("options", &door, &api::with_query(resource, &query));
    let users: Vec<User> = site.ask(cx, "users", call).await?;
    // Whole pages may be followed by another; Jira does not say.
    let next = (users.len() >= PAGE).then(|| (start + users.len() as u64).to_string());
    let options = users.iter().map(|user| item(&user.account_id, &user.display_name)).collect();
    Ok(OptionPage { options, next })
}

/// Groups by name. Jira gives the best matches and no further pages.
async fn groups(site: &Site, cx: &Context, ask: &OptionQuery) -> Result<OptionPage> {
    #[derive(Deserialize)]
    struct Group {
        name: String,
    }
    #[derive(Deserialize)]
    struct Groups {
        groups: Vec<Group>,
    }
    let door = site.door(cx).await?;
    let query = [("query", ask.search.as_deref().unwrap_or_default()), ("maxResults", "1000")];
    let call = api::get("options", &door, &api::with_query("groups/picker", &query));
    let found: Groups = site.ask(cx, "groups", call).await?;
    choices::page(found.groups.iter().map(|group| item(&group.name, "")).collect(), ask)
}

/// Labels in use. Jira has no search for them here, so pages are looked through until one has a match.
async fn labels(site: &Site, cx: &Context, ask: &OptionQuery) -> Result<OptionPage> {
    const EACH: &str = "1000";
    let door = site.door(cx).await?;
    let wanted = ask.search.as_deref().unwrap_or_default().to_lowercase();
    let mut begin = start(ask)?;
    loop {
        let query = [("startAt", begin.to_string()), ("maxResults", EACH.to_owned())];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
        let call = api::get("options", &door, &api::with_query("label", &query));
        let page: NumberedPage<String> = site.ask(cx, "labels", call).await?;
        let mut options = Vec::new();
        for (label, at) in page.values.iter().zip(begin..) {
            if !label.to_lowercase().contains(&wanted) {
                continue;
            }
            if options.len() == PAGE {
                return Ok(OptionPage { options, next: Some(at.to_string()) });
            }
            options.push(item(label, ""));
        }
        match page.next() {
            Some(next) if options.is_empty() && next > begin => begin = next,
            next => return Ok(OptionPage { options, next: next.map(|next| next.to_string()) }),
        }
    }
}

async fn projects(site: &Site, cx: &Context, ask: &OptionQuery) -> Result<OptionPage> {
    let door = site.door(cx).await?;
    let search = ask.search.as_deref().filter(|text| !text.is_empty());
    let call = api::projects("options", &door, search, start(ask)?, PAGE as u64);
    let page: NumberedPage<Project> = site.ask(cx, "projects", call).await?;
    let options =
        page.values.iter().map(|own| item(&own.id, &format!("{} ({})", own.name, own.key))).collect();
    Ok(OptionPage { options, next: page.next().map(|next| next.to_string()) })
}
