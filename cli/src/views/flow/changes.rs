//! Versions of flows, and what differs between two of them.

use serde_json::Value;

use super::show;
use crate::client::rows;
use crate::output::look::{Look, Paint};
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{cut, one_line};
use crate::views::{entries, headline, inline, pick, text, text_or_dash};

/// Digits of a hash that are shown: enough to name a version by.
const HASH_DIGITS: usize = 10;
/// Columns of a value in a line of changes.
const VALUE_COLUMNS: usize = 28;

/// The versions of a flow.
pub(crate) fn versions(list: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::number("VERSION", 3),
        Column::new("HOW", 7),
        Column::new("WHEN", 8),
        Column::new("WHO", 8),
        Column::new("NAME", 12),
        Column::new("HASH", HASH_DIGITS),
    ]);
    for row in rows(list) {
        let hash: String = text_or_dash(row, &["hash"]).chars().take(HASH_DIGITS).collect();
        table.row(vec![
            text_or_dash(row, &["number"]).into(),
            text_or_dash(row, &["how"]).into(),
            look.when(pick(row, &["at"])).into(),
            text_or_dash(row, &["by"]).into(),
            text_or_dash(row, &["name"]).into(),
            Cell::faint(&hash),
        ]);
    }
    table.render(look)
}

/// What differs, a line for each field.
pub(crate) fn diff(diff: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details.add("from", text_or_dash(diff, &["from"])).add("to", text_or_dash(diff, &["to"]));
    details.render(look) + &changes(diff, look)
}

/// A flow that was synced, with what changed about it.
pub(crate) fn synced(row: &Value, look: &Look) -> String {
    let Some(changes) = row.get("changes").filter(|changes| changes.is_object()) else {
        return show(row, look);
    };
    let lines = all_changes(changes, look);
    let lines = if lines.is_empty() { "nothing has changed\n".to_owned() } else { lines };
    headline(look, &text_or_dash(row, &["name", "id"])) + &lines
}

/// Flows that were synced, each with what changed about it.
pub(crate) fn all_synced(answer: &Value, look: &Look) -> String {
    let mut page = super::list(answer, look);
    for row in rows(answer) {
        let lines = row.get("changes").map(|changes| all_changes(changes, look));
        if let Some(lines) = lines.filter(|lines| !lines.is_empty()) {
            page += &headline(look, &text_or_dash(row, &["name", "id"]));
            page += &lines;
        }
    }
    page
}

fn all_changes(all: &Value, look: &Look) -> String {
    let mut lines = String::new();
    for name in ["name", "description", "folder"] {
        if let Some(change) = all.get(name).filter(|change| change.is_object()) {
            lines += &values(name, change, look);
        }
    }
    lines + &changes(all, look)
}

/// Components and connections.
fn changes(diff: &Value, look: &Look) -> String {
    let mut lines = String::new();
    for component in entries(diff, &["components"]) {
        let change = text_or_dash(component, &["change"]);
        let id = cut(&one_line(&text_or_dash(component, &["id"])), 60);
        lines += &look.paint(paint(&change), &format!("{} {id} {change}", sign(&change)));
        lines.push('\n');
        if change != "changed" {
            continue;
        }
        for field in entries(component, &["fields"]) {
            lines += &values(&text_or_dash(field, &["field"]), field, look);
        }
    }
    for connection in entries(diff, &["connections"]) {
        let change = text_or_dash(connection, &["change"]);
        let what = text(connection, &["connection"]).unwrap_or_default();
        let what = cut(&format!("{} {}", sign(&change), one_line(&what)), 80);
        lines += &look.paint(paint(&change), &what);
        lines.push('\n');
    }
    lines
}

fn values(name: &str, change: &Value, look: &Look) -> String {
    let value = |key: &str| {
        let value = change.get(key).filter(|value| !value.is_null());
        let shown = value.map_or_else(|| "(none)".to_owned(), inline);
        cut(&one_line(&shown), VALUE_COLUMNS)
    };
    let name = cut(name, 16);
    let (old, new) = (value("old"), value("new"));
    format!("    {name}: {} -> {}\n", look.paint(Paint::Bad, &old), look.paint(Paint::Good, &new))
}

fn sign(change: &str) -> char {
    match change {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    }
}

fn paint(change: &str) -> Paint {
    match change {
        "added" => Paint::Good,
        "removed" => Paint::Bad,
        _ => Paint::Plain,
    }
}
