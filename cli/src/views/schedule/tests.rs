//! Pages of schedules as they are reviewed.

use serde_json::json;

use super::*;
use crate::output::look::tests::plain;
use crate::output::text::width;
use crate::snapshots;
use crate::views::history;

const TASK: &str = "0193a7b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b";
const SCHEDULE: &str = "0193a7b4-0000-7e3f-8a9b-0c1d2e3f4a5b";

fn timetable() -> Value {
    json!({
        "specs": [
            {"kind": "cron", "expression": "0 9 * * mon-fri", "timezone": "Europe/Lisbon", "dst": "once"},
            {"kind": "cron", "expression": "0 12 1 */3 *", "timezone": "UTC", "dst": "literal"},
            {"kind": "interval", "every_ms": 5_400_000, "phase_ms": 900_000},
            {"kind": "once", "at": "2026-03-01T12:00:05Z"}],
        "exclusions": [
            {"kind": "span", "from": "2026-12-25T00:00:00Z", "until": "2026-12-26T00:00:00Z"},
            {"kind": "cron", "expression": "* * * * sun", "timezone": "Europe/Lisbon"}],
        "jitter_ms": 300_000, "start_at": "2026-01-01T00:00:00Z", "end_at": "2026-12-31T23:59:59Z",
    })
}

fn row() -> Value {
    let outcome = |kind: &str, hours: u32, reason: &str| {
        json!({"outcome": kind, "count": 1,
        "due_at": format!("2026-03-01T{:02}:00:00Z", 12 - hours), "reason": reason,
        "task_id": TASK, "replaced_by": null, "note": null})
    };
    let with = |mut outcome: Value, name: &str, value: Value| {
        outcome[name] = value;
        outcome
    };
    let mut row = json!({
        "id": SCHEDULE, "name": "digest", "note": "ask Ana before changing it", "flow_id": TASK,
        "flow_name": "report", "status": "paused", "timetable": timetable(), "recurrence": null,
        "summary": "", "timezone": "Europe/Lisbon", "input": {"inline": "go"}, "tweaks": null,
        "overlap": "BufferOne", "catch_up_ms": 5_400_000, "timeout_ms": 600_000,
        "queue_timeout_ms": 3_600_000, "total_timeout_ms": 7_200_000, "priority": -4,
        "retry": {"initial_ms": 5_000, "maximum_ms": 300_000, "attempts_max": 4},
        "runs_max": 10, "runs_left": 3, "pause_after": 3, "failures": 3, "on_drift": "hold",
    });
    let standing = json!({
        "next_due_at": "2026-03-01T13:15:00Z", "next_starts_at": "2026-03-01T13:16:40Z",
        "paused_by": "scheduler", "paused_at": "2026-03-01T11:00:00Z", "paused_reason": null,
        "pause_note": "paused after 3 failed tasks in a row; the last one: timeout",
        "waiting": 2, "backfills": [{"number": 2, "left": 12, "count": 31}],
        "fired": 7, "skipped": 2, "missed": 1, "triggered": 0, "failed": 3, "buffered": 4,
        "given_up": 1, "drift": 1, "backfilled": 19,
        "last_due_at": "2026-03-01T11:00:00Z", "last_task_id": TASK, "last_task_status": "failed",
        "outcomes": [
            with(outcome("given_up", 0, "paused"), "note", json!("maintenance")),
            outcome("fired", 1, "due"),
            outcome("buffered", 2, "overlap"),
            outcome("skipped", 3, "overlap"),
            outcome("skipped", 4, "waiting_already"),
            with(outcome("skipped", 5, "replaced"), "replaced_by", json!("2026-03-01T08:00:00Z")),
            outcome("skipped", 6, "buffer_full"),
            outcome("missed", 7, "catch_up_window"),
            outcome("drift", 8, "drift"),
            outcome("backfilled", 9, "backfill"),
            outcome("fired", 10, "due"),
        ],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-03-01T11:00:00Z",
    });
    row.as_object_mut().unwrap().extend(standing.as_object().unwrap().clone());
    row
}

