//! Tables and pages as they are reviewed, from rows as the API gives them.

mod operations;

use serde_json::{Value, json};

use super::*;
use crate::output::look::{Look, tests::plain};
use crate::output::text::width;
use crate::snapshots;

const TASK: &str = "0193a7b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b";
const SCHEDULE: &str = "0193a7b4-0000-7e3f-8a9b-0c1d2e3f4a5b";
const LONG: &str =
    "a very long name that somebody gave to it because names are cheap and nobody minds";

fn failed_task() -> Value {
    let failure = |class: &str, message: &str| json!({"class": class, "message": message, "status": 500, "component": "OpenAI Model"});
    let attempt = |n: u32, outcome: &str, failure: Value| {
        json!({"attempt": n, "worker_id": null, "mode": "background", "job_id": "j",
            "started_at": "2026-03-01T11:58:00Z", "finished_at": "2026-03-01T11:58:02Z",
            "duration_ms": 2_130, "outcome": outcome, "failure": failure, "reattached": 0})
    };
    json!({
        "id": TASK, "flow_id": "8b2c41f0-0a3e-5f6d-9c1b-2f4e5d6c7b8a", "flow_name": "report",
        "schedule_id": SCHEDULE, "schedule_name": "nightly", "due_at": "2026-03-01T11:57:59Z",
        "trigger": "occurrence", "status": "failed", "attempts": 3, "attempts_max": 3,
        "input": {"inline": "what happened\nyesterday?"}, "output": null,
        "created_at": "2026-03-01T11:57:59Z", "started_at": "2026-03-01T11:58:00Z",
        "finished_at": "2026-03-01T11:59:00Z", "duration_ms": 60_000,
        "updated_at": "2026-03-01T11:59:00Z", "created_by": "scheduler",
        "attempt_rows": [
            attempt(1, "failed", failure("component", "the model answered 429: slow down, you have used up what you paid for")),
            attempt(2, "failed", failure("timeout", "no answer within 10 s")),
            attempt(3, "failed", failure("component", "boom")),
        ],
        "log": [
            {"attempt": 1, "component": "Chat Input", "status": "ok", "latency_ms": 3, "error": null},
            {"attempt": 1, "component": "OpenAI Model", "status": "error", "latency_ms": 2_100, "error": "429: slow down"},
        ],
    })
}

fn completed_task() -> Value {
    json!({
        "id": "8b2c41f0-0a3e-5f6d-9c1b-2f4e5d6c7b8a", "flow_name": LONG, "trigger": "manual",
        "status": "completed", "attempts": 1, "created_at": "2026-03-01T11:00:00Z",
        "updated_at": "2026-03-01T11:00:01Z", "duration_ms": 850,
        "output": {"inline": {"text": "hello\u{1b}[2J back"}},
    })
}

/// Made for a backfill, and too long in the queue after a first attempt.
fn expired_task() -> Value {
    let error = json!({"class": "timeout", "message": "no attempt started within the queue timeout of 30 s"});
    json!({
        "id": "0193a7b4-1c2e-7e3f-8a9b-0c1d2e3f4a5b", "flow_name": "report", "trigger": "backfill",
        "backfill": 2, "schedule_name": "nightly", "due_at": "2026-02-27T09:00:00Z",
        "status": "failed", "held": false, "attempts": 1, "attempts_max": 3, "priority": 0,
        "queue_timeout_ms": 30_000, "input": {"inline": "x"}, "error": error, "why": "queue_timeout",
        "created_at": "2026-03-01T11:57:59Z", "started_at": "2026-03-01T11:58:00Z",
        "finished_at": "2026-03-01T11:59:00Z", "duration_ms": 60_000, "deleted_at": "2026-03-01T11:59:30Z",
        "attempt_rows": [{"attempt": 1, "outcome": "failed", "started_at": "2026-03-01T11:58:00Z",
            "duration_ms": 40, "failure": {"class": "component", "message": "boom"}}],
    })
}

fn held_task() -> Value {
    json!({
        "id": "0193a7b4-1c2f-7e3f-8a9b-0c1d2e3f4a5b", "flow_name": "report", "trigger": "manual",
        "status": "pending", "held": true, "attempts": 0, "attempts_max": 3, "priority": -5,
        "total_timeout_ms": 3_600_000, "definition": "0a1b2c3d4e5f60718293", "input": {"inline": "x"},
        "created_at": "2026-03-01T11:57:59Z", "updated_at": "2026-03-01T11:57:59Z",
    })
}

