//! What workers in other processes say and are told, and what can be asked of any worker.

use std::time::Duration;

use bytes::Bytes;
use ractor::ActorRef;
use spark_events::codec::DomainEvent;
use spark_events::domain::labels::Labels;
use spark_events::domain::worker::{WorkerCommand, WorkerEvent};
use spark_events::limits::WORKER_RECEIPT_MS_MAX;
use spark_events::log::Direction;
use spark_events::{LogError, Position, SourceId, Timestamp, WorkerId, limits};
use tokio::sync::oneshot;

use super::Spark;
use crate::context::Context;
use crate::error::DispatchError;
use crate::remote::{Poll, Receipt, Registered, Registration, Reported, Reports};
use crate::remote_worker::RemoteMessage;
use crate::requests::{Done, Who};
use crate::workers::WorkersMessage;

/// What an operator may want of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerWish {
    /// Take no new work; what runs goes on.
    Pause,
    /// Take work again.
    Resume,
    /// Take no new work, and leave when the last run has ended.
    Drain,
    /// Give back what is running, and leave.
    Stop,
}

/// What memory knows of a worker that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerPulse {
    /// When it was last heard; the built-in one always is.
    pub seen_at: Timestamp,
    /// Whether it would take a task now.
    pub accepting: bool,
}

/// A poll for which an answer is awaited. Where the one who asked goes away, the worker's actor
/// hears of that at once.
struct Waiting {
    actor: ActorRef<RemoteMessage>,
    number: u64,
    answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            let _ = self.actor.cast(RemoteMessage::PollDropped { number: self.number });
        }
    }
}

impl Spark {
    /// Takes a worker in. The same registration again gives the same answer, and no position.
    ///
    /// # Errors
    /// `NotAdmitted` (protocol, clock), `WorkerTaken` (id or name in use), `WorkerGone` (the id was
    /// used before), `Rejected` and `Invalid` (name, slots, labels), `Overloaded`, `Unavailable`,
    /// `ShuttingDown`, `Timeout`.
    pub async fn register_worker(
        &self,
        registration: Registration,
        who: &Who,
    ) -> Result<(Registered, Option<Position>), DispatchError> {
        let _permit = self.admit()?;
        let (registration, metadata) = (Box::new(registration), who.metadata());
        let message = |reply| WorkersMessage::Register { registration, metadata, reply };
        let taken = self.ask(&self.0.tree.workers, message).await?;
        Ok((taken.registered, taken.position))
    }

