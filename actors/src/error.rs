//! What a caller of [`crate::Spark`] can be told instead of a result.

use spark_events::domain::alert::AlertRejection;
use spark_events::domain::api_key::ApiKeyRejection;
use spark_events::domain::failure::Failure;
use spark_events::domain::flow::FlowRejection;
use spark_events::domain::projection::ProjectionRejection;
use spark_events::domain::request::RequestRejection;
use spark_events::domain::schedule::ScheduleRejection;
use spark_events::domain::source::SourceRejection;
use spark_events::domain::task::TaskRejection;
use spark_events::domain::worker::{NotAdmitted, WorkerRejection};
use spark_events::payload::PayloadError;
use spark_events::{CodecError, LogError, Revision, WorkerId};

use crate::aggregate::ShellError;

/// A rule of the domain said no.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// A task's rule.
    #[error(transparent)]
    Task(#[from] TaskRejection),
    /// A schedule's rule.
    #[error(transparent)]
    Schedule(#[from] ScheduleRejection),
    /// A source's rule.
    #[error(transparent)]
    Source(#[from] SourceRejection),
    /// A flow's rule.
    #[error(transparent)]
    Flow(#[from] FlowRejection),
    /// A worker's rule.
    #[error(transparent)]
    Worker(#[from] WorkerRejection),
    /// An alert's rule.
    #[error(transparent)]
    Alert(#[from] AlertRejection),
    /// A projection's rule.
    #[error(transparent)]
    Projection(#[from] ProjectionRejection),
    /// An API key's rule.
    #[error(transparent)]
    Key(#[from] ApiKeyRejection),
    /// The rule of requests under an idempotency key.
    #[error(transparent)]
    Request(#[from] RequestRejection),
}

/// Why a command did not happen, or may not have happened.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// A rule of the domain said no; nothing was stored.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The command is about something that does not exist; nothing was stored.
    #[error("no {kind} has the id or name {id:?}")]
    NotFound {
        /// `source`, `flow`, `schedule`, `task`, `worker`, `key`, `alert` or the like.
        kind: &'static str,
        /// What was asked for.
        id: String,
    },
    /// The request contradicts what exists (a name that is taken, a source in use).
    #[error("{0}")]
    Conflict(String),
    /// A value of the request cannot be used; nothing was stored.
    #[error("{0}")]
    Invalid(String),
    /// The thing has changed since the caller looked at it; nothing was stored.
    #[error(
        "{kind} {id} has changed since: it is at revision {} now, and not at {}",
        present.0,
        expected.0
    )]
    Moved {
        /// `source`, `flow`, `schedule`, `task`, `worker` or `key`.
        kind: &'static str,
        /// Which one.
        id: String,
        /// The revision that the caller has seen.
        expected: Revision,
        /// The revision that it has.
        present: Revision,
    },
    /// Too much is under way; nothing was stored, try again.
    #[error("too much is under way ({what}); try again in a moment")]
    Overloaded {
        /// Which bound was reached.
        what: &'static str,
    },
    /// No answer in time; the command may still happen. Repeating it with the same id is safe.
    #[error("no answer within {ms} ms; the command may still happen, look before you repeat it")]
    Timeout {
        /// How long was waited.
        ms: u64,
    },
    /// No answer because the log is away, after the command was handed over: it may still happen.
    #[error("{reason}; the command may still happen, look before you repeat it")]
    Unanswered {
        /// What the log said.
        reason: String,
    },
    /// The event log takes no writes now; nothing was acknowledged.
    #[error("{reason}; nothing was stored, try again when this is mended")]
    Unavailable {
        /// What the log said.
        reason: String,
    },
    /// The source did not do what it was asked to.
    #[error("source {source_name}: {failure}")]
    Source {
        /// The source's name or URL.
        source_name: String,
        /// What went wrong there.
        failure: Box<Failure>,
    },
    /// A worker may not come: another protocol, another time.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// A worker's id or name is that of another one that is there.
    #[error(
        "the {what} {text:?} is that of a worker that is there already: host {hostname}, process \
         {pid}, heard {silent_s} s ago; stop that one, or give this one another name: --name NAME"
    )]
    WorkerTaken {
        /// `id` or `name`.
        what: &'static str,
        /// The id or name.
        text: String,
        /// The host of the one that is there.
        hostname: String,
        /// Its process.
        pid: u32,
        /// For how long it has not been heard.
        silent_s: u64,
    },
    /// The worker is gone: it was lost, stopped or replaced, or was never here.
    #[error(
        "worker {id} is gone here ({why}); drop what it runs, without stopping it at the source, and \
         register anew"
    )]
    WorkerGone {
        /// Its id.
        id: WorkerId,
        /// How it ended, and when.
        why: String,
    },
    /// The server is stopping.
    #[error("the server is stopping; try again when it runs again")]
    ShuttingDown,
    /// Something stored cannot be read, or a defect of ours. The message is for an operator.
    #[error("internal error: {0}")]
    Internal(String),
}

impl DispatchError {
    /// What a caller is told when a command about one aggregate did not happen.
    pub(crate) fn of<R: Into<Rejection>>(
        error: ShellError<R>,
        kind: &'static str,
        id: impl std::fmt::Display,
    ) -> Self {
        match error {
            ShellError::Log(error) => error.into(),
            ShellError::Codec(error) => error.into(),
            ShellError::Moved { expected, present } => {
                Self::Moved { kind, id: id.to_string(), expected, present }
            }
            ShellError::Rejected(why) => match why.into() {
                Rejection::Task(TaskRejection::Absent)
                | Rejection::Schedule(ScheduleRejection::Absent)
                | Rejection::Source(SourceRejection::Absent | SourceRejection::Removed)
                | Rejection::Flow(FlowRejection::Absent)
                | Rejection::Worker(WorkerRejection::Absent)
                | Rejection::Key(ApiKeyRejection::Absent)
                | Rejection::Alert(AlertRejection::Absent | AlertRejection::Deleted) => {
                    Self::NotFound { kind, id: id.to_string() }
                }
                why => Self::Rejected(why),
            },
        }
    }
}

impl From<LogError> for DispatchError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { reason, .. } => {
                Self::Unavailable { reason: format!("the event log is unavailable: {reason}") }
            }
            LogError::Closed => Self::ShuttingDown,
            LogError::TooLarge { .. } => Self::Invalid(error.to_string()),
            LogError::WrongRevision { .. }
            | LogError::StreamNotFound(_)
            | LogError::Corrupt { .. } => Self::Internal(error.to_string()),
        }
    }
}

impl From<CodecError> for DispatchError {
    fn from(error: CodecError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<PayloadError> for DispatchError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Log(error) => error.into(),
            other => Self::Invalid(other.to_string()),
        }
    }
}
