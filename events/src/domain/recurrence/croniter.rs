//! Compares the planner with recorded answers of croniter 6.2.4, LangFlow's own scheduler. The table
//! is written by `tests/croniter/make_table.py`.
//!
//! Every row is checked. Either both agree, or the row belongs to one of the classes below, and then
//! croniter's answer must be what the class says and ours what the slow model says.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use croner::parser::CronParser;

use super::properties::Model;
use super::{DstNote, DstRule, Due, Recurrence};
use crate::clock::Timestamp;

/// How Spark's answer (`dst: once`) and croniter's relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// The same instants, and no clock change has to do with them.
    Same,
    /// The same instants, and a clock change has to do with one of them.
    SameAtAChange,
    /// croniter reads a range of one value, such as `13-13`, as `*`. We read it as that value.
    OneValueRange,
    /// A clock time that is shown twice runs twice in croniter, also with fixed hours, exactly as
    /// under `dst: literal`. We run it once.
    Repeated,
    /// A time in a gap runs in croniter at the gap's end, once, in the first second that the second
    /// field allows. We move it by the length of the gap where hours run on, and run it in the very
    /// first instant after the gap where they are fixed.
    GapEnd,
    /// A time in a gap does not run in croniter at all where the hour is `*`, which shows where the
    /// gap is half an hour long. We move it by the length of the gap.
    Skipped,
}

struct Row<'a> {
    expression: &'a str,
    timezone: &'a str,
    start: Timestamp,
    theirs: Vec<Timestamp>,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let numbers: Vec<i64> = fields[2..].iter().map(|field| field.parse().unwrap()).collect();
        let start = Timestamp::from_timestamp(numbers[0], 0).unwrap();
        let theirs = numbers[1..].iter().scan(start, |at, seconds| {
            *at += TimeDelta::seconds(*seconds);
            Some(*at)
        });
        let theirs: Vec<_> = theirs.collect();
        assert_eq!(theirs.len(), 5, "{line}");
        Self { expression: fields[0], timezone: fields[1], start, theirs }
    }

    fn dues(&self, expression: &str, dst: DstRule) -> Vec<Due> {
        let spec = Recurrence::parse_cron(expression, self.timezone, dst).unwrap();
        spec.planner().unwrap().preview(self.start, self.theirs.len())
    }

    fn instants(&self, expression: &str, dst: DstRule) -> Vec<Timestamp> {
        self.dues(expression, dst).iter().map(|due| due.at).collect()
    }

    fn fields(&self) -> Vec<&'a str> {
        self.expression.split(' ').collect()
    }

    fn hours_run_on(&self) -> bool {
        let fields = self.fields();
        let hour = fields[fields.len() - 4];
        hour.contains(['*', '/']) || hour == "0-23"
    }

    fn class(&self) -> Class {
        let ours = self.dues(self.expression, DstRule::Once);
        if ours.iter().map(|due| due.at).eq(self.theirs.iter().copied()) {
            let change = ours.iter().any(|due| due.dst.is_some());
            return if change { Class::SameAtAChange } else { Class::Same };
        }
        if let Some((star, value)) = self.without_range() {
            assert_eq!(self.theirs, self.instants(&star, DstRule::Once), "{}", self.expression);
            assert_eq!(ours, self.dues(&value, DstRule::Once), "{}", self.expression);
            return Class::OneValueRange;
        }
        self.check_model(&ours);
        let literal = self.dues(self.expression, DstRule::Literal);
        if literal.iter().map(|due| due.at).eq(self.theirs.iter().copied()) {
            let has = |dues: &[Due], note| dues.iter().any(|due| due.dst == Some(note));
            if has(&literal, DstNote::Fold) {
                return Class::Repeated;
            }
            assert!(has(&ours, DstNote::Gap), "{} {}", self.expression, self.timezone);
            let fields = self.fields();
            if fields[fields.len() - 4] == "*" {
                return Class::Skipped;
            }
        }
        assert_eq!(self.theirs, self.with_gap_ends(), "{} {}", self.expression, self.timezone);
        Class::GapEnd
    }

    /// The expression with `*`, and with the value, in the place of a range of one value.
    fn without_range(&self) -> Option<(String, String)> {
        let fields = self.fields();
        let place = fields
            .iter()
            .position(|field| field.split_once('-').is_some_and(|(from, to)| from == to))?;
        let with = |text: &str| {
            let mut fields = fields.clone();
            fields[place] = text;
            fields.join(" ")
        };
        Some((with("*"), with(fields[place].split_once('-')?.0)))
    }

    /// What the wall clock shows, and the ends of the gaps that hold a matching time.
    fn with_gap_ends(&self) -> Vec<Timestamp> {
        let parser = CronParser::builder().sloppy_ranges(true).build();
        let pattern = parser.parse(self.expression).unwrap().pattern;
        let list =
            |values: Vec<u16>| values.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        // A list of hours is a fixed one, whose times run at the end of a gap.
        let mut fields = self.fields();
        let hours = list(pattern.hours.values());
        let place = fields.len() - 4;
        fields[place] = &hours;
        let second = TimeDelta::seconds(pattern.seconds.values()[0].into());
        let fixed = self.dues(&fields.join(" "), DstRule::Once);
        let ends = fixed.iter().filter(|due| due.dst == Some(DstNote::Gap));
        let mut expected = self.instants(self.expression, DstRule::Literal);
        expected.extend(ends.map(|due| due.at + second));
        expected.sort_unstable();
        expected.dedup();
        expected.truncate(self.theirs.len());
        expected
    }

    /// Compares our answer with the slow model, for a day on either side of the first instant at
    /// which it differs from croniter's.
    #[track_caller]
    fn check_model(&self, ours: &[Due]) {
        let differing = ours.iter().zip(&self.theirs).find(|(due, theirs)| due.at != **theirs);
        let first = differing.map(|(due, theirs)| due.at.min(*theirs)).unwrap();
        let from = self.start.max(first - TimeDelta::days(1));
        let end = ours.last().unwrap().at.min(first + TimeDelta::days(1));
        assert!(from < first && first <= end);
        let margin = TimeDelta::hours(30);
        // Clock changes are at whole minutes, so the walk may begin at one.
        let begin = from - margin - TimeDelta::seconds(from.timestamp().rem_euclid(60));
        let step = if self.fields().len() == 6 { 1 } else { 60 };
        let (zone, step) = (self.timezone.parse().unwrap(), TimeDelta::seconds(step));
        let model = Model::new(self.expression, zone, begin, end + margin, step);
        let model = model.dues(DstRule::Once, self.hours_run_on());
        let within = |at: Timestamp| at > from && at <= end;
        let expected: Vec<_> = model.into_iter().filter(|(at, _)| within(*at)).collect();
        let ours = ours.iter().filter(|due| within(due.at)).map(|due| (due.at, due.dst));
        let ours: Vec<_> = ours.collect();
        assert_eq!(ours, expected, "{} {} {}", self.expression, self.timezone, self.start);
    }
}

#[test]
fn croniter_agrees_but_for_four_known_differences() {
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    for line in include_str!("croniter.tsv").lines().filter(|line| !line.starts_with('#')) {
        *classes.entry(Row::read(line).class()).or_default() += 1;
    }
    let expected = [
        (Class::Same, 1_903),
        (Class::SameAtAChange, 48),
        (Class::OneValueRange, 20),
        (Class::Repeated, 13),
        (Class::GapEnd, 15),
        (Class::Skipped, 1),
    ];
    assert_eq!(classes, BTreeMap::from(expected));
}
