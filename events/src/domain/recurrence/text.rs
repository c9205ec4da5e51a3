//! Reads intervals (`1h30m`) and instants (`now`, RFC 3339) as people type them. Refuses what could
//! mean two things.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::error::{RecurrenceError, excerpt};
use crate::clock::{Timestamp, micros};
use crate::limits;

/// Reads an interval such as `5s`, `30m` or `1h30m`, in milliseconds.
///
/// # Errors
/// A number without a unit, a unit without a fixed length (months, years), a text that cannot be
/// read, or an interval outside the bounds.
pub fn parse_every(text: &str) -> Result<u64, RecurrenceError> {
    let every_ms = parse_duration(text)?;
    check_interval(every_ms)?;
    Ok(every_ms)
}

/// Reads `D` or `D/PHASE`, as it stands behind `@every`: an interval and its offset from the epoch.
pub(super) fn parse_every_phase(text: &str) -> Result<(u64, Option<u64>), RecurrenceError> {
    let Some((every, phase)) = text.split_once('/') else {
        return Ok((parse_every(text)?, None));
    };
    let (every_ms, phase_ms) = (parse_every(every)?, parse_duration(phase)?);
    check_phase(every_ms, phase_ms)?;
    Ok((every_ms, Some(phase_ms)))
}

/// Checks that a phase lies within its interval.
pub(super) const fn check_phase(every_ms: u64, phase_ms: u64) -> Result<(), RecurrenceError> {
    if phase_ms >= every_ms {
        return Err(RecurrenceError::PhaseTooLong { phase_ms, every_ms });
    }
    Ok(())
}

/// An interval whose unit is a single large letter, as the Python original took it, in small ones.
/// A large M would be months.
fn in_small_letters(text: &str) -> Option<String> {
    let number = text.strip_suffix(['S', 'M', 'H', 'D', 'W'])?;
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    is_number.then(|| text.to_ascii_lowercase())
}

/// A duration with its unit, in milliseconds.
fn parse_duration(text: &str) -> Result<u64, RecurrenceError> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(RecurrenceError::EveryWithoutUnit { text: excerpt(text) });
    }
    let unreadable = |problem: &str| RecurrenceError::EveryUnreadable {
        text: excerpt(text),
        problem: problem.to_owned(),
    };
    // `humantime` overflows in a corner of the very large numbers; nothing that long is meant.
    if text.len() > 64 || text.split(|c: char| !c.is_ascii_digit()).any(|n| n.len() > 13) {
        return Err(unreadable("it is too long"));
    }
    if let Some(small) = in_small_letters(text) {
        let months = if small.ends_with('m') { "; for months use a cron expression" } else { "" };
        return Err(unreadable(&format!("units are small letters, write {small}{months}")));
    }
    let months_or_years =
        |unit: &str| unit == "M" || unit.starts_with("month") || unit.starts_with('y');
    if text.split(|c: char| !c.is_alphabetic()).any(months_or_years) {
        return Err(unreadable("months and years have no fixed length, use a cron expression"));
    }
    let every = humantime::parse_duration(text).map_err(|error| match error {
        // Of which the parser only tells the place.
        humantime::DurationError::NumberExpected(_)
        | humantime::DurationError::InvalidCharacter(_) => {
            unreadable("a number and a unit are expected")
        }
        error @ (humantime::DurationError::UnknownUnit { .. }
        | humantime::DurationError::NumberOverflow
        | humantime::DurationError::Empty) => unreadable(&error.to_string()),
    })?;
    if every.subsec_nanos() % 1_000_000 != 0 {
        return Err(unreadable("whole milliseconds are the finest"));
    }
    Ok(u64::try_from(every.as_millis()).unwrap_or(u64::MAX))
}

/// Checks an interval against its bounds.
pub(super) fn check_interval(every_ms: u64) -> Result<(), RecurrenceError> {
    if every_ms < limits::INTERVAL_MS_MIN {
        return Err(RecurrenceError::IntervalTooShort { every_ms });
    }
    if every_ms > limits::INTERVAL_MS_MAX {
        return Err(RecurrenceError::IntervalTooLong { every_ms });
    }
    Ok(())
}

/// Reads an instant: `now`, or RFC 3339 with an offset. In whole microseconds.
///
/// # Errors
/// An instant without an offset, or a text that cannot be read.
pub fn parse_at(text: &str, now: Timestamp) -> Result<Timestamp, RecurrenceError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") { Ok(micros(now)) } else { parse_instant(text) }
}

/// Reads an RFC 3339 instant.
pub(super) fn parse_instant(text: &str) -> Result<Timestamp, RecurrenceError> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(micros(at.with_timezone(&Utc))),
        Err(_) if is_naive(text) => {
            Err(RecurrenceError::InstantWithoutOffset { text: excerpt(text) })
        }
        Err(_) => Err(RecurrenceError::InstantUnreadable { text: excerpt(text) }),
    }
}

fn is_naive(text: &str) -> bool {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .any(|format| NaiveDateTime::parse_from_str(text, format).is_ok())
        || NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (text, expected) in [
            ("5s", 5_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            (" 1h 30min ", 5_400_000),
            ("90 seconds", 90_000),
            ("1500ms", 1_500),
            ("2d", 172_800_000),
            ("1s", limits::INTERVAL_MS_MIN),
        ] {
            assert_eq!(parse_every(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refused_intervals_say_what_to_do() {
        for (text, part) in [
            ("90", "write `90s`, `90m` or `90h`"),
            ("0", "no unit"),
            ("1.5", "no unit"),
            ("", "empty"),
            ("soon", "write for example"),
            ("5 parsecs", "unknown time unit"),
            ("-5m", "write for example"),
            ("1M", "use a cron expression"),
            ("10M", "write 10m"),
            ("10H", "write 10h"),
            ("2D", "write 2d"),
            ("2years", "use a cron expression"),
            ("999ms", "the shortest is 1s"),
            ("0s", "the shortest is 1s"),
            ("1000001us", "whole milliseconds"),
            ("99999999d", "the longest is"),
            ("18446744073709551615s 1000ms", "too long"),
        ] {
            let refused = parse_every(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{text:?}: {refused}");
        }
    }

    #[test]
    fn instants() {
        let now: Timestamp = "2026-05-05T10:00:00.123456Z".parse().unwrap();
        for (text, expected) in [
            ("now", "2026-05-05T10:00:00.123456Z"),
            (" NOW ", "2026-05-05T10:00:00.123456Z"),
            ("2026-03-08T02:30:00Z", "2026-03-08T02:30:00Z"),
            ("2026-03-08t02:30:00-05:00", "2026-03-08T07:30:00Z"),
            ("2026-03-08T02:30:00.1234567Z", "2026-03-08T02:30:00.123456Z"),
        ] {
            assert_eq!(parse_at(text, now).unwrap(), expected.parse::<Timestamp>().unwrap());
        }
        for text in ["2026-03-08T02:30:00", "2026-03-08 02:30", "2026-03-08"] {
            let refused = parse_at(text, now).unwrap_err().to_string();
            assert!(refused.contains("append `Z`"), "{text}: {refused}");
        }
        for text in ["", "tomorrow", "2026-13-01T00:00:00Z", "2026-02-30"] {
            let refused = parse_at(text, now).unwrap_err().to_string();
            assert!(refused.contains("RFC 3339"), "{text}: {refused}");
        }
    }
}
