//! Who may come: ids, names, protocol, clock.

use spark_events::domain::worker::NotAdmitted;

use super::*;

impl Server {
    async fn refused(&self, registration: Registration) -> DispatchError {
        self.spark.register_worker(registration, &who()).await.unwrap_err()
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_registration_again_has_the_same_answer() {
    let server = server(true, &[]).await;
    let registration = server.registration("one");
    let (first, position) =
        server.spark.register_worker(registration.clone(), &who()).await.unwrap();
    assert!(position.is_some());
    let (again, none) = server.spark.register_worker(registration, &who()).await.unwrap();
    assert_eq!((again.session, none), (first.session, None));
    assert_eq!(server.names(first.id.stream()).await, ["worker.started"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_or_a_name_in_use_is_refused_with_who_has_it() {
    let server = server(true, &[]).await;
    let first = server.registration("one");
    let worker = server.worker_of(first.clone()).await;
    let other = server.registration("one");
    let error = server.refused(other).await.to_string();
    assert!(error.contains("\"one\"") && error.contains("host box, process 7"), "{error}");
    let same_id = Registration { pid: 8, ..first.clone() };
    assert!(matches!(server.refused(same_id).await, DispatchError::WorkerTaken { .. }));
    // A process of another host cannot know that the old one is dead.
    let elsewhere = Registration {
        replaces: Some(worker.id),
        hostname: "other".into(),
        ..server.registration("one")
    };
    assert!(matches!(server.refused(elsewhere).await, DispatchError::WorkerTaken { .. }));
    worker.spark.worker_leaves(worker.id, &who()).await.unwrap();
    assert!(matches!(server.refused(first).await, DispatchError::WorkerGone { .. }));
    server.worker("one").await;
}

#[tokio::test(start_paused = true)]
async fn another_protocol_and_another_time_are_refused() {
    let server = server(true, &[]).await;
    let old = Registration { protocol: PROTOCOL + 1, ..server.registration("one") };
    let error = server.refused(old).await;
    let is_protocol =
        matches!(error, DispatchError::NotAdmitted(NotAdmitted::Protocol { worker: 2, .. }));
    assert!(is_protocol, "{error}");
    let clock = server.clock.now() - chrono::TimeDelta::hours(1);
    let late = Registration { clock, ..server.registration("one") };
    let error = server.refused(late).await.to_string();
    assert!(error.contains("1 h 0 min behind"), "{error}");
    let bad = Registration { labels: vec!["GPU".into()], ..server.registration("one") };
    assert!(matches!(server.refused(bad).await, DispatchError::Invalid(_)));
    let none = Registration { slots: 0, ..server.registration("one") };
    assert!(matches!(server.refused(none).await, DispatchError::Rejected(_)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_known_is_told_so() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    worker.id = WorkerId::random();
    let told = worker.ask(None).await.unwrap_err().to_string();
    assert!(told.contains("(it never was)"), "{told}");
}
