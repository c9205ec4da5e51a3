//! A log that fails on command, around any other log. For tests; stores nothing itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::{
    Appended, Direction, EventLog, ExpectedRevision, LogError, LogHealth, NewEvent, Position,
    RecordedEvent, Revision, SharedLog, Subscription,
};
use crate::ids::StreamName;

/// Wraps a log and injects the faults that were switched on. Without any it is transparent.
pub struct FaultyLog {
    log: SharedLog,
    faults: Mutex<Faults>,
    /// Counts up to break the subscriptions that are alive.
    breaks: watch::Sender<u64>,
    /// While true, subscriptions say nothing.
    silent: watch::Sender<bool>,
    longest_read: AtomicUsize,
}

#[derive(Debug, Default)]
struct Faults {
    down: bool,
    failing_appends: u32,
    failing_reads: u32,
    lost_acks: u32,
    /// How often an append with this type of event panics.
    panics: (&'static str, u32),
    damaged: Option<StreamName>,
    delay: Duration,
}

impl FaultyLog {
    /// A transparent wrapper.
    #[must_use]
    pub fn new(log: SharedLog) -> Self {
        Self {
            log,
            faults: Mutex::default(),
            breaks: watch::Sender::new(0),
            silent: watch::Sender::new(false),
            longest_read: AtomicUsize::new(0),
        }
    }

    /// While true, every call answers `Unavailable` and stores nothing, and subscriptions break.
    pub fn set_down(&self, down: bool) {
        self.faults().down = down;
        if down {
            self.break_subscriptions();
        }
    }

    /// The next `count` appends answer `Unavailable` and store nothing.
    pub fn fail_appends(&self, count: u32) {
        self.faults().failing_appends = count;
    }

    /// The next `count` reads answer `Unavailable`.
    pub fn fail_reads(&self, count: u32) {
        self.faults().failing_reads = count;
    }

    /// The next `count` appends are stored, and still answer `Unavailable`: the answer got lost.
    pub fn lose_acks(&self, count: u32) {
        self.faults().lost_acks = count;
    }

    /// The next `count` appends with an event of this type panic, as a defect of ours would.
    pub fn panic_on(&self, event_type: &'static str, count: u32) {
        self.faults().panics = (event_type, count);
    }

    /// Reads of this stream answer `Corrupt`.
    pub fn damage(&self, stream: StreamName) {
        self.faults().damaged = Some(stream);
    }

