//! Times and durations as people read them. Never reads a clock.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use spark_events::Timestamp;

/// How times are shown in tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeStyle {
    /// As seen from now: 3 min ago
    #[default]
    Relative,
    /// 2026-01-31T09:00:00Z
    Iso,
    /// As the server sent it
    Raw,
}

/// A time that the server sent, in the wished style. What is no time stays as it is.
pub(crate) fn show(raw: &str, style: TimeStyle, now: Timestamp) -> String {
    let Ok(at) = DateTime::parse_from_rfc3339(raw) else {
        return raw.to_owned();
    };
    let at = at.with_timezone(&Utc);
    match style {
        TimeStyle::Relative => relative(at, now),
        TimeStyle::Iso => at.to_rfc3339_opts(SecondsFormat::Secs, true),
        TimeStyle::Raw => raw.to_owned(),
    }
}

/// The time of day of an instant of today (UTC), else the whole instant.
pub(crate) fn clock(raw: &str, now: Timestamp) -> String {
    match DateTime::parse_from_rfc3339(raw).map(|at| at.with_timezone(&Utc)) {
        Ok(at) if at.date_naive() == now.date_naive() => at.format("%H:%M:%SZ").to_string(),
        _ => show(raw, TimeStyle::Iso, now),
    }
}

/// An instant as seen from now. What is far away is shown by its date.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = (at - now).as_seconds_f64().round();
    let distance = seconds.abs();
    let amount = if distance < 1.0 {
        return "now".to_owned();
    } else if distance < 60.0 {
        format!("{distance} s")
    } else if distance < 3_600.0 {
        format!("{} min", (distance / 60.0).floor())
    } else if distance < 172_800.0 {
        format!("{} h", (distance / 3_600.0).floor())
    } else if distance < 86_400.0 * 60.0 {
        format!("{} d", (distance / 86_400.0).floor())
    } else {
        return at.format("%Y-%m-%d").to_string();
    };
    if seconds > 0.0 { format!("in {amount}") } else { format!("{amount} ago") }
}

/// How long something took or may take.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let two = |big: u64, big_name: &str, small: u64, small_name: &str| {
        if small == 0 {
            format!("{big} {big_name}")
        } else {
            format!("{big} {big_name} {small} {small_name}")
        }
    };
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 if ms % 1_000 < 50 => format!("{seconds} s"),
        1_000..60_000 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60_000..3_600_000 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600_000..86_400_000 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn an_instant_is_shown_as_seen_from_now() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        let table = [
            (0, "now"),
            (400, "now"),
            (-400, "now"),
            (5_000, "in 5 s"),
            (-5_000, "5 s ago"),
            (-59_600, "1 min ago"),
            (-61_000, "1 min ago"),
            (3_599_000, "in 59 min"),
            (3_600_000, "in 1 h"),
            (-47 * 3_600_000, "47 h ago"),
            (-49 * 3_600_000, "2 d ago"),
            (59 * 86_400_000, "in 59 d"),
            (61 * 86_400_000, "2026-05-01"),
        ];
        for (ms, expected) in table {
            assert_eq!(relative(now + TimeDelta::milliseconds(ms), now), expected, "{ms}");
        }
    }

    #[test]
    fn each_style_shows_the_same_instant() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        let raw = "2026-03-01T13:00:00.123456+01:00";
        assert_eq!(show(raw, TimeStyle::Relative, now), "now");
        assert_eq!(show(raw, TimeStyle::Iso, now), "2026-03-01T12:00:00Z");
        assert_eq!(show(raw, TimeStyle::Raw, now), raw);
        assert_eq!(show("soon", TimeStyle::Iso, now), "soon");
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let table = [
            (0, "0 ms"),
            (850, "850 ms"),
            (1_000, "1 s"),
            (1_250, "1.2 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min"),
            (184_000, "3 min 4 s"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (ms, expected) in table {
            assert_eq!(duration(ms), expected, "{ms}");
        }
    }
}
