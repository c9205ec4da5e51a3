//! When a schedule is due: cron expressions, intervals and single instants, and what a clock change
//! (daylight saving time) does to them. It turns a stored [`Recurrence`] and an instant into the
//! next due instant.
//!
//! It never reads a clock, and it never panics: a stored text that cannot be read has no next
//! instant, and [`Recurrence::validate`] says why before it is stored.
//!
//! # The DST rule
//! A clock that goes forward leaves a *gap*: clock times that do not exist that day. A clock that
//! goes back makes a *fold*: clock times that happen twice. With [`DstRule::Once`]:
//! - Fixed hours (`30 2 * * *`, `0 9-17 * * *`): every clock time runs once. A time in a gap runs
//!   at the first instant after it (several of them run once together), a repeated time runs at its
//!   first occurrence.
//! - Running hours (`*`, any `/` step, or all 24 listed): real time counts. A time in a gap runs
//!   when it would have run had the clock not jumped, and both passes of a fold run.
//!
//! With [`DstRule::Literal`] only what the wall clock shows counts: times in a gap do not run,
//! repeated times run twice.

mod cron;
#[cfg(test)]
mod croniter;
mod dst;
mod error;
mod exclusion;
mod pattern;
#[cfg(test)]
mod properties;
mod text;
mod timetable;
#[cfg(test)]
mod timetable_properties;
mod zone;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::limits;
use dst::LocalPlan;
pub use error::RecurrenceError;
pub use exclusion::Exclusion;
pub use text::{parse_at, parse_every};
pub use timetable::{Count, Occurrence, Timetable, TimetablePlanner, Walk};

/// The version of the time zone data that due instants are computed with, for example `2025b`.
#[must_use]
pub const fn zone_data_version() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

// Stored in events as it is; parse it once with `Recurrence::planner`.
/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recurrence {
    /// Clock times in a time zone.
    Cron {
        /// Five fields (minute, hour, day of month, month, day of week), six (seconds first), seven
        /// (year last), or a name such as `@daily`; as the user wrote it.
        expression: String,
        /// The IANA name of the time zone the expression is read in.
        timezone: String,
        /// What happens when the clock changes.
        #[serde(default)]
        dst: DstRule,
    },
    /// Clock times in a time zone, each part a field as in a cron expression. Day of month and day
    /// of week must both match, while a cron expression that restricts both takes either.
    Calendar {
        /// 0 to 59.
        #[serde(default = "zero")]
        second: String,
        /// 0 to 59.
        #[serde(default = "zero")]
        minute: String,
        /// 0 to 23.
        #[serde(default = "zero")]
        hour: String,
        /// 1 to 31, `L`, `LW`, `15W`.
        #[serde(default = "any")]
        day_of_month: String,
        /// 1 to 12 or a name.
        #[serde(default = "any")]
        month: String,
        /// 1970 to 2999.
        #[serde(default = "any")]
        year: String,
        /// 0 to 7 or a name, `5L`, `MON#2`.
        #[serde(default = "any")]
        day_of_week: String,
        /// The IANA name of the time zone.
        #[serde(default = "utc")]
        timezone: String,
        /// What happens when the clock changes.
        #[serde(default)]
        dst: DstRule,
    },
    /// A fixed distance in real time, aligned to the epoch: no drift, no effect of clock changes.
    Interval {
        /// The distance between two instants.
        every_ms: u64,
        /// The offset from the epoch, less than `every_ms`.
        phase_ms: u64,
    },
    /// A single instant.
    Once {
        /// The instant.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
}

fn zero() -> String {
    "0".to_owned()
}

fn any() -> String {
    "*".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What a clock change does to the times of a cron expression; see the module's text.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DstRule {
    /// Nothing is lost and nothing doubled: fixed hours run once, running hours follow real time.
    #[default]
    Once,
    /// Exactly what the wall clock shows: gap times are skipped, repeated times run twice.
    Literal,
}

/// One due instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Due {
    /// The instant.
    pub at: Timestamp,
    /// What a clock change had to do with it.
    pub dst: Option<DstNote>,
}

