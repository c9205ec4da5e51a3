//! What became of one instant, and which event says so.

use chrono_tz::Tz;
use serde_json::Value;

use crate::output::look::Look;
use crate::output::table::Details;
use crate::views::{entries, pick, short_task_id, text, text_or_dash};

/// The answer: the sentence, then what it rests on.
pub(crate) fn page(answer: &Value, name: &str, zone: Tz, look: &Look) -> String {
    let summary = text(answer, &["summary"]).unwrap_or_else(|| verdict(answer));
    let mut page = String::new();
    for line in crate::output::text::wrap(&summary, look.width) {
        page += &line;
        page.push('\n');
    }
    page.push('\n');
    let mut details = Details::default();
    details
        .add("schedule", name)
        .add("instant", look.when_exact(pick(answer, &["at"])))
        .maybe("in its zone", pick(answer, &["at"]).and_then(|at| in_zone(at, zone)))
        .status("verdict", &verdict(answer))
        .maybe("task", text(answer, &["task_id", "why.task_id"]).map(|id| short_task_id(&id)))
        .maybe("event", witness(answer, "witness", look))
        .maybe("set by", witness(answer, "set_by", look))
        .maybe("due before", pick(answer, &["previous"]).map(|at| look.when_exact(Some(at))))
        .maybe("due next", pick(answer, &["next"]).map(|at| look.when_exact(Some(at))))
        .maybe("backfilled", backfilled(answer));
    page += &details.render(look);
    page
}

fn verdict(answer: &Value) -> String {
    text_or_dash(answer, &["verdict"]).replace('_', " ")
}

fn in_zone(at: &Value, zone: Tz) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(at.as_str()?).ok()?;
    let shown = at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %Z");
    (zone != Tz::UTC).then(|| format!("{shown} ({})", zone.name()))
}

/// An event: its name, its place in the log, when, who and why.
fn witness(answer: &Value, place: &str, look: &Look) -> Option<String> {
    let event = pick(answer, &[place])?;
    let mut line = format!(
        "{} at position {}, {}, by {}",
        text_or_dash(event, &["event"]),
        text_or_dash(event, &["position"]),
        look.when_exact(pick(event, &["recorded_at"])),
        text_or_dash(event, &["actor"]),
    );
    if let Some(reason) = text(event, &["reason"]) {
        line += &format!(": {reason}");
    }
    Some(line)
}

fn backfilled(answer: &Value) -> Option<String> {
    let tasks = entries(answer, &["backfilled"]).iter().filter_map(Value::as_str);
    let tasks: Vec<String> = tasks.map(|id| format!("task {}", short_task_id(id))).collect();
    (!tasks.is_empty()).then(|| tasks.join("\n"))
}
