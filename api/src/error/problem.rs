//! The form of an error on the wire: problem+json of RFC 9457 with our own members.

use std::borrow::Cow;

use serde::Serialize;
use spark_actors::{DispatchError, Rejection};
use spark_events::Revision;
use spark_events::domain::alert::AlertRejection;
use spark_events::domain::api_key::{ApiKeyRejection, Role};
use spark_events::domain::schedule::ScheduleRejection;
use spark_events::domain::source::SourceRejection;
use spark_events::domain::task::TaskRejection;
use spark_events::domain::worker::NotAdmitted;

use super::{ApiError, Row};
use crate::old;

/// One field of a request that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Its name as the caller wrote it, with dots into objects: `retry.attempts_max`.
    pub field: String,
    /// What is wrong with it and what it may hold.
    pub message: String,
}

impl FieldError {
    /// A field and what is wrong with it.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// One of several things that a text may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Candidate {
    /// Its full id.
    pub id: String,
    /// Its name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An error as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem<'a> {
    /// A stable URN with the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every error of this code.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The stable code.
    pub code: &'static str,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub remedy: Option<Cow<'static, str>>,
    /// Near misses of a name that is not known.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub suggestions: &'a [String],
    /// What an ambiguous text may mean.
    #[serde(skip_serializing_if = "<[Candidate]>::is_empty")]
    #[schema(value_type = Vec<Candidate>, required = false)]
    pub candidates: &'a [Candidate],
    /// The fields that cannot be used.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<FieldError>, required = false)]
    pub errors: Cow<'a, [FieldError]>,
    /// The revision that the thing has now, where another one was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The request, as in the server's log and in the `X-Request-Id` field.
    pub request_id: &'a str,
}

impl ApiError {
    /// The form on the wire.
    #[must_use]
    pub fn problem<'a>(&'a self, request_id: &'a str) -> Problem<'a> {
        let Row { status, code, title } = self.row();
        let (suggestions, candidates) = match self {
            Self::NotFound { suggestions, .. } => (suggestions.as_slice(), [].as_slice()),
            Self::Ambiguous { candidates, .. } => ([].as_slice(), candidates.as_slice()),
            _ => ([].as_slice(), [].as_slice()),
        };
        Problem {
            kind: format!("urn:automagik:error:{code}"),
            title,
            status: status.as_u16(),
            detail: self.to_string(),
            code,
            remedy: self.remedy(),
            suggestions,
            candidates,
            errors: self.fields(),
            revision: self.present_revision(),
            request_id,
        }
    }

    fn present_revision(&self) -> Option<Revision> {
        match self {
            Self::Dispatch(DispatchError::Moved { present, .. }) => Some(*present),
            _ => None,
        }
    }

    fn fields(&self) -> Cow<'_, [FieldError]> {
        let one = |field: &str, message: String| Cow::Owned(vec![FieldError::new(field, message)]);
        match self {
            Self::Invalid(errors) => Cow::Borrowed(errors.as_slice()),
            Self::QueryInvalid { key, message } => one(key, message.clone()),
            Self::HeaderInvalid { name, message } => one(name, message.clone()),
            Self::Dispatch(DispatchError::Rejected(rejection)) => match rejected_field(rejection) {
                Some(field) => one(field, rejection.to_string()),
                None => Cow::Borrowed(&[]),
            },
            _ => Cow::Borrowed(&[]),
        }
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        let text: &'static str = match self {
            Self::PathUnknown { path } => {
                old::path(path).unwrap_or("GET /api/v1/ lists the endpoints")
            }
            Self::MethodNotAllowed { method, allow } => old::method(method, allow)?,
            Self::KeyMissing | Self::KeyWrong => {
                "send the key in the X-API-Key header; the server keeps it in its data directory, file api-key"
            }
            Self::KeyRevoked { .. } => "ask for a new one: automagik key create NAME --role ROLE",
            Self::TooMany { again_s, .. } => {
                return Some(too_many(*again_s));
            }
            Self::RoleTooLow { needed, .. } => return Some(role_command(*needed)),
            Self::BodyTooLarge => "send less; a run's input may have up to 1 MiB",
            Self::JsonMalformed { .. } => "send one JSON object, in UTF-8",
            Self::NotFound { suggestions, .. } if !suggestions.is_empty() => {
                return Some(format!("did you mean {}?", suggestions.join(" or ")).into());
            }
            Self::NotFound { kind, .. } => return Some(list_command(kind)),
            Self::Deleted { kind, id, .. } => return Some(after_deletion(kind, id)),
            Self::Ambiguous { .. } => "give the full id, or more of it",
            Self::Behind { .. } => "read again in a moment; GET /health shows how far it is behind",
            Self::TooManyListeners(..) => "end some of them, or let several share one connection",
            Self::ReadModel(_) => {
                "look into GET /health; the read model can be rebuilt from the log"
            }
            Self::Crashed => "please report this with the server's log of this request",
            Self::Dispatch(error) => return dispatch_remedy(error),
            Self::PathUnreadable
            | Self::BodyUnreadable(_)
            | Self::BodyTimeout
            | Self::Invalid(_)
            | Self::QueryInvalid { .. }
            | Self::HeaderInvalid { .. }
            | Self::KeyReused { .. } => return None,
        };
        Some(text.into())
    }
}

fn too_many(again_s: u64) -> Cow<'static, str> {
    format!("wait {again_s} s, as Retry-After says; `up --rate-limit` sets the limit of named keys")
        .into()
}