impl Due {
    const fn plain(at: Timestamp) -> Self {
        Self { at, dst: None }
    }
}

/// Why a due instant's wall-clock time may surprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DstNote {
    /// The expression's clock time does not exist that day; this instant stands in for it.
    Gap,
    /// The clock shows this time twice that day. Fixed hours under [`DstRule::Once`] run at the
    /// first only; in all other cases both passes are due, and both carry this note.
    Fold,
}

impl Recurrence {
    /// Every `every_ms`, counted from `created_at`: "30m" is first due 30 minutes after creation.
    #[must_use]
    pub fn interval(every_ms: u64, created_at: Timestamp) -> Self {
        let phase = i128::from(created_at.timestamp_millis())
            .checked_rem_euclid(i128::from(every_ms))
            .and_then(|phase| u64::try_from(phase).ok());
        Self::Interval { every_ms, phase_ms: phase.unwrap_or(0) }
    }

    /// Reads what may stand where a cron expression is expected: everything that
    /// [`Recurrence::parse_cron`] takes, and an interval `@every D` or `@every D/PHASE`. With a
    /// phase it is aligned to the epoch (`@every 90m/15m` is due 15 minutes after every 90th minute
    /// of it), without one it counts from `now`. Of six fields the first is the seconds.
    ///
    /// # Errors
    /// As [`Recurrence::parse_cron`], an interval that cannot be read or is out of bounds, a phase
    /// that is not less than its interval, or an interval with a `CRON_TZ=`.
    pub fn parse(
        text: &str,
        timezone: &str,
        dst: DstRule,
        now: Timestamp,
    ) -> Result<Self, RecurrenceError> {
        let (prefix, expression) = cron::split_zone(text);
        let Some(every) = cron::strip_every(expression) else {
            return Self::parse_cron(text, timezone, dst);
        };
        if let Some(timezone) = prefix {
            return Err(RecurrenceError::EveryHasNoZone { timezone: error::excerpt(timezone) });
        }
        Ok(match text::parse_every_phase(every)? {
            (every_ms, Some(phase_ms)) => Self::Interval { every_ms, phase_ms },
            (every_ms, None) => Self::interval(every_ms, now),
        })
    }

    /// Reads a cron expression: five to seven fields, a name such as `@daily`, and optionally a
    /// leading `CRON_TZ=Zone`. An empty `timezone` is UTC.
    ///
    /// # Errors
    /// Names the wrong field and what it may hold, or the unknown zone and the nearest known one.
    /// Whether the expression ever matches is checked by [`Recurrence::validate`].
    pub fn parse_cron(text: &str, timezone: &str, dst: DstRule) -> Result<Self, RecurrenceError> {
        let (prefix, expression) = cron::split_zone(text);
        let timezone = zone::choose(prefix, timezone)?;
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        cron::compile(&expression)?;
        Ok(Self::Cron { expression, timezone, dst })
    }

    /// Checks everything that must hold before a schedule is saved.
    ///
    /// # Errors
    /// An unreadable expression, an unknown zone, an expression that never matches, an interval out
    /// of bounds, or a single instant before `now`.
    pub fn validate(&self, now: Timestamp) -> Result<(), RecurrenceError> {
        match self {
            Self::Cron { .. } | Self::Calendar { .. } => match self.planner()?.next_after(now) {
                Some(_) => Ok(()),
                None => Err(RecurrenceError::NeverMatches),
            },
            Self::Interval { every_ms, phase_ms } => {
                text::check_interval(*every_ms)?;
                text::check_phase(*every_ms, *phase_ms)
            }
            Self::Once { at } if *at < now => Err(RecurrenceError::InstantPast { at: *at, now }),
            Self::Once { .. } => Ok(()),
        }
    }

