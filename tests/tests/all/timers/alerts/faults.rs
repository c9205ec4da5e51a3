//! Alerts while the log is away, damaged or long to read, and when their keeper crashes. What is
//! told here is lost workers, which are put into the log by hand.

use spark_actors::{DispatchError, UpdateAlert};
use spark_events::WorkerId;
use spark_events::domain::worker::{WorkerEvent, WorkerLost, WorkerStarted};

use super::*;

const START: &str = "2026-11-20T00:00:00Z";

impl Paused {
    async fn put(&self, id: WorkerId, event: WorkerEvent) {
        let (event_type, schema_version, data) = event.encode().unwrap();
        let metadata = who().metadata();
        let id_of_event = spark_events::ids::new_uuid();
        let event = NewEvent { id: id_of_event, event_type, schema_version, data, metadata };
        self.log.append(&id.stream(), ExpectedRevision::Any, vec![event]).await.unwrap();
    }

    /// A worker of this name starts and is lost.
    async fn lose_worker(&self, name: &str) -> WorkerId {
        let id = WorkerId::random();
        let started = WorkerStarted {
            hostname: "rack-7".into(),
            pid: 41,
            slots: 1,
            built_in: false,
            version: "0".into(),
            name: Some(name.into()),
            labels: spark_events::domain::labels::Labels::default(),
            protocol: None,
            replaces: None,
        };
        self.put(id, WorkerEvent::Started(started)).await;
        self.put(id, WorkerEvent::Lost(WorkerLost { reason: "a test".into() })).await;
        id
    }

    /// The names of the lost workers that an alert told of.
    async fn told(&self, alert: AlertId) -> Vec<String> {
        self.pass(TimeDelta::seconds(1)).await;
        let raised = self.raised(alert).await;
        raised.iter().map(|r| r.body["data"]["worker"]["name"].as_str().unwrap().into()).collect()
    }

    async fn alerts_made(&self) -> usize {
        let all = self.log.read_all(spark_events::Position::START, 4_096).await.unwrap();
        all.iter().filter(|event| &*event.event_type == "alert.created").count()
    }
}

fn about(kinds: &[AlertKind]) -> UpdateAlert {
    UpdateAlert { kinds: Some(kinds.to_vec()), ..UpdateAlert::default() }
}

