//! The domain of Spark, its events, and the log that holds them.
//!
//! # Layout
//! - [`ids`], [`clock`], [`limits`]: typed ids, the one caller of the OS clock, every bound.
//! - [`domain`]: the aggregates as pure functions, and the rules they share.
//! - [`codec`]: event to (type name, schema version, JSON) and back.
//! - [`log`]: the port to the event log, its backends and the contract they all keep.
//! - [`payload`]: large values, stored once and referenced by hash.
//!
//! Nothing here knows an actor, an HTTP route or a read model.

pub mod clock;
pub mod codec;
pub mod domain;
pub mod ids;
pub mod limits;
pub mod log;
pub mod payload;
pub mod spoken;

pub use clock::{Clock, SharedClock, SimClock, SystemClock, Timestamp};
pub use codec::{CodecError, DomainEvent};
pub use domain::{Aggregate, fold};
pub use ids::{
    AlertId, FlowId, KeyId, RequestId, ScheduleId, SourceId, StreamName, TaskId, WorkerId,
};
pub use log::{
    Appended, EventLog, ExpectedRevision, LogError, Metadata, NewEvent, Position, RecordedEvent,
    Revision, SharedLog,
};
pub use payload::Payload;
