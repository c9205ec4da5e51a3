//! Searches the next match of a cron pattern on a clock without a time zone, counted in seconds
//! from the epoch as if the clock were UTC. Times of day are found in bit masks; `croner` decides
//! which days match.

use chrono::{DateTime, Datelike, NaiveDate};
use croner::{CronComponent, CronPattern, Weekday};

use crate::limits;

const DAY_SECONDS: i64 = 86_400;
const ALL_HOURS: u64 = (1 << 24) - 1;
const ALL_SIXTY: u64 = (1 << 60) - 1;

/// A parsed cron expression.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    seconds: u64,
    minutes: u64,
    hours: u64,
    years: Years,
    days: CronPattern,
    running_hours: bool,
}

#[derive(Debug, Clone)]
enum Years {
    Any,
    Of(Vec<u16>),
}

impl Pattern {
    /// `running_hours` says that the hour field has a `*` or a step, `any_year` that the years in
    /// `days` are not to be looked at.
    pub(super) fn new(mut days: CronPattern, running_hours: bool, any_year: bool) -> Self {
        let hours = mask(&days.hours);
        let years = if any_year {
            Years::Any
        } else {
            Years::Of(days.years.values().into_iter().filter(|year| *year >= 1970).collect())
        };
        let (seconds, minutes) = (mask(&days.seconds), mask(&days.minutes));
        // Only the day rules are asked again; a year field takes 5 KB, per schedule.
        days.years = CronComponent::default();
        Self {
            seconds,
            minutes,
            hours,
            years,
            days,
            running_hours: running_hours || hours == ALL_HOURS,
        }
    }

    /// Whether the hours run on (`*`, a step, all 24) as opposed to a fixed list.
    pub(super) const fn has_running_hours(&self) -> bool {
        self.running_hours
    }

    /// Whether the clock time matches.
    pub(super) fn matches(&self, clock: i64) -> bool {
        let second = clock.rem_euclid(DAY_SECONDS);
        self.time_from(second) == Some(second)
            && DateTime::from_timestamp(clock, 0)
                .is_some_and(|at| self.date_matches(at.date_naive()))
    }

    /// How many seconds from `clock` on match for certain, where `clock` itself does.
    pub(super) const fn stretch(&self, clock: i64) -> i64 {
        let unit = if self.seconds != ALL_SIXTY {
            1
        } else if self.minutes != ALL_SIXTY {
            60
        } else if self.hours != ALL_HOURS {
            3_600
        } else {
            DAY_SECONDS
        };
        unit - clock.rem_euclid(unit)
    }

    /// The first matching clock time at or after `clock`. `None` when there is none within
    /// [`limits::CRON_SEARCH_YEARS_MAX`].
    pub(super) fn next_from(&self, clock: i64) -> Option<i64> {
        let date = DateTime::from_timestamp(clock, 0)?.date_naive();
        if self.date_matches(date)
            && let Some(second) = self.time_from(clock.rem_euclid(DAY_SECONDS))
        {
            return Some(clock - clock.rem_euclid(DAY_SECONDS) + second);
        }
        let date = self.next_date(date.succ_opt()?)?;
        let midnight = date.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
        Some(midnight + self.time_from(0)?)
    }

    fn date_matches(&self, date: NaiveDate) -> bool {
        self.year_matches(date) && self.month_matches(date) && self.day_matches(date)
    }

    fn next_date(&self, from: NaiveDate) -> Option<NaiveDate> {
        let last_year = from.year().checked_add(limits::CRON_SEARCH_YEARS_MAX)?;
        let mut date = from;
        while date.year() <= last_year {
            if !self.year_matches(date) {
                date = NaiveDate::from_ymd_opt(date.year() + 1, 1, 1)?;
            } else if !self.month_matches(date) {
                date = date.with_day(1)?.checked_add_months(chrono::Months::new(1))?;
            } else if !self.day_matches(date) {
                date = date.succ_opt()?;
            } else {
                return Some(date);
            }
        }
        None
    }

    fn year_matches(&self, date: NaiveDate) -> bool {
        match &self.years {
            Years::Any => true,
            Years::Of(years) => {
                u16::try_from(date.year()).is_ok_and(|year| years.binary_search(&year).is_ok())
            }
        }
    }

    fn month_matches(&self, date: NaiveDate) -> bool {
        self.days.month_match(date.month()).unwrap_or(false)
    }

    fn day_matches(&self, date: NaiveDate) -> bool {
        let weekday = Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        self.days.day_match(date.year(), date.month(), date.day(), weekday).unwrap_or(false)
    }

    /// The first matching second of a day at or after `second`.
    fn time_from(&self, second: i64) -> Option<i64> {
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let first_minute = next_bit(self.minutes, 0)?;
        let first_second = next_bit(self.seconds, 0)?;
        if next_bit(self.hours, hour) == Some(hour) {
            if next_bit(self.minutes, minute) == Some(minute)
                && let Some(second) = next_bit(self.seconds, second)
            {
                return Some(hour * 3_600 + minute * 60 + second);
            }
            if let Some(minute) = next_bit(self.minutes, minute + 1) {
                return Some(hour * 3_600 + minute * 60 + first_second);
            }
        }
        let hour = next_bit(self.hours, hour + 1)?;
        Some(hour * 3_600 + first_minute * 60 + first_second)
    }
}

fn mask(field: &CronComponent) -> u64 {
    field.values().into_iter().filter(|value| *value < 64).fold(0, |mask, value| mask | 1 << value)
}

/// The lowest bit set in `mask` at or above `from`, which is below 64.
fn next_bit(mask: u64, from: i64) -> Option<i64> {
    let rest = mask & (u64::MAX << from);
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}
