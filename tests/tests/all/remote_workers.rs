//! Workers in other processes, on a paused clock. The worker is a script that speaks as such a
//! process would; nothing here touches a network, and the silence of minutes passes at once.

use std::sync::Arc;
use std::time::Duration;

use spark_actors::langflow::RunEnd;
use spark_actors::remote::{
    Delivered, Held, News, PROTOCOL, Poll, Polled, Receipt, Registered, Registration, Report,
    Reports,
};
use spark_actors::{Call, DispatchError, NewTask, RunOptions, Spark, SparkConfig, WorkOrder};
use spark_events::codec::DomainEvent;
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::labels::Labels;
use spark_events::domain::retry::RetryPolicy;
use spark_events::domain::source::{Capabilities, Probe, SourceAdded, SourceEvent, SourceKind};
use spark_events::domain::task::TaskEvent;
use spark_events::log::Direction;
use spark_events::log::faulty::FaultyLog;
use spark_events::log::memory::MemoryLog;
use spark_events::{
    ExpectedRevision, FlowId, NewEvent, Payload, SharedClock, SharedLog, SimClock, SourceId,
    StreamName, TaskId, WorkerId,
};
use spark_tests::eventually;
use spark_tests::world::who;
use uuid::Uuid;

mod coming;
mod leaving;
mod losing;
mod outages;
mod restarting;

/// A server with one source and one flow of it.
struct Server {
    spark: Spark,
    log: SharedLog,
    /// The log once more, to have it fail.
    faults: Arc<FaultyLog>,
    clock: SharedClock,
    flow: FlowId,
    dir: tempfile::TempDir,
}

async fn put<E: DomainEvent>(log: &SharedLog, stream: StreamName, event: E) {
    let (event_type, schema_version, data) = event.encode().unwrap();
    let (id, metadata) = (spark_events::ids::new_uuid(), who().metadata());
    let event = NewEvent { id, event_type, schema_version, data, metadata };
    log.append(&stream, ExpectedRevision::Any, vec![event]).await.unwrap();
}

/// A server without a worker of its own, whose source has background jobs or not, and asks for
/// these labels.
async fn server(background_jobs: bool, labels: &[&str]) -> Server {
    let clock: SharedClock =
        Arc::new(SimClock::starting_at("2026-11-20T00:00:00Z".parse().unwrap()));
    let faults = Arc::new(FaultyLog::new(Arc::new(MemoryLog::new(clock.clone()))));
    let log: SharedLog = faults.clone();
    let source_id = SourceId::random();
    let capabilities =
        Capabilities { version: "1.13.0".into(), background_jobs, traces: false, stream: true };
    let added = SourceAdded {
        name: "local".into(),
        url: "http://127.0.0.1:1".into(),
        kind: SourceKind::Langflow,
        api_key: None,
        runs_max: 100,
        worker_labels: Labels::new(labels.iter().map(ToString::to_string)).unwrap(),
        probe: Probe::Up { capabilities },
    };
    put(&log, source_id.stream(), SourceEvent::Added(Box::new(added))).await;
    let flow = FlowId::of_remote(source_id, "remote");
    let synced = FlowSynced {
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
    };
    put(&log, flow.stream(), FlowEvent::Synced(Box::new(synced))).await;
    let dir = tempfile::tempdir().unwrap();
    let spark = launch(&log, &clock, &dir).await;
    Server { spark, log, faults, clock, flow, dir }
}

async fn launch(log: &SharedLog, clock: &SharedClock, dir: &tempfile::TempDir) -> Spark {
    let config = SparkConfig {
        log: log.clone(),
        clock: clock.clone(),
        data_dir: dir.path().to_owned(),
        worker_slots: 0,
        worker_lost_after: Duration::from_secs(30),
        probe_every: Duration::from_secs(24 * 3_600),
        hostname: "test".into(),
    };
    Spark::start(config).await.unwrap()
}

impl Server {
    /// Ends the server and starts it again over the same log.
    async fn restart(&mut self) {
        self.spark.shutdown().await;
        self.spark = launch(&self.log, &self.clock, &self.dir).await;
    }

    async fn task(&self) -> TaskId {
        let retry =
            RetryPolicy { initial_ms: 1, coefficient_percent: 100, maximum_ms: 1, attempts_max: 4 };
        let options =
            RunOptions { input: "hello".into(), retry: Some(retry), ..RunOptions::default() };
        self.task_with(options).await
    }

