//! Runs SOQL and hands out its rows in pages behind locators.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::cell::{Cell, write_string};
use super::describe::{Derived, Kind};
use super::errors::Refusal;
use super::evaluate::{self, Context, Hop, Leaf, Route, Test};
use super::rows::{Place, Store};
use super::soql::{self, Item, Path, Query, Select, Source};

/// A locator that was not used for so long is gone.
pub(super) const LOCATOR_IDLE: SignedDuration = SignedDuration::from_mins(15);
/// Open locators of one user; one more closes the oldest.
pub(super) const MOST_LOCATORS: usize = 10;
const LARGEST_PAGE: u64 = 2000;
const SMALLEST_PAGE: u64 = 200;
/// Rows in a page when a long text is selected.
const PAGE_WITH_LONG_TEXT: u64 = 1000;
const LONG_TEXT: usize = 4000;

/// What a statement gives for each row.
#[derive(Debug, Clone)]
pub(super) enum Column {
    Value { name: String, route: Route, kind: Kind },
    Compound { name: String, parts: Vec<(&'static str, usize)> },
    Parent { hop: Hop, columns: Vec<Column> },
    Children { name: String, table: usize, field: usize, plan: Box<ChildPlan> },
}

/// A subquery over child rows.
#[derive(Debug, Clone)]
pub(super) struct ChildPlan {
    columns: Vec<Column>,
    test: Option<Arc<Test>>,
    order: Vec<SortKey>,
    limit: Option<u64>,
    offset: u64,
}

#[derive(Debug, Clone)]
struct SortKey {
    route: Route,
    fold: bool,
    descending: bool,
    nulls_last: bool,
}

/// The rows of a result, each by its index, in order.
#[derive(Debug, Clone)]
enum Found {
    /// All indexes from the first until before the second but the listed ones; maybe backwards.
    Range {
        from: u64,
        to: u64,
        without: Vec<u64>,
        backwards: bool,
    },
    Listed(Vec<u64>),
}

impl Found {
    fn len(&self) -> u64 {
        match self {
            Self::Range { from, to, without, .. } => to.saturating_sub(*from) - without.len() as u64,
            Self::Listed(list) => list.len() as u64,
        }
    }

    /// The index of the row at this place of the result.
    fn at(&self, place: u64) -> Option<u64> {
        match self {
            Self::Listed(list) => list.get(usize::try_from(place).ok()?).copied(),
            Self::Range { from, without, backwards, .. } => {
                if place >= self.len() {
                    return None;
                }
                let place = if *backwards { self.len() - 1 - place } else { place };
                // Each left-out index at or before the candidate moves it one further.
                let (mut low, mut high) = (0, without.len());
                while low < high {
                    let middle = usize::midpoint(low, high);
                    if without[middle] - from - middle as u64 <= place {
                        low = middle + 1
                    } else {
                        high = middle
                    }
                }
                Some(from + place + low as u64)
            }
        }
    }
}

/// A statement that was checked and run: what is left is to write pages.
#[derive(Debug)]
pub(super) struct Answer {
    table: usize,
    columns: Vec<Column>,
    found: Found,
    /// LIMIT and OFFSET as a part of `found`.
    skip: u64,
    pub(super) total: u64,
    page: u64,
    /// Soft-deleted rows are part of the result.
    with_deleted: bool,
    count_only: bool,
}

#[derive(Debug)]
struct Cursor {
    locator: String,
    answer: Arc<Answer>,
    used: Timestamp,
    finished: bool,
}

/// The open locators of the one user.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: Vec<Cursor>,
    made: u64,
}

impl Cursors {
    pub(super) fn expire(&mut self) {
        self.open.clear();
    }

    fn open(&mut self, store: &Store, answer: Arc<Answer>, now: Timestamp) -> String {
        self.open.retain(|cursor| now.duration_since(cursor.used) <= LOCATOR_IDLE);
        if self.open.len() >= MOST_LOCATORS {
            let oldest = self.open.iter().position(|cursor| cursor.finished).unwrap_or(0);
            self.open.remove(oldest);
        }
        self.made += 1;
        let locator = store.ids.make("0r8", self.made);
        self.open.push(Cursor { locator: locator.clone(), answer, used: now, finished: false });
        locator
    }
}

fn invalid_locator() -> Refusal {
    Refusal::new("INVALID_QUERY_LOCATOR", "invalid query locator")
}

/// What a request says besides the statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// `v60.0`.
    pub(super) version: &'a str,
    pub(super) now: Timestamp,
    pub(super) page: u64,
    pub(super) with_deleted: bool,
}

