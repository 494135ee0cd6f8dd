//! How fast a run goes on, and how long the rest of it takes.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::counts::Counts;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What became of its records so far, those before it was resumed included.
    pub counts: Counts,
    /// How many records it reads in all, where that is known.
    pub total: Option<u64>,
    /// Records a second since it began or was resumed; none before there is anything to judge by.
    pub rate: Option<f64>,
    /// How long the rest takes at this rate.
    pub remaining: Option<Duration>,
}

impl fmt::Display for Progress {
    /// `1200 of 10000 rows, 400 a second, 22s left`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.counts.read)?;
        if let Some(total) = self.total {
            write!(f, " of {total}")?;
        }
        f.write_str(" rows")?;
        if let Some(rate) = self.rate {
            let places = usize::from(rate < 10.0);
            write!(f, ", {rate:.places$} a second")?;
        }
        if let Some(remaining) = self.remaining {
            let seconds = remaining.as_secs();
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            match (hours, minutes) {
                (0, 0) => write!(f, ", {seconds}s left")?,
                (0, _) => write!(f, ", {minutes}m {:02}s left", seconds % 60)?,
                _ => write!(f, ", {hours}h {minutes:02}m left")?,
            }
        }
        Ok(())
    }
}

/// Where a run stood when this process took it up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    began: Timestamp,
    first: u64,
    total: Option<u64>,
}

impl Pace {
    pub(super) fn new(began: Timestamp, first: u64, total: Option<u64>) -> Self {
        Self { began, first, total }
    }

    /// How far the run is at a moment.
    pub(super) fn at(&self, now: Timestamp, counts: Counts) -> Progress {
        let taken = Duration::try_from(now.duration_since(self.began)).unwrap_or_default().as_secs_f64();
        let done = counts.read.saturating_sub(self.first);
        let rate = (done > 0 && taken > 0.0).then(|| as_float(done) / taken);
        let left = self.total.map(|total| total.saturating_sub(counts.read));
        let remaining = rate.zip(left).and_then(|(rate, left)| {
            let seconds = (as_float(left) / rate).ceil();
            Duration::try_from_secs_f64(seconds).ok()
        });
        Progress { counts, total: self.total, rate, remaining }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
fn as_float(count: u64) -> f64 {
    count as f64
}
