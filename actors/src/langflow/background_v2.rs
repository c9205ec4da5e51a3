//! One run as a background job (v2, LangFlow 1.11 and later). The job lives at the source: it
//! outlives our connection and our process, and its idempotency key makes submitting it twice
//! harmless. So a lost connection is waited out here, and a job known from before a crash is
//! taken up again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::task::RemoteStop;
use spark_events::limits;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::input::route;
use super::{LangFlow, Outcome, RunRequest, cancelled};

mod result;
mod status;
mod stop;

use status::Look;

#[derive(Serialize)]
struct Submission<'a> {
    flow_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tweaks: Option<&'a Value>,
    session_id: &'a str,
    mode: &'static str,
    idempotency_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

#[derive(Deserialize)]
struct Submitted {
    job_id: String,
}

/// Runs a flow as a background job; with the outcome the job's id, as far as there is one.
pub(super) async fn run<F, Done>(
    api: &LangFlow,
    request: &RunRequest,
    mut cancel: watch::Receiver<bool>,
    submitted: F,
) -> (Outcome, Option<String>)
where
    F: FnOnce(String) -> Done + Send,
    Done: Future<Output = ()> + Send,
{
    let (job_id, attached) = match &request.job_id {
        Some(job_id) => (job_id.clone(), true),
        None if *cancel.borrow() => return (Outcome::Cancelled(RemoteStop::NotRunning), None),
        None => match submit_or_cancel(api, request, &mut cancel).await {
            Ok(job_id) => {
                submitted(job_id.clone()).await;
                (job_id, false)
            }
            Err(outcome) => return (outcome, None),
        },
    };
    let mut job = Job::new(api, request, job_id, attached);
    let outcome = job.follow(&mut cancel).await;
    (outcome, Some(job.id))
}

/// Submits the job. Cancelled meanwhile, the answer is still awaited for a while: without it a
/// job may be left behind that nobody knows.
async fn submit_or_cancel(
    api: &LangFlow,
    request: &RunRequest,
    cancel: &mut watch::Receiver<bool>,
) -> Result<String, Outcome> {
    let submission = submit(api, request);
    tokio::pin!(submission);
    tokio::select! {
        biased;
        submitted = &mut submission => return submitted.map_err(Outcome::from),
        () = cancelled(cancel) => {}
    }
    let patience = Duration::from_millis(limits::SOURCE_CONNECT_MS_MAX);
    match tokio::time::timeout(patience, submission).await {
        Ok(submitted) => submitted.map_err(Outcome::from),
        Err(_) => Err(Outcome::Cancelled(RemoteStop::LeftRunning)),
    }
}

/// Submits the job. Where the answer is lost, the job may exist or not: it is submitted again with
/// the same key, which is why this is decided here and not by the next attempt, whose key is new.
async fn submit(api: &LangFlow, request: &RunRequest) -> Result<String, Failure> {
    let routed = route(request);
    let body = Submission {
        flow_id: &request.remote_flow_id,
        input_value: routed.input_value.as_deref(),
        tweaks: routed.tweaks.as_deref(),
        session_id: &request.session_id,
        mode: "background",
        idempotency_key: &request.idempotency_key,
        data: request.definition.as_ref().map(|definition| &definition.0),
    };
    let mut may_exist = false;
    let mut retries = 0;
    loop {
        let failure = match api.send(api.post("/api/v2/workflows").json(&body)).await {
            Ok(answer) => match api.accept::<Submitted>(&answer) {
                Ok(submitted) => return Ok(submitted.job_id),
                Err(failure) if failure.class == FailureClass::Upstream => {
                    may_exist = true;
                    failure
                }
                Err(failure) => return Err(failure),
            },
            Err(error) => {
                may_exist |= error.sent;
                error.failure
            }
        };
        if !may_exist || retries == limits::JOB_SUBMIT_RETRIES_MAX {
            return Err(failure);
        }
        tracing::debug!(url = api.url(), %failure, "the job is submitted again with the same key");
        sleep(Duration::from_millis(limits::JOB_POLL_MS_MIN << (2 + retries))).await;
        retries += 1;
    }
}

/// A job and what was seen of it.
struct Job<'a> {
    api: &'a LangFlow,
    request: &'a RunRequest,
    id: String,
    /// Known from before a crash, and not submitted since.
    attached: bool,
    /// Since when the source has not answered.
    away_since: Option<Instant>,
    /// Whether LangFlow may have been restarted since the job was submitted.
    may_have_restarted: bool,
    /// Since when it is queued, after such a restart.
    stuck_since: Option<Instant>,
    unexplained: u32,
    pause_ms: u64,
}

impl<'a> Job<'a> {
    fn new(api: &'a LangFlow, request: &'a RunRequest, id: String, attached: bool) -> Self {
        Self {
            api,
            request,
            id,
            attached,
            away_since: None,
            may_have_restarted: attached,
            stuck_since: None,
            unexplained: 0,
            pause_ms: limits::JOB_POLL_MS_MIN,
        }
    }

