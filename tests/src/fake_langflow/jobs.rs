//! Every run that a server remembers, and the background jobs among them: queue, idempotency
//! keys, stop.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::Began;
use super::run::{Mode, Run, Stage, execute};
use super::state::{State, lock, spawn};

/// How many runs are remembered; beyond it the oldest that have ended are forgotten.
const RUNS_MAX: usize = 20_000;

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Arc<Run>>,
    in_order: VecDeque<Arc<Run>>,
    /// The job that each idempotency key began last.
    keys: HashMap<String, Arc<Run>>,
}

/// The runs of a server.
pub(super) struct Runs {
    known: Mutex<Known>,
    slots: Semaphore,
}

impl Runs {
    pub(super) fn new(jobs_at_once: usize) -> Self {
        Self { known: Mutex::new(Known::default()), slots: Semaphore::new(jobs_at_once) }
    }

    pub(super) fn keep(&self, run: &Arc<Run>) {
        let mut known = lock(&self.known);
        known.by_id.insert(run.id.clone(), Arc::clone(run));
        known.in_order.push_back(Arc::clone(run));
        if known.in_order.len() > RUNS_MAX {
            let Some(oldest) = known.in_order.pop_front() else {
                return;
            };
            if oldest.stage().is_final() {
                known.by_id.remove(&oldest.id);
            } else {
                known.in_order.push_back(oldest);
            }
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Run>> {
        lock(&self.known).by_id.get(id).map(Arc::clone)
    }

    /// All remembered runs that `wanted` picks, oldest first.
    pub(super) fn pick(&self, wanted: impl Fn(&Run) -> bool) -> Vec<Arc<Run>> {
        lock(&self.known).in_order.iter().filter(|run| wanted(run)).map(Arc::clone).collect()
    }

    /// The job that this key holds. A key is free again after a failure or a stop; it is looked up
    /// without regard to the flow, as the real server does.
    pub(super) fn held_by(&self, key: &str) -> Option<Arc<Run>> {
        let known = lock(&self.known);
        let run = known.keys.get(key)?;
        let held = matches!(run.stage(), Stage::Queued | Stage::Running | Stage::Completed);
        held.then(|| Arc::clone(run))
    }

    pub(super) fn hold(&self, key: String, run: &Arc<Run>) {
        lock(&self.known).keys.insert(key, Arc::clone(run));
    }

    pub(super) fn lose_running(&self) {
        for run in self.pick(|run| !run.stage().is_final()) {
            run.lose();
        }
    }

    pub(super) fn began(&self, flow_name: &str) -> Vec<Began> {
        let runs = self.pick(|run| run.flow.name == flow_name && run.has_begun());
        let began = runs.iter().map(|run| Began {
            run_id: run.id.clone(),
            session_id: run.session().to_owned(),
            input: run.ask.input_value.clone().unwrap_or_default(),
        });
        began.collect()
    }

    pub(super) fn jobs(&self) -> Vec<(String, String)> {
        let jobs = self.pick(|run| run.mode == Mode::Background);
        jobs.iter().map(|run| (run.id.clone(), run.stage().name().to_owned())).collect()
    }
}

/// Starts a background job, or queues it while all slots are taken.
pub(super) fn submit(state: &Arc<State>, run: &Arc<Run>) {
    let task = spawn({
        let (state, run) = (Arc::clone(state), Arc::clone(run));
        async move {
            let _slot = state.runs.slots.acquire().await;
            execute(Arc::clone(&state), run).await;
        }
    });
    run.carried_by(task.abort_handle());
}

/// Runs to the end, whether or not the caller stays.
pub(super) async fn run_through(state: &Arc<State>, run: &Arc<Run>) {
    let course = execute(Arc::clone(state), Arc::clone(run));
    if run.flow.plan.instant && state.options.latency.is_zero() {
        course.await;
    } else {
        drop(spawn(course).await);
    }
}
