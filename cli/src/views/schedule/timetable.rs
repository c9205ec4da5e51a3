//! When a schedule is due, in words.

use serde_json::Value;

use crate::output::look::Look;
use crate::output::table::Details;
use crate::output::time;
use crate::views::{entries, inline, pick, text, text_or_dash, took};

/// The timetable in a few words, for a list.
pub(crate) fn when(row: &Value) -> String {
    match entries(row, &["timetable.specs"]) {
        [] => match pick(row, &["recurrence"]) {
            Some(rule) => short(rule),
            None => text_or_dash(row, &["summary"]),
        },
        [only] => short(only) + less(row),
        [first, rest @ ..] => format!("{} and {} more{}", short(first), rest.len(), less(row)),
    }
}

/// That something is excluded, where it is.
fn less(row: &Value) -> &'static str {
    if exclusions(row).is_empty() { "" } else { ", with exclusions" }
}

fn exclusions(row: &Value) -> &[Value] {
    entries(row, &["timetable.exclusions"])
}

/// One recurrence, as short as can be.
fn short(rule: &Value) -> String {
    let zoned = |expression: String| match zone(rule) {
        Some(zone) => format!("{expression} {zone}"),
        None => expression,
    };
    match text(rule, &["kind"]).as_deref() {
        Some("cron") => zoned(text_or_dash(rule, &["expression"])),
        Some("calendar") => zoned(calendar(rule)),
        Some("interval") => format!("every {}", took(rule, &["every_ms"])),
        Some("once") => "once".to_owned(),
        _ => inline(rule),
    }
}

fn zone(rule: &Value) -> Option<String> {
    text(rule, &["timezone"]).filter(|zone| zone != "UTC")
}

/// A calendar as a cron expression with seconds; the year only where it says something.
fn calendar(rule: &Value) -> String {
    let names = ["second", "minute", "hour", "day_of_month", "month", "day_of_week", "year"];
    let fields = names.map(|name| text(rule, &[name]).unwrap_or_else(|| "*".to_owned()));
    let shown = if fields[6] == "*" { &fields[..6] } else { &fields[..] };
    format!("calendar {}", shown.join(" "))
}

/// The whole timetable, each part with its name.
pub(super) fn add_to(details: &mut Details, row: &Value, look: &Look) {
    details.add("when", specs(row, look).join("\n"));
    for (name, part) in limits(row, look) {
        details.add(name, part);
    }
}

/// The same as lines.
pub(super) fn all(row: &Value, look: &Look) -> Vec<String> {
    let rest = limits(row, look).into_iter();
    specs(row, look).into_iter().chain(rest.map(|(name, part)| format!("{name} {part}"))).collect()
}

/// Everything that makes it due, a line each.
fn specs(row: &Value, look: &Look) -> Vec<String> {
    match (entries(row, &["timetable.specs"]), pick(row, &["recurrence"])) {
        ([], Some(rule)) => vec![words(rule, look)],
        ([], None) => vec![when(row)],
        (specs, _) => specs.iter().map(|rule| words(rule, look)).collect(),
    }
}

/// What narrows that down or moves it.
fn limits(row: &Value, look: &Look) -> Vec<(&'static str, String)> {
    let except: Vec<String> = exclusions(row).iter().map(excluded).collect();
    let at = |place: &str| pick(row, &[place]).map(|at| look.when_exact(Some(at)));
    let jitter = pick(row, &["timetable.jitter_ms"]).and_then(Value::as_u64);
    let jitter = jitter.filter(|ms| *ms > 0).map(time::duration);
    let parts = [
        ("except", (!except.is_empty()).then(|| except.join("\n"))),
        ("from", at("timetable.start_at")),
        ("until", at("timetable.end_at")),
        ("jitter", jitter.map(|most| format!("each run starts up to {most} after it is due"))),
    ];
    parts.into_iter().filter_map(|(name, part)| Some((name, part?))).collect()
}

/// One recurrence in words, and as it was given where the words are ours.
pub(super) fn words(rule: &Value, look: &Look) -> String {
    let literal = text(rule, &["dst"]).is_some_and(|dst| dst == "literal");
    let dst = if literal { ", clock changes taken literally" } else { "" };
    match text(rule, &["kind"]).as_deref() {
        Some("cron") => {
            let expression = text_or_dash(rule, &["expression"]);
            let zone = text_or_dash(rule, &["timezone"]);
            match cron_words(&expression) {
                Some(said) => format!("{said} {zone}{dst} (cron {expression})"),
                None => format!("cron {expression} {zone}{dst}"),
            }
        }
        Some("calendar") => {
            format!("{} {}{dst}", calendar(rule), text_or_dash(rule, &["timezone"]))
        }
        Some("once") => format!("once, {}", look.when_exact(pick(rule, &["at"]))),
        _ => short(rule),
    }
}

