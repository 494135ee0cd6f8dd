//! The list of types: those of the whole site, then one for each project and issue type.

use super::issues::{self, ISSUE};
use super::metadata::{IssueType, NumberedPage, Project};
use super::site::Site;
use super::{PROJECTS_PAGE, api, writes};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Context, TypePage, TypeQuery, TypeSummary};
use crate::record::{Capability, TypeName};

/// One page of types. A page has the types of some projects; the first has those of the whole site before.
///
/// # Errors
/// Invalid for a wrong cursor; what the service refuses.
pub(super) async fn page(site: &Site, cx: &Context, query: &TypeQuery) -> Result<TypePage> {
    let door = site.door(cx).await?;
    let wanted =
        query.search.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_lowercase);
    let fits = |summary: &TypeSummary| {
        wanted.as_ref().is_none_or(|wanted| {
            summary.name.as_str().to_lowercase().contains(wanted)
                || summary.label.to_lowercase().contains(wanted)
        })
    };
    if let Some(scope) = &query.scope {
        let resource = format!("project/{}", api::encode(scope));
        let found = site.ask::<Project>(cx, "a project", api::get("types", &door, &resource)).await;
        let project = found.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("there is no project {scope:?}"))
                .with_provider("jira")
                .with_code("unknown_project")
                .with_advice("`recordport types CONNECTION` lists the projects that the user sees"),
            _ => error,
        })?;
        let types = issues::types_of(site, cx, &door, &project).await?;
        let types = types.iter().map(|own| summary(&project, own)).filter(fits).collect();
        return Ok(TypePage { types, next: None });
    }
    let start = match &query.cursor {
        Some(text) => text.parse().map_err(|_| Error::invalid("this is not a cursor of Jira's types"))?,
        None => 0,
    };
    let mut types: Vec<TypeSummary> =
        if start == 0 { of_the_site().into_iter().filter(fits).collect() } else { Vec::new() };
    let call = api::projects("types", &door, None, start, PROJECTS_PAGE);
    let projects: NumberedPage<Project> = site.ask(cx, "projects", call).await?;
    for project in &projects.values {
        let own = issues::types_of(site, cx, &door, project).await?;
        types.extend(own.iter().map(|own| summary(project, own)).filter(fits));
    }
    Ok(TypePage { types, next: projects.next().map(|next| next.to_string()) })
}

/// The types that every site has.
fn of_the_site() -> Vec<TypeSummary> {
    let issues = of_issues(ISSUE.to_owned(), "Issue".to_owned(), "Issues".to_owned());
    std::iter::once(issues).chain(super::parts::summaries()).collect()
}

fn summary(project: &Project, issue_type: &IssueType) -> TypeSummary {
    of_issues(
        format!("{ISSUE}:{}/{}", project.key, issue_type.name),
        format!("{} in {}", issue_type.name, project.name),
        format!("{} issues in {}", issue_type.name, project.name),
    )
}

fn of_issues(name: String, label: String, label_plural: String) -> TypeSummary {
    let mut capability = Capability::default();
    writes::add_capabilities(&mut capability);
    TypeSummary {
        name: TypeName::new(name),
        label,
        label_plural,
        custom: false,
        searchable: true,
        creatable: capability.create.is_some(),
        updatable: capability.update.is_some(),
        deletable: capability.delete.is_some(),
        keys: vec!["id".to_owned()],
    }
}
