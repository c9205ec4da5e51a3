//! What became of one due instant of a schedule, and why: from the schedule's events alone, also
//! of a deleted one.

use serde::Serialize;
use spark_events::codec::DomainEvent;
use spark_events::domain::schedule::why::{Inquiry, Verdict, Why, Witness};
use spark_events::domain::schedule::{ScheduleEvent, SkipReason};
use spark_events::log::Direction;
use spark_events::{CodecError, LogError, Revision, ScheduleId, Timestamp, limits};

use super::when::instant;
use crate::body::Field;
use crate::call::Call;
use crate::error::ApiError;
use crate::query::invalid;
use crate::read;
use crate::reply::Reply;

/// The answer: what the domain says, and the same as a sentence.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Explanation)]
pub(super) struct Answer<'a> {
    schedule_id: ScheduleId,
    #[serde(flatten)]
    #[schema(value_type = Why)]
    why: &'a Why,
    summary: String,
}

pub(super) async fn handle(call: &Call<'_>, text: &str) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&["at"])?;
    let Some(at) = call.query.text("at") else {
        return Err(invalid("at", "it is missing: give the due instant, in RFC 3339"));
    };
    let now = app.now();
    let at = instant("at", Field::Given(at.to_owned()), now)
        .map_err(|errors| invalid("at", &errors.first().map_or("", |error| &error.message)))?;
    let at = at.flatten().unwrap_or(now);
    call.ready_to_read().await?;
    let id = read::schedule_id(app, text).await?;
    let mut why = ask(call, id, at, text).await?.answer(now);
    if let Some(within) = within_the_second(&why) {
        why = ask(call, id, within, text).await?.answer(now);
    }
    let rival = match &why.verdict {
        Verdict::Skipped { why: SkipReason::Overlap { task_id }, .. } => {
            let row = app.reads().task(*task_id).await?;
            row.and_then(|row| row.task.started_at)
        }
        _ => None,
    };
    let summary = sentence(&why, rival);
    Reply::ok(&Answer { schedule_id: id, why: &why, summary })
}

/// The due instant that a question about a whole second means: intervals count from the
/// millisecond of their creation, and people see and say seconds.
fn within_the_second(why: &Why) -> Option<Timestamp> {
    let Verdict::NotDue { next, .. } = &why.verdict else { return None };
    let second = why.at.timestamp_subsec_nanos() == 0;
    next.filter(|next| second && next.timestamp() == why.at.timestamp())
}

/// Reads the schedule's events, page by page.
async fn ask(
    call: &Call<'_>,
    id: ScheduleId,
    at: Timestamp,
    text: &str,
) -> Result<Inquiry, ApiError> {
    let (log, stream) = (call.app.spark.log(), id.stream());
    let mut inquiry = Inquiry::new(id, at);
    let mut from = 0;
    loop {
        let (page, size) = (Some(Revision(from)), limits::READ_EVENTS_MAX);
        let events = match log.read_stream(&stream, page, Direction::Forward, size).await {
            Ok(events) => events,
            Err(LogError::StreamNotFound(_)) => {
                let (text, suggestions) = (text.to_owned(), Vec::new());
                return Err(ApiError::NotFound { kind: "schedule", text, suggestions });
            }
            Err(error) => return Err(error.into()),
        };
        for recorded in &events {
            match ScheduleEvent::from_recorded(recorded) {
                Ok(event) => inquiry.take(&event, Witness::from(recorded)),
                // A newer Spark wrote it; what it says is not known here.
                Err(CodecError::UnknownType(_)) => {}
                Err(error) => {
                    return Err(spark_actors::DispatchError::Internal(error.to_string()).into());
                }
            }
        }
        match events.last() {
            Some(last) if events.len() >= size => from = last.revision.0 + 1,
            _ => return Ok(inquiry),
        }
    }
}

