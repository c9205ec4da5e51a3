//! Bodies of schedules to commands, and what is told about those that are none.

use serde_json::json;
use spark_events::domain::recurrence::{DstRule, Exclusion, Recurrence};
use spark_events::domain::retry::RetryPolicy;

use super::*;

fn now() -> Timestamp {
    "2026-05-05T10:00:00Z".parse().unwrap()
}

fn planned(body: serde_json::Value) -> Result<NewSchedule, Vec<FieldError>> {
    let mut full = json!({ "flow": "nightly" });
    full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let body: ScheduleBody = serde_json::from_value(full).unwrap();
    let flow_id = FlowId::random();
    Planned::try_from((body, now())).map(|planned| planned.plan.for_flow(flow_id))
}

#[test]
fn each_way_to_say_when_is_read() {
    for (body, expected) in [
        (
            json!({ "cron": "0 9 * * MON", "timezone": "Europe/Berlin", "dst": "literal" }),
            Recurrence::Cron {
                expression: "0 9 * * MON".to_owned(),
                timezone: "Europe/Berlin".to_owned(),
                dst: DstRule::Literal,
            },
        ),
        (
            json!({ "cron": "@daily" }),
            Recurrence::Cron {
                expression: "@daily".to_owned(),
                timezone: "UTC".to_owned(),
                dst: DstRule::Once,
            },
        ),
        (
            json!({ "cron": "@every 90m/15m" }),
            Recurrence::Interval { every_ms: 5_400_000, phase_ms: 900_000 },
        ),
        (json!({ "every": "1h" }), Recurrence::Interval { every_ms: 3_600_000, phase_ms: 0 }),
        (json!({ "every_ms": 60_000 }), Recurrence::Interval { every_ms: 60_000, phase_ms: 0 }),
        (json!({ "at": "now" }), Recurrence::Once { at: now() }),
        (
            json!({ "at": "2026-05-05T14:00:00+02:00" }),
            Recurrence::Once { at: "2026-05-05T12:00:00Z".parse().unwrap() },
        ),
    ] {
        let short = planned(body.clone()).unwrap().timetable;
        assert_eq!(short, expected.into(), "{body}");
        // The same among several.
        let listed = planned(json!({ "specs": [body] })).unwrap().timetable;
        assert_eq!(listed, short);
    }
}

#[test]
fn everything_else_is_taken_over() {
    let schedule = planned(json!({
        "every": "1h", "name": "hourly", "input": "hello", "tweaks": { "a": { "b": 1 } },
        "overlap": "AllowAll", "catch_up": "10m", "max_retries": 0, "timeout": "1m",
        "note": "for sales", "runs_max": 3, "pause_after": 2, "on_drift": "hold", "priority": 4,
        "queue_timeout": "5m", "total_timeout_ms": 7_200_000,
    }))
    .unwrap();
    assert_eq!(schedule.name.as_deref(), Some("hourly"));
    assert_eq!(schedule.overlap, Overlap::AllowAll);
    assert_eq!(schedule.catch_up_ms, Some(600_000));
    assert_eq!(schedule.note.as_deref(), Some("for sales"));
    assert_eq!((schedule.runs_max, schedule.pause_after), (Some(3), Some(2)));
    assert_eq!((schedule.on_drift, schedule.options.priority), (OnDrift::Hold, Some(4)));
    assert_eq!(schedule.options.queue_timeout_ms, Some(300_000));
    assert_eq!(schedule.options.total_timeout_ms, Some(7_200_000));
    assert_eq!(schedule.options.input, "hello");
    assert_eq!(schedule.options.timeout_ms, Some(60_000));
    let once = RetryPolicy { attempts_max: 1, ..RetryPolicy::default() };
    assert_eq!(schedule.options.retry, Some(once));
}

