//! The readers: a small pool of read-only connections, used from blocking threads, and the
//! decoding of rows.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::schema::{explain, open_reader};
use crate::clock::Timestamp;
use crate::ids::StreamName;
use crate::limits::LOG_READERS_MAX;
use crate::log::{Direction, LogError, Metadata, Position, RecordedEvent, Revision};

const READ_ALL: &str = "
SELECT position, revision, type, version, event_id, correlation, causation, actor, reason,
    recorded_at, data, streams.name
FROM events JOIN streams ON streams.id = events.stream
WHERE position > ?1 ORDER BY position LIMIT ?2";

const READ_FORWARD: &str = "
SELECT position, revision, type, version, event_id, correlation, causation, actor, reason,
    recorded_at, data
FROM events WHERE stream = ?1 AND revision >= ?2 ORDER BY revision LIMIT ?3";

const READ_BACKWARD: &str = "
SELECT position, revision, type, version, event_id, correlation, causation, actor, reason,
    recorded_at, data
FROM events WHERE stream = ?1 AND revision <= ?2 ORDER BY revision DESC LIMIT ?3";

/// The pool.
pub(super) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Reader>>>,
    permits: Arc<Semaphore>,
}

/// One connection with its memory of type names, which never change.
pub(super) struct Reader {
    path: Arc<PathBuf>,
    conn: Connection,
    types: HashMap<i64, Arc<str>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path: Arc::new(path),
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(LOG_READERS_MAX)),
        }
    }

    /// Runs one read on a blocking thread. `Closed` once the pool is closed.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| LogError::Closed)?;
        let (idle, path) = (Arc::clone(&self.idle), Arc::clone(&self.path));
        let work = tokio::task::spawn_blocking(move || {
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = match pooled {
                Some(reader) => reader,
                None => Reader::open(path)?,
            };
            let answer = read(&mut reader);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            // Only after the connection is back, so that `close` finds every one of them.
            drop(permit);
            answer
        });
        work.await.map_err(|error| LogError::unavailable("a read ended unexpectedly", error))?
    }

    /// Waits for the reads under way and closes every connection.
    pub(super) async fn close(&self) {
        let all = u32::try_from(LOG_READERS_MAX).unwrap_or(u32::MAX);
        let permits = self.permits.acquire_many(all).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(permits);
    }
}

impl Reader {
    pub(super) fn open(path: Arc<PathBuf>) -> Result<Self, LogError> {
        let conn = open_reader(&path).map_err(|error| explain(&path, error))?;
        Ok(Self { path, conn, types: HashMap::new() })
    }

    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The events after a position; takes no further one after `bytes_max`.
    pub(super) fn all(
        &mut self,
        after: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let Self { path, conn, types } = self;
        let failed = |error| explain(path, error);
        let mut statement = conn.prepare_cached(READ_ALL).map_err(failed)?;
        let mut rows = statement.query(params![signed(after.0), limit as i64]).map_err(failed)?;
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(row) = rows.next().map_err(failed)?
        {
            let event = decode(row, None, conn, types)?;
            bytes += event.data.len();
            events.push(event);
        }
        Ok(events)
    }

    /// Events of one stream.
    pub(super) fn stream(
        &mut self,
        stream: &StreamName,
        from: Option<Revision>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let Self { path, conn, types } = self;
        let failed = |error| explain(path, error);
        let id: Option<i64> = conn
            .prepare_cached("SELECT id FROM streams WHERE name = ?1")
            .and_then(|mut find| find.query_row([stream.as_str()], |row| row.get(0)).optional())
            .map_err(failed)?;
        let id = id.ok_or_else(|| LogError::StreamNotFound(stream.clone()))?;
        let (sql, from) = match direction {
            Direction::Forward => (READ_FORWARD, from.map_or(0, |from| signed(from.0))),
            Direction::Backward => (READ_BACKWARD, from.map_or(i64::MAX, |from| signed(from.0))),
        };
        let mut statement = conn.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params![id, from, limit as i64]).map_err(failed)?;
        let mut events: Vec<RecordedEvent> = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let event = decode(row, Some(stream), conn, types)?;
            if let Some(last) = events.last() {
                check_next(last, &event)?;
            }
            events.push(event);
        }
        Ok(events)
    }
}

/// Two neighbours of one read must be neighbours in the stream.
fn check_next(last: &RecordedEvent, event: &RecordedEvent) -> Result<(), LogError> {
    if last.revision.0.abs_diff(event.revision.0) == 1 {
        return Ok(());
    }
    Err(LogError::Corrupt {
        position: event.position,
        reason: format!(
            "stream {} goes from revision {} to {}",
            event.stream, last.revision.0, event.revision.0
        ),
    })
}

/// A row of one of the statements above as an event.
fn decode(
    row: &Row<'_>,
    stream: Option<&StreamName>,
    conn: &Connection,
    types: &mut HashMap<i64, Arc<str>>,
) -> Result<RecordedEvent, LogError> {
    let position: i64 = row.get(0).unwrap_or_default();
    let position = Position(position.unsigned_abs());
    let event = fields(row, stream, conn, types);
    event
        .map(|event| RecordedEvent { position, ..event })
        .map_err(|error| LogError::Corrupt { position, reason: error.to_string() })
}

type Unreadable = Box<dyn std::error::Error>;

fn fields(
    row: &Row<'_>,
    stream: Option<&StreamName>,
    conn: &Connection,
    types: &mut HashMap<i64, Arc<str>>,
) -> Result<RecordedEvent, Unreadable> {
    let correlation_id = Uuid::from_slice(row.get_ref(5)?.as_blob()?)?;
    let causation_id = match row.get_ref(6)?.as_blob_or_null()? {
        Some(blob) => Uuid::from_slice(blob)?,
        None => correlation_id,
    };
    let recorded_at = Timestamp::from_timestamp_micros(row.get(9)?);
    Ok(RecordedEvent {
        position: Position::START,
        stream: match stream {
            Some(stream) => stream.clone(),
            None => StreamName::new(row.get_ref(11)?.as_str()?)?,
        },
        revision: Revision(u64::try_from(row.get::<_, i64>(1)?)?),
        id: Uuid::from_slice(row.get_ref(4)?.as_blob()?)?,
        event_type: type_name(row.get(2)?, conn, types)?,
        schema_version: u16::try_from(row.get::<_, i64>(3)?)?,
        data: Bytes::copy_from_slice(row.get_ref(10)?.as_bytes()?),
        metadata: Metadata {
            correlation_id,
            causation_id,
            actor: Arc::from(row.get_ref(7)?.as_str()?),
            reason: row.get_ref(8)?.as_str_or_null()?.map(Arc::from),
        },
        recorded_at: recorded_at.ok_or("its time is out of range")?,
    })
}

fn type_name(
    id: i64,
    conn: &Connection,
    types: &mut HashMap<i64, Arc<str>>,
) -> Result<Arc<str>, Unreadable> {
    if let Some(name) = types.get(&id) {
        return Ok(Arc::clone(name));
    }
    let name: String =
        conn.query_row("SELECT name FROM event_types WHERE id = ?1", [id], |row| row.get(0))?;
    let name: Arc<str> = Arc::from(name);
    types.insert(id, Arc::clone(&name));
    Ok(name)
}

/// SQLite's integers are signed; nothing real is beyond them.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
