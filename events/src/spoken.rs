//! Durations and instants as people say them, for the texts of errors and notes. Data keeps
//! milliseconds and microseconds.

use std::time::Duration;

use crate::clock::Timestamp;

/// A duration such as `5m`, `1h 30m` or `999ms`, in the form in which it may be given too.
#[must_use]
pub fn duration(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

/// An instant to the second, in UTC.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_instants_are_told_without_needless_digits() {
        let table = [(300_000, "5m"), (1_000, "1s"), (999, "999ms"), (5_400_000, "1h 30m")];
        for (ms, told) in table {
            assert_eq!(duration(ms), told);
        }
        let at: Timestamp = "2026-11-24T19:41:18.663870Z".parse().unwrap();
        assert_eq!(instant(at), "2026-11-24 19:41:18 UTC");
    }
}
