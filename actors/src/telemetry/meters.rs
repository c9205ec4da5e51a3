//! The counters and histograms, in the form that Prometheus reads. Counts begin at 0 with the
//! process. Labels have few values, whatever happens: no ids, no texts of users.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use spark_events::Timestamp;
use spark_events::clock::ms_between;
use spark_events::domain::schedule::{ScheduleEvent, SkipReason};
use spark_events::domain::task::{Task, TaskEvent, Trigger};

/// What stands where there is no failure and no reason.
const NONE: &str = "none";

/// Upper bounds in seconds: of what takes milliseconds, and of what takes up to an hour.
const SHORT: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const LONG: [f64; 13] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Made {
    trigger: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    status: &'static str,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    status: u16,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// All of them. Counting is cheap and never waits for long.
pub struct Meters {
    registry: Registry,
    tasks_made: Family<Made, Counter>,
    tasks_ended: Family<Ended, Counter>,
    attempts_ended: Family<Ended, Counter>,
    attempts: Durations<Status>,
    queue_waits: Histogram,
    outcomes: Family<Outcome, Counter>,
    lateness: Histogram,
    log_appends: Histogram,
    deliveries: Family<Delivered, Counter>,
    requests: Family<Request, Counter>,
    request_times: Histogram,
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters(..)")
    }
}

fn short() -> Histogram {
    Histogram::new(SHORT)
}

fn long() -> Histogram {
    Histogram::new(LONG)
}

impl Default for Meters {
    fn default() -> Self {
        let mut meters = Self {
            registry: Registry::with_prefix("spark"),
            tasks_made: Family::default(),
            tasks_ended: Family::default(),
            attempts_ended: Family::default(),
            attempts: Durations::new_with_constructor(long),
            queue_waits: long(),
            outcomes: Family::default(),
            lateness: long(),
            log_appends: short(),
            deliveries: Family::default(),
            requests: Family::default(),
            request_times: short(),
        };
        meters.register();
        meters
    }
}

