//! Follows the log for the writer: a task reads it, a thread decodes it, so that reading, decoding
//! and writing overlap. Never touches the read models' file.

use std::sync::Arc;
use std::time::Duration;

use spark_events::domain::projection::{self, ProjectionEvent, Skips};
use spark_events::limits::{LOG_RETRY_MS_MAX, LOG_RETRY_MS_MIN, READ_EVENTS_MAX};
use spark_events::log::Direction;
use spark_events::log::SubscriptionItem;
use spark_events::log::catch_up::CatchUp;
use spark_events::{DomainEvent, LogError, Position, RecordedEvent, SharedLog, fold};
use tokio::sync::{mpsc, watch};

use crate::projection::decode;
use crate::runner::Shared;
use crate::writer::{Batch, Work};

/// Where to read the log from, and how often that was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) generation: u64,
    pub(crate) after: Position,
}

/// Neighbouring events of the log, not decoded yet.
pub(crate) struct Raw {
    generation: u64,
    after: Position,
    events: Vec<RecordedEvent>,
}

/// Decodes until nobody sends any more, or nobody takes any more.
pub(crate) fn decode_all(mut raw: mpsc::Receiver<Raw>, work: &mpsc::Sender<Work>) {
    while let Some(Raw { generation, after, events }) = raw.blocking_recv() {
        let events = events.into_iter().map(decode).collect();
        if work.blocking_send(Work::Batch(Batch { generation, after, events })).is_err() {
            return;
        }
    }
}

/// Reads the log, from where `Shared::restart` says, until it has handed on everything up to
/// `until`, or the log is closed.
pub(crate) struct Follower {
    pub(crate) log: SharedLog,
    pub(crate) shared: Arc<Shared>,
    pub(crate) restart: watch::Receiver<Restart>,
    /// Set once the process shuts down: the last position to hand on.
    pub(crate) until: watch::Receiver<Option<Position>>,
    pub(crate) raw: mpsc::Sender<Raw>,
    pub(crate) work: mpsc::Sender<Work>,
}

/// Why reading stopped.
enum Stopped {
    /// The end is reached, or the log or the other side is gone.
    Ended,
    /// It is to go on from elsewhere.
    Restarted,
}

impl Follower {
    /// Follows. An unavailable log is waited out; its own health shows it.
    pub(crate) async fn run(mut self) {
        let mut start = *self.restart.borrow_and_update();
        if self.check_head().await.is_err() || self.tell_skips().await.is_err() {
            return;
        }
        while let Stopped::Restarted = self.read(start).await {
            start = *self.restart.borrow_and_update();
        }
    }

    /// Tells the writer which events its projections pass over, before any event comes. What
    /// cannot be read is left out: such a projection halts where it halted before, and says so.
    async fn tell_skips(&mut self) -> Result<(), ()> {
        for name in self.shared.health().iter().map(|health| health.name) {
            let Ok(stream) = projection::stream(name) else { continue };
            let read = self.log.read_stream(&stream, None, Direction::Forward, READ_EVENTS_MAX);
            let events = match read.await {
                Ok(events) => events,
                Err(LogError::StreamNotFound(_)) => continue,
                Err(LogError::Closed) => return Err(()),
                Err(error) => {
                    tracing::warn!(projection = name, %error, "its skips cannot be read");
                    continue;
                }
            };
            let events: Vec<ProjectionEvent> =
                events.iter().filter_map(|event| DomainEvent::from_recorded(event).ok()).collect();
            let Skips(skips) = fold(Skips::default(), &events);
            self.work.send(Work::Skips(name, skips)).await.map_err(|_| ())?;
        }
        Ok(())
    }

    /// A log that ends before a checkpoint is not the log that the rows were made from.
    async fn check_head(&mut self) -> Result<(), ()> {
        let mut pause_ms = LOG_RETRY_MS_MIN;
        let head = loop {
            match self.log.head().await {
                Ok(head) => break head,
                Err(LogError::Closed) => return Err(()),
                Err(error) => self.shared.set_log_trouble(Some(error.to_string())),
            }
            let shutdown = self.until.wait_for(Option::is_some);
            if tokio::time::timeout(Duration::from_millis(pause_ms), shutdown).await.is_ok() {
                return Err(());
            }
            pause_ms = (pause_ms * 2).min(LOG_RETRY_MS_MAX);
        };
        self.shared.set_log_trouble(None);
        if self.shared.health().iter().any(|health| health.position > head) {
            // The writer answers with a restart, which drops what is read meanwhile.
            self.work.send(Work::OtherLog(head)).await.map_err(|_| ())?;
        }
        Ok(())
    }

    async fn read(&mut self, start: Restart) -> Stopped {
        let mut catch_up = CatchUp::new(Arc::clone(&self.log), start.after);
        loop {
            let after = catch_up.position();
            let until = *self.until.borrow_and_update();
            if until.is_some_and(|until| after >= until) {
                return Stopped::Ended;
            }
            let next = tokio::select! {
                changed = self.restart.changed() => match changed {
                    Ok(()) => return Stopped::Restarted,
                    Err(_) => return Stopped::Ended,
                },
                changed = self.until.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Stopped::Ended,
                },
                next = catch_up.next() => next,
            };
            let events = match next {
                Ok(SubscriptionItem::Events(events)) => events,
                Ok(SubscriptionItem::CaughtUp) => continue,
                Err(LogError::Closed) => return Stopped::Ended,
                Err(error) => {
                    tracing::error!(%error, %after, "the read models cannot follow the log");
                    self.shared.set_log_trouble(Some(error.to_string()));
                    continue;
                }
            };
            self.shared.set_log_trouble(None);
            let raw = Raw { generation: start.generation, after, events };
            if self.raw.send(raw).await.is_err() {
                return Stopped::Ended;
            }
        }
    }
}
