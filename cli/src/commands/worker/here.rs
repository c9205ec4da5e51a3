//! Workers on this machine: what runs here, and ending it by a signal, without a server.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use spark_events::limits::WORKER_STOP_MS_MAX;

use super::Context;
use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::output::Out;
use crate::settings::target::is_same;
use crate::views;
use crate::worker_process::state::{self, State};

/// How often a process that ends is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// End a worker.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Its name, or its id or the start of that; without one the worker on
    /// this machine
    #[arg(value_name = "WORKER")]
    pub(super) worker: Option<String>,
}

/// A worker that runs on this machine.
pub(super) struct Here {
    name: String,
    pid: u32,
    state: State,
}

fn here(home: &Home) -> Vec<Here> {
    let running = |name: String| {
        let pid = state::running(home, &name)?;
        let state = state::read(&home.worker_state(&name)).unwrap_or_default();
        Some(Here { name, pid, state })
    };
    state::names(home).into_iter().filter_map(running).collect()
}

impl Here {
    /// Whether it works for another server than the one that was named. One that has not
    /// registered yet works for none.
    fn is_of_another(&self, named: Option<&str>) -> bool {
        let own = &self.state.server;
        !own.is_empty() && named.is_some_and(|named| !is_same(own, named))
    }
}

/// The worker on this machine that is to end; `None` where it must be elsewhere. A worker of the
/// same name may work for another server: where one was `named`, it counts.
pub(super) fn meant(stop: &Stop, home: &Home, named: Option<&str>) -> Result<Option<Here>> {
    choose(stop, here(home), home, named)
}

fn choose(
    stop: &Stop,
    mut here: Vec<Here>,
    home: &Home,
    named: Option<&str>,
) -> Result<Option<Here>> {
    here.retain(|one| !one.is_of_another(named));
    if let Some(worker) = &stop.worker {
        let is_meant = |one: &Here| {
            let id = one.state.ids.last().map(ToString::to_string);
            one.name == *worker || id.is_some_and(|id| id == *worker)
        };
        return Ok(here.into_iter().find(is_meant));
    }
    match here.len() {
        1 => Ok(here.pop()),
        0 => Err(Trouble::new(Exit::NotFound, "no worker runs on this machine")
            .because(match named {
                Some(server) => format!("none that works for {server} does"),
                None => format!("none holds its lock in {}", home.dir().display()),
            })
            .then("to stop one elsewhere: automagik worker list, then automagik worker stop NAME")
            .into()),
        _ => {
            let names: Vec<&str> = here.iter().map(|one| one.name.as_str()).collect();
            Err(Trouble::usage("more than one worker runs on this machine")
                .because(format!("they are {}", names.join(", ")))
                .then("name one: automagik worker stop NAME")
                .into())
        }
    }
}

/// Ends it by a signal, and waits for its end.
pub(super) async fn end(worker: &Here, home: &Home, out: &Out) -> Result<Exit> {
    let Here { name, pid, .. } = worker;
    signal(*pid)?;
    let begun = Instant::now();
    out.note(&format!("worker {name} (process {pid}) stops"));
    while state::running(home, name) == Some(*pid) {
        if begun.elapsed() > Duration::from_millis(WORKER_STOP_MS_MAX) {
            return Err(Trouble::new(Exit::Pending, format!("worker {name} has not ended yet"))
                .because(format!("process {pid} still runs"))
                .then(format!("end it at once, which loses nothing: kill -9 {pid}"))
                .into());
        }
        tokio::time::sleep(LOOK).await;
    }
    out.note("stopped");
    Ok(Exit::Ok)
}

#[cfg(unix)]
fn signal(pid: u32) -> Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let known = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = known.map(|pid| kill_process(pid, Signal::TERM));
    match sent {
        // One that ended in this moment is what was wanted.
        Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
        other => Err(Trouble::failed(format!("process {pid} cannot be told to stop"))
            .because(other.map_or_else(|| "no such process".into(), |error| format!("{error:?}")))
            .then("it may belong to another user")
            .into()),
    }
}

#[cfg(not(unix))]
fn signal(pid: u32) -> Result<()> {
    Err(Trouble::failed(format!("process {pid} cannot be told to stop from here"))
        .then("stop it through the server: automagik worker stop NAME")
        .into())
}

/// What runs here, and what the server knows.
pub(super) async fn status(context: Result<Context<'_>>, out: &Out, home: &Home) -> Result<Exit> {
    let local: Vec<Value> = here(home)
        .iter()
        .map(|one| {
            json!({
                "name": one.name, "pid": one.pid, "server": one.state.server,
                "id": one.state.ids.last(), "registered": one.state.registered,
                "log": home.worker_log(&one.name),
            })
        })
        .collect();
    let listed = match context {
        Ok(context) => {
            context.client.list(&["workers"], &[("living", "true".to_owned())], usize::MAX).await
        }
        Err(error) => Err(error),
    };
    let (workers, trouble) = match listed {
        Ok(list) => (list, None),
        Err(error) if local.is_empty() => return Err(error),
        Err(error) => (Value::Null, Some(error)),
    };
    let all = json!({ "here": local, "workers": workers.get("items").unwrap_or(&Value::Null) });
    out.data(&all, |look| views::worker::status(&all, look))?;
    if local.is_empty() {
        out.note("no worker process runs on this machine beside the server's own");
    }
    match trouble {
        None => Ok(Exit::Ok),
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_the_same_name_at_another_server_is_not_the_one_that_was_meant() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path()));
        let here = |servers: &[&str]| {
            let one = |(pid, server): (u32, &&str)| {
                let state = State { server: (*server).to_owned(), ..State::default() };
                Here { name: "gpu".to_owned(), pid, state }
            };
            (1..).zip(servers).map(one).collect::<Vec<_>>()
        };
        let stop = |worker: Option<&str>| Stop { worker: worker.map(str::to_owned) };
        let (local, team) = ("http://127.0.0.1:8888", "https://team.example");
        for (servers, named, expected) in [
            (&[local][..], None, Some(1)),
            (&[local], Some("http://127.0.0.1:8888/"), Some(1)),
            (&[local], Some(team), None),
            (&[local, team], Some(team), Some(2)),
            (&[""], Some(team), Some(1)),
        ] {
            for worker in [Some("gpu"), None] {
                let found = choose(&stop(worker), here(servers), &home, named);
                let pid = found.ok().flatten().map(|one| one.pid);
                assert_eq!(pid, expected, "{servers:?} {named:?} {worker:?}");
            }
        }
    }
}
