//! What a change of a schedule changes.

use serde_json::Value;

use super::{flow, next, timetable};
use crate::output::look::Look;
use crate::output::text::{pad, wrap};
use crate::output::time;
use crate::views::{entries, headline, inline, payload};

/// Where the next instants before and after stand, and what is said above them.
const INSTANTS: [(&str, &str); 2] =
    [("next.before", "Next runs as it was"), ("next.after", "Next runs as it is then")];

/// Fields that say where a schedule stands, and not what it is to do.
const STATE: [&str; 9] = [
    "updated_at",
    "revision",
    "next",
    "next_due_at",
    "next_starts_at",
    "recurrence",
    "summary",
    "timezone",
    "runs_left",
];

/// The names of the fields that differ between two rows of the same schedule.
pub(crate) fn changes<'a>(before: &'a Value, after: &'a Value) -> Vec<&'a str> {
    let names = |row: &'a Value| row.as_object().into_iter().flat_map(|row| row.keys());
    // What a row never says is no part of the schedule.
    let mut names: Vec<&str> = names(before)
        .filter(|name| after.get(name.as_str()).is_some())
        .map(String::as_str)
        .filter(|name| !STATE.contains(name) && before.get(*name) != after.get(*name))
        .collect();
    names.sort_unstable();
    names
}

/// What was, what is, and the next instants of both.
pub(crate) fn changed(before: &Value, after: &Value, look: &Look) -> String {
    let mut page = String::new();
    for name in changes(before, after) {
        page += &format!("{}\n", label(name));
        page += &indented("was", &value(name, before, look), look);
        page += &indented("is", &value(name, after, look), look);
    }
    if page.is_empty() {
        page.push_str("nothing changes\n");
    }
    page + &instants(before, after, after, look)
}

/// What is, what was asked for, and the next instants of both: for a change that is not made.
pub(crate) fn wished(before: &Value, body: &Value, answer: &Value, look: &Look) -> String {
    let mut page = String::new();
    let mut told = "";
    let mut wishes: Vec<(&String, &Value)> = body.as_object().into_iter().flatten().collect();
    wishes.sort_by_key(|(name, _)| field_of(name));
    for (name, wish) in wishes {
        let field = field_of(name);
        // Several parts of one field are told below it.
        if field != told {
            page += &format!("{}\n", label(field));
            page += &indented("is", &value(field, before, look), look);
        }
        told = field;
        let wish = match wish {
            Value::Null => "none".to_owned(),
            Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join("\n"),
            other => inline(other),
        };
        let wish = match name.as_str() {
            "specs" | "cron" | "every" | "at" => wish,
            "jitter_ms" if wish == "0" => "no jitter".to_owned(),
            name if field_of(name) == "timetable" || field == "retry" => {
                format!("{} {wish}", name.replace('_', " "))
            }
            _ => wish,
        };
        page += &indented("new", &wish, look);
    }
    page + &instants(before, before, answer, look)
}

/// A part of what was asked for: an expression as it was typed, else the value.
fn part(wish: &Value) -> String {
    let fields = wish.as_object().into_iter().flatten();
    match fields.map(|(_, value)| inline(value)).collect::<Vec<_>>() {
        values if values.is_empty() => inline(wish),
        values => values.join(", "),
    }
}

/// The field of a row that a field of a request changes.
fn field_of(name: &str) -> &str {
    match name {
        "cron" | "every" | "at" | "specs" | "timezone" | "dst" | "exclude" | "jitter"
        | "jitter_ms" | "start_at" | "end_at" => "timetable",
        "max_retries" | "retry" => "retry",
        "catch_up" => "catch_up_ms",
        "timeout" => "timeout_ms",
        "queue_timeout" => "queue_timeout_ms",
        "total_timeout" => "total_timeout_ms",
        name => name,
    }
}

/// The next instants before and after a change.
fn instants(before: &Value, after: &Value, answer: &Value, look: &Look) -> String {
    let lines = |place: &str, row: &Value| {
        let lines = next::instants(entries(answer, &[place]), text_zone(row).as_deref(), look);
        if lines.is_empty() { "nothing comes due\n".to_owned() } else { lines }
    };
    let [(place_before, was), (place_after, is)] = INSTANTS;
    let (lines_before, lines_after) = (lines(place_before, before), lines(place_after, after));
    // Most changes are not about when; then there is one table to read, and not two to compare.
    if lines_before == lines_after {
        return headline(look, "Next runs, before and after") + &lines_after;
    }
    headline(look, was) + &lines_before + &headline(look, is) + &lines_after
}

fn text_zone(row: &Value) -> Option<String> {
    let zone = crate::commands::instant::zone_of(row);
    (zone != chrono_tz::Tz::UTC).then(|| zone.name().to_owned())
}

/// A field's name as its option calls it.
fn label(name: &str) -> String {
    match name {
        "timetable" => "when".to_owned(),
        "flow_name" => "flow".to_owned(),
        "runs_max" => "max runs".to_owned(),
        name => name.trim_end_matches("_ms").replace('_', " "),
    }
}

/// A value below its field's name, over as many lines as it needs.
fn indented(word: &str, value: &str, look: &Look) -> String {
    const LABEL: usize = 7;
    let room = look.width.saturating_sub(LABEL).max(10);
    let mut text = String::new();
    for (index, line) in wrap(value, room).iter().enumerate() {
        let label =
            if index == 0 { pad(&format!("  {word}"), LABEL, false) } else { " ".repeat(LABEL) };
        text += (label + line).trim_end();
        text.push('\n');
    }
    text
}

/// A field's value.
fn value(name: &str, row: &Value, look: &Look) -> String {
    let Some(value) = row.get(name).filter(|value| !value.is_null()) else {
        return "none".to_owned();
    };
    match (name, value.as_u64()) {
        ("timetable", _) => timetable::all(row, look).join("\n"),
        ("flow_name", _) => flow(row),
        ("input", _) => payload(value),
        ("retry", _) => super::attempts(row).unwrap_or_default(),
        (name, Some(ms)) if name.ends_with("_ms") => time::duration(ms),
        _ => inline(value),
    }
}
