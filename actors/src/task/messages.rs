//! What a task's actor is started with and told.

use ractor::{ActorRef, RpcReplyPort};
use spark_events::domain::failure::Failure;
use spark_events::domain::task::{ComponentLog, TaskCommand, TaskSpec, WorkerEnd};
use spark_events::{Metadata, TaskId, WorkerId};

use crate::context::Shared;
use crate::error::DispatchError;
use crate::langflow::RunEnd;
use crate::remote::{Held, Receipt};
use crate::remote_worker::RemoteMessage;
use crate::requests::{Done, Terms};
use crate::tasks::TasksMessage;

/// The answer to a command about a task.
pub(crate) type TaskReply = RpcReplyPort<Result<Done<()>, DispatchError>>;

/// The answer to a report of a worker: given once what it says is durable, or known to be late.
pub(crate) struct ReceiptPort {
    port: RpcReplyPort<Receipt>,
    /// Whose report it is, where the worker is in another process.
    from: Option<Reporter>,
}

/// A worker in another process that reported something of an attempt.
struct Reporter {
    actor: ActorRef<RemoteMessage>,
    held: Held,
    /// Whether the report was its last one.
    last: bool,
}

impl ReceiptPort {
    /// For the worker of this process.
    pub(crate) fn here(port: RpcReplyPort<Receipt>) -> Self {
        Self { port, from: None }
    }

    /// For a worker in another process, by way of the actor that stands for it.
    pub(crate) fn remote(
        port: RpcReplyPort<Receipt>,
        actor: ActorRef<RemoteMessage>,
        held: Held,
        last: bool,
    ) -> Self {
        Self { port, from: Some(Reporter { actor, held, last }) }
    }

    /// Gives it. The worker's actor hears first that an attempt is over, so that a repeat finds it
    /// forgotten, whether or not somebody still waits for the answer.
    pub(crate) fn give(self, receipt: Receipt) {
        if let Some(Reporter { actor, held, last }) = self.from
            && (last || receipt == Receipt::Stale)
        {
            let _ = actor.cast(RemoteMessage::Over { held });
        }
        // One that does not wait any more asks again.
        let _ = self.port.send(receipt);
    }
}

/// Why an incarnation was started.
pub(crate) enum Start {
    /// The task is to be made.
    Create { spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply> },
    /// It was given a slot of this worker.
    Granted { worker: WorkerId },
    /// Somebody wants something of it.
    Command { command: TaskCommand, terms: Terms, reply: Option<TaskReply> },
    /// The incarnation before this one ended with its attempt.
    AttemptFailed(AttemptFailed),
    /// The incarnation before this one crashed.
    Crashed(String),
    /// The process started and found the task with an attempt under way.
    Boot,
}

/// What an incarnation fails with when its attempt did.
#[derive(thiserror::Error)]
#[error("attempt {attempt} failed: {failure}")]
pub(crate) struct AttemptFailed {
    pub(crate) attempt: u32,
    pub(crate) failure: Failure,
    pub(crate) log: Vec<ComponentLog>,
    /// Who is told once the failure is durable.
    pub(crate) reply: Option<ReceiptPort>,
}

impl std::fmt::Debug for AttemptFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("AttemptFailed");
        text.field("attempt", &self.attempt).field("failure", &self.failure).finish_non_exhaustive()
    }
}

/// What a task's actor is told.
pub(crate) enum TaskMessage {
    /// It was given a slot of this worker.
    Granted { worker: WorkerId },
    /// It is to be made, although it may exist.
    Create { spec: Box<TaskSpec>, metadata: Metadata, reply: Option<TaskReply> },
    /// Somebody wants something of it.
    Command { command: TaskCommand, terms: Terms, reply: Option<TaskReply> },
    /// The source took the attempt as a background job.
    Submitted { attempt: u32, job_id: String, reply: ReceiptPort },
    /// The attempt has ended.
    Ended { attempt: u32, end: Box<RunEnd>, reply: Option<ReceiptPort> },
    /// Its worker gives the attempt back.
    Released { attempt: u32, reply: ReceiptPort },
    /// Its worker never got the attempt.
    NeverArrived { attempt: u32 },
    /// This worker is gone; whether the attempt may have reached it.
    WorkerGone { worker: WorkerId, end: WorkerEnd, arrived: bool },
}

pub(crate) struct TaskArguments {
    pub(crate) id: TaskId,
    pub(crate) start: Start,
    pub(crate) context: Shared,
    pub(crate) tasks: ActorRef<TasksMessage>,
}
