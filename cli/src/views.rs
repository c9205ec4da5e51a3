//! What rows of the API look like to a person. Pure: JSON in, text out. Reads the JSON leniently,
//! so that a field that is missing costs a dash and not the answer.

use serde_json::Value;

pub(crate) mod alert;
pub(crate) mod bulk;
pub(crate) mod config;
pub(crate) mod db;
pub(crate) mod doctor;
pub(crate) mod flow;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod projection;
pub(crate) mod schedule;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod worker;

use crate::output::{text as texts, time};

/// The first of several places that holds something. A place is a path with dots.
pub(crate) fn pick<'a>(row: &'a Value, places: &[&str]) -> Option<&'a Value> {
    let at = |place: &&str| {
        let found = place.split('.').try_fold(row, |value, name| value.get(name))?;
        (!found.is_null()).then_some(found)
    };
    places.iter().find_map(at)
}

/// The same as text; numbers and truth values are written out.
pub(crate) fn text(row: &Value, places: &[&str]) -> Option<String> {
    match pick(row, places)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if *truth { "yes" } else { "no" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The same, with a dash for nothing.
pub(crate) fn text_or_dash(row: &Value, places: &[&str]) -> String {
    text(row, places).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

/// A number of milliseconds as people read it; a dash for nothing.
pub(crate) fn took(row: &Value, places: &[&str]) -> String {
    pick(row, places).and_then(Value::as_u64).map_or_else(|| "-".to_owned(), time::duration)
}

/// The entries of a list.
pub(crate) fn entries<'a>(row: &'a Value, places: &[&str]) -> &'a [Value] {
    let found = places.iter().find_map(|place| pick(row, &[place])?.as_array());
    found.map_or(&[], Vec::as_slice)
}

/// All ids of the rows of a list.
fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row.get("id").and_then(Value::as_str)).collect()
}

/// A task's id as it is shown where no other task is in sight.
pub(crate) fn short_task_id(id: &str) -> String {
    texts::lone_id(id)
}

/// A value in one line: text as it is, all else as JSON.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => texts::one_line(text),
        other => other.to_string(),
    }
}

/// A large value as it stands in the API: itself when small, else where it is stored.
pub(crate) fn payload(value: &Value) -> String {
    if let (Some(_), Some(bytes)) = (value.get("blob"), value.get("bytes")) {
        return format!("({bytes} bytes, stored apart)");
    }
    let inner = pick(value, &["inline.text", "inline", "text"]).unwrap_or(value);
    match inner {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

/// A headline above a part of a page.
pub(crate) fn headline(look: &crate::output::look::Look, title: &str) -> String {
    format!("\n{}\n", look.paint(crate::output::look::Paint::Title, title))
}

#[cfg(test)]
mod tests;
