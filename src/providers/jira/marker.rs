//! Creates whose answer was lost. A row's marker becomes a property of its issue, by which it is found again.
//!
//! Jira's index takes a moment, so that an issue may exist that no search finds yet. Whether a row did not arrive
//! is therefore told by reading the keys that follow each other in a project, which no index stands between.

use std::collections::{BTreeSet, HashMap};

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

/// A marker as text, in whatever order its members came back.
fn text_of(marker: &Json) -> String {
    let bare = bare(marker);
    serde_json_canonicalizer::to_string(&bare).unwrap_or_else(|_| bare.to_string())
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
                self.marks.insert(text_of(mark), issue.id.clone());
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
        let all = marks.iter().all(|mark| seen.marks.contains_key(&text_of(mark)));
        if let (false, Some(scope), Some(since)) = (all, &self.described.wires.scope, since) {
            self.look_by_keys(cx, &door, scope, since, &mut seen).await?;
        }
        // A new issue at a security level may be one that its own creator does not see.
        let hidden = |wire: &WireField| wire.kind == Kind::SecurityLevel && !wire.operations.is_empty();
        seen.complete &= !self.described.wires.fields.values().any(hidden);
        let each = marks.iter().map(|mark| match seen.marks.get(&text_of(mark)) {
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

    /// Reads the keys behind the last issue that was there before the sending, until there are no more.
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
        let mut walk =
            Walk::behind(&scope.project_key, before.issues.first().map(|issue| issue.key.as_str()));
        while let Some(keys) = walk.keys() {
            let call = api::marked_keys(door, &keys, PROPERTY);
            let page: Page = self.site.ask(cx, "a look for markers", call).await?;
            seen.take(&page.issues);
            walk.found(page.issues.iter().map(|issue| issue.key.as_str()));
        }
        seen.complete = walk.complete;
        Ok(())
    }
}

/// A walk through the keys of a project that follow one of them, a stretch at a time, until a whole stretch has no
/// issue: a single key without one may be an issue that was deleted, or that the user does not see, and others may
/// stand behind it.
#[derive(Debug)]
struct Walk<'a> {
    project: &'a str,
    /// The number behind which it goes on.
    last: u64,
    stretches: usize,
    gaps: bool,
    ended: bool,
    /// Whether it has come to the end, and each key on the way had its issue.
    complete: bool,
}

impl<'a> Walk<'a> {
    fn behind(project: &'a str, key: Option<&str>) -> Self {
        let last = key.and_then(|key| number(project, key)).unwrap_or(0);
        Self { project, last, stretches: 0, gaps: false, ended: false, complete: false }
    }

    /// The keys that are read next; none at the end, or when it has gone on for long enough.
    fn keys(&self) -> Option<Vec<String>> {
        let goes_on = !self.ended && self.stretches < STRETCHES_MAX;
        let numbers = self.last + 1..=self.last + KEYS;
        goes_on.then(|| numbers.map(|number| format!("{}-{number}", self.project)).collect())
    }

    /// Takes the keys of the issues that were found.
    fn found<'k>(&mut self, keys: impl Iterator<Item = &'k str>) {
        self.stretches += 1;
        // An issue that has moved to another project is found by its old key.
        let numbers: BTreeSet<u64> = keys.filter_map(|key| number(self.project, key)).collect();
        let Some(most) = numbers.last().copied().filter(|most| *most > self.last) else {
            self.ended = true;
            self.complete = !self.gaps;
            return;
        };
        self.gaps |= most - self.last != numbers.len() as u64;
        self.last = most;
    }
}

/// The number in a project's key such as `OPS-7`.
fn number(project: &str, key: &str) -> Option<u64> {
    let (own, number) = key.rsplit_once('-')?;
    if own == project { number.parse().ok() } else { None }
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
        assert_eq!(
            text_of(&json!({ "run": "r", "row": 7, SINCE: "" })),
            text_of(&json!({ "row": 7, "run": "r" }))
        );
    }

    #[test]
    fn a_key_is_of_its_project() {
        assert_eq!(
            (number("OPS", "OPS-12"), number("OPS", "WEB-12"), number("OPS", "OPS")),
            (Some(12), None, None)
        );
    }

    /// Walks where these numbers have issues; how many stretches it took, and whether nothing can have been missed.
    fn walked(before: Option<&str>, there: impl Fn(u64) -> bool) -> (usize, bool) {
        let mut walk = Walk::behind("OPS", before);
        while let Some(keys) = walk.keys() {
            let found: Vec<&String> =
                keys.iter().filter(|key| number("OPS", key).is_some_and(&there)).collect();
            walk.found(found.iter().map(|key| key.as_str()));
        }
        (walk.stretches, walk.complete)
    }

    #[test]
    fn a_walk_ends_behind_the_last_issue_and_is_complete_without_gaps_alone() {
        assert_eq!(walked(None, |_| false), (1, true));
        assert_eq!(walked(Some("OPS-40"), |number| number <= 140), (2, true), "just one stretch");
        assert_eq!(walked(Some("OPS-40"), |number| number <= 257), (4, true));
        let without = |gap: u64| walked(Some("OPS-40"), move |number| number <= 257 && number != gap);
        // At the beginning of a stretch, within, and at its end, where it looks like the end of all.
        for gap in [41, 77, 140, 240] {
            assert!(!without(gap).1, "{gap}");
        }
        // What moved away is found by its old key, and is none of the project's any more.
        let mut walk = Walk::behind("OPS", Some("OPS-1"));
        walk.found(["OPS-2", "WEB-900", "OPS-4"].into_iter());
        assert_eq!((walk.last, walk.gaps), (4, true));
    }

    #[test]
    fn a_walk_gives_up_after_thirty_thousand_keys_and_is_not_complete_then() {
        assert_eq!(walked(None, |number| number <= 29_900), (300, true));
        assert_eq!(walked(None, |number| number <= 30_000), (300, false));
    }
}
