//! The one writer: a thread that drains the queue, stores a group of appends in one transaction
//! with one fsync, and answers all of them. Positions are given inside that transaction, so a
//! reader never passes one that commits later.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::group::{self, Memory};
use super::{Shared, note, schema};
use crate::clock::Timestamp;
use crate::ids::StreamName;
use crate::limits::{GROUP_COMMIT_BYTES_MAX, GROUP_COMMIT_MAX};
use crate::log::{Appended, ExpectedRevision, LogError, NewEvent, Position};

/// Bytes of the WAL, estimated, after which it is copied into the file. A larger value means
/// fewer, longer pauses and copies fewer pages twice.
const CHECKPOINT_BYTES: usize = 32 * 1024 * 1024;
/// What a group adds to the WAL beside its JSON: the inner and last pages of five B-trees.
const GROUP_OVERHEAD_BYTES: usize = 64 * 1024;

/// Under load a group waits this long for more appends: a commit costs about as much for one
/// append as for ten, and so does waking those who follow the log.
const LINGER: Duration = Duration::from_micros(500);
/// What load is: the last group had so many appends, so waiting will bring more.
const LINGER_FROM: usize = 4;
/// A group of this size waits no longer: it spreads the costs of its commit well enough.
const LINGER_UP_TO: usize = 64;

/// What the queue holds.
pub(super) enum Job {
    /// Store this.
    Append(Append),
    /// Take nothing more, store what is queued, end.
    Close,
}

/// One caller's batch, waiting.
pub(super) struct Append {
    pub(super) stream: StreamName,
    pub(super) expected: ExpectedRevision,
    pub(super) events: Vec<NewEvent>,
    pub(super) recorded_at: Timestamp,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) type Answer = Result<Appended, LogError>;

/// Owns the only connection that writes.
pub(super) struct Writer {
    conn: Connection,
    path: PathBuf,
    memory: Memory,
    /// Bytes written since the last checkpoint, estimated.
    unchecked_bytes: usize,
    /// Held until the connection is closed.
    _lock: File,
}

impl Writer {
    /// Opens the file and reads its head.
    pub(super) fn open(path: &Path) -> Result<(Self, Position), LogError> {
        let lock = schema::lock(path)?;
        let conn = schema::open_writer(path)?;
        let memory = Memory::read(&conn).map_err(|error| schema::explain(path, error))?;
        let head = Position(memory.head.unwrap_or_default());
        let writer = Self { conn, path: path.to_owned(), memory, unchecked_bytes: 0, _lock: lock };
        Ok((writer, head))
    }

    /// The thread's life.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>, shared: &Shared) {
        let mut group = Vec::with_capacity(GROUP_COMMIT_MAX);
        let mut last = 0;
        while collect(&mut queue, &mut group, last) {
            last = group.len();
            self.store(&mut group, shared);
        }
        if let Err(error) = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the last checkpoint failed; the next start repeats it");
        }
    }

    /// Stores a group, makes it visible, answers everybody in it.
    fn store(&mut self, group: &mut Vec<Append>, shared: &Shared) {
        match group::write(&mut self.conn, &mut self.memory, group) {
            Ok((answers, events)) => {
                self.unchecked_bytes += GROUP_OVERHEAD_BYTES
                    + events.iter().map(|event| event.data.len()).sum::<usize>();
                shared.publish(events);
                note(&shared.write_trouble, None);
                for (append, answer) in group.drain(..).zip(answers) {
                    let _ = append.answer.send(answer);
                }
                self.checkpoint();
            }
            Err(error) => {
                self.memory = Memory::default();
                if !self.conn.is_autocommit() {
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                let error = schema::explain(&self.path, error);
                tracing::error!(appends = group.len(), %error, "a group of appends was not stored");
                note(&shared.write_trouble, Some(error.to_string()));
                for append in group.drain(..) {
                    let _ = append.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Keeps the WAL short. After the answers, so that no caller waits for it but those of the
    /// next group; passive, so that no reader is in its way.
    fn checkpoint(&mut self) {
        if self.unchecked_bytes < CHECKPOINT_BYTES {
            return;
        }
        self.unchecked_bytes = 0;
        if let Err(error) = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            // Everything is safe in the WAL; the next checkpoint copies it too.
            tracing::warn!(%error, "a checkpoint failed");
        }
    }
}

/// Waits for one append and takes what else is queued, within the bounds of a group. `last` is the
/// size of the last group. False when there is nothing left and nothing will come.
fn collect(queue: &mut mpsc::Receiver<Job>, group: &mut Vec<Append>, last: usize) -> bool {
    let mut may_linger = last >= LINGER_FROM;
    let mut bytes = 0;
    while group.len() < GROUP_COMMIT_MAX && bytes < GROUP_COMMIT_BYTES_MAX {
        let job = if group.is_empty() { queue.blocking_recv() } else { queue.try_recv().ok() };
        match job {
            Some(Job::Append(append)) => {
                bytes += append.events.iter().map(|event| event.data.len()).sum::<usize>();
                group.push(append);
            }
            Some(Job::Close) => queue.close(),
            None if may_linger && (1..LINGER_UP_TO).contains(&group.len()) => {
                may_linger = false;
                std::thread::sleep(LINGER);
            }
            None => break,
        }
    }
    !group.is_empty()
}