fn coming() -> Value {
    json!({"timetable": timetable(), "summary": "0 9 * * mon-fri and 3 more, up to 5m late",
        "items": [
            {"due_at": "2026-03-02T09:00:00Z", "starts_at": "2026-03-02T09:01:40Z"},
            {"due_at": "2026-03-29T01:00:00Z", "starts_at": "2026-03-29T01:00:00Z", "dst": "gap"},
            {"due_at": "2026-10-25T00:30:00Z", "starts_at": "2026-10-25T00:34:59Z", "dst": "fold"}],
        "notes": ["day of month and day of week are both given: it is due on either day, as in Unix cron"]})
}

fn why() -> Vec<Value> {
    let event = |name: &str, actor: &str, reason: Option<&str>| {
        json!({"position": 812,
        "event": name, "recorded_at": "2026-03-01T09:00:00.02Z", "actor": actor, "reason": reason})
    };
    let set_by = event("schedule.edited", "user:ana", Some("less often"));
    let with = |verdict: &str, summary: &str, more: Value| {
        let mut answer = json!({"at": "2026-03-01T09:00:00Z", "verdict": verdict,
            "summary": summary, "set_by": set_by});
        for (name, value) in more.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer
    };
    vec![
        with(
            "fired",
            "it started task 0193a7b4-1c2d.",
            json!({
            "task_id": TASK, "witness": event("schedule.fired", "scheduler", None)}),
        ),
        with(
            "skipped",
            "skipped: task 0193a7b4-1c2d, started 08:10, was still open, and the policy \
            is Skip, set by user:ana on 2026-02-01.",
            json!({
            "why": {"kind": "overlap", "task_id": TASK}, "overlap": "Skip", "backfilled": [TASK],
            "witness": event("schedule.skipped", "scheduler", None)}),
        ),
        with(
            "not_due",
            "not due: by the timetable then in force nothing was due.",
            json!({
            "previous": "2026-03-01T08:00:00Z", "next": "2026-03-01T10:00:00Z"}),
        ),
        json!({"at": "2026-03-01T09:00:00Z", "verdict": "before_creation"}),
    ]
}

fn events() -> Value {
    let event = |revision: u32, kind: &str, data: Value| {
        json!({"revision": revision,
        "type": kind, "actor": "user:ana", "recorded_at": "2026-03-01T11:58:00Z", "data": data})
    };
    let spec = json!({"name": "digest", "timetable": timetable(), "overlap": "Skip", "note": "n"});
    json!({"items": [
        event(0, "schedule.created", json!({"spec": spec, "next_due_at": "2026-03-01T12:00:00Z"})),
        event(1, "schedule.edited", json!({"spec": spec, "changed": ["note", "timetable"],
            "at": "2026-03-01T11:58:00Z", "dropped": [], "next_due_at": "2026-03-01T12:00:00Z"})),
        event(2, "schedule.buffered", json!({"origin": {"occurrence": {"due_at": "2026-03-01T12:00:00Z"}},
            "next_due_at": null})),
        event(3, "schedule.buffered", json!({"origin": {"trigger": {"task_id": TASK}}, "overlap": "BufferAll"})),
        event(4, "schedule.skipped", json!({"first_due_at": "2026-03-01T11:00:00Z",
            "last_due_at": "2026-03-01T11:00:00Z", "count": 1, "reason": {"kind": "overlap", "task_id": TASK}})),
        event(5, "schedule.trigger_dropped", json!({"task_id": TASK, "reason": {"kind": "buffer_full"}})),
        event(6, "schedule.backfill_started", json!({"number": 1, "from": "2026-02-01T00:00:00Z",
            "to": "2026-02-02T00:00:00Z", "only": "missing", "overlap": "BufferAll", "active_max": 1,
            "due": ["2026-02-01T00:00:00Z", "2026-02-01T01:00:00Z"]})),
        event(7, "schedule.backfilled", json!({"number": 1, "due_at": "2026-02-01T00:00:00Z", "task_id": TASK})),
        event(8, "schedule.task_ended", json!({"task_id": TASK, "status": "failed", "failures": 3})),
        event(9, "schedule.paused", json!({"at": "2026-03-01T11:58:00Z", "note": "3 failures in a row",
            "dropped": ["2026-03-01T11:00:00Z"]})),
    ]})
}

