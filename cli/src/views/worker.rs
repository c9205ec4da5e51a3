//! Workers as tables.

use serde_json::Value;

use super::{entries, headline, ids, pick, short_task_id, text, text_or_dash, took};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::short_id;

/// A list of workers.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    of_rows(rows(list), look)
}

fn of_rows(rows: &[Value], look: &Look) -> String {
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 8),
        Column::new("HOST", 6),
        Column::number("PID", 5),
        Column::new("STATUS", 8),
        Column::number("RUNS", 5),
        Column::number("DONE", 4),
        Column::number("FAILED", 6),
        Column::new("LABELS", 6),
        Column::new("SINCE", 8),
        Column::new("ID", 8),
    ]);
    for row in rows {
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            text_or_dash(row, &["hostname"]).into(),
            text_or_dash(row, &["pid"]).into(),
            Cell::status(&text_or_dash(row, &["status"])),
            runs(row).into(),
            text_or_dash(row, &["completed"]).into(),
            text_or_dash(row, &["failed"]).into(),
            labels(row).unwrap_or_else(|| "-".to_owned()).into(),
            look.when(pick(row, &["ended_at", "started_at"])).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// How many of its slots are in use.
fn runs(row: &Value) -> String {
    let (now, most) = (text_or_dash(row, &["current_tasks"]), text_or_dash(row, &["slots"]));
    format!("{now}/{most}")
}

fn labels(row: &Value) -> Option<String> {
    let labels: Vec<&str> = entries(row, &["labels"]).iter().filter_map(Value::as_str).collect();
    (!labels.is_empty()).then(|| labels.join(","))
}

/// One worker.
pub(crate) fn page(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("name", text_or_dash(row, &["name"]))
        .add("id", text_or_dash(row, &["id"]))
        .status("status", &text_or_dash(row, &["status"]))
        .maybe("why", text(row, &["reason"]))
        .add("host", text_or_dash(row, &["hostname"]))
        .add("process", text_or_dash(row, &["pid"]))
        .add("runs now", runs(row))
        .maybe("labels", labels(row))
        .maybe("built in", text(row, &["built_in"]))
        .maybe("attempts", text(row, &["attempts"]))
        .maybe("completed", text(row, &["completed"]))
        .maybe("failed", text(row, &["failed"]))
        .maybe("version", text(row, &["version"]))
        .maybe("protocol", text(row, &["protocol"]))
        .maybe("replaces", text(row, &["replaces"]));
    if pick(row, &["silent_ms"]).is_some() {
        details.add("silent for", took(row, &["silent_ms"]));
    }
    for (name, place) in
        [("came", "started_at"), ("last heard", "last_seen_at"), ("left", "ended_at")]
    {
        if let Some(at) = pick(row, &[place]) {
            details.add(name, look.when_exact(Some(at)));
        }
    }
    let mut page = details.render(look);
    let tasks = entries(row, &["tasks"]);
    if !tasks.is_empty() {
        page.push_str(&headline(look, "Tasks now"));
        for task in tasks {
            let id = task.as_str().map(str::to_owned).or_else(|| text(task, &["id"]));
            page.push_str(&format!("  {}\n", short_task_id(&id.unwrap_or_default())));
        }
    }
    page
}

/// The processes on this machine, and all workers that the server knows.
pub(crate) fn status(all: &Value, look: &Look) -> String {
    let mut text = String::new();
    let here = entries(all, &["here"]);
    if !here.is_empty() {
        let mut table = Table::new(&[
            Column::new("HERE", 8),
            Column::number("PID", 5),
            Column::new("SERVER", 16),
            Column::new("LOG", 16),
        ]);
        for one in here {
            table.row(vec![
                text_or_dash(one, &["name"]).into(),
                text_or_dash(one, &["pid"]).into(),
                server(one).into(),
                text_or_dash(one, &["log"]).into(),
            ]);
        }
        text.push_str(&table.render(look));
    }
    let workers = entries(all, &["workers"]);
    if !workers.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&of_rows(workers, look));
    }
    text
}

/// The server that a process works for, as far as it has reached one.
fn server(one: &Value) -> String {
    match pick(one, &["registered"]).and_then(Value::as_bool) {
        Some(true) => text_or_dash(one, &["server"]),
        _ => "(not reached yet)".to_owned(),
    }
}
