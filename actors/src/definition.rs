//! Running a definition of earlier: whether that can be done, and finding it in the flow's history.

use spark_events::codec::DomainEvent;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::source::Probe;
use spark_events::domain::task::CallMode;
use spark_events::limits::READ_EVENTS_MAX;
use spark_events::log::Direction;
use spark_events::{EventLog, FlowId, LogError};

use crate::catalog::SourceEntry;
use crate::error::DispatchError;

/// What is said of a source that can only run the present definition.
pub(crate) fn not_offered(source: &str) -> String {
    format!(
        "source {source} can run only the present definition: a definition of earlier needs its \
         background jobs (LangFlow 1.11 or newer); run the present one instead: --flow-version now"
    )
}

/// Why a definition of earlier cannot be run now, where that is so: only background jobs take one.
pub(crate) fn cannot_run(
    is_earlier: bool,
    mode: CallMode,
    source: &SourceEntry,
) -> Option<Failure> {
    if !is_earlier || mode == CallMode::Background {
        return None;
    }
    let name = &source.source.name;
    Some(match &source.source.probe {
        Probe::Down { message, .. } => {
            Failure::new(FailureClass::Unreachable, format!("source {name} is down: {message}"))
        }
        Probe::Up { .. } => Failure::new(FailureClass::BadInput, not_offered(name)),
    })
}

/// The flow as it was when it had the definition with this hash, or with a hash that begins so.
///
/// # Errors
/// `Invalid` when there is none, or more than one; `Unavailable`; `Internal`.
pub(crate) async fn find(
    log: &dyn EventLog,
    flow: FlowId,
    hash: &str,
) -> Result<FlowSynced, DispatchError> {
    let read = log.read_stream(&flow.stream(), None, Direction::Backward, READ_EVENTS_MAX).await;
    let events = match read {
        Err(LogError::StreamNotFound(_)) => vec![],
        events => events?,
    };
    let mut found: Option<FlowSynced> = None;
    let invalid = |what: &str| {
        Err(DispatchError::Invalid(format!(
            "{what} definition of the flow has a hash that begins with {hash:?}; see them all: \
             automagik history flow {flow}"
        )))
    };
    if hash.is_empty() {
        return invalid("every");
    }
    for event in &events {
        let synced = match FlowEvent::from_recorded(event)? {
            FlowEvent::Synced(synced) => synced,
            FlowEvent::Pushed(pushed) => Box::new(pushed.flow),
            _ => continue,
        };
        if !synced.definition_hash.starts_with(hash) {
            continue;
        }
        match &found {
            None => found = Some(*synced),
            Some(other) if other.definition_hash == synced.definition_hash => {}
            Some(_) => return invalid("more than one"),
        }
    }
    found.map_or_else(|| invalid("no"), Ok)
}
