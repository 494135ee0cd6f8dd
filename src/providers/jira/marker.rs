//! Creates whose answer was lost. A row's marker becomes a property of its issue, by which it is found again.
//!
//! Jira's index takes a moment, so that an issue may exist that no search finds yet. Whether a row did not arrive
//! is therefore told by reading the keys that follow each other in a project, which no index stands between.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::api;
use super::records::IssueRecords;
use super::site::Door;
use super::wires::{Kind, Scope, WireField};
use crate::error::Result;
use crate::provider::{Context, Settled};
use crate::record::Key;
use jiff::{SignedDuration, Timestamp};

/// The property of an issue that holds its row's marker.
pub(super) const PROPERTY: &str = "recordport.mark";
/// When the row was first sent; no part of the marker.
const SINCE: &str = "@since";
/// How far Jira's clock and ours may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);
/// Pages of recent issues that are looked through.
const PAGES_MAX: usize = 10;
/// Keys that one request reads.
const KEYS: u64 = 100;
/// Requests for keys that follow each other. A quick run creates thousands of issues in the time by which the clocks
/// may be apart, and all of them are looked through.
const STRETCHES_MAX: usize = 300;

/// The member `properties` of a new issue.
pub(super) fn properties(marker: &Json) -> String {
    json!([{ "key": PROPERTY, "value": bare(marker) }]).to_string()
}

/// A marker as it was given.
fn bare(marker: &Json) -> Json {
    let mut bare = marker.clone();
    if let Some(members) = bare.as_object_mut() {
        members.remove(SINCE);
    }
    bare
}

fn since(marker: &Json) -> Option<Timestamp> {
    let at: Timestamp = marker.get(SINCE)?.as_str()?.parse().ok()?;
    at.checked_sub(CLOCKS_APART).ok()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    issues: Vec<Marked>,
    next_page_token: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Marked {
    id: String,
    key: String,
    properties: HashMap<String, Json>,
}

/// What was seen of the issues that may carry the markers.
#[derive(Debug, Default)]
struct Seen {
    /// Markers as JSON text with the ids of their issues.
    marks: HashMap<String, String>,
    /// Whether no issue can have been missed.
    complete: bool,
}

impl Seen {
    fn take(&mut self, issues: &[Marked]) {
        for issue in issues {
            if let Some(mark) = issue.properties.get(PROPERTY) {
                self.marks.insert(mark.to_string(), issue.id.clone());
            }
        }
    }
}

impl IssueRecords {
    /// Looks for issues by the markers of their rows.
    pub(super) async fn settle_marks(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        let door = self.site.door(cx).await?;
        // The earliest sending counts; a marker without a time may be of any.
        let times: Option<Vec<Timestamp>> = marks.iter().map(since).collect();
        let since = times.and_then(|times| times.into_iter().min());
        let mut seen = Seen::default();
        self.look_by_search(cx, &door, since, &mut seen).await?;
        let all = marks.iter().all(|mark| seen.marks.contains_key(&bare(mark).to_string()));
        if let (false, Some(scope), Some(since)) = (all, &self.described.wires.scope, since) {
            self.look_by_keys(cx, &door, scope, since, &mut seen).await?;
        }
        // A new issue at a security level may be one that its own creator does not see.
        let hidden = |wire: &WireField| wire.kind == Kind::SecurityLevel && !wire.operations.is_empty();
        seen.complete &= !self.described.wires.fields.values().any(hidden);
        let each = marks.iter().map(|mark| match seen.marks.get(&bare(mark).to_string()) {
            Some(id) => Settled::Arrived(Key::text(id.as_str())),
            None if seen.complete => Settled::Absent,
            None => Settled::CannotTell,
        });
        Ok(each.collect())
    }

    /// What the index knows of the caller's own new issues.
    async fn look_by_search(
        &self,
        cx: &Context,
        door: &Door,
        since: Option<Timestamp>,
        seen: &mut Seen,
    ) -> Result<()> {
        let mut jql = "creator = currentUser()".to_owned();
        if let Some(since) = since {
            jql.push_str(&format!(" AND created >= {}", since.as_millisecond()));
        }
        if let Some(scope) = &self.described.wires.scope {
            jql.push_str(&format!(" AND project = {}", scope.project_id));
        }
        jql.push_str(" ORDER BY created DESC");
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let call = api::marked(door, &jql, PROPERTY, token.as_deref());
            let page: Page = self.site.ask(cx, "a search for markers", call).await?;
            seen.take(&page.issues);
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the keys behind the last issue that was there before the sending, until there are no more. A gap may
    /// be an issue that the user does not see, so nothing is certain then.
    async fn look_by_keys(
        &self,
        cx: &Context,
        door: &Door,
        scope: &Scope,
        since: Timestamp,
        seen: &mut Seen,
    ) -> Result<()> {
        // An issue that nobody has touched since got its number before.
        let jql = format!(
            "project = {} AND updated < {} ORDER BY key DESC",
            scope.project_id,
            since.as_millisecond()
        );
        let before: Page =
            self.site.ask(cx, "a search for markers", api::marked(door, &jql, PROPERTY, None)).await?;
        let mut last = before.issues.first().and_then(|issue| number(&issue.key)).unwrap_or(0);
        for _ in 0..STRETCHES_MAX {
            let keys: Vec<String> =
                (last + 1..=last + KEYS).map(|number| format!("{}-{number}", scope.project_key)).collect();
            let call = api::marked_keys(door, &keys, PROPERTY);
            let page: Page = self.site.ask(cx, "a look for markers", call).await?;
            seen.take(&page.issues);
            let most = page.issues.iter().filter_map(|issue| number(&issue.key)).max().unwrap_or(last);
            if most - last != page.issues.len() as u64 {
                return Ok(());
            }
            if most - last < KEYS {
                seen.complete = true;
                return Ok(());
            }
            last = most;
        }
        Ok(())
    }
}

/// The number in a key such as `OPS-7`.
fn number(key: &str) -> Option<u64> {
    key.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_sending_is_no_part_of_a_marker() {
        let marker = json!({ "run": 7, SINCE: "2026-01-01T00:05:00Z" });
        assert_eq!(bare(&marker), json!({ "run": 7 }));
        assert_eq!(since(&marker).unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!((bare(&json!("x")), since(&json!("x"))), (json!("x"), None));
        assert_eq!((number("OPS-12"), number("OPS")), (Some(12), None));
    }
}
