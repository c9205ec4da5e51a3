//! The real code around a stand-in for LangFlow: a virtual environment whose module `langflow` is
//! a small HTTP server. Only the installation of the real package is missing here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, interval, timeout};

use super::home::Home;
use super::{Bounds, LangFlowServer, Options, VERSION};

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names the data directory for the test that runs as a process of its own.
const DATA_DIR: &str = "LANGFLOW_SERVER_TEST_DATA_DIR";

/// The stand-in. Its file `mode` in LangFlow's folder says how it behaves at its next start.
const FAKE: &str = r#"
import http.server, json, os, pathlib, signal, subprocess, sys
home = pathlib.Path(os.environ["LANGFLOW_CONFIG_DIR"]).parent
mode = (home / "mode").read_text() if (home / "mode").exists() else ""
(home / "env.json").write_text(json.dumps(dict(os.environ)))
with open(home / "pids", "a") as pids: print(os.getpid(), file=pids)
if mode == "broken":
    sys.exit("ModuleNotFoundError: no module named 'antigravity'")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "silent":
    signal.pause()
subprocess.Popen(["sleep", "600"])
keys = home / "data" / "keys"

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        if self.path == "/health_check": self.answer(200, {"status": "ok"})
        elif self.path == "/api/v1/auto_login": self.answer(200, {"access_token": "token"})
        elif self.path == "/api/v1/users/whoami":
            known = keys.exists() and self.headers["x-api-key"] in keys.read_text().split()
            self.answer(200 if known else 403, {})
    def do_POST(self):
        assert self.headers["Authorization"] == "Bearer token"
        key = "sk-" + os.urandom(8).hex()
        with open(keys, "a") as file: print(key, file=file)
        self.answer(200, {"api_key": key})

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"#;

/// A data directory in which the stand-in is installed.
struct World {
    dir: TempDir,
    lines: UnboundedReceiver<String>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let made =
            Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(home.venv()).status();
        assert!(made.expect("these tests need python3").success());
        let lib = fs::read_dir(home.venv().join("lib")).unwrap().next().unwrap().unwrap().path();
        let packages = lib.join("site-packages");
        let info = packages.join(format!("langflow-{VERSION}.dist-info"));
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("METADATA"), format!("Name: langflow\nVersion: {VERSION}\n")).unwrap();
        fs::write(packages.join("langflow.py"), FAKE).unwrap();
        fs::write(home.venv().join(".complete"), "").unwrap();
        Self { dir, lines: unbounded_channel().1 }
    }

    fn home(&self) -> Home {
        Home::open(self.dir.path()).unwrap()
    }

    fn mode(&self, mode: &str) {
        fs::write(self.home().dir().join("mode"), mode).unwrap();
    }

    /// The processes of the stand-in that were started so far, oldest first.
    fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.home().dir().join("pids")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    async fn try_start(&mut self, bounds: Bounds) -> anyhow::Result<LangFlowServer> {
        let (to, lines) = unbounded_channel();
        self.lines = lines;
        let options = Options { data_dir: self.dir.path().to_path_buf(), python: None };
        let say = Arc::new(move |line: &str| drop(to.send(line.to_string())));
        timeout(PATIENCE, Box::pin(LangFlowServer::start_within(options, bounds, say)))
            .await
            .unwrap()
    }

    async fn start(&mut self) -> LangFlowServer {
        self.try_start(quick()).await.unwrap()
    }

    /// Waits for a line of progress that contains a text.
    async fn said(&mut self, part: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.recv().await.expect("the supervisor is gone");
                if line.contains(part) {
                    return line;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("nobody said {part:?}"))
    }
}

fn quick() -> Bounds {
    Bounds {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(50),
        stop: Duration::from_secs(3),
        // Tests run side by side: each takes a port that nobody else is given.
        #[expect(clippy::reversed_empty_ranges, reason = "no preferred port")]
        ports: 1..=0,
        ..Bounds::default()
    }
}

fn kill(signal: &str, pid: i32) {
    assert!(
        Command::new("kill").args([signal, "--", &pid.to_string()]).status().unwrap().success()
    );
}

