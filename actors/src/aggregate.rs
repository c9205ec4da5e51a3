//! The aggregate shell: recover, decide, append, adopt. Written once for every aggregate; it
//! branches on no domain state and starts no effect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spark_events::codec::{CodecError, DomainEvent};
use spark_events::limits::{
    CONFLICT_RETRIES_MAX, LOG_RETRY_MS_MAX, LOG_RETRY_MS_MIN, READ_EVENTS_MAX,
};
use spark_events::log::Direction;
use spark_events::{
    Aggregate, ExpectedRevision, LogError, Metadata, NewEvent, Position, Revision, SharedClock,
    SharedLog, StreamName, ids,
};
use uuid::Uuid;

use crate::error::DispatchError;
use crate::telemetry::{Happened, Telemetry, Watch};

/// What to do while the log is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Tell the caller at once: somebody waits for the answer.
    FailFast,
    /// Wait until the log is back: the command must happen, and nobody waits.
    WaitOut,
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Executed<E> {
    /// The new events, already durable and adopted; none where the command was already true.
    pub events: Vec<E>,
    /// Where the last of them is.
    pub position: Option<Position>,
}

/// Why a command did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError<R> {
    /// A rule said no.
    #[error(transparent)]
    Rejected(R),
    /// The stream is at another revision than the caller has seen.
    #[error("revision {} was expected, it is {} now", expected.0, present.0)]
    Moved {
        /// What the caller has seen.
        expected: Revision,
        /// What there is.
        present: Revision,
    },
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stream holds something this program cannot read.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// One aggregate in memory: its state, and the revision that the state stands for.
pub(crate) struct Shell<A: Aggregate> {
    log: SharedLog,
    clock: SharedClock,
    stream: StreamName,
    state: A,
    revision: Option<Revision>,
    /// Correlation and causation of the first event, once that was seen.
    began: Option<(Uuid, Uuid)>,
    watch: Option<(Arc<Telemetry>, Watch<A>)>,
}

impl<A: Aggregate> Shell<A> {
    /// An aggregate that is believed to have no events yet. A wrong belief is found out by the
    /// first append, which then reads what is there.
    pub(crate) fn new(log: SharedLog, clock: SharedClock, stream: StreamName) -> Self {
        Self { log, clock, stream, state: A::default(), revision: None, began: None, watch: None }
    }

    /// An aggregate whose state is known up to a revision. Later events are found in the same way.
    pub(crate) fn known(mut self, state: A, revision: Revision) -> Self {
        self.state = state;
        self.revision = Some(revision);
        self
    }

    /// Tells somebody of everything that becomes durable.
    pub(crate) fn watched(mut self, telemetry: &Arc<Telemetry>, watch: Watch<A>) -> Self {
        self.watch = Some((Arc::clone(telemetry), watch));
        self
    }

    /// The state after the last event this shell has seen.
    pub(crate) fn state(&self) -> &A {
        &self.state
    }

    /// The revision of the last event this shell has seen.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// What the stream began with: the correlation id of its first event. `None` where this shell
    /// has not seen it.
    pub(crate) fn correlation(&self) -> Option<Uuid> {
        self.began.map(|(correlation, _)| correlation)
    }

