//! One file per event type and version under `events/golden/`, append-only: what was ever written
//! can be read by every later version. `SPARK_GOLDEN=write cargo test -p spark-events golden`
//! writes the files of new types; it never touches one that exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const AT: &str = "2026-11-23T09:00:00.123456Z";

/// One example of every event type, newest version, with every optional field present.
fn samples() -> Vec<(&'static str, Value)> {
    let failure = json!({
        "class": "component", "message": "no", "status": 500, "component": "Always Fails",
        "body": "{}", "retry_after_ms": 1000
    });
    let retry = json!({
        "initial_ms": 5000, "coefficient_percent": 200, "maximum_ms": 300_000, "attempts_max": 4
    });
    let up = json!({
        "status": "up",
        "capabilities": {
            "version": "1.13.0", "background_jobs": true, "traces": true, "stream": true
        }
    });
    let tweaks = json!({ "SlowEcho-00001": { "seconds": 3 } });
    let schedule = json!({
        "name": "nightly", "note": "for the board", "flow_id": UUID, "source_id": UUID,
        "timetable": {
            "specs": [{
                "kind": "cron", "expression": "0 9 * * *", "timezone": "America/Sao_Paulo",
                "dst": "once"
            }],
            "exclusions": [{ "kind": "span", "from": AT, "until": AT }],
            "jitter_ms": 60_000, "start_at": AT, "end_at": AT
        },
        "input": { "inline": "hi" }, "tweaks": tweaks, "overlap": "BufferOne",
        "catch_up_ms": 3_600_000, "retry": retry, "timeout_ms": 600_000,
        "queue_timeout_ms": 60_000, "total_timeout_ms": 3_600_000, "priority": 5,
        "runs_max": 10, "pause_after": 3, "on_drift": "hold"
    });
    vec![
        (
            "task.created",
            json!({
                "flow_id": UUID, "source_id": UUID, "input": { "inline": "hello" }, "tweaks": tweaks,
                "trigger": { "kind": "occurrence", "schedule_id": UUID, "due_at": AT },
                "retry": retry, "timeout_ms": 600_000
            }),
        ),
        (
            "task.started",
            json!({
                "attempt": 1, "worker_id": UUID, "mode": "background", "definition_hash": "ab", "at": AT
            }),
        ),
        ("task.submitted", json!({ "attempt": 1, "job_id": "52a4e278" })),
        ("task.reattached", json!({ "attempt": 1, "worker_id": UUID })),
        (
            "task.log_recorded",
            json!({
                "attempt": 1,
                "entries": [{
                    "component": "Chat Input", "status": "error", "started_at": AT, "latency_ms": 4,
                    "error": "no"
                }]
            }),
        ),
        ("task.attempt_failed", json!({ "attempt": 1, "failure": failure, "duration_ms": 12 })),
        ("task.retry_scheduled", json!({ "attempt": 2, "not_before": AT, "delay_ms": 5000 })),
        (
            "task.completed",
            json!({
                "attempt": 1, "output": { "inline": { "text": "hello" } }, "duration_ms": 12
            }),
        ),
        ("task.failed", json!({ "attempts": 4, "why": "attempts_exhausted", "failure": failure })),
        ("task.cancel_requested", json!({ "attempt": 1 })),
        ("task.cancelled", json!({ "attempts": 1, "remote": "stopped" })),
        ("task.released", json!({ "at": AT })),
        ("task.deleted", json!({})),
        (
            "schedule.created",
            json!({ "spec": schedule, "next_due_at": AT, "next_starts_at": AT, "zone_data": "2025b" }),
        ),
        (
            "schedule.edited",
            json!({
                "spec": schedule, "changed": ["note"], "at": AT, "dropped": [AT],
                "next_due_at": AT, "next_starts_at": AT, "zone_data": "2025b"
            }),
        ),
        ("schedule.fired", json!({ "due_at": AT, "task_id": UUID, "next_due_at": AT })),
        (
            "schedule.skipped",
            json!({
                "first_due_at": AT, "last_due_at": AT, "count": 1,
                "reason": { "kind": "overlap", "task_id": UUID }, "next_due_at": AT
            }),
        ),
        (
            "schedule.buffered",
            json!({
                "origin": { "occurrence": { "due_at": AT } }, "overlap": "BufferAll",
                "next_due_at": AT, "next_starts_at": AT
            }),
        ),
        ("schedule.triggered", json!({ "task_id": UUID })),
        (
            "schedule.trigger_dropped",
            json!({ "task_id": UUID, "reason": { "kind": "replaced", "by": AT } }),
        ),
        (
            "schedule.backfill_started",
            json!({
                "number": 1, "from": AT, "to": AT, "only": "missing", "overlap": "BufferAll",
                "active_max": 1, "due": [AT]
            }),
        ),
        ("schedule.backfilled", json!({ "number": 1, "due_at": AT, "task_id": UUID })),
        ("schedule.backfill_ended", json!({ "number": 1, "left": 0 })),
        ("schedule.task_ended", json!({ "task_id": UUID, "status": "failed", "failures": 1 })),
        ("schedule.paused", json!({ "at": AT })),
        ("schedule.resumed", json!({ "paused_at": AT, "at": AT, "next_due_at": AT })),
        ("schedule.completed", json!({})),
        ("schedule.deleted", json!({})),
        (
            "source.added",
            json!({
                "name": "local", "url": "http://127.0.0.1:7860", "api_key": "c2VhbGVk",
                "runs_max": 4, "probe": up
            }),
        ),
        (
            "source.updated",
            json!({
                "name": "local", "url": "http://127.0.0.1:7860", "api_key": "c2VhbGVk", "runs_max": 8
            }),
        ),
        (
            "source.probed",
            json!({
                "probe": { "status": "down", "class": "unreachable", "message": "connection refused" }
            }),
        ),
        ("source.removed", json!({})),
        (
            "flow.synced",
            json!({
                "source_id": UUID, "remote_id": UUID, "name": "e2e-echo", "description": "Echoes.",
                "folder": "Starter", "input_component": "ChatInput-00001",
                "output_component": "ChatOutput-00001",
                "components": [{
                    "id": "ChatInput-00001", "kind": "ChatInput", "name": "Chat Input",
                    "is_input": true, "tweakable": ["input_value"]
                }],
                "definition": { "blob": "ab", "bytes": 40_000 }, "definition_hash": "ab"
            }),
        ),
        (
            "flow.created",
            json!({
                "name": "e2e-echo", "description": "Echoes.", "input_component": "ChatInput-00001",
                "output_component": "ChatOutput-00001",
                "components": [{
                    "id": "ChatInput-00001", "kind": "ChatInput", "name": "Chat Input",
                    "is_input": true, "tweakable": ["input_value"]
                }],
                "definition": { "inline": { "nodes": [], "edges": [] } }, "definition_hash": "ab"
            }),
        ),
        (
            "flow.edited",
            json!({
                "name": "e2e-echo", "description": "Echoes.", "input_component": "ChatInput-00001",
                "output_component": "ChatOutput-00001",
                "components": [{
                    "id": "ChatInput-00001", "kind": "ChatInput", "name": "Chat Input",
                    "is_input": true, "tweakable": ["input_value"]
                }],
                "definition": { "blob": "cd", "bytes": 40_000 }, "definition_hash": "cd"
            }),
        ),
        (
            "flow.pushed",
            json!({
                "created": true,
                "flow": {
                    "source_id": UUID, "remote_id": UUID, "name": "e2e-echo",
                    "description": "Echoes.", "folder": "Starter",
                    "input_component": "ChatInput-00001", "output_component": "ChatOutput-00001",
                    "components": [],
                    "definition": { "blob": "ab", "bytes": 40_000 }, "definition_hash": "ab"
                }
            }),
        ),
        ("flow.updated", json!({ "runs_max": { "at_most": 3 } })),
        (
            "flow.drift_detected",
            json!({
                "kind": "changed", "remote_hash": "ef",
                "summary": ["ChatInput-00001 changed: sender_name"], "at": AT
            }),
        ),
        ("flow.drift_cleared", json!({ "at": AT })),
        ("flow.deleted", json!({})),
        (
            "worker.started",
            json!({
                "hostname": "host", "pid": 7, "slots": 64, "built_in": true, "version": "0.1.0"
            }),
        ),
        ("worker.paused", json!({})),
        ("worker.resumed", json!({})),
        ("worker.draining", json!({})),
        ("worker.stopping", json!({})),
        ("worker.stopped", json!({})),
        ("worker.lost", json!({ "reason": "gone" })),
        (
            "key.created",
            json!({ "name": "ci", "role": "operator", "secret_hash": "ab", "hint": "f00d" }),
        ),
        ("request.begun", json!({ "hash": "ab", "at": AT })),
        ("request.answered", json!({ "status": 201, "answer": { "id": UUID }, "position": 7 })),
        ("request.refused", json!({})),
        ("key.used", json!({ "at": AT })),
        ("key.revoked", json!({ "at": AT })),
        (
            "alert.created",
            json!({
                "spec": {
                    "name": "on call", "url": "https://example.org/hook?token=t",
                    "kinds": ["task_failed", "source_down"], "flow_id": UUID, "schedule_id": UUID,
                    "source_id": UUID
                },
                "secret": "c2VhbGVk"
            }),
        ),
        (
            "alert.updated",
            json!({
                "name": "on call", "url": "https://example.org/hook", "kinds": ["task_failed"],
                "flow_id": "any", "schedule_id": { "this": UUID }, "source_id": "any"
            }),
        ),
        ("alert.enabled", json!({})),
        ("alert.disabled", json!({ "why": "the receiver answered 410 Gone", "dropped": 2 })),
        ("alert.secret_rotated", json!({ "secret": "c2VhbGVk", "previous_until": AT })),
        (
            "alert.resealed",
            json!({ "secret": "c2VhbGVk", "previous": { "secret": "c2VhbGVk", "until": AT } }),
        ),
        (
            "alert.raised",
            json!({
                "message_id": UUID, "kind": "task_failed", "count": 1, "through": 7, "at": AT,
                "body": { "type": "task.failed", "timestamp": AT, "data": { "title": "no" } }
            }),
        ),
        (
            "alert.delivered",
            json!({
                "message_id": UUID, "attempt": 1,
                "answer": { "status": 200, "body": "ok", "duration_ms": 12 }
            }),
        ),
        (
            "alert.delivery_failed",
            json!({
                "message_id": UUID, "attempt": 1,
                "answer": { "status": 503, "body": "busy", "duration_ms": 12 },
                "error": "the receiver answered 503", "next_at": AT
            }),
        ),
        ("alert.deleted", json!({})),
        (
            "projection.skipped",
            json!({ "position": 7, "event_type": "task.started", "why": "it cannot be read" }),
        ),
    ]
}

