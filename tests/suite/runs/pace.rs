//! How fast a run goes on and how long the rest takes, by the clock that the run is given.

use std::sync::Arc;
use std::time::Duration;

use recordport::clock::RecordingClock;
use recordport::connect::home::Home;
use recordport::error::ErrorKind;
use recordport::mapping::Mapping;
use recordport::run::{Counts, Journal, Mode, Plan, Progress, Run, Threshold, Watch};
use serde_json::json;

use super::sums::route;
use crate::support::org::{Org, OrgSettings};

/// Ten seconds pass with each batch.
struct Clocked {
    clock: Arc<RecordingClock>,
    told: Vec<Progress>,
    batches: usize,
}

impl Watch for Clocked {
    fn progress(&mut self, progress: &Progress) {
        self.told.push(*progress);
        self.clock.advance(Duration::from_secs(10));
    }

    fn stop(&self) -> bool {
        self.told.len() >= self.batches
    }
}

#[tokio::test]
async fn progress_tells_the_rate_of_this_process_and_what_remains() {
    let org = Org::with(OrgSettings { scale: 2, ..OrgSettings::default() }).await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::prepare(&folder.path().join("home")).expect("a home");
    let journal = Journal::open(&home).await.expect("a journal");
    let mapping = json!({
        "recordport": "mapping/1",
        "name": "described",
        "source": {"connection": "crm", "type": "Contact", "query": {"order_by": [{"field": "Id"}]}},
        "target": {"connection": "crm", "type": "Contact", "operation": "update"},
        "fields": [{"to": "@key", "from": "Id"}, {"to": "Description", "const": "seen"}],
    });
    let mapping = Mapping::parse(&mapping.to_string()).expect("a mapping");
    let plan = Plan {
        mapping_hash: String::new(),
        source_hash: String::new(),
        target_hash: String::new(),
        mode: Mode::Full,
        limit: Some(450),
        params: Vec::new(),
        timezone: "UTC".to_owned(),
        now: org.cx.clock.now(),
        max_failures: Threshold::default(),
    };
    // The place in a feed would pass by what is behind a limit.
    let changes = Plan { mode: Mode::Changes, ..plan.clone() };
    let refused =
        Run::start(journal.clone(), mapping.clone(), changes, route(&org, &mapping).await, false).await;
    assert_eq!(refused.expect_err("changes have no limit").kind(), ErrorKind::Unsupported);
    assert!(org.stored("Contact").len() >= 450);
    let mut run = Run::start(journal.clone(), mapping.clone(), plan, route(&org, &mapping).await, false)
        .await
        .expect("begins");
    let id = run.id().to_owned();
    run.count_all().await;
    let watch = |batches| Clocked { clock: Arc::clone(&org.clock), told: Vec::new(), batches };
    org.clock.advance(Duration::from_secs(10));
    let mut first = watch(1);
    let stopped = run.conduct(None, &mut first).await.expect("is written down");
    assert_eq!(stopped.stopped.expect("was stopped").code(), Some("stopped"));
    let lines: Vec<String> = first.told.iter().map(ToString::to_string).collect();
    // 250 rows at 20 a second.
    assert_eq!(lines, ["200 of 450 rows, 20 a second, 13s left"]);

    // What was done before is no part of the rate.
    org.clock.advance(Duration::from_secs(3_600));
    let found = journal.run(&id).await.expect("is known");
    let mut run = Run::resume(journal.clone(), found, route(&org, &mapping).await).await.expect("goes on");
    run.count_all().await;
    org.clock.advance(Duration::from_secs(40));
    let mut second = watch(usize::MAX);
    let ended = run.conduct(None, &mut second).await.expect("is written down");
    assert!(ended.stopped.is_none(), "{:?}", ended.stopped);
    let lines: Vec<String> = second.told.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["400 of 450 rows, 5.0 a second, 10s left", "450 of 450 rows, 5.0 a second, 0s left"]);
    let last = second.told.last().expect("told");
    assert_eq!((last.rate, last.remaining), (Some(5.0), Some(Duration::ZERO)));
}

#[test]
fn progress_without_an_end_or_without_time_tells_what_is_known() {
    let counts = Counts { read: 1_200, ..Counts::default() };
    let told = |total, rate, seconds: Option<u64>| {
        Progress { counts, total, rate, remaining: seconds.map(Duration::from_secs) }.to_string()
    };
    assert_eq!(told(None, None, None), "1200 rows");
    assert_eq!(told(None, Some(0.25), None), "1200 rows, 0.2 a second");
    assert_eq!(told(Some(9_000), Some(13.0), Some(600)), "1200 of 9000 rows, 13 a second, 10m 00s left");
    assert_eq!(told(Some(9_000), Some(1.0), Some(7_800)), "1200 of 9000 rows, 1.0 a second, 2h 10m left");
}
