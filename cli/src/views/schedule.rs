//! Schedules as tables. Their timetable, outcomes and instants to come have a file each.

use serde_json::Value;

use super::{headline, ids, inline, payload, pick, short_task_id, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{lone_id, short_id};
use crate::output::time;

pub(crate) mod backfill;
mod change;
mod next;
mod outcomes;
mod timetable;
pub(crate) mod why;

pub(crate) use change::{changed, changes, wished};
pub(crate) use next::{next, preview};
pub(crate) use outcomes::words as reason_words;
pub(crate) use timetable::when;

/// A list of schedules.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 10),
        Column::new("FLOW", 10),
        Column::new("WHEN", 10),
        Column::new("STATUS", 6),
        Column::new("NEXT", 8),
        Column::new("LAST", 8),
        Column::new("ID", 8),
    ]);
    for row in rows {
        let status = text_or_dash(row, &["status"]);
        let next = next_due(row).filter(|_| status == "active");
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            flow(row).into(),
            when(row).into(),
            Cell::status(&status),
            look.when(next).into(),
            look.when(pick(row, &["last_due_at"])).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// The flow's name, or the start of its id.
pub(crate) fn flow(row: &Value) -> String {
    let short = || text(row, &["flow_id"]).map(|id| lone_id(&id));
    text(row, &["flow_name", "flow.name", "flow"]).or_else(short).unwrap_or_else(|| "-".into())
}

/// The next due instant.
pub(crate) fn next_due(row: &Value) -> Option<&Value> {
    pick(row, &["next_due_at"])
}

/// One schedule.
pub(crate) fn show(row: &Value, coming: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .maybe("name", text(row, &["name"]))
        .maybe("note", text(row, &["note"]))
        .add("id", text_or_dash(row, &["id"]))
        .add("flow", flow(row));
    timetable::add_to(&mut details, row, look);
    details
        .status("status", &text_or_dash(row, &["status"]))
        .maybe("paused by", text(row, &["paused_by"]))
        .maybe("why", text(row, &["pause_note"]))
        .maybe("reason", text(row, &["paused_reason"]))
        .add("next", look.when_exact(next_due(row)))
        .maybe("starts", starts(row, look))
        .maybe("waiting", waiting(row))
        .maybe("failures", failures(row))
        .maybe("runs left", runs_left(row));
    backfill::add_to(&mut details, row);
    options(&mut details, row);
    details.add("so far", outcomes::counts(row));
    for (name, place) in [
        ("last due", "last_due_at"),
        ("paused", "paused_at"),
        ("created", "created_at"),
        ("changed", "updated_at"),
    ] {
        if let Some(at) = pick(row, &[place]) {
            details.add(name, look.when_exact(Some(at)));
        }
    }
    if let Some(task) = text(row, &["last_task_id"]) {
        let status = text(row, &["last_task_status"]).unwrap_or_default();
        details.add("last task", format!("{} {status}", short_task_id(&task)));
    }
    let mut page = details.render(look) + &outcomes::table(row, look);
    if !rows(coming).is_empty() {
        let paused = text(row, &["status"]).as_deref() == Some("paused");
        page += &headline(look, if paused { "Next, if it were resumed now" } else { "Next" });
        page += &next(coming, look);
    }
    page
}

/// What each task gets, and what happens when something is in the way.
fn options(details: &mut Details, row: &Value) {
    let duration = |place: &str| pick(row, &[place]).and_then(Value::as_u64).map(time::duration);
    details
        .maybe("input", pick(row, &["input"]).map(payload))
        .maybe("tweaks", pick(row, &["tweaks"]).map(inline))
        .maybe("priority", text(row, &["priority"]))
        .maybe("overlap", text(row, &["overlap"]))
        .maybe("catch-up", duration("catch_up_ms"))
        .maybe("on drift", text(row, &["on_drift"]).map(|rule| drift(&rule)))
        .maybe("timeout", duration("timeout_ms"))
        .maybe("queue timeout", duration("queue_timeout_ms"))
        .maybe("total timeout", duration("total_timeout_ms"))
        .maybe("attempts", attempts(row));
}

fn drift(rule: &str) -> String {
    match rule {
        "hold" => "hold: nothing starts until a changed flow is synced".to_owned(),
        other => other.to_owned(),
    }
}

fn attempts(row: &Value) -> Option<String> {
    let most = text(row, &["retry.attempts_max"])?;
    let delay = |place: &str| pick(row, &[place]).and_then(Value::as_u64).map(time::duration);
    let between = delay("retry.initial_ms").zip(delay("retry.maximum_ms"));
    let between = between.map(|(first, last)| format!(", {first} to {last} apart"));
    Some(format!("at most {most}{}", between.unwrap_or_default()))
}

/// When the next one starts, where jitter moves it.
fn starts(row: &Value, look: &Look) -> Option<String> {
    let starts = pick(row, &["next_starts_at"]).filter(|starts| Some(*starts) != next_due(row))?;
    Some(format!("{}, moved by jitter", look.when_exact(Some(starts))))
}

fn waiting(row: &Value) -> Option<String> {
    let count = pick(row, &["waiting"]).and_then(Value::as_u64).filter(|count| *count > 0)?;
    Some(match count {
        1 => "1 start, for the end of what is open".to_owned(),
        count => format!("{count} starts, for the end of what is open"),
    })
}

fn failures(row: &Value) -> Option<String> {
    let most = text(row, &["pause_after"]);
    let count = pick(row, &["failures"]).and_then(Value::as_u64).unwrap_or(0);
    match most {
        Some(most) => Some(format!("{count} in a row, pauses at {most}")),
        None if count > 0 => Some(format!("{count} in a row")),
        None => None,
    }
}

fn runs_left(row: &Value) -> Option<String> {
    let most = text(row, &["runs_max"])?;
    Some(format!("{} of {most}", text_or_dash(row, &["runs_left"])))
}

#[cfg(test)]
mod tests;
