//! Spans that can be, and what is told about those that cannot.

use serde_json::json;

use super::*;

fn span(body: serde_json::Value) -> Result<Span, Vec<FieldError>> {
    let mut full = json!({ "from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z" });
    full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let body: BackfillBody = serde_json::from_value(full).unwrap();
    Span::try_from((body, "2026-05-05T10:00:00Z".parse().unwrap()))
}

#[test]
fn what_is_not_said_is_careful() {
    let Span { request, reverse } = span(json!({})).unwrap();
    assert_eq!((request.only, reverse), (BackfillOnly::Missing, false));
    assert_eq!((request.overlap, request.active_max), (Overlap::BufferAll, 1));
    let at_once = span(json!({ "overlap": "AllowAll", "only": "all", "to": "now" })).unwrap();
    assert_eq!((at_once.request.active_max, at_once.request.only), (10, BackfillOnly::All));
}

#[test]
fn spans_that_cannot_be_are_told_at_their_field() {
    for (body, field, part) in [
        (json!({ "to": "2026-05-05T10:00:01Z" }), "to", "in the future"),
        (json!({ "from": "2026-05-03T00:00:00Z" }), "from", "is after to"),
        (json!({ "from": null }), "from", "is missing"),
        (json!({ "to": "yesterday" }), "to", "RFC 3339"),
        (json!({ "overlap": "Skip" }), "overlap", "BufferAll"),
        (json!({ "active_max": 0 }), "active_max", "from 1 to 100"),
    ] {
        let errors = span(body.clone()).unwrap_err();
        assert_eq!(errors[0].field, field, "{body}");
        assert!(errors[0].message.contains(part), "{body}: {}", errors[0].message);
    }
}

#[test]
fn what_is_open_is_never_touched() {
    let taken = |state: State| {
        [BackfillOnly::Missing, BackfillOnly::Failed, BackfillOnly::All]
            .map(|only| state.is_taken(only))
    };
    assert_eq!(taken(State::of(TaskStatus::Running)), [false; 3]);
    assert_eq!(taken(State::of(TaskStatus::Waiting)), [false; 3]);
    assert_eq!(taken(State::Missing), [true; 3]);
    assert_eq!(taken(State::of(TaskStatus::Cancelled)), [false, true, true]);
    assert_eq!(taken(State::of(TaskStatus::Completed)), [false, false, true]);
}
