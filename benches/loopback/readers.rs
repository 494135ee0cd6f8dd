//! Readers written by hand with reqwest, each as plain as it can be, to compare with.

use std::io::{BufWriter, Write as _};

use reqwest::{Client, RequestBuilder, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Result, dropbox, dynamics, google_calendar, jira, pages};

/// A page of any service, told by the names that it uses.
#[derive(Deserialize)]
struct Page<'a, T> {
    #[serde(
        borrow,
        alias = "nextRecordsUrl",
        alias = "@odata.nextLink",
        alias = "nextPageToken",
        alias = "cursor"
    )]
    next: Option<&'a str>,
    /// Dropbox gives a cursor with the last page as well.
    has_more: Option<bool>,
    #[serde(alias = "value", alias = "issues", alias = "items", alias = "entries")]
    records: Vec<T>,
}

impl<T> Page<'_, T> {
    fn next(&self) -> Option<String> {
        self.next.filter(|_| self.has_more != Some(false)).map(str::to_owned)
    }
}

/// Asks for the page behind a link or token, or for the first one.
fn ask(client: &Client, service: &str, address: &str, next: Option<&str>) -> Result<RequestBuilder> {
    Ok(match service {
        "salesforce" => client.get(format!("{address}{}", next.unwrap_or(pages::FIRST))),
        "dynamics" => client.get(next.map_or_else(|| format!("{address}{}", dynamics::FIRST), str::to_owned)),
        "jira" => client
            .post(format!("{address}{}", jira::SEARCH))
            .header(header::CONTENT_TYPE, "application/json")
            .body(jira::wanted(next).to_string()),
        "google-calendar" => {
            let token = next.map(|token| format!("&pageToken={token}")).unwrap_or_default();
            client.get(format!("{address}{}?maxResults=2500{token}", google_calendar::EVENTS))
        }
        "dropbox" => {
            let (path, body) = dropbox::wanted(next);
            let call = client.post(format!("{address}{path}"));
            call.header(header::CONTENT_TYPE, "application/json").body(body.to_string())
        }
        _ => return Err(format!("there is no service {service:?}").into()),
    })
}

/// Reads all pages in one way and prints how many records (or bytes) there were to stderr.
pub(crate) async fn read(service: &str, way: &str, address: &str, gzip: bool) -> Result {
    let client = Client::builder().gzip(gzip).tcp_nodelay(true).no_proxy().build()?;
    let mut next: Option<String> = None;
    let mut count = 0;
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    loop {
        let response = ask(&client, service, address, next.as_deref())?.bearer_auth("token").send().await?;
        if way == "discard" {
            next = discard(response, &mut count).await?;
            if next.is_none() {
                break;
            }
            continue;
        }
        let body = response.bytes().await?;
        match way {
            "raw" | "raw-ndjson" => {
                let page: Page<'_, &RawValue> = split(&body)?;
                count += page.records.len();
                if way == "raw-ndjson" {
                    for record in &page.records {
                        out.write_all(record.get().as_bytes())?;
                        out.write_all(b"\n")?;
                    }
                }
                next = page.next();
            }
            "value" | "value-ndjson" => {
                let page: Page<'_, Value> = serde_json::from_slice(&body)?;
                count += page.records.len();
                if way == "value-ndjson" {
                    for record in &page.records {
                        record.serialize(&mut serde_json::Serializer::new(&mut out))?;
                        out.write_all(b"\n")?;
                    }
                }
                next = page.next();
            }
            _ => return Err(format!("there is no way {way:?}").into()),
        }
        if next.is_none() {
            break;
        }
    }
    out.flush()?;
    writeln!(std::io::stderr(), "{count}")?;
    Ok(())
}

fn split(body: &[u8]) -> Result<Page<'_, &RawValue>> {
    Ok(serde_json::from_slice(body)?)
}

/// What stands before the link or token of the next page.
const NEXT: [&str; 4] =
    ["\"nextRecordsUrl\":\"", "\"@odata.nextLink\":\"", "\"nextPageToken\":\"", "\"cursor\":\""];

/// Counts the bytes. The link to the next page is at the front, or at the end.
async fn discard(mut response: reqwest::Response, count: &mut usize) -> Result<Option<String>> {
    let (mut front, mut end) = (Vec::new(), Vec::new());
    while let Some(chunk) = response.chunk().await? {
        *count += chunk.len();
        if front.len() < 300 {
            front.extend_from_slice(&chunk[..chunk.len().min(300)]);
        }
        end.extend_from_slice(&chunk[chunk.len().saturating_sub(300)..]);
        end.drain(..end.len().saturating_sub(300));
    }
    front.extend_from_slice(&end);
    let text = String::from_utf8_lossy(&front);
    if text.contains("\"has_more\":false") {
        return Ok(None);
    }
    let next = NEXT.iter().find_map(|name| {
        let (_, rest) = text.split_once(name)?;
        rest.split_once('"')
    });
    Ok(next.map(|(link, _)| link.to_owned()))
}
