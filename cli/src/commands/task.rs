//! `automagik task`: executions of flows, over all their attempts.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, flow, watch};
use crate::client::rows;
use crate::exit::{Exit, Trouble};
use crate::views::{self, short_task_id, text_or_dash};
use crate::wait::{self, WaitArgs, WaitLimit};
use bulk::BulkArgs;
use filter::FilterArgs;

mod bulk;
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
        alias = "view",
        after_help = "Examples:
  automagik task show 0193a7b4-1c2d
  automagik task show 0193a7b4-1c2d -o json
  automagik task show 0193a7b4-1c2d --follow"
    )]
    Show(Show),
    /// Stop it, whatever it is doing; or stop all that fit
    Cancel(Cancel),
    /// Run an ended task again, or all that fit; each as a new task that names the old one
    Retry(Retry),
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
    /// The same as `flow run`
    #[command(hide = true)]
    Create(Box<flow::Run>),
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
    #[arg(long, value_name = "N", default_value_t = 50)]
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

/// Stop tasks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task cancel 0193a7b4-1c2d --reason \"wrong input\"
  automagik task cancel --schedule nightly --dry-run
  automagik task cancel --flow report --since 10m --yes")]
pub(crate) struct Cancel {
    /// Its id, or the start of its id
    task: Option<String>,
    #[command(flatten)]
    bulk: BulkArgs,
}

/// Run a task again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task retry 0193a7b4-1c2d
  automagik task retry 0193a7b4-1c2d --wait
  automagik task retry --status failed --since 1h --dry-run
  automagik task retry --status failed --class timeout --since 1h --yes")]
pub(crate) struct Retry {
    /// Its id, or the start of its id
    task: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    bulk: BulkArgs,
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
        Task::Cancel(cancel) => {
            let Some(task) = cancel.bulk.one(cancel.task.as_deref(), "cancel")? else {
                return cancel.bulk.run("cancel", context).await;
            };
            let row = client.post(&["tasks", task, "cancel"], json!({})).await?;
            out.data(&row, |_| String::new())?;
            let id = short_task_id(&text_or_dash(&row, &["id"]));
            let status = text_or_dash(&row, &["status"]);
            match status.as_str() {
                "cancelled" => out.note(&format!("task {id} is cancelled")),
                _ => out.note(&format!("task {id} is {status} and is being stopped")),
            }
            Ok(Exit::Ok)
        }
        Task::Retry(retry) => {
            let Some(task) = retry.bulk.one(retry.task.as_deref(), "retry")? else {
                if retry.wait.wait {
                    let what = "--wait is for one task, and many were asked for";
                    return Err(Trouble::usage(what)
                        .then("follow them: automagik task list --watch")
                        .into());
                }
                return retry.bulk.run("retry", context).await;
            };
            let task = client.post(&["tasks", task, "retry"], json!({})).await?;
            flow::started(&task, &retry.wait, context).await
        }
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
        Task::Create(run) => flow::run_flow(*run, context).await,
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
