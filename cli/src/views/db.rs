//! The files of a data directory, and what was done to them.

use serde_json::Value;

use super::{entries, pick, text, text_or_dash};
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::bytes;

/// A directory that was made.
pub(crate) fn init(made: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("directory", text_or_dash(made, &["dir"]))
        .add("event log", text_or_dash(made, &["log"]))
        .add(
            "API key",
            format!("{}, in {}", text_or_dash(made, &["key"]), text_or_dash(made, &["key_file"])),
        );
    details.render(look)
}

/// Everything about a directory.
pub(crate) fn status(facts: &Value, look: &Look) -> String {
    let mut details = Details::default();
    let server = match text(facts, &["server.url"]) {
        Some(url) => format!("{url}, process {}", text_or_dash(facts, &["server.pid"])),
        None => "not running".to_owned(),
    };
    details.add("directory", text_or_dash(facts, &["dir"])).add("server", server);
    if let Some(trouble) = text(facts, &["log_trouble"]) {
        details.status("event log", "failed").add("why", trouble);
    } else if pick(facts, &["log"]).is_some() {
        details
            .add("events", text_or_dash(facts, &["log.events"]))
            .add("streams", text_or_dash(facts, &["log.streams"]))
            .add("head", text_or_dash(facts, &["log.head"]))
            .add("first event", look.when(pick(facts, &["log.first_at"])))
            .add("last event", look.when(pick(facts, &["log.last_at"])))
            .add("log schema", text_or_dash(facts, &["log.schema_version"]));
    } else {
        details.add("event log", "none yet");
    }
    details
        .maybe("read models", text(facts, &["projections_trouble"]))
        .maybe("free", number(facts, "free_bytes").map(bytes))
        .add("program", text_or_dash(facts, &["version"]));
    let mut page = details.render(look);
    let stored = entries(facts, &["projections"]);
    if !stored.is_empty() {
        let mut table = Table::new(&[
            Column::new("READ MODEL", 10),
            Column::number("POSITION", 8),
            Column::new("STATE", 12),
        ]);
        for one in stored {
            let is_current = pick(one, &["is_current"]).and_then(Value::as_bool) == Some(true);
            let state = match (text(one, &["halted_at"]), is_current) {
                (Some(at), _) => format!("halted at {at}"),
                (None, true) => "ok".to_owned(),
                (None, false) => "of another version, built anew at the next start".to_owned(),
            };
            table.row(vec![
                text_or_dash(one, &["name"]).into(),
                text_or_dash(one, &["position"]).into(),
                Cell::status(&state),
            ]);
        }
        page = format!("{page}\n{}", table.render(look));
    }
    format!("{page}\n{}", files(entries(facts, &["files"]), look))
}

/// A backup that was made.
pub(crate) fn backup(done: &Value, look: &Look) -> String {
    summary(done, look)
}

/// A backup that was put in place.
pub(crate) fn restored(done: &Value, look: &Look) -> String {
    summary(done, look)
}

fn summary(done: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("directory", text_or_dash(done, &["dir"]))
        .add("made", look.when(pick(done, &["backup.made_at"])))
        .add("by version", text_or_dash(done, &["backup.version"]))
        .add("events", text_or_dash(done, &["backup.events"]))
        .add("head", text_or_dash(done, &["backup.head"]));
    format!("{}\n{}", details.render(look), files(entries(done, &["backup.files"]), look))
}

fn files(rows: &[Value], look: &Look) -> String {
    let has_modes = rows.iter().any(|row| text(row, &["mode"]).is_some());
    let last = if has_modes { Column::new("MODE", 4) } else { Column::new("SHA-256", 12) };
    let mut table = Table::new(&[Column::new("FILE", 12), Column::number("SIZE", 8), last]);
    for row in rows {
        let hash = text(row, &["sha256"]).map(|hash| hash.chars().take(12).collect::<String>());
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            number(row, "bytes").map_or_else(|| "-".to_owned(), bytes).into(),
            Cell::faint(&text(row, &["mode"]).or(hash).unwrap_or_default()),
        ]);
    }
    table.render(look)
}

fn number(row: &Value, name: &str) -> Option<u64> {
    row.get(name).and_then(Value::as_u64)
}
