//! What of a row an answer shows: `$select` and `$expand`, and the row as JSON with its annotations.

use std::collections::HashMap;

use super::cell::{self, Cell};
use super::describe::{Collection, Kind};
use super::errors::{QUERY, Refusal};
use super::evaluate::{self, Context, Test};
use super::guid;
use super::odata;
use super::query::{self, OrderBy};
use super::request::Prefer;
use super::rows::{Place, Store};
use crate::emulator::json::write_string;

/// Expanded properties in one request.
const MOST_EXPANDED: usize = 15;
const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";
const LOOKUP_NAME: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";
const NAVIGATION: &str = "Microsoft.Dynamics.CRM.associatednavigationproperty";

/// The properties of one table that are shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) table: usize,
    columns: Vec<usize>,
    expand: Vec<Expand>,
    /// The list of names in the context, with parentheses; empty when everything is shown.
    pub(super) names: String,
}

#[derive(Debug, Clone)]
struct Expand {
    name: String,
    place: Where,
    view: View,
    /// Only the address of the row.
    reference: bool,
    filter: Option<Test>,
    order: Vec<OrderBy>,
    top: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Where {
    One { column: usize, target: Option<usize> },
    Many(Collection),
}

impl View {
    /// Reads `$select` and `$expand`.
    ///
    /// # Errors
    /// Names that the type does not have, options that an expansion does not take.
    pub(super) fn read(
        cx: Context<'_>,
        table: usize,
        select: Option<&str>,
        expand: Option<&str>,
    ) -> Result<Self, Refusal> {
        Self::read_at(cx, table, select, expand, 0)
    }

    fn read_at(
        cx: Context<'_>,
        table: usize,
        select: Option<&str>,
        expand: Option<&str>,
        depth: usize,
    ) -> Result<Self, Refusal> {
        let about = cx.store.about(table);
        let mut columns = Vec::new();
        let mut names = Vec::new();
        match select.map(str::trim).filter(|text| !text.is_empty() && *text != "*") {
            None => columns.extend(
                (0..about.columns.len())
                    .filter(|at| about.columns[*at].shown && about.columns[*at].kind != Kind::Image),
            ),
            Some(text) => {
                for name in text.split(',').map(str::trim) {
                    let column =
                        about.property(name).ok_or_else(|| Refusal::no_property(name, &about.name))?;
                    names.push(name.to_owned());
                    if !columns.contains(&column) {
                        columns.push(column);
                    }
                }
                let money = columns.iter().any(|column| about.columns[*column].kind == Kind::Money);
                let currency = about.column("transactioncurrencyid").filter(|_| money);
                for more in currency.into_iter().chain([about.id]) {
                    if !columns.contains(&more) {
                        columns.push(more);
                    }
                }
            }
        }
        let mut expanded = Vec::new();
        for part in expand.map(|text| odata::split(text, ',')).unwrap_or_default() {
            if depth > 2 || expanded.len() == MOST_EXPANDED {
                let message = format!(
                    "Number of levels or properties in $expand exceeds the limit of {MOST_EXPANDED}."
                );
                return Err(Refusal::new(QUERY, message));
            }
            let one = Expand::read(cx, table, part.trim(), depth)?;
            names.push(format!(
                "{}{}",
                one.name,
                if one.view.names.is_empty() { "()" } else { &one.view.names }
            ));
            expanded.push(one);
        }
        let names = if names.is_empty() { String::new() } else { format!("({})", names.join(",")) };
        Ok(Self { table, columns, expand: expanded, names })
    }

    /// Rows that have to be found once for a whole page: children by the row that they point to.
    fn gather(&self, store: &Store, rows: &[Place]) -> Gathered {
        let mut out = Gathered::default();
        for (number, expand) in self.expand.iter().enumerate() {
            if let Where::Many(Collection::Children { table, nav }) = expand.place {
                let column = store.about(table).navs[nav].column;
                let mut found: HashMap<u128, Vec<Place>> =
                    rows.iter().map(|at| (store.id(*at), Vec::new())).collect();
                for row in store.live(table, 0) {
                    if let Some((to, id)) = store.cell(row, column).as_ref()
                        && to == self.table
                        && let Some(children) = found.get_mut(&id)
                    {
                        children.push(row);
                    }
                }
                out.children.insert(number, found);
            }
        }
        out
    }

