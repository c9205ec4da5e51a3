//! One group of appends in one transaction: expectations, repeats, positions, rows. Each append
//! of a group succeeds or is refused alone; only what SQLite reports concerns all of them.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, ToSql, TransactionBehavior, params,
};
use uuid::Uuid;

use super::reader::signed;
use super::streams::{Known, Streams};
use super::writer::{Answer, Append};
use crate::clock::Timestamp;
use crate::ids::StreamName;
use crate::log::{Appended, LogError, NewEvent, Position, RecordedEvent, Revision};

const INSERT_EVENT: &str = "
INSERT INTO events (position, stream, revision, type, version, event_id, correlation, causation,
    actor, reason, recorded_at, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const FIND_STREAM: &str = "
SELECT id, (SELECT max(revision) FROM events WHERE stream = streams.id)
FROM streams WHERE name = ?1";

/// What the writer knows without looking. True only as long as every commit succeeds; `None`
/// and empty mean "look again".
#[derive(Default)]
pub(super) struct Memory {
    pub(super) head: Option<u64>,
    streams: Streams,
    types: HashMap<&'static str, (i64, Arc<str>)>,
}

impl Memory {
    /// Where the file is, for the start.
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { head: Some(head(conn)?), ..Self::default() })
    }
}

/// One transaction for the whole group. An error means that nothing of it was stored.
pub(super) fn write(
    conn: &mut Connection,
    memory: &mut Memory,
    group: &mut [Append],
) -> rusqlite::Result<(Vec<Answer>, Vec<RecordedEvent>)> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let head = match memory.head {
        Some(head) => head,
        None => head(&transaction)?,
    };
    let (answers, head, stored) = {
        let mut session = Session {
            conn: &transaction,
            insert_event: transaction.prepare_cached(INSERT_EVENT)?,
            find_stream: transaction.prepare_cached(FIND_STREAM)?,
            memory: &mut *memory,
            head,
            stored: Vec::with_capacity(group.len()),
        };
        let mut answers = Vec::with_capacity(group.len());
        for append in group {
            answers.push(session.append(append)?);
        }
        (answers, session.head, std::mem::take(&mut session.stored))
    };
    transaction.commit()?;
    memory.head = Some(head);
    Ok((answers, stored))
}

/// One open transaction.
struct Session<'a> {
    conn: &'a Connection,
    insert_event: CachedStatement<'a>,
    find_stream: CachedStatement<'a>,
    memory: &'a mut Memory,
    head: u64,
    stored: Vec<RecordedEvent>,
}

