//! What came of a command for many tasks.

use serde_json::Value;

use super::{entries, short_task_id, text, text_or_dash};
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Table};

/// A row for each task.
pub(crate) fn page(answer: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("TASK", 13),
        Column::new("OUTCOME", 7),
        Column::new("NEW TASK", 13),
        Column::new("ERROR", 12),
    ]);
    for item in entries(answer, &["items"]) {
        let new = text(item, &["new_task_id"]);
        table.row(vec![
            short_task_id(&text_or_dash(item, &["task_id"])).into(),
            Cell::status(&text_or_dash(item, &["outcome"])),
            new.map_or_else(String::new, |id| short_task_id(&id)).into(),
            text(item, &["error.detail"]).unwrap_or_default().into(),
        ]);
    }
    table.render(look)
}