/// What the most usual expressions say; `None` for all others, which are shown as they are.
fn cron_words(expression: &str) -> Option<String> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = match fields.as_slice() {
        ["@hourly"] => return Some("every hour".to_owned()),
        ["@daily" | "@midnight"] => ["0", "0", "*", "*", "*"],
        ["@weekly"] => ["0", "0", "*", "*", "0"],
        ["0", rest @ ..] if rest.len() == 5 => rest.try_into().ok()?,
        five => five.try_into().ok()?,
    };
    if (day, month) != ("*", "*") {
        return None;
    }
    if let (Some(step), "*", "*") = (minute.strip_prefix("*/"), hour, weekday) {
        // Only a step that fits the hour is the same as an interval.
        let step: u32 = step.parse().ok()?;
        let fits = step > 0 && 60_u32.checked_rem(step) == Some(0);
        return fits
            .then(|| if step == 1 { "every minute".into() } else { format!("every {step} min") });
    }
    let minute: u32 = minute.parse().ok().filter(|minute| *minute < 60)?;
    let hours: Option<Vec<String>> = hour
        .split(',')
        .map(|hour| hour.parse::<u32>().ok().filter(|hour| *hour < 24))
        .map(|hour| hour.map(|hour| format!("{hour:02}:{minute:02}")))
        .collect();
    let times = hours?.join(" and ");
    Some(match weekdays(weekday)? {
        days if days.is_empty() => format!("every day at {times}"),
        days => format!("every {days} at {times}"),
    })
}

/// Days of the week by their names; nothing for every day.
fn weekdays(field: &str) -> Option<String> {
    const NAMES: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    if field == "*" {
        return Some(String::new());
    }
    let name = |day: &str| {
        let by_number = day.parse::<usize>().ok().and_then(|day| NAMES.get(day).copied());
        by_number.or_else(|| NAMES.iter().find(|name| name.eq_ignore_ascii_case(day)).copied())
    };
    let parts: Option<Vec<String>> = field
        .split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => Some(format!("{} to {}", name(first)?, name(last)?)),
            None => name(part).map(str::to_owned),
        })
        .collect();
    Some(parts?.join(", "))
}

/// One exclusion.
fn excluded(rule: &Value) -> String {
    match text(rule, &["kind"]).as_deref() {
        Some("span") => {
            format!("{} to {}", text_or_dash(rule, &["from"]), text_or_dash(rule, &["until"]))
        }
        Some("cron") => short(rule),
        _ => inline(rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::look::tests::plain;
    use serde_json::json;

    #[test]
    fn usual_expressions_are_told_in_words_and_others_left_alone() {
        let table = [
            ("0 9 * * mon-fri", Some("every Mon to Fri at 09:00")),
            ("30 6,18 * * *", Some("every day at 06:30 and 18:30")),
            ("0 0 9 * * 0,7", Some("every Sun, Sun at 09:00")),
            ("*/5 * * * *", Some("every 5 min")),
            ("*/1 * * * *", Some("every minute")),
            ("@daily", Some("every day at 00:00")),
            ("@weekly", Some("every Sun at 00:00")),
            ("@hourly", Some("every hour")),
            ("*/7 * * * *", None),
            ("*/0 * * * *", None),
            ("0 9 1 * *", None),
            ("0 9 * * mon#2", None),
            ("5-10 9 * * *", None),
            ("30 0 9 * * *", None),
            ("0 0 9 * * * 2030", None),
            ("@monthly", None),
            ("", None),
        ];
        for (expression, expected) in table {
            assert_eq!(cron_words(expression).as_deref(), expected, "{expression}");
        }
    }

    #[test]
    fn a_list_names_the_first_of_several() {
        let row = json!({"timetable": {
            "specs": [{"kind": "interval", "every_ms": 60_000}, {"kind": "once", "at": "2030-01-01T00:00:00Z"}],
            "exclusions": [{"kind": "cron", "expression": "* * * * sun", "timezone": "UTC"}]}});
        assert_eq!(when(&row), "every 1 min and 1 more, with exclusions");
        let calendar = json!({"timetable": {"specs": [
            {"kind": "calendar", "hour": "9", "second": "0", "minute": "0", "timezone": "UTC"}]}});
        assert_eq!(when(&calendar), "calendar 0 0 9 * * *");
        assert_eq!(when(&json!({"summary": "x"})), "x");
    }

    #[test]
    fn a_literal_clock_is_told() {
        let rule = json!({"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Lisbon",
            "dst": "literal"});
        assert_eq!(
            words(&rule, &plain()),
            "every day at 02:30 Europe/Lisbon, clock changes taken literally (cron 30 2 * * *)"
        );
    }
}
