//! How a run begins, and how one that stopped is taken up.

use super::conduct::{Route, Run, State};
use super::counts::Counts;
use super::entry::{Found, RunState, Step};
use super::journal::Journal;
use super::lock::Lock;
use super::made::Made;
use super::pace::Pace;
use super::plan::{Mode, Plan};
use super::source::beginning;
use crate::error::{Error, Result};
use crate::mapping::Mapping;
use crate::mapping::document::Operation;

impl Run {
    /// Begins a run of a mapping. One that did not come to its end is given up: silently where writing again does no
    /// harm, for creates only when `anew` says so.
    ///
    /// # Errors
    /// Conflict, while the mapping is running; invalid, when an unfinished run would be doubled; unsupported, for changes
    /// with a limit; local, when the journal cannot be written.
    pub async fn start(
        journal: Journal,
        mapping: Mapping,
        plan: Plan,
        route: Route,
        anew: bool,
    ) -> Result<Self> {
        if plan.mode == Mode::Changes && plan.limit.is_some() {
            // The place in the feed would pass by what is behind the limit.
            return Err(Error::unsupported("a run of changes takes all of them")
                .with_advice("Leave the limit out, or look first without writing"));
        }
        let id = new_id(&plan);
        let lock = Lock::take(journal.home(), &mapping.name, &id).await?;
        let unfinished = journal.unfinished(&mapping.name).await?;
        if let Some(old) = unfinished.first()
            && mapping.target.operation == Operation::Create
            && !anew
        {
            return Err(Error::invalid(format!(
                "the run {} of {:?} did not come to its end; another would create its rows again",
                old.run, mapping.name
            ))
            .with_code("unfinished_run")
            .with_advice(format!(
                "Go on with it: recordport run --resume {}; or give it up with --anew",
                old.run
            )));
        }
        let place = beginning(&journal, &mapping, &plan).await?;
        let abandoned = unfinished.into_iter().map(|old| old.run).collect();
        journal.begin(&id, &mapping, &plan, &place, abandoned).await?;
        let state = State::at(Counts::default(), 0, place);
        let route = keeping(route, &journal, &id);
        let pace = Pace::new(route.target.cx.clock.now(), 0, None);
        Ok(Self { journal, id, mapping, plan, route, state, pace, _lock: lock })
    }

    /// Takes up a run where it stopped.
    ///
    /// # Errors
    /// Conflict, while the mapping is running; invalid, when there is nothing to go on with.
    pub async fn resume(journal: Journal, found: Found, route: Route) -> Result<Self> {
        let id = found.summary.run.clone();
        let lock = Lock::take(journal.home(), &found.mapping.name, &id).await?;
        // What was read before the lock was held may be old.
        let Found { summary: now, mapping, place, next_number } = journal.run(&id).await?;
        let plan = found.summary.plan;
        if matches!(now.state, RunState::Finished | RunState::Abandoned) {
            return Err(Error::invalid(format!("the run {id} is over"))
                .with_code("run_over")
                .with_advice("Begin a new one: recordport run MAPPING"));
        }
        let state = State::at(now.counts, next_number, place);
        let route = keeping(route, &journal, &id);
        let pace = Pace::new(route.target.cx.clock.now(), state.counts.read, None);
        let run = Self { journal, id, mapping, plan, route, state, pace, _lock: lock };
        run.step(Step { state: Some((RunState::Running, None)), ..Step::default() }).await?;
        Ok(run)
    }
}

/// A route whose lookups keep in the journal what they create.
fn keeping(route: Route, journal: &Journal, id: &str) -> Route {
    let lookups = route.lookups.kept_in(std::sync::Arc::new(Made::new(journal, id)));
    Route { lookups, ..route }
}

/// An id that sorts by time.
fn new_id(plan: &Plan) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", plan.now.strftime("%Y%m%d-%H%M%S"), random.get(..6).unwrap_or_default())
}
