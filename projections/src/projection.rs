//! What a projection is: a reader that turns events into rows. It gets the transaction and the
//! event and nothing else: it cannot dispatch, and a rebuild repeats no effect.

use rusqlite::Connection;
use spark_events::domain::alert::AlertEvent;
use spark_events::domain::api_key::ApiKeyEvent;
use spark_events::domain::flow::FlowEvent;
use spark_events::domain::schedule::ScheduleEvent;
use spark_events::domain::source::SourceEvent;
use spark_events::domain::task::TaskEvent;
use spark_events::domain::worker::WorkerEvent;
use spark_events::{
    AlertId, CodecError, DomainEvent, FlowId, KeyId, RecordedEvent, ScheduleId, SourceId, TaskId,
    Timestamp, WorkerId,
};
use uuid::Uuid;

use crate::error::ProjectionError;

/// A reader that builds one read model.
///
/// What it keeps in memory between [`apply`](Self::apply) and [`flush`](Self::flush) may only
/// spare writes: applying a batch and flushing once must give the same rows as flushing after each
/// event.
pub trait Projection: Send {
    /// Its name. Its tables are called that, or begin with that and an underscore.
    fn name(&self) -> &'static str;

    /// The version of its schema and of its reading of the events; a change rebuilds it.
    fn version(&self) -> u32;

    /// The SQL that makes its tables.
    fn schema(&self) -> &'static str;

    /// The categories of streams whose events it wants.
    fn categories(&self) -> &'static [&'static str];

    /// Takes one event.
    ///
    /// # Errors
    /// Anything but trouble with the file halts this projection before this event.
    fn apply(&mut self, tx: &Connection, event: &Event<'_>) -> Result<(), ProjectionError>;

    /// Writes what [`apply`](Self::apply) kept back. Called before each commit.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn flush(&mut self, _tx: &Connection) -> Result<(), ProjectionError> {
        Ok(())
    }

    /// Forgets what [`apply`](Self::apply) kept back and what it knows of its tables: the transaction
    /// was rolled back, or the tables were made anew.
    fn discard(&mut self) {}
}

/// All projections of the product.
#[must_use]
pub fn all() -> Vec<Box<dyn Projection>> {
    vec![
        Box::new(crate::sources::Sources),
        Box::new(crate::flows::Flows),
        Box::new(crate::schedules::Schedules::default()),
        Box::new(crate::tasks::Tasks::default()),
        Box::new(crate::workers::Workers),
        Box::new(crate::worker_counts::WorkerCounts::default()),
        Box::new(crate::keys::Keys),
        Box::new(crate::alerts::Alerts),
    ]
}

/// An event as a projection gets it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// As it stands in the log.
    pub recorded: &'a RecordedEvent,
    /// The id in its stream's name.
    pub id: Uuid,
    /// What happened.
    pub domain: &'a Domain,
}

impl Event<'_> {
    /// The error for an event that does not fit what the read model holds.
    #[must_use]
    pub fn unfit(&self, reason: impl Into<String>) -> ProjectionError {
        unfit(self.recorded, reason)
    }

    /// When the log took it, in microseconds.
    pub(crate) fn at(&self) -> i64 {
        self.recorded.recorded_at.timestamp_micros()
    }

    /// Its place in the log.
    pub(crate) fn place(&self) -> i64 {
        crate::columns::place(self.recorded.position)
    }

    /// Its place in its stream.
    pub(crate) fn revision(&self) -> i64 {
        crate::columns::signed(self.recorded.revision.0)
    }

    /// Who.
    pub(crate) fn actor(&self) -> &str {
        &self.recorded.metadata.actor
    }

    /// What the actor gave as the reason.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.recorded.metadata.reason.as_deref()
    }
}

/// A time in microseconds.
pub(crate) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.timestamp_micros())
}

/// An event of any aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Of a source.
    Source(SourceEvent),
    /// Of a flow.
    Flow(FlowEvent),
    /// Of a schedule.
    Schedule(ScheduleEvent),
    /// Of a task.
    Task(TaskEvent),
    /// Of a worker.
    Worker(WorkerEvent),
    /// Of an API key.
    Key(ApiKeyEvent),
    /// Of an alert.
    Alert(AlertEvent),
}

/// An event of the log, read once for all projections.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) recorded: RecordedEvent,
    pub(crate) content: Content,
}

/// What was found in an event of the log.
#[derive(Debug)]
pub(crate) enum Content {
    /// Something that a projection may want.
    Domain(Uuid, Domain),
    /// A type that this program does not know, of a category that it knows.
    Unknown,
    /// Something that is not what its type says.
    Unreadable(ProjectionError),
    /// A stream that no read model is made from.
    Foreign,
}

/// Reads an event of the log.
pub(crate) fn decode(recorded: RecordedEvent) -> Decoded {
    let content = match recorded.stream.category() {
        TaskId::CATEGORY => read(&recorded, Domain::Task),
        ScheduleId::CATEGORY => read(&recorded, Domain::Schedule),
        FlowId::CATEGORY => read(&recorded, Domain::Flow),
        SourceId::CATEGORY => read(&recorded, Domain::Source),
        WorkerId::CATEGORY => read(&recorded, Domain::Worker),
        KeyId::CATEGORY => read(&recorded, Domain::Key),
        AlertId::CATEGORY => read(&recorded, Domain::Alert),
        _ => Content::Foreign,
    };
    Decoded { recorded, content }
}

fn read<E: DomainEvent>(recorded: &RecordedEvent, wrap: fn(E) -> Domain) -> Content {
    let Some(id) = recorded.stream.uuid() else {
        let reason = format!("its stream {} does not end in an id", recorded.stream);
        return Content::Unreadable(unfit(recorded, reason));
    };
    match E::from_recorded(recorded) {
        Ok(event) => Content::Domain(id, wrap(event)),
        Err(CodecError::UnknownType(_)) => Content::Unknown,
        Err(error) => Content::Unreadable(error.into()),
    }
}

fn unfit(recorded: &RecordedEvent, reason: impl Into<String>) -> ProjectionError {
    ProjectionError::Apply {
        position: recorded.position,
        event_type: recorded.event_type.to_string(),
        reason: reason.into(),
    }
}
