//! Events as they happen, for listeners. One hub follows the log for all of them, brings each
//! event into its form once, and gives it to those who want it; who is behind reads the log by
//! itself, at low priority. Stores nothing, and never holds up the log or a command.
//!
//! - `seats.rs`: how many may listen. `filter.rs`: what a listener wants. `hub.rs`: from the log to
//!   the listeners that are up to date. `listener.rs`: one listener, from its first position to its
//!   end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use spark_events::{LogError, Position, SharedLog, limits};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::recorded;

mod filter;
mod hub;
mod listener;
mod seats;

pub(crate) use filter::{Filter, categories, types};
pub(crate) use listener::listen;
use seats::Seats;

/// The door to the hub. Cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    log: SharedLog,
    joins: mpsc::Sender<Join>,
    /// Taken by whoever runs the hub.
    joining: Mutex<Option<mpsc::Receiver<Join>>>,
    seats: Seats,
    reads: Semaphore,
    /// Every listener that is up to date has been given everything up to here.
    passed: AtomicU64,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("listeners", &self.listeners()).finish_non_exhaustive()
    }
}

/// A listener who wants what comes next.
struct Join {
    filter: Filter,
    /// What it has already.
    at: Position,
    pieces: mpsc::Sender<Piece>,
    /// Told the position after which the pieces begin.
    begins: oneshot::Sender<Result<Position, LogError>>,
}

/// Some events, ready to be sent, shared by all who want the same.
#[derive(Debug, Clone)]
struct Piece {
    bytes: Bytes,
    /// The position of the last event.
    through: Position,
}

impl Live {
    /// Over a log. Nobody is served before [`Live::run`].
    #[must_use]
    pub fn new(log: SharedLog) -> Self {
        let (joins, joining) = mpsc::channel(limits::LISTENERS_MAX);
        Self(Arc::new(Inner {
            log,
            joins,
            joining: Mutex::new(Some(joining)),
            seats: Seats::default(),
            reads: Semaphore::new(limits::LISTENER_READS_MAX),
            passed: AtomicU64::new(0),
        }))
    }

    /// Serves the listeners until the log is closed or this is dropped; then they end. A second
    /// call returns at once.
    pub async fn run(&self) {
        let joining = self.0.joining.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(joining) = joining {
            hub::Hub::new(self.clone(), joining).run().await;
        }
    }

    /// How many listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.0.seats.count()
    }

    fn log(&self) -> &SharedLog {
        &self.0.log
    }

    fn seats(&self) -> &Seats {
        &self.0.seats
    }

    fn passed(&self) -> Position {
        Position(self.0.passed.load(Ordering::Acquire))
    }

    fn set_passed(&self, position: Position) {
        self.0.passed.store(position.0, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.0.joins.is_closed()
    }

    /// Joins the hub once it is at a position: the one after which the pieces begin, and the
    /// pieces.
    ///
    /// # Errors
    /// `Closed` when the hub has ended, and the log's trouble.
    async fn join(
        &self,
        filter: Filter,
        at: Position,
    ) -> Result<(Position, mpsc::Receiver<Piece>), LogError> {
        let (pieces, received) = mpsc::channel(limits::LISTENER_PIECES_MAX);
        let (begins, begun) = oneshot::channel();
        let join = Join { filter, at, pieces, begins };
        self.0.joins.send(join).await.map_err(|_| LogError::Closed)?;
        let position = begun.await.map_err(|_| LogError::Closed)??;
        Ok((position, received))
    }
}

/// Adds an event as it is sent: its position, its type, and the form that histories have.
fn write(event: &spark_events::RecordedEvent, to: &mut Vec<u8>) {
    match recorded::line(event) {
        Ok(data) => {
            let head = format!("id: {}\nevent: {}\ndata: ", event.position, event.event_type);
            to.extend_from_slice(head.as_bytes());
            to.extend_from_slice(&data);
            to.extend_from_slice(b"\n\n");
        }
        Err(error) => tracing::error!(%error, "listeners do not get an event"),
    }
}

#[cfg(test)]
mod tests;
