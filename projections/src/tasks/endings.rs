//! How a task that brought no result ended, as one small number: what became of the run of a
//! cancelled one, or why a failed one is not tried again.

use spark_events::domain::retry::GiveUp;
use spark_events::domain::task::RemoteStop;

/// The number of what became of a cancelled task's run.
pub(super) fn of_stop(stop: RemoteStop) -> i64 {
    match stop {
        RemoteStop::NotRunning => 0,
        RemoteStop::Stopped => 1,
        RemoteStop::LeftRunning => 2,
    }
}

/// The number of why a failed task is not tried again.
pub(super) fn of_why(why: GiveUp) -> i64 {
    match why {
        GiveUp::AttemptsExhausted => 3,
        GiveUp::NotRetryable => 4,
        GiveUp::QueueTimeout => 5,
        GiveUp::TotalTimeout => 6,
    }
}

/// The way back of [`of_stop`], as it stands in JSON; `None` where the task was not cancelled.
pub(super) fn remote_stop(number: i64) -> Option<&'static str> {
    match number {
        0 => Some("not_running"),
        1 => Some("stopped"),
        2 => Some("left_running"),
        _ => None,
    }
}

/// The way back of [`of_why`], as it stands in JSON; `None` where the task did not fail.
pub(super) fn why(number: i64) -> Option<&'static str> {
    match number {
        3 => Some("attempts_exhausted"),
        4 => Some("not_retryable"),
        5 => Some("queue_timeout"),
        6 => Some("total_timeout"),
        _ => None,
    }
}
