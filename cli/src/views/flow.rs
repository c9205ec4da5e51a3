//! Flows as tables.

use serde_json::Value;

use super::{entries, headline, ids, pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::short_id;

/// A list of flows.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 16),
        Column::new("SOURCE", 8),
        Column::new("FOLDER", 6),
        Column::new("SYNCED", 8),
        Column::new("ID", 8),
    ]);
    for row in rows {
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            source(row).into(),
            text_or_dash(row, &["folder"]).into(),
            look.when(pick(row, &["updated_at", "created_at"])).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

fn source(row: &Value) -> String {
    let short = || text(row, &["source_id"]).map(|id| short_id(&id, &[], true));
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
    let components = entries(row, &["components"]);
    if components.is_empty() {
        return details.render(look);
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
    details.render(look) + &headline(look, "Components") + &table.render(look)
}
