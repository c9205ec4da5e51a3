//! The cases about live reading.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use super::{
    DEADLINE, Fixture, assert_positions_increase, collect, event, events, fill, fresh_stream, next,
    numbers,
};
use crate::limits::{APPEND_EVENTS_MAX, SUBSCRIPTION_BATCH_EVENTS_MAX, SUBSCRIPTION_BATCHES_MAX};
use crate::log::{ExpectedRevision, Position, Revision, SharedLog, Subscription, SubscriptionItem};

/// From the start everything comes; from a position only what is after it. Then it goes on live.
pub async fn subscribe_from_the_start_and_from_a_position(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    fill(&*log, &stream, 0..3).await;
    let middle = log.head().await.unwrap();
    fill(&*log, &stream, 3..5).await;
    let mut whole = log.subscribe_all(Position::START);
    let mut rest = log.subscribe_all(middle);
    let wanted = [stream.clone()];
    assert_eq!(numbers(&collect(&mut whole, &wanted, 5).await.0), [0, 1, 2, 3, 4]);
    assert_eq!(numbers(&collect(&mut rest, &wanted, 2).await.0), [3, 4]);
    fill(&*log, &stream, 5..6).await;
    assert_eq!(numbers(&collect(&mut whole, &wanted, 1).await.0), [5]);
    assert_eq!(numbers(&collect(&mut rest, &wanted, 1).await.0), [5]);
}

/// `CaughtUp` comes once, after what was there, and never again.
pub async fn subscribe_says_caught_up_once(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    let start = log.head().await.unwrap();
    fill(&*log, &stream, 0..3).await;
    let mut subscription = log.subscribe_all(start);
    let mut before = Vec::new();
    while let SubscriptionItem::Events(batch) = next(&mut subscription).await.unwrap().unwrap() {
        before.extend(batch);
    }
    before.retain(|event| event.stream == stream);
    assert_eq!(numbers(&before), [0, 1, 2]);
    for n in 3..8 {
        fill(&*log, &stream, n..n + 1).await;
        let (live, caught_up) = collect(&mut subscription, std::slice::from_ref(&stream), 1).await;
        assert_eq!((numbers(&live), caught_up), (vec![n], 0));
    }
    // Also where there is nothing to catch up with.
    let mut at_head = log.subscribe_all(log.head().await.unwrap());
    let first = next(&mut at_head).await.unwrap().unwrap();
    assert_eq!(first, SubscriptionItem::CaughtUp);
}

/// While eight writers append, a subscription from before and ones that join meanwhile see every
/// event once and in order.
pub async fn subscribe_sees_every_event_of_eight_writers(make: impl Fn() -> Fixture) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 100;
    let Fixture { log, guard: _guard, .. } = make();
    let start = log.head().await.unwrap();
    let streams: Vec<_> = (0..WRITERS).map(|_| fresh_stream()).collect();
    let early = log.subscribe_all(start);
    let writers = streams.iter().cloned().map(|stream| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for n in (0..EACH).step_by(2) {
                log.append(&stream, ExpectedRevision::Any, events(n..n + 2)).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut subscriptions = vec![early];
    let mut joined_at = start;
    for _ in 0..4 {
        subscriptions.push(log.subscribe_all(start));
        joined_at = past(&log, joined_at).await;
    }
    for mut subscription in subscriptions {
        let wanted = (WRITERS * EACH) as usize;
        let (seen, caught_up) = collect(&mut subscription, &streams, wanted).await;
        assert!(caught_up <= 1, "caught up {caught_up} times");
        assert_positions_increase(&seen);
        for stream in &streams {
            let of_stream = seen.iter().filter(|event| event.stream == *stream);
            let revisions: Vec<_> = of_stream.map(|event| event.revision).collect();
            assert_eq!(revisions, (0..EACH).map(Revision).collect::<Vec<_>>());
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Waits until the head is past a position, or has stood still because the writers are done.
async fn past(log: &SharedLog, position: Position) -> Position {
    let mut live = log.subscribe_all(position);
    loop {
        let item = tokio::time::timeout(Duration::from_millis(500), next(&mut live)).await;
        match item {
            Ok(Some(Ok(SubscriptionItem::Events(batch)))) => {
                return batch.last().map_or(position, |event| event.position);
            }
            Ok(Some(Ok(SubscriptionItem::CaughtUp))) => {}
            Ok(other) => panic!("{other:?} in the middle of a subscription"),
            Err(_) => return position,
        }
    }
}

/// A subscription that nobody reads holds up no writer, and still gives everything afterwards.
pub async fn subscribe_slowly_does_not_slow_writers(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    let mut slow = log.subscribe_all(log.head().await.unwrap());
    let room = (SUBSCRIPTION_BATCHES_MAX + 2) * SUBSCRIPTION_BATCH_EVENTS_MAX;
    let appends = room / APPEND_EVENTS_MAX;
    let write = async {
        for n in 0..appends as u64 {
            let first = n * APPEND_EVENTS_MAX as u64;
            let batch = events(first..first + APPEND_EVENTS_MAX as u64);
            log.append(&stream, ExpectedRevision::Any, batch).await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, write).await.unwrap();
    let total = appends * APPEND_EVENTS_MAX;
    let (seen, _) = collect(&mut slow, std::slice::from_ref(&stream), total).await;
    assert_eq!(numbers(&seen), (0..total as u64).collect::<Vec<_>>());
}

/// Dropping a subscription harms nobody; closing the log ends it with `None`.
pub async fn subscribe_ends_by_drop_and_by_close(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    let mut kept = log.subscribe_all(log.head().await.unwrap());
    let dropped: Vec<Subscription> = (0..10).map(|_| log.subscribe_all(Position::START)).collect();
    drop(dropped);
    log.append(&stream, ExpectedRevision::Any, vec![event(1)]).await.unwrap();
    assert_eq!(numbers(&collect(&mut kept, &[stream], 1).await.0), [1]);
    log.close().await;
    while let Some(item) = next(&mut kept).await {
        item.unwrap();
    }
    let mut late = log.subscribe_all(Position::START);
    assert_eq!(next(&mut late).await, None);
}
