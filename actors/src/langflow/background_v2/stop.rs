//! Stops a background job and waits until LangFlow confirms it. The stop is answered at once, the
//! job settles a little later; a component that blocks its thread still finishes there.

use std::time::Duration;

use serde_json::json;
use spark_events::domain::task::RemoteStop;
use spark_events::limits;
use tokio::time::{sleep, timeout};

use super::result;
use super::status::{Look, look};
use crate::langflow::probe::is_job_unknown;
use crate::langflow::{LangFlow, Outcome, RunRequest};

/// Stops a job. A job that had finished before gives its result: it was paid for.
pub(super) async fn stop(api: &LangFlow, request: &RunRequest, job_id: &str) -> Outcome {
    let limit = Duration::from_millis(limits::JOB_STOP_MS_MAX);
    let settled = async {
        if let Some(remote) = ask(api, job_id).await {
            return Outcome::Cancelled(remote);
        }
        settle(api, request, job_id).await
    };
    let settled = timeout(limit, settled).await;
    settled.unwrap_or(Outcome::Cancelled(RemoteStop::LeftRunning))
}

/// Asks until there is an answer. `None`: the stop was accepted, or the job has ended.
async fn ask(api: &LangFlow, job_id: &str) -> Option<RemoteStop> {
    loop {
        let request = api.post("/api/v2/workflows/stop").json(&json!({ "job_id": job_id }));
        match api.send(request).await {
            Ok(answer) if answer.is_success() && answer.is_json() => return None,
            Ok(answer) if is_job_unknown(&answer) => return Some(RemoteStop::NotRunning),
            // Refused for good: another key, or no job that can be stopped.
            Ok(answer) if (400..500).contains(&answer.status) && answer.status != 429 => {
                return Some(RemoteStop::LeftRunning);
            }
            Ok(_) | Err(_) => sleep(Duration::from_millis(limits::JOB_POLL_MS_MAX)).await,
        }
    }
}

async fn settle(api: &LangFlow, request: &RunRequest, job_id: &str) -> Outcome {
    let mut pause_ms = limits::JOB_POLL_MS_MIN;
    let mut unexplained = 0;
    loop {
        match look(api, job_id).await {
            Look::Completed(answer) => {
                let output = result::output(api, request, job_id, answer).await;
                return Outcome::Completed(output);
            }
            // Whatever it says it failed of: it does not run any more.
            Look::Cancelled | Look::Failed(_) => return Outcome::Cancelled(RemoteStop::Stopped),
            Look::Unknown => return Outcome::Cancelled(RemoteStop::NotRunning),
            Look::Unexplained => {
                unexplained += 1;
                if unexplained > limits::JOB_UNEXPLAINED_LOOKS_MAX {
                    return Outcome::Cancelled(RemoteStop::Stopped);
                }
                pause_ms = limits::JOB_POLL_MS_MAX;
            }
            Look::Queued | Look::Running | Look::Suspended | Look::Away(_) => {}
        }
        sleep(Duration::from_millis(pause_ms)).await;
        pause_ms = (pause_ms * 2).min(limits::JOB_POLL_MS_MAX);
    }
}