fn types() -> Vec<(&'static str, u16)> {
    [
        TaskEvent::TYPES,
        ScheduleEvent::TYPES,
        SourceEvent::TYPES,
        FlowEvent::TYPES,
        WorkerEvent::TYPES,
        ApiKeyEvent::TYPES,
        RequestEvent::TYPES,
        AlertEvent::TYPES,
    ]
    .concat()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Reads an event of any aggregate and writes it again.
fn round_trip(name: &str, version: u16, data: &[u8]) -> Value {
    fn again<E: DomainEvent>(name: &str, version: u16, data: &[u8]) -> Bytes {
        let event = E::decode(name, version, data).unwrap_or_else(|e| panic!("{name}: {e}"));
        event.encode().unwrap().2
    }
    let again = match name.split_once('.').unwrap().0 {
        "task" => again::<TaskEvent>,
        "schedule" => again::<ScheduleEvent>,
        "source" => again::<SourceEvent>,
        "flow" => again::<FlowEvent>,
        "worker" => again::<WorkerEvent>,
        "key" => again::<ApiKeyEvent>,
        "request" => again::<RequestEvent>,
        "alert" => again::<AlertEvent>,
        "projection" => again::<ProjectionEvent>,
        other => panic!("no aggregate {other}"),
    };
    serde_json::from_slice(&again(name, version, data)).unwrap()
}

#[test]
fn every_type_has_a_golden_file_that_reads_and_writes_the_same() {
    let samples = samples();
    for (name, newest) in types() {
        let path = folder().join(format!("{name}.v{newest}.json"));
        let sample =
            &samples.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name}")).1;
        if std::env::var("SPARK_GOLDEN").as_deref() == Ok("write") && !path.exists() {
            fs::write(&path, format!("{sample:#}\n")).unwrap();
        }
        let stored = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let stored: Value = serde_json::from_slice(&stored).unwrap();
        assert_eq!(&stored, sample, "{name} does not say what is written today");
        for version in 1..=newest {
            let path = folder().join(format!("{name}.v{version}.json"));
            let old = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let again = round_trip(name, version, &old);
            if version == newest {
                assert_eq!(again, stored, "{name} loses or changes a field");
            }
        }
    }
}

