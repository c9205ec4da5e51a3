//! A timetable in a few words, for lists.

use spark_events::Timestamp;
use spark_events::domain::recurrence::{Recurrence, Timetable};

/// Recurrences that are named one by one.
const NAMED_MAX: usize = 3;

/// A timetable in a few words.
#[must_use]
pub fn summary(timetable: &Timetable) -> String {
    let specs = timetable.specs.iter();
    let mut named: Vec<String> = specs.take(NAMED_MAX).map(|spec| described(spec).1).collect();
    let more = timetable.specs.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let mut parts = vec![named.join(" and ")];
    match timetable.exclusions.len() {
        0 => {}
        1 => parts.push("1 exclusion".into()),
        many => parts.push(format!("{many} exclusions")),
    }
    if timetable.jitter_ms > 0 {
        parts.push(format!("up to {} late", span(timetable.jitter_ms)));
    }
    if let Some(start_at) = timetable.start_at {
        parts.push(format!("from {}", instant(start_at)));
    }
    if let Some(end_at) = timetable.end_at {
        parts.push(format!("until {}", instant(end_at)));
    }
    parts.join(", ")
}

/// The time zone of a timetable's first recurrence that has one.
#[must_use]
pub fn timezone(timetable: &Timetable) -> Option<&str> {
    timetable.specs.iter().find_map(|spec| described(spec).0)
}

fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// A recurrence's time zone, and itself in a few words.
fn described(recurrence: &Recurrence) -> (Option<&str>, String) {
    match recurrence {
        Recurrence::Cron { expression, timezone, .. } => {
            (Some(timezone), format!("cron {expression} ({timezone})"))
        }
        Recurrence::Calendar {
            second,
            minute,
            hour,
            day_of_month,
            month,
            year,
            day_of_week,
            timezone,
            ..
        } => {
            let fields = [second, minute, hour, day_of_month, month, day_of_week, year];
            let fields = fields.map(String::as_str).join(" ");
            (Some(timezone), format!("calendar {fields} ({timezone})"))
        }
        Recurrence::Interval { every_ms, .. } => (None, format!("every {}", span(*every_ms))),
        Recurrence::Once { at } => (None, format!("once at {}", instant(*at))),
    }
}

/// A duration as people write it, such as `1h30m`.
fn span(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut text = String::new();
    let mut rest = ms;
    for (unit, length) in units {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recurrence_in_a_few_words() {
        let cron = Recurrence::Cron {
            expression: "*/5 * * * *".into(),
            timezone: "UTC".into(),
            dst: Default::default(),
        };
        assert_eq!(described(&cron), (Some("UTC"), "cron */5 * * * * (UTC)".into()));
        let every = |every_ms| described(&Recurrence::Interval { every_ms, phase_ms: 0 }).1;
        assert_eq!(every(5_000), "every 5s");
        assert_eq!(every(90 * 60_000), "every 1h30m");
        assert_eq!(every(86_400_000 + 1_500), "every 1d1s500ms");
        let at = "2026-03-08T02:30:00Z".parse().unwrap();
        assert_eq!(described(&Recurrence::Once { at }).1, "once at 2026-03-08T02:30:00Z");
    }

    #[test]
    fn a_timetable_in_a_few_words() {
        let every = |hours: u64| Recurrence::Interval { every_ms: hours * 3_600_000, phase_ms: 0 };
        let mut timetable = Timetable::from(every(1));
        assert_eq!((summary(&timetable).as_str(), timezone(&timetable)), ("every 1h", None));
        timetable.specs = (1..=5).map(every).collect();
        timetable.jitter_ms = 90_000;
        timetable.end_at = "2026-03-08T02:30:00Z".parse().ok();
        assert_eq!(
            summary(&timetable),
            "every 1h and every 2h and every 3h and 2 more, up to 1m30s late, \
             until 2026-03-08T02:30:00Z"
        );
    }
}