    /// Appends rows as the entries of a list.
    pub(super) fn write_rows(
        &self,
        store: &Store,
        rows: &[Place],
        prefer: &Prefer,
        root: &str,
        out: &mut String,
    ) {
        let gathered = self.gather(store, rows);
        for (number, at) in rows.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push('{');
            self.write_members(store, *at, &gathered, prefer, root, out);
            out.push('}');
        }
    }

    /// One row with the context before its members.
    pub(super) fn entity(&self, store: &Store, at: Place, prefer: &Prefer, root: &str) -> String {
        let set = &store.about(self.table).set;
        let mut out = String::from("{\"@odata.context\":");
        write_string(&format!("{root}$metadata#{set}{}/$entity", self.names), &mut out);
        out.push(',');
        let gathered = self.gather(store, &[at]);
        self.write_members(store, at, &gathered, prefer, root, &mut out);
        out.push('}');
        out
    }

    fn write_members(
        &self,
        store: &Store,
        at: Place,
        gathered: &Gathered,
        prefer: &Prefer,
        root: &str,
        out: &mut String,
    ) {
        let about = store.about(self.table);
        out.push_str("\"@odata.etag\":\"W/\\\"");
        out.push_str(&store.row_version(at).to_string());
        out.push_str("\\\"\"");
        for number in &self.columns {
            let column = &about.columns[*number];
            let cell = store.cell(at, *number);
            if prefer.annotates() {
                write_annotations(store, (self.table, *number), &cell, prefer, out);
            }
            out.push_str(",\"");
            out.push_str(&column.wire);
            out.push_str("\":");
            cell.write_json(column, out);
        }
        for (number, expand) in self.expand.iter().enumerate() {
            expand.write(store, at, gathered.children.get(&number), prefer, root, out);
        }
    }
}

#[derive(Debug, Default)]
struct Gathered {
    children: HashMap<usize, HashMap<u128, Vec<Place>>>,
}

fn write_annotation(wire: &str, annotation: &str, value: &str, out: &mut String) {
    out.push_str(",\"");
    out.push_str(wire);
    out.push('@');
    out.push_str(annotation);
    out.push_str("\":");
    write_string(value, out);
}

/// What stands before a value: how a form would show it, and for a lookup where it leads.
fn write_annotations(
    store: &Store,
    (table, number): (usize, usize),
    cell: &Cell,
    prefer: &Prefer,
    out: &mut String,
) {
    let column = &store.about(table).columns[number];
    if let Some((to, id)) = cell.as_ref() {
        // The service tells no navigation property of who created or changed a row.
        let silent = matches!(column.name.as_str(), "createdby" | "modifiedby");
        if prefer.wants(NAVIGATION)
            && !silent
            && let Some(nav) = store.model.nav_to(table, number, to)
        {
            write_annotation(&column.wire, NAVIGATION, &nav.name, out);
        }
        if prefer.wants(LOOKUP_NAME) {
            write_annotation(&column.wire, LOOKUP_NAME, &store.about(to).name, out);
        }
        if prefer.wants(FORMATTED)
            && let Some(row) = store.locate(to, id)
        {
            write_annotation(&column.wire, FORMATTED, &store.name_of(row), out);
        }
    } else if prefer.wants(FORMATTED)
        && let Some(text) = cell::formatted(cell, column)
    {
        write_annotation(&column.wire, FORMATTED, &text, out);
    }
}

