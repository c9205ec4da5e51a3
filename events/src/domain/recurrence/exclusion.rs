//! Instants at which a schedule is not due although its recurrences say so: how they are stored,
//! read from text, and asked.

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::error::{RecurrenceError, excerpt};
use super::pattern::Pattern;
use super::{cron, dst, text, zone};
use crate::clock::Timestamp;

/// Instants at which a schedule is not due although its specs say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Exclusion {
    /// All instants whose wall-clock time a cron expression matches. One of five fields covers
    /// whole minutes.
    Cron {
        /// The cron expression, as those of schedules are written.
        expression: String,
        /// The IANA name of the time zone.
        timezone: String,
    },
    /// A span of real time.
    Span {
        /// Its first instant.
        #[schema(value_type = String, format = DateTime)]
        from: Timestamp,
        /// The first instant after it.
        #[schema(value_type = String, format = DateTime)]
        until: Timestamp,
    },
}

impl Exclusion {
    /// Reads an exclusion: a date, a range of dates (both included, whole days of the time zone), a
    /// range of RFC 3339 instants (the second one is the first that is not excluded), or a cron
    /// expression, which may begin with `CRON_TZ=Zone`. An empty `timezone` is UTC.
    ///
    /// # Errors
    /// Says what is wrong with the text and what is allowed.
    pub fn parse(text: &str, timezone: &str) -> Result<Self, RecurrenceError> {
        let text = text.trim();
        let is_date = |part: &str| {
            let bytes = part.as_bytes();
            bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
        };
        if is_date(text) {
            return Self::parse_span(text, zone::parse(&zone::choose(None, timezone)?)?);
        }
        let (prefix, expression) = cron::split_zone(text);
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields = expression.split(' ').count();
        if expression.starts_with("@every") {
            return Err(unreadable(text, "an interval cannot be excluded"));
        }
        if !expression.starts_with('@') && !(5..=7).contains(&fields) {
            return Err(unreadable(text, "it is neither a date nor a cron expression"));
        }
        let timezone = zone::choose(prefix, timezone)?;
        cron::compile_covering(&expression)?;
        Ok(Self::Cron { expression, timezone })
    }

    fn parse_span(text: &str, zone: Tz) -> Result<Self, RecurrenceError> {
        let (first, last) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let (first, last) = (first.trim(), last.map(str::trim));
        let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        let (from, until) = match (date(first), last.map(date)) {
            (Some(day), None) => (day_start(zone, day), day_after(zone, day)),
            (Some(first), Some(Some(last))) => (day_start(zone, first), day_after(zone, last)),
            (None, Some(None)) => {
                let until = text::parse_instant(last.unwrap_or_default())?;
                (Some(text::parse_instant(first)?), Some(until))
            }
            (None, None) => {
                return Err(unreadable(text, "it is no date, and a single instant is no range"));
            }
            (Some(_), Some(None)) | (None, Some(Some(_))) => {
                return Err(unreadable(text, "both ends must be dates, or both instants"));
            }
        };
        match (from, until) {
            (Some(from), Some(until)) if from < until => Ok(Self::Span { from, until }),
            (Some(_), Some(_)) => Err(unreadable(
                text,
                "it holds no instant: it ends before it begins, or the time zone leaves that day out",
            )),
            _ => Err(unreadable(text, "that date is out of range")),
        }
    }

    /// The parsed form.
    pub(super) fn planner(&self) -> Result<Excluded, RecurrenceError> {
        Ok(match self {
            Self::Cron { expression, timezone } => Excluded::Clock {
                pattern: Box::new(cron::compile_covering(expression)?),
                zone: zone::parse(timezone)?,
            },
            Self::Span { from, until } if from >= until => {
                return Err(RecurrenceError::SpanEmpty { from: *from, until: *until });
            }
            Self::Span { from, until } => Excluded::Span { from: *from, until: *until },
        })
    }
}

fn unreadable(text: &str, problem: &str) -> RecurrenceError {
    RecurrenceError::ExclusionUnreadable { text: excerpt(text), problem: problem.to_owned() }
}

/// The first instant of a day in a zone, or of the next one that the zone has.
fn day_start(zone: Tz, day: NaiveDate) -> Option<Timestamp> {
    let midnight = day.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
    DateTime::from_timestamp(dst::first_shown(zone, midnight)?, 0)
}

