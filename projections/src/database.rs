//! The read models' file: opening it, each projection's tables in it, and each projection's row
//! of state (version, checkpoint, halt). Knows no event.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use serde::Serialize;
use spark_events::Position;
use spark_events::limits::{READS_LOCK_WAIT_MS_MAX, READS_WAL_PAGES_MAX};

use crate::columns::{place, signed, unsigned};
use crate::error::ProjectionError;
use crate::projection::Projection;

/// Several rows of 1 to 2 KB share a page of this size without much waste, and a small live commit
/// still writes little.
const PAGE_BYTES: u32 = 8192;

const STATE: &str = "
CREATE TABLE IF NOT EXISTS projection_state (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,      -- the last event whose rows are committed
    halted_at INTEGER,              -- the poison event, while halted
    halted_reason TEXT,
    skipped_unknown INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// What is stored about one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The last event whose rows are committed.
    pub(crate) position: Position,
    /// The poison event and what is wrong with it, while halted.
    pub(crate) halted: Option<(Position, String)>,
    /// Events of a type that this program does not know.
    pub(crate) skipped_unknown: u64,
}

/// What a file of read models says of one projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredState {
    /// Its name.
    pub name: String,
    /// The last event whose rows are committed.
    pub position: Position,
    /// The event that it cannot get past, while halted.
    pub halted_at: Option<Position>,
    /// Whether this program's version of it made the rows. Otherwise they are made anew.
    pub is_current: bool,
}

/// How far a file of read models is, without opening it for writing. Blocks.
///
/// # Errors
/// `Store` where there is none, or it cannot be read.
pub fn stored(path: &Path) -> Result<Vec<StoredState>, ProjectionError> {
    let conn = open_reader(path)?;
    let mut find = conn
        .prepare("SELECT name, version, position, halted_at FROM projection_state ORDER BY name")?;
    let known = crate::projection::all();
    let rows = find.query_map([], |row| {
        let (name, version): (String, u32) = (row.get(0)?, row.get(1)?);
        let is_current = known.iter().any(|it| it.name() == name && it.version() == version);
        let halted_at = row.get::<_, Option<i64>>(3)?.map(|at| Position(unsigned(at)));
        Ok(StoredState { name, position: Position(unsigned(row.get(2)?)), halted_at, is_current })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Opens the file for the one writer, and creates it where there is none. A file that is no
/// database any more is replaced by an empty one: everything in it can be built again.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    match try_open_writer(path) {
        Err(error) if is_ruined(&error) => {
            tracing::warn!(path = %path.display(), %error, "the read models' file is ruined, building it again");
            remove(path);
            try_open_writer(path)
        }
        opened => opened,
    }
}

fn try_open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(std::time::Duration::from_millis(READS_LOCK_WAIT_MS_MAX))?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "cache_size", -65_536)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "wal_autocheckpoint", READS_WAL_PAGES_MAX)?;
    conn.pragma_update(
        None,
        "journal_size_limit",
        i64::from(READS_WAL_PAGES_MAX) * i64::from(PAGE_BYTES),
    )?;
    conn.execute_batch(STATE)?;
    Ok(conn)
}

fn is_ruined(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // What cannot be removed fails again, with its reason, at the next opening.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

/// Opens the file for reading. It must exist.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(std::time::Duration::from_millis(READS_LOCK_WAIT_MS_MAX))?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// The stored state of a projection; makes its tables, or makes them anew where its version
/// changed.
pub(crate) fn prepare(
    conn: &mut Connection,
    projection: &dyn Projection,
) -> rusqlite::Result<State> {
    let stored = conn
        .query_row(
            "SELECT version, position, halted_at, halted_reason, skipped_unknown
             FROM projection_state WHERE name = ?1",
            [projection.name()],
            |row| {
                let halted_at: Option<i64> = row.get(2)?;
                let reason: Option<String> = row.get(3)?;
                let at = |at: i64| (Position(unsigned(at)), reason.unwrap_or_default());
                let state = State {
                    position: Position(unsigned(row.get(1)?)),
                    halted: halted_at.map(at),
                    skipped_unknown: unsigned(row.get(4)?),
                };
                Ok((row.get::<_, u32>(0)?, state))
            },
        )
        .optional()?;
    match stored {
        Some((version, state)) if version == projection.version() => Ok(state),
        other => {
            if other.is_some() {
                tracing::info!(projection = projection.name(), "new version, building it again");
            }
            let tx = conn.transaction()?;
            let state = reset(&tx, projection)?;
            tx.commit()?;
            Ok(state)
        }
    }
}

/// Drops a projection's tables and makes them anew, with the checkpoint before everything.
pub(crate) fn reset(conn: &Connection, projection: &dyn Projection) -> rusqlite::Result<State> {
    let mut find = conn.prepare(
        "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND (name = ?1 OR name GLOB ?1 || '_*')
         ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC",
    )?;
    let tables = find.query_map([projection.name()], |row| row.get::<_, String>(0))?;
    for table in tables.collect::<rusqlite::Result<Vec<_>>>()? {
        // A virtual table goes first and takes the tables behind it along.
        conn.execute_batch(&format!("DROP TABLE IF EXISTS \"{table}\""))?;
    }
    conn.execute_batch(projection.schema())?;
    conn.execute(
        "INSERT OR REPLACE INTO projection_state (name, version, position, skipped_unknown)
         VALUES (?1, ?2, 0, 0)",
        params![projection.name(), projection.version()],
    )?;
    Ok(State { position: Position::START, halted: None, skipped_unknown: 0 })
}

/// Stores a projection's state, in the transaction that stores its rows.
pub(crate) fn save(conn: &Connection, name: &str, state: &State) -> rusqlite::Result<()> {
    let (at, reason) = match &state.halted {
        Some((at, reason)) => (Some(place(*at)), Some(reason.as_str())),
        None => (None, None),
    };
    conn.prepare_cached(
        "UPDATE projection_state
         SET position = ?2, halted_at = ?3, halted_reason = ?4, skipped_unknown = ?5
         WHERE name = ?1",
    )?
    .execute(params![
        name,
        place(state.position),
        at,
        reason,
        signed(state.skipped_unknown)
    ])?;
    Ok(())
}
