//! Tasks as tables, and their attempts side by side.

use serde_json::Value;

use super::{
    entries, headline, ids, inline, payload, pick, schedule, short_task_id, text, text_or_dash,
    took,
};
use crate::client::rows;
use crate::output::look::{Look, Paint};
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{harmless, lone_id, one_line, pad, short_id, wrap};

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
        Column::new("STATUS", 14),
        Column::number("TRY", 3),
        Column::new("CREATED", 8),
        Column::new("TOOK", 6),
        Column::new("BY", 8),
    ]);
    for row in rows {
        table.row(vec![
            short_id(&text_or_dash(row, &["id"]), &among, false).into(),
            schedule::flow(row).into(),
            Cell::status(&stage(row)),
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
    let status = stage(row);
    format!(
        "{}  {}  {}  try {}  {}",
        short_id_of(row),
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

/// The status, and whether it waits for its release.
fn stage(row: &Value) -> String {
    let status = text_or_dash(row, &["status"]);
    if is_held(row) { format!("{status} (held)") } else { status }
}

fn is_held(row: &Value) -> bool {
    pick(row, &["held"]).and_then(Value::as_bool) == Some(true)
}

/// Who or what asked for it.
fn by(row: &Value) -> String {
    let short = |places: &[&str]| text(row, places).map(|id| lone_id(&id));
    let unnamed = || short(&["schedule_id"]).map(|id| format!("schedule {id}"));
    let schedule = text(row, &["schedule_name", "schedule.name"]).or_else(unnamed);
    match (schedule, text(row, &["backfill"])) {
        (Some(schedule), Some(number)) => return format!("backfill {number} of {schedule}"),
        (Some(schedule), None) => return schedule,
        (None, _) => {}
    }
    match short(&["retry_of"]) {
        Some(id) => format!("retry of {id}"),
        None => text(row, &["trigger.kind", "trigger"]).unwrap_or_else(|| "-".into()),
    }
}

/// The same in full.
fn asked_for_by(row: &Value, look: &Look) -> String {
    let name = text(row, &["schedule_name", "schedule.name"]);
    match (text(row, &["backfill"]), name) {
        (Some(number), Some(name)) => {
            let due = look.when(pick(row, &["due_at"]));
            format!("backfill {number} of schedule {name}, due {due}")
        }
        _ => by(row),
    }
}

/// Why a failed task is not tried again.
fn gave_up(row: &Value) -> Option<String> {
    let why = text(row, &["why"])?.replace('_', " ");
    let more = match why.as_str() {
        "not retryable" => ": another attempt would fail in the same way",
        "queue timeout" => ": no attempt started in time",
        "total timeout" => ": it is over, or would be before another attempt",
        _ => "",
    };
    Some(why + more)
}

/// The failure of a task that ended while it waited for an attempt: that of no attempt.
fn own_error(row: &Value) -> Option<&Value> {
    let error = pick(row, &["error"]).filter(|_| text_or_dash(row, &["status"]) == "failed")?;
    let same = |attempt: &&Value| {
        let said = |part: &str| pick(attempt, &["failure"])?.get(part);
        said("class") == error.get("class") && said("message") == error.get("message")
    };
    (!entries(row, &ATTEMPTS).iter().any(|attempt| same(&attempt))).then_some(error)
}

/// One task: what it is to do, what became of it, its attempts side by side, what its components
/// did.
pub(crate) fn show(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("id", text_or_dash(row, &["id"]))
        .add("flow", schedule::flow(row))
        .status("status", &stage(row))
        .maybe("start it", is_held(row).then(|| format!("automagik task run {}", short_id_of(row))))
        .maybe("waits for", text(row, &["waits_for"]))
        .add("asked for by", asked_for_by(row, look))
        .maybe("trace", text(row, &["trace_id"]))
        .maybe("tries again", text(row, &["retry_of"]).map(|id| short_task_id(&id)))
        .maybe("tried again as", retried_as(row))
        .maybe("input", pick(row, &["input"]).map(payload))
        .maybe("tweaks", pick(row, &["tweaks"]).map(inline))
        .maybe("priority", text(row, &["priority"]).filter(|priority| priority != "0"))
        .maybe("flow as", text(row, &["definition"]).map(|hash| start_of(&hash)));
    for (name, place) in
        [("queue timeout", "queue_timeout_ms"), ("total timeout", "total_timeout_ms")]
    {
        details.maybe(name, pick(row, &[place]).map(|_| took(row, &[place])));
    }
    for (name, places) in [
        ("due", &["due_at", "trigger.due_at"][..]),
        ("created", &["created_at"]),
        ("released", &["released_at"]),
        ("started", &["started_at"]),
        ("next attempt", &["next_attempt_at"]),
        ("ended", &["finished_at"]),
        ("deleted", &["deleted_at"]),
    ] {
        if let Some(at) = pick(row, places) {
            details.add(name, look.when_exact(Some(at)));
        }
    }
    details
        .maybe("took", pick(row, &["duration_ms"]).map(|_| took(row, &["duration_ms"])))
        .maybe("gave up", gave_up(row))
        .maybe("error", own_error(row).map(error_text))
        .maybe("remedy", own_error(row).and_then(|error| own_remedy(row, error)))
        .maybe("stopped by", text(row, &["cancelled_by"]))
        .maybe("why", text(row, &["cancel_reason"]))
        .maybe("at the source", text(row, &["remote_stop"]).map(|stop| stop.replace('_', " ")))
        .maybe("output", pick(row, &["output"]).map(payload));
    details.render(look) + &attempts(row, look) + &log(row, look)
}

/// What to do about a limit of time that ended it: that of one attempt has nothing to do with it.
fn own_remedy(row: &Value, error: &Value) -> Option<String> {
    match text(row, &["why"]).as_deref() {
        Some("queue_timeout") => Some(
            "give it longer to wait (--queue-timeout), or let more run at once in its source"
                .into(),
        ),
        Some("total_timeout") => Some("give it more time in all (--total-timeout)".into()),
        _ => remedy(error),
    }
}

fn short_id_of(row: &Value) -> String {
    short_task_id(&text_or_dash(row, &["id"]))
}

fn error_text(error: &Value) -> String {
    format!("{}: {}", text_or_dash(error, &["class"]), text_or_dash(error, &["message"]))
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
    ("remedy", |attempt, _| pick(attempt, &["failure"]).and_then(remedy).unwrap_or_default()),
];

/// An id of a thing whose ids begin alike only by chance.
fn short(attempt: &Value, name: &str) -> String {
    text(attempt, &[name]).map_or_else(|| "-".to_owned(), |id| lone_id(&id))
}

fn definition(attempt: &Value) -> String {
    start_of(&text_or_dash(attempt, &["definition_hash"]))
}

/// The start of a definition's hash: enough to see whether two attempts ran the same.
fn start_of(hash: &str) -> String {
    const DIGITS: usize = 12;
    hash.chars().take(DIGITS).collect()
}

fn status(attempt: &Value) -> String {
    text_or_dash(attempt, &["outcome", "status"])
}

/// What to do about a failure: the server's word, or ours for the class.
fn remedy(failure: &Value) -> Option<String> {
    let class = || {
        let class = pick(failure, &["class"])?.clone();
        let class: spark_events::domain::failure::FailureClass =
            serde_json::from_value(class).ok()?;
        Some(class.remedy().to_owned())
    };
    text(failure, &["remedy"]).or_else(class)
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
    let id = short_id_of(row);
    let status = text_or_dash(row, &["status"]);
    let took = match pick(row, &["duration_ms"]) {
        Some(_) => format!(" in {}", took(row, &["duration_ms"])),
        None => String::new(),
    };
    let attempts = match attempt_count(row).as_str() {
        "0" | "1" | "-" => String::new(),
        several => format!(" after {several} attempts"),
    };
    let why = own_error(row).and_then(|_| text(row, &["why"]));
    let why = why.map_or_else(String::new, |why| format!(": {}", why.replace('_', " ")));
    format!("task {id} {status}{took}{attempts}{why}")
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
