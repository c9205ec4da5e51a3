//! How times on the command line are read, clock changes included.

use serde_json::json;

use super::*;
use crate::exit::Exit;

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn reader(zone: &str, now: &str) -> Reader {
    Reader { zone: zone.parse().unwrap(), now: at(now) }
}

#[test]
fn a_time_of_day_is_the_latest_that_is_not_in_the_future() {
    let lisbon = reader("Europe/Lisbon", "2026-07-01T12:00:00Z");
    let table = [
        ("09:00", "2026-07-01T08:00:00Z"),
        ("13:00", "2026-07-01T12:00:00Z"),
        ("13:01", "2026-06-30T12:01:00Z"),
        ("23:59:30", "2026-06-30T22:59:30Z"),
        ("2026-01-05 09:00", "2026-01-05T09:00:00Z"),
        ("2026-07-05T09:00:15", "2026-07-05T08:00:15Z"),
        ("2026-07-01T09:00:00+02:00", "2026-07-01T07:00:00Z"),
    ];
    for (typed, expected) in table {
        let moment = lisbon.asked("--at", typed).unwrap();
        assert_eq!(moment, at(expected).into(), "{typed}");
    }
    // Just after midnight of the zone, yesterday is another day there than in UTC.
    let auckland = reader("Pacific/Auckland", "2026-06-30T12:30:00Z");
    assert_eq!(auckland.asked("--at", "23:00").unwrap().at, at("2026-06-30T11:00:00Z"));
}

#[test]
fn a_clock_change_is_resolved_and_told() {
    let new_york = reader("America/New_York", "2026-12-01T00:00:00Z");
    let gap = new_york.asked("--at", "2026-03-08 02:30").unwrap();
    assert_eq!(gap.at, at("2026-03-08T07:00:00Z"));
    assert!(gap.note.unwrap().ends_with("is meant, 03:00"));
    let fold = new_york.asked("--at", "2026-11-01 01:30").unwrap();
    assert_eq!(fold.at, at("2026-11-01T05:30:00Z"));
    assert!(fold.note.unwrap().ends_with("the second is 2026-11-01T06:30:00Z"));
}

#[test]
fn a_span_takes_dates_whole_and_ends_now() {
    let lisbon = reader("Europe/Lisbon", "2026-07-01T12:00:00Z");
    let table = [
        ("2026-06-30", Edge::First, "2026-06-29T23:00:00Z"),
        ("2026-06-30", Edge::Last, "2026-06-30T22:59:59.999999Z"),
        ("2026-07-01", Edge::Last, "2026-07-01T12:00:00Z"),
        ("2026-07-02T00:00:00Z", Edge::Last, "2026-07-02T00:00:00Z"),
        ("7d", Edge::First, "2026-06-24T12:00:00Z"),
        ("90m", Edge::Last, "2026-07-01T10:30:00Z"),
        ("now", Edge::Last, "2026-07-01T12:00:00Z"),
        ("2026-06-30 09:00", Edge::First, "2026-06-30T08:00:00Z"),
    ];
    for (typed, edge, expected) in table {
        assert_eq!(lisbon.past("--from", typed, edge).unwrap().at, at(expected), "{typed}");
    }
}

#[test]
fn what_is_no_time_is_a_usage_error_that_says_what_is_one() {
    let utc = reader("UTC", "2026-07-01T12:00:00Z");
    for typed in ["", "soon", "25:00", "2026-02-30", "9", "7x", "2026-13-01 09:00"] {
        for trouble in [
            utc.asked("--at", typed).unwrap_err(),
            utc.past("--at", typed, Edge::First).unwrap_err(),
            utc.bound("--at", typed, Edge::First).unwrap_err(),
        ] {
            assert_eq!(trouble.exit, Exit::Usage, "{typed}");
            assert!(trouble.what.starts_with("--at: ") && trouble.next.len() > 1, "{trouble:?}");
        }
    }
    // How long ago makes no sense of a first or last instant.
    assert!(utc.bound("--start", "7d", Edge::First).is_err());
    assert!(utc.asked("--at", "2026-07-01").is_err());
}

#[test]
fn a_schedules_zone_is_that_of_its_first_clock_time() {
    let two = json!({"timetable": {"specs": [
        {"kind": "interval", "every_ms": 1_000}, {"kind": "cron", "timezone": "Europe/Lisbon"}]}});
    assert_eq!(zone_of(&two), Tz::Europe__Lisbon);
    assert_eq!(zone_of(&json!({"recurrence": {"timezone": "Asia/Tokyo"}})), Tz::Asia__Tokyo);
    assert_eq!(zone_of(&json!({"timezone": null})), Tz::UTC);
    assert_eq!(zone_named(Some("Mars/Base")).unwrap_err().exit, Exit::Usage);
    assert_eq!(zone_named(None), Ok(Tz::UTC));
}
