//! Instants as people type them, read in a schedule's time zone. Pure: no clock is read here.

use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
};
use chrono_tz::Tz;
use serde_json::Value;
use spark_events::Timestamp;

use crate::exit::Trouble;
use crate::views::{entries, text};

/// Minutes that are looked at for the end of a gap; the longest one skipped a whole day.
const GAP_MINUTES_MAX: usize = 26 * 60;

/// An instant, and what should be known about how it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The instant.
    pub(crate) at: Timestamp,
    /// Where a clock change makes the text ambiguous: what was taken.
    pub(crate) note: Option<String>,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { at, note: None }
    }
}

/// Which end of a day a date stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Its first instant.
    First,
    /// Its last one.
    Last,
}

/// What a text is read against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    /// The zone that texts without an offset are read in.
    pub(crate) zone: Tz,
    /// This instant.
    pub(crate) now: Timestamp,
}

/// An instant as the API takes it.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// The time zone of a schedule: that of the first of its recurrences that has one, else UTC.
pub(crate) fn zone_of(schedule: &Value) -> Tz {
    let specs = entries(schedule, &["timetable.specs"]).iter();
    let named = specs.filter_map(|spec| text(spec, &["timezone"]));
    let own = text(schedule, &["recurrence.timezone", "timezone"]);
    let mut zones = named.chain(own).filter_map(|name| name.parse().ok());
    zones.next().unwrap_or(Tz::UTC)
}

/// A time zone by its name.
pub(crate) fn zone_named(name: Option<&str>) -> Result<Tz, Trouble> {
    let Some(name) = name else {
        return Ok(Tz::UTC);
    };
    name.parse().map_err(|_| {
        Trouble::usage(format!("{name:?} is not a time zone"))
            .then("give an IANA name, such as Europe/Lisbon")
    })
}

impl Reader {
    /// One end of a span of the past: RFC 3339, a date, a date and a time, how long ago, or now.
    pub(crate) fn past(self, option: &str, typed: &str, edge: Edge) -> Result<Moment, Trouble> {
        let typed = typed.trim();
        if typed.eq_ignore_ascii_case("now") {
            return Ok(self.now.into());
        }
        let read = self.full(typed).or_else(|| self.day(typed, edge)).or_else(|| self.ago(typed));
        read.map(|moment| Moment { at: self.no_later(moment.at, typed), ..moment }).ok_or_else(
            || {
                unreadable(option, typed)
                    .then("how long ago: 7d, 12h")
                    .then("a date: 2030-01-31, or with a time: \"2030-01-31 09:00\"")
                    .then("or an instant: 2030-01-31T09:00:00Z")
            },
        )
    }

    /// The first or last instant of a schedule: RFC 3339, a date, or a date and a time.
    pub(crate) fn bound(self, option: &str, typed: &str, edge: Edge) -> Result<Moment, Trouble> {
        let typed = typed.trim();
        self.full(typed).or_else(|| self.day(typed, edge)).ok_or_else(|| {
            unreadable(option, typed)
                .then("a date: 2030-01-31, or with a time: \"2030-01-31 09:00\"")
                .then("or an instant: 2030-01-31T09:00:00Z")
        })
    }

    /// The instant of a question: RFC 3339, a date and a time, or a time alone, which is the
    /// latest such time that is not in the future.
    pub(crate) fn asked(self, option: &str, typed: &str) -> Result<Moment, Trouble> {
        let typed = typed.trim();
        if let Some(moment) = self.full(typed) {
            return Ok(moment);
        }
        time_of(typed).and_then(|time| self.latest(time)).ok_or_else(|| {
            unreadable(option, typed)
                .then("a time of day: 09:00, the latest one is meant")
                .then("with its date: \"2030-01-31 09:00\"")
                .then("or an instant: 2030-01-31T09:00:00Z")
        })
    }

    /// A text that names both date and time.
    fn full(self, typed: &str) -> Option<Moment> {
        if let Ok(at) = DateTime::parse_from_rfc3339(typed) {
            return Some(at.to_utc().into());
        }
        let formats =
            ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        let naive =
            formats.iter().find_map(|format| NaiveDateTime::parse_from_str(typed, format).ok())?;
        self.local(naive)
    }

    fn day(self, typed: &str, edge: Edge) -> Option<Moment> {
        let day = NaiveDate::parse_from_str(typed, "%Y-%m-%d").ok()?;
        let midnight = |day: NaiveDate| self.local(day.and_time(NaiveTime::MIN));
        let at = match edge {
            Edge::First => midnight(day)?.at,
            Edge::Last => {
                midnight(day.checked_add_days(Days::new(1))?)?.at - TimeDelta::microseconds(1)
            }
        };
        Some(at.into())
    }

    fn ago(self, typed: &str) -> Option<Moment> {
        let ago = TimeDelta::from_std(humantime::parse_duration(typed).ok()?).ok()?;
        self.now.checked_sub_signed(ago).map(Moment::from)
    }

    /// A date of today stands for a day that has not ended; its future is not asked for. What
    /// names a later time is left as it is, for the server to refuse.
    fn no_later(self, at: Timestamp, typed: &str) -> Timestamp {
        let is_today = self.now.with_timezone(&self.zone).format("%Y-%m-%d").to_string() == typed;
        if is_today { at.min(self.now) } else { at }
    }

    /// The latest instant at which the clock showed a time of day.
    fn latest(self, time: NaiveTime) -> Option<Moment> {
        let today = self.now.with_timezone(&self.zone).date_naive();
        let days = (0..=2).filter_map(|back| today.checked_sub_days(Days::new(back)));
        let mut moments = days.filter_map(|day| self.local(day.and_time(time)));
        moments.find(|moment| moment.at <= self.now)
    }

    /// What the clock of the zone shows, as an instant.
    fn local(self, naive: NaiveDateTime) -> Option<Moment> {
        let shown = naive.format("%Y-%m-%d %H:%M");
        let name = self.zone.name();
        match self.zone.from_local_datetime(&naive) {
            LocalResult::Single(at) => Some(at.to_utc().into()),
            LocalResult::Ambiguous(first, second) => Some(Moment {
                at: first.to_utc(),
                note: Some(format!(
                    "the clock of {name} shows {shown} twice; the first is meant, the second is \
                     {}",
                    rfc3339(second.to_utc())
                )),
            }),
            LocalResult::None => {
                let at = self.after_gap(naive)?;
                let shows = at.with_timezone(&self.zone).format("%H:%M");
                let note = format!(
                    "the clock of {name} skips {shown}; the first instant after that is meant, \
                     {shows}"
                );
                Some(Moment { at, note: Some(note) })
            }
        }
    }

    fn after_gap(self, naive: NaiveDateTime) -> Option<Timestamp> {
        let whole = naive.date().and_hms_opt(
            chrono::Timelike::hour(&naive),
            chrono::Timelike::minute(&naive),
            0,
        )?;
        let minutes =
            std::iter::successors(Some(whole), |at| at.checked_add_signed(TimeDelta::minutes(1)));
        let mut minutes = minutes.take(GAP_MINUTES_MAX);
        minutes.find_map(|at| self.zone.from_local_datetime(&at).earliest()).map(|at| at.to_utc())
    }
}

fn time_of(typed: &str) -> Option<NaiveTime> {
    ["%H:%M", "%H:%M:%S"].iter().find_map(|format| NaiveTime::parse_from_str(typed, format).ok())
}

fn unreadable(option: &str, typed: &str) -> Trouble {
    Trouble::usage(format!("{option}: {typed:?} is not a time"))
}

#[cfg(test)]
mod tests;