fn after() -> Value {
    let mut after = row();
    after["note"] = Value::Null;
    after["timeout_ms"] = json!(60_000);
    after["timetable"]["specs"] = json!([{"kind": "cron", "expression": "30 2 * * *",
        "timezone": "Europe/Lisbon", "dst": "once"}]);
    after["timetable"]["exclusions"] = json!([]);
    after["updated_at"] = json!("2026-03-01T12:00:00Z");
    let local = json!({"due_at": "2026-03-29T01:30:00Z", "starts_at": "2026-03-29T01:30:00Z", "dst": "gap"});
    after["next"] = json!({"before": coming()["items"], "after": [local]});
    after
}

fn pages() -> Vec<(&'static str, String)> {
    let look = plain();
    let found = json!({"count": 1_200, "truncated": true, "items": [
        {"due_at": "2026-02-28T09:00:00Z", "state": "missing"},
        {"due_at": "2026-03-01T09:00:00Z", "state": "failed", "task_id": TASK}]});
    let whys: String = why()
        .iter()
        .map(|answer| why::page(answer, "digest", chrono_tz::Tz::Europe__Lisbon, &look) + "\n")
        .collect();
    let body = json!({"note": null, "timeout": "1m", "max_retries": 2, "jitter_ms": 0,
        "specs": [{"cron": "30 2 * * *"}, {"every": "1h"}], "exclude": ["2030-12-25", "* * * * sun"],
        "tweaks": {"A": {"b": 1}}});
    vec![
        ("schedule list", list(&json!({"items": [row()]}), &look)),
        ("schedule show", show(&row(), &coming(), &look)),
        ("schedule create --dry-run", preview(&coming(), &look)),
        ("schedule update", changed(&row(), &after(), &look)),
        ("schedule update --dry-run", wished(&row(), &body, &after(), &look)),
        ("schedule update, nothing new", changed(&row(), &row(), &look)),
        (
            "schedule backfill --dry-run",
            backfill::page(&found, &look) + &backfill::line(&found) + "\n",
        ),
        ("why", whys),
        ("history schedule", history::list(&events(), &look)),
    ]
}

#[test]
fn the_pages_of_schedules_are_reviewed() {
    let mut text = String::new();
    for (name, page) in pages() {
        for line in page.lines() {
            assert!(width(line) <= 80, "{name}: {line}");
            assert_eq!(line.trim_end(), line, "{name} has trailing space");
        }
        text += &format!("=== {name}\n{page}\n");
    }
    snapshots::check("schedules.txt", &text);
}

#[test]
fn only_what_a_schedule_is_to_do_counts_as_changed() {
    assert_eq!(changes(&row(), &after()), ["note", "timeout_ms", "timetable"]);
    let mut moved = row();
    moved["updated_at"] = json!("2026-03-01T12:00:00Z");
    moved["next_due_at"] = Value::Null;
    moved["revision"] = json!(9);
    assert_eq!(changes(&row(), &moved), [""; 0]);
}

#[test]
fn nothing_breaks_where_fields_are_missing() {
    let empty = json!({});
    assert!(show(&empty, &empty, &plain()).contains("when"));
    assert!(why::page(&empty, "n", chrono_tz::Tz::UTC, &plain()).contains("verdict"));
    assert!(changed(&empty, &empty, &plain()).starts_with("nothing changes"));
    assert_eq!(backfill::page(&empty, &plain()), "");
    assert!(backfill::line(&empty).starts_with("no instant fits"));
    assert_eq!(next(&empty, &plain()), "");
}
