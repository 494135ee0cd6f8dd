//! Searching the small types: their rows hang on issues or projects, so a page goes through some of these and
//! takes all rows of each.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::table::{Home, ISSUE};
use super::{AT_ONCE, PartRecords};
use crate::error::{Error, Result, Retry};
use crate::provider::pushdown::{self, Judged};
use crate::provider::{At, Context, Doer, Plan, PlannedCondition};
use crate::providers::jira::metadata::{NumberedPage, Project};
use crate::providers::jira::{api, dialect};
use crate::record::native::{self, NativeSyntax};
use crate::record::query::{Comparison, Condition, Filter, Test};
use crate::record::transcode;
use crate::record::value::Value;
use crate::record::{Cursor, Page, Query};

/// Issues or projects on one page.
pub(super) const PARENTS_MAX: u32 = 50;
const SYNTAX: NativeSyntax =
    NativeSyntax { quotes: &['\'', '"'], backslash: true, clauses: &["ORDER"], name: "JQL" };
/// A condition that every issue fulfils: Jira takes no query without one.
const EVERY_ISSUE: &str = "project is not EMPTY";

/// What a search goes through. Travels in [`Plan::wire`].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Route {
    /// Which issues, in JQL.
    jql: String,
    /// Only these issues, by id.
    only: Option<Vec<String>>,
    size: u32,
}

/// Where a page starts. Travels in [`Cursor::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// Token of a page of issues.
    token: Option<String>,
    /// Row, project or named issue to begin with.
    start: u64,
}

/// Which row it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Identity {
    pub(super) id: String,
}

/// An issue with some of its fields as they came.
#[derive(Debug, Deserialize)]
struct Issue {
    id: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    fields: HashMap<String, Box<RawValue>>,
}

/// One page of what is gone through, with all its rows.
struct Rows {
    rows: Vec<Vec<u8>>,
    next: Option<Position>,
}

/// A row with the id of its issue.
pub(super) fn with_issue(row: &[u8], issue: &str) -> Vec<u8> {
    with_member(row, ISSUE, &serde_json::Value::from(issue).to_string())
}

/// A row with a member more, put first.
fn with_member(row: &[u8], name: &str, value: &str) -> Vec<u8> {
    let inner = row.trim_ascii().strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
    let comma = if inner.first() == Some(&b'}') { "" } else { "," };
    let mut out = format!("{{{}:{value}{comma}", serde_json::Value::from(name)).into_bytes();
    out.extend_from_slice(inner);
    out
}

/// The issues that a condition limits a search to.
fn issues_of(condition: &Condition) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    if !condition.path.is_single() || condition.path.leaf() != "issueId" || !condition.case_sensitive {
        return None;
    }
    match &condition.test {
        Test::Compare(Comparison::Equal, value) => text(value).map(|text| vec![text]),
        Test::In { values, negated: false } => values.iter().map(text).collect(),
        _ => None,
    }
}

/// The condition that must hold in any case and limits a search to the fewest issues.
fn limit(filter: &Filter) -> Option<Condition> {
    match pushdown::negation_normal(filter) {
        Filter::Is(condition) => issues_of(&condition).is_some().then_some(condition),
        Filter::And(parts) => parts
            .iter()
            .filter_map(limit)
            .min_by_key(|condition| issues_of(condition).map_or(usize::MAX, |issues| issues.len())),
        Filter::Or(_) | Filter::Not(_) => None,
    }
}

impl PartRecords {
    pub(super) fn plan_of(&self, query: &Query) -> Result<Plan> {
        if let Some(text) = &query.native {
            native::check(text, SYNTAX)?;
        }
        let of_issues = matches!(self.part.home, Home::Issue { .. } | Home::IssueField(_));
        let limited = query.filter.as_ref().and_then(limit).filter(|_| of_issues);
        let split = pushdown::split(query.filter.as_ref(), |condition| {
            if limited.as_ref() == Some(condition) {
                Judged::superset(condition.to_string(), "only these issues are looked through")
            } else {
                Judged::unsupported("Jira lists these records without conditions")
            }
        });
        let placement = pushdown::place(query, false, split.residual.is_some())?;
        let besides = pushdown::besides(query, &self.record_type, split.residual.as_ref(), placement.order);
        let mut conditions = split.conditions;
        let mut jql = EVERY_ISSUE.to_owned();
        if let Some(native) = &query.native {
            jql = format!("({native})");
            conditions.push(PlannedCondition {
                text: native.clone(),
                at: At::Exact,
                why: "given in JQL: the records of the issues that fulfil it".to_owned(),
            });
        }
        let route = Route {
            jql: format!("{jql} ORDER BY id ASC"),
            // A search that is limited both ways is limited by JQL; the other condition is evaluated here.
            only: limited.as_ref().filter(|_| query.native.is_none()).and_then(issues_of),
            size: query.page_size.unwrap_or(PARENTS_MAX).clamp(1, PARENTS_MAX),
        };
        let limit_by = if placement.limit == Doer::Provider { Doer::Here } else { placement.limit };
        Ok(Plan {
            hash: pushdown::plan_hash(query, &self.record_type),
            record_type: std::sync::Arc::clone(&self.record_type),
            native: self.native(&route),
            conditions,
            residual: split.residual,
            order_by: query.order_by.clone(),
            order: placement.order,
            limit: query.limit,
            limit_by,
            select: query.select.clone(),
            fetched_besides: besides,
            muted: query.muted.clone(),
            requests_per_page: if self.scope.is_some() || !self.fans_out() { 1 } else { 1 + route.size },
            notes: Vec::new(),
            keyset: false,
            wire: serde_json::to_value(&route)
                .map_err(|source| Error::bug("a route is not JSON").with_source(source))?,
        })
    }

