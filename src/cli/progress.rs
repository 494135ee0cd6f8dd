//! A line of progress on stderr, only on a terminal and only for what takes longer than a second.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long something may take in silence.
const SILENCE: Duration = Duration::from_secs(1);

/// Counts records on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
    possible: bool,
}

impl Progress {
    /// Something that counts records, hidden at first.
    pub(crate) fn of(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {msg}: {human_pos} in {elapsed} ({per_sec})")
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self { bar, started: Instant::now(), shown: false, possible: std::io::stderr().is_terminal() }
    }

    /// Counts on.
    pub(crate) fn add(&mut self, count: u64) {
        self.bar.inc(count);
        self.appear();
    }

    fn appear(&mut self) {
        if self.possible && !self.shown && self.started.elapsed() > SILENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
    }

    /// Does something that prints, with the line out of its way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.shown { self.bar.suspend(print) } else { print() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Tells on stderr how far something is that counts for itself.
#[derive(Debug)]
pub(crate) struct Line(Progress);

impl Line {
    /// Hidden at first.
    pub(crate) fn new() -> Self {
        let progress = Progress::of("");
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
            progress.bar.set_style(style);
        }
        Self(progress)
    }

    /// Whether there is a terminal to show it on.
    pub(crate) fn possible(&self) -> bool {
        self.0.possible
    }

    /// Tells this from now on.
    pub(crate) fn show(&mut self, what: &impl std::fmt::Display) {
        self.0.bar.set_message(what.to_string());
        self.0.appear();
    }
}
