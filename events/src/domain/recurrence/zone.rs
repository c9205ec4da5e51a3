//! Time zone names: finds a zone, and the nearest name where there is none. Never guesses.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::error::{RecurrenceError, excerpt};

/// The zone of that IANA name.
pub(super) fn parse(name: &str) -> Result<Tz, RecurrenceError> {
    name.parse().map_err(|_| RecurrenceError::UnknownZone {
        timezone: excerpt(name),
        suggestion: nearest(name),
    })
}

/// One zone name out of an expression's `CRON_TZ=` prefix and the zone given beside it. The given
/// one may be empty, or UTC (the default), without contradicting the prefix.
pub(super) fn choose(prefix: Option<&str>, given: &str) -> Result<String, RecurrenceError> {
    let given = given.trim();
    let name = match prefix {
        Some(prefix) if given.is_empty() || given == "UTC" || given == prefix => prefix,
        Some(prefix) => {
            return Err(RecurrenceError::ZoneConflict {
                prefix: excerpt(prefix),
                timezone: excerpt(given),
            });
        }
        None if given.is_empty() => "UTC",
        None => given,
    };
    parse(name).map(|zone| zone.name().to_owned())
}

/// The known name that a mistyped one most likely means: another case, a missing region, or a few
/// wrong letters.
fn nearest(name: &str) -> Option<String> {
    const NAME_BYTES_MAX: usize = 40;
    let wanted = name.trim().to_lowercase().replace([' ', '-'], "_");
    if wanted.is_empty() || wanted.len() > NAME_BYTES_MAX {
        return None;
    }
    // A short word resembles too much: a suggestion for `PST` would be `EST`, which is wrong.
    let distance_max = (wanted.len() / 4).min(3);
    TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .filter(|known| !known.contains(|c: char| c.is_ascii_digit()))
        .map(|known| {
            let lower = known.to_lowercase().replace('-', "_");
            let city = lower.rsplit('/').next().unwrap_or(&lower);
            let whole = distance(&wanted, &lower);
            (whole.min(distance(&wanted, city)), whole, known)
        })
        // The names are sorted, so that regions (`America/..`) win over old aliases (`US/..`).
        .min_by_key(|(nearest, whole, _)| (*nearest, *whole))
        .filter(|(nearest, ..)| *nearest <= distance_max)
        .map(|(.., known)| known.to_owned())
}

/// The number of letters to insert, drop or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested_and_wild_guesses_are_not() {
        for (given, suggestion) in [
            ("america/new_york", Some("America/New_York")),
            ("America/New York", Some("America/New_York")),
            ("America/NewYork", Some("America/New_York")),
            ("Europe/Berln", Some("Europe/Berlin")),
            ("berlin", Some("Europe/Berlin")),
            ("utc", Some("UTC")),
            ("PST", None),
            ("GMT+2", None),
            ("+02:00", None),
            ("", None),
            ("Mars/Olympus_Mons", None),
        ] {
            let suggestion = suggestion.map(str::to_owned);
            let timezone = given.to_owned();
            let expected = RecurrenceError::UnknownZone { timezone, suggestion };
            assert_eq!(parse(given).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_prefix_wins_over_the_default_but_not_over_another_zone() {
        assert_eq!(choose(None, "").unwrap(), "UTC");
        assert_eq!(choose(Some("Asia/Tokyo"), "UTC").unwrap(), "Asia/Tokyo");
        assert_eq!(choose(Some("Asia/Tokyo"), "Asia/Tokyo").unwrap(), "Asia/Tokyo");
        let two = choose(Some("Asia/Tokyo"), "Europe/Berlin").unwrap_err().to_string();
        assert!(two.contains("two time zones"), "{two}");
    }
}
