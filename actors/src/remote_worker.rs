//! Stands for a worker in another process: what was handed to it, what is on its way to it, and
//! whether it is still heard. The worker asks; nothing is sent to it otherwise. Records nothing:
//! tasks record what is reported, and the supervisor records how a worker ends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use spark_events::domain::failure::Failure;
use spark_events::domain::worker::{WorkerStage, WorkerStarted};
use spark_events::limits::WORKER_POLL_GAP_MS_MAX;
use spark_events::{TaskId, WorkerId};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::context::Shared;
use crate::dispatch::Desk;
use crate::langflow::RunEnd;
use crate::remote::{Delivered, Held, News, Poll, Receipt, Report, WorkerStatus};
use crate::task::{ReceiptPort, TaskMessage};
use crate::tasks::TasksMessage;
use crate::work::{Assignment, prepare};
use crate::workers::WorkersMessage;
use crate::workforce::Pulse;

mod outbox;
mod polls;

use outbox::Outbox;

/// How long after a silence that could not be recorded it is tried again.
const SILENT_AGAIN: Duration = Duration::from_secs(1);

/// A timer that comes so late tells that the server stood still: stopped, swapped out, or starved.
const STALL_MIN: Duration = Duration::from_secs(1);

/// What the actor is told.
pub(crate) enum RemoteMessage {
    /// Make this attempt.
    Run(Box<Assignment>),
    /// The order of an attempt is ready to be sent, as JSON.
    Prepared { held: Held, order: Result<Bytes, Failure> },
    /// Stop an attempt for real where possible; its end is reported as usual.
    Cancel { task_id: TaskId },
    /// Drop an attempt without a word to anybody.
    Abort { task_id: TaskId },
    /// It had this attempt when the server ended.
    Expect { held: Held, cancelled: bool, task: ActorRef<TaskMessage> },
    /// The worker asks for work; the answer is the JSON of a [`crate::remote::Polled`].
    Poll { number: u64, poll: Poll, reply: oneshot::Sender<Bytes> },
    /// Nobody waits any more for the answer to this poll.
    PollDropped { number: u64 },
    /// The worker says what became of attempts. Each receipt comes when it is due.
    Reports { items: Vec<Report>, reply: RpcReplyPort<Vec<oneshot::Receiver<Receipt>>> },
    /// The end of an attempt is durable, or the attempt is somebody else's.
    Over { held: Held },
    /// The worker is gone: the tasks whose attempts may have reached it.
    Retire(RpcReplyPort<HashSet<TaskId>>),
    /// What the worker is to be from now on.
    Stage(WorkerStage),
    /// The worker was heard.
    Seen,
    /// Everything that was on its way to here has come.
    Flush,
    /// An instant of the own timer has come.
    Tick,
    /// The server ends: answer what waits, and take no new work.
    Quiesce(RpcReplyPort<()>),
}

/// What the actor is started with.
pub(crate) struct RemoteArguments {
    pub(crate) id: WorkerId,
    pub(crate) started: Arc<WorkerStarted>,
    pub(crate) stage: WorkerStage,
    pub(crate) session: Uuid,
    /// Tasks that it had when the server ended; `None` for one that has just come.
    pub(crate) had: Option<HashSet<TaskId>>,
    pub(crate) context: Shared,
    pub(crate) tasks: ActorRef<TasksMessage>,
    pub(crate) workers: ActorRef<WorkersMessage>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) times: Times,
}

/// The times that a worker is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The silence after which it is lost.
    pub(crate) lost_after: Duration,
    /// The longest wait of a poll.
    pub(crate) poll: Duration,
}

/// How far the hand-over of an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its order is being put together.
    Preparing { cancelled: bool },
    /// It stands in the outbox, or was taken out by the worker.
    Handed,
    /// The worker has reported its last of it, and that is on its way into the log.
    Ending,
    /// The worker had it before the server started, and has not said yet whether it has it still.
    Expected { cancelled: bool },
}