impl Meters {
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register(
            "tasks_created",
            "Tasks that were made, by what asked for them",
            self.tasks_made.clone(),
        );
        let what = "Tasks that ended, by status and class of failure";
        to.register("tasks_ended", what, self.tasks_ended.clone());
        let what = "Attempts that ended, by status and class of failure";
        to.register("attempts_ended", what, self.attempts_ended.clone());
        let what = "From the start of an attempt to its recorded end";
        to.register_with_unit("attempt_duration", what, Unit::Seconds, self.attempts.clone());
        let what = "From when a task could start to when its attempt started";
        to.register_with_unit("queue_wait", what, Unit::Seconds, self.queue_waits.clone());
        let what = "Due instants of schedules by what came of them, and starts beside them";
        to.register("schedule_outcomes", what, self.outcomes.clone());
        let what = "From a due instant to the decision to start its task";
        to.register_with_unit("schedule_lateness", what, Unit::Seconds, self.lateness.clone());
        let what = "How long events of tasks and schedules took to become durable";
        to.register_with_unit("log_append", what, Unit::Seconds, self.log_appends.clone());
        let what = "Attempts to deliver messages of alerts, and messages given up, by outcome";
        to.register("alert_deliveries", what, self.deliveries.clone());
        let what = "Requests to the API, by operation and status";
        to.register("api_requests", what, self.requests.clone());
        let what = "From a request to the API to the head of its answer";
        to.register_with_unit("api_request", what, Unit::Seconds, self.request_times.clone());
    }

    /// Adds all of it to a text, without the mark of its end.
    ///
    /// # Errors
    /// None of its own; that of the text.
    pub fn write(&self, to: &mut String) -> fmt::Result {
        text::encode_registry(to, &self.registry)
    }

    /// A request to the API was answered. `operation` is its id in the OpenAPI document.
    pub fn api_request(&self, operation: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { operation, status }).inc();
        self.request_times.observe(took.as_secs_f64());
    }

    /// So many messages of alerts were delivered, not taken this time, or given up.
    pub(crate) fn deliveries(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.deliveries.get_or_create(&Delivered { outcome }).inc_by(count);
        }
    }

    pub(super) fn log_append(&self, took: Duration) {
        self.log_appends.observe(took.as_secs_f64());
    }

    pub(super) fn task(&self, before: &Task, event: &TaskEvent, at: Timestamp) {
        match event {
            TaskEvent::Created(spec) => {
                let trigger = trigger_of(&spec.trigger);
                self.tasks_made.get_or_create(&Made { trigger }).inc();
            }
            TaskEvent::Started(_) => {
                if let Some(since) = ready_since(before) {
                    self.queue_waits.observe(seconds(ms_between(since, at)));
                }
            }
            TaskEvent::AttemptFailed(failed) => {
                self.attempt("failed", failed.failure.class.as_str(), failed.duration_ms);
            }
            TaskEvent::Completed(completed) => {
                self.attempt("completed", NONE, completed.duration_ms);
                self.end("completed", NONE);
            }
            TaskEvent::Failed(failed) => self.end("failed", failed.failure.class.as_str()),
            TaskEvent::Cancelled(_) => {
                if let Task::Running { attempt, .. } = before {
                    self.attempt("cancelled", NONE, ms_between(attempt.started_at, at));
                }
                self.end("cancelled", NONE);
            }
            TaskEvent::Submitted(_)
            | TaskEvent::Reattached(_)
            | TaskEvent::LogRecorded(_)
            | TaskEvent::RetryScheduled(_)
            | TaskEvent::CancelRequested(_)
            | TaskEvent::Released(_)
            | TaskEvent::Deleted(_) => {}
        }
    }

    fn attempt(&self, status: &'static str, class: &'static str, took_ms: u64) {
        self.attempts_ended.get_or_create(&Ended { status, class }).inc();
        self.attempts.get_or_create(&Status { status }).observe(seconds(took_ms));
    }

    fn end(&self, status: &'static str, class: &'static str) {
        self.tasks_ended.get_or_create(&Ended { status, class }).inc();
    }

    pub(super) fn schedule(&self, event: &ScheduleEvent, at: Timestamp) {
        let mut count = |outcome, reason, by| {
            self.outcomes.get_or_create(&Outcome { outcome, reason }).inc_by(by);
        };
        match event {
            ScheduleEvent::Fired(fired) => {
                count("fired", NONE, 1);
                self.lateness.observe(seconds(ms_between(fired.due_at, at)));
            }
            ScheduleEvent::Skipped(skipped) => {
                count("skipped", reason_of(&skipped.reason), skipped.count);
            }
            ScheduleEvent::Triggered(_) => count("triggered", NONE, 1),
            ScheduleEvent::TriggerDropped(dropped) => {
                count("trigger_dropped", reason_of(&dropped.reason), 1);
            }
            ScheduleEvent::Backfilled(_) => count("backfilled", NONE, 1),
            ScheduleEvent::Edited(edited) => dropped(&mut count, "edited", edited.dropped.len()),
            ScheduleEvent::Paused(paused) => dropped(&mut count, "paused", paused.dropped.len()),
            ScheduleEvent::Completed(completed) => {
                dropped(&mut count, "completed", completed.dropped.len());
            }
            ScheduleEvent::Deleted(deleted) => {
                dropped(&mut count, "deleted", deleted.dropped.len())
            }
            ScheduleEvent::Created(_)
            | ScheduleEvent::Buffered(_)
            | ScheduleEvent::BackfillStarted(_)
            | ScheduleEvent::BackfillEnded(_)
            | ScheduleEvent::TaskEnded(_)
            | ScheduleEvent::Resumed(_) => {}
        }
    }
}

/// Due instants that waited when the schedule was changed.
fn dropped(
    count: &mut impl FnMut(&'static str, &'static str, u64),
    reason: &'static str,
    by: usize,
) {
    if by > 0 {
        count("dropped", reason, by as u64);
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds far below the bound of exact floats")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// From when on the task could have started.
fn ready_since(before: &Task) -> Option<Timestamp> {
    match before {
        Task::Pending { spec, released_at } => released_at.or(spec.created_at),
        Task::Waiting { not_before, .. } => Some(*not_before),
        _ => None,
    }
}

fn trigger_of(trigger: &Trigger) -> &'static str {
    match trigger {
        Trigger::Manual => "manual",
        Trigger::Occurrence { .. } => "occurrence",
        Trigger::ScheduleTriggered { .. } => "schedule_triggered",
        Trigger::Backfill { .. } => "backfill",
        Trigger::RetryOf { .. } => "retry_of",
    }
}

fn reason_of(reason: &SkipReason) -> &'static str {
    match reason {
        SkipReason::Overlap { .. } => "overlap",
        SkipReason::WaitingAlready => "waiting_already",
        SkipReason::Replaced { .. } => "replaced",
        SkipReason::BufferFull => "buffer_full",
        SkipReason::CatchUpWindow => "catch_up_window",
        SkipReason::Drift { .. } => "drift",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status() {
        let meters = Meters::default();
        let took = Duration::from_millis(3);
        for status in [200, 200, 404] {
            meters.api_request("getTask", status, took);
        }
        let mut text = String::new();
        meters.write(&mut text).unwrap();
        let line = r#"spark_api_requests_total{operation="getTask",status="200"} 2"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains("# TYPE spark_api_requests counter\n"), "{text}");
        assert!(text.contains("spark_api_request_seconds_bucket{le=\"0.005\"} 3\n"), "{text}");
    }
}
