//! The built-in worker: makes the calls. Each run is a future of its own, so the mailbox stays
//! live for cancel; the handle that ends the future belongs to this actor.

use std::collections::HashMap;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use spark_events::TaskId;
use spark_events::domain::failure::FailureClass;
use spark_events::domain::task::CallMode;
use spark_events::limits::STOP_AFTER_TIMEOUT_MS_MAX;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::Instrument;

use crate::context::{Context, Shared};
use crate::langflow::RunEnd;
use crate::task::{ReceiptPort, TaskMessage};
use crate::work::{Assignment, execute, guarded, prepare};

/// What the worker is told.
pub(crate) enum WorkerMessage {
    /// Make this attempt.
    Run(Box<Assignment>),
    /// Stop an attempt for real where possible; its end is reported as usual.
    Cancel { task_id: TaskId },
    /// Drop an attempt without a word to anybody.
    Abort { task_id: TaskId },
    /// A run has ended and reported.
    Ended { task_id: TaskId, attempt: u32 },
    /// Take no more work; answer when all runs have ended that cannot be taken up again later.
    Quiesce(RpcReplyPort<()>),
}

struct Run {
    attempt: u32,
    mode: CallMode,
    cancel: watch::Sender<bool>,
    handle: AbortHandle,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

pub(crate) struct WorkerActor;

pub(crate) struct WorkerState {
    context: Shared,
    runs: HashMap<TaskId, Run>,
    quiescing: Vec<RpcReplyPort<()>>,
}

impl Actor for WorkerActor {
    type Msg = WorkerMessage;
    type State = WorkerState;
    type Arguments = Shared;

    async fn pre_start(
        &self,
        _: ActorRef<WorkerMessage>,
        context: Shared,
    ) -> Result<WorkerState, ActorProcessingErr> {
        Ok(WorkerState { context, runs: HashMap::new(), quiescing: vec![] })
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkerMessage>,
        message: WorkerMessage,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkerMessage::Run(assignment) => state.run(*assignment, myself),
            WorkerMessage::Cancel { task_id } => {
                if let Some(run) = state.runs.get(&task_id) {
                    run.cancel.send_replace(true);
                }
            }
            WorkerMessage::Abort { task_id } => {
                state.runs.remove(&task_id);
            }
            WorkerMessage::Ended { task_id, attempt } => {
                if state.runs.get(&task_id).is_some_and(|run| run.attempt == attempt) {
                    state.runs.remove(&task_id);
                }
            }
            WorkerMessage::Quiesce(reply) => {
                // Background runs live on at the source and are taken up again after the start.
                state.runs.retain(|_, run| run.mode == CallMode::Direct);
                state.quiescing.push(reply);
            }
        }
        if state.runs.is_empty() {
            for reply in state.quiescing.drain(..) {
                let _ = reply.send(());
            }
        }
        Ok(())
    }
}

impl WorkerState {
    fn run(&mut self, assignment: Assignment, myself: ActorRef<WorkerMessage>) {
        if !self.quiescing.is_empty() {
            return;
        }
        let (task_id, attempt) = (assignment.task_id, assignment.attempt.number);
        let mode = assignment.attempt.mode;
        let (cancel, cancelled) = watch::channel(false);
        let context = self.context.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the actor owns the handle and aborts on drop"
        )]
        let handle = tokio::spawn(async move {
            let span = tracing::info_span!("run", %task_id, attempt);
            let end = guarded(make(&context, &assignment, cancelled)).instrument(span).await;
            if let RunEnd::Failed { failure, .. } = &end
                && failure.class == FailureClass::Crashed
            {
                context.crashes.record(format!("run of task {task_id}: {}", failure.message));
            }
            // A task actor that has gone meanwhile was replaced by one that knows better.
            let _ = assignment.task.cast(TaskMessage::Ended {
                attempt,
                end: Box::new(end),
                reply: None,
            });
            let _ = myself.cast(WorkerMessage::Ended { task_id, attempt });
        })
        .abort_handle();
        self.runs.insert(task_id, Run { attempt, mode, cancel, handle });
    }
}

/// Makes one attempt.
async fn make(
    context: &Context,
    assignment: &Assignment,
    cancelled: watch::Receiver<bool>,
) -> RunEnd {
    let order = match prepare(context, assignment).await {
        Ok(order) => order,
        Err(failure) => return RunEnd::Failed { failure, log: vec![] },
    };
    let attempt = order.attempt;
    let submitted = async |job_id: String| {
        let message = |reply| {
            let reply = ReceiptPort::here(reply);
            TaskMessage::Submitted { attempt, job_id, reply }
        };
        let patience = Duration::from_millis(STOP_AFTER_TIMEOUT_MS_MAX);
        // The run goes on whatever came of the record: the idempotency key finds the job again.
        let _ = assignment.task.call(message, Some(patience)).await;
    };
    execute(order, context.catalog.http(), cancelled, submitted).await
}
