//! What listeners to events cost the commands: as many of them as wanted, each of one schedule, and
//! each of everything; the same load with and without them, in turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::figures::{Target, figure, ms, note, percentile};
use super::http::{Connection, KEY, request};
use super::process::home;
use super::world::World;

const LISTENERS: usize = 1_000;
/// Connections that send commands as fast as they are answered.
const CONNECTIONS: usize = 16;
/// How long each load is kept up, and how often each is measured.
const MEASURED: Duration = Duration::from_secs(4);
const ROUNDS: usize = 4;
/// The rate at which commands come while everybody hears everything.
const MODERATE_PER_S: u64 = 100;
/// How long listeners may take until they have heard everything.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run() {
    let world = World::start(&home("listeners")).await;
    let schedules = schedules(&world).await;
    // Nothing of a run is on the way of these commands: each is one event of one schedule.
    LocalSet::new().run_until(measure(&world, &schedules)).await;
    world.spark.stop().await;
}

async fn measure(world: &World, schedules: &[String]) {
    let (mut alone, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(hurry(world, schedules).await.1);
        let listeners = Listeners::open(world, |n| format!("?schedule={}", schedules[n])).await;
        let (count, rate) = hurry(world, schedules).await;
        listeners.have_heard(count).await;
        heard.push(rate);
    }
    let (alone, heard) = (percentile(&mut alone, 0.5), percentile(&mut heard, 0.5));
    figure("commands alone", alone, "/s", &Target::None);
    figure("  1,000 listeners, each of one schedule", heard, "/s", &Target::None);
    figure("  of the speed without them", heard / alone, "", &Target::Least(0.9));

    let (mut alone, mut heard) = (Vec::new(), Vec::new());
    let commands = Commands::new(schedules);
    let (mut cpu_alone, mut cpu_heard) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let before = world.spark.cpu_s();
        alone.extend(steady(world, &commands).await);
        cpu_alone += world.spark.cpu_s() - before;
        let listeners = Listeners::open(world, |_| String::new()).await;
        let before = world.spark.cpu_s();
        let latencies = steady(world, &commands).await;
        cpu_heard += world.spark.cpu_s() - before;
        listeners.have_heard((latencies.len() * LISTENERS) as u64).await;
        heard.extend(latencies);
    }
    let what = "a command alone, 100/s: p50";
    let p50 = (percentile(&mut alone, 0.5), percentile(&mut heard, 0.5));
    figure(what, p50.0, "ms", &Target::None);
    figure("  1,000 listeners to everything: p50", p50.1, "ms", &Target::None);
    figure("  of the time without them", p50.1 / p50.0, "", &Target::Most(1.1));
    note(format_args!(
        "    p99 {:.2} ms alone, {:.2} ms with them",
        percentile(&mut alone, 0.99),
        percentile(&mut heard, 0.99)
    ));
    let seconds = MEASURED.as_secs_f64() * ROUNDS as f64;
    note(format_args!(
        "    {:.1} % of a processor alone, {:.1} % with them",
        cpu_alone / seconds * 100.0,
        cpu_heard / seconds * 100.0
    ));
}

async fn schedules(world: &World) -> Vec<String> {
    let mut connection =
        Connection::open(world.spark.address).await.expect("the server takes connections");
    let mut ids = Vec::with_capacity(LISTENERS);
    for _ in 0..LISTENERS {
        let body = json!({ "flow": world.flow, "every": "30d" }).to_string();
        let sent = connection.send(&request("POST", "/api/v1/schedules", &body)).await;
        let (status, body) = sent.expect("the server answers");
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(body));
        let row: serde_json::Value = serde_json::from_slice(body).expect("a schedule is JSON");
        ids.push(row["id"].as_str().expect("a schedule has an id").to_owned());
    }
    ids
}

/// Pauses and resumes schedules, one after the other.
struct Commands {
    next: Cell<usize>,
    paths: Vec<[Vec<u8>; 2]>,
}

impl Commands {
    fn new(schedules: &[String]) -> Self {
        let path = |id: &String| {
            ["pause", "resume"]
                .map(|verb| request("POST", &format!("/api/v1/schedules/{id}/{verb}"), "{}"))
        };
        Self { next: Cell::new(0), paths: schedules.iter().map(path).collect() }
    }

