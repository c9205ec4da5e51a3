//! Alerts on a paused clock: days of retries, floods, restarts in the middle. Nobody listens at the
//! receiver's address, so nothing here waits for a network.

use spark_actors::NewAlert;
use spark_events::AlertId;
use spark_events::clock::ms_between;
use spark_events::domain::alert::{AlertDeliveryFailed, AlertEvent, AlertKind, AlertRaised};
use spark_events::limits::{ALERT_RETRY_MS, ALERT_WINDOW_MESSAGES_MAX};

use super::*;

mod faults;

/// An address where nothing listens.
const NOBODY: &str = "http://127.0.0.1:1/hook";

impl Paused {
    async fn alert(&self, kinds: Vec<AlertKind>) -> AlertId {
        let request = NewAlert { url: NOBODY.into(), kinds: Some(kinds), ..NewAlert::default() };
        self.spark.create_alert(request, &who()).await.unwrap().value.id
    }

    async fn of_alert(&self, id: AlertId) -> Vec<(AlertEvent, Timestamp)> {
        let read = self.log.read_stream(&id.stream(), None, Direction::Forward, 4_096).await;
        let decoded = |event: &spark_events::RecordedEvent| {
            (AlertEvent::from_recorded(event).unwrap(), event.recorded_at)
        };
        read.unwrap().iter().map(decoded).collect()
    }

    async fn raised(&self, id: AlertId) -> Vec<AlertRaised> {
        let all = self.of_alert(id).await.into_iter();
        all.filter_map(|(event, _)| match event {
            AlertEvent::Raised(raised) => Some(*raised),
            _ => None,
        })
        .collect()
    }

    async fn attempts(&self, id: AlertId) -> Vec<(AlertDeliveryFailed, Timestamp)> {
        let all = self.of_alert(id).await.into_iter();
        all.filter_map(|(event, at)| match event {
            AlertEvent::DeliveryFailed(failed) => Some((failed, at)),
            _ => None,
        })
        .collect()
    }

    async fn restarted(self) -> Self {
        self.spark.shutdown().await;
        let spark = launch(&self.log, &self.clock, &self.dir).await;
        Self { spark, ..self }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_tried_for_days_across_restarts_and_then_given_up() {
    let mut world = paused("2026-03-02T08:00:00Z").await;
    let alert = world.alert(vec![AlertKind::OccurrenceMissed]).await;
    let every = Recurrence::Interval { every_ms: 3_600_000, phase_ms: 0 };
    world.schedule(every, Some(60_000)).await;
    // Away for hours: what came due is missed.
    world.spark.shutdown().await;
    world.pass(TimeDelta::hours(5)).await;
    let spark = launch(&world.log, &world.clock, &world.dir).await;
    world = Paused { spark, ..world };
    world.pass(TimeDelta::minutes(10)).await;
    assert_eq!(world.raised(alert).await.len(), 1);
    world = world.restarted().await;
    world.pass(TimeDelta::days(2)).await;
    world = world.restarted().await;
    world.pass(TimeDelta::days(3)).await;
    let attempts = world.attempts(alert).await;
    let numbers: Vec<_> = attempts.iter().filter_map(|(failed, _)| failed.attempt).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    for (pair, pause) in attempts.windows(2).zip(ALERT_RETRY_MS) {
        let ms = ms_between(pair[0].1, pair[1].1);
        assert!((pause..=pause + pause / 10 + 1_000).contains(&ms), "{ms} ms for {pause} ms");
    }
    assert_eq!(attempts[9].0.next_at, None, "given up");
    assert_eq!(world.raised(alert).await.len(), 1, "and raised once");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_failures_is_one_message_a_minute_across_a_restart() {
    let mut world = paused("2026-03-02T08:00:00Z").await;
    let alert = world.alert(vec![AlertKind::TaskFailed]).await;
    let every = Recurrence::Interval { every_ms: 1_000, phase_ms: 0 };
    let _schedule = world.schedule(every, None).await;
    world.pass(TimeDelta::minutes(3)).await;
    world = world.restarted().await;
    world.pass(TimeDelta::minutes(3)).await;
    let raised = world.raised(alert).await;
    let few = usize::try_from(ALERT_WINDOW_MESSAGES_MAX).unwrap();
    assert!((few + 4..=few + 7).contains(&raised.len()), "{} messages", raised.len());
    let told: u64 = raised.iter().map(|raised| raised.count).sum();
    let failed = world.failed_tasks_up_to(raised.last().unwrap().through.0).await;
    assert_eq!(told, failed, "each failure once");
    assert!(raised.windows(2).all(|pair| pair[0].through < pair[1].through));
}

impl Paused {
    async fn failed_tasks_up_to(&self, position: u64) -> u64 {
        let all = self.log.read_all(spark_events::Position::START, 4_096).await.unwrap();
        let of = all
            .iter()
            .filter(|event| &*event.event_type == "task.failed" && event.position.0 <= position);
        of.count() as u64
    }
}
