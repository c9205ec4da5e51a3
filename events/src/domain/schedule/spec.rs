//! What a schedule is to do, and how that is changed: a patch names what it changes and leaves
//! the rest as it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ScheduleRejection;
use crate::clock::Timestamp;
use crate::domain::overlap::Overlap;
use crate::domain::recurrence::{Exclusion, Recurrence, Timetable};
use crate::domain::retry::RetryPolicy;
use crate::ids::{FlowId, SourceId};
use crate::limits;
use crate::payload::Payload;

/// How long after its instant "now" a one-time schedule may still be created.
const PAST_GRACE_MS: i64 = 60_000;

/// What a schedule is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// A name for people, unique among schedules when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What people should know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The flow to run.
    pub flow_id: FlowId,
    /// The source that has the flow.
    pub source_id: SourceId,
    /// When.
    pub timetable: Timetable,
    /// The input text, as a JSON string.
    pub input: Payload,
    /// Values set over the flow's own, by component and field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tweaks: Option<Value>,
    /// What happens while an earlier task is still open.
    #[serde(default)]
    pub overlap: Overlap,
    /// How late an occurrence may still start.
    pub catch_up_ms: u64,
    /// How often and how patiently its tasks are tried.
    pub retry: RetryPolicy,
    /// The longest time of one attempt.
    pub timeout_ms: u64,
    /// How long its tasks may wait for their first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// How long its tasks may take over all attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    /// Which of its source's waiting tasks go first: higher ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// After how many starts of its own it is completed; without end when absent. What is
    /// skipped, triggered by hand or backfilled does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_max: Option<u64>,
    /// After how many failed tasks in a row it pauses itself; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_after: Option<u32>,
    /// What happens when the flow was changed at its source since it was synced.
    #[serde(default, skip_serializing_if = "OnDrift::is_run")]
    pub on_drift: OnDrift,
}

/// What a schedule does when its flow is not as it was synced.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    /// Run what the source has now.
    #[default]
    Run,
    /// Start nothing until somebody has synced the flow again. The flow is looked at before each
    /// start.
    Hold,
}

impl OnDrift {
    fn is_run(&self) -> bool {
        *self == Self::Run
    }
}

impl ScheduleSpec {
    /// Our default catch-up window: one hour or the longest interval, whichever is longer.
    #[must_use]
    pub fn default_catch_up_ms(timetable: &Timetable) -> u64 {
        let intervals = timetable.specs.iter().filter_map(|spec| match spec {
            Recurrence::Interval { every_ms, .. } => Some(*every_ms),
            Recurrence::Cron { .. } | Recurrence::Calendar { .. } | Recurrence::Once { .. } => None,
        });
        let longest = intervals.max().unwrap_or(0);
        limits::CATCH_UP_MS_DEFAULT.max(longest).min(limits::CATCH_UP_MS_MAX)
    }

    /// Checks everything that must hold before it is stored.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self, now: Timestamp) -> Result<(), ScheduleRejection> {
        // "now" is a legal instant, and was read from the clock a moment before this decision.
        let grace = chrono::TimeDelta::milliseconds(PAST_GRACE_MS);
        self.timetable.validate(now - grace)?;
        self.check()
    }

    /// The rules that do not look at the timetable.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ScheduleRejection> {
        self.retry.validate()?;
        if !(limits::CATCH_UP_MS_MIN..=limits::CATCH_UP_MS_MAX).contains(&self.catch_up_ms) {
            return Err(ScheduleRejection::BadCatchUp(self.catch_up_ms));
        }
        let attempt = 1_000..=limits::ATTEMPT_TIMEOUT_MS_MAX;
        if !attempt.contains(&self.timeout_ms) {
            return Err(ScheduleRejection::BadTimeout(self.timeout_ms));
        }
        if self.runs_max == Some(0) {
            return Err(ScheduleRejection::BadRunsMax);
        }
        if self.pause_after == Some(0) {
            return Err(ScheduleRejection::BadPauseAfter);
        }
        let too_long = |text: &String| text.len() > limits::REASON_BYTES_MAX;
        if self.note.as_ref().is_some_and(too_long) {
            return Err(ScheduleRejection::NoteTooLong);
        }
        Ok(())
    }
}

