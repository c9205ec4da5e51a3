//! Projections: how far each read model is, what stops it, and what can be done about that.

use serde::{Deserialize, Serialize};
use spark_actors::DispatchError;
use spark_events::Position;
use spark_events::domain::projection::ProjectionSkipped;
use spark_projections::{Halt, ProjectionError, ProjectionHealth, near_misses};
use utoipa::ToSchema;
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{Page, Reply};

/// An endpoint of projections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectionRoute<'a> {
    /// All of them.
    List,
    /// Drop one's rows and build them anew.
    Rebuild(Segment<'a>),
    /// Let one try again what it could not get past.
    Retry(Segment<'a>),
    /// Let one pass over an event.
    Skip(Segment<'a>),
}

pub(super) mod openapi;

operation_ids!(ProjectionRoute<'_> {
    Self::List => "listProjections",
    Self::Rebuild(_) => "rebuildProjection",
    Self::Retry(_) => "retryProjection",
    Self::Skip(_) => "skipEvent",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<ProjectionRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => ProjectionRoute::List,
        ([], _) => return not_allowed(method, "GET, HEAD"),
        ([name, "rebuild"], &Method::POST) => ProjectionRoute::Rebuild(text(name)?),
        ([name, "retry"], &Method::POST) => ProjectionRoute::Retry(text(name)?),
        ([name, "skip"], &Method::POST) => ProjectionRoute::Skip(text(name)?),
        ([_, "rebuild" | "retry" | "skip"], _) => return not_allowed(method, "POST"),
        _ => return Ok(None),
    }))
}

/// Pass over an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SkippedEvent)]
pub struct SkipBody {
    /// Where it is; it must be the one that the projection stands before.
    pub position: u64,
    /// Why.
    pub reason: Option<String>,
}

/// How one is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projection)]
struct Row {
    /// Its name.
    name: &'static str,
    /// `ok`, `behind` or `halted`.
    state: &'static str,
    /// The last event whose rows are committed.
    position: Position,
    /// How many positions the log is ahead.
    lag: u64,
    /// The event that it cannot get past.
    halted: Option<HaltRow>,
    /// Events of types that this program does not know; they were passed over.
    skipped_unknown: u64,
    /// Events that it passes over because somebody said so.
    skipped: Vec<Position>,
}

/// The event that a projection cannot get past.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionHalt)]
struct HaltRow {
    position: Position,
    reason: String,
}

impl Row {
    fn of(health: ProjectionHealth, head: Position) -> Self {
        let lag = head.0.saturating_sub(health.position.0);
        let state = match (&health.halted, lag) {
            (Some(_), _) => "halted",
            (None, 0) => "ok",
            (None, _) => "behind",
        };
        Self {
            name: health.name,
            state,
            position: health.position,
            lag,
            halted: health.halted.map(|Halt { position, reason }| HaltRow { position, reason }),
            skipped_unknown: health.skipped_unknown,
            skipped: health.skipped,
        }
    }
}

pub(crate) async fn handle(route: ProjectionRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    let projections = &call.app.projections;
    match route {
        ProjectionRoute::List => {
            call.query.only(&[])?;
            let head = call.app.spark.log().head().await?;
            let rows = projections.health().into_iter().map(|health| Row::of(health, head));
            Reply::ok(&Page::whole(rows.collect()))
        }
        ProjectionRoute::Rebuild(name) => {
            call.action()?;
            projections.rebuild(&name).await.map_err(|error| refused(&name, error))?;
            one(call, &name).await
        }
        ProjectionRoute::Retry(name) => {
            call.action()?;
            projections.retry(&name).await.map_err(|error| refused(&name, error))?;
            one(call, &name).await
        }
        ProjectionRoute::Skip(name) => skip(call, &name).await,
    }
}

/// Recorded first: a rebuild of tomorrow passes over the same events.
async fn skip(call: &Call<'_>, name: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let body: SkipBody = body::object(&call.body)?;
    let who = call.who(body.reason)?;
    let (app, position) = (call.app, Position(body.position));
    let health = known(call, name)?;
    let halt = health.halted.filter(|halt| halt.position == position);
    let Some(halt) = halt.filter(|_| position > Position::START) else {
        return Err(DispatchError::Conflict(format!(
            "the projection {name} does not stand before an event at position {position}; see \
             where it stands: automagik projection list"
        ))
        .into());
    };
    let log = app.spark.log();
    let event = log.read_all(Position(position.0.saturating_sub(1)), 1).await?.into_iter().next();
    let Some(event) = event.filter(|event| event.position == position) else {
        return Err(ApiError::NotFound {
            kind: "event",
            text: position.to_string(),
            suggestions: Vec::new(),
        });
    };
    let event_type = event.event_type.to_string();
    let skipped = ProjectionSkipped { position, event_type, why: halt.reason };
    let done = app.spark.record_projection_skip(name, skipped, &who).await?;
    app.projections.skip(name, position).await.map_err(|error| refused(name, error))?;
    Ok(one(call, name).await?.at(done.position))
}

fn known(call: &Call<'_>, name: &str) -> Result<ProjectionHealth, ApiError> {
    let all = call.app.projections.health();
    let names = all.iter().map(|one| one.name.to_owned()).collect();
    all.into_iter().find(|one| one.name == name).ok_or_else(|| unknown(name, names))
}

fn unknown(name: &str, known: Vec<String>) -> ApiError {
    ApiError::NotFound {
        kind: "projection",
        text: name.to_owned(),
        suggestions: near_misses(name, known),
    }
}

async fn one(call: &Call<'_>, name: &str) -> Result<Reply, ApiError> {
    let head = call.app.spark.log().head().await?;
    Reply::ok(&Row::of(known(call, name)?, head))
}

fn refused(name: &str, error: ProjectionError) -> ApiError {
    match error {
        ProjectionError::Unknown { known, .. } => {
            unknown(name, known.into_iter().map(str::to_owned).collect())
        }
        ProjectionError::Stopped => DispatchError::ShuttingDown.into(),
        other => ApiError::ReadModel(other.to_string()),
    }
}