#[test]
fn no_golden_file_has_ever_been_edited() {
    let list = fs::read_to_string(folder().join("CHECKSUMS")).unwrap_or_default();
    let mut lines = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let digest = Sha256::digest(fs::read(&path).unwrap());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            lines.insert(format!("{name} {hex}"));
        }
    }
    let now = lines.into_iter().map(|line| line + "\n").collect::<String>();
    if std::env::var("SPARK_GOLDEN").as_deref() == Ok("write") {
        let kept = list.lines().all(|line| now.contains(line));
        assert!(kept, "a golden file was edited or removed");
        fs::write(folder().join("CHECKSUMS"), &now).unwrap();
        return;
    }
    assert_eq!(now, list, "the golden files differ from events/golden/CHECKSUMS");
}

#[test]
fn what_cannot_be_read_says_so() {
    let unknown = TaskEvent::decode("task.teleported", 1, b"{}").unwrap_err();
    assert_eq!(unknown, CodecError::UnknownType("task.teleported".into()));
    let newer = TaskEvent::decode("task.submitted", 9, b"{}").unwrap_err();
    assert!(newer.to_string().ends_with("update Spark"), "{newer}");
    let broken = TaskEvent::decode("task.submitted", 1, br#"{"attempt":"x"}"#).unwrap_err();
    assert!(matches!(broken, CodecError::Malformed { .. }), "{broken}");
    let tolerant = br#"{"attempt":1,"job_id":"j","added_later":true}"#;
    assert!(TaskEvent::decode("task.submitted", 1, tolerant).is_ok(), "a new field is ignored");
}

#[test]
fn the_names_that_readers_look_for_are_names() {
    for name in [TASK_CREATED, TASK_COMPLETED, TASK_FAILED] {
        assert!(TaskEvent::TYPES.iter().any(|(known, _)| *known == name), "{name}");
    }
}
