//! What only the embedded log promises: its file, its lock, its triggers, its survival.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::ids::new_uuid;
use crate::log::contract::Fixture;
use crate::log::{Metadata, SubscriptionItem};

fn open(path: &Path) -> EmbeddedLog {
    EmbeddedLog::open(path, Arc::new(SystemClock)).unwrap()
}

fn make() -> Fixture {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.db");
    let log = Arc::new(open(&path));
    Fixture { log, reopen: Box::new(move || Arc::new(open(&path))), guard: Box::new(dir) }
}

crate::event_log_contract!(embedded, make);

fn stream(name: &str) -> StreamName {
    StreamName::new(format!("case-{name}")).unwrap()
}

fn event(data: &str) -> NewEvent {
    let id = new_uuid();
    let metadata = Metadata {
        correlation_id: id,
        causation_id: id,
        actor: "system".into(),
        reason: Some("tested".into()),
    };
    let data = data.to_owned().into();
    NewEvent { id, event_type: "case.happened", schema_version: 3, data, metadata }
}

async fn append(log: &EmbeddedLog, name: &str) -> Result<Appended, LogError> {
    log.append(&stream(name), ExpectedRevision::Any, vec![event("{}")]).await
}

fn file() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.db");
    (dir, path)
}

fn by_hand(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

#[track_caller]
fn refused(opened: Result<EmbeddedLog, LogError>) -> String {
    match opened {
        Err(error @ LogError::Unavailable { .. }) => error.to_string(),
        Err(other) => panic!("{other:?} instead of unavailable"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn changes_of_the_past_by_hand_are_refused() {
    let (_dir, path) = file();
    let log = open(&path);
    append(&log, "a").await.unwrap();
    let sqlite = by_hand(&path);
    for table in ["events", "streams", "event_types"] {
        let column = if table == "events" { "data" } else { "name" };
        for (sql, word) in [
            (format!("UPDATE {table} SET {column} = 'x'"), "changed"),
            (format!("DELETE FROM {table}"), "deleted"),
        ] {
            let error = sqlite.execute(&sql, []).unwrap_err().to_string();
            assert!(error.contains(word), "{sql}: {error}");
        }
    }
    let stored = log.read_stream(&stream("a"), None, Direction::Forward, 10).await.unwrap();
    assert_eq!(&stored[0].data[..], b"{}");
}

#[tokio::test]
async fn a_human_can_read_the_history() {
    let (_dir, path) = file();
    let log = open(&path);
    let mut new = event(r#"{"a":1}"#);
    new.metadata.causation_id = uuid::Uuid::from_u128(0x1234);
    log.append(&stream("a"), ExpectedRevision::NoStream, vec![new.clone()]).await.unwrap();
    let stored = log.read_stream(&stream("a"), None, Direction::Forward, 1).await.unwrap();
    let row: Vec<String> = by_hand(&path)
        .query_row(
            "SELECT position, stream, revision, type, version, recorded_at, actor, reason,
                event_id, correlation_id, causation_id, data ->> 'a' FROM history",
            [],
            |row| {
                (0..12)
                    .map(|i| match row.get_ref(i)? {
                        rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
                        text => Ok(text.as_str()?.to_owned()),
                    })
                    .collect()
            },
        )
        .unwrap();
    let at = stored[0].recorded_at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let (id, cause) = (new.id.to_string(), "00000000-0000-0000-0000-000000001234");
    let wanted =
        ["1", "case-a", "0", "case.happened", "3", &at, "system", "tested", &id, &id, cause, "1"];
    assert_eq!(row, wanted);
}

#[tokio::test]
async fn a_locked_file_fails_the_group_and_the_next_one_succeeds() {
    let (_dir, path) = file();
    let log = open(&path);
    append(&log, "a").await.unwrap();
    let sqlite = by_hand(&path);
    sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (one, two) = tokio::join!(append(&log, "a"), append(&log, "new"));
    for failed in [one, two] {
        let error = failed.unwrap_err();
        assert!(error.is_retryable());
        assert!(error.to_string().contains("locked by another process"), "{error}");
    }
    assert!(log.health().trouble.unwrap().contains("locked"));
    sqlite.execute_batch("ROLLBACK").unwrap();
    assert_eq!(append(&log, "a").await.unwrap().revision, Revision(1));
    assert_eq!(append(&log, "new").await.unwrap().revision, Revision(0));
    assert_eq!(log.health().trouble, None);
    let all = log.read_all(Position::START, 10).await.unwrap();
    assert_eq!(all.iter().map(|event| event.position.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_group_that_fails_half_way_leaves_nothing_behind() {
    let (_dir, path) = file();
    let log = open(&path);
    append(&log, "a").await.unwrap();
    // Stands for a full disk: the third event of the batch cannot be inserted.
    let sqlite = by_hand(&path);
    sqlite
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.position = 4
             BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )
        .unwrap();
    let batch = vec![event("1"), event("2"), event("3")];
    let fresh = stream("fresh");
    let failed = log.append(&fresh, ExpectedRevision::NoStream, batch.clone()).await.unwrap_err();
    assert!(failed.is_retryable(), "{failed:?}");
    assert_eq!(log.head().await.unwrap(), Position(1));
    let read = log.read_stream(&fresh, None, Direction::Forward, 1).await;
    assert_eq!(read, Err(LogError::StreamNotFound(fresh.clone())));
    // A stale memory of the head, the stream or the type's row would show here.
    sqlite.execute_batch("DROP TRIGGER full").unwrap();
    let stored = log.append(&fresh, ExpectedRevision::NoStream, batch).await.unwrap();
    assert_eq!(stored, Appended { position: Position(4), revision: Revision(2) });
    assert_eq!(append(&log, "a").await.unwrap().revision, Revision(1));
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_is_gone() {
    let (_dir, path) = file();
    let log = open(&path);
    let text = refused(EmbeddedLog::open(&path, Arc::new(SystemClock)));
    assert!(text.contains("in use by another process"), "{text}");
    log.close().await;
    drop(open(&path));
    open(&path);
}

#[tokio::test]
async fn a_file_of_a_newer_version_or_of_something_else_is_refused() {
    let (dir, path) = file();
    open(&path).close().await;
    by_hand(&path).execute_batch("PRAGMA user_version = 99").unwrap();
    let text = refused(EmbeddedLog::open(&path, Arc::new(SystemClock)));
    assert!(text.contains("schema version 99"), "{text}");

    let other = dir.path().join("other.db");
    by_hand(&other).execute_batch("CREATE TABLE mine (x)").unwrap();
    let text = refused(EmbeddedLog::open(&other, Arc::new(SystemClock)));
    assert!(text.contains("something else"), "{text}");

    let garbage = dir.path().join("garbage.db");
    std::fs::write(&garbage, [7_u8; 8192]).unwrap();
    let text = refused(EmbeddedLog::open(&garbage, Arc::new(SystemClock)));
    assert!(text.contains("damaged or is not an event log"), "{text}");

    let nowhere = dir.path().join("missing").join("log.db");
    let text = refused(EmbeddedLog::open(&nowhere, Arc::new(SystemClock)));
    assert!(text.contains("directory exists"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_read_as_an_event_names_its_position() {
    let (_dir, path) = file();
    let log = open(&path);
    append(&log, "a").await.unwrap();
    append(&log, "a").await.unwrap();
    log.close().await;
    by_hand(&path)
        .execute_batch(
            "DROP TRIGGER events_are_not_updated;
             UPDATE events SET event_id = x'00' WHERE position = 2",
        )
        .unwrap();
    let log = open(&path);
    match log.read_all(Position::START, 10).await {
        Err(LogError::Corrupt { position, .. }) => assert_eq!(position, Position(2)),
        other => panic!("{other:?}"),
    }
    assert!(log.health().trouble.unwrap().contains("position 2"));
    let mut subscription = log.subscribe_all(Position::START);
    let first = subscription.next().await.unwrap();
    assert!(matches!(first, Err(LogError::Corrupt { .. })), "{first:?}");
    assert_eq!(subscription.next().await, None);
}

#[tokio::test]
async fn closing_empties_the_wal_and_dropping_stores_what_is_queued() {
    let (_dir, path) = file();
    let log = open(&path);
    append(&log, "a").await.unwrap();
    log.read_stream(&stream("a"), None, Direction::Forward, 1).await.unwrap();
    log.close().await;
    let wal = PathBuf::from(format!("{}-wal", path.display()));
    assert!(!wal.exists() || wal.metadata().unwrap().len() == 0);

    let log = open(&path);
    let queued = AtomicBool::new(false);
    tokio::select! {
        biased;
        _ = append(&log, "a") => panic!("an append ends without an fsync"),
        () = std::future::ready(()) => queued.store(true, Ordering::Relaxed),
    }
    assert!(queued.into_inner());
    drop(log);
    assert_eq!(open(&path).head().await.unwrap(), Position(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_far_behind_goes_from_the_file_to_the_tail_without_a_seam() {
    let (_dir, path) = file();
    let log = open(&path);
    let total = crate::limits::LOG_TAIL_EVENTS_MAX as u64 + 2_000;
    for first in (0..total).step_by(200) {
        let batch = (first..(first + 200).min(total)).map(|_| event("{}")).collect();
        log.append(&stream("a"), ExpectedRevision::Any, batch).await.unwrap();
    }
    assert!(log.shared.tail.after(Position::START, 1, usize::MAX).is_none(), "bounded");
    assert!(log.shared.tail.after(Position(total - 5), 1, usize::MAX).is_some());
    let mut subscription = log.subscribe_all(Position::START);
    let mut last = 0;
    while last < total {
        if let SubscriptionItem::Events(batch) = subscription.next().await.unwrap().unwrap() {
            for event in batch {
                assert_eq!(event.position.0, last + 1);
                last = event.position.0;
            }
        }
    }
}