fn schedule_row() -> Value {
    json!({
        "id": SCHEDULE, "name": "nightly", "flow_id": TASK, "flow_name": "report",
        "status": "paused", "summary": "at 09:00", "timezone": "Europe/Lisbon",
        "recurrence": {"kind": "cron", "expression": "0 9 * * mon-fri", "timezone": "Europe/Lisbon", "dst": "once"},
        "input": {"inline": "go"}, "tweaks": {"A": {"b": 1}}, "overlap": "Skip",
        "catch_up_ms": 3_600_000, "timeout_ms": 600_000, "retry": {"attempts_max": 4},
        "next_due_at": "2026-03-02T09:00:00Z", "last_due_at": "2026-02-27T09:00:00Z",
        "last_task_id": TASK, "last_task_status": "failed", "paused_at": "2026-03-01T11:00:00Z",
        "paused_by": "user:local", "paused_reason": "maintenance",
        "fired": 12, "skipped": 2, "missed": 1, "triggered": 3, "failed": 1,
        "outcomes": [
            {"outcome": "fired", "due_at": "2026-02-27T09:00:00Z", "count": 1, "task_id": TASK},
            {"outcome": "skipped", "due_at": "2026-02-26T09:00:00Z", "count": 2, "task_id": TASK},
            {"outcome": "missed", "due_at": "2026-02-25T09:00:00Z", "count": 5, "task_id": null},
        ],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-03-01T11:00:00Z",
    })
}

fn list(items: Vec<Value>) -> Value {
    json!({"items": items, "total": 2, "limit": 50, "offset": 0, "has_more": false, "next_cursor": null})
}

fn pages(look: &Look) -> Vec<(&'static str, String)> {
    let interval = json!({"id": TASK, "name": null, "flow_name": LONG, "status": "active",
        "recurrence": {"kind": "interval", "every_ms": 30_000, "phase_ms": 0},
        "next_due_at": "2026-03-01T12:00:05Z", "last_due_at": null});
    let preview = json!({"recurrence": schedule_row()["recurrence"], "items": [
        {"due_at": "2026-03-02T09:00:00Z"}, {"due_at": "2026-03-29T08:00:00Z", "dst": "gap"}]});
    let source = |name: &str, status: &str| {
        json!({"id": TASK, "name": name, "url": format!("http://localhost:7860/{name}"),
        "status": status, "version": "1.13.0", "runs_max": 4, "has_api_key": true,
        "kind": "langflow", "flows": 3, "status_since": "2026-03-01T11:00:00Z",
        "capabilities": {"version": "1.13.0", "background_jobs": true, "traces": true, "stream": false},
        "failure_class": null, "reason": null, "created_at": "2026-03-01T11:00:00Z", "updated_at": "2026-03-01T11:00:00Z"})
    };
    let flow = json!({"id": TASK, "name": LONG, "description": "d", "source_name": "dev", "remote_id": SCHEDULE,
        "folder": "Starter", "input_component": "ChatInput-1", "output_component": "ChatOutput-1",
        "definition_hash": "abc", "created_at": "2026-02-01T11:00:00Z", "updated_at": "2026-03-01T11:00:00Z",
        "components": [
            {"id": "ChatInput-1", "kind": "ChatInput", "name": "Chat Input", "is_input": true, "tweakable": ["input_value", "sender"]},
            {"id": "ChatOutput-1", "kind": "ChatOutput", "name": "Chat Output", "is_output": true}]});
    let remote = json!({"id": SCHEDULE, "name": LONG, "description": "", "folder": "Starter", "synced_as": TASK});
    let built_in = json!({"id": TASK, "name": "built-in", "hostname": "bench", "pid": 4711,
        "status": "active", "slots": 64, "labels": [], "built_in": true, "version": "0.1.0",
        "current_tasks": 3, "attempts": 120, "completed": 110, "failed": 7,
        "started_at": "2026-03-01T09:00:00Z"});
    let worker = json!({"id": SCHEDULE, "name": "gpu-1", "hostname": "gpu-host-7.example",
        "pid": 4712, "status": "draining", "reason": "an upgrade", "slots": 4,
        "labels": ["big", "gpu"], "built_in": false, "version": "0.1.0", "protocol": 1,
        "current_tasks": 1, "tasks": [TASK], "attempts": 12, "completed": 10, "failed": 1,
        "started_at": "2026-03-01T09:00:00Z", "last_seen_at": "2026-03-01T11:59:58Z",
        "silent_ms": 2_000});
    let here = json!({"name": "gpu-1", "pid": 4712, "server": "http://127.0.0.1:8888",
        "registered": true, "log": "/home/me/.automagik/worker-gpu-1.log"});
    let everywhere = json!({"here": [here], "workers": [built_in.clone(), worker.clone()]});
    let api_key = |name: &str, status: &str| {
        let revoked = (status == "revoked").then_some("2026-03-01T11:59:00Z");
        json!({"id": TASK, "name": name, "role": "operator", "status": status, "hint": "f00d",
        "created_at": "2026-03-01T10:00:00Z", "created_by": "user:local", "revoked_at": revoked,
        "last_used_at": revoked.map(|_| "2026-03-01T11:00:00Z"), "reason": revoked.map(|_| "gone"),
        "revoked_by": revoked.map(|_| "user:local"), "revision": 2})
    };
    let health = json!({"status": "degraded", "version": "0.1.0", "log": {"backend": "embedded", "trouble": null},
        "actors": {"open_tasks": 3, "running_tasks": 1, "active_schedules": 2, "crashes": 0,
            "alerts": {"running": true, "trouble": null, "waiting": 2, "given_up": 1}},
        "projections": {"projections": [{"name": "tasks", "position": 7, "halted": {"position": 8, "reason": "no such column"}}]}});
    vec![
        (
            "task list",
            task::list(
                &list(vec![failed_task(), completed_task(), expired_task(), held_task()]),
                look,
            ),
        ),
        ("task show", task::show(&failed_task(), look)),
        ("task show, expired", task::show(&expired_task(), look)),
        ("task show, held", task::show(&held_task(), look)),
        ("task line, held", task::line(&held_task(), look) + "\n"),
        ("task end", task::end_line(&failed_task()) + "\n"),
        ("task end, expired", task::end_line(&expired_task()) + "\n"),
        ("schedule list", schedule::list(&list(vec![schedule_row(), interval]), look)),
        ("schedule show", schedule::show(&schedule_row(), &preview, look)),
        ("source list", source::list(&list(vec![source("dev", "up"), source(LONG, "down")]), look)),
        ("source show", source::show(&source("dev", "up"), look)),
        ("flow list", flow::list(&list(vec![flow.clone()]), look)),
        ("flow list --remote", source::remote(&list(vec![remote]), look)),
        ("flow show", flow::show(&flow, look)),
        ("worker list", worker::list(&list(vec![built_in, worker.clone()]), look)),
        ("worker show", worker::page(&worker, look)),
        ("worker status", worker::status(&everywhere, look)),
        (
            "key list",
            key::list(&list(vec![api_key("ci", "active"), api_key(LONG, "revoked")]), look),
        ),
        ("key show", key::show(&api_key("ci", "revoked"), look)),
        ("key create", {
            let mut made = api_key("ci", "active");
            made["secret"] = json!(format!("sk-spark-{}", "0".repeat(64)));
            key::show(&made, look)
        }),
        ("key whoami", key::whoami(&json!({"name": "ci", "role": "viewer", "id": TASK}), look)),
        ("alert list", alert::list(&list(vec![alert_row("on-call"), alert_row(LONG)]), look)),
        ("alert show", alert::show(&alert_row("on-call"), look)),
        ("alert deliveries", alert::deliveries(&list(vec![delivery()]), look)),
        ("alert test", alert::sent(&refused_test(), look)),
        ("status", status::show(&health, "http://127.0.0.1:8888", look)),
        ("history", history::list(&list(events()), look)),
    ]
}

