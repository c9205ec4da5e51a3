//! The cases about reading one stream.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{Fixture, event, events, fresh_stream, numbers};
use crate::clock::micros;
use crate::limits::{APPEND_EVENTS_MAX, READ_EVENTS_MAX};
use crate::log::Direction::{Backward, Forward};
use crate::log::{ExpectedRevision, LogError, Metadata, NewEvent, Revision};

/// Both directions, from the ends and from the middle, with limits.
pub async fn read_forward_and_backward(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let stream = fresh_stream();
    log.append(&stream, ExpectedRevision::NoStream, events(0..6)).await.unwrap();
    let at = |revision| Some(Revision(revision));
    for (from, direction, limit, wanted) in [
        (None, Forward, 100, vec![0, 1, 2, 3, 4, 5]),
        (None, Forward, 2, vec![0, 1]),
        (at(4), Forward, 100, vec![4, 5]),
        (at(2), Forward, 2, vec![2, 3]),
        (at(6), Forward, 100, vec![]),
        (at(u64::MAX), Forward, 100, vec![]),
        (None, Backward, 100, vec![5, 4, 3, 2, 1, 0]),
        (None, Backward, 1, vec![5]),
        (at(2), Backward, 100, vec![2, 1, 0]),
        (at(4), Backward, 2, vec![4, 3]),
        (at(0), Backward, 100, vec![0]),
        (at(u64::MAX), Backward, 2, vec![5, 4]),
        (None, Forward, 0, vec![]),
    ] {
        let read = log.read_stream(&stream, from, direction, limit).await.unwrap();
        assert_eq!(numbers(&read), wanted, "{from:?} {direction:?} {limit}");
        assert!(read.iter().all(|event| event.stream == stream));
        let revisions: Vec<_> = read.iter().map(|event| event.revision.0).collect();
        assert_eq!(revisions, wanted, "the numbers were the revisions");
    }
}

/// A missing stream is an error and not an empty answer; no read is longer than the bound.
pub async fn read_of_a_missing_stream_is_not_found(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let missing = fresh_stream();
    for direction in [Forward, Backward] {
        let read = log.read_stream(&missing, None, direction, 10).await;
        assert_eq!(read, Err(LogError::StreamNotFound(missing.clone())));
    }
    let stream = fresh_stream();
    for _ in 0..=READ_EVENTS_MAX / APPEND_EVENTS_MAX {
        let batch = events(0..APPEND_EVENTS_MAX as u64);
        log.append(&stream, ExpectedRevision::Any, batch).await.unwrap();
    }
    let read = log.read_stream(&stream, None, Forward, usize::MAX).await.unwrap();
    assert_eq!(read.len(), READ_EVENTS_MAX);
}

/// Bytes, ids, metadata and the time survive, and every way of reading gives the same event.
pub async fn read_gives_back_what_was_written(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let (stream, start) = (fresh_stream(), log.head().await.unwrap());
    let plain = event(0);
    let cause = Uuid::from_u128(7);
    let full = NewEvent {
        id: crate::ids::new_uuid(),
        event_type: "case.described",
        schema_version: u16::MAX,
        data: Bytes::from("{ \"text\": \"žluťoučký 🦀 \\u0000 'quoted'\",\n \"n\": 1.50 }"),
        metadata: Metadata {
            correlation_id: cause,
            causation_id: cause,
            actor: Arc::from("user:Žofie"),
            reason: Some(Arc::from("because; it's --needed")),
        },
    };
    let written = [plain, full];
    log.append(&stream, ExpectedRevision::NoStream, written.to_vec()).await.unwrap();
    let stored = log.read_stream(&stream, None, Forward, 10).await.unwrap();
    assert_eq!(stored.len(), written.len());
    for (revision, (stored, new)) in stored.iter().zip(&written).enumerate() {
        assert_eq!(stored.id, new.id);
        assert_eq!(&*stored.event_type, new.event_type);
        assert_eq!(stored.schema_version, new.schema_version);
        assert_eq!(stored.data, new.data);
        assert_eq!(stored.metadata, new.metadata);
        assert_eq!(stored.stream, stream);
        assert_eq!(stored.revision, Revision(revision as u64));
        assert_eq!(stored.recorded_at, micros(stored.recorded_at));
    }
    let mut all = log.read_all(start, READ_EVENTS_MAX).await.unwrap();
    all.retain(|event| event.stream == stream);
    assert_eq!(all, stored);
    let mut backward = log.read_stream(&stream, None, Backward, 10).await.unwrap();
    backward.reverse();
    assert_eq!(backward, stored);
}
