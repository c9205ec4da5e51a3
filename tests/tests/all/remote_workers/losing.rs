//! Workers that fall silent, and those whose process starts anew.

use spark_events::domain::failure::FailureClass;
use spark_events::domain::task::TaskStarted;

use super::*;

fn started(events: &[TaskEvent]) -> Vec<&TaskStarted> {
    let mut started = vec![];
    for event in events {
        if let TaskEvent::Started(one) = event {
            started.push(one);
        }
    }
    started
}

fn classes(events: &[TaskEvent]) -> Vec<FailureClass> {
    let of = |event: &TaskEvent| match event {
        TaskEvent::AttemptFailed(failed) => Some(failed.failure.class),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lost_workers_task_goes_on_elsewhere_and_its_late_answer_counts_for_nothing() {
    let server = server(true, &[]).await;
    let mut lost = server.worker("lost").await;
    let task = server.task().await;
    let order = lost.order().await;
    let begun = tokio::time::Instant::now();
    let mut other = server.worker("other").await;
    let again = other.order().await;
    let silence = begun.elapsed();
    assert!(silence >= Duration::from_secs(30) && silence < Duration::from_secs(33), "{silence:?}");
    assert_eq!((again.task_id, again.attempt), (task, 2));
    assert_eq!(key(&again), key(&order), "the source answers with the same job");
    server.last_is(lost.id.stream(), "worker.lost").await;

    let late = lost.spark.worker_reports(lost.id, Reports { items: vec![] }).await;
    assert!(matches!(late, Err(DispatchError::WorkerGone { .. })));
    let told = lost.ask(None).await.unwrap_err().to_string();
    assert!(
        told.contains("(lost at 2026-11-20T00:0") && told.contains("not heard of for"),
        "{told}"
    );
    assert_eq!(other.completes(&order).await, Receipt::Stale, "that of attempt 1");
    assert_eq!(other.completes(&again).await, Receipt::Recorded);
    let events = server.events(task).await;
    assert_eq!(classes(&events), [FailureClass::WorkerLost]);
    let [first, second] = started(&events)[..] else { panic!("{events:?}") };
    assert_eq!((first.worker_id, first.continues), (lost.id, None));
    assert_eq!((second.worker_id, second.continues), (other.id, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_asks_is_not_lost_and_one_whose_connection_breaks_gets_nothing() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    for _ in 0..10 {
        assert!(worker.poll().await.items.is_empty());
    }
    assert_eq!(server.names(worker.id.stream()).await, ["worker.started"]);
    let waiting = worker.waits();
    let accepting = |wanted| {
        let pulse = || server.spark.worker_pulse(worker.id).map(|pulse| pulse.accepting);
        eventually(Duration::from_secs(5), move || async move {
            (pulse() == Some(wanted)).then_some(())
        })
    };
    // Longer than the pause that a worker may make between two polls: only the open one counts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    accepting(true).await;
    waiting.abort();
    let broken = tokio::time::Instant::now();
    accepting(false).await;
    assert!(broken.elapsed() < Duration::from_millis(500), "not after a silence");
    let task = server.task().await;
    assert_eq!(server.names(task.stream()).await, ["task.created"]);
    assert_eq!(worker.order().await.task_id, task);
}

#[tokio::test(start_paused = true)]
async fn a_direct_call_of_a_lost_worker_is_made_anew() {
    let server = server(false, &[]).await;
    let mut lost = server.worker("lost").await;
    let task = server.task().await;
    let order = lost.order().await;
    let mut other = server.worker("other").await;
    let again = other.order().await;
    assert_ne!(key(&again), key(&order));
    assert_eq!(other.completes(&again).await, Receipt::Recorded);
    assert_eq!(classes(&server.events(task).await), [FailureClass::WorkerLost]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_anew_takes_up_its_background_jobs() {
    let server = server(true, &[]).await;
    let mut old = server.worker("one").await;
    let task = server.task().await;
    let order = old.order().await;
    let job_id = "j-1".to_owned();
    assert_eq!(old.say(&order, News::Submitted { job_id }).await, Receipt::Recorded);
    let begun = tokio::time::Instant::now();
    let registration = Registration { replaces: Some(old.id), ..server.registration("one") };
    let mut new = server.worker_of(registration).await;
    let again = new.order().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for a silence");
    assert_eq!((again.task_id, again.attempt), (task, 1), "the same attempt");
    let Call::LangFlow(request) = &again.call else { panic!("{again:?}") };
    assert_eq!(request.job_id.as_deref(), Some("j-1"));
    let told = old.ask(None).await.unwrap_err().to_string();
    assert!(told.contains("is in its place"), "{told}");
    assert_eq!(new.completes(&again).await, Receipt::Recorded);
    let events = server.events(task).await;
    assert!(types(&events).contains(&"task.reattached"), "{events:?}");
    assert_eq!(classes(&events), []);
}
