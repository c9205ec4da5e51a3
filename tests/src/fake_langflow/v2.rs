//! `/api/v2/workflows`: submit, status, events, stop.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body::Reply;
use super::call::Call;
use super::flows::Flow;
use super::jobs::{run_through, submit};
use super::message::{self, Form};
use super::run::{Mode, Run, Stage, execute};
use super::state::{State, is_uuid, now, offset, spawn};
use super::v1::refused_tweaks;
use super::v2_body::{self, Submission, Wanted};
use super::{outcome, routes, stream};

/// `POST /api/v2/workflows`.
pub(super) async fn start(state: &Arc<State>, call: &Call) -> Reply {
    let submission = match call.json().and_then(v2_body::read) {
        Ok(submission) => submission,
        Err(reply) => return reply,
    };
    let Some(flow) = state.flows.find(&submission.flow_id) else {
        let id = &submission.flow_id;
        let text = format!("Flow '{id}' does not exist. Verify the flow_id and try again.");
        let detail = json!({"error": "Flow not found", "code": "FLOW_NOT_FOUND", "message": text, "flow_id": id});
        return routes::not_found(state, detail);
    };
    let flow = match &submission.data {
        Some(data) => Arc::new(flow.with_data(data)),
        None => flow,
    };
    if let Some(refusal) =
        refused_tweaks(&submission.ask.tweaks).or_else(|| unknown_outputs(&flow, &submission))
    {
        return refusal;
    }
    match submission.wanted {
        Wanted::Sync => {
            let run = Run::new(state, flow, submission.ask, Mode::Plain);
            run_through(state, &run).await;
            Reply::json(200, &outcome::v2(&run, false))
        }
        Wanted::Stream => {
            let run = Run::new(state, flow, submission.ask, Mode::Stream);
            let task = spawn(execute(Arc::clone(state), Arc::clone(&run)));
            run.carried_by(task.abort_handle());
            let guard = stream::EndsWithConnection(Arc::clone(&run));
            stream::v2(run, 0, Some(Box::new(guard)))
        }
        Wanted::Background => background(state, flow, submission),
    }
}

fn background(state: &Arc<State>, flow: Arc<Flow>, submission: Submission) -> Reply {
    if let Some(held) =
        submission.idempotency_key.as_deref().and_then(|key| state.runs.held_by(key))
    {
        return Reply::json(200, &job(&held, Stage::Queued));
    }
    let run = Run::new(state, flow, submission.ask, Mode::Background);
    if let Some(key) = submission.idempotency_key {
        state.runs.hold(key, &run);
    }
    submit(state, &run);
    Reply::json(200, &job(&run, Stage::Queued))
}

fn unknown_outputs(flow: &Flow, submission: &Submission) -> Option<Reply> {
    let sinks: Vec<&str> = flow.plan.sinks().map(|at| flow.plan.nodes[at].id.as_str()).collect();
    let asked = submission.ask.output_ids.as_ref()?;
    let unknown: Vec<String> = asked
        .iter()
        .filter(|id| !sinks.contains(&id.as_str()))
        .map(|id| format!("'{id}'"))
        .collect();
    if unknown.is_empty() {
        return None;
    }
    let detail = json!({
        "error": "Unknown output_ids", "code": "UNKNOWN_OUTPUT_IDS", "available": sinks,
        "message": format!("output_ids not produced by this flow: [{}].", unknown.join(", ")),
    });
    Some(Reply::detail(422, detail))
}

/// A job that has not ended, or was stopped.
fn job(run: &Run, stage: Stage) -> Value {
    json!({
        "job_id": run.id, "flow_id": run.flow.id, "object": "job", "created_timestamp": offset(now()),
        "status": stage.name(), "errors": [], "globals": {},
        "links": {
            "status": format!("/api/v2/workflows?job_id={}", run.id),
            "events": format!("/api/v2/workflows/{}/events", run.id),
            "stop": "/api/v2/workflows/stop",
        },
    })
}

