//! Asks the site for all that describes `issue` and types such as `issue:OPS/Bug`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;

use super::discover::{self, Findings};
use super::metadata::{EditMeta, IssueType, MetaField, Named, NumberedPage, Project, Sample};
use super::site::{Door, Site};
use super::wires::Scope;
use super::{Described, PROJECTS_PAGE, api, unknown_type};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::Context;
use crate::provider::descriptions::Description;
use crate::record::nearest::{did_you_mean, nearest_few};

/// Name of the type that has every issue.
pub(super) const ISSUE: &str = "issue";
/// Screens that are read to describe all issues together. A site with more says less about the values of
/// `issue`; types such as `issue:OPS/Bug` are described in full in any case.
const SCREENS_MAX: usize = 24;
/// Screens that are asked for at once.
const AT_ONCE: usize = 6;

/// The description of `issue`, or of `issue:` with a scope.
///
/// # Errors
/// `NotFound` with the nearest names; what the service refuses.
pub(super) async fn described(site: &Site, cx: &Context, scope: Option<&str>) -> Result<Arc<Described>> {
    let name = scope.map_or_else(|| ISSUE.to_owned(), |scope| format!("{ISSUE}:{scope}"));
    let ask = async |_| {
        let findings = match scope {
            None => everywhere(site, cx).await,
            Some(scope) => in_project(site, cx, scope).await,
        };
        let findings = findings.map_err(|error| error.with_record_type(name.as_str()))?;
        Ok(Description::new(cx, discover::describe(&findings)))
    };
    site.described.get(cx, &name, ask).await
}

/// What holds for every issue, and for all screens that can be read.
async fn everywhere(site: &Site, cx: &Context) -> Result<Findings> {
    let door = site.door(cx).await?;
    let (fields, shared, screens) =
        futures::try_join!(site.fields(cx), shared(site, cx, &door), screens(site, cx, &door))?;
    let (screens, all_screens) = screens;
    Ok(Findings {
        name: ISSUE.to_owned(),
        label: "Issue".to_owned(),
        label_plural: "Issues".to_owned(),
        description: Some("Issues of every project and type that the user sees".to_owned()),
        scope: None,
        fields: fields.to_vec(),
        create: merged(&screens),
        edit: None,
        all_screens,
        statuses: shared.statuses,
        resolutions: shared.resolutions,
        issue_types: shared.issue_types,
        tells_deletions: site.tells_deletions(),
    })
}

/// Values that belong to no screen.
#[derive(Default)]
struct Shared {
    statuses: Vec<Named>,
    resolutions: Vec<Named>,
    issue_types: Vec<IssueType>,
}

async fn shared(site: &Site, cx: &Context, door: &Door) -> Result<Shared> {
    let statuses = site.ask(cx, "statuses", api::get("describe", door, "status"));
    let resolutions = all_pages(|start| {
        let start = start.to_string();
        let resource = api::with_query("resolution/search", &[("startAt", &start), ("maxResults", "50")]);
        site.ask(cx, "resolutions", api::get("describe", door, &resource))
    });
    let issue_types = site.ask(cx, "issue types", api::get("describe", door, "issuetype"));
    let (statuses, resolutions, issue_types) = futures::try_join!(statuses, resolutions, issue_types)?;
    Ok(Shared { statuses, resolutions, issue_types })
}

