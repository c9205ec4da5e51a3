//! Bodies of schedules to commands, and what is told about those that are none.

use serde_json::json;
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
    Plan::try_from((body, now())).map(|plan| plan.for_flow(flow_id))
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
        (json!({ "every": "1h" }), Recurrence::Interval { every_ms: 3_600_000, phase_ms: 0 }),
        (json!({ "every_ms": 60_000 }), Recurrence::Interval { every_ms: 60_000, phase_ms: 0 }),
        (json!({ "at": "now" }), Recurrence::Once { at: now() }),
        (
            json!({ "at": "2026-05-05T14:00:00+02:00" }),
            Recurrence::Once { at: "2026-05-05T12:00:00Z".parse().unwrap() },
        ),
    ] {
        assert_eq!(planned(body.clone()).unwrap().recurrence, expected, "{body}");
    }
}

#[test]
fn everything_else_is_taken_over() {
    let schedule = planned(json!({
        "every": "1h", "name": "hourly", "input": "hello", "tweaks": { "a": { "b": 1 } },
        "overlap": "AllowAll", "catch_up": "10m", "max_retries": 0, "timeout": "1m",
    }))
    .unwrap();
    assert_eq!(schedule.name.as_deref(), Some("hourly"));
    assert_eq!(schedule.overlap, Overlap::AllowAll);
    assert_eq!(schedule.catch_up_ms, Some(600_000));
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
