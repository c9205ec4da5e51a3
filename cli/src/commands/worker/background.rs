//! A worker in the background: the same command once more, without a terminal, its words in a log
//! file. The one who starts it waits until it is known whether it came up.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use spark_events::limits::WORKER_LOG_BYTES_MAX;

use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::output::Out;
use crate::worker_process::state::{self, Place};

/// Tells the second process that it is the one to work.
const CHILD: &str = "AUTOMAGIK_WORKER_IN_BACKGROUND";
/// How long the first process waits for the second one to register.
const COMES_UP: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// How often the size of the log is looked at.
const LOG_LOOK: Duration = Duration::from_secs(30);

/// Whether this is the process in the background.
pub(super) fn is_child() -> bool {
    crate::args::env(CHILD).is_some()
}

/// Leaves the terminal for good, in the process that is to stay in the background.
pub(super) fn detach() {
    #[cfg(unix)]
    if is_child() {
        // Fails only for the leader of a session, which has left already.
        let _ = rustix::process::setsid();
    }
}

/// Starts the process and says how that went.
pub(super) async fn start(name: &str, home: &Home, out: &Out) -> Result<Exit> {
    // Refused here, with a word, instead of in the log.
    drop(Place::take(home, name)?);
    let path = home.worker_log(name);
    set_aside(&path);
    let log = OpenOptions::new().append(true).create(true).open(&path);
    let mut log = log.with_context(|| format!("cannot write the log {}", path.display()))?;
    let from = log.seek(SeekFrom::End(0))?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the process in the background")?;
    let pid = child.id();
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(died(status, &tail(&path, from)).into());
        }
        let state = state::read(&home.worker_state(name)).filter(|state| state.pid == pid);
        if state.is_some_and(|state| state.registered) {
            out.note(&format!("worker {name} runs in the background (process {pid})"));
            break;
        }
        if begun.elapsed() > COMES_UP {
            out.note(&format!(
                "worker {name} runs in the background (process {pid}), but the server has not taken it yet; it keeps trying"
            ));
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    leave(child);
    out.note(&format!("  its log: automagik worker logs {name}    {}", path.display()));
    out.note(&format!("  stop it: automagik worker stop {name}"));
    Ok(Exit::Ok)
}

/// The process lives on without us.
fn leave(child: Child) {
    drop(child);
}

/// What the process said about its end, with its own exit code.
fn died(status: std::process::ExitStatus, said: &str) -> Trouble {
    let line = |mark: &'static str| {
        said.lines().filter_map(move |line| line.trim_start().strip_prefix(mark)).map(str::to_owned)
    };
    let what = line("error: ").next_back();
    let mut trouble =
        Trouble::failed(what.unwrap_or_else(|| format!("the worker ended with {status}")));
    trouble.exit = status.code().and_then(Exit::of_code).unwrap_or(Exit::Failed);
    trouble.why = line("why: ").collect();
    trouble.next = line("next: ").collect();
    trouble
}

fn tail(path: &Path, from: u64) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(WORKER_LOG_BYTES_MAX).read_to_string(&mut text)
    });
    drop(read);
    text
}

/// A log that has grown large makes room.
fn set_aside(path: &Path) {
    let large = |meta: std::fs::Metadata| meta.len() > WORKER_LOG_BYTES_MAX;
    if std::fs::metadata(path).is_ok_and(large) {
        let _ = std::fs::rename(path, path.with_extension("log.1"));
    }
}

/// Keeps the log of this process within its bound, and as much again set aside.
#[expect(clippy::disallowed_methods, reason = "it lives as long as the process")]
pub(super) fn keep_log_small(path: PathBuf) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOG_LOOK).await;
            let large =
                std::fs::metadata(&path).is_ok_and(|meta| meta.len() > WORKER_LOG_BYTES_MAX);
            // The process goes on writing to the same file, at its end, which is its beginning then.
            if large && std::fs::copy(&path, path.with_extension("log.1")).is_ok() {
                let _ = OpenOptions::new().write(true).truncate(true).open(&path);
            }
        }
    });
}
