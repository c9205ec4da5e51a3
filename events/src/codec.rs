//! Event to (type name, schema version, JSON) and back. The only place that knows the names on
//! disk. A strict writer and a tolerant reader: unknown fields are ignored, an unknown type or a
//! newer version is an error that the reader of the stream has to face.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::alert::AlertEvent;
use crate::domain::api_key::ApiKeyEvent;
use crate::domain::flow::FlowEvent;
use crate::domain::projection::ProjectionEvent;
use crate::domain::request::RequestEvent;
use crate::domain::schedule::ScheduleEvent;
use crate::domain::source::SourceEvent;
use crate::domain::task::TaskEvent;
use crate::domain::worker::WorkerEvent;
use crate::log::RecordedEvent;

#[cfg(test)]
mod golden;
pub mod upcast;

/// Why an event could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No event of this aggregate has this name.
    #[error("unknown event type {0}; a newer version of Spark wrote it")]
    UnknownType(String),
    /// The stored version is newer than this program.
    #[error(
        "{event_type} has schema version {stored}, this program knows up to {known}; update Spark"
    )]
    NewerVersion {
        /// The type.
        event_type: &'static str,
        /// The version on disk.
        stored: u16,
        /// The newest version known here.
        known: u16,
    },
    /// The JSON does not have the type's form.
    #[error("{event_type} cannot be read: {reason}")]
    Malformed {
        /// The type.
        event_type: &'static str,
        /// What the JSON reader said.
        reason: String,
    },
}

/// An event on its way to disk: name, schema version, JSON.
pub type Encoded = (&'static str, u16, Bytes);

/// An event enum with its names on disk.
pub trait DomainEvent: Clone + PartialEq + std::fmt::Debug + Send + Sync + Sized + 'static {
    /// The names and newest schema versions of all its types.
    const TYPES: &'static [(&'static str, u16)];

    /// Turns the event into what is stored.
    ///
    /// # Errors
    /// `Malformed` when a value has no JSON form, which no event of ours should have.
    fn encode(&self) -> Result<Encoded, CodecError>;

    /// Reads a stored event, brought up to the newest schema version first.
    ///
    /// # Errors
    /// Any [`CodecError`].
    fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Self, CodecError>;

    /// Reads an event of the log.
    ///
    /// # Errors
    /// Any [`CodecError`].
    fn from_recorded(event: &RecordedEvent) -> Result<Self, CodecError> {
        Self::decode(&event.event_type, event.schema_version, &event.data)
    }
}

macro_rules! event_types {
    ($event:ident { $($variant:ident => $name:literal v $version:literal),+ $(,)? }) => {
        impl DomainEvent for $event {
            const TYPES: &'static [(&'static str, u16)] = &[$(($name, $version)),+];

            fn encode(&self) -> Result<Encoded, CodecError> {
                match self {
                    $(Self::$variant(data) => Ok(($name, $version, to_json($name, data)?)),)+
                }
            }

            fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Self, CodecError> {
                match event_type {
                    $($name => from_json($name, $version, version, data).map(Self::$variant),)+
                    other => Err(CodecError::UnknownType(other.to_owned())),
                }
            }
        }
    };
}

event_types!(TaskEvent {
    Created => "task.created" v 1,
    Started => "task.started" v 1,
    Submitted => "task.submitted" v 1,
    Reattached => "task.reattached" v 1,
    LogRecorded => "task.log_recorded" v 1,
    AttemptFailed => "task.attempt_failed" v 1,
    RetryScheduled => "task.retry_scheduled" v 1,
    Completed => "task.completed" v 1,
    Failed => "task.failed" v 1,
    CancelRequested => "task.cancel_requested" v 1,
    Cancelled => "task.cancelled" v 1,
    Released => "task.released" v 1,
    Deleted => "task.deleted" v 1,
});

event_types!(ScheduleEvent {
    Created => "schedule.created" v 2,
    Edited => "schedule.edited" v 1,
    Fired => "schedule.fired" v 1,
    Skipped => "schedule.skipped" v 1,
    Buffered => "schedule.buffered" v 1,
    Triggered => "schedule.triggered" v 1,
    TriggerDropped => "schedule.trigger_dropped" v 1,
    BackfillStarted => "schedule.backfill_started" v 1,
    Backfilled => "schedule.backfilled" v 1,
    BackfillEnded => "schedule.backfill_ended" v 1,
    TaskEnded => "schedule.task_ended" v 1,
    Paused => "schedule.paused" v 1,
    Resumed => "schedule.resumed" v 1,
    Completed => "schedule.completed" v 1,
    Deleted => "schedule.deleted" v 1,
});

event_types!(SourceEvent {
    Added => "source.added" v 1,
    Updated => "source.updated" v 1,
    Probed => "source.probed" v 1,
    Removed => "source.removed" v 1,
});

