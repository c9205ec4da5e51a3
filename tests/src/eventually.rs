//! Waiting for a condition with a deadline. Tests wait here and never sleep for a fixed time.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `check` gives a value, and returns it.
///
/// # Panics
/// When `deadline` has passed, naming the line that waited. On a runtime whose clock is paused the
/// deadline passes without real time, so wait there only for things that need no real I/O.
#[track_caller]
pub fn eventually<T, F, Fut>(deadline: Duration, mut check: F) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    async move {
        let started = Instant::now();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Some(value) = check().await {
                return value;
            }
            assert!(
                started.elapsed() < deadline,
                "the condition awaited at {caller} did not hold within {deadline:?}"
            );
        }
    }
}
