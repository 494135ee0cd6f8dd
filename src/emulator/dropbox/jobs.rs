//! Batches whose results are asked for later.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::content::fingerprint;

/// A job's result, and how often it has been asked for.
#[derive(Debug)]
struct Job {
    result: Value,
    asked: u32,
}

#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: HashMap<String, Job>,
    started: u64,
}

impl Jobs {
    /// Files a result and gives the id to ask with.
    pub(super) fn start(&mut self, result: Value) -> Value {
        self.started += 1;
        let id = format!("dbjid:{}", fingerprint(&format!("job {}", self.started)));
        self.jobs.insert(id.clone(), Job { result, asked: 0 });
        json!({ ".tag": "async_job_id", "async_job_id": id })
    }

    /// In progress at the first look, complete at the next.
    pub(super) fn check(&mut self, id: &str) -> Option<Value> {
        let job = self.jobs.get_mut(id)?;
        job.asked += 1;
        Some(if job.asked == 1 { json!({ ".tag": "in_progress" }) } else { job.result.clone() })
    }
}
