//! The server ends and starts again while workers live on.

use super::*;

impl Script {
    /// What a worker does once its server is back: it is asked what it holds, and says so.
    pub(super) async fn comes_back(&mut self, server: &Server, holding: Vec<Held>) -> Polled {
        self.spark = server.spark.clone();
        let polled = self.poll().await;
        assert!(polled.resync && polled.items.is_empty(), "{polled:?}");
        self.poll_holding(Some(holding)).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_over_a_restart_of_the_server() {
    for background in [true, false] {
        let mut server = server(background, &[]).await;
        let mut worker = server.worker("one").await;
        let task = server.task().await;
        let order = worker.order().await;
        server.restart().await;
        let early = worker.spark.worker_reports(worker.id, Reports { items: vec![] }).await;
        // Told that it is gone, it would drop what it runs.
        assert!(matches!(early, Err(DispatchError::ShuttingDown)), "{early:?}");
        let polled = worker.comes_back(&server, vec![held(&order)]).await;
        assert!(polled.items.is_empty(), "{polled:?}");
        assert_eq!(server.spark.health().running_tasks, 1, "it runs there all the while");
        assert_eq!(worker.completes(&order).await, Receipt::Recorded);
        let expected = ["task.created", "task.started", "task.completed"];
        assert_eq!(types(&server.events(task).await), expected, "background: {background}");
        let next = server.task().await;
        assert_eq!(worker.order().await.task_id, next);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_may_come_before_the_worker_has_said_what_it_holds() {
    let mut server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    server.restart().await;
    worker.spark = server.spark.clone();
    let receipt = loop {
        match worker.completes(&order).await {
            Receipt::Retry => tokio::task::yield_now().await,
            receipt => break receipt,
        }
    };
    assert_eq!(receipt, Receipt::Recorded);
    server.last_is(task.stream(), "task.completed").await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_never_arrived_is_sent_again_after_a_restart() {
    let mut server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    worker.poll().await;
    let task = server.task().await;
    server.last_is(task.stream(), "task.started").await;
    server.restart().await;
    let mut polled = worker.comes_back(&server, vec![]).await;
    while polled.items.is_empty() {
        polled = worker.poll().await;
    }
    let Delivered::Run(order) = &polled.items[0].what else { panic!("{polled:?}") };
    assert_eq!((order.task_id, order.attempt), (task, 1), "it was never made");
    assert_eq!(worker.completes(order).await, Receipt::Recorded);
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_holds_and_should_not_is_dropped() {
    let mut server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    server.restart().await;
    let stray = Held { task_id: TaskId::random(), attempt: 1 };
    let mut polled = worker.comes_back(&server, vec![stray]).await;
    while polled.items.is_empty() {
        polled = worker.poll().await;
    }
    assert!(matches!(polled.items[0].what, Delivered::Abort(one) if one == stray), "{polled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_come_back_to_the_new_server_is_lost() {
    let mut server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    worker.order().await;
    server.restart().await;
    server.last_is(worker.id.stream(), "worker.lost").await;
    let mut other = server.worker("other").await;
    let again = other.order().await;
    assert_eq!((again.task_id, again.attempt), (task, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_is_to_be_is_kept_over_a_restart() {
    let mut server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    server.spark.command_worker(worker.id, spark_actors::WorkerWish::Pause, &who()).await.unwrap();
    server.restart().await;
    let polled = worker.comes_back(&server, vec![]).await;
    assert_eq!(polled.status, spark_actors::remote::WorkerStatus::Paused);
}