/// The rows of a page that a client asked for in `Sforce-Query-Options`.
pub(super) fn page_size(options: Option<&str>) -> u64 {
    options
        .into_iter()
        .flat_map(|options| options.split([',', ';']))
        .filter_map(|option| option.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("batchSize"))
        .and_then(|(_, size)| size.trim().parse::<u64>().ok())
        .map_or(LARGEST_PAGE, |size| size.clamp(SMALLEST_PAGE, LARGEST_PAGE))
}

/// Runs a statement and writes its first page.
///
/// # Errors
/// Whatever the service says about the statement.
pub(super) fn first_page(
    store: &Store,
    cursors: &mut Cursors,
    text: &str,
    ask: Ask<'_>,
) -> Result<String, Refusal> {
    let answer = Arc::new(run(store, text, ask)?);
    let mut out = String::new();
    let mut end = answer.page.min(answer.total);
    if answer.count_only {
        end = answer.total;
    }
    let next = (end < answer.total).then(|| cursors.open(store, Arc::clone(&answer), ask.now));
    write_page(store, &answer, 0, end, next.as_deref(), ask, &mut out);
    Ok(out)
}

/// Writes a further page for `…-2000`.
///
/// # Errors
/// INVALID_QUERY_LOCATOR when the locator is unknown, expired or names a place outside the result.
pub(super) fn next_page(
    store: &Store,
    cursors: &mut Cursors,
    token: &str,
    ask: Ask<'_>,
) -> Result<String, Refusal> {
    let (locator, offset) = token.rsplit_once('-').ok_or_else(invalid_locator)?;
    let offset: u64 = offset.parse().map_err(|_| invalid_locator())?;
    cursors.open.retain(|cursor| ask.now.duration_since(cursor.used) <= LOCATOR_IDLE);
    let cursor =
        cursors.open.iter_mut().find(|cursor| cursor.locator == locator).ok_or_else(invalid_locator)?;
    let answer = Arc::clone(&cursor.answer);
    if offset >= answer.total {
        return Err(invalid_locator());
    }
    let end = (offset + answer.page).min(answer.total);
    cursor.used = ask.now;
    cursor.finished = end >= answer.total;
    let next = (end < answer.total).then_some(locator);
    let mut out = String::new();
    write_page(store, &answer, offset, end, next, ask, &mut out);
    Ok(out)
}

fn write_page(
    store: &Store,
    answer: &Answer,
    from: u64,
    to: u64,
    next: Option<&str>,
    ask: Ask<'_>,
    out: &mut String,
) {
    use std::fmt::Write as _;
    let _ = write!(out, "{{\"totalSize\":{},\"done\":{}", answer.total, next.is_none());
    if let Some(locator) = next {
        let _ = write!(out, ",\"nextRecordsUrl\":\"/services/data/{}/query/{locator}-{to}\"", ask.version);
    }
    out.push_str(",\"records\":[");
    let mut first = true;
    if !answer.count_only {
        for place in from..to {
            let Some(index) = answer.found.at(answer.skip + place) else { break };
            let at = Place { table: answer.table, index };
            // A row deleted since the statement ran is no longer handed out.
            if !answer.with_deleted && !store.is_live(at) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            write_row(store, at, &answer.columns, ask.version, out);
        }
    }
    out.push_str("]}");
}

/// One row with its attributes.
pub(super) fn write_row(store: &Store, at: Place, columns: &[Column], version: &str, out: &mut String) {
    write_attributes(store, at, &store.object(at.table).name, version, out);
    write_columns(store, at, columns, version, out);
    out.push('}');
}

fn write_attributes(store: &Store, at: Place, kind: &str, version: &str, out: &mut String) {
    out.push_str("{\"attributes\":{\"type\":\"");
    out.push_str(kind);
    out.push_str("\",\"url\":\"/services/data/");
    out.push_str(version);
    out.push_str("/sobjects/");
    out.push_str(&store.object(at.table).name);
    out.push('/');
    out.push_str(&store.id(at));
    out.push_str("\"}");
}

