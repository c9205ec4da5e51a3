//! What became of the last due instants, each with its reason.

use serde_json::Value;

use crate::output::look::Look;
use crate::output::table::{Cell, Column, Table};
use crate::views::{entries, headline, pick, short_task_id, text, text_or_dash};

/// Outcomes that are shown on the page of a schedule.
const SHOWN_MAX: usize = 10;

/// What became of the due instants so far, in numbers. What never happened is left out, but for
/// the five that people look for.
pub(super) fn counts(row: &Value) -> String {
    const ALWAYS: [&str; 5] = ["fired", "skipped", "missed", "triggered", "failed"];
    let rest = ["buffered", "given_up", "drift", "backfilled"];
    let count = |name: &str| text(row, &[name]).unwrap_or_else(|| "0".to_owned());
    let shown = ALWAYS.iter().chain(&rest).map(|name| (*name, count(name)));
    let shown = shown.filter(|(name, count)| ALWAYS.contains(name) || count != "0");
    let words = |name| match name {
        "buffered" => "had to wait".to_owned(),
        "drift" => "held for drift".to_owned(),
        name => str::replace(name, "_", " "),
    };
    shown.map(|(name, count)| format!("{count} {}", words(name))).collect::<Vec<_>>().join(", ")
}

/// The last ones; nothing where there was none.
pub(super) fn table(row: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("DUE", 8),
        Column::new("OUTCOME", 7),
        Column::number("COUNT", 5),
        Column::new("WHY", 13),
    ]);
    for outcome in entries(row, &["outcomes"]).iter().take(SHOWN_MAX) {
        let kind = text_or_dash(outcome, &["outcome"]);
        table.row(vec![
            look.when(pick(outcome, &["due_at"])).into(),
            Cell::status(&kind.replace('_', " ")),
            text_or_dash(outcome, &["count"]).into(),
            why(&kind, outcome, look).into(),
        ]);
    }
    let lines = table.render(look);
    if lines.is_empty() { lines } else { headline(look, "Last") + &lines }
}

/// Why an instant came to its outcome, in words, and the task it is about.
fn why(kind: &str, outcome: &Value, look: &Look) -> String {
    let task = text(outcome, &["task_id"]).map(|id| format!("task {}", short_task_id(&id)));
    let reason = text(outcome, &["reason"]);
    // Answers of an older server say nothing more than the kind.
    let reason = reason.as_deref().unwrap_or(match kind {
        "skipped" => "overlap",
        "missed" => "catch_up_window",
        _ => "",
    });
    let newer = || look.when(pick(outcome, &["replaced_by"]));
    let words = match (reason, &task) {
        ("due" | "backfill", Some(task)) => task.clone(),
        ("overlap", Some(task)) if kind == "buffered" => format!("waits for the end of {task}"),
        ("overlap", _) if kind == "buffered" => "waits for the end of an earlier task".to_owned(),
        ("overlap", Some(task)) => format!("{task} was still open"),
        ("replaced", _) if pick(outcome, &["replaced_by"]).is_some() => {
            format!("the one due {} took its place", newer())
        }
        ("", Some(task)) => task.clone(),
        ("", None) => "-".to_owned(),
        (reason, _) => words(reason),
    };
    match text(outcome, &["note"]) {
        Some(note) => format!("{words}: {note}"),
        None => words,
    }
}

/// A reason that needs nothing but its name.
pub(crate) fn words(reason: &str) -> String {
    match reason {
        "overlap" => "an earlier task was still open",
        "waiting_already" => "an earlier start waited already",
        "replaced" => "a newer start took its place",
        "buffer_full" => "as many starts waited as may wait",
        "catch_up_window" => "came too late to start",
        "drift" => "the flow had changed at its source",
        "edited" => "the schedule was changed",
        "paused" => "the schedule was paused",
        "completed" => "the schedule was completed",
        "deleted" => "the schedule was deleted",
        other => return other.replace('_', " "),
    }
    .to_owned()
}
