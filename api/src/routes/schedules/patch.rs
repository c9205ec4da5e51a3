//! Changing a schedule: what a body names is changed, null takes away, the rest stays. Everything
//! is checked before anything is stored, and stored as one event.

use serde::Serialize;
use spark_actors::{DispatchError, EditSchedule, Rejection, RunOptions};
use spark_events::domain::schedule::{SchedulePatch, ScheduleSpec};
use spark_events::{ScheduleId, Timestamp, limits};
use spark_projections::ScheduleRow;

use super::create::check_name;
use super::fields::ScheduleBody;
use super::preview::{Instant, instants};
use super::when::{self, When};
use super::{row_at, show};
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::{Wrong, both, duration_ms};
use crate::read;
use crate::reply::Reply;
use crate::shown;

/// The fields that null takes away.
const REMOVABLE: [&str; 16] = [
    "name",
    "note",
    "exclude",
    "jitter",
    "jitter_ms",
    "start_at",
    "end_at",
    "tweaks",
    "runs_max",
    "pause_after",
    "queue_timeout",
    "queue_timeout_ms",
    "total_timeout",
    "total_timeout_ms",
    "priority",
    "reason",
];

/// What is to be changed about a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// All but the input.
    pub patch: SchedulePatch,
    /// The new input text.
    pub input: Option<String>,
}

/// A body, at the instant that intervals are counted from.
impl TryFrom<(ScheduleBody, Timestamp)> for Edit {
    type Error = Vec<FieldError>;

    fn try_from((mut body, now): (ScheduleBody, Timestamp)) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        if body.flow.take().value().is_some() {
            wrong.push("flow", "cannot be changed: make another schedule for another flow");
        }
        for name in body.nulls() {
            if !REMOVABLE.contains(&name) {
                wrong.push(name, "cannot be taken away: give a value, or leave it out to keep it");
            }
        }
        let patch = wrong.take(When::read(body.take_when(), now)).map(When::patch);
        let edit = edit(&mut wrong, body, patch.unwrap_or_default());
        if wrong.is_empty() && edit.patch == SchedulePatch::default() && edit.input.is_none() {
            wrong.push("body", "changes nothing; give at least one field");
        }
        wrong.finish(edit)
    }
}

fn edit(wrong: &mut Wrong, mut body: ScheduleBody, patch: SchedulePatch) -> Edit {
    let name = body.name.take().change();
    if let Some(Some(name)) = &name {
        check_name(wrong, name);
    }
    let (no_tweaks, no_priority) = (body.tweaks.is_null(), body.priority.is_null());
    let no_queue = body.queue_timeout.is_null() || body.queue_timeout_ms.is_null();
    let no_total = body.total_timeout.is_null() || body.total_timeout_ms.is_null();
    // The policy is changed part by part, so it is not completed by our defaults.
    let retry = body.retry.take().value().unwrap_or_default();
    let max_retries = body.max_retries.take().value();
    if retry.attempts_max.is_some() && max_retries.is_some() {
        let _: Option<()> = wrong.take(Err(both("max_retries", "retry.attempts_max")));
    }
    let attempts = max_retries.map(|retries| retries.saturating_add(1)).or(retry.attempts_max);
    let mut options = body.take_options();
    let gives_input = options.input.is_some();
    options.retry = None;
    let options = wrong.take(RunOptions::try_from(options)).unwrap_or_default();
    let catch_up = duration_ms("catch_up", body.catch_up.value(), body.catch_up_ms.value());
    let patch = SchedulePatch {
        name,
        note: body.note.change(),
        input: None,
        tweaks: options.tweaks.map(Some).or(no_tweaks.then_some(None)),
        overlap: body.overlap.value(),
        catch_up_ms: wrong.take(catch_up).flatten(),
        attempts_max: attempts,
        retry_initial_ms: retry.initial_ms,
        retry_maximum_ms: retry.maximum_ms,
        retry_coefficient_percent: retry.coefficient_percent,
        timeout_ms: options.timeout_ms,
        queue_timeout_ms: options.queue_timeout_ms.map(Some).or(no_queue.then_some(None)),
        total_timeout_ms: options.total_timeout_ms.map(Some).or(no_total.then_some(None)),
        priority: options.priority.map(Some).or(no_priority.then_some(None)),
        runs_max: body.runs_max.change(),
        pause_after: body.pause_after.change(),
        on_drift: body.on_drift.value(),
        ..patch
    };
    Edit { patch, input: gives_input.then_some(options.input) }
}

/// What comes next, without the change and with it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = NextInstants)]
pub(super) struct BothNext {
    before: Vec<Instant>,
    after: Vec<Instant>,
}

impl BothNext {
    fn new(
        id: ScheduleId,
        row: &ScheduleRow,
        (old, new): (&ScheduleSpec, &ScheduleSpec),
        now: Timestamp,
    ) -> Self {
        let used_up = new.runs_max.is_some_and(|max| row.counts.fired >= max);
        let shown = |over: bool, spec: &ScheduleSpec| {
            instants(&spec.timetable, Some(id), now, if over { 0 } else { limits::EDIT_SHOWN })
        };
        Self { before: shown(row.status == "completed", old), after: shown(used_up, new) }
    }
}

pub(super) async fn handle(call: &Call<'_>, text: &str) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&["dry_run"])?;
    let dry_run = call.query.flag("dry_run")?;
    let mut body: ScheduleBody = body::object(&call.body)?;
    let who = call.who(body.reason.take().value())?;
    let now = app.now();
    let Edit { patch, input } = Edit::try_from((body, now))?;
    read::caught_up(app).await?;
    let id = read::schedule_id(app, text).await?;
    let old = read::schedule_spec(app, id).await?;
    if let Some(Some(name)) = &patch.name {
        read::schedule_name_is_free(app, name, Some(id)).await?;
    }
    let new = patch.clone().apply(&old);
    if new.timetable != old.timetable {
        when::check(&new.timetable, now)?;
    }
    new.check().map_err(|broken| DispatchError::Rejected(Rejection::Schedule(broken)))?;
    let row = read::schedule(app, id).await?;
    let next = BothNext::new(id, &row, (&old, &new), now);
    if dry_run {
        let row = show(call, row).await?;
        return Reply::ok(&shown::with(&row, "next", &next)?);
    }
    let request = EditSchedule { flow_id: old.flow_id, patch, input };
    let done = app.spark.edit_schedule(id, request, &who).await?;
    let row = row_at(call, id, done.position).await;
    let row = row.and_then(|row| shown::with(&row, "next", &next));
    Reply::written(row, read::known(id), done.position)
}

#[cfg(test)]
mod tests;
