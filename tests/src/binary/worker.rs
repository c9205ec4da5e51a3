//! A worker in a process of its own, driven as its operator drives it: signals, and what it says.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::timeout;

use super::{Automagik, PATIENCE};
use crate::eventually;

/// The file with the words of workers in their data directory.
const SAID: &str = "said";

/// `automagik worker start` in a process of its own. Dropping it kills it.
pub struct WorkerProcess {
    child: Child,
    home: PathBuf,
}

impl Automagik {
    /// A worker beside the server: it finds address and key in the data directory.
    #[must_use]
    pub fn worker(&self, name: &str) -> WorkerProcess {
        self.spawn_worker(self.home(), &["worker", "start", "--name", name])
    }

    /// A worker that shares nothing with the server but an address and a key, as on another host.
    #[must_use]
    pub fn worker_elsewhere(&self, name: &str, args: &[&str]) -> WorkerProcess {
        let (url, key) = (self.url(), self.key());
        let start = ["worker", "start", "--name", name, "--server", &url, "--api-key", &key];
        self.spawn_worker(&self.elsewhere(name), &[&start[..], args].concat())
    }

    /// The data directory of such a worker.
    #[must_use]
    pub fn elsewhere(&self, name: &str) -> PathBuf {
        self.beside().join(format!("host-of-{name}"))
    }

    /// A worker with this data directory and command line.
    ///
    /// # Panics
    /// When the binary does not start.
    #[must_use]
    pub fn spawn_worker(&self, home: &Path, args: &[&str]) -> WorkerProcess {
        self.spawn_worker_in(None, home, args)
    }

    /// The same in a network namespace of Linux.
    ///
    /// # Panics
    /// When the binary does not start.
    #[must_use]
    pub fn spawn_worker_in(
        &self,
        namespace: Option<&str>,
        home: &Path,
        args: &[&str],
    ) -> WorkerProcess {
        fs::create_dir_all(home).expect("a folder of ours");
        let said = OpenOptions::new().append(true).create(true).open(home.join(SAID));
        let mut command = self.command_in(namespace, args);
        command.env("AUTOMAGIK_HOME", home).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(said.expect("its words can be kept")).kill_on_drop(true);
        WorkerProcess { child: command.spawn().expect("the binary starts"), home: home.to_owned() }
    }
}

impl WorkerProcess {
    /// Its data directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.home.clone()
    }

    /// What it has said, over all starts of workers in its directory.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.join(SAID)).unwrap_or_default()
    }

    /// Waits until it has said this so many times.
    pub async fn says(&self, words: &str, times: usize) {
        eventually(PATIENCE, || async {
            (self.log().matches(words).count() >= times).then_some(())
        })
        .await;
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        kill_process(pid.expect("it runs"), signal).expect("it is our child");
    }

    /// Kills it, without a word to it.
    pub async fn kill9(mut self) {
        self.child.kill().await.expect("it is our child");
    }

    /// Waits for its end, and gives its exit code.
    ///
    /// # Panics
    /// When it does not end in time, or dies of a signal.
    pub async fn ended(mut self) -> i32 {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            panic!("the worker does not end:\n{}", self.log());
        };
        let status = status.expect("it is our child");
        status.code().unwrap_or_else(|| panic!("the worker died of {status}"))
    }
}
