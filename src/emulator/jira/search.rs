//! Queries: pages by token, counts, and the search that is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, commas};
use super::condition::{self, Context, unbounded};
use super::errors::Refusal;
use super::jql;
use super::lookup;
use super::read::{self, Wanted};
use super::store::{Issue, Store};
use crate::emulator::chance::hash_text;
use crate::emulator::service::Reply;

/// Issues on a page when more than ids and keys is asked for.
const FULL_PAGE: usize = 100;
/// Issues that a query may have looked at anew.
const MOST_ANEW: usize = 50;
/// Queries whose pages are remembered.
const MOST_OPEN: usize = 1_000;
const WEEK: i64 = 7 * 86_400_000;
const GONE: &str = "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration \
guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046";
const PAYLOAD: &str = "Invalid request payload. Refer to the REST API documentation and try again.";
const KEYS: [&str; 8] = [
    "jql",
    "nextPageToken",
    "maxResults",
    "fields",
    "expand",
    "properties",
    "fieldsByKeys",
    "reconcileIssues",
];

/// Queries with pages still to come: what was found when they were asked.
#[derive(Debug, Default)]
pub(super) struct Open {
    next: u64,
    queries: BTreeMap<u64, Found>,
}

#[derive(Debug, Clone)]
struct Found {
    ids: Arc<Vec<u64>>,
    jql: u64,
    at: i64,
}

impl Open {
    fn keep(&mut self, found: Found) -> u64 {
        self.next += 1;
        self.queries.insert(self.next, found);
        while self.queries.len() > MOST_OPEN {
            self.queries.pop_first();
        }
        self.next
    }
}

/// Answers queries; `None` for everything else.
pub(super) fn handle(store: &Store, open: &mut Open, call: &Call<'_>) -> Option<Result<Reply, Refusal>> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let both = [Method::GET, Method::POST];
    Some(match segments.as_slice() {
        ["search"] => Err(Refusal::new(StatusCode::GONE, GONE)),
        ["search", "jql"] => call.only(&both).and_then(|()| page(store, open, call)),
        ["search", "approximate-count"] => call.only(&[Method::POST]).and_then(|()| count(store, call)),
        ["jql", "autocompletedata"] => call.only(&both).map(|()| autocomplete(store)),
        _ => return None,
    })
}

/// What a query asks for, from the body or the address.
struct Asked {
    jql: String,
    token: Option<String>,
    size: i64,
    wanted: Wanted,
    /// Issues that are looked at anew, past the index.
    anew: Vec<u64>,
}

fn asked(call: &Call<'_>) -> Result<Asked, Refusal> {
    let invalid = || Refusal::bad(PAYLOAD);
    let body = if *call.method() == Method::POST { call.json()? } else { Value::Null };
    if let Value::Object(members) = &body {
        if members.keys().any(|key| !KEYS.contains(&key.as_str())) {
            return Err(invalid());
        }
        let texts = |name: &str| -> Result<Vec<String>, Refusal> {
            match &body[name] {
                Value::Null => Ok(Vec::new()),
                Value::Array(list) => {
                    list.iter().map(|own| own.as_str().map(str::to_owned).ok_or_else(invalid)).collect()
                }
                _ => Err(invalid()),
            }
        };
        let text = |name: &str| match &body[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(invalid()),
        };
        let size = match &body["maxResults"] {
            Value::Null => 50,
            size => size.as_i64().ok_or_else(invalid)?,
        };
        let expand = text("expand")?.map(|own| commas(&own)).unwrap_or_default();
        let wanted = Wanted::new(&texts("fields")?, texts("properties")?, expand);
        let anew: Option<Vec<u64>> = match &body["reconcileIssues"] {
            Value::Null => Some(Vec::new()),
            Value::Array(list) => list.iter().map(Value::as_u64).collect(),
            _ => None,
        };
        let anew = anew.filter(|anew| anew.len() <= MOST_ANEW && wanted.properties.len() <= 5);
        let anew = anew.ok_or_else(invalid)?;
        return Ok(Asked {
            jql: text("jql")?.unwrap_or_default(),
            token: text("nextPageToken")?,
            size,
            wanted,
            anew,
        });
    }
    if *call.method() == Method::POST {
        return Err(invalid());
    }
    Ok(Asked {
        jql: call.option("jql").unwrap_or_default().to_owned(),
        token: call.option("nextPageToken").map(str::to_owned),
        size: call.number("maxResults")?.unwrap_or(50),
        wanted: Wanted::new(&call.list("fields"), call.list("properties"), call.list("expand")),
        anew: call.list("reconcileIssues").iter().filter_map(|id| id.parse().ok()).collect(),
    })
}

