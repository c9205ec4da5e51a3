//! Values as they stand in a column, and back: ids as 16 bytes, times as whole microseconds,
//! structures as JSON text. Knows no table.

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Row, RowIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spark_events::{Position, Timestamp};
use uuid::Uuid;

/// An id.
pub(crate) fn blob(id: Uuid) -> [u8; 16] {
    id.into_bytes()
}

/// SQLite's integers are signed; nothing real is beyond them.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way back of [`signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A place in the log.
pub(crate) fn place(position: Position) -> i64 {
    signed(position.0)
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A value as JSON text, `None` as NULL.
pub(crate) fn json_opt<T: Serialize>(value: Option<&T>) -> Result<Option<String>, rusqlite::Error> {
    value.map(json).transpose()
}

/// Reading a column as one of our types.
pub(crate) trait Columns {
    /// An id.
    fn id<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Uuid>;
    /// An id that may be absent.
    fn id_opt<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Option<Uuid>>;
    /// A time.
    fn time<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Timestamp>;
    /// A time that may be absent.
    fn time_opt<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Option<Timestamp>>;
    /// A count.
    fn count<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<u64>;
    /// A value that is stored as JSON.
    fn json<T: DeserializeOwned, I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<T>;
    /// A value that is stored as JSON and may be absent.
    fn json_opt<T: DeserializeOwned, I: RowIndex + Copy>(
        &self,
        column: I,
    ) -> rusqlite::Result<Option<T>>;
}

impl Columns for Row<'_> {
    fn id<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Uuid> {
        self.get(column).map(Uuid::from_bytes)
    }

    fn id_opt<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Option<Uuid>> {
        Ok(self.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes))
    }

    fn time<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Timestamp> {
        timestamp(self.get(column)?)
    }

    fn time_opt<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<Option<Timestamp>> {
        self.get::<_, Option<i64>>(column)?.map(timestamp).transpose()
    }

    fn count<I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<u64> {
        self.get(column).map(unsigned)
    }

    fn json<T: DeserializeOwned, I: RowIndex + Copy>(&self, column: I) -> rusqlite::Result<T> {
        let text = self.get_ref(column)?.as_str()?;
        serde_json::from_str(text).map_err(unreadable)
    }

    fn json_opt<T: DeserializeOwned, I: RowIndex + Copy>(
        &self,
        column: I,
    ) -> rusqlite::Result<Option<T>> {
        let text = self.get_ref(column)?.as_str_or_null()?;
        text.map(serde_json::from_str).transpose().map_err(unreadable)
    }
}

fn timestamp(micros: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_timestamp_micros(micros).ok_or_else(|| FromSqlError::OutOfRange(micros).into())
}

fn unreadable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

/// A time in JSON: RFC 3339 in UTC, always with microseconds and `Z`.
pub(crate) mod rfc3339 {
    use chrono::SecondsFormat;
    use serde::Serializer;
    use spark_events::Timestamp;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// As [`rfc3339`], `None` as null.
pub(crate) mod rfc3339_opt {
    use serde::Serializer;
    use spark_events::Timestamp;

    #[expect(clippy::ref_option, reason = "serde hands the field over as it is")]
    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::rfc3339::serialize(at, to),
            None => to.serialize_none(),
        }
    }
}
