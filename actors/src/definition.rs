//! Running a definition of earlier: finding it in the flow's history, and filling in the secrets
//! that were never stored. What is filled in stays in memory.

use spark_events::codec::DomainEvent;
use spark_events::domain::component;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::source::Probe;
use spark_events::domain::task::CallMode;
use spark_events::limits::READ_EVENTS_MAX;
use spark_events::log::Direction;
use spark_events::{EventLog, FlowId, LogError, payload};

use crate::catalog::SourceEntry;
use crate::context::Shared;
use crate::error::DispatchError;
use crate::langflow::{Definition, LangFlow, RunRequest};
use crate::task::stored_input;

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

/// Makes a request run the definition with this hash; gives the text stored in its input.
///
/// # Errors
/// A failure that names what is missing: the definition, the flow at the source, or a secret.
pub(crate) async fn prepare(
    context: &Shared,
    flow: FlowId,
    hash: &str,
    client: &LangFlow,
    request: &mut RunRequest,
) -> Result<Option<String>, Failure> {
    let log = context.log.as_ref();
    let gone = |error: &dyn std::fmt::Display| Failure::new(FailureClass::Gone, error.to_string());
    let then = find(log, flow, hash).await.map_err(|error| gone(&error))?;
    let masked = payload::load(log, &then.definition).await.map_err(|error| gone(&error))?;
    let present = client.fetch_flow(&request.remote_flow_id).await?;
    let filled = component::fill_masked(&masked, Some(&present.data));
    if let Some(field) = filled.empty.first() {
        let message = format!(
            "the secret {field} was not stored and is not in the flow at the source any more; run \
             the present definition instead: --flow-version now"
        );
        return Err(Failure::new(FailureClass::Gone, message));
    }
    request.definition = Some(Definition::new(filled.definition));
    request.input_component.clone_from(&then.input_component);
    request.output_component.clone_from(&then.output_component);
    Ok(stored_input(&then))
}