/// `GET /api/v2/workflows?job_id=`.
pub(super) fn status(state: &State, call: &Call) -> Reply {
    let Some(id) = call.query("job_id").filter(|id| !id.is_empty()) else {
        let detail = json!({
            "error": "Missing required parameter", "code": "MISSING_PARAMETER", "message": "Job ID must be provided",
        });
        return Reply::detail(400, detail);
    };
    if !is_uuid(&id) {
        let text = "Value error, Invalid job_id, must be a UUID";
        return Reply::detail(
            422,
            json!([{"type": "value_error", "loc": ["query", "job_id"], "msg": text}]),
        );
    }
    let Some(run) = state.runs.find(&id) else {
        return unknown_job(
            state,
            "Workflow job not found",
            &format!("Workflow job {id} not found"),
            &id,
        );
    };
    if run.take_flicker() {
        return job_failed(&run, &Value::Null);
    }
    match run.stage() {
        Stage::Completed => Reply::json(200, &outcome::v2(&run, true)),
        Stage::Failed => {
            let steps = run.steps();
            let error =
                outcome::failed(&steps).map(|(step, _)| message::shown(&run, step, Form::JobEvent));
            job_failed(&run, &error.unwrap_or_default())
        }
        Stage::Lost => job_failed(&run, &json!({"type": "worker_lost"})),
        stage @ (Stage::Queued | Stage::Running | Stage::Cancelled) => {
            Reply::json(200, &job(&run, stage))
        }
    }
}

fn job_failed(run: &Run, error_detail: &Value) -> Reply {
    let detail = json!({
        "error": "Job failed", "code": "JOB_FAILED", "job_id": run.id, "error_detail": error_detail,
        "message": format!("Job {} has failed execution.", run.id),
    });
    Reply::detail(500, detail)
}

fn unknown_job(state: &State, error: &str, text: &str, id: &str) -> Reply {
    let detail = json!({"error": error, "code": "JOB_NOT_FOUND", "message": text, "job_id": id});
    routes::not_found(state, detail)
}

/// `GET /api/v2/workflows/{job_id}/events`.
pub(super) fn events(state: &State, call: &Call, id: &str) -> Reply {
    let job = state.runs.find(id).filter(|run| run.mode == Mode::Background);
    let Some(run) = job else {
        return unknown_job(
            state,
            "Background run not found",
            &format!("No background run for job {id}."),
            id,
        );
    };
    let seen = call.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
    stream::v2(run, seen, None)
}

/// `POST /api/v2/workflows/stop`.
pub(super) fn stop(state: &State, call: &Call) -> Reply {
    let body = match call.json() {
        Ok(body) => body.unwrap_or_default(),
        Err(reply) => return reply,
    };
    let Some(id) = body["job_id"].as_str() else {
        let item = json!({"type": "missing", "loc": ["body", "job_id"], "msg": "Field required"});
        return Reply::detail(422, json!([item]));
    };
    let Some(run) = state.runs.find(id) else {
        return unknown_job(state, "Job not found", &format!("Job {id} not found"), id);
    };
    if run.mode != Mode::Background {
        let detail = json!({
            "error": "Job cannot be stopped", "code": "JOB_NOT_CANCELLABLE", "job_id": id, "mode": "unknown",
            "message": "Only background workflow jobs can be stopped.",
        });
        return Reply::detail(409, detail);
    }
    let text = match run.stage() {
        Stage::Queued | Stage::Running => {
            run.cancel(state.options.flicker_after_stop);
            format!("Job {id} cancelled successfully.")
        }
        Stage::Cancelled => format!("Job {id} is already cancelled."),
        ended @ (Stage::Completed | Stage::Failed | Stage::Lost) => {
            format!("Job {id} already finished ({}).", ended.name())
        }
    };
    Reply::json(200, &json!({"job_id": id, "message": text}))
}
