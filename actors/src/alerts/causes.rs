//! From an event of the log to what alerts may tell of it: tells the book what it has to know,
//! and looks up what a message needs beyond the event. Decides nothing of who is told.

use spark_events::codec::{CodecError, DomainEvent, TASK_COMPLETED, TASK_CREATED, TASK_FAILED};
use spark_events::domain::alert::{
    About, AlertBook, AlertEvent, AlertKind, Cause, CauseEvent, Named, Trouble, What,
};
use spark_events::domain::flow::FlowEvent;
use spark_events::domain::schedule::{ScheduleEvent, ScheduleSpec, SkipReason};
use spark_events::domain::source::{Probe, SourceEvent};
use spark_events::domain::task::{TaskEvent, TaskSpec};
use spark_events::domain::worker::{WorkerEvent, WorkerStarted};
use spark_events::limits::ALERT_NAME_EVENTS_MAX;
use spark_events::log::Direction;
use spark_events::{
    AlertId, FlowId, LogError, RecordedEvent, ScheduleId, SourceId, StreamName, TaskId, WorkerId,
};

use crate::aggregate::Backoff;
use crate::context::Context;

/// Why an event could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Takes an event of an alert into the book.
pub(super) fn take_alert(book: &mut AlertBook, event: &RecordedEvent) -> Result<(), CodecError> {
    if let Some(id) = event.stream.uuid() {
        let decoded = AlertEvent::from_recorded(event)?;
        book.take(AlertId(id), event.revision, event.position, &decoded);
    }
    Ok(())
}

/// Looks at one event. Costs nothing but a comparison while no alert wants its kind.
///
/// # Errors
/// `Log` when the log was closed or is damaged (an outage is waited out); `Codec` for an event
/// that cannot be read.
pub(super) async fn look_at(
    context: &Context,
    book: &mut AlertBook,
    event: &RecordedEvent,
) -> Result<Option<Cause>, LookError> {
    let Some(id) = event.stream.uuid() else { return Ok(None) };
    match event.stream.category() {
        AlertId::CATEGORY => take_alert(book, event)?,
        TaskId::CATEGORY => return task(context, book, TaskId(id), event).await,
        ScheduleId::CATEGORY => return schedule(context, book, ScheduleId(id), event).await,
        SourceId::CATEGORY => return Ok(source(context, book, SourceId(id), event)?),
        WorkerId::CATEGORY => return worker(context, book, WorkerId(id), event).await,
        FlowId::CATEGORY if book.wants_new_tasks() => {
            if let FlowEvent::Deleted(_) = FlowEvent::from_recorded(event)? {
                book.forget_row(id);
            }
        }
        _ => {}
    }
    Ok(None)
}

fn cause(kind: AlertKind, event: &RecordedEvent, about: About, what: What) -> Cause {
    Cause {
        kind,
        event: CauseEvent {
            id: event.id,
            event_type: event.event_type.to_string(),
            stream: event.stream.to_string(),
            position: event.position,
            recorded_at: event.recorded_at,
        },
        since_position: event.position,
        about,
        what,
    }
}

async fn task(
    context: &Context,
    book: &mut AlertBook,
    id: TaskId,
    event: &RecordedEvent,
) -> Result<Option<Cause>, LookError> {
    match &*event.event_type {
        TASK_CREATED if book.wants_new_tasks() => {
            if let TaskEvent::Created(spec) = TaskEvent::from_recorded(event)? {
                book.task_created(id, spec.trigger.schedule_id(), spec.flow_id);
            }
            Ok(None)
        }
        TASK_FAILED if book.wants_failures() => {
            let TaskEvent::Failed(failed) = TaskEvent::from_recorded(event)? else {
                return Ok(None);
            };
            let Some(spec) = task_spec(context, &event.stream).await? else { return Ok(None) };
            let moment = (event.recorded_at, event.position);
            let row = book.task_failed(id, spec.trigger.schedule_id(), spec.flow_id, moment);
            let what = What::Failed {
                failure: Trouble::from(&failed.failure),
                attempts: failed.attempts,
                why: failed.why,
                since: row.since,
                failures: row.failures,
            };
            let about = about_task(context, id, &spec);
            Ok(Some(named(context, book, cause(AlertKind::TaskFailed, event, about, what)).await?))
        }
        TASK_COMPLETED if book.watches(id) => {
            let Some(row) = book.task_completed(id) else { return Ok(None) };
            let Some(spec) = task_spec(context, &event.stream).await? else { return Ok(None) };
            let what = What::Completed { since: row.since, failures: row.failures };
            let about = about_task(context, id, &spec);
            let mut cause = cause(AlertKind::TaskRecovered, event, about, what);
            cause.since_position = row.position;
            Ok(Some(named(context, book, cause).await?))
        }
        _ => Ok(None),
    }
}

