//! The file: its tables, how connections to it are opened, and SQLite's errors in words for an
//! operator. Everything here blocks.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::limits::LOG_LOCK_WAIT_MS_MAX;
use crate::log::LogError;

/// Of the tables below. A change of them needs a new number and a step that upgrades old files.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Marks the file as an event log of Spark: "SPRK".
pub(super) const APPLICATION_ID: i64 = 0x5350_524B;

/// Between two tries to get the lock of this process.
const LOCK_PAUSE_MS: u64 = 20;

/// `events` holds numbers where `streams` and `event_types` hold names, and leaves out a
/// causation that equals the correlation, to be small; `history` shows it all to a human. The
/// triggers refuse what would change the past.
const SCHEMA: &str = "
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE event_types (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    type INTEGER NOT NULL,
    version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    correlation BLOB NOT NULL,
    causation BLOB,
    actor TEXT NOT NULL,
    reason TEXT,
    recorded_at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_stream ON events (stream, revision);

CREATE VIEW history AS
WITH readable AS (
    SELECT *, lower(hex(event_id)) AS e, lower(hex(correlation)) AS c,
        lower(hex(coalesce(causation, correlation))) AS p
    FROM events
)
SELECT readable.position, streams.name AS stream, readable.revision, event_types.name AS type,
    readable.version,
    strftime('%Y-%m-%dT%H:%M:%S', recorded_at / 1000000, 'unixepoch')
        || printf('.%06dZ', recorded_at % 1000000) AS recorded_at,
    actor, reason,
    substr(e,1,8)||'-'||substr(e,9,4)||'-'||substr(e,13,4)||'-'||substr(e,17,4)||'-'||substr(e,21)
        AS event_id,
    substr(c,1,8)||'-'||substr(c,9,4)||'-'||substr(c,13,4)||'-'||substr(c,17,4)||'-'||substr(c,21)
        AS correlation_id,
    substr(p,1,8)||'-'||substr(p,9,4)||'-'||substr(p,13,4)||'-'||substr(p,17,4)||'-'||substr(p,21)
        AS causation_id,
    data
FROM readable
JOIN streams ON streams.id = readable.stream
JOIN event_types ON event_types.id = readable.type;

CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER streams_are_not_updated BEFORE UPDATE ON streams
BEGIN SELECT RAISE(ABORT, 'streams are never changed'); END;
CREATE TRIGGER streams_are_not_deleted BEFORE DELETE ON streams
BEGIN SELECT RAISE(ABORT, 'streams are never deleted'); END;
CREATE TRIGGER event_types_are_not_updated BEFORE UPDATE ON event_types
BEGIN SELECT RAISE(ABORT, 'event types are never changed'); END;
CREATE TRIGGER event_types_are_not_deleted BEFORE DELETE ON event_types
BEGIN SELECT RAISE(ABORT, 'event types are never deleted'); END;
";

/// Takes the lock that says "this process writes this log". Released when the file is dropped,
/// also by the death of the process. Not the database file itself: closing any handle of that
/// would release SQLite's own locks.
pub(super) fn lock(path: &Path) -> Result<File, LogError> {
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    let failed = |error| {
        let reason = format!(
            "{} cannot be created or locked; check that its directory exists and is writable",
            Path::new(&name).display()
        );
        LogError::unavailable(reason, error)
    };
    let file = File::create(&name).map_err(failed)?;
    for _ in 0..LOG_LOCK_WAIT_MS_MAX / LOCK_PAUSE_MS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            // A killed predecessor holds it until the kernel has ended its last write.
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(LOCK_PAUSE_MS));
            }
        }
    }
    Err(LogError::Unavailable {
        reason: format!(
            "{} is in use by another process; stop that one, or use another data directory",
            path.display()
        ),
        source: None,
    })
}

/// The one connection that writes; creates the file and its tables where there are none.
pub(super) fn open_writer(path: &Path) -> Result<Connection, LogError> {
    let explained = |error| explain(path, error);
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(explained)?;
    conn.busy_timeout(Duration::from_millis(LOG_LOCK_WAIT_MS_MAX)).map_err(explained)?;
    // Checkpoints are taken by the writer between two groups (`Writer::checkpoint`).
    conn.execute_batch(
        "PRAGMA page_size = 8192;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -65536;
         PRAGMA temp_store = MEMORY;",
    )
    .map_err(explained)?;
    let version = schema_version(&conn).map_err(explained)?;
    match version {
        SCHEMA_VERSION => Ok(conn),
        0 => {
            create(path, &conn)?;
            Ok(conn)
        }
        newer => Err(LogError::Unavailable {
            reason: format!(
                "{} has schema version {newer} and this program knows versions up to \
                 {SCHEMA_VERSION}; start the newer program that wrote it",
                path.display()
            ),
            source: None,
        }),
    }
}

fn create(path: &Path, conn: &Connection) -> Result<(), LogError> {
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| explain(path, error))?;
    if tables > 0 {
        return Err(LogError::Unavailable {
            reason: format!(
                "{} is a database of something else; name another file",
                path.display()
            ),
            source: None,
        });
    }
    conn.execute_batch(&format!(
        "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    ))
    .map_err(|error| explain(path, error))
}

pub(super) fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(Duration::from_millis(LOG_LOCK_WAIT_MS_MAX))?;
    conn.execute_batch("PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}

/// What SQLite said, and what to do about it.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> LogError {
    let file = path.display();
    let reason = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            format!("the disk of {file} is full; free some space, writing goes on by itself")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!(
            "{file} is locked by another process; end what holds the lock, writing goes on by itself"
        ),
        Some(ErrorCode::SystemIoFailure) => format!(
            "reading or writing {file} failed ({error}); check the disk and the system's log"
        ),
        Some(
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied,
        ) => format!(
            "{file} may not be written ({error}); check the owner and the mode of it and its directory"
        ),
        Some(ErrorCode::CannotOpen) => {
            format!("{file} cannot be opened; check that its directory exists and may be written")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            format!("{file} is damaged or is not an event log ({error}); restore it from a backup")
        }
        Some(ErrorCode::ConstraintViolation) => format!(
            "{file} was changed by another process ({error}); let only one process write it"
        ),
        _ => format!("{file}: {error}"),
    };
    LogError::unavailable(reason, error)
}