fn events() -> Vec<Value> {
    let event = |revision: u32, kind: &str, actor: &str, reason: Value, data: Value| {
        json!({"revision": revision, "position": 7, "type": kind, "version": 1, "actor": actor,
            "reason": reason, "recorded_at": "2026-03-01T11:58:00Z", "data": data})
    };
    vec![
        event(
            0,
            "task.created",
            "user:local",
            json!("a test"),
            json!({
            "flow_id": SCHEDULE, "input": {"inline": "what happened?"}, "timeout_ms": 600_000,
            "trigger": {"kind": "manual"}, "retry": {"initial_ms": 5_000, "attempts_max": 4}}),
        ),
        event(
            0,
            "schedule.created",
            "user:local",
            Value::Null,
            json!({
                "next_due_at": "2026-03-01T12:00:00Z", "zone_data": "2025b",
                "spec": {
                    "name": "nightly", "flow_id": SCHEDULE, "overlap": "Skip",
                    "input": {"inline": "go"}, "recurrence": schedule_row()["recurrence"],
                },
            }),
        ),
        event(
            1,
            "task.started",
            "scheduler",
            Value::Null,
            json!({
            "attempt": 1, "worker_id": TASK, "mode": "background", "at": "2026-03-01T11:58:00Z"}),
        ),
        event(
            2,
            "task.attempt_failed",
            &format!("worker:{TASK}"),
            Value::Null,
            json!({
            "attempt": 1, "duration_ms": 2_130,
            "failure": {"class": "component", "message": format!("boom {LONG}"), "component": "Model"}}),
        ),
        event(
            3,
            "task.failed",
            "scheduler",
            Value::Null,
            json!({
            "attempts": 1, "why": "queue_timeout", "failure": {"class": "timeout", "message": "too late"}}),
        ),
        event(1, "task.released", "user:local", Value::Null, json!({"at": "2026-03-01T11:58:00Z"})),
        event(4, "task.deleted", "user:local", json!("tidied up"), json!({})),
        event(
            5,
            "schedule.backfill_started",
            "user:local",
            Value::Null,
            json!({
            "number": 2, "from": "2026-02-20T00:00:00Z", "to": "2026-02-27T00:00:00Z",
            "only": "missing", "overlap": "BufferAll", "active_max": 1,
            "due": ["2026-02-20T09:00:00Z", "2026-02-21T09:00:00Z"]}),
        ),
        event(
            6,
            "schedule.backfilled",
            "scheduler",
            Value::Null,
            json!({
            "number": 2, "due_at": "2026-02-20T09:00:00Z", "task_id": TASK}),
        ),
        event(
            3,
            "schedule.skipped",
            "scheduler",
            Value::Null,
            json!({
            "first_due_at": "2026-03-01T11:00:00Z", "last_due_at": "2026-03-01T11:00:00Z", "count": 1,
            "reason": {"kind": "overlap", "task_id": TASK}, "next_due_at": null}),
        ),
    ]
}

