//! The cases about reading the whole log.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;

use super::{
    Fixture, all_after, assert_positions_increase, event, events, fill, fresh_stream, numbers,
};
use crate::log::{ExpectedRevision, Position, Revision};

/// Positions strictly increase, `after` is exclusive, pages join without a gap, and the head is
/// the last position.
pub async fn all_is_in_order_and_pages(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let start = log.head().await.unwrap();
    let streams = [fresh_stream(), fresh_stream()];
    for n in 0..10 {
        let stream = &streams[n as usize % 2];
        let appended = log.append(stream, ExpectedRevision::Any, events(n..n + 1)).await.unwrap();
        assert_eq!(log.head().await.unwrap(), appended.position);
    }
    let mut all = all_after(&*log, start).await;
    assert_positions_increase(&all);
    assert!(all[0].position > start, "a position is exclusive");
    all.retain(|event| streams.contains(&event.stream));
    assert_eq!(numbers(&all), (0..10).collect::<Vec<_>>());

    let (mut paged, mut last) = (Vec::new(), start);
    loop {
        let page = log.read_all(last, 3).await.unwrap();
        assert!(page.len() <= 3, "at most the limit");
        let Some(event) = page.last() else { break };
        last = event.position;
        paged.extend(page.into_iter().filter(|event| streams.contains(&event.stream)));
    }
    assert_eq!(paged, all);
    assert_eq!(log.read_all(Position(u64::MAX), 3).await.unwrap(), []);
    assert_eq!(log.read_all(start, 0).await.unwrap(), []);
}

/// Within one stream the order of positions is the order of revisions, also with many writers.
pub async fn all_has_the_order_of_each_stream(make: impl Fn() -> Fixture) {
    let Fixture { log, guard: _guard, .. } = make();
    let start = log.head().await.unwrap();
    let shared = fresh_stream();
    let writers = (0..8).map(|_| {
        let (log, shared) = (Arc::clone(&log), shared.clone());
        tokio::spawn(async move {
            let own = fresh_stream();
            for n in 0..20 {
                log.append(&shared, ExpectedRevision::Any, vec![event(n)]).await.unwrap();
                fill(&*log, &own, n..n + 1).await;
            }
            own
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut streams = vec![shared];
    for writer in writers {
        streams.push(writer.await.unwrap());
    }
    let all = all_after(&*log, start).await;
    assert_positions_increase(&all);
    for (stream, count) in streams.iter().zip([160, 20, 20, 20, 20, 20, 20, 20, 20]) {
        let of_stream = all.iter().filter(|event| event.stream == *stream);
        let revisions: Vec<_> = of_stream.map(|event| event.revision).collect();
        assert_eq!(revisions, (0..count).map(Revision).collect::<Vec<_>>());
    }
}
