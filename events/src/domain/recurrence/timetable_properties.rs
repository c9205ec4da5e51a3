//! Compares a timetable with a slow and obvious model: look at every second of a window, ask of each
//! recurrence and each exclusion by itself whether it holds that second, and nothing else.

use chrono::{DurationRound, TimeDelta};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;
use proptest::prelude::*;

use super::{Count, DstRule, Exclusion, Recurrence, Timetable};
use crate::clock::Timestamp;
use crate::ids::ScheduleId;

/// Windows of six hours begin at these: two clock changes, and none.
const WINDOWS: [&str; 3] = ["2026-03-08T04:00:00Z", "2026-11-01T03:30:00Z", "2026-07-15T12:00:00Z"];
const WINDOW_SECONDS: i64 = 6 * 3_600;

/// Whether a recurrence or an exclusion holds a second.
enum Rule {
    Clock { cron: Box<Cron>, zone: Tz, minutes: bool },
    Every { seconds: i64, phase: i64 },
    Span { from: Timestamp, until: Timestamp },
}

impl Rule {
    fn clock(expression: &str, timezone: &str, both: bool, minutes: bool) -> Self {
        let parser = CronParser::builder().sloppy_ranges(true).dom_and_dow(both).build();
        let cron = Box::new(parser.parse(expression).unwrap());
        Self::Clock { cron, zone: timezone.parse().unwrap(), minutes }
    }

    fn of_recurrence(spec: &Recurrence) -> Self {
        match spec {
            Recurrence::Cron { expression, timezone, .. } => {
                Self::clock(expression, timezone, false, false)
            }
            Recurrence::Calendar {
                second,
                minute,
                hour,
                day_of_month,
                month,
                day_of_week,
                timezone,
                ..
            } => {
                let text = format!("{second} {minute} {hour} {day_of_month} {month} {day_of_week}");
                Self::clock(&text, timezone, true, false)
            }
            Recurrence::Interval { every_ms, phase_ms } => Self::Every {
                seconds: i64::try_from(every_ms / 1_000).unwrap(),
                phase: i64::try_from(phase_ms / 1_000).unwrap(),
            },
            Recurrence::Once { at } => Self::Span { from: *at, until: *at + TimeDelta::seconds(1) },
        }
    }

    fn of_exclusion(exclusion: &Exclusion) -> Self {
        match exclusion {
            Exclusion::Cron { expression, timezone } => {
                Self::clock(expression, timezone, false, expression.split(' ').count() == 5)
            }
            Exclusion::Span { from, until } => Self::Span { from: *from, until: *until },
        }
    }

    fn holds(&self, at: Timestamp) -> bool {
        match self {
            Self::Clock { cron, zone, minutes } => {
                let clock = at.with_timezone(zone).naive_local();
                let clock = if *minutes {
                    clock.duration_trunc(TimeDelta::minutes(1)).unwrap()
                } else {
                    clock
                };
                cron.is_time_matching(&clock).unwrap()
            }
            Self::Every { seconds, phase } => (at.timestamp() - phase) % seconds == 0,
            Self::Span { from, until } => (*from..*until).contains(&at),
        }
    }
}

/// All instants that are due from `start` to `end`, both included.
fn model(timetable: &Timetable, start: Timestamp, end: Timestamp) -> Vec<Timestamp> {
    let specs: Vec<_> = timetable.specs.iter().map(Rule::of_recurrence).collect();
    let exclusions: Vec<_> = timetable.exclusions.iter().map(Rule::of_exclusion).collect();
    let mut dues = vec![];
    let mut at = start;
    while at <= end {
        if specs.iter().any(|rule| rule.holds(at))
            && !exclusions.iter().any(|rule| rule.holds(at))
            && timetable.start_at.is_none_or(|first| at >= first)
            && timetable.end_at.is_none_or(|last| at <= last)
        {
            dues.push(at);
        }
        at += TimeDelta::seconds(1);
    }
    dues
}

fn zone() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["UTC", "America/New_York", "Asia/Kolkata"]).prop_map(str::to_owned)
}

fn clock(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(choices).prop_map(str::to_owned)
}

/// Recurrences of a window that begins at `start`.
fn spec(start: Timestamp) -> impl Strategy<Value = Recurrence> {
    // The literal rule is the one that says nothing beyond what the clock shows.
    let dst = DstRule::Literal;
    let cron = clock(&[
        "*/7 * * * *",
        "30 * * * *",
        "0,15 0-5/2 * * *",
        "*/40 */5 * * * *",
        "30 1,2 * * *",
        "0 12 15 * 1",
        "5 * * 3 0",
    ]);
    let day = clock(&["*", "1", "8", "1-7", "15"]);
    prop_oneof![
        3 => (cron, zone()).prop_map(move |(expression, timezone)| {
            Recurrence::Cron { expression, timezone, dst }
        }),
        2 => (clock(&["*/10", "0", "1,2"]), day, clock(&["*", "0", "3", "MON-FRI"]), zone()).prop_map(
            move |(minute, day_of_month, day_of_week, timezone)| Recurrence::Calendar {
                second: "0".to_owned(),
                minute,
                hour: "*".to_owned(),
                day_of_month,
                month: "*".to_owned(),
                year: "*".to_owned(),
                day_of_week,
                timezone,
                dst,
            }
        ),
        2 => (60u64..4_000, any::<u64>()).prop_map(|(every, phase)| Recurrence::Interval {
            every_ms: every * 1_000,
            phase_ms: phase % every * 1_000,
        }),
        1 => (0..WINDOW_SECONDS).prop_map(move |second| Recurrence::Once {
            at: start + TimeDelta::seconds(second)
        }),
    ]
}