    async fn send_next(&self, connection: &mut Connection) {
        let n = self.next.replace(self.next.get() + 1);
        let bytes = &self.paths[n % self.paths.len()][n / self.paths.len() % 2];
        let (status, body) = connection.send(bytes).await.expect("the server answers");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
    }

    /// A whole number of rounds, so that every schedule ends as it began.
    async fn finish(&self, connection: &mut Connection) {
        while !self.next.get().is_multiple_of(2 * self.paths.len()) {
            self.send_next(connection).await;
        }
    }
}

/// As fast as it goes: how many there were in all, and how many per second.
#[expect(clippy::cast_precision_loss, reason = "counts far below the bound of exact floats")]
async fn hurry(world: &World, schedules: &[String]) -> (u64, f64) {
    let commands = Rc::new(Commands::new(schedules));
    let (begun, mut senders) = (Instant::now(), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let mut connection =
            Connection::open(world.spark.address).await.expect("the server takes connections");
        let commands = Rc::clone(&commands);
        senders.spawn_local(async move {
            while begun.elapsed() < MEASURED {
                commands.send_next(&mut connection).await;
            }
        });
    }
    while senders.join_next().await.is_some() {}
    let rate = commands.next.get() as f64 / begun.elapsed().as_secs_f64();
    let mut connection =
        Connection::open(world.spark.address).await.expect("the server takes connections");
    commands.finish(&mut connection).await;
    (commands.next.get() as u64, rate)
}

/// One after the other at a moderate rate: how long each took, in milliseconds.
async fn steady(world: &World, commands: &Commands) -> Vec<f64> {
    let mut connection =
        Connection::open(world.spark.address).await.expect("the server takes connections");
    let mut beat = interval(Duration::from_micros(1_000_000 / MODERATE_PER_S));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < MEASURED {
        beat.tick().await;
        let sent = Instant::now();
        commands.send_next(&mut connection).await;
        took.push(ms(sent.elapsed()));
    }
    took
}

/// Connections on which events are counted and nothing else is done with them.
struct Listeners {
    heard: Rc<Cell<u64>>,
    _reading: JoinSet<()>,
}

impl Listeners {
    async fn open(world: &World, query: impl Fn(usize) -> String) -> Self {
        let (heard, mut reading) = (Rc::new(Cell::new(0)), JoinSet::new());
        let greeted = Rc::new(Cell::new(0));
        for n in 0..LISTENERS {
            let asked = format!(
                "GET /api/v1/events{} HTTP/1.1\r\nhost: bench\r\nx-api-key: {KEY}\r\n\r\n",
                query(n)
            );
            let mut stream =
                TcpStream::connect(world.spark.address).await.expect("it takes connections");
            stream.write_all(asked.as_bytes()).await.expect("a request can be sent");
            let (heard, greeted) = (Rc::clone(&heard), Rc::clone(&greeted));
            reading.spawn_local(async move {
                let mut bytes = vec![0; 16 * 1024];
                let mut first = true;
                // Counts the starts of lines that name an event, also across reads.
                let mut matched = 0;
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    if std::mem::take(&mut first) {
                        assert!(bytes.starts_with(b"HTTP/1.1 200"), "the listener was refused");
                        greeted.set(greeted.get() + 1);
                    }
                    heard.set(heard.get() + events(&bytes[..count], &mut matched));
                }
            });
        }
        while greeted.get() < LISTENERS {
            sleep(Duration::from_millis(5)).await;
        }
        Self { heard, _reading: reading }
    }

    /// Every event came to everybody who wanted it.
    async fn have_heard(&self, count: u64) {
        let begun = Instant::now();
        while self.heard.get() < count {
            let heard = self.heard.get();
            assert!(begun.elapsed() < PATIENCE, "{heard} events of {count} were heard");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.heard.get(), count, "events heard");
    }
}

/// How many event lines begin in these bytes; `matched` carries a beginning over to the next ones.
fn events(bytes: &[u8], matched: &mut usize) -> u64 {
    const START: &[u8] = b"\nevent: ";
    let mut count = 0;
    for byte in bytes {
        *matched = match *byte {
            byte if byte == START[*matched] => *matched + 1,
            b'\n' => 1,
            _ => 0,
        };
        if *matched == START.len() {
            count += 1;
            *matched = 0;
        }
    }
    count
}
