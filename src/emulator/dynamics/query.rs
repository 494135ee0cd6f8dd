//! Listings: query options, pages, counts.

use std::cmp::Ordering;
use std::sync::Arc;

use http::StatusCode;

use super::cell::Cell;
use super::cookie::{Cookie, Cookies};
use super::errors::{QUERY, Refusal};
use super::evaluate::{self, Context, Route, Test};
use super::odata;
use super::request::Call;
use super::rows::{Place, Store};
use super::view::View;
use super::{Environment, json_reply};
use crate::emulator::json::write_string;
use crate::emulator::service::Reply;

/// Rows of a page at most, and what a count is capped at.
pub(super) const LARGEST_PAGE: usize = 5_000;

/// One term of `$orderby`.
#[derive(Debug, Clone)]
pub(super) struct OrderBy {
    route: Route,
    descending: bool,
}

/// Reads `$orderby`.
///
/// # Errors
/// Names that the type does not have, directions that do not exist.
pub(super) fn order(cx: Context<'_>, table: usize, text: &str) -> Result<Vec<OrderBy>, Refusal> {
    let mut out = Vec::new();
    for term in text.split(',').map(str::trim) {
        let mut words = term.split_whitespace();
        let path: Vec<String> = words.next().unwrap_or_default().split('/').map(str::to_owned).collect();
        let descending = match (words.next(), words.next()) {
            (None | Some("asc"), None) => false,
            (Some("desc"), None) => true,
            _ => {
                return Err(Refusal::new(
                    QUERY,
                    format!("Syntax error at position {} in '{text}'.", term.len()),
                ));
            }
        };
        out.push(OrderBy { route: evaluate::route(cx, table, &path)?, descending });
    }
    Ok(out)
}

/// Sorts rows; null comes first, and rows that tie keep their order.
pub(super) fn sort(store: &Store, rows: &mut [Place], order: &[OrderBy]) {
    if order.is_empty() {
        return;
    }
    rows.sort_by_cached_key(|at| {
        Keys(order.iter().map(|term| (term.route.value(store, *at), term.descending)).collect())
    });
}

/// The values that a row is sorted by.
#[derive(PartialEq)]
struct Keys(Vec<(Cell, bool)>);

impl Eq for Keys {}

