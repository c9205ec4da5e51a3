//! One row of `tasks`: read, kept while a batch is applied, written. Knows no event.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::rare::Rare;
use super::schema::DELETED;
use crate::columns::blob;

/// The row, but for its id. Names are the columns'.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Record {
    /// The shelf in the file; `None` while the file has no such row.
    pub(super) stored_shelf: Option<i64>,
    /// The class in the file.
    pub(super) stored_class: Option<i64>,
    pub(super) seq: i64,
    pub(super) flow: i64,
    pub(super) source: i64,
    pub(super) schedule: Option<i64>,
    pub(super) trigger: i64,
    pub(super) due_at: Option<i64>,
    pub(super) retry_of: Option<[u8; 16]>,
    pub(super) status: i64,
    /// Of the last failure, unless completed.
    pub(super) class: Option<i64>,
    pub(super) attempts: u32,
    pub(super) attempts_max: u32,
    pub(super) failed_attempt: Option<u32>,
    pub(super) output_seq: Option<i64>,
    pub(super) next_attempt_at: Option<i64>,
    pub(super) worker: Option<i64>,
    pub(super) mode: Option<i64>,
    pub(super) job_id: Option<String>,
    pub(super) definition: Option<i64>,
    pub(super) attempt_started_at: Option<i64>,
    pub(super) attempt_ms: Option<i64>,
    pub(super) reattached: u32,
    /// Who asked to stop it; `None` while nobody did.
    pub(super) cancelled_by: Option<Arc<str>>,
    pub(super) cancel_reason: Option<Arc<str>>,
    /// Which of [`super::endings`] it came to.
    pub(super) ending: Option<i64>,
    pub(super) created_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) updated_at: i64,
    pub(super) created_by: Arc<str>,
    pub(super) revision: i64,
    pub(super) deleted_at: Option<i64>,
    pub(super) rare: Rare,
}

const LOAD: &str = "SELECT seq, flow, source, schedule, trigger, due_at, retry_of, status,
    attempts, attempts_max, failed_attempt, output_seq, next_attempt_at, worker, mode, job_id,
    attempt_started_at, attempt_ms, reattached, cancelled_by, cancel_reason, ending, created_at,
    started_at, finished_at, updated_at, created_by, revision, deleted_at, class, definition,
    rare FROM tasks WHERE id = ?1";

const INSERT: &str = "INSERT INTO tasks (seq, id, flow, source, schedule, trigger, due_at,
    retry_of, attempts_max, created_at, created_by, status, attempts, failed_attempt, output_seq,
    next_attempt_at, worker, mode, job_id, attempt_started_at, attempt_ms, reattached,
    cancelled_by, cancel_reason, ending, started_at, finished_at, updated_at, revision, deleted_at,
    class, definition, rare)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
    ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32,
    ?33)";

/// Everything but what is fixed at creation. What stands in an index is named only in the second:
/// an index with a named column is rewritten whether or not the value changed.
const UPDATE: &str = "UPDATE tasks SET attempts = ?2, failed_attempt = ?3, output_seq = ?4,
    next_attempt_at = ?5, worker = ?6, mode = ?7, job_id = ?8, attempt_started_at = ?9,
    attempt_ms = ?10, reattached = ?11, cancelled_by = ?12, cancel_reason = ?13, ending = ?14,
    started_at = ?15, finished_at = ?16, updated_at = ?17, revision = ?18, deleted_at = ?19,
    definition = ?20, rare = ?21 WHERE seq = ?1";
const UPDATE_INDEXED: &str = "UPDATE tasks SET attempts = ?2, failed_attempt = ?3, output_seq = ?4,
    next_attempt_at = ?5, worker = ?6, mode = ?7, job_id = ?8, attempt_started_at = ?9,
    attempt_ms = ?10, reattached = ?11, cancelled_by = ?12, cancel_reason = ?13, ending = ?14,
    started_at = ?15, finished_at = ?16, updated_at = ?17, revision = ?18, deleted_at = ?19,
    definition = ?20, rare = ?21, status = ?22, class = ?23 WHERE seq = ?1";

