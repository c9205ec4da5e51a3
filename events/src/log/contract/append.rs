//! The cases about appending: the matrix of expected revisions, batches, repeats, races, bounds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Fixture, all_after, assert_wrong_revision, event, events, fill, fresh_stream, numbers,
};
use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_BYTES_MAX};
use crate::log::{Appended, Direction, ExpectedRevision, LogError, Revision};

/// A missing stream accepts `Any` and `NoStream` and refuses the rest.
pub async fn append_matrix_of_a_missing_stream(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    for expected in [ExpectedRevision::Any, ExpectedRevision::NoStream] {
        let stream = fresh_stream();
        let appended = log.append(&stream, expected, events(0..2)).await.unwrap();
        assert_eq!(appended.revision, Revision(1), "{expected:?}");
        assert_eq!(appended.position, log.head().await.unwrap());
    }
    for expected in [
        ExpectedRevision::StreamExists,
        ExpectedRevision::Exact(Revision(0)),
        ExpectedRevision::Exact(Revision(u64::MAX)),
    ] {
        let stream = fresh_stream();
        let head = log.head().await.unwrap();
        let error = log.append(&stream, expected, events(0..2)).await.unwrap_err();
        assert_wrong_revision(error, None);
        let read = log.read_stream(&stream, None, Direction::Forward, 10).await;
        assert_eq!(read, Err(LogError::StreamNotFound(stream)), "{expected:?}");
        assert_eq!(log.head().await.unwrap(), head);
    }
}

/// A stream with events accepts `Any`, `StreamExists` and its own last revision, and a conflict
/// names the actual revision.
pub async fn append_matrix_of_a_stream_with_events(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    fill(&*log, &stream, 0..3).await;
    let mut last = 2;
    for expected in [
        ExpectedRevision::Any,
        ExpectedRevision::StreamExists,
        ExpectedRevision::Exact(Revision(4)),
    ] {
        last += 1;
        let appended = log.append(&stream, expected, events(last..last + 1)).await.unwrap();
        assert_eq!(appended.revision, Revision(last), "{expected:?}");
    }
    for expected in [
        ExpectedRevision::NoStream,
        ExpectedRevision::Exact(Revision(0)),
        ExpectedRevision::Exact(Revision(4)),
        ExpectedRevision::Exact(Revision(6)),
        ExpectedRevision::Exact(Revision(u64::MAX)),
    ] {
        let error = log.append(&stream, expected, events(90..91)).await.unwrap_err();
        assert_wrong_revision(error, Some(Revision(5)));
    }
    let stored = log.read_stream(&stream, None, Direction::Forward, 100).await.unwrap();
    assert_eq!(numbers(&stored), [0, 1, 2, 3, 4, 5]);
}

/// An empty batch checks the expectation, stores nothing, and answers where the stream is.
pub async fn append_of_no_event_checks_and_stores_nothing(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let (missing, stream) = (fresh_stream(), fresh_stream());
    let stored = log.append(&stream, ExpectedRevision::NoStream, events(0..2)).await.unwrap();
    let exact = ExpectedRevision::Exact(stored.revision);
    assert_eq!(log.append(&stream, exact, vec![]).await.unwrap(), stored);
    let refused = log.append(&stream, ExpectedRevision::NoStream, vec![]).await.unwrap_err();
    assert_wrong_revision(refused, Some(Revision(1)));
    log.append(&missing, ExpectedRevision::NoStream, vec![]).await.unwrap();
    let refused = log.append(&missing, ExpectedRevision::StreamExists, vec![]).await.unwrap_err();
    assert_wrong_revision(refused, None);
    let read = log.read_stream(&missing, None, Direction::Forward, 1).await;
    assert_eq!(read, Err(LogError::StreamNotFound(missing)));
    assert_eq!(log.head().await.unwrap(), stored.position);
}

/// A batch is stored whole and in order, or not at all.
pub async fn append_is_all_or_nothing(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    let count = APPEND_EVENTS_MAX as u64;
    log.append(&stream, ExpectedRevision::NoStream, events(0..count)).await.unwrap();
    let mut spoiled = events(count..count + 3);
    spoiled[2].data = Bytes::from(vec![b'1'; EVENT_BYTES_MAX + 1]);
    let exact = ExpectedRevision::Exact(Revision(count - 1));
    log.append(&stream, exact, spoiled).await.unwrap_err();
    log.append(&stream, exact, events(count..count + 1)).await.unwrap();
    let stored = log.read_stream(&stream, None, Direction::Forward, 1000).await.unwrap();
    assert_eq!(numbers(&stored), (0..=count).collect::<Vec<_>>());
}

