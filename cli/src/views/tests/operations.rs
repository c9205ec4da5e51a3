//! What an operator sees: settings, the whole log, the files, projections, the look at everything.

use serde_json::json;

use super::super::{config, db, doctor, log, projection};
use crate::output::look::tests::plain;
use crate::output::text::width;
use crate::snapshots;

const ID: &str = "0193a7b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b";

#[test]
fn the_pages_of_operations_are_reviewed() {
    let look = plain();
    let event = json!({
        "position": 4711, "stream": format!("task-{ID}"), "revision": 2, "id": ID,
        "type": "task.attempt_failed", "version": 1, "recorded_at": "2026-03-01T11:58:00.000000Z",
        "actor": format!("worker:{ID}"), "reason": null, "correlation_id": ID, "causation_id": ID,
        "data": {"attempt": 1, "failure": {"class": "timeout", "message": "no answer\u{1b}[2J"}},
    });
    let skipped = json!({
        "position": 4712, "stream": "projection-tasks", "type": "projection.skipped",
        "recorded_at": "2026-03-01T11:59:00Z", "actor": "user:local",
    });
    let events = json!({ "items": [skipped, event] });
    let settings = json!({
        "path": "/home/ana/.config/automagik/config.toml", "profile": "team",
        "profiles": ["team", "test"],
        "items": [
            {"name": "server", "value": "https://spark.example.com", "from": "profile team"},
            {"name": "api_key", "value": "****cdef", "from": "environment (AUTOMAGIK_API_KEY)"},
            {"name": "output", "value": null, "from": null},
        ],
    });
    let finding = json!({"position": 3, "stream": format!("flow-{ID}"), "what": "revision 7 stands where 0 is due"});
    let broken = json!({
        "file": "/data/events.db", "ok": false, "events": 9, "streams": 4, "head": 9, "found": 1,
        "findings": [finding],
    });
    let counted = json!({
        "file": "/data/events.db", "events": 12, "streams": 4, "head": 12,
        "first_at": "2026-02-01T12:00:00Z", "last_at": "2026-03-01T11:59:00Z",
        "items": [{"type": "task.created", "events": 11, "bytes": 5_000}, {"type": "worker.started", "events": 1, "bytes": 74}],
    });
    let files = json!({
        "dir": "/data", "exists": true, "version": "0.1.0", "server": {"url": "http://127.0.0.1:8888", "pid": 7},
        "log": {"schema_version": 1, "events": 12, "streams": 4, "head": 12,
            "first_at": "2026-02-01T12:00:00Z", "last_at": "2026-03-01T11:59:00Z"},
        "log_trouble": null, "projections_trouble": null, "free_bytes": 24_000_000_000_u64,
        "projections": [
            {"name": "flows", "position": 12, "halted_at": null, "is_current": true},
            {"name": "tasks", "position": 3, "halted_at": 4, "is_current": true},
            {"name": "workers", "position": 3, "halted_at": null, "is_current": false},
        ],
        "files": [{"name": "api-key", "bytes": 74, "mode": "0600"}, {"name": "events.db", "bytes": 8_192, "mode": "0600"}],
    });
    let backup = json!({
        "dir": "/backups/monday",
        "backup": {"made_at": "2026-03-01T11:59:00Z", "version": "0.1.0", "events": 12, "head": 12,
            "files": [{"name": "events.db", "bytes": 57_344, "sha256": "c4a81dcfad7e9da1e356ee25"}]},
    });
    let projections = json!({ "items": [
        {"name": "flows", "position": 12, "lag": 0, "halted": null, "skipped_unknown": 0, "skipped": []},
        {"name": "tasks", "position": 3, "lag": 9, "halted": {"position": 4, "reason": "task.started cannot be read: missing field `attempt`"},
            "skipped_unknown": 1, "skipped": [2]},
        {"name": "workers", "position": 8, "lag": 4, "halted": null, "skipped_unknown": 0, "skipped": []},
    ]});
    let looked = json!({ "ok": false, "items": [
        {"check": "data directory", "status": "ok", "what": "/data, yours alone", "next": null},
        {"check": "API key", "status": "warn", "what": "/data/api-key can be read by others (mode 0644)", "next": "chmod 600 /data/api-key"},
        {"check": "sources", "status": "fail", "what": "dev is down: http://127.0.0.1:7860 cannot be reached: connection refused", "next": "start it, or correct it: automagik source show dev"},
    ]});
    let pages = [
        ("config list", config::list(&settings, &look)),
        ("log list", log::list(&events, &look)),
        ("log tail -f", format!("{}\n{}\n", log::line(&event, &look), log::line(&skipped, &look))),
        ("log show", log::show(&event, &look)),
        ("log verify", log::verified(&broken, &look)),
        ("log stats", log::counted(&counted, &look)),
        ("db status", db::status(&files, &look)),
        ("db backup", db::backup(&backup, &look)),
        ("projection list", projection::list(&projections, &look)),
        ("doctor", doctor::list(&looked, &look)),
    ];
    let text: String = pages.iter().map(|(name, page)| format!("=== {name}\n{page}\n")).collect();
    for line in text.lines() {
        assert!(!line.contains('\u{1b}'), "{line:?}");
        // A row that goes on does not know how wide it will be.
        assert!(width(line) <= 100, "{line}");
    }
    snapshots::check("operations.txt", &text);
}
