//! Timers of schedules and retries on a paused clock: days pass in milliseconds.
//!
//! The flow is deleted after the schedule is made, so every task fails at once with `gone` and
//! nothing here touches a network.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use spark_actors::{NewSchedule, RunOptions, Spark, SparkConfig};
use spark_events::codec::DomainEvent;
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::recurrence::{DstRule, Recurrence};
use spark_events::domain::schedule::{ScheduleEvent, SkipReason};
use spark_events::log::Direction;
use spark_events::log::faulty::FaultyLog;
use spark_events::log::memory::MemoryLog;
use spark_events::{
    ExpectedRevision, FlowId, NewEvent, Payload, ScheduleId, SharedClock, SharedLog, SimClock,
    SourceId, Timestamp,
};
use spark_tests::eventually;
use spark_tests::world::who;

mod alerts;
mod schedules;
mod tasks;

struct Paused {
    spark: Spark,
    log: SharedLog,
    clock: SharedClock,
    flow: FlowId,
    dir: tempfile::TempDir,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn paused(now: &str) -> Paused {
    let clock: SharedClock = Arc::new(SimClock::starting_at(at(now)));
    let log: SharedLog = Arc::new(MemoryLog::new(clock.clone()));
    let source_id = SourceId::random();
    let flow = FlowId::of_remote(source_id, "remote");
    let synced = FlowEvent::Synced(Box::new(FlowSynced {
        source_id,
        remote_id: "remote".into(),
        name: "flow".into(),
        description: String::new(),
        folder: None,
        input_component: None,
        output_component: None,
        components: vec![],
        definition: Payload::Inline(serde_json::Value::Null),
        definition_hash: "0".into(),
    }));
    let (event_type, schema_version, data) = synced.encode().unwrap();
    let metadata = who().metadata();
    let id = spark_events::ids::new_uuid();
    let event = NewEvent { id, event_type, schema_version, data, metadata };
    log.append(&flow.stream(), ExpectedRevision::NoStream, vec![event]).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let spark = launch(&log, &clock, &dir).await;
    Paused { spark, log, clock, flow, dir }
}

async fn launch(log: &SharedLog, clock: &SharedClock, dir: &tempfile::TempDir) -> Spark {
    launch_with(4, log, clock, dir).await
}

async fn launch_with(
    worker_slots: u32,
    log: &SharedLog,
    clock: &SharedClock,
    dir: &tempfile::TempDir,
) -> Spark {
    let config = SparkConfig {
        log: log.clone(),
        clock: clock.clone(),
        data_dir: dir.path().to_owned(),
        worker_slots,
        worker_lost_after: Duration::from_secs(30),
        probe_every: Duration::from_secs(60),
        hostname: "test".into(),
    };
    Spark::start(config).await.unwrap()
}

/// The same over a log that fails on command.
async fn faulty(now: &str) -> (Paused, Arc<FaultyLog>) {
    let world = paused(now).await;
    world.spark.shutdown().await;
    let faults = Arc::new(FaultyLog::new(world.log.clone()));
    (world.over(&faults).await, faults)
}

impl Paused {
    /// Another Spark in the same folder, over this log.
    async fn over(self, faults: &Arc<FaultyLog>) -> Self {
        let log: SharedLog = faults.clone();
        let spark = launch(&log, &self.clock, &self.dir).await;
        Self { spark, log, ..self }
    }

    async fn schedule(&self, recurrence: Recurrence, catch_up_ms: Option<u64>) -> ScheduleId {
        let options = RunOptions::default();
        let request =
            NewSchedule { catch_up_ms, ..NewSchedule::new(self.flow, recurrence, options) };
        let made = self.spark.create_schedule(request, &who()).await.unwrap().value;
        self.spark.delete_flow(self.flow, &who()).await.unwrap();
        made
    }

