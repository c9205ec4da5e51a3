//! Many tasks at once: how many per second go from their request to their recorded end, and what
//! each of them leaves on the disk.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use super::figures::{Target, figure, note};
use super::http::{Connection, request};
use super::process::{Spark, bytes, home, own_cpu_s};
use super::world::{FLOW, RUNS_MAX, World};

/// Tasks at once for each connection that submits: of three commits that a task takes, one is its
/// submission.
const TASKS_PER_CONNECTION: usize = 2;
/// How long each number of tasks at once is kept up before and while it is measured.
const WARM_UP: Duration = Duration::from_secs(2);
pub(crate) const MEASURED: Duration = Duration::from_secs(12);
/// Between two looks at how many runs have ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The name of the directory that is left for the rebuild.
pub(crate) const HOME: &str = "throughput";

pub(crate) async fn run() {
    let home = home(HOME);
    let world = World::start(&home).await;
    let mut submitted = 0;
    for at_once in [64, RUNS_MAX as usize] {
        submitted += load(&world, at_once, MEASURED).await.submitted;
    }
    verify(&world, submitted).await;
    figure("resident memory after it", world.spark.resident_mb(), "MiB", &Target::None);
    world.spark.stop().await;
    disk(&home, submitted);
}

/// What a load came to.
pub(crate) struct Load {
    /// How many tasks there were.
    pub(crate) submitted: u64,
    /// How many ended per second, while it was measured.
    pub(crate) rate: f64,
}

/// Submits for a while with this many tasks open, and prints how fast they ended.
pub(crate) async fn load(world: &World, at_once: usize, measured: Duration) -> Load {
    let generator = Rc::new(Generator {
        room: Semaphore::new(at_once),
        acknowledged: Cell::new(0),
        stop: Cell::new(false),
    });
    let local = LocalSet::new();
    let path = format!("/api/v1/flows/{}/run", world.flow);
    let request = Rc::new(request("POST", &path, &json!({ "input": "hello" }).to_string()));
    let mut submitters = JoinSet::new();
    for _ in 0..at_once / TASKS_PER_CONNECTION {
        let connection = Connection::open(world.spark.address).await;
        let connection = connection.expect("the server takes connections");
        let (generator, request) = (Rc::clone(&generator), Rc::clone(&request));
        submitters.spawn_local_on(generator.submit(connection, request), &local);
    }
    let rate = local
        .run_until(async {
            let ended = world.langflow.completed_runs(FLOW);
            let (sampled, ()) = tokio::join!(
                sample(world, &generator, at_once, measured),
                generator.make_room(world, ended)
            );
            while submitters.join_next().await.is_some() {}
            print(&sampled, at_once)
        })
        .await;
    world.settled().await;
    Load { submitted: generator.acknowledged.get(), rate }
}

/// Keeps the number of open tasks level.
struct Generator {
    room: Semaphore,
    acknowledged: Cell<u64>,
    stop: Cell<bool>,
}

impl Generator {
    async fn submit(self: Rc<Self>, mut connection: Connection, request: Rc<Vec<u8>>) {
        loop {
            let Ok(permit) = self.room.acquire().await else {
                return;
            };
            permit.forget();
            if self.stop.get() {
                return;
            }
            match connection.send(&request).await {
                Ok((201, _)) => self.acknowledged.set(self.acknowledged.get() + 1),
                Ok((status, body)) => panic!("{status}: {}", String::from_utf8_lossy(body)),
                Err(error) => panic!("a submission broke off: {error}"),
            }
        }
    }

    /// Makes room for as many tasks as have ended at the source, until it is told to stop.
    async fn make_room(&self, world: &World, mut ended: u64) {
        while !self.stop.get() {
            sleep(LOOK_EVERY).await;
            let now = world.langflow.completed_runs(FLOW);
            let fresh = usize::try_from(now - ended).expect("few end between two looks");
            self.room.add_permits(fresh);
            ended = now;
        }
        self.room.close();
    }
}

