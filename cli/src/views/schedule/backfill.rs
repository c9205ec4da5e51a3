//! Instants of the past that a backfill would take.

use serde_json::Value;

use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::time::{self, TimeStyle};
use crate::views::{entries, short_task_id, text, text_or_dash};

/// The instants, one a line, each with what became of it so far.
pub(crate) fn page(found: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("DUE", 20),
        Column::new("WHEN", 8),
        Column::new("SO FAR", 9),
        Column::new("TASK", 13),
    ]);
    for item in entries(found, &["items"]) {
        let at = text_or_dash(item, &["due_at"]);
        let task = text(item, &["task_id"]).map_or_else(|| "-".into(), |id| short_task_id(&id));
        table.row(vec![
            time::show(&at, TimeStyle::Iso, look.now).into(),
            time::show(&at, TimeStyle::Relative, look.now).into(),
            Cell::status(&text_or_dash(item, &["state"])),
            task.into(),
        ]);
    }
    table.render(look)
}

/// How many there are.
pub(crate) fn line(found: &Value) -> String {
    let count = found.get("count").and_then(Value::as_u64).unwrap_or(0);
    let shown = entries(found, &["items"]).len() as u64;
    match count {
        0 => "no instant fits; nothing was started. Taken are those that lack a task, with --only \
              failed also those that failed, with --only all also those that completed"
            .into(),
        count if shown < count => {
            format!("the first {shown} of {count} instants; dry run: nothing was started")
        }
        count => format!("{count} instants; dry run: nothing was started"),
    }
}

/// The backfills under way.
pub(super) fn add_to(details: &mut Details, row: &Value) {
    let lines: Vec<String> = entries(row, &["backfills"])
        .iter()
        .map(|backfill| {
            let number = |name: &str| text_or_dash(backfill, &[name]);
            format!("number {}: {} of {} left", number("number"), number("left"), number("count"))
        })
        .collect();
    details.maybe("backfills", Some(lines.join("\n")));
}
