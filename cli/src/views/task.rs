//! Tasks as tables, and their attempts side by side.

use serde_json::Value;

use super::{
    entries, headline, ids, inline, payload, pick, schedule, short_task_id, text, text_or_dash,
    took,
};
use crate::client::rows;
use crate::output::look::{Look, Paint};
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{harmless, one_line, pad, short_id, wrap};

/// The narrowest column of an attempt; with more attempts than fit, the rest goes below.
const ATTEMPT_WIDTH_MIN: usize = 20;

/// Where the rows of attempts may stand.
const ATTEMPTS: [&str; 1] = ["attempt_rows"];

/// A list of tasks.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("ID", 13),
        Column::new("FLOW", 12),
        Column::new("STATUS", 9),
        Column::number("TRY", 3),
        Column::new("CREATED", 8),
        Column::new("TOOK", 6),
        Column::new("BY", 8),
    ]);
    for row in rows {
        table.row(vec![
            short_id(&text_or_dash(row, &["id"]), &among, false).into(),
            schedule::flow(row).into(),
            Cell::status(&text_or_dash(row, &["status"])),
            attempt_count(row).into(),
            look.when(pick(row, &["created_at"])).into(),
            took(row, &["duration_ms", "took_ms"]).into(),
            Cell::faint(&by(row)),
        ]);
    }
    table.render(look)
}

/// One line about a task, for a list that is followed without redrawing.
pub(crate) fn line(row: &Value, look: &Look) -> String {
    let status = text_or_dash(row, &["status"]);
    format!(
        "{}  {}  {}  try {}  {}",
        short_task_id(&text_or_dash(row, &["id"])),
        look.paint(Paint::of_status(&status), &pad(&status, 9, false)),
        one_line(&schedule::flow(row)),
        attempt_count(row),
        look.when(pick(row, &["updated_at", "created_at"])),
    )
}

fn attempt_count(row: &Value) -> String {
    let counted = || match entries(row, &ATTEMPTS) {
        [] => "-".to_owned(),
        listed => listed.len().to_string(),
    };
    text(row, &["attempts"]).unwrap_or_else(counted)
}

/// Who or what asked for it.
fn by(row: &Value) -> String {
    let named = text(row, &["schedule_name", "schedule.name"]);
    let short = |places: &[&str], all| text(row, places).map(|id| short_id(&id, &[], all));
    if let Some(name) = named {
        return name;
    }
    if let Some(id) = short(&["schedule_id"], true) {
        return format!("schedule {id}");
    }
    match short(&["retry_of"], false) {
        Some(id) => format!("retry of {id}"),
        None => text(row, &["trigger.kind", "trigger"]).unwrap_or_else(|| "-".into()),
    }
}

/// One task: what it is to do, what became of it, its attempts side by side, what its components
/// did.
pub(crate) fn show(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("id", text_or_dash(row, &["id"]))
        .add("flow", schedule::flow(row))
        .status("status", &text_or_dash(row, &["status"]))
        .add("asked for by", by(row))
        .maybe("tries again", text(row, &["retry_of"]).map(|id| short_task_id(&id)))
        .maybe("tried again as", retried_as(row))
        .maybe("input", pick(row, &["input"]).map(payload))
        .maybe("tweaks", pick(row, &["tweaks"]).map(inline));
    for (name, places) in [
        ("due", &["due_at", "trigger.due_at"][..]),
        ("created", &["created_at"]),
        ("started", &["started_at"]),
        ("next attempt", &["next_attempt_at"]),
        ("ended", &["finished_at"]),
    ] {
        if let Some(at) = pick(row, places) {
            details.add(name, look.when_exact(Some(at)));
        }
    }
    details
        .maybe("took", pick(row, &["duration_ms"]).map(|_| took(row, &["duration_ms"])))
        .maybe("stopped by", text(row, &["cancelled_by"]))
        .maybe("why", text(row, &["cancel_reason"]))
        .maybe("at the source", text(row, &["remote_stop"]).map(|stop| stop.replace('_', " ")))
        .maybe("output", pick(row, &["output"]).map(payload));
    details.render(look) + &attempts(row, look) + &log(row, look)
}

