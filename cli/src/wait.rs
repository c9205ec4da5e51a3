//! Waiting for a task: asks the server again and again, each time for as long as one request may
//! take. Owns what is said meanwhile, and what ctrl-c means.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use spark_events::limits::TASK_WAIT_MS_MAX;
use tokio::time::Instant;

use crate::args::{ms, parse_duration};
use crate::client::Client;
use crate::exit::{Exit, Trouble};
use crate::output::{Out, time};
use crate::views::{self, text};

/// Whether a command waits, and how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Wait for the end of the task; show its result
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitLimit,
}

/// How long a command waits.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitLimit {
    /// How long to wait at most; the task goes on after that
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub(crate) wait_timeout: Duration,
}

/// Waits for a task and shows its result. `id` may be whatever the server takes for an id.
pub(crate) async fn for_task(
    client: &Client,
    out: &Out,
    id: &str,
    limit: &WaitLimit,
) -> Result<Exit> {
    let shown = views::short_task_id(id);
    let spinner = spinner(out, &format!("waiting for task {shown}"));
    if spinner.is_none() {
        let most = time::duration(ms(limit.wait_timeout));
        out.note(&format!("waiting for task {shown}, at most {most}"));
    }
    let waited = tokio::select! {
        waited = until_ended(client, id, limit.wait_timeout) => Some(waited),
        _ = tokio::signal::ctrl_c() => None,
    };
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let Some(waited) = waited else {
        return Err(Trouble::new(Exit::Interrupted, "interrupted; the task goes on")
            .then(format!("look: automagik task show {shown}"))
            .then(format!("stop it: automagik task cancel {shown}"))
            .into());
    };
    let Some(status) = waited? else {
        let most = time::duration(ms(limit.wait_timeout));
        return Err(Trouble::new(
            Exit::Pending,
            format!("task {shown} has not ended within {most}"),
        )
        .because("it goes on; only the waiting ended")
        .then(format!("wait on: automagik task wait {shown}"))
        .into());
    };
    result(client, out, id, &status).await
}

/// The status that the task ended with; `None` where the time was over before.
async fn until_ended(client: &Client, id: &str, most: Duration) -> Result<Option<String>> {
    let deadline = Instant::now() + most;
    loop {
        let left = ms(deadline.saturating_duration_since(Instant::now()));
        let step = left.clamp(1, TASK_WAIT_MS_MAX);
        let query = [("timeout_ms", step.to_string())];
        let task = client.get_within(&["tasks", id, "wait"], &query, step).await?;
        let status = text(&task, &["status", "task.status"]).unwrap_or_default();
        if Exit::of_task(&status) != Exit::Pending {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
    }
}

/// Shows what the task brought: its output as it is, so that it can be piped on.
async fn result(client: &Client, out: &Out, id: &str, status: &str) -> Result<Exit> {
    let exit = Exit::of_task(status);
    let task = client.get(&["tasks", id], &[]).await?;
    let shown = views::short_task_id(&text(&task, &["id"]).unwrap_or_else(|| id.to_owned()));
    out.note(&views::task::end_line(&task));
    if exit == Exit::Ok {
        let terminal = out.stdout_terminal;
        out.data(&task, |_| views::task::output_text(&task, terminal))?;
        return Ok(exit);
    }
    out.data(&task, |look| views::task::attempts(&task, look))?;
    out.note(&format!("more: automagik task show {shown}"));
    Ok(exit)
}

fn spinner(out: &Out, message: &str) -> Option<ProgressBar> {
    if !out.spinner {
        return None;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Some(bar)
}
