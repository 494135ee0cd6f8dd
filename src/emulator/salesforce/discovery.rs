//! What the service tells about itself: versions, resources, describes, limits.

use http::StatusCode;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use serde_json::{Value, json};

use super::catalogue::{self, VERSION_MARK};
use super::describe::Object;
use super::rows::Store;
use super::{Call, seed, text_reply};
use crate::emulator::service::Reply;

const OLDEST_LISTED: u32 = 48;
const NEWEST: u32 = 62;
/// Older versions still answer, unlisted.
const OLDEST: u32 = 31;
const SEASONS: [&str; 3] = ["Spring", "Summer", "Winter"];
/// When the metadata of the emulated org last changed.
const METADATA_CHANGED: &str = "Wed, 01 Jan 2025 00:00:00 GMT";
const METADATA_CHANGED_SECONDS: i64 = 1_735_689_600;

pub(super) fn versions() -> String {
    let list: Vec<Value> = (OLDEST_LISTED..=NEWEST)
        .map(|version| {
            // v48 was Spring '20; three releases a year, and Winter counts to the next year.
            let step = version - OLDEST_LISTED;
            let year = 20 + (step + u32::from(step % 3 == 2)) / 3;
            let season = SEASONS[(step % 3) as usize];
            json!({
                "label": format!("{season} '{year}"), "url": format!("/services/data/v{version}.0"), "version": format!("{version}.0"),
            })
        })
        .collect();
    Value::Array(list).to_string()
}

pub(super) fn is_version(text: &str) -> bool {
    let number =
        text.strip_prefix('v').and_then(|text| text.strip_suffix(".0")).and_then(|text| text.parse().ok());
    number.is_some_and(|number: u32| (OLDEST..=NEWEST).contains(&number))
}

pub(super) fn resources(version: &str) -> String {
    let names = ["composite", "limits", "query", "queryAll", "sobjects"];
    let mut out = serde_json::Map::new();
    for name in names {
        out.insert(name.to_owned(), json!(format!("/services/data/{version}/{name}")));
    }
    Value::Object(out).to_string()
}

fn versioned(text: &str, version: &str) -> String {
    text.replace(VERSION_MARK, version)
}

pub(super) fn global(store: &Store, version: &str) -> String {
    let mut entries: Vec<Value> =
        store.tables().iter().map(|table| global_entry(&table.object, version)).collect();
    entries.sort_by_key(|entry| entry["name"].as_str().unwrap_or_default().to_owned());
    json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": entries}).to_string()
}

fn global_entry(object: &Object, version: &str) -> Value {
    let mut entry = catalogue::global_entry(&object.describe);
    let base = format!("/services/data/{version}/sobjects/{}", object.name);
    entry["urls"] = json!({
        "compactLayouts": format!("{base}/describe/compactLayouts"), "rowTemplate": format!("{base}/{{ID}}"),
        "approvalLayouts": format!("{base}/describe/approvalLayouts"), "describe": format!("{base}/describe"),
        "listviews": format!("{base}/listviews"), "quickActions": format!("{base}/quickActions"),
        "layouts": format!("{base}/describe/layouts"), "sobject": base,
    });
    entry
}

pub(super) fn basic(object: &Object, version: &str) -> String {
    json!({"objectDescribe": global_entry(object, version), "recentItems": []}).to_string()
}

pub(super) fn describe_reply(object: &Object, call: &Call<'_>) -> Reply {
    let text = object.describe.to_string();
    let body = if object.verbatim { text } else { versioned(&text, call.version) };
    let hash = body.bytes().fold(17, |hash, byte| seed::mix(hash ^ u64::from(byte)));
    let etag = format!("\"{hash:016x}\"");
    let same = call.header(IF_NONE_MATCH.as_str()).is_some_and(|known| known == etag);
    let unchanged = call
        .header(IF_MODIFIED_SINCE.as_str())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .is_some_and(|date| date.timestamp().as_second() >= METADATA_CHANGED_SECONDS);
    let reply = if same || unchanged {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        text_reply(StatusCode::OK, body)
    };
    reply.with_header(ETAG, &etag).with_header(LAST_MODIFIED, METADATA_CHANGED)
}

pub(super) fn limits(requests: u64) -> String {
    let pair = |max: u64, used: u64| json!({"Max": max, "Remaining": max.saturating_sub(used)});
    json!({
        "DailyApiRequests": pair(100_000, 18 + requests), "DailyBulkV2QueryJobs": pair(10_000, 0),
        "DailyBulkApiBatches": pair(15_000, 0), "DataStorageMB": pair(1_024, 12), "FileStorageMB": pair(1_024, 1),
        "HourlyAsyncReportRuns": pair(1_200, 0), "SingleEmail": pair(5_000, 0),
    })
    .to_string()
}

/// Types without rows are left out, as the service does.
pub(super) fn record_count(store: &Store, names: Option<&str>) -> String {
    let wanted: Option<Vec<&str>> = names.map(|names| names.split(',').map(str::trim).collect());
    let counts = store.tables().iter().enumerate().filter_map(|(number, table)| {
        let name = &table.object.name;
        let asked =
            wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one.eq_ignore_ascii_case(name)));
        let count = store.live_count(number);
        (asked && count > 0).then(|| json!({"count": count, "name": name}))
    });
    json!({"sObjects": counts.collect::<Vec<_>>()}).to_string()
}
