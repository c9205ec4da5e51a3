//! Reads a cron expression field by field, so that a mistake is reported with the field's name and
//! what it may hold, and hands a canonical text to `croner`. Knows no time zone and no clock.

use croner::parser::{CronParser, Seconds, Year};

use super::error::{RecurrenceError, excerpt};
use super::pattern::Pattern;
use crate::limits;

/// One field: its name, its bounds, and the names it accepts for numbers.
struct Field {
    name: &'static str,
    min: u16,
    max: u16,
    names: &'static [(&'static str, u16)],
    allowed: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    DayOfMonth,
    DayOfWeek,
}

const fn number(name: &'static str, min: u16, max: u16, allowed: &'static str) -> Field {
    Field { name, min, max, names: &[], allowed, kind: Kind::Number }
}

/// In the order of the seven-field form.
static FIELDS: [Field; 7] = [
    number("second", 0, 59, "0-59, `*`, lists `1,15`, ranges `1-5`, steps `*/10`"),
    number("minute", 0, 59, "0-59, `*`, lists `1,15`, ranges `1-5`, steps `*/10`"),
    number("hour", 0, 23, "0-23, `*`, lists `9,17`, ranges `9-17`, steps `*/2`"),
    Field {
        name: "day-of-month",
        min: 1,
        max: 31,
        names: &[],
        allowed: "1-31, `*`, lists, ranges, steps, `L` (last day), `LW` (last weekday), `15W` (weekday nearest to the 15th)",
        kind: Kind::DayOfMonth,
    },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &[
            ("JAN", 1),
            ("FEB", 2),
            ("MAR", 3),
            ("APR", 4),
            ("MAY", 5),
            ("JUN", 6),
            ("JUL", 7),
            ("AUG", 8),
            ("SEP", 9),
            ("OCT", 10),
            ("NOV", 11),
            ("DEC", 12),
        ],
        allowed: "1-12 or JAN-DEC, `*`, lists, ranges, steps",
        kind: Kind::Number,
    },
    Field {
        name: "day-of-week",
        min: 0,
        max: 7,
        names: &[
            ("SUN", 0),
            ("MON", 1),
            ("TUE", 2),
            ("WED", 3),
            ("THU", 4),
            ("FRI", 5),
            ("SAT", 6),
        ],
        allowed: "0-7 (0 and 7 are Sunday) or SUN-SAT, `*`, lists, ranges, steps, `5L` (last Friday), `MON#2` (second Monday)",
        kind: Kind::DayOfWeek,
    },
    number("year", 1970, 2999, "1970-2999, `*`, lists, ranges, steps"),
];

/// Splits a leading `CRON_TZ=Zone` (or `TZ=Zone`) off an expression.
pub(super) fn split_zone(text: &str) -> (Option<&str>, &str) {
    let text = text.trim();
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return (None, text);
    };
    match rest.split_once(char::is_whitespace) {
        Some((zone, expression)) => (Some(zone), expression.trim()),
        None => (Some(rest), ""),
    }
}

/// What follows `@every`, if the expression begins with it.
pub(super) fn strip_every(expression: &str) -> Option<&str> {
    let (name, rest) = expression.trim().split_once(char::is_whitespace)?;
    name.eq_ignore_ascii_case("@every").then(|| rest.trim())
}

/// Reads an expression without a zone prefix. Five fields mean second 0.
pub(super) fn compile(expression: &str) -> Result<Pattern, RecurrenceError> {
    compile_with(expression, "0")
}

/// As [`compile`], but five fields mean every second of the minutes they name.
pub(super) fn compile_covering(expression: &str) -> Result<Pattern, RecurrenceError> {
    compile_with(expression, "*")
}

/// Reads seven fields, seconds first, of which the day of month and the day of week must both match.
pub(super) fn compile_calendar(fields: [&str; 7]) -> Result<Pattern, RecurrenceError> {
    check_length(fields.iter().map(|field| field.len()).sum())?;
    let mut canonical = canonical(&FIELDS, &fields)?;
    if !canonical[5].starts_with('+') {
        canonical[5].insert(0, '+');
    }
    pattern(&canonical, &fields.join(" "))
}

