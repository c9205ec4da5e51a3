//! When texts are made searchable: while the writer of the read models has nothing else to do, and
//! now and then while it always has. Knows no row.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use spark_events::limits::{
    LOG_RETRY_MS_MAX, LOG_RETRY_MS_MIN, SEARCH_IDLE_MS, SEARCH_TURN_MS_MAX,
};
use tokio::sync::mpsc;

/// What the writer is to do next.
pub(crate) enum Next<T> {
    /// This.
    Work(T),
    /// Nothing waits: there is time for the texts.
    Idle,
    /// Nobody sends any more.
    Ended,
}

/// Keeps the time.
pub(crate) struct Turns {
    /// Texts wait.
    pub(crate) waiting: bool,
    last: Instant,
    /// Whether the texts have their turn without a pause before it: the one before was theirs too.
    runs_on: bool,
    /// Set while the index cannot be written.
    pause: Option<Duration>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { waiting: true, last: Instant::now(), runs_on: false, pause: None }
    }

    /// Waits for work, or for the turn of the texts.
    pub(crate) fn next<T>(&mut self, work: &mut mpsc::Receiver<T>) -> Next<T> {
        if !self.waiting {
            return work.blocking_recv().map_or(Next::Ended, Next::Work);
        }
        let since = self.last.elapsed();
        let pause = self.pause.unwrap_or_default();
        if since >= pause && since >= Duration::from_millis(SEARCH_TURN_MS_MAX) {
            return Next::Idle;
        }
        let patience = match self.runs_on {
            true => Duration::ZERO,
            false => Duration::from_millis(SEARCH_IDLE_MS).max(pause.saturating_sub(since)),
        };
        let next = receive(work, patience);
        self.runs_on = matches!(next, Next::Idle);
        next
    }

    /// The texts had their turn.
    pub(crate) fn taken(&mut self, more: bool) {
        (self.last, self.waiting, self.pause) = (Instant::now(), more, None);
    }

    /// The texts could not have their turn; the next one comes later.
    pub(crate) fn failed(&mut self) {
        let longest = Duration::from_millis(LOG_RETRY_MS_MAX);
        let first = Duration::from_millis(LOG_RETRY_MS_MIN);
        self.pause = Some(self.pause.map_or(first, |pause| (pause * 2).min(longest)));
        (self.last, self.runs_on) = (Instant::now(), false);
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Receives, with a bound on the wait.
fn receive<T>(work: &mut mpsc::Receiver<T>, patience: Duration) -> Next<T> {
    let until = Instant::now() + patience;
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match work.poll_recv(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(next)) => return Next::Work(next),
            Poll::Ready(None) => return Next::Ended,
            Poll::Pending => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Next::Idle;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_comes_before_the_texts_which_have_their_turn_when_there_is_none() {
        let (send, mut work) = mpsc::channel(4);
        let mut turns = Turns::new();
        send.try_send(1).unwrap();
        assert!(matches!(turns.next(&mut work), Next::Work(1)));
        assert!(matches!(turns.next(&mut work), Next::Idle));
        turns.taken(true);
        assert!(matches!(turns.next(&mut work), Next::Idle), "and goes on at once");
        send.try_send(2).unwrap();
        assert!(matches!(turns.next(&mut work), Next::Work(2)));
        turns.failed();
        drop(send);
        assert!(matches!(turns.next(&mut work), Next::Ended));
    }
}