impl Expand {
    fn read(cx: Context<'_>, table: usize, text: &str, depth: usize) -> Result<Self, Refusal> {
        let store = cx.store;
        let about = store.about(table);
        let (path, options) = text
            .split_once('(')
            .map_or((text, ""), |(path, rest)| (path, rest.strip_suffix(')').unwrap_or(rest)));
        let (name, reference) = path.strip_suffix("/$ref").map_or((path, false), |name| (name, true));
        let nav = about.nav(name);
        let place = match (nav, store.model.collection(table, name)) {
            (Some(nav), _) => Where::One { column: nav.column, target: store.model.table(&nav.target) },
            (None, Some(collection)) => Where::Many(collection),
            (None, None) => return Err(Refusal::no_property(name, &about.name)),
        };
        let one = matches!(place, Where::One { .. });
        if reference && !one {
            return Err(Refusal::new(
                QUERY,
                "Expand with $ref is only supported on lookup type navigation property.",
            ));
        }
        let mut given: HashMap<&str, &str> = HashMap::new();
        for option in odata::split(options, ';').into_iter().map(str::trim).filter(|text| !text.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let allowed = match key.trim() {
                "$select" | "$expand" => true,
                "$filter" | "$orderby" | "$top" => !one,
                _ => false,
            };
            if !allowed {
                let message =
                    format!("The query option '{}' is not supported inside $expand of '{name}'.", key.trim());
                return Err(Refusal::new(QUERY, message));
            }
            given.insert(key.trim(), value);
        }
        let target = match place {
            Where::One { target: Some(target), .. } => target,
            // A principal is shown as a user or a team, whichever it is; both have the same few properties.
            Where::One { target: None, .. } => {
                store.model.table("systemuser").ok_or_else(|| Refusal::no_property(name, &about.name))?
            }
            Where::Many(collection) => evaluate::collection_table(store, collection),
        };
        let principal = matches!(place, Where::One { target: None, .. });
        let select = if principal { None } else { given.get("$select").copied() };
        let mut view = View::read_at(cx, target, select, given.get("$expand").copied(), depth + 1)?;
        if principal {
            view.columns.clear();
        }
        if !one
            && !view.expand.is_empty()
            && view.expand.iter().any(|inner| matches!(inner.place, Where::Many(_)))
        {
            return Err(Refusal::new(QUERY, "Nested $expand of collections is not supported."));
        }
        let filter = given.get("$filter").map(|text| odata::filter(text, &HashMap::new())).transpose()?;
        let filter = filter.map(|expr| evaluate::check(cx, target, &expr)).transpose()?;
        let order = given.get("$orderby").map(|text| query::order(cx, target, text)).transpose()?;
        let top = given.get("$top").map(|text| text.trim().parse());
        let top = top.transpose().map_err(|_| Refusal::new(QUERY, "Invalid value for $top."))?;
        Ok(Self {
            name: name.to_owned(),
            place,
            view,
            reference,
            filter,
            order: order.unwrap_or_default(),
            top,
        })
    }

    fn write(
        &self,
        store: &Store,
        at: Place,
        children: Option<&HashMap<u128, Vec<Place>>>,
        prefer: &Prefer,
        root: &str,
        out: &mut String,
    ) {
        out.push(',');
        write_string(&self.name, out);
        out.push(':');
        match self.place {
            Where::One { column, target } => {
                let found = store
                    .cell(at, column)
                    .as_ref()
                    .filter(|(to, _)| target.is_none_or(|target| target == *to));
                let found = found.and_then(|(table, id)| store.locate(table, id));
                match found {
                    None => out.push_str("null"),
                    Some(row) if self.reference => {
                        let address =
                            format!("{root}{}({})", store.about(row.table).set, guid::text(store.id(row)));
                        out.push_str("{\"@odata.id\":");
                        write_string(&address, out);
                        out.push('}');
                    }
                    Some(row) if target.is_none() => {
                        let about = store.about(row.table);
                        out.push_str("{\"@odata.type\":");
                        write_string(&format!("#Microsoft.Dynamics.CRM.{}", about.name), out);
                        out.push_str(&format!(",\"ownerid\":\"{}\"}}", guid::text(store.id(row))));
                    }
                    Some(row) => {
                        out.push('{');
                        let gathered = self.view.gather(store, &[row]);
                        self.view.write_members(store, row, &gathered, prefer, root, out);
                        out.push('}');
                    }
                }
            }
            Where::Many(collection) => {
                let mut rows = match (collection, children) {
                    (Collection::Children { .. }, Some(children)) => {
                        children.get(&store.id(at)).cloned().unwrap_or_default()
                    }
                    _ => evaluate::collection_rows(store, at, collection),
                };
                if let Some(filter) = &self.filter {
                    rows.retain(|row| evaluate::holds(store, *row, filter));
                }
                query::sort(store, &mut rows, &self.order);
                rows.truncate(self.top.unwrap_or(query::LARGEST_PAGE));
                out.push('[');
                self.view.write_rows(store, &rows, prefer, root, out);
                out.push(']');
                let address = format!(
                    "{root}{}({})/{}",
                    store.about(at.table).set,
                    guid::text(store.id(at)),
                    self.name
                );
                // The link leads to the whole collection, as recorded, even when nothing is missing.
                write_annotation(&self.name, "odata.nextLink", &address, out);
            }
        }
    }
}