fn compile_with(expression: &str, second: &str) -> Result<Pattern, RecurrenceError> {
    check_length(expression.len())?;
    if split_zone(expression).0.is_some() {
        return Err(RecurrenceError::ZoneInExpression);
    }
    let expression = expression.trim();
    let expanded = if expression.starts_with('@') { expand(expression)? } else { expression };
    let given: Vec<&str> = expanded.split_whitespace().collect();
    let fields = match given.len() {
        0 => return Err(RecurrenceError::CronEmpty),
        5 => &FIELDS[1..6],
        6 => &FIELDS[..6],
        7 => &FIELDS[..],
        count => return Err(RecurrenceError::FieldCount { count }),
    };
    let mut canonical = canonical(fields, &given)?;
    if canonical.len() == 5 {
        canonical.insert(0, second.to_owned());
    }
    if canonical.len() == 6 {
        canonical.push("*".to_owned());
    }
    pattern(&canonical, expression)
}

fn check_length(bytes: usize) -> Result<(), RecurrenceError> {
    if bytes > limits::CRON_EXPRESSION_BYTES_MAX {
        return Err(RecurrenceError::CronTooLong { bytes });
    }
    Ok(())
}

fn canonical(fields: &[Field], given: &[&str]) -> Result<Vec<String>, RecurrenceError> {
    fields.iter().zip(given).map(|(field, text)| field.canonical(text)).collect()
}

/// Hands seven canonical fields to `croner`.
fn pattern(canonical: &[String], expression: &str) -> Result<Pattern, RecurrenceError> {
    let any_year = canonical[6] == "*";
    // `croner` enters each of 9,999 years into a table for a `*`, which takes longer than all else.
    let year = if any_year { "1970" } else { &canonical[6] };
    let cron = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .sloppy_ranges(true)
        .build()
        .parse(&format!("{} {year}", canonical[..6].join(" ")))
        .map_err(|error| RecurrenceError::Cron {
            expression: excerpt(expression),
            problem: error.to_string(),
        })?;
    let running_hours = canonical[2].contains(['*', '/']);
    Ok(Pattern::new(cron.pattern, running_hours, any_year))
}

/// The fields behind a name such as `@daily`.
fn expand(expression: &str) -> Result<&'static str, RecurrenceError> {
    let lower = expression.to_ascii_lowercase();
    let (name, rest) = lower.split_once(char::is_whitespace).unwrap_or((&lower, ""));
    match (name, rest.trim()) {
        ("@hourly", "") => Ok("0 * * * *"),
        ("@daily" | "@midnight", "") => Ok("0 0 * * *"),
        ("@weekly", "") => Ok("0 0 * * 0"),
        ("@monthly", "") => Ok("0 0 1 * *"),
        ("@yearly" | "@annually", "") => Ok("0 0 1 1 *"),
        ("@every", every) => Err(RecurrenceError::EveryIsAnInterval { every: excerpt(every) }),
        _ => Err(RecurrenceError::UnknownName { name: excerpt(expression) }),
    }
}

impl Field {
    /// The field in numbers, without names, `?` and idle steps; checked against its bounds.
    fn canonical(&self, text: &str) -> Result<String, RecurrenceError> {
        self.rewrite(&text.to_ascii_uppercase()).map_err(|problem| RecurrenceError::Field {
            field: self.name,
            text: excerpt(text),
            problem,
            allowed: self.allowed,
        })
    }

    fn rewrite(&self, text: &str) -> Result<String, String> {
        // `+MON` asks for the day of month and the day of week together, in place of either.
        let (sign, list) = match text.strip_prefix('+') {
            Some(rest) if self.kind == Kind::DayOfWeek => ("+", rest),
            Some(_) | None => ("", text),
        };
        let parts = list.split(',').map(|part| self.part(part)).collect::<Result<Vec<_>, _>>()?;
        let has = |wanted: &str| parts.iter().any(|part| part == wanted);
        if has("L") && has("LW") {
            return Err("`L` and `LW` cannot be in one list, make two schedules".to_owned());
        }
        // In a list with `*` the other entries add nothing.
        let list = if has("*") { "*".to_owned() } else { parts.join(",") };
        Ok(format!("{sign}{list}"))
    }

    fn part(&self, part: &str) -> Result<String, String> {
        if part.is_empty() {
            return Err("an entry of the list is empty, remove the stray comma".to_owned());
        }
        match self.kind {
            Kind::DayOfMonth => {
                if part == "L" || part == "LW" {
                    return Ok(part.to_owned());
                }
                if let Some(day) = part.strip_suffix('W') {
                    return Ok(format!("{}W", self.value(day)?));
                }
            }
            Kind::DayOfWeek => {
                if let Some((days, nth)) = part.split_once('#') {
                    return self.nth(days, nth);
                }
                match part.strip_suffix('L') {
                    Some("") => {
                        return Err("`L` needs a day, as in `5L` for the last Friday".to_owned());
                    }
                    Some(day) => return Ok(format!("{}#L", self.value(day)?)),
                    None => {}
                }
            }
            Kind::Number => {}
        }
        let Some((base, step)) = part.split_once('/') else {
            return self.range(part);
        };
        if base.is_empty() {
            return Err(format!("a step needs a start, write `*/{step}`"));
        }
        let base = self.range(base)?;
        match (base.as_str(), self.step(step)?) {
            ("*", 1) => Ok(base),
            (_, step) => Ok(format!("{base}/{step}")),
        }
    }

