//! Several requests in one: `/composite` with references between them, `/composite/batch`, `/composite/tree`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::cell::write_string;
use super::errors::{self, Refusal};
use super::json::Json;
use super::write::Work;
use super::{Call, Org, route, text_reply};
use crate::emulator::service::{Reply, Request};

const MOST_SUBREQUESTS: usize = 25;
/// Of them, queries and collections.
const MOST_HEAVY: usize = 5;
const MOST_TREE_ROWS: usize = 200;
const DEEPEST_TREE: usize = 5;
const MOST_TREE_TYPES: usize = 5;

struct Answer {
    reference: String,
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Option<Json>,
}

impl Answer {
    fn of(reference: String, reply: &Reply) -> Self {
        let shown = [(LOCATION, "Location"), (ETAG, "ETag"), (LAST_MODIFIED, "Last-Modified")];
        let headers = shown
            .into_iter()
            .filter_map(|(header, name)| Some((name, reply.headers.get(header)?.to_str().ok()?.to_owned())))
            .collect();
        let body = if reply.body.is_empty() { None } else { Json::read(&reply.body).ok() };
        Self { reference, status: reply.status, headers, body }
    }

    fn halted(reference: String, message: &str) -> Self {
        let refusal = Refusal::new("PROCESSING_HALTED", message);
        let body = Json::read(errors::body(&[refusal]).as_bytes()).ok();
        Self { reference, status: StatusCode::BAD_REQUEST, headers: Vec::new(), body }
    }
}

/// `POST /composite`.
pub(super) fn composite(org: &mut Org, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let requests = match body.get("compositeRequest") {
        Some(Json::List(requests)) if !requests.is_empty() => requests,
        _ => return Err(Refusal::new("INVALID_INPUT", "compositeRequest must name at least one subrequest")),
    };
    if requests.len() > MOST_SUBREQUESTS {
        return Err(Refusal::new(
            "INVALID_INPUT",
            format!("The number of subrequests exceeds the limit of {MOST_SUBREQUESTS}"),
        ));
    }
    let heavy = |request: &&Json| {
        let url = request.get("url").and_then(Json::as_text).unwrap_or_default();
        url.contains("/query") || url.contains("/composite/sobjects")
    };
    if requests.iter().filter(heavy).count() > MOST_HEAVY {
        return Err(Refusal::new(
            "INVALID_INPUT",
            format!("The number of query and collection subrequests exceeds the limit of {MOST_HEAVY}"),
        ));
    }
    let mut seen: Vec<&str> = Vec::new();
    for request in requests {
        match request.get("referenceId").and_then(Json::as_text) {
            Some(reference) if !reference.is_empty() && !seen.contains(&reference) => seen.push(reference),
            Some(reference) => {
                return Err(Refusal::new(
                    "INVALID_INPUT",
                    format!("Duplicate or empty referenceId: '{reference}'"),
                ));
            }
            None => return Err(Refusal::new("INVALID_INPUT", "Each subrequest needs a referenceId")),
        }
    }
    let all_or_none = body.get("allOrNone").is_some_and(Json::is_true);
    let before = all_or_none.then(|| org.store.checkpoint());
    let mut answers: Vec<Answer> = Vec::new();
    let mut committed = false;
    for request in requests {
        let reference = request.get("referenceId").and_then(Json::as_text).unwrap_or_default().to_owned();
        let answer = match subrequest(call, request, &answers) {
            Err(missing) => Answer::halted(
                reference,
                &format!("Invalid reference specified. No value for {missing} found"),
            ),
            Ok(sub) => {
                let reply = run(org, &sub);
                committed |= reply.committed;
                Answer::of(reference, &reply)
            }
        };
        answers.push(answer);
    }
    let failed = |answer: &Answer| !(answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED);
    if let Some(before) = before
        && answers.iter().any(failed)
    {
        org.store.go_back(before);
        committed = false;
        for answer in &mut answers {
            if !failed(answer) {
                let reference = std::mem::take(&mut answer.reference);
                *answer = Answer::halted(
                    reference,
                    "The transaction was rolled back since another operation in the same transaction failed.",
                );
            }
        }
    }
    let mut reply = text_reply(StatusCode::OK, written(&answers));
    reply.committed = committed;
    Ok(reply)
}

