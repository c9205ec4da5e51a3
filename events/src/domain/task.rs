//! A task: one execution of a flow, over all its attempts.
//!
//! ```text
//! Absent -> Pending -> Running -> Completed
//!                       |  ^ `---> Failed
//!                       v  |
//!                     Waiting         any open stage -> Cancelled
//! ```
//! A failed attempt leads to `Waiting` or `Failed` by the retry policy, in the same batch of
//! events. Completed, failed and cancelled tasks never change again: trying one again by hand
//! makes a new task that names the old one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Aggregate;
use super::failure::Failure;
use super::retry::{RetryDecision, RetryPolicy};
use crate::clock::{Timestamp, ms_between, plus_ms};
use crate::ids::{FlowId, ScheduleId, SourceId, TaskId, WorkerId};
use crate::limits;
use crate::payload::Payload;

mod command;
mod events;
#[cfg(test)]
mod tests;

pub use command::*;
pub use events::*;

/// What a task is to do. Fixed at creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The flow to run.
    pub flow_id: FlowId,
    /// The source that has the flow.
    pub source_id: SourceId,
    /// The input text, as a JSON string.
    pub input: Payload,
    /// Values set over the flow's own, by component and field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tweaks: Option<Value>,
    /// Who or what asked for it.
    pub trigger: Trigger,
    /// How often and how patiently it is tried.
    pub retry: RetryPolicy,
    /// The longest time of one attempt.
    pub timeout_ms: u64,
}

/// Who or what asked for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trigger {
    /// A person or a program, through the API.
    Manual,
    /// A due instant of a schedule.
    Occurrence {
        /// The schedule.
        schedule_id: ScheduleId,
        /// The due instant.
        due_at: Timestamp,
    },
    /// A person, through a schedule; takes no occurrence.
    ScheduleTriggered {
        /// The schedule.
        schedule_id: ScheduleId,
    },
    /// A due instant of the past, made up for by a backfill of a schedule.
    Backfill {
        /// The schedule.
        schedule_id: ScheduleId,
        /// The due instant.
        due_at: Timestamp,
        /// The backfill's number within the schedule.
        number: u32,
    },
    /// A person, to try an ended task again.
    RetryOf {
        /// The ended task.
        task_id: TaskId,
    },
}

impl Trigger {
    /// The schedule behind the task, if there is one.
    #[must_use]
    pub fn schedule_id(&self) -> Option<ScheduleId> {
        match self {
            Self::Occurrence { schedule_id, .. }
            | Self::ScheduleTriggered { schedule_id }
            | Self::Backfill { schedule_id, .. } => Some(*schedule_id),
            Self::Manual | Self::RetryOf { .. } => None,
        }
    }
}

/// How an attempt is made, which decides whether it can be taken up again after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallMode {
    /// LangFlow's background job API, with an idempotency key: can be re-attached.
    Background,
    /// One request that lasts as long as the run.
    Direct,
}

/// What became of the run at the source when its attempt was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteStop {
    /// No attempt was running.
    NotRunning,
    /// The source confirmed that it stopped the run.
    Stopped,
    /// The source offers no way to stop it, or did not confirm; it may run to its end.
    LeftRunning,
}

/// One component's part in an attempt, from the source's trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentLog {
    /// The component's display name.
    pub component: String,
    /// `ok` or `error`.
    pub status: String,
    /// When it started, as far as the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Its error message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The current attempt of a running task.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// Who makes the call.
    pub worker_id: WorkerId,
    /// How the call is made.
    pub mode: CallMode,
    /// When it was recorded as started.
    pub started_at: Timestamp,
    /// The background job at the source, once known.
    pub job_id: Option<String>,
    /// Whether somebody asked to stop it.
    pub cancel_requested: bool,
}

/// A task: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Task {
    /// Before its first event.
    #[default]
    Absent,
    /// Made, no attempt started yet.
    Pending {
        /// What to do.
        spec: Box<TaskSpec>,
    },
    /// An attempt is under way.
    Running {
        /// What to do.
        spec: Box<TaskSpec>,
        /// The attempt.
        attempt: Attempt,
    },
    /// The next attempt is scheduled.
    Waiting {
        /// What to do.
        spec: Box<TaskSpec>,
        /// Attempts so far.
        attempts: u32,
        /// When the next one may start.
        not_before: Timestamp,
    },
    /// Ended with a result.
    Completed {
        /// What was to do.
        spec: Box<TaskSpec>,
        /// Attempts it took.
        attempts: u32,
    },
    /// Ended without a result.
    Failed {
        /// What was to do.
        spec: Box<TaskSpec>,
        /// Attempts made.
        attempts: u32,
        /// The last failure.
        failure: Failure,
    },
    /// Stopped on request.
    Cancelled {
        /// What was to do.
        spec: Box<TaskSpec>,
        /// Attempts started.
        attempts: u32,
    },
}

