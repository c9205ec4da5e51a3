//! What each verb asks of the server, against canned answers, and what it ends with.

use serde_json::{Value, json};

use super::plan::spec_of;
use crate::args;
use crate::client::tests::{Canned, answer};
use crate::exit::{Exit, Trouble};
use crate::output::time::TimeStyle;
use crate::output::{ColorWhen, Format, Out};

/// The end of a command line, and what was asked of the server: method, path, body.
struct Ran {
    end: anyhow::Result<Exit>,
    asked: Vec<(String, Value)>,
}

impl Ran {
    #[track_caller]
    fn trouble(&self) -> &Trouble {
        self.end.as_ref().unwrap_err().downcast_ref().unwrap()
    }

    #[track_caller]
    fn ok(&self) {
        assert_eq!(*self.end.as_ref().unwrap(), Exit::Ok);
    }
}

/// Runs a command line against a server that gives these answers, all of which must be asked for.
async fn run(words: &[&str], answers: Vec<(&str, Value)>) -> Ran {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let count = answers.len();
    let answers = answers.into_iter().map(|(status, body)| answer(status, "", &body)).collect();
    let mut server = Canned::new(answers).await;
    let line = ["automagik"].iter().chain(words).copied();
    let url = server.url.clone();
    let line = line.chain(["--server", url.as_str(), "--api-key", "k"]);
    let parsed = args::parse(line).unwrap();
    let out = Out::new(Format::None, ColorWhen::Never, TimeStyle::Iso, true);
    let end = crate::commands::run(parsed, &out).await;
    let mut asked = Vec::new();
    for _ in 0..count {
        let request = server.asked().await;
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
        asked.push((line.replace("/api/v1", ""), serde_json::from_str(body).unwrap_or_default()));
    }
    Ran { end, asked }
}

fn row() -> Value {
    json!({"id": "s1", "name": "nightly", "note": "old", "jitter": 0,
        "timetable": {"specs": [
            {"kind": "cron", "expression": "0 9 * * *", "timezone": "Europe/Lisbon", "dst": "once"}]}})
}

const OK: &str = "200 OK";

#[tokio::test]
async fn one_recurrence_is_sent_in_the_short_form_and_several_as_specs() {
    let one = run(
        &["schedule", "create", "report", "0 9 * * *", "--tz", "Europe/Lisbon", "--dst", "literal"],
        vec![("201 Created", row())],
    )
    .await;
    one.ok();
    let (line, body) = &one.asked[0];
    assert_eq!(line, "POST /schedules");
    assert_eq!(
        *body,
        json!({"flow": "report", "cron": "0 9 * * *", "dst": "literal", "timezone": "Europe/Lisbon"})
    );
    let several = run(
        &[
            "schedule",
            "create",
            "report",
            "0 9 * * *",
            "@every 90m/15m",
            "--interval",
            "10m",
            "--once",
            "2030-01-01T00:00:00Z",
            "--dst",
            "literal",
            "--exclude",
            "2030-12-25",
            "--exclude",
            "* * * * sun",
            "--jitter",
            "5m",
            "--start",
            "2030-01-01",
            "--end",
            "2030-01-31",
            "--timezone",
            "Europe/Lisbon",
        ],
        vec![("201 Created", row())],
    )
    .await;
    several.ok();
    assert_eq!(
        several.asked[0].1,
        json!({"flow": "report", "timezone": "Europe/Lisbon", "jitter": "5m",
            "specs": [{"cron": "0 9 * * *", "dst": "literal"},
                {"cron": "@every 90m/15m", "dst": "literal"},
                {"every": "10m"}, {"at": "2030-01-01T00:00:00Z"}],
            "exclude": ["2030-12-25", "* * * * sun"],
            "start_at": "2030-01-01T00:00:00Z", "end_at": "2030-01-31T23:59:59.999999Z"})
    );
}

