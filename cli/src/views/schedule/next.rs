//! Due instants to come.

use serde_json::Value;

use crate::client::rows;
use crate::output::look::Look;
use crate::output::table::{Cell, Column, Table};
use crate::output::time::{self, TimeStyle};
use crate::views::{entries, text};

/// What the marks of clock changes mean.
const MARKS: [(&str, &str); 2] = [
    ("gap", "the clock skips this time that day; it runs at the first instant after"),
    ("fold", "the clock shows this time twice that day"),
];

/// What a schedule would do: its timetable in a few words, the instants, and what to know.
pub(crate) fn preview(answer: &Value, look: &Look) -> String {
    let mut page = text(answer, &["summary"]).map(|words| words + "\n\n").unwrap_or_default();
    page += &next(answer, look);
    page
}

/// Due instants to come, one a line, in UTC and in the schedule's own zone, and what to know
/// about them.
pub(crate) fn next(answer: &Value, look: &Look) -> String {
    let mut page = instants(rows(answer), zone(answer).as_deref(), look);
    for (mark, meaning) in MARKS {
        if rows(answer).iter().any(|due| text(due, &["dst"]).as_deref() == Some(mark)) {
            page += &format!("{mark}: {meaning}\n");
        }
    }
    for note in entries(answer, &["notes"]).iter().filter_map(Value::as_str) {
        let lines = crate::output::text::wrap(&format!("note: {note}"), look.width);
        lines.iter().for_each(|line| page += &format!("{line}\n"));
    }
    page
}

/// The zone that instants are shown in besides UTC.
fn zone(answer: &Value) -> Option<String> {
    let specs = entries(answer, &["timetable.specs"]).iter();
    let named = specs.filter_map(|spec| text(spec, &["timezone"]));
    let one = text(answer, &["recurrence.timezone", "timezone"]);
    named.chain(one).find(|zone| zone != "UTC")
}

/// Instants as a table. A column that says nothing is left out.
pub(super) fn instants(items: &[Value], zone: Option<&str>, look: &Look) -> String {
    let has = |what: fn(&Value) -> bool| items.iter().any(what);
    let (jitter, dst) = (has(|due| moved(due).is_some()), has(|due| text(due, &["dst"]).is_some()));
    let mut columns = vec![Column::number("#", 1), Column::new("WHEN", 8), Column::new("UTC", 20)];
    columns.extend(zone.map(|_| Column::new("IN ITS ZONE", 10)));
    columns.extend(jitter.then(|| Column::new("STARTS", 8)));
    columns.extend(dst.then(|| Column::new("NOTE", 4)));
    let mut table = Table::new(&columns);
    for (index, due) in items.iter().enumerate() {
        let at = instant(due);
        let mut cells: Vec<Cell> = vec![
            (index + 1).to_string().into(),
            time::show(&at, TimeStyle::Relative, look.now).into(),
            time::show(&at, TimeStyle::Iso, look.now).into(),
        ];
        let local = zone.map(|zone| in_zone(&at, zone).unwrap_or_default());
        cells.extend(local.map(Cell::from));
        if jitter {
            let later = moved(due).map(|ms| format!("+{}", time::duration(ms)));
            cells.push(later.unwrap_or_else(|| "at once".to_owned()).into());
        }
        if dst {
            cells.push(text(due, &["dst"]).unwrap_or_default().into());
        }
        table.row(cells);
    }
    table.render(look)
}

/// The instant of an item, which may be it, or hold it.
pub(super) fn instant(due: &Value) -> String {
    due.as_str().map(str::to_owned).or_else(|| text(due, &["due_at"])).unwrap_or_default()
}

/// How many milliseconds jitter moves the start by; `None` where it does not.
fn moved(due: &Value) -> Option<u64> {
    let at = |text: String| chrono::DateTime::parse_from_rfc3339(&text).ok();
    let starts = at(text(due, &["starts_at"])?)?;
    let late = (starts - at(instant(due))?).num_milliseconds();
    u64::try_from(late).ok().filter(|late| *late > 0)
}

fn in_zone(at: &str, zone: &str) -> Option<String> {
    let zone: chrono_tz::Tz = zone.parse().ok()?;
    let at = chrono::DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&zone);
    Some(at.format("%a %m-%d %H:%M:%S %Z").to_string())
}
