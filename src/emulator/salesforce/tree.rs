//! `/composite/tree/X`: parents and children in one transaction.

use http::StatusCode;

use super::cell::write_string;
use super::errors::Refusal;
use super::write::Work;
use super::{Call, Org, text_reply};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

const MOST_TREE_ROWS: usize = 200;
const DEEPEST_TREE: usize = 5;
const MOST_TREE_TYPES: usize = 5;

/// One row of a tree, with the place of its parent among the rows.
struct Branch {
    reference: String,
    table: usize,
    fields: Vec<(String, Json)>,
    parent: Option<(usize, String)>,
}

/// `POST /composite/tree/X`: parents and children in one transaction.
pub(super) fn tree(org: &mut Org, call: &Call<'_>, table: usize) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let rows = body.get("records").and_then(Json::as_list).unwrap_or_default();
    let mut branches: Vec<Branch> = Vec::new();
    let mut types: Vec<usize> = Vec::new();
    gather(org, rows, table, None, 1, &mut branches, &mut types)?;
    if branches.is_empty() || branches.len() > MOST_TREE_ROWS || types.len() > MOST_TREE_TYPES {
        return Err(Refusal::new(
            "INVALID_INPUT",
            format!("A tree holds 1 to {MOST_TREE_ROWS} records of at most {MOST_TREE_TYPES} types"),
        ));
    }
    let mut made: Vec<String> = Vec::new();
    let mut failures: Vec<(String, Vec<Refusal>)> = Vec::new();
    let mut work = Work::of(&mut org.store, call);
    for branch in &branches {
        let mut fields = branch.fields.clone();
        if let Some((parent, field)) = &branch.parent {
            match made.get(*parent).filter(|id| !id.is_empty()) {
                Some(id) => fields.push((field.clone(), Json::Text(id.clone()))),
                None => {
                    made.push(String::new());
                    continue;
                }
            }
        }
        match work.create(branch.table, &Json::Object(fields), None) {
            Ok(at) => made.push(work.store.id(at)),
            Err(refusals) => {
                failures.push((branch.reference.clone(), refusals));
                made.push(String::new());
            }
        }
    }
    let mut out = String::new();
    if failures.is_empty() {
        out.push_str("{\"hasErrors\":false,\"results\":[");
        for (number, (branch, id)) in branches.iter().zip(&made).enumerate() {
            out.push_str(if number > 0 { ",{\"referenceId\":" } else { "{\"referenceId\":" });
            write_string(&branch.reference, &mut out);
            out.push_str(",\"id\":");
            write_string(id, &mut out);
            out.push('}');
        }
        out.push_str("]}");
        return Ok(text_reply(StatusCode::CREATED, out).committed());
    }
    work.roll_back();
    out.push_str("{\"hasErrors\":true,\"results\":[");
    for (number, (reference, refusals)) in failures.iter().enumerate() {
        out.push_str(if number > 0 { ",{\"referenceId\":" } else { "{\"referenceId\":" });
        write_string(reference, &mut out);
        out.push_str(",\"errors\":[");
        for (place, refusal) in refusals.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            refusal.write_row_error(&mut out);
        }
        out.push_str("]}");
    }
    out.push_str("]}");
    Ok(text_reply(StatusCode::BAD_REQUEST, out))
}

fn gather(
    org: &Org,
    rows: &[Json],
    table: usize,
    parent: Option<(usize, String)>,
    depth: usize,
    branches: &mut Vec<Branch>,
    types: &mut Vec<usize>,
) -> Result<(), Refusal> {
    if depth > DEEPEST_TREE {
        return Err(Refusal::new("INVALID_INPUT", format!("A tree is at most {DEEPEST_TREE} levels deep")));
    }
    if !types.contains(&table) {
        types.push(table);
    }
    let object = org.store.object(table);
    for row in rows {
        let Json::Object(members) = row else {
            return Err(super::validate::wrong_type("object", row));
        };
        let reference = row
            .get("attributes")
            .and_then(|attributes| attributes.get("referenceId"))
            .and_then(Json::as_text);
        let Some(reference) = reference else {
            return Err(Refusal::new(
                "INVALID_INPUT",
                "Include a reference ID for each record in the request.",
            ));
        };
        let children = |name: &str| {
            object
                .children
                .iter()
                .find(|child| child.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
        };
        let (nested, plain): (Vec<_>, Vec<_>) = members
            .iter()
            .cloned()
            .partition(|(name, value)| value.get("records").is_some() && children(name).is_some());
        let place = branches.len();
        branches.push(Branch {
            reference: reference.to_owned(),
            table,
            fields: plain,
            parent: parent.clone(),
        });
        for (name, value) in nested {
            let Some(relation) = children(&name) else { continue };
            let Some(child) = org.store.find_table(&relation.object) else { continue };
            let rows = value.get("records").and_then(Json::as_list).unwrap_or_default();
            gather(org, rows, child, Some((place, relation.field.clone())), depth + 1, branches, types)?;
        }
    }
    Ok(())
}
