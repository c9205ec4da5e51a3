//! The settings as a table.

use serde_json::Value;

use super::{entries, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};

/// What counts, where it comes from, and the profiles.
pub(crate) fn list(listed: &Value, look: &Look) -> String {
    let mut table =
        Table::new(&[Column::new("SETTING", 8), Column::new("VALUE", 16), Column::new("FROM", 12)]);
    for row in rows(listed) {
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            text_or_dash(row, &["value"]).into(),
            Cell::faint(&text(row, &["from"]).unwrap_or_else(|| "not set".to_owned())),
        ]);
    }
    let profiles: Vec<&str> =
        entries(listed, &["profiles"]).iter().filter_map(Value::as_str).collect();
    let mut details = Details::default();
    details
        .add("profile", text_or_dash(listed, &["profile"]))
        .maybe("profiles", Some(profiles.join(", ")))
        .add("file", text_or_dash(listed, &["path"]));
    format!("{}\n{}", table.render(look), details.render(look))
}
