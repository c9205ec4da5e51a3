//! Compares the planner with a slow and obvious model: walk every minute around a clock change,
//! note what the wall clock shows, and apply the written rule. Whether a clock time matches is
//! asked of `croner`, so the planner's own search is checked as well.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;
use proptest::prelude::*;

use super::{DstNote, DstRule, Due, Planner, Recurrence, parse_at, parse_every};
use crate::clock::Timestamp;

/// Days with a clock change: an hour, 30 minutes, two hours, at midnight, a whole day, a change of
/// the zone itself, a quarter of an hour, and none.
const CHANGES: [(&str, &str); 16] = [
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("Europe/Dublin", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("America/St_Johns", "1988-10-30"),
    ("Asia/Pyongyang", "2018-05-05"),
    ("Asia/Kolkata", "2026-03-08"),
];

pub(super) struct Model {
    zone: Tz,
    cron: Cron,
    step: TimeDelta,
    /// Clock times, in the order of the clock, with the instants that show them.
    shown: BTreeMap<NaiveDateTime, Vec<DateTime<Utc>>>,
}

impl Model {
    /// Walks from `start` to `end` by `step`: a minute, or a second for an expression of six fields.
    pub(super) fn new(
        expression: &str,
        zone: Tz,
        start: Timestamp,
        end: Timestamp,
        step: TimeDelta,
    ) -> Self {
        let cron = CronParser::builder().sloppy_ranges(true).build().parse(expression).unwrap();
        let mut shown: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut at = start;
        while at < end {
            shown.entry(at.with_timezone(&zone).naive_local()).or_default().push(at);
            at += step;
        }
        Self { zone, cron, step, shown }
    }

    fn matches(&self, clock: NaiveDateTime) -> bool {
        self.cron.is_time_matching(&clock).unwrap()
    }

    /// The last clock time before a gap that holds `clock`, and the first one behind it.
    fn around(&self, clock: NaiveDateTime) -> (NaiveDateTime, NaiveDateTime) {
        let before = self.shown.range(..clock).next_back().unwrap();
        let behind = self.shown.range(clock..).next().unwrap();
        (*before.0, *behind.0)
    }

    /// All due instants between the first and the last clock time shown.
    pub(super) fn dues(
        &self,
        rule: DstRule,
        running: bool,
    ) -> BTreeMap<Timestamp, Option<DstNote>> {
        let mut dues = BTreeMap::new();
        let mut moved = BTreeSet::new();
        let (first, last) = (self.shown.keys().next().unwrap(), self.shown.keys().last().unwrap());
        let mut clock = *first;
        while clock <= *last {
            if self.matches(clock) {
                match self.shown.get(&clock).map(Vec::as_slice) {
                    Some([at]) => {
                        dues.insert(*at, None);
                    }
                    Some([at, ..]) if rule == DstRule::Once && !running => {
                        dues.insert(*at, Some(DstNote::Fold));
                    }
                    Some(all) => {
                        dues.extend(all.iter().map(|at| (*at, Some(DstNote::Fold))));
                    }
                    None if rule == DstRule::Literal => {}
                    None => {
                        let (before, behind) = self.around(clock);
                        moved.insert(if running {
                            *self.shown[&before].last().unwrap() + (clock - before)
                        } else {
                            self.shown[&behind][0]
                        });
                    }
                }
            }
            clock += self.step;
        }
        for at in moved {
            let natural = self.matches(at.with_timezone(&self.zone).naive_local());
            if !(running && natural) {
                dues.insert(at, Some(DstNote::Gap));
            }
        }
        dues
    }
}

fn walk(planner: &Planner, start: Timestamp, end: Timestamp) -> Vec<(Timestamp, Option<DstNote>)> {
    let mut dues = Vec::new();
    let mut after = start;
    while let Some(Due { at, dst }) = planner.next_after(after).filter(|due| due.at < end) {
        assert!(at > after, "{at} is not after {after}");
        dues.push((at, dst));
        after = at;
    }
    dues
}

fn field(max: u32, often: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        2 => prop::sample::select(often).prop_map(str::to_owned),
        2 => (2..=max / 2).prop_map(|step| format!("*/{step}")),
        1 => (0..max, 2..9u32).prop_map(|(from, step)| format!("{from}/{step}")),
        2 => (0..max).prop_map(|value| value.to_string()),
        1 => (0..max, 0..max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        2 => prop::collection::btree_set(0..max, 1..5).prop_map(|values| {
            values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
        }),
    ]
}

/// An expression, and whether its hours run on as the rule has it.
fn expression() -> impl Strategy<Value = (String, bool)> {
    let minute = field(60, &["0", "30", "0,15,45", "*/20"]);
    let hour = field(24, &["0", "1", "2", "3", "1-3", "0,2", "23", "0-23"]);
    let days =
        prop::sample::select(vec!["* * *", "* * *", "* * 0", "1-7 * *", "*/2 * 5", "L * 0#1"]);
    (minute, hour, days).prop_map(|(minute, hour, days)| {
        let running = hour.contains(['*', '/']) || hour == "0-23";
        (format!("{minute} {hour} {days}"), running)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_planner_agrees_with_the_obvious_model(
        (expression, running) in expression(),
        (zone, day) in prop::sample::select(&CHANGES[..]),
        rule in prop::sample::select(&[DstRule::Once, DstRule::Literal][..]),
        starts in prop::collection::vec(0..3 * 86_400_000_000i64, 12),
    ) {
        let middle: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
        // The model sees a day more on both sides: a gap may be a day long.
        let (start, end) = (middle - TimeDelta::hours(36), middle + TimeDelta::hours(36));
        let margin = TimeDelta::hours(30);
        let tz: Tz = zone.parse().unwrap();
        let model = Model::new(&expression, tz, start - margin, end + margin, TimeDelta::minutes(1))
            .dues(rule, running);
        let expected: Vec<_> = model
            .range(start + TimeDelta::microseconds(1)..end)
            .map(|(at, note)| (*at, *note))
            .collect();
        let planner = Recurrence::parse_cron(&expression, zone, rule).unwrap().planner().unwrap();
        prop_assert_eq!(walk(&planner, start, end), expected, "{} in {} {:?}", expression, zone, rule);
        for micros in starts {
            let after = start + TimeDelta::microseconds(micros);
            let expected = model.range(after + TimeDelta::microseconds(1)..end).next();
            let next = planner.next_after(after).filter(|due| due.at < end);
            prop_assert_eq!(
                next.map(|due| (due.at, due.dst)),
                expected.map(|(at, note)| (*at, *note)),
                "{} in {} {:?} after {}", expression, zone, rule, after
            );
        }
    }
}

proptest! {
    #[test]
    fn intervals_are_aligned_and_never_skip(
        every_ms in 1_000u64..10_000_000_000,
        phase in any::<u64>(),
        micros in -4_000_000_000_000_000i64..4_000_000_000_000_000,
    ) {
        let phase_ms = phase % every_ms;
        let after = Timestamp::from_timestamp_micros(micros).unwrap();
        let next = Recurrence::Interval { every_ms, phase_ms }.next_after(after).unwrap().at;
        let every = i64::try_from(every_ms * 1_000).unwrap();
        prop_assert!(next > after);
        prop_assert!((next - after).num_microseconds().unwrap() <= every);
        let offset = next.timestamp_micros() - i64::try_from(phase_ms * 1_000).unwrap();
        prop_assert_eq!(offset.rem_euclid(every), 0);
    }

    #[test]
    fn an_interval_is_first_due_one_interval_after_creation(
        every_ms in 1_000u64..10_000_000_000,
        micros in 0i64..4_000_000_000_000_000,
    ) {
        let created = Timestamp::from_timestamp_micros(micros).unwrap();
        let first = Recurrence::interval(every_ms, created).next_after(created).unwrap().at;
        let early = i64::try_from(every_ms * 1_000).unwrap() - (first - created).num_microseconds().unwrap();
        prop_assert!((0..1_000).contains(&early), "early by {} us", early);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>(), zone in any::<String>()) {
        let now = Timestamp::UNIX_EPOCH;
        let _ = Recurrence::parse_cron(&text, &zone, DstRule::Once);
        let _ = Recurrence::parse_cron(&text, "UTC", DstRule::Once);
        let _ = parse_every(&text);
        let _ = parse_at(&text, now);
        let stored = Recurrence::Cron { expression: text, timezone: zone, dst: DstRule::Literal };
        prop_assert_eq!(stored.next_after(now).is_some(), stored.validate(now).is_ok());
    }

    #[test]
    fn no_text_of_cron_letters_panics_and_what_parses_is_strictly_after(
        text in "([0-9*/,LW#?+A-C-]{1,5} ){4,6}[0-9*/,LW#?+A-Z-]{1,5}",
        every in "[0-9.smhdy ]{1,30}",
        // Every instant that can be represented, not only the sensible ones.
        seconds in Timestamp::MIN_UTC.timestamp()..Timestamp::MAX_UTC.timestamp(),
    ) {
        let _ = parse_every(&every);
        let after = Timestamp::from_timestamp(seconds, 0).unwrap();
        for rule in [DstRule::Once, DstRule::Literal] {
            let Ok(spec) = Recurrence::parse_cron(&text, "Europe/London", rule) else { continue };
            for due in spec.planner().unwrap().preview(after, 3) {
                prop_assert!(due.at > after);
            }
        }
    }

    #[test]
    fn every_zone_and_time_increases_strictly(
        zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
        (expression, _) in expression(),
        rule in prop::sample::select(&[DstRule::Once, DstRule::Literal][..]),
        seconds in -5_000_000_000i64..5_000_000_000,
    ) {
        let start = Timestamp::from_timestamp(seconds, 0).unwrap();
        let planner = Recurrence::parse_cron(&expression, zone.name(), rule).unwrap().planner().unwrap();
        let dues = planner.preview(start, 40);
        prop_assert_eq!(dues.len(), 40);
        prop_assert!(dues[0].at > start);
        prop_assert!(dues.is_sorted_by(|a, b| a.at < b.at));
    }
}

#[test]
fn the_ends_of_time_do_not_panic() {
    let interval = Recurrence::Interval { every_ms: u64::MAX, phase_ms: u64::MAX };
    for zone in ["UTC", "Pacific/Apia", "America/New_York"] {
        for rule in [DstRule::Once, DstRule::Literal] {
            for expression in ["* * * * * *", "0 */2 * * *", "30 2 * * *", "0 0 29 2 *"] {
                let planner =
                    Recurrence::parse_cron(expression, zone, rule).unwrap().planner().unwrap();
                assert_eq!(planner.next_after(Timestamp::MAX_UTC), None);
                assert!(
                    planner
                        .next_after(Timestamp::MIN_UTC)
                        .is_none_or(|due| due.at > Timestamp::MIN_UTC)
                );
            }
        }
    }
    assert_eq!(interval.next_after(Timestamp::MAX_UTC), None);
    assert_eq!(
        Recurrence::interval(u64::MAX, Timestamp::MIN_UTC).next_after(Timestamp::MAX_UTC),
        None
    );
}