fn page(store: &Store, open: &mut Open, call: &Call<'_>) -> Result<Reply, Refusal> {
    let asked = asked(call)?;
    let now = call.request.now.as_millisecond();
    let resumed = match &asked.token {
        Some(token) => Some(resume(open, token, &asked.jql, now)?),
        None => None,
    };
    let size = usize::try_from(asked.size).ok().filter(|size| (1..=5_000).contains(size));
    let size = size.ok_or_else(|| Refusal::bad("The maxResults parameter must be between 1 and 5,000."))?;
    let size = if asked.wanted.is_slim() { size } else { size.min(FULL_PAGE) };
    let (number, ids, start) = match resumed {
        Some(resumed) => resumed,
        None => {
            let found = find(store, call, &asked.jql, &asked.anew)?;
            let ids = Arc::new(found.iter().map(|issue| issue.id).collect::<Vec<_>>());
            let jql = hash_text(&asked.jql);
            (open.keep(Found { ids: Arc::clone(&ids), jql, at: now }), ids, 0)
        }
    };
    let end = start.saturating_add(size).min(ids.len());
    let rows = ids.get(start..end).unwrap_or_default();
    let issues: Vec<Value> = rows
        .iter()
        .filter_map(|id| store.get(*id))
        .map(|issue| read::issue(store, call, &issue, &asked.wanted))
        .collect();
    let last = end >= ids.len();
    let mut body = json!({ "issues": issues });
    if !last {
        body["nextPageToken"] = json!(token(number, end));
    }
    body["isLast"] = json!(last);
    read::describe(store, &asked.wanted, &mut body);
    Ok(Reply::json(StatusCode::OK, &body))
}

/// A token names the query and the place; a check digit makes it unguessable by mistake.
fn token(number: u64, start: usize) -> String {
    let text = format!("{number}:{start}");
    URL_SAFE_NO_PAD.encode(format!("{text}:{}", hash_text(&text) % 9_973))
}

fn resume(open: &Open, token: &str, jql: &str, now: i64) -> Result<(u64, Arc<Vec<u64>>, usize), Refusal> {
    let place = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (place, check) = text.rsplit_once(':')?;
        let (number, start) = place.split_once(':')?;
        let (number, start) = (number.parse::<u64>().ok()?, start.parse::<usize>().ok()?);
        let found = open.queries.get(&number)?;
        let fits = check == (hash_text(place) % 9_973).to_string()
            && found.jql == hash_text(jql)
            && now - found.at < WEEK;
        fits.then(|| (number, Arc::clone(&found.ids), start))
    };
    place().ok_or_else(|| Refusal::bad("The provided nextPageToken is invalid or has expired."))
}

/// The issues that a query finds, in its order.
fn find(store: &Store, call: &Call<'_>, text: &str, anew: &[u64]) -> Result<Vec<Arc<Issue>>, Refusal> {
    let query = jql::parse(text)?;
    let condition = query.condition.ok_or_else(unbounded)?;
    let context = Context { store, account: call.account.as_deref(), now: call.request.now };
    let check = condition::prepare(context, &condition, false)?;
    let mut order = Vec::new();
    for (name, down) in &query.order {
        let column = lookup::columns(&store.model, name).into_iter().next().ok_or_else(|| {
            Refusal::query(format!(
                "Field '{name}' does not exist or this field cannot be viewed by anonymous users."
            ))
        })?;
        order.push((column, *down));
    }
    if call.account.is_none() {
        return Ok(Vec::new());
    }
    let mut found: Vec<Arc<Issue>> = store.indexed(anew).filter(|issue| check.holds(store, issue)).collect();
    // The sort is stable: what is equal stays with the newest first.
    found.sort_by(|left, right| {
        let each = order.iter().map(|(column, down)| {
            let order = lookup::order(store, column, left, right);
            if *down { order.reverse() } else { order }
        });
        each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    Ok(found)
}

fn count(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let found = find(store, call, body["jql"].as_str().unwrap_or_default(), &[])?;
    Ok(Reply::json(StatusCode::OK, &json!({ "count": found.len() })))
}

fn autocomplete(store: &Store) -> Reply {
    let fields = store.model.fields.iter().filter(|field| !field.clauses.is_empty());
    let names: Vec<Value> = fields
        .map(|field| {
            let first = &field.clauses[0];
            let mut value = json!({
                "value": first, "displayName": field.name, "orderable": "true", "searchable": "true",
                "operators": ["=", "!=", "in", "not in", "is", "is not"], "types": [],
            });
            if field.is_custom() {
                value["cfid"] = json!(first);
            }
            value
        })
        .collect();
    let body = json!({ "visibleFieldNames": names, "visibleFunctionNames": [], "jqlReservedWords": [] });
    Reply::json(StatusCode::OK, &body)
}
