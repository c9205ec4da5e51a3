//! The query part of a request: keys that are known, values that can be read, or an error that
//! names both.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use spark_events::domain::recurrence::parse_every;
use spark_events::{Position, Timestamp, limits};
use spark_projections::Page;

use crate::error::ApiError;
use crate::routes::decode;

/// Every endpoint takes it: the position that the read model must have reached.
const MIN_POSITION: &str = "min_position";

/// The keys and values of a query, decoded. Every key stands there at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads a query, without its question mark.
    ///
    /// # Errors
    /// `QueryInvalid` for what is not UTF-8 or given twice.
    pub fn parse(raw: &'a str) -> Result<Self, ApiError> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unreadable = || invalid(key, "it is not percent-encoded UTF-8 text");
            let key = decode(key, true).ok_or_else(unreadable)?;
            let value = decode(value, true).ok_or_else(unreadable)?;
            if pairs.iter().any(|(have, _)| *have == key) {
                return Err(invalid(&key, "it is given twice"));
            }
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    /// Checks that no key stands here but these.
    ///
    /// # Errors
    /// `QueryInvalid` with the keys that are allowed.
    pub fn only(&self, allowed: &[&str]) -> Result<(), ApiError> {
        let known = |key: &str| key == MIN_POSITION || allowed.contains(&key);
        match self.pairs.iter().find(|(key, _)| !known(key)) {
            // It is taken everywhere, so it is checked everywhere.
            None => self.min_position().map(drop),
            Some((key, _)) => {
                let mut names = allowed.to_vec();
                names.push(MIN_POSITION);
                Err(invalid(
                    key,
                    &format!("it is not known here; allowed are {}", names.join(", ")),
                ))
            }
        }
    }

    /// The value of a key, `None` where it is absent or empty.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|(have, _)| have == key)?;
        Some(&*pair.1).filter(|value| !value.is_empty())
    }

    /// The value of a key as a number or another readable type, which an empty one is not.
    ///
    /// # Errors
    /// `QueryInvalid` with the value and what was expected.
    pub fn read<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, ApiError> {
        let read = |value: &str| {
            value.parse().map_err(|_| invalid(key, &format!("{value:?} is not {expected}")))
        };
        // Nothing is no number and neither true nor false; only a text may be empty.
        self.pairs.iter().find(|(have, _)| have == key).map(|(_, value)| read(value)).transpose()
    }

    /// The value of a key as a whole number within bounds.
    ///
    /// # Errors
    /// `QueryInvalid` with the value and the bounds.
    pub fn number(
        &self,
        key: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let (low, high) = (bounds.start(), bounds.end());
        let expected = format!("a whole number from {low} to {high}");
        match self.read::<u64>(key, &expected)? {
            Some(value) if !bounds.contains(&value) => {
                Err(invalid(key, &format!("{value} is not {expected}")))
            }
            value => Ok(value),
        }
    }

    /// The parts of a comma-separated value, each as one of the given choices.
    ///
    /// # Errors
    /// `QueryInvalid` with the part that is no choice, and the choices.
    pub fn choices<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<Vec<T>, ApiError> {
        let Some(value) = self.text(key) else {
            return Ok(Vec::new());
        };
        let choose = |part: &str| {
            all.iter().copied().find(|choice| name(*choice).eq_ignore_ascii_case(part)).ok_or_else(
                || {
                    let names: Vec<&str> = all.iter().map(|choice| name(*choice)).collect();
                    invalid(key, &format!("{part:?} is not one of {}", names.join(", ")))
                },
            )
        };
        value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(choose).collect()
    }

    /// The keys `limit`, `offset` and `cursor`.
    ///
    /// # Errors
    /// `QueryInvalid` for a value out of bounds, or both an offset and a cursor.
    pub fn paging(&self) -> Result<Page, ApiError> {
        let limit = self.number("limit", 1..=limits::PAGE_MAX as u64)?;
        let offset = self.number("offset", 0..=u64::from(u32::MAX))?;
        let cursor = self.text("cursor").map(str::to_owned);
        if cursor.is_some() && offset.is_some_and(|offset| offset > 0) {
            return Err(invalid("cursor", "it cannot be combined with offset; give one of them"));
        }
        Ok(Page {
            limit: limit.map_or(limits::PAGE_DEFAULT, as_usize),
            offset: offset.map_or(0, as_usize),
            cursor,
        })
    }

    /// The value of a key that is `true` or `false`; `false` where it is absent.
    ///
    /// # Errors
    /// `QueryInvalid` for anything else.
    pub fn flag(&self, key: &str) -> Result<bool, ApiError> {
        Ok(self.read(key, "true or false")?.unwrap_or(false))
    }

    /// The key `min_position`.
    ///
    /// # Errors
    /// `QueryInvalid` for what is no position.
    pub fn min_position(&self) -> Result<Option<Position>, ApiError> {
        Ok(self.read(MIN_POSITION, "a position (a whole number)")?.map(Position))
    }
}

