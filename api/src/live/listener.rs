//! One listener, from its first position to its end: behind, it reads the log in pages; up to
//! date, it takes pieces from the hub; left behind by the hub, it reads again. Keeps nothing but
//! its place.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use spark_events::log::Direction;
use spark_events::{KeyId, LogError, Position, RecordedEvent, Revision, StreamName, limits};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::seats::Seat;
use super::{Filter, Live, Piece, write};
use crate::error::ApiError;

const HEARTBEAT: Duration = Duration::from_millis(limits::LISTENER_HEARTBEAT_MS);
const LOG_PAUSE: Duration = Duration::from_millis(limits::LOG_RETRY_MS_MAX);
/// How long a client that was cut off should wait before it comes back.
const RETRY_MS: u64 = 2_000;

/// Everything that the filter wants after a position, and then whatever happens; without a
/// position, only what happens from now on. `key` is the one that the listener came with.
///
/// # Errors
/// `TooManyListeners`; the log's trouble, and that the server is stopping.
pub(crate) async fn listen(
    live: &Live,
    key: Option<KeyId>,
    filter: Filter,
    after: Option<Position>,
) -> Result<impl Stream<Item = Bytes> + Send + use<>, ApiError> {
    let seat = live.seats().take(key)?;
    let mut listener = Listener {
        live: live.clone(),
        pages: Pages::of(&filter),
        filter,
        at: after.unwrap_or_default(),
        pieces: None,
        begins: Position::START,
        said: Instant::now(),
        greeted: false,
        _seat: seat,
    };
    if after.is_none() {
        listener.join().await?;
        listener.at = listener.begins;
    }
    Ok(stream::unfold(listener, |mut listener| async move {
        let bytes = listener.next().await?;
        listener.said = Instant::now();
        Some((bytes, listener))
    }))
}

struct Listener {
    live: Live,
    filter: Filter,
    pages: Pages,
    /// Everything up to here was sent.
    at: Position,
    /// From the hub, while it is up to date or about to be.
    pieces: Option<mpsc::Receiver<Piece>>,
    /// The position after which the pieces begin.
    begins: Position,
    /// When something was sent last.
    said: Instant,
    greeted: bool,
    _seat: Seat,
}

impl Listener {
    /// What is to be sent next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(format!("retry: {RETRY_MS}\n{}", self.place()).into());
        }
        loop {
            if self.live.has_ended() {
                return None;
            }
            if self.pieces.is_none() || self.at < self.begins {
                match self.read().await {
                    Ok(bytes) if !bytes.is_empty() => return Some(bytes.into()),
                    Ok(_) if self.said.elapsed() >= HEARTBEAT => return Some(self.heartbeat()),
                    Ok(_) => {}
                    Err(LogError::Closed) => return None,
                    Err(error) => {
                        tracing::debug!(%error, "a listener waits for the log");
                        sleep(LOG_PAUSE).await;
                        return Some(self.heartbeat());
                    }
                }
                continue;
            }
            // Read before looking for pieces: what was passed by then is among them.
            let passed = self.live.passed();
            let Some(pieces) = &mut self.pieces else { continue };
            match timeout_at(self.said + HEARTBEAT, pieces.recv()).await {
                Ok(Some(piece)) => {
                    self.at = piece.through;
                    return Some(piece.bytes);
                }
                Ok(None) => {
                    self.pieces = None;
                    self.pages = Pages::of(&self.filter);
                }
                Err(_) => {
                    self.at = self.at.max(passed);
                    return Some(self.heartbeat());
                }
            }
        }
    }

    /// A comment, and the place up to which the client needs to ask for nothing again.
    fn heartbeat(&self) -> Bytes {
        format!(": heartbeat\n{}", self.place()).into()
    }

    fn place(&self) -> String {
        format!("id: {}\n\n", self.at)
    }

    /// Reads the next page and goes past it; joins the hub where there is none.
    async fn read(&mut self) -> Result<Vec<u8>, LogError> {
        let live = self.live.clone();
        // One after the other and with rests, so that commands have the log and the processor.
        let turn = live.0.reads.acquire().await.map_err(|_| LogError::Closed)?;
        let begun = Instant::now();
        let page = self.pages.after(&live, self.at).await?;
        let begins = self.pieces.as_ref().map(|_| self.begins);
        let mut bytes = Vec::new();
        for event in &page {
            if begins.is_some_and(|begins| event.position > begins) {
                break;
            }
            self.at = event.position;
            self.pages.passed(event);
            if self.filter.wants(event) {
                write(event, &mut bytes);
            }
        }
        let rest = begun.elapsed() * limits::LISTENER_READ_REST;
        if rest > Duration::from_millis(1) {
            sleep(rest).await;
        }
        drop(turn);
        let more = page.last().is_some_and(|last| last.position <= self.at);
        match begins {
            // All of it was read, and the rest comes in pieces.
            Some(begins) if !more => self.at = begins,
            None if !more => self.join().await?,
            _ => {}
        }
        Ok(bytes)
    }

    async fn join(&mut self) -> Result<(), LogError> {
        let (begins, pieces) = self.live.join(self.filter.clone(), self.at).await?;
        self.begins = begins;
        self.pieces = Some(pieces);
        Ok(())
    }
}

/// How a listener reads what it has missed.
enum Pages {
    /// The whole log.
    Log,
    /// One stream; its next revision, once it was found.
    Stream(Arc<StreamName>, Option<Revision>),
}

impl Pages {
    fn of(filter: &Filter) -> Self {
        match filter.only_stream() {
            Some(stream) => Self::Stream(Arc::new(stream.clone()), None),
            None => Self::Log,
        }
    }

    /// The next events after a position; empty when there are none.
    async fn after(&mut self, live: &Live, at: Position) -> Result<Vec<RecordedEvent>, LogError> {
        const PAGE: usize = limits::LISTENER_PAGE_EVENTS;
        let log = live.log();
        match self {
            Self::Log => log.read_all(at, PAGE).await,
            Self::Stream(stream, next) => {
                let from = match next {
                    Some(next) => *next,
                    None => first_after(live, stream, at).await?,
                };
                *next = Some(from);
                found(log.read_stream(stream, Some(from), Direction::Forward, PAGE).await)
            }
        }
    }

    /// An event of a page was dealt with.
    fn passed(&mut self, event: &RecordedEvent) {
        if let Self::Stream(_, next) = self {
            *next = Some(Revision(event.revision.0 + 1));
        }
    }
}

/// The revision of a stream's first event after a position, which may not be there yet.
async fn first_after(live: &Live, stream: &StreamName, at: Position) -> Result<Revision, LogError> {
    let log = live.log();
    let last = found(log.read_stream(stream, None, Direction::Backward, 1).await)?;
    let (mut low, mut high) = (0, last.first().map_or(0, |last| last.revision.0 + 1));
    if at == Position::START {
        return Ok(Revision(0));
    }
    // Positions grow with revisions. Everything before `low` is not after, all from `high` on is.
    while low < high {
        let middle = low + (high - low) / 2;
        let read = log.read_stream(stream, Some(Revision(middle)), Direction::Forward, 1).await;
        match found(read)?.first() {
            Some(event) if event.position <= at => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Revision(low))
}

/// A stream without events may get some.
fn found(read: Result<Vec<RecordedEvent>, LogError>) -> Result<Vec<RecordedEvent>, LogError> {
    match read {
        Err(LogError::StreamNotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}