impl Record {
    /// The stored row of a task.
    pub(super) fn load(conn: &Connection, id: Uuid) -> rusqlite::Result<Option<Self>> {
        conn.prepare_cached(LOAD)?.query_row([blob(id)], Self::read).optional()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let shelf: i64 = row.get(7)?;
        Ok(Self {
            stored_shelf: Some(shelf),
            stored_class: row.get(29)?,
            status: shelf % DELETED,
            seq: row.get(0)?,
            flow: row.get(1)?,
            source: row.get(2)?,
            schedule: row.get(3)?,
            trigger: row.get(4)?,
            due_at: row.get(5)?,
            retry_of: row.get(6)?,
            attempts: row.get(8)?,
            attempts_max: row.get(9)?,
            failed_attempt: row.get(10)?,
            output_seq: row.get(11)?,
            next_attempt_at: row.get(12)?,
            worker: row.get(13)?,
            mode: row.get(14)?,
            job_id: row.get(15)?,
            attempt_started_at: row.get(16)?,
            attempt_ms: row.get(17)?,
            reattached: row.get(18)?,
            cancelled_by: row.get(19)?,
            cancel_reason: row.get(20)?,
            ending: row.get(21)?,
            created_at: row.get(22)?,
            started_at: row.get(23)?,
            finished_at: row.get(24)?,
            updated_at: row.get(25)?,
            created_by: row.get(26)?,
            revision: row.get(27)?,
            deleted_at: row.get(28)?,
            class: row.get(29)?,
            definition: row.get(30)?,
            rare: Rare::read(row)?,
        })
    }

    /// Writes the row.
    pub(super) fn save(&self, conn: &Connection, id: Uuid) -> rusqlite::Result<()> {
        match self.stored_shelf {
            None => self.insert(conn, id),
            Some(shelf) => {
                let same = (shelf, self.stored_class) == (self.shelf(), self.class);
                self.update(conn, !same)
            }
        }
    }

    /// The status as it stands in the column: that of a deleted task has a number of its own.
    pub(super) fn shelf(&self) -> i64 {
        self.status + if self.deleted_at.is_some() { DELETED } else { 0 }
    }

    /// Takes the task out of the lists, and the numbers of the living.
    pub(super) fn delete(&mut self, at: i64) {
        self.deleted_at = Some(at);
    }

    fn insert(&self, conn: &Connection, id: Uuid) -> rusqlite::Result<()> {
        conn.prepare_cached(INSERT)?.execute(params![
            self.seq,
            blob(id),
            self.flow,
            self.source,
            self.schedule,
            self.trigger,
            self.due_at,
            self.retry_of,
            self.attempts_max,
            self.created_at,
            self.created_by,
            self.shelf(),
            self.attempts,
            self.failed_attempt,
            self.output_seq,
            self.next_attempt_at,
            self.worker,
            self.mode,
            self.job_id,
            self.attempt_started_at,
            self.attempt_ms,
            self.reattached,
            self.cancelled_by,
            self.cancel_reason,
            self.ending,
            self.started_at,
            self.finished_at,
            self.updated_at,
            self.revision,
            self.deleted_at,
            self.class,
            self.definition,
            self.rare.stored()?,
        ])?;
        Ok(())
    }

    fn update(&self, conn: &Connection, with_indexed: bool) -> rusqlite::Result<()> {
        let mut statement =
            conn.prepare_cached(if with_indexed { UPDATE_INDEXED } else { UPDATE })?;
        let common = params![
            self.seq,
            self.attempts,
            self.failed_attempt,
            self.output_seq,
            self.next_attempt_at,
            self.worker,
            self.mode,
            self.job_id,
            self.attempt_started_at,
            self.attempt_ms,
            self.reattached,
            self.cancelled_by,
            self.cancel_reason,
            self.ending,
            self.started_at,
            self.finished_at,
            self.updated_at,
            self.revision,
            self.deleted_at,
            self.definition,
            self.rare.stored()?,
        ];
        for (index, value) in common.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, value)?;
        }
        if with_indexed {
            statement.raw_bind_parameter(common.len() + 1, self.shelf())?;
            statement.raw_bind_parameter(common.len() + 2, self.class)?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_task_stands_on_another_shelf_and_comes_back_from_the_file_alike() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(super::super::schema::SCHEMA).unwrap();
        let id = Uuid::from_u128(7);
        let mut record = Record { seq: 3, status: 4, class: Some(5), ..Record::default() };
        record.save(&conn, id).unwrap();
        record = Record::load(&conn, id).unwrap().unwrap();
        record.delete(99);
        record.save(&conn, id).unwrap();
        let stored = Record::load(&conn, id).unwrap().unwrap();
        assert_eq!((stored.shelf(), stored.status, stored.class), (14, 4, Some(5)));
        assert_eq!((stored.deleted_at, stored.stored_shelf), (Some(99), Some(14)));
    }
}