fn written(answers: &[Answer]) -> String {
    let mut out = String::from("{\"compositeResponse\":[");
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str("{\"body\":");
        answer.body.as_ref().unwrap_or(&Json::Null).write(&mut out);
        out.push_str(",\"httpHeaders\":{");
        for (place, (name, value)) in answer.headers.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write_string(name, &mut out);
            out.push(':');
            write_string(value, &mut out);
        }
        out.push_str("},\"httpStatusCode\":");
        out.push_str(answer.status.as_str());
        out.push_str(",\"referenceId\":");
        write_string(&answer.reference, &mut out);
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// The request that a subrequest stands for, references filled in.
///
/// # Errors
/// The reference that has no value.
fn subrequest(call: &Call<'_>, sub: &Json, answers: &[Answer]) -> Result<Request, String> {
    let url = filled(sub.get("url").and_then(Json::as_text).unwrap_or_default(), answers)?;
    let body = sub.get("body").map(|body| filled_body(body, answers)).transpose()?;
    let method = sub.get("method").and_then(Json::as_text).unwrap_or("GET");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(Json::Object(extra)) = sub.get("httpHeaders") {
        for (name, value) in extra {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value.shown()))
            {
                headers.insert(name, value);
            }
        }
    }
    Ok(request(call, method, &url, headers, body.as_ref()))
}

fn request(call: &Call<'_>, method: &str, url: &str, headers: HeaderMap, body: Option<&Json>) -> Request {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut text = String::new();
    if let Some(body) = body {
        body.write(&mut text);
    }
    Request {
        method: Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap_or(Method::GET),
        path: path.to_owned(),
        // A subrequest's address need not be encoded.
        query: query.replace(' ', "+"),
        headers,
        body: Bytes::from(text),
        origin: call.request.origin.clone(),
        now: call.request.now,
    }
}

fn run(org: &mut Org, request: &Request) -> Reply {
    let nested = Call::read(request).is_some_and(|call| {
        matches!(call.segments.as_slice(), ["composite"] | ["composite", "batch" | "tree" | "graph", ..])
    });
    let done = if nested { Err(Refusal::not_found()) } else { route(org, request) };
    done.unwrap_or_else(|refusal| super::refused(&refusal))
}

/// Replaces each `@{reference.path}`.
fn filled(text: &str, answers: &[Answer]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("@{") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        out.push_str(&rest[..start]);
        out.push_str(&looked_up(name, answers).ok_or_else(|| name.to_owned())?.shown());
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn filled_body(body: &Json, answers: &[Answer]) -> Result<Json, String> {
    Ok(match body {
        Json::Text(text) => Json::Text(filled(text, answers)?),
        Json::List(list) => {
            Json::List(list.iter().map(|value| filled_body(value, answers)).collect::<Result<_, _>>()?)
        }
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| Ok((name.clone(), filled_body(value, answers)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

/// `refAccount.id`, `refQuery.records[0].Name`.
fn looked_up(path: &str, answers: &[Answer]) -> Option<Json> {
    let (reference, path) = path.split_once(['.', '[']).unwrap_or((path, ""));
    let answer = answers.iter().find(|answer| answer.reference == reference && answer.status.is_success())?;
    let mut at = answer.body.as_ref()?;
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
    {
        at = match at {
            Json::List(list) => list.get(step.parse::<usize>().ok()?)?,
            object => object.get(step)?,
        };
    }
    Some(at.clone())
}

/// `POST /composite/batch`: independent requests, addresses relative to `/services/data`.
pub(super) fn batch(org: &mut Org, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let requests = body.get("batchRequests").and_then(Json::as_list).unwrap_or_default();
    if requests.is_empty() || requests.len() > MOST_SUBREQUESTS {
        return Err(Refusal::new(
            "INVALID_INPUT",
            format!("batchRequests must name 1 to {MOST_SUBREQUESTS} subrequests"),
        ));
    }
    let halt = body.get("haltOnError").is_some_and(Json::is_true);
    let (mut failed, mut committed) = (false, false);
    let mut rows = String::new();
    for (number, sub) in requests.iter().enumerate() {
        let reply = if failed && halt {
            super::refused(
                &Refusal::new("BATCH_PROCESSING_HALTED", "Batch processing halted per request")
                    .with_status(StatusCode::PRECONDITION_FAILED),
            )
        } else {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let url =
                sub.get("url").and_then(Json::as_text).unwrap_or_default().trim_start_matches('/').to_owned();
            let url = url.strip_prefix("services/data/").unwrap_or(&url);
            let method = sub.get("method").and_then(Json::as_text).unwrap_or("GET");
            let one = request(call, method, &format!("/services/data/{url}"), headers, sub.get("richInput"));
            run(org, &one)
        };
        failed |= !reply.status.is_success();
        committed |= reply.committed;
        if number > 0 {
            rows.push(',');
        }
        rows.push_str("{\"statusCode\":");
        rows.push_str(reply.status.as_str());
        rows.push_str(",\"result\":");
        rows.push_str(if reply.body.is_empty() {
            "null"
        } else {
            std::str::from_utf8(&reply.body).unwrap_or("null")
        });
        rows.push('}');
    }
    let mut reply = text_reply(StatusCode::OK, format!("{{\"hasErrors\":{failed},\"results\":[{rows}]}}"));
    reply.committed = committed;
    Ok(reply)
}

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
    let mut work = Work::new(&mut org.store, call.request.now);
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
