//! Why an attempt failed, in classes that decide whether trying again makes sense.

use serde::{Deserialize, Serialize};

/// The class of a failure. Users filter and alert by it, retries are decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// No connection to the source, or it broke off.
    Unreachable,
    /// The source refused the key (401, 403).
    Auth,
    /// The source asked to slow down (429, 503 busy).
    RateLimit,
    /// The source does not know the flow (404).
    NotFound,
    /// The source refused the request (400, 422).
    BadInput,
    /// A component of the flow raised an error.
    Component,
    /// The attempt took longer than it was given.
    Timeout,
    /// The source answered something that is not LangFlow's JSON (an HTML page, half a body).
    BadAnswer,
    /// The source failed without saying more (5xx).
    Upstream,
    /// The answer is over a bound.
    TooLarge,
    /// The flow waits for a person, which a scheduled task cannot give it.
    NeedsPerson,
    /// The process or the worker ended in the middle of the attempt.
    Interrupted,
    /// The worker that made the call is gone without having said so.
    WorkerLost,
    /// A defect of ours: the attempt's actor panicked.
    Crashed,
    /// The flow or its source is not known here any more.
    Gone,
}

impl FailureClass {
    /// Whether another attempt may end differently without anybody changing anything.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Unreachable
            | Self::RateLimit
            | Self::Component
            | Self::Timeout
            | Self::BadAnswer
            | Self::Upstream
            | Self::Interrupted
            | Self::WorkerLost
            | Self::Crashed => true,
            Self::Auth
            | Self::NotFound
            | Self::BadInput
            | Self::TooLarge
            | Self::NeedsPerson
            | Self::Gone => false,
        }
    }

    /// The class as it stands in JSON, such as `bad_input`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Auth => "auth",
            Self::RateLimit => "rate_limit",
            Self::NotFound => "not_found",
            Self::BadInput => "bad_input",
            Self::Component => "component",
            Self::Timeout => "timeout",
            Self::BadAnswer => "bad_answer",
            Self::Upstream => "upstream",
            Self::TooLarge => "too_large",
            Self::NeedsPerson => "needs_person",
            Self::Interrupted => "interrupted",
            Self::WorkerLost => "worker_lost",
            Self::Crashed => "crashed",
            Self::Gone => "gone",
        }
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unreachable => "check that the source is running and that its URL is right",
            Self::Auth => "give the source a valid key: automagik source update NAME --api-key KEY",
            Self::RateLimit => "lower the source's limit of runs at once, or wait",
            Self::NotFound => {
                "the source does not have it: automagik flow list --remote, then sync it again; of an \
                 http source, mend the path of the request"
            }
            Self::BadInput => "check input and tweaks against the flow: automagik flow show FLOW",
            Self::Component => "open the flow in LangFlow and mend the component named here",
            Self::Timeout => "give it more time (--timeout), or make the flow faster",
            Self::BadAnswer => "check that the URL is the source's own and not a proxy's page",
            Self::Upstream => "look into the source's log at this time",
            Self::TooLarge => "make the flow answer less, or write its result elsewhere",
            Self::NeedsPerson => "remove the step that asks a person, or run the flow by hand",
            Self::Interrupted => "nothing: the next attempt starts by itself",
            Self::WorkerLost => {
                "the next attempt starts by itself elsewhere; look at the workers: automagik worker \
                 list"
            }
            Self::Crashed => "please report this with the server's log of this time",
            Self::Gone => "sync the flow again, then retry the task",
        }
    }
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about a failed attempt. No secret is ever put here.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, utoipa::ToSchema,
)]
#[error("{class}: {message}")]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// What happened, in one or a few lines; the component's own message where there is one.
    pub message: String,
    /// HTTP status of the source's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The failing component's display name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The start of the source's answer, where it says more than the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long the source asked to wait (Retry-After).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure with nothing but its class and message; the message is cut to
    /// [`crate::limits::FAILURE_MESSAGE_BYTES_MAX`].
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        let mut message = message.into();
        cut(&mut message, crate::limits::FAILURE_MESSAGE_BYTES_MAX);
        Self { class, message, status: None, component: None, body: None, retry_after_ms: None }
    }
}

/// Cuts a text to at most `bytes_max` bytes at a character border and says that it did.
pub fn cut(text: &mut String, bytes_max: usize) {
    const MARK: &str = " ... (cut)";
    if text.len() > bytes_max {
        let mut end = bytes_max.saturating_sub(MARK.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
}