    /// The parsed form, for repeated use. It is a few hundred bytes and cheap to ask.
    ///
    /// # Errors
    /// An unreadable expression or an unknown zone.
    pub fn planner(&self) -> Result<Planner, RecurrenceError> {
        Ok(Planner(match self {
            Self::Cron { expression, timezone, dst } => {
                let pattern = cron::compile(expression)?;
                Plan::Cron(Box::new(LocalPlan::new(pattern, zone::parse(timezone)?, *dst)))
            }
            Self::Calendar {
                second,
                minute,
                hour,
                day_of_month,
                month,
                year,
                day_of_week,
                timezone,
                dst,
            } => {
                let fields = [second, minute, hour, day_of_month, month, day_of_week, year];
                let pattern = cron::compile_calendar(fields.map(String::as_str))?;
                Plan::Cron(Box::new(LocalPlan::new(pattern, zone::parse(timezone)?, *dst)))
            }
            Self::Interval { every_ms, phase_ms } => {
                Plan::Interval { every_ms: *every_ms, phase_ms: *phase_ms }
            }
            Self::Once { at } => Plan::Once(*at),
        }))
    }

    /// The first due instant strictly after `after`. `None` when nothing more comes, also when the
    /// stored text cannot be read. Parses on every call; use a [`Planner`] to ask repeatedly.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Due> {
        self.planner().ok()?.next_after(after)
    }
}

/// A parsed [`Recurrence`]. Asking for the next instant costs a microsecond or so.
#[derive(Debug, Clone)]
pub struct Planner(Plan);

#[derive(Debug, Clone)]
enum Plan {
    Cron(Box<LocalPlan>),
    Interval { every_ms: u64, phase_ms: u64 },
    Once(Timestamp),
}

impl Planner {
    /// The first due instant strictly after `after`, `None` when nothing more comes.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Due> {
        let due = match &self.0 {
            Plan::Cron(plan) => plan.next_after(after)?,
            Plan::Interval { every_ms, phase_ms } => {
                Due::plain(next_interval(*every_ms, *phase_ms, after)?)
            }
            Plan::Once(at) => Due::plain(*at),
        };
        // A walk that asks again from its last answer must end, whatever the zone data holds.
        (due.at > after).then_some(due)
    }

    /// How many instants of an interval lie from `from` to `to`, both included.
    fn count_interval(&self, from: Timestamp, to: Timestamp) -> Option<u64> {
        let Plan::Interval { every_ms, phase_ms } = self.0 else {
            return None;
        };
        let (every, phase) = (i128::from(every_ms) * 1_000, i128::from(phase_ms) * 1_000);
        let index = |micros: i64| (i128::from(micros) - phase).checked_div_euclid(every);
        let count = index(to.timestamp_micros())? - index(from.timestamp_micros() - 1)?;
        u64::try_from(count).ok()
    }

    /// The next `n` due instants after `after`, at most [`limits::PREVIEW_MAX`].
    #[must_use]
    pub fn preview(&self, after: Timestamp, n: usize) -> Vec<Due> {
        std::iter::successors(self.next_after(after), |due| self.next_after(due.at))
            .take(n.min(limits::PREVIEW_MAX))
            .collect()
    }
}