impl Session<'_> {
    /// Stores one batch, or answers why not. Only an `Err` outside concerns the others.
    fn append(&mut self, append: &mut Append) -> rusqlite::Result<Answer> {
        let Append { stream, expected, events, recorded_at, .. } = append;
        let known = self.find(stream)?;
        let actual = known.map(|known| Revision(known.revision));
        if !expected.accepts(actual) {
            let repeated = match (known, expected.first_revision()) {
                (Some(known), Some(first)) => self.repeated(known, first, events)?,
                _ => None,
            };
            let stream = stream.clone();
            let expected = *expected;
            return Ok(repeated.ok_or(LogError::WrongRevision { stream, expected, actual }));
        }
        if events.is_empty() {
            return self.last(known).map(Ok);
        }
        let id = match known {
            Some(known) => known.id,
            None => self.create(stream)?,
        };
        let mut next = known.map_or(0, |known| known.revision + 1);
        for event in std::mem::take(events) {
            self.insert(id, stream, Revision(next), event, *recorded_at)?;
            next += 1;
        }
        let revision = next - 1;
        self.memory.streams.set(stream, Known { id, revision });
        Ok(Ok(Appended { position: Position(self.head), revision: Revision(revision) }))
    }

    fn find(&mut self, stream: &StreamName) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.memory.streams.get(stream) {
            return Ok(Some(known));
        }
        let found = self.find_stream.query_row([stream.as_str()], |row| {
            let revision: i64 = row.get(1)?;
            Ok(Known { id: row.get(0)?, revision: revision.unsigned_abs() })
        });
        let found = found.optional()?;
        if let Some(known) = found {
            self.memory.streams.set(stream, known);
        }
        Ok(found)
    }

    fn create(&mut self, stream: &StreamName) -> rusqlite::Result<i64> {
        let mut insert = self.conn.prepare_cached("INSERT INTO streams (name) VALUES (?1)")?;
        insert.insert([stream.as_str()])
    }

    /// The answer to an earlier copy of the same batch at its place, if there is one.
    fn repeated(
        &self,
        known: Known,
        first: Revision,
        events: &[NewEvent],
    ) -> rusqlite::Result<Option<Appended>> {
        let mut stored = self.conn.prepare_cached(
            "SELECT event_id, position, revision FROM events
             WHERE stream = ?1 AND revision >= ?2 ORDER BY revision",
        )?;
        let mut rows = stored.query(params![known.id, signed(first.0)])?;
        let mut last = None;
        for event in events {
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            if row.get_ref(0)?.as_blob()? != event.id.as_bytes().as_slice() {
                return Ok(None);
            }
            last = Some(appended(row.get(1)?, row.get(2)?));
        }
        Ok(last)
    }

    /// The answer to an empty batch: where the stream is.
    fn last(&self, known: Option<Known>) -> rusqlite::Result<Appended> {
        let Some(known) = known else {
            return Ok(appended(0, 0));
        };
        let mut last = self
            .conn
            .prepare_cached("SELECT position FROM events WHERE stream = ?1 AND revision = ?2")?;
        let revision = signed(known.revision);
        let position = last.query_row([known.id, revision], |row| row.get(0))?;
        Ok(appended(position, revision))
    }

    fn insert(
        &mut self,
        stream_id: i64,
        stream: &StreamName,
        revision: Revision,
        event: NewEvent,
        recorded_at: Timestamp,
    ) -> rusqlite::Result<()> {
        let (type_id, event_type) = self.type_of(event.event_type)?;
        let metadata = &event.metadata;
        let (correlation, causation) = (metadata.correlation_id, metadata.causation_id);
        self.head += 1;
        self.insert_event.execute(params![
            signed(self.head),
            stream_id,
            signed(revision.0),
            type_id,
            event.schema_version,
            Id(&event.id),
            Id(&correlation),
            (causation != correlation).then_some(Id(&causation)),
            &*metadata.actor,
            metadata.reason.as_deref(),
            recorded_at.timestamp_micros(),
            Text(&event.data),
        ])?;
        self.stored.push(RecordedEvent {
            position: Position(self.head),
            stream: stream.clone(),
            revision,
            id: event.id,
            event_type,
            schema_version: event.schema_version,
            data: event.data,
            metadata: event.metadata,
            recorded_at,
        });
        Ok(())
    }

    fn type_of(&mut self, name: &'static str) -> rusqlite::Result<(i64, Arc<str>)> {
        if let Some((id, name)) = self.memory.types.get(name) {
            return Ok((*id, Arc::clone(name)));
        }
        let mut find = self.conn.prepare_cached("SELECT id FROM event_types WHERE name = ?1")?;
        let id = match find.query_row([name], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                let mut add =
                    self.conn.prepare_cached("INSERT INTO event_types (name) VALUES (?1)")?;
                add.insert([name])?
            }
        };
        let text: Arc<str> = Arc::from(name);
        self.memory.types.insert(name, (id, Arc::clone(&text)));
        Ok((id, text))
    }
}

fn head(conn: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(position), 0) FROM events";
    conn.query_row(sql, [], |row| row.get(0)).map(i64::unsigned_abs)
}

fn appended(position: i64, revision: i64) -> Appended {
    Appended {
        position: Position(position.unsigned_abs()),
        revision: Revision(revision.unsigned_abs()),
    }
}

/// JSON as SQLite text, without a copy and without another look at its bytes.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// A UUID as its 16 bytes.
struct Id<'a>(&'a Uuid);

impl ToSql for Id<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}
