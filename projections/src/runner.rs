//! The running projections: starts and stops the task and the threads that build the read models,
//! and says how far they are. Never touches a row itself.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use spark_events::limits::{DRAIN_MS_MAX, READ_WAIT_MS_MAX};
use spark_events::{Position, SharedLog};
use tokio::sync::{mpsc, oneshot, watch};

use crate::database::open_writer;
use crate::error::{ProjectionError, QueryError};
use crate::follow::{Follower, Restart, decode_all};
use crate::projection::{self, Projection};
use crate::store::Reads;
use crate::writer::{Verb, Work, Writer};

/// Batches that wait between two stages of the pipeline.
const STAGE_BATCHES_MAX: usize = 2;

/// How one projection is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ProjectionHealth {
    /// Its name.
    pub name: &'static str,
    /// The last event whose rows are committed.
    pub position: Position,
    /// The event that it cannot get past, if there is one. It stands still until `retry` or
    /// `rebuild`.
    pub halted: Option<Halt>,
    /// Events of a type that this program does not know; they were passed over.
    pub skipped_unknown: u64,
    /// Events that it passes over because somebody said so, as far as they are known.
    pub skipped: Vec<Position>,
}

/// The event that a projection cannot get past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Halt {
    /// Where it is.
    pub position: Position,
    /// What is wrong with it.
    pub reason: String,
}

