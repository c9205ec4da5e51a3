//! Flows as tables. `flow/changes.rs`: versions, and what differs.

use serde_json::Value;

use super::{entries, headline, ids, pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{lone_id, short_id};

mod changes;

pub(crate) use changes::{all_synced, diff, synced, versions};

/// A list of flows.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 16),
        Column::new("SOURCE", 8),
        Column::new("FOLDER", 6),
        Column::new("STATE", 7),
        Column::new("CHANGED", 8),
        Column::new("ID", 8),
    ]);
    for row in rows {
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            source(row).into(),
            text_or_dash(row, &["folder"]).into(),
            Cell::status(state(row)),
            look.when(pick(row, &["updated_at", "created_at"])).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// How a flow stands to what its source has.
fn state(row: &Value) -> &'static str {
    let is = |name: &str| row.get(name).and_then(Value::as_bool) == Some(true);
    match (row.get("source_id").is_some_and(Value::is_null), is("drifted"), is("edited")) {
        _ if is("deleted") => "deleted",
        (true, _, _) => "local",
        (_, true, _) => "drifted",
        (_, _, true) => "edited",
        (false, false, false) => "synced",
    }
}

fn source(row: &Value) -> String {
    let short = || text(row, &["source_id"]).map(|id| lone_id(&id));
    text(row, &["source_name", "source.name", "source"])
        .or_else(short)
        .unwrap_or_else(|| "-".into())
}

/// One flow, with its components.
pub(crate) fn show(row: &Value, look: &Look) -> String {
    let mut details = Details::default();
    details
        .add("name", text_or_dash(row, &["name"]))
        .add("id", text_or_dash(row, &["id"]))
        .maybe("description", text(row, &["description"]))
        .add("source", source(row))
        .status("state", state(row))
        .maybe("version", text(row, &["version"]))
        .maybe("runs at once", text(row, &["runs_max"]))
        .maybe("remote id", text(row, &["remote_id"]))
        .maybe("folder", text(row, &["folder"]))
        .add("input", text_or_dash(row, &["input_component"]))
        .add("output", text_or_dash(row, &["output_component"]))
        .maybe("definition", text(row, &["definition_hash", "definition.hash"]));
    for (name, place) in [("synced", "updated_at"), ("first synced", "created_at")] {
        if let Some(at) = pick(row, &[place]) {
            details.add(name, look.when_exact(Some(at)));
        }
    }
    let page = details.render(look) + &drift(row, look);
    let components = entries(row, &["components"]);
    if components.is_empty() {
        return page;
    }
    let mut table = Table::new(&[
        Column::new("COMPONENT", 12),
        Column::new("NAME", 10),
        Column::new("PART", 6),
        Column::new("TWEAKABLE", 12),
    ]);
    for component in components {
        let is = |name: &str| component.get(name).and_then(Value::as_bool) == Some(true);
        let part = match (is("is_input"), is("is_output")) {
            (true, true) => "in, out",
            (true, false) => "input",
            (false, true) => "output",
            (false, false) => "-",
        };
        let fields: Vec<&str> =
            entries(component, &["tweakable"]).iter().filter_map(Value::as_str).collect();
        table.row(vec![
            text_or_dash(component, &["id"]).into(),
            text_or_dash(component, &["name", "kind"]).into(),
            part.into(),
            if fields.is_empty() { "-".into() } else { fields.join(", ").into() },
        ]);
    }
    page + &headline(look, "Components") + &table.render(look)
}

/// What the source has instead, where it has something else.
fn drift(row: &Value, look: &Look) -> String {
    let Some(kind) = text(row, &["drift.kind"]) else { return String::new() };
    let mut details = Details::default();
    details.add("found", look.when_exact(pick(row, &["drift.at"])));
    if kind == "missing" {
        details.add("at the source", "the flow is gone");
    }
    for line in entries(row, &["drift.summary"]).iter().filter_map(Value::as_str) {
        details.add("at the source", line);
    }
    headline(look, "Drift") + &details.render(look)
}

/// The fields of a flow's components that a tweak can set.
pub(crate) fn components(list: &Value, look: &Look) -> String {
    let mut page = String::new();
    for component in rows(list) {
        let name = text_or_dash(component, &["name"]);
        page += &headline(look, &format!("{} ({name})", text_or_dash(component, &["id"])));
        let fields = entries(component, &["fields"]);
        if fields.is_empty() {
            page += "nothing that a tweak can set\n";
            continue;
        }
        let mut table = Table::new(&[
            Column::new("FIELD", 12),
            Column::new("TYPE", 5),
            Column::new("VALUE", 12),
            Column::new("OPTIONS", 8),
        ]);
        for field in fields {
            let secret = field.get("secret").and_then(Value::as_bool) == Some(true);
            let options: Vec<&str> =
                entries(field, &["options"]).iter().filter_map(Value::as_str).collect();
            let value = field.get("value").map(super::inline).unwrap_or_default();
            table.row(vec![
                text_or_dash(field, &["name"]).into(),
                if secret { "secret".into() } else { text_or_dash(field, &["type"]).into() },
                value.into(),
                if options.is_empty() { "-".into() } else { options.join(", ").into() },
            ]);
        }
        page += &table.render(look);
    }
    page
}
