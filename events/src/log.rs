//! The port to the event log and its own types. No storage type and no business query crosses it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::StreamName;

pub mod catch_up;
pub mod check;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
#[cfg(test)]
mod differential;
pub mod embedded;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
mod feed;
pub mod memory;
mod rules;

pub use error::LogError;

/// A place in the whole log. Ordered, not contiguous, starts above 0; 0 means "before everything".
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in one stream, from 0, contiguous.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// What the writer believes about a stream. The append fails where it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedRevision {
    /// Append whatever the stream holds.
    Any,
    /// The stream must not exist.
    NoStream,
    /// The stream must exist, at any revision.
    StreamExists,
    /// The last event of the stream must have this revision.
    Exact(Revision),
}

/// Who, why, and in which chain of causes. Stored with every event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Shared by everything that follows from one outside request or one due instant.
    pub correlation_id: Uuid,
    /// The event or request that led to this one.
    pub causation_id: Uuid,
    /// `user:<key name>`, `scheduler`, `worker:<id>` or `system`.
    pub actor: Arc<str>,
    /// What the actor gave as the reason, if anything.
    pub reason: Option<Arc<str>>,
}

/// An event on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Made by the writer; makes a repeated append a no-op.
    pub id: Uuid,
    /// The type's name on disk, such as `task.started`.
    pub event_type: &'static str,
    /// The schema version of `data`.
    pub schema_version: u16,
    /// JSON, at most [`crate::limits::EVENT_BYTES_MAX`] bytes.
    pub data: Bytes,
    /// Who, why, and in which chain.
    pub metadata: Metadata,
}

/// An event in the log. Never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the whole log.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// Its place in that stream.
    pub revision: Revision,
    /// The id its writer gave it.
    pub id: Uuid,
    /// The type's name on disk.
    pub event_type: Arc<str>,
    /// The schema version of `data`.
    pub schema_version: u16,
    /// JSON.
    pub data: Bytes,
    /// Who, why, and in which chain.
    pub metadata: Metadata,
    /// When the log took it, in whole microseconds.
    pub recorded_at: Timestamp,
}

/// What a successful append reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Position of the last event of the batch.
    pub position: Position,
    /// Revision of the last event of the batch.
    pub revision: Revision,
}

/// Which way a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first. `from` is the first revision wanted; `None` means 0.
    Forward,
    /// Newest first. `from` is the first (highest) revision wanted; `None` means the last.
    Backward,
}

/// One item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionItem {
    /// The next events, in position order, at least one.
    Events(Vec<RecordedEvent>),
    /// Everything that was in the log when the subscription reached its end has been handed out.
    /// Comes exactly once.
    CaughtUp,
}

/// A live reader of the whole log. Dropping it ends it. It never ends by itself but for an error
/// (its last item) or a closed log (then it yields `None`).
#[derive(Debug)]
pub struct Subscription {
    items: mpsc::Receiver<Result<SubscriptionItem, LogError>>,
}

impl Subscription {
    /// Made by a backend around the channel that its feeding task writes to.
    #[must_use]
    pub fn new(items: mpsc::Receiver<Result<SubscriptionItem, LogError>>) -> Self {
        Self { items }
    }

    /// The next item. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<SubscriptionItem, LogError>> {
        self.items.recv().await
    }
}

/// Whether the log takes writes now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LogHealth {
    /// The backend's name: `memory`, `embedded`.
    pub backend: &'static str,
    /// The reason of the last failed write or read, while it lasts.
    pub trouble: Option<String>,
}

/// The append-only store of all events.
///
/// Positions strictly increase and become visible in order: a reader that has seen position *p*
/// will never later find a new event below *p*.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends a batch to one stream, all or nothing. Durable when it returns.
    ///
    /// The identical batch (same event ids, same definite expectation) sent again answers as the
    /// first time did and stores nothing; nothing is promised for a repeat under `Any`.
    /// Not cancel-safe in the sense of "not done": a dropped future may still append.
    ///
    /// # Errors
    /// `WrongRevision`, `TooLarge`, `Unavailable`, `Closed`.
    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, LogError>;

    /// Reads at most `limit` events of one stream (and at most
    /// [`crate::limits::READ_EVENTS_MAX`]).
    ///
    /// # Errors
    /// `StreamNotFound` when the stream has no event at all; `Unavailable`, `Corrupt`, `Closed`.
    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<Revision>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError>;

    /// Reads at most `limit` events after a position, oldest first.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Closed`.
    async fn read_all(&self, after: Position, limit: usize)
    -> Result<Vec<RecordedEvent>, LogError>;

    /// Everything after a position, then live. Must be called inside a tokio runtime.
    fn subscribe_all(&self, after: Position) -> Subscription;

    /// The position of the last event, [`Position::START`] for an empty log.
    ///
    /// # Errors
    /// `Unavailable`, `Closed`.
    async fn head(&self) -> Result<Position, LogError>;

    /// Whether the log takes writes now. Never fails and does no I/O.
    fn health(&self) -> LogHealth;

    /// Lets queued appends finish, then releases files. Later calls answer `Closed`.
    async fn close(&self);
}

/// A log that can be handed around cheaply.
pub type SharedLog = Arc<dyn EventLog>;
