//! `automagik worker`: processes that make the calls.

use anyhow::Result;
use clap::Subcommand;

use super::Context;
use crate::client::rows;
use crate::exit::Exit;
use crate::views;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik worker list
  automagik history worker ID";

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub(crate) enum Worker {
    /// All workers
    #[command(
        visible_alias = "ls",
        alias = "status",
        after_help = "Examples:
  automagik worker list
  automagik worker list -o json"
    )]
    List,
}

/// Runs a command of the group.
pub(crate) async fn run(worker: &Worker, context: &Context<'_>) -> Result<Exit> {
    let Worker::List = worker;
    let Context { client, out } = context;
    let list = client.list(&["workers"], &[], usize::MAX).await?;
    out.data(&list, |look| views::worker::list(&list, look))?;
    if rows(&list).is_empty() {
        out.note("no workers have been there yet");
    }
    Ok(Exit::Ok)
}