    /// While true, subscriptions say nothing, as those of a long log do for a while.
    pub fn silence_subscriptions(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Every append and read waits this long first, on tokio's clock.
    pub fn slow_down(&self, delay: Duration) {
        self.faults().delay = delay;
    }

    /// Ends every live subscription with `Unavailable`. New ones are not affected.
    pub fn break_subscriptions(&self) {
        self.breaks.send_modify(|count| *count += 1);
    }

    /// Switches every fault off.
    pub fn heal(&self) {
        *self.faults() = Faults::default();
        self.silence_subscriptions(false);
    }

    /// The most events that a read of the whole log has answered at once.
    #[must_use]
    pub fn longest_read(&self) -> usize {
        self.longest_read.load(Ordering::Relaxed)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self) {
        let delay = self.faults().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    async fn before_read(&self) -> Result<(), LogError> {
        self.wait().await;
        let mut faults = self.faults();
        if faults.down || take_one(&mut faults.failing_reads) { Err(injected()) } else { Ok(()) }
    }
}

fn take_one(count: &mut u32) -> bool {
    let taken = *count > 0;
    *count = count.saturating_sub(1);
    taken
}

fn injected() -> LogError {
    LogError::Unavailable { reason: "a fault was injected by a test".into(), source: None }
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, LogError> {
        self.wait().await;
        let loses_ack = {
            let mut faults = self.faults();
            if faults.down || take_one(&mut faults.failing_appends) {
                return Err(injected());
            }
            let (event_type, count) = &mut faults.panics;
            let hit = events.iter().any(|event| event.event_type == *event_type);
            if hit && take_one(count) {
                drop(faults);
                #[expect(clippy::panic, reason = "the fault that was asked for")]
                {
                    panic!("a panic was injected by a test");
                }
            }
            take_one(&mut faults.lost_acks)
        };
        let answer = self.log.append(stream, expected, events).await;
        if loses_ack { Err(injected()) } else { answer }
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<Revision>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.before_read().await?;
        if self.faults().damaged.as_ref() == Some(stream) {
            let reason = "a fault was injected by a test".into();
            return Err(LogError::Corrupt { position: Position::START, reason });
        }
        self.log.read_stream(stream, from, direction, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.before_read().await?;
        let events = self.log.read_all(after, limit).await?;
        self.longest_read.fetch_max(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    fn subscribe_all(&self, after: Position) -> Subscription {
        let (items, subscription) = mpsc::channel(1);
        let mut breaks = self.breaks.subscribe();
        let broken_at_once = self.faults().down;
        let mut silent = self.silent.subscribe();
        let mut inner = self.log.subscribe_all(after);
        #[expect(clippy::disallowed_methods, reason = "it ends with its subscription")]
        tokio::spawn(async move {
            let forward = async {
                while let Some(item) = inner.next().await {
                    // The wrapper may be gone: then nobody silences it any more.
                    let _ = silent.wait_for(|silent| !silent).await;
                    if items.send(item).await.is_err() {
                        return;
                    }
                }
            };
            let broken = async {
                if !broken_at_once && breaks.changed().await.is_err() {
                    // The wrapper is gone: nobody can break this any more.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = items.closed() => {}
                () = broken => {
                    let _ = items.send(Err(injected())).await;
                }
                () = forward => {}
            }
        });
        Subscription::new(subscription)
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.before_read().await?;
        self.log.head().await
    }

    fn health(&self) -> LogHealth {
        let mut health = self.log.health();
        if self.faults().down {
            health.trouble = Some(injected().to_string());
        }
        health
    }

    async fn close(&self) {
        self.log.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ids::new_uuid;
    use crate::log::contract::Fixture;
    use crate::log::memory::MemoryLog;
    use crate::log::{Metadata, SubscriptionItem};

    fn make() -> Fixture {
        let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
        let again = Arc::clone(&log);
        let reopen = move || Arc::new(FaultyLog::new(Arc::new(again.reopened()))) as SharedLog;
        Fixture {
            log: Arc::new(FaultyLog::new(log)),
            reopen: Box::new(reopen),
            guard: Box::new(()),
        }
    }

    crate::event_log_contract!(without_a_fault, make);

    fn event() -> NewEvent {
        let id = new_uuid();
        NewEvent {
            id,
            event_type: "case.happened",
            schema_version: 1,
            data: "{}".into(),
            metadata: Metadata {
                correlation_id: id,
                causation_id: id,
                actor: "system".into(),
                reason: None,
            },
        }
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says_and_then_stops() {
        let log = FaultyLog::new(Arc::new(MemoryLog::new(Arc::new(SystemClock))));
        let stream = StreamName::new("case-1").unwrap();
        let append = |event| log.append(&stream, ExpectedRevision::NoStream, vec![event]);

        log.fail_appends(1);
        assert!(append(event()).await.unwrap_err().is_retryable());
        assert_eq!(log.head().await, Ok(Position::START));

        log.lose_acks(1);
        let lost = event();
        assert!(append(lost.clone()).await.unwrap_err().is_retryable());
        assert_eq!(log.head().await, Ok(Position(1)));
        assert_eq!(append(lost).await.unwrap().position, Position(1));

        let mut subscription = log.subscribe_all(Position(1));
        assert_eq!(subscription.next().await, Some(Ok(SubscriptionItem::CaughtUp)));
        log.set_down(true);
        assert!(subscription.next().await.unwrap().is_err());
        assert_eq!(subscription.next().await, None);
        assert!(log.subscribe_all(Position::START).next().await.unwrap().is_err());
        assert!(log.health().trouble.is_some());
        assert!(log.read_all(Position::START, 1).await.is_err());

        log.heal();
        log.damage(stream.clone());
        let read = log.read_stream(&stream, None, Direction::Forward, 1).await;
        assert!(matches!(read, Err(LogError::Corrupt { .. })), "{read:?}");
        log.heal();
        log.fail_reads(1);
        assert!(log.read_stream(&stream, None, Direction::Forward, 1).await.is_err());
        assert!(log.read_stream(&stream, None, Direction::Forward, 1).await.is_ok());
        assert_eq!(log.health().trouble, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_log_takes_its_time() {
        let log = FaultyLog::new(Arc::new(MemoryLog::new(Arc::new(SystemClock))));
        log.slow_down(Duration::from_secs(5));
        let before = tokio::time::Instant::now();
        log.head().await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_secs(5));
    }
}
