//! The built-in worker: makes the calls. Each run is a future of its own, so the mailbox stays
//! live for cancel; the handle that ends the future belongs to this actor.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::source::Capabilities;
use spark_events::domain::task::{CallMode, RemoteStop};
use spark_events::payload::{self, Payload};
use spark_events::{FlowId, TaskId};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::client::Runner;
use crate::context::Shared;
use crate::definition;
use crate::langflow::{RunEnd, RunRequest};
use crate::task::TaskMessage;

/// How long a run that reached its time limit may take to stop at the source.
const STOP_AFTER_TIMEOUT: Duration = Duration::from_secs(15);

/// One attempt, ready to be made.
pub(crate) struct Assignment {
    pub(crate) task_id: TaskId,
    pub(crate) attempt: u32,
    pub(crate) client: Runner,
    pub(crate) capabilities: Capabilities,
    /// The request; its input is filled in from `input`.
    pub(crate) request: RunRequest,
    pub(crate) input: Payload,
    /// The text stored in the flow's own input, sent where the task has none: a background job
    /// that is sent no text would otherwise run with an empty one.
    pub(crate) stored_input: Option<String>,
    /// The flow and the hash of the definition to run, where it is not the present one.
    pub(crate) definition: Option<(FlowId, String)>,
    pub(crate) time: TimeLimit,
    /// Whether somebody asked to stop it before it was taken up again.
    pub(crate) cancelled: bool,
    /// Who hears of it.
    pub(crate) task: ActorRef<TaskMessage>,
}

/// How long an attempt may take, and which of the task's limits says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimit {
    pub(crate) ms: u64,
    pub(crate) of: &'static str,
}

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
        let (task_id, attempt) = (assignment.task_id, assignment.attempt);
        let mode = assignment.request.mode;
        let (cancel, cancelled) = watch::channel(assignment.cancelled);
        let context = self.context.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the actor owns the handle and aborts on drop"
        )]
        let handle = tokio::spawn(async move {
            let task = assignment.task.clone();
            let run = make(assignment, &context, cancelled);
            let end = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
                let what = panic_text(panic.as_ref());
                context.crashes.record(format!("run of task {task_id}: {what}"));
                failed(FailureClass::Crashed, format!("the run crashed: {what}"))
            });
            // A task actor that has gone meanwhile was replaced by one that knows better.
            let _ = task.cast(TaskMessage::Ended { attempt, end: Box::new(end) });
            let _ = myself.cast(WorkerMessage::Ended { task_id, attempt });
        })
        .abort_handle();
        self.runs.insert(task_id, Run { attempt, mode, cancel, handle });
    }
}

/// Makes one attempt within its time limit.
async fn make(
    assignment: Assignment,
    context: &Shared,
    cancelled: watch::Receiver<bool>,
) -> RunEnd {
    let Assignment { attempt, client, capabilities, mut request, input, time, task, .. } =
        assignment;
    let (timeout, mut stored_input) = (Duration::from_millis(time.ms), assignment.stored_input);
    if let Some((flow, hash)) = assignment.definition
        && let Runner::LangFlow(langflow) = &client
    {
        match definition::prepare(context, flow, &hash, langflow, &mut request).await {
            Ok(input) => stored_input = input,
            Err(failure) => return RunEnd::Failed { failure, log: vec![] },
        }
    }
    match payload::load(context.log.as_ref(), &input).await {
        Ok(serde_json::Value::String(text)) => request.input = text,
        Ok(other) => request.input = other.to_string(),
        Err(error) => {
            return failed(FailureClass::Gone, format!("the input cannot be read: {error}"));
        }
    }
    if request.input.is_empty() {
        request.input = stored_input.unwrap_or_default();
    }
    // Two reasons to stop, one signal for the client: the user's wish or the time limit.
    let (stop, stopped) = watch::channel(*cancelled.borrow());
    let stop = Arc::new(stop);
    let forward = forward(cancelled.clone(), stop.clone());
    let submitted = async |job_id: String| {
        let message = |reply| TaskMessage::Submitted { attempt, job_id, reply };
        // The run goes on whatever came of the record: the idempotency key finds the job again.
        let _ = task.call(message, Some(STOP_AFTER_TIMEOUT)).await;
    };
    let run = client.run(context.log.as_ref(), &capabilities, &request, stopped, submitted);
    let timed = async {
        tokio::pin!(run);
        match tokio::time::timeout(timeout, &mut run).await {
            Ok(end) => end,
            Err(_) => {
                stop.send_replace(true);
                let left = tokio::time::timeout(STOP_AFTER_TIMEOUT, run).await;
                timed_out(time, left.ok())
            }
        }
    };
    tokio::select! {
        end = timed => end,
        never = forward => never,
    }
}

/// Hands the user's wish to stop on to the client; never ends.
async fn forward(mut cancelled: watch::Receiver<bool>, stop: Arc<watch::Sender<bool>>) -> RunEnd {
    if cancelled.wait_for(|wish| *wish).await.is_ok() {
        stop.send_replace(true);
    }
    std::future::pending().await
}

/// What a run that reached its time limit is reported as. A result that came in the last moment
/// counts: it was paid for.
fn timed_out(time: TimeLimit, left: Option<RunEnd>) -> RunEnd {
    let remote = match left {
        Some(end @ RunEnd::Completed { .. }) => return end,
        Some(RunEnd::Cancelled { remote: RemoteStop::Stopped }) => "the source stopped the run",
        _ => "the run may go on at the source",
    };
    let seconds = Duration::from_millis(time.ms).as_secs_f64();
    failed(FailureClass::Timeout, format!("no result within {seconds} s ({}); {remote}", time.of))
}

pub(crate) fn failed(class: FailureClass, message: String) -> RunEnd {
    RunEnd::Failed { failure: Failure::new(class, message), log: vec![] }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