    async fn task_with(&self, options: RunOptions) -> TaskId {
        let request = NewTask { flow_id: self.flow, options };
        self.spark.create_task(request, &who()).await.unwrap().value
    }

    fn registration(&self, name: &str) -> Registration {
        Registration {
            id: WorkerId::random(),
            replaces: None,
            name: name.into(),
            hostname: "box".into(),
            pid: 7,
            slots: 2,
            labels: vec![],
            version: "0.1.0".into(),
            protocol: PROTOCOL,
            clock: self.clock.now(),
        }
    }

    /// A worker that has come, and has not asked for work yet.
    async fn worker(&self, name: &str) -> Script {
        self.worker_of(self.registration(name)).await
    }

    async fn worker_of(&self, registration: Registration) -> Script {
        let (registered, _) = self.spark.register_worker(registration, &who()).await.unwrap();
        Script::new(&self.spark, &registered)
    }

    async fn events(&self, task: TaskId) -> Vec<TaskEvent> {
        let read = self.log.read_stream(&task.stream(), None, Direction::Forward, 4_096).await;
        read.unwrap().iter().map(|event| TaskEvent::from_recorded(event).unwrap()).collect()
    }

    async fn names(&self, stream: StreamName) -> Vec<String> {
        let read = self.log.read_stream(&stream, None, Direction::Forward, 4_096).await;
        read.unwrap().iter().map(|event| event.event_type.to_string()).collect()
    }

    /// Waits until the last event of a stream has this type.
    async fn last_is(&self, stream: StreamName, name: &str) {
        eventually(Duration::from_secs(600), || async {
            let names = self.names(stream.clone()).await;
            (names.last().map(String::as_str) == Some(name)).then_some(())
        })
        .await;
    }
}

/// A worker in another process, as far as the server can tell.
#[derive(Clone)]
struct Script {
    spark: Spark,
    id: WorkerId,
    session: Uuid,
    after: u64,
}

impl Script {
    fn new(spark: &Spark, registered: &Registered) -> Self {
        Self { spark: spark.clone(), id: registered.id, session: registered.session, after: 0 }
    }