impl Task {
    /// The stage in one word; `None` before the first event.
    #[must_use]
    pub fn status(&self) -> Option<TaskStatus> {
        match self {
            Self::Absent => None,
            Self::Pending { .. } => Some(TaskStatus::Pending),
            Self::Running { .. } => Some(TaskStatus::Running),
            Self::Waiting { .. } => Some(TaskStatus::Waiting),
            Self::Completed { .. } => Some(TaskStatus::Completed),
            Self::Failed { .. } => Some(TaskStatus::Failed),
            Self::Cancelled { .. } => Some(TaskStatus::Cancelled),
        }
    }

    /// What it is to do; `None` before the first event.
    #[must_use]
    pub fn spec(&self) -> Option<&TaskSpec> {
        match self {
            Self::Absent => None,
            Self::Pending { spec }
            | Self::Running { spec, .. }
            | Self::Waiting { spec, .. }
            | Self::Completed { spec, .. }
            | Self::Failed { spec, .. }
            | Self::Cancelled { spec, .. } => Some(spec),
        }
    }

    /// Attempts started so far, the running one included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Absent | Self::Pending { .. } => 0,
            Self::Running { attempt, .. } => attempt.number,
            Self::Waiting { attempts, .. }
            | Self::Completed { attempts, .. }
            | Self::Failed { attempts, .. }
            | Self::Cancelled { attempts, .. } => *attempts,
        }
    }

    fn stage(&self) -> Result<TaskStatus, TaskRejection> {
        match self.status() {
            None => Err(TaskRejection::Absent),
            Some(status) if status.is_ended() => Err(TaskRejection::Ended(status)),
            Some(status) => Ok(status),
        }
    }

    /// The running attempt, when it has this number.
    fn current(&self, got: u32) -> Result<(&TaskSpec, &Attempt), TaskRejection> {
        let status = self.stage()?;
        match self {
            Self::Running { spec, attempt } if attempt.number == got => Ok((spec, attempt)),
            Self::Running { .. } | Self::Waiting { .. } => {
                Err(TaskRejection::StaleAttempt { got, current: self.attempts() })
            }
            Self::Absent
            | Self::Pending { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => Err(TaskRejection::WrongStage(status)),
        }
    }

    fn create(&self, spec: Box<TaskSpec>) -> Result<Vec<TaskEvent>, TaskRejection> {
        match self.spec() {
            Some(existing) if *existing == *spec => return Ok(vec![]),
            Some(_) => return Err(TaskRejection::Exists),
            None => {}
        }
        spec.retry.validate()?;
        if spec.timeout_ms < 1_000 || spec.timeout_ms > limits::ATTEMPT_TIMEOUT_MS_MAX {
            return Err(TaskRejection::BadTimeout(spec.timeout_ms));
        }
        Ok(vec![TaskEvent::Created(spec)])
    }

    fn start(&self, started: TaskStarted, now: Timestamp) -> Result<Vec<TaskEvent>, TaskRejection> {
        let status = self.stage()?;
        let due = match self {
            Self::Pending { .. } => true,
            Self::Waiting { not_before, .. } => *not_before <= now,
            Self::Absent
            | Self::Running { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => false,
        };
        if !due {
            return Err(TaskRejection::WrongStage(status));
        }
        if started.attempt != self.attempts() + 1 {
            let (got, current) = (started.attempt, self.attempts());
            return Err(TaskRejection::StaleAttempt { got, current });
        }
        Ok(vec![TaskEvent::Started(started)])
    }

    fn fail(
        &self,
        number: u32,
        failure: Failure,
        log: Vec<ComponentLog>,
        jitter_ppm: u32,
        now: Timestamp,
    ) -> Result<Vec<TaskEvent>, TaskRejection> {
        let (spec, attempt) = self.current(number)?;
        let mut events = logged(number, log);
        if attempt.cancel_requested {
            // Whatever the attempt died of, the user asked for it to end: it is not tried again.
            events.push(TaskEvent::Cancelled(TaskCancelled {
                attempts: number,
                remote: RemoteStop::LeftRunning,
            }));
            return Ok(events);
        }
        let decision = spec.retry.decide(number, &failure, jitter_ppm);
        let duration_ms = ms_between(attempt.started_at, now);
        events.push(TaskEvent::AttemptFailed(TaskAttemptFailed {
            attempt: number,
            failure: failure.clone(),
            duration_ms,
        }));
        events.push(match decision {
            RetryDecision::After { delay_ms } => TaskEvent::RetryScheduled(TaskRetryScheduled {
                attempt: number + 1,
                not_before: plus_ms(now, delay_ms),
                delay_ms,
            }),
            RetryDecision::GiveUp(why) => {
                TaskEvent::Failed(TaskFailed { attempts: number, why, failure })
            }
        });
        Ok(events)
    }

    fn cancel(&self) -> Result<Vec<TaskEvent>, TaskRejection> {
        match self {
            Self::Cancelled { .. } => Ok(vec![]),
            Self::Running { attempt, .. } if attempt.cancel_requested => Ok(vec![]),
            Self::Running { attempt, .. } => {
                Ok(vec![TaskEvent::CancelRequested(TaskCancelRequested {
                    attempt: attempt.number,
                })])
            }
            Self::Absent
            | Self::Pending { .. }
            | Self::Waiting { .. }
            | Self::Completed { .. }
            | Self::Failed { .. } => {
                self.stage()?;
                Ok(vec![TaskEvent::Cancelled(TaskCancelled {
                    attempts: self.attempts(),
                    remote: RemoteStop::NotRunning,
                })])
            }
        }
    }
}

fn logged(attempt: u32, entries: Vec<ComponentLog>) -> Vec<TaskEvent> {
    if entries.is_empty() {
        return vec![];
    }
    vec![TaskEvent::LogRecorded(TaskLogRecorded { attempt, entries })]
}

impl Aggregate for Task {
    const CATEGORY: &'static str = TaskId::CATEGORY;
    type Command = TaskCommand;
    type Event = TaskEvent;
    type Rejection = TaskRejection;

    fn decide(
        &self,
        command: TaskCommand,
        now: Timestamp,
    ) -> Result<Vec<TaskEvent>, TaskRejection> {
        match command {
            TaskCommand::Create(spec) => self.create(spec),
            TaskCommand::Start { attempt, worker_id, mode, definition_hash } => {
                self.start(TaskStarted { attempt, worker_id, mode, definition_hash, at: now }, now)
            }
            TaskCommand::RecordJob { attempt, job_id } => {
                let (_, running) = self.current(attempt)?;
                if running.job_id.as_deref() == Some(job_id.as_str()) {
                    return Ok(vec![]);
                }
                Ok(vec![TaskEvent::Submitted(TaskSubmitted { attempt, job_id })])
            }
            TaskCommand::Reattach { attempt, worker_id } => {
                let (_, running) = self.current(attempt)?;
                if running.mode != CallMode::Background {
                    return Err(TaskRejection::WrongStage(TaskStatus::Running));
                }
                Ok(vec![TaskEvent::Reattached(TaskReattached { attempt, worker_id })])
            }
            TaskCommand::Complete { attempt, output, log } => {
                let (_, running) = self.current(attempt)?;
                let duration_ms = ms_between(running.started_at, now);
                let mut events = logged(attempt, log);
                events.push(TaskEvent::Completed(TaskCompleted { attempt, output, duration_ms }));
                Ok(events)
            }
            TaskCommand::Fail { attempt, failure, log, jitter_ppm } => {
                self.fail(attempt, failure, log, jitter_ppm, now)
            }
            TaskCommand::Cancel => self.cancel(),
            TaskCommand::RecordStopped { attempt, remote } => {
                let (_, running) = self.current(attempt)?;
                if !running.cancel_requested {
                    return Err(TaskRejection::WrongStage(TaskStatus::Running));
                }
                Ok(vec![TaskEvent::Cancelled(TaskCancelled { attempts: attempt, remote })])
            }
        }
    }

    fn evolve(self, event: &TaskEvent) -> Self {
        match (self, event) {
            (Self::Absent, TaskEvent::Created(spec)) => Self::Pending { spec: spec.clone() },
            (Self::Pending { spec } | Self::Waiting { spec, .. }, TaskEvent::Started(e)) => {
                let attempt = Attempt {
                    number: e.attempt,
                    worker_id: e.worker_id,
                    mode: e.mode,
                    started_at: e.at,
                    job_id: None,
                    cancel_requested: false,
                };
                Self::Running { spec, attempt }
            }
            (Self::Running { spec, attempt }, event) => running(spec, attempt, event),
            (Self::Pending { spec }, TaskEvent::Cancelled(_)) => {
                Self::Cancelled { spec, attempts: 0 }
            }
            (Self::Waiting { spec, attempts, .. }, TaskEvent::Cancelled(_)) => {
                Self::Cancelled { spec, attempts }
            }
            (state, _) => state,
        }
    }
}

/// The state that a running task's next event leads to.
fn running(spec: Box<TaskSpec>, mut attempt: Attempt, event: &TaskEvent) -> Task {
    let attempts = attempt.number;
    match event {
        TaskEvent::Submitted(e) => attempt.job_id = Some(e.job_id.clone()),
        TaskEvent::Reattached(e) => attempt.worker_id = e.worker_id,
        TaskEvent::CancelRequested(_) => attempt.cancel_requested = true,
        TaskEvent::RetryScheduled(e) => {
            return Task::Waiting { spec, attempts, not_before: e.not_before };
        }
        TaskEvent::Completed(_) => return Task::Completed { spec, attempts },
        TaskEvent::Failed(e) => {
            return Task::Failed { spec, attempts, failure: e.failure.clone() };
        }
        TaskEvent::Cancelled(_) => return Task::Cancelled { spec, attempts },
        TaskEvent::Created(_)
        | TaskEvent::Started(_)
        | TaskEvent::LogRecorded(_)
        | TaskEvent::AttemptFailed(_) => {}
    }
    Task::Running { spec, attempt }
}
