//! A whole Spark without HTTP: the supervision tree over a log in memory, and a fake LangFlow
//! beside it. Can be killed without a goodbye and started again over the same log.

use std::sync::Arc;
use std::time::Duration;

use spark_actors::{
    AddSource, NewSchedule, NewTask, RunOptions, Spark, SparkConfig, SyncFlow, TaskEnd, Who,
};
use spark_events::codec::DomainEvent;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::Recurrence;
use spark_events::domain::retry::RetryPolicy;
use spark_events::log::Direction;
use spark_events::log::faulty::FaultyLog;
use spark_events::log::memory::MemoryLog;
use spark_events::{
    FlowId, RecordedEvent, ScheduleId, SharedClock, SharedLog, SourceId, StreamName, SystemClock,
    TaskId,
};

use crate::eventually;
use crate::fake_langflow::{FakeLangFlow, Options};

/// How long anything in a test may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A retry policy that does not make a test wait.
#[must_use]
pub fn impatient(attempts_max: u32) -> RetryPolicy {
    RetryPolicy { initial_ms: 20, coefficient_percent: 100, maximum_ms: 20, attempts_max }
}

/// A Spark with one source.
pub struct World {
    /// The source.
    pub langflow: FakeLangFlow,
    /// Spark over `faults`.
    pub spark: Spark,
    /// Between Spark and its log.
    pub faults: Arc<FaultyLog>,
    /// The source's id.
    pub source: SourceId,
    log: SharedLog,
    dir: tempfile::TempDir,
}

/// The test itself, as the actor of its commands.
#[must_use]
pub fn who() -> Who {
    Who { actor: "user:test".into(), reason: Some("a test".into()), ..Who::system() }
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

impl World {
    /// A fake LangFlow set up like this, and a Spark that knows it as its only source.
    pub async fn start(options: Options) -> Self {
        let api_key = options.api_key.clone().map(spark_actors::langflow::Secret::new);
        let langflow = FakeLangFlow::start(options).await;
        let log: SharedLog = Arc::new(MemoryLog::new(clock()));
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (spark, faults) = launch(&log, &dir).await;
        let request = AddSource { url: langflow.url(), api_key, ..AddSource::default() };
        let source = spark.add_source(request, &who()).await.expect("the source is added").value;
        Self { langflow, spark, faults, source, log, dir }
    }

    /// Kills Spark: nothing is told goodbye, what is in flight is lost. Then starts another over
    /// the same log and folder. The old actors are cut off from the log first, as a dead process
    /// is.
    pub async fn kill_and_restart(&mut self) {
        self.faults.set_down(true);
        let (spark, faults) = launch(&self.log, &self.dir).await;
        self.spark = spark;
        self.faults = faults;
    }

    /// Syncs a flow of the fake, given by its name without the prefix.
    pub async fn flow(&self, name: &str) -> FlowId {
        let request = SyncFlow { remote: format!("e2e-{name}"), ..SyncFlow::default() };
        let synced = self.spark.sync_flow(self.source, request, &who()).await;
        synced.expect("the flow is synced").value
    }

    /// Makes a task.
    pub async fn task(&self, flow_id: FlowId, options: RunOptions) -> TaskId {
        let made = self.spark.create_task(NewTask { flow_id, options }, &who()).await;
        made.expect("the task is made").value
    }

    /// Makes a schedule.
    pub async fn schedule(
        &self,
        flow_id: FlowId,
        recurrence: Recurrence,
        overlap: Overlap,
        options: RunOptions,
    ) -> ScheduleId {
        let request = NewSchedule { overlap, ..NewSchedule::new(flow_id, recurrence, options) };
        self.spark.create_schedule(request, &who()).await.expect("the schedule is made").value
    }

    /// Waits for the end of a task.
    pub async fn end(&self, id: TaskId) -> TaskEnd {
        let end = self.spark.wait_task(id, PATIENCE).await.expect("the task is known");
        end.unwrap_or_else(|| panic!("task {id} did not end within {PATIENCE:?}"))
    }

    /// The events of a stream, past any fault.
    pub async fn events(&self, stream: &StreamName) -> Vec<RecordedEvent> {
        let read = self.log.read_stream(stream, None, Direction::Forward, 1_000).await;
        read.unwrap_or_default()
    }

    /// The names of the events of a stream.
    pub async fn names(&self, stream: &StreamName) -> Vec<String> {
        self.events(stream).await.iter().map(|event| event.event_type.to_string()).collect()
    }

    /// The events of a stream, decoded.
    pub async fn decoded<E: DomainEvent>(&self, stream: &StreamName) -> Vec<E> {
        let events = self.events(stream).await;
        events.iter().map(|event| E::from_recorded(event).expect("a known event")).collect()
    }

    /// Waits until a stream holds an event of this type.
    pub async fn has(&self, stream: &StreamName, event_type: &str) {
        eventually(PATIENCE, || async {
            self.names(stream).await.iter().any(|name| name == event_type).then_some(())
        })
        .await;
    }
}

async fn launch(log: &SharedLog, dir: &tempfile::TempDir) -> (Spark, Arc<FaultyLog>) {
    let faults = Arc::new(FaultyLog::new(log.clone()));
    let config = SparkConfig {
        log: faults.clone(),
        clock: clock(),
        data_dir: dir.path().to_owned(),
        worker_slots: 16,
        worker_lost_after: Duration::from_secs(30),
        probe_every: Duration::from_secs(60),
        hostname: "test".into(),
    };
    (Spark::start(config).await.expect("Spark starts"), faults)
}