/// The identical batch under a definite expectation answers as the first time did, also when
/// other events followed; a different batch, or one that is longer, is a conflict.
pub async fn append_of_the_identical_batch_is_stored_once(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    let (first, second) = (events(0..3), events(3..5));
    let at_2 = ExpectedRevision::Exact(Revision(2));
    let one = log.append(&stream, ExpectedRevision::NoStream, first.clone()).await.unwrap();
    let repeat = log.append(&stream, ExpectedRevision::NoStream, first.clone()).await;
    assert_eq!(repeat, Ok(one));
    let two = log.append(&stream, at_2, second.clone()).await.unwrap();
    fill(&*log, &stream, 5..6).await;
    let repeat = log.append(&stream, ExpectedRevision::NoStream, first.clone()).await;
    assert_eq!(repeat, Ok(one));
    assert_eq!(log.append(&stream, at_2, second.clone()).await, Ok(two));

    let mut longer = second.clone();
    longer.extend(events(7..9));
    let mut reordered = first;
    reordered.swap(0, 1);
    for (expected, batch) in [
        (at_2, longer),
        (at_2, events(3..5)),
        (ExpectedRevision::NoStream, reordered),
        (ExpectedRevision::Exact(Revision(1)), second),
    ] {
        let error = log.append(&stream, expected, batch).await.unwrap_err();
        assert_wrong_revision(error, Some(Revision(5)));
    }
    let stored = log.read_stream(&stream, None, Direction::Forward, 100).await.unwrap();
    assert_eq!(numbers(&stored), [0, 1, 2, 3, 4, 5]);
}

/// Of many writers with the same expectation exactly one wins, and the losers learn where the
/// stream is.
pub async fn append_race_has_one_winner(make: impl Fn() -> Fixture) {
    const RACERS: u64 = 8;
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    fill(&*log, &stream, 0..1).await;
    for round in 0..5 {
        let racers = (0..RACERS).map(|racer| {
            let (log, stream) = (Arc::clone(&log), stream.clone());
            let exact = ExpectedRevision::Exact(Revision(round));
            tokio::spawn(async move { log.append(&stream, exact, vec![event(racer)]).await })
        });
        let mut winners: Vec<Appended> = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(appended) => winners.push(appended),
                Err(error) => assert_wrong_revision(error, Some(Revision(round + 1))),
            }
        }
        let revisions: Vec<_> = winners.iter().map(|winner| winner.revision).collect();
        assert_eq!(revisions, [Revision(round + 1)]);
    }
}

/// What is over a bound is refused with a typed error; what is exactly at it is stored.
pub async fn append_over_a_bound_is_refused(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let head = log.head().await.unwrap();
    let sized = |bytes: usize| {
        let mut event = event(0);
        event.data = Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2)));
        event
    };
    let half = APPEND_BYTES_MAX / 2 + 1;
    for (batch, wanted) in [
        (vec![sized(EVENT_BYTES_MAX + 1)], "event bytes"),
        (events(0..APPEND_EVENTS_MAX as u64 + 1), "events in one append"),
        (vec![sized(half), sized(half)], "bytes in one append"),
    ] {
        match log.append(&fresh_stream(), ExpectedRevision::Any, batch).await {
            Err(LogError::TooLarge { what, actual, max }) => {
                assert_eq!(what, wanted);
                assert!(actual > max, "{actual} is over {max}");
            }
            other => panic!("{other:?} instead of too large: {wanted}"),
        }
    }
    assert_eq!(all_after(&*log, head).await, []);
    let stream = fresh_stream();
    log.append(&stream, ExpectedRevision::Any, vec![sized(EVENT_BYTES_MAX)]).await.unwrap();
    let stored = log.read_stream(&stream, None, Direction::Forward, 1).await.unwrap();
    assert_eq!(stored[0].data.len(), EVENT_BYTES_MAX);
}

/// Appends in flight at once to many streams neither mix nor fail each other, whatever becomes
/// of their neighbours.
pub async fn append_keeps_streams_apart(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let writers = (0..64_u64).map(|writer| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let stream = fresh_stream();
            for n in 0..5 {
                let wrong = ExpectedRevision::Exact(Revision(n + 7));
                log.append(&stream, wrong, vec![event(0)]).await.unwrap_err();
                let right = match n {
                    0 => ExpectedRevision::NoStream,
                    n => ExpectedRevision::Exact(Revision(n - 1)),
                };
                log.append(&stream, right, vec![event(writer * 10 + n)]).await.unwrap();
            }
            (stream, writer)
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        let (stream, writer) = writer.await.unwrap();
        let stored = log.read_stream(&stream, None, Direction::Forward, 10).await.unwrap();
        let wanted: Vec<_> = (0..5).map(|n| writer * 10 + n).collect();
        assert_eq!(numbers(&stored), wanted);
    }
}
