//! The operations of workers, as the OpenAPI document describes them.

use serde_json::{Value, json};
use spark_actors::remote::{Poll, Polled, Registered, Registration, Reported, Reports};
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::Shown;
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::{Operation, schemas};

/// A worker that has left.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct Left {
    /// Its id.
    id: uuid::Uuid,
    /// `stopped`.
    status: String,
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("listWorkers", "/workers", "List workers")
            .query("status", "Only those in this status.", schemas::words(super::STATUSES))
            .query("living", "Only those that are there.", schemas::flag())
            .paged()
            .reads()
            .answers_page::<Shown>("A page of workers.", worker()),
        Operation::get("getWorker", "/workers/{worker}", "One worker")
            .names("worker", WORKER)
            .reads()
            .answers::<Shown>("The worker.", with_tasks()),
        change("pauseWorker", "/workers/{worker}/pause", "Let a worker take no new work")
            .about("What runs goes on."),
        change("resumeWorker", "/workers/{worker}/resume", "Let a worker take work again"),
        change("drainWorker", "/workers/{worker}/drain", "Let a worker leave after its last run")
            .about("It takes no new work. The built-in one stays, and takes nothing."),
        change("stopWorker", "/workers/{worker}/stop", "Stop a worker")
            .about(
                "It gives its background runs back, which go on elsewhere, lets direct ones end for a \
                 while, and leaves. The built-in one ends with the server only.",
            ),
        Operation::post("registerWorker", "/workers", "A worker says that it is there")
            .about(
                "Spoken by `automagik worker start`, as are its polls and reports. The same \
                 registration again gives the same answer, with 200. Unknown fields are passed over. \
                 `clock` is the present instant: one over 5 minutes off is refused, so the example \
                 must be given another.",
            )
            .commands()
            .body::<Registration>("A worker", registration())
            .answers_with::<Registered>(StatusCode::CREATED, "It was taken in.", registered())
            .answers::<Registered>("It was taken in before.", registered())
            .fails(&[
                Row::RULE,
                Row::WORKER_TAKEN,
                Row::WORKER_PROTOCOL,
                Row::WORKER_CLOCK,
                Row::WORKER_GONE,
            ]),
        spoken("pollWorker", "/workers/{worker}/poll", "A worker asks for work")
            .about(
                "Waits until there is something, as long as the worker was told. The answer holds \
                 the keys of the sources that are to be called.",
            )
            .body::<Poll>("A first poll", json!({ "session": ID, "after": 0 }))
            .answers::<Polled>("What there is.", polled()),
        spoken("reportWorker", "/workers/{worker}/reports", "A worker reports what became of its attempts")
            .about("What is answered as `recorded` is durable; `retry` is to be said again.")
            .body::<Reports>("An end", reports())
            .answers::<Reported>("Their receipts, in order.", json!({ "items": ["recorded"] }))
            .fails(&[Row::RULE]),
        spoken("leaveWorker", "/workers/{worker}/leave", "A worker leaves")
            .answers::<Left>("It has left.", json!({ "id": ID, "status": "stopped" })),
    ]
}

const ID: &str = "0192f0c1-2d3e-7000-8000-00000000000a";
const WORKER: &str = "The worker's id, the start of it, or its name.";

fn change(id: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation::post(id, path, summary)
        .names("worker", WORKER)
        .commands()
        .optional_body::<ActionBody>("A reason", json!({ "reason": "its GPU is needed elsewhere" }))
        .answers_row::<Shown>(StatusCode::OK, "The worker as it is now.", worker())
        .fails(&[Row::CONFLICT])
}

/// An operation that a worker speaks.
fn spoken(id: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation::post(id, path, summary)
        .names("worker", "The worker's whole id.")
        .commands()
        .fails(&[Row::WORKER_GONE])
}

fn with_tasks() -> Value {
    let mut worker = worker();
    worker["tasks"] = json!([ID]);
    worker
}

fn registration() -> Value {
    json!({
        "id": ID,
        "name": "gpu-1",
        "hostname": "spark-1",
        "pid": 4711,
        "slots": 8,
        "labels": ["gpu"],
        "version": "0.1.0",
        "protocol": 1,
        "clock": "2026-01-31T08:00:00.000000Z",
    })
}

fn registered() -> Value {
    json!({
        "id": ID,
        "session": ID,
        "poll_ms": 10_000,
        "lost_after_ms": 30_000,
        "server_version": "0.1.0",
        "server_time": "2026-01-31T08:00:00.000000Z",
    })
}

fn polled() -> Value {
    let cancel = json!({ "cancel": { "task_id": ID, "attempt": 1 } });
    json!({
        "session": ID,
        "status": "active",
        "resync": false,
        "items": [{ "seq": 1, "what": cancel }],
    })
}

fn reports() -> Value {
    let what = json!({ "submitted": { "job_id": "4a1c" } });
    json!({ "items": [{ "task_id": ID, "attempt": 1, "what": what }] })
}

fn worker() -> Value {
    json!({
        "id": "0192f0c1-2d3e-7000-8000-00000000000a",
        "name": "gpu-1",
        "status": "active",
        "hostname": "spark-1",
        "pid": 4711,
        "slots": 8,
        "labels": ["gpu"],
        "built_in": false,
        "version": "0.1.0",
        "protocol": 1,
        "replaces": null,
        "started_at": "2026-01-31T08:00:00.000000Z",
        "ended_at": null,
        "reason": null,
        "current_tasks": 2,
        "attempts": 120,
        "completed": 117,
        "failed": 1,
        "revision": 0,
        "accepting": true,
        "last_seen_at": "2026-01-31T09:00:00.000000Z",
        "silent_ms": 120,
    })
}
