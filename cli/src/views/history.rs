//! The events of a stream, told in order: revision, time, type, who; below it why and what.

use serde_json::{Map, Value};

use super::{inline, pick, text, text_or_dash};
use crate::client::rows;
use crate::output::look::{Look, Paint};
use crate::output::text::{cut, lone_id, pad, width};
use crate::output::time;

/// Fields that say what the line above says, or that are shown in another way.
const REPEATED: [&str; 2] = ["at", "spec"];

/// Columns that the lines below an event are moved in by.
const INDENT: usize = 6;

/// Every event of a stream.
pub(crate) fn list(list: &Value, look: &Look) -> String {
    let rows = rows(list);
    let cells: Vec<[String; 4]> = rows.iter().map(|event| cells(event, look)).collect();
    let widest = |column: usize| cells.iter().map(|cell| width(&cell[column])).max().unwrap_or(0);
    let widths = [widest(0), widest(1), widest(2)];
    let mut page = String::new();
    for (event, [revision, when, kind, who]) in rows.iter().zip(&cells) {
        let paint = paint_of(kind);
        let line = [
            look.paint(Paint::Faint, &pad(revision, widths[0], true)),
            pad(when, widths[1], false),
            look.paint(paint, &pad(kind, widths[2], false)),
            who.clone(),
        ];
        page.push_str(line.join("  ").trim_end());
        page.push('\n');
        let room = look.width.saturating_sub(INDENT);
        for line in below(event, look) {
            page.push_str(&" ".repeat(INDENT));
            page.push_str(&look.paint(Paint::Faint, &cut(&line, room)));
            page.push('\n');
        }
    }
    page
}

fn cells(event: &Value, look: &Look) -> [String; 4] {
    let who = text_or_dash(event, &["actor", "who", "metadata.actor"]);
    // A worker's id is long and says little; its start is enough to tell two apart.
    let who = match who.split_once(':') {
        Some(("worker", id)) => format!("worker:{}", lone_id(id)),
        _ => who,
    };
    [
        format!("#{}", text_or_dash(event, &["revision"])),
        look.when(pick(event, &["recorded_at", "occurred_at", "at"])),
        text_or_dash(event, &["type", "event_type"]),
        cut(&crate::output::text::one_line(&who), 24),
    ]
}

fn below(event: &Value, look: &Look) -> Vec<String> {
    let why = text(event, &["reason", "metadata.reason"]).map(|reason| format!("why: {reason}"));
    let data = event.get("data").and_then(Value::as_object).map(|data| summary(data, look));
    let lines = why.into_iter().chain(data.filter(|line| !line.is_empty()));
    lines.map(|line| crate::output::text::one_line(&line)).collect()
}

/// The colour of an event of this type.
pub(super) fn paint_of(kind: &str) -> Paint {
    let end = kind.rsplit('.').next().unwrap_or(kind);
    match end {
        "completed" | "resumed" | "released" | "fired" | "backfilled" | "delivered" => Paint::Good,
        "failed" | "attempt_failed" | "delivery_failed" | "lost" => Paint::Bad,
        "skipped" | "buffered" | "trigger_dropped" | "paused" | "retry_scheduled"
        | "cancel_requested" => Paint::Watch,
        _ => Paint::Plain,
    }
}

/// An event's data in one line: what is small and says most, first things first.
fn summary(data: &Map<String, Value>, look: &Look) -> String {
    // What a schedule is to do stands one level down, and is what its creation is about. Of a
    // change, only what was changed says something.
    let changed = data.get("changed").and_then(Value::as_array);
    let is_told = |name: &str| changed.is_none_or(|changed| changed.iter().any(|it| it == name));
    let spec = data.get("spec").and_then(Value::as_object).into_iter().flatten();
    let spec = spec.filter(|(name, _)| is_told(name));
    let mut parts: Vec<(u8, String)> = data
        .iter()
        .filter(|(name, _)| !REPEATED.contains(&name.as_str()))
        .chain(spec)
        .filter_map(|(name, value)| part(name, value, look).map(|part| (rank(name), part)))
        .collect();
    parts.sort_by_key(|(rank, _)| *rank);
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    parts.join(", ")
}

fn rank(name: &str) -> u8 {
    match name {
        "name" | "attempt" | "attempts" | "due_at" | "first_due_at" | "count" | "number"
        | "changed" | "origin" => 0,
        "failure" | "reason" | "why" | "recurrence" | "timetable" | "input" | "url" | "due"
        | "from" | "to" | "body" | "error" => 1,
        "task_id" | "output" | "next_due_at" | "not_before" | "delay_ms" | "duration_ms" => 2,
        _ => 3,
    }
}