impl PartialOrd for Keys {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keys {
    fn cmp(&self, other: &Self) -> Ordering {
        for ((one, descending), (two, _)) in self.0.iter().zip(&other.0) {
            let order = match (one.is_null(), two.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => evaluate::order(one, two).unwrap_or(Ordering::Equal),
            };
            let order = if *descending { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }
}

/// Query options that no listing takes.
const UNSUPPORTED: [&str; 4] = ["$skip", "$search", "$format", "$compute"];
const KNOWN: [&str; 10] = [
    "$select",
    "$filter",
    "$orderby",
    "$expand",
    "$top",
    "$count",
    "$apply",
    "$skiptoken",
    "$deltatoken",
    "$id",
];
/// Other ways to ask that the real service has.
const OTHER_WAYS: [&str; 4] = ["fetchXml", "savedQuery", "userQuery", "sql"];

/// Refuses query options that the service does not take.
pub(super) fn check_options(call: &Call<'_>) -> Result<(), Refusal> {
    for (name, _) in &call.options {
        if UNSUPPORTED.contains(&name.as_str()) {
            return Err(Refusal::new(QUERY, format!("The query parameter {name} is not supported.")));
        }
        if name.starts_with('$') && !KNOWN.contains(&name.as_str()) {
            return Err(Refusal::new(QUERY, format!("The query parameter '{name}' is not known.")));
        }
        if OTHER_WAYS.contains(&name.as_str()) {
            return Err(Refusal::new(
                QUERY,
                format!("The emulated environment does not take {name}: use $filter."),
            ));
        }
    }
    Ok(())
}

/// What a listing asks for.
pub(super) struct Ask {
    pub(super) view: View,
    pub(super) test: Option<Test>,
    order: Vec<OrderBy>,
    top: Option<usize>,
    count: bool,
    /// Rows of a collection, when it is not the whole table.
    within: Option<Vec<Place>>,
}

impl Ask {
    /// Reads the query options of a listing of a table, or of some of its rows.
    ///
    /// # Errors
    /// The service's own refusals.
    pub(super) fn read(
        store: &Store,
        call: &Call<'_>,
        table: usize,
        within: Option<Vec<Place>>,
    ) -> Result<Self, Refusal> {
        check_options(call)?;
        let cx = Context { store, now: call.request.now, variable: None };
        let view = View::read(cx, table, call.option("$select"), call.option("$expand"))?;
        let filter = call.option("$filter").map(|text| odata::filter(text, &call.aliases())).transpose()?;
        let test = filter.map(|expr| evaluate::check(cx, table, &expr)).transpose()?;
        let order = call.option("$orderby").filter(|text| !text.trim().is_empty());
        let order = order.map(|text| order_of(cx, table, call, text)).transpose()?.unwrap_or_default();
        let top = match call.option("$top").map(str::parse::<usize>) {
            None => None,
            Some(Ok(top)) => Some(top),
            Some(Err(_)) => {
                let text = call.option("$top").unwrap_or_default();
                return Err(Refusal::new(
                    QUERY,
                    format!(
                        "Invalid value '{text}' for $top query option found. The $top \
                    query option requires a non-negative integer value."
                    ),
                ));
            }
        };
        let count = match call.option("$count") {
            None | Some("false") => false,
            Some("true") => true,
            Some(text) => {
                return Err(Refusal::new(
                    QUERY,
                    format!("Invalid value '{text}' for $count query option found."),
                ));
            }
        };
        Ok(Self { view, test, order, top, count, within })
    }

    fn fits(&self, store: &Store, at: Place) -> bool {
        self.test.as_ref().is_none_or(|test| evaluate::holds(store, at, test))
    }

    /// All rows that fit, in the order asked for.
    pub(super) fn all(&self, store: &Store) -> Vec<Place> {
        let table = self.view.table;
        let mut rows: Vec<Place> = match (&self.within, &self.test) {
            (Some(within), _) => within.iter().copied().filter(|at| self.fits(store, *at)).collect(),
            (None, test) => match test.as_ref().and_then(|test| evaluate::candidates(store, table, test)) {
                Some(few) => few
                    .into_iter()
                    .map(|index| Place { table, index })
                    .filter(|at| store.is_live(*at) && self.fits(store, *at))
                    .collect(),
                None => store.live(table, 0).filter(|at| self.fits(store, *at)).collect(),
            },
        };
        sort(store, &mut rows, &self.order);
        rows
    }
}

fn order_of(cx: Context<'_>, table: usize, call: &Call<'_>, text: &str) -> Result<Vec<OrderBy>, Refusal> {
    let text = call.aliases().get(text.trim()).cloned().unwrap_or_else(|| text.to_owned());
    order(cx, table, &text)
}

/// One page and what leads to the next.
struct Page {
    rows: Vec<Place>,
    next: Option<Cookie>,
    number: u64,
}

/// Answers a listing.
///
/// # Errors
/// The service's own refusals.
pub(super) fn list(
    environment: &mut Environment,
    call: &Call<'_>,
    table: usize,
    within: Option<(Vec<Place>, String)>,
) -> Result<Reply, Refusal> {
    if call.option("$apply").is_some() {
        return super::aggregate::handle(&environment.store, call, table);
    }
    if call.prefer.track && within.is_none() || call.option("$deltatoken").is_some() {
        return super::changes::list(environment, call, table);
    }
    let (within, context) = within.unzip();
    let ask = Ask::read(&environment.store, call, table, within)?;
    let since = None;
    let (page, total) = page(environment, call, &ask, since)?;
    let store = &environment.store;
    let context = context.unwrap_or_else(|| store.about(table).set.clone());
    let mut out = head(call, &format!("{context}{}", ask.view.names));
    if call.prefer.wants("Microsoft.Dynamics.CRM.totalrecordcount") {
        write_totals(environment, &ask, &page, total, &mut out);
    }
    if ask.count {
        out.push_str(&format!(",\"@odata.count\":{}", total.unwrap_or_default().min(LARGEST_PAGE)));
    }
    out.push_str(",\"value\":[");
    ask.view.write_rows(store, &page.rows, &call.prefer, &call.root(), &mut out);
    out.push(']');
    write_next(call, page.next.as_ref(), &mut out);
    out.push('}');
    Ok(json_reply(StatusCode::OK, out))
}

/// The beginning of an answer, up to its context.
pub(super) fn head(call: &Call<'_>, context: &str) -> String {
    let mut out = String::from("{\"@odata.context\":");
    write_string(&call.context(context), &mut out);
    out
}

fn write_totals(environment: &Environment, ask: &Ask, page: &Page, total: Option<usize>, out: &mut String) {
    let count = if ask.count { total.unwrap_or_default().min(LARGEST_PAGE) as i64 } else { -1 };
    let exceeded = ask.count && total.is_some_and(|total| total > LARGEST_PAGE);
    out.push_str(&format!(
        ",\"@Microsoft.Dynamics.CRM.totalrecordcount\":{count},\
         \"@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded\":{exceeded},\
         \"@Microsoft.Dynamics.CRM.globalmetadataversion\":\"{}\"",
        environment.metadata_version
    ));
    if let Some(next) = &page.next {
        let cookie =
            format!("<cookie pagenumber=\"{}\" pagingcookie=\"\" istracking=\"False\" />", next.page);
        out.push_str(",\"@Microsoft.Dynamics.CRM.fetchxmlpagingcookie\":");
        write_string(&cookie, out);
        out.push_str(",\"@Microsoft.Dynamics.CRM.morerecords\":true");
    } else if page.number > 1 {
        out.push_str(",\"@Microsoft.Dynamics.CRM.morerecords\":false");
    }
}

fn write_next(call: &Call<'_>, next: Option<&Cookie>, out: &mut String) {
    if let Some(next) = next {
        out.push_str(",\"@odata.nextLink\":");
        write_string(&next_link(call, &next.write()), out);
    }
}

/// The address of this request with another token.
pub(super) fn next_link(call: &Call<'_>, token: &str) -> String {
    let kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        !matches!(name.as_str(), "$skiptoken" | "%24skiptoken") && !pair.is_empty()
    };
    let mut query: Vec<&str> = call.request.query.split('&').filter(kept).collect();
    let token = format!("$skiptoken={token}");
    query.push(&token);
    format!("{}{}?{}", call.request.origin, call.request.path, query.join("&"))
}

/// The token of a request as it stands in the address, still encoded.
pub(super) fn raw_token<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    call.request.query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        matches!(name.to_ascii_lowercase().as_str(), "$skiptoken" | "%24skiptoken").then_some(value)
    })
}

