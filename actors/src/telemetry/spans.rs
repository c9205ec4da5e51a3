//! Facts as spans of a distributed trace: a request that made a task, the task, its attempts, the
//! calls of those. Their ids follow from what they stand for (`spark_events::domain::trace`). Made
//! only where somebody collects them.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use spark_events::domain::failure::Failure;
use spark_events::domain::task::{Attempt, Task, TaskEvent, TaskSpec, Trigger};
use spark_events::domain::trace::{SpanId, TraceParent};
use spark_events::{TaskId, Timestamp};
use uuid::Uuid;

use super::Happened;
use super::otlp::{number, text};

/// How something ended.
enum End<'a> {
    Well,
    Failed(&'a Failure),
    Cancelled,
}

/// The spans that end with these events.
pub(super) fn of_task(happened: &Happened<'_, Task>) -> Vec<Span> {
    let (Some(id), Some((trace, cause))) = (happened.stream.uuid(), happened.began) else {
        return Vec::new();
    };
    let Some(spec) = happened.before.spec() else { return Vec::new() };
    let place = Place { task: TaskId(id), trace, cause, spec, at: happened.at };
    let mut spans = Vec::new();
    for event in happened.events {
        match event {
            TaskEvent::AttemptFailed(failed) => {
                place.attempt(happened.before, &End::Failed(&failed.failure), &mut spans);
            }
            TaskEvent::Completed(done) => {
                place.attempt(happened.before, &End::Well, &mut spans);
                spans.push(place.whole(&End::Well, done.attempt));
            }
            TaskEvent::Failed(failed) => {
                spans.push(place.whole(&End::Failed(&failed.failure), failed.attempts));
            }
            TaskEvent::Cancelled(cancelled) => {
                place.attempt(happened.before, &End::Cancelled, &mut spans);
                spans.push(place.whole(&End::Cancelled, cancelled.attempts));
            }
            TaskEvent::Created(_)
            | TaskEvent::Started(_)
            | TaskEvent::Submitted(_)
            | TaskEvent::Reattached(_)
            | TaskEvent::LogRecorded(_)
            | TaskEvent::RetryScheduled(_)
            | TaskEvent::CancelRequested(_)
            | TaskEvent::Released(_)
            | TaskEvent::Deleted(_) => {}
        }
    }
    spans
}

struct Place<'a> {
    task: TaskId,
    trace: Uuid,
    /// What made the task.
    cause: Uuid,
    spec: &'a TaskSpec,
    at: Timestamp,
}

impl Place<'_> {
    fn whole(&self, end: &End<'_>, attempts: u32) -> Span {
        // Only what somebody asked for has a request that it follows from.
        let parent = match self.spec.trigger {
            Trigger::Manual | Trigger::RetryOf { .. } => Some(SpanId::of_request(self.cause)),
            Trigger::Occurrence { .. }
            | Trigger::ScheduleTriggered { .. }
            | Trigger::Backfill { .. } => None,
        };
        let from = self.spec.created_at.unwrap_or(self.at);
        let id = SpanId::of_task(self.task);
        let mut span = span("task", SpanKind::Internal, (self.trace, id, parent), (from, self.at));
        span.attributes = vec![
            text("spark.task.id", self.task.to_string()),
            text("spark.flow.id", self.spec.flow_id.to_string()),
            text("spark.source.id", self.spec.source_id.to_string()),
            number("spark.task.attempts", i64::from(attempts)),
        ];
        if let Some(schedule) = self.spec.trigger.schedule_id() {
            span.attributes.push(text("spark.schedule.id", schedule.to_string()));
        }
        ended(&mut span, end);
        span
    }

    /// The attempt and its call. The call is what the attempt consists of, as far as events tell.
    fn attempt(&self, before: &Task, end: &End<'_>, spans: &mut Vec<Span>) {
        let Task::Running { attempt: Attempt { number: n, started_at, worker_id, .. }, .. } =
            before
        else {
            return;
        };
        let times = (*started_at, self.at);
        let (whole, own) = (SpanId::of_task(self.task), SpanId::of_attempt(self.task, *n));
        let ids = (self.trace, own, Some(whole));
        let mut attempt = span("attempt", SpanKind::Internal, ids, times);
        let ids = (self.trace, SpanId::of_call(self.task, *n), Some(own));
        let mut call = span("call", SpanKind::Client, ids, times);
        for span in [&mut attempt, &mut call] {
            span.attributes = vec![
                text("spark.task.id", self.task.to_string()),
                number("spark.attempt", i64::from(*n)),
                text("spark.worker.id", worker_id.to_string()),
                text("spark.source.id", self.spec.source_id.to_string()),
            ];
            ended(span, end);
        }
        spans.extend([call, attempt]);
    }
}

/// A request that asked for a change.
pub(super) fn of_request(
    operation: &'static str,
    (trace, request): (Uuid, Uuid),
    parent: Option<TraceParent>,
    (from, to): (Timestamp, Timestamp),
    status: u16,
) -> Span {
    let ids = (trace, SpanId::of_request(request), parent.map(|parent| parent.span));
    let mut span = span(operation, SpanKind::Server, ids, (from, to));
    span.attributes = vec![number("http.response.status_code", i64::from(status))];
    if status >= 500 {
        span.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
    }
    span
}

fn span(
    name: &str,
    kind: SpanKind,
    (trace, id, parent): (Uuid, SpanId, Option<SpanId>),
    (from, to): (Timestamp, Timestamp),
) -> Span {
    Span {
        name: name.to_owned(),
        kind: kind.into(),
        trace_id: trace.as_bytes().to_vec(),
        span_id: id.to_bytes().to_vec(),
        parent_span_id: parent.map(|parent| parent.to_bytes().to_vec()).unwrap_or_default(),
        start_time_unix_nano: nanos(from),
        end_time_unix_nano: nanos(to.max(from)),
        ..Span::default()
    }
}

fn nanos(at: Timestamp) -> u64 {
    at.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0)
}

fn ended(span: &mut Span, end: &End<'_>) {
    let (code, message) = match end {
        End::Well => (StatusCode::Ok, String::new()),
        End::Failed(failure) => {
            span.attributes.push(text("error.type", failure.class.as_str()));
            (StatusCode::Error, failure.message.clone())
        }
        End::Cancelled => {
            span.attributes.push(text("error.type", "cancelled"));
            (StatusCode::Unset, String::new())
        }
    };
    span.status = Some(Status { code: code.into(), message });
}
