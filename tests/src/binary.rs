//! The built binary `automagik`, driven as a person drives it: commands with their exit codes and
//! words, signals, raw HTTP. A black box: no crate of the product is used here.
//!
//! Owns one data directory, and the server process over it. Dropping it kills the server.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::eventually;
use crate::plain_http::{self, Answer};

mod build;
mod output;
#[cfg(unix)]
mod terminal;
mod worker;

pub use output::Output;
#[cfg(unix)]
pub use terminal::Terminal;
pub use worker::WorkerProcess;

/// How long anything may take on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A data directory, and the server over it while it is up.
pub struct Automagik {
    home: PathBuf,
    log: PathBuf,
    server: Option<Child>,
    dir: TempDir,
}

impl Automagik {
    /// An empty data directory; nothing runs yet.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self {
            home: dir.path().join("data"),
            log: dir.path().join("server.log"),
            server: None,
            dir,
        }
    }

    /// The same over a directory that exists already, such as a mounted one.
    #[must_use]
    pub fn over(home: PathBuf) -> Self {
        let mut automagik = Self::new();
        automagik.home = home;
        automagik
    }

    /// A server that answers.
    pub async fn started() -> Self {
        let mut automagik = Self::new();
        automagik.up().await;
        automagik
    }

    /// Starts the server, and waits until its API answers.
    ///
    /// # Panics
    /// When it ends instead, or does not answer in time.
    pub async fn up(&mut self) {
        self.up_with(&[]).await;
    }

    /// The same with further options.
    ///
    /// # Panics
    /// When it ends instead, or does not answer in time.
    pub async fn up_with(&mut self, options: &[&str]) {
        self.serve(&["up"], options).await;
    }

    /// Starts the server without a worker in it, and waits until its API answers.
    ///
    /// # Panics
    /// When it ends instead, or does not answer in time.
    pub async fn api_start(&mut self) {
        self.serve(&["api", "start"], &[]).await;
    }

    async fn serve(&mut self, verb: &[&str], options: &[&str]) {
        assert!(self.server.is_none(), "it is up already");
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let log = log.expect("the server's log file can be written");
        let mut command = self.command(&[verb, &["--port", "0"], options].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        self.server = Some(command.spawn().expect("the binary starts"));
        eventually(PATIENCE, || {
            let server = self.server.as_mut().expect("it was started above");
            if let Some(status) = server.try_wait().expect("the server is our child") {
                let verb = verb.join(" ");
                panic!("`automagik {verb}` ended with {status}:\n{}", self.server_log());
            }
            let url = self.try_url();
            async move {
                let ready = plain_http::send(&url?, "GET", "/readyz", &[], "").await.ok()?;
                (ready.status == 200).then_some(())
            }
        })
        .await;
    }

    /// The server's process.
    ///
    /// # Panics
    /// When it is not up.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.as_ref().and_then(Child::id).expect("the server is up")
    }

    /// Kills the server, without a word to it.
    pub async fn kill9(&mut self) {
        let mut server = self.server.take().expect("the server is up");
        server.kill().await.expect("the server is our child");
    }

    /// Asks the server to end with SIGTERM, and gives the code it ended with.
    ///
    /// # Panics
    /// When it does not end in time, or dies of the signal.
    pub async fn sigterm(&mut self) -> i32 {
        let mut server = self.server.take().expect("the server is up");
        let pid = server.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        kill_process(pid.expect("a live process"), Signal::TERM).expect("it is our child");
        let status = match timeout(PATIENCE, server.wait()).await {
            Ok(status) => status.expect("the server is our child"),
            Err(_) => panic!("the server did not end on SIGTERM:\n{}", self.server_log()),
        };
        status.code().unwrap_or_else(|| panic!("the server died of {status}"))
    }

    /// Runs a command as it is, to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).kill_on_drop(true);
        match timeout(PATIENCE, command.output()).await {
            Ok(output) => Output::new(args, &output.expect("the binary starts")),
            Err(_) => panic!("`automagik {}` hangs:\n{}", args.join(" "), self.server_log()),
        }
    }

    /// Starts a command on a terminal.
    #[cfg(unix)]
    #[must_use]
    pub fn on_terminal(&self, args: &[&str]) -> Terminal {
        Terminal::start(self.command(args))
    }

    /// Runs a command that must succeed, and gives what it put on standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> impl Future<Output = String> {
        let (caller, run) = (std::panic::Location::caller(), self.run(args));
        async move { run.await.expect_code(0, caller).stdout.trim().to_owned() }
    }

    /// Runs a command that must end with this code, and gives what it said.
    #[track_caller]
    pub fn ends(&self, code: i32, args: &[&str]) -> impl Future<Output = Output> {
        let (caller, run) = (std::panic::Location::caller(), self.run(args));
        async move { run.await.expect_code(code, caller) }
    }

    /// Runs a command that must succeed, with `-o json`.
    ///
    /// # Panics
    /// When what it gives is not JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let args: Vec<String> =
            args.iter().copied().chain(["-o", "json"]).map(str::to_owned).collect();
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = self.run(&args).await.expect_code(0, caller);
            let value = serde_json::from_str(&output.stdout);
            value.unwrap_or_else(|error| panic!("called at {caller}: no JSON ({error}): {output}"))
        }
    }

    /// The rows of a list.
    #[track_caller]
    pub fn rows(&self, args: &[&str]) -> impl Future<Output = Vec<Value>> {
        let caller = std::panic::Location::caller();
        let list = self.json(args);
        async move {
            let list = list.await;
            let rows = list["items"].as_array().cloned();
            rows.unwrap_or_else(|| panic!("called at {caller}: not a list: {list}"))
        }
    }

    /// Sends a request to the API with the server's key.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn http(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.http_with(method, path, &[("x-api-key", &self.key())], body).await
    }

    /// The key that the server made.
    ///
    /// # Panics
    /// Before its first start.
    #[must_use]
    pub fn key(&self) -> String {
        let key = fs::read_to_string(self.home.join("api-key")).expect("the server made its key");
        key.trim().to_owned()
    }

    /// Sends a request to the API with these header fields.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn http_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let url = self.url();
        let sent = plain_http::send(&url, method, path, headers, body.into());
        match timeout(PATIENCE, sent).await {
            Ok(answer) => answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")),
            Err(_) => panic!("{method} {path}: no answer within {PATIENCE:?}"),
        }
    }

    /// Where the server listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.try_url().expect("the server has left its address")
    }

    fn try_url(&self) -> Option<String> {
        let text = fs::read_to_string(self.home.join("server.json")).ok()?;
        let file: Value = serde_json::from_str(&text).ok()?;
        // A file that a killed server left names another process.
        let mine = file["pid"].as_u64() == self.server.as_ref()?.id().map(u64::from);
        mine.then(|| file["url"].as_str().map(str::to_owned))?
    }

    /// How many events the log holds, read past the server, as any SQLite shell reads it.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn stored_events(&self) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let log = rusqlite::Connection::open_with_flags(self.home.join("events.db"), flags);
        let log = log.expect("the event log is an SQLite file");
        let count = log.query_row("SELECT count(*) FROM history", [], |row| row.get(0));
        count.expect("the event log has the view `history`")
    }

    /// The data directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A folder of its own, beside the data directory.
    #[must_use]
    pub fn beside(&self) -> &Path {
        self.dir.path()
    }

    /// What the server has said on standard error, over all its starts.
    #[must_use]
    pub fn server_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_in(None, args)
    }

    fn command_in(&self, namespace: Option<&str>, args: &[&str]) -> Command {
        let mut command = match namespace {
            None => Command::new(build::binary()),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(build::binary());
                command
            }
        };
        // What the developer has set for a Spark or LangFlow of their own is none of ours.
        let ours = |name: &str| {
            ["AUTOMAGIK_", "LANGFLOW_", "RUST_LOG"].iter().any(|start| name.starts_with(start))
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(ours) {
                command.env_remove(name);
            }
        }
        command.args(args).env("AUTOMAGIK_HOME", &self.home).env("HOME", self.dir.path());
        command.env_remove("XDG_CONFIG_HOME").env("AUTOMAGIK_NO_DOTENV", "1");
        command
    }
}

impl Default for Automagik {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Automagik {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.server_log();
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            crate::report(&format!("the server's last words:\n{}", last.join("\n")));
        }
    }
}