    async fn pass(&self, time: TimeDelta) {
        tokio::time::sleep(time.to_std().unwrap()).await;
        // Whatever rang at the last instant is worked off before anybody looks.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }

    async fn events(&self, id: ScheduleId) -> Vec<(ScheduleEvent, Timestamp)> {
        let read = self.log.read_stream(&id.stream(), None, Direction::Forward, 4_096).await;
        let decoded = |event: &spark_events::RecordedEvent| {
            (ScheduleEvent::from_recorded(event).unwrap(), event.recorded_at)
        };
        read.unwrap().iter().map(decoded).collect()
    }

    /// The due instants that fired; none of them late by more than the timers' grain.
    async fn fired(&self, id: ScheduleId) -> Vec<Timestamp> {
        let mut fired = vec![];
        for (event, recorded_at) in self.events(id).await {
            if let ScheduleEvent::Fired(e) = event {
                let late = recorded_at - e.due_at;
                assert!(late < TimeDelta::milliseconds(50), "{} fired {late} late", e.due_at);
                fired.push(e.due_at);
            }
        }
        fired
    }
}

fn cron(expression: &str, timezone: &str) -> Recurrence {
    Recurrence::parse_cron(expression, timezone, DstRule::Once).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_hourly_schedule_fires_on_every_hour_for_days() {
    let world = paused("2026-11-20T10:20:30Z").await;
    let id = world.schedule(cron("0 * * * *", "UTC"), None).await;
    world.pass(TimeDelta::hours(72)).await;
    let fired = world.fired(id).await;
    assert_eq!(fired.len(), 72);
    assert_eq!(fired[0], at("2026-11-20T11:00:00Z"));
    assert!(fired.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::hours(1)));
}

#[tokio::test(start_paused = true)]
async fn a_daily_schedule_keeps_its_local_hour_over_a_clock_change() {
    // New York leaves daylight saving time on 1 November 2026 at 02:00.
    let world = paused("2026-10-31T00:00:00Z").await;
    let id = world.schedule(cron("30 1 * * *", "America/New_York"), None).await;
    world.pass(TimeDelta::hours(72)).await;
    let expected = ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
    assert_eq!(world.fired(id).await, expected.map(at), "01:30 happens twice and fires once");
}

#[tokio::test(start_paused = true)]
async fn a_short_interval_and_a_far_instant_share_the_timetable() {
    let world = paused("2026-11-20T00:00:00Z").await;
    let far = world.schedule(Recurrence::Once { at: at("2026-11-21T00:00:00Z") }, None).await;
    world.pass(TimeDelta::hours(23)).await;
    assert_eq!(world.fired(far).await, Vec::<Timestamp>::new());
    world.pass(TimeDelta::hours(2)).await;
    assert_eq!(world.fired(far).await, [at("2026-11-21T00:00:00Z")]);
}

#[tokio::test(start_paused = true)]
async fn what_came_due_while_spark_was_not_running_has_an_outcome_each() {
    let mut world = paused("2026-11-20T00:00:30Z").await;
    let every = Recurrence::interval(600_000, at("2026-11-20T00:00:00Z"));
    let id = world.schedule(every, Some(1_800_000)).await;
    world.pass(TimeDelta::minutes(25)).await;
    world.spark.shutdown().await;
    world.pass(TimeDelta::hours(2)).await;
    world.spark = launch(&world.log, &world.clock, &world.dir).await;
    world.pass(TimeDelta::minutes(1)).await;
    let mut outcomes = vec![];
    for (event, _) in world.events(id).await {
        match event {
            ScheduleEvent::Fired(_) => outcomes.push(("fired", 1)),
            ScheduleEvent::Skipped(e) => {
                let why = match e.reason {
                    SkipReason::CatchUpWindow => "late",
                    SkipReason::Overlap { .. } => "overlap",
                    other => panic!("{other:?}"),
                };
                outcomes.push((why, e.count));
            }
            _ => {}
        }
    }
    // 00:10 and 00:20 as usual; 00:30 to 01:50 are over 30 minutes late at 02:25; 02:00 is made
    // up for; 02:10 and 02:20 find its task open.
    assert_eq!(outcomes, [("fired", 1), ("fired", 1), ("late", 9), ("fired", 1), ("overlap", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_schedule_is_silent_and_goes_on_from_its_resume() {
    let world = paused("2026-11-20T00:00:00Z").await;
    let every = Recurrence::interval(60_000, at("2026-11-20T00:00:00Z"));
    let id = world.schedule(every, None).await;
    world.pass(TimeDelta::seconds(150)).await;
    world.spark.pause_schedule(id, &who()).await.unwrap();
    world.pass(TimeDelta::hours(5)).await;
    assert_eq!(world.fired(id).await.len(), 2);
    world.spark.resume_schedule(id, &who()).await.unwrap();
    world.pass(TimeDelta::seconds(70)).await;
    let fired = world.fired(id).await;
    assert_eq!(fired.len(), 3, "{fired:?}");
    assert_eq!(fired[2], at("2026-11-20T05:03:00Z"));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_schedules_due_at_once_all_fire() {
    let world = paused("2026-11-20T00:00:00Z").await;
    let mut ids = vec![];
    for _ in 0..1_000 {
        let once = Recurrence::Once { at: at("2026-11-20T01:00:00Z") };
        let request = NewSchedule::new(world.flow, once, RunOptions::default());
        ids.push(world.spark.create_schedule(request, &who()).await.unwrap().value);
    }
    world.spark.delete_flow(world.flow, &who()).await.unwrap();
    world.pass(TimeDelta::minutes(61)).await;
    for id in ids {
        assert_eq!(world.fired(id).await.len(), 1);
    }
    eventually(Duration::from_secs(60), || async {
        (world.spark.health().open_tasks == 0).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_actor_panics_is_started_again_and_its_siblings_live_on() {
    let (world, faults) = faulty("2026-11-20T00:00:00Z").await;
    faults.panic_on("task.started", 3);
    let mut tasks = vec![];
    for _ in 0..5 {
        let request = spark_actors::NewTask { flow_id: world.flow, options: RunOptions::default() };
        tasks.push(world.spark.create_task(request, &who()).await.unwrap().value);
    }
    world.spark.delete_flow(world.flow, &who()).await.unwrap();
    for task in tasks {
        let end = world.spark.wait_task(task, Duration::from_secs(3_600)).await.unwrap();
        assert_eq!(end.expect("it ends").status, spark_events::domain::task::TaskStatus::Failed);
    }
    let health = world.spark.health();
    assert_eq!(health.crashes, 3, "{health:?}");
    assert!(health.last_crash.unwrap().contains("a panic was injected"));
}
