//! An event that is passed over: recorded in the log, so that a rebuild, and a new file, pass over
//! it too.

use std::sync::Arc;

use spark_events::domain::projection::{self, ProjectionEvent, ProjectionSkipped};
use spark_events::log::memory::MemoryLog;
use spark_events::{
    DomainEvent, ExpectedRevision, Metadata, NewEvent, Position, SharedLog, StreamName,
    SystemClock, WorkerId, ids,
};

use crate::Projections;

async fn append(log: &SharedLog, stream: StreamName, kind: &'static str, data: &[u8]) -> Position {
    let id = ids::new_uuid();
    let metadata =
        Metadata { correlation_id: id, causation_id: id, actor: "system".into(), reason: None };
    let data = data.to_vec().into();
    let event = NewEvent { id, event_type: kind, schema_version: 1, data, metadata };
    log.append(&stream, ExpectedRevision::Any, vec![event]).await.unwrap().position
}

async fn until(
    projections: &Projections,
    holds: impl Fn(&crate::ProjectionHealth) -> bool,
) -> crate::ProjectionHealth {
    let mut positions = projections.positions();
    let wait = async {
        loop {
            let workers = projections.health().into_iter().find(|one| one.name == "workers");
            if let Some(workers) = workers.filter(|one| holds(one)) {
                return workers;
            }
            // Health is published with each commit, of which the position tells.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), positions.changed())
                .await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.unwrap()
}

#[tokio::test]
async fn a_skipped_event_is_passed_over_by_a_rebuild_and_by_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let log: SharedLog = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let poison = append(&log, WorkerId::random().stream(), "worker.lost", b"{}").await;
    let projections = Projections::start(dir.path().join("a.db"), log.clone()).unwrap();
    let halted = until(&projections, |one| one.halted.is_some()).await;
    assert_eq!(halted.halted.unwrap().position, poison);
    projections.retry("workers").await.unwrap();
    until(&projections, |one| one.halted.is_some()).await;

    let skipped = ProjectionEvent::Skipped(ProjectionSkipped {
        position: poison,
        event_type: "worker.lost".into(),
        why: "it cannot be read".into(),
    });
    let (kind, _, data) = skipped.encode().unwrap();
    let head = append(&log, projection::stream("workers").unwrap(), kind, &data).await;
    projections.skip("workers", poison).await.unwrap();
    let past = |one: &crate::ProjectionHealth| one.halted.is_none() && one.position >= head;
    assert_eq!(until(&projections, past).await.skipped, [poison]);
    projections.rebuild("workers").await.unwrap();
    until(&projections, past).await;
    projections.stop().await;

    let anew = Projections::start(dir.path().join("b.db"), log.clone()).unwrap();
    assert_eq!(until(&anew, past).await.skipped, [poison]);
    anew.stop().await;
    let again = Projections::start(dir.path().join("a.db"), log).unwrap();
    assert_eq!(until(&again, |one| !one.skipped.is_empty()).await.skipped, [poison]);
    again.stop().await;
}