/// The live processes of a group, with the stand-in's own child among them.
fn members(group: i32) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-o", "pgid=,stat=,command="]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mine = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some(&group.to_string()) && !words.next().unwrap().starts_with('Z')
    };
    text.lines().filter(mine).map(String::from).collect()
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = interval(Duration::from_millis(20));
    while !check() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tick.tick().await;
    }
}

async fn whoami(server: &LangFlowServer) -> u16 {
    let request =
        super::account::client().unwrap().get(format!("{}/api/v1/users/whoami", server.url()));
    request.header("x-api-key", server.api_key()).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn it_starts_with_a_key_and_ends_with_its_whole_group() {
    let mut world = World::new();
    let server = world.start().await;
    world.said("LangFlow is up on http://127.0.0.1:").await;
    assert_eq!(whoami(&server).await, 200);

    let home = world.home();
    for private in ["api-key", "password", "state.json", "langflow.log"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(home.dir().join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
    let env: Value =
        serde_json::from_slice(&fs::read(home.dir().join("env.json")).unwrap()).unwrap();
    let local = server.url().replace("127.0.0.1", "localhost");
    assert_eq!(env["LANGFLOW_CORS_ORIGINS"], format!("{},{local}", server.url()));
    assert_eq!(env["LANGFLOW_PRETTY_LOGS"], "false");

    let group = world.pids()[0];
    assert_eq!(members(group).len(), 2, "the server and its child");
    server.stop().await;
    assert_eq!(members(group), Vec::<String>::new());
}

#[tokio::test]
async fn the_port_and_the_key_stay_the_same_over_starts() {
    let mut world = World::new();
    let first = world.start().await;
    let (url, key) = (first.url().to_string(), first.api_key().to_string());
    first.stop().await;

    let second = world.start().await;
    assert_eq!((second.url(), second.api_key()), (url.as_str(), key.as_str()));
    second.stop().await;

    // A key that was deleted in LangFlow is replaced; a port that was taken is given up.
    fs::write(world.home().data().join("keys"), "").unwrap();
    let port = url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    // The port is free, but any program on this machine may be given it for a moment.
    let bind = || async { std::net::TcpListener::bind(("127.0.0.1", port)).ok() };
    let taken = spark_tests::eventually(std::time::Duration::from_secs(30), bind).await;
    let third = world.start().await;
    world.said(&format!("port {port} is used by another program")).await;
    assert_ne!(third.url(), url);
    assert_ne!(third.api_key(), key);
    assert_eq!(whoami(&third).await, 200);
    drop(taken);
    third.stop().await;
}

#[tokio::test]
async fn it_is_started_again_when_it_dies() {
    let mut world = World::new();
    let server = world.start().await;
    world.said("LangFlow is up").await;
    world.mode("broken");
    let first = world.pids()[0];
    kill("-KILL", first);
    world.said("LangFlow is down (signal: 9").await;
    // It goes on trying while LangFlow cannot start.
    world.said("LangFlow is down (LangFlow ended while it was starting (exit status: 1))").await;
    world.said("LangFlow is down (LangFlow ended while it was starting (exit status: 1))").await;
    assert_eq!(members(first), Vec::<String>::new(), "what a dead leader leaves is ended too");
    world.mode("");
    world.said(&format!("LangFlow is up on {}", server.url())).await;
    assert_eq!(whoami(&server).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn one_that_ignores_the_request_to_end_is_killed() {
    let mut world = World::new();
    world.mode("stubborn");
    let server = world.start().await;
    let group = world.pids()[0];
    server.stop().await;
    eventually("the group is gone", || members(group).is_empty()).await;
}

#[tokio::test]
async fn one_that_ends_at_once_is_an_error_with_the_end_of_its_log() {
    let mut world = World::new();
    world.mode("broken");
    let error = world.try_start(quick()).await.unwrap_err().to_string();
    assert!(error.contains("LangFlow ended while it was starting (exit status: 1)"), "{error}");
    assert!(error.contains("no module named 'antigravity'"), "{error}");
    assert!(error.contains("langflow.log"), "{error}");
}

#[tokio::test]
async fn one_that_stays_silent_is_an_error_and_is_ended() {
    let mut world = World::new();
    world.mode("silent");
    let bounds = Bounds { start: Duration::from_secs(2), ..quick() };
    let error = world.try_start(bounds).await.unwrap_err().to_string();
    assert!(error.contains("LangFlow did not answer within 2 s"), "{error}");
    let group = world.pids()[0];
    eventually("it is gone", || members(group).is_empty()).await;
}

#[tokio::test]
async fn a_start_that_is_cancelled_leaves_nothing_running() {
    let mut world = World::new();
    world.mode("silent");
    let options = Options { data_dir: world.dir.path().to_path_buf(), python: None };
    tokio::select! {
        _ = Box::pin(LangFlowServer::start_within(options, quick(), Arc::new(|_: &str| {}))) => panic!("it is silent"),
        () = eventually("it was started", || !world.pids().is_empty()) => {}
    }
    let group = world.pids()[0];
    eventually("it is gone", || members(group).is_empty()).await;
    // The folder's lock is free again as well.
    world.mode("");
    world.start().await.stop().await;
}

#[tokio::test]
async fn a_second_spark_is_kept_out_of_the_folder() {
    let mut world = World::new();
    let server = world.start().await;
    let bounds = Bounds { adopt: Duration::from_millis(300), ..quick() };
    let error = world.try_start(bounds).await.unwrap_err().to_string();
    assert!(error.contains("another automagik is using"), "{error}");
    assert_eq!(whoami(&server).await, 200, "and the first one is left alone");
    server.stop().await;
}

/// Spark as a process of its own, for the tests below to kill.
#[tokio::test]
#[ignore = "the body of a process that other tests start"]
async fn spark_in_another_process() {
    let dir = std::env::var_os(DATA_DIR).expect("started by another test");
    let options = Options { data_dir: PathBuf::from(dir), python: None };
    let server =
        LangFlowServer::start_within(options, quick(), Arc::new(|_: &str| {})).await.unwrap();
    fs::write(Path::new(&server.log_path().with_file_name("ready")), server.url()).unwrap();
    std::future::pending::<()>().await;
}

/// Starts Spark in another process, kills it when LangFlow is up, and tells LangFlow's URL.
async fn killed_spark(world: &World) -> String {
    let mut spark = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            &format!("{}::spark_in_another_process", module_path!().split_once("::").unwrap().1),
        ])
        .env(DATA_DIR, world.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ready = world.home().dir().join("ready");
    eventually("the other Spark has its LangFlow", || {
        fs::read(&ready).is_ok_and(|url| !url.is_empty())
    })
    .await;
    spark.kill().unwrap();
    spark.wait().unwrap();
    fs::read_to_string(ready).unwrap()
}

#[tokio::test]
async fn a_langflow_left_by_a_killed_spark_is_taken_over_watched_and_ended() {
    let mut world = World::new();
    let url = killed_spark(&world).await;
    let left = world.pids();
    assert_eq!(members(left[0]).len(), 2, "it survived");

    let server = world.start().await;
    world.said("LangFlow 1.13.0 is still running").await;
    assert_eq!(
        (server.url(), world.pids()),
        (url.as_str(), left.clone()),
        "no second one was started"
    );
    assert_eq!(whoami(&server).await, 200);

    kill("-KILL", left[0]);
    world.said("LangFlow is down").await;
    world.said(&format!("LangFlow is up on {url}")).await;
    assert_eq!(world.pids().len(), 2);
    server.stop().await;
    assert_eq!(members(world.pids()[1]), Vec::<String>::new());
}

#[tokio::test]
async fn a_left_over_that_does_not_answer_is_replaced() {
    let mut world = World::new();
    killed_spark(&world).await;
    let left = world.pids()[0];
    kill("-STOP", left);
    let bounds = Bounds { adopt: Duration::from_millis(500), ..quick() };
    let server = world.try_start(bounds).await.unwrap();
    world.said("ending a LangFlow that was left over").await;
    eventually("it is gone", || members(left).is_empty()).await;
    assert_eq!(whoami(&server).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_process_that_was_given_the_noted_id_is_left_alone() {
    use std::os::unix::process::CommandExt as _;
    let mut world = World::new();
    let mut stranger = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let note = format!(r#"{{"pid":{},"port":1,"version":"{VERSION}"}}"#, stranger.id());
    fs::write(world.home().dir().join("state.json"), note).unwrap();
    let server = world.start().await;
    assert_eq!(world.pids().len(), 1);
    assert_eq!(stranger.try_wait().unwrap(), None, "it still runs");
    server.stop().await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
