//! `automagik task`: executions of flows, over all their attempts.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Context, watch};
use crate::args::parse_count;
use crate::client::rows;
use crate::exit::Exit;
use crate::views;
use crate::wait::{self, WaitLimit};
use filter::FilterArgs;

mod bulk;
mod change;
mod filter;
mod follow;

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
        aliases = ["view", "get"],
        after_help = "Examples:
  automagik task show 0193a7b4-1c2d
  automagik task show 0193a7b4-1c2d -o json
  automagik task show 0193a7b4-1c2d --follow"
    )]
    Show(Show),
    /// Make a task that waits until it is run, or with --run one that starts now
    Create(Box<change::Create>),
    /// Let a task start that was made without --run
    Run(change::Release),
    /// Stop it, whatever it is doing; or stop all that fit
    Cancel(Box<change::Cancel>),
    /// Put an ended task out of sight, or all that fit; their history stays
    Delete(Box<change::Delete>),
    /// Run an ended task again, or all that fit; each as a new task that names the old one
    Retry(Box<change::Retry>),
    /// Wait for its end
    Wait(Wait),
    /// What its components did, attempt after attempt
    #[command(
        alias = "logs",
        after_help = "Examples:
  automagik task log 0193a7b4-1c2d
  automagik task log 0193a7b4-1c2d --attempt 2 --component \"OpenAI Model\"
  automagik task log 0193a7b4-1c2d --follow"
    )]
    Log(Log),
}

/// List tasks.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  automagik task list --status failed
  automagik task list --schedule nightly --limit 5
  automagik task list --class timeout --since 24h
  automagik task list --search \"rate limit\"
  automagik task list --watch
  automagik task list --status pending,running -o jsonl")]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Deleted ones too
    #[arg(long)]
    pub(crate) deleted: bool,
    /// The order: -created (newest first) or created
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", value_parser = parse_count, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Keep looking, and show what changes; ctrl-c ends it
    #[arg(short, long, visible_alias = "follow")]
    pub(crate) watch: bool,
}

/// Show one task.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id, or the start of its id
    task: String,
    /// A line for each thing that happens to it, until it ends
    #[arg(short, long)]
    follow: bool,
}

/// What the components did in a task.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Its id, or the start of its id
    task: String,
    /// Only this attempt, from 1
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Only the component of this name
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Each entry as it comes, until the task ends
    #[arg(short, long)]
    follow: bool,
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
        let mut query = self.filter.pairs();
        query.extend(self.deleted.then(|| ("deleted", "true".to_owned())));
        query.extend(self.sort.clone().map(|sort| ("sort", sort)));
        query
    }
}

/// Runs a command of the group.
pub(crate) async fn run(task: Task, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match task {
        Task::List(list) if list.watch => watch::tasks(&list, context).await,
        Task::List(list) => self::list(&list, context).await,
        Task::Show(one) if one.follow => follow::task(&one.task, follow::States, context).await,
        Task::Show(one) => {
            let row = client.get(&["tasks", &one.task], &[]).await?;
            out.data(&row, |look| views::task::show(&row, look))?;
            Ok(Exit::Ok)
        }
        Task::Create(create) => change::create(*create, context).await,
        Task::Run(release) => change::release(release, context).await,
        Task::Cancel(cancel) => change::cancel(*cancel, context).await,
        Task::Delete(delete) => change::delete(*delete, context).await,
        Task::Retry(retry) => change::retry(*retry, context).await,
        Task::Wait(wait) => wait::for_task(client, out, &wait.task, &wait.limit).await,
        Task::Log(Log { task, attempt, component, follow: true }) => {
            let parts = follow::Parts { attempt, component, ..follow::Parts::default() };
            follow::task(&task, parts, context).await
        }
        Task::Log(one) => {
            let mut query = Vec::new();
            query.extend(one.attempt.map(|number| ("attempt", number.to_string())));
            query.extend(one.component.map(|name| ("component", name)));
            let log = client.get(&["tasks", &one.task, "log"], &query).await?;
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
        out.note(match list.filter.is_empty() {
            true => "no tasks; make one: automagik flow run FLOW --input TEXT",
            false => "no task fits",
        });
    } else if total > shown as u64 {
        let more = views::text(&answer, &["total_is_capped"]).map_or("", |_| "more than ");
        out.note(&format!("{shown} of {more}{total}; more: --limit {total}"));
    }
    Ok(Exit::Ok)
}