    fn nth(&self, days: &str, nth: &str) -> Result<String, String> {
        if !matches!(nth, "1" | "2" | "3" | "4" | "5" | "L") {
            return Err(format!("`#{nth}` is no week of the month, use #1 to #5 or #L"));
        }
        match self.range(days)?.as_str() {
            "*" => Err("`#` needs a day, as in `MON#2`".to_owned()),
            days => Ok(format!("{days}#{nth}")),
        }
    }

    fn range(&self, text: &str) -> Result<String, String> {
        if text == "*" || (text == "?" && self.kind != Kind::Number) {
            return Ok("*".to_owned());
        }
        let Some((from, to)) = text.split_once('-') else {
            return self.value(text).map(|value| value.to_string());
        };
        let start = self.value(from)?;
        let end = match self.value(to)? {
            // A week may be written to end on Sunday.
            0 if self.kind == Kind::DayOfWeek && start > 0 => 7,
            end => end,
        };
        if start > end {
            return Err(format!(
                "`{text}` starts after it ends, write two ranges: `{start}-{},{}-{end}`",
                self.max, self.min
            ));
        }
        Ok(format!("{start}-{end}"))
    }

    fn value(&self, text: &str) -> Result<u16, String> {
        if let Some((_, value)) = self.names.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        match digits(text) {
            Some(value) if (self.min..=self.max).contains(&value) => Ok(value),
            Some(_) => Err(format!("{text} is out of range")),
            None => Err(format!("{:?} is not a value of this field", excerpt(text))),
        }
    }

    fn step(&self, text: &str) -> Result<u16, String> {
        let values = self.max - self.min + 1;
        match digits(text) {
            Some(0) => Err("a step of 0 goes nowhere".to_owned()),
            Some(step) if step <= values => Ok(step),
            Some(_) => Err(format!(
                "a step of {text} leaves the field, which has {values} values; for a longer distance use an interval schedule"
            )),
            None => Err(format!("the step {:?} is not a number", excerpt(text))),
        }
    }
}

