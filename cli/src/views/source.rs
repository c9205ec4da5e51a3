//! Sources as tables.

use serde_json::Value;

use super::{entries, ids, pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{lone_id, short_id};

/// A list of sources.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 10),
        Column::new("URL", 16),
        Column::new("STATUS", 6),
        Column::new("SINCE", 6),
        Column::new("VERSION", 7),
        Column::number("RUNS", 4),
        Column::new("ID", 8),
    ]);
    for row in rows {
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            text_or_dash(row, &["url"]).into(),
            Cell::status(&status(row)),
            look.when(pick(row, &["status_since"])).into(),
            version(row).unwrap_or_else(|| "-".to_owned()).into(),
            text_or_dash(row, &["runs_max"]).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// One source.
pub(crate) fn show(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("name", text_or_dash(row, &["name"]))
        .add("id", text_or_dash(row, &["id"]))
        .add("url", text_or_dash(row, &["url"]))
        .maybe("kind", text(row, &["kind"]))
        .status("status", &status(row))
        .maybe("why", text(row, &["reason", "probe.message"]))
        .maybe("class", text(row, &["failure_class", "probe.class"]))
        .maybe("version", version(row));
    if is_http(row) {
        details
            .maybe("key sent as", key_header(row))
            .maybe("health path", text(row, &["http.health_path"]));
    } else {
        details
            .maybe("background jobs", capability(row, "background_jobs"))
            .maybe("traces", capability(row, "traces"))
            .maybe("streaming", capability(row, "stream"));
    }
    details
        .maybe("runs at once", text(row, &["runs_max"]))
        .maybe("workers with", labels(row, "worker_labels"))
        .maybe("flows", text(row, &["flows"]))
        .maybe("has a key", text(row, &["has_api_key"]));
    for (name, place) in
        [("status since", "status_since"), ("added", "created_at"), ("changed", "updated_at")]
    {
        if let Some(at) = pick(row, &[place]) {
            details.add(name, look.when_exact(Some(at)));
        }
    }
    details.render(look)
}

/// Labels as a text; `None` where there is none.
pub(super) fn labels(row: &Value, place: &str) -> Option<String> {
    let labels = row.get(place)?.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>();
    (!labels.is_empty()).then(|| labels.join(", "))
}

fn is_http(row: &Value) -> bool {
    text(row, &["kind"]).as_deref() == Some("http")
}

/// What LangFlow is there, or that it is none.
fn version(row: &Value) -> Option<String> {
    let version = text(row, &["version", "capabilities.version"]);
    version.or_else(|| is_http(row).then(|| "http".to_owned()))
}

fn key_header(row: &Value) -> Option<String> {
    match pick(row, &["http.auth"])? {
        Value::String(_) => Some("Authorization: Bearer".to_owned()),
        auth => text(auth, &["header"]),
    }
}

/// `up` or `down`, and in which way.
pub(crate) fn status(row: &Value) -> String {
    text_or_dash(row, &["status", "probe.status"])
}

fn capability(row: &Value, name: &str) -> Option<String> {
    text(row, &[&format!("capabilities.{name}"), &format!("probe.capabilities.{name}")])
}

/// The flows that a source has.
pub(crate) fn remote(list: &Value, look: &Look) -> String {
    let mut table = Table::new(&[
        Column::new("NAME", 16),
        Column::new("FOLDER", 6),
        Column::new("SYNCED AS", 9),
        Column::new("REMOTE ID", 8),
    ]);
    let rows = rows(list);
    let among = ids(rows);
    for row in rows {
        let drifted = row.get("drifted").and_then(Value::as_bool) == Some(true);
        let mark = if drifted { " drifted" } else { "" };
        let synced = text(row, &["synced_as"]).map(|id| format!("{}{mark}", lone_id(&id)));
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            text_or_dash(row, &["folder"]).into(),
            synced.unwrap_or_else(|| "-".to_owned()).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// What a sync of all flows did not manage, one line each.
pub(crate) fn not_synced(answer: &Value) -> Vec<String> {
    let line = |failure: &Value| {
        format!(
            "not synced: {}: {}",
            text_or_dash(failure, &["name", "remote_id"]),
            text_or_dash(failure, &["detail", "message"])
        )
    };
    entries(answer, &["failed"]).iter().map(line).collect()
}
