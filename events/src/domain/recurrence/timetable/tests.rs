//! The rules of a timetable, each with a name.

use super::*;
use crate::domain::recurrence::DstRule;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cron(expression: &str, timezone: &str) -> Recurrence {
    Recurrence::parse_cron(expression, timezone, DstRule::Once).unwrap()
}

fn of(specs: Vec<Recurrence>, exclusions: &[&str]) -> Timetable {
    let exclusions = exclusions.iter().map(|text| Exclusion::parse(text, "UTC").unwrap()).collect();
    Timetable { specs, exclusions, jitter_ms: 0, start_at: None, end_at: None }
}

fn planner(timetable: &Timetable) -> TimetablePlanner {
    timetable.planner(ScheduleId(uuid::Uuid::from_u128(7))).unwrap()
}

#[track_caller]
fn check(timetable: &Timetable, from: &str, expected: &[&str]) {
    let shown: Vec<String> = planner(timetable)
        .preview(at(from), expected.len())
        .iter()
        .map(|next| next.due_at.format("%m-%dT%H:%M").to_string())
        .collect();
    assert_eq!(shown, expected);
}

const NEW_YEAR: &str = "2026-01-01T00:00:00Z";

#[test]
fn several_recurrences_are_one_timetable_and_an_instant_they_share_is_due_once() {
    let once = Recurrence::Once { at: at("2026-01-01T05:30:00Z") };
    let every = Recurrence::Interval { every_ms: 6 * 3_600_000, phase_ms: 0 };
    let both = of(vec![cron("0 */4 * * *", "UTC"), every, once], &[]);
    let expected = ["01-01T04:00", "01-01T05:30", "01-01T06:00", "01-01T08:00", "01-01T12:00"];
    check(&both, NEW_YEAR, &expected);
    check(&both, "2026-01-01T12:00:00Z", &["01-01T16:00", "01-01T18:00", "01-01T20:00"]);
}

#[test]
fn what_an_exclusion_covers_is_not_due() {
    let daily = vec![cron("0 9 * * *", "Europe/Berlin")];
    let expected = ["12-23T08:00", "12-27T08:00"];
    check(&of(daily.clone(), &["2026-12-24/2026-12-26"]), "2026-12-23T00:00:00Z", &expected);
    check(&of(daily.clone(), &["* * 24-26 12 *"]), "2026-12-23T00:00:00Z", &expected);
    check(
        &of(daily, &["* * * * SAT,SUN"]),
        "2026-01-02T00:00:00Z",
        &["01-02T08:00", "01-05T08:00"],
    );
}

#[test]
fn five_fields_exclude_whole_minutes_and_six_a_second() {
    let every = vec![Recurrence::Interval { every_ms: 20_500, phase_ms: 0 }];
    let count = |exclusion| {
        let minute = at("2026-01-01T10:30:00Z");
        let end = minute + TimeDelta::milliseconds(59_999);
        planner(&of(every.clone(), exclusion)).count(minute, end, 10)
    };
    assert_eq!(count(&[]), Count::Exactly(3));
    assert_eq!(count(&["30 * * * *"]), Count::Exactly(0));
    let second = planner(&of(every.clone(), &[])).next_after(at("2026-01-01T10:30:00Z")).unwrap();
    let second = second.due_at.format("%S 30 10 * * *").to_string();
    assert_eq!(count(&[second.as_str()]), Count::Exactly(2));
}

#[test]
fn a_span_excludes_its_first_instant_and_not_its_end() {
    let span = "2026-01-01T02:00:00Z/2026-01-01T04:00:00Z";
    check(&of(vec![cron("@hourly", "UTC")], &[span]), NEW_YEAR, &["01-01T01:00", "01-01T04:00"]);
}

#[test]
fn start_and_end_are_included() {
    let mut hourly = of(vec![cron("@hourly", "UTC")], &[]);
    hourly.start_at = Some(at("2026-01-01T03:00:00Z"));
    hourly.end_at = Some(at("2026-01-01T05:00:00Z"));
    let expected = ["01-01T03:00", "01-01T04:00", "01-01T05:00"];
    check(&hourly, NEW_YEAR, &expected);
    let planner = planner(&hourly);
    assert_eq!(planner.walk(at(NEW_YEAR)).count(), 3);
    assert_eq!(planner.next_after(at("2026-01-01T05:00:00Z")), None);
    let (first, last) = (at(NEW_YEAR), at("2027-01-01T00:00:00Z"));
    assert_eq!(planner.count(first, last, 100), Count::Exactly(3));
}

#[test]
fn jitter_moves_the_start_and_never_the_due_instant() {
    let mut timetable = of(vec![cron("0 * * * *", "UTC")], &[]);
    timetable.jitter_ms = 600_000;
    timetable.end_at = Some(at("2026-01-01T01:00:00Z"));
    let next = planner(&timetable).next_after(at(NEW_YEAR)).unwrap();
    assert_eq!(next.due_at, at("2026-01-01T01:00:00Z"));
    // Recorded: the start of an occurrence is the same in every version and on every platform. At
    // the end of a timetable it may lie behind the end, which bounds the due instant.
    assert_eq!(next.starts_at, at("2026-01-01T01:09:11.753511Z"));
    let other = timetable.planner(ScheduleId(uuid::Uuid::from_u128(8))).unwrap();
    assert_ne!(other.next_after(at(NEW_YEAR)).unwrap().starts_at, next.starts_at);
}

