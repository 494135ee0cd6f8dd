//! What a statement gives for each row: values, parents, children.

use std::sync::Arc;

use super::conditions::{self, Context, Test};
use super::describe::{Derived, Kind};
use super::errors::Refusal;
use super::found::{SortKey, sort_keys};
use super::paths::{self, Hop, Leaf, Route};
use super::rows::Store;
use super::statement::{Item, Name, Operand, Path, Query, Select, Source};

/// Texts that may be longer than this make pages smaller.
const LONG_TEXT: usize = 4000;
const MOST_CHILDREN: usize = 20;

/// What a statement gives for each row.
#[derive(Debug, Clone)]
pub(super) enum Column {
    Value {
        name: String,
        route: Route,
        kind: Kind,
    },
    Compound {
        name: String,
        parts: Vec<(&'static str, usize)>,
    },
    Parent {
        hop: Hop,
        columns: Vec<Column>,
    },
    Children {
        name: String,
        table: usize,
        field: usize,
        plan: Box<ChildPlan>,
    },
    /// TYPEOF: the columns depend on the type that the reference points to.
    ByType {
        hop: Hop,
        cases: Vec<(usize, Vec<Column>)>,
        otherwise: Vec<Column>,
    },
}

/// A subquery over child rows.
#[derive(Debug, Clone)]
pub(super) struct ChildPlan {
    pub(super) columns: Arc<Vec<Column>>,
    pub(super) test: Option<Arc<Test>>,
    pub(super) order: Vec<SortKey>,
    pub(super) limit: Option<u64>,
    pub(super) offset: u64,
}

pub(super) fn columns(
    cx: Context<'_>,
    table: usize,
    query: &Query,
    items: &[Item],
) -> Result<Vec<Column>, Refusal> {
    let mut out: Vec<Column> = Vec::new();
    let mut children = 0;
    let object = cx.store.object(table);
    for item in items {
        match item {
            Item::Selected { operand: Operand::Path(path), alias: None } => {
                let route = paths::route(cx.store, cx.source, table, query.alias.as_deref(), path)?;
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
                for (number, _) in
                    object.fields.iter().enumerate().filter(|(_, field)| !field.hidden && kinds(field.custom))
                {
                    add(cx.store, table, &mut out, &[], &Leaf::Field(number));
                }
            }
            Item::Selected { alias: Some(alias), .. } => {
                return Err(cx.source.refuse(
                    "MALFORMED_QUERY",
                    alias.at,
                    "only aggregate expressions use field aliasing",
                ));
            }
            Item::Selected { operand, alias: None } => {
                return Err(cx.source.refuse(
                    "MALFORMED_QUERY",
                    operand.at(),
                    "Functions over rows need a query of their own: aggregates are not for subqueries",
                ));
            }
            Item::Child(child) => {
                children += 1;
                if children > MOST_CHILDREN {
                    return Err(cx.source.refuse(
                        "MALFORMED_QUERY",
                        child.object.at,
                        &format!("A query has at most {MOST_CHILDREN} subqueries"),
                    ));
                }
                out.push(child_column(cx, table, child)?);
            }
            Item::TypeOf { relation, cases, otherwise } => {
                out.push(type_of(cx, table, query, relation, cases, otherwise)?);
            }
        }
    }
    Ok(out)
}

/// `TYPEOF What WHEN Account THEN Phone ELSE Name END`.
fn type_of(
    cx: Context<'_>,
    table: usize,
    query: &Query,
    relation: &Path,
    cases: &[(Name, Vec<Path>)],
    otherwise: &[Path],
) -> Result<Column, Refusal> {
    // The way to any field of the reference tells its hop.
    let mut probe = relation.clone();
    probe.parts.push("Id".to_owned());
    let route = paths::route(cx.store, cx.source, table, query.alias.as_deref(), &probe)?;
    let [hop] = route.hops.as_slice() else {
        return Err(cx.source.refuse("MALFORMED_QUERY", relation.at, "TYPEOF takes one relationship"));
    };
    if hop.table.is_some() {
        return Err(cx.source.refuse(
            "INVALID_FIELD",
            relation.at,
            &format!("TYPEOF is for references to several types, which {} is not", relation.parts.join(".")),
        ));
    }
    let mut out = Vec::new();
    for (kind, fields) in cases {
        let target = cx
            .store
            .find_table(&kind.text)
            .filter(|target| cx.store.targets(table, hop.field).contains(target))
            .ok_or_else(|| {
                cx.source.refuse(
                    "INVALID_TYPE",
                    kind.at,
                    &format!("sObject type '{}' is not one that {} refers to", kind.text, hop.name),
                )
            })?;
        let mut columns = Vec::new();
        for path in fields {
            let route = paths::route(cx.store, cx.source, target, None, path)?;
            add(cx.store, target, &mut columns, &route.hops, &route.leaf);
        }
        out.push((target, columns));
    }
    let mut columns = Vec::new();
    for path in otherwise {
        let mut whole = relation.clone();
        whole.at = path.at;
        whole.parts.extend(path.parts.iter().cloned());
        let route = paths::route(cx.store, cx.source, table, query.alias.as_deref(), &whole)?;
        add(cx.store, table, &mut columns, &[], &route.leaf);
    }
    Ok(Column::ByType { hop: hop.clone(), cases: out, otherwise: columns })
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
        Select::Items(items)
            if !items.iter().any(|item| matches!(item, Item::Child(_)))
                && child.group.is_empty()
                && child.having.is_none()
                && child.scope.is_none() =>
        {
            columns(cx, child_table, child, items)?
        }
        _ => {
            return Err(cx.source.refuse(
                "MALFORMED_QUERY",
                child.object.at,
                "A subquery selects fields of children one level down: no further subquery, group or scope",
            ));
        }
    };
    let test = child
        .filter
        .as_ref()
        .map(|expr| conditions::check(cx, child_table, child.alias.as_deref(), expr).map(Arc::new))
        .transpose()?;
    let order = sort_keys(cx, child_table, child)?;
    let plan =
        ChildPlan { columns: Arc::new(columns), test, order, limit: child.limit, offset: child.offset };
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
                    let shown =
                        |field: usize| store.object(table).fields.get(field).is_some_and(|part| !part.hidden);
                    let parts = parts.iter().filter(|(_, field)| shown(*field)).copied().collect();
                    Column::Compound { name: about.name.clone(), parts }
                }
                _ => Column::Value {
                    name: about.name.clone(),
                    route: Route { hops: Vec::new(), leaf: leaf.clone(), part: None },
                    kind: about.kind,
                },
            }
        }
        Leaf::Named(name) => Column::Value {
            name: name.clone(),
            route: Route { hops: Vec::new(), leaf: leaf.clone(), part: None },
            kind: Kind::Text,
        },
        Leaf::Slot(_) => return true,
        Leaf::TypeName => Column::Value {
            name: "Type".to_owned(),
            route: Route { hops: Vec::new(), leaf: leaf.clone(), part: None },
            kind: Kind::Text,
        },
    };
    let name_of = |column: &Column| match column {
        Column::Value { name, .. } | Column::Compound { name, .. } | Column::Children { name, .. } => {
            name.clone()
        }
        Column::Parent { hop, .. } | Column::ByType { hop, .. } => hop.name.clone(),
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
        let route = paths::route(store, Source(text), table, None, &path).map_err(|_| {
            Refusal::new(
                "INVALID_FIELD",
                format!("No such column '{text}' on sobject of type {}", store.object(table).name),
            )
        })?;
        add(store, table, &mut out, &route.hops, &route.leaf);
    }
    Ok(out)
}

pub(super) fn has_long_text(store: &Store, table: usize, columns: &[Column]) -> bool {
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
