//! LangFlow as a process group: starting it, watching it, ending it, and recognising one that an
//! earlier process left behind. It never decides whether to start it again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::VERSION;
use super::home::{Home, Note};

/// How often a process that is not our child, or one that is ending, is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long a connection to a port of this machine may take.
const CONNECT_MS_MAX: u64 = 500;
/// Settings of our own that LangFlow, which runs its users' code, must not see; and settings of
/// the user's shell that would break the virtual environment or move the server.
const ENV_REMOVED: [&str; 6] =
    ["AUTOMAGIK_", "SPARK_", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "LANGFLOW_SSL_"];

/// A process group of ours. Dropping it kills every process in it.
#[derive(Debug)]
pub(super) struct Group {
    leader: i32,
}

impl Group {
    /// The group that a child started with `process_group(0)` leads.
    pub(super) fn of(child: &Child) -> Option<Self> {
        child.id().and_then(|id| i32::try_from(id).ok()).map(|leader| Self { leader })
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.leader) {
            // A group that is gone is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Whether any process of the group is still running.
    fn alive(&self) -> bool {
        processes().iter().any(|seen| seen.group == self.leader && !seen.command.is_empty())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// One running LangFlow: our child, or one that was taken over.
#[derive(Debug)]
pub(super) struct Instance {
    group: Group,
    child: Option<Child>,
    /// Where its lines begin in the log.
    pub(super) log_from: u64,
}

impl Instance {
    /// Starts LangFlow on a port of the loopback interface and notes it for the next start.
    pub(super) fn spawn(home: &Home, port: u16, password: &str) -> Result<Self> {
        let (log, log_from) = home.open_log()?;
        let mut command = Command::new(home.python());
        command
            .args(["-m", "langflow", "run", "--host", "127.0.0.1", "--workers", "1"])
            .args(["--no-open-browser", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        settings(&mut command, home, port, password);
        let child = isolated(&mut command, home.dir())
            .spawn()
            .with_context(|| format!("could not start {}", home.python().display()))?;
        let group = Group::of(&child).context("LangFlow ended at once")?;
        let note = Note { pid: group.leader, port, version: VERSION.to_string() };
        let instance = Self { group, child: Some(child), log_from };
        home.write_note(&note)?;
        Ok(instance)
    }

    /// Waits until it has ended and says how. Cancel-safe.
    pub(super) async fn ended(&mut self) -> String {
        if let Some(child) = &mut self.child {
            return match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
        }
        while processes()
            .iter()
            .any(|seen| seen.pid == self.group.leader && !seen.command.is_empty())
        {
            tokio::time::sleep(POLL * 10).await;
        }
        "it was started by an earlier process, so its exit status is not known".to_string()
    }

    /// Asks the whole group to end, waits, and kills what is left.
    pub(super) async fn end(mut self, patience: Duration) {
        self.group.signal(Signal::TERM);
        let deadline = Instant::now() + patience;
        while self.group.alive() && Instant::now() < deadline {
            if let Some(child) = &mut self.child {
                let _ = child.try_wait();
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Ends what an earlier process left behind, except for a LangFlow of the pinned version on the
/// noted port: that one is handed back, with its port.
pub(super) async fn left_over(home: &Home, patience: Duration) -> Option<(Instance, u16)> {
    let note = home.note();
    let prefix = home.venv_prefix();
    let found = processes();
    let ours = found.iter().filter(|seen| seen.is_ours(&prefix, note.as_ref()));
    let mut groups: Vec<i32> = ours.map(|seen| seen.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut kept = None;
    for leader in groups {
        let instance = Instance { group: Group { leader }, child: None, log_from: 0 };
        match &note {
            Some(note)
                if note.version == VERSION
                    && note.pid == leader
                    && found.iter().any(|seen| seen.pid == leader && seen.serves(note.port)) =>
            {
                kept = Some((instance, note.port));
            }
            _ => instance.end(patience).await,
        }
    }
    kept
}

/// Puts a command into a process group of its own, in LangFlow's folder, without what it must not
/// inherit. A ctrl-c in the terminal then reaches Spark alone, which ends the group in order.
pub(super) fn isolated<'a>(command: &'a mut Command, dir: &Path) -> &'a mut Command {
    for (name, _) in std::env::vars_os() {
        if ENV_REMOVED.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).process_group(0).kill_on_drop(true)
}

/// LangFlow's settings. What the user has set in the environment stays, where it is safe.
fn settings(command: &mut Command, home: &Home, port: u16, password: &str) {
    let data = home.data();
    command
        .env("LANGFLOW_CONFIG_DIR", &data)
        .env("LANGFLOW_DATABASE_URL", format!("sqlite:///{}", data.join("langflow.db").display()))
        .env("LANGFLOW_BACKEND_ONLY", "false")
        .env("LANGFLOW_SUPERUSER", super::account::SUPERUSER)
        .env("LANGFLOW_SUPERUSER_PASSWORD", password)
        .env("LANGFLOW_SKIP_AUTH_AUTO_LOGIN", "false")
        // With automatic login, LangFlow's default of any origin would give every web page that
        // the user visits a superuser's token.
        .env("LANGFLOW_CORS_ORIGINS", format!("http://127.0.0.1:{port},http://localhost:{port}"))
        // A failing run costs 6 to 9 s of CPU with the coloured tracebacks, 0.06 s without.
        .env("LANGFLOW_PRETTY_LOGS", "false")
        .env("LANGFLOW_STORE", "false")
        .env("DO_NOT_TRACK", "true")
        // Without it LangFlow's launcher starts itself anew on macOS.
        .env("OBJC_DISABLE_INITIALIZE_FORK_SAFETY", "YES");
    for (name, value) in [
        ("LANGFLOW_AUTO_LOGIN", "true"),
        ("LANGFLOW_CREATE_STARTER_PROJECTS", "false"),
        ("LANGFLOW_LOG_LEVEL", "warning"),
    ] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
}

/// Whether LangFlow could listen on this port of the loopback interface.
pub(super) fn port_is_free(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Binding alone is not enough: some systems allow it beside a listener on all interfaces.
    TcpStream::connect_timeout(&address, Duration::from_millis(CONNECT_MS_MAX)).is_err()
        && TcpListener::bind(address).is_ok()
}

/// One process, as the system shows it. A dead one that nobody has waited for has no command.
#[derive(Debug)]
struct Seen {
    pid: i32,
    group: i32,
    command: String,
}

impl Seen {
    /// Whether this is LangFlow or its installation out of our folder. A process id alone proves
    /// nothing, it may have been given to another program since.
    fn is_ours(&self, prefix: &str, note: Option<&Note>) -> bool {
        let noted = note.is_some_and(|note| self.group == note.pid && self.serves(note.port));
        let in_venv = self.command.starts_with(prefix)
            && [" -m langflow run ", " pip install "]
                .iter()
                .any(|part| self.command.contains(part));
        // A framework Python of macOS shows its own path instead of the environment's.
        in_venv || (cfg!(target_os = "macos") && noted)
    }

    fn serves(&self, port: u16) -> bool {
        self.command.contains(" -m langflow run ")
            && (self.command.contains(&format!(" --port {port} "))
                || self.command.ends_with(&format!(" --port {port}")))
    }
}

/// Every process of this machine that this user may see. What cannot be read has just ended or
/// belongs to someone else.
fn processes() -> Vec<Seen> {
    let Ok(entries) =
        fs::read_dir("/proc").and_then(|dir| fs::metadata("/proc/self/stat").map(|_| dir))
    else {
        return processes_by_ps();
    };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything; then come state, parent and group.
            let group = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()?;
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command =
                String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
            Some(Seen { pid, group, command })
        })
        .collect()
}

fn processes_by_ps() -> Vec<Seen> {
    let listing =
        std::process::Command::new("ps").args(["-A", "-o", "pid=,pgid=,stat=,command="]).output();
    let text = listing.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let (pid, rest) = line.trim_start().split_once(' ')?;
            let (group, rest) = rest.trim_start().split_once(' ')?;
            let (state, command) = rest.trim_start().split_once(' ')?;
            let command = if state.starts_with('Z') { "" } else { command.trim() };
            Some(Seen {
                pid: pid.parse().ok()?,
                group: group.parse().ok()?,
                command: command.to_string(),
            })
        })
        .collect()
}