fn write_columns(store: &Store, at: Place, columns: &[Column], version: &str, out: &mut String) {
    for column in columns {
        out.push(',');
        match column {
            Column::Value { name, route, kind } => {
                write_string(name, out);
                out.push(':');
                let cell = route.value(store, at);
                if *kind == Kind::Base64 && !cell.is_null() {
                    let url = format!(
                        "/services/data/{version}/sobjects/{}/{}/{name}",
                        store.object(at.table).name,
                        store.id(at)
                    );
                    write_string(&url, out);
                } else {
                    cell.write_json(out);
                }
            }
            Column::Compound { name, parts } => {
                write_string(name, out);
                out.push(':');
                write_compound(store, at, parts, out);
            }
            Column::Parent { hop, columns } => {
                write_string(&hop.name, out);
                out.push(':');
                match evaluate::follow(store, at, hop) {
                    None => out.push_str("null"),
                    Some(parent) => {
                        let kind = if hop.table.is_none() {
                            "Name"
                        } else {
                            store.object(parent.table).name.as_str()
                        };
                        write_attributes(store, parent, kind, version, out);
                        write_columns(store, parent, columns, version, out);
                        out.push('}');
                    }
                }
            }
            Column::Children { name, table, field, plan } => {
                write_string(name, out);
                out.push(':');
                write_children(store, at, *table, *field, plan, version, out);
            }
        }
    }
}

pub(super) fn write_compound(store: &Store, at: Place, parts: &[(&'static str, usize)], out: &mut String) {
    let Some(cells) = store.compound(at, parts) else {
        out.push_str("null");
        return;
    };
    out.push('{');
    for (number, (name, cell)) in cells.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        cell.write_json(out);
    }
    out.push('}');
}

fn write_children(
    store: &Store,
    parent: Place,
    table: usize,
    field: usize,
    plan: &ChildPlan,
    version: &str,
    out: &mut String,
) {
    use std::fmt::Write as _;
    let mut found = children(store, parent, table, field);
    found.retain(|index| {
        plan.test.as_ref().is_none_or(|test| test.holds(store, Place { table, index: *index }))
    });
    sort(store, table, &plan.order, &mut found, None);
    let limit = plan.limit.unwrap_or(u64::MAX);
    let shown: Vec<u64> = found
        .into_iter()
        .skip(usize::try_from(plan.offset).unwrap_or(usize::MAX))
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect();
    if shown.is_empty() {
        out.push_str("null");
        return;
    }
    let _ = write!(out, "{{\"totalSize\":{},\"done\":true,\"records\":[", shown.len());
    for (number, index) in shown.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write_row(store, Place { table, index }, &plan.columns, version, out);
    }
    out.push_str("]}");
}

/// Live rows of a table whose reference field points to this parent.
pub(super) fn children(store: &Store, parent: Place, table: usize, field: usize) -> Vec<u64> {
    let id = store.id(parent);
    (0..store.table(table).next)
        .filter(|index| {
            let at = Place { table, index: *index };
            store.is_live(at) && store.cell(at, field).as_text().is_some_and(|own| own == id)
        })
        .collect()
}

fn run(store: &Store, text: &str, ask: Ask<'_>) -> Result<Answer, Refusal> {
    let query = soql::parse(text)?;
    let source = Source(text);
    let today = Offset::UTC.to_datetime(ask.now).date();
    let cx = Context { store, source, today };
    let table = table_of(cx, &query)?;
    let count_only = matches!(query.select, Select::Count);
    let columns = match &query.select {
        Select::Count => Vec::new(),
        Select::Items(items) => columns(cx, table, &query, items)?,
    };
    let test = query
        .filter
        .as_ref()
        .map(|expr| evaluate::check(cx, table, query.alias.as_deref(), expr))
        .transpose()?;
    let order = sort_keys(cx, table, &query)?;
    let wanted = query.limit.map(|limit| limit.saturating_add(query.offset));
    let found = find(store, table, test.as_ref(), &order, wanted, ask.with_deleted);
    let total = found.len().saturating_sub(query.offset).min(query.limit.unwrap_or(u64::MAX));
    let page =
        if has_long_text(store, table, &columns) { ask.page.min(PAGE_WITH_LONG_TEXT) } else { ask.page };
    Ok(Answer {
        table,
        columns,
        found,
        skip: query.offset,
        total,
        page,
        with_deleted: ask.with_deleted,
        count_only,
    })
}