fn part(name: &str, value: &Value, look: &Look) -> Option<String> {
    let label = name.replace('_', " ");
    match value {
        Value::Null => None,
        // A message of an alert: its title says what it is about.
        Value::Object(_) if name == "body" && pick(value, &["data.title"]).is_some() => {
            text(value, &["data.title"]).map(|title| cut(&title, 60))
        }
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if name.ends_with("_at") || name == "not_before" => {
            Some(format!("{label} {}", time::show(text, moment(look), look.now)))
        }
        Value::String(text) if name.ends_with("_id") => {
            Some(format!("{} {}", label.trim_end_matches(" id"), lone_id(text)))
        }
        Value::String(text) => Some(format!("{label} {}", cut(text, 60))),
        Value::Number(number) if name.ends_with("_ms") => {
            let shown = number.as_u64().map_or_else(|| number.to_string(), time::duration);
            Some(format!("{} {shown}", label.trim_end_matches(" ms")))
        }
        Value::Number(_) | Value::Bool(_) => Some(format!("{label} {value}")),
        Value::Array(list) if list.is_empty() => None,
        Value::Array(names) if name == "changed" => {
            let names: Vec<String> = names.iter().map(inline).collect();
            Some(format!("changed {}", names.join(" and ").replace('_', " ")))
        }
        Value::Array(list) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            let told = texts.map(|texts| texts.join(", ")).filter(|told| width(told) <= 40);
            Some(told.map_or_else(
                || format!("{} {label}", list.len()),
                |told| format!("{label} {told}"),
            ))
        }
        Value::Object(fields) => schedules(name, value, look)
            .or_else(|| object(&label, fields))
            // An empty text has a label and nothing more.
            .filter(|told| told.trim_end() != label),
    }
}

/// The objects of a schedule's events, in words.
fn schedules(name: &str, value: &Value, look: &Look) -> Option<String> {
    match name {
        "timetable" => {
            let row = serde_json::json!({ "timetable": value });
            Some(super::schedule::when(&row))
        }
        "origin" => {
            let due = || pick(value, &["occurrence.due_at"])?.as_str();
            let due = due().map(|at| format!("due at {}", time::show(at, moment(look), look.now)));
            due.or_else(|| pick(value, &["trigger"]).map(|_| "started by hand".to_owned()))
        }
        "reason" => {
            let kind = text(value, &["kind"])?;
            let task = text(value, &["task_id"]).map(|id| lone_id(&id));
            let words = super::schedule::reason_words(&kind);
            Some(task.map_or(words.clone(), |task| format!("{words} (task {task})")))
        }
        _ => None,
    }
}

/// Instants in an event are facts, not appointments: they are shown as such even where the rest
/// is relative.
fn moment(look: &Look) -> time::TimeStyle {
    match look.time {
        time::TimeStyle::Relative => time::TimeStyle::Iso,
        other => other,
    }
}

fn object(label: &str, fields: &Map<String, Value>) -> Option<String> {
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null()).map(inline);
    if let (Some(class), Some(message)) = (field("class"), field("message")) {
        let component = field("component").map(|name| format!(" in {name}")).unwrap_or_default();
        return Some(format!("{class}{component}: {}", cut(&message, 120)));
    }
    if label == "recurrence" {
        let row = serde_json::json!({ "recurrence": fields });
        return Some(super::schedule::when(&row));
    }
    if let Some(kind) = field("kind") {
        return Some(format!("{label} {kind}"));
    }
    if let Some(blob) = field("blob") {
        let bytes = field("bytes").unwrap_or_default();
        return Some(format!("{label} {} ({bytes} bytes)", cut(&blob, 9)));
    }
    if let Some(inner) = fields.get("inline") {
        // A definition or a result is too much for a line; its text alone may say something.
        let inner = inner.get("text").unwrap_or(inner);
        let said = match inner {
            Value::Object(_) | Value::Array(_) => format!("({} bytes)", inner.to_string().len()),
            other => cut(&inline(other), 60),
        };
        return Some(format!("{label} {said}"));
    }
    let rest = fields.iter().filter(|(_, value)| !value.is_object() && !value.is_array());
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={}", inline(value))).collect();
    (!rest.is_empty()).then(|| format!("{label} {{{}}}", cut(&rest.join(" "), 60)))
}
