//! The bodies that describe a schedule, and how they become a command. Checks shape, and reads the
//! recurrence, because its errors belong to the field it stands in.

use serde::Deserialize;
use serde_json::Value;
use spark_actors::{NewSchedule, RunOptions};
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::{DstRule, Recurrence, parse_at, parse_every};
use spark_events::{FlowId, Timestamp, limits};

use crate::error::FieldError;
use crate::options::{OptionsBody, RetryBody, Wrong, duration_ms};

/// Run a flow again and again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleBody {
    /// The flow's id, a prefix of it, or its name.
    pub flow: String,
    /// A name for people.
    pub name: Option<String>,
    /// Clock times: a cron expression.
    pub cron: Option<String>,
    /// A fixed distance, such as `30m`.
    pub every: Option<String>,
    /// The same in milliseconds.
    pub every_ms: Option<u64>,
    /// A single instant: RFC 3339 or `now`.
    pub at: Option<String>,
    /// The zone of the cron expression; UTC when absent.
    pub timezone: Option<String>,
    /// What clock changes do to the cron expression.
    pub dst: Option<DstRule>,
    /// The input text.
    #[serde(alias = "input_value")]
    pub input: Option<String>,
    /// `{component id: {field: value}}`.
    pub tweaks: Option<Value>,
    /// What happens while an earlier task is still open.
    pub overlap: Option<Overlap>,
    /// How late an occurrence may still start, such as `1h`.
    pub catch_up: Option<String>,
    /// The same in milliseconds.
    pub catch_up_ms: Option<u64>,
    /// The retry policy, as far as it differs from the default.
    pub retry: Option<RetryBody>,
    /// Attempts after the first one.
    pub max_retries: Option<u32>,
    /// The longest time of an attempt, such as `10m`.
    pub timeout: Option<String>,
    /// The same in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// See when a schedule would be due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreviewBody {
    /// Clock times: a cron expression.
    pub cron: Option<String>,
    /// A fixed distance, such as `30m`.
    pub every: Option<String>,
    /// The same in milliseconds.
    pub every_ms: Option<u64>,
    /// A single instant: RFC 3339 or `now`.
    pub at: Option<String>,
    /// The zone of the cron expression; UTC when absent.
    pub timezone: Option<String>,
    /// What clock changes do to the cron expression.
    pub dst: Option<DstRule>,
    /// How many instants.
    pub n: Option<usize>,
    /// After which instant; now when absent.
    pub after: Option<Timestamp>,
}

/// The fields that say when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    cron: Option<String>,
    every: Option<String>,
    every_ms: Option<u64>,
    at: Option<String>,
    timezone: Option<String>,
    dst: Option<DstRule>,
    /// What intervals are counted from, and what must not be in the past.
    now: Timestamp,
}

impl PreviewBody {
    /// The fields that say when.
    #[must_use]
    pub fn when(self, now: Timestamp) -> When {
        let Self { cron, every, every_ms, at, timezone, dst, .. } = self;
        When { cron, every, every_ms, at, timezone, dst, now }
    }
}

/// Everything of a schedule but its flow, whose name has still to be looked up.
#[derive(Debug, Clone)]
pub struct Plan {
    name: Option<String>,
    recurrence: Recurrence,
    options: RunOptions,
    overlap: Overlap,
    catch_up_ms: Option<u64>,
}

impl Plan {
    /// The command for a flow.
    #[must_use]
    pub fn for_flow(self, flow_id: FlowId) -> NewSchedule {
        let Self { name, recurrence, options, overlap, catch_up_ms } = self;
        NewSchedule { name, flow_id, recurrence, options, overlap, catch_up_ms }
    }
}

/// A body, and the instant that intervals are counted from.
impl TryFrom<(ScheduleBody, Timestamp)> for Plan {
    type Error = Vec<FieldError>;

    fn try_from((body, now): (ScheduleBody, Timestamp)) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        if body.flow.trim().is_empty() {
            wrong.push("flow", "must not be empty: give its id or name");
        }
        if let Some(name) = &body.name {
            check_name(&mut wrong, name);
        }
        let ScheduleBody { cron, every, every_ms, at, timezone, dst, .. } = body;
        let when = When { cron, every, every_ms, at, timezone, dst, now };
        let recurrence = wrong.take(Recurrence::try_from(when));
        let ScheduleBody { input, tweaks, retry, max_retries, timeout, timeout_ms, .. } = body;
        let options = OptionsBody {
            input,
            tweaks,
            retry,
            max_retries,
            timeout,
            timeout_ms,
            ..OptionsBody::default()
        };
        let options = wrong.take(RunOptions::try_from(options));
        let catch_up_ms = wrong.take(duration_ms("catch_up", body.catch_up, body.catch_up_ms));
        match (recurrence, options, catch_up_ms) {
            (Some(recurrence), Some(options), Some(catch_up_ms)) => wrong.finish(Self {
                name: body.name,
                recurrence,
                options,
                overlap: body.overlap.unwrap_or_default(),
                catch_up_ms,
            }),
            // One of the parts was wrong, so this is an error.
            _ => Err(wrong.into()),
        }
    }
}

impl TryFrom<When> for Recurrence {
    type Error = Vec<FieldError>;

    fn try_from(when: When) -> Result<Self, Self::Error> {
        let now = when.now;
        let fail = |field: &str, message: &str| Err(vec![FieldError::new(field, message)]);
        let is_cron = when.cron.is_some();
        let (field, read) = match (when.cron, when.every, when.every_ms, when.at) {
            (Some(cron), None, None, None) => {
                let (zone, dst) = (when.timezone.as_deref(), when.dst);
                let read =
                    Self::parse_cron(&cron, zone.unwrap_or_default(), dst.unwrap_or_default());
                ("cron", read)
            }
            (None, Some(every), None, None) => {
                ("every", parse_every(&every).map(|ms| Self::interval(ms, now)))
            }
            (None, None, Some(ms), None) => ("every_ms", Ok(Self::interval(ms, now))),
            (None, None, None, Some(at)) => ("at", parse_at(&at, now).map(|at| Self::Once { at })),
            (None, None, None, None) => {
                return fail("cron", "is missing: give exactly one of cron, every, at");
            }
            _ => return fail("cron", "give exactly one of cron, every, every_ms and at"),
        };
        if !is_cron && when.timezone.is_some() {
            return fail(
                "timezone",
                "belongs to cron; write the offset into at, and none for every",
            );
        }
        if !is_cron && when.dst.is_some() {
            return fail("dst", "belongs to cron; instants and intervals know no clock changes");
        }
        let checked = read.and_then(|recurrence| recurrence.validate(now).map(|()| recurrence));
        checked.map_err(|error| {
            use spark_events::domain::recurrence::RecurrenceError as E;
            let field = match &error {
                E::UnknownZone { .. } | E::ZoneConflict { .. } => "timezone",
                _ => field,
            };
            vec![FieldError::new(field, error.to_string())]
        })
    }
}

fn check_name(wrong: &mut Wrong, name: &str) {
    let max = limits::NAME_BYTES_MAX;
    if !(1..=max).contains(&name.trim().len()) || name.chars().any(char::is_control) {
        wrong.push("name", format!("must have 1 to {max} bytes without control characters"));
    }
}

#[cfg(test)]
mod tests;
