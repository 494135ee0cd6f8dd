//! Readers written by hand with reqwest, each as plain as it can be, to compare with.

use std::io::{BufWriter, Write as _};

use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Result;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a, T> {
    #[serde(borrow, alias = "@odata.nextLink")]
    next_records_url: Option<&'a str>,
    #[serde(alias = "value")]
    records: Vec<T>,
}

/// Reads all pages in one way and prints how many records (or bytes) there were to stderr.
pub(crate) async fn read(way: &str, address: &str, first: &str, gzip: bool) -> Result {
    let client = Client::builder().gzip(gzip).tcp_nodelay(true).no_proxy().build()?;
    let mut next = Some(first.to_owned());
    let mut count = 0;
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    while let Some(link) = next {
        let link = if link.starts_with('/') { format!("{address}{link}") } else { link };
        let response = client.get(link).bearer_auth("token").send().await?;
        if way == "discard" {
            next = discard(response, &mut count).await?;
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
                next = page.next_records_url.map(str::to_owned);
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
                next = page.next_records_url.map(str::to_owned);
            }
            _ => return Err(format!("there is no way {way:?}").into()),
        }
    }
    out.flush()?;
    writeln!(std::io::stderr(), "{count}")?;
    Ok(())
}

fn split(body: &[u8]) -> Result<Page<'_, &RawValue>> {
    Ok(serde_json::from_slice(body)?)
}

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
    let next = ["\"nextRecordsUrl\":\"", "\"@odata.nextLink\":\""].iter().find_map(|name| {
        let (_, rest) = text.split_once(name)?;
        rest.split_once('"')
    });
    Ok(next.map(|(link, _)| link.to_owned()))
}
