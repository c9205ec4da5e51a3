//! Schedules as tables.

use serde_json::Value;

use super::{
    entries, headline, ids, inline, payload, pick, short_task_id, text, text_or_dash, took,
};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::short_id;
use crate::output::time;

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
    let short = || text(row, &["flow_id"]).map(|id| short_id(&id, &[], true));
    text(row, &["flow_name", "flow.name", "flow"]).or_else(short).unwrap_or_else(|| "-".into())
}

/// The next due instant.
pub(crate) fn next_due(row: &Value) -> Option<&Value> {
    pick(row, &["next_due_at"])
}

/// The recurrence as a person would say it.
pub(crate) fn when(row: &Value) -> String {
    let Some(rule) = pick(row, &["recurrence"]) else {
        return text_or_dash(row, &["summary"]);
    };
    match text(rule, &["kind"]).as_deref() {
        Some("cron") => {
            let zone = text(rule, &["timezone"]).filter(|zone| zone != "UTC");
            let expression = text_or_dash(rule, &["expression"]);
            zone.map_or(expression.clone(), |zone| format!("{expression} {zone}"))
        }
        Some("interval") => format!("every {}", took(rule, &["every_ms"])),
        Some("once") => "once".to_owned(),
        _ => inline(rule),
    }
}

/// One schedule.
pub(crate) fn show(row: &Value, coming: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .maybe("name", text(row, &["name"]))
        .add("id", text_or_dash(row, &["id"]))
        .add("flow", flow(row))
        .add("when", when(row))
        .status("status", &text_or_dash(row, &["status"]))
        .maybe("paused by", text(row, &["paused_by"]))
        .maybe("why", text(row, &["paused_reason"]))
        .add("next", look.when_exact(next_due(row)))
        .maybe("input", pick(row, &["input"]).map(payload))
        .maybe("tweaks", pick(row, &["tweaks"]).map(inline))
        .maybe("overlap", text(row, &["overlap"]))
        .maybe("catch-up", pick(row, &["catch_up_ms"]).and_then(Value::as_u64).map(time::duration))
        .maybe("timeout", pick(row, &["timeout_ms"]).and_then(Value::as_u64).map(time::duration))
        .maybe("attempts", text(row, &["retry.attempts_max"]).map(|n| format!("at most {n}")))
        .add("so far", counts(row));
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
    let mut page = details.render(look) + &outcomes(row, look);
    if !rows(coming).is_empty() {
        let paused = text(row, &["status"]).as_deref() == Some("paused");
        page += &headline(look, if paused { "Next, if it were resumed now" } else { "Next" });
        page += &next(coming, look);
    }
    page
}

/// What became of the due instants so far, in numbers.
fn counts(row: &Value) -> String {
    let count = |name: &str| text(row, &[name]).unwrap_or_else(|| "0".to_owned());
    let parts = ["fired", "skipped", "missed", "triggered", "failed"];
    parts.map(|name| format!("{} {name}", count(name))).join(", ")
}

/// What became of the last due instants; nothing where there was none.
fn outcomes(row: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("DUE", 8),
        Column::new("OUTCOME", 7),
        Column::number("COUNT", 5),
        Column::new("TASK", 13),
    ]);
    for outcome in entries(row, &["outcomes"]) {
        let task = text(outcome, &["task_id"]).map(|id| short_task_id(&id));
        let kind = text_or_dash(outcome, &["outcome"]);
        let what = match (kind.as_str(), task) {
            ("skipped", Some(task)) => format!("{task} was still open"),
            ("missed", _) => "came too late to start".to_owned(),
            (_, task) => task.unwrap_or_else(|| "-".to_owned()),
        };
        table.row(vec![
            look.when(pick(outcome, &["due_at"])).into(),
            Cell::status(&kind),
            text_or_dash(outcome, &["count"]).into(),
            what.into(),
        ]);
    }
    let lines = table.render(look);
    if lines.is_empty() { lines } else { headline(look, "Last") + &lines }
}

/// Due instants to come, one a line, in UTC and in the schedule's own zone.
pub(crate) fn next(answer: &Value, look: &Look) -> String {
    let zone = text(answer, &["recurrence.timezone"]).filter(|zone| zone != "UTC");
    let mut columns = vec![Column::number("#", 1), Column::new("WHEN", 8), Column::new("UTC", 20)];
    if zone.is_some() {
        columns.push(Column::new("IN ITS ZONE", 10));
    }
    columns.push(Column::new("NOTE", 4));
    let mut table = Table::new(&columns);
    for (index, due) in rows(answer).iter().enumerate() {
        let at = text(due, &["due_at"]).unwrap_or_default();
        let note = match text(due, &["dst"]).as_deref() {
            Some("gap") => "clock skips its time",
            Some("fold") => "clock shows it twice",
            _ => "",
        };
        let mut cells: Vec<Cell> = vec![
            (index + 1).to_string().into(),
            time::show(&at, time::TimeStyle::Relative, look.now).into(),
            time::show(&at, time::TimeStyle::Iso, look.now).into(),
        ];
        let local = zone.as_deref().map(|zone| in_zone(&at, zone).unwrap_or_default());
        cells.extend(local.map(Cell::from));
        cells.push(note.into());
        table.row(cells);
    }
    table.render(look)
}

fn in_zone(at: &str, zone: &str) -> Option<String> {
    let zone: chrono_tz::Tz = zone.parse().ok()?;
    let at = chrono::DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&zone);
    Some(at.format("%a %m-%d %H:%M:%S %Z").to_string())
}