    async fn ask(&self, holding: Option<Vec<Held>>) -> Result<Polled, DispatchError> {
        let poll = Poll { session: self.session, after: self.after, holding, leaving: false };
        let answer = self.spark.worker_poll(self.id, poll).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    /// A poll that is under way while the test does something else.
    #[expect(clippy::disallowed_methods, reason = "the test awaits or aborts it")]
    fn waits(&self) -> tokio::task::JoinHandle<Result<Polled, DispatchError>> {
        let worker = self.clone();
        tokio::spawn(async move { worker.ask(None).await })
    }

    /// One poll, whose answer arrives.
    async fn poll(&mut self) -> Polled {
        self.poll_holding(None).await
    }

    async fn poll_holding(&mut self, holding: Option<Vec<Held>>) -> Polled {
        let polled = self.ask(holding).await.unwrap();
        if polled.resync {
            (self.session, self.after) = (polled.session, 0);
        }
        self.after = polled.items.last().map_or(self.after, |item| item.seq);
        polled
    }

    /// Polls until there is something, and gives it.
    async fn next(&mut self) -> Delivered {
        loop {
            let mut polled = self.poll().await;
            assert!(!polled.resync && polled.items.len() <= 1, "{polled:?}");
            if let Some(item) = polled.items.pop() {
                return item.what;
            }
        }
    }

    /// Polls until there is an order.
    async fn order(&mut self) -> WorkOrder {
        match self.next().await {
            Delivered::Run(order) => *order,
            other => panic!("{other:?}"),
        }
    }

    async fn say(&self, order: &WorkOrder, what: News) -> Receipt {
        let (task_id, attempt) = (order.task_id, order.attempt);
        let items = vec![Report { task_id, attempt, what }];
        self.spark.worker_reports(self.id, Reports { items }).await.unwrap().items[0]
    }

    async fn completes(&self, order: &WorkOrder) -> Receipt {
        let output = serde_json::json!({ "text": "done" });
        self.say(order, News::Ended(Box::new(RunEnd::Completed { output, log: vec![] }))).await
    }
}

fn held(order: &WorkOrder) -> Held {
    Held { task_id: order.task_id, attempt: order.attempt }
}

/// The key under which the source is to know the call.
fn key(order: &WorkOrder) -> &str {
    match &order.call {
        Call::LangFlow(request) => &request.idempotency_key,
        Call::Http(call) => &call.idempotency_key,
    }
}

/// What is recorded of a task, without the data.
fn types(events: &[TaskEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.encode().unwrap().0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_a_task_and_its_result_is_recorded_before_the_receipt() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    assert_eq!((order.task_id, order.attempt), (task, 1));
    let job_id = "j-1".to_owned();
    assert_eq!(worker.say(&order, News::Submitted { job_id }).await, Receipt::Recorded);
    assert_eq!(worker.completes(&order).await, Receipt::Recorded);
    let events = server.events(task).await;
    let expected = ["task.created", "task.started", "task.submitted", "task.completed"];
    assert_eq!(types(&events), expected);
    assert_eq!(worker.completes(&order).await, Receipt::Stale, "a repeat does no harm");
    let stream = task.stream();
    let read = server.log.read_stream(&stream, None, Direction::Backward, 1).await.unwrap();
    assert_eq!(*read[0].metadata.actor, format!("worker:{}", worker.id));
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_together_travels_together_within_the_slots() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let first = worker.waits();
    eventually(Duration::from_secs(5), || async {
        server.spark.worker_pulse(worker.id).filter(|pulse| pulse.accepting)
    })
    .await;
    for _ in 0..3 {
        server.task().await;
    }
    let mut had = first.await.unwrap().unwrap().items;
    worker.after = had.last().unwrap().seq;
    while had.len() < 2 {
        had.extend(worker.poll().await.items);
    }
    assert_eq!(had.len(), 2, "two slots");
    assert!(worker.poll().await.items.is_empty(), "the third waits for room");
    let Delivered::Run(order) = &had[0].what else { panic!("{had:?}") };
    assert_eq!(worker.completes(order).await, Receipt::Recorded);
    worker.order().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_given_again() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let lost = loop {
        let polled = worker.ask(None).await.unwrap();
        if !polled.items.is_empty() {
            break polled;
        }
    };
    let again = worker.order().await;
    let Delivered::Run(order) = &lost.items[0].what else { panic!("{lost:?}") };
    assert_eq!((held(order), lost.items[0].seq), (held(&again), 1));
    assert!(worker.poll().await.items.is_empty(), "what was taken is not sent a third time");
    assert_eq!(worker.completes(&again).await, Receipt::Recorded);
    server.last_is(task.stream(), "task.completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_the_worker_and_its_stop_is_recorded() {
    let server = server(true, &[]).await;
    let mut worker = server.worker("one").await;
    let task = server.task().await;
    let order = worker.order().await;
    server.spark.cancel_task(task, &who()).await.unwrap();
    let told = worker.next().await;
    assert!(matches!(told, Delivered::Cancel(one) if one == held(&order)), "{told:?}");
    let remote = spark_events::domain::task::RemoteStop::Stopped;
    let stopped = News::Ended(Box::new(RunEnd::Cancelled { remote }));
    assert_eq!(worker.say(&order, stopped).await, Receipt::Recorded);
    server.last_is(task.stream(), "task.cancelled").await;

    let other = server.task().await;
    let order = worker.order().await;
    server.spark.terminate_task(other, &who()).await.unwrap();
    let told = worker.next().await;
    assert!(matches!(told, Delivered::Abort(one) if one == held(&order)), "{told:?}");
    assert_eq!(worker.completes(&order).await, Receipt::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_for_a_label_waits_for_a_worker_that_has_it() {
    let server = server(true, &["gpu"]).await;
    let mut plain = server.worker("plain").await;
    let task = server.task().await;
    assert!(plain.poll().await.items.is_empty());
    let unserved = server.spark.health().unserved_sources;
    assert_eq!((unserved.len(), unserved[0].worker_labels.to_string().as_str()), (1, "gpu"));
    let labels = vec!["gpu".into(), "eu".into()];
    let registration = Registration { labels, ..server.registration("gpu") };
    let mut gpu = server.worker_of(registration).await;
    assert_eq!(gpu.order().await.task_id, task);
    assert_eq!(server.spark.health().unserved_sources, []);
}
