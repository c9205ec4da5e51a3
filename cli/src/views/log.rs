//! The events of the whole log: as a table, as lines, one by one; and what a check of it found.

use serde_json::Value;

use super::{entries, pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::{Look, Paint};
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{cut, lone_id, one_line, pad, width};
use crate::output::time;

/// The fewest columns in which it is said who did something.
const WHO_MIN: usize = 8;

/// A list of events.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::number("POSITION", 8),
        Column::new("WHEN", 9),
        Column::new("TYPE", 16),
        Column::new("STREAM", 16),
        Column::new("WHO", 8),
    ]);
    for event in rows(list) {
        table.row(vec![
            text_or_dash(event, &["position"]).into(),
            look.when(pick(event, &["recorded_at"])).into(),
            text_or_dash(event, &["type"]).into(),
            stream(event).into(),
            Cell::faint(&who(event)),
        ]);
    }
    table.render(look)
}

/// One event as a line of a row that goes on; its columns do not know those that come.
pub(crate) fn line(event: &Value, look: &Look) -> String {
    let kind = text_or_dash(event, &["type"]);
    let at = text(event, &["recorded_at"]).map(|at| match look.time {
        time::TimeStyle::Relative => time::clock(&at, look.now),
        other => time::show(&at, other, look.now),
    });
    let position = pad(&text_or_dash(event, &["position"]), 7, true);
    let at = at.unwrap_or_else(|| "-".to_owned());
    let (kind_cell, stream) = (pad(&kind, 22, false), pad(&stream(event), 22, false));
    let taken = [&position, &at, &kind_cell, &stream].map(|cell| width(cell) + 2);
    // Who did it is what a narrow terminal can spare.
    let room = look.width.saturating_sub(taken.iter().sum()).max(WHO_MIN);
    let line = [
        look.paint(Paint::Faint, &position),
        at,
        look.paint(super::history::paint_of(&kind), &kind_cell),
        stream,
        cut(&who(event), room),
    ];
    line.join("  ").trim_end().to_owned()
}

/// One event with everything it says.
pub(crate) fn show(event: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("position", text_or_dash(event, &["position"]))
        .add("type", text_or_dash(event, &["type"]))
        .add("stream", text_or_dash(event, &["stream"]))
        .add("revision", text_or_dash(event, &["revision"]))
        .add("recorded", text_or_dash(event, &["recorded_at"]))
        .add("who", text_or_dash(event, &["actor"]))
        .maybe("why", text(event, &["reason"]))
        .add("id", text_or_dash(event, &["id"]))
        .add("correlation", text_or_dash(event, &["correlation_id"]))
        .add("causation", text_or_dash(event, &["causation_id"]));
    let data = event.get("data").cloned().unwrap_or_default();
    let data = crate::output::text::harmless(&format!("{data:#}"));
    format!("{}{}{data}\n", details.render(look), super::headline(look, "data"))
}

/// What a check found.
pub(crate) fn verified(checked: &Value, look: &Look) -> String {
    let ok = checked.get("ok").and_then(Value::as_bool) == Some(true);
    let mut details = Details::default();
    details
        .status("status", if ok { "ok" } else { "failed" })
        .add("file", text_or_dash(checked, &["file"]))
        .add("events", text_or_dash(checked, &["events"]))
        .add("streams", text_or_dash(checked, &["streams"]))
        .add("head", text_or_dash(checked, &["head"]));
    if !ok {
        details.add("found", text_or_dash(checked, &["found"]));
    }
    let mut page = details.render(look);
    let mut table = Table::new(&[
        Column::number("POSITION", 8),
        Column::new("STREAM", 12),
        Column::new("WHAT IS WRONG", 30),
    ]);
    for finding in entries(checked, &["findings"]) {
        table.row(vec![
            text_or_dash(finding, &["position"]).into(),
            stream(finding).into(),
            text_or_dash(finding, &["what"]).into(),
        ]);
    }
    if !ok {
        page.push('\n');
        page.push_str(&table.render(look));
    }
    page
}

/// How many events there are of each type.
pub(crate) fn counted(counted: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("TYPE", 16),
        Column::number("EVENTS", 6),
        Column::number("BYTES", 6),
    ]);
    for row in rows(counted) {
        let bytes = row.get("bytes").and_then(Value::as_u64).unwrap_or_default();
        table.row(vec![
            text_or_dash(row, &["type"]).into(),
            text_or_dash(row, &["events"]).into(),
            crate::output::text::bytes(bytes).into(),
        ]);
    }
    let mut details = Details::default();
    details
        .add("events", text_or_dash(counted, &["events"]))
        .add("streams", text_or_dash(counted, &["streams"]))
        .add("head", text_or_dash(counted, &["head"]))
        .add("first", look.when(pick(counted, &["first_at"])))
        .add("last", look.when(pick(counted, &["last_at"])))
        .add("file", text_or_dash(counted, &["file"]));
    format!("{}\n{}", table.render(look), details.render(look))
}

/// A stream's name with its id cut short.
fn stream(event: &Value) -> String {
    let name = text_or_dash(event, &["stream"]);
    match name.split_once('-') {
        Some((category, id)) if id.len() == 36 => {
            format!("{category}-{}", lone_id(id))
        }
        _ => cut(&one_line(&name), 40),
    }
}

fn who(event: &Value) -> String {
    let who = text_or_dash(event, &["actor"]);
    match who.split_once(':') {
        Some(("worker", id)) => format!("worker:{}", lone_id(id)),
        _ => cut(&one_line(&who), 24),
    }
}