/// The newer tasks that try it again.
fn retried_as(row: &Value) -> Option<String> {
    let ids = entries(row, &["retried_as"]).iter().filter_map(Value::as_str).map(short_task_id);
    let ids: Vec<String> = ids.collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// The attempts side by side; nothing where there is none.
pub(crate) fn attempts(row: &Value, look: &Look) -> String {
    let attempts = entries(row, &ATTEMPTS);
    if attempts.is_empty() {
        return String::new();
    }
    const LABEL: usize = 9;
    let beside =
        ((look.width.saturating_sub(LABEL)) / (ATTEMPT_WIDTH_MIN + 2)).clamp(1, attempts.len());
    let column = (look.width.saturating_sub(LABEL) / beside).saturating_sub(2).max(10);
    let mut page = headline(look, "Attempts");
    for (index, group) in attempts.chunks(beside).enumerate() {
        if index > 0 {
            page.push('\n');
        }
        for (label, cell) in ATTEMPT_ROWS {
            let cells: Vec<String> = group.iter().map(|attempt| cell(attempt, look)).collect();
            if cells.iter().all(|cell| cell.is_empty() || cell == "-") {
                continue;
            }
            let wrapped: Vec<Vec<String>> = cells.iter().map(|cell| wrap(cell, column)).collect();
            let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
            for at in 0..height {
                let label = pad(if at == 0 { label } else { "" }, LABEL, false);
                let mut line = look.paint(Paint::Faint, &label);
                for cell in &wrapped {
                    let part = cell.get(at).map_or("", String::as_str);
                    let paint = if label.trim() == "status" {
                        Paint::of_status(part)
                    } else {
                        Paint::Plain
                    };
                    line.push_str("  ");
                    line.push_str(&look.paint(paint, part));
                    line.push_str(&pad(
                        "",
                        column.saturating_sub(crate::output::text::width(part)),
                        false,
                    ));
                }
                page.push_str(line.trim_end());
                page.push('\n');
            }
        }
    }
    page
}

type AttemptCell = fn(&Value, &Look) -> String;

/// What is compared between attempts, in this order.
const ATTEMPT_ROWS: [(&str, AttemptCell); 13] = [
    ("attempt", |attempt, _| text_or_dash(attempt, &["attempt"])),
    ("status", |attempt, _| status(attempt)),
    ("started", |attempt, look| look.when(pick(attempt, &["started_at"]))),
    ("took", |attempt, _| took(attempt, &["duration_ms"])),
    ("mode", |attempt, _| text_or_dash(attempt, &["mode"])),
    ("worker", |attempt, _| short(attempt, "worker_id")),
    ("job", |attempt, _| text_or_dash(attempt, &["job_id"])),
    ("flow as", |attempt, _| definition(attempt)),
    ("class", |attempt, _| text_or_dash(attempt, &["failure.class"])),
    ("http", |attempt, _| text_or_dash(attempt, &["failure.status"])),
    ("where", |attempt, _| text_or_dash(attempt, &["failure.component"])),
    ("message", |attempt, _| text_or_dash(attempt, &["failure.message"])),
    ("remedy", |attempt, _| remedy(attempt)),
];

/// An id of a thing whose ids begin alike only by chance.
fn short(attempt: &Value, name: &str) -> String {
    text(attempt, &[name]).map_or_else(|| "-".to_owned(), |id| short_id(&id, &[], true))
}

/// The start of the definition's hash: enough to see whether two attempts ran the same.
fn definition(attempt: &Value) -> String {
    const DIGITS: usize = 12;
    text_or_dash(attempt, &["definition_hash"]).chars().take(DIGITS).collect()
}

fn status(attempt: &Value) -> String {
    text_or_dash(attempt, &["outcome", "status"])
}

/// What to do about a failure: the server's word, or ours for the class.
fn remedy(attempt: &Value) -> String {
    let class = || {
        let class = pick(attempt, &["failure.class"])?.clone();
        let class: spark_events::domain::failure::FailureClass =
            serde_json::from_value(class).ok()?;
        Some(class.remedy().to_owned())
    };
    text(attempt, &["failure.remedy"]).or_else(class).unwrap_or_default()
}

/// What the components did, attempt after attempt; nothing where that is not known.
pub(crate) fn log(row: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::number("TRY", 3),
        Column::new("COMPONENT", 14),
        Column::new("STATUS", 6),
        Column::new("TOOK", 6),
        Column::new("ERROR", 12),
    ]);
    for entry in entries(row, &["log", "items"]) {
        table.row(vec![
            text_or_dash(entry, &["attempt"]).into(),
            text_or_dash(entry, &["component"]).into(),
            Cell::status(&text_or_dash(entry, &["status"])),
            took(entry, &["latency_ms"]).into(),
            text(entry, &["error"]).unwrap_or_default().into(),
        ]);
    }
    let lines = table.render(look);
    if lines.is_empty() { lines } else { headline(look, "Components") + &lines }
}

/// One component's part in one line.
pub(crate) fn part(entry: &Value) -> String {
    let error =
        text(entry, &["error"]).map_or_else(String::new, |error| format!("  {}", one_line(&error)));
    format!(
        "try {}  {}  {}  {}{error}",
        text_or_dash(entry, &["attempt"]),
        one_line(&text_or_dash(entry, &["component"])),
        text_or_dash(entry, &["status"]),
        took(entry, &["latency_ms"]),
    )
}

/// How a task ended, in one line.
pub(crate) fn end_line(row: &Value) -> String {
    let id = short_task_id(&text_or_dash(row, &["id"]));
    let status = text_or_dash(row, &["status"]);
    let took = match pick(row, &["duration_ms"]) {
        Some(_) => format!(" in {}", took(row, &["duration_ms"])),
        None => String::new(),
    };
    let attempts = match attempt_count(row).as_str() {
        "0" | "1" | "-" => String::new(),
        several => format!(" after {several} attempts"),
    };
    format!("task {id} {status}{took}{attempts}")
}

/// The output as it is, with a line break at its end. On a terminal without control characters.
pub(crate) fn output_text(row: &Value, terminal: bool) -> String {
    let Some(output) = pick(row, &["output"]) else {
        return String::new();
    };
    let text = payload(output);
    let mut text = if terminal { harmless(&text) } else { text };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
