//! Alerts and their deliveries in their rows.

use spark_events::AlertId;
use spark_events::domain::alert::*;
use spark_events::domain::source::SealedKey;
use spark_events::limits::ALERT_DELIVERIES_KEPT_MAX;
use uuid::Uuid;

use super::support::*;
use crate::alerts::{AlertFilter, DeliveryFilter};
use crate::find::Found;
use crate::store::Page;

const ALERT: AlertId = AlertId(Uuid::from_u128(6 << 96));

fn message(n: u128) -> Uuid {
    Uuid::from_u128((7 << 96) + n)
}

fn created() -> AlertEvent {
    AlertEvent::Created(Box::new(AlertCreated {
        spec: AlertSpec {
            name: "on call".into(),
            url: "https://example.org/hook?token=secret".into(),
            kinds: vec![AlertKind::TaskFailed],
            flow_id: Some(FLOW),
            schedule_id: None,
            source_id: None,
        },
        secret: SealedKey("sealed".into()),
    }))
}

fn raised(n: u128) -> AlertEvent {
    AlertEvent::Raised(Box::new(AlertRaised {
        message_id: message(n),
        kind: AlertKind::TaskFailed,
        count: 2,
        through: spark_events::Position(1),
        at: at(1),
        body: serde_json::json!({ "data": { "title": format!("no {n}") } }),
    }))
}

fn delivered(n: u128, attempt: Option<u32>) -> AlertEvent {
    let answer = Answer { status: Some(204), body: None, duration_ms: 3 };
    AlertEvent::Delivered(AlertDelivered { message_id: message(n), attempt, answer })
}

fn failed(n: u128, attempt: Option<u32>, next: Option<u64>) -> AlertEvent {
    AlertEvent::DeliveryFailed(AlertDeliveryFailed {
        message_id: message(n),
        attempt,
        answer: Answer { status: Some(503), body: Some("busy".into()), duration_ms: 3 },
        error: "the receiver answered 503".into(),
        next_at: next.map(at),
    })
}

fn story() -> Story {
    let mut story = Story::with_flow();
    story.add(ALERT.stream(), created());
    story
}