async fn schedule(
    context: &Context,
    book: &mut AlertBook,
    id: ScheduleId,
    event: &RecordedEvent,
) -> Result<Option<Cause>, LookError> {
    let wanted =
        [AlertKind::OccurrenceMissed, AlertKind::OccurrenceSkipped, AlertKind::SchedulePaused];
    if !book.wants_new_tasks() && !wanted.into_iter().any(|kind| book.wants(kind)) {
        return Ok(None);
    }
    let (kind, what) = match ScheduleEvent::from_recorded(event)? {
        ScheduleEvent::Skipped(e) => {
            let missed = e.reason == SkipReason::CatchUpWindow;
            let kind =
                if missed { AlertKind::OccurrenceMissed } else { AlertKind::OccurrenceSkipped };
            let what = What::Skipped {
                first_due_at: e.first_due_at,
                last_due_at: e.last_due_at,
                count: e.count,
                reason: reason(&e.reason),
            };
            (kind, what)
        }
        // Whoever pauses a schedule by hand knows it; a note is there where it paused itself.
        ScheduleEvent::Paused(e) => match e.note {
            Some(note) => (AlertKind::SchedulePaused, What::Paused { note }),
            None => return Ok(None),
        },
        ScheduleEvent::Deleted(_) => {
            book.forget_row(id.0);
            return Ok(None);
        }
        _ => return Ok(None),
    };
    if !book.wants(kind) {
        return Ok(None);
    }
    let spec = schedule_spec(context, &event.stream).await?;
    let mut about = About::default();
    if let Some(spec) = &spec {
        about.flow = Some(flow(context, spec.flow_id));
        about.source = Some(source_named(context, spec.source_id));
    }
    about.schedule = Some(Named { id, name: spec.and_then(|spec| spec.name) });
    Ok(Some(cause(kind, event, about, what)))
}

fn source(
    context: &Context,
    book: &mut AlertBook,
    id: SourceId,
    event: &RecordedEvent,
) -> Result<Option<Cause>, CodecError> {
    let probe = match SourceEvent::from_recorded(event)? {
        SourceEvent::Added(added) => added.probe,
        SourceEvent::Probed(probed) => probed.probe,
        SourceEvent::Removed(_) => {
            book.source_up(id);
            return Ok(None);
        }
        SourceEvent::Updated(_) => return Ok(None),
    };
    let about = About { source: Some(source_named(context, id)), ..About::default() };
    Ok(match probe {
        Probe::Down { class, message } => {
            let news = book.source_down(id, event.recorded_at, event.position);
            let what = What::Down { failure: Trouble::new(class, &message) };
            news.then(|| cause(AlertKind::SourceDown, event, about, what))
        }
        Probe::Up { .. } => book.source_up(id).map(|(since, position)| {
            let mut cause = cause(AlertKind::SourceRecovered, event, about, What::Up { since });
            cause.since_position = position;
            cause
        }),
    })
}

async fn worker(
    context: &Context,
    book: &AlertBook,
    id: WorkerId,
    event: &RecordedEvent,
) -> Result<Option<Cause>, LookError> {
    if !book.wants(AlertKind::WorkerLost) {
        return Ok(None);
    }
    let WorkerEvent::Lost(lost) = WorkerEvent::from_recorded(event)? else { return Ok(None) };
    let first = first_event(context, &event.stream).await?;
    let started = match first.as_ref().map(WorkerEvent::from_recorded).transpose()? {
        Some(WorkerEvent::Started(started)) => Some(started),
        _ => None,
    };
    let (name, what) = who_was_lost(started, lost.reason);
    let about = About { worker: Some(Named { id, name }), ..About::default() };
    Ok(Some(cause(AlertKind::WorkerLost, event, about, what)))
}