fn table_of(cx: Context<'_>, query: &Query) -> Result<usize, Refusal> {
    let found = cx.store.find_table(&query.object.text).filter(|table| cx.store.object(*table).queryable);
    found.ok_or_else(|| {
        cx.source.refuse(
            "INVALID_TYPE",
            query.object.at,
            &format!(
                "sObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' \
                 after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
                query.object.text
            ),
        )
    })
}

/// The first 15 characters of the ids that a semi-join's statement selects.
pub(super) fn ids_of(cx: Context<'_>, query: &Query) -> Result<HashSet<String>, Refusal> {
    let table = table_of(cx, query)?;
    let path = match &query.select {
        Select::Items(items) => match items.as_slice() {
            [Item::Path(path)] => path,
            _ => {
                return Err(cx.source.refuse(
                    "MALFORMED_QUERY",
                    query.object.at,
                    "A semi join sub-select selects exactly one field",
                ));
            }
        },
        Select::Count => {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                query.object.at,
                "A semi join sub-select selects exactly one field",
            ));
        }
    };
    let route = evaluate::route(cx.store, cx.source, table, query.alias.as_deref(), path)?;
    if !evaluate::leaf_field(cx.store, table, &route)
        .is_some_and(|field| field.kind == Kind::Id || field.kind == Kind::Reference)
    {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            path.at,
            "The selected field in the semi join sub-select must be an id field",
        ));
    }
    let test = query
        .filter
        .as_ref()
        .map(|expr| evaluate::check(cx, table, query.alias.as_deref(), expr))
        .transpose()?;
    let order = sort_keys(cx, table, query)?;
    let found = find(cx.store, table, test.as_ref(), &order, query.limit, false);
    let count = found.len().min(query.limit.unwrap_or(u64::MAX));
    let ids = (0..count).filter_map(|place| {
        let value = route.value(cx.store, Place { table, index: found.at(place)? });
        value.as_text().map(|id| id.get(..15).unwrap_or(id).to_owned())
    });
    Ok(ids.collect())
}

fn columns(cx: Context<'_>, table: usize, query: &Query, items: &[Item]) -> Result<Vec<Column>, Refusal> {
    let mut out: Vec<Column> = Vec::new();
    let object = cx.store.object(table);
    for item in items {
        match item {
            Item::Path(path) => {
                let route = evaluate::route(cx.store, cx.source, table, query.alias.as_deref(), path)?;
                if !add(cx.store, table, &mut out, &route.hops, &route.leaf) {
                    return Err(cx.source.refuse(
                        "INVALID_FIELD",
                        path.at,
                        &format!("duplicate field selected: {}", path.parts.join(".")),
                    ));
                }
            }
            Item::Fields(word) => {
                let kinds: fn(bool) -> bool = match word.text.to_ascii_uppercase().as_str() {
                    "ALL" => |_| true,
                    "STANDARD" => |custom| !custom,
                    "CUSTOM" => |custom| custom,
                    _ => {
                        return Err(cx.source.refuse(
                            "MALFORMED_QUERY",
                            word.at,
                            &format!("unexpected token: '{}'", word.text),
                        ));
                    }
                };
                if !word.text.eq_ignore_ascii_case("STANDARD") && query.limit.is_none_or(|limit| limit > 200)
                {
                    return Err(cx.source.refuse(
                        "MALFORMED_QUERY",
                        word.at,
                        "The SOQL FIELDS function must have a LIMIT of at most 200",
                    ));
                }
                for (number, _) in object.fields.iter().enumerate().filter(|(_, field)| kinds(field.custom)) {
                    add(cx.store, table, &mut out, &[], &Leaf::Field(number));
                }
            }
            Item::Child(child) => out.push(child_column(cx, table, child)?),
        }
    }
    Ok(out)
}