#[tokio::test(start_paused = true)]
async fn a_widened_alert_tells_nothing_of_the_past_after_a_kill() {
    let world = paused(START).await;
    let alert = world.alert(vec![AlertKind::SourceDown]).await;
    world.spark.shutdown().await;
    let log = world.log.clone();
    let faults = Arc::new(FaultyLog::new(log.clone()));
    let world = world.over(&faults).await;
    world.lose_worker("before").await;
    let both = about(&[AlertKind::SourceDown, AlertKind::WorkerLost]);
    world.spark.update_alert(alert, both, &who()).await.unwrap();
    assert!(world.told(alert).await.is_empty());
    // Killed: the old one is cut off from the log as a dead process is.
    faults.set_down(true);
    let world = world.over(&Arc::new(FaultyLog::new(log))).await;
    assert_eq!(world.told(alert).await, ["built-in"], "its worker was lost with it");
    world.lose_worker("after").await;
    assert_eq!(world.told(alert).await, ["built-in", "after"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_with_nothing_was_stored_never_happens() {
    let (world, faults) = faulty(START).await;
    let alert = world.alert(vec![AlertKind::WorkerLost]).await;
    world.lose_worker("a").await;
    assert_eq!(world.told(alert).await, ["a"]);
    let another = || NewAlert { url: NOBODY.into(), ..NewAlert::default() };
    // What comes of the next attempt cannot be recorded, and the keeper waits for that.
    faults.fail_appends(u32::MAX);
    world.pass(TimeDelta::seconds(10)).await;
    let busy = world.spark.create_alert(another(), &who()).await;
    assert!(matches!(busy, Err(DispatchError::Overloaded { .. })), "{:?}", busy.err());
    faults.set_down(true);
    let away = world.spark.create_alert(another(), &who()).await;
    assert!(matches!(away, Err(DispatchError::Unavailable { .. })), "{:?}", away.err());
    faults.heal();
    world.pass(TimeDelta::minutes(1)).await;
    assert!(world.attempts(alert).await.len() > 1, "it goes on");
    assert_eq!(world.alerts_made().await, 1);
    world.spark.create_alert(another(), &who()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn damage_in_one_stream_keeps_nobody_from_being_told_of_the_rest() {
    let (world, faults) = faulty(START).await;
    let alert = world.alert(vec![AlertKind::WorkerLost]).await;
    world.pass(TimeDelta::seconds(1)).await;
    faults.silence_subscriptions(true);
    let damaged = world.lose_worker("damaged").await;
    world.lose_worker("whole").await;
    faults.damage(damaged.stream());
    faults.silence_subscriptions(false);
    assert_eq!(world.told(alert).await, ["whole"]);
    let raised = world.raised(alert).await.remove(0).body;
    let title = raised["data"]["title"].as_str().unwrap();
    assert_eq!(title, "worker whole on rack-7 (pid 41) is lost: a test");
    let health = world.spark.health();
    assert!(health.alerts.running && health.crashes == 0, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_crashed_begins_again_and_health_tells_of_it() {
    let (world, faults) = faulty(START).await;
    let alert = world.alert(vec![AlertKind::WorkerLost]).await;
    faults.panic_on("alert.raised", 3);
    world.lose_worker("a").await;
    world.pass(TimeDelta::milliseconds(50)).await;
    let health = world.spark.health();
    assert!(!health.alerts.running && health.crashes == 1, "{health:?}");
    assert!(health.last_crash.unwrap().contains("alerts"));
    // Two more, after 100 and 200 ms.
    assert_eq!(world.told(alert).await, ["a"]);
    let health = world.spark.health();
    assert!(health.alerts.running && health.crashes == 3, "{health:?}");
    // After a good while the pauses begin anew.
    world.pass(TimeDelta::minutes(5)).await;
    faults.panic_on("alert.raised", 1);
    world.lose_worker("b").await;
    world.pass(TimeDelta::milliseconds(150)).await;
    assert_eq!(world.raised(alert).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_something_does_not_wait_until_the_whole_log_was_read() {
    let world = paused(START).await;
    let alert = world.alert(vec![AlertKind::SourceDown]).await;
    world.lose_worker("before").await;
    world.spark.shutdown().await;
    std::fs::remove_file(world.dir.path().join("alerts.bin")).unwrap();
    let faults = Arc::new(FaultyLog::new(world.log.clone()));
    faults.silence_subscriptions(true);
    let world = world.over(&faults).await;
    let both = about(&[AlertKind::SourceDown, AlertKind::WorkerLost]);
    world.spark.update_alert(alert, both, &who()).await.unwrap();
    let other = world.alert(vec![AlertKind::WorkerLost]).await;
    let gone = world.alert(vec![AlertKind::WorkerLost]).await;
    world.spark.delete_alert(gone, &who()).await.unwrap();
    let missing = world.spark.test_alert(gone, &who()).await;
    assert!(matches!(missing, Err(DispatchError::NotFound { .. })));
    faults.silence_subscriptions(false);
    assert!(world.told(alert).await.is_empty());
    world.lose_worker("after").await;
    for alert in [alert, other] {
        assert_eq!(world.told(alert).await, ["after"]);
    }
    assert!(world.told(gone).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn health_counts_what_waits_and_what_was_given_up() {
    let world = paused(START).await;
    let alert = world.alert(vec![AlertKind::WorkerLost]).await;
    world.lose_worker("a").await;
    world.lose_worker("b").await;
    assert_eq!(world.told(alert).await.len(), 2);
    let health = world.spark.health().alerts;
    assert_eq!((health.waiting, health.given_up, health.trouble), (2, 0, None));
    world.spark.delete_alert(alert, &who()).await.unwrap();
    world.pass(TimeDelta::seconds(1)).await;
    let health = world.spark.health().alerts;
    assert_eq!((health.waiting, health.given_up), (0, 2));
    world.spark.shutdown().await;
    assert!(!world.spark.health().alerts.running);
}
