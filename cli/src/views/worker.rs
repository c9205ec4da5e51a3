//! Workers as tables.

use serde_json::Value;

use super::{ids, pick, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Table};
use crate::output::text::short_id;

/// A list of workers.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("HOST", 10),
        Column::number("PID", 5),
        Column::new("STATUS", 7),
        Column::number("RUNNING", 7),
        Column::number("SLOTS", 5),
        Column::new("SINCE", 8),
        Column::new("ID", 8),
    ]);
    for row in rows {
        table.row(vec![
            text_or_dash(row, &["hostname"]).into(),
            text_or_dash(row, &["pid"]).into(),
            Cell::status(&text_or_dash(row, &["status"])),
            text_or_dash(row, &["current_tasks"]).into(),
            text_or_dash(row, &["slots"]).into(),
            look.when(pick(row, &["started_at"])).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}