fn child_column(cx: Context<'_>, table: usize, child: &Query) -> Result<Column, Refusal> {
    let parent = cx.store.object(table);
    let relation = parent.children.iter().find(|relation| {
        relation.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(&child.object.text))
    });
    let found = relation.and_then(|relation| {
        let table = cx.store.find_table(&relation.object)?;
        Some((relation.name.clone()?, table, cx.store.object(table).field(&relation.field)?))
    });
    let Some((name, child_table, field)) = found else {
        return Err(cx.source.refuse(
            "INVALID_TYPE",
            child.object.at,
            &format!(
                "Didn't understand relationship '{}' in FROM part of query call. If you are attempting to use a custom relationship, \
                 be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for \
                 the appropriate names.",
                child.object.text
            ),
        ));
    };
    let columns = match &child.select {
        Select::Items(items) if !items.iter().any(|item| matches!(item, Item::Child(_))) => {
            columns(cx, child_table, child, items)?
        }
        _ => {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                child.object.at,
                "a subquery selects fields, one level down",
            ));
        }
    };
    let test = child
        .filter
        .as_ref()
        .map(|expr| evaluate::check(cx, child_table, child.alias.as_deref(), expr).map(Arc::new))
        .transpose()?;
    let order = sort_keys(cx, child_table, child)?;
    let plan = ChildPlan { columns, test, order, limit: child.limit, offset: child.offset };
    Ok(Column::Children { name, table: child_table, field, plan: Box::new(plan) })
}

/// Adds a selected path, merging paths through one parent; false when it is there already.
fn add(store: &Store, table: usize, out: &mut Vec<Column>, hops: &[Hop], leaf: &Leaf) -> bool {
    if let Some((hop, rest)) = hops.split_first() {
        let known = out.iter_mut().find_map(|column| match column {
            Column::Parent { hop: own, columns } if own.field == hop.field => Some(columns),
            _ => None,
        });
        let next = hop.table.unwrap_or(table);
        if let Some(columns) = known {
            return add(store, next, columns, rest, leaf);
        }
        let mut columns = Vec::new();
        add(store, next, &mut columns, rest, leaf);
        out.push(Column::Parent { hop: hop.clone(), columns });
        return true;
    }
    let column = match leaf {
        Leaf::Field(field) => {
            let Some(about) = store.object(table).fields.get(*field) else { return true };
            match &about.derived {
                Some(Derived::Compound(parts)) => {
                    Column::Compound { name: about.name.clone(), parts: parts.clone() }
                }
                _ => Column::Value {
                    name: about.name.clone(),
                    route: Route { hops: Vec::new(), leaf: leaf.clone() },
                    kind: about.kind,
                },
            }
        }
        Leaf::Named(name) => Column::Value {
            name: name.clone(),
            route: Route { hops: Vec::new(), leaf: leaf.clone() },
            kind: Kind::Text,
        },
        Leaf::TypeName => Column::Value {
            name: "Type".to_owned(),
            route: Route { hops: Vec::new(), leaf: leaf.clone() },
            kind: Kind::Text,
        },
    };
    let name_of = |column: &Column| match column {
        Column::Value { name, .. } | Column::Compound { name, .. } | Column::Children { name, .. } => {
            name.clone()
        }
        Column::Parent { hop, .. } => hop.name.clone(),
    };
    let name = name_of(&column);
    if out.iter().any(|known| name_of(known) == name && !matches!(known, Column::Parent { .. })) {
        return false;
    }
    out.push(column);
    true
}

/// The column that shows one field of a type.
pub(super) fn field_column(store: &Store, table: usize, field: usize) -> Option<Column> {
    let mut out = Vec::new();
    add(store, table, &mut out, &[], &Leaf::Field(field));
    out.pop()
}

/// The columns of a list of paths, for reads by id.
///
/// # Errors
/// INVALID_FIELD for a path that does not exist.
pub(super) fn path_columns(store: &Store, table: usize, paths: &[&str]) -> Result<Vec<Column>, Refusal> {
    let mut out = Vec::new();
    for text in paths {
        let path = Path { parts: text.split('.').map(str::to_owned).collect(), at: 0 };
        let route = evaluate::route(store, Source(text), table, None, &path).map_err(|_| {
            Refusal::new(
                "INVALID_FIELD",
                format!("No such column '{text}' on sobject of type {}", store.object(table).name),
            )
        })?;
        add(store, table, &mut out, &route.hops, &route.leaf);
    }
    Ok(out)
}

fn has_long_text(store: &Store, table: usize, columns: &[Column]) -> bool {
    columns.iter().any(|column| match column {
        Column::Value { name, kind: Kind::Text, .. } => {
            let object = store.object(table);
            object
                .field(name)
                .and_then(|field| object.fields.get(field))
                .is_some_and(|field| field.length > LONG_TEXT)
        }
        _ => false,
    })
}

