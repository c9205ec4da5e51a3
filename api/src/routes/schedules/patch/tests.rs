//! Bodies of changes to patches, and what is told about those that are none.

use serde_json::json;

use super::*;

fn edit(body: serde_json::Value) -> Result<Edit, Vec<FieldError>> {
    let body: ScheduleBody = serde_json::from_value(body).unwrap();
    Edit::try_from((body, "2026-05-05T10:00:00Z".parse().unwrap()))
}

#[test]
fn only_what_is_named_is_changed() {
    let named = edit(json!({ "note": "new", "max_retries": 0, "retry": { "initial_ms": 5 } }));
    let expected = SchedulePatch {
        note: Some(Some("new".into())),
        attempts_max: Some(1),
        retry_initial_ms: Some(5),
        ..SchedulePatch::default()
    };
    assert_eq!(named.unwrap(), Edit { patch: expected, input: None });
    let input = edit(json!({ "input_value": "" })).unwrap();
    assert_eq!(input.input.as_deref(), Some(""), "an empty input is an input");
}

#[test]
fn null_takes_away_what_may_be_absent() {
    let body = json!({
        "name": null, "note": null, "start_at": null, "end_at": null, "tweaks": null,
        "runs_max": null, "pause_after": null, "queue_timeout": null, "total_timeout_ms": null,
        "priority": null, "exclude": null, "jitter": null,
    });
    let expected = SchedulePatch {
        name: Some(None),
        note: Some(None),
        exclusions: Some(vec![]),
        jitter_ms: Some(0),
        start_at: Some(None),
        end_at: Some(None),
        tweaks: Some(None),
        queue_timeout_ms: Some(None),
        total_timeout_ms: Some(None),
        priority: Some(None),
        runs_max: Some(None),
        pause_after: Some(None),
        ..SchedulePatch::default()
    };
    assert_eq!(edit(body).unwrap().patch, expected);
}

#[test]
fn what_cannot_be_changed_is_told_at_its_field() {
    for (body, field, part) in [
        (json!({}), "body", "changes nothing"),
        (json!({ "reason": "x" }), "body", "changes nothing"),
        (json!({ "flow": "other" }), "flow", "cannot be changed"),
        (json!({ "overlap": null }), "overlap", "cannot be taken away"),
        (json!({ "cron": null }), "cron", "cannot be taken away"),
        (json!({ "timezone": "UTC" }), "timezone", "belongs to cron"),
        (json!({ "cron": "x" }), "cron", "fields"),
        (json!({ "name": "" }), "name", "1 to 200"),
        (json!({ "tweaks": [] }), "tweaks", "must be an object"),
        (json!({ "max_retries": 1, "retry": { "attempts_max": 1 } }), "max_retries", "combined"),
    ] {
        let errors = edit(body.clone()).unwrap_err();
        assert_eq!(errors.len(), 1, "{body}: {errors:?}");
        assert_eq!(errors[0].field, field, "{body}");
        assert!(errors[0].message.contains(part), "{body}: {}", errors[0].message);
    }
}
