//! The event log in one SQLite file: the default backend. Owns its handle, its shutdown and what
//! its readers and its writer share. Has no query but those of the port.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use super::feed::{self, Feed};
use super::rules::check_bounds;
use super::{
    Appended, Direction, EventLog, ExpectedRevision, LogError, LogHealth, NewEvent, Position,
    RecordedEvent, Revision, Subscription,
};
use crate::clock::{SharedClock, micros};
use crate::ids::StreamName;
use crate::limits::{
    LOG_QUEUE_MAX, READ_EVENTS_MAX, SUBSCRIPTION_BATCH_BYTES_MAX, SUBSCRIPTION_BATCH_EVENTS_MAX,
};

mod file;
mod group;
mod reader;
mod schema;
mod streams;
mod tail;
mod writer;

pub use file::{LogFacts, LogFile, TypeCount};
use reader::Readers;
use tail::Tail;
use writer::{Append, Job, Writer};

/// An event log in one SQLite file, written by one thread with group commit.
///
/// Dropping it without [`EventLog::close`] also stores what is queued, and blocks until that is
/// done.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    /// `None` only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    /// The writer's thread, until it is joined.
    thread: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    clock: SharedClock,
}

/// What the handle, the writer's thread and the feeding tasks have in common.
struct Shared {
    readers: Readers,
    /// Recent events, so that live readers do not need the file.
    tail: Tail,
    /// The last committed position. Written only by the writer, after `tail`.
    head: watch::Sender<Position>,
    closed: watch::Sender<bool>,
    write_trouble: Mutex<Option<String>>,
    read_trouble: Mutex<Option<String>>,
}

impl EmbeddedLog {
    /// Opens the log at `path`, and creates it where there is none. Blocks on the file system.
    ///
    /// A lock beside the file keeps a second process from opening it; reading it with another
    /// tool is harmless. A lock that is taken is waited for, up to
    /// [`crate::limits::LOG_LOCK_WAIT_MS_MAX`]: a killed predecessor may not be quite gone.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened, is in use by another process, or was written
    /// by a newer version.
    pub fn open(path: &Path, clock: SharedClock) -> Result<Self, LogError> {
        let (writer, head) = Writer::open(path)?;
        let shared = Arc::new(Shared {
            readers: Readers::new(path.to_owned()),
            tail: Tail::default(),
            head: watch::Sender::new(head),
            closed: watch::Sender::new(false),
            write_trouble: Mutex::default(),
            read_trouble: Mutex::default(),
        });
        let (jobs, queue) = mpsc::channel(LOG_QUEUE_MAX);
        let to_publish = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run(queue, &to_publish))
            .map_err(|error| LogError::unavailable("its thread cannot be started", error))?;
        let thread = tokio::sync::Mutex::new(Some(thread));
        Ok(Self { shared, jobs: Some(jobs), thread, clock })
    }

    /// The error of an append that the writer did not answer.
    fn unanswered(&self) -> LogError {
        if self.shared.is_closed() {
            return LogError::Closed;
        }
        LogError::Unavailable {
            reason: "its writer has ended unexpectedly, restart the process".into(),
            source: None,
        }
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.shared.closed.send_replace(true);
        self.jobs = None;
        if let Some(thread) = self.thread.get_mut().take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.is_closed() { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Makes a committed group visible to live readers.
    fn publish(&self, group: Vec<RecordedEvent>) {
        let Some(last) = group.last() else { return };
        let head = last.position;
        self.tail.push(group);
        self.head.send_replace(head);
    }

    async fn after(
        &self,
        after: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.check_open()?;
        if limit == 0 || after >= *self.head.borrow() {
            return Ok(Vec::new());
        }
        if let Some(events) = self.tail.after(after, limit, bytes_max) {
            return Ok(events);
        }
        self.noted(self.readers.read(move |reader| reader.all(after, limit, bytes_max)).await)
    }

    /// Keeps the reason of a failed read for [`EventLog::health`], until a read succeeds.
    fn noted<T>(&self, read: Result<T, LogError>) -> Result<T, LogError> {
        match &read {
            Err(error @ (LogError::Unavailable { .. } | LogError::Corrupt { .. })) => {
                note(&self.read_trouble, Some(error.to_string()));
            }
            Ok(_) => note(&self.read_trouble, None),
            Err(_) => {}
        }
        read
    }
}

fn note(place: &Mutex<Option<String>>, trouble: Option<String>) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
}

impl Feed for Shared {
    async fn batch_after(&self, after: Position) -> Result<Vec<RecordedEvent>, LogError> {
        self.after(after, SUBSCRIPTION_BATCH_EVENTS_MAX, SUBSCRIPTION_BATCH_BYTES_MAX).await
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, LogError> {
        self.shared.check_open()?;
        check_bounds(&events)?;
        let jobs = self.jobs.as_ref().ok_or(LogError::Closed)?;
        let room = jobs.reserve().await.map_err(|_| self.unanswered())?;
        let (answer, answered) = oneshot::channel();
        room.send(Job::Append(Append {
            stream: stream.clone(),
            expected,
            events,
            // Read here and not in the writer's thread, where a simulated clock would not run.
            recorded_at: micros(self.clock.now()),
            answer,
        }));
        answered.await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<Revision>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.shared.check_open()?;
        let stream = stream.clone();
        let limit = limit.min(READ_EVENTS_MAX);
        let read =
            move |reader: &mut reader::Reader| reader.stream(&stream, from, direction, limit);
        self.shared.noted(self.shared.readers.read(read).await)
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.shared.after(after, limit.min(READ_EVENTS_MAX), usize::MAX).await
    }

    fn subscribe_all(&self, after: Position) -> Subscription {
        let (head, closed) = (self.shared.head.subscribe(), self.shared.closed.subscribe());
        feed::subscribe(Arc::clone(&self.shared), head, closed, after)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.shared.check_open()?;
        Ok(*self.shared.head.borrow())
    }

    fn health(&self) -> LogHealth {
        let lasting = |place: &Mutex<Option<String>>| {
            place.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let trouble =
            lasting(&self.shared.write_trouble).or_else(|| lasting(&self.shared.read_trouble));
        LogHealth { backend: "embedded", trouble }
    }

    async fn close(&self) {
        self.shared.closed.send_replace(true);
        let mut thread = self.thread.lock().await;
        let Some(running) = thread.take() else { return };
        // Readers first: the writer's last checkpoint can empty the WAL only when nobody reads it.
        self.shared.readers.close().await;
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Job::Close).await;
        }
        let _ = tokio::task::spawn_blocking(move || running.join()).await;
    }
}

#[cfg(test)]
mod tests;