#[test]
fn what_cannot_be_used_is_told_at_its_field() {
    for (body, field, part) in [
        (json!({}), "cron", "exactly one of cron, every, at"),
        (json!({ "cron": "@daily", "every": "1h" }), "cron", "exactly one"),
        (json!({ "every": "1h", "every_ms": 1 }), "cron", "exactly one"),
        (json!({ "cron": "0 25 * * *" }), "cron", "hour"),
        (json!({ "cron": "0 0 31 2 *" }), "cron", "never matches"),
        (json!({ "cron": "@daily", "timezone": "Europe/Berln" }), "timezone", "Europe/Berlin"),
        (json!({ "every": "90" }), "every", "has no unit"),
        (json!({ "every_ms": 1 }), "every_ms", "too short"),
        (json!({ "every_ms": 0 }), "every_ms", "too short"),
        (json!({ "at": "tomorrow" }), "at", "RFC 3339"),
        (json!({ "at": "2026-05-05T09:00:00Z" }), "at", "in the past"),
        (json!({ "at": "now", "timezone": "UTC" }), "timezone", "belongs to cron"),
        (json!({ "every": "1h", "dst": "once" }), "dst", "belongs to cron"),
        (json!({ "at": "now", "specs": [{ "every": "1h" }] }), "specs", "cannot be combined"),
        (json!({ "specs": [] }), "specs", "at least one"),
        (json!({ "specs": [{}] }), "specs[0].cron", "is missing"),
        (
            json!({ "specs": [{ "every": "1h" }, { "cron": "61 * * * *" }] }),
            "specs[1].cron",
            "minute",
        ),
        (json!({ "specs": [{ "every": "1h", "at": "now" }] }), "specs[0].cron", "exactly one"),
        (
            json!({ "specs": [{ "every": "1h", "timezone": "UTC" }] }),
            "specs[0].timezone",
            "belongs",
        ),
        (
            json!({ "specs": [{ "calendar": { "day_of_month": "31", "month": "2" } }] }),
            "specs[0].calendar",
            "never matches",
        ),
        (json!({ "every": "1h", "exclude": ["someday"] }), "exclude[0]", "cannot be read"),
        (
            json!({ "cron": "0 0 25 12 *", "exclude": ["* * 25 12 *"] }),
            "exclude",
            "leave no instant",
        ),
        (json!({ "every": "1h", "jitter": "2d" }), "jitter_ms", "too long"),
        (
            json!({ "every": "1h", "start_at": "2027-01-02T00:00:00Z", "end_at": "2027-01-01T00:00:00Z" }),
            "end_at",
            "must be later",
        ),
        (json!({ "every": "1h", "end_at": "2020-01-01T00:00:00Z" }), "end_at", "nothing is due"),
        (json!({ "every": "1h", "start_at": "soon" }), "start_at", "RFC 3339"),
        (json!({ "at": "now", "name": " " }), "name", "1 to 200"),
        (json!({ "at": "now", "name": "a\u{7}" }), "name", "control characters"),
        (json!({ "at": "now", "flow": " " }), "flow", "must not be empty"),
        (json!({ "at": "now", "catch_up": "1h", "catch_up_ms": 1 }), "catch_up", "combined"),
    ] {
        let errors = planned(body.clone()).unwrap_err();
        assert_eq!(errors.len(), 1, "{body}: {errors:?}");
        assert_eq!(errors[0].field, field, "{body}");
        assert!(errors[0].message.contains(part), "{body}: {}", errors[0].message);
    }
}

#[test]
fn several_wrong_fields_are_told_together() {
    let body = json!({ "every": "90", "name": "", "tweaks": 1, "catch_up": "soon" });
    let errors = planned(body).unwrap_err();
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["name", "every", "tweaks", "catch_up"]);
}

#[test]
fn one_time_zone_serves_all_that_name_none() {
    let body = json!({
        "timezone": "Asia/Tokyo", "exclude": ["2026-12-25", "CRON_TZ=UTC * * 1 1 *"],
        "specs": [
            { "cron": "0 9 * * *" },
            { "cron": "0 9 * * *", "timezone": "Europe/Berlin" },
            { "cron": "CRON_TZ=Europe/Lisbon 0 9 * * *" },
            { "calendar": { "hour": "9", "day_of_week": "MON-FRI" }, "dst": "literal" },
        ],
    });
    let timetable = planned(body).unwrap().timetable;
    let zones: Vec<&str> = timetable
        .specs
        .iter()
        .map(|spec| match spec {
            Recurrence::Cron { timezone, .. } | Recurrence::Calendar { timezone, .. } => timezone,
            _ => "none",
        })
        .collect();
    assert_eq!(zones, ["Asia/Tokyo", "Europe/Berlin", "Europe/Lisbon", "Asia/Tokyo"]);
    let Exclusion::Span { from, .. } = &timetable.exclusions[0] else { panic!("no span") };
    assert_eq!(*from, "2026-12-24T15:00:00Z".parse::<Timestamp>().unwrap());
    assert!(
        matches!(&timetable.exclusions[1], Exclusion::Cron { timezone, .. } if timezone == "UTC")
    );
}

#[test]
fn null_means_nothing_for_a_new_schedule() {
    let with_null =
        planned(json!({ "every": "1h", "name": null, "overlap": null, "end_at": null }));
    let schedule = with_null.unwrap();
    assert_eq!((schedule.name, schedule.overlap), (None, Overlap::Skip));
    assert_eq!(schedule.timetable.end_at, None);
}

/// Bug 11 of the originals.
#[test]
fn bug_11_a_one_time_schedule_of_the_past_is_refused_and_takes_nothing_from_the_one_before() {
    let specs = json!([{ "every": "1h" }, { "at": "2020-01-01T00:00:00Z" }]);
    // Beside another recurrence it is over, and adds nothing.
    assert_eq!(planned(json!({ "specs": specs })).unwrap().timetable.specs.len(), 2);
    let errors = planned(json!({ "at": "2020-01-01T00:00:00Z" })).unwrap_err();
    assert!(errors[0].message.contains("in the past"), "{}", errors[0].message);
    let errors = planned(json!({ "specs": [{ "at": "2020-01-01T00:00:00Z" }] })).unwrap_err();
    assert_eq!(errors[0].field, "at");
}
