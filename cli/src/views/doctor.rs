//! What a look at everything found.

use serde_json::Value;

use super::{text, text_or_dash};
use crate::client::rows;
use crate::output::look::{Look, Paint};
use crate::output::text::{pad, wrap};

/// Columns of a verdict, and of the name of a check, each with the gap behind it.
const VERDICT: usize = 6;
const CHECK: usize = 16;

/// A line for each check, and below it what to do.
pub(crate) fn list(found: &Value, look: &Look) -> String {
    let room = look.width.saturating_sub(VERDICT + CHECK).max(20);
    let mut page = String::new();
    for row in rows(found) {
        let status = text_or_dash(row, &["status"]);
        let paint = match status.as_str() {
            "ok" => Paint::Good,
            "warn" => Paint::Watch,
            _ => Paint::Bad,
        };
        let status = look.paint(paint, &status);
        let gap = " ".repeat(VERDICT.saturating_sub(text_or_dash(row, &["status"]).len()));
        let next = text(row, &["next"]).map(|next| format!("next: {next}"));
        let told = wrap(&text_or_dash(row, &["what"]), room);
        let lines = told.into_iter().chain(next.iter().flat_map(|next| wrap(next, room)));
        for (index, line) in lines.enumerate() {
            let head = match index {
                0 => format!("{status}{gap}{}", pad(&text_or_dash(row, &["check"]), CHECK, false)),
                _ => " ".repeat(VERDICT + CHECK),
            };
            page.push_str(&head);
            page.push_str(&line);
            page.push('\n');
        }
    }
    page
}