/// What was seen between the warm-up and the end.
struct Sampled {
    seconds: f64,
    ended: u64,
    open: u64,
    server_cpu_s: f64,
    own_cpu_s: f64,
}

async fn sample(
    world: &World,
    generator: &Generator,
    at_once: usize,
    measured: Duration,
) -> Sampled {
    sleep(WARM_UP).await;
    let (begun, first) = (Instant::now(), snapshot(world, generator).await);
    sleep(measured).await;
    let (last, seconds) = (snapshot(world, generator).await, begun.elapsed().as_secs_f64());
    generator.stop.set(true);
    let ended = last.ended - first.ended;
    assert!(ended > 0, "no task ended with {at_once} at once");
    Sampled {
        seconds,
        ended,
        open: last.open,
        server_cpu_s: last.server_cpu_s - first.server_cpu_s,
        own_cpu_s: last.own_cpu_s - first.own_cpu_s,
    }
}

/// A task has ended when its end is recorded, not when its run is over.
async fn snapshot(world: &World, generator: &Generator) -> Sampled {
    let open = world.open_tasks().await;
    Sampled {
        seconds: 0.0,
        ended: generator.acknowledged.get().saturating_sub(open),
        open,
        server_cpu_s: world.spark.cpu_s(),
        own_cpu_s: own_cpu_s(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below the bound of exact floats")]
fn print(sampled: &Sampled, at_once: usize) -> f64 {
    let ended = sampled.ended as f64;
    let rate = ended / sampled.seconds;
    figure(
        &format!("tasks from request to end, {at_once} at once"),
        rate,
        "/s",
        &Target::Least(5_000.0),
    );
    let per_task = |cpu_s: f64| cpu_s * 1e6 / ended;
    note(format_args!(
        "  each: {:.0} us of the server's processor time, {:.0} us of source and load generator; {} open at the end",
        per_task(sampled.server_cpu_s),
        per_task(sampled.own_cpu_s),
        sampled.open,
    ));
    rate
}

/// Every task that was acknowledged has come to its good end, and was run once.
async fn verify(world: &World, submitted: u64) {
    let completed = world.total("/api/v1/tasks?status=completed&limit=1").await;
    let all = world.total("/api/v1/tasks?limit=1").await;
    assert_eq!(
        (completed, all),
        (submitted, submitted),
        "completed and all tasks of those submitted"
    );
    assert_eq!(world.langflow.runs(FLOW), submitted, "runs at the source");
    note(format_args!("all {submitted} tasks completed, each run once at the source"));
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below the bound of exact floats")]
fn disk(home: &std::path::Path, tasks: u64) {
    let kb = |prefix: &str| bytes(home, prefix) as f64 / 1024.0 / tasks as f64;
    let (events, reads) = (kb("events.db"), kb("reads.db"));
    figure("disk per task with a 1.5 KB answer", events + reads, "KiB", &Target::Most(6.0));
    note(format_args!("  of it {events:.2} KiB in the log, {reads:.2} KiB in the read models"));
}

/// A directory with at least this many tasks, the one that [`run`] left where it has enough.
pub(crate) async fn filled(tasks: u64) -> (std::path::PathBuf, Spark, u64) {
    let left = super::process::kept_home(HOME);
    if left.join("events.db").exists() {
        let spark = Spark::start(&left, RUNS_MAX).await;
        let path = "/api/v1/tasks?limit=1";
        let list = super::http::call(spark.address, "GET", path, None).await;
        if list["total"].as_u64().is_some_and(|total| total >= tasks) {
            let position = super::world::position(&spark).await;
            return (left, spark, position);
        }
        spark.stop().await;
    }
    let home = home(HOME);
    let world = World::start(&home).await;
    let mut submitted = 0;
    while submitted < tasks {
        submitted += load(&world, RUNS_MAX as usize, MEASURED).await.submitted;
    }
    let position = world.settled().await;
    (home, world.spark, position)
}
