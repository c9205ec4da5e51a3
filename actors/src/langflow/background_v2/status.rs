//! What one look at a background job says. Pure but for the one call.

use serde::Deserialize;
use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass};

use crate::langflow::LangFlow;
use crate::langflow::http::{Answer, segment};
use crate::langflow::refusal::{Details, error_message, refusal, run_error};

/// The state of a job, as LangFlow tells it.
#[derive(Debug)]
pub(super) enum Look {
    Queued,
    Running,
    Completed(Completed),
    /// For good, or for a reason that looking again does not mend.
    Failed(Failure),
    /// Failed without a reason, which for a moment after a stop is not yet the truth.
    Unexplained,
    Cancelled,
    /// Waits for a person.
    Suspended,
    /// LangFlow has no such job.
    Unknown,
    /// No answer, or none of LangFlow's.
    Away(Failure),
}

/// A finished job's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Completed {
    #[serde(default)]
    pub(super) outputs: serde_json::Map<String, Value>,
    pub(super) output: Option<Answered>,
    #[serde(default)]
    pub(super) has_errors: bool,
    #[serde(default)]
    pub(super) errors: Vec<Problem>,
}

/// LangFlow's choice among the outputs.
#[derive(Debug, Deserialize)]
pub(super) struct Answered {
    pub(super) text: Option<String>,
    pub(super) source: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) error: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

/// One look at a job.
pub(super) async fn look(api: &LangFlow, job_id: &str) -> Look {
    let Some(id) = segment(job_id) else {
        return Look::Unknown;
    };
    match api.send(api.get(&format!("/api/v2/workflows?job_id={id}"))).await {
        Ok(answer) => read(api, &answer),
        Err(error) if error.failure.class == FailureClass::TooLarge => Look::Failed(error.failure),
        Err(error) => Look::Away(error.failure),
    }
}

/// The state that an answer tells.
pub(super) fn read(api: &LangFlow, answer: &Answer) -> Look {
    if answer.is_success() && answer.is_json() {
        return match api.accept::<Status>(answer) {
            Ok(status) => success(api, answer, &status.status),
            Err(failure) => Look::Away(failure),
        };
    }
    let details = if answer.is_json() { Details::of(&answer.body) } else { Details::default() };
    match details.code.as_deref() {
        Some("JOB_FAILED") => failed(details, answer.status),
        Some("JOB_NOT_FOUND") => Look::Unknown,
        Some(_) | None => {
            let failure = refusal(api.url(), answer);
            match failure.class {
                FailureClass::Auth | FailureClass::Timeout | FailureClass::BadInput => {
                    Look::Failed(failure)
                }
                _ => Look::Away(failure),
            }
        }
    }
}

fn success(api: &LangFlow, answer: &Answer, status: &str) -> Look {
    match status {
        "queued" => Look::Queued,
        "cancelled" => Look::Cancelled,
        "suspended" => Look::Suspended,
        "completed" => match api.accept::<Completed>(answer) {
            Ok(completed) if completed.has_errors => Look::Failed(first_error(&completed.errors)),
            Ok(completed) => Look::Completed(completed),
            Err(failure) => Look::Failed(failure),
        },
        "failed" => match api.accept::<Completed>(answer) {
            Ok(completed) => Look::Failed(first_error(&completed.errors)),
            Err(_) => Look::Unexplained,
        },
        "timed_out" => {
            let message = "LangFlow ended the job at its own time limit";
            Look::Failed(Failure::new(FailureClass::Timeout, message))
        }
        // "in_progress", and whatever a later version calls a job that goes on.
        _ => Look::Running,
    }
}

fn first_error(errors: &[Problem]) -> Failure {
    let error = errors.iter().find_map(|problem| problem.error.as_deref());
    run_error(error.unwrap_or_default())
}

/// `error_detail` is a chat message, or `{"type": ..}` where LangFlow itself ended the job.
fn failed(details: Details, status: u16) -> Look {
    let detail = match details.error_detail {
        None | Some(Value::Null) => return Look::Unexplained,
        Some(detail) => detail,
    };
    let kind = detail.get("type").and_then(Value::as_str);
    let mut failure = if kind == Some("worker_lost") {
        let message = "LangFlow was restarted, or lost the process that ran the job";
        Failure::new(FailureClass::Interrupted, message)
    } else if let Some(failure) = error_message(&detail) {
        failure
    } else {
        let text = ["message", "error", "detail"].iter().find_map(|key| detail.get(*key)?.as_str());
        match (text.or(detail.as_str()), kind) {
            (Some(text), _) => run_error(text),
            (None, Some(kind)) => run_error(kind),
            (None, None) => run_error(&detail.to_string()),
        }
    };
    failure.status = Some(status);
    Look::Failed(failure)
}
