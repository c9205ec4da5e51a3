//! A subscription that survives outages of the log. Owns resubscription and its pauses; keeps no
//! durable position, that is its reader's.

use std::time::Duration;

use super::{LogError, Position, SharedLog, Subscription, SubscriptionItem};
use crate::limits::{LOG_RETRY_MS_MAX, LOG_RETRY_MS_MIN};

/// Follows the whole log from a position, across outages.
pub struct CatchUp {
    log: SharedLog,
    last: Position,
    subscription: Option<Subscription>,
    /// The pause before the next subscription; 0 while the log answers.
    pause_ms: u64,
    caught_up: bool,
}

impl CatchUp {
    /// Starts after a position. Subscribes at the first call of [`Self::next`].
    #[must_use]
    pub fn new(log: SharedLog, after: Position) -> Self {
        Self { log, last: after, subscription: None, pause_ms: 0, caught_up: false }
    }

    /// The position of the last event handed out.
    #[must_use]
    pub fn position(&self) -> Position {
        self.last
    }

    /// The next events in position order, none twice and none left out; `CaughtUp` exactly once.
    /// Waits while the log is unavailable. Cancel-safe.
    ///
    /// # Errors
    /// `Closed` when the log was closed. `Corrupt` when an event cannot be read or positions went
    /// back; asking again tries the same place again, after a pause.
    pub async fn next(&mut self) -> Result<SubscriptionItem, LogError> {
        loop {
            if self.subscription.is_none() {
                if self.pause_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(self.pause_ms)).await;
                }
                self.subscription = Some(self.log.subscribe_all(self.last));
            }
            let Some(subscription) = &mut self.subscription else {
                continue;
            };
            match subscription.next().await {
                Some(Ok(SubscriptionItem::Events(events))) => {
                    self.pause_ms = 0;
                    let mut last = self.last;
                    for event in &events {
                        if event.position <= last {
                            return Err(self.went_back(event.position));
                        }
                        last = event.position;
                    }
                    self.last = last;
                    return Ok(SubscriptionItem::Events(events));
                }
                Some(Ok(SubscriptionItem::CaughtUp)) => {
                    self.pause_ms = 0;
                    if !std::mem::replace(&mut self.caught_up, true) {
                        return Ok(SubscriptionItem::CaughtUp);
                    }
                }
                Some(Err(error)) => {
                    self.give_up();
                    if !error.is_retryable() {
                        return Err(error);
                    }
                    tracing::warn!(%error, pause_ms = self.pause_ms, after = %self.last,
                        "the subscription broke and is started again");
                }
                None => {
                    self.subscription = None;
                    return Err(LogError::Closed);
                }
            }
        }
    }

    fn give_up(&mut self) {
        self.subscription = None;
        self.pause_ms = (self.pause_ms * 2).clamp(LOG_RETRY_MS_MIN, LOG_RETRY_MS_MAX);
    }

    fn went_back(&mut self, position: Position) -> LogError {
        self.give_up();
        let reason = format!("it was handed out after position {}", self.last);
        LogError::Corrupt { position, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ids::{StreamName, new_uuid};
    use crate::log::faulty::FaultyLog;
    use crate::log::memory::MemoryLog;
    use crate::log::{EventLog, ExpectedRevision, Metadata, NewEvent};

    async fn fill(log: &dyn EventLog, count: usize) {
        let event = || {
            let id = new_uuid();
            let metadata = Metadata {
                correlation_id: id,
                causation_id: id,
                actor: "system".into(),
                reason: None,
            };
            let data = "{}".into();
            NewEvent { id, event_type: "case.happened", schema_version: 1, data, metadata }
        };
        let stream = StreamName::new("case-1").unwrap();
        let events = (0..count).map(|_| event()).collect();
        log.append(&stream, ExpectedRevision::Any, events).await.unwrap();
    }

    async fn positions(catch_up: &mut CatchUp) -> Vec<u64> {
        match catch_up.next().await.unwrap() {
            SubscriptionItem::Events(events) => events.iter().map(|e| e.position.0).collect(),
            SubscriptionItem::CaughtUp => vec![],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_leaves_no_gap_and_no_duplicate() {
        let log = Arc::new(FaultyLog::new(Arc::new(MemoryLog::new(Arc::new(SystemClock)))));
        fill(&*log, 3).await;
        let mut catch_up = CatchUp::new(log.clone(), Position(1));
        assert_eq!(positions(&mut catch_up).await, [2, 3]);
        assert_eq!(catch_up.next().await, Ok(SubscriptionItem::CaughtUp));

        fill(&*log, 2).await;
        log.set_down(true);
        let started = tokio::time::Instant::now();
        let healing = Arc::clone(&log);
        let (next, ()) = tokio::join!(positions(&mut catch_up), async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            healing.heal();
        });
        let mut seen = next;
        while seen.len() < 2 {
            seen.extend(positions(&mut catch_up).await);
        }
        assert_eq!(seen, [4, 5], "caught up is not said again");
        assert!(started.elapsed() <= Duration::from_millis(60_000 + LOG_RETRY_MS_MAX));
        assert_eq!(catch_up.position(), Position(5));

        log.break_subscriptions();
        fill(&*log, 1).await;
        assert_eq!(positions(&mut catch_up).await, [6]);
        log.close().await;
        assert_eq!(catch_up.next().await, Err(LogError::Closed));
    }
}
