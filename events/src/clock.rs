//! The only caller of the operating system's wall clock. Everything else is given `now` or a
//! [`Clock`].

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// An instant in UTC. Spark works in whole microseconds: what the log stores is what was used.
pub type Timestamp = DateTime<Utc>;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The wall-clock instant, in whole microseconds.
    fn now(&self) -> Timestamp;
}

/// A clock that can be handed around cheaply.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one caller of the OS clock")]
    fn now(&self) -> Timestamp {
        micros(Utc::now())
    }
}

/// A clock for tests: starts where it is told and follows `tokio`'s clock, so that
/// `tokio::time::pause` and `advance` drive wall-clock time and timers together.
#[derive(Debug, Clone)]
pub struct SimClock {
    base: Timestamp,
    started: tokio::time::Instant,
}

impl SimClock {
    /// A clock that shows `base` now. Call it inside a tokio runtime.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base: micros(base), started: tokio::time::Instant::now() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = TimeDelta::from_std(self.started.elapsed()).unwrap_or(TimeDelta::MAX);
        micros(self.base + elapsed)
    }
}

/// Cuts an instant to whole microseconds, the log's resolution.
#[must_use]
pub fn micros(at: Timestamp) -> Timestamp {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

/// `at + ms`, or the last representable instant where that would overflow.
#[must_use]
pub fn plus_ms(at: Timestamp, ms: u64) -> Timestamp {
    i64::try_from(ms)
        .ok()
        .and_then(TimeDelta::try_milliseconds)
        .and_then(|delta| at.checked_add_signed(delta))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// Milliseconds from `from` to `to`, 0 where `to` is not later.
#[must_use]
pub fn ms_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}