    /// Whether each parent is a request of its own.
    fn fans_out(&self) -> bool {
        matches!(self.part.home, Home::Issue { .. } | Home::Project(_))
    }

    /// What is asked for, for explain.
    fn native(&self, route: &Route) -> Vec<String> {
        let parent = self.scope.as_deref().unwrap_or("*");
        match self.part.home {
            Home::Issue { resource, .. } if self.scope.is_some() => {
                vec![format!("issue/{parent}/{resource}")]
            }
            Home::Issue { resource, .. } => vec![route.jql.clone(), format!("issue/*/{resource}")],
            Home::IssueField(field) if self.scope.is_some() => vec![format!("issue/{parent}?fields={field}")],
            Home::IssueField(field) => vec![route.jql.clone(), field.to_owned()],
            Home::Project(resource) => vec![format!("project/{parent}/{resource}")],
            Home::Site { resource, .. } | Home::Array(resource) => vec![resource.to_owned()],
        }
    }

    pub(super) async fn page_at(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        let route: Route = serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Jira's").with_source(source))?;
        let position: Position = match at {
            Some(cursor) => serde_json::from_value(cursor.position.clone())
                .map_err(|source| Error::invalid("the cursor is not one of Jira's").with_source(source))?,
            None => Position::default(),
        };
        let found = match (self.part.home, &self.scope, &route.only) {
            (Home::Site { resource, with }, ..) => self.of_site(cx, resource, with, &route, &position).await,
            (Home::Array(resource), ..) => self.of_array(cx, resource, &route, &position).await,
            (Home::Project(resource), Some(project), _) => {
                let resource = format!("project/{}/{resource}", api::encode(project));
                let rows = self.all_rows(cx, "search", &resource, "values", 50).await?;
                Ok(Rows { rows, next: None })
            }
            (Home::Project(resource), None, _) => self.of_projects(cx, resource, &route, &position).await,
            (_, Some(issue), _) => {
                Ok(Rows { rows: self.rows_of_issue(cx, "search", issue).await?, next: None })
            }
            (_, None, Some(only)) => self.of_these(cx, only, &route, &position).await,
            (_, None, None) => self.of_issues(cx, &route, &position).await,
        }?;
        if let (Some(next), Some(token)) = (&found.next, &position.token)
            && next.token.as_ref() == Some(token)
        {
            return Err(Error::protocol("Jira gives the same page again and again")
                .with_provider("jira")
                .with_code("repeated_cursor"));
        }
        let records = self.records(&found.rows, &plan.select, &plan.fetched_besides)?;
        let seen = at.map_or(0, |cursor| cursor.seen) + records.len() as u64;
        let next = found
            .next
            .map(serde_json::to_value)
            .transpose()
            .map_err(|source| Error::bug("a position is not JSON").with_source(source))?
            .map(|position| Cursor::new(plan.hash.as_str(), position, seen));
        Ok(Page { records, next, total: None })
    }

