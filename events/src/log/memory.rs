//! The event log in memory, for tests. Complete, but nothing survives the process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use tokio::sync::watch;

use super::feed::{self, Feed};
use super::rules::check_bounds;
use super::{
    Appended, Direction, EventLog, ExpectedRevision, LogError, LogHealth, NewEvent, Position,
    RecordedEvent, Revision, Subscription,
};
use crate::clock::{SharedClock, micros};
use crate::ids::StreamName;
use crate::limits::{READ_EVENTS_MAX, SUBSCRIPTION_BATCH_EVENTS_MAX};

/// An event log that lives as long as its last handle.
pub struct MemoryLog {
    store: Arc<Store>,
    /// Of this handle alone: another handle on the same events stays open.
    closed: watch::Sender<bool>,
    clock: SharedClock,
}

struct Store {
    events: RwLock<Events>,
    head: watch::Sender<Position>,
}

#[derive(Default)]
struct Events {
    /// The event at index `i` has position `i + 1`.
    all: Vec<RecordedEvent>,
    /// Indexes into `all`, by revision.
    streams: HashMap<StreamName, Vec<usize>>,
    /// Each type's name is kept once.
    types: HashMap<&'static str, Arc<str>>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let store = Store { events: RwLock::default(), head: watch::Sender::new(Position::START) };
        Self { store: Arc::new(store), closed: watch::Sender::new(false), clock }
    }

    /// A further, open handle on the same events: what a second process, or this one after a
    /// restart, would see.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            closed: watch::Sender::new(false),
            clock: Arc::clone(&self.clock),
        }
    }

    fn check_open(&self) -> Result<(), LogError> {
        if *self.closed.borrow() { Err(LogError::Closed) } else { Ok(()) }
    }
}

impl Store {
    fn read(&self) -> RwLockReadGuard<'_, Events> {
        self.events.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    fn last(&self, stream: &StreamName) -> Option<&RecordedEvent> {
        self.streams.get(stream)?.last().map(|index| &self.all[*index])
    }

    /// The answer to a batch whose expectation does not hold: as the first time if this is the
    /// same batch again, else a conflict.
    fn repeated(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[NewEvent],
    ) -> Result<Appended, LogError> {
        let stored = expected.first_revision().and_then(|first| {
            let first = usize::try_from(first.0).ok()?;
            let last = first.checked_add(events.len())?;
            self.streams.get(stream)?.get(first..last)
        });
        let same = stored.filter(|stored| {
            stored.iter().zip(events).all(|(index, event)| self.all[*index].id == event.id)
        });
        match same.and_then(|stored| stored.last()) {
            Some(index) => Ok(appended(&self.all[*index])),
            None => Err(LogError::WrongRevision {
                stream: stream.clone(),
                expected,
                actual: self.last(stream).map(|event| event.revision),
            }),
        }
    }

    fn push(&mut self, stream: &StreamName, event: NewEvent, recorded_at: crate::clock::Timestamp) {
        let indexes = self.streams.entry(stream.clone()).or_default();
        let event_type =
            self.types.entry(event.event_type).or_insert_with(|| Arc::from(event.event_type));
        self.all.push(RecordedEvent {
            position: Position(self.all.len() as u64 + 1),
            stream: stream.clone(),
            revision: Revision(indexes.len() as u64),
            id: event.id,
            event_type: Arc::clone(event_type),
            schema_version: event.schema_version,
            data: event.data,
            metadata: event.metadata,
            recorded_at,
        });
        indexes.push(self.all.len() - 1);
    }
}

fn appended(event: &RecordedEvent) -> Appended {
    Appended { position: event.position, revision: event.revision }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, LogError> {
        self.check_open()?;
        check_bounds(&events)?;
        // Without this a task that appends in a loop would never let another one run.
        tokio::task::consume_budget().await;
        let recorded_at = micros(self.clock.now());
        let mut store = self.store.events.write().unwrap_or_else(PoisonError::into_inner);
        if !expected.accepts(store.last(stream).map(|event| event.revision)) {
            return store.repeated(stream, expected, &events);
        }
        for event in events {
            store.push(stream, event, recorded_at);
        }
        // Under the lock, so that the head never goes back.
        self.store.head.send_replace(Position(store.all.len() as u64));
        Ok(store
            .last(stream)
            .map_or(Appended { position: Position::START, revision: Revision(0) }, appended))
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<Revision>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.check_open()?;
        let limit = limit.min(READ_EVENTS_MAX);
        let store = self.store.read();
        let indexes =
            store.streams.get(stream).ok_or_else(|| LogError::StreamNotFound(stream.clone()))?;
        let from = from.map(|from| usize::try_from(from.0).unwrap_or(usize::MAX));
        let event = |index: &usize| store.all[*index].clone();
        Ok(match direction {
            Direction::Forward => {
                indexes.iter().skip(from.unwrap_or(0)).take(limit).map(event).collect()
            }
            Direction::Backward => {
                let end = from.map_or(indexes.len(), |from| from.saturating_add(1));
                let end = end.min(indexes.len());
                indexes[..end].iter().rev().take(limit).map(event).collect()
            }
        })
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.check_open()?;
        Ok(self.store.after(after, limit))
    }

    fn subscribe_all(&self, after: Position) -> Subscription {
        let store = Arc::clone(&self.store);
        feed::subscribe(store, self.store.head.subscribe(), self.closed.subscribe(), after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.check_open()?;
        Ok(*self.store.head.borrow())
    }

    fn health(&self) -> LogHealth {
        LogHealth { backend: "memory", trouble: None }
    }

    async fn close(&self) {
        self.closed.send_replace(true);
    }
}

impl Store {
    fn after(&self, after: Position, limit: usize) -> Vec<RecordedEvent> {
        let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
        let limit = limit.min(READ_EVENTS_MAX);
        self.read().all.iter().skip(skip).take(limit).cloned().collect()
    }
}

impl Feed for Store {
    async fn batch_after(&self, after: Position) -> Result<Vec<RecordedEvent>, LogError> {
        Ok(self.after(after, SUBSCRIPTION_BATCH_EVENTS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::log::contract::Fixture;

    fn make() -> Fixture {
        let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
        let again = Arc::clone(&log);
        Fixture { log, reopen: Box::new(move || Arc::new(again.reopened())), guard: Box::new(()) }
    }

    crate::event_log_contract!(memory, make);
}
