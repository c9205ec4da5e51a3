//! Lists of a million finished tasks: what a narrowed list and a search through all texts take,
//! and how soon the read models and the words of the texts are there. The log is written without
//! the server, as if it had run for a day.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use spark_actors::Who;
use spark_events::clock::{Clock, Timestamp};
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::labels::Labels;
use spark_events::domain::retry::{GiveUp, RetryPolicy};
use spark_events::domain::source::{Capabilities, Probe, SourceAdded, SourceEvent, SourceKind};
use spark_events::domain::task::{
    CallMode, TaskAttemptFailed, TaskCompleted, TaskEvent, TaskFailed, TaskSpec, TaskStarted,
    Trigger,
};
use spark_events::log::embedded::EmbeddedLog;
use spark_events::{
    DomainEvent, EventLog, ExpectedRevision, FlowId, NewEvent, Payload, ScheduleId, SourceId,
    StreamName, SystemClock, TaskId, WorkerId, ids,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::figures::{Target, figure, ms, note, percentile};
use super::http::{Connection, call, request};
use super::process::{Spark, bytes, home};
use super::world::RUNS_MAX;

/// How many, unless the environment says otherwise.
const TASKS: u64 = 1_000_000;
const TASKS_VARIABLE: &str = "SPARK_BENCH_TASKS";
const FLOWS: u64 = 20;
const SCHEDULES: u64 = 200;
/// One task of so many fails.
const FAILS_EVERY: u64 = 20;
/// Words in an answer: about 1.5 KB.
const ANSWER_WORDS: usize = 220;
/// How many different words there are; the first of them are the most frequent.
const VOCABULARY: u64 = 20_000;
/// Appends under way while the log is written.
const AT_ONCE: usize = 512;
/// How far apart the tasks are made: all of them within a day.
const APART_MICROS: i64 = 80_000;
/// Calls of each kind.
const CALLS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(1_200);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[expect(clippy::cast_precision_loss, reason = "counts far below the bound of exact floats")]
pub(crate) async fn run() {
    let given = std::env::var(TASKS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let tasks: u64 = given.unwrap_or(TASKS);
    let home = home("lists");
    let begun = Instant::now();
    let (filled, head) = fill(&home, tasks).await;
    note(format_args!("{tasks} tasks written in {:.0} s", begun.elapsed().as_secs_f64()));
    let log = bytes(&home, "events.db");

    let spark = Spark::start(&home, RUNS_MAX).await;
    let read = caught_up(&spark, "position", head).await;
    let rate = head as f64 / read;
    figure("events through all read models", rate, "/s", &Target::Least(100_000.0));
    let lists = bytes(&home, "reads.db");
    let searched = caught_up(&spark, "searchable", head).await;
    figure("all texts searchable after", searched, "s", &Target::None);
    figure("resident memory then", spark.resident_mb(), "MiB", &Target::None);

    let mut connection = Connection::open(spark.address).await.expect("the server is there");
    let (flow, schedule, source) = (filled.flows[7], filled.schedules[7], filled.source);
    let instant = |back: i64| {
        let at = filled.last - TimeDelta::minutes(back);
        at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    let since = instant(60);
    let (list, search) = (Target::Most(20.0), Target::Most(300.0));
    for (what, query, target) in [
        ("list, newest 50", String::new(), &list),
        ("  of a flow and a status", format!("&flow={flow}&status=failed"), &list),
        ("  of a schedule", format!("&schedule={schedule}"), &list),
        ("  of a source and a status", format!("&source={source}&status=completed"), &list),
        ("  of two statuses, oldest first", "&status=failed,cancelled&sort=created".into(), &list),
        ("  of a class of failure", "&class=timeout".into(), &list),
        ("  of a trigger", "&trigger=manual".into(), &list),
        ("  of the last hour", format!("&since={since}"), &list),
        (
            "  of a flow, status and hour",
            format!("&flow={flow}&status=failed&since={since}"),
            &list,
        ),
        ("search: a rare word", "&q=needle77".into(), &search),
        ("  a frequent word", format!("&q={}", word(3)), &search),
        ("  two words, one frequent", format!("&q={}%20{}", word(3), word(900)), &search),
        ("  the start of a word", "&q=need*".into(), &search),
        (
            "  a frequent word of a flow's failures",
            format!("&q={}&flow={flow}&status=failed", word(3)),
            &search,
        ),
        ("  a word of no task", "&q=haystack".into(), &search),
    ] {
        measure(&mut connection, what, &query, target).await;
    }
    spark.stop().await;
    let kb = |bytes: u64| bytes as f64 / 1024.0 / tasks as f64;
    let reads = bytes(&home, "reads.db");
    figure("disk per task with a 1.5 KB answer", kb(log + reads), "KiB", &Target::Most(6.0));
    note(format_args!(
        "  of it {:.2} KiB in the log, {:.2} KiB in the lists, {:.2} KiB for the words",
        kb(log),
        kb(lists.min(reads)),
        kb(reads.saturating_sub(lists)),
    ));
    // Gigabytes that nothing else reads.
    let _ = std::fs::remove_dir_all(&home);
}

async fn measure(connection: &mut Connection, what: &str, query: &str, target: &Target) {
    let asked = request("GET", &format!("/api/v1/tasks?limit=50{query}"), "");
    let mut samples = Vec::with_capacity(CALLS);
    let mut total = Value::Null;
    for _ in 0..CALLS {
        let begun = Instant::now();
        let (status, body) = connection.send(&asked).await.expect("the server answers");
        samples.push(ms(begun.elapsed()));
        assert_eq!(status, 200, "{query}: {}", String::from_utf8_lossy(body));
        if total.is_null() {
            let json: Value = serde_json::from_slice(body).expect("a list is JSON");
            total = json["total"].clone();
        }
    }
    let p99 = percentile(&mut samples, 0.99);
    figure(&format!("{what} (total {total})"), percentile(&mut samples, 0.5), "ms", target);
    note(format_args!("    p99 {p99:.2} ms"));
}

/// Seconds from the start of the process until the read models say that they are there.
async fn caught_up(spark: &Spark, field: &str, head: u64) -> f64 {
    loop {
        let health = call(spark.address, "GET", "/health", None).await;
        if health["read_models"][field].as_u64().is_some_and(|at| at >= head) {
            return spark.started.elapsed().as_secs_f64();
        }
        assert!(spark.started.elapsed() < PATIENCE, "{field} does not reach {head}");
        sleep(LOOK_EVERY).await;
    }
}

/// What the log was filled with.
struct Filled {
    source: SourceId,
    flows: Vec<FlowId>,
    schedules: Vec<ScheduleId>,
    last: Timestamp,
}

/// A clock that shows what it is told.
struct Told(AtomicI64);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        DateTime::from_timestamp_micros(self.0.load(Ordering::Relaxed))
            .expect("an instant of today")
    }
}

async fn fill(home: &Path, tasks: u64) -> (Filled, u64) {
    let now: DateTime<Utc> = SystemClock.now();
    let day = i64::try_from(tasks).expect("a number of tasks") * APART_MICROS;
    let clock = Arc::new(Told(AtomicI64::new(now.timestamp_micros() - day - 1_000_000)));
    let log = EmbeddedLog::open(&home.join("events.db"), Arc::clone(&clock) as _);
    let log: Arc<dyn EventLog> = Arc::new(log.expect("a log can be made"));
    let source = SourceId::random();
    let flows = (0..FLOWS).map(|n| FlowId::of_remote(source, &n.to_string())).collect();
    let schedules = (0..SCHEDULES).map(|_| ScheduleId::random()).collect();
    let filled = Filled { source, flows, schedules, last: now };
    append(&*log, source.stream(), vec![encoded(&added())]).await;
    for (n, flow) in filled.flows.iter().enumerate() {
        append(&*log, flow.stream(), vec![encoded(&synced(source, n))]).await;
    }
    let worker = WorkerId::random();
    let filled = Arc::new(filled);
    let mut writers = JoinSet::new();
    for writer in 0..AT_ONCE as u64 {
        let (log, filled, clock) = (Arc::clone(&log), Arc::clone(&filled), Arc::clone(&clock));
        writers.spawn(async move {
            for n in (writer..tasks).step_by(AT_ONCE) {
                clock.0.fetch_add(APART_MICROS, Ordering::Relaxed);
                let events = life(&filled, n, worker, clock.now());
                append(&*log, TaskId::random().stream(), events).await;
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.expect("the log can be written");
    }
    let mut filled = Arc::into_inner(filled).expect("nobody writes any more");
    filled.last = clock.now();
    let head = log.head().await.expect("the log has an end").0;
    log.close().await;
    (filled, head)
}

async fn append(log: &dyn EventLog, stream: StreamName, events: Vec<NewEvent>) {
    log.append(&stream, ExpectedRevision::NoStream, events).await.expect("the log takes events");
}

fn encoded<E: DomainEvent>(event: &E) -> NewEvent {
    let (event_type, schema_version, data) = event.encode().expect("an event has a JSON form");
    let metadata = Who::system().metadata();
    NewEvent { id: ids::new_uuid(), event_type, schema_version, data, metadata }
}

/// A source where nothing listens.
fn added() -> SourceEvent {
    let capabilities = Capabilities {
        version: "1.13.0".into(),
        background_jobs: true,
        traces: true,
        stream: true,
    };
    SourceEvent::Added(Box::new(SourceAdded {
        name: "bench".into(),
        kind: SourceKind::default(),
        url: "http://127.0.0.1:1".into(),
        api_key: None,
        runs_max: 4,
        worker_labels: Labels::default(),
        probe: Probe::Up { capabilities },
    }))
}

fn synced(source_id: SourceId, n: usize) -> FlowEvent {
    FlowEvent::Synced(Box::new(FlowSynced {
        source_id,
        remote_id: n.to_string(),
        name: format!("flow {n}"),
        description: String::new(),
        folder: None,
        input_component: None,
        output_component: None,
        components: Vec::new(),
        definition: Payload::Inline(json!({})),
        definition_hash: format!("{n:064x}"),
    }))
}

/// One finished task: nine of ten of a schedule, one of twenty failed.
fn life(filled: &Filled, n: u64, worker_id: WorkerId, at: Timestamp) -> Vec<NewEvent> {
    let mut dice = Dice(n);
    let pick = |most: u64, dice: &mut Dice| usize::try_from(dice.roll(most)).unwrap_or(0);
    let flow = pick(FLOWS, &mut dice);
    let schedule_id = filled.schedules[pick(SCHEDULES, &mut dice)];
    let trigger = match dice.roll(10) {
        0 => Trigger::Manual,
        _ => Trigger::Occurrence { schedule_id, due_at: at },
    };
    let input = json!(dice.words(8));
    let spec = TaskSpec {
        flow_id: filled.flows[flow],
        source_id: filled.source,
        input: Payload::Inline(input),
        tweaks: None,
        trigger,
        retry: RetryPolicy::default(),
        timeout_ms: 600_000,
        priority: 0,
        queue_timeout_ms: None,
        total_timeout_ms: None,
        definition: None,
        held: false,
        created_at: Some(at),
    };
    let started = TaskStarted {
        attempt: 1,
        worker_id,
        mode: CallMode::Background,
        definition_hash: Some(format!("{flow:064x}")),
        continues: None,
        at,
    };
    let mut events =
        vec![encoded(&TaskEvent::Created(Box::new(spec))), encoded(&TaskEvent::Started(started))];
    if n.is_multiple_of(FAILS_EVERY) {
        let class = [FailureClass::Component, FailureClass::Timeout][pick(2, &mut dice)];
        let failure = Failure::new(class, dice.words(20));
        let failed = TaskAttemptFailed { attempt: 1, failure: failure.clone(), duration_ms: 900 };
        let why = GiveUp::AttemptsExhausted;
        events.push(encoded(&TaskEvent::AttemptFailed(failed)));
        events.push(encoded(&TaskEvent::Failed(TaskFailed { attempts: 1, why, failure })));
    } else {
        let mut answer = dice.words(ANSWER_WORDS);
        if n % 5_000 == 7 {
            answer.push_str(" needle77");
        }
        let output = Payload::Inline(json!({ "text": answer }));
        let completed = TaskCompleted { attempt: 1, output, duration_ms: 900 };
        events.push(encoded(&TaskEvent::Completed(completed)));
    }
    events
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    /// Words as they come in texts: a few of them again and again, most of them seldom.
    fn words(&mut self, count: usize) -> String {
        let mut text = String::with_capacity(count * 7);
        for _ in 0..count {
            let reach = 1 + self.roll(VOCABULARY);
            let number = self.roll(reach);
            let number = self.roll(1 + number);
            text.push_str(&word(number));
            text.push(' ');
        }
        text
    }
}

/// A word of two to five syllables for a number.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ka", "lo", "mi", "ter", "sun", "ra", "vel", "po", "ne", "dor", "fi", "gal", "hu", "is",
        "jo", "que",
    ];
    let mut text = String::new();
    let mut rest = number + 16;
    while rest > 0 {
        text.push_str(SYLLABLES[usize::try_from(rest % 16).unwrap_or(0)]);
        rest /= 16;
    }
    text
}
