//! The cases about what survives: a reopened log, the past, a closed handle.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::sync::Arc;

use super::{Fixture, all_after, collect, event, events, fill, fresh_stream, numbers};
use crate::log::{Direction, ExpectedRevision, LogError, Position, Revision};

/// Everything acknowledged is there after a reopen, and revisions, positions and repeats go on
/// where they were.
pub async fn durability_after_reopen(make: impl Fn() -> Fixture) {
    let Fixture { log, reopen, guard: _guard } = make();
    let start = log.head().await.unwrap();
    let stream = fresh_stream();
    let batch = events(0..3);
    let first = log.append(&stream, ExpectedRevision::NoStream, batch.clone()).await.unwrap();
    fill(&*log, &fresh_stream(), 10..12).await;
    let before = all_after(&*log, start).await;
    log.close().await;

    let log = reopen();
    assert_eq!(all_after(&*log, start).await, before);
    assert_eq!(log.append(&stream, ExpectedRevision::NoStream, batch).await, Ok(first));
    let exact = ExpectedRevision::Exact(Revision(2));
    let next = log.append(&stream, exact, vec![event(3)]).await.unwrap();
    assert_eq!(next.revision, Revision(3));
    assert!(next.position > before.last().unwrap().position);
    let stored = log.read_stream(&stream, None, Direction::Forward, 10).await.unwrap();
    assert_eq!(numbers(&stored), [0, 1, 2, 3]);
}

/// A position that was stored before a reopen is where a subscription goes on.
pub async fn durability_of_a_subscription_position(make: impl Fn() -> Fixture) {
    let Fixture { log, reopen, guard: _guard } = make();
    let stream = fresh_stream();
    let wanted = [stream.clone()];
    let mut subscription = log.subscribe_all(log.head().await.unwrap());
    fill(&*log, &stream, 0..5).await;
    let (seen, _) = collect(&mut subscription, &wanted, 5).await;
    let checkpoint = seen[1].position;
    log.close().await;

    let log = reopen();
    let mut resumed = log.subscribe_all(checkpoint);
    fill(&*log, &stream, 5..6).await;
    let (seen, _) = collect(&mut resumed, &wanted, 4).await;
    assert_eq!(numbers(&seen), [2, 3, 4, 5]);
}

/// Of appends under way while the log closes, exactly those that were acknowledged are there.
pub async fn durability_of_concurrent_appends_at_close(make: impl Fn() -> Fixture) {
    const APPENDS_MAX: u64 = 50_000;
    let Fixture { log, reopen, guard: _guard } = make();
    let writers = (0..16).map(|_| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let stream = fresh_stream();
            let mut acknowledged = 0;
            while acknowledged < APPENDS_MAX {
                let append = log.append(&stream, ExpectedRevision::Any, vec![event(acknowledged)]);
                match append.await {
                    Ok(_) => acknowledged += 1,
                    Err(error) => return (stream, acknowledged, error),
                }
            }
            panic!("the log was not closed for {APPENDS_MAX} appends");
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut live = log.subscribe_all(Position::START);
    super::next(&mut live).await;
    log.close().await;
    let mut ended = Vec::new();
    for writer in writers {
        ended.push(writer.await.unwrap());
    }
    let log = reopen();
    for (stream, acknowledged, error) in ended {
        assert_eq!(error, LogError::Closed);
        let stored = match log.read_stream(&stream, None, Direction::Forward, usize::MAX).await {
            Err(LogError::StreamNotFound(_)) => Vec::new(),
            read => read.unwrap(),
        };
        assert_eq!(numbers(&stored), (0..acknowledged).collect::<Vec<_>>());
    }
}

/// Nothing that is done to the log changes what it said before.
pub async fn immutability_of_the_past(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let start = log.head().await.unwrap();
    let stream = fresh_stream();
    let batch = events(0..3);
    log.append(&stream, ExpectedRevision::NoStream, batch.clone()).await.unwrap();
    let past = all_after(&*log, start).await;
    let mut forged = batch;
    for event in &mut forged {
        event.data = "{\"number\":99}".into();
    }
    log.append(&stream, ExpectedRevision::NoStream, forged).await.unwrap();
    log.append(&stream, ExpectedRevision::NoStream, events(7..8)).await.unwrap_err();
    log.append(&stream, ExpectedRevision::Any, events(3..5)).await.unwrap();
    let now = all_after(&*log, start).await;
    assert_eq!(now[..past.len()], past);
    let stored = log.read_stream(&stream, None, Direction::Forward, 3).await.unwrap();
    assert_eq!(stored, past.into_iter().filter(|e| e.stream == stream).collect::<Vec<_>>());
}

/// A closed handle answers `Closed` to everything, and closing twice is harmless.
pub async fn closed_log_answers_closed(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    fill(&*log, &stream, 0..1).await;
    tokio::join!(log.close(), log.close());
    log.close().await;
    let append = log.append(&stream, ExpectedRevision::Any, vec![event(0)]).await;
    assert_eq!(append, Err(LogError::Closed));
    let read = log.read_stream(&stream, None, Direction::Forward, 1).await;
    assert_eq!(read, Err(LogError::Closed));
    assert_eq!(log.read_all(Position::START, 1).await, Err(LogError::Closed));
    assert_eq!(log.head().await, Err(LogError::Closed));
}