    /// Reads what the stream holds beyond the known revision. A missing stream is no error.
    ///
    /// # Errors
    /// `Log`, `Codec`.
    pub(crate) async fn recover(
        &mut self,
        patience: Patience,
    ) -> Result<(), ShellError<A::Rejection>> {
        let mut pause = Backoff::default();
        loop {
            let from = self.revision.map_or(Revision(0), |r| Revision(r.0 + 1));
            let read = self
                .log
                .read_stream(&self.stream, Some(from), Direction::Forward, READ_EVENTS_MAX)
                .await;
            let events = match read {
                Ok(events) => events,
                Err(LogError::StreamNotFound(_)) => return Ok(()),
                Err(error) if error.is_retryable() && patience == Patience::WaitOut => {
                    pause.wait(&self.stream, &error).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let complete = events.len() < READ_EVENTS_MAX;
            for recorded in events {
                let expected = self.revision.map_or(0, |r| r.0 + 1);
                assert_eq!(recorded.revision.0, expected, "{} has a gap", self.stream);
                let event = A::Event::from_recorded(&recorded)?;
                self.state = std::mem::take(&mut self.state).evolve(&event);
                self.revision = Some(recorded.revision);
                if recorded.revision == Revision(0) {
                    let first = &recorded.metadata;
                    self.began = Some((first.correlation_id, first.causation_id));
                }
            }
            if complete {
                return Ok(());
            }
        }
    }

    /// Decides a command and makes what follows durable; only then adopts the new state. On a
    /// conflict the missing tail is read and the command decided again, at most
    /// [`CONFLICT_RETRIES_MAX`] times.
    ///
    /// # Errors
    /// `Rejected`; `Log` (with [`Patience::WaitOut`] never `Unavailable`); `Codec`.
    pub(crate) async fn execute(
        &mut self,
        command: A::Command,
        metadata: &Metadata,
        patience: Patience,
    ) -> Result<Executed<A::Event>, ShellError<A::Rejection>> {
        self.execute_at(None, command, metadata, patience).await
    }

    /// The same, on the condition that the stream is at a revision. It is looked at with each
    /// decision, and the append expects the revision that was looked at.
    ///
    /// # Errors
    /// As [`Self::execute`], and `Moved`.
    pub(crate) async fn execute_at(
        &mut self,
        expects: Option<Revision>,
        command: A::Command,
        metadata: &Metadata,
        patience: Patience,
    ) -> Result<Executed<A::Event>, ShellError<A::Rejection>> {
        let mut conflicts = 0;
        loop {
            self.check(expects)?;
            let now = self.clock.now();
            let events = self.state.decide(command.clone(), now).map_err(ShellError::Rejected)?;
            if events.is_empty() {
                return Ok(Executed { events, position: None });
            }
            let appended = Instant::now();
            match self.append(&events, metadata, patience).await {
                Ok(position) => {
                    if let Some((telemetry, watch)) = &self.watch {
                        let (before, events) = (&self.state, events.as_slice());
                        let (stream, began) = (&self.stream, self.began);
                        let log_took = appended.elapsed();
                        let at = now;
                        watch(telemetry, &Happened { stream, began, before, events, at, log_took });
                    }
                    let state = std::mem::take(&mut self.state);
                    self.state = events.iter().fold(state, A::evolve);
                    return Ok(Executed { events, position: Some(position) });
                }
                Err(ShellError::Log(LogError::WrongRevision { .. }))
                    if conflicts < CONFLICT_RETRIES_MAX =>
                {
                    conflicts += 1;
                    self.recover(patience).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Refuses where the stream is at another revision. What has no events yet is refused, or made,
    /// by its rules.
    ///
    /// # Errors
    /// `Moved`.
    pub(crate) fn check(&self, expects: Option<Revision>) -> Result<(), ShellError<A::Rejection>> {
        match expects.zip(self.revision) {
            Some((expected, present)) if expected != present => {
                Err(ShellError::Moved { expected, present })
            }
            _ => Ok(()),
        }
    }

    async fn append(
        &mut self,
        events: &[A::Event],
        metadata: &Metadata,
        patience: Patience,
    ) -> Result<Position, ShellError<A::Rejection>> {
        let expected = self.revision.map_or(ExpectedRevision::NoStream, ExpectedRevision::Exact);
        let batch = events
            .iter()
            .map(|event| {
                let (event_type, schema_version, data) = event.encode()?;
                let metadata = metadata.clone();
                Ok(NewEvent { id: ids::new_uuid(), event_type, schema_version, data, metadata })
            })
            .collect::<Result<Vec<_>, CodecError>>()?;
        let mut pause = Backoff::default();
        loop {
            // The same ids again: where the first try was stored although its answer was lost,
            // the log recognises the batch.
            let attempt = match patience {
                Patience::FailFast => self.log.append(&self.stream, expected, batch).await,
                Patience::WaitOut => {
                    let appended = self.log.append(&self.stream, expected, batch.clone()).await;
                    match appended {
                        Err(error) if error.is_retryable() => {
                            pause.wait(&self.stream, &error).await;
                            continue;
                        }
                        other => other,
                    }
                }
            };
            let appended = attempt?;
            if self.revision.is_none() {
                self.began = Some((metadata.correlation_id, metadata.causation_id));
            }
            self.revision = Some(appended.revision);
            return Ok(appended.position);
        }
    }
}

/// Pauses that double while the log is away.
#[derive(Debug)]
pub(crate) struct Backoff {
    next_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next_ms: LOG_RETRY_MS_MIN }
    }
}

impl Backoff {
    pub(crate) async fn wait(&mut self, stream: &StreamName, error: &impl std::fmt::Display) {
        tracing::warn!(%stream, %error, wait_ms = self.next_ms, "waiting for the event log");
        tokio::time::sleep(Duration::from_millis(self.next_ms)).await;
        self.next_ms = (self.next_ms * 2).min(LOG_RETRY_MS_MAX);
    }
}

/// Does something for a stream that needs the log, again and again while the log is away.
///
/// # Errors
/// What the work ends with; never `Unavailable`.
pub(crate) async fn waited_out<T, F>(
    stream: &StreamName,
    work: impl Fn() -> F,
) -> Result<T, DispatchError>
where
    F: Future<Output = Result<T, DispatchError>>,
{
    let mut pause = Backoff::default();
    loop {
        match work().await {
            Err(error @ DispatchError::Unavailable { .. }) => pause.wait(stream, &error).await,
            ended => return ended,
        }
    }
}