event_types!(FlowEvent {
    Synced => "flow.synced" v 1,
    Created => "flow.created" v 1,
    Edited => "flow.edited" v 1,
    Pushed => "flow.pushed" v 1,
    Updated => "flow.updated" v 1,
    DriftDetected => "flow.drift_detected" v 1,
    DriftCleared => "flow.drift_cleared" v 1,
    Deleted => "flow.deleted" v 1,
});

event_types!(WorkerEvent {
    Started => "worker.started" v 1,
    Paused => "worker.paused" v 1,
    Resumed => "worker.resumed" v 1,
    Draining => "worker.draining" v 1,
    Stopping => "worker.stopping" v 1,
    Stopped => "worker.stopped" v 1,
    Lost => "worker.lost" v 1,
});

event_types!(ApiKeyEvent {
    Created => "key.created" v 1,
    Used => "key.used" v 1,
    Revoked => "key.revoked" v 1,
});

event_types!(AlertEvent {
    Created => "alert.created" v 1,
    Updated => "alert.updated" v 1,
    Enabled => "alert.enabled" v 1,
    Disabled => "alert.disabled" v 1,
    SecretRotated => "alert.secret_rotated" v 1,
    Resealed => "alert.resealed" v 1,
    Raised => "alert.raised" v 1,
    Delivered => "alert.delivered" v 1,
    DeliveryFailed => "alert.delivery_failed" v 1,
    Deleted => "alert.deleted" v 1,
});

event_types!(ProjectionEvent {
    Skipped => "projection.skipped" v 1,
});

event_types!(RequestEvent {
    Begun => "request.begun" v 1,
    Answered => "request.answered" v 1,
    Refused => "request.refused" v 1,
});

/// The name on disk of a task's first event, for readers that leave most events unread.
pub const TASK_CREATED: &str = "task.created";
/// The name on disk of the event that completes a task.
pub const TASK_COMPLETED: &str = "task.completed";
/// The name on disk of the event after which a task is not tried again.
pub const TASK_FAILED: &str = "task.failed";

/// Every name on disk with its newest schema version, by aggregate. Only the chunks of payloads
/// are not among them; they belong to [`crate::payload`].
pub const TYPES: [&[(&str, u16)]; 9] = [
    TaskEvent::TYPES,
    ScheduleEvent::TYPES,
    SourceEvent::TYPES,
    FlowEvent::TYPES,
    WorkerEvent::TYPES,
    ApiKeyEvent::TYPES,
    RequestEvent::TYPES,
    AlertEvent::TYPES,
    ProjectionEvent::TYPES,
];

/// Whether an event of one aggregate can be read.
type Reader = fn(&RecordedEvent) -> Result<(), CodecError>;

/// Reads an event of any aggregate, to see whether it can be read. One row of [`TYPES`] each.
const READERS: [Reader; TYPES.len()] = [
    reads::<TaskEvent>,
    reads::<ScheduleEvent>,
    reads::<SourceEvent>,
    reads::<FlowEvent>,
    reads::<WorkerEvent>,
    reads::<ApiKeyEvent>,
    reads::<RequestEvent>,
    reads::<AlertEvent>,
    reads::<ProjectionEvent>,
];

fn reads<E: DomainEvent>(event: &RecordedEvent) -> Result<(), CodecError> {
    E::from_recorded(event).map(drop)
}

/// Whether an event of the log can be read, whichever aggregate it belongs to.
///
/// # Errors
/// Any [`CodecError`].
pub fn check(event: &RecordedEvent) -> Result<(), CodecError> {
    let mut rows = TYPES.iter().zip(READERS);
    let row = rows.find(|(types, _)| types.iter().any(|(name, _)| *name == &*event.event_type));
    let (_, read) = row.ok_or_else(|| CodecError::UnknownType(event.event_type.to_string()))?;
    read(event)
}

fn to_json<T: Serialize>(event_type: &'static str, data: &T) -> Result<Bytes, CodecError> {
    serde_json::to_vec(data)
        .map(Bytes::from)
        .map_err(|error| CodecError::Malformed { event_type, reason: error.to_string() })
}

fn from_json<T: DeserializeOwned>(
    event_type: &'static str,
    known: u16,
    stored: u16,
    data: &[u8],
) -> Result<T, CodecError> {
    let malformed =
        |error: serde_json::Error| CodecError::Malformed { event_type, reason: error.to_string() };
    if stored > known {
        return Err(CodecError::NewerVersion { event_type, stored, known });
    }
    if stored == known {
        return serde_json::from_slice(data).map_err(malformed);
    }
    let old: Value = serde_json::from_slice(data).map_err(malformed)?;
    serde_json::from_value(upcast::to_newest(event_type, stored, old)).map_err(malformed)
}
