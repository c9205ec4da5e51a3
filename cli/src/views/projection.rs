//! Projections as a table.

use serde_json::Value;

use super::{pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};

/// How far each is, and what stops it.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("NAME", 10),
        Column::new("STATE", 8),
        Column::number("POSITION", 8),
        Column::number("BEHIND", 6),
        Column::number("SKIPPED", 7),
    ]);
    let mut page = String::new();
    let mut halts = Details::default();
    for row in rows(list) {
        let halted = pick(row, &["halted"]).is_some();
        let behind = row.get("lag").and_then(Value::as_u64);
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            Cell::status(state(halted, behind)),
            text_or_dash(row, &["position"]).into(),
            behind.map_or_else(|| "-".to_owned(), |behind| behind.to_string()).into(),
            skipped(row).to_string().into(),
        ]);
        if halted {
            let name = text_or_dash(row, &["name"]);
            let at = text_or_dash(row, &["halted.position"]);
            let why = text(row, &["halted.reason"]).unwrap_or_default();
            halts.add("halted", format!("{name} at position {at}: {why}"));
        }
    }
    page.push_str(&table.render(look));
    let halts = halts.render(look);
    if !halts.is_empty() {
        page.push('\n');
        page.push_str(&halts);
    }
    page
}

fn state(halted: bool, behind: Option<u64>) -> &'static str {
    match (halted, behind) {
        (true, _) => "halted",
        (false, Some(behind)) if behind > 0 => "behind",
        (false, _) => "ok",
    }
}

fn skipped(row: &Value) -> u64 {
    let unknown = row.get("skipped_unknown").and_then(Value::as_u64).unwrap_or_default();
    let by_hand = row.get("skipped").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    unknown + by_hand
}