/// What to change about a schedule. `None` leaves a field as it is; where the field itself may be
/// absent, `Some(None)` takes it away.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SchedulePatch {
    /// The new name.
    pub name: Option<Option<String>>,
    /// The new note.
    pub note: Option<Option<String>>,
    /// When, in place of all specs before.
    pub specs: Option<Vec<Recurrence>>,
    /// When not, in place of all exclusions before.
    pub exclusions: Option<Vec<Exclusion>>,
    /// The new jitter.
    pub jitter_ms: Option<u64>,
    /// The new first instant.
    pub start_at: Option<Option<Timestamp>>,
    /// The new last instant.
    pub end_at: Option<Option<Timestamp>>,
    /// The new input.
    pub input: Option<Payload>,
    /// The new tweaks.
    pub tweaks: Option<Option<Value>>,
    /// The new overlap policy. It applies to starts that wait already.
    pub overlap: Option<Overlap>,
    /// The new catch-up window.
    pub catch_up_ms: Option<u64>,
    /// All attempts together.
    pub attempts_max: Option<u32>,
    /// The delay after the first attempt.
    pub retry_initial_ms: Option<u64>,
    /// The longest delay.
    pub retry_maximum_ms: Option<u64>,
    /// The factor from one delay to the next, in hundredths.
    pub retry_coefficient_percent: Option<u32>,
    /// The longest time of one attempt.
    pub timeout_ms: Option<u64>,
    /// How long its tasks may wait for their first attempt.
    pub queue_timeout_ms: Option<Option<u64>>,
    /// How long its tasks may take over all attempts.
    pub total_timeout_ms: Option<Option<u64>>,
    /// Which of its source's waiting tasks go first.
    pub priority: Option<Option<i32>>,
    /// After how many starts it is completed.
    pub runs_max: Option<Option<u64>>,
    /// After how many failures in a row it pauses itself.
    pub pause_after: Option<Option<u32>>,
    /// What happens when the flow was changed at its source.
    pub on_drift: Option<OnDrift>,
}

fn set<T>(field: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *field = new;
    }
}

impl SchedulePatch {
    /// The specification after the change.
    #[must_use]
    pub fn apply(self, spec: &ScheduleSpec) -> ScheduleSpec {
        let mut spec = spec.clone();
        set(&mut spec.name, self.name);
        set(&mut spec.note, self.note);
        set(&mut spec.timetable.specs, self.specs);
        set(&mut spec.timetable.exclusions, self.exclusions);
        set(&mut spec.timetable.jitter_ms, self.jitter_ms);
        set(&mut spec.timetable.start_at, self.start_at);
        set(&mut spec.timetable.end_at, self.end_at);
        set(&mut spec.input, self.input);
        set(&mut spec.tweaks, self.tweaks);
        set(&mut spec.overlap, self.overlap);
        set(&mut spec.catch_up_ms, self.catch_up_ms);
        set(&mut spec.retry.attempts_max, self.attempts_max);
        set(&mut spec.retry.initial_ms, self.retry_initial_ms);
        set(&mut spec.retry.maximum_ms, self.retry_maximum_ms);
        set(&mut spec.retry.coefficient_percent, self.retry_coefficient_percent);
        set(&mut spec.timeout_ms, self.timeout_ms);
        set(&mut spec.queue_timeout_ms, self.queue_timeout_ms);
        set(&mut spec.total_timeout_ms, self.total_timeout_ms);
        set(&mut spec.priority, self.priority);
        set(&mut spec.runs_max, self.runs_max);
        set(&mut spec.pause_after, self.pause_after);
        set(&mut spec.on_drift, self.on_drift);
        spec
    }
}

/// The names of the fields in which two specifications differ, as they stand in JSON.
#[must_use]
pub(super) fn changed(old: &ScheduleSpec, new: &ScheduleSpec) -> Vec<String> {
    let fields = |spec: &ScheduleSpec| match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (fields(old), fields(new));
    let mut names: Vec<&String> =
        old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)).collect();
    names.sort();
    names.dedup();
    names.into_iter().cloned().collect()
}
