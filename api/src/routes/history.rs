//! History: every event of one stream, as the log holds it. Nothing here comes from a read model;
//! those only help to find the stream.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use spark_actors::DispatchError;
use spark_events::log::Direction;
use spark_events::{
    KeyId, LogError, Position, RecordedEvent, Revision, SourceId, StreamName, Timestamp, limits,
};
use uuid::Uuid;
use warp::http::Method;

use super::{Segment, not_allowed, text};
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::{Page, Reply, rfc3339};

/// What stands in the place of a sealed key.
const SEALED: &str = "sealed";
/// What stands in the place of a secret's hash.
const HIDDEN: &str = "hidden";

/// The history of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRoute<'a> {
    /// What kind of thing.
    pub kind: Kind,
    /// Which one.
    pub id: Segment<'a>,
}

/// The kinds of things that have a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task.
    Task,
    /// A schedule.
    Schedule,
    /// A flow.
    Flow,
    /// A source.
    Source,
    /// A worker.
    Worker,
    /// An API key.
    Key,
}

impl Kind {
    /// As it stands in the path, and at the start of the stream's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Schedule => "schedule",
            Self::Flow => "flow",
            Self::Source => "source",
            Self::Worker => "worker",
            Self::Key => "key",
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "task" | "tasks" => Self::Task,
            "schedule" | "schedules" => Self::Schedule,
            "flow" | "flows" => Self::Flow,
            "source" | "sources" => Self::Source,
            "worker" | "workers" => Self::Worker,
            "key" | "keys" => Self::Key,
            _ => return Err(()),
        })
    }
}

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<HistoryRoute<'a>>, ApiError> {
    let [kind, id] = rest else { return Ok(None) };
    let Ok(kind) = kind.parse() else {
        return Ok(None);
    };
    if method != Method::GET {
        return not_allowed(method, "GET, HEAD");
    }
    Ok(Some(HistoryRoute { kind, id: text(id)? }))
}

/// An event as the API shows it.
#[derive(Debug, Serialize)]
struct EventRow<'a> {
    position: Position,
    stream: &'a StreamName,
    revision: Revision,
    id: Uuid,
    #[serde(rename = "type")]
    event_type: &'a str,
    version: u16,
    #[serde(serialize_with = "rfc3339")]
    recorded_at: Timestamp,
    actor: &'a str,
    reason: Option<&'a str>,
    correlation_id: Uuid,
    causation_id: Uuid,
    data: Box<RawValue>,
}

pub(crate) async fn handle(route: HistoryRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&["from_revision", "limit"])?;
    let from = call.query.number("from_revision", 0..=u64::MAX)?.unwrap_or(0);
    let limit = call.query.paging()?.limit;
    call.ready_to_read().await?;
    let HistoryRoute { kind, id: text } = route;
    let id = read::any_id(call.app, kind, &text).await?;
    let stream = StreamName::new(format!("{}-{id}", kind.as_str()))
        .map_err(|error| DispatchError::Internal(error.to_string()))?;
    let missing = |error| match error {
        LogError::StreamNotFound(_) => {
            let text = text.to_string();
            ApiError::NotFound { kind: kind.as_str(), text, suggestions: Vec::new() }
        }
        other => other.into(),
    };
    let log = call.app.spark.log();
    // Revisions are contiguous from 0, so the last one says how many events there are.
    let last = log.read_stream(&stream, None, Direction::Backward, 1).await.map_err(missing)?;
    let total = last.last().map_or(0, |event| event.revision.0 + 1);
    let events = if from < total {
        log.read_stream(&stream, Some(Revision(from)), Direction::Forward, limit)
            .await
            .map_err(missing)?
    } else {
        Vec::new()
    };
    let items = events.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let next = from.saturating_add(items.len() as u64);
    let has_more = next < total;
    let next_cursor = has_more.then(|| next.to_string());
    Reply::ok(&Page {
        total_is_capped: false,
        items,
        total,
        limit: limit.min(limits::PAGE_MAX),
        offset: from,
        has_more,
        next_cursor,
    })
}

fn row(event: &RecordedEvent) -> Result<EventRow<'_>, ApiError> {
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

/// The event's JSON as it was written. Only the events of sources and of API keys can hold what is
/// not for every reader, so only those are taken apart.
fn data(event: &RecordedEvent) -> Result<Box<RawValue>, ApiError> {
    let unreadable = |error: serde_json::Error| {
        DispatchError::Internal(format!("event {} holds no JSON: {error}", event.position))
    };
    let (field, instead) = match event.stream.category() {
        SourceId::CATEGORY => ("api_key", SEALED),
        KeyId::CATEGORY => ("secret_hash", HIDDEN),
        _ => return Ok(serde_json::from_slice(&event.data).map_err(unreadable)?),
    };
    let mut value: Value = serde_json::from_slice(&event.data).map_err(unreadable)?;
    if let Some(key) = value.get_mut(field).filter(|key| !key.is_null()) {
        *key = instead.into();
    }
    Ok(serde_json::value::to_raw_value(&value).map_err(unreadable)?)
}
