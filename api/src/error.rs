//! What the API says instead of a result, and the one table that turns it into a status, a stable
//! code and a title. No other file names an HTTP status of an error. Owns the problem's form
//! (RFC 9457); never writes it onto the wire.

use std::sync::Arc;

use spark_actors::{DispatchError, Rejection};
use spark_events::domain::alert::AlertRejection;
use spark_events::domain::api_key::{ApiKeyRejection, Role};
use spark_events::domain::failure::FailureClass;
use spark_events::domain::flow::FlowRejection;
use spark_events::domain::request::RequestRejection;
use spark_events::domain::schedule::ScheduleRejection;
use spark_events::domain::source::SourceRejection;
use spark_events::domain::task::TaskRejection;
use spark_events::domain::worker::{NotAdmitted, WorkerRejection};
use spark_events::{LogError, Position, TaskId, Timestamp, limits};
use warp::http::StatusCode;

mod problem;

pub use problem::{Candidate, FieldError, Problem};

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No endpoint has this path.
    #[error("there is no endpoint {path}")]
    PathUnknown {
        /// What was asked for.
        path: String,
    },
    /// The endpoint exists, but not with this method.
    #[error("this endpoint does not take {method}; it takes {allow}")]
    MethodNotAllowed {
        /// What was sent.
        method: String,
        /// What it takes, as in the `Allow` field.
        allow: &'static str,
    },
    /// A segment of the path is not text.
    #[error("the path has a part that is not percent-encoded UTF-8 text")]
    PathUnreadable,
    /// No API key was sent.
    #[error("X-API-Key header is missing")]
    KeyMissing,
    /// The API key is not one of ours.
    #[error("Invalid API key")]
    KeyWrong,
    /// The API key was taken back.
    #[error("the API key {key} was revoked by {by} at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))]
    KeyRevoked {
        /// Its name.
        key: String,
        /// When.
        at: Timestamp,
        /// Who did it.
        by: Arc<str>,
    },
    /// Somebody asks too often.
    #[error("too many requests {who}; the next may come in {again_s} s")]
    TooMany {
        /// Whose requests are counted.
        who: String,
        /// When to come back, in seconds.
        again_s: u64,
    },
    /// The role of the API key does not suffice.
    #[error("{}; this needs the role {needed}", whose(.key.as_deref(), *.role))]
    RoleTooLow {
        /// The key's name.
        key: Option<String>,
        /// Its role.
        role: Option<Role>,
        /// The role that it takes.
        needed: Role,
    },
    /// The body is over the bound.
    #[error("the body is larger than {max} bytes", max = limits::REQUEST_BODY_BYTES_MAX)]
    BodyTooLarge,
    /// The body broke off.
    #[error("the body could not be read: {0}")]
    BodyUnreadable(String),
    /// The body did not arrive in time.
    #[error("the body did not arrive within {ms} ms", ms = limits::REQUEST_BODY_MS_MAX)]
    BodyTimeout,
    /// The body is not JSON.
    #[error("the body is not JSON: {message} at line {line}, column {column}")]
    JsonMalformed {
        /// What the JSON reader said.
        message: String,
        /// Where, from 1.
        line: usize,
        /// Where, from 1; 0 for an empty body.
        column: usize,
    },
    /// Fields of the body cannot be used.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// A key of the query, or its value, cannot be used.
    #[error("the query key {key:?} cannot be used: {message}")]
    QueryInvalid {
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A header field cannot be used.
    #[error("the header {name} cannot be used: {message}")]
    HeaderInvalid {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// An idempotency key was used for another request.
    #[error(
        "the Idempotency-Key was used for another request: task {id} was made under it; send the \
         same request again, or another key"
    )]
    KeyReused {
        /// The task that was made under it.
        id: TaskId,
    },
    /// Nothing has this id, prefix or name.
    #[error("no {kind} has the id, id prefix or name {text:?}")]
    NotFound {
        /// `source`, `flow`, `schedule`, `task`, `worker` or `key`.
        kind: &'static str,
        /// What was asked for.
        text: String,
        /// Near misses.
        suggestions: Vec<String>,
    },
    /// It was there once.
    #[error("{kind} {name:?} was deleted")]
    Deleted {
        /// `flow`, `source` or `alert`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its id, to which its history answers.
        id: String,
    },
    /// Several things have this prefix or name.
    #[error("{text:?} could be any of {} {kind}s", .candidates.len())]
    Ambiguous {
        /// `source`, `flow`, `schedule`, `task`, `worker` or `key`.
        kind: &'static str,
        /// What was asked for.
        text: String,
        /// What it may mean.
        candidates: Vec<Candidate>,
    },
    /// A command was refused or failed.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// The read model did not reach the position in time.
    #[error("the read model has not reached position {position} within {waited_ms} ms")]
    Behind {
        /// The position.
        position: Position,
        /// How long was waited.
        waited_ms: u64,
    },
    /// So many places of listeners are taken, with whose key where that is what counts.
    #[error("{0} clients{1} listen to events already, which is the most")]
    TooManyListeners(usize, &'static str),
    /// The read model cannot be read.
    #[error("the read model cannot be read: {0}")]
    ReadModel(String),
    /// A handler panicked.
    #[error("internal error: the request's handler crashed")]
    Crashed,
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        Self::Dispatch(error.into())
    }
}

