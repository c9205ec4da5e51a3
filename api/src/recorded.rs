//! An event as callers see it, in histories and while it happens. Owns what of an event is not
//! shown: sealed keys and hashes of secrets. Everything else stands there as it was written.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use spark_actors::DispatchError;
use spark_events::domain::alert::shown_url;
use spark_events::{
    AlertId, KeyId, Position, RecordedEvent, Revision, SourceId, StreamName, Timestamp,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::ApiError;
use crate::reply::rfc3339;

/// What stands in the place of a sealed key.
const SEALED: &str = "sealed";
/// What stands in the place of a secret's hash.
const HIDDEN: &str = "hidden";

/// An event as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventRow<'a> {
    /// Its place in the whole log.
    position: Position,
    /// The thing that it happened to.
    #[schema(value_type = StreamName)]
    stream: &'a StreamName,
    /// Its place among the events of that thing, from 0.
    revision: Revision,
    /// Its own id.
    id: Uuid,
    /// What happened, such as `task.failed`.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// The version of the form of `data`.
    version: u16,
    /// When it became durable.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Who or what led to it, such as `user:local` or `system`.
    actor: &'a str,
    /// Why, where somebody said so.
    reason: Option<&'a str>,
    /// The same for everything that one request or one due instant led to.
    correlation_id: Uuid,
    /// The event or the request that led to it at once.
    causation_id: Uuid,
    /// What there is to know of it, by its type and version.
    #[schema(value_type = serde_json::Value)]
    data: Box<RawValue>,
}

/// The form in which an event is shown.
///
/// # Errors
/// `Internal` for an event whose data is no JSON, which the log should not hold.
pub(crate) fn row(event: &RecordedEvent) -> Result<EventRow<'_>, ApiError> {
    Ok(EventRow {
        position: event.position,
        stream: &event.stream,
        revision: event.revision,
        id: event.id,
        event_type: &event.event_type,
        version: event.schema_version,
        recorded_at: event.recorded_at,
        actor: &event.metadata.actor,
        reason: event.metadata.reason.as_deref(),
        correlation_id: event.metadata.correlation_id,
        causation_id: event.metadata.causation_id,
        data: data(event)?,
    })
}

/// The same as one line of JSON.
///
/// # Errors
/// As [`row`].
pub(crate) fn line(event: &RecordedEvent) -> Result<Vec<u8>, ApiError> {
    let mut line = serde_json::to_vec(&row(event)?).map_err(|error| {
        DispatchError::Internal(format!("event {} has no JSON form: {error}", event.position))
    })?;
    // White space between the parts of an event's data is kept as it was written. Within a text
    // JSON has no line break.
    line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    Ok(line)
}

/// The event's JSON as it was written. Only the events of sources, API keys and alerts can hold what
/// is not for readers, so only those are taken apart.
fn data(event: &RecordedEvent) -> Result<Box<RawValue>, ApiError> {
    let unreadable = |error: serde_json::Error| {
        DispatchError::Internal(format!("event {} holds no JSON: {error}", event.position))
    };
    let (places, instead): (&[&str], _) = match event.stream.category() {
        SourceId::CATEGORY => (&["/api_key"], SEALED),
        KeyId::CATEGORY => (&["/secret_hash"], HIDDEN),
        AlertId::CATEGORY => (&["/secret", "/previous/secret"], SEALED),
        _ => return Ok(serde_json::from_slice(&event.data).map_err(unreadable)?),
    };
    let mut value: Value = serde_json::from_slice(&event.data).map_err(unreadable)?;
    for place in places {
        if let Some(key) = value.pointer_mut(place).filter(|key| !key.is_null()) {
            *key = instead.into();
        }
    }
    if event.stream.category() == AlertId::CATEGORY {
        for place in ["/url", "/spec/url"] {
            if let Some(Value::String(url)) = value.pointer_mut(place) {
                *url = shown_url(url);
            }
        }
    }
    Ok(serde_json::value::to_raw_value(&value).map_err(unreadable)?)
}