fn day_after(zone: Tz, day: NaiveDate) -> Option<Timestamp> {
    day_start(zone, day.succ_opt()?)
}

/// A parsed [`Exclusion`].
#[derive(Debug, Clone)]
pub(super) enum Excluded {
    Clock { pattern: Box<Pattern>, zone: Tz },
    Span { from: Timestamp, until: Timestamp },
}

impl Excluded {
    /// Where `at` is excluded: an instant after it, before which all is excluded too.
    pub(super) fn until(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Span { from, until } => (*from <= at && at < *until).then_some(*until),
            Self::Clock { pattern, zone } => {
                let second = at.timestamp();
                let offset = dst::offset(*zone, second)?;
                if !pattern.matches(second + offset) {
                    return None;
                }
                let stretch = pattern.stretch(second + offset);
                // The clock must not change on the way: then only this second is certain.
                let changes = dst::offset(*zone, second + stretch - 1) != Some(offset);
                let end = second.checked_add(if changes { 1 } else { stretch })?;
                Some(DateTime::from_timestamp(end, 0).unwrap_or(at + TimeDelta::microseconds(1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_whole_days_of_the_zone() {
        for (text, timezone, from, until) in [
            ("2026-12-25", "UTC", "2026-12-25T00:00:00Z", "2026-12-26T00:00:00Z"),
            ("2026-12-25", "", "2026-12-25T00:00:00Z", "2026-12-26T00:00:00Z"),
            (
                " 2026-12-24/2026-12-26 ",
                "Asia/Tokyo",
                "2026-12-23T15:00:00Z",
                "2026-12-26T15:00:00Z",
            ),
            // 23 and 25 hours.
            ("2026-03-08", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
            ("2026-11-01", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
            // A day without a midnight, and a range over a day that was left out.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
            (
                "2011-12-29/2011-12-30",
                "Pacific/Apia",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
            (
                "2026-12-24T18:00:00Z/2026-12-27T06:00:00+01:00",
                "Asia/Tokyo",
                "2026-12-24T18:00:00Z",
                "2026-12-27T05:00:00Z",
            ),
        ] {
            let expected =
                Exclusion::Span { from: from.parse().unwrap(), until: until.parse().unwrap() };
            assert_eq!(Exclusion::parse(text, timezone), Ok(expected), "{text} in {timezone}");
        }
    }

    #[test]
    fn cron_expressions_carry_their_zone() {
        for (text, timezone, expression, expected) in [
            ("* *  25 12 *", "Europe/Berlin", "* * 25 12 *", "Europe/Berlin"),
            ("CRON_TZ=Asia/Tokyo * * 25 12 *", "", "* * 25 12 *", "Asia/Tokyo"),
            ("@daily", "", "@daily", "UTC"),
        ] {
            let (expression, zone) = (expression.to_owned(), expected.to_owned());
            let expected = Exclusion::Cron { expression, timezone: zone };
            assert_eq!(Exclusion::parse(text, timezone), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_is_allowed() {
        for (text, part) in [
            ("christmas", "allowed: a date `2026-12-25`"),
            ("", "allowed: a date"),
            ("2026-02-30", "it is no date"),
            ("2026-12-26/2026-12-24", "ends before it begins"),
            ("2026-12-24/2026-12-25T00:00:00Z", "both ends must be dates"),
            ("2026-12-24/soon", "both ends must be dates"),
            ("2026-12-24T00:00:00Z", "a single instant is no range"),
            ("2026-12-24T00:00:00/2026-12-25T00:00:00", "append `Z`"),
            ("2026-12-24T00:00:00Z/2026-12-24T00:00:00Z", "holds no instant"),
            ("@every 5m", "an interval cannot be excluded"),
            ("@every", "an interval cannot be excluded"),
            ("@christmas", "@daily"),
            ("* * 32 12 *", "day-of-month field"),
        ] {
            let refused = Exclusion::parse(text, "UTC").unwrap_err().to_string();
            assert!(refused.contains(part), "{text:?}: {refused}");
        }
        let missing = Exclusion::parse("2011-12-30", "Pacific/Apia").unwrap_err().to_string();
        assert!(missing.contains("leaves that day out"), "{missing}");
        let unknown = Exclusion::parse("2026-12-25", "Mars/Olympus").unwrap_err();
        assert!(matches!(unknown, RecurrenceError::UnknownZone { .. }));
    }
}