impl ApiError {
    /// The read model did not reach a position within the longest wait.
    #[must_use]
    pub fn behind(position: Position) -> Self {
        Self::Behind { position, waited_ms: limits::READ_WAIT_MS_MAX }
    }

    /// One wrong field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// The row of the table that this error has.
    #[must_use]
    pub fn row(&self) -> Row {
        use Row as R;
        match self {
            Self::JsonMalformed { .. } => R::JSON_MALFORMED,
            Self::BodyUnreadable(_) => R::BODY_UNREADABLE,
            Self::BodyTimeout => R::BODY_TIMEOUT,
            Self::BodyTooLarge => R::BODY_TOO_LARGE,
            Self::Invalid(_) => R::FIELD_INVALID,
            Self::QueryInvalid { .. } => R::QUERY_INVALID,
            Self::HeaderInvalid { .. } => R::HEADER_INVALID,
            Self::PathUnknown { .. } => R::PATH_UNKNOWN,
            Self::PathUnreadable => R::PATH_UNREADABLE,
            Self::MethodNotAllowed { .. } => R::METHOD_NOT_ALLOWED,
            Self::KeyReused { .. } => R::KEY_REUSED,
            Self::KeyMissing => R::KEY_MISSING,
            Self::KeyWrong => R::KEY_WRONG,
            Self::TooMany { .. } => R::TOO_MANY,
            Self::RoleTooLow { .. } => R::ROLE_TOO_LOW,
            Self::KeyRevoked { .. } => R::KEY_REVOKED,
            Self::NotFound { .. } | Self::Deleted { .. } => R::NOT_FOUND,
            Self::Ambiguous { .. } => R::AMBIGUOUS,
            Self::Dispatch(error) => dispatch_row(error),
            Self::Behind { .. } => R::BEHIND,
            Self::TooManyListeners(..) => R::TOO_MANY_LISTENERS,
            Self::ReadModel(_) => R::READ_MODEL,
            Self::Crashed => R::INTERNAL,
        }
    }

    /// The value of the `Retry-After` field, where trying again makes sense.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        if let Self::TooMany { again_s, .. } = self {
            return Some(*again_s);
        }
        let row = self.row();
        if row == Row::LOG_UNAVAILABLE {
            return Some(limits::LOG_RETRY_MS_MAX.div_ceil(1_000));
        }
        let again = [
            Row::OVERLOADED,
            Row::SHUTTING_DOWN,
            Row::BEHIND,
            Row::READ_MODEL,
            Row::TOO_MANY_LISTENERS,
        ];
        again.contains(&row).then_some(1)
    }

    /// True for what an operator should hear of, and not only the caller.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        [Row::INTERNAL, Row::READ_MODEL].contains(&self.row())
    }
}