#[test]
fn every_page_fits_80_columns() {
    for (name, page) in pages(&plain()) {
        assert!(!page.is_empty(), "{name}");
        for line in page.lines() {
            assert!(width(line) <= 80, "{name}: {line}");
            assert_eq!(line.trim_end(), line, "{name} has trailing space");
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let colored = pages(&Look { color: true, ..plain() });
    for ((name, page), (_, plain)) in colored.iter().zip(pages(&plain())) {
        let mut text = String::new();
        let mut parts = page.split('\u{1b}');
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            text.push_str(part.split_once('m').unwrap().1);
        }
        let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_pages_are_reviewed() {
    let text: String =
        pages(&plain()).iter().map(|(name, page)| format!("=== {name}\n{page}\n")).collect();
    snapshots::check("pages.txt", &text);
}

#[test]
fn nothing_breaks_where_fields_are_missing() {
    let empty = json!({});
    let look = plain();
    assert!(task::list(&list(vec![empty.clone()]), &look).contains('-'));
    assert!(schedule::show(&empty, &Value::Null, &look).contains('-'));
    assert!(source::show(&empty, &look).contains('-'));
    assert!(flow::show(&empty, &look).contains('-'));
    assert!(task::show(&empty, &look).contains('-'));
    assert!(history::list(&list(vec![empty.clone()]), &look).contains("#-"));
    assert!(status::show(&empty, "u", &look).contains('u'));
    assert_eq!(task::list(&list(vec![]), &look), "");
}

#[test]
fn an_output_is_shown_as_it_is_but_harmless_on_a_terminal() {
    assert_eq!(task::output_text(&completed_task(), true), "hello[2J back\n");
    assert_eq!(task::output_text(&completed_task(), false), "hello\u{1b}[2J back\n");
    assert_eq!(
        task::output_text(&json!({"output": {"inline": {"n": 1}}}), false),
        "{\n  \"n\": 1\n}\n"
    );
    assert_eq!(task::output_text(&json!({"output": null}), false), "");
    let blob = json!({"output": {"blob": "abc", "bytes": 40_000}});
    assert_eq!(task::output_text(&blob, false), "(40000 bytes, stored apart)\n");
}

#[test]
fn a_failure_without_a_remedy_gets_the_one_of_its_class() {
    let page = task::attempts(&failed_task(), &plain());
    assert!(page.contains("remedy") && page.contains("open the flow in"), "{page}");
}

fn alert_row(name: &str) -> Value {
    json!({"id": TASK, "name": name, "url": "https://example.org/***", "status": "enabled",
        "kinds": ["task_failed", "source_down"], "schedule_id": TASK, "schedule_name": "nightly",
        "waiting": 1, "delivered": 12, "failed": 0,
        "last_delivered_at": "2026-03-01T11:00:00Z", "last_failed_at": "2026-03-01T11:59:00Z",
        "last_error": "the receiver answered 503",
        "previous_secret_until": "2026-03-02T12:00:00Z", "created_at": "2026-03-01T10:00:00Z"})
}

fn delivery() -> Value {
    json!({"id": TASK, "kind": "task_failed", "count": 1, "status": "waiting",
        "title": "schedule nightly (flow report) failed after 4 attempts: component: no such tool",
        "raised_at": "2026-03-01T11:58:00Z", "next_attempt_at": "2026-03-01T12:03:00Z",
        "attempts": [{"attempt": 1, "at": "2026-03-01T11:58:01Z", "delivered": false,
            "status": 503, "duration_ms": 12, "answer": "busy", "error": "the receiver answered 503"}]})
}

fn refused_test() -> Value {
    json!({"message_id": TASK, "delivered": false, "status": 401, "duration_ms": 12,
        "answer": "bad\nsignature", "error": "the receiver answered 401",
        "remedy": "the receiver refuses it: compare the secret there with this alert's"})
}
