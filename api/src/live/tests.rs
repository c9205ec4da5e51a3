//! Listeners over a log in memory, with a clock that only moves when everybody waits.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use spark_events::log::memory::MemoryLog;
use spark_events::{ExpectedRevision, Metadata, NewEvent, StreamName, SystemClock, ids};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::error::ApiError;

struct Scene {
    live: Live,
    log: SharedLog,
    hub: JoinSet<()>,
}

type Heard = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

fn scene() -> Scene {
    let log: SharedLog = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let live = Live::new(Arc::clone(&log));
    let mut hub = JoinSet::new();
    let running = live.clone();
    hub.spawn(async move { running.run().await });
    Scene { live, log, hub }
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

impl Scene {
    /// Appends as many events to a stream.
    async fn append(&self, name: &str, count: usize) {
        let id = ids::new_uuid();
        let metadata =
            Metadata { correlation_id: id, causation_id: id, actor: "system".into(), reason: None };
        let event = || NewEvent {
            id: ids::new_uuid(),
            event_type: "task.started",
            schema_version: 1,
            data: "{}".into(),
            metadata: metadata.clone(),
        };
        let events: Vec<_> = (0..count).map(|_| event()).collect();
        for batch in events.chunks(limits::APPEND_EVENTS_MAX) {
            let (stream, batch) = (stream(name), batch.to_vec());
            let appended = self.log.append(&stream, ExpectedRevision::Any, batch);
            appended.await.unwrap();
        }
    }

    async fn listen(&self, filter: Filter, after: Option<u64>) -> Heard {
        let mut heard =
            Box::pin(listen(&self.live, None, filter, after.map(Position)).await.unwrap());
        let hello = text(heard.next().await.unwrap());
        assert!(hello.starts_with("retry: 2000\nid: "), "{hello}");
        heard
    }
}

fn text(bytes: Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The positions of so many events, in the order in which they are heard.
async fn positions(heard: &mut Heard, count: usize) -> Vec<u64> {
    let mut all = Vec::new();
    while all.len() < count {
        let piece = text(heard.next().await.expect("the listener goes on"));
        for part in piece.split_terminator("\n\n").filter(|part| part.contains("\ndata: ")) {
            let id = part.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
            assert!(part.contains("\nevent: task.started\n"), "{part}");
            all.push(id.parse().unwrap());
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_was_and_what_comes_is_heard_once_and_in_order() {
    let scene = scene();
    scene.append("task-a", 700).await;
    let mut all = scene.listen(Filter::default(), Some(0)).await;
    let mut from_now = scene.listen(Filter::default(), None).await;
    let mut half = scene.listen(Filter::default(), Some(350)).await;
    assert_eq!(positions(&mut all, 700).await, (1..=700).collect::<Vec<_>>());
    scene.append("task-b", 3).await;
    assert_eq!(positions(&mut all, 3).await, [701, 702, 703]);
    assert_eq!(positions(&mut from_now, 3).await, [701, 702, 703]);
    assert_eq!(positions(&mut half, 353).await, (351..=703).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_listener_of_one_stream_hears_nothing_else() {
    let scene = scene();
    for _ in 0..300 {
        scene.append("task-a", 1).await;
        scene.append("task-b", 1).await;
    }
    let only = || Filter::new(vec![], vec![], vec![stream("task-b")], None);
    let mut all = scene.listen(only(), Some(0)).await;
    let mut half = scene.listen(only(), Some(301)).await;
    let mut coming =
        scene.listen(Filter::new(vec![], vec![], vec![stream("task-c")], None), Some(0)).await;
    assert_eq!(positions(&mut all, 300).await, (1..=300).map(|n| n * 2).collect::<Vec<_>>());
    assert_eq!(positions(&mut half, 150).await, (151..=300).map(|n| n * 2).collect::<Vec<_>>());
    scene.append("task-c", 1).await;
    scene.append("task-b", 1).await;
    assert_eq!(positions(&mut coming, 1).await, [601]);
    assert_eq!(positions(&mut half, 1).await, [602]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_keep_up_is_not_waited_for_and_misses_nothing() {
    const PIECES: u64 = 3 * limits::LISTENER_PIECES_MAX as u64;
    let scene = scene();
    let mut slow = scene.listen(Filter::default(), None).await;
    let only = Filter::new(vec![], vec![], vec![stream("task-a")], None);
    let mut narrow = scene.listen(only, None).await;
    let mut quick = scene.listen(Filter::default(), None).await;
    for n in 0..PIECES {
        scene.append("task-a", 1).await;
        assert_eq!(positions(&mut quick, 1).await, [n + 1]);
    }
    let count = usize::try_from(PIECES).unwrap();
    assert_eq!(positions(&mut slow, count).await, (1..=PIECES).collect::<Vec<_>>());
    assert_eq!(positions(&mut narrow, count).await, (1..=PIECES).collect::<Vec<_>>());
    scene.append("task-a", 1).await;
    assert_eq!(positions(&mut slow, 1).await, [PIECES + 1], "it is up to date again");
    assert_eq!(positions(&mut narrow, 1).await, [PIECES + 1]);
}

#[tokio::test(start_paused = true)]
async fn a_single_event_leaves_at_once_and_many_leave_together() {
    let scene = scene();
    let mut heard = scene.listen(Filter::default(), None).await;
    let begun = Instant::now();
    scene.append("task-a", 1).await;
    assert_eq!(positions(&mut heard, 1).await, [1]);
    assert_eq!(begun.elapsed().as_millis(), 0);
    for _ in 0..20 {
        scene.append("task-a", 1).await;
    }
    let piece = text(heard.next().await.unwrap());
    assert_eq!(piece.matches("\ndata: ").count(), 20, "{piece}");
    assert!(begun.elapsed().as_millis() <= 2 * u128::from(limits::LISTENER_PAUSE_MS));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_kept_alive_and_its_place_moves_on() {
    let scene = scene();
    let filter = Filter::new(vec![], vec![], vec![stream("task-b")], None);
    let mut heard = scene.listen(filter, None).await;
    scene.append("task-a", 5).await;
    let begun = Instant::now();
    let first = text(heard.next().await.unwrap());
    assert!(first.starts_with(": heartbeat\n"), "{first}");
    assert_eq!(begun.elapsed().as_millis(), u128::from(limits::LISTENER_HEARTBEAT_MS));
    let second = text(heard.next().await.unwrap());
    assert_eq!(second, ": heartbeat\nid: 5\n\n", "nothing of this was for it");
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_places_and_no_more() {
    let scene = scene();
    let mut listeners = Vec::new();
    for _ in 0..limits::LISTENERS_MAX {
        listeners.push(scene.listen(Filter::default(), None).await);
    }
    let refused = listen(&scene.live, None, Filter::default(), None).await.err();
    assert!(matches!(refused, Some(ApiError::TooManyListeners(..))), "{refused:?}");
    assert_eq!(scene.live.listeners(), limits::LISTENERS_MAX);
    listeners.pop();
    scene.append("task-a", 1).await;
    for heard in &mut listeners {
        assert_eq!(positions(heard, 1).await, [1]);
    }
    drop(scene.listen(Filter::default(), None).await);
}

#[tokio::test(start_paused = true)]
async fn all_end_with_the_hub_and_with_the_log() {
    let mut scene = scene();
    let mut heard = scene.listen(Filter::default(), None).await;
    let mut behind = scene.listen(Filter::default(), Some(0)).await;
    scene.hub.shutdown().await;
    assert_eq!(heard.next().await, None);
    assert_eq!(behind.next().await, None);
    let refused = listen(&scene.live, None, Filter::default(), None).await;
    assert!(refused.is_err(), "nobody serves it");

    let scene = self::scene();
    let mut heard = scene.listen(Filter::default(), None).await;
    scene.log.close().await;
    assert_eq!(heard.next().await, None);
}
