//! One example of each thing, the same wherever it is shown. Tests compare them with the types.

use serde_json::{Value, json};

/// A row with fields added or replaced.
pub(crate) fn with(mut row: Value, fields: Value) -> Value {
    if let (Value::Object(row), Value::Object(fields)) = (&mut row, fields) {
        row.extend(fields);
    }
    row
}

pub(crate) fn source() -> Value {
    json!({
        "id": "0192f0c1-2d3e-7000-8000-000000000001",
        "name": "home",
        "url": "http://localhost:7860",
        "kind": "langflow",
        "status": "up",
        "status_since": "2026-01-31T08:00:00.000000Z",
        "version": "1.13.0",
        "capabilities": {
            "version": "1.13.0", "background_jobs": true, "traces": true, "stream": true,
        },
        "failure_class": null,
        "reason": null,
        "has_api_key": true,
        "runs_max": 8,
        "worker_labels": [],
        "flows": 3,
        "deleted": false,
        "created_at": "2026-01-31T08:00:00.000000Z",
        "updated_at": "2026-01-31T08:00:00.000000Z",
        "revision": 0,
    })
}

pub(crate) fn flow() -> Value {
    json!({
        "id": "0192f0c1-2d3e-7000-8000-000000000002",
        "name": "nightly report",
        "description": "What happened yesterday",
        "source_id": "0192f0c1-2d3e-7000-8000-000000000001",
        "source_name": "home",
        "remote_id": "7f0c9a52-6f0e-4b8e-9d8a-2f6f2f1a0b01",
        "folder": "Reports",
        "input_component": "ChatInput-00001",
        "output_component": "ChatOutput-00001",
        "components": [
            { "id": "ChatInput-00001", "kind": "ChatInput", "name": "Chat Input", "is_input": true },
        ],
        "definition_hash": "9f86d081884c7d65",
        "version": 1,
        "runs_max": null,
        "edited": false,
        "drifted": false,
        "drift": null,
        "deleted": false,
        "created_at": "2026-01-31T08:00:00.000000Z",
        "updated_at": "2026-01-31T08:00:00.000000Z",
        "revision": 0,
    })
}

pub(crate) fn schedule() -> Value {
    let recurrence = json!({ "kind": "cron", "expression": "0 9 * * 1-5", "timezone": "Europe/Berlin", "dst": "once" });
    let schedule = json!({
        "id": "0192f0c1-2d3e-7000-8000-000000000003",
        "name": "weekdays at nine",
        "note": null,
        "flow_id": "0192f0c1-2d3e-7000-8000-000000000002",
        "flow_name": "nightly report",
        "source_id": "0192f0c1-2d3e-7000-8000-000000000001",
        "status": "active",
        "recurrence": recurrence,
        "timetable": { "specs": [recurrence] },
        "timezone": "Europe/Berlin",
        "summary": "0 9 * * 1-5 Europe/Berlin",
        "input": "yesterday",
        "tweaks": null,
        "overlap": "Skip",
        "catch_up_ms": 3_600_000,
        "retry": {
            "initial_ms": 1000, "coefficient_percent": 200, "maximum_ms": 60_000, "attempts_max": 4,
        },
        "timeout_ms": 600_000,
        "queue_timeout_ms": null,
        "total_timeout_ms": null,
        "priority": null,
        "runs_max": null,
        "runs_left": null,
        "pause_after": 3,
        "on_drift": "run",
        "next_due_at": "2026-02-02T08:00:00.000000Z",
        "next_starts_at": "2026-02-02T08:00:00.000000Z",
        "last_due_at": "2026-01-30T08:00:00.000000Z",
        "last_task_id": "0192f0c1-2d3e-7000-8000-000000000004",
        "last_task_status": "completed",
        "paused_at": null,
        "paused_by": null,
        "paused_reason": null,
        "pause_note": null,
    });
    let outcomes = json!({
        "failures": 0,
        "waiting": 0,
        "backfills": [],
        "fired": 1,
        "buffered": 0,
        "skipped": 0,
        "missed": 0,
        "drift": 0,
        "given_up": 0,
        "backfilled": 0,
        "triggered": 0,
        "failed": 0,
        "outcomes": [{
            "outcome": "fired",
            "due_at": "2026-01-30T08:00:00.000000Z",
            "last_due_at": "2026-01-30T08:00:00.000000Z",
            "count": 1,
            "task_id": "0192f0c1-2d3e-7000-8000-000000000004",
            "reason": "due",
            "replaced_by": null,
            "note": null,
        }],
        "created_at": "2026-01-29T08:00:00.000000Z",
        "updated_at": "2026-01-30T08:00:00.000000Z",
        "created_by": "user:local",
        "revision": 1,
    });
    with(schedule, outcomes)
}

/// A task as lists show it.
pub(crate) fn task() -> Value {
    json!({
        "id": "0192f0c1-2d3e-7000-8000-000000000004",
        "flow_id": "0192f0c1-2d3e-7000-8000-000000000002",
        "flow_name": "nightly report",
        "source_id": "0192f0c1-2d3e-7000-8000-000000000001",
        "schedule_id": "0192f0c1-2d3e-7000-8000-000000000003",
        "schedule_name": "weekdays at nine",
        "due_at": "2026-01-30T08:00:00.000000Z",
        "trigger": "occurrence",
        "backfill": null,
        "retry_of": null,
        "status": "completed",
        "held": false,
        "released_at": null,
        "priority": 0,
        "queue_timeout_ms": null,
        "total_timeout_ms": null,
        "definition": null,
        "attempts": 1,
        "attempts_max": 4,
        "input": "yesterday",
        "output": "Nothing happened.",
        "error": null,
        "why": null,
        "next_attempt_at": null,
        "worker_id": "0192f0c1-2d3e-7000-8000-00000000000a",
        "job_id": "5d1c4b9a-0b1f-4d0c-9a53-6f7e2a7b9c01",
        "cancel_requested": false,
        "cancelled_by": null,
        "cancel_reason": null,
        "remote_stop": null,
        "created_at": "2026-01-30T08:00:00.100000Z",
        "started_at": "2026-01-30T08:00:00.200000Z",
        "finished_at": "2026-01-30T08:00:02.200000Z",
        "duration_ms": 2000,
        "updated_at": "2026-01-30T08:00:02.200000Z",
        "created_by": "system",
        "revision": 3,
        "deleted_at": null,
    })
}

/// What a component did in an attempt.
pub(crate) fn component_log() -> Value {
    json!({
        "attempt": 1,
        "component": "Chat Input",
        "status": "ok",
        "started_at": "2026-01-30T08:00:00.300000Z",
        "latency_ms": 12,
        "error": null,
    })
}

/// A task with its attempts.
pub(crate) fn task_detail() -> Value {
    let attempt = json!({
        "attempt": 1,
        "worker_id": "0192f0c1-2d3e-7000-8000-00000000000a",
        "mode": "background",
        "job_id": "5d1c4b9a-0b1f-4d0c-9a53-6f7e2a7b9c01",
        "definition_hash": "9f86d081884c7d65",
        "started_at": "2026-01-30T08:00:00.200000Z",
        "finished_at": "2026-01-30T08:00:02.200000Z",
        "duration_ms": 2000,
        "outcome": "completed",
        "failure": null,
        "reattached": 0,
    });
    let more = json!({ "retried_as": [], "attempt_rows": [attempt], "log": [component_log()] });
    with(task(), more)
}

/// What a removal answers.
pub(crate) fn removed() -> Value {
    json!({ "id": "0192f0c1-2d3e-7000-8000-000000000003", "deleted": true })
}
