//! A task: one execution of a flow, over all its attempts.
//!
//! ```text
//! Absent -> Held -> Pending -> Running -> Completed
//!    `----------------^  |       |  ^ `---> Failed
//!                        v       v  |
//!                      Failed  Waiting     any open stage -> Cancelled
//! ```
//! A held task is pending to the outside; nothing happens to it until it is released.
//! A failed attempt leads to `Waiting` or `Failed` by the retry policy, in the same batch of
//! events; one that waits for an attempt for too long fails without another (see `deadlines.rs`).
//! Completed, failed and cancelled tasks never change again, except that they can be deleted:
//! trying one again by hand makes a new task that names the old one.

use super::Aggregate;
use super::failure::{Failure, FailureClass};
use super::retry::RetryDecision;
use crate::clock::{Timestamp, micros, ms_between, plus_ms};
use crate::ids::{TaskId, WorkerId};

mod command;
mod deadlines;
mod events;
mod evolve;
mod hand_over;
mod spec;
#[cfg(test)]
mod tests;

pub use command::*;
pub use deadlines::TimeLimits;
pub use events::*;
pub use hand_over::{HandOver, WorkerEnd};
pub use spec::*;

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
    /// The attempt before it whose background job it may find alive at the source.
    pub continues: Option<u32>,
    /// Whether it failed, and a background job of it may live on at the source.
    pub(super) left_a_job: bool,
}

impl Attempt {
    /// The attempt under whose key and session the source knows the call: its own number, or that
    /// of the attempt which it continues.
    #[must_use]
    pub fn known_as(&self) -> u32 {
        self.continues.unwrap_or(self.number)
    }

    /// Whether its failure leaves a background job behind that nobody has ended: its worker was
    /// lost, or it was to find such a job and never got as far.
    fn leaves_a_job(&self, failure: &Failure) -> bool {
        let was_lost = failure.class == FailureClass::WorkerLost;
        let never_found = self.continues.is_some() && self.job_id.is_none();
        self.mode == CallMode::Background && (was_lost || never_found)
    }
}

/// A task: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Task {
    /// Before its first event.
    #[default]
    Absent,
    /// Made, and not to start before somebody releases it.
    Held {
        /// What to do.
        spec: Box<TaskSpec>,
    },
    /// Made, no attempt started yet.
    Pending {
        /// What to do.
        spec: Box<TaskSpec>,
        /// When it was released, where it had been held.
        released_at: Option<Timestamp>,
    },
    /// An attempt is under way.
    Running {
        /// What to do.
        spec: Box<TaskSpec>,
        /// When it was released, where it had been held.
        released_at: Option<Timestamp>,
        /// The attempt.
        attempt: Attempt,
    },
    /// The next attempt is scheduled.
    Waiting {
        /// What to do.
        spec: Box<TaskSpec>,
        /// When it was released, where it had been held.
        released_at: Option<Timestamp>,
        /// Attempts so far.
        attempts: u32,
        /// When the next one may start.
        not_before: Timestamp,
        /// The attempt whose background job may live on, which the next one is to continue.
        continues: Option<u32>,
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
    /// Ended, and put out of sight.
    Deleted {
        /// What was to do.
        spec: Box<TaskSpec>,
        /// Attempts started.
        attempts: u32,
        /// How it had ended.
        status: TaskStatus,
    },
}

impl Task {
    /// The stage in one word; `None` before the first event.
    #[must_use]
    pub fn status(&self) -> Option<TaskStatus> {
        match self {
            Self::Absent => None,
            Self::Held { .. } | Self::Pending { .. } => Some(TaskStatus::Pending),
            Self::Running { .. } => Some(TaskStatus::Running),
            Self::Waiting { .. } => Some(TaskStatus::Waiting),
            Self::Completed { .. } => Some(TaskStatus::Completed),
            Self::Failed { .. } => Some(TaskStatus::Failed),
            Self::Cancelled { .. } => Some(TaskStatus::Cancelled),
            Self::Deleted { status, .. } => Some(*status),
        }
    }

    /// What it is to do; `None` before the first event.
    #[must_use]
    pub fn spec(&self) -> Option<&TaskSpec> {
        match self {
            Self::Absent => None,
            Self::Held { spec }
            | Self::Pending { spec, .. }
            | Self::Running { spec, .. }
            | Self::Waiting { spec, .. }
            | Self::Completed { spec, .. }
            | Self::Failed { spec, .. }
            | Self::Cancelled { spec, .. }
            | Self::Deleted { spec, .. } => Some(spec),
        }
    }

