//! How alerts are doing, for health and numbers: what the keeper leaves behind as it goes, so that
//! asking for it waits for nobody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use spark_events::LogError;
use spark_events::domain::alert::{Alert, AlertBook, AlertEvent};

/// How alerts are doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct AlertsHealth {
    /// Whether the log is followed for them: not while Spark stops, and for a while after a crash.
    pub running: bool,
    /// Why the log cannot be followed, while that lasts.
    pub trouble: Option<String>,
    /// Messages that were raised and not delivered yet.
    pub waiting: u64,
    /// Messages that were given up since the start.
    pub given_up: u64,
}

#[derive(Debug, Default)]
pub(super) struct Pulse {
    running: AtomicBool,
    // A std lock: it is held to copy a text, never across an await.
    trouble: Mutex<Option<String>>,
    waiting: AtomicU64,
    given_up: AtomicU64,
}

impl Pulse {
    pub(super) fn health(&self) -> AlertsHealth {
        AlertsHealth {
            running: self.running.load(Ordering::Relaxed),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            waiting: self.waiting.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }

    pub(super) fn runs(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// The log could be followed, or not.
    pub(super) fn follows(&self, error: Option<&LogError>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = error.map(ToString::to_string);
    }

    pub(super) fn waits(&self, book: &AlertBook) {
        let waiting = book.live().map(|(_, alert)| alert.open.len() as u64).sum();
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    pub(super) fn gave_up(&self, count: u64) {
        self.given_up.fetch_add(count, Ordering::Relaxed);
    }
}

/// What became of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) delivered: u64,
    /// Attempts after which another one follows, or that somebody asked for by hand.
    pub(super) failed: u64,
    pub(super) given_up: u64,
}

impl Outcomes {
    /// Of the events that an alert's command led to.
    pub(super) fn of(before: &Alert, events: &[AlertEvent]) -> Self {
        let mut outcomes = Self::default();
        for event in events {
            match event {
                AlertEvent::Delivered(_) => outcomes.delivered += 1,
                AlertEvent::DeliveryFailed(e) if e.attempt.is_some() && e.next_at.is_none() => {
                    outcomes.given_up += 1;
                }
                AlertEvent::DeliveryFailed(_) => outcomes.failed += 1,
                AlertEvent::Disabled(e) => outcomes.given_up += e.dropped,
                AlertEvent::Deleted(_) => {
                    outcomes.given_up += before.live().map_or(0, |alert| alert.open.len() as u64);
                }
                AlertEvent::Created(_)
                | AlertEvent::Updated(_)
                | AlertEvent::Enabled(_)
                | AlertEvent::SecretRotated(_)
                | AlertEvent::Resealed(_)
                | AlertEvent::Raised(_) => {}
            }
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use spark_events::domain::alert::{AlertDelivered, AlertDeliveryFailed};
    use spark_events::domain::alert::{AlertDisabled, Answer};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_message_is_given_up_after_the_last_attempt_and_with_its_alert() {
        let (message_id, answer) = (Uuid::nil(), Answer::default());
        let failed = |attempt, next_at| {
            let error = "no".into();
            let answer = Answer::default();
            let failed = AlertDeliveryFailed { message_id, attempt, answer, error, next_at };
            AlertEvent::DeliveryFailed(failed)
        };
        let again = spark_events::Timestamp::from_timestamp(1_800_000_000, 0);
        let events = [
            AlertEvent::Delivered(AlertDelivered { message_id, attempt: Some(1), answer }),
            failed(Some(1), again),
            failed(Some(10), None),
            failed(None, None),
            AlertEvent::Disabled(AlertDisabled { why: None, dropped: 3 }),
        ];
        let outcomes = Outcomes::of(&Alert::Absent, &events);
        assert_eq!(outcomes, Outcomes { delivered: 1, failed: 2, given_up: 4 });
    }
}