/// The answer in one or two sentences: what, why, who and when, and what to do next. `rival` says
/// when the task in the way had started.
#[must_use]
pub fn sentence(why: &Why, rival: Option<Timestamp>) -> String {
    let at = short(why.at);
    let by = why.witness.as_ref().map(by).unwrap_or_default();
    // What was run already, or would not be found, is not offered.
    let is_open = why.can_backfill && why.backfilled.is_empty();
    let remedy = if is_open { "; a backfill of that instant runs it" } else { "" };
    let mut text = match &why.verdict {
        Verdict::Fired { task_id } => {
            format!("{at} started task {task_id}{by}; see it: automagik task show {task_id}")
        }
        Verdict::Waits => format!(
            "{at} waits for the end of what is open{by}; cancel the open task to let it start"
        ),
        Verdict::Skipped { why: reason, overlap } => {
            let set = why.set_by.as_ref().map(by_whom).unwrap_or_default();
            let policy = format!("policy {}, set{set}", overlap.as_str());
            format!("{at} was skipped: {}", skipped(reason, rival, &policy, remedy))
        }
        Verdict::GivenUp => format!("{at} waited for its start and was given up{by}{remedy}"),
        Verdict::Paused { since, until } => {
            let until = until.map_or("and still is; resume it".to_owned(), |until| {
                format!("until {}{remedy}", short(until))
            });
            format!("at {at} the schedule was paused since {}{by}, {until}", short(*since))
        }
        Verdict::NotDue { previous, next } => {
            let set = why.set_by.as_ref().map(by_whom).unwrap_or_default();
            let previous = previous.map(|at| format!("; the last one before it was {}", short(at)));
            let next = next.map(|at| format!("; the next one after it is {}", short(at)));
            format!(
                "{at} was no due instant by the timetable set{set}{}{}",
                previous.unwrap_or_default(),
                next.unwrap_or_default()
            )
        }
        Verdict::Ahead => format!("{at} is due and lies ahead; nothing has to be done"),
        Verdict::Unsettled => format!(
            "{at} was due and nothing is recorded yet: Spark is about to deal with it, or was not \
             running; ask again in a moment, and look at automagik status if it stays so"
        ),
        Verdict::BeforeCreation => format!("at {at} the schedule did not exist yet{remedy}"),
        Verdict::AfterCompletion => format!(
            "at {at} nothing came due any more: the schedule had completed{by}; give it a new time \
             or a higher runs_max"
        ),
        Verdict::AfterDeletion => {
            format!("at {at} the schedule did not exist any more: it was deleted{by}")
        }
    };
    if let Some(last) = why.backfilled.last() {
        text.push_str(&format!(". A backfill ran it: task {last}"));
    }
    text
}

fn skipped(reason: &SkipReason, rival: Option<Timestamp>, policy: &str, remedy: &str) -> String {
    match reason {
        SkipReason::Overlap { task_id } => {
            let started = rival.map(|at| format!(" started {}", short(at))).unwrap_or_default();
            format!(
                "task {task_id}{started} was still open, {policy}; another overlap policy lets it wait"
            )
        }
        SkipReason::WaitingAlready => {
            format!("another start waited already, {policy}; BufferAll lets all of them wait")
        }
        SkipReason::Replaced { by } => {
            let newer = by.map_or("a start by hand".to_owned(), short);
            format!("{newer} took its place before it could start, {policy}")
        }
        SkipReason::BufferFull => format!(
            "{} starts waited already, and no more may; the tasks take longer than the interval",
            limits::BUFFERED_STARTS_MAX
        ),
        SkipReason::CatchUpWindow => format!(
            "it came too late for the catch-up window: Spark was not running, the log was \
             unavailable, or it waited too long{remedy}"
        ),
        SkipReason::Drift { remote_hash: Some(_) } => format!(
            "the flow was changed at its source, and the schedule holds then; sync the flow{remedy}"
        ),
        SkipReason::Drift { remote_hash: None } => {
            "the flow is not at its source any more, and the \
             schedule holds then; put it back or push it"
                .to_owned()
        }
    }
}

/// Who, when and with which reason, as the end of a sentence about an event.
fn by(witness: &Witness) -> String {
    let at = short(witness.recorded_at);
    let reason = witness.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!(", by {} on {at}{reason}", witness.actor)
}

/// The same for what somebody set.
fn by_whom(witness: &Witness) -> String {
    format!(" by {} on {}", witness.actor, short(witness.recorded_at))
}

fn short(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests;