    /// Rows of the next issues of a query.
    async fn of_issues(&self, cx: &Context, route: &Route, at: &Position) -> Result<Rows> {
        let door = self.site.door(cx).await?;
        let fields = match self.part.home {
            Home::IssueField(field) => vec![field.to_owned()],
            _ => vec!["issuekey".to_owned()],
        };
        let call = api::search("search", &door, &route.jql, &fields, route.size, at.token.as_deref());
        let reply = self.site.send(cx, call).await?;
        let page = transcode::cut_page(&reply.body, "issues").map_err(|error| error.with_provider("jira"))?;
        let incomplete = |what: &str| {
            Error::protocol(what).with_provider("jira").with_code("not_json").with_retry(Retry::IfIdempotent)
        };
        if !page.has_rows {
            return Err(incomplete("Jira's answer to a query has no issues"));
        }
        let issues: Vec<Issue> =
            page.rows.iter().map(|row| dialect::read("an issue", row)).collect::<Result<_>>()?;
        let token: Option<String> = page.member("nextPageToken")?;
        let last: Option<bool> = page.member("isLast")?;
        let next = match (last, token.filter(|token| !token.is_empty())) {
            (Some(true), _) => None,
            (_, Some(token)) => Some(Position { token: Some(token), start: 0 }),
            (_, None) => {
                return Err(incomplete("Jira's page neither is the last one nor says where the next begins"));
            }
        };
        let rows = match self.part.home {
            Home::IssueField(field) => {
                let each = issues.iter().map(|issue| field_rows(issue, field, false));
                each.collect::<Result<Vec<_>>>()?.concat()
            }
            _ => self.each(cx, issues.into_iter().map(|issue| issue.id).collect()).await?,
        };
        Ok(Rows { rows, next })
    }

    /// Rows of issues that the filter names.
    async fn of_these(&self, cx: &Context, only: &[String], route: &Route, at: &Position) -> Result<Rows> {
        let size = route.size as usize;
        let start = usize::try_from(at.start).unwrap_or(usize::MAX).min(only.len());
        let end = start.saturating_add(size).min(only.len());
        let is_id = |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut issues: Vec<String> = only[start..end].iter().filter(is_id).cloned().collect();
        // One that was named before has been looked through.
        issues.retain(|issue| !only[..start].contains(issue));
        issues.dedup();
        let rows = self.each(cx, issues).await?;
        let next = (end < only.len()).then_some(Position { token: None, start: end as u64 });
        Ok(Rows { rows, next })
    }

    /// All rows of each of these issues. One that has gone meanwhile, or is not seen, has none.
    async fn each(&self, cx: &Context, issues: Vec<String>) -> Result<Vec<Vec<u8>>> {
        let rows = stream::iter(issues).map(|issue| async move {
            match self.rows_of_issue(cx, "search", &issue).await {
                Err(error) if error.kind() == crate::error::ErrorKind::NotFound => Ok(Vec::new()),
                other => other,
            }
        });
        Ok(rows.buffered(AT_ONCE).try_collect::<Vec<_>>().await?.concat())
    }

    /// All rows of one issue, named by id or key.
    pub(super) async fn rows_of_issue(
        &self,
        cx: &Context,
        operation: &'static str,
        issue: &str,
    ) -> Result<Vec<Vec<u8>>> {
        let door = self.site.door(cx).await?;
        let is_id = issue.bytes().all(|byte| byte.is_ascii_digit());
        match self.part.home {
            Home::IssueField(field) => {
                let call = api::issue(&door, issue, &[field.to_owned()]);
                let found: Issue = self.site.ask(cx, "an issue", call).await?;
                field_rows(&found, field, true)
            }
            Home::Issue { resource, rows, size } => {
                let id = if is_id {
                    issue.to_owned()
                } else {
                    let call = api::issue(&door, issue, &["issuekey".to_owned()]);
                    self.site.ask::<Issue>(cx, "an issue", call).await?.id
                };
                let resource = format!("issue/{}/{resource}", api::encode(&id));
                let found = match size {
                    0 => self.list(cx, operation, &resource, rows).await?,
                    size => self.all_rows(cx, operation, &resource, rows, size).await?,
                };
                Ok(found.iter().map(|row| with_issue(row, &id)).collect())
            }
            _ => Err(Error::bug("these records do not hang on issues")),
        }
    }

    /// A list without pages.
    async fn list(
        &self,
        cx: &Context,
        operation: &'static str,
        resource: &str,
        rows: &str,
    ) -> Result<Vec<Vec<u8>>> {
        let door = self.site.door(cx).await?;
        let reply = self.site.send(cx, api::get(operation, &door, resource)).await?;
        let page = transcode::cut_page(&reply.body, rows).map_err(|error| error.with_provider("jira"))?;
        if !page.has_rows {
            return Err(no_rows(rows));
        }
        Ok(page.rows.iter().map(|row| row.to_vec()).collect())
    }

