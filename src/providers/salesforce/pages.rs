//! One answer of a query, whichever way the statement travelled: in the address, or in the body of a Composite
//! request where the address would be too long.

use http::StatusCode;

use super::api;
use super::dialect::SalesforceDialect;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::dialect::Dialect as _;
use crate::http::{Call, Reply};
use crate::provider::Context;
use crate::record::transcode::{self, Shape};
use crate::record::{Record, RowError};

/// One page of a query's result.
pub(super) struct Answer {
    pub(super) records: Vec<Result<Record, RowError>>,
    pub(super) next: Option<String>,
    pub(super) total: Option<u64>,
}

/// Sends a query and reads its rows. An answer that cannot be read is asked for once more.
///
/// # Errors
/// What the layers and Salesforce say; Protocol for an answer that is no page.
pub(super) async fn ask(cx: &Context, call: Call, shape: &Shape) -> Result<Answer> {
    match read(&fetch(cx, call.clone()).await?, shape) {
        Err(error) if error.kind() == ErrorKind::Protocol => read(&fetch(cx, call).await?, shape),
        read => read,
    }
}

/// Sends a query and gives its answer. When the address with all headers is longer than Salesforce takes after
/// all, the statement is sent in a body.
///
/// # Errors
/// What the layers and Salesforce say.
pub(super) async fn fetch(cx: &Context, call: Call) -> Result<Reply> {
    if api::is_in_body(&call) {
        return fetch_in_body(cx, call).await;
    }
    match cx.send(call.clone()).await {
        Err(error) if matches!(error.status(), Some(414 | 431)) => match api::in_body(&call) {
            Some(wide) => fetch_in_body(cx, wide).await,
            None => Err(error),
        },
        reply => reply,
    }
}

/// The layers below see that the Composite request went well; what its one subrequest says is read here, and
/// asked for once more where that can help.
async fn fetch_in_body(cx: &Context, call: Call) -> Result<Reply> {
    let inner = |reply: &Reply| {
        subreply(&call, reply)
            .map_err(|error| error.with_operation(call.operation).with_connection(cx.connection.as_str()))
    };
    match inner(&cx.send(call.clone()).await?) {
        Err(error) if error.retry() != Retry::Never => inner(&cx.send(call.clone()).await?),
        reply => reply,
    }
}

fn subreply(call: &Call, reply: &Reply) -> Result<Reply> {
    let wrong = || {
        Error::protocol("Salesforce's answer to a Composite request has no answer to its query")
            .with_provider("salesforce")
            .with_code("not_json")
            .with_retry(Retry::IfIdempotent)
    };
    let outer = transcode::cut_page(&reply.body, "compositeResponse")
        .map_err(|error| error.with_provider("salesforce"))?;
    let [only] = outer.rows.as_slice() else { return Err(wrong()) };
    let inner = transcode::cut_page(only, "").map_err(|error| error.with_provider("salesforce"))?;
    let status = inner.member::<u16>("httpStatusCode")?.and_then(|status| StatusCode::from_u16(status).ok());
    let (Some(status), Some(body)) = (status, inner.raw("body")) else { return Err(wrong()) };
    let reply =
        Reply { status, headers: reply.headers.clone(), body: reply.body.slice_ref(body), stream: None };
    if status.is_success() { Ok(reply) } else { Err(SalesforceDialect.error(call, &reply)) }
}

/// Reads the rows of an answer.
///
/// # Errors
/// Protocol for an answer that is no page.
pub(super) fn read(reply: &Reply, shape: &Shape) -> Result<Answer> {
    let wrong = |what: &str| {
        Error::protocol(format!("Salesforce's answer to a query {what}"))
            .with_provider("salesforce")
            .with_code("not_json")
    };
    let page = transcode::read_page(&reply.body, "records", shape)
        .map_err(|error| error.with_provider("salesforce"))?;
    let done: Option<bool> = page.member("done")?;
    let next: Option<String> = page.member("nextRecordsUrl")?;
    if !page.has_rows {
        return Err(wrong("has no records"));
    }
    let next = match (done, next) {
        (Some(true), _) | (None, None) => None,
        (_, Some(link)) => Some(link),
        (Some(false), None) => return Err(wrong("is not the last page and does not tell the next")),
    };
    if done.is_none() && next.is_none() {
        return Err(wrong("does not say whether it is the last page"));
    }
    let total = page.member("totalSize")?;
    Ok(Answer { records: page.records, next, total })
}