struct Entry {
    attempt: u32,
    task: ActorRef<TaskMessage>,
    progress: Progress,
}

/// A poll that waits.
struct Parked {
    number: u64,
    reply: oneshot::Sender<Bytes>,
    until: Instant,
    /// What the worker holds, to be compared as soon as all of its tasks are known here.
    holding: Option<Vec<Held>>,
}

pub(crate) struct RemoteState {
    id: WorkerId,
    desk: Desk,
    stage: WorkerStage,
    session: Uuid,
    context: Shared,
    tasks: ActorRef<TasksMessage>,
    workers: ActorRef<WorkersMessage>,
    pulse: Arc<Pulse>,
    times: Times,
    handed: HashMap<TaskId, Entry>,
    outbox: Outbox,
    /// Tasks that it had when the server ended and whose actors have not come up yet.
    booting: HashSet<TaskId>,
    /// Whether it has said what it holds, where it has been there before this server.
    synced: bool,
    parked: Option<Parked>,
    /// The last poll, and when its answer was given; `None` where nobody took the answer.
    last_poll: u64,
    answered: Option<Instant>,
    told: WorkerStatus,
    /// Whether it says that it is about to leave.
    leaving: bool,
    seen: Instant,
    flushing: bool,
    quiescing: bool,
    timer: Option<(Instant, AbortHandle)>,
}

pub(crate) struct RemoteWorker;

impl Actor for RemoteWorker {
    type Msg = RemoteMessage;
    type State = RemoteState;
    type Arguments = RemoteArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RemoteMessage>,
        arguments: RemoteArguments,
    ) -> Result<RemoteState, ActorProcessingErr> {
        let RemoteArguments { id, started, stage, session, had, .. } = arguments;
        let RemoteArguments { context, tasks, workers, pulse, times, .. } = arguments;
        let (slots, labels) = (started.slots, started.labels.clone());
        let mut state = RemoteState {
            id,
            desk: Desk { slots, labels, accepting: false },
            stage,
            session,
            context,
            tasks,
            workers,
            pulse,
            times,
            handed: HashMap::new(),
            outbox: Outbox::default(),
            synced: had.is_none(),
            booting: had.unwrap_or_default(),
            parked: None,
            last_poll: 0,
            answered: None,
            told: WorkerStatus::Active,
            leaving: false,
            seen: Instant::now(),
            flushing: false,
            quiescing: false,
            timer: None,
        };
        let _ = state.tasks.cast(TasksMessage::SetWorker { id, desk: state.desk.clone() });
        state.arm(&myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<RemoteMessage>,
        message: RemoteMessage,
        state: &mut RemoteState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RemoteMessage::Run(assignment) => state.run(*assignment, myself.clone()),
            RemoteMessage::Prepared { held, order } => state.prepared(held, order),
            RemoteMessage::Cancel { task_id } => state.cancel(task_id),
            RemoteMessage::Abort { task_id } => state.abort(task_id),
            RemoteMessage::Expect { held, cancelled, task } => {
                let Held { task_id, attempt } = held;
                let progress = Progress::Expected { cancelled };
                state.handed.insert(task_id, Entry { attempt, task, progress });
                state.booted(task_id);
            }
            RemoteMessage::Poll { number, poll, reply } => state.poll(number, poll, reply),
            RemoteMessage::PollDropped { number } => {
                if state.last_poll == number {
                    (state.parked, state.answered) = (None, None);
                }
            }
            RemoteMessage::Reports { items, reply } => {
                state.heard();
                let receipt = |report| state.report(report, &myself);
                let receipts = items.into_iter().map(receipt).collect();
                let _ = reply.send(receipts);
            }
            RemoteMessage::Over { held } => state.forget(held),
            RemoteMessage::Retire(reply) => {
                let _ = reply.send(state.arrived());
            }
            RemoteMessage::Stage(stage) => state.stage = stage,
            RemoteMessage::Seen => state.heard(),
            RemoteMessage::Flush => {
                state.flushing = false;
                if state.outbox.has_news() {
                    state.answer();
                }
            }
            RemoteMessage::Tick => state.tick(),
            RemoteMessage::Quiesce(reply) => {
                state.quiescing = true;
                state.answer();
                let _ = reply.send(());
            }
        }
        state.after(&myself);
        Ok(())
    }
}