    /// All pages of a list.
    async fn all_rows(
        &self,
        cx: &Context,
        operation: &'static str,
        resource: &str,
        rows: &str,
        size: u64,
    ) -> Result<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        loop {
            let (found, more) = self.numbered(cx, operation, resource, rows, out.len() as u64, size).await?;
            out.extend(found);
            if !more {
                return Ok(out);
            }
        }
    }

    /// One page of a list by number, and whether there are more.
    async fn numbered(
        &self,
        cx: &Context,
        operation: &'static str,
        resource: &str,
        rows: &str,
        start: u64,
        size: u64,
    ) -> Result<(Vec<Vec<u8>>, bool)> {
        let door = self.site.door(cx).await?;
        let sign = if resource.contains('?') { '&' } else { '?' };
        let resource = format!("{resource}{sign}startAt={start}&maxResults={size}");
        let reply = self.site.send(cx, api::get(operation, &door, &resource)).await?;
        let page = transcode::cut_page(&reply.body, rows).map_err(|error| error.with_provider("jira"))?;
        if !page.has_rows {
            return Err(no_rows(rows));
        }
        let found: Vec<Vec<u8>> = page.rows.iter().map(|row| row.to_vec()).collect();
        let total: Option<u64> = page.member("total")?;
        let last: Option<bool> = page.member("isLast")?;
        let behind = start + found.len() as u64;
        let more = match (last, total) {
            (Some(last), _) => !last,
            (None, Some(total)) => behind < total,
            (None, None) => !found.is_empty(),
        };
        if more && found.is_empty() {
            return Err(Error::protocol("Jira gives an empty page and says that there are more rows")
                .with_provider("jira")
                .with_code("empty_page")
                .with_retry(Retry::IfIdempotent));
        }
        Ok((found, more))
    }

    async fn of_site(
        &self,
        cx: &Context,
        resource: &str,
        with: &str,
        route: &Route,
        at: &Position,
    ) -> Result<Rows> {
        let resource = format!("{resource}?{}", with.trim_start_matches('&'));
        let (rows, more) =
            self.numbered(cx, "search", &resource, "values", at.start, route.size.into()).await?;
        let start = at.start + rows.len() as u64;
        Ok(Rows { rows, next: more.then_some(Position { token: None, start }) })
    }

    /// A list that is an array: whole pages may be followed by others, and shorter ones too, since those that the
    /// user does not see are left out; only an empty one is the end.
    async fn of_array(&self, cx: &Context, resource: &str, route: &Route, at: &Position) -> Result<Rows> {
        let door = self.site.door(cx).await?;
        let resource = format!("{resource}?startAt={}&maxResults={}", at.start, route.size);
        let found: Vec<Box<RawValue>> =
            self.site.ask(cx, "a list", api::get("search", &door, &resource)).await?;
        let next =
            (!found.is_empty()).then(|| Position { token: None, start: at.start + u64::from(route.size) });
        Ok(Rows { rows: found.iter().map(|row| row.get().as_bytes().to_vec()).collect(), next })
    }

    /// Rows of the next projects.
    async fn of_projects(&self, cx: &Context, resource: &str, route: &Route, at: &Position) -> Result<Rows> {
        let door = self.site.door(cx).await?;
        let call = api::projects("search", &door, None, at.start, route.size.into());
        let page: NumberedPage<Project> = self.site.ask(cx, "projects", call).await?;
        let next = page.next().map(|start| Position { token: None, start });
        let each = stream::iter(page.values).map(|project| async move {
            let resource = format!("project/{}/{resource}", api::encode(&project.id));
            match self.all_rows(cx, "search", &resource, "values", 50).await {
                Err(error) if error.kind() == crate::error::ErrorKind::NotFound => Ok(Vec::new()),
                other => other,
            }
        });
        let rows = each.buffered(AT_ONCE).try_collect::<Vec<_>>().await?.concat();
        Ok(Rows { rows, next })
    }
}

/// The rows that a field of an issue holds. A link stands in both of its issues; unless both ends are wanted, it
/// is taken where it leads outward, so that each is taken once.
fn field_rows(issue: &Issue, field: &str, both_ends: bool) -> Result<Vec<Vec<u8>>> {
    let Some(raw) = issue.fields.get(field) else { return Ok(Vec::new()) };
    let rows: Option<Vec<Box<RawValue>>> = dialect::read(field, raw.get().as_bytes())?;
    let own = serde_json::json!({ "id": issue.id, "key": issue.key }).to_string();
    let mut out = Vec::new();
    for row in rows.unwrap_or_default() {
        let row = row.get().as_bytes();
        if field != "issuelinks" {
            out.push(with_issue(row, &issue.id));
            continue;
        }
        let ends: HashMap<String, Box<RawValue>> = dialect::read("a link", row)?;
        if ends.contains_key("outwardIssue") {
            out.push(with_member(row, "inwardIssue", &own));
        } else if both_ends {
            out.push(with_member(row, "outwardIssue", &own));
        }
    }
    Ok(out)
}

fn no_rows(rows: &str) -> Error {
    Error::protocol(format!("Jira's answer has no {rows}"))
        .with_provider("jira")
        .with_code("not_json")
        .with_retry(Retry::IfIdempotent)
}
