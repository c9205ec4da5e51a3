//! When a timetable is due next, as people look at it: in its own zone, with what may surprise.

use chrono_tz::Tz;
use serde::Serialize;
use spark_events::domain::recurrence::{DstNote, Recurrence, Timetable, zone_data_version};
use spark_events::{ScheduleId, Timestamp, limits};
use spark_projections::schedules::{summary, timezone};
use uuid::Uuid;

use super::fields::PreviewBody;
use super::when::{When, instant};
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::options::Wrong;
use crate::read;
use crate::reply::{Reply, rfc3339};

/// How many instants are shown when the caller does not say.
const PREVIEW_DEFAULT: usize = 5;

/// The next due instants of a timetable.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Preview<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_id: Option<ScheduleId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    /// Where exactly one recurrence says when.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<&'a Recurrence>,
    timetable: &'a Timetable,
    summary: String,
    /// Version of the time-zone data.
    zone_data: &'static str,
    items: Vec<Instant>,
    /// What may surprise.
    notes: Vec<String>,
}

impl<'a> Preview<'a> {
    fn new(timetable: &'a Timetable, items: Vec<Instant>) -> Self {
        Self {
            schedule_id: None,
            status: None,
            recurrence: if let [only] = timetable.specs.as_slice() { Some(only) } else { None },
            timetable,
            summary: summary(timetable),
            zone_data: zone_data_version(),
            items,
            notes: notes(timetable),
        }
    }
}

/// A due instant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DueInstant)]
pub(super) struct Instant {
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// When it starts, where jitter moves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    /// What the clock shows then in the timetable's zone.
    local: String,
    /// What a clock change has to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<DstNote>,
}

/// The next `n` instants after `after`. Jitter follows from the schedule's id, so without one it
/// cannot be told.
pub(super) fn instants(
    timetable: &Timetable,
    id: Option<ScheduleId>,
    after: Timestamp,
    n: usize,
) -> Vec<Instant> {
    let zone: Tz = timezone(timetable).and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC);
    let Ok(planner) = timetable.planner(id.unwrap_or(ScheduleId(Uuid::nil()))) else {
        return Vec::new();
    };
    let moved = |due_at: Timestamp, starts_at: Timestamp| {
        let moved = id.is_some() && starts_at != due_at;
        moved.then(|| starts_at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
    };
    let shown = planner.preview(after, n).into_iter().map(|due| Instant {
        due_at: due.due_at,
        starts_at: moved(due.due_at, due.starts_at),
        local: due
            .due_at
            .with_timezone(&zone)
            .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false),
        dst: due.dst,
    });
    shown.collect()
}

pub(super) fn preview(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let now = call.app.now();
    let mut body: PreviewBody = body::object(&call.body)?;
    let mut wrong = Wrong::default();
    let n = body.n.take().value().unwrap_or(PREVIEW_DEFAULT);
    if !(1..=limits::PREVIEW_MAX).contains(&n) {
        wrong.push("n", format!("must be from 1 to {}", limits::PREVIEW_MAX));
    }
    let after = wrong.take(instant("after", body.after.take(), now)).flatten().flatten();
    let when = When::read(body.take_when(), now).and_then(|when| when.timetable(now));
    let Some(timetable) = wrong.take(when) else {
        return Err(ApiError::Invalid(wrong.into()));
    };
    let timetable = wrong.finish(timetable)?;
    let items = instants(&timetable, None, after.unwrap_or(now), n);
    Reply::ok(&Preview::new(&timetable, items))
}

pub(super) async fn next(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&["n"])?;
    let n = call.query.number("n", 1..=limits::PREVIEW_MAX as u64)?;
    let n = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(PREVIEW_DEFAULT);
    call.ready_to_read().await?;
    let id = read::schedule_id(call.app, id).await?;
    let row = read::schedule(call.app, id).await?;
    // A paused schedule shows what would come if it were resumed now; an ended one shows nothing.
    let over = ["completed", "deleted"].contains(&row.status.as_str());
    let n = if over { 0 } else { n };
    let items = instants(&row.timetable, Some(id), call.app.now(), n);
    let preview = Preview::new(&row.timetable, items);
    Reply::ok(&Preview { schedule_id: Some(id), status: Some(&row.status), ..preview })
}

/// What may surprise about a timetable.
pub(super) fn notes(timetable: &Timetable) -> Vec<String> {
    let mut notes: Vec<String> = timetable.specs.iter().flat_map(spec_notes).collect();
    if timetable.jitter_ms > 0 {
        notes.push(format!(
            "jitter: each start comes up to {} after its instant, but before the next one; by \
             how much follows from the schedule and the instant",
            spark_events::spoken::duration(timetable.jitter_ms)
        ));
    }
    notes
}

fn spec_notes(spec: &Recurrence) -> Vec<String> {
    let Recurrence::Cron { expression, .. } = spec else { return Vec::new() };
    let mut notes = Vec::new();
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let (day, weekday) = match fields.as_slice() {
        [_, _, day, _, weekday] => (*day, *weekday),
        [_, _, _, day, _, weekday] | [_, _, _, day, _, weekday, _] => {
            let text = "in `{}` the first field is the seconds, as it has more than five";
            notes.push(text.replace("{}", expression));
            (*day, *weekday)
        }
        _ => return notes,
    };
    if restricts(day) && restricts(weekday) && !weekday.starts_with('+') {
        notes.push(format!(
            "either day: `{expression}` is due on each day that its day of month ({day}) or its \
             day of week ({weekday}) fits; for days that fit both, write +{weekday} or use calendar"
        ));
    }
    notes
}

/// Whether a field for days leaves any day out.
fn restricts(field: &str) -> bool {
    !field.split(',').any(|entry| matches!(entry, "*" | "?" | "*/1" | "?/1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(expression: &str) -> String {
        let dst = Default::default();
        let spec = Recurrence::parse_cron(expression, "UTC", dst).unwrap();
        notes(&spec.into()).join("\n")
    }

    #[test]
    fn two_restricted_days_mean_either_and_that_is_said() {
        for expression in ["0 0 15 * 1", "0 0 1,15 * MON-FRI", "0 0 */2 * 1"] {
            let note = noted(expression);
            assert!(note.contains("either day"), "{expression}: {note}");
        }
        assert!(noted("0 0 0 15 * 1").contains("the first field is the seconds"));
        for expression in ["0 0 15 * *", "0 0 * * 1", "0 0 15 * +1", "0 0 ? * 1", "@weekly"] {
            assert_eq!(noted(expression), "", "{expression}");
        }
    }
}