    /// What there is for a worker, as the JSON of a [`crate::remote::Polled`]. Waits until there is
    /// something, at most as long as the worker was told. Dropping the future tells that the worker
    /// has gone away, so that it is given nothing until it asks again.
    ///
    /// # Errors
    /// `WorkerGone`, `ShuttingDown`.
    pub async fn worker_poll(&self, id: WorkerId, poll: Poll) -> Result<Bytes, DispatchError> {
        let actor = self.remote_worker(id).await?;
        let number = self.0.context.workers.next_poll();
        let (reply, answer) = oneshot::channel();
        let message = RemoteMessage::Poll { number, poll, reply };
        if actor.cast(message).is_err() {
            return Err(self.worker_away(id).await);
        }
        let mut waiting = Waiting { actor, number, answered: false };
        let answer = answer.await;
        waiting.answered = true;
        match answer {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.worker_away(id).await),
        }
    }

    /// Takes what a worker says of its attempts. What is `recorded` is durable. A receipt that does
    /// not come in time is `retry`.
    ///
    /// # Errors
    /// `WorkerGone`, `ShuttingDown`, `Invalid` (too many at once).
    pub async fn worker_reports(
        &self,
        id: WorkerId,
        reports: Reports,
    ) -> Result<Reported, DispatchError> {
        let items = reports.items;
        if items.len() > limits::WORKER_REPORTS_MAX {
            return Err(DispatchError::Invalid(format!(
                "{} reports are more than the {} that one request may bring",
                items.len(),
                limits::WORKER_REPORTS_MAX
            )));
        }
        let actor = self.remote_worker(id).await?;
        let count = items.len();
        let (sender, receipts) = oneshot::channel();
        let message = RemoteMessage::Reports { items, reply: sender.into() };
        if actor.cast(message).is_err() {
            return Err(self.worker_away(id).await);
        }
        let until = tokio::time::Instant::now() + Duration::from_millis(WORKER_RECEIPT_MS_MAX);
        let mut answers = Vec::with_capacity(count);
        let Ok(receipts) = receipts.await else { return Err(self.worker_away(id).await) };
        for receipt in receipts {
            let receipt = tokio::time::timeout_at(until, receipt).await;
            answers.push(receipt.ok().and_then(Result::ok).unwrap_or(Receipt::Retry));
        }
        Ok(Reported { items: answers })
    }

    /// A worker leaves in good order. What it still had is taken up elsewhere or fails.
    ///
    /// # Errors
    /// `WorkerGone`, `Unavailable`, `ShuttingDown`, `Timeout`.
    pub async fn worker_leaves(&self, id: WorkerId, who: &Who) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        self.remote_worker(id).await?;
        let metadata = who.metadata();
        let message = |reply| WorkersMessage::Leave { id, metadata, reply };
        self.ask(&self.0.tree.workers, message).await
    }

    /// Tells a worker to be something else.
    ///
    /// # Errors
    /// `NotFound`, `Moved`, `Rejected` (gone, stopping, the built-in one), `Unavailable`,
    /// `ShuttingDown`, `Timeout`.
    pub async fn command_worker(
        &self,
        id: WorkerId,
        wish: WorkerWish,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let command = match wish {
            WorkerWish::Pause => WorkerCommand::Pause,
            WorkerWish::Resume => WorkerCommand::Resume,
            WorkerWish::Drain => WorkerCommand::Drain,
            WorkerWish::Stop => WorkerCommand::AskToStop,
        };
        let terms = who.terms();
        let message = |reply| WorkersMessage::Command { id, command, terms, reply };
        self.ask(&self.0.tree.workers, message).await
    }

    /// What memory knows of a worker; `None` for one that is gone.
    #[must_use]
    pub fn worker_pulse(&self, id: WorkerId) -> Option<WorkerPulse> {
        let member = self.0.context.workers.get(id)?;
        let now = self.0.context.clock.now();
        let seen_at = if member.started.built_in { now } else { member.pulse.seen_at() };
        Some(WorkerPulse { seen_at, accepting: member.pulse.is_accepting() })
    }

    /// What the workers that take work now lack for the tasks of a source: `None` where one of them
    /// fits, else the labels that it asks for, which are none where no worker takes work at all.
    #[must_use]
    pub fn worker_wanted(&self, source: SourceId) -> Option<Labels> {
        let entry = self.0.context.catalog.source(source).ok()?;
        let wanted = &entry.source.worker_labels;
        (!self.0.context.workers.has(wanted)).then(|| wanted.clone())
    }

    /// Why the actor of a worker does not answer. A worker that is told `WorkerGone` drops what it
    /// runs, so one that only meets the end of this process must not be.
    async fn worker_away(&self, id: WorkerId) -> DispatchError {
        match self.0.context.workers.remote(id) {
            Some(_) => DispatchError::ShuttingDown,
            None => gone(&self.0.context, id).await,
        }
    }

    async fn remote_worker(&self, id: WorkerId) -> Result<ActorRef<RemoteMessage>, DispatchError> {
        match self.0.context.workers.remote(id) {
            Some(actor) => Ok(actor),
            None => Err(gone(&self.0.context, id).await),
        }
    }
}

/// That a worker is gone, with what the log says of its end.
pub(crate) async fn gone(context: &Context, id: WorkerId) -> DispatchError {
    let last = context.log.read_stream(&id.stream(), None, Direction::Backward, 1).await;
    let why = match &last {
        Ok(events) => events.first().and_then(|event| {
            let at = event.recorded_at.format("%Y-%m-%dT%H:%M:%SZ");
            match WorkerEvent::from_recorded(event).ok()? {
                WorkerEvent::Lost(lost) => Some(format!("lost at {at}: {}", lost.reason)),
                WorkerEvent::Stopped(_) => Some(format!("it left at {at}")),
                _ => None,
            }
        }),
        Err(LogError::StreamNotFound(_)) => Some("it never was".to_owned()),
        Err(_) => None,
    };
    let why = why.unwrap_or_else(|| "lost, stopped or replaced".to_owned());
    DispatchError::WorkerGone { id, why }
}
