//! The contract that every backend keeps, as tests. A backend joins with one line:
//! `event_log_contract!(memory, make_memory);`. Owns no backend and assumes no empty log, so that
//! it also runs against a shared server.
#![expect(clippy::disallowed_methods, reason = "the cases join or drop their own tasks")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::{
    EventLog, ExpectedRevision, LogError, Metadata, NewEvent, Position, RecordedEvent, SharedLog,
    Subscription, SubscriptionItem,
};
use crate::ids::{StreamName, new_uuid};
use crate::limits::READ_EVENTS_MAX;

mod all;
mod append;
mod durability;
mod read;
mod subscribe;

pub use all::*;
pub use append::*;
pub use durability::*;
pub use read::*;
pub use subscribe::*;

/// One backend, ready for one case.
pub struct Fixture {
    /// The log under test.
    pub log: SharedLog,
    /// Opens the same events again. Called after `log` was closed.
    pub reopen: Box<dyn Fn() -> SharedLog + Send + Sync>,
    /// What must live as long as the case, such as a temporary directory.
    pub guard: Box<dyn Any + Send + Sync>,
}

/// Stamps every case of the contract for one backend, as a module of tests.
///
/// `$make` is a function `fn() -> Fixture` in the scope of the call. Attributes after it are put
/// on each test: `event_log_contract!(kurrent, make, #[ignore = "needs a server"]);`.
#[macro_export]
macro_rules! event_log_contract {
    ($backend:ident, $make:ident $(, #[$attribute:meta])*) => {
        mod $backend {
            $crate::event_log_contract!(@cases $make [$(#[$attribute])*]
                append_matrix_of_a_missing_stream
                append_matrix_of_a_stream_with_events
                append_of_no_event_checks_and_stores_nothing
                append_is_all_or_nothing
                append_of_the_identical_batch_is_stored_once
                append_race_has_one_winner
                append_over_a_bound_is_refused
                append_keeps_streams_apart
                read_forward_and_backward
                read_of_a_missing_stream_is_not_found
                read_gives_back_what_was_written
                all_is_in_order_and_pages
                all_has_the_order_of_each_stream
                subscribe_from_the_start_and_from_a_position
                subscribe_says_caught_up_once
                subscribe_sees_every_event_of_eight_writers
                subscribe_slowly_does_not_slow_writers
                subscribe_ends_by_drop_and_by_close
                durability_after_reopen
                durability_of_a_subscription_position
                durability_of_concurrent_appends_at_close
                immutability_of_the_past
                closed_log_answers_closed
            );
        }
    };
    (@cases $make:ident $attributes:tt $($case:ident)*) => {
        $($crate::event_log_contract!(@case $make $attributes $case);)*
    };
    (@case $make:ident [$(#[$attribute:meta])*] $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$attribute])*
        async fn $case() {
            $crate::log::contract::$case(super::$make).await;
        }
    };
}

/// How long a case waits for something that must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// A stream that no other case uses.
fn fresh_stream() -> StreamName {
    StreamName::new(format!("case-{}", new_uuid())).unwrap()
}

/// An event with a number in it, to be recognised by.
fn event(number: u64) -> NewEvent {
    let id = new_uuid();
    NewEvent {
        id,
        event_type: "case.happened",
        schema_version: 1,
        data: Bytes::from(format!("{{\"number\":{number}}}")),
        metadata: Metadata {
            correlation_id: id,
            causation_id: Uuid::from_u128(u128::from(number)),
            actor: Arc::from("system"),
            reason: None,
        },
    }
}

fn events(numbers: std::ops::Range<u64>) -> Vec<NewEvent> {
    numbers.map(event).collect()
}

/// The number of an event made by [`event`].
fn number(event: &RecordedEvent) -> u64 {
    let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
    data["number"].as_u64().unwrap()
}

fn numbers(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(number).collect()
}

/// Appends events with these numbers to a stream, one append each.
async fn fill(log: &dyn EventLog, stream: &StreamName, range: std::ops::Range<u64>) {
    for number in range {
        log.append(stream, ExpectedRevision::Any, vec![event(number)]).await.unwrap();
    }
}

/// Everything after a position, in pages.
async fn all_after(log: &dyn EventLog, after: Position) -> Vec<RecordedEvent> {
    let mut all: Vec<RecordedEvent> = Vec::new();
    loop {
        let last = all.last().map_or(after, |event| event.position);
        let page = log.read_all(last, READ_EVENTS_MAX).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn next(subscription: &mut Subscription) -> Option<Result<SubscriptionItem, LogError>> {
    tokio::time::timeout(DEADLINE, subscription.next())
        .await
        .unwrap_or_else(|_| panic!("the subscription gave nothing for {DEADLINE:?}"))
}

/// Reads a subscription until `count` events of the wanted streams came. Events of other streams
/// are left out; `CaughtUp` is counted.
async fn collect(
    subscription: &mut Subscription,
    wanted: &[StreamName],
    count: usize,
) -> (Vec<RecordedEvent>, usize) {
    let (mut events, mut caught_up) = (Vec::new(), 0);
    while events.len() < count {
        match next(subscription).await.unwrap().unwrap() {
            SubscriptionItem::Events(batch) => {
                assert!(!batch.is_empty(), "a batch has at least one event");
                events.extend(batch.into_iter().filter(|event| wanted.contains(&event.stream)));
            }
            SubscriptionItem::CaughtUp => caught_up += 1,
        }
    }
    (events, caught_up)
}

#[track_caller]
fn assert_positions_increase(events: &[RecordedEvent]) {
    for pair in events.windows(2) {
        assert!(pair[0].position < pair[1].position, "{:?} then {:?}", pair[0], pair[1]);
    }
}

#[track_caller]
fn assert_wrong_revision(error: LogError, wanted_actual: Option<super::Revision>) {
    match error {
        LogError::WrongRevision { actual, .. } => assert_eq!(actual, wanted_actual),
        other => panic!("{other:?} instead of a wrong revision"),
    }
}
