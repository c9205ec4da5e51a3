//! A question to the keeper of alerts, and the wait for its answer. Whoever asks can take it back
//! until it was begun, so that "nothing was stored" is said only where nothing will be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spark_events::SharedLog;
use spark_events::limits::COMMAND_TIMEOUT_MS;
use tokio::sync::oneshot;

use crate::error::DispatchError;
use crate::spark::{ENDED_FIRST, LOOK_AT_LOG_AFTER};

type Answer<T> = Result<T, DispatchError>;

/// Where the answer goes.
pub(super) struct Reply<T> {
    answer: oneshot::Sender<Answer<T>>,
    begun: Arc<AtomicBool>,
}

/// What was asked, for the one who waits.
pub(super) struct Asked<T> {
    answer: oneshot::Receiver<Answer<T>>,
    begun: Arc<AtomicBool>,
}

/// Both ends of a question.
pub(super) fn question<T>() -> (Reply<T>, Asked<T>) {
    let (sender, answer) = oneshot::channel();
    let begun = Arc::new(AtomicBool::new(false));
    (Reply { answer: sender, begun: Arc::clone(&begun) }, Asked { answer, begun })
}

impl<T> Reply<T> {
    /// Begins with it: from here on it cannot be taken back. `None` where nobody waits any more.
    pub(super) fn begin(self) -> Option<oneshot::Sender<Answer<T>>> {
        let is_wanted = !self.begun.swap(true, Ordering::AcqRel) && !self.answer.is_closed();
        is_wanted.then_some(self.answer)
    }

    /// Answers that it does not happen.
    pub(super) fn refuse(self, error: DispatchError) {
        if let Some(answer) = self.begin() {
            let _ = answer.send(Err(error));
        }
    }
}

impl<T> Asked<T> {
    /// Waits for the answer, bounded. Where it is late because the log is away, the caller is told
    /// that rather than left waiting.
    ///
    /// # Errors
    /// That of the answer. `Unavailable`, `Overloaded` and `ShuttingDown` where it was not begun
    /// and never will be; `Timeout` and `Internal` where it may have happened.
    pub(super) async fn answered(mut self, log: &SharedLog) -> Answer<T> {
        if let Ok(answered) = tokio::time::timeout(LOOK_AT_LOG_AFTER, &mut self.answer).await {
            return self.told(answered);
        }
        if let Some(reason) = log.health().trouble
            && self.take_back()
        {
            return Err(DispatchError::Unavailable { reason });
        }
        let rest = Duration::from_millis(COMMAND_TIMEOUT_MS);
        if let Ok(answered) = tokio::time::timeout(rest, &mut self.answer).await {
            return self.told(answered);
        }
        Err(match (self.take_back(), log.health().trouble) {
            (false, _) => DispatchError::Timeout { ms: COMMAND_TIMEOUT_MS },
            (true, Some(reason)) => DispatchError::Unavailable { reason },
            (true, None) => DispatchError::Overloaded { what: "alerts" },
        })
    }

    fn told(&self, answered: Result<Answer<T>, oneshot::error::RecvError>) -> Answer<T> {
        answered.unwrap_or_else(|_| {
            Err(match self.take_back() {
                true => DispatchError::ShuttingDown,
                false => DispatchError::Internal(ENDED_FIRST.into()),
            })
        })
    }

    /// Takes it back; whether that came in time.
    fn take_back(&self) -> bool {
        !self.begun.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use spark_events::SystemClock;
    use spark_events::log::faulty::FaultyLog;
    use spark_events::log::memory::MemoryLog;

    use super::*;

    fn log(is_down: bool) -> SharedLog {
        let log = FaultyLog::new(Arc::new(MemoryLog::new(Arc::new(SystemClock))));
        log.set_down(is_down);
        Arc::new(log)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_was_stored_is_said_only_where_nothing_will_be() {
        let (reply, asked) = question::<()>();
        let answer = asked.answered(&log(true)).await;
        assert!(matches!(answer, Err(DispatchError::Unavailable { .. })), "{answer:?}");
        assert!(reply.begin().is_none(), "it was taken back");

        let (reply, asked) = question::<()>();
        let answer = asked.answered(&log(false)).await;
        assert!(matches!(answer, Err(DispatchError::Overloaded { .. })), "{answer:?}");
        assert!(reply.begin().is_none());

        let (reply, asked) = question::<()>();
        let begun = reply.begin();
        let answer = asked.answered(&log(true)).await;
        assert!(matches!(answer, Err(DispatchError::Timeout { .. })), "{answer:?}");
        drop(begun);
    }

    #[tokio::test(start_paused = true)]
    async fn who_drops_a_question_says_whether_it_was_begun() {
        let (reply, asked) = question::<()>();
        drop(reply);
        let answer = asked.answered(&log(false)).await;
        assert!(matches!(answer, Err(DispatchError::ShuttingDown)), "{answer:?}");
        let (reply, asked) = question::<()>();
        drop(reply.begin());
        let answer = asked.answered(&log(false)).await;
        assert!(matches!(answer, Err(DispatchError::Internal(_))), "{answer:?}");
        let (reply, asked) = question::<()>();
        drop(asked);
        assert!(reply.begin().is_none(), "nobody waits");
    }
}
