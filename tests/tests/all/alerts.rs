//! Alerts over a whole Spark: a real receiver that checks signatures, kills, disabled receivers.

use std::time::Duration;

use spark_actors::{DispatchError, NewAlert, NewAlertSecret, RunOptions, UpdateAlert};
use spark_events::domain::alert::{AlertEvent, AlertKind, Only};
use spark_events::{AlertId, FlowId};
use spark_tests::eventually;
use spark_tests::fake_langflow::{Options, Trouble};
use spark_tests::receiver::{Nobody, Receiver};
use spark_tests::world::{PATIENCE, World, impatient, who};

async fn alert(world: &World, receiver: &Receiver, request: NewAlert) -> NewAlertSecret {
    let request = NewAlert { url: receiver.url(), ..request };
    world.spark.create_alert(request, &who()).await.unwrap().value
}

async fn events(world: &World, id: AlertId) -> Vec<AlertEvent> {
    world.decoded(&id.stream()).await
}

/// Runs a flow to its end.
async fn run(world: &World, flow: FlowId) {
    let options = RunOptions { retry: Some(impatient(1)), ..RunOptions::default() };
    let task = world.task(flow, options).await;
    world.end(task).await;
}

/// Waits until so many messages of an alert were delivered as the log knows.
async fn delivered(world: &World, id: AlertId, count: usize) {
    eventually(PATIENCE, || async {
        let all = events(world, id).await;
        let taken = all.iter().filter(|event| matches!(event, AlertEvent::Delivered(_))).count();
        (taken >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_recovered_down_and_up_arrive_signed_and_once() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let receiver = Receiver::start().await;
    run(&world, flow).await;
    let NewAlertSecret { id, secret } = alert(&world, &receiver, NewAlert::default()).await;

    world.langflow.set_trouble(Trouble::Status(403, None));
    run(&world, flow).await;
    let failed = receiver.first("task.failed").await;
    assert_eq!(failed.verify(&secret), Ok(()));
    let data = failed.json()["data"].clone();
    assert_eq!(data["failure"]["class"], "auth", "{data}");
    assert!(data["remedy"].as_str().unwrap().contains("source update"), "{data}");
    assert!(data["look"].as_str().unwrap().starts_with("automagik task show "), "{data}");
    assert_eq!(data["flow"]["name"], "e2e-echo", "{data}");

    world.spark.probe_source(world.source, &who()).await.unwrap();
    let down = receiver.first("source.down").await;
    assert_eq!(down.verify(&secret), Ok(()));
    world.langflow.set_trouble(Trouble::None);
    world.spark.probe_source(world.source, &who()).await.unwrap();
    receiver.first("source.recovered").await;
    run(&world, flow).await;
    let recovered = receiver.first("task.recovered").await;
    assert_eq!(recovered.json()["data"]["failures"], 1);
    delivered(&world, id, 4).await;
    assert_eq!(receiver.messages().len(), 4, "each once, and nothing of the time before");
    world.spark.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_keeps_the_others_out_until_it_is_lifted() {
    let world = World::start(Options::default()).await;
    let (echo, prompt) = (world.flow("echo").await, world.flow("prompt").await);
    let receiver = Receiver::start().await;
    let kinds = Some(vec![AlertKind::TaskFailed]);
    let wanted = NewAlert { flow_id: Some(prompt), kinds, ..NewAlert::default() };
    let NewAlertSecret { id, .. } = alert(&world, &receiver, wanted).await;
    world.langflow.set_trouble(Trouble::Status(403, None));
    run(&world, echo).await;
    run(&world, prompt).await;
    receiver.first("task.failed").await;
    let lifted = UpdateAlert { flow_id: Some(Only::Any), ..UpdateAlert::default() };
    world.spark.update_alert(id, lifted, &who()).await.unwrap();
    run(&world, echo).await;
    receiver.nth("task.failed", 1).await;
    let flows: Vec<String> = receiver
        .messages()
        .iter()
        .map(|m| m.json()["data"]["flow"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(flows, ["e2e-prompt", "e2e-echo"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_delivery_it_delivers_after_the_start() {
    let mut world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let receiver = Receiver::start().await;
    receiver.answer(503);
    let NewAlertSecret { id, secret } = alert(&world, &receiver, NewAlert::default()).await;
    world.langflow.set_trouble(Trouble::Status(403, None));
    run(&world, flow).await;
    receiver.first("task.failed").await;
    world.has(&id.stream(), "alert.delivery_failed").await;
    receiver.answer(200);
    world.kill_and_restart().await;
    let again = receiver.nth("task.failed", 1).await;
    assert_eq!(again.verify(&secret), Ok(()));
    delivered(&world, id, 1).await;
    let ids: Vec<String> = receiver.of("task.failed").into_iter().map(|m| m.id).collect();
    assert_eq!(ids[0], ids[1], "the same message");
    let raised = |events: Vec<AlertEvent>| {
        events.iter().filter(|event| matches!(event, AlertEvent::Raised(raised) if raised.kind == AlertKind::TaskFailed)).count()
    };
    assert_eq!(raised(events(&world, id).await), 1);
    // The server was killed too, which is worth a message of its own.
    let lost = receiver.first("worker.lost").await;
    let title = lost.json()["data"]["title"].as_str().unwrap().to_owned();
    assert!(title.contains("the server on test") && title.contains("runs again"), "{title}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_delivery_and_its_record_it_sends_the_same_message_again() {
    let mut world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let receiver = Receiver::start().await;
    let kinds = Some(vec![AlertKind::TaskFailed]);
    let wanted = NewAlert { kinds, ..NewAlert::default() };
    let NewAlertSecret { id, .. } = alert(&world, &receiver, wanted).await;
    let faults = world.faults.clone();
    // The receiver takes it, and nothing can be recorded any more.
    receiver.on_message(move |_| faults.set_down(true));
    world.langflow.set_trouble(Trouble::Status(403, None));
    run(&world, flow).await;
    receiver.first("task.failed").await;
    receiver.on_message(|_| {});
    world.kill_and_restart().await;
    delivered(&world, id, 1).await;
    let ids: Vec<String> = receiver.messages().into_iter().map(|m| m.id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    // And no third time.
    world.kill_and_restart().await;
    run(&world, flow).await;
    receiver.nth("task.failed", 2).await;
    assert_ne!(receiver.messages()[2].id, ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_came_back_and_changes_nothing() {
    let world = World::start(Options::default()).await;
    let receiver = Receiver::start().await;
    let NewAlertSecret { id, secret } = alert(&world, &receiver, NewAlert::default()).await;
    let test = world.spark.test_alert(id, &who()).await.unwrap().value;
    assert!(test.delivered && test.status == Some(204), "{test:?}");
    assert_eq!(receiver.first("alert.test").await.verify(&secret), Ok(()));
    receiver.answer(302);
    let test = world.spark.test_alert(id, &who()).await.unwrap().value;
    assert_eq!((test.delivered, test.status), (false, Some(302)), "no redirect is followed");
    assert!(test.remedy.unwrap().contains("final URL"), "{test:?}");
    receiver.answer(401);
    let test = world.spark.test_alert(id, &who()).await.unwrap().value;
    assert!(test.remedy.unwrap().contains("rotate-secret"), "{test:?}");
    assert_eq!(test.answer.as_deref(), Some("seen"));
    let nobody = Nobody::new();
    let moved = UpdateAlert { url: Some(nobody.url()), ..UpdateAlert::default() };
    world.spark.update_alert(id, moved, &who()).await.unwrap();
    let test = world.spark.test_alert(id, &who()).await.unwrap().value;
    assert!(test.status.is_none() && test.error.unwrap().contains("cannot be reached"));
    let names = world.names(&id.stream()).await;
    assert_eq!(names.iter().filter(|name| *name == "alert.raised").count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_rotation_both_secrets_fit_and_a_new_sealing_key_changes_nothing() {
    let world = World::start(Options::default()).await;
    let receiver = Receiver::start().await;
    let old = alert(&world, &receiver, NewAlert::default()).await;
    let rotated = world.spark.rotate_alert_secret(old.id, Some(60_000), &who()).await.unwrap();
    let new = rotated.value.secret;
    let resealed = world.spark.reseal_sources(&who()).await.unwrap().value;
    assert_eq!(resealed.resealed, 1, "{resealed:?}");
    world.spark.test_alert(old.id, &who()).await.unwrap();
    let both = receiver.nth("alert.test", 0).await;
    assert_eq!((both.verify(&old.secret), both.verify(&new)), (Ok(()), Ok(())));
    let last = world.spark.rotate_alert_secret(old.id, Some(0), &who()).await.unwrap();
    world.spark.test_alert(old.id, &who()).await.unwrap();
    let one = receiver.nth("alert.test", 1).await;
    assert!(one.verify(&new).is_err() && one.verify(&last.value.secret).is_ok());
    let stored = world.events(&old.id.stream()).await;
    for event in stored {
        let text = String::from_utf8_lossy(&event.data).into_owned();
        assert!(!text.contains("whsec_") && !text.contains(&new[6..]), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_ends_an_alert_until_it_is_enabled_and_a_message_can_be_sent_again() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let receiver = Receiver::start().await;
    receiver.answer(410);
    let NewAlertSecret { id, .. } = alert(&world, &receiver, NewAlert::default()).await;
    world.langflow.set_trouble(Trouble::Status(403, None));
    run(&world, flow).await;
    world.has(&id.stream(), "alert.disabled").await;
    run(&world, flow).await;
    receiver.answer(200);
    let stored = world.events(&id.stream()).await;
    let raised = stored.iter().find(|event| &*event.event_type == "alert.raised").unwrap();
    let sent = world.spark.resend_alert(id, raised.revision, &who()).await.unwrap().value;
    assert!(sent.delivered, "{sent:?}");
    assert_eq!(sent.message_id.to_string(), receiver.messages()[0].id);
    let enabled = UpdateAlert { enabled: Some(true), ..UpdateAlert::default() };
    world.spark.update_alert(id, enabled, &who()).await.unwrap();
    run(&world, flow).await;
    receiver.nth("task.failed", 2).await;
    assert_eq!(receiver.of("task.failed").len(), 3, "nothing of the time while it was disabled");
    let none = world.spark.resend_alert(id, spark_events::Revision(0), &who()).await;
    assert!(matches!(none, Err(DispatchError::NotFound { .. })), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_told_in_few_messages_that_count_all_of_it() {
    let world = World::start(Options::default()).await;
    let flow = world.flow("echo").await;
    let receiver = Receiver::start().await;
    let kinds = Some(vec![AlertKind::TaskFailed]);
    let NewAlertSecret { id, .. } =
        alert(&world, &receiver, NewAlert { kinds, ..NewAlert::default() }).await;
    world.langflow.set_trouble(Trouble::Status(403, None));
    let options = RunOptions { retry: Some(impatient(1)), ..RunOptions::default() };
    let mut tasks = vec![];
    for _ in 0..200 {
        tasks.push(world.task(flow, options.clone()).await);
    }
    for task in tasks {
        world.end(task).await;
    }
    delivered(&world, id, 1).await;
    let count = receiver.messages().len();
    assert!((1..=6).contains(&count), "{count} messages within a minute");
    world.spark.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_alert_is_not_there_and_a_bad_url_never_was() {
    let world = World::start(Options::default()).await;
    let receiver = Receiver::start().await;
    let bad = NewAlert { url: "ftp://example.org".into(), ..NewAlert::default() };
    let refused = world.spark.create_alert(bad, &who()).await;
    assert!(matches!(refused, Err(DispatchError::Invalid(_))));
    let NewAlertSecret { id, .. } = alert(&world, &receiver, NewAlert::default()).await;
    world.spark.delete_alert(id, &who()).await.unwrap();
    world.spark.delete_alert(id, &who()).await.unwrap();
    let test = world.spark.test_alert(id, &who()).await;
    assert!(matches!(test, Err(DispatchError::NotFound { .. })));
    let slow = tokio::time::timeout(Duration::from_secs(10), world.spark.shutdown());
    slow.await.expect("nothing is waited for");
}
