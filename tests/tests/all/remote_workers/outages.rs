//! The log is away, or the server stands still or ends, in a bad moment.

use std::time::Duration;

use spark_actors::WorkerWish;
use spark_actors::remote::WorkerStatus;
use spark_events::domain::failure::{Failure, FailureClass};

use super::*;

impl Script {
    async fn fails(&self, order: &WorkOrder) -> Receipt {
        let failure = Failure::new(FailureClass::Component, "no");
        self.say(order, News::Ended(Box::new(RunEnd::Failed { failure, log: vec![] }))).await
    }
}

impl Server {
    /// A task that a worker is given between two polls, so that it is on its way there.
    async fn task_between_polls(&self, worker: &mut Script) -> TaskId {
        worker.poll().await;
        let task = self.task().await;
        self.last_is(task.stream(), "task.started").await;
        task
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_kept_until_it_is_durable() {
    let server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    server.faults.set_down(true);
    for _ in 0..3 {
        assert_eq!(worker.fails(&order).await, Receipt::Retry, "it is in no log yet");
    }
    server.faults.set_down(false);
    let again = worker.order().await;
    assert_eq!((again.task_id, again.attempt), (task, 2));
    assert_eq!(worker.fails(&order).await, Receipt::Stale, "known by now");
    assert_eq!(worker.completes(&again).await, Receipt::Recorded);
    let events = types(&server.events(task).await);
    assert_eq!(events.iter().filter(|name| **name == "task.attempt_failed").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_too_large_for_one_event_waits_for_the_log_too() {
    let server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    server.faults.set_down(true);
    let output = serde_json::json!({ "text": "long ".repeat(20_000) });
    let end = RunEnd::Completed { output, log: vec![] };
    let ended = || News::Ended(Box::new(end.clone()));
    assert_eq!(worker.say(&order, ended()).await, Receipt::Retry);
    server.faults.set_down(false);
    server.last_is(task.stream(), "task.completed").await;
    assert_eq!(worker.say(&order, ended()).await, Receipt::Stale, "it is known");
}

#[tokio::test(start_paused = true)]
async fn an_input_that_cannot_be_read_now_is_read_later() {
    let server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    worker.poll().await;
    let input = "long ".repeat(20_000);
    let options = RunOptions { input: input.clone(), ..RunOptions::default() };
    let task = server.task_with(options).await;
    server.faults.fail_reads(3);
    let order = worker.order().await;
    assert_eq!((order.task_id, order.attempt), (task, 1));
    let Call::LangFlow(request) = &order.call else { panic!("{:?}", order) };
    assert_eq!(request.input, input);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_while_the_server_ends_is_kept_for_the_next_one() {
    let mut server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    // Something that takes a while holds the end of the server up.
    server.faults.slow_down(Duration::from_secs(3));
    let (creating, ending) = (server.task(), server.spark.shutdown());
    let report = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        worker.completes(&order).await
    };
    let (receipt, _, ()) = tokio::join!(report, creating, ending);
    assert_eq!(receipt, Receipt::Retry);
    server.faults.heal();
    server.spark = launch(&server.log, &server.clock, &server.dir).await;
    worker.comes_back(&server, vec![held(&order)]).await;
    assert_eq!(worker.completes(&order).await, Receipt::Recorded);
    let expected = ["task.created", "task.started", "task.completed"];
    assert_eq!(types(&server.events(task).await), expected);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_anew_while_the_log_is_away_is_to_ask_again() {
    let server = server(true, &[]).await;
    let old = server.worker("one").await;
    let registration = Registration { replaces: Some(old.id), ..server.registration("one") };
    server.faults.fail_appends(1);
    let refused = server.spark.register_worker(registration.clone(), &who()).await;
    assert!(matches!(refused, Err(DispatchError::Unavailable { .. })), "{refused:?}");
    server.worker_of(registration).await;
    server.last_is(old.id.stream(), "worker.lost").await;
}

#[tokio::test(start_paused = true)]
async fn what_the_server_could_not_hear_while_it_stood_still_is_no_silence() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    worker.poll().await;
    // All timers ring late, as they do behind a stopped process.
    tokio::time::advance(Duration::from_secs(300)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    worker.poll().await;
    assert_eq!(server.names(worker.id.stream()).await, ["worker.started"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_reached_its_worker_costs_no_attempt() {
    let server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task_between_polls(&mut worker).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    server.spark.worker_leaves(worker.id, &who()).await.unwrap();
    let mut other = server.worker("other").await;
    let order = other.order().await;
    assert_eq!((order.task_id, order.attempt), (task, 1));
    assert_eq!(other.completes(&order).await, Receipt::Recorded);
    let expected = ["task.created", "task.started", "task.reattached", "task.completed"];
    assert_eq!(types(&server.events(task).await), expected);
}

#[tokio::test(start_paused = true)]
async fn one_that_drains_gets_what_is_on_its_way_before_it_may_leave() {
    let server = server(false, &[]).await;
    let mut worker = server.worker("one").await;
    server.task_between_polls(&mut worker).await;
    server.spark.command_worker(worker.id, WorkerWish::Drain, &who()).await.unwrap();
    let polled = worker.poll().await;
    assert_eq!((polled.items.len(), polled.status), (1, WorkerStatus::Paused));
    assert_eq!(worker.poll().await.status, WorkerStatus::Draining);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_comes_to_follow_ends_with_its_total_timeout() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let options = RunOptions { total_timeout_ms: Some(60_000), ..RunOptions::default() };
    let begun = server.clock.now();
    let task = server.task_with(options).await;
    let order = worker.order().await;
    assert_eq!(worker.say(&order, News::Released).await, Receipt::Recorded);
    server.spark.worker_leaves(worker.id, &who()).await.unwrap();
    server.last_is(task.stream(), "task.failed").await;
    let after = server.clock.now() - begun;
    assert!(after.num_seconds() >= 60, "{after}");
}
