//! What a worker asks and is answered: its polls, and the comparison of what it holds with what it
//! is known to have, after the server was started anew.

use std::collections::HashSet;

use bytes::Bytes;
use spark_events::TaskId;
use spark_events::domain::worker::WorkerStage;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::outbox::{self, Head};
use super::{Entry, Parked, Progress, RemoteState};
use crate::remote::{Delivered, Held, Poll, WorkerStatus};
use crate::task::TaskMessage;

impl RemoteState {
    pub(super) fn poll(&mut self, number: u64, poll: Poll, reply: oneshot::Sender<Bytes>) {
        self.heard();
        self.answer();
        if self.quiescing {
            // Nobody answers it: the caller says that the server ends.
            return;
        }
        self.last_poll = number;
        self.leaving = poll.leaving;
        let until = Instant::now() + self.times.poll;
        if poll.session != self.session || (!self.synced && poll.holding.is_none()) {
            let _ = reply.send(outbox::resync(self.session, self.status()));
            self.answered = None;
            return;
        }
        self.outbox.taken(poll.after);
        let mut holding = poll.holding;
        if self.booting.is_empty()
            && let Some(holding) = holding.take()
        {
            self.compare(&holding);
        }
        self.parked = Some(Parked { number, reply, until, holding });
    }

    /// The actor of a task that it had has come up, or has found that it had it no more.
    pub(super) fn booted(&mut self, task_id: TaskId) {
        if self.booting.remove(&task_id) && self.booting.is_empty() {
            let holding = self.parked.as_mut().and_then(|parked| parked.holding.take());
            if let Some(holding) = holding {
                self.compare(&holding);
            }
        }
    }

    /// Compares what the worker holds with what it is known to have.
    fn compare(&mut self, holding: &[Held]) {
        self.synced = true;
        let held: HashSet<Held> = holding.iter().copied().collect();
        let told = self.outbox.attempts();
        for &one in &held {
            let entry = self.handed.get_mut(&one.task_id);
            match entry.filter(|entry| entry.attempt == one.attempt) {
                Some(entry) => {
                    if let Progress::Expected { cancelled } = entry.progress {
                        entry.progress = Progress::Handed;
                        if cancelled {
                            self.outbox.tell(one, Delivered::Cancel(one));
                        }
                    }
                }
                // Said once, however often it asks before it has heard.
                None if told.contains(&one) => {}
                None => self.outbox.tell(one, Delivered::Abort(one)),
            }
        }
        // What it does not have never arrived there, because it keeps everything until its report
        // was answered: it can be handed over again without being made twice.
        self.handed.retain(|&task_id, entry| {
            let is_missing = matches!(entry.progress, Progress::Expected { .. })
                && !held.contains(&Held { task_id, attempt: entry.attempt });
            if is_missing {
                let attempt = entry.attempt;
                let _ = entry.task.cast(TaskMessage::NeverArrived { attempt });
            }
            !is_missing
        });
    }

    /// What the worker is told to be. One that drains is told so only when all that it was given
    /// has reached it: it may leave as soon as it has nothing.
    pub(super) fn status(&self) -> WorkerStatus {
        match self.stage {
            WorkerStage::Active => WorkerStatus::Active,
            WorkerStage::Paused => WorkerStatus::Paused,
            WorkerStage::Stopping => WorkerStatus::Stopping,
            WorkerStage::Draining => {
                let is_on_its_way = |entry: &Entry| {
                    matches!(entry.progress, Progress::Preparing { .. } | Progress::Expected { .. })
                };
                if self.outbox.has_news() || self.handed.values().any(is_on_its_way) {
                    WorkerStatus::Paused
                } else {
                    WorkerStatus::Draining
                }
            }
        }
    }

    /// Answers the poll that waits, if one does, with whatever there is.
    pub(super) fn answer(&mut self) {
        let Some(parked) = self.parked.take() else { return };
        let status = self.status();
        let head = Head { session: self.session, status };
        // One that has gone away meanwhile says so itself.
        let _ = parked.reply.send(self.outbox.answer(head));
        self.told = status;
        self.answered = Some(Instant::now());
        self.last_poll = parked.number;
    }
}
