//! The attempts that a worker has: running, or ended and not yet answered by the server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use spark_actors::langflow::RunEnd;
use spark_actors::remote::Held;
use spark_actors::{WorkOrder, execute, guarded};
use spark_events::domain::task::CallMode;
use spark_events::limits::STOP_AFTER_TIMEOUT_MS_MAX;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::reporter::Reporter;

struct Run {
    mode: CallMode,
    cancel: watch::Sender<bool>,
    handle: AbortHandle,
    released: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        // Ends our part; a background job at the source goes on.
        self.handle.abort();
    }
}

/// All of them. Dropping it drops them without a word to anybody.
pub(super) struct Runs {
    http: reqwest::Client,
    reporter: Reporter,
    runs: HashMap<Held, Run>,
}

impl Runs {
    pub(super) fn new(http: reqwest::Client, reporter: Reporter) -> Self {
        Self { http, reporter, runs: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What the server is to know that it is here.
    pub(super) fn holding(&self) -> Vec<Held> {
        self.runs.iter().filter(|(_, run)| !run.released).map(|(held, _)| *held).collect()
    }

    /// Makes an attempt, unless it is being made.
    #[expect(clippy::disallowed_methods, reason = "the run owns the handle and aborts on drop")]
    pub(super) fn start(&mut self, order: WorkOrder) {
        let held = Held { task_id: order.task_id, attempt: order.attempt };
        if self.runs.contains_key(&held) {
            return;
        }
        let mode = order.mode();
        let (cancel, cancelled) = watch::channel(order.cancelled);
        let (http, reporter) = (self.http.clone(), self.reporter.clone());
        let handle = tokio::spawn(async move {
            let begun = Instant::now();
            let submitted = async |job_id: String| {
                let patience = Duration::from_millis(STOP_AFTER_TIMEOUT_MS_MAX);
                let _ = tokio::time::timeout(patience, reporter.submitted(held, job_id)).await;
            };
            let run = guarded(execute(order, &http, cancelled, submitted));
            let end = Box::pin(run).await;
            note(held, &end, begun.elapsed());
            reporter.ended(held, end);
        })
        .abort_handle();
        self.runs.insert(held, Run { mode, cancel, handle, released: false });
    }

    /// Stops an attempt for real where possible; its end is reported as usual.
    pub(super) fn cancel(&self, held: Held) {
        if let Some(run) = self.runs.get(&held) {
            run.cancel.send_replace(true);
        }
    }

    /// Forgets an attempt: it was answered, or is not ours.
    pub(super) fn drop_run(&mut self, held: Held) {
        self.runs.remove(&held);
    }

    /// Gives back what can be taken up again elsewhere; with `all`, direct runs too. What has ended
    /// stays: its report is under way.
    pub(super) fn release(&mut self, all: bool) {
        for (held, run) in &mut self.runs {
            let may = all || run.mode == CallMode::Background;
            if may && !run.released && !run.handle.is_finished() {
                run.handle.abort();
                run.released = true;
                self.reporter.released(*held);
            }
        }
    }
}

/// One line for each end, without anything that the run said.
fn note(held: Held, end: &RunEnd, took: Duration) {
    let Held { task_id, attempt } = held;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match end {
        RunEnd::Completed { .. } => {
            tracing::debug!(task = %task_id, attempt, took_ms, "completed");
        }
        RunEnd::Failed { failure, .. } => {
            tracing::info!(task = %task_id, attempt, took_ms, class = %failure.class, "failed");
        }
        RunEnd::Cancelled { .. } => {
            tracing::info!(task = %task_id, attempt, took_ms, "cancelled");
        }
    }
}
