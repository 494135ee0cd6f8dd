//! What the service tells about itself: versions, resources, describes, limits.

use http::StatusCode;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::catalogue::{self, ORIGIN_MARK, VERSION_MARK};
use super::describe::Object;
use super::errors::Refusal;
use super::rows::Store;
use super::{Call, seed, text_reply};
use crate::emulator::service::Reply;

const OLDEST_LISTED: u32 = 48;
const NEWEST: u32 = 62;
/// Older versions still answer, unlisted.
const OLDEST: u32 = 21;
/// The first version that there ever was.
const FIRST: u32 = 7;
const SEASONS: [&str; 3] = ["Spring", "Summer", "Winter"];
/// When the metadata of the emulated org last changed, unless a type was imported: 2025-01-01.
const METADATA_CHANGED: i64 = 1_735_689_600;

/// The versions that this org speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    oldest: u32,
    newest: u32,
}

impl Default for Versions {
    fn default() -> Self {
        Self { oldest: OLDEST, newest: NEWEST }
    }
}

impl Versions {
    /// Reads `{"oldest": 48, "newest": 58}`; what is absent stays as at start.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            oldest: Option<u32>,
            newest: Option<u32>,
        }
        let given: Given = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let start = Self::default();
        let versions = Self {
            oldest: given.oldest.unwrap_or(start.oldest),
            newest: given.newest.unwrap_or(start.newest),
        };
        if versions.oldest > versions.newest {
            return Err("oldest is newer than newest".to_owned());
        }
        Ok(versions)
    }

    /// Refuses a version that this org does not speak.
    pub(super) fn admit(&self, version: &str) -> Result<(), Refusal> {
        match number_of(version) {
            Some(number) if (FIRST..self.oldest).contains(&number) => Err(retired()),
            Some(number) if (self.oldest..=self.newest).contains(&number) => Ok(()),
            _ => Err(Refusal::not_found()),
        }
    }
}

pub(super) fn versions(known: &Versions) -> String {
    let list: Vec<Value> = (known.oldest.max(OLDEST_LISTED.min(known.newest))..=known.newest)
        .map(|version| {
            // v48 was Spring '20; three releases a year, and Winter counts to the next year.
            let step = version.saturating_sub(OLDEST_LISTED);
            let year = 20 + (step + u32::from(step % 3 == 2)) / 3;
            let season = SEASONS[(step % 3) as usize];
            json!({
                "label": format!("{season} '{year}"), "url": format!("/services/data/v{version}.0"), "version": format!("{version}.0"),
            })
        })
        .collect();
    Value::Array(list).to_string()
}

/// The number in `v60.0`.
pub(super) fn number_of(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()
}

fn retired() -> Refusal {
    Refusal::new("UNSUPPORTED_API_VERSION", "The requested API version is no longer supported")
        .with_status(StatusCode::GONE)
}