fn sort_keys(cx: Context<'_>, table: usize, query: &Query) -> Result<Vec<SortKey>, Refusal> {
    let mut out = Vec::new();
    for order in &query.order {
        let route = evaluate::route(cx.store, cx.source, table, query.alias.as_deref(), &order.path)?;
        let about = evaluate::leaf_field(cx.store, table, &route);
        if let Some(about) = about
            && !about.sortable
        {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                order.path.at,
                &format!("field '{}' can not be sorted in a query call", about.name),
            ));
        }
        let fold = about.is_some_and(|about| about.folds_case());
        out.push(SortKey { route, fold, descending: order.descending, nulls_last: order.nulls_last });
    }
    Ok(out)
}

fn find(
    store: &Store,
    table: usize,
    test: Option<&Test>,
    order: &[SortKey],
    wanted: Option<u64>,
    with_deleted: bool,
) -> Found {
    let bounds = evaluate::bounds(store, table, test);
    let by_id = match order.first() {
        None => Some(false),
        Some(key) => {
            let id = key.route.hops.is_empty()
                && matches!(key.route.leaf, Leaf::Field(field) if store.object(table).fields.get(field).is_some_and(|field| field.kind == Kind::Id));
            id.then_some(key.descending)
        }
    };
    if let (true, Some(backwards)) = (bounds.complete, by_id) {
        let to = bounds.to.max(bounds.from);
        let without = if with_deleted { Vec::new() } else { store.deleted_between(table, bounds.from, to) };
        return Found::Range { from: bounds.from, to, without, backwards };
    }
    let shown = |index: &u64| {
        let at = Place { table, index: *index };
        (with_deleted || store.is_live(at)) && test.is_none_or(|test| test.holds(store, at))
    };
    let backwards = by_id == Some(true);
    let enough = wanted
        .filter(|_| by_id.is_some())
        .map_or(usize::MAX, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
    let mut found: Vec<u64> = match test.and_then(|test| evaluate::own_ids(store, table, test)) {
        Some(ids) => {
            let mut places: Vec<u64> = ids
                .iter()
                .filter_map(|id| store.locate(id))
                .filter(|at| at.table == table)
                .map(|at| at.index)
                .collect();
            places.sort_unstable();
            if backwards {
                places.reverse();
            }
            places.into_iter().filter(shown).take(enough).collect()
        }
        None if backwards => (bounds.from..bounds.to).rev().filter(shown).take(enough).collect(),
        None => (bounds.from..bounds.to).filter(shown).take(enough).collect(),
    };
    if by_id.is_none() {
        sort(store, table, order, &mut found, wanted);
    }
    Found::Listed(found)
}

fn sort(store: &Store, table: usize, order: &[SortKey], found: &mut Vec<u64>, wanted: Option<u64>) {
    if order.is_empty() {
        return;
    }
    let key = |index: u64| {
        let at = Place { table, index };
        order
            .iter()
            .map(|key| match key.route.value(store, at) {
                Cell::Text(text) if key.fold => Cell::text(evaluate::lower(&text)),
                cell => cell,
            })
            .collect::<Vec<Cell>>()
    };
    let compare = |left: &(Vec<Cell>, u64), right: &(Vec<Cell>, u64)| {
        for ((one, other), key) in left.0.iter().zip(&right.0).zip(order) {
            let ordering = match (one.is_null(), other.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) => {
                    if key.nulls_last {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
                (false, true) => {
                    if key.nulls_last {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (false, false) => {
                    let ordering = evaluate::sort_order(one, other);
                    if key.descending { ordering.reverse() } else { ordering }
                }
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        left.1.cmp(&right.1)
    };
    let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(usize::MAX);
    let room = wanted.saturating_mul(2).saturating_add(10_000);
    let mut keyed: Vec<(Vec<Cell>, u64)> = Vec::new();
    for index in found.drain(..) {
        keyed.push((key(index), index));
        // With a LIMIT only the best are kept.
        if keyed.len() > room {
            keyed.sort_by(compare);
            keyed.truncate(wanted);
        }
    }
    keyed.sort_by(compare);
    found.extend(keyed.into_iter().map(|(_, index)| index).take(wanted));
}