#[tokio::test]
async fn every_option_has_its_field() {
    let ran = run(
        &[
            "schedule",
            "create",
            "report",
            "--every",
            "1h",
            "--name",
            "n",
            "--note",
            "why not",
            "--input",
            "hi",
            "--tweaks",
            r#"{"A": {"b": 1}}"#,
            "--overlap",
            "bufferone",
            "--catch-up",
            "2h",
            "--max-runs",
            "7",
            "--pause-after",
            "3",
            "--on-drift",
            "hold",
            "--max-retries",
            "2",
            "--retry-delay",
            "1s",
            "--retry-max-delay",
            "1m",
            "--timeout",
            "5m",
            "--queue-timeout",
            "1h",
            "--total-timeout",
            "2h",
            "--priority",
            "-4",
        ],
        vec![("201 Created", row())],
    )
    .await;
    ran.ok();
    assert_eq!(
        ran.asked[0].1,
        json!({"flow": "report", "every": "1h", "name": "n", "note": "why not", "input": "hi",
            "tweaks": {"A": {"b": 1}}, "overlap": "BufferOne", "catch_up": "2h", "runs_max": 7,
            "pause_after": 3, "on_drift": "hold", "max_retries": 2,
            "retry": {"initial_ms": 1_000, "maximum_ms": 60_000}, "timeout": "5m",
            "queue_timeout": "1h", "total_timeout": "2h", "priority": -4})
    );
}

#[tokio::test]
async fn a_dry_run_makes_nothing() {
    let preview = json!({"summary": "every hour", "items": []});
    let ran = run(
        &["schedule", "create", "report", "--every", "1h", "--name", "n", "--dry-run"],
        vec![(OK, json!({"id": "f"})), (OK, preview)],
    )
    .await;
    ran.ok();
    assert_eq!(ran.asked[0].0, "GET /flows/report");
    assert_eq!(ran.asked[1], ("POST /schedules/preview".into(), json!({"every": "1h"})));
}

#[tokio::test]
async fn a_change_names_only_what_changes() {
    let ran = run(
        &[
            "schedule",
            "update",
            "nightly",
            "30 2 * * *",
            "--note",
            "new",
            "--no-end",
            "--no-jitter",
            "--no-exclude",
            "--no-name",
            "--no-start",
            "--no-tweaks",
            "--no-priority",
            "--no-queue-timeout",
            "--no-total-timeout",
            "--no-max-runs",
            "--no-pause-after",
            "--dry-run",
        ],
        vec![(OK, row()), (OK, row()), (OK, row())],
    )
    .await;
    ran.ok();
    assert_eq!(ran.asked[0].0, "GET /schedules/nightly");
    assert_eq!(ran.asked[2].0, "PATCH /schedules/s1?dry_run=true");
    assert_eq!(
        ran.asked[2].1,
        json!({"cron": "30 2 * * *", "timezone": "Europe/Lisbon", "note": "new", "end_at": null, "jitter_ms": 0,
            "exclude": null, "name": null, "start_at": null, "tweaks": null, "priority": null,
            "queue_timeout": null, "total_timeout": null, "runs_max": null, "pause_after": null})
    );
}

#[tokio::test]
async fn dates_of_a_change_are_read_in_the_schedules_zone() {
    let ran = run(
        &["schedule", "update", "nightly", "--end", "2030-07-31"],
        vec![(OK, row()), (OK, row()), (OK, row())],
    )
    .await;
    ran.ok();
    assert_eq!(ran.asked[2].1, json!({"end_at": "2030-07-31T22:59:59.999999Z"}));
}

#[tokio::test]
async fn a_zone_that_only_dates_are_read_in_is_not_sent() {
    let ran = run(
        &[
            "schedule",
            "create",
            "f",
            "--every",
            "1h",
            "--end",
            "2030-07-31",
            "--tz",
            "Europe/Lisbon",
        ],
        vec![("201 Created", row())],
    )
    .await;
    ran.ok();
    let expected = json!({"flow": "f", "every": "1h", "end_at": "2030-07-31T22:59:59.999999Z"});
    assert_eq!(ran.asked[0].1, expected);
}

#[tokio::test]
async fn another_zone_alone_reads_the_same_clock_times_in_it() {
    let mut several = row();
    let calendar = json!({"kind": "calendar", "hour": "9", "timezone": "UTC", "dst": "once"});
    several["timetable"]["specs"].as_array_mut().unwrap().extend([
        json!({"kind": "interval", "every_ms": 5_400_000, "phase_ms": 900_000}),
        json!({"kind": "once", "at": "2030-01-01T00:00:00Z"}),
        calendar,
    ]);
    let ran = run(
        &["schedule", "update", "nightly", "--timezone", "Asia/Tokyo", "--dst", "literal"],
        vec![(OK, several.clone()), (OK, several), (OK, row())],
    )
    .await;
    ran.ok();
    assert_eq!(
        ran.asked[2].1,
        json!({"timezone": "Asia/Tokyo", "specs": [
            {"cron": "0 9 * * *", "timezone": "Asia/Tokyo", "dst": "literal"},
            {"cron": "@every 5400000ms/900000ms"}, {"at": "2030-01-01T00:00:00Z"},
            {"calendar": {"hour": "9"}, "timezone": "Asia/Tokyo", "dst": "literal"}]})
    );
}

