//! History: every event of one stream, as the log holds it. Nothing here comes from a read model;
//! those only help to find the stream.

use std::str::FromStr;

use spark_actors::DispatchError;
use spark_events::log::Direction;
use spark_events::{LogError, Revision, StreamName, limits};
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::recorded;
use crate::reply::{Page, Reply};

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
    /// An alert.
    Alert,
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
            Self::Alert => "alert",
        }
    }
}

/// The words for kinds in a path.
const KINDS: [&str; 14] = [
    "task",
    "tasks",
    "schedule",
    "schedules",
    "flow",
    "flows",
    "source",
    "sources",
    "worker",
    "workers",
    "key",
    "keys",
    "alert",
    "alerts",
];

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
            "alert" | "alerts" => Self::Alert,
            _ => return Err(()),
        })
    }
}

pub(crate) mod openapi;

operation_ids!(HistoryRoute<'_> {
    Self { .. } => "readHistory",
});

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
    let items = events.iter().map(recorded::row).collect::<Result<Vec<_>, _>>()?;
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
