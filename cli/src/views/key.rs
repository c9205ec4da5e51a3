//! API keys as tables.

use serde_json::Value;

use super::{ids, pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::short_id;

/// A list of keys.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 10),
        Column::new("ROLE", 8),
        Column::new("STATUS", 7),
        Column::new("ENDS IN", 7),
        Column::new("LAST USE", 8),
        Column::new("MADE BY", 10),
        Column::new("ID", 8),
    ]);
    for row in rows {
        let used = pick(row, &["last_used_at"]);
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            text_or_dash(row, &["role"]).into(),
            Cell::status(&text_or_dash(row, &["status"])),
            text_or_dash(row, &["hint"]).into(),
            used.map_or_else(|| "never".to_owned(), |used| look.when(Some(used))).into(),
            text_or_dash(row, &["created_by"]).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// One key, with its secret where it was just made.
pub(crate) fn show(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("name", text_or_dash(row, &["name"]))
        .add("id", text_or_dash(row, &["id"]))
        .add("role", text_or_dash(row, &["role"]))
        .status("status", &text_or_dash(row, &["status"]))
        .maybe("ends in", text(row, &["hint"]));
    let at = |place: &str| pick(row, &[place]).map(|at| look.when_exact(Some(at)));
    details
        .add("last use", at("last_used_at").unwrap_or_else(|| "never".to_owned()))
        .maybe("made", at("created_at"))
        .maybe("made by", text(row, &["created_by"]))
        .maybe("revoked", at("revoked_at"))
        .maybe("revoked by", text(row, &["revoked_by"]))
        .maybe("reason", text(row, &["reason"]));
    let mut page = details.render(look);
    // On a line of its own, whole, because it is there to be copied.
    if let Some(secret) = text(row, &["secret"]) {
        page += &format!("\nsecret, shown this once:\n{secret}\n");
    }
    page
}

/// The key that a command sends.
pub(crate) fn whoami(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("name", text_or_dash(row, &["name"]))
        .add("role", text_or_dash(row, &["role"]))
        .maybe("id", text(row, &["id"]));
    details.render(look)
}
