//! `automagik worker`: processes that make the calls.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Context;
use crate::args::Global;
use crate::client::{Client, rows};
use crate::exit::Exit;
use crate::output::Out;
use crate::settings::Name;
use crate::views;

mod background;
mod here;
mod logs;
mod start;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik worker start                      on the server's machine
  automagik worker start --server http://spark.example:8888 --api-key sk-...
  automagik worker start --name gpu-1 --labels gpu --concurrency 4 --daemon
  automagik worker list
  automagik worker drain gpu-1                before an upgrade of that host
The server has a worker in it (up --slots; up --no-worker for none). More of
them, here or on other hosts, share the work.";

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub(crate) enum Worker {
    /// Take work from a server and do it here, until ctrl-c
    Start(start::Start),
    /// The workers that are there
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik worker list
  automagik worker list --all                 those that have left or were lost too"
    )]
    List(List),
    /// One worker: what it does and what it has done
    #[command(
        visible_aliases = ["get", "view"],
        after_help = "Examples:
  automagik worker show gpu-1"
    )]
    Show(Which),
    /// Give it no new work; what it does goes on
    #[command(after_help = "Examples:
  automagik worker pause gpu-1 --reason \"the GPU is needed elsewhere\"")]
    Pause(Which),
    /// Give it work again
    #[command(after_help = "Examples:
  automagik worker resume gpu-1")]
    Resume(Which),
    /// Give it no new work; it ends by itself after its last run
    #[command(after_help = "Examples:
  automagik worker drain gpu-1")]
    Drain(Which),
    /// End it: background runs go on elsewhere, direct ones get 10 s
    #[command(after_help = "Examples:
  automagik worker stop                       the one on this machine
  automagik worker stop gpu-1                 whichever host it is on")]
    Stop(here::Stop),
    /// Workers on this machine, and what the server knows of all
    #[command(after_help = "Examples:
  automagik worker status")]
    Status,
    /// The log of a worker that runs in the background here
    #[command(
        visible_alias = "log",
        after_help = "Examples:
  automagik worker logs
  automagik worker logs gpu-1 --lines 200 --follow"
    )]
    Logs(logs::Logs),
}

/// List workers.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those that have left or were lost too
    #[arg(short, long)]
    all: bool,
}

/// One worker.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name, or its id or the start of that
    #[arg(value_name = "WORKER")]
    worker: String,
}

/// Runs a command of the group.
pub(crate) async fn run(worker: Worker, global: &Global, out: &Out) -> Result<Exit> {
    // What concerns this machine alone needs no server.
    let context =
        || -> Result<Context<'_>> { Ok(Context { client: Client::new(global.target()?)?, out }) };
    match worker {
        Worker::Start(start) => start::run(start, global, out).await,
        Worker::List(which) => list(which.all, &context()?).await,
        Worker::Show(which) => show(&which.worker, &context()?).await,
        Worker::Pause(which) => change(&which.worker, "pause", &context()?).await,
        Worker::Resume(which) => change(&which.worker, "resume", &context()?).await,
        Worker::Drain(which) => change(&which.worker, "drain", &context()?).await,
        Worker::Stop(stop) => {
            let named = global.setting(Name::Server).map(|server| server.value);
            match here::meant(&stop, &global.home(), named.as_deref())? {
                Some(worker) => here::end(&worker, &global.home(), out).await,
                None => change(&stop.worker.unwrap_or_default(), "stop", &context()?).await,
            }
        }
        Worker::Status => here::status(context(), out, &global.home()).await,
        Worker::Logs(logs) => logs::run(&logs, out, &global.home()).await,
    }
}

async fn list(all: bool, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let living = [("living", "true".to_owned())];
    let query: &[_] = if all { &[] } else { &living };
    let list = client.list(&["workers"], query, usize::MAX).await?;
    out.data(&list, |look| views::worker::list(&list, look))?;
    if rows(&list).is_empty() {
        out.note("no worker is there; start one: automagik worker start");
    }
    Ok(Exit::Ok)
}

async fn show(worker: &str, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let row = client.get(&["workers", worker], &[]).await?;
    out.data(&row, |look| views::worker::page(&row, look))?;
    Ok(Exit::Ok)
}

/// Asks a worker for another state, and shows it as it is then.
async fn change(worker: &str, verb: &str, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let row = client.post(&["workers", worker, verb], json!({})).await?;
    out.data(&row, |look| views::worker::page(&row, look))?;
    Ok(Exit::Ok)
}