/// Status, stable code and title of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code.
    pub code: &'static str,
    /// The same for every error of this code.
    pub title: &'static str,
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal $title:literal;)+) => {
        impl Row {
            $($(#[$doc])* pub const $name: Self =
                Self { status: StatusCode::$status, code: $code, title: $title };)+
            /// Every row, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

table! {
    /// The body is not JSON.
    JSON_MALFORMED = BAD_REQUEST "SPK-1001" "The body is not JSON";
    /// A field of the body is unknown, missing, of a wrong type or out of bounds.
    FIELD_INVALID = UNPROCESSABLE_ENTITY "SPK-1002" "A field cannot be used";
    /// A key of the query is unknown, or its value cannot be used.
    QUERY_INVALID = UNPROCESSABLE_ENTITY "SPK-1003" "A query key cannot be used";
    /// A header field cannot be used.
    HEADER_INVALID = UNPROCESSABLE_ENTITY "SPK-1004" "A header cannot be used";
    /// The body is over the bound.
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "SPK-1005" "The body is too large";
    /// The body broke off.
    BODY_UNREADABLE = BAD_REQUEST "SPK-1006" "The body could not be read";
    /// The body took too long.
    BODY_TIMEOUT = REQUEST_TIMEOUT "SPK-1007" "The body did not arrive in time";
    /// No endpoint has this path.
    PATH_UNKNOWN = NOT_FOUND "SPK-1008" "There is no such endpoint";
    /// The path is not text.
    PATH_UNREADABLE = BAD_REQUEST "SPK-1009" "The path cannot be read";
    /// The endpoint does not take this method.
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "SPK-1010" "The endpoint does not take this method";
    /// The idempotency key was used for another request.
    KEY_REUSED = UNPROCESSABLE_ENTITY "SPK-1011" "The idempotency key was used for another request";
    /// Somebody asks too often.
    TOO_MANY = TOO_MANY_REQUESTS "SPK-1012" "Too many requests";
    /// The same request is under way, or nobody knows what became of it.
    REQUEST_UNDER_WAY = CONFLICT "SPK-1013" "The same request is under way or broke off";
    /// No API key was sent.
    KEY_MISSING = UNAUTHORIZED "SPK-2001" "The API key is missing";
    /// The API key is not one of ours.
    KEY_WRONG = UNAUTHORIZED "SPK-2002" "The API key is wrong";
    /// The role of the API key does not suffice.
    ROLE_TOO_LOW = FORBIDDEN "SPK-2003" "The role of the API key does not suffice";
    /// The API key was taken back.
    KEY_REVOKED = UNAUTHORIZED "SPK-2004" "The API key was revoked";
    /// Nothing has this id, prefix or name.
    NOT_FOUND = NOT_FOUND "SPK-3001" "There is no such thing";
    /// Several things have this prefix or name.
    AMBIGUOUS = CONFLICT "SPK-3002" "The name or prefix is ambiguous";
    /// The request contradicts what exists.
    CONFLICT = CONFLICT "SPK-3003" "The request contradicts what exists";
    /// The stage of the thing does not allow it.
    STAGE = CONFLICT "SPK-3004" "The command does not fit the stage";
    /// A value breaks a rule of the domain.
    RULE = UNPROCESSABLE_ENTITY "SPK-3005" "A value breaks a rule";
    /// What the request names has changed since its caller looked.
    MOVED = PRECONDITION_FAILED "SPK-3006" "It has changed since";
    /// The source cannot be reached.
    SOURCE_UNREACHABLE = BAD_GATEWAY "SPK-4001" "The source cannot be reached";
    /// The source refused its API key.
    SOURCE_AUTH = FAILED_DEPENDENCY "SPK-4002" "The source refused its API key";
    /// The source does not have what was asked for.
    SOURCE_NOT_FOUND = NOT_FOUND "SPK-4003" "The source does not have it";
    /// The source asked to slow down.
    SOURCE_BUSY = BAD_GATEWAY "SPK-4004" "The source is busy";
    /// The source took too long.
    SOURCE_TIMEOUT = GATEWAY_TIMEOUT "SPK-4005" "The source did not answer in time";
    /// The source failed, or answered what LangFlow does not answer.
    SOURCE_FAILED = BAD_GATEWAY "SPK-4006" "The source failed";
    /// A defect of ours, or something stored that cannot be read.
    INTERNAL = INTERNAL_SERVER_ERROR "SPK-5001" "Internal error";
    /// The event log takes no writes now.
    LOG_UNAVAILABLE = SERVICE_UNAVAILABLE "SPK-5002" "The event log is unavailable";
    /// Too much is under way.
    OVERLOADED = SERVICE_UNAVAILABLE "SPK-5003" "The server is overloaded";
    /// The server is stopping.
    SHUTTING_DOWN = SERVICE_UNAVAILABLE "SPK-5004" "The server is stopping";
    /// The read model did not reach the position in time.
    BEHIND = SERVICE_UNAVAILABLE "SPK-5005" "The read model is behind";
    /// The read model cannot be read.
    READ_MODEL = SERVICE_UNAVAILABLE "SPK-5006" "The read model cannot be read";
    /// The command got no answer in time; it may still happen.
    COMMAND_TIMEOUT = GATEWAY_TIMEOUT "SPK-5007" "The command got no answer in time";
    /// All places of listeners are taken.
    TOO_MANY_LISTENERS = SERVICE_UNAVAILABLE "SPK-5008" "Too many clients listen";
    /// A worker's id or name is that of another one that is there.
    WORKER_TAKEN = CONFLICT "SPK-6001" "The worker's name or id is in use";
    /// A worker speaks another version of the protocol.
    WORKER_PROTOCOL = UNPROCESSABLE_ENTITY "SPK-6002" "The worker speaks another protocol";
    /// A worker's clock is too far off.
    WORKER_CLOCK = UNPROCESSABLE_ENTITY "SPK-6003" "The worker's clock is wrong";
    /// The worker is gone here.
    WORKER_GONE = GONE "SPK-6004" "The worker is gone here";
}

fn dispatch_row(error: &DispatchError) -> Row {
    match error {
        DispatchError::Rejected(rejection) => rejection_row(rejection),
        DispatchError::NotFound { .. } => Row::NOT_FOUND,
        DispatchError::Conflict(_) => Row::CONFLICT,
        DispatchError::Invalid(_) => Row::RULE,
        DispatchError::Moved { .. } => Row::MOVED,
        DispatchError::Overloaded { .. } => Row::OVERLOADED,
        DispatchError::Timeout { .. } | DispatchError::Unanswered { .. } => Row::COMMAND_TIMEOUT,
        DispatchError::Unavailable { .. } => Row::LOG_UNAVAILABLE,
        DispatchError::Source { failure, .. } => failure_row(failure.class),
        DispatchError::WorkerTaken { .. } => Row::WORKER_TAKEN,
        DispatchError::NotAdmitted(NotAdmitted::Protocol { .. }) => Row::WORKER_PROTOCOL,
        DispatchError::NotAdmitted(NotAdmitted::Clock { .. }) => Row::WORKER_CLOCK,
        DispatchError::WorkerGone { .. } => Row::WORKER_GONE,
        DispatchError::ShuttingDown => Row::SHUTTING_DOWN,
        DispatchError::Internal(_) => Row::INTERNAL,
    }
}

fn rejection_row(rejection: &Rejection) -> Row {
    use {AlertRejection as A, ApiKeyRejection as K, RequestRejection as Q, WorkerRejection as W};
    use {FlowRejection as F, ScheduleRejection as S, SourceRejection as O, TaskRejection as T};
    match rejection {
        Rejection::Task(T::Absent | T::Deleted)
        | Rejection::Schedule(S::Absent | S::Deleted | S::NoSuchBackfill(_))
        | Rejection::Source(O::Absent | O::Removed)
        | Rejection::Flow(F::Absent)
        | Rejection::Worker(W::Absent)
        | Rejection::Key(K::Absent)
        | Rejection::Alert(A::Absent | A::Deleted) => Row::NOT_FOUND,
        Rejection::Task(T::Exists)
        | Rejection::Schedule(S::Exists)
        | Rejection::Source(O::Exists)
        | Rejection::Flow(F::Exists | F::UnpushedEdit { .. })
        | Rejection::Worker(W::Exists | W::Gone | W::IsStopping | W::IsDraining | W::BuiltIn)
        | Rejection::Key(K::Exists)
        | Rejection::Projection(_)
        | Rejection::Alert(A::Exists)
        | Rejection::Request(Q::NotBegun) => Row::CONFLICT,
        Rejection::Request(Q::UnderWay) => Row::REQUEST_UNDER_WAY,
        Rejection::Request(Q::Reused) => Row::KEY_REUSED,
        Rejection::Task(
            T::Ended(_) | T::StaleAttempt { .. } | T::WrongStage(_) | T::StillOpen(_),
        )
        | Rejection::Key(K::Revoked)
        | Rejection::Schedule(
            S::Completed
            | S::StillOpen(_)
            | S::WaitingAlready
            | S::BufferFull
            | S::NothingToBackfill(_)
            | S::TooManyBackfills,
        )
        | Rejection::Alert(A::TooManyOpen) => Row::STAGE,
        Rejection::Task(
            T::BadRetryPolicy(_)
            | T::BadTimeout(_)
            | T::BadPriority(_)
            | T::BadQueueTimeout(_)
            | T::BadTotalTimeout(_),
        )
        | Rejection::Schedule(
            S::Recurrence(_)
            | S::BadRetryPolicy(_)
            | S::BadCatchUp(_)
            | S::BadTimeout(_)
            | S::BadRunsMax
            | S::BadPauseAfter
            | S::NoteTooLong
            | S::BackfillTooLong(_)
            | S::BackfillOverlap(_)
            | S::BackfillActive(_),
        )
        | Rejection::Source(
            O::BadName | O::BadRunsMax(_) | O::KeySetAndRemoved | O::BadHttpSettings(_),
        )
        | Rejection::Worker(W::BadName | W::BadText(_) | W::BadSlots(_))
        | Rejection::Key(K::BadName | K::LocalName)
        | Rejection::Alert(
            A::BadName | A::UrlTooLong | A::NoKinds | A::NeverMatches | A::BadKeep,
        ) => Row::RULE,
    }
}

fn failure_row(class: FailureClass) -> Row {
    match class {
        FailureClass::Unreachable => Row::SOURCE_UNREACHABLE,
        FailureClass::Auth => Row::SOURCE_AUTH,
        FailureClass::NotFound | FailureClass::Gone => Row::SOURCE_NOT_FOUND,
        FailureClass::RateLimit => Row::SOURCE_BUSY,
        FailureClass::Timeout => Row::SOURCE_TIMEOUT,
        FailureClass::BadInput
        | FailureClass::Component
        | FailureClass::BadAnswer
        | FailureClass::Upstream
        | FailureClass::TooLarge
        | FailureClass::NeedsPerson
        | FailureClass::Interrupted
        | FailureClass::WorkerLost
        | FailureClass::Crashed => Row::SOURCE_FAILED,
    }
}

/// Whose role it is, for a person.
fn whose(key: Option<&str>, role: Option<Role>) -> String {
    match (key, role) {
        (Some(key), Some(role)) => format!("the API key {key} has the role {role}"),
        _ => "no API key was sent".to_owned(),
    }
}

fn list(errors: &[FieldError]) -> String {
    let texts: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