impl RemoteState {
    fn heard(&mut self) {
        self.seen = Instant::now();
        self.pulse.seen(self.context.clock.now());
    }

    fn run(&mut self, assignment: Assignment, myself: ActorRef<RemoteMessage>) {
        let (task_id, attempt) = (assignment.task_id, assignment.attempt.number);
        let (task, progress) = (assignment.task.clone(), Progress::Preparing { cancelled: false });
        self.handed.insert(task_id, Entry { attempt, task, progress });
        let context = self.context.clone();
        let held = Held { task_id, attempt };
        #[expect(
            clippy::disallowed_methods,
            reason = "reads a payload or two and ends; whatever came of it is told to the actor"
        )]
        tokio::spawn(async move {
            let order = prepare(&context, &assignment).await;
            let order = order.and_then(|order| outbox::json(&Delivered::Run(Box::new(order))));
            // Where the worker is gone, its tasks hear of that otherwise.
            let _ = myself.cast(RemoteMessage::Prepared { held, order });
        });
    }

    fn prepared(&mut self, held: Held, order: Result<Bytes, Failure>) {
        let Some(entry) = self.handed.get_mut(&held.task_id) else { return };
        let Progress::Preparing { cancelled } = entry.progress else { return };
        if entry.attempt != held.attempt {
            return;
        }
        match order {
            Ok(order) => {
                entry.progress = Progress::Handed;
                self.outbox.push(held, order);
                if cancelled {
                    self.outbox.tell(held, Delivered::Cancel(held));
                }
            }
            Err(failure) => {
                let end = Box::new(RunEnd::Failed { failure, log: vec![] });
                let attempt = held.attempt;
                let _ = entry.task.cast(TaskMessage::Ended { attempt, end, reply: None });
                self.handed.remove(&held.task_id);
            }
        }
    }

    fn cancel(&mut self, task_id: TaskId) {
        let Some(entry) = self.handed.get_mut(&task_id) else { return };
        match &mut entry.progress {
            Progress::Preparing { cancelled } | Progress::Expected { cancelled } => {
                *cancelled = true;
            }
            Progress::Handed => {
                let held = Held { task_id, attempt: entry.attempt };
                self.outbox.tell(held, Delivered::Cancel(held));
            }
            Progress::Ending => {}
        }
    }

    fn abort(&mut self, task_id: TaskId) {
        self.booted(task_id);
        let Some(entry) = self.handed.remove(&task_id) else { return };
        if entry.progress == Progress::Handed {
            let held = Held { task_id, attempt: entry.attempt };
            self.outbox.abort(held);
        }
    }

    fn forget(&mut self, held: Held) {
        if self.handed.get(&held.task_id).is_some_and(|entry| entry.attempt == held.attempt) {
            self.handed.remove(&held.task_id);
        }
    }

    /// The tasks whose attempts the worker may have had.
    fn arrived(&self) -> HashSet<TaskId> {
        let has = |(&task_id, entry): (&TaskId, &Entry)| {
            let held = Held { task_id, attempt: entry.attempt };
            let arrived = match entry.progress {
                Progress::Preparing { .. } => false,
                Progress::Handed => !self.outbox.is_unsent(held),
                Progress::Ending | Progress::Expected { .. } => true,
            };
            arrived.then_some(task_id)
        };
        self.handed.iter().filter_map(has).collect()
    }

    /// Takes a report to its task, which gives the receipt.
    fn report(
        &mut self,
        report: Report,
        myself: &ActorRef<RemoteMessage>,
    ) -> oneshot::Receiver<Receipt> {
        if self.quiescing {
            // The tasks' actors are ending: the next server records it.
            return settled(Receipt::Retry);
        }
        let Report { task_id, attempt, what } = report;
        let entry = self.handed.get_mut(&task_id).filter(|entry| entry.attempt == attempt);
        let Some(entry) = entry else {
            let is_early = self.booting.contains(&task_id);
            return settled(if is_early { Receipt::Retry } else { Receipt::Stale });
        };
        if entry.progress == Progress::Ending {
            // Said again while the log takes its time: once is enough.
            return settled(Receipt::Retry);
        }
        let last = !matches!(what, News::Submitted { .. });
        let (sender, receipt) = oneshot::channel();
        let held = Held { task_id, attempt };
        let reply = ReceiptPort::remote(sender.into(), myself.clone(), held, last);
        let message = match what {
            News::Submitted { job_id } => TaskMessage::Submitted { attempt, job_id, reply },
            News::Ended(end) => TaskMessage::Ended { attempt, end, reply: Some(reply) },
            News::Released => TaskMessage::Released { attempt, reply },
        };
        if entry.task.cast(message).is_err() {
            // The task has another actor by now, which says what becomes of the attempt.
            return settled(Receipt::Retry);
        }
        if last {
            entry.progress = Progress::Ending;
        }
        receipt
    }

    fn is_polling(&self) -> bool {
        let gap = Duration::from_millis(WORKER_POLL_GAP_MS_MAX);
        self.parked.is_some() || self.answered.is_some_and(|at| at.elapsed() < gap)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if let Some((due, _)) = self.timer.take() {
            // While the server itself stood still it could hear nobody, so that is no silence.
            self.seen += now.saturating_duration_since(due).saturating_sub(STALL_MIN);
        }
        if self.parked.as_ref().is_some_and(|parked| parked.until <= now) {
            self.answer();
        } else if self.parked.is_none() && self.seen + self.times.lost_after <= now {
            let seen_at = self.pulse.seen_at();
            let _ = self.workers.cast(WorkersMessage::Silent { id: self.id, seen_at });
        }
    }

    /// What follows from any message.
    fn after(&mut self, myself: &ActorRef<RemoteMessage>) {
        if let Some(parked) = &self.parked {
            if self.told != self.status() && parked.holding.is_none() {
                self.answer();
            } else if self.outbox.has_news() && !self.flushing {
                // Behind everything that has arrived, so that what was granted together travels
                // together.
                self.flushing = myself.cast(RemoteMessage::Flush).is_ok();
            }
        }
        let accepting = self.synced
            && self.stage == WorkerStage::Active
            && !self.quiescing
            && !self.leaving
            && self.is_polling();
        if accepting != self.desk.accepting {
            self.desk.accepting = accepting;
            self.pulse.set_accepting(accepting);
            let desk = self.desk.clone();
            let _ = self.tasks.cast(TasksMessage::SetWorker { id: self.id, desk });
        }
        self.arm(myself);
    }

    /// Arms the timer for the next instant at which something is due without a message.
    fn arm(&mut self, myself: &ActorRef<RemoteMessage>) {
        let now = Instant::now();
        let gap = Duration::from_millis(WORKER_POLL_GAP_MS_MAX);
        let waiting = self.parked.as_ref().map(|parked| parked.until);
        let accepting = self.answered.filter(|_| self.desk.accepting).map(|at| at + gap);
        let lost = self.seen + self.times.lost_after;
        let lost = if lost > now { lost } else { now + SILENT_AGAIN };
        let next = waiting.or(accepting).map_or(lost, |at| at.min(lost));
        if self.timer.as_ref().is_some_and(|(at, _)| *at <= next) {
            return;
        }
        if let Some((_, old)) = self.timer.take() {
            old.abort();
        }
        let ahead = next.saturating_duration_since(now);
        let handle = myself.send_after(ahead, || RemoteMessage::Tick).abort_handle();
        self.timer = Some((next, handle));
    }
}

/// A receipt that needs no waiting.
fn settled(receipt: Receipt) -> oneshot::Receiver<Receipt> {
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(receipt);
    receiver
}
