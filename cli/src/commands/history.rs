//! `automagik history`: every event of one stream, in order, with who and why.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::Context;
use crate::args::parse_count;
use crate::client::rows;
use crate::exit::Exit;
use crate::views;

/// What kind of thing.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A task
    #[value(alias = "tasks")]
    Task,
    /// A schedule
    #[value(alias = "schedules")]
    Schedule,
    /// A flow
    #[value(aliases = ["flows", "workflow", "workflows"])]
    Flow,
    /// A source
    #[value(alias = "sources")]
    Source,
    /// A worker
    #[value(alias = "workers")]
    Worker,
    /// An API key
    #[value(alias = "keys")]
    Key,
    /// An alert
    #[value(alias = "alerts")]
    Alert,
}

/// Name one stream.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik history schedule nightly
  automagik history task 0193a7b4-1c2d --time iso
  automagik history source dev -o jsonl")]
pub(crate) struct History {
    /// task, schedule, flow, source, worker, key or alert
    #[arg(hide_possible_values = true)]
    kind: Kind,
    /// Its name, its id, or the start of its id
    id: String,
    /// How many events at most [default: all]
    #[arg(long, value_name = "N", value_parser = parse_count, default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
}

/// Shows the events.
pub(crate) async fn run(history: History, context: &Context<'_>) -> Result<Exit> {
    let kind = match history.kind {
        Kind::Task => "task",
        Kind::Schedule => "schedule",
        Kind::Flow => "flow",
        Kind::Source => "source",
        Kind::Worker => "worker",
        Kind::Key => "key",
        Kind::Alert => "alert",
    };
    let path = ["history", kind, &history.id];
    let Context { client, out } = context;
    let list = client.list_from(&path, &[], history.limit, "from_revision").await?;
    out.data(&list, |look| views::history::list(&list, look))?;
    let (shown, total) = (rows(&list).len() as u64, list.get("total").and_then(|n| n.as_u64()));
    if let Some(total) = total.filter(|total| *total > shown) {
        out.note(&format!("{shown} of {total} events"));
    }
    Ok(Exit::Ok)
}
