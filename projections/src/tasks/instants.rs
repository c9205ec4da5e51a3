//! Which tasks were made for given due instants of a schedule.

use rusqlite::{OptionalExtension, params};
use spark_events::domain::task::TaskStatus;
use spark_events::{ScheduleId, TaskId, Timestamp};

use super::schema::DELETED;
use super::{status_number, stored_ref};
use crate::columns::Columns;
use crate::error::QueryError;
use crate::store::Reads;

/// The newest task of an instant. Deleted tasks stand there too: they did run.
const NEWEST: &str = "SELECT status, id FROM tasks INDEXED BY tasks_due
    WHERE schedule = ?1 AND due_at = ?2 ORDER BY seq DESC LIMIT 1";

impl Reads {
    /// The newest task that an occurrence or a backfill of a schedule made for each of these due
    /// instants, in their order; instants without a task are left out. One look-up in an index for
    /// each, however many tasks the schedule has.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub async fn tasks_of_instants(
        &self,
        id: ScheduleId,
        instants: Vec<Timestamp>,
    ) -> Result<Vec<(Timestamp, TaskStatus, TaskId)>, QueryError> {
        self.read(move |conn| {
            let Some(schedule) = stored_ref(conn, id.0)? else {
                return Ok(Vec::new());
            };
            let mut statement = conn.prepare_cached(NEWEST)?;
            let mut found = Vec::new();
            for due_at in instants {
                let read = |row: &rusqlite::Row<'_>| {
                    Ok((row.get::<_, i64>("status")?, TaskId(row.id("id")?)))
                };
                let values = params![schedule, due_at.timestamp_micros()];
                let newest = statement.query_row(values, read).optional()?;
                let known = newest.and_then(|(number, id)| Some((status(number)?, id)));
                found.extend(known.map(|(status, id)| (due_at, status, id)));
            }
            Ok(found)
        })
        .await
    }
}

fn status(number: i64) -> Option<TaskStatus> {
    let number = number % DELETED;
    TaskStatus::ALL.into_iter().find(|status| status_number(*status) == number)
}
