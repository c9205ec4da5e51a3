//! What is counted and measured while things happen. Fed with facts: the shell of an aggregate hands
//! over each batch of events once it is durable, together with the state before it. Nothing here
//! changes what happens.

use std::time::Duration;

use spark_events::domain::schedule::Schedule;
use spark_events::domain::task::Task;
use spark_events::domain::trace::TraceParent;
use spark_events::{Aggregate, StreamName, Timestamp};
use uuid::Uuid;

mod meters;
mod otlp;
mod spans;
mod traces;

pub use meters::Meters;
pub use otlp::{BadOtlp, OtlpConfig};
pub(crate) use traces::Traces;

/// Everything that watches.
#[derive(Default)]
pub(crate) struct Telemetry {
    pub(crate) meters: Meters,
    pub(crate) traces: Traces,
}

impl Telemetry {
    /// A request that asked for a change was answered. `ids`: its trace, and its own id.
    pub(crate) fn request(
        &self,
        operation: &'static str,
        ids: (Uuid, Uuid),
        parent: Option<TraceParent>,
        times: (Timestamp, Timestamp),
        status: u16,
    ) {
        self.traces.add([spans::of_request(operation, ids, parent, times, status)]);
    }
}

/// Events that became durable.
pub(crate) struct Happened<'a, A: Aggregate> {
    pub(crate) stream: &'a StreamName,
    /// Correlation and causation of the stream's first event, where they are known.
    pub(crate) began: Option<(Uuid, Uuid)>,
    /// The state that led to them.
    pub(crate) before: &'a A,
    pub(crate) events: &'a [A::Event],
    /// When they were decided.
    pub(crate) at: Timestamp,
    /// From their append to its answer.
    pub(crate) log_took: Duration,
}

/// Told of the events of an aggregate.
pub(crate) type Watch<A> = fn(&Telemetry, &Happened<'_, A>);

/// Watches tasks.
pub(crate) fn of_task(telemetry: &Telemetry, happened: &Happened<'_, Task>) {
    let meters = &telemetry.meters;
    meters.log_append(happened.log_took);
    for event in happened.events {
        meters.task(happened.before, event, happened.at);
    }
    if telemetry.traces.are_wanted() {
        telemetry.traces.add(spans::of_task(happened));
    }
}

/// Watches schedules.
pub(crate) fn of_schedule(telemetry: &Telemetry, happened: &Happened<'_, Schedule>) {
    let meters = &telemetry.meters;
    meters.log_append(happened.log_took);
    for event in happened.events {
        meters.schedule(event, happened.at);
    }
}