#[tokio::test]
async fn a_row_tells_what_an_alert_is_about_and_no_secret() {
    let mut story = story();
    let made = story.next() - 1;
    let updated = AlertUpdated {
        name: Some("night".into()),
        flow_id: Some(Only::Any),
        source_id: Some(Only::This(SOURCE)),
        ..AlertUpdated::default()
    };
    let first = Model::of(&story).reads().alert(ALERT).await.unwrap().unwrap();
    assert_eq!((first.name.as_str(), first.status), ("on call", "enabled"));
    assert_eq!(first.url, "https://example.org/***");
    let flow = Model::of(&story).reads().flow(FLOW).await.unwrap().unwrap();
    assert_eq!(first.flow_name, Some(flow.name));
    assert_eq!(first.created_at, at(made));
    let until = at(99);
    let rotated =
        AlertSecretRotated { secret: SealedKey("sealed".into()), previous_until: Some(until) };
    story.add(ALERT.stream(), AlertEvent::Updated(Box::new(updated)));
    story.add(ALERT.stream(), AlertEvent::SecretRotated(rotated));
    let disabled = AlertDisabled { why: Some("410".into()), dropped: 0 };
    story.add(ALERT.stream(), AlertEvent::Disabled(disabled));
    let model = Model::of(&story);
    let row = model.reads().alert(ALERT).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.status), ("night", "disabled"));
    assert_eq!((row.flow_id, row.source_name.as_deref()), (None, Some("local")));
    assert_eq!((row.reason.as_deref(), row.previous_secret_until), (Some("410"), Some(until)));
    let text = serde_json::to_string(&row).unwrap();
    assert!(!text.contains("sealed") && !text.contains("token"), "{text}");
    assert_eq!(model.reads().find_alert("NIGHT").await.unwrap(), Found::One(ALERT));
    let enabled = AlertFilter { enabled: Some(true), ..AlertFilter::default() };
    assert_eq!(model.reads().list_alerts(enabled, Page::default()).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_delivery_has_its_attempts_and_its_end() {
    let mut story = story();
    for event in [
        raised(1),
        failed(1, Some(1), Some(90)),
        raised(2),
        failed(2, Some(10), None),
        raised(3),
        delivered(3, Some(1)),
        failed(3, None, None),
        delivered(1, Some(2)),
    ] {
        story.add(ALERT.stream(), event);
    }
    let model = Model::of(&story);
    let page = model.reads().list_deliveries(DeliveryFilter::default(), Page::default()).await;
    let rows = page.unwrap().items;
    let shown: Vec<_> =
        rows.iter().map(|row| (row.title.as_str(), &*row.status, row.attempts.len())).collect();
    assert_eq!(shown, [("no 3", "delivered", 2), ("no 2", "failed", 1), ("no 1", "delivered", 2)]);
    assert_eq!((rows[2].count, rows[2].next_attempt_at, rows[2].raised_revision.0), (2, None, 1));
    let first = &rows[2].attempts[0];
    assert_eq!(
        (first.attempt, first.status, first.answer.as_deref()),
        (Some(1), Some(503), Some("busy"))
    );
    let row = model.reads().alert(ALERT).await.unwrap().unwrap();
    assert_eq!((row.waiting, row.delivered, row.failed), (0, 2, 1));
    assert_eq!(row.last_error.as_deref(), Some("the receiver answered 503"));
    // Sent again by hand, and taken.
    story.add(ALERT.stream(), delivered(2, None));
    story.add(ALERT.stream(), delivered(2, None));
    let row = Model::of(&story).reads().alert(ALERT).await.unwrap().unwrap();
    assert_eq!((row.delivered, row.failed), (3, 0));
    // A test is in the list, and counted nowhere.
    let AlertEvent::Raised(mut test) = raised(4) else { panic!() };
    test.kind = AlertKind::Test;
    story.add(ALERT.stream(), AlertEvent::Raised(test));
    story.add(ALERT.stream(), failed(4, None, None));
    let row = Model::of(&story).reads().alert(ALERT).await.unwrap().unwrap();
    assert_eq!((row.waiting, row.delivered, row.failed), (0, 3, 0));
    let text = message(2).to_string();
    assert_eq!(model.reads().find_delivery(&text).await.unwrap(), Found::One(message(2)));
}

#[tokio::test]
async fn what_waits_is_dropped_with_its_alert_and_old_deliveries_are_not_kept() {
    let mut story = story();
    story.add(ALERT.stream(), raised(1));
    for n in 2..=ALERT_DELIVERIES_KEPT_MAX as u128 + 5 {
        story.add(ALERT.stream(), raised(n));
        story.add(ALERT.stream(), delivered(n, Some(1)));
    }
    let waiting = DeliveryFilter { status: Some("waiting".into()), alert_id: Some(ALERT) };
    let model = Model::of(&story);
    let kept = model.reads().list_deliveries(DeliveryFilter::default(), Page::default()).await;
    assert_eq!(kept.unwrap().total, ALERT_DELIVERIES_KEPT_MAX as u64 + 1);
    let page = model.reads().list_deliveries(waiting, Page::default()).await.unwrap();
    assert_eq!((page.total, page.items[0].id), (1, message(1)), "what waits is never left out");
    story.add(ALERT.stream(), AlertEvent::Deleted(AlertDeleted {}));
    let model = Model::of(&story);
    let row = model.reads().delivery(message(1)).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.next_attempt_at), ("dropped", None));
    assert_eq!(model.reads().alert(ALERT).await.unwrap().unwrap().status, "deleted");
    // An attempt that was under way is of no consequence any more.
    story.add(ALERT.stream(), delivered(2, Some(1)));
    assert!(Model::of(&story).reads().alert(ALERT).await.unwrap().is_some());
}