    /// Attempts started so far, the running one included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Absent | Self::Held { .. } | Self::Pending { .. } => 0,
            Self::Running { attempt, .. } => attempt.number,
            Self::Waiting { attempts, .. }
            | Self::Completed { attempts, .. }
            | Self::Failed { attempts, .. }
            | Self::Cancelled { attempts, .. }
            | Self::Deleted { attempts, .. } => *attempts,
        }
    }

    /// The attempt whose background job may live on at the source, so that the next attempt is to
    /// find it rather than have it done again.
    #[must_use]
    pub fn continues(&self) -> Option<u32> {
        match self {
            Self::Running { attempt, .. } => attempt.continues,
            Self::Waiting { continues, .. } => *continues,
            Self::Absent
            | Self::Held { .. }
            | Self::Pending { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Deleted { .. } => None,
        }
    }

    fn stage(&self) -> Result<TaskStatus, TaskRejection> {
        if matches!(self, Self::Deleted { .. }) {
            return Err(TaskRejection::Deleted);
        }
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
            Self::Running { spec, attempt, .. } if attempt.number == got => Ok((spec, attempt)),
            Self::Running { .. } | Self::Waiting { .. } => {
                Err(TaskRejection::StaleAttempt { got, current: self.attempts() })
            }
            Self::Absent
            | Self::Held { .. }
            | Self::Pending { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Deleted { .. } => Err(TaskRejection::WrongStage(status)),
        }
    }

    fn create(
        &self,
        mut spec: Box<TaskSpec>,
        now: Timestamp,
    ) -> Result<Vec<TaskEvent>, TaskRejection> {
        match self.spec() {
            Some(existing) if existing.asks_the_same(&spec) => return Ok(vec![]),
            Some(_) => return Err(TaskRejection::Exists),
            None => {}
        }
        spec.validate()?;
        spec.created_at = Some(micros(now));
        Ok(vec![TaskEvent::Created(spec)])
    }

    fn start(&self, started: TaskStarted, now: Timestamp) -> Result<Vec<TaskEvent>, TaskRejection> {
        let status = self.stage()?;
        let due = match self {
            Self::Pending { .. } => true,
            Self::Waiting { not_before, .. } => *not_before <= now,
            Self::Absent
            | Self::Held { .. }
            | Self::Running { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Deleted { .. } => false,
        };
        if !due {
            return Err(TaskRejection::WrongStage(status));
        }
        if let Some(end) = self.expired(now) {
            return Ok(vec![end]);
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
        let decision = spec.retry.decide(number, &failure, jitter_ppm, self.total_left_ms(now));
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
            | Self::Held { .. }
            | Self::Pending { .. }
            | Self::Waiting { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Deleted { .. } => self.terminate(),
        }
    }

    fn terminate(&self) -> Result<Vec<TaskEvent>, TaskRejection> {
        if matches!(self, Self::Cancelled { .. }) {
            return Ok(vec![]);
        }
        let is_running = self.stage()? == TaskStatus::Running;
        let remote = if is_running { RemoteStop::LeftRunning } else { RemoteStop::NotRunning };
        Ok(vec![TaskEvent::Cancelled(TaskCancelled { attempts: self.attempts(), remote })])
    }

    fn release(&self, now: Timestamp) -> Result<Vec<TaskEvent>, TaskRejection> {
        self.stage()?;
        match self {
            Self::Held { .. } => Ok(vec![TaskEvent::Released(TaskReleased { at: micros(now) })]),
            Self::Absent
            | Self::Pending { .. }
            | Self::Running { .. }
            | Self::Waiting { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Deleted { .. } => Ok(vec![]),
        }
    }

    fn delete(&self) -> Result<Vec<TaskEvent>, TaskRejection> {
        match (self, self.status()) {
            (_, None) => Err(TaskRejection::Absent),
            (Self::Deleted { .. }, _) => Ok(vec![]),
            (_, Some(status)) if status.is_ended() => Ok(vec![TaskEvent::Deleted(TaskDeleted {})]),
            (_, Some(status)) => Err(TaskRejection::StillOpen(status)),
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
            TaskCommand::Create(spec) => self.create(spec, now),
            TaskCommand::Start { attempt, worker_id, mode, definition_hash } => {
                let continues = self.continues().filter(|_| mode == CallMode::Background);
                let at = now;
                let started =
                    TaskStarted { attempt, worker_id, mode, definition_hash, continues, at };
                self.start(started, now)
            }
            TaskCommand::RecordJob { attempt, job_id } => {
                let (_, running) = self.current(attempt)?;
                if running.job_id.as_deref() == Some(job_id.as_str()) {
                    return Ok(vec![]);
                }
                Ok(vec![TaskEvent::Submitted(TaskSubmitted { attempt, job_id })])
            }
            TaskCommand::Reattach { attempt, worker_id } => {
                self.current(attempt)?;
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
            TaskCommand::Terminate => self.terminate(),
            TaskCommand::Release => self.release(now),
            TaskCommand::Expire => {
                self.stage()?;
                Ok(self.expired(now).into_iter().collect())
            }
            TaskCommand::Delete => self.delete(),
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
        evolve::evolve(self, event)
    }
}
