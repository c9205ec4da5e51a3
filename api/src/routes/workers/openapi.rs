//! The operations of workers, as the OpenAPI document describes them.

use serde_json::{Value, json};
use spark_projections::WorkerRow;

use crate::openapi::{Operation, schemas};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("listWorkers", "/workers", "List workers")
            .query("status", "Only those in this status.", schemas::words(super::STATUSES))
            .paged()
            .reads()
            .answers_page::<WorkerRow>("A page of workers.", worker()),
        Operation::get("getWorker", "/workers/{worker}", "One worker")
            .names("worker", "The worker's id, or the start of it.")
            .reads()
            .answers::<WorkerRow>("The worker.", worker()),
    ]
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
    })
}
