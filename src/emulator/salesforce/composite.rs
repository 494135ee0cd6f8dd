//! Several requests in one: `/composite` with references between them, `/composite/graph`, `/composite/batch`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::cell::write_string;
use super::errors::{self, Refusal};
use super::{Call, Org, route, text_reply};
use crate::emulator::json::Json;
use crate::emulator::service::{Reply, Request};

const MOST_SUBREQUESTS: usize = 25;
/// Of them, queries and collections.
const MOST_HEAVY: usize = 5;
/// Graphs in one request, and subrequests in all of them.
const MOST_GRAPHS: usize = 75;
const MOST_NODES: usize = 500;
const HALTED: &str =
    "The transaction was rolled back since another operation in the same transaction failed.";

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
    let requests = listed(&body)?;
    if requests.len() > MOST_SUBREQUESTS {
        return Err(Refusal::new(
            "INVALID_INPUT",
            format!("The number of subrequests exceeds the limit of {MOST_SUBREQUESTS}"),
        ));
    }
    if requests.iter().filter(|request| is_heavy(request)).count() > MOST_HEAVY {
        return Err(Refusal::new(
            "INVALID_INPUT",
            format!("The number of query and collection subrequests exceeds the limit of {MOST_HEAVY}"),
        ));
    }
    check_references(requests)?;
    // The order in which subrequests of one kind are worked off (`collateSubrequests`) cannot be seen from outside.
    let all_or_none = body.get("allOrNone").is_some_and(Json::is_true);
    let done = perform(org, call, requests, all_or_none);
    let mut reply = text_reply(StatusCode::OK, written(&done.answers));
    reply.committed = done.committed;
    Ok(reply)
}

/// `POST /composite/graph`: several composites, each of which is done whole or not at all.
pub(super) fn graph(org: &mut Org, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let graphs = body.get("graphs").and_then(Json::as_list).unwrap_or_default();
    if graphs.is_empty() || graphs.len() > MOST_GRAPHS {
        return Err(Refusal::new("INVALID_INPUT", format!("graphs must name 1 to {MOST_GRAPHS} graphs")));
    }
    let mut nodes = 0;
    let mut seen: Vec<&str> = Vec::new();
    for graph in graphs {
        let id = graph.get("graphId").and_then(Json::as_text).unwrap_or_default();
        if id.is_empty() || seen.contains(&id) {
            return Err(Refusal::new("INVALID_INPUT", format!("Duplicate or empty graphId: '{id}'")));
        }
        seen.push(id);
        let requests = listed(graph)?;
        check_references(requests)?;
        nodes += requests.len();
    }
    if nodes > MOST_NODES {
        return Err(Refusal::new("INVALID_INPUT", format!("The graphs have more than {MOST_NODES} nodes")));
    }
    let mut committed = false;
    let mut out = String::from("{\"graphs\":[");
    for (graph, id) in graphs.iter().zip(seen) {
        let done = perform(org, call, listed(graph)?, true);
        committed |= done.committed;
        if !out.ends_with('[') {
            out.push(',');
        }
        out.push_str("{\"graphId\":");
        write_string(id, &mut out);
        out.push_str(",\"graphResponse\":");
        out.push_str(&written(&done.answers));
        out.push_str(if done.failed { ",\"isSuccessful\":false}" } else { ",\"isSuccessful\":true}" });
    }
    out.push_str("]}");
    let mut reply = text_reply(StatusCode::OK, out);
    reply.committed = committed;
    Ok(reply)
}

fn listed(body: &Json) -> Result<&[Json], Refusal> {
    match body.get("compositeRequest") {
        Some(Json::List(requests)) if !requests.is_empty() => Ok(requests),
        _ => Err(Refusal::new("INVALID_INPUT", "compositeRequest must name at least one subrequest")),
    }
}

/// Whether a subrequest is a query or a collection, of which only a few may stand in one request.
fn is_heavy(request: &Json) -> bool {
    let url = request.get("url").and_then(Json::as_text).unwrap_or_default();
    let path = url.split('?').next().unwrap_or_default();
    let mut segments = path.strip_prefix("/services/data/").unwrap_or_default().split('/').skip(1);
    match segments.next() {
        Some("query" | "queryAll") => true,
        Some("composite") => segments.next() == Some("sobjects"),
        _ => false,
    }
}

fn check_references(requests: &[Json]) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for request in requests {
        let reference = request.get("referenceId").and_then(Json::as_text);
        let reference =
            reference.ok_or_else(|| Refusal::new("INVALID_INPUT", "Each subrequest needs a referenceId"))?;
        let starts_well = reference.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if !starts_well
            || reference.contains(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        {
            return Err(Refusal::new(
                "INVALID_INPUT",
                format!(
                    "Provided referenceId ('{reference}') must start with a letter or a number, and it can contain only \
                     letters, numbers and underscores ('_')."
                ),
            ));
        }
        if seen.contains(&reference) {
            return Err(Refusal::new("INVALID_INPUT", format!("Duplicate referenceId: '{reference}'")));
        }
        seen.push(reference);
    }
    Ok(())
}

/// What became of the subrequests of one composite.
struct Done {
    answers: Vec<Answer>,
    failed: bool,
    committed: bool,
}

/// Works subrequests off in order. With `all_or_none` the first that fails ends it: what was done before is undone,
/// what comes after is not tried.
fn perform(org: &mut Org, call: &Call<'_>, requests: &[Json], all_or_none: bool) -> Done {
    let before = all_or_none.then(|| org.store.checkpoint());
    let mut done = Done { answers: Vec::new(), failed: false, committed: false };
    for request in requests {
        let reference = request.get("referenceId").and_then(Json::as_text).unwrap_or_default().to_owned();
        if all_or_none && done.failed {
            done.answers.push(Answer::halted(reference, HALTED));
            continue;
        }
        let answer = match subrequest(call, request, &done.answers) {
            Err(missing) => {
                let of = missing.split(['.', '[']).next().unwrap_or_default();
                let told = format!("Invalid reference specified. No value for {missing} found in {of}");
                Answer::halted(reference, &told)
            }
            Ok(sub) => {
                let reply = run(org, &sub);
                done.committed |= reply.committed;
                Answer::of(reference, &reply)
            }
        };
        done.failed |= !(answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED);
        done.answers.push(answer);
    }
    if let Some(before) = before
        && done.failed
    {
        org.store.go_back(before);
        done.committed = false;
        for answer in done.answers.iter_mut().filter(|answer| answer.status.is_success()) {
            let reference = std::mem::take(&mut answer.reference);
            *answer = Answer::halted(reference, HALTED);
        }
    }
    done
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