fn exclusion(start: Timestamp) -> impl Strategy<Value = Exclusion> {
    let cron = clock(&[
        "* 1 * * *",
        "*/15 * * * *",
        "30-59 */2 * * *",
        "0 * * * * *",
        "* * 8 3 *",
        "* * * * 3",
        "20-50 10 * * * *",
    ]);
    prop_oneof![
        (cron, zone()).prop_map(|(expression, timezone)| Exclusion::Cron { expression, timezone }),
        (0..WINDOW_SECONDS, 1..9_000i64).prop_map(move |(from, seconds)| {
            let from = start + TimeDelta::seconds(from);
            Exclusion::Span { from, until: from + TimeDelta::seconds(seconds) }
        }),
    ]
}

fn timetable() -> impl Strategy<Value = (Timestamp, Timetable)> {
    prop::sample::select(&WINDOWS[..]).prop_flat_map(|start| {
        let start: Timestamp = start.parse().unwrap();
        let instant =
            move || (0..WINDOW_SECONDS).prop_map(move |second| start + TimeDelta::seconds(second));
        let parts = (
            prop::collection::vec(spec(start), 1..5),
            prop::collection::vec(exclusion(start), 0..4),
            prop_oneof![Just(0), 1u64..5_000, 1u64..7_200_000],
            prop::option::of(instant()),
            prop::option::of(instant()),
        );
        parts.prop_map(move |(specs, exclusions, jitter_ms, start_at, end_at)| {
            (start, Timetable { specs, exclusions, jitter_ms, start_at, end_at })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_timetable_agrees_with_the_obvious_model(
        (start, timetable) in timetable(),
        id in any::<u128>(),
        seconds in prop::collection::vec(0..WINDOW_SECONDS, 8),
    ) {
        let id = ScheduleId(uuid::Uuid::from_u128(id));
        let end = start + TimeDelta::seconds(WINDOW_SECONDS);
        let expected = model(&timetable, start, end);
        let planner = timetable.planner(id).unwrap();
        let before = start - TimeDelta::microseconds(1);
        let walked: Vec<_> = planner.walk(before).take_while(|next| next.due_at <= end).collect();
        let dues: Vec<_> = walked.iter().map(|next| next.due_at).collect();
        prop_assert_eq!(&dues, &expected, "{:?}", timetable);

        // Jitter: never early, never late by more than it may be, never beyond the next one.
        let jitter = TimeDelta::milliseconds(i64::try_from(timetable.jitter_ms).unwrap());
        for next in &walked {
            let late = next.starts_at - next.due_at;
            prop_assert!(late >= TimeDelta::zero() && late <= jitter, "{:?}", next);
            prop_assert!(jitter.is_zero() || late < jitter, "{:?}", next);
        }
        for (one, next) in walked.iter().zip(walked.iter().skip(1)) {
            prop_assert!(one.starts_at < next.due_at, "{:?} {:?}", one, next);
        }
        // The same answer from anywhere, and from a planner of its own.
        let other = timetable.planner(id).unwrap();
        for second in seconds {
            let after = start + TimeDelta::seconds(second);
            let next = other.next_after(after).filter(|next| next.due_at <= end);
            prop_assert_eq!(next, walked.iter().find(|next| next.due_at > after).copied());
        }
        let count = u64::try_from(expected.len()).unwrap();
        prop_assert_eq!(planner.count(start, end, u64::MAX), Count::Exactly(count));
        prop_assert_eq!(planner.count(start, end, count), Count::Exactly(count));
        if count > 0 {
            // A single interval is counted by arithmetic, and exactly whatever the bound.
            let arithmetic = matches!(timetable.specs[..], [Recurrence::Interval { .. }])
                && timetable.exclusions.is_empty();
            match planner.count(start, end, count - 1) {
                Count::Exactly(exact) => prop_assert!(arithmetic && exact == count),
                Count::About(about) => prop_assert!(about >= count, "about {about} for {count}"),
            }
        }
        prop_assert_eq!(planner.preview(before, 3), planner.walk(before).take(3).collect::<Vec<_>>());
    }

    #[test]
    fn no_exclusion_text_panics(text in any::<String>(), zone in any::<String>()) {
        for text in [&text, &format!("2026-{text}"), &format!("2026-12-24/{text}")] {
            prop_assert_eq!(Exclusion::parse(text, &zone), Exclusion::parse(text, &zone));
            if let Ok(exclusion) = Exclusion::parse(text, "UTC") {
                prop_assert!(exclusion.planner().is_ok());
            }
            let _ = Recurrence::parse(text, &zone, DstRule::Once, Timestamp::UNIX_EPOCH);
        }
    }
}
