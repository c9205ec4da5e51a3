//! What can be wrong with a recurrence. Every text says what is wrong, why, and what to do.

use crate::clock::Timestamp;
use crate::limits;
use crate::spoken::{duration, instant};

/// Why a recurrence was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
    /// There is no expression.
    #[error("the cron expression is empty: give five fields, for example `0 9 * * MON-FRI`")]
    CronEmpty,
    /// The expression is longer than the bound.
    #[error("the cron expression is {bytes} bytes long, at most {max} are allowed: split it into several schedules", max = limits::CRON_EXPRESSION_BYTES_MAX)]
    CronTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The number of fields is not five, six or seven.
    #[error(
        "the cron expression has {count} fields: give 5 (minute hour day-of-month month day-of-week), 6 (seconds first) or 7 (seconds first, year last)"
    )]
    FieldCount {
        /// How many there are.
        count: usize,
    },
    /// One field is wrong.
    #[error("the {field} field {text:?} is wrong: {problem}; allowed: {allowed}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What was given for it.
        text: String,
        /// What is wrong with it.
        problem: String,
        /// What the field may hold.
        allowed: &'static str,
    },
    /// The fields are well formed but cannot be combined.
    #[error(
        "the cron expression {expression:?} cannot be used: {problem}; check it field by field"
    )]
    Cron {
        /// What was given.
        expression: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A name that is not known.
    #[error(
        "the name {name:?} is not known: use @hourly, @daily, @weekly, @monthly, @yearly or five fields"
    )]
    UnknownName {
        /// What was given.
        name: String,
    },
    /// `@every` is no clock time.
    #[error(
        "`@every` is not a clock time: make this an interval schedule with {every:?} instead of a cron schedule"
    )]
    EveryIsAnInterval {
        /// The distance that was asked for.
        every: String,
    },
    /// A stored expression carries its zone as a prefix.
    #[error(
        "the cron expression names a time zone: remove `CRON_TZ=` and put the zone into the time zone field"
    )]
    ZoneInExpression,
    /// Two time zones were given.
    #[error(
        "two time zones were given, `CRON_TZ={prefix}` in the expression and {timezone:?} beside it: keep one of them"
    )]
    ZoneConflict {
        /// The zone in the expression.
        prefix: String,
        /// The zone given beside it.
        timezone: String,
    },
    /// The time zone is not known.
    #[error("the time zone {timezone:?} is not known: {}", remedy(.suggestion.as_deref()))]
    UnknownZone {
        /// What was given.
        timezone: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// No instant matches.
    #[error("the recurrence never matches: no such time comes in the next {years} years (as with 31 February, a year that is over, or a time that a clock change always skips): change the day, month, year or hour", years = limits::CRON_SEARCH_YEARS_MAX)]
    NeverMatches,
    /// A timetable without a recurrence.
    #[error(
        "the timetable has no recurrence: give at least one cron expression, interval or instant"
    )]
    NoSpecs,
    /// Too many recurrences.
    #[error("the timetable has {count} recurrences, at most {max} are allowed: split it into several schedules", max = limits::TIMETABLE_SPECS_MAX)]
    TooManySpecs {
        /// How many there are.
        count: usize,
    },
    /// Too many exclusions.
    #[error("the timetable has {count} exclusions, at most {max} are allowed: join neighbouring ones to spans, or write a cron expression that covers several", max = limits::TIMETABLE_EXCLUSIONS_MAX)]
    TooManyExclusions {
        /// How many there are.
        count: usize,
    },
    /// The jitter is too long.
    #[error("the jitter of {} is too long: the longest is {}", duration(*.jitter_ms), duration(limits::JITTER_MS_MAX))]
    JitterTooLong {
        /// What was given.
        jitter_ms: u64,
    },
    /// The timetable ends before it starts.
    #[error("the timetable starts at {start_at} and ends at {end_at}: the end must be later")]
    EndsBeforeStart {
        /// Its first instant.
        start_at: Timestamp,
        /// Its last instant.
        end_at: Timestamp,
    },
    /// Nothing is due before the end.
    #[error(
        "nothing is due until the timetable ends at {end_at}: give a later end, or none, or change the recurrence"
    )]
    NothingBeforeEnd {
        /// Its last instant.
        end_at: Timestamp,
    },
    /// The exclusions leave nothing.
    #[error("the exclusions leave no instant: each one the recurrence has is covered (searched until the end, {years} years ahead, or through {skips} excluded stretches): remove or narrow an exclusion", years = limits::CRON_SEARCH_YEARS_MAX, skips = limits::EXCLUDED_SKIPS_MAX)]
    AllExcluded,
    /// An exclusion is wrong.
    #[error("exclusion {number} is wrong: {problem}")]
    Exclusion {
        /// Its place, from 1.
        number: usize,
        /// What is wrong with it.
        problem: Box<RecurrenceError>,
    },
    /// An exclusion's text cannot be read.
    #[error(
        "the exclusion {text:?} cannot be read: {problem}; allowed: a date `2026-12-25`, a range of dates `2026-12-24/2026-12-26` (both included), a range of instants `2026-12-24T18:00:00Z/2026-12-27T06:00:00Z`, or a cron expression such as `* * 25 12 *`"
    )]
    ExclusionUnreadable {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A span that holds nothing.
    #[error(
        "the span from {from} until {until} holds no instant: its end must be later than its beginning"
    )]
    SpanEmpty {
        /// Its first instant.
        from: Timestamp,
        /// The first instant after it.
        until: Timestamp,
    },
    /// An interval with a time zone.
    #[error("an interval counts real time and knows no time zone: remove `CRON_TZ={timezone}`")]
    EveryHasNoZone {
        /// The zone in the expression.
        timezone: String,
    },
    /// The interval is too short.
    #[error("the interval of {} is too short: the shortest is {}, because a run takes longer than that", duration(*.every_ms), duration(limits::INTERVAL_MS_MIN))]
    IntervalTooShort {
        /// What was given.
        every_ms: u64,
    },
    /// The interval is too long.
    #[error("the interval of {} is too long: the longest is {}; use a single instant", duration(*.every_ms), duration(limits::INTERVAL_MS_MAX))]
    IntervalTooLong {
        /// What was given.
        every_ms: u64,
    },
    /// The phase is not less than the interval.
    #[error(
        "the phase of {phase_ms} ms is not less than the interval of {every_ms} ms: give the remainder, a phase is an offset within one interval"
    )]
    PhaseTooLong {
        /// The phase.
        phase_ms: u64,
        /// The interval.
        every_ms: u64,
    },
    /// A duration without a unit.
    #[error(
        "the interval {text:?} has no unit, so it could mean seconds or minutes: write `{text}s`, `{text}m` or `{text}h`"
    )]
    EveryWithoutUnit {
        /// What was given.
        text: String,
    },
    /// A duration that cannot be read.
    #[error(
        "the interval {text:?} cannot be read: {problem}; write for example `30s`, `15m`, `1h30m` or `2d`"
    )]
    EveryUnreadable {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The instant is over.
    #[error("the instant {} is in the past (it is {}): give a later one, or `now`", instant(*.at), instant(*.now))]
    InstantPast {
        /// What was given.
        at: Timestamp,
        /// The current instant.
        now: Timestamp,
    },
    /// An instant without an offset.
    #[error(
        "the instant {text:?} has no UTC offset, so it could mean several instants: append `Z` for UTC or an offset such as `+02:00`"
    )]
    InstantWithoutOffset {
        /// What was given.
        text: String,
    },
    /// An instant that cannot be read.
    #[error(
        "the instant {text:?} cannot be read: write `now` or an RFC 3339 instant such as `2026-03-08T02:30:00Z`"
    )]
    InstantUnreadable {
        /// What was given.
        text: String,
    },
}

/// A user's text, short enough for a message.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn remedy(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            "give an IANA name such as `Europe/Berlin` or `UTC`, not an abbreviation or an offset"
                .to_owned()
        }
    }
}