fn digits(text: &str) -> Option<u16> {
    // `parse` alone would accept a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::{DstRule, Recurrence};
    use super::*;
    use crate::clock::Timestamp;

    #[track_caller]
    fn check(expression: &str, expected: &[&str]) {
        let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let planner = Recurrence::parse_cron(expression, "UTC", DstRule::Once)
            .and_then(|spec| spec.planner())
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
        let shown: Vec<String> = planner
            .preview(from, expected.len())
            .iter()
            .map(|due| due.at.format("%y-%m-%d %H:%M:%S").to_string())
            .collect();
        assert_eq!(shown, expected, "{expression}");
    }

    #[test]
    fn five_six_and_seven_fields() {
        check("30 9 * * *", &["26-01-01 09:30:00", "26-01-02 09:30:00"]);
        check("15 30 9 * * *", &["26-01-01 09:30:15", "26-01-02 09:30:15"]);
        check("15 30 9 1 2 * 2028", &["28-02-01 09:30:15"]);
        check("0 0 0 1 1 ? 2027/2", &["27-01-01 00:00:00", "29-01-01 00:00:00"]);
    }

    #[test]
    fn steps_lists_ranges_and_names() {
        check("20/25 0 * * *", &["26-01-01 00:20:00", "26-01-01 00:45:00", "26-01-02 00:20:00"]);
        check("0 0,6-8/2 * * *", &["26-01-01 06:00:00", "26-01-01 08:00:00", "26-01-02 00:00:00"]);
        check("0 0 1 feb,Mar *", &["26-02-01 00:00:00", "26-03-01 00:00:00"]);
        check("0 0 * * fri-SUN", &["26-01-02 00:00:00", "26-01-03 00:00:00", "26-01-04 00:00:00"]);
        check("0 0 * * 0", &["26-01-04 00:00:00"]);
        check("0 0 * * 7", &["26-01-04 00:00:00"]);
        check("  0   0 * *\t* ", &["26-01-02 00:00:00"]);
        check("*/60 * * * *", &["26-01-01 01:00:00", "26-01-01 02:00:00"]);
    }

    #[test]
    fn restricted_days_match_either_unless_a_plus_asks_for_both() {
        check("0 0 15 * 1", &["26-01-05 00:00:00", "26-01-12 00:00:00", "26-01-15 00:00:00"]);
        check("0 0 15 * +1", &["26-06-15 00:00:00", "27-02-15 00:00:00"]);
        // A step of one restricts nothing.
        check("0 0 15 * */1", &["26-01-15 00:00:00", "26-02-15 00:00:00"]);
        check("0 0 ? * MON", &["26-01-05 00:00:00", "26-01-12 00:00:00"]);
    }

    #[test]
    fn last_nearest_and_nth_days() {
        check("0 0 L * *", &["26-01-31 00:00:00", "26-02-28 00:00:00"]);
        check("0 0 LW 2 *", &["26-02-27 00:00:00"]);
        check("0 0 15W 2 *", &["26-02-16 00:00:00"]);
        check("0 0 * * 5L", &["26-01-30 00:00:00", "26-02-27 00:00:00"]);
        check("0 0 * * friL", &["26-01-30 00:00:00"]);
        check("0 0 * * MON#2", &["26-01-12 00:00:00", "26-02-09 00:00:00"]);
        check("0 0 * * MON#L", &["26-01-26 00:00:00"]);
    }

    #[test]
    fn names_and_zone_prefixes() {
        check("@hourly", &["26-01-01 01:00:00"]);
        check("@Daily", &["26-01-02 00:00:00"]);
        check("@weekly", &["26-01-04 00:00:00"]);
        check("@monthly", &["26-02-01 00:00:00"]);
        check("@yearly", &["27-01-01 00:00:00"]);
        check("CRON_TZ=Asia/Tokyo 0 9 * * *", &["26-01-02 00:00:00"]);
        check("CRON_TZ=Asia/Tokyo @daily", &["26-01-01 15:00:00"]);
    }

    #[test]
    fn mistakes_name_the_field_and_the_remedy() {
        for (expression, parts) in [
            ("61 * * * *", ["minute field", "61 is out of range; allowed: 0-59"]),
            ("* 24 * * *", ["hour field", "24 is out of range; allowed: 0-23"]),
            ("* * 0 * *", ["day-of-month field", "0 is out of range"]),
            ("* * * 13 *", ["month field", "13 is out of range"]),
            ("* * * * 8", ["day-of-week field", "0 and 7 are Sunday"]),
            ("60 * * * * *", ["second field", "60 is out of range"]),
            ("0 0 0 1 1 * 1969", ["year field", "1970-2999"]),
            ("MON * * * *", ["minute field", "\"MON\" is not a value"]),
            ("* * * * FRIDAY", ["day-of-week field", "SUN-SAT"]),
            ("*/90 * * * *", ["minute field", "use an interval schedule"]),
            ("*/0 * * * *", ["minute field", "a step of 0"]),
            ("/5 * * * *", ["minute field", "write `*/5`"]),
            ("1,,2 * * * *", ["minute field", "stray comma"]),
            ("0 22-2 * * *", ["hour field", "`22-23,0-2`"]),
            ("+5 * * * *", ["minute field", "not a value"]),
            ("* * * * MON#6", ["day-of-week field", "#1 to #5"]),
            ("* * * * L", ["day-of-week field", "last Friday"]),
            ("* * L,LW * *", ["day-of-month field", "two schedules"]),
            ("* * L-3 * *", ["day-of-month field", "\"L\" is not a value"]),
            ("? * * * *", ["minute field", "not a value"]),
            ("* * * *", ["4 fields", "seconds first"]),
            ("", ["empty", "0 9 * * MON-FRI"]),
            ("@reboot", ["@reboot", "@daily"]),
            ("@every 90m", ["interval schedule", "\"90m\""]),
            ("CRON_TZ=Europe/Berlinn 0 9 * * *", ["not known", "Europe/Berlin`"]),
            ("CRON_TZ=UTC CRON_TZ=UTC 0 9 * * *", ["names a time zone", "remove"]),
            ("\u{fc} * * * *", ["minute field", "not a value"]),
        ] {
            let refused = Recurrence::parse_cron(expression, "UTC", DstRule::Once).unwrap_err();
            let text = refused.to_string();
            for part in parts {
                assert!(text.contains(part), "{expression:?}: {text}");
            }
        }
        let long = format!("{} * * * *", vec!["1"; 500].join(","));
        let refused = Recurrence::parse_cron(&long, "UTC", DstRule::Once).unwrap_err();
        assert!(matches!(refused, RecurrenceError::CronTooLong { .. }), "{refused}");
    }
}
