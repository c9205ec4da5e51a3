//! A log's file from outside: what it holds, whether it is whole, a copy of it. Only reads, so a
//! server may write it meanwhile. Everything here blocks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;

use super::reader::Reader;
use super::schema::{APPLICATION_ID, SCHEMA_VERSION, explain, schema_version};
use crate::clock::Timestamp;
use crate::limits::READ_EVENTS_MAX;
use crate::log::{LogError, Position, RecordedEvent};

/// A log's file, opened for reading.
pub struct LogFile {
    path: Arc<PathBuf>,
    reader: Reader,
}

/// What a log's file holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogFacts {
    /// The schema version of the file.
    pub schema_version: i64,
    /// How many events it has.
    pub events: u64,
    /// How many streams it has.
    pub streams: u64,
    /// The position of its last event.
    pub head: Position,
    /// When its first event was recorded.
    pub first_at: Option<Timestamp>,
    /// When its last event was recorded.
    pub last_at: Option<Timestamp>,
}

/// How many events there are of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeCount {
    /// The type's name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// How many events.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
}

impl LogFile {
    /// Opens a file that exists and is a log of a version that this program knows.
    ///
    /// # Errors
    /// `Unavailable` with the reason.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let path = Arc::new(path.to_owned());
        let reader = Reader::open(Arc::clone(&path))?;
        let file = Self { path, reader };
        let read = |name: &str| file.number(&format!("PRAGMA {name}"));
        let (application, version) =
            (read("application_id")?, schema_version(file.conn()).map_err(file.failed())?);
        let refused = |reason: String| Err(LogError::Unavailable { reason, source: None });
        let shown = file.path.display();
        match version {
            _ if application != APPLICATION_ID => {
                refused(format!("{shown} is no event log of Spark; name another file"))
            }
            newer if newer > SCHEMA_VERSION => refused(format!(
                "{shown} has schema version {newer} and this program knows versions up to \
                 {SCHEMA_VERSION}; use the newer program that wrote it"
            )),
            _ => Ok(file),
        }
    }

    /// What it holds now. Counts, so it takes a second for some millions of events.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn facts(&self) -> Result<LogFacts, LogError> {
        let number = |sql: &str| self.number(sql).map(i64::unsigned_abs);
        let at = |end: &str| {
            let sql = format!(
                "SELECT coalesce((SELECT recorded_at FROM events ORDER BY position {end} LIMIT 1), -1)"
            );
            let micros = self.number(&sql)?;
            Ok(Some(micros).filter(|at| *at >= 0).and_then(Timestamp::from_timestamp_micros))
        };
        Ok(LogFacts {
            schema_version: schema_version(self.conn()).map_err(self.failed())?,
            events: number("SELECT count(*) FROM events")?,
            streams: number("SELECT count(*) FROM streams")?,
            head: Position(number("SELECT coalesce(max(position), 0) FROM events")?),
            first_at: at("ASC")?,
            last_at: at("DESC")?,
        })
    }

    /// How many events there are of each type, most first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn types(&self) -> Result<Vec<TypeCount>, LogError> {
        let sql = "SELECT event_types.name, count(*), sum(length(CAST(data AS BLOB)))
                   FROM events JOIN event_types ON event_types.id = events.type
                   GROUP BY events.type ORDER BY count(*) DESC, event_types.name";
        let mut find = self.conn().prepare(sql).map_err(self.failed())?;
        let rows = find.query_map([], |row| {
            Ok(TypeCount {
                event_type: row.get(0)?,
                events: row.get::<_, i64>(1)?.unsigned_abs(),
                bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            })
        });
        rows.and_then(Iterator::collect).map_err(self.failed())
    }

    /// What SQLite finds wrong with the file itself, at most so many lines; nothing where it is
    /// whole. Reads all of it.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be read at all.
    pub fn damage(&self, lines_max: usize) -> Result<Vec<String>, LogError> {
        let mut check = self
            .conn()
            .prepare(&format!("PRAGMA quick_check({lines_max})"))
            .map_err(self.failed())?;
        let lines = check.query_map([], |row| row.get::<_, String>(0));
        let lines: Vec<String> = lines.and_then(Iterator::collect).map_err(self.failed())?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// The events after a position, oldest first, at most [`READ_EVENTS_MAX`].
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub fn read(&mut self, after: Position) -> Result<Vec<RecordedEvent>, LogError> {
        self.reader.all(after, READ_EVENTS_MAX, usize::MAX)
    }

    /// Writes a consistent copy of one moment to a new file, and waits until the disk has it.
    /// Events that are appended meanwhile are not in it.
    ///
    /// # Errors
    /// `Unavailable`, also where the new file exists.
    pub fn copy_to(&self, to: &Path) -> Result<(), LogError> {
        let failed = |error| explain(to, error);
        let name = to.to_str().ok_or_else(|| LogError::Unavailable {
            reason: format!("{} is no UTF-8 path; name another", to.display()),
            source: None,
        })?;
        self.conn().execute("VACUUM INTO ?1", [name]).map_err(failed)?;
        let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
        synced.map_err(|error| {
            LogError::unavailable(format!("{} cannot be stored: {error}", to.display()), error)
        })
    }

    fn number(&self, sql: &str) -> Result<i64, LogError> {
        self.conn().query_row(sql, [], |row| row.get(0)).map_err(self.failed())
    }

    fn conn(&self) -> &Connection {
        self.reader.conn()
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> LogError + '_ {
        |error| explain(&self.path, error)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ids::{StreamName, new_uuid};
    use crate::log::embedded::EmbeddedLog;
    use crate::log::{EventLog, ExpectedRevision, Metadata, NewEvent};

    async fn append(log: &EmbeddedLog, stream: &str) {
        let id = new_uuid();
        let metadata =
            Metadata { correlation_id: id, causation_id: id, actor: "system".into(), reason: None };
        let event = NewEvent {
            id,
            event_type: "case.happened",
            schema_version: 1,
            data: "{\"ä\":1}".into(),
            metadata,
        };
        let stream = StreamName::new(stream).unwrap();
        log.append(&stream, ExpectedRevision::Any, vec![event]).await.unwrap();
    }

    #[tokio::test]
    async fn a_copy_of_a_log_that_is_written_holds_one_moment_and_can_be_opened() {
        let dir = TempDir::new().unwrap();
        let (path, copy) = (dir.path().join("events.db"), dir.path().join("copy.db"));
        let log = EmbeddedLog::open(&path, Arc::new(SystemClock)).unwrap();
        append(&log, "case-a").await;
        append(&log, "case-a").await;
        append(&log, "case-b").await;
        let file = LogFile::open(&path).unwrap();
        let facts = file.facts().unwrap();
        assert_eq!((facts.events, facts.streams, facts.head), (3, 2, Position(3)));
        assert!(facts.first_at.unwrap() <= facts.last_at.unwrap());
        assert_eq!(file.damage(10).unwrap(), Vec::<String>::new());
        file.copy_to(&copy).unwrap();
        append(&log, "case-b").await;
        assert_eq!(file.facts().unwrap().events, 4, "the file itself goes on");
        assert!(file.copy_to(&copy).is_err(), "nothing is overwritten");
        let mut copied = LogFile::open(&copy).unwrap();
        assert_eq!(copied.facts().unwrap(), facts);
        assert_eq!(copied.read(Position(1)).unwrap().len(), 2);
        let counts = copied.types().unwrap();
        assert_eq!((counts[0].events, counts[0].bytes), (3, 3 * 8));
        drop(copied);
        let again = EmbeddedLog::open(&copy, Arc::new(SystemClock)).unwrap();
        append(&again, "case-a").await;
        assert_eq!(again.head().await.unwrap(), Position(4));
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("x.db");
        assert!(LogFile::open(&path).is_err(), "it is not made");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (a)").unwrap();
        let refused = LogFile::open(&path).err().unwrap().to_string();
        assert!(refused.contains("no event log"), "{refused}");
        other
            .execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99"
            ))
            .unwrap();
        let refused = LogFile::open(&path).err().unwrap().to_string();
        assert!(refused.contains("schema version 99"), "{refused}");
    }
}