    /// Follows the job to its end.
    async fn follow(&mut self, cancel: &mut watch::Receiver<bool>) -> Outcome {
        loop {
            let step = async {
                let look = status::look(self.api, &self.id).await;
                self.consider(look).await
            };
            let ended = tokio::select! {
                biased;
                () = cancelled(cancel) => {
                    return stop::stop(self.api, self.request, &self.id).await;
                }
                ended = step => ended,
            };
            match ended {
                Ok(Some(outcome)) => return outcome,
                // What follows is not cancelled in between: its id would be lost.
                Ok(None) => {}
                Err(Resubmit) => match self.resubmit().await {
                    Ok(()) => {}
                    Err(failure) => return failure.into(),
                },
            }
        }
    }

    /// What a look at the job leads to. `None`: look again, after the pause made here.
    async fn consider(&mut self, look: Look) -> Result<Option<Outcome>, Resubmit> {
        if !matches!(look, Look::Away(_)) {
            self.away_since = None;
        }
        match look {
            Look::Completed(answer) => {
                let output = result::output(self.api, self.request, &self.id, answer).await;
                return Ok(Some(Outcome::Completed(output)));
            }
            Look::Failed(failure) => return Ok(Some(failure.into())),
            Look::Suspended => return Ok(Some(self.suspended().await)),
            Look::Queued => self.queued().await?,
            Look::Running => (self.may_have_restarted, self.stuck_since) = (false, None),
            // Stopped before our crash, by us, to be submitted again; or never stored there.
            Look::Cancelled | Look::Unknown if self.attached => return Err(Resubmit),
            Look::Cancelled => {
                let message = "the job was stopped at the source, not from here";
                return Ok(Some(Failure::new(FailureClass::Interrupted, message).into()));
            }
            Look::Unknown => {
                let message = "LangFlow does not know the job any more; were its data reset?";
                return Ok(Some(Failure::new(FailureClass::Interrupted, message).into()));
            }
            Look::Unexplained => {
                self.unexplained += 1;
                if self.unexplained > limits::JOB_UNEXPLAINED_LOOKS_MAX {
                    let message = "the job failed and LangFlow gives no reason";
                    return Ok(Some(Failure::new(FailureClass::Upstream, message).into()));
                }
                self.pause_ms = limits::JOB_POLL_MS_MAX;
            }
            Look::Away(failure) => {
                if let Some(outcome) = self.away(failure) {
                    return Ok(Some(outcome));
                }
            }
        }
        sleep(Duration::from_millis(self.pause_ms)).await;
        self.pause_ms = (self.pause_ms * 3 / 2).min(limits::JOB_POLL_MS_MAX);
        Ok(None)
    }

    /// A queued job after a restart of LangFlow may be one that it forgot: those stay queued for
    /// ever, and their key keeps returning them. Stopping it sets the key free.
    async fn queued(&mut self) -> Result<(), Resubmit> {
        if !self.may_have_restarted {
            return Ok(());
        }
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        if since.elapsed() < Duration::from_millis(limits::JOB_QUEUED_AFTER_OUTAGE_MS_MAX) {
            return Ok(());
        }
        tracing::info!(job_id = self.id, "a job is queued since LangFlow was away: submitted anew");
        match stop::stop(self.api, self.request, &self.id).await {
            Outcome::Cancelled(RemoteStop::Stopped | RemoteStop::NotRunning) => Err(Resubmit),
            // It went on in this moment after all, or could not be stopped: follow it.
            Outcome::Cancelled(RemoteStop::LeftRunning)
            | Outcome::Completed(_)
            | Outcome::Failed(_) => {
                self.stuck_since = None;
                Ok(())
            }
        }
    }

    async fn resubmit(&mut self) -> Result<(), Failure> {
        self.id = submit(self.api, self.request).await?;
        (self.attached, self.may_have_restarted, self.stuck_since) = (false, false, None);
        self.pause_ms = limits::JOB_POLL_MS_MIN;
        Ok(())
    }

    /// A person is asked something that a schedule cannot answer.
    async fn suspended(&self) -> Outcome {
        stop::stop(self.api, self.request, &self.id).await;
        let message = "the flow stopped to ask a person, which a scheduled task cannot give it; \
                       the job was stopped";
        Failure::new(FailureClass::NeedsPerson, message).into()
    }

    /// The source is away: the job may live on, so its end is not yet known.
    fn away(&mut self, mut failure: Failure) -> Option<Outcome> {
        self.may_have_restarted = true;
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if since.elapsed() < Duration::from_millis(limits::JOB_UNREACHABLE_MS_MAX) {
            return None;
        }
        let seconds = limits::JOB_UNREACHABLE_MS_MAX / 1_000;
        let message = format!("away for {seconds} s while it ran the job: {}", failure.message);
        failure.message = Failure::new(failure.class, message).message;
        Some(failure.into())
    }
}

/// The job is gone from the source and its key is free: it is to be submitted again.
struct Resubmit;
