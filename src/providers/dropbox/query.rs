//! What of a query Dropbox can help with. It lists folders and looks entries up; it filters and sorts nothing. So a
//! condition on a key, a path or a folder narrows what is listed, and every condition is evaluated here.
//!
//! Source: the Stone specification (`list_folder`, `get_metadata`, `search_v2`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::Kind;
use super::paths;
use super::records::DropboxRecords;
use crate::error::{Error, Result};
use crate::provider::pushdown::{self, Judged};
use crate::provider::{At, Doer, Plan, PlannedCondition};
use crate::record::Query;
use crate::record::query::{Comparison, Condition, Filter, Pattern, PatternPart, Test};
use crate::record::value::Value;

/// Entries on a page of a folder.
pub(super) const PAGE_MAX: u32 = 2_000;
/// Matches on a page of the search index.
const MATCHES_MAX: u32 = 1_000;
/// Revisions on a page.
const REVISIONS_MAX: u32 = 100;
/// Longest text that the search index takes, in characters.
const INDEX_TEXT_MAX: usize = 1_000;
/// Extensions that the search index is asked for at once, and how long each may be.
const EXTENSIONS_MAX: usize = 20;
const EXTENSION_MAX: usize = 16;

/// What a search goes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Route {
    /// A folder, alone or with all that is under it.
    Folder {
        path: String,
        recursive: bool,
        /// Whether the folder comes from a condition: where there is none, nothing fulfils it.
        from_condition: bool,
    },
    /// Entries by id or path.
    These(Vec<String>),
    /// What the search index finds, of files with these extensions where there are any.
    Index { query: String, folder: String, names_only: bool, extensions: Vec<String> },
    /// The revisions of a file.
    Revisions(String),
    /// Shared links.
    Links(Option<String>),
}

/// A planned search's requests. Travels in [`Plan::wire`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) route: Route,
    pub(super) size: u32,
    pub(super) deleted: bool,
    /// Whether each file has to tell if it has members of its own.
    pub(super) members: bool,
}

impl Request {
    /// The request of a plan.
    ///
    /// # Errors
    /// A bug, for the plan of another provider.
    pub(super) fn of(plan: &Plan) -> Result<Self> {
        serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Dropbox's").with_source(source))
    }
}

fn texts(test: &Test) -> Option<Vec<&str>> {
    let text = |value: &'_ Value| match value {
        Value::Text(_) => Some(()),
        _ => None,
    };
    let values: Vec<&Value> = match test {
        Test::Compare(Comparison::Equal, value) => vec![value],
        Test::In { values, negated: false } => values.iter().collect(),
        _ => return None,
    };
    values.iter().all(|value| text(value).is_some()).then(|| {
        values
            .into_iter()
            .filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    })
}