/// `(floor((t - phase) / every) + 1) * every + phase`, in microseconds.
fn next_interval(every_ms: u64, phase_ms: u64, after: Timestamp) -> Option<Timestamp> {
    let every = i128::from(every_ms) * 1_000;
    let phase = i128::from(phase_ms) * 1_000;
    let since = i128::from(after.timestamp_micros()) - phase;
    let next = (since.checked_div_euclid(every)? + 1) * every + phase;
    Timestamp::from_timestamp_micros(i64::try_from(next).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(expression: &str, timezone: &str, dst: DstRule) -> Planner {
        Recurrence::parse_cron(expression, timezone, dst).unwrap().planner().unwrap()
    }

    /// Walks from `from` and compares instants; `~` marks a gap note, `*` a fold note.
    #[track_caller]
    fn check(expression: &str, timezone: &str, dst: DstRule, from: &str, expected: &[&str]) {
        let shown: Vec<String> = cron(expression, timezone, dst)
            .preview(at(from), expected.len())
            .iter()
            .map(|due| {
                let mark = match due.dst {
                    None => "",
                    Some(DstNote::Gap) => "~",
                    Some(DstNote::Fold) => "*",
                };
                format!("{}{mark}", due.at.format("%m-%dT%H:%MZ"))
            })
            .collect();
        assert_eq!(shown, expected, "{expression} in {timezone}, {dst:?}");
    }

    const NY: &str = "America/New_York";

    #[test]
    fn a_fixed_time_in_the_gap_runs_after_it_and_a_repeated_one_once() {
        let gap = "2026-03-07T12:00:00Z";
        let fold = "2026-10-31T12:00:00Z";
        // 02:30 does not exist on 8 March: it runs at 03:00 EDT, which is 07:00Z.
        check("30 2 * * *", NY, DstRule::Once, gap, &["03-08T07:00Z~", "03-09T06:30Z"]);
        check("30 2 * * *", NY, DstRule::Literal, gap, &["03-09T06:30Z", "03-10T06:30Z"]);
        // 01:30 happens twice on 1 November.
        check("30 1 * * *", NY, DstRule::Once, fold, &["11-01T05:30Z*", "11-02T06:30Z"]);
        let twice = ["11-01T05:30Z*", "11-01T06:30Z*", "11-02T06:30Z"];
        check("30 1 * * *", NY, DstRule::Literal, fold, &twice);
        // Asked from inside the second pass, what the first pass did is not repeated.
        check("30 1 * * *", NY, DstRule::Once, "2026-11-01T06:10:00Z", &["11-02T06:30Z"]);
        check(
            "*/20 1 * * *",
            NY,
            DstRule::Once,
            "2026-11-01T05:39:00Z",
            &["11-01T05:40Z*", "11-02T06:00Z"],
        );
    }

    #[test]
    fn gap_times_and_the_time_they_move_to_run_once_together() {
        let gap = "2026-03-08T06:00:00Z";
        check("*/20 2 * * *", NY, DstRule::Once, gap, &["03-08T07:00Z~", "03-09T06:00Z"]);
        check("15 2,3 * * *", NY, DstRule::Once, gap, &["03-08T07:00Z~", "03-08T07:15Z"]);
        check("0 2,3 * * *", NY, DstRule::Once, gap, &["03-08T07:00Z~", "03-09T06:00Z"]);
        check("0 2,3 * * *", NY, DstRule::Literal, gap, &["03-08T07:00Z", "03-09T06:00Z"]);
    }

    #[test]
    fn running_hours_follow_real_time() {
        let gap = "2026-03-08T06:50:00Z";
        let fold = "2026-11-01T05:50:00Z";
        for dst in [DstRule::Once, DstRule::Literal] {
            let every_five = ["03-08T06:55Z", "03-08T07:00Z", "03-08T07:05Z"];
            check("*/5 * * * *", NY, dst, gap, &every_five);
            let every_five = ["11-01T05:55Z*", "11-01T06:00Z*", "11-01T06:05Z*"];
            check("*/5 * * * *", NY, dst, fold, &every_five);
            check("30 * * * *", NY, dst, "2026-03-08T06:00:00Z", &["03-08T06:30Z", "03-08T07:30Z"]);
        }
        // 00:00 EST, then two real hours later 03:00 EDT in the place of 02:00, then 04:00 EDT.
        let even = ["03-08T05:00Z", "03-08T07:00Z~", "03-08T08:00Z"];
        check("0 */2 * * *", NY, DstRule::Once, "2026-03-08T04:00:00Z", &even);
        let literal = ["03-08T05:00Z", "03-08T08:00Z"];
        check("0 */2 * * *", NY, DstRule::Literal, "2026-03-08T04:00:00Z", &literal);
        check("30 */2 * * *", NY, DstRule::Once, "2026-03-08T06:00:00Z", &["03-08T07:30Z~"]);
    }

    #[test]
    fn every_five_minutes_is_every_five_minutes_across_both_clock_changes() {
        let planner = cron("*/5 * * * *", NY, DstRule::Once);
        for start in ["2026-03-07T00:00:00Z", "2026-10-31T00:00:00Z"] {
            let mut last = at(start);
            for _ in 0..600 {
                let due = planner.next_after(last).unwrap().at;
                assert_eq!((due - last).num_seconds(), 300, "after {last}");
                last = due;
            }
        }
    }

    #[test]
    fn half_hour_and_midnight_and_whole_day_changes() {
        // Lord Howe moves by 30 minutes: 02:00 to 02:30 is missing on 4 October (15:30Z).
        let howe = "Australia/Lord_Howe";
        let from = "2026-10-03T14:00:00Z";
        check("10 2 * * *", howe, DstRule::Once, from, &["10-03T15:30Z~", "10-04T15:10Z"]);
        check("45 2 * * *", howe, DstRule::Once, from, &["10-03T15:45Z", "10-04T15:45Z"]);
        check(
            "0 * * * *",
            howe,
            DstRule::Once,
            from,
            &["10-03T14:30Z", "10-03T15:30Z~", "10-03T16:00Z"],
        );
        // And 01:30 to 02:00 is repeated on 5 April.
        check(
            "45 1 * * *",
            howe,
            DstRule::Once,
            "2026-04-04T12:00:00Z",
            &["04-04T14:45Z*", "04-05T15:15Z"],
        );
        // Midnight itself is missing: Sao Paulo on 4 November 2018, Cairo on 24 April 2026.
        check(
            "0 0 * * *",
            "America/Sao_Paulo",
            DstRule::Once,
            "2018-11-03T12:00:00Z",
            &["11-04T03:00Z~", "11-05T02:00Z"],
        );
        check(
            "0 0 24 4 *",
            "Africa/Cairo",
            DstRule::Once,
            "2026-04-23T00:00:00Z",
            &["04-23T22:00Z~"],
        );
        // Samoa had no 30 December 2011 at all.
        check(
            "0 9 * * *",
            "Pacific/Apia",
            DstRule::Once,
            "2011-12-29T00:00:00Z",
            &["12-29T19:00Z", "12-30T10:00Z~", "12-30T19:00Z"],
        );
    }

    #[test]
    fn an_expression_that_only_matches_in_the_gap() {
        let only = "0 30 2 8 3 * 2026";
        check(only, NY, DstRule::Once, "2026-01-01T00:00:00Z", &["03-08T07:00Z~"]);
        assert_eq!(cron(only, NY, DstRule::Once).next_after(at("2026-03-08T07:00:00Z")), None);
        let literal = Recurrence::parse_cron(only, NY, DstRule::Literal).unwrap();
        let refused = literal.validate(at("2026-01-01T00:00:00Z")).unwrap_err();
        assert_eq!(refused, RecurrenceError::NeverMatches);
        // The second Sunday of March at 02:30 falls into New York's gap in every year.
        let every_year = Recurrence::parse_cron("30 2 * 3 0#2", NY, DstRule::Literal).unwrap();
        assert!(every_year.validate(at("2026-01-01T00:00:00Z")).is_err());
    }

    #[test]
    fn sub_second_and_exact_starts_are_strictly_after() {
        let planner = cron("* * * * * *", "UTC", DstRule::Once);
        for (after, expected) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
            ("2026-01-01T00:00:00.999999Z", "2026-01-01T00:00:01Z"),
            ("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(planner.next_after(at(after)).unwrap().at, at(expected), "{after}");
        }
    }

    #[test]
    fn intervals_are_aligned_and_first_due_one_interval_after_creation() {
        let created = at("2026-05-05T10:07:13.123456Z");
        let half_hour = Recurrence::interval(1_800_000, created);
        assert_eq!(half_hour.next_after(created).unwrap().at, at("2026-05-05T10:37:13.123Z"));
        assert_eq!(half_hour.validate(created), Ok(()));
        let aligned = Recurrence::Interval { every_ms: 3_600_000, phase_ms: 0 };
        assert_eq!(
            aligned.next_after(at("2026-05-05T10:00:00Z")).unwrap().at,
            at("2026-05-05T11:00:00Z")
        );
        let broken = Recurrence::interval(0, created);
        assert_eq!(broken.next_after(created), None);
        for (every_ms, phase_ms) in
            [(0, 0), (999, 0), (limits::INTERVAL_MS_MAX + 1, 0), (5_000, 5_000)]
        {
            assert!(Recurrence::Interval { every_ms, phase_ms }.validate(created).is_err());
        }
    }

    #[test]
    fn a_single_instant_is_due_once_and_not_in_the_past() {
        let once = Recurrence::Once { at: at("2026-05-05T10:00:00Z") };
        assert_eq!(
            once.next_after(at("2026-05-05T09:59:59Z")),
            Some(Due::plain(at("2026-05-05T10:00:00Z")))
        );
        assert_eq!(once.next_after(at("2026-05-05T10:00:00Z")), None);
        assert_eq!(once.validate(at("2026-05-05T10:00:00Z")), Ok(()));
        let late = once.validate(at("2026-05-05T10:00:01Z")).unwrap_err().to_string();
        assert!(late.contains("in the past"), "{late}");
    }

    #[test]
    fn what_never_matches_is_refused_and_leap_days_are_not() {
        let now = at("2097-01-01T00:00:00Z");
        for (expression, matches) in [
            ("0 0 31 2 *", false),
            ("0 0 30 2 *", false),
            ("0 0 0 1 1 * 2020", false),
            ("0 0 1 * +MON#2", false),
            // 2100 is no leap year: seven years to the next one.
            ("0 0 29 2 *", true),
            ("0 0 29 2 +MON", true),
            ("0 0 31 2 MON", true),
        ] {
            let spec = Recurrence::parse_cron(expression, "UTC", DstRule::Once).unwrap();
            assert_eq!(spec.validate(now).is_ok(), matches, "{expression}");
        }
    }

    #[test]
    fn stored_text_that_cannot_be_read_has_no_next_instant() {
        for (expression, timezone) in [("nonsense", "UTC"), ("* * * * *", "Mars/Olympus"), ("", "")]
        {
            let (expression, timezone) = (expression.to_owned(), timezone.to_owned());
            let stored = Recurrence::Cron { expression, timezone, dst: DstRule::Once };
            assert_eq!(stored.next_after(Timestamp::UNIX_EPOCH), None);
            assert!(stored.validate(Timestamp::UNIX_EPOCH).is_err());
        }
    }

    #[test]
    fn json_is_stable_and_the_dst_rule_may_be_missing() {
        let json = r#"{"kind":"cron","expression":"@daily","timezone":"UTC"}"#;
        let read: Recurrence = serde_json::from_str(json).unwrap();
        assert_eq!(read, Recurrence::parse_cron("@daily", "", DstRule::Once).unwrap());
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"kind":"cron","expression":"@daily","timezone":"UTC","dst":"once"}"#
        );
        let interval = Recurrence::Interval { every_ms: 5_000, phase_ms: 1 };
        assert_eq!(
            serde_json::to_string(&interval).unwrap(),
            r#"{"kind":"interval","every_ms":5000,"phase_ms":1}"#
        );
        let due = Due { at: Timestamp::UNIX_EPOCH, dst: Some(DstNote::Gap) };
        assert_eq!(
            serde_json::to_string(&due).unwrap(),
            r#"{"at":"1970-01-01T00:00:00Z","dst":"gap"}"#
        );
    }

    #[test]
    fn a_calendar_asks_for_both_days_and_has_defaults() {
        let json = r#"{"kind":"calendar","hour":"9","day_of_month":"15","day_of_week":"MON"}"#;
        let both: Recurrence = serde_json::from_str(json).unwrap();
        let dues = both.planner().unwrap().preview(at("2026-01-01T00:00:00Z"), 3);
        let shown: Vec<_> = dues.iter().map(|due| due.at.to_rfc3339()).collect();
        let expected =
            ["2026-06-15T09:00:00+00:00", "2027-02-15T09:00:00+00:00", "2027-03-15T09:00:00+00:00"];
        assert_eq!(shown, expected);
        let written = r#"{"kind":"calendar","second":"0","minute":"0","hour":"9","day_of_month":"15","month":"*","year":"*","day_of_week":"MON","timezone":"UTC","dst":"once"}"#;
        assert_eq!(serde_json::to_string(&both).unwrap(), written);
        let daily: Recurrence = serde_json::from_str(r#"{"kind":"calendar"}"#).unwrap();
        let midnight = daily.next_after(at("2026-01-01T12:00:00Z"));
        assert_eq!(midnight, Some(Due::plain(at("2026-01-02T00:00:00Z"))));
    }

    #[test]
    fn a_calendar_knows_zones_years_and_clock_changes_and_refuses_what_never_comes() {
        let read = |json: &str| serde_json::from_str::<Recurrence>(json).unwrap();
        let gap = read(
            r#"{"kind":"calendar","hour":"2","minute":"30","year":"2026-2027","month":"3","day_of_week":"SUN","day_of_month":"8-14","timezone":"America/New_York"}"#,
        );
        let dues = gap.planner().unwrap().preview(at("2026-01-01T00:00:00Z"), 5);
        let note = Some(DstNote::Gap);
        let expected = ["2026-03-08T07:00:00Z", "2027-03-14T07:00:00Z"].map(at);
        assert_eq!(dues, expected.map(|at| Due { at, dst: note }));
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(gap.validate(now), Ok(()));
        for (json, part) in [
            (r#"{"kind":"calendar","month":"2","day_of_month":"30"}"#, "never matches"),
            (r#"{"kind":"calendar","year":"2020"}"#, "never matches"),
            (r#"{"kind":"calendar","minute":"60"}"#, "minute field"),
            (r#"{"kind":"calendar","month":""}"#, "month field"),
            (r#"{"kind":"calendar","hour":"1 2"}"#, "hour field"),
            (r#"{"kind":"calendar","timezone":"berlin"}"#, "Europe/Berlin"),
        ] {
            let refused = read(json).validate(now).unwrap_err().to_string();
            assert!(refused.contains(part), "{json}: {refused}");
        }
    }

    #[test]
    fn an_interval_may_stand_where_a_cron_expression_does() {
        let now = at("2026-05-05T10:07:13Z");
        let parse = |text: &str| Recurrence::parse(text, "", DstRule::Once, now);
        let interval = |every_ms, phase_ms| Ok(Recurrence::Interval { every_ms, phase_ms });
        assert_eq!(parse("@every 90m/15m"), interval(5_400_000, 900_000));
        assert_eq!(parse(" @EVERY  1h30m / 0s "), interval(5_400_000, 0));
        assert_eq!(parse("@every 30m"), Ok(Recurrence::interval(1_800_000, now)));
        let first = parse("@every 90m/15m").unwrap().next_after(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(first.at, at("1970-01-01T00:15:00Z"));
        for text in ["@daily", "30 9 * * *", "15 30 9 * * *", "CRON_TZ=Asia/Tokyo 0 9 * * *"] {
            assert_eq!(parse(text), Recurrence::parse_cron(text, "", DstRule::Once), "{text}");
        }
        for (text, part) in [
            ("@every 90m/90m", "not less than the interval"),
            ("@every 90", "has no unit"),
            ("@every", "@every"),
            ("@every 5m/soon", "cannot be read"),
            ("@every 10ms", "too short"),
            ("CRON_TZ=Asia/Tokyo @every 5m", "remove `CRON_TZ=Asia/Tokyo`"),
            ("61 * * * *", "minute field"),
        ] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{text:?}: {refused}");
        }
    }
}
