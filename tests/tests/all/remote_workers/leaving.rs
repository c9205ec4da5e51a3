//! Pause, resume, drain, stop, and what a worker gives back.

use spark_actors::WorkerWish;
use spark_actors::remote::WorkerStatus;

use super::*;

impl Server {
    async fn wish(&self, worker: &Script, wish: WorkerWish) {
        self.spark.command_worker(worker.id, wish, &who()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_goes_on_with_what_it_has_and_takes_nothing() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    server.task().await;
    let order = worker.order().await;
    server.wish(&worker, WorkerWish::Pause).await;
    let polled = worker.poll().await;
    assert_eq!((polled.status, polled.items.len()), (WorkerStatus::Paused, 0));
    let waits = server.task().await;
    assert!(worker.poll().await.items.is_empty());
    assert_eq!(worker.completes(&order).await, Receipt::Recorded);
    assert!(worker.poll().await.items.is_empty());
    server.wish(&worker, WorkerWish::Resume).await;
    assert_eq!(worker.order().await.task_id, waits);
    let names = server.names(worker.id.stream()).await;
    assert_eq!(names, ["worker.started", "worker.paused", "worker.resumed"]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_hears_at_once_what_the_worker_is_to_be() {
    let server = server(true, &[]).await;
    let worker = server.worker("one").await;
    let waiting = tokio::spawn({
        let worker = worker.clone();
        async move { worker.ask(None).await.unwrap().status }
    });
    eventually(Duration::from_secs(5), || async {
        server.spark.worker_pulse(worker.id).filter(|pulse| pulse.accepting)
    })
    .await;
    let told = tokio::time::Instant::now();
    server.wish(&worker, WorkerWish::Drain).await;
    assert_eq!(waiting.await.unwrap(), WorkerStatus::Draining);
    assert!(told.elapsed() < Duration::from_secs(1));
    server.spark.worker_leaves(worker.id, &who()).await.unwrap();
    let names = server.names(worker.id.stream()).await;
    assert_eq!(names, ["worker.started", "worker.draining", "worker.stopped"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_worker_gives_back_goes_on_elsewhere() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    server.wish(&worker, WorkerWish::Stop).await;
    assert_eq!(worker.poll().await.status, WorkerStatus::Stopping);
    assert_eq!(worker.say(&order, News::Released).await, Receipt::Recorded);
    assert_eq!(worker.completes(&order).await, Receipt::Stale, "it was given back");
    server.spark.worker_leaves(worker.id, &who()).await.unwrap();
    let mut other = server.worker("other").await;
    let again = other.order().await;
    assert_eq!(held(&again), held(&order), "the same attempt");
    assert_eq!(other.completes(&again).await, Receipt::Recorded);
    let expected = ["task.created", "task.started", "task.reattached", "task.completed"];
    assert_eq!(types(&server.events(task).await), expected);
}

#[tokio::test(start_paused = true)]
async fn a_direct_call_that_is_given_back_is_made_anew() {
    let server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    assert_eq!(worker.say(&order, News::Released).await, Receipt::Recorded);
    let again = worker.order().await;
    assert_eq!((again.task_id, again.attempt), (task, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_keeps_when_it_leaves_is_taken_up_too() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    server.task().await;
    let order = worker.order().await;
    server.spark.worker_leaves(worker.id, &who()).await.unwrap();
    let mut other = server.worker("other").await;
    assert_eq!(held(&other.order().await), held(&order));
}