/// The statuses that the workflow of one issue type in a project has; `None` where that is not told.
async fn statuses_of(
    site: &Site,
    cx: &Context,
    door: &Door,
    project: &str,
    issue_type: &str,
) -> Result<Option<Vec<Named>>> {
    #[derive(serde::Deserialize)]
    struct OfType {
        id: String,
        statuses: Vec<Named>,
    }
    let resource = format!("project/{}/statuses", api::encode(project));
    let asked =
        site.ask::<Vec<OfType>>(cx, "statuses of a project", api::get("describe", door, &resource)).await;
    match asked {
        Ok(types) => Ok(types.into_iter().find(|own| own.id == issue_type).map(|own| own.statuses)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All values of pages by number.
async fn all_pages<T, F: Future<Output = Result<NumberedPage<T>>>>(ask: impl Fn(u64) -> F) -> Result<Vec<T>> {
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let page = ask(start).await?;
        let next = page.next();
        out.extend(page.values);
        match next {
            // A service that gives the same page again would never end.
            Some(next) if next > start => start = next,
            _ => return Ok(out),
        }
    }
}

/// The create screens of the first projects, and whether these are all.
async fn screens(site: &Site, cx: &Context, door: &Door) -> Result<(Vec<Vec<MetaField>>, bool)> {
    let call = api::projects("describe", door, None, 0, PROJECTS_PAGE);
    let projects: NumberedPage<Project> = site.ask(cx, "projects", call).await?;
    let mut pairs = Vec::new();
    let mut all = projects.next().is_none();
    for project in &projects.values {
        if pairs.len() >= SCREENS_MAX {
            all = false;
            break;
        }
        let types = types_of(site, cx, door, project).await?;
        pairs.extend(types.into_iter().map(|own| (project.id.clone(), own.id)));
    }
    all &= pairs.len() <= SCREENS_MAX;
    pairs.truncate(SCREENS_MAX);
    let screens = stream::iter(pairs)
        .map(|(project, issue_type)| async move { screen(site, cx, door, &project, &issue_type).await })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let mut read = Vec::new();
    for screen in screens {
        match screen {
            Ok(fields) => read.push(fields),
            // Who may see a project need not be allowed to create issues in it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) => all = false,
            Err(error) => return Err(error),
        }
    }
    Ok((read, all))
}

/// The issue types of a project: those that came with it, else asked for.
pub(super) async fn types_of(
    site: &Site,
    cx: &Context,
    door: &Door,
    project: &Project,
) -> Result<Vec<IssueType>> {
    match &project.issue_types {
        Some(types) => Ok(types.clone()),
        None => {
            all_pages(|start| {
                site.ask(cx, "issue types of a project", api::issue_types(door, &project.id, start))
            })
            .await
        }
    }
}

async fn screen(
    site: &Site,
    cx: &Context,
    door: &Door,
    project: &str,
    issue_type: &str,
) -> Result<Vec<MetaField>> {
    all_pages(|start| site.ask(cx, "create metadata", api::create_fields(door, project, issue_type, start)))
        .await
}

/// The create screen of one type; without fields for those who may not create issues of it.
async fn create_screen(
    site: &Site,
    cx: &Context,
    door: &Door,
    project: &str,
    issue_type: &str,
) -> Result<Vec<MetaField>> {
    match screen(site, cx, door, project, issue_type).await {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) => Ok(Vec::new()),
        read => read,
    }
}

/// Fields of several screens: values of all of them; required where all of them require it.
fn merged(screens: &[Vec<MetaField>]) -> Vec<MetaField> {
    let mut out: Vec<MetaField> = Vec::new();
    for meta in screens.iter().flatten() {
        let Some(known) = out.iter_mut().find(|known| known.id() == meta.id()) else {
            out.push(MetaField { default_value: serde_json::Value::Null, ..meta.clone() });
            continue;
        };
        known.has_default_value &= meta.has_default_value;
        for verb in &meta.operations {
            if !known.operations.contains(verb) {
                known.operations.push(verb.clone());
            }
        }
        let Some(values) = &meta.allowed_values else { continue };
        let list = known.allowed_values.get_or_insert_default();
        for value in values {
            if !list.iter().any(|known| known.id() == value.id()) {
                list.push(value.clone());
            }
        }
    }
    for meta in &mut out {
        let id = meta.id().to_owned();
        meta.required =
            screens.iter().all(|screen| screen.iter().any(|field| field.id() == id && field.required));
    }
    out
}

/// What holds for the issues of one project and type.
async fn in_project(site: &Site, cx: &Context, scope: &str) -> Result<Findings> {
    let door = site.door(cx).await?;
    let name = format!("{ISSUE}:{scope}");
    let Some((key, wanted)) =
        scope.split_once('/').filter(|(key, wanted)| !key.is_empty() && !wanted.is_empty())
    else {
        return Err(unknown_type(&name).with_advice_instead(
            "Write the project's key and the issue type, such as issue:OPS/Bug; `recordport types CONNECTION --in OPS` \
             lists them",
        ));
    };
    let (project, issue_type) = find(site, cx, &door, &name, key, wanted).await?;
    let jql = format!("project = {} AND issuetype = {}", digits(&project.id)?, digits(&issue_type.id)?);
    let (fields, shared, statuses, create, edit) = futures::try_join!(
        site.fields(cx),
        shared(site, cx, &door),
        statuses_of(site, cx, &door, &project.id, &issue_type.id),
        create_screen(site, cx, &door, &project.id, &issue_type.id),
        editable(site, cx, &door, &jql),
    )?;
    Ok(Findings {
        name,
        label: format!("{} in {}", issue_type.name, project.name),
        label_plural: format!("{} issues in {}", issue_type.name, project.name),
        description: Some(issue_type.description.clone()).filter(|text| !text.trim().is_empty()),
        scope: Some(Scope { project_id: project.id, project_key: project.key, issue_type_id: issue_type.id }),
        fields: fields.to_vec(),
        create,
        edit,
        all_screens: true,
        statuses: statuses.unwrap_or(shared.statuses),
        resolutions: shared.resolutions,
        issue_types: shared.issue_types,
        tells_deletions: site.tells_deletions(),
    })
}

/// An id as JQL takes it.
fn digits(id: &str) -> Result<&str> {
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(id)
        .ok_or_else(|| Error::protocol(format!("Jira gave {id:?} as an id")).with_provider("jira"))
}

/// The project with this key and its issue type with this name or id.
async fn find(
    site: &Site,
    cx: &Context,
    door: &Door,
    name: &str,
    key: &str,
    wanted: &str,
) -> Result<(Project, IssueType)> {
    let resource = format!("project/{}", api::encode(key));
    let found = site.ask::<Project>(cx, "a project", api::get("describe", door, &resource)).await;
    let project = match found {
        Ok(project) => project,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(unknown_type(name).with_advice_instead(
                "There is no such project, or the connected user may not see it; `recordport types CONNECTION` lists those \
                 there are",
            ));
        }
        Err(error) => return Err(error),
    };
    let types = types_of(site, cx, door, &project).await?;
    let by = |fits: &dyn Fn(&IssueType) -> bool| types.iter().find(|own| fits(own)).cloned();
    let issue_type = by(&|own| own.name == wanted)
        .or_else(|| by(&|own| own.id == wanted))
        .or_else(|| by(&|own| own.name.to_lowercase() == wanted.to_lowercase()));
    match issue_type {
        Some(issue_type) => Ok((project, issue_type)),
        None => {
            let near = nearest_few(wanted, types.iter().map(|own| (own.name.as_str(), own.name.as_str())));
            let names: Vec<&str> = types.iter().map(|own| own.name.as_str()).collect();
            let known = format!("Issue types of {key}: {}", names.join(", "));
            Err(unknown_type(name).with_advice_instead(did_you_mean(&near).unwrap_or(known)))
        }
    }
}

/// What can be edited of the issues of a type, as one of them shows; `None` where there is none.
async fn editable(
    site: &Site,
    cx: &Context,
    door: &Door,
    jql: &str,
) -> Result<Option<BTreeMap<String, MetaField>>> {
    let sample: Sample = site.ask(cx, "an issue", api::sample(door, jql)).await?;
    Ok(sample.issues.into_iter().next().and_then(|issue| issue.editmeta).map(|EditMeta { fields }| fields))
}