#[test]
fn jitter_spreads_over_its_whole_length_but_stays_before_the_next_instant() {
    for (jitter_ms, length) in [(600_000, 600), (24 * 3_600_000, 3_600)] {
        let mut timetable = of(vec![cron("0 * * * *", "UTC")], &[]);
        timetable.jitter_ms = jitter_ms;
        let planner = planner(&timetable);
        let late = planner.walk(at(NEW_YEAR)).take(1_000).map(|next| next.starts_at - next.due_at);
        let late: Vec<i64> = late.map(|late| late.num_seconds()).collect();
        assert!(late.iter().all(|late| (0..length).contains(late)));
        for quarter in 0..4 {
            let part = length * quarter / 4..length * (quarter + 1) / 4;
            let share = late.iter().filter(|late| part.contains(late)).count();
            assert!((200..300).contains(&share), "{share} of 1,000 in quarter {quarter}");
        }
    }
}

#[test]
fn intervals_are_counted_without_walking_and_others_up_to_a_bound() {
    let every = Recurrence::Interval { every_ms: 1_000, phase_ms: 500 };
    let every = planner(&of(vec![every], &[]));
    let (from, to) = (at("2000-01-01T00:00:00.5Z"), at("2100-01-01T00:00:00Z"));
    assert_eq!(every.count(from, to, 0), Count::Exactly(3_155_760_000));
    assert_eq!(every.count(from, from, 0), Count::Exactly(1));
    assert_eq!(every.count(to, from, 0), Count::Exactly(0));
    let hourly = planner(&of(vec![cron("@hourly", "UTC")], &[]));
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-12-31T23:00:00Z"));
    assert_eq!(hourly.count(from, to, 10_000), Count::Exactly(8_760));
    assert_eq!(hourly.count(from, to, 8_760), Count::Exactly(8_760));
    let Count::About(about) = hourly.count(from, to, 1_000) else { panic!("not counted out") };
    assert!((8_700..8_800).contains(&about), "{about}");
    assert_eq!(hourly.count(from, to, 0), Count::About(1));
}

#[test]
fn what_cannot_be_a_timetable_is_refused_with_the_remedy() {
    let hourly = || of(vec![cron("@hourly", "UTC")], &[]);
    let now = at("2026-06-01T00:00:00Z");
    let span = |from, until| Exclusion::Span { from: at(from), until: at(until) };
    let once = |text: &str| Recurrence::Once { at: at(text) };
    let past = || once("2026-05-01T00:00:00Z");
    let refused = [
        (Timetable { specs: vec![], ..hourly() }, "at least one"),
        (Timetable { specs: vec![cron("@daily", "UTC"); 17], ..hourly() }, "at most 16"),
        (of(vec![cron("@hourly", "UTC")], &["2026-12-24"; 65]), "at most 64"),
        (Timetable { jitter_ms: 86_400_001, ..hourly() }, "the longest is 1day"),
        (Timetable { start_at: Some(now), end_at: Some(now), ..hourly() }, "must be later"),
        (Timetable { end_at: Some(at(NEW_YEAR)), ..hourly() }, "give a later end"),
        (of(vec![cron("@hourly", "UTC")], &["0 * * * *"]), "remove or narrow an exclusion"),
        (of(vec![cron("* * * * * *", "UTC")], &["* * * * *"]), "remove or narrow an exclusion"),
        (of(vec![once("2026-07-01T00:00:00Z")], &["2026-07-01"]), "remove or narrow"),
        (of(vec![cron("0 0 31 2 *", "UTC")], &[]), "never matches"),
        (of(vec![past()], &[]), "in the past"),
        (of(vec![past(), past()], &[]), "never matches"),
        (
            Timetable { exclusions: vec![span("2026-07-02T00:00:00Z", NEW_YEAR)], ..hourly() },
            "exclusion 1 is wrong: the span",
        ),
    ];
    for (timetable, part) in refused {
        let error = timetable.validate(now).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let broken = Exclusion::Cron { expression: "61 * * * *".into(), timezone: "UTC".into() };
    let broken = Timetable { exclusions: vec![broken], ..hourly() }.validate(now).unwrap_err();
    assert!(broken.to_string().contains("exclusion 1 is wrong: the minute field"), "{broken}");
    // A passed instant among others is no mistake: the schedule may have run it already.
    assert_eq!(of(vec![past(), cron("@daily", "UTC")], &[]).validate(now), Ok(()));
    assert_eq!(of(vec![Recurrence::Once { at: now }], &[]).validate(now), Ok(()));
    let last = Timetable { end_at: Some(now), ..hourly() };
    assert_eq!(last.validate(now), Ok(()));
}

#[test]
fn long_exclusions_of_dense_recurrences_are_passed_at_once() {
    let every = Recurrence::Interval { every_ms: 1_000, phase_ms: 0 };
    let rare = of(vec![every], &["* * 1-30 * *", "* * 31 1-11 *", "* 0-22 * * *"]);
    check(&rare, NEW_YEAR, &["12-31T23:00", "12-31T23:00"]);
}

#[test]
fn json_is_stable_and_what_is_not_used_is_left_out() {
    let plain: Timetable = cron("@daily", "UTC").into();
    assert_eq!(
        serde_json::to_string(&plain).unwrap(),
        r#"{"specs":[{"kind":"cron","expression":"@daily","timezone":"UTC","dst":"once"}]}"#
    );
    let json = r#"{"specs":[{"kind":"once","at":"2026-01-01T00:00:00Z"}],"exclusions":[{"kind":"cron","expression":"* * 1 1 *","timezone":"UTC"},{"kind":"span","from":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}],"jitter_ms":5,"start_at":"2026-01-01T00:00:00Z","end_at":"2026-02-01T00:00:00Z"}"#;
    let read: Timetable = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
}