#[tokio::test]
async fn the_originals_words_pause_and_resume() {
    let table: [(&[&str], &str); 8] = [
        (&["pause"], "pause"),
        (&["stop"], "pause"),
        (&["disable"], "pause"),
        (&["resume"], "resume"),
        (&["enable"], "resume"),
        (&["--enabled", "true"], "resume"),
        (&["--enabled", "false"], "pause"),
        (&["pause", "--enabled", "false"], "pause"),
    ];
    for (words, verb) in table {
        let line = [&["schedule", "update", "nightly"], words].concat();
        let ran = run(&line, vec![(OK, row())]).await;
        ran.ok();
        assert_eq!(ran.asked[0].0, format!("POST /schedules/nightly/{verb}"), "{words:?}");
    }
    for line in ["disable", "enable"] {
        let ran = run(&["schedule", line, "nightly"], vec![(OK, row())]).await;
        let verb = if line == "disable" { "pause" } else { "resume" };
        assert_eq!(ran.asked[0].0, format!("POST /schedules/nightly/{verb}"));
    }
}

#[tokio::test]
async fn the_short_forms_change_one_thing() {
    for (text, form) in [("10m", "every"), ("2030-01-01T00:00:00Z", "at")] {
        let answers = vec![(OK, row()), (OK, row())];
        let ran = run(&["schedule", "set-expression", "nightly", text], answers).await;
        ran.ok();
        assert_eq!(ran.asked[1], ("PATCH /schedules/s1".into(), json!({ form: text })));
    }
    // A new clock time stays in the zone of the old one.
    let answers = vec![(OK, row()), (OK, row()), (OK, row())];
    let ran = run(&["schedule", "set-expression", "nightly", "30 2 * * *"], answers).await;
    ran.ok();
    assert_eq!(ran.asked[2].1, json!({"cron": "30 2 * * *", "timezone": "Europe/Lisbon"}));
    let answers = vec![(OK, row()), (OK, row())];
    let zoned = "CRON_TZ=Asia/Tokyo 30 2 * * *";
    let ran = run(&["schedule", "set-expression", "nightly", zoned], answers).await;
    assert_eq!(ran.asked[1].1, json!({ "cron": zoned }));
    let ran =
        run(&["schedule", "set-input", "nightly", "-v"], vec![(OK, row()), (OK, row())]).await;
    assert_eq!(ran.asked[1].1, json!({"input": "-v"}));
    assert_eq!(spec_of("now").0, "at");
    assert_eq!(spec_of("@daily").0, "cron");
    assert_eq!(spec_of("10H"), ("every", "10H".to_owned()), "the server says how to write it");
}

#[tokio::test]
async fn what_contradicts_itself_is_a_usage_error_before_anything_is_asked() {
    let table: [(&[&str], &str); 11] = [
        (&["create", "f", "0", "9", "*", "*", "*"], "\"0\" is no cron expression"),
        (&["create", "f", "--every", "1h", "--at", "now", "--dst", "once"], "--dst"),
        (&["create", "f", "--every", "1h", "--tweaks", "[]"], "not a JSON object"),
        (&["create", "f", "--every", "1h", "--tweaks", "{"], "not JSON"),
        (&["create", "f", "--every", "1h", "--tweaks", "@/nowhere"], "cannot read /nowhere"),
        (&["create", "f", "--every", "1h", "--end", "soon"], "--end: \"soon\""),
        (&["create", "f", "@daily", "--end", "2030-01-01", "--tz", "Mars"], "time zone"),
        (&["update", "s"], "nothing was named"),
        (&["update", "s", "pause", "--note", "x"], "no change of what it is to do"),
        (&["update", "s", "pause", "--enabled", "true"], "one of them pauses"),
        (&["backfill", "s", "--from", "7d"], "nothing was started"),
    ];
    for (words, what) in table {
        let ran = run(&[&["schedule"], words].concat(), vec![]).await;
        assert_eq!(ran.trouble().exit, Exit::Usage, "{words:?}");
        assert!(ran.trouble().what.contains(what), "{words:?}: {}", ran.trouble().what);
    }
}