/// The name of a worker, else its host, and what is told of its loss.
fn who_was_lost(started: Option<WorkerStarted>, reason: String) -> (Option<String>, What) {
    let Some(WorkerStarted { hostname, pid, built_in, name, .. }) = started else {
        return (None, What::Lost { reason, built_in: false, hostname: None, pid: 0 });
    };
    let shown = name.unwrap_or_else(|| hostname.clone());
    (Some(shown), What::Lost { reason, built_in, hostname: Some(hostname), pid })
}

/// Why due instants started nothing, in words.
fn reason(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Overlap { task_id } => format!("task {task_id} was still open"),
        SkipReason::WaitingAlready => "an earlier start waited already".to_owned(),
        SkipReason::Replaced { .. } => "a newer start took its place".to_owned(),
        SkipReason::BufferFull => "as many starts waited as may wait".to_owned(),
        SkipReason::CatchUpWindow => {
            "it came later than the schedule's catch-up window allows (Spark was not running, or \
             it waited too long)"
                .to_owned()
        }
        SkipReason::Drift { .. } => "the flow was changed at its source".to_owned(),
    }
}

fn about_task(context: &Context, id: TaskId, spec: &TaskSpec) -> About {
    About {
        task_id: Some(id),
        flow: Some(flow(context, spec.flow_id)),
        schedule: spec.trigger.schedule_id().map(|id| Named { id, name: None }),
        source: Some(source_named(context, spec.source_id)),
        worker: None,
    }
}

fn flow(context: &Context, id: FlowId) -> Named<FlowId> {
    Named { id, name: context.catalog.flow(id).ok().map(|flow| flow.name.clone()) }
}

fn source_named(context: &Context, id: SourceId) -> Named<SourceId> {
    Named { id, name: context.catalog.source(id).ok().map(|entry| entry.source.name) }
}

/// The same with the schedule's name, where somebody is to read it: of most things in a flood
/// only the number is told.
async fn named(context: &Context, book: &AlertBook, mut cause: Cause) -> Result<Cause, LookError> {
    if book.wants_words(&cause)
        && let Some(schedule) = &mut cause.about.schedule
    {
        let spec = schedule_spec(context, &schedule.id.stream()).await?;
        schedule.name = spec.and_then(|spec| spec.name);
    }
    Ok(cause)
}

async fn task_spec(context: &Context, stream: &StreamName) -> Result<Option<TaskSpec>, LookError> {
    let first = first_event(context, stream).await?;
    Ok(match first.as_ref().map(TaskEvent::from_recorded).transpose()? {
        Some(TaskEvent::Created(spec)) => Some(*spec),
        _ => None,
    })
}

/// What a schedule is to do, by its last edit among its newest events, else as it was made.
async fn schedule_spec(
    context: &Context,
    stream: &StreamName,
) -> Result<Option<ScheduleSpec>, LookError> {
    let newest = read(context, stream, Direction::Backward, ALERT_NAME_EVENTS_MAX).await?;
    for event in &newest {
        match ScheduleEvent::from_recorded(event)? {
            ScheduleEvent::Edited(e) => return Ok(Some(e.spec)),
            ScheduleEvent::Created(e) => return Ok(Some(e.spec)),
            _ => {}
        }
    }
    let first = first_event(context, stream).await?;
    Ok(match first.as_ref().map(ScheduleEvent::from_recorded).transpose()? {
        Some(ScheduleEvent::Created(e)) => Some(e.spec),
        _ => None,
    })
}

async fn first_event(
    context: &Context,
    stream: &StreamName,
) -> Result<Option<RecordedEvent>, LogError> {
    Ok(read(context, stream, Direction::Forward, 1).await?.pop())
}

/// Reads a stream, past outages of the log.
async fn read(
    context: &Context,
    stream: &StreamName,
    direction: Direction,
    limit: usize,
) -> Result<Vec<RecordedEvent>, LogError> {
    let mut pause = Backoff::default();
    loop {
        match context.log.read_stream(stream, None, direction, limit).await {
            Err(LogError::StreamNotFound(_)) => return Ok(Vec::new()),
            Err(error) if error.is_retryable() => pause.wait(stream, &error).await,
            read => return read,
        }
    }
}
