//! Alerts and their deliveries as tables.

use serde_json::Value;

use super::{entries, ids, pick, text, text_or_dash, took};
use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Details, Table};
use crate::output::text::{one_line, short_id};

/// A list of alerts.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("NAME", 10),
        Column::new("STATUS", 8),
        Column::new("ABOUT", 12),
        Column::new("WAITING", 7),
        Column::new("DELIVERED", 9),
        Column::new("LAST", 8),
        Column::new("ID", 8),
    ]);
    for row in rows {
        table.row(vec![
            text_or_dash(row, &["name"]).into(),
            Cell::status(&text_or_dash(row, &["status"])),
            about(row).into(),
            text_or_dash(row, &["waiting"]).into(),
            text_or_dash(row, &["delivered"]).into(),
            look.when(pick(row, &["last_delivered_at"])).into(),
            Cell::faint(&short_id(&text_or_dash(row, &["id"]), &among, true)),
        ]);
    }
    table.render(look)
}

/// What an alert is about, in few words.
fn about(row: &Value) -> String {
    let kinds = match entries(row, &["kinds"]) {
        [one] => one.as_str().unwrap_or("-").to_owned(),
        many => format!("{} kinds", many.len()),
    };
    let only = ["schedule", "flow", "source"].iter().find_map(|thing| {
        let name = text(row, &[&format!("{thing}_name"), &format!("{thing}_id")])?;
        Some(format!("{thing} {name}"))
    });
    only.map_or_else(|| kinds.clone(), |only| format!("{only}, {kinds}"))
}

/// One alert, with its secret where it was just made.
pub(crate) fn show(row: &Value, look: &Look) -> String {
    let kinds: Vec<&str> = entries(row, &["kinds"]).iter().filter_map(Value::as_str).collect();
    let at = |place: &str| pick(row, &[place]).map(|at| look.when_exact(Some(at)));
    let before = at("previous_secret_until").map(|at| format!("signed with too; ends {at}"));
    let mut details = Details::default();
    details
        .add("name", text_or_dash(row, &["name"]))
        .add("id", text_or_dash(row, &["id"]))
        .status("status", &text_or_dash(row, &["status"]))
        .maybe("reason", text(row, &["reason"]))
        .maybe("secret", text(row, &["secret"]))
        .maybe("secret before", before)
        .add("url", text_or_dash(row, &["url"]))
        .add("about", kinds.join(", "))
        .maybe("flow", text(row, &["flow_name", "flow_id"]))
        .maybe("schedule", text(row, &["schedule_name", "schedule_id"]))
        .maybe("source", text(row, &["source_name", "source_id"]))
        .add("waiting", text_or_dash(row, &["waiting"]))
        .add("delivered", text_or_dash(row, &["delivered"]))
        .add("given up", text_or_dash(row, &["failed"]))
        .maybe("last taken", at("last_delivered_at"))
        .maybe("last failed", at("last_failed_at"))
        .maybe("error", text(row, &["last_error"]))
        .maybe("made", at("created_at"));
    details.render(look)
}

/// What was sent, newest first.
pub(crate) fn deliveries(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let among = ids(rows);
    let mut table = Table::new(&[
        Column::new("MESSAGE", 8),
        Column::new("RAISED", 8),
        Column::new("STATUS", 9),
        Column::new("TRIES", 5),
        Column::new("ANSWER", 6),
        Column::new("WHAT", 24),
    ]);
    for row in rows {
        let attempts = entries(row, &["attempts"]);
        let last = attempts.last().unwrap_or(&Value::Null);
        table.row(vec![
            short_id(&text_or_dash(row, &["id"]), &among, false).into(),
            look.when(pick(row, &["raised_at"])).into(),
            Cell::status(&text_or_dash(row, &["status"])),
            attempts.len().to_string().into(),
            text_or_dash(last, &["status"]).into(),
            one_line(&text_or_dash(row, &["title"])).into(),
        ]);
    }
    table.render(look)
}

/// What came of a message that was sent at once.
pub(crate) fn sent(answer: &Value, look: &Look) -> String {
    let delivered = answer["delivered"] == true;
    let mut details = Details::default();
    details
        .status("message", if delivered { "delivered" } else { "failed" })
        .add("id", text_or_dash(answer, &["message_id"]))
        .maybe("answer", text(answer, &["status"]))
        .add("took", took(answer, &["duration_ms"]))
        .maybe("said", text(answer, &["answer"]).map(|said| one_line(&said)))
        .maybe("error", text(answer, &["error"]))
        .maybe("what to do", text(answer, &["remedy"]));
    details.render(look)
}