fn as_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// An instant, or how long ago: `2026-01-31T09:00:00Z`, `30m`, `7d`.
pub(crate) fn instant_of(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(at.to_utc());
    }
    let ago = parse_every(text).ok().and_then(|ms| i64::try_from(ms).ok());
    let at = ago.and_then(|ms| now.checked_sub_signed(chrono::TimeDelta::milliseconds(ms)));
    at.ok_or_else(|| {
        format!(
            "{text:?} is neither an instant such as 2026-01-31T09:00:00Z nor a time back such as 30m, 1h or 7d"
        )
    })
}

/// The same as the value of a key.
pub(crate) fn instant(key: &str, text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    instant_of(text, now).map_err(|message| invalid(key, &message))
}

/// A key that cannot be used, and why.
pub(crate) fn invalid(key: &str, message: &(impl Display + ?Sized)) -> ApiError {
    const CHARS_MAX: usize = 60;
    ApiError::QueryInvalid {
        key: key.chars().take(CHARS_MAX).collect(),
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: &str, allowed: &[&str]) -> String {
        let checked = Query::parse(raw).and_then(|query| query.only(allowed));
        checked.unwrap_err().to_string()
    }

    #[test]
    fn keys_and_values_are_decoded() {
        let query = Query::parse("flow=a%20b+c&&source=%C3%A4&limit=7&empty=").unwrap();
        assert_eq!(query.text("flow"), Some("a b c"));
        assert_eq!(query.text("source"), Some("ä"));
        assert_eq!(query.text("empty"), None);
        assert_eq!(query.paging().unwrap().limit, 7);
        assert_eq!(Query::parse("").unwrap(), Query::default());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (raw, part) in [
            ("flw=1", "allowed are flow, limit, min_position"),
            ("a=%ff", "not percent-encoded UTF-8"),
            ("a=%f", "not percent-encoded UTF-8"),
            ("flow=1&flow=2", "given twice"),
        ] {
            let text = refused(raw, &["flow", "limit"]);
            assert!(text.contains(part), "{raw}: {text}");
        }
    }

    #[test]
    fn pages_are_bounded() {
        let default = Query::default().paging().unwrap();
        assert_eq!((default.limit, default.offset), (limits::PAGE_DEFAULT, 0));
        for (raw, part) in [
            ("limit=0", "from 1 to 100"),
            ("limit=101", "from 1 to 100"),
            ("limit=-1", "from 1 to 100"),
            ("limit=ten", "\"ten\" is not a whole number"),
            ("limit=99999999999999999999", "from 1 to 100"),
            ("offset=-1", "from 0"),
            ("offset=1&cursor=x", "cannot be combined"),
        ] {
            let text = Query::parse(raw).unwrap().paging().unwrap_err().to_string();
            assert!(text.contains(part), "{raw}: {text}");
        }
    }

    #[test]
    fn choices_are_named_when_none_fits() {
        use spark_events::domain::task::TaskStatus;
        let read = |raw| Query::parse(raw)?.choices("status", &TaskStatus::ALL, TaskStatus::as_str);
        assert_eq!(
            read("status=failed,%20Running,").unwrap(),
            [TaskStatus::Failed, TaskStatus::Running]
        );
        assert_eq!(read("").unwrap(), []);
        let text = read("status=failed,done").unwrap_err().to_string();
        assert!(text.contains("\"done\" is not one of pending, running"), "{text}");
    }
}
