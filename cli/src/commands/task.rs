//! `automagik task`: executions of flows, over all their attempts.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Context, watch};
use crate::client::rows;
use crate::exit::Exit;
use crate::views;
use crate::wait::{self, WaitLimit};

mod change;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik task list --status failed
  automagik task show 0193a7b4-1c2d
  automagik task retry 0193a7b4-1c2d --wait";

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Tasks, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// One task: its attempts side by side, its result, what its components did
    #[command(
        alias = "view",
        after_help = "Examples:
  automagik task show 0193a7b4-1c2d
  automagik task show 0193a7b4-1c2d -o json"
    )]
    Show(One),
    /// Make a task that waits until it is run, or with --run one that starts now
    Create(Box<change::Create>),
    /// Let a task start that was made without --run
    Run(change::Release),
    /// Stop it, whatever it is doing
    Cancel(change::Cancel),
    /// Put an ended task out of sight; its history stays
    Delete(change::Delete),
    /// Run an ended task again; makes a new task that names the old one
    Retry(Box<change::Retry>),
    /// Wait for its end
    Wait(Wait),
    /// What its components did, attempt after attempt
    #[command(
        alias = "logs",
        after_help = "Examples:
  automagik task log 0193a7b4-1c2d"
    )]
    Log(One),
}

/// List tasks.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  automagik task list --status failed
  automagik task list --schedule nightly --limit 5
  automagik task list --watch
  automagik task list --status pending,running -o jsonl")]
pub(crate) struct List {
    /// Only these: pending, running, waiting, completed, failed, cancelled
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only those of this flow
    #[arg(long)]
    pub(crate) flow: Option<String>,
    /// Only those of this schedule
    #[arg(long)]
    pub(crate) schedule: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Keep looking, and show what changes; ctrl-c ends it
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// Name one task.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id, or the start of its id
    task: String,
}

/// Wait for a task.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task wait 0193a7b4-1c2d
  automagik task wait 0193a7b4-1c2d --wait-timeout 1h && echo done
Exit codes: 0 completed, 5 failed or cancelled, 8 still open at the timeout.")]
pub(crate) struct Wait {
    /// Its id, or the start of its id
    task: String,
    #[command(flatten)]
    limit: WaitLimit,
}

impl List {
    /// As the API asks for it.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        [("status", &self.status), ("flow", &self.flow), ("schedule", &self.schedule)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

/// Runs a command of the group.
pub(crate) async fn run(task: Task, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match task {
        Task::List(list) if list.watch => watch::tasks(&list, context).await,
        Task::List(list) => self::list(&list, context).await,
        Task::Show(one) => {
            let row = client.get(&["tasks", &one.task], &[]).await?;
            out.data(&row, |look| views::task::show(&row, look))?;
            Ok(Exit::Ok)
        }
        Task::Create(create) => change::create(*create, context).await,
        Task::Run(release) => change::release(release, context).await,
        Task::Cancel(cancel) => change::cancel(cancel, context).await,
        Task::Delete(delete) => change::delete(delete, context).await,
        Task::Retry(retry) => change::retry(*retry, context).await,
        Task::Wait(wait) => wait::for_task(client, out, &wait.task, &wait.limit).await,
        Task::Log(one) => {
            let log = client.get(&["tasks", &one.task, "log"], &[]).await?;
            out.data(&log, |look| views::task::log(&log, look).trim_start().to_owned())?;
            if views::task::log(&log, &out.look()).is_empty() {
                out.note("nothing is known of its components; its attempts: automagik task show");
            }
            Ok(Exit::Ok)
        }
    }
}

async fn list(list: &List, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let answer = client.list(&["tasks"], &list.query(), list.limit).await?;
    out.data(&answer, |look| views::task::list(&answer, look))?;
    let shown = rows(&answer).len();
    let total = answer.get("total").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if shown == 0 {
        out.note("no tasks; make one: automagik flow run FLOW --input TEXT");
    } else if total > shown as u64 {
        out.note(&format!("{shown} of {total}; more: --limit {total}"));
    }
    Ok(Exit::Ok)
}
