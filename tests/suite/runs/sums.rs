//! What a run counts adds up, whatever fails: rows that cannot be mapped or are refused, answers that are lost, a
//! service that is away, a bound on failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use jiff::tz::TimeZone;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use recordport::connect::home::Home;
use recordport::error::Result;
use recordport::mapping::open::open;
use recordport::mapping::{Creating, Mapping, Settings, Side, Sides};
use recordport::rows::{RowFormat, RowReader};
use recordport::run::{Counts, Journal, Mode, Plan, Progress, Route, Run, RunState, Threshold, Watch};
use serde_json::{Value, json};

use crate::support::org::{Org, OrgSettings};

const RUNS: u64 = 16;

/// Looks on, and sees that the counts add up.
pub(super) struct Quiet;

impl Watch for Quiet {
    fn progress(&mut self, progress: &Progress) {
        let counts = &progress.counts;
        assert_eq!(counts.read, sum(counts), "at every step: {counts:?}");
    }

    fn stop(&self) -> bool {
        false
    }
}

fn sum(counts: &Counts) -> u64 {
    counts.written() + counts.unchanged + counts.failed + counts.skipped
}

struct Both<'a>(&'a Org);

#[async_trait]
impl Sides for Both<'_> {
    async fn side(&self, _: &str, record_type: &str) -> Result<Side> {
        Ok(Side { records: self.0.open(record_type).await?, cx: self.0.cx.clone() })
    }
}

/// Rows of which some are good, and whether each is.
fn rows(random: &mut StdRng, seed: u64) -> Vec<(Value, bool)> {
    let count = random.random_range(1..=60);
    (0..count)
        .map(|number| {
            let name = format!("{seed}/{number}");
            match random.random_range(0..10) {
                0 => (json!({"Id": name, "Name": null}), false),
                1 => (json!({"Id": name, "Name": "x".repeat(300)}), false),
                2 => (json!({"Id": name, "Name": name, "Rating": "Boiling"}), false),
                _ => (json!({"Id": name, "Name": name, "Rating": "Hot"}), true),
            }
        })
        .collect()
}

fn fault(random: &mut StdRng) -> Option<Value> {
    let rule = |kind: &str, more: Value| {
        let mut rule = json!({"service": "salesforce", "method": "POST", "path": "*/composite/*", "kind": kind,
            "nth": 1, "times": 1});
        rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        rule
    };
    match random.random_range(0..6) {
        0 => Some(rule("partial", json!({}))),
        1 => Some(rule("drop_after_commit", json!({}))),
        2 => Some(rule("503", json!({"times": 2}))),
        3 => Some(rule("429", json!({"retry_after": "1"}))),
        _ => None,
    }
}

/// A mapping within the org, ready to run.
pub(super) async fn route(org: &Org, mapping: &Mapping) -> Route {
    let settings = |now| Settings { now, timezone: TimeZone::UTC, params: Vec::new() };
    let mut opened = open(&Both(org), mapping, settings).await.expect("opens");
    let problems = format!("{:?}", opened.compiled.problems);
    let program = opened.compiled.program.take().unwrap_or_else(|| panic!("{problems}"));
    let lookups = opened.lookups(&program, Creating::Allowed, &TimeZone::UTC);
    Route { source: opened.source, target: opened.target, program, lookups }
}

#[tokio::test]
async fn the_counts_of_a_run_add_up_whatever_fails_and_each_failure_is_reported_once() {
    let org = Org::with(OrgSettings { scale: 1, ..OrgSettings::default() }).await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::prepare(&folder.path().join("home")).expect("a home");
    let journal = Journal::open(&home).await.expect("a journal");
    let kind = Arc::clone(org.open("Account").await.expect("opens").record_type());
    let mut ends = BTreeMap::<&str, u32>::new();
    for seed in 0..RUNS {
        let mut random = StdRng::seed_from_u64(seed);
        let given = rows(&mut random, seed);
        let text: String = given.iter().map(|(row, _)| format!("{row}\n")).collect();
        let mapping = json!({
            "recordport": "mapping/1",
            "name": format!("leads {seed}"),
            "source": {"connection": "crm", "type": "Account"},
            "target": {"connection": "crm", "type": "Lead", "operation": "create"},
            "fields": [
                {"to": "LastName", "from": "Name"},
                {"to": "Company", "from": "Id"},
                {"to": "Rating", "from": "Rating", "steps": [{"op": "picklist", "map": {"Hot": "Hot"}}]},
            ],
        });
        let mapping = Mapping::parse(&mapping.to_string()).expect("a mapping");
        let bound = if seed % 4 == 3 { Threshold::Rows(2) } else { Threshold::Percent(100) };
        let plan = Plan {
            mapping_hash: String::new(),
            source_hash: String::new(),
            target_hash: String::new(),
            mode: Mode::Rows("rows".to_owned()),
            limit: None,
            params: Vec::new(),
            timezone: "UTC".to_owned(),
            now: org.cx.clock.now(),
            max_failures: bound,
        };
        if let Some(rule) = fault(&mut random) {
            org.fault(rule).await;
        }
        let reader = || {
            let bytes = std::io::Cursor::new(text.clone().into_bytes());
            Some(RowReader::new(bytes, RowFormat::Json, &kind, false))
        };
        let run =
            Run::start(journal.clone(), mapping.clone(), plan, route(&org, &mapping).await, false).await;
        let run = run.expect("begins");
        let id = run.id().to_owned();
        let mut ended = run.conduct(reader(), &mut Quiet).await.expect("is written down");
        assert_eq!(ended.summary.counts.read, sum(&ended.summary.counts), "{seed}: {:?}", ended.summary);
        if ended.stopped.is_some() {
            *ends.entry("stopped").or_default() += 1;
            let mut found = journal.run(&id).await.expect("is known");
            found.summary.plan.max_failures = Threshold::Percent(100);
            let again =
                Run::resume(journal.clone(), found, route(&org, &mapping).await).await.expect("goes on");
            ended = again.conduct(reader(), &mut Quiet).await.expect("is written down");
        }
        org.emulated.control(Method::DELETE, "faults", &Value::Null).await;
        let counts = ended.summary.counts;
        assert_eq!(ended.summary.state, RunState::Finished, "{seed}: {:?}", ended.stopped);
        assert_eq!(
            (counts.read, sum(&counts)),
            (given.len() as u64, given.len() as u64),
            "{seed}: {counts:?}"
        );
        let (lines, _) = journal.failures(&id, 0, 1000).await.expect("a report");
        assert_eq!(lines.len() as u64, counts.failed, "{seed}: each failure once");
        let bad = given.iter().filter(|(_, good)| !good).count() as u64;
        assert!(counts.failed >= bad, "{seed}: {counts:?}");
        *ends.entry(if counts.unknown > 0 { "unknown" } else { "known" }).or_default() += 1;

        let stored = org.service_fields("Lead", &["Company"]);
        let prefix = format!("{seed}/");
        let mut written: Vec<&str> = stored
            .iter()
            .filter_map(|row| row["Company"].as_str().filter(|company| company.starts_with(&prefix)))
            .collect();
        let all = written.len() as u64;
        assert!(
            (counts.created..=counts.created + counts.unknown).contains(&all),
            "{seed}: {all} of {counts:?}"
        );
        written.sort_unstable();
        written.dedup();
        assert_eq!(written.len() as u64, all, "{seed}: nothing twice");
    }
    assert!(ends.len() >= 3, "each end was met: {ends:?}");
}