/// The text that a pattern begins with.
fn beginning(test: &Test) -> Option<&str> {
    match test {
        Test::Like { pattern: Pattern(parts), negated: false } => match parts.first() {
            Some(PatternPart::Literal(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The longest text that a value contains for certain.
fn contained(test: &Test) -> Option<String> {
    let literal = match test {
        Test::Compare(Comparison::Equal, Value::Text(text)) => Some(text.clone()),
        Test::Like { pattern: Pattern(parts), negated: false } => {
            let literals = parts.iter().filter_map(|part| match part {
                PatternPart::Literal(text) => Some(text.clone()),
                _ => None,
            });
            literals.max_by_key(String::len)
        }
        _ => None,
    };
    literal.filter(|text| !text.trim().is_empty() && text.chars().count() <= INDEX_TEXT_MAX)
}

/// A way that a condition offers, and how much it spares: the smaller, the more.
struct Offer {
    condition: Condition,
    route: Route,
    rank: (u8, usize),
}

impl DropboxRecords {
    /// The way that a condition offers.
    fn offered(&self, condition: &Condition) -> Option<Offer> {
        if !condition.path.is_single() || !condition.case_sensitive {
            return None;
        }
        let folder =
            |path: &str, recursive| Route::Folder { path: path.to_owned(), recursive, from_condition: true };
        let offer = |route, rank| Some(Offer { condition: condition.clone(), route, rank });
        let field = condition.path.leaf();
        match field {
            "id" | "path" | "path_lower" | "path_display" => {
                let start = if field == "id" { "id:" } else { "/" };
                if let Some(values) = texts(&condition.test) {
                    let can_be = |text: &&str| text.starts_with(start) && text.len() > start.len();
                    let keys: Vec<String> = values.into_iter().filter(can_be).map(str::to_owned).collect();
                    let rank = (0, keys.len());
                    return offer(Route::These(keys), rank);
                }
            }
            "parent_path" => {
                if let Some([parent]) = texts(&condition.test).as_deref() {
                    let is_folder = parent.is_empty() || (parent.starts_with('/') && parent.len() > 1);
                    let route = if is_folder { folder(parent, false) } else { Route::These(Vec::new()) };
                    return offer(route, (1, 0));
                }
            }
            "name" if self.account.config.search_index && self.kind != Kind::Entry => {
                let query = contained(&condition.test)?;
                let folder = self.folder_path().to_owned();
                return offer(
                    Route::Index { query, folder, names_only: true, extensions: Vec::new() },
                    (3, 0),
                );
            }
            // The index wants words, and the name of each such file holds this one.
            "extension" if self.account.config.search_index => {
                let (_, extensions) = self.of_extension(&Filter::Is(condition.clone()))?;
                let [query] = extensions.as_slice() else { return None };
                let (query, folder) = (query.clone(), self.folder_path().to_owned());
                return offer(
                    Route::Index { query, folder, names_only: true, extensions: Vec::new() },
                    (4, 0),
                );
            }
            _ => return None,
        }
        let prefix = beginning(&condition.test).filter(|_| field != "id")?;
        let path = paths::parent(prefix);
        (path.starts_with('/')).then(|| offer(folder(path, true), (2, usize::MAX - path.len())))?
    }

    /// The best way that any condition offers which must hold in any case.
    fn best(&self, filter: &Filter) -> Option<Offer> {
        match filter {
            Filter::Is(condition) => self.offered(condition),
            Filter::And(parts) => {
                parts.iter().filter_map(|part| self.best(part)).min_by_key(|offer| offer.rank)
            }
            Filter::Or(_) | Filter::Not(_) => None,
        }
    }

    /// A condition on the extension that must hold in any case: the search index can look for it beside words.
    fn of_extension(&self, filter: &Filter) -> Option<(Condition, Vec<String>)> {
        match filter {
            Filter::Is(condition) if condition.path.is_single() && condition.path.leaf() == "extension" => {
                let values = texts(&condition.test)?;
                let plain = |text: &&str| {
                    !text.is_empty() && text.chars().all(char::is_alphanumeric) && text.len() <= EXTENSION_MAX
                };
                let fits = self.kind == Kind::File
                    && condition.case_sensitive
                    && (1..=EXTENSIONS_MAX).contains(&values.len())
                    && values.iter().all(plain);
                fits.then(|| (condition.clone(), values.into_iter().map(str::to_owned).collect()))
            }
            Filter::And(parts) => parts.iter().find_map(|part| self.of_extension(part)),
            Filter::Is(_) | Filter::Or(_) | Filter::Not(_) => None,
        }
    }

    /// A way within the folder that the type is limited to.
    fn within(&self, route: Route) -> Route {
        let Some(scope) = &self.folder else { return route };
        match route {
            Route::Folder { path, recursive, .. } => {
                let lower = path.to_lowercase();
                if lower == scope.lower || paths::is_under(&lower, &scope.lower) {
                    Route::Folder { path, recursive, from_condition: true }
                } else if recursive && paths::is_under(&scope.lower, &lower) {
                    Route::Folder { path: scope.path.clone(), recursive, from_condition: false }
                } else {
                    Route::These(Vec::new())
                }
            }
            other => other,
        }
    }

    /// Everything that the type has.
    fn everything(&self) -> Route {
        match self.kind {
            Kind::Revision => Route::Revisions(self.scope.clone().unwrap_or_default()),
            Kind::SharedLink => Route::Links(None),
            Kind::File | Kind::Folder | Kind::Entry => {
                Route::Folder { path: self.folder_path().to_owned(), recursive: true, from_condition: false }
            }
        }
    }

    pub(super) fn plan_of(&self, query: &Query) -> Result<Plan> {
        let listed = matches!(self.kind, Kind::File | Kind::Folder | Kind::Entry);
        let normal = query.filter.as_ref().map(pushdown::negation_normal);
        let offer = normal.as_ref().filter(|_| listed).and_then(|filter| self.best(filter));
        let chosen = offer.as_ref().map(|offer| &offer.condition);
        let by_index =
            query.native.is_some() || matches!(&offer, Some(Offer { route: Route::Index { .. }, .. }));
        let extension = normal.as_ref().filter(|_| by_index).and_then(|filter| self.of_extension(filter));
        let split = pushdown::split(query.filter.as_ref(), |condition| {
            if chosen == Some(condition) {
                let why = match offer.as_ref().map(|offer| &offer.route) {
                    Some(Route::Index { .. }) if condition.path.leaf() == "extension" => {
                        "the search index looks at files with this extension alone; it may miss what was written in \
                         the last moments"
                    }
                    Some(Route::Index { .. }) => {
                        "the search index finds such names; it may miss what was written in the last moments"
                    }
                    Some(Route::These(_)) => "only these entries are looked up",
                    _ => "only this folder is listed",
                };
                return Judged::superset(condition.to_string(), why);
            }
            if extension.as_ref().is_some_and(|(own, _)| own == condition) {
                return Judged::superset(
                    condition.to_string(),
                    "the search index looks at files with such extensions alone",
                );
            }
            Judged::unsupported(match condition.path.leaf() {
                "name" if listed && !self.account.config.search_index => {
                    "Dropbox lists without conditions; its search index finds names, but may miss new ones, and is \
                     used only on connections with search_index=true"
                }
                "extension" if self.kind == Kind::File && !self.account.config.search_index => {
                    "Dropbox lists without conditions; its search index knows extensions, but may miss new files, and \
                     is used only on connections with search_index=true or beside a text that it is asked for"
                }
                "extension" if self.kind == Kind::File => {
                    "Dropbox lists without conditions; its search index takes one plain extension, or several beside a \
                     text or a condition on the name"
                }
                _ => "Dropbox lists without conditions",
            })
        });
        let mut conditions = split.conditions;
        let mut notes = Vec::new();
        let mut route =
            self.within(offer.as_ref().map_or_else(|| self.everything(), |offer| offer.route.clone()));
        if let Some(text) = &query.native {
            if text.trim().is_empty() || text.chars().count() > INDEX_TEXT_MAX {
                return Err(Error::invalid(format!(
                    "a search text of Dropbox has 1 to {INDEX_TEXT_MAX} characters"
                )));
            }
            let folder = match &route {
                Route::Folder { path, .. } => path.clone(),
                _ => self.folder_path().to_owned(),
            };
            route = Route::Index { query: text.clone(), folder, names_only: false, extensions: Vec::new() };
            conditions.push(PlannedCondition {
                text: text.clone(),
                at: At::Exact,
                why: "given as a search text: what Dropbox's index finds in names and contents".to_owned(),
            });
        }
        if let Route::Index { extensions, .. } = &mut route {
            *extensions = extension.map(|(_, extensions)| extensions).unwrap_or_default();
            notes.push(
                "Dropbox's search index is behind by some moments and gives 10,000 matches at most"
                    .to_owned(),
            );
        }
        let placement = pushdown::place(query, false, split.residual.is_some())?;
        let besides = pushdown::besides(query, &self.record_type, split.residual.as_ref(), placement.order);
        let most = match &route {
            Route::Index { .. } => MATCHES_MAX,
            Route::Revisions(_) => REVISIONS_MAX,
            _ => PAGE_MAX,
        };
        let named = |name: &str| query.select.iter().chain(&besides).any(|path| path.leaf() == name);
        let request = Request {
            size: query.page_size.unwrap_or(most).clamp(1, most),
            deleted: query.include_deleted,
            members: self.kind == Kind::File
                && (query.select.is_empty() || named("has_explicit_shared_members")),
            route,
        };
        Ok(Plan {
            hash: pushdown::plan_hash(query, &self.record_type),
            record_type: Arc::clone(&self.record_type),
            native: vec![explained(&request)],
            conditions,
            residual: split.residual,
            order_by: query.order_by.clone(),
            order: placement.order,
            limit: query.limit,
            // Folders and files come on the same pages.
            limit_by: if placement.limit == Doer::Provider { Doer::Here } else { placement.limit },
            select: query.select.clone(),
            fetched_besides: besides,
            muted: query.muted.clone(),
            requests_per_page: match &request.route {
                Route::These(keys) => u32::try_from(keys.len()).unwrap_or(u32::MAX).clamp(1, request.size),
                _ => 1,
            },
            notes,
            keyset: false,
            wire: serde_json::to_value(&request)
                .map_err(|source| Error::bug("a route is not JSON").with_source(source))?,
        })
    }
}

/// What is asked for, for explain.
fn explained(request: &Request) -> String {
    match &request.route {
        Route::Folder { path, recursive, .. } => {
            let depth = if *recursive { ", recursive" } else { "" };
            let deleted = if request.deleted { ", include_deleted" } else { "" };
            format!("list_folder {path:?}{depth}{deleted}")
        }
        Route::These(keys) => format!("get_metadata of {} entries", keys.len()),
        Route::Index { query, folder, names_only, extensions } => {
            let what = if *names_only { "names" } else { "names and contents" };
            let of = match extensions.as_slice() {
                [] => String::new(),
                some => format!(", extensions {}", some.join(" ")),
            };
            format!("search_v2 {query:?} in {what} under {folder:?}{of}")
        }
        Route::Revisions(file) => format!("list_revisions {file:?}"),
        Route::Links(_) => "list_shared_links".to_owned(),
    }
}