/// What there is below a version; `identity` is the address of the user.
pub(super) fn resources(version: &str, identity: &str) -> String {
    let names =
        ["composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "search", "sobjects"];
    let mut out = serde_json::Map::new();
    for name in names {
        out.insert(name.to_owned(), json!(format!("/services/data/{version}/{name}")));
    }
    out.insert("identity".to_owned(), json!(identity));
    Value::Object(out).to_string()
}

fn addressed(text: &str, call: &Call<'_>) -> String {
    text.replace(VERSION_MARK, call.version).replace(ORIGIN_MARK, &call.request.origin)
}

pub(super) fn global_reply(store: &Store, call: &Call<'_>, imported: Option<Timestamp>) -> Reply {
    let changed = store.tables().iter().filter_map(|table| table.object.changed).max().max(imported);
    let changed = seconds(changed);
    let reply = if is_unchanged(call, changed) {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        text_reply(StatusCode::OK, global(store, call.version))
    };
    reply.with_header(LAST_MODIFIED, &http_date(changed))
}

fn seconds(changed: Option<Timestamp>) -> i64 {
    changed.map_or(METADATA_CHANGED, Timestamp::as_second)
}

fn http_date(seconds: i64) -> String {
    super::read::http_date(Timestamp::from_second(seconds).unwrap_or_default())
}

fn is_unchanged(call: &Call<'_>, changed: i64) -> bool {
    call.header(IF_MODIFIED_SINCE.as_str())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .is_some_and(|date| date.timestamp().as_second() >= changed)
}

fn global(store: &Store, version: &str) -> String {
    let visible = store.tables().iter().filter(|table| !table.object.hidden);
    let mut entries: Vec<Value> = visible.map(|table| global_entry(&table.object, version)).collect();
    entries.sort_by_key(|entry| entry["name"].as_str().unwrap_or_default().to_owned());
    json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": entries}).to_string()
}

fn global_entry(object: &Object, version: &str) -> Value {
    let mut entry = catalogue::global_entry(&object.told());
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

pub(super) fn describe_reply(object: &Object, call: &Call<'_>, imported: Option<Timestamp>) -> Reply {
    let text = object.told().to_string();
    let body = if object.verbatim { text } else { addressed(&text, call) };
    let hash = body.bytes().fold(17, |hash, byte| seed::mix(hash ^ u64::from(byte)));
    let etag = format!("\"{hash:016x}\"");
    let same = call.header(IF_NONE_MATCH.as_str()).is_some_and(|known| known == etag);
    let changed = seconds(object.changed.max(imported));
    let reply = if same || is_unchanged(call, changed) {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        text_reply(StatusCode::OK, body)
    };
    reply.with_header(ETAG, &etag).with_header(LAST_MODIFIED, &http_date(changed))
}

/// The limits that an org tells about, and how much each allows.
const LIMITS: [(&str, u64); 56] = [
    ("ActiveScratchOrgs", 40),
    ("AnalyticsExternalDataSizeMB", 40_960),
    ("ConcurrentAsyncGetReportInstances", 200),
    ("ConcurrentEinsteinDataInsightsStoryCreation", 5),
    ("ConcurrentEinsteinDiscoveryStoryCreation", 2),
    ("ConcurrentSyncReportRuns", 20),
    ("DailyAnalyticsDataflowJobExecutions", 60),
    ("DailyAnalyticsUploadedFilesSizeMB", 51_200),
    ("DailyApiRequests", 100_000),
    ("DailyAsyncApexExecutions", 250_000),
    ("DailyAsyncApexTests", 500),
    ("DailyBulkApiBatches", 15_000),
    ("DailyBulkV2QueryFileStorageMB", 976_562),
    ("DailyBulkV2QueryJobs", 10_000),
    ("DailyDeliveredPlatformEvents", 50_000),
    ("DailyDurableGenericStreamingApiEvents", 10_000),
    ("DailyDurableStreamingApiEvents", 10_000),
    ("DailyEinsteinDataInsightsStoryCreation", 1_000),
    ("DailyEinsteinDiscoveryOptimizationJobRuns", 25),
    ("DailyEinsteinDiscoveryPredictAPICalls", 50_000),
    ("DailyEinsteinDiscoveryPredictionsByCDC", 500_000),
    ("DailyEinsteinDiscoveryStoryCreation", 100),
    ("DailyFunctionsApiCallLimit", 235_000),
    ("DailyGenericStreamingApiEvents", 10_000),
    ("DailyScratchOrgs", 80),
    ("DailyStandardVolumePlatformEvents", 25_000),
    ("DailyStreamingApiEvents", 10_000),
    ("DailyWorkflowEmails", 100_000),
    ("DataStorageMB", 1_024),
    ("DurableStreamingApiConcurrentClients", 20),
    ("FileStorageMB", 1_024),
    ("HourlyAsyncReportRuns", 1_200),
    ("HourlyDashboardRefreshes", 200),
    ("HourlyDashboardResults", 5_000),
    ("HourlyDashboardStatuses", 999_999_999),
    ("HourlyLongTermIdMapping", 100_000),
    ("HourlyManagedContentPublicRequests", 50_000),
    ("HourlyODataCallout", 20_000),
    ("HourlyPublishedPlatformEvents", 250_000),
    ("HourlyPublishedStandardVolumePlatformEvents", 1_000),
    ("HourlyShortTermIdMapping", 100_000),
    ("HourlySyncReportRuns", 500),
    ("HourlyTimeBasedWorkflow", 1_000),
    ("MassEmail", 5_000),
    ("MaxContentDocumentsLimit", 30_000_000),
    ("MonthlyEinsteinDiscoveryStoryCreation", 500),
    ("MonthlyPlatformEvents", 1_500_000),
    ("MonthlyPlatformEventsUsageEntitlement", 0),
    ("Package2VersionCreates", 6),
    ("Package2VersionCreatesWithoutValidation", 500),
    ("PermissionSets", 1_500),
    ("PlatformEventTriggersWithParallelProcessing", 5),
    ("PrivateConnectOutboundCalloutHourlyLimitMB", 0),
    ("PublishCallbackUsageInApex", 5_242_880),
    ("SingleEmail", 5_000),
    ("StreamingApiConcurrentClients", 20),
];

pub(super) fn limits(requests: u64, query_jobs: u64) -> String {
    let mut out = serde_json::Map::new();
    for (name, max) in LIMITS {
        let used = match name {
            "DailyApiRequests" => 18 + requests,
            "DailyBulkV2QueryJobs" => query_jobs,
            "DataStorageMB" => 12,
            _ => 0,
        };
        out.insert(name.to_owned(), json!({"Max": max, "Remaining": max.saturating_sub(used)}));
    }
    Value::Object(out).to_string()
}

/// Types without rows are left out, as the service does.
pub(super) fn record_count(store: &Store, names: Option<&str>) -> String {
    let wanted: Option<Vec<&str>> = names.map(|names| names.split(',').map(str::trim).collect());
    let counts = store.tables().iter().enumerate().filter_map(|(number, table)| {
        let name = &table.object.name;
        let asked =
            wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one.eq_ignore_ascii_case(name)));
        let count = store.live_count(number);
        (!table.object.hidden && asked && count > 0).then(|| json!({"count": count, "name": name}))
    });
    json!({"sObjects": counts.collect::<Vec<_>>()}).to_string()
}