/// What the handle, the follower and the writer have in common.
pub(crate) struct Shared {
    /// Written by the writer alone.
    pub(crate) restart: watch::Sender<Restart>,
    /// The position up to which every projection that goes on is visible to readers.
    pub(crate) reached: watch::Sender<Position>,
    /// The position up to which the texts of tasks are found by their words.
    pub(crate) searchable: watch::Sender<Position>,
    /// Set when the end is not waited for any longer.
    pub(crate) aborting: AtomicBool,
    health: Mutex<Vec<ProjectionHealth>>,
    log_trouble: Mutex<Option<String>>,
    store_trouble: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            restart: watch::Sender::new(Restart::default()),
            reached: watch::Sender::new(Position::START),
            searchable: watch::Sender::new(Position::START),
            aborting: AtomicBool::new(false),
            health: Mutex::default(),
            log_trouble: Mutex::default(),
            store_trouble: Mutex::default(),
        }
    }

    pub(crate) fn health(&self) -> Vec<ProjectionHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_health(&self, health: Vec<ProjectionHealth>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    pub(crate) fn set_log_trouble(&self, trouble: Option<String>) {
        *self.log_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn set_store_trouble(&self, trouble: Option<String>) {
        *self.store_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// The running projections. A cheap handle; they run until [`stop`](Self::stop), until the last
/// handle is dropped, or until the log is closed.
#[derive(Clone)]
pub struct Projections(Arc<Running>);

struct Running {
    path: PathBuf,
    log: SharedLog,
    shared: Arc<Shared>,
    reads: Reads,
    work: mpsc::WeakSender<Work>,
    until: watch::Sender<Option<Position>>,
    parts: Mutex<Option<Parts>>,
}

/// What runs, until it is stopped.
struct Parts {
    follower: tokio::task::JoinHandle<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Projections {
    /// Opens the read models' file at `path`, creates it where there is none, and begins to follow
    /// the log. Blocks shortly on the file system; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Store` when the file cannot be opened, `Thread` when a thread cannot be started.
    pub fn start(path: impl Into<PathBuf>, log: SharedLog) -> Result<Self, ProjectionError> {
        Self::start_with(path, log, projection::all())
    }

    /// As [`start`](Self::start), with other projections than the product's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(
        path: impl Into<PathBuf>,
        log: SharedLog,
        projections: Vec<Box<dyn Projection>>,
    ) -> Result<Self, ProjectionError> {
        let path = path.into();
        let shared = Arc::new(Shared::new());
        let restart = shared.restart.subscribe();
        let writer = Writer::new(open_writer(&path)?, projections, Arc::clone(&shared))?;
        let (until, until_seen) = watch::channel(None);
        let (raw_out, raw_in) = mpsc::channel(STAGE_BATCHES_MAX);
        let (work_out, work_in) = mpsc::channel(STAGE_BATCHES_MAX);
        let work = work_out.downgrade();
        let decoded = work_out.clone();
        let threads = vec![
            thread("reads-writer", move || writer.run(work_in))?,
            thread("reads-decoder", move || decode_all(raw_in, &decoded))?,
        ];
        let follower = Follower {
            log: Arc::clone(&log),
            shared: Arc::clone(&shared),
            restart,
            until: until_seen,
            raw: raw_out,
            work: work_out,
        };
        #[expect(clippy::disallowed_methods, reason = "`Parts` keeps the handle, `stop` ends it")]
        let follower = tokio::spawn(follower.run());
        let parts = Mutex::new(Some(Parts { follower, threads }));
        let reads = Reads::open(&path);
        Ok(Self(Arc::new(Running { path, log, shared, reads, work, until, parts })))
    }

    /// The readers of what is built.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.0.reads.clone()
    }

    /// The file that is built.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The position up to which every projection that goes on is visible to readers. It falls back
    /// while a projection is rebuilt.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.0.shared.reached.borrow()
    }

    /// [`position`](Self::position), after each commit.
    #[must_use]
    pub fn positions(&self) -> watch::Receiver<Position> {
        self.0.shared.reached.subscribe()
    }

    /// Waits until what the log holds up to `position` is visible to readers: read-your-writes. A
    /// halted projection is not waited for. Cancel-safe.
    ///
    /// # Errors
    /// `Behind` after `timeout`, or after [`READ_WAIT_MS_MAX`] where that is shorter.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> Result<(), QueryError> {
        wait(&self.0.shared.reached, position, timeout).await
    }

    /// The position up to which the texts of tasks are found by their words: behind
    /// [`position`](Self::position) while there is much else to do.
    #[must_use]
    pub fn searchable(&self) -> Position {
        *self.0.shared.searchable.borrow()
    }

    /// As [`wait_for`](Self::wait_for), for a search in the texts of tasks.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub async fn wait_for_search(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<(), QueryError> {
        wait(&self.0.shared.searchable, position, timeout).await
    }

    /// How each projection is doing. Does no I/O.
    #[must_use]
    pub fn health(&self) -> Vec<ProjectionHealth> {
        self.0.shared.health()
    }

    /// Why nothing moves now: the log cannot be read, or the file cannot be written. Both are
    /// tried again without end.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let of = |place: &Mutex<Option<String>>| {
            place.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        of(&self.0.shared.store_trouble).or_else(|| of(&self.0.shared.log_trouble))
    }

    /// Lets a halted projection try its poison event again.
    ///
    /// # Errors
    /// `Unknown`, `Store`, `Stopped`.
    pub async fn retry(&self, name: &str) -> Result<(), ProjectionError> {
        self.verb(Verb::Retry, name).await
    }

    /// Drops a projection's rows and builds them again from the whole log. Meanwhile its lists are
    /// incomplete, and [`position`](Self::position) says so.
    ///
    /// # Errors
    /// `Unknown`, `Store`, `Stopped`.
    pub async fn rebuild(&self, name: &str) -> Result<(), ProjectionError> {
        self.verb(Verb::Rebuild, name).await
    }

    /// Lets a projection pass over an event, and tries again. It is for the caller to have it
    /// recorded; see [`spark_events::domain::projection`].
    ///
    /// # Errors
    /// `Unknown`, `Store`, `Stopped`.
    pub async fn skip(&self, name: &str, position: Position) -> Result<(), ProjectionError> {
        self.verb(Verb::Skip(position), name).await
    }

    async fn verb(&self, verb: Verb, name: &str) -> Result<(), ProjectionError> {
        let work = self.0.work.upgrade().ok_or(ProjectionError::Stopped)?;
        let (answer, answered) = oneshot::channel();
        let asked = work.send(Work::Verb(verb, name.to_owned(), answer)).await;
        drop(work);
        asked.map_err(|_| ProjectionError::Stopped)?;
        answered.await.map_err(|_| ProjectionError::Stopped)?
    }

    /// Lets the projections reach the log's end, bounded by [`DRAIN_MS_MAX`], and ends them. Stop
    /// them before the log is closed. A second call does nothing.
    pub async fn stop(&self) {
        let parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Parts { mut follower, threads }) = parts else {
            return;
        };
        // A log that cannot say where it ends is not waited for.
        let head = self.0.log.head().await.unwrap_or_default();
        self.0.until.send_replace(Some(head));
        let mut joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        });
        let drained = tokio::time::timeout(Duration::from_millis(DRAIN_MS_MAX), async {
            let _ = (&mut follower).await;
            let _ = (&mut joined).await;
        });
        if drained.await.is_err() {
            tracing::warn!(position = %self.position(), %head, "the read models did not reach the log's end in time");
            self.0.shared.aborting.store(true, Ordering::Relaxed);
            follower.abort();
            let _ = joined.await;
        }
        self.0.reads.close().await;
    }
}

/// Waits, bounded, until a position is reached.
async fn wait(
    at: &watch::Sender<Position>,
    position: Position,
    timeout: Duration,
) -> Result<(), QueryError> {
    let mut reached = at.subscribe();
    if *reached.borrow_and_update() >= position {
        return Ok(());
    }
    let timeout = timeout.min(Duration::from_millis(READ_WAIT_MS_MAX));
    let waited = tokio::time::timeout(timeout, reached.wait_for(|at| *at >= position)).await;
    match waited {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(QueryError::Behind { wanted: position, reached: *at.borrow() }),
    }
}

fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, ProjectionError> {
    Ok(std::thread::Builder::new().name(name.into()).spawn(work)?)
}
