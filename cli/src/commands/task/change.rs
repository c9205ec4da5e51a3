//! Making tasks, and changing those that exist.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::super::common::{InputArgs, TweakArgs};
use super::super::{Body, Context, flow};
use super::bulk::BulkArgs;
use crate::exit::{Exit, Trouble};
use crate::views::{short_task_id, text_or_dash};
use crate::wait::{self, WaitArgs};

/// Make a task.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task create hello-spark --input \"hello\"
  automagik task create hello-spark --input \"hello\" --run --wait")]
pub(crate) struct Create {
    #[command(flatten)]
    task: flow::NewTask,
    /// Start it now
    #[arg(long)]
    run: bool,
    /// Hold it until `automagik task run`; this is the default
    #[arg(long, conflicts_with = "run")]
    no_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Let a held task start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task run 0193a7b4-1c2d --wait")]
pub(crate) struct Release {
    /// Its id, or the start of its id
    task: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Stop a task.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task cancel 0193a7b4-1c2d --reason \"wrong input\"
  automagik task cancel 0193a7b4-1c2d --force
  automagik task cancel --schedule nightly --dry-run
  automagik task cancel --flow report --since 10m --yes")]
pub(crate) struct Cancel {
    /// Its id, or the start of its id
    task: Option<String>,
    /// Record the end now, and leave a run at the source to itself
    #[arg(short, long, requires = "task")]
    force: bool,
    #[command(flatten)]
    bulk: BulkArgs,
}

/// Put a task out of sight.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik task delete 0193a7b4-1c2d
  automagik task delete 0193a7b4-1c2d --yes
  automagik task delete --status completed --until 30d --dry-run")]
pub(crate) struct Delete {
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
  automagik task retry 0193a7b4-1c2d --input \"another question\"
  automagik task retry 0193a7b4-1c2d --flow-version then
  automagik task retry --status failed --since 1h --dry-run
  automagik task retry --status failed --class timeout --since 1h --yes")]
pub(crate) struct Retry {
    /// Its id, or the start of its id
    task: Option<String>,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    tweaks: TweakArgs,
    /// Which definition to run: now, then, or the start of a definition's hash [default: now]
    #[arg(long, value_name = "VERSION")]
    flow_version: Option<String>,
    /// Higher ones start first within a source [default: as before]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Repeating the command with the same key makes no second task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    bulk: BulkArgs,
}

impl Retry {
    /// Refuses what makes sense for a single task only.
    fn only_for_one(&self) -> Result<()> {
        let given = [
            ("--wait", self.wait.wait),
            ("--flow-version", self.flow_version.is_some()),
            ("--priority", self.priority.is_some()),
            ("--idempotency-key", self.idempotency_key.is_some()),
            ("--input", self.input.read()?.is_some()),
            ("--tweak", self.tweaks.json()?.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => {
                let what = format!("{option} is for one task, and many were asked for");
                Err(Trouble::usage(what)
                    .then("name the task: automagik task retry ID")
                    .then("follow many: automagik task list --watch")
                    .into())
            }
        }
    }
}

pub(super) async fn create(create: Create, context: &Context<'_>) -> Result<Exit> {
    let Create { task, run, no_run: _, wait } = create;
    if wait.wait && !run {
        return Err(Trouble::usage("a held task does not end by itself")
            .because("without --run the task waits until it is run")
            .then("add --run, or leave --wait out")
            .into());
    }
    let task = flow::create(task, run, context).await?;
    if run {
        return flow::started(&task, &wait, context).await;
    }
    let id = text_or_dash(&task, &["id"]);
    context.out.data(&task, |_| format!("{id}\n"))?;
    let short = short_task_id(&id);
    context.out.note(&format!("the task is made and held; start it: automagik task run {short}"));
    Ok(Exit::Ok)
}

pub(super) async fn release(release: Release, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let task = client.post(&["tasks", &release.task, "run"], json!({})).await?;
    let id = text_or_dash(&task, &["id"]);
    if release.wait.wait {
        return wait::for_task(client, out, &id, &release.wait.limit).await;
    }
    out.data(&task, |_| format!("{id}\n"))?;
    let short = short_task_id(&id);
    out.note(&format!("task {short} may start; wait for it: automagik task wait {short}"));
    Ok(Exit::Ok)
}

pub(super) async fn cancel(cancel: Cancel, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let Some(task) = cancel.bulk.one(cancel.task.as_deref(), "cancel")? else {
        return cancel.bulk.run("cancel", context).await;
    };
    let body = Body::default().with("force", cancel.force.then_some(true));
    let row = client.post(&["tasks", task, "cancel"], body.json()).await?;
    out.data(&row, |_| String::new())?;
    let id = short_task_id(&text_or_dash(&row, &["id"]));
    let status = text_or_dash(&row, &["status"]);
    match status.as_str() {
        "cancelled" => out.note(&format!("task {id} is cancelled")),
        _ => out.note(&format!("task {id} is {status} and is being stopped")),
    }
    Ok(Exit::Ok)
}

pub(super) async fn delete(delete: Delete, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let Some(task) = delete.bulk.one(delete.task.as_deref(), "delete")? else {
        return delete.bulk.run("delete", context).await;
    };
    let row = client.get(&["tasks", task], &[]).await?;
    let id = text_or_dash(&row, &["id"]);
    let short = short_task_id(&id);
    delete.bulk.consent.ask("task", &short)?;
    let answer = client.delete(&["tasks", &id]).await?;
    out.data(&answer, |_| String::new())?;
    out.note(&format!("task {short} is deleted; its history stays: automagik history task {id}"));
    Ok(Exit::Ok)
}

pub(super) async fn retry(retry: Retry, context: &Context<'_>) -> Result<Exit> {
    let Some(task) = retry.bulk.one(retry.task.as_deref(), "retry")? else {
        retry.only_for_one()?;
        return retry.bulk.run("retry", context).await;
    };
    let body = Body::default()
        .with("input", retry.input.read()?)
        .with("tweaks", retry.tweaks.json()?)
        .with("flow_version", retry.flow_version)
        .with("priority", retry.priority);
    let path = ["tasks", task, "retry"];
    let key = retry.idempotency_key.as_deref();
    let task = context.client.post_once(&path, body.json(), key).await?;
    flow::started(&task, &retry.wait, context).await
}