/// Rows of the page asked for, and the number of all when a count is wanted.
fn page(
    environment: &mut Environment,
    call: &Call<'_>,
    ask: &Ask,
    since: Option<i64>,
) -> Result<(Page, Option<usize>), Refusal> {
    let Environment { store, cookies, .. } = environment;
    let cookie = raw_token(call).map(|raw| cookies.read(raw)).transpose()?;
    let top = ask.top.filter(|_| call.prefer.page.is_none());
    let size = call.prefer.page.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE);
    let table = ask.view.table;
    let number = cookie.as_ref().map_or(1, |cookie| cookie.page);
    if let Some((id, at)) = cookie.as_ref().and_then(|cookie| cookie.list) {
        let list = cookies.list(id).unwrap_or_default();
        let total = ask.count.then_some(list.len());
        return Ok((part(store, cookies, table, list, at, size, number, since), total));
    }
    let plain = ask.order.is_empty() && ask.within.is_none();
    let few = ask.test.as_ref().and_then(|test| evaluate::candidates(store, table, test)).is_some();
    if plain && !few {
        // The order of creation needs no list: the cookie's last row tells where to go on.
        let from = match &cookie {
            None => 0,
            Some(cookie) => store
                .locate_any(table, cookie.last)
                .map(|at| at.index + 1)
                .ok_or_else(|| Refusal::new("0x80041129", "Malformed XML in the Paging Cookie."))?,
        };
        let wanted = top.map_or(size, |top| top.min(LARGEST_PAGE));
        let mut rows: Vec<Place> = store
            .live(table, from)
            .filter(|at| ask.fits(store, *at))
            .take(wanted.saturating_add(1))
            .collect();
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next =
            (more && top.is_none()).then(|| cookie_after(store, cookies, table, &rows, number, None, since));
        let total = ask.count.then(|| {
            let bare = ask.test.is_none();
            if bare { store.live_count(table) as usize } else { ask.all(store).len() }
        });
        return Ok((Page { rows, next: next.flatten(), number }, total));
    }
    let list: Arc<Vec<u64>> = Arc::new(ask.all(store).into_iter().map(|at| at.index).collect());
    let total = ask.count.then_some(list.len());
    if let Some(top) = top {
        let rows =
            list.iter().take(top.min(LARGEST_PAGE)).map(|index| Place { table, index: *index }).collect();
        return Ok((Page { rows, next: None, number }, total));
    }
    Ok((part(store, cookies, table, list, 0, size, number, since), total))
}

#[expect(clippy::too_many_arguments, reason = "a page is all of these")]
fn part(
    store: &Store,
    cookies: &mut Cookies,
    table: usize,
    list: Arc<Vec<u64>>,
    at: usize,
    size: usize,
    number: u64,
    since: Option<i64>,
) -> Page {
    let to = list.len().min(at.saturating_add(size));
    let places = list.get(at..to).unwrap_or_default().iter().map(|index| Place { table, index: *index });
    let rows: Vec<Place> = places.filter(|at| store.is_live(*at)).collect();
    let next = (to < list.len()).then(|| {
        let id = cookies.keep(list.clone());
        let edge: Vec<Place> = [at, to - 1]
            .iter()
            .filter_map(|at| list.get(*at))
            .map(|index| Place { table, index: *index })
            .collect();
        cookie_after(store, cookies, table, &edge, number, Some((id, to)), since)
    });
    Page { rows, next: next.flatten(), number }
}

pub(super) fn cookie_after(
    store: &Store,
    cookies: &Cookies,
    table: usize,
    rows: &[Place],
    number: u64,
    list: Option<(u64, usize)>,
    since: Option<i64>,
) -> Option<Cookie> {
    let about = store.about(table);
    Some(Cookie {
        page: number + 1,
        key: about.columns[about.id].name.clone(),
        first: store.id(*rows.first()?),
        last: store.id(*rows.last()?),
        list,
        since,
        epoch: cookies.epoch(),
    })
}

/// `set/$count`: a number as text.
///
/// # Errors
/// The service's own refusals.
pub(super) fn count(
    store: &Store,
    call: &Call<'_>,
    table: usize,
    within: Option<Vec<Place>>,
) -> Result<Reply, Refusal> {
    let ask = Ask::read(store, call, table, within)?;
    let number = ask.all(store).len().min(LARGEST_PAGE);
    Ok(Reply::new(StatusCode::OK, "text/plain", number.to_string()))
}