#[tokio::test]
async fn a_trigger_that_must_wait_is_told_apart_from_a_task() {
    let now = run(
        &["schedule", "trigger", "nightly"],
        vec![("201 Created", json!({"id": "t1", "status": "pending"}))],
    )
    .await;
    now.ok();
    assert_eq!(now.asked[0], ("POST /schedules/nightly/trigger".into(), json!({})));
    let later = run(
        &["schedule", "trigger", "nightly", "--overlap", "BufferOne"],
        vec![("202 Accepted", json!({"task_id": "t1", "waits": true}))],
    )
    .await;
    later.ok();
    assert_eq!(later.asked[0].1, json!({"overlap": "BufferOne"}));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_waits_is_waited_for_until_it_is_there_and_has_ended() {
    let missing = json!({"detail": "no task has the id t1", "code": "SPK-3001"});
    let task = json!({"id": "t1", "status": "completed", "output": "done"});
    let ran = run(
        &["schedule", "trigger", "nightly", "--wait"],
        vec![
            ("202 Accepted", json!({"task_id": "t1", "waits": true})),
            ("404 Not Found", missing),
            (OK, task.clone()),
            (OK, task.clone()),
            (OK, task),
        ],
    )
    .await;
    ran.ok();
    assert!(ran.asked[3].0.starts_with("GET /tasks/t1/wait?"), "{}", ran.asked[3].0);
}

#[tokio::test]
async fn a_backfill_sends_instants_and_reads_dates_in_the_schedules_zone() {
    let ran = run(
        &[
            "schedule",
            "backfill",
            "nightly",
            "--from",
            "2026-07-01",
            "--to",
            "2026-07-31",
            "--only",
            "failed",
            "--overlap",
            "allow-all",
            "--max-active",
            "4",
            "--reverse",
            "--yes",
        ],
        vec![(OK, row()), ("202 Accepted", json!({"number": 2, "count": 31}))],
    )
    .await;
    ran.ok();
    assert_eq!(ran.asked[1].0, "POST /schedules/s1/backfill");
    assert_eq!(
        ran.asked[1].1,
        json!({"from": "2026-06-30T23:00:00Z", "to": "2026-07-31T22:59:59.999999Z",
            "only": "failed", "overlap": "AllowAll", "active_max": 4, "reverse": true})
    );
    let look = run(
        &[
            "schedule",
            "backfill",
            "nightly",
            "--from",
            "2026-07-01T00:00:00Z",
            "--to",
            "2026-07-02T00:00:00Z",
            "--dry-run",
        ],
        vec![(OK, row()), (OK, json!({"count": 1, "items": []}))],
    )
    .await;
    look.ok();
    assert_eq!(look.asked[1].1["dry_run"], json!(true));
    let now = run(
        &["schedule", "backfill", "nightly", "--from", "7d", "--yes"],
        vec![(OK, row()), ("202 Accepted", json!({"number": 3, "count": 7}))],
    )
    .await;
    assert_eq!(now.asked[1].1["to"], json!("now"));
}

#[tokio::test]
async fn a_span_that_runs_backwards_is_refused() {
    let ran = run(
        &["schedule", "backfill", "nightly", "--from", "1d", "--to", "7d", "--yes"],
        vec![(OK, row())],
    )
    .await;
    assert_eq!(ran.trouble().exit, Exit::Usage);
    assert!(ran.trouble().what.contains("--from is after --to"));
}

#[tokio::test]
async fn a_backfill_ends_by_either_name() {
    for words in
        [&["backfill-cancel", "nightly", "2"][..], &["backfill", "nightly", "--cancel", "2"]]
    {
        let ran = run(&[&["schedule"], words].concat(), vec![(OK, Value::Null)]).await;
        ran.ok();
        assert_eq!(ran.asked[0].0, "POST /schedules/nightly/backfill/2/cancel");
    }
}

#[tokio::test]
async fn a_question_is_asked_in_the_schedules_zone() {
    let why = json!({"at": "2026-07-01T08:00:00Z", "verdict": "fired", "summary": "it ran"});
    let ran =
        run(&["why", "nightly", "--at", "2026-07-01 09:00"], vec![(OK, row()), (OK, why)]).await;
    ran.ok();
    assert_eq!(ran.asked[1].0, "GET /schedules/s1/why?at=2026-07-01T08%3A00%3A00Z");
    let unknown = run(
        &["why", "nihgtly", "--at", "09:00"],
        vec![(
            "404 Not Found",
            json!({"detail": "no schedule", "code": "SPK-3001", "suggestions": ["nightly"]}),
        )],
    )
    .await;
    assert_eq!(unknown.trouble().exit, Exit::NotFound);
}