fn dispatch_remedy(error: &DispatchError) -> Option<Cow<'static, str>> {
    let text = match error {
        DispatchError::NotFound { kind, .. } => return Some(list_command(kind)),
        DispatchError::Source { failure, .. } => failure.class.remedy(),
        DispatchError::Unavailable { .. } => {
            "make room on the disk or free the log's file; the server goes on by itself"
        }
        DispatchError::Overloaded { .. } => "send fewer requests at once, and try again",
        DispatchError::WorkerTaken { .. } => {
            "stop the other worker, or give this one another name: automagik worker start --name NAME"
        }
        DispatchError::NotAdmitted(NotAdmitted::Protocol { .. }) => {
            "install the same version of automagik on both hosts"
        }
        DispatchError::NotAdmitted(NotAdmitted::Clock { .. }) => "let both hosts keep time by NTP",
        DispatchError::WorkerGone { .. } => "register anew; a worker does so by itself",
        DispatchError::Moved { .. } => "read it again, and repeat the change where it still fits",
        DispatchError::ShuttingDown => "try again when the server runs again",
        DispatchError::Timeout { .. } | DispatchError::Unanswered { .. } => {
            "look whether it happened before you repeat it"
        }
        DispatchError::Internal(_) => "look into the server's log of this request",
        DispatchError::Rejected(Rejection::Task(TaskRejection::Ended(_))) => {
            "it stays as it is; to run it again as a new task: POST /api/v1/tasks/{id}/retry, or \
             automagik task retry ID"
        }
        DispatchError::Rejected(_) | DispatchError::Conflict(_) | DispatchError::Invalid(_) => {
            return None;
        }
    };
    Some(text.into())
}

fn role_command(needed: Role) -> Cow<'static, str> {
    format!(
        "send a key of this role; whoever has the role admin makes one: automagik key create NAME \
         --role {needed}"
    )
    .into()
}

/// How to get a thing back that was deleted, and where its history is.
fn after_deletion(kind: &str, id: &str) -> Cow<'static, str> {
    let again = match kind {
        "flow" => "take it from its source again: automagik flow sync FLOW",
        "source" => "connect it again: automagik source add URL",
        _ => "make it again: automagik alert create URL",
    };
    format!("{again}; its history stays: automagik history {kind} {id}").into()
}

fn list_command(kind: &str) -> Cow<'static, str> {
    // What is missing may also be a thing at the source.
    if kind.ends_with("at the source") {
        return "see what the source has: automagik flow list --remote".into();
    }
    if kind == "delivery" {
        return "see which there are: automagik alert deliveries ALERT".into();
    }
    if kind == "version of the flow" {
        return "see which there are: automagik flow versions FLOW; what the source has now is the \
                version `remote`"
            .into();
    }
    // An event is found in the log, and by its position.
    let group = if kind == "event" { "log" } else { kind };
    format!("list what exists: automagik {group} list").into()
}

/// The field of the request that a rule spoke about, where it is one.
fn rejected_field(rejection: &Rejection) -> Option<&'static str> {
    use {ScheduleRejection as S, SourceRejection as O, TaskRejection as T};
    match rejection {
        Rejection::Task(T::BadRetryPolicy(_)) | Rejection::Schedule(S::BadRetryPolicy(_)) => {
            Some("retry")
        }
        Rejection::Task(T::BadTimeout(_)) | Rejection::Schedule(S::BadTimeout(_)) => {
            Some("timeout_ms")
        }
        Rejection::Schedule(S::BadCatchUp(_)) => Some("catch_up_ms"),
        Rejection::Schedule(S::Recurrence(_)) => Some("recurrence"),
        Rejection::Schedule(S::BadRunsMax) => Some("runs_max"),
        Rejection::Schedule(S::BadPauseAfter) => Some("pause_after"),
        Rejection::Schedule(S::NoteTooLong) => Some("note"),
        Rejection::Schedule(S::BackfillTooLong(_)) => Some("from"),
        Rejection::Schedule(S::BackfillOverlap(_)) => Some("overlap"),
        Rejection::Schedule(S::BackfillActive(_)) => Some("active_max"),
        Rejection::Source(O::BadName) => Some("name"),
        Rejection::Source(O::BadRunsMax(_)) => Some("runs_max"),
        Rejection::Task(T::BadPriority(_)) => Some("priority"),
        Rejection::Task(T::BadQueueTimeout(_)) => Some("queue_timeout_ms"),
        Rejection::Task(T::BadTotalTimeout(_)) => Some("total_timeout_ms"),
        Rejection::Key(ApiKeyRejection::BadName | ApiKeyRejection::LocalName) => Some("name"),
        Rejection::Alert(AlertRejection::BadName) => Some("name"),
        Rejection::Alert(AlertRejection::UrlTooLong) => Some("url"),
        Rejection::Alert(AlertRejection::NoKinds | AlertRejection::NeverMatches) => Some("kinds"),
        Rejection::Alert(AlertRejection::BadKeep) => Some("keep"),
        Rejection::Task(_)
        | Rejection::Schedule(_)
        | Rejection::Source(_)
        | Rejection::Flow(_)
        | Rejection::Worker(_)
        | Rejection::Key(_)
        | Rejection::Projection(_)
        | Rejection::Request(_)
        | Rejection::Alert(_) => None,
    }
}
