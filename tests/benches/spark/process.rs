//! The measured process: starts the release binary over a directory, ends it in order, and says what it uses. Knows nothing of the API but its probe.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::http::{Connection, KEY, request};

/// Names a binary that is to be measured instead of ours, such as that of an earlier version.
const OTHER_BINARY: &str = "SPARK_BENCH_BINARY";
/// How long the server may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Ticks per second in `/proc/<pid>/stat`, the same on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;
/// The fields before user time, after the name in parentheses.
const FIELDS_BEFORE_TIME: usize = 11;

/// Where Cargo puts what it builds: this binary is in `<target>/release/deps`.
fn target() -> PathBuf {
    let own = std::env::current_exe().expect("this binary has a path");
    own.ancestors().nth(3).expect("this binary lies in the target directory").to_owned()
}

fn binary() -> PathBuf {
    let ours = || PathBuf::from(env!("CARGO_BIN_EXE_automagik"));
    std::env::var_os(OTHER_BINARY).map_or_else(ours, PathBuf::from)
}

/// An empty directory on the same disk as the build.
pub(crate) fn home(name: &str) -> PathBuf {
    let dir = kept_home(name);
    // Not there is as good as removed; what cannot be removed is met by the next line.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory can be made below the target directory");
    dir
}

/// The directory as an earlier benchmark left it.
pub(crate) fn kept_home(name: &str) -> PathBuf {
    target().join("spark-bench").join(name)
}

/// A running `automagik up`. Dropping it kills it.
pub(crate) struct Spark {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer that it is ready.
    pub(crate) ready_after: Duration,
    /// When it was started.
    pub(crate) started: Instant,
}

impl Spark {
    /// Starts it over a directory and waits until it is ready.
    pub(crate) async fn start(home: &Path, slots: u32) -> Self {
        Self::start_with(home, &["--slots", &slots.to_string()]).await
    }

    /// The same with these options.
    pub(crate) async fn start_with(home: &Path, options: &[&str]) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("there is a free port")
            .port();
        let said = File::create(home.join("said")).expect("its words can be kept");
        let port_text = port.to_string();
        let started = Instant::now();
        let child = Command::new(binary())
            .args(["up", "--port", &port_text])
            .args(options)
            .env_clear()
            .env("AUTOMAGIK_HOME", home)
            .env("AUTOMAGIK_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("the binary starts");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut spark = Self { child, address, ready_after: Duration::ZERO, started };
        let probe = request("GET", "/readyz", "");
        while !is_ready(address, &probe).await {
            if let Ok(Some(status)) = spark.child.try_wait() {
                let said = fs::read_to_string(home.join("said")).unwrap_or_default();
                panic!("the server ended with {status} before it was ready:\n{said}");
            }
            assert!(started.elapsed() < PATIENCE, "the server is not ready");
            sleep(LOOK_EVERY).await;
        }
        spark.ready_after = started.elapsed();
        spark
    }

    /// Ends it as an operator would, and waits until it has ended.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.is_ok_and(|status| status.success()), "the server cannot be told to end");
        let begun = Instant::now();
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Resident memory in MiB; not a number where the system does not tell.
    pub(crate) fn resident_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb =
            line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        kb.map_or(f64::NAN, |kb| kb / 1024.0)
    }

    /// Processor time used up to now, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(&format!("/proc/{}/stat", self.child.id()))
    }
}

impl Drop for Spark {
    fn drop(&mut self) {
        // It has ended already, or its figures are of no use any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `automagik worker start`. Dropping it kills it.
pub(crate) struct Worker(Child);

impl Worker {
    /// Starts one with a directory of its own, for the server at this address.
    pub(crate) fn start(home: &Path, server: SocketAddr, slots: u32) -> Self {
        fs::create_dir_all(home).expect("a directory can be made");
        let said = File::create(home.join("said")).expect("its words can be kept");
        let child = Command::new(binary())
            .args(["worker", "start", "--server", &format!("http://{server}")])
            .args(["--name", "bench", "--slots", &slots.to_string()])
            .env_clear()
            .env("AUTOMAGIK_HOME", home)
            .env("AUTOMAGIK_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("the binary starts");
        Self(child)
    }

    /// Processor time used up to now, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(&format!("/proc/{}/stat", self.0.id()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already, or is of no use any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time of this process, in seconds.
pub(crate) fn own_cpu_s() -> f64 {
    cpu_s("/proc/self/stat")
}

fn cpu_s(path: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_whitespace().skip(FIELDS_BEFORE_TIME).take(2);
    times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

async fn is_ready(address: SocketAddr, probe: &[u8]) -> bool {
    let Ok(mut connection) = Connection::open(address).await else {
        return false;
    };
    connection.send(probe).await.is_ok_and(|(status, _)| status == 200)
}

/// Bytes of the files in a directory whose names begin like this.
pub(crate) fn bytes(home: &Path, prefix: &str) -> u64 {
    let entries = fs::read_dir(home).expect("the data directory can be listed");
    let named =
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
