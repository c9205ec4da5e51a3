//! How many attempts each worker made, and what they came to. Apart from the workers themselves,
//! so that an event of a task that cannot be read leaves those be.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use spark_events::domain::task::TaskEvent;
use spark_events::{TaskId, WorkerId};

use crate::columns::blob;
use crate::error::ProjectionError;
use crate::projection::{Domain, Event, Projection};

/// What is not in the file yet.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    attempts: i64,
    completed: i64,
    failed: i64,
}

/// Builds the table `worker_counts`.
#[derive(Debug, Default)]
pub struct WorkerCounts {
    counts: HashMap<WorkerId, Counts>,
}

const SCHEMA: &str = "
CREATE TABLE worker_counts (
    id BLOB PRIMARY KEY,
    attempts INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

impl Projection for WorkerCounts {
    fn name(&self) -> &'static str {
        "worker_counts"
    }

    fn version(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn categories(&self) -> &'static [&'static str] {
        &[TaskId::CATEGORY]
    }

    fn apply(&mut self, _: &Connection, event: &Event<'_>) -> Result<(), ProjectionError> {
        let Domain::Task(task) = event.domain else {
            return Ok(());
        };
        // Whoever ended an attempt is the actor of the event that says so.
        let worker = || event.actor().strip_prefix("worker:").and_then(|id| id.parse().ok());
        match task {
            TaskEvent::Started(e) => self.counts.entry(e.worker_id).or_default().attempts += 1,
            TaskEvent::Completed(_) => {
                if let Some(worker) = worker() {
                    self.counts.entry(worker).or_default().completed += 1;
                }
            }
            TaskEvent::AttemptFailed(_) => {
                if let Some(worker) = worker() {
                    self.counts.entry(worker).or_default().failed += 1;
                }
            }
            TaskEvent::Created(_)
            | TaskEvent::Submitted(_)
            | TaskEvent::Reattached(_)
            | TaskEvent::LogRecorded(_)
            | TaskEvent::RetryScheduled(_)
            | TaskEvent::Failed(_)
            | TaskEvent::CancelRequested(_)
            | TaskEvent::Cancelled(_)
            | TaskEvent::Released(_)
            | TaskEvent::Deleted(_) => {}
        }
        Ok(())
    }

    fn flush(&mut self, tx: &Connection) -> Result<(), ProjectionError> {
        let mut statement = tx.prepare_cached(
            "INSERT INTO worker_counts (id, attempts, completed, failed) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET attempts = attempts + ?2, completed = completed + ?3,
                 failed = failed + ?4",
        )?;
        for (id, counts) in self.counts.drain() {
            let Counts { attempts, completed, failed } = counts;
            statement.execute(params![blob(id.0), attempts, completed, failed])?;
        }
        Ok(())
    }

    fn discard(&mut self) {
        self.counts.clear();
    }
}
