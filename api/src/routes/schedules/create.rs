//! From the body of a new schedule to the command. Checks shape, and reads the timetable, because
//! its errors belong to the field they stand in.

use spark_actors::{NewSchedule, RunOptions};
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Timetable;
use spark_events::domain::schedule::OnDrift;
use spark_events::{FlowId, Timestamp, limits};

use super::fields::ScheduleBody;
use super::when::When;
use crate::error::FieldError;
use crate::options::{Wrong, duration_ms};

/// Everything of a schedule but its flow, whose name has still to be looked up.
#[derive(Debug, Clone)]
pub struct Plan {
    name: Option<String>,
    note: Option<String>,
    timetable: Timetable,
    options: RunOptions,
    overlap: Overlap,
    catch_up_ms: Option<u64>,
    runs_max: Option<u64>,
    pause_after: Option<u32>,
    on_drift: OnDrift,
}

impl Plan {
    /// The command for a flow.
    #[must_use]
    pub fn for_flow(self, flow_id: FlowId) -> NewSchedule {
        NewSchedule {
            name: self.name,
            note: self.note,
            flow_id,
            timetable: self.timetable,
            options: self.options,
            overlap: self.overlap,
            catch_up_ms: self.catch_up_ms,
            runs_max: self.runs_max,
            pause_after: self.pause_after,
            on_drift: self.on_drift,
        }
    }
}

/// The flow that a body names, with the plan for it, at the instant that intervals are counted
/// from.
impl TryFrom<(ScheduleBody, Timestamp)> for Planned {
    type Error = Vec<FieldError>;

    fn try_from((mut body, now): (ScheduleBody, Timestamp)) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let flow = body.flow.take().value();
        match flow.as_deref().map(str::trim) {
            None => wrong.push("flow", "is missing"),
            Some("") => wrong.push("flow", "must not be empty: give its id or name"),
            Some(_) => {}
        }
        let name = body.name.take().value();
        if let Some(name) = &name {
            check_name(&mut wrong, name);
        }
        let when = When::read(body.take_when(), now);
        let timetable = wrong.take(when.and_then(|when| when.timetable(now)));
        let options = wrong.take(RunOptions::try_from(body.take_options()));
        let catch_up = duration_ms("catch_up", body.catch_up.value(), body.catch_up_ms.value());
        let catch_up_ms = wrong.take(catch_up);
        match (flow, timetable, options, catch_up_ms) {
            (Some(flow), Some(timetable), Some(options), Some(catch_up_ms)) => {
                let plan = Plan {
                    name,
                    note: body.note.value(),
                    timetable,
                    options,
                    overlap: body.overlap.value().unwrap_or_default(),
                    catch_up_ms,
                    runs_max: body.runs_max.value(),
                    pause_after: body.pause_after.value(),
                    on_drift: body.on_drift.value().unwrap_or_default(),
                };
                wrong.finish(Self { flow, plan })
            }
            // One of the parts was wrong, so this is an error.
            _ => Err(wrong.into()),
        }
    }
}

/// A new schedule as its body describes it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The flow, as the caller named it.
    pub flow: String,
    /// The rest.
    pub plan: Plan,
}

pub(super) fn check_name(wrong: &mut Wrong, name: &str) {
    let max = limits::NAME_BYTES_MAX;
    if !(1..=max).contains(&name.trim().len()) || name.chars().any(char::is_control) {
        wrong.push("name", format!("must have 1 to {max} bytes without control characters"));
    }
}

#[cfg(test)]
mod tests;
